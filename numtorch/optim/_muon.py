"""Muon: momentum steps made orthogonal."""
from __future__ import annotations

import math
from typing import Any

from .. import Tensor, addmm, bfloat16, zeros_like
from .optimizer import Rule

__all__ = ["Muon"]


class Muon(Rule):
    r"""b += (1 - momentum)(g - b),  p -= lr' orthogonal(b), after p *= 1 - lr weight_decay

    orthogonal: `ns_steps` Newton-Schulz iterations x = a x + (b xxᵀ + c (xxᵀ)²) x in bfloat16, which push the
    singular values towards 1. adjust_lr_fn: "original" (None) multiplies lr by sqrt(max(1, rows / columns)),
    "match_rms_adamw" by 0.2 sqrt(max(rows, columns)). Matrices only. Source: Jordan 2024,
    kellerjordan.github.io/posts/muon.
    """

    _moments = ("momentum_buffer",)
    _counts = ()
    _options: dict[str, Any] = {}

    def __init__(self, params: Any, lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95,
                 nesterov: bool = True, ns_coefficients: tuple[float, float, float] = (3.4445, -4.775,
                                                                                       2.0315),
                 eps: float = 1e-7, ns_steps: int = 5, adjust_lr_fn: str | None = None) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not 0.0 <= momentum:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn is not None and adjust_lr_fn not in ("original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        super().__init__(params, dict(
            lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov,
            ns_coefficients=ns_coefficients,
            eps=eps, ns_steps=ns_steps, adjust_lr_fn=adjust_lr_fn))
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise ValueError("Muon only supports 2D parameters whereas we found a parameter with "
                                     f"size: {p.size()}")

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict) -> None:
        if p.dtype.is_complex:
            raise RuntimeError("Muon does not support complex parameters")
        if g.ndim != 2:
            raise ValueError("Param gradient must be a 2D matrix")
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = zeros_like(g)
        b, lr, momentum = state["momentum_buffer"], group["lr"], group["momentum"]
        b.lerp_(g, 1 - momentum)
        step = g.lerp(b, momentum) if group["nesterov"] else b
        step = orthogonal(step, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = p.shape[:2]
        if group["adjust_lr_fn"] == "match_rms_adamw":
            rate = lr * (0.2 * math.sqrt(max(rows, columns)))
        else:
            rate = lr * math.sqrt(max(1, rows / columns))
        p.mul_(1 - lr * group["weight_decay"])
        p.add_(step, alpha=-rate)


def orthogonal(g: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """The matrix nearest to `g` with singular values about 1, in bfloat16."""
    if steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if g.ndim != 2:
        raise ValueError("Input tensor gradient must be a 2D matrix")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    x = g.to(bfloat16)
    tall = x.size(0) > x.size(1)
    if tall:
        x = x.T
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        square = x @ x.T
        x = addmm(x, addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
