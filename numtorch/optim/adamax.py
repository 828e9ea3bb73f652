"""Adamax."""
from __future__ import annotations

from typing import Any

from .. import Tensor, maximum, zeros_like
from .optimizer import Rule, check_betas, check_lr, check_positive, reals

__all__ = ["Adamax"]


class Adamax(Rule):
    r"""m += (1 - b1)(g - m),  u = max(b2 u, |g| + eps),  p -= lr / (1 - b1^t) m / u

    Source: Kingma & Ba 2014 (arXiv:1412.6980), section 7.
    """

    _moments = ("exp_avg", "exp_inf")
    _options = {**Rule._options, "capturable": False}

    def __init__(self, params: Any, lr: float | Tensor = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, foreach: bool | None = None, *,
                 maximize: bool = False,
                 differentiable: bool = False, capturable: bool = False) -> None:
        check_lr(lr)
        if not 0.0 <= eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_betas(betas)
        check_positive("weight_decay", weight_decay)
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, foreach=foreach, maximize=maximize,
            differentiable=differentiable, capturable=capturable))

    def start(self, p: Tensor, g: Tensor, state: dict, group: dict) -> None:
        state["exp_avg"] = zeros_like(p)
        state["exp_inf"] = zeros_like(p)

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict, t: Any) -> None:
        b1, b2 = group["betas"]
        m, u = state["exp_avg"], state["exp_inf"]
        if group["weight_decay"] != 0:
            g = g.add(p, alpha=group["weight_decay"])
        if p.dtype.is_complex:
            p, g, m, u = reals(p, g, m, u)
        m.lerp_(g, 1 - b1)
        if group["differentiable"]:
            u.copy_(maximum(u * b2, g.abs().add(group["eps"])))
        else:
            maximum(u.mul_(b2), g.abs().add_(group["eps"]), out=u)
        size = group["lr"] / (1 - b1 ** t)
        if isinstance(size, Tensor):
            p.addcdiv_(m, u / -size)
        else:
            p.addcdiv_(m, u, value=-size)
