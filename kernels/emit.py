"""The emitter: loop nests around scalar expressions, as Python text.

Every eager pointwise and reduction op, every fused composite and every compiled graph goes through the
templates here. A kernel is `k(lo, hi, outputs, inputs, scalars, sizes and strides)`; it is specialised on
types, on the number of loops and on whether the innermost step is 0, 1 or another number, never on sizes. The
CUDA form is the same text with a grid-stride loop header (kernels/cuda/template.py)."""
from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import jit
from .expr import MEMORY, Block, Expr, Printer, inline, load, stored

# A row is folded in LANES accumulators side by side (element i into lane i mod LANES), which are joined as a
# tree after every BLOCK elements and added to a wide total (float32 → float64). So a float32 lane adds 32
# numbers, the error of a block stays near one rounding, the loop is vector code, and the order is written
# here, not chosen by the compiler.
LANES = 128
BLOCK = 4096
# Columns of a strided reduction done at once: 1,024 float64 accumulators are 8 KiB, a quarter of the L1
# cache.
TILE = 1024
WIDE = {"float32": "float64", "float64": "float64", "complex64": "complex128", "complex128": "complex128",
        "bool": "bool"}


class Text(NamedTuple):
    """A kernel as text: its name, source and argument types, and the scalar functions it calls."""
    name: str
    source: str
    signature: tuple[str, ...]
    bound: dict[str, Any]

    def function(self) -> Callable:
        """The kernel as a Python function."""
        space: dict[str, Any] = {"math": math, "cmath": cmath, **self.bound}
        for t in ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
                  "uint64", "complex64", "complex128"):
            space[t] = getattr(np, t)
        for f in ("bits", "from_bits", "fma", "rint", "floor", "ceil", "trunc", "fmod", "lanes", "bf16_load",
                  "bf16_store", "f16_load", "f16_store"):
            space[f] = getattr(jit, f)
        exec(compile(self.source, f"<kernel {self.name}>", "exec"), space)
        return space[self.name]

    def native(self) -> jit.Native:
        if jit.DEBUG >= 4:
            import sys
            print(f"# {self.signature}\n{self.source}", file=sys.stderr)
        return jit.compile(self.function(), self.signature)


class Operand(NamedTuple):
    """One input of a kernel. `memory` is the element type in memory; `step` the innermost step: 0, 1 or -1
    for any other; a `scalar` is a Python number passed by value."""
    name: str
    memory: str
    step: int = 1
    scalar: bool = False


def _slot(memory: str) -> str:
    return "*" + {"bool": "uint8"}.get(memory, MEMORY[memory][0] if memory in MEMORY else memory)


def _scalar(block: Block, o: Operand, params: list[str], signature: list[str]) -> Expr:
    """A number by value: int64 or float64; a complex one as two floats."""
    if o.memory.startswith("complex"):
        params += [o.name + "_re", o.name + "_im"]
        signature += ["float64", "float64"]
        return block.make("name", "complex128", (), f"complex({o.name}_re, {o.name}_im)")
    code = "float64" if o.memory.startswith("float") else "int64"
    params.append(o.name)
    signature.append(code)
    e = block.make("name", code, (), o.name)
    return block.cast(e, "bool") if o.memory == "bool" else e


Build = Callable[[Block, list[Expr]], Sequence[Expr]]


