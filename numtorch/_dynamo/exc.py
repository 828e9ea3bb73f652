"""torch._dynamo.exc: the compiler's exceptions."""
from __future__ import annotations

from ..compiler.function import RecompileError
from ..compiler.lazy import Unsupported

__all__ = ["RecompileError", "TorchDynamoException", "Unsupported"]

TorchDynamoException = (Unsupported, RecompileError)
