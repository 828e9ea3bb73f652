"""Transforms under the names of torchvision.transforms.v2: they take any structure that holds images.

Pillow images are transformed, and where there are none the first tensor; labels and other things pass.
Several images of one call are given the same random numbers. Images are plain tensors.
"""
from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from .... import Tensor, get_rng_state, multinomial, rand, randint, randperm, set_rng_state
from .... import dtype as dtype_
from .... import tensor as tensor_
from ....nn import Module
from ....utils._pytree import tree_flatten, tree_unflatten
from ... import transforms as v1
from ..._pillow import is_image
from ..autoaugment import AutoAugmentPolicy
from ..functional import InterpolationMode
from . import functional
from . import functional as F

__all__ = ["AutoAugment", "AutoAugmentPolicy", "CenterCrop", "ColorJitter", "Compose", "ConvertImageDtype",
           "ElasticTransform", "FiveCrop", "GaussianBlur", "GaussianNoise", "Grayscale", "Identity",
           "InterpolationMode", "Lambda", "LinearTransformation", "Normalize", "PILToTensor", "Pad", "RGB",
           "RandAugment", "RandomAdjustSharpness", "RandomAffine", "RandomApply", "RandomAutocontrast",
           "RandomChannelPermutation", "RandomChoice", "RandomCrop", "RandomEqualize", "RandomErasing",
           "RandomGrayscale", "RandomHorizontalFlip", "RandomInvert", "RandomOrder", "RandomPerspective",
           "RandomPosterize", "RandomResize", "RandomResizedCrop", "RandomRotation", "RandomShortestSize",
           "RandomSolarize", "RandomVerticalFlip", "Resize", "TenCrop", "ToDtype", "ToImage", "ToPILImage",
           "ToPureTensor", "ToTensor", "Transform", "TrivialAugmentWide", "functional"]


def _images(leaves: list) -> list[int]:
    "Places of the images among the leaves of a structure."
    found = [i for i, x in enumerate(leaves) if is_image(x)]
    return found or [i for i, x in enumerate(leaves) if isinstance(x, Tensor)][:1]


class Transform(Module):
    """Base class: override `transform(inpt, params)`, and `make_params(flat_inputs)` to draw."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw what all images of one call share."""
        return {}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Transform one image."""
        raise NotImplementedError

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Raise if the inputs cannot be transformed together."""

    def _places(self, leaves: list) -> list[int]:
        return _images(leaves)

    def forward(self, *inputs: Any) -> Any:
        """Transform the images in `inputs`; one input gives itself, several a tuple."""
        leaves, spec = tree_flatten(inputs if len(inputs) > 1 else inputs[0])
        leaves = list(leaves)
        self.check_inputs(leaves)
        places = self._places(leaves)
        params = self.make_params([leaves[i] for i in places])
        for i in places:
            leaves[i] = self.transform(leaves[i], params)
        return tree_unflatten(leaves, spec)


class _Classic(Transform):
    "A transform of one image, `_one`, applied with the same random numbers to each."

    _one: Any = None

    def forward(self, *inputs: Any) -> Any:
        """Transform the images in `inputs`."""
        leaves, spec = tree_flatten(inputs if len(inputs) > 1 else inputs[0])
        leaves, places = list(leaves), _images(list(leaves))
        start = get_rng_state() if len(places) > 1 else None
        for k, i in enumerate(places):
            if k and start is not None:
                set_rng_state(start)
            leaves[i] = self._one.forward(self, leaves[i])
        return tree_unflatten(leaves, spec)


def _classic(one: type) -> Any:
    return type(one.__name__, (_Classic, one), {"_one": one, "__doc__": one.__doc__, "__module__": __name__})


