"""Python numbers that a trace follows: a learning rate, a step count, a size, what item() read.

A Number stands for a float or an int and remembers how it was computed, so that a replay computes it again
from what it finds. Code that decides by it (a comparison, int(), formatting) adds a guard: the entry then
holds only where that comes out the same.

`isinstance` takes a Number for the int or float that it stands for, but Python's own C code does not: it asks
`__index__` or `__float__`, and so nothing uses the value of a Number unseen. (Of a subclass of int, range()
and list[i] would take it without asking.)"""
from __future__ import annotations

import collections
import contextlib
import gc
import math
import operator
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .. import layouts
from ..autograd.modes import state
from ..kinds.pointwise import PLAIN
from .environment import alike
from .polynomial import Atom, Polynomial, divided

# Code that looks things up by shapes that may vary: to it two of them are the same if their expressions are.
BY_FORM = {layouts.contiguous.__code__, layouts.Layout.key.fget.__code__,  # type: ignore[attr-defined]
           layouts.Layout.__hash__.__code__}


class Float:
    """A float: `expr` is the Atom that it is, or the (function, operands) that made it."""

    __slots__ = ("value", "expr")

    def __init__(self, value: float, expr: Any):
        self.value, self.expr = value, expr
        if state.lazy is not None:
            state.lazy.varying.append(self)

    __class__: Any = property(lambda self: float)

    def __hash__(self) -> int:
        return hash(specialised(self))

    def __neg__(self) -> Any:
        return applied(operator.neg, self)

    def __abs__(self) -> Any:
        return applied(abs, self)


class Int:
    """An int: a polynomial in what varies."""

    __slots__ = ("value", "form")

    def __init__(self, value: int, form: Polynomial):
        self.value, self.form = value, form
        if state.lazy is not None:
            state.lazy.varying.append(self)

    __class__: Any = property(lambda self: int)

    def __hash__(self) -> int:
        return hash(self.form) if sys._getframe(1).f_code in BY_FORM else hash(specialised(self))

    def __bool__(self) -> bool:
        return not zero(self.form, self.value)

    def __neg__(self) -> Any:
        return integer(-self.value, self.form.scaled(-1))

    def __abs__(self) -> Any:
        return -self if below(self.form, self.value) else self

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __round__(self, ndigits: int | None = None) -> Any:
        return self if ndigits is None or ndigits >= 0 else round(specialised(self), ndigits)

    def __trunc__(self) -> Any:
        return self

    __floor__ = __ceil__ = __trunc__
    numerator = property(__trunc__)


def varies(v: Any) -> bool:
    """Whether v is a Number."""
    return type(v) is Float or type(v) is Int


def follow(value: Any, atom: Atom) -> Any:
    """`value` as the Number that an atom stands for; other types (bool, complex) as they are."""
    if type(value) is float:
        return Float(value, atom)
    return Int(value, Polynomial.of(atom)) if type(value) is int else value


def integer(value: int, form: Polynomial) -> Any:
    """A number of that form: a Number unless it is always the same."""
    return value if form.constant is not None else Int(value, form)


def plain(v: Any) -> Any:
    """The number without its expression."""
    return v.value if type(v) is Float or type(v) is Int else v


def form(v: Any) -> Polynomial:
    """An int as a polynomial."""
    return v.form if type(v) is Int else Polynomial.of(int(v))


def evaluate(v: Any, known: dict[Any, Any]) -> Any:
    """The value of a Number for a replay. `known`: values of atoms, and of expressions that are done, by the
    id of the expression."""
    if type(v) is Int:
        return v.form.at(known)
    if type(v) is not Float:
        return v
    if type(v.expr) is Atom:
        return known[v.expr]
    found = known.get(id(v.expr))
    if found is None:
        fn, *args = v.expr
        found = known[id(v.expr)] = fn(*[evaluate(a, known) for a in args])
    return found


def atom_of(v: Any) -> Atom:
    """The atom that a Number made by `follow` is."""
    return v.expr if type(v) is Float else next(iter(v.form.atoms))


def atoms(v: Any) -> set[Atom]:
    """What a Number is made of."""
    if type(v) is Int:
        return v.form.atoms
    if type(v) is not Float:
        return set()
    return {v.expr} if type(v.expr) is Atom else set().union(*map(atoms, v.expr[1:]))


SIGNS: dict[Callable, str] = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/", operator.floordiv: "//",
    operator.mod: "%", operator.pow: "**", operator.lt: "<", operator.le: "<=", operator.gt: ">",
    operator.ge: ">=", operator.eq: "==", operator.ne: "!="}


