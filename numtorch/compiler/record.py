"""One run of a function under a Tracer, and the entry that is made of it."""
from __future__ import annotations

import functools
import gc
import sys
import weakref
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import anomaly
from ..autograd.engine import FREED, Node, Output, clock, edge, stamp_of
from ..autograd.engine import run as reverse
from ..autograd.function import _FunctionOp
from ..autograd.modes import state
from ..dispatch import check_inplace, cpu, written
from ..layouts import Size, like
from ..storage import Storage
from ..tensor import Tensor
from ..utils._pytree import children, tree_flatten, tree_is_leaf, tree_unflatten
from . import interpret, tape
from .arguments import Arguments
from .entry import Argument, Backward, Bound, Entry, Level, freed, pattern, program_of, same
from .environment import VALUES, Environment, Missing, modes
from .explain import Names, leaf_names, told
from .graph import Graph, Value
from .lazy import Symbol, Tracer, held
from .number import atom_of, follow, following, plain, release, varies
from .polynomial import Atom
from .program import Program
from .watch import Effect, Watch

if TYPE_CHECKING:
    from .function import Compiled

SMALL = state.small
STRICT = {"dumps", "dump", "timedelta", "Decimal"}  # functions in C that take Python's own numbers only
STALE = -2         # the stamp of a view whose history is to be derived from its base's anew
PATIENCE = 50_000  # new objects between two looks for garbage


def patient(fn: Callable) -> Callable:
    """fn, which makes many objects and drops few: garbage is looked for less often meanwhile."""
    @functools.wraps(fn)
    def run(*args, **kwargs):
        often = gc.get_threshold()
        gc.set_threshold(often[0] and max(often[0], PATIENCE), *often[1:])
        try:
            return fn(*args, **kwargs)
        finally:
            gc.set_threshold(*often)
    return run


