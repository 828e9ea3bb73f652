"""Pointwise entries: arithmetic, comparison, bits, elementary and special functions."""
from __future__ import annotations

import math
import warnings

import numpy as np

from ..dispatch import NUMBERS, need_tensors, no_overload, not_a_tensor, unimplemented
from ..dtypes import BOOL, COMPLEX, FLOAT, INT, int64, result_type
from ..kinds import ALWAYS_BOOL, COMPLEX_TO_FLOAT, INT_TO_FLOAT, composite, pointwise
from ..kinds.batching import whole

REAL = (BOOL, INT, FLOAT)
INTEGRAL = (BOOL, INT)
NUMERIC = (INT, FLOAT, COMPLEX)
LN2, LN10, PI = math.log(2.0), math.log(10.0), math.pi
TWO_OVER_SQRT_PI = 2.0 / math.sqrt(PI)
TM = ("torch", "Tensor")
EVERYWHERE = ("torch", "Tensor", "special")


# ------------------------------------------------------------------------------------------------ arithmetic
@pointwise(vjp={"x": lambda g: g, "y": lambda g: g}, name="add.op", at=())
def plus(x, y):
    "x + y, elementwise."
    return x + y


@pointwise(vjp={"x": lambda g: g, "y": lambda g: -g}, name="sub.op", at=())
def minus(x, y):
    "x − y, elementwise."
    return x - y


@pointwise(vjp={"x": lambda g: g, "y": lambda g, alpha: g * alpha}, name="add.scaled", at=())
def plus_scaled(x, y, *, alpha=1):
    "x + alpha · y, elementwise."
    return x + alpha * y


@composite
def add(x, y, *, alpha=1):
    "x + alpha · y, elementwise."
    if isinstance(alpha, int | float) and alpha == 1:
        return plus(x, y)
    return plus_scaled(x, y, alpha=_checked_alpha(x, y, alpha))


@composite(at=("torch", "Tensor"))
def sub(x, y, *, alpha=1):
    "x − alpha · y, elementwise."
    _no_bool_sub(x, y)
    if isinstance(alpha, int | float) and alpha == 1:
        return minus(x, y)
    return plus_scaled(x, y, alpha=-_checked_alpha(x, y, alpha))


def _checked_alpha(x, y, alpha):
    if hasattr(alpha, "layout") and alpha.ndim == 0 and not alpha.requires_grad:
        alpha = alpha.item()
    if not isinstance(alpha, NUMBERS):
        raise TypeError(f"add(): argument 'alpha' must be Number, not {type(alpha).__name__}")
    d = result_type(x, y)
    if d.category < FLOAT and isinstance(alpha, float):
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    if isinstance(alpha, complex) and not d.is_complex:
        raise RuntimeError("For non-complex input tensors, argument alpha must not be a complex number.")
    if isinstance(alpha, bool) and d.category != BOOL:
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    return alpha


def _no_bool_sub(x, y):
    bools = [v.dtype.category == BOOL if hasattr(v, "layout") else isinstance(v, bool | np.bool_)
             for v in (x, y)]
    if all(bools):
        raise RuntimeError("Subtraction, the `-` operator, with two bool tensors is not supported. Use the "
                           "`^` or `logical_xor()` operator instead.")
    if any(bools):
        raise RuntimeError("Subtraction, the `-` operator, with a bool tensor is not supported. If you are "
                           "trying to invert a mask, use the `~` or `logical_not()` operator instead.")


@composite
def rsub(x, y, *, alpha=1):
    "y − alpha · x, elementwise."
    if not hasattr(x, "layout"):
        raise no_overload("rsub", (x, y))
    _no_bool_sub(y, x)
    if isinstance(alpha, int | float) and alpha == 1:
        return minus(y, x)
    return plus_scaled(y, x, alpha=-_checked_alpha(y, x, alpha))


@pointwise(vjp={"x": lambda g, y: g * conj(y), "y": lambda g, x: g * conj(x)}, strict=())
def mul(x, y):
    "x · y, elementwise."
    return x * y


@pointwise(dtype=INT_TO_FLOAT, name="div.true", at=(),
           vjp={"x": lambda g, y: g / conj(y), "y": lambda g, x, y: -g * conj(x / (y * y))})
def true_div(x, y):
    "x / y, elementwise; integers give floats."
    return x / y


@pointwise(name="div.trunc", at=(), only=(FLOAT,), vjp={"x": lambda g: g * 0, "y": lambda g: g * 0})
def div_trunc(x, y):
    "x / y rounded toward zero."
    return math.trunc(x / y)


@pointwise(name="div.floor", at=(), only=(INT,), kernel="div_floor_cpu", vjp={})
def div_floor(x, y):
    "The largest integer not above x / y."
    return x // y


@pointwise(name="div.floor_float", at=(), only=(FLOAT,), vjp={"x": lambda g: g * 0, "y": lambda g: g * 0})
def div_floor_float(x, y):
    "The largest integer not above x / y, for floats: exact where fmod is."
    m = math.fmod(x, y)
    d = (x - m) / y
    d = d - 1 if (m != 0) and ((y < 0) != (m < 0)) else d
    f = math.floor(d)
    f = f + 1 if d - f > 0.5 else f
    f = f if d != 0 else math.copysign(0.0 * d, x / y)
    return x / y if y == 0 else f


