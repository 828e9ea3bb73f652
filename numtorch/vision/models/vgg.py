"""VGG (Simonyan, Zisserman 2014)."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import Tensor, nn
from ._api import builder, published
from ._utils import init_he

__all__ = ["VGG", "VGG11_BN_Weights", "VGG11_Weights", "VGG13_BN_Weights", "VGG13_Weights",
           "VGG16_BN_Weights", "VGG16_Weights", "VGG19_BN_Weights", "VGG19_Weights", "vgg11", "vgg11_bn",
           "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"]

VGG11_Weights = published("VGG11_Weights", __name__)
VGG11_BN_Weights = published("VGG11_BN_Weights", __name__)
VGG13_Weights = published("VGG13_Weights", __name__)
VGG13_BN_Weights = published("VGG13_BN_Weights", __name__)
VGG16_Weights = published("VGG16_Weights", __name__)
VGG16_BN_Weights = published("VGG16_BN_Weights", __name__)
VGG19_Weights = published("VGG19_Weights", __name__)
VGG19_BN_Weights = published("VGG19_BN_Weights", __name__)


def _stages(*counts: int) -> list[int | str]:
    out: list[int | str] = []
    for channels, n in zip((64, 128, 256, 512, 512), counts):
        out += [channels] * n + ["M"]
    return out


# Channels of the convolutions; M is a max pool of 2.
cfgs: dict[str, list[int | str]] = {"A": _stages(1, 1, 2, 2, 2), "B": _stages(2, 2, 2, 2, 2),
                                    "D": _stages(2, 2, 3, 3, 3), "E": _stages(2, 2, 4, 4, 4)}


class VGG(nn.Module):
    """3 × 3 convolutions `features` and three linear layers."""

    def __init__(self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True,
                 dropout: float = 0.5) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(True), nn.Dropout(p=dropout),
            nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout(p=dropout), nn.Linear(4096, num_classes))
        if init_weights:
            init_he(self, nonlinearity="relu", linear=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the classes."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def make_layers(cfg: Sequence[int | str], batch_norm: bool = False) -> nn.Sequential:
    """Convolutions of the channels in cfg, each with ReLU; "M" is a max pool."""
    layers: list[nn.Module] = []
    channels = 3
    for v in cfg:
        if isinstance(v, str):
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            continue
        layers.append(nn.Conv2d(channels, v, kernel_size=3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(v))
        layers.append(nn.ReLU(inplace=True))
        channels = v
    return nn.Sequential(*layers)


@builder(VGG11_Weights, "IMAGENET1K_V1")
def vgg11(**kwargs: Any) -> VGG:
    """VGG-11."""
    return VGG(make_layers(cfgs["A"]), **kwargs)


@builder(VGG11_BN_Weights, "IMAGENET1K_V1")
def vgg11_bn(**kwargs: Any) -> VGG:
    """VGG-11 with batch normalization."""
    return VGG(make_layers(cfgs["A"], True), **kwargs)


@builder(VGG13_Weights, "IMAGENET1K_V1")
def vgg13(**kwargs: Any) -> VGG:
    """VGG-13."""
    return VGG(make_layers(cfgs["B"]), **kwargs)


@builder(VGG13_BN_Weights, "IMAGENET1K_V1")
def vgg13_bn(**kwargs: Any) -> VGG:
    """VGG-13 with batch normalization."""
    return VGG(make_layers(cfgs["B"], True), **kwargs)


@builder(VGG16_Weights, "IMAGENET1K_V1")
def vgg16(**kwargs: Any) -> VGG:
    """VGG-16."""
    return VGG(make_layers(cfgs["D"]), **kwargs)


@builder(VGG16_BN_Weights, "IMAGENET1K_V1")
def vgg16_bn(**kwargs: Any) -> VGG:
    """VGG-16 with batch normalization."""
    return VGG(make_layers(cfgs["D"], True), **kwargs)


@builder(VGG19_Weights, "IMAGENET1K_V1")
def vgg19(**kwargs: Any) -> VGG:
    """VGG-19."""
    return VGG(make_layers(cfgs["E"]), **kwargs)


@builder(VGG19_BN_Weights, "IMAGENET1K_V1")
def vgg19_bn(**kwargs: Any) -> VGG:
    """VGG-19 with batch normalization."""
    return VGG(make_layers(cfgs["E"], True), **kwargs)
