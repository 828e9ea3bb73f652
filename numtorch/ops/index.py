"""Indexing: x[key], x[key] = value, gather, scatter, masks.

Basic keys (ints, slices, None, Ellipsis) make views through the public view ops. Advanced keys become one
index tensor or None for each leading dimension and go to `index` and `index_put_values`.
"""
from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from ..autograd.modes import state
from ..dispatch import TITLES, Meta, check_inplace, common_device, remember, wrap_dim, written
from ..dtypes import INT, int32, int64, uint8
from ..dtypes import bool as bool_
from ..kinds import composite, opaque
from ..kinds.batching import Batched
from ..kinds.memory import preserved, rowmajor
from ..kinds.view import shown
from ..layouts import broadcast, expanded, permuted, stride_order
from ..tensor import Tensor, ndarray_of
from .convert import twin
from .create import full, ones_like, tensor, zeros, zeros_like
from .join import cat, unbind
from .pointwise import choose, where
from .view import alias_view, as_strided, bounds, diagonal, select, slice_, unsqueeze

_C_NAMES = {"bool": "bool", "uint8": "unsigned char", "int8": "signed char", "int16": "short "
                                                                                      "int", "int32": "int",
            "int64": "long int", "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float",
            "float64": "double", "complex32": "c10::complex<c10::Half>",
            "complex64": "c10::complex<float>", "complex128": "c10::complex<double>"}


def title(dtype) -> str:
    """PyTorch's name of a dtype in messages: `Float`, `Long`."""
    return TITLES[dtype.name]


def c_name(dtype) -> str:
    """PyTorch's C++ name of a dtype in messages: `float`, `long int`, `c10::Half`."""
    return _C_NAMES[dtype.name]


def inplace(fn: Callable, at: tuple[str, ...] = ("Tensor",), direct: bool = False) -> Callable:
    """Declare NAME_, the in-place form of `fn`: x.copy_(NAME(x, ...)).

    `direct`: the kernel may write over x; it does so where nothing is recorded and no other argument shares
    x's memory."""
    op: Any = fn.op  # type: ignore[attr-defined]
    name = op.name + "_"

    def body(x, *args, **kwargs):
        check_inplace(x, name)
        if direct and x.dtype.itemsize != 2 and state.tracer is None and state.lazy is None:
            values = op.bind((x, *args), kwargs)
            others = [t for k, v in values.items() if k != op.params[0]
                      for t in (v if isinstance(v, (list, tuple)) else (v,)) if isinstance(t, Tensor)]
            recorded = state.grad and (x.requires_grad or any(t.requires_grad for t in others))
            if not recorded and not any(t.storage.array is x.storage.array for t in others):
                meta = op.body(**values)
                if meta.shape == x.shape and not x.is_meta:
                    a = ndarray_of(x)
                    rest = [op._ndarray(values[p], True) for p in op.params[1:]]
                    op.kernel(common_device(name, [x, *others]))(a, a, *rest)
                    written(x, None)
                    return x
        recorded = state.grad and x.requires_grad and op.params[0] in op.needs(op.inputs)
        return x.copy_(fn(x.clone() if recorded else x, *args, **kwargs))  # the rules need x as it was

    body.__name__ = body.__qualname__ = name
    body.__module__ = op.body.__module__
    body.__doc__ = f"In-place form of {op.name}."
    body.__signature__ = inspect.signature(op.body)  # type: ignore[attr-defined]
    return composite(body, at=at)


def _zeros(meta, g) -> Tensor:
    "Zeros of the shape of `meta` with g's dtype."
    return zeros(meta.shape, dtype=g.dtype, device=g.device)


# ----------------------------------------------------------------------------------- rows along one dimension
def _row_shape(x, dim: int, n: int) -> tuple[int, ...]:
    "The shape of x with n entries along `dim`."
    return tuple(x.shape[:dim]) + (n,) + tuple(x.shape[dim + 1:]) if x.ndim else ()


def _vector(op: str, x, dim: int, index) -> int:
    "Checks an index vector; the dimension in [0, ndim)."
    dim = wrap_dim(dim, x.ndim)
    if index.ndim > 1:
        raise IndexError(f"{op}(): Index is supposed to be a vector\n{op}: index has shape "
                         f"{list(index.shape)}")
    return dim


@opaque(half="native", apart=True, vjp={
    "x": lambda g, x_meta, dim, index: index_add(_zeros(x_meta, g), dim, index, g)})
def index_select(x, dim, index):
    """x's entries along `dim` at the places in the vector `index`. IndexError outside; negative places are
    outside."""
    dim = _vector("index_select", x, dim, index)
    if index.dtype not in (int32, int64):
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index\n"
                           f"index_select: index has dtype {index.dtype}")
    return Meta(_row_shape(x, dim, prod(index.shape)), x.dtype)


@opaque(vjp={
    "x": lambda g: g,
    "source": lambda g, dim, index, source_meta, alpha:
        (index_select(g, dim, index) * alpha).reshape(source_meta.shape)})
