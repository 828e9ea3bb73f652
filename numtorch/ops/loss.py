"""Losses: how far an input is from its target, reduced to a mean, a sum, or not at all."""
from __future__ import annotations

import math
import warnings

from ..dispatch import Meta
from ..dtypes import INT, float32, float64, int64, uint8
from ..kinds import composite, opaque
from ..kinds.batching import whole
from ..tensor import Tensor
from .create import tensor
from .index import title
from .pointwise import where

_REDUCTIONS = ("none", "mean", "sum")


def reduction_of(size_average, reduce, reduction: str) -> str:
    """`reduction`, or what the old arguments size_average and reduce mean, with PyTorch's warning."""
    if size_average is None and reduce is None:
        return reduction
    size_average = True if size_average is None else size_average
    reduce = True if reduce is None else reduce
    reduction = ("mean" if size_average else "sum") if reduce else "none"
    warnings.warn(f"size_average and reduce args will be deprecated, please use reduction='{reduction}' "
                  "instead.", stacklevel=5)
    return reduction


def _check_reduction(reduction: str) -> None:
    if reduction not in _REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")


def _reduced(loss, reduction: str):
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    _check_reduction(reduction)
    return loss


def _size(x) -> str:
    return f"torch.Size({list(x.shape)})"


def _warn_broadcast(input, target) -> None:
    if input.shape != target.shape:
        warnings.warn(f"Using a target size ({_size(target)}) that is different to the input size "
                      f"({_size(input)}). This will likely lead to incorrect results due to broadcasting. "
                      "Please ensure they have the same size.", stacklevel=5)


def _check_float(name: str, x) -> None:
    if not x.dtype.is_floating_point:
        raise NotImplementedError(f'"{name}" not implemented for \'{title(x.dtype)}\'')


# ----------------------------------------------------------------------------------------------- class losses
@opaque(vjp={"x": lambda g, out1, target, weight, x_meta, reduction, ignore_index: nll_loss_input(
    g[0], target, weight, out1, x_meta.shape, reduction, ignore_index)}, at=())
def nll_loss_terms(x, target, weight, reduction, ignore_index):
    """(reduced -weight[t] x[n, t], Σ weight[t]) over the targets t other than `ignore_index`.

    x: (C,), (N, C) or (N, C, *); target: its shape without C. IndexError for a class out of range."""
    xs, ts = x.shape, target.shape
    if len(xs) <= 2:
        if len(ts) > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if len(xs) == 2 and xs[0] != (ts[0] if ts else 0):
            raise ValueError(f"Expected input batch_size ({xs[0]}) to match target batch_size "
                             f"({ts[0] if ts else 0}).")
    elif len(ts) != len(xs) - 1:
        raise RuntimeError("only batches of spatial targets supported (3D tensors) but got targets of "
                           f"dimension: {len(ts)}")
    elif ts != (xs[0], *xs[2:]):
        raise RuntimeError(f"size mismatch (got input: {list(xs)} , target: {list(ts)}")
    if target.dtype is not int64 and target.dtype is not uint8:
        raise RuntimeError(f"expected target dtype to be Long or Byte, but got {title(target.dtype)}")
    _check_float("nll_loss_out_frame" if len(xs) <= 2 else "nll_loss2d_forward_out_frame", x)
    classes = xs[0] if len(xs) == 1 else xs[1]
    if weight is not None:
        if weight.shape != (classes,):
            raise RuntimeError(f"weight tensor should be defined either for all {classes} classes or no "
                               f"classes but got weight tensor of shape: {list(weight.shape)}")
        if weight.dtype is not x.dtype:
            raise RuntimeError(f"expected scalar type {title(x.dtype)} but found {title(weight.dtype)}")
    shape = ts if reduction == "none" and len(xs) > 1 else ()
    return Meta(shape, x.dtype), Meta((), x.dtype)


@opaque(vjp={"grad": lambda g, target, weight, total, reduction, ignore_index: _nll_loss_again(
    g, target, weight, total, reduction, ignore_index)}, at=())
def nll_loss_input(grad, target, weight, total, shape, reduction, ignore_index):
    """Gradient of `nll_loss_terms` with respect to x of the given shape."""
    return Meta(tuple(shape), grad.dtype)


