"""Loop nests of compiled graphs: several values folded and stored in one sweep, in the order of eager folds.

A Program is a list of Steps. Those that vary along the row (`full`) are computed in the loops, the others
once a row. `rows` makes a pass over the row for each level of folds; `columns` and `chunks` make one sweep
and fold what it computes."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .emit import (
    ROWS,
    TILE,
    Fold,
    Header,
    Operand,
    by_rows,
    combine,
    element,
    first,
    folded,
    items,
    number,
    result,
    slot,
)
from .expr import Block, Expr, Slot, at, inline, load, stored
from .nest import Do, For, Let, Nest, Set, Statement, Store, do, name

# A program of so few steps is printed for several rows of a tile at once.
SHORT = 8
# A value of so many operations (an exponential has 25) costs more than to store and load it.
COSTLY = 12


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
                 scalars: Sequence[Operand], named: dict[int, str], index: Callable[[Operand], Expr],
                 kept: dict[int, Operand] | None = None):
        self.block, self.program, self.ins, self.named, self.index = block, program, ins, named, index
        self.kept = kept or {}
        self.numbers = [number(block, o) for o in scalars]
        self.memo: dict[int, Expr] = {}

    def __call__(self, i: int) -> Expr:
        if i not in self.memo:
            s = self.program[i]
            if i in self.named:
                e = name(self.block, self.named[i], s.dtype)
            elif i in self.kept:
                e = load(self.block, slot(self.kept[i]), self.index(self.kept[i]))
            elif s.kind == "load":
                o = self.ins[s.args[0]]
                e = self.block.cast(load(self.block, slot(o), self.index(o)), s.dtype)
            else:
                e = s.data(self.block, [self(a) for a in s.args], self.numbers)
            self.memo[i] = e
        return self.memo[i]


def single(fold: Fold, compute: str) -> Callable[[Block, list[Expr]], list[Expr]]:
    """The expression of a fold of one element: builds [result] from [x]."""
    big = fold.total(compute)

    def build(block: Block, values: list[Expr]) -> list[Expr]:
        x = element(block, fold, values[0], compute)
        e = combine(block, fold, first(block, fold, compute, compute), x)
        e = combine(block, fold, first(block, fold, compute, big), block.cast(e, big))
        if fold.finish is not None:
            one = block.const(1, "int64" if big.startswith("int") else big)
            return [inline(block, fold.finish, (e, one))]
        return [block.cast(e, compute)]
    return build


def _cost(program: Sequence[Step], i: int) -> int:
    """Operations of one value step."""
    s, block = program[i], Block("cpu")
    e = s.data(block, [name(block, f"a{k}", program[a].dtype) for k, a in enumerate(s.args)],
               [name(block, f"n{k}", "float64") for k in range(64)])
    seen: dict[int, Expr] = {}
    stack = [e]
    while stack:
        e = stack.pop()
        if id(e) not in seen:
            seen[id(e)] = e
            stack += e.args
    return len(seen)


def _keepers(program: Sequence[Step], outs: Sequence[Operand], sweeps: Sequence[Sweep | None],
             apart: bool) -> dict[int, Operand]:
    """Costly values that one pass folds and a later one needs again for an output of the same type: the first
    keeps them in that output's memory, as softmax keeps its exponentials. Only where no later pass reads an
    input along the row, which may be that memory."""
    cone: dict[int, set[int]] = {}
    for i, s in enumerate(program):
        cone[i] = {i}.union(*[cone[a] for a in s.args[:1 if s.kind in ("fold", "store") else None]
                              if s.kind != "load" and program[a].kind != "fold" and program[a].full])
    found: dict[int, Operand] = {}
    for s in program:
        if s.kind != "store" or not s.full:
            continue
        o = outs[s.args[1]]
        early = {c for c in cone[s.args[0]] if program[c].kind == "value" and program[c].level < s.level
                 and program[c].dtype == o.memory}
        early = {c for c in early if any(f.kind == "fold" and f.level == program[c].level + 1
                                         and c in cone[f.args[0]] for f in program)}
        early = {c for c in early if c not in found and _cost(program, c) >= COSTLY}
        if not early:
            continue
        c = max(early)
        between = sweeps[program[c].level:s.level + 1]
        if any(sweep is None or sweep.loops != 1 for sweep in between) or \
                dict(sweeps[s.level].steps)[o.name] != 1:  # type: ignore[union-attr]
            continue
        later = [t.args[0] for t in program if t.level > program[c].level + (t.kind == "fold")
                 and (t.kind == "fold" or (t.kind == "store" and t.full))]
        if apart or not any(program[x].kind == "load" for t in later for x in _reach(program, t, c)):
            found[c] = o
    return found


def _reach(program: Sequence[Step], top: int, stop: int) -> set[int]:
    """The full steps that `top` is computed from, not looking behind `stop`."""
    seen: set[int] = set()
    stack = [top]
    while stack:
        i = stack.pop()
        if i not in seen and i != stop and program[i].full and program[i].kind != "fold":
            seen.add(i)
            stack += program[i].args if program[i].kind == "value" else ()
    return seen


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
    keepers = _keepers(program, outs, sweeps, apart) if target == "cpu" else {}
    kept: dict[int, Operand] = {}

    def fresh(index: Callable[[Operand], Expr]) -> tuple[Block, _Values]:
        blocks.append(Block(target))
        return blocks[-1], _Values(blocks[-1], program, ins, scalars, named, index, kept)

    for p, sweep in enumerate(sweeps):
        block, value = fresh(start)
        once = [i for i, s in enumerate(program)
                if s.level == p and not s.full and s.kind in ("load", "value") and i not in named]
        if once:
            body.append(Do(tuple([Let(f"v{i}", value(i)) for i in once])))
        named.update({i: f"v{i}" for i in once})
        if sweep is None:
            continue
        keep = {i: o for i, o in keepers.items() if program[i].level == p}
        kinds = {**{o.name: 1 for o in [*kept.values(), *keep.values()]}, **dict(sweep.steps)}
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
        effects += [Store(slot(o), index(o), value(i)) for i, o in keep.items()]
        kept.update(keep)
        length = f"m{p}_{sweep.loops - 1}"
        nest: list[Statement]
        if folds:
            table = [(f"acc{i}", fold, compute, f"total{i}") for i, fold, compute in folds]
            made, nest = folded(block, table, [Do(tuple(effects))], "0", length)
            before += made
            for i, fold, compute in folds:
                body.append(do(Set(f"total{i}", first(block, fold, compute, fold.total(compute)))))
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
            total = name(block, f"total{i}", fold.total(compute))
            end = block.cast(result(block, fold, total, compute, "count"), compute)
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
    block, last = Block(target), loops - 1
    folds = [s for s in program if s.kind == "fold"]
    each = lambda *body: For("i", at("0"), at("e"), 1, (Do(body),), True)
    row = lambda o: " + ".join([f"p_{o.name}", *[f"u{k} * z{k}_{o.name}" for k in range(loops)]])

    def several(count: int) -> list[Statement]:
        """Compute, store and fold `count` rows of the tile, one after another."""
        lets, effects = [], []
        sums = [load(block, slot(total), at("a + i")) for total in totals]
        for j in range(count):
            def index(o: Operand, j=j) -> Expr:
                return at({0: f"w{j}_{o.name}", 1: f"w{j}_{o.name} + t + i"}.get(
                    o.step, f"w{j}_{o.name} + (t + i) * s_{o.name}"))
            for o in [*outs, *ins]:
                lets.append(Let(f"w{j}_{o.name}", at(row(o) + (f" + {j} * z{last}_{o.name}" if j else ""))))
            value = _Values(block, program, ins, scalars, {}, index)
            for k, s in enumerate(folds):
                fold, compute = s.data
                x = element(block, fold, block.cast(value(s.args[0]), compute), fold.total(compute))
                sums[k] = combine(block, fold, sums[k], x)
            for s in program:
                if s.kind == "store":
                    o = outs[s.args[1]]
                    effects.append(Store(slot(o), index(o), stored(block, value(s.args[0]), o.memory)))
        effects += [Store(slot(total), at("a + i"), x) for total, x in zip(totals, sums)]
        return [Do(tuple(lets)), each(*effects)]
    nest = by_rows(last, several, ROWS if len(program) <= SHORT else 1, "u")
    for k in range(last - 1, -1, -1):
        nest = [For(f"u{k}", at("0"), at(f"m{k}"), 1, tuple(nest))]
    resets, ends = [], []
    for s, total, o in zip(folds, totals, results):
        fold, compute = s.data
        resets.append(Store(slot(total), at("a + i"), first(block, fold, compute, fold.total(compute))))
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
    body: list[Statement] = [do(Set(f"total{k}", first(block, fold, compute, fold.total(compute))))
                             for k, fold, compute, _ in folds]
    body += [do(Let("end", at("min(r * size + size, n)"))), *inner]
    body += [do(Store(slot(o), at("r"), name(block, f"total{k}", fold.total(compute))))
             for (k, _, compute, _), o in zip(folds, totals)]
    return header.nest(title, [*lanes, items(body)], [block], apart)


__all__ = ["Fold", "Step", "Sweep", "chunks", "columns", "rows"]
