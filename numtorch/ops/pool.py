"""Pooling: maximum, average, adaptive, fractional, power-average; and max unpooling."""
from __future__ import annotations

from math import prod

from ..dispatch import Meta
from ..dtypes import int64
from ..kinds import composite, opaque
from ..kinds.memory import format_of, images_of
from .index import title

_WORDS = {1: "one int", 2: "two ints", 3: "three ints"}


def _sizes(op: str, values, dims: int, name: str, start: bool = False) -> tuple[int, ...]:
    """`values` as one integer per spatial dimension."""
    if isinstance(values, int):
        return (values,) * dims
    values = tuple(int(v) for v in values)
    if len(values) == 1:
        return values * dims
    if len(values) != dims:
        if dims == 1:
            raise RuntimeError(f"{op}() {name} must be an int, list of ints or tuple of ints of size 1 but "
                               f"got size {len(values)}")
        either = "either be omitted," if start else "either be"
        raise RuntimeError(f"{op}: {name} must {either} a single int, or a tuple of {_WORDS[dims]}")
    return values


def _window(op: str, dims: int, kernel_size, stride, padding) -> tuple[tuple[int, ...], ...]:
    kernel = _sizes(op, kernel_size, dims, "kernel_size")
    omitted = stride is None or (not isinstance(stride, int) and len(stride) == 0)
    step = kernel if omitted else _sizes(op, stride, dims, "stride", True)
    return kernel, step, _sizes(op, padding, dims, "padding")


def _cross(sizes) -> str:
    return "(" + "x".join(str(s) for s in sizes) + ")"


