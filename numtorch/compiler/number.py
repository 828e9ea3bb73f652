"""Python numbers that a trace follows: a learning rate, a step count, what item() read.

A Number is the float (or int) it stands for and remembers how it was computed, so that a replay computes it
again from what it finds. Code that decides by it (a comparison, int(), formatting) adds a guard: the entry
then holds only where that comes out the same."""
from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from ..autograd.modes import state
from ..kinds.pointwise import PLAIN


class Float(float):
    """A float with the expression `expr` = (function, operands) that made it."""

    expr: tuple


class Int(int):
    """An int with the expression that made it."""

    expr: tuple


def follow(value: Any, expr: tuple) -> Any:
    """`value` as a Number with that expression; other types (bool, complex) as they are."""
    if type(value) is float:
        n: Any = Float(value)
    elif type(value) is int:
        n = Int(value)
    else:
        return value
    n.expr = expr
    return n


def plain(v: Any) -> Any:
    """The number without its expression."""
    return float.__float__(v) if type(v) is Float else int.__int__(v) if type(v) is Int else v


def evaluate(v: Any, known: dict[int, Any]) -> Any:
    """The value of a Number for a replay. `known`: values of sources and of expressions that are done, by
    the id of the expression."""
    if type(v) is not Float and type(v) is not Int:
        return v
    found = known.get(id(v.expr))
    if found is None:
        fn, *args = v.expr
        found = known[id(v.expr)] = fn(*[evaluate(a, known) for a in args])
    return found


def decided(fn: Callable, *args: Any) -> Any:
    """fn of plain numbers, which the traced code is about to act upon."""
    outcome = fn(*map(plain, args))
    if state.lazy is not None:
        state.lazy.decisions.append((fn, args, outcome))
    return outcome


def _binary(fn: Callable, swapped: bool) -> Callable:
    def method(self: Any, other: Any, *modulus: Any) -> Any:
        if modulus or not isinstance(other, int | float):
            return NotImplemented
        a, b = (other, self) if swapped else (self, other)
        return follow(fn(plain(a), plain(b)), (fn, a, b))
    return method


def _unary(fn: Callable) -> Callable:
    return lambda self: follow(fn(plain(self)), (fn, self))


def _compare(fn: Callable) -> Callable:
    def method(self: Any, other: Any) -> Any:
        return decided(fn, self, other) if isinstance(other, int | float) else NotImplemented
    return method


def _decide(fn: Callable) -> Callable:
    return lambda self, *args: decided(lambda v: fn(v, *args), self)


_KEPT = {*dir(object), "__getnewargs__", "__getformat__", "__setformat__", "from_bytes", "fromhex", "imag",
         "numerator", "denominator"}
_kind: Any
_f: Any
for _kind in (Float, Int):
    # whatever else a number can do is decided by its value
    for _n in set(dir(_kind.__base__)) - _KEPT:
        if callable(getattr(_kind, _n)):
            setattr(_kind, _n, _decide(getattr(_kind.__base__, _n)))
    _kind.conjugate = _unary(operator.pos)
    _kind.real = property(lambda self: self)
    _names: dict[str, Any] = {
        "add": operator.add, "sub": operator.sub, "mul": operator.mul, "truediv": operator.truediv,
        "floordiv": operator.floordiv, "mod": operator.mod, "pow": operator.pow}
    for _n, _f in _names.items():
        setattr(_kind, f"__{_n}__", _binary(_f, False))
        setattr(_kind, f"__r{_n}__", _binary(_f, True))
    for _n, _f in {"neg": operator.neg, "pos": operator.pos, "abs": operator.abs}.items():
        setattr(_kind, f"__{_n}__", _unary(_f))
    for _n in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(_kind, f"__{_n}__", _compare(getattr(operator, _n)))
    for _n, _f in {"bool": bool, "int": int, "float": float, "hash": hash, "repr": repr, "str": str,
                   "format": format}.items():
        setattr(_kind, f"__{_n}__", _decide(_f))
PLAIN.update((Float, Int))  # numbers that kernels take as they are
