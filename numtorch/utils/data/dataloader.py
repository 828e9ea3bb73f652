"""The DataLoader: batches from a data set, made in this process or by workers."""
from __future__ import annotations

import contextlib
import math
import os
import sys
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from ... import Tensor, empty, int64
from ._utils.collate import default_collate, default_convert
from ._utils.fetch import Fetcher
from ._utils.worker import WorkerInfo, get_worker_info
from .dataset import Dataset, IterableDataset
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

__all__ = ["DataLoader", "WorkerInfo", "default_collate", "default_convert", "get_worker_info"]

T_co = TypeVar("T_co", covariant=True)

# What cannot change once the loader is made: samplers were built from it.
_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")

# This process's ends of the pipes to all workers. A forked worker closes its copies of them.
_open: weakref.WeakSet = weakref.WeakSet()
# Seconds that workers are given to finish their batch before they are ended.
PATIENCE = 5.0


class _DatasetKind:
    Map = 0
    Iterable = 1


class _InfiniteConstantSampler(Sampler):
    "The keys of a stream: None, without end."

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader(Generic[T_co]):
    """Iterate over the batches of a data set.

    dataset: a map from keys (`__getitem__`, `__len__`) or a stream (IterableDataset).
    batch_size: samples a batch; None: no batches, samples as they are. drop_last: leave out a shorter last
    batch. shuffle, sampler, batch_sampler: the order of the keys; at most one of them. collate_fn: makes a
    batch of a list of samples; by default `default_collate`, without batches `default_convert`. num_workers:
    processes that load; 0 loads in this one. The batches are the same for any number of workers, unless the
    data set draws random numbers itself. prefetch_factor: batches a worker prepares ahead (2).
    persistent_workers: keep them for the next epoch. timeout: seconds to wait for a batch, 0 is for ever.
    worker_init_fn(number) runs in each worker. multiprocessing_context: "fork" (the default on Linux),
    "spawn", "forkserver" or a context. in_order=False: batches as they are ready. generator: source of the
    shuffle and of the workers' seeds; by default the default generator. pin_memory: batches in page-locked
    memory, where there is a CUDA device.

    A worker runs kernels on one thread; its seed is a number drawn when the iteration starts, plus its own
    number. An exception in a worker is raised here with the worker's traceback; a worker that dies is
    reported.
    """

    dataset: Dataset[T_co]
    __initialized = False

    def __init__(self, dataset: Dataset[T_co], batch_size: int | None = 1, shuffle: bool | None = None,
                 sampler: Any = None, batch_sampler: Any = None, num_workers: int = 0,
                 collate_fn: Callable | None = None, pin_memory: bool = False, drop_last: bool = False,
                 timeout: float = 0, worker_init_fn: Callable[[int], Any] | None = None,
                 multiprocessing_context: Any = None, generator: Any = None, *,
                 prefetch_factor: int | None = None,
                 persistent_workers: bool = False, pin_memory_device: str = "",
                 in_order: bool = True) -> None:
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable "
                             "multiprocessing.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError("prefetch_factor option could only be specified in multiprocessing.let "
                             "num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to "
                             "None.")
        if num_workers > 0 and prefetch_factor is None:
            prefetch_factor = 2
        elif prefetch_factor is not None and prefetch_factor < 0:
            raise ValueError("prefetch_factor option should be non-negative")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        self.dataset = dataset
        self.num_workers, self.prefetch_factor, self.timeout = num_workers, prefetch_factor, timeout
        self.pin_memory, self.pin_memory_device = pin_memory, pin_memory_device
        self.worker_init_fn, self.in_order = worker_init_fn, in_order
        self.multiprocessing_context = multiprocessing_context

        if isinstance(dataset, IterableDataset):
            self._dataset_kind = _DatasetKind.Iterable
            for name, value, allowed in (("shuffle", shuffle, (None, False)), ("sampler", sampler, (None,)),
                                         ("batch_sampler", batch_sampler, (None,))):
                if not any(value is x for x in allowed):
                    raise ValueError(f"DataLoader with IterableDataset: expected unspecified {name} option, "
                                     f"but got {name}={value}")
        else:
            self._dataset_kind = _DatasetKind.Map
            shuffle = bool(shuffle)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, "
                                 "sampler, and drop_last")
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with "
                             "drop_last")
        if sampler is None:
            if self._dataset_kind == _DatasetKind.Iterable:
                sampler = _InfiniteConstantSampler()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)  # type: ignore[arg-type]
            else:
                sampler = SequentialSampler(dataset)  # type: ignore[arg-type]
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size, self.drop_last = batch_size, drop_last
        self.sampler, self.batch_sampler, self.generator = sampler, batch_sampler, generator
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.collate_fn = collate_fn
        self.persistent_workers = persistent_workers
        self.__initialized = True
        self._IterableDataset_len_called: int | None = None
        self._iterator: Any = None
        self.check_worker_number_rationality()

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__initialized and name in _FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    @property
    def multiprocessing_context(self) -> Any:
        return self.__context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: Any) -> None:
        if context is not None:
            if self.num_workers == 0:
                raise ValueError("multiprocessing_context can only be used with multi-process loading "
                                 f"(num_workers > 0), but got num_workers={self.num_workers}")
            import multiprocessing
            if isinstance(context, str):
                known = multiprocessing.get_all_start_methods()
                if context not in known:
                    raise ValueError("multiprocessing_context option should specify a valid start method in "
                                     f"{known!r}, but got multiprocessing_context={context!r}")
                context = multiprocessing.get_context(context)
            if not isinstance(context, multiprocessing.context.BaseContext):
                raise TypeError("multiprocessing_context option should be a valid context object or a string "
                                "specifying the start method, but got multiprocessing_context=" f"{context}")
        self.__context = context

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.batch_sampler if self._auto_collation else self.sampler

    def __iter__(self) -> Iterator[Any]:
        if self.num_workers == 0:
            return _Serial(self)
        if not self.persistent_workers:
            self.check_worker_number_rationality()
            return _Parallel(self)
        if self._iterator is None or self._iterator.closed:
            self.check_worker_number_rationality()
            self._iterator = _Parallel(self)
        else:
            self._iterator.restart()
        return self._iterator

    def __len__(self) -> int:
        """The number of batches; for a stream, what its `__len__` leads to expect."""
        if self._dataset_kind == _DatasetKind.Iterable:
            n = self._IterableDataset_len_called = len(self.dataset)  # type: ignore[arg-type]
            if self.batch_size is not None:
                n = n // self.batch_size if self.drop_last else math.ceil(n / self.batch_size)
            return n
        return len(self._index_sampler)

    def check_worker_number_rationality(self) -> None:
        """Warn where more workers are asked for than this process may use cores."""
        if self.num_workers == 0:
            return
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        if cores is not None and self.num_workers > cores:
            warnings.warn(
                f"This DataLoader will create {self.num_workers} worker processes in total. Our suggested "
                f"max number of worker in current system is {cores}, which is smaller than what this "
                "DataLoader is going to create. Please be aware that excessive worker creation might get "
                "DataLoader running slow or even freeze, lower the worker number to avoid potential "
                "slowness/freeze if necessary.", stacklevel=2)


