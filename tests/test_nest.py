"""The two printers of kernels: every pointwise and reduction entry, random expressions and row kernels give
the same bits through numba and through LLVM IR."""
from __future__ import annotations

import math
import os
import zlib

import numpy as np
import pytest

import numtorch  # noqa: F401  (fills the registry)
from numtorch import dtypes as D
from numtorch.dispatch import compute_name, registry
from numtorch.kernels import emit, jit, llvm, passes, special
from numtorch.kernels.expr import MEMORY, Block, inline
from numtorch.kinds import RESERVED, Pointwise, Reduction

POINTWISE = [op for op in registry.values() if isinstance(op, Pointwise)]
REDUCTIONS = [op for op in registry.values() if isinstance(op, Reduction)]
ALL = os.environ.get("NUMTORCH_TESTS") == "all"
DTYPES = ("float32", "float64", "bfloat16", "float16", "bool", "uint8", "int8", "int16", "int32", "int64",
          "uint16", "uint32", "uint64", "complex64", "complex128", "complex32")
SIZES = (0, 1, 127, 129, 5000)
pytestmark = pytest.mark.skipif(jit.DISABLED or jit.CHECKED, reason="both printers are compiled here")
name = lambda op: op.name


def memory(dtype: str) -> np.dtype:
    return np.dtype(MEMORY[dtype][0] if dtype in MEMORY else "uint8" if dtype == "bool" else dtype)


def sample(g: np.random.Generator, dtype: str, n: int, domain=(-4.0, 4.0)) -> np.ndarray:
    """`n` elements as memory holds them, with NaN, infinities, zeros and extremes among floats."""
    if dtype == "bool":
        return g.integers(0, 2, n).astype(np.uint8)
    if "int" in dtype:
        return g.integers(0, 200, n).astype(dtype) - g.integers(0, 3, n).astype(dtype)
    lo, hi = domain
    x = g.uniform(lo, hi, n)
    if n > 8:
        x[g.integers(0, n, 5)] = [math.nan, math.inf, -math.inf, 0.0, -0.0]
    if dtype == "complex32":
        return np.stack([x, x[::-1]], 1).astype(np.float16).view(np.uint32)[:, 0]
    if dtype.startswith("complex"):
        return (x + 1j * g.uniform(lo, hi, n)).astype(dtype)
    x = x.astype("float32" if dtype in MEMORY else dtype)
    if dtype == "bfloat16":
        return (x.view(np.uint32) >> 16).astype(np.uint16)
    return x.astype(np.float16).view(np.uint16) if dtype == "float16" else x


def same(a: np.ndarray, b: np.ndarray, dtype: str) -> None:
    """Equal bits, but for which NaN it is."""
    if dtype in MEMORY:
        to = (lambda v: (v.astype(np.uint32) << 16).view(np.float32)) if dtype == "bfloat16" else (
            lambda v: np.ascontiguousarray(v).view(np.float16))
        a, b = to(a), to(b)
    if a.dtype.kind == "c":
        a, b = (v.view("float32" if v.dtype == np.complex64 else "float64") for v in (a, b))
    if a.dtype.kind == "f":
        nan = np.isnan(a)
        np.testing.assert_array_equal(nan, np.isnan(b))
        a, b = (np.where(nan, 0, v).astype(v.dtype).view(f"u{v.itemsize}") for v in (a, b))
    np.testing.assert_array_equal(a, b)


def both(nest: emit.Nest, items: int, outs: list[tuple[int, str]], args: list) -> None:
    """Run a nest through both printers; the outputs, given as (size, type), are equal."""
    kernels = nest.text().native(), llvm.compile([nest])[0]
    results = []
    for k in kernels:
        made = [np.full(n, 7, memory(d)) for n, d in outs]
        k.call(0, items, *made, *args)
        results.append(made)
    for a, b, (_, d) in zip(*results, outs):
        same(a, b, d)


