"""The names of PyTorch's extension module that user code reaches for: those of the override protocol."""
from __future__ import annotations

from .overrides import DisableTorchFunction, DisableTorchFunctionSubclass
from .overrides import disabled_torch_function as _disabled_torch_function_impl
from .random import Generator
from .tensor import Tensor as TensorBase

_TensorBase = TensorBase

__all__ = ["DisableTorchFunction", "DisableTorchFunctionSubclass", "Generator", "TensorBase", "_TensorBase",
           "_disabled_torch_function_impl"]
