"""torch.mps on a machine without Apple's Metal: it says so, and work asked of it is a RuntimeError."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any


def device_count() -> int:
    """0."""
    return 0


def is_available() -> bool:
    """False."""
    return False


def manual_seed(seed: int) -> None:
    """Return: there is no generator to seed."""


def seed() -> None:
    """Return: there is no generator to seed."""


def _without(name: str, action: str) -> Callable:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"Cannot execute {action}() without MPS backend.")
    refuse.__name__, refuse.__doc__ = name, "RuntimeError, as in every PyTorch without MPS."
    return refuse


synchronize = _without("synchronize", "deviceSynchronize")
empty_cache = _without("empty_cache", "emptyCache")
current_allocated_memory = _without("current_allocated_memory", "getCurrentAllocatedMemory")
driver_allocated_memory = _without("driver_allocated_memory", "getDriverAllocatedMemory")
recommended_max_memory = _without("recommended_max_memory", "getRecommendedMaxMemory")
set_per_process_memory_fraction = _without("set_per_process_memory_fraction", "setMemoryFraction")