@composite
def div(x, y, *, rounding_mode=None):
    "x / y, elementwise; rounding_mode None, 'trunc' or 'floor'."
    if rounding_mode is None:
        return true_div(x, y)
    floating = result_type(x, y).category == FLOAT
    if rounding_mode == "floor":
        _no_zero(x, y)
        return div_floor_float(x, y) if floating else div_floor(x, y)
    if rounding_mode == "trunc":
        _no_zero(x, y)
        return div_trunc(x, y) if floating else int_div_trunc(x, y)
    raise RuntimeError("div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
                       f"'{rounding_mode}'")


@pointwise(name="div.trunc_int", at=(), only=(INT,), kernel="div_trunc_cpu", vjp={})
def int_div_trunc(x, y):
    "x / y rounded toward zero, for integers."
    q = x // y
    return q + 1 if ((x < 0) != (y < 0)) and (x % y != 0) else q


def _no_zero(x, y):
    """Integer division by zero raises, as in PyTorch."""
    if result_type(x, y).category == INT:
        y = whole(y)
        bad = bool((y == 0).any()) if hasattr(y, "layout") and y.storage.array is not None else \
            (not hasattr(y, "layout") and y == 0)
        if bad:
            raise RuntimeError("ZeroDivisionError")


@composite
def floor_divide(x, y):
    "floor(x / y), elementwise."
    return div(x, y, rounding_mode="floor")


@pointwise(only=(INT,), name="remainder.op", at=(),
           vjp={"x": lambda g: g, "y": lambda g, x, y: -g * floor_divide(x, y)})
def modulo(x, y):
    "x − y · floor(x / y): the sign of the divisor."
    return x % y


@pointwise(only=(FLOAT,), name="remainder.float", at=(),
           vjp={"x": lambda g: g, "y": lambda g, x, y: -g * floor_divide(x, y)})
def modulo_float(x, y):
    "x − y · floor(x / y), from fmod, exact."
    m = math.fmod(x, y)
    return m + y if (m != 0) and ((m < 0) != (y < 0)) else m


@composite
def remainder(x, y):
    "x − y · floor(x / y), elementwise: the result has the sign of the divisor."
    _no_zero(x, y)
    return modulo_float(x, y) if result_type(x, y).category == FLOAT else modulo(x, y)


@pointwise(only=(FLOAT,), name="fmod.float", at=(), strict=("x",),
           vjp={"x": lambda g: g, "y": lambda g, x, y: -g * div(x, y, rounding_mode="trunc")})
def float_mod(x, y):
    "x − y · trunc(x / y), exact."
    return math.fmod(x, y)


@pointwise(only=(INT,), name="fmod.int", at=(), strict=("x",))
def int_mod(x, y):
    "x − y · trunc(x / y), for integers."
    r = x % y
    return r - y if (r != 0) and ((x < 0) != (y < 0)) else r


@composite
def fmod(x, y):
    "x − y · trunc(x / y), elementwise: the result has the sign of the dividend."
    _no_zero(x, y)
    return float_mod(x, y) if result_type(x, y).category == FLOAT else int_mod(x, y)


@pointwise(vjp={"x": lambda g: -g}, only=NUMERIC, refused={BOOL: (
    RuntimeError, "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
                  "invert a mask, use the `~` or `logical_not()` operator instead.")})
def neg(x):
    "−x, elementwise."
    return -x


@composite
def positive(x):
    "x itself."
    if x.dtype.category == BOOL:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return x


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, out: -g * conj(out * out)}, domain=(0.3, 4))
def reciprocal(x):
    "1 / x, elementwise."
    return 1 / x


@pointwise(vjp={"x": lambda g, x: g * conj(2 * x)},
           dtype=lambda d: (int64, int64) if d.category == BOOL else (d, d))
def square(x):
    "x², elementwise."
    return x * x


@pointwise(dtype=COMPLEX_TO_FLOAT, vjp={"x": lambda g, x: g * sgn(x)}, name="abs", only=NUMERIC)
def abs_(x):
    "|x|, elementwise; complex input gives its magnitude."
    return abs(x)


@pointwise(only=REAL, vjp={"x": lambda g: g * 0}, refused={COMPLEX: (
    NotImplementedError, "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use "
                         "torch.sgn instead.")})
def sign(x):
    "−1, 0 or 1 by the sign of x; NaN gives 0."
    return (1 if x > 0 else 0) - (1 if x < 0 else 0)


@pointwise(name="sgn.complex", at=(), only=(COMPLEX,), vjp={"x": lambda g, x, out: _sgn_grad(g, x, out)})
def sgn_complex(x):
    "x / |x|, 0 at 0, for complex x."
    r = abs(x)
    return x * 0 if r == 0 else x / r


