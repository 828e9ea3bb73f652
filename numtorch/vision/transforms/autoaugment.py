"""Learnt and random policies of augmentation."""
from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from typing import Any

from ... import Tensor, arange, linspace, rand, randint, tensor
from ...nn import Module
from . import functional as F
from .functional import InterpolationMode
from .transforms import Number

__all__ = ["AutoAugment", "AutoAugmentPolicy", "RandAugment", "TrivialAugmentWide"]


class AutoAugmentPolicy(Enum):
    """The data set that a policy was learnt on."""

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    SVHN = "svhn"


def _table(text: str) -> list[list[tuple[str, float, int | None]]]:
    "Rows of two operations: name, probability, magnitude's index."
    rows = []
    for line in text.strip().splitlines():
        w = line.split()
        rows.append([(w[i], float(w[i + 1]), None if w[i + 2] == "-" else int(w[i + 2])) for i in (0, 3)])
    return rows


# Cubuk et al. 2019, appendix.
_POLICIES = {
    AutoAugmentPolicy.IMAGENET: _table("""
        Posterize 0.4 8 Rotate 0.6 9
        Solarize 0.6 5 AutoContrast 0.6 -
        Equalize 0.8 - Equalize 0.6 -
        Posterize 0.6 7 Posterize 0.6 6
        Equalize 0.4 - Solarize 0.2 4
        Equalize 0.4 - Rotate 0.8 8
        Solarize 0.6 3 Equalize 0.6 -
        Posterize 0.8 5 Equalize 1 -
        Rotate 0.2 3 Solarize 0.6 8
        Equalize 0.6 - Posterize 0.4 6
        Rotate 0.8 8 Color 0.4 0
        Rotate 0.4 9 Equalize 0.6 -
        Equalize 0 - Equalize 0.8 -
        Invert 0.6 - Equalize 1 -
        Color 0.6 4 Contrast 1 8
        Rotate 0.8 8 Color 1 2
        Color 0.8 8 Solarize 0.8 7
        Sharpness 0.4 7 Invert 0.6 -
        ShearX 0.6 5 Equalize 1 -
        Color 0.4 0 Equalize 0.6 -
        Equalize 0.4 - Solarize 0.2 4
        Solarize 0.6 5 AutoContrast 0.6 -
        Invert 0.6 - Equalize 1 -
        Color 0.6 4 Contrast 1 8
        Equalize 0.8 - Equalize 0.6 -
        """),
    AutoAugmentPolicy.CIFAR10: _table("""
        Invert 0.1 - Contrast 0.2 6
        Rotate 0.7 2 TranslateX 0.3 9
        Sharpness 0.8 1 Sharpness 0.9 3
        ShearY 0.5 8 TranslateY 0.7 9
        AutoContrast 0.5 - Equalize 0.9 -
        ShearY 0.2 7 Posterize 0.3 7
        Color 0.4 3 Brightness 0.6 7
        Sharpness 0.3 9 Brightness 0.7 9
        Equalize 0.6 - Equalize 0.5 -
        Contrast 0.6 7 Sharpness 0.6 5
        Color 0.7 7 TranslateX 0.5 8
        Equalize 0.3 - AutoContrast 0.4 -
        TranslateY 0.4 3 Sharpness 0.2 6
        Brightness 0.9 6 Color 0.2 8
        Solarize 0.5 2 Invert 0 -
        Equalize 0.2 - AutoContrast 0.6 -
        Equalize 0.2 - Equalize 0.6 -
        Color 0.9 9 Equalize 0.6 -
        AutoContrast 0.8 - Solarize 0.2 8
        Brightness 0.1 3 Color 0.7 0
        Solarize 0.4 5 AutoContrast 0.9 -
        TranslateY 0.9 9 TranslateY 0.7 9
        AutoContrast 0.9 - Solarize 0.8 3
        Equalize 0.8 - Invert 0.1 -
        TranslateY 0.7 9 AutoContrast 0.9 -
        """),
    AutoAugmentPolicy.SVHN: _table("""
        ShearX 0.9 4 Invert 0.2 -
        ShearY 0.9 8 Invert 0.7 -
        Equalize 0.6 - Solarize 0.6 6
        Invert 0.9 - Equalize 0.6 -
        Equalize 0.6 - Rotate 0.9 3
        ShearX 0.9 4 AutoContrast 0.8 -
        ShearY 0.9 8 Invert 0.4 -
        ShearY 0.9 5 Solarize 0.2 6
        Invert 0.9 - AutoContrast 0.8 -
        Equalize 0.6 - Rotate 0.9 3
        ShearX 0.9 4 Solarize 0.3 3
        ShearY 0.8 8 Invert 0.7 -
        Equalize 0.9 - TranslateY 0.6 6
        Invert 0.9 - Equalize 0.6 -
        Contrast 0.3 3 Rotate 0.8 4
        Invert 0.8 - TranslateY 0 2
        ShearY 0.7 6 Solarize 0.4 8
        Invert 0.6 - Rotate 0.8 4
        ShearY 0.3 7 TranslateX 0.9 3
        ShearX 0.1 6 Invert 0.6 -
        Solarize 0.7 2 TranslateY 0.6 7
        ShearY 0.8 4 Invert 0.8 -
        ShearX 0.7 9 TranslateY 0.8 3
        ShearY 0.8 5 AutoContrast 0.7 -
        ShearX 0.7 2 Invert 0.1 -
        """),
}

