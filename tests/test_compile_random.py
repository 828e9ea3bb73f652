"""Random programs, compiled and not: the same bits, gradients, strides, written memory and errors.

A program is Python text, made by trying random statements on sample values and keeping those that run, so
that a failing one can be read and pasted. Each runs several times with other values, numbers, modes and
shapes: what is tested is replay and the guards, not the first run. `show(seed)` prints a program."""
from __future__ import annotations

import operator
import os
import random
import textwrap
import warnings

import numpy as np
import pytest

import numtorch as torch

PROGRAMS = 2000 if os.environ.get("NUMTORCH_TESTS") == "all" else 40
BLOCK = 10
FLOATS = ("float32", "float32", "float64", "bfloat16", "float16")
INTS = ("int64", "int32", "uint8", "int8")

UNARY = ("-{x}", "{x}.abs()", "{x}.clamp(-9, 9).exp()", "{x}.tanh()", "{x}.sigmoid()", "torch.relu({x})",
         "{x}.sin()", "{x} * {x}", "{x}.abs().sqrt()", "{x}.square()", "torch.nn.functional.gelu({x})",
         "torch.nn.functional.silu({x})", "{x}.sign()", "{x}.clone()", "{x}.detach()", "{x}.contiguous()",
         "torch.zeros_like({x})", "{x}.floor()", "{x}.reciprocal()",
         "torch.where({x} > 0, {x}, {x} * 0.5)")
NUMBERS = ("{x} * {k}", "{x} + {n}", "{k} - {x}", "{x} * ({k} * 2 + 1)", "{x}.clamp(min=-1, max={n} + 1)",
           "{x} / ({n} + 1)", "torch.add({x}, {x}, alpha={n})", "{x} if {k} > 0.6 else -{x}", "{x} * 2",
           "{x} + torch.full({x}.shape, 1.5)", "torch.arange({x}.numel()).view({x}.shape) + {x}",
           "{x}.masked_fill({x} > 1, {k})")
BINARY = ("{x} + {y}", "{x} - {y}", "{x} * {y}", "{x} / ({y} * {y} + 1)", "torch.maximum({x}, {y})",
          "torch.where({x} > {y}, {x}, {y})", "{x} > {y}", "({x} < {y}) | ({y} < 0)",
          "torch.lerp({x}, {y}, 0.25)", "torch.addcmul({x}, {y}, {y}, value=0.5)", "torch.atan2({x}, {y})",
          "torch.hypot({x}, {y})", "torch.cat([{x}, {y}], -1)", "torch.stack([{x}, {y}])", "{x} @ {y}",
          "{x} @ {y}.t()", "{x}.masked_fill({y} > 0, 1)", "{x}.expand_as({y})", "({x} * {y}).sum(-1)")
FOLDS = ("{x}.sum()", "{x}.sum({d})", "{x}.sum({d}, keepdim=True)", "{x}.mean({d}, keepdim=True)",
         "{x}.mean()", "{x}.amax({d})", "{x}.max({d}).values", "{x}.var({d}, unbiased=False)",
         "{x}.norm()", "{x}.cumsum({d})", "torch.softmax({x}, {d})", "torch.logsumexp({x}, {d})",
         "torch.layer_norm({x}, {x}.shape[-1:])", "{x}.argmax({d})", "{x}.sort({d}).values",
         "({x} > 0).any()", "({x} > 0).sum({d})", "{x}.prod({d})", "{x} - {x}.mean({d}, keepdim=True)",
         "torch.log_softmax({x}, {d})", "{x}.flip({d})", "{x}.roll(1, {d})")
VIEWS = ("{x}.transpose(0, {d})", "{x}.t()", "{x}.unsqueeze({d})", "{x}.squeeze()", "{x}[1:]",
         "{x}[..., ::2]", "{x}[0]", "{x}.select({d}, -1)", "{x}.reshape(-1)", "{x}.view(-1)",
         "{x}.narrow({d}, 0, 1)", "{x}.expand(3, *{x}.shape)", "{x}.permute(*range({x}.ndim - 1, -1, -1))",
         "{x}.diagonal()", "{x}.unfold({d}, 2, 1)", "{x}.chunk(2, {d})[0]", "{x}.flatten(0, 1)",
         "{x}[None]", "{x}.movedim({d}, 0)")
