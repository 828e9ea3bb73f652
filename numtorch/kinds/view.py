"""The view kind: Layout → Layout, memory shared."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd.modes import state
from ..dispatch import (
    UNRECORDED,
    Op,
    cpu,
    new,
    not_a_tensor,
    public_function,
    register,
)
from ..layouts import Layout
from ..tensor import Tensor


class View(Op):
    """The body maps a Layout to a Layout (or to a tuple of them); the memory is shared."""

    kind = "view"

    def apply(self, args: dict[str, Any]):
        x = args[self.params[0]]
        if not isinstance(x, Tensor):
            raise not_a_tensor(self.said, "input", x, 0)
        if state.tracer is not None:
            return state.tracer.call(self, args)
        got = self.body(x.layout, *[args[p] for p in self.params[1:]])
        if isinstance(got, tuple):
            return tuple(self._one(x, l, args) for l in got)
        return self._one(x, got, args)

    def _one(self, x: Tensor, layout: Layout, args: dict[str, Any]) -> Tensor:
        if layout.dense and x.storage.device is not cpu:
            layout = Layout(layout.shape, layout.strides, layout.offset)
        t = new(Tensor)
        t.storage, t.layout, t.dtype, t._requires, t._node = x.storage, layout, x.dtype, False, None
        base = x._base
        t._base = base = x if base is None else base
        t._stamp = base._rebased_ if state.grad else UNRECORDED
        if state.grad:
            if x._requires:
                self.record(args, t)
            else:
                base.watch(t)
        return t

    def __call__(self, *args, **kwargs):
        if not kwargs and len(args) == len(self.params) and not self.checks and state.tracer is None:
            x = args[0]
            if isinstance(x, Tensor) and not x._requires:
                got = self.body(x.layout, *args[1:])
                if type(got) is Layout:
                    if got.dense and x.storage.device is not cpu:
                        got = Layout(got.shape, got.strides, got.offset)
                    t = new(Tensor)
                    t.storage, t.layout, t.dtype = x.storage, got, x.dtype
                    t._requires, t._node = False, None
                    base = x._base
                    t._base = base = x if base is None else base
                    if state.grad:
                        t._stamp = base._rebased_
                        base.watch(t)
                    else:
                        t._stamp = UNRECORDED
                    return t
        return self.apply(self.bind(args, kwargs))

    checks = False


def view(body: Callable | None = None, *, vjp: dict[str, Callable] | None = None,
         at: Sequence[str] = ("torch", "Tensor"), name: str | None = None, packs: str | None = None):
    """Declare a view. `packs`: the parameter that gathers loose integers, as in x.permute(2, 0, 1)."""
    def declare(body: Callable) -> Callable:
        op = View(body, vjp, at, name)
        op.packs = packs
        return public_function(register(op))
    return declare if body is None else declare(body)


