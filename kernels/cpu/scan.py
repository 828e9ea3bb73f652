"""Running sums, products and extremes along one dimension on the CPU. float32 is summed in float64."""

import math

import numpy as np

from ..jit import int64, kernel, launch


@kernel
def running_sum(lo, hi, out, x, count, width):
    "out[j] = x[0] + ... + x[j] along each line (outer, width); integers."
    for line in range(lo, hi):
        p = (line // width) * count * width + line % width
        total = int64(0)
        for _ in range(count):
            total += x[p]
            out[p] = total
            p += width


@kernel
def running_sum_float(lo, hi, out, x, count, width):
    "out[j] = x[0] + ... + x[j] along each line, in float64."
    for line in range(lo, hi):
        p = (line // width) * count * width + line % width
        total = 0.0
        for _ in range(count):
            total += x[p]
            out[p] = total
            p += width


@kernel
def running_product(lo, hi, out, x, count, width):
    "out[j] = x[0] * ... * x[j] along each line; integers."
    for line in range(lo, hi):
        p = (line // width) * count * width + line % width
        total = int64(1)
        for _ in range(count):
            total *= x[p]
            out[p] = total
            p += width


@kernel
def running_product_float(lo, hi, out, x, count, width):
    "out[j] = x[0] * ... * x[j] along each line, in float64."
    for line in range(lo, hi):
        p = (line // width) * count * width + line % width
        total = 1.0
        for _ in range(count):
            total *= x[p]
            out[p] = total
            p += width


@kernel
def running_logsumexp(lo, hi, out, x, count, width):
    "out[j] = log(exp(x[0]) + ... + exp(x[j])) along each line, relative to the largest value so far."
    for line in range(lo, hi):
        p = (line // width) * count * width + line % width
        top = -math.inf
        total = 0.0
        for _ in range(count):
            v = x[p] + 0.0
            if v != v or top != top:
                top = math.nan
                out[p] = math.nan
            else:
                if v > top:
                    total = 1.0 if top == -math.inf else total * math.exp(top - v) + 1.0
                    top = v
                elif v == math.inf:
                    total = 1.0
                elif v > -math.inf:
                    total += math.exp(v - top)
                out[p] = top + math.log(total) if total > 0.0 else -math.inf
            p += width


@kernel
def running_logsumexp_complex(lo, hi, out, x, count, width):
    """out[j] = log(exp(x[0]) + ... + exp(x[j])) along each line: the larger of the sum so far and the next,
    plus log(1 + exp(their difference)). The imaginary part is not brought back to (-pi, pi]."""
    for line in range(lo, hi):
        p = (line // width) * count * width + line % width
        total = complex(-math.inf, 0.0)
        for _ in range(count):
            v = x[p] + 0.0
            more, less = (v, total) if total.real < v.real else (total, v)
            if less.real > -math.inf:
                size = math.exp(less.real - more.real)
                a = size * math.cos(less.imag - more.imag)
                b = size * math.sin(less.imag - more.imag)
                more += complex(0.5 * math.log1p(2.0 * a + a * a + b * b), math.atan2(b, 1.0 + a))
            total = more
            out[p] = total
            p += width


@kernel
def running_largest(lo, hi, out, places, x, count, width):
    "out[j] = max(x[0..j]) and its last place along each line; NaN stays."
    for line in range(lo, hi):
        p = (line // width) * count * width + line % width
        best = x[p]
        place = 0
        for j in range(count):
            v = x[p]
            if best == best and not (v < best):
                best = v
                place = j
            elif v != v:
                place = j
            out[p] = best
            places[p] = place
            p += width


@kernel
def running_smallest(lo, hi, out, places, x, count, width):
    "out[j] = min(x[0..j]) and its last place along each line; NaN stays."
    for line in range(lo, hi):
        p = (line // width) * count * width + line % width
        best = x[p]
        place = 0
        for j in range(count):
            v = x[p]
            if best == best and not (v > best):
                best = v
                place = j
            elif v != v:
                place = j
            out[p] = best
            places[p] = place
            p += width


def _lines(x, dim):
    "(lines, count, width) along `dim`."
    if x.ndim == 0:
        return 1, 1, 1
    dim %= x.ndim
    width = math.prod(x.shape[dim + 1 :])
    return math.prod(x.shape[:dim]) * width, x.shape[dim], width


def _flat(x):
    return np.ascontiguousarray(x).reshape(-1)


def _run(out, x, dim, op, op_float, plain):
    if not out.size:
        return
    if out.dtype.kind == "c":
        plain(np.atleast_1d(x), axis=dim, out=np.atleast_1d(out))
        return
    lines, count, width = _lines(x, dim)
    flat = _flat(x.astype(out.dtype, copy=False))
    launch(op_float if out.dtype.kind == "f" else op, lines, count, out.reshape(-1), flat, count, width)


def cumsum(out, x, dim, dtype):
    _run(out, x, dim, running_sum, running_sum_float, np.cumsum)


def cumprod(out, x, dim, dtype):
    _run(out, x, dim, running_product, running_product_float, np.cumprod)


def logcumsumexp(out, x, dim):
    if out.size:
        lines, count, width = _lines(x, dim)
        op = running_logsumexp_complex if out.dtype.kind == "c" else running_logsumexp
        launch(op, lines, count * 20, out.reshape(-1), _flat(x), count, width)


def _extreme(op, out, places, x, dim):
    if out.size:
        if out.dtype == np.bool_:
            out, x = out.view(np.uint8), np.ascontiguousarray(x).view(np.uint8)
        lines, count, width = _lines(x, dim)
        launch(op, lines, count, out.reshape(-1), places.reshape(-1), _flat(x), count, width)


def running_max(out, places, x, dim):
    _extreme(running_largest, out, places, x, dim)


def running_min(out, places, x, dim):
    _extreme(running_smallest, out, places, x, dim)
