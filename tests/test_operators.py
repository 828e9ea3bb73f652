"""Operators case by case: gradients at the edges, complex numbers, refusals, what has no generated test."""
from __future__ import annotations

import functools
import itertools
import math
import operator

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


def paths(time: int, target: list[int], blank: int = 0):
    """Every sequence of `time` labels of 3 that reads as `target` once repeats and blanks are taken out."""
    for path in itertools.product(range(3), repeat=time):
        read = [c for i, c in enumerate(path) if c != blank and (i == 0 or c != path[i - 1])]
        if read == target:
            yield path


@pytest.mark.parametrize("target", ([], [1], [1, 2], [1, 1], [2, 1, 2]), ids=str)
def test_ctc_loss_is_the_sum_over_all_paths(target):
    x = torch.randn(4, 2, 3, dtype=torch.float64).log_softmax(2)
    want = -math.log(sum(math.exp(sum(x[t, 0, c].item() for t, c in enumerate(p))) for p in paths(4, target)))
    padded = torch.tensor([target + [1] * (3 - len(target)), [2, 0, 0]])
    got = F.ctc_loss(x, padded, [4, 3], [len(target), 1], reduction="none")
    joined = F.ctc_loss(x, torch.tensor([*target, 2]), torch.tensor([4, 3]), torch.tensor([len(target), 1]),
                        reduction="none")
    one = F.ctc_loss(x[:, 0], torch.tensor(target, dtype=torch.int64), (4,), (len(target),), reduction="sum")
    assert got[0].item() == pytest.approx(want) and one.item() == pytest.approx(want)
    assert torch.equal(got, joined)
    mean = (got / torch.tensor([max(len(target), 1), 1])).mean()
    assert torch.allclose(F.ctc_loss(x, padded, [4, 3], [len(target), 1]), mean)


def test_ctc_loss_gradients():
    targets = torch.tensor([[1, 1, 3], [2, 3, 1]])
    z = torch.randn(6, 2, 4, dtype=torch.float64, requires_grad=True)

    def loss(z, reduction="none"):
        return F.ctc_loss(z.log_softmax(2), targets, [6, 5], [3, 2], reduction=reduction)
    assert torch.autograd.gradcheck(loss, (z,))
    first, = torch.autograd.grad(loss(z, "sum"), z, create_graph=True)
    with pytest.raises(RuntimeError, match="derivative for aten::_ctc_loss_backward is not implemented"):
        first.pow(2).sum().backward()


def test_ctc_loss_of_targets_that_do_not_fit():
    x = torch.randn(3, 2, 4).log_softmax(2).requires_grad_()
    targets = torch.tensor([[1, 1, 2], [1, 2, 3]])
    assert F.ctc_loss(x, targets, [3, 3], [3, 3], reduction="none")[0].item() == math.inf
    F.ctc_loss(x, targets, [3, 3], [3, 3], zero_infinity=True).backward()
    assert not x.grad[:, 0].any() and x.grad[:, 1].any()
    x.grad = None
    F.ctc_loss(x, targets, [2, 3], [3, 3]).backward()
    assert x.grad[:2, 0].isnan().all() and not x.grad[2, 0].any()
    for words, arguments in (("blank must be in label range", (targets, [3, 3], [3, 3], 4)),
                             ("input_lengths must be of size batch_size", (targets, [3], [3, 3])),
                             ("value at most 3, but got value 4", (targets, [4, 3], [3, 3])),
                             ("size at least 4 at dimension 1", (targets, [3, 3], [4, 3])),
                             ("size 5 at dimension 0", (targets.flatten(), [3, 3], [3, 2]))):
        with pytest.raises(RuntimeError, match=words):
            F.ctc_loss(x, *arguments)
    with pytest.raises(IndexError, match="outside of the 4 classes"):
        F.ctc_loss(x, targets + 3, [3, 3], [3, 3])


