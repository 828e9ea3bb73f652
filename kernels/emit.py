"""The emitter: loop nests around scalar expressions.

Every eager pointwise and reduction op, every fused composite and every compiled graph goes through the
templates here, which build nests (nest.py). A kernel is `k(lo, hi, outputs, inputs, scalars, sizes and
strides)`; it is specialised on types, on the number of loops and on whether the innermost step is 0, 1 or
another number, never on sizes. The CUDA form has another loop header (kernels/cuda/template.py)."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .expr import Block, Expr, Slot, at, inline, load, stored
from .nest import LANES, Do, For, Lanes, Let, Nest, Param, Set, Statement, Store, Text, do, name

__all__ = ["BLOCK", "LANES", "TILE", "Fold", "Nest", "Operand", "Text", "limit", "pointwise",
           "reduce_chunks", "reduce_columns", "reduce_rows", "wide"]

# A row is folded in LANES accumulators side by side (element i into lane i mod LANES), which are joined as a
# tree after every BLOCK elements and added to a wide total (float32 → float64). So a float32 lane adds 64
# numbers, the error of a block stays near one rounding, the loop is vector code, and the order is written
# here, not chosen by the compiler.
BLOCK = 4096
# Columns of a strided reduction done at once: 1,024 float64 accumulators are 8 KiB, a quarter of the L1
# cache.
TILE = 1024
# Rows of a tile folded at once.
ROWS = 4
WIDE = {"float32": "float64", "float64": "float64", "complex64": "complex128", "complex128": "complex128",
        "bool": "bool", "uint64": "uint64"}


class Operand(NamedTuple):
    """One input of a kernel. `memory` is the element type in memory; `step` the innermost step: 0, 1 or -1
    for any other; a `scalar` is a Python number passed by value."""
    name: str
    memory: str
    step: int = 1
    scalar: bool = False


class Header:
    """The parameters of a kernel, in order."""

    def __init__(self, arrays: Sequence[Operand], scalars: Sequence[Operand] = ()):
        self.params = [Param("lo", "int64"), Param("hi", "int64")]
        for o in arrays:
            slot = Slot(o.name, o.memory)
            self.params.append(Param(o.name, slot.code, slot))
        for o in scalars:
            parts = ("_re", "_im") if o.memory.startswith("complex") else ("",)
            code = "float64" if o.memory.startswith(("float", "complex")) else "int64"
            self.params += [Param(o.name + part, code) for part in parts]

    def sizes(self, *names: str) -> None:
        self.params += [Param(n, "int64") for n in names]

    def outer(self, depth: int, arrays: Sequence[Operand], item: str = "r") -> list[Statement]:
        """Statements that split the item number into `depth` indices and place each array there."""
        lets, u = [], item
        for d in range(depth - 1, -1, -1):
            lets.append((f"i{d}", f"{u} % n{d}" if d else u))
            if d > 1:
                lets.append((f"u{d}", f"{u} // n{d}"))
            u = f"u{d}" if d > 1 else f"{u} // n{d}"
        self.sizes(*["o_" + o.name for o in arrays], *[f"n{d}" for d in range(1, depth)])
        for o in arrays:
            self.sizes(*[f"s{d}_{o.name}" for d in range(depth)])
            terms = [f"i{d} * s{d}_{o.name}" for d in range(depth)]
            lets.append((f"p_{o.name}", " + ".join([f"o_{o.name}", *terms])))
        return [do(Let(n, at(t))) for n, t in lets]

    def nest(self, title: str, body: Sequence[Statement], blocks: Sequence[Block],
             apart: bool = False) -> Nest:
        bound: dict[str, Any] = {}
        for b in blocks:
            bound.update(b.bound)
        title = "k_" + title.replace(".", "_")  # not the name of a builtin
        return Nest(title, self.params, body, bound, blocks[0].target, apart)


def number(block: Block, o: Operand) -> Expr:
    """A number by value: int64 or float64; a complex one as two floats."""
    if o.memory.startswith("complex"):
        return block.make("complex", "complex128",
                          (name(block, o.name + "_re", "float64"), name(block, o.name + "_im", "float64")))
    e = name(block, o.name, "float64" if o.memory.startswith("float") else "int64")
    return block.cast(e, "bool") if o.memory == "bool" else e


def index(o: Operand) -> Expr:
    """Where element i of an operand's row lies."""
    return at({0: f"p_{o.name}", 1: f"p_{o.name} + i"}.get(o.step, f"p_{o.name} + i * s_{o.name}"))


