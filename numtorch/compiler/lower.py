"""Group → kernel: members become scalar expressions in one loop nest, by the templates of kernels/emit.py.

Values that stay inside are rounded to their type in memory as a store and a load would do, so a fused chain
gives the bits of its parts."""
from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from .. import devices
from ..dispatch import backend, compute_name
from ..kernels import emit, jit
from ..kernels.expr import MEMORY, Block, Expr
from ..layouts import collapse
from .schedule import Group, Number, Problem, Task

SCALARS = {float: "float64", int: "int64", bool: "bool", complex: "complex128"}


class Load:
    """One array that a kernel reads, or a part of it: a value with strides along the loop axes."""

    __slots__ = ("value", "dtype", "steps", "offset")

    def __init__(self, value: int, dtype, steps: tuple[int, ...], offset: int):
        self.value, self.dtype, self.steps, self.offset = value, dtype, steps, offset


class Kernel:
    """A group made ready: `native`, `items`, `cost`, and its arguments: `stores` and `loads` (arrays in this
    order), `numbers` (slots), then `fixed` integers."""

    def __init__(self, problem: Problem, group: Group, needed: set[int]):
        self.problem, self.group = problem, group
        tasks = problem.tasks
        self.members: list[tuple[Task, list]] = [(tasks[i], axes) for i, axes in group.members]
        self.loads: list[Load] = []
        self.stores: list[Load] = []
        self.numbers: list[int] = []
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
                    key = (a.value, a.dtype, tuple(group.along(a.strides, axes)), a.offset)
                    if key not in found:
                        found[key] = len(self.loads)
                        self.loads.append(Load(*key))
                    wires.append(("x", found[key]))
            for o, w in enumerate(t.outs):
                made[w.value] = (m, o)
            self.wiring.append(wires)
            operands = [(*w[:2], w[2].name if w[2] is not None else "") if w[0] == "k" else w for w in wires]
            form.append((t.form, tuple(operands), tuple([w.dtype.name for w in t.outs])))
        self.roots: list[tuple[int, int]] = []
        self.bases: list[int] = []
        for m, (t, axes) in enumerate(self.members):
            for o, w in enumerate(t.outs):
                if w.value in needed:
                    self.roots.append((m, o))
                    self.stores.append(Load(w.value, w.dtype, tuple(group.along(w.strides, axes)), w.offset))
                    self.bases.append(w.base)
        names = [f"x{i}" for i in range(len(self.loads))]
        self.scalars = [emit.Operand(f"k{i}", SCALARS[k], 0, True) for i, k in enumerate(kinds)]
        self.form = tuple(form)
        self.puts: list[emit.Step] = []
        self.last = 0
        self.name = "_".join(dict.fromkeys(t.name.partition(".")[0] for t, _ in self.members))[:60]
        part = [m for m, (_, axes) in enumerate(self.members) if None in axes]
        if all(t.kind == "map" for t, _ in self.members) and not any(m in part for m, _ in self.roots):
            self._flat(names)
        else:
            self._rows(names)

    # ------------------------------------------------------------------------------------------ maps
    def _flat(self, names: Sequence[str]) -> None:
        arrays = [*self.stores, *self.loads]
        sizes, steps = collapse(self.group.sizes, [a.steps for a in arrays])
        last = [s[-1] if s else 1 for s in steps]
        dense = len(sizes) <= 1 and all(s == 1 for s in last) and not any(a.offset for a in arrays)
        depth = None if dense else max(len(sizes) - 1, 0)
        kinds = [1 if depth is None else s if s in (0, 1) else -1 for s in last]
        n = len(self.stores)
        outs = [emit.Operand(f"out{i}", a.dtype.name, k) for i, (a, k) in enumerate(zip(self.stores, kinds))]
        ins = [emit.Operand(x, a.dtype.name, k) for x, a, k in zip(names, self.loads, kinds[n:])]
        key = ("graph", self.name, self.form, tuple(self.roots), depth, tuple(outs), tuple(ins),
               tuple(self.scalars))
        self.native = backend(devices.cpu).native(key, lambda target: emit.pointwise(
            self.name, self._build, [*ins, *self.scalars], outs, depth, target))
        inner = sizes[-1] if sizes else 1
        work = self.work()
        self.items, self.cost = (inner, work) if depth in (None, 0) else (prod(sizes) // inner, work * inner)
        self.fixed: tuple[int, ...] = ()
        if depth is not None:
            fixed = [a.offset for a in arrays] + list(sizes[1:-1])
            for s in steps:
                fixed += s[:-1]
            fixed += [s for s, k in zip(last, kinds) if k == -1]
            self.fixed = (*fixed, inner) if depth else tuple(fixed)

    def work(self) -> float:
        """Nanoseconds that one element takes, about."""
        return sum(t.cost for t, _ in self.members) + 0.1 * (len(self.loads) + len(self.stores))

    def _build(self, block: Block, values: list[Expr]) -> Sequence[Expr]:
        loads, numbers = values[:len(self.loads)], values[len(self.loads):]
        done: list[Sequence[Expr]] = []
        for (t, _), wires in zip(self.members, self.wiring):
            done.append(self.results(block, t, [
                done[w[1]][w[2]] if w[0] == "m" else loads[w[1]] if w[0] == "x" else
                constant(block, numbers[w[1]], w[2]) for w in wires]))
        return [done[m][o] for m, o in self.roots]

    @staticmethod
    def results(block: Block, t: Task, operands: list[Expr]) -> list[Expr]:
        """What a map gives, as its readers would load it."""
        got = operands if t.what is None else t.what(block, operands)
        return [rounded(block, e, w.dtype.name) for e, w in zip(got, t.outs)]

    # ------------------------------------------------------------------------------------------ rows
    def _rows(self, names: Sequence[str]) -> None:
        g = self.group
        assert g.inner is not None
        row = sorted(g.inner)
        kept = [a for a in range(len(g.sizes)) if a not in g.inner]
        arrays = [*self.stores, *self.loads]
        lead = [g.along(t.ins[0].strides, axes) for t, axes in self.members if t.kind == "fold"]
        inner, lasts = collapse([g.sizes[a] for a in row],
                                [[s[a] for a in row] for s in [*lead, *[x.steps for x in arrays]]])
        assert len(inner) <= 1, "the row is more than one loop"
        outer, leads = collapse([g.sizes[a] for a in kept], [[x.steps[a] for a in kept] for x in arrays])
        count = inner[0] if inner else 1
        last = [s[0] if s else 0 for s in lasts[len(lead):]]
        kinds = [s if s in (0, 1) else -1 for s in last]
        n, depth = len(self.stores), len(outer)
        outs = [emit.Operand(f"out{i}", a.dtype.name, k) for i, (a, k) in enumerate(zip(self.stores, kinds))]
        ins = [emit.Operand(x, a.dtype.name, k) for x, a, k in zip(names, self.loads, kinds[n:])]
        program = self._program(row)
        self.puts = [s for s in program if s.kind == "store"]
        self.last = max(s.level for s in program)
        key = ("graph rows", self.name, self.form, tuple([s[:5] for s in program]), tuple(self.roots), depth,
               tuple(outs), tuple(ins), tuple(self.scalars))
        self.native = backend(devices.cpu).native(key, lambda target: emit.row_passes(
            self.name, program, ins, self.scalars, outs, depth, target))
        self.items = prod(outer)
        self.cost = self.work() * count * 2
        self.fixed = (*[a.offset for a in arrays], *outer[1:], *[s for l in leads for s in l],
                      *[s for s, k in zip(last, kinds) if k == -1], count)

    def _program(self, row: list[int]) -> list[emit.Step]:
        steps: list[emit.Step] = []
        level: dict[int, int] = {}                   # step → the pass after which it is known
        for i, x in enumerate(self.loads):
            full = any(x.steps[a] for a in row)
            steps.append(emit.Step("load", (i,), compute_name(x.dtype), 0, full, None))
            level[i] = 0
        at: dict[tuple[int, int], int] = {}
        for m, ((t, axes), wires) in enumerate(zip(self.members, self.wiring)):
            places = [at[w[1], w[2]] if w[0] == "m" else w[1] for w in wires if w[0] != "k"]
            known = max([level[p] for p in places], default=0)
            full = any(steps[p].full for p in places) or any(axes[a] is not None for a in row)
            if t.kind == "fold":
                fold, compute = t.what
                out = t.outs[0].dtype
                s = len(steps)
                steps.append(emit.Step("fold", (places[0],), compute, known + 1, False, (fold, compute)))
                level[s] = known + 1
                at[m, 0] = len(steps)
                level[len(steps)] = known + 1
                steps.append(emit.Step("value", (s,), compute_name(out), known + 1, False, _round(out.name)))
                continue
            for o, w in enumerate(t.outs):
                at[m, o] = len(steps)
                level[len(steps)] = known
                steps.append(emit.Step("value", tuple(places), compute_name(w.dtype), known, full,
                                       self._step(t, wires, o)))
        for m, o in self.roots:
            p = at[m, o]
            steps.append(emit.Step("store", (p,), "", level[p], steps[p].full, None))
        return steps

    def late(self, store: Load) -> bool:
        """Whether an element that the store writes is read by no later pass."""
        s = next((s for s, x in zip(self.puts, self.stores) if x is store), None)
        return s is None or not s.full or s.level == self.last

    def _step(self, t: Task, wires: list, o: int):
        def build(block: Block, values: Sequence[Expr], numbers: Sequence[Expr]) -> Expr:
            it = iter(values)
            operands = [constant(block, numbers[w[1]], w[2]) if w[0] == "k" else next(it) for w in wires]
            return self.results(block, t, operands)[o]
        return build


def _round(memory: str):
    return lambda block, values, numbers: rounded(block, values[0], memory)


def constant(block: Block, number: Expr, dtype: Any) -> Expr:
    """A number as an operand, or as an element of the tensor that it fills."""
    return number if dtype is None else rounded(block, number, dtype.name)


def rounded(block: Block, e: Expr, memory: str) -> Expr:
    """The value after a store to memory of that type and a load."""
    if memory in MEMORY:
        _, compute, load, store = MEMORY[memory]
        short = block.make("call." + store, "uint16", (block.cast(e, compute),))
        return block.make("call." + load, compute, (short,))
    if e.dtype == memory and memory in ("int8", "int16", "int32", "uint8") and e.op not in ("load", "cast"):
        return block.make("cast", memory, (e,))
    return block.cast(e, memory)


def parallel(kernel: Kernel) -> bool:
    """Whether threads share the items."""
    return kernel.items * kernel.cost >= jit.PARALLEL_NS

