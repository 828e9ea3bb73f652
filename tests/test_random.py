"""The random streams against recorded numbers, and the laws they must obey."""
import hashlib
import math
import os
import subprocess
import sys

import numpy as np
import pytest

import numtorch as t


def digest(x) -> str:
    return hashlib.sha256(x.numpy().tobytes()).hexdigest()[:16]


def test_recorded_numbers():
    # PyTorch 2.13 on the CPU after manual_seed(0), one call after the other.
    t.manual_seed(0)
    assert t.rand(3).tolist() == [0.49625658988952637, 0.7682217955589294, 0.08847743272781372]
    assert t.randn(2).tolist() == [0.3643381893634796, 0.13439632952213287]
    assert t.randn(17)[:3].tolist() == [-2.1152193546295166, 0.46809640526771545, -0.1577124446630478]
    assert t.randint(100, (4,)).tolist() == [78, 43, 96, 89]
    assert t.randperm(6).tolist() == [1, 3, 5, 4, 0, 2]
    assert t.bernoulli(t.full((5,), 0.5)).tolist() == [1, 0, 0, 0, 0]
    assert t.multinomial(t.tensor([0.1, 0.2, 0.7]), 2).tolist() == [2, 1]
    drawn = t.empty(2, dtype=t.float64).exponential_()
    assert drawn.tolist() == pytest.approx([1.6601643487369664, 0.9958489890258401], rel=1e-15)
    kept = t.nn.functional.dropout(t.ones(8), 0.25)
    assert kept.ne(0).tolist() == [True, True, True, False, True, True, False, True]
    assert kept.max().item() == np.float32(4 / 3)
    assert digest(t.get_rng_state()) == "3af7569233ac0505"


def test_recorded_digests():
    t.manual_seed(1)
    assert digest(t.randn(1000)) == "5107d171dce8fcf8"
    assert digest(t.rand(1000)) == "3e82d681dc81aad3"
    assert digest(t.randperm(5000)) == "8bdd2f35d2963423"


def test_compiled_and_plain_kernels_agree():
    code = "import numtorch as t; t.manual_seed(1); print(t.randn(100).tolist(), t.randperm(5000).tolist())"
    got = [subprocess.run([sys.executable, "-c", code], env={**os.environ, "NUMBA_DISABLE_JIT": off},
                          check=True, capture_output=True, text=True).stdout for off in "01"]
    assert got[0] == got[1] and len(got[0]) > 5000


def test_state_round_trip_with_a_spare_number():
    g = t.Generator().manual_seed(3)
    t.randn(3, generator=g)
    state = g.get_state()
    assert state.dtype is t.uint8 and state.shape == (5056,)
    want = t.randn(40, generator=g), t.randn(1, generator=g)
    g.set_state(state)
    assert t.equal(t.randn(40, generator=g), want[0]) and t.equal(t.randn(1, generator=g), want[1])
    damaged = state.clone()
    damaged[8] = 77
    with pytest.raises(RuntimeError, match="Invalid mt19937 state"):
        g.set_state(damaged)


def test_fork_rng():
    t.manual_seed(5)
    want = t.rand(4)
    t.manual_seed(5)
    with t.random.fork_rng():
        t.manual_seed(9)
        t.rand(1000)
    assert t.equal(t.rand(4), want)
    assert t.initial_seed() == 5
    assert t.seed() == t.initial_seed() != 5


def test_meta_tensors_draw_nothing():
    t.manual_seed(5)
    t.rand(3, device="meta"), t.randn(20, device="meta"), t.nn.functional.dropout(t.ones(3, device="meta"))
    assert t.equal(t.rand(3), (t.manual_seed(5), t.rand(3))[1])


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "float64"])
def test_uniform_is_half_open(kind):
    t.manual_seed(0)
    x = t.empty(20_000, dtype=getattr(t, kind)).uniform_(1, 1.01).double()
    assert x.min().item() >= 1 and x.max().item() < 1.0101
    assert t.rand(20_000, dtype=getattr(t, kind)).max().item() < 1


def test_moments():
    t.manual_seed(0)
    n = 100_000
    laws = {"uniform_": ((), 0.5, 1 / 12), "normal_": ((1, 2), 1, 4), "exponential_": ((2,), 0.5, 0.25),
            "geometric_": ((0.25,), 4, 12), "bernoulli_": ((0.3,), 0.3, 0.21),
            "log_normal_": ((0, 0.5), math.exp(0.125), (math.exp(0.25) - 1) * math.exp(0.25))}
    for name, (args, mean, variance) in laws.items():
        x = getattr(t.empty(n), name)(*args).numpy().astype(float)
        assert abs(x.mean() - mean) < 5 * math.sqrt(variance / n), name
        assert abs(x.var() / variance - 1) < 0.1, name
    for rate in (0.5, 3.0, 50.0):
        x = t.poisson(t.full((3000,), rate)).numpy().astype(float)
        assert abs(x.mean() - rate) < 5 * math.sqrt(rate / 3000)
    for count, p in ((5, 0.3), (100, 0.4), (100, 0.9)):
        x = t.binomial(t.full((3000,), float(count)), t.full((3000,), p)).numpy().astype(float)
        assert abs(x.mean() - count * p) < 5 * math.sqrt(count * p * (1 - p) / 3000)


def test_permutations_and_samples_are_valid():
    for n in (0, 1, 2, 100, 10_000):
        assert sorted(t.randperm(n).tolist()) == list(range(n))
    drawn = t.multinomial(t.tensor([[0.0, 1.0, 2.0, 0.0, 3.0]] * 50), 3)
    assert all(sorted(row) == [1, 2, 4] for row in drawn.tolist())
    assert set(t.multinomial(t.tensor([0.0, 1.0, 0.0]), 20, replacement=True).tolist()) == {1}


def test_gradient_of_a_fill_is_zero():
    x = t.ones(3, requires_grad=True)
    y = x * 2
    y.uniform_()
    (y * y).sum().backward()
    assert x.grad.tolist() == [0, 0, 0]
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used"):
        x.normal_()
    with t.no_grad():
        x.normal_()


def test_views_and_versions():
    x = t.zeros(4, 4)
    x[1:3, ::2].uniform_(1, 2)
    assert (x != 0).sum().item() == 4
    before = x._version
    x.normal_()
    assert x._version == before + 1
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        t.zeros(3).expand(2, 3).uniform_()


def test_dropout_is_the_identity_outside_training():
    x = t.ones(5)
    for f in ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"):
        y = t.ones(2, 3, 4) if "1d" in f else t.ones(2, 3, 4, 5) if "2d" in f else t.ones(2, 3, 1, 4, 5)
        f = getattr(t.nn.functional, f)
        assert f(y, 0.5, False) is y
    assert t.nn.functional.dropout(x, 0.0) is x
    assert t.nn.functional.dropout(x, 1.0).tolist() == [0] * 5


def test_wrong_generator():
    with pytest.raises(RuntimeError, match="META device type"):
        t.Generator("meta")
    with pytest.raises(RuntimeError, match="manual_seed expected a long, but got float"):
        t.Generator().manual_seed(1.5)
