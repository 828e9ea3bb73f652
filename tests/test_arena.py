"""Blocks of working memory: those in use at the same time lie apart, in little more than they need."""
from __future__ import annotations

import gc
import random

import pytest

import numtorch as torch
from numtorch.compiler.arena import FEW, arrange, by_size, by_time, pool


def blocks(seed: int) -> list[tuple[int, int, int]]:
    r = random.Random(seed)
    steps = r.choice((1, 2, 7, 100))
    made = []
    for _ in range(r.choice((0, 1, 5, 50, 300))):
        first = r.randrange(steps)
        made.append((r.choice((64, 128, 640)), first, min(steps - 1, first + r.choice((0, 1, 3, 50)))))
    return made


@pytest.mark.parametrize("seed", range(20))
def test_no_two_blocks_overlap(seed):
    some = blocks(seed)
    for place in (by_time, by_size, lambda b: arrange(b)[0]):
        at = place(some)
        for i, (n, f, l) in enumerate(some):
            for a, (m, first, last) in list(zip(at, some))[:i]:
                assert l < first or last < f or at[i] + n <= a or a + m <= at[i]


def test_memory_of_a_pass_forward_and_back():
    """What is kept for the way back takes its sum; what is not, is used again."""
    n = FEW
    kept = [(64, i, 2 * n - i) for i in range(n)]
    short = [(128, i, i + 1) for i in range(2 * n)]
    _, size = arrange(kept + short)
    assert size <= 64 * n + 4 * 128
    assert arrange([]) == ([], 0)


def test_programs_share_their_memory():
    """As many blocks as programs run at once, as large as the largest needs; none after it is gone."""
    x = [torch.randn(n, 50) for n in (40, 400, 200)]
    torch.compiler.reset()
    gc.collect()
    had = {id(b) for b in pool.idle}
    fns = [torch.compile(lambda x: ((x @ x.t()).relu() @ x).sum()) for _ in x]
    for _ in range(3):
        for f, a in zip(fns, x):
            want = ((a @ a.t()).relu() @ a).sum()
            assert torch.equal(f(a), want)
    sizes = [f.entries[0].program.program.bytes for f in fns]
    assert min(sizes) > 0
    mine = [b for b in pool.idle if id(b) not in had]
    assert len(mine) <= 1 and max(b.size for b in pool.idle) >= max(sizes)
    assert any(len(b.views) >= 3 for b in pool.idle)
    del fns, f
    torch.compiler.reset()
    gc.collect()
    assert all(b.size <= max([a.size for a in pool.arenas], default=0) for b in pool.idle)
