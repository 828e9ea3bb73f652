"""torch.autograd.profiler: how long numtorch's operations take.

While a profile runs, every public function and method that takes tensors is timed from outside, by a
TorchFunctionMode; backward formulas by their nodes; and regions by record_function. Times are in
microseconds."""
from __future__ import annotations

import functools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..dispatch import Op
from ..overrides import TorchFunctionMode
from ..tensor import Tensor

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg", "profile", "record_function"]

_local = threading.local()
_running: list[profile] = []


def _clock() -> float:
    return time.perf_counter_ns() / 1e3


# ------------------------------------------------------------------------------------------------------
# events
class FunctionEvent:
    """One call: when it began and ended, on which thread, with which inputs."""

    def __init__(self, name: str, begin: float, shapes: list | None = None) -> None:
        self.name = self.key = name
        self.begin, self.end, self.children_time = begin, begin, 0.0
        self.thread, self.input_shapes = threading.get_native_id(), shapes
        self.cpu_memory_usage, self.count = 0, 1
        self.cpu_parent: FunctionEvent | None = None

    @property
    def cpu_time_total(self) -> float:
        """Microseconds from begin to end."""
        return self.end - self.begin

    cpu_time = cpu_time_total

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds outside the events inside this one."""
        return self.cpu_time_total - self.children_time

    def __repr__(self) -> str:
        return f"<FunctionEvent name={self.name} cpu_time={_said(self.cpu_time_total)}>"


class FunctionEventAvg:
    """All calls of one name: sums, and means per call."""

    def __init__(self, key: str, shapes: Any = None) -> None:
        self.key, self.input_shapes, self.count = key, shapes, 0
        self.cpu_time_total = self.self_cpu_time_total = 0.0
        self.cpu_memory_usage = 0
        self.device_time_total = self.self_device_time_total = self.cuda_time_total = 0.0

    def add(self, event: FunctionEvent) -> None:
        """Count one more call."""
        self.count += 1
        self.cpu_time_total += event.cpu_time_total
        self.self_cpu_time_total += event.self_cpu_time_total
        self.cpu_memory_usage += event.cpu_memory_usage

    @property
    def cpu_time(self) -> float:
        """Microseconds per call."""
        return self.cpu_time_total / self.count if self.count else 0.0

    def __repr__(self) -> str:
        return (f"<FunctionEventAvg key={self.key} self_cpu_time={_said(self.self_cpu_time_total)} "
                f"cpu_time={_said(self.cpu_time)} count={self.count}>")


def _said(us: float) -> str:
    """Microseconds with their unit, as PyTorch's tables show them."""
    return f"{us / 1e6:.3f}s" if us >= 1e6 else f"{us / 1e3:.3f}ms" if us >= 1e3 else f"{us:.3f}us"


def _bytes(n: int) -> str:
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if abs(n) >= size:
            return f"{n / size:.2f} {unit}"
    return f"{n} B"