@pytest.mark.parametrize("reduction", ("none", "sum", "mean"))
@pytest.mark.parametrize("weighted", (False, True))
def test_linear_cross_entropy_in_pieces(reduction, weighted):
    x, w, b = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((7, 3), (5, 3), (5,)))
    target = torch.tensor([0, 4, 2, -100, 1, 1, 3])
    weight = torch.rand(5, dtype=torch.float64) if weighted else None
    options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=2)
    made = []
    for chosen in (None, options, torch.nn.LinearCrossEntropyOptions()):
        loss = F.linear_cross_entropy(x, w, target, linear_bias=b, weight=weight, reduction=reduction,
                                      options=chosen)
        made.append((loss, *torch.autograd.grad((loss * loss).sum(), (x, w, b))))
    for other in made[1:]:
        assert all(torch.allclose(p, q) for p, q in zip(made[0], other, strict=True))
    assert torch.equal(made[0][0], F.cross_entropy(F.linear(x, w, b), target, weight, reduction=reduction))


def test_linear_cross_entropy_loss_for_places():
    m = torch.nn.LinearCrossEntropyLoss(5, 10, out_features=(4, 3), bias=True)
    assert m.linear.weight.shape == (120, 5)
    assert m(torch.randn(2, 5), torch.randint(0, 10, (2, 4, 3))).shape == ()
    m.options = torch.nn.LinearCrossEntropyOptions()
    with pytest.warns(UserWarning, match="``options`` ignored"):
        m(torch.randn(2, 5), torch.randint(0, 10, (2, 4, 3)))
    with pytest.raises(RuntimeError, match=r"expected weight shape to be \(10,\), got \(3,\)"):
        torch.nn.LinearCrossEntropyLoss(5, 10, weight=torch.ones(3))
    with pytest.raises(RuntimeError, match="requires batched input"):
        m(torch.randn(5), torch.randint(0, 10, (4, 3)))


def test_complex32_is_stored_as_two_halves():
    x = torch.tensor([1 + 2j, -2.5, 3j], dtype=torch.chalf)
    assert (x.dtype, x.itemsize, x.tolist()) == (torch.complex32, 4, [1 + 2j, -2.5, 3j])
    assert repr(x) == "tensor([ 1.0000+2.j, -2.5000+0.j,  0.0000+3.j], dtype=torch.complex32)"
    pairs = torch.view_as_real(x)
    assert pairs.dtype is torch.float16 and pairs.tolist() == [[1, 2], [-2.5, 0], [0, 3]]
    assert torch.view_as_complex(pairs).dtype is torch.complex32
    pairs[0, 0] = 7
    assert x[0].item() == 7 + 2j and x.real.tolist() == [7, -2.5, 0]
    assert (x * 2 + 1j).dtype is torch.complex32 and (x * 2 + 1j)[1].item() == -5 + 1j
    assert torch.tensor([70000.0]).chalf().real.item() == math.inf
    assert torch.full((2,), 1j, dtype=torch.complex32)[1].item() == 1j
    assert torch.cat([x, x])[3:].cfloat().tolist() == x.tolist()
    for other, both in ((torch.float16, torch.complex32), (torch.bfloat16, torch.complex64),
                        (torch.int64, torch.complex32), (torch.float64, torch.complex128)):
        assert torch.promote_types(torch.complex32, other) is both
    with pytest.raises(TypeError, match="Got unsupported ScalarType ComplexHalf"):
        x.numpy()
    z = torch.tensor([1 + 1j, 2], requires_grad=True)
    z.chalf().real.sum().backward()
    assert z.grad.tolist() == [1, 1]


def test_hash_tensor_is_the_exclusive_or_of_the_bits():
    x = torch.tensor([[1.5, -2.0, 0.25], [3.0, 1e300, 0.0]], dtype=torch.float64)
    bits = x.view(torch.int64).tolist()
    want = [functools.reduce(operator.xor, row) % 2**64 for row in bits]
    assert torch.hash_tensor(x, 1).tolist() == want and torch.hash_tensor(x, 1).dtype is torch.uint64
    assert torch.hash_tensor(x).item() == want[0] ^ want[1]
    assert torch.hash_tensor(x.float(), 1, keepdim=True).shape == (2, 1)
    assert torch.hash_tensor(torch.tensor([1, -1])).item() == 2**64 - 2
    with pytest.raises(RuntimeError, match="Unknown hash_tensor mode: 1"):
        torch.hash_tensor(x, mode=1)
    with pytest.raises(NotImplementedError, match="\"xor_sum_cpu\" not implemented for 'ComplexFloat'"):
        torch.hash_tensor(x.cfloat())
    with pytest.raises(IndexError, match="Expected reduction dim 0 to have non-zero size"):
        torch.hash_tensor(torch.zeros(0, 3), 0)


