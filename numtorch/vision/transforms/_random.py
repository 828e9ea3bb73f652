"""Random warps and filters."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import Tensor, cat, rand
from ...nn import Module
from . import functional as F
from .functional import InterpolationMode
from .transforms import Number, _below, _pair, _uniform, _WithChance

__all__ = ["ElasticTransform", "GaussianBlur", "LinearTransformation", "RandomAdjustSharpness",
           "RandomAffine", "RandomAutocontrast", "RandomEqualize", "RandomPerspective", "RandomPosterize",
           "RandomSolarize"]


def _angles(value: Any, name: str, sizes: tuple[int, ...] = (2,)) -> list[float]:
    "A number as -x … x, or a sequence of one of the lengths `sizes`."
    if isinstance(value, Number):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be positive.")
        value = [-value, value]
    elif not isinstance(value, Sequence):
        raise TypeError(f"{name} should be a sequence of length {' or '.join(map(str, sizes))}.")
    elif len(value) not in sizes:
        raise ValueError(f"{name} should be a sequence of length {' or '.join(map(str, sizes))}.")
    return [float(d) for d in value]


class RandomAffine(Module):
    """Turn, move (by parts of the size), scale and shear by random amounts."""

    def __init__(self, degrees: Any, translate: Any = None, scale: Any = None, shear: Any = None,
                 interpolation: Any = InterpolationMode.NEAREST, fill: Any = 0, center: Any = None) -> None:
        super().__init__()
        self.degrees = _angles(degrees, "degrees")
        if translate is not None:
            if not isinstance(translate, Sequence):
                raise TypeError("translate should be a sequence of length 2.")
            if len(translate) != 2:
                raise ValueError("translate should be a sequence of length 2.")
            if not all(0.0 <= t <= 1.0 for t in translate):
                raise ValueError("translation values should be between 0 and 1")
        if scale is not None:
            if not isinstance(scale, Sequence):
                raise TypeError("scale should be a sequence of length 2.")
            if len(scale) != 2:
                raise ValueError("scale should be a sequence of length 2.")
            if any(s <= 0 for s in scale):
                raise ValueError("scale values should be positive")
        self.translate, self.scale = translate, scale
        self.shear = None if shear is None else _angles(shear, "shear", (2, 4))
        if fill is not None and not isinstance(fill, (Sequence, Number)):
            raise TypeError("Fill should be either a sequence or a number.")
        self.interpolation, self.center = F._mode(interpolation), center
        self.fill = 0 if fill is None else fill

    @staticmethod
    def get_params(degrees: Sequence[float], translate: Any, scale_ranges: Any, shears: Any,
                   img_size: Sequence[int]) -> tuple:
        """Draw (angle, (x, y), scale, (shear x, shear y)); img_size: (width, height)."""
        angle = _uniform(degrees[0], degrees[1])
        moves = (0, 0)
        if translate is not None:
            far = [float(part * size) for part, size in zip(translate, img_size)]
            moves = (int(round(_uniform(-far[0], far[0]))), int(round(_uniform(-far[1], far[1]))))
        scale = 1.0 if scale_ranges is None else _uniform(scale_ranges[0], scale_ranges[1])
        x = y = 0.0
        if shears is not None:
            x = _uniform(shears[0], shears[1])
            if len(shears) == 4:
                y = _uniform(shears[2], shears[3])
        return angle, moves, scale, (x, y)

    def forward(self, img: Any) -> Any:
        """Apply to one image."""
        _, height, width = F.get_dimensions(img)
        angle, moves, scale, shear = self.get_params(self.degrees, self.translate, self.scale, self.shear,
                                                     [width, height])
        fill = self.fill
        if isinstance(img, Tensor) and isinstance(fill, Number):
            fill = [float(fill)] * F.get_dimensions(img)[0]
        return F.affine(img, angle, moves, scale, shear, self.interpolation, fill, self.center)

    def __repr__(self) -> str:
        text = f"{type(self).__name__}(degrees={self.degrees}"
        for name in ("translate", "scale", "shear"):
            if getattr(self, name) is not None:
                text += f", {name}={getattr(self, name)}"
        if self.interpolation != InterpolationMode.NEAREST:
            text += f", interpolation={self.interpolation.value}"
        text += f", fill={self.fill}" if self.fill != 0 else ""
        return text + (f", center={self.center}" if self.center is not None else "") + ")"


class RandomPerspective(Module):
    """Move each corner inwards by at most distortion_scale of half the size, with probability p."""

    def __init__(self, distortion_scale: float = 0.5, p: float = 0.5,
                 interpolation: Any = InterpolationMode.BILINEAR, fill: Any = 0) -> None:
        super().__init__()
        if fill is not None and not isinstance(fill, (Sequence, Number)):
            raise TypeError("Fill should be either a sequence or a number.")
        self.p, self.distortion_scale = p, distortion_scale
        self.interpolation, self.fill = F._mode(interpolation), 0 if fill is None else fill

    @staticmethod
    def get_params(width: int, height: int, distortion_scale: float) -> tuple[list, list]:
        """Draw (corners, moved corners)."""
        dx, dy = int(distortion_scale * (width // 2)), int(distortion_scale * (height // 2))

        def left() -> int:
            return _below(dx + 1)

        def right() -> int:
            return width - dx - 1 + _below(dx + 1)

        def top() -> int:
            return _below(dy + 1)

        def bottom() -> int:
            return height - dy - 1 + _below(dy + 1)

        ends = [[left(), top()], [right(), top()], [right(), bottom()], [left(), bottom()]]
        return [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], ends

    def forward(self, img: Any) -> Any:
        """Apply to one image."""
        channels, height, width = F.get_dimensions(img)
        fill = self.fill
        if isinstance(img, Tensor) and isinstance(fill, Number):
            fill = [float(fill)] * channels
        if rand(1) < self.p:
            points = self.get_params(width, height, self.distortion_scale)
            return F.perspective(img, *points, self.interpolation, fill)
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class GaussianBlur(Module):
    """Blur with a sigma drawn from sigma[0] … sigma[1]."""

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)) -> None:
        super().__init__()
        self.kernel_size = _pair(kernel_size, "Kernel size should be a tuple/list of two integers")
        for k in self.kernel_size:
            if k <= 0 or k % 2 == 0:
                raise ValueError("Kernel size value should be an odd and positive number.")
        if isinstance(sigma, Number):
            if sigma <= 0:
                raise ValueError("If sigma is a single number, it must be positive.")
            sigma = (sigma, sigma)
        elif isinstance(sigma, Sequence) and len(sigma) == 2:
            if not 0.0 < sigma[0] <= sigma[1]:
                raise ValueError("sigma values should be positive and of the form (min, max).")
        else:
            raise ValueError("sigma should be a single number or a list/tuple with length 2.")
        self.sigma = sigma

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """Draw sigma."""
        return _uniform(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        """Apply to one image."""
        sigma = self.get_params(self.sigma[0], self.sigma[1])
        return F.gaussian_blur(img, list(self.kernel_size), [sigma, sigma])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kernel_size={self.kernel_size}, sigma={self.sigma})"


class ElasticTransform(Module):
    """Displace pixels by smoothed noise: alpha is how far, sigma how smooth (Simard et al. 2003)."""

    def __init__(self, alpha: Any = 50.0, sigma: Any = 5.0, interpolation: Any = InterpolationMode.BILINEAR,
                 fill: Any = 0) -> None:
        super().__init__()
        self.alpha, self.sigma = ([float(v)] * 2 if isinstance(v, Number) else [float(x) for x in v]
                                  for v in (alpha, sigma))
        self.interpolation = F._mode(interpolation)
        self.fill = [float(fill)] if isinstance(fill, Number) else [float(v) for v in fill]

    @staticmethod
    def get_params(alpha: Sequence[float], sigma: Sequence[float], size: Sequence[int]) -> Tensor:
        """Draw the displacement (1, H, W, 2)."""
        parts = []
        for a, s, n in zip(alpha, sigma, size[::-1]):
            d = rand([1, 1, *size]) * 2 - 1
            if s > 0.0:
                d = F.gaussian_blur(d, [int(8 * s + 1) | 1] * 2, [float(v) for v in sigma])
            parts.append(d * a / n)
        return cat(parts, 1).permute([0, 2, 3, 1])

    def forward(self, tensor: Any) -> Any:
        """Apply to one image."""
        _, height, width = F.get_dimensions(tensor)
        displacement = self.get_params(self.alpha, self.sigma, [height, width])
        return F.elastic_transform(tensor, displacement, self.interpolation, self.fill)

    def __repr__(self) -> str:
        return (f"{type(self).__name__}(alpha={self.alpha}, sigma={self.sigma}, "
                f"interpolation={self.interpolation}, fill={self.fill})")


class LinearTransformation(Module):
    """(image - mean_vector) @ transformation_matrix, for the image as one row: whitening."""

    def __init__(self, transformation_matrix: Tensor, mean_vector: Tensor) -> None:
        super().__init__()
        n, m = transformation_matrix.shape
        if n != m:
            raise ValueError("transformation_matrix should be square. Got "
                             f"{tuple(transformation_matrix.shape)} rectangular matrix.")
        if mean_vector.size(0) != n:
            raise ValueError(f"mean_vector should have the same length {mean_vector.size(0)} as any one of "
                             f"the dimensions of the transformation_matrix [{(n, m)}]")
        self.transformation_matrix, self.mean_vector = transformation_matrix, mean_vector

    def forward(self, tensor: Tensor) -> Tensor:
        """Apply to one image or batch."""
        n = self.transformation_matrix.shape[0]
        if tensor.shape[-3] * tensor.shape[-2] * tensor.shape[-1] != n:
            raise ValueError("Input tensor and transformation matrix have incompatible shape. "
                             f"[{tensor.shape[-3]} x {tensor.shape[-2]} x {tensor.shape[-1]}] != {n}")
        return ((tensor.view(-1, n) - self.mean_vector) @ self.transformation_matrix).view(tensor.shape)

    def __repr__(self) -> str:
        return (f"{type(self).__name__}(transformation_matrix={self.transformation_matrix.tolist()}, "
                f"mean_vector={self.mean_vector.tolist()})")


class RandomPosterize(_WithChance):
    """Keep `bits` bits of each value, with probability p."""

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = bits

    def _change(self, img: Any) -> Any:
        return F.posterize(img, self.bits)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(bits={self.bits},p={self.p})"


class RandomSolarize(_WithChance):
    """Invert values from `threshold` on, with probability p."""

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = threshold

    def _change(self, img: Any) -> Any:
        return F.solarize(img, self.threshold)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(threshold={self.threshold},p={self.p})"


class RandomAdjustSharpness(_WithChance):
    """Change the sharpness, with probability p."""

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def _change(self, img: Any) -> Any:
        return F.adjust_sharpness(img, self.sharpness_factor)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sharpness_factor={self.sharpness_factor},p={self.p})"


class RandomAutocontrast(_WithChance):
    """Spread the values over the whole range, with probability p."""

    def _change(self, img: Any) -> Any:
        return F.autocontrast(img)


class RandomEqualize(_WithChance):
    """Equalize the histogram, with probability p."""

    def _change(self, img: Any) -> Any:
        return F.equalize(img)


