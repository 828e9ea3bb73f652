"""Convolution and its adjoints over one to three spatial dimensions; sliding blocks (unfold, fold)."""
from __future__ import annotations

from ..dispatch import Meta
from ..kinds import composite, opaque
from ..kinds.memory import format_of
from ..layouts import contiguous
from .index import c_name, title


def _sizes(values, dims: int, name: str) -> tuple[int, ...]:
    """`values` as one integer per spatial dimension."""
    if isinstance(values, int):
        return (values,) * dims
    values = tuple(int(v) for v in values)
    if len(values) == 1:
        return values * dims
    if len(values) != dims:
        raise RuntimeError(f"expected {name} to be a single integer value or a list of {dims} values to "
                           f"match the convolution dimensions, but got {name}={list(values)}")
    return values


def _times(sizes) -> str:
    return "(" + " x ".join(str(s) for s in sizes) + ")"


def _named(prefix: str, values) -> str:
    """`prefix_height: 1 prefix_width: 2` for the last values."""
    names = ("depth", "height", "width")[-len(values):]
    return " ".join(f"{prefix}_{n}: {v}" for n, v in zip(names, values))


def _check_settings(w_shape, stride, padding, dilation, transposed, output_padding, groups) -> None:
    if any(d <= 0 for d in dilation):
        raise RuntimeError(f"dilation should be greater than zero, but got {list(dilation)}")
    if any(p < 0 for p in padding):
        raise RuntimeError("negative padding is not supported")
    if any(p < 0 for p in output_padding):
        raise RuntimeError("negative output_padding is not supported")
    if any(s <= 0 for s in stride):
        raise RuntimeError("non-positive stride is not supported")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    if w_shape[0] < groups:
        raise RuntimeError(f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, "
                           f"but got weight of size {list(w_shape)} instead")
    if w_shape[0] % groups:
        raise RuntimeError(f"Given groups={groups}, expected weight to be divisible by {groups} at dimension "
                           f"0, but got weight of size [{list(w_shape)}] instead")
    if any(k <= 0 for k in w_shape[2:]):
        raise RuntimeError("kernel size should be greater than zero, but got "
                           f"{_named('kernel', w_shape[2:])}")
    if transposed and any(o >= s and o >= d for o, s, d in zip(output_padding, stride, dilation)):
        raise RuntimeError("output padding must be smaller than either stride or dilation, but got "
                           f"{_named('output_padding', output_padding)} {_named('stride', stride)} "
                           f"{_named('dilation', dilation)}")


