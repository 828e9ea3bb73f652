"""Averaged stochastic gradient descent."""
from __future__ import annotations

from typing import Any

from .. import Tensor, float32, tensor, where, zeros_like
from .optimizer import Rule, check_lr, check_positive, reals, tick

__all__ = ["ASGD"]


class ASGD(Rule):
    r"""p = (1 - lambd eta) p - eta g,  a += mu (p - a)

    eta = lr / (1 + lambd lr t)^alpha; mu = 1 / max(1, t - t0). The average a is state "ax".
    Source: Polyak & Juditsky 1992.
    """

    _moments = ("ax", "eta", "mu")
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

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for entry in self.state.values():
            for name in ("eta", "mu"):
                if entry and not isinstance(entry[name], Tensor):
                    entry[name] = tensor(entry[name], dtype=float32)

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict, ticks: dict) -> None:
        lr, lambd, capturable = group["lr"], group["lambd"], group["capturable"]
        if "ax" not in state:
            device = p.device if capturable else None
            state["step"] = None
            state["eta"] = (lr.detach().clone().to(dtype=float32, device=device) if isinstance(lr, Tensor)
                            else tensor(lr, dtype=float32, device=device))
            state["mu"] = tensor(1.0, dtype=float32, device=device)
            state["ax"] = zeros_like(p)
        t = tick(p, state, group, ticks)
        a, eta, mu = state["ax"], state["eta"], state["mu"]
        if group["weight_decay"] != 0:
            g = g.add(p, alpha=group["weight_decay"])
        if p.dtype.is_complex:
            p, g, a = reals(p, g, a)
        if capturable:
            p.mul_(1 - lambd * eta)
            p.addcmul_(g, eta, value=-1)
            a.copy_(where(mu == 1, p, a + (p - a) * mu))
            state["eta"].copy_(lr / (1 + lambd * lr * t) ** group["alpha"])
            state["mu"].copy_(1 / (t - group["t0"]).clamp(min=1))
            return
        size = eta.item()
        p.mul_(1 - lambd * size)
        p.add_(g, alpha=-size)
        weight = mu.item()
        if weight != 1:
            a.add_(p.sub(a).mul_(weight))
        else:
            a.copy_(p)
        eta = lr / (1 + lambd * lr * t) ** group["alpha"]
        if isinstance(eta, Tensor):
            eta = eta.item()
        state["eta"] = tensor(eta, dtype=float32)
        state["mu"] = tensor(1 / max(1, t - group["t0"]), dtype=float32)
