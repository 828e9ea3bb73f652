"""Sizes that vary: documents of one graph at several sizes become one document in which numbers are
polynomials.

A batch of n images makes shapes, strides and counts that are polynomials in n (with integer values). They are
found by tracing at a few sizes and interpolating exactly, and checked at further ones; where a number is no
such polynomial (a division that rounds), the size cannot vary."""
from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

MOST = 3       # the degree of a monomial; 2 in one symbol (attention scores are quadratic in the length)


class Differs(Exception):
    """Two sizes make different graphs."""


def monomials(symbols: int) -> list[tuple[int, ...]]:
    """Exponents of the monomials that a size may be a sum of."""
    return [e for e in itertools.product(range(3), repeat=symbols) if sum(e) <= MOST]


def points(first: Sequence[int], last: Sequence[int]) -> list[tuple[int, ...]]:
    """Sizes to trace at, from `first` (four of them in a row, where division that rounds shows) to `last`: as
    many as there are monomials, in general position, and some to check by."""
    basis = monomials(len(first))
    rows: list[list[Fraction]] = []
    found: list[tuple[int, ...]] = []
    for steps in sorted(itertools.product(range(4), repeat=len(first)), key=lambda d: (sum(d), d)):
        p = tuple([n + d for n, d in zip(first, steps)])
        row = [Fraction(power(p, e)) for e in basis]
        for r in rows:
            lead = next(i for i, v in enumerate(r) if v)
            if row[lead]:
                f = row[lead] / r[lead]
                row = [a - f * b for a, b in zip(row, r)]
        if any(row):
            rows.append(row)
            found.append(p)
        if len(found) == len(basis):
            break
    return found + [p for p in (tuple(last), tuple([n + 3 for n in first])) if p not in found]


def ranges(example: Sequence[int], least: Sequence[int],
           most: Sequence[int | None]) -> list[tuple[list, list]]:
    """Where to trace, (first, last) sizes: above the example, or below it where the function takes no larger
    sizes. ValueError where a range holds too few sizes to tell."""
    up: tuple[list, list] = ([], [])
    down: tuple[list, list] = ([], [])
    for n, a, b in zip(example, least, most):
        low = max(a, 2)
        if b is not None and b < low + 4:
            raise ValueError(f"a size from {a} to {b} varies too little to be told from a fixed one")
        top = max(n, low) if b is None else min(max(n, low), b - 4)
        up[0].append(top)
        up[1].append(2 * top + 5 if b is None else min(2 * top + 5, b))
        down[0].append(low)
        down[1].append(max(n, low + 4))
    return [up, down]


def power(sizes: Sequence[int], exponents: Sequence[int]) -> int:
    """Π sizes[i] ** exponents[i]."""
    out = 1
    for n, e in zip(sizes, exponents):
        out *= n**e
    return out


