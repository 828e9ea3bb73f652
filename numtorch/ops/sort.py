"""Sorting, selection, extremes with their places, searching, counting."""
from __future__ import annotations

import math

from .. import return_types as R
from ..dispatch import TITLES, Meta, reduced_shape, wrap_dim
from ..dtypes import COMPLEX, FLOAT, INT, float32, float64, int32, int64
from ..kinds import composite, opaque
from ..kinds.memory import preserved
from ..tensor import Tensor
from .create import scalar_tensor, zeros
from .index import scatter_tensor
from .pointwise import isnan, maximum, minimum
from .reduce import amax, amin


def _no_complex(op: str, x) -> None:
    if x.dtype.category == COMPLEX:
        raise RuntimeError(f"{op}(): does not support complex input")


def _nonempty(op: str, x, dim: int) -> None:
    if x.ndim and x.shape[dim] == 0:
        raise IndexError(f"{op}(): Expected reduction dim {dim} to have non-zero size.")


def _to_places(g, x_meta, dim, places, keepdim=True):
    "Zeros of x's shape with g at the places that values were taken from."
    if g is None:
        return None
    if not keepdim and len(x_meta.shape):
        g, places = g.unsqueeze(dim), places.unsqueeze(dim)
    return scatter_tensor(zeros(x_meta.shape, dtype=g.dtype, device=g.device), dim, places, g)


def _shared(g, x, out):
    "g divided among the elements of x that equal `out` (NaN equals NaN)."
    same = (x == out) | (isnan(x) & isnan(out))
    return same * (g / same.sum())


# ---------------------------------------------------------------------------------------------- order
@opaque(memory=preserved, at=(), vjp={"x": lambda g, x_meta, dim, out1: _to_places(g[0], x_meta, dim, out1)})
def sorted_along(x, dim, descending):
    "(values, places) of a stable sort along `dim`."
    return Meta(x.shape, x.dtype), Meta(x.shape, int64)


def _sortable(x, dim) -> int:
    if x.dtype.category == COMPLEX:
        raise RuntimeError(" Sort does not support complex dtypes on CPU")
    return wrap_dim(dim, x.ndim, "sort")


@composite
def sort(x, dim=-1, descending=False, stable=False):
    "(values, indices): x in order along `dim`. Always stable; NaN counts as the largest."
    return R.sort(sorted_along(x, _sortable(x, dim), bool(descending)))


@composite
def argsort(x, dim=-1, descending=False, stable=False):
    "The indices that sort x along `dim`; stable."
    return sorted_along(x.detach(), _sortable(x, dim), bool(descending))[1]


@composite
def msort(x):
    "x in ascending order along its first dimension."
    return sort(x, 0)[0]


@opaque(at=(), vjp={"x": lambda g, x_meta, dim, out1: _to_places(g[0], x_meta, dim, out1)})
def topk_along(x, k, dim, largest):
    "(values, places) of the k largest or smallest along `dim`, in order."
    shape = list(x.shape)
    if shape:
        shape[dim] = k
    return Meta(tuple(shape), x.dtype), Meta(tuple(shape), int64)


@composite
def topk(x, k, dim=-1, largest=True, sorted=True):
    """(values, indices): the k largest (smallest) entries of x along `dim`, in order; of equals the first
    ones."""
    dim = wrap_dim(dim, x.ndim, "topk")
    k = k.__index__()
    if x.dtype.name == "bool":
        raise RuntimeError("topk does not support bool dtypes on CPU")
    if x.dtype.category == COMPLEX:
        raise RuntimeError("topk does not support complex dtypes on CPU")
    if not 0 <= k <= (x.shape[dim] if x.ndim else 1):
        raise RuntimeError("selected index k out of range\n"
                           f"topk: k is {k}, dimension {dim} has size {x.shape[dim] if x.ndim else 1}")
    return R.topk(topk_along(x, k, dim, bool(largest)))


def _kept(x, dim: int, keepdim: bool) -> tuple[int, ...]:
    return reduced_shape(x.shape, (dim,), keepdim) if x.ndim else ()