def pointwise(name: str, build: Build, ins: Sequence[Operand], outs: Sequence[Operand], depth: int | None,
              target: str = "cpu") -> Text:
    """Text of a kernel that computes `outs` from `ins` element by element.

    Arguments: arrays, numbers, offsets, then sizes and strides. `depth` None: all arrays are dense with one
    layout; items are elements. Otherwise `depth` outer loops, whose index is the item number, stand around an
    inner loop with each operand's `step`; depth 0 has only the inner loop."""
    block = Block(target)
    params, signature = ["lo", "hi"], ["int64", "int64"]
    arrays = [o for o in [*outs, *ins] if not o.scalar]
    for o in arrays:
        params.append(o.name)
        signature.append(_slot(o.memory))
    numbers = {o.name: _scalar(block, o, params, signature) for o in ins if o.scalar}

    def index(o: Operand) -> str:
        if depth is None:
            return "i"
        return {0: f"p_{o.name}", 1: f"p_{o.name} + i"}.get(o.step, f"p_{o.name} + i * s_{o.name}")

    values = [numbers[o.name] if o.scalar else load(block, o.name, o.memory, index(o)) for o in ins]
    roots = [stored(block, e, o.memory) for e, o in zip(build(block, values), outs)]
    printer = Printer(block)
    lines, texts = printer.statements([r for r, _ in roots])
    body = lines + [f"{o.name}[{index(o)}] = {wrap}({t})" if wrap else f"{o.name}[{index(o)}] = {t}"
                    for o, t, (_, wrap) in zip(outs, texts, roots)]
    if depth is None:
        code = ["for i in range(lo, hi):", *_indent(body)]
    else:
        head, start = _outer(depth, arrays, params)
        for o in arrays:
            if o.step == -1:
                params.append("s_" + o.name)
        if depth == 0:
            code = [*start, "for i in range(lo, hi):", *_indent(body)]
        else:
            params.append("n")
            code = ["for r in range(lo, "
                    "hi):", *_indent(head + start + ["for i in range(n):", *_indent(body)])]
    return _finish(name, printer, params, signature, code, block)


def _outer(depth: int, arrays: Sequence[Operand], params: list[str],
           item: str = "r") -> tuple[list[str], list[str]]:
    """(lines that split the item number into `depth` indices, lines that place each array there)."""
    head: list[str] = []
    if depth == 1:
        head = [f"i0 = {item}"]
    elif depth > 1:
        head = [f"q = {item}"]
        for d in range(depth - 1, 0, -1):
            head += [f"i{d} = q % n{d}", f"q = q // n{d}"]
        head.append("i0 = q")
    params += ["o_" + o.name for o in arrays] + [f"n{d}" for d in range(1, depth)]
    start = []
    for o in arrays:
        terms = [f"i{d} * s{d}_{o.name}" for d in range(depth)]
        params += [f"s{d}_{o.name}" for d in range(depth)]
        start.append(f"p_{o.name} = " + " + ".join([f"o_{o.name}", *terms]))
    return head, start


def _finish(name, printer, params, signature, code, block) -> Text:
    name = "k_" + name.replace(".", "_")  # not the name of a builtin
    signature = signature + ["int64"] * (len(params) - len(signature))
    source = "\n".join([*printer.header(), f"def {name}({', '.join(params)}):", *_indent(code)]) + "\n"
    return Text(name, source, tuple(signature), dict(block.bound))


def _indent(lines: Sequence[str], by: int = 4) -> list[str]:
    return [" " * by + line for line in lines]


class Fold(NamedTuple):
    """A reduction: `combine(acc, x)` from `init`; `finish(acc, n)` makes the result of n elements.
    `before(x)` is applied to each element first (a fused pointwise op)."""
    combine: Callable
    init: Any
    finish: Callable | None = None
    before: Callable | None = None


def wide(dtype: str) -> str:
    """The type in which blocks are added up."""
    return WIDE.get(dtype, "int64")


def limit(init, dtype: str):
    """The start value: "lowest" and "highest" are the type's ends, the infinities for floats."""
    if init not in ("lowest", "highest"):
        return init
    if dtype.startswith("float"):
        return -math.inf if init == "lowest" else math.inf
    if dtype == "bool":
        return init == "highest"
    info = np.iinfo(dtype)
    return int(info.min if init == "lowest" else info.max)


def _combine(block: Block, fold: Fold, acc: str, x: Expr, dtype: str) -> Expr:
    return block.cast(inline(block, fold.combine, (block.make("name", dtype, (), acc), x)), dtype)


def _result(block: Block, fold: Fold, acc: str, dtype: str, compute: str, memory: str,
            count: str) -> tuple[Expr, str]:
    e = block.make("name", dtype, (), acc)
    if fold.finish is not None:
        n = block.make("name", "int64", (), count)
        e = inline(block, fold.finish, (e, n if dtype.startswith("int") else block.cast(n, dtype)))
    elif compute in ("float32", "float64"):
        e = block.cast(e, compute)
    return stored(block, e, memory)


