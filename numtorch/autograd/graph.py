"""torch.autograd.graph: the pieces of the tape by name, and hooks on what it saves."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .engine import AccumulateGrad, Handle, Node
from .modes import state


class GradientEdge(NamedTuple):
    """A place where a gradient arrives: result `output_nr` of `node`."""

    node: Node | AccumulateGrad
    output_nr: int


def get_gradient_edge(tensor) -> GradientEdge:
    """The edge of a tensor that requires grad."""
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require "
                           "gradients")
    node = tensor.grad_fn
    return GradientEdge(AccumulateGrad(tensor) if node is None else node, tensor.output_nr)


class saved_tensors_hooks:
    """Context in which the tape keeps `pack_hook(tensor)` for each tensor it saves, and asks `unpack_hook`
    for it back.

    Contexts nest: the innermost one packs."""

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]):
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        state.packers = (*state.packers, (self.pack_hook, self.unpack_hook))

    def __exit__(self, *exc) -> None:
        state.packers = state.packers[:-1]


class save_on_cpu(saved_tensors_hooks):
    """Context in which tensors saved by the tape wait in host memory."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda"):
        super().__init__(lambda t: (t.device, t.cpu()), lambda kept: kept[1].to(kept[0]))


class _Removal(NamedTuple):
    handles: list[Handle]

    def remove(self) -> None:
        """Take all the hooks away."""
        for h in self.handles:
            h.remove()


def register_multi_grad_hook(tensors: Sequence, fn: Callable, *, mode: str = "all") -> _Removal:
    """Call `fn` once per backward: at its end with the gradients of all `tensors`, None for those that it did
    not reach (mode "all"); or with the first gradient that comes ("any")."""
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    grads: list = [None] * len(tensors)
    begun = False

    def end() -> None:
        nonlocal begun
        got, grads[:], begun = list(grads), [None] * len(tensors), False
        if mode == "all":
            fn(got)

    def note(i: int) -> Callable:
        def hook(g) -> None:
            nonlocal begun
            if not begun:
                begun = True
                state.callbacks.append(end)
                if mode == "any":
                    fn(g)
            grads[i] = g
        return hook
    return _Removal([t.register_hook(note(i)) for i, t in enumerate(tensors)])


__all__ = ["GradientEdge", "Node", "get_gradient_edge", "register_multi_grad_hook", "save_on_cpu",
           "saved_tensors_hooks"]
