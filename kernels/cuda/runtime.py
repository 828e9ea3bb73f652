"""The CUDA device: memory, copies, launches. `device()` is the one in use, None where there is none.

NUMTORCH_CUDA=emulate gives a device whose memory is NumPy arrays and whose launches run in the emulator. That
is slow, but kernels, arguments and copies are those that a GPU would see; races and wild indices raise.

A device offers: allocate(n, dtype) → Buffer; copy_in(array) → Buffer; copy_out(buffer) → array;
launch(kernel, grid, block, args); synchronize(); memory_allocated(), max_memory_allocated(), reset_peak();
seed, offset (of its Philox generator); name, capability, total_memory, processors, block (usual threads of a
block). `Backend` is what the dispatcher calls: it turns emitted kernels into launches on a device."""
from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..emit import Fold, Operand, Text

GRANULE = 512                                   # bytes that an allocation is rounded up to, as in PyTorch


class OutOfMemoryError(RuntimeError):
    """No device memory for an allocation."""


class Buffer:
    """Device memory: `size` elements of `dtype`. The host can only copy it, by its device's methods."""

    __slots__ = ("_memory", "device", "__weakref__")

    def __init__(self, memory: np.ndarray, device: EmulatedDevice):
        self._memory, self.device = memory, device

    @property
    def dtype(self) -> np.dtype:
        return self._memory.dtype

    @property
    def size(self) -> int:
        return self._memory.size

    @property
    def nbytes(self) -> int:
        return self._memory.nbytes

    @property
    def pointer(self) -> int:
        """The address of the first element."""
        return self._memory.__array_interface__["data"][0]

    def view(self, dtype: Any) -> Buffer:
        """The same memory as elements of `dtype`."""
        return Buffer(self._memory.view(dtype), self.device)

    def part(self, start: int, stop: int | None = None) -> Buffer:
        """The same memory from element `start` to before `stop`."""
        return Buffer(self._memory[start:stop], self.device)

    def __repr__(self) -> str:
        return f"Buffer({self.size} × {self.dtype} on {self.device.name})"


