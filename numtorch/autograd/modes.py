"""Grad modes: whether operations are recorded. Each thread has its own."""
from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any


class State(threading.local):
    """What the calling thread records: `grad` a tape, `inference` no version counts, `tracer` a graph.

    `cast`: how operands are cast (casts.Casting) while autocast is enabled. `packers`: the (pack, unpack)
    hooks in force for tensors that the tape saves; `callbacks`: what to call at
    the end of the backward pass that runs."""

    grad = True
    cast: Any = None
    packers: tuple = ()
    callbacks: Any = None
    taking: tuple = ()  # the variables, as sets of nodes, of the functional derivatives in progress
    inference = False
    tracer: Any = None
    # While `lazy` (compiler/lazy.py) is set, what would run is recorded instead; `small` is then -1, which
    # keeps the fast paths of tiny tensors, whose sizes they compare with it, from running anything.
    lazy: Any = None
    small = 16_384  # elements up to which a kernel runs on the calling thread, holding the GIL


state = State()
# A storage made under inference_mode counts its writes from here: below 0 ever after.
INFERENCE = -(1 << 60)
_lock = threading.Lock()
inferring = 0  # entered inference_mode contexts of all threads: while 0, none need be looked for


def _infer(change: int) -> None:
    global inferring
    with _lock:
        inferring += change


def born() -> int:
    """The version of a storage that this thread makes now."""
    return INFERENCE if state.inference else 0


class _Mode:
    """A context manager that is a decorator too; generators are entered anew at every resumption."""

    def __call__(self, fn: Callable):
        if isinstance(fn, type):
            raise TypeError(f"{type(self).__name__} decorates functions; decorate the methods of "
                            f"{fn.__name__} instead")
        import inspect
        if inspect.isgeneratorfunction(fn):
            @functools.wraps(fn)
            def generator(*args, **kwargs):
                it, sent = fn(*args, **kwargs), None
                while True:
                    with self.clone():
                        try:
                            got = it.send(sent)
                        except StopIteration as stop:
                            return stop.value
                    sent = yield got
            return generator

        @functools.wraps(fn)
        def wrapped(*args, **kwargs):
            with self.clone():
                return fn(*args, **kwargs)
        return wrapped

    def clone(self):
        return type(self)()

    def __enter__(self):
        raise NotImplementedError

    def __exit__(self, *exc):
        raise NotImplementedError


class no_grad(_Mode):
    """Do not record operations: results do not require grad. Context manager and decorator."""

    wanted = False

    def __new__(cls, fn: Callable | None = None):
        self = object.__new__(cls)
        return self if fn is None else self(fn)

    def __init__(self, fn: Callable | None = None) -> None:
        self.before: list[bool] = []

    def __enter__(self) -> None:
        self.before.append(state.grad)
        state.grad = self.wanted

    def __exit__(self, *exc) -> None:
        state.grad = self.before.pop()


class enable_grad(no_grad):
    """Record operations, also inside no_grad."""

    wanted = True


class set_grad_enabled(_Mode):
    """Record or not, by a flag; takes effect at once and, as a context, until its end."""

    def __init__(self, mode: bool) -> None:
        self.before, self.mode = state.grad, bool(mode)
        state.grad = self.mode

    def __call__(self, fn: Callable):
        state.grad = self.before
        return super().__call__(fn)

    def clone(self):
        return set_grad_enabled(self.mode)

    def __enter__(self) -> None:
        state.grad = self.mode

    def __exit__(self, *exc) -> None:
        state.grad = self.before


class inference_mode(_Mode):
    """no_grad whose results can never be recorded later. `inference_mode(False)` undoes an outer one."""

    def __new__(cls, mode: bool | Callable = True):
        self = object.__new__(cls)
        if callable(mode):
            self.__init__(True)  # type: ignore[misc]
            return self(mode)
        return self

    def __init__(self, mode: bool = True) -> None:
        self.mode = bool(mode)
        self.before: list[tuple[bool, bool]] = []

    def clone(self):
        return inference_mode(self.mode)

    def __enter__(self) -> None:
        self.before.append((state.grad, state.inference))
        state.grad, state.inference = not self.mode, self.mode
        _infer(1)

    def __exit__(self, *exc) -> None:
        _infer(-1)
        state.grad, state.inference = self.before.pop()


def is_grad_enabled() -> bool:
    """Whether this thread records operations."""
    return state.grad


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside inference_mode."""
    return state.inference
