"""Running sums, products and extremes along one dimension; differences."""
from __future__ import annotations

import math

from .. import return_types as R
from ..autograd.modes import state
from ..dispatch import Meta, unimplemented, wrap_dim
from ..dtypes import FLOAT, int64
from ..kinds import composite, opaque
from .create import ones_like, zeros
from .index import inplace, scatter_add
from .join import cat, flip
from .pointwise import where


def _accumulated(x, dtype):
    "The dtype of a running sum: integers become int64."
    if dtype is not None:
        return dtype
    return x.dtype if x.dtype.is_floating_point or x.dtype.is_complex else int64


def _from_the_end(g, dim: int):
    "out[i] = g[i] + g[i + 1] + … along `dim`."
    if g.ndim == 0:
        return g
    return flip(cumsum(flip(g, [dim]), dim), [dim])


@opaque(vjp={"x": lambda g, dim: _from_the_end(g, dim)})
def cumsum(x, dim, *, dtype=None):
    "out[i] = x[0] + … + x[i] along `dim`."
    wrap_dim(dim, x.ndim)
    return Meta(x.shape, _accumulated(x, dtype))


cumsum_ = inplace(cumsum)


def _cumprod_gradient_by_products(g, x, dim: int):
    """`_cumprod_gradient` by the products without each element, which zeros do not hide from the next
    gradient: in time of the length squared."""
    size, before, parts = x.shape[dim], ones_like(x.narrow(dim, 0, 1)), []
    for i in range(size):
        after = cumprod(cat([ones_like(before), x.narrow(dim, i + 1, size - i - 1)], dim), dim)
        products = before * after
        parts.append((g.narrow(dim, i, size - i) * products.conj()).sum(dim, True))
        before = before * x.narrow(dim, i, 1)
    return cat(parts, dim)


def _cumprod_gradient(g, x, dim, out):
    """d/dx of the running product: sum_k>=i g[k] out[k] / x[i], and where x[i] is the first 0 of its line the
    products without it; later ones get 0."""
    if x.ndim == 0:
        return g
    if state.grad and bool((x == 0).any()):
        return _cumprod_gradient_by_products(g, x, dim % x.ndim)
    w = g * (out.conj() if out.dtype.is_complex else out)
    zero = x == 0
    first = zero & (cumsum(zero.to(int64), dim) == 1)
    seen = cumsum(zero.to(int64), dim)
    safe = where(zero, 1, x)
    usual = where(seen == 0, _from_the_end(w, dim) / (safe.conj() if safe.dtype.is_complex else safe), 0)
    without = cumprod(where(first, 1, x), dim)
    special = _from_the_end(where(seen >= 1, g * without, 0), dim)
    return where(first, special, usual)


@opaque(vjp={"x": lambda g, x, dim, out: _cumprod_gradient(g, x, dim, out)})
def cumprod(x, dim, *, dtype=None):
    "out[i] = x[0] * … * x[i] along `dim`."
    wrap_dim(dim, x.ndim)
    return Meta(x.shape, _accumulated(x, dtype))


cumprod_ = inplace(cumprod)


def _logcumsumexp_gradient(g, x, dim, out):
    """exp(x[i]) * sum_k>=i g[k] exp(-out[k]), positive and negative cotangents apart so that it stays in
    range."""
    if g.ndim == 0:
        return g
    dims = [dim]
    if g.dtype.is_complex:
        return (flip(logcumsumexp(flip(g.log() - out.conj(), dims), dim), dims) + x.conj()).exp()

    def part(size):
        some = (size > 0) & (out > -math.inf)
        terms = where(some, where(some, size, 1).log() - where(some, out, 0), -math.inf)
        return (flip(logcumsumexp(flip(terms, dims), dim), dims) + x).exp()

    return part(g) - part(-g)


@opaque(vjp={"x": lambda g, x, dim, out: _logcumsumexp_gradient(g, x, dim, out)})
def logcumsumexp(x, dim):
    "out[i] = log(exp(x[0]) + … + exp(x[i])) along `dim`."
    wrap_dim(dim, x.ndim)
    if x.dtype.category < FLOAT:
        raise unimplemented("logcumsumexp_out_cpu", x.dtype)
    return Meta(x.shape, x.dtype)


def _to_places(g, x_meta, dim, places):
    return scatter_add(zeros(x_meta.shape, dtype=g.dtype, device=g.device), dim, places, g)


@opaque(at=(), half="native", vjp={"x": lambda g, x_meta, dim, out1: _to_places(g[0], x_meta, dim, out1)})
def running_max(x, dim):
    "The largest element so far, and its index."
    wrap_dim(dim, x.ndim)
    if x.dtype.is_complex and x.ndim:
        raise unimplemented("cummax_cpu", x.dtype)
    return Meta(x.shape, x.dtype), Meta(x.shape, int64)


@opaque(at=(), half="native", vjp={"x": lambda g, x_meta, dim, out1: _to_places(g[0], x_meta, dim, out1)})
def running_min(x, dim):
    "The smallest element so far, and its index."
    wrap_dim(dim, x.ndim)
    if x.dtype.is_complex and x.ndim:
        raise unimplemented("cummin_cpu", x.dtype)
    return Meta(x.shape, x.dtype), Meta(x.shape, int64)


@composite
def cummax(x, dim):
    "(values, indices): max(x[0..i]) along `dim` and the last place that has it."
    return R.cummax(running_max(x, dim))


@composite
def cummin(x, dim):
    "(values, indices): min(x[0..i]) along `dim` and the last place that has it."
    return R.cummin(running_min(x, dim))


@composite
def diff(x, n=1, dim=-1, prepend=None, append=None):
    "x[i + 1] - x[i] along `dim`, n times, of x between `prepend` and `append`."
    if x.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    dim = wrap_dim(dim, x.ndim)
    if n == 0:
        return x.clone()
    parts = [t for t in (prepend, x, append) if t is not None]
    if len(parts) > 1:
        x = cat(parts, dim)
    for _ in range(min(n, x.shape[dim])):
        size = x.shape[dim]
        if x.dtype.name == "bool":
            x = x.narrow(dim, 1, size - 1).logical_xor(x.narrow(dim, 0, size - 1))
        else:
            x = x.narrow(dim, 1, size - 1) - x.narrow(dim, 0, size - 1)
    return x
