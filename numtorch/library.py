"""torch.library: functions of one's own as operators, with gradients, reachable as
torch.ops.NAMESPACE.NAME."""
from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable
from typing import Any

from . import Tensor, ops
from .autograd import Function
from .autograd.modes import state

__all__ = ["CustomOpDef", "custom_op", "register_autograd", "register_fake", "register_kernel"]

_known: dict[str, CustomOpDef] = {}


class CustomOpDef:
    """An operator made of a function: call it, and register its gradient and what it does to meta tensors."""

    def __init__(self, name: str, fn: Callable, mutates_args: Iterable[str] | str) -> None:
        namespace, _, own = name.partition("::")
        if not own:
            raise ValueError(f"Expected name to be of the form 'namespace::name', got {name}")
        self._qualname, self._namespace, self._name, self._fn = name, namespace, own, fn
        self._signature = inspect.signature(fn)
        self._mutates = mutates_args
        self._kernels: dict[str, Callable] = {}
        self._fake: Callable | None = None
        self._backward: Callable | None = None
        self._setup: Callable | None = None
        self.__name__, self.__doc__ = own, fn.__doc__
        _known[name] = self
        space = getattr(ops, namespace, None)
        if space is None:
            space = types.SimpleNamespace()
            setattr(ops, namespace, space)
        setattr(space, own, self)
        self.default = self

    def register_kernel(self, device_types: Any, func: Callable | None = None) -> Callable:
        """Use another function for tensors of these devices."""
        def register(fn: Callable) -> Callable:
            for d in [device_types] if isinstance(device_types, str) else device_types or ["cpu", "cuda"]:
                self._kernels[d] = fn
            return fn
        return register if func is None else register(func)

    def register_fake(self, fn: Callable) -> Callable:
        """Use this function for meta tensors: it returns empty results of the right shapes."""
        self._fake = fn
        return fn

    def register_autograd(self, backward: Callable, *, setup_context: Callable | None = None) -> None:
        """backward(ctx, *grads) returns a gradient (or None) for each input; setup_context(ctx, inputs,
        output)
        keeps what it needs."""
        self._backward, self._setup = backward, setup_context

    def _compute(self, args: tuple) -> Any:
        device = next((a.device.type for a in args if isinstance(a, Tensor)), "cpu")
        if device == "meta" and self._fake is None:
            raise NotImplementedError(f"{self._qualname}: no fake implementation was registered "
                                      "(register_fake), which meta tensors need")
        fn = self._fake if device == "meta" else self._kernels.get(device, self._fn)
        assert fn is not None
        return fn(*args)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = tuple(bound.arguments.values())
        if not (state.grad and any(isinstance(a, Tensor) and a.requires_grad for a in given)):
            return self._compute(given)
        return _Recorded.apply(self, *given)

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._qualname})>"


class _Recorded(Function):
    """A call of a CustomOpDef on the tape."""

    @staticmethod
    def forward(ctx: Any, op: CustomOpDef, *args: Any) -> Any:
        """Compute, and keep what the gradient needs."""
        out = op._compute(args)
        ctx.op = op
        if op._setup is not None:
            op._setup(ctx, args, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """The registered gradient."""
        if ctx.op._backward is None:
            raise RuntimeError(f"Trying to backward through {ctx.op._namespace}.{ctx.op._name}.default but "
                               f"no "
                               "autograd formula was registered. Please use register_autograd to add one.")
        got = ctx.op._backward(ctx, *grads)
        return (None, *got) if isinstance(got, tuple) else (None, got)


def custom_op(name: str, fn: Callable | None = None, /, *, mutates_args: Iterable[str] | str = (),
              device_types: Any = None, schema: str | None = None) -> Any:
    """Make a function the operator "namespace::name"; a decorator without `fn`."""
    def make(fn: Callable) -> CustomOpDef:
        return CustomOpDef(name, fn, mutates_args)
    return make if fn is None else make(fn)


def _found(op: str | CustomOpDef) -> CustomOpDef:
    if isinstance(op, CustomOpDef):
        return op
    if op not in _known:
        raise RuntimeError(f"operator {op} does not exist: torch.library.custom_op makes it")
    return _known[op]


def register_autograd(op: str | CustomOpDef, backward: Callable, /, *, setup_context: Callable | None = None,
                      lib: Any = None) -> None:
    """Register the gradient of an operator."""
    _found(op).register_autograd(backward, setup_context=setup_context)


def register_fake(op: str | CustomOpDef, func: Callable | None = None, /, *, lib: Any = None,
                  _stacklevel: int = 1, allow_override: bool = False) -> Any:
    """Register what an operator does to meta tensors; a decorator without `func`."""
    return _found(op).register_fake if func is None else _found(op).register_fake(func)


def register_kernel(op: str | CustomOpDef, device_types: Any, func: Callable | None = None, /, *,
                    lib: Any = None) -> Any:
    """Register an operator's function for tensors of these devices; a decorator without `func`."""
    return _found(op).register_kernel(device_types, func)
