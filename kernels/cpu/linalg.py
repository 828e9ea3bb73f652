"""Matrix products on the CPU.

Floats go to NumPy's BLAS, which takes transposed operands without copying them. Integer products whose
partial sums stay below 2^53 are computed exactly by the float64 BLAS; the others by a kernel that wraps
around as C does.
"""

import math

import numpy as np

from ..jit import kernel, launch


@kernel
def integer_matmul(lo, hi, out, a, b, rows, inner, columns):
    "out[r, :] = sum_k a[r, k] * b[batch, k, :], wrapping; r counts the rows of all batches."
    for r in range(lo, hi):
        base = r * columns
        for c in range(columns):
            out[base + c] = 0
        right = (r // rows) * inner * columns
        for k in range(inner):
            scale = a[r * inner + k]
            row = right + k * columns
            for c in range(columns):
                out[base + c] += scale * b[row + c]


@kernel
def minkowski(lo, hi, out, a, b, rows, columns, width, p):
    """out[r, c] = (sum_k |a[r, k] - b[batch, c, k]|^p)^(1/p), rows r of all batches; p 0 counts, inf takes
    the largest."""
    for r in range(lo, hi):
        right = (r // rows) * columns * width
        for c in range(columns):
            total = 0.0
            left = r * width
            other = right + c * width
            if p == 2.0:
                for k in range(width):
                    d = abs(a[left + k] - b[other + k])
                    total += d * d
                total = math.sqrt(total)
            elif p == 1.0:
                for k in range(width):
                    total += abs(a[left + k] - b[other + k])
            elif p == 0.0:
                for k in range(width):
                    total += 1.0 if a[left + k] - b[other + k] != 0.0 else 0.0
            elif p == math.inf:
                for k in range(width):
                    d = abs(a[left + k] - b[other + k])
                    total = d if d > total or d != d else total
            else:
                for k in range(width):
                    total += abs(a[left + k] - b[other + k]) ** p
                total = total ** (1.0 / p)
            out[r * columns + c] = total


_EXACT = 2.0**53


def _reach(x):
    "The largest magnitude in an integer array, as a float."
    return max(-float(x.min()), float(x.max()), 0.0)


def _integer_product(out, a, b):
    inner = a.shape[-1]
    if not out.size or not inner:
        out[...] = 0
        return
    if inner * _reach(a) * _reach(b) < _EXACT:
        out[...] = np.matmul(a.astype(np.float64), b.astype(np.float64)).astype(np.int64)
        return
    batch = out.shape[:-2]
    rows, columns = out.shape[-2:]
    wide = np.empty(out.shape, out.dtype)
    left = np.ascontiguousarray(np.broadcast_to(a, batch + (rows, inner))).reshape(-1)
    right = np.ascontiguousarray(np.broadcast_to(b, batch + (inner, columns))).reshape(-1)
    items, cost = wide.size // columns, inner * columns
    launch(integer_matmul, items, cost, wide.reshape(-1), left, right, rows, inner, columns)
    out[...] = wide


def _foldable(a):
    "Whether the leading dimensions of `a` merge into one without a copy."
    step = a.strides[-2]
    for n, s in zip(reversed(a.shape[:-1]), reversed(a.strides[:-1])):
        if n != 1 and s != step:
            return False
        step *= n
    return True


def product(out, a, b):
    "out = a @ b for arrays of two or more dimensions, broadcast over the leading ones."
    if out.dtype.kind not in "fc":
        _integer_product(out, a, b)
    elif b.ndim == 2 and a.ndim > 2 and a.size and out.size and out.flags.c_contiguous and _foldable(a):
        rows = math.prod(a.shape[:-1])
        np.matmul(a.reshape(rows, a.shape[-1]), b, out=out.reshape(rows, out.shape[-1]))
    else:
        np.matmul(a, b, out=out)


def batched_matmul(out, a, b):
    product(out, a, b)


def mm(out, a, b):
    product(out, a, b)


def bmm(out, a, b):
    product(out, a, b)


def mv(out, a, x):
    product(out[:, None], a, x[:, None])


def dot(out, x, y):
    if out.dtype.kind in "fc":
        out[...] = np.dot(x, y)
    else:
        product(out.reshape(1, 1), x[None, :], y[:, None])


def _scaled(out, c, beta, alpha):
    "out = beta * c + alpha * out; beta 0 ignores c, NaN included."
    if alpha != 1:
        np.multiply(out, np.asarray(alpha).astype(out.dtype), out=out)
    if beta == 1:
        np.add(out, c, out=out)
    elif beta != 0:
        np.add(out, np.multiply(c, np.asarray(beta).astype(out.dtype)), out=out)


def addmm(out, c, a, b, beta, alpha):
    product(out, a, b)
    _scaled(out, c, beta, alpha)


def baddbmm(out, c, a, b, beta, alpha):
    product(out, a, b)
    _scaled(out, c, beta, alpha)


def addmv(out, c, a, x, beta, alpha):
    product(out[:, None], a, x[:, None])
    _scaled(out, c, beta, alpha)


def addbmm(out, c, a, b, beta, alpha):
    """out = beta * c + alpha * sum over the batch of a @ b: one product, the batch folded into the inner
    dimension."""
    inner = a.shape[0] * a.shape[2]
    product(out, a.transpose(1, 0, 2).reshape(a.shape[1], inner), b.reshape(inner, b.shape[2]))
    _scaled(out, c, beta, alpha)


def pair_distances(out, a, b, p):
    "Distances between the rows of a (..., P, M) and of b (..., R, M) in the p-norm."
    batch, rows, columns, width = out.shape[:-2], out.shape[-2], out.shape[-1], a.shape[-1]
    if out.size:
        left = np.ascontiguousarray(np.broadcast_to(a, batch + (rows, width))).reshape(-1)
        right = np.ascontiguousarray(np.broadcast_to(b, batch + (columns, width))).reshape(-1)
        items, cost = out.size // columns, columns * width * 4
        launch(minkowski, items, cost, out.reshape(-1), left, right, rows, columns, width, float(p))