def index_add(x, dim, index, source, *, alpha=1):
    "x with alpha * source added at the places `index` along `dim`; sums run in index order."
    dim = _vector("index_add_", x, dim, index)
    if index.dtype not in (int32, int64):
        raise RuntimeError("index_add_(): Expected dtype int32/int64 for index but got: "
                           f"{title(index.dtype)}")
    if x.dtype is not source.dtype:
        raise RuntimeError(f"index_add_(): self ({title(x.dtype)}) and source ({title(source.dtype)}) must "
                           "have the "
                           "same scalar type")
    n, rows = prod(index.shape), source.shape[dim] if source.ndim else 1
    if n != rows:
        raise RuntimeError(f"index_add_(): Number of indices ({n}) should be equal to source.size(dim): "
                           f"({rows}), "
                           f"for dim: {dim}")
    if x.ndim and source.ndim and _row_shape(x, dim, n) != tuple(source.shape):
        raise RuntimeError("source tensor shape must match self tensor shape, excluding the specified "
                           "dimension. "
                           f"Got self.shape = {list(x.shape)} source.shape = {list(source.shape)}")
    return Meta(x.shape, x.dtype)


index_add_ = inplace(index_add, direct=True)


@opaque(half="native", vjp={
    "x": lambda g, dim, index: index_fill_number(g, dim, index, 0),
    "source": lambda g, dim, index, source_meta: index_select(g, dim, index).reshape(source_meta.shape)})
def index_copy(x, dim, index, source):
    "x with `source` written at the places `index` along `dim`; of several writes to a place the last stays."
    dim = _vector("index_copy_", x, dim, index)
    if index.dtype is not int64:
        raise RuntimeError("index_copy_(): Expected a long tensor for index, but got " + title(index.dtype))
    if x.dtype is not source.dtype:
        raise RuntimeError("index_copy_(): self and source expected to have the same dtype, but got (self) "
                           f"{title(x.dtype)} and (source) {title(source.dtype)}")
    n, rows = prod(index.shape), source.shape[dim] if source.ndim else 1
    want, got = _row_shape(x, dim, n), tuple(source.shape)
    rest, got_rest = want[:dim] + want[dim + 1:], got[:dim] + got[dim + 1:]
    if x.ndim and source.ndim and rest != got_rest:
        raise RuntimeError("index_copy_(): Source/destination tensor must have same slice shapes. "
                           "Destination slice "
                           f"shape: {' '.join(map(str, rest))} at dimension {dim} and source slice shape: "
                           f"{' '.join(map(str, got_rest))} at dimension 0.")
    if n != rows:
        raise IndexError(f"index_copy_(): Number of indices ({n}) should be equal to source.size(dim) "
                         f"({rows})")
    return Meta(x.shape, x.dtype)


index_copy_ = inplace(index_copy, direct=True)


@opaque(at=(), vjp={"x": lambda g, dim, index: index_fill_number(g, dim, index, 0)})
def index_fill_number(x, dim, index, value):
    "x with the number `value` at the places `index` along `dim`; negative places count from the end."
    dim = _vector("index_fill_", x, dim, index)
    if index.dtype not in (int32, int64):
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    return Meta(x.shape, x.dtype)


