"""torch.profiler: profiles of training loops in cycles of waiting, warming up and recording."""
from __future__ import annotations

import enum
import gzip
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import Any

from ..autograd.profiler import EventList, record_function
from ..autograd.profiler import profile as _profile

__all__ = ["EventList", "ProfilerAction", "ProfilerActivity", "profile", "record_function", "schedule",
           "supported_activities", "tensorboard_trace_handler"]


class ProfilerActivity(enum.Enum):
    """What to profile."""
    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


class ProfilerAction(enum.Enum):
    """What to do at a step."""
    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities() -> set[ProfilerActivity]:
    """What can be profiled here: operations, as the CPU starts them."""
    return {ProfilerActivity.CPU}


def schedule(*, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0,
             skip_first_wait: int = 0) -> Callable[[int], ProfilerAction]:
    """A function of the step number: skip `skip_first` steps, then cycles of `wait`, `warmup` and `active`
    steps,
    `repeat` times (0: for ever)."""
    if min(wait, warmup, repeat, skip_first) < 0 or active <= 0:
        raise AssertionError("Invalid profiler schedule arguments")
    if warmup == 0:
        import warnings
        warnings.warn("Profiler won't be using warmup, this can skew profiler results", stacklevel=2)
    cycle = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise AssertionError(f"Step must be non-negative. Got {step}.")
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait:
            step += wait
        if repeat > 0 and step // cycle >= repeat:
            return ProfilerAction.NONE
        at = step % cycle
        if at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if at < cycle - 1 else ProfilerAction.RECORD_AND_SAVE
    return action


def tensorboard_trace_handler(dir_name: str, worker_name: str | None = None,
                              use_gzip: bool = False) -> Callable[[profile], None]:
    """An `on_trace_ready` that writes each trace to dir_name/WORKER.TIME.pt.trace.json."""
    def handler(prof: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        name = f"{worker}.{time.time_ns()}.pt.trace.json" + (".gz" if use_gzip else "")
        prof.export_chrome_trace(os.path.join(dir_name, name))
    return handler


class profile:
    """A context in which operations are timed; with a `schedule`, `step()` after each iteration moves it on,
    and
    `on_trace_ready(self)` is called after each cycle's last recorded step."""

    def __init__(self, *, activities: Iterable[ProfilerActivity] | None = None,
                 schedule: Callable[[int], ProfilerAction] | None = None,
                 on_trace_ready: Callable[[profile], Any] | None = None, record_shapes: bool = False,
                 profile_memory: bool = False, with_stack: bool = False, with_flops: bool = False,
                 with_modules: bool = False, experimental_config: Any = None,
                 execution_trace_observer: Any = None, acc_events: bool = False, use_cuda: bool | None = None,
                 post_processing_timeout_s: float | None = None) -> None:
        self.activities = set(activities) if activities else supported_activities()
        self.schedule = schedule or (lambda step: ProfilerAction.RECORD)
        self.steps = schedule is not None
        self.on_trace_ready, self.step_num = on_trace_ready, 0
        self._options: dict[str, Any] = {"record_shapes": record_shapes, "profile_memory": profile_memory}
        self.profiler: _profile | None = None
        self.current_action = ProfilerAction.NONE
        self._region: record_function | None = None

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.stop()

    def start(self) -> None:
        """Begin with step 0."""
        self.current_action = self.schedule(self.step_num)
        self._begin()

    def _begin(self) -> None:
        if self.current_action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE):
            if self.profiler is None or not self.profiler.entered:
                self.profiler = _profile(**self._options).__enter__()
            if self.steps:
                self._region = record_function(f"ProfilerStep#{self.step_num}").__enter__()

    def _end(self, save: bool) -> None:
        if self._region is not None:
            self._region.__exit__(None, None, None)
            self._region = None
        if save and self.profiler is not None and self.profiler.entered:
            self.profiler.__exit__(None, None, None)
            if self.on_trace_ready is not None:
                self.on_trace_ready(self)

    def step(self) -> None:
        """An iteration is over."""
        before = self.current_action
        self.step_num += 1
        self.current_action = self.schedule(self.step_num)
        recording = self.current_action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        self._end(before is ProfilerAction.RECORD_AND_SAVE or not recording)
        self._begin()

    def stop(self) -> None:
        """End, with what was recorded."""
        self._end(True)
        self.current_action = ProfilerAction.NONE

    def _found(self) -> _profile:
        if self.profiler is None:
            raise AssertionError("Profiler must be initialized before getting key averages")
        return self.profiler

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0,
                     group_by_overload_name: bool = False) -> EventList:
        """One average a name (and list of input shapes)."""
        return self._found().key_averages(group_by_input_shape)

    def events(self) -> EventList:
        """All events of the last cycle."""
        return self._found().function_events

    def export_chrome_trace(self, path: str) -> None:
        """Write a trace for chrome://tracing or Perfetto; compressed where the path ends in .gz."""
        if not path.endswith(".gz"):
            return self._found().export_chrome_trace(path)
        with tempfile.TemporaryDirectory() as folder:
            plain = os.path.join(folder, "trace.json")
            self._found().export_chrome_trace(plain)
            with open(plain, "rb") as f, gzip.open(path, "wb") as g:
                shutil.copyfileobj(f, g)
        return None
