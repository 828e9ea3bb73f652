"""Windows: `M` weights that taper a signal. `sym` False leaves out the last of M + 1, for use with the
FFT."""
from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from .. import dtypes as D
from ..memory_format import strided
from ..ops.create import arange, empty, linspace, ones, tensor
from ..ops.special import i0
from ..tensor import Tensor


def _options(name: str, M: int, dtype, layout) -> D.dtype:
    """The dtype of the window; ValueError where an option cannot be."""
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if layout is not strided:
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    dtype = dtype or D.get_default_dtype()
    if dtype not in (D.float32, D.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    return dtype


def _window(name: str, M: int, values, dtype, layout, device, requires_grad) -> Tensor:
    """values(dtype): the weights of a window of two or more; one is 1, none is empty."""
    d = _options(name, M, dtype, layout)
    if M == 0:
        return empty((0,), dtype=d, device=device, requires_grad=requires_grad)
    w = ones((1,), dtype=d, device=device) if values is None else values(d)
    return w.requires_grad_() if requires_grad else w


def exponential(M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype=None,
                layout=strided, device=None, requires_grad: bool = False) -> Tensor:
    """exp(-|n - center| / tau)."""
    _options("exponential", M, dtype, layout)
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    c = (M if not sym and M > 1 else M - 1) / 2 if center is None else center
    steps = lambda d: linspace(-c / tau, (-c + M - 1) / tau, M, dtype=d, device=device)
    return _window("exponential", M, lambda d: (-steps(d).abs()).exp(), dtype, layout, device, requires_grad)


def cosine(M: int, *, sym: bool = True, dtype=None, layout=strided, device=None,
           requires_grad: bool = False) -> Tensor:
    """sin(pi (n + 1/2) / M)."""
    step = math.pi / max(M + 1 if not sym and M > 1 else M, 1)
    angles = lambda d: linspace(0.5 * step, (M - 0.5) * step, M, dtype=d, device=device)
    return _window("cosine", M, lambda d: angles(d).sin(), dtype, layout, device, requires_grad)


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, dtype=None, layout=strided, device=None,
             requires_grad: bool = False) -> Tensor:
    """exp(-(n / std)^2 / 2), n counted from the middle."""
    _options("gaussian", M, dtype, layout)
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    start, scale = -(M if not sym and M > 1 else M - 1) / 2.0, 1 / (std * math.sqrt(2))

    def values(d):
        k = linspace(start * scale, (start + M - 1) * scale, M, dtype=d, device=device)
        return (-(k * k)).exp()
    return _window("gaussian", M, values, dtype, layout, device, requires_grad)


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, dtype=None, layout=strided, device=None,
           requires_grad: bool = False) -> Tensor:
    """I0(beta sqrt(1 - x^2)) / I0(beta), x from -1 to 1."""
    _options("kaiser", M, dtype, layout)
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")

    def values(d):
        b = tensor(beta, dtype=d, device=device)
        end = min(beta, -beta + (M - 1) * 2.0 * beta / (M if not sym else M - 1))
        k = linspace(-beta, end, M, dtype=d, device=device)
        return i0((b * b - k * k).sqrt()) / i0(b)
    return _window("kaiser", M, None if M == 1 else values, dtype, layout, device, requires_grad)


def bartlett(M: int, *, sym: bool = True, dtype=None, layout=strided, device=None,
             requires_grad: bool = False) -> Tensor:
    """1 - |x|, x from -1 to 1."""
    step = 2 / max(M if not sym else M - 1, 1)
    return _window("bartlett", M, None if M == 1 else lambda d: 1 - linspace(
        -1, -1 + (M - 1) * step, M, dtype=d, device=device).abs(), dtype, layout, device, requires_grad)


def general_cosine(M: int, *, a: Iterable[float], sym: bool = True, dtype=None, layout=strided, device=None,
                   requires_grad: bool = False) -> Tensor:
    """The sum over i of (-1)^i a[i] cos(2 pi i n / (M - 1))."""
    return _cosines("general_cosine", M, a, sym, dtype, layout, device, requires_grad)


def _cosines(name: str, M: int, a: Any, sym: bool, dtype, layout, device, requires_grad) -> Tensor:
    _options(name, M, dtype, layout)
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    a = list(a)
    if not a:
        raise ValueError("Coefficients cannot be empty")

    def values(d):
        k = linspace(0, (M - 1) * 2 * math.pi / (M if not sym else M - 1), M, dtype=d, device=device)
        weights = tensor([(-1) ** i * w for i, w in enumerate(a)], dtype=d, device=device)
        i = arange(len(a), dtype=d, device=device)
        return (weights.unsqueeze(-1) * (i.unsqueeze(-1) * k).cos()).sum(0)
    return _window(name, M, None if M == 1 else values, dtype, layout, device, requires_grad)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, dtype=None, layout=strided, device=None,
                    requires_grad: bool = False) -> Tensor:
    """alpha - (1 - alpha) cos(2 pi n / (M - 1))."""
    return _cosines("general_hamming", M, [alpha, 1.0 - alpha], sym, dtype, layout, device, requires_grad)


def hamming(M: int, *, sym: bool = True, dtype=None, layout=strided, device=None,
            requires_grad: bool = False) -> Tensor:
    """0.54 - 0.46 cos(2 pi n / (M - 1))."""
    return _cosines("hamming", M, [0.54, 0.46], sym, dtype, layout, device, requires_grad)


def hann(M: int, *, sym: bool = True, dtype=None, layout=strided, device=None,
         requires_grad: bool = False) -> Tensor:
    """sin(pi n / (M - 1))^2."""
    return _cosines("hann", M, [0.5, 0.5], sym, dtype, layout, device, requires_grad)


def blackman(M: int, *, sym: bool = True, dtype=None, layout=strided, device=None,
             requires_grad: bool = False) -> Tensor:
    """0.42 - 0.5 cos(2 pi n / (M - 1)) + 0.08 cos(4 pi n / (M - 1))."""
    return _cosines("blackman", M, [0.42, 0.5, 0.08], sym, dtype, layout, device, requires_grad)


def nuttall(M: int, *, sym: bool = True, dtype=None, layout=strided, device=None,
            requires_grad: bool = False) -> Tensor:
    """Nuttall's minimum 4-term window: a sum of cosines with weights 0.3635819, 0.4891775, 0.1365995,
    0.0106411."""
    return _cosines("nuttall", M, [0.3635819, 0.4891775, 0.1365995, 0.0106411], sym, dtype, layout, device,
                    requires_grad)
