"""Special functions: gamma, zeta, error functions, Bessel functions, orthogonal polynomials.

Those whose derivative PyTorch does not define have none here."""
from __future__ import annotations

import math

from .. import return_types as R
from ..autograd.modes import state
from ..dispatch import TITLES, Meta, need_tensors, unimplemented
from ..dtypes import BOOL, FLOAT, INT, float64, get_default_dtype, int32, result_type
from ..kernels import special as K
from ..kinds import INT_TO_FLOAT, composite, opaque, pointwise
from ..kinds.memory import elementwise, rowmajor
from ..layouts import broadcast
from .pointwise import eq, exp, exp2, lgamma, log, power, sign, where

TM = ("torch", "Tensor")
SPECIAL_ONLY = ("special",)
EVERYWHERE = ("torch", "Tensor", "special")
SQRT_PI = math.sqrt(math.pi)
ROOT_HALF = math.sqrt(0.5)
LN2 = math.log(2.0)


# --------------------------------------------------------------------------------------------- gamma and zeta
@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), at=(), cost=200, domain=(0.3, 4))
def gamma_slope(x, y):
    "How a gamma number y moves with its shape x while its probability stays (implicit reparametrisation)."
    return K.gamma_slope(float(x), float(y))


def _no_second_derivative():
    raise RuntimeError("derivative for aten::_standard_gamma_grad is not implemented")


@composite(at=("torch",), vjp={"self, output": _no_second_derivative})
def _standard_gamma_grad(self, output):
    "The derivative of gamma numbers `output` with respect to their shapes `self` (arXiv:1805.08498)."
    need_tensors("_standard_gamma_grad", self, output, names=("input", "output"))
    if self.dtype is not output.dtype:
        raise RuntimeError(f"Found dtype {TITLES[output.dtype.name]} but expected {TITLES[self.dtype.name]}")
    if self.dtype.category != FLOAT:
        raise unimplemented("_standard_gamma_grad_cpu", self.dtype)
    return gamma_slope(self, output)


def _zeta_grad(g, x, y):
    "d/dy zeta(x, y) = -x zeta(x + 1, y)."
    return -g * x * zeta_of(x + 1.0, y)


@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), name="zeta.op", at=(), vjp={"y": _zeta_grad}, cost=40,
           domain=(1.3, 4))
def zeta_of(x, y):
    "The Hurwitz zeta function: the sum over k >= 0 of (y + k)^-x."
    return K.zeta(float(x), float(y))


@composite(at=SPECIAL_ONLY)
def zeta(x, y):
    "The Hurwitz zeta function, elementwise: the sum over k >= 0 of (y + k)^-x. Differentiable in y."
    if state.grad and getattr(x, "requires_grad", False):
        raise NotImplementedError("the derivative for 'self' is not implemented.")
    return zeta_of(x, y)


@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), at=EVERYWHERE, kernel="digamma", cost=20, domain=(0.3, 4),
           vjp={"x": lambda g, x: g * zeta_of(2.0, x)})
def digamma(x):
    "The derivative of log gamma(x)."
    return K.digamma(float(x))


@composite(at=("torch", "special"))
def polygamma(n, x):
    "The n-th derivative of digamma: (-1)^(n + 1) n! zeta(n + 1, x)."
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError(f"polygamma(): argument 'n' (position 1) must be int, not {type(n).__name__}")
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    if n == 0:
        return digamma(x)
    return zeta_of(float(n + 1), x) * (math.factorial(n) if n % 2 else -math.factorial(n))


def _polygamma_method(self, n):
    """The n-th derivative of digamma at self."""
    return polygamma(n, self)


def _polygamma_inplace(self, n):
    """In-place form of polygamma."""
    return self.copy_(polygamma(n, self))


@composite(memory=rowmajor, at=EVERYWHERE)
def mvlgamma(x, p):
    "log of the multivariate gamma function: log(pi) p (p - 1) / 4 + the sum of lgamma(x - j / 2), j < p."
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    if x.dtype.category == BOOL:
        raise RuntimeError("The input tensor may not be a boolean tensor.")
    if x.dtype.is_complex:
        raise unimplemented("arange_cpu", x.dtype)
    out = lgamma(x) + math.log(math.pi) * p * (p - 1) / 4
    for j in range(1, p):
        out = out + lgamma(x - 0.5 * j)
    return out


def _igamma_grad(g, x, y):
    "d/dy igamma(x, y) = y^(x - 1) e^-y / gamma(x)."
    return g * exp((x - 1) * log(y) - y - lgamma(x))


