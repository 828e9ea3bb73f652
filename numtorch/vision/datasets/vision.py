"""What image data sets have in common."""
from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import Tensor, from_numpy, tensor
from ...utils.data import Dataset
from .._pillow import pillow
from ..transforms.transforms import Compose, ToTensor, batched

__all__ = ["StandardTransform", "VisionDataset"]


class StandardTransform:
    """Apply one transform to the input and another to the target."""

    def __init__(self, transform: Callable | None = None, target_transform: Callable | None = None) -> None:
        self.transform, self.target_transform = transform, target_transform

    def __call__(self, input: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target

    def __repr__(self) -> str:
        lines = [type(self).__name__]
        for head, transform in (("Transform: ", self.transform), ("Target transform: ",
                                                                  self.target_transform)):
            if transform is not None:
                first, *rest = repr(transform).splitlines()
                lines += [head + first, *(" " * len(head) + line for line in rest)]
        return "\n".join(lines)


class VisionDataset(Dataset):
    """A data set of images under a folder `root`. A subclass gives `__getitem__` and `__len__`.

    transforms: called with (input, target); or transform and target_transform, called with one each.
    """

    _repr_indent = 4

    def __init__(self, root: Any = None, transforms: Callable | None = None,
                 transform: Callable | None = None,
                 target_transform: Callable | None = None) -> None:
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        separate = transform is not None or target_transform is not None
        if transforms is not None and separate:
            raise ValueError("Only transforms or transform/target_transform can be passed as argument")
        self.transform, self.target_transform = transform, target_transform
        self.transforms = StandardTransform(transform, target_transform) if separate else transforms

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def __repr__(self) -> str:
        body = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            body.append(f"Root location: {self.root}")
        body += self.extra_repr().splitlines()
        if self.transforms is not None:
            body.append(repr(self.transforms))
        return "\n".join(["Dataset " + type(self).__name__, *(" " * self._repr_indent + line
                                                              for line in body)])

    def extra_repr(self) -> str:
        """Lines for `repr`."""
        return ""


class ArrayDataset(VisionDataset):
    """Images in one uint8 array `data`, (N, H, W) or (N, H, W, C), and their classes `targets`.

    Both may be tensors, arrays or lists, and may be replaced. Samples are (transformed Pillow image, class).
    Where the transform begins with ToTensor, it is given the array, which comes to the same and needs no
    Pillow.
    """

    data: Any
    targets: Any

    def __len__(self) -> int:
        return len(self.data)

    def _pixels(self) -> np.ndarray:
        known = self.__dict__.get("_known")
        if known is None or known[0] is not self.data:
            data = self.data
            known = self._known = (data, data.numpy() if isinstance(data, Tensor) else np.asarray(data))
        return known[1]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        pixels, target = self._pixels()[index], int(self.targets[index])
        transform = self.transform
        first = transform
        if type(transform) is Compose and transform.transforms:
            first = transform.transforms[0]
        img = pixels if type(first) is ToTensor else pillow().fromarray(pixels)
        if transform is not None:
            img = transform(img)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return img, target

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "_known"}

    def _collated(self, indices: list) -> list[Tensor] | None:
        "The batch `default_collate` would make of the samples at `indices`, made at once. None: not known."
        if type(self).__getitem__ is not ArrayDataset.__getitem__ or set(map(type, indices)) != {int}:
            return None
        transform = batched(self.transform)
        if transform is None or self.target_transform is not None:
            return None
        pixels = self._pixels()[indices]
        if pixels.dtype != np.uint8:
            return None
        planes = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
        targets = self.targets
        if isinstance(targets, list):
            classes = tensor([int(targets[i]) for i in indices])
        else:
            known = targets.numpy() if isinstance(targets, Tensor) else targets
            classes = from_numpy(known[indices].astype(np.int64))
        return [transform(planes), classes]
