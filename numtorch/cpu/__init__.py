"""torch.cpu: the CPU by the names of a device with streams, all of whose work is done at once."""
from __future__ import annotations

from typing import Any

__all__ = ["Stream", "StreamContext", "amp", "current_device", "current_stream", "device_count",
           "is_available",
           "is_initialized", "set_device", "stream", "synchronize"]


class Stream:
    """A queue of work that is always done."""

    def __init__(self, priority: int = -1) -> None:
        self.priority = priority

    def wait_stream(self, stream: Any) -> None:
        """Return at once."""

    def record_event(self) -> None:
        """Return at once."""

    def wait_event(self, event: Any) -> None:
        """Return at once."""


class StreamContext:
    """`with torch.cpu.stream(s):` makes `s` the current stream inside."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        global _current
        self.before = _current
        if self.stream is not None:
            _current = self.stream

    def __exit__(self, *exc: Any) -> None:
        global _current
        _current = self.before


_current = Stream()


def is_available() -> bool:
    """True."""
    return True


def is_initialized() -> bool:
    """True."""
    return True


def device_count() -> int:
    """1."""
    return 1


def current_device() -> str:
    """'cpu'."""
    return "cpu"


def set_device(device: Any) -> None:
    """There is one CPU; nothing changes."""


def synchronize(device: Any = None) -> None:
    """Return: work on the CPU is done when its call returns."""


def current_stream(device: Any = None) -> Stream:
    """The stream in force."""
    return _current


def stream(stream: Stream | None) -> StreamContext:
    """A context in which `stream` is the current one."""
    return StreamContext(stream)


from . import amp  # noqa: E402
