"""The cross-entropy of a linear layer's output, in pieces, so that all logits never exist at once."""
from __future__ import annotations

import dataclasses
import math
import warnings

from .. import Tensor, dtypes, ops

_F = ops.names["nn.functional"]


@dataclasses.dataclass(frozen=True)
class LinearCrossEntropyOptions:
    """How the batch goes in pieces, whose logits the backward pass computes again.

    batch_chunk_size: rows in a piece; None: as many as make a piece's logits no larger than the input.
    acc_dtype: the type in which the pieces' weight gradients are added up; None: float32 for half types,
    unless acc_policy is "compact". Backward may always run again: allow_retain_graph changes nothing, nor
    does chunking_method.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: dtypes.dtype | None = None

    def __post_init__(self) -> None:
        if self.batch_chunk_size is not None and self.batch_chunk_size < 1:
            raise ValueError(f"batch_chunk_size must be positive int or None, got {self.batch_chunk_size}")
        if self.acc_policy not in ("accurate", "balanced", "compact", "auto"):
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")

    def rows(self, batch: int, features: int, classes: int) -> int:
        """The rows of a piece."""
        return self.batch_chunk_size or min(max(batch * features // max(classes, 1), 1), max(batch, 1))

    def accumulator(self, dtype: dtypes.dtype) -> dtypes.dtype:
        """The type in which gradients are added up."""
        if self.acc_dtype is not None:
            return self.acc_dtype
        return dtypes.float32 if dtype.itemsize == 2 and self.acc_policy != "compact" else dtype


def _check(input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None) -> None:
    if not 1 <= input.ndim <= 2:
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.ndim}")
    if linear_weight.ndim < 2:
        raise RuntimeError(f"expected linear_weight with dimensionality at least 2, got {linear_weight.ndim}")
    if input.shape[-1] != linear_weight.shape[-1]:
        raise RuntimeError("expected equal input and linear_weight last dimensions (in_features), got "
                           f"{input.shape[-1]} and {linear_weight.shape[-1]}, respectively")
    outputs = tuple(linear_weight.shape[:-1])
    if linear_bias is not None and tuple(linear_bias.shape) != outputs:
        raise RuntimeError(f"expected linear_bias shape {outputs}, got {tuple(linear_bias.shape)}")
    if len(outputs) > 1 and input.ndim == 1:
        raise RuntimeError(f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} "
                           f"requires batched input, (N, {input.shape[-1]}), got unbatched input with shape "
                           f"{tuple(input.shape)}")


def _in_pieces(input, linear_weight, target, linear_bias, weight, reduction, ignore_index, options) -> Tensor:
    """The loss, each piece of the batch under a checkpoint."""
    from .. import cat
    from ..utils.checkpoint import checkpoint
    wide = options.accumulator(input.dtype)
    w, b = linear_weight.to(wide), None if linear_bias is None else linear_bias.to(wide)

    def piece(x, t, w, b):
        logits = _F["linear"](x, w.to(x.dtype), None if b is None else b.to(x.dtype))
        return _F["cross_entropy"](logits, t, weight=weight, ignore_index=ignore_index,
                                   reduction="none" if reduction == "none" else "sum")

    rows = options.rows(input.shape[0], *linear_weight.shape[::-1])
    losses = [checkpoint(piece, x, t, w, b, use_reentrant=False, preserve_rng_state=False)
              for x, t in zip(input.split(rows), target.split(rows), strict=True)]
    if reduction == "none":
        return cat(losses)
    total = losses[0]
    for loss in losses[1:]:
        total = total + loss
    if reduction == "sum":
        return total
    kept = target != ignore_index
    count = kept.sum() if weight is None else (weight[target.masked_fill(~kept, 0)] * kept).sum()
    return total / count


def linear_cross_entropy(input: Tensor, linear_weight: Tensor, target: Tensor, *,
                         linear_bias: Tensor | None = None, weight: Tensor | None = None,
                         reduction: str = "mean", ignore_index: int | None = None,
                         label_smoothing: float = 0.0, options: LinearCrossEntropyOptions | None = None
                         ) -> Tensor:
    """cross_entropy(linear(input, linear_weight, linear_bias), target, …) of input (D,) or (N, D).

    linear_weight (C, D) or (C, d1, …, D); with `options` the batch goes in pieces, for class indices, weights
    (C, D) and no label smoothing; otherwise `options` is ignored with a warning."""
    _check(input, linear_weight, linear_bias)
    classes, *places = linear_weight.shape[:-1]
    shape = (*input.shape[:-1], classes, *places)
    if tuple(target.shape) == shape and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    ignore_index = -100 if ignore_index is None else ignore_index
    if options is not None:
        fits = reduction in ("mean", "sum", "none") and label_smoothing == 0 and not places
        if fits and target.dtype is dtypes.int64:
            if input.ndim == 2 and input.shape[0]:
                return _in_pieces(input, linear_weight, target, linear_bias, weight, reduction, ignore_index,
                                  options)
        else:
            warnings.warn("linear_cross_entropy: ``options`` ignored; chunked path needs reduction in "
                          "{'mean','sum','none'}, label_smoothing == 0, target.dtype == int64, "
                          f"out_features == (). Got reduction={reduction!r}, label_smoothing="
                          f"{label_smoothing}, target.dtype={target.dtype}, out_features={tuple(places)}.",
                          stacklevel=2)
    flat = math.prod(places, start=classes)
    logits = _F["linear"](input, linear_weight.reshape(flat, -1),
                          None if linear_bias is None else linear_bias.reshape(flat))
    return _F["cross_entropy"](logits.reshape(shape), target, weight=weight, reduction=reduction,
                               ignore_index=ignore_index, label_smoothing=label_smoothing)