def types_of(op, dtype: str) -> tuple[str, str] | None:
    """(type computed in, type of the result) of an entry for operands of a type; None where it refuses."""
    try:
        compute, kind = op.dtype(D.by_name[dtype])
    except (TypeError, RuntimeError, NotImplementedError, KeyError):
        return None
    only = getattr(op, "only", None)
    if only is not None and compute.category not in only:
        return None
    return compute_name(compute), kind.name


def pointwise(op, dtype: str, layout: str) -> None:
    types = types_of(op, dtype)
    if types is None:
        return
    compute, kind = types
    g = np.random.default_rng(zlib.crc32(f"{op.name} {dtype}".encode()))
    step = {"dense": 1, "strided": -1, "broadcast": 1}[layout]
    depth = None if layout == "dense" else 1
    title = lambda p: p + "_" if p in RESERVED else p
    ins, args, numbers = [], [], []
    for k, p in enumerate(op.params):
        if p in op.numbers:
            ins.append(emit.Operand(title(p), "float64", 0, True))
            numbers.append(0.75)
        else:
            d = "bool" if p in op.free else dtype
            ins.append(emit.Operand(title(p), d, 0 if layout == "broadcast" and k == 1 else step))
            args.append(sample(g, d, 4 * max(SIZES) + 8, op.domain))
    outs = [emit.Operand("out" if op.results == 1 else f"out{i}", kind, 1) for i in range(op.results)]
    try:
        nest = emit.pointwise(op.name, op.build(compute), ins, outs, depth)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, AssertionError):
        return  # the body has no form for these types, and no kernel is made
    try:
        nest.text().native()
    except jit.KernelError:
        return
    tensors = [o for o in ins if not o.scalar]
    for n in SIZES:
        if depth is None:
            both(nest, n, [(n, kind)] * op.results, args + numbers)
            continue
        if n == 0:
            continue
        strides = [n] * op.results + [n if o.step else 1 for o in tensors]
        inner = [3 for o in tensors if o.step == -1]
        both(nest, 2, [(2 * n, kind)] * op.results,
             args + numbers + [0] * op.results + [1] * len(tensors) + strides + inner + [n])


LAYOUTS = ("dense", "strided", "broadcast")
CASES = [(op, d, layout) for op in POINTWISE for d in DTYPES for layout in LAYOUTS
         if ALL or zlib.crc32(f"{op.name}{d}{layout}".encode()) % 300 == 0]


@pytest.mark.parametrize(("op", "dtype", "layout"), CASES, ids=lambda v: getattr(v, "name", v))
def test_pointwise(op, dtype, layout):
    pointwise(op, dtype, layout)


def reduction(op, dtype: str, form: str) -> None:
    types = types_of(op, dtype)
    if types is None or (types[0].startswith("complex") and op.fold.init in ("lowest", "highest")):
        return
    compute, kind = types
    g = np.random.default_rng(zlib.crc32(f"{op.name} {dtype}".encode()))
    x = sample(g, dtype, 40_000, (0.9, 1.1))
    O, fold, big = emit.Operand, op.fold, emit.wide(compute)
    if form == "rows":
        for step in (1, -1):
            nest = emit.reduce_rows(op.name, fold, O("x", dtype, step), O("out", kind), compute, 1, 1)
            for n in SIZES:
                size = n if step == 1 else n // 3
                both(nest, 3, [(3, kind)], [x, 0, 1, 1, n, size, size] + ([3] if step == -1 else []))
    elif form == "nested":
        nest = emit.reduce_rows(op.name, fold, O("x", dtype, 1), O("out", kind), compute, 2, 2)
        both(nest, 6, [(6, kind)], [x, 0, 2, 3, 3, 1, 50, 1000, 5 * 7, 5, 7, 9])
    elif form == "columns":
        nest = emit.reduce_columns(op.name, fold, O("x", dtype, 1), O("out", kind), compute, 0, 2)
        scratch = np.zeros(1500, memory(big))
        both(nest, 2, [(1500, kind)], [x, scratch, 0, 1, 12, 2, 1500, 1, 3, 4, 6000, 1500])
    else:
        nest = emit.reduce_chunks(op.name, fold, O("x", dtype, 1), O("out", big), compute)
        both(nest, 3, [(3, big)], [x, 10_000, 29_999, 1])