def reduce_rows(name: str, fold: Fold, x: Operand, out: Operand, compute: str, depth: int, loops: int,
                target: str = "cpu") -> Text:
    """Text of a reduction whose items are output elements: `depth` kept dimensions, `loops` reduced ones, the
    last of which steps by `x.step`. Blocks of BLOCK elements are folded in `compute`, their results in its
    wide type."""
    block, big = Block(target), wide(compute)
    params, signature = ["lo", "hi", out.name, x.name], ["int64", "int64", _slot(out.memory), _slot(x.memory)]
    printer = Printer(block)
    head, start = _outer(depth, [out, x], params)
    params += ["count"] + [f"m{k}" for k in range(loops)] + [f"z{k}" for k in range(loops - 1)]
    if x.step == -1:
        params.append("s_x")
    index = {0: "p", 1: "p + i"}.get(x.step, "p + i * s_x")
    value = block.cast(load(block, x.name, x.memory, index), compute)
    if fold.before is not None:
        value = block.cast(inline(block, fold.before, (value,)), compute)
    lines, (step,) = printer.statements([_combine(block, fold, _lane("acc", compute), value, compute)])
    make, inner = _folded(printer, {"acc": (fold, compute, "total")}, [*lines, f"acc[i - q] = {step}"], "0",
                          f"m{loops - 1}")
    place = " + ".join([f"p_{x.name}", *[f"j{k} * z{k}" for k in range(loops - 1)]])
    nest = [f"p = {place}", *inner]
    for k in range(loops - 2, -1, -1):
        nest = [f"for j{k} in range(m{k}):", *_indent(nest)]
    end, wrap = _result(block, fold, "total", big, compute, out.memory, "count")
    tail, (text,) = printer.statements([end])
    store = f"{out.name}[p_{out.name}] = " + (f"{wrap}({text})" if wrap else text)
    code = [*make, "for r in range(lo, hi):",
            *_indent([*head, *start, f"total = {_start(printer, fold, big)}", *nest, *tail, store])]
    return _finish(name, printer, params, signature, code, block)


def _start(printer: Printer, fold: Fold, dtype: str) -> str:
    """The start value as text of that type."""
    return _typed(printer.constant(limit(fold.init, dtype), dtype), dtype)


def _lane(acc: str, compute: str, index: str = "i - q") -> str:
    """Text that reads a lane (bools lie in bytes)."""
    return f"({acc}[{index}] != 0)" if compute == "bool" else f"{acc}[{index}]"


def _folded(printer: Printer, folds: dict[str, tuple[Fold, str, str]], loop: Sequence[str], lo: str, hi: str
            ) -> tuple[list[str], list[str]]:
    """(lines before the row loop, lines that fold elements lo … hi-1 into the totals).

    folds: accumulator name → (fold, type computed in, name of its total); `loop` folds element i into lane i
    - q."""
    make, reset, tree, join = [], [], [], []
    for acc, (fold, compute, total) in folds.items():
        block, big = Block(printer.block.target), wide(compute)
        first = _start(printer, fold, compute)
        make.append(f"{acc} = lanes({first})")
        reset.append(f"{acc}[j] = {first}")
        lines, (text,) = printer.statements([_combine(block, fold, _lane(acc, compute, "j"), block.make(
            "name", compute, (), _lane(acc, compute, "j + h")), compute)])
        tree += [*lines, f"{acc}[j] = {text}"]
        lines, (text,) = printer.statements([_combine(block, fold, total, block.cast(
            block.make("name", compute, (), _lane(acc, compute, "0")), big), big)])
        join += [*lines, f"{total} = {text}"]
    return make, [f"for b in range({lo}, {hi}, {BLOCK}):", *_indent([
        f"e = min(b + {BLOCK}, {hi})", f"for j in range({LANES}):", *_indent(reset),
        "for q in range(b, e, "
        f"{LANES}):", *_indent([f"for i in range(q, min(q + {LANES}, e)):", *_indent(loop)]),
        "h = "
        f"{LANES}", "while h > 1:", *_indent(["h = h // 2", "for j in range(h):", *_indent(tree)]), *join])]


def _typed(text: str, dtype: str) -> str:
    """A start value that numba types as `dtype`."""
    return text if text.startswith("c") or dtype == "bool" else f"{dtype}({text})"


