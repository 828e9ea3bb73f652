"""numtorch.compile: a function whose operations run as compiled graphs."""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..autograd.modes import state
from . import interpret
from .lazy import Tracer

SMALL = state.small


class Compiled:
    """A function compiled for the arguments it is called with."""

    def __init__(self, fn: Callable, fullgraph: bool = False):
        self.fn, self.fullgraph = fn, fullgraph
        functools.update_wrapper(self, fn)

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args, **kwargs) -> Any:
        if state.lazy is not None or state.tracer is not None:
            return self.fn(*args, **kwargs)
        tracer = state.lazy = Tracer(interpret.run)
        state.small = -1
        try:
            return self.fn(*args, **kwargs)
        finally:
            state.lazy, state.small = None, SMALL
            tracer.flush()


def compile(model: Callable | None = None, *, fullgraph: bool = False, dynamic: bool | None = None, backend: Any = None,
            mode: str | None = None, options: dict | None = None, disable: bool = False) -> Any:
    """A function, or a module, that computes the same in fewer, fused kernels.

    `fullgraph`: raise where a value is read while the function runs, instead of computing it there. `dynamic`,
    `backend`, `mode` and `options` are accepted and change nothing."""
    if model is None:
        return lambda m: compile(m, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode,
                                 options=options, disable=disable)
    if disable:
        return model
    from ..nn import Module
    if isinstance(model, Module):
        return _module(model, fullgraph)
    if not callable(model):
        raise RuntimeError(f"torch.compile: expected a callable, got {type(model).__name__}")
    return Compiled(model, fullgraph)


def _module(model, fullgraph: bool):
    from .module import OptimizedModule
    return OptimizedModule(model, fullgraph)


def disable(fn: Callable | None = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """A function that always runs as it stands, outside any compiled graph."""
    if fn is None:
        return lambda f: disable(f, recursive)

    @functools.wraps(fn)
    def run(*args, **kwargs):
        lazy, small = state.lazy, state.small
        if lazy is None:
            return fn(*args, **kwargs)
        lazy.leave("a function marked with torch.compiler.disable")
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
    """Forget what was compiled."""
