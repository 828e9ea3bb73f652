"""Loop nests of compiled graphs: several values folded and stored in one sweep, in the order of eager folds.

A Program is a list of Steps. Those that vary along the row (`full`) are computed in the loops, the others
once a row. `rows` makes a pass over the row for each level of folds; `columns` and `chunks` make one sweep
and fold what it computes."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .emit import (
    TILE,
    Fold,
    Header,
    Operand,
    combine,
    element,
    first,
    folded,
    items,
    number,
    result,
    slot,
    wide,
)
from .expr import Block, Expr, Slot, at, inline, load, stored
from .nest import Do, For, Let, Nest, Set, Statement, Store, do, name


class Step(NamedTuple):
    """One value or store. kind "load" (args: input number), "value" (args: steps; data: build(block, values,
    numbers)), "fold" (args: a step; data: (Fold, type computed in)), "store" (args: a step, output number).
    `level`: the pass in which it is known, of a store, in which it happens; `full`: it varies along the
    row."""
    kind: str
    args: tuple[int, ...]
    dtype: str
    level: int
    full: bool
    data: Any


class Sweep(NamedTuple):
    """The loops of one pass: their number, and per array in it (outputs first) its innermost step: 0, 1 or -1
    for any other."""
    loops: int
    steps: tuple[tuple[str, int], ...]


class _Values:
    """Values of a program in one block: those that have a name by it, the rest recomputed."""

    def __init__(self, block: Block, program: Sequence[Step], ins: Sequence[Operand],
                 scalars: Sequence[Operand], named: dict[int, str], index: Callable[[Operand], Expr]):
        self.block, self.program, self.ins, self.named, self.index = block, program, ins, named, index
        self.numbers = [number(block, o) for o in scalars]
        self.memo: dict[int, Expr] = {}

    def __call__(self, i: int) -> Expr:
        if i not in self.memo:
            s = self.program[i]
            if i in self.named:
                e = name(self.block, self.named[i], s.dtype)
            elif s.kind == "load":
                o = self.ins[s.args[0]]
                e = self.block.cast(load(self.block, slot(o), self.index(o)), s.dtype)
            else:
                e = s.data(self.block, [self(a) for a in s.args], self.numbers)
            self.memo[i] = e
        return self.memo[i]


def single(fold: Fold, compute: str) -> Callable[[Block, list[Expr]], list[Expr]]:
    """The expression of a fold of one element: builds [result] from [x]."""
    big = wide(compute)

    def build(block: Block, values: list[Expr]) -> list[Expr]:
        x = element(block, fold, values[0], compute)
        e = combine(block, fold, first(block, fold, compute, compute), x)
        e = combine(block, fold, first(block, fold, compute, big), block.cast(e, big))
        if fold.finish is not None:
            one = block.const(1, "int64" if big.startswith("int") else big)
            return [inline(block, fold.finish, (e, one))]
        return [block.cast(e, compute)]
    return build


def rows(title: str, program: Sequence[Step], ins: Sequence[Operand], scalars: Sequence[Operand],
         outs: Sequence[Operand], depth: int, sweeps: Sequence[Sweep | None], target: str = "cpu",
         apart: bool = False) -> Nest:
    """A kernel whose items are rows: each pass runs along the row, folds the reductions whose inputs are
    known and makes its stores; values of whole rows stand between the passes.

    Arguments: arrays, numbers, offsets, outer sizes and strides, `count` (elements of a row), then of each
    pass its sizes and strides."""
    arrays = [*outs, *ins]
    header = Header(arrays, scalars)
    body = header.outer(depth, arrays)
    header.sizes("count")
    for p, sweep in enumerate(sweeps):
        if sweep is not None:
            header.sizes(*[f"m{p}_{k}" for k in range(sweep.loops)])
            for array, step in sweep.steps:
                header.sizes(*[f"z{p}_{k}_{array}" for k in range(sweep.loops - 1)],
                             *[f"z{p}_{array}"] * (step == -1))
    named: dict[int, str] = {}
    blocks: list[Block] = []
    before: list[Statement] = []
    start = lambda o: at(f"p_{o.name}")

    def fresh(index: Callable[[Operand], Expr]) -> tuple[Block, _Values]:
        blocks.append(Block(target))
        return blocks[-1], _Values(blocks[-1], program, ins, scalars, named, index)

    for p, sweep in enumerate(sweeps):
        block, value = fresh(start)
        once = [i for i, s in enumerate(program)
                if s.level == p and not s.full and s.kind in ("load", "value") and i not in named]
        if once:
            body.append(Do(tuple([Let(f"v{i}", value(i)) for i in once])))
        named.update({i: f"v{i}" for i in once})
        if sweep is None:
            continue
        kinds = dict(sweep.steps)
        lead = f"w{p}_" if sweep.loops > 1 else "p_"

        def index(o: Operand, p=p, kinds=kinds, lead=lead) -> Expr:
            return at({0: f"{lead}{o.name}", 1: f"{lead}{o.name} + i"}.get(
                kinds[o.name], f"{lead}{o.name} + i * z{p}_{o.name}"))
        block, value = fresh(index)
        folds = [(i, *s.data) for i, s in enumerate(program) if s.kind == "fold" and s.level == p + 1]
        effects: list[Store] = []
        for i, fold, compute in folds:
            acc, x = Slot(f"acc{i}", compute), element(block, fold, value(program[i].args[0]), compute)
            effects.append(Store(acc, at("j"), combine(block, fold, load(block, acc, at("j")), x)))
        for s in program:
            if s.kind == "store" and s.full and s.level == p:
                o = outs[s.args[1]]
                effects.append(Store(slot(o), index(o), stored(block, value(s.args[0]), o.memory)))
        length = f"m{p}_{sweep.loops - 1}"
        nest: list[Statement]
        if folds:
            table = [(f"acc{i}", fold, compute, f"total{i}") for i, fold, compute in folds]
            made, nest = folded(block, table, [Do(tuple(effects))], "0", length)
            before += made
            for i, fold, compute in folds:
                body.append(do(Set(f"total{i}", first(block, fold, compute, wide(compute)))))
        else:
            nest = [For("i", at("0"), at(length), 1, (Do(tuple(effects)),), True)]
        if sweep.loops > 1:
            lets = [Let(f"w{p}_{array}", at(" + ".join([f"p_{array}", *[f"u{k} * z{p}_{k}_{array}"
                                                                        for k in range(sweep.loops - 1)]])))
                    for array, _ in sweep.steps]
            nest = [Do(tuple(lets)), *nest]
            for k in range(sweep.loops - 2, -1, -1):
                nest = [For(f"u{k}", at("0"), at(f"m{p}_{k}"), 1, tuple(nest))]
        body += nest
        for i, fold, compute in folds:
            end = block.cast(result(block, fold, name(block, f"total{i}", wide(compute)), compute, "count"),
                             compute)
            body.append(do(Let(f"v{i}", block.cast(end, program[i].dtype))))
            named[i] = f"v{i}"
    block, value = fresh(start)
    for s in program:
        if s.kind == "store" and not s.full:
            o = outs[s.args[1]]
            body.append(do(Store(slot(o), at(f"p_{o.name}"), stored(block, value(s.args[0]), o.memory))))
    return header.nest(title, [*before, items(body)], blocks, apart)


def columns(title: str, program: Sequence[Step], ins: Sequence[Operand], scalars: Sequence[Operand],
            outs: Sequence[Operand], totals: Sequence[Operand], results: Sequence[Operand], depth: int,
            loops: int, target: str = "cpu", apart: bool = False) -> Nest:
    """A kernel that folds the slow dimensions: items are tiles of TILE neighbouring results; the elements of
    a tile are computed row by row and folded into `totals` (scratch in the wide type, as long as the
    results), so memory is read in order.

    Arguments: arrays (outs, totals, results, ins), numbers, offsets, outer sizes and strides of all but the
    totals, `count`, `tiles`, `width`, steps along the tile, sizes and strides of the folded loops."""
    arrays = [*outs, *results, *ins]
    header = Header([*outs, *totals, *results, *ins], scalars)
    start = header.outer(depth, arrays, "r // tiles")
    header.sizes("count", "tiles", "width", *["s_" + o.name for o in arrays if o.step == -1],
                 *[f"m{k}" for k in range(loops)])
    for o in [*outs, *ins]:
        header.sizes(*[f"z{k}_{o.name}" for k in range(loops)])
    block = Block(target)
    index = lambda o: at({0: f"w_{o.name}", 1: f"w_{o.name} + t + i"}.get(
        o.step, f"w_{o.name} + (t + i) * s_{o.name}"))
    value = _Values(block, program, ins, scalars, {}, index)
    effects: list[Store] = []
    folds = [s for s in program if s.kind == "fold"]
    for s, total in zip(folds, totals):
        fold, compute = s.data
        x = element(block, fold, block.cast(value(s.args[0]), compute), wide(compute))
        where = at("a + i")
        effects.append(Store(slot(total), where, combine(block, fold, load(block, slot(total), where), x)))
    for s in program:
        if s.kind == "store":
            o = outs[s.args[1]]
            effects.append(Store(slot(o), index(o), stored(block, value(s.args[0]), o.memory)))
    each = lambda *body: For("i", at("0"), at("e"), 1, (Do(body),), True)
    row = lambda o: at(" + ".join([f"p_{o.name}", *[f"u{k} * z{k}_{o.name}" for k in range(loops)]]))
    lets = [Let(f"w_{o.name}", row(o)) for o in [*outs, *ins]]
    nest: list[Statement] = [Do(tuple(lets)), each(*effects)]
    for k in range(loops - 1, -1, -1):
        nest = [For(f"u{k}", at("0"), at(f"m{k}"), 1, tuple(nest))]
    resets, ends = [], []
    for s, total, o in zip(folds, totals, results):
        fold, compute = s.data
        resets.append(Store(slot(total), at("a + i"), first(block, fold, compute, wide(compute))))
        end = result(block, fold, load(block, slot(total), at("a + i")), compute, "count")
        place = {0: f"p_{o.name}", 1: f"p_{o.name} + t + i"}.get(o.step, f"p_{o.name} + (t + i) * s_{o.name}")
        ends.append(Store(slot(o), at(place), stored(block, end, o.memory)))
    body = [do(Let("t", at(f"r % tiles * {TILE}"))), *start, do(Let("e", at(f"min({TILE}, width - t)"))),
            do(Let("a", at("r // tiles * width + t"))), each(*resets), *nest, each(*ends)]
    return header.nest(title, [items(body)], [block], apart)


def chunks(title: str, program: Sequence[Step], ins: Sequence[Operand], scalars: Sequence[Operand],
           outs: Sequence[Operand], totals: Sequence[Operand], target: str = "cpu",
           apart: bool = False) -> Nest:
    """The first phase of folding one long row: item c computes and folds elements c·size … into totals[c].

    Arguments: arrays (outs, totals, ins), numbers, `size`, `n`, offsets and steps of all but the totals."""
    arrays = [*outs, *ins]
    header = Header([*outs, *totals, *ins], scalars)
    header.sizes("size", "n", *["p_" + o.name for o in arrays],
                 *["s_" + o.name for o in arrays if o.step == -1])
    block = Block(target)
    index = lambda o: at({0: f"p_{o.name}", 1: f"p_{o.name} + i"}.get(o.step, f"p_{o.name} + i * s_{o.name}"))
    value = _Values(block, program, ins, scalars, {}, index)
    folds = [(k, *s.data, s.args[0]) for k, s in enumerate(s for s in program if s.kind == "fold")]
    effects: list[Store] = []
    for k, fold, compute, x in folds:
        acc = Slot(f"acc{k}", compute)
        effects.append(Store(acc, at("j"), combine(block, fold, load(block, acc, at("j")),
                                                   element(block, fold, value(x), compute))))
    for s in program:
        if s.kind == "store":
            o = outs[s.args[1]]
            effects.append(Store(slot(o), index(o), stored(block, value(s.args[0]), o.memory)))
    lanes, inner = folded(block, [(f"acc{k}", fold, compute, f"total{k}") for k, fold, compute, _ in folds],
                          [Do(tuple(effects))], "r * size", "end")
    body: list[Statement] = [do(Set(f"total{k}", first(block, fold, compute, wide(compute))))
                             for k, fold, compute, _ in folds]
    body += [do(Let("end", at("min(r * size + size, n)"))), *inner]
    body += [do(Store(slot(o), at("r"), name(block, f"total{k}", wide(compute))))
             for (k, _, compute, _), o in zip(folds, totals)]
    return header.nest(title, [*lanes, items(body)], [block], apart)


__all__ = ["Fold", "Step", "Sweep", "chunks", "columns", "rows"]
