"""Fusion: traced composites as kernels of their own give what their parts give."""
from __future__ import annotations

import math

import numpy as np
import pytest

import numtorch as torch
from numtorch.compiler.fuse import Fused, Untraceable
from numtorch.devices import cpu
from numtorch.dispatch import backend, registry
from numtorch.kinds import Composite
from numtorch.tensor import ndarray_of


def fused(fn, **args):
    tensors = list(args.values())
    return Fused(lambda *xs: fn(**dict(zip(args, xs))), tensors).run(tensors)


def check(fn, **args):
    np.testing.assert_allclose(ndarray_of(fused(fn, **args)), ndarray_of(fn(**args)), rtol=3e-6, atol=3e-6)


def normalized(x, w, b):
    m = x.mean(-1, True)
    d = x - m
    return d * (d * d).mean(-1, True).add(1e-5).rsqrt() * w + b


def test_pointwise_chain():
    x, y = torch.randn(5, 7), torch.randn(7)
    check(lambda x, y: ((x * y + 2.0).tanh() - x / 3).exp(), x=x, y=y)
    check(lambda x, y: torch.where(x > y, x, y * 2), x=x, y=y)
    check(lambda x, y: (x.t() + 1).t() * y if x.ndim < 2 else x * y, x=x, y=y)


@pytest.mark.parametrize("n", (1, 2, 127, 128, 129, 4095, 4096, 4097, 10_000))
def test_row_lengths(n):
    x = torch.randn(3, n)
    check(lambda x: (x - x.amax(-1, True)).exp() / (x - x.amax(-1, True)).exp().sum(-1, True), x=x)
    check(normalized, x=x, w=torch.randn(n), b=torch.randn(n))


def test_layouts():
    x = torch.randn(4, 6, 5)
    check(normalized, x=x, w=torch.randn(5), b=torch.randn(5))
    check(normalized, x=x.transpose(0, 2), w=torch.randn(4), b=torch.randn(4))
    check(lambda x: x - x.sum(1, True), x=x)
    check(lambda x: x - x.sum((1, 2), True), x=x)
    check(lambda x: x[1] - x[1].sum(0, True) if False else x - x.sum(0, True), x=x[:, 1:4])
    check(lambda x: (x * 2).sum(1), x=x)
    check(lambda x: x / x.sum(2).unsqueeze(2), x=x)
    check(lambda x, w: (x * w).sum(-1, True).expand(4, 6, 5) + x, x=x, w=torch.randn(6, 1))


def test_dtypes():
    for d in (torch.float64, torch.float32):
        check(normalized, x=torch.randn(3, 50, dtype=d), w=torch.randn(50, dtype=d),
              b=torch.randn(50, dtype=d))
    x = torch.randn(3, 50).bfloat16()
    got = torch.nn.functional.softmax(x, 1)
    want = torch.nn.functional.softmax(x.float(), 1).bfloat16()
    assert got.dtype is torch.bfloat16 and torch.equal(got, want)


def test_nan_and_inf_rows():
    x = torch.tensor([[1.0, math.nan, 2.0], [math.inf, 1.0, 2.0], [-math.inf, 0.0, 1.0]])
    got = ndarray_of(torch.nn.functional.softmax(x, 1))
    assert np.isnan(got[:2]).all()
    np.testing.assert_allclose(got[2], [0, 1 / (1 + math.e), math.e / (1 + math.e)], rtol=1e-6)


def test_sizes_and_numbers_share_a_kernel():
    kernels = backend(cpu).kernels
    fn = lambda x: torch.nn.functional.softmax(x, 1)
    fn(torch.randn(3, 5))
    before = len(kernels)
    for shape in ((7, 11), (2, 300), (64, 10)):
        fn(torch.randn(shape))
    assert len(kernels) == before


def test_offsets_are_those_of_the_call():
    x = torch.randn(6, 5)
    plan = Fused(lambda a: a.exp() / a.exp().sum(-1, True), [x[1:3]])
    for k in range(5):
        e = np.exp(ndarray_of(x[k:k + 2]))
        got = ndarray_of(plan.run([x[k:k + 2]]))
        np.testing.assert_allclose(got, e / e.sum(-1, keepdims=True), rtol=1e-5)


def test_several_results_and_views_of_them():
    x = torch.randn(6, 5)
    plan = Fused(lambda a: (a * 2, (s := a.sum(1)), s.reshape(2, 3)), [x])
    a, s, r = plan.run([x])
    assert torch.equal(a, x * 2) and torch.equal(s, x.sum(1)) and r.shape == (2, 3)
    assert r.storage is s.storage


def test_what_is_not_one_kernel_says_why():
    x = torch.randn(3, 4)
    for fn, words in ((lambda x: x * float(x.sum()), "value was read"),
                      (lambda x: x @ x.t(), "a call of its own"),
                      (lambda x: x.add_(1) * 2, "written"),
                      (lambda x: x.t(), "an argument"),
                      (lambda x: x.sort(1).values + 1, "a call of its own")):
        with pytest.raises(Untraceable, match=words):
            fused(fn, x=x)
    y = torch.randn(4)
    with pytest.raises(Untraceable, match="of its own"):
        fused(lambda x: x * y, x=x)
    assert torch.equal(x * y, x * y) and torch.equal(x, x.clone())


def test_every_fused_entry_runs_as_kernels():
    """fuse=True must hold: the plan is a kernel, not the reason why there is none."""
    entries = [op for op in registry.values() if isinstance(op, Composite) and op.fuse]
    assert entries
    for op in entries:
        op.plans.clear()
    F = torch.nn.functional
    x, w, c = torch.randn(6, 9), torch.randn(9), torch.rand(9)
    F.softmax(x, 1), F.log_softmax(x, 1), F.batch_norm(x, c, c, w, w)
    F.rms_norm(x.requires_grad_(), (9,), w.requires_grad_()).sum().backward()
    for op in entries:
        assert op.plans, f"{op.name} is fused but this test does not call it"
        assert all(isinstance(p, Fused) for p in op.plans.values()), op.plans


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64, torch.bfloat16))
def test_rms_norm_and_its_gradients(dtype):
    F = torch.nn.functional
    x, w = torch.randn(5, 4, 6).to(dtype), torch.randn(4, 6).to(dtype)
    g = torch.randn(5, 4, 6).to(dtype)
    got = []
    for kind in (dtype, torch.float64):
        a, b = x.to(kind).requires_grad_(), w.to(kind).requires_grad_()
        y = F.rms_norm(a, (4, 6), b, 1e-5)
        got.append([y.detach(), *torch.autograd.grad(y, (a, b), g.to(kind))])
    tol = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 0.1}[dtype]
    for p, q in zip(*got):
        np.testing.assert_allclose(ndarray_of(p.double()), ndarray_of(q), rtol=tol, atol=tol)
    if dtype is torch.float64:
        a, b = x.requires_grad_(), w.requires_grad_()
        assert torch.autograd.gradgradcheck(lambda a, b: F.rms_norm(a, (4, 6), b), (a, b))
        assert torch.autograd.gradcheck(lambda a: F.rms_norm(a, (6,)), (a,))


def test_threads_do_not_change_bits():
    x, before = torch.randn(500, 700), torch.get_num_threads()
    results = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            results.append(ndarray_of(torch.nn.functional.softmax(x, 1)))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(*results)


def test_gradients_reach_through_fused_entries():
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    for fn in (torch.nn.functional.softmax, torch.nn.functional.log_softmax):
        assert torch.autograd.gradcheck(lambda v: fn(v, 1), (x,))
        assert torch.autograd.gradgradcheck(lambda v: fn(v, 1), (x,))