KINDS = ("rows", "nested", "columns", "chunks")
FORMS = [(op, d, form) for op in REDUCTIONS for d in DTYPES for form in KINDS
         if ALL or zlib.crc32(f"{op.name}{d}{form}".encode()) % 60 == 0]


@pytest.mark.parametrize(("op", "dtype", "form"), FORMS, ids=lambda v: getattr(v, "name", v))
def test_reductions(op, dtype, form):
    reduction(op, dtype, form)


# ---------------------------------------------------------------------------------------- random expressions
def expression(g: np.random.Generator, block: Block, leaves: list, size: int):
    """A random DAG over `leaves`, of types of any kind."""
    values = list(leaves)
    real = lambda e: e.dtype in ("float32", "float64")
    for _ in range(size):
        a, b = (values[g.integers(len(values))] for _ in range(2))
        pick = g.integers(11)
        if pick < 3:
            values.append(block.binary("+-*"[pick], a, b))
        elif pick == 3:
            values.append(block.cast(a, str(g.choice(["int8", "uint8", "int16", "int32", "int64", "float32",
                                                      "float64"]))) if not real(a) else
                          block.cast(a, str(g.choice(["float32", "float64"]))))
        elif pick == 4:
            values.append(block.select(block.compare(str(g.choice(["<", "<=", "==", "!="])), a, b), a, b))
        elif pick == 5:
            values.append(block.binary(str(g.choice(["/", "//", "%"])), a, b))
        elif pick == 6 and not real(a) and a.dtype != "bool":
            values.append(block.binary(str(g.choice(["<<", ">>", "&", "|", "^"])), a, block.cast(b, a.dtype)
                                       if not real(b) else block.const(int(g.integers(1, 7)))))
        elif pick == 7:
            values.append(block.make("neg" if a.dtype != "bool" else "not", a.dtype, (a,)))
        elif pick == 8 and a.dtype != "bool":
            values.append(block.make("abs", a.dtype, (a,)))
        elif pick == 9:
            values.append(block.math(str(g.choice(["exp", "tanh", "sqrt", "floor", "atan"])), (a,)))
        elif pick == 10:
            values.append(block.binary("+*-"[g.integers(3)], a, block.const(int(g.integers(-9, 9)))))
    return values[-1]


@pytest.mark.parametrize("seed", range(200 if ALL else 12))
def test_random_expressions(seed):
    g = np.random.default_rng(seed)
    kinds = [str(d) for d in g.choice(DTYPES[:10], 3)]
    ins = [emit.Operand(f"x{k}", d) for k, d in enumerate(kinds)]
    made = []

    def build(block, values):
        state = g.bit_generator.state
        made.append(expression(g, block, values, 14))
        g.bit_generator.state = state
        return [made[-1]]
    emit.pointwise("probe", build, ins, [emit.Operand("out", "float64")], None)
    out = made[0].dtype or "float64"
    nest = emit.pointwise(f"random{seed}", build, ins, [emit.Operand("out", out)], None)
    both(nest, 300, [(300, out)], [sample(g, d, 300) for d in kinds])