def slot(o: Operand) -> Slot:
    return Slot(o.name, o.memory)


def items(body: Sequence[Statement], free: bool = False) -> For:
    return For("r", at("lo"), at("hi"), 1, tuple(body), free)


Build = Callable[[Block, list[Expr]], Sequence[Expr]]


def pointwise(title: str, build: Build, ins: Sequence[Operand], outs: Sequence[Operand], depth: int | None,
              target: str = "cpu", apart: bool = False) -> Nest:
    """A kernel that computes `outs` from `ins` element by element.

    Arguments: arrays, numbers, offsets, then sizes and strides. `depth` None: all arrays are dense with one
    layout; items are elements. Otherwise `depth` outer loops, whose index is the item number, stand around an
    inner loop with each operand's `step`; depth 0 has only the inner loop. `apart`: no output is an input."""
    block = Block(target)
    arrays = [o for o in [*outs, *ins] if not o.scalar]
    header = Header(arrays, [o for o in ins if o.scalar])
    place = (lambda o: at("i")) if depth is None else index
    start = [] if depth is None else header.outer(depth, arrays)
    values = []
    for o in ins:
        if o.scalar:
            values.append(number(block, o))
        elif depth is not None and o.step == 0:  # the same along the row: read once, before it
            start.append(do(Let("v_" + o.name, load(block, slot(o), place(o)))))
            values.append(name(block, "v_" + o.name, slot(o).compute))
        else:
            values.append(load(block, slot(o), place(o)))
    results = build(block, values)
    puts = [Store(slot(o), place(o), stored(block, e, o.memory)) for e, o in zip(results, outs)]
    inner = (Do(tuple(puts)),)
    if depth is None:
        return header.nest(title, [For("i", at("lo"), at("hi"), 1, inner, True)], [block], apart)
    header.sizes(*["s_" + o.name for o in arrays if o.step == -1])
    if depth == 0:
        return header.nest(title, [*start, For("i", at("lo"), at("hi"), 1, inner, True)], [block], apart)
    header.sizes("n")
    return header.nest(title, [items([*start, For("i", at("0"), at("n"), 1, inner, True)])], [block], apart)


# ------------------------------------------------------------------------------------------------ reductions
class Fold(NamedTuple):
    """A reduction: `combine(acc, x)` from `init`; `finish(acc, n)` makes the result of n elements.
    `before(x)` is applied to each element first (a fused pointwise op)."""
    combine: Callable
    init: Any
    finish: Callable | None = None
    before: Callable | None = None

    def total(self, compute: str) -> str:
        """The type in which blocks of elements are joined: a wide one, except where nothing is rounded."""
        return compute if self.init in ("lowest", "highest") else wide(compute)


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


def first(block: Block, fold: Fold, compute: str, dtype: str) -> Expr:
    """The start value of a fold in `compute`, as a `dtype`."""
    return block.cast(block.const(limit(fold.init, compute)), dtype)


def combine(block: Block, fold: Fold, acc: Expr, x: Expr) -> Expr:
    assert acc.dtype is not None
    return block.cast(inline(block, fold.combine, (acc, x)), acc.dtype)


def element(block: Block, fold: Fold, x: Expr, dtype: str) -> Expr:
    """What is folded for the element `x`."""
    x = block.cast(x, dtype)
    return x if fold.before is None else block.cast(inline(block, fold.before, (x,)), dtype)


