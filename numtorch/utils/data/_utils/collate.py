"""Samples into batches."""
from __future__ import annotations

import collections.abc
import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from .... import Tensor, as_tensor, float64, stack, tensor

__all__ = ["collate", "default_collate", "default_convert"]

_WHAT = "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"


def default_convert(data: Any) -> Any:
    """Make NumPy arrays and numbers in `data` tensors, however nested; leave the rest as it is."""
    if isinstance(data, Tensor):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        if data.dtype.kind in "SUO":
            return data
        return as_tensor(data)
    kind = type(data)
    if isinstance(data, collections.abc.Mapping):
        return _like(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return kind(*(default_convert(x) for x in data))
    if isinstance(data, tuple):
        return [default_convert(x) for x in data]
    if isinstance(data, collections.abc.Sequence) and not isinstance(data, (str, bytes)):
        return _like(data, [default_convert(x) for x in data])
    return data


def _like(example: Any, content: Any) -> Any:
    "`content` (a dict or a list) in a container of the kind of `example`, where that can be made."
    kind = type(example)
    if kind in (dict, list):
        return content
    try:
        clone: Any
        if isinstance(example, collections.abc.MutableMapping):
            clone = copy.copy(example)
            clone.update(content)
            return clone
        if isinstance(example, collections.abc.MutableSequence):
            clone = copy.copy(example)
            for i, x in enumerate(content):
                clone[i] = x
            return clone
        return kind(content)
    except TypeError:  # a kind that cannot be copied, filled or made so (a `range`, for one)
        return content


def collate(batch: list, *, collate_fn_map: dict[type | tuple, Callable] | None = None) -> Any:
    """Merge samples of one structure: the functions of the map merge their types, containers are merged
    inside.

    A function of the map is called as f(batch, collate_fn_map=map).
    """
    first = batch[0]
    kind = type(first)
    if collate_fn_map is not None:
        merge = collate_fn_map.get(kind)
        if merge is None:
            merge = next((f for types, f in collate_fn_map.items() if isinstance(first, types)), None)
        if merge is not None:
            return merge(batch, collate_fn_map=collate_fn_map)

    def inner(samples: Any) -> Any:
        return collate(samples, collate_fn_map=collate_fn_map)

    if isinstance(first, collections.abc.Mapping):
        return _like(first, {key: inner([sample[key] for sample in batch]) for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return kind(*(inner(samples) for samples in zip(*batch)))
    if isinstance(first, collections.abc.Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        merged = [inner(samples) for samples in zip(*batch)]
        return merged if isinstance(first, tuple) else _like(first, merged)
    raise TypeError(_WHAT.format(kind))


def collate_tensor_fn(batch: Any, *, collate_fn_map: Any = None) -> Tensor:
    """Stack tensors of one shape along a new first dimension."""
    return stack(tuple(batch), 0)


def collate_numpy_array_fn(batch: Any, *, collate_fn_map: Any = None) -> Tensor:
    """Stack arrays of one shape along a new first dimension."""
    if batch[0].dtype.kind in "SUO":
        raise TypeError(_WHAT.format(batch[0].dtype))
    return stack(tuple(as_tensor(x) for x in batch), 0)


def collate_numpy_scalar_fn(batch: Any, *, collate_fn_map: Any = None) -> Tensor:
    """Make a vector of NumPy numbers."""
    return as_tensor(np.array(batch))


def collate_float_fn(batch: Any, *, collate_fn_map: Any = None) -> Tensor:
    """Make a float64 vector of Python floats."""
    return tensor(batch, dtype=float64)


def collate_int_fn(batch: Any, *, collate_fn_map: Any = None) -> Tensor:
    """Make an int64 vector of Python ints, or a bool vector of bools."""
    return tensor(batch)


def collate_str_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Keep strings as they are."""
    return batch


default_collate_fn_map: dict[type | tuple, Callable] = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch: list) -> Any:
    """Merge samples into a batch: tensors, arrays and numbers get a new first dimension; containers keep
    their form.

    Errors: TypeError for what is none of these, RuntimeError where samples differ in length or shape.
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
