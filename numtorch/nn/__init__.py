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


def __getattr__(name: str):
    """Submodules that are not imported until used."""
    if name in ("attention", "parallel"):
        import importlib
        try:
            return importlib.import_module("." + name, __name__)
        except ModuleNotFoundError as e:
            if e.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module 'torch.nn' has no attribute '{name}'")
