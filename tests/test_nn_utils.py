"""torch.nn.utils: parametrized, normalised, pruned and fused weights."""
import copy

import pytest

import numtorch as nt
from numtorch import nn
from numtorch.nn.utils import fusion, parametrizations, parametrize, prune


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).mT


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x

    def right_inverse(self, x):
        return x / 2


class Product(nn.Module):
    def forward(self, a, b):
        return a * b

    def right_inverse(self, x):
        return x.abs(), x.sign()


def test_parametrization():
    m = nn.Linear(3, 3)
    x = nt.randn(2, 3)
    parametrize.register_parametrization(m, "weight", Symmetric())
    assert nt.equal(m.weight, m.weight.mT) and parametrize.is_parametrized(m, "weight")
    assert sorted(m.state_dict()) == ["bias", "parametrizations.weight.original"]
    kind = parametrize.type_before_parametrizations(m)
    assert type(m).__name__ == "ParametrizedLinear" and kind is nn.Linear
    m(x).sum().backward()
    assert m.parametrizations.weight.original.grad is not None
    twin = copy.deepcopy(m)
    assert nt.equal(twin.weight, m.weight) and twin.parametrizations is not m.parametrizations
    with parametrize.cached():
        assert m.weight is m.weight
    assert m.weight is not m.weight
    with pytest.raises(RuntimeError, match="Serialization of parametrized modules"):
        m.__getstate__()
    kept = m.weight.detach().clone()
    parametrize.remove_parametrizations(m, "weight")
    assert type(m) is nn.Linear and nt.equal(m.weight, kept) and isinstance(m.weight, nn.Parameter)


def test_right_inverse_assigns():
    m = nn.Linear(2, 2)
    before = m.weight.detach().clone()
    parametrize.register_parametrization(m, "weight", Doubled())
    assert nt.allclose(m.weight, before)
    m.weight = nt.ones(2, 2)
    assert nt.equal(m.parametrizations.weight.original, nt.full((2, 2), 0.5))
    n = nn.Linear(2, 2)
    before = n.weight.detach().clone()
    parametrize.register_parametrization(n, "weight", Product())
    assert nt.equal(n.weight, before) and "parametrizations.weight.original1" in n.state_dict()
    with pytest.raises(ValueError, match="Cannot leave unparametrized"):
        parametrize.remove_parametrizations(n, "weight", leave_parametrized=False)
    with pytest.raises(ValueError, match="does not have a parametrization on bias"):
        parametrize.remove_parametrizations(n, "bias")


def test_parametrization_errors():
    class Half(nn.Module):
        def forward(self, x):
            return x.half()
    with pytest.raises(ValueError, match="may not change the dtype of the tensor"):
        parametrize.register_parametrization(nn.Linear(2, 2), "weight", Half())
    with pytest.raises(ValueError, match="does not have a parameter, a buffer"):
        parametrize.register_parametrization(nn.Linear(2, 2), "x", Half())


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
@pytest.mark.parametrize("how", ["matrix_exp", "cayley", "householder"])
def test_orthogonal(shape, how):
    m = parametrizations.orthogonal(nn.Linear(*shape), orthogonal_map=how)
    w = m.weight if shape[0] < shape[1] else m.weight.mT
    assert nt.allclose(w.mT @ w, nt.eye(min(shape)), atol=1e-5)
    m.weight.sum().backward()


def test_weight_norm():
    m = nn.Conv2d(2, 3, 3)
    before = m.weight.detach().clone()
    with pytest.warns(FutureWarning):
        nn.utils.weight_norm(m)
    assert sorted(m.state_dict()) == ["bias", "weight_g", "weight_v"]
    n = parametrizations.weight_norm(nn.Conv2d(2, 3, 3))
    n.load_state_dict(m.state_dict())  # keys of the older function
    for made in (m, n):
        assert nt.allclose(made.weight, before, atol=1e-6)
        made(nt.randn(1, 2, 5, 5)).sum().backward()
    nn.utils.remove_weight_norm(m)
    assert sorted(m.state_dict()) == ["bias", "weight"]
    with pytest.raises(ValueError, match="weight_norm of 'weight' not found"):
        nn.utils.remove_weight_norm(nn.Linear(1, 1))


def test_spectral_norm():
    m = nn.utils.spectral_norm(nn.Linear(4, 3))
    for _ in range(50):
        m(nt.randn(2, 4))
    assert nt.linalg.svdvals(m.weight)[0].item() == pytest.approx(1, abs=1e-4)
    assert sorted(m.state_dict()) == ["bias", "weight_orig", "weight_u", "weight_v"]
    other = nn.utils.spectral_norm(nn.Linear(4, 3))
    other.load_state_dict(m.state_dict())
    assert nt.equal(other.eval()(nt.ones(1, 4)), m.eval()(nt.ones(1, 4)))
    nn.utils.remove_spectral_norm(m)
    assert sorted(m.state_dict()) == ["bias", "weight"] and not m._state_dict_hooks
    p = parametrizations.spectral_norm(nn.Linear(4, 3))
    assert nt.linalg.svdvals(p.weight)[0].item() == pytest.approx(1, abs=1e-2)


