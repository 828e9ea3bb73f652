"""What a compiled call does where its guards hold: one program, results put in place, one tape node."""
from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..autograd.engine import FREED, Node, Output, edge, stamp_of
from ..autograd.modes import state
from ..dispatch import UNRECORDED, fresh
from ..dtypes import FLOAT
from ..kernels import jit
from ..layouts import Layout, contiguous
from ..storage import Storage
from ..tensor import Tensor
from ..utils._pytree import tree_unflatten
from .environment import alike, modes
from .explain import announce
from .graph import Graph
from .interpret import tensor_on
from .lazy import kept, put_back
from .number import Int, computed, evaluate, varies
from .polynomial import Atom
from .program import Program

PROGRAMS = 512  # kept for stretches and graphs of one structure; beyond them they are made anew
programs: dict[tuple, Program] = {}
VALUES = "values"  # under this name stand the program's numbers beside those they are made of


def program_of(graph: Graph, donated: Sequence[tuple[int, int]] = ()) -> Program:
    """The program of a graph; graphs of the same structure share one."""
    key = (graph.key(), tuple(donated))
    found = programs.get(key)
    if found is None:
        if len(programs) >= PROGRAMS:
            programs.clear()
        found = programs[key] = Program(graph, dict(donated))
        if jit.DEBUG:
            announce(found, graph)
    return found


class Template:
    """A graph and its numbers, some of which are Numbers where it `follows` them."""

    def __init__(self, graph: Graph, donated: Sequence[tuple[int, int]], numbers: Sequence[Any]):
        self.graph, self.donated, self.numbers = graph, tuple(donated), list(numbers)
        self.follows = any(map(varies, self.numbers))


class Bound(Template):
    """A graph and its numbers with the program that computes it, which `make` makes once it is to run."""

    def __init__(self, graph: Graph, donated: Sequence[tuple[int, int]], numbers: Sequence[Any],
                 make: Callable[[Graph, Sequence[tuple[int, int]]], Program] = program_of):
        super().__init__(graph, donated, numbers)
        self._make = make

    @cached_property
    def program(self) -> Program:
        return self._make(self.graph, self.donated)

    @cached_property
    def run(self) -> Callable[[list, list], list]:
        return self.program.run


class Backward:
    """The op of the tape's node for a compiled call: its backward is a program too."""

    name = node_name = "CompiledFunctionBackward"

    def __init__(self, program: Any, saved: Sequence[tuple], metas: Sequence[tuple],
                 given: Sequence[tuple | None]):
        # of saved values: place, type; of cotangents: layout, type; per edge: output, layout, type
        self.program, self.saved, self.metas, self.given = program, saved, metas, given

    def backward(self, node: Node, grads: Sequence[Any]) -> list:
        if state.grad:
            raise RuntimeError("torch.compile with aot_autograd does not currently support double backward")
        known = node.known()
        arrays: list[Any] = []
        for i, (_, dtype) in enumerate(self.saved):
            a = known[f"s{i}"].storage.array
            arrays.append(a if a.dtype == dtype.numpy else a.view(dtype.numpy))
        for g, (layout, dtype) in zip(grads, self.metas):
            arrays.append(_dense(g, layout, dtype))
        got = self.program.run(arrays, known.get("numbers", self.program.numbers))
        out: list[Tensor | None] = []
        for place in self.given:
            if place is None:
                out.append(None)
            else:
                at, layout, dtype = place
                out.append(tensor_on(got[at], layout, dtype))
        return out


class Argument:
    """The op of the node that stands for the history of an argument while a function is recorded."""

    name = node_name = "CompiledFunctionArgument"

    def backward(self, node: Node, grads: Sequence[Any]) -> list:
        return list(grads)


class Refused(Exception):
    """An operation of a program raised an error: the function itself must say where."""


class Freed:
    """The op of a history that the function itself went back through."""

    name = node_name = "CompiledFunctionBackward"

    def backward(self, node: Node, grads: Sequence[Any]) -> list:
        raise RuntimeError(FREED)


def freed() -> Node:
    """A history that was freed."""
    node = Node(Freed(), (), None, (), (), {})
    node.saved = None
    return node


def _dense(g: Tensor | None, layout: Layout, dtype):
    """The memory of a cotangent as the program reads it: of this layout, zeros where there is none."""
    if g is None:
        return np.zeros(layout.numel, dtype.numpy)
    if g.layout.strides == layout.strides and not g.layout.offset and g.storage.array.size == layout.numel \
            and g.dtype is dtype:
        return g.storage.array
    t = fresh(layout, dtype, g.storage.device)
    t.copy_(g.detach())
    return t.storage.array


