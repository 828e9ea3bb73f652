"""Horizontal fusion: kernels of one text on other tensors, such as an optimizer's updates, as one launch."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..kernels import jit
from .lower import Kernel, Load
from .schedule import Problem, Task


class Together:
    """Kernels that run at once, none of which reads what another one writes."""

    def __init__(self, kernels: Sequence[Kernel]):
        self.kernels = list(kernels)
        self.loads = [x for k in kernels for x in k.loads]
        self.stores = [s for k in kernels for s in k.stores]
        self.bases = [b for k in kernels for b in k.bases]

    def late(self, store: Load, load: Load) -> bool:
        """Whether an element that the store writes is read by nothing later: not by its own kernel, nor by
        another one at any time."""
        mine = next(k for k in self.kernels if any(s is store for s in k.stores))
        return any(x is load for x in mine.loads) and mine.late(store, load)


def batches(p: Problem, home: dict[int, int], work: Sequence[Any]) -> list[list[int]]:
    """Positions in `work` that are one launch each, in an order in which it can run: a kernel waits for those
    like it as far as nothing needs it. `home`: task → position. Kernels that are worth several threads each
    stay where their operands are still in the cache."""
    first: dict[int, int] = {}                       # position → the first one that needs it
    for i, t in enumerate(p.tasks):
        n = home[i]
        for v in t.reads():
            m = home[p.maker[v]] if v in p.maker else n
            if m != n:
                first[m] = min(first.get(m, len(work)), n)
    out: dict[int, list[int]] = {}                   # by the position of the last one
    last: dict[tuple, int] = {}
    limit: dict[int, int] = {}
    for n, w in enumerate(work):
        out[n], limit[n] = [n], first.get(n, len(work))
        if isinstance(w, Task) or sum([k.items * k.cost for k in w.launches]) >= jit.PARALLEL_NS:
            continue
        key = tuple([k.key for k in w.launches])
        m = last.get(key, -1)
        if m >= 0 and limit[m] > n:
            out[n] = [*out.pop(m), n]
            limit[n] = min(limit[n], limit[m])
        last[key] = n
    return [out[n] for n in sorted(out)]
