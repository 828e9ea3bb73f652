"""Reduction entries: sums, products, extremes, means and what is composed of them."""
from __future__ import annotations

import math

from .. import dtypes as D
from ..dispatch import TITLES, dims_of, need_tensors, no_overload, unimplemented
from ..kinds import BOOL_TO_LONG, FLOAT_ONLY, INTEGERS, composite, reduction
from ..kinds.batching import whole
from .create import zeros
from .pointwise import abs_, conj, eq, exp, log, ne, where


def spread(g, x_meta, dim, keepdim):
    """A reduced cotangent, seen at the shape of the input."""
    if not keepdim:
        for d in sorted(d % max(len(x_meta.shape), 1) for d in dim):
            if x_meta.shape:
                g = g.unsqueeze(d)
    return g.expand(x_meta.shape)


def count_of(x_meta, dim) -> int:
    """How many elements each result is made of."""
    n = 1
    for d in dim:
        n *= x_meta.shape[d] if x_meta.shape else 1
    return n


@reduction(init=0, dtype=BOOL_TO_LONG,
           vjp={"x": lambda g, x_meta, dim, keepdim: spread(g, x_meta, dim, keepdim)})
def sum(acc, x):
    "The sum of the elements, over all or the given dimensions."
    return acc + x


@reduction(init=0, dtype=FLOAT_ONLY, finish=lambda acc, n: acc / n,
           vjp={"x": lambda g, x_meta, dim, keepdim:
                spread(g, x_meta, dim, keepdim) / max(count_of(x_meta, dim), 1)})
def mean(acc, x):
    "The arithmetic mean, over all or the given dimensions."
    return acc + x


@reduction(init=1, dtype=BOOL_TO_LONG, name="prod.op", at=(),
           vjp={"x": lambda g, x, out, dim, keepdim: _prod_grad(g, x, out, dim, keepdim)})
def product(acc, x):
    "The product of the elements."
    return acc * x


@reduction(init=0, dtype=INTEGERS, name="xor.op", at=())
def exclusive_or(acc, x):
    "The exclusive or of the elements' bits."
    return acc ^ x


@composite
def hash_tensor(x, dim=None, *, keepdim=False, mode=0):
    """The exclusive or of the elements' bits as float64 or int64 numbers: uint64, over all or the given
    dimensions. mode: 0, the only one."""
    if mode != 0:
        raise RuntimeError(f"Unknown hash_tensor mode: {mode}")
    if x.dtype.is_complex or x.dtype in D.UNSIGNED:
        raise unimplemented("xor_sum_cpu", x.dtype)
    if x.numel() == 0:
        for d in dims_of("hash_tensor", dim, x.ndim):
            if dim is None or dim == ():
                raise RuntimeError("hash_tensor: Expected reduction dim to be specified for input.numel() == "
                                   "0. Specify the reduction dim with the 'dim' argument.")
            if x.shape[d] == 0:
                raise IndexError(f"hash_tensor: Expected reduction dim {d} to have non-zero size.")
    wide = x.detach().to(D.float64).view(D.int64) if x.dtype.is_floating_point else x.to(D.int64)
    return exclusive_or(wide, dim, keepdim).view(D.uint64)


def _prod_grad(g, x, out, dim, keepdim):
    """out / x where no zero is among the factors; else the product of the other elements."""
    if bool((whole(x) == 0).any()):
        return _prod_grad_zeros(g, x, dim, keepdim)
    return spread(g * conj(out), x, dim, keepdim) / conj(x)


def _prod_grad_zeros(g, x, dim, keepdim):
    """Products of the others from left and right cumulative products along the one flattened dimension."""
    from .create import ones_like
    from .join import cat, flip
    from .scan import cumprod
    order = [i for i in range(x.ndim) if i not in dim] + list(dim)
    y = x.permute(order) if x.ndim else x.reshape(1)
    lead = y.shape[:y.ndim - len(dim)] if x.ndim else ()
    flat = y.reshape((*lead, -1))
    first = ones_like(flat.narrow(-1, 0, 1))
    left = cumprod(cat([first, flat.narrow(-1, 0, flat.shape[-1] - 1)], -1), -1)
    right = flip(cumprod(cat([first, flip(flat, (-1,)).narrow(-1, 0, flat.shape[-1] - 1)], -1), -1), (-1,))
    gs = g
    if keepdim:
        for d in sorted(dim, reverse=True):
            gs = gs.squeeze(d) if x.ndim else gs
    grad = gs.unsqueeze(-1) * conj(left * right) if x.ndim else gs.reshape(1) * conj(left * right)
    if not x.ndim:
        return grad.reshape(())
    back = [0] * x.ndim
    for i, d in enumerate(order):
        back[d] = i
    return grad.reshape(y.shape).permute(back)


