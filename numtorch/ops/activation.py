"""Activation functions: pointwise entries with closed gradients, softmax and its kin, gates.

An entry `f_grad(y, x)` is y f'(x) as one pointwise op; where f is smooth its own rule for x is written with
public ops, so that every higher order follows."""
from __future__ import annotations

import math
import warnings

from .. import dtypes as D
from ..dispatch import wrap_dim
from ..kinds import composite, pointwise
from .index import title

SQRT_HALF = math.sqrt(0.5)
INV_SQRT_2PI = 1 / math.sqrt(2 * math.pi)
SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
# Self-normalizing networks (arXiv:1706.02515): the fixed point of mean 0 and variance 1.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def _check_float(name: str, x) -> None:
    if not x.dtype.is_floating_point:
        raise NotImplementedError(f'"{name}" not implemented for \'{title(x.dtype)}\'')


def _inplace(entry, x, *args):
    return entry.op.inplace(x, *args)


# ------------------------------------------------------------------------------------------------ rectifiers
@pointwise(vjp={"x": lambda g, out: relu_grad(g, out)}, domain=(1, 2))
def relu(x):
    """max(x, 0), NaN where x is NaN."""
    return 0 if x <= 0 else x


@pointwise(vjp={"y": lambda g, x: relu_grad(g, x)}, at=())
def relu_grad(y, x):
    """y where x > 0 or NaN, else 0."""
    return 0 if x <= 0 else y


@composite(at=())
def functional_relu(input, inplace=False):
    """max(input, 0)."""
    return _inplace(relu, input) if inplace else relu(input)


@pointwise(vjp={"x": lambda g, x, low, high: bounded_grad(g, x, low, high)}, at=())
def bounded(x, low, high):
    """x bounded to [low, high], NaN where x is NaN."""
    return low if x < low else (high if x > high else x)


@pointwise(vjp={"y": lambda g, x, low, high: bounded_grad(g, x, low, high)}, at=())
def bounded_grad(y, x, low, high):
    """y where low < x < high (or x is NaN), else 0."""
    return 0 if x <= low or x >= high else y


