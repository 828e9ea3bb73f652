"""Entries that differ in sizes only: one trace in which the sizes are Numbers, an entry for any of them.

After a second size was seen, the function is traced once more with those sizes as Numbers (number.py), on
tensors without memory; nothing is computed, and everything is put back afterwards. What comes out is an entry
whose layouts and counts are polynomials; the questions about sizes that the code asked on the way are guards.
It is believed if it gives back the entries that were traced without it. `Family.find` then evaluates it for
the sizes of a call: no Python of the function runs, only the plan is made."""
from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from operator import eq
from typing import TYPE_CHECKING, Any, NamedTuple

from ..autograd.engine import Node as Tape
from ..autograd.engine import clock, edge
from ..autograd.modes import state
from ..dispatch import cpu, new
from ..dtypes import by_numpy, dtype
from ..kernels import jit
from ..layouts import Layout, Size, contiguous, permuted, stride_order
from ..storage import Storage
from ..tensor import Tensor
from .arguments import Arguments
from .entry import Argument, Backward, Bound, Entry, Level, Template, same, takes
from .environment import Environment, Slot, alike, modes
from .explain import announce
from .graph import Graph, Node, Out, Ref, Value
from .lazy import Failed, Symbol, Tracer, become, held, here
from .number import Int, atom_of, atoms, evaluate, following, itself, varies
from .polynomial import Atom, Polynomial
from .program import Program
from .record import SMALL, Recording, patient
from .watch import Effect, Watch

if TYPE_CHECKING:
    from .function import Compiled

KEPT = 64      # sizes whose entries a family keeps
LEAST = 2      # a size of 1 broadcasts, one of 0 is empty: they are never free

Place = tuple[int, int]   # (argument leaf, dimension)


class Abandoned(BaseException):
    """The trace with free sizes cannot go on. No Exception, so that the traced code does not catch it."""


class Ramp(NamedTuple):
    """The memory of arange, of a size that varies: start, start + step, …"""
    start: Any
    step: Any
    n: Any
    dtype: dtype

    def at(self, number: Callable[[Any], Any]) -> Storage:
        from ..ops.create import arange
        start, step, n = map(number, self[:3])
        return arange(start, start + n * step, step, dtype=self.dtype).storage


class Nothing(list):
    """A list that stays empty: what one trace adds to it is dropped with the trace."""

    def append(self, x: Any) -> None:
        pass


class Dry(Tracer):
    """A tracer that computes nothing."""

    def __init__(self) -> None:
        super().__init__(lambda graph: self.abandon("values are computed"))
        self.sized = self.checks = True
        self.varying = Nothing()
        self.failed = ""
        self.fixed_at: dict[Atom, str] = {}         # sizes that must be what they are, and the line that asks
        self.ramps: dict[int, tuple[Storage, Ramp]] = {}
        self.stands: dict[int, tuple[Storage, Value]] = {}  # tensors of free size that nothing used yet

    def value(self, s: Storage) -> Value:
        found = self.stands.pop(id(s), None)
        if found is not None:
            self.met.append(found)
        return super().value(s)

    def ramp(self, start: Any, step: Any, n: Any, d: dtype) -> Tensor | None:
        if not varies(n):
            return None
        t = self.memory(contiguous((n,)), d)
        self.born.add(id(t.storage))
        self.ramps[id(t.storage)] = t.storage, Ramp(start, step, n, d)
        return t

    def memory(self, layout: Layout, d: dtype) -> Tensor:
        """A tensor of memory of its own, of which only the size is known."""
        t, s = new(Tensor), new(Symbol)
        s.device, s.version = cpu, 0
        t.storage, t.layout, t.dtype = s, layout, d
        v = Value(None, by_numpy.get(d.numpy, d), layout.numel, None, self, cpu)
        held.__set__(s, v)
        self.stands[id(s)] = s, v
        t._requires, t._node, t._base, t._views = False, None, None, None
        return t

    def abandon(self, why: str) -> Any:
        self.failed = self.failed or why
        raise Abandoned(why)

    def decide(self, fn: Callable, args: Sequence[Any], outcome: Any) -> None:
        super().decide(fn, args, outcome)
        if fn is itself:
            used = atoms(args[0])
        elif fn is eq and outcome and type(args[0]) is Int:
            used = {a for term in args[0].form.terms for a in term}
        else:
            return
        if len(used) == 1 and (atom := used.pop()).fn is None:
            self.fixed_at.setdefault(atom, here(False))

    def ask(self, value: Value) -> None:
        self.abandon("a value was read")

    def leave(self, why: str) -> None:
        self.abandon(why)