@composite
def sgn(x):
    "x / |x|, 0 at 0: sign for real x."
    return sgn_complex(x) if x.dtype.is_complex else sign(x)


def _sgn_grad(g, x, out):
    r = abs_(x)
    return ((g / r) - ((g / (x * r)).real * x)).masked_fill(r == 0, 0)


@pointwise(only=(COMPLEX,), name="conj.complex", at=(), vjp={"x": lambda g: conj(g)})
def conj_complex(x):
    "The complex conjugate."
    return x.conjugate()


def conj(x):
    """The complex conjugate; x itself where it is real."""
    d = getattr(x, "dtype", None)
    if d is None:
        return x.conjugate()
    return conj_complex(x) if d.is_complex else x


# ------------------------------------------------------------------------------------------- powers and roots
@pointwise(name="pow.op", at=(),
           vjp={"x": lambda g, x, y: _pow_x(g, x, y), "y": lambda g, x, y, out: _pow_y(g, x, y, out)},
           only=NUMERIC, kernel="pow", domain=(0.3, 3), cost=3)
def power(x, y):
    "x to the power y."
    return x ** y


def _pow_x(g, x, y):
    if not hasattr(y, "layout"):
        return g * conj(y * pow(x, y - 1)) if y != 0 else g * 0
    return (g * conj(y * pow(x, y - 1))).masked_fill(y == 0, 0)


def _pow_y(g, x, y, out):
    if not hasattr(x, "layout"):
        return g * conj(out * math.log(x)) if x > 0 else (g * conj(out * math.nan) if x else g * 0)
    zero = (x == 0) & (y >= 0) if not out.dtype.is_complex else x == 0
    return (g * conj(out * log(x))).masked_fill(zero, 0)


@pointwise(name="pow.cube", at=(), vjp={"x": lambda g, x: g * conj(3 * (x * x))})
def cube(x):
    "x³."
    return x * x * x


@composite
def pow(x, y):
    "x to the power y, elementwise; either may be a number."
    if not hasattr(y, "layout"):
        if not hasattr(x, "layout"):
            raise not_a_tensor("pow", "input", x)
        d = x.dtype
        if isinstance(y, int | float) and not isinstance(y, bool):
            if d.category < FLOAT and isinstance(y, int) and y < 0:
                raise RuntimeError("Integers to negative integer powers are not allowed.")
            if d.category >= FLOAT or d.category == INT and isinstance(y, int):
                if y == 2:
                    return square(x)
                if y == 3:
                    return cube(x)
                if y == 1:
                    return copied(x)
                if d.category == FLOAT and y == 0.5:
                    return sqrt(x)
                if d.category == FLOAT and y == -1:
                    return reciprocal(x)
                if d.category == FLOAT and y == -0.5:
                    return rsqrt(x)
        elif d.category == BOOL and isinstance(y, bool):
            return bitwise_or(x, not y)
    return power(x, y)


@composite
def float_power(x, y):
    "x to the power y in double precision."
    from .. import dtypes as D
    if not hasattr(x, "layout") and not hasattr(y, "layout"):
        raise not_a_tensor("float_power", "input", x)
    wide = lambda v: v.to(D.complex128 if v.dtype.is_complex else D.float64) if hasattr(v, "layout") else v
    return pow(wide(x), wide(y))


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, out: g / conj(2 * out)}, domain=(0.1, 4))
def sqrt(x):
    "The square root, elementwise."
    return math.sqrt(x)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, out: -0.5 * g * conj(out * out * out)}, domain=(0.1, 4))
def rsqrt(x):
    "1 / √x, elementwise."
    return 1 / math.sqrt(x)


@pointwise(only=(FLOAT,), strict=("x", "y"),
           vjp={"x": lambda g, x, out: g * (x / out).masked_fill(out == 0, 0),
                "y": lambda g, y, out: g * (y / out).masked_fill(out == 0, 0)})
def hypot(x, y):
    "√(x² + y²), without overflow on the way."
    a = abs(x)
    b = abs(y)
    m = a if a > b else b
    s = m if m > 0 else 1
    r = m * math.sqrt((a / s) * (a / s) + (b / s) * (b / s))
    return math.inf if math.isinf(a) or math.isinf(b) else r


# ----------------------------------------------------------------------------------------------- exponentials
@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, out: g * conj(out)}, cost=0.6)
def exp(x):
    "e raised to x, elementwise."
    return math.exp(x)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, out: g * out * LN2}, at=EVERYWHERE, cost=0.6)
def exp2(x):
    "2 raised to x, elementwise."
    return math.exp2(x)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, out: g * (out + 1)}, at=EVERYWHERE, cost=0.8)
def expm1(x):
    "eˣ − 1, accurate near 0."
    return math.expm1(x)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, x: g / conj(x)}, domain=(0.1, 4), cost=0.8)
def log(x):
    "The natural logarithm, elementwise."
    return math.log(x)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, x: g / (x * LN2)}, domain=(0.1, 4), cost=0.8)
def log2(x):
    "The logarithm to base 2, elementwise."
    return math.log2(x)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, x: g / (x * LN10)}, domain=(0.1, 4), cost=0.8)
