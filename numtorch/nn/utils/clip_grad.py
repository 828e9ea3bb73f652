"""Gradient clipping."""

from __future__ import annotations

import functools
import types
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from ... import Tensor, clamp, linalg, no_grad, stack, tensor

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def _without_grad(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with no_grad():
            return function(*args, **kwargs)

    return wrapped


@functools.cache
def _rows() -> tuple[Any, Any, Any]:
    """Functions of many tensors in a few launches: the norm, times a factor, within bounds."""
    from ...compiler.foreach import Foreach

    def norm(row: Any, env: Any, kind: Any) -> Tensor:
        return linalg.vector_norm(row[0], env[0])

    def scale(row: Any, env: Any, kind: Any) -> None:
        row[0].mul_(env[0])

    def bound(row: Any, env: Any, kind: Any) -> None:
        row[0].clamp_(min=-env[0], max=env[0])
    return Foreach(norm), Foreach(scale), Foreach(bound)


def _as_list(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


@_without_grad
def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Return the norm of the tensors taken as one vector; norm_type: its order, inf for the largest.

    foreach is accepted and makes no difference to the result.
    """
    norm_type = float(norm_type)
    tensors = _as_list(tensors)
    if not tensors:
        return tensor(0.0)
    norm, device = _rows()[0], tensors[0].device
    if all(t.device == device and t.dtype is tensors[0].dtype for t in tensors):
        norms = norm.stacked([(t,) for t in tensors], (norm_type,))
    else:
        norms = stack([linalg.vector_norm(t, norm_type).to(device) for t in tensors])
    total = linalg.vector_norm(norms, norm_type)
    if error_if_nonfinite and (total.isnan() or total.isinf()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from "
            "`parameters` is non-finite, so it cannot be clipped. To disable "
            "this error and scale the gradients by the non-finite norm anyway, "
            "set `error_if_nonfinite=False`"
        )
    return total


@_without_grad
def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Multiply the gradients by max_norm / (total_norm + 1e-6) where that is below 1, in place."""
    max_norm = float(max_norm)
    grads = [p.grad for p in _as_list(parameters) if p.grad is not None]
    if not grads:
        return
    # The product is applied even when it is 1: no value has to be read back from a device.
    scale = clamp(max_norm / (total_norm + 1e-6), max=1.0)
    for device in dict.fromkeys([grad.device for grad in grads]):
        _rows()[1]([(grad,) for grad in grads if grad.device == device], (scale.to(device),))


@_without_grad
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients, in place, so that their joint norm is at most max_norm; return the norm."""
    if isinstance(parameters, types.GeneratorType):
        parameters = list(parameters)
        if not parameters:
            warnings.warn(
                "`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=3
            )
    parameters = _as_list(parameters)
    grads = [p.grad for p in parameters if p.grad is not None]
    total = get_total_norm(grads, norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(parameters, max_norm, total, foreach)
    return total


def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Do what clip_grad_norm_ does (deprecated name)."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


@_without_grad
def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Clamp every element of the gradients to [-clip_value, clip_value], in place."""
    clip_value = float(clip_value)
    grads = [p.grad for p in _as_list(parameters) if p.grad is not None]
    _rows()[2]([(grad,) for grad in grads], (clip_value,))