def _pooled(size, kernel_size, stride, padding, dilation, ceil_mode) -> tuple[int, ...]:
    """Output sizes; in ceil mode the last window must start inside the input or its left padding."""
    out = []
    for n, k, s, p, d in zip(size, kernel_size, stride, padding, dilation):
        o = (n + 2 * p - d * (k - 1) - 1 + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (o - 1) * s >= n + p:
            o -= 1
        out.append(o)
    return tuple(out)


def _check_window(kernel_size, stride, padding, dilation) -> None:
    """PyTorch's checks that pooling over 2 and 3 dimensions share."""
    dims = len(kernel_size)
    if any(s == 0 for s in stride):
        raise RuntimeError("stride should not be zero")
    if any(k <= 0 for k in kernel_size):
        names = ("kT", "kH", "kW")[3 - dims:]
        got = " ".join(f"{n}: {k}" for n, k in zip(names, kernel_size))
        raise RuntimeError(f"kernel size should be greater than zero, but got {got}")
    if any(s < 0 for s in stride):
        names = ("dT", "dH", "dW")[3 - dims:]
        got = " ".join(f"{n}: {s}" for n, s in zip(names, stride))
        raise RuntimeError(f"stride should be greater than zero, but got {got}")
    if any(d <= 0 for d in dilation):
        names = ("dilationT", "dilationH", "dilationW")[3 - dims:]
        got = " ".join(f"{n}: {d}" for n, d in zip(names, dilation))
        raise RuntimeError(f"dilation should be greater than zero, but got {got}")
    for k, p, d in zip(kernel_size, padding, dilation):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > ((k - 1) * d + 1) // 2:
            raise RuntimeError(f"pad should be at most half of effective kernel size, but got pad={p}, "
                               f"kernel_size={k} and dilation={d}")


def _check_rank(op: str, x, dims: int) -> None:
    if x.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(f"non-empty {dims + 1}D or {dims + 2}D (batch mode) tensor expected for input\n"
                           f"{op}: input has shape {list(x.shape)}")
    if 0 in x.shape[1 if x.ndim == dims + 2 else 0:]:
        raise RuntimeError(f"Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with optional 0 dim "
                           f"batch size for input, but got:{list(x.shape)}")


def _check_output(x, size, out_size) -> None:
    if any(o < 1 for o in out_size):
        channels = x.shape[-len(size) - 1]
        raise RuntimeError(f"Given input size: {_cross((channels, *size))}. Calculated output size: "
                           f"{_cross((channels, *out_size))}. Output size is too small")


def _gather(g, indices, dims: int):
    """g at the flat positions `indices` of each plane."""
    return g.flatten(-dims).gather(-1, indices.flatten(-dims)).reshape(indices.shape)


def _route(g, indices, x_meta, dims: int):
    """The cotangent of max pooling sent to the places the maxima came from."""
    return max_pool_input(g[0], indices, x_meta.shape, dims)


# ------------------------------------------------------------------------------------------------ maximum
@opaque(memory=format_of("x", line="kernel_size"),
        vjp={"x": lambda g, out1, x_meta, kernel_size: _route(g, out1, x_meta, len(kernel_size))}, at=())
def max_pool(x, kernel_size, stride, padding, dilation, ceil_mode):
    """(maximum of each window, its flat position in the plane); one setting per spatial dimension."""
    dims = len(kernel_size)
    size = x.shape[x.ndim - dims:]
    out_size = _pooled(size, kernel_size, stride, padding, dilation, ceil_mode)
    if dims == 1:
        if out_size[0] < 1:
            raise RuntimeError(f"max_pool1d() Invalid computed output size: {out_size[0]}")
    else:
        _check_output(x, size, out_size)
    if x.dtype.name == "bool" or x.dtype.is_complex or (dims == 1 and not x.dtype.is_floating_point):
        name = "max_pool1d_impl" if dims == 1 else f"max_pool{dims}d"
        raise NotImplementedError(f'"{name}" not implemented for \'{title(x.dtype)}\'')
    shape = (*x.shape[:x.ndim - dims], *out_size)
    return Meta(shape, x.dtype), Meta(shape, int64)


@opaque(memory=format_of("grad"), vjp={"grad": lambda g, indices, dims: _gather(g, indices, dims)}, at=())
def max_pool_input(grad, indices, shape, dims):
    """Zeros of `shape` with grad[i] added at the flat position indices[i] of its plane."""
    return Meta(tuple(shape), grad.dtype)


def _max_pool(op: str, dims: int, x, kernel_size, stride, padding, dilation, ceil_mode):
    kernel, step, pad = _window(op, dims, kernel_size, stride, padding)
    spread = _sizes(op, dilation, dims, "dilation")
    if dims == 1:
        _check_line(x, kernel[0], step[0], pad[0], spread[0])
    else:
        _check_rank(op, x, dims)
        _check_window(kernel, step, pad, spread)
    return max_pool(x, kernel, step, pad, spread, bool(ceil_mode))


def _check_line(x, kernel_size: int, stride: int, padding: int, dilation: int) -> None:
    if x.ndim not in (2, 3) or 0 in x.shape[1 if x.ndim == 3 else 0:]:
        raise RuntimeError("max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size "
                           f"for input, but got:{list(x.shape)}")
    if kernel_size <= 0:
        raise RuntimeError(f"max_pool1d() kernel_size must be greater than zero, but got {kernel_size}")
    if stride <= 0:
        raise RuntimeError(f"max_pool1d() stride must be greater than zero, but got {stride}")
    if padding < 0:
        raise RuntimeError(f"max_pool1d() padding must be non-negative, but got {padding}")
    if padding > kernel_size // 2:
        raise RuntimeError("max_pool1d() padding should be at most half of kernel size, but got "
                           f"padding={padding} and kernel_size={kernel_size}")
    if dilation <= 0:
        raise RuntimeError(f"max_pool1d() dilation must be greater than zero, but got {dilation}")


@composite(at=("torch", "nn.functional"))
def max_pool1d_with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
                            return_indices=False):
    """(max_pool1d(input), the position of each maximum)."""
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode)


@composite(at=("nn.functional",))
def max_pool2d_with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
                            return_indices=False):
    """(max_pool2d(input), the flat position of each maximum in its plane)."""
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode)


@composite(at=("nn.functional",))
def max_pool3d_with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
                            return_indices=False):
    """(max_pool3d(input), the flat position of each maximum in its volume)."""
    return _max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode)


@composite(at=("torch", "nn.functional"))
def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """Maximum over windows of (N, C, L) or (C, L)."""
    pair = _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode)
    return pair if return_indices else pair[0]


@composite(at=("torch", "nn.functional"))
def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """Maximum over windows of (N, C, H, W) or (C, H, W)."""
    pair = _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode)
    return pair if return_indices else pair[0]