def reduce_chunks(name: str, fold: Fold, x: Operand, out: Operand, compute: str, target: str = "cpu") -> Text:
    """Text of the first phase of reducing one long dense array: item c folds elements c·size … into out[c]
    (wide)."""
    block, big = Block(target), wide(compute)
    printer = Printer(block)
    params = ["lo", "hi", out.name, x.name, "size", "n", "o_x"]
    signature = ["int64", "int64", _slot(out.memory), _slot(x.memory)]
    value = block.cast(load(block, x.name, x.memory, "o_x + i"), compute)
    if fold.before is not None:
        value = block.cast(inline(block, fold.before, (value,)), compute)
    lines, (step,) = printer.statements([_combine(block, fold, _lane("acc", compute), value, compute)])
    make, inner = _folded(printer, {"acc": (fold, compute, "total")}, [*lines, f"acc[i - q] = {step}"],
                          "r * size", "end")
    code = [*make, "for r in range(lo, hi):", *_indent([f"total = {_start(printer, fold, big)}",
                                                        "end = min(r * "
                                                        "size + size, n)", *inner, f"{out.name}[r] = total"])]
    return _finish(name, printer, params, signature, code, block)


def reduce_columns(name: str, fold: Fold, x: Operand, out: Operand, compute: str, depth: int, loops: int,
                   target: str = "cpu") -> Text:
    """Text of a reduction whose reduced dimensions are the slow ones: items are tiles of TILE neighbouring
    outputs, folded together in `total` (scratch, wide type, as long as the output), so memory is read in
    order."""
    block, big = Block(target), wide(compute)
    params = ["lo", "hi", out.name, x.name, "total"]
    signature = ["int64", "int64", _slot(out.memory), _slot(x.memory), _slot(big)]
    printer = Printer(block)
    head, start = _outer(depth, [out, x], params, "r // tiles")
    params += ["count", "tiles", "width", "s_out"]
    params += [f"m{k}" for k in range(loops)] + [f"z{k}" for k in range(loops)]
    value = block.cast(block.cast(load(block, x.name, x.memory, "p + i"), compute), big)
    if fold.before is not None:
        value = block.cast(inline(block, fold.before, (value,)), big)
    lines, (step,) = printer.statements([_combine(block, fold, "total[a + i]", value, big)])
    nest = ["p = " + " + ".join([f"p_{x.name}", "t", *[f"j{k} * z{k}" for k in range(loops)]]),
            "for i in range(e):", *_indent([*lines, f"total[a + i] = {step}"])]
    for k in range(loops - 1, -1, -1):
        nest = [f"for j{k} in range(m{k}):", *_indent(nest)]
    end, wrap = _result(block, fold, "total[a + i]", big, compute, out.memory, "count")
    tail, (text,) = printer.statements([end])
    first = _typed(printer.constant(limit(fold.init, compute), big), big)
    put = f"{out.name}[p_{out.name} + (t + i) * s_out] = " + (f"{wrap}({text})" if wrap else text)
    code = ["for r in range(lo, hi):",
            *_indent([f"t = (r % tiles) * {TILE}", *head, *start, f"e = min({TILE}, width - t)",
                      "a = (r // tiles) * "
                      "width + t", "for i in range(e):", *_indent([f"total[a + i] = {first}"]),
                      *nest, "for i in range(e):", *_indent([*tail, put])])]
    return _finish(name, printer, params, signature, code, block)


# ---------------------------------------------------------------------------------------------- fused rows
class Step(NamedTuple):
    """One step of a fused row kernel. kind "load" (args: input number), "value" (args: steps; data:
    build(block, values, numbers)), "fold" (data: (Fold, type computed in)), "store". `level`: the pass after
    which the value is known; `full`: it varies along the row."""
    kind: str
    args: tuple[int, ...]
    dtype: str
    level: int
    full: bool
    data: Any