def test_narrow_integers_wrap_at_each_step():
    """int8: (100 + 100) / 2 is -28, whatever is fused."""
    halved = lambda b, v: [b.binary("//", b.binary("+", v[0], v[0]), b.const(2))]
    for compile_ in (lambda n: n.text().native(), lambda n: llvm.compile([n])[0]):
        for d, want in (("int8", -28), ("uint8", 100), ("int16", 100)):
            nest = emit.pointwise("wrap", halved, [emit.Operand("x", d)], [emit.Operand("out", d)], None)
            out = np.zeros(4, d)
            compile_(nest).call(0, 4, out, np.full(4, 100, d))
            assert out.tolist() == [want] * 4, (d, nest.source)
    x = np.full(4, 100, np.int8)
    out = np.zeros(4, np.int8)
    nest = emit.pointwise("wrap", halved, [emit.Operand("x", "int8")], [emit.Operand("out", "int8")], None)
    jit.plain(nest.function())(0, 4, out, x)
    assert out.tolist() == [-28] * 4


def test_integer_powers_wrap():
    nest = emit.pointwise("pow", lambda b, v: [b.power(v[0], v[1])],
                          [emit.Operand("x", "int64"), emit.Operand("y", "int64")],
                          [emit.Operand("out", "int64")], None)
    x, y = np.array([3, -2, 7, 0, 1, -1, 5, 2]), np.array([70_001, 63, 0, 0, -5, -3, -1, 64])
    want = [pow(3, 70_001, 2**64), -(2**63), 1, 1, 1, -1, 0, 0]
    want = [w - 2**64 if w >= 2**63 else w for w in want]
    for k in (nest.text().native(), llvm.compile([nest])[0]):
        out = np.zeros(8, np.int64)
        k.call(0, 8, out, x, y)
        assert out.tolist() == want


# ------------------------------------------------------------------------------------------ fused rows
def layer_norm(memory: str, apart: bool = True) -> emit.Nest:
    """(x - mean) rsqrt(var + eps) w + b along rows."""
    Step, Sweep, plus = passes.Step, passes.Sweep, lambda acc, x: acc + x
    mean = emit.Fold(plus, 0.0, lambda acc, n: acc / n)
    value = lambda *args: lambda b, v, k: inline(b, args[0], v)
    program = [
        Step("load", (0,), "float32", 0, True, None), Step("load", (1,), "float32", 0, True, None),
        Step("load", (2,), "float32", 0, True, None),
        Step("fold", (0,), "float32", 1, False, (mean, "float32")),
        Step("value", (0, 3), "float32", 1, True, value(lambda x, m: x - m)),
        Step("value", (4,), "float32", 1, True, value(lambda d: d * d)),
        Step("fold", (5,), "float32", 2, False, (mean, "float32")),
        Step("value", (6,), "float32", 2, False, value(lambda v: 1.0 / math.sqrt(v + 1e-5))),
        Step("value", (4, 7, 1, 2), "float32", 2, True, value(lambda d, r, w, b: d * r * w + b)),
        Step("store", (8, 0), "", 2, True, None), Step("store", (3, 1), "", 1, False, None)]
    row = Sweep(1, (("x0", 1),))
    sweeps = [row, row, Sweep(1, (("out", 1), ("x0", 1), ("x1", 1), ("x2", 1)))]
    O = emit.Operand
    return passes.rows("layer_norm", program, [O("x0", memory), O("x1", memory), O("x2", memory)], [],
                       [O("out", memory), O("mean", "float32", 0)], 1, sweeps, apart=apart)


@pytest.mark.parametrize("memory_", ("float32", "bfloat16"))
def test_row_passes(memory_):
    g = np.random.default_rng(0)
    nest = layer_norm(memory_)
    for n in (1, 2, 127, 128, 129, 4096, 5000):
        x, w, b = sample(g, memory_, 3 * n), sample(g, memory_, n), sample(g, memory_, n)
        both(nest, 3, [(3 * n, memory_), (3, "float32")], [x, w, b, 0, 0, 0, 0, 0, n, 1, n, 0, 0, n, n, n, n])