_TONES = {"Brightness": F.adjust_brightness, "Color": F.adjust_saturation, "Contrast": F.adjust_contrast,
          "Sharpness": F.adjust_sharpness}


def _apply(img: Any, name: str, m: float, interpolation: Any, fill: Any) -> Any:
    "One operation with the magnitude m."
    options = {"interpolation": interpolation, "fill": fill}
    slope = math.degrees(math.atan(m))
    if name == "ShearX":  # as Pillow's affine: about the corner
        return F.affine(img, 0.0, [0, 0], 1.0, [slope, 0.0], center=[0, 0], **options)
    if name == "ShearY":
        return F.affine(img, 0.0, [0, 0], 1.0, [0.0, slope], center=[0, 0], **options)
    if name == "TranslateX":
        return F.affine(img, 0.0, [int(m), 0], 1.0, [0.0, 0.0], **options)
    if name == "TranslateY":
        return F.affine(img, 0.0, [0, int(m)], 1.0, [0.0, 0.0], **options)
    if name == "Rotate":
        return F.rotate(img, m, **options)
    if name in _TONES:
        return _TONES[name](img, 1.0 + m)
    if name == "Posterize":
        return F.posterize(img, int(m))
    if name == "Solarize":
        return F.solarize(img, m)
    if name == "Identity":
        return img
    plain = {"AutoContrast": F.autocontrast, "Equalize": F.equalize, "Invert": F.invert}
    if name not in plain:
        raise ValueError(f"The provided operator {name} is not recognized.")
    return plain[name](img)


def _space(bins: int, shear: float, far: tuple[float, float], turn: float, tone: float, bits: int,
           last: Sequence[str]) -> dict[str, tuple[Tensor, bool]]:
    "Operations, the magnitudes of each, and whether its sign is drawn."
    space = {"ShearX": (linspace(0.0, shear, bins), True), "ShearY": (linspace(0.0, shear, bins), True),
             "TranslateX": (linspace(0.0, far[0], bins), True),
             "TranslateY": (linspace(0.0, far[1], bins), True), "Rotate": (linspace(0.0, turn, bins), True)}
    for name in ("Brightness", "Color", "Contrast", "Sharpness"):
        space[name] = (linspace(0.0, tone, bins), True)
    space["Posterize"] = (8 - (arange(bins) / ((bins - 1) / bits)).round().int(), False)
    space["Solarize"] = (linspace(255.0, 0.0, bins), False)
    for name in last:
        space[name] = (tensor(0.0), False)
    return space


class _Augment(Module):
    def __init__(self, interpolation: Any, fill: Any) -> None:
        super().__init__()
        self.interpolation, self.fill = F._mode(interpolation), fill

    def _paper(self, img: Any) -> Any:
        "The fill value in the form that tensors need."
        if self.fill is None or not isinstance(img, Tensor):
            return self.fill
        channels = F.get_dimensions(img)[0]
        if isinstance(self.fill, Number):
            return [float(self.fill)] * channels
        return [float(f) for f in self.fill]


