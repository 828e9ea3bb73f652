"""torch.cuda.nvtx: named ranges of work; numtorch shows them in its profiler (torch.profiler) instead of
NVIDIA's.
"""
from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..autograd.profiler import record_function

_open: list[record_function] = []


def range_push(msg: str) -> int:
    """Open a range; how many were open."""
    _open.append(record_function(msg).__enter__())
    return len(_open) - 1


def range_pop() -> int:
    """Close the innermost range; how many are open."""
    _open.pop().__exit__(None, None, None)
    return len(_open)


def mark(msg: str) -> None:
    """An empty range."""
    with record_function(msg):
        pass


@contextlib.contextmanager
def range(msg: str, *args: object, **kwargs: object) -> Iterator[None]:
    """A range around what runs in the context; `msg` is a format of the arguments."""
    with record_function(msg.format(*args, **kwargs)):
        yield
