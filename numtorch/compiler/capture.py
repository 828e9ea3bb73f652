"""Capture: a function run once with symbols in place of values, as one Graph that outlives the run.

Nothing is computed, and nothing that the function writes to is changed. Where Python asks for a value, what
was recorded so far is computed for it, and recording goes on: the value is a constant of the graph then,
about which `on_read` decides."""
from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import numpy as np

from ..autograd.modes import state
from ..random import default_generator
from ..storage import Storage
from ..tensor import Tensor
from . import interpret
from .graph import Graph, Value
from .lazy import Symbol, Tracer, become, held

SMALL = state.small
# Modules that turn tensors into Python values, by whom a read is a conversion that the caller asked for.
CONVERTING = ("numtorch.tensor", "numtorch.printing", "numtorch.storage", "numtorch.ops.surface",
              "numtorch.overrides")
CALLING = ("numtorch.dispatch", "numtorch.kinds")
CONVERSIONS = {"__bool__": "Python boolean", "is_nonzero": "Python boolean", "__int__": "Python integer",
               "__float__": "Python float", "__index__": "Python index", "__complex__": "Python complex",
               "tolist": "Python list", "numpy": "NumPy array", "__array__": "NumPy array", "item": "Python "
                                                                                                    "number",
               "equal": "Python boolean", "allclose": "Python boolean", "__contains__": "Python boolean"}


class TracerWarning(Warning):
    """A traced function did something that the trace does not hold."""


class Read:
    """Where code asked for a value: what it became, the user's file and line, and the operation inside
    numtorch that asked, if it was one."""

    def __init__(self, kind: str, frame: FrameType | None, operation: str | None):
        self.kind, self.operation = kind, operation
        self.file, self.line = (frame.f_code.co_filename, frame.f_lineno) if frame is not None else ("?", 0)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def warn(read: Read) -> None:
    """PyTorch's warning about a value that a trace holds as a constant."""
    warnings.warn_explicit(
        f"Converting a tensor to a {read.kind} might cause the trace to be incorrect. We can't record the "
        "data flow "
        "of Python values, so this value will be treated as a constant in the future. This means that the "
        "trace "
        "might not generalize to other inputs!", TracerWarning, read.file, read.line)


def refuse(read: Read) -> None:
    """RuntimeError that names the line."""
    raise RuntimeError(f"{read}: a tensor is converted to a {read.kind} here, so what follows may depend on "
                       "its value, "
                       "and a graph cannot hold that. Compute with tensors instead (torch.where), or keep "
                       "the "
                       "value out of the function")


class Capture(Tracer):
    """Records one graph. `on_read(read)` is called where a value is read; it may raise."""

    def __init__(self, on_read: Callable[[Read], None]):
        super().__init__(lambda graph: interpret.run(graph))
        self.on_read, self.closed = on_read, False
        # id of a storage → (storage, its value, the memory that Python was shown, its contents then)
        self.shown: dict[int, tuple[Storage, Value, np.ndarray, np.ndarray]] = {}
        self.random = default_generator.get_state()

    def value(self, s: Storage) -> Value:
        if type(s) is Symbol:
            v = held.__get__(s)
            if v.tracer is self:
                return v
            v.tracer.ask(v)  # of another capture, which is over
        shown = self.shown.pop(id(s), None)
        if shown is not None:
            _, value, array, content = shown
            if s.array is not array or not np.array_equal(array.view(np.uint8), content):
                raise RuntimeError("the memory of a tensor was written to outside numtorch while a function "
                                   "was traced "
                                   "(through NumPy, say): the graph would not hold that")
            s.__class__ = Symbol
            held.__set__(s, value)
            return value
        return super().value(s)

    def item(self, t: Tensor) -> Any:
        return None

    def leave(self, why: str) -> None:
        """Code that is not to be recorded follows: a function marked with compiler.disable."""
        raise NotImplementedError(f"{why}: it runs outside any graph, so it cannot be part of one")

    def stream(self, what: str) -> None:
        """A graph draws from the generator as it finds it."""

    def flush(self) -> None:
        """Nothing runs before it is asked for."""

    def ask(self, value: Value) -> None:
        if not self.closed:
            self.on_read(_read())
        storages = [s for s in [*[r() for r in self.made], *[s for s, _ in self.met]]
                    if s is not None and type(s) is Symbol and held.__get__(s) is value]
        array = self.compute([value])[0]
        for s in storages:
            become(s, array)
            if not self.closed:
                self.shown[id(s)] = (s, value, array, array.view(np.uint8).copy())

    def compute(self, values: Sequence[Value]) -> list[np.ndarray]:
        """Arrays of what was recorded."""
        lazy, small, drawn = state.lazy, state.small, default_generator.get_state()
        state.lazy, state.small = None, SMALL
        try:
            default_generator.set_state(self.random)  # the numbers that the function would have drawn
            return interpret.run(Graph(self.nodes, [v for _, v in self.met], values, False))
        finally:
            default_generator.set_state(drawn)
            state.lazy, state.small = lazy, small

    def close(self) -> None:
        """Give the tensors that the function met their memory back, as it was. What it made and left
        somewhere is computed once it is used."""
        self.closed = True
        for s, v in self.met:
            if type(s) is Symbol:
                become(s, v.array)
        self.shown.clear()


def run(capture: Capture, fn: Callable, args: tuple, kwargs: dict) -> Any:
    """What fn returns, with symbols."""
    if state.lazy is not None or state.tracer is not None:
        raise RuntimeError("a function cannot be traced while another one is")
    state.lazy, state.small = capture, -1
    try:
        return fn(*args, **kwargs)
    finally:
        state.lazy, state.small = None, SMALL


def _read() -> Read:
    """Who asks for a value now."""
    f: FrameType | None = sys._getframe(2)
    while f is not None and f.f_globals.get("__name__") in (__name__, "numtorch.compiler.lazy"):
        f = f.f_back
    kind, operation, inside = "", None, True
    while f is not None:
        module, name = f.f_globals.get("__name__") or "", f.f_code.co_name
        if not module.startswith("numtorch"):
            break
        if name in CONVERSIONS and inside:
            kind = CONVERSIONS[name]
        elif inside and not module.startswith(CONVERTING) and not (kind and module.startswith(CALLING)):
            inside = False
            if module.startswith(("numtorch.ops", "numtorch.kinds", "numtorch.dispatch", "numtorch.kernels")):
                operation = getattr(f.f_locals.get("self"), "name", name)
        f = f.f_back
    read = Read(kind or "Python value", f, operation)
    if operation is not None:
        raise NotImplementedError(f"{read}: {operation} reads values to know what it computes (a shape, "
                                  "say), so it "
                                  "cannot be part of a graph")
    return read
