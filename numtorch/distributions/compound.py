"""Distributions made of others: independent dimensions, transformed values, mixtures, relaxations."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import Size, Tensor, lgamma, log_softmax, logsumexp, no_grad, rand
from . import constraints as C
from . import transforms as T
from .continuous import EULER, Cauchy, Exponential, Gamma, Normal
from .discrete import Categorical, _Odds, _OfCategories
from .distribution import Distribution
from .utils import broadcast_all, clamp_probs, sum_rightmost


class Independent(Distribution):
    """A distribution of which the last `reinterpreted_batch_ndims` batch dimensions count as one value."""

    def __init__(self, base_distribution: Distribution, reinterpreted_batch_ndims: int,
                 validate_args: bool | None = None) -> None:
        n = len(base_distribution.batch_shape)
        if reinterpreted_batch_ndims > n:
            raise ValueError("Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), "
                             "actual "
                             f"{reinterpreted_batch_ndims} vs {n}")
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, reinterpreted_batch_ndims
        shape = base_distribution.batch_shape + base_distribution.event_shape
        at = n - reinterpreted_batch_ndims
        super().__init__(shape[:at], shape[at:], validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Independent:
        """The distribution with its parameters expanded."""
        inner = self.event_shape[:self.reinterpreted_batch_ndims]
        return Independent(self.base_dist.expand(Size((*batch_shape, *inner))),
                           self.reinterpreted_batch_ndims,
                           validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether the base has."""
        return self.base_dist.has_rsample

    @property
    def support(self) -> Any:
        """The base's, in more dimensions."""
        n = self.reinterpreted_batch_ndims
        return C.independent(self.base_dist.support, n) if n else self.base_dist.support

    @property
    def mean(self) -> Tensor:
        """The base's."""
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        """The base's."""
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        """The base's."""
        return self.base_dist.variance

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """The base's samples."""
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """The base's samples."""
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """The sum of the base's."""
        return sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        """The sum of the base's."""
        return sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_dist}, {self.reinterpreted_batch_ndims})"


