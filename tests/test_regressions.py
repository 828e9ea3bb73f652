"""Defects found once, kept from coming back: each test failed before its fix."""
from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import numtorch as torch
from numtorch.dispatch import registry
from numtorch.kernels import jit


# ---------------------------------------------------------------------------------------------- plans
def test_plans_follow_the_default_dtype():
    a = torch.arange(3)
    before = [(a + 0.5).dtype, a.exp().dtype, (a / 2).dtype]
    torch.set_default_dtype(torch.float64)
    try:
        after = [(a + 0.5).dtype, a.exp().dtype, (a / 2).dtype]
    finally:
        torch.set_default_dtype(torch.float32)
    assert before == [torch.float32] * 3 and after == [torch.float64] * 3
    assert (a + 0.5).dtype is torch.float32


@pytest.mark.parametrize(("number", "want"),
                         [(np.complex64(1j), 1j), (np.bool_(True), 1.0), (np.float32(2), 2.0),
                          (np.int16(3), 3.0)], ids=str)
def test_numpy_scalars_a_second_time(number, want):
    x = torch.ones(2)
    for _ in range(3):
        assert (x * number).tolist() == [want, want]
        assert torch.mul(x, number).tolist() == [want, want]


# ---------------------------------------------------------------------------------------------- in place
def test_second_order_through_in_place_ops():
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    y = x * 1
    y.sin_()
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x)
    assert torch.allclose(h, -x.detach().sin())
    w = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    y = x * 1
    y.mul_(w)
    (g,) = torch.autograd.grad(y.sum(), w, create_graph=True)
    (h,) = torch.autograd.grad((g * g).sum(), x)
    assert torch.equal(h, 2 * x.detach())


def test_in_place_comparison_ends_the_history():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    y.eq_(1)
    assert y.tolist() == [1.0, 0.0]
    (y.sum() + (x * 3).sum()).backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_changed_index_tensors_are_noticed():
    x = torch.zeros(4, requires_grad=True)
    index = torch.tensor([0, 1])
    y = x[index]
    index.add_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


# --------------------------------------------------------------------------------------------- scalar meaning
def test_complex_division_by_zero_writes_every_element():
    x = torch.tensor([1 + 1j, 2 - 1j, 3 + 0j, 4 + 4j])
    y = torch.tensor([1 + 0j, 0j, 2 + 0j, 0 + 2j])
    q = x / y
    assert q.tolist()[0] == 1 + 1j and q.tolist()[2] == 1.5 and q.tolist()[3] == 2 - 2j
    assert q[1].real.item() == np.inf and q[1].imag.item() == -np.inf
    big = torch.complex(torch.ones(100_000), torch.ones(100_000))
    big[7] = 0
    assert (1 / big)[8:].tolist() == [0.5 - 0.5j] * (100_000 - 8)
    assert (x / 0).isinf().all()
    assert (torch.tensor([1e300 + 1e300j], dtype=torch.complex128) / (1e300 + 1e300j)).tolist() == [1 + 0j]


def test_zero_to_complex_powers():
    z = torch.zeros(3, dtype=torch.complex128)
    got = (z ** torch.tensor([1 + 2j, 0j, 2 + 0j], dtype=torch.complex128)).tolist()
    assert got == [0, 1, 0]


@pytest.mark.parametrize("dtype", (torch.int8, torch.int32, torch.int64), ids=str)
def test_negative_integer_powers(dtype):
    a, b = [0, 0, 0, 1, -1, -1, 2, -2, 7], [-1, -2, 0, -5, -5, -4, -1, -2, 2]
    got = torch.tensor(a, dtype=dtype) ** torch.tensor(b, dtype=dtype)
    assert got.tolist() == [0, 0, 1, 1, -1, 1, 0, 0, 49]


