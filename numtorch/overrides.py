"""torch.overrides: classes that answer for functions themselves, by the `__torch_function__` protocol.

While no class overrides anything, public functions do not look for overrides at all. The first subclass of
Tensor that is defined (or the first TorchFunctionMode that is entered) puts an Overridable around every
public function and method; from then on each call asks the types of its arguments first. A class that is no
Tensor is asked too, once that has happened."""
from __future__ import annotations

import functools
import threading
import types as _types
from collections.abc import Callable, Iterable
from typing import Any

from .tensor import Tensor


class _State(threading.local):
    """`disabled`: no class is asked (1) and no mode either (2); `modes`: those entered, innermost last."""

    disabled = 0

    def __init__(self) -> None:
        self.modes: list[TorchFunctionMode] = []


_state = _State()
_PLAIN = frozenset({Tensor, int, float, bool, complex, str, type(None)})


class DisableTorchFunctionSubclass:
    """Context in which classes are not asked: a `__torch_function__` calls the function itself in it."""

    level = 1

    def __enter__(self) -> None:
        self.before = _state.disabled
        _state.disabled = max(self.level, self.before)

    def __exit__(self, *exc) -> None:
        _state.disabled = self.before


class DisableTorchFunction(DisableTorchFunctionSubclass):
    """Context in which neither classes nor modes are asked."""

    level = 2


def disabled_torch_function(func, types, args=(), kwargs=None):
    """The `__torch_function__` of classes that do not override: Parameter's, for one."""
    with DisableTorchFunctionSubclass():
        return func(*args, **(kwargs or {}))


def _overrides(kind: type) -> bool:
    answer = getattr(kind, "__torch_function__", None)
    return answer is not None and answer is not disabled_torch_function


def _asked(values: Iterable) -> list:
    """Of the values (and of the lists and tuples among them) one of each overriding type: subclasses first,
    else from left to right."""
    found: list = []
    for v in values:
        kind = type(v)
        if kind in _PLAIN:
            continue
        for w in v if kind is list or kind is tuple else (v,):
            k = type(w)
            if k in _PLAIN or any(type(f) is k for f in found) or not _overrides(k):
                continue
            at = next((i for i, f in enumerate(found) if issubclass(k, type(f))), len(found))
            found.insert(at, w)
    return found


def has_torch_function(relevant_args: Iterable) -> bool:
    """Whether one of the arguments has a type that overrides functions, or a mode is in force."""
    if _state.modes and _state.disabled < 2:
        return True
    return not _state.disabled and bool(_asked(relevant_args))


def has_torch_function_unary(obj) -> bool:
    """has_torch_function of one argument."""
    return has_torch_function((obj,))


def has_torch_function_variadic(*args) -> bool:
    """has_torch_function of arguments given one by one."""
    return has_torch_function(args)


def is_tensor_like(inp) -> bool:
    """Whether inp is a Tensor, or of a type that overrides functions."""
    return isinstance(inp, Tensor) or hasattr(type(inp), "__torch_function__")


def handle_torch_function(public_api: Callable, relevant_args: Iterable, *args, **kwargs) -> Any:
    """What the modes and types of the arguments answer for `public_api(*args, **kwargs)`.

    TypeError where all of them return NotImplemented."""
    got = _answer(public_api, relevant_args, args, kwargs)
    if got is NotImplemented:
        name = resolve_name(public_api) or getattr(public_api, "__name__", str(public_api))
        raise TypeError(f"Multiple dispatch failed for '{name}'; all __torch_function__ handlers returned "
                        "NotImplemented:\n\n" + "".join(f"  - tensor subclass {type(a)}\n"
                                                        for a in _asked(relevant_args)))
    return got


def _answer(public_api: Callable, relevant_args: Iterable, args: tuple, kwargs: dict) -> Any:
    """The first answer of a mode or a type that is not NotImplemented."""
    given = kwargs or None
    asked = [] if _state.disabled else _asked(relevant_args)
    kinds = tuple(type(a) for a in asked)
    if _state.modes and _state.disabled < 2:
        mode = _state.modes.pop()
        try:
            got = mode.__torch_function__(public_api, kinds, args, given)
        finally:
            _state.modes.append(mode)
        if got is not NotImplemented:
            return got
    for a in asked:
        got = a.__torch_function__(public_api, kinds, args, given)
        if got is not NotImplemented:
            return got
    return NotImplemented


