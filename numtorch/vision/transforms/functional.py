"""Operations on images.

An image is a Pillow image or a tensor (…, C, H, W). Pillow does the work on its own images.
"""
from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np

from ... import (
    Tensor,
    as_tensor,
    bfloat16,
    cat,
    float32,
    from_numpy,
    get_default_dtype,
    iinfo,
    linspace,
    ones_like,
    stack,
    tensor,
    uint8,
    where,
)
from ...nn import functional as F
from .._pillow import is_image, pillow

__all__ = ["InterpolationMode", "adjust_sharpness", "affine", "autocontrast", "elastic_transform", "equalize",
           "gaussian_blur", "perspective", "posterize", "solarize",
           "adjust_brightness", "adjust_contrast", "adjust_gamma", "adjust_hue",
           "adjust_saturation", "center_crop", "convert_image_dtype", "crop", "erase", "five_crop",
           "get_dimensions", "get_image_num_channels", "get_image_size", "hflip", "invert", "normalize",
           "pad", "pil_to_tensor", "resize", "resized_crop", "rgb_to_grayscale", "rotate", "ten_crop",
           "to_grayscale", "to_pil_image", "to_tensor", "vflip"]


class InterpolationMode(Enum):
    """How values between pixels are found."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


# Pillow's numbers of its filters.
_PILLOW = {"nearest": 0, "nearest-exact": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4,
           "hamming": 5}
_BY_NUMBER = {0: InterpolationMode.NEAREST, 1: InterpolationMode.LANCZOS, 2: InterpolationMode.BILINEAR,
              3: InterpolationMode.BICUBIC, 4: InterpolationMode.BOX, 5: InterpolationMode.HAMMING}


def _mode(interpolation: Any) -> InterpolationMode:
    if isinstance(interpolation, int) and not isinstance(interpolation, bool):
        return _BY_NUMBER[int(interpolation)]
    if not isinstance(interpolation, InterpolationMode):
        raise TypeError("Argument interpolation should be a InterpolationMode or a corresponding Pillow "
                        "integer constant")
    return interpolation


def _is_tensor_image(img: Any) -> bool:
    return isinstance(img, Tensor) and img.ndim >= 2


def _need_image(img: Any) -> None:
    if not is_image(img):
        raise TypeError(f"img should be PIL Image. Got {type(img)}")


# ---- what an image is

def get_dimensions(img: Any) -> list[int]:
    """Return [channels, height, width]."""
    if isinstance(img, Tensor):
        return [1 if img.ndim == 2 else img.shape[-3], *img.shape[-2:]]
    if not is_image(img):
        raise TypeError(f"Unexpected type {type(img)}")
    return [len(img.getbands()), img.height, img.width]


def get_image_size(img: Any) -> list[int]:
    """Return [width, height]."""
    return get_dimensions(img)[:0:-1]


def get_image_num_channels(img: Any) -> int:
    """Return the number of channels."""
    return get_dimensions(img)[0]


# ---- between kinds

def _pixels(pic: Any) -> np.ndarray:
    "The pixels of a Pillow image, (H, W) or (H, W, C); bilevel images as 0 and 255."
    kind = {"I": np.int32, "I;16": np.int16, "I;16B": np.int16, "F": np.float32}.get(pic.mode, np.uint8)
    array = np.array(pic, kind)
    return array * np.uint8(255) if pic.mode == "1" else array


def to_tensor(pic: Any) -> Tensor:
    """Make an image or array (H, W) or (H, W, C) a tensor (C, H, W); uint8 values 0 … 255 become 0 … 1.

    Other dtypes keep their values. Errors: TypeError for what is neither, ValueError for other shapes.
    """
    if isinstance(pic, np.ndarray):
        array = pic
        if array.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {array.ndim} dimensions.")
    elif is_image(pic):
        array = _pixels(pic)
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    planes = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    return parts_of_255(planes) if array.dtype == np.uint8 else from_numpy(np.array(planes, order="C"))


def parts_of_255(array: np.ndarray) -> Tensor:
    """array / 255 in the default dtype, contiguous, each quotient correctly rounded."""
    dtype = get_default_dtype()
    if dtype == float32:  # cast and division in one pass
        return from_numpy(np.divide(array, np.float32(255), dtype=np.float32, order="C"))
    return from_numpy(np.array(array, order="C")).to(dtype).div_(255)


def pil_to_tensor(pic: Any) -> Tensor:
    """Make a Pillow image a tensor (C, H, W) of the same values and dtype."""
    if not is_image(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    array = np.array(pic)
    return from_numpy(np.array(array[None] if array.ndim == 2 else array.transpose(2, 0, 1), order="C"))


def convert_image_dtype(image: Tensor, dtype: Any = float32) -> Tensor:
    """Convert, scaling values: the range of an integer dtype corresponds to 0 … 1 of a floating-point one."""
    if not isinstance(image, Tensor):
        raise TypeError("Input img should be Tensor Image")
    if image.dtype == dtype:
        return image
    if image.is_floating_point():
        if dtype.is_floating_point:
            return image.to(dtype)
        # A float32 cannot hold the largest int32, nor a float64 the largest int64.
        wide = {2: 2, 4: 2, 8: 4}[image.dtype.itemsize] if image.dtype != bfloat16 else 1
        if iinfo(dtype).bits // 8 > wide:
            raise RuntimeError(f"The cast from {image.dtype} to {dtype} cannot be performed safely.")
        return image.mul(iinfo(dtype).max + 1.0 - 1e-3).to(dtype)
    top = iinfo(image.dtype).max
    if dtype.is_floating_point:
        return image.to(dtype) / top
    to = iinfo(dtype).max
    if top > to:
        return (image // ((top + 1) // (to + 1))).to(dtype)
    return image.to(dtype) * ((to + 1) // (top + 1))


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """Make a tensor (C, H, W) or array (H, W, C) a Pillow image; floating-point values 0 … 1 become 0 …
    255."""
    if not isinstance(pic, (Tensor, np.ndarray)):
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if pic.ndim not in (2, 3):
        raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
    if isinstance(pic, Tensor):
        planes = pic if pic.ndim == 3 else pic.unsqueeze(0)
        if planes.shape[-3] > 4:
            raise ValueError(f"pic should not have > 4 channels. Got {planes.shape[-3]} channels.")
        if planes.is_floating_point() and mode != "F":
            planes = planes.mul(255).byte()
        array = planes.cpu().numpy().transpose(1, 2, 0)
    else:
        array = pic if pic.ndim == 3 else pic[:, :, None]
        if array.shape[-1] > 4:
            raise ValueError(f"pic should not have > 4 channels. Got {array.shape[-1]} channels.")
        if array.dtype.kind == "f" and mode != "F":
            array = (array * 255).astype(np.uint8)
    channels = array.shape[2]
    if channels == 1:
        array = array[:, :, 0]
        known = {"u1": "L", "i2": "I;16", "i4": "I", "f4": "F"}.get(array.dtype.str[1:])
        if mode is not None and mode != known:
            raise ValueError(f"Incorrect mode ({mode}) supplied for input type {array.dtype}. Should be "
                             f"{known}")
        mode = known
    else:
        allowed = {2: ["LA"], 3: ["RGB", "YCbCr", "HSV", "LAB"], 4: ["RGBA", "CMYK", "RGBX"]}[channels]
        if mode is not None and mode not in allowed:
            raise ValueError(f"Only modes {allowed} are supported for {channels}D inputs")
        mode = mode or (allowed[0] if array.dtype == np.uint8 else None)
    if mode is None:
        raise TypeError(f"Input type {array.dtype} is not supported")
    image = pillow()
    array = np.ascontiguousarray(array)
    if mode in ("L", "I", "I;16", "F", "LA", "RGB", "RGBA"):
        return image.fromarray(array)
    size = (array.shape[1], array.shape[0])
    return image.frombuffer(mode, size, array.tobytes(), "raw", mode, 0, 1)


def normalize(tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Tensor:
    """(tensor - mean) / std, channel by channel."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    if not tensor.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if tensor.ndim < 3:
        raise ValueError("Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = "
                         f"{tensor.size()}")
    center, scale = channels(mean, tensor), channels(std, tensor)
    if (scale == 0).any():
        raise ValueError(f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by "
                         "zero.")
    # More values than channels: the in-place form refuses.
    wide = max(center.numel(), scale.numel()) > tensor.shape[-3]
    return (tensor.sub_(center) if inplace or wide else tensor.sub(center)).div_(scale)


