"""Graph → groups: which nodes become one kernel.

Tasks are the graph's nodes on plain numbers: a task has axes, and an operand is an affine function of them
(strides and an offset into a block of memory). A group has loop axes; each member stands in it by telling,
for each loop axis, which of its own axes runs along it and in which steps, or that it does not vary there. A
member may read what another one writes in the same group if both touch the same element in the same
iteration: then the strides along all loop axes agree. That one comparison covers transposes, reshapes,
broadcasts and slices; loop axes are split where a view cuts them (mixed-radix digits of the memory index)."""
from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from .. import dtypes as D
from ..dispatch import compute_name
from ..kernels.passes import single
from ..layouts import collapse, expanded
from .graph import Graph, Ref

MEMBERS = 96   # nodes of one kernel
ARRAYS = 48    # arrays of one kernel: beyond it address arithmetic costs more than a store saves
ROWS = 64      # a broadcast along new axes joins only where so many rows can be shared out,
SHORT = 4096   # or where the row is so short
CHUNK = 32_768
LIGHT = 1.0    # nanoseconds: work on a few values that may be done again for every row rather than stored


class Access(NamedTuple):
    """Elements of a value as a task reads them."""
    value: int
    dtype: D.dtype
    strides: tuple[int, ...]
    offset: int


class Number(NamedTuple):
    """A number that is an input of the program: `slot` in its list. `dtype`: of the tensor it fills, None for
    an operand of its own."""
    slot: int
    kind: type
    dtype: D.dtype | None = None


class Write(NamedTuple):
    """Elements that a task writes; `base`: the value of the block before, if elements of it stay, or -1."""
    value: int
    dtype: D.dtype
    strides: tuple[int, ...]
    offset: int
    base: int


class Seen(NamedTuple):
    """A tensor argument of a call."""
    value: int
    layout: Any
    dtype: D.dtype


class Task:
    """One node. `what`: of a map the scalar expressions' builder, of a fold (Fold, type computed in), of a
    call the op; `dims`: axes that a fold runs over; `args`: a call's arguments by name."""

    __slots__ = ("kind", "name", "shape", "ins", "outs", "what", "dims", "args", "node", "form",
                 "effect", "checks", "numel", "cost")

    def __init__(self, kind: str, name: str, shape: tuple[int, ...], ins: list, outs: list, what: Any,
                 node: int):
        self.kind, self.name, self.shape, self.ins, self.outs, self.what = kind, name, shape, ins, outs, what
        self.node, self.numel = node, prod(shape)
        self.dims: frozenset[int] = frozenset()
        self.args: dict[str, Any] = {}
        self.form: Any = ()
        self.effect = self.checks = False            # of a call: whether it has one; whether it may raise
        self.cost = 0.3                              # nanoseconds an element takes

    def reads(self) -> list[int]:
        """The values it needs."""
        if self.kind == "call":
            found = [s.value for v in self.args.values() for s in (v if isinstance(v, list) else [v])
                     if type(s) is Seen]
        else:
            found = [a.value for a in self.ins if type(a) is Access]
        return found + [w.base for w in self.outs if w is not None and w.base >= 0]


