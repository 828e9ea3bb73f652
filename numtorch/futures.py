"""torch.futures: values that another thread will set."""
from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["Future", "collect_all", "wait_all"]
T = TypeVar("T")


class Future(Generic[T]):
    """A value, or an exception, that comes later."""

    def __init__(self, *, devices: list | None = None) -> None:
        self._inner: concurrent.futures.Future = concurrent.futures.Future()

    def done(self) -> bool:
        """Whether it has come."""
        return self._inner.done()

    def wait(self) -> T:
        """Wait for the value; the exception is raised."""
        return self._inner.result()

    def value(self) -> T:
        """The value, which must have come."""
        if not self.done():
            raise RuntimeError("Future has not completed; call wait() first")
        return self._inner.result()

    def set_result(self, result: T) -> None:
        """Set the value. RuntimeError if it is set already."""
        self._check()
        self._inner.set_result(result)

    def set_exception(self, result: BaseException) -> None:
        """Let wait() raise this exception."""
        if not isinstance(result, Exception):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._check()
        self._inner.set_exception(result)

    def _check(self) -> None:
        if self.done():
            raise RuntimeError("Future can only be marked completed once")

    def add_done_callback(self, callback: Callable[[Future[T]], Any]) -> None:
        """Call callback(self) when the value comes, or now."""
        self._inner.add_done_callback(lambda _: callback(self))

    def then(self, callback: Callable[[Future[T]], Any]) -> Future:
        """A future of what callback(self) returns when the value has come."""
        out: Future = Future()

        def run(_: Any) -> None:
            try:
                out.set_result(callback(self))
            except Exception as e:
                out.set_exception(e)
        self._inner.add_done_callback(run)
        return out


def collect_all(futures: list[Future]) -> Future[list[Future]]:
    """A future that comes when all of them have: the list of them."""
    out: Future[list[Future]] = Future()
    left = [len(futures)]
    import threading
    lock = threading.Lock()

    def one(_: Any) -> None:
        with lock:
            left[0] -= 1
            last = not left[0]
        if last:
            out.set_result(futures)
    for f in futures:
        f.add_done_callback(one)
    if not futures:
        out.set_result(futures)
    return out


def wait_all(futures: list[Future]) -> list:
    """The values of all, in order; the first exception is raised."""
    return [f.wait() for f in collect_all(futures).wait()]