@composite(at=("torch", "nn.functional"))
def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """Maximum over windows of (N, C, D, H, W) or (C, D, H, W)."""
    pair = _max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode)
    return pair if return_indices else pair[0]


# ------------------------------------------------------------------------------------------------ average
@opaque(memory=images_of("x", line="kernel_size"),
        vjp={"x": lambda g, x_meta, kernel_size, stride, padding, ceil_mode, count_include_pad,
             divisor_override:
             avg_pool_input(g, x_meta.shape, kernel_size, stride, padding, ceil_mode, count_include_pad,
                            divisor_override)}, at=())
def avg_pool(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """Mean of each window; one setting per spatial dimension."""
    dims = len(kernel_size)
    size = x.shape[x.ndim - dims:]
    out_size = _pooled(size, kernel_size, stride, padding, (1,) * dims, ceil_mode)
    return Meta((*x.shape[:x.ndim - dims], *out_size), x.dtype)


@opaque(memory=images_of("grad"),
        vjp={"grad": lambda g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override:
             avg_pool(g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)},
             at=())
def avg_pool_input(grad, shape, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """Gradient of `avg_pool` with respect to x of the given shape."""
    return Meta(tuple(shape), grad.dtype)


def _avg_pool(op: str, dims: int, x, kernel_size, stride, padding, ceil_mode, count_include_pad,
              divisor_override):
    kernel, step, pad = _window(op, dims, kernel_size, stride, padding)
    if dims == 1:
        if x.ndim not in (2, 3):
            raise RuntimeError(f"Expected 2 to 3 dimensions, but got {x.ndim}-dimensional tensor for "
                               "argument #1 'self' (while checking arguments for avg_pool1d)")
    elif dims == 2 and x.ndim < 3:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-x.ndim}, {x.ndim - 1}], but "
                         "got -3)")
    else:
        _check_rank(op, x, dims)
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    _check_window(kernel, step, pad, (1,) * dims)
    if x.dtype.name == "bool" or x.dtype.is_complex or (dims == 3 and not x.dtype.is_floating_point
                                                        and x.dtype is not int64):
        raise NotImplementedError(f'"avg_pool{max(dims, 2)}d_out_frame" not implemented for '
                                  f'\'{title(x.dtype)}\'')
    size = x.shape[x.ndim - dims:]
    if dims == 3 and any(n + p < k for n, p, k in zip(size, pad, kernel)):
        raise RuntimeError(f"input image (T: {size[0]} H: {size[1]} W: {size[2]}) smaller than kernel size "
                           f"(kT: {kernel[0]} kH: {kernel[1]} kW: {kernel[2]})")
    out_size = _pooled(size, kernel, step, pad, (1,) * dims, ceil_mode)
    if dims == 1:
        if out_size[0] < 1:
            channels = x.shape[-2]
            raise RuntimeError(f"Given input size: {_cross((channels, 1, *size))}. Calculated output size: "
                               f"{_cross((channels, 1, *out_size))}. Output size is too small")
    else:
        _check_output(x, size, out_size)
    return avg_pool(x, kernel, step, pad, bool(ceil_mode), bool(count_include_pad),
                    None if divisor_override is None else int(divisor_override))


@composite(at=("torch", "nn.functional"))
def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """Mean over windows of (N, C, L) or (C, L)."""
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@composite(at=("nn.functional",))
def avg_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
               divisor_override=None):
    """Mean over windows of (N, C, H, W) or (C, H, W)."""
    return _avg_pool("avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
                     divisor_override)


@composite(at=("nn.functional",))
def avg_pool3d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
               divisor_override=None):
    """Mean over windows of (N, C, D, H, W) or (C, D, H, W)."""
    return _avg_pool("avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
                     divisor_override)


def _lp_pool(dims: int, x, norm_type, kernel_size, stride, ceil_mode):
    """(Σ over a window of x^p)^(1/p)."""
    from .activation import relu
    kernel = _sizes(f"lp_pool{dims}d", kernel_size, dims, "kernel_size")
    pool = (avg_pool1d, avg_pool2d, avg_pool3d)[dims - 1]
    mean = pool(x.pow(norm_type), kernel, stride, 0, ceil_mode)
    return (mean.sign() * relu(mean.abs())).mul(prod(kernel)).pow(1.0 / norm_type)


