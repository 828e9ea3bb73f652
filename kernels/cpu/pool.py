"""Pooling over windows: maximum (with its position), average, their gradients, fractional and adaptive
windows.

A window is the product of up to three ranges, one per spatial dimension. Per dimension an int64 array holds,
for every output position, where the range starts, where it stops and what it adds to the divisor: so that
strides, padding, ceil mode and adaptive sizes are one code. Problems of fewer dimensions get leading ones.
"""
from functools import lru_cache
from math import prod

import numpy as np

from ..jit import kernel, launch


@kernel
def max_windows(lo, hi, out, indices, x, ranges, depth, height, width, out_depth, out_height, out_width, dd,
                dh, dw):
    """out = max over each window, indices = its flat position in the plane: the first of equals, the last
    NaN.

    Items are planes. `ranges` holds start and stop per output position: of depth, then height, then width."""
    for item in range(lo, hi):
        plane = item * depth * height * width
        to = item * out_depth * out_height * out_width
        for oz in range(out_depth):
            z0, z1 = ranges[2 * oz], ranges[2 * oz + 1]
            for oy in range(out_height):
                y0, y1 = ranges[2 * (out_depth + oy)], ranges[2 * (out_depth + oy) + 1]
                for ox in range(out_width):
                    x0 = ranges[2 * (out_depth + out_height + ox)]
                    x1 = ranges[2 * (out_depth + out_height + ox) + 1]
                    at = (z0 * height + y0) * width + x0
                    best = x[plane + at]
                    z = z0
                    while z < z1:
                        y = y0
                        while y < y1:
                            row = (z * height + y) * width
                            i = x0
                            while i < x1:
                                v = x[plane + row + i]
                                if v > best or v != v:
                                    best = v
                                    at = row + i
                                i += dw
                            y += dh
                        z += dd
                    out[to] = best
                    indices[to] = at
                    to += 1


@kernel
def max_2x2(lo, hi, out, indices, x, height, width, out_height, out_width):
    """`max_windows` for windows of 2 x 2 with stride 2 and no padding. Items are planes."""
    for item in range(lo, hi):
        plane = item * height * width
        for oy in range(out_height):
            top = 2 * oy * width
            to = (item * out_height + oy) * out_width
            for ox in range(out_width):
                at = top + 2 * ox
                best = x[plane + at]
                v = x[plane + top + 2 * ox + 1]
                if v > best or v != v:
                    best = v
                    at = top + 2 * ox + 1
                v = x[plane + top + width + 2 * ox]
                if v > best or v != v:
                    best = v
                    at = top + width + 2 * ox
                v = x[plane + top + width + 2 * ox + 1]
                if v > best or v != v:
                    best = v
                    at = top + width + 2 * ox + 1
                out[to + ox] = best
                indices[to + ox] = at


@kernel
def scatter_add(lo, hi, out, g, indices, size, count):
    """out[plane, indices[plane, i]] += g[plane, i] on planes of `size` from `count` values. Items are
    planes."""
    for item in range(lo, hi):
        for i in range(size):
            out[item * size + i] = 0
        for i in range(item * count, (item + 1) * count):
            out[item * size + indices[i]] += g[i]


@kernel
def average_windows(lo, hi, out, x, ranges, depth, height, width, out_depth, out_height, out_width):
    """out = sum over each window / its divisor, the product of the three entries of the ranges.

    Items are planes. `ranges` holds start, stop and divisor per output position."""
    for item in range(lo, hi):
        plane = item * depth * height * width
        to = item * out_depth * out_height * out_width
        for oz in range(out_depth):
            for oy in range(out_height):
                at_y = 3 * (out_depth + oy)
                count = ranges[3 * oz + 2] * ranges[at_y + 2]
                for ox in range(out_width):
                    at_x = 3 * (out_depth + out_height + ox)
                    total = 0.0
                    for z in range(ranges[3 * oz], ranges[3 * oz + 1]):
                        for y in range(ranges[at_y], ranges[at_y + 1]):
                            row = plane + (z * height + y) * width
                            for i in range(ranges[at_x], ranges[at_x + 1]):
                                total += x[row + i]
                    out[to] = total / (count * ranges[at_x + 2])
                    to += 1


@kernel
def spread_windows(lo, hi, x, g, ranges, depth, height, width, out_depth, out_height, out_width):
    """x = Σ over the windows a place lies in of g / divisor: the adjoint of `average_windows`. Items are
    planes."""
    for item in range(lo, hi):
        plane = item * depth * height * width
        source = item * out_depth * out_height * out_width
        for i in range(depth * height * width):
            x[plane + i] = 0
        for oz in range(out_depth):
            for oy in range(out_height):
                at_y = 3 * (out_depth + oy)
                count = ranges[3 * oz + 2] * ranges[at_y + 2]
                for ox in range(out_width):
                    at_x = 3 * (out_depth + out_height + ox)
                    part = g[source] / (count * ranges[at_x + 2])
                    source += 1
                    for z in range(ranges[3 * oz], ranges[3 * oz + 1]):
                        for y in range(ranges[at_y], ranges[at_y + 1]):
                            row = plane + (z * height + y) * width
                            for i in range(ranges[at_x], ranges[at_x + 1]):
                                x[row + i] += part


