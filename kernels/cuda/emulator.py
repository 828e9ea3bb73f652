"""A SIMT machine in Python: runs an undecorated kernel thread by thread over NumPy arrays, and checks it.

    launch(kernel, grid=2, block=64, args=(0, n, out, x))      # the kernel names `cuda`, `math`, `float32`, …

Threads of a block run in a random order, blocks too (`seed`). A kernel without barriers and warp collectives
runs as a plain loop; any other gets one greenlet per thread, switched at those calls. Raises KernelError,
naming array, index, thread, block and line, for: an index that is negative or past the end; two threads that
touch an element with no barrier between, one of them writing; shared and local memory read before it was
written; a barrier that not all threads reach, or that they reach in different places; a collective whose mask
names a thread that has exited, or does not exist; a deadlock; over 1,024 threads or too much shared memory.

`syncthreads` orders all accesses of a block, `syncwarp` those of the lanes in its mask. Shuffles and votes
order nothing, as in CUDA. Blocks are never ordered.
"""
from __future__ import annotations

import builtins
import contextvars
import dis
import functools
import linecache
import random
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import jit
from . import arithmetic

WARP = 32
MAX_THREADS = 1024
MAX_BLOCK, MAX_GRID = (1024, 1024, 64), (2**31 - 1, 65535, 65535)
MAX_STATIC_SHARED = 48 * 1024
MAX_SHARED = 227 * 1024                         # sm_90, with the opt-in of the launch
COLLECTIVES = frozenset(("syncwarp", "shfl_sync", "shfl_up_sync", "shfl_down_sync", "shfl_xor_sync",
                         "ballot_sync", "any_sync", "all_sync", "match_any_sync"))
BARRIERS = frozenset(("syncthreads", "syncthreads_count", "syncthreads_and", "syncthreads_or"))
SHUFFLED = (np.int64, np.uint64, np.float32, np.float64, int, float)


class KernelError(RuntimeError):
    """A kernel broke a rule of the CUDA machine."""


class Dim3(NamedTuple):
    x: int = 1
    y: int = 1
    z: int = 1

    @classmethod
    def of(cls, extent: int | Sequence[int]) -> Dim3:
        return cls(int(extent)) if isinstance(extent, (int, np.integer)) else cls(*map(int, extent))

    @property
    def volume(self) -> int:
        return self.x * self.y * self.z

    def points(self) -> Iterator[Dim3]:
        """Every index below this extent, x fastest."""
        return (Dim3(x, y, z) for z in range(self.z) for y in range(self.y) for x in range(self.x))


class Trace(NamedTuple):
    """What a launch did: threads run, and for a block the most barriers passed and bytes of shared memory."""
    threads: int
    barriers: int
    shared_bytes: int


class Lane:
    """One thread. `stamp` = (lane, barriers passed by the block, `clock`) marks its accesses; `clock` counts
    its warp barriers and `seen[j]` is the clock up to which lane j's accesses come before this lane's."""

    __slots__ = ("thread", "block", "index", "warp", "position", "stamp", "clock", "seen", "waits", "value",
                 "result", "fiber")

    def __init__(self, thread: Dim3, block: Dim3, index: int):
        self.thread, self.block, self.index = thread, block, index
        self.warp, self.position = divmod(index, WARP)
        self.clock = 0
        self.seen: list[int] = []
        self.stamp: tuple[Lane, int, int] = (self, 0, 0)
        self.waits: tuple = ()
        self.value: Any = None
        self.result: Any = None
        self.fiber: Any = None


def ordered(before: tuple[Lane, int, int], lane: Lane) -> bool:
    """Whether a barrier stands between the access marked `before` and what `lane` does now."""
    other, epoch, clock = before
    if other is lane:
        return True
    if other.block is not lane.block:
        return False
    if epoch != lane.stamp[1]:
        return True
    return other.warp == lane.warp and bool(lane.seen) and lane.seen[other.position] > clock


WROTE, READ, READ_TOO, ATOMIC, ATOMIC_TOO = range(5)       # of readers, the latest and one other are kept
WORDS = ("written", "read", "read", "updated atomically", "updated atomically")


