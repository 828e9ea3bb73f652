"""What Python did besides calling operations, while a function was traced.

A program replays operations only. So code that prints, reads a clock, draws from Python's random numbers or
hands arrays to NumPy must run every time; it is noticed here by the C functions that user code calls."""
from __future__ import annotations

import sys
import types
from typing import Any

SILENT = ("numtorch", "torch", "numpy", "scipy", "numba", "llvmlite", "safetensors", "")
EFFECTS = ("numpy", "random", "logging", "datetime")
CLOCKS = {"time", "perf_counter", "monotonic", "process_time", "time_ns", "perf_counter_ns", "now", "utcnow",
          "today", "getrandom", "urandom", "getenv", "read", "readline", "write", "input", "print", "open",
          "system", "random", "uniform", "randint", "randrange", "choice", "choices", "shuffle", "sample",
          "gauss", "getrandbits", "normalvariate", "rand", "randn", "normal", "standard_normal",
          "permutation", "flush", "send", "recv", "exec", "eval", "globals", "vars"}
OWN = {"builtins", "time", "posix", "nt", "_io", "io", "random", "_random", "datetime", "numpy", "math",
       "_socket"}


# what a piece of code is to the watch: nothing, code of the user, of the optimizers, or one that has effects
NOTHING, USER, OPTIMIZER, EFFECT = range(4)


class Watch:
    """A context that collects `effects` (what a replay would leave out) and the user code that ran."""

    def __init__(self, tracer: Any):
        self.tracer = tracer
        self.numbers = False  # whether numbers of the environment vary
        self.effects: list[str] = []
        self.codes: dict[types.CodeType, dict] = {}
        self._kinds: dict[types.CodeType, int] = {}

    def __enter__(self) -> Watch:
        self._before, self._start = sys.getprofile(), sys._getframe(1)
        kinds, kind, called, c_called = self._kinds, self._kind, self._called, self._c_called

        def event(frame: types.FrameType, what: str, arg: Any) -> None:
            known = kinds.get(frame.f_code)  # most code is ours, and nothing to look at
            if known != NOTHING and (known or kind(frame)):
                if what == "call":
                    called(frame)
                elif what == "c_call":
                    c_called(frame, arg)
        sys.setprofile(event)
        return self

    def __exit__(self, *exc) -> None:
        sys.setprofile(self._before)

    def _kind(self, frame: types.FrameType) -> int:
        code = frame.f_code
        known = self._kinds.get(code)
        if known is None:
            root, name = _root(frame), frame.f_globals.get("__name__") or ""
            # <string>: what named tuples and dataclasses are made of
            if root not in SILENT and code.co_filename != "<string>" and (
                    root == "__main__" or root not in sys.stdlib_module_names) and not self._imports(frame):
                known = USER
            else:
                known = EFFECT if root in EFFECTS else OPTIMIZER if name.startswith("numtorch.optim") else \
                    NOTHING
            self._kinds[code] = known
        return known

    def _imports(self, frame: types.FrameType | None) -> bool:
        """Whether an import statement makes this run."""
        while frame is not None and frame is not self._start:
            if (frame.f_globals.get("__name__") or "").startswith("importlib._bootstrap"):
                return True
            frame = frame.f_back
        return False

    def _called(self, frame: types.FrameType) -> None:
        kind = self._kind(frame)
        if kind == USER:
            self.codes.setdefault(frame.f_code, frame.f_globals)
        elif kind == EFFECT and frame.f_back is not None and self._kind(frame.f_back) == USER:
            self.effects.append(f"{_line(frame.f_back)}: {frame.f_code.co_name}() is called")

    def _c_called(self, frame: types.FrameType, arg: Any) -> None:
        name, kind = getattr(arg, "__name__", ""), self._kind(frame)
        if kind != EFFECT and getattr(arg, "__module__", "") == "math" and (
                self.tracer.reads or self.numbers):
            self.effects.append(f"{_line(frame)}: math.{name}() may be called of a number that varies")
        if kind == USER and name in CLOCKS:
            owner = getattr(arg, "__self__", None)
            where = owner.__name__ if isinstance(owner, types.ModuleType) else \
                getattr(arg, "__module__", None) or type(owner).__module__
            if where.partition(".")[0] in OWN:
                self.effects.append(f"{_line(frame)}: {name}() is called")


def _line(frame: types.FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _root(frame) -> str:
    """The top-level package of the code that runs in a frame."""
    return (frame.f_globals.get("__name__") or "").partition(".")[0]
