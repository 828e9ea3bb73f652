"""grid_sample: a picture read at given places between its pixels."""
from __future__ import annotations

import itertools
import math

from ..dtypes import int64
from ..kinds import composite
from ..kinds.memory import rowmajor
from .create import arange
from .pointwise import where

MODES, PADDINGS = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")


def _reflected(at, low: float, high: float):
    "Places folded back into [low, high] at its ends."
    span = high - low
    if span == 0:
        return at * 0
    away = (at - low).abs()
    times, rest = (away / span).floor(), away.fmod(span)
    return where(times.remainder(2) == 0, rest + low, span - rest + low)


def _inside(at, n: int, padding: str, align: bool):
    "Places brought into the picture as the padding says; those of `zeros` stay."
    if padding == "reflection":
        at = _reflected(at, 0.0, n - 1.0) if align else _reflected(at, -0.5, n - 0.5)
    return at if padding == "zeros" else at.clamp(0, n - 1)


def _read(x, places):
    "x (N, C, ...) at whole places, one tensor (N, ...) a dimension; 0 outside. (N, C, ...)."
    sizes, shape = x.shape[2:], places[0].shape[1:]
    good, flat = None, 0
    for p, n in zip(places, sizes):
        ok = (p >= 0) & (p < n)
        good = ok if good is None else good & ok
        flat = flat * n + p.clamp(0, n - 1).to(int64)
    index = flat.reshape(x.shape[0], 1, -1).expand(x.shape[0], x.shape[1], math.prod(shape))
    values = x.reshape(x.shape[0], x.shape[1], -1).gather(2, index).reshape(*x.shape[:2], *shape)
    return values * good.unsqueeze(1).to(x.dtype)


def _cubic(t) -> list:
    "The weights of four neighbours at distance t past the second (Keys 1981, a = -0.75)."
    a = -0.75
    near = lambda d: ((a + 2) * d - (a + 3)) * d * d + 1
    far = lambda d: ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _sampled(x, grid, mode: str, padding: str, align: bool):
    sizes = x.shape[2:]
    if x.numel() == 0 or grid.numel() == 0:
        return x.new_zeros((*x.shape[:2], *grid.shape[1:-1])) + x.sum() * 0 + grid.sum() * 0
    places = []
    for d, n in enumerate(sizes):  # the last entry of a grid point is the first coordinate, x
        g = grid.select(-1, len(sizes) - 1 - d)
        at = (g + 1) / 2 * (n - 1) if align else ((g + 1) * n - 1) / 2
        places.append(at if mode == "bicubic" else _inside(at, n, padding, align))
    if mode == "nearest":
        return _read(x, [p.round() for p in places]) + (grid * 0).sum()
    starts = [p.detach().floor() for p in places]
    if mode == "bicubic":
        weights = [_cubic(p - s) for p, s in zip(places, starts)]
        steps: tuple[int, ...] = (-1, 0, 1, 2)
    else:
        weights, steps = [[1 - (p - s), p - s] for p, s in zip(places, starts)], (0, 1)
    out = None
    for corner in itertools.product(range(len(steps)), repeat=len(sizes)):
        at = [s + steps[k] for s, k in zip(starts, corner)]
        if mode == "bicubic":
            at = [_inside(a, n, padding, align).round() for a, n in zip(at, sizes)]
        weight = weights[0][corner[0]]
        for w, k in zip(weights[1:], corner[1:]):
            weight = weight * w[k]
        part = weight.unsqueeze(1) * _read(x, at)
        out = part if out is None else out + part
    return out


def _checked(x, grid, mode: str, padding: str) -> None:
    if mode not in MODES:
        raise ValueError("nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or "
                         f"'bicubic', but got: '{mode}'")
    if padding not in PADDINGS:
        raise ValueError("nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
                         f"'reflection', but got: '{padding}'")
    shapes = f"but got input with sizes {list(x.shape)} and grid with sizes {list(grid.shape)}"
    if x.ndim not in (4, 5) or x.ndim != grid.ndim:
        raise RuntimeError("grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, "
                           f"{shapes}")
    if x.shape[0] != grid.shape[0]:
        raise RuntimeError(f"grid_sampler(): expected grid and input to have same batch size, {shapes}")
    if grid.shape[-1] != x.ndim - 2:
        raise RuntimeError(f"grid_sampler(): expected grid to have size {x.ndim - 2} in last dimension, but "
                           f"got grid with sizes {list(grid.shape)}")
    if mode == "bicubic" and x.ndim == 5:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if any(n == 0 for n in x.shape[2:]):
        raise RuntimeError("grid_sampler(): expected input to have non-empty spatial dimensions, but input "
                           f"has sizes {list(x.shape)}")


@composite(memory=rowmajor, at=("nn.functional",))
def grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """x (N, C, H, W) or (N, C, D, H, W) at the places `grid` (N, ..., 2 or 3) in [-1, 1], given as (x, y) or
    (x, y, z)."""
    _checked(x, grid, mode, padding_mode)
    return _sampled(x, grid, mode, padding_mode, bool(align_corners))


def _sampler(name: str):
    def entry(x, grid, interpolation_mode, padding_mode, align_corners):
        _checked(x, grid, MODES[interpolation_mode], PADDINGS[padding_mode])
        return _sampled(x, grid, MODES[interpolation_mode], PADDINGS[padding_mode], bool(align_corners))
    entry.__name__, entry.__doc__ = name, "grid_sample with its modes as the numbers 0, 1, 2."
    return composite(entry, memory=rowmajor, at=("torch",))


grid_sampler, grid_sampler_2d, grid_sampler_3d = (_sampler(n) for n in (
    "grid_sampler", "grid_sampler_2d", "grid_sampler_3d"))


def affine_grid(theta, size, align_corners=None):
    "The grid for grid_sample that maps every place of an output of `size` by theta (N, 2, 3) or (N, 3, 4)."
    axes = []
    for n in size[2:]:
        places = arange(n, dtype=theta.dtype, device=theta.device) * 2 - (n - 1)
        axes.append(places / max(n - 1 if align_corners else n, 1))
    d = len(axes)
    grids = [a.reshape([-1 if i == k else 1 for i in range(d)]).expand(size[2:]) for k, a in enumerate(axes)]
    from .join import stack
    base = stack([*grids[::-1], grids[0] * 0 + 1], -1).reshape(1, -1, d + 1)
    return (base @ theta.transpose(1, 2)).reshape(size[0], *size[2:], d)


FUNCTIONAL = {"affine_grid": affine_grid}
