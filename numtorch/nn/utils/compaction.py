"""prune.compact: channels that pruning has emptied are taken out, so that layers get smaller and faster."""
from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from ... import Tensor, no_grad, zeros
from .. import modules as M
from ..parameter import Parameter

_CONVOLUTIONS = (M.Conv1d, M.Conv2d, M.Conv3d)
_NORMS = (M.BatchNorm1d, M.BatchNorm2d, M.BatchNorm3d)
# Layers that give every element of a channel the same value where they got the same value.
_PASSING = (M.ReLU, M.ReLU6, M.LeakyReLU, M.ELU, M.CELU, M.SELU, M.GELU, M.SiLU, M.Mish, M.Sigmoid, M.Tanh,
            M.Hardtanh,
            M.Hardswish, M.Hardsigmoid, M.Softplus, M.Softsign, M.LogSigmoid, M.Identity, M.Dropout,
            M.Dropout1d,
            M.Dropout2d, M.Dropout3d, M.AlphaDropout, M.FeatureAlphaDropout)
_POOLS = (M.MaxPool1d, M.MaxPool2d, M.MaxPool3d, M.AdaptiveAvgPool1d, M.AdaptiveAvgPool2d,
          M.AdaptiveAvgPool3d,
          M.AdaptiveMaxPool1d, M.AdaptiveMaxPool2d, M.AdaptiveMaxPool3d)
_AVERAGES = (M.AvgPool1d, M.AvgPool2d, M.AvgPool3d)


def compact(module: M.Module) -> M.Module:
    """A smaller module that computes what the pruned `module` computes in eval mode.

    Pruning is made permanent. In every Sequential, output channels of a convolution or linear layer whose
    weights are all 0 are removed, with their entries in the batch norm after it and the inputs they are to
    the
    next convolution or linear layer. What such a channel still carries (its bias, normalised and activated)
    goes into the next layer's bias; where it cannot (a convolution that pads), the channel stays. So do
    channels
    whose way to the next layer leads through a layer that mixes channels, grouped convolutions, and the
    inputs
    and outputs of the whole."""
    from .prune import BasePruningMethod, remove
    pruned = [(n, h._tensor_name) for n, m in module.named_modules() for h in m._forward_pre_hooks.values()
              if isinstance(h, BasePruningMethod)]
    for name, tensor in pruned:  # computed by the last forward pass; only leaves can be copied
        m = module.get_submodule(name)
        setattr(m, tensor, getattr(m, tensor).detach())
    made = copy.deepcopy(module)
    for name, tensor in pruned:
        remove(made.get_submodule(name), tensor)
    inner = {id(c) for m in made.modules() if isinstance(m, M.Sequential) for c in m.children()}
    with no_grad():
        for m in made.modules():
            if isinstance(m, M.Sequential) and id(m) not in inner:
                layers = list(_layers(m))
                for i, layer in enumerate(layers):
                    if _shrinks(layer):
                        _shrink(layer, layers[i + 1:])
    return made


def _layers(m: M.Sequential) -> Iterator[M.Module]:
    for child in m:
        if isinstance(child, M.Sequential):
            yield from _layers(child)
        else:
            yield child


def _shrinks(layer: M.Module) -> bool:
    if not isinstance(layer, (*_CONVOLUTIONS, M.Linear)) or getattr(layer, "groups", 1) != 1:
        return False
    return not layer._forward_pre_hooks and not layer._forward_hooks


def _shrink(layer: Any, after: list[M.Module]) -> None:
    """Take the empty output channels of a layer out, given the layers after it."""
    n = layer.weight.shape[0]
    empty = (layer.weight.flatten(1) == 0).all(1)
    if not empty.any().item() or empty.all().item():
        return
    # What the empty channels carry, as a batch of one with the fewest elements: (1, n, 1, …).
    values = (zeros(n, dtype=layer.weight.dtype) if layer.bias is None else layer.bias.detach()).clone()
    values = values.reshape(1, n, *[1] * (layer.weight.ndim - 2))
    norms: list[Any] = []
    flat = False
    for m in after:
        if _shrinks(m):
            return _join(layer, norms, m, empty, values.flatten(), flat)
        if isinstance(m, _NORMS):
            if m.running_mean is None or flat or m.num_features != n:
                return None
            norms.append(m)
            f = m.weight if m.weight is not None else 1.0
            b = m.bias if m.bias is not None else 0.0
            flatly = values.flatten()
            values = ((flatly - m.running_mean) / (m.running_var + m.eps).sqrt() * f
                      + b).reshape(values.shape)
        elif isinstance(m, _PASSING):
            training = m.training
            values = m.eval()(values)
            m.train(training)
        elif isinstance(m, M.Flatten):
            if m.start_dim != 1 or m.end_dim != -1:
                return None
            flat = True
        elif isinstance(m, _AVERAGES):
            if any(p if isinstance(p, int) else max(p) for p in [m.padding]):
                values[0, values.reshape(-1).ne(0)] = float("nan")  # averaged with zeros: no longer one value
        elif not isinstance(m, _POOLS):
            return None
        if m._forward_hooks or m._forward_pre_hooks:
            return None
    return None


def _join(layer: Any, norms: list, after: Any, empty: Tensor, values: Tensor, flat: bool) -> None:
    """Remove the empty channels between `layer` and `after`, with the norms between them."""
    fold = isinstance(after, M.Linear) or not any(after.padding if isinstance(after.padding, tuple) else [1])
    gone = empty & (values == 0) if not fold else empty & values.isfinite()
    keep = gone.logical_not()
    if not gone.any().item():
        return
    n, inputs = len(keep), after.weight.shape[1]
    if inputs % n or (inputs != n and not flat):
        return
    wide_keep = keep.repeat_interleave(inputs // n)  # after Flatten a channel is a block of features
    wide_values = values.repeat_interleave(inputs // n)
    carried = after.weight[:, wide_keep.logical_not()].flatten(2).sum(-1) if after.weight.ndim > 2 else (
        after.weight[:, wide_keep.logical_not()])
    extra = carried @ wide_values[wide_keep.logical_not()]
    if after.bias is not None:
        after.bias.data = after.bias.data + extra
    elif extra.ne(0).any().item():
        after.bias = Parameter(extra)
    after.weight.data = after.weight.data[:, wide_keep].clone()
    layer.weight.data = layer.weight.data[keep].clone()
    if layer.bias is not None:
        layer.bias.data = layer.bias.data[keep].clone()
    left = int(keep.sum().item())
    for m in norms:
        m.num_features = left
        for name in ("weight", "bias"):
            if getattr(m, name) is not None:
                getattr(m, name).data = getattr(m, name).data[keep].clone()
        m.running_mean, m.running_var = m.running_mean[keep].clone(), m.running_var[keep].clone()
    names = ("out_channels", "out_features"), ("in_channels", "in_features")
    for m, (channels, features), size in ((layer, names[0], left),
                                          (after, names[1], left * (inputs // n))):
        setattr(m, features if isinstance(m, M.Linear) else channels, size)