INDEX = ("{x}[[0, -1]]", "{x}[{x} > 0].sum()", "{x}.index_select({d}, torch.tensor([0, 0]))",
         "{x}.gather({d}, torch.zeros_like({x}, dtype=torch.int64))", "{x}.tril()", "{x}.repeat(2, 1)")
CASTS = ("{x}.to(torch.float32)", "{x}.double()", "{x}.to(torch.bfloat16)", "({x} > 0).to(torch.int32)",
         "{x}.clamp(-50, 50).nan_to_num().to(torch.int64)", "({x} > 0).float()")
CHANCE = ("torch.nn.functional.dropout({x}, 0.5)", "{x} + torch.rand({x}.shape)", "torch.randn(2, 3)")
WRITES = ("{w}.add_({y})", "{w}.mul_(0.5)", "{w}.mul_({k})", "{w}[0] = {y}", "{w}[..., ::2] = 1",
          "{w}[1:] *= 2", "{w}.t().add_(1)", "{w}.zero_()", "{w}.fill_({k})", "{w}.copy_({y})",
          "{w}.relu_()", "{w}.clamp_(-1, 1)", "{w}.__iadd__({y})", "{w}.view(-1)[1:].sub_(1)",
          "{w}[{w} > 1] = 0", "{w}.neg_()", "{w}[0], {w}[-1] = {w}[-1].clone(), {w}[0].clone()",
          "{w}.transpose(0, -1).copy_({y})", "{w}.masked_fill_({w} < 0, {n})", "{w}.diagonal().zero_()",
          "{w}.index_fill_(0, torch.tensor([0]), 2)")
STATE = ("memory.mul_(0.9).add_({x}.detach().float().sum())",
         "held[0] = held[0] * 0.5 + {x}.detach().float().sum()", "count[0] += 1",
         "memory.mul_(0.9); held[0] = held[0] * 0.5 + memory.sum()",
         "{new} = {x} * 1; held[0] = {new}.detach()", "held[0] = {x}.float().sum()")
READS = ("if {x}.float().sum() > 0: {new} = {x} + 1\nelse: {new} = {x} - 1",
         "{new} = {x} * {x}.float().abs().amax().item()", "{new} = {x}; print(end='')")
GRADS = ("{new}, = torch.autograd.grad(({x} * {x}).sum(), {x})", "({x} * {k}).sum().backward()",
         "with torch.no_grad(): {new} = {x} * 3",
         "{new} = {x}.detach().requires_grad_(); {new} = torch.autograd.grad(({new} ** 2).sum(), {new})[0]")
EXPRESSIONS = [(UNARY, 20), (NUMBERS, 12), (BINARY, 25), (FOLDS, 14), (VIEWS, 18), (INDEX, 3), (CASTS, 4),
               (CHANCE, 1)]


