"""Batches in parts on several devices, and back."""
from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from ... import Tensor, cat, devices

__all__ = ["gather", "scatter", "scatter_kwargs"]


def as_device(d: Any) -> devices.device:
    """The device of a GPU's number, a name or a device."""
    return devices.device("cuda", d) if isinstance(d, int) else devices.device(d)


def scatter(inputs: Any, target_gpus: Sequence[Any], dim: int = 0) -> Any:
    """One input for each device: tensors cut along `dim`, containers part by part, other objects as they
    are. Fewer than devices where a batch has fewer rows."""
    to = [as_device(d) for d in target_gpus]
    if isinstance(inputs, Tensor):
        return tuple(part.to(d) for part, d in zip(inputs.chunk(len(to), dim), to))
    if isinstance(inputs, tuple) and inputs:
        parts = zip(*(scatter(x, to, dim) for x in inputs))
        return [type(inputs)(*p) if hasattr(inputs, "_fields") else p for p in parts]
    if isinstance(inputs, list) and inputs:
        return [list(p) for p in zip(*(scatter(x, to, dim) for x in inputs))]
    if isinstance(inputs, dict) and inputs:
        return [type(inputs)(p) for p in zip(*(scatter(x, to, dim) for x in inputs.items()))]
    return [inputs for _ in to]


def scatter_kwargs(inputs: tuple, kwargs: dict | None, target_gpus: Sequence[Any],
                   dim: int = 0) -> tuple[tuple, tuple]:
    """(positional arguments, keyword arguments) for each device."""
    args = scatter(inputs, target_gpus, dim) if inputs else []
    named = scatter(kwargs, target_gpus, dim) if kwargs else []
    n = max(len(args), len(named))
    return (tuple([*args, *[()] * (n - len(args))]), tuple([*named, *[{}] * (n - len(named))]))


def gather(outputs: Sequence[Any], target_device: Any, dim: int = 0) -> Any:
    """The outputs of several devices joined along `dim` on one, containers part by part."""
    to, first = as_device(target_device), outputs[0]
    if isinstance(first, Tensor):
        if not first.dim():
            warnings.warn("Was asked to gather along dimension 0, but all input tensors were scalars; will "
                          "instead unsqueeze and return a vector.", stacklevel=2)
            outputs = [x.unsqueeze(0) for x in outputs]
        return cat([x.to(to) for x in outputs], dim)
    if first is None:
        return None
    if isinstance(first, dict):
        if any(len(x) != len(first) for x in outputs):
            raise ValueError("All dicts must have the same number of keys")
        return type(first)((k, gather([x[k] for x in outputs], to, dim)) for k in first)
    parts = [gather(x, to, dim) for x in zip(*outputs)]
    return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
