"""Objects between processes, their arrays through shared memory.

A worker owns slots: anonymous shared memory, handed over once as a file descriptor. An object is pickled with
its arrays out of band; they are written to a free slot and the receiver maps them without a copy. When the
last array over a slot dies at the receiver, the slot's number goes back to the worker with the next task. The
number of slots is bounded, so descriptors are too; where all are in use the receiver copies. Slots have no
name in any file system: nothing is left behind however the processes end, and the size of /dev/shm does not
matter.
"""
from __future__ import annotations

import io
import os
import pickle
import secrets
import socket
import weakref
from collections import deque
from typing import Any

import numpy as np

from .... import Tensor, bfloat16, from_numpy, int16

SHARED = os.name == "posix"  # elsewhere a descriptor cannot be sent: everything goes through the pipe
_ALIGN = 64
_INLINE = 16 * 1024  # bytes; below this a pipe is faster than a slot


def _rebuild(array: np.ndarray, bf16: bool, requires_grad: bool) -> Tensor:
    t = from_numpy(array)
    if bf16:
        t = t.view(bfloat16)
    return t.requires_grad_() if requires_grad else t


class _Pickler(pickle.Pickler):
    "Pickles tensors as arrays, whose memory goes out of band."

    def reducer_override(self, x: Any) -> Any:
        if type(x) is Tensor and (not x.requires_grad or x.is_leaf):
            flat = x.detach()
            if flat.device.type != "cpu":
                flat = flat.cpu()
            bf16 = flat.dtype == bfloat16
            array = (flat.view(int16) if bf16 else flat).numpy()
            return _rebuild, (np.ascontiguousarray(array).reshape(array.shape), bf16, x.requires_grad)
        return NotImplemented


def pack(x: Any) -> tuple[bytes, list[memoryview]]:
    """Pickle `x`: the stream, and the memory of its arrays."""
    parts: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _Pickler(stream, protocol=5, buffer_callback=parts.append).dump(x)
    return stream.getvalue(), [part.raw() for part in parts]


def _anonymous(size: int) -> int:
    "A file descriptor of new shared memory without a name."
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("numtorch", os.MFD_CLOEXEC)
    else:
        import _posixshmem
        name = "/nt" + secrets.token_hex(12)
        fd = _posixshmem.shm_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode=0o600)
        _posixshmem.shm_unlink(name)
    try:
        os.ftruncate(fd, size)
    except BaseException:
        os.close(fd)
        raise
    return fd


class Sender:
    """The worker's end: `send(head, x)`. most: how many slots may be kept."""

    def __init__(self, pipe: Any, most: int) -> None:
        self.pipe, self.most = pipe, most
        self.maps: dict[int, Any] = {}
        self.free: deque[int] = deque()

    def give_back(self, slots: list[int]) -> None:
        """Use these slots again."""
        self.free.extend(slots)

    def send(self, head: Any, x: Any) -> None:
        """Send (head, x); x may raise while it is pickled, and nothing is sent then."""
        import mmap
        stream, parts = pack(x)
        sizes = [part.nbytes for part in parts]
        total = sum(-(-n // _ALIGN) * _ALIGN for n in sizes)
        if not SHARED or total + len(stream) <= _INLINE:
            self.pipe.send((head, stream, sizes, None, 0))
            for part in parts:
                self.pipe.send_bytes(part)
            return
        at = total
        total += len(stream)
        slot, fd = -1, -1
        if self.free:
            slot = self.free.popleft()
        elif len(self.maps) < self.most:
            slot = len(self.maps)
        memory = self.maps.get(slot)
        if memory is None or len(memory) < total:
            size = -(-(total + total // 8) // mmap.PAGESIZE) * mmap.PAGESIZE
            fd = _anonymous(size)
            memory = mmap.mmap(fd, size)
            if slot >= 0:
                self.maps[slot] = memory
        try:
            end = 0
            for part, n in zip(parts, sizes):
                memory[end:end + n] = part
                end += -(-n // _ALIGN) * _ALIGN
            memory[at:total] = stream
            self.pipe.send((head, (at, total), sizes, slot, len(memory) if fd >= 0 else 0))
            if fd >= 0:
                with socket.socket(fileno=os.dup(self.pipe.fileno())) as s:
                    socket.send_fds(s, [b"f"], [fd])
        except BaseException:
            if slot >= 0:
                self.free.append(slot)
            raise
        finally:
            if fd >= 0:
                os.close(fd)


class Receiver:
    """The loader's end of one worker: `receive()`; `returned()` lists the slots to give back."""

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe
        self.maps: dict[int, Any] = {}
        self.unused: deque[int] = deque()

    def returned(self) -> list[int]:
        """Slots whose arrays are all dead."""
        slots = []
        while self.unused:
            slots.append(self.unused.popleft())
        return slots

    def receive(self) -> tuple[Any, Any]:
        """Wait for the next (head, x)."""
        head, stream, sizes, slot, fresh = self.pipe.recv()
        if slot is None:
            buffers: list[Any] = []
            for n in sizes:
                buffer = bytearray(n)
                if n:
                    self.pipe.recv_bytes_into(buffer)
                else:
                    self.pipe.recv_bytes()
                buffers.append(buffer)
            return head, pickle.loads(stream, buffers=buffers)
        if fresh:
            import mmap
            with socket.socket(fileno=os.dup(self.pipe.fileno())) as s:
                (fd,) = socket.recv_fds(s, 1, 1)[1]
            try:
                memory = mmap.mmap(fd, fresh)
            finally:
                os.close(fd)
            if slot >= 0:
                self.maps[slot] = memory
        if not fresh:
            memory = self.maps[slot]
        at, total = stream
        base = np.frombuffer(memory, np.uint8, total)
        if slot < 0:
            base = base.copy()
        view = base.data
        buffers, end = [], 0
        for n in sizes:
            buffers.append(view[end:end + n])
            end += -(-n // _ALIGN) * _ALIGN
        x = pickle.loads(view[at:total], buffers=buffers)
        if slot >= 0:
            weakref.finalize(base, self.unused.append, slot).atexit = False
        return head, x
