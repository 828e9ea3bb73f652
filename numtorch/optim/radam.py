"""RAdam: Adam with a rectified start."""
from __future__ import annotations

from typing import Any

from .. import Tensor, where, zeros_like
from .optimizer import Rule, check_betas, check_lr, check_positive, reals

__all__ = ["RAdam"]


class RAdam(Rule):
    r"""p -= lr m' r / sqrt(v') where the variance of v' is known well enough, else p -= lr m'

    With n = 2 / (1 - b2) - 1 and n_t = n - 2 t b2^t / (1 - b2^t), the first form holds from n_t > 5 and
    r = sqrt((n_t - 4)(n_t - 2) n / ((n - 4)(n - 2) n_t)). Source: Liu et al. 2019 (arXiv:1908.03265).
    """

    _moments = ("exp_avg", "exp_avg_sq")
    _options = {**Rule._options, "capturable": False, "decoupled_weight_decay": False}

    def __init__(self, params: Any, lr: float | Tensor = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, decoupled_weight_decay: bool = False, *,
                 foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
                 differentiable: bool = False) -> None:
        check_lr(lr)
        if not 0.0 <= eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_betas(betas)
        check_positive("weight_decay", weight_decay)
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize, foreach=foreach,
            capturable=capturable, decoupled_weight_decay=decoupled_weight_decay,
            differentiable=differentiable))

    def start(self, p: Tensor, g: Tensor, state: dict, group: dict) -> None:
        state["exp_avg"] = zeros_like(p)
        state["exp_avg_sq"] = zeros_like(p)

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict, t: Any) -> None:
        b1, b2 = group["betas"]
        lr, decay = group["lr"], group["weight_decay"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        if decay != 0:
            if group["decoupled_weight_decay"]:
                p.mul_(1 - lr * decay)
            else:
                g = g.add(p, alpha=decay)
        if p.dtype.is_complex:
            p, g, m, v = reals(p, g, m, v)
        m.lerp_(g, 1 - b1)
        v.mul_(b2).addcmul_(g, g, value=1 - b2)
        left = 1 - b2 ** t
        step = m / (1 - b1 ** t)
        n = 2 / (1 - b2) - 1
        n_t = n - 2 * t * (b2 ** t) / left

        def rectified() -> Any:
            ratio = (n_t - 4) * (n_t - 2) * n / ((n - 4) * (n - 2) * n_t)
            root = v.sqrt()
            root = root.add(group["eps"]) if group["differentiable"] else root.add_(group["eps"])
            if isinstance(ratio, Tensor):
                return where(n_t > 5.0, left.sqrt() / root * ratio.clamp(min=0).sqrt(), 1.0)
            return step * lr * (left ** 0.5 / root) * ratio ** 0.5

        if isinstance(n_t, Tensor):
            p.sub_(step * lr * rectified())
        else:
            p.sub_(rectified() if n_t > 5.0 else step * lr)