def _pair(x, dim: int, keepdim: bool) -> tuple[Meta, Meta]:
    shape = _kept(x, dim, keepdim)
    return Meta(shape, x.dtype), Meta(shape, int64)


def _placed_gradient(g, x_meta, dim, keepdim, out1):
    return _to_places(g[0], x_meta, dim, out1, keepdim)


@opaque(at=(), vjp={"x": _placed_gradient})
def kth_along(x, k, dim, keepdim):
    "(value, place) of rank k, counted from 1, along `dim`."
    return _pair(x, dim, keepdim)


@composite(apart=True)
def kthvalue(x, k, dim=-1, keepdim=False):
    "(values, indices): the k-th smallest entry along `dim`, counted from 1."
    dim = wrap_dim(dim, x.ndim, "kthvalue")
    if not 1 <= k <= (x.shape[dim] if x.ndim else 1):
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {dim}\n"
                           f"kthvalue: k is {k}, the dimension has size {x.shape[dim] if x.ndim else 1}")
    return R.kthvalue(kth_along(x, int(k), dim, bool(keepdim)))


@opaque(at=(), vjp={"x": _placed_gradient})
def median_along(x, dim, keepdim, ignore_nan):
    "(value, place) of the lower median along `dim`."
    return _pair(x, dim, keepdim)


@opaque(at=(), vjp={"x": lambda g, x, out: _shared(g, x, out)})
def median_of_all(x, ignore_nan):
    "The lower median of all elements."
    return Meta((), x.dtype)


def _median(op: str, x, dim, keepdim: bool, ignore_nan: bool):
    _no_complex(op, x)
    if dim is None:
        if not x.numel():
            if x.dtype.category < FLOAT:
                return scalar_tensor(-(1 << (8 * x.dtype.itemsize - 1)), dtype=x.dtype, device=x.device)
            return scalar_tensor(math.nan, dtype=x.dtype, device=x.device)
        return median_of_all(x, ignore_nan)
    dim = wrap_dim(dim, x.ndim, op)
    _nonempty(op, x, dim)
    return getattr(R, op)(median_along(x, dim, bool(keepdim), ignore_nan))


@composite
def median(x, dim=None, keepdim=False):
    "The lower median of all elements; with `dim` (values, indices) along it. NaN wins."
    return _median("median", x, dim, keepdim, False)


@composite
def nanmedian(x, dim=None, keepdim=False):
    "The lower median of the elements that are not NaN; with `dim` (values, indices) along it."
    return _median("nanmedian", x, dim, keepdim, True)


@opaque(at=(), vjp={"x": _placed_gradient})
def mode_along(x, dim, keepdim):
    "(value, last place) of the most frequent entry along `dim`."
    return _pair(x, dim, keepdim)


@composite
def mode(x, dim=-1, keepdim=False):
    "(values, indices): the most frequent entry along `dim`, of several the smallest, and its last place."
    dim = wrap_dim(dim, x.ndim, "mode")
    _nonempty("mode", x, dim)
    return R.mode(mode_along(x, dim, bool(keepdim)))


# ---------------------------------------------------------------------------------------------- extremes
@opaque(at=(), vjp={"x": _placed_gradient})
def largest_along(x, dim, keepdim):
    "(value, first place) of the largest entry along `dim`."
    return _pair(x, dim, keepdim)


@opaque(at=(), vjp={"x": _placed_gradient})
def smallest_along(x, dim, keepdim):
    "(value, first place) of the smallest entry along `dim`."
    return _pair(x, dim, keepdim)


def _extreme(op: str, x, dim, keepdim, y, of_all, along, of_two):
    if isinstance(dim, Tensor):
        y, dim = dim, None
    if y is not None:
        return of_two(x, y)
    if not isinstance(x, Tensor):
        raise TypeError(f"{op}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")
    _no_complex(op, x)
    if dim is None:
        if not x.numel():
            raise RuntimeError(f"{op}(): Expected reduction dim to be specified for input.numel() == 0. "
                               "Specify the "
                               "reduction dim with the 'dim' argument.")
        return of_all(x)
    dim = wrap_dim(dim, x.ndim, op)
    _nonempty(op, x, dim)
    return getattr(R, op)(along(x, dim, bool(keepdim)))


