"""Tests made from the entries: every pointwise and reduction op, every view, by the same rules.

Forward against the body run as plain Python in float64; the kernel's text as Python against the kernel; meta
against the result; gradients against finite differences, first and second order; strides, zero sizes, 0-d;
NaN and inf."""
from __future__ import annotations

import math
import os
import zlib

import numpy as np
import pytest

import numtorch as torch
from numtorch import dtypes as D
from numtorch.dispatch import registry
from numtorch.kernels import emit, jit
from numtorch.kinds import INTEGERS, RESERVED, Pointwise, Reduction
from numtorch.tensor import ndarray_of, tensor_from

POINTWISE = [op for op in registry.values() if isinstance(op, Pointwise)]
REDUCTIONS = [op for op in registry.values() if isinstance(op, Reduction) and op.dtype is not INTEGERS]
ALL = os.environ.get("NUMTORCH_TESTS") == "all"
# Relative error allowed against the float64 oracle: a few roundings of the type.
EPS = {D.float32: 2e-6, D.float64: 4e-15, D.bfloat16: 8e-3, D.float16: 1e-3}
name = lambda op: op.name


def rng(op) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(op.name.encode()))


def category(op) -> D.dtype:
    """A dtype the op accepts: float32 unless it is for integers or complex numbers only."""
    if op.only is None or D.FLOAT in op.only:
        return D.float32
    return D.int64 if D.INT in op.only else D.complex64 if D.COMPLEX in op.only else D.bool


def values(op, shape, dtype: D.dtype, g: np.random.Generator) -> list:
    """Sample operands: tensors for the op's tensor parameters, a number for its numbers."""
    out = []
    for p in op.params:
        if p in op.numbers:
            out.append(2 if dtype.category < D.FLOAT else 0.75)
        elif p in op.free:
            out.append(tensor_from(g.integers(0, 2, shape).astype(bool)))
        elif dtype.category == D.INT:
            out.append(tensor_from(g.integers(1, 7, shape)).to(dtype))
        elif dtype.category == D.BOOL:
            out.append(tensor_from(g.integers(0, 2, shape).astype(bool)))
        elif dtype.is_complex:
            out.append(tensor_from((g.normal(size=shape) + 1j * g.normal(size=shape)).astype(np.complex64)))
        else:
            lo, hi = op.domain
            out.append(tensor_from(g.uniform(lo, hi, shape)).to(dtype))
    return out


def oracle(op, args: list):
    """The body on Python numbers, element by element."""
    arrays = np.broadcast_arrays(*[ndarray_of(a.detach().double() if a.dtype.is_floating_point else a) if
                                   isinstance(a, torch.Tensor) else a for a in args])
    body = jit.plain_body(op.body)
    n = len(op.params) - len(op.numbers)
    rows = [body(*[a.flat[i].item() for a in arrays[:n]],
                 **{k: arrays[n + j].flat[i].item() for j, k in enumerate(op.numbers)})
            for i in range(arrays[0].size)]
    return rows if op.results == 1 else [list(c) for c in zip(*rows)]


def call(op, args: list):
    return op.apply(tuple(args))


def close(got: torch.Tensor, want, eps: float) -> None:
    a = ndarray_of(got.double() if got.dtype.is_floating_point else got)
    w = np.asarray(want, dtype=a.dtype if a.dtype.kind != "b" else bool).reshape(a.shape)
    if a.dtype.kind in "fc":
        np.testing.assert_allclose(a, w, rtol=eps, atol=eps)
    else:
        np.testing.assert_array_equal(a, w)


@pytest.mark.parametrize("op", POINTWISE, ids=name)
def test_pointwise_against_its_body(op):
    dtype = category(op)
    args = values(op, (5, 7), dtype, rng(op))
    got = call(op, args)
    want = oracle(op, args)
    for g, w in zip(got if op.results > 1 else [got], want if op.results > 1 else [want]):
        close(g, w, EPS.get(g.dtype, 1e-5))


@pytest.mark.parametrize("op", POINTWISE, ids=name)
def test_pointwise_layouts_agree(op):
    """Strided, broadcast, 0-d, empty and meta inputs give what dense ones give."""
    dtype, g = category(op), rng(op)
    args = values(op, (6, 4), dtype, g)
    want = call(op, args)
    strided = [a if not isinstance(a, torch.Tensor) else a.t().clone().t() if i % 2 else
               torch.stack([a, a], 1).reshape(12, 4)[::2] for i, a in enumerate(args)]
    got = call(op, strided)
    for a, b in zip(got if op.results > 1 else [got], want if op.results > 1 else [want]):
        assert torch.equal(a.nan_to_num() if a.dtype.is_floating_point else a,
                           b.nan_to_num() if b.dtype.is_floating_point else b)
    tensors = [isinstance(a, torch.Tensor) for a in args]
    scalars = [a[0, 0] if t else a for a, t in zip(args, tensors)]
    one = call(op, scalars)
    assert (one[0] if op.results > 1 else one).shape == ()
    none = call(op, [a[:0] if t else a for a, t in zip(args, tensors)])
    assert (none[0] if op.results > 1 else none).shape == (0, 4)
    meta = call(op, [a.to("meta") if t else a for a, t in zip(args, tensors)])
    full = call(op, args)
    for m, r in zip(meta if op.results > 1 else [meta], full if op.results > 1 else [full]):
        assert (m.shape, m.dtype, m.stride(), m.device.type) == (r.shape, r.dtype, r.stride(), "meta")