class Accesses:
    """Who touched an address last. `fresh`: the memory starts without a value. `races`: compare threads."""

    __slots__ = ("machine", "cells", "fresh", "races")

    def __init__(self, machine: Machine, fresh: bool, races: bool):
        self.machine, self.fresh, self.races = machine, fresh, races
        self.cells: dict[int, list] = {}

    def _compare(self, cell: list, slots: Sequence[int], doing: str, array: Array, index: int) -> None:
        lane = self.machine.lane
        for slot in slots:
            before = cell[slot]
            if before is not None and before[0] is not lane and not ordered(before, lane):
                other = before[0]
                where = f"thread {tuple(other.thread)}"
                if other.block is not lane.block:
                    where += f" of block {tuple(other.block)}"
                raise self.machine.fault(f"race: {doing} {array.label(index)}, {WORDS[slot]} by {where} "
                                         "with no barrier between")

    @staticmethod
    def _remember(cell: list, slot: int, stamp: tuple) -> None:
        last = cell[slot]
        if last is not None and last[0] is not stamp[0]:
            cell[slot + 1] = last
        cell[slot] = stamp

    def read(self, array: Array, index: int, address: int) -> None:
        cell = self.cells.get(address)
        if cell is None:
            if self.fresh:
                raise self.machine.fault(f"reads {array.label(index)}, which was never written")
            cell = self.cells[address] = [None] * 5
        if self.races:
            self._compare(cell, (WROTE, ATOMIC, ATOMIC_TOO), "reads", array, index)
            self._remember(cell, READ, self.machine.lane.stamp)

    def write(self, array: Array, index: int, address: int) -> None:
        cell = self.cells.get(address)
        if cell is None:
            cell = self.cells[address] = [None] * 5
        if self.races:
            self._compare(cell, range(5), "writes", array, index)
        cell[WROTE] = self.machine.lane.stamp

    def update(self, array: Array, index: int, address: int) -> None:
        cell = self.cells.get(address)
        if cell is None:
            if self.fresh:
                raise self.machine.fault(f"updates {array.label(index)}, which was never written")
            cell = self.cells[address] = [None] * 5
        if self.races:
            self._compare(cell, (WROTE, READ, READ_TOO), "updates", array, index)
            self._remember(cell, ATOMIC, self.machine.lane.stamp)


class Array:
    """Memory as a kernel sees it: `a[i]`, i in range. It has no size or shape: compiled, it is a pointer."""

    __slots__ = ("_data", "_name", "_extent", "_length", "_address", "_step", "_load", "_store", "_accesses",
                 "_machine")

    def __init__(self, machine: Machine, data: np.ndarray, name: str, accesses: Accesses | None):
        self._machine, self._name, self._accesses = machine, name, accesses
        self._extent, self._length = data.shape, data.size
        self._data = data.reshape(-1) if data.ndim != 1 else data
        self._address, self._step = data.__array_interface__["data"][0], data.itemsize
        if data.ndim == 1 and data.size > 1:
            self._step = data.strides[0]
        self._load, self._store = arithmetic.loader(data.dtype), arithmetic.storer(data.dtype)

    def label(self, index: int) -> str:
        if len(self._extent) == 1:
            return f"{self._name}[{index}]"
        return f"{self._name}[{', '.join(map(str, np.unravel_index(index, self._extent)))}]"

    def _place(self, index: Any) -> int:
        """The position of element `index` (a tuple for memory of several dimensions) in the flat memory."""
        given = index if isinstance(index, tuple) else (index,)
        if len(given) != len(self._extent):
            raise self._machine.fault(f"{self._name} has {len(self._extent)} dimensions, got index {index}")
        flat = 0
        for i, n in zip(given, self._extent):
            if isinstance(i, (bool, np.bool_)) or not isinstance(i, (int, np.integer)):
                raise self._machine.fault(f"index of {self._name} must be an integer, got {i!r}")
            if not 0 <= i < n:
                shown = index if isinstance(index, tuple) else int(index)
                raise self._machine.fault(f"index {shown} of {self._name} is out of range: "
                                          f"it has {' × '.join(map(str, self._extent))} elements")
            flat = flat * n + int(i)
        return flat

    def __getitem__(self, index: Any) -> Any:
        if type(index) is not int or not 0 <= index < self._length or len(self._extent) != 1:
            index = self._place(index)
        if self._accesses is not None:
            self._accesses.read(self, index, self._address + index * self._step)
        value = self._data[index]
        return value if self._load is None else self._load(value)

    def __setitem__(self, index: Any, value: Any) -> None:
        if type(index) is not int or not 0 <= index < self._length or len(self._extent) != 1:
            index = self._place(index)
        if self._accesses is not None:
            self._accesses.write(self, index, self._address + index * self._step)
        self._data[index] = value if self._store is None else self._store(value)

    def update(self, index: Any, change: Callable[[Any], Any]) -> Any:
        """Replace element `index` by `change(it)` atomically; the old value."""
        index = self._place(index)
        if self._accesses is not None:
            self._accesses.update(self, index, self._address + index * self._step)
        old = self._data[index] if self._load is None else self._load(self._data[index])
        value = change(old)
        self._data[index] = value if self._store is None else self._store(value)
        return old


