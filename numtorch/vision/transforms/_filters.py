"""Images sharpened, blurred, their tones changed."""
from __future__ import annotations

from typing import Any

import numpy as np

from ... import Tensor, bincount, empty_like, float32, from_numpy, linspace, ones, stack, uint8, where
from ...nn import functional as F
from .functional import (
    _blend,
    _bound,
    _enhance,
    _factor,
    _need_image,
    invert,
    pil_to_tensor,
    to_pil_image,
)


def _convolved(img: Tensor, kernel: Tensor) -> Tensor:
    "Each plane of a floating-point image with `kernel` (h, w), without padding."
    x = img.reshape(-1, *img.shape[-3:])
    k = kernel.expand(x.shape[-3], 1, *kernel.shape)
    out = F.conv2d(x, k, groups=x.shape[-3])
    return out.reshape(*img.shape[:-2], *out.shape[-2:])


def _bell(size: int, sigma: float, like: Tensor) -> Tensor:
    "Weights of a Gaussian at `size` places, of sum one."
    half = (size - 1) * 0.5
    pdf = (-0.5 * (linspace(-half, half, size, dtype=like.dtype, device=like.device) / sigma) ** 2).exp()
    return pdf / pdf.sum()


def gaussian_blur(img: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """Weighted means over kernel_size (width, height), odd; sigma 0.15 kernel_size + 0.35 by default."""
    if not isinstance(kernel_size, (int, list, tuple)):
        raise TypeError(f"kernel_size should be int or a sequence of integers. Got {type(kernel_size)}")
    sizes = [kernel_size] * 2 if isinstance(kernel_size, int) else list(kernel_size)
    if len(sizes) != 2:
        raise ValueError(f"If kernel_size is a sequence its length should be 2. Got {len(sizes)}")
    for k in sizes:
        if k % 2 == 0 or k < 0:
            raise ValueError(f"kernel_size should have odd and positive integers. Got {sizes}")
    if sigma is None:
        sigma = [k * 0.15 + 0.35 for k in sizes]
    elif not isinstance(sigma, (int, float, list, tuple)):
        raise TypeError(f"sigma should be either float or sequence of floats. Got {type(sigma)}")
    sigmas = [float(s) for s in (sigma if isinstance(sigma, (list, tuple)) else [sigma])]
    sigmas = sigmas * 2 if len(sigmas) == 1 else sigmas
    if len(sigmas) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(sigmas)}")
    for s in sigmas:
        if s <= 0.0:
            raise ValueError(f"sigma should have positive values. Got {sigmas}")
    x = img if isinstance(img, Tensor) else pil_to_tensor(img)
    work = x if x.is_floating_point() else x.to(float32)
    column, row = _bell(sizes[1], sigmas[1], work), _bell(sizes[0], sigmas[0], work)
    kernel = column[:, None] * row[None, :]
    flat = work.reshape(-1, *work.shape[-3:])
    padded = F.pad(flat, [sizes[0] // 2, sizes[0] // 2, sizes[1] // 2, sizes[1] // 2], mode="reflect")
    out = _convolved(padded, kernel).reshape(x.shape)
    if not x.is_floating_point():
        out = out.round().to(x.dtype)
    return out if isinstance(img, Tensor) else to_pil_image(out, mode=img.mode)


def _ops(img: Any, name: str, *args: Any) -> Any:
    from .._pillow import pillow
    _need_image(img)
    return getattr(pillow("ImageOps"), name)(img, *args)


def posterize(img: Any, bits: int) -> Any:
    """Keep the `bits` highest bits of each value."""
    if not 0 <= bits <= 8:
        raise ValueError(f"The number if bits should be between 0 and 8. Got {bits}")
    if not isinstance(img, Tensor):
        return _ops(img, "posterize", bits)
    if img.dtype != uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")
    return img & (256 - (1 << (8 - bits)))


def solarize(img: Any, threshold: float) -> Any:
    """Invert values that are not below the threshold."""
    if not isinstance(img, Tensor):
        return _ops(img, "solarize", threshold)
    if threshold > _bound(img.dtype):
        raise TypeError("Threshold should be less than bound of img.")
    return where(img >= threshold, invert(img), img)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """0 is smoothed, 1 the image itself, 2 twice as sharp."""
    if not isinstance(img, Tensor):
        return _enhance(img, "Sharpness", sharpness_factor)
    _factor("sharpness_factor", sharpness_factor)
    if img.shape[-1] <= 2 or img.shape[-2] <= 2:
        return img
    work = img if img.is_floating_point() else img.to(float32)
    kernel = ones(3, 3, dtype=work.dtype, device=img.device)
    kernel[1, 1] = 5.0
    smooth = _convolved(work, kernel / kernel.sum())
    blurred = img.clone()  # the border stays
    blurred[..., 1:-1, 1:-1] = smooth if img.is_floating_point() else smooth.round().to(img.dtype)
    return _blend(img, blurred, sharpness_factor)


def autocontrast(img: Any) -> Any:
    """Spread the values of each channel over the whole range."""
    if not isinstance(img, Tensor):
        return _ops(img, "autocontrast")
    top = _bound(img.dtype)
    x = img if img.is_floating_point() else img.to(float32)
    low, high = x.amin(dim=(-2, -1), keepdim=True), x.amax(dim=(-2, -1), keepdim=True)
    flat = high == low
    scale = top / where(flat, top, high - low)
    return ((x - where(flat, 0.0, low)) * scale).clamp(0, top).to(img.dtype)


def equalize(img: Any) -> Any:
    """Make every value of a channel about as frequent as any other."""
    if not isinstance(img, Tensor):
        return _ops(img, "equalize")
    if img.dtype != uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")
    planes = img.reshape(-1, *img.shape[-2:])
    return stack([_equalized(p) for p in planes]).reshape(img.shape) if len(planes) else empty_like(img)


def _equalized(plane: Tensor) -> Tensor:
    counts = bincount(plane.flatten().int(), minlength=256).cpu().numpy()
    used = counts[counts != 0]
    step = int(used[:-1].sum()) // 255
    if step == 0:
        return plane
    table = (np.cumsum(counts) + step // 2) // step
    table = np.concatenate([[0], table[:-1]]).clip(0, 255).astype(np.uint8)
    return from_numpy(table[plane.cpu().numpy()]).to(plane.device)
