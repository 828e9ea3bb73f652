"""How tensors print: recorded reprs of PyTorch 2.13."""
import math

import pytest

import numtorch as t

inf, nan = math.inf, math.nan


@pytest.fixture(autouse=True)
def default_options():
    from numtorch.printing import set_printoptions
    yield set_printoptions(profile="default")
    set_printoptions(profile="default")


CASES = [
    (lambda: t.tensor([1.0, 2, 3]), "tensor([1., 2., 3.])"),
    (lambda: t.tensor([1.5, nan, -inf]), "tensor([1.5000,    nan,   -inf])"),
    (lambda: t.tensor([1e-5, 1.0]), "tensor([1.0000e-05, 1.0000e+00])"),
    (lambda: t.tensor([1e9, 2.0]), "tensor([1.0000e+09, 2.0000e+00])"),
    (lambda: t.tensor(3.14159), "tensor(3.1416)"),
    (lambda: t.tensor(7), "tensor(7)"),
    (lambda: t.tensor([True, False]), "tensor([ True, False])"),
    (lambda: t.tensor([1 + 2j, -0.5 - 1j]), "tensor([ 1.0000+2.j, -0.5000-1.j])"),
    (lambda: t.zeros(0, 3), "tensor([], size=(0, 3))"),
    (lambda: t.tensor([]), "tensor([])"),
    (lambda: t.tensor([], dtype=t.int64), "tensor([], dtype=torch.int64)"),
    (lambda: t.arange(2000), "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"),
    (lambda: t.ones(2, dtype=t.bfloat16), "tensor([1., 1.], dtype=torch.bfloat16)"),
    (lambda: t.tensor([1.0, inf], dtype=t.float16), "tensor([1., inf], dtype=torch.float16)"),
    (lambda: t.tensor([[[1, 2], [3, 4]], [[5, 6], [7, -8]]]),
     "tensor([[[ 1,  2],\n         [ 3,  4]],\n\n        [[ 5,  6],\n         [ 7, -8]]])"),
    (lambda: t.zeros(2, 3, device="meta"), "tensor(..., device='meta', size=(2, 3))"),
    (lambda: t.ones(1, requires_grad=True), "tensor([1.], requires_grad=True)"),
    (lambda: t.ones(1, requires_grad=True) * 2, "tensor([2.], grad_fn=<MulBackward0>)"),
    (lambda: t.tensor([0.1] * 12, dtype=t.float64),
     "tensor([0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000,\n"
     "        0.1000, 0.1000, 0.1000], dtype=torch.float64)"),
    (lambda: t.tensor([[1.0, 2], [3, 4]]).t(), "tensor([[1., 3.],\n        [2., 4.]])")]


@pytest.mark.parametrize("make, want", CASES)
def test_recorded(make, want):
    assert repr(make()) == want == str(make())


def test_options():
    from numtorch.printing import get_printoptions, printoptions, set_printoptions
    x = t.tensor([1.23456, 20.0])
    with printoptions(precision=2):
        assert repr(x) == "tensor([ 1.23, 20.00])"
    assert get_printoptions()["precision"] == 4
    set_printoptions(sci_mode=True)
    assert repr(x) == "tensor([1.2346e+00, 2.0000e+01])"
    set_printoptions(profile="short", threshold=3, edgeitems=1)
    assert repr(t.arange(9)) == "tensor([0,  ..., 8])"
    set_printoptions(profile="full", linewidth=30)
    assert repr(t.arange(12)) == "tensor([ 0,  1,  2,  3,  4,\n         5,  6,  7,  8,  9,\n        10, 11])"
    with pytest.raises(ValueError, match="profile"):
        set_printoptions(profile="loud")


def test_default_dtype_is_not_named():
    t.set_default_dtype(t.float64)
    try:
        assert repr(t.ones(1)) == "tensor([1.], )".replace(", )", ")")
        assert repr(t.ones(1, dtype=t.float32)) == "tensor([1.], dtype=torch.float32)"
    finally:
        t.set_default_dtype(t.float32)