def log10(x):
    "The logarithm to base 10, elementwise."
    return math.log10(x)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, x: g / (x + 1)}, at=EVERYWHERE, domain=(-0.9, 4), cost=0.8)
def log1p(x):
    "log(1 + x), accurate near 0."
    return math.log1p(x)


@pointwise(only=(FLOAT,), name="logaddexp.op", at=(), strict=("x", "y"), cost=2,
           vjp={"x": lambda g, x, y: g * sigmoid(x - y), "y": lambda g, x, y: g * sigmoid(y - x)})
def log_add(x, y):
    "log(eˣ + eʸ), without overflow."
    m = x if x > y else y
    d = -abs(x - y)
    return x if x == y and math.isinf(x) else m + math.log1p(math.exp(d))


@composite
def logaddexp(x, y):
    "log(eˣ + eʸ), elementwise, without overflow."
    need_tensors("logaddexp", x, y)
    d = result_type(x, y)
    if not d.is_complex:
        return log_add(x, y)
    x, y = x.to(d), y.to(d)
    first = x.real >= y.real
    large, small = where(first, x, y), where(first, y, x)
    return large + log(1 + exp(small - large))


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, out: g * conj(out * (1 - out))},
           at=("torch", "Tensor", "nn.functional"), cost=0.8)
def sigmoid(x):
    "1 / (1 + e⁻ˣ), elementwise."
    return 1 / (1 + math.exp(-x))


@composite(at=EVERYWHERE)
def logit(x, eps=None):
    "log(x / (1 − x)), with x first clamped to [eps, 1 − eps] if eps is given."
    if x.dtype.is_complex:
        raise unimplemented("logit_cpu", x.dtype)
    if eps is not None:
        from .clamp import clamp
        x = clamp(x, eps, 1 - eps)
    if x.dtype.category < FLOAT:
        from .. import dtypes as D
        x = x.to(D.get_default_dtype())
    return log(x / (1 - x))


# ----------------------------------------------------------------------------------------------- trigonometry
@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, x: g * conj(cos(x))}, cost=1)
def sin(x):
    "The sine of x radians."
    return math.sin(x)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, x: -g * conj(sin(x))}, cost=1)
def cos(x):
    "The cosine of x radians."
    return math.cos(x)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, out: g * conj(1 + out * out)}, domain=(-1.4, 1.4),
           cost=1.5)
def tan(x):
    "The tangent of x radians."
    return math.tan(x)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, x: g * conj(rsqrt(1 - x * x))}, domain=(-0.9, 0.9),
           cost=1.5)
def asin(x):
    "The arc sine, in radians."
    return math.asin(x)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, x: -g * conj(rsqrt(1 - x * x))}, domain=(-0.9, 0.9),
           cost=1.5)
def acos(x):
    "The arc cosine, in radians."
    return math.acos(x)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, x: g / conj(x * x + 1)}, cost=1.5)
def atan(x):
    "The arc tangent, in radians."
    return math.atan(x)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, x, y: g * (y / (x * x + y * y)),
                                    "y": lambda g, x, y: g * (-x / (x * x + y * y))},
           only=(FLOAT,), cost=2, strict=("x", "y"))
def atan2(x, y):
    "The angle of the point (y, x), in radians."
    return math.atan2(x, y)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, x: g * conj(cosh(x))}, cost=1.5)
def sinh(x):
    "The hyperbolic sine."
    return math.sinh(x)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, x: g * conj(sinh(x))}, cost=1.5)
def cosh(x):
    "The hyperbolic cosine."
    return math.cosh(x)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, out: tanh_grad(g, out)},
           at=("torch", "Tensor", "nn.functional"), cost=1)
def tanh(x):
    "The hyperbolic tangent."
    return math.tanh(x)


@pointwise(dtype=INT_TO_FLOAT, name="tanh.grad", at=(),
           vjp={"x": lambda g, y: g * conj(1 - y * y), "y": lambda g, x, y: g * conj(x * (-2 * y))})
def tanh_grad(x, y):
    "x · (1 − y²): the cotangent x of tanh's result y."
    return x * (1 - y * y)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, x: g * conj(rsqrt(x * x + 1))}, cost=1.5)
def asinh(x):
    "The inverse hyperbolic sine."
    return math.asinh(x)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, x: g * conj(rsqrt(x * x - 1))}, domain=(1.1, 4), cost=1.5)
def acosh(x):
    "The inverse hyperbolic cosine."
    return math.acosh(x)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, x: g / conj(1 - x * x)}, domain=(-0.9, 0.9), cost=1.5)
def atanh(x):
    "The inverse hyperbolic tangent."
    return math.atanh(x)


@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), vjp={"x": lambda g, x: g * TWO_OVER_SQRT_PI * exp(-x * x)},
           at=EVERYWHERE, kernel="erf_vml_cpu", cost=1)
def erf(x):
    "2/√π ∫₀ˣ e^(−t²) dt."
    return math.erf(x)