class Trial(Recording):
    """A run of a function with free sizes, given as Numbers by place."""

    tracer: Dry

    def __init__(self, owner: Compiled, args: tuple, kwargs: dict, leaves: Sequence[Any], spec: Any,
                 sizes: Mapping[Place, Any]):
        super().__init__(owner, args, kwargs, leaves, spec)
        self.sizes = sizes

    def bound(self, graph: Graph, writes: Sequence[tuple[int, int]]) -> Any:
        return Template(graph, writes, graph.numbers(self.tracer.numbers))

    @patient
    def template(self) -> tuple[Entry | None, str]:
        """The entry for all sizes, or why there is none."""
        if (profiler := sys.getprofile()) is not None and not callable(profiler):
            return None, "a profiler runs"
        owner, args, kwargs = self.owner, self.args, self.kwargs
        objects = [v for v in self.leaves if not isinstance(v, Tensor)]
        env, before = Environment((*owner.roots, *objects), owner.codes), modes()
        mark = env.mark()
        self.followed = self.follow(env)
        self.tracer = tracer = Dry()
        watch = Watch(tracer, env.codes)
        self.given = list(self.leaves)
        self.containers = None
        why, entry, kept = "", None, []
        try:
            self.stand()
            for number, at, _ in self.followed:
                if type(at) is int:
                    self.given[at] = number
            self.containers = None if isinstance(self.spec, int) else Arguments(args, kwargs)
            args, kwargs = (tuple(self.given), {}) if self.containers is None else \
                self.containers.put(args, kwargs, self.given)
            start = next(clock)
            self.look_at(env)
            kept = [(t, dict(t.__dict__), t.storage, t.layout, t.dtype, t._requires, t._node, t._base,
                     t._grad) for t in self.reached]
            state.lazy, state.small = tracer, -1
            for x in self.reached:
                if x.storage.device is cpu:
                    tracer.value(x.storage)
            with watch, following():
                result = owner.fn(*args, **kwargs)
            entry = self.entry(result, env, watch, start, before)
            why = tracer.failed or ("" if entry is not None else "; ".join(self.reasons))
        except (Exception, Abandoned, Effect) as e:
            known = str(e) if isinstance(e, Abandoned | Effect) else f"{type(e).__name__}: {e}"
            why = tracer.failed or known
        finally:
            state.lazy, state.small = None, SMALL
            for s, v in tracer.met:
                if v.array is not None:
                    become(s, v.array)
            for ref in tracer.made:
                alive = ref()
                if alive is not None and type(alive) is Symbol:
                    held.__get__(alive).tracer = Failed(RuntimeError("it was made by a trace that is undone"))
            for t, attributes, *was in kept:
                if not same(t.__dict__, attributes):
                    t.__dict__.clear()
                    t.__dict__.update(attributes)
                t.storage, t.layout, t.dtype, t._requires, t._node, t._base, t._grad = was
            for storage, version in self.versions.values() if kept else ():
                storage.version = version
            if self.containers is not None:
                self.containers.restore()
            env.undo(mark)
        return (None, why) if why else (entry, "")

    def first(self, e: Entry, results: Sequence[Any]) -> None:
        """Nothing: the results of this run are not used."""

    def stand(self) -> None:
        """Put tensors without memory where arguments have free sizes or a history."""
        places = {k for k, _ in self.sizes}
        for k, x in enumerate(self.leaves):
            tracked = state.grad and isinstance(x, Tensor) and x.requires_grad and x._node is not None
            if not tracked and k not in places:
                continue
            shape, layout = x.layout.shape, x.layout
            if type(x) is not Tensor or x.storage.device is not cpu or layout.offset or not layout.covers() \
                    or layout.numel != x.storage.array.size or x.storage.array.dtype != x.dtype.numpy:
                raise Abandoned("an argument of free size is no tensor of its own memory")
            if sum(isinstance(y, Tensor) and y.storage is x.storage for y in self.leaves) > 1:
                raise Abandoned("arguments of free size share memory")
            free = tuple([self.sizes.get((k, d), n) for d, n in enumerate(shape)])
            seen = contiguous(free)
            if not layout.contiguous:
                order = stride_order(shape, [layout.strides])
                if permuted(shape, order) != layout:
                    raise Abandoned("an argument of free size has strides that do not follow from its sizes")
                seen = permuted(free, order)
            y = self.tracer.memory(seen, x.dtype)
            y.storage.version, y._requires = x.storage.version, x.requires_grad
            if tracked:
                y._node = node = Tape(Argument(), (edge(x),), None, (), (), {})
                self.arguments[id(node)] = node, k
            self.given[k] = y

    def constant(self, s: Storage, v: Value) -> Any:
        found = self.tracer.ramps.get(id(s))
        return super().constant(s, v) if found is None else found[1]


