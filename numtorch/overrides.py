"""torch.overrides: numtorch has no __torch_function__ protocol; these answer accordingly."""
from __future__ import annotations

from .tensor import Tensor


def has_torch_function(relevant_args) -> bool:
    """False: no argument overrides operations."""
    return False


has_torch_function_unary = has_torch_function_variadic = has_torch_function


def is_tensor_like(inp) -> bool:
    """Whether inp is a Tensor."""
    return isinstance(inp, Tensor)
