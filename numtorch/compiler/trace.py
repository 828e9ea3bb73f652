"""Tracing: code run with symbolic tensors records a Graph instead of computing.

A symbolic tensor is a Tensor whose storage is a graph node. Everything above the dispatcher (composites, the
tape, nn) runs on it unchanged, because every operation passes through an Op, and an Op hands its call to the
tracer."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import devices
from ..autograd.modes import state
from ..dispatch import dims_of
from ..layouts import Layout
from ..storage import Storage
from ..tensor import Tensor

new = object.__new__


class Untraceable(Exception):
    """The code did something that a graph cannot hold; the message says what."""


class Node:
    """One value of a graph: the result of `op` on `args` (Nodes, numbers, static values by parameter name).

    `op` None is an input: `tensor` is the real one."""

    __slots__ = ("op", "args", "shape", "dtype", "tensor")

    def __init__(self, op, args: dict[str, Any], shape: tuple[int, ...], dtype, tensor: Tensor | None = None):
        self.op, self.args, self.shape, self.dtype, self.tensor = op, args, tuple(shape), dtype, tensor

    def __repr__(self) -> str:
        return f"{self.op.name if self.op else 'input'}{list(self.shape)}"


class Symbol(Storage):
    """The storage of a symbolic tensor: a node instead of memory."""

    __slots__ = ("node",)

    def __init__(self, node: Node, device: devices.device):
        super().__init__(None, device, 0)
        self.node = node


class Graph:
    """What a traced function computes: inputs, nodes in the order they ran, outputs."""

    def __init__(self) -> None:
        self.inputs: list[Node] = []
        self.nodes: list[Node] = []
        self.outputs: list[Node] = []

    def __repr__(self) -> str:
        names = {id(n): f"v{i}" for i, n in enumerate([*self.inputs, *self.nodes])}
        show = lambda v: names.get(id(v), repr(v)) if isinstance(v, Node) else repr(v)
        lines = [f"{names[id(n)]} = {n.op.name}({', '.join(f'{k}={show(v)}' for k, v in n.args.items())})"
                 f"  # {n.dtype.name}{list(n.shape)}" for n in self.nodes]
        return "\n".join(lines + [f"return {', '.join(names[id(o)] for o in self.outputs)}"])


class Tracer:
    """Records one Graph. Install it as `state.tracer` while the code runs."""

    batches = False  # as vmap's interpreter does (kinds/batching.py)

    def __init__(self) -> None:
        self.graph = Graph()
        self._known: dict[int, Node] = {}
        self._kept: list[Tensor] = []

    def input(self, t: Tensor) -> Tensor:
        """A symbolic tensor that stands for the real `t`."""
        node = Node(None, {}, t.layout.shape, t.dtype, t)
        self.graph.inputs.append(node)
        self._known[id(t)] = node
        self._kept.append(t)
        return self.symbolic(node, t.layout.strides, t.storage.device)

    @staticmethod
    def symbolic(node: Node, strides: tuple[int, ...], device: devices.device) -> Tensor:
        t = new(Tensor)
        t.storage, t.layout, t.dtype = Symbol(node, device), Layout(node.shape, strides), node.dtype
        t._requires, t._node, t._base, t._views = False, None, None, None
        return t

    def node(self, t: Tensor) -> Node:
        """The node of a tensor; a real tensor met on the way becomes an input."""
        if isinstance(t.storage, Symbol):
            return t.storage.node
        found = self._known.get(id(t))
        if found is None:
            self.input(t)
            found = self._known[id(t)]
        return found

    def call(self, op, args: dict[str, Any]) -> Any:
        """Record op(**args): shapes and dtypes come from running it on meta tensors."""
        if op.kind not in ("pointwise", "reduction", "view"):
            raise Untraceable(f"{op.name} is a call of its own, not a loop that fuses")
        device = next(v.storage.device for v in args.values() if isinstance(v, Tensor))
        state.tracer = None
        try:
            metas = {k: self._meta(v) if isinstance(v, Tensor) else v for k, v in args.items()}
            result = op.apply(tuple(metas.values()) if op.kind == "pointwise" else metas)
        finally:
            state.tracer = self
        if isinstance(result, tuple):
            raise Untraceable(f"{op.name} has several results")
        if op.kind == "reduction":
            args = {**args, "dim": dims_of(op.name, args["dim"], args["x"].layout.ndim)}
        return self._add(op, args, result, device)

    def _add(self, op, args: dict[str, Any], like: Tensor, device) -> Tensor:
        node = Node(op, {k: self.node(v) if isinstance(v, Tensor) else v for k, v in args.items()},
                    like.layout.shape, like.dtype)
        self.graph.nodes.append(node)
        return self.symbolic(node, like.layout.strides, device)

    @staticmethod
    def _meta(t: Tensor) -> Tensor:
        m = new(Tensor)
        m.storage, m.layout, m.dtype = Storage(None, devices.meta, 0), t.layout, t.dtype
        m._requires, m._node, m._base, m._views = False, None, None, None
        return m

    def cast(self, t: Tensor, dtype) -> Tensor:
        """Record a copy of `t` in another dtype."""
        from ..ops.pointwise import copied
        out = self._meta(t)
        out.dtype = dtype
        return self._add(copied.op, {"x": t}, out, t.storage.device)

    def item(self, t: Tensor):
        raise Untraceable("a value was read (item, bool, float) inside traced code")

    def write(self, t: Tensor, value: Any):
        raise Untraceable("a tensor was written to inside traced code")

    fill = write


def trace(fn: Callable, args: dict[str, Any]) -> tuple[Graph, Any]:
    """(the graph of fn(**args), what fn returned with symbolic tensors). Untraceable where it cannot be
    one."""
    tracer, before, grad = Tracer(), state.tracer, state.grad
    symbols = {k: tracer.input(v) if isinstance(v, Tensor) else v for k, v in args.items()}
    state.tracer, state.grad = tracer, False
    try:
        result = fn(**symbols)
    finally:
        state.tracer, state.grad = before, grad
    outs = result if isinstance(result, tuple) else (result,)
    if not all(isinstance(o, Tensor) for o in outs):
        raise Untraceable("the function returns something other than tensors")
    tracer.graph.outputs = [tracer.node(o) for o in outs]
    return tracer.graph, result
