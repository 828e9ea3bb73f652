"""Resilient backpropagation."""
from __future__ import annotations

from typing import Any

from .. import Tensor, full_like, where, zeros_like
from .optimizer import Rule, check_lr, reals

__all__ = ["Rprop"]


class Rprop(Rule):
    r"""p -= sign(g) s: s grows by etas[1] while the sign of g stays, shrinks by etas[0] where it turns

    Where the sign turned, the gradient counts as zero once. s stays within step_sizes.
    Source: Riedmiller & Braun 1993.
    """

    _moments = ("prev", "step_size")
    _options = {**Rule._options, "capturable": False}

    def __init__(self, params: Any, lr: float | Tensor = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
                 step_sizes: tuple[float, float] = (1e-6, 50), *, capturable: bool = False,
                 foreach: bool | None = None, maximize: bool = False, differentiable: bool = False) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(params, dict(
            lr=lr, etas=etas, step_sizes=step_sizes, foreach=foreach, maximize=maximize,
            differentiable=differentiable, capturable=capturable))

    def start(self, p: Tensor, g: Tensor, state: dict, group: dict) -> None:
        state["prev"] = zeros_like(p)
        lr = float(group["lr"])
        state["step_size"] = full_like(g, complex(lr, lr) if p.dtype.is_complex else lr)

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict, t: Any) -> None:
        minus, plus = group["etas"]
        low, high = group["step_sizes"]
        prev, size = state["prev"], state["step_size"]
        if p.dtype.is_complex:
            p, g, prev, size = reals(p, g, prev, size)
        turn = g * prev
        same, turned = turn > 0, turn < 0
        size.mul_(where(same, plus, where(turned, minus, 1.0)).to(size.dtype)).clamp_(low, high)
        g = g.masked_fill(turned, 0)
        p.addcmul_(g.sign(), size, value=-1)
        prev.copy_(g)
