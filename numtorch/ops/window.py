"""Windows of torch.*_window: weights that taper a signal; `periodic` leaves out the last of length + 1."""
from __future__ import annotations

import math

from .. import dtypes as D
from ..dispatch import unimplemented
from ..memory_format import strided
from .create import arange, empty, ones
from .special import i0


def _window(name: str, length, periodic, weights, dtype, layout, device, requires_grad):
    """weights(k, n): n weights in float64, k = 0, 1, …, n - 1; for n of two or more, one is 1."""
    d = D.get_default_dtype() if dtype is None else dtype
    if layout is not None and layout is not strided:
        raise RuntimeError(f"{name} is not implemented for sparse types, got: {layout}")
    if d.is_complex:
        raise unimplemented("arange_cpu", d)
    if not d.is_floating_point:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {D.TITLES[d.name]}")
    if length < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got window_length={length}")
    if length == 0:
        w = empty((0,), dtype=d, device=device)
    elif length == 1:
        w = ones((1,), dtype=d, device=device)
    else:
        n = length + bool(periodic)
        w = weights(arange(n, dtype=D.float64, device=device), n).narrow(0, 0, length).to(d, copy=True)
    return w.requires_grad_() if requires_grad else w


def _cosines(*a: float):
    """a0 - a1 cos(2πk / (n - 1)) + a2 cos(4πk / (n - 1)) …"""
    def weights(k, n: int):
        w = k * 0 + a[0]
        for i, c in enumerate(a[1:], 1):
            w = w + (k * (2 * math.pi * i / (n - 1))).cos() * (-1) ** i * c
        return w
    return weights


def hann_window(window_length, periodic=True, *, dtype=None, layout=strided, device=None, pin_memory=False,
                requires_grad=False):
    """(1 - cos(2πk / (n - 1))) / 2."""
    return _window("hann_window", window_length, periodic, _cosines(0.5, 0.5), dtype, layout, device,
                   requires_grad)


def hamming_window(window_length, periodic=True, alpha=0.54, beta=0.46, *, dtype=None, layout=strided,
                   device=None, pin_memory=False, requires_grad=False):
    """alpha - beta cos(2πk / (n - 1))."""
    return _window("hamming_window", window_length, periodic, _cosines(alpha, beta), dtype, layout, device,
                   requires_grad)


def blackman_window(window_length, periodic=True, *, dtype=None, layout=strided, device=None,
                    pin_memory=False, requires_grad=False):
    """0.42 - 0.5 cos(2πk / (n - 1)) + 0.08 cos(4πk / (n - 1))."""
    return _window("blackman_window", window_length, periodic, _cosines(0.42, 0.5, 0.08), dtype, layout,
                   device, requires_grad)


def bartlett_window(window_length, periodic=True, *, dtype=None, layout=strided, device=None,
                    pin_memory=False, requires_grad=False):
    """1 - |2k / (n - 1) - 1|."""
    def weights(k, n: int):
        return 1 - (k * (2 / (n - 1)) - 1).abs()
    return _window("bartlett_window", window_length, periodic, weights, dtype, layout, device, requires_grad)


def kaiser_window(window_length, periodic=True, beta=12.0, *, dtype=None, layout=strided, device=None,
                  pin_memory=False, requires_grad=False):
    """I0(beta √(1 - (2k / (n - 1) - 1)²)) / I0(beta)."""
    def weights(k, n: int):
        t = k * (2 / (n - 1)) - 1
        return i0(beta * (1 - t * t).clamp(min=0).sqrt()) / i0(t.new_tensor(float(beta)))
    return _window("kaiser_window", window_length, periodic, weights, dtype, layout, device, requires_grad)


FUNCTIONS = {f.__name__: f for f in (hann_window, hamming_window, blackman_window, bartlett_window,
                                     kaiser_window)}
