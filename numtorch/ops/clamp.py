"""clamp and its one-sided forms."""
from __future__ import annotations

from ..dispatch import TITLES, no_overload, unimplemented
from ..dtypes import BOOL, FLOAT, can_cast, result_type
from ..kinds import composite, pointwise
from .pointwise import REAL, ge, isnan, le, where, zero_of


@pointwise(name="clamp.both", at=(), only=REAL, vjp={
    "x": lambda g, x, lo, hi: where((ge(x, lo) & le(x, hi)) | isnan(x), g, zero_of(g)),
    "lo": lambda g, x, lo, hi: where((x < lo) & (lo < hi), g, zero_of(g)),
    "hi": lambda g, x, lo, hi: where((x > hi) | (lo >= hi), g, zero_of(g))})
def between(x, lo, hi):
    "min(max(x, lo), hi); NaN stays NaN."
    m = x if x != x else (lo if (x < lo) or (lo != lo) else x)
    return m if m != m else (hi if (m > hi) or (hi != hi) else m)


@pointwise(name="clamp.low", at=(), only=REAL, strict=("x",), kernel="maximum_cpu",
           vjp={"x": lambda g, x, lo: where(ge(x, lo) | isnan(x), g, zero_of(g)),
                "lo": lambda g, x, lo: where(x < lo, g, zero_of(g))})
def at_least(x, lo):
    "max(x, lo); NaN stays NaN."
    return x if x != x else (lo if (x < lo) or (lo != lo) else x)


@pointwise(name="clamp.high", at=(), only=REAL, strict=("x",), kernel="minimum_cpu",
           vjp={"x": lambda g, x, hi: where(le(x, hi) | isnan(x), g, zero_of(g)),
                "hi": lambda g, x, hi: where(x > hi, g, zero_of(g))})
def at_most(x, hi):
    "min(x, hi); NaN stays NaN."
    return x if x != x else (hi if (x > hi) or (hi != hi) else x)


_COMPLEX = "clamp is not supported for complex types"
_MISSING = "torch.clamp: At least one of 'min' or 'max' must not be None"


def limit(x, lo, hi, name: str = "clamp", inplace: bool = False):
    """x limited to [lo, hi], in x itself if `inplace`; the errors of clamp's types and what is missing."""
    if lo is None and hi is None:
        raise RuntimeError(_MISSING)
    op, ends = (at_least, (lo,)) if hi is None else (at_most, (hi,)) if lo is None else (between, (lo, hi))
    if not hasattr(x, "layout"):
        raise no_overload(name, (x, *ends))
    tensors = hasattr(ends[0], "layout")
    if x.dtype.category != FLOAT:
        _check(x, lo, hi, name, tensors)
    elif not tensors:
        for v in ends:
            if isinstance(v, complex):
                if name != "clamp":
                    raise NotImplementedError(_COMPLEX)
                raise RuntimeError("value cannot be converted to type double without overflow")
    if not inplace:
        return op(x, *ends)
    if not tensors and x.dtype.category < FLOAT and not can_cast(result_type(x, *ends), x.dtype):
        from .index import c_name
        raise RuntimeError(f"result type {TITLES[result_type(x, *ends).name]} can't be cast to the desired "
                           f"output type {c_name(x.dtype)}")
    return op.op.inplace(x, *ends)


def _check(x, lo, hi, name: str, tensors: bool) -> None:
    """The errors of types that are not floating."""
    d = result_type(x, *[v for v in (lo, hi) if v is not None])
    if (x.dtype if tensors else d).is_complex and not (tensors and name != "clamp"):
        raise NotImplementedError(_COMPLEX)
    which = "_max" if lo is None else "_min" if hi is None else ""
    if d.category == BOOL and not (tensors and which):
        raise unimplemented(f"clamp{which}{'' if tensors else '_scalar'}_cpu", d)


@composite
def clamp(x, min=None, max=None):
    "x limited to [min, max]; either may be a number, a tensor, or missing."
    return limit(x, min, max)


@composite
def clip(x, min=None, max=None):
    "x limited to [min, max]: clamp by its NumPy name."
    return limit(x, min, max)


@composite
def clamp_min(x, min):
    "The larger of x and `min`."
    return limit(x, min, None, "clamp_min")


@composite
def clamp_max(x, max):
    "The smaller of x and `max`."
    return limit(x, None, max, "clamp_max")