@kernel
def fractional_windows(lo, hi, out, indices, x, starts, depth, height, width, out_depth, out_height,
                       out_width, kd, kh, kw):
    """`max_windows` of size (kd, kh, kw) whose starts differ by plane: starts[plane, oz | oy | ox]. Items are
    planes."""
    for item in range(lo, hi):
        plane = item * depth * height * width
        to = item * out_depth * out_height * out_width
        base = item * (out_depth + out_height + out_width)
        for oz in range(out_depth):
            z0 = starts[base + oz]
            for oy in range(out_height):
                y0 = starts[base + out_depth + oy]
                for ox in range(out_width):
                    x0 = starts[base + out_depth + out_height + ox]
                    at = (z0 * height + y0) * width + x0
                    best = x[plane + at]
                    for z in range(z0, z0 + kd):
                        for y in range(y0, y0 + kh):
                            row = (z * height + y) * width
                            for i in range(x0, x0 + kw):
                                v = x[plane + row + i]
                                if v > best or v != v:
                                    best = v
                                    at = row + i
                    out[to] = best
                    indices[to] = at
                    to += 1


def _three(values, fill=1):
    return (fill,) * (3 - len(values)) + tuple(values)


@lru_cache(maxsize=1024)
def _max_ranges(size, out_size, kernel_size, stride, padding, dilation):
    """Start (the first place inside) and stop of every window, per dimension and output position."""
    numbers = []
    for n, o, k, s, p, d in zip(size, out_size, kernel_size, stride, padding, dilation):
        for i in range(o):
            start = i * s - p
            stop = min(start + (k - 1) * d + 1, n)
            if start < 0:
                start += (-start + d - 1) // d * d
            numbers += (start, stop)
    return np.array(numbers, dtype=np.int64)


@lru_cache(maxsize=1024)
def _average_ranges(size, out_size, kernel_size, stride, padding, count_include_pad, divisor):
    """Start, stop and divisor of every window, per dimension and output position."""
    numbers = []
    for dim, (n, o, k, s, p) in enumerate(zip(size, out_size, kernel_size, stride, padding)):
        for i in range(o):
            start = i * s - p
            stop = min(start + k, n + p)
            padded = stop - start
            start, stop = max(start, 0), min(stop, n)
            if divisor is not None:
                count = divisor if dim == 0 else 1
            else:
                count = padded if count_include_pad else stop - start
            numbers += (start, stop, count)
    return np.array(numbers, dtype=np.int64)


@lru_cache(maxsize=1024)
def _adaptive_ranges(size, out_size, width):
    """Windows ⌊i n / o⌋ … ⌈(i+1) n / o⌉; `width` 2: start, stop; 3: and divisor."""
    numbers = []
    for n, o in zip(size, out_size):
        for i in range(o):
            start, stop = i * n // o, -((i + 1) * n // -o)
            numbers += (start, stop, stop - start)[:width]
    return np.array(numbers, dtype=np.int64)


def _flat(x):
    return np.ascontiguousarray(x).reshape(-1)


def max_pool(out, indices, x, kernel_size, stride, padding, dilation, ceil_mode):
    """out, indices = the maximum of each window and its flat position; spatial dimensions are the last
    ones."""
    dims = len(kernel_size)
    if not out.size:
        return
    size, out_size = x.shape[-dims:], out.shape[-dims:]
    planes = out.size // prod(out_size)
    if dims == 2 and tuple(kernel_size) == tuple(stride) == (2, 2) and not any(padding) and \
            tuple(dilation) == (1, 1) and 2 * out_size[0] <= size[0] and 2 * out_size[1] <= size[1]:
        launch(max_2x2, planes, 2 * prod(out_size), out.reshape(-1), indices.reshape(-1), _flat(x), *size,
               *out_size)
        return
    size, out_size = _three(size), _three(out_size)
    ranges = _max_ranges(size, out_size, _three(kernel_size), _three(stride), _three(padding, 0),
                         _three(dilation))
    launch(max_windows, planes, prod(out_size) * prod(kernel_size), out.reshape(-1), indices.reshape(-1),
           _flat(x), ranges, *size, *out_size, *_three(dilation))


def adaptive_max_pool(out, indices, x, output_size):
    """As `max_pool` over windows that divide the input into `output_size` parts."""
    if not out.size:
        return
    dims = len(output_size)
    size, out_size = _three(x.shape[-dims:]), _three(output_size)
    launch(max_windows, out.size // prod(out_size), prod(size), out.reshape(-1), indices.reshape(-1),
           _flat(x), _adaptive_ranges(size, out_size, 2), *size, *out_size, 1, 1, 1)