@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), vjp={"x": lambda g, x: -g * TWO_OVER_SQRT_PI * exp(-x * x)},
           at=EVERYWHERE, kernel="erfc_vml_cpu", cost=1)
def erfc(x):
    "1 − erf(x), accurate for large x."
    return math.erfc(x)


@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), vjp={"x": lambda g, x: g * _digamma(x)}, cost=20,
           kernel="lgamma_vml_cpu", domain=(0.3, 4))
def lgamma(x):
    "The logarithm of |Γ(x)|."
    return math.lgamma(x)


def _digamma(x):
    from .special import digamma
    return digamma(x)


@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), vjp={"x": lambda g: g * (PI / 180)},
           refused={COMPLEX: (RuntimeError, "deg2rad is not supported for complex tensors.")})
def deg2rad(x):
    "Degrees to radians."
    return x * (PI / 180)


@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,), vjp={"x": lambda g: g * (180 / PI)},
           refused={COMPLEX: (RuntimeError, "rad2deg is not supported for complex tensors.")})
def rad2deg(x):
    "Radians to degrees."
    return x * (180 / PI)


# ------------------------------------------------------------------------------------------------ rounding
def _rounding(name: str, doc: str, body):
    body.__doc__ = doc
    op = pointwise(body, name=name + ".float", at=(), only=(FLOAT,), vjp={"x": lambda g: g * 0})

    def entry(x):
        if x.dtype.is_complex:
            raise NotImplementedError(f"{name} is not supported for complex inputs")
        if x.dtype.category == BOOL:
            raise unimplemented(name + "_vml_cpu", x.dtype)
        return op(x) if x.dtype.is_floating_point else copied(x)
    entry.__name__, entry.__doc__ = name, doc
    return composite(entry)


floor = _rounding("floor", "The largest integer not above x.", lambda x: math.floor(x))
ceil = _rounding("ceil", "The smallest integer not below x.", lambda x: math.ceil(x))
trunc = _rounding("trunc", "x without its fraction.", lambda x: math.trunc(x))


def rint(x):
    """Round half to even (an intrinsic of kernels.expr)."""
    return np.rint(x)


rint.__module__ = "numtorch.kernels.scalar"


@pointwise(name="round.float", at=(), only=(FLOAT,), vjp={"x": lambda g: g * 0})
def nearest(x):
    "x to the nearest integer, ties to even."
    return rint(x)


@composite
def round(x, *, decimals=0):
    "x to the nearest integer (or to `decimals` places), ties to even."
    if not x.dtype.is_floating_point:
        if decimals != 0 or x.dtype.category != INT:
            raise unimplemented("round_cpu" if decimals else "round_vml_cpu", x.dtype)
        return copied(x)
    if decimals == 0:
        return nearest(x)
    scale = 10.0 ** abs(decimals) if decimals > 0 else 10.0 ** -decimals
    return nearest(x * scale) / scale if decimals > 0 else nearest(x / scale) * scale


@pointwise(only=(FLOAT,), vjp={"x": lambda g: g})
def frac(x):
    "x − trunc(x)."
    return x - math.trunc(x)


# ------------------------------------------------------------------------------------------------ comparison
def _comparison(name: str, doc: str, body, only=None, strict=None):
    body.__doc__ = doc
    return pointwise(body, name=name, dtype=ALWAYS_BOOL, only=only, strict=strict)


eq = _comparison("eq", "x = y, elementwise.", lambda x, y: x == y)
ne = _comparison("ne", "x ≠ y, elementwise.", lambda x, y: x != y)
lt = _comparison("lt", "x < y, elementwise.", lambda x, y: x < y, REAL)
le = _comparison("le", "x ≤ y, elementwise.", lambda x, y: x <= y, REAL)
gt = _comparison("gt", "x > y, elementwise.", lambda x, y: x > y, REAL)
ge = _comparison("ge", "x ≥ y, elementwise.", lambda x, y: x >= y, REAL)
isnan = _comparison("isnan", "Whether x is NaN.", lambda x: x != x)
logical_not = _comparison("logical_not", "Not x.", lambda x: x == 0)
logical_and = _comparison("logical_and", "x and y.", lambda x, y: (x != 0) and (y != 0), None, ("x", "y"))
logical_or = _comparison("logical_or", "x or y.", lambda x, y: (x != 0) or (y != 0), None, ("x", "y"))
logical_xor = _comparison("logical_xor", "x or y, not "
                                         "both.", lambda x, y: (x != 0) != (y != 0), None, ("x", "y"))
_isinf = _comparison("isinf.real", "Whether |x| is infinite.", lambda x: abs(x) == math.inf)
_isfinite = _comparison("isfinite.real", "Whether x is neither infinite nor "
                                         "NaN.", lambda x: abs(x) < math.inf)
for _op in (_isinf, _isfinite):
    _op.op.at = ()
signbit = _comparison("signbit", "Whether the sign bit of x is "
                                 "set.", lambda x: math.copysign(1.0, x) < 0, REAL)
signbit.op.refused = {COMPLEX: (NotImplementedError, "signbit is not implemented for complex tensors.")}


