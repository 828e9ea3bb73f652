"""A graph made ready to run: kernels and calls in order, memory planned, one flat function, no dispatch."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain
from typing import Any

import numpy as np

from .. import dtypes as D
from ..dispatch import compute_name, cpu
from ..kernels import emit, jit
from ..kernels.table import Row, shares, table
from ..layouts import Layout
from . import interpret
from .arena import ALIGN, Arena, arrange, pool
from .graph import Graph
from .lower import Kernel, Launch, natives
from .schedule import Group, Problem, Scheduler, Seen, Task, ordered
from .together import Together, batches


class Step:
    """One kernel or call: what explain() tells of it."""

    __slots__ = ("kind", "nodes", "read", "written", "flops", "why")

    def __init__(self, kind: str, nodes: list[str], read: int, written: int, flops: int, why: str):
        self.kind, self.nodes, self.read, self.written, self.flops, self.why = \
            kind, nodes, read, written, flops, why

    def __repr__(self) -> str:
        size = f"{_bytes(self.read)} read, {_bytes(self.written)} written, {self.flops:,} operations"
        why = f"; apart because {self.why}" if self.why else ""
        return f"{self.kind}: {' '.join(self.nodes)} ({size}){why}"


def _bytes(n: int) -> str:
    return f"{n / 1e6:.1f} MB" if n >= 1e6 else f"{n / 1e3:.1f} kB" if n >= 1e3 else f"{n} B"


# of a program, which it runs without
DETAILS = ("problem", "groups", "work", "steps", "launched", "tables", "_launches")


class Program:
    """A graph's kernels and calls. Only structure, types and layouts are looked at, so it serves every graph
    of the same `key()`, with other inputs and numbers.

    `donated`: output number → input number whose memory it may be written to; run() then returns that very
    array where it could be done, another one where not."""

    def __init__(self, graph: Graph, donated: Mapping[int, int] | None = None):
        p = self.problem = Problem(graph)
        groups = ordered(Scheduler(p))
        wanted = needed(p, groups)
        work: list[Kernel | Task] = []
        for g in groups:
            first = p.tasks[g.members[0][0]]
            work.append(first if g.form in ("call", "eager") else Kernel(p, g, wanted))
        home = {t: n for n, g in enumerate(groups) for t, _ in g.members}
        self.launched = batches(p, home, work)
        order = list(chain.from_iterable(self.launched))
        self.groups, self.work = [groups[n] for n in order], [work[n] for n in order]
        self.steps = [_described(p, g, w) for g, w in zip(self.groups, self.work)]
        steps = [work[b[0]] if len(b) == 1 else
                 Together([k for n in b if isinstance(k := work[n], Kernel)]) for b in self.launched]
        self.checks = any(t.checks for t in p.tasks)
        drawing = [t.args["generator"] for t in p.tasks if t.args.get("generator")]
        self.generators = list({id(g): g for g in drawing}.values())
        memory = Memory(p, steps, dict(donated or {}))
        text = _Text(p, memory)
        for n, step in enumerate(steps):
            text.step(n, step, graph)
        self.source, self.bytes, views, space = text.finish()
        self.tables = text.tables
        self.arena = Arena(views, self.bytes)
        self._launches = text.launches
        space["__name__"] = __name__
        exec(compile(self.source, "<compiled graph>", "exec"), space)
        self._run = space["run"]

    def run(self, inputs: list, numbers: list) -> list:
        """Arrays of the graph's outputs for arrays of its inputs and the numbers in its nodes."""
        if not self.bytes:
            return self._run(inputs, numbers, ())
        memory = pool.take(self.bytes)
        try:
            return self._run(inputs, numbers, memory.seen(self.arena))
        finally:
            pool.give(memory)

    def joint(self, n: int) -> str:
        """What step n is one launch with, in words."""
        at = 0
        for b in self.launched:
            if n < at + len(b):
                return f"one launch for {at} to {at + len(b) - 1}" if len(b) > 1 else ""
            at += len(b)
        raise IndexError(n)

    def slim(self, graph: Graph, donated: Mapping[int, int]) -> None:
        """Keep only what runs; the rest is made again, of these, if it is asked for."""
        self._made_of = graph, donated
        for name in DETAILS:
            del self.__dict__[name]

    def __getattr__(self, name: str) -> Any:
        if name not in DETAILS or "_made_of" not in self.__dict__:
            raise AttributeError(name)
        again = Program(*self._made_of)
        self.__dict__.update({k: again.__dict__[k] for k in DETAILS})
        return self.__dict__[name]

    @cached_property
    def kernels(self) -> dict[str, emit.Nest]:
        """The loop nests by the names that the flat function calls them by."""
        return {name: make() for name, make in self._launches.items()}

    def text(self) -> str:
        """What runs, step by step."""
        lines = []
        for n, s in enumerate(self.steps):
            said = self.joint(n)
            lines.append(f"{n:4} {s!r}{'; ' if said else ''}{said}")
        return "\n".join([*lines, f"     {len(self.steps)} steps, {_bytes(self.bytes)} of working memory"])


