"""Compiled programs give bit for bit what their nodes give one by one, in as few kernels as they should."""
from __future__ import annotations

import os
import random
import sys

import numpy as np
import pytest

import numtorch as torch
from numtorch.autograd.modes import state
from numtorch.compiler import interpret
from numtorch.compiler.lazy import Tracer
from numtorch.compiler.lower import Kernel
from numtorch.compiler.program import Memory, Program, needed
from numtorch.compiler.schedule import Problem, Scheduler, ordered

F = torch.nn.functional
PROGRAMS = 2000 if os.environ.get("NUMTORCH_TESTS") == "all" else 60


def compiled(fn, donated=None):
    """The programs of what fn computes, each checked against the nodes run one by one."""
    programs = []

    def run(graph):
        inputs = [v.array.copy() for v in graph.inputs]
        want = [a.copy() for a in interpret.run(graph)]
        program = Program(graph, donated)
        graph.key()
        for _ in range(2):  # the second run finds the arena used
            ins = [a.copy() for a in inputs]
            got = program.run(ins, graph.numbers())
            for v, a, b in zip(graph.outputs, got, want):
                if v.node is not None or v.array is not None:  # else memory that nobody wrote
                    assert a.dtype == b.dtype and a.shape == b.shape, program.text()
                    same = a.tobytes() == b.tobytes() or np.array_equal(nans(a), nans(b), equal_nan=True)
                    assert same, f"{graph}\n{program.text()}\n{program.source}\n{a}\n{b}"
            if not donated:
                for a, b in zip(ins, inputs):
                    assert a.tobytes() == b.tobytes(), "an input was written"
        programs.append(program)
        return want
    traced(fn, run)
    return [p for p in programs if p.steps]


def traced(fn, run):
    """What fn returns, its graphs computed by `run`."""
    tracer, small = Tracer(run), state.small
    state.lazy, state.small = tracer, -1
    try:
        return fn()
    finally:
        state.lazy, state.small = None, small
        tracer.flush()


def nans(a):
    """The array with one NaN for all NaNs (which of two NaN operands survives is the compiler's choice)."""
    if a.dtype.kind not in "fc":
        return a
    out = a.copy()
    out[np.isnan(out)] = np.nan
    return out


def kernels(fn, grad=False):
    """How many kernels and calls fn takes."""
    kept = []
    with torch.set_grad_enabled(grad):
        return [s.kind for p in compiled(lambda: kept.append(fn())) for s in p.steps]


# ------------------------------------------------------------------------------------ what becomes one kernel
def test_pointwise_chain():
    x, y = torch.randn(5, 7), torch.randn(7)
    assert kernels(lambda: ((x * y + 2.0).tanh() - x / 3).exp()) == ["map"]
    assert kernels(lambda: torch.where(x > y, x, y * 2)) == ["map"]
    assert kernels(lambda: (x + 1, (x + 1).sin())) == ["map"]


def test_views_between_maps():
    x, y = torch.randn(4, 6), torch.randn(6, 4)
    assert kernels(lambda: (x * 2).t() + y) == ["map"]
    assert kernels(lambda: (x.exp().reshape(2, 12) + 1).reshape(8, 3) * 2) == ["map"]
    assert kernels(lambda: (x.exp().reshape(2, 2, 6).transpose(0, 2) + 1).transpose(0, 1)) == ["map"]


