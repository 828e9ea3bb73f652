"""The tracing compiler: running code becomes graphs, graphs become a few fused kernels.

`compile` is numtorch.compile; the rest is PyTorch's torch.compiler."""
from __future__ import annotations

from .function import Compiled, compile, disable, is_compiling, reset

__all__ = ["Compiled", "compile", "disable", "is_compiling", "reset"]
