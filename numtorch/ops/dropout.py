"""Dropout: parts of a tensor set to zero at random, the rest scaled so that the mean stays.

The mask is 1 where f53 < 1 − p, drawn in the memory order of the input, so PyTorch's masks for the same
seed."""
from __future__ import annotations

import math
import warnings
from typing import Any

from .. import dtypes as D
from .. import layouts as L
from ..dispatch import fresh
from ..kinds import composite
from ..tensor import Tensor
from .create import ones
from .index import title
from .random import draw

F = ("nn.functional",)
# −λα of SELU: what alpha dropout puts in place of a dropped element.
ALPHA = 1.7580993408473766


def _check(p: float, error: type[Exception] = RuntimeError) -> None:
    if not 0 <= p <= 1:
        raise error(f"dropout probability has to be between 0 and 1, but got {p}")


def _mask(x: Tensor, features: bool) -> Tensor:
    """The tensor on which noise is shaped: x, or for features one number for each (sample, channel)."""
    if x.dtype.category != D.FLOAT:
        raise RuntimeError(f"result type Float can't be cast to the desired output type {title(x.dtype)}")
    if not features:
        return x
    if x.ndim < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    shape = (*x.shape[:2], *[1] * (x.ndim - 2))
    return fresh(L.contiguous(shape), x.dtype, x.device)


def _drop(x: Any, p: float, train: bool, features: bool, inplace: bool) -> Tensor:
    """x · bernoulli(1 − p) / (1 − p)."""
    if not isinstance(x, Tensor):
        raise TypeError(f"dropout(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")
    _check(p)
    if p == 0 or not train or x.numel() == 0:
        return x
    if p == 1:
        return x.mul_(0) if inplace else x * 0
    noise = draw(_mask(x, features), "dropout_noise", 1.0 - p)
    return x.mul_(noise) if inplace else x * noise


def _alpha_drop(x: Any, p: float, train: bool, features: bool, inplace: bool) -> Tensor:
    """a (x · kept + (−λα) · dropped) + b: mean 0 and variance 1 stay so."""
    if not isinstance(x, Tensor):
        raise TypeError("alpha_dropout(): argument 'input' (position 1) must be Tensor, not "
                        f"{type(x).__name__}")
    _check(p)
    if p == 0 or not train or x.numel() == 0:
        return x
    if p == 1:
        return x.mul_(0) if inplace else x * 0
    kept = draw(_mask(x, features), "bernoulli", 1.0 - p)
    a = 1.0 / math.sqrt((ALPHA * ALPHA * p + 1.0) * (1.0 - p))
    shift = kept.add(-1).mul_(ALPHA * a).add_(ALPHA * a * p)
    kept = kept.mul_(a)
    return x.mul_(kept).add_(shift) if inplace else x * kept + shift


# ------------------------------------------------------------------------------------------ nn.functional
@composite(at=F)
def dropout(input, p=0.5, training=True, inplace=False):
    "Zero each element with probability `p` when training, and divide the rest by 1 − p."
    _check(p, ValueError)
    return _drop(input, p, training, False, inplace)


def _channels(input: Tensor, p: float, training: bool, inplace: bool, batched: int) -> Tensor:
    """Feature dropout of a batch (`batched` dimensions), or of one sample, which is anything else."""
    if input.ndim == batched:
        return _drop(input, p, training, True, inplace)
    out = _drop(input.unsqueeze(0), p, training, True, inplace)
    return input if inplace else out.squeeze(0)


@composite(at=F)
def dropout1d(input, p=0.5, training=True, inplace=False):
    "Zero whole channels of (N, C, L) or (C, L) with probability `p` when training; divide the rest by 1 − p."
    _check(p, ValueError)
    if input.ndim not in (2, 3):
        raise RuntimeError(f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input. Note "
                           "that dropout1d exists to provide channel-wise dropout on inputs with 1 spatial "
                           "dimension, a channel dimension, and an optional batch dimension (i.e. 2D or 3D "
                           "inputs).")
    return _channels(input, p, training, inplace, 3)


@composite(at=F)
def dropout2d(input, p=0.5, training=True, inplace=False):
    "Zero whole channels of (N, C, H, W) with probability `p` when training, and divide the rest by 1 − p."
    _check(p, ValueError)
    if input.ndim not in (3, 4):
        _warn_dims("dropout2d", input.ndim, 2, "3D or 4D")
    if input.ndim == 3:
        warnings.warn("dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
                      "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel "
                      "dim. This behavior will change in a future release to interpret the input as one "
                      "without a batch dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise "
                      "dropout behavior, please switch to using dropout1d instead.",
                      stacklevel=4)
    return _drop(input, p, training, True, inplace)


@composite(at=F)
def dropout3d(input, p=0.5, training=True, inplace=False):
    "Zero whole channels of (N, C, D, H, W) or (C, D, H, W) with probability `p` when training, scale the "
    "rest."
    _check(p, ValueError)
    if input.ndim not in (4, 5):
        _warn_dims("dropout3d", input.ndim, 3, "4D or 5D")
    return _channels(input, p, training, inplace, 5)


def _warn_dims(name: str, ndim: int, spatial: int, which: str) -> None:
    warnings.warn(f"{name}: Received a {ndim}-D input to {name}, which is deprecated and will result in an "
                  "error in a future release. To retain the behavior and silence this warning, please use "
                  f"dropout instead. Note that {name} exists to provide channel-wise dropout on inputs with "
                  f"{spatial} spatial dimensions, a channel dimension, and an optional batch dimension (i.e. "
                  f"{which} inputs).", stacklevel=5)


@composite(at=F)
def alpha_dropout(input, p=0.5, training=False, inplace=False):
    "Dropout that keeps the mean 0 and variance 1 of self-normalising networks (Klambauer et al. 2017)."
    _check(p, ValueError)
    return _alpha_drop(input, p, training, False, inplace)


@composite(at=F)
def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    "alpha_dropout of whole channels."
    _check(p, ValueError)
    return _alpha_drop(input, p, training, True, inplace)


# ------------------------------------------------------------------------------------------ torch
def _top(name: str, drop, features: bool):
    def call(input, p, train):
        return drop(input, p, train, features, False)

    def call_(input, p, train):
        return drop(input, p, train, features, True)
    call.__name__, call_.__name__ = name, name + "_"
    call.__doc__ = f"{name}(input, p, train): see nn.functional."
    call_.__doc__ = f"In-place form of {name}."
    return {name: call, name + "_": call_}


def native_dropout(input, p, train):
    """(result, mask of what was kept)."""
    if input.numel() == 0:
        return input, input
    if train is False:
        return input.clone(), ones(tuple(input.shape), dtype=D.bool, device=input.device)
    if input.dtype.category != D.FLOAT:
        raise RuntimeError(f"result type Float can't be cast to the desired output type {title(input.dtype)}")
    mask = draw(input.detach(), "bernoulli", 1.0 - p)
    return input * mask * (0.0 if p == 1 else 1.0 / (1.0 - p)), mask.bool()


FUNCTIONS = {"native_dropout": native_dropout, **_top("dropout", _drop, False),
             **_top("feature_dropout", _drop, True), **_top("alpha_dropout", _alpha_drop, False),
             **_top("feature_alpha_dropout", _alpha_drop, True)}