class Atomic:
    """`cuda.atomic`: each returns the old value."""

    add = staticmethod(lambda a, i, v: a.update(i, lambda old: old + v))
    sub = staticmethod(lambda a, i, v: a.update(i, lambda old: old - v))
    and_ = staticmethod(lambda a, i, v: a.update(i, lambda old: old & v))
    or_ = staticmethod(lambda a, i, v: a.update(i, lambda old: old | v))
    xor = staticmethod(lambda a, i, v: a.update(i, lambda old: old ^ v))
    exch = staticmethod(lambda a, i, v: a.update(i, lambda old: v))
    max = staticmethod(lambda a, i, v: a.update(i, lambda old: v if v > old or old != old else old))
    min = staticmethod(lambda a, i, v: a.update(i, lambda old: v if v < old or old != old else old))
    inc = staticmethod(lambda a, i, v: a.update(i, lambda old: 0 if old >= v else old + 1))
    dec = staticmethod(lambda a, i, v: a.update(i, lambda old: v if old == 0 or old > v else old - 1))
    cas = staticmethod(lambda a, i, old, v: a.update(i, lambda now: v if now == old else now))


@functools.cache
def _assigned(code: types.CodeType, offset: int) -> str:
    """The variable that the call at `offset` is assigned to."""
    for step in dis.get_instructions(code):
        if step.offset > offset and step.opname.startswith("STORE"):
            return str(step.argval)
    return "memory"


class Shared:
    """`cuda.shared.array(shape, dtype)`: one per call site and block; shape 0 is the dynamic memory."""

    def __init__(self, machine: Machine):
        self._machine = machine

    def array(self, shape: int | tuple[int, ...], dtype: Any, alignment: int | None = None) -> Array:
        m, frame, element = self._machine, sys._getframe(1), arithmetic.dtype_of(dtype)
        name = f"shared {_assigned(frame.f_code, frame.f_lasti)}"
        if shape in (0, (0,)):
            whole = m.dynamic.size // element.itemsize * element.itemsize
            return Array(m, m.dynamic[:whole].view(element), name, m.shared_accesses)
        site = (frame.f_code, frame.f_lasti)
        if site not in m.statics:
            m.statics[site] = Array(m, np.zeros(shape, element), name, m.shared_accesses)
            m.static_bytes += m.statics[site]._data.nbytes
            if m.static_bytes > MAX_STATIC_SHARED:
                raise m.fault(f"{m.static_bytes} bytes of static shared memory exceed {MAX_STATIC_SHARED}")
        return m.statics[site]


class Local:
    """`cuda.local.array(shape, dtype)`: memory of one thread, without a value."""

    def __init__(self, machine: Machine):
        self._machine = machine

    def array(self, shape: int | tuple[int, ...], dtype: Any, alignment: int | None = None) -> Array:
        frame = sys._getframe(1)
        name = f"local {_assigned(frame.f_code, frame.f_lasti)}"
        return Array(self._machine, np.zeros(shape, arithmetic.dtype_of(dtype)), name,
                     Accesses(self._machine, fresh=True, races=False))


