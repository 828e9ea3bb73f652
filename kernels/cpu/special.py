"""Special functions that SciPy computes, in double precision, rounded to the type of the result."""
from __future__ import annotations

import numpy as np


def _functions():
    from scipy import special
    return special


def function(out, x, which):
    "out = the SciPy function called `which` of x."
    special, x = _functions(), x.astype(np.float64)
    if which == "airy":
        out[...] = special.airy(x)[0]
    elif which == "spherical_j0":
        out[...] = special.spherical_jn(0, np.abs(x))
    else:
        out[...] = getattr(special, which)(x)


def igamma(out, x, y):
    "P(x, y), the regularised lower incomplete gamma function."
    out[...] = _functions().gammainc(x.astype(np.float64), y.astype(np.float64))


def igammac(out, x, y):
    "Q(x, y), the regularised upper incomplete gamma function."
    out[...] = _functions().gammaincc(x.astype(np.float64), y.astype(np.float64))