@pytest.mark.parametrize("register", ((32, 1), (16, 0)), ids=str)
def test_narrower_vectors(register, monkeypatch):
    """What CPUs without AVX-512 get: other widths, and rests element by element."""
    monkeypatch.setattr(llvm, "registers", lambda: register)
    for name_, dtype in (("exp", "float32"), ("add.op", "int8"), ("mul", "complex64"), ("neg", "bfloat16")):
        for layout in LAYOUTS:
            pointwise(registry[name_], dtype, layout)
    reduction(registry["sum"], "float32", "rows")
    reduction(registry["amax"], "float64", "columns")


# ------------------------------------------------------------------------------------------ LLVM text
def test_device_functions_are_translated():
    """Every function of kernels/special.py has a form in LLVM IR, with numba's bits."""
    x = np.concatenate([np.linspace(-6, 30, 289), [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e300]])
    fixed = {"zeta": (3.5,), "polygamma": (2.0,), "hermite": (5.0, 2.0), "chebyshev": (9.0, 1.0, 0.0)}
    for f, fn in vars(special).items():
        if not isinstance(fn, jit.Device) or f.startswith("_") or f in ("erfc_inverse", "int_power"):
            continue
        extra = fixed.get(f, (4.0,) * (fn.fn.__code__.co_argcount - 1))
        first = f in ("zeta", "polygamma")  # the other argument comes first

        def build(b, v, fn=fn, extra=extra, first=first):
            more = tuple(b.const(e, "float64") for e in extra)
            b.bound[fn.__name__] = fn
            return [b.make("call." + fn.__name__, "float64", (*more, v[0]) if first else (v[0], *more))]
        nest = emit.pointwise(f, build, [emit.Operand("x", "float64")], [emit.Operand("out", "float64")],
                              None)
        both(nest, len(x), [(len(x), "float64")], [x])


# Entries whose kernels numba compiles, for complex numbers: those with a function in llvm.NUMBA.
BY_NUMBA = set("""
    pow.op sqrt rsqrt exp exp2 expm1 sigmoid silu_terms silu_grad logsigmoid_grad log log2 log1p
    log10 sin sinc cos tan asin acos atan sinh cosh tanh gelu_tanh gelu_tanh_grad
    asinh acosh atanh""".split())


def test_which_kernels_numba_compiles():
    """No entry needs numba but for complex numbers, and of those only the ones that are listed."""
    found = set()
    for op in [*POINTWISE, *REDUCTIONS]:
        for dtype in DTYPES:
            types = types_of(op, dtype)
            if types is None:
                continue
            try:
                if isinstance(op, Reduction):
                    nest = emit.reduce_rows(op.name, op.fold, emit.Operand("x", dtype),
                                            emit.Operand("out", types[1]), types[0], 1, 1)
                else:
                    ins = [emit.Operand(p + "_", "float64", 0, True) if p in op.numbers else
                           emit.Operand(p + "_", "bool" if p in op.free else dtype) for p in op.params]
                    outs = [emit.Operand(f"out{i}", types[1]) for i in range(op.results)]
                    nest = emit.pointwise(op.name, op.build(types[0]), ins, outs, None)
            except (TypeError, ValueError, KeyError, AttributeError, OverflowError, AssertionError):
                continue  # the body has no form for these types
            try:
                llvm.source(nest)
            except llvm.Unprintable as e:
                assert types[0].startswith("complex"), (op.name, dtype, e)
                found |= {op.name} if e.numba else set()
    assert found == BY_NUMBA


def test_complex_functions_go_through_numba():
    nest = emit.pointwise("cexp", lambda b, v: [b.math("exp", (v[0],))], [emit.Operand("x", "complex64")],
                          [emit.Operand("out", "complex64")], None)
    out = np.zeros(2, np.complex64)
    llvm.compile([nest])[0].call(0, 2, out, np.array([0, 1j], np.complex64))
    np.testing.assert_allclose(out, np.exp(np.array([0, 1j])), rtol=1e-6)
    nest = emit.pointwise("less", lambda b, v: [b.cast(b.compare("<", v[0], b.const(0.0)), "complex64")],
                          [emit.Operand("x", "complex64")], [emit.Operand("out", "complex64")], None)
    with pytest.raises(jit.KernelError, match="has no form: < of complex numbers"):
        llvm.compile([nest])