@composite(at=("nn.functional",))
def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """input bounded to [min_val, max_val]."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if input.dtype.name == "bool":
        raise NotImplementedError("Bool inputs not supported for hardtanh")
    if not input.dtype.is_floating_point:
        if not input.dtype.is_signed and min_val < 0:
            raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
        min_val, max_val = int(min_val), int(max_val)
    return _inplace(bounded, input, min_val, max_val) if inplace else bounded(input, min_val, max_val)


@composite(at=("nn.functional",))
def hardtanh_(input, min_val=-1.0, max_val=1.0):
    """In-place form of `hardtanh`."""
    return hardtanh(input, min_val, max_val, True)


@composite(at=("nn.functional",))
def relu6(input, inplace=False):
    """input bounded to [0, 6]."""
    if input.dtype.name == "bool":
        raise NotImplementedError("Bool inputs not supported for hardtanh")
    return _inplace(bounded, input, 0, 6) if inplace else bounded(input, 0, 6)


@pointwise(vjp={"x": lambda g, x, slope: leaky_grad(g, x, slope)}, at=())
def leaky(x, slope):
    """x where x > 0, else slope x."""
    return x if x > 0 else x * slope


@pointwise(vjp={"y": lambda g, x, slope: leaky_grad(g, x, slope),
                "slope": lambda g, y, x: g * y * (x <= 0)}, at=())
def leaky_grad(y, x, slope):
    """y where x > 0, else slope y."""
    return y if x > 0 else y * slope


@composite(at=("nn.functional",))
def leaky_relu(input, negative_slope=0.01, inplace=False):
    """input where positive, else negative_slope input."""
    _check_float("leaky_relu_cpu", input)
    return _inplace(leaky, input, float(negative_slope)) if inplace else leaky(input, float(negative_slope))


@composite(at=("nn.functional",))
def leaky_relu_(input, negative_slope=0.01):
    """In-place form of `leaky_relu`."""
    return leaky_relu(input, negative_slope, True)


@pointwise(vjp={"x": lambda g, x, limit: threshold_grad(g, x, limit)}, at=())
def above(x, limit, value):
    """x where x > limit (or NaN), else value."""
    return value if x <= limit else x


@pointwise(vjp={"y": lambda g, x, limit: threshold_grad(g, x, limit)}, at=())
def threshold_grad(y, x, limit):
    """y where x > limit (or NaN), else 0."""
    return 0 if x <= limit else y


@composite(at=("torch", "nn.functional"))
def threshold(input, threshold, value, inplace=False):
    """input where input > threshold, else value."""
    if input.dtype.name == "bool":
        raise NotImplementedError("\"threshold_cpu\" not implemented for 'Bool'")
    if not input.dtype.is_floating_point:
        threshold, value = int(threshold), int(value)
    return _inplace(above, input, threshold, value) if inplace else above(input, threshold, value)


@composite(at=("torch", "nn.functional"))
def threshold_(input, threshold_, value):
    """In-place form of `threshold`."""
    return threshold(input, threshold_, value, True)


@pointwise(vjp={"x": lambda g, x, w: leaky_grad(g, x, w),
                "w": lambda g, x: prelu_weight_grad(g, x)}, at=())
def prelu_terms(x, w):
    """x where x > 0, else w x."""
    return x if x > 0 else w * x


@pointwise(vjp={"y": lambda g, x: prelu_weight_grad(g, x), "x": lambda g, y, x: g * y * (x <= 0)}, at=())
def prelu_weight_grad(y, x):
    """0 where x > 0, else x y."""
    return 0 if x > 0 else x * y


@composite(at=("torch", "nn.functional", "Tensor"))
def prelu(input, weight):
    """input where positive, else weight input; weight holds one number, or one per channel (dimension 1)."""
    if input.dtype is not weight.dtype:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {title(input.dtype)} and "
                           f"{title(weight.dtype)}")
    if weight.ndim > 1:
        raise RuntimeError("prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = "
                           f"{weight.ndim}")
    if weight.numel() != 1:
        if input.ndim == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.shape[1] if input.ndim > 1 else 1
        if channels != weight.numel():
            raise RuntimeError("Mismatch of parameter numbers and input channel size. Found parameter "
                               f"numbers = {weight.numel()} and channel size = {channels}.")
    _check_float("prelu_cpu", input)
    shape = [1] * input.ndim
    if input.ndim > 1:
        shape[1] = weight.numel()
    return prelu_terms(input, weight.reshape(shape))


# ------------------------------------------------------------------------------------------ exponential units
@pointwise(vjp={"x": lambda g, x, alpha, scale, rate: elu_grad(g, x, alpha, scale, rate)}, at=())
def elu_terms(x, alpha, scale, rate):
    """scale x where x > 0, else scale alpha (e^(rate x) - 1)."""
    return scale * x if x > 0 else scale * alpha * math.expm1(rate * x)


@pointwise(vjp={"y": lambda g, x, alpha, scale, rate: elu_grad(g, x, alpha, scale, rate),
                "x": lambda g, y, x, alpha, scale, rate:
                    (x <= 0) * (g * y) * (scale * alpha * rate * rate) * (rate * x.clamp(max=0)).exp()},
                    at=())
def elu_grad(y, x, alpha, scale, rate):
    """y times the slope of `elu_terms` at x."""
    return scale * y if x > 0 else scale * alpha * rate * y * math.exp(rate * x)


@composite(at=("nn.functional",))
def elu(input, alpha=1.0, inplace=False):
    """input where positive, else alpha (e^input - 1)."""
    _check_float("elu_cpu", input)
    args = (input, float(alpha), 1.0, 1.0)
    return _inplace(elu_terms, *args) if inplace else elu_terms(*args)


@composite(at=("nn.functional",))
def elu_(input, alpha=1.0):
    """In-place form of `elu`."""
    return elu(input, alpha, True)


@composite(at=("torch", "nn.functional"))
def selu(input, inplace=False):
    """`elu` scaled to keep mean 0 and variance 1 (arXiv:1706.02515)."""
    _check_float("elu_cpu", input)
    args = (input, SELU_ALPHA, SELU_SCALE, 1.0)
    return _inplace(elu_terms, *args) if inplace else elu_terms(*args)


@composite(at=("torch", "nn.functional"))
def selu_(input):
    """In-place form of `selu`."""
    return selu(input, True)


@composite(at=("torch", "nn.functional"))
def celu(input, alpha=1.0, inplace=False):
    """max(0, x) + min(0, alpha (e^(x / alpha) - 1)) (arXiv:1704.07483)."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    _check_float("elu_cpu", input)
    args = (input, float(alpha), 1.0, 1.0 / alpha)
    return _inplace(elu_terms, *args) if inplace else elu_terms(*args)


