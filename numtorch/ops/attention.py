"""Attention: scaled dot products, and multi-head attention over them."""
from __future__ import annotations

import math

from .. import dtypes as D
from ..kinds import composite
from .activation import softmax
from .index import c_name
from .linalg import matmul
from .padding import linear


def _check_attention(query, key, value, attn_mask, is_causal: bool) -> None:
    if not query.dtype is key.dtype is value.dtype:
        raise RuntimeError("Expected query, key, and value to have the same dtype, but got query.dtype: "
                           f"{c_name(query.dtype)} key.dtype: {c_name(key.dtype)} and value.dtype: "
                           f"{c_name(value.dtype)} instead.")
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError("Expected query, key, and value to all be  at least 2 dimensional, but got "
                           f"query.dim: {query.ndim} key.dim: {key.ndim} and value.dim: {value.ndim} "
                           "instead.")
    if attn_mask is not None:
        if attn_mask.dtype not in (D.bool, D.float32, query.dtype):
            raise RuntimeError("Expected attn_mask dtype to be bool or float or to match query dtype, but "
                               f"got attn_mask.dtype: {c_name(attn_mask.dtype)} and  query.dtype: "
                               f"{c_name(query.dtype)} instead.")
        if is_causal:
            raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when "
                               "is_causal=True")


