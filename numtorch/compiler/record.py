"""One run of a function under a Tracer, and the entry that is made of it."""
from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from ..autograd import anomaly
from ..autograd.engine import FREED, Node, Output, clock, edge
from ..autograd.engine import run as reverse
from ..autograd.function import _FunctionOp
from ..autograd.modes import state
from ..dispatch import check_inplace, cpu, written
from ..layouts import contiguous, like
from ..storage import Storage
from ..tensor import Tensor
from ..utils._pytree import children, tree_flatten, tree_is_leaf, tree_unflatten
from . import interpret
from .arguments import Arguments
from .entry import Argument, Backward, Bound, Entry, freed, program_of
from .environment import VALUES, Environment, modes
from .explain import Names, leaf_names, told
from .graph import Graph, Value
from .lazy import Symbol, Tracer, held
from .number import atom_of, follow, following, plain, varies
from .polynomial import Atom
from .program import Program
from .watch import Effect, Watch

if TYPE_CHECKING:
    from .function import Compiled

SMALL = state.small
PATIENCE = 50_000  # new objects between two looks for garbage


class Recording:
    """One run of a function under a Tracer."""

    def __init__(self, owner: Compiled, args: tuple, kwargs: dict, leaves: Sequence[Any], spec: Any):
        self.owner, self.args, self.kwargs, self.leaves, self.spec = owner, args, kwargs, leaves, spec
        self.reasons: list[str] = []
        self.stretches: list[tuple[Program, str]] = []
        self.arguments: dict[int, tuple[Node, int]] = {}  # stand-ins' nodes, with their places

    def run(self) -> Any:
        """The function's result. A trace makes many objects and drops few: garbage is looked for less often
        meanwhile."""
        often = gc.get_threshold()
        gc.set_threshold(often[0] and max(often[0], PATIENCE), *often[1:])
        try:
            return self._run()
        finally:
            gc.set_threshold(*often)

    def _run(self) -> Any:
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
        tracer.whole = owner.fullgraph
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
        known = [x for x in self.given if isinstance(x, Tensor)]
        if env is not None:
            known += [s.value for s in env.slots if isinstance(s.value, Tensor)]
        self.versions = {id(x.storage): (x.storage, x.storage.version) for x in known}
        self.histories = [(x, edge(x)) for x in known]
        self.forms = [(x, x.layout, x.dtype, x._requires) for x in known]
        state.lazy, state.small = tracer, -1
        result = entry = None
        try:
            if env is not None and watch is not None:
                for x in known:
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

    def stretch(self, graph: Graph) -> list:
        """Arrays of the outputs of what was recorded up to here."""
        program, breaks = program_of(graph), self.tracer.breaks
        self.stretches.append((program, breaks[-1] if len(breaks) > len(self.stretches) else ""))
        return program.run([v.array for v in graph.inputs], graph.numbers())

    def follow(self, env: Environment) -> list[tuple]:
        """Put Numbers where numbers were seen to change: [(Number, slot or argument leaf, its place)]."""
        owner = self.owner
        found: list[tuple] = []
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
            no(f"it can reach {Names(env).thing(x)}, a {type(x).__name__}, whose state cannot be watched")
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
        elif any(x.layout != layout or x.dtype is not d or x._requires is not grad
                 for x, layout, d, grad in self.forms):
            no("a tensor that existed before got another shape, type or requires_grad")
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
        self.forward, self.born_before = len(tracer.nodes), len(tracer.made)
        found = None
        if self.differentiate(out_leaves, start, env):
            found = self.assemble(e, out_leaves, env, changed or [], before)
        # What the backward pass recorded is in the entry, or nowhere.
        del tracer.nodes[self.forward:], tracer.made[self.born_before:]
        if found is not None:
            self.first(e, out_leaves)
        return found

    def reverse(self, roots: Sequence[tuple], leaves: Sequence[Any], env: Environment) -> list:
        """The gradients of leaves, without the hooks on them: those are called when the gradients come.
        Effect where the user's code would do more than compute."""
        hooks = [(t, t._hooks) for t in leaves if isinstance(t, Tensor) and t._hooks]
        for t, _ in hooks:
            t._hooks = None
        try:
            if not self.custom:
                return reverse(roots, True, False, leaves, False)
            mark, watch = env.mark(), Watch(self.tracer, env.codes)
            try:
                with watch:
                    got = reverse(roots, True, False, leaves, False)
            finally:
                changed = env.undo(mark)
                self.owner.codes.update({c: g for c, g in watch.codes.items() if c not in env.codes})
            if changed:
                raise Effect("it changes more than gradients")
            return got
        finally:
            for t, h in hooks:
                t._hooks = h

    def differentiate(self, results: Sequence[Any], start: int, env: Environment) -> bool:
        """Trace the backward pass of the results too."""
        tracer = self.tracer
        self.custom = False  # whether the backward pass calls code of the user's
        self.cotangents: list[Value] = []
        self.grads: list[Any] = []
        self.roots: list[Tensor] = []
        self.freed: list[Tensor] = []
        roots = [t for t in results if isinstance(t, Tensor) and t.requires_grad and t._node is not None
                 and not any(t is x for x in self.given)]
        roots = list({id(t): t for t in roots}.values())
        self.freed = [t for t in roots if self.ends([edge(t)], start) == FREED]
        roots = [t for t in roots if not any(t is f for f in self.freed)]
        for t in self.freed:
            t._node = freed()
        if not roots:
            return True
        leaves = self.ends([edge(t) for t in roots], start)
        if isinstance(leaves, str):
            self.reasons.append(leaves)
            return False
        written = [id(held.__get__(s)) for s, _ in tracer.met]
        seeds = []
        for t in roots:
            g = tracer.fresh(like(t.layout), t.dtype, t.storage.device)
            self.cotangents.append(held.__get__(g.storage))
            seeds.append(g)
        try:
            got = self.reverse([(edge(t), g) for t, g in zip(roots, seeds)], leaves, env)
        except Effect as effect:
            self.reasons.append(f"the backward pass cannot be traced ahead: {effect}")
            return False
        except (RuntimeError, NotImplementedError) as error:
            self.reasons.append(f"the backward pass cannot be traced: {error}")
            return False
        if written != [id(held.__get__(s)) for s, _ in tracer.met[:len(written)]] or tracer.breaks:
            self.reasons.append("the backward pass writes to tensors or reads values")
            return False
        self.leaf_tensors, self.grads, self.roots = leaves, got, roots
        return True

    def ends(self, edges: Sequence[Any], start: int) -> list | str:
        """The leaves, and arguments with histories, that a history ends in; a reason where it cannot be
        traced."""
        found: dict[int, Any] = {}
        seen: set[int] = set()
        stack = list(edges)
        while stack:
            e = stack.pop()
            e = e.node if type(e) is Output else e
            if not isinstance(e, Node) or id(e) in self.arguments:
                if e is not None:
                    found[id(e)] = e
                continue
            if id(e) in seen:
                continue
            seen.add(id(e))
            if e.saved is None:
                return FREED
            if e.seq < start:
                return "a result depends on a tensor with a history of its own that is not an argument"
            self.custom = self.custom or isinstance(e.op, _FunctionOp)
            if e.extra and any(e.extra.get(k) for k in ("hooks", "prehooks", "retained")):
                return "a node of the history has hooks"
            stack += e.edges
        return list(found.values())

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
        for y in given:
            if id(y._node) not in self.arguments:
                check_inplace(real[id(y)], "")
                real[id(y)].storage.version -= 1  # written() counts it again
                written(real[id(y)], y._node)

    def assemble(self, e: Entry, results: Sequence[Any], env: Environment, changed: Sequence[Any],
                 before: tuple) -> Entry | None:
        """Split what was recorded, compile it, and say where everything comes from and goes to."""
        tracer, no = self.tracer, self.reasons.append
        forward, backward = tracer.nodes[:self.forward], tracer.nodes[self.forward:]
        made = {id(o.value): n for n in forward for o in n.outs if o is not None}
        given = [g for g in self.grads if g is not None]
        grad_values: list[Value] = []
        for g in given:
            if not (g.layout.covers() and not g.layout.offset
                    and g.layout.numel == tracer.value(g.storage).numel):
                with_copy = tracer.fresh(like(g.layout), g.dtype, g.storage.device)
                from ..ops.convert import move
                move(with_copy, g)
                self.grads = [with_copy if x is g else x for x in self.grads]
                g = with_copy
                backward = tracer.nodes[self.forward:]
            grad_values.append(held.__get__(g.storage))
        pullback = Graph(backward, [], grad_values)
        inside = {id(o.value) for n in pullback.nodes for o in n.outs if o is not None}
        arriving = {id(v) for v in self.cotangents}
        saved: list[Value] = []
        seen: set[int] = set()
        for v in [*[v for n in pullback.nodes for v in n.reads()], *grad_values]:
            if id(v) not in inside and id(v) not in arriving and id(v) not in seen:
                seen.add(id(v))
                saved.append(v)
        roots = self.roots
        shapes = [None if g is None else (held.__get__(g.storage), g.layout, g.dtype) for g in self.grads]
        known = [s.get() for s in changed]
        for t in [*results, *known, *[v for x in known if isinstance(x, list) for v in x]]:
            if isinstance(t, Tensor) and t.storage.device is cpu:
                tracer.value(t.storage)  # views of memory that no operation touched
        read = {id(v) for n in tracer.nodes for v in n.reads()} | {id(v) for v in grad_values}
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
                    e.tensors.append((slot, None, slot.value.layout, slot.value.dtype, slot.value._requires))
            elif id(s) in tracer.born:
                constant = Storage(v.array.copy() if held.__get__(s) is not v else v.array)
                constants[id(s)] = constant
                e.sources.append(("constant", constant))
            else:
                no("a tensor was used that cannot be found from the function's closure, globals or arguments")
                return None
        for s, version in self.versions.values():
            if s.version != version:
                at = id(s)
                e.counts.append((("arg", args[at]) if at in args else source(owners[at][0]),
                                 s.version - version))
        outputs: list[Value] = []
        place: dict[int, int] = {}

        def out(v: Value) -> int:
            at = place.get(id(v))
            if at is None:
                at = place[id(v)] = len(outputs)
                outputs.append(v)
            return at
        for i, (s, v) in enumerate(met):
            now = held.__get__(s)
            if now is not v and id(s) not in constants:
                e.writes.append((i, out(now)))
                if e.sources[i][0] == "arg":
                    e.distinct = [k for k, x in enumerate(self.given) if isinstance(x, Tensor)]
        if len({id(self.given[k].storage) for k in e.distinct}) != len(e.distinct):
            no("arguments share memory that is written to")
            return None

        def how(t: Any) -> tuple | None:
            if not isinstance(t, Tensor):
                return ("const", t, False)  # or a Number
            for k, x in enumerate(results[:len(e.results)]):
                if x is t:
                    return ("result", k, False)
            for k, x in enumerate(self.given):
                if x is t:
                    return ("arg", k, False)
            slot = env.tensors.get(id(t))
            if slot is not None and id(slot) not in replaced:
                return ("tensor", t, False)
            if type(t) is not Tensor:
                no(f"the function makes a {type(t).__name__}")
                return None
            grad: bool | str = any(t is r for r in roots)
            if t.requires_grad and not grad:
                grad = "leaf" if t._node is None else "freed"
                if t._node is not None and not any(t is f for f in self.freed):
                    no("a tensor with a history is kept, but not returned")
                    return None
            for i, (s, _) in enumerate(met):
                if s is t.storage and id(s) not in constants:
                    return ("view", i, t.layout, t.dtype, grad)
            if t.storage.device is not cpu:
                no("a result lies on another device")
                return None
            kind = "inferred" if t.storage.version < 0 else "out"
            return (kind, out(held.__get__(t.storage)), t.layout, t.dtype, grad)
        for t in results:
            made_how = how(t)
            if made_how is None:
                return None
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
            e.slots.append((slot, made_how))
            if isinstance(slot.value, Tensor):
                e.tensors.append((slot, None, slot.value.layout, slot.value.dtype, slot.value._requires))
        for v in saved:
            if id(v) in inputs:
                i = inputs[id(v)]
                e.saved.append((("in", i), contiguous((v.numel,)), v.dtype))
            elif id(v) in made:
                e.saved.append((("out", out(v)), contiguous((v.numel,)), v.dtype))
            else:
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
        e.program = Bound(Graph(forward, values, outputs), [(o, i) for i, o in e.writes],
                          tracer.numbers)
        if roots:
            ins = [*saved, *self.cotangents]
            program = Bound(Graph(pullback.nodes, ins, [s[0] for s in shapes if s is not None]), (),
                            tracer.numbers)
            spots = {id(v): i for i, v in enumerate(program.graph.outputs)}
            e.backward = Backward(program, range(len(saved)), range(len(saved), len(ins)),
                                  [None if s is None else (spots[id(s[0])], s[1], s[2]) for s in shapes])
            e.backward.metas = [(like(t.layout), t.dtype) for t in roots]
            for leaf in self.leaf_tensors:
                k = self.arguments[id(leaf)][1] if id(leaf) in self.arguments else \
                    next((k for k, x in enumerate(self.given) if x is leaf), None)
                e.edges.append(("tensor", leaf) if k is None else ("arg", k))
        if e.program.follows or tracer.decisions or e.backward and e.backward.program.follows or \
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
                e.leaves.append((type(x), "tensor", x.layout, x.dtype, x.requires_grad))
            elif any(at == k for _, at, _ in self.followed):
                e.leaves.append((type(x), "any"))
            elif isinstance(x, VALUES):
                e.leaves.append((type(x), "equal", x))
            else:
                e.leaves.append((type(x), "same", x))
        self.outputs = outputs
        return e

    def first(self, e: Entry, results: Sequence[Any]) -> None:
        """Give the results of this very run their node, with what it saves. The tape it replaces goes, and
        what only that held is not computed."""
        if e.backward is None:
            return
        tracer, outputs = self.tracer, self.outputs
        kept = []
        for (kind, at), layout, dtype in e.saved:
            t = object.__new__(Tensor)
            if kind == "in":
                s = self.met[at][0]
            else:
                s = object.__new__(Symbol)
                s.device, s.version = outputs[at].device, 0
                held.__set__(s, outputs[at])
                tracer.made.append(weakref.ref(s))
            t.storage, t.layout, t.dtype = s, layout, dtype
            t._requires, t._node, t._base, t._views = False, None, None, None
            kept.append(t)
        node, outs = e.node(self.leaves, kept, plain)
        for k, i in enumerate(outs):
            results[i]._node = node if len(outs) == 1 else Output(node, k)


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
    return result if all(a is b for a, b in zip(back, leaves)) else tree_unflatten(back, spec)
