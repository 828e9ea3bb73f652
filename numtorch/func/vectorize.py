"""vmap: a function of one sample, applied to a batch at once."""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..autograd.modes import state
from ..kinds.batching import Batched, Batcher, lanes, level_of, whole
from ..tensor import Tensor
from ..utils import _pytree as P


def _name(func: Callable) -> str:
    return getattr(func, "__name__", repr(func))


def _inputs(in_dims: Any, args: tuple, func: Callable) -> tuple[int, list, list, P.TreeSpec]:
    """(batch size, a dimension or None for each leaf, the leaves, their tree)."""
    called = f"vmap({_name(func)}, in_dims={in_dims}, ...)(<inputs>): "
    if not isinstance(in_dims, int | tuple):
        raise ValueError(f"{called}expected `in_dims` to be int or a (potentially nested) tuple matching the "
                         f"structure of inputs, got: {type(in_dims)}.")
    if not args:
        raise ValueError(f"vmap({_name(func)})(<inputs>): got no inputs. Maybe you forgot to add inputs, or "
                         "you are trying to vmap over a function with no inputs. The latter is unsupported.")
    leaves, spec = P.tree_flatten(args)
    dims = P._broadcast_to_and_flatten(in_dims, spec)
    if dims is None:
        raise ValueError(f"{called}in_dims is not compatible with the structure of `inputs`. in_dims has "
                         f"structure {P.tree_structure(in_dims)} but inputs has structure {spec}.")
    sizes = []
    for i, (v, d) in enumerate(zip(leaves, dims)):
        if not isinstance(d, int) and d is not None:
            raise ValueError(f"{called}Got in_dim={d} for an input but in_dim must be either an integer "
                             "dimension or None.")
        if d is None:
            continue
        if not isinstance(v, Tensor):
            raise ValueError(f"{called}Got in_dim={d} for an input but the input is of type {type(v)}. We "
                             "cannot vmap over non-Tensor arguments, please use None as the respective "
                             "in_dim")
        if not -v.ndim <= d < v.ndim:
            raise ValueError(f"{called}Got in_dim={d} for some input, but that input is a Tensor of "
                             f"dimensionality {v.ndim} so expected in_dim to satisfy -{v.ndim} <= in_dim < "
                             f"{v.ndim}.")
        dims[i] = d % v.ndim
        sizes.append(v.shape[dims[i]])
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if any(n != sizes[0] for n in sizes):
        raise ValueError("vmap: Expected all tensors to have the same size in the mapped dimension, got "
                         f"sizes {sizes} for the mapped dimension")
    return sizes[0], dims, leaves, spec


def _outputs(out: Any, out_dims: Any, level: int, size: int, func: Callable) -> Any:
    """Results with the batch at the dimensions `out_dims`."""
    leaves, spec = P.tree_flatten(out)
    if isinstance(out, Tensor):  # one number, or a tuple of one, for the one result
        dims = [out_dims] if isinstance(out_dims, int) else list(out_dims) if (
            isinstance(out_dims, tuple) and len(out_dims) == 1) else [None] if out_dims is None else None
    else:
        dims = P._broadcast_to_and_flatten(out_dims, spec)
    if dims is None:
        raise ValueError(f"vmap({_name(func)}, ..., out_dims={out_dims})(<inputs>): out_dims is not "
                         f"compatible with the structure of `outputs`. out_dims has structure "
                         f"{P.tree_structure(out_dims)} but outputs has structure {spec}.")
    return spec.unflatten([_output(v, d, level, size, func) for v, d in zip(leaves, dims)])


def _output(v: Any, d: int | None, level: int, size: int, func: Callable) -> Any:
    name = _name(func)
    if d is None:
        if level_of(v) == level:
            if v.mapped:
                raise ValueError(f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim "
                                 "is None")
            return v.value
        return v
    if not isinstance(v, Tensor):
        raise ValueError(f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(v)}. Did you "
                         "mean to set out_dims= to None for output?")
    mapped = level_of(v) == level and v.mapped
    p = v.value if level_of(v) == level else v
    if not mapped:
        p = p.unsqueeze(0).expand((size, *p.shape))
    if not -p.ndim <= d < p.ndim:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-p.ndim}, {p.ndim - 1}], but "
                         f"got {d})")
    return p if d == 0 else p.movedim(0, d)