class Fit:
    """Interpolation over fixed points."""

    def __init__(self, at: Sequence[tuple[int, ...]]):
        self.at, self.basis = list(at), monomials(len(at[0]))
        n = len(self.basis)
        rows = [[Fraction(power(p, e)) for e in self.basis] + [Fraction(i == j) for j in range(n)]
                for i, p in enumerate(self.at[:n])]
        for i in range(n):
            k = next(k for k in range(i, n) if rows[k][i])
            rows[i], rows[k] = rows[k], rows[i]
            lead = rows[i][i]
            rows[i] = [v / lead for v in rows[i]]
            for k in range(n):
                if k != i and rows[k][i]:
                    f = rows[k][i]
                    rows[k] = [a - f * b for a, b in zip(rows[k], rows[i])]
        self.inverse = [r[n:] for r in rows]
        self.known: dict[tuple[int, ...], dict | None] = {}

    def poly(self, values: tuple[int, ...]) -> dict | None:
        """{"poly": [[numerator, denominator, exponents], …]} through these values, or None."""
        if values not in self.known:
            terms = []
            for e, row in zip(self.basis, self.inverse):
                c = sum([a * v for a, v in zip(row, values)], Fraction(0))
                if c:
                    terms.append([c.numerator, c.denominator, list(e)])
            found = {"poly": terms}
            fits = all(evaluate(found, p) == v for p, v in zip(self.at, values))
            self.known[values] = found if fits else None
        return self.known[values]

    def join(self, docs: Sequence[Any]) -> Any:
        """One document for all; Differs where there is none."""
        first = docs[0]
        kind = type(first)
        if any(type(d) is not kind for d in docs):
            raise Differs(f"{first!r} becomes another type of value")
        if kind is list:
            if any(len(d) != len(first) for d in docs):
                raise Differs("the number of operations or dimensions changes")
            return [self.join([d[i] for d in docs]) for i in range(len(first))]
        if kind is dict:
            if any(d.keys() != first.keys() for d in docs):
                raise Differs("operations change")
            if "float" in first and len(first) == 1:
                return self.float([d["float"] for d in docs])
            return {k: self.join([d[k] for d in docs]) for k in first}
        if all(d == first for d in docs):
            return first
        if kind is int:
            found = self.poly(tuple(docs))
            if found is not None:
                return found
        raise Differs(f"{first!r} becomes {next(d for d in docs if d != first)!r}")

    def float(self, texts: Sequence[str]) -> dict:
        """A float that is the same, a size, or one over a size."""
        if all(t == texts[0] for t in texts):
            return {"float": texts[0]}
        values = [float.fromhex(t) for t in texts]
        if all(v.is_integer() for v in values):
            found = self.poly(tuple([int(v) for v in values]))
            if found is not None:
                return {"float": found}
        if all(v and 1 / round(1 / v) == v for v in values if abs(v) <= 1) and all(0 < abs(v) <= 1
                                                                                   for v in values):
            found = self.poly(tuple([round(1 / v) for v in values]))
            if found is not None:
                return {"float": {"over": found}}
        raise Differs(f"the number {values[0]} becomes {values[1]}")


def evaluate(poly: dict, sizes: Sequence[int]) -> int:
    """The value of a polynomial. ValueError where it is no integer."""
    total = Fraction(0)
    for num, den, e in poly["poly"]:
        if type(num) is not int or len(e) != len(sizes) or not all(type(n) is int and 0 <= n <= 2 for n in e):
            raise ValueError("a size is malformed")
        total += Fraction(num * power(sizes, e), den)
    if total.denominator != 1:
        raise ValueError(f"a size is {total} for sizes {list(sizes)}")
    return total.numerator


def at(doc: Any, sizes: Sequence[int]) -> Any:
    """The document for given sizes."""
    if type(doc) is list:
        return [at(d, sizes) for d in doc]
    if type(doc) is dict:
        if "poly" in doc:
            return evaluate(doc, sizes)
        if "over" in doc:
            return (1 / evaluate(doc["over"], sizes)).hex()
        if "float" in doc and type(doc["float"]) is dict:
            v = at(doc["float"], sizes)
            return {"float": v if type(v) is str else float(v).hex()}
        return {k: at(d, sizes) for k, d in doc.items()}
    return doc


def vary(doc: Any) -> bool:
    """Whether a document has sizes that vary."""
    if type(doc) is dict:
        return "poly" in doc or any(vary(d) for d in doc.values())
    return type(doc) is list and any(vary(d) for d in doc)


def generalise(trace: Callable[[tuple[int, ...]], Any], where: Sequence[tuple[int, ...]]) -> Any:
    """The document of trace(sizes) for all sizes, from that at some. Differs where sizes make different
    graphs; what `trace` raises where it cannot run at one."""
    docs: list[Any] = []
    for p in where:
        docs.append(trace(p))
        if len(docs[-1]["graph"]["nodes"]) != len(docs[0]["graph"]["nodes"]):
            raise Differs("the number of operations changes")
    return Fit(where).join(docs)