def _nll_loss_again(g, target, weight, total, reduction, ignore_index):
    """The loss is linear in x, so the gradient's own adjoint is the loss of the cotangent."""
    return nll_loss_terms(g, target, weight, reduction, ignore_index)[0]


def _nll(x, target, weight, ignore_index: int, reduction: str):
    _check_reduction(reduction)
    if x.ndim < 1:
        raise ValueError(f"Expected 1 or more dimensions (got {x.ndim})")
    if x.ndim != 1 and x.shape[0] != (target.shape[0] if target.ndim else 0):
        raise ValueError(f"Expected input batch_size ({x.shape[0]}) to match target batch_size "
                         f"({target.shape[0] if target.ndim else 0}).")
    if x.ndim == 3 and target.ndim == 2 and x.shape[2:] != target.shape[1:] or x.ndim > 4 \
            and x.shape[2:] != target.shape[1:]:
        raise RuntimeError(f"Expected target size {[x.shape[0], *x.shape[2:]]}, got {list(target.shape)}")
    return nll_loss_terms(x, target, weight, reduction, int(ignore_index))[0]


@composite(at=("nn.functional",))
def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """-weight[t] input[n, t] of log-probabilities (N, C, *) and classes t (N, *), averaged by the weights."""
    return _nll(input, target, weight, ignore_index, reduction_of(size_average, reduce, reduction))


