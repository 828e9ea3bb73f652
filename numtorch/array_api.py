"""The Python array API standard, version 2024.12, over tensors: what `Tensor.__array_namespace__()` returns.

Most names are numtorch's own functions. Written here are those whose signature or meaning differs from
PyTorch's: names (`axis`, `keepdims`), 0-d arrays that take part in promotion like all others, Python numbers
on either side, the types of sums. https://data-apis.org/array-api/2024.12"""
from __future__ import annotations

import builtins as _b
import math as _math
from types import ModuleType as _Module
from types import SimpleNamespace as _Space
from typing import NamedTuple as _NamedTuple

import numtorch as _t

from . import devices as _devices
from . import dtypes as _D
from .dtypes import (
    bool,
    complex64,
    complex128,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .tensor import Tensor as _Tensor

__array_api_version__ = "2024.12"

e, inf, nan, newaxis, pi = _math.e, _math.inf, _math.nan, None, _math.pi


def _like(fn):
    """Give a function the name and the words of `fn`, not its signature."""
    def name(call):
        call.__name__, call.__qualname__, call.__doc__ = fn.__name__, fn.__name__, fn.__doc__
        return call
    return name


# ------------------------------------------------------------------------------------------------- data types
def result_type(*arrays_and_dtypes):
    """The type of an operation on these arrays, types and Python numbers; 0-d arrays count in full."""
    found, numbers = None, []
    for x in arrays_and_dtypes:
        d = x.dtype if isinstance(x, _Tensor) else x
        if isinstance(d, _D.dtype):
            found = d if found is None else _D.promote_types(found, d)
        else:
            numbers.append(_D.of_scalar(d))
    for d in numbers:
        found = d if found is None else _D.join(found, None, d)
    if found is None:
        raise ValueError("result_type() needs at least one array, dtype or number")
    return found


def _alike(*operands):
    """The operands as tensors of their common type, Python numbers on the device of the arrays."""
    d = result_type(*operands)
    device = next((x.device for x in operands if isinstance(x, _Tensor)), None)
    return [x.to(d) if isinstance(x, _Tensor) else _t.full((), x, dtype=d, device=device) for x in operands]


def can_cast(from_, to, /):
    """Whether values of a type (or of an array) convert to `to` by promotion."""
    d = from_.dtype if isinstance(from_, _Tensor) else from_
    try:
        return _D.promote_types(d, to) is to
    except RuntimeError:  # uint64 and a signed type have no common type
        return False


_KINDS = {"bool": lambda d: d is bool, "signed integer": lambda d: d.category == _D.INT and d.is_signed,
          "unsigned integer": lambda d: d.category == _D.INT and not d.is_signed,
          "integral": lambda d: d.category == _D.INT, "real floating": lambda d: d.category == _D.FLOAT,
          "complex floating": lambda d: d.category == _D.COMPLEX, "numeric": lambda d: d.category != _D.BOOL}


def isdtype(dtype, kind):
    """Whether the type is of a kind ("integral", …), of one of several, or a given type."""
    if isinstance(kind, tuple):
        return _b.any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, _D.dtype):
        return dtype is kind
    if kind not in _KINDS:
        raise ValueError(f"isdtype(): {kind!r} is no kind; the kinds are {', '.join(_KINDS)}")
    return _KINDS[kind](dtype)


def finfo(type, /):
    """Limits of a floating type, or of an array's: bits, eps, max, min, smallest_normal, dtype."""
    d = type.dtype if isinstance(type, _Tensor) else type
    f = _D.finfo(d)
    return _Space(bits=f.bits, eps=f.eps, max=f.max, min=f.min, smallest_normal=f.smallest_normal,
                  dtype=d.to_real())


def iinfo(type, /):
    """Limits of an integer type, or of an array's: bits, max, min, dtype."""
    d = type.dtype if isinstance(type, _Tensor) else type
    i = _D.iinfo(d)
    return _Space(bits=i.bits, max=i.max, min=i.min, dtype=d)


