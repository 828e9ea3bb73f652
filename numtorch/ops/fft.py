"""Discrete Fourier transforms: torch.fft, stft, istft.

Three primitives, each scale * sum x e^(-+2 pi i jk / n) over `dims`: complex to complex, real to half a
spectrum, half a spectrum to real."""
from __future__ import annotations

import math

from .. import dtypes as D
from ..dispatch import TITLES, Meta, into, wrap_dim
from ..kinds import composite, opaque
from ..kinds.batching import whole
from ..layouts import permuted
from .create import arange, ones, zeros
from .join import cat, roll
from .pointwise import conj, where


def _sorted_by_stride(x, dims):
    return sorted(dims, key=lambda d: -x.strides[d])


def _order(x, shape, dims):
    """The transformed dimensions innermost, in the order of `dims`; the others by their strides in x."""
    batch = _sorted_by_stride(x, [d for d in range(len(shape)) if d not in dims])
    return permuted(tuple(shape), [*batch, *dims])


def _spectrum(args, shape):
    x, dims = args["x"].layout, args["dims"]
    return _order(x, shape, _sorted_by_stride(x, dims))


def _half_spectrum(args, shape):
    x, dims = args["x"].layout, args["dims"]
    return _order(x, shape, [*_sorted_by_stride(x, dims[:-1]), dims[-1]])


def _from_half_spectrum(args, shape):
    x, dims = args["x"].layout, args["dims"]
    if len(dims) > 1:
        x = _order(x, x.shape, _sorted_by_stride(x, dims[:-1]))
    return _order(x, shape, dims[-1:])


def _real_input_gradient(g, x_meta, dims, scale):
    "The adjoint of real_to_half: the spectrum padded with zeros, transformed back, its real part."
    last, n = dims[-1], x_meta.shape[dims[-1]]
    return complex_to_complex(_resized(g, last, n), dims, False, scale).real


@opaque(memory=_spectrum, strided=True, at=(),
        vjp={"x": lambda g, dims, forward, scale: complex_to_complex(g, dims, not forward, scale)})
def complex_to_complex(x, dims, forward, scale):
    "The transform of complex x over `dims`, with e^-i forward and e^+i backward, times `scale`."
    return Meta(x.shape, x.dtype)


@opaque(memory=_half_spectrum, strided=True, at=(), vjp={"x": _real_input_gradient})
def real_to_half(x, dims, scale):
    "The forward transform of real x over `dims`: n // 2 + 1 entries of the last of them, the others follow."
    shape = list(x.shape)
    shape[dims[-1]] = shape[dims[-1]] // 2 + 1
    return Meta(tuple(shape), x.dtype.to_complex())


def _half_input_gradient(g, dims, n, scale):
    "The adjoint of half_to_real: entries that stand for two of the full spectrum count twice."
    out, last = real_to_half(g, dims, scale), dims[-1]
    k = arange(out.shape[last], device=g.device)
    twice = where((k == 0) | (2 * k == n), 1.0, 2.0).to(g.dtype)
    return out * twice.reshape([-1 if d == last else 1 for d in range(out.ndim)])


@opaque(memory=_from_half_spectrum, strided=True, at=(), vjp={"x": _half_input_gradient})
def half_to_real(x, dims, n, scale):
    "The backward transform of half a spectrum over `dims` to n real values along the last of them."
    shape = list(x.shape)
    shape[dims[-1]] = n
    return Meta(tuple(shape), x.dtype.to_real())


def _resized(x, dim: int, n: int):
    "x cut or padded with zeros to n entries along `dim`."
    have = x.shape[dim]
    if have >= n:
        return x.narrow(dim, 0, n) if have > n else x
    shape = list(x.shape)
    shape[dim] = n - have
    return cat([x, zeros(shape, dtype=x.dtype, device=x.device)], dim)


def _floating(name: str, x, to_complex: bool):
    "x in the type of its transform."
    d = x.dtype
    if d.category == D.FLOAT and d.itemsize == 2:
        raise RuntimeError(f"Unsupported dtype {TITLES[d.name]}")
    if d.category < D.FLOAT:
        d = D.get_default_dtype()
    return x.to(d.to_complex() if to_complex else d)


