"""A composite's body as a kernel of its own in eager mode: traced once on tensors that stand for its
arguments, then run without dispatch. Folds of slow dimensions, which their own elements need, take a few."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..autograd.modes import state
from ..dispatch import array_of, backend, cpu, new
from ..kernels import jit
from ..layouts import Layout
from ..storage import Storage
from ..tensor import Tensor
from .graph import Graph, Value
from .interpret import tensor_on
from .lazy import Symbol, Tracer, held
from .lower import Kernel, Launch, natives
from .program import Memory, needed
from .schedule import Problem, Scheduler, ordered


class Untraceable(Exception):
    """The code did something that one kernel cannot hold; the message says what."""


class Scratch:
    """Blocks of memory for what lives during one call; kept, because fresh memory costs more than its first
    use (a page fault for every 4 KiB)."""

    LIMIT = 1 << 25  # bytes of a block that is kept

    def __init__(self) -> None:
        self.free: list[np.ndarray] = []

    def take(self, size: int) -> np.ndarray:
        """A block of at least `size` bytes that nobody else uses."""
        try:
            block = self.free.pop()
        except IndexError:
            block = np.empty(0, np.uint8)
        return block if block.size >= size else np.empty(max(size, 1 << 16), np.uint8)

    def give(self, block: np.ndarray) -> None:
        if block.size <= self.LIMIT and len(self.free) < 8:
            self.free.append(block)


pool = Scratch()


class _Once(Tracer):
    """A tracer of code that may not look at values."""

    def ask(self, value: Value) -> None:
        raise Untraceable("a value was read (item, bool, float) inside traced code")

    def leave(self, why: str) -> None:
        raise Untraceable(why)

    def item(self, t: Tensor) -> Any:
        return None


def _run(graph: Graph) -> list:
    raise Untraceable("traced code was to run")


class Record(NamedTuple):
    """What a function did to stand-ins: its tracer and result; `now`: the values that the stand-ins it met
    have after it, those of other tensors apart."""
    tracer: Tracer
    result: Any
    now: list[Value]


def record(fn: Callable, stands: Sequence[Tensor]) -> Record:
    """Run `fn` on stand-ins; it may use no tensors but these and what it makes."""
    tracer, before, grad, small = _Once(_run), state.lazy, state.grad, state.small
    for t in stands:
        tracer.value(t.storage)
    state.lazy, state.grad, state.small = tracer, False, -1
    try:
        result = fn(*stands)
    finally:
        state.lazy, state.grad, state.small = before, grad, small
        now = [held.__get__(s) for s, _ in tracer.met]
        for s, v in tracer.met:
            s.__class__ = Storage
            held.__set__(s, v.array)
    mine = {id(t.storage) for t in stands}
    if any(id(s) not in mine for s, _ in tracer.met):
        raise Untraceable("the code uses tensors of its own")
    return Record(tracer, result, now)


class Call(NamedTuple):
    """One launch: `arrays` are places in the list of made arrays, inputs and scratch memory; `numbers` places
    among the graph's numbers; `moves` (argument, input): offsets that are those of the input."""
    launch: Launch
    arrays: list[int]
    numbers: list[int]
    moves: list[tuple[int, int]]


class Calls:
    """A graph's kernels and where their arguments come from: arrays to be `made` for outputs, inputs, then
    scratch memory. `donated`: output → the input whose memory it may take; `places`: where each output
    lies."""

    def __init__(self, graph: Graph, donated: Mapping[int, int]):
        p = Problem(graph)
        if any(v not in p.maker for v in p.outputs):
            raise Untraceable("the function returns an argument")
        if len(set(p.outputs)) != len(p.outputs):
            raise Untraceable("two results are one")
        groups = ordered(Scheduler(p))
        for g in groups:
            first = p.tasks[g.members[0][0]]
            if g.form in ("call", "eager"):
                raise Untraceable(f"{first.name} is a call of its own, not a loop that fuses")
            if any(w.base >= 0 for i, _ in g.members for w in p.tasks[i].outs):
                raise Untraceable("a part of a tensor was written to inside traced code")
        wanted = needed(p, groups)
        kernels = [Kernel(p, g, wanted) for g in groups]
        memory = Memory(p, list(kernels), dict(donated))
        chain: Callable[[int], int] = lambda v: memory.chain.get(v, v)
        made: dict[int, int] = {}                    # chain → place
        self.made: list[tuple] = []                  # (dtype, elements)
        for v in p.outputs:
            if chain(v) not in memory.given:
                made[chain(v)] = len(self.made)
                self.made.append(p.values[v])
        launches = [k for kernel in kernels for k in kernel.launches]
        heads = {chain(v) for k in launches for v in k.arrays if v >= p.inputs} - made.keys() - \
            memory.given.keys()
        at, self.bytes = memory.arena(sorted(heads))
        self.scratch: list[tuple] = []               # (start and end in a block of bytes, dtype)
        spots: dict[int, int] = {}

        def place(v: int) -> int:
            head = chain(v)
            if v < p.inputs or head in memory.given:
                return len(self.made) + (v if v < p.inputs else memory.given[head])
            if head in made:
                return made[head]
            if head not in spots:
                d, n = p.values[head]
                spots[head] = len(self.made) + p.inputs + len(self.scratch)
                self.scratch.append((at[head], at[head] + n * d.itemsize, d))
            return spots[head]
        self.calls: list[Call] = []
        for k in launches:
            arrays = [place(v) for v in k.arrays]
            moves = [(k.spot + i, v) for i, v in enumerate(k.placed) if v < p.inputs]
            self.calls.append(Call(k, arrays, k.numbers, moves))
        self.places = [place(v) for v in p.outputs]


