"""Distributions over vectors of real numbers."""
from __future__ import annotations

import math
from typing import Any

from .. import Tensor, _sample_dirichlet, broadcast_shapes, digamma, eye, lgamma, linalg, xlogy
from ..nn import functional as F
from . import constraints as C
from .distribution import Distribution, ExponentialFamily
from .utils import lazy_property


class Dirichlet(ExponentialFamily):
    """Probabilities of density ∝ ∏ xᵢ^(aᵢ - 1)."""

    arg_constraints = {"concentration": C.independent(C.positive, 1)}
    support, has_rsample = C.simplex, True

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        if concentration.ndim < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples."""
        return _sample_dirichlet(self.concentration.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        self._validate_sample(value)
        a = self.concentration
        return xlogy(a - 1.0, value).sum(-1) + lgamma(a.sum(-1)) - lgamma(a).sum(-1)

    @property
    def mean(self) -> Tensor:
        """a / Σ a."""
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Tensor:
        """(a - 1) / (Σ a - n); a corner where no aᵢ is 1 or more."""
        less = (self.concentration - 1).clamp(min=0.0)
        mode = less / less.sum(-1, True)
        corner = (self.concentration < 1).all(-1, keepdim=True)
        return mode.where(corner.logical_not(), F.one_hot(mode.argmax(-1), mode.shape[-1]).to(mode.dtype))

    @property
    def variance(self) -> Tensor:
        """The variances."""
        a, total = self.concentration, self.concentration.sum(-1, True)
        return a * (total - a) / (total.pow(2) * (total + 1))

    def entropy(self) -> Tensor:
        """Entropy."""
        a, k = self.concentration, self.concentration.shape[-1]
        total = a.sum(-1)
        first = lgamma(a).sum(-1) - lgamma(total) - (k - total) * digamma(total)
        return first - ((a - 1.0) * digamma(a)).sum(-1)


def triangular_precision(p: Tensor) -> Tensor:
    """The lower Cholesky factor of the inverse of p."""
    factor = linalg.cholesky(p.flip((-2, -1)))
    upper = factor.flip((-2, -1)).transpose(-2, -1)
    return linalg.solve_triangular(upper, eye(p.shape[-1], dtype=p.dtype, device=p.device), upper=False)


class MultivariateNormal(Distribution):
    """The normal distribution of mean `loc` (…, n) and a covariance given as itself, as its inverse, or as
    its
    lower Cholesky factor `scale_tril`."""

    arg_constraints = {"loc": C.real_vector, "covariance_matrix": C.positive_definite,
                       "precision_matrix": C.positive_definite, "scale_tril": C.lower_cholesky}
    support, has_rsample = C.real_vector, True

    def __init__(self, loc: Tensor, covariance_matrix: Tensor | None = None,
                 precision_matrix: Tensor | None = None, scale_tril: Tensor | None = None,
                 validate_args: bool | None = None) -> None:
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = {n: v for n, v in (("covariance_matrix", covariance_matrix), ("scale_tril", scale_tril),
                                   ("precision_matrix", precision_matrix)) if v is not None}
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be "
                             "specified.")
        ((name, matrix),) = given.items()
        if matrix.ndim < 2:
            raise ValueError(f"{name} must be at least two-dimensional, with optional leading batch "
                             f"dimensions")
        batch = broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        setattr(self, name, matrix.expand(*batch, -1, -1))
        self.loc = loc.expand(*batch, -1)
        super().__init__(batch, self.loc.shape[-1:], validate_args)
        if name == "scale_tril":
            self._tril = matrix
        elif name == "covariance_matrix":
            self._tril = linalg.cholesky(matrix)
        else:
            self._tril = triangular_precision(matrix)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The lower Cholesky factor of the covariance."""
        return self._tril.expand(*self._batch_shape, *self._event_shape, *self._event_shape)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        return (self._tril @ self._tril.mT).expand(*self._batch_shape, *self._event_shape, *self._event_shape)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        return linalg.inv(self.covariance_matrix)

    @property
    def mean(self) -> Tensor:
        """The location."""
        return self.loc

    mode = mean

    @property
    def variance(self) -> Tensor:
        """The diagonal of the covariance."""
        return self._tril.pow(2).sum(-1).expand(*self._batch_shape, *self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """loc + L ε."""
        noise = self.loc.new_empty(self._extended_shape(sample_shape)).normal_()
        return self.loc + (self._tril @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        self._validate_sample(value)
        m = squared_distance(self._tril, value - self.loc)
        half_log_det = self._tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + m) - half_log_det

    def entropy(self) -> Tensor:
        """Entropy."""
        half_log_det = self._tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        h = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + half_log_det
        return h.expand(self._batch_shape)


def squared_distance(tril: Tensor, x: Tensor) -> Tensor:
    """xᵀ (L Lᵀ)⁻¹ x, the batch dimensions broadcast."""
    n = x.shape[-1]
    batch = broadcast_shapes(tril.shape[:-2], x.shape[:-1])
    y = linalg.solve_triangular(tril.expand(*batch, n, n), x.expand(*batch, n).unsqueeze(-1), upper=False)
    return y.squeeze(-1).pow(2).sum(-1)


__all__ = ["Dirichlet", "MultivariateNormal"]