@composite
def prod(x, dim=None, keepdim=False, *, dtype=None):
    "The product of the elements, over all or one dimension."
    if isinstance(dim, tuple | list):
        raise no_overload("prod", (dim,))
    return product(x, dim, keepdim, dtype=dtype)


@composite
def nansum(x, dim=None, keepdim=False, *, dtype=None):
    "The sum of the elements that are not NaN."
    if x.dtype.is_complex:
        raise RuntimeError("nansum on CPU does not support complex inputs")
    return sum(x.nan_to_num(0.0, math.inf, -math.inf) if x.dtype.is_floating_point else x, dim, keepdim,
               dtype=dtype)


@composite
def nanmean(x, dim=None, keepdim=False, *, dtype=None):
    "The mean of the elements that are not NaN."
    if not (x.dtype.is_floating_point or x.dtype.is_complex):
        raise RuntimeError("nanmean(): expected input to have floating point or complex dtype but got "
                           + TITLES[x.dtype.name])
    good = eq(x, x)
    return nansum(x, dim, keepdim, dtype=dtype) / sum(good, dim, keepdim).to(dtype or x.dtype)


def _extreme_grad(g, x, out, dim, keepdim):
    """The cotangent shared evenly by the elements that are the extreme."""
    extreme = spread(out, x, dim, keepdim)
    hit = eq(x, extreme) | (ne(x, x) & ne(extreme, extreme))
    share = hit.to(g.dtype)
    return share * spread(g, x, dim, keepdim) / sum(share, dim, True)


_EMPTY = ("{}: Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with "
          "the 'dim' argument.")


@reduction(init="lowest", vjp={"x": _extreme_grad}, empty_error=_EMPTY.format("amax()"))
def amax(acc, x):
    "The largest element; NaN if there is one. Equal largest elements share the gradient."
    return x if (x > acc) or (x != x) else acc


@reduction(init="highest", vjp={"x": _extreme_grad}, empty_error=_EMPTY.format("amin()"))
def amin(acc, x):
    "The smallest element; NaN if there is one. Equal smallest elements share the gradient."
    return x if (x < acc) or (x != x) else acc


@reduction(init=False, dtype=lambda d: (d, D.bool) if False else (D.bool, D.bool), name="any.op", at=())
def some(acc, x):
    "Whether some element is not zero."
    return acc or x


@reduction(init=True, dtype=lambda d: (D.bool, D.bool), name="all.op", at=())
def every(acc, x):
    "Whether every element is not zero."
    return acc and x


@composite(name="any")
def any_(x, dim=None, keepdim=False):
    "Whether some element is not zero, over all or the given dimensions."
    out = some(x, dim, keepdim)
    return out.to(D.uint8) if x.dtype is D.uint8 else out


@composite(name="all")
def all_(x, dim=None, keepdim=False):
    "Whether every element is not zero, over all or the given dimensions."
    out = every(x, dim, keepdim)
    return out.to(D.uint8) if x.dtype is D.uint8 else out


@composite
def count_nonzero(x, dim=None):
    "How many elements are not zero."
    return sum(ne(x, 0), dim)


def _correction(unbiased, correction) -> float:
    if isinstance(unbiased, bool):
        return 1.0 if unbiased else 0.0
    return 1.0 if correction is None else float(correction)


def _needs_floats(name: str, x) -> None:
    if x.dtype.category < D.FLOAT:
        raise RuntimeError(f"{name} only support floating point and complex dtypes")


