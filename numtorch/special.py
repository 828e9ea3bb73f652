"""torch.special, collected from the op entries."""
from __future__ import annotations

from . import ops as _ops


def __getattr__(name: str):
    raise AttributeError(f"module 'torch.special' has no attribute '{name}'")


globals().update(_ops.names["special"])
