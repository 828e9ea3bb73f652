"""Emitted CUDA kernels: every pointwise and reduction entry, run in the emulator, against the CPU's result.

A sample of them is compiled to cubins where numba-cuda is installed."""
import inspect
import math

import numpy as np
import pytest

pytest.importorskip("greenlet")
import numtorch  # fills the registry too
from numtorch import dispatch, kinds
from numtorch import dtypes as D
from numtorch.devices import device
from numtorch.kernels import emit
from numtorch.kernels.cuda import compiler, emulator, template
from numtorch.layouts import Layout, contiguous
from numtorch.storage import Storage
from numtorch.tensor import Tensor, ndarray_of, tensor_from

POINTWISE = [op for op in dispatch.registry.values() if isinstance(op, kinds.Pointwise)]
REDUCTIONS = [op for op in dispatch.registry.values() if isinstance(op, kinds.Reduction)
              and op.dtype is not kinds.INTEGERS]
O = emit.Operand


def launch(text: emit.Text, grid: int, block: int, seed: int = 0, **args) -> None:
    """Run a kernel in the emulator on arguments given by name."""
    function = text.function()
    values = [args[p] for p in inspect.signature(function).parameters]
    emulator.launch(function, grid, block, values, seed=seed)


@pytest.fixture(autouse=True)
def emulated(monkeypatch):
    """The dispatcher's backend of the emulated device."""
    monkeypatch.setenv("NUMTORCH_CUDA", "emulate")
    return dispatch.backend(device("cuda", 0))


def on_device(t: Tensor) -> Tensor:
    """`t` with its whole memory copied to the emulated device."""
    out = t.detach()
    memory = dispatch.backend(device("cuda", 0)).upload(t.storage.array)
    out.storage = Storage(memory, device("cuda", 0), memory.nbytes)
    out.layout = Layout(t.layout.shape, t.layout.strides, t.layout.offset)
    return out


def from_device(t: Tensor) -> np.ndarray:
    host = t.detach()
    host.storage = Storage(dispatch.backend(t.device).download(t.storage.array))
    return ndarray_of(host)


def close(got: np.ndarray, want: np.ndarray, d: D.dtype, tolerance: float = 1e-5) -> None:
    """Both in the memory type of `d`; as wide floats."""
    if d is D.bfloat16:
        got, want = ((a.astype(np.uint32) << 16).view(np.float32) for a in (got, want))
        tolerance = 2e-2
    elif d is D.float16:
        got, want, tolerance = got.astype(np.float32), want.astype(np.float32), 2e-3
    if d.category >= D.FLOAT:
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(got, want)


def sample(shape, d: D.dtype, low: float = -4.0, high: float = 4.0, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    if d is D.bool:
        return tensor_from(rng.random(shape) < 0.5)
    if d.category == D.INT:
        return tensor_from(rng.integers(max(math.ceil(low), 0 if d is D.uint8 else -99), int(high) + 1, shape)
                           .astype(d.numpy))
    x = low + (high - low) * (0.02 + 0.96 * rng.random(shape))
    if d.is_complex:
        return tensor_from((x + 1j * rng.standard_normal(shape)).astype(d.numpy))
    if d is D.bfloat16:
        return tensor_from((x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16), D.bfloat16)
    return tensor_from(np.asarray(x, d.numpy))


def arguments(op, shape, d: D.dtype) -> dict:
    """Tensors in the domain of `op` for its tensor parameters, its defaults or 2 for the numbers."""
    low, high = (0, 4) if "shift" in op.name else op.domain      # no shift by a negative count
    args = {}
    for k, p in enumerate(op.params):
        if p in op.numbers:
            default = op.signature.parameters[p].default
            args[p] = 2.0 if default is inspect.Parameter.empty else default
        else:
            args[p] = sample(shape, D.bool if p in op.free else d, low, high, k)
    return args


def compare(op, args: dict) -> None:
    want = op(*args.values())
    got = op(*[on_device(v) if isinstance(v, Tensor) else v for v in args.values()])
    for g, w in zip(got if isinstance(got, tuple) else (got,), want if isinstance(want, tuple) else (want,)):
        assert g.storage.device.type == "cuda" and g.dtype is w.dtype and g.layout.shape == w.layout.shape
        close(from_device(g), ndarray_of(w), w.dtype)


def category_of(op) -> D.dtype:
    """float32, or another type for an op that takes no floats."""
    if op.only is None or D.FLOAT in op.only:
        return D.float32
    return {D.INT: D.int64, D.BOOL: D.bool, D.COMPLEX: D.complex64}[max(op.only)]


# Pointwise


@pytest.mark.parametrize("op", POINTWISE, ids=lambda op: op.name)
def test_pointwise_entry_matches_the_cpu(op):
    compare(op, arguments(op, (67,), category_of(op)))


def named(*names):
    """Pointwise entries, by name or by the name of their scalar form (`mul.op`)."""
    found = {op.name.partition(".")[0]: op for op in POINTWISE[::-1]}
    return [found[n] for n in names]


TYPES = (D.float64, D.int64, D.int32, D.uint8, D.bool, D.float16, D.bfloat16, D.complex64)


@pytest.mark.parametrize("d", TYPES, ids=lambda d: d.name)
def test_types(d):
    for op in named("mul", "eq", "where", "copy"):
        compare(op, arguments(op, (35,), d))


@pytest.mark.parametrize("op", named("mul", "where", "exp"), ids=lambda op: op.name)
@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 199])
def test_sizes(op, n, emulated):
    compare(op, arguments(op, (n,), D.float32))


