"""Words of the scripting language that are Python here: decorators, annotations, questions."""
from __future__ import annotations

import builtins
import contextlib
import functools
import threading
import typing
from collections.abc import Callable, Iterator
from typing import Any


class Now(threading.local):
    """What this thread is doing."""

    scripting = False
    tracing = False


now = Now()
Error = RuntimeError


class ScriptWarning(Warning):
    """A scripted function means something else than it says."""


@contextlib.contextmanager
def doing(**what: bool) -> Iterator[None]:
    """Set answers of `is_scripting` and `is_tracing` for a while."""
    before = {k: getattr(now, k) for k in what}
    now.__dict__.update(what)
    try:
        yield
    finally:
        now.__dict__.update(before)


def is_scripting() -> bool:
    """Whether the calling code runs as part of a scripted function."""
    return now.scripting


def is_tracing() -> bool:
    """Whether the calling code is being traced."""
    return now.tracing


def export(fn: Callable) -> Callable:
    """Mark a method that is saved besides forward."""
    fn._jit = "export"  # type: ignore[attr-defined]
    return fn


def script_method(fn: Callable) -> Callable:
    """A method of a ScriptModule."""
    return fn


def _marker(kind: str) -> Callable:
    def mark(drop: Any = False, **kwargs: Any) -> Any:
        if callable(drop):
            drop._jit = kind
            return drop
        return lambda fn: mark(fn)
    return mark


ignore = _marker("ignore")
ignore.__name__, ignore.__doc__ = "ignore", "Mark a function that stays Python in scripted code."
unused = _marker("unused")
unused.__name__, unused.__doc__ = "unused", "Mark a function that scripted code does not reach."


def interface(cls: type) -> type:
    """Mark a class that names methods only."""
    return cls


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value; the type is for readers."""
    return the_value


class Attribute:
    """`value` with the type it has in scripted code."""

    def __new__(cls, value: Any, type: Any = None) -> Any:
        return value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Whether a value is of a type, generic types such as List[int] included."""
    if builtins.isinstance(target_type, tuple):
        return any(isinstance(obj, t) for t in target_type)
    origin, args = typing.get_origin(target_type), typing.get_args(target_type)
    if origin is None:
        return builtins.isinstance(obj, target_type)
    if origin is typing.Union:
        return any(isinstance(obj, t) for t in args)
    if not builtins.isinstance(obj, origin):
        return False
    if origin is dict:
        return all(isinstance(k, args[0]) and isinstance(v, args[1]) for k, v in obj.items())
    if origin is tuple:
        return len(obj) == len(args) and all(isinstance(v, t) for v, t in zip(obj, args))
    return all(isinstance(v, args[0]) for v in obj)


def fork(fn: Callable, *args: Any, **kwargs: Any) -> Any:
    """A future of fn(*args, **kwargs). It runs at once, on this thread."""
    from concurrent.futures import Future
    future: Any = Future()
    future.set_result(fn(*args, **kwargs))
    return future


def wait(future: Any) -> Any:
    """The result of a future."""
    return future.result() if hasattr(future, "result") else future.wait()


def script_if_tracing(fn: Callable) -> Callable:
    """A function that is scripted when a trace first meets it: its Python runs under the trace here."""
    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)
    return call


class strict_fusion(contextlib.AbstractContextManager):
    """Accepted: what is fused is chosen by the compiler."""

    def __exit__(self, *exc: Any) -> None:
        return None


@contextlib.contextmanager
def optimized_execution(should_optimize: bool) -> Iterator[None]:
    """Accepted: programs are always compiled."""
    yield


def set_fusion_strategy(strategy: Any) -> list:
    """Accepted: returns the strategy before, which is empty."""
    return []
