"""A graph run node by node with the kernels of eager mode: what compiled plans are compared with."""
from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes as D
from ..dispatch import cpu, new
from ..storage import Storage
from ..tensor import Tensor
from .graph import Graph, Node, Out, Ref, Value


def tensor_on(a: np.ndarray, layout, dtype: D.dtype) -> Tensor:
    """A tensor on the memory `a`."""
    t = new(Tensor)
    s = new(Storage)
    s.array, s.device, s.version = a, cpu, 0
    t.storage, t.layout, t.dtype = s, layout, dtype
    t._requires, t._node, t._base, t._views = False, None, None, None
    return t


def run(graph: Graph, memory: dict[int, np.ndarray] | None = None) -> list[np.ndarray]:
    """Arrays of the graph's outputs; those of all values that are made, by id, in `memory`."""
    memory = {} if memory is None else memory

    def array(v: Value) -> np.ndarray:
        found = memory.get(id(v))
        if found is None:
            found = memory[id(v)] = v.array if v.array is not None else np.zeros(v.numel, v.dtype.numpy)
        return found

    def seen(r: Any) -> Any:
        if type(r) is Ref:
            return tensor_on(array(r.value), r.layout, r.dtype)
        return [seen(x) for x in r] if isinstance(r, list) else r

    def target(o: Out) -> Tensor:
        a = np.empty(o.value.numel, o.value.dtype.numpy) if o.base is None else array(o.base).copy()
        return tensor_on(a, o.layout, o.dtype)

    for node in graph.nodes:
        outs = [None if o is None else target(o) for o in node.outs]
        execute(node, seen, outs)
        memory.update({id(o.value): t.storage.array for o, t in zip(node.outs, outs)
                       if o is not None and t is not None})
    return [array(v) for v in graph.outputs]


def execute(node: Node, seen, outs: list) -> None:
    """Run one node with eager kernels."""
    if node.kind == "map":
        node.what.run([seen(v) for v in node.ins], outs)
    elif node.kind == "fill":
        outs[0].fill_(node.ins[0])
    elif node.kind == "fold":
        dims, keepdim, dtype = node.extra
        x = seen(node.ins[0])
        outs[0].copy_(node.what.apply({"x": x, "dim": dims, "keepdim": keepdim, "dtype": dtype}))
    else:
        node.what.launch({k: seen(v) for k, v in node.ins.items()}, outs)


class Program:
    """A graph to be run again with other inputs. `numbers`: those in its nodes; `followed` has the Numbers
    among them, by (id of the node, operand)."""

    def __init__(self, graph: Graph, followed: dict[tuple[int, int], Any]):
        self.graph = graph
        self.places = [(n, i) for n in graph.nodes if n.kind in ("map", "fill")
                       for i, v in enumerate(n.ins) if type(v) is not Ref]
        self.numbers = [followed.get((id(n), i), n.ins[i]) for n, i in self.places]

    def run(self, inputs: list[np.ndarray], numbers: list) -> list[np.ndarray]:
        """Arrays of the outputs for arrays of the inputs."""
        for v, a in zip(self.graph.inputs, inputs):
            v.array = a
        for (n, i), x in zip(self.places, numbers):
            n.ins[i] = x
        return run(self.graph)