class Cuda:
    """The module `cuda` as a kernel sees it."""

    warpsize = WARP

    def __init__(self, machine: Machine):
        self._machine = machine
        self.shared, self.local, self.atomic = Shared(machine), Local(machine), Atomic()
        self.blockDim, self.gridDim = machine.block, machine.grid

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the emulator has no cuda.{name}")

    @property
    def threadIdx(self) -> Dim3:
        return self._machine.lane.thread

    @property
    def blockIdx(self) -> Dim3:
        return self._machine.lane.block

    @property
    def laneid(self) -> int:
        return self._machine.lane.position

    def grid(self, ndim: int) -> int | tuple[int, ...]:
        lane, extent = self._machine.lane, self.blockDim
        if ndim == 1:
            return lane.block[0] * extent[0] + lane.thread[0]
        return tuple(b * n + t for b, n, t in zip(lane.block, extent, lane.thread))[:ndim]

    def gridsize(self, ndim: int) -> int | tuple[int, ...]:
        if ndim == 1:
            return self.blockDim[0] * self.gridDim[0]
        return tuple(b * n for b, n in zip(self.blockDim, self.gridDim))[:ndim]

    # Barriers. Each thread of the block must come, to the same place in the text.
    def syncthreads(self) -> None:
        self._machine.wait("syncthreads")

    def syncthreads_count(self, predicate: Any) -> int:
        return sum(map(bool, self._machine.wait("syncthreads_count", predicate)))

    def syncthreads_and(self, predicate: Any) -> int:
        return int(all(self._machine.wait("syncthreads_and", predicate)))

    def syncthreads_or(self, predicate: Any) -> int:
        return int(any(self._machine.wait("syncthreads_or", predicate)))

    # Collectives of the lanes in `mask`, all of which must come with the same mask.
    def syncwarp(self, mask: int = 0xFFFFFFFF) -> None:
        self._machine.gather("syncwarp", mask)

    def _shuffle(self, name: str, mask: int, value: Any, source: int) -> Any:
        if not isinstance(value, SHUFFLED):
            raise self._machine.fault(f"{name} moves int32, int64, float32 and float64, "
                                      f"got {type(value).__name__}")
        values = self._machine.gather(name, mask, value)
        if source not in values:
            raise self._machine.fault(f"{name} reads lane {source}, which is not in the mask {int(mask):#x}")
        return values[source]

    def shfl_sync(self, mask: int, value: Any, source: int) -> Any:
        return self._shuffle("shfl_sync", mask, value, int(source) % WARP)

    def shfl_xor_sync(self, mask: int, value: Any, bits: int) -> Any:
        return self._shuffle("shfl_xor_sync", mask, value, self.laneid ^ int(bits))

    def shfl_up_sync(self, mask: int, value: Any, delta: int) -> Any:
        source = self.laneid - int(delta)
        return self._shuffle("shfl_up_sync", mask, value, source if source >= 0 else self.laneid)

    def shfl_down_sync(self, mask: int, value: Any, delta: int) -> Any:
        source = self.laneid + int(delta)
        return self._shuffle("shfl_down_sync", mask, value, source if source < WARP else self.laneid)

    def ballot_sync(self, mask: int, predicate: Any) -> int:
        return sum(1 << lane for lane, v in self._machine.gather("ballot_sync", mask, predicate).items() if v)

    def any_sync(self, mask: int, predicate: Any) -> bool:
        return any(self._machine.gather("any_sync", mask, predicate).values())

    def all_sync(self, mask: int, predicate: Any) -> bool:
        return all(self._machine.gather("all_sync", mask, predicate).values())

    def match_any_sync(self, mask: int, value: Any) -> int:
        values = self._machine.gather("match_any_sync", mask, value)
        return sum(1 << lane for lane, v in values.items() if v == value)

    # Loads and stores with a cache hint, fences, bits.
    @staticmethod
    def ldcs(array: Array, index: int) -> Any:
        return array[index]

    ldca = ldcg = ldcv = ldlu = ldcs

    @staticmethod
    def stcs(array: Array, index: int, value: Any) -> None:
        array[index] = value

    stcg = stwb = stwt = stcs

    @staticmethod
    def threadfence() -> None:
        """Orders the accesses of one thread as others see them; it orders no two threads."""

    threadfence_block = threadfence_system = threadfence

    @staticmethod
    def popc(bits: int) -> int:
        return (int(bits) & (2**64 - 1)).bit_count()

    @staticmethod
    def ffs(bits: int) -> int:
        return (int(bits) & -int(bits)).bit_length()

    @staticmethod
    def selp(condition: Any, x: Any, y: Any) -> Any:
        return x if condition else y