class Level:
    """A node that replays put on the tape: `results` that it makes, `backward` with what it needs, `watched`
    (inputs and outputs that eager mode would have saved as well, so that they must not change), `edges`:
    ("arg", leaf), ("tensor", t) or ("level", part, result in it).

    Where results depend on each other, `parts` are levels too, the lowest first, whose gradients end at the
    results of those below. They take the node's place once somebody wants to see the gradient of such a
    result, which the node alone does not know."""

    def __init__(self, results: Sequence[int], backward: Backward, watched: Sequence[tuple],
                 edges: Sequence[tuple]):
        self.results, self.backward, self.watched, self.edges = results, backward, list(watched), edges
        self.parts: list[Level] = []

    def join(self) -> None:
        """Save what the parts need, too."""
        known = {w for w, _ in [*self.backward.saved, *self.watched]}
        for part in self.parts:
            for w, d in [*part.backward.saved, *part.watched]:
                if w not in known:
                    known.add(w)
                    self.watched.append((w, d))

    def node(self, find: Callable[[tuple], Storage], to: Callable[[tuple], Any], number: Callable) -> Node:
        """The node. `find` gives the storage of an input or output, `to` where an edge leads, `number` the
        value of a Number."""
        backward = self.backward
        saved = [_block(find(where), dtype) for where, dtype in [*backward.saved, *self.watched]]
        values = {}
        if backward.program.follows:
            values["numbers"] = [number(v) for v in backward.program.numbers]
        names = tuple([f"s{i}" for i in range(len(saved))])
        edges = tuple(map(to, self.edges))
        return Node(backward, edges, None, names, tuple(saved), values, len(self.results))

    def attach(self, results: Sequence[Any], leaves: Sequence[Any], find: Callable[[tuple], Storage],
               number: Callable) -> None:
        """Give the results their node."""
        to = lambda e: edge(leaves[e[1]] if e[0] == "arg" else e[1])
        node = self.node(find, to, number)
        outs = [node] if len(self.results) == 1 else [Output(node, k) for k in range(len(self.results))]
        for i, out in zip(self.results, outs):
            results[i]._requires, results[i]._node = True, out
        if self.parts:
            refs = [weakref.ref(out) for out in outs]
            node.extra = {"open": lambda n: self.open(n, refs, number)}  # type: ignore[dict-item]

    def open(self, node: Node, refs: Sequence[Any], number: Callable) -> None:
        """Put the parts' nodes in the place of the node: the ends of the edges that lead to it move."""
        if node.saved is None:
            return
        node.extra = None
        where = {w: t for (w, _), t in zip([*self.backward.saved, *self.watched], node.saved)}
        ends = dict(zip(self.edges, node.edges))
        versions = dict(zip(where, node.versions))
        below: list[Node] = []

        def to(e: tuple) -> Any:
            if e[0] != "level":
                return ends[e]
            return Output(below[e[1]], e[2]) if below[e[1]].outputs > 1 else below[e[1]]
        for n, part in enumerate(self.parts):
            made = part.node(lambda w: where[w].storage, to, number)
            made.versions = [versions[w] for w, _ in [*part.backward.saved, *part.watched]]
            made.seq = node.seq + n / len(self.parts)  # type: ignore[assignment]
            below.append(made)
            for k, i in enumerate(part.results):
                out = refs[list(self.results).index(i)]()
                if out is not None:
                    out.node, out.index = made, k