class Program:
    """A function's text, its inputs and what it closes over."""

    def __init__(self, seed: int):
        self.r = r = random.Random(seed)
        torch.manual_seed(seed)
        self.kind = r.choice(FLOATS) if r.random() < 0.8 else r.choice(INTS)
        self.shapes = [tuple(r.choice((1, 2, 3, 4, 5)) for _ in range(r.choice((1, 2, 2, 3))))
                       for _ in range(3)]
        self.shapes[1] = self.shapes[0]
        if r.random() < 0.5:
            self.shapes[2] = self.shapes[0][-1:]
        self.strided = [r.random() < 0.25 for _ in range(3)]
        self.grad = [self.kind in FLOATS and r.random() < 0.4 for _ in range(3)]
        self.history = r.random() < 0.3      # arguments that are no leaves
        self.reads, self.chance = r.random() < 0.15, r.random() < 0.15
        self.lines: list[str] = []
        self.names = ["a", "b", "c", "W"]
        env = {**self.space(), **dict(zip("abckn", self.inputs(seed, 0)))}
        length, tries = r.randint(5, 30), 0
        while len(self.lines) < length and tries < 400:
            tries += 1
            line, name = self.statement()
            trial = dict(env)
            state = torch.get_rng_state()
            before = {k: v.detach().clone() for k, v in env.items() if isinstance(v, torch.Tensor)}
            try:
                exec(line, trial)
                new = trial.get(name)
                if name and (not isinstance(new, torch.Tensor) or new.numel() > 2000):
                    raise ValueError
            except Exception:
                for k, v in before.items():  # a statement that wrote before it failed
                    with torch.no_grad(), warnings.catch_warnings():
                        if not torch.equal(env[k].detach(), v):
                            env[k].data.copy_(v) if env[k].is_contiguous() else None
                torch.set_rng_state(state)
                continue
            env = trial
            self.lines.append(line)
            if name:
                self.names.append(name)
        made = [n for n in self.names[4:]] or ["a"]
        outs = sorted({*made[-2:], *r.sample(made, min(2, len(made)))}, key=made.index)
        if r.random() < 0.1:
            outs.append("a")
        if r.random() < 0.1:
            outs.append("k")
        self.text = "def f(a, b, c, k, n):\n" + textwrap.indent("\n".join(self.lines), "    ") + \
            f"\n    return {', '.join(outs)}{',' if len(outs) == 1 and r.random() < 0.5 else ''}\n"

    def statement(self) -> tuple[str, str]:
        r = self.r
        pick = lambda: r.choice(self.names[-6:] if r.random() < 0.7 else self.names)
        new = f"v{len(self.names)}"
        words = {"x": pick(), "y": pick(), "w": pick(), "k": r.choice(("k", "k", "0.5")), "new": new,
                 "n": r.choice(("n", "n", "2")), "d": r.choice(("0", "-1", "1"))}
        chance = r.random()
        if chance < 0.12:
            return r.choice(WRITES).format(**words), ""
        if chance < 0.16:
            line = r.choice(STATE).format(**words)
            return line, new if new in line else ""
        if chance < 0.19:
            line = r.choice(GRADS).format(**words)
            return line, new if new in line else ""
        if chance < 0.21 and self.reads:
            return r.choice(READS).format(**words), new
        group = r.choices([g for g, _ in EXPRESSIONS], [w for _, w in EXPRESSIONS])[0]
        if group is CHANCE and not self.chance:
            group = UNARY
        return f"{new} = {r.choice(group).format(**words)}", new

    def space(self) -> dict:
        """The globals of the function: a weight, state that it may write to."""
        torch.manual_seed(5)
        weight = torch.randn(self.shapes[0][-1]) * 0.5
        return {"torch": torch, "W": weight.requires_grad_(self.kind in FLOATS and any(self.grad)),
                "memory": torch.zeros(3), "held": [torch.zeros(())], "count": [0], "__name__": "program"}

    def inputs(self, seed: int, run: int) -> list:
        """Arguments for one run: other values each time, other numbers from run 2 on, other shapes from
        run 5 on."""
        torch.manual_seed(1000 * seed + run)
        r = random.Random(1000 * seed + run)
        kind = getattr(torch, self.kind)
        found = []
        for shape, strided, grad in zip(self.shapes, self.strided, self.grad):
            more = {5: 1, 6: 2, 7: 4, 9: 3}.get(run, 0)
            shape = (shape[0] + more, *shape[1:]) if len(shape) > 1 else shape
            x = torch.randn(shape) * 2 if kind.is_floating_point else torch.randint(0, 9, shape)
            x = x.to(kind)
            if strided and len(shape) > 1:
                x = x.transpose(0, 1).contiguous().transpose(0, 1)
            elif strided:
                x = torch.stack([x, x], -1)[..., 0]
            if grad:
                x.requires_grad_()
            found.append(x)
        return [*found, 0.75 if run < 2 else r.random(), 3 if run < 2 else r.randint(0, 4)]