@composite
def index_fill(x, dim, index, value):
    "x with `value`, a number or a 0-d tensor, at the places `index` along `dim`."
    if not isinstance(value, Tensor):
        return index_fill_number(x, dim, index, number_for(x.dtype, value))
    if value.ndim:
        raise RuntimeError("index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                           f"{value.ndim} dimension(s).")
    dim = _vector("index_fill_", x, dim, index)
    hit = index_fill_number(zeros(x.shape, dtype=bool_, device=x.device), dim, index, True)
    return where(hit, value.to(x.dtype), x)


@composite
def index_reduce(x, dim, index, source, reduce, *, include_self=True):
    "x with `source` folded in at the places `index` along `dim` by prod, mean, amax or amin."
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError("index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got "
                           f"{reduce}.")
    dim = _vector("index_reduce_", x, dim, index)
    places = index.to(int64)
    if x.ndim:
        places = places.reshape((1,) * dim + (-1,) + (1,) * (x.ndim - dim - 1)).expand(source.shape)
    else:
        places = places.reshape(())
    return scatter_reduce(x, dim, places, source, reduce, include_self=include_self)


# ----------------------------------------------------------------------------------------- gather and scatter
def _fits(x, index, dim: int) -> bool:
    "Whether the index is no larger than x apart from dimension `dim`."
    return all(i <= n for d, (i, n) in enumerate(zip(index.shape, x.shape)) if d != dim)


@opaque(half="native", apart=True, vjp={
    "x": lambda g, x_meta, dim, index: scatter_add(_zeros(x_meta, g), dim, index, g)})
def gather(x, dim, index, *, sparse_grad=False):
    "out[i, j, k] = x[index[i, j, k], j, k] for dim 0, and alike for other dims."
    dim = wrap_dim(dim, x.ndim)
    if index.dtype not in (int32, int64) and index.numel():
        raise RuntimeError("gather(): Expected dtype int32/int64 for index\ngather: index has dtype "
                           f"{index.dtype}")
    if prod(index.shape):
        if max(index.ndim, 1) != max(x.ndim, 1):
            raise RuntimeError("Index tensor must have the same number of dimensions as input tensor\n"
                               f"gather: input has {x.ndim} dimensions, index has {index.ndim}")
        for d, (i, n) in enumerate(zip(index.shape, x.shape)):
            if d != dim and i > n:
                raise RuntimeError(f"Size does not match at dimension {d} expected index {list(index.shape)} "
                                   "to be no "
                                   f"larger than self {list(x.shape)} apart from dimension {dim}")
    return Meta(index.shape, x.dtype)


def _check_scatter(op: str, x, dim: int, index, src=None) -> Meta:
    dim = wrap_dim(dim, x.ndim)
    if index.dtype not in (int32, int64) and index.numel():
        raise RuntimeError(f"{op}(): Expected dtype int32/int64 for index\n{op}: index has dtype "
                           f"{index.dtype}")
    if src is not None and src.dtype is not x.dtype:
        raise RuntimeError(f"{op}(): Expected self.dtype to be equal to src.dtype\n"
                           f"{op}: self has dtype {x.dtype}, src has {src.dtype}")
    if prod(index.shape):
        if max(index.ndim, 1) != max(x.ndim, 1):
            raise RuntimeError("Index tensor must have the same number of dimensions as self tensor\n"
                               f"{op}: self has {x.ndim} dimensions, index has {index.ndim}")
        if src is not None and max(index.ndim, 1) != max(src.ndim, 1):
            raise RuntimeError("Index tensor must have the same number of dimensions as src tensor\n"
                               f"{op}: src has {src.ndim} dimensions, index has {index.ndim}")
        small = _fits(x, index, dim)
        if src is None:
            if not small:
                raise RuntimeError(f"Expected index {list(index.shape)} to be no larger than self "
                                   f"{list(x.shape)} "
                                   f"apart from dimension {dim}")
        elif not small or not all(i <= n for i, n in zip(index.shape, src.shape)):
            raise RuntimeError(f"Expected index {list(index.shape)} to be no larger than self "
                               f"{list(x.shape)} apart "
                               f"from dimension {dim} and to be no larger size than src {list(src.shape)}")
    return Meta(x.shape, x.dtype)


def _at_index(g, index, dim, src_meta):
    "The gradient of a scattered source: g at the index, zero where the source is larger than the index."
    out = gather(g, dim, index)
    for d, (n, m) in enumerate(zip(src_meta.shape, index.shape)):
        if n != m:
            rest = list(out.shape)
            rest[d] = n - m
            out = cat([out, zeros(rest, dtype=out.dtype, device=out.device)], d)
    return out


@opaque(half="native", at=(), vjp={
    "x": lambda g, dim, index: scatter_number(g, dim, index, 0),
    "src": lambda g, dim, index, src_meta: _at_index(g, index, dim, src_meta)})
def scatter_tensor(x, dim, index, src):
    "x with src written at the index; of several writes to a place the last in index order stays."
    return _check_scatter("scatter", x, dim, index, src)


@opaque(at=(), vjp={"x": lambda g, dim, index: scatter_number(g, dim, index, 0)})
def scatter_number(x, dim, index, value):
    "x with the number `value` written at the index."
    return _check_scatter("scatter", x, dim, index)


@composite
def scatter(x, dim, index, src=None, *, value=None, reduce=None):
    """out[index[i, j, k], j, k] = src[i, j, k] for dim 0, and alike for other dims; src is a tensor or a
    number."""
    if src is None:
        src = value
    if src is None:
        raise TypeError("scatter() missing 1 required argument: 'src' or 'value'")
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise RuntimeError("reduce argument must be either add or multiply.\nscatter: reduce is "
                               f"{reduce!r}")
        if not isinstance(src, Tensor):
            src = full(index.shape, number_for(x.dtype, src), dtype=x.dtype, device=x.device)
        _check_scatter("scatter", x, dim, index, src)
        return scatter_reduce(x, dim, index, src, "sum" if reduce == "add" else "prod")
    if isinstance(src, Tensor):
        return scatter_tensor(x, dim, index, src)
    return scatter_number(x, dim, index, number_for(x.dtype, src))


@opaque(vjp={
    "x": lambda g: g,
    "src": lambda g, dim, index, src_meta: _at_index(g, index, dim, src_meta)})
def scatter_add(x, dim, index, src):
    "x with src added at the index; sums run in index order."
    return _check_scatter("scatter_add", x, dim, index, src)


scatter_add_ = inplace(scatter_add, direct=True)


def _scatter_reduce_vjp(g, x, dim, index, src, reduce, include_self, out):
    "(gradient of x, gradient of src) of scatter_reduce; extremes share their gradient among equals."
    untouched = None if include_self else scatter_number(ones_like(x), dim, index, 0)
    if reduce == "sum":
        return g if include_self else g * untouched, _at_index(g, index, dim, src)
    part = src if src.shape == index.shape else src[tuple(slice(n) for n in index.shape)]
    if reduce == "mean":
        hits = scatter_add(ones_like(x) if include_self else zeros_like(x), dim, index, ones_like(part))
        each = g / where(hits == 0, 1, hits)
        gx = each if include_self else g * untouched
        return gx, _at_index(each, index, dim, src)
    if reduce in ("amax", "amin"):
        value = gather(out, dim, index)
        mine = (part == value).to(g.dtype)
        own = (x == out).to(g.dtype)
        if not include_self:
            own = own * untouched
        ties = scatter_add(own, dim, index, mine)
        each = g / where(ties == 0, 1, ties)
        gx = each * own if include_self else where(untouched == 1, g, 0)
        return gx, _pad(gather(each, dim, index) * mine, src)
    # The product without one factor: of a factor that is not 0 the quotient, of the only 0 the product of the
    # others; of one 0 among more it is 0, whose slope would take the products without two factors.
    zero = part == 0
    at = gather(scatter_add(zeros_like(x), dim, index, zero.to(x.dtype)), dim, index)
    only = zero & (at == 1)
    rest = scatter_reduce(x, dim, index, where(only, 1, part), "prod", include_self=include_self)
    others = where(only, gather(rest, dim, index), gather(out, dim, index) / where(zero, 1, part))
    if state.grad and bool((zero & (at > 1)).any()):
        others = constant(others, "scatter_reduce(): Double backward is unsupported for src when >1 zeros in "
                          "src are scattered to the same position in self")
    own = where(x == 0, 1, x)
    if include_self:
        gx = g * (scatter_reduce(own, dim, index, part, "prod") / own)
    else:
        gx = g * untouched
    return gx, _pad(gather(g, dim, index) * others, src)


def _refuse(words):
    raise RuntimeError(words)


@composite(at=(), vjp={"x": _refuse})
def constant(x, words):
    "x, through which there is no gradient: RuntimeError(words)."
    return x


def _pad(x, like):
    "x with zeros appended in each dimension up to the shape of `like`."
    for d, (n, m) in enumerate(zip(like.shape, x.shape)):
        if n != m:
            rest = list(x.shape)
            rest[d] = n - m
            x = cat([x, zeros(rest, dtype=x.dtype, device=x.device)], d)
    return x


@opaque(vjp={
    "x": lambda g, x, dim, index, src, reduce, include_self, out:
        _scatter_reduce_vjp(g, x, dim, index, src, reduce, include_self, out)[0],
    "src": lambda g, x, dim, index, src, reduce, include_self, out:
        _scatter_reduce_vjp(g, x, dim, index, src, reduce, include_self, out)[1]})
def scatter_reduce(x, dim, index, src, reduce, *, include_self=True):
    """x with src folded in at the index by sum, prod, mean, amax or amin; without x's own value if not
    include_self."""
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError("reduce argument must be either sum, prod, mean, amax or amin, got " + str(reduce))
    return _check_scatter("scatter", x, dim, index, src)


scatter_reduce_ = inplace(scatter_reduce, direct=True)


@composite
def take_along_dim(x, indices, dim=None):
    "x's entries at `indices` along `dim`, both broadcast elsewhere; along the flat tensors if dim is None."
    if dim is None:
        return gather(x.reshape(-1), 0, indices.reshape(-1))
    if x.ndim != indices.ndim:
        raise RuntimeError("torch.take_along_dim(): input and indices should have the same number of "
                           "dimensions, but "
                           f"got {x.ndim} dimensions for input, and {indices.ndim} dimensions for indices")
    if indices.dtype is not int64:
        raise RuntimeError("torch.take_along_dim(): dtype of indices should be Long but got "
                           f"{title(indices.dtype)}")
    dim = wrap_dim(dim, x.ndim)
    common = list(broadcast(tuple(1 if d == dim else n for d, n in enumerate(x.shape)),
                            tuple(1 if d == dim else n for d, n in enumerate(indices.shape))))
    wide, asked = list(common), list(common)
    wide[dim], asked[dim] = x.shape[dim], indices.shape[dim]
    indices = where(indices < 0, indices + x.shape[dim], indices) if indices.numel() else indices
    return gather(x.expand(wide), dim, indices.expand(asked))


@opaque(half="native", apart=True, vjp={
    "x": lambda g, x_meta, index: put(_zeros(x_meta, g), index, g, True)})
def take(x, index):
    "x's elements at flat places; the result has the index's shape."
    if index.dtype is not int64:
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {title(index.dtype)}")
    return Meta(index.shape, x.dtype)


@opaque(memory=preserved, vjp={
    "x": lambda g, index, source_meta, accumulate:
        g if accumulate else put(g, index, _zeros(source_meta, g)),
    "source": lambda g, index, source_meta: take(g, index).reshape(source_meta.shape)})
def put(x, index, source, accumulate=False):
    "x with `source` written, or added, at flat places."
    if index.dtype is not int64:
        raise RuntimeError(f"put_(): Expected a long tensor for index, but got {title(index.dtype)}")
    if x.dtype is not source.dtype:
        raise RuntimeError("put_(): self and source expected to have the same dtype, but got self.dtype = "
                           f"{title(x.dtype)} and source.dtype = {title(source.dtype)}")
    n, m = prod(source.shape), prod(index.shape)
    if n != m:
        raise IndexError("put_(): Expected source and index to have the same number of elements, but got "
                         f"source.numel() = {n}, index.numel() = {m}")
    return Meta(x.shape, x.dtype)


put_ = inplace(put, direct=True)


# ------------------------------------------------------------------------------------------------------ masks
def _filling(x, mask, value):
    "The value that fills x, a number or a 0-d tensor of x's dtype; checks the mask."
    if not isinstance(mask, Tensor) or mask.dtype is not bool_:
        got = c_name(mask.dtype) if isinstance(mask, Tensor) else type(mask).__name__
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {got}")
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError("masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                               f"{value.ndim} dimension(s).")
        if value.dtype.is_complex and not x.dtype.is_complex:
            raise RuntimeError(f"value cannot be converted to type {c_name(x.dtype)} without overflow")
        return value.to(x.dtype)
    return number_for(x.dtype, value)


@composite(memory=rowmajor)
def masked_fill(x, mask, value):
    "x with `value`, a number or a 0-d tensor, where the mask is True; x's dtype stays."
    return choose(mask, _filling(x, mask, value), x)


@composite(at=("Tensor",))
def masked_fill_(x, mask, value):
    "In-place form of masked_fill."
    check_inplace(x, "masked_fill_")
    return choose.op.apply((mask, _filling(x, mask, value), x), x)


@opaque(dynamic=True, at=())
def masked_places(mask):
    "Flat places of the mask's Trues, in order."
    return None


@composite(apart=True)
def masked_select(x, mask):
    "The elements of x where the mask is True, in C order; both broadcast together. The result is a vector."
    if mask.dtype is not bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask\n"
                           f"masked_select: mask has dtype {mask.dtype}")
    shape = broadcast(mask.shape, x.shape)
    return index_select(x.expand(shape).reshape(-1), 0, masked_places(mask.expand(shape)))


def _masked_source(g, mask, source_meta):
    "The gradient of masked_scatter's source: g at the mask, then zeros for the elements that were not used."
    used = masked_select(g, mask)
    rest = prod(source_meta.shape) - used.numel()
    if rest:
        used = cat([used, zeros((rest,), dtype=used.dtype, device=used.device)])
    return used.reshape(source_meta.shape)


@opaque(half="native", vjp={
    "x": lambda g, mask: masked_fill(g, mask, 0),
    "source": lambda g, mask, source_meta: _masked_source(g, mask, source_meta)})
def masked_scatter(x, mask, source):
    "x with its masked elements taken, in C order, from the first elements of `source`."
    if mask.dtype is not bool_:
        raise RuntimeError("masked_scatter_ only supports boolean masks, but got mask with dtype "
                           "" + title(mask.dtype))
    if x.dtype is not source.dtype:
        raise RuntimeError("masked_scatter: expected self and source to have same dtypes but got"
                           f"{title(x.dtype)} and {title(source.dtype)}")
    return Meta(broadcast(x.shape, mask.shape), x.dtype)


masked_scatter_ = inplace(masked_scatter, direct=True)


@opaque(dynamic=True, at=())
def nonzero_rows(x):
    "(n, ndim) places of the elements that are not zero, in C order."
    return None


@composite
def nonzero(x, *, as_tuple=False):
    "(n, ndim) places of the elements that are not zero, in C order; as_tuple: one vector for each dimension."
    if x.dtype.itemsize == 2:
        x = x != 0
    if as_tuple:
        return unbind(nonzero_rows(x.reshape(1) if x.ndim == 0 else x), 1)
    return nonzero_rows(x)


@composite
def argwhere(x):
    "(n, ndim) places of the elements that are not zero."
    return nonzero(x)


# ------------------------------------------------------------------------------------------ writes into views
def _same_size(src, part) -> None:
    if tuple(src.shape) != tuple(part.shape):
        raise RuntimeError("expected src to have a size equal to the slice of self. src size = "
                           f"{list(src.shape)}, slice size = {list(part.shape)}")


def _room(x, src):
    """A copy of x for `src` to be written into; under vmap one for each sample if src has one each."""
    return where(src.new_zeros((), dtype=bool_), x, x) if type(src) is Batched else twin(x)


@composite
def select_scatter(x, src, dim, index):
    "A copy of x with x.select(dim, index) replaced by src."
    out = _room(x, src)
    part = select(out, dim, index)
    _same_size(src, part)
    part.copy_(src)
    return out


@composite
def slice_scatter(x, src, dim=0, start=None, end=None, step=1):
    "A copy of x with x[start:end:step] along `dim` replaced by src."
    out = _room(x, src)
    dim = wrap_dim(dim, x.ndim)
    part = _slice(out, dim, slice(start, end, step))
    _same_size(src, part)
    part.copy_(src)
    return out


@composite
def diagonal_scatter(x, src, offset=0, dim1=0, dim2=1):
    "A copy of x with the diagonal replaced by src."
    out = _room(x, src)
    part = diagonal(out, offset, dim1, dim2)
    _same_size(src, part)
    part.copy_(src)
    return out


@composite
def as_strided_scatter(x, src, size, stride, storage_offset=None):
    "A copy of x with x.as_strided(size, stride, storage_offset) replaced by src."
    out = _room(x, src)
    part = as_strided(out, size, stride, storage_offset)
    _same_size(src, part)
    part.copy_(src)
    return out


# ----------------------------------------------------------------------------------------------------- x[key]
def _picked_shape(x, indices) -> tuple[int, ...]:
    "The shape of x[indices]; IndexError as PyTorch words it."
    if len(indices) > x.ndim:
        raise IndexError(f"too many indices for tensor of dimension {x.ndim} (got {len(indices)})")
    dims = [d for d, i in enumerate(indices) if i is not None]
    shapes = [tuple(indices[d].shape) for d in dims]
    try:
        common = broadcast(*shapes)
    except RuntimeError:
        raise IndexError("shape mismatch: indexing tensors could not be broadcast together with shapes "
                         + ", ".join(str(list(s)) for s in shapes)) from None
    rest = [n for d, n in enumerate(x.shape) if d not in dims]
    lead = dims[0] if dims[-1] - dims[0] == len(dims) - 1 else 0
    return tuple(rest[:lead]) + tuple(common) + tuple(rest[lead:])


def _picked_memory(args, shape):
    """An elementwise copy of x, seen with strides of 0 along the picked dimensions, by the indices."""
    x, indices = args["x"].layout, args["indices"]
    at = [d for d, i in enumerate(indices) if i is not None]
    picked = broadcast(*[indices[d].shape for d in at])
    rest = [d for d in range(len(x.shape)) if d not in at]
    before = [d for d in rest if d < at[0]] if at == list(range(at[0], at[-1] + 1)) else []
    after = [d for d in rest if d not in before]
    k = len(picked)
    steps = [tuple([x.strides[d] for d in before] + [0] * k + [x.strides[d] for d in after])]
    steps += [(0,) * len(before) + expanded(indices[d].layout, picked) + (0,) * len(after) for d in at]
    return permuted(shape, stride_order(shape, steps))


@opaque(memory=_picked_memory, half="native", at=(), vjp={
    "x": lambda g, x_meta, indices: index_put_values(_zeros(x_meta, g), indices, g, True)})
def index(x, indices):
    """x at `indices`: an integer tensor or None for each leading dimension; indexed dims that are apart go
    first."""
    return Meta(_picked_shape(x, indices), x.dtype)


def _summed_to(x, shape):
    "x summed over the dimensions along which `shape` was broadcast to it."
    lead = x.ndim - len(shape)
    dims = [d for d in range(x.ndim) if d < lead or shape[d - lead] == 1 and x.shape[d] != 1]
    if dims:
        x = x.sum(dims, keepdim=True)
    return x.reshape(shape)


@opaque(memory=preserved, at=(), vjp={
    "x": lambda g, indices, values_meta, accumulate:
        g if accumulate else index_put_values(g, indices, zeros((), dtype=g.dtype, device=g.device), False),
    "values": lambda g, indices, values_meta: _summed_to(index(g, indices), values_meta.shape)})
def index_put_values(x, indices, values, accumulate):
    "x with `values` written, or added, at x[indices]; of several writes to a place the last stays."
    want = _picked_shape(x, indices)
    got = tuple(values.shape)
    if len(got) > len(want) or any(n != m and n != 1 for n, m in zip(reversed(got), reversed(want))):
        raise RuntimeError(f"shape mismatch: value tensor of shape {list(got)} cannot be broadcast to "
                           "indexing result "
                           f"of shape {list(want)}")
    if x.dtype is not values.dtype:
        raise RuntimeError("Index put requires the source and destination dtypes match, got "
                           f"{title(x.dtype)} for the destination and {title(values.dtype)} for the source.")
    return Meta(x.shape, x.dtype)


index_put_values_ = inplace(index_put_values, at=(), direct=True)


@composite
def index_put(x, indices, values, accumulate=False):
    """x with `values` written, or added, at x[indices]; masks among the indices stand for the places of
    their Trues."""
    return index_put_values(x, _placed(x, indices), values, accumulate)


@composite
def index_put_(x, indices, values, accumulate=False):
    "In-place form of index_put."
    return index_put_values_(x, _placed(x, indices), values, accumulate)


def _placed(x, indices) -> list:
    "Index tensors with each mask replaced by the places of its Trues."
    out: list = []
    for i in indices:
        if i is None:
            out.append(None)
        elif i.dtype in (bool_, uint8):
            out += _mask_places(x, i, len(out), len(out))
        else:
            out.append(_integer_index(i))
    while out and out[-1] is None:
        out.pop()
    return out


def _integer_index(i):
    if i.dtype not in (int64, int32):
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    return i


def _mask_places(x, mask, dim: int, where_: int) -> list:
    for d, n in enumerate(mask.shape):
        if dim + d >= x.ndim or x.shape[dim + d] != n:
            raise IndexError(f"The shape of the mask {list(mask.shape)} at index {d} does not match the "
                             "shape of the "
                             f"indexed tensor {list(x.shape)} at index {where_ + d}")
    return list(unbind(nonzero_rows(mask), 1))


def _slice(x, dim: int, s: slice):
    "x[s] along `dim`: a view."
    step = 1 if s.step is None else s.step.__index__()
    if step <= 0:
        raise ValueError("step must be greater than zero\n"
                         f"x[{s.start}:{s.stop}:{s.step}]: flip a dimension with torch.flip")
    if s.start is None and s.stop is None and step == 1:
        return x
    start, stop = bounds(s.start, s.stop, x.shape[dim])
    return slice_(x, dim, start, max(stop, start), step)


def _is_tuple_like(key: list) -> bool:
    """Whether a list is to be read as a tuple of keys: PyTorch's rule for short lists that hold more than
    numbers."""
    return len(key) < 32 and any(
        k is None or k is Ellipsis or isinstance(k, (slice, list, tuple, Tensor)) for k in key)


def _parse(x, key):
    """(view, indices, mask): the view that the basic parts of `key` make; pairs (dimension of the view,
    index tensor), or None if the key is basic; the mask if the key's only advanced part is one mask."""
    if isinstance(key, list) and _is_tuple_like(key):
        key = tuple(key)
    keys = key if isinstance(key, tuple) else (key,)
    parts = [_part(x, k) for k in keys]
    used = 0
    for k in parts:
        if type(k) is int or type(k) is slice:
            used += 1
        elif isinstance(k, Tensor):
            used += k.ndim if k.dtype in (bool_, uint8) else 1
    if used > x.ndim:
        if x.ndim == 0 and len(keys) == 1 and type(parts[0]) is int:
            raise IndexError("invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
                             "`tensor.item<T>()` in "
                             "C++ to convert a 0-dim tensor to a number")
        raise IndexError(f"too many indices for tensor of dimension {x.ndim}")
    view, dim, source = x, 0, 0
    advanced: list[tuple[int, Any]] = []
    for k in parts:
        if type(k) is int:
            n = x.shape[source]
            if not -n <= k < n:
                raise IndexError(f"index {k} is out of bounds for dimension {source} with size {n}")
            view = select(view, dim, k)
            source += 1
        elif type(k) is slice:
            view = _slice(view, dim, k)
            dim += 1
            source += 1
        elif k is None:
            view = unsqueeze(view, dim)
            dim += 1
        elif k is Ellipsis:
            dim += x.ndim - used
            source += x.ndim - used
            used = x.ndim
        elif type(k) is bool:
            view = unsqueeze(view, dim)
            advanced.append((dim, tensor([0] if k else [], dtype=int64, device=x.device)))
            dim += 1
        elif k.dtype in (bool_, uint8) and k.ndim == 0:
            view = unsqueeze(view, dim)
            advanced.append((dim, k.reshape(1)))
            dim += 1
        else:
            advanced.append((dim, k))
            n = k.ndim if k.dtype in (bool_, uint8) else 1
            dim += n
            source += n
    if not advanced:
        return view, None, None
    only = None
    if len(advanced) == 1 and advanced[0][1].dtype is bool_:
        at, only = advanced[0]
        _check_mask(view, only, at)
        only = only.reshape((1,) * at + tuple(only.shape) + (1,) * (view.ndim - at - only.ndim))
    return view, advanced, only


def _check_mask(view, mask, dim: int) -> None:
    for d, n in enumerate(mask.shape):
        if view.shape[dim + d] != n:
            raise IndexError(f"The shape of the mask {list(mask.shape)} at index {d} does not match the "
                             "shape of the "
                             f"indexed tensor {list(view.shape)} at index {dim + d}")


def _indices(view, advanced) -> list:
    "Index tensors or None for the leading dimensions of `view`."
    out: list = []
    for dim, k in advanced:
        out += [None] * (dim - len(out))
        if k.dtype in (bool_, uint8):
            _check_mask(view, k, dim)
            out += unbind(nonzero_rows(k), 1)
        else:
            out.append(_integer_index(k))
    return out


def _part(x, k):
    "One key as int, slice, None, Ellipsis, bool or tensor."
    if type(k) is int or type(k) is slice or k is None or k is Ellipsis or type(k) is bool:
        return k
    if isinstance(k, Tensor):
        if k.ndim == 0 and k.dtype.category == INT and k.dtype is not uint8:
            return int(k)
        return k
    if isinstance(k, np.bool_):
        return bool(k)
    if isinstance(k, (list, tuple, range)):
        made = tensor(k if len(k) else [], device=x.device)
        if not made.numel():
            return made.to(int64)
        return made if made.dtype in (bool_, int64) else made.to(int64)
    if isinstance(k, np.ndarray):
        made = tensor(k, device=x.device)
        return int(made) if made.ndim == 0 and made.dtype.category == INT else made
    if hasattr(k, "__index__"):
        return k.__index__()
    raise IndexError("only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are "
                     "valid "
                     f"indices (got {type(k).__name__})")


def getitem(x, key):
    "x[key]: a view for ints, slices, None and Ellipsis, else a copy."
    layout, kind = x.layout, type(key)
    if kind is int:
        shape = layout.shape
        if shape and -shape[0] <= key < shape[0]:
            return select(x, 0, key)
    elif kind is slice:
        shape = layout.shape
        if shape and (key.step is None or key.step == 1) and (key.start is not None or key.stop is not None):
            start, stop = key.indices(shape[0])[:2] if state.lazy is None else \
                bounds(key.start, key.stop, shape[0])
            return slice_(x, 0, start, stop if stop > start else start, 1)
    elif (kind is tuple or key is None or key is Ellipsis) and not (x._requires and state.grad) \
            and state.tracer is None:
        key = key if kind is tuple else (key,)
        known = _known(layout, key)
        found = _views.get(known)
        if found is not None:
            return shown(x, found)
        got = _getitem(x, key)
        if known is not None and got.storage is x.storage and x.is_cpu:
            remember(_views, known, got.layout)
        return got
    return _getitem(x, key)


_views: dict[Any, Any] = {None: None}  # layouts of views by the layout and the basic key they were made with


def _known(layout, key: tuple):
    """What stands for a key of ints, slices of ints, None and Ellipsis on a layout; None for other keys."""
    out: list = [layout.serial]
    for k in key:
        if type(k) is slice:
            for end in (k.start, k.stop, k.step):
                if end is not None and type(end) is not int:
                    return None
            out += (slice, k.start, k.stop, k.step)
        elif type(k) is int or k is None or k is Ellipsis:
            out.append(k)
        else:
            return None
    return tuple(out)


def _getitem(x, key):
    view, advanced, mask = _parse(x, key)
    if advanced is None:
        return view if view is not x else alias_view(x)
    if mask is not None and mask.ndim and advanced[0][1].ndim == view.ndim:  # it covers every dimension
        return masked_select(view, mask)
    indices = _indices(view, advanced)
    return index(view, indices)


def setitem(x, key, value):
    "x[key] = value, in place; `value` is a number or a tensor that broadcasts to x[key]."
    view, advanced, mask = _parse(x, key)
    if not isinstance(value, Tensor):
        if not isinstance(value, numbers.Number):
            raise TypeError(f"can't assign a {_type_name(value)} to a torch.{title(x.dtype)}Tensor")
        value = number_for(x.dtype, value)
    if advanced is None:
        if isinstance(value, Tensor):
            value = _trimmed(value, view.ndim)
            view.copy_(value if value.shape == view.shape else value.expand(view.shape))
        else:
            view.fill_(value)
    elif mask is not None and not isinstance(value, Tensor):
        view.masked_fill_(mask, value)
    else:
        if not isinstance(value, Tensor):
            value = full((), value, dtype=x.dtype, device=x.device)
        indices = _indices(view, advanced)
        want = _picked_shape(view, indices)
        index_put_values_(view, indices, _trimmed(value, len(want)), False)


def _type_name(value) -> str:
    t = type(value)
    return t.__name__ if t.__module__ in ("builtins",) else f"{t.__module__}.{t.__name__}"


def _trimmed(value, ndim: int):
    "`value` without the leading dimensions of size 1 that it has beyond `ndim`."
    while value.ndim > ndim and value.shape[0] == 1:
        value = value.reshape(value.shape[1:])
    return value


def number_for(dtype, value):
    "A Python number as an element of `dtype`: complex into real is an error, floats are cut to integers."
    if isinstance(value, complex) and not dtype.is_complex:
        if value.imag:
            raise RuntimeError(f"value cannot be converted to type {c_name(dtype)} without overflow")
        value = value.real
    if dtype is bool_:
        return bool(value)
    if dtype.category == INT:
        return int(value)
    return complex(value) if dtype.is_complex else float(value)


@composite
def nonzero_static(x, *, size, fill_value=-1):
    "The first `size` rows of nonzero(x), the missing ones `fill_value`."
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    rows = nonzero(x)
    have = min(size, rows.shape[0])
    rest = full((size - have, x.ndim), int(fill_value), dtype=int64, device=x.device)
    return cat([rows.narrow(0, 0, have), rest], 0)


@composite(at=("torch",))
def unravel_index(indices, shape):
    "The coordinates, one tensor a dimension, of flat places in a tensor of the given shape."
    if indices.dtype.category != INT:
        raise ValueError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(not isinstance(n, int) for n in shape):
        raise TypeError(f"expected 'shape' to be int or sequence of ints, but got {type(shape).__name__}")
    if any(n < 0 for n in shape):
        raise ValueError(f"'shape' cannot have negative values, but got {shape}")
    out = []
    for n in reversed(shape):
        out.append(indices % n)
        indices = indices.floor_divide(n)
    return tuple(reversed(out))


METHODS = {"__getitem__": getitem, "__setitem__": setitem}
