"""The worker process of a DataLoader."""
from __future__ import annotations

import queue
import random
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import manual_seed, set_num_threads
from .fetch import Fetcher
from .memory import Sender

__all__ = ["WorkerInfo", "get_worker_info"]


@dataclass
class WorkerInfo:
    """Which worker this process is: its number, how many there are, its seed, its copy of the data set."""

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: Any = None
    worker_method: str = "multiprocessing"


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Return the WorkerInfo of this process, or None in the main process."""
    return _info


class KeyErrorMessage(str):
    "A message that a KeyError shows with its line breaks."

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Failure:
    """An exception on its way to another process, with its traceback as text."""

    def __init__(self, error: BaseException, where: str) -> None:
        self.kind, self.where = type(error), where
        self.text = "".join(traceback.format_exception(error))

    def __reduce__(self) -> tuple:
        import pickle
        try:
            pickle.dumps(self.kind)
            kind = self.kind
        except Exception:  # a class that the other process cannot import
            kind = RuntimeError
        return _failure, (kind, self.kind.__name__, self.where, self.text)

    name = ""

    def reraise(self) -> None:
        """Raise an exception of the same type; its message holds the worker's traceback.

        A type that cannot be made from one message alone becomes a RuntimeError.
        """
        text = f"Caught {self.name or self.kind.__name__} {self.where}.\nOriginal {self.text}"
        if self.kind is KeyError:
            text = KeyErrorMessage(text)
        try:
            error = self.kind(text)
        except Exception:
            raise RuntimeError(text) from None
        raise error


def _failure(kind: type, name: str, where: str, text: str) -> Failure:
    x = Failure.__new__(Failure)
    x.kind, x.name, x.where, x.text = kind, name, where, text
    return x


class Ended:
    "Sent when the stream of a worker has ended."


class Resume:
    "Sent to a persistent worker at the start of an epoch."


def main(pipe: Any, inherited: list, make: tuple, base_seed: int, number: int, count: int,
         init_fn: Callable[[int], Any] | None, slots: int) -> None:
    """Serve one end of `pipe`: tasks (number of the batch, keys, slots given back) come in, batches go out.

    inherited: pipe ends of the parent that a fork copied here; open, they would hide the parent's death.
    make: arguments of Fetcher. Ends when the pipe does.
    """
    global _info
    for end in inherited:
        end.close()
    set_num_threads(1)
    seed = base_seed + number
    random.seed(seed)
    manual_seed(seed)
    # Four words, so that NumPy's streams differ between workers and epochs: PyTorch seeds NumPy with the
    # same.
    words = [number, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    np.random.seed(np.random.SeedSequence(words).generate_state(4))
    _info = WorkerInfo(id=number, num_workers=count, seed=seed, dataset=make[0])
    where = f"in DataLoader worker process {number}"

    failed: Failure | None = None
    fetcher: Any = None
    try:
        if init_fn is not None:
            init_fn(number)
        fetcher = Fetcher(*make)
    except Exception as error:
        failed = Failure(error, where)

    # A thread reads the tasks: the loader then never waits for a worker that waits for the loader.
    tasks: queue.SimpleQueue = queue.SimpleQueue()

    def listen() -> None:
        try:
            while True:
                tasks.put(pipe.recv())
        except (EOFError, OSError):
            tasks.put(None)

    threading.Thread(target=listen, daemon=True).start()
    out = Sender(pipe, slots)
    ended = False
    try:
        while (task := tasks.get()) is not None:
            if task is Resume:
                ended, failed = False, None
                try:
                    fetcher = Fetcher(*make)
                except Exception as error:
                    failed = Failure(error, where)
                continue
            index, keys, returned = task
            out.give_back(returned)
            if ended:
                out.send(index, Ended())
                continue
            if failed is not None:  # answer every task: a loader may go on after the first failure
                out.send(index, failed)
                continue
            try:
                batch = fetcher.fetch(keys)
            except StopIteration as error:
                if fetcher.samples is None:  # only a stream ends so
                    out.send(index, Failure(error, where))
                    continue
                ended = True
                out.send(index, Ended())
                continue
            except Exception as error:
                out.send(index, Failure(error, where))
                continue
            try:
                out.send(index, batch)
            except (BrokenPipeError, ConnectionError):
                raise
            except Exception as error:  # a batch that cannot be pickled
                out.send(index, Failure(error, where))
            del batch
    except KeyboardInterrupt:
        pass  # the main process gets it too and shows it
    except (BrokenPipeError, ConnectionError):
        pass  # the main process is gone or does not want more
