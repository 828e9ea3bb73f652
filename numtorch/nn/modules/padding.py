"""Padding by a constant, by reflection, by repetition of the edge, and around the circle."""

from __future__ import annotations

from typing import Any

from ... import Tensor
from .. import functional as F
from .module import Module
from .utils import _ntuple, _pair, _quadruple

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]

_sextuple = _ntuple(6, "_sextuple")


class _PadNd(Module):
    """Pads with F.pad in one mode; padding: one number, or (left, right, top, bottom, front, back)."""

    __constants__ = ["padding"]
    _sides: Any
    _mode: str
    padding: tuple[int, ...]

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = self._sides(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _CircularPadNd(_PadNd):
    _mode = "circular"

    def _check_input_dim(self, input: Tensor) -> None:
        raise NotImplementedError

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        return F.pad(input, self.padding, "circular")


class CircularPad1d(_CircularPadNd):
    """Pad the last dimension of (C, L) or (N, C, L) as if it were a circle."""

    _sides = staticmethod(_pair)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {input.dim()}D input)")


class CircularPad2d(_CircularPadNd):
    """Pad the last two dimensions of (C, H, W) or (N, C, H, W) as if they were circles."""

    _sides = staticmethod(_quadruple)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (3, 4):
            raise ValueError(f"expected 3D or 4D input (got {input.dim()}D input)")


class CircularPad3d(_CircularPadNd):
    """Pad the last three dimensions of (C, D, H, W) or (N, C, D, H, W) as if they were circles."""

    _sides = staticmethod(_sextuple)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (4, 5):
            raise ValueError(f"expected 4D or 5D input (got {input.dim()}D input)")


class _ConstantPadNd(_PadNd):
    __constants__ = ["padding", "value"]
    _mode = "constant"
    value: float

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """Pad the last dimension with `value`; negative padding cuts."""

    _sides = staticmethod(_pair)


class ConstantPad2d(_ConstantPadNd):
    """Pad the last two dimensions with `value`; negative padding cuts."""

    _sides = staticmethod(_quadruple)


class ConstantPad3d(_ConstantPadNd):
    """Pad the last three dimensions with `value`; negative padding cuts."""

    _sides = staticmethod(_sextuple)


class ReflectionPad1d(_PadNd):
    """Pad the last dimension with its reflection, the edge not repeated."""

    _mode, _sides = "reflect", staticmethod(_pair)


class ReflectionPad2d(_PadNd):
    """Pad the last two dimensions with their reflection, the edge not repeated."""

    _mode, _sides = "reflect", staticmethod(_quadruple)


class ReflectionPad3d(_PadNd):
    """Pad the last three dimensions with their reflection, the edge not repeated."""

    _mode, _sides = "reflect", staticmethod(_sextuple)


class ReplicationPad1d(_PadNd):
    """Pad the last dimension with its edge values."""

    _mode, _sides = "replicate", staticmethod(_pair)


class ReplicationPad2d(_PadNd):
    """Pad the last two dimensions with their edge values."""

    _mode, _sides = "replicate", staticmethod(_quadruple)


class ReplicationPad3d(_PadNd):
    """Pad the last three dimensions with their edge values."""

    _mode, _sides = "replicate", staticmethod(_sextuple)


class ZeroPad1d(ConstantPad1d):
    """Pad the last dimension with zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Pad the last two dimensions with zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Pad the last three dimensions with zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"