@composite(at=("nn.functional",))
def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """(Σ over a window of x^p)^(1/p) of (N, C, L)."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


@composite(at=("nn.functional",))
def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """(Σ over a window of x^p)^(1/p) of (N, C, H, W)."""
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


@composite(at=("nn.functional",))
def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """(Σ over a window of x^p)^(1/p) of (N, C, D, H, W)."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


# ------------------------------------------------------------------------------------------------ adaptive
@opaque(memory=images_of("x", line="output_size"),
        vjp={"x": lambda g, x_meta, output_size: adaptive_avg_pool_input(g, x_meta.shape, len(output_size))},
        at=())
def adaptive_avg_pool(x, output_size):
    """Mean of windows that divide the last dimensions into `output_size` parts."""
    return Meta((*x.shape[:x.ndim - len(output_size)], *output_size), x.dtype)


@opaque(memory=images_of("grad"), vjp={"grad": lambda g, grad_meta, dims: adaptive_avg_pool(g,
                                                                  grad_meta.shape[len(grad_meta.shape)
                                                                                  - dims:])},
        at=())
def adaptive_avg_pool_input(grad, shape, dims):
    """Gradient of `adaptive_avg_pool` with respect to x of the given shape."""
    return Meta(tuple(shape), grad.dtype)


@opaque(memory=images_of("x", line="output_size"),
        vjp={"x": lambda g, out1, x_meta, output_size: _route(g, out1, x_meta, len(output_size))}, at=())
def adaptive_max_pool(x, output_size):
    """(maximum, its flat position) of windows that divide the last dimensions into `output_size` parts."""
    shape = (*x.shape[:x.ndim - len(output_size)], *output_size)
    return Meta(shape, x.dtype), Meta(shape, int64)


def _adaptive(op: str, dims: int, x, output_size) -> tuple[int, ...]:
    """The output size with None filled in from the input, after PyTorch's checks."""
    is_max = "max" in op
    if isinstance(output_size, int):
        size = (output_size,) * dims
    else:
        wanted = tuple(output_size)
        if len(wanted) == 1 and dims > 1:
            wanted = wanted * dims
        if len(wanted) != dims:
            if dims == 1:
                raise RuntimeError(f"{op}() argument 'output_size' should contain one int (got "
                                   f"{len(wanted)})")
            raise RuntimeError(f"{op}(): internal error: output_size.size() must be {dims}" if is_max else
                               f"{op}: output_size must be {dims}")
        size = tuple(n if o is None else int(o) for o, n in zip(wanted, x.shape[max(x.ndim - dims, 0):]))
    if dims == 1:
        if x.ndim not in (2, 3):
            raise RuntimeError(f"Expected 2 to 3 dimensions, but got {x.ndim}-dimensional tensor for "
                               f"argument #1 'self' (while checking arguments for {op})")
    elif x.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(f"{op}(): Expected {dims + 1}D or {dims + 2}D tensor, but "
                           f"got{':' if is_max else ''} {list(x.shape)}")
    for i in range(x.ndim - dims - (1 if x.ndim == dims + 1 or is_max else 0), x.ndim):
        if i > 0 and x.shape[i] == 0:
            raise RuntimeError(f"{op}(): Expected input to have non-zero size for non-batch dimensions, but "
                               f"input has sizes {list(x.shape)} with dimension {i} being empty")
    if any(o < 0 for o in size):
        raise RuntimeError(f"{op}: elements of output_size must be greater than or equal to 0 but received "
                           "{" + ", ".join(str(o) for o in size) + "}")
    if not x.dtype.is_floating_point:
        name = f"adaptive_{'max' if is_max else 'avg'}_pool{max(dims, 2)}d"
        raise NotImplementedError(f'"{name}" not implemented for \'{title(x.dtype)}\'')
    return size


@composite(at=("torch", "nn.functional"))
def adaptive_avg_pool1d(input, output_size):
    """Mean over windows that give `output_size` outputs, of (N, C, L) or (C, L)."""
    return adaptive_avg_pool(input, _adaptive("adaptive_avg_pool1d", 1, input, output_size))