def views(x: Tensor) -> list[Tensor]:
    """Tensors of shape (4, 3, 5) over the memory of `x`: transposed, stepped, broadcast, shifted."""
    made = []
    for strides, offset in (((1, 20, 4), 0), ((30, 10, 2), 1), ((15, 5, 1), 7), ((0, 5, 1), 0),
                            ((5, 0, 0), 2), ((15, 5, 3), 4)):
        t = x.detach()
        t.layout = contiguous((4, 3, 5)).at((4, 3, 5), strides, offset)
        made.append(t)
    return made


def test_strided_and_broadcast_operands(emulated):
    op, = named("mul")
    x, y = views(sample((130,), D.float32)), views(sample((130,), D.float32, seed=1))
    for a, b in zip(x, y[1:] + y[:1]):
        compare(op, {"x": a, "y": b})
    assert any(template.is_per_element(text) for text in emulated._texts.values())


def test_a_row_kernel_becomes_one_loop_over_elements():
    ins = [O("x", "float32"), O("y", "float32", -1)]
    text = template.pointwise("mul", lambda b, v: [b.binary("*", *v)], ins, [O("out", "float32")], 2)
    x, y = np.arange(24.0, dtype=np.float32), np.arange(50.0, dtype=np.float32)
    out = np.full(24, np.nan, np.float32)
    launch(text, 2, 32, lo=0, hi=6, out=out, x=x, y=y, n1=3, n=4, o_out=0, s0_out=12, s1_out=4,
           o_x=0, s0_x=12, s1_x=4, o_y=0, s0_y=24, s1_y=8, s_y=2)
    grid = np.add.outer(np.add.outer(np.arange(2) * 24, np.arange(3) * 8), np.arange(4) * 2)
    assert (out == x * y[grid].ravel()).all()
    assert text.source.count("for ") == 1


# Reductions


@pytest.mark.parametrize("op", REDUCTIONS, ids=lambda op: op.name)
def test_reduction_entry_matches_the_cpu(op):
    for shape, dim in (((7, 33), (1,)), ((5, 40), (0,)), ((3, 4, 5), None)):
        d = D.float32
        compare_reduction(op, sample(shape, d, 0.5, 1.5), dim)


def compare_reduction(op, x: Tensor, dim) -> None:
    want, got = op(x, dim), op(on_device(x), dim)
    assert got.dtype is want.dtype and got.layout.shape == want.layout.shape
    close(from_device(got), ndarray_of(want), want.dtype)


def fold_of(kind: str) -> emit.Fold:
    return {"sum": emit.Fold(_plus, 0), "mean": emit.Fold(_plus, 0, _divide),
            "max": emit.Fold(_larger, "lowest"), "any": emit.Fold(_either, False)}[kind]


