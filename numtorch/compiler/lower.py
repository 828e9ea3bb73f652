"""Group → kernel: members become scalar expressions in one loop nest, by the templates of kernels/emit.py
and kernels/passes.py.

Values that stay inside are rounded to their type in memory as a store and a load would do, so a fused chain
gives the bits of its parts."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

from .. import devices
from .. import dtypes as D
from ..dispatch import backend, compute_name
from ..kernels import emit, jit, llvm
from ..kernels.expr import Block, Expr, rounded
from ..kernels.passes import Step, Sweep, chunks, columns, rows
from ..layouts import collapse
from .schedule import CHUNK, Group, Number, Problem, Task, levels, loaded, passes

SCALARS = {float: "float64", int: "int64", bool: "bool", complex: "complex128"}


class Load:
    """One array that a kernel reads or writes, or a part of it: a value with strides along the loop axes."""

    __slots__ = ("value", "dtype", "steps", "offset")

    def __init__(self, value: int, dtype: D.dtype, steps: tuple[int, ...], offset: int):
        self.value, self.dtype, self.steps, self.offset = value, dtype, steps, offset

    @property
    def key(self) -> tuple:
        return self.value, self.dtype, self.steps, self.offset


class Launch(NamedTuple):
    """One call of compiled code: the arrays (values), numbers (slots) and integers that it takes. At
    `fixed[spot]` stand the offsets of the values `placed`."""
    key: tuple
    make: Callable[[str, bool], emit.Nest]  # of the target, and whether no array is two of the arguments
    items: int
    cost: float
    arrays: list[int]
    numbers: list[int]
    fixed: tuple[int, ...]
    spot: int
    placed: list[int]


def natives(launches: Sequence[tuple[Launch, bool]]) -> list[jit.Native]:
    """The kernels of launches, compiled for the CPU, the new ones at once. The second of a pair says whether
    no array is given twice."""
    kernels = backend(devices.cpu).kernels
    wanted = {(*one.key, apart): (one, apart) for one, apart in launches}
    missing = {key: pair for key, pair in wanted.items() if key not in kernels}
    kernels.update(zip(missing, llvm.compile([one.make("cpu", apart) for one, apart in missing.values()])))
    return [kernels[(*one.key, apart)] for one, apart in launches]


class Kernel:
    """A group made ready: its `launches`, what it loads and stores."""

    def __init__(self, problem: Problem, group: Group, needed: set[int]):
        self.problem, self.group = problem, group
        tasks = problem.tasks
        self.members: list[tuple[Task, tuple]] = [(tasks[i], axes) for i, axes in group.members]
        self.loads: list[Load] = []
        self.stores: list[Load] = []
        self.numbers: list[int] = []
        self.launches: list[Launch] = []
        kinds: list[type] = []
        made: dict[int, tuple[int, int]] = {}        # value → (member, result)
        found: dict[tuple, int] = {}
        # per member, its operands: ("m", member, result), ("x", load) or ("k", number, dtype)
        self.wiring: list[list] = []
        form: list = []
        for m, (t, axes) in enumerate(self.members):
            wires: list = []
            for a in t.ins:
                if type(a) is Number:
                    if a.slot not in self.numbers:
                        self.numbers.append(a.slot)
                        kinds.append(a.kind)
                    wires.append(("k", self.numbers.index(a.slot), a.dtype))
                elif a.value in made:
                    wires.append(("m", *made[a.value]))
                else:
                    key = (a.value, a.dtype, group.along(a.strides, axes), a.offset)
                    if key not in found:
                        found[key] = len(self.loads)
                        self.loads.append(Load(*key))
                    wires.append(("x", found[key]))
            for o, w in enumerate(t.outs):
                made[w.value] = (m, o)
            self.wiring.append(wires)
            operands = [(*w[:2], w[2].name if w[2] is not None else "") if w[0] == "k" else w for w in wires]
            form.append((t.form, tuple(operands), tuple([w.dtype.name for w in t.outs])))
        self.roots: list[tuple[int, int]] = []       # what is stored: (member, result)
        self.bases: list[int] = []
        for m, (t, axes) in enumerate(self.members):
            for o, w in enumerate(t.outs):
                if w.value in needed:
                    self.roots.append((m, o))
                    self.stores.append(Load(w.value, w.dtype, group.along(w.strides, axes), w.offset))
                    self.bases.append(w.base)
        self.scalars = [emit.Operand(f"k{i}", SCALARS[k], 0, True) for i, k in enumerate(kinds)]
        self.form = tuple(form)
        self.name = "_".join(dict.fromkeys(t.name.partition(".")[0] for t, _ in self.members))[:60]
        self.sweeps: list[set[int]] = []             # loads of each pass over the row
        self.put: dict[int, int] = {}                # store → the pass in which it happens
        part = [m for m, (_, axes) in enumerate(self.members) if None in axes]
        if all(t.kind == "map" for t, _ in self.members) and not any(m in part for m, _ in self.roots):
            self._flat()
        else:
            {"columns": self._columns, "chunks": self._chunks}.get(group.form, self._rows)()

    def work(self) -> float:
        """Nanoseconds that one element takes, about."""
        return sum(t.cost for t, _ in self.members) + 0.1 * (len(self.loads) + len(self.stores))

    def late(self, store: Load, load: Load) -> bool:
        """Whether an element that the store writes is read by no later pass."""
        p = next((self.put[k] for k, s in enumerate(self.stores) if s is store and k in self.put), 0)
        i = next(i for i, x in enumerate(self.loads) if x is load)
        return not any(i in used for used in self.sweeps[p + 1:])

    def _launch(self, key: tuple, make: Callable[[str, bool], emit.Nest], items: int, cost: float,
                fixed: Sequence[int], placed: Sequence[Load], spot: int = 0) -> None:
        arrays = [x.value for x in [*self.stores, *self.loads]]
        self.launches.append(Launch(key, make, items, cost, arrays, self.numbers, tuple(fixed), spot,
                                    [x.value for x in placed]))

    def _operands(self, kinds: Sequence[int]) -> tuple[list[emit.Operand], list[emit.Operand]]:
        """(outputs, inputs) with these innermost steps."""
        name = lambda letter, arrays, steps: [emit.Operand(f"{letter}{i}", a.dtype.name, k)
                                              for i, (a, k) in enumerate(zip(arrays, steps))]
        return name("out", self.stores, kinds), name("x", self.loads, kinds[len(self.stores):])

    # ------------------------------------------------------------------------------------------ maps
    def _flat(self) -> None:
        arrays = [*self.stores, *self.loads]
        sizes, steps = collapse(self.group.sizes, [a.steps for a in arrays])
        last = [s[-1] if s else 1 for s in steps]
        dense = len(sizes) <= 1 and all(s == 1 for s in last) and not any(a.offset for a in arrays)
        depth = None if dense else max(len(sizes) - 1, 0)
        kinds = [1 if depth is None else kind(s) for s in last]
        outs, ins = self._operands(kinds)
        key = ("graph", self.name, self.form, tuple(self.roots), depth, tuple(outs), tuple(ins),
               tuple(self.scalars))
        inner = sizes[-1] if sizes else 1
        fixed: list[int] = []
        if depth is not None:
            fixed = [a.offset for a in arrays] + list(sizes[1:-1])
            for s in steps:
                fixed += s[:-1]
            fixed += [s for s, k in zip(last, kinds) if k == -1]
            fixed += [inner] * (depth > 0)
        work = self.work()
        items, cost = (inner, work) if not depth else (prod(sizes) // inner, work * inner)
        operands = [*ins, *self.scalars]
        make = lambda *how: emit.pointwise(self.name, self._build, operands, outs, depth, *how)
        self._launch(key, make, items, cost, fixed, arrays if fixed else [])

    def _build(self, block: Block, values: list[Expr]) -> Sequence[Expr]:
        loads, numbers = values[:len(self.loads)], values[len(self.loads):]
        done: list[Sequence[Expr]] = []
        for (t, _), wires in zip(self.members, self.wiring):
            done.append(results(block, t, [
                done[w[1]][w[2]] if w[0] == "m" else loads[w[1]] if w[0] == "x" else
                constant(block, numbers[w[1]], w[2]) for w in wires]))
        return [done[m][o] for m, o in self.roots]

    # ------------------------------------------------------------------------------------------ folds
    def _axes(self) -> tuple[list[int], list[int]]:
        """(kept axes, folded axes)."""
        inner = self.group.inner or frozenset()
        return [a for a in range(len(self.group.sizes)) if a not in inner], sorted(inner)

    def _program(self, row: list[int], put: dict[int, int]) -> list[Step]:
        """The members as steps; `put` says in which pass a store happens."""
        steps: list[Step] = []
        level: dict[int, int] = {}                   # step → the pass before which it is known
        at: dict[tuple[int, int], int] = {}
        for i, x in enumerate(self.loads):
            steps.append(Step("load", (i,), compute_name(x.dtype), 0, any(x.steps[a] for a in row), None))
            level[i] = 0
        for m, ((t, axes), wires) in enumerate(zip(self.members, self.wiring)):
            places = [at[w[1], w[2]] if w[0] == "m" else w[1] for w in wires if w[0] != "k"]
            known = max([level[p] for p in places], default=0)
            full = any(steps[p].full for p in places) or any(axes[a] is not None for a in row)
            if t.kind == "fold":
                fold, compute = t.what
                out = t.outs[0].dtype
                level[len(steps)] = level[len(steps) + 1] = known + 1
                steps.append(Step("fold", (places[0],), compute, known + 1, False, (fold, compute)))
                at[m, 0] = len(steps)
                steps.append(Step("value", (len(steps) - 1,), compute_name(out), known + 1, False,
                                  _round(out.name)))
                continue
            for o, w in enumerate(t.outs):
                at[m, o] = len(steps)
                level[len(steps)] = known
                steps.append(Step("value", tuple(places), compute_name(w.dtype), known, full,
                                  _step(t, wires, o)))
        for k, root in enumerate(self.roots):
            if k in put:
                p = at[root]
                steps.append(Step("store", (p, k), "", put[k], steps[p].full, None))
        return steps

    def _rows(self) -> None:
        g, tasks = self.group, self.problem.tasks
        kept, row = self._axes()
        arrays = [*self.stores, *self.loads]
        sizes = [g.sizes[a] for a in row]
        known, reach = levels(tasks, g), loaded(tasks, g)
        place = {x.key: i for i, x in enumerate(self.loads)}
        sweeps = passes(tasks, g)
        assert sweeps is not None, "the order of its sums would change"
        last = len(sweeps)
        used: list[set[int]] = [set() for _ in range(last + 1)]
        for t, axes in self.members:
            if t.kind == "fold":
                x = t.ins[0]
                own = (x.value, x.dtype, g.along(x.strides, axes), x.offset)
                used[known[t.outs[0].value] - 1] |= {place[k] for k in reach.get(x.value, {own: None})}
        for k, (s, (m, _)) in enumerate(zip(self.stores, self.roots)):
            self.put[k] = last
            if self.members[m][0].kind == "map" and None not in self.members[m][1]:
                p = known[s.value]
                also = [[x[a] for a in row] for x in [s.steps, *[q[2] for q in reach[s.value]]]]
                if p < last and collapse(sizes, sweeps[p])[0] == collapse(sizes, [*sweeps[p], *also])[0]:
                    self.put[k] = p
                used[self.put[k]] |= {place[q] for q in reach[s.value]}
        self.sweeps = used
        program = self._program(row, self.put)
        outer, leads = collapse([g.sizes[a] for a in kept], [[x.steps[a] for a in kept] for x in arrays])
        outs, ins = self._operands([1] * len(arrays))
        plan: list[Sweep | None] = []
        more: list[int] = []
        for p in range(last + 1):
            puts = [s.args[1] for s in program if s.kind == "store" and s.full and s.level == p]
            if p == last and not puts:
                plan.append(None)
                continue
            mine = puts + [len(outs) + i for i in sorted(used[p])]
            lead = sweeps[p] if p < last else []
            loops, steps = collapse(sizes, [*lead, *[[arrays[k].steps[a] for a in row] for k in mine]])
            loops, steps = (loops, steps[len(lead):]) if loops else ([1], [[0]] * len(mine))
            plan.append(Sweep(len(loops), tuple([((*outs, *ins)[k].name, kind(z[-1]))
                                                 for k, z in zip(mine, steps)])))
            more += loops
            for z in steps:
                more += z[:-1] + [z[-1]] * (kind(z[-1]) == -1)
        depth, count = len(outer), prod(sizes)
        key = ("graph rows", self.name, self.form, tuple([s[:5] for s in program]), depth, tuple(outs),
               tuple(ins), tuple(self.scalars), tuple(plan))
        fixed = [*[a.offset for a in arrays], *outer[1:], *[s for l in leads for s in l], count, *more]
        make = lambda *how: rows(self.name, program, ins, self.scalars, outs, depth, plan, *how)
        self._launch(key, make, prod(outer), self.work() * count * (last + 1), fixed, arrays)

    def _split(self) -> tuple[list[Step], list[tuple[Task, tuple[int, ...], Load]]]:
        """(the program without the stores of sums, per sum (task, strides of what it folds, store)). `stores`
        then holds those of maps only. A sum that nobody needs would not be here."""
        sums = [k for k, (m, _) in enumerate(self.roots) if self.members[m][0].kind == "fold"]
        maps = [k for k in range(len(self.roots)) if k not in sums]
        ends = []
        for k in sums:
            t, axes = self.members[self.roots[k][0]]
            ends.append((t, self.group.along(t.ins[0].strides, axes), self.stores[k]))
        self.roots = [self.roots[k] for k in maps]
        self.stores = [self.stores[k] for k in maps]
        self.bases = [self.bases[k] for k in maps]
        return self._program(self._axes()[1], dict.fromkeys(range(len(maps)), 0)), ends

    def _scratch(self, dtype: str, numel: int) -> Load:
        """Memory for totals, in use while this kernel runs."""
        self.problem.values.append((D.by_name[dtype], numel))
        return Load(len(self.problem.values) - 1, D.by_name[dtype], (), 0)

    def _columns(self) -> None:
        g = self.group
        kept, row = self._axes()
        program, sums = self._split()
        lead, ends = [s for _, s, _ in sums], [s for _, _, s in sums]
        folds = [s for s in program if s.kind == "fold"]
        n = prod([g.sizes[a] for a in kept])
        totals = [self._scratch(s.data[0].total(s.data[1]), n) for s in folds]
        arrays = [*self.stores, *ends, *self.loads]
        skip, a, b = len(lead), len(self.stores), len(self.stores) + len(ends)
        outer, steps = collapse([g.sizes[d] for d in kept],
                                [[s[d] for d in kept] for s in [*lead, *[x.steps for x in arrays]]])
        lane = next(k for k in range(len(outer)) if steps[0][k] == 1)
        rest = [k for k in range(len(outer)) if k != lane]
        width, steps = outer[lane], steps[skip:]
        moving = [x.steps for x in [*self.stores, *self.loads]]
        loops, over = collapse([g.sizes[d] for d in row], [[s[d] for d in row] for s in [*lead, *moving]])
        op = [emit.Operand("", x.dtype.name, kind(s[lane])) for x, s in zip(arrays, steps)]
        outs = [o._replace(name=f"out{i}") for i, o in enumerate(op[:a])]
        made = [o._replace(name=f"sum{i}") for i, o in enumerate(op[a:b])]
        ins = [o._replace(name=f"x{i}") for i, o in enumerate(op[b:])]
        work = [emit.Operand(f"total{i}", x.dtype.name) for i, x in enumerate(totals)]
        tiles, depth = -(-width // emit.TILE), len(rest)
        count = prod([g.sizes[d] for d in row])
        fixed = [*[x.offset for x in arrays], *[outer[k] for k in rest[1:]],
                 *[s[k] for s in steps for k in rest], count, tiles, width,
                 *[s[lane] for s, o in zip(steps, op) if o.step == -1], *loops,
                 *[z for s in over[skip:] for z in s]]
        key = ("graph columns", self.name, self.form, tuple([s[:5] for s in program]), depth, len(loops),
               tuple(outs), tuple(work), tuple(made), tuple(ins), tuple(self.scalars))
        self.stores += [*totals, *ends]
        self.bases += [-1] * (len(totals) + len(ends))
        self._launch(key, lambda *how: columns(self.name, program, ins, self.scalars, outs, work, made, depth,
                                               len(loops), *how),
                     tiles * n // width, self.work() * count * min(width, emit.TILE), fixed, arrays)

    def _chunks(self) -> None:
        g = self.group
        program, sums = self._split()
        count = prod(g.sizes)
        parts = -(-count // CHUNK)
        totals = [self._scratch(s.data[0].total(s.data[1]), parts) for s in program if s.kind == "fold"]
        arrays = [*self.stores, *self.loads]
        _, steps = collapse(g.sizes, [*[s for _, s, _ in sums], *[x.steps for x in arrays]])
        last = [s[0] for s in steps[len(sums):]]
        outs, ins = self._operands([kind(s) for s in last])
        work = [emit.Operand(f"sum{i}", x.dtype.name) for i, x in enumerate(totals)]
        key = ("graph chunks", self.name, self.form, tuple([s[:5] for s in program]), tuple(outs),
               tuple(work), tuple(ins), tuple(self.scalars))
        fixed = [CHUNK, count, *[x.offset for x in arrays], *[s for s in last if kind(s) == -1]]
        self.stores += totals
        self.bases += [-1] * len(totals)
        self._launch(key, lambda *how: chunks(self.name, program, ins, self.scalars, outs, work, *how),
                     parts, self.work() * CHUNK, fixed, arrays, 2)
        for (t, _, end), total in zip(sums, totals):
            fold, big, out = t.what[0]._replace(before=None), total.dtype.name, end.dtype.name
            self.launches.append(Launch(("graph join", t.name, big, out), _join(t.name, fold, big, out), 1,
                                        float(parts), [end.value, total.value], [],
                                        (end.offset, 0, count, parts), 0, []))
            self.stores.append(end)
            self.bases.append(-1)


def _join(title: str, fold: emit.Fold, big: str, out: str):
    x, end = emit.Operand("x", big), emit.Operand("out", out)
    return lambda target, apart: emit.reduce_rows(title, fold, x, end, big, 0, 1, target)


def _step(t: Task, wires: list, o: int):
    def build(block: Block, values: Sequence[Expr], numbers: Sequence[Expr]) -> Expr:
        it = iter(values)
        operands = [constant(block, numbers[w[1]], w[2]) if w[0] == "k" else next(it) for w in wires]
        return results(block, t, operands)[o]
    return build


def _round(memory: str):
    return lambda block, values, numbers: rounded(block, values[0], memory)


def results(block: Block, t: Task, operands: list[Expr]) -> list[Expr]:
    """What a map gives, as its readers would load it."""
    got = operands if t.what is None else t.what(block, operands)
    return [rounded(block, e, w.dtype.name) for e, w in zip(got, t.outs)]


def constant(block: Block, number: Expr, dtype: D.dtype | None) -> Expr:
    """A number as an operand, or as an element of the tensor that it fills."""
    return number if dtype is None else rounded(block, number, dtype.name)


def kind(step: int) -> int:
    """An innermost step as kernels are specialised on it."""
    return step if step in (0, 1) else -1
