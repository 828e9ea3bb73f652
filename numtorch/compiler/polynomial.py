"""Polynomials with integer coefficients in quantities that are not known until a program runs.

Two expressions for the same size come out as the same polynomial, so that most questions about sizes (are
they equal, is one larger) are answered without knowing them."""
from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Callable, Mapping
from math import gcd, prod
from types import MappingProxyType

_serials = itertools.count()


class Atom:
    """A quantity that is given when the program runs, or `fn` of polynomials. `low`: what it is at least."""

    __slots__ = ("fn", "args", "low", "serial", "__weakref__")

    def __init__(self, fn: Callable | None = None, args: tuple[Polynomial, ...] = (), low: int | None = None):
        self.fn, self.args, self.low, self.serial = fn, args, low, next(_serials)

    def text(self, names: Mapping[Atom, str]) -> str:
        """For people; `names` of what is given."""
        if self.fn is not None:
            return f"{self.fn.__name__}({', '.join([p.text(names) for p in self.args])})"
        return names.get(self, f"s{self.serial}")


_composed: weakref.WeakValueDictionary[tuple, Atom] = weakref.WeakValueDictionary()


def composed(fn: Callable, args: tuple[Polynomial, ...], low: int | None) -> Polynomial:
    """fn(args) as a quantity of its own; the same one where that was asked before."""
    atom = _composed.get((fn, args))
    if atom is None:
        atom = _composed[fn, args] = Atom(fn, args, low)
    return Polynomial.of(atom)


Term = tuple[Atom, ...]  # a product of atoms, in the order of their serial numbers


class Polynomial:
    """A sum of products. `terms`: product → coefficient, none of them 0."""

    __slots__ = ("terms", "_hash", "_least")

    def __init__(self, terms: Mapping[Term, int]):
        self.terms = {t: c for t, c in terms.items() if c}
        self._hash: int | None = None
        self._least: tuple[int | None] | None = None

    @staticmethod
    def of(value: int | Atom) -> Polynomial:
        return Polynomial({(value,): 1} if isinstance(value, Atom) else {(): value})

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.terms.items()))
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or type(other) is Polynomial and self.terms == other.terms

    def text(self, names: Mapping[Atom, str] = MappingProxyType({})) -> str:
        """For people; `names` of what is given."""
        out = ""
        for t, c in sorted(self.terms.items(), key=lambda term: (-len(term[0]), _order(term))):
            parts = [*([str(abs(c))] if abs(c) != 1 or not t else []), *[a.text(names) for a in t]]
            out += (" - " if c < 0 else " + ") + "*".join(parts)
        return (out[3:] if out.startswith(" +") else "-" + out[3:]) or "0"

    __repr__ = text

    @property
    def constant(self) -> int | None:
        """Its value, where it has one."""
        return None if any(self.terms) else self.terms.get((), 0)

    @property
    def atoms(self) -> set[Atom]:
        """The quantities it is made of, down to those that are given."""
        found: set[Atom] = set()
        for a in set(itertools.chain.from_iterable(self.terms)):
            found.update({a} if a.fn is None else itertools.chain.from_iterable(p.atoms for p in a.args))
        return found

    def __add__(self, other: Polynomial) -> Polynomial:
        terms = dict(self.terms)
        for t, c in other.terms.items():
            terms[t] = terms.get(t, 0) + c
        return Polynomial(terms)

    def __mul__(self, other: Polynomial) -> Polynomial:
        terms: dict[Term, int] = {}
        for t, c in self.terms.items():
            for u, d in other.terms.items():
                v = tuple(sorted(t + u, key=_serial)) if t and u else t or u
                terms[v] = terms.get(v, 0) + c * d
        return Polynomial(terms)

    def scaled(self, k: int) -> Polynomial:
        return Polynomial({t: c * k for t, c in self.terms.items()})

    def __neg__(self) -> Polynomial:
        return self.scaled(-1)

    def __sub__(self, other: Polynomial) -> Polynomial:
        return self + other.scaled(-1)

    def over(self, other: Polynomial) -> Polynomial | None:
        """The polynomial q with q * other == self, where there is one."""
        rest, quotient = self, Polynomial({})
        lead, by = max(other.terms.items(), key=_order, default=((), 0))
        for _ in range(64):
            if not rest.terms:
                return quotient
            t, c = max(rest.terms.items(), key=_order)
            left = list(t)
            for a in lead:
                if a not in left:
                    return None
                left.remove(a)
            if not by or c % by:
                return None
            step = Polynomial({tuple(left): c // by})
            quotient, rest = quotient + step, rest - step * other
        return None

    @property
    def least(self) -> int | None:
        """A number that it is never below, where its form tells one: as a sum of products of what its atoms
        are more than they are at least."""
        if self._least is None:
            moved: dict[Term, int] = {}
            known = all(a.low is not None for t in self.terms for a in t)
            for t, c in self.terms.items() if known else ():
                for some in itertools.product(*[(True, False)] * len(t)):
                    rest = tuple([a for a, stays in zip(t, some) if stays])
                    low = prod([a.low or 0 for a, stays in zip(t, some) if not stays])
                    moved[rest] = moved.get(rest, 0) + c * low
            constant = moved.pop((), 0)
            self._least = (constant if known and all(c >= 0 for c in moved.values()) else None,)
        return self._least[0]

    @property
    def negative(self) -> bool | None:
        """Whether it is below 0, where its form tells."""
        if self.least is not None and self.least >= 0:
            return False
        most = (-self).least
        return True if most is not None and most > 0 else None

    @property
    def zero(self) -> bool | None:
        """Whether it is 0, where its form tells."""
        if not self.terms:
            return True
        below, above = self.least, (-self).least
        return False if (below is not None and below > 0) or (above is not None and above > 0) else None

    def reduced(self) -> Polynomial:
        """It divided by the greatest whole number that divides all its coefficients."""
        g = gcd(*self.terms.values()) if self.terms else 1
        return self if g <= 1 else Polynomial({t: c // g for t, c in self.terms.items()})

    def at(self, known: Mapping[Atom, int]) -> int:
        """Its value for values of what is given."""
        total = 0
        for t, c in self.terms.items():
            for a in t:
                c *= known[a] if a.fn is None else a.fn(*[p.at(known) for p in a.args])
            total += c
        return total


def _serial(a: Atom) -> int:
    return a.serial


def _order(term: tuple[Term, int]) -> tuple:
    return len(term[0]), [a.serial for a in term[0]]


def floordiv(a: int, b: int) -> int:
    """a // b."""
    return a // b


@functools.lru_cache(4096)
def divided(a: Polynomial, b: Polynomial) -> Polynomial:
    """a // b rounded down, for a divisor that is not 0: a polynomial where it is one for every value."""
    found = a.over(b)
    if found is not None:
        return found
    by = b.constant
    if by is not None and by > 0:   # (by * q + r) // by == q + r // by
        whole = Polynomial({t: c // by for t, c in a.terms.items() if t and c % by == 0})
        rest = a - whole.scaled(by)
        if rest.constant is not None:
            return whole + Polynomial.of(rest.constant // by)
        a, extra = rest, whole
    else:
        extra = Polynomial({})
    positive = a.negative is False and b.negative is False
    return extra + composed(floordiv, (a, b), 0 if positive else None)
