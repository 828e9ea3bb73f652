"""Products, norms, triangles against NumPy."""
import numpy as np
import pytest

import numtorch as torch

SHAPES = [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
          ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((6, 1, 2, 3), (5, 3, 4)), ((5, 2, 3), (3,)),
          ((3,), (5, 3, 4)), ((0, 3), (3, 4)), ((2, 0), (0, 4)), ((2, 1, 0), (0, 3))]


@pytest.mark.parametrize("a, b", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int8", "complex64"])
def test_matmul_broadcasts_as_numpy(a, b, dtype):
    rng = np.random.default_rng(0)
    x, y = (rng.integers(-4, 4, s).astype(dtype) for s in (a, b))
    np.testing.assert_array_equal((torch.from_numpy(x) @ torch.from_numpy(y)).numpy(), x @ y)


@pytest.mark.parametrize("a, b", SHAPES[:10], ids=str)
def test_matmul_gradient(a, b):
    rng = np.random.default_rng(0)
    x, y = (torch.from_numpy(rng.standard_normal(s)).requires_grad_() for s in (a, b))
    assert torch.autograd.gradcheck(torch.matmul, (x, y))


def test_transposed_and_strided_operands():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((6, 8)), rng.standard_normal((8, 10))
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    for i, j, want in ((x, y, a @ b), (y.t(), x.t(), b.T @ a.T), (x[::2], y[:, ::3], a[::2] @ b[:, ::3]),
                       (x[:, :1].expand(6, 8), y, a[:, :1].repeat(8, 1) @ b)):
        np.testing.assert_allclose((i @ j).numpy(), want, rtol=1e-12, atol=1e-12)


def test_integer_products_wrap_around():
    a = np.full((2, 3), 2**61 + 1)
    np.testing.assert_array_equal((torch.from_numpy(a) @ torch.from_numpy(a.T)).numpy(), a @ a.T)


def test_half_products_sum_in_float():
    x = torch.full((1, 4096), 1.0).half()
    assert (x @ x.t()).item() == 4096
    assert (x.bfloat16() @ x.bfloat16().t()).dtype is torch.bfloat16


def test_addmm_with_beta_0_ignores_nan():
    x, nan = torch.ones(2, 2), torch.full((2, 2), float("nan"))
    assert torch.addmm(nan, x, x, beta=0).tolist() == [[2, 2], [2, 2]]
    assert torch.addmm(x[0], x, x, alpha=3, beta=2).tolist() == [[8, 8], [8, 8]]
    y = x.clone()
    assert y.addmm_(x, x) is y and y.tolist() == [[3, 3], [3, 3]]


@pytest.mark.parametrize("equation, shapes", [
    ("ij,jk->ik", [(2, 3), (3, 4)]), ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]), ("ij->ji", [(2, 3)]),
    ("ii", [(3, 3)]),
    ("ii->i", [(3, 3)]), ("ij->", [(2, 3)]), ("i,j->ij", [(2,), (3,)]), ("ij,ij->i", [(2, 3), (2, 3)]),
    ("...ij,...jk->...ik", [(2, 1, 3, 4), (5, 4, 2)]), ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
    ("i,ij,j->", [(2,), (2, 3), (3,)]), ("ik,jk,k->ij", [(2, 3), (4, 3), (3,)]),
    ("abc,cd->dab", [(2, 3, 4), (4, 5)])])
def test_einsum(equation, shapes):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in shapes]
    got = torch.einsum(equation, *[torch.from_numpy(a) for a in arrays])
    np.testing.assert_allclose(got.numpy(), np.einsum(equation, *arrays), rtol=1e-12, atol=1e-12)


def test_products_over_products():
    rng = np.random.default_rng(0)
    a, b, c = rng.standard_normal((2, 3)), rng.standard_normal((3, 4)), rng.standard_normal((2, 3, 4))
    x, y, z = map(torch.from_numpy, (a, b, c))
    for got, want in ((torch.tensordot(z, y, ([1, 2], [0, 1])), np.tensordot(c, b, ([1, 2], [0, 1]))),
                      (torch.kron(x, y), np.kron(a, b)), (torch.outer(x[0], y[0]), np.outer(a[0], b[0])),
                      (torch.inner(x, x), np.inner(a, a)), (torch.tril(y, 1), np.tril(b, 1)),
                      (torch.triu(z), np.triu(c)), (torch.diag(y), np.diag(b)),
                      (torch.diag(x[0], 1), np.diag(a[0], 1)),
                      (torch.cdist(x, x), np.linalg.norm(a[:, None] - a[None], axis=-1)),
                      (y.norm(), np.linalg.norm(b)), (y.norm(3, 1), np.linalg.norm(b, 3, 1))):
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("call, words", [
    (lambda: torch.ones(2, 1024) @ torch.ones(784, 10), "mat1 and mat2 shapes cannot be multiplied (2x1024 "
                                                        "and 784x10)"),
    (lambda: torch.ones(2, 3).mm(torch.ones(3, 4).double()),
     "expected m1 and m2 to have the same dtype, but got: float != double"),
    (lambda: torch.ones(2, 3, 4) @ torch.ones(3, 4, 5), "The size of tensor a (2) must match the size of "
                                                        "tensor b (3)"),
    (lambda: torch.ones(3).dot(torch.ones(2)), "inconsistent tensor size, expected tensor [3] and src [2]"),
    (lambda: torch.tensor(1.0) @ torch.ones(2), "both arguments to matmul need to be at least 1D"),
    (lambda: torch.einsum("ij,jk", torch.ones(2, 3), torch.ones(2, 3)), "einsum(): subscript j has size 2 "
                                                                        "for operand 1")])
def test_errors(call, words):
    with pytest.raises(RuntimeError) as e:
        call()
    assert words in str(e.value)