def _out_shape(x_shape, w_shape, stride, padding, dilation, transposed, output_padding, groups) -> tuple[int,
               ...]:
    sizes = zip(x_shape[2:], w_shape[2:], stride, padding, dilation, output_padding)
    if transposed:
        return (x_shape[0], w_shape[1] * groups,
                *((n - 1) * s - 2 * p + d * (k - 1) + o + 1 for n, k, s, p, d, o in sizes))
    return (x_shape[0], w_shape[0], *((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d, o in sizes))


def _conj(x):
    return x.conj() if x.dtype.is_complex else x


def _memory(x: str, weight: str):
    """channels_last where x or the weight is; volumes only of the types that PyTorch leaves to oneDNN."""
    either = format_of(x, weight, line="stride")

    def rule(args, shape):
        small = args[x].dtype.is_floating_point and args[x].dtype.itemsize < 8
        return either(args, shape) if len(shape) < 5 or small else contiguous(shape)
    return rule


def _x_rule(g, weight, x_meta, stride, padding, dilation, transposed, output_padding, groups):
    return convolution_input(g, _conj(weight), x_meta.shape, stride, padding, dilation, transposed,
                             output_padding, groups)


def _weight_rule(g, x, weight_meta, stride, padding, dilation, transposed, output_padding, groups):
    return convolution_weight(_conj(x), g, weight_meta.shape, stride, padding, dilation, transposed,
                              output_padding, groups)


@opaque(memory=_memory("x", "weight"),
        at=(), vjp={"x": _x_rule, "weight": _weight_rule, "bias": lambda g: g.sum((0, *range(2, g.ndim)))})
def convolution(x, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    """out[n, o] = bias[o] + Σ_c weight[o, c] ⋆ x[n, c] (cross-correlation), or with `transposed` the adjoint.

    x: (N, C, *spatial); weight: (O, C / groups, *taps), transposed (C, O / groups, *taps); settings are
    tuples with one entry per spatial dimension."""
    _check_settings(weight.shape, stride, padding, dilation, transposed, output_padding, groups)
    xs, ws = x.shape, weight.shape
    if transposed:
        if xs[1] != ws[0]:
            raise RuntimeError(f"Given transposed=1, weight of size {list(ws)}, expected input{list(xs)} to "
                               f"have {ws[0]} channels, but got {xs[1]} channels instead")
        filters = ws[1] * groups
    else:
        if xs[1] != ws[1] * groups:
            raise RuntimeError(f"Given groups={groups}, weight of size {list(ws)}, expected input{list(xs)} "
                               f"to have {ws[1] * groups} channels, but got {xs[1]} channels instead")
        filters = ws[0]
    if bias is not None and bias.shape != (filters,):
        raise RuntimeError(f"Given {'transposed=1, ' if transposed else ''}weight of size {list(ws)}, "
                           f"expected bias to be 1-dimensional with {filters} elements, but got bias of size "
                           f"{list(bias.shape)} instead")
    if bias is not None and bias.dtype is not x.dtype:
        raise RuntimeError(f"Input type ({c_name(x.dtype)}) and bias type ({c_name(bias.dtype)}) should be "
                           "the same")
    if weight.dtype is not x.dtype:
        raise RuntimeError(f"expected scalar type {title(x.dtype)} but found {title(weight.dtype)}")
    if x.dtype.name == "bool":
        raise NotImplementedError("\"slow_conv2d_cpu\" not implemented for 'Bool'")
    shape = _out_shape(xs, ws, stride, padding, dilation, transposed, output_padding, groups)
    if transposed:
        if any(s <= 0 for s in shape[2:]):
            raise RuntimeError(f"Given input size per channel: {_times(xs[2:])}. Calculated output size per "
                               f"channel: {_times(shape[2:])}. Output size is too small")
    else:
        padded = tuple(n + 2 * p for n, p in zip(xs[2:], padding))
        spans = tuple(d * (k - 1) + 1 for k, d in zip(ws[2:], dilation))
        if any(n < k for n, k in zip(padded, spans)) or 0 in xs[2:]:
            raise RuntimeError(f"Calculated padded input size per channel: {_times(padded)}. Kernel size: "
                               f"{_times(spans)}. Kernel size can't be greater than actual input size")
    return Meta(shape, x.dtype)


def _again_grad_rule(g, weight, stride, padding, dilation, transposed, output_padding, groups):
    return convolution(g, _conj(weight), None, stride, padding, dilation, transposed, output_padding, groups)


def _again_weight_rule(g, grad, weight_meta, stride, padding, dilation, transposed, output_padding, groups):
    return convolution_weight(g, _conj(grad), weight_meta.shape, stride, padding, dilation, transposed,
                              output_padding, groups)


@opaque(memory=_memory("grad", "weight"), at=(), vjp={"grad": _again_grad_rule, "weight": _again_weight_rule})
def convolution_input(grad, weight, shape, stride, padding, dilation, transposed, output_padding, groups):
    """Gradient of `convolution` with respect to x of the given shape."""
    return Meta(tuple(shape), grad.dtype)


def _kernel_x_rule(g, grad, x_meta, stride, padding, dilation, transposed, output_padding, groups):
    return convolution_input(_conj(grad), g, x_meta.shape, stride, padding, dilation, transposed,
                             output_padding, groups)


def _kernel_grad_rule(g, x, stride, padding, dilation, transposed, output_padding, groups):
    return convolution(_conj(x), g, None, stride, padding, dilation, transposed, output_padding, groups)


@opaque(at=(), vjp={"x": _kernel_x_rule, "grad": _kernel_grad_rule})
def convolution_weight(x, grad, shape, stride, padding, dilation, transposed, output_padding, groups):
    """Gradient of `convolution` with respect to its weight of the given shape."""
    return Meta(tuple(shape), x.dtype)


def _convolve(name: str, dims: int, x, weight, bias, stride, padding, dilation, transposed, output_padding,
              groups):
    """Batch the input, spread the settings over the dimensions, convolve."""
    taps = weight.ndim - 2
    if taps < 1:
        raise RuntimeError("weight should have at least three dimensions")
    if x.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to {name}, but "
                           f"got input of size: {list(x.shape)}")
    if taps != dims:
        if not isinstance(stride, int) and len(stride) == taps or isinstance(padding, str):
            raise RuntimeError(f"Expected {taps + 2}-dimensional input for {taps + 2}-dimensional weight "
                               f"{list(weight.shape)}, but got {x.ndim}-dimensional input of size "
                               f"{list(x.shape)} instead")
        _sizes(_sizes(stride, dims, "stride"), taps, "stride")
    batched = x.ndim == dims + 2
    if not batched:
        x = x.unsqueeze(0)
    if isinstance(padding, str):
        x, padding = _named_padding(padding, x, weight, stride, dilation, taps)
    out = convolution(x, weight, bias, _sizes(stride, taps, "stride"), _sizes(padding, taps, "padding"),
                      _sizes(dilation, taps, "dilation"), transposed,
                      _sizes(output_padding, taps, "output_padding"), int(groups))
    return out if batched else out.squeeze(0)


def _named_padding(padding: str, x, weight, stride, dilation, dims: int):
    """(x, padding in numbers) of 'valid' and 'same'; x is padded where 'same' is one more on the right."""
    if padding == "valid":
        return x, 0
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}'")
    if any(s != 1 for s in _sizes(stride, dims, "stride")):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    total = [d * (k - 1) for d, k in zip(_sizes(dilation, dims, "dilation"), weight.shape[2:])]
    if any(t % 2 for t in total):
        from .padding import constant_pad_nd
        extra: list[int] = []
        for t in reversed(total):
            extra += [0, t % 2]
        x = constant_pad_nd(x, extra, 0)
    return x, tuple(t // 2 for t in total)


@composite(at=("torch", "nn.functional"))
def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolve (N, C, L) or (C, L) with weight (O, C / groups, K); `padding` may be 'valid' or 'same'."""
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, False, 0, groups)


@composite(at=("torch", "nn.functional"))
def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolve (N, C, H, W) or (C, H, W) with weight (O, C / groups, kH, kW)."""
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, False, 0, groups)


