"""Working memory: where blocks that are in use for some of a program's steps lie in one larger block."""
from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Sequence

Block = tuple[int, int, int]   # size, the first and the last step in which it is in use
FEW = 256                      # so many blocks are also arranged by size, which takes their number squared


def arrange(blocks: Sequence[Block]) -> tuple[list[int], int]:
    """(a place for each block, the size of the whole). Blocks that are in use at the same time lie apart."""
    ways = [by_time(blocks), by_size(blocks)] if len(blocks) <= FEW else [by_time(blocks)]
    sizes = [max([a + b[0] for a, b in zip(at, blocks)], default=0) for at in ways]
    least = sizes.index(min(sizes))
    return ways[least], sizes[least]


def by_time(blocks: Sequence[Block]) -> list[int]:
    """Each block at the lowest place that is free when it comes into use."""
    at, top = [0] * len(blocks), 0
    gaps: list[tuple[int, int]] = []          # free ranges below top, in order
    used: list[tuple[int, int, int]] = []     # (last step, start, end), a heap
    for k in sorted(range(len(blocks)), key=lambda k: (blocks[k][1], -blocks[k][2])):
        size, first, last = blocks[k]
        while used and used[0][0] < first:
            _, a, b = heapq.heappop(used)
            i = bisect_left(gaps, (a, b))
            if i < len(gaps) and gaps[i][0] == b:
                b = gaps.pop(i)[1]
            if i and gaps[i - 1][1] == a:
                a = gaps.pop(i - 1)[0]
            insort(gaps, (a, b))
        i = next((i for i, (a, b) in enumerate(gaps) if b - a >= size), -1)
        if i >= 0:
            a, b = gaps.pop(i)
            if b - a > size:
                insort(gaps, (a + size, b))
        else:
            a = gaps.pop()[0] if gaps and gaps[-1][1] == top else top
            top = a + size
        at[k] = a
        heapq.heappush(used, (last, a, a + size))
    return at


def by_size(blocks: Sequence[Block]) -> list[int]:
    """Each block at the lowest place that is free while it is in use, the largest first."""
    at = [0] * len(blocks)
    placed: list[tuple[int, int, int, int]] = []   # (start, end, first step, last step), in order
    for k in sorted(range(len(blocks)), key=lambda k: (-blocks[k][0], blocks[k][1])):
        size, first, last = blocks[k]
        spot = 0
        for a, b, f, l in placed:
            if f <= last and first <= l:
                if a - spot >= size:
                    break
                spot = max(spot, b)
        at[k] = spot
        insort(placed, (spot, spot + size, first, last))
    return at