@composite
def isinf(x):
    "Whether x is infinite, elementwise."
    if x.dtype.category < FLOAT:
        return ne(x, x)
    return _isinf(x)


@composite
def isfinite(x):
    "Whether x is neither infinite nor NaN, elementwise."
    if x.dtype.category < FLOAT:
        return eq(x, x)
    return _isfinite(x)


def _real_only(name: str) -> dict:
    return {COMPLEX: (RuntimeError, f"{name} not implemented for complex tensors.")}


@pointwise(only=REAL,
           vjp={"x": lambda g, x, y: _chosen(g, x, y, gt), "y": lambda g, x, y: _chosen(g, y, x, gt)},
           strict=("x", "y"), refused=_real_only("maximum"))
def maximum(x, y):
    "The larger of x and y; NaN if either is."
    return x if x != x else (x if x > y else y)


@pointwise(only=REAL,
           vjp={"x": lambda g, x, y: _chosen(g, x, y, lt), "y": lambda g, x, y: _chosen(g, y, x, lt)},
           strict=("x", "y"), refused=_real_only("minimum"))
def minimum(x, y):
    "The smaller of x and y; NaN if either is."
    return x if x != x else (x if x < y else y)


def _chosen(g, x, y, wins):
    """The gradient of a maximum: half to each where they are equal."""
    return where(eq(x, y), g / 2, where(wins(x, y), g, g * 0))


@pointwise(only=REAL, vjp={"x": lambda g, x, y: where(ge(x, y) | isnan(y), g, g * 0),
                           "y": lambda g, x, y: where(ge(x, y) | isnan(y), g * 0, g)}, strict=("x", "y"),
           refused=_real_only("fmax"))
def fmax(x, y):
    "The larger of x and y; a NaN gives way to a number."
    return y if x != x else (x if (x > y) or (y != y) else y)


@pointwise(only=REAL, vjp={"x": lambda g, x, y: where(le(x, y) | isnan(y), g, g * 0),
                           "y": lambda g, x, y: where(le(x, y) | isnan(y), g * 0, g)}, strict=("x", "y"),
           refused=_real_only("fmin"))
def fmin(x, y):
    "The smaller of x and y; a NaN gives way to a number."
    return y if x != x else (x if (x < y) or (y != y) else y)


# ------------------------------------------------------------------------------------------------ bits
@pointwise(only=INTEGRAL, strict=())
def bitwise_and(x, y):
    "x & y, bit by bit."
    return x & y


@pointwise(only=INTEGRAL, strict=())
def bitwise_or(x, y):
    "x | y, bit by bit."
    return x | y


@pointwise(only=INTEGRAL, strict=())
def bitwise_xor(x, y):
    "x ^ y, bit by bit."
    return x ^ y


@pointwise(only=INTEGRAL)
def bitwise_not(x):
    "~x, bit by bit."
    return ~x


def invert(self):
    """~x: bits of integers flipped, bools negated."""
    if self.dtype.category not in INTEGRAL:
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return bitwise_not(self)


@pointwise(only=(INT,), strict=(), kernel="lshift_cpu")
def bitwise_left_shift(x, y):
    "x shifted left by y bits."
    return x << y


@pointwise(only=(INT,), strict=(), kernel="rshift_cpu")
def bitwise_right_shift(x, y):
    "x shifted right by y bits."
    return x >> y


# ------------------------------------------------------------------------------------------ choice and mixing
@pointwise(name="where.op", at=(), free=("c",),
           vjp={"x": lambda g, c: where(c, g, zero_of(g)), "y": lambda g, c: where(c, zero_of(g), g)})
def choose(c, x, y):
    "x where c holds, y elsewhere."
    return x if c else y


def zero_of(g):
    """A zero of g's dtype and device that broadcasts."""
    from .create import zeros
    return zeros((), dtype=g.dtype, device=g.device)


@composite
def where(c, x=None, y=None):
    "x where the condition holds, y elsewhere; with the condition alone, the indices where it holds."
    if x is None and y is None:
        from .index import nonzero
        return nonzero(c, as_tuple=True)
    if not hasattr(c, "layout"):
        raise TypeError(f"where(): argument 'condition' (position 1) must be Tensor, not {type(c).__name__}")
    if c.dtype.name == "uint8":
        import warnings
        warnings.warn("where received a uint8 condition tensor. This behavior is deprecated and will be "
                      "removed in a future version of PyTorch. Use a boolean condition instead.",
                      stacklevel=3)
        c = ne(c, 0)
    elif c.dtype.category != BOOL:
        raise RuntimeError("where expected condition to be a boolean tensor, but got a tensor with dtype "
                           f"{_title(c.dtype)}")
    return choose(c, x, y)


def _title(d):
    from ..dispatch import TITLES
    return TITLES[d.name]


@pointwise(name="lerp.op", at=(),
           vjp={"x": lambda g, w: g * (1 - w), "y": lambda g, w: g * w, "w": lambda g, x, y: g * (y - x)})
def mix(x, y, w):
    "x + w · (y − x), from the nearer end."
    return x + w * (y - x) if abs(w) < 0.5 else y - (y - x) * (1 - w)