class Mapped(NamedTuple):
    """What a plan is to a graph."""
    name: str
    tag: tuple
    names: tuple
    shape: tuple
    build: Any
    each: float


class At:
    """Evaluates what a template is made of at given sizes."""

    def __init__(self, sizes: dict[Atom, int]):
        self.sizes = sizes
        self.known: dict[Any, Any] = dict(sizes)
        self.values: dict[int, Value] = {}
        self.layouts: dict[int, Layout] = {}

    def __call__(self, x: Any) -> Any:
        """x with sizes for Numbers that are sizes."""
        if varies(x):
            return evaluate(x, self.known) if atoms(x) <= self.sizes.keys() else x
        kind = type(x)
        if kind is Layout:
            found = self.layouts.get(id(x))
            if found is None:
                shape = tuple(map(self, x.shape))
                found = self.layouts[id(x)] = contiguous(shape).at(shape, tuple(map(self, x.strides)),
                                                                   self(x.offset))
            return found
        if kind is tuple or kind is list or kind is Size:
            return kind([self(v) for v in x])
        if kind is Ref:
            return Ref(self.value(x.value), self(x.layout), x.dtype)
        return x

    def value(self, v: Value) -> Value:
        found = self.values.get(id(v))
        if found is None:
            found = self.values[id(v)] = Value(None, v.dtype, self(v.numel), None, None, v.device)
        return found

    def node(self, n: Node) -> Node:
        w = n.what
        what = Mapped(w.name, w.tag, w.names, self(w.shape), w.build, w.each) if n.kind == "map" else w
        ins = {k: self(v) for k, v in n.ins.items()} if isinstance(n.ins, dict) else list(map(self, n.ins))
        outs = [None if o is None else Out(self.value(o.value), self(o.layout), o.dtype,
                                           None if o.base is None else self.value(o.base)) for o in n.outs]
        made = Node(n.kind, what, ins, outs, self(n.extra))
        for o in outs:
            if o is not None:
                o.value.node = made
        return made

    def level(self, t: Level) -> Level:
        b = t.backward
        made = Level(t.results, Backward(self.program(b.program), b.saved, self(b.metas), self(b.given)),
                     t.watched, t.edges)
        made.parts = list(map(self.level, t.parts))
        return made

    def program(self, t: Template) -> Bound:
        graph = object.__new__(Graph)
        graph.nodes = list(map(self.node, t.graph.nodes))
        graph.inputs = list(map(self.value, t.graph.inputs))
        graph.outputs = list(map(self.value, t.graph.outputs))
        return Bound(graph, t.donated, self(t.numbers), slim)

    @patient
    def entry(self, t: Entry) -> Entry:
        """The entry for these sizes."""
        e = Entry()
        e.__dict__.update(t.__dict__)
        e.leaves, e.tensors = self(t.leaves), self(t.tensors)
        e.sources = [(kind, at.at(self) if type(at) is Ramp else at) for kind, at in t.sources]
        e.results, e.slots, e.views = self(t.results), self(t.slots), self(t.views)
        e.program, e.sizes = self.program(t.program), self.sizes
        e.level = None if t.level is None else self.level(t.level)
        if t.numbers:
            e.numbers = list(e.program.numbers) or [0]
        return e


def slim(graph: Graph, donated: Sequence[tuple[int, int]]) -> Program:
    """A program without what only explains it: there may be many."""
    program = Program(graph, dict(donated))
    if jit.DEBUG:
        announce(program, graph)
    else:
        program.slim(graph, dict(donated))
    return program