class EventList(list):
    """Events or averages, with their table and their trace."""

    profile_memory = False

    @property
    def self_cpu_time_total(self) -> float:
        """The sum of all self times, in microseconds."""
        return sum(e.self_cpu_time_total for e in self)

    def key_averages(self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0) -> EventList:
        """One FunctionEventAvg a name (and list of input shapes)."""
        found: dict[Any, FunctionEventAvg] = {}
        for e in self:
            shapes = e.input_shapes if group_by_input_shapes else None
            key = (e.name, repr(shapes))
            if key not in found:
                found[key] = FunctionEventAvg(e.name, shapes)
            found[key].add(e)
        out = EventList(found.values())
        out.profile_memory = self.profile_memory
        return out

    def total_average(self) -> FunctionEventAvg:
        """All events as one."""
        out = FunctionEventAvg("Total")
        for e in self:
            out.count += e.count
            out.cpu_time_total += e.cpu_time_total
            out.self_cpu_time_total += e.self_cpu_time_total
            out.cpu_memory_usage += e.cpu_memory_usage
        return out

    def table(self, sort_by: str | None = None, row_limit: int = 100, max_src_column_width: int = 75,
              max_name_column_width: int = 55, max_shapes_column_width: int = 80, header: str | None = None,
              top_level_events_only: bool = False) -> str:
        """A table of the events, the largest `sort_by` (an attribute, as "cpu_time_total") first."""
        rows = list(self)
        if sort_by is not None:
            key = sort_by.replace("cuda", "cpu").replace("device", "cpu")
            rows.sort(key=lambda e: getattr(e, key), reverse=True)
        if row_limit >= 0:
            rows = rows[:row_limit]
        total = self.self_cpu_time_total
        percent = lambda t: f"{100 * t / total:.2f}%" if total else "0.00%"
        titles = ["Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg"]
        titles += ["CPU Mem"] * self.profile_memory + ["# of Calls"]
        shapes = any(e.input_shapes for e in rows)
        titles += ["Input Shapes"] * shapes
        cells = [titles]
        for e in rows:
            name = e.key if len(e.key) <= max_name_column_width else e.key[:max_name_column_width - 3] + "..."
            cells.append([name, percent(e.self_cpu_time_total), _said(e.self_cpu_time_total),
                          percent(e.cpu_time_total), _said(e.cpu_time_total), _said(e.cpu_time),
                          *[_bytes(e.cpu_memory_usage)] * self.profile_memory, str(e.count),
                          *[str(e.input_shapes)[:max_shapes_column_width]] * shapes])
        widths = [max(12, *(len(row[i]) for row in cells)) for i in range(len(titles))]
        line = "  ".join("-" * w for w in widths) + "  "
        body = ["  ".join(c.rjust(w) for c, w in zip(row, widths)) + "  " for row in cells]
        return "\n".join([*([header] if header else []), line, body[0], line, *body[1:], line,
                          f"Self CPU time total: {_said(total)}", ""])

    def export_chrome_trace(self, path: str) -> None:
        """Write the events as a trace for chrome://tracing or Perfetto."""
        events = [{"ph": "X", "cat": "cpu_op" if e.name.startswith(("aten::", "autograd::")) else
                   "user_annotation", "name": e.name, "pid": os.getpid(), "tid": e.thread, "ts": e.begin,
                   "dur": e.cpu_time_total, "args": {"Input Dims": e.input_shapes} if e.input_shapes else {}}
                  for e in self]
        with open(path, "w") as f:
            json.dump({"schemaVersion": 1, "traceEvents": events}, f)


# ---------------------------------------------------------------------------------------------------
# recording
def _open(name: str, shapes: list | None = None) -> FunctionEvent:
    """Begin an event inside the innermost open one of this thread."""
    stack = _local.__dict__.setdefault("stack", [])
    event = FunctionEvent(name, _clock(), shapes)
    event.cpu_parent = stack[-1] if stack else None
    stack.append(event)
    return event


def _close(event: FunctionEvent) -> None:
    event.end = _clock()
    stack = _local.stack
    if event in stack:
        del stack[stack.index(event):]
    if event.cpu_parent is not None:
        event.cpu_parent.children_time += event.cpu_time_total
    for p in _running:
        p.function_events.append(event)