class Problem:
    """A graph as tasks. Values are numbered: the inputs first. `outputs` may name a value twice, or an
    input."""

    def __init__(self, graph: Graph):
        self.tasks: list[Task] = []
        self.values: list[tuple[D.dtype, int]] = []
        self.numbers: list[type] = []
        self.maker: dict[int, int] = {}          # value → task
        self._same: dict[int, int] = {}          # value → the one it is a copy of
        self._filled: dict[int, Number] = {}
        self._kept: set[int] = set()             # outputs
        ids: dict[int, int] = {}
        wanted = {id(v) for v in graph.outputs}

        def value(v) -> int:
            i = ids.get(id(v))
            if i is None:
                i = ids[id(v)] = len(self.values)
                self.values.append((v.dtype, v.numel))
                if id(v) in wanted:
                    self._kept.add(i)
            return self._same.get(i, i)

        for v in graph.inputs:
            value(v)
        self.inputs = len(graph.inputs)
        for n, node in enumerate(graph.nodes):
            if node.kind == "call":
                self._call(n, node, value)
            elif node.kind == "fold":
                self._fold(n, node, value)
            else:
                self._map(n, node, value)
        self.outputs = [value(v) for v in graph.outputs]
        self._drop_fills()

    def _number(self, v, dtype=None) -> Number:
        self.numbers.append(type(v))
        return Number(len(self.numbers) - 1, type(v), dtype)

    def _write(self, o, shape, value) -> Write:
        return Write(value(o.value), o.dtype, expanded(o.layout, shape), o.layout.offset,
                     -1 if o.base is None else value(o.base))

    def _add(self, task: Task) -> None:
        for w in task.outs:
            if w is not None:
                self.maker[w.value] = len(self.tasks)
        self.tasks.append(task)

    def _map(self, n: int, node, value) -> None:
        fill = node.kind == "fill"
        shape = tuple(node.outs[0].layout.shape) if fill else tuple(node.what.shape)
        ins: list[Any] = []
        for v in node.ins:
            if type(v) is not Ref:
                ins.append(self._number(v))
                continue
            i = value(v.value)
            known = self._filled.get(i)
            if known is not None and known.dtype is v.dtype:
                ins.append(known)
            else:
                ins.append(Access(i, v.dtype, expanded(v.layout, shape), v.layout.offset))
        outs = [self._write(o, shape, value) for o in node.outs]
        out = outs[0]
        if out.base < 0 and (fill or (node.name == "copy" and type(ins[0]) is Number)):
            known = ins[0]
            if fill or known.dtype is out.dtype:
                self._filled[out.value] = Number(known.slot, known.kind, out.dtype)
        if node.name == "copy" and type(ins[0]) is Access and out.base < 0:
            x = ins[0]
            # an output that is a copy of another or of an input is written by a kernel too
            twice = out.value in self._kept and (x.value in self._kept or x.value < self.inputs)
            if not twice and x.dtype is out.dtype and x[2:] == out[2:4] and \
                    self.values[x.value] == self.values[out.value]:
                self._same[out.value] = x.value
                return
        keep = [d for d, m in enumerate(shape) if m != 1]
        cut = lambda a: a if type(a) is Number else a._replace(strides=tuple([a.strides[d] for d in keep]))
        task = Task("map", node.name, tuple([shape[d] for d in keep]), [cut(a) for a in ins],
                    [cut(w) for w in outs], None if fill else node.what.build, n)
        task.form = "fill"
        if not fill:
            task.form, task.cost = (node.what.tag, node.what.names), node.what.each
        self._add(task)

    def _fold(self, n: int, node, value) -> None:
        dims, keepdim, dtype = node.extra
        op, x, o = node.what, node.ins[0], node.outs[0]
        shape = tuple(x.layout.shape)
        compute, kind = op.dtype(x.dtype if dtype is None else dtype)
        if dtype is not None and dtype.category < D.FLOAT:
            compute = kind = dtype
        left = iter(o.layout.strides)
        steps = tuple([0 if d in dims else next(left) for d in range(len(shape))]) if not keepdim else \
            tuple([0 if d in dims else s for d, s in enumerate(o.layout.strides)])
        keep = [d for d, m in enumerate(shape) if m != 1]
        read = tuple([x.layout.strides[d] for d in keep])
        task = Task("fold", op.name, tuple([shape[d] for d in keep]),
                    [Access(value(x.value), x.dtype, read, x.layout.offset)],
                    [Write(value(o.value), o.dtype, tuple([steps[d] for d in keep]), o.layout.offset,
                           -1 if o.base is None else value(o.base))], (op.fold, compute_name(compute)), n)
        task.dims = frozenset(i for i, d in enumerate(keep) if d in dims)
        task.form = (op.name, compute.name, kind.name)
        if not task.dims:  # one element each: no loop
            task.kind, task.what = "map", single(op.fold, compute_name(compute))
            task.form = ("single", *task.form)
        self._add(task)

    def _call(self, n: int, node, value) -> None:
        def seen(v: Any) -> Any:
            if type(v) is Ref:
                return Seen(value(v.value), v.layout, v.dtype)
            return [seen(x) for x in v] if isinstance(v, list) else v
        args = {k: seen(v) for k, v in node.ins.items()}
        outs = [None if o is None else Write(value(o.value), o.dtype, o.layout, 0,
                                             -1 if o.base is None else value(o.base)) for o in node.outs]
        task = Task("call", node.name, (), [], outs, node.what, n)
        task.args, task.effect, task.checks = args, node.extra == ("effect",), node.what.raises
        self._add(task)

    def _drop_fills(self) -> None:
        """Tasks whose values nobody needs any more, since constants went into their readers."""
        wanted = set(self.outputs)
        kept = []
        for t in reversed(self.tasks):
            if t.effect or any(w is not None and w.value in wanted for w in t.outs):
                kept.append(t)
                wanted.update(t.reads())
        self.tasks = kept[::-1]
        self.maker = {w.value: i for i, t in enumerate(self.tasks) for w in t.outs if w is not None}


