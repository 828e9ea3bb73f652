"""torch._dynamo.external_utils."""
from __future__ import annotations

from ..compiler import is_compiling

__all__ = ["is_compiling"]
