"""Normalization per channel of (N, C, inner) and per row of a matrix: statistics, the affine pass, the
gradient."""
import math
from math import prod

import numpy as np

from ..jit import kernel, launch


@kernel
def moments(lo, hi, mean, var, x, images, channels, inner):
    """mean[c], var[c] = first and second central moment over images and inner, summed in float64. Items:
    channels."""
    for c in range(lo, hi):
        total = 0.0
        for n in range(images):
            base = (n * channels + c) * inner
            for i in range(inner):
                total += x[base + i]
        center = total / (images * inner)
        total = 0.0
        for n in range(images):
            base = (n * channels + c) * inner
            for i in range(inner):
                d = x[base + i] - center
                total += d * d
        mean[c] = center
        var[c] = total / (images * inner)


@kernel
def affine(lo, hi, out, x, scale, shift, channels, inner):
    """out = scale[c] x + shift[c]. Items are planes (n, c)."""
    for item in range(lo, hi):
        c = item % channels
        a = scale[c]
        b = shift[c]
        for i in range(item * inner, (item + 1) * inner):
            out[i] = a * x[i] + b


@kernel
def gradient_sums(lo, hi, total, dot, g, x, mean, images, channels, inner):
    """total[c] = Σ g, dot[c] = Σ g (x - mean[c]), in float64. Items are channels."""
    for c in range(lo, hi):
        center = mean[c]
        sum_g = 0.0
        sum_gx = 0.0
        for n in range(images):
            base = (n * channels + c) * inner
            for i in range(base, base + inner):
                sum_g += g[i]
                sum_gx += g[i] * (x[i] - center)
        total[c] = sum_g
        dot[c] = sum_gx


@kernel
def affine_pair(lo, hi, out, g, x, mean, scale, slope, shift, channels, inner):
    """out = scale[c] g + slope[c] (x - mean[c]) + shift[c]. Items are planes (n, c)."""
    for item in range(lo, hi):
        c = item % channels
        center = mean[c]
        a = scale[c]
        b = slope[c]
        s = shift[c]
        for i in range(item * inner, (item + 1) * inner):
            out[i] = a * g[i] + b * (x[i] - center) + s


@kernel
def rows_forward(lo, hi, out, mean, r, x, weight, bias, size, has_weight, has_bias, eps):
    """Row by row: mean, r = 1 / √(var + eps), out = weight (x - mean) r + bias; moments summed in float64."""
    for row in range(lo, hi):
        base = row * size
        total = 0.0
        for i in range(base, base + size):
            total += x[i]
        center = total / size
        total = 0.0
        for i in range(base, base + size):
            d = x[i] - center
            total += d * d
        mean[row] = center
        r[row] = 1.0 / math.sqrt(total / size + eps)
        m = mean[row]
        k = r[row]
        if has_weight and has_bias:
            for i in range(size):
                out[base + i] = (x[base + i] - m) * k * weight[i] + bias[i]
        elif has_weight:
            for i in range(size):
                out[base + i] = (x[base + i] - m) * k * weight[i]
        elif has_bias:
            for i in range(size):
                out[base + i] = (x[base + i] - m) * k + bias[i]
        else:
            for i in range(size):
                out[base + i] = (x[base + i] - m) * k