def outcome(program: Program, f, space: dict, seed: int, run: int) -> list:
    """All that a call gives and leaves behind."""
    args = program.inputs(seed, run)
    leaves = args[:3]
    for t in (*leaves, space["W"]):
        t.grad = None
    if program.history:
        args[:3] = [x * 1 if x.requires_grad else x for x in leaves]
    held = [*args[:3], space["W"], space["memory"]]
    before = [x._version for x in held]
    torch.manual_seed(run)
    got: list = []
    try:
        with torch.set_grad_enabled(run != 4):
            result = f(*args)
        outs = list(result) if isinstance(result, tuple) else [result]
        got += outs
        for same_as in (operator.is_, shares):
            got += [[next((i for i, x in enumerate(args[:3]) if same_as(x, o)), -1) for o in outs]]
        want = [o for o in outs if isinstance(o, torch.Tensor) and o.requires_grad and (o._node is not None)]
        if want and run % 2 == 0:
            sum([(o * o).sum().float() for o in want]).backward()
    except (RuntimeError, ValueError, IndexError, TypeError, NotImplementedError) as e:
        got += [type(e), str(e).splitlines()[0][:60]]
    got += [*args[:3], [x.grad for x in leaves], [x._version - v for x, v in zip(held, before)]]
    got += [space["W"], space["W"].grad, space["memory"], space["held"], space["count"], torch.rand(1)]
    return got


def shares(x, y) -> bool:
    return isinstance(y, torch.Tensor) and x.numel() > 0 and x.storage is y.storage


def same(a, b, where: str) -> None:
    """Equal bits (a NaN equals a NaN), shapes, strides, types."""
    assert type(a) is type(b), (where, a, b)
    if isinstance(a, torch.Tensor):
        assert a.dtype is b.dtype and a.shape == b.shape, (where, a, b)
        assert a.stride() == b.stride() or a.numel() == 0, (where, a.shape, a.stride(), b.stride())
        assert a.requires_grad == b.requires_grad and a.is_leaf == b.is_leaf, (where, a, b)
        x, y = a.detach().contiguous(), b.detach().contiguous()
        if a.dtype.is_floating_point:
            word = {2: np.int16, 4: np.int32, 8: np.int64}[a.element_size()]
            nan, nans = x.isnan(), y.isnan()
            assert torch.equal(nan, nans), (where, a, b)
            p, q = x.storage.array.view(word)[:x.numel()], y.storage.array.view(word)[:y.numel()]
            rest = ~nan.reshape(-1).numpy()
            assert np.array_equal(p[rest], q[rest]), (where, a, b)
        else:
            assert torch.equal(x, y), (where, a, b)
    elif isinstance(a, list):
        assert len(a) == len(b), (where, a, b)
        for i, (x, y) in enumerate(zip(a, b)):
            same(x, y, f"{where}[{i}]")
    else:
        assert a == b or a != a, (where, a, b)


def check(seed: int) -> int:
    """Runs of the program give the same compiled and not; how often a replay gave it."""
    program = Program(seed)
    plain, traced = program.space(), program.space()
    exec(compile(program.text, f"<program {seed}>", "exec"), plain)
    exec(compile(program.text, f"<program {seed}>", "exec"), traced)
    compiled = torch.compile(traced["f"])
    replays = 0
    for run in range(10):
        want = outcome(program, plain["f"], plain, seed, run)
        before = (len(compiled.entries), compiled.tries)
        got = outcome(program, compiled, traced, seed, run)
        replays += bool(compiled.entries) and before == (len(compiled.entries), compiled.tries)
        try:
            same(want, got, "")
        except AssertionError as e:
            raise AssertionError(f"run {run} of program {seed}: {e.args[0]}\n{program.text}\n"
                                 f"{compiled.notes}") from None
    return replays


def show(seed: int) -> None:
    print(Program(seed).text)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("block", range(PROGRAMS // BLOCK))
def test_random_programs(block):
    replays = sum([check(seed) for seed in range(BLOCK * block, BLOCK * (block + 1))])
    assert replays >= BLOCK, "hardly anything is replayed"