def fractional_max_pool(out, indices, x, samples, kernel_size, output_size):
    """As `max_pool`; the windows of a plane start at ⌊(i + u) α⌋ - ⌊u α⌋, α = (n - k) / (o - 1), the last at
    n - k."""
    if not out.size:
        return
    dims = len(kernel_size)
    size, out_size = x.shape[-dims:], tuple(output_size)
    samples = samples.reshape(-1, dims)
    planes = out.size // prod(out_size)
    starts = [np.zeros((planes, 3 - dims), np.int64)]
    for dim, (n, o, k) in enumerate(zip(size, out_size, kernel_size)):
        # The last sample belongs to the first dimension but for volumes, where they are in order.
        u = samples[:, dim if dims == 3 else dims - 1 - dim, None].astype(out.dtype)
        if o > 1:
            alpha = out.dtype.type((n - k) / (o - 1))
            first = np.trunc((np.arange(o, dtype=out.dtype) + u) * alpha) - np.trunc(u * alpha)
            first = first.astype(np.int64)
        else:
            first = np.zeros((planes, 1), np.int64)
        first[:, -1] = n - k
        starts.append(first)
    starts = np.concatenate(starts, axis=1)
    size, out_size = _three(size), _three(out_size)
    launch(fractional_windows, planes, prod(out_size) * prod(kernel_size), out.reshape(-1),
           indices.reshape(-1), _flat(x), _flat(starts), *size, *out_size, *_three(kernel_size))


def max_pool_input(out, grad, indices, shape, dims):
    """out[plane, indices[plane, i]] += grad[plane, i]: the gradient of every kind of max pooling."""
    size, count = prod(shape[len(shape) - dims:]), prod(grad.shape[grad.ndim - dims:])
    if grad.size and size:
        launch(scatter_add, grad.size // count, 2 * (size + count), out.reshape(-1), _flat(grad),
               _flat(indices), size, count)
    else:
        out.fill(0)


def max_unpool(out, x, indices, output_size):
    """out[plane, indices[plane, i]] = x[plane, i], zero elsewhere."""
    size, count = prod(output_size), prod(x.shape[x.ndim - len(output_size):])
    out.fill(0)
    bad = indices[(indices < 0) | (indices >= size)]
    if bad.size:
        sizes = "x".join(str(n) for n in (*output_size, *(1,) * (len(output_size) == 1)))
        raise RuntimeError(f"Found an invalid max index: {bad[0]} (output volumes are of size {sizes})")
    if x.size:
        places = indices.reshape(-1, count) + size * np.arange(x.size // count)[:, None]
        out.reshape(-1)[places.reshape(-1)] = x.reshape(-1)


def _average(out, x, dims, ranges):
    size, out_size = _three(x.shape[x.ndim - dims:]), _three(out.shape[out.ndim - dims:])
    if out.dtype.kind in "iu":
        # Integers: the sum divided towards zero.
        result = np.empty(out.shape, np.float64)
        _average(result, x, dims, ranges)
        np.copyto(out, np.trunc(result), casting="unsafe")
    elif out.size:
        launch(average_windows, out.size // prod(out_size), max(prod(size), prod(out_size)), out.reshape(-1),
               _flat(x), ranges, *size, *out_size)


def _spread(out, grad, dims, ranges):
    size, out_size = _three(out.shape[out.ndim - dims:]), _three(grad.shape[grad.ndim - dims:])
    if grad.size and out.size:
        launch(spread_windows, out.size // prod(size), prod(size) + prod(out_size), out.reshape(-1),
               _flat(grad), ranges, *size, *out_size)
    else:
        out.fill(0)


def _window_ranges(size, out_size, kernel_size, stride, padding, count_include_pad, divisor_override):
    return _average_ranges(_three(size), _three(out_size), _three(kernel_size), _three(stride),
                           _three(padding, 0), count_include_pad, divisor_override)


def avg_pool(out, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """out = the mean of each window (its sum divided by `divisor_override` if given)."""
    dims = len(kernel_size)
    _average(out, x, dims, _window_ranges(x.shape[-dims:], out.shape[-dims:], kernel_size, stride, padding,
                                          count_include_pad, divisor_override))


def avg_pool_input(out, grad, shape, kernel_size, stride, padding, ceil_mode, count_include_pad,
                   divisor_override):
    """Gradient of `avg_pool` with respect to x, of the given shape."""
    dims = len(kernel_size)
    _spread(out, grad, dims, _window_ranges(out.shape[-dims:], grad.shape[-dims:], kernel_size, stride,
                                            padding, count_include_pad, divisor_override))


def adaptive_avg_pool(out, x, output_size):
    """out = the mean of windows that divide the input into `output_size` parts."""
    dims = len(output_size)
    _average(out, x, dims, _adaptive_ranges(_three(x.shape[-dims:]), _three(output_size), 3))


def adaptive_avg_pool_input(out, grad, shape, dims):
    """Gradient of `adaptive_avg_pool` with respect to x, of the given shape."""
    _spread(out, grad, dims, _adaptive_ranges(_three(shape[-dims:]), _three(grad.shape[-dims:]), 3))
