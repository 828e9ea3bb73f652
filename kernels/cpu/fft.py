"""Discrete Fourier transforms on the CPU: NumPy's pocketfft, in the precision of the input."""
from __future__ import annotations

import math

import numpy as np


def _scaled(out, got, scale) -> None:
    np.multiply(got, out.real.dtype.type(scale), out=out)


def complex_to_complex(out, x, dims, forward, scale):
    "out = scale * sum x e^(-+2 pi i j k / n) over dims."
    if forward:
        _scaled(out, np.fft.fftn(x, axes=dims), scale)
    else:
        _scaled(out, np.fft.ifftn(x, axes=dims, norm="forward"), scale)


def real_to_half(out, x, dims, scale):
    "The same of real x: the non-negative frequencies of the last of dims."
    _scaled(out, np.fft.rfftn(x, axes=dims), scale)


def half_to_real(out, x, dims, n, scale):
    "The backward transform of half a spectrum to n real values along the last of dims."
    sizes = [x.shape[d] for d in dims[:-1]] + [n]
    if math.prod(out.shape):
        _scaled(out, np.fft.irfftn(x, sizes, axes=dims, norm="forward"), scale)