class Recording:
    """One run of a function under a Tracer."""

    def __init__(self, owner: Compiled, args: tuple, kwargs: dict, leaves: Sequence[Any], spec: Any):
        self.owner, self.args, self.kwargs, self.leaves, self.spec = owner, args, kwargs, leaves, spec
        self.reasons: list[str] = []
        self.stretches: list[tuple[Program, str]] = []
        self.arguments: dict[int, tuple[Node, int]] = {}  # stand-ins' nodes, with their places
        self.ready: Bound | None = None  # of the entry that was made

    @patient
    def run(self) -> Any:
        """The function's result."""
        owner, args, kwargs = self.owner, self.args, self.kwargs
        # Under a C profiler, which Python cannot put back, nothing is watched and no entry made; nor where
        # hooks see what the tape saves, or every gradient is looked at.
        look = owner.look() and (sys.getprofile() is None or callable(sys.getprofile())) and not (
            state.packers or anomaly.enabled())
        objects = [v for v in self.leaves if not isinstance(v, Tensor)]
        env = Environment((*owner.roots, *objects), owner.codes) if look else None
        before = modes()
        followed = self.follow(env) if env is not None and not owner.effects else []
        tracer = self.tracer = Tracer(self.stretch)
        tracer.whole, tracer.checks = owner.fullgraph, True
        tracer.varying += [number for number, _, _ in followed]
        watch = Watch(tracer) if look else None
        self.given = list(self.leaves)
        if state.grad:
            self.stand()
        for number, at, _ in followed:
            if type(at) is int:
                self.given[at] = number
        self.containers = None if isinstance(self.spec, int) else Arguments(args, kwargs)
        if any(x is not y for x, y in zip(self.given, self.leaves)):
            args, kwargs = (tuple(self.given), {}) if self.containers is None else \
                self.containers.put(args, kwargs, self.given)
        start = next(clock)
        self.look_at(env)
        state.lazy, state.small = tracer, -1
        result = entry = None
        try:
            if env is not None and watch is not None:
                for x in self.reached:
                    if x.storage.device is cpu:
                        tracer.value(x.storage)  # so that reading it is noticed
                with watch, following() if followed else nullcontext():
                    result = owner.fn(*args, **kwargs)
                owner.effects = bool(watch.effects)
                self.followed = followed
                entry = self.entry(result, env, watch, start, before)
            else:
                result = owner.fn(*args, **kwargs)
        finally:
            state.lazy, state.small = None, SMALL
            settle(tracer, env, followed)
            try:
                tracer.flush()  # where the function raised, an error in here came before
            finally:
                real = {id(y): x for x, y in zip(self.leaves, self.given)
                        if isinstance(x, Tensor) and x is not y}
                if real:
                    self.reconnect(result, real, start)
                if self.containers is not None:
                    self.containers.restore()
        result = _restored(result, real)
        if entry is None and tracer.varying:
            release(tracer.varying)
        if entry is not None:
            owner.entries.append(entry)
            owner.tries = 0
        elif look:
            owner.tries += 1
        else:
            owner.stretches = self.stretches
            return result
        told(owner, self.reasons, tracer.breaks)
        owner.stretches = [] if entry is not None else self.stretches
        return result

    def stand(self) -> None:
        """Put stand-ins where arguments have a history: the tape ends there while the function runs."""
        stands: dict[int, Tensor] = {}
        for i, x in enumerate(self.leaves):
            if isinstance(x, Tensor) and x.requires_grad and x._node is not None:
                y = stands.get(id(x))
                if y is None:
                    edge(x)
                    y = x.detach() if type(x) is Tensor else x.detach().as_subclass(type(x))
                    stands[id(x)] = y
                    y.requires_grad, y._base = True, None
                    y._node = node = Node(Argument(), (edge(x),), None, (), (), {})
                    self.arguments[id(node)] = node, i
                self.given[i] = y

    def look_at(self, env: Environment | None) -> None:
        """Note the tensors that the function can reach, as they are before it runs."""
        known = [x for x in self.given if isinstance(x, Tensor)]
        if env is not None:
            known += [s.value for s in env.slots if isinstance(s.value, Tensor)]
        self.reached = known
        self.versions = {id(x.storage): (x.storage, x.storage.version) for x in known}
        self.histories = [(x, edge(x)) for x in known]
        self.forms = [(x, x.layout, x.dtype, x._requires, dict(x.__dict__), x.storage) for x in known]

    def constant(self, s: Storage, v: Value) -> Any:
        """Memory made from numbers on the way, as the program finds it."""
        return Storage(v.array.copy() if held.__get__(s) is not v else v.array)

    def bound(self, graph: Graph, writes: Sequence[tuple[int, int]]) -> Bound:
        """The graph with its program."""
        return Bound(graph, writes, graph.numbers(self.tracer.numbers))

    def stretch(self, graph: Graph) -> list:
        """Arrays of the outputs of what was recorded up to here. The entry's program gives them, where there
        is one."""
        if self.ready is not None:
            place = {id(v): i for i, v in enumerate(self.ready.graph.outputs)}
            if all(id(v) in place for v in graph.outputs):
                got = self.ready.run([v.array for v in self.ready.graph.inputs],
                                     list(map(plain, self.ready.numbers)))
                return [got[place[id(v)]] for v in graph.outputs]
        program, breaks = program_of(graph), self.tracer.breaks
        self.stretches.append((program, breaks[-1] if len(breaks) > len(self.stretches) else ""))
        return program.run([v.array for v in graph.inputs], graph.numbers())

    def follow(self, env: Environment) -> list[tuple]:
        """Put Numbers where numbers were seen to change: [(Number, slot or argument leaf, its place)]."""
        owner = self.owner
        found: list[tuple] = []
        if not env.names.isdisjoint(STRICT) or any("type" in names for _, names in env.absent.values()):
            return found
        here: list[tuple[Any, Any, Any]] = [((id(s.holder), s.key), s.value, s) for s in env.slots
                                            if type(s.value) in (int, float)]
        here += [(("leaf", i), v, i) for i, v in enumerate(self.leaves) if type(v) in (int, float)]
        for place, v, at in here:
            if place in owner.last and owner.last[place] != v:
                owner.varying.add(place)
            owner.last[place] = v
            if place in owner.varying:
                number = follow(v, Atom())
                if type(at) is not int:
                    try:
                        at.set(number)
                    except (TypeError, AttributeError):
                        continue  # read-only
                found.append((number, at, place))
        return found

    # ------------------------------------------------------------------------------------------ a new entry
    def entry(self, result: Any, env: Environment, watch: Watch, start: int,
              before: tuple) -> Entry | None:
        """What the next such call can do instead of running the function; None, with `reasons`, where it must
        run again. Must be called before the tracer's last flush; gives the results their tape node."""
        tracer, no = self.tracer, self.reasons.append
        self.owner.codes.update({c: g for c, g in watch.codes.items() if c not in env.codes})
        for c in watch.codes:
            if c not in env.codes:
                no(f"{c.co_filename}:{c.co_firstlineno}: {c.co_name} was not known to be called")
        for text in (*watch.effects, *tracer.breaks, *tracer.impure):
            no(text)
        for x in env.hidden[:3]:
            no(f"it imports {x.name}" if isinstance(x, Missing) else
               f"it can reach {Names(env).thing(x)}, a {type(x).__name__}, whose state cannot be watched")
        if not env.whole:
            no("the function can reach too many objects")
        changed = env.changes(plain)
        if changed is None:
            no(env.why)
        if self.containers is not None and self.containers.changed():
            no("a list or dict among the arguments changed")
        if before != modes():
            no("a mode was switched")
        if any(edge(x) is not then for x, then in self.histories):
            no("a tensor that existed before got another history")
        elif any(x.layout != layout or x.dtype is not d or x._requires is not grad or x.storage is not s
                 or not same(x.__dict__, attributes) for x, layout, d, grad, attributes, s in self.forms):
            no("a tensor that existed before got another shape, type, memory, requires_grad or attribute")
        trees = [result, *[s.get() for s in changed or ()]]
        if len(boxes := [id(v) for t in trees for v in containers(t)]) != len(set(boxes)) or any(
                i in env.known for i in boxes) or self.containers is not None and any(
                id(c) in boxes for c, _, _ in self.containers.held):
            no("the function returns a list or dict that is kept elsewhere too")
        if self.reasons:
            return None
        e = Entry()
        out_leaves, e.result_spec = ([result], None) if type(result) is Tensor else tree_flatten(result)
        if not all(isinstance(v, Tensor | int | float | str | complex | type(None)) for v in out_leaves):
            no("the function returns something other than tensors, numbers and containers of them")
            return None
        if any(isinstance(v, Tensor) and v.__dict__ and not any(v is x for x, *_ in self.forms)
               for v in out_leaves):
            no("the function makes a tensor with attributes of its own")
            return None
        e.shown = len(out_leaves)
        self.bases(out_leaves, env)
        self.forward, self.born_before = len(tracer.nodes), len(tracer.made)
        found = None
        if self.differentiate(out_leaves, start, env):
            found = self.assemble(e, out_leaves, env, changed or [], before)
        # What the backward pass recorded is in the entry, or nowhere.
        del tracer.nodes[self.forward:], tracer.made[self.born_before:]
        if found is not None:
            self.first(e, out_leaves)
            self.ready = found.program
        return found

    def bases(self, results: list[Any], env: Environment) -> None:
        """Add the tensors that several results are views of: what is written to one is seen in the others."""
        views = [t._base for t in results if isinstance(t, Tensor) and t._base is not None]
        known = {id(t) for t in [*results, *self.given]} | set(env.tensors)
        for n, base in enumerate(views):
            if id(base) not in known and any(base is other for other in views[:n]):
                known.add(id(base))
                results.append(base)

    def differentiate(self, results: Sequence[Any], start: int, env: Environment) -> bool:
        """Trace the backward pass of the results too: `levels`."""
        no = self.reasons.append
        self.levels: list[tape.Level] = []  # all results, then those that depend on each other apart
        self.freed: list[Tensor] = []
        roots: dict[int, int] = {}
        for i, t in enumerate(results):
            if isinstance(t, Tensor) and t.requires_grad and t._node is not None and not any(
                    t is x for x in self.given):
                roots.setdefault(id(t), i)
        for i in list(roots.values()):
            if tape.ends([edge(results[i])], start, self.arguments, {}, tape.Level([])) == FREED:
                self.freed.append(results[i])
                del roots[id(results[i])]
        for t in self.freed:
            t._node = freed()
        if not roots:
            return True
        whole = tape.Level(list(roots.values()))
        mine = [edge(results[i]) for i in whole.results]
        why = tape.ends(mine, start, self.arguments, {}, whole) or self.reverse(whole, results, env)
        parts = tape.levels(results, whole.results)
        if not why and len(parts) > 1:
            why = self.divide(parts, results, start, env)
        if why:
            no(why)
            return False
        self.levels = [whole, *(parts if len(parts) > 1 else ())]
        return True

    def divide(self, parts: Sequence[tape.Level], results: Sequence[Any], start: int,
               env: Environment) -> str:
        """Trace the gradients of results that others depend on and of those others apart; why not, if
        not."""
        below: dict[int, Node] = {}
        ports: set[tuple[int, int]] = set()
        for level in parts:
            mine = [edge(results[i]) for i in level.results]
            restore = tape.cut(below.values())
            try:
                why = tape.ends(mine, start, self.arguments, below, level)
                if not why and any(id(tape.inner(e)) in below and tape.port(e) not in ports
                                   for e in level.targets):
                    why = "results depend on each other through an operation that has several"
                why = why or self.reverse(level, results, env)
            finally:
                restore()
            if why:
                return why
            below |= {id(tape.inner(e)): tape.inner(e) for e in mine}
            ports |= {tape.port(e) for e in mine}
        return ""

    def reverse(self, level: tape.Level, results: Sequence[Any], env: Environment) -> str:
        """Trace the gradients of a level; why not, if not."""
        tracer = self.tracer
        custom = any(isinstance(n.op, _FunctionOp) for n in level.nodes)
        written = [id(held.__get__(s)) for s, _ in tracer.met]
        roots = []
        for i in level.results:
            t = results[i]
            g = tracer.fresh(like(t.layout), t.dtype, t.storage.device)
            level.cotangents.append(held.__get__(g.storage))
            roots.append((edge(t), g))
        restore = tape.unhooked(level.targets)
        try:
            if custom:
                level.grads = self.carefully(roots, level.targets, env)
            else:
                level.grads = reverse(roots, True, False, level.targets, False)
        except Effect as effect:
            return f"the backward pass cannot be traced ahead: {effect}"
        except (RuntimeError, NotImplementedError) as error:
            return f"the backward pass cannot be traced: {error}"
        finally:
            restore()
        if written != [id(held.__get__(s)) for s, _ in tracer.met[:len(written)]] or tracer.breaks:
            return "the backward pass writes to tensors or reads values"
        return ""

    def carefully(self, roots: Sequence[tuple], targets: Sequence[Any], env: Environment) -> list:
        """The gradients of targets, where code of the user's computes some. Effect where that would do more
        than compute: it must be called when the gradients come."""
        mark, watch = env.mark(), Watch(self.tracer, env.codes)
        try:
            with watch:
                got = reverse(roots, True, False, targets, False)
        finally:
            changed = env.undo(mark)
            self.owner.codes.update({c: g for c, g in watch.codes.items() if c not in env.codes})
        if changed:
            raise Effect("it changes more than gradients")
        return got

    def reconnect(self, result: Any, real: dict[int, Tensor], start: int) -> None:
        """Let the history that ends in stand-ins go on in the arguments they stand for."""
        given = [y for y in self.given if isinstance(y, Tensor) and id(y) in real]
        stack = [edge(t) for t in [*tree_flatten(result)[0], *given] if isinstance(t, Tensor)]
        seen: set[int] = set()
        while stack:
            e = stack.pop()
            e = e.node if type(e) is Output else e
            if not isinstance(e, Node) or id(e) in seen or e.seq < start:
                continue
            seen.add(id(e))
            if any(id(x) in self.arguments for x in e.edges):
                e.edges = tuple([edge(self.leaves[self.arguments[id(x)][1]]) if id(x) in self.arguments else x
                                 for x in e.edges])
            stack += e.edges
        views = [t for t in tree_flatten(result)[0] if isinstance(t, Tensor) and id(t._base) in real]
        fresh = [t._stamp == stamp_of(t._base) for t in views]
        for y in given:
            x = real[id(y)]
            if not y._requires:
                x._requires, x._node, x._base = False, None, None
            elif id(y._node) not in self.arguments:
                check_inplace(x, "")
                x.storage.version -= 1  # written() counts it again
                written(x, y._node)
            x.storage, x.layout, x.dtype = y.storage, y.layout, y.dtype
        for t, up_to_date in zip(views, fresh):
            t._base = real[id(t._base)]
            if t._requires:
                t._stamp = stamp_of(t._base) if up_to_date else STALE

    def assemble(self, e: Entry, results: Sequence[Any], env: Environment, changed: Sequence[Any],
                 before: tuple) -> Entry | None:
        """Split what was recorded, compile it, and say where everything comes from and goes to."""
        tracer, no = self.tracer, self.reasons.append
        forward = tracer.nodes[:self.forward]
        made = {id(o.value): n for n in forward for o in n.outs if o is not None}
        passes = [self.pullback(level) for level in self.levels]
        saved = [v for _, vs, _ in passes for v in vs]
        roots = [results[i] for level in self.levels[:1] for i in level.results]
        known = [s.get() for s in changed]
        for t in [*results, *known, *[v for x in known if isinstance(x, list) for v in x]]:
            if isinstance(t, Tensor) and t.storage.device is cpu:
                tracer.value(t.storage)  # views of memory that no operation touched
        read = {id(v) for n in tracer.nodes for v in n.reads()} | {id(v) for v in saved}
        read |= {id(r.value) for r, _ in tracer.reads}
        listed = [v for x in known if isinstance(x, list) for v in x]
        shown = {id(t.storage) for t in [*results, *known, *listed] if isinstance(t, Tensor)}
        met = self.met = [(s, v) for s, v in tracer.met
                          if id(v) in read or id(s) in shown or held.__get__(s) is not v]
        inputs = {id(v): i for i, (_, v) in enumerate(met)}
        args = {id(x.storage): k for k, x in reversed(list(enumerate(self.given))) if isinstance(x, Tensor)}
        owners: dict[int, Any] = {}
        replaced = {id(s) for s in changed}
        for slot in env.slots:
            if isinstance(slot.value, Tensor):
                owners.setdefault(id(slot.value.storage), []).append(slot)
        constants: dict[int, Any] = {}
        source = lambda slot: ("slot", slot) if id(slot) in replaced else ("tensor", slot.value)
        for s, v in met:
            if id(s) in args:
                e.sources.append(("arg", args[id(s)]))
            elif id(s) in owners:
                slot = owners[id(s)][0]
                e.sources.append(source(slot))
                if id(slot) in replaced:
                    e.together.append([x for x in owners[id(s)] if id(x) in replaced])
                    e.tensors.append((slot, None, slot.value.layout, slot.value.dtype, slot.value._requires))
            elif id(s) in tracer.born:
                constant = self.constant(s, v)
                constants[id(s)] = constant
                e.sources.append(("constant", constant))
            else:
                no("a tensor was used that cannot be found from the function's closure, globals or arguments")
                return None
        for s, version in self.versions.values():
            if s.version != version:
                e.counts.append((("arg", args[id(s)]) if id(s) in args else source(owners[id(s)][0]),
                                 s.version - version))
        outputs: list[Value] = []
        placed: dict[int, int] = {}

        def out(v: Value) -> int:
            at = placed.get(id(v))
            if at is None:
                at = placed[id(v)] = len(outputs)
                outputs.append(v)
            return at
        for i, (s, v) in enumerate(met):
            now = held.__get__(s)
            if now is not v and id(s) not in constants:
                e.writes.append((i, out(now)))
                e.apart = len(met) > 1

        done: dict[int, int] = {}   # id of a tensor → its place among results and then slots
        at = {id(x): k for k, x in reversed(list(enumerate(self.given))) if isinstance(x, Tensor)}
        ends = {id(r) for r in roots}
        of = {id(s): i for i, (s, _) in enumerate(met)}

        def how(t: Any) -> tuple | None:
            if not isinstance(t, Tensor):
                return ("const", t, False)  # or a Number
            if id(t) in done:
                return ("again", done[id(t)], False)
            if id(t) in at:
                return ("arg", at[id(t)], False)
            slot = env.tensors.get(id(t))
            if slot is not None and id(slot) not in replaced:
                return ("tensor", t, False)
            if type(t) is not Tensor:
                no(f"the function makes a {type(t).__name__}")
                return None
            grad: bool | str = id(t) in ends
            if t.requires_grad and not grad:
                grad = "leaf" if t._node is None else "freed"
                if t._node is not None and not any(t is f for f in self.freed):
                    no("a tensor with a history is kept, but not returned")
                    return None
            i = of.get(id(t.storage), -1)
            if i >= 0 and id(t.storage) not in constants:
                return ("view", i, t.layout, t.dtype, grad)
            if t.storage.device is not cpu:
                no("a result lies on another device")
                return None
            return ("out", out(held.__get__(t.storage)), t.layout, t.dtype, grad, t.storage.version)
        for t in results:
            made_how = how(t)
            if made_how is None:
                return None
            done.setdefault(id(t), len(e.results))
            e.results.append(made_how)
        for slot in changed:
            now = slot.get()
            if isinstance(now, int | float | complex) and not isinstance(now, bool) and not varies(now):
                no(f"the number {slot.key!r} changes")
                return None
            if type(now) is list and type(slot.value) is list:
                inner = [how(v) if isinstance(v, Tensor | str | bool | type(None) | float | int) else None
                         for v in now]
                if any(h is None for h in inner):
                    no(f"the list {slot.key!r} is replaced")
                    return None
                e.slots.append((slot, ("list", inner)))
                continue
            if not isinstance(now, Tensor | str | bool | type(None)) and not varies(now):
                no(f"{slot.key!r} is replaced")
                return None
            made_how = how(now)
            if made_how is None:
                return None
            done.setdefault(id(now), len(e.results) + len(e.slots))
            e.slots.append((slot, made_how))
            if isinstance(slot.value, Tensor):
                e.tensors.append((slot, None, slot.value.layout, slot.value.dtype, slot.value._requires))
        for i, t in enumerate(results):
            if isinstance(t, Tensor) and t._base is not None and e.results[i][0] in ("view", "out"):
                base = ("again", k) if (k := index(results, t._base)) is not None else \
                    ("arg", k) if (k := index(self.given, t._base)) is not None else \
                    ("tensor", t._base) if id(t._base) in env.tensors else None
                if base is not None:
                    e.views.append((i, base, t._stamp))

        def where(v: Value) -> tuple | None:
            if id(v) in inputs:
                return ("in", inputs[id(v)])
            if id(v) in made:
                return ("out", out(v))
            if not v.numel:  # nothing writes what has no elements
                constants[id(v)] = Storage(np.empty(0, v.dtype.numpy))
                e.sources.append(("constant", constants[id(v)]))
                met.append((constants[id(v)], v))
                return ("in", len(met) - 1)
            return None
        places = [[(where(v), v.dtype) for v in vs] for _, vs, _ in passes]
        if any(w is None for place in places for w, _ in place):
            no("the backward pass needs memory that nothing wrote")
            return None
        accounted = {id(o) for o in outputs} | {id(v) for _, v in tracer.met}
        accounted |= _kept([edge(t) for t in roots])
        for ref in tracer.made[:self.born_before]:
            alive = ref()
            if type(alive) is Symbol and id(held.__get__(alive)) not in accounted:
                no("a tensor made in the function is kept somewhere that cannot be seen")
                return None
        values = [v for _, v in met]
        e.program = self.bound(Graph(forward, values, outputs), [(o, i) for i, o in e.writes])
        for level, (graph, vs, grads), place in zip(self.levels, passes, places):
            wanted = [g[0] for g in grads if g is not None]
            program = self.bound(Graph(graph, [*vs, *level.cotangents], wanted), ())
            spots = {id(v): i for i, v in enumerate(program.graph.outputs)}
            backward = Backward(program, place,
                                [(like(results[i].layout), results[i].dtype) for i in level.results],
                                [None if g is None else (spots[id(g[0])], *g[1:]) for g in grads])
            found = Level(level.results, backward, self.watched(level, inputs, placed, place),
                          [self.edge(t, results) for t in level.targets])
            if e.level is None:
                e.level = found
            else:
                e.level.parts.append(found)
        if e.level is not None:
            e.level.join()
        backwards = [x.backward for x in (e.level, *e.level.parts)] if e.level is not None else []
        if e.program.follows or tracer.decisions or any(b.program.follows for b in backwards) or \
                any(h[0] == "const" and varies(h[1]) for h in _flattened(
                    [*e.results, *[h for _, h in e.slots]])):
            e.numbers = list(e.program.numbers) or [0]
            e.followed = [(atom_of(number), at, type(plain(number))) for number, at, _ in self.followed]
            e.decisions = tracer.decisions
            for r, n in tracer.reads:
                part = Graph(forward, values, [r.value], False)
                e.reads.append((atom_of(n), interpret.Program(part, tracer.numbers), r))
        skip = {id(s) for s in changed if isinstance(s.value, Tensor | list)}
        skip |= {id(at) for _, at, _ in self.followed}
        fixed = list({id(t): (s, t, t.layout, t.dtype, t._requires) for s in reversed(env.slots)
                      if isinstance(t := s.value, Tensor) and id(s) not in skip}.values())
        e.guard, e.spec, e.modes, e.environment, e.skip = env.guard(skip, fixed), self.spec, before, env, skip
        e.tensors += reversed(fixed)
        e.names = leaf_names(self.owner.fn, self.args, self.kwargs)
        for k, x in enumerate(self.leaves):
            if isinstance(x, Tensor):
                bare = x._requires and x._node is None and x.grad is None
                e.leaves.append((type(x), "tensor", self.given[k].layout, x.dtype, x._requires,
                                 x.storage.version < 0, dict(x.__dict__), bare))
            elif any(at == k for _, at, _ in self.followed):
                e.leaves.append((type(x), "any"))
            elif isinstance(x, VALUES):
                e.leaves.append((type(x), "equal", x))
            else:
                e.leaves.append((type(x), "same", x))
        if sum(isinstance(x, Tensor) for x in self.leaves) > 1 or env.tensors:
            e.alone = pattern(self.leaves, env.tensors)
        e.linked = [(args[at], slots[0].value) for at, slots in owners.items() if at in args]
        self.outputs = outputs
        return e

    def pullback(self, level: tape.Level) -> tuple[list, list[Value], list]:
        """(nodes, values that they need, gradients as (value, layout, dtype)) of a level."""
        from ..ops.convert import move
        tracer = self.tracer
        for k, g in enumerate(level.grads):
            if g is not None and not (g.layout.covers() and not g.layout.offset
                                      and g.layout.numel == tracer.value(g.storage).numel):
                level.grads[k] = tracer.fresh(like(g.layout), g.dtype, g.storage.device)
                move(level.grads[k], g)
        grads = [None if g is None else (held.__get__(g.storage), g.layout, g.dtype) for g in level.grads]
        wanted = [g[0] for g in grads if g is not None]
        nodes = Graph(tracer.nodes[self.forward:], [], wanted).nodes
        inside = {id(o.value) for n in nodes for o in n.outs if o is not None}
        inside |= {id(v) for v in level.cotangents}
        needed = {id(v): v for v in [*[v for n in nodes for v in n.reads()], *wanted] if id(v) not in inside}
        return nodes, list(needed.values()), grads

    def watched(self, level: tape.Level, inputs: dict[int, int], outputs: dict[int, int],
                saved: Sequence[tuple]) -> list[tuple]:
        """Inputs and outputs that the tape saved although no gradient needs them: writing to them before the
        backward pass is an error all the same."""
        found: dict[tuple, Any] = {}
        for n in level.nodes:
            for t in n.saved or ():
                if isinstance(t, Tensor) and type(t.storage) is Symbol:
                    v = held.__get__(t.storage)
                    if id(v) in inputs:
                        found["in", inputs[id(v)]] = v.dtype
                    elif id(v) in outputs:
                        found["out", outputs[id(v)]] = v.dtype
        return [(w, d) for w, d in found.items() if w not in [at for at, _ in saved]]

    def edge(self, target: Any, results: Sequence[Any]) -> tuple:
        """Where a gradient goes, for replays."""
        if id(target) in self.arguments:
            return "arg", self.arguments[id(target)][1]
        if isinstance(target, Node | Output):
            for n, level in enumerate(self.levels[1:]):
                for k, i in enumerate(level.results):
                    if tape.port(edge(results[i])) == tape.port(target):
                        return "level", n, k
        place = index(self.given, target)
        return ("tensor", target) if place is None else ("arg", place)

    def first(self, e: Entry, results: Sequence[Any]) -> None:
        """Give the results of this very run their nodes, with what they save. The tape that they replace
        goes, and what only that held is not computed."""
        tracer, outputs = self.tracer, self.outputs
        known = {id(held.__get__(s)): s for s, _ in self.met if type(s) is Symbol}
        known |= {id(held.__get__(t.storage)): t.storage for t in results
                  if isinstance(t, Tensor) and type(t.storage) is Symbol}

        def find(where: tuple) -> Storage:
            kind, at = where
            if kind == "in":
                return self.met[at][0]
            s = known.get(id(outputs[at]))
            if s is None:
                s = known[id(outputs[at])] = object.__new__(Symbol)
                s.device, s.version = outputs[at].device, 0
                held.__set__(s, outputs[at])
                tracer.made.append(weakref.ref(s))
            return s
        if e.level is not None:
            e.level.attach(results, self.leaves, find, plain)
        for i, t in enumerate(results):
            if isinstance(t, Tensor) and t._base is not None and e.results[i][0] in ("view", "out"):
                if not any(i == k for k, _, _ in e.views):
                    t._base = None  # nobody else sees it
                elif t._requires:
                    t._stamp = stamp_of(t._base)