@composite(at=("nn.functional",))
def cross_entropy(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None,
                  reduction="mean", label_smoothing=0.0):
    """-Σ_c p_c log softmax(input)_c; target p is class indices (N, *) or probabilities of input's shape (N,
    C, *).

    label_smoothing ε mixes the uniform distribution into the target: (1 - ε) p + ε / C."""
    reduction = reduction_of(size_average, reduce, reduction)
    _check_reduction(reduction)
    if label_smoothing < 0 or label_smoothing > 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing:g}")
    from .activation import log_softmax
    class_dim = 0 if input.ndim == 1 else 1
    if input.shape == target.shape and input.ndim > 0:
        if not target.dtype.is_floating_point:
            raise RuntimeError("Expected floating point type for target with class probabilities, got "
                               f"{title(target.dtype)}")
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        classes = input.shape[class_dim]
        if weight is not None and weight.shape != (classes,):
            raise RuntimeError(f"cross_entropy: weight tensor should be defined either for all {classes} "
                               f"classes or no classes but got weight tensor of shape: {list(weight.shape)}")
        logp = log_softmax(input, class_dim)
        if label_smoothing > 0:
            target = target * (1 - label_smoothing) + label_smoothing / classes
        if weight is not None:
            logp = logp * _along(weight, class_dim, input.ndim)
        loss = -(logp * target).sum(class_dim)
        if reduction == "mean":
            return loss.sum() / max(_count(input) // max(classes, 1), 1) if _count(input) else loss.sum() / 0
        return _reduced(loss, reduction)
    logp = log_softmax(input, class_dim)
    loss = _nll(logp, target, weight, ignore_index, reduction)
    if label_smoothing == 0:
        return loss
    classes = input.shape[class_dim]
    smooth = -(logp if weight is None else logp * _along(weight, class_dim, input.ndim)).sum(class_dim)
    ignored = target == ignore_index
    smooth = smooth.masked_fill(ignored, 0.0)
    if reduction == "sum":
        smooth = smooth.sum()
    elif reduction == "mean":
        if weight is None:
            smooth = smooth.sum() / ignored.logical_not().sum()
        else:
            kept = weight.gather(0, target.masked_fill(ignored, 0).flatten()).reshape(target.shape)
            smooth = smooth.sum() / kept.masked_fill(ignored, 0.0).sum()
    return (1 - label_smoothing) * loss + smooth * (label_smoothing / classes)


def _count(x) -> int:
    return math.prod(x.shape)


def _along(weight, dim: int, ndim: int):
    """A vector shaped to broadcast along `dim`."""
    return weight.reshape([-1 if i == dim else 1 for i in range(ndim)])


# ------------------------------------------------------------------------------------------------ sequences
@opaque(vjp={"x": lambda g, out, x, targets, input_lengths, target_lengths, blank, zero_infinity: ctc_input(
    g[0], x, out[0], out[1], targets, input_lengths, target_lengths, blank, zero_infinity)}, at=())
def ctc_terms(x, targets, input_lengths, target_lengths, blank, zero_infinity):
    """(-log p(target n | x[:, n]), log p of the paths to each time and state), for x (T, N, C)."""
    width = 2 * max(target_lengths) + 1
    return Meta(x.shape[1:2], x.dtype), Meta((x.shape[1], x.shape[0], width), float64)


def _no_second_derivative(g):
    raise RuntimeError("derivative for aten::_ctc_loss_backward is not implemented")


@opaque(vjp={"grad,x": _no_second_derivative}, at=())
def ctc_input(grad, x, loss, alpha, targets, input_lengths, target_lengths, blank, zero_infinity):
    """e^x - p(label at that time | target): PyTorch's gradient of `ctc_terms`, that of activations whose
    log_softmax is x."""
    return Meta(x.shape, x.dtype)


def _lengths(name: str, lengths, batch: int, most: int) -> tuple[int, ...]:
    if isinstance(lengths, Tensor):
        if lengths.dtype.category != INT:
            raise RuntimeError(f"{name} must be integral")
        lengths = lengths.reshape(-1).tolist()
    if len(lengths) != batch:
        raise RuntimeError(f"{name} must be of size batch_size")
    for n in lengths:
        if n < 0 or n > most:
            bound = "at least 0" if n < 0 else f"at most {most}"
            raise RuntimeError(f"Expected {name} to have value {bound}, but got value {n} (while checking "
                               "arguments for ctc_loss_allocate_outputs)")
    return tuple(lengths)


def _check_targets(targets, batch: int, lengths) -> None:
    if targets.ndim not in (1, 2):
        raise RuntimeError(f"Expected 1 to 2 dimensions, but got {targets.ndim}-dimensional tensor for "
                           "argument #2 'targets' (while checking arguments for ctc_loss_allocate_outputs)")
    want, have = (sum(lengths) if targets.ndim == 1 else batch), targets.shape[0]
    words, d = f"{want} at dimension 0", 0
    if want == have and targets.ndim == 2 and targets.shape[1] < max(lengths):
        words, d = f"at least {max(lengths)} at dimension 1", 1
    if want != have or d:
        raise RuntimeError(f"Expected tensor to have size {words}, but got size {targets.shape[d]} for "
                           "argument #2 'targets' (while checking arguments for ctc_loss_allocate_outputs)")


@composite(at=("nn.functional",))
def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean",
             zero_infinity=False):
    """-log p(target | log_probs), summed over all alignments with blanks (Graves et al. 2006).

    log_probs (T, N, C) or (T, C); targets (N, S) or all joined; 'mean' divides each loss by its target's
    length first. zero_infinity: targets longer than their input can hold count 0. The gradient is that of
    activations whose log_softmax is log_probs. IndexError for a label that is no class."""
    _check_reduction(reduction)
    if log_probs.numel() == 0:
        raise RuntimeError("log_probs tensor must not be empty")
    x = log_probs.unsqueeze(1) if log_probs.ndim == 2 else log_probs
    if x.ndim != 3:
        raise RuntimeError(f"Expected 3-dimensional tensor, but got {x.ndim}-dimensional tensor for "
                           "argument #1 'log_probs' (while checking arguments for ctc_loss_allocate_outputs)")
    if x.dtype is not float32 and x.dtype is not float64:
        raise NotImplementedError(f"\"ctc_loss_cpu\" not implemented for '{title(x.dtype)}'")
    time, batch, classes = x.shape
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    steps = _lengths("input_lengths", input_lengths, batch, time)
    counts = _lengths("target_lengths", target_lengths, batch, targets.numel())
    if log_probs.ndim == 2:
        targets = targets.reshape(1, -1)
    _check_targets(targets, batch, counts)
    loss = ctc_terms(x, targets, steps, counts, int(blank), zero_infinity)[0]
    if zero_infinity:
        loss = where(loss == math.inf, 0.0, loss)
    if reduction == "mean":
        loss = loss / tensor([max(n, 1) for n in counts], dtype=x.dtype, device=x.device)
    return _reduced(loss[0] if log_probs.ndim == 2 and reduction == "none" else loss, reduction)