def row_passes(name: str, program: Sequence[Step], ins: Sequence[Operand], scalars: Sequence[Operand],
               outs: Sequence[Operand], depth: int, target: str = "cpu") -> Text:
    """Text of a kernel whose items are rows: each pass runs along the row, folds the reductions whose inputs
    are known and stores the outputs that are; values of whole rows stand between the passes."""
    params, signature = ["lo", "hi"], ["int64", "int64"]
    arrays = [*outs, *ins]
    for o in arrays:
        params.append(o.name)
        signature.append(_slot(o.memory))
    probe = Block(target)
    numbers = [_scalar(probe, o, params, signature) for o in scalars]
    head, start = _outer(depth, arrays, params)
    params += ["s_" + o.name for o in arrays if o.step == -1] + ["n"]
    index = lambda o: {0: f"p_{o.name}", 1: f"p_{o.name} + i"}.get(o.step, f"p_{o.name} + i * s_{o.name}")
    last = max(s.level for s in program)
    printer = Printer(Block(target))
    body: list[str] = [*head, *start]
    named: dict[int, str] = {}
    bound: dict[str, Any] = {}
    before: list[str] = []
    stores = [s for s in program if s.kind == "store"]

    def values(block: Block):
        """How a step's value is expressed in a block: row values that are known by name, the rest
        recomputed."""
        memo: dict[int, Expr] = {}
        known = [block.make(e.op, e.dtype, tuple(block.make(a.op, a.dtype, (), a.value) for a in e.args),
                            e.value)
                 for e in numbers]

        def value(i: int) -> Expr:
            if i not in memo:
                s = program[i]
                if i in named:
                    memo[i] = block.make("name", s.dtype, (), named[i])
                elif s.kind == "load":
                    o = ins[s.args[0]]
                    memo[i] = block.cast(load(block, o.name, o.memory, index(o)), s.dtype)
                else:
                    memo[i] = s.data(block, [value(a) for a in s.args], known)
            return memo[i]
        return value

    def emitted(roots: Sequence[Expr], block: Block) -> tuple[list[str], list[str]]:
        printer.block = block
        bound.update(block.bound)
        return printer.statements(roots)

    for level in range(last + 1):
        block = Block(target)
        value = values(block)
        rows = [i for i, s in enumerate(program)
                if s.level == level and not s.full and s.kind in ("load", "value")]
        lines, texts = emitted([value(i) for i in rows], block)
        body += lines + [f"v{i} = {t}" for i, t in zip(rows, texts)]
        named.update({i: f"v{i}" for i in rows})
        block = Block(target)
        value = values(block)
        folds = [i for i, s in enumerate(program) if s.kind == "fold" and s.level == level + 1]
        puts = [(k, s) for k, s in enumerate(stores) if s.full and s.level == level]
        roots, wraps = [], []
        for i in folds:
            fold, compute = program[i].data
            x = block.cast(value(program[i].args[0]), compute)
            if fold.before is not None:
                x = block.cast(inline(block, fold.before, (x,)), compute)
            roots.append(_combine(block, fold, _lane(f"acc{i}", compute), x, compute))
        for k, s in puts:
            root, wrap = stored(block, value(s.args[0]), outs[k].memory)
            roots.append(root)
            wraps.append(wrap)
        if roots:
            lines, texts = emitted(roots, block)
            loop = [*lines, *[f"acc{i}[i - q] = {t}" for i, t in zip(folds, texts)],
                    *[f"{outs[k].name}[{index(outs[k])}] = " + (f"{w}({t})" if w else t)
                      for (k, _), w, t in zip(puts, wraps, texts[len(folds):])]]
            if folds:
                table = {f"acc{i}": (*program[i].data, f"total{i}") for i in folds}
                made, nest = _folded(printer, table, loop, "0", "n")
                before += made
                body += [*[f"total{i} = {_start(printer, program[i].data[0], wide(program[i].data[1]))}"
                           for i in folds], *nest]
            else:
                body += ["for i in range(n):", *_indent(loop)]
        for i in folds:
            fold, compute = program[i].data
            block = Block(target)
            big = wide(compute)
            end, _ = _result(block, fold, f"total{i}", big, compute, compute, "n")
            lines, (text,) = emitted([block.cast(end, program[i].dtype)], block)
            body += [*lines, f"v{i} = {text}"]
            named[i] = f"v{i}"
    block = Block(target)
    value = values(block)
    for k, s in enumerate(stores):
        if not s.full:
            root, wrap = stored(block, value(s.args[0]), outs[k].memory)
            lines, (t,) = emitted([root], block)
            body += [*lines, f"{outs[k].name}[p_{outs[k].name}] = " + (f"{wrap}({t})" if wrap else t)]
    probe.bound = bound
    return _finish(name, printer, params, signature, [*before, "for r in range(lo, "
                                                               "hi):", *_indent(body)], probe)