def test_the_lowest_integer_over_minus_one():
    low = -2 ** 63
    assert (torch.tensor([low, 7, -7]) // -1).tolist() == [low, -7, 7]
    assert (torch.tensor([low, 7, -7]) // torch.tensor([-1, 2, 2])).tolist() == [low, 3, -4]


@pytest.mark.parametrize("dtype", (torch.uint8, torch.int8, torch.int32, torch.int64), ids=str)
def test_shifts_past_the_width(dtype):
    n = 8 * dtype.itemsize
    x = torch.tensor([5, 5, 5, 5], dtype=dtype)
    by = torch.tensor([1, n - 1, n, 100], dtype=dtype)
    assert (x << by).tolist()[2:] == [0, 0] and (x >> by).tolist() == [2, 0, 0, 0]
    if dtype.is_signed:
        assert (-x >> by).tolist() == [-3, -1, -1, -1]
        assert (x << torch.tensor([-1, -2, -3, -4], dtype=dtype)).tolist() == [0] * 4
    assert (torch.tensor([1]) << 64).tolist() == [0]


@pytest.mark.parametrize("dtype", (torch.complex64, torch.complex128), ids=str)
def test_complex_numbers_have_no_order(dtype):
    z = torch.tensor([1j, 2.0], dtype=dtype)
    title = "ComplexFloat" if dtype is torch.complex64 else "ComplexDouble"
    for call in (lambda: z.amax(), lambda: z.amin(0), lambda: torch.atan2(z, z),
                 lambda: torch.atan2(z[::2], z[:1])):
        with pytest.raises(NotImplementedError, match=f"not implemented for '{title}'"):
            call()


# ---------------------------------------------------------------------------------------------- kernels
def _made(source: str):
    space: dict = {}
    exec(source, space)
    return space


def test_a_kernel_that_stops_early_says_so():
    fn = _made("def k(lo, hi, o, x, y):\n    for i in range(lo, hi):\n        o[i] = x[i] / y[i]\n")["k"]
    if jit.DISABLED or jit.CHECKED:
        pytest.skip("compiled kernels only")
    native = jit.compile(fn, ("int64", "int64", "*complex128", "*complex128", "*complex128"))
    o, x = np.zeros(3, complex), np.ones(3, complex)
    for run in (native.call, native.free):
        with pytest.raises(jit.KernelError, match="stopped before its end"):
            run(0, 3, o, x, np.array([1, 0, 1], complex))
        run(0, 3, o, x, x)
    assert o.tolist() == [1, 1, 1]


def test_cached_kernels_find_numba_functions(tmp_path):
    """A cached kernel may call Numba's runtime (complex powers) in a process that never compiled."""
    code = ("import numtorch as t; z = t.ones(3, dtype=t.complex128) * 2\n"
            "print((z ** (z + 1)).real.tolist())")
    for _ in range(2):
        got = subprocess.run([sys.executable, "-c", code],
                             env={**os.environ, "NUMTORCH_CACHE": str(tmp_path)},
                             capture_output=True, text=True)
        assert got.returncode == 0, got.stderr
        assert np.allclose(eval(got.stdout), 8)


def test_content_hash_names_the_functions_called():
    f, g = jit.device(lambda x: x + 1), jit.device(lambda x: x + 2)

    def hashed(first, second):
        space = {"f": f, "g": g}
        exec(f"def both(x):\n    return f(x) + g(x)\ndef k(lo, hi, o):\n    o[0] = d(o[1]) + {first}(o[2]) * "
             f"{second}(o[3])\n", space)
        space["d"] = jit.device(space["both"])
        return jit.content_hash(space["k"], ("int64", "int64", "*float64"))
    assert len({hashed("f", "f"), hashed("f", "g"), hashed("g", "f"), hashed("g", "g")}) == 4


def test_equal_kernels_load_once():
    if jit.DISABLED or jit.CHECKED:
        pytest.skip("compiled kernels only")
    source = "def k(lo, hi, o):\n    for i in range(lo, hi):\n        o[i] = 3.25\n"
    signature = ("int64", "int64", "*float64")
    assert jit.compile(_made(source)["k"], signature) is jit.compile(_made(source)["k"], signature)


def test_plain_kernels_see_the_types_that_pointers_have():
    code = ("import numtorch as t; x = t.tensor([1.0]).view(t.int32)\n"
            "print((x + 1).item(), (x * x).item(), (x == 1).item())")
    out = subprocess.run([sys.executable, "-c", code], env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
                         capture_output=True, text=True, check=True).stdout.split()
    assert out == ["1065353217", "0", "False"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_fork_while_another_thread_compiles():
    """The child must not inherit the compiler's lock held by a thread that it does not have."""
    held, release = threading.Event(), threading.Event()

    def hold():
        with jit._lock:
            held.set()
            release.wait(5)
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(5)
    threading.Timer(0.2, release.set).start()
    pid = os.fork()
    if pid == 0:
        free = jit._lock.acquire(timeout=2)
        os._exit(0 if free else 1)
    thread.join()
    end = time.monotonic() + 10
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        time.sleep(0.01)
    else:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        pytest.fail("the child hangs")
    assert status == 0


def test_remembered_views_ask_for_the_same_arguments():
    x = torch.arange(6.0).reshape(2, 3)
    for _ in range(2):
        assert x.transpose(0, 1).shape == (3, 2) and x.expand(()[:0] + (4, 2, 3)).shape == (4, 2, 3)
        assert x[1, 0].item() == 3 and x[:, 1:2].shape == (2, 1) and x[None].shape == (1, 2, 3)
        for wrong in (lambda: x.transpose(0.0, 1), lambda: x.select(0, 2), lambda: x[2], lambda: x[0, 0, 0]):
            with pytest.raises((TypeError, IndexError)):
                wrong()
    assert torch.ones(()).expand(()).shape == ()


def test_remembered_views_are_bounded():
    from numtorch.dispatch import PLANS
    for n in range(1, PLANS + 100):
        torch.empty(n, 1).select(0, n - 1)
    assert len(registry["select"].seen) <= PLANS


def test_plans_are_bounded(monkeypatch):
    """Shapes that never repeat do not take memory for ever."""
    from numtorch import dispatch
    from numtorch.ops import convert
    monkeypatch.setattr(dispatch, "PLANS", 16)
    tables = [registry[name].plans for name in ("softmax", "sum", "mul", "add.op")] + [convert._moves]
    for table in tables:
        table.clear()
    for n in range(2, 60):
        x = torch.ones(n, 2)
        y = (torch.softmax(x, 1).sum(0) * x).double()
        assert (x.int() + y).shape == (n, 2)
    assert all(0 < len(table) <= 16 for table in tables[1:])
    assert len(tables[0]) <= 16


def test_the_kernel_cache_is_bounded(tmp_path, monkeypatch):
    """Of more than the limit, the entries used last stay."""
    monkeypatch.setenv("NUMTORCH_CACHE", str(tmp_path / "kernels"))
    cache = jit.Cache()
    monkeypatch.setattr(cache, "limit", 10_000)
    for i in range(20):
        cache.write(f"k{i}", bytes(968))
        os.utime(tmp_path / "kernels" / f"k{i}.o", (i, i))
    assert cache.read("k3") == bytes(968)
    cache.trim()
    left = sorted(p.stem for p in (tmp_path / "kernels").iterdir())
    assert "k3" in left and "k19" in left and "k4" not in left and len(left) == 7


def test_fast_paths_pass_errors_on():
    """An error of the tape, of a hook or of a rule is the caller's: the operation does not run again."""
    calls = []

    def pack(t):
        calls.append(t)
        raise TypeError("of the hook")
    x = torch.ones(3, requires_grad=True)
    for f in (lambda: x.exp(), lambda: x * x, lambda: x * 2.0):
        calls.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            try:
                f()
            except TypeError as e:
                assert str(e) == "of the hook"
        assert len(calls) <= 1
    bits = torch.ones(3).view(torch.int32)
    assert (bits + 1).tolist() == [1065353217] * 3 and (-bits).tolist() == [-1065353216] * 3


def test_second_derivatives_of_a_running_product_with_a_zero():
    x = torch.tensor([2.0, 0.0, 3.0], dtype=torch.float64, requires_grad=True)
    g, = torch.autograd.grad(x.cumprod(0).sum(), x, create_graph=True)
    assert g.tolist() == [1.0, 8.0, 0.0]
    h, = torch.autograd.grad(g.sum(), x)  # d/dx of 1 + b + bc, a + ac, ab
    assert h.tolist() == [4.0, 6.0, 2.0]


def test_a_second_derivative_through_a_saved_integer_result():
    x = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    g, = torch.autograd.grad((torch.frexp(x)[0] ** 2).sum(), x, create_graph=True)
    h, = torch.autograd.grad(g.sum(), x)
    assert h.item() == 0.125


def test_gradients_of_leaves_lie_like_them():
    dense = torch.ones(4, 6).t().requires_grad_()
    holes = torch.ones(4, 6)[:, ::2].requires_grad_()
    ((dense * 1.0).sum() + (holes * 1.0).sum()).backward()
    assert dense.grad.stride() == (1, 6) and holes.grad.stride() == (3, 1)


def test_memory_formats_reach_results():
    x = torch.ones(2, 4, 6, 6).to(memory_format=torch.channels_last)
    w = torch.ones(3, 4, 3, 3)
    out = torch.nn.functional.max_pool2d(torch.relu(torch.nn.functional.conv2d(x, w)), 2)
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert torch.cat([x, x], 1).stride() == (288, 1, 48, 8)
    assert x.softmax(1).is_contiguous()
    assert torch.linalg.inv(torch.eye(3)).stride() == (1, 3)


def test_results_whose_rule_needs_another_result_may_be_written_to():
    x = torch.arange(24.0).view(2, 3, 2, 2).requires_grad_()
    F = torch.nn.functional
    for f in (lambda: F.batch_norm(x, None, None, training=True), lambda: F.layer_norm(x, (2, 2)),
              lambda: F.group_norm(x, 3), lambda: F.max_pool2d(x, 2), lambda: x.max(1).values,
              lambda: x.sort(1).values, lambda: x.topk(2).values, lambda: x.cummax(1).values):
        want, = torch.autograd.grad(f().mul(3).pow(2).sum(), x)
        y = f()
        y *= 3
        got, = torch.autograd.grad(y.pow(2).sum(), x)
        assert torch.allclose(got, want, atol=1e-4)
