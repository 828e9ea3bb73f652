"""PyTorch's torch._dynamo as programs use it: other spellings of numtorch.compiler, marks, settings."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import compiler
from ..compiler import allow_in_graph, assume_constant_result, disable, is_compiling, list_backends, reset
from ..compiler.explain import Explanation
from ..compiler.module import OptimizedModule
from ..compiler.settings import config, set_stance
from ..tensor import Tensor
from . import decorators, eval_frame, exc, external_utils, utils
from .eval_frame import is_dynamo_supported

__all__ = ["OptimizedModule", "allow_in_graph", "assume_constant_result", "config", "decorators", "disable",
           "disallow_in_graph", "eval_frame", "exc", "explain", "external_utils", "forbid_in_graph",
           "graph_break", "is_compiling", "is_dynamo_supported", "list_backends", "mark_dynamic",
           "mark_static", "mark_static_address", "mark_unbacked", "maybe_mark_dynamic", "nonstrict_trace",
           "optimize", "reset", "reset_code_caches", "run", "set_stance", "utils"]

disallow_in_graph = disable


def explain(f: Callable, *extra_args: Any, **extra_kwargs: Any) -> Any:
    """explain(f)(*args) calls f compiled and gives its Explanation, as compile(f).explain() does."""
    def inner(*args: Any, **kwargs: Any) -> Explanation:
        compiled = compiler.compile(f)
        compiled(*args, **kwargs)
        return compiled.explain()
    return inner(*extra_args, **extra_kwargs) if extra_args or extra_kwargs else inner


def optimize(backend: Any = "inductor", *, nopython: bool = False, **options: Any) -> Callable:
    """A decorator: compile, with fullgraph where `nopython`."""
    return lambda fn: compiler.compile(fn, fullgraph=nopython)


def run(fn: Callable | None = None) -> Any:
    """The function as it was compiled so far; nothing new is compiled."""
    if fn is None:
        return run

    def inner(*args: Any, **kwargs: Any) -> Any:
        with set_stance("eager_on_recompile"):
            return fn(*args, **kwargs)
    return inner


def forbid_in_graph(fn: Any) -> Any:
    """A function that raises where a compiled function calls it."""
    if isinstance(fn, list | tuple):
        return [forbid_in_graph(f) for f in fn]

    def inner(*args: Any, **kwargs: Any) -> Any:
        if is_compiling():
            raise exc.Unsupported(f"{getattr(fn, '__name__', fn)} is forbidden in compiled functions")
        return fn(*args, **kwargs)
    return inner


def graph_break(msg: str = "") -> None:
    """End the graph here; an error under fullgraph=True."""
    from ..autograd.modes import state
    from ..compiler.lazy import here
    if state.lazy is not None:
        state.lazy.leave(f"{here(False)}: graph_break() is called" + (f": {msg}" if msg else ""))


def nonstrict_trace(fn: Callable) -> Callable:
    """`fn`: all code is traced by running it."""
    return fn


def _mark(t: Any, index: int | Sequence[int], name: str, place: str) -> None:
    """Put dimensions of t into a tuple that is an attribute of it."""
    if not isinstance(t, Tensor):
        raise TypeError(f"{name} expects a tensor, got {type(t).__name__}")
    for i in [index] if isinstance(index, int) else index:
        if not 0 <= i < t.dim():
            raise IndexError(f"{name}: the tensor has {t.dim()} dimensions, got {i}")
        t.__dict__[place] = tuple(sorted({*t.__dict__.get(place, ()), i}))


def mark_dynamic(t: Any, index: int | Sequence[int], *, hint_override: int | None = None,
                 min: int | None = None, max: int | None = None, specialize_on: Any = None) -> None:
    """A compiled function that is called with t is at once compiled for any size of these dimensions, where
    its code allows."""
    _mark(t, index, "mark_dynamic", "_dynamo_dynamic_indices")


def maybe_mark_dynamic(t: Any, index: int | Sequence[int]) -> None:
    """mark_dynamic."""
    _mark(t, index, "maybe_mark_dynamic", "_dynamo_dynamic_indices")


def mark_unbacked(t: Any, index: int | Sequence[int], *args: Any, **kwargs: Any) -> None:
    """mark_dynamic."""
    _mark(t, index, "mark_unbacked", "_dynamo_dynamic_indices")


def mark_static(t: Any, index: int | Sequence[int] | None = None) -> None:
    """A compiled function is compiled anew for each size of these dimensions of t, or of all."""
    if isinstance(t, Tensor):
        _mark(t, range(t.dim()) if index is None else index, "mark_static", "_dynamo_static_indices")


def mark_static_address(t: Any, guard: bool = False) -> None:
    """Accepted: no address is part of a graph."""
    if not isinstance(t, Tensor):
        raise TypeError(f"mark_static_address expects a tensor but received {type(t)}")


def reset_code_caches() -> None:
    """Forget what was compiled."""
    reset()