@composite(at=("torch", "nn.functional"))
def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolve (N, C, D, H, W) or (C, D, H, W) with weight (O, C / groups, kD, kH, kW)."""
    return _convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, False, 0, groups)


@composite(at=("torch", "nn.functional"))
def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The adjoint of `conv1d` applied to (N, C, L); weight is (C, O / groups, K)."""
    return _convolve("conv_transpose1d", 1, input, weight, bias, stride, padding, dilation, True,
                     output_padding, groups)


@composite(at=("torch", "nn.functional"))
def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The adjoint of `conv2d` applied to (N, C, H, W); weight is (C, O / groups, kH, kW)."""
    return _convolve("conv_transpose2d", 2, input, weight, bias, stride, padding, dilation, True,
                     output_padding, groups)


@composite(at=("torch", "nn.functional"))
def conv_transpose3d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The adjoint of `conv3d` applied to (N, C, D, H, W); weight is (C, O / groups, kD, kH, kW)."""
    return _convolve("conv_transpose3d", 3, input, weight, bias, stride, padding, dilation, True,
                     output_padding, groups)


@composite(at=("torch", "nn.functional"))
def conv_tbc(input, weight, bias, pad=0):
    """Convolve (T, N, C) along time with weight (K, C, O) and bias (O,)."""
    out = conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return out.permute(2, 0, 1)


# --------------------------------------------------------------------------------------------- sliding blocks
def _pair(values, name: str) -> tuple[int, int]:
    if isinstance(values, int):
        return (values, values)
    values = tuple(int(v) for v in values)
    if len(values) == 1:
        return (values[0], values[0])
    if len(values) != 2:
        raise RuntimeError(f"It is expected {name} equals to 2, but got size {len(values)}")
    return values


def _check_blocks(kernel_size, dilation, padding, stride) -> None:
    for name, prefix, values, least in (("kernel size", "kernel", kernel_size, 1), ("stride", "stride",
                                                                                    stride, 1),
                                        ("dilation", "dilation", dilation, 1), ("padding", "pad", padding,
                                                                                0)):
        if any(v < least for v in values):
            want = "non-negative" if least == 0 else "greater than zero"
            raise RuntimeError(f"{name} should be {want}, but got {_named(prefix, values)}")