def test_logcumsumexp_of_complex_numbers_has_gradients():
    x = torch.randn(3, 4, dtype=torch.complex128, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: torch.logcumsumexp(t, 1), (x,))
    assert torch.autograd.gradgradcheck(lambda t: torch.logcumsumexp(t, 0), (x,))


def test_window_functions():
    k = torch.arange(7, dtype=torch.float64) * (2 * math.pi / 6)
    t = k / math.pi - 1
    wanted = {"hann": 0.5 - 0.5 * k.cos(), "hamming": 0.54 - 0.46 * k.cos(), "bartlett": 1 - t.abs(),
              "blackman": 0.42 - 0.5 * k.cos() + 0.08 * (2 * k).cos(),
              "kaiser": torch.special.i0(12 * (1 - t * t).clamp(min=0).sqrt()) / 18948.925349296307}
    for name, want in wanted.items():
        make = getattr(torch, name + "_window")
        assert torch.allclose(make(7, False, dtype=torch.float64), want, atol=1e-15), name
        assert torch.allclose(make(6), want[:6].float(), atol=1e-7), name
        assert make(0).shape == (0,) and make(1).tolist() == [1.0]
        with pytest.raises(RuntimeError, match=f"{name}_window requires non-negative window_length"):
            make(-1)
        with pytest.raises(RuntimeError, match="expects floating point dtypes"):
            make(3, dtype=torch.int64)
    assert torch.hamming_window(3, False, 0.5, 0.25).tolist() == [0.25, 0.75, 0.25]


def test_gamma_numbers_move_with_their_shape():
    """Along (1, slope) the probability P(shape, number) stays as it is."""
    a = torch.tensor([0.05, 0.5, 1.0, 2.0, 9.0, 30.0, 400.0], dtype=torch.float64)
    for scale in (0.3, 0.9, 1.0, 1.3, 2.0):
        x, e = a * scale, a * 1e-4
        slope = torch._standard_gamma_grad(a, x)
        p = torch.special.gammainc if scale <= 1 else torch.special.gammaincc
        ahead, behind = p(a + e, x + e * slope), p(a - e, x - e * slope)
        keep = p(a, x) > 1e-250
        assert torch.allclose(ahead[keep], behind[keep], rtol=1e-6), scale
    rates = torch.tensor([0.5, 3.0, 20.0], requires_grad=True)
    drawn = torch._standard_gamma(rates)
    drawn.sum().backward()
    assert torch.allclose(rates.grad, torch._standard_gamma_grad(rates.detach(), drawn.detach()))
    concentration = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    g, = torch.autograd.grad(torch._sample_dirichlet(concentration)[0], concentration, create_graph=True)
    assert g[0] > 0 > g[1]
    with pytest.raises(RuntimeError, match="derivative for aten::_standard_gamma_grad is not implemented"):
        g.sum().backward()


ZEROS = [[1.0, 0.0, 3.0, 0.0, 2.0], [2.0, 1.5, 3.0, -1.0, 2.0], [0.0, 1.0, 2.0, 3.0, 4.0]]