@composite(at=("torch", "nn.functional"))
def celu_(input, alpha=1.0):
    """In-place form of `celu`."""
    return celu(input, alpha, True)


# ----------------------------------------------------------------------------------------------- smooth units
@pointwise(vjp={"x": lambda g, x: gelu_erf_grad(g, x)}, at=(), cost=1.0)
def gelu_erf(x):
    """x Φ(x), Φ the normal distribution function."""
    return 0.5 * x * (1 + math.erf(x * SQRT_HALF))


@pointwise(vjp={"y": lambda g, x: gelu_erf_grad(g, x),
                "x": lambda g, y, x: g * y * (2 - x * x) * (-0.5 * x * x).exp() * INV_SQRT_2PI}, at=(),
                cost=1.5)
def gelu_erf_grad(y, x):
    """y (Φ(x) + x φ(x))."""
    return y * (0.5 * (1 + math.erf(x * SQRT_HALF)) + x * INV_SQRT_2PI * math.exp(-0.5 * x * x))


@pointwise(vjp={"x": lambda g, x: gelu_tanh_grad(g, x)}, at=(), cost=1.0)
def gelu_tanh(x):
    """x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2."""
    return 0.5 * x * (1 + math.tanh(SQRT_2_OVER_PI * (x + 0.044715 * x * x * x)))


def _gelu_tanh_curve(x):
    """Second derivative of `gelu_tanh`."""
    u1 = SQRT_2_OVER_PI * (1 + 0.134145 * x * x)
    t = (SQRT_2_OVER_PI * (x + 0.044715 * x * x * x)).tanh()
    s = 1 - t * t
    return s * u1 + 0.5 * x * s * (SQRT_2_OVER_PI * 0.26829 * x - 2 * t * u1 * u1)


@pointwise(vjp={"y": lambda g, x: gelu_tanh_grad(g, x),
                "x": lambda g, y, x: g * y * _gelu_tanh_curve(x)}, at=(), cost=1.5)
def gelu_tanh_grad(y, x):
    """y times the slope of `gelu_tanh` at x."""
    t = math.tanh(SQRT_2_OVER_PI * (x + 0.044715 * x * x * x))
    return y * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * SQRT_2_OVER_PI * (1 + 0.134145 * x * x))


