"""The tracing compiler: running code becomes graphs, graphs become a few fused kernels.

`compile` is numtorch.compile; the rest is PyTorch's torch.compiler. What PyTorch says to a compiler that
reads bytecode (allow_in_graph, assume_constant_result) changes nothing here, where code always runs."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .function import Compiled, compile, disable, is_compiling, reset
from .settings import config, set_stance

__all__ = ["Compiled", "allow_in_graph", "assume_constant_result", "compile", "config",
           "cudagraph_mark_step_begin", "disable", "is_compiling", "is_dynamo_compiling", "is_exporting",
           "list_backends", "nested_compile_region", "reset", "set_stance"]


def is_dynamo_compiling() -> bool:
    """is_compiling()."""
    return is_compiling()


def is_exporting() -> bool:
    """False: nothing is exported."""
    return False


def list_backends(exclude_tags: tuple = ("debug", "experimental")) -> list[str]:
    """The names that `compile(backend=...)` is given; they mean the one compiler there is."""
    return ["inductor"]


def allow_in_graph(fn: Any) -> Any:
    """`fn`: every function can be in a graph."""
    if isinstance(fn, list | tuple):
        return [allow_in_graph(f) for f in fn]
    if not callable(fn):
        raise AssertionError("allow_in_graph expects a callable")
    return fn


def assume_constant_result(fn: Callable) -> Callable:
    """`fn`: what it reads besides tensors is guarded, so that it may change."""
    return fn


def nested_compile_region(fn: Callable | None = None, **options: Any) -> Any:
    """`fn`: regions of one structure share their kernels in any case."""
    return nested_compile_region if fn is None else fn


def cudagraph_mark_step_begin() -> None:
    """Nothing: results of one call are never overwritten by the next."""