def channels(values: Any, like: Tensor) -> Tensor:
    """Make a sequence, one value a channel, broadcast over images such as `like`."""
    t = as_tensor(values, dtype=like.dtype, device=like.device)
    return t.view(-1, 1, 1) if t.ndim == 1 else t


# ---- geometry

def _target(img: Any, size: Sequence[int], max_size: int | None) -> tuple[int, int]:
    "The height and width that `resize` gives."
    _, height, width = get_dimensions(img)
    if len(size) == 2:
        return size[0], size[1]
    short, long = sorted((height, width))
    new_short, new_long = size[0], int(size[0] * long / short)
    if max_size is not None:
        if max_size <= size[0]:
            raise ValueError(f"max_size = {max_size} must be strictly greater than the requested size for "
                             f"the smaller edge size = {size}")
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return (new_long, new_short) if width <= height else (new_short, new_long)


def resize(img: Any, size: Any, interpolation: Any = InterpolationMode.BILINEAR, max_size: int | None = None,
           antialias: bool | None = True) -> Any:
    """Resize to (height, width), or so that the shorter side is `size` and the longer at most max_size."""
    mode = _mode(interpolation).value
    size = [size] if isinstance(size, int) else list(size)
    if len(size) not in (1, 2):
        raise ValueError(f"Size must be an int or a 1 or 2 element tuple/list, not a {len(size)} element "
                         "tuple/list")
    if max_size is not None and len(size) != 1:
        raise ValueError("max_size should only be passed if size specifies the length of the smaller edge, "
                         "i.e. size should be an int or a sequence of length 1 in torchscript mode.")
    height, width = _target(img, size, max_size)
    if [height, width] == get_dimensions(img)[1:]:
        return img
    if not isinstance(img, Tensor):
        return img.resize((width, height), _PILLOW[mode])
    if mode not in ("nearest", "nearest-exact", "bilinear", "bicubic"):
        raise ValueError("This interpolation mode is unsupported with Tensor input")
    lead = img.shape[:-3]
    x = img.reshape(-1, *img.shape[-3:])
    exact = x.dtype if not x.is_floating_point() else None
    if exact is not None:
        x = x.to(float32)
    smooth = {"align_corners": False} if mode in ("bilinear", "bicubic") else {}
    if smooth and antialias:
        smooth["antialias"] = True
    x = F.interpolate(x, size=[height, width], mode=mode, **smooth)
    if exact is not None:
        if mode == "bicubic" and exact == uint8:
            x = x.clamp(0, 255)
        x = x.round().to(exact)
    return x.reshape(*lead, *x.shape[-3:])


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """Add a border. padding: one number, (left/right, top/bottom), or (left, top, right, bottom)."""
    if not isinstance(padding, (numbers.Number, tuple, list)):
        raise TypeError("Got inappropriate padding arg")
    sides: list[Any] = [padding] if isinstance(padding, numbers.Number) else list(padding)
    if len(sides) not in (1, 2, 4):
        raise ValueError(f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(sides)} element "
                         "tuple")
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    left, top, right, bottom = (sides * 4)[:4]
    if isinstance(img, Tensor):
        if padding_mode == "symmetric":
            _, height, width = get_dimensions(img)
            ys = np.pad(np.arange(height), (top, bottom), "symmetric")
            xs = np.pad(np.arange(width), (left, right), "symmetric")
            return img.index_select(-2, from_numpy(ys)).index_select(-1, from_numpy(xs))
        if padding_mode == "constant":
            if not isinstance(fill, (int, float)):
                raise TypeError("Got inappropriate fill arg")
            return F.pad(img, [left, right, top, bottom], mode="constant", value=float(fill))
        x = img.unsqueeze(0) if img.ndim < 4 else img
        x = F.pad(x, [left, right, top, bottom], mode="replicate" if padding_mode == "edge" else "reflect")
        return x.squeeze(0) if img.ndim < 4 else x
    _need_image(img)
    if padding_mode == "constant":
        out = pillow("ImageOps").expand(img, border=(left, top, right, bottom), fill=_fill(img, fill))
        if img.mode == "P":
            out.putpalette(img.getpalette())
        return out
    array = np.asarray(img)
    edges = ((max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0)), (0, 0))[:array.ndim]
    return pillow().fromarray(np.pad(array, edges, padding_mode))  # type: ignore[call-overload]