# ------------------------------------------------------------------------------------------------ distances
def _weighted(loss, input, weight, reduction: str):
    if weight is None:
        return _reduced(loss, reduction)
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    loss = loss * weight
    if reduction == "mean":
        return loss.sum() / weight.sum()
    return _reduced(loss, reduction)


@composite(at=("nn.functional",))
def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """(input - target)², reduced."""
    _warn_broadcast(input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    d = input - target
    if not (d.dtype.is_floating_point or d.dtype.is_complex):
        _check_float("mse_cpu", d)
    return _weighted(d * d, input, weight, reduction)


@composite(at=("nn.functional",))
def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """|input - target|, reduced."""
    _warn_broadcast(input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    return _weighted((input - target).abs(), input, weight, reduction)


@composite(at=("nn.functional",))
def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """d² / (2 beta) where d = |input - target| < beta, else d - beta / 2; reduced."""
    _warn_broadcast(input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    d = (input - target).abs()
    if beta == 0:
        return _reduced(d, reduction)
    return _reduced(where(d < beta, d * d * (0.5 / beta), d - 0.5 * beta), reduction)


@composite(at=("nn.functional",))
def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """d² / 2 where d = |input - target| <= delta, else delta (d - delta / 2); reduced."""
    _warn_broadcast(input, target)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    d = (input - target).abs()
    return _weighted(where(d <= delta, d * d * 0.5, delta * (d - 0.5 * delta)), input, weight, reduction)


# ------------------------------------------------------------------------------------------------
# probabilities
@opaque(vjp={"x": lambda g, x, target: g * ((x - target) / ((1 - x) * x).clamp(min=1e-12)),
             "target": lambda g, x: g * ((1 - x).log() - x.log())}, at=())
def binary_cross_entropy_terms(x, target):
    """-(target log x + (1 - target) log(1 - x)), each log at least -100. RuntimeError unless both lie in [0,
    1]."""
    if target.dtype is not x.dtype:
        raise RuntimeError(f"Found dtype {title(target.dtype)} but expected {title(x.dtype)}")
    _check_float("binary_cross_entropy", x)
    return Meta(x.shape, x.dtype)


@composite(at=("nn.functional",))
def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """-(target log(input) + (1 - target) log(1 - input)) of probabilities, weighted and reduced."""
    reduction = reduction_of(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ValueError(f"Using a target size ({_size(target)}) that is different to the input size "
                         f"({_size(input)}) is deprecated. Please ensure they have the same size.")
    loss = binary_cross_entropy_terms(input, target)
    return _reduced(loss if weight is None else loss * weight, reduction)


@composite(at=("nn.functional",))
def binary_cross_entropy_with_logits(input, target, weight=None, size_average=None, reduce=None,
                                     reduction="mean", pos_weight=None):
    """Binary cross-entropy of sigmoid(input): (1 - t) x + (1 + (p - 1) t) log(1 + e^-x), p = pos_weight."""
    from .activation import logsigmoid
    reduction = reduction_of(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ValueError(f"Target size ({_size(target)}) must be the same as input size ({_size(input)})")
    if not target.dtype.is_floating_point:
        raise RuntimeError(f"result type {title(input.dtype)} can't be cast to the desired output type "
                           f"{title(target.dtype)}")
    if pos_weight is None:
        loss = (1 - target) * input - logsigmoid(input)
    else:
        loss = (1 - target) * input - ((pos_weight - 1) * target + 1) * logsigmoid(input)
    return _reduced(loss if weight is None else loss * weight, reduction)


@composite(at=("nn.functional",))
def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """target (log target - input) of log-probabilities `input`, reduced; 'batchmean' divides by the batch
    size."""
    reduction = reduction_of(size_average, reduce, reduction)
    if reduction == "mean":
        warnings.warn("reduction: 'mean' divides the total loss by both the batch size and the support "
                      "size.'batchmean' divides only by the batch size, and aligns with the KL div math "
                      "definition.'mean' will be changed to behave the same as 'batchmean' in the next major "
                      "release.", stacklevel=5)
    if log_target:
        loss = target.exp() * (target - input)
    else:
        loss = target.xlogy(target) - target * input
    if reduction == "batchmean":
        return loss.sum() / input.shape[0] if input.ndim else loss.sum()
    return _reduced(loss, reduction)


@composite(at=("nn.functional",))
def poisson_nll_loss(input, target, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None,
                     reduction="mean"):
    """e^input - target input, or input - target log(input + eps); `full` adds Stirling's term where target >
    1."""
    reduction = reduction_of(size_average, reduce, reduction)
    _check_reduction(reduction)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return _reduced(loss, reduction)


@composite(at=("nn.functional",))
def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """(log v + (input - target)² / v) / 2 with v = max(var, eps); `full` adds log(2π) / 2."""
    from .. import full_like
    if isinstance(var, (int, float)):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = full_like(input, var)
    elif bool((whole(var) < 0).any()):
        raise ValueError("var has negative entry/entries")
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif not (input.ndim == var.ndim and sum(a != b for a, b in zip(input.shape, var.shape)) == 1
                  and 1 in [b for a, b in zip(input.shape, var.shape) if a != b]):
            raise ValueError("var is of incorrect size")
    if reduction not in _REDUCTIONS:
        raise ValueError(reduction + " is not valid")
    # eps bounds the variance but takes no part in its gradient.
    var = var + (var.detach().clamp(min=eps) - var.detach())
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduced(loss, reduction)


# ------------------------------------------------------------------------------------------------ margins
@composite(at=("torch", "nn.functional"))
def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"):
    """input where target = 1, max(0, margin - input) where target = -1; reduced."""
    reduction = reduction_of(size_average, reduce, reduction)
    apart = where(target != 1, (margin - input).clamp(min=0), 0.0)
    near = where(target != -1, input, 0.0)
    return _reduced(apart + near, reduction)


@composite(at=("torch", "nn.functional"))
def margin_ranking_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """max(0, -target (input1 - input2) + margin), reduced."""
    reduction = reduction_of(size_average, reduce, reduction)
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError("margin_ranking_loss : All input tensors should have same dimension but got "
                           f"sizes: input1: {_size(input1)}, input2: {_size(input2)}, target: "
                           f"{_size(target)} ")
    return _reduced((-target * (input1 - input2) + margin).clamp(min=0), reduction)


@composite(at=("torch", "nn.functional"))
def cosine_embedding_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """1 - cos where target = 1, max(0, cos - margin) where target = -1; rows of (N, D) or (D,)."""
    reduction = reduction_of(size_average, reduce, reduction)
    if target.ndim > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if target.ndim == 1 and input1.ndim != 2:
        raise RuntimeError("1D target tensor expects 2D input tensors, but found inputs with sizes "
                           f"{list(input1.shape)} and {list(input2.shape)}.")
    if target.ndim == 0 and input1.ndim != 1:
        raise RuntimeError("0D target tensor expects 1D input tensors, but found inputs with sizes "
                           f"{list(input1.shape)} and {list(input2.shape)}.")
    dim = target.ndim
    # 1e-12 keeps the gradient of a zero vector finite.
    product = (input1 * input2).sum(dim)
    norms = ((input1 * input1).sum(dim) + 1e-12) * ((input2 * input2).sum(dim) + 1e-12)
    cosine = product / norms.sqrt()
    loss = where(target == 1, 1 - cosine, 0.0) + where(target == -1, (cosine - margin).clamp(min=0), 0.0)
    return _reduced(loss, reduction)


@composite(at=("nn.functional",))
def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """log(1 + e^(-target input)), reduced."""
    reduction = reduction_of(size_average, reduce, reduction)
    return _reduced((-target * input).exp().log1p(), reduction)


@composite(at=("torch", "nn.functional"))
def triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2, eps=1e-6, swap=False, size_average=None,
                        reduce=None, reduction="mean"):
    """max(0, |a - p| - |a - n| + margin) with p-norms over the last dimension; `swap` uses the nearer of a
    and p."""
    from .padding import pairwise_distance
    reduction = reduction_of(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError("The anchor, positive, and negative tensors are expected to have the same number "
                           f"of dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and "
                           f"negative {negative.ndim}D inputs")
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = far.minimum(pairwise_distance(positive, negative, p, eps))
    return _reduced((margin + near - far).clamp(min=0), reduction)


@composite(at=("nn.functional",))
def triplet_margin_with_distance_loss(anchor, positive, negative, *, distance_function=None, margin=1.0,
                                      swap=False, reduction="mean"):
    """`triplet_margin_loss` with a distance of the caller's."""
    from .padding import pairwise_distance
    _check_reduction(reduction)
    distance = pairwise_distance if distance_function is None else distance_function
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError("The anchor, positive, and negative tensors are expected to have the same number "
                           f"of dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and "
                           f"negative {negative.ndim}D inputs")
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return _reduced((margin + near - far).clamp(min=0), reduction)


def _check_matrix(input) -> None:
    if input.ndim > 2 or 0 in input.shape[1 if input.ndim == 2 else 0:]:
        raise RuntimeError("Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
                           f"{list(input.shape)}")


@composite(at=("nn.functional",))
def multi_margin_loss(input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None,
                      reduction="mean"):
    """Σ over i ≠ t of max(0, margin - input[t] + input[i])^p / C, times weight[t]."""
    reduction = reduction_of(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    _check_matrix(input)
    x = input.reshape(1, -1) if input.ndim < 2 else input
    n, classes = x.shape
    if target.ndim > 1 or _count(target) != n:
        raise RuntimeError("multi_margin_loss: target tensor should be 1-D with size equal to the number of "
                           f"input samples (batch size). Expected target size [{n}], but got "
                           f"{list(target.shape)}. Input has shape {list(input.shape)}.")
    if weight is not None and weight.shape != (classes,):
        raise RuntimeError(f"inconsistent weight size, expected {classes} but got {list(weight.shape)}")
    if target.dtype is not int64:
        raise RuntimeError(f"expected scalar type Long but found {title(target.dtype)}")
    if n and bool(whole((target < 0) | (target >= classes)).any()):
        raise RuntimeError("target out of range")
    t = target.reshape(n, 1)
    terms = (margin - x.gather(1, t) + x).clamp(min=0)
    if p == 2:
        terms = terms * terms
    if weight is not None:
        terms = terms * weight.gather(0, target.reshape(n)).reshape(n, 1)
    loss = terms.scatter(1, t, 0.0).sum(1) / classes
    return _reduced(loss.reshape(()) if input.ndim < 2 and target.ndim == 0 else loss, reduction)


@composite(at=("nn.functional",))
def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """Σ over labels j and non-labels i of max(0, 1 - input[j] + input[i]) / C; labels end at the first -1."""
    reduction = reduction_of(size_average, reduce, reduction)
    _check_matrix(input)
    if target.shape != input.shape:
        raise RuntimeError(f"inconsistent target size: {list(target.shape)} for input of size: "
                           f"{list(input.shape)}")
    if target.dtype is not int64:
        raise RuntimeError(f"expected scalar type Long but found {title(target.dtype)}")
    x = input.reshape(1, -1) if input.ndim < 2 else input
    t = target.reshape(x.shape)
    classes = x.shape[1]
    if bool(whole((t < -1) | (t >= classes)).any()):
        raise RuntimeError("argument #2 'target' is out of range")
    listed = (t < 0).long().cumsum(1) == 0
    places = t.masked_fill(listed.logical_not(), 0)
    # Row n counts how often each class is listed, so 0 marks the classes that are no label.
    labels = x.detach().new_zeros(x.shape).scatter_add(1, places, listed.to(x.dtype))
    others = (labels == 0).to(x.dtype)
    terms = (1 - x.gather(1, places).unsqueeze(2) + x.unsqueeze(1)).clamp(min=0)
    loss = (terms * listed.to(x.dtype).unsqueeze(2) * others.unsqueeze(1)).sum((1, 2)) / classes
    return _reduced(loss.reshape(()) if input.ndim < 2 else loss, reduction)


@composite(at=("nn.functional",))
def multilabel_soft_margin_loss(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """Mean over classes of the binary cross-entropy of sigmoid(input) with target in {0, 1}."""
    from .activation import logsigmoid
    reduction = reduction_of(size_average, reduce, reduction)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return _reduced(loss.mean(-1), reduction)