@composite(exact=True)
def max(x, dim=None, keepdim=False, y=None):
    """The largest element; with `dim` (values, indices) along it; with a tensor the elementwise maximum. NaN
    wins."""
    return _extreme("max", x, dim, keepdim, y, amax, largest_along, maximum)


@composite(exact=True)
def min(x, dim=None, keepdim=False, y=None):
    """The smallest element; with `dim` (values, indices) along it; with a tensor the elementwise minimum.
    NaN wins."""
    return _extreme("min", x, dim, keepdim, y, amin, smallest_along, minimum)


@opaque(at=())
def place_of_largest(x, dim, keepdim):
    "The index of the largest element; the first of equal ones, NaN before numbers."
    return _place_meta(x, dim, keepdim)


@opaque(at=())
def place_of_smallest(x, dim, keepdim):
    "The index of the smallest element; the first of equal ones, NaN before numbers."
    return _place_meta(x, dim, keepdim)


def _place_meta(x, dim, keepdim) -> Meta:
    if dim is None:
        return Meta((1,) * x.ndim if keepdim else (), int64)
    return Meta(_kept(x, dim, keepdim), int64)


def _argument(op: str, x, dim, keepdim, find):
    _no_complex(op, x)
    if x.dtype.name == "bool":
        raise RuntimeError(f"{op}(): does not support bool input")
    if dim is None:
        if not x.numel():
            raise IndexError(f"{op}(): Expected reduction dim to be specified for input.numel() == 0.")
    else:
        dim = wrap_dim(dim, x.ndim, op)
        _nonempty(op, x, dim)
    return find(x, dim, bool(keepdim))


@composite
def argmax(x, dim=None, keepdim=False):
    "The first index of the largest entry along `dim`, or of the flat x. NaN counts as the largest."
    return _argument("argmax", x, dim, keepdim, place_of_largest)


@composite
def argmin(x, dim=None, keepdim=False):
    "The first index of the smallest entry along `dim`, or of the flat x. NaN counts as the smallest."
    return _argument("argmin", x, dim, keepdim, place_of_smallest)


@composite(exact=True)
def aminmax(x, *, dim=None, keepdim=False):
    "(min, max): the extremes of all elements or along `dim`."
    if dim is not None:
        dim = wrap_dim(dim, x.ndim, "aminmax")
    if (not x.numel() and dim is None) or (dim is not None and x.ndim and x.shape[dim] == 0):
        raise RuntimeError("aminmax(): cannot compute aminmax over an empty dimension as the operation has "
                           "no identity.")
    return R.aminmax((amin(x, dim, keepdim), amax(x, dim, keepdim)))


# ---------------------------------------------------------------------------------------------- searching
@opaque(at=())
def search_places(boundaries, values, right, sorter, out_int32):
    "Where each value would be inserted in sorted boundaries."
    return Meta(values.shape, int32 if out_int32 else int64)


