"""RMSprop."""
from __future__ import annotations

from typing import Any

from .. import Tensor, zeros_like
from .optimizer import Rule, check_lr, check_positive, descend, reals

__all__ = ["RMSprop"]


class RMSprop(Rule):
    r"""v = alpha v + (1 - alpha) g²,  p -= lr g / (sqrt(v) + eps)

    centered: the square of the mean gradient is taken off v. momentum: the steps are summed in a buffer.
    eps is added after the root. Sources: Hinton's lecture 6e, 2012; Graves 2013 (arXiv:1308.0850) for
    centered.
    """

    _moments = ("square_avg", "momentum_buffer", "grad_avg")
    _options = {**Rule._options, "momentum": 0, "centered": False, "capturable": False}

    def __init__(self, params: Any, lr: float | Tensor = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
                 weight_decay: float = 0, momentum: float = 0, centered: bool = False,
                 capturable: bool = False, foreach: bool | None = None, maximize: bool = False,
                 differentiable: bool = False) -> None:
        check_lr(lr)
        if not 0.0 <= eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_positive("momentum", momentum)
        check_positive("weight_decay", weight_decay)
        check_positive("alpha", alpha)
        super().__init__(params, dict(
            lr=lr, momentum=momentum, alpha=alpha, eps=eps, centered=centered, weight_decay=weight_decay,
            capturable=capturable, foreach=foreach, maximize=maximize, differentiable=differentiable))

    def start(self, p: Tensor, g: Tensor, state: dict, group: dict) -> None:
        state["square_avg"] = zeros_like(p)
        if group["momentum"] > 0:
            state["momentum_buffer"] = zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = zeros_like(p)

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict, t: Any) -> None:
        lr, alpha, momentum = group["lr"], group["alpha"], group["momentum"]
        v = state["square_avg"]
        b: Any = state.get("momentum_buffer")
        mean: Any = state.get("grad_avg")
        if group["weight_decay"] != 0:
            g = g.add(p, alpha=group["weight_decay"])
        if p.dtype.is_complex:
            p, g, v, b, mean = reals(p, g, v, b, mean)
        v.mul_(alpha).addcmul_(g, g, value=1 - alpha)
        if group["centered"]:
            mean.lerp_(g, 1 - alpha)
            root = v.addcmul(mean, mean, value=-1).sqrt_()
        else:
            root = v.sqrt()
        root = root.add(group["eps"]) if group["differentiable"] else root.add_(group["eps"])
        if momentum > 0:
            b.mul_(momentum).addcdiv_(g, root)
            descend(p, b, lr)
        elif isinstance(lr, Tensor):
            p.sub_(g / root * lr)
        else:
            p.addcdiv_(g, root, value=-lr)
