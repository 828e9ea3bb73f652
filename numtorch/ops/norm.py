"""Normalization: over the batch, layers, groups, instances, neighbours, vectors."""
from __future__ import annotations

from math import prod

from .. import dtypes as D
from ..dispatch import Meta
from ..kinds import composite, opaque
from ..kinds.memory import format_of
from .index import title


def _check_float(name: str, x) -> None:
    if not x.dtype.is_floating_point:
        raise NotImplementedError(f'"{name}" not implemented for \'{title(x.dtype)}\'')


def _along(v, ndim: int):
    """A vector per channel shaped to broadcast along dimension 1."""
    return v.reshape((1, -1) + (1,) * (ndim - 2))


def _wide(dtype):
    """The type statistics are kept in: float32 for the half types."""
    return D.float32 if dtype.itemsize == 2 else dtype


# -------------------------------------------------------------------------------------------- the common rule
# With x̂ = (x - μ) r, r = 1 / √(var + eps) and P(u) = r (u - mean(u) - x̂ mean(u x̂)), means over the
# normalized dimensions, the gradient of out = w x̂ + b is gx = P(w g), gw = Σ g x̂, gb = Σ g. P is symmetric,
# and it is also the derivative of x̂: so the gradient's own gradient is written with P too.
def _curve(g, grad, x, w, mean, r, dims, rows):
    """Gradients for (grad, x, w) of <h, P(w grad)> + <k, Σ grad x̂> + <l, Σ grad>, where (h, k, l) = g.

    `dims` are normalized over, `rows` are summed over in Σ; w, k and l are shaped to broadcast."""
    h, k, l = g
    xhat = (x - mean) * r
    count = prod(x.shape[d] for d in dims)

    def project(u):
        return r * (u - u.mean(dims, True) - xhat * (u * xhat).mean(dims, True))

    zero = xhat * 0
    to_grad, to_x, to_w = zero, zero, None
    if h is not None:
        u = grad if w is None else grad * w
        ph = project(h)
        a, b = (h * xhat).sum(dims, True), (u * xhat).sum(dims, True)
        s = (h * u).sum(dims, True) - h.sum(dims, True) * u.sum(dims, True) / count - a * b / count
        to_grad = ph if w is None else w * ph
        to_x = -(s * r * r / count) * xhat - r / count * (b * ph + a * project(u))
        to_w = (grad * ph).sum(rows)
    if k is not None:
        to_grad, to_x = to_grad + k * xhat, to_x + project(k * grad)
    if l is not None:
        to_grad = to_grad + l
    return to_grad, to_x, to_w


# ------------------------------------------------------------------------------------------------ batch
def _first_format(args, shape):
    """The memory format of the first tensor."""
    return format_of("x")({"x": args["tensors"][0]}, shape)


@opaque(memory=_first_format,
        at=(), vjp={"tensors": lambda g, out1, out2, tensors, eps: batch_norm_grad((g[0], *tensors[:2]), out1,
                                                                                   out2, eps)})
def batch_norm_train(tensors, eps):
    """(weight x̂ + bias, batch mean, batch biased variance) per channel of (N, C, *), for tensors (x, weight,
    bias)."""
    x = tensors[0]
    stats = Meta((x.shape[1],), _wide(x.dtype))
    return Meta(x.shape, x.dtype), stats, stats


def _batch_curve(g, tensors, mean, var, eps):
    grad, x, weight = tensors
    n = x.ndim
    g = (g[0], *[None if v is None else _along(v, n) for v in g[1:]])
    dims = (0, *range(2, n))
    return _curve(g, grad, x, None if weight is None else _along(weight, n), _along(mean, n),
                  (_along(var, n) + eps).rsqrt(), dims, dims)


@opaque(memory=_first_format, at=(), vjp={"tensors": _batch_curve})
def batch_norm_grad(tensors, mean, var, eps):
    """(gx, gw, gb) of `batch_norm_train`, for tensors (g, x, weight)."""
    _, x, weight = tensors
    channel = Meta((x.shape[1],), x.dtype if weight is None else weight.dtype)
    return Meta(x.shape, x.dtype), channel, channel