AutoAugment = _classic(v1.AutoAugment)
CenterCrop = _classic(v1.CenterCrop)
ColorJitter = _classic(v1.ColorJitter)
ConvertImageDtype = _classic(v1.ConvertImageDtype)
ElasticTransform = _classic(v1.ElasticTransform)
FiveCrop = _classic(v1.FiveCrop)
GaussianBlur = _classic(v1.GaussianBlur)
Grayscale = _classic(v1.Grayscale)
LinearTransformation = _classic(v1.LinearTransformation)
Normalize = _classic(v1.Normalize)
Pad = _classic(v1.Pad)
RandAugment = _classic(v1.RandAugment)
RandomAdjustSharpness = _classic(v1.RandomAdjustSharpness)
RandomAffine = _classic(v1.RandomAffine)
RandomAutocontrast = _classic(v1.RandomAutocontrast)
RandomEqualize = _classic(v1.RandomEqualize)
RandomErasing = _classic(v1.RandomErasing)
RandomGrayscale = _classic(v1.RandomGrayscale)
RandomHorizontalFlip = _classic(v1.RandomHorizontalFlip)
RandomInvert = _classic(v1.RandomInvert)
RandomPerspective = _classic(v1.RandomPerspective)
RandomPosterize = _classic(v1.RandomPosterize)
RandomResizedCrop = _classic(v1.RandomResizedCrop)
RandomRotation = _classic(v1.RandomRotation)
RandomSolarize = _classic(v1.RandomSolarize)
RandomVerticalFlip = _classic(v1.RandomVerticalFlip)
Resize = _classic(v1.Resize)
TenCrop = _classic(v1.TenCrop)
TrivialAugmentWide = _classic(v1.TrivialAugmentWide)


