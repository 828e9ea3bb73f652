"""torch.distributions by themselves; tests/parity compares samples and densities with PyTorch's."""
import pytest

import numtorch as nt
from numtorch import distributions as D


@pytest.mark.parametrize("d", [D.Normal(1.0, 2.0), D.Gamma(2.0, 3.0), D.Beta(2.0, 3.0), D.Laplace(0.0, 1.0),
                               D.Uniform(-1.0, 2.0), D.Bernoulli(0.3), D.Binomial(7, 0.4), D.Poisson(3.0),
                               D.Categorical(nt.tensor([0.2, 0.3, 0.5])), D.LogNormal(0.0, 0.3),
                               D.Weibull(1.0, 2.0), D.Geometric(0.4), D.NegativeBinomial(3.0, 0.4)])
def test_moments(d):
    x = d.sample((20_000,)).float()
    if not isinstance(d, D.Categorical):
        assert x.mean().item() == pytest.approx(d.mean.item(), abs=0.1)
        assert x.var().item() == pytest.approx(d.variance.item(), rel=0.2)
    assert d.support.check(x).all().item()


def test_densities_integrate_to_one():
    grid = nt.linspace(0.0005, 30, 60_001)
    for d in (D.Gamma(2.0, 1.5), D.LogNormal(0.0, 0.5), D.Weibull(1.0, 2.0), D.HalfNormal(2.0), D.Chi2(4.0)):
        assert nt.trapezoid(d.log_prob(grid).exp(), grid).item() == pytest.approx(1, abs=2e-3)


def test_gradients_of_samples():
    loc, scale = nt.tensor(0.5, requires_grad=True), nt.tensor(2.0, requires_grad=True)
    x = D.Normal(loc, scale).rsample((100,))
    x.mean().backward()
    assert loc.grad.item() == pytest.approx(1) and scale.grad is not None


def test_names():
    from numtorch.distributions.categorical import Categorical
    from numtorch.distributions.multivariate_normal import MultivariateNormal
    assert Categorical is D.Categorical and MultivariateNormal is D.MultivariateNormal
    assert nt.distributions.normal.Normal is D.Normal and D.constraint_registry.biject_to is D.biject_to


def test_checks():
    with pytest.raises(ValueError, match="Expected parameter scale"):
        D.Normal(0.0, -1.0)
    assert D.Normal(0.0, -1.0, validate_args=False).scale.item() == -1
    with pytest.raises(NotImplementedError, match="No KL"):
        D.kl_divergence(D.Normal(0.0, 1.0), D.Bernoulli(0.5))
    assert D.constraints.simplex.check(nt.tensor([[0.5, 0.5], [0.5, 0.6]])).tolist() == [True, False]
    assert repr(D.Normal(0.0, 1.0)) == "Normal(loc: 0.0, scale: 1.0)"
