"""The elementary functions of kernels/scalar.py: error in ulp against wider arithmetic, special values, equal
bits compiled and in plain Python. The special functions of kernels/special.py against SciPy."""
import functools
import math
from fractions import Fraction

import numpy as np
import pytest

from numtorch.kernels import emit, expr, jit, scalar, special

# Largest error seen over millions of arguments, in ulp, rounded up.
BOUND = {"exp": 1.1, "exp2": 1.1, "expm1": 1.9, "sigmoid": 2.1, "tanh": 1.3, "sinh": 1.8, "cosh": 1.6, "log":
         1.0, "log2": 1.2, "log10": 1.0, "log1p": 1.6, "erf": 1.7, "erfc": 2.0, "sin": 1.7, "cos": 1.7, "tan":
         1.9, "atan": 1.3, "atan2": 1.6, "asin": 1.8, "acos": 1.3, "asinh": 1.0, "acosh": 1.0, "atanh": 1.0,
         "pow": 1.4}
RANGE = {"exp": (-104, 89), "exp2": (-150, 128), "expm1": (-19, 89), "sigmoid": (-104, 20), "tanh": (-10, 10),
         "sinh": (-90, 90), "cosh": (-90, 90), "erf": (-5, 5), "erfc": (-5, 10), "asin": (-1, 1), "acos": (-1,
         1), "atanh": (-1, 1), "log1p": (-1, 3), "log": (0, 4), "log2": (0, 4), "log10": (0, 4), "acosh": (1,
         5)}
WIDE = {"sigmoid": lambda x: 1 / (1 + np.exp(-x)), "erf": np.vectorize(math.erf),
        "erfc": np.vectorize(math.erfc), "pow": np.power, "atan": np.arctan, "atan2": np.arctan2,
        "asin": np.arcsin, "acos": np.arccos, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh}
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, math.inf, -math.inf, math.nan, 1e-45,
           -1e-45, 1e-40, -1e-40, 1.1754944e-38, 3.4e38, -3.4e38, 88.72283, 88.7229, 89.5, -87.4, -100.0,
           -103.9, -104.5, 127.99999, 128.0, -149.0, -149.5, -151.0, 0.99999994, 1.0000001, 10.0, 1e5, 1e10,
           -1e10, 1e22, 1e30, 8388609.0, 16777217.0]
SPECIAL64 = [709.78, 709.79, -708.5, -745.1, -745.2, -746.0, 710.4, 710.5, 1e300, -1e300, 1.7e308, 5e-324,
             -5e-324, 1e-310, 27.2, 26.5, 1e154, 1e155, 2.0**53 + 1, -1074.0, -1074.5, 1023.999, 1e-17,
             -1e-17]
LONG = np.finfo(np.longdouble).nmant >= 63
EACH = sorted(scalar.VECTOR)


@functools.cache
def kernel(name, dtype):
    """The function over arrays, compiled as ops compile it."""
    fn = scalar.VECTOR[name, dtype]
    ins = [emit.Operand(f"x{i}", dtype) for i in range(fn.__code__.co_argcount)]
    text = emit.pointwise("k", lambda b, v: [expr.inline(b, fn, v)], ins, [emit.Operand("o", dtype)], None)
    native = text.native()

    def run(*xs):
        out = np.empty_like(xs[0])
        native.call(0, out.size, out, *xs)
        return out
    return run


