"""Entries of every operation, and the public surface made from them: functions, methods, in-place forms,
aliases."""
from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.modes import state
from ..dispatch import check_cast, check_inplace, registry
from ..dtypes import result_type
from ..kinds import Composite, Pointwise
from ..tensor import Tensor

MODULES = ("pointwise", "clamp", "view", "convert", "create", "reduce", "write", "join", "index", "sort",
           "scan", "linalg", "lapack", "factor", "random", "dropout", "special", "fft", "copies", "stats",
           "sample", "activation", "embedding", "conv", "pool", "norm", "loss", "attention", "padding",
           "rnn", "batch", "surface", "window")

# Other names of one entry: {namespace: {alias: entry}}.
ALIASES = {
    "torch Tensor": {
        "absolute": "abs", "arccos": "acos", "arcsin": "asin", "arctan": "atan", "arctan2": "atan2",
        "arccosh": "acosh", "arcsinh": "asinh", "arctanh": "atanh", "divide": "div", "multiply": "mul",
        "subtract": "sub", "negative": "neg", "true_divide": "div.true", "greater": "gt",
        "greater_equal": "ge", "less": "lt", "less_equal": "le", "not_equal": "ne", "fix": "trunc"},
    "torch": {"special_expit": "sigmoid"},
    "special": {"expit": "sigmoid", "psi": "digamma", "round": "round", "gammaln": "lgamma",
                "log_softmax": "log_softmax", "softmax": "softmax"},
    "Tensor": {"arctan2": "atan2"},
}

# Methods and the operators they stand behind.
_DUNDERS = {
    "add": ("__add__", "__radd__"), "mul": ("__mul__", "__rmul__"), "sub": ("__sub__",),
    "div": ("__truediv__",), "floor_divide": ("__floordiv__",), "remainder": ("__mod__",),
    "pow": ("__pow__",), "matmul": ("__matmul__",), "neg": ("__neg__",), "positive": ("__pos__",),
    "abs": ("__abs__",), "bitwise_and": ("__and__", "__rand__"), "bitwise_or": ("__or__", "__ror__"),
    "bitwise_xor": ("__xor__", "__rxor__"), "bitwise_left_shift": ("__lshift__",),
    "bitwise_right_shift": ("__rshift__",), "eq": ("__eq__",), "ne": ("__ne__",), "lt": ("__lt__",),
    "le": ("__le__",), "gt": ("__gt__",), "ge": ("__ge__",)}
_INPLACE_DUNDERS = {
    "add_": "__iadd__", "sub_": "__isub__", "mul_": "__imul__", "div_": "__itruediv__", "pow_": "__ipow__",
    "floor_divide_": "__ifloordiv__", "remainder_": "__imod__", "bitwise_and_": "__iand__",
    "bitwise_or_": "__ior__", "bitwise_xor_": "__ixor__", "bitwise_left_shift_": "__ilshift__",
    "bitwise_right_shift_": "__irshift__"}

# Tables in which an entry module lists plain functions, and the namespace each one fills.
TABLES = {"FUNCTIONS": "torch", "METHODS": "Tensor", "FUNCTIONAL": "nn.functional", "LINALG": "linalg",
          "FFT": "fft", "SPECIAL": "special"}
names: dict[str, dict[str, Any]] = {space: {} for space in TABLES.values()}


def public(space: str, name: str, fn: Any) -> None:
    names.setdefault(space, {})[name] = fn


def _fast(fn: Callable) -> Callable:
    """What stands behind a Tensor operator: NotImplemented for operands it does not know."""
    def operator(self, other):
        if isinstance(other, Tensor | int | float | complex | np.generic):
            return fn(self, other)
        return NotImplemented
    return operator


def _tensors_only(fn: Callable) -> Callable:
    """What stands behind an operator that numbers cannot take part in."""
    def operator(self, other):
        return fn(self, other) if isinstance(other, Tensor) else NotImplemented
    return operator


def _of_method(e: TypeError, name: str) -> TypeError:
    """An argument error in the words of the in-place method: self is not counted."""
    said = str(e)
    if not said.startswith(name + "(): argument '"):
        return e
    return TypeError(re.sub(r"\(position (\d+)\)", lambda m: f"(position {int(m[1]) - 1})",
                            name + "_" + said[len(name):], count=1))


def _by_copy(fn: Callable, name: str) -> Callable:
    """The in-place form of any op: its value, written back."""
    def inplace(self, *args, **kwargs):
        check_inplace(self, name)
        # On the tape the value is computed from a copy: rules that save the input keep it as it was.
        recorded = state.grad and any(isinstance(a, Tensor) and a.requires_grad for a in (self, *args))
        try:
            value = fn(self.clone() if recorded else self, *args, **kwargs)
        except NotImplementedError:  # a result that could not be stored is refused first
            check_cast(result_type(self, *[a for a in args if isinstance(a, Tensor | int | float | complex)]),
                       self.dtype)
            raise
        except TypeError as e:
            raise _of_method(e, name) from None
        check_cast(value.dtype, self.dtype)
        if value.layout.shape != self.layout.shape:
            raise RuntimeError(f"output with shape {list(self.layout.shape)} doesn't match the broadcast "
                               f"shape {list(value.layout.shape)}")
        return self.copy_(value)
    inplace.__name__ = inplace.__qualname__ = name + "_"
    inplace.__doc__ = f"In-place form of {name}."
    return inplace