def test_prune():
    m = nn.Linear(4, 3)
    prune.l1_unstructured(m, "weight", 5)
    assert (m.weight == 0).sum().item() == 5 and sorted(m.state_dict()) == ["bias", "weight_mask",
                                                                            "weight_orig"]
    prune.ln_structured(m, "weight", 1, 2, dim=0)
    assert isinstance(next(iter(m._forward_pre_hooks.values())), prune.PruningContainer)
    assert (m.weight == 0).all(1).sum().item() == 1 and prune.is_pruned(m)
    m(nt.ones(1, 4)).sum().backward()
    assert (m.weight_orig.grad[m.weight_mask == 0] == 0).all()
    kept = m.weight.detach().clone()
    prune.remove(m, "weight")
    assert nt.equal(m.weight, kept) and sorted(m.state_dict()) == ["bias",
                                                                   "weight"] and not prune.is_pruned(m)
    with pytest.raises(ValueError, match="has to be pruned before pruning can be removed"):
        prune.remove(m, "weight")
    with pytest.raises(ValueError, match="should either be a float in the range"):
        prune.random_unstructured(m, "weight", 1.5)
    with pytest.raises(ValueError, match="should be smaller than the number of parameters"):
        prune.random_unstructured(m, "weight", 100)
    assert "weight" in m._parameters  # a failure leaves the module as it was


def test_global_pruning():
    m = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    nn.init.constant_(m[0].weight, 0.1)
    prune.global_unstructured([(m[0], "weight"), (m[1], "weight")], prune.L1Unstructured, amount=0.5)
    assert sum((l.weight == 0).sum().item() for l in m) == 16


@pytest.mark.parametrize("padding", [0, 1])
def test_compact(padding):
    m = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                      nn.Sequential(nn.Conv2d(8, 6, 3, padding=padding), nn.Tanh()), nn.AdaptiveAvgPool2d(2),
                      nn.Flatten(), nn.Linear(24, 10), nn.Dropout(), nn.Linear(10, 2))
    x = nt.randn(4, 3, 8, 8)
    for _ in range(3):
        m(x)
    prune.ln_structured(m[0], "weight", 4, 2, dim=0)
    prune.ln_structured(m[4][0], "weight", 0.5, 1, dim=0)
    prune.random_structured(m[7], "weight", 3, dim=0)
    with nt.no_grad():
        m[1].bias.copy_(nt.linspace(-1, 1, 8))
    m.eval()
    small = prune.compact(m)
    assert nt.allclose(small(x), m(x), atol=1e-5)
    assert small[4][0].out_channels == 3 and small[7].in_features == 12 and small[7].out_features == 7
    assert small[9].weight.shape == (2, 7) and not prune.is_pruned(small) and prune.is_pruned(m)
    if padding == 0:
        assert small[0].weight.shape == (4, 3, 3, 3) and small[1].num_features == 4
    else:  # channels whose constant is not 0 must stay before a layer that pads
        assert 4 <= small[0].out_channels <= 8
    small.train()(x).sum().backward()


def test_fusion():
    conv, bn = nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3)
    x = nt.randn(4, 2, 5, 5)
    bn(conv(x))
    with pytest.raises(AssertionError, match="Fusion only for eval!"):
        fusion.fuse_conv_bn_eval(conv, bn)
    fused = nn.utils.fuse_conv_bn_eval(conv.eval(), bn.eval())
    assert nt.allclose(fused(x), bn(conv(x)), atol=1e-5)
    linear, norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
    y = nt.randn(5, 3)
    norm(linear(y))
    fused = nn.utils.fuse_linear_bn_eval(linear.eval(), norm.eval())
    assert nt.allclose(fused(y), norm(linear(y)), atol=1e-5)


def test_skip_init_and_memory_format():
    m = nn.utils.skip_init(nn.Linear, 3, 2)
    assert m.weight.shape == (2, 3) and m.weight.device.type == "cpu"
    c = nn.utils.convert_conv2d_weight_memory_format(nn.Conv2d(3, 4, 3), nt.channels_last)
    assert c.weight.is_contiguous(memory_format=nt.channels_last)


def test_no_gradient_is_wanted_under_no_grad():
    x = nt.randn(3, 3, requires_grad=True)
    with nt.no_grad():
        assert nt.geqrf(x)[0].shape == (3, 3) and nt.special.zeta(x.abs() + 2, x.abs() + 1).shape == (3, 3)
    with pytest.raises(NotImplementedError, match="the derivative for 'geqrf' is not implemented."):
        nt.geqrf(x)
