"""Strided views as slices, reshapes and transpositions of the tensor that holds a block of memory."""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..layouts import Layout


class Place(NamedTuple):
    """Where a view's elements are in a block. The block is seen with dimensions `sizes` and `steps` (`dense`:
    it has to be reshaped for that, in the order of memory); of dimension i, `length[i]` entries from
    `start[i]` on in steps of `stride[i]` are taken, which is dimension `axis[i]` of the view (-1: none, its
    length is 1)."""
    sizes: list[int]
    steps: list[int]
    dense: bool
    start: list[int]
    length: list[int]
    stride: list[int]
    axis: list[int]

    @property
    def whole(self) -> bool:
        """Whether every element is taken, in order."""
        return self.length == self.sizes


def place(block: Layout, seen: Layout) -> Place | None:
    """The Place of a view; None where it is no product of ranges."""
    return _along(block, seen) or _digits(block, seen)


def _own(seen: Layout) -> list[int]:
    """The dimensions that a view has entries along, by stride, the largest first."""
    return sorted([d for d, (n, s) in enumerate(zip(seen.shape, seen.strides)) if n > 1 and s],
                  key=lambda d: -seen.strides[d])


def _along(block: Layout, seen: Layout) -> Place | None:
    """Ranges along the block's own dimensions."""
    order = sorted(range(len(block.shape)), key=lambda d: (-block.strides[d], block.shape[d] == 1))
    k = len(order)
    start, length, stride, axis = [0] * k, [1] * k, [1] * k, [-1] * k
    at = seen.offset
    for d in order:
        if block.shape[d] > 1:
            start[d], at = divmod(at, block.strides[d])
    if at:
        return None
    for v in _own(seen):
        s, n = seen.strides[v], seen.shape[v]
        d = next((d for d in order if block.shape[d] > 1 and block.strides[d] <= s), -1)
        if d < 0 or axis[d] >= 0 or s % block.strides[d]:
            return None
        axis[d], length[d], stride[d] = v, n, s // block.strides[d]
    for d in range(k):
        if start[d] + (length[d] - 1) * stride[d] >= max(block.shape[d], 1):
            return None
    return Place(list(block.shape), list(block.strides), False, start, length, stride, axis)


def _digits(block: Layout, seen: Layout) -> Place | None:
    """Ranges of the digits of a memory index, with the view's strides as radices."""
    own = _own(seen)
    steps = [seen.strides[d] for d in own]
    if not steps or steps[-1] != 1:
        steps.append(1)
    bounds = [block.numel, *steps]
    if any(a % b for a, b in zip(bounds, steps)):
        return None
    sizes = [a // b for a, b in zip(bounds, steps)]
    start, at = [], seen.offset
    for s in steps:
        n, at = divmod(at, s)
        start.append(n)
    axis = [*own, *[-1] * (len(steps) - len(own))]
    length = [1 if d < 0 else seen.shape[d] for d in axis]
    if any(a + n > m for a, n, m in zip(start, length, sizes)):
        return None
    return Place(sizes, steps, True, start, length, [1] * len(steps), axis)


def memory_order(block: Layout) -> list[int]:
    """The block's dimensions as they lie in memory, outermost first."""
    return sorted(range(len(block.shape)), key=lambda d: (-block.strides[d], d))


def places(seen: Layout) -> list[int]:
    """The memory index of every element, in order."""
    found = [seen.offset]
    for n, s in zip(seen.shape, seen.strides):
        found = [a + i * s for a in found for i in range(n)]
    return found


def ordered(order: Sequence[int]) -> bool:
    """Whether dimensions are in their own order."""
    return list(order) == sorted(order)