class EmulatedDevice:
    """The device of NUMTORCH_CUDA=emulate. `launches` counts launches; it seeds the order of threads."""

    name = "numtorch SIMT emulator"
    capability = (9, 0)
    total_memory = 16 * 2**30
    processors = 1
    block = 64                                  # a thread costs microseconds here

    def __init__(self) -> None:
        self.seed = self.offset = self.launches = 0
        self._allocated = self._peak = 0
        self._functions: dict[tuple[str, str], Callable] = {}

    # Memory

    def _reserve(self, nbytes: int) -> int:
        taken = -(-nbytes // GRANULE) * GRANULE
        if self._allocated + taken > self.total_memory:
            raise OutOfMemoryError(
                f"CUDA out of memory. Tried to allocate {nbytes / 2**20:.2f} MiB. GPU 0 has a total capacity "
                f"of {self.total_memory / 2**30:.2f} GiB of which "
                f"{(self.total_memory - self._allocated) / 2**30:.2f} GiB is free.")
        self._allocated += taken
        self._peak = max(self._peak, self._allocated)
        return taken

    def _release(self, taken: int) -> None:
        self._allocated -= taken

    def allocate(self, n: int, dtype: Any) -> Buffer:
        """`n` elements without a value: all bits are ones (NaN, -1), so that a read before a write shows."""
        dtype = np.dtype(dtype)
        taken = self._reserve(n * dtype.itemsize)
        memory = np.full(n * dtype.itemsize, 0xFF, np.uint8).view(dtype)
        end = weakref.finalize(memory.base, self._release, taken)
        end.atexit = False
        return Buffer(memory, self)

    def copy_in(self, array: np.ndarray, into: Buffer | None = None) -> Buffer:
        """Copy a host array, in C order, to new device memory or `into`."""
        flat = np.ascontiguousarray(array).reshape(-1)
        if into is None:
            into = self.allocate(flat.size, flat.dtype)
        if into.size != flat.size or into.dtype != flat.dtype:
            raise ValueError(f"copy_in: {flat.size} × {flat.dtype} does not fit {into!r}")
        into._memory[:] = flat
        return into

    def copy_out(self, buffer: Buffer) -> np.ndarray:
        """Copy device memory to a new 1-d host array. Waits for the work before it."""
        return buffer._memory.copy()

    def memory_allocated(self) -> int:
        return self._allocated

    def max_memory_allocated(self) -> int:
        return self._peak

    def reset_peak(self) -> None:
        self._peak = self._allocated

    def empty_cache(self) -> None:
        """Freed memory is not kept, so there is none to give back."""

    # Work

    def launch(self, kernel: Text | Callable, grid: int | Sequence[int], block: int | Sequence[int],
               args: Sequence[Any], *, shared_bytes: int = 0) -> None:
        """Run `kernel(*args)` in every thread. args: Buffers of this device, integers, floats.

        TypeError for a host array; emulator.KernelError for what a GPU would do wrongly."""
        given = list(args)
        if isinstance(kernel, Text):
            pairs = zip(kernel.signature, args, strict=True)
            given = [float(a) if code == "float64" else a for code, a in pairs]
        function = self._function(kernel) if isinstance(kernel, Text) else kernel
        for i, a in enumerate(given):
            if isinstance(a, np.ndarray):
                raise TypeError(f"launch: argument {i} is a host array of {a.dtype}; kernels take Buffers")
            given[i] = a._memory if isinstance(a, Buffer) else a
        self.launches += 1
        from . import emulator
        emulator.launch(function, grid, block, given, dynamic_bytes=shared_bytes, seed=self.launches)

    def _function(self, text: Text) -> Callable:
        key = (text.name, text.source)
        if key not in self._functions:
            self._functions[key] = text.function()
        return self._functions[key]

    def synchronize(self) -> None:
        """Wait for all work: every launch has ended when it returns."""


class Backend:
    """Runs emitted kernels on a device; kernels are made once per key."""

    def __init__(self, device: EmulatedDevice):
        self.device = device
        self._texts: dict[tuple, Text] = {}

    def empty(self, numel: int, d: Any) -> Buffer:
        """Memory for `numel` elements of a numtorch dtype, without a value."""
        return self.device.allocate(numel, d.numpy)

    def upload(self, array: np.ndarray) -> Buffer:
        """A copy of a host array on the device."""
        return self.device.copy_in(array)

    def download(self, buffer: Buffer) -> np.ndarray:
        """A copy of device memory on the host."""
        return self.device.copy_out(buffer)

    def run(self, key: tuple, make: Callable[[str], Text], items: int, cost: float, args: tuple) -> None:
        """Do the items of an emitted kernel, or the elements of its rows where it is a pointwise one."""
        from . import template
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = template.per_element(make("cuda"))
        work = items * args[-1] if template.is_per_element(text) else items
        self._launch(text, work, self.device.block, 1, items, args)

    def reduce(self, key: tuple, name: str, fold: Fold, x: Operand, out: Operand, compute: str, depth: int,
               loops: int, items: int, length: int, across: bool, args: tuple) -> None:
        """Reduce rows of `length` elements to `items` results; `args` are those of emit.reduce_rows.

        across: neighbouring results are neighbours in memory."""
        from . import template
        make, share = template.form(items, length, across, self.device.block)
        text = self._texts.get((*key, make, share))
        if text is None:
            text = make(name, fold, x, out, compute, depth, loops, share)
            self._texts[(*key, make, share)] = text
        if make is template.reduce_tiles:
            self._launch(text, items, template.WARP * share, share, items, args)
        else:
            self._launch(text, items, max(share, self.device.block), share, items, args)

    def _launch(self, text: Text, work: int, block: int, each: int, items: int, args: tuple) -> None:
        """`work` pieces of work, each done by `each` of the `block` threads of a block."""
        if work:
            from . import template
            grid = template.grid(work, block // each, self.device.processors)
            self.device.launch(text, grid, block, (0, items, *args))


_emulated: EmulatedDevice | None = None


def device() -> EmulatedDevice | None:
    """The CUDA device, or None. Looked up anew at each call, so that NUMTORCH_CUDA may be set late."""
    global _emulated
    mode = os.environ.get("NUMTORCH_CUDA", "")
    if mode == "emulate":
        if _emulated is None:
            _emulated = EmulatedDevice()
        return _emulated
    if mode not in ("", "0"):
        raise ValueError(f"NUMTORCH_CUDA may be 'emulate', got {mode!r}")
    return None
