"""clamp and its one-sided forms."""
from __future__ import annotations

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


@pointwise(name="clamp.low", at=(), only=REAL, strict=("x",),
           vjp={"x": lambda g, x, lo: where(ge(x, lo) | isnan(x), g, zero_of(g)),
                "lo": lambda g, x, lo: where(x < lo, g, zero_of(g))})
def at_least(x, lo):
    "max(x, lo); NaN stays NaN."
    return x if x != x else (lo if (x < lo) or (lo != lo) else x)


@pointwise(name="clamp.high", at=(), only=REAL, strict=("x",),
           vjp={"x": lambda g, x, hi: where(le(x, hi) | isnan(x), g, zero_of(g)),
                "hi": lambda g, x, hi: where(x > hi, g, zero_of(g))})
def at_most(x, hi):
    "min(x, hi); NaN stays NaN."
    return x if x != x else (hi if (x > hi) or (hi != hi) else x)


@composite
def clamp(x, min=None, max=None):
    "x limited to [min, max]; either may be a number, a tensor, or missing."
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if max is None:
        return at_least(x, min)
    if min is None:
        return at_most(x, max)
    return between(x, min, max)


@composite
def clip(x, min=None, max=None):
    "x limited to [min, max]: clamp by its NumPy name."
    return clamp(x, min, max)


@composite
def clamp_min(x, min):
    "The larger of x and `min`."
    return at_least(x, min)


@composite
def clamp_max(x, max):
    "The smaller of x and `max`."
    return at_most(x, max)