def _check_vector(name: str, v, count: int) -> None:
    if v is not None and v.numel() != count:
        raise RuntimeError(f"{name} should contain {count} elements not {v.numel()}")


@composite(fuse=True, at=())
def normalize_batch(tensors, eps):
    """weight (x - mean) / √(var + eps) + bias, one affine map per channel, for tensors (x, mean, var, weight,
    bias)."""
    x, mean, var, weight, bias = tensors
    scale = (var + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    out = x * _along(scale, x.ndim) + _along(shift, x.ndim)
    return out if out.dtype is x.dtype else out.to(x.dtype)


def _update(running, value, momentum: float) -> None:
    """running = (1 - momentum) running + momentum value, outside the tape."""
    from .. import no_grad
    with no_grad():
        running.mul_(1 - momentum).add_(value.to(running.dtype), alpha=momentum)


def _batch_norm(x, weight, bias, running_mean, running_var, training: bool, momentum: float, eps: float):
    """(out, mean, variance) after PyTorch's checks; running statistics updated in place."""
    channels = x.shape[1] if x.ndim > 1 else 0
    if not training:
        if running_mean is None:
            raise RuntimeError("running_mean must be defined in evaluation mode")
        if running_var is None:
            raise RuntimeError("running_var must be defined in evaluation mode")
    for name, v in (("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias",
                                                                                                       bias)):
        _check_vector(name, v, channels)
    _check_float("batch_norm", x)
    if x.ndim < 2:
        return x.clone(), x.new_empty(0), x.new_empty(0)
    if not training:
        return normalize_batch((x, running_mean, running_var, weight, bias), eps), running_mean, running_var
    if not x.numel():  # an empty batch says nothing about the statistics
        mean = x.new_zeros(channels, dtype=_wide(x.dtype))
        return normalize_batch((x, mean, mean + 1, weight, bias), eps), mean, mean
    out, mean, var = batch_norm_train((x, weight, bias), float(eps))
    if running_mean is not None:
        _update(running_mean, mean, momentum)
    if running_var is not None:
        count = x.numel() // max(channels, 1)
        _update(running_var, var * (count / max(count - 1, 1)), momentum)
    return out, mean, var


@composite(memory=format_of("input"), at=("torch",))
def batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled=True):
    """weight (x - mean) / √(var + eps) + bias per channel; the batch's statistics if training, else the
    running ones."""
    return _batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)[0]


@composite(memory=format_of("input"), at=())
def functional_batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False,
                          momentum=0.1, eps=1e-5):
    """Normalize each channel of (N, C, *); running statistics are updated in place when training.

    Training uses the biased variance to normalize and puts the unbiased one into running_var."""
    if training:
        _check_batch(input.shape)
        if eps <= 0:
            raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    if eps < 0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    return _batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)[0]


def _check_batch(shape, text=None) -> None:
    if len(shape) > 1 and shape[0] * prod(shape[2:]) == 1:
        raise ValueError("Expected more than 1 value per channel when training, got input size "
                         f"{text or f'torch.Size({list(shape)})'}")


@composite(memory=(format_of("input"), None, None), at=("torch",))
def native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps):
    """(batch_norm, saved mean, saved 1 / √(var + eps)); the last two are empty unless training."""
    out, mean, var = _batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)
    if not training:
        return out, mean.new_empty(0), mean.new_empty(0)
    return out, mean, (var + eps).rsqrt()


# ------------------------------------------------------------------------------------------------ layers
def _row_norm_rule(g, out1, out2, tensors):
    """Gradients of `row_norm`, also of its mean and r where they are used."""
    x, weight = tensors[:2]
    mean, r = out1, out2
    gx = gw = gb = None
    if g[0] is not None:
        gx, gw, gb = row_norm_grad((g[0], x, weight), mean, r)
    if g[1] is not None:
        to_mean = (g[1] / x.shape[1]).unsqueeze(1).expand(x.shape)
        gx = to_mean if gx is None else gx + to_mean
    if g[2] is not None:
        to_r = (x - mean.unsqueeze(1)) * (-g[2] * r * r * r / x.shape[1]).unsqueeze(1)
        gx = to_r if gx is None else gx + to_r
    return gx, gw, gb


