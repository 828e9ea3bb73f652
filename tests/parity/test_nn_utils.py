"""torch.nn.utils against PyTorch's: the same seed must give the same weights, masks and state_dict keys."""
import importlib
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nt = pytest.importorskip("numtorch")
importlib.import_module("torch.nn.utils.prune")


def two(fn):
    out = []
    for t in (torch, nt):
        t.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            m = fn(t)
        out.append({k: v.detach().numpy() for k, v in [*m.state_dict().items(), ("now", m.weight)]})
        out[-1]["repr"] = repr(m)
    assert list(out[0]) == list(out[1])
    for k, v in out[0].items():
        if k == "repr":
            assert v == out[1][k]
        else:
            np.testing.assert_allclose(out[1][k], v, rtol=2e-5, atol=2e-6, err_msg=k)


def trained(t, m, shape):
    x = t.randn(*shape)
    for _ in range(3):
        m(x).square().sum().backward()
        with t.no_grad():
            for p in m.parameters():
                p -= 0.01 * p.grad
                p.grad = None
    m(x)
    return m


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm(dim):
    two(lambda t: trained(t, t.nn.utils.weight_norm(t.nn.Linear(4, 3), dim=dim), (2, 4)))
    two(lambda t: trained(t, t.nn.utils.parametrizations.weight_norm(t.nn.Conv2d(2, 3, 3), dim=dim), (1, 2,
                                                                                                      4, 4)))


def test_spectral_norm():
    two(lambda t: trained(t, t.nn.utils.spectral_norm(t.nn.Conv2d(2, 3, 3), n_power_iterations=2), (1, 2, 4,
                                                                                                    4)))
    two(lambda t: trained(t, t.nn.utils.spectral_norm(t.nn.ConvTranspose2d(2, 3, 3)), (1, 2, 4, 4)))
    two(lambda t: trained(t, t.nn.utils.parametrizations.spectral_norm(t.nn.Linear(4, 3)), (2, 4)))


@pytest.mark.parametrize("how", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("base", [True, False])
def test_orthogonal(how, base):
    for shape in ((4, 4), (5, 3), (3, 5)):
        two(lambda t: trained(t, t.nn.utils.parametrizations.orthogonal(
            t.nn.Linear(*shape), orthogonal_map=how, use_trivialization=base), (2, shape[0])))


def test_prune():
    def pruned(t, *calls):
        m = t.nn.Conv2d(4, 6, 3)
        for name, *args in calls:
            getattr(t.nn.utils.prune, name)(m, "weight", *args)
        return trained(t, m, (1, 4, 4, 4))
    two(lambda t: pruned(t, ("l1_unstructured", 0.3)))
    two(lambda t: pruned(t, ("random_unstructured", 0.3), ("l1_unstructured", 7), ("ln_structured", 2, 2, 0)))
    two(lambda t: pruned(t, ("random_structured", 2, 0), ("ln_structured", 0.5, 1, 1)))
    two(lambda t: pruned(t, ("ln_structured", 0.4, float("inf"), -1), ("random_unstructured", 0.2)))


def test_fusion():
    def fused(t):
        conv, bn = t.nn.ConvTranspose2d(3, 4, 3), t.nn.BatchNorm2d(4)
        bn(conv(t.randn(2, 3, 5, 5)))
        return t.nn.utils.fusion.fuse_conv_bn_eval(conv.eval(), bn.eval(), transpose=True)
    two(fused)