def result(block: Block, fold: Fold, acc: Expr, compute: str, count: str) -> Expr:
    """The result for the total `acc` of `count` elements."""
    dtype = acc.dtype or compute
    if fold.finish is not None:
        n = name(block, count)
        return inline(block, fold.finish, (acc, n if dtype.startswith("int") else block.cast(n, dtype)))
    return block.cast(acc, compute) if compute in ("float32", "float64") else acc


def folded(block: Block, folds: Sequence[tuple[str, Fold, str, str]], loop: Sequence[Statement], lo: str,
           hi: str) -> tuple[list[Statement], list[Statement]]:
    """(lane arrays, statements that fold elements lo … hi-1 into the totals).

    folds: (name of the lanes, fold, type computed in, name of the total); `loop` folds element i into lane
    j."""
    lanes: list[Statement] = []
    reset: list[Store] = []
    join: list[Statement] = []
    halves = [LANES >> k for k in range(1, LANES.bit_length())]
    tree: list[list[Store]] = [[] for _ in halves]
    for acc, fold, compute, total in folds:
        array, big = Slot(acc, compute), fold.total(compute)
        lane = lambda text, array=array: load(block, array, at(text))
        start = first(block, fold, compute, compute)
        lanes.append(Lanes(array, start.value))
        reset.append(Store(array, at("j"), start))
        for h, level in zip(halves, tree):
            level.append(Store(array, at("j"), combine(block, fold, lane("j"), lane(f"j + {h}"))))
        join.append(do(Set(total, combine(block, fold, name(block, total, big), block.cast(lane("0"), big)))))
    each = lambda count, *body, most=0: For("j", at("0"), at(count), 1, body, True, most)
    return lanes, [For("b", at(lo), at(hi), BLOCK, (
        do(Let("e", at(f"min(b + {BLOCK}, {hi})"))), do(Let("f", at(f"e - (e - b) % {LANES}"))),
        each(str(LANES), Do(tuple(reset))),
        For("q", at("b"), at("f"), LANES, (each(str(LANES), do(Let("i", at("q + j"))), *loop),)),
        each("e - f", do(Let("i", at("f + j"))), *loop, most=LANES),
        *[each(str(h), Do(tuple(level))) for h, level in zip(halves, tree)], *join))]


def reduce_rows(title: str, fold: Fold, x: Operand, out: Operand, compute: str, depth: int, loops: int,
                target: str = "cpu") -> Nest:
    """A reduction whose items are output elements: `depth` kept dimensions, `loops` reduced ones, the last of
    which steps by `x.step`. Blocks of BLOCK elements are folded in `compute`, their results in its wide
    type."""
    block, big = Block(target), fold.total(compute)
    header = Header([out, x])
    start = header.outer(depth, [out, x])
    header.sizes("count", *[f"m{k}" for k in range(loops)], *[f"z{k}" for k in range(loops - 1)])
    if x.step == -1:
        header.sizes("s_x")
    acc, row = Slot("acc", compute), {0: "p", 1: "p + i"}.get(x.step, "p + i * s_x")
    value = element(block, fold, load(block, slot(x), at(row)), compute)
    step = do(Store(acc, at("j"), combine(block, fold, load(block, acc, at("j")), value)))
    lanes, inner = folded(block, [("acc", fold, compute, "total")], [step], "0", f"m{loops - 1}")
    place = " + ".join([f"p_{x.name}", *[f"j{k} * z{k}" for k in range(loops - 1)]])
    nest: list[Statement] = [do(Let("p", at(place))), *inner]
    for k in range(loops - 2, -1, -1):
        nest = [For(f"j{k}", at("0"), at(f"m{k}"), 1, tuple(nest))]
    end = stored(block, result(block, fold, name(block, "total", big), compute, "count"), out.memory)
    body = [*start, do(Set("total", first(block, fold, compute, big))), *nest,
            do(Store(slot(out), at(f"p_{out.name}"), end))]
    return header.nest(title, [*lanes, items(body)], [block], True)