def words(numbers: Sequence[Any], slots: Sequence[int]) -> list:
    """Numbers as kernels take them."""
    out: list = []
    for k in slots:
        n = numbers[k]
        out += (n.real, n.imag) if isinstance(n, complex) else (n,)
    return out


class Fused:
    """A function of tensors as kernels for types and layouts as those of `tensors`: `run(tensors)` gives
    what fn would give."""

    def __init__(self, fn: Callable, tensors: Sequence[Tensor]):
        """`fn` takes tensors like `tensors` and returns one, or a tuple of them."""
        self.device = tensors[0].storage.device
        stands = [stand(t, t.layout) for t in tensors]
        seen = record(fn, stands)
        values = [v for _, v in seen.tracer.met]
        if any(v is not now for v, now in zip(values, seen.now)):
            raise Untraceable("a tensor was written to inside traced code")
        self.single = isinstance(seen.result, Tensor)
        results = (seen.result,) if self.single else seen.result
        made = values_of(results)
        graph = Graph(seen.tracer.nodes, values, made)
        calls = Calls(graph, {})
        self.made, self.scratch, self.bytes = calls.made, calls.scratch, calls.bytes
        index = {id(v): i for v, i in zip(made, calls.places)}
        self.results = [(index[id(held.__get__(t.storage))], t.layout, t.dtype) for t in results]
        numbers = graph.numbers()
        self.launches: list[tuple] = []
        kernels: list[Any] = [None] * len(calls.calls)
        if self.device is cpu:
            kernels = natives([(call.launch, True) for call in calls.calls])
        for call, native in zip(calls.calls, kernels):
            launch, fixed = call.launch, words(numbers, call.numbers)
            # offsets of inputs are those of the call, which may differ from the traced ones
            start = len(call.arrays) + len(fixed)
            moves = [(start + k, v, stands[v].layout.offset) for k, v in call.moves]
            self.launches.append((native, launch, call.arrays, (*fixed, *launch.fixed), moves))

    def run(self, tensors: Sequence[Tensor]) -> Any:
        """The results for tensors of the traced types and layouts, at any offsets."""
        device = self.device
        if device is cpu:
            arrays: list[Any] = [np.empty(n, d.numpy) for d, n in self.made]
        else:
            arrays = [backend(device).empty(n, d) for d, n in self.made]
        made = len(arrays)
        arrays += [array_of(t) for t in tensors]
        block = None
        if self.scratch and device is cpu:
            block = pool.take(self.bytes)
            arrays += [block[a:b].view(d.numpy) for a, b, d in self.scratch]
        else:
            arrays += [backend(device).empty((b - a) // d.itemsize, d) for a, b, d in self.scratch]
        for native, launch, order, fixed, moves in self.launches:
            args = [*[arrays[k] for k in order], *fixed]
            for k, v, known in moves:
                args[k] += tensors[v].layout.offset - known
            if native is not None:
                jit.parallel(native, launch.items, launch.cost, tuple(args))
            else:
                make = lambda target, launch=launch: launch.make(target, True)
                backend(device).run(launch.key, make, launch.items, launch.cost, tuple(args))
        if block is not None:
            pool.give(block)
        stores = [storage(a, d, n, device) for (d, n), a in zip(self.made, arrays[:made])]
        out = [result(stores[k], layout, dtype) for k, layout, dtype in self.results]
        return out[0] if self.single else tuple(out)


def storage(a: Any, d: Any, n: int, device: Any) -> Storage:
    """A storage on memory for n elements."""
    s = new(Storage)
    s.array, s.device, s.version = a, device, 0
    if device is not cpu:
        s._size = n * d.itemsize
    return s


def result(s: Storage, layout: Layout, dtype: Any) -> Tensor:
    """A tensor on a storage."""
    if layout.dense and s.device is not cpu:  # only CPU layouts are called dense
        layout = Layout(layout.shape, layout.strides, 0)
    t = tensor_on(None, layout, dtype)  # type: ignore[arg-type]
    t.storage = s
    return t


def values_of(results: Any) -> list[Value]:
    """What the memory of traced results holds, each block once."""
    if not isinstance(results, tuple) or not all(isinstance(t, Tensor) for t in results):
        raise Untraceable("the function returns something other than tensors")
    if not all(type(t.storage) is Symbol for t in results):
        raise Untraceable("the function returns an argument")
    return list({id(v): v for t in results for v in [held.__get__(t.storage)]}.values())


def stand(t: Tensor, layout: Layout) -> Tensor:
    """A tensor on the CPU of the type of `t`, with no memory of its own."""
    d, n = t.dtype, max(layout.span(), 1)
    return tensor_on(np.broadcast_to(np.zeros((), d.numpy), (n,)), layout, d)
