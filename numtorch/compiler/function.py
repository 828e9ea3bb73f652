"""numtorch.compile: a function whose operations run as compiled graphs.

A call is looked up among the entries made before: an entry holds what must be as it was (guards), the program
that computes everything, and where results go. Where none fits, the function runs once under a Tracer, which
gives its results and, if Python had nothing to do with the values in between, a new entry."""
from __future__ import annotations

import functools
import threading
import types
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from ..autograd.modes import state
from ..tensor import Tensor
from ..utils._pytree import tree_flatten
from .entry import Entry, Refused, programs
from .explain import Explanation, counters, name_of, once, recompiled, source
from .family import Family, generalise, marked
from .lazy import here
from .program import Program
from .record import SMALL, Recording
from .settings import config, stance

TRIES = 8      # traces without an entry, after which none is looked for
TRIALS = 4     # traces with free sizes without an entry, after which sizes are fixed
_all: weakref.WeakSet = weakref.WeakSet()
_turn = threading.Lock()  # one function is traced at a time


class Compiled:
    """A function compiled for the arguments it is called with."""

    def __init__(self, fn: Callable, fullgraph: bool = False, roots: Sequence[Any] = (),
                 dynamic: bool | None = None):
        self.fn, self.fullgraph, self.dynamic = fn, fullgraph, dynamic
        self.roots = (fn, *roots)
        self.entries: list[Entry | Family] = []
        self.tries = self.trials = 0
        self.effects = False                   # whether the last trace met code that must run every time
        self.codes: dict[types.CodeType, dict] = {}
        self.last: dict[Any, Any] = {}         # numbers as the last trace found them, by place
        self.varying: set = set()              # places whose number was seen to change
        self.notes: list[str] = []
        self.said: set[str] = set()            # messages, each of which is given once
        self.stretches: list[tuple[Program, str]] = []  # of the last trace without an entry, up to a break
        functools.update_wrapper(self, fn)
        _all.add(self)

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args, **kwargs) -> Any:
        if state.lazy is not None or state.tracer is not None or stance.name == "force_eager":
            return self.fn(*args, **kwargs)
        leaves: list
        spec: Any
        if kwargs or not all(type(a) is Tensor for a in args):
            leaves, spec = tree_flatten((args, kwargs))
        else:
            leaves, spec = list(args), len(args)
        for e in self.entries:
            if (found := e.find(spec, leaves)) is not None:
                try:
                    return found[0].run(leaves, found[1])
                except Refused:
                    break
        else:
            return self.trace(args, kwargs, leaves, spec)
        return self.fn(*args, **kwargs)

    def trace(self, args: tuple, kwargs: dict, leaves: list, spec: Any) -> Any:
        """Run the function, and make an entry if that can be."""
        if self.entries and self.look():
            text = recompiled(self, leaves, spec)
            if stance.name == "eager_on_recompile":
                return self.fn(*args, **kwargs)
            if stance.name == "fail_on_recompile":
                raise RuntimeError("Detected recompile when torch.compile stance is 'fail_on_recompile': "
                                   + text)
            if config.error_on_recompile:
                raise RecompileError(text)
            once(self, text)
        if not _turn.acquire(blocking=False):  # another thread is tracing
            return self.fn(*args, **kwargs)
        try:
            return self.record(args, kwargs, leaves, spec)
        finally:
            _turn.release()

    def record(self, args: tuple, kwargs: dict, leaves: Sequence[Any], spec: Any) -> Any:
        """Run the function under a tracer, which may give an entry, and that a family."""
        known = self.entries[-1:]
        result = Recording(self, args, kwargs, leaves, spec).run()
        if self.entries[-1:] != known and self.dynamic is not False and self.trials < TRIALS:
            why = generalise(self, args, kwargs, leaves, spec)
            if why:
                self.trials += 1
                once(self, f"{name_of(self.fn)} is compiled for sizes that do not change, because {why}")
        return result

    def free(self, leaves: Sequence[Any]) -> set[tuple[int, int]]:
        """The (argument, dimension) pairs whose sizes are free from the first call on."""
        return {(k, d) for k, x in enumerate(leaves) if type(x) is Tensor
                for d in (range(x.layout.ndim) if self.dynamic else marked(x, "dynamic"))}

    def look(self) -> bool:
        """Whether another entry is looked for."""
        return self.tries < TRIES and len(self.entries) < config.recompile_limit

    def explain(self) -> Explanation:
        """Guards, graphs, kernels and why they are what they are; what keeps the function from being
        replayed. For print and for notebooks."""
        return Explanation(self)

    def source(self) -> str:
        """The text of a Python module with every kernel, and the calls that make a run. It runs with the JIT
        off too (NUMBA_DISABLE_JIT=1)."""
        return source(self)


class RecompileError(RuntimeError):
    """A guard failed while torch._dynamo.config.error_on_recompile is set."""


def compile(model: Callable | None = None, *, fullgraph: bool = False, dynamic: bool | None = None,
            backend: Any = None, mode: str | None = None, options: dict | None = None,
            disable: bool = False) -> Any:
    """A function, or a module, that computes the same in fewer, fused kernels.

    `fullgraph`: raise where a value is read while the function runs, instead of computing it there.
    `dynamic`: whether sizes of arguments are free, so that others need no new trace: True, from the first
    call on; None, those that were seen to change; False, never. `backend`, `mode` and `options` are accepted
    and change nothing."""
    if model is None:
        return lambda m: compile(m, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode,
                                 options=options, disable=disable)
    if disable:
        return model
    from ..nn import Module
    if isinstance(model, Module):
        from .module import OptimizedModule
        return OptimizedModule(model, fullgraph, dynamic)
    if not callable(model):
        raise RuntimeError(f"torch.compile: expected a callable, got {type(model).__name__}")
    return Compiled(model, fullgraph, dynamic=dynamic)


def disable(fn: Callable | None = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """A function that always runs as it stands, outside any compiled graph."""
    if fn is None:
        return lambda f: disable(f, recursive)

    @functools.wraps(fn)
    def run(*args, **kwargs):
        lazy, small = state.lazy, state.small
        if lazy is None:
            return fn(*args, **kwargs)
        lazy.leave(f"{here(False)}: {getattr(fn, '__name__', fn)}() is marked with torch.compiler.disable")
        state.lazy, state.small = None, SMALL
        try:
            return fn(*args, **kwargs)
        finally:
            state.lazy, state.small = lazy, small
    return run


def is_compiling() -> bool:
    """Whether the calling code runs inside a compiled function."""
    return state.lazy is not None


def reset() -> None:
    """Forget what was compiled: functions are traced anew."""
    programs.clear()
    counters.clear()
    for c in _all:
        c.entries, c.tries, c.trials, c.varying, c.notes, c.stretches = [], 0, 0, set(), [], []
        c.said.clear()