def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def plain(function: Any) -> Any:
    """The undecorated function of a kernel or device function."""
    if isinstance(function, (jit.Device, jit.Kernel)):
        return function.fn
    return getattr(function, "py_func", function)


class Bound:
    """A kernel function and the functions it calls, with `names` (`cuda`, `math`, `float32`, …) rebound."""

    def __init__(self, function: Callable, names: dict[str, Any]):
        self._names = names
        self._made: dict[Callable, types.FunctionType] = {}
        self.used: set[str] = set()
        self.function = self.rebind(function)

    def _replaced(self, name: str, value: Any) -> Any:
        if name in self._names:
            return self._names[name]
        value = plain(value)
        return self.rebind(value) if isinstance(value, types.FunctionType) else value

    def rebind(self, function: Callable) -> types.FunctionType:
        function = plain(function)
        if function in self._made:
            return self._made[function]
        code = function.__code__
        code = code.replace(co_consts=tuple(map(arithmetic.literal, code.co_consts)))
        scope: dict[str, Any] = {"__builtins__": function.__globals__.get("__builtins__", builtins)}
        closure = tuple(types.CellType() for _ in code.co_freevars)
        bound = types.FunctionType(code, scope, function.__name__, function.__defaults__, closure)
        self._made[function] = bound
        for cell, name, outer in zip(closure, code.co_freevars, function.__closure__ or ()):
            cell.cell_contents = self._replaced(name, outer.cell_contents)
        wanted = {name for part in _codes(code) for name in part.co_names}
        self.used |= wanted
        for name in wanted:
            if name in self._names or name in function.__globals__:
                scope[name] = self._replaced(name, function.__globals__.get(name))
        return bound


