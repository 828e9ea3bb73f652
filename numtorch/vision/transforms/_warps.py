"""Images moved pixel by pixel: affine maps, perspective, elastic displacement."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import Tensor, float32, linspace, ones_like, stack, tensor
from .functional import (
    _PILLOW,
    InterpolationMode,
    _fill,
    _mode,
    _need_image,
    _places,
    _sampled,
    get_dimensions,
    pil_to_tensor,
    to_pil_image,
)


def _inverse(center: Sequence[float], angle: float, translate: Sequence[float], scale: float,
             shear: Sequence[float]) -> list[float]:
    """The map from output to source of: shear, turn by `angle` and scale about `center`, then translate.

    Six numbers (a, b, c, d, e, f): source (a x + b y + c, d x + e y + f)."""
    turn, sx, sy = (math.radians(v) for v in (angle, shear[0], shear[1]))
    a = math.cos(turn - sy) / math.cos(sy)
    b = -math.cos(turn - sy) * math.tan(sx) / math.cos(sy) - math.sin(turn)
    c = math.sin(turn - sy) / math.cos(sy)
    d = -math.sin(turn - sy) * math.tan(sx) / math.cos(sy) + math.cos(turn)
    m = [x / scale for x in (d, -b, 0.0, -c, a, 0.0)]
    for row, middle in ((0, center[0]), (3, center[1])):
        m[row + 2] += m[row] * (-center[0] - translate[0]) + m[row + 1] * (-center[1] - translate[1]) + middle
    return m


def affine(img: Any, angle: float, translate: Sequence[int], scale: float, shear: Any,
           interpolation: Any = InterpolationMode.NEAREST, fill: Any = None, center: Any = None) -> Any:
    """Turn clockwise by `angle`, scale and shear about `center`, move by `translate` pixels. Degrees."""
    mode = _mode(interpolation).value
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if not isinstance(translate, (list, tuple)):
        raise TypeError("Argument translate should be a sequence")
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    if not isinstance(shear, (int, float, list, tuple)):
        raise TypeError("Shear should be either a single value or a sequence of two values")
    shear = [shear, 0.0] if isinstance(shear, (int, float)) else list(shear)
    shear = [shear[0], shear[0]] if len(shear) == 1 else shear
    if len(shear) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {shear}")
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError("Argument center should be a sequence")
    _, height, width = get_dimensions(img)
    if not isinstance(img, Tensor):
        _need_image(img)
        middle = [width * 0.5, height * 0.5] if center is None else center
        return img.transform((width, height), 0, _inverse(middle, angle, translate, scale, shear),
                             _PILLOW[mode], fillcolor=_fill(img, 0 if fill is None else fill))
    middle = [0.0, 0.0] if center is None else [center[0] - width * 0.5, center[1] - height * 0.5]
    m = _inverse(middle, angle, [1.0 * t for t in translate], scale, shear)
    return _sampled(img, _places(img, [[m[0], m[3]], [m[1], m[4]], [m[2], m[5]]], height, width), mode, fill)


def _coefficients(start: Sequence[Sequence[int]], end: Sequence[Sequence[int]]) -> list[float]:
    "The eight numbers of the projective map from the corners `end` to `start`; least squares in float64."
    rows, right = [], []
    for (x, y), (u, v) in zip(end, start):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    found = np.linalg.lstsq(np.array(rows, float), np.array(right, float), rcond=None)[0]
    return found.astype(np.float32).tolist()


def perspective(img: Any, startpoints: Any, endpoints: Any,
                interpolation: Any = InterpolationMode.BILINEAR, fill: Any = None) -> Any:
    """Move the corners startpoints to endpoints; each four points [x, y] from the top left clockwise."""
    mode = _mode(interpolation).value
    c = _coefficients(startpoints, endpoints)
    if not isinstance(img, Tensor):
        _need_image(img)
        return img.transform(img.size, 2, c, _PILLOW[mode], fillcolor=_fill(img, 0 if fill is None else fill))
    _, h, w = get_dimensions(img)
    dtype = img.dtype if img.is_floating_point() else float32
    x = linspace(0.5, w - 0.5, w, dtype=dtype).expand(h, w)
    y = linspace(0.5, h - 0.5, h, dtype=dtype).unsqueeze(-1).expand(h, w)
    base = stack([x, y, ones_like(x)], dim=-1).view(-1, 3)
    top = tensor([c[0:3], c[3:6]], dtype=dtype).t() / tensor([0.5 * w, 0.5 * h], dtype=dtype)
    bottom = tensor([[c[6], c[7], 1.0]] * 2, dtype=dtype).t()
    return _sampled(img, ((base @ top) / (base @ bottom) - 1.0).view(1, h, w, 2), mode, fill)


def elastic_transform(img: Any, displacement: Tensor, interpolation: Any = InterpolationMode.BILINEAR,
                      fill: Any = None) -> Any:
    """Take each pixel from `displacement` (1, H, W, 2) beside it, in halves of the image's size."""
    mode = _mode(interpolation).value
    if not isinstance(displacement, Tensor):
        raise TypeError("Argument displacement should be a Tensor")
    x = img if isinstance(img, Tensor) else pil_to_tensor(img)
    _, h, w = get_dimensions(x)
    if tuple(displacement.shape) != (1, h, w, 2):
        raise ValueError(f"Argument displacement shape should be {(1, h, w, 2)}, but given "
                         f"{displacement.shape}")
    rows = linspace((-h + 1) / h, (h - 1) / h, h).unsqueeze(-1).expand(h, w)
    columns = linspace((-w + 1) / w, (w - 1) / w, w).expand(h, w)
    out = _sampled(x, stack([columns, rows], -1).unsqueeze(0) + displacement, mode, fill)
    return out if isinstance(img, Tensor) else to_pil_image(out, mode=img.mode)
