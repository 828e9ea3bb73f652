"""Reprs of random tensors against PyTorch's, character by character."""
import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import numtorch
from numtorch import printing
from numtorch.tensor import tensor_from

KINDS = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int8", "uint8", "bool", "complex64",
         "complex128")
OPTIONS = [
    {}, {"profile": "short"}, {"profile": "full"}, {"precision": 0}, {"precision": 7}, {"threshold": 10},
    {"edgeitems": 0, "threshold": 20}, {"edgeitems": 1, "threshold": 5}, {"edgeitems": 5, "threshold": 30},
    {"linewidth": 10}, {"linewidth": 40}, {"linewidth": 120}, {"sci_mode": True}, {"sci_mode": False},
    {"precision": 2, "sci_mode": True}]
nan, inf = float("nan"), float("inf")


def numbers(rng: random.Random, shape: list[int]) -> np.ndarray:
    """Numbers of one of several ranges, some of them special."""
    gen = np.random.default_rng(rng.getrandbits(32))
    x = gen.standard_normal(shape)
    x = rng.choice([
        lambda: x, lambda: np.round(x * rng.choice([1, 10, 1000, 1e5])),
        lambda: x * 10.0 ** rng.randint(0, 12), lambda: x * 10.0 ** -rng.randint(0, 12),
        lambda: x * 10.0 ** gen.normal(0, 3, shape), lambda: x * (gen.random(shape) < 0.3),
        lambda: np.full(shape, rng.choice([0.0, -0.0, 1, 0.1, 1e-5, 1e9])),
        lambda: x * rng.choice([1e300, 1e-300, 1e38, 1e-40])])()
    flat = np.array(x, dtype=float).reshape(-1)
    if rng.random() < 0.3 and flat.size:
        for _ in range(rng.randint(1, 4)):
            flat[rng.randrange(flat.size)] = rng.choice([nan, inf, -inf, 0.0, -0.0])
    return flat.reshape(shape)


@pytest.mark.parametrize("given", OPTIONS, ids=str)
def test_reprs(given):
    rng = random.Random(str(given))
    try:
        for t in (torch, printing):
            t.set_printoptions(profile="default")
            t.set_printoptions(**given)
        for _ in range(120):
            kind = rng.choice(KINDS)
            shape = [rng.choice([0, 1, 2, 3, 5, 7, 11, 30]) for _ in range(rng.choice([0, 1, 1, 2, 2, 3]))]
            shape = [rng.choice([999, 1001])] if rng.random() < 0.1 else shape
            x = numbers(rng, shape)
            d = getattr(torch, kind)
            if d.is_complex:
                x = torch.complex(torch.tensor(x), torch.tensor(numbers(rng, shape))).to(d)
            elif d.is_floating_point:
                x = torch.tensor(x).to(d)
            else:
                x = torch.tensor(np.clip(np.nan_to_num(x), -1e6, 1e6)).to(d)
            want, grad = repr(x), x.dtype.is_floating_point and x.numel() > 0 and rng.random() < 0.2
            bits = x.view(torch.uint16).numpy() if kind == "bfloat16" else x.numpy()
            y = tensor_from(bits, getattr(numtorch, kind))
            assert repr(y) == want
            if grad:
                assert repr(y.requires_grad_()) == repr(x.requires_grad_())
                assert repr(y * 1) == repr(x * 1)
            assert repr(numtorch.empty(shape, dtype=y.dtype, device="meta")) == \
                repr(torch.empty(shape, dtype=d, device="meta"))
    finally:
        for t in (torch, printing):
            t.set_printoptions(profile="default")
            t.set_printoptions()
