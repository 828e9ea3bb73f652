"""A sampler that gives every process its own part of the data."""
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ... import Generator, randperm
from .sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """Process `rank` of `num_replicas` gets every num_replicas-th index, from index `rank` on.

    All get the same number: the list is lengthened by its own start or, with drop_last, cut. shuffle:
    permuted by a generator seeded with seed + epoch; call `set_epoch` before each epoch. num_replicas and
    rank default to those of the process group.
    """

    def __init__(self, dataset: Any, num_replicas: int | None = None, rank: int | None = None,
                 shuffle: bool = True,
                 seed: int = 0, drop_last: bool = False) -> None:
        if num_replicas is None or rank is None:
            try:
                from ... import distributed
            except ImportError:
                raise RuntimeError("Requires distributed package to be available") from None
            if not distributed.is_available():
                raise RuntimeError("Requires distributed package to be available")
            num_replicas = distributed.get_world_size() if num_replicas is None else num_replicas
            rank = distributed.get_rank() if rank is None else rank
        if rank >= num_replicas or rank < 0:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        self.dataset, self.num_replicas, self.rank, self.epoch = dataset, num_replicas, rank, 0
        self.drop_last, self.shuffle, self.seed = drop_last, shuffle, seed
        n = len(dataset)
        self.num_samples = math.ceil((n - num_replicas if drop_last
                                      and n % num_replicas else n) / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        n = len(self.dataset)
        if self.shuffle:
            generator = Generator()
            generator.manual_seed(self.seed + self.epoch)
            order = randperm(n, generator=generator).tolist()
        else:
            order = list(range(n))
        if not self.drop_last and len(order) < self.total_size:
            order = (order * math.ceil(self.total_size / n))[:self.total_size]
        return iter(order[:self.total_size][self.rank::self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the permutation of the next iteration."""
        self.epoch = epoch
