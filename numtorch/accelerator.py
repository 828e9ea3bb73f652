"""torch.accelerator: the device that is faster than the CPU, whichever it is: CUDA where there is one, or
none."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import cuda
from .devices import device as _device


def is_available() -> bool:
    """Whether there is an accelerator."""
    return cuda.is_available()


def device_count() -> int:
    """How many accelerators there are."""
    return cuda.device_count()


def current_accelerator(check_available: bool = False) -> _device | None:
    """The accelerator's device without an index, or None."""
    return _device("cuda") if is_available() else None


def _need() -> None:
    if not is_available():
        raise RuntimeError("Cannot access accelerator device when none is available.")


def current_device_index() -> int:
    """The index of the accelerator in use."""
    _need()
    return cuda.current_device()


current_device_idx = current_device_index


def set_device_index(device: Any, /) -> None:
    """Use the accelerator `device` (an index, a name or a device) from now on."""
    _need()
    cuda.set_device(device)


set_device_idx = set_device_index


def current_stream(device: Any = None, /) -> cuda.Stream:
    """The stream that work goes to."""
    _need()
    return cuda.current_stream(device)


def set_stream(stream: cuda.Stream) -> None:
    """Send work to `stream` from now on."""
    _need()
    cuda.set_stream(stream)


def synchronize(device: Any = None, /) -> None:
    """Wait until all work of an accelerator is done."""
    _need()
    cuda.synchronize(device)


def get_device_capability(device: Any = None, /) -> dict[str, Any]:
    """The dtypes an accelerator computes with, under "supported_dtypes"."""
    _need()
    from . import dtypes
    return {"supported_dtypes": set(dtypes.ALL)}


class device_index:
    """`with torch.accelerator.device_index(1):` uses that accelerator inside; None changes nothing."""

    def __init__(self, device: int | None, /) -> None:
        self.idx, self.prev_idx = device, -1

    def __enter__(self) -> None:
        if self.idx is not None:
            self.prev_idx = current_device_index()
            set_device_index(self.idx)

    def __exit__(self, *exc: Any) -> None:
        if self.idx is not None:
            set_device_index(self.prev_idx)


def _memory(name: str) -> Callable:
    def ask(*device: Any) -> Any:
        _need()
        return getattr(cuda, name)(*device)
    ask.__name__, ask.__doc__ = name, f"torch.cuda.{name} of the accelerator. RuntimeError without one."
    return ask


empty_cache = _memory("empty_cache")
memory_allocated, max_memory_allocated = _memory("memory_allocated"), _memory("max_memory_allocated")
memory_reserved, max_memory_reserved = _memory("memory_reserved"), _memory("max_memory_reserved")
memory_stats, reset_peak_memory_stats = _memory("memory_stats"), _memory("reset_peak_memory_stats")
get_memory_info = _memory("mem_get_info")
