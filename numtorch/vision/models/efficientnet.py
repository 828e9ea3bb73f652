"""EfficientNet (Tan, Le 2019) and EfficientNetV2 (Tan, Le 2021)."""
from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ... import Tensor, nn
from ..ops.misc import Conv2dNormActivation, SqueezeExcitation
from ..ops.stochastic_depth import StochasticDepth
from ._api import builder, published
from ._utils import _make_divisible, init_he

__all__ = ["EfficientNet", "EfficientNet_B0_Weights", "EfficientNet_B1_Weights", "EfficientNet_B2_Weights",
           "EfficientNet_B3_Weights", "EfficientNet_B4_Weights", "EfficientNet_B5_Weights",
           "EfficientNet_B6_Weights", "EfficientNet_B7_Weights", "EfficientNet_V2_L_Weights",
           "EfficientNet_V2_M_Weights", "EfficientNet_V2_S_Weights", "efficientnet_b0", "efficientnet_b1",
           "efficientnet_b2", "efficientnet_b3", "efficientnet_b4", "efficientnet_b5", "efficientnet_b6",
           "efficientnet_b7", "efficientnet_v2_l", "efficientnet_v2_m", "efficientnet_v2_s"]

EfficientNet_B0_Weights = published("EfficientNet_B0_Weights", __name__)
EfficientNet_B1_Weights = published("EfficientNet_B1_Weights", __name__)
EfficientNet_B2_Weights = published("EfficientNet_B2_Weights", __name__)
EfficientNet_B3_Weights = published("EfficientNet_B3_Weights", __name__)
EfficientNet_B4_Weights = published("EfficientNet_B4_Weights", __name__)
EfficientNet_B5_Weights = published("EfficientNet_B5_Weights", __name__)
EfficientNet_B6_Weights = published("EfficientNet_B6_Weights", __name__)
EfficientNet_B7_Weights = published("EfficientNet_B7_Weights", __name__)
EfficientNet_V2_S_Weights = published("EfficientNet_V2_S_Weights", __name__)
EfficientNet_V2_M_Weights = published("EfficientNet_V2_M_Weights", __name__)
EfficientNet_V2_L_Weights = published("EfficientNet_V2_L_Weights", __name__)


@dataclass
class _MBConvConfig:
    expand_ratio: float
    kernel: int
    stride: int
    input_channels: int
    out_channels: int
    num_layers: int
    block: Callable[..., nn.Module]

    @staticmethod
    def adjust_channels(channels: int, width_mult: float, min_value: int | None = None) -> int:
        """The channels times the width, a multiple of 8."""
        return _make_divisible(channels * width_mult, 8, min_value)


class MBConvConfig(_MBConvConfig):
    """One stage of MBConv blocks, its channels and length scaled by the model's width and depth."""

    def __init__(self, expand_ratio: float, kernel: int, stride: int, input_channels: int, out_channels: int,
                 num_layers: int, width_mult: float = 1.0, depth_mult: float = 1.0,
                 block: Callable[..., nn.Module] | None = None) -> None:
        super().__init__(expand_ratio, kernel, stride, self.adjust_channels(input_channels, width_mult),
                         self.adjust_channels(out_channels, width_mult),
                         self.adjust_depth(num_layers, depth_mult), block or MBConv)

    @staticmethod
    def adjust_depth(num_layers: int, depth_mult: float) -> int:
        """The number of blocks times the depth, rounded up."""
        return int(math.ceil(num_layers * depth_mult))


class FusedMBConvConfig(_MBConvConfig):
    """One stage of FusedMBConv blocks."""

    def __init__(self, expand_ratio: float, kernel: int, stride: int, input_channels: int, out_channels: int,
                 num_layers: int, block: Callable[..., nn.Module] | None = None) -> None:
        super().__init__(expand_ratio, kernel, stride, input_channels, out_channels, num_layers,
                         block or FusedMBConv)


class _Block(nn.Module):
    "x + block(x), the sum left out by chance; without x where shapes differ."

    def __init__(self, cnf: _MBConvConfig, stochastic_depth_prob: float, norm_layer: Callable,
                 *options: Any) -> None:
        super().__init__()
        if not 1 <= cnf.stride <= 2:
            raise ValueError("illegal stride value")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        wide = cnf.adjust_channels(cnf.input_channels, cnf.expand_ratio)
        self.block = nn.Sequential(*self._layers(cnf, wide, norm_layer, *options))
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.out_channels = cnf.out_channels

    def _layers(self, cnf: _MBConvConfig, wide: int, norm: Callable, *options: Any) -> list[nn.Module]:
        raise NotImplementedError

    def forward(self, input: Tensor) -> Tensor:
        """Return the block's output."""
        result = self.block(input)
        return self.stochastic_depth(result) + input if self.use_res_connect else result


