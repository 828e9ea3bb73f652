"""What Python did besides calling operations, while a function was traced.

A program replays operations only. So code that prints, reads a clock, draws from Python's random numbers or
hands arrays to NumPy must run every time; it is noticed here by the functions that user code calls, itself or
through the standard library."""
from __future__ import annotations

import sys
import types
from collections.abc import Container
from typing import Any

from .environment import LIBRARIES, root_of, users

# Modules written in Python whose functions have effects, or depend on more than their arguments.
PYTHON = {"numpy", "random", "logging", "datetime", "os", "secrets", "uuid", "subprocess"}
# Functions written in C that have: those of these modules, apart from some,
MODULES = {"time", "posix", "nt", "_io", "io", "_random", "_socket", "select", "_queue", "_warnings",
           "_contextvars", "mmap", "_ctypes", "_posixsubprocess", "_sqlite3", "_thread"}
PURE = {"fspath", "getpid", "register_at_fork", "get_ident", "allocate_lock", "RLock", "acquire", "release",
        "__enter__", "__exit__", "_release_save", "_acquire_restore", "_is_owned", "locked", "_count",
        "_filters_mutated", "lock", "daemon_threads_allowed", "get_native_id"}
# and these by name.
NAMES = {"builtins": {"print", "input", "open", "exec", "eval", "globals", "vars", "locals", "breakpoint"},
         "datetime": {"now", "utcnow", "today"},
         "sys": {"exit", "setrecursionlimit", "getrefcount", "_getframe"},
         "random": {"random", "getrandbits", "seed", "getstate", "setstate"}}
SHARED = {"_queue", "_thread"}  # what hands values to other threads, which must find them computed
# what a piece of code is to the watch: nothing, the user's, what works for its caller, or what has effects
NOTHING, USER, LIBRARY, EFFECT = range(4)


class Effect(BaseException):
    """Code that must not have effects was about to have one."""


class Watch:
    """A context that collects `effects` (what a replay would leave out) and the user code that ran. `only`:
    Effect is raised before there is one, and before user code runs that is not among these."""

    def __init__(self, tracer: Any, only: Container[types.CodeType] | None = None):
        self.tracer, self.only = tracer, only
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
            root = root_of(frame.f_globals.get("__name__"))
            if root in PYTHON:
                known = EFFECT
            elif root in LIBRARIES or root == "importlib" or self._imports(frame):
                known = NOTHING
            else:
                known = USER if users(root) else LIBRARY
            self._kinds[code] = known
        return known

    def _imports(self, frame: types.FrameType | None) -> bool:
        """Whether an import statement makes this run."""
        while frame is not None and frame is not self._start:
            if (frame.f_globals.get("__name__") or "").startswith("importlib._bootstrap"):
                return True
            frame = frame.f_back
        return False

    def _caller(self, frame: types.FrameType | None) -> types.FrameType | None:
        """The user's frame that this one works for, through the standard library only."""
        while frame is not None and frame is not self._start:
            kind = self._kind(frame)
            if kind == USER:
                return frame
            if kind == NOTHING or kind == EFFECT and root_of(frame.f_globals.get("__name__")) == "numpy":
                return None
            frame = frame.f_back
        return None

    def _effect(self, frame: types.FrameType, name: str) -> None:
        text = f"{frame.f_code.co_filename}:{frame.f_lineno}: {name}() is called"
        if self.only is not None:
            raise Effect(text)
        self.effects.append(text)

    def _called(self, frame: types.FrameType) -> None:
        kind = self._kinds[frame.f_code]
        if kind == USER:
            if frame.f_code not in self.codes:
                self.codes[frame.f_code] = frame.f_globals
                if self.only is not None and frame.f_code not in self.only:
                    raise Effect(f"{frame.f_code.co_name} was not known to be called")
        elif kind == EFFECT:
            caller = self._caller(frame.f_back)
            if caller is not None:
                self._effect(caller, frame.f_code.co_name)

    def _c_called(self, frame: types.FrameType, arg: Any) -> None:
        name, owner = getattr(arg, "__name__", ""), getattr(arg, "__self__", None)
        kind = owner if isinstance(owner, type) else type(owner)
        where = root_of(owner.__name__ if isinstance(owner, types.ModuleType) else
                        getattr(arg, "__module__", None) or kind.__module__)
        if (where in MODULES and name not in PURE) or name in NAMES.get(where, ()):
            caller = self._caller(frame)
            if caller is not None:
                self._effect(caller, name)
                if where in SHARED:
                    self.tracer.leave(f"{name}() hands values to another thread")
