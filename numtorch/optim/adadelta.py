"""Adadelta."""
from __future__ import annotations

from typing import Any

from .. import Tensor, zeros_like
from .optimizer import Rule, check_lr, check_positive, descend, reals

__all__ = ["Adadelta"]


class Adadelta(Rule):
    r"""v = rho v + (1 - rho) g²,  d = sqrt(u + eps) / sqrt(v + eps) g,  u = rho u + (1 - rho) d²,  p -= lr d

    Source: Zeiler 2012 (arXiv:1212.5701).
    """

    _moments = ("square_avg", "acc_delta")
    _options = {**Rule._options, "capturable": False}

    def __init__(self, params: Any, lr: float | Tensor = 1.0, rho: float = 0.9, eps: float = 1e-6,
                 weight_decay: float = 0, foreach: bool | None = None, *, capturable: bool = False,
                 maximize: bool = False, differentiable: bool = False) -> None:
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        if not 0.0 <= eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_positive("weight_decay", weight_decay)
        super().__init__(params, dict(
            lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize, capturable=capturable,
            foreach=foreach, differentiable=differentiable))

    def start(self, p: Tensor, g: Tensor, state: dict, group: dict) -> None:
        state["square_avg"] = zeros_like(p)
        state["acc_delta"] = zeros_like(p)

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict, t: Any) -> None:
        rho, eps = group["rho"], group["eps"]
        v, u = state["square_avg"], state["acc_delta"]
        if group["weight_decay"] != 0:
            g = g.add(p, alpha=group["weight_decay"])
        if p.dtype.is_complex:
            p, g, v, u = reals(p, g, v, u)
        v.mul_(rho).addcmul_(g, g, value=1 - rho)
        root = v.add(eps).sqrt_()
        d = u.add(eps).sqrt_()
        if group["differentiable"]:
            d = d.div(root).mul(g)
        else:
            d.div_(root).mul_(g)
        u.mul_(rho).addcmul_(d, d, value=1 - rho)
        descend(p, d, group["lr"])
