"""autograd.Function under vmap: the value of a call with batched arguments."""
from __future__ import annotations

from typing import Any, NamedTuple

from ..autograd.function import Function
from ..autograd.modes import state
from ..kinds.batching import Batcher, Call, tracked, wrapped
from ..tensor import Tensor
from ..utils import _pytree as P

NOTES = "For more details, please see https://pytorch.org/docs/main/notes/extending.func.html"
CONTEXT = ("In order to use an autograd.Function with functorch transforms (vmap, grad, jvp, jacrev, ...), "
           f"it must override the setup_context staticmethod. {NOTES}")


class VmapInfo(NamedTuple):
    """What a Function's `vmap` is told of the vmap it is called in."""

    batch_size: int
    randomness: str


def value(cls: type[Function], args: tuple, level: int, recorded: bool) -> Any:
    """What cls.forward gives for every sample of the vmap number `level`: off the tape of that level, on
    those below if `recorded`.

    By the class's `vmap(info, in_dims, *args) → (results, out_dims)`, or, with generate_vmap_rule, by its
    forward on batched tensors."""
    batcher: Batcher = state.tracer
    size, randomness = batcher.levels[level - 1]
    call = Call(None, {}, level, size)
    lower = [call.lower(a) for a in args]
    mapped = [call.is_mapped(a) for a in args]
    before, state.grad = state.grad, recorded
    try:
        if not any(mapped):
            return wrapped(cls.apply(*lower), level, False)
        if cls.vmap is not Function.vmap:
            if cls.generate_vmap_rule:
                raise RuntimeError(f"You tried to vmap over {cls.__name__}, but it has both "
                                   "generate_vmap_rule=True and an overriden vmap staticmethod. Please set "
                                   "generate_vmap_rule=False or delete the overriden vmap staticmethod to "
                                   f"avoid ambiguity. {NOTES}")
            in_dims = tuple([0 if m else None for m in mapped])
            got = cls.vmap(VmapInfo(size, randomness), in_dims, *lower)
            if not isinstance(got, tuple) or len(got) != 2:
                raise RuntimeError(f"Expected the vmap staticmethod to have two returns, an output and "
                                   f"out_dims with pytree structure compatible with the output. Got a {got}.")
            out, out_dims = got
            leaves, spec = P.tree_flatten(out)
            dims = P._broadcast_to_and_flatten(out_dims, spec)
            if dims is None:
                raise RuntimeError(f"The vmap staticmethod of {cls.__name__} returned out_dims that do not "
                                   "fit its output.")
            return spec.unflatten([
                wrapped(t.movedim(d, 0) if d else t, level, d is not None) if isinstance(t, Tensor) else t
                for t, d in zip(leaves, dims)])
        if not cls.generate_vmap_rule:
            raise RuntimeError(f"You tried to vmap over {cls.__name__}, but it does not have vmap support. "
                               "Please override and implement the vmap staticmethod or set "
                               f"generate_vmap_rule=True. {NOTES}")
        if recorded and any(isinstance(a, Tensor) and tracked(a) for a in lower):
            raise NotImplementedError(f"the derivative outside vmap of {cls.__name__} inside it: a generated "
                                      "vmap rule has none; override the vmap staticmethod")
        state.grad = False
        return cls.forward(*[Batcher.bare(a, level) for a in args])
    finally:
        state.grad = before
