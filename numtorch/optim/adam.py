"""Adam and AdamW."""
from __future__ import annotations

from typing import Any

from .. import Tensor, maximum, zeros_like
from .optimizer import Rule, check_betas, check_fused, check_lr, check_positive, reals

__all__ = ["Adam", "AdamW"]


class Adam(Rule):
    r"""m += (1 - b1)(g - m),  v = b2 v + (1 - b2) g²,  p -= lr m' / (sqrt(v') + eps)

    m' = m / (1 - b1^t) and v' = v / (1 - b2^t) undo the start from zero. amsgrad: v' is the largest v so far.
    weight_decay adds weight_decay p to g or, with decoupled_weight_decay, shrinks p by lr weight_decay.
    Sources: Kingma & Ba 2014 (arXiv:1412.6980); Reddi et al. 2018 for amsgrad.
    """

    _moments = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    _options = {**Rule._options, "amsgrad": False, "capturable": False, "decoupled_weight_decay": False,
                "fused": None}

    def __init__(self, params: Any, lr: float | Tensor = 1e-3, betas: tuple = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, amsgrad: bool = False, *, foreach: bool | None = None,
                 maximize: bool = False, capturable: bool = False, differentiable: bool = False,
                 fused: bool | None = None, decoupled_weight_decay: bool = False) -> None:
        if isinstance(lr, Tensor) and foreach and not capturable:
            raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
        check_lr(lr)
        if not 0.0 <= eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_betas(betas)
        check_positive("weight_decay", weight_decay)
        if isinstance(betas[0], Tensor) != isinstance(betas[1], Tensor):
            raise ValueError("betas must be either both floats or both Tensors")
        for i, beta in enumerate(betas):
            if isinstance(beta, Tensor):
                if foreach and not capturable:
                    raise ValueError(f"betas[{i}] as a Tensor is not supported for capturable=False and "
                                     "foreach=True")
                if beta.numel() != 1:
                    raise ValueError(f"Tensor betas[{i}] must be 1-element")
        check_fused(fused, foreach, differentiable)
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize,
            foreach=foreach, capturable=capturable, differentiable=differentiable, fused=fused,
            decoupled_weight_decay=decoupled_weight_decay))

    def start(self, p: Tensor, g: Tensor, state: dict, group: dict) -> None:
        state["exp_avg"] = zeros_like(p)
        state["exp_avg_sq"] = zeros_like(p)
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = zeros_like(p)

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict, t: Any) -> None:
        b1, b2 = group["betas"]
        lr, eps, decay = group["lr"], group["eps"], group["weight_decay"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        top = state["max_exp_avg_sq"] if group["amsgrad"] else None
        if decay != 0:
            if group["decoupled_weight_decay"]:
                p.mul_(1 - lr * decay)
            else:
                g = g.add(p, alpha=decay)
        if p.dtype.is_complex:
            p, g, m, v, top = reals(p, g, m, v, top)

        m.lerp_(g, 1 - b1)
        w = 1 - b2
        if isinstance(w, Tensor):
            v.mul_(b2).add_(g * g * w)
        else:
            v.mul_(b2).addcmul_(g, g, value=w)
        size = lr / (1 - b1 ** t)
        root = (1 - b2 ** t) ** 0.5
        if top is not None:
            if group["differentiable"]:
                top = maximum(top, v)
                state["max_exp_avg_sq"] = top
            else:
                maximum(top, v, out=top)
            below = top.sqrt()
        else:
            below = v.sqrt()
        if isinstance(size, Tensor):
            p.addcdiv_(m, (below / (root * -size)).add_(eps / -size))
        else:
            p.addcdiv_(m, (below / root).add_(eps), value=-size)


class AdamW(Adam):
    r"""Adam with decoupled weight decay: p *= 1 - lr weight_decay before each step.

    Source: Loshchilov & Hutter 2017 (arXiv:1711.05101).
    """

    def __init__(self, params: Any, lr: float | Tensor = 1e-3, betas: tuple = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False,
                 foreach: bool | None = None, capturable: bool = False, differentiable: bool = False,
                 fused: bool | None = None) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize,
                         capturable=capturable, differentiable=differentiable, fused=fused,
                         decoupled_weight_decay=True)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