@composite
def lerp(x, y, weight):
    "x + weight · (y − x): linear interpolation."
    lerp_types(x, y, weight)
    return mix(x, y, weight)


def lerp_types(x, y, weight) -> None:
    """The errors of lerp's types: all the same, and floating or complex."""
    if not (hasattr(x, "layout") and hasattr(y, "layout")):
        raise no_overload("lerp", (x, y, weight))
    d, tensor = x.dtype, hasattr(weight, "layout")
    for name, v in (("end", y), ("weight", weight)):
        if hasattr(v, "layout") and v.dtype is not d and (name == "end" or v.ndim):
            from .index import c_name
            raise RuntimeError(f"expected dtype {c_name(d)} for `{name}` but got dtype {c_name(v.dtype)}")
    if tensor:  # of no dimensions: it takes part in the type of the result
        d = result_type(x, y, weight)
    if d.category < FLOAT:
        raise unimplemented("lerp_kernel_tensor" if tensor else "lerp_kernel_scalar", d)
    number_of(d, weight)


_NUMBER_TYPES = {"uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int", "int64": "int64_t",
                 "float64": "double"}


def number_of(d, v):
    """A factor as the type d that it multiplies: for integers without its fraction. RuntimeError where it
    does not fit."""
    if isinstance(v, complex) and not d.is_complex:
        if v.imag:
            kind = _NUMBER_TYPES.get(d.name, "float")
            raise RuntimeError(f"value cannot be converted to type {kind} without overflow")
        v = v.real
    return int(v) if isinstance(v, float) and d.category < FLOAT else v


@pointwise(name="addcmul.op", at=(), only=NUMERIC, kernel="addcmul_cpu_out",
           vjp={"x": lambda g: g, "y": lambda g, z, value: g * conj(z * value),
                "z": lambda g, y, value: g * conj(y * value)})
def plus_product(x, y, z, *, value=1):
    "x + value · y · z."
    return x + value * y * z


@composite
def addcmul(x, tensor1, tensor2, *, value=1):
    "x + value · tensor1 · tensor2, elementwise."
    if type(value) is not int:
        value = number_of(result_type(x, tensor1, tensor2), value)
    return plus_product(x, tensor1, tensor2, value=value)


@pointwise(name="addcdiv.op", at=(), vjp={"x": lambda g: g, "y": lambda g, z, value: g * conj(value / z),
                                          "z": lambda g, y, z, value: -g * conj(value * y / (z * z))})
def plus_quotient(x, y, z, *, value=1):
    "x + value · y / z."
    return x + value * y / z


@composite
def addcdiv(x, tensor1, tensor2, *, value=1):
    "x + value · tensor1 / tensor2, elementwise."
    if tensor1.dtype.category < FLOAT and tensor2.dtype.category < FLOAT:
        raise RuntimeError("Integer division with addcdiv is no longer supported, and in a future  release "
                           "addcdiv will perform a true division of tensor1 and tensor2. The historic "
                           "addcdiv behavior can be implemented as (input + value * torch.trunc(tensor1 / "
                           "tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / "
                           "tensor2) for float inputs. The future addcdiv behavior is just the latter "
                           "implementation: (input + value * tensor1 / tensor2), for all dtypes.")
    if type(value) is not int:
        value = number_of(result_type(x, tensor1, tensor2), value)
    return plus_quotient(x, tensor1, tensor2, value=value)


@pointwise(name="nan_to_num.op", at=(), only=(FLOAT,),
           vjp={"x": lambda g, x: where(isfinite(x), g, zero_of(g))})
def finite(x, *, nan, posinf, neginf):
    "x with NaN, inf and −inf replaced."
    return nan if x != x else (posinf if x == math.inf else (neginf if x == -math.inf else x))


@composite
def nan_to_num(x, nan=None, posinf=None, neginf=None):
    "x with NaN (→ 0), inf and −inf (→ the largest and lowest numbers) replaced."
    from ..dtypes import finfo
    for i, (name, v) in enumerate((("nan", nan), ("posinf", posinf), ("neginf", neginf))):
        if isinstance(v, complex):
            raise TypeError(f"nan_to_num(): argument '{name}' (position {i + 2}) must be float, not complex")
    if x.dtype.category < FLOAT:
        return copied(x)
    if x.dtype.is_complex:
        from .create import complex_
        return complex_(*[nan_to_num(part, nan, posinf, neginf) for part in (x.real, x.imag)])
    f = finfo(x.dtype)
    return finite(x, nan=0.0 if nan is None else float(nan),
                  posinf=f.max if posinf is None else float(posinf),
                  neginf=f.min if neginf is None else float(neginf))


@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,),
           vjp={"x": lambda g, x, y: g * sign_product(x, y), "y": lambda g: g * 0})
def copysign(x, y):
    "The magnitude of x with the sign of y."
    return math.copysign(x, y)


def sign_product(x, y):
    """The derivative of copysign(x, y) by x: sign(x) times the sign bit of y, 0 at 0."""
    from .create import ones_like
    return sign(x) * copysign(ones_like(x), y)