def needed(p: Problem, groups: list[Group]) -> set[int]:
    """Values that must be in memory: outputs, and what another group than the maker's reads."""
    wanted: set[int] = set(p.outputs)
    home = {t: n for n, g in enumerate(groups) for t, _ in g.members}
    for i, t in enumerate(p.tasks):
        for v in t.reads():
            m = p.maker.get(v)
            if m is not None and (home[m] != home[i] or t.kind == "call"):
                wanted.add(v)
        if t.kind == "call":
            wanted.update([w.value for w in t.outs if w is not None])
    return wanted


def _described(p: Problem, g: Group, work: Kernel | Task) -> Step:
    tasks = [p.tasks[i] for i, _ in g.members]
    if isinstance(work, Task):
        reads, made = set(work.reads()), {w.value for w in work.outs if w is not None}
        kind = "call" if work.kind == "call" else "fold"
    else:
        reads, made = {x.value for x in work.loads}, {x.value for x in work.stores}
        kind = g.form if g.form != "map" else "rows" if work.sweeps else "map"
    size = lambda vs: sum(p.values[v][0].itemsize * p.values[v][1] for v in vs)
    return Step(kind, [t.name for t in tasks], size(reads), size(made), sum(t.numel for t in tasks), g.why)


class Memory:
    """Where values lie. A chain is a run of values in one block, each written over the one before when
    nothing reads that any more (a part of it, or element for element)."""

    def __init__(self, p: Problem, work: list, donated: dict[int, int]):
        self.p, self.work = p, work
        self.outputs = set(p.outputs)
        self.last: dict[int, int] = {}            # value → the last step that reads it
        self.born: dict[int, int] = {}            # value → the step that writes it
        self.copied: dict[int, int] = {}          # value → the value copied before a part is written
        before: dict[int, int] = {}               # value → the one it is written over
        after: dict[int, int] = {}
        writes: list[tuple[int, int, Any, int]] = []   # (value, step, store, base)
        for n, w in enumerate(work):
            if isinstance(w, Task):
                for v in w.reads():
                    self.last[v] = n
                writes += [(o.value, n, None, o.base) for o in w.outs if o is not None]
            else:
                for x in w.loads:
                    self.last[x.value] = n
                for b in w.bases:
                    if b >= 0:
                        self.last[b] = n
                writes += [(s.value, n, s, b) for s, b in zip(w.stores, w.bases)]
        for v, n, _, _ in writes:
            self.born[v] = n
        fixed = p.inputs
        # what writes to inputs comes after what may raise: then nothing was written
        checks = max([n for n, w in enumerate(work) if isinstance(w, Task) and w.checks], default=-1)
        donated = {o: i for o, i in donated.items() if self.born.get(p.outputs[o], -1) > checks}
        stores = {v: (n, store, base) for v, n, store, base in writes}
        # outputs that can be written over their input at once go on in no other block
        direct = {v for o, v in enumerate(p.outputs) for i in [donated.get(o, -1)]
                  if i >= 0 and v in stores and stores[v][1] is not None and stores[v][2] < 0
                  and self._alike(i, v) and self._over(i, *stores[v][:2])}
        for v, n, store, base in writes:
            if base >= 0:
                if base >= fixed and base not in after and self._over(base, n, store):
                    before[v], after[base] = base, v
                elif base < fixed or base in self.born:
                    self.copied[v] = base
            elif store is not None and v not in direct:
                for x in work[n].loads:
                    u = x.value
                    if u >= fixed and u in self.born and u not in after and self._alike(u, v) \
                            and self._over(u, n, store):
                        before[v], after[u] = u, v
                        break
        self.chain: dict[int, int] = {}           # value → first value of its chain
        self.members: dict[int, list[int]] = {}
        for v in sorted({*self.born, *self.last, *p.outputs}, key=lambda v: self.born.get(v, -1)):
            head = self.chain[v] = self.chain[before[v]] if v in before else v
            self.members.setdefault(head, []).append(v)
        self.given: dict[int, int] = {}           # chain → the input whose memory it takes
        taken: set[int] = set()
        for o, v in enumerate(p.outputs):
            i = donated.get(o, -1)
            if i < 0 or v < fixed or i in self.outputs or i in taken:
                continue
            head = self.chain[v]
            if head not in stores or head in self.given:
                continue
            n, store, base = stores[head]
            if n > checks and (base == i or (base < 0 and self._alike(i, v))) and self._over(i, n, store):
                self.given[head] = i
                taken.add(i)
                self.copied.pop(head, None)

    def _alike(self, u: int, v: int) -> bool:
        (d, k), (e, m) = self.p.values[u], self.p.values[v]
        return d.itemsize == e.itemsize and k == m

    def _over(self, u: int, n: int, store: Any) -> bool:
        """Whether step n may write `store` over value u: nothing reads u later, and step n itself only in the
        iteration that writes the same element, not after it."""
        if u in self.outputs or self.last.get(u, -1) > n:
            return False
        w = self.work[n]
        if isinstance(w, Task):
            return u not in [s.value for v in w.args.values() for s in (v if isinstance(v, list) else [v])
                             if type(s) is Seen]
        return all(x.steps == store.steps and x.offset == store.offset and w.late(store, x)
                   and x.dtype.itemsize == store.dtype.itemsize for x in w.loads if x.value == u)

    def span(self, head: int) -> tuple[int, int]:
        """The steps between which a chain's block is in use."""
        vs = self.members[head]
        first = min([self.born.get(v, 0) for v in vs])
        return first, max([max(self.born.get(v, first), self.last.get(v, first)) for v in vs])

    def arena(self, heads: list[int]) -> tuple[dict[int, int], int]:
        """(offset of each chain's block, size of the arena)."""
        blocks = []
        for h in heads:
            size = max(self.p.values[v][0].itemsize * self.p.values[v][1] for v in self.members[h])
            blocks.append((-(-max(size, 1) // ALIGN) * ALIGN, *self.span(h)))
        at, size = arrange(blocks)
        return dict(zip(heads, at)), size


class _Text:
    """Writes the flat function."""

    def __init__(self, p: Problem, memory: Memory):
        self.p, self.memory = p, memory
        self.space: dict[str, Any] = {"nd": np.ndarray, "empty": np.empty, "copy": np.copyto,
                                      "parallel": jit.parallel}
        self.lines: list[str] = []
        self.made: set[int] = set()
        self.flat: dict[int, str] = {}            # chain → name of its array
        self.views: list[tuple] = []              # (chain, memory type, shape, strides, byte offset in it)
        self.named: dict[tuple, str] = {}
        self.used: list[str] = []                 # names of the arena's views
        self.launches: dict[str, Callable[[], emit.Nest]] = {}  # kernels by the names they are called by
        # (name, launch, whether no array is given twice, whether on several threads, rows of a table)
        self.called: list[tuple[str, Launch, bool, bool, list[Row]]] = []
        self.tables: dict[str, tuple[jit.Native, list[Row]]] = {}  # those names that call a kernel for rows
        self.temporary = [h for h in memory.members if h >= p.inputs and h not in memory.given
                          and not any(v in memory.outputs for v in memory.members[h])]
        self.at, self.bytes = memory.arena(self.temporary)

    def name(self, value: Any, kind: str) -> str:
        name = f"{kind}{len(self.space)}"
        self.space[name] = value
        return name

    def memory_type(self, m: np.dtype) -> str:
        self.space["m_" + m.name] = m
        return "m_" + m.name

    def array(self, v: int) -> str:
        """The name of the flat array in which value v lies."""
        if v < self.p.inputs:
            return f"i{v}"
        head = self.memory.chain[v]
        if head in self.memory.given:
            return f"i{self.memory.given[head]}"
        d, numel = self.p.values[head]
        if head in self.at:
            return self.view(head, d.numpy, (numel,), None, 0)
        name = f"o{head}"
        if head not in self.made:
            self.made.add(head)
            self.lines.append(f"{name} = empty({numel}, {self.memory_type(d.numpy)})")
        return name

    def view(self, head: int, memory: np.dtype, shape: tuple, strides: tuple | None, offset: int) -> str:
        key = (head, memory, shape, strides, offset)
        if key not in self.named:
            self.named[key] = f"t{len(self.used)}"
            self.used.append(self.named[key])
            self.views.append((self.at[head] + offset, memory, shape, strides))
        return self.named[key]

    def shaped(self, v: int, dtype: D.dtype, layout: Layout) -> str:
        """An ndarray of that layout on a value."""
        m = dtype.numpy
        shape, k = tuple(layout.shape), m.itemsize
        strides = None if layout.contiguous else tuple([s * k for s in layout.strides])
        if not layout.numel:
            return f"empty({shape}, {self.memory_type(m)})"
        flat = self.array(v)
        head = self.memory.chain.get(v, v)
        if head in self.at:
            return self.view(head, m, shape, strides, layout.offset * k)
        if strides is None and not layout.offset and self.p.values[v] == (dtype, layout.numel):
            return f"{flat}.reshape({shape})"
        return f"nd({shape}, {self.memory_type(m)}, {flat}, {layout.offset * k}, {strides})"

    def before(self, v: int) -> None:
        """Copy the block of which a part is about to be written."""
        old = self.memory.copied.get(v)
        if old is not None:
            self.lines.append(f"copy({self.array(v)}, {self.array(old)})")

    def launch(self, k: Launch, apart: bool, items: int, cost: float, args: Sequence[str],
               rows: Sequence[Row] = ()) -> None:
        """Call a kernel, or a table of it."""
        parallel = items * cost >= jit.PARALLEL_NS
        name = self.name(None, "k")  # until all are known
        self.called.append((name, k, apart, parallel, list(rows)))
        self.launches[name] = partial(k.make, "cpu", apart)
        if parallel:  # else on this thread, without asking again
            self.lines.append(f"parallel({name}, {items}, {cost:.1f}, ({', '.join(args)},))")
        else:
            self.lines.append(f"{name}(0, {items}, {', '.join(args)})")

    def together(self, launches: Sequence[Launch]) -> None:
        """Launches of kernels with one text, as a table: one of those whose arrays are apart, one of those
        where an output is an input."""
        calls: dict[bool, list[tuple[Launch, list[str]]]] = {}
        for k in launches:
            arrays = [self.array(v) for v in k.arrays]
            args = [*arrays, *self.numbers(k), *map(str, k.fixed)]
            calls.setdefault(len(set(arrays)) == len(arrays), []).append((k, args))
        for apart, some in calls.items():
            names = list(dict.fromkeys([a for _, args in some for a in args if a[0].isalpha()]))
            place = {a: (i,) for i, a in enumerate(names)}
            rows = [Row(k.items, k.cost, [place[a] if a in place else int(a) for a in args])
                    for k, args in some]
            spans, unit = shares(rows)
            self.launch(some[0][0], apart, spans[-1][1], unit, names, rows)

    def numbers(self, k: Launch) -> list[str]:
        """The numbers that a launch takes, as it takes them."""
        return [part for i in k.numbers for part in
                ((f"n{i}.real", f"n{i}.imag") if self.p.numbers[i] is complex else (f"n{i}",))]

    def step(self, n: int, work: Kernel | Task | Together, graph: Graph) -> None:
        if isinstance(work, Kernel | Together):
            for s in work.stores:
                self.before(s.value)
            if isinstance(work, Together):
                for launches in zip(*[k.launches for k in work.kernels]):
                    self.together(launches)
                return
            for launch in work.launches:
                args = [self.array(v) for v in launch.arrays]
                apart = len(set(args)) == len(args)
                args += [*self.numbers(launch), *map(str, launch.fixed)]
                self.launch(launch, apart, launch.items, launch.cost, args)
            return
        for w in work.outs:
            if w is not None:
                self.before(w.value)
        if work.kind == "fold":
            run = self.name(_launches(graph.nodes[work.node]), "f")
            self.lines.append(f"{run}({self.array(work.outs[0].value)}, {self.array(work.ins[0].value)})")
        else:
            self._call(work)

    def _call(self, t: Task) -> None:
        op = t.what
        seen = [s for v in t.args.values() for s in (v if isinstance(v, list) else [v]) if type(s) is Seen]
        half = lambda s: s.dtype in (D.float16, D.bfloat16, D.complex32)
        written = [w for w in t.outs if w is not None]
        if op.half != "native" and any(map(half, [*seen, *written])) or \
                not op.strided and not all(w.strides.contiguous for w in written):
            # copies go to the kernel and back: the op knows how
            args = [self.array(s.value) for s in [*seen, *written]]
            self.lines.append(f"{self.name(_tensors(t), 'c')}({', '.join(args)})")
            return

        def text(v: Any) -> str:
            if type(v) is Seen:
                return self.shaped(v.value, v.dtype, v.layout)
            if isinstance(v, list) and any(type(x) is Seen for x in v):
                return f"[{', '.join(map(text, v))}]"
            return self.name(v, "a")
        outs = ["None" if w is None else self.shaped(w.value, w.dtype, w.strides) for w in t.outs]
        args = [text(t.args[k]) for k in op.params]
        self.lines.append(f"{self.name(op.kernel(cpu), 'c')}({', '.join([*outs, *args])})")

    def finish(self) -> tuple[str, int, list, dict]:
        p, memory = self.p, self.memory
        kernels = natives([(launch, apart) for _, launch, apart, _, _ in self.called])
        for (name, _, _, parallel, rows), native in zip(self.called, kernels):
            if rows:
                self.tables[name] = native, rows
                native = table(native, rows)
            self.space[name] = native if parallel else native.call
        results = []
        seen: set[int] = set()
        for v in p.outputs:
            first = v not in seen
            seen.add(v)
            if v < p.inputs:
                results.append(f"i{v}.copy()")
            elif first:
                results.append(self.array(v))
            else:
                results.append(f"{self.array(v)}.copy()")
        head = []
        if p.inputs:
            head.append(f"[{', '.join(f'i{i}' for i in range(p.inputs))}] = inputs")
        if p.numbers:
            head.append(f"[{', '.join(f'n{i}' for i in range(len(p.numbers)))}] = numbers")
        if self.used:
            head.append(f"({', '.join(self.used)},) = arena")
        body = [*head, *self.lines, f"return [{', '.join(results)}]"]
        source = "\n".join(["def run(inputs, numbers, arena):", *["    " + line for line in body]]) + "\n"
        assert memory.p is p
        return source, self.bytes, self.views, self.space


def _launches(node: Any):
    """A fold in the loops of eager mode: run(result array, input array)."""
    dims, _, dtype = node.extra
    x, o = node.ins[0], node.outs[0]
    like = interpret.tensor_on(np.empty(0, x.dtype.numpy), x.layout, x.dtype)
    compute, _ = node.what.dtype(x.dtype if dtype is None else dtype)
    if dtype is not None and dtype.category < D.FLOAT:
        compute = dtype
    launches = node.what.launches(like, o.dtype, dims, compute_name(compute))
    offset = x.layout.offset

    def run(out, a):
        for launch in launches:
            a = launch(out, a, offset)
    return run


def _tensors(t: Task):
    """A call through its op, on tensors: run(arrays of arguments and results in order)."""
    op, args = t.what, t.args
    outs = [None if w is None else (w.dtype, w.strides) for w in t.outs]

    def run(*arrays):
        it = iter(arrays)
        see = lambda v: interpret.tensor_on(next(it), v.layout, v.dtype) if type(v) is Seen else \
            [see(x) for x in v] if isinstance(v, list) else v
        values = {k: see(v) for k, v in args.items()}
        op.launch(values, [None if w is None else interpret.tensor_on(next(it), w[1], w[0]) for w in outs])
    return run