class Group:
    """Tasks that run as one kernel. `sizes`: its loop axes; `inner`: those that form a row (reduced, or added
    by a broadcast), None where there are none; `form`: "map", "rows", "call", or "eager" for a fold alone."""

    def __init__(self, form: str):
        self.form = form
        self.sizes: list[int] = []
        self.members: list[tuple[int, tuple]] = []  # (task, per loop axis: (its own axis, step) or None)
        self.inner: frozenset[int] | None = None
        self.written: dict[int, tuple[tuple[int, ...], int, D.dtype]] = {}
        self.read: dict[int, tuple[int, ...]] = {}  # outside values, with strides along the loop axes
        self.why = ""                               # why it was not joined with what it reads

    def copy(self) -> Group:
        g = Group(self.form)
        g.sizes, g.members, g.inner, g.why = list(self.sizes), list(self.members), self.inner, self.why
        g.written, g.read = dict(self.written), dict(self.read)
        return g

    @property
    def numel(self) -> int:
        return prod(self.sizes)

    def split(self, a: int, low: int) -> None:
        """Loop axis a becomes two, the second one of size `low`."""
        self.sizes[a:a + 1] = [self.sizes[a] // low, low]
        two = lambda p: (None, None) if p is None else ((p[0], p[1] * low), p)
        self.members = [(t, (*axes[:a], *two(axes[a]), *axes[a + 1:])) for t, axes in self.members]
        cut = lambda s: (*s[:a], s[a] * low, *s[a:])
        self.written = {v: (cut(s), o, d) for v, (s, o, d) in self.written.items()}
        self.read = {v: cut(s) for v, s in self.read.items()}
        if self.inner is not None:
            self.inner = frozenset([c for b in self.inner for c in ([a, a + 1] if b == a else [b + (b > a)])])

    def widen(self, sizes: Sequence[int]) -> None:
        """Loop axes are added, along which nothing varies yet."""
        none, zeros = (None,) * len(sizes), (0,) * len(sizes)
        self.sizes += sizes
        self.members = [(t, axes + none) for t, axes in self.members]
        self.written = {v: (s + zeros, o, d) for v, (s, o, d) in self.written.items()}
        self.read = {v: s + zeros for v, s in self.read.items()}

    def along(self, steps: Sequence[int], axes: Sequence) -> tuple[int, ...]:
        """Strides along the loop axes of an operand with these strides along a task's axes."""
        return tuple([0 if p is None else steps[p[0]] * p[1] for p in axes])


class Scheduler:
    """Joins tasks to groups, one by one in the order they were recorded."""

    def __init__(self, problem: Problem):
        self.problem, self.tasks = problem, problem.tasks
        self.groups: dict[int, Group] = {}
        self.of: dict[int, int] = {}                 # task → group
        self.above: dict[int, int] = {}              # group → set of groups it depends on, as bits
        self.bits: dict[int, int] = {}               # group → its own bits (those of groups it swallowed)
        # A group is named by one of its tasks, so of[name] tells what became of it.
        self.needs: dict[int, list[int]] = {}        # group → names of groups whose values it reads
        self.users: dict[int, list[int]] = {}        # group → names of groups that read its values
        self._alike: dict[tuple, dict[int, None]] = {}  # (size, value read or loops of a fold) → groups
        self._serial = itertools.count()
        self._stamps: dict[int, int] = {}            # group → when it was changed
        self._effect = -1
        for i, t in enumerate(self.tasks):
            self._place(i, t)

    # ------------------------------------------------------------------------------------------ choice
    def _place(self, i: int, t: Task) -> None:
        makers = self._makers(t)
        if t.kind == "call":
            g = Group("call")
            g.members = [(i, ())]
            extra = [self._effect] if t.effect and self._effect >= 0 else []
            self._put(i, g, [], [*makers, *extra])
            if t.effect:
                self._effect = self.of[i]
            return
        joined: list[int] = []
        best: Group | None = None
        why = ""
        # the group with most of the elements first: what it lacks is added to it. Again for those that had to
        # wait until what lies between is in.
        order = sorted([m for m in makers if self.groups[m].form not in ("call", "eager")],
                       key=lambda m: (-self.groups[m].numel, -m))
        for gid in [*order, *order]:
            if gid in joined:
                continue
            if self._cycle([*joined, gid], makers):
                why = why or "something between them runs apart"
                continue
            if best is None:
                found, said = self.join(self.groups[gid], i, t)
            else:
                found, said = self.merge(best, self.groups[gid], i, t)
            if found is None:
                why = why or said
            else:
                best, joined = found, [*joined, gid]
        if best is None:
            for gid in self._siblings(t):
                if gid not in makers and not self._cycle([gid], makers):
                    found, _ = self.join(self.groups[gid], i, t)
                    if found is not None:
                        best, joined = found, [gid]
                        break
        if best is None:
            best = self._alone(i, t)
            best.why = why
        self._put(i, best, joined, makers)

    def _makers(self, t: Task) -> list[int]:
        """Groups whose values the task reads."""
        out: dict[int, None] = {}
        for v in t.reads():
            m = self.problem.maker.get(v)
            if m is not None:
                out[self.of[m]] = None
        return list(out)

    def _siblings(self, t: Task) -> list[int]:
        """Groups as large that read the same memory, or fold in the same loops, the latest first."""
        mine: list = [a.value for a in t.ins if type(a) is Access and 0 not in a.strides]
        if not mine:
            return []
        found: set[int] = set()
        for key in [*mine, nest(t)] if t.kind == "fold" else mine:
            found.update(itertools.islice(reversed(self._alike.get((t.numel, key), {})), 2))
        return sorted(found, key=lambda gid: -self._stamps[gid])[:2]

    def _cycle(self, group: Sequence[int], makers: Sequence[int]) -> bool:
        """Whether these groups with a task that needs `makers` would wait for themselves: whether something
        that they need needs one of them."""
        mask = 0
        for g in group:
            mask |= self.bits[g]
        return any(self.above[m] & mask for m in makers if m not in group) or any(
            self.above[n] & mask for g in group for m in self.needs[g] if (n := self.of[m]) not in group)

    def _put(self, i: int, g: Group, joined: Sequence[int], makers: Sequence[int]) -> None:
        gid = joined[0] if joined else i
        bits, above = 0, 0
        needs: list[int] = []
        users: list[int] = []
        for m in joined:
            bits |= self.bits.pop(m)
            above |= self.above.pop(m)
            needs += self.needs.pop(m)
            users += self.users.pop(m)
            gone = self.groups.pop(m)
            for key in alike(gone):
                self._alike[key].pop(m, None)
            if m != gid:
                for task, _ in gone.members:
                    self.of[task] = gid
        known = above
        for m in makers:
            if m not in joined:
                above |= self.above[m] | self.bits[m]
                needs.append(m)
                self.users[m].append(gid)
        bits = bits or 1 << next(self._serial)
        above &= ~bits
        self.groups[gid], self.bits[gid], self.above[gid], self.of[i] = g, bits, above, gid
        self.needs[gid], self.users[gid] = needs, users
        self._stamps[gid] = i
        for key in alike(g):
            self._alike.setdefault(key, {})[gid] = None
        if len(joined) > 1 or above | known != known:
            waiting = list(users)
            while waiting:      # what waits for this group waits for all that it waits for
                m = self.of[waiting.pop()]
                if m != gid and (above | bits) & ~self.above[m]:
                    self.above[m] |= above | bits
                    waiting += self.users[m]

    def _alone(self, i: int, t: Task) -> Group:
        g = Group("map")
        g.sizes = list(t.shape)
        axes = tuple([(k, 1) for k in range(len(t.shape))])
        why = self._enter(g, i, t, axes)
        if why:
            g = Group("eager")
            g.sizes, g.members = list(t.shape), [(i, axes)]
        return g

    # ------------------------------------------------------------------------------------------ joining
    def join(self, group: Group, i: int, t: Task) -> tuple[Group | None, str]:
        """The group with the task in it; or None and why not."""
        if len(group.members) >= MEMBERS or len(group.read) + len(group.written) >= ARRAYS:
            return None, "the kernel is large enough"
        g = group.copy()
        axes, why = self.fit(g, t)
        if axes is None:
            return None, why
        why = self._enter(g, i, t, axes)
        return (None, why) if why else (g, "")

    def fit(self, g: Group, t: Task) -> tuple[tuple | None, str]:
        """Where the task's axes lie among the loop axes of g, which may be split or added to."""
        runs: dict[int, list[tuple[int, int]]] = {}   # task axis → (loop axis, step)
        taken: list[bool] = [False] * len(g.sizes)

        def cut(a: int, low: int) -> None:
            g.split(a, low)
            taken[a:a + 1] = [taken[a], taken[a]]
            for k, run in runs.items():
                runs[k] = [q for b, m in run
                           for q in ([(a, m * low), (a + 1, m)] if b == a else [(b + (b > a), m)])]

        def digits(k: int, step: int, where: Any) -> bool:
            """Lay axis k along the loop axes that step through the same memory."""
            rest, at = t.shape[k], step
            run: list[tuple[int, int]] = []
            while rest > 1:
                w = where()
                a = next((b for b in range(len(w)) if w[b] == at and not taken[b] and g.sizes[b] > 1), -1)
                if a < 0:
                    for b in range(len(w)):
                        if not taken[b] and 0 < w[b] < at < w[b] * g.sizes[b] and at % w[b] == 0 \
                                and g.sizes[b] % (at // w[b]) == 0:
                            cut(b, at // w[b])
                            run = [(c + (c > b), m) for c, m in run]
                            a = b
                            break
                    if a < 0:
                        return False
                n = g.sizes[a]
                if rest % n:
                    if n % rest:
                        return False
                    cut(a, rest)
                    run = [(c + (c > a), m) for c, m in run]
                    a, n = a + 1, rest
                taken[a] = True
                run.append((a, at // step))
                rest, at = rest // n, at * n
            runs[k] = run
            return True

        inside = [a for a in t.ins if type(a) is Access and a.value in g.written]
        inside.sort(key=lambda a: a.strides.count(0))
        for x in inside:
            if g.written[x.value][1] != x.offset:
                return None, "it reads another part than was written"
            for k, s in enumerate(x.strides):
                if s and k not in runs and not digits(k, s, lambda x=x: g.written[x.value][0]):
                    return None, "its index does not follow the loops that write what it reads"
        for x in t.ins:
            if type(x) is Access and x.value in g.read:
                for k, s in enumerate(x.strides):
                    if s and k not in runs:
                        before = list(taken)
                        if not digits(k, s, lambda x=x: g.read[x.value]) and len(before) == len(taken):
                            taken[:] = before
        left = [k for k in range(len(t.shape)) if k not in runs]
        for k in list(left):
            b = next((b for b in range(len(g.sizes)) if not taken[b] and g.sizes[b] == t.shape[k]), -1)
            if b >= 0:
                taken[b], runs[k] = True, [(b, 1)]
                left.remove(k)
        if left:
            rows, row = g.numel, prod([t.shape[k] for k in left])
            if g.inner is not None or not all(taken):
                return None, "it has other loops"
            if rows < ROWS and row > SHORT:
                return None, "it repeats few values many times"
            n = len(g.sizes)
            runs.update({k: [(n + a, 1)] for a, k in enumerate(left)})
            g.widen([t.shape[k] for k in left])
            g.inner = frozenset(range(n, len(g.sizes)))
        place: list = [None] * len(g.sizes)
        for k, run in runs.items():
            for a, m in run:
                place[a] = (k, m)
        return tuple(place), ""

    def _enter(self, g: Group, i: int, t: Task, axes: tuple) -> str:
        """Put the task into g with those axes; why not, if not."""
        if t.kind == "fold":
            if None in axes:
                return "it folds values of rows"
            over, form = frozenset(a for a, p in enumerate(axes) if p[0] in t.dims), nest(t)
            if g.inner is not None and g.inner != over or g.form not in ("map", form):
                return "it folds other axes"
            g.inner, g.form = over, form
        g.members.append((i, axes))
        for w in t.outs:
            g.written[w.value] = (g.along(w.strides, axes), w.offset, w.dtype)
        for a in t.ins:
            if type(a) is Access and a.value not in g.written and a.value not in g.read:
                g.read[a.value] = g.along(a.strides, axes)
        return self._check(g, g.members[-1:])

    def merge(self, g: Group, other: Group, i: int, t: Task) -> tuple[Group | None, str]:
        """g (which holds the task) with the members of `other`, which the task reads too."""
        if len(g.members) + len(other.members) > MEMBERS or \
                len(g.read) + len(g.written) + len(other.read) + len(other.written) > ARRAYS:
            return None, "the kernel is large enough"
        g, h = g.copy(), other.copy()
        there, why = self.fit(h, t)
        if there is None:
            return None, why
        h.members.append((i, there))
        mine = next(axes for task, axes in g.members if task == i)
        at = len(h.members) - 1
        # one digit of the task's index per loop axis, in both groups
        moved = True
        while moved:
            moved = False
            mine, there = next(axes for task, axes in g.members if task == i), h.members[at][1]
            for k in range(len(t.shape)):
                a = sorted([(p[1], q) for q, p in enumerate(mine) if p is not None and p[0] == k])
                b = sorted([(p[1], q) for q, p in enumerate(there) if p is not None and p[0] == k])
                for (m, q), (n, r) in zip(a, b):
                    if m != n:
                        return None, "its index does not follow the loops that write what it reads"
                    x, y = g.sizes[q], h.sizes[r]
                    if x != y:
                        if max(x, y) % min(x, y):
                            return None, "its index does not follow the loops that write what it reads"
                        (g if x > y else h).split(q if x > y else r, min(x, y))
                        moved = True
                        break
                if moved:
                    break
        key = {p: q for q, p in enumerate(there) if p is not None}
        order: list[int | None] = [None if p is None else key.get(p) for p in mine]
        rest = [r for r in range(len(h.sizes)) if there[r] is None]
        for q in range(len(g.sizes)):
            if order[q] is None and mine[q] is None:
                found = [r for r in rest if h.sizes[r] == g.sizes[q]]
                if found:
                    order[q] = found[0]
                    rest.remove(found[0])
        if rest:
            if g.inner is not None or h.inner is None or not set(rest) <= h.inner:
                return None, "it has other loops"
            g.widen([h.sizes[r] for r in rest])
            order += rest
            g.inner = frozenset(range(len(g.sizes) - len(rest), len(g.sizes)))
        if h.inner is not None:
            inner = frozenset(q for q, r in enumerate(order) if r in h.inner)
            if g.inner is not None and g.inner != inner:
                return None, "it folds other axes"
            g.inner = inner
        forms = {g.form, h.form} - {"map"}
        if len(forms) > 1:
            return None, "it folds other axes"
        g.form = forms.pop() if forms else "map"
        known = {task for task, _ in g.members}
        g.members += [(task, tuple([None if r is None else axes[r] for r in order]))
                      for task, axes in h.members if task not in known]
        g.members.sort(key=lambda m: m[0])
        g.written, g.read = {}, {}
        for task, axes in g.members:
            for w in self.tasks[task].outs:
                g.written[w.value] = (g.along(w.strides, axes), w.offset, w.dtype)
        for task, axes in g.members:
            for x in self.tasks[task].ins:
                if type(x) is Access and x.value not in g.written and x.value not in g.read:
                    g.read[x.value] = g.along(x.strides, axes)
        why = self._check(g, g.members)
        return (None, why) if why else (g, "")

    def _check(self, g: Group, new: Sequence[tuple[int, tuple]]) -> str:
        """Why g is not one kernel; "" if it is. `new`: members that were not in a kernel with the others."""
        inner = g.inner or frozenset()
        for i, axes in new:
            t = self.tasks[i]
            if None in axes and {a for a, p in enumerate(axes) if p is None} != inner:
                return "it varies along other axes than the rest"
            if any(w.base in g.written for w in t.outs):
                return "it writes a part of what the kernel makes"
            for x in t.ins:
                if type(x) is Access and (w := g.written.get(x.value)) is not None \
                        and w != (g.along(x.strides, axes), x.offset, x.dtype):
                    return "its index does not follow the loops that write what it reads"
        if not inner:
            return ""
        folded = [g.along(self.tasks[i].ins[0].strides, axes) for i, axes in g.members
                  if self.tasks[i].kind == "fold"]
        row = sorted(inner)
        if not folded:
            light = sum(self.tasks[i].cost for i, axes in g.members if None in axes)
            wide = next(g.along(w.strides, a) for i, a in g.members if None not in a
                        for w in self.tasks[i].outs)
            least = min([s for s in wide if s], default=0)
            if light > LIGHT and not any(wide[a] == least for a in row):
                return "its values would be computed again for each row"
            return ""
        if g.form == "rows":
            return "" if passes(self.tasks, g) is not None else "the order of its sums would change"
        if any(None in axes for _, axes in g.members):
            return "it needs the whole sum"
        sums = [self.tasks[i].outs[0].value for i, _ in g.members if self.tasks[i].kind == "fold"]
        if any(v in sums for i, _ in g.members for v in self.tasks[i].reads()):
            return "it needs the whole sum"
        if g.form == "chunks":
            steps = [s for i, axes in g.members for s in self._steps(g, self.tasks[i], axes)]
            loops, lead = collapse(g.sizes, [*folded, *steps])
            return "" if len(loops) == 1 and lead[0] == [1] else "the order of its sums would change"
        orders = {tuple(sorted(row, key=lambda a: -s[a])) for s in folded}
        return "" if len(orders) == 1 else "the order of its sums would change"

    def _steps(self, g: Group, t: Task, axes: tuple) -> list[tuple[int, ...]]:
        """Strides along the loop axes of what a member loads and stores."""
        return [g.along(a.strides, axes) for a in [*t.ins, *t.outs]
                if type(a) is Write or type(a) is Access and a.value not in g.written]


def loaded(tasks: Sequence[Task], g: Group) -> dict[int, dict[tuple, None]]:
    """For each value made in g, what is loaded to compute it in the row: (value, type, strides along the loop
    axes, offset). Values of whole rows are not computed again."""
    out: dict[int, dict[tuple, None]] = {}
    for i, axes in g.members:
        t = tasks[i]
        found: dict[tuple, None] = {}
        for x in t.ins:
            if type(x) is Access:
                if x.value in out:
                    found.update(out[x.value])
                else:
                    found[x.value, x.dtype, g.along(x.strides, axes), x.offset] = None
        for w in t.outs:
            out[w.value] = found if None not in axes and t.kind == "map" else {}
    return out


def levels(tasks: Sequence[Task], g: Group) -> dict[int, int]:
    """The pass over the row before which each value is known."""
    out: dict[int, int] = {}
    for i, _ in g.members:
        t = tasks[i]
        known = max([out.get(x.value, 0) for x in t.ins if type(x) is Access], default=0)
        for w in t.outs:
            out[w.value] = known + (t.kind == "fold")
    return out


def passes(tasks: Sequence[Task], g: Group) -> list[list[list[int]]] | None:
    """Per pass that folds, the strides of what it folds and loads: the first decide the order of its loops.
    None where other operands would break up loops that eager mode runs as one: sums would change."""
    row = sorted(g.inner or ())
    sizes = [g.sizes[a] for a in row]
    reach, level = loaded(tasks, g), levels(tasks, g)
    out: list[list[list[int]]] = []
    folds = [(level[tasks[i].outs[0].value] - 1, tasks[i].ins[0], axes) for i, axes in g.members
             if tasks[i].kind == "fold"]
    for p in range(max([f[0] for f in folds], default=-1) + 1):
        mine = [(x, g.along(x.strides, axes)) for q, x, axes in folds if q == p]
        lead = [[s[a] for a in row] for _, s in mine]
        loads = [k[2] for x, s in mine for k in (reach[x.value] if x.value in reach else [(0, 0, s)])]
        joint, _ = collapse(sizes, [*lead, *[[k[a] for a in row] for k in loads]])
        if any(collapse(sizes, [one])[0] != joint for one in lead):
            return None
        out.append([*lead, *[[k[a] for a in row] for k in loads]])
    return out


def nest(t: Task) -> str:
    """The loops in which eager mode runs a fold, by the strides of what it reads (kinds/reduction.py):
    "rows", "columns" or "chunks"."""
    x = t.ins[0]
    kept = [d for d in range(len(t.shape)) if d not in t.dims]
    over = sorted(t.dims)
    ksize, (_, kx) = collapse([t.shape[d] for d in kept], [[t.outs[0].strides[d] for d in kept],
                                                           [x.strides[d] for d in kept]])
    rsize, (rx,) = collapse([t.shape[d] for d in over], [[x.strides[d] for d in over]])
    lanes = [k for k in range(len(ksize)) if kx[k] == 1]
    if not rsize:
        return "rows"
    if lanes and rx[-1] != 1 and ksize[lanes[0]] >= 8:
        return "columns"
    if not ksize and len(rsize) == 1 and rx[0] == 1 and rsize[0] > 2 * CHUNK:
        return "chunks"
    return "rows"


def alike(g: Group) -> list[tuple]:
    """What a task can have in common with a group that it does not read: its size, with a value read or with
    the loops of a fold."""
    if g.form in ("call", "eager"):
        return []
    n = g.numel
    return [(n, v) for v in (g.read if g.form == "map" else [*g.read, g.form])]


def ordered(s: Scheduler) -> list[Group]:
    """Groups so that each comes after those it needs, otherwise in the order of their last tasks."""
    needs = {g: {s.of[m] for m in s.needs[g]} - {g} for g in s.groups}
    users: dict[int, list[int]] = {g: [] for g in s.groups}
    for g, before in needs.items():
        for m in before:
            users[m].append(g)
    left = {g: len(before) for g, before in needs.items()}
    last = lambda g: s.groups[g].members[-1][0]
    ready = [(last(g), g) for g, n in left.items() if not n]
    heapq.heapify(ready)
    out: list[Group] = []
    while ready:
        _, g = heapq.heappop(ready)
        out.append(s.groups[g])
        for m in users[g]:
            left[m] -= 1
            if not left[m]:
                heapq.heappush(ready, (last(m), m))
    assert len(out) == len(needs), "groups wait for each other"
    return out
