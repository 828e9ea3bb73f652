"""Layers left out by chance: stochastic depth, blocks dropped."""
from __future__ import annotations

from ... import Tensor, empty, nn
from ...nn import functional as F

__all__ = ["DropBlock2d", "DropBlock3d", "StochasticDepth", "drop_block2d", "drop_block3d",
           "stochastic_depth"]


def stochastic_depth(input: Tensor, p: float, mode: str, training: bool = True) -> Tensor:
    """input, zeroed with chance p as a whole ("batch") or row by row ("row") and else divided by 1 - p."""
    if p < 0.0 or p > 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}")
    if mode not in ("batch", "row"):
        raise ValueError(f"mode has to be either 'batch' or 'row', but got {mode}")
    if not training or p == 0.0:
        return input
    shape = [input.shape[0] if mode == "row" else 1] + [1] * (input.ndim - 1)
    keep = empty(shape, dtype=input.dtype, device=input.device).bernoulli_(1.0 - p)
    return input * (keep.div_(1.0 - p) if p < 1.0 else keep)


class StochasticDepth(nn.Module):
    """`stochastic_depth` while training (Huang et al. 2016)."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, input: Tensor) -> Tensor:
        """Return the input or zeros."""
        return stochastic_depth(input, self.p, self.mode, self.training)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p}, mode={self.mode})"


def _drop_block(x: Tensor, p: float, size: int, inplace: bool, eps: float, training: bool) -> Tensor:
    "Zero cubes of `size` so that a part p of the whole is lost, and scale up the rest (Ghiasi et al. 2018)."
    if p < 0.0 or p > 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}.")
    if not training or p == 0.0:
        return x
    lengths = x.shape[2:]
    size = min(size, *lengths)
    rate = p
    for n in lengths:
        rate *= n / ((n - size + 1) * size)
    seeds = empty((*x.shape[:2], *(n - size + 1 for n in lengths)), dtype=x.dtype, device=x.device)
    seeds = F.pad(seeds.bernoulli_(rate), [size // 2] * (2 * len(lengths)), value=0)
    pool = F.max_pool2d if len(lengths) == 2 else F.max_pool3d
    keep = 1 - pool(seeds, stride=1, kernel_size=size, padding=size // 2)
    scale = keep.numel() / (eps + keep.sum())
    return x.mul_(keep).mul_(scale) if inplace else x * keep * scale


def drop_block2d(input: Tensor, p: float, block_size: int, inplace: bool = False, eps: float = 1e-06,
                 training: bool = True) -> Tensor:
    """Zero squares of block_size × block_size pixels, a part p of (N, C, H, W), and scale up the rest."""
    if input.ndim != 4:
        raise ValueError(f"input should be 4 dimensional. Got {input.ndim} dimensions.")
    return _drop_block(input, p, block_size, inplace, eps, training)


def drop_block3d(input: Tensor, p: float, block_size: int, inplace: bool = False, eps: float = 1e-06,
                 training: bool = True) -> Tensor:
    """`drop_block2d` for (N, C, D, H, W) and cubes."""
    if input.ndim != 5:
        raise ValueError(f"input should be 5 dimensional. Got {input.ndim} dimensions.")
    return _drop_block(input, p, block_size, inplace, eps, training)


class DropBlock2d(nn.Module):
    """`drop_block2d` while training."""

    function = staticmethod(drop_block2d)

    def __init__(self, p: float, block_size: int, inplace: bool = False, eps: float = 1e-06) -> None:
        super().__init__()
        self.p, self.block_size, self.inplace, self.eps = p, block_size, inplace, eps

    def forward(self, input: Tensor) -> Tensor:
        """Return the input with holes."""
        return self.function(input, self.p, self.block_size, self.inplace, self.eps, self.training)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p}, block_size={self.block_size}, inplace={self.inplace})"


class DropBlock3d(DropBlock2d):
    """`drop_block3d` while training."""

    function = staticmethod(drop_block3d)
