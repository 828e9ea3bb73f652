"""Several processes that run one function, whose first failure ends them all."""
from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from ..distributed.mpi import forget_launcher


class ProcessException(Exception):
    """A process of spawn() failed: process `error_index`, whose number was `error_pid`."""

    def __init__(self, msg: str, error_index: int, pid: int) -> None:
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid

    def __reduce__(self) -> tuple:
        return type(self), (self.msg, self.error_index, self.pid)


class ProcessRaisedException(ProcessException):
    """It raised; the message holds its traceback."""

    def __init__(self, msg: str, error_index: int, error_pid: int) -> None:
        super().__init__(msg, error_index, error_pid)
        self.error_pid = error_pid


class ProcessExitedException(ProcessException):
    """It was killed by a signal or left with an exit code."""

    def __init__(self, msg: str, error_index: int, error_pid: int, exit_code: int,
                 signal_name: str | None = None) -> None:
        super().__init__(msg, error_index, error_pid)
        self.error_pid, self.exit_code, self.signal_name = error_pid, exit_code, signal_name

    def __reduce__(self) -> tuple:
        return type(self), (self.msg, self.error_index, self.pid, self.exit_code, self.signal_name)


def _call(fn: Callable, i: int, args: tuple, errors: str) -> None:
    """Run fn(i, *args) in a new process."""
    forget_launcher(os.environ)
    try:
        fn(i, *args)
    except KeyboardInterrupt:
        pass  # the parent gets it too
    except Exception:
        with open(errors + ".part", "wb") as f:
            pickle.dump(traceback.format_exc(), f)
        os.rename(errors + ".part", errors)
        sys.exit(1)


class ProcessContext:
    """Processes that run; `join` waits for them."""

    def __init__(self, processes: Sequence[Any], error_files: Sequence[str], folder: Any = None) -> None:
        self.processes, self.error_files, self._folder = list(processes), list(error_files), folder
        self.sentinels = {p.sentinel: i for i, p in enumerate(self.processes)}

    def pids(self) -> list[int]:
        """The processes' numbers."""
        return [p.pid for p in self.processes]

    def _end(self, grace: float | None) -> None:
        for p in self.processes:
            if p.is_alive():
                p.terminate()
        limit = time.monotonic() + (30.0 if grace is None else grace)
        for p in self.processes:
            p.join(max(0.0, limit - time.monotonic()))
            if p.is_alive():
                p.kill()
                p.join()

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait until a process has ended, or `timeout` seconds; whether all have. If one failed, the others
        are ended (killed after grace_period seconds), and its error is raised: of several, the earliest."""
        if not self.sentinels:
            return True
        for sentinel in multiprocessing.connection.wait(list(self.sentinels), timeout):
            self.processes[self.sentinels.pop(sentinel)].join()
        failed = [i for i, p in enumerate(self.processes) if p.exitcode]
        if not failed:
            return not self.sentinels
        told = [i for i in failed if os.path.exists(self.error_files[i])]
        i = min(told, key=lambda k: os.stat(self.error_files[k]).st_mtime_ns) if told else failed[0]
        p = self.processes[i]
        code = p.exitcode
        self._end(grace_period)
        if told:
            with open(self.error_files[i], "rb") as f:
                text = pickle.load(f)
            text = f"\n\n-- Process {i} terminated with the following error:\n{text}"
            raise ProcessRaisedException(text, i, p.pid)
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"<Unknown signal {-code}>"
            raise ProcessExitedException(f"process {i} terminated with signal {name}", i, p.pid, code, name)
        raise ProcessExitedException(f"process {i} terminated with exit code {code}", i, p.pid, code)


SpawnContext = ProcessContext


def start_processes(fn: Callable, args: tuple = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
                    start_method: str = "spawn") -> ProcessContext | None:
    """Run fn(i, *args) in processes i = 0 … nprocs - 1. join: wait for them, and raise the first error."""
    context = multiprocessing.get_context(start_method)
    folder = tempfile.TemporaryDirectory(prefix="numtorch-spawn-")
    processes, files = [], []
    for i in range(nprocs):
        files.append(os.path.join(folder.name, str(i)))
        p = context.Process(target=_call, args=(fn, i, args, files[-1]), daemon=daemon)  # type: ignore[attr-defined]
        p.start()
        processes.append(p)
    running = ProcessContext(processes, files, folder)
    if not join:
        return running
    while not running.join():
        pass
    return None


def spawn(fn: Callable, args: tuple = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
          start_method: str = "spawn") -> ProcessContext | None:
    """Run fn(i, *args) in processes i = 0 … nprocs - 1, each a fresh Python."""
    return start_processes(fn, args, nprocs, join, daemon, start_method)