@opaque(at=(), vjp={"tensors": _row_norm_rule})
def row_norm(tensors, eps):
    """(weight x̂ + bias, mean, 1 / √(var + eps)) per row of a matrix, for tensors (x, weight, bias)."""
    x = tensors[0]
    stats = Meta((x.shape[0],), _wide(x.dtype))
    return Meta(x.shape, x.dtype), stats, stats


def _row_curve(g, tensors, mean, r):
    grad, x, weight = tensors
    return _curve(g, grad, x, weight, mean.unsqueeze(1), r.unsqueeze(1), (1,), (0,))


@opaque(at=(), vjp={"tensors": _row_curve})
def row_norm_grad(tensors, mean, r):
    """(gx, gw, gb) of `row_norm`, for tensors (g, x, weight)."""
    _, x, weight = tensors
    column = Meta((x.shape[1],), x.dtype if weight is None else weight.dtype)
    return Meta(x.shape, x.dtype), column, column


def _layer_norm(x, shape, weight, bias, eps: float):
    """(out, mean, 1 / √(var + eps)) over the last dimensions; the statistics one per row."""
    size = prod(shape)
    rows = x.reshape(-1, size) if size else x.reshape(prod(x.shape[:x.ndim - len(shape)]), 0)
    flat = [None if v is None else v.reshape(-1) for v in (weight, bias)]
    out, mean, r = row_norm((rows, *flat), float(eps))
    return out.reshape(x.shape), mean, r


def _check_normalized(x, shape, weight, bias, star: str = "*, ") -> tuple[int, ...]:
    if isinstance(shape, int):
        raise TypeError("layer_norm(): argument 'normalized_shape' (position 2) must be tuple of ints, not "
                        "int")
    shape = tuple(int(n) for n in shape)
    if not shape:
        raise RuntimeError("Expected normalized_shape to be at least 1-dimensional, i.e., containing at "
                           "least one element, but got normalized_shape = []")
    for name, v in (("weight", weight), ("bias", bias)):
        if v is not None and v.shape != shape:
            raise RuntimeError(f"Expected {name} to be of same shape as normalized_shape, but got {name} of "
                               f"shape {list(v.shape)} and normalized_shape = {list(shape)}")
    if x.ndim < len(shape) or tuple(x.shape[x.ndim - len(shape):]) != shape:
        raise RuntimeError(f"Given normalized_shape={list(shape)}, expected input with shape "
                           f"[{star}{', '.join(str(n) for n in shape)}], but got input of "
                           f"size{list(x.shape)}")
    return shape


@composite(at=("torch", "nn.functional"))
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5, cudnn_enable=True):
    """weight (x - mean) / √(var + eps) + bias over the last dimensions (arXiv:1607.06450)."""
    shape = _check_normalized(input, normalized_shape, weight, bias)
    _check_float("LayerNormKernelImpl", input)
    return _layer_norm(input, shape, weight, bias, eps)[0]


@composite(at=("torch",))
def native_layer_norm(input, normalized_shape, weight, bias, eps):
    """(layer_norm, mean, 1 / √(var + eps)); gradients flow through the first only."""
    shape = _check_normalized(input, normalized_shape, weight, bias)
    _check_float("LayerNormKernelImpl", input)
    out, mean, r = _layer_norm(input, shape, weight, bias, eps)
    lead = (*input.shape[:input.ndim - len(shape)], *(1,) * len(shape))
    return out, mean.detach().reshape(lead), r.detach().reshape(lead)