def reduce_chunks(title: str, fold: Fold, x: Operand, out: Operand, compute: str,
                  target: str = "cpu") -> Nest:
    """The first phase of reducing one long dense array: item c folds elements c·size … into out[c] (wide)."""
    block, big = Block(target), fold.total(compute)
    header = Header([out, x])
    header.sizes("size", "n", "o_x")
    acc = Slot("acc", compute)
    value = element(block, fold, load(block, slot(x), at("o_x + i")), compute)
    step = do(Store(acc, at("j"), combine(block, fold, load(block, acc, at("j")), value)))
    lanes, inner = folded(block, [("acc", fold, compute, "total")], [step], "r * size", "end")
    body = [do(Set("total", first(block, fold, compute, big))), do(Let("end", at("min(r * size + size, n)"))),
            *inner, do(Store(slot(out), at("r"), name(block, "total", big)))]
    return header.nest(title, [*lanes, items(body)], [block], True)


def by_rows(loop: int, several: Callable[[int], list[Statement]], rows: int = ROWS,
            var: str = "j") -> list[Statement]:
    """The innermost loop over the rows of a tile, `rows` at once, so that a total is loaded and stored once
    for several elements. several(count) folds the rows from {var}{loop} on, in order."""
    n = f"m{loop}"
    one = lambda start, stop, step: For(f"{var}{loop}", at(start), at(stop), step, tuple(several(step)))
    if rows == 1:
        return [one("0", n, 1)]
    return [one("0", f"{n} - {n} % {rows}", rows), one(f"{n} - {n} % {rows}", n, 1)]


def reduce_columns(title: str, fold: Fold, x: Operand, out: Operand, compute: str, depth: int, loops: int,
                   target: str = "cpu") -> Nest:
    """A reduction whose reduced dimensions are the slow ones: items are tiles of TILE neighbouring outputs,
    folded together in `total` (scratch, wide type, as long as the output), so memory is read in order."""
    block, big = Block(target), fold.total(compute)
    header = Header([out, x, Operand("total", big)])
    start = header.outer(depth, [out, x], "r // tiles")
    header.sizes("count", "tiles", "width", "s_out", *[f"m{k}" for k in range(loops)],
                 *[f"z{k}" for k in range(loops)])
    total = Slot("total", big)
    sum_ = load(block, total, at("a + i"))
    each = lambda effect: For("i", at("0"), at("e"), 1, (do(effect),), True)
    start_of = " + ".join([f"p_{x.name}", "t", *[f"j{k} * z{k}" for k in range(loops)]])
    last = loops - 1

    def several(count: int) -> list[Statement]:
        """Fold `count` rows of the tile, one after another."""
        acc = sum_
        for k in range(count):
            row = load(block, slot(x), at(f"p{k} + i"))
            acc = combine(block, fold, acc, element(block, fold, block.cast(row, compute), big))
        lets = [Let(f"p{k}", at(f"{start_of} + {k} * z{last}" if k else start_of)) for k in range(count)]
        return [Do(tuple(lets)), each(Store(total, at("a + i"), acc))]
    nest = by_rows(last, several)
    for k in range(last - 1, -1, -1):
        nest = [For(f"j{k}", at("0"), at(f"m{k}"), 1, tuple(nest))]
    end = stored(block, result(block, fold, sum_, compute, "count"), out.memory)
    body = [do(Let("t", at(f"r % tiles * {TILE}"))), *start, do(Let("e", at(f"min({TILE}, width - t)"))),
            do(Let("a", at("r // tiles * width + t"))),
            each(Store(total, at("a + i"), first(block, fold, compute, big))), *nest,
            each(Store(slot(out), at(f"p_{out.name} + (t + i) * s_out"), end))]
    return header.nest(title, [items(body)], [block], True)