class AutoAugment(_Augment):
    """One of 25 learnt pairs of operations (Cubuk et al. 2019), for uint8 tensors and Pillow images."""

    def __init__(self, policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET,
                 interpolation: Any = InterpolationMode.NEAREST, fill: Any = None) -> None:
        super().__init__(interpolation, fill)
        if policy not in _POLICIES:
            raise ValueError(f"The provided policy {policy} is not recognized.")
        self.policy, self.policies = policy, _POLICIES[policy]

    @staticmethod
    def get_params(transform_num: int) -> tuple[int, Tensor, Tensor]:
        """Draw (row of the policy, two probabilities, two signs)."""
        return int(randint(transform_num, (1,)).item()), rand((2,)), randint(2, (2,))

    def forward(self, img: Any) -> Any:
        """Apply to one image."""
        fill = self._paper(img)
        row, chances, signs = self.get_params(len(self.policies))
        _, height, width = F.get_dimensions(img)
        space = _space(10, 0.3, (150.0 / 331.0 * width, 150.0 / 331.0 * height), 30.0, 0.9, 4,
                       ("AutoContrast", "Equalize", "Invert"))
        for i, (name, p, index) in enumerate(self.policies[row]):
            if chances[i] <= p:
                magnitudes, signed = space[name]
                m = float(magnitudes[index].item()) if index is not None else 0.0
                img = _apply(img, name, -m if signed and signs[i] == 0 else m, self.interpolation, fill)
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(policy={self.policy}, fill={self.fill})"


class RandAugment(_Augment):
    """num_ops random operations of one magnitude (Cubuk et al. 2020)."""

    def __init__(self, num_ops: int = 2, magnitude: int = 9, num_magnitude_bins: int = 31,
                 interpolation: Any = InterpolationMode.NEAREST, fill: Any = None) -> None:
        super().__init__(interpolation, fill)
        self.num_ops, self.magnitude, self.num_magnitude_bins = num_ops, magnitude, num_magnitude_bins

    def forward(self, img: Any) -> Any:
        """Apply to one image."""
        fill = self._paper(img)
        _, height, width = F.get_dimensions(img)
        space = {"Identity": (tensor(0.0), False),
                 **_space(self.num_magnitude_bins, 0.3, (150.0 / 331.0 * width, 150.0 / 331.0 * height), 30.0,
                          0.9, 4, ("AutoContrast", "Equalize"))}
        for _ in range(self.num_ops):
            name = list(space)[int(randint(len(space), (1,)).item())]
            magnitudes, signed = space[name]
            m = float(magnitudes[self.magnitude].item()) if magnitudes.ndim > 0 else 0.0
            if signed and randint(2, (1,)):
                m *= -1.0
            img = _apply(img, name, m, self.interpolation, fill)
        return img

    def __repr__(self) -> str:
        return (f"{type(self).__name__}(num_ops={self.num_ops}, magnitude={self.magnitude}, "
                f"num_magnitude_bins={self.num_magnitude_bins}, interpolation={self.interpolation}, "
                f"fill={self.fill})")


class TrivialAugmentWide(_Augment):
    """One random operation of random magnitude (Müller, Hutter 2021)."""

    def __init__(self, num_magnitude_bins: int = 31, interpolation: Any = InterpolationMode.NEAREST,
                 fill: Any = None) -> None:
        super().__init__(interpolation, fill)
        self.num_magnitude_bins = num_magnitude_bins

    def forward(self, img: Any) -> Any:
        """Apply to one image."""
        fill = self._paper(img)
        space = {"Identity": (tensor(0.0), False),
                 **_space(self.num_magnitude_bins, 0.99, (32.0, 32.0), 135.0, 0.99, 6,
                          ("AutoContrast", "Equalize"))}
        name = list(space)[int(randint(len(space), (1,)).item())]
        magnitudes, signed = space[name]
        m = float(magnitudes[randint(len(magnitudes), (1,))].item()) if magnitudes.ndim > 0 else 0.0
        if signed and randint(2, (1,)):
            m *= -1.0
        return _apply(img, name, m, self.interpolation, fill)

    def __repr__(self) -> str:
        return (f"{type(self).__name__}(num_magnitude_bins={self.num_magnitude_bins}, "
                f"interpolation={self.interpolation}, fill={self.fill})")