def _rms_rule(g, tensors, count, eps):
    """Gradients of `rms_rows`: with r = 1 / √(mean x² + eps), y = x r and u = w g, gx = r (u - y mean(u y))
    and gw = Σ g y."""
    got = rms_rows_grad((g, *tensors), count, eps)
    return got if isinstance(got, tuple) else (got, None)


@composite(fuse=True, at=())
def rms_rows_grad(tensors, count, eps):
    """(gx, gw) of `rms_rows` for tensors (g, x, weight); gx alone where there is no weight."""
    g, x, weight = tensors
    dims = tuple(range(x.ndim - count, x.ndim))
    g, wide = (t.to(D.float32) if t.dtype.itemsize == 2 else t for t in (g, x))
    r = ((wide * wide).mean(dims, True) + eps).rsqrt()
    y, u = wide * r, g if weight is None else g * weight
    gx = (r * (u - y * (u * y).mean(dims, True))).to(x.dtype)
    if weight is None:
        return gx
    gw = g * y
    return gx, (gw.sum(tuple(range(x.ndim - count))) if x.ndim > count else gw).to(weight.dtype)


def _rms(tensors, count, eps):
    x, weight = tensors
    wide = x.to(D.float32) if x.dtype.itemsize == 2 else x
    out = wide * ((wide * wide).mean(tuple(range(x.ndim - count, x.ndim)), True) + eps).rsqrt()
    if weight is not None:
        out = out * weight
    return out.to(x.dtype) if x.dtype.itemsize == 2 else out


@composite(fuse=True, at=(), vjp={"tensors": _rms_rule})
def rms_rows(tensors, count, eps):
    """weight x / √(mean x² + eps) over the last `count` dimensions, for real tensors (x, weight)."""
    return _rms(tensors, count, eps)


@composite(memory=format_of("input"), at=("torch", "nn.functional"))
def rms_norm(input, normalized_shape, weight=None, eps=None):
    """weight x / √(mean x² + eps) over the last dimensions (arXiv:1910.07467); eps: the dtype's by
    default."""
    shape = _check_normalized(input, normalized_shape, None, None, "*")
    if weight is not None and weight.shape != shape:
        raise RuntimeError("Expected weight to be of same shape as normalized_shape, but got weight of shape "
                           f"{list(weight.shape)} and normalized_shape = {list(shape)}")
    wide = input.to(D.float32) if input.dtype.itemsize == 2 else input
    if eps is None:
        eps = D.finfo(wide.dtype if wide.dtype.category >= D.FLOAT else None).eps
    real = wide.dtype.is_floating_point and (weight is None or weight.dtype is input.dtype)
    return (rms_rows if real else _rms)((input, weight), len(shape), eps)


# ------------------------------------------------------------------------------------------------ groups
def _check_group(x, groups: int, weight, bias) -> None:
    if groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {groups}")
    if x.shape[1] % groups:
        raise RuntimeError("Expected number of channels in input to be divisible by num_groups, but got "
                           f"input of shape {list(x.shape)} and num_groups={groups}")
    for name, v in (("weight", weight), ("bias", bias)):
        if v is not None and v.shape != (x.shape[1],):
            raise RuntimeError(f"Expected {name} to be a vector of size equal to the number of channels in "
                               f"input, but got {name} of shape {list(v.shape)} and input of shape "
                               f"{list(x.shape)}")


def _group_norm(x, groups: int, weight, bias, eps: float):
    """(out, mean, 1 / √(var + eps)), the statistics one per sample and group."""
    _check_float("GroupNormKernelImpl", x)
    shape = x.shape
    rows = x.reshape(shape[0] * groups, prod(shape[1:]) // groups)
    out, mean, r = row_norm((rows, None, None), float(eps))
    out = out.reshape(shape)
    if weight is not None:
        out = out * _along(weight, x.ndim)
    if bias is not None:
        out = out + _along(bias, x.ndim)
    return out if out.dtype is x.dtype else out.to(x.dtype), mean, r


@composite(memory=format_of("input"), at=("torch",))
def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5, cudnn_enabled=True):
    """Normalize the channels of (N, C, *) in num_groups groups (arXiv:1803.08494)."""
    if input.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    _check_group(input, num_groups, weight, bias)
    return _group_norm(input, num_groups, weight, bias, eps)[0]