def arguments(name, dtype, n):
    rng = np.random.default_rng(len(name))
    t = np.dtype(dtype)
    word = {4: np.uint32, 8: np.uint64}[t.itemsize]
    listed = np.array(SPECIAL + (SPECIAL64 if t.itemsize == 8 else []), t)
    anything = lambda: rng.integers(0, np.iinfo(word).max, n, word, endpoint=True).view(t)
    if name in ("pow", "atan2"):
        a, b = np.meshgrid(listed, listed)
        x = np.exp(rng.uniform(-80, 80, n))
        near = rng.uniform(0.5, 2, n)
        y = rng.uniform(-80, 80, n)
        whole = rng.integers(-9, 9, n)
        first = [a.ravel(), anything(), x, near, -x[:n // 4], y]
        second = [b.ravel(), anything(), y / np.log(x), y, whole[:n // 4], x]
        return [np.concatenate([np.asarray(w, t) for w in v]) for v in (first, second)]
    lo, hi = RANGE.get(name, (-30, 30))
    dense = [rng.uniform(lo, hi, n), rng.uniform(max(lo, -1), min(hi, 1.5), n)]
    return [np.concatenate([listed, anything(), *[d.astype(t) for d in dense]])]


def ulp(got, want):
    """|got - want| in units in the last place of want, in the format of got."""
    info = np.finfo(got.dtype)
    _, e = np.frexp(np.maximum(np.abs(want), info.tiny))
    return np.abs(got.astype(want.dtype) - want) / np.ldexp(np.ones_like(want), e - info.nmant - 1)


@pytest.mark.parametrize("name,dtype", EACH)
def test_error_and_special_values(name, dtype):
    n = 20 if jit.DISABLED else 20_000
    xs = arguments(name, dtype, n)
    if jit.DISABLED:
        xs = [x[-200:] for x in xs]
    got = kernel(name, dtype)(*xs)
    wide = WIDE.get(name, getattr(np, name, None))
    slack = 0.0
    with np.errstate(all="ignore"):
        if dtype == "float32":
            want = wide(*[x.astype(np.float64) for x in xs])
        elif LONG and name not in ("erf", "erfc"):
            want = wide(*[x.astype(np.longdouble) for x in xs])
        else:  # the oracle itself rounds to float64
            want, slack = wide(*xs), 1.5
        rounded = want.astype(dtype)
    assert np.array_equal(np.isnan(got), np.isnan(rounded))
    finite = np.isfinite(rounded)
    assert np.array_equal(got[np.isinf(rounded)], rounded[np.isinf(rounded)])
    zero = (rounded == 0) & (got == 0)
    assert np.array_equal(np.signbit(got[zero]), np.signbit(rounded[zero]))
    error = ulp(got[finite], want[finite])
    worst = int(np.argmax(error))
    assert error[worst] <= BOUND[name] + slack, [float(x[finite][worst]) for x in xs]


@pytest.mark.skipif(jit.DISABLED, reason="nothing is compiled")
@pytest.mark.parametrize("name,dtype", EACH)
def test_plain_python_gives_the_same_bits(name, dtype):
    xs = arguments(name, dtype, 40)
    rng = np.random.default_rng(0)
    pick = rng.permutation(xs[0].size)[:60]
    xs = [np.ascontiguousarray(x[pick]) for x in xs]
    got = kernel(name, dtype)(*xs)
    with np.errstate(all="ignore"):
        plain = [scalar.VECTOR[name, dtype](*v) for v in zip(*xs)]
    assert {p.dtype for p in plain} == {np.dtype(dtype)}
    same = np.array(plain).view(f"i{got.itemsize}") == got.view(f"i{got.itemsize}")
    assert np.all(same | (np.isnan(plain) & np.isnan(got))), [x[~same] for x in xs]


def test_subnormal_results():
    x = np.array([-100.0, -103.0, -87.5])
    e = kernel("exp", "float32")(x.astype(np.float32))
    assert np.array_equal(e, np.exp(x).astype(np.float32)) and e[0] == np.float32(3.78e-44)
    p = kernel("pow", "float64")(np.array([2.0, 2.0, 0.5]), np.array([-1074.0, -1073.5, 1074.0]))
    assert np.array_equal(p, [5e-324, 5e-324, 5e-324])


def test_large_angles():
    """Arguments whose quarter turns only the right window of 2/pi tells."""
    x = np.array([6381956970095103.0 * 2.0**797, 2.0**1000, 1e22, 2.0**120])
    # cos of the first is -4.6871659242546276e-19, the smallest of all float64 arguments
    s, c = kernel("sin", "float64")(x), kernel("cos", "float64")(x)
    assert np.allclose(s * s + c * c, 1.0, rtol=1e-15)
    assert s[0] == 1.0 and abs(c[0] / -4.6871659242546276e-19 - 1) < 3e-16
    assert s[2] == -0.8522008497671888 and s[3] == 0.37782010936075202
    assert kernel("sin", "float32")(x[3:].astype(np.float32))[0] == np.float32(0.3778201)


def test_fma_rounds_once():
    rng = np.random.default_rng(1)
    for t, bits in ((np.float32, 24), (np.float64, 53)):
        for _ in range(300):
            a, b = (t(rng.standard_normal()) for _ in range(2))
            size = 2.0 ** int(rng.integers(-bits - 3, bits + 3))
            c = t(-a * b) if rng.integers(2) else t(rng.standard_normal() * size)
            exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
            got = scalar.fma(a, b, c)
            assert type(got) is t
            ends = np.nextafter(got, t(-np.inf)), np.nextafter(got, t(np.inf))
            error, *others = [abs(Fraction(float(v)) - exact) for v in (got, *ends)]
            assert error <= min(others)
    # 1 + 2**-24 + 2**-48 lies above a tie of float32 and rounds to it in float64
    a = np.float32(2.0**-24)
    assert scalar.fma(a, np.float32(1 + 2.0**-23), np.float32(1)) == np.float32(1 + 2.0**-23)


SPECIAL_FUNCTIONS = {
    "digamma": (1e-13, [-20.3, -2.5, -1e-3, 1e-3, 0.3, 1.0, 2.0, 9.9, 30.0, 1e10]),
    "erfcx": (4e-15, [-5.0, -0.5, 0.0, 0.8, 0.9, 3.0, 27.4, 27.6, 1e3]),
    "erfinv": (2e-15, [-0.999999, -0.8, -0.3, 1e-20, 0.74, 0.76, 1 - 1e-12]),
    "ndtri": (2e-15, [1e-300, 1e-20, 0.1, 0.3, 0.6, 0.9, 1 - 1e-12]),
    "log_ndtr": (4e-15, [-1e3, -30.0, -1.1, -0.9, 0.0, 2.0, 6.0]),
    "bessel_i0": (4e-15, [-3.0, 0.0, 0.1, 10.0, 18.9, 19.1, 600.0]),
    "bessel_i0e": (4e-15, [-3.0, 0.0, 0.1, 10.0, 18.9, 19.1, 1e4]),
    "bessel_i1": (4e-15, [-3.0, 0.0, 0.1, 10.0, 18.9, 19.1, 600.0]),
    "bessel_i1e": (4e-15, [-3.0, 0.0, 0.1, 10.0, 18.9, 19.1, 1e4]),
}


@pytest.mark.parametrize("name", SPECIAL_FUNCTIONS)
def test_special_functions(name):
    from scipy import special as oracle
    bound, points = SPECIAL_FUNCTIONS[name]
    fn = getattr(special, name)
    got = np.array([fn(x) for x in points])
    assert np.allclose(got, getattr(oracle, name.removeprefix("bessel_"))(np.array(points)), rtol=bound,
                       atol=1e-300)
    assert math.isnan(fn(math.nan))


def test_special_domains():
    assert special.digamma(0.0) == -math.inf and special.digamma(-0.0) == math.inf
    assert math.isnan(special.digamma(-3.0)) and math.isnan(special.digamma(-math.inf))
    assert special.erfinv(1.0) == math.inf and special.erfinv(-1.0) == -math.inf
    assert special.ndtri(0.0) == -math.inf and special.ndtri(1.0) == math.inf
    assert math.isnan(special.erfinv(1.5)) and math.isnan(special.ndtri(-0.1))
    assert special.zeta(1.0, 2.0) == math.inf and special.zeta(2.0, -1.0) == math.inf
    assert special.zeta(math.inf, 1.3) == 0.0 and special.zeta(math.inf, 1.0) == 1.0
    assert math.isnan(special.zeta(0.5, 1.0)) and math.isnan(special.zeta(2.5, -0.5))


def test_zeta_and_polygamma():
    from scipy import special as oracle
    for s in (1.01, 2.0, 3.5, 30.0, 200.0):
        for q in (0.05, 1.0, 7.3, 40.0):
            assert math.isclose(special.zeta(s, q), oracle.zeta(s, q), rel_tol=1e-14)
    for n in range(1, 8):
        for x in (0.1, 1.0, 12.5):
            assert math.isclose(special.polygamma(float(n), x), oracle.polygamma(n, x), rel_tol=1e-14)


@pytest.mark.skipif(jit.DISABLED, reason="nothing is compiled")
def test_special_functions_compile():
    @jit.kernel
    def k(lo, hi, o, x):
        for i in range(lo, hi):
            o[i] = special_digamma(x[i]) + special_i1(x[i]) + special_ndtri(x[i])
            o[i] += special_polygamma(2.0, x[i])

    x = np.array([0.2, 0.5, 0.9])
    o = np.empty(3)
    k(0, 3, o, x)
    plain = special.digamma, special.bessel_i1, special.ndtri, functools.partial(special_polygamma, 2.0)
    plain = [sum(f(v) for f in plain) for v in x]
    assert np.allclose(o, plain, rtol=1e-13)


special_digamma, special_i1, special_ndtri = special.digamma, special.bessel_i1, special.ndtri
special_polygamma = special.polygamma