def test_no_fast_math_flag_in_emitted_code():
    nest = layer_norm("float32")
    ours, (theirs, _) = llvm.source(nest), jit.llvm_ir(nest.function(), nest.signature, True)
    for text in (ours, theirs):
        for flag in (" contract ", " reassoc ", " nsz ", " fast "):
            assert flag not in text


def test_a_pass_keeps_costly_values_in_the_output():
    """exp is folded in one pass and stored by the next: once in the text for whole vectors, once for the
    rest; never where the next pass also reads an input that may lie in the output's memory."""
    load, fold = passes.Step("load", (0,), "float32", 0, True, None), registry["sum"].fold
    exp = registry["exp"]
    value = lambda *args, level, build: passes.Step("value", args, "float32", level, True, build)
    body = lambda block, a, n: inline(block, exp.body, tuple(a))
    times = lambda block, a, n: block.make("*", "float32", tuple(a))
    program = [load, value(0, level=0, build=body), passes.Step("fold", (1,), "float32", 1, False,
                                                                (fold, "float32")),
               value(1, 2, level=1, build=times), passes.Step("store", (3, 0), "float32", 1, True, None)]
    more = [*program[:3], value(1, 0, level=1, build=times), program[4]]
    x, out = emit.Operand("x0", "float32"), emit.Operand("out0", "float32")
    sweeps = [passes.Sweep(1, (("out0", 1), ("x0", 1)))] * 2
    for steps, apart, count in ((program, False, 2), (more, True, 2), (more, False, 3)):
        nest = passes.rows("kept", steps, [x], [], [out], 1, sweeps, apart=apart)
        assert nest.source.count("rint(") == count
        both(nest, 3, [(3 * 200, "float32")], [sample(np.random.default_rng(1), "float32", 600),
                                               0, 0, 200, 200, 200, 200, 200])


def test_softmax_over_its_own_input():
    x = numtorch.randn(4, 300)
    want = x.softmax(1)
    f = numtorch.compile(lambda x: x.copy_((x * 1).softmax(1) + 0 * x))
    for _ in range(3):
        y = x.clone()
        f(y)
        assert (y == want).all()


def test_kernels_made_together_are_kept(tmp_path, monkeypatch):
    """Kernels of one module come back from disk one by one, and are made anew where the module is gone."""
    monkeypatch.setenv("NUMTORCH_CACHE", str(tmp_path))
    engines = []

    def start() -> None:
        """What a new process knows."""
        for name_, value in (("_engine", None), ("_loaded", {}), ("_linked", set()), ("cache", jit.Cache())):
            monkeypatch.setattr(jit, name_, value)
        engines.append(jit.engine())

    def check(which: slice) -> None:
        made = [emit.pointwise(f"times{k}", lambda b, v, k=k: [b.binary("*", v[0], b.const(float(k)))],
                               [emit.Operand("x", "float32")], [emit.Operand("out", "float32")], None)
                for k in range(2, 5)][which]
        for k, native in zip(range(2, 5)[which], llvm.compile(made)):
            out = np.zeros(3, np.float32)
            native.call(0, 3, out, np.ones(3, np.float32))
            assert out.tolist() == [k] * 3
    start()
    check(slice(3))
    groups = list(tmp_path.glob("g*.o"))
    assert len(groups) == 1 and len(list(tmp_path.glob("n*.o"))) == 3
    start()
    compile_ = llvm._object_code
    monkeypatch.setattr(llvm, "_object_code", None)
    check(slice(1, 2))
    check(slice(3))
    start()
    groups[0].unlink()
    monkeypatch.setattr(llvm, "_object_code", compile_)
    check(slice(3))
