"""Order, selection, extremes, searches and scans."""
import numpy as np
import pytest

import numtorch as torch

NAN = float("nan")


@pytest.mark.parametrize("count", [0, 1, 5, 79, 80, 700])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8", "int8", "bool"])
def test_sort_is_stable_and_inverts(count, dtype):
    a = np.random.default_rng(0).integers(-9, 9, (3, count)).astype(dtype)
    values, places = torch.from_numpy(a).sort(1)
    order = np.argsort(a, 1, kind="stable")
    np.testing.assert_array_equal(places.numpy(), order)
    np.testing.assert_array_equal(values.numpy(), np.take_along_axis(a, order, 1))
    down, places = torch.from_numpy(a).sort(1, descending=True)
    np.testing.assert_array_equal(down.numpy(), values.numpy()[:, ::-1])
    same = np.take_along_axis(a, places.numpy(), 1)
    rising = (np.diff(places.numpy(), axis=1) > 0) | (same[:, 1:] != same[:, :-1])
    assert rising.all()


def test_nan_is_the_largest_and_signed_zeros_are_equal():
    x = torch.tensor([0.0, NAN, -0.0, float("inf"), -1.0])
    assert x.argsort().tolist() == [4, 0, 2, 3, 1]
    assert x.argsort(descending=True).tolist() == [1, 3, 0, 2, 4]
    assert x.topk(2).indices.tolist() == [1, 3]
    assert x.max(0).indices.item() == x.argmax().item() == x.argmin().item() == 1
    assert np.isnan(x.max().item()) and np.isnan(x.median().item())
    assert x.nanmedian().item() == 0
    assert torch.searchsorted(torch.tensor([-1.0, 0.0, 2.0]), x).tolist() == [1, 3, 1, 3, 0]


@pytest.mark.parametrize("k", [0, 1, 7, 64, 65, 300])
def test_topk_is_the_head_of_sort(k):
    x = torch.from_numpy(np.random.default_rng(1).integers(0, 40, (4, 300)).astype("float32"))
    for largest in (True, False):
        got, want = x.topk(k, 1, largest), x.sort(1, descending=largest)
        assert torch.equal(got.values, want.values[:, :k]) and torch.equal(got.indices, want.indices[:, :k])


def test_named_results():
    got = torch.max(torch.tensor([[1.0, 3.0], [4.0, 2.0]]), 0)
    assert repr(got) == "torch.return_types.max(\nvalues=tensor([4., 3.]),\nindices=tensor([1, 0]))"
    values, indices = got
    assert values is got.values and indices is got[1]


def test_extremes_take_the_first_of_equals():
    x = torch.tensor([[1, 5, 5], [2, 2, 2]])
    assert x.max(1).indices.tolist() == [1, 0] and x.min(1).indices.tolist() == [0, 0]
    assert x.argmax().item() == 1 and x.argmin(0, keepdim=True).tolist() == [[0, 1, 1]]
    assert x.cummax(1).indices.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_gradients_go_to_the_places():
    x = torch.tensor([3.0, 1.0, 2.0], requires_grad=True)
    (x.sort()[0] * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [100, 1, 10]
    y = torch.tensor([[1.0, 4.0], [3.0, 4.0]], requires_grad=True)
    (y.max(1).values.sum() + y.topk(1, 0).values.sum() + y.median(0).values.sum()).backward()
    assert y.grad.tolist() == [[1, 3], [1, 1]]


def test_unique():
    x = torch.tensor([[3, 1, 3], [2, 1, 1]])
    values, inverse, counts = torch.unique(x, return_inverse=True, return_counts=True)
    assert values.tolist() == [1, 2, 3] and counts.tolist() == [3, 1, 2]
    assert torch.equal(values[inverse], x)
    assert torch.unique(torch.tensor([[1, 2], [0, 5], [1, 2]]), dim=0).tolist() == [[0, 5], [1, 2]]
    assert torch.unique_consecutive(torch.tensor([1, 1, 2, 1])).tolist() == [1, 2, 1]


def test_scans():
    a = np.random.default_rng(2).standard_normal((3, 9, 2)).astype("float32")
    x = torch.from_numpy(a)
    np.testing.assert_allclose(x.cumsum(1).numpy(), np.cumsum(a, 1, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(x.cumprod(1).numpy(), np.cumprod(a, 1, dtype=np.float64), rtol=1e-6)
    want = np.logaddexp.accumulate(a.astype("f8"), 0)
    np.testing.assert_allclose(x.logcumsumexp(0).numpy(), want, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(x.cummin(2)[0].numpy(), np.minimum.accumulate(a, 2))
    assert torch.tensor([1e30, 1.0, -1e30]).cumsum(0).dtype is torch.float32
    assert torch.tensor([True, True]).cumsum(0).tolist() == [1, 2]


def test_counts():
    x = torch.tensor([0, 3, 3, 1])
    assert x.bincount().tolist() == [1, 1, 0, 2]
    assert x.bincount(torch.tensor([0.5, 1.0, 1.0, 2.0]), minlength=5).tolist() == [0.5, 2.0, 0, 2.0, 0]
    assert torch.histc(torch.tensor([0.0, 1.0, 2.0, 4.0]), 4).tolist() == [1, 1, 1, 1]
    assert torch.isin(x, torch.tensor([3])).tolist() == [False, True, True, False]
    assert torch.bucketize(torch.tensor([0, 3, 9]), torch.tensor([1, 3, 5])).tolist() == [0, 1, 3]


@pytest.mark.parametrize("call, error, words", [
    (lambda: torch.ones(3).topk(4), RuntimeError, "selected index k out of range"),
    (lambda: torch.ones(3).sort(1), IndexError, "Dimension out of range"),
    (lambda: torch.empty(0).max(), RuntimeError, "Expected reduction dim to be specified"),
    (lambda: torch.empty(0).argmax(), IndexError, "Expected reduction dim to be specified"),
    (lambda: torch.tensor([-1]).bincount(), RuntimeError, "non-negative")])
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()