def install() -> None:
    """Import every entry module and put the entries where users look for them."""
    modules = []
    for m in MODULES:
        try:
            modules.append(importlib.import_module("." + m, __name__))
        except ModuleNotFoundError as e:
            if e.name != f"{__name__}.{m}":
                raise
    for made in registry.values():
        for space in made.at:
            public(space, made.name, made.call)
    for module in modules:
        for table, space in TABLES.items():
            for name, fn in getattr(module, table, {}).items():
                public(space, name, fn)
    for spaces, aliases in ALIASES.items():
        for space in spaces.split():
            for alias, entry in aliases.items():
                if entry in registry:
                    public(space, alias, registry[entry].call)
    methods = names["Tensor"]
    for name, fn in list(methods.items()):
        op = getattr(fn, "op", None)
        inplace = name + "_"
        if op is None or inplace in methods or name.endswith("_"):
            continue
        if isinstance(op, Pointwise) and not op.free:
            methods[inplace] = op.inplace
        elif isinstance(op, Composite):
            methods[inplace] = _by_copy(fn, name)
    from . import surface, write
    methods.update(write.METHODS)
    for name in surface.IN_PLACE:
        public("torch", name + "_", methods.get(name + "_") or getattr(Tensor, name + "_"))
    for name, fn in methods.items():
        setattr(Tensor, name, fn)
    _operators()
    _properties()


def _properties() -> None:
    """T, mT, H, mH, real and imag."""
    from .pointwise import transposed_matrix
    from .view import imag, real
    transposed = registry["transpose"].call

    def assign(part):
        def write(self, value):
            return part(self).copy_(value) if isinstance(value, Tensor) else part(self).fill_(value)
        return write

    def reversed_dims(self):
        if self.ndim not in (0, 2):
            import warnings
            warnings.warn("The use of `x.T` on tensors of dimension other than 2 to reverse their shape is "
                          "deprecated and it will throw an error in a future release. Consider `x.mT` to "
                          "transpose batches of matrices or `x.permute(*torch.arange(x.ndim - 1, -1, -1))` "
                          "to reverse the dimensions of a tensor.", stacklevel=2)
        return transposed(self, 0, 1) if self.ndim == 2 else self.permute(tuple(range(self.ndim))[::-1])

    def matrix_transposed(self):
        return transposed_matrix(self, "mT", "This function is the identity in these cases.")

    def matrix_adjoint(self):
        return transposed_matrix(self, "mH", "Consider using x.conj().").conj()

    def hermitian(self):
        if self.ndim not in (0, 2):
            hint = " For batches of matrices, consider using tensor.mH" if self.ndim > 2 else ""
            raise RuntimeError("tensor.H is only supported on matrices (2-D tensors). Got "
                               f"{self.ndim}-D tensor.{hint}")
        return transposed(self, 0, 1).conj() if self.ndim == 2 else self

    made = {"T": property(reversed_dims), "mT": property(matrix_transposed), "H": property(hermitian),
            "mH": property(matrix_adjoint), "real": property(real, assign(real)),
            "imag": property(imag, assign(imag))}
    for name, attribute in made.items():
        setattr(Tensor, name, attribute)


def _operators() -> None:
    methods = names["Tensor"]
    for name, dunders in _DUNDERS.items():
        fn = methods.get(name)
        if fn is None:
            continue
        unary = name in ("neg", "positive", "abs")
        for dunder in dunders:
            setattr(Tensor, dunder, fn if unary else _tensors_only(fn) if name == "matmul" else _fast(fn))
    from . import pointwise as P
    # The commonest operators skip the composite's argument handling.
    Tensor.__add__ = Tensor.__radd__ = _operator(P.plus)
    Tensor.__mul__ = Tensor.__rmul__ = _operator(P.mul)
    Tensor.__truediv__ = _operator(P.true_div)
    Tensor.__rsub__ = _fast(lambda self, other: methods["rsub"](self, other))
    Tensor.__rtruediv__ = _fast(lambda self, other: P.reciprocal(self) * other)
    Tensor.__rpow__ = _fast(lambda self, other: P.power(other, self))
    Tensor.__rfloordiv__ = _fast(lambda self, other: P.floor_divide(other, self))
    Tensor.__rlshift__ = _fast(lambda self, other: P.bitwise_left_shift(other, self))
    Tensor.__rrshift__ = _fast(lambda self, other: P.bitwise_right_shift(other, self))
    Tensor.__rmod__ = _fast(lambda self, other: P.remainder(other, self))
    for name, dunder in _INPLACE_DUNDERS.items():
        setattr(Tensor, dunder, methods[name])


def _operator(fn: Callable) -> Callable:
    def operator(self, other):
        try:
            return fn(self, other)
        except TypeError:
            if isinstance(other, Tensor | int | float | complex | np.generic):
                raise
            return NotImplemented
    return operator