def astype(x, dtype, /, *, copy=True, device=None):
    """x with another type; x itself where nothing changes and `copy` is false."""
    return x.to(dtype=dtype, device=device, copy=copy)


class __array_namespace_info__:
    """What this namespace can do: devices, types, defaults."""

    def capabilities(self):
        """Data-dependent shapes and boolean masks work; an array has at most 64 dimensions."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self):
        """The device of arrays made without `device=`."""
        return _devices.get_default_device()

    def devices(self):
        """The CPU, and the CUDA devices there are."""
        return [_devices.cpu, *[_t.device("cuda", i) for i in range(_t.cuda.device_count())]]

    def default_dtypes(self, *, device=None):
        """The types of arrays made of Python numbers, and of indices."""
        real = _D.get_default_dtype()
        return {"real floating": real, "complex floating": real.to_complex(), "integral": int64,
                "indexing": int64}

    def dtypes(self, *, device=None, kind=None):
        """The standard's types by name; of one kind, or several."""
        return {d.name: d for d in (bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32,
                                    float64, complex64, complex128) if kind is None or isdtype(d, kind)}


# --------------------------------------------------------------------------------------------------- creation
def asarray(obj, /, *, dtype=None, device=None, copy=None):
    """`obj` as an array; copied as `copy` asks, ValueError where False cannot be kept."""
    return _t.asarray(obj, dtype=dtype, device=device, copy=copy)


def arange(start, /, stop=None, step=1, *, dtype=None, device=None):
    """start, start + step, … before `stop`; from 0 to `start` where there is no stop."""
    if stop is None:
        start, stop = 0, start
    if (stop - start) * step <= 0:
        whole = _b.all(isinstance(v, int) for v in (start, stop, step))
        return _t.empty(0, dtype=dtype or (int64 if whole else None), device=device)
    return _t.arange(start, stop, step, dtype=dtype, device=device)


def linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True):
    """`num` numbers at equal distances from `start` to `stop`, with or without the last."""
    if dtype is None and (isinstance(start, complex) or isinstance(stop, complex)):
        dtype = _D.default_complex()
    if endpoint:
        return _t.linspace(start, stop, num, dtype=dtype, device=device)
    return _t.linspace(start, stop, num + 1, dtype=dtype, device=device)[:-1]


def eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None):
    """Ones on the diagonal `k`, zeros elsewhere."""
    n_cols = n_rows if n_cols is None else n_cols
    out = _t.zeros((n_rows, n_cols), dtype=dtype, device=device)
    if -n_rows < k < n_cols:
        out.diagonal(k).fill_(1)
    return out


def _shaped(make):
    @_like(make)
    def call(shape, *, dtype=None, device=None):
        return make(shape, dtype=dtype, device=device)
    return call


empty, ones, zeros = _shaped(_t.empty), _shaped(_t.ones), _shaped(_t.zeros)
empty_like, ones_like, zeros_like = _t.empty_like, _t.ones_like, _t.zeros_like
full_like, from_dlpack = _t.full_like, _t.from_dlpack


def full(shape, fill_value, *, dtype=None, device=None):
    """An array of one value, whose type decides the dtype where none is given."""
    return _t.full(shape, fill_value, dtype=dtype, device=device)


def meshgrid(*arrays, indexing="xy"):
    """Coordinate arrays of a grid."""
    return list(_t.meshgrid(*arrays, indexing=indexing)) if arrays else []


def tril(x, /, *, k=0):
    """The lower triangle of matrices, zeros elsewhere."""
    return _t.tril(x, k)


def triu(x, /, *, k=0):
    """The upper triangle of matrices, zeros elsewhere."""
    return _t.triu(x, k)


