"""torch.nn.functional: the functional forms of the layers, collected from the op entries."""
from __future__ import annotations

from .. import ops as _ops
from ..overrides import handle_torch_function as handle_torch_function
from ..overrides import has_torch_function as has_torch_function
from ..overrides import has_torch_function_unary as has_torch_function_unary
from ..overrides import has_torch_function_variadic as has_torch_function_variadic
from .linear_cross_entropy import linear_cross_entropy as linear_cross_entropy

globals().update(_ops.names["nn.functional"])
for _name in ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"):
    if _name not in globals() and _name in _ops.names["torch"]:
        globals()[_name] = _ops.names["torch"][_name]


def __getattr__(name: str):
    from ..absent import FUNCTIONAL, missing
    words = f"module 'torch.nn.functional' has no attribute '{name}'"
    raise AttributeError(missing(words, name, FUNCTIONAL, globals()))
