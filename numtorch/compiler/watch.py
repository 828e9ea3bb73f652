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


class Watch:
    """A context that collects `effects` (what a replay would leave out) and the user code that ran."""

    def __init__(self, tracer: Any):
        self.tracer = tracer
        self.numbers = False  # whether numbers of the environment vary
        self.effects: list[str] = []
        self.codes: dict[types.CodeType, dict] = {}
        self._known: dict[types.CodeType, bool] = {}

    def __enter__(self) -> Watch:
        self._before, self._start = sys.getprofile(), sys._getframe(1)
        sys.setprofile(self._event)
        return self

    def __exit__(self, *exc) -> None:
        sys.setprofile(self._before)

    def _users(self, frame) -> bool:
        code = frame.f_code
        mine = self._known.get(code)
        if mine is None:
            root = _root(frame)
            # <string>: what named tuples and dataclasses are made of
            mine = self._known[code] = root not in SILENT and code.co_filename != "<string>" and (
                root == "__main__" or root not in sys.stdlib_module_names) and not self._imports(frame)
        return mine

    def _imports(self, frame) -> bool:
        """Whether an import statement makes this run."""
        while frame is not None and frame is not self._start:
            if (frame.f_globals.get("__name__") or "").startswith("importlib._bootstrap"):
                return True
            frame = frame.f_back
        return False

    def _event(self, frame, event: str, arg: Any) -> None:
        if event == "call":
            if self._users(frame):
                if frame.f_code not in self.codes:
                    self.codes[frame.f_code] = frame.f_globals
            elif _root(frame) in EFFECTS and frame.f_back is not None and self._users(frame.f_back):
                self.effects.append(f"{frame.f_back.f_code.co_filename}:{frame.f_back.f_lineno}: "
                                    f"{frame.f_code.co_name}() is called")
        elif event == "c_call":
            if getattr(arg, "__module__", None) == "math" and (self.tracer.reads or self.numbers) and (
                    self._users(frame) or frame.f_globals.get("__name__", "").startswith("numtorch.optim")):
                self.effects.append(f"{frame.f_code.co_filename}:{frame.f_lineno}: math.{arg.__name__}() may "
                                    "be called of a number that varies")
            name = getattr(arg, "__name__", "")
            if name in CLOCKS and self._users(frame):
                owner = getattr(arg, "__self__", None)
                where = getattr(arg, "__module__", None) or type(owner).__module__
                if isinstance(owner, types.ModuleType):
                    where = owner.__name__
                if where.partition(".")[0] in OWN or where == "_io":
                    self.effects.append(f"{frame.f_code.co_filename}:{frame.f_lineno}: {name}() is called")


def _root(frame) -> str:
    """The top-level package of the code that runs in a frame."""
    return (frame.f_globals.get("__name__") or "").partition(".")[0]