def _fill(img: Any, fill: Any) -> Any:
    "A fill value in Pillow's form: one number, or a tuple with one a channel."
    bands = len(img.getbands())
    if isinstance(fill, (int, float)) and bands > 1:
        return (fill,) * bands
    if isinstance(fill, (list, tuple)):
        fill = tuple(fill)
        if len(fill) == 1 and bands > 1:
            return fill * bands
        if len(fill) != bands:
            raise ValueError("The number of elements in 'fill' does not match the number of channels of the "
                             f"image ({len(fill)} != {bands})")
        return fill[0] if bands == 1 and len(fill) == 1 else fill
    return fill


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """Cut out a rectangle; what lies outside of the image is zero."""
    if not isinstance(img, Tensor):
        _need_image(img)
        return img.crop((left, top, left + width, top + height))
    _, h, w = get_dimensions(img)
    right, bottom = left + width, top + height
    inner = img[..., max(top, 0):bottom, max(left, 0):right]
    if left < 0 or top < 0 or right > w or bottom > h:
        return F.pad(inner, [max(min(right, 0) - left, 0), max(right - max(w, left), 0),
                             max(min(bottom, 0) - top, 0), max(bottom - max(h, top), 0)])
    return inner


def center_crop(img: Any, output_size: Any) -> Any:
    """Cut out the middle (height, width); a smaller image is padded with zeros."""
    size: list[Any] = [output_size] if isinstance(output_size, numbers.Number) else list(output_size)
    crop_height, crop_width = (size * 2)[:2]
    _, height, width = get_dimensions(img)
    if crop_width > width or crop_height > height:
        x, y = max(crop_width - width, 0), max(crop_height - height, 0)
        img = pad(img, [x // 2, y // 2, (x + 1) // 2, (y + 1) // 2], fill=0)
        _, height, width = get_dimensions(img)
        if crop_width == width and crop_height == height:
            return img
    return crop(img, int(round((height - crop_height) / 2.0)), int(round((width - crop_width) / 2.0)),
                crop_height, crop_width)


def resized_crop(img: Any, top: int, left: int, height: int, width: int, size: Any,
                 interpolation: Any = InterpolationMode.BILINEAR, antialias: bool | None = True) -> Any:
    """Cut out a rectangle and resize it."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def five_crop(img: Any, size: Any) -> tuple:
    """The four corners and the middle: top left, top right, bottom left, bottom right, centre."""
    size = [size] if isinstance(size, numbers.Number) else list(size)
    if len(size) not in (1, 2):
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    height, width = (size * 2)[:2]
    _, h, w = get_dimensions(img)
    if width > w or height > h:
        raise ValueError(f"Requested crop size {(height, width)} is bigger than input size {(h, w)}")
    corners = [(y, x) for y in (0, h - height) for x in (0, w - width)]
    return (*(crop(img, y, x, height, width) for y, x in corners), center_crop(img, [height, width]))


def ten_crop(img: Any, size: Any, vertical_flip: bool = False) -> tuple:
    """`five_crop` of the image, then of the flipped image."""
    return five_crop(img, size) + five_crop(vflip(img) if vertical_flip else hflip(img), size)


def hflip(img: Any) -> Any:
    """Mirror left and right."""
    if isinstance(img, Tensor):
        return img.flip(-1)
    _need_image(img)
    return img.transpose(0)


def vflip(img: Any) -> Any:
    """Mirror top and bottom."""
    if isinstance(img, Tensor):
        return img.flip(-2)
    _need_image(img)
    return img.transpose(1)


def rotate(img: Any, angle: float, interpolation: Any = InterpolationMode.NEAREST, expand: bool = False,
           center: Any = None, fill: Any = None) -> Any:
    """Turn an image counter-clockwise by `angle` degrees about `center`, by default the middle."""
    mode = _mode(interpolation).value
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError("Argument center should be a sequence")
    if isinstance(img, Tensor):
        if mode not in ("nearest", "bilinear"):
            raise ValueError(f"Interpolation mode '{mode}' is unsupported with Tensor input")
        return _turn(img, angle, mode, expand, center, fill)
    _need_image(img)
    return img.rotate(angle, _PILLOW[mode], expand, center, fillcolor=_fill(img, 0 if fill is None else fill))


def _turn(img: Tensor, angle: float, mode: str, expand: bool, center: Any, fill: Any) -> Tensor:
    "`rotate` for tensors: every output pixel looks up the place it comes from; places outside give `fill`."
    _, height, width = get_dimensions(img)
    turn = math.radians(angle)
    cos, sin = math.cos(turn), math.sin(turn)
    cx, cy = (0.0, 0.0) if center is None else (center[0] - width * 0.5, center[1] - height * 0.5)
    # The row (x, y, 1) of an output pixel, from the middle of the image, times this matrix is its source.
    rows = [[cos, sin], [-sin, cos], [cx - cx * cos + cy * sin, cy - cx * sin - cy * cos]]
    out_h, out_w = height, width
    if expand:
        half_w, half_h = width * 0.5, height * 0.5
        ends = tensor([[x, y, 1.0] for x, y in ((-half_w, -half_h), (-half_w, half_h), (half_w, half_h),
                                                (half_w, -half_h))]) @ tensor(rows)
        ends = ends + tensor([half_w, half_h])
        # Cut to 1e-4, so that rounding does not add a pixel.
        high = ((ends.max(dim=0).values / 1e-4).trunc() * 1e-4).ceil().tolist()
        low = ((ends.min(dim=0).values / 1e-4).trunc() * 1e-4).floor().tolist()
        out_w, out_h = int(high[0] - low[0]), int(high[1] - low[1])
    return _sampled(img, _places(img, rows, out_h, out_w), mode, fill)


def _places(img: Tensor, rows: Any, out_h: int, out_w: int) -> Tensor:
    "Where the pixels of an output come from, -1 … 1, for a matrix of sources as in `_turn`."
    _, height, width = get_dimensions(img)
    x = linspace(-out_w * 0.5 + 0.5, out_w * 0.5 - 0.5, out_w).expand(out_h, out_w)
    y = linspace(-out_h * 0.5 + 0.5, out_h * 0.5 - 0.5, out_h).unsqueeze(-1).expand(out_h, out_w)
    base = stack([x, y, ones_like(x)], dim=-1).view(-1, 3)
    return (base @ (tensor(rows) / tensor([0.5 * width, 0.5 * height]))).view(1, out_h, out_w, 2)


def _sampled(img: Tensor, grid: Tensor, mode: str, fill: Any) -> Tensor:
    "Values at the places `grid` (1, H, W, 2); outside of the image `fill`."
    dtype = img.dtype if img.is_floating_point() else float32
    out_h, out_w = grid.shape[1:3]
    grid = grid.to(dtype=dtype, device=img.device)
    flat = img.reshape(-1, *img.shape[-3:]).to(dtype)
    grid = grid.expand(flat.shape[0], out_h, out_w, 2)
    if fill is not None:
        flat = cat((flat, ones_like(flat[:, :1])), dim=1)
    out = F.grid_sample(flat, grid, mode=mode, padding_mode="zeros", align_corners=False)
    if fill is not None:
        out, inside = out[:, :-1], out[:, -1:]
        values = fill if isinstance(fill, (tuple, list)) else [float(fill)]
        paper = tensor(values, dtype=dtype, device=img.device).view(1, -1, 1, 1)
        out = where(inside < 0.5, paper, out) if mode == "nearest" else out * inside + (1.0 - inside) * paper
    if dtype != img.dtype:
        out = out.round().to(img.dtype)
    return out.reshape(*img.shape[:-2], out_h, out_w)


def erase(img: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Any:
    """Set the rectangle at row i, column j, of h × w pixels to v."""
    if not isinstance(img, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(img)}")
    if not inplace:
        img = img.clone()
    img[..., i:i + h, j:j + w] = v
    return img


# ---- colour

def _bound(dtype: Any) -> float:
    return 1.0 if dtype.is_floating_point else iinfo(dtype).max


def _blend(a: Tensor, b: Tensor, ratio: float) -> Tensor:
    "ratio a + (1 - ratio) b, within the range of the dtype."
    out = (float(ratio) * a + (1.0 - float(ratio)) * b).clamp(0, _bound(a.dtype))
    return out.to(a.dtype)


def _grey(img: Tensor) -> Tensor:
    r, g, b = img.unbind(dim=-3)
    return (0.2989 * r + 0.587 * g + 0.114 * b).to(img.dtype).unsqueeze(-3)


def _enhance(img: Any, kind: str, factor: float) -> Any:
    _need_image(img)
    return getattr(pillow("ImageEnhance"), kind)(img).enhance(factor)


def _factor(name: str, value: float) -> None:
    if value < 0:
        raise ValueError(f"{name} ({value}) is not non-negative.")


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """Multiply the brightness: 0 is black, 1 the image itself."""
    if not isinstance(img, Tensor):
        return _enhance(img, "Brightness", brightness_factor)
    _factor("brightness_factor", brightness_factor)
    return _blend(img, img * 0, brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """Scale the distance from the mean grey: 0 is grey, 1 the image itself."""
    if not isinstance(img, Tensor):
        return _enhance(img, "Contrast", contrast_factor)
    _factor("contrast_factor", contrast_factor)
    dtype = img.dtype if img.is_floating_point() else float32
    grey = _grey(img) if get_dimensions(img)[0] == 3 else img
    return _blend(img, grey.to(dtype).mean(dim=(-3, -2, -1), keepdim=True), contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """Scale the distance from the grey image: 0 is black and white, 1 the image itself."""
    if not isinstance(img, Tensor):
        return _enhance(img, "Color", saturation_factor)
    _factor("saturation_factor", saturation_factor)
    if get_dimensions(img)[0] == 1:
        return img
    return _blend(img, _grey(img), saturation_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Turn the hue by hue_factor of a full circle, -0.5 … 0.5."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    if isinstance(img, Tensor):
        return _turn_hue(img, hue_factor)
    _need_image(img)
    if img.mode in ("1", "L", "I", "F"):
        return img
    h, s, v = img.convert("HSV").split()
    turned = np.asarray(h).astype(np.uint8) + np.uint8(int(hue_factor * 255) % 256)
    return pillow().merge("HSV", (pillow().fromarray(turned), s, v)).convert(img.mode)


def _turn_hue(img: Tensor, turn: float) -> Tensor:
    "Hue, saturation, value and back: Foley & van Dam, 13.3.4."
    if get_dimensions(img)[0] == 1:
        return img
    x = convert_image_dtype(img, float32) if not img.is_floating_point() else img
    r, g, b = x.unbind(dim=-3)
    top, low = x.max(dim=-3).values, x.min(dim=-3).values
    flat = top == low
    span = top - low
    s = span / where(flat, 1.0, top)
    d = where(flat, 1.0, span)
    rc, gc, bc = (top - r) / d, (top - g) / d, (top - b) / d
    h = where(top == r, bc - gc, where(top == g, 2.0 + rc - bc, 4.0 + gc - rc))
    h = ((h / 6.0 + 1.0) % 1.0 + turn) % 1.0
    i = (h * 6.0).floor()
    f = h * 6.0 - i
    p, q, t = ((top * (1.0 - s)).clamp(0, 1), (top * (1.0 - s * f)).clamp(0, 1),
               (top * (1.0 - s * (1.0 - f))).clamp(0, 1))
    i = i % 6

    def pick(*values: Tensor) -> Tensor:
        out = values[5]
        for k in range(5):
            out = where(i == k, values[k], out)
        return out

    y = stack([pick(top, q, p, p, t, top), pick(t, top, top, q, p, p), pick(p, p, t, top, top, q)], dim=-3)
    return convert_image_dtype(y, img.dtype)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """gain × value^gamma, with values 0 … 1."""
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    if isinstance(img, Tensor):
        x = convert_image_dtype(img, float32) if not img.is_floating_point() else img
        return convert_image_dtype((gain * x ** gamma).clamp(0, 1), img.dtype)
    _need_image(img)
    table = [int((255 + 1 - 1e-3) * gain * pow(v / 255.0, gamma)) for v in range(256)] * 3
    return img.convert("RGB").point(table).convert(img.mode)


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """Make grey, in 1 or 3 equal channels; the weights of red, green and blue are those of Rec. 601."""
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    if not isinstance(img, Tensor):
        _need_image(img)
        return to_grayscale(img, num_output_channels)
    if get_dimensions(img)[0] != 3:
        return img.clone()
    grey = _grey(img)
    return cat([grey] * 3, dim=-3) if num_output_channels == 3 else grey


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """Make a Pillow image grey, in 1 or 3 equal channels."""
    if not is_image(img):
        raise TypeError("Input should be PIL Image")
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    grey = img.convert("L")
    return grey if num_output_channels == 1 else pillow().merge("RGB", (grey, grey, grey))


def invert(img: Any) -> Any:
    """The negative."""
    if isinstance(img, Tensor):
        return _bound(img.dtype) - img
    _need_image(img)
    return pillow("ImageOps").invert(img)


from ._filters import adjust_sharpness, autocontrast, equalize, gaussian_blur, posterize, solarize  # noqa: E402
from ._warps import affine, elastic_transform, perspective  # noqa: E402