def _check(out_dims: Any, func: Callable) -> None:
    if isinstance(out_dims, int):
        return
    if not P.tree_all(lambda d: d is None or isinstance(d, int), out_dims):
        raise ValueError(f"vmap({_name(func)}, ..., out_dims={out_dims}): `out_dims` must be an int, None or "
                         "a python collection of ints representing where in the outputs the vmapped "
                         "dimension should appear.")


def mapped_call(func: Callable, size: int, dims: list, leaves: list, spec: P.TreeSpec, out_dims: Any,
                randomness: str, kwargs: dict) -> Any:
    """func called once on the batched leaves."""
    outer = state.tracer
    batcher = outer if outer is not None and outer.batches else Batcher(outer)
    batcher.levels = [*batcher.levels, (size, randomness)]
    level = len(batcher.levels)
    state.tracer = batcher
    try:
        values = [v if d is None else lanes(v if d == 0 else v.movedim(d, 0), level)
                  for v, d in zip(leaves, dims)]
        out = func(*spec.unflatten(values), **kwargs)
        batcher.levels = batcher.levels[:level - 1]
        state.tracer = outer
        return _outputs(out, out_dims, level, size, func)
    finally:
        batcher.levels = batcher.levels[:level - 1]
        state.tracer = outer


def vmap(func: Callable, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *,
         chunk_size: int | None = None) -> Callable:
    """The function that applies `func` to every entry along a dimension of its inputs, all at once.

    in_dims: for each tensor of the inputs the dimension to map over, or None for one shared by all; an int
    for all, or a tree shaped like the inputs or a prefix of it. out_dims: where the batch goes in the
    results. randomness: "error" (random numbers are refused), "same" for all entries, or "different".
    chunk_size: how many entries to compute at a time. Every operation runs once on the whole
    batch, by the rule of its kind.

    RuntimeError inside `func` for .item(), branches on a tensor's value, results whose shape depends on
    values, and in-place writes of a batched value into a tensor that is not."""
    if randomness not in ("error", "different", "same"):
        raise RuntimeError("Only allowed values for randomness are 'error', 'different', or 'same'. Got "
                           f"{randomness}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        _check(out_dims, func)
        size, dims, leaves, spec = _inputs(in_dims, args, func)
        if chunk_size is None or chunk_size >= size:
            return mapped_call(func, size, dims, leaves, spec, out_dims, randomness, kwargs)
        parts = []
        for start in range(0, size, chunk_size):
            n = min(chunk_size, size - start)
            piece = [v if d is None else v.narrow(d, start, n) for v, d in zip(leaves, dims)]
            parts.append(mapped_call(func, n, dims, piece, spec, out_dims, randomness, kwargs))
        return joined(parts, out_dims)
    return wrapped


def joined(parts: list, out_dims: Any) -> Any:
    """Results of chunks as one."""
    from ..ops.join import cat
    flat = [P.tree_flatten(p) for p in parts]
    spec = flat[0][1]
    dims = ([out_dims if isinstance(out_dims, int | None) else out_dims[0]] if spec.is_leaf() else
            P._broadcast_to_and_flatten(out_dims, spec) or [])
    return spec.unflatten([vs[0] if d is None else cat(vs, d)
                           for d, *vs in zip(dims, *[leaves for leaves, _ in flat])])


def debug_unwrap(tensor: Tensor, *, recurse: bool = True) -> Tensor:
    """The tensor of all samples behind a batched one (of all levels if `recurse`)."""
    if recurse:
        return whole(tensor)
    return tensor.value if type(tensor) is Batched else tensor
