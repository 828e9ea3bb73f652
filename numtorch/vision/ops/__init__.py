"""Blocks and operations of image models."""
from .misc import (
    MLP,
    Conv2dNormActivation,
    Conv3dNormActivation,
    ConvNormActivation,
    FrozenBatchNorm2d,
    Permute,
    SqueezeExcitation,
)
from .stochastic_depth import (
    DropBlock2d,
    DropBlock3d,
    StochasticDepth,
    drop_block2d,
    drop_block3d,
    stochastic_depth,
)

__all__ = ["Conv2dNormActivation", "Conv3dNormActivation", "ConvNormActivation", "DropBlock2d", "DropBlock3d",
           "FrozenBatchNorm2d", "MLP", "Permute", "SqueezeExcitation", "StochasticDepth", "drop_block2d",
           "drop_block3d", "stochastic_depth"]
