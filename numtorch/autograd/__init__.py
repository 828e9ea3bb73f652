"""Automatic differentiation by PyTorch's names."""
from .engine import AccumulateGrad, Node, backward, grad
from .modes import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = ["AccumulateGrad", "Node", "backward", "enable_grad", "grad", "inference_mode", "no_grad", "set_grad_enabled"]
