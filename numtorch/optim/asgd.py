"""Averaged stochastic gradient descent."""
from __future__ import annotations

from typing import Any

from .. import Tensor, float32, tensor, where, zeros_like
from .optimizer import Rule, check_lr, check_positive, reals

__all__ = ["ASGD"]


class ASGD(Rule):
    r"""p = (1 - lambd eta) p - eta g,  a += mu (p - a)

    eta = lr / (1 + lambd lr t)^alpha; mu = 1 / max(1, t - t0). The average a is state "ax".
    Source: Polyak & Juditsky 1992.
    """

    _moments = ("ax",)
    _counts = ("step", "eta", "mu")
    _options = {**Rule._options, "capturable": False}

    def __init__(self, params: Any, lr: float | Tensor = 1e-2, lambd: float = 1e-4, alpha: float = 0.75,
                 t0: float = 1e6, weight_decay: float = 0, foreach: bool | None = None,
                 maximize: bool = False,
                 differentiable: bool = False, capturable: bool = False) -> None:
        check_lr(lr)
        check_positive("weight_decay", weight_decay)
        super().__init__(params, dict(
            lr=lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay, foreach=foreach,
            maximize=maximize,
            differentiable=differentiable, capturable=capturable))

    def start(self, p: Tensor, g: Tensor, state: dict, group: dict) -> None:
        state["ax"] = zeros_like(p)

    def count(self, p: Tensor, state: dict, group: dict) -> tuple:
        (t,) = super().count(p, state, group)
        lr, capturable = group["lr"], group["capturable"]
        if state["eta"] is None:
            device = p.device if capturable else None
            state["eta"] = (lr.detach().clone().to(dtype=float32, device=device) if isinstance(lr, Tensor)
                            else tensor(lr, dtype=float32, device=device))
            state["mu"] = tensor(1.0, dtype=float32, device=device)
        eta, mu = state["eta"], state["mu"]
        later = lr / (1 + group["lambd"] * lr * t) ** group["alpha"]
        if capturable:
            now = eta.clone(), mu.clone()
            eta.copy_(later)
            mu.copy_(1 / (t - group["t0"]).clamp(min=1))
            return now
        state["eta"] = tensor(later.item() if isinstance(later, Tensor) else later, dtype=float32)
        state["mu"] = tensor(1 / max(1, t - group["t0"]), dtype=float32)
        return eta.item(), mu.item()

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict, eta: Any, mu: Any) -> None:
        a, lambd = state["ax"], group["lambd"]
        if group["weight_decay"] != 0:
            g = g.add(p, alpha=group["weight_decay"])
        if p.dtype.is_complex:
            p, g, a = reals(p, g, a)
        p.mul_(1 - lambd * eta)
        if isinstance(mu, Tensor):
            p.addcmul_(g, eta, value=-1)
            a.copy_(where(mu == 1, p, a + (p - a) * mu))
            return
        p.add_(g, alpha=-eta)
        if mu != 1:
            a.add_(p.sub(a).mul_(mu))
        else:
            a.copy_(p)