def _plus(acc, x):
    return acc + x


def _divide(acc, n):
    return acc / n


def _larger(acc, x):
    return x if (x > acc) or (x != x) else acc


def _either(acc, x):
    return acc or x


NUMPY = {"sum": np.sum, "mean": np.mean, "max": np.max, "any": np.any}
FORMS = [(template.reduce_rows, 32), (template.reduce_rows, 64), (template.reduce_rows, 96),
         (template.reduce_tiles, 1), (template.reduce_tiles, 3)]


@pytest.mark.parametrize("kind, d", [("sum", "float32"), ("mean", "float64"), ("max", "float32"),
                                     ("max", "int64"), ("any", "bool"), ("sum", "complex64"),
                                     ("sum", "int64")])
@pytest.mark.parametrize("form, share", FORMS, ids=lambda v: getattr(v, "__name__", v))
def test_every_form_of_reduction(kind, d, form, share):
    rng = np.random.default_rng(0)
    threads = share * 32 if form is template.reduce_tiles else max(share, 64)
    for rows, length in ((1, 0), (1, 1), (3, 31), (35, 65), (2, 700)):
        if kind == "mean" and length == 0:
            continue
        x = (rng.standard_normal((rows, length)) * 4).astype(np.int64 if d in ("int64", "bool") else d)
        x = (np.abs(x) > 9).astype(bool) if d == "bool" else x
        text = form("f", fold_of(kind), O("x", d, 1), O("out", d), d, 1, 1, share)
        out = np.full(rows, -1).astype(d)
        results = []
        for seed in range(2):
            launch(text, 2, threads, seed, lo=0, hi=rows, out=out, x=x.ravel(), o_out=0, s0_out=1, o_x=0,
                   s0_x=length, count=length, m0=length)
            results.append(out.tobytes())
        assert results[0] == results[1]
        want = NUMPY[kind](x, axis=1) if length else np.full(rows, emit.limit(fold_of(kind).init, d), d)
        np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-5)


def test_reduced_dimensions_that_are_not_neighbours():
    x = np.random.default_rng(0).standard_normal((4, 5, 6, 7)).astype(np.float32)
    want = x.sum(axis=(0, 2))                    # kept: 5 × 7, reduced: 4 × 6
    sizes = dict(n1=7, o_out=0, s0_out=7, s1_out=1, o_x=0, s0_x=42, s1_x=1, count=24, m0=4, m1=6, z0=210)
    for form, share in FORMS:
        text = form("f", fold_of("sum"), O("x", "float32", -1), O("out", "float32"), "float32", 2, 2, share)
        out = np.full(35, np.nan, np.float32)
        threads = share * 32 if form is template.reduce_tiles else max(share, 64)
        launch(text, 2, threads, lo=0, hi=35, out=out, x=x.ravel(), s_x=7, **sizes)
        np.testing.assert_allclose(out.reshape(5, 7), want, rtol=1e-5, atol=1e-5)


def test_backend_reduces_rows_and_columns(emulated):
    x = np.random.default_rng(0).standard_normal((40, 50)).astype(np.float32)
    for axis, across, (out_step, x_step, reduced) in ((1, False, (1, 50, 1)), (0, True, (1, 1, 50))):
        rows, length = x.shape[1 - axis], x.shape[axis]
        out = emulated.device.allocate(rows, np.float32)
        last = [reduced] if across else []
        args = (out, emulated.upload(x), 0, 0, out_step, x_step, length, length, *last)
        emulated.reduce(("sum", across), "f", fold_of("sum"), O("x", "float32", -1 if across else 1),
                        O("out", "float32"), "float32", 1, 1, rows, length, across, args)
        np.testing.assert_allclose(emulated.download(out), x.sum(axis=axis), rtol=1e-5, atol=1e-5)


