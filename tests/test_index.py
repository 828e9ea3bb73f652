"""Indexing, joining and masks against NumPy, and the laws that NumPy does not have."""
import numpy as np
import pytest

import numtorch as torch

KEYS = [1, -1, (1, 2), (slice(None), 1), slice(1, 3), (slice(None, None, 2), slice(1, 4, 2)), (Ellipsis, 0),
        (None, 1), (None, 1, Ellipsis, None), slice(3, 1), [0, 2], ([0, 2], [1, 1]), (slice(None), [0, 0, 3]),
        ([0, 1], None, [1, 2]),
        (slice(1, 3), [0, 1]), (np.array([[0, 1], [2, 3]]),), np.arange(20).reshape(4, 5) > 7,
        (slice(None), np.array([True, False, True, False, True]))]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_getitem_and_setitem_are_numpys(key):
    a = np.arange(20.0, dtype=np.float32).reshape(4, 5)
    x = torch.from_numpy(a.copy())
    named = torch.from_numpy(key) if isinstance(key, np.ndarray) else key
    np.testing.assert_array_equal(x[named].numpy(), a[key])
    x[named] = -1
    a[key] = -1
    np.testing.assert_array_equal(x.numpy(), a)


def test_basic_keys_make_views_and_advanced_keys_copies():
    x = torch.zeros(3, 4)
    x[1][2] = 5
    x[:, 0].fill_(1)
    assert x.tolist() == [[1, 0, 0, 0], [1, 0, 5, 0], [1, 0, 0, 0]]
    x[[0, 1]].fill_(9)
    assert x.sum().item() == 8


@pytest.mark.parametrize("key, error, words", [
    (7, IndexError, "index 7 is out of bounds for dimension 0 with size 4"),
    ((slice(None), -6), IndexError, "index -6 is out of bounds for dimension 1 with size 5"),
    ((0, 0, 0), IndexError, "too many indices for tensor of dimension 2"),
    (slice(None, None, -1), ValueError, "step must be greater than zero"),
    ([9], IndexError, "index 9 is out of bounds for dimension 0 with size 4"),
    ([[True]], IndexError, "shape of the mask"),
    (1.5, IndexError, "only integers, slices")])
def test_wrong_keys(key, error, words):
    with pytest.raises(error, match=words.replace("(", r"\(")):
        torch.zeros(4, 5)[key]


def test_last_of_several_writes_stays_and_sums_run_in_order():
    x = torch.zeros(3)
    x[[0, 0, 2]] = torch.tensor([1.0, 2.0, 3.0])
    assert x.tolist() == [2, 0, 3]
    assert x.index_put((torch.tensor([1, 1]),), torch.ones(2), accumulate=True).tolist() == [2, 2, 3]
    assert torch.zeros(4).scatter_add_(0, torch.tensor([1, 1, 3]), torch.ones(3)).tolist() == [0, 2, 0, 1]


def test_writes_over_own_memory():
    x = torch.arange(4.0)
    x.index_add_(0, torch.tensor([1, 0, 3, 2]), x)
    assert x.tolist() == [1, 1, 5, 5]
    y = torch.zeros(2, 3).t()
    y.index_copy_(0, torch.tensor([2]), torch.ones(1, 2))
    assert y.tolist() == [[0, 0], [0, 0], [1, 1]]


def test_scatter_threads_do_not_change_bits():
    from numtorch.kernels import jit
    rng = np.random.default_rng(0)
    src = torch.from_numpy(rng.standard_normal((50_000, 8)).astype(np.float32))
    index = torch.from_numpy(rng.integers(0, 50, 50_000))
    before, results = jit.pool.count, []
    try:
        for n in (1, 2, 3):
            jit.set_num_threads(n)
            results.append(torch.zeros(50, 8).index_add_(0, index, src).numpy().copy())
    finally:
        jit.set_num_threads(before)
    assert all((r == results[0]).all() for r in results)


def test_gradient_of_a_repeated_index_adds_up():
    x = torch.ones(3, 2, requires_grad=True)
    x[[0, 0, 2]].sum().backward()
    assert x.grad.tolist() == [[2, 2], [0, 0], [1, 1]]


def test_gradient_through_writes():
    x = torch.ones(4, requires_grad=True)
    v = torch.tensor([2.0, 3.0], requires_grad=True)
    y = x * 2
    y[1:3] = v
    y[[0]] = v[:1]
    (y * torch.arange(4.0)).sum().backward()
    assert x.grad.tolist() == [0, 0, 0, 6]
    assert v.grad.tolist() == [1, 2]


def test_split_is_views_with_one_gradient():
    x = torch.arange(6.0, requires_grad=True)
    a, b, c = x.split(2)
    assert b.storage_offset() == 2
    (a.sum() + 2 * c.sum()).backward()
    assert x.grad.tolist() == [1, 1, 0, 0, 2, 2]


def test_cat_skips_empty_vectors_and_promotes():
    x = torch.ones(2, 3)
    assert torch.cat([torch.empty(0), x, x.long()]).shape == (4, 3)
    assert torch.cat([x.long(), x.double()]).dtype is torch.float64
    with pytest.raises(RuntimeError, match="Sizes of tensors must match except in dimension 0. Expected size "
                                           "3"):
        torch.cat([x, x[:, :2]])
    with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size"):
        torch.stack([x, x[0]])


@pytest.mark.parametrize("shape, repeats", [((2, 3), (2, 2)), ((3,), (2, 1, 2)), ((), (3,))])
def test_repeat_is_tile(shape, repeats):
    a = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    np.testing.assert_array_equal(torch.from_numpy(a).repeat(*repeats).numpy(), np.tile(a, repeats))


def test_half_types_move_bit_by_bit():
    for dtype in (torch.float16, torch.bfloat16, torch.complex64, torch.complex128, torch.bool, torch.int8):
        x = torch.arange(12).reshape(3, 4).to(dtype)
        order = torch.tensor([2, 0])
        for y in (x[[2, 0]], x.index_select(0, order), torch.cat([x[2:], x[:1]]), torch.stack([x[2], x[0]])):
            assert y.dtype is dtype and torch.equal(y, torch.arange(12).reshape(3, 4)[[2, 0]].to(dtype))
