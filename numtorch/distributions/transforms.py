"""Invertible maps with the logarithm of the Jacobian's determinant, for TransformedDistribution."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .. import Tensor, finfo, zeros_like
from ..nn import functional as F
from . import constraints as C
from .utils import sum_rightmost


class Transform:
    """A map from `domain` to `codomain`; `inv` is its inverse."""

    bijective, sign = False, 1
    domain: Any = C.real
    codomain: Any = C.real

    def __init__(self, cache_size: int = 0) -> None:
        self._cache_size = cache_size
        self._cached: tuple[Any, Any] = None, None
        if cache_size not in (0, 1):
            raise ValueError("cache_size must be 0 or 1")

    @property
    def event_dim(self) -> int:
        """The dimensions of one value."""
        return max(self.domain.event_dim, self.codomain.event_dim)

    @property
    def inv(self) -> Transform:
        """The inverse."""
        return _Inverse(self)

    def __call__(self, x: Tensor) -> Tensor:
        if self._cache_size and x is self._cached[0]:
            return self._cached[1]
        y = self._call(x)
        if self._cache_size:
            self._cached = x, y
        return y

    def _inv_call(self, y: Tensor) -> Tensor:
        if self._cache_size and y is self._cached[1]:
            return self._cached[0]
        x = self._inverse(y)
        if self._cache_size:
            self._cached = x, y
        return x

    def _call(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _inverse(self, y: Tensor) -> Tensor:
        raise NotImplementedError

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """log |dy / dx|."""
        raise NotImplementedError

    def forward_shape(self, shape: Any) -> Any:
        """The shape of the result."""
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        """The shape of the argument."""
        return shape

    def __eq__(self, other: Any) -> bool:
        hidden = ("_cached", "_cache_size")
        own, its = ({k: v for k, v in vars(t).items() if k not in hidden} for t in (self, other))
        return type(self) is type(other) and own == its

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return type(self).__name__ + "()"


class _Inverse(Transform):
    """The inverse of a transform."""

    def __init__(self, transform: Transform) -> None:
        super().__init__(transform._cache_size)
        self._inv = transform

    @property
    def domain(self) -> Any:
        """The codomain of the transform."""
        return self._inv.codomain

    @property
    def codomain(self) -> Any:
        """The domain of the transform."""
        return self._inv.domain

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        """Whether the transform is."""
        return self._inv.bijective

    @property
    def sign(self) -> int:  # type: ignore[override]
        """That of the transform."""
        return self._inv.sign

    @property
    def inv(self) -> Transform:
        """The transform."""
        return self._inv

    def __call__(self, x: Tensor) -> Tensor:
        return self._inv._inv_call(x)

    def _inv_call(self, y: Tensor) -> Tensor:
        return self._inv(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The negative of the transform's."""
        return -self._inv.log_abs_det_jacobian(y, x)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._inv!r})"