def test_an_update_is_a_launch_for_each_parameter(emulated):
    params = [numtorch.randn(n) for n in (5, 40)]
    mine = [on_device(p.clone()).requires_grad_() for p in params]
    for p in params:
        p.requires_grad_()
    a, b = numtorch.optim.AdamW(params), numtorch.optim.AdamW(mine)
    for _ in range(2):
        for p, q in zip(params, mine):
            p.grad = numtorch.randn(p.shape)
            q.grad = on_device(p.grad)
        before = emulated.device.launches
        a.step(), b.step()
    assert emulated.device.launches == before + 2
    for p, q in zip(params, mine):
        np.testing.assert_array_equal(from_device(q), ndarray_of(p.detach()))


def test_block_reduce_wants_whole_warps():
    with pytest.raises(ValueError, match="multiple of 32 threads up to 1024, got 48"):
        template.block_reduce("float32", ["total = total + other"], "0", 48)


# Compiled


needs_compiler = pytest.mark.skipif(not compiler.available(),
                                    reason="numba-cuda and cuda-core are not installed (extra `cuda`)")


def compiled(text: emit.Text, cc=(9, 0)) -> compiler.Report:
    code, entry, report = compiler.compile(text.function(), text.signature, cc)
    assert code[:4] == b"\x7fELF" and entry.startswith(text.name) and entry.encode() in code
    assert report.registers > 0 and report.spill_stores == report.spill_loads == 0
    return report


def text_of(op, d: D.dtype) -> emit.Text:
    args = arguments(op, (1,), d)
    kind, result = op.types(list(args.values()))
    name = dispatch.compute_name(kind)
    ins = [O(p + "_", args[p].dtype.name) if isinstance(args[p], Tensor) else
           O(p + "_", D.of_scalar(args[p]).name if isinstance(args[p], int) else "float64", 0, True)
           for p in op.params]
    outs = [O(f"out{k}", result.name) for k in range(op.results)]
    return template.pointwise("k_" + op.name.replace(".", "_"), op.build(name), ins, outs, None)


@needs_compiler
@pytest.mark.parametrize("op", POINTWISE[::6], ids=lambda op: op.name)
def test_pointwise_entry_compiles(op):
    for cc in ((8, 0), (9, 0)):
        assert compiled(text_of(op, category_of(op)), cc).shared == 0


@needs_compiler
@pytest.mark.parametrize("kind, d", [("sum", "float32"), ("max", "int64"), ("any", "bool"),
                                     ("sum", "complex64")])
@pytest.mark.parametrize("form, share", FORMS[::2], ids=lambda v: getattr(v, "__name__", v))
def test_reduction_compiles(kind, d, form, share):
    report = compiled(form("f", fold_of(kind), O("x", d, 1), O("out", d), d, 1, 2, share))
    width = {"float32": 8, "int64": 8, "bool": 1, "complex64": 16}[d]
    warps = 0 if form is template.reduce_rows and share == 32 else \
        share // 32 if form is template.reduce_rows else 32 * share
    assert report.shared == warps * width and report.stack == 0


@needs_compiler
def test_half_types_and_intrinsics_compile():
    for memory in ("float16", "bfloat16"):
        text = template.pointwise("half", lambda b, v: [b.math("exp", (v[0],))], [O("x", memory)],
                                  [O("out", memory)], None)
        compiled(text)
        ptx = compiler.compile(text.function(), text.signature, output="ptx")[0]
        assert compiler.double_instructions(ptx) == []


@needs_compiler
def test_float32_map_has_no_float64_instruction():
    for op in named("exp", "mul", "tanh", "gelu_erf", "sigmoid"):
        text = text_of(op, D.float32)
        ptx = compiler.compile(text.function(), text.signature, output="ptx")[0]
        assert compiler.double_instructions(ptx) == [], op.name


@needs_compiler
def test_compile_errors_name_the_kernel():
    def broken(lo, hi, out):
        out[lo] = "text"
    with pytest.raises(compiler.CompileError, match="the kernel 'broken' does not compile for CUDA"):
        compiler.compile(broken, ("int64", "int64", "*float32"))


@pytest.mark.skipif(compiler.available(), reason="numba-cuda is installed")
def test_without_the_extra_compile_says_what_to_install():
    with pytest.raises(ImportError, match=r"numtorch\[cuda\]"):
        compiler.compile(lambda out: None, ("*float32",))
