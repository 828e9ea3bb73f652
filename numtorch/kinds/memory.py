"""How results lie in memory where that is not row-major: rules (arguments of the op, shape) → Layout."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import layouts as L
from ..layouts import Layout
from ..tensor import Tensor

Memory = Callable[[dict[str, Any], tuple[int, ...]], Layout]


def preserved(args: dict[str, Any], shape: tuple[int, ...]) -> Layout:
    """The order of the first tensor's dimensions; row-major for another shape."""
    x = next(v for v in args.values() if isinstance(v, Tensor)).layout
    return L.like(x) if x.shape == shape else L.contiguous(shape)


def elementwise(args: dict[str, Any], shape: tuple[int, ...]) -> Layout:
    """What an elementwise operation on the tensors gives."""
    return L.elementwise([v.layout for v in args.values() if isinstance(v, Tensor)], shape)


def rowmajor(args: dict[str, Any], shape: tuple[int, ...]) -> Layout:
    """Row-major, for composites whose parts would keep another order."""
    return L.contiguous(shape)


def columns(args: dict[str, Any], shape: tuple[int, ...]) -> Layout:
    """Column-major matrices, as LAPACK writes them; the batch is row-major."""
    n = len(shape)
    return L.permuted(shape, [*range(n - 2), n - 1, n - 2]) if n > 1 else L.contiguous(shape)


def format_of(*names: str, line: str | None = None) -> Memory:
    """channels_last (4-d) or channels_last_3d (5-d) if one of the named tensors is, else row-major. `line`:
    an argument of one entry for each spatial dimension; of one, (N, C, L) is seen as (N, C, 1, L)."""
    def rule(args: dict[str, Any], shape: tuple[int, ...]) -> Layout:
        if len(shape) == 3 and line is not None and len(args[line]) == 1:
            if not any(L.is_channels_last(_image(args[n].layout)) for n in names):
                return L.contiguous(shape)
            n, c, k = shape
            a, b, _, d = L.channels_last((n, c, 1, k)).strides
            return L.contiguous(shape).at(shape, (a, b, d), 0)
        if len(shape) in (4, 5) and any(L.is_channels_last(args[n].layout) for n in names):
            return L.channels_last(shape)
        return L.contiguous(shape)
    return rule


def _image(x: Layout) -> Layout:
    """(N, C, L) as (N, C, 1, L)."""
    (n, c, k), (a, b, d) = x.shape, x.strides
    return Layout((n, c, 1, k), (a, b, k * d, d), x.offset)


def images_of(*names: str, line: str | None = None) -> Memory:
    """format_of, but volumes (5-d) are row-major."""
    any_of = format_of(*names, line=line)
    return lambda args, shape: any_of(args, shape) if len(shape) < 5 else L.contiguous(shape)


def format_of_all(name: str) -> Memory:
    """channels_last if every tensor of the named list is, else row-major."""
    def rule(args: dict[str, Any], shape: tuple[int, ...]) -> Layout:
        if len(shape) in (4, 5) and all(L.is_channels_last(t.layout) for t in args[name]):
            return L.channels_last(shape)
        return L.contiguous(shape)
    return rule
