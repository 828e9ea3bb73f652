"""NAdam: Adam with Nesterov momentum."""
from __future__ import annotations

from typing import Any

from .. import Tensor, float32, tensor, zeros_like
from .optimizer import Rule, check_betas, check_lr, check_positive, reals, tick

__all__ = ["NAdam"]


class NAdam(Rule):
    r"""p -= lr / (sqrt(v') + eps) ((1 - mu_t) / (1 - M_t) g + mu_(t+1) / (1 - M_t mu_(t+1)) m)

    m, v and v' as in Adam; mu_t = b1 (1 - 0.96^(t momentum_decay) / 2); M_t is the product of mu_1 … mu_t.
    Source: Dozat 2016.
    """

    _moments = ("exp_avg", "exp_avg_sq", "mu_product")
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

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for entry in self.state.values():
            if entry and not isinstance(entry["mu_product"], Tensor):
                entry["mu_product"] = tensor(entry["mu_product"], dtype=float32)

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict, ticks: dict) -> None:
        capturable = group["capturable"]
        if "exp_avg" not in state:
            state["step"] = None
            state["mu_product"] = tensor(1.0, dtype=float32, device=p.device if capturable else None)
            state["exp_avg"] = zeros_like(p)
            state["exp_avg_sq"] = zeros_like(p)
        t = tick(p, state, group, ticks)
        b1, b2 = group["betas"]
        lr, decay, momentum_decay = group["lr"], group["weight_decay"], group["momentum_decay"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        if decay != 0:
            if group["decoupled_weight_decay"]:
                p.mul_(1 - lr * decay)
            else:
                g = g.add(p, alpha=decay)
        mu = b1 * (1.0 - 0.5 * 0.96 ** (t * momentum_decay))
        mu_next = b1 * (1.0 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
        product = state["mu_product"].mul_(mu)
        if p.dtype.is_complex:
            p, g, m, v = reals(p, g, m, v)
        m.lerp_(g, 1 - b1)
        v.mul_(b2).addcmul_(g, g, value=1 - b2)
        root = v.div(1 - b2 ** t).sqrt()
        root = root.add(group["eps"]) if group["differentiable"] else root.add_(group["eps"])
        if not (capturable or group["differentiable"]):
            product = product.item()
        now = -lr * (1.0 - mu) / (1.0 - product)
        then = -lr * mu_next / (1.0 - product * mu_next)
        if isinstance(now, Tensor):
            p.add_(g / root * now)
            p.add_(m / root * then)
        else:
            p.addcdiv_(g, root, value=now)
            p.addcdiv_(m, root, value=then)
