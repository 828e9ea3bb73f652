"""Shapes and dtypes of every node of a graph, by running it."""
from __future__ import annotations

from typing import Any, NamedTuple

from ...tensor import Tensor
from ..interpreter import Interpreter
from ..node import Node, map_aggregate


class TensorMetadata(NamedTuple):
    """What a node's value was."""
    shape: Any
    dtype: Any
    requires_grad: bool
    stride: tuple[int, ...]


def _extract_tensor_metadata(result: Tensor, include_contiguity: bool = True) -> TensorMetadata:
    return TensorMetadata(result.shape, result.dtype, result.requires_grad, result.stride())


class ShapeProp(Interpreter):
    """propagate(*inputs) runs the graph and leaves each node's shape and type in meta["tensor_meta"]."""

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        made = []

        def describe(v: Any) -> Any:
            if isinstance(v, Tensor):
                made.append(v)
                return _extract_tensor_metadata(v)
            return v
        meta = map_aggregate(result, describe)
        if made:
            n.meta["tensor_meta"] = meta
        n.meta["type"] = type(result)
        return result

    def propagate(self, *args) -> Any:
        """Run on these inputs."""
        return self.run(*args)