@composite(at=("nn.functional",))
def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False,
                                 scale=None, enable_gqa=False):
    """softmax(scale q kᵀ + mask) v with q (*, L, E), k (*, S, E), v (*, S, Ev); scale is 1 / √E by default.

    A bool mask says which pairs take part; a row without any gives 0. `enable_gqa`: a key head serves several
    query heads (dimension -3)."""
    from .. import ones
    _check_attention(query, key, value, attn_mask, is_causal)
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1]) if query.shape[-1] else math.inf
    if enable_gqa and query.ndim > 2:
        heads, shared, values = query.shape[-3], key.shape[-3], value.shape[-3]
        if shared == 0 or values == 0 or heads % shared or heads % values:
            raise RuntimeError("Number of heads in key and value must divide the number of heads in ")
        key = key.repeat_interleave(heads // shared, -3)
        value = value.repeat_interleave(heads // values, -3)
    scores = matmul(query * scale, key.transpose(-2, -1))
    hidden = None
    if is_causal:
        shape = (query.shape[-2], key.shape[-2])
        hidden = ones(shape, dtype=D.bool, device=query.device).tril().logical_not()
        scores = scores.masked_fill(hidden, -math.inf)
    elif attn_mask is not None and attn_mask.dtype is D.bool:
        hidden = attn_mask.logical_not()
        scores = scores.masked_fill(hidden, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask.to(scores.dtype)
    weights = softmax(scores, -1)
    if attn_mask is not None:
        empty = (scores == -math.inf).all(-1, keepdim=True)
        weights = weights.masked_fill(empty, 0.0)
    if dropout_p > 0:
        from ..nn.functional import dropout
        weights = dropout(weights, dropout_p)
    return matmul(weights, value)


def _projected(query, key, value, weight, bias) -> tuple:
    """Query, key and value through the three parts of one stacked projection."""
    e = query.shape[-1]
    if key is value and query is key:
        return linear(query, weight, bias).chunk(3, -1)
    parts = weight.split(e)
    biases = (None,) * 3 if bias is None else bias.split(e)
    return tuple(linear(x, w, b) for x, w, b in zip((query, key, value), parts, biases))


def _as_bias(mask, dtype, name: str):
    """A mask as numbers to add: -inf where a bool mask is True."""
    if mask is None or mask.dtype.is_floating_point:
        return mask
    if mask.dtype is not D.bool:
        raise AssertionError(f"only bool and floating types of {name} are supported")
    from .. import zeros_like
    return zeros_like(mask, dtype=dtype).masked_fill_(mask, -math.inf)


@composite(at=("nn.functional",))
def multi_head_attention_forward(query, key, value, embed_dim_to_check, num_heads, in_proj_weight,
                                 in_proj_bias, bias_k, bias_v, add_zero_attn, dropout_p, out_proj_weight,
                                 out_proj_bias, training=True, key_padding_mask=None, need_weights=True,
                                 attn_mask=None, use_separate_proj_weight=False, q_proj_weight=None,
                                 k_proj_weight=None, v_proj_weight=None, static_k=None, static_v=None,
                                 average_attn_weights=True, is_causal=False):
    """Multi-head attention (arXiv:1706.03762) of (L, N, E) or (L, E): (output, weights or None)."""
    from .. import cat, zeros
    batched = query.ndim == 3
    if not batched:
        if query.ndim != 2:
            raise AssertionError("query should be unbatched 2D or batched 3D tensor but received "
                                 f"{query.ndim}-D query tensor")
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    length, batch, embed = query.shape
    sources = key.shape[0]
    if embed != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {embed}")
    head = embed // num_heads
    if head * num_heads != embed:
        raise AssertionError(f"embed_dim {embed} not divisible by num_heads {num_heads}")
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    if use_separate_proj_weight:
        biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
        q, k, v = (linear(x, w, b) for x, w, b in zip((query, key, value), (q_proj_weight, k_proj_weight,
                                                                            v_proj_weight), biases))
    else:
        if key.shape != value.shape:
            raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")
        q, k, v = _projected(query, key, value, in_proj_weight, in_proj_bias)
    attn_mask = _as_bias(attn_mask, q.dtype, "attn_mask")
    key_padding_mask = _as_bias(key_padding_mask, q.dtype, "key_padding_mask")
    if attn_mask is not None:
        if attn_mask.ndim == 2:
            if attn_mask.shape != (length, sources):
                raise RuntimeError(f"The shape of the 2D attn_mask is {attn_mask.shape}, but should be "
                                   f"{(length, sources)}.")
            attn_mask = attn_mask.unsqueeze(0)
        elif attn_mask.ndim != 3:
            raise RuntimeError(f"attn_mask's dimension {attn_mask.ndim} is not supported")
        elif attn_mask.shape != (batch * num_heads, length, sources):
            raise RuntimeError(f"The shape of the 3D attn_mask is {attn_mask.shape}, but should be "
                               f"{(batch * num_heads, length, sources)}.")
    grow = 0
    if bias_k is not None and bias_v is not None:
        k = cat([k, bias_k.expand(1, batch, embed)])
        v = cat([v, bias_v.expand(1, batch, embed)])
        grow += 1
    q = q.reshape(length, batch * num_heads, head).transpose(0, 1)
    k = k.reshape(k.shape[0], batch * num_heads, head).transpose(0, 1) if static_k is None else static_k
    v = v.reshape(v.shape[0], batch * num_heads, head).transpose(0, 1) if static_v is None else static_v
    if add_zero_attn:
        row = zeros((batch * num_heads, 1, head), dtype=k.dtype, device=k.device)
        k, v = cat([k, row], 1), cat([v, row], 1)
        grow += 1
    if grow:
        from .padding import constant_pad_nd
        attn_mask = None if attn_mask is None else constant_pad_nd(attn_mask, [0, grow], 0)
        key_padding_mask = None if key_padding_mask is None else constant_pad_nd(key_padding_mask, [0, grow],
                                                                                 0)
    sources = k.shape[1]
    if key_padding_mask is not None:
        if key_padding_mask.shape != (batch, sources):
            raise AssertionError(f"key_padding_mask shape {key_padding_mask.shape} should be "
                                 f"{(batch, sources)}")
        spread = key_padding_mask.reshape(batch, 1, 1, sources).expand(batch, num_heads, 1, sources)
        spread = spread.reshape(batch * num_heads, 1, sources)
        attn_mask = spread if attn_mask is None else attn_mask + spread
    if not training:
        dropout_p = 0.0
    weights = None
    if need_weights:
        scores = matmul(q * math.sqrt(1.0 / head), k.transpose(1, 2))
        if attn_mask is not None:
            scores = scores + attn_mask
        weights = softmax(scores, -1)
        if dropout_p > 0:
            from ..nn.functional import dropout
            weights = dropout(weights, dropout_p)
        out = matmul(weights, v)
        out = out.transpose(0, 1).reshape(length * batch, embed)
    else:
        if attn_mask is not None:
            if attn_mask.shape[0] == 1 and attn_mask.ndim == 3:
                attn_mask = attn_mask.unsqueeze(0)
            else:
                attn_mask = attn_mask.reshape(batch, num_heads, -1, sources)
        heads = (x.reshape(batch, num_heads, x.shape[1], head) for x in (q, k, v))
        out = scaled_dot_product_attention(*heads, attn_mask, dropout_p, is_causal and attn_mask is None)
        out = out.permute(2, 0, 1, 3).reshape(length * batch, embed)
    out = linear(out, out_proj_weight, out_proj_bias).reshape(length, batch, out_proj_weight.shape[0])
    if weights is not None:
        weights = weights.reshape(batch, num_heads, length, sources)
        if average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            weights = weights.squeeze(0)
    return (out if batched else out.squeeze(1)), weights
