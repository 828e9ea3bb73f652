"""torch.xpu on a machine without Intel's GPUs: it says so."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any


def is_available() -> bool:
    """False."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def empty_cache() -> None:
    """Return: there is no memory to give back."""


def manual_seed(seed: int) -> None:
    """Return: there is no generator to seed."""


manual_seed_all = manual_seed


def _without(name: str) -> Callable:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("Torch not compiled with XPU enabled")
    refuse.__name__, refuse.__doc__ = name, "AssertionError, as in every PyTorch without XPU."
    return refuse


synchronize, current_device = _without("synchronize"), _without("current_device")
set_device = _without("set_device")
get_device_name, get_device_properties = _without("get_device_name"), _without("get_device_properties")
