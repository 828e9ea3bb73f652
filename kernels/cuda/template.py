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
from ..emit import Fold, Operand, Text
from ..expr import Block, Expr, Printer, load

WARP = 32
# Elements that a thread folds in the compute type before they join the wide total, as emit.BLOCK on the CPU:
# the rounding error of a block of 32 stays near one unit.
RUN = 32
BLOCKS = 16                                     # the most blocks of a launch, per processor
_HEAD = re.compile(r"^(    )for (\w+) in range\(lo, hi\):$", re.M)
_ROW = re.compile(r"^(        )for i in range\(n\):$", re.M)


def per_item(text: Text) -> Text:
    """One thread per item, in a grid-stride loop."""
    source, found = _HEAD.subn(r"\1for \2 in range(lo + cuda.grid(1), hi, cuda.gridsize(1)):", text.source)
    assert found == 1, text.source
    return text._replace(source=source)


def per_element(text: Text) -> Text:
    """One thread per element of a pointwise kernel whose items are rows of `n` elements; else per_item."""
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


def pointwise(name: str, build: emit.Build, ins: Sequence[Operand], outs: Sequence[Operand],
              depth: int | None) -> Text:
    """The CUDA form of emit.pointwise: same arguments."""
    return per_element(emit.pointwise(name, build, ins, outs, depth, target="cuda"))


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
    return [f"for h in range({steps}):", *emit._indent([f"other = {move}", *combine])]


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
            *emit._indent(_tree(steps, dtype, combine, f"{1 << (steps - 1)} >> h")),
            "cuda.syncthreads()"]


# Reductions


class _Fold:
    """The pieces of text of a reduction, those of emit.reduce_rows for one thread's share of a row."""

    def __init__(self, fold: Fold, x: Operand, out: Operand, compute: str, depth: int, loops: int):
        self.block, self.big = Block("cuda"), emit.wide(compute)
        self.signature = ["int64", "int64", emit._slot(out.memory), emit._slot(x.memory)]
        self.params, self.compute, self.loops = ["lo", "hi", out.name, x.name], compute, loops
        self.printer = printer = Printer(self.block)
        self.head, self.start = emit._outer(depth, [out, x], self.params)
        self.params += ["count"] + [f"m{k}" for k in range(loops)] + [f"z{k}" for k in range(loops - 1)]
        if x.step == -1:
            self.params.append("s_x")
        value = self.block.cast(load(self.block, x.name, x.memory, "p"), compute)
        if fold.before is not None:
            value = self.block.cast(emit.inline(self.block, fold.before, (value,)), compute)
        step = emit._combine(self.block, fold, "acc", value, compute)
        lines, (text,) = printer.statements([step])
        self.step = [*lines, f"acc = {text}"]
        self.join = self._joined(fold, self.block.cast(self.name("acc", compute), self.big))
        self.meet = self._joined(fold, self.name("other", self.big))
        end, wrap = emit._result(self.block, fold, "total", self.big, compute, out.memory, "count")
        self.tail, (text,) = printer.statements([end])
        self.store = f"{out.name}[p_{out.name}] = " + (f"{wrap}({text})" if wrap else text)
        start = emit.limit(fold.init, compute)
        self.first = emit._typed(printer.constant(start, compute), compute)
        self.zero = emit._typed(printer.constant(start, self.big), self.big)
        self.total = " * ".join(f"m{k}" for k in range(loops))
        inner = {0: [], 1: [f"j{loops - 1}"]}.get(x.step, [f"j{loops - 1} * s_x"])
        self.place = " + ".join([f"p_{x.name}", *[f"j{k} * z{k}" for k in range(loops - 1)], *inner])

    def name(self, name: str, dtype: str) -> Expr:
        return self.block.make("name", dtype, (), name)

    def _joined(self, fold: Fold, other: Expr) -> list[str]:
        joined = emit._combine(self.block, fold, "total", other, self.big)
        lines, (text,) = self.printer.statements([joined])
        return [*lines, f"total = {text}"]

    def share(self, first: str, threads: int) -> list[str]:
        """Lines that fold elements `first`, `first` + threads, … of the row into `total`, RUN at a time."""
        indices = [f"j{self.loops - 1} = i"]
        if self.loops > 1:
            indices = ["q = i"]
            for k in range(self.loops - 1, 0, -1):
                indices += [f"j{k} = q % m{k}", f"q = q // m{k}"]
            indices.append("j0 = q")
        run = [f"acc = {self.first}", f"for i in range(b, min(b + {RUN * threads}, length), {threads}):",
               *emit._indent([*indices, f"p = {self.place}", *self.step]), *self.join]
        return [f"total = {self.zero}", f"for b in range({first}, length, {RUN * threads}):",
                *emit._indent(run)]

    def text(self, name: str, code: list[str]) -> Text:
        return emit._finish(name, self.printer, self.params, self.signature, code, self.block)


_PLACE = (f"lane = cuda.threadIdx.x % {WARP}", f"warp = cuda.threadIdx.x // {WARP}")


def _shared(dtype: str, count: int) -> str:
    return f"partial = cuda.shared.array({count}, {SHUFFLES[dtype].memory})"


def reduce_rows(name: str, fold: Fold, x: Operand, out: Operand, compute: str, depth: int, loops: int,
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
    body = [*part.head, *part.start, *part.share(mine, threads),
            *block_reduce(part.big, part.meet, part.zero, threads),
            f"if {mine} == 0:", *emit._indent([*part.tail, part.store])]
    return part.text(name, [*setup, f"for r in range({rows}):", *emit._indent(body)])


def reduce_tiles(name: str, fold: Fold, x: Operand, out: Operand, compute: str, depth: int, loops: int,
                 warps: int = 8) -> Text:
    """Text of a reduction over slow dimensions: a block does 32 neighbouring outputs, their elements shared
    by its warps. Launch blocks of exactly 32 · `warps` threads; arguments are those of emit.reduce_rows."""
    part = _Fold(fold, x, out, compute, depth, loops)
    kind = SHUFFLES[part.big]
    setup = [f"length = {part.total}", *_PLACE, _shared(part.big, WARP * warps)]
    share = [f"total = {part.zero}", "if r < hi:",
             *emit._indent([*part.head, *part.start, *part.share("warp", warps)]),
             f"partial[warp * {WARP} + lane] = {kind.put.format(x='total')}", "cuda.syncthreads()",
             "if warp == 0 and r < hi:",
             *emit._indent([f"for w in range(1, {warps}):",
                            f"    other = {kind.get.format(x=f'partial[w * {WARP} + lane]')}",
                            *emit._indent(part.meet), *part.head, *part.start, *part.tail, part.store]),
             "cuda.syncthreads()"]
    code = [*setup, f"for c in range(lo + cuda.blockIdx.x * {WARP}, hi, cuda.gridDim.x * {WARP}):",
            *emit._indent(["r = c + lane", *share])]
    return part.text(name, code)


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