class TransformedDistribution(Distribution):
    """The distribution of transforms(x), x from `base_distribution`."""

    def __init__(self, base_distribution: Distribution, transforms: T.Transform | Sequence[T.Transform],
                 validate_args: bool | None = None) -> None:
        if not isinstance(transforms, T.Transform) and not (
                isinstance(transforms, list | tuple) and all(isinstance(t, T.Transform) for t in transforms)):
            raise ValueError(f"transforms must be a Transform or list, but was {transforms}")
        self.transforms = [transforms] if isinstance(transforms, T.Transform) else list(transforms)
        whole = T.ComposeTransform(self.transforms)
        shape = base_distribution.batch_shape + base_distribution.event_shape
        if len(shape) < whole.event_dim:
            raise ValueError(f"base_distribution needs to have shape with size at least {whole.event_dim}, "
                             f"but got "
                             f"{shape}.")
        more = whole.event_dim - len(base_distribution.event_shape)
        self.base_dist = Independent(base_distribution, more) if more > 0 else base_distribution
        for t in self.transforms:
            shape = t.forward_shape(tuple(shape))
        dims = max(len(self.base_dist.event_shape), whole.event_dim)
        at = len(shape) - dims
        super().__init__(shape[:at], shape[at:], validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The distribution with its parameters expanded."""
        made: Any = object.__new__(type(self))
        made.__dict__.update({k: v for k, v in self.__dict__.items()})
        made.base_dist, made._batch_shape = self.base_dist.expand(Size(batch_shape)), Size(batch_shape)
        return made

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether the base has."""
        return self.base_dist.has_rsample

    @property
    def support(self) -> Any:
        """Where the transforms lead."""
        if not self.transforms:
            return self.base_dist.support
        found = self.transforms[-1].codomain
        more = len(self.event_shape) - found.event_dim
        return C.independent(found, more) if more > 0 else found

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Transformed samples."""
        with no_grad():
            x = self.base_dist.sample(sample_shape)
            for t in self.transforms:
                x = t(x)
            return x

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Transformed samples."""
        x = self.base_dist.rsample(sample_shape)
        for t in self.transforms:
            x = t(x)
        return x

    def log_prob(self, value: Tensor) -> Tensor:
        """The base's at the inverse, less the logarithms of the Jacobians."""
        self._validate_sample(value)
        dims, y = len(self.event_shape), value
        log_prob: Any = 0.0
        for t in reversed(self.transforms):
            x = t.inv(y)
            dims += t.domain.event_dim - t.codomain.event_dim
            log_prob = log_prob - sum_rightmost(t.log_abs_det_jacobian(x, y), dims - t.domain.event_dim)
            y = x
        return log_prob + sum_rightmost(self.base_dist.log_prob(y), dims - len(self.base_dist.event_shape))

    def _turned(self, value: Tensor) -> Tensor:
        """A probability, mirrored where the transforms fall."""
        sign = math.prod(t.sign for t in self.transforms)
        return value if isinstance(sign, int) and sign == 1 else sign * (value - 0.5) + 0.5

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a smaller value."""
        for t in reversed(self.transforms):
            value = t.inv(value)
        return self._turned(self.base_dist.cdf(value))

    def icdf(self, value: Tensor) -> Tensor:
        """Quantiles."""
        value = self.base_dist.icdf(self._turned(value))
        for t in self.transforms:
            value = t(value)
        return value

    def __repr__(self) -> str:
        own = [k for k in self.arg_constraints if hasattr(self, k)]
        if not own:
            return f"{type(self).__name__}()"
        return f"{type(self).__name__}({', '.join(f'{k}: {getattr(self, k)}' for k in own)})"


class LogNormal(TransformedDistribution):
    """exp of a normal number."""

    arg_constraints, support = {"loc": C.real, "scale": C.positive}, C.positive

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(loc, scale, validate_args=validate_args), T.ExpTransform(), validate_args)

    @property
    def loc(self) -> Tensor:
        """The mean of the logarithm."""
        return self.base_dist.loc  # type: ignore[attr-defined]

    @property
    def scale(self) -> Tensor:
        """The standard deviation of the logarithm."""
        return self.base_dist.scale  # type: ignore[attr-defined]

    @property
    def mean(self) -> Tensor:
        """exp(loc + scale² / 2)."""
        return (self.loc + self.scale.pow(2) / 2).exp()

    @property
    def mode(self) -> Tensor:
        """exp(loc - scale²)."""
        return (self.loc - self.scale.square()).exp()

    @property
    def variance(self) -> Tensor:
        """(exp(scale²) - 1) exp(2 loc + scale²)."""
        s = self.scale.pow(2)
        return s.expm1() * (2 * self.loc + s).exp()

    def entropy(self) -> Tensor:
        """The normal's, and loc."""
        return self.base_dist.entropy() + self.loc


class _Half(TransformedDistribution):
    """|x| of a distribution around 0."""

    arg_constraints, support = {"scale": C.positive}, C.nonnegative
    base: type[Distribution]

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(self.base(0, scale, validate_args=False), T.AbsTransform(), validate_args)

    @property
    def scale(self) -> Tensor:
        """The scale of the whole distribution."""
        return self.base_dist.scale  # type: ignore[attr-defined]

    @property
    def mode(self) -> Tensor:
        """0."""
        return self.scale * 0

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        self._validate_sample(value)
        return (self.base_dist.log_prob(value) + math.log(2)).masked_fill(value < 0, -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a smaller value."""
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, value: Tensor) -> Tensor:
        """Quantiles."""
        return self.base_dist.icdf((value + 1) / 2)

    def entropy(self) -> Tensor:
        """The whole distribution's, less log 2."""
        return self.base_dist.entropy() - math.log(2)


class HalfNormal(_Half):
    """|x| of a normal number."""

    base = Normal

    @property
    def mean(self) -> Tensor:
        """√(2 / π) scale."""
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Tensor:
        """scale² (1 - 2 / π)."""
        return self.scale.pow(2) * (1 - 2 / math.pi)


class HalfCauchy(_Half):
    """|x| of a Cauchy number."""

    base = Cauchy

    @property
    def mean(self) -> Tensor:
        """∞."""
        return self.scale.new_full(self._extended_shape(), math.inf)

    variance = mean


class Pareto(TransformedDistribution):
    """Power laws: density ∝ x^-(alpha + 1) from `scale` on."""

    arg_constraints = {"alpha": C.positive, "scale": C.positive}

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = broadcast_all(scale, alpha)
        base = Exponential(self.alpha, validate_args=validate_args)
        super().__init__(base, [T.ExpTransform(), T.AffineTransform(0, self.scale)], validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Pareto:
        """The distribution with its parameters expanded."""
        return Pareto(self.scale.expand(*batch_shape), self.alpha.expand(*batch_shape), validate_args=False)

    @property
    def support(self) -> Any:
        """From scale on."""
        return C.greater_than_eq(self.scale)

    @property
    def mean(self) -> Tensor:
        """alpha scale / (alpha - 1); ∞ where alpha ≤ 1."""
        a = self.alpha.clamp(min=1)
        return a * self.scale / (a - 1)

    @property
    def mode(self) -> Tensor:
        """The scale."""
        return self.scale

    @property
    def variance(self) -> Tensor:
        """The variance; ∞ where alpha ≤ 2."""
        a = self.alpha.clamp(min=2)
        return self.scale.pow(2) * a / ((a - 1).pow(2) * (a - 2))

    def entropy(self) -> Tensor:
        """Entropy."""
        return (self.scale / self.alpha).log() + (1 + self.alpha.reciprocal())


class Weibull(TransformedDistribution):
    """scale times an exponential number to the power 1 / concentration."""

    arg_constraints = {"scale": C.positive, "concentration": C.positive}
    support = C.positive

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        self.concentration_reciprocal = self.concentration.reciprocal()
        base = Exponential(self.scale * 0 + 1, validate_args=validate_args)
        steps = [T.PowerTransform(self.concentration_reciprocal), T.AffineTransform(0, self.scale)]
        super().__init__(base, steps, validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Weibull:
        """The distribution with its parameters expanded."""
        return Weibull(self.scale.expand(*batch_shape), self.concentration.expand(*batch_shape),
                       validate_args=False)

    @property
    def mean(self) -> Tensor:
        """scale Γ(1 + 1/k)."""
        return self.scale * lgamma(1 + self.concentration_reciprocal).exp()

    @property
    def mode(self) -> Tensor:
        """scale ((k - 1) / k) ^ (1/k)."""
        k = self.concentration
        return self.scale * ((k - 1) / k) ** self.concentration_reciprocal

    @property
    def variance(self) -> Tensor:
        """scale² (Γ(1 + 2/k) - Γ(1 + 1/k)²)."""
        r = self.concentration_reciprocal
        return self.scale.pow(2) * (lgamma(1 + 2 * r).exp() - (2 * lgamma(1 + r)).exp())

    def entropy(self) -> Tensor:
        """Entropy."""
        r = self.concentration_reciprocal
        return EULER * (1 - r) + (self.scale * r).log() + 1


class InverseGamma(TransformedDistribution):
    """1 / x of a Gamma number."""

    arg_constraints = {"concentration": C.positive, "rate": C.positive}
    support = C.positive

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        base = Gamma(concentration, rate, validate_args=validate_args)
        super().__init__(base, T.PowerTransform(-base.rate.new_ones(())), validate_args)

    @property
    def concentration(self) -> Tensor:
        """The shape."""
        return self.base_dist.concentration  # type: ignore[attr-defined]

    @property
    def rate(self) -> Tensor:
        """The rate."""
        return self.base_dist.rate  # type: ignore[attr-defined]

    @property
    def mean(self) -> Tensor:
        """rate / (a - 1); ∞ where a ≤ 1."""
        return (self.rate / (self.concentration - 1)).masked_fill(self.concentration <= 1, math.inf)

    @property
    def mode(self) -> Tensor:
        """rate / (a + 1)."""
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Tensor:
        """rate² / (a - 1)² (a - 2); ∞ where a ≤ 2."""
        a = self.concentration
        return (self.rate.square() / ((a - 1).square() * (a - 2))).masked_fill(a <= 2, math.inf)

    def entropy(self) -> Tensor:
        """Entropy."""
        a = self.concentration
        return a + self.rate.log() + lgamma(a) - (1 + a) * a.digamma()


class LogitRelaxedBernoulli(_Odds):
    """The logit of RelaxedBernoulli."""

    has_rsample, support = True, C.real

    def __init__(self, temperature: Tensor, probs: Any = None, logits: Any = None,
                 validate_args: bool | None = None) -> None:
        self.temperature = temperature
        self._set(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)

    def _fixed(self) -> dict[str, Any]:
        return {"temperature": self.temperature}

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples."""
        shape = self._extended_shape(sample_shape)
        p = clamp_probs(self.probs.expand(shape))
        u = clamp_probs(rand(shape, dtype=p.dtype, device=p.device))
        return (u.log() - (-u).log1p() + p.log() - (-p).log1p()) / self.temperature

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        diff = logits - value.mul(self.temperature)
        return self.temperature.log() + diff - 2 * diff.exp().log1p()


class RelaxedBernoulli(TransformedDistribution):
    """Numbers between 0 and 1, nearer to Bernoulli's at lower temperatures."""

    arg_constraints = {"probs": C.unit_interval, "logits": C.real}
    support = C.unit_interval

    def __init__(self, temperature: Tensor, probs: Any = None, logits: Any = None,
                 validate_args: bool | None = None) -> None:
        super().__init__(LogitRelaxedBernoulli(temperature, probs, logits), T.SigmoidTransform(),
                         validate_args)

    def __getattr__(self, name: str) -> Any:
        if name in ("temperature", "logits", "probs"):
            return getattr(self.base_dist, name)
        raise AttributeError(name)


class ExpRelaxedCategorical(_OfCategories):
    """The logarithm of RelaxedOneHotCategorical."""

    has_rsample, support = True, C.real_vector

    def __init__(self, temperature: Tensor, probs: Any = None, logits: Any = None,
                 validate_args: bool | None = None) -> None:
        self._categorical, self.temperature = Categorical(probs, logits), temperature
        super().__init__(self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args)

    def _fixed(self) -> dict[str, Any]:
        return {"temperature": self.temperature}

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples, by Gumbel noise."""
        shape = self._extended_shape(sample_shape)
        u = clamp_probs(rand(shape, dtype=self.logits.dtype, device=self.logits.device))
        scores = (self.logits - (-u.log()).log()) / self.temperature
        return scores - scores.logsumexp(-1, keepdim=True)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        self._validate_sample(value)
        k = self._event_shape[0]
        logits, value = broadcast_all(self.logits, value)
        scale = (self.temperature * 0 + float(k)).lgamma() + self.temperature.log() * (k - 1)
        score = logits - value.mul(self.temperature)
        return (score - score.logsumexp(-1, keepdim=True)).sum(-1) + scale


class RelaxedOneHotCategorical(TransformedDistribution):
    """Probabilities, nearer to unit vectors at lower temperatures."""

    arg_constraints = {"probs": C.simplex, "logits": C.real_vector}
    support = C.simplex

    def __init__(self, temperature: Tensor, probs: Any = None, logits: Any = None,
                 validate_args: bool | None = None) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, T.ExpTransform(), validate_args)

    __getattr__ = RelaxedBernoulli.__getattr__


class MixtureSameFamily(Distribution):
    """A mixture: `mixture_distribution` chooses along the last batch dimension of
    `component_distribution`."""

    def __init__(self, mixture_distribution: Categorical, component_distribution: Distribution,
                 validate_args: bool | None = None) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(" The Mixture distribution needs to be an  instance of "
                             "torch.distributions.Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("The Component distribution need to be an instance of "
                             "torch.distributions.Distribution")
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution
        event = component_distribution.event_shape
        self._event_ndims = len(event)
        super().__init__(component_distribution.batch_shape[:-1], event, validate_args)

    @property
    def mixture_distribution(self) -> Categorical:
        """The probabilities of the components."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Distribution:
        """The components."""
        return self._component_distribution

    @property
    def support(self) -> Any:
        """Not checked."""
        return None

    def _weights(self) -> Tensor:
        p = self._mixture_distribution.probs
        return p.reshape(*p.shape, *[1] * self._event_ndims)

    @property
    def mean(self) -> Tensor:
        """The components' means, weighted."""
        return (self._weights() * self._component_distribution.mean).sum(-1 - self._event_ndims)

    @property
    def variance(self) -> Tensor:
        """The mean of the variances and the variance of the means."""
        dim, p, c = -1 - self._event_ndims, self._weights(), self._component_distribution
        return (p * c.variance).sum(dim) + (p * (c.mean - self.mean.unsqueeze(dim)).pow(2.0)).sum(dim)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a smaller value."""
        c = self._component_distribution.cdf(value.unsqueeze(-1 - self._event_ndims))
        return (c * self._mixture_distribution.probs).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        self._validate_sample(value)
        each = self._component_distribution.log_prob(value.unsqueeze(-1 - self._event_ndims))
        return logsumexp(each + log_softmax(self._mixture_distribution.logits, -1), -1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Samples."""
        with no_grad():
            dim = len(sample_shape) + len(self._batch_shape)
            chosen = self._mixture_distribution.sample(sample_shape)
            every = self._component_distribution.sample(sample_shape)
            at = chosen.reshape(*chosen.shape, *[1] * (self._event_ndims + 1))
            return every.gather(dim, at.expand(*chosen.shape, 1, *self._event_shape)).squeeze(dim)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self._mixture_distribution!r},\n  {self._component_distribution!r})"


__all__ = ["ExpRelaxedCategorical", "HalfCauchy", "HalfNormal", "Independent", "InverseGamma", "LogNormal",
           "LogitRelaxedBernoulli", "MixtureSameFamily", "Pareto", "RelaxedBernoulli",
           "RelaxedOneHotCategorical",
           "TransformedDistribution", "Weibull"]