# ------------------------------------------------------------------------------------------------ elementwise
def _binary(fn):
    @_like(fn)
    def call(x1, x2, /):
        if isinstance(x1, _Tensor) and isinstance(x2, _Tensor) and x1.dtype is x2.dtype:
            return fn(x1, x2)
        return fn(*_alike(x1, x2))
    return call


def _rounded(fn):
    """Rounding leaves integers as they are and takes the parts of complex numbers."""
    @_like(fn)
    def call(x, /):
        if x.dtype.is_complex:
            return _t.complex(fn(x.real), fn(x.imag))
        return fn(x) if x.dtype.is_floating_point else x.clone()
    return call


add, subtract, multiply, divide = (_binary(f) for f in (_t.add, _t.sub, _t.mul, _t.true_divide))
pow = _binary(_t.pow)
atan2, hypot, logaddexp = (_binary(f) for f in (_t.atan2, _t.hypot, _t.logaddexp))
copysign, nextafter = (_binary(f) for f in (_t.copysign, _t.nextafter))
maximum, minimum = (_binary(f) for f in (_t.maximum, _t.minimum))
bitwise_and, bitwise_or, bitwise_xor = (_binary(f) for f in (_t.bitwise_and, _t.bitwise_or, _t.bitwise_xor))
bitwise_left_shift = _binary(_t.bitwise_left_shift)
bitwise_right_shift = _binary(_t.bitwise_right_shift)
logical_and, logical_or, logical_xor = (_binary(f) for f in (_t.logical_and, _t.logical_or, _t.logical_xor))
equal, not_equal, less, less_equal = (_binary(f) for f in (_t.eq, _t.ne, _t.lt, _t.le))
greater, greater_equal = _binary(_t.gt), _binary(_t.ge)
abs, acos, acosh, asin, asinh, atan, atanh = (_t.abs, _t.acos, _t.acosh, _t.asin, _t.asinh, _t.atan, _t.atanh)
cos, cosh, sin, sinh, tan, tanh = _t.cos, _t.cosh, _t.sin, _t.sinh, _t.tan, _t.tanh
exp, expm1, log, log1p, log2, log10 = _t.exp, _t.expm1, _t.log, _t.log1p, _t.log2, _t.log10
bitwise_invert, logical_not, negative, positive = _t.bitwise_not, _t.logical_not, _t.neg, _t.positive
ceil, floor, round, trunc = (_rounded(f) for f in (_t.ceil, _t.floor, _t.round, _t.trunc))
conj, imag, real, reciprocal = _t.conj, _t.imag, _t.real, _t.reciprocal
isfinite, isinf, isnan, signbit, sqrt, square = (_t.isfinite, _t.isinf, _t.isnan, _t.signbit, _t.sqrt,
                                                 _t.square)


def floor_divide(x1, x2, /):
    """⌊x1 / x2⌋; with infinities the floor of the quotient, where PyTorch follows Python."""
    x1, x2 = _alike(x1, x2)
    out = _t.floor_divide(x1, x2)
    if not out.dtype.is_floating_point:
        return out
    return _t.where(_t.isinf(x1) | _t.isinf(x2), _t.floor(x1 / x2), out)


def remainder(x1, x2, /):
    """x1 − x2⌊x1 / x2⌋ with the sign of x2, zeros too."""
    x1, x2 = _alike(x1, x2)
    out = _t.remainder(x1, x2)
    return _t.where(out == 0, _t.copysign(out, x2), out) if out.dtype.is_floating_point else out


def sign(x, /):
    """x / |x|, 0 for 0 and NaN for NaN."""
    out = _t.sgn(x)
    if x.dtype.category < _D.FLOAT:
        return out
    return _t.where(x == 0, _t.zeros_like(x), _t.where(_t.isnan(x), x, out))


