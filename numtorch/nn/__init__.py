"""Layers, losses, initial values and their functional forms: PyTorch's torch.nn."""

from . import functional, init, parallel, utils
from .linear_cross_entropy import LinearCrossEntropyOptions
from .modules import *  # noqa: F403
from .modules import __all__ as _modules
from .parallel import DataParallel
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

__all__ = [  # noqa: F405
    *_modules,
    "Buffer",
    "DataParallel",
    "LinearCrossEntropyOptions",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "functional",
    "init",
    "parallel",
    "utils",
]
