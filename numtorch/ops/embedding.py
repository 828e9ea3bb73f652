"""Rows of a table by index: embedding, its bags, one-hot vectors."""
from __future__ import annotations

from ..autograd.modes import state
from ..dispatch import Meta
from ..dtypes import int32, int64
from ..kinds import composite, opaque
from ..kinds.batching import whole
from .index import title
from .pointwise import where


@opaque(at=(), vjp={"weight": lambda g, weight_meta, indices, padding_idx,
                    scale_grad_by_freq: embedding_weight(
    g, indices, weight_meta.shape[0], padding_idx, scale_grad_by_freq)})
def embedding_rows(weight, indices, padding_idx, scale_grad_by_freq):
    """weight[indices[...], :]; rows of padding_idx (-1: none) get no gradient."""
    if len(weight.shape) != 2:
        raise RuntimeError("'weight' must be 2-D")
    if indices.dtype is not int64 and indices.dtype is not int32:
        kind = "CPUBoolType" if indices.dtype.name == "bool" else f"torch.{title(indices.dtype)}Tensor"
        raise RuntimeError("Expected tensor for argument #1 'indices' to have one of the following scalar "
                           f"types: Long, Int; but got {kind} instead (while checking arguments for "
                           "embedding)")
    return Meta((*indices.shape, weight.shape[1]), weight.dtype)


def _embedding_again(g, indices, padding_idx, scale_grad_by_freq):
    """The gradient is linear in its cotangent: its adjoint picks the rows again."""
    rows = embedding_rows(g, indices, -1, False)
    if padding_idx >= 0:
        rows = rows * (indices != padding_idx).unsqueeze(-1)
    if scale_grad_by_freq:
        counts = indices.flatten().bincount(minlength=g.shape[0])
        rows = rows / counts[indices].unsqueeze(-1).to(rows.dtype)
    return rows


@opaque(at=(), vjp={"grad": lambda g, indices, padding_idx, scale_grad_by_freq: _embedding_again(
    g, indices, padding_idx, scale_grad_by_freq)})
def embedding_weight(grad, indices, rows, padding_idx, scale_grad_by_freq):
    """The table's gradient: row r sums grad[i, :] over the i with indices[i] = r, in order of i."""
    return Meta((rows, grad.shape[-1]), grad.dtype)


def _no_sparse(sparse: bool, weight) -> None:
    if sparse and weight.requires_grad and state.grad:
        raise NotImplementedError("embedding with sparse=True has no gradient: gradients are dense tensors.")


@composite(at=("torch",))
def embedding(weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False):
    """weight[indices[...], :]. IndexError for an index outside the table."""
    _no_sparse(sparse, weight)
    return embedding_rows(weight, indices, int(padding_idx), bool(scale_grad_by_freq))


def _renorm_rows(weight, indices, max_norm: float, norm_type: float) -> None:
    """Scale the rows of `weight` that `indices` names down to norm max_norm, in place."""
    from .. import no_grad
    with no_grad():
        used = indices.flatten().unique()
        rows = embedding_rows(weight.detach(), used, -1, False)
        norms = rows.norm(norm_type, 1, keepdim=True)
        # 1e-7 as in PyTorch: the result is a little inside the ball.
        rows = rows * where(norms > max_norm, max_norm / (norms + 1e-7), 1.0)
        weight.index_copy_(0, used, rows)


@composite(at=())
def functional_embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0,
                         scale_grad_by_freq=False, sparse=False):
    """weight[input[...], :]; rows longer than max_norm are first scaled down in place."""
    if padding_idx is not None:
        rows = weight.shape[0]
        if not -rows <= padding_idx < rows:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx %= rows
    else:
        padding_idx = -1
    if max_norm is not None:
        _renorm_rows(weight, input, max_norm, norm_type)
    return embedding(weight, input, padding_idx, scale_grad_by_freq, sparse)