def test_half_values_are_rounded_between_ops():
    x = torch.randn(100).bfloat16()
    assert kernels(lambda: ((x * 3 + x).exp() * x) / 7) == ["map"]
    x = torch.randn(100).half()
    assert kernels(lambda: ((x * 3 + x).exp() * x) / 7) == ["map"]
    x = torch.randint(0, 255, (100,), dtype=torch.uint8)
    assert kernels(lambda: ((x * 3 + x) // 2) * 7) == ["map"]


def test_rows():
    x, w, b = torch.randn(6, 33), torch.randn(33), torch.randn(33)
    assert kernels(lambda: F.softmax(x * 2, 1)) == ["rows"]
    assert kernels(lambda: F.log_softmax(x, 1).neg()) == ["rows"]
    assert kernels(lambda: x / x.norm(2, 1, True).clamp_min(1e-6)) == ["rows"]

    def norm():
        m = x.mean(-1, True)
        d = x - m
        return d * (d * d).mean(-1, True).add(1e-5).rsqrt() * w + b
    assert kernels(norm) == ["rows"]


def test_columns_and_long_sums():
    x, y = torch.randn(50, 70), torch.randn(50, 70)
    assert kernels(lambda: (x * y).sum(0)) == ["columns"]
    assert kernels(lambda: ((z := x * y), z.sum(0), (z * z).mean(0))) == ["columns"]
    assert kernels(lambda: (x.view(5, 10, 70) * y.view(5, 10, 70)).sum((0, 1))) == ["columns"]
    x, y = torch.randn(90_000), torch.randn(90_000)
    assert kernels(lambda: (x * y).sum()) == ["chunks"]
    assert kernels(lambda: ((z := x * y), z.mean(), (z * z).sum())) == ["chunks"]


def test_statistics_over_batch_and_space():
    x, w = torch.randn(4, 3, 5, 6), torch.randn(3, 1, 1)

    def norm():
        m = x.mean((0, 2, 3), True)
        d = x - m
        v = (d * d).mean((0, 2, 3), True)
        return d * (v + 1e-5).rsqrt() * w, m, v
    assert kernels(norm) == ["rows"]
    assert kernels(lambda: (x * w).sum((0, 2, 3))) == ["rows"]


def test_layer_norm_backward():
    g, x, w = torch.randn(6, 33), torch.randn(6, 33), torch.randn(33)
    m, r = torch.randn(6, 1), torch.randn(6, 1)

    def back():
        xhat = (x - m) * r
        u = g * w
        gx = r * (u - u.mean(1, True) - xhat * (u * xhat).mean(1, True))
        return gx, (g * xhat).sum(0), g.sum(0)
    assert len(kernels(back)) <= 2


def test_cross_entropy():
    x, y = torch.randn(6, 33), torch.randint(0, 33, (6,))
    assert kernels(lambda: F.log_softmax(x * 2, 1)) == ["rows"]
    assert kernels(lambda: F.cross_entropy(x, y)).count("rows") == 1


def test_gradients_of_weights_need_no_copy():
    x, w, b, g = torch.randn(4, 5), torch.randn(3, 5), torch.randn(3), torch.randn(4, 3)
    w.requires_grad_(), b.requires_grad_()
    assert torch.autograd.grad(F.linear(x, w, b), w, g)[0].is_contiguous()
    programs = compiled(lambda: F.linear(x, w, b).backward(g))
    assert not [s for p in programs for s in p.steps if "copy" in s.nodes and s.read > 4 * g.numel()]


def test_activations():
    x = torch.randn(6, 33)
    assert kernels(lambda: F.gelu(x * 2) + 1) == ["map"]
    assert kernels(lambda: F.silu(x * 2) + 1) == ["map"]


def test_adam_is_one_kernel_for_each_parameter():
    ps = [torch.randn(5, 5, requires_grad=True), torch.randn(7, requires_grad=True)]
    opt = torch.optim.Adam(ps, weight_decay=0.1)
    for _ in range(2):
        for p in ps:
            p.grad = torch.randn(p.shape)
        opt.step()
    assert kernels(opt.step).count("map") <= 3  # and one for the step counts


def test_fills_are_numbers():
    x = torch.randn(3, 4)
    assert kernels(lambda: x * torch.full((4,), 2.5) + torch.ones(3, 1)) == ["map"]
    p = compiled(lambda: kept.append(x * torch.full((4,), 2.5)) if (kept := []) is not None else None)
    assert len(p) <= 1


def test_partial_writes():
    x = torch.randn(6, 9)
    kept = []

    def fn():
        a = x.clone()
        a[0] = 1
        a[:, 1:] *= 2
        a[2:4, ::2].add_(a[0:2, 1::2][:, :4].sum())
        kept.append(a + 1)
        kept.append(a)
    compiled(fn)


def test_in_place_over_itself():
    x = torch.arange(10.0)
    kept = []

    def fn():
        a = x * 2
        a[1:] = a[:-1] + 1
        b = a.clone()
        a.mul_(b.flip(0))
        kept.append((a, b))
    compiled(fn)


def test_donated_memory():
    p, g = torch.randn(4, 5), torch.randn(4, 5)
    programs = []

    def run(graph):
        want = [a.copy() for a in interpret.run(graph)]
        program = Program(graph, {len(graph.outputs) - 1: 0})
        ins = [v.array.copy() for v in graph.inputs]
        got = program.run(ins, graph.numbers())
        assert got[-1] is ins[0] and np.array_equal(got[-1], want[-1])
        programs.append(program)
        return want
    traced(lambda: p.mul_(0.9).add_(g, alpha=-0.1), run)
    assert len(programs) == 1 and len(programs[0].steps) == 1


def test_numbers_are_inputs():
    x = torch.randn(5)
    graphs = []

    def record(graph):
        graphs.append(graph)
        return interpret.run(graph)

    want = [traced(lambda k=k: x * k + (k + 1), record) for k in (2.0, 3.5)]
    assert graphs[0].key() == graphs[1].key() and graphs[1].numbers() == [3.5, 4.5]
    program = Program(graphs[0])
    got = program.run([v.array for v in graphs[1].inputs], graphs[1].numbers())
    assert np.array_equal(got[0], want[1].numpy())


def recurrent(n):
    """A training step of a recurrent cell over n steps: calls and small maps that depend on each other, and
    sums over all steps."""
    cell, x = torch.nn.LSTMCell(3, 4), torch.randn(n, 2, 3)

    def step():
        h = c = torch.zeros(2, 4)
        for row in x:
            h, c = cell(row, (h, c))
        h.sum().backward()
        return [p.grad for p in cell.parameters()]
    return step


def wide(n):
    """The same small work on many tensors, as an optimizer does it."""
    xs, scale = [torch.randn(2 + i % 5) for i in range(n)], torch.randn(())
    return lambda: [(x * scale + 1).tanh() * (x * x).sum() for x in xs]


def deep(n):
    """A long chain of maps."""
    x = torch.randn(5)

    def chain():
        y = x
        for _ in range(n):
            y = (y * x + 1).sigmoid()
        return y
    return chain


@pytest.mark.parametrize("make", [recurrent, wide, deep])
def test_plans_take_steps_in_proportion_to_nodes(make):
    """Four times the nodes: at most six times the lines of Python that run, and the numbers compared."""
    def lines(n):
        graphs, count = [], 0

        def record(graph):
            graphs.append(graph)
            return interpret.run(graph)
        kept = [traced(make(n), record)]

        def local(frame, event, arg):
            nonlocal count
            count += event == "line"
            return local
        before = sys.gettrace()
        sys.settrace(lambda frame, event, arg: local)
        try:
            p = Problem(graphs[0])
            groups = ordered(Scheduler(p))
            wanted = needed(p, groups)
            work = [p.tasks[g.members[0][0]] if g.form in ("call", "eager") else Kernel(p, g, wanted)
                    for g in groups]
            Memory(p, work, {})
        finally:
            sys.settrace(before)
        assert kept
        return count, len(graphs[0].nodes)
    (few, small), (many, large) = lines(12), lines(48)
    assert large > 3 * small and many < 6 * few


# ---------------------------------------------------------------------------------------- random programs
FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
INTS = (torch.int64, torch.int32, torch.uint8, torch.int8)


def program(seed: int):
    """A random program: maps, folds, views, copies and writes over small shapes."""
    r = random.Random(seed)
    torch.manual_seed(seed)
    kind = r.choice((torch.float32, torch.float32, *FLOATS, *INTS))
    floating = kind.is_floating_point

    def fresh(shape):
        x = torch.randn(shape) * 2 if floating else torch.randint(-5, 9, shape)
        x = x.to(kind)
        if len(shape) > 1 and r.random() < 0.3:
            x = x.transpose(0, 1).contiguous().transpose(0, 1)
        return x

    shape = tuple(r.choice((1, 2, 3, 4, 6, 8)) for _ in range(r.randint(1, 4)))
    inputs = [fresh(shape) for _ in range(r.randint(1, 3))]
    length = r.randint(5, 30)
    choices = [r.random() for _ in range(length * 8)]

    def run():
        q = iter(choices)
        pick = lambda seq: seq[int(next(q) * len(seq))]
        pool = list(inputs)
        owned = []
        for _ in range(length):
            x = pick(pool)
            what = next(q)
            if what < 0.35:
                fits = [y for y in pool if broadcasts(x.shape, y.shape)]
                y = pick(fits) if next(q) < 0.8 else 2
                made = pick((torch.add, torch.mul, torch.sub, torch.maximum if floating else torch.add))(
                    x, y if isinstance(y, torch.Tensor) else torch.tensor(y, dtype=kind))
            elif what < 0.5:
                made = pick((torch.tanh, torch.exp, torch.abs, torch.neg, torch.sigmoid) if floating else
                            (torch.neg, torch.abs, torch.square))(x)
                if made.numel() and floating:
                    made = made.clamp(-50.0, 50.0)
            elif what < 0.6:
                dim = int(next(q) * x.ndim) if x.ndim else None
                made = pick((torch.sum, torch.amax, torch.mean if floating else torch.sum))(
                    x, dim, True) if dim is not None else x + 1
                made = made.to(kind)
            elif what < 0.8 and x.ndim:
                made = view(x, next(q), next(q))
            elif what < 0.86:
                made = x.clone() if next(q) < 0.5 else x.contiguous()
                owned.append(made)
            elif owned:
                made = pick(owned)
                target = view(made, next(q), next(q)) if made.ndim and next(q) < 0.5 else made
                fits = [y for y in pool if y.shape == target.shape or y.ndim == 0]
                if next(q) < 0.2 or not fits:
                    target.fill_(3)
                elif next(q) < 0.5:
                    target.mul_(pick(fits).clone())
                else:
                    target.copy_(pick(fits).clone())
            else:
                made = x * 2
                owned.append(made)
            if made.numel() <= 4096:
                pool.append(made)
        return pool[len(inputs):] if next(q) < 0.3 else pool[-2:]
    return run


def broadcasts(a, b) -> bool:
    return all(p == q or p == 1 or q == 1 for p, q in zip(reversed(a), reversed(b)))


def view(x, how: float, where: float):
    """A view of x: transposed, reshaped, sliced, expanded or selected."""
    d = int(where * x.ndim)
    n = x.shape[d]
    kind = int(how * 7)
    if kind == 0 and x.ndim > 1:
        return x.transpose(d, (d + 1) % x.ndim)
    if kind == 1:
        return x.unsqueeze(d)
    if kind == 2 and n > 1:
        return x.narrow(d, 1, n - 1)
    if kind == 3 and n > 1:
        return x[(slice(None),) * d + (slice(None, None, 2),)]
    if kind == 4 and x.is_contiguous():
        return x.view(-1)
    if kind == 5:
        return x.select(d, n - 1)
    if kind == 6 and n % 2 == 0 and x.is_contiguous():
        return x.view(*x.shape[:d], 2, n // 2, *x.shape[d + 1:])
    return x.detach()


@pytest.mark.parametrize("block", range(PROGRAMS // 20))
def test_random_programs(block):
    for seed in range(20 * block, 20 * block + 20):
        kept = []
        run = program(seed)
        with torch.no_grad():
            try:
                compiled(lambda: kept.append(run()))
            except Exception as e:
                e.add_note(f"seed {seed}")
                raise
