"""flex_attention: attention whose scores and mask are functions of positions.

`score_mod(score, b, h, q, k)` and `mask_mod(b, h, q, k)` are called once, on tensors of all scores and of all
indices that broadcast against them; they must be made of elementwise operations and indexing."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ... import Tensor, arange, logsumexp, softmax

__all__ = ["BlockMask", "and_masks", "create_block_mask", "create_mask", "flex_attention", "noop_mask",
           "or_masks"]


def noop_mask(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    """True everywhere."""
    return (batch + head + token_q + token_kv) >= 0


def and_masks(*mask_mods: Callable) -> Callable:
    """The mask that is True where all of them are."""
    def mask(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        out = mask_mods[0](b, h, q, k)
        for m in mask_mods[1:]:
            out = out & m(b, h, q, k)
        return out
    return mask


def or_masks(*mask_mods: Callable) -> Callable:
    """The mask that is True where one of them is."""
    def mask(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        out = mask_mods[0](b, h, q, k)
        for m in mask_mods[1:]:
            out = out | m(b, h, q, k)
        return out
    return mask


def _indices(shape: tuple[int, ...], device: Any) -> list[Tensor]:
    """The indices along each of (b, h, q, k), shaped to broadcast."""
    return [arange(n, device=device).reshape([-1 if i == j else 1 for j in range(4)])
            for i, n in enumerate(shape)]


def create_mask(mod_fn: Callable, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int,
                device: Any = "cpu") -> Tensor:
    """mod_fn as a bool tensor (B, H, Q_LEN, KV_LEN); None counts as 1."""
    shape = (B or 1, H or 1, Q_LEN, KV_LEN)
    return mod_fn(*_indices(shape, device)).expand(shape)


class BlockMask:
    """A mask_mod with the sizes it is for, and which blocks of scores it leaves anything in."""

    def __init__(self, mask_mod: Callable, seq_lengths: tuple[int, int], block_size: tuple[int, int],
                 mask: Tensor) -> None:
        self.mask_mod, self.seq_lengths, self.BLOCK_SIZE, self._mask = mask_mod, seq_lengths, block_size, mask

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, H, Q_LEN, KV_LEN)."""
        return (*self._mask.shape[:2], *self.seq_lengths)

    def numel(self) -> int:
        """The number of scores."""
        return math.prod(self.shape)

    def to_dense(self) -> Tensor:
        """(B, H, blocks of queries, blocks of keys): 1 where a block has a score that counts."""
        b, h, q, k = self._mask.shape
        m, n = self.BLOCK_SIZE
        from ..functional import pad
        whole = pad(self._mask.int(), (0, -k % n, 0, -q % m))
        return whole.reshape(b, h, -(-q // m), m, -(-k // n), n).amax((3, 5))

    def sparsity(self) -> float:
        """The percentage of blocks that need not be computed."""
        return 100.0 * (1.0 - self.to_dense().float().mean().item())

    def __repr__(self) -> str:
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%)"


def create_block_mask(mask_mod: Callable, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int,
                      device: Any = None, BLOCK_SIZE: int | tuple[int, int] = 128,
                      **others: Any) -> BlockMask:
    """A BlockMask of mask_mod(b, h, q, k)."""
    size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
    mask = create_mask(mask_mod, B, H, Q_LEN, KV_LEN, "cpu" if device is None else device)
    return BlockMask(mask_mod, (Q_LEN, KV_LEN), size, mask)


def flex_attention(query: Tensor, key: Tensor, value: Tensor, score_mod: Callable | None = None,
                   block_mask: BlockMask | None = None, scale: float | None = None, enable_gqa: bool = False,
                   return_lse: bool = False, kernel_options: dict | None = None) -> Any:
    """softmax(score_mod(scale q kᵀ)) v of q (B, H, L, E), k (B, H, S, E), v (B, H, S, Ev), over the pairs
    that
    the mask leaves; rows without any give 0. With `return_lse` also the logsumexp of the scores (B, H, L)."""
    if query.ndim != 4 or key.ndim != 4 or value.ndim != 4:
        raise ValueError("Expected query, key, and value to be 4D tensors")
    if not query.dtype is key.dtype is value.dtype:
        raise ValueError("Expected query, key, and value to have the same dtype, but got query.dtype: "
                         f"{query.dtype}, key.dtype: {key.dtype}, and value.dtype: {value.dtype} instead.")
    heads, shared = query.shape[1], key.shape[1]
    if heads != shared:
        if not enable_gqa:
            raise ValueError(f"Expect query and key/value to have the same number of heads but got "
                             f"Hq={heads} and "
                             f"Hkv={shared}. Try setting enable_gqa=True for GQA.")
        if heads % shared:
            raise ValueError(f"Expect number of query heads to be a multiple of kv heads for GQA but got "
                             f"Hq={heads}"
                             f" and Hkv={shared}.")
        key, value = (t.repeat_interleave(heads // shared, 1) for t in (key, value))
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = (query @ key.transpose(-2, -1)).float() * scale
    if score_mod is not None:
        scores = score_mod(scores, *_indices(tuple(scores.shape), scores.device))
    if block_mask is not None:
        mask = block_mask._mask[..., :scores.shape[-2], :scores.shape[-1]]
        scores = scores.masked_fill(mask.logical_not(), -math.inf)
    empty = (scores == -math.inf).all(-1, keepdim=True)
    weights = softmax(scores, -1).masked_fill(empty, 0.0)
    out = weights.to(value.dtype) @ value
    return (out, logsumexp(scores, -1)) if return_lse else out
