"""Storage: a block of memory on a device, shared by views, that counts its writes."""
from __future__ import annotations

import ctypes
import os
import sys

import numpy as np

from . import devices
from .autograd import modes

# glibc gives freed memory back to the system, all of it at first, less once large blocks have been freed.
# These are the most it comes to by itself: blocks below the first are from the heap, where up to the second
# stays when freed. A page given back and asked for again costs 2 to 3 µs, a fifth of a small GPT's step.
HEAP_BLOCKS, KEPT = 32 << 20, 64 << 20  # bytes
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_freed_memory() -> None:
    """Set glibc's thresholds to KEPT and HEAP_BLOCKS, unless the environment says what they are."""
    if any(k.startswith("MALLOC_") for k in os.environ) or "malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    mallopt(_MMAP_THRESHOLD, HEAP_BLOCKS)
    mallopt(_TRIM_THRESHOLD, KEPT)


keep_freed_memory()


class Storage:
    """One block of memory. `array` is the whole of it, 1-d (an ndarray, a CUDA buffer, on meta None);
    `version` grows with every write, so that backward notices a changed saved tensor; it is below 0 for
    memory that inference_mode made."""

    __slots__ = ("array", "device", "version", "_size", "__weakref__")

    def __init__(self, array, device=devices.cpu, size: int | None = None):
        self.array, self.device = array, device
        self.version = modes.born() if modes.inferring else 0
        if array is None:
            self._size = size or 0

    def __call__(self):
        """x.storage(): the memory as elements of the type it was made with."""
        from .dtypes import bfloat16, by_numpy
        from .legacy import TypedStorage
        if self.array is None:
            raise NotImplementedError("the storage of a meta tensor has no elements")
        return TypedStorage(self, by_numpy.get(self.array.dtype, bfloat16))

    @property
    def nbytes(self) -> int:
        return self.array.nbytes if self.array is not None else self._size

    @property
    def size(self) -> int:
        return self.nbytes

    def share(self) -> None:
        """Move the memory to where other processes can map it."""
        from .multiprocessing.reductions import share
        share(self)

    @property
    def shared(self) -> bool:
        """Whether other processes can map the memory; memory on a GPU counts as such."""
        if self.device.type != "cpu" or "numtorch.multiprocessing.reductions" not in sys.modules:
            return self.device.type == "cuda"
        from .multiprocessing.reductions import memory_of
        return memory_of(self) is not None

    def typed(self, memory: np.dtype) -> np.ndarray:
        """The memory as a 1-d array of `memory` elements."""
        a = self.array
        return a if a.dtype == memory else a.view(memory)