class Family:
    """The entries for all sizes of arguments. `sizes`: the Numbers of the template, by place."""

    def __init__(self, template: Entry, sizes: Mapping[Place, Any]):
        self.template, self.spec, self.sizes = template, template.spec, dict(sizes)
        self.places: dict[Atom, Place] = {}
        for place, n in sizes.items():
            self.places.setdefault(atom_of(n), place)
        # what was asked about sizes only, and what is asked in every call
        asked = lambda d: set().union(*map(atoms, d[1])) <= self.places.keys()
        self.questions = [d for d in template.decisions if asked(d)]
        template.decisions = [d for d in template.decisions if not asked(d)]
        if not (template.decisions or template.program.follows or template.followed):
            template.numbers = []
        self.made: OrderedDict[tuple[int, ...], Entry | None] = OrderedDict()

    def sizes_of(self, leaves: Sequence[Any]) -> tuple[int, ...] | None:
        """The free sizes of a call; None where they are not free in it."""
        found = []
        for k, d in self.places.values():
            x = leaves[k]
            if not isinstance(x, Tensor) or d >= len(x.layout.shape) or x.layout.shape[d] < LEAST:
                return None
            found.append(x.layout.shape[d])
        return tuple(found)

    @property
    def letters(self) -> dict[Atom, str]:
        """Names of the sizes."""
        return {a: f"s{i}" for i, a in enumerate(self.places)}

    @property
    def sample(self) -> Entry:
        """One of the entries, to speak of."""
        return next(e for e in reversed(self.made.values()) if e is not None)

    def holds(self, known: dict[Atom, int]) -> bool:
        """Whether what the code asked about sizes comes out the same for these."""
        values: dict[Any, Any] = dict(known)
        return all(alike(fn(*[evaluate(a, values) for a in args]), outcome)
                   for fn, args, outcome in self.questions)

    def at(self, sizes: tuple[int, ...]) -> Entry | None:
        """The entry for these sizes."""
        if sizes in self.made:
            self.made.move_to_end(sizes)
            return self.made[sizes]
        known = dict(zip(self.places, sizes))
        entry = At(known).entry(self.template) if self.holds(known) else None
        if len(self.made) >= KEPT:
            self.made.popitem(False)
        self.made[sizes] = entry
        return entry

    def find(self, spec: Any, leaves: Sequence[Any]) -> tuple[Entry, dict[Any, Any]] | None:
        """The entry for a call and the values of its numbers, if its guards hold."""
        if spec != self.spec or len(leaves) != len(self.template.leaves):
            return None
        sizes = self.sizes_of(leaves)
        if sizes is None:
            return None
        t = self.template
        if sizes not in self.made and not (
                t.guard() and takes(At(dict(zip(self.places, sizes)))(t.leaves), leaves)):
            return None
        entry = self.at(sizes)
        known = None if entry is None else entry.fits(leaves)
        return None if entry is None or known is None else (entry, known)


# ------------------------------------------------------------------------------------------ making families
def differing(old: Sequence[tuple], new: Sequence[tuple]) -> set[Place] | None:
    """The places in which the guards of two entries want different sizes; None where they differ in more, or
    in nothing."""
    found: set[Place] = set()
    if len(old) != len(new):
        return None
    for k, (a, b) in enumerate(zip(old, new)):
        if a[1] != "tensor" or b[1] != "tensor":
            if not same_part(a, b):
                return None
            continue
        (kind, _, x, *rest), (other, _, y, *more) = a, b
        if kind is not other or rest != more or x.ndim != y.ndim:
            return None
        found |= {(k, d) for d, (m, n) in enumerate(zip(x.shape, y.shape)) if m != n}
    return found or None


def marked(x: Any, how: str) -> tuple[int, ...]:
    """The dimensions of an argument that mark_dynamic, or mark_static, was called with."""
    return x.__dict__.get(f"_dynamo_{how}_indices", ()) if isinstance(x, Tensor) and x.__dict__ else ()


def numbered(leaves: Sequence[Any], places: set[Place], others: Sequence[Sequence[Any]]) -> dict[Place, Any]:
    """Numbers for the sizes at these places: places that agree in this call, and in all others, share one."""
    by: dict[tuple, Any] = {}
    found: dict[Place, Any] = {}
    for k, d in sorted(places):
        n = leaves[k].layout.shape[d]
        key = (n, *[o[k][2].shape[d] for o in others])
        if key not in by:
            by[key] = Int(n, Polynomial.of(Atom(low=LEAST)))
        found[k, d] = by[key]
    return found


