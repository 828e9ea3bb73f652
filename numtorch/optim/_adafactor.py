"""Adafactor."""
from __future__ import annotations

import math
from typing import Any

from .. import Tensor, finfo, zeros_like
from .optimizer import Rule

__all__ = ["Adafactor"]


class Adafactor(Rule):
    r"""p -= a g' / max(1, rms(g') / d),  g' = g / sqrt(v),  a = max(eps2, rms(p)) min(lr, 1 / sqrt(t))

    v += t^beta2_decay (g² - v); for matrices only the means of g² over rows and over columns are kept, and v
    is their product over the mean of the row means. Source: Shazeer & Stern 2018 (arXiv:1804.04235). eps:
    (eps1, eps2), eps1 None means the dtype's epsilon.
    """

    _moments = ("row_var", "col_var", "variance")
    _options = {"foreach": None}

    def __init__(self, params: Any, lr: float | Tensor = 1e-2, beta2_decay: float = -0.8,
                 eps: tuple[float | None, float] = (None, 1e-3), d: float = 1.0, weight_decay: float = 0.0, *,
                 foreach: bool | None = None, maximize: bool = False) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not 0.0 >= beta2_decay:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not 0.0 <= eps[0]:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not 0.0 <= eps[1]:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not 1.0 <= d:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        super().__init__(params, dict(
            lr=lr, beta2_decay=beta2_decay, eps=eps, d=d, weight_decay=weight_decay, foreach=foreach,
            maximize=maximize))

    def start(self, p: Tensor, g: Tensor, state: dict, group: dict) -> None:
        if p.dtype.is_complex:
            raise RuntimeError("Adafactor does not support complex parameters")
        if g.dim() > 1:
            state["row_var"] = g.new_zeros((*g.shape[:-1], 1))
            state["col_var"] = g.new_zeros((*g.shape[:-2], 1, g.shape[-1]))
        else:
            state["variance"] = zeros_like(g)

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict, t: Any) -> None:
        lr, decay = group["lr"], group["weight_decay"]
        eps1, eps2 = group["eps"]
        if eps1 is None:
            eps1 = finfo(p.dtype).eps
        weight = t ** group["beta2_decay"]
        rho = min(lr, 1 / (t ** 0.5))
        size = (p.norm(2).double() / (p.numel() ** 0.5)).clamp(min=eps2) * rho
        if decay != 0:
            p.mul_(1 - lr * decay)
        if g.dim() > 1:
            row, col = state["row_var"], state["col_var"]
            row.lerp_(g.norm(dim=-1, keepdim=True).square_().div_(g.size(-1)), weight)
            col.lerp_(g.norm(dim=-2, keepdim=True).square_().div_(g.size(-2)), weight)
            v = (row * col).div_(row.mean(dim=-2, keepdim=True).clamp_(min=eps1))
        else:
            v = state["variance"]
            v.lerp_(g.square(), weight)
            v = v.clone()
        u = v.clamp_(min=eps1 * eps1).rsqrt_().mul_(g)
        rms = u.norm(2).double() / (math.sqrt(u.numel()) * group["d"])
        p.addcmul_(u, size / rms.clamp(min=1.0), value=-1)