@composite(memory=format_of("input"), at=())
def functional_group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Normalize the channels of (N, C, *) in num_groups groups (arXiv:1803.08494)."""
    if input.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    shape = (input.shape[0] * input.shape[1] // num_groups, num_groups, *input.shape[2:])
    _check_batch(shape, list(input.shape))
    _check_group(input, num_groups, weight, bias)
    return _group_norm(input, num_groups, weight, bias, eps)[0]


@composite(at=("torch",))
def native_group_norm(input, weight, bias, N, C, HxW, group, eps):
    """(group_norm, mean, 1 / √(var + eps)) of an input of N C HxW elements."""
    if N * C * HxW != input.numel():
        raise RuntimeError(f"Expected input of {N} x {C} x {HxW} elements, but got input of shape "
                           f"{list(input.shape)}")
    out, mean, r = _group_norm(input.reshape(N, C, HxW), group, weight, bias, eps)
    return out.reshape(input.shape), mean.reshape(N, group), r.reshape(N, group)


def _instance_norm(x, weight, bias, running_mean, running_var, use_input_stats: bool, momentum: float,
                   eps: float):
    n, channels = x.shape[0], x.shape[1]
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is "
                               "false")
        return normalize_batch((x, running_mean, running_var, weight, bias), eps)
    flat = x.reshape(1, n * channels, *x.shape[2:])
    out, mean, var = batch_norm_train((flat, None, None), float(eps))
    out = out.reshape(x.shape)
    if weight is not None:
        out = out * _along(weight, x.ndim)
    if bias is not None:
        out = out + _along(bias, x.ndim)
    count = prod(x.shape[2:])
    if running_mean is not None:
        _update(running_mean, mean.reshape(n, channels).mean(0), momentum)
    if running_var is not None:
        _update(running_var, (var * (count / max(count - 1, 1))).reshape(n, channels).mean(0), momentum)
    return out


@composite(at=("torch",))
def instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps,
                  cudnn_enabled=True):
    """Normalize every channel of every sample of (N, C, *)."""
    return _instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps)


@composite(at=())
def functional_instance_norm(input, running_mean=None, running_var=None, weight=None, bias=None,
                             use_input_stats=True, momentum=0.1, eps=1e-5):
    """Normalize every channel of every sample of (N, C, *) (arXiv:1607.08022)."""
    if use_input_stats and prod(input.shape[2:]) == 1:
        raise ValueError("Expected more than 1 spatial element when training, got input size "
                         f"torch.Size({list(input.shape)})")
    return _instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps)


# ---------------------------------------------------------------------------------------- neighbours, vectors
@composite(at=("nn.functional",))
def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """x / (k + alpha mean(x²))^beta, the mean over `size` neighbouring channels, zeros beyond the ends."""
    from .padding import constant_pad_nd
    from .pool import avg_pool2d
    if input.ndim < 3:
        raise ValueError("Expected 3D or higher dimensionality                          input (got "
                         f"{input.ndim} dimensions)")
    if input.numel() == 0:
        return input
    n, c = input.shape[:2]
    square = (input * input).reshape(n, 1, c, -1)
    padded = constant_pad_nd(square, [0, 0, size // 2, (size - 1) // 2], 0)
    mean = avg_pool2d(padded, (size, 1), 1).reshape(input.shape)
    return input / (mean * alpha + k) ** beta


@composite(at=("nn.functional",))
def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    """x / max(‖x‖_p, eps) along dim."""
    norm = input.norm(p, dim, keepdim=True).clamp_min(eps)
    return input / norm


# Functions of nn.functional that differ from the torch function of the same name.
FUNCTIONAL = {
    "batch_norm": functional_batch_norm,
    "group_norm": functional_group_norm,
    "instance_norm": functional_instance_norm,
}
