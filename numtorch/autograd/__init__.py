"""Automatic differentiation by PyTorch's names."""
from __future__ import annotations

from . import forward_ad, function, functional, graph
from .anomaly import detect_anomaly, set_detect_anomaly
from .engine import AccumulateGrad, Node, backward, grad
from .function import Function
from .gradcheck import GradcheckError, gradcheck, gradgradcheck
from .modes import enable_grad, inference_mode, no_grad, set_grad_enabled


def Variable(data, requires_grad: bool = False, volatile: bool | None = None):
    """A tensor (PyTorch before 0.4 wrapped tensors in Variables)."""
    if volatile is not None:
        import warnings
        warnings.warn("volatile was removed and now has no effect. Use `with torch.no_grad():` instead.",
                      stacklevel=2)
    t = data if not requires_grad or data.requires_grad else data.detach()
    return t.requires_grad_() if requires_grad else t


__all__ = ["AccumulateGrad", "Function", "GradcheckError", "Node", "Variable", "backward", "detect_anomaly",
           "enable_grad", "forward_ad", "function", "functional", "grad", "gradcheck", "gradgradcheck",
           "graph", "inference_mode", "no_grad", "set_detect_anomaly", "set_grad_enabled"]


def __getattr__(name: str):
    """The profiler is not imported until used."""
    if name == "profiler":
        import importlib
        return importlib.import_module("." + name, __name__)
    raise AttributeError(f"module 'torch.autograd' has no attribute '{name}'")