SMOOTH = [op for op in POINTWISE if op.rules and (op.only is None or D.FLOAT in op.only)]


@pytest.mark.parametrize("op", SMOOTH, ids=name)
def test_pointwise_gradients(op):
    args = values(op, (3,), D.float64, rng(op))
    for p, a in zip(op.params, args):
        # Entries that users reach must have a rule for every input; inner ones only promise those they list.
        if isinstance(a, torch.Tensor) and a.dtype is D.float64 and (op.at or p in op.rules):
            a.requires_grad_()
    if op.name in FLAT:
        loss = call(op, args).sum()
        loss.backward()
        assert all(not a.grad.any() for a in args if isinstance(a, torch.Tensor) and a.grad is not None)
        return
    fn = lambda *xs: call(op, list(xs))
    assert torch.autograd.gradcheck(fn, args)
    assert torch.autograd.gradgradcheck(fn, args, atol=1e-4)


# Piecewise constant: the gradient is zero, which finite differences over a step do not see.
FLAT = {"sign", "floor.float", "ceil.float", "trunc.float", "round.float", "heaviside"}


@pytest.mark.parametrize("op", [op for op in POINTWISE if op.only is None or D.FLOAT in op.only], ids=name)
def test_kernel_text_is_its_python(op):
    """The text that numba compiles, run as Python, gives the kernel's numbers."""
    g = rng(op)
    kinds = D.float32, op.dtype(D.float32)[1]
    ins = [emit.Operand(p + "_" if p in RESERVED else p, "bool" if p in op.free else "float32")
           for p in op.tensors] + [emit.Operand(p + "_" if p in RESERVED else p, "float64", 0, True)
                                 for p in op.numbers]
    outs = [emit.Operand(f"out{i}", kinds[1].name) for i in range(op.results)]
    text = emit.pointwise(op.name, op.build("float32"), ins, outs, None)
    args = [ndarray_of(v) if isinstance(v, torch.Tensor) else v for v in values(op, (16,), D.float32, g)]
    compiled, plain = ([np.zeros(16, kinds[1].numpy) for _ in outs] for _ in range(2))
    text.native().call(0, 16, *compiled, *args)
    jit.plain(text.function())(0, 16, *plain, *args)
    for a, b in zip(compiled, plain):
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=4e-7, atol=1e-7)
        else:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("op", [op for op in POINTWISE if op.only is None or D.FLOAT in op.only
                                if not op.name.endswith("_grad")], ids=name)
def test_nan_and_inf_pass_through(op):
    """What the body gives for NaN and infinities, the kernel gives."""
    special = np.array([math.nan, math.inf, -math.inf, 0.0, 1.0])
    n = len(op.tensors)
    grid = [a.reshape(-1) for a in np.meshgrid(*[special] * n, indexing="ij")]
    args: list = [tensor_from(a if p not in op.free else a > 0) for p, a in zip(op.tensors, grid)]
    args += [0.5] * len(op.numbers)
    got = call(op, args)
    want = oracle(op, args)
    for g, w in zip(got if op.results > 1 else [got], want if op.results > 1 else [want]):
        if g.dtype.is_floating_point:
            np.testing.assert_allclose(ndarray_of(g), np.asarray(w, dtype=float), rtol=1e-14)
        else:
            np.testing.assert_array_equal(ndarray_of(g), np.asarray(w, dtype=ndarray_of(g).dtype))


HALF = POINTWISE if ALL else POINTWISE[::6]


@pytest.mark.parametrize("op", [op for op in HALF if op.only is None or D.FLOAT in op.only], ids=name)
@pytest.mark.parametrize("dtype", (D.bfloat16, D.float16), ids=str)
def test_half_types_round_once(op, dtype):
    args = values(op, (9,), dtype, rng(op))
    got = call(op, args)
    wide = call(op, [a.float() if isinstance(a, torch.Tensor) and a.dtype is dtype else a for a in args])
    for g, w in zip(got if op.results > 1 else [got], wide if op.results > 1 else [wide]):
        assert torch.equal(g.nan_to_num(), w.to(g.dtype).nan_to_num()), (g, w)


