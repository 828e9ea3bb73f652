"""torch._dynamo.utils: counters, and questions about compilation."""
from __future__ import annotations

from typing import Any

from ..compiler.explain import counters
from ..tensor import Tensor

__all__ = ["clone_inputs", "counters", "is_compile_supported"]


def clone_inputs(example_inputs: Any) -> Any:
    """Copies of tensors in a list or dict, with the same requires_grad."""
    copy = lambda t: t.detach().clone().requires_grad_(t.requires_grad) if isinstance(t, Tensor) else t
    if isinstance(example_inputs, dict):
        return {k: clone_inputs(v) if isinstance(v, list | tuple) else copy(v)
                for k, v in example_inputs.items()}
    return [copy(t) for t in example_inputs]


def is_compile_supported(device_type: str) -> bool:
    """Whether compiled functions fuse on that device: "cpu"."""
    return device_type == "cpu"
