"""The gradient taps behind Module's full backward hooks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from ... import Tensor, is_grad_enabled
from ...autograd import Function

__all__ = ["BackwardHook", "warn_of_missing_gradients"]


class _Tap(Function):
    """The identity on some tensors; backward shows the gradients to `see`, which may replace them."""

    @staticmethod
    def forward(ctx: Any, see: Callable[[tuple], tuple], *tensors: Tensor) -> Any:
        ctx.see = see
        ctx.set_materialize_grads(False)
        return tensors if len(tensors) > 1 else tensors[0]

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return (None, *ctx.see(grads))


def _as_tuple(grads: Any) -> tuple:
    return grads if isinstance(grads, tuple) else (grads,)


class BackwardHook:
    """One call of a module seen by its full backward hooks.

    The gradients of the outputs pass the first tap (the pre-hooks run there), those of the inputs the
    second (the hooks run there). Where no input requires a gradient, the hooks run at the first tap.
    """

    __slots__ = ("module", "hooks", "pre_hooks", "grad_outputs", "n_inputs", "inputs_at")

    def __init__(self, module: Any, hooks: list[Callable], pre_hooks: list[Callable]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_outputs: Any = None
        self.n_inputs = -1
        self.inputs_at: list[int] | None = None

    def tap_inputs(self, args: tuple) -> tuple:
        """Return `args` with its tensors passed through the tap, if any of them requires a gradient."""
        self.n_inputs = len(args)
        at = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
        if not at or not is_grad_enabled():
            return args
        tapped = _as_tuple(_Tap.apply(self._leave, *[args[i] for i in at]))
        self.inputs_at = at
        return _replace(args, at, tapped)

    def tap_outputs(self, result: Any) -> Any:
        """Return the module's result with its tensors passed through the tap."""
        outputs = _as_tuple(result)
        at = [i for i, a in enumerate(outputs) if isinstance(a, Tensor) and a.requires_grad]
        if not at:
            return result

        def arrive(grads: tuple) -> tuple:
            return self._arrive(_scatter(grads, at, len(outputs)), at)

        tapped = _as_tuple(_Tap.apply(arrive, *[outputs[i] for i in at]))
        outputs = _replace(outputs, at, tapped)
        return outputs if isinstance(result, tuple) else outputs[0]

    def _arrive(self, grads: tuple, at: list[int]) -> tuple:
        for hook in self.pre_hooks:
            changed = hook(self.module, grads)
            if changed is None:
                continue
            changed = _as_tuple(changed)
            if len(changed) != len(grads):
                raise RuntimeError(
                    "Backward pre hook returned an invalid number of grad_output, "
                    f"got {len(changed)}, but expected {len(grads)}"
                )
            grads = changed
        if self.inputs_at is None:
            nothing = (None,) * self.n_inputs
            for hook in self.hooks:
                changed = hook(self.module, nothing, grads)
                if changed is not None and any(g is not None for g in _as_tuple(changed)):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always return "
                        "None or None for all gradients."
                    )
        else:
            self.grad_outputs = grads
        return tuple(grads[i] for i in at)

    def _leave(self, grads: tuple) -> tuple:
        assert self.inputs_at is not None
        if self.grad_outputs is None:  # the outputs were not reached: nothing to show
            return grads
        grads = _scatter(grads, self.inputs_at, self.n_inputs)
        for hook in self.hooks:
            changed = hook(self.module, grads, self.grad_outputs)
            if changed is None:
                continue
            changed = _as_tuple(changed)
            if len(changed) != len(grads):
                raise RuntimeError(
                    "Backward hook returned an invalid number of grad_input, "
                    f"got {len(changed)}, but expected {len(grads)}"
                )
            grads = changed
        self.grad_outputs = None
        return tuple(grads[i] for i in self.inputs_at)


def _scatter(values: tuple, at: list[int], length: int) -> tuple:
    out: list[Any] = [None] * length
    for i, value in zip(at, values):
        out[i] = value
    return tuple(out)


def _replace(values: tuple, at: list[int], new: tuple) -> tuple:
    out = list(values)
    for i, value in zip(at, new):
        out[i] = value
    return type(values)(*out) if hasattr(values, "_fields") else tuple(out)


def warn_of_missing_gradients(inputs: Any, result: Any, grad_fn: Any) -> None:
    """Say where a deprecated backward hook sees only part of the gradients."""
    end = "Please use register_full_backward_hook to get the documented behavior."
    future = "is deprecated and will be removed in future versions. This hook will be missing some"
    warning = None
    outputs = (result,) if isinstance(result, Tensor) else result
    args = (inputs,) if isinstance(inputs, Tensor) else inputs
    if not (isinstance(outputs, tuple) and all(isinstance(r, Tensor) for r in outputs)):
        warning = (
            "Using non-full backward hooks on a Module that does not return a single Tensor or a tuple "
            "of Tensors is deprecated and will be removed in future versions. This hook will be missing "
            f"some of the grad_output. {end}"
        )
    elif not (isinstance(args, tuple) and all(isinstance(i, Tensor) for i in args)):
        warning = (
            "Using non-full backward hooks on a Module that does not take as input a single Tensor or a "
            "tuple of Tensors is deprecated and will be removed in future versions. This hook will be "
            f"missing some of the grad_input. {end}"
        )
    elif len({r.grad_fn for r in outputs if r.grad_fn is not None}) > 1:
        warning = (
            "Using a non-full backward hook when outputs are generated by different autograd Nodes "
            f"{future} grad_output. {end}"
        )
    else:
        sources = {i.grad_fn for i in args if i.grad_fn is not None}
        following = {n for n, _ in getattr(grad_fn, "next_functions", ()) if n is not None}
        if sources != following:
            warning = (
                "Using a non-full backward hook when the forward contains multiple autograd Nodes "
                f"{future} grad_input. {end}"
            )
    if warning is not None:
        warnings.warn(warning, FutureWarning, stacklevel=6)