def index(items: Sequence[Any], x: Any) -> int | None:
    """Where an object is among others."""
    return next((k for k, y in enumerate(items) if y is x), None)


def containers(x: Any) -> list:
    """The lists, dicts and deques in a tree."""
    if tree_is_leaf(x):
        return []
    return [*([] if isinstance(x, tuple) else [x]), *[c for v in children(x) for c in containers(v)]]


def _flattened(hows: Sequence[tuple]) -> list[tuple]:
    return [x for h in hows for x in (h[1] if h[0] == "list" else (h,))]


def settle(tracer: Tracer, env: Environment | None, followed: Sequence[tuple]) -> None:
    """Put plain numbers where the function left Numbers."""
    if not followed and not tracer.reads:
        return
    if env is not None:
        for s in env.slots:
            v = s.get()
            if varies(v):
                s.set(plain(v))
            elif type(v) is list:
                for i, x in enumerate(v):
                    if varies(x):
                        v[i] = plain(x)


def _kept(edges: Sequence[Any]) -> set[int]:
    """Ids of the values that a history keeps."""
    found: set[int] = set()
    seen: set[int] = set()
    stack = list(edges)
    while stack:
        e = stack.pop()
        e = e.node if type(e) is Output else e
        if not isinstance(e, Node) or id(e) in seen:
            continue
        seen.add(id(e))
        for t in [*(e.saved or ()), *e.values.values()]:
            if isinstance(t, Tensor) and type(t.storage) is Symbol:
                found.add(id(held.__get__(t.storage)))
        stack += e.edges
    return found


def _restored(result: Any, real: dict[int, Tensor]) -> Any:
    """The result with arguments in the place of their stand-ins, and with plain numbers."""
    if type(result) is Tensor:
        return real.get(id(result), result)
    leaves, spec = tree_flatten(result)
    back = [real.get(id(v), plain(v)) for v in leaves]
    back = [type(v)(map(plain, v)) if isinstance(v, Size) and any(map(varies, v)) else v for v in back]
    return result if all(a is b for a, b in zip(back, leaves)) else tree_unflatten(back, spec)
