"""The standard library's multiprocessing, in which tensors travel as shared memory, and spawn()."""
from __future__ import annotations

import sys
from multiprocessing import *  # noqa: F403
from multiprocessing import __all__ as _names

from .reductions import init_reductions
from .spawn import (
    ProcessContext,
    ProcessExitedException,
    ProcessRaisedException,
    SpawnContext,
    spawn,
    start_processes,
)

_STRATEGIES = {"file_descriptor"}


def get_all_sharing_strategies() -> set[str]:
    """How tensors can travel: as file descriptors of memory without a name."""
    return set(_STRATEGIES)


def get_sharing_strategy() -> str:
    """How tensors travel."""
    return "file_descriptor"


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepted for PyTorch's strategies; tensors travel as file descriptors in any case."""
    if new_strategy not in ("file_descriptor", "file_system"):
        raise AssertionError(f"{new_strategy} is not one of PyTorch's sharing strategies")


init_reductions()

__all__ = [*_names, "ProcessContext", "ProcessExitedException", "ProcessRaisedException",  # noqa: F405
           "SpawnContext", "get_all_sharing_strategies", "get_sharing_strategy", "init_reductions",
           "set_sharing_strategy", "spawn", "start_processes"]
if sys.platform == "win32":
    __all__ = [n for n in __all__ if n != "SpawnContext"]
