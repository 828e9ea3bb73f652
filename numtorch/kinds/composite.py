"""The composite kind: Python over other ops."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd.modes import state
from ..dispatch import (
    Op,
    into,
    public_function,
    register,
)
from ..tensor import Tensor


class Composite(Op):
    """The body is Python over other ops. With `vjp`, its parts are not recorded and the rule is used instead."""

    kind = "composite"

    def __init__(self, body, vjp, at, name, fuse: bool):
        super().__init__(body, vjp, at, name)
        self.fuse = fuse

    def __call__(self, *args, out=None, **kwargs):
        if self.rules:
            values = self.bind(args, kwargs)
            result = self.apply(values)
        else:
            if kwargs:
                kwargs = {self.renamed(k): v for k, v in kwargs.items()}
            result = self.body(*args, **kwargs)
        return result if out is None else into(out, result)

    def apply(self, args: dict[str, Any]):
        if not state.grad or not any(isinstance(v, Tensor) and v.requires_grad for v in args.values()):
            return self.body(**args)
        state.grad = False
        try:
            result = self.body(**args)
        finally:
            state.grad = True
        if isinstance(result, Tensor) and any(result is v for v in args.values()):
            result = result.alias()
        self.record(args, result)
        return result


def composite(body: Callable | None = None, *, vjp: dict[str, Callable] | None = None, fuse: bool = False,
              at: Sequence[str] = ("torch", "Tensor"), name: str | None = None, packs: str | None = None):
    """Declare a composite."""
    def declare(body: Callable) -> Callable:
        op = Composite(body, vjp, at, name, fuse)
        op.packs = packs  # type: ignore[attr-defined]
        return public_function(register(op))
    return declare if body is None else declare(body)