def _block(s: Storage, dtype: Any) -> Tensor:
    """All of a block of memory."""
    t = object.__new__(Tensor)
    t.storage, t.dtype = s, dtype
    t.layout = contiguous((s.nbytes // dtype.itemsize,))
    t._requires, t._node, t._base, t._views = False, None, None, None
    return t


class Entry:
    """One specialisation: its guards, its program, and what to make of the program's outputs."""

    def __init__(self) -> None:
        self.program: Any = None
        self.leaves: list[tuple] = []          # guards of the argument leaves
        self.spec: Any = None
        self.modes: tuple = ()
        self.guard: Callable[[], bool] = lambda: True
        self.sources: list[tuple] = []         # per input of the program
        self.tensors: list[tuple] = []         # (slot, tensor or None, layout, dtype, requires_grad)
        self.writes: list[tuple[int, int]] = []  # (input, output): written back
        self.counts: list[tuple] = []          # (source, how many writes its version counts)
        self.results: list[tuple] = []         # how each result leaf is made
        self.result_spec: Any = None
        self.slots: list[tuple] = []           # (slot, how)
        self.shown = 0                         # how many of them the function returns
        self.level: Level | None = None        # the node of the tape
        self.views: list[tuple] = []           # (result, how its base is found, its stamp then)
        self.alone: list | None = None         # which tensor arguments are one, or reachable otherwise
        self.linked: list[tuple] = []          # leaves that share the memory of tensors that are reachable
        self.together: list[list] = []         # slots that hold one storage; other ones hold others
        self.apart = False                     # whether the storages of all inputs must differ
        self.numbers: list = []                # of the program, where some are Numbers
        self.followed: list[tuple] = []        # (atom, slot or leaf, type) of numbers that vary
        self.reads: list[tuple] = []           # (atom, its program, Ref) of what item() reads
        self.decisions: list[tuple] = []
        self.sizes: dict[Atom, int] = {}       # those of a call's sizes that are free
        # what explains it
        self.names: list[str] = []             # of the argument leaves
        self.environment: Any = None
        self.skip: set[int] = set()            # ids of slots that the guard leaves out

    @property
    def backward(self) -> Backward | None:
        """The backward program."""
        return None if self.level is None else self.level.backward

    def fixed(self) -> list:
        """The places that must hold what they held."""
        return self.environment.fixed(self.skip)

    @property
    def sample(self) -> Entry:
        """The entry to speak of."""
        return self

    def find(self, spec: Any, leaves: Sequence[Any]) -> tuple[Entry, dict[Any, Any]] | None:
        """This entry with the values of the numbers that vary, if it is one for such a call."""
        if self.spec != spec:
            return None
        known = self.fits(leaves)
        return None if known is None else (self, known)

    def fits(self, leaves: Sequence[Any]) -> dict[Any, Any] | None:
        """Where the guards hold for these arguments, the values of the numbers that vary (see look)."""
        if not takes(self.leaves, leaves):
            return None
        if self.alone is not None:
            if self.alone != pattern(leaves, self.environment.tensors):
                return None
        for k, t in self.linked:
            if leaves[k].storage is not t.storage:
                return None
        if self.modes != modes() or not self.guard():
            return None
        for slot, t, layout, dtype, grad in self.tensors:
            if t is None:
                x = slot.get()
                if not isinstance(x, Tensor) or x.layout is not layout and x.layout != layout \
                        or x.dtype is not dtype or x.requires_grad is not grad:
                    return None
        if self.together:
            met = set()
            for first, *others in self.together:
                s = first.get().storage
                if any(slot.get().storage is not s for slot in others):
                    return None
                met.add(id(s))
            if len(met) < len(self.together):
                return None
        if self.apart:  # something is written to
            storages = self.storages(leaves)
            if len(set(map(id, storages))) != len(storages):
                return None
        known: dict[Any, Any] = {}
        if self.numbers:
            try:
                known = self.look(leaves)
                values = self.values(known)
                if values is None or not all([-(1 << 63) <= values[i] < 1 << 63 for i in self.whole]):
                    return None
                known[VALUES] = values
            except Exception:  # the function's own code is to raise it
                return None
        return known

    def look(self, leaves: Sequence[Any]) -> dict[Any, Any]:
        """The present values of the numbers that vary. TypeError where one is of another type."""
        known: dict[Any, Any] = dict(self.sizes)
        for atom, at, kind in self.followed:
            known[atom] = v = leaves[at] if type(at) is int else at.get()
            if type(v) is not kind:
                raise TypeError
        if self.reads:
            arrays = [s.array for s in self.storages(leaves)]
            for atom, program, ref in self.reads:  # one may depend on the numbers before
                (a,) = program.run(arrays, [evaluate(v, known) for v in program.numbers])
                known[atom] = tensor_on(a, ref.layout, ref.dtype).item()
        return known

    @cached_property
    def storages(self) -> Callable[[Sequence[Any]], list[Storage]]:
        """What tells where the program's inputs lie."""
        form = {"arg": "leaves[{0}].storage", "tensor": "x{1}.storage", "slot": "x{1}.get().storage"}
        parts = [form.get(kind, "x{1}").format(at, n) for n, (kind, at) in enumerate(self.sources)]
        space = {f"x{n}": at for n, (_, at) in enumerate(self.sources)}
        return eval(f"lambda leaves: [{', '.join(parts)}]", space)

    @cached_property
    def values(self) -> Callable[[dict[Any, Any]], list | None]:
        """What gives the program's numbers; None where the function would have decided otherwise."""
        return computed(self.numbers, self.decisions)

    @cached_property
    def whole(self) -> list[int]:
        """Which of the program's numbers are ints that vary."""
        return [i for i, v in enumerate(self.numbers) if type(v) is Int]

    def run(self, leaves: Sequence[Any], known: dict[Any, Any]) -> Any:
        """Compute: no dispatch, no tape but one node. `known`: what `fits` has found."""
        storages = self.storages(leaves)
        arrays = [s.array for s in storages]
        numbers = self.program.numbers
        if self.numbers:
            numbers = known[VALUES]
        program = self.program.program
        if program.checks:
            drawn = kept(program.generators)
            try:
                got = program.run(arrays, numbers)
            except Exception as e:  # nothing was written
                put_back(drawn)
                raise Refused from e
        else:
            got = program.run(arrays, numbers)
        for i, o in self.writes:
            a, b = arrays[i], got[o]
            if a is not b:
                a[...] = b if a.dtype == b.dtype else b.view(a.dtype)
        for source, count in self.counts:
            _storage(source, leaves).version += count
        made: dict[int, Storage] = {}
        values: list[Any] = []
        place = (leaves, storages, got, made, known, values)
        for how in self.results:
            values.append(_result(how, *place))
        count = len(values)
        for _, how in self.slots:
            values.append(_result(how, *place))
        if self.level is not None:
            written = {o: storages[i] for i, o in self.writes}

            def find(where: tuple) -> Storage:
                kind, at = where
                s = storages[at] if kind == "in" else written.get(at) or made.get(at)
                if s is None:
                    s = made[at] = Storage(got[at])
                return s
            self.level.attach(values, leaves, find, lambda v: evaluate(v, known))
        for i, base, stamp in self.views:
            see(values[i], _result(base, *place), stamp)
        for (slot, _), v in zip(self.slots, values[count:]):
            slot.set(v)
        return values[0] if self.result_spec is None else tree_unflatten(values[:self.shown],
                                                                         self.result_spec)


def takes(guards: Sequence[tuple], leaves: Sequence[Any]) -> bool:
    """Whether arguments are as guards want them."""
    if len(leaves) != len(guards):
        return False
    for x, (kind, *want) in zip(leaves, guards):
        if type(x) is not kind:
            return False
        if want[0] == "tensor":
            layout, dtype, grad, inferred, attributes, bare = want[1:]
            if x.dtype is not dtype or x._requires is not grad or not (
                    x.layout is layout or x.layout == layout) or type(x.storage) is not Storage or (
                    x.storage.version < 0) is not inferred:
                return False
            if (attributes or x.__dict__) and not same(x.__dict__, attributes) or grad and (
                    x._node is None and x.grad is None) is not bare:
                return False
        elif want[0] == "same":
            if x is not want[1]:
                return False
        elif want[0] != "any" and x is not want[1] and not alike(x, want[1]):
            return False
    return True


def pattern(leaves: Sequence[Any], known: Mapping[int, Any]) -> list:
    """For each tensor among the leaves, the first leaf that is the same, or what the function finds it as;
    and the first leaf that shares its memory."""
    at: dict[int, Any] = {}
    found = []
    for i, x in enumerate(leaves):
        if isinstance(x, Tensor):
            found += [known.get(id(x)) or at.setdefault(id(x), i), at.setdefault(id(x.storage), i)]
    return found


def same(a: dict, b: dict) -> bool:
    """Whether two dicts hold the same."""
    return len(a) == len(b) and all(k in b and alike(v, b[k]) for k, v in a.items())


def see(t: Tensor, base: Tensor, stamp: int) -> None:
    """Make `t` a view of `base`, as the tape knows it."""
    t._base = base
    if t._requires:
        t._stamp = stamp_of(base)
    elif stamp == UNRECORDED or t.dtype.category < FLOAT:
        t._stamp = stamp
    else:
        base.watch(t)


def _storage(source: tuple, leaves: Sequence[Any]) -> Storage:
    """Where an input of the program lies."""
    kind, at = source
    return leaves[at].storage if kind == "arg" else at.storage if kind == "tensor" else \
        at.get().storage if kind == "slot" else at


def _result(how: tuple, leaves: Sequence[Any], storages: Sequence[Storage], got: Sequence[Any],
            made: dict[int, Storage], known: dict[int, Any], values: Sequence[Any]) -> Any:
    """One result of a replay, or value of a slot; `values` are those before."""
    kind = how[0]
    if kind == "list":
        return [_result(h, leaves, storages, got, made, known, values) for h in how[1]]
    if kind == "again":
        return values[how[1]]
    if kind == "const":
        return evaluate(how[1], known)
    if kind == "arg":
        return leaves[how[1]]
    if kind == "tensor":
        return how[1]
    if kind == "slot":
        return how[1].get()
    if kind == "view":
        s = storages[how[1]]
    else:
        found = made.get(how[1])
        if found is None:  # results that share memory share a storage
            found = made[how[1]] = Storage(got[how[1]])
            found.version = how[5]
        s = found
    t = object.__new__(Tensor)
    t.storage, t.layout, t.dtype = s, how[2], how[3]
    t._requires, t._node, t._base, t._views = False, None, None, None
    if how[4] == "leaf" or how[4] == "freed":
        t._requires, t._node = True, freed() if how[4] == "freed" else None
    return t