def clip(x, /, min=None, max=None):
    """min(max(x, min), max) in the type of x."""
    bounds = [b if b is None else b.to(x.dtype) if isinstance(b, _Tensor) else
              _t.full((), b, dtype=x.dtype, device=x.device) for b in (min, max)]
    out = x if bounds[0] is None else _t.maximum(x, bounds[0])
    out = out if bounds[1] is None else _t.minimum(out, bounds[1])
    return x.clone() if out is x else out


# --------------------------------------------------------------------------------------------- linear algebra
matmul = _binary(_t.matmul)


def matrix_transpose(x, /):
    """x with its last two dimensions swapped."""
    return x.mT


def tensordot(x1, x2, /, *, axes=2):
    """The contraction of the last `axes` dimensions of x1 with the first of x2, or of the listed ones."""
    x1, x2 = _alike(x1, x2)
    return _t.tensordot(x1, x2, axes)


def vecdot(x1, x2, /, *, axis=-1):
    """Σ conj(x1)·x2 along an axis."""
    x1, x2 = _alike(x1, x2)
    if x1.shape[axis] != x2.shape[axis]:
        raise ValueError(f"vecdot(): vectors of {x1.shape[axis]} and of {x2.shape[axis]} elements")
    return (x1.conj() * x2).sum(axis, dtype=x1.dtype)


# ----------------------------------------------------------------------------------------------- manipulation
def broadcast_to(x, /, shape):
    """x expanded to a shape."""
    return _t.broadcast_to(x, shape)


def moveaxis(x, source, destination, /):
    """x with axes moved to other places; the others keep their order."""
    return _t.movedim(x, source, destination)


def permute_dims(x, /, axes):
    """x with its axes in another order."""
    return _t.permute(x, axes)


def tile(x, repetitions, /):
    """x repeated along every axis."""
    return _t.tile(x, repetitions)


def broadcast_arrays(*arrays):
    """The arrays, all with the shape they broadcast to."""
    return list(_t.broadcast_tensors(*arrays))


def concat(arrays, /, *, axis=0):
    """Join arrays along an existing axis; flattened first where `axis` is None."""
    arrays = _alike(*arrays)
    return _t.cat([a.reshape(-1) for a in arrays]) if axis is None else _t.cat(arrays, axis)


def stack(arrays, /, *, axis=0):
    """Join arrays along a new axis."""
    return _t.stack(_alike(*arrays), axis)


def expand_dims(x, /, axis=0):
    """x with a new dimension of size 1 at `axis`."""
    return _t.unsqueeze(x, axis)


def flip(x, /, *, axis=None):
    """x in reverse order along an axis, several, or all."""
    return _t.flip(x, tuple(range(x.ndim)) if axis is None else axis)


def repeat(x, repeats, /, *, axis=None):
    """Every element (of the flattened array where `axis` is None) `repeats` times."""
    return _t.repeat_interleave(x, repeats.to(int64) if isinstance(repeats, _Tensor) else repeats, axis)


def reshape(x, /, shape, *, copy=None):
    """The elements in another shape; ValueError where `copy` is False and a view cannot have it."""
    if copy:
        return x.clone().reshape(shape)
    out = x.reshape(shape)
    if copy is False and out.storage is not x.storage:
        raise ValueError("reshape(): this shape needs a copy, and copy=False was given")
    return out


def roll(x, /, shift, *, axis=None):
    """Elements moved by `shift` places along the axes; what leaves one end enters at the other."""
    if isinstance(axis, tuple) and isinstance(shift, int):
        shift = (shift,) * len(axis)
    return _t.roll(x, shift, axis)


