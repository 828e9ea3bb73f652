"""Stochastic gradient descent."""
from __future__ import annotations

from typing import Any

from .. import Tensor
from .optimizer import Rule, check_fused, check_lr, check_positive, descend

__all__ = ["SGD"]


class SGD(Rule):
    r"""b = momentum b + (1 - dampening) g,  p -= lr b

    g is the gradient plus weight_decay p; the first b is g. With nesterov, p -= lr (g + momentum b).
    Source: Sutskever et al. 2013, in PyTorch's form (lr multiplies the momentum buffer).
    """

    _moments = ("momentum_buffer",)
    _counts = ()
    _options = {**Rule._options, "nesterov": False, "fused": False}

    def __init__(self, params: Any, lr: float | Tensor = 1e-3, momentum: float = 0, dampening: float = 0,
                 weight_decay: float | Tensor = 0, nesterov: bool = False, *, maximize: bool = False,
                 foreach: bool | None = None, differentiable: bool = False,
                 fused: bool | None = None) -> None:
        check_lr(lr)
        check_positive("momentum", momentum)
        check_positive("weight_decay", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        check_fused(fused, foreach, differentiable)
        super().__init__(params, dict(
            lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov,
            maximize=maximize, foreach=foreach, differentiable=differentiable, fused=fused))

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict) -> None:
        decay, momentum = group["weight_decay"], group["momentum"]
        if isinstance(decay, Tensor):
            g = g.addcmul(p, decay)
        elif decay != 0:
            g = g.add(p, alpha=decay)
        if momentum != 0:
            b = state.get("momentum_buffer")
            if b is None:
                b = g.clone() if group["differentiable"] else g.detach().clone()
                state["momentum_buffer"] = b
            else:
                b.mul_(momentum).add_(g, alpha=1 - group["dampening"])
            g = g.add(b, alpha=momentum) if group["nesterov"] else b
        descend(p, g, group["lr"])
