"""Transforms as objects. Those that draw random numbers draw them in torchvision's order, from the default
generator."""
from __future__ import annotations

import math
import numbers
import random
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ... import Tensor, empty, exp, float32, log, rand, randint, randperm, tensor
from ...nn import Module
from . import functional as F
from .functional import InterpolationMode

__all__ = ["CenterCrop", "ColorJitter", "Compose", "ConvertImageDtype", "FiveCrop", "Grayscale", "Lambda",
           "Normalize", "PILToTensor", "Pad", "RandomApply", "RandomChoice", "RandomCrop", "RandomErasing",
           "RandomGrayscale", "RandomHorizontalFlip", "RandomInvert", "RandomOrder", "RandomResizedCrop",
           "RandomRotation", "RandomVerticalFlip", "Resize", "TenCrop", "ToPILImage", "ToTensor"]

Number: Any = numbers.Number  # to a type checker it has no arithmetic


def _uniform(low: float, high: float) -> float:
    return float(empty(1).uniform_(float(low), float(high)).item())


def _below(n: int) -> int:
    return int(randint(0, n, size=(1,)).item())


def _pair(size: Any, error: str = "Please provide only two dimensions (h, w) for size.") -> tuple:
    "A size as (height, width)."
    if isinstance(size, Number):
        return int(size), int(size)
    if isinstance(size, Sequence) and len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(error)
    return size


def _lines(name: str, parts: Any, *first: str) -> str:
    return "\n".join([name + "(", *first, *(f"    {part}" for part in parts), ")"])