def squeeze(x, /, axis):
    """x without dimensions of size 1. ValueError for others."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    for a in axes:
        if x.shape[a] != 1:
            raise ValueError(f"squeeze(): dimension {a} has size {x.shape[a]}, not 1")
    return _t.squeeze(x, axes)


def unstack(x, /, *, axis=0):
    """The slices along an axis."""
    return _t.unbind(x, axis)


# -------------------------------------------------------------------------------------- searching and sorting
def argmax(x, /, *, axis=None, keepdims=False):
    """The index of the first greatest element."""
    return _t.argmax(x, axis, keepdims)


def argmin(x, /, *, axis=None, keepdims=False):
    """The index of the first least element."""
    return _t.argmin(x, axis, keepdims)


def count_nonzero(x, /, *, axis=None, keepdims=False):
    """The number of elements that are not zero."""
    return sum(x != 0, axis=axis, keepdims=keepdims)


def nonzero(x, /):
    """The indices of elements that are not zero, one array per dimension."""
    if x.ndim == 0:
        raise ValueError("nonzero() of a 0-d array is not defined")
    return _t.nonzero(x, as_tuple=True)


def searchsorted(x1, x2, /, *, side="left", sorter=None):
    """The indices in x1 (sorted, or by `sorter`) before which the elements of x2 keep it sorted."""
    x1, x2 = _alike(x1, x2)
    return _t.searchsorted(x1, x2, side=side, sorter=None if sorter is None else sorter.to(int64))


def where(condition, x1, x2, /):
    """x1 where the condition holds, else x2."""
    return _t.where(condition, *_alike(x1, x2))


def argsort(x, /, *, axis=-1, descending=False, stable=True):
    """The indices that sort x along an axis."""
    return _t.argsort(x, dim=axis, descending=descending, stable=stable)


def sort(x, /, *, axis=-1, descending=False, stable=True):
    """The elements sorted along an axis."""
    return _t.sort(x, dim=axis, descending=descending, stable=stable).values


class UniqueAll(_NamedTuple):
    """Sets of values: `indices` of first occurrences, `inverse_indices` to rebuild the array, `counts`."""
    values: _Tensor
    indices: _Tensor
    inverse_indices: _Tensor
    counts: _Tensor


class UniqueCounts(_NamedTuple):
    """The values and how often each occurs."""
    values: _Tensor
    counts: _Tensor


class UniqueInverse(_NamedTuple):
    """The values and the indices that rebuild the array from them."""
    values: _Tensor
    inverse_indices: _Tensor


def unique_all(x, /):
    """The different values of x in order; every NaN is a value of its own, 0.0 and -0.0 are one."""
    flat = x.reshape(-1)
    if x.dtype.is_complex:  # by the real part, then by the imaginary one
        order = _t.argsort(flat.imag, stable=True)
        order = order[_t.argsort(flat.real[order], stable=True)]
    else:
        order = _t.argsort(flat, stable=True)
    ranked = flat[order]
    first = _t.ones(flat.shape, dtype=bool, device=x.device)
    first[1:] = ranked[1:] != ranked[:-1]
    starts = _t.nonzero(first, as_tuple=True)[0]
    inverse = _t.empty_like(order)
    inverse[order] = first.cumsum(0) - 1
    counts = _t.diff(starts, append=starts.new_full((1,), flat.shape[0]))
    return UniqueAll(ranked[starts], order[starts], inverse.reshape(x.shape), counts)


def unique_counts(x, /):
    """The different values of x and how often each occurs."""
    u = unique_all(x)
    return UniqueCounts(u.values, u.counts)


def unique_inverse(x, /):
    """The different values of x and the indices that rebuild x from them."""
    u = unique_all(x)
    return UniqueInverse(u.values, u.inverse_indices)


def unique_values(x, /):
    """The different values of x."""
    return unique_all(x).values


def take(x, indices, /, *, axis=None):
    """Slices of x along an axis (which a vector need not name)."""
    if axis is None:
        if x.ndim != 1:
            raise ValueError(f"take() needs an axis for an array of {x.ndim} dimensions")
        axis = 0
    indices = indices.to(int64)
    return _t.index_select(x, axis, _t.where(indices < 0, indices + x.shape[axis], indices))


def take_along_axis(x, indices, /, *, axis=-1):
    """x[…, indices[i…], …] along an axis; shapes broadcast."""
    indices = indices.to(int64)
    return _t.take_along_dim(x, _t.where(indices < 0, indices + x.shape[axis], indices), axis)


# ---------------------------------------------------------------------------------- sums and other reductions
def _axes(x, axis):
    return tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)


def _summed(x, dtype):
    """The type of a sum or product: integers narrower than the default become it."""
    if dtype is not None or x.dtype.category >= _D.FLOAT:
        return dtype or x.dtype
    return int64 if x.dtype.is_signed or x.dtype is bool else uint64


def _wide(x, dtype):
    """x as sums take it: uint64 as int64, whose sums have the same bits."""
    d = _summed(x, dtype)
    return x.to(int64 if d is uint64 else d), d


def sum(x, /, *, axis=None, dtype=None, keepdims=False):
    """The sum of the elements."""
    y, d = _wide(x, dtype)
    axes = _axes(x, axis)
    return (y.sum(axes, keepdims) if axes else y.clone()).to(d)


def prod(x, /, *, axis=None, dtype=None, keepdims=False):
    """The product of the elements."""
    y, d = _wide(x, dtype)
    for a in sorted((a % _b.max(x.ndim, 1) for a in _axes(x, axis)), reverse=True):
        y = y.prod(a, keepdims)
    return y.to(d)


def _running(scan, start):
    def call(x, /, *, axis=None, dtype=None, include_initial=False):
        if axis is None:
            if x.ndim != 1:
                raise ValueError(f"a running sum or product needs an axis for {x.ndim} dimensions")
            axis = 0
        y, d = _wide(x, dtype)
        out = scan(y, axis)
        if include_initial:
            shape = list(out.shape)
            shape[axis] = 1
            out = _t.cat([out.new_full(shape, start), out], axis)
        return out.to(d)
    call.__doc__ = f"The running {'product' if start else 'sum'}, with the start {start} before it if asked."
    return call


cumulative_sum, cumulative_prod = _running(_t.cumsum, 0), _running(_t.cumprod, 1)


def _extreme(fn):
    @_like(fn)
    def call(x, /, *, axis=None, keepdims=False):
        axes = _axes(x, axis)
        return fn(x, axes, keepdims) if axes else x.clone()
    return call


max, min = _extreme(_t.amax), _extreme(_t.amin)


def mean(x, /, *, axis=None, keepdims=False):
    """The arithmetic mean."""
    axes = _axes(x, axis)
    return _t.mean(x, axes, keepdims) if axes else x.clone()


def _spread(fn):
    @_like(fn)
    def call(x, /, *, axis=None, correction=0.0, keepdims=False):
        axes = _axes(x, axis)
        if not axes:  # over one element
            return fn(x[..., None], -1, correction=correction)
        return fn(x, axes, correction=correction, keepdim=keepdims)
    return call


std, var = _spread(_t.std), _spread(_t.var)


def _logical(fn):
    @_like(fn)
    def call(x, /, *, axis=None, keepdims=False):
        axes = _axes(x, axis)
        return fn(x, axes, keepdims) if axes else x.to(bool)
    return call


all, any = _logical(_t.all), _logical(_t.any)


def diff(x, /, *, axis=-1, n=1, prepend=None, append=None):
    """The n-th difference of neighbours along an axis."""
    return _t.diff(x, n, axis, prepend, append)


# --------------------------------------------------------------------------------------- the linalg extension
def _cross(x1, x2, /, *, axis=-1):
    """The cross product of 3-vectors along an axis."""
    x1, x2 = _alike(x1, x2)
    if x1.shape[axis] != 3 or x2.shape[axis] != 3:
        raise ValueError(f"cross(): the axis has {x1.shape[axis]} and {x2.shape[axis]} elements, not 3")
    return _t.linalg.cross(*_t.broadcast_tensors(x1, x2), dim=axis)


def _diagonal(x, /, *, offset=0):
    """The diagonals of matrices."""
    return _t.diagonal(x, offset, -2, -1)


def _matrix_rank(x, /, *, rtol=None):
    """The number of singular values above rtol times the greatest."""
    return _t.linalg.matrix_rank(x, rtol=rtol)


def _pinv(x, /, *, rtol=None):
    """The Moore-Penrose inverse."""
    return _t.linalg.pinv(x, rtol=rtol)


def _matrix_norm(x, /, *, keepdims=False, ord="fro"):
    """A norm of matrices."""
    return _t.linalg.matrix_norm(x, ord, keepdim=keepdims)


def _vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    """The norm of the elements along the axes."""
    axes = _axes(x, axis)
    if not axes:
        return (x != 0).to(x.dtype.to_real()) if ord == 0 else x.abs()
    return _t.linalg.vector_norm(x, ord, axes, keepdims)


def _solve(x1, x2, /):
    """The x for which x1 x = x2: one vector, or matrices."""
    x1, x2 = _alike(x1, x2)
    if x2.ndim == 1:
        return _t.linalg.solve(x1, x2[:, None].expand(*x1.shape[:-2], -1, 1))[..., 0]
    batch = _t.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    return _t.linalg.solve(x1, x2.expand(*batch, *x2.shape[-2:]))


def _outer(x1, x2, /):
    """The products of every element of one vector with every one of another."""
    return _t.outer(*_alike(x1, x2))


def _trace(x, /, *, offset=0, dtype=None):
    """The sums of the diagonals of matrices."""
    return sum(_diagonal(x, offset=offset), axis=-1, dtype=dtype)


def _cholesky(x, /, *, upper=False):
    """L with L Lᴴ = x, or its adjoint U with Uᴴ U = x."""
    return _t.linalg.cholesky(x, upper=upper)


def _qr(x, /, *, mode="reduced"):
    """Q R = x with orthonormal columns Q and upper triangular R."""
    return _t.linalg.qr(x, mode)


def _svd(x, /, *, full_matrices=True):
    """U diag(S) Vh = x."""
    return _t.linalg.svd(x, full_matrices)


linalg = _Module(__name__ + ".linalg", "The linalg extension.")
linalg.__dict__.update(
    {f.__name__.removeprefix("_"): f for f in (
        _cross, _diagonal, _matrix_rank, _pinv, _matrix_norm, _vector_norm, _solve, _outer, _trace,
        _cholesky, _qr, _svd, matrix_transpose, tensordot, vecdot)},
    matmul=matmul, **{n: getattr(_t.linalg, n) for n in (
        "det", "eigh", "eigvalsh", "inv", "matrix_power", "slogdet", "svdvals")})


# ------------------------------------------------------------------------------------------ the fft extension
def _one_axis(fn):
    @_like(fn)
    def call(x, /, *, n=None, axis=-1, norm="backward"):
        return fn(x, n, axis, norm)
    return call


def _axes_and_sizes(fn):
    @_like(fn)
    def call(x, /, *, s=None, axes=None, norm="backward"):
        return fn(x, s, axes, norm)
    return call


def _shifted(fn):
    @_like(fn)
    def call(x, /, *, axes=None):
        return fn(x, axes)
    return call


def _frequencies(fn):
    @_like(fn)
    def call(n, /, *, d=1.0, dtype=None, device=None):
        return fn(n, d, dtype=dtype, device=device)
    return call


fft = _Module(__name__ + ".fft", "The fft extension.")
for _wrap, _names in ((_one_axis, ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")),
                      (_axes_and_sizes, ("fftn", "ifftn", "rfftn", "irfftn")),
                      (_shifted, ("fftshift", "ifftshift")), (_frequencies, ("fftfreq", "rfftfreq"))):
    fft.__dict__.update({_n: _wrap(getattr(_t.fft, _n)) for _n in _names})

__all__ = [_n for _n in dir() if not _n.startswith("_") and _n != "annotations"]