def test_second_gradients_of_products_with_zeros():
    x = torch.tensor(ZEROS, dtype=torch.float64, requires_grad=True)
    for dim in (0, 1):
        assert torch.autograd.gradcheck(lambda t, dim=dim: t.cumprod(dim), (x,))
        assert torch.autograd.gradgradcheck(lambda t, dim=dim: t.cumprod(dim), (x,))
    index = torch.tensor([0, 1, 0, 2, 2])
    for source in ([1.0, 2.0, 3.0, 0.0, 2.0], [1.0, 2.0, 3.0, 4.0, 2.0]):
        for own in ([0.0, 1.0, 2.0], [3.0, 1.0, 2.0], [3.0, 1.0, 0.0]):
            y, s = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (own, source))
            for whole in (True, False):
                fold = lambda y, s, whole=whole: y.scatter_reduce(0, index, s, "prod", include_self=whole)
                assert torch.autograd.gradcheck(fold, (y, s))
                assert torch.autograd.gradgradcheck(fold, (y, s))
    s = torch.tensor([0.0, 0.0, 2.0], requires_grad=True)
    folded = torch.ones(1).scatter_reduce(0, torch.zeros(3, dtype=torch.int64), s, "prod")
    g, = torch.autograd.grad(folded.sum(), s, create_graph=True)
    with pytest.raises(RuntimeError, match="Double backward is unsupported for src when >1 zeros"):
        g.sum().backward()


def test_saved_integer_results_take_no_part_in_second_gradients():
    x = torch.tensor([3.0, 0.7], dtype=torch.float64, requires_grad=True)
    g, = torch.autograd.grad(torch.frexp(x).mantissa.square().sum(), x, create_graph=True)
    g.sum().backward()
    assert torch.allclose(x.grad, torch.tensor([2 / 16, 2.0], dtype=torch.float64))


def test_logcumsumexp_of_a_number_is_linear():
    x = torch.tensor(2.0, requires_grad=True)
    g, = torch.autograd.grad(torch.logcumsumexp(x, 0).square(), x, create_graph=True)
    g.backward()
    assert x.grad.item() == 2


def test_native_layer_norm_has_gradients_through_its_first_result_only():
    x = torch.randn(2, 3, requires_grad=True)
    out, mean, r = torch.native_layer_norm(x, (3,), None, None, 1e-5)
    assert out.requires_grad and not mean.requires_grad and not r.requires_grad


def test_copies_of_slices_and_complex_parts():
    x, z = torch.arange(12.0).reshape(4, 3), torch.tensor([1 + 2j])
    for got, want in ((torch.slice_copy(x, 0, 1, 4, 2), x[1:4:2]), (torch.slice_copy(x, 1), x),
                      (torch.slice_copy(x, 0, -2), x[-2:]), (torch.slice_copy(x, end=100), x),
                      (torch.view_as_real_copy(z), torch.tensor([[1.0, 2.0]])),
                      (torch.view_as_complex_copy(torch.ones(1, 2)), torch.tensor([1 + 1j]))):
        assert torch.equal(got, want)
        assert got.untyped_storage().data_ptr() not in (x.untyped_storage().data_ptr(), z.data_ptr())


def test_alpha_may_be_a_tensor_without_dimensions():
    x, half = torch.ones(2), torch.tensor(0.5)
    assert x.add(x, alpha=half).tolist() == x.clone().add_(x, alpha=half).tolist() == [1.5, 1.5]
    assert torch.sub(x, x, alpha=half).tolist() == torch.rsub(x, x, alpha=half).tolist() == [0.5, 0.5]
    for wrong in (half[None], half.clone().requires_grad_()):
        with pytest.raises(TypeError, match=r"add\(\): argument 'alpha' must be Number, not Tensor"):
            x.add(x, alpha=wrong)


def test_histograms_count_between_the_first_and_the_last_edge_only():
    hist, _ = torch.histogram(torch.tensor([1.5, 2.5]), torch.tensor([3.0, 1.0, 2.0]))
    assert hist.tolist() == [0, 0]


def test_embedding_with_sparse_gradients_looks_rows_up():
    table, i = torch.randn(5, 2, requires_grad=True), torch.tensor([[3, 0], [1, 3]])
    with torch.no_grad():
        assert torch.equal(F.embedding(i, table, sparse=True), table[i])
    with pytest.raises(NotImplementedError, match="sparse=True has no gradient"):
        F.embedding(i, table, sparse=True)
