"""torch.masked: reductions and normalisations that see only the elements where `mask` is True.

The mask broadcasts to the input. Where everything is masked out, a reduction gives its identity (mean, var:
NaN)."""
from __future__ import annotations

import math
from typing import Any

from . import dtypes as D
from . import linalg, ops
from .tensor import Tensor

_torch = ops.names["torch"]
_functional = ops.names["nn.functional"]
__all__ = ["amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp", "logsumexp",
           "mean", "median", "norm", "normalize", "prod", "softmax", "softmin", "std", "sum", "var"]


def _wide(x: Tensor, dtype):
    """The dtype of sums and products: integers and bools become int64."""
    return dtype or (x.dtype if x.dtype.category >= D.FLOAT else D.int64)


def _lowest(d: D.dtype):
    return -math.inf if d.category >= D.FLOAT else D.iinfo(d).min if d is not D.bool else False


def _highest(d: D.dtype):
    return math.inf if d.category >= D.FLOAT else D.iinfo(d).max if d is not D.bool else True


def _kept(x: Tensor, mask) -> Any:
    """The mask at the shape of x; ValueError where it does not fit."""
    if mask is None:
        return None
    if mask.ndim > x.ndim:
        raise IndexError("_input_mask expected broadcastable mask (got mask dimensionality higher than of "
                         "the input)")
    return mask.to(D.bool).expand(x.shape)


def _filled(x: Tensor, mask, value) -> Tensor:
    """x with `value` where the mask is False."""
    mask = _kept(x, mask)
    return x if mask is None else _torch["where"](mask, x,
                                                  _torch["full"]((), value, dtype=x.dtype, device=x.device))