class Compose:
    """Apply transforms one after the other."""

    def __init__(self, transforms: Sequence[Callable]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for t in self.transforms:
            img = t(img)
        return img

    def __repr__(self) -> str:
        return _lines(type(self).__name__, self.transforms)


class ToTensor:
    """Make an image or array a tensor (C, H, W); uint8 values become 0 … 1."""

    def __call__(self, pic: Any) -> Tensor:
        return F.to_tensor(pic)

    def __repr__(self) -> str:
        return type(self).__name__ + "()"


class PILToTensor:
    """Make a Pillow image a tensor (C, H, W) of the same values."""

    def __call__(self, pic: Any) -> Tensor:
        return F.pil_to_tensor(pic)

    def __repr__(self) -> str:
        return type(self).__name__ + "()"


class ToPILImage:
    """Make a tensor (C, H, W) or array (H, W, C) a Pillow image."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.mode is None else f'mode={self.mode}'})"


class ConvertImageDtype(Module):
    """Convert a tensor image, scaling its values to the range of the dtype."""

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        """Apply to one image."""
        return F.convert_image_dtype(image, self.dtype)


class Normalize(Module):
    """(image - mean) / std, channel by channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        super().__init__()
        self.mean, self.std, self.inplace = mean, std, inplace
        self._made: tuple | None = None

    def forward(self, tensor: Tensor) -> Tensor:
        """Apply to one image or batch."""
        made = self._made
        if (made is None or made[0] is not self.mean or made[1] is not self.std
                or not isinstance(tensor, Tensor) or tensor.ndim < 3 or made[2].numel() > tensor.shape[-3]
                or made[2].dtype != tensor.dtype or made[2].device != tensor.device):
            out = F.normalize(tensor, self.mean, self.std, self.inplace)
            # Made once: every image of a data set comes by here.
            self._made = (self.mean, self.std, F.channels(self.mean, out), F.channels(self.std, out))
            return out
        return (tensor.sub_(made[2]) if self.inplace else tensor.sub(made[2])).div_(made[3])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"


def batched(transform: Any) -> Callable[[Any], Tensor] | None:
    """The transform of a whole array of uint8 images (N, C, H, W) that equals `transform` of each, or None.

    Known for ToTensor, and for ToTensor followed by any number of Normalize.
    """
    steps = transform.transforms if type(transform) is Compose else [transform]
    if not steps or type(steps[0]) is not ToTensor or any(type(step) is not Normalize for step in steps[1:]):
        return None
    def apply(images: Any) -> Tensor:
        x = F.parts_of_255(images)
        for step in steps[1:]:
            x = step(x)
        return x

    return apply


class Resize(Module):
    """Resize to (height, width), or so that the shorter side is `size`."""

    def __init__(self, size: Any, interpolation: Any = InterpolationMode.BILINEAR,
                 max_size: int | None = None,
                 antialias: bool | None = True) -> None:
        super().__init__()
        if size is not None and not isinstance(size, (int, Sequence)):
            raise TypeError(f"Size should be int or sequence. Got {type(size)}")
        if isinstance(size, Sequence) and len(size) not in (1, 2):
            raise ValueError("If size is a sequence, it should have 1 or 2 values")
        self.size, self.max_size, self.antialias = size, max_size, antialias
        self.interpolation = F._mode(interpolation)

    def forward(self, img: Any) -> Any:
        """Apply to one image."""
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def __repr__(self) -> str:
        return (f"{type(self).__name__}(size={self.size}, interpolation={self.interpolation.value}, "
                f"max_size={self.max_size}, antialias={self.antialias})")


class CenterCrop(Module):
    """Cut out the middle."""

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = _pair(size)

    def forward(self, img: Any) -> Any:
        """Apply to one image."""
        return F.center_crop(img, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class Pad(Module):
    """Add a border."""

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        if not isinstance(padding, (Number, tuple, list)):
            raise TypeError("Got inappropriate padding arg")
        if not isinstance(fill, (Number, tuple, list)):
            raise TypeError("Got inappropriate fill arg")
        if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
        if isinstance(padding, Sequence) and len(padding) not in (1, 2, 4):
            raise ValueError("Padding must be an int or a 1, 2, or 4 element tuple, "
                             f"not a {len(padding)} element tuple")
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def forward(self, img: Any) -> Any:
        """Apply to one image."""
        return F.pad(img, self.padding, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return (f"{type(self).__name__}(padding={self.padding}, fill={self.fill}, "
                f"padding_mode={self.padding_mode})")


class Lambda:
    """Apply a function."""

    def __init__(self, lambd: Callable) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {repr(type(lambd).__name__)}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return type(self).__name__ + "()"


class RandomTransforms:
    "Several transforms, of which chance makes something."

    def __init__(self, transforms: Sequence[Callable]) -> None:
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence")
        self.transforms = transforms

    def __repr__(self) -> str:
        return _lines(type(self).__name__, self.transforms)


class RandomApply(Module):
    """Apply all transforms with probability p, or none."""

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        super().__init__()
        self.transforms, self.p = transforms, p

    def forward(self, img: Any) -> Any:
        """Apply to one image."""
        if self.p < rand(1):
            return img
        for t in self.transforms:
            img = t(img)
        return img

    def __repr__(self) -> str:
        return _lines(type(self).__name__, self.transforms, f"    p={self.p}")


class RandomOrder(RandomTransforms):
    """Apply all transforms in random order (Python's `random`)."""

    def __call__(self, img: Any) -> Any:
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        for i in order:
            img = self.transforms[i](img)
        return img


class RandomChoice(RandomTransforms):
    """Apply one of the transforms, chosen with weights p (Python's `random`)."""

    def __init__(self, transforms: Sequence[Callable], p: Sequence[float] | None = None) -> None:
        super().__init__(transforms)
        if p is not None and not isinstance(p, Sequence):
            raise TypeError("Argument p should be a sequence")
        self.p = p

    def __call__(self, *args: Any) -> Any:
        return random.choices(self.transforms, weights=self.p)[0](*args)

    def __repr__(self) -> str:
        return f"{super().__repr__()}(p={self.p})"


class RandomCrop(Module):
    """Cut out a rectangle at a random place, after padding."""

    def __init__(self, size: Any, padding: Any = None, pad_if_needed: bool = False, fill: Any = 0,
                 padding_mode: str = "constant") -> None:
        super().__init__()
        self.size = tuple(_pair(size))
        self.padding, self.pad_if_needed = padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    @staticmethod
    def get_params(img: Any, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Draw (top, left, height, width); an image of just this size draws nothing."""
        _, h, w = F.get_dimensions(img)
        th, tw = output_size
        if h < th or w < tw:
            raise ValueError(f"Required crop size {(th, tw)} is larger than input image size {(h, w)}")
        if (h, w) == (th, tw):
            return 0, 0, h, w
        top = _below(h - th + 1)
        return top, _below(w - tw + 1), th, tw

    def forward(self, img: Any) -> Any:
        """Apply to one image."""
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        if self.pad_if_needed:
            for axis in (1, 0):
                short = self.size[axis] - F.get_dimensions(img)[1 + axis]
                if short > 0:
                    img = F.pad(img, [short, 0] if axis else [0, short], self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, padding={self.padding})"


class _WithChance(Module):
    "A transform applied with probability p."

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        """Apply to one image."""
        return self._change(img) if rand(1) < self.p else img

    def _change(self, img: Any) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomHorizontalFlip(_WithChance):
    """Mirror left and right with probability p."""

    def _change(self, img: Any) -> Any:
        return F.hflip(img)


class RandomVerticalFlip(_WithChance):
    """Mirror top and bottom with probability p."""

    def _change(self, img: Any) -> Any:
        return F.vflip(img)


class RandomInvert(_WithChance):
    """Make the negative with probability p."""

    def _change(self, img: Any) -> Any:
        return F.invert(img)


class RandomGrayscale(_WithChance):
    """Make grey, in as many channels as before, with probability p."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)

    def _change(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, num_output_channels=F.get_dimensions(img)[0])


class Grayscale(Module):
    """Make grey, in 1 or 3 equal channels."""

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        """Apply to one image."""
        return F.rgb_to_grayscale(img, num_output_channels=self.num_output_channels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_output_channels={self.num_output_channels})"


def _patch(img: Any, scale: Sequence[float], ratio: Sequence[float], fits: Callable, by: Callable) -> Any:
    """Draw up to ten times an area (a part `scale` of the image) and a ratio of sides, until `fits(h, w)`.

    by: gives (h, w) from area and ratio. Returns (top, left, h, w) or None.
    """
    _, height, width = F.get_dimensions(img)
    low, high = log(tensor(ratio)).tolist()
    for _ in range(10):
        area = height * width * _uniform(scale[0], scale[1])
        shape = float(exp(empty(1).uniform_(low, high)).item())
        h, w = by(area, shape)
        if fits(h, w, height, width):
            top = _below(height - h + 1)
            return top, _below(width - w + 1), h, w
    return None


class RandomResizedCrop(Module):
    """Cut out a random part of the area, with a random ratio of the sides, and resize it."""

    def __init__(self, size: Any, scale: Sequence[float] = (0.08, 1.0), ratio: Sequence[float] = (3.0 / 4.0,
                                                                                                  4.0 / 3.0),
                 interpolation: Any = InterpolationMode.BILINEAR, antialias: bool | None = True) -> None:
        super().__init__()
        self.size = _pair(size)
        if not isinstance(scale, Sequence):
            raise TypeError("Scale should be a sequence")
        if not isinstance(ratio, Sequence):
            raise TypeError("Ratio should be a sequence")
        if scale[0] > scale[1] or ratio[0] > ratio[1]:
            warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=2)
        self.interpolation, self.antialias = F._mode(interpolation), antialias
        self.scale, self.ratio = scale, ratio

    @staticmethod
    def get_params(img: Any, scale: Sequence[float], ratio: Sequence[float]) -> tuple[int, int, int, int]:
        """Draw (top, left, height, width); after ten misses, the middle with the nearest allowed ratio."""
        found = _patch(img, scale, ratio, lambda h, w, height, width: 0 < w <= width and 0 < h <= height,
                       lambda area, shape: (int(round(math.sqrt(area / shape))),
                                            int(round(math.sqrt(area * shape)))))
        if found is not None:
            return found
        _, height, width = F.get_dimensions(img)
        if width / height < min(ratio):
            w, h = width, int(round(width / min(ratio)))
        elif width / height > max(ratio):
            h, w = height, int(round(height * max(ratio)))
        else:
            w, h = width, height
        return (height - h) // 2, (width - w) // 2, h, w

    def forward(self, img: Any) -> Any:
        """Apply to one image."""
        place = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *place, self.size, self.interpolation, antialias=self.antialias)

    def __repr__(self) -> str:
        scale, ratio = (tuple(round(x, 4) for x in pair) for pair in (self.scale, self.ratio))
        return (f"{type(self).__name__}(size={self.size}, scale={scale}, ratio={ratio}, "
                f"interpolation={self.interpolation.value}, antialias={self.antialias})")


class RandomErasing(Module):
    """Overwrite a random rectangle of a tensor image with `value`, "random" for noise, with probability p."""

    def __init__(self, p: float = 0.5, scale: Sequence[float] = (0.02, 0.33), ratio: Sequence[float] = (0.3,
                                                                                                        3.3),
                 value: Any = 0, inplace: bool = False) -> None:
        super().__init__()
        if not isinstance(value, (Number, str, tuple, list)):
            raise TypeError("Argument value should be either a number or str or a sequence")
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        if not isinstance(scale, Sequence):
            raise TypeError("Scale should be a sequence")
        if not isinstance(ratio, Sequence):
            raise TypeError("Ratio should be a sequence")
        if scale[0] > scale[1] or ratio[0] > ratio[1]:
            warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=2)
        if scale[0] < 0 or scale[1] > 1:
            raise ValueError("Scale should be between 0 and 1")
        if p < 0 or p > 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        self.p, self.scale, self.ratio, self.value, self.inplace = p, scale, ratio, value, inplace

    @staticmethod
    def get_params(img: Tensor, scale: Sequence[float], ratio: Sequence[float], value: Any = None) -> tuple:
        """Draw (top, left, height, width, value); after ten misses, the image itself."""
        channels, height, width = img.shape[-3:]
        noise: list[Tensor] = []

        def fits(h: int, w: int, height: int, width: int) -> bool:
            if not (h < height and w < width):
                return False
            if value is None:  # drawn before the place
                noise.append(empty([channels, h, w], dtype=float32).normal_())
            return True

        found = _patch(img, scale, ratio, fits, lambda area, shape: (int(round(math.sqrt(area * shape))),
                                                                      int(round(math.sqrt(area / shape)))))
        if found is None:
            return 0, 0, height, width, img
        return (*found, noise[-1] if value is None else tensor(value)[:, None, None])

    def forward(self, img: Tensor) -> Tensor:
        """Apply to one image."""
        if rand(1) >= self.p:
            return img
        if not isinstance(img, Tensor):
            raise TypeError(f"img should be Tensor Image. Got {type(img)}")
        value: Any = self.value
        if isinstance(value, (int, float)):
            value = [float(value)]
        elif isinstance(value, str):
            value = None
        else:
            value = [float(v) for v in value]
        if value is not None and len(value) not in (1, img.shape[-3]):
            raise ValueError("If value is a sequence, it should have either a single value or "
                             f"{img.shape[-3]} (number of input channels)")
        top, left, h, w, v = self.get_params(img, scale=self.scale, ratio=self.ratio, value=value)
        return F.erase(img, top, left, h, w, v, self.inplace)

    def __repr__(self) -> str:
        return (f"{type(self).__name__}(p={self.p}, scale={self.scale}, ratio={self.ratio}, "
                f"value={self.value}, inplace={self.inplace})")


class RandomRotation(Module):
    """Turn by an angle drawn from -degrees … degrees, or from degrees[0] … degrees[1]."""

    def __init__(self, degrees: Any, interpolation: Any = InterpolationMode.NEAREST, expand: bool = False,
                 center: Any = None, fill: Any = 0) -> None:
        super().__init__()
        if isinstance(degrees, Number):
            if degrees < 0:
                raise ValueError("If degrees is a single number, it must be positive.")
            degrees = [-degrees, degrees]
        elif not isinstance(degrees, Sequence):
            raise TypeError("degrees should be a sequence of length 2.")
        elif len(degrees) != 2:
            raise ValueError("degrees should be a sequence of length 2.")
        if fill is not None and not isinstance(fill, (Sequence, Number)):
            raise TypeError("Fill should be either a sequence or a number.")
        self.degrees = [float(d) for d in degrees]
        self.interpolation, self.expand, self.center = F._mode(interpolation), expand, center
        self.fill = 0 if fill is None else fill

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """Draw an angle."""
        return _uniform(degrees[0], degrees[1])

    def forward(self, img: Any) -> Any:
        """Apply to one image."""
        return F.rotate(img, self.get_params(self.degrees), self.interpolation, self.expand, self.center,
                        self.fill)

    def __repr__(self) -> str:
        center = "" if self.center is None else f", center={self.center}"
        fill = "" if self.fill is None else f", fill={self.fill}"
        return (f"{type(self).__name__}(degrees={self.degrees}, interpolation={self.interpolation.value}, "
                f"expand={self.expand}{center}{fill})")


class ColorJitter(Module):
    """Change brightness, contrast, saturation and hue by random factors, in random order.

    A number x draws a factor from max(0, 1 - x) … 1 + x (hue: -x … x), a pair from between its values.
    """

    def __init__(self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0) -> None:
        super().__init__()
        self.brightness = self._range("brightness", brightness)
        self.contrast = self._range("contrast", contrast)
        self.saturation = self._range("saturation", saturation)
        self.hue = self._range("hue", hue, 0, (-0.5, 0.5), False)

    @staticmethod
    def _range(name: str, value: Any, center: float = 1, bound: tuple = (0, float("inf")),
               clip: bool = True) -> tuple[float, float] | None:
        if isinstance(value, Number):
            if value < 0:
                raise ValueError(f"If {name} is a single number, it must be non negative.")
            value = [center - float(value), center + float(value)]
            if clip:
                value[0] = max(value[0], 0.0)
        elif isinstance(value, (tuple, list)) and len(value) == 2:
            value = [float(v) for v in value]
        else:
            raise TypeError(f"{name} should be a single number or a list/tuple with length 2.")
        if not bound[0] <= value[0] <= value[1] <= bound[1]:
            raise ValueError(f"{name} values should be between {bound}, but got {value}.")
        return None if value[0] == value[1] == center else (value[0], value[1])

    @staticmethod
    def get_params(brightness: Any, contrast: Any, saturation: Any, hue: Any) -> tuple:
        """Draw (order, brightness, contrast, saturation, hue); a factor is None where there is nothing to
        change."""
        order = randperm(4)
        return (order, *(None if r is None else _uniform(r[0], r[1])
                         for r in (brightness, contrast, saturation, hue)))

    def forward(self, img: Any) -> Any:
        """Apply to one image."""
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        change = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for k in order.tolist():
            if factors[k] is not None:
                img = change[k](img, factors[k])
        return img

    def __repr__(self) -> str:
        return (f"{type(self).__name__}(brightness={self.brightness}, contrast={self.contrast}, "
                f"saturation={self.saturation}, hue={self.hue})")


class FiveCrop(Module):
    """The four corners and the middle, as a tuple."""

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = _pair(size)

    def forward(self, img: Any) -> tuple:
        """Apply to one image."""
        return F.five_crop(img, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class TenCrop(Module):
    """FiveCrop of the image and of its mirror image, as a tuple."""

    def __init__(self, size: Any, vertical_flip: bool = False) -> None:
        super().__init__()
        self.size, self.vertical_flip = _pair(size), vertical_flip

    def forward(self, img: Any) -> tuple:
        """Apply to one image."""
        return F.ten_crop(img, self.size, self.vertical_flip)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, vertical_flip={self.vertical_flip})"

