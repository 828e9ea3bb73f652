"""Special functions that SciPy computes, in double precision, rounded to the type of the result."""
from __future__ import annotations

import numpy as np


def _functions():
    from scipy import special
    return special


def scipy_function(out, x, which, name):
    "out = the SciPy function called `which` of x."
    special, x = _functions(), x.astype(np.float64)
    if which == "airy":
        out[...] = special.airy(x)[0]
    elif which == "spherical_j0":
        out[...] = special.spherical_jn(0, np.abs(x))
    else:
        out[...] = getattr(special, which)(x)


def lower_gamma(out, x, y):
    "P(x, y), the regularised lower incomplete gamma function."
    out[...] = _functions().gammainc(x.astype(np.float64), y.astype(np.float64))


def upper_gamma(out, x, y):
    "Q(x, y), the regularised upper incomplete gamma function."
    out[...] = _functions().gammaincc(x.astype(np.float64), y.astype(np.float64))


def mantissa_and_exponent(mantissa, exponent, x):
    "x = mantissa * 2^exponent."
    np.frexp(x, mantissa, exponent)
    exponent[~np.isfinite(x)] = 0


def common_divisor(out, x, y):
    "The greatest common divisor, wrapped to the type of the result."
    out[...] = np.gcd(x.astype(out.dtype), y.astype(out.dtype))


def common_multiple(out, x, y):
    "The least common multiple, wrapped to the type of the result."
    out[...] = np.lcm(x.astype(out.dtype), y.astype(out.dtype))


def neighbour(out, x, y):
    "The number next to x towards y. bfloat16 comes as its bits, which count the numbers of a sign."
    if out.dtype != np.uint16:
        np.nextafter(x, y, out)
        return
    a, b = ((v.astype(np.uint32) << 16).view(np.float32) for v in (x, y))
    out[...] = np.where((b > a) == (a > 0), x + np.uint16(1), x - np.uint16(1))
    out[...] = np.where(a == 0, (y & np.uint16(0x8000)) | np.uint16(1), out)
    out[...] = np.where(a == b, y, out)
    out[...] = np.where(np.isnan(a) | np.isnan(b), np.uint16(0x7FC0), out)