def _two_real(name: str, x, y) -> Meta:
    need_tensors(name, x, y)
    d = result_type(x, y)
    if d.category != FLOAT:
        raise unimplemented(name + "_cpu", d)
    return Meta(broadcast(x.shape, y.shape), d)


@opaque(memory=elementwise, at=(), vjp={"y": _igamma_grad})
def lower_gamma(x, y):
    "The regularised lower incomplete gamma function P(x, y)."
    return _two_real("igamma", x, y)


@opaque(memory=elementwise, at=(), vjp={"y": lambda g, x, y: -_igamma_grad(g, x, y)})
def upper_gamma(x, y):
    "The regularised upper incomplete gamma function Q(x, y) = 1 - P(x, y)."
    return _two_real("igammac", x, y)


@composite(at=TM)
def igamma(x, y):
    "The regularised lower incomplete gamma function P(x, y), elementwise. Differentiable in y."
    _no_gradient("igamma: input", x)
    return lower_gamma(x, y)


@composite(at=TM)
def igammac(x, y):
    "The regularised upper incomplete gamma function Q(x, y), elementwise. Differentiable in y."
    _no_gradient("igammac: input", x)
    return upper_gamma(x, y)


def _no_gradient(what: str, x) -> None:
    if state.grad and getattr(x, "requires_grad", False):
        raise NotImplementedError(f"the derivative for '{what}' is not implemented.")


# -------------------------------------------------------------------------------------------- error functions
@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), at=EVERYWHERE, kernel="erfinv_vml_cpu", cost=20,
           domain=(-0.9, 0.9), vjp={"x": lambda g, out: g * (0.5 * SQRT_PI) * exp(out * out)})
def erfinv(x):
    "The inverse of erf; +-inf at +-1, NaN beyond."
    return K.erfinv(float(x))


@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), at=SPECIAL_ONLY, cost=10,
           vjp={"x": lambda g, x, out: g * (2 * x * out - 2 / SQRT_PI)})
def erfcx(x):
    "exp(x^2) erfc(x), without overflow on the right."
    return K.erfcx(float(x))


@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), at=SPECIAL_ONLY, kernel="erf_vml_cpu", cost=2,
           vjp={"x": lambda g, x: g * exp(-0.5 * x * x) / math.sqrt(2 * math.pi)})
def ndtr(x):
    "P(N(0, 1) <= x), the normal distribution function."
    return 0.5 * math.erfc(-x * ROOT_HALF)


@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), at=SPECIAL_ONLY, cost=20, domain=(0.05, 0.95),
           vjp={"x": lambda g, out: g * math.sqrt(2 * math.pi) * exp(0.5 * out * out)})
def ndtri(x):
    "The normal quantile: where ndtr is x; NaN outside [0, 1]."
    return K.ndtri(float(x))


@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), at=SPECIAL_ONLY, cost=10,
           vjp={"x": lambda g, x: g * math.sqrt(2 / math.pi) / erfcx(-x * ROOT_HALF)})
def log_ndtr(x):
    "log P(N(0, 1) <= x), accurate in the left tail."
    return K.log_ndtr(float(x))


# ------------------------------------------------------------------------------------------- Bessel functions
@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), at=EVERYWHERE, kernel="i0_vml_cpu", cost=20,
           vjp={"x": lambda g, x: g * i1(x)})
def i0(x):
    "I_0(x), the modified Bessel function of the first kind of order 0."
    return K.bessel_i0(float(x))


@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), at=SPECIAL_ONLY, cost=20,
           vjp={"x": lambda g, x, out: g * (i1e(x) - sign(x) * out)})
def i0e(x):
    "exp(-|x|) I_0(x)."
    return K.bessel_i0e(float(x))


def _over(out, x, limit: float):
    "out / x, and `limit` at 0."
    zero = eq(x, 0)
    return where(zero, limit, out / where(zero, 1.0, x))


@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), at=SPECIAL_ONLY, cost=20,
           vjp={"x": lambda g, x, out: g * (i0(x) - _over(out, x, 0.5))})
def i1(x):
    "I_1(x), the modified Bessel function of the first kind of order 1."
    return K.bessel_i1(float(x))


@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), at=SPECIAL_ONLY, cost=20,
           vjp={"x": lambda g, x, out: g * (i0e(x) - sign(x) * out - _over(out, x, 0.5))})
def i1e(x):
    "exp(-|x|) I_1(x)."
    return K.bessel_i1e(float(x))