def _pin(x: Any) -> Any:
    "`x` with its tensors in page-locked memory."
    if isinstance(x, Tensor) or (hasattr(x, "pin_memory") and callable(x.pin_memory)):
        return x.pin_memory()
    if isinstance(x, dict):
        return type(x)((key, _pin(value)) for key, value in x.items())
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*map(_pin, x))
    if isinstance(x, tuple):
        return [_pin(value) for value in x]
    if isinstance(x, list):
        return type(x)(map(_pin, x))
    return x


class _Batches:
    "One pass over a loader. Draws the workers' base seed when it is made, the sampler's numbers when it "
    "needs keys."

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader
        self.base_seed = int(empty((), dtype=int64).random_(generator=loader.generator).item())
        self.pinned = loader.pin_memory and self._accelerator()
        self._start()

    @staticmethod
    def _accelerator() -> bool:
        from ... import cuda
        if cuda.is_available():
            return True
        warnings.warn("'pin_memory' argument is set as true but no accelerator is found, then device pinned "
                      "memory won't be used.", stacklevel=4)
        return False

    def _start(self) -> None:
        self.keys = iter(self.loader._index_sampler)
        self.yielded = 0
        self.expected = self.loader._IterableDataset_len_called

    def __iter__(self) -> _Batches:
        return self

    def __len__(self) -> int:
        return len(self.loader._index_sampler)

    def _next(self) -> Any:
        raise NotImplementedError

    def __next__(self) -> Any:
        batch = self._next()
        if self.pinned:
            batch = _pin(batch)
        self.yielded += 1
        if self.expected is not None and self.yielded > self.expected:
            text = (f"Length of IterableDataset {self.loader.dataset} was reported to be "
                    f"{self.expected}(when accessing len(dataloader)), but {self.yielded} samples have been "
                    "fetched. ")
            if self.loader.num_workers > 0:
                text += ("For multiprocessing data-loading, this could be caused by not properly configuring "
                         "the IterableDataset replica at each worker. Please see "
                         "https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset for "
                         "examples.")
            warnings.warn(text, stacklevel=2)
        return batch

    def __getstate__(self) -> Any:
        raise NotImplementedError("{} cannot be pickled", type(self).__name__)


