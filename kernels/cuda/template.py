"""The CUDA forms of the emitter's loop nests: the same bodies, the same arguments, other loop headers.

Every emitted CPU kernel is one loop over independent items, `for r in range(lo, hi):`. From it come

    per_item      one thread does an item: a grid-stride loop         any kernel; short rows
    per_element   one thread does an element of a row: items × n      pointwise on strided operands
    reduce_rows   a warp or a block of threads does a row             long rows: shuffles, shared memory
    reduce_tiles  32 neighbouring outputs × several warps             reduced dimensions that are slow

Sums have one fixed order for a given number of threads, so results do not change from run to run. No atomics,
no device functions: the text is complete in itself. `form` and `grid` choose a form and a launch."""
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .. import emit
from ..emit import Fold, Header, Operand
from ..expr import Block, Expr, Printer, Slot, at, load, stored
from ..nest import Nest, Set, Store, Text, do, finish, indent, lines, name

WARP = 32
# Elements that a thread folds in the compute type before they join the wide total, as emit.BLOCK on the CPU:
# the rounding error of a block of 32 stays near one unit.
RUN = 32
BLOCKS = 16                                     # the most blocks of a launch, per processor
_HEAD = re.compile(r"^(    )for (\w+) in range\(lo, hi\):$", re.M)
_ROW = re.compile(r"^(        )for i in range\(n\):$", re.M)


def per_item(text: Text | Nest) -> Text:
    """One thread per item, in a grid-stride loop."""
    text = text if isinstance(text, Text) else text.text()
    source, found = _HEAD.subn(r"\1for \2 in range(lo + cuda.grid(1), hi, cuda.gridsize(1)):", text.source)
    assert found == 1, text.source
    return text._replace(source=source)


def per_element(text: Text | Nest) -> Text:
    """One thread per element of a pointwise kernel whose items are rows of `n` elements; else per_item."""
    text = text if isinstance(text, Text) else text.text()
    head, row = _HEAD.search(text.source), _ROW.search(text.source)
    if head is None or row is None:
        return per_item(text)
    before, body = text.source[head.end():row.start()], text.source[row.end():]
    body = re.sub(r"^    ", "", body, flags=re.M)
    lines = ["    for element in range(lo * n + cuda.grid(1), hi * n, cuda.gridsize(1)):",
             f"        {head[2]} = element // n", f"        i = element - {head[2]} * n"]
    source = text.source[:head.start()] + "\n".join(lines) + before + body.lstrip("\n")
    return text._replace(source=source)


def is_per_element(text: Text) -> bool:
    """Whether the threads of `text` do elements, rows × n of them, not items."""
    return "    for element in range(" in text.source


def pointwise(title: str, build: emit.Build, ins: Sequence[Operand], outs: Sequence[Operand],
              depth: int | None) -> Text:
    """The CUDA form of emit.pointwise: same arguments."""
    return per_element(emit.pointwise(title, build, ins, outs, depth, target="cuda"))


# Between threads


class Shuffle(NamedTuple):
    """How a value of one type moves between lanes: `move` is the text of `{x}` of the lane `{far}` further;
    `memory` the type of shared memory that holds it, `put` and `get` the conversions to and from it."""
    move: str
    memory: str
    put: str = "{x}"
    get: str = "{x}"


_DOWN = "cuda.shfl_down_sync(0xFFFFFFFF, {x}, {far})"
_PAIR = f"complex({_DOWN.replace('{x}', '{x}.real')}, {_DOWN.replace('{x}', '{x}.imag')})"
SHUFFLES = {"float32": Shuffle(_DOWN, "float32"), "float64": Shuffle(_DOWN, "float64"),
            "int64": Shuffle(_DOWN, "int64"), "complex64": Shuffle(_PAIR, "complex64"),
            "complex128": Shuffle(_PAIR, "complex128"),
            "bool": Shuffle(f"({_DOWN.replace('{x}', 'int32({x})')} != 0)", "uint8", "uint8({x})",
                            "({x} != 0)")}