def _spread_args(name, dim, unbiased, correction, keepdim):
    """var(dim, unbiased, keepdim) and var(unbiased) by position, as PyTorch's overloads take them."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return dim, _correction(unbiased, correction), keepdim


@composite(name="var.op", at=(),
           vjp={"x": lambda g, x, dim, keepdim, correction: _var_grad(g, x, dim, keepdim, correction)})
def variance(x, dim, correction, keepdim):
    "The mean squared distance from the mean, with n − correction in the denominator: two passes."
    m = mean(x, dim, True)
    d = abs_(x - m) if x.dtype.is_complex else x - m
    n = count_of(x, dim)
    total = sum(d * d, dim, keepdim)
    free = n - correction
    if free <= 0 and n:
        import warnings
        warnings.warn("var(): degrees of freedom is <= 0. Correction should be strictly less than the "
                      "reduction factor (input numel divided by output numel).", stacklevel=6)
    return total / max(free, 0) if free > 0 else total / zeros((), dtype=total.dtype, device=x.device)


def _var_grad(g, x, dim, keepdim, correction):
    n = count_of(x, dim)
    scale = 2.0 / (n - correction) if n > correction else math.nan
    return spread(g, x, dim, keepdim) * scale * (x - mean(x, dim, True))


@composite
def var(x, dim=None, unbiased=None, keepdim=False, *, correction=None):
    "The variance, over all or the given dimensions; correction 1 unless told otherwise."
    dim, c, keepdim = _spread_args("var", dim, unbiased, correction, keepdim)
    _needs_floats("std and var", x)
    return variance(x, dims_of("var", dim, x.ndim), c, keepdim)


@composite(name="std.op", at=(), vjp={
    "x": lambda g, x, out, dim, correction, keepdim:
        _var_grad((g / (out * 2)).masked_fill(out == 0, 0), x, dim, keepdim, correction)})
def deviation(x, dim, correction, keepdim):
    "The square root of the variance."
    return variance(x, dim, correction, keepdim).sqrt()


@composite
def std(x, dim=None, unbiased=None, keepdim=False, *, correction=None):
    "The standard deviation, over all or the given dimensions; correction 1 unless told otherwise."
    dim, c, keepdim = _spread_args("std", dim, unbiased, correction, keepdim)
    _needs_floats("std and var", x)
    return deviation(x, dims_of("std", dim, x.ndim), c, keepdim)


@composite(at=("torch",))
def var_mean(x, dim=None, unbiased=None, keepdim=False, *, correction=None):
    "(variance, mean)."
    _needs_floats("var_mean", x)
    d = None if isinstance(dim, bool) else dim
    return var(x, dim, unbiased, keepdim, correction=correction), mean(x, d, keepdim)


@composite(at=("torch",))
def std_mean(x, dim=None, unbiased=None, keepdim=False, *, correction=None):
    "(standard deviation, mean)."
    _needs_floats("std_mean", x)
    d = None if isinstance(dim, bool) else dim
    return std(x, dim, unbiased, keepdim, correction=correction), mean(x, d, keepdim)


@composite(name="logsumexp.op", at=(), vjp={
    "x": lambda g, x, out, dim, keepdim:
        spread(g, x, dim, keepdim) * exp(x - spread(out, x, dim, keepdim))})
def log_sum_exp(x, dim, keepdim):
    "log Σ eˣ, from the largest element, so that nothing overflows."
    part = x.real if x.dtype.is_complex else x
    m = amax(part, dim, True) if x.layout.numel else amax_or(part, dim)
    m = where(abs_(m) == math.inf, zeros((), dtype=m.dtype, device=m.device), m)
    total = log(sum(exp(x - m), dim, True)) + m
    if keepdim:
        return total
    for d in sorted(dim, reverse=True):
        total = total.squeeze(d) if x.ndim else total
    return total


def amax_or(x, dim):
    """Zeros where there is nothing to be the largest of."""
    return zeros(tuple(1 if i in dim else n for i, n in enumerate(x.shape)), dtype=x.dtype, device=x.device)


@composite(at=("torch", "Tensor", "special"))
def logsumexp(x, dim, keepdim=False):
    "log Σ eˣ over the given dimensions."
    if x.dtype.category < D.FLOAT:
        x = x.to(D.get_default_dtype())
    return log_sum_exp(x, dims_of("logsumexp", dim, x.ndim), keepdim)


@composite
def allclose(x, y, rtol=1e-05, atol=1e-08, equal_nan=False):
    "Whether |x − y| ≤ atol + rtol · |y| everywhere."
    return bool(isclose(x, y, rtol, atol, equal_nan).all())


@composite
def isclose(x, y, rtol=1e-05, atol=1e-08, equal_nan=False):
    "Whether |x − y| ≤ atol + rtol · |y|, elementwise."
    need_tensors("isclose", x, y)
    if x.dtype is not y.dtype:
        raise RuntimeError(f"{TITLES[x.dtype.name]} did not match {TITLES[y.dtype.name]}")
    if rtol < 0:
        raise RuntimeError(f"rtol must be greater than or equal to zero, but got {rtol}")
    if atol < 0:
        raise RuntimeError(f"atol must be greater than or equal to zero, but got {atol}")
    close = eq(x, y)
    if equal_nan and x.dtype.category >= D.FLOAT:
        close = close | (ne(x, x) & ne(y, y))
    if rtol == 0 and atol == 0:
        return close
    wide = x.dtype if x.dtype.category >= D.FLOAT else D.get_default_dtype()
    diff = abs_(x.to(wide) - y.to(wide))
    return close | (diff.isfinite() & (diff <= abs_(y.to(wide)) * rtol + atol))


@composite
def equal(x, y):
    "Whether both have the same shape and elements."
    return x.shape == y.shape and bool(eq(x, y).all())


@composite
def dist(x, y, p=2):
    "The p-norm of x − y."
    from .linalg import norm
    need_tensors("dist", x, y)
    d = x - y
    if d.dtype.category < D.FLOAT:
        raise RuntimeError("norm(): input dtype should be either floating point or complex. Got "
                           f"{TITLES[d.dtype.name]} instead.")
    return norm(d, p)