class _Serial(_Batches):
    "Loads in this process."

    def __init__(self, loader: DataLoader) -> None:
        super().__init__(loader)
        self.fetcher = Fetcher(*_fetching(loader))

    def _next(self) -> Any:
        return self.fetcher.fetch(next(self.keys))


def _fetching(loader: DataLoader) -> tuple:
    "The arguments of Fetcher."
    return (loader.dataset, loader._dataset_kind == _DatasetKind.Iterable, loader._auto_collation,
            loader.collate_fn,
            loader.drop_last)


class _Worker:
    "The loader's view of one worker process."

    def __init__(self, process: Any, pipe: Any) -> None:
        from ._utils.memory import Receiver
        self.process, self.pipe, self.inbox = process, pipe, Receiver(pipe)
        self.active = True
        self.tasks = 0  # sent and not answered


class _Parallel(_Batches):
    """Loads in worker processes.

    Batches are numbered; batch n goes to the active workers in turn. Each worker has one two-way pipe, read
    here as soon as it has something, so that no worker waits for another. `found` keeps what came before its
    turn.
    """

    closed = False

    def __init__(self, loader: DataLoader) -> None:
        self.workers: list[_Worker] = []
        if not loader.prefetch_factor:
            raise AssertionError("prefetch_factor must be greater than 0 for MultiProcessingDataLoaderIter")
        super().__init__(loader)
        self.prefetch, self.timeout, self.in_order = loader.prefetch_factor, loader.timeout, loader.in_order
        self.sent = self.wanted = 0  # numbers of the next batch to ask for and to hand out
        self.turn = 0
        self.owner: dict[int, _Worker] = {}
        self.found: dict[int, Any] = {}
        self.pid = os.getpid()
        self._launch(loader)
        self._fill()

    def _launch(self, loader: DataLoader) -> None:
        import multiprocessing

        from ._utils import worker
        context = loader.multiprocessing_context
        if context is None:
            fork = sys.platform == "linux" and multiprocessing.get_start_method(allow_none=True) is None
            context = multiprocessing.get_context("fork" if fork else None)
        forks = context.get_start_method() == "fork"
        make, n = _fetching(loader), loader.num_workers
        slots = self.prefetch + 2  # those being prepared, one handed out, one spare
        try:
            for number in range(n):
                here, there = context.Pipe(duplex=True)
                _open.add(here)
                mine = list(_open) if forks else []
                process = context.Process(
                    target=worker.main, daemon=True,
                    args=(there, mine, make, self.base_seed, number, n, loader.worker_init_fn, slots))
                process.start()
                there.close()
                self.workers.append(_Worker(process, here))
        except BaseException:
            self.close()
            raise

    def restart(self) -> None:
        """Begin the next epoch with the same workers."""
        from ._utils.worker import Resume
        self._start()
        self.wanted, self.turn = self.sent, 0
        self.owner.clear()
        self.found.clear()
        for w in self.workers:
            if self.loader._dataset_kind == _DatasetKind.Iterable:
                w.pipe.send(Resume)
            w.active = True
        self._fill()

    def _fill(self) -> None:
        for _ in range(self.prefetch * len(self.workers)):
            self._ask()

    def _ask(self) -> None:
        "Send the next keys to the worker whose turn it is."
        n = len(self.workers)
        for i in range(n):
            w = self.workers[(self.turn + i) % n]
            if w.active and (self.in_order or w.tasks < self.prefetch):
                break
        else:
            return
        keys = next(self.keys, self)
        if keys is self:
            return
        self.turn = (self.turn + i + 1) % n
        self.owner[self.sent] = w
        w.tasks += 1
        try:
            w.pipe.send((self.sent, keys, w.inbox.returned()))
        except (BrokenPipeError, ConnectionError):
            pass  # it is dead: found out when its batch is wanted
        self.sent += 1

    def _receive(self) -> None:
        "Wait until at least one worker has answered; keep the answers."
        from multiprocessing.connection import wait
        limit = None if not self.timeout else time.monotonic() + self.timeout
        while True:
            busy = {w.pipe: w for w in self.workers if w.tasks}
            ready = wait(list(busy), None if limit is None else max(0.0, limit - time.monotonic()))
            if not ready:
                self.close()
                raise RuntimeError(f"DataLoader timed out after {self.timeout} seconds")
            got = False
            dead = []
            for pipe in ready:
                w = busy[pipe]
                try:
                    number, batch = w.inbox.receive()
                except (EOFError, ConnectionError):
                    dead.append(w)
                    continue
                w.tasks -= 1
                if self.owner.get(number) is w:  # else it was asked for in an epoch that was broken off
                    self.found[number] = batch
                    got = True
            if got:
                return
            if dead:
                self._report(dead)

    def _report(self, dead: list[_Worker]) -> None:
        import signal
        notes = []
        for w in dead:
            w.process.join(1)
            code = w.process.exitcode
            if code is not None and code < 0:
                name = signal.Signals(-code).name
                notes.append(f"pid {w.process.pid} was killed by {name}"
                             + (": the system may have run out of memory" if name == "SIGKILL" else ""))
            else:
                notes.append(f"pid {w.process.pid} left with exit code {code}")
        pids = ", ".join(str(w.process.pid) for w in dead)
        self.close()
        raise RuntimeError(f"DataLoader worker (pid(s) {pids}) exited unexpectedly\n" + "; ".join(notes))

    def _next(self) -> Any:
        from ._utils.worker import Ended, Failure
        while True:
            if self.closed:
                raise StopIteration
            if self.in_order:
                number = self.wanted
            else:
                number = next(iter(self.found), -1 if self.owner else self.sent)
            if number == self.sent:
                if not self.loader.persistent_workers:
                    self.close()
                raise StopIteration
            if number not in self.found:
                owner = self.owner.get(number)
                if number >= 0 and (owner is None
                                    or not owner.active):  # asked of a worker whose stream ended
                    self.owner.pop(number, None)
                    self.wanted += 1
                else:
                    self._receive()
                continue
            batch = self.found.pop(number)
            w = self.owner.pop(number)
            self.wanted += 1
            if isinstance(batch, Ended):
                w.active = False
                late = [k for k, owner in self.owner.items() if owner is w and k not in self.found]
                for k in late:
                    del self.owner[k]
                self._ask()
                continue
            self._ask()
            if isinstance(batch, Failure):
                batch.reraise()
            return batch

    def close(self) -> None:
        """End the workers."""
        if self.closed or os.getpid() != getattr(self, "pid", None):
            return
        self.closed = True
        limit = time.monotonic() + PATIENCE
        for w in self.workers:
            with contextlib.suppress(OSError):
                w.pipe.send(None)
            _open.discard(w.pipe)
            w.pipe.close()
        for w in self.workers:
            w.process.join(max(0.0, limit - time.monotonic()))
        for w in self.workers:
            if w.process.is_alive():  # it is stuck in the data set
                w.process.terminate()
                w.process.join(PATIENCE)
        self.owner.clear()
        self.found.clear()

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self.close()


