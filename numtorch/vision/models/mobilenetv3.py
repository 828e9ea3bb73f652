"""MobileNetV3 (Howard et al. 2019)."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ... import Tensor, nn
from ..ops.misc import Conv2dNormActivation, SqueezeExcitation
from ._api import builder, published
from ._utils import _make_divisible, init_he

__all__ = ["MobileNetV3", "MobileNet_V3_Large_Weights", "MobileNet_V3_Small_Weights", "mobilenet_v3_large",
           "mobilenet_v3_small"]

MobileNet_V3_Large_Weights = published("MobileNet_V3_Large_Weights", __name__)
MobileNet_V3_Small_Weights = published("MobileNet_V3_Small_Weights", __name__)


class InvertedResidualConfig:
    """One block; activation "RE" is ReLU, "HS" hard swish."""

    def __init__(self, input_channels: int, kernel: int, expanded_channels: int, out_channels: int,
                 use_se: bool, activation: str, stride: int, dilation: int, width_mult: float) -> None:
        self.input_channels = self.adjust_channels(input_channels, width_mult)
        self.kernel = kernel
        self.expanded_channels = self.adjust_channels(expanded_channels, width_mult)
        self.out_channels = self.adjust_channels(out_channels, width_mult)
        self.use_se, self.use_hs = use_se, activation == "HS"
        self.stride, self.dilation = stride, dilation

    @staticmethod
    def adjust_channels(channels: int, width_mult: float) -> int:
        """The channels times the width, a multiple of 8."""
        return _make_divisible(channels * width_mult, 8)


class InvertedResidual(nn.Module):
    """Widen, convolve each channel alone, squeeze and excite, narrow."""

    def __init__(self, cnf: InvertedResidualConfig, norm_layer: Callable,
                 se_layer: Callable = partial(SqueezeExcitation, scale_activation=nn.Hardsigmoid)) -> None:
        super().__init__()
        if not 1 <= cnf.stride <= 2:
            raise ValueError("illegal stride value")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        act, wide = nn.Hardswish if cnf.use_hs else nn.ReLU, cnf.expanded_channels
        layers: list[nn.Module] = []
        if wide != cnf.input_channels:
            layers.append(Conv2dNormActivation(cnf.input_channels, wide, kernel_size=1, norm_layer=norm_layer,
                                               activation_layer=act))
        layers.append(Conv2dNormActivation(
            wide, wide, kernel_size=cnf.kernel, stride=1 if cnf.dilation > 1 else cnf.stride,
            dilation=cnf.dilation, groups=wide, norm_layer=norm_layer, activation_layer=act))
        if cnf.use_se:
            layers.append(se_layer(wide, _make_divisible(wide // 4, 8)))
        layers.append(Conv2dNormActivation(wide, cnf.out_channels, kernel_size=1, norm_layer=norm_layer,
                                           activation_layer=None))
        self.block = nn.Sequential(*layers)
        self.out_channels = cnf.out_channels
        self._is_cn = cnf.stride > 1

    def forward(self, input: Tensor) -> Tensor:
        """Return the block's output."""
        result = self.block(input)
        if self.use_res_connect:
            result += input
        return result


class MobileNetV3(nn.Module):
    """Inverted residuals with squeeze and excitation, and two linear layers."""

    def __init__(self, inverted_residual_setting: Sequence[InvertedResidualConfig], last_channel: int,
                 num_classes: int = 1000, block: Callable | None = None,
                 norm_layer: Callable | None = None, dropout: float = 0.2) -> None:
        super().__init__()
        if not inverted_residual_setting:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not (isinstance(inverted_residual_setting, Sequence)
                and all(isinstance(s, InvertedResidualConfig) for s in inverted_residual_setting)):
            raise TypeError("The inverted_residual_setting should be List[InvertedResidualConfig]")
        block = block or InvertedResidual
        norm_layer = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        conv = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.Hardswish)
        rows = inverted_residual_setting
        width = rows[-1].out_channels
        self.features = nn.Sequential(conv(3, rows[0].input_channels, kernel_size=3, stride=2),
                                      *(block(cnf, norm_layer) for cnf in rows),
                                      conv(width, 6 * width, kernel_size=1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Linear(6 * width, last_channel), nn.Hardswish(inplace=True),
                                        nn.Dropout(p=dropout, inplace=True),
                                        nn.Linear(last_channel, num_classes))
        init_he(self, linear=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the classes."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


# channels in, kernel, wide, channels out, squeeze and excitation, activation, stride
_LARGE: tuple[tuple, ...] = (
    (16, 3, 16, 16, False, "RE", 1), (16, 3, 64, 24, False, "RE", 2), (24, 3, 72, 24, False, "RE", 1),
    (24, 5, 72, 40, True, "RE", 2), (40, 5, 120, 40, True, "RE", 1), (40, 5, 120, 40, True, "RE", 1),
    (40, 3, 240, 80, False, "HS", 2), (80, 3, 200, 80, False, "HS", 1), (80, 3, 184, 80, False, "HS", 1),
    (80, 3, 184, 80, False, "HS", 1), (80, 3, 480, 112, True, "HS", 1), (112, 3, 672, 112, True, "HS", 1))
_SMALL: tuple[tuple, ...] = (
    (16, 3, 16, 16, True, "RE", 2), (16, 3, 72, 24, False, "RE", 2), (24, 3, 88, 24, False, "RE", 1),
    (24, 5, 96, 40, True, "HS", 2), (40, 5, 240, 40, True, "HS", 1), (40, 5, 240, 40, True, "HS", 1),
    (40, 5, 120, 48, True, "HS", 1), (48, 5, 144, 48, True, "HS", 1))


def _make(rows: tuple, enter: int, wide: int, out: int, last: int, kwargs: dict) -> MobileNetV3:
    "rows, then three blocks of the tail, which may be narrowed or dilated."
    width = kwargs.pop("width_mult", 1.0)
    if kwargs.pop("reduced_tail", False):
        out, last = out // 2, last // 2
    dilation = 2 if kwargs.pop("dilated", False) else 1
    tail = [(enter, 5, wide, out, True, "HS", 2)] + [(out, 5, out * 6, out, True, "HS", 1)] * 2
    every: list[Any] = [(*row, 1, width) for row in rows] + [(*row, dilation, width) for row in tail]
    settings = [InvertedResidualConfig(*row) for row in every]
    return MobileNetV3(settings, InvertedResidualConfig.adjust_channels(last, width), **kwargs)


@builder(MobileNet_V3_Large_Weights, "IMAGENET1K_V1")
def mobilenet_v3_large(**kwargs: Any) -> MobileNetV3:
    """MobileNetV3-Large."""
    return _make(_LARGE, 112, 672, 160, 1280, kwargs)


@builder(MobileNet_V3_Small_Weights, "IMAGENET1K_V1")
def mobilenet_v3_small(**kwargs: Any) -> MobileNetV3:
    """MobileNetV3-Small."""
    return _make(_SMALL, 48, 288, 96, 1024, kwargs)