def formulas(numbers: Sequence[Any], sources: Mapping[Atom, str], guards: Iterable[str],
             decisions: Iterable[tuple], space: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """(text, what it names) of a function of `env` that gives the values of Numbers, or None where something
    is not as it was: a guard (a Python condition on env), or what traced code decided (decided()). `sources`:
    how atoms are read from env."""
    named = dict(space)
    terms = [f"({g})" for g in guards]
    known: dict[str, str] = {}

    def name(x: Any) -> str:
        found = f"c{len(named)}"
        named[found] = x
        return found

    def held(value: str) -> str:
        if value not in known:
            known[value] = f"v{len(known)}"
            terms.append(f"(({known[value]} := {value}) is not None)")
        return known[value]

    def call(fn: Callable, args: Sequence[Any]) -> str:
        texts = [text(a) for a in args]
        return f"{texts[0]} {SIGNS[fn]} {texts[1]}" if fn in SIGNS else f"{name(fn)}({', '.join(texts)})"

    def atom(a: Atom) -> str:
        return held(sources[a] if a.fn is None else f"{name(a.fn)}({', '.join(map(whole, a.args))})")

    def whole(p: Polynomial) -> str:
        return " + ".join(["*".join([f"({c})", *map(atom, t)]) for t, c in p.terms.items()]) or "0"

    def text(v: Any) -> str:
        if type(v) is Int:
            return held(whole(v.form))
        if type(v) is Float:
            return atom(v.expr) if type(v.expr) is Atom else held(call(v.expr[0], v.expr[1:]))
        return f"({v!r})" if type(v) in (int, bool) or type(v) is float and v - v == 0 else name(v)
    for fn, args, outcome in decisions:
        said = f"({call(fn, args)}) is {outcome}" if type(outcome) is bool else \
            f"{name(alike)}({call(fn, args)}, {name(outcome)})"
        if said not in terms:
            terms.append(said)
    out = [text(v) for v in numbers]
    return f"lambda env: [{', '.join(out)}] if {' and '.join(terms) or True} else None", named


def computed(numbers: Sequence[Any],
             decisions: Sequence[tuple]) -> Callable[[Mapping[Any, Any]], list | None]:
    """A function that gives the values of Numbers for those of their atoms: evaluate() of all, made ready;
    None where a decision would be another one."""
    asked = [*numbers, *[a for _, args, _ in decisions for a in args]]
    found = sorted(set().union(*map(atoms, asked)), key=lambda a: a.serial)
    space = {f"a{i}": a for i, a in enumerate(found)}
    text, named = formulas(numbers, {a: f"env[{n}]" for n, a in space.items()}, (), decisions, space)
    return eval(text, named)


# -------------------------------------------------------------------------------------------- what is decided
def decided(fn: Callable, *args: Any) -> Any:
    """fn of plain numbers, which the traced code is about to act upon."""
    outcome = fn(*map(plain, args))
    if state.lazy is not None:
        state.lazy.decide(fn, args, outcome)
    return outcome


def below(p: Polynomial, value: int) -> bool:
    """Whether p < 0; its value tells what its form does not."""
    known = p.negative
    return decided(operator.lt, Int(value, p.reduced()), 0) if known is None else known


def zero(p: Polynomial, value: int) -> bool:
    """Whether p == 0."""
    known = p.zero
    if known is not None:
        return known
    p = p.reduced()
    if min(p.terms.items(), key=lambda t: [a.serial for a in t[0]])[1] < 0:  # p and -p are one question
        p, value = -p, -value
    return decided(operator.eq, Int(value, p), 0)


def specialised(v: Any) -> Any:
    """The plain number, on which everything now depends; of containers, with plain numbers in them."""
    if type(v) is Int:
        zero(v.form - Polynomial.of(v.value), 0)
        return v.value
    if type(v) is Float:
        return decided(itself, v)
    if type(v) in (list, tuple, layouts.Size):
        return type(v)([specialised(x) for x in v])
    return v


def itself(v: float) -> float:
    """What it is."""
    return v


# --------------------------------------------------------------------------------------------- arithmetic
def _whole(a: Any, b: Any) -> bool:
    return isinstance(a, int) and isinstance(b, int)


def _add(a: Any, b: Any) -> Any:
    return integer(plain(a) + plain(b), form(a) + form(b))


def _sub(a: Any, b: Any) -> Any:
    return integer(plain(a) - plain(b), form(a) - form(b))


def _mul(a: Any, b: Any) -> Any:
    return integer(plain(a) * plain(b), form(a) * form(b))


def _floordiv(a: Any, b: Any) -> Any:
    value = plain(a) // plain(b)
    zero(form(b), plain(b))
    return integer(value, divided(form(a), form(b)))


def _mod(a: Any, b: Any) -> Any:
    value = plain(a) % plain(b)
    zero(form(b), plain(b))
    return integer(value, form(a) - form(b) * divided(form(a), form(b)))


def _pow(a: Any, b: Any) -> Any:
    n = specialised(b)
    if type(a) is not Int:
        return a ** n
    if n < 0:
        return applied(operator.pow, a, n)
    out: Any = 1
    for _ in range(n):
        out = a * out
    return out


def applied(fn: Callable, *args: Any) -> Any:
    """fn of Numbers, as a Float where it is a float."""
    value = fn(*map(plain, args))
    return Float(value, (fn, *args)) if type(value) is float else decided(fn, *args)


def _binary(fn: Callable, whole: Callable | None, swapped: bool) -> Callable:
    def method(self: Any, other: Any, *modulus: Any) -> Any:
        if modulus or not isinstance(other, int | float | complex):
            return NotImplemented
        if isinstance(other, complex):
            self = specialised(self)
        a, b = (other, self) if swapped else (self, other)
        if whole is not None and _whole(a, b):
            return whole(a, b)
        return applied(fn, a, b)
    return method


def _compare(name: str) -> Callable:
    fn = getattr(operator, name)

    def method(self: Any, other: Any) -> Any:
        if not isinstance(other, int | float):
            return NotImplemented
        if not _whole(self, other):
            return decided(fn, self, other)
        a, b, x, y = form(self), form(other), plain(self), plain(other)
        if name in ("eq", "ne"):
            return zero(a - b, x - y) is (name == "eq")
        if name in ("lt", "ge"):
            return below(a - b, x - y) is (name == "lt")
        return below(b - a, y - x) is (name == "gt")
    return method


def _decide(fn: Callable) -> Callable:
    return lambda self, *args: decided(lambda v: fn(v, *args), self)


_METHODS: dict[str, tuple[Callable, Callable | None]] = {
    "add": (operator.add, _add), "sub": (operator.sub, _sub), "mul": (operator.mul, _mul),
    "truediv": (operator.truediv, None), "floordiv": (operator.floordiv, _floordiv),
    "mod": (operator.mod, _mod), "pow": (operator.pow, _pow)}
_KEPT = {*dir(object), "__getnewargs__", "__getformat__", "__setformat__", "from_bytes", "fromhex"}


def _install(kind: Any, base: Any) -> None:
    """What a number of type `base` can do."""
    def asked(name: str) -> Any:
        """Whatever is not followed is decided by the number's value."""
        fn = getattr(base, name)
        if not callable(fn):
            return property(lambda self: getattr(specialised(self), name))
        if base is float:
            return lambda self, *args: decided(lambda v: fn(v, *args), self)
        return lambda self, *args: fn(specialised(self), *args)

    def shown(fn: Callable) -> Callable:
        return lambda self, *args: fn(specialised(self), *args)
    methods: dict[str, Any] = {name: asked(name) for name in set(dir(base)) - _KEPT}
    for name, (fn, whole) in _METHODS.items():
        methods[f"__{name}__"], methods[f"__r{name}__"] = _binary(fn, whole, False), _binary(fn, whole, True)
    methods |= {f"__{name}__": _compare(name) for name in ("lt", "le", "gt", "ge", "eq", "ne")}
    methods |= {"__repr__": shown(repr), "__str__": shown(str), "__format__": shown(format),
                "__reduce_ex__": lambda self, protocol: (base, (specialised(self),)),
                "__array__": lambda self, dtype=None, copy=None: np.array(specialised(self), dtype),
                "__pos__": lambda self: self, "conjugate": lambda self: self,
                "real": property(lambda self: self)}
    for name, method in methods.items():
        if name not in vars(kind) or name in ("__eq__", "__repr__"):
            setattr(kind, name, method)


_install(Float, float)
_install(Int, int)
PLAIN.update((Float, Int))  # numbers that kernels take as they are

def release(numbers: list) -> None:
    """Put plain numbers where Numbers are still held: in dicts, lists, attributes, and in tuples in those."""
    work = [(n, plain(n)) for n in numbers]
    while work:
        new = {id(a): b for a, b in work}
        outer: list[tuple] = []
        known = [a for a, _ in work]
        mine = {id(x) for x in (numbers, work, known, new, outer)} | set(map(id, work))
        for holder in gc.get_referrers(*known):
            if id(holder) in mine:
                continue
            if isinstance(holder, dict):
                for k, v in list(holder.items()):
                    if id(v) in new:
                        dict.__setitem__(holder, k, new[id(v)])
            elif isinstance(holder, list | collections.deque):
                for i, v in enumerate(holder):
                    if id(v) in new:
                        holder[i] = new[id(v)]
            elif isinstance(holder, types.CellType):
                holder.cell_contents = new[id(holder.cell_contents)]
            elif isinstance(holder, tuple):
                outer.append((holder, tuple.__new__(type(holder), [new.get(id(v), v) for v in holder])))
            elif not varies(holder):
                for base in type(holder).__mro__:
                    for k, v in vars(base).items():
                        if isinstance(v, types.MemberDescriptorType) and id(getattr(holder, k, None)) in new:
                            setattr(holder, k, new[id(getattr(holder, k))])
        work = outer


_MATH = ("acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "erf", "erfc", "exp",
         "expm1", "fabs", "fmod", "gamma", "hypot", "lgamma", "log", "log10", "log1p", "log2", "pow", "sin",
         "sinh", "sqrt", "tan", "tanh", "degrees", "radians", "copysign")


@contextlib.contextmanager
def following() -> Iterator[None]:
    """While open, the functions of `math` give Numbers for Numbers."""
    before = {n: getattr(math, n) for n in _MATH}

    def wrapped(fn: Callable) -> Callable:
        return lambda *args: applied(fn, *args) if any(map(varies, args)) else fn(*args)
    try:
        for n, fn in before.items():
            setattr(math, n, wrapped(fn))
        yield
    finally:
        for n, fn in before.items():
            setattr(math, n, fn)