@pointwise(vjp={"x": lambda g: g * 0, "values": lambda g, x: where(eq(x, 0), g, zero_of(g))}, only=REAL,
           strict=("x", "values"), name="heaviside.op", at=())
def step(x, values):
    "0 for x < 0, 1 for x > 0, `values` at 0."
    return values if x == 0 else (1 if x > 0 else 0)


@composite
def heaviside(x, values):
    "0 for x < 0, 1 for x > 0, `values` at 0."
    if hasattr(x, "layout") and hasattr(values, "layout"):
        if x.dtype.is_complex or values.dtype.is_complex:
            raise RuntimeError("heaviside is not yet implemented for complex tensors.")
        if x.dtype is not values.dtype:
            raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return step(x, values)


@pointwise(dtype=INT_TO_FLOAT, only=(FLOAT,),
           vjp={"x": lambda g, x, y: g * log(y).masked_fill((x == 0) & (y <= 0), 0),
                "y": lambda g, x, y: g * x / y}, at=EVERYWHERE, domain=(0.1, 3), strict=())
def xlogy(x, y):
    "x · log(y), 0 where x = 0 (and y is a number)."
    r = x * math.log(y)
    return y if y != y else (0 if x == 0 else r)


@pointwise(dtype=INT_TO_FLOAT, vjp={"x": lambda g, x: g * sinc_grad(x)}, at=EVERYWHERE)
def sinc(x):
    "sin(πx) / (πx), 1 at 0."
    t = x * PI
    return 1 if t == 0 else math.sin(t) / t


def sinc_grad(x):
    """The derivative of sinc: (cos(πx)·πx − sin(πx)) / (πx²), 0 at 0."""
    t = x * PI
    return ((cos(t) * t - sin(t)) / (t * x)).masked_fill(x == 0, 0)


@pointwise(name="copy.op", at=(), vjp={"x": lambda g: g})
def copied(x):
    "x: what copies and conversions compute."
    return x


def _where_method(self, condition, other):
    """self where the condition holds, other elsewhere."""
    return where(condition, self, other)


@composite
def conj_physical(x):
    "The complex conjugate."
    return conj(x)


def transposed_matrix(x, name: str, instead: str):
    """x with its last two dimensions swapped, for x.mT and its like; 0-d tensors stay, with a warning."""
    if x.ndim == 1:
        raise RuntimeError(f"tensor.{name} is only supported on matrices or batches of matrices. Got 1-D "
                           "tensor.")
    if x.ndim == 0:
        title = name if name.endswith("()") else f"Tensor.{name}"
        warnings.warn(f"{title} is deprecated on 0-D tensors. {instead}", stacklevel=4)
        return x
    return x.transpose(-2, -1)


@composite
def adjoint(x):
    "The conjugate transpose of a matrix or a batch of matrices."
    return conj(transposed_matrix(x, "adjoint()", "Consider using x.conj()."))


def conj_physical_(self):
    """Conjugate every element, in place."""
    return self.copy_(conj(self)) if self.dtype.is_complex else self


def resolve_conj(input):
    """input itself: conjugates are computed at once here, never left to be resolved."""
    return input


def resolve_neg(input):
    """input itself: negatives are computed at once here, never left to be resolved."""
    return input


@composite(name="angle.complex", at=(), vjp={
    "x": lambda g, x: where(x == 0, zero_of(x), g * x * 1j / square(abs_(x)))})
def angle_complex(x):
    "The angle of x from the positive real axis, in radians."
    return atan2(x.imag, x.real)


@pointwise(only=(FLOAT,), dtype=INT_TO_FLOAT, name="angle.real", at=(), vjp={"x": lambda g: g * 0})
def angle_real(x):
    "0 for x >= 0, pi below; NaN of NaN."
    return x if x != x else (PI if x < 0 else 0.0)


@composite
def angle(x):
    "The angle of x from the positive real axis, in radians: 0 or pi of real numbers."
    if not x.dtype.is_complex:
        return angle_real(x)
    return angle_complex(x)


@composite
def isreal(x):
    "Whether the imaginary part is 0."
    return eq(x.imag, 0) if x.dtype.is_complex else eq(x, x) | ne(x, x)


def _infinite(name: str, x):
    if x.dtype.is_complex:
        raise RuntimeError(f"{name} does not support complex inputs.")
    return isinf(x)


@composite
def isposinf(x):
    "Whether x is +inf."
    return _infinite("isposinf", x) & gt(x, 0)


@composite
def isneginf(x):
    "Whether x is -inf."
    return _infinite("isneginf", x) & lt(x, 0)


METHODS = {"__invert__": invert, "conj": conj, "conj_physical_": conj_physical_,
           "resolve_conj": resolve_conj, "resolve_neg": resolve_neg, "where": _where_method,
           "__rdiv__": lambda self, other: reciprocal(self) * other}
FUNCTIONS = {"conj": conj, "resolve_conj": resolve_conj, "resolve_neg": resolve_neg}