def _dims(x: Tensor, dim) -> tuple[int, ...]:
    dims = range(x.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    return tuple(d % max(x.ndim, 1) for d in dims)


def sum(input: Tensor, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The sum of the elements that the mask keeps."""
    return _filled(input, mask, 0).sum(dim, bool(keepdim), dtype=_wide(input, dtype))


def prod(input: Tensor, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The product of the elements that the mask keeps."""
    out = _filled(input, mask, 1).to(_wide(input, dtype))
    for d in sorted(_dims(input, dim), reverse=True):
        out = out.prod(d, bool(keepdim)) if input.ndim else out
    return out


def cumsum(input: Tensor, dim: int, *, dtype=None, mask=None) -> Tensor:
    """Running sums; masked elements count as 0."""
    return _filled(input, mask, 0).cumsum(dim, dtype=_wide(input, dtype))


def cumprod(input: Tensor, dim: int, *, dtype=None, mask=None) -> Tensor:
    """Running products; masked elements count as 1."""
    return _filled(input, mask, 1).cumprod(dim, dtype=_wide(input, dtype))


def amax(input: Tensor, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The largest element that the mask keeps."""
    kept = _filled(input, mask, _lowest(input.dtype))
    return kept.amax(_dims(input, dim), bool(keepdim)).to(dtype or input.dtype)


def amin(input: Tensor, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The smallest element that the mask keeps."""
    kept = _filled(input, mask, _highest(input.dtype))
    return kept.amin(_dims(input, dim), bool(keepdim)).to(dtype or input.dtype)


def argmax(input: Tensor, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The place of the largest element that the mask keeps."""
    return _filled(input, mask, _lowest(input.dtype)).argmax(dim, bool(keepdim)).to(dtype or input.dtype)


def argmin(input: Tensor, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The place of the smallest element that the mask keeps."""
    return _filled(input, mask, _highest(input.dtype)).argmin(dim, bool(keepdim)).to(dtype or input.dtype)


def _count(input: Tensor, dim, keepdim: bool, mask) -> Tensor:
    kept = _kept(input, mask)
    kept = _torch["ones"](input.shape, dtype=D.bool, device=input.device) if kept is None else kept
    return kept.sum(dim, keepdim)


def mean(input: Tensor, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The mean of the elements that the mask keeps."""
    d = dtype or input.dtype
    if d.category < D.FLOAT:
        raise ValueError(f"mean(): Could not infer output dtype. {'Optional' if dtype else 'Input'} dtype "
                         f"must be either a floating point or complex dtype. Got: {d}")
    return sum(input, dim, keepdim=keepdim, dtype=d, mask=mask) / _count(input, dim, bool(keepdim), mask)


def median(input: Tensor, dim: int = -1, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The lower median along `dim` of the elements that the mask keeps."""
    x = input if input.dtype.is_floating_point else input.to(D.float32)
    out = _filled(x, mask, math.nan).nanmedian(dim, bool(keepdim))[0]
    if input.dtype.is_floating_point:
        return out
    if bool(out.isnan().any()):
        raise ValueError("masked median expects no fully masked out rows if dtype is not floating point")
    return out.to(dtype or input.dtype)


def norm(input: Tensor, ord=2.0, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The vector norm of the elements that the mask keeps."""
    x = _filled(input.to(dtype or input.dtype), mask, math.inf if ord == -math.inf else 0)
    return linalg.vector_norm(x, ord, _dims(input, dim), bool(keepdim), dtype=dtype)


def var(input: Tensor, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None,
        mask=None) -> Tensor:
    """The variance of the elements that the mask keeps; correction 1 unless told otherwise."""
    if unbiased is not None and correction is not None:
        raise AssertionError("Only one of unbiased and correction may be given")
    correction = correction if correction is not None else 1.0 if unbiased is None else float(unbiased)
    d = dtype or (input.dtype if input.dtype.category >= D.FLOAT else D.float32)
    x = input.to(d)
    count = _count(input, dim, True, mask)
    away = x - sum(x, dim, keepdim=True, mask=mask) / count
    total = sum((away * away.conj()), dim, keepdim=keepdim, mask=mask)
    return (total / (count.reshape(total.shape) - correction).clamp(min=0)).to(d)


def std(input: Tensor, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None,
        mask=None) -> Tensor:
    """The standard deviation of the elements that the mask keeps; correction 1 unless told otherwise."""
    return var(input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask).sqrt()


def softmax(input: Tensor, dim: int, *, dtype=None, mask=None) -> Tensor:
    """softmax along `dim`; masked elements get 0."""
    d = dtype or input.dtype
    return _functional["softmax"](_filled(input.to(d), mask, _lowest(d)), dim)


def log_softmax(input: Tensor, dim: int, *, dtype=None, mask=None) -> Tensor:
    """log softmax along `dim`; masked elements get -inf."""
    d = dtype or input.dtype
    return _functional["log_softmax"](_filled(input.to(d), mask, _lowest(d)), dim)


def softmin(input: Tensor, dim: int, *, dtype=None, mask=None) -> Tensor:
    """softmax of -input along `dim`; masked elements get 0."""
    d = dtype or input.dtype
    return _functional["softmin"](_filled(input.to(d), mask, _highest(d)), dim)


def normalize(input: Tensor, ord: float, dim: int, *, eps: float = 1e-12, dtype=None, mask=None) -> Tensor:
    """Masked input (0 where the mask is False) over its norm along `dim`, at least eps."""
    size = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return _filled(input, mask, 0) / size.clamp(min=eps)


def logsumexp(input: Tensor, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """log of the sum of the exponentials of the elements that the mask keeps."""
    d = dtype or input.dtype
    return _filled(input, mask, _lowest(input.dtype)).logsumexp(_dims(input, dim), bool(keepdim)).to(d)


def logaddexp(input: Tensor, other: Tensor, *, dtype=None, input_mask=None, other_mask=None) -> Tensor:
    """log(e^input + e^other), each counted where its mask is True."""
    d = dtype or input.dtype
    return _torch["logaddexp"](_filled(input, input_mask, -math.inf),
                               _filled(other, other_mask, -math.inf)).to(d)
