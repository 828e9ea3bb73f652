"""Padding, resampling, channel shuffles, linear maps and distances between vectors."""
from __future__ import annotations

import math
import warnings

from .. import dtypes as D
from ..dispatch import wrap_dim
from ..kinds import composite
from ..kinds.memory import format_of, images_of, rowmajor
from .index import c_name, title
from .linalg import addmm, matmul
from .view import broadcast_tensors


# ------------------------------------------------------------------------------------------------ padding
def _negated(pad) -> list[int]:
    return [-p for p in pad]


@composite(memory=format_of("input"),
           at=("torch",), vjp={"input": lambda g, pad: constant_pad_nd(g, _negated(pad), 0)})
def constant_pad_nd(input, pad, value=0):
    """`input` with pad = (left, right, top, bottom, …) elements of `value` added from the last dimension on.

    Negative numbers cut. The gradient is the padding by the negated numbers."""
    pad = [int(p) for p in pad]
    if len(pad) % 2:
        raise RuntimeError(f"Length of pad must be even but instead it equals {len(pad)}")
    if len(pad) > 2 * input.ndim:
        raise RuntimeError("Length of pad should be no more than twice the number of dimensions of the "
                           f"input. Pad length is {len(pad)} while the input has {input.ndim} dimensions.")
    inner, shape = input, list(input.shape)
    for i in range(len(pad) // 2):
        dim = input.ndim - 1 - i
        left, right = pad[2 * i], pad[2 * i + 1]
        shape[dim] += left + right
        if shape[dim] < 0:
            raise RuntimeError(f"The input size {input.shape[dim]}, plus negative padding {left} and {right} "
                               f"resulted in a negative output size, which is invalid. Check dimension {dim} "
                               "of your input.")
        start, stop = max(-left, 0), input.shape[dim] - max(-right, 0)
        if start or stop != input.shape[dim]:
            inner = inner.narrow(dim, start, max(stop - start, 0))
    out = input.new_full(shape, value)
    place = out
    for i in range(len(pad) // 2):
        dim = input.ndim - 1 - i
        place = place.narrow(dim, max(pad[2 * i], 0), inner.shape[dim])
    place.copy_(inner)
    return out


def _padded_places(mode: str, n: int, left: int, right: int) -> list[int]:
    """For each output position along a dimension of n elements, the input position it copies."""
    if mode == "circular":
        kept = range(max(-left, 0), n - max(-right, 0))
        return [kept[i % len(kept)] for i in range(-max(left, 0), len(kept) + max(right, 0))]
    places = range(-left, n + right)
    if mode == "replicate":
        return [min(max(i, 0), n - 1) for i in places]
    return [-i if i < 0 else 2 * (n - 1) - i if i >= n else i for i in places]


COMBINATIONS = ("Supported combinations for non-constant padding:\n"
                "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
                "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
                "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)")


def _check_mode_pad(mode: str, x, pad) -> None:
    dims = len(pad) // 2
    for i in range(dims):
        dim = x.ndim - 1 - i
        n, left, right = x.shape[dim], pad[2 * i], pad[2 * i + 1]
        if mode == "reflect" and (left >= n or right >= n):
            raise RuntimeError(f"Argument #{2 * i + 4}: Padding size should be less than the corresponding "
                               f"input dimension, but got: padding ({left}, {right}) at dimension {dim} of "
                               f"input {list(x.shape)}")
        if mode == "circular" and (left > n or right > n):
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if mode == "circular" and n + left + right < 0:
            raise RuntimeError("Negative padding value is resulting in an empty dimension")
        if n + left + right < 1 and mode != "circular":
            raise RuntimeError(f"input (size {n}) is too small for padding ({left}, {right}): the output of "
                               f"dimension {dim} would have {n + left + right} elements")
    if mode != "circular" and 0 in x.shape[x.ndim - dims - (1 if x.ndim == dims + 1 else 0):]:
        raise RuntimeError(f"Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with possibly 0 batch "
                           f"size and other non-zero dimensions for input, but got: {list(x.shape)}")


def _grown(args, shape):
    """channels_last stays, but for circular padding."""
    return (rowmajor if args.get("mode") == "circular" else format_of("input"))(args, shape)


@composite(memory=_grown, at=("nn.functional",))
def pad(input, pad, mode="constant", value=None):
    """`input` grown by pad = (left, right, top, bottom, …), counted from the last dimension.

    mode: constant (any dimensions), reflect, replicate, circular (the last one to three)."""
    from .. import tensor
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) > 2 * input.ndim:
        raise RuntimeError("Padding length should be less than or equal to two times the input dimension but "
                           f"got padding length {len(pad)} and input of dimension {input.ndim}")
    if mode == "constant":
        return constant_pad_nd(input, pad, 0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if (len(pad), input.ndim) not in ((2, 2), (2, 3), (4, 3), (4, 4), (6, 4), (6, 5)):
        raise NotImplementedError(f"Padding size {len(pad)} is not supported for {input.ndim}D input "
                                  "tensor.\n"
                                  + COMBINATIONS)
    _check_mode_pad(mode, input, pad)
    out = input
    for i in range(len(pad) // 2):
        left, right = int(pad[2 * i]), int(pad[2 * i + 1])
        if left or right:
            dim = input.ndim - 1 - i
            places = _padded_places(mode, input.shape[dim], left, right)
            out = out.index_select(dim, tensor(places, dtype=D.int64, device=input.device))
    return out.clone() if out is input else out


# ------------------------------------------------------------------------------------------------ shuffles
def _square_factor(op: str, name: str, x, factor: int) -> None:
    if x.ndim < 3:
        raise RuntimeError(f"{op} expects input to have at least 3 dimensions, but got input with {x.ndim} "
                           "dimension(s)")
    if factor <= 0:
        raise RuntimeError(f"{op} expects a positive {name}, but got {factor}")


@composite(memory=images_of("input"), at=("torch", "nn.functional"))
def pixel_shuffle(input, upscale_factor):
    """(*, C r², H, W) → (*, C, H r, W r) (arXiv:1609.05158)."""
    r = int(upscale_factor)
    _square_factor("pixel_shuffle", "upscale_factor", input, r)
    if r == 1:
        return input.clone()
    *lead, c, h, w = input.shape
    if c % (r * r):
        raise RuntimeError("pixel_shuffle expects its input's 'channel' dimension to be divisible by the "
                           f"square of upscale_factor, but input.size(-3)={c} is not divisible by {r * r}")
    n = len(lead)
    split = input.reshape(*lead, c // (r * r), r, r, h, w)
    return split.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2).reshape(*lead, c // (r * r), h * r, w * r)


@composite(memory=images_of("input"), at=("torch", "nn.functional"))
def pixel_unshuffle(input, downscale_factor):
    """(*, C, H r, W r) → (*, C r², H, W): undoes `pixel_shuffle`."""
    r = int(downscale_factor)
    _square_factor("pixel_unshuffle", "downscale_factor", input, r)
    if r == 1:
        return input.clone()
    *lead, c, h, w = input.shape
    for name, dim, n in (("height", -2, h), ("width", -1, w)):
        if n % r:
            raise RuntimeError(f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
                               f"input.size({dim})={n} is not divisible by {r}")
    n = len(lead)
    split = input.reshape(*lead, c, h // r, r, w // r, r)
    return split.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3).reshape(*lead, c * r * r, h // r, w // r)


@composite(memory=format_of("input"), at=("torch", "nn.functional"))
def channel_shuffle(input, groups):
    """(N, g C, *) → the same with the channels dealt out group by group (arXiv:1707.01083)."""
    if input.ndim < 3:
        raise RuntimeError("channel_shuffle expects input with > 2 dims, but got input with sizes "
                           f"{list(input.shape)}")
    if groups <= 0:
        raise RuntimeError("Number of groups to divide channels in must be positive. Value of "
                           f"groups:{groups}")
    n, c, *rest = input.shape
    if c % groups:
        raise RuntimeError(f"Number of channels must be divisible by groups. Got {c} channels and {groups} "
                           "groups.")
    return input.reshape(n, groups, c // groups, *rest).transpose(1, 2).reshape(input.shape)


@composite(at=("nn.functional",))
def native_channel_shuffle(input, groups):
    """`channel_shuffle`."""
    return channel_shuffle(input, groups)


# ------------------------------------------------------------------------------------------------ resampling
_DIMS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}


def _scale(n: int, o: int, factor, align: bool) -> float:
    """Input positions per output position."""
    if align:
        return (n - 1) / (o - 1) if o > 1 else 0.0
    return 1.0 / factor if factor is not None and factor > 0 else n / o


def _nearest(n: int, o: int, factor, exact: bool) -> list[int]:
    import numpy as np
    scale = np.float32(1.0 / factor) if factor is not None else np.float32(n) / np.float32(o)
    i = np.arange(o, dtype=np.float32)
    at = np.floor((i + np.float32(0.5)) * scale if exact else i * scale)
    return np.minimum(at.astype(np.int64), n - 1).tolist()


def _cubic(t: float) -> list[float]:
    """Weights of the four neighbours by Keys' kernel with A = -0.75."""
    a = -0.75

    def near(x):
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x):
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _taps(mode: str, n: int, o: int, factor, align: bool, wide) -> tuple[list[list[int]], list[list[float]]]:
    """For each tap: the input position and weight at every output position. `wide` computes coordinates."""
    scale = wide(_scale(n, o, factor, align))
    places: list[list[int]] = []
    weights: list[list[float]] = []
    for i in range(o):
        at = scale * wide(i) if align else scale * (wide(i) + wide(0.5)) - wide(0.5)
        if mode == "cubic":
            first = math.floor(at)
            w = _cubic(float(at - wide(first)))
            p = [min(max(first + k, 0), n - 1) for k in (-1, 0, 1, 2)]
        else:
            at = max(at, wide(0))
            first = min(int(at), n - 1)
            t = min(max(float(at - wide(first)), 0.0), 1.0)
            p, w = [first, min(first + 1, n - 1)], [float(wide(1) - wide(t)), t]
        places.append(p)
        weights.append(w)
    return list(map(list, zip(*places))), list(map(list, zip(*weights)))


def _smooth_matrix(mode: str, n: int, o: int, factor, align: bool) -> list[list[float]]:
    """The (o, n) matrix of an antialiased resampling: the kernel is stretched by the scale when shrinking."""
    scale = _scale(n, o, factor, align)
    reach = 2.0 if mode == "cubic" else 1.0
    stretch = max(scale, 1.0)
    support = reach * stretch
    rows = []
    for i in range(o):
        center = scale * (i + 0.5)
        low = max(int(center - support + 0.5), 0)
        high = min(int(center + support + 0.5), n)
        weights = []
        for j in range(low, high):
            x = abs((j - center + 0.5) / stretch)
            if mode == "cubic":
                a = -0.5
                w = ((a + 2) * x - (a + 3)) * x * x + 1 if x < 1 else (
                    (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0)
            else:
                w = max(0.0, 1.0 - x)
            weights.append(w)
        total = sum(weights) or 1.0
        rows.append([0.0] * low + [w / total for w in weights] + [0.0] * (n - high))
    return rows


def _resample(x, dim: int, mode: str, o: int, factor, align: bool, antialias: bool):
    """x resampled to o positions along dim."""
    import numpy as np

    from .. import tensor
    n = x.shape[dim]
    if antialias:
        matrix = tensor(_smooth_matrix(mode, n, o, factor, align), dtype=x.dtype, device=x.device)
        return matmul(x.movedim(dim, -1), matrix.t()).movedim(-1, dim)
    if n == o and (align or factor is None or factor == 1):
        return x
    places, weights = _taps(mode, n, o, factor, align, np.float64 if x.dtype is D.float64 else np.float32)
    shape = [1] * x.ndim
    shape[dim] = o
    out = None
    for p, w in zip(places, weights):
        part = x.index_select(dim, tensor(p, device=x.device)) * tensor(w, dtype=x.dtype,
                                                                        device=x.device).reshape(shape)
        out = part if out is None else out + part
    return out


def _resampled(args, shape):
    """channels_last stays; not for volumes that are averaged."""
    if args.get("mode") == "area":
        return images_of("input", line="size")({**args, "size": shape[2:]}, shape)
    return format_of("input")(args, shape)


MODES = "nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact"


@composite(memory=_resampled, at=("nn.functional",))
def interpolate(input, size=None, scale_factor=None, mode="nearest", align_corners=None,
                recompute_scale_factor=None, antialias=False):
    """Resample the spatial dimensions of (N, C, *) to `size`, or by `scale_factor`."""
    from .. import tensor
    from .pool import adaptive_avg_pool
    dims = input.ndim - 2
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError("align_corners option can only be set with the interpolating modes: linear | "
                             "bilinear | bicubic | trilinear")
    elif align_corners is None:
        align_corners = False
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        if isinstance(size, list | tuple):
            if len(size) != dims:
                raise ValueError("Input and output must have the same number of spatial dimensions, but got "
                                 f"input with spatial dimensions of {list(input.shape[2:])} and output size "
                                 f"of {size}. Please provide input tensor in (N, C, d1, d2, ...,dK) format "
                                 "and output size in (o1, o2, ...,oK) format.")
            out_size = [int(s) for s in size]
        else:
            out_size = [int(size)] * dims
        factors = [None] * dims
    elif scale_factor is not None:
        if isinstance(scale_factor, list | tuple):
            if len(scale_factor) != dims:
                raise ValueError("Input and scale_factor must have the same number of spatial dimensions, "
                                 f"but got input with spatial dimensions of {list(input.shape[2:])} and "
                                 f"scale_factor of shape {scale_factor}. Please provide input tensor in (N, "
                                 "C, d1, d2, ...,dK) format and scale_factor in (s1, s2, ...,sK) format.")
            factors = [float(s) for s in scale_factor]
        else:
            factors = [float(scale_factor)] * dims
        out_size = [math.floor(n * s) for n, s in zip(input.shape[2:], factors)]
        if recompute_scale_factor:
            factors = [None] * dims
    else:
        raise ValueError("either size or scale_factor should be defined")
    if recompute_scale_factor and size is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and input.ndim == 4):
        raise ValueError("Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and "
                         "requires a 4-D tensor as input")
    known = mode in ("nearest", "nearest-exact", "area") or mode in _DIMS
    if not known or input.ndim not in (3, 4, 5):
        if mode == "lanczos":
            raise NotImplementedError("interpolate with mode 'lanczos' is not implemented.")
        raise NotImplementedError("Input Error: Only 3D, 4D and 5D input Tensors supported (got "
                                  f"{input.ndim}D) for the modes: {MODES} (got {mode})")
    if mode in _DIMS and _DIMS[mode] != dims:
        raise NotImplementedError(f"Got {input.ndim}D input, but {mode} mode needs {_DIMS[mode] + 2}D input")
    if any(o <= 0 for o in out_size) or 0 in input.shape[2:]:
        def named(values):
            return ", ".join(f"{k}: {v}" for k, v in zip("DHW"[3 - dims:], values))
        raise RuntimeError("Input and output sizes should be greater than 0, but got input "
                           f"({named(input.shape[2:])}) output ({named(out_size)})")
    if mode == "area":
        return adaptive_avg_pool(input, tuple(out_size))
    if mode.startswith("nearest"):
        out = input
        for i in range(dims):
            places = _nearest(input.shape[2 + i], out_size[i], factors[i], mode == "nearest-exact")
            out = out.index_select(2 + i, tensor(places, dtype=D.int64, device=input.device))
        return out
    kind = "cubic" if mode == "bicubic" else "linear"
    x = input.to(D.float32) if input.dtype.itemsize == 2 else input
    for i in reversed(range(dims)):
        x = _resample(x, 2 + i, kind, out_size[i], factors[i], bool(align_corners), antialias)
    if x is input:
        return x.clone()
    return x.to(input.dtype) if x.dtype is not input.dtype else x


@composite(at=("nn.functional",))
def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """`interpolate`, deprecated."""
    warnings.warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.",
                  stacklevel=4)
    return interpolate(input, size, scale_factor, mode, align_corners)


@composite(at=("nn.functional",))
def upsample_nearest(input, size=None, scale_factor=None):
    """`interpolate` to the nearest neighbour, deprecated."""
    warnings.warn("`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.",
                  stacklevel=4)
    return interpolate(input, size, scale_factor, "nearest")


@composite(at=("nn.functional",))
def upsample_bilinear(input, size=None, scale_factor=None):
    """Bilinear `interpolate` with aligned corners, deprecated."""
    warnings.warn("`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.",
                  stacklevel=4)
    return interpolate(input, size, scale_factor, "bilinear", True)


# ------------------------------------------------------------------------------------------------ linear maps
@composite(at=("nn.functional",))
def linear(input, weight, bias=None):
    """input weightᵀ + bias; input (*, in), weight (out, in) or (in,), bias (out,)."""
    ndim = input.ndim
    if ndim == 2 and bias is not None and bias.ndim == 1 and weight.ndim == 2:
        return addmm(bias, input, weight.t())
    if ndim == 0 or weight.ndim == 0:
        raise RuntimeError(f"both arguments to linear need to be at least 1D, but they are {ndim}D and "
                           f"{weight.ndim}D")
    if weight.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {weight.ndim}D")
    if weight.ndim == 2 and input.shape[-1] != weight.shape[1]:
        rows = math.prod(input.shape[:-1])
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({rows}x{input.shape[-1]} and "
                           f"{weight.shape[1]}x{weight.shape[0]})")
    if input.dtype is not weight.dtype:
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: {c_name(input.dtype)} != "
                           f"{c_name(weight.dtype)}")
    if ndim > 2 and weight.ndim == 2:
        rows = input.reshape(-1, input.shape[-1]) if input.shape[-1] else input.reshape(
            math.prod(input.shape[:-1]), 0)
        out = linear(rows, weight, bias if bias is not None and bias.ndim == 1 else None)
        out = out.reshape(*input.shape[:-1], weight.shape[0])
        return out if bias is None or bias.ndim == 1 else out + bias
    out = matmul(input, weight.t() if weight.ndim == 2 else weight)
    return out if bias is None else out + bias


@composite(at=("torch", "nn.functional"))
def bilinear(input1, input2, weight, bias=None):
    """out[o] = input1ᵀ weight[o] input2 + bias[o]; weight (out, in1, in2)."""
    if input1.ndim != input2.ndim:
        raise RuntimeError(f"bilinear(): input dimensions do not match: got {input1.ndim} and {input2.ndim}")
    for d in range(input1.ndim - 1):
        if input1.shape[d] != input2.shape[d]:
            raise RuntimeError(f"bilinear(): input batch dimensions do not match at dim {d}: got "
                               f"{input1.shape[d]} and {input2.shape[d]}")
    for k, x in ((1, input1), (2, input2)):
        if x.shape[-1] != weight.shape[k]:
            raise RuntimeError(f"bilinear(): input{k} size does not match weight size: got {x.shape[-1]} but "
                               f"expected {weight.shape[k]}")
    if bias is not None and bias.shape[0] != weight.shape[0]:
        raise RuntimeError(f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but "
                           f"expected {weight.shape[0]}")
    lead = input1.shape[:-1]
    a, b = input1.reshape(-1, input1.shape[-1]), input2.reshape(-1, input2.shape[-1])
    out, i, j = weight.shape
    # (rows, out, in2) of a · weight, then the product with b summed over in2.
    left = matmul(a, weight.permute(1, 0, 2).reshape(i, out * j)).reshape(-1, out, j)
    result = (left * b.unsqueeze(1)).sum(-1).reshape(*lead, out)
    return result if bias is None else result + bias


# ------------------------------------------------------------------------------------------------ distances
@composite(at=("torch", "nn.functional"))
def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """<x1, x2> / (max(‖x1‖, eps) max(‖x2‖, eps)) along dim."""
    kind = D.promote_types(x1.dtype, x2.dtype)
    if not kind.is_floating_point:
        raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {title(kind)}")
    x1, x2 = broadcast_tensors(x1.to(kind), x2.to(kind))
    dim = wrap_dim(dim, x1.ndim)
    norms = [x.norm(2, dim, keepdim=True) for x in (x1, x2)]
    # The bound takes part in the value but not in the gradient of a norm below it.
    a, b = (x / (n + (n.detach().clamp_min(eps) - n.detach())) for x, n in zip((x1, x2), norms))
    return (a * b).sum(dim)


@composite(at=("torch", "nn.functional"))
def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """‖x1 - x2 + eps‖_p over the last dimension."""
    return (x1 - x2 + eps).norm(p, -1, keepdim=keepdim)


@composite(at=("torch", "nn.functional"))
def pdist(input, p=2.0):
    """‖x_i - x_j‖_p of the rows i < j of a matrix, in row order."""
    from .. import triu_indices
    if input.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if not input.dtype.is_floating_point:
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    n = input.shape[0]
    i, j = triu_indices(n, n, 1, device=input.device)
    return (input.index_select(0, i) - input.index_select(0, j)).norm(p, -1)