_OPERATORS = {"truediv": "div", "floordiv": "floor_divide", "mod": "remainder", "getitem": "index",
              "setitem": "index_put_", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor"}


def _aten(fn: Callable) -> str | None:
    """What PyTorch's profiler calls a function: "aten::add" for torch.add, x.add and x + y; None for
    properties."""
    name = getattr(fn, "__name__", "")
    if name.startswith("__"):
        stem = name.strip("_")
        if stem == "get":
            return None
        for prefix, suffix in (("", ""), ("r", ""), ("i", "_")):
            if stem.startswith(prefix) and hasattr(Tensor, "__" + stem[len(prefix):] + "__"):
                plain = stem[len(prefix):]
                known = _OPERATORS.get(plain, plain)
                if prefix == "" or hasattr(int, f"__{plain}__") or plain == "matmul":
                    return f"aten::{known}{suffix}"
        return None
    return "aten::" + name


class _Watch(TorchFunctionMode):
    """Times every public function."""

    def __init__(self, owner: profile) -> None:
        self.owner = owner

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = _aten(func)
        if name is None:
            return func(*args, **(kwargs or {}))
        shapes = None
        if self.owner.record_shapes:
            shapes = [list(a.shape) if isinstance(a, Tensor) else [] for a in args]
        event = _open(name, shapes)
        try:
            out = func(*args, **(kwargs or {}))
        finally:
            _close(event)
        if self.owner.profile_memory:
            own = {id(a.storage) for a in args if isinstance(a, Tensor)}
            event.cpu_memory_usage = sum(
                t.layout.numel * t.dtype.itemsize for t in (out if isinstance(out, tuple | list) else (out,))
                if isinstance(t, Tensor) and t._base is None and id(t.storage) not in own)
        return out


def _timed(backward: Callable) -> Callable:
    @functools.wraps(backward)
    def call(self: Op, node: Any, grads: Any) -> Any:
        event = _open(f"autograd::engine::evaluate_function: {node.name()}")
        try:
            return backward(self, node, grads)
        finally:
            _close(event)
    return call


def _kinds(kind: type) -> Iterator[type]:
    yield kind
    parts: list[type] = kind.__subclasses__()
    for part in parts:
        yield from _kinds(part)


class profile:
    """A context in which operations are timed: `key_averages().table()` shows the result."""

    def __init__(self, enabled: bool = True, *, use_cuda: bool = False, use_device: str | None = None,
                 record_shapes: bool = False, with_flops: bool = False, profile_memory: bool = False,
                 with_stack: bool = False, with_modules: bool = False, use_kineto: bool = False,
                 use_cpu: bool = True, **others: Any) -> None:
        self.enabled, self.record_shapes, self.profile_memory = enabled, record_shapes, profile_memory
        self.function_events = EventList()
        self.function_events.profile_memory = profile_memory
        self.entered = False

    def __enter__(self) -> profile:
        if self.entered:
            raise RuntimeError("Profiler context manager is not reentrant")
        if not self.enabled:
            return self
        self.entered = True
        self._backwards = [(k, k.__dict__["backward"]) for k in _kinds(Op) if "backward" in k.__dict__]
        for kind, backward in self._backwards:
            kind.backward = _timed(backward)  # type: ignore[attr-defined]
        self._watch = _Watch(self)
        self._watch.__enter__()
        _running.append(self)
        return self

    def __exit__(self, *exc: Any) -> None:
        if not self.entered:
            return
        self.entered = False
        _running.remove(self)
        self._watch.__exit__()
        for kind, backward in self._backwards:
            kind.backward = backward  # type: ignore[attr-defined]
        self.function_events.sort(key=lambda e: e.begin)

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> EventList:
        """One average a name (and list of input shapes)."""
        return self.function_events.key_averages(group_by_input_shape)

    def total_average(self) -> FunctionEventAvg:
        """All events as one."""
        return self.function_events.total_average()

    @property
    def self_cpu_time_total(self) -> float:
        """The sum of all self times, in microseconds."""
        return self.function_events.self_cpu_time_total

    def table(self, *args: Any, **kwargs: Any) -> str:
        """A table of all events."""
        return self.function_events.table(*args, **kwargs)

    def export_chrome_trace(self, path: str) -> None:
        """Write the events as a trace for chrome://tracing or Perfetto."""
        self.function_events.export_chrome_trace(path)

    def __repr__(self) -> str:
        return self.table() if self.function_events else "<unfinished torch.autograd.profile>"

    __str__ = __repr__


class record_function:
    """A named region of a profile: a context manager and a decorator."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args
        self._events: list[FunctionEvent | None] = []

    def __enter__(self) -> record_function:
        self._events.append(_open(self.name) if _running else None)
        return self

    def __exit__(self, *exc: Any) -> None:
        event = self._events.pop()
        if event is not None:
            _close(event)

    def __call__(self, fn: Callable) -> Callable:
        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name, self.args):
                return fn(*args, **kwargs)
        return wrapped