@kernel
def rows_backward(lo, hi, gx, gw, gb, g, x, weight, mean, r, rows, size, blocks, has_weight):
    """gx of each row, and per block of rows the sums gw = Σ g x̂ and gb = Σ g. Items are blocks, fixed in
    number."""
    for block in range(lo, hi):
        to = block * size
        for i in range(size):
            gw[to + i] = 0
            gb[to + i] = 0
        for row in range(rows * block // blocks, rows * (block + 1) // blocks):
            base = row * size
            m = mean[row]
            k = r[row]
            sum_u = 0.0
            sum_ux = 0.0
            if has_weight:
                for i in range(size):
                    u = g[base + i] * weight[i]
                    sum_u += u
                    sum_ux += u * (x[base + i] - m)
            else:
                for i in range(size):
                    u = g[base + i]
                    sum_u += u
                    sum_ux += u * (x[base + i] - m)
            gx[base] = sum_u / size  # through memory: the two means in the element type
            a = gx[base]
            gx[base] = sum_ux * k / size
            b = gx[base]
            for i in range(size):
                xhat = (x[base + i] - m) * k
                u = g[base + i]
                gw[to + i] += u * xhat
                gb[to + i] += u
                if has_weight:
                    u = u * weight[i]
                gx[base + i] = k * (u - a - xhat * b)


def _flat(x):
    return np.ascontiguousarray(x).reshape(-1)


def batch_norm_train(out, mean, var, tensors, eps):
    """out = weight (x - mean) / √(var + eps) + bias with the batch's own mean and biased variance per
    channel."""
    x, weight, bias = tensors
    images, channels, inner = x.shape[0], x.shape[1], prod(x.shape[2:])
    if not x.size:
        mean.fill(np.nan)
        var.fill(np.nan)
        return
    x = _flat(x)
    launch(moments, channels, 2 * images * inner, mean, var, x, images, channels, inner)
    scale = 1.0 / np.sqrt(var.astype(np.float64) + eps)
    if weight is not None:
        scale *= weight
    shift = -mean * scale
    if bias is not None:
        shift += bias
    launch(affine, images * channels, inner, out.reshape(-1), x, scale.astype(out.dtype),
           shift.astype(out.dtype), channels, inner)


def batch_norm_grad(gx, gw, gb, tensors, mean, var, eps):
    """Gradients of `batch_norm_train`: gx = w r (g - Σg/m - x̂ Σ(g x̂)/m), gw = Σ g x̂, gb = Σ g; r = 1/√(var
    + eps)."""
    grad, x, weight = tensors
    images, channels, inner = x.shape[0], x.shape[1], prod(x.shape[2:])
    grad, x, dtype = _flat(grad), _flat(x), x.dtype
    mean = _flat(mean).astype(dtype, copy=False)
    total, dot = np.empty(channels), np.empty(channels)
    launch(gradient_sums, channels, 2 * images * inner, total, dot, grad, x, mean, images, channels, inner)
    r = 1.0 / np.sqrt(var.astype(np.float64) + eps)
    np.copyto(gw, dot * r, casting="same_kind")
    np.copyto(gb, total, casting="same_kind")
    count = max(images * inner, 1)
    scale = r if weight is None else r * weight
    slope = -scale * r * r * dot / count
    shift = -scale * total / count
    launch(affine_pair, images * channels, 2 * inner, gx.reshape(-1), grad, x, mean, scale.astype(dtype),
           slope.astype(dtype), shift.astype(dtype), channels, inner)


# Blocks of rows that the sums over rows are split into: more than threads, and the same for any number of
# them.
BLOCKS = 32


def row_norm(out, mean, r, tensors, eps):
    """out = weight (x - mean) r + bias, r = 1 / √(var + eps), per row."""
    x, weight, bias = tensors
    rows, size = x.shape
    if not out.size:
        mean.fill(0)
        r.fill(1 / np.sqrt(eps))
        return
    out = out.reshape(-1)
    launch(rows_forward, rows, 1.5 * size, out, mean, r, _flat(x), out if weight is None else _flat(weight),
           out if bias is None else _flat(bias), size, weight is not None, bias is not None, float(eps))


def row_norm_grad(gx, gw, gb, tensors, mean, r):
    """gx = r (u - mean(u) - x̂ mean(u x̂)) with u = weight g per row, gw = Σ g x̂, gb = Σ g over the rows."""
    grad, x, weight = tensors
    rows, size = x.shape
    if not gx.size:
        gw.fill(0)
        gb.fill(0)
        return
    grad = _flat(grad)
    blocks = min(BLOCKS, rows)
    parts = np.empty((2, blocks, size), x.dtype)
    launch(rows_backward, blocks, 2.5 * size * rows / blocks, gx.reshape(-1), parts[0].reshape(-1),
           parts[1].reshape(-1), grad, _flat(x), grad if weight is None else _flat(weight), _flat(mean),
           _flat(r), rows, size, blocks, weight is not None)
    np.sum(parts[0], axis=0, out=gw)
    np.sum(parts[1], axis=0, out=gb)