def wrap_torch_function(dispatcher: Callable) -> Callable:
    """Make a function overridable: `dispatcher`, called like it, returns the arguments to be asked."""
    def decorate(func: Callable) -> Callable:
        @functools.wraps(func)
        def wrapped(*args, **kwargs):
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return func(*args, **kwargs)
        return wrapped
    return decorate


# ------------------------------------------------------------------------------------- the public functions
class Overridable:
    """A public function that asks its arguments' types before it runs. Equal to the function it stands for,
    so that tables made before find it."""

    def __init__(self, fn: Callable, name: str, public: Overridable | None = None):
        functools.update_wrapper(self, fn)
        self.__name__, self.fn, self.public = name, fn, public or self
        self.operator = name in _OPERATORS  # these return NotImplemented, for Python to ask the other operand

    def __call__(self, *args, **kwargs):
        s = _state
        if s.disabled < 2 and (s.modes or not s.disabled):
            relevant = (*args, *kwargs.values()) if kwargs else args
            if s.modes or _asked(relevant):
                if self.operator:
                    return _answer(self.public, relevant, args, kwargs)
                return handle_torch_function(self.public, relevant, *args, **kwargs)
        return self.fn(*args, **kwargs)

    def __get__(self, obj, kind=None):
        return self if obj is None else _types.MethodType(self, obj)

    def __eq__(self, other) -> bool:
        return self.fn is (other.fn if isinstance(other, Overridable) else other)

    def __hash__(self) -> int:
        return hash(self.fn)

    def __repr__(self) -> str:
        return f"<overridable {self.fn!r}>"


_OPERATORS = {f"__{p}{o}__" for p in ("", "r") for o in (
    "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift lt le gt ge eq ne").split()}
_INTERNAL = {"alias", "as_subclass", "watch"}
_DUNDERS = ("__len__", "__contains__", "__repr__", "__format__", "__deepcopy__", "__reduce_ex__", "__array__",
            "__getitem__", "__setitem__", "__bool__", "__float__", "__int__",
            "__index__", "__complex__", "__dlpack__")
_PROPERTIES = ("T", "mT", "H", "mH", "real", "imag", "data")
_armed = False


def arm() -> None:
    """Put an Overridable around every public function and method, once."""
    global _armed
    if _armed:
        return
    _armed = True
    from . import ops
    for name, fn in list(vars(Tensor).items()):
        if isinstance(fn, _types.FunctionType) and (
                not name.startswith("_") and name not in _INTERNAL or name in _DUNDERS):
            setattr(Tensor, name, Overridable(fn, name))
    inplace = {m: (d,) for m, d in ops._INPLACE_DUNDERS.items()}
    for method, dunders in {**ops._DUNDERS, **inplace}.items():
        for dunder in dunders:
            own = method in ("eq", "ne", "floor_divide")  # PyTorch passes the operator itself
            setattr(Tensor, dunder, Overridable(vars(Tensor)[dunder], dunder,
                                                None if own else vars(Tensor).get(method)))
    for dunder in ("__rsub__", "__rtruediv__", "__rpow__", "__rfloordiv__", "__rlshift__", "__rrshift__",
                   "__rmod__", "__rmatmul__", "__invert__"):
        if dunder in vars(Tensor):
            setattr(Tensor, dunder, Overridable(vars(Tensor)[dunder], dunder))
    for name in _PROPERTIES:
        p = vars(Tensor)[name]
        setattr(Tensor, name, property(Overridable(p.fget, "__get__"), p.fset, p.fdel, p.__doc__))
    for space, module in _namespaces().items():
        for name in ops.names[space]:
            fn = vars(module).get(name)
            if isinstance(fn, _types.FunctionType) and name != "tensor":
                setattr(module, name, Overridable(fn, name))
    from . import autograd
    for name in ("backward", "grad"):
        setattr(autograd, name, Overridable(getattr(autograd, name), name))


def _namespaces() -> dict[str, _types.ModuleType]:
    import numtorch

    from . import fft, linalg, special
    from .nn import functional
    return {"torch": numtorch, "nn.functional": functional, "linalg": linalg, "fft": fft, "special": special}


