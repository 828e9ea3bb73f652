"""What distributions share: numbers made tensors, probabilities and logits, values computed when first asked
for."""
from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

from .. import (
    Tensor,
    broadcast_tensors,
    enable_grad,
    finfo,
    get_default_dtype,
    log,
    log1p,
    logsumexp,
    sigmoid,
    softmax,
    tensor,
)


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Tensors and numbers as tensors of one shape; numbers get the dtype of the first tensor."""
    if not all(isinstance(v, Tensor | numbers.Number) for v in values):
        raise ValueError("Input arguments must all be instances of Number, torch.Tensor or objects "
                         "implementing "
                         "__torch_function__.")
    first = next((v for v in values if isinstance(v, Tensor)), None)
    options: dict[str, Any] = ({"dtype": get_default_dtype()} if first is None else
                               {"dtype": first.dtype, "device": first.device})
    return tuple(broadcast_tensors(*[v if isinstance(v, Tensor) else tensor(v, **options) for v in values]))


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept one rounding error away from 0 and 1."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(eps, 1 - eps)


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """sigmoid of log odds, softmax of others."""
    return sigmoid(logits) if is_binary else softmax(logits, -1)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """log odds of a binary probability, log of others."""
    p = clamp_probs(probs)
    return log(p) - log1p(-p) if is_binary else log(p)


def normalized(logits: Tensor) -> Tensor:
    """Logits whose exponentials add up to 1."""
    return logits - logsumexp(logits, -1, keepdim=True)


class lazy_property:
    """A property that is computed once."""

    def __init__(self, wrapped: Callable) -> None:
        self.wrapped, self.__doc__ = wrapped, wrapped.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, kind: Any = None) -> Any:
        if instance is None:
            return self
        with enable_grad():
            value = self.wrapped(instance)
        instance.__dict__[self.name] = value
        return value


def sum_rightmost(value: Tensor, dim: int) -> Tensor:
    """The sum over the last `dim` dimensions."""
    return value if dim == 0 else value.reshape(*value.shape[:value.ndim - dim], -1).sum(-1)
