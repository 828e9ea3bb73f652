"""Distributions over real numbers."""
from __future__ import annotations

import math
from typing import Any

from .. import (
    Tensor,
    _standard_gamma,
    digamma,
    erf,
    erfinv,
    finfo,
    lgamma,
    no_grad,
    normal,
    rand,
    stack,
    tensor,
    where,
    xlogy,
)
from ..special import gammainc
from . import constraints as C
from .distribution import Distribution, ExponentialFamily
from .multivariate import Dirichlet
from .utils import broadcast_all

EULER = 0.57721566490153286060


class _LocScale(Distribution):
    """A distribution with a location and a scale."""

    arg_constraints: dict[str, Any] = {"loc": C.real, "scale": C.positive}
    support, has_rsample = C.real, True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """The location."""
        return self.loc

    mode = mean

    def _standard(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        return (value - self.loc) / self.scale


class Normal(_LocScale, ExponentialFamily):
    """The normal distribution of mean `loc` and standard deviation `scale`."""

    @property
    def stddev(self) -> Tensor:
        """The scale."""
        return self.scale

    @property
    def variance(self) -> Tensor:
        """scale²."""
        return self.scale.pow(2)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Samples, as torch.normal draws them."""
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return normal(self.loc.expand(shape), self.scale.expand(shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """loc + scale ε."""
        return self.loc + self._noise(sample_shape) * self.scale

    def _noise(self, sample_shape: Any) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return self.loc.new_empty(shape).normal_()

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        self._validate_sample(value)
        return (-((value - self.loc) ** 2) / (2 * self.scale ** 2) - self.scale.log()
                - math.log(math.sqrt(2 * math.pi)))

    def cdf(self, value: Tensor) -> Tensor:
        """Φ((value - loc) / scale)."""
        return 0.5 * (1 + erf(self._standard(value) / math.sqrt(2)))

    def icdf(self, value: Tensor) -> Tensor:
        """Quantiles."""
        return self.loc + self.scale * erfinv(2 * value - 1) * math.sqrt(2)

    def entropy(self) -> Tensor:
        """½ + ½ log 2π + log scale."""
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()


class Laplace(_LocScale):
    """exp(-|x - loc| / scale) / 2 scale."""

    @property
    def variance(self) -> Tensor:
        """2 scale²."""
        return 2 * self.scale.pow(2)

    @property
    def stddev(self) -> Tensor:
        """√2 scale."""
        return math.sqrt(2) * self.scale

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples, by inversion."""
        f = finfo(self.loc.dtype)
        u = self.loc.new_empty(self._extended_shape(sample_shape)).uniform_(f.eps - 1, 1)
        return self.loc - self.scale * u.sign() * (-u.abs().clamp(min=f.tiny)).log1p()

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        return -(2 * self.scale).log() - self._standard(value).abs()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a smaller value."""
        z = self._standard(value)
        return 0.5 - 0.5 * z.sign() * (-z.abs()).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        """Quantiles."""
        term = value - 0.5
        return self.loc - self.scale * term.sign() * (-2 * term.abs()).log1p()

    def entropy(self) -> Tensor:
        """1 + log 2 scale."""
        return 1 + (2 * self.scale).log()


class Cauchy(_LocScale):
    """The ratio of two normal numbers, moved and scaled. It has no mean."""

    @property
    def mean(self) -> Tensor:
        """NaN."""
        return self.loc.new_full(self._extended_shape(), math.nan)

    @property
    def mode(self) -> Tensor:
        """The location."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """∞."""
        return self.loc.new_full(self._extended_shape(), math.inf)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """loc + scale ε."""
        return self.loc + self.loc.new_empty(self._extended_shape(sample_shape)).cauchy_() * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        return -math.log(math.pi) - self.scale.log() - (self._standard(value) ** 2).log1p()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a smaller value."""
        return self._standard(value).atan() / math.pi + 0.5

    def icdf(self, value: Tensor) -> Tensor:
        """Quantiles."""
        return (math.pi * (value - 0.5)).tan() * self.scale + self.loc

    def entropy(self) -> Tensor:
        """log 4π scale."""
        return math.log(4 * math.pi) + self.scale.log()


class Gumbel(_LocScale):
    """The largest of many exponential numbers."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples, by inversion."""
        f = finfo(self.loc.dtype)
        u = f.tiny + (1 - f.eps - f.tiny) * rand(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc - self.scale * (-u.log()).log()

    @property
    def mean(self) -> Tensor:
        """loc + γ scale."""
        return self.loc + self.scale * EULER

    @property
    def mode(self) -> Tensor:
        """The location."""
        return self.loc

    @property
    def stddev(self) -> Tensor:
        """π scale / √6."""
        return math.pi / math.sqrt(6) * self.scale

    @property
    def variance(self) -> Tensor:
        """π² scale² / 6."""
        return self.stddev.pow(2)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        y = -self._standard(value)
        return y - y.exp() - self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a smaller value."""
        return (-(-self._standard(value)).exp()).exp()

    def icdf(self, value: Tensor) -> Tensor:
        """Quantiles."""
        return self.loc - self.scale * (-value.log()).log()

    def entropy(self) -> Tensor:
        """log scale + 1 + γ."""
        return self.scale.log() + (1 + EULER)


class Uniform(Distribution):
    """Evenly between `low` and `high`."""

    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = broadcast_all(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)

    @property
    def arg_constraints(self) -> dict[str, Any]:  # type: ignore[override]
        """Each bound by the other."""
        return {"low": C.less_than(self.high), "high": C.greater_than(self.low)}

    @property
    def support(self) -> Any:
        """[low, high]."""
        return C.interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        """The middle."""
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Tensor:
        """NaN: no value is more probable."""
        return math.nan * self.high

    @property
    def stddev(self) -> Tensor:
        """(high - low) / √12."""
        return (self.high - self.low) / 12 ** 0.5

    @property
    def variance(self) -> Tensor:
        """(high - low)² / 12."""
        return (self.high - self.low).pow(2) / 12

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """low + u (high - low)."""
        u = rand(self._extended_shape(sample_shape), dtype=self.low.dtype, device=self.low.device)
        return self.low + u * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        self._validate_sample(value)
        inside = self.low.le(value).type_as(self.low) * self.high.gt(value).type_as(self.low)
        return inside.log() - (self.high - self.low).log()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a smaller value."""
        self._validate_sample(value)
        return ((value - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Tensor) -> Tensor:
        """Quantiles."""
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Tensor:
        """log (high - low)."""
        return (self.high - self.low).log()


class Exponential(ExponentialFamily):
    """Waiting times of events at `rate`."""

    arg_constraints, support, has_rsample = {"rate": C.positive}, C.nonnegative, True

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """1 / rate."""
        return self.rate.reciprocal()

    stddev = mean

    @property
    def mode(self) -> Tensor:
        """0."""
        return self.rate * 0

    @property
    def variance(self) -> Tensor:
        """1 / rate²."""
        return self.rate.pow(-2)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """ε / rate."""
        return self.rate.new_empty(self._extended_shape(sample_shape)).exponential_() / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        self._validate_sample(value)
        return self.rate.log() - self.rate * value

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a smaller value."""
        self._validate_sample(value)
        return 1 - (-self.rate * value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        """Quantiles."""
        return -(-value).log1p() / self.rate

    def entropy(self) -> Tensor:
        """1 - log rate."""
        return 1.0 - self.rate.log()


class Gamma(ExponentialFamily):
    """The sum of `concentration` exponential waiting times."""

    arg_constraints = {"concentration": C.positive, "rate": C.positive}
    support, has_rsample = C.nonnegative, True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.concentration.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """a / rate."""
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        """(a - 1) / rate, or 0."""
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        """a / rate²."""
        return self.concentration / self.rate.pow(2)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples."""
        shape = self._extended_shape(sample_shape)
        value = _standard_gamma(self.concentration.expand(shape)) / self.rate.expand(shape)
        value.detach().clamp_(min=finfo(value.dtype).tiny)
        return value

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        self._validate_sample(value)
        a, rate = self.concentration, self.rate
        return xlogy(a, rate) + xlogy(a - 1, value) - rate * value - lgamma(a)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a smaller value."""
        self._validate_sample(value)
        return gammainc(self.concentration, self.rate * value)

    def entropy(self) -> Tensor:
        """Entropy."""
        a = self.concentration
        return a - self.rate.log() + lgamma(a) + (1.0 - a) * digamma(a)


class Chi2(Gamma):
    """The sum of `df` squared normal numbers."""

    arg_constraints = {"df": C.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        super().__init__(0.5 * df if isinstance(df, Tensor) else tensor(0.5 * df), 0.5, validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Chi2:
        """The distribution with its parameter expanded."""
        return Chi2(self.df.expand(*batch_shape), validate_args=False)

    @property
    def df(self) -> Tensor:
        """Degrees of freedom."""
        return self.concentration * 2


class Beta(ExponentialFamily):
    """Numbers between 0 and 1 of density ∝ x^(a - 1) (1 - x)^(b - 1)."""

    arg_constraints = {"concentration1": C.positive, "concentration0": C.positive}
    support, has_rsample = C.unit_interval, True

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        self._dirichlet = Dirichlet(stack([self.concentration1, self.concentration0], -1),
                                    validate_args=False)
        super().__init__(self.concentration1.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """a / (a + b)."""
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Tensor:
        """(a - 1) / (a + b - 2)."""
        return self._dirichlet.mode[..., 0]

    @property
    def variance(self) -> Tensor:
        """a b / (a + b)² (a + b + 1)."""
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.pow(2) * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples."""
        return self._dirichlet.rsample(sample_shape).select(-1, 0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        self._validate_sample(value)
        return self._dirichlet.log_prob(stack([value, 1.0 - value], -1))

    def entropy(self) -> Tensor:
        """Entropy."""
        return self._dirichlet.entropy()


class StudentT(Distribution):
    """Student's t distribution of `df` degrees of freedom, moved and scaled."""

    arg_constraints = {"df": C.positive, "loc": C.real, "scale": C.positive}
    support, has_rsample = C.real, True

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        super().__init__(self.df.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """loc; NaN where df ≤ 1."""
        return self.loc.masked_fill(self.df <= 1, math.nan)

    @property
    def mode(self) -> Tensor:
        """The location."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """scale² df / (df - 2); ∞ where df ≤ 2, NaN where df ≤ 1."""
        m = where(self.df > 2, self.scale.pow(2) * self.df / (self.df - 2), math.inf)
        return m.masked_fill(self.df <= 1, math.nan)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """A normal number over the root of a χ² number."""
        shape = self._extended_shape(sample_shape)
        x = self.df.new_empty(shape).normal_()
        z = Chi2(self.df, validate_args=False).rsample(sample_shape)
        return self.loc + self.scale * x * (z / self.df).rsqrt()

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        self._validate_sample(value)
        y, n = (value - self.loc) / self.scale, self.df
        z = self.scale.log() + 0.5 * n.log() + 0.5 * math.log(math.pi) + lgamma(0.5 * n) - lgamma(0.5 * (n
                                                                                                         + 1))
        return -0.5 * (n + 1) * (y ** 2.0 / n).log1p() - z

    def entropy(self) -> Tensor:
        """Entropy."""
        n = self.df
        log_beta = lgamma(0.5 * n) + math.lgamma(0.5) - lgamma(0.5 * (1 + n))
        return self.scale.log() + 0.5 * (n + 1) * (digamma(0.5 * (n + 1)) - digamma(0.5 * n)) + (
            0.5 * n.log() + log_beta)


class FisherSnedecor(Distribution):
    """The ratio of two χ² numbers over their degrees of freedom."""

    arg_constraints = {"df1": C.positive, "df2": C.positive}
    support, has_rsample = C.positive, True

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self.df1, self.df2 = broadcast_all(df1, df2)
        self._gamma1, self._gamma2 = Gamma(self.df1 * 0.5, self.df1), Gamma(self.df2 * 0.5, self.df2)
        super().__init__(self.df1.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """df2 / (df2 - 2); NaN where df2 ≤ 2."""
        return (self.df2 / (self.df2 - 2)).masked_fill(self.df2 <= 2, math.nan)

    @property
    def mode(self) -> Tensor:
        """(df1 - 2) df2 / df1 (df2 + 2); NaN where df1 ≤ 2."""
        mode = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return mode.masked_fill(self.df1 <= 2, math.nan)

    @property
    def variance(self) -> Tensor:
        """The variance; NaN where df2 ≤ 4."""
        b = self.df2.masked_fill(self.df2 <= 4, math.nan)
        return 2 * b.pow(2) * (self.df1 + b - 2) / (self.df1 * (b - 2).pow(2) * (b - 4))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples."""
        shape, tiny = self._extended_shape(sample_shape), finfo(self.df2.dtype).tiny
        a = self._gamma1.rsample(sample_shape).view(shape)
        b = self._gamma2.rsample(sample_shape).view(shape)
        return (a / b.clamp(min=tiny)).clamp(min=tiny)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        self._validate_sample(value)
        a, b, ratio = self.df1 * 0.5, self.df2 * 0.5, self.df1 / self.df2
        return lgamma(a + b) - lgamma(a) - lgamma(b) + a * ratio.log() + (a - 1) * value.log() - (
            (a + b) * (ratio * value).log1p())


__all__ = ["Beta", "Cauchy", "Chi2", "Exponential", "FisherSnedecor", "Gamma", "Gumbel", "Laplace", "Normal",
           "StudentT", "Uniform"]
