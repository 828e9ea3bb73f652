"""Batch normalisation folded into the layer before it, for inference."""
from __future__ import annotations

import copy
from typing import Any

from ... import Tensor, ones_like, rsqrt, zeros_like
from ..parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def _fused(w: Tensor, b: Tensor | None, mean: Tensor, var: Tensor, eps: float, weight: Tensor | None,
           bias: Tensor | None, shape: list[int]) -> tuple[Parameter, Parameter]:
    """The weight and bias of x ↦ BN(w x + b); `shape` lets a factor per output multiply w."""
    b = zeros_like(mean) if b is None else b
    weight, bias = ones_like(mean) if weight is None else weight, zeros_like(mean) if bias is None else bias
    factor = weight * rsqrt(var + eps)
    fused_w = (w * factor.reshape(shape)).to(w.dtype)
    fused_b = ((b - mean) * factor + bias).to(b.dtype)
    return Parameter(fused_w.detach(), w.requires_grad), Parameter(fused_b.detach(), b.requires_grad)


def fuse_conv_bn_weights(conv_w: Tensor, conv_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float,
                         bn_w: Tensor | None, bn_b: Tensor | None,
                         transpose: bool = False) -> tuple[Parameter, Parameter]:
    """The weight and bias of a convolution followed by batch normalisation with these statistics."""
    shape = [1, -1] if transpose else [-1, 1]
    return _fused(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, shape + [1] * (conv_w.ndim - 2))


def fuse_linear_bn_weights(linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor,
                           bn_eps: float, bn_w: Tensor, bn_b: Tensor) -> tuple[Parameter, Parameter]:
    """The weight and bias of a linear layer followed by batch normalisation with these statistics."""
    return _fused(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, [-1, 1])


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A copy of `conv` that does the work of `conv` and then `bn`, both in eval mode."""
    if conv.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(fused.weight, fused.bias, bn.running_mean, bn.running_var,
                                                    bn.eps, bn.weight, bn.bias, transpose)
    return fused


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A copy of `linear` that does the work of `linear` and then `bn`, both in eval mode."""
    if linear.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError("To fuse, linear.out_features == bn.num_features or bn.num_features == 1")
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(fused.weight, fused.bias, bn.running_mean,
                                                      bn.running_var,
                                                      bn.eps, bn.weight, bn.bias)
    return fused