def same_part(a: Any, b: Any) -> bool:
    """Whether two parts of entries say the same."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple | range):
        return len(a) == len(b) and all(map(same_part, a, b))
    if isinstance(a, Slot):
        if a.holder is not b.holder and (a.parent is None or not same_part(a.parent, b.parent)):
            return False
        return a.key is b.key or a.key == b.key
    if varies(a):
        return True
    if isinstance(a, dict):
        return len(a) == len(b) and all(k in b and same_part(v, b[k]) for k, v in a.items())
    if isinstance(a, Storage):
        return a is b or a.array.dtype == b.array.dtype and a.array.tobytes() == b.array.tobytes()
    return a is b or isinstance(a, int | float | str | complex | Layout | dtype) and a == b


def equal(a: Entry, b: Entry) -> bool:
    """Whether two entries compute the same, apart from numbers that vary."""
    if (a.spec, a.modes, a.result_spec) != (b.spec, b.modes, b.result_spec):
        return False
    parts = ("leaves", "sources", "writes", "counts", "results", "slots", "shown", "views", "alone", "linked",
             "apart", "together")
    if not all(same_part(getattr(a, p), getattr(b, p)) for p in parts) or not same_part(levels(a), levels(b)):
        return False
    return all(p.donated == q.donated and same_part(p.numbers, q.numbers) and p.graph.key() == q.graph.key()
               for p, q in zip(programs(a), programs(b), strict=True))


def levels(e: Entry) -> list[tuple]:
    """What an entry puts on the tape, apart from its programs."""
    found = [] if e.level is None else [e.level, *e.level.parts]
    return [(x.results, x.backward.saved, x.backward.metas, x.backward.given, x.watched, x.edges)
            for x in found]


def programs(e: Entry) -> list[Bound]:
    """The programs of an entry."""
    return [e.program, *([] if e.level is None else [x.backward.program for x in (e.level, *e.level.parts)])]


def generalise(owner: Compiled, args: tuple, kwargs: dict, leaves: Sequence[Any], spec: Any) -> str:
    """Try to let the entry that was just made hold for more sizes. Why it was not done, or ""."""
    latest = owner.entries[-1]
    assert isinstance(latest, Entry)
    wanted = owner.free(leaves)
    others: list[Entry] = []
    for e in owner.entries[:-1] if owner.dynamic is None else ():
        if e.spec == spec and e.sample.modes == latest.modes and (
                found := differing(e.sample.leaves, latest.leaves)):
            wanted |= found
            if isinstance(e, Family):
                wanted |= e.sizes.keys()
            else:
                others.append(e)
    wanted = {(k, d) for k, d in wanted if leaves[k].layout.shape[d] >= LEAST
              and d not in marked(leaves[k], "static")}
    others = [e for e in others if all(e.leaves[k][2].shape[d] >= LEAST for k, d in wanted)]
    if not wanted:
        return ""
    while True:
        sizes = numbered(leaves, wanted, [e.leaves for e in others])
        trial = Trial(owner, args, kwargs, leaves, spec, sizes)
        template, why = trial.template()
        if template is None:
            return why
        fixed = {p: line for p, n in sizes.items() if (line := trial.tracer.fixed_at.get(atom_of(n)))}
        if not fixed:
            break
        wanted -= fixed.keys()
        if not wanted:
            k, d = next(iter(fixed))
            return f"{template.names[k]}.shape[{d}] is used as a number at {fixed[k, d]}"
    family = Family(template, sizes)
    gone: set[int] = set()
    differ = False  # from entries of a time when the function's state was built otherwise
    for e in (latest, *others):
        at = tuple([e.leaves[k][2].shape[d] for k, d in family.places.values()])
        known = dict(zip(family.places, at))
        if not family.holds(known):
            if e is latest:
                return "the sizes were asked for in another way"
            continue
        made = At(known).entry(template)
        if not equal(made, e):
            if e is latest:
                return "what comes out does not give back what was traced"
            differ = True
            continue
        for p, q in zip(programs(made), programs(e)):
            if "program" in q.__dict__:
                p.__dict__["program"] = q.program
        family.made[at] = made
        gone.add(id(e))
    if differ and len(gone) < 2:
        return "what was traced before is something else"
    owner.entries[:] = [e for e in owner.entries if id(e) not in gone]
    owner.entries.append(family)
    return ""