def _converted(ret, cls: type):
    if isinstance(ret, Tensor):
        return ret if isinstance(ret, cls) else ret.as_subclass(cls)
    if isinstance(ret, tuple | list):
        parts = [_converted(r, cls) for r in ret]
        return type(ret)(*parts) if hasattr(ret, "_fields") else type(ret)(parts)
    return ret


def torch_function(cls, func, types, args=(), kwargs=None):
    """The default of Tensor subclasses: run the function; tensors that it returns get this class.

    NotImplemented where an argument's type is no superclass of this one."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        return _converted(func(*args, **(kwargs or {})), cls)


def _init_subclass(cls, **kwargs) -> None:
    super(Tensor, cls).__init_subclass__(**kwargs)
    if _overrides(cls):
        arm()


Tensor.__torch_function__ = classmethod(torch_function)  # type: ignore[attr-defined]
Tensor.__init_subclass__ = classmethod(_init_subclass)  # type: ignore[assignment]


class TorchFunctionMode:
    """A context in which `__torch_function__` of this object is asked for every public function first.

    Inside it the mode is off; calling `func(*args, **kwargs)` runs the function."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        raise NotImplementedError("subclasses of TorchFunctionMode define __torch_function__")

    def __enter__(self):
        arm()
        _state.modes.append(self)
        return self

    def __exit__(self, *exc) -> None:
        _state.modes.pop()


class BaseTorchFunctionMode(TorchFunctionMode):
    """The mode that changes nothing."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


# ------------------------------------------------------------------------------------------------ questions
def get_overridable_functions() -> dict[Any, list[Callable]]:
    """The functions that can be overridden, by the module or class that holds them."""
    from . import ops
    table: dict[Any, list[Callable]] = {
        module: [vars(module)[n] for n in ops.names[space] if callable(vars(module).get(n))]
        for space, module in _namespaces().items()}
    table[Tensor] = [v for n, v in vars(Tensor).items() if callable(v) and not n.startswith("_")]
    return table


def get_ignored_functions() -> set[Callable]:
    """Functions that ask nobody: they take no tensors, or make them."""
    import numtorch as t
    names = ("typename is_tensor is_storage set_default_device set_default_dtype get_default_dtype "
             "manual_seed initial_seed set_rng_state get_rng_state save load set_printoptions no_grad "
             "enable_grad set_grad_enabled is_grad_enabled promote_types can_cast result_type").split()
    return {getattr(t, n) for n in names}


def get_default_nowrap_functions() -> set[Callable]:
    """Functions whose results the default `__torch_function__` leaves as they are."""
    return {vars(Tensor)["grad"].fget}


def get_testing_overrides() -> dict[Callable, Callable]:
    """For every overridable function one that takes the same arguments and returns −1."""
    def dummy(fn: Callable) -> Callable:
        @functools.wraps(fn)
        def call(*args, **kwargs):
            return -1
        return call
    return {fn: dummy(fn) for fns in get_overridable_functions().values() for fn in fns}


def is_tensor_method_or_property(func: Callable) -> bool:
    """Whether func is a method of Tensor or the getter of one of its properties."""
    return any(func == (v.fget if isinstance(v, property) else v) for v in vars(Tensor).values()
               if isinstance(v, property) or callable(v)) or getattr(func, "__name__", "") == "__get__"


def resolve_name(f: Callable) -> str | None:
    """'torch.add', 'torch.Tensor.add', …: where the public function f is found; None where nowhere."""
    name = getattr(f, "__name__", "")
    for space, module in _namespaces().items():
        if vars(module).get(name) is f:
            return f"torch.{name}" if space == "torch" else f"torch.{space}.{name}"
    for key, v in vars(Tensor).items():
        if v is f:
            return f"torch.Tensor.{key}"
    return _paths().get(id(f.fn if isinstance(f, Overridable) else f))


@functools.cache
def _paths() -> dict[int, str]:
    """Where each public function is found, by the identity of the function itself."""
    from . import ops
    found: dict[int, str] = {}
    for space, module in _namespaces().items():
        for name in ops.names[space]:
            fn = vars(module).get(name)
            fn = fn.fn if isinstance(fn, Overridable) else fn
            if isinstance(fn, _types.FunctionType):
                found.setdefault(id(fn), f"torch.{name}" if space == "torch" else f"torch.{space}.{name}")
    return found
