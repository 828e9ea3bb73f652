"""Tensors between processes: the memory is shared, not copied."""
from __future__ import annotations

import mmap
import os
from multiprocessing import reduction
from typing import Any

import numpy as np

from .. import Tensor
from ..devices import cpu
from ..layouts import contiguous
from ..storage import Storage
from ..utils.data._utils.memory import _anonymous


class Shared(mmap.mmap):
    """Memory that other processes map too; `fd` is its descriptor, of which this object is the owner."""

    fd: int

    @classmethod
    def of(cls, fd: int, nbytes: int) -> Shared:
        """Map `nbytes` of a descriptor."""
        memory = cls(fd, nbytes)
        memory.fd = fd
        return memory

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            os.close(self.fd)


def memory_of(storage: Storage) -> Shared | None:
    """The shared memory of a storage; None where its memory is this process's own."""
    base: Any = storage.array
    while isinstance(base, np.ndarray):
        base = base.base
    base = base.obj if isinstance(base, memoryview) else base
    return base if isinstance(base, Shared) else None


def share(storage: Storage) -> None:
    """Move a storage on the CPU to shared memory; arrays that NumPy had of it keep the old one."""
    a = storage.array
    if a is None or not a.nbytes or memory_of(storage) is not None or storage.device is not cpu:
        return
    memory = Shared.of(_anonymous(a.nbytes), a.nbytes)
    moved = np.frombuffer(memory, a.dtype)
    moved[:] = a
    storage.array = moved


def rebuild(cls: type, source: Any, nbytes: int, kind: str, shape: tuple, strides: tuple, offset: int,
            dtype: Any, requires_grad: bool, attributes: dict | None) -> Tensor:
    """A tensor on the memory that another process shares."""
    t: Any = object.__new__(cls)
    t.storage = Storage(np.frombuffer(Shared.of(source.detach(), nbytes), np.dtype(kind)))
    t.layout, t.dtype = contiguous(shape).at(shape, strides, offset), dtype
    t._requires, t._node, t._base, t._views = requires_grad, None, None, None
    if attributes:
        t.__dict__.update(attributes)
    return t


def reduce_tensor(t: Tensor) -> tuple:
    """How multiprocessing pickles a tensor. RuntimeError for one with a history."""
    if t._requires and t._node is not None:
        raise RuntimeError("Cowardly refusing to serialize non-leaf tensor which requires_grad, since "
                           "autograd does not support crossing process boundaries.  If you just want to "
                           "transfer the data, call detach() on the tensor before serializing (e.g., "
                           "putting it on the queue).")
    storage = t.storage
    share(storage)
    memory = memory_of(storage)
    if memory is None:  # empty, or not on the CPU
        return t.__reduce_ex__(2)
    layout = t.layout
    return rebuild, (type(t), reduction.DupFd(memory.fd), storage.nbytes, storage.array.dtype.str,
                     tuple(layout.shape), layout.strides, layout.offset, t.dtype, t._requires,
                     t.__dict__ or None)


def init_reductions() -> None:
    """Have multiprocessing send tensors so."""
    if os.name == "posix":  # elsewhere a descriptor cannot be sent, and tensors are copied
        reduction.ForkingPickler.register(Tensor, reduce_tensor)