class Machine:
    """One launch. `lane` is the thread that runs now."""

    def __init__(self, function: Callable, grid: Dim3, block: Dim3, *, dynamic_bytes: int, seed: int,
                 races: bool, names: dict[str, Any] | None = None):
        self.name = plain(function).__name__
        self.grid, self.block, self.races = grid, block, races
        self.random = random.Random(seed)
        self.lane: Lane = Lane(Dim3(0, 0, 0), Dim3(0, 0, 0), 0)
        self.running = False
        self.global_accesses = Accesses(self, fresh=False, races=True) if races else None
        self.shared_accesses = Accesses(self, fresh=True, races=races)
        self.dynamic = np.zeros(dynamic_bytes, np.uint8)
        self.statics: dict[tuple, Array] = {}
        self.static_bytes = self.barriers = self.most_barriers = self.shared_bytes = 0
        self._hub: Any = None
        bound = Bound(function, {"cuda": Cuda(self), "math": arithmetic.math, "cmath": arithmetic.cmath,
                                 **arithmetic.CASTS, **(names or {})})
        self.function = bound.function
        self.code_files = {f.__code__.co_filename for f in bound._made.values()}
        self.collective = bool(bound.used & (BARRIERS | COLLECTIVES))
        for extent, limits, what in ((block, MAX_BLOCK, "block"), (grid, MAX_GRID, "grid")):
            if any(not 1 <= n <= limit for n, limit in zip(extent, limits)):
                raise self.fault(f"{what} {tuple(extent)} is outside (1, 1, 1) … {limits}")
        if block.volume > MAX_THREADS:
            raise self.fault(f"a block of {block.volume} threads exceeds {MAX_THREADS}")

    # Faults

    def fault(self, message: str, error: BaseException | None = None) -> KernelError:
        """A KernelError that says where: kernel, thread, block and line."""
        where = f"kernel {self.name}"
        if self.running:
            where += f", thread {tuple(self.lane.thread)} of block {tuple(self.lane.block)}"
            line = self._line(error)
            if line is not None:
                where += f", line {line}"
        return KernelError(f"{message} ({where})")

    def _line(self, error: BaseException | None) -> str | None:
        """The kernel's line that runs now, or that raised `error`."""
        found: types.CodeType | None = None
        number = 0
        if error is None:
            frame: types.FrameType | None = sys._getframe(1)
            while frame is not None and frame.f_code.co_filename not in self.code_files:
                frame = frame.f_back
            if frame is not None:
                found, number = frame.f_code, frame.f_lineno
        else:
            step = error.__traceback__
            while step is not None:
                if step.tb_frame.f_code.co_filename in self.code_files:
                    found, number = step.tb_frame.f_code, step.tb_lineno
                step = step.tb_next
        if found is None:
            return None
        text = linecache.getline(found.co_filename, number).strip()
        return f"{number}: {text}" if text else str(number)

    # Waiting

    def wait(self, name: str, value: Any = None) -> Any:
        """Wait for the whole block; the values that its threads brought, in thread order."""
        frame = sys._getframe(2)
        return self._switch((name, (frame.f_code, frame.f_lasti), frame.f_lineno), value)

    def gather(self, name: str, mask: Any, value: Any = None) -> dict[int, Any]:
        """Wait for the lanes in `mask`; {lane: the value it brought}."""
        bits = int(mask) & 0xFFFFFFFF
        if not bits >> self.lane.position & 1:
            raise self.fault(f"{name} with mask {bits:#x}, which lacks the calling lane {self.lane.position}")
        return self._switch((name, bits, 0), value)

    def _switch(self, waits: tuple, value: Any) -> Any:
        lane = self.lane
        lane.waits, lane.value = waits, value
        self._hub.switch()
        return lane.result

    # Running

    def run(self, args: Sequence[Any]) -> Trace:
        code = self.function.__code__
        given: list[Any] = []
        if len(args) != code.co_argcount:
            raise self.fault(f"takes {code.co_argcount} arguments, got {len(args)}")
        for name, value in zip(code.co_varnames, args):
            if isinstance(value, np.ndarray):
                if value.ndim != 1:
                    raise self.fault(f"argument {name} must be a flat array, got {value.ndim} dimensions")
                given.append(Array(self, value, name, self.global_accesses))
            elif isinstance(value, (bool, int, np.integer, float, np.floating, np.bool_)):
                given.append(np.float64(value) if type(value) is float else value)
            else:
                raise self.fault(f"argument {name} must be an array or a number, got {type(value).__name__}")
        blocks = list(self.grid.points())
        self.random.shuffle(blocks)
        with np.errstate(all="ignore"):
            for block in blocks:
                self._block(block, given)
        return Trace(self.grid.volume * self.block.volume, self.most_barriers, self.shared_bytes)

    def _block(self, block: Dim3, args: Sequence[Any]) -> None:
        lanes = [Lane(thread, block, i) for i, thread in enumerate(self.block.points())]
        self.statics.clear()
        self.shared_accesses.cells.clear()
        self.static_bytes = self.barriers = 0
        try:
            (self._together if self.collective else self._alone)(lanes, args)
        except KernelError:
            raise
        except Exception as error:
            raise self.fault(f"{type(error).__name__}: {error}", error) from error
        finally:
            self.running = False
        self.most_barriers = max(self.most_barriers, self.barriers)
        self.shared_bytes = max(self.shared_bytes, self.static_bytes + self.dynamic.size)
        if self.shared_bytes > MAX_SHARED:
            raise self.fault(f"{self.shared_bytes} bytes of shared memory exceed {MAX_SHARED}")

    def _alone(self, lanes: list[Lane], args: Sequence[Any]) -> None:
        order = list(lanes)
        self.random.shuffle(order)
        self.running = True
        for self.lane in order:
            self.function(*args)

    def _together(self, lanes: list[Lane], args: Sequence[Any]) -> None:
        from greenlet import getcurrent, greenlet
        self._hub = getcurrent()
        for lane in lanes:
            lane.fiber, lane.seen = greenlet(self.function), [0] * WARP
            lane.fiber.gr_context = contextvars.copy_context()      # NumPy's errstate lives there
        ready, first = list(lanes), True
        try:
            while ready:
                self.random.shuffle(ready)
                self.running = True
                for self.lane in ready:
                    self.lane.fiber.switch(*(args if first else ()))
                self.running, first = False, False
                waiting = [lane for lane in lanes if not lane.fiber.dead]
                ready = self._released_warps(lanes, waiting) or self._released_block(lanes, waiting)
        finally:
            for lane in lanes:
                if lane.fiber and not lane.fiber.dead:
                    lane.fiber.throw()

    def _released_warps(self, lanes: list[Lane], waiting: list[Lane]) -> list[Lane]:
        """The lanes whose collective is complete."""
        groups: dict[tuple, list[Lane]] = {}
        for lane in waiting:
            if lane.waits[0] in COLLECTIVES:
                groups.setdefault((lane.warp, *lane.waits[:2]), []).append(lane)
        ready: list[Lane] = []
        for (warp, name, mask), group in groups.items():
            members = lanes[warp * WARP:(warp + 1) * WARP]
            for position in range(WARP):
                if mask >> position & 1 and (position >= len(members) or members[position].fiber.dead):
                    self.lane, self.running = group[0], False
                    fate = "has exited" if position < len(members) else "does not exist"
                    raise self.fault(f"{name} with mask {mask:#x} names lane {position} of warp {warp}, "
                                     f"which {fate}")
            if len(group) == mask.bit_count():
                values = {lane.position: lane.value for lane in group}
                if name == "syncwarp":
                    self._order(group)
                for lane in group:
                    lane.result = values
                ready += group
        return ready

    @staticmethod
    def _order(group: list[Lane]) -> None:
        """All that the lanes of `group` did so far comes before all that they do from now on."""
        for lane in group:
            lane.clock += 1
            lane.seen[lane.position] = lane.clock
        joined = list(map(max, zip(*(lane.seen for lane in group))))
        for lane in group:
            lane.seen = list(joined)
            lane.stamp = (lane, lane.stamp[1], lane.clock)

    def _released_block(self, lanes: list[Lane], waiting: list[Lane]) -> list[Lane]:
        """All lanes, when all have come to the same barrier; none when all have exited."""
        if not waiting:
            return []
        places: dict[str, int] = {}
        for lane in waiting:
            name, site, line = lane.waits
            place = f"{name} (line {line})" if name in BARRIERS else f"{name} with mask {site:#x}"
            places[place] = places.get(place, 0) + 1
        described = ", ".join(f"{n} wait at {place}" for place, n in places.items())
        if any(lane.waits[0] in COLLECTIVES for lane in waiting):
            raise self.fault(f"deadlock in block {tuple(lanes[0].block)}: {described}, "
                             f"{len(lanes) - len(waiting)} of {len(lanes)} threads have exited")
        if len(waiting) < len(lanes):
            raise self.fault(f"divergent barrier in block {tuple(lanes[0].block)}: "
                             f"{len(lanes) - len(waiting)} of {len(lanes)} threads have exited, {described}")
        if len({lane.waits[:2] for lane in waiting}) > 1:
            raise self.fault(f"divergent barrier in block {tuple(lanes[0].block)}: {described}")
        self.barriers += 1
        values = [lane.value for lane in lanes]
        for lane in lanes:
            lane.result, lane.stamp = values, (lane, self.barriers, lane.clock)
        return list(lanes)


def launch(function: Callable, grid: int | Sequence[int], block: int | Sequence[int], args: Sequence[Any], *,
           dynamic_bytes: int = 0, seed: int = 0, races: bool = True,
           names: dict[str, Any] | None = None) -> Trace:
    """Run `function(*args)` in every thread of `grid` blocks of `block` threads.

    args: 1-d arrays, integers and floats. dynamic_bytes: the dynamic shared memory of a block. races=False:
    do not compare the accesses of threads (a kernel that synchronises blocks through memory). names: further
    globals of the kernel. Raises KernelError; the arrays are then partly written."""
    machine = Machine(function, Dim3.of(grid), Dim3.of(block), dynamic_bytes=dynamic_bytes, seed=seed,
                      races=races, names=names)
    return machine.run(args)
