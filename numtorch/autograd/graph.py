"""torch.autograd.graph: the pieces of the tape by name."""
from __future__ import annotations

from typing import NamedTuple

from .engine import Node


class GradientEdge(NamedTuple):
    """A place where a gradient arrives: result `output_nr` of `node`."""

    node: Node
    output_nr: int


def get_gradient_edge(tensor) -> GradientEdge:
    """The edge of a tensor that requires grad."""
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(tensor.grad_fn, tensor.output_nr)


__all__ = ["GradientEdge", "Node", "get_gradient_edge"]