@composite(at=("nn.functional",))
def one_hot(tensor, num_classes=-1):
    """Shape (*, num_classes): 1 at each index, 0 elsewhere; num_classes -1 means the largest index + 1."""
    from .. import zeros
    if tensor.dtype is not int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.\n"
                           f"one_hot: the tensor has dtype {tensor.dtype}")
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return zeros((*tensor.shape, num_classes), dtype=int64, device=tensor.device)
    if tensor.device.type != "meta":
        if int(whole(tensor).min()) < 0:
            raise RuntimeError("Class values must be non-negative.")
        if num_classes == -1:
            num_classes = int(tensor.max()) + 1
        elif (largest := int(whole(tensor).max())) >= num_classes:
            raise RuntimeError("Class values must be smaller than num_classes.\n"
                               f"one_hot: class {largest}, num_classes {num_classes}")
    out = zeros((*tensor.shape, num_classes), dtype=int64, device=tensor.device)
    return out.scatter(-1, tensor.unsqueeze(-1), 1)


def _bags(input, offsets, include_last_offset: bool):
    """(bag of each index, number of bags, size of each bag) from where the bags start."""
    from .. import arange
    count = offsets.shape[0] - (1 if include_last_offset else 0)
    starts = offsets[:count].to(int64)
    # Index i lies in the last bag that starts at or before i.
    at = arange(input.shape[0], device=input.device)
    bag = (at.unsqueeze(1) >= starts.unsqueeze(0)).sum(1) - 1
    sizes = bag.bincount(minlength=count)
    return bag, count, sizes


@composite(at=())
def functional_embedding_bag(input, weight, offsets=None, max_norm=None, norm_type=2,
                             scale_grad_by_freq=False, mode="mean", sparse=False, per_sample_weights=None,
                             include_last_offset=False, padding_idx=None):
    """Sum, mean or maximum of the rows of each bag: a row of a 2-d input, or input[offsets[b]:offsets[b +
    1]]."""
    from .. import arange
    if weight.dtype is int64 and input.dtype.is_floating_point:
        raise ValueError("Argument order of embedding_bag was changed from `(weight, input, ...)` to "
                         "`(input, weight, ...)`.")
    if per_sample_weights is not None and input.shape != per_sample_weights.shape:
        raise ValueError(f"embedding_bag: If per_sample_weights ({tuple(per_sample_weights.shape)}) is not "
                         f"None, then it must have the same shape as the input ({tuple(input.shape)})")
    if weight.ndim != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.ndim}")
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError("if input is 2D, then offsets has to be None, as input is treated is a "
                             "mini-batch of fixed length sequences. However, found offsets of type "
                             f"{type(offsets)}")
        offsets = arange(0, input.numel(), input.shape[1], device=input.device)
        include_last_offset = False
        input = input.reshape(-1)
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)
    elif input.ndim == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.ndim != 1:
            raise ValueError("offsets has to be a 1D Tensor")
    else:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}")
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError("embedding_bag: per_sample_weights was not None. per_sample_weights is "
                                  f"only supported for mode='sum' (got mode='{mode}'). Please open a feature "
                                  "request on GitHub.")
    _no_sparse(sparse, weight)
    if padding_idx is not None:
        if not -weight.shape[0] <= padding_idx < weight.shape[0]:
            raise RuntimeError("padding_idx must be within the number of embeddings")
        padding_idx %= weight.shape[0]
    if max_norm is not None:
        _renorm_rows(weight, input, max_norm, norm_type)
    bag, count, sizes = _bags(input, offsets, include_last_offset)
    kept = None
    if padding_idx is not None:
        kept = input != padding_idx
        sizes = bag[kept].bincount(minlength=count)
    rows = embedding_rows(weight, input, -1 if padding_idx is None else padding_idx, bool(scale_grad_by_freq))
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(1)
    if mode == "max":
        if kept is not None:
            rows, bag = rows[kept], bag[kept]
        out = rows.new_zeros((count, weight.shape[1]))
        places = bag.unsqueeze(1).expand(rows.shape)
        return out.scatter_reduce(0, places, rows, "amax", include_self=False)
    if kept is not None:
        rows = rows * kept.unsqueeze(1)
    out = rows.new_zeros((count, weight.shape[1])).index_add(0, bag, rows)
    if mode == "mean":
        out = out / sizes.clamp(min=1).unsqueeze(1).to(out.dtype)
    return out


# Functions of nn.functional that differ from the torch function of the same name.
FUNCTIONAL = {
    "embedding": functional_embedding,
    "embedding_bag": functional_embedding_bag,
}
