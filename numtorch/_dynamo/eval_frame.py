"""torch._dynamo.eval_frame: the class of compiled modules."""
from __future__ import annotations

from ..compiler.module import OptimizedModule

__all__ = ["OptimizedModule", "is_dynamo_supported"]


def is_dynamo_supported() -> bool:
    """True: compilation needs nothing of the platform."""
    return True