def _real(name: str, x):
    if x.dtype.is_complex:
        raise RuntimeError(f"{name} expects a real input tensor, but got {TITLES[x.dtype.name]}")
    return _floating(name, x, False)


def _scale(norm, n: int, forward: bool) -> float:
    "The factor of a transform of n entries in all."
    if norm not in (None, "backward", "forward", "ortho"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if norm == "ortho":
        return 1 / math.sqrt(n)
    return 1 / n if (norm == "forward") == forward else 1.0


def _length(n: int) -> int:
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return n


def _one(name: str, x, n, dim: int) -> tuple[int, int]:
    "(dimension, length) of a transform along one dimension."
    dim = wrap_dim(dim, x.ndim)
    return dim, _length(x.shape[dim] if x.ndim and n is None else 1 if n is None else n)


def _many(name: str, x, s, dim, last_doubles: bool = False) -> tuple[tuple[int, ...], list[int]]:
    "(dimensions, lengths) of a transform along several."
    if dim is None:
        dims = list(range(x.ndim)) if s is None else list(range(x.ndim - len(s), x.ndim))
        if s is not None and len(s) > x.ndim:
            raise RuntimeError(f"Got shape with {len(s)} values but input tensor only has {x.ndim} "
                               "dimensions.")
    else:
        dims = [wrap_dim(d, x.ndim) for d in ([dim] if isinstance(dim, int) else dim)]
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
        if s is not None and len(s) != len(dims):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    if s is None:
        lengths = [x.shape[d] for d in dims]
        if last_doubles and dims:
            lengths[-1] = 2 * (lengths[-1] - 1)
    else:
        lengths = [x.shape[d] if n == -1 else n for d, n in zip(dims, s)]
        if last_doubles and s and s[-1] == -1:
            lengths[-1] = 2 * (x.shape[dims[-1]] - 1)
    return tuple(dims), [_length(n) for n in lengths]


def _to_complex(name: str, x, dims, lengths, norm, forward: bool):
    x = _floating(name, x, True)
    if not dims:
        return x.clone()
    for d, n in zip(dims, lengths):
        x = _resized(x, d, n)
    return complex_to_complex(x, dims, forward, _scale(norm, math.prod(lengths), forward))


def _to_half(name: str, x, dims, lengths, norm, forward: bool):
    x = _real(name, x)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    for d, n in zip(dims, lengths):
        x = _resized(x, d, n)
    scale = _scale(norm, math.prod(lengths), forward)
    if forward:
        return real_to_half(x, dims, scale)
    out = conj(real_to_half(x, dims[-1:], scale))
    return complex_to_complex(out, dims[:-1], False, 1.0) if len(dims) > 1 else out


def _from_half(name: str, x, dims, lengths, norm, forward: bool):
    x = _floating(name, x, True)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    for d, n in zip(dims, [*lengths[:-1], lengths[-1] // 2 + 1]):
        x = _resized(x, d, n)
    scale = _scale(norm, math.prod(lengths), forward)
    return half_to_real(conj(x) if forward else x, dims, lengths[-1], scale)


def _family(letters: str, transform, forward: bool, what: str) -> dict:
    "The transforms over one, two and n dimensions of one kind."
    doubles = transform is _from_half

    def one(input, n=None, dim=-1, norm=None, *, out=None):
        d = wrap_dim(dim, input.ndim)
        if n is None and doubles:
            n = 2 * (input.shape[d] - 1)
        d, n = _one(letters, input, n, d)
        got = transform(letters, input, (d,), [n], norm, forward)
        return got if out is None else into(out, got)

    def many(input, s=None, dim=None, norm=None, *, out=None):
        got = transform(letters + "n", input, *_many(letters + "n", input, s, dim, doubles), norm, forward)
        return got if out is None else into(out, got)

    def two(input, s=None, dim=(-2, -1), norm=None, *, out=None):
        return many(input, s, dim, norm, out=out)
    for f, name, where_ in ((one, letters, "along "
                                           "`dim`"), (two, letters + "2", "along the two dimensions `dim`"),
                            (many, letters + "n", "along `dim`, all if None")):
        f.__name__ = f.__qualname__ = f"fft_{name}"
        f.__doc__ = f"{what} {where_}; cut or padded to {'`n`' if f is one else '`s`'} entries."
    return {letters: one, letters + "2": two, letters + "n": many}


FFT = {
    **_family("fft", _to_complex, True, "The discrete Fourier transform"),
    **_family("ifft", _to_complex, False, "The inverse discrete Fourier transform"),
    **_family("rfft", _to_half, True, "The transform of real input: its non-negative frequencies"),
    **_family("irfft", _from_half, False, "The real inverse transform of non-negative frequencies"),
    **_family("hfft", _from_half, True, "The real transform of a Hermitian signal's half"),
    **_family("ihfft", _to_half, False, "The half of the inverse transform of real input")}


def fftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    "The frequencies of the entries of fft for n samples `d` apart: 0, 1, …, -1, over n d."
    k = arange(n, dtype=dtype or D.get_default_dtype(), device=device)
    k = where(k >= (n + 1) // 2, k - n, k) * (1.0 / (n * d))
    k = k.requires_grad_() if requires_grad else k
    return k if out is None else into(out, k)


def rfftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    "The frequencies of the entries of rfft for n samples `d` apart: 0, 1, …, n // 2, over n d."
    k = arange(n // 2 + 1, dtype=dtype or D.get_default_dtype(), device=device) * (1.0 / (n * d))
    k = k.requires_grad_() if requires_grad else k
    return k if out is None else into(out, k)


@composite(name="fft_fftshift", at=())
def fftshift(x, dim=None):
    "Move frequency 0 to the middle of the dimensions."
    dims = list(range(x.ndim)) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    return roll(x, [x.shape[d] // 2 for d in dims], dims) if dims else x.clone()


@composite(name="fft_ifftshift", at=())
def ifftshift(x, dim=None):
    "Undo fftshift."
    dims = list(range(x.ndim)) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    return roll(x, [(x.shape[d] + 1) // 2 for d in dims], dims) if dims else x.clone()


FFT.update(fftshift=fftshift, ifftshift=ifftshift, fftfreq=fftfreq, rfftfreq=rfftfreq)


# -------------------------------------------------------------------------------------- short-time transforms
def _framing(name: str, x, window, n_fft: int, hop_length, win_length) -> tuple:
    "(window of n_fft weights, hop) with the defaults filled in and checked."
    hop = n_fft // 4 if hop_length is None else hop_length
    width = n_fft if win_length is None else win_length
    if hop <= 0:
        raise RuntimeError(f"{name}: expected hop_length > 0, but got hop_length={hop}")
    if width <= 0 or width > n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft, but got win_length={width}")
    if window is not None and (window.ndim != 1 or window.shape[0] != width):
        raise RuntimeError(f"{name}: expected a 1D window tensor of size equal to win_length={width}, but "
                           f"got window with size {list(window.shape)}")
    if window is None:
        window = ones(width, dtype=x.dtype.to_real(), device=x.device)
    left = (n_fft - width) // 2
    if width < n_fft:
        sides = [zeros(n, dtype=window.dtype, device=window.device) for n in (left, n_fft - width - left)]
        window = cat([sides[0], window, sides[1]], 0)
    return window, hop


@composite
def stft(x, n_fft, hop_length=None, win_length=None, window=None, center=True, pad_mode="reflect",
         normalized=False, onesided=None, return_complex=None, align_to_window=None):
    "The transforms of overlapping frames of n_fft samples, `hop_length` apart: (…, frequency, frame)."
    if not (x.dtype.is_floating_point or x.dtype.is_complex):
        raise RuntimeError(f"stft({TITLES[x.dtype.name]}[{list(x.shape)}]...): expected a tensor of floating "
                           "point or complex values")
    if x.ndim not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor, but got {x.ndim}D tensor")
    complex_in = x.dtype.is_complex or (window is not None and window.dtype.is_complex)
    if return_complex is None:
        if not complex_in:
            raise RuntimeError("stft requires the return_complex parameter be given for real inputs, and "
                               "will further require that return_complex=True in a future PyTorch release.")
        return_complex = True
    batched = x.ndim == 2
    signal = x if batched else x.unsqueeze(0)
    if center:
        from .padding import pad
        signal = pad(signal.unsqueeze(1), [n_fft // 2, n_fft // 2], mode=pad_mode).squeeze(1)
    size = signal.shape[-1]
    if n_fft <= 0 or n_fft > size:
        raise RuntimeError(f"stft({TITLES[x.dtype.name]}{list(x.shape)}, n_fft={n_fft}): expected 0 < n_fft "
                           f"< {size}, but got n_fft={n_fft}")
    window, hop = _framing("stft", x, window, n_fft, hop_length, win_length)
    frames = signal.unfold(-1, n_fft, hop) * window
    onesided = not complex_in if onesided is None else onesided
    if onesided and complex_in:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    norm = "ortho" if normalized else None
    out = (FFT["rfft"] if onesided else FFT["fft"])(frames, norm=norm).transpose(1, 2)
    out = out if batched else out.squeeze(0)
    if return_complex:
        return out
    from .view import view_as_real
    return view_as_real(out)


@composite
def istft(x, n_fft, hop_length=None, win_length=None, window=None, center=True, normalized=False,
          onesided=None, length=None, return_complex=False):
    "The signal whose stft is nearest x: overlapping frames added, over the sum of the squared windows."
    if not x.dtype.is_complex:
        raise RuntimeError("istft requires a complex-valued input tensor matching the output from stft with "
                           "return_complex=True.")
    if x.layout.numel == 0:
        raise RuntimeError("istft input tensor cannot be empty.")
    if x.ndim not in (2, 3):
        raise RuntimeError(f"istft expects a tensor with 2 or 3 dimensions, but got {x.ndim}D tensor.")
    if onesided and (return_complex or (window is not None and window.dtype.is_complex)):
        raise RuntimeError("complex windows are incompatible with onesided=True")
    onesided = x.shape[-2] != n_fft if onesided is None else onesided
    if x.shape[-2] != (n_fft // 2 + 1 if onesided else n_fft):
        raise RuntimeError("istft: expected the frequency dimension (3rd to the last) of the input tensor to "
                           f"match n_fft {'/ 2 + 1 ' if onesided else ''}when onesided={onesided}, but got "
                           f"{x.shape[-2]}")
    if not (hop_length is None or 0 < hop_length <= (win_length or n_fft)):
        raise RuntimeError("istft: expected 0 < hop_length <= win_length")
    window, hop = _framing("istft", x, window, n_fft, hop_length, win_length)
    norm = "ortho" if normalized else None
    spectrum = (x if x.ndim == 3 else x.unsqueeze(0)).transpose(1, 2)
    if return_complex:
        frames = FFT["ifft"](spectrum, norm=norm)
    else:
        frames = FFT["irfft"](spectrum if onesided else spectrum.narrow(-1, 0, n_fft // 2 + 1), n_fft,
                              norm=norm)
    frames = frames * window
    count = frames.shape[1]
    total = n_fft + hop * (count - 1)
    places = (arange(count, device=x.device) * hop).unsqueeze(1) + arange(n_fft, device=x.device)
    places = places.reshape(-1)
    y = zeros((frames.shape[0], total), dtype=frames.dtype, device=x.device)
    y = y.index_add(1, places, frames.reshape(frames.shape[0], -1))
    power = (window * window).expand(count, n_fft).reshape(-1)
    weight = zeros(total, dtype=power.dtype, device=x.device).index_add(0, places, power)
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else total - (n_fft // 2 if center else 0)
    stop = min(end, total)
    y, weight = y.narrow(1, start, stop - start), weight.narrow(0, start, stop - start)
    if not bool((whole(weight).abs() > 1e-11).all()):
        raise RuntimeError(f"istft({TITLES[x.dtype.name]}{list(x.shape)}, ...): window overlap add min: 1")
    y = y / weight
    if end > total:
        y = cat([y, zeros((y.shape[0], end - total), dtype=y.dtype, device=x.device)], 1)
    return y if x.ndim == 3 else y.squeeze(0)