def reduce_oracle(op, a: np.ndarray, axes: tuple[int, ...]):
    body = jit.plain_body(op.body)
    moved = np.moveaxis(a, axes, range(-len(axes), 0)) if axes else a[..., None]
    shape = moved.shape[:moved.ndim - max(len(axes), 1)]
    rows = moved.reshape(int(np.prod(shape)), -1)
    out = []
    for row in rows:
        acc = emit.limit(op.fold.init, "float64")
        for v in row:
            x = v.item()
            acc = body(acc, x if op.fold.before is None else op.fold.before(x))
        out.append(op.fold.finish(acc, len(row)) if op.fold.finish else acc)
    boolean = op.dtype(D.float64)[1] is D.bool
    return np.array(out, dtype=bool if boolean else float).astype(float).reshape(shape)


CASES = [((5,), None), ((4, 6), 0), ((4, 6), 1), ((4, 6), (0, 1)), ((3, 4, 5), (0, 2)), ((3, 4, 5), 1),
         ((2, 33, 17), 0), ((70_001,), None)]


@pytest.mark.parametrize("op", REDUCTIONS, ids=name)
@pytest.mark.parametrize(("shape", "dim"), CASES, ids=str)
def test_reductions_against_their_body(op, shape, dim):
    g = rng(op)
    a = (g.uniform(0.9, 1.1, shape) if "prod" in op.name else g.normal(size=shape))
    if "prod" in op.name and a.size > 1000:
        a = 1 + (a - 1) * 1e-4
    x = torch.tensor(a)
    axes = tuple(range(x.ndim)) if dim is None else (dim,) if isinstance(dim, int) else dim
    want = reduce_oracle(op, ndarray_of(x), axes) if a.size < 1000 else None
    for t in (x, x.float(), x.flip(0).flip(0), x.t().contiguous().t() if x.ndim == 2 else x):
        for keepdim in (False, True):
            got = op.apply({"x": t, "dim": dim, "keepdim": keepdim, "dtype": None})
            if want is not None:
                np.testing.assert_allclose(ndarray_of(got.double()).reshape(want.shape), want,
                                           rtol=2e-6 if t.dtype is D.float32 else 1e-12, atol=1e-6)
            meta = op.apply({"x": t.to("meta"), "dim": dim, "keepdim": keepdim, "dtype": None})
            assert (meta.shape, meta.dtype) == (got.shape, got.dtype)
    if a.size >= 1000:
        big = ndarray_of(op.apply({"x": x, "dim": dim, "keepdim": False, "dtype": None}).double())
        numpy = {"sum": np.sum, "mean": np.mean, "amax": np.max, "amin": np.min, "prod.op": np.prod}
        if op.name in numpy:
            np.testing.assert_allclose(big, numpy[op.name](ndarray_of(x), axis=dim), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("op", [op for op in REDUCTIONS if op.rules], ids=name)
@pytest.mark.parametrize("dim", (None, 0, (0, 2)), ids=str)
def test_reduction_gradients(op, dim):
    x = torch.tensor(rng(op).uniform(0.5, 2, (2, 3, 2)), requires_grad=True)
    for keepdim in (False, True):
        fn = lambda t, keepdim=keepdim: op.apply({"x": t, "dim": dim, "keepdim": keepdim, "dtype": None})
        assert torch.autograd.gradcheck(fn, (x,))
        assert torch.autograd.gradgradcheck(fn, (x,))


def test_offsets_are_not_part_of_a_plan():
    """A plan made for a view at offset 0 must not serve the same view elsewhere."""
    x = torch.arange(12, dtype=torch.uint8).reshape(3, 4)
    rows = [0.5 * x[i] for i in range(3)]
    assert torch.equal(torch.stack(rows), 0.5 * x)
    y = torch.empty(3, 4)
    for i in range(3):
        y[i].copy_(x[i])
        y[i].mul_(2)
    assert torch.equal(y, x * 2.0)


def test_threads_do_not_change_bits():
    """The same bits for 1 and 2 threads."""
    x = torch.randn(300_000)
    m = torch.randn(700, 900)
    before = torch.get_num_threads()
    results = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            results.append([x.sum(), x.tanh(), m.sum(0), m.sum(1), m.mean(), (m.t() + 1).sum(),
                            m.exp().sum(1)])
    finally:
        torch.set_num_threads(before)
    for a, b in zip(*results):
        assert np.array_equal(ndarray_of(a), ndarray_of(b))


def test_every_entry_says_what_it_does():
    for op in registry.values():
        assert op.doc, f"{op.name} has no docstring"
        for key in op.rules:
            assert key in op.params, f"{op.name} has a rule for {key}, which is not a parameter"
