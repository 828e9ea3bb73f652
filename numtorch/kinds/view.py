"""The view kind: Layout → Layout, memory shared."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd.engine import Meta, Node, clock, stamp_of
from ..autograd.modes import state
from ..dispatch import (
    UNRECORDED,
    Op,
    cpu,
    new,
    not_a_tensor,
    public_function,
    register,
    remember,
)
from ..dtypes import FLOAT
from ..layouts import Layout
from ..tensor import Tensor

NONE: tuple = ()


class View(Op):
    """The body maps a Layout to a Layout (or to a tuple of them); the memory is shared."""

    kind = "view"

    def __init__(self, body, vjp, at, name, packs: str | None):
        super().__init__(body, vjp, at, name)
        self.packs = packs
        # (serial of a layout, the other arguments) → (layout of the view, what its rule needs of them)
        self.seen: dict[tuple, tuple[Layout, dict]] = {}
        needed = self.needs(self.inputs) if self.inputs else ()
        self.statics = tuple([n for n in needed if n != "x_meta"])
        self.sized = "x_meta" in needed
        # Whether a node needs no more than those and the input's meta.
        self.plain = len(self.inputs) == 1 and set(self.statics) <= set(self.params[1:])

    def apply(self, args: dict[str, Any]):
        x = args[self.params[0]]
        if not isinstance(x, Tensor):
            raise not_a_tensor(self.said, "input", x, 0)
        if state.tracer is not None:
            return state.tracer.call(self, args)
        rest = [args[p] for p in self.params[1:]]
        if state.lazy is not None:
            rest = state.lazy.settled(rest)
        got = self.body(x.layout, *rest)
        if isinstance(got, tuple):
            return tuple(self._one(x, l, args) for l in got)
        return self._one(x, got, args)

    def _one(self, x: Tensor, layout: Layout, args: dict[str, Any]) -> Tensor:
        if layout.dense and x.storage.device is not cpu:
            layout = Layout(layout.shape, layout.strides, layout.offset)
        if not (x._requires and state.grad):
            return shown(x, layout)
        t = new(Tensor)
        t.storage, t.layout, t.dtype, t._requires, t._node = x.storage, layout, x.dtype, False, None
        base = x._base
        t._base = base = x if base is None else base
        t._stamp, t._views = stamp_of(base), None
        self.record(args, t)
        return t

    def __call__(self, *args, **kwargs):
        return self.apply(self.bind(args, kwargs))

    def function(self) -> Callable:
        """The public function. What calls with integers gave before is looked up."""
        seen, packs, plain, sized = self.seen, self.packs, self.plain, self.sized

        def call(input, *args, **kwargs):
            given = args
            if packs is not None and len(args) == 1 and isinstance(args[0], tuple):
                args = args[0]
            known = not kwargs and state.tracer is None
            for a in args:
                if type(a) is not int and a is not None:
                    known = False
            try:
                found = seen.get((input.layout.serial, args)) if known else None
            except AttributeError:  # not a tensor, which is said below
                found = known = None
            if found is None:
                return self.first(input, given, kwargs, args if known else None)
            layout, values = found
            if not (input._requires and state.grad):
                return shown(input, layout)
            if not plain or input._base is not None or input.storage.device is not cpu:
                return self.first(input, given, kwargs, None)
            t = new(Tensor)
            t.storage, t.layout, t.dtype = input.storage, layout, input.dtype
            t._requires, t._base = True, input
            t._stamp, t._views = stamp_of(input), None
            node = new(Node)
            e = input._node
            node.op, node.edges, node.shapes = self, (input if e is None else e,), None
            node.names = node.saved = node.versions = NONE
            node.values = {**values, "x_meta": Meta.of(input)} if sized else values
            node.extra, node.outputs, node.seq = None, 1, next(clock)
            t._node = node
            return t
        return call

    def first(self, input, args: tuple, kwargs: dict, key: tuple | None):
        """Work the view out; remember it by `key`."""
        if self.packs is not None and args and (len(args) > 1 or hasattr(args[0], "__index__")):
            args = (args,)
        bound = self.bind((input, *args), kwargs)
        result = self.apply(bound)
        if key is not None and type(result) is Tensor and input.storage.device is cpu:
            statics = {n: bound[n] for n in self.statics if n in bound}
            remember(self.seen, (input.layout.serial, key), (result.layout, statics))
        return result


def shown(x: Tensor, layout: Layout) -> Tensor:
    """The memory of x in another layout, not recorded."""
    if layout.dense and x.storage.device is not cpu:
        layout = Layout(layout.shape, layout.strides, layout.offset)
    t = new(Tensor)
    t.storage, t.layout, t.dtype, t._requires, t._node = x.storage, layout, x.dtype, False, None
    base = x._base
    t._base = base = x if base is None else base
    t._views = None
    if state.grad:
        if x.dtype.category < FLOAT:  # never on the tape
            t._stamp = 0
        else:
            base.watch(t)
    else:
        t._stamp = UNRECORDED
    return t


def view(body: Callable | None = None, *, vjp: dict[str, Callable] | None = None,
         at: Sequence[str] = ("torch", "Tensor"), name: str | None = None, packs: str | None = None):
    """Declare a view. `packs`: the parameter that gathers loose integers, as in x.permute(2, 0, 1)."""
    def declare(body: Callable) -> Callable:
        op = View(body, vjp, at, name, packs)
        register(op)
        return public_function(op, op.function())
    return declare if body is None else declare(body)


