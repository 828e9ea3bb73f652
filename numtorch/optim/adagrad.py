"""Adagrad."""
from __future__ import annotations

from typing import Any

from .. import Tensor, float32, full_like, tensor
from .optimizer import Rule, check_fused, check_lr, check_positive, reals

__all__ = ["Adagrad"]


class Adagrad(Rule):
    r"""s += g²,  p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)

    Source: Duchi, Hazan & Singer 2011.
    """

    _moments = ("sum",)
    _options = {**Rule._options, "fused": None}

    def __init__(self, params: Any, lr: float | Tensor = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
                 initial_accumulator_value: float = 0, eps: float = 1e-10, foreach: bool | None = None, *,
                 maximize: bool = False, differentiable: bool = False, fused: bool | None = None) -> None:
        check_lr(lr)
        check_positive("lr_decay", lr_decay)
        check_positive("weight_decay", weight_decay)
        check_positive("initial_accumulator_value", initial_accumulator_value)
        if not 0.0 <= eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_fused(fused, foreach, differentiable)
        super().__init__(params, dict(
            lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value, foreach=foreach, maximize=maximize,
            differentiable=differentiable, fused=fused))
        for group in self.param_groups:
            step = tensor(0.0, dtype=float32)
            for p in group["params"]:
                self.state[p]["step"] = step
                self.start(p, p, self.state[p], group)

    def start(self, p: Tensor, g: Tensor, state: dict, group: dict) -> None:
        value = group["initial_accumulator_value"]
        state["sum"] = full_like(p, complex(value, value) if p.dtype.is_complex else value)

    def share_memory(self) -> None:
        """Move the state into shared memory."""
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["sum"].share_memory_()

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict, t: Any) -> None:
        s = state["sum"]
        if group["weight_decay"] != 0:
            g = g.add(p, alpha=group["weight_decay"])
        size = group["lr"] / (1 + (t - 1) * group["lr_decay"])
        if p.dtype.is_complex:
            p, g, s = reals(p, g, s)
        s.addcmul_(g, g, value=1)
        root = s.sqrt().add(group["eps"]) if group["differentiable"] else s.sqrt().add_(group["eps"])
        if isinstance(size, Tensor):
            p.sub_(g / root * size)
        else:
            p.addcdiv_(g, root, value=-size)