def _tree(steps: int, dtype: str, combine: Sequence[str], distance: str) -> list[str]:
    """Lines that fold `total` of 2^steps lanes into the first lane's: those `distance` apart, h = 0, 1, …"""
    move = SHUFFLES[dtype].move.format(x="total", far=distance)
    return [f"for h in range({steps}):", *indent([f"other = {move}", *combine])]


def block_reduce(dtype: str, combine: Sequence[str], init: str, threads: int) -> list[str]:
    """Lines that fold the variable `total` of all `threads` threads of a block into that of thread 0.

    dtype: of `total`. combine: lines that join `other` to `total`. init: the text of the neutral element.
    threads: a multiple of 32 up to 1,024. Lanes of a warp are joined by shuffles, warps through the shared
    array `partial`; 32 threads need no barrier. All threads must come here, with their `lane` and `warp`."""
    if threads % WARP or not WARP <= threads <= 1024:
        raise ValueError(f"a block reduction takes a multiple of 32 threads up to 1024, got {threads}")
    kind, warps = SHUFFLES[dtype], threads // WARP
    lines = _tree(5, dtype, combine, "16 >> h")
    if warps == 1:
        return lines
    steps = (warps - 1).bit_length()
    return [*lines, "if lane == 0:", f"    partial[warp] = {kind.put.format(x='total')}",
            "cuda.syncthreads()", "if warp == 0:", f"    total = {init}", f"    if lane < {warps}:",
            f"        total = {kind.get.format(x='partial[lane]')}",
            *indent(_tree(steps, dtype, combine, f"{1 << (steps - 1)} >> h")),
            "cuda.syncthreads()"]


# Reductions


class _Fold:
    """The pieces of text of a reduction, those of emit.reduce_rows for one thread's share of a row."""

    def __init__(self, fold: Fold, x: Operand, out: Operand, compute: str, depth: int, loops: int):
        self.fold, self.block, self.big = fold, Block("cuda"), fold.total(compute)
        self.loops, self.printer, self.header = loops, Printer("cuda"), Header([out, x])
        block, outer = self.block, self.header.outer(depth, [out, x])
        self.place_row = lines(self.printer, outer)
        self.header.sizes("count", *[f"m{k}" for k in range(loops)], *[f"z{k}" for k in range(loops - 1)])
        if x.step == -1:
            self.header.sizes("s_x")
        value = emit.element(block, fold, load(block, emit.slot(x), at("p")), compute)
        acc = name(block, "acc", compute)
        self.step = self._set("acc", emit.combine(block, fold, acc, value))
        self.join = self._joined(block.cast(acc, self.big))
        self.meet = self._joined(name(block, "other", self.big))
        end = emit.result(block, fold, name(block, "total", self.big), compute, "count")
        self.store = lines(self.printer, [do(Store(Slot(out.name, out.memory), at(f"p_{out.name}"),
                                                   stored(block, end, out.memory)))])
        start = emit.limit(fold.init, compute)
        self.first = self.printer.typed(start, compute)
        self.zero = self.printer.typed(start, self.big)
        self.total = " * ".join(f"m{k}" for k in range(loops))
        inner = {0: [], 1: [f"j{loops - 1}"]}.get(x.step, [f"j{loops - 1} * s_x"])
        self.place = " + ".join([f"p_{x.name}", *[f"j{k} * z{k}" for k in range(loops - 1)], *inner])

    def _set(self, variable: str, value: Expr) -> list[str]:
        return lines(self.printer, [do(Set(variable, value))])

    def _joined(self, other: Expr) -> list[str]:
        total = name(self.block, "total", self.big)
        return self._set("total", emit.combine(self.block, self.fold, total, other))

    def share(self, first: str, threads: int) -> list[str]:
        """Lines that fold elements `first`, `first` + threads, … of the row into `total`, RUN at a time."""
        indices = [f"j{self.loops - 1} = i"]
        if self.loops > 1:
            indices = ["q = i"]
            for k in range(self.loops - 1, 0, -1):
                indices += [f"j{k} = q % m{k}", f"q = q // m{k}"]
            indices.append("j0 = q")
        run = [f"acc = {self.first}", f"for i in range(b, min(b + {RUN * threads}, length), {threads}):",
               *indent([*indices, f"p = {self.place}", *self.step]), *self.join]
        return [f"total = {self.zero}", f"for b in range({first}, length, {RUN * threads}):", *indent(run)]

    def text(self, title: str, code: list[str]) -> Text:
        params = [(p.name, p.code) for p in self.header.params]
        return finish("k_" + title.replace(".", "_"), self.printer, params, code, self.block.bound)