@composite(at=("nn.functional",))
def adaptive_avg_pool2d(input, output_size):
    """Mean over windows that give `output_size` outputs, of (N, C, H, W) or (C, H, W)."""
    return adaptive_avg_pool(input, _adaptive("adaptive_avg_pool2d", 2, input, output_size))


@composite(at=("nn.functional",))
def adaptive_avg_pool3d(input, output_size):
    """Mean over windows that give `output_size` outputs, of (N, C, D, H, W) or (C, D, H, W)."""
    return adaptive_avg_pool(input, _adaptive("adaptive_avg_pool3d", 3, input, output_size))


@composite(at=("nn.functional",))
def adaptive_max_pool1d_with_indices(input, output_size, return_indices=False):
    """(adaptive_max_pool1d(input), the position of each maximum)."""
    return adaptive_max_pool(input, _adaptive("adaptive_max_pool1d", 1, input, output_size))


@composite(at=("nn.functional",))
def adaptive_max_pool2d_with_indices(input, output_size, return_indices=False):
    """(adaptive_max_pool2d(input), the flat position of each maximum)."""
    return adaptive_max_pool(input, _adaptive("adaptive_max_pool2d", 2, input, output_size))


@composite(at=("nn.functional",))
def adaptive_max_pool3d_with_indices(input, output_size, return_indices=False):
    """(adaptive_max_pool3d(input), the flat position of each maximum)."""
    return adaptive_max_pool(input, _adaptive("adaptive_max_pool3d", 3, input, output_size))


@composite(at=("nn.functional",))
def adaptive_max_pool1d(input, output_size, return_indices=False):
    """Maximum over windows that give `output_size` outputs, of (N, C, L) or (C, L)."""
    pair = adaptive_max_pool1d_with_indices(input, output_size)
    return pair if return_indices else pair[0]


@composite(at=("nn.functional",))
def adaptive_max_pool2d(input, output_size, return_indices=False):
    """Maximum over windows that give `output_size` outputs, of (N, C, H, W) or (C, H, W)."""
    pair = adaptive_max_pool2d_with_indices(input, output_size)
    return pair if return_indices else pair[0]


@composite(at=("nn.functional",))
def adaptive_max_pool3d(input, output_size, return_indices=False):
    """Maximum over windows that give `output_size` outputs, of (N, C, D, H, W) or (C, D, H, W)."""
    pair = adaptive_max_pool3d_with_indices(input, output_size)
    return pair if return_indices else pair[0]


# ------------------------------------------------------------------------------------------------ fractional
@opaque(vjp={"x": lambda g, out1, x_meta, kernel_size: _route(g, out1, x_meta, len(kernel_size))}, at=())
def fractional_max_pool(x, samples, kernel_size, output_size):
    """(maximum, its flat position) of windows whose starts step by a random sequence (arXiv:1412.6071)."""
    dims = len(kernel_size)
    names = ("time", "height", "width")[3 - dims:]
    for name, n, o, k in zip(names, x.shape[x.ndim - dims:], output_size, kernel_size):
        if o + k - 1 >= n:
            raise RuntimeError(f"fractional_max_pool{dims}d{'_out' if dims == 3 else ''}(): pool {name} {k} "
                               f"too large relative to input {name} {n}")
    shape = (*x.shape[:x.ndim - dims], *output_size)
    return Meta(shape, x.dtype), Meta(shape, int64)


def _fractional(dims: int, x, kernel_size, output_size, output_ratio, samples):
    from .. import rand
    op = f"fractional_max_pool{dims}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"{op} requires specifying either an output_size or an output_ratio")
    kernel = _sizes(op, kernel_size, dims, "kernel_size")
    if output_size is None:
        ratio = (output_ratio,) * dims if isinstance(output_ratio, float) else tuple(output_ratio)
        output_size = tuple(int(n * r) for n, r in zip(x.shape[x.ndim - dims:], ratio))
    size = _sizes(op, output_size, dims, "output_size")
    if samples is None:
        batch = 1 if x.ndim == dims + 1 else x.shape[0]
        samples = rand(batch, x.shape[-dims - 1], dims, dtype=x.dtype, device=x.device)
    elif x.ndim == dims + 1:  # a sample without batch uses the first of the batch's numbers
        samples = samples.narrow(0, 0, 1)
    return fractional_max_pool(x, samples, kernel, size)


