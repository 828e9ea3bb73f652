"""Operators case by case: gradients at the edges, complex numbers, refusals, what has no generated test."""
from __future__ import annotations

import math

import pytest

import numtorch as torch
from numtorch.nn import functional as F


def test_cat_gives_empty_legacy_inputs_an_empty_gradient():
    a, b = torch.ones(0, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    torch.cat([a, b]).sum().backward()
    assert a.grad.shape == (0,) and torch.equal(b.grad, torch.ones(2, 3))


def test_cat_refuses_to_write_over_its_inputs():
    x, y = torch.zeros(0), torch.randn(4, 6)
    for tensors, out in (((x, y), x), ((x, y), y), ((y, y), y[:2])):
        with pytest.raises(RuntimeError, match="the written-to tensor refer to a single memory location"):
            torch.cat(tensors, out=out)


def test_rms_norm_squares_complex_numbers():
    x = torch.tensor([1 + 2j, -0.5j, 3 - 1j])
    want = x / ((x * x).mean() + torch.finfo(torch.complex64).eps) ** 0.5
    assert torch.allclose(F.rms_norm(x, (3,)), want)


def test_narrow_takes_an_integer_tensor_as_start():
    x = torch.arange(6.0)
    assert torch.equal(x.narrow(0, torch.tensor(1), 2), x[1:3])
    for start in (torch.tensor(1.0), torch.tensor([1]), torch.tensor(True)):
        with pytest.raises(RuntimeError, match=r"start must be an 0-dim integral Tensor\."):
            x.narrow(0, start, 2)
    with pytest.raises(TypeError, match="narrow"):
        x.narrow(0, 1.5, 2)


def test_adjoint():
    x = torch.tensor([[1 + 2j, 3], [4, 5j]])
    for got in (torch.adjoint(x), x.adjoint(), x.mH):
        assert torch.equal(got, x.t().conj())
    with pytest.raises(RuntimeError, match="only supported on matrices"):
        torch.ones(3).adjoint()
    with pytest.warns(UserWarning, match="deprecated on 0-D tensors"):
        assert torch.tensor(2.0).mT.shape == ()


def test_conj_physical_writes_to_out():
    x, out = torch.tensor([1 + 2j]), torch.empty(1, dtype=torch.complex64)
    assert torch.conj_physical(x, out=out) is out and out.item() == 1 - 2j


def test_writes_through_views_of_tensors_with_holes_have_gradients():
    """The base's memory has gaps: every second element of another tensor's."""
    source = torch.arange(6.0, requires_grad=True)
    base = torch.zeros(12)[::2]
    base.copy_(source)
    base[1:3].mul_(3)
    (base * torch.arange(1.0, 7.0)).sum().backward()
    assert source.grad.tolist() == [1, 6, 9, 4, 5, 6]
    empty = torch.zeros(0, 0, requires_grad=True).tril()
    empty.diagonal().abs_()
    empty.sum().backward()


def test_an_empty_batch_leaves_running_statistics():
    m = torch.nn.BatchNorm1d(5)
    m.running_mean.fill_(1)
    m(torch.randn(0, 5)).sum().backward()
    assert m.running_mean.tolist() == [1] * 5 and m.running_var.tolist() == [1] * 5
    assert m.weight.grad.tolist() == [0] * 5
    with pytest.raises(ValueError, match="batch_norm eps must be positive during training, but got 0"):
        F.batch_norm(torch.ones(2, 3), None, None, training=True, eps=0.0)


def test_fractional_pooling_of_one_sample_uses_the_first_numbers():
    x, u = torch.randn(4, 8, 8, 8), torch.rand(3, 4, 3)
    one = F.fractional_max_pool3d(x, 2, output_size=3, _random_samples=u)
    assert torch.equal(one, F.fractional_max_pool3d(x[None], 2, output_size=3, _random_samples=u[:1])[0])


def test_gaussian_nll_with_a_variance_shared_along_any_one_dimension():
    x, y, v = torch.randn(4, 3, 5), torch.randn(4, 3, 5), torch.rand(4, 1, 5) + 0.5
    want = (0.5 * (v.log() + (x - y) ** 2 / v)).mean()
    assert math.isclose(F.gaussian_nll_loss(x, y, v).item(), want.item(), rel_tol=1e-6)
    with pytest.raises(ValueError, match="var is of incorrect size"):
        F.gaussian_nll_loss(x, y, torch.ones(1, 1, 5))
