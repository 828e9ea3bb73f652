"""Keys into batches."""
from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from .collate import default_collate


class Fetcher:
    """Turn what the sampler yields into what the loader yields.

    batched: it yields lists of keys; otherwise single keys. For a stream (iterable) keys only say how many
    samples to take; StopIteration says that it has ended.
    """

    def __init__(self, dataset: Any, iterable: bool, batched: bool, collate_fn: Callable,
                 drop_last: bool) -> None:
        self.dataset, self.batched, self.collate_fn, self.drop_last = dataset, batched, collate_fn, drop_last
        self.samples: Any = iter(dataset) if iterable else None
        self.ended = False
        whole = getattr(dataset, "__getitems__", None)
        self.whole = whole if callable(whole) else None
        self.collated = getattr(dataset, "_collated", None) if collate_fn is default_collate else None

    def fetch(self, keys: Any) -> Any:
        """Return the batch, or without batching the sample, of `keys`."""
        if self.samples is not None:
            return self._take(keys)
        if not self.batched:
            return self.collate_fn(self.dataset[keys])
        if self.collated is not None:
            batch = self.collated(keys)
            if batch is not None:
                return batch
        if self.whole is not None:
            return self.collate_fn(self.whole(keys))
        dataset = self.dataset
        return self.collate_fn([dataset[key] for key in keys])

    def _take(self, keys: Any) -> Any:
        if self.ended:
            raise StopIteration
        if not self.batched:
            return self.collate_fn(next(self.samples))
        n = len(keys)
        samples = list(islice(self.samples, n))
        if len(samples) < n:
            self.ended = True
            if not samples or self.drop_last:
                raise StopIteration
        return self.collate_fn(samples)