class MBConv(_Block):
    """Widen, convolve each channel alone, squeeze and excite, narrow."""

    def __init__(self, cnf: _MBConvConfig, stochastic_depth_prob: float, norm_layer: Callable,
                 se_layer: Callable[..., nn.Module] = SqueezeExcitation) -> None:
        super().__init__(cnf, stochastic_depth_prob, norm_layer, se_layer)

    def _layers(self, cnf: _MBConvConfig, wide: int, norm: Callable, *options: Any) -> list[nn.Module]:
        layers: list[nn.Module] = []
        if wide != cnf.input_channels:
            layers.append(Conv2dNormActivation(cnf.input_channels, wide, kernel_size=1, norm_layer=norm,
                                               activation_layer=nn.SiLU))
        layers += [Conv2dNormActivation(wide, wide, kernel_size=cnf.kernel, stride=cnf.stride, groups=wide,
                                        norm_layer=norm, activation_layer=nn.SiLU),
                   options[0](wide, max(1, cnf.input_channels // 4),
                              activation=partial(nn.SiLU, inplace=True)),
                   Conv2dNormActivation(wide, cnf.out_channels, kernel_size=1, norm_layer=norm,
                                        activation_layer=None)]
        return layers


class FusedMBConv(_Block):
    """Widen with a convolution over all channels, narrow."""

    def _layers(self, cnf: _MBConvConfig, wide: int, norm: Callable, *options: Any) -> list[nn.Module]:
        first = partial(Conv2dNormActivation, cnf.input_channels, kernel_size=cnf.kernel, stride=cnf.stride,
                        norm_layer=norm, activation_layer=nn.SiLU)
        if wide == cnf.input_channels:
            return [first(cnf.out_channels)]
        return [first(wide), Conv2dNormActivation(wide, cnf.out_channels, kernel_size=1, norm_layer=norm,
                                                  activation_layer=None)]


class EfficientNet(nn.Module):
    """Stages of MBConv and FusedMBConv blocks; blocks are left out the more often the deeper they are."""

    def __init__(self, inverted_residual_setting: Sequence[_MBConvConfig], dropout: float,
                 stochastic_depth_prob: float = 0.2, num_classes: int = 1000,
                 norm_layer: Callable[..., nn.Module] | None = None,
                 last_channel: int | None = None) -> None:
        super().__init__()
        if not inverted_residual_setting:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not (isinstance(inverted_residual_setting, Sequence)
                and all(isinstance(s, _MBConvConfig) for s in inverted_residual_setting)):
            raise TypeError("The inverted_residual_setting should be List[MBConvConfig]")
        norm_layer = norm_layer or nn.BatchNorm2d
        layers: list[nn.Module] = [Conv2dNormActivation(
            3, inverted_residual_setting[0].input_channels, kernel_size=3, stride=2, norm_layer=norm_layer,
            activation_layer=nn.SiLU)]
        total, done = sum(c.num_layers for c in inverted_residual_setting), 0
        for setting in inverted_residual_setting:
            stage: list[nn.Module] = []
            for _ in range(setting.num_layers):
                cnf = copy.copy(setting)
                if stage:
                    cnf.input_channels, cnf.stride = cnf.out_channels, 1
                stage.append(cnf.block(cnf, stochastic_depth_prob * float(done) / total, norm_layer))
                done += 1
            layers.append(nn.Sequential(*stage))
        width = inverted_residual_setting[-1].out_channels
        last = last_channel if last_channel is not None else 4 * width
        layers.append(Conv2dNormActivation(width, last, kernel_size=1, norm_layer=norm_layer,
                                           activation_layer=nn.SiLU))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(p=dropout, inplace=True), nn.Linear(last, num_classes))
        init_he(self.features)
        bound = 1.0 / math.sqrt(num_classes)
        nn.init.uniform_(self.classifier[1].weight, -bound, bound)
        nn.init.zeros_(self.classifier[1].bias)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the classes."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


# widening, kernel, stride, channels in, channels out, blocks
_V1 = ((1, 3, 1, 32, 16, 1), (6, 3, 2, 16, 24, 2), (6, 5, 2, 24, 40, 2), (6, 3, 2, 40, 80, 3),
       (6, 5, 1, 80, 112, 3), (6, 5, 2, 112, 192, 4), (6, 3, 1, 192, 320, 1))