class ComposeTransform(Transform):
    """Transforms one after another."""

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = list(parts)

    @property
    def domain(self) -> Any:
        """Of the first."""
        return self.parts[0].domain if self.parts else C.real

    @property
    def codomain(self) -> Any:
        """Of the last."""
        return self.parts[-1].codomain if self.parts else C.real

    @property
    def event_dim(self) -> int:
        """The most dimensions that any of them needs."""
        return max([p.event_dim for p in self.parts], default=0)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        """Whether all are."""
        return all(p.bijective for p in self.parts)

    @property
    def sign(self) -> int:  # type: ignore[override]
        """The product of theirs."""
        return math.prod(p.sign for p in self.parts)

    @property
    def inv(self) -> Transform:
        """The inverses, in reverse."""
        return ComposeTransform([p.inv for p in reversed(self.parts)])

    def __call__(self, x: Tensor) -> Tensor:
        for p in self.parts:
            x = p(x)
        return x

    def _inv_call(self, y: Tensor) -> Tensor:
        for p in reversed(self.parts):
            y = p.inv(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The sum of theirs."""
        total: Any = None
        for p in self.parts:
            z = p(x)
            term = sum_rightmost(p.log_abs_det_jacobian(x, z), self.event_dim - p.event_dim)
            total, x = term if total is None else total + term, z
        return zeros_like(x) if total is None else total

    def __repr__(self) -> str:
        return "ComposeTransform(\n    " + ",\n    ".join(map(repr, self.parts)) + "\n)"


class IndependentTransform(Transform):
    """A transform of which more dimensions count as one value."""

    def __init__(self, base_transform: Transform, reinterpreted_batch_ndims: int,
                 cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.base_transform, self.reinterpreted_batch_ndims = base_transform, reinterpreted_batch_ndims
        self.bijective, self.sign = base_transform.bijective, base_transform.sign
        self.domain = C.independent(base_transform.domain, reinterpreted_batch_ndims)
        self.codomain = C.independent(base_transform.codomain, reinterpreted_batch_ndims)

    def _call(self, x: Tensor) -> Tensor:
        return self.base_transform(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The sum of the base's."""
        return sum_rightmost(self.base_transform.log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)


def _simple(name: str, doc: str, domain: Any, codomain: Any, call: Callable, inverse: Callable,
            jacobian: Callable, bijective: bool = True) -> type[Transform]:
    return type(name, (Transform,), {
        "__doc__": doc, "domain": domain, "codomain": codomain, "bijective": bijective,
        "_call": lambda self, x: call(x), "_inverse": lambda self, y: inverse(y),
        "log_abs_det_jacobian": lambda self, x, y: jacobian(x, y), "__module__": __name__,
        "__eq__": lambda self, other: type(self) is type(other), "__hash__": None})


def _sigmoid(x: Tensor) -> Tensor:
    f = finfo(x.dtype)
    return x.sigmoid().clamp(f.tiny, 1.0 - f.eps)


def _logit(y: Tensor) -> Tensor:
    f = finfo(y.dtype)
    y = y.clamp(f.tiny, 1.0 - f.eps)
    return y.log() - (-y).log1p()


def _no_jacobian(x: Tensor, y: Tensor) -> Tensor:
    raise NotImplementedError("this transform is not bijective: it has no Jacobian")


def _softmax_of(x: Tensor) -> Tensor:
    e = (x - x.max(-1, True)[0]).exp()
    return e / e.sum(-1, True)


def _lower(x: Tensor, diagonal: Callable) -> Tensor:
    return x.tril(-1) + diagonal(x.diagonal(dim1=-2, dim2=-1)).diag_embed()


ExpTransform = _simple("ExpTransform", "exp(x).", C.real, C.positive, lambda x: x.exp(), lambda y: y.log(),
                       lambda x, y: x)
SigmoidTransform = _simple("SigmoidTransform", "sigmoid(x).", C.real, C.unit_interval, _sigmoid, _logit,
                           lambda x, y: -F.softplus(-x) - F.softplus(x))
TanhTransform = _simple("TanhTransform", "tanh(x).", C.real, C.interval(-1.0, 1.0), lambda x: x.tanh(),
                        lambda y: y.atanh(), lambda x, y: 2.0 * (math.log(2.0) - x - F.softplus(-2.0 * x)))
SoftplusTransform = _simple("SoftplusTransform", "log(1 + exp(x)).", C.real, C.positive,
                            lambda x: F.softplus(x),
                            lambda y: (-y).expm1().neg().log() + y, lambda x, y: -F.softplus(-x))
AbsTransform = _simple("AbsTransform", "|x|.", C.real, C.positive, lambda x: x.abs(), lambda y: y,
                       _no_jacobian,
                       bijective=False)
SoftmaxTransform = _simple("SoftmaxTransform", "softmax(x).", C.real_vector, C.simplex, _softmax_of,
                           lambda y: y.log(), _no_jacobian, bijective=False)
LowerCholeskyTransform = _simple(
    "LowerCholeskyTransform", "A lower triangle whose diagonal is exp of the argument's.",
    C.independent(C.real, 2),
    C.lower_cholesky, lambda x: _lower(x, lambda d: d.exp()), lambda y: _lower(y, lambda d: d.log()),
    _no_jacobian)


class AffineTransform(Transform):
    """loc + scale x."""

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self._dims = loc, scale, event_dim
        self.domain = self.codomain = C.real if event_dim == 0 else C.independent(C.real, event_dim)

    @property
    def sign(self) -> Any:  # type: ignore[override]
        """The sign of the scale."""
        return self.scale.sign() if isinstance(self.scale, Tensor) else (self.scale > 0) - (self.scale < 0)

    def _call(self, x: Tensor) -> Tensor:
        return self.loc + self.scale * x

    def _inverse(self, y: Tensor) -> Tensor:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """log |scale|."""
        if isinstance(self.scale, Tensor):
            one = self.scale.abs().log().expand(x.shape)
        else:
            one = zeros_like(x) + math.log(abs(self.scale))
        return sum_rightmost(one, self._dims)


class PowerTransform(Transform):
    """x ^ exponent of positive x."""

    bijective, domain, codomain = True, C.positive, C.positive

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = exponent

    @property
    def sign(self) -> Any:  # type: ignore[override]
        """The sign of the exponent."""
        return self.exponent.sign() if isinstance(self.exponent, Tensor) else (
            (self.exponent > 0) - (self.exponent < 0))

    def _call(self, x: Tensor) -> Tensor:
        return x ** self.exponent

    def _inverse(self, y: Tensor) -> Tensor:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """log |exponent y / x|."""
        return (self.exponent * y / x).abs().log()


class StickBreakingTransform(Transform):
    """n numbers to n + 1 probabilities: each takes its share of what the ones before it left."""

    bijective, domain, codomain = True, C.real_vector, C.simplex

    def _call(self, x: Tensor) -> Tensor:
        z, left = self._shares(x)
        return F.pad(z, [0, 1], value=1) * F.pad(left, [1, 0], value=1)

    def _shares(self, x: Tensor) -> tuple[Tensor, Tensor]:
        offset = x.shape[-1] + 1 - x.new_ones(x.shape[-1]).cumsum(-1)
        z = _sigmoid(x - offset.log())
        return z, (1 - z).cumprod(-1)

    def _inverse(self, y: Tensor) -> Tensor:
        crop = y[..., :-1]
        offset = y.shape[-1] - crop.new_ones(crop.shape[-1]).cumsum(-1)
        left = (1 - crop.cumsum(-1)).clamp(min=finfo(y.dtype).tiny)
        return crop.log() - left.log() + offset.log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """log |dy / dx| of the first n probabilities."""
        offset = x.shape[-1] + 1 - x.new_ones(x.shape[-1]).cumsum(-1)
        moved = x - offset.log()
        return (-moved + F.logsigmoid(moved) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        """One more."""
        return shape[:-1] + (shape[-1] + 1,)

    def inverse_shape(self, shape: Any) -> Any:
        """One less."""
        return shape[:-1] + (shape[-1] - 1,)


identity_transform = ComposeTransform([])


def _to(constraint: Any, simplex: Callable) -> Transform:
    if constraint is C.real:
        return identity_transform
    if isinstance(constraint, C.independent):
        return IndependentTransform(_to(constraint.base_constraint, simplex),
                                    constraint.reinterpreted_batch_ndims)
    if constraint is C.simplex:
        return simplex()
    if constraint is C.lower_cholesky:
        return LowerCholeskyTransform()
    if isinstance(constraint, C.greater_than | C.greater_than_eq):
        if constraint.bounds[0] == 0:
            return ExpTransform()
        return ComposeTransform([ExpTransform(), AffineTransform(constraint.bounds[0], 1)])
    if isinstance(constraint, C.less_than):
        return ComposeTransform([ExpTransform(), AffineTransform(constraint.bounds[0], -1)])
    if isinstance(constraint, C.interval | C.half_open_interval):
        low, high = constraint.bounds
        if (low, high) == (0, 1):
            return SigmoidTransform()
        return ComposeTransform([SigmoidTransform(), AffineTransform(low, high - low)])
    raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")


def biject_to(constraint: Any) -> Transform:
    """A bijection from real numbers to a set."""
    return _to(constraint, StickBreakingTransform)


def transform_to(constraint: Any) -> Transform:
    """A map from real numbers onto a set, simple rather than bijective."""
    return _to(constraint, SoftmaxTransform)


__all__ = ["AbsTransform", "AffineTransform", "ComposeTransform", "ExpTransform", "IndependentTransform",
           "LowerCholeskyTransform", "PowerTransform", "SigmoidTransform", "SoftmaxTransform",
           "SoftplusTransform",
           "StickBreakingTransform", "TanhTransform", "Transform", "biject_to", "identity_transform",
           "transform_to"]