@composite(at=("nn.functional",))
def gelu(input, approximate="none"):
    """x Φ(x) with the normal distribution function Φ, or its tanh approximation (arXiv:1606.08415)."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    _check_float("GeluKernelImpl", input)
    return gelu_erf(input) if approximate == "none" else gelu_tanh(input)


@pointwise(vjp={"x": lambda g, x: silu_grad(g, x)}, at=(), cost=0.6)
def silu_terms(x):
    """x / (1 + e^-x)."""
    return x / (1 + math.exp(-x))


def _silu_curve(x):
    s = x.sigmoid()
    return s * (1 - s) * (2 + x * (1 - 2 * s))


@pointwise(vjp={"y": lambda g, x: silu_grad(g, x), "x": lambda g, y, x: g * y * _silu_curve(x)}, at=(),
           cost=0.8)
def silu_grad(y, x):
    """y s (1 + x (1 - s)), s the sigmoid of x."""
    s = 1 / (1 + math.exp(-x))
    return y * s * (1 + x * (1 - s))


@composite(at=("nn.functional",))
def silu(input, inplace=False):
    """x sigmoid(x)."""
    if input.dtype.is_complex:
        out = input / (1 + (-input).exp())
        return input.copy_(out) if inplace else out
    _check_float("silu_cpu", input)
    return _inplace(silu_terms, input) if inplace else silu_terms(input)


@pointwise(vjp={"x": lambda g, x: mish_grad(g, x)}, at=(), cost=1.2)
def mish_terms(x):
    """x tanh(log(1 + e^x)) = x n / (n + 2) with n = e^x (e^x + 2)."""
    w = math.exp(x)
    n = w * (w + 2)
    return x if x > 20 else x * n / (n + 2)


def _mish_curve(x):
    s = x.sigmoid()
    t = softplus(x).tanh()
    d = (1 - t * t) * s
    return d * (2 + x * (1 - s - 2 * t * s))


@pointwise(vjp={"y": lambda g, x: mish_grad(g, x), "x": lambda g, y, x: g * y * _mish_curve(x)}, at=(),
           cost=1.4)
def mish_grad(y, x):
    """y (t + x (1 - t²) s) with t = tanh(softplus(x)), s = sigmoid(x)."""
    w = math.exp(x)
    n = w * (w + 2)
    u = 1 if x > 20 else n / (n + 2)
    s = 1 / (1 + math.exp(-x))
    return y * (u + x * (1 - u * u) * s)


@composite(at=("nn.functional",))
def mish(input, inplace=False):
    """x tanh(softplus(x)) (arXiv:1908.08681)."""
    _check_float("mish_cpu", input)
    return _inplace(mish_terms, input) if inplace else mish_terms(input)


@pointwise(vjp={"x": lambda g, x, beta, limit: softplus_grad(g, x, beta, limit)}, at=(), cost=0.8)
def softplus_terms(x, beta, limit):
    """log(1 + e^(beta x)) / beta; x where beta x > limit."""
    return x if x * beta > limit else math.log1p(math.exp(x * beta)) / beta


@pointwise(vjp={"y": lambda g, x, beta, limit: softplus_grad(g, x, beta, limit),
                "x": lambda g, y, x, beta, limit:
                    g * y * (x * beta <= limit) * beta * (x * beta).sigmoid() * (-x * beta).sigmoid()}, at=(),
                    cost=0.6)
def softplus_grad(y, x, beta, limit):
    """y sigmoid(beta x); y where beta x > limit."""
    return y if x * beta > limit else y / (1 + math.exp(-x * beta))


@composite(at=("nn.functional",))
def softplus(input, beta=1, threshold=20):
    """log(1 + e^(beta x)) / beta, linear where beta x > threshold."""
    _check_float("softplus_cpu", input)
    return softplus_terms(input, float(beta), float(threshold))


@pointwise(vjp={"x": lambda g, x: logsigmoid_grad(g, x)}, at=(), cost=0.8)
def logsigmoid_terms(x):
    """-log(1 + e^-x), without overflow."""
    z = math.exp(-abs(x))
    return (x if x < 0 else 0) - math.log1p(z)


@pointwise(vjp={"y": lambda g, x: logsigmoid_grad(g, x),
                "x": lambda g, y, x: -(g * y * x.sigmoid() * (-x).sigmoid())}, at=(), cost=0.6)
def logsigmoid_grad(y, x):
    """y sigmoid(-x)."""
    return y / (1 + math.exp(x))


@composite(at=("nn.functional",))
def logsigmoid(input):
    """log sigmoid(x) = -log(1 + e^-x)."""
    _check_float("log_sigmoid_cpu", input)
    return logsigmoid_terms(input)


@composite(at=("nn.functional",))
def softsign(input):
    """x / (1 + |x|)."""
    return input / (input.abs() + 1)


@composite(at=("nn.functional",))
def tanhshrink(input):
    """x - tanh(x)."""
    return input - input.tanh()


# ------------------------------------------------------------------------------------------- piecewise linear
@pointwise(vjp={"x": lambda g, x: hardsigmoid_grad(g, x)}, at=())
def hardsigmoid_terms(x):
    """(x + 3) / 6 bounded to [0, 1]."""
    return 0 if x <= -3 else (1 if x >= 3 else (x + 3) / 6)


@pointwise(vjp={"y": lambda g, x: hardsigmoid_grad(g, x)}, at=())
def hardsigmoid_grad(y, x):
    """y / 6 where -3 < x < 3, else 0."""
    return y / 6 if x > -3 and x < 3 else 0


@composite(at=("nn.functional",))
def hardsigmoid(input, inplace=False):
    """(x + 3) / 6 bounded to [0, 1]."""
    _check_float("hardsigmoid_cpu", input)
    return _inplace(hardsigmoid_terms, input) if inplace else hardsigmoid_terms(input)


@pointwise(vjp={"x": lambda g, x: hardswish_grad(g, x)}, at=())
def hardswish_terms(x):
    """x relu6(x + 3) / 6."""
    return 0 if x <= -3 else (x if x >= 3 else x * (x + 3) / 6)


@pointwise(vjp={"y": lambda g, x: hardswish_grad(g, x),
                "x": lambda g, y, x: g * y * ((x > -3) & (x < 3)) / 3}, at=())
def hardswish_grad(y, x):
    """y (2 x + 3) / 6 where -3 < x < 3, y above, 0 below."""
    return 0 if x <= -3 else (y if x >= 3 else y * (x / 3 + 0.5))


@composite(at=("nn.functional",))
def hardswish(input, inplace=False):
    """x relu6(x + 3) / 6 (arXiv:1905.02244)."""
    _check_float("hardswish_cpu", input)
    return _inplace(hardswish_terms, input) if inplace else hardswish_terms(input)


@pointwise(vjp={"x": lambda g, x, lambd: outside_grad(g, x, lambd)}, at=())
def softshrink_terms(x, lambd):
    """x moved towards 0 by lambd, 0 where it would pass it."""
    return x - lambd if x > lambd else (x + lambd if x < -lambd else 0 * x)


@pointwise(vjp={"x": lambda g, x, lambd: outside_grad(g, x, lambd)}, at=())
def hardshrink_terms(x, lambd):
    """x where |x| > lambd, else 0."""
    return 0 if x >= -lambd and x <= lambd else x


@pointwise(vjp={"y": lambda g, x, lambd: outside_grad(g, x, lambd)}, at=())
def outside_grad(y, x, lambd):
    """y where |x| > lambd, else 0."""
    return 0 if x >= -lambd and x <= lambd else y


@composite(at=("nn.functional",))
def softshrink(input, lambd=0.5):
    """sign(x) max(|x| - lambd, 0)."""
    if lambd < 0:
        limit = D.finfo(input.dtype).max if input.dtype.is_floating_point else 0
        raise RuntimeError(f"lambda must be in range [0, {limit:g}] for input dtype {title(input.dtype)}, "
                           f"but found {lambd:g}")
    _check_float("softshrink_cpu", input)
    return softshrink_terms(input, float(lambd))


@composite(at=("torch", "nn.functional", "Tensor"))
def hardshrink(input, lambd=0.5):
    """x where |x| > lambd, else 0."""
    _check_float("hardshrink_cpu", input)
    return hardshrink_terms(input, float(lambd))


@composite(at=("torch", "nn.functional"))
def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    """x where positive, else a x; a uniform in [lower, upper] for each element when training, else their
    mean."""
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    _check_float("rrelu_with_noise_out_cpu" if training else "leaky_relu_cpu", input)
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    from .. import empty, no_grad, ones_like
    with no_grad():
        negative = input <= 0
        draws = empty(int(negative.sum()), dtype=D.float64, device=input.device).uniform_(lower, upper)
        noise = ones_like(input.detach()).masked_scatter(negative, draws.to(input.dtype))
    return input.mul_(noise) if inplace else input * noise


@composite(at=("torch", "nn.functional"))
def rrelu_(input, lower=1.0 / 8, upper=1.0 / 3, training=False):
    """In-place form of `rrelu`."""
    return rrelu(input, lower, upper, training, True)


@composite(at=("nn.functional",))
def glu(input, dim=-1):
    """a sigmoid(b) where a and b are the halves of input along dim."""
    if input.ndim == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    dim = wrap_dim(dim, input.ndim)
    n = input.shape[dim]
    if n % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {n}")
    _check_float("glu_cpu", input)
    return input.narrow(dim, 0, n // 2) * input.narrow(dim, n // 2, n // 2).sigmoid()


# ------------------------------------------------------------------------------------------------ softmax
def _wide(x):
    """Half types are computed in float32 and rounded once."""
    return x.to(D.float32) if x.dtype.itemsize == 2 else x


@composite(fuse=True, at=(), vjp={"x": lambda g, out, dim: out * (g - (g * out).sum(dim, True))})
def softmax_along(x, dim):
    """e^x / Σ e^x along dim."""
    if x.numel() == 0:
        return x.clone()
    wide = _wide(x)
    e = (wide - wide.amax(dim, True)).exp()
    out = e / e.sum(dim, True)
    return out if wide is x else out.to(x.dtype)


@composite(fuse=True, at=(), vjp={"x": lambda g, out, dim: g - out.exp() * g.sum(dim, True)})
def log_softmax_along(x, dim):
    """x - log Σ e^x along dim."""
    if x.numel() == 0:
        return x.clone()
    wide = _wide(x)
    shifted = wide - wide.amax(dim, True)
    out = shifted - shifted.exp().sum(dim, True).log()
    return out if wide is x else out.to(x.dtype)


def _softmax_input(name: str, x, dim: int, dtype):
    """(x in the type to compute in, dim from the front)."""
    dim = wrap_dim(dim, x.ndim)
    x = x if x.layout.contiguous else x.contiguous()
    if dtype is not None and dtype is not x.dtype:
        x = x.to(dtype)
    if not x.dtype.is_floating_point:
        last = "_lastdim" if dim == x.ndim - 1 or x.ndim == 0 else ""
        raise NotImplementedError(f'"{name}{last}_kernel_impl" not implemented for \'{title(x.dtype)}\'')
    return x, dim


@composite(at=("torch", "Tensor", "special"))
def softmax(input, dim, dtype=None):
    """e^x / Σ e^x along dim, computed in `dtype` if given."""
    return softmax_along(*_softmax_input("softmax", input, dim, dtype))


@composite(at=("torch", "Tensor", "special"))
def log_softmax(input, dim, dtype=None):
    """log softmax(x) along dim, computed in `dtype` if given."""
    return log_softmax_along(*_softmax_input("log_softmax", input, dim, dtype))


def _implicit_dim(name: str, ndim: int, level: int) -> int:
    warnings.warn(f"Implicit dimension choice for {name} has been deprecated. Change the call to include "
                  "dim=X as an argument.", stacklevel=level + 3)
    return 0 if ndim in (0, 1, 3) else 1


@composite(at=())
def functional_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """e^x / Σ e^x along dim."""
    return softmax(input, _implicit_dim("softmax", input.ndim, _stacklevel) if dim is None else dim, dtype)


@composite(at=())
def functional_log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """log softmax(x) along dim."""
    return log_softmax(input, _implicit_dim("log_softmax", input.ndim, _stacklevel) if dim is None else dim,
                       dtype)


@composite(at=("nn.functional",))
def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """softmax(-x) along dim."""
    return softmax(-input, _implicit_dim("softmin", input.ndim, _stacklevel) if dim is None else dim, dtype)


@composite(at=("nn.functional",))
def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """Sample softmax((logits + Gumbel noise) / tau); `hard` rounds it to one-hot, with the soft gradient."""
    from .. import empty_like, zeros_like
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=4)
    noise = -empty_like(logits.detach()).exponential_().log()
    soft = softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.detach().max(dim, keepdim=True)[1]
    return zeros_like(logits.detach()).scatter_(dim, index, 1.0) - soft.detach() + soft


@composite(at=())
def functional_sigmoid(input):
    """1 / (1 + e^-x)."""
    return input.sigmoid()


@composite(at=())
def functional_tanh(input):
    """tanh(x)."""
    return input.tanh()


# Functions of nn.functional that differ from the torch function of the same name.
FUNCTIONAL = {
    "relu": functional_relu,
    "relu_": relu.op.inplace,
    "softmax": functional_softmax,
    "log_softmax": functional_log_softmax,
    "sigmoid": functional_sigmoid,
    "tanh": functional_tanh,
}
