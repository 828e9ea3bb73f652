"""Constraints: sets of values that parameters must be in, or that samples are in. `check` says which are."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import Tensor, finfo, linalg, ones_like
from .. import cat as _join
from .. import stack as _pile

_Check = Callable[[Tensor], Tensor]


class Constraint:
    """A set of values: real or discrete, each value of `event_dim` dimensions."""

    is_discrete, event_dim = False, 0

    def check(self, value: Tensor) -> Tensor:
        """Which of the values are in the set: a bool tensor without the dimensions of a value."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return type(self).__name__[1:] + "()"


class _Dependent(Constraint):
    """A set that depends on other parameters: it cannot be checked."""

    def __init__(self, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def check(self, value: Tensor) -> Tensor:
        """ValueError."""
        raise ValueError("Cannot determine validity of dependent constraint")

    def __call__(self, *, is_discrete: bool = False, event_dim: int = 0) -> _Dependent:
        return _Dependent(is_discrete=is_discrete, event_dim=event_dim)


class dependent_property(property, _Dependent):
    """A property of a distribution that is a constraint."""

    def __init__(self, fn: Callable | None = None, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        super().__init__(fn)
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def __call__(self, fn: Callable) -> dependent_property:  # type: ignore[override]
        return dependent_property(fn, is_discrete=self.is_discrete, event_dim=self.event_dim)


def is_dependent(constraint: Any) -> bool:
    """Whether a constraint depends on other parameters."""
    return isinstance(constraint, _Dependent)


class independent(Constraint):
    """`reinterpreted_batch_ndims` more dimensions count as one value."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint, self.reinterpreted_batch_ndims = base_constraint, reinterpreted_batch_ndims
        self.is_discrete = base_constraint.is_discrete
        self.event_dim = base_constraint.event_dim + reinterpreted_batch_ndims

    def check(self, value: Tensor) -> Tensor:
        """Whether all entries of a value are in the base set."""
        result = self.base_constraint.check(value)
        n = self.reinterpreted_batch_ndims
        if result.ndim < n:
            raise ValueError(f"Expected value.dim() >= {self.event_dim} but got {value.ndim}")
        return result.reshape(*result.shape[:result.ndim - n], -1).all(-1) if n else result

    def __repr__(self) -> str:
        return f"IndependentConstraint({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


class _Range(Constraint):
    """Numbers between two bounds, or beyond one."""

    template = ""

    def __init__(self, *bounds: Any) -> None:
        self.bounds = bounds
        for name, b in zip(self.names, bounds):
            setattr(self, name, b)

    names: Sequence[str] = ()

    def __repr__(self) -> str:
        parts = ", ".join(f"{n}={b}" for n, b in zip(self.names, self.bounds))
        return f"{self.template}({parts})"


def _range(title: str, names: str, test: Callable, discrete: bool = False) -> type[_Range]:
    def check(self: _Range, value: Tensor) -> Tensor:
        inside = test(value, *self.bounds)
        return (value % 1 == 0) & inside if discrete else inside
    return type("_" + title, (_Range,), {"check": check, "names": names.split(), "template": title,
                                         "is_discrete": discrete})


greater_than = _range("GreaterThan", "lower_bound", lambda v, a: v > a)
greater_than_eq = _range("GreaterThanEq", "lower_bound", lambda v, a: v >= a)
less_than = _range("LessThan", "upper_bound", lambda v, b: v < b)
interval = _range("Interval", "lower_bound upper_bound", lambda v, a, b: (v >= a) & (v <= b))
half_open_interval = _range("HalfOpenInterval", "lower_bound upper_bound", lambda v, a, b: (v >= a) & (v < b))
integer_interval = _range("IntegerInterval", "lower_bound upper_bound", lambda v, a, b: (v >= a) & (v <= b),
                          True)
_integers = _range("IntegerGreaterThan", "lower_bound", lambda v, a: v >= a, True)


class _Simple(Constraint):
    """A set by a test of values."""

    def __init__(self, title: str, event_dim: int, test: _Check, discrete: bool = False) -> None:
        self.title, self.event_dim, self.test, self.is_discrete = title, event_dim, test, discrete

    def check(self, value: Tensor) -> Tensor:
        """What the test says."""
        return self.test(value)

    def __repr__(self) -> str:
        return self.title + "()"


def _is_lower(v: Tensor) -> Tensor:
    return (v.tril() == v).flatten(-2).all(-1)


def _is_cholesky(v: Tensor) -> Tensor:
    return _is_lower(v) & (v.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


def _is_correlation(v: Tensor) -> Tensor:
    unit = ((v * v).sum(-1) - 1).abs() < 10 * finfo(v.dtype).eps * v.shape[-1]
    return _is_cholesky(v) & unit.all(-1)


def _is_square(v: Tensor) -> Tensor:
    return ones_like(v[..., 0, 0]).bool() if v.shape[-1] == v.shape[-2] else ones_like(v[..., 0,
                                                                                         0]).bool().logical_not()


def _is_symmetric(v: Tensor) -> Tensor:
    if v.shape[-1] != v.shape[-2]:
        return _is_square(v)
    near = (v - v.mT).abs() <= 1e-6 + 1e-5 * v.mT.abs()
    return near.flatten(-2).all(-1)


dependent = _Dependent()
boolean = _Simple("Boolean", 0, lambda v: (v == 0) | (v == 1), True)
one_hot = _Simple("OneHot", 1, lambda v: ((v == 0) | (v == 1)).all(-1) & (v.sum(-1) == 1), True)
nonnegative_integer, positive_integer = _integers(0), _integers(1)
real = _Simple("Real", 0, lambda v: v == v)
real_vector = independent(real, 1)
positive, nonnegative = greater_than(0.0), greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)
simplex = _Simple("Simplex", 1, lambda v: (v >= 0).all(-1) & ((v.sum(-1) - 1).abs() < 1e-6))
lower_triangular, lower_cholesky = _Simple("LowerTriangular", 2, _is_lower), _Simple("LowerCholesky", 2,
                                                                                     _is_cholesky)
corr_cholesky = _Simple("CorrCholesky", 2, _is_correlation)
square, symmetric = _Simple("Square", 2, _is_square), _Simple("Symmetric", 2, _is_symmetric)
positive_semidefinite = _Simple("PositiveSemidefinite", 2, lambda v: _is_symmetric(v) & (
    linalg.eigvalsh(v) >= 0).all(-1))
positive_definite = _Simple("PositiveDefinite", 2, lambda v: _is_symmetric(v) & (
    linalg.cholesky_ex(v).info == 0))


class multinomial(Constraint):
    """Counts that add up to `upper_bound`."""

    is_discrete, event_dim = True, 1

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Tensor) -> Tensor:
        """Whether counts are not negative and have the sum."""
        return (value >= 0).all(-1) & (value.sum(-1) <= self.upper_bound)


class cat(Constraint):
    """Different sets for consecutive parts of one dimension."""

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0,
                 lengths: Sequence[int] | None = None) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        self.event_dim, self.is_discrete = max(c.event_dim for c in cseq), any(c.is_discrete for c in cseq)

    def check(self, value: Tensor) -> Tensor:
        """What each part's set says, in a row."""
        return _join([c.check(v) for c, v in zip(self.cseq, value.split(self.lengths, self.dim))], self.dim)


class stack(Constraint):
    """A set for each index along one dimension."""

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.event_dim, self.is_discrete = max(c.event_dim for c in cseq), any(c.is_discrete for c in cseq)

    def check(self, value: Tensor) -> Tensor:
        """What each index's set says."""
        return _pile([c.check(v) for c, v in zip(self.cseq, value.unbind(self.dim))], self.dim)
