"""Working memory: where what is in use for some of a program's steps lies in one block, and the blocks."""
from __future__ import annotations

import heapq
import threading
import weakref
from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np

ALIGN = 64
Span = tuple[int, int, int]   # size, the first and the last step in which it is in use
FEW = 256                      # so many blocks are also arranged by size, which takes their number squared


def arrange(blocks: Sequence[Span]) -> tuple[list[int], int]:
    """(a place for each block, the size of the whole). Blocks that are in use at the same time lie apart."""
    ways = [by_time(blocks), by_size(blocks)] if len(blocks) <= FEW else [by_time(blocks)]
    sizes = [max([a + b[0] for a, b in zip(at, blocks)], default=0) for at in ways]
    least = sizes.index(min(sizes))
    return ways[least], sizes[least]


def by_time(blocks: Sequence[Span]) -> list[int]:
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


def by_size(blocks: Sequence[Span]) -> list[int]:
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


class Block:
    """One block of memory and the views of it that programs work in."""

    def __init__(self, size: int):
        self.size = size
        self.bytes = np.empty(size + ALIGN, np.uint8)
        self.start = -self.bytes.ctypes.data % ALIGN
        self.views: weakref.WeakKeyDictionary[Arena, tuple] = weakref.WeakKeyDictionary()

    def seen(self, arena: Arena) -> tuple:
        """The arrays of an arena."""
        found = self.views.get(arena)
        if found is None:
            found = self.views[arena] = tuple([
                np.ndarray(shape, dtype, self.bytes, self.start + at, strides)
                for at, dtype, shape, strides in arena.views])
        return found


class Pool:
    """Memory that no program is running in. All programs share it: as many blocks as run at the same time,
    none larger than some program needs."""

    def __init__(self) -> None:
        self.idle: list[Block] = []
        self.arenas: weakref.WeakSet[Arena] = weakref.WeakSet()
        self._lock = threading.RLock()  # garbage may be collected, and an arena dropped, while it is held

    def take(self, size: int) -> Block:
        with self._lock:
            for i, m in enumerate(self.idle):
                if m.size >= size:
                    return self.idle.pop(i)
            if self.idle:
                self.idle.pop()
        return Block(size)

    def give(self, m: Block) -> None:
        with self._lock:
            self.idle.append(m)

    def trim(self) -> None:
        """Free what no program needs any more."""
        with self._lock:
            most = max([a.size for a in self.arenas], default=0)
            self.idle = [m for m in self.idle if m.size <= most]


pool = Pool()


class Arena:
    """What a program needs of working memory: `size` bytes, in it `views`, each (place, dtype, shape, strides
    in bytes or None)."""

    def __init__(self, views: Sequence[tuple], size: int):
        self.views, self.size = list(views), size
        if size:
            pool.arenas.add(self)
            weakref.finalize(self, pool.trim).atexit = False