@opaque(at=())
def scipy_function(x, which, name):
    "The function of SciPy called `which` and here `name`, elementwise."
    if x.dtype.is_complex:
        raise unimplemented(f"{name}_cpu", x.dtype)
    return Meta(x.shape, x.dtype if x.dtype.category >= FLOAT else get_default_dtype())


def _from_scipy(name: str, which: str, doc: str):
    def entry(x):
        _no_gradient(f"special_{name}", x)
        return scipy_function(x, which, name)
    entry.__name__, entry.__doc__ = name, doc
    return composite(entry, at=SPECIAL_ONLY)


for _name, _which, _doc in (
        ("airy_ai", "airy", "The Airy function Ai(x)."),
        ("bessel_j0", "j0", "J_0(x), the Bessel function of the first kind of order 0."),
        ("bessel_j1", "j1", "J_1(x), the Bessel function of the first kind of order 1."),
        ("bessel_y0", "y0", "Y_0(x), the Bessel function of the second kind of order 0; -inf at 0, NaN "
                            "below."),
        ("bessel_y1", "y1", "Y_1(x), the Bessel function of the second kind of order 1; -inf at 0, NaN "
                            "below."),
        ("modified_bessel_i0", "i0", "I_0(x), the modified Bessel function of the first kind of order 0."),
        ("modified_bessel_i1", "i1", "I_1(x), the modified Bessel function of the first kind of order 1."),
        ("modified_bessel_k0", "k0", "K_0(x), the modified Bessel function of the second kind of order 0."),
        ("modified_bessel_k1", "k1", "K_1(x), the modified Bessel function of the second kind of order 1."),
        ("scaled_modified_bessel_k0", "k0e", "exp(x) K_0(x)."),
        ("scaled_modified_bessel_k1", "k1e", "exp(x) K_1(x)."),
        ("spherical_bessel_j0", "spherical_j0", "sin(x) / x, 1 at 0: the spherical Bessel function of order "
                                                "0.")):
    _from_scipy(_name, _which, _doc)


# ------------------------------------------------------------------------------------------------ polynomials
def _polynomial(body):
    """Declare a polynomial in x of degree n: one kernel, and the public entry before it."""
    op = pointwise(body, name=f"{body.__name__}.op", at=(), dtype=INT_TO_FLOAT, only=(FLOAT,), cost=20)

    def entry(x, n):
        _no_gradient(f"special_{body.__name__}", x)
        return op(x, n)
    entry.__name__, entry.__doc__ = body.__name__, body.__doc__
    return composite(entry, at=SPECIAL_ONLY)


@_polynomial
def chebyshev_polynomial_t(x, n):
    "The Chebyshev polynomial of the first kind T_n(x); 0 for n < 0."
    return K.chebyshev(float(x), float(n), 1.0, 0.0)


@_polynomial
def chebyshev_polynomial_u(x, n):
    "The Chebyshev polynomial of the second kind U_n(x); 0 for n < 0."
    return K.chebyshev(float(x), float(n), 2.0, 0.0)


@_polynomial
def chebyshev_polynomial_v(x, n):
    "The Chebyshev polynomial of the third kind V_n(x); 0 for n < 0."
    return K.chebyshev(float(x), float(n), 2.0, -1.0)


@_polynomial
def chebyshev_polynomial_w(x, n):
    "The Chebyshev polynomial of the fourth kind W_n(x); 0 for n < 0."
    return K.chebyshev(float(x), float(n), 2.0, 1.0)


@_polynomial
def shifted_chebyshev_polynomial_t(x, n):
    "T_n(2x - 1); 0 for n < 0."
    return K.chebyshev(2.0 * float(x) - 1.0, float(n), 1.0, 0.0)


@_polynomial
def shifted_chebyshev_polynomial_u(x, n):
    "U_n(2x - 1); 0 for n < 0."
    return K.chebyshev(2.0 * float(x) - 1.0, float(n), 2.0, 0.0)


@_polynomial
def shifted_chebyshev_polynomial_v(x, n):
    "V_n(2x - 1); 0 for n < 0."
    return K.chebyshev(2.0 * float(x) - 1.0, float(n), 2.0, -1.0)


@_polynomial
def shifted_chebyshev_polynomial_w(x, n):
    "W_n(2x - 1); 0 for n < 0."
    return K.chebyshev(2.0 * float(x) - 1.0, float(n), 2.0, 1.0)


@_polynomial
def hermite_polynomial_h(x, n):
    "The physicist's Hermite polynomial H_n(x); 0 for n < 0."
    return K.hermite(float(x), float(n), 2.0)