def _v1(width: float, depth: float, dropout: float, kwargs: dict) -> EfficientNet:
    return EfficientNet([MBConvConfig(*row, width_mult=width, depth_mult=depth) for row in _V1],
                        kwargs.pop("dropout", dropout), **kwargs)


def _v2(fused: Sequence[tuple], rows: Sequence[tuple], dropout: float, kwargs: dict) -> EfficientNet:
    stages: list[_MBConvConfig] = [FusedMBConvConfig(*r) for r in fused]
    stages += [MBConvConfig(*r) for r in rows]
    return EfficientNet(stages, kwargs.pop("dropout", dropout),
                        **{"last_channel": 1280, "norm_layer": partial(nn.BatchNorm2d, eps=1e-3), **kwargs})


_SLOW_NORM = {"norm_layer": partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)}


@builder(EfficientNet_B0_Weights, "IMAGENET1K_V1")
def efficientnet_b0(**kwargs: Any) -> EfficientNet:
    """EfficientNet-B0."""
    return _v1(1.0, 1.0, 0.2, kwargs)


@builder(EfficientNet_B1_Weights, "IMAGENET1K_V1")
def efficientnet_b1(**kwargs: Any) -> EfficientNet:
    """EfficientNet-B1."""
    return _v1(1.0, 1.1, 0.2, kwargs)


@builder(EfficientNet_B2_Weights, "IMAGENET1K_V1")
def efficientnet_b2(**kwargs: Any) -> EfficientNet:
    """EfficientNet-B2."""
    return _v1(1.1, 1.2, 0.3, kwargs)


@builder(EfficientNet_B3_Weights, "IMAGENET1K_V1")
def efficientnet_b3(**kwargs: Any) -> EfficientNet:
    """EfficientNet-B3."""
    return _v1(1.2, 1.4, 0.3, kwargs)


@builder(EfficientNet_B4_Weights, "IMAGENET1K_V1")
def efficientnet_b4(**kwargs: Any) -> EfficientNet:
    """EfficientNet-B4."""
    return _v1(1.4, 1.8, 0.4, kwargs)


@builder(EfficientNet_B5_Weights, "IMAGENET1K_V1")
def efficientnet_b5(**kwargs: Any) -> EfficientNet:
    """EfficientNet-B5."""
    return _v1(1.6, 2.2, 0.4, {**_SLOW_NORM, **kwargs})


@builder(EfficientNet_B6_Weights, "IMAGENET1K_V1")
def efficientnet_b6(**kwargs: Any) -> EfficientNet:
    """EfficientNet-B6."""
    return _v1(1.8, 2.6, 0.5, {**_SLOW_NORM, **kwargs})


@builder(EfficientNet_B7_Weights, "IMAGENET1K_V1")
def efficientnet_b7(**kwargs: Any) -> EfficientNet:
    """EfficientNet-B7."""
    return _v1(2.0, 3.1, 0.5, {**_SLOW_NORM, **kwargs})


@builder(EfficientNet_V2_S_Weights, "IMAGENET1K_V1")
def efficientnet_v2_s(**kwargs: Any) -> EfficientNet:
    """EfficientNetV2-S."""
    return _v2([(1, 3, 1, 24, 24, 2), (4, 3, 2, 24, 48, 4), (4, 3, 2, 48, 64, 4)],
               [(4, 3, 2, 64, 128, 6), (6, 3, 1, 128, 160, 9), (6, 3, 2, 160, 256, 15)], 0.2, kwargs)


@builder(EfficientNet_V2_M_Weights, "IMAGENET1K_V1")
def efficientnet_v2_m(**kwargs: Any) -> EfficientNet:
    """EfficientNetV2-M."""
    return _v2([(1, 3, 1, 24, 24, 3), (4, 3, 2, 24, 48, 5), (4, 3, 2, 48, 80, 5)],
               [(4, 3, 2, 80, 160, 7), (6, 3, 1, 160, 176, 14), (6, 3, 2, 176, 304, 18),
                (6, 3, 1, 304, 512, 5)], 0.3, kwargs)


@builder(EfficientNet_V2_L_Weights, "IMAGENET1K_V1")
def efficientnet_v2_l(**kwargs: Any) -> EfficientNet:
    """EfficientNetV2-L."""
    return _v2([(1, 3, 1, 32, 32, 4), (4, 3, 2, 32, 64, 7), (4, 3, 2, 64, 96, 7)],
               [(4, 3, 2, 96, 192, 10), (6, 3, 1, 192, 224, 19), (6, 3, 2, 224, 384, 25),
                (6, 3, 1, 384, 640, 7)], 0.4, kwargs)