class _RandomCrop(v1.RandomCrop):
    __doc__ = v1.RandomCrop.__doc__

    @staticmethod
    def get_params(img: Any, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Draw (top, left, height, width); nothing is drawn along a side that is as long already."""
        _, h, w = F.get_dimensions(img)
        th, tw = output_size
        if h < th or w < tw:
            raise ValueError(f"Required crop size {(th, tw)} is larger than padded input image size "
                             f"{(h, w)}.")
        top = int(randint(0, h - th + 1, size=(1,)).item()) if h > th else 0
        return top, int(randint(0, w - tw + 1, size=(1,)).item()) if w > tw else 0, th, tw


_RandomCrop.__name__ = "RandomCrop"
RandomCrop = _classic(_RandomCrop)


class Compose(Transform):
    """Apply transforms one after the other."""

    def __init__(self, transforms: Sequence[Callable]) -> None:
        super().__init__()
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence of callables")
        if not transforms:
            raise ValueError("Pass at least one transform")
        self.transforms = transforms

    def forward(self, *inputs: Any) -> Any:
        """Apply to the images in `inputs`."""
        return self._all(self.transforms, inputs)

    @staticmethod
    def _all(transforms: Any, inputs: tuple) -> Any:
        for t in transforms:
            out = t(*inputs)
            inputs = out if len(inputs) > 1 else (out,)
        return inputs if len(inputs) > 1 else inputs[0]

    def extra_repr(self) -> str:
        """The transforms, one a line."""
        return "\n".join(f"    {t}" for t in self.transforms)


class RandomApply(Compose):
    """Apply all transforms with probability p, or none."""

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        super().__init__(transforms)
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        self.p = p

    def forward(self, *inputs: Any) -> Any:
        """Apply to the images in `inputs`."""
        if rand(1) >= self.p:
            return inputs if len(inputs) > 1 else inputs[0]
        return self._all(self.transforms, inputs)


class RandomChoice(Compose):
    """Apply one of the transforms, chosen with weights p."""

    def __init__(self, transforms: Sequence[Callable], p: Sequence[float] | None = None) -> None:
        super().__init__(transforms)
        p = p or [1] * len(transforms)
        if len(p) != len(transforms):
            raise ValueError(f"Length of p doesn't match the number of transforms: {len(p)} != "
                             f"{len(transforms)}")
        self.p = [x / sum(p) for x in p]

    def forward(self, *inputs: Any) -> Any:
        """Apply to the images in `inputs`."""
        return self.transforms[int(multinomial(tensor_(self.p), 1))](*inputs)


class RandomOrder(Compose):
    """Apply all transforms in random order."""

    def forward(self, *inputs: Any) -> Any:
        """Apply to the images in `inputs`."""
        return self._all([self.transforms[i] for i in randperm(len(self.transforms)).tolist()], inputs)


class Identity(Transform):
    """Change nothing."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return the input."""
        return inpt


class Lambda(Transform):
    """Apply a function to the leaves of the given types."""

    def __init__(self, lambd: Callable[[Any], Any], *types: type) -> None:
        super().__init__()
        self.lambd, self.types = lambd, types or (object,)

    def _places(self, leaves: list) -> list[int]:
        return [i for i, x in enumerate(leaves) if isinstance(x, self.types)]

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Apply the function."""
        return self.lambd(inpt)

    def extra_repr(self) -> str:
        """The function's name and the types."""
        name = getattr(self.lambd, "__name__", "")
        return ", ".join(([name] if name not in ("", "<lambda>") else [])
                         + [f"types={[t.__name__ for t in self.types]}"])


class _Conversion(Transform):
    "Of every Pillow image and array."

    def _places(self, leaves: list) -> list[int]:
        import numpy as np
        found = [i for i, x in enumerate(leaves) if is_image(x) or isinstance(x, np.ndarray)]
        return found or _images(leaves)


class ToImage(_Conversion):
    """Make Pillow images and arrays tensors (C, H, W) of the same values."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Convert one image."""
        return F.to_image(inpt)


class PILToTensor(_Conversion):
    """Make Pillow images tensors (C, H, W) of the same values."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Convert one image."""
        return F.pil_to_tensor(inpt) if is_image(inpt) else inpt


class ToTensor(_Conversion):
    """Make Pillow images and arrays tensors (C, H, W); uint8 values become 0 … 1."""

    def __init__(self) -> None:
        warnings.warn("The transform `ToTensor()` is deprecated and will be removed in a future release. "
                      "Instead, please use `v2.Compose([v2.ToImage(), "
                      "v2.ToDtype(torch.float32, scale=True)])`."
                      "Output is equivalent up to float precision.")
        super().__init__()

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Convert one image."""
        return inpt if isinstance(inpt, Tensor) else F.to_tensor(inpt)


class ToPILImage(_Conversion):
    """Make tensors (C, H, W) and arrays (H, W, C) Pillow images."""

    def __init__(self, mode: str | None = None) -> None:
        super().__init__()
        self.mode = mode

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Convert one image."""
        return inpt if is_image(inpt) else F.to_pil_image(inpt, mode=self.mode)


class ToPureTensor(Identity):
    """Images are plain tensors already."""


class ToDtype(Transform):
    """Convert tensors; with `scale`, to the range of the dtype. dtype may be a dictionary by type."""

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        super().__init__()
        if not isinstance(dtype, (dict, dtype_)):
            raise ValueError(f"dtype must be a dict or a torch.dtype, got {type(dtype)} instead")
        self.dtype, self.scale = dtype, scale

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Convert one tensor; Pillow images pass."""
        dtype: Any = self.dtype
        if isinstance(dtype, dict):
            dtype = next((d for kind, d in dtype.items()
                          if isinstance(kind, type) and isinstance(inpt, kind)), dtype.get("others"))
        return inpt if dtype is None or is_image(inpt) else F.to_dtype(inpt, dtype, scale=self.scale)

    def extra_repr(self) -> str:
        """The options."""
        return f"scale={self.scale}"


class RGB(Transform):
    """Three channels of one."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Convert one image."""
        return F.grayscale_to_rgb(inpt)


class GaussianNoise(Transform):
    """Add normal noise to floating-point images."""

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> None:
        super().__init__()
        self.mean, self.sigma, self.clip = mean, sigma, clip

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Change one image."""
        return F.gaussian_noise(inpt, self.mean, self.sigma, self.clip)


class RandomChannelPermutation(Transform):
    """Channels in random order."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the order."""
        return {"permutation": randperm(F.get_num_channels(flat_inputs[0])).tolist()}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Change one image."""
        return F.permute_channels(inpt, **params)


class RandomResize(Transform):
    """Resize the shorter side to a length drawn from min_size … max_size - 1."""

    def __init__(self, min_size: int, max_size: int, interpolation: Any = InterpolationMode.BILINEAR,
                 antialias: bool | None = True) -> None:
        super().__init__()
        self.min_size, self.max_size = min_size, max_size
        self.interpolation, self.antialias = interpolation, antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the length."""
        return {"size": [int(randint(self.min_size, self.max_size, ()))]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize one image."""
        return F.resize(inpt, params["size"], self.interpolation, antialias=self.antialias)


class RandomShortestSize(Transform):
    """Resize the shorter side to one of the lengths min_size, the longer to at most max_size."""

    def __init__(self, min_size: Any, max_size: int | None = None,
                 interpolation: Any = InterpolationMode.BILINEAR, antialias: bool | None = True) -> None:
        super().__init__()
        self.min_size = [min_size] if isinstance(min_size, int) else list(min_size)
        self.max_size, self.interpolation, self.antialias = max_size, interpolation, antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the size."""
        height, width = F.get_size(flat_inputs[0])
        short = self.min_size[int(randint(len(self.min_size), ()))]
        r = short / min(height, width)
        if self.max_size is not None:
            r = min(r, self.max_size / max(height, width))
        return {"size": (int(height * r), int(width * r))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize one image."""
        return F.resize(inpt, params["size"], self.interpolation, antialias=self.antialias)