@_polynomial
def hermite_polynomial_he(x, n):
    "The probabilist's Hermite polynomial He_n(x); 0 for n < 0."
    return K.hermite(float(x), float(n), 1.0)


@_polynomial
def laguerre_polynomial_l(x, n):
    "The Laguerre polynomial L_n(x); 0 for n < 0."
    return K.laguerre(float(x), float(n))


@_polynomial
def legendre_polynomial_p(x, n):
    "The Legendre polynomial P_n(x); 0 for n < 0."
    return K.legendre(float(x), float(n))


# -------------------------------------------------------------------------------------- entropies, logarithms
@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), at=SPECIAL_ONLY, domain=(0.1, 3),
           vjp={"x": lambda g, x: g * (-log(x) - 1)})
def entr(x):
    "-x log(x): 0 at 0, -inf below."
    return x if x != x else (-x * math.log(x) if x > 0 else (0.0 if x == 0 else -math.inf))


@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), at=SPECIAL_ONLY, domain=(0.1, 3), strict=(),
           vjp={"x": lambda g, x, y: g * (1 + y).log().masked_fill((x == 0) & (y <= -1), 0),
                "y": lambda g, x, y: g * x / (y + 1)})
def xlog1py(x, y):
    "x log(1 + y), 0 where x = 0 (and y is a number)."
    r = x * math.log1p(y)
    return y if y != y else (0 if x == 0 else r)


@pointwise(only=(FLOAT,), cost=2, strict=("x", "y"),
           vjp={"x": lambda g, x, y: g / (1 + exp2(y - x)), "y": lambda g, x, y: g / (1 + exp2(x - y))})
def logaddexp2(x, y):
    "log2(2^x + 2^y), without overflow."
    m = x if x > y else y
    d = -abs(x - y)
    return x if x == y and math.isinf(x) else m + math.log1p(math.exp2(d)) / LN2


@composite
def ldexp(x, y):
    "x times 2^y, elementwise."
    need_tensors("ldexp", x, y)
    if y.dtype.category == BOOL and x.dtype.is_floating_point:
        raise unimplemented("ldexp_cpu_exp", y.dtype)
    if x.dtype.category == FLOAT and y.dtype.category == INT:
        return x * power(2.0, y.to(float64)).to(x.dtype)
    return x * (2.0 ** y)


@opaque(at=(), vjp={"x": lambda g, out1: g[0] / exp2(out1)})
def mantissa_and_exponent(x):
    "(m, e) with x = m 2^e and 0.5 <= |m| < 1; (x, 0) for 0, infinities and NaN."
    if x.dtype.category != FLOAT:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    return Meta(x.shape, x.dtype), Meta(x.shape, int32)


@composite
def frexp(x):
    "(mantissa, exponent): x = mantissa * 2^exponent and 0.5 <= |mantissa| < 1; (x, 0) for 0, inf and NaN."
    return R.frexp(mantissa_and_exponent(x))


# ------------------------------------------------------------------------------------ integers and neighbours
def _integral(name: str, x, y) -> Meta:
    need_tensors(name, x, y)
    d = result_type(x, y)
    if d.category != INT:
        raise unimplemented(f"{name}_cpu", d)
    return Meta(broadcast(x.shape, y.shape), d)


@opaque(memory=elementwise, at=())
def common_divisor(x, y):
    "The greatest common divisor of integers, elementwise; never negative."
    return _integral("gcd", x, y)


@opaque(memory=elementwise, at=())
def common_multiple(x, y):
    "The least common multiple of integers, elementwise; never negative."
    return _integral("lcm", x, y)


@composite
def gcd(x, y):
    "The greatest common divisor of integers, elementwise; never negative."
    return common_divisor(x, y)


@composite
def lcm(x, y):
    "The least common multiple of integers, elementwise; never negative."
    return common_multiple(x, y)


@opaque(memory=elementwise, at=(), half="native", vjp={"x": lambda g: g, "y": lambda g: g * 0})
def neighbour(x, y):
    "The next number after x towards y, of the same floating type."
    return Meta(broadcast(x.shape, y.shape), x.dtype)


@composite
def nextafter(x, y):
    "The next floating number after x towards y, elementwise."
    need_tensors("nextafter", x, y)
    d = result_type(x, y)
    if d.category != FLOAT:
        raise unimplemented("nextafter_cpu", d)
    return neighbour(x.to(d), y.to(d))


METHODS = {"polygamma": _polygamma_method, "polygamma_": _polygamma_inplace}
SPECIAL = {"gammainc": igamma, "gammaincc": igammac, "multigammaln": mvlgamma}
