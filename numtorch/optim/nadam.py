"""NAdam: Adam with Nesterov momentum."""
from __future__ import annotations

from typing import Any

from .. import Tensor, float32, tensor, zeros_like
from .optimizer import Rule, check_betas, check_lr, check_positive, reals

__all__ = ["NAdam"]


class NAdam(Rule):
    r"""p -= lr / (sqrt(v') + eps) ((1 - mu_t) / (1 - M_t) g + mu_(t+1) / (1 - M_t mu_(t+1)) m)

    m, v and v' as in Adam; mu_t = b1 (1 - 0.96^(t momentum_decay) / 2); M_t is the product of mu_1 … mu_t.
    Source: Dozat 2016.
    """

    _moments = ("exp_avg", "exp_avg_sq")
    _counts = ("step", "mu_product")
    _options = {**Rule._options, "capturable": False, "decoupled_weight_decay": False}

    def __init__(self, params: Any, lr: float | Tensor = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, momentum_decay: float = 4e-3,
                 decoupled_weight_decay: bool = False, *, foreach: bool | None = None, maximize: bool = False,
                 capturable: bool = False, differentiable: bool = False) -> None:
        check_lr(lr)
        if not 0.0 <= eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_betas(betas)
        check_positive("weight_decay", weight_decay)
        check_positive("momentum_decay", momentum_decay)
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay, maximize=maximize, foreach=foreach,
            capturable=capturable, differentiable=differentiable))

    def start(self, p: Tensor, g: Tensor, state: dict, group: dict) -> None:
        state["exp_avg"] = zeros_like(p)
        state["exp_avg_sq"] = zeros_like(p)

    def count(self, p: Tensor, state: dict, group: dict) -> tuple:
        (t,) = super().count(p, state, group)
        capturable, b1, decay = group["capturable"], group["betas"][0], group["momentum_decay"]
        mu = b1 * (1.0 - 0.5 * 0.96 ** (t * decay))
        mu_next = b1 * (1.0 - 0.5 * 0.96 ** ((t + 1) * decay))
        product = state["mu_product"]
        if product is None:
            product = tensor(1.0, dtype=float32, device=p.device if capturable else None)
        product = state["mu_product"] = product.mul_(mu) if capturable else product * mu
        return t, mu, mu_next, product if capturable or group["differentiable"] else product.item()

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict, t: Any, mu: Any, mu_next: Any,
               product: Any) -> None:
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
        root = v.div(1 - b2 ** t).sqrt()
        root = root.add(group["eps"]) if group["differentiable"] else root.add_(group["eps"])
        now = -lr * (1.0 - mu) / (1.0 - product)
        then = -lr * mu_next / (1.0 - product * mu_next)
        if isinstance(now, Tensor):
            p.add_(g / root * now)
            p.add_(m / root * then)
        else:
            p.addcdiv_(g, root, value=now)
            p.addcdiv_(m, root, value=then)
