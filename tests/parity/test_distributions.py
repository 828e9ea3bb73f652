"""Distributions against PyTorch's: samples for the same seed, densities, entropies, divergences."""
import numpy as np
import pytest

torch = pytest.importorskip("torch")
nt = pytest.importorskip("numtorch")

V, W, P = [0.5, 1.5, 3.0], [2.0, 0.7, 1.1], [0.2, 0.5, 0.9]
CASES = {
    "Normal": [V, W], "Laplace": [V, W], "Cauchy": [V, W], "Gumbel": [V, W], "LogNormal": [V, W],
    "Uniform": [[0.0, 1.0, -2.0], [1.0, 3.0, 5.0]], "Exponential": [V], "Gamma": [V, W], "Beta": [V, W],
    "Chi2": [V], "StudentT": [[3.0, 5.0, 9.0], V, W], "FisherSnedecor": [[5.0, 6.0, 7.0], [5.0, 8.0, 9.0]],
    "HalfNormal": [V], "HalfCauchy": [V], "Pareto": [V, [2.5, 3.0, 4.0]], "Weibull": [V, W],
    "InverseGamma": [[2.0, 3.0, 4.0], W], "Bernoulli": [P], "Geometric": [P], "Categorical": [[P, V]],
    "OneHotCategorical": [[P, V]], "Poisson": [V], "Dirichlet": [[V, W]], "RelaxedBernoulli": [0.7, P],
    "RelaxedOneHotCategorical": [0.7, P],
}


def made(t, name):
    args = [t.tensor(a, dtype=t.float32) for a in CASES[name]]
    return getattr(t.distributions, name)(*args)


def close(a, b, tol=2e-5):
    np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), rtol=tol, atol=tol)


@pytest.mark.parametrize("name", CASES)
def test_distribution(name):
    out = []
    for t in (torch, nt):
        t.manual_seed(3)
        d = made(t, name)
        x = d.sample((4,))
        out.append((d, x))
    (a, x), (b, y) = out
    assert tuple(a.batch_shape) == tuple(b.batch_shape) and tuple(a.event_shape) == tuple(b.event_shape)
    assert a.has_rsample == b.has_rsample
    close(x, y)
    close(a.log_prob(x), b.log_prob(nt.tensor(x.numpy())))
    assert tuple(b.expand((2, *b.batch_shape)).sample().shape) == tuple(a.expand((2,
                                                                                  *a.batch_shape)).sample().shape)
    for ask in ("mean", "variance", "mode", "stddev"):
        try:
            want = getattr(a, ask)
        except (NotImplementedError, AttributeError):
            continue
        close(want, getattr(b, ask))
    try:
        want = a.entropy()
    except NotImplementedError:
        want = None
    if want is not None:
        close(want, b.entropy(), 1e-4)
    for ask in ("cdf", "icdf"):
        p = torch.full(a.batch_shape, 0.3)
        try:
            want = getattr(a, ask)(p)
        except (NotImplementedError, ValueError, RuntimeError):
            continue
        close(want, getattr(b, ask)(nt.full(tuple(a.batch_shape), 0.3)), 1e-4)


@pytest.mark.parametrize("name", ["Normal", "Laplace", "Cauchy", "Gumbel", "Exponential", "Gamma", "Beta",
                                  "Bernoulli",
                                  "Geometric", "Categorical", "OneHotCategorical", "Poisson", "Dirichlet",
                                  "LogNormal", "HalfNormal", "Uniform"])
def test_divergence(name):
    got = []
    for t in (torch, nt):
        p, q = made(t, name), getattr(t.distributions, name)(
            *[t.tensor(np.array(a, "f4") * (0.8 if i == 0 else 1.1)) for i, a in enumerate(CASES[name])])
        got.append(t.distributions.kl_divergence(p, q))
    close(*got)


def test_counts():
    for make in (lambda t: t.distributions.Binomial(5, t.tensor(P)),
                 lambda t: t.distributions.NegativeBinomial(4.0, t.tensor(P)),
                 lambda t: t.distributions.Multinomial(6, t.tensor([P, V]))):
        out = []
        for t in (torch, nt):
            t.manual_seed(1)
            d = make(t)
            out.append((d, d.sample((3,))))
        (a, x), (b, y) = out
        close(x, y)
        close(a.log_prob(x), b.log_prob(y))
        close(a.mean, b.mean)
        close(a.variance, b.variance)


def test_multivariate_normal():
    cov = np.array([[2.0, 0.5], [0.5, 1.0]], "f4")
    for how in ("covariance_matrix", "precision_matrix", "scale_tril"):
        out = []
        for t in (torch, nt):
            t.manual_seed(2)
            m = t.tensor(cov).tril() if how == "scale_tril" else t.tensor(cov)
            d = t.distributions.MultivariateNormal(t.tensor([1.0, -1.0]), **{how: m})
            e = t.distributions.MultivariateNormal(t.zeros(2), covariance_matrix=t.eye(2) * 2)
            x = d.rsample((3,))
            out.append((x, d.log_prob(x), d.entropy(), d.covariance_matrix, d.variance,
                        t.distributions.kl_divergence(d, e)))
        for a, b in zip(*out):
            close(a, b)


def test_compound():
    out = []
    for t in (torch, nt):
        D = t.distributions
        t.manual_seed(5)
        i = D.Independent(D.Normal(t.zeros(2, 3), t.ones(2, 3)), 1)
        mix = D.MixtureSameFamily(D.Categorical(t.tensor(P)), D.Normal(t.tensor(V), t.tensor(W)))
        tanh = D.TransformedDistribution(D.Normal(t.zeros(3), t.ones(3)), [D.TanhTransform(cache_size=1),
                                                                          D.AffineTransform(1.0, 2.0)])
        x, m, y = i.rsample((2,)), mix.sample((5,)), tanh.rsample((2,))
        stick = D.biject_to(D.constraints.simplex)
        z = stick(t.tensor(V))
        out.append([x, i.log_prob(x), i.entropy(), m, mix.log_prob(m), mix.mean, mix.variance, mix.cdf(m), y,
                    tanh.log_prob(y), z, stick.inv(z), stick.log_abs_det_jacobian(t.tensor(V), z),
                    D.transform_to(D.constraints.interval(2.0, 5.0))(t.tensor(V)),
                    D.kl_divergence(i, D.Independent(D.Normal(t.ones(2, 3), t.ones(2, 3)), 1))])
    for a, b in zip(*out):
        close(a, b, 1e-4)


def test_policy_gradient():
    grads = []
    for t in (torch, nt):
        t.manual_seed(0)
        logits = t.tensor([[0.1, 0.5, -0.3]] * 4, requires_grad=True)
        d = t.distributions.Categorical(logits=logits)
        action = d.sample()
        (-d.log_prob(action).mean() - 0.01 * d.entropy().mean()).backward()
        grads.append(logits.grad)
    close(*grads)


def test_errors():
    for call in (lambda t: t.distributions.Normal(0.0, -1.0),
                 lambda t: t.distributions.Categorical(t.tensor(1.0)),
                 lambda t: t.distributions.Bernoulli(0.5, 0.5), lambda t: t.distributions.Uniform(1.0, 0.0),
                 lambda t: t.distributions.Bernoulli(0.5).log_prob(t.tensor(2.0)),
                 lambda t: t.distributions.Normal(t.zeros(3), 1.0).log_prob(t.zeros(2))):
        words = []
        for t in (torch, nt):
            with pytest.raises(ValueError) as e:
                call(t)
            words.append(str(e.value).splitlines()[0])
        assert words[0] == words[1]