_PLACE = (f"lane = cuda.threadIdx.x % {WARP}", f"warp = cuda.threadIdx.x // {WARP}")


def _shared(dtype: str, count: int) -> str:
    return f"partial = cuda.shared.array({count}, {SHUFFLES[dtype].memory})"


def reduce_rows(title: str, fold: Fold, x: Operand, out: Operand, compute: str, depth: int, loops: int,
                threads: int = 256) -> Text:
    """Text of a reduction in which `threads` threads share a row; arguments are those of emit.reduce_rows.

    threads == 32: a warp per row, as many rows at once as the block has warps, no barrier. Otherwise launch
    blocks of exactly `threads`, one row each."""
    part = _Fold(fold, x, out, compute, depth, loops)
    setup = [f"length = {part.total}", *_PLACE]
    if threads == WARP:
        setup.append(f"warps = cuda.blockDim.x // {WARP}")
        rows, mine = "lo + cuda.blockIdx.x * warps + warp, hi, cuda.gridDim.x * warps", "lane"
    else:
        setup.append(_shared(part.big, threads // WARP))
        rows, mine = "lo + cuda.blockIdx.x, hi, cuda.gridDim.x", "cuda.threadIdx.x"
    body = [*part.place_row, *part.share(mine, threads),
            *block_reduce(part.big, part.meet, part.zero, threads),
            f"if {mine} == 0:", *indent([*part.store])]
    return part.text(title, [*setup, f"for r in range({rows}):", *indent(body)])


def reduce_tiles(title: str, fold: Fold, x: Operand, out: Operand, compute: str, depth: int, loops: int,
                 warps: int = 8) -> Text:
    """Text of a reduction over slow dimensions: a block does 32 neighbouring outputs, their elements shared
    by its warps. Launch blocks of exactly 32 · `warps` threads; arguments are those of emit.reduce_rows."""
    part = _Fold(fold, x, out, compute, depth, loops)
    kind = SHUFFLES[part.big]
    setup = [f"length = {part.total}", *_PLACE, _shared(part.big, WARP * warps)]
    share = [f"total = {part.zero}", "if r < hi:",
             *indent([*part.place_row, *part.share("warp", warps)]),
             f"partial[warp * {WARP} + lane] = {kind.put.format(x='total')}", "cuda.syncthreads()",
             "if warp == 0 and r < hi:",
             *indent([f"for w in range(1, {warps}):",
                            f"    other = {kind.get.format(x=f'partial[w * {WARP} + lane]')}",
                            *indent(part.meet), *part.place_row, *part.store]),
             "cuda.syncthreads()"]
    code = [*setup, f"for c in range(lo + cuda.blockIdx.x * {WARP}, hi, cuda.gridDim.x * {WARP}):",
            *indent(["r = c + lane", *share])]
    return part.text(title, code)


def form(rows: int, length: int, across: bool, block: int = 256) -> tuple[Callable[..., Text], int]:
    """(reduce_rows, its `threads`) or (reduce_tiles, its `warps`) for `rows` results of `length` elements.

    across: neighbouring results are neighbours in memory (the reduced dimensions are the slow ones). block:
    threads of a block that does one row."""
    if across and rows >= WARP:
        return reduce_tiles, 1 if length <= 4 else max(block // WARP, 1)
    return reduce_rows, WARP if length <= 1024 else block


def grid(work: int, at_once: int, processors: int) -> int:
    """How many blocks do `work` pieces of work, `at_once` each: at least one, at most BLOCKS a processor."""
    return min(max(-(-work // at_once), 1), BLOCKS * processors)