def _block_counts(size, kernel_size, dilation, padding, stride) -> tuple[int, ...]:
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1
                 for n, k, d, p, s in zip(size, kernel_size, dilation, padding, stride))


@opaque(vjp={"x": lambda g, x_meta, kernel_size, dilation, padding, stride: fold_blocks(
    g, x_meta.shape[2:], kernel_size, dilation, padding, stride)}, at=())
def unfold_blocks(x, kernel_size, dilation, padding, stride):
    """(N, C, H, W) → (N, C kH kW, blocks): what each kernel tap sees of each block."""
    _check_blocks(kernel_size, dilation, padding, stride)
    counts = _block_counts(x.shape[2:], kernel_size, dilation, padding, stride)
    if any(c < 1 for c in counts):
        raise RuntimeError(f"Given input with spatial size {tuple(x.shape[2:])}, "
                           f"kernel_size={tuple(kernel_size)}, dilation={tuple(dilation)}, "
                           f"padding={tuple(padding)}, calculated shape of the array of sliding blocks as "
                           f"{counts}, but its components must be at least one.")
    return Meta((x.shape[0], x.shape[1] * kernel_size[0] * kernel_size[1], counts[0] * counts[1]), x.dtype)


@opaque(vjp={"x": lambda g, kernel_size, dilation, padding, stride: unfold_blocks(
    g, kernel_size, dilation, padding, stride)}, at=())
def fold_blocks(x, output_size, kernel_size, dilation, padding, stride):
    """(N, C kH kW, blocks) → (N, C, H, W): each place is the sum of the blocks' entries that lie on it."""
    _check_blocks(kernel_size, dilation, padding, stride)
    taps = kernel_size[0] * kernel_size[1]
    if x.shape[1] % taps:
        raise RuntimeError("Expected size of input's dimension 1 to be divisible by the product of "
                           f"kernel_size, but got input.size(1)={x.shape[1]} and "
                           f"kernel_size={tuple(kernel_size)}.")
    counts = _block_counts(output_size, kernel_size, dilation, padding, stride)
    blocks = counts[0] * counts[1]
    if x.shape[2] != blocks or any(c < 1 for c in counts):
        raise RuntimeError(f"Given output_size={tuple(output_size)}, kernel_size={tuple(kernel_size)}, "
                           f"dilation={tuple(dilation)}, padding={tuple(padding)}, stride={tuple(stride)}, "
                           "expected size of input's dimension 2 to match the calculated number of sliding "
                           f"blocks {counts[0]} * {counts[1]} = {blocks}, but got "
                           f"input.size(2)={x.shape[2]}.")
    return Meta((x.shape[0], x.shape[1] // taps, *output_size), x.dtype)


@composite(at=())
def functional_unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """(N, C, H, W) or (C, H, W) → the sliding blocks as columns, (N, C kH kW, blocks)."""
    settings = (_pair(kernel_size, "kernel_size"), _pair(dilation, "dilation"), _pair(padding, "padding"),
                _pair(stride, "stride"))
    if input.ndim == 3:
        return unfold_blocks(input.unsqueeze(0), *settings).squeeze(0)
    if input.ndim != 4:
        raise RuntimeError("Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other "
                           f"non-zero dimensions for input, but got: {list(input.shape)}")
    return unfold_blocks(input, *settings)


@composite(at=("nn.functional",))
def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """(N, C kH kW, blocks) or (C kH kW, blocks) → (N, C, *output_size): the sum of the blocks in their
    places."""
    size = _pair(output_size, "output_size")
    settings = (_pair(kernel_size, "kernel_size"), _pair(dilation, "dilation"), _pair(padding, "padding"),
                _pair(stride, "stride"))
    if input.ndim == 2:
        return fold_blocks(input.unsqueeze(0), size, *settings).squeeze(0)
    if input.ndim != 3:
        raise RuntimeError("Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
                           f"non-zero dimensions for input, but got: {list(input.shape)}")
    return fold_blocks(input, size, *settings)


# Functions of nn.functional that differ from the torch function of the same name.
FUNCTIONAL = {
    "unfold": functional_unfold,
}