@composite(at=("nn.functional",))
def fractional_max_pool2d_with_indices(input, kernel_size, output_size=None, output_ratio=None,
                                       return_indices=False, _random_samples=None):
    """(fractional_max_pool2d(input), the flat position of each maximum)."""
    return _fractional(2, input, kernel_size, output_size, output_ratio, _random_samples)


@composite(at=("nn.functional",))
def fractional_max_pool3d_with_indices(input, kernel_size, output_size=None, output_ratio=None,
                                       return_indices=False, _random_samples=None):
    """(fractional_max_pool3d(input), the flat position of each maximum)."""
    return _fractional(3, input, kernel_size, output_size, output_ratio, _random_samples)


@composite(at=("nn.functional",))
def fractional_max_pool2d(input, kernel_size, output_size=None, output_ratio=None, return_indices=False,
                          _random_samples=None):
    """Maximum over windows placed at random so that they give `output_size` outputs; (N, C, H, W)."""
    pair = _fractional(2, input, kernel_size, output_size, output_ratio, _random_samples)
    return pair if return_indices else pair[0]


@composite(at=("nn.functional",))
def fractional_max_pool3d(input, kernel_size, output_size=None, output_ratio=None, return_indices=False,
                          _random_samples=None):
    """Maximum over windows placed at random so that they give `output_size` outputs; (N, C, D, H, W)."""
    pair = _fractional(3, input, kernel_size, output_size, output_ratio, _random_samples)
    return pair if return_indices else pair[0]


# ------------------------------------------------------------------------------------------------ unpooling
@opaque(memory=images_of("x"),
        vjp={"x": lambda g, indices, output_size: _gather(g, indices, len(output_size))}, at=())
def max_unpool(x, indices, output_size):
    """Zeros with x[i] at the flat position indices[i] of each plane of `output_size`."""
    dims = len(output_size)
    if indices.dtype is not int64:
        raise RuntimeError(f"elements in indices should be type int64 but got: {title(indices.dtype)}")
    if x.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(f"Input to max_unpooling{max(dims, 2)}d should be a {dims + 1}d or {dims + 2}d "
                           f"Tensor, but got a tensor with {x.ndim} dimensions.")
    if x.shape != indices.shape:
        raise RuntimeError("Expected shape of indices to be same as that of the input tensor "
                           f"({list(x.shape)}) but got indices tensor with shape: {list(indices.shape)}")
    return Meta((*x.shape[:x.ndim - dims], *output_size), x.dtype)


def _unpooled_size(x, kernel_size, stride, padding, output_size) -> tuple[int, ...]:
    dims = len(kernel_size)
    default = tuple((n - 1) * s + k - 2 * p for n, k, s, p in zip(x.shape[x.ndim - dims:], kernel_size,
                                                                  stride, padding))
    if output_size is None:
        return default
    wanted = tuple(output_size)
    if len(wanted) == dims + 2:
        wanted = wanted[2:]
    if len(wanted) != dims:
        raise ValueError(f"output_size should be a sequence containing {dims} or {dims + 2} elements, but it "
                         f"has a length of '{len(wanted)}'")
    for d, (o, n, s) in enumerate(zip(wanted, default, stride)):
        if not n - s < o < n + s:
            raise ValueError(f'invalid output_size "{wanted}" (dim {d} must be between {n - s} and {n + s})')
    return wanted


def _max_unpool(dims: int, x, indices, kernel_size, stride, padding, output_size):
    kernel, step, pad = _window(f"max_unpool{dims}d", dims, kernel_size, stride, padding)
    return max_unpool(x, indices, _unpooled_size(x, kernel, step, pad, output_size))


@composite(at=("nn.functional",))
def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Put the maxima of `max_pool1d` back where they came from, zeros elsewhere."""
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


@composite(at=("nn.functional",))
def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Put the maxima of `max_pool2d` back where they came from, zeros elsewhere."""
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


@composite(at=("nn.functional",))
def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Put the maxima of `max_pool3d` back where they came from, zeros elsewhere."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)
