"""Grids of images."""
from __future__ import annotations

import math
from typing import Any

from .. import Tensor, cat, no_grad, stack
from ._pillow import pillow

__all__ = ["make_grid", "save_image"]


@no_grad()
def make_grid(tensor: Any, nrow: int = 8, padding: int = 2, normalize: bool = False,
              value_range: tuple[float, float] | None = None, scale_each: bool = False,
              pad_value: float = 0.0) -> Tensor:
    """Lay images out in rows of `nrow`, `padding` pixels apart, as one image (3, H, W).

    tensor: (N, C, H, W), or a list of (C, H, W); one channel becomes three. normalize: values are moved to 0
    … 1 from value_range, by default from the least and the largest of all, or with scale_each of each image.
    """
    if not isinstance(tensor, Tensor):
        if not isinstance(tensor, list):
            raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
        for t in tensor:
            if not isinstance(t, Tensor):
                raise TypeError(f"tensor or list of tensors expected, got a list containing {type(t)}")
        tensor = stack(tensor, dim=0)
    if tensor.dim() == 2:
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 3:
        if tensor.size(0) == 1:
            tensor = cat((tensor, tensor, tensor), 0)
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 4 and tensor.size(1) == 1:
        tensor = cat((tensor, tensor, tensor), 1)
    if normalize:
        tensor = tensor.clone()
        if value_range is not None and not isinstance(value_range, tuple):
            raise TypeError("value_range has to be a tuple (min, max) if specified. min and max are numbers")
        for image in (tensor if scale_each else [tensor]):
            low, high = value_range or (float(image.min()), float(image.max()))
            image.clamp_(min=low, max=high)
            image.sub_(low).div_(max(high - low, 1e-5))
    if tensor.size(0) == 1:
        return tensor.squeeze(0)
    n = tensor.size(0)
    columns = min(nrow, n)
    rows = math.ceil(n / columns)
    height, width = tensor.size(2) + padding, tensor.size(3) + padding
    grid = tensor.new_full((tensor.size(1), height * rows + padding, width * columns + padding), pad_value)
    for k in range(n):
        top, left = k // columns * height + padding, k % columns * width + padding
        grid[:, top:top + height - padding, left:left + width - padding].copy_(tensor[k])
    return grid


@no_grad()
def save_image(tensor: Any, fp: Any, format: str | None = None, **kwargs: Any) -> None:
    """Write an image of values 0 … 1, or the grid `make_grid(tensor, **kwargs)`, to a file or file object."""
    grid = make_grid(tensor, **kwargs)
    pixels = grid.mul(255).add_(0.5).clamp_(0, 255).permute(1, 2, 0).to("cpu").byte().numpy()
    pillow().fromarray(pixels).save(fp, format=format)