@composite(at=("torch",))
def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None):
    "The first places where the values could be inserted into the sorted rows (after equals if right)."
    if side not in (None, "left", "right"):
        raise RuntimeError(f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError("torch.searchsorted(): side and right can't be set to opposites, got side of left "
                           "while right "
                           "was True")
    values = input if isinstance(input, Tensor) else scalar_tensor(input, device=sorted_sequence.device)
    if sorted_sequence.ndim == 0:
        raise RuntimeError("torch.searchsorted(): boundaries tensor should have positive dimension, but got "
                           "0 dimension")
    if sorted_sequence.ndim != 1 and (sorted_sequence.ndim != values.ndim
                                      or sorted_sequence.shape[:-1] != values.shape[:-1]):
        raise RuntimeError("torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
                           "dimensions of "
                           "boundaries tensor and input value tensor must match, but we got boundaries "
                           "tensor "
                           f"{list(sorted_sequence.shape)} and input value tensor {list(values.shape)}")
    if sorter is not None and sorter.shape != sorted_sequence.shape:
        raise RuntimeError("torch.searchsorted(): boundary and sorter must have the same size, but got "
                           "boundary tensor "
                           f"{list(sorted_sequence.shape)}and got sorter tensor {list(sorter.shape)}")
    return search_places(sorted_sequence.detach(), values.detach(), bool(right) or side == "right", sorter,
                         bool(out_int32))


@composite(at=("torch",))
def bucketize(input, boundaries, *, out_int32=False, right=False):
    "The numbers of the buckets between the sorted boundaries that the values fall into."
    if boundaries.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@opaque(at=())
def members(elements, tests, invert):
    "Whether each element is among the test elements."
    from ..dtypes import bool as bool_
    return Meta(elements.shape, bool_)


@composite(at=("torch",))
def isin(elements, test_elements, *, assume_unique=False, invert=False):
    "Whether each element is among the test elements."
    if not isinstance(elements, Tensor):
        elements = scalar_tensor(elements, dtype=None if isinstance(elements, float) else test_elements.dtype)
    if not isinstance(test_elements, Tensor):
        return (elements != test_elements) if invert else (elements == test_elements)
    return members(elements.detach(), test_elements.detach(), bool(invert))


# ---------------------------------------------------------------------------------------------- counting
@opaque(at=(), dynamic=True)
def distinct(x, dim, consecutive):
    "(places of the first of each group, group of each entry, size of each group)."
    return None


def _unique(x, dim, consecutive: bool, return_inverse: bool, return_counts: bool):
    x = x.detach()
    if dim is not None:
        dim = wrap_dim(dim, x.ndim, "unique")
    wide = x.float() if x.dtype.category == FLOAT and x.dtype.itemsize == 2 else x
    firsts, inverse, counts = distinct(wide, dim, consecutive)
    values = x.reshape(-1).index_select(0, firsts) if dim is None else x.index_select(dim, firsts)
    if not return_inverse and not return_counts:
        return values
    return (values, *([inverse] if return_inverse else []), *([counts] if return_counts else []))


@composite
def unique(x, sorted=True, return_inverse=False, return_counts=False, dim=None):
    "The distinct elements, or slices along `dim`, in ascending order; NaNs are all distinct."
    return _unique(x, dim, False, return_inverse, return_counts)


@composite
def unique_consecutive(x, return_inverse=False, return_counts=False, dim=None):
    "x with each run of equal elements, or slices along `dim`, as one."
    return _unique(x, dim, True, return_inverse, return_counts)


@opaque(at=(), dynamic=True)
def counted(x, weights, minlength):
    "How often each non-negative integer occurs, weighted."
    return None


@composite
def bincount(x, weights=None, minlength=0):
    "How often each of 0, 1, … occurs in a vector, or the sum of the weights there."
    if x.dtype.category != INT:
        raise NotImplementedError(f"\"bincount_cpu\" not implemented for '{TITLES[x.dtype.name]}'")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if x.ndim != 1:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is not None:
        if weights.ndim != 1 or weights.shape != x.shape:
            raise RuntimeError("weights should be 1-d and have the same length as input")
        if weights.dtype is not float32:
            weights = weights.to(float64)
        weights = weights.detach()
    if not x.numel():
        return zeros((minlength,), dtype=int64 if weights is None else weights.dtype, device=x.device)
    return counted(x, weights, int(minlength))


@opaque(at=())
def binned(x, bins, low, high):
    "How many elements fall in each of the equal bins."
    return Meta((bins,), x.dtype)


@composite
def histc(x, bins=100, min=0, max=0):
    "Counts of the elements in equal bins over [min, max], the range of x if both are equal."
    if x.dtype.category != FLOAT:
        raise NotImplementedError(f"\"histogram_cpu\" not implemented for '{TITLES[x.dtype.name]}'")
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    if min > max:
        raise RuntimeError("torch.histc: max must be larger than min")
    return binned(x.detach(), int(bins), float(min), float(max))


