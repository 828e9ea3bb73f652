"""A composite's body as a kernel of its own in eager mode: traced once on tensors that stand for its
arguments, then run without dispatch. Folds of slow dimensions, which their own elements need, take a few."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

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
from .lower import Kernel
from .program import needed
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


def _run(graph: Graph) -> list:
    raise Untraceable("traced code was to run")


class Fused:
    """A function of tensors as kernels for types and layouts as those of `tensors`: `run(tensors)` gives
    what fn would give."""

    def __init__(self, fn: Callable, tensors: Sequence[Tensor]):
        """`fn` takes tensors like `tensors` and returns one, or a tuple of them."""
        self.device = tensors[0].storage.device
        tracer, before, grad, small = _Once(_run), state.lazy, state.grad, state.small
        stands = [_stand(t) for t in tensors]
        values = [tracer.value(t.storage) for t in stands]
        state.lazy, state.grad, state.small = tracer, False, -1
        try:
            result = fn(*stands)
        finally:
            state.lazy, state.grad, state.small = before, grad, small
            foreign = len(tracer.met) - len(stands)
            for s, v in tracer.met:
                written = held.__get__(s) is not v
                s.__class__ = Storage
                held.__set__(s, v.array)
                if written:
                    raise Untraceable("a tensor was written to inside traced code")
        if foreign:
            raise Untraceable("the code uses tensors of its own")
        self.single = isinstance(result, Tensor)
        results = (result,) if self.single else result
        if not isinstance(results, tuple) or not all(isinstance(t, Tensor) for t in results):
            raise Untraceable("the function returns something other than tensors")
        if not all(type(t.storage) is Symbol for t in results):
            raise Untraceable("the function returns an argument")
        made = list({id(v): v for t in results for v in [held.__get__(t.storage)]}.values())
        graph = Graph(tracer.nodes, values, made)
        self.numbers = graph.numbers()
        self.problem, self.kernels = _kernels(graph)
        place = {v: i for i, v in enumerate(self.problem.outputs)}
        if len(place) != len(made):
            raise Untraceable("two results are one")
        self.memory = [(v.dtype, v.numel) for v in made]
        index = {id(v): i for i, v in enumerate(made)}
        self.results = [(index[id(held.__get__(t.storage))], t.layout, t.dtype) for t in results]
        self._bind(stands, place)

    def _bind(self, stands: Sequence[Tensor], place: dict[int, int]) -> None:
        """Where the kernels' arguments come from: outputs, then inputs, then scratch memory."""
        p, count = self.problem, len(self.memory)
        self.scratch: list[tuple] = []               # (start and end in a block of bytes, dtype, elements)
        self.bytes = 0
        self.launches: list[tuple] = []
        at = {**place, **{i: count + i for i in range(len(stands))}}
        for launch in [k for kernel in self.kernels for k in kernel.launches]:
            for v in launch.arrays:
                if v not in at:
                    at[v] = count + len(stands) + len(self.scratch)
                    d, n = p.values[v]
                    self.scratch.append((self.bytes, self.bytes + n * d.itemsize, d, n))
                    self.bytes += -(-n * d.itemsize // 64) * 64
            numbers: list = []
            for k in launch.numbers:
                n = self.numbers[k]
                numbers += (n.real, n.imag) if isinstance(n, complex) else (n,)
            # offsets of inputs are those of the call, which may differ from the traced ones
            start = len(launch.arrays) + len(numbers) + launch.spot
            moves = [(start + k, v, stands[v].layout.offset) for k, v in enumerate(launch.placed)
                     if v < p.inputs]
            native = launch.native(True) if self.device is cpu else None
            self.launches.append((native, launch, tuple([at[v] for v in launch.arrays]),
                                  (*numbers, *launch.fixed), tuple(moves)))

    def run(self, tensors: Sequence[Tensor]) -> Any:
        """The results for tensors of the traced types and layouts, at any offsets."""
        device = self.device
        if device is cpu:
            arrays: list[Any] = [np.empty(n, d.numpy) for d, n in self.memory]
        else:
            arrays = [backend(device).empty(n, d) for d, n in self.memory]
        made = len(arrays)
        arrays += [array_of(t) for t in tensors]
        block = None
        if self.scratch and device is cpu:
            block = pool.take(self.bytes)
            arrays += [block[a:b].view(d.numpy) for a, b, d, _ in self.scratch]
        else:
            arrays += [backend(device).empty(n, d) for _, _, d, n in self.scratch]
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
        stores = []
        for (d, n), a in zip(self.memory, arrays[:made]):
            s = new(Storage)
            s.array, s.device, s.version = a, device, 0
            if device is not cpu:
                s._size = n * d.itemsize
            stores.append(s)
        out = []
        for k, layout, dtype in self.results:
            if layout.dense and device is not cpu:  # only CPU layouts are called dense
                layout = Layout(layout.shape, layout.strides, 0)
            t = tensor_on(None, layout, dtype)  # type: ignore[arg-type]
            t.storage = stores[k]
            out.append(t)
        return out[0] if self.single else tuple(out)


def _stand(t: Tensor) -> Tensor:
    """A tensor on the CPU of the same type and layout, with no memory of its own."""
    d, n = t.dtype, max(t.layout.span(), 1)
    return tensor_on(np.broadcast_to(np.zeros((), d.numpy), (n,)), t.layout, d)


def _kernels(graph: Graph) -> tuple[Problem, list[Kernel]]:
    """The kernels of a graph. Untraceable where something else is in it."""
    problem = Problem(graph)
    if any(v not in problem.maker for v in problem.outputs):
        raise Untraceable("the function returns an argument")
    groups = ordered(Scheduler(problem))
    for g in groups:
        first = problem.tasks[g.members[0][0]]
        if g.form in ("call", "eager"):
            raise Untraceable(f"{first.name} is a call of its own, not a loop that fuses")
        if any(w.base >= 0 for i, _ in g.members for w in problem.tasks[i].outs):
            raise Untraceable("a part of a tensor was written to inside traced code")
    wanted = needed(problem, groups)
    return problem, [Kernel(problem, g, wanted) for g in groups]
