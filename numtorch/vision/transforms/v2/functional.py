"""Operations on images under the names of torchvision.transforms.v2.functional."""
from __future__ import annotations

from typing import Any

import numpy as np

from .... import Tensor, float32, from_numpy, randn_like
from ..functional import (
    InterpolationMode,
    adjust_brightness,
    adjust_contrast,
    adjust_gamma,
    adjust_hue,
    adjust_saturation,
    adjust_sharpness,
    affine,
    autocontrast,
    center_crop,
    convert_image_dtype,
    crop,
    elastic_transform,
    equalize,
    erase,
    five_crop,
    gaussian_blur,
    get_dimensions,
    get_image_num_channels,
    get_image_size,
    hflip,
    invert,
    normalize,
    pad,
    perspective,
    pil_to_tensor,
    posterize,
    resize,
    resized_crop,
    rgb_to_grayscale,
    rotate,
    solarize,
    ten_crop,
    to_grayscale,
    to_pil_image,
    to_tensor,
    vflip,
)

__all__ = ["InterpolationMode", "adjust_brightness", "adjust_contrast", "adjust_gamma", "adjust_hue",
           "adjust_saturation", "adjust_sharpness", "affine", "autocontrast", "center_crop",
           "convert_image_dtype", "crop", "elastic", "elastic_transform", "equalize", "erase", "five_crop",
           "gaussian_blur", "gaussian_noise", "get_dimensions", "get_image_num_channels", "get_image_size",
           "get_num_channels", "get_size", "grayscale_to_rgb", "hflip", "horizontal_flip", "invert",
           "normalize", "pad", "permute_channels", "perspective", "pil_to_tensor", "posterize", "resize",
           "resized_crop", "rgb_to_grayscale", "rotate", "solarize", "ten_crop", "to_dtype", "to_grayscale",
           "to_image", "to_pil_image", "to_tensor", "vertical_flip", "vflip"]

elastic, get_num_channels, horizontal_flip, vertical_flip = (elastic_transform, get_image_num_channels, hflip,
                                                             vflip)


def get_size(inpt: Any) -> list[int]:
    """Return [height, width]."""
    return get_dimensions(inpt)[1:]


def to_image(inpt: Any) -> Tensor:
    """Make a Pillow image, an array (H, W[, C]) or a tensor a tensor (C, H, W) of the same values."""
    if isinstance(inpt, Tensor):
        return inpt
    if isinstance(inpt, np.ndarray):
        array = inpt[:, :, None] if inpt.ndim == 2 else inpt
        return from_numpy(np.array(array.transpose(2, 0, 1), order="C"))
    return pil_to_tensor(inpt)


def to_dtype(inpt: Tensor, dtype: Any = float32, scale: bool = False) -> Tensor:
    """Convert; with `scale`, the range of an integer dtype corresponds to 0 … 1 of a floating-point one."""
    return convert_image_dtype(inpt, dtype) if scale else inpt.to(dtype)


def grayscale_to_rgb(inpt: Any) -> Any:
    """Three channels of one; colours stay."""
    if not isinstance(inpt, Tensor):
        return inpt if inpt.mode == "RGB" else inpt.convert("RGB")
    return inpt if inpt.shape[-3] >= 3 else inpt.repeat_interleave(3, dim=-3)


def permute_channels(inpt: Any, permutation: list[int]) -> Any:
    """Channels in another order."""
    if not isinstance(inpt, Tensor):
        return to_pil_image(pil_to_tensor(inpt)[permutation])
    return inpt[..., permutation, :, :]


def gaussian_noise(inpt: Tensor, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> Tensor:
    """Add normal noise to a floating-point image; clip: keep 0 … 1."""
    if not inpt.is_floating_point():
        raise ValueError(f"Input tensor is expected to be in float dtype, got dtype={inpt.dtype}")
    if sigma < 0:
        raise ValueError(f"sigma shouldn't be negative. Got {sigma}")
    out = inpt + (mean + randn_like(inpt) * sigma)
    return out.clamp(0, 1) if clip else out
