"""Trade computation for memory: forget activations in the forward pass, compute them again in the backward
pass."""
from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from .. import Tensor, autograd, enable_grad, get_rng_state, no_grad, set_rng_state

__all__ = ["CheckpointError", "checkpoint", "checkpoint_sequential", "noop_context_fn"]


class CheckpointError(RuntimeError):
    """The second forward pass did not compute what the first did."""


class _Enough(Exception):
    "The second forward pass has computed all that the backward pass needs."


def noop_context_fn() -> tuple:
    """Return two contexts that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


@contextlib.contextmanager
def _rng(state: Any) -> Iterator[None]:
    "Run with this state of the generator, None: with the present one; restore it after."
    if state is None:
        yield
        return
    now = get_rng_state()
    set_rng_state(state)
    try:
        yield
    finally:
        set_rng_state(now)


def checkpoint(function: Callable, *args: Any, use_reentrant: bool | None = None,
               context_fn: Callable = noop_context_fn, determinism_check: str = "default",
               debug: bool = False,
               preserve_rng_state: bool = True, **kwargs: Any) -> Any:
    """Return function(*args, **kwargs) without keeping what its backward pass needs: that is computed again
    there.

    function must compute the same again; random numbers are the same with preserve_rng_state.
    use_reentrant=False (recommended): gradients flow as without `checkpoint`. True: the backward pass runs an
    inner one; at least one tensor of args must require a gradient, and `autograd.grad` cannot be used.
    context_fn: gives two contexts, for the first and the second computation. determinism_check: "default"
    compares shapes and dtypes of the two computations, "none" does not.
    """
    if use_reentrant is None:
        warnings.warn("torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. "
                      "Starting in PyTorch 2.9, calling checkpoint without use_reentrant will raise an "
                      "exception. use_reentrant=False is recommended, but if you need to preserve the "
                      "current default behavior, you can pass use_reentrant=True. Refer to docs for more "
                      "details on the differences between the two variants.", stacklevel=2)
        use_reentrant = True
    if determinism_check not in ("default", "none"):
        raise ValueError("determinism_check should be one of ['default', 'none'], "
                         f"but got {determinism_check}")
    state = get_rng_state() if preserve_rng_state else None
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        if not any(isinstance(x, Tensor) and x.requires_grad for x in args):
            warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)
        return _inner_backward().apply(function, state, *args)
    first, second = context_fn()
    frame = _Frame(lambda: function(*args, **kwargs), state, second, determinism_check == "default")
    with first, autograd.graph.saved_tensors_hooks(frame.pack, frame.unpack):
        return function(*args, **kwargs)


class _Frame:
    "One checkpointed call: how many tensors its graph saved, and those that were computed again."

    def __init__(self, again: Callable[[], Any], state: Any, context: Any, check: bool) -> None:
        self.again, self.state, self.context, self.check = again, state, context, check
        self.forms: list[tuple] = []
        self.found: dict[int, Tensor] = {}

    def pack(self, x: Tensor) -> int:
        self.forms.append((tuple(x.shape), x.dtype, x.device))
        return len(self.forms) - 1

    def unpack(self, i: int) -> Tensor:
        if i not in self.found:
            self._compute()
        return self.found.pop(i)  # a second backward pass computes again

    def _compute(self) -> None:
        self.found.clear()
        n = 0

        def pack(x: Tensor) -> Tensor:
            nonlocal n
            if n < len(self.forms):
                self.found[n] = x.detach()
            n += 1
            if n == len(self.forms):
                raise _Enough
            return x

        try:
            with _rng(self.state), self.context, enable_grad():
                with autograd.graph.saved_tensors_hooks(pack, lambda x: x):
                    self.again()
        except _Enough:
            pass
        if n != len(self.forms):
            raise CheckpointError("torch.utils.checkpoint: A different number of tensors was saved during "
                                  "the original forward and recomputation.\nNumber of tensors saved during "
                                  f"forward: {len(self.forms)}\nNumber of tensors saved during "
                                  f"recomputation: {n}.")
        if self.check:
            differ = [f"tensor at position {i}:\nsaved metadata: {form}\nrecomputed metadata: {now}"
                      for i, form in enumerate(self.forms)
                      if form != (now := (tuple((x := self.found[i]).shape), x.dtype, x.device))]
            if differ:
                raise CheckpointError("torch.utils.checkpoint: Recomputed values for the following tensors "
                                      "have different metadata than during the forward pass.\n"
                                      + "\n".join(differ))


_function: type | None = None


def _inner_backward() -> Any:
    "The autograd function whose backward pass runs the function again and backpropagates through that."
    global _function
    if _function is not None:
        return _function

    class CheckpointFunction(autograd.Function):
        @staticmethod
        def forward(ctx: Any, function: Callable, state: Any, *args: Any) -> Any:
            ctx.function, ctx.state = function, state
            ctx.places = [i for i, x in enumerate(args) if isinstance(x, Tensor)]
            ctx.others = [None if isinstance(x, Tensor) else x for x in args]
            ctx.save_for_backward(*(args[i] for i in ctx.places))
            with no_grad():
                return function(*args)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> tuple:
            args = list(ctx.others)
            for i, x in zip(ctx.places, ctx.saved_tensors):
                args[i] = x.detach().requires_grad_(x.requires_grad)
            with _rng(ctx.state), enable_grad():
                outputs = ctx.function(*args)
            if isinstance(outputs, Tensor):
                outputs = (outputs,)
            pairs = [(y, g) for y, g in zip(outputs, grads) if isinstance(y, Tensor) and y.requires_grad]
            if not pairs:
                raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not "
                                   "necessary")
            autograd.backward([y for y, _ in pairs], [g for _, g in pairs])
            return (None, None, *(x.grad if isinstance(x, Tensor) else None for x in args))

    _function = CheckpointFunction
    return _function


def checkpoint_sequential(functions: Any, segments: int, input: Any, use_reentrant: bool | None = None,
                          **kwargs: Any) -> Any:
    """Apply `functions` one after the other in `segments` parts, checkpointing all parts but the last."""
    if use_reentrant is None:
        warnings.warn("torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be "
                      "passed explicitly. In version 2.9 we will raise an exception if use_reentrant is not "
                      "passed. use_reentrant=False is recommended, but if you need to preserve the current "
                      "default behavior, you can pass use_reentrant=True. Refer to docs for more details on "
                      "the differences between the two variants.", stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    functions = list(functions.children() if hasattr(functions, "children") else functions)

    def part(some: list) -> Callable:
        def run(x: Any) -> Any:
            for f in some:
                x = f(x)
            return x
        return run

    size = len(functions) // segments
    end = 0
    for k in range(segments - 1):
        end = (k + 1) * size
        input = checkpoint(part(functions[end - size:end]), input, use_reentrant=use_reentrant,
                           preserve_rng_state=preserve)
    return part(functions[end:])(input)
