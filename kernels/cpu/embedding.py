"""Rows of a table by index, and the sum of gradients back into them."""
import numpy as np

from ..jit import kernel, launch


@kernel
def gather_rows(lo, hi, out, table, indices, width):
    """out[i, :] = table[indices[i], :]. Items are rows of out."""
    for i in range(lo, hi):
        source = indices[i] * width
        to = i * width
        for j in range(width):
            out[to + j] = table[source + j]


@kernel
def scatter_rows(lo, hi, out, g, indices, count, width):
    """out[indices[i], lo:hi] += g[i, lo:hi], i in order. Items are columns, so no two threads write the same
    place."""
    for i in range(count):
        to = indices[i] * width
        source = i * width
        for j in range(lo, hi):
            out[to + j] += g[source + j]


def _checked(indices, rows):
    """`indices` flat as int64; IndexError if one is outside 0 … rows - 1."""
    flat = np.ascontiguousarray(indices).reshape(-1)
    if flat.dtype != np.int64:
        flat = flat.astype(np.int64)
    if flat.size and (flat.min() < 0 or flat.max() >= rows):
        bad = flat[(flat < 0) | (flat >= rows)][0]
        raise IndexError(f"index out of range in self\nembedding: index {bad} in a table of {rows} rows")
    return flat


def embedding_rows(out, weight, indices, padding_idx=-1, scale_grad_by_freq=False):
    """out[..., :] = weight[indices[...], :]."""
    flat = _checked(indices, weight.shape[0])
    if out.size:
        width = weight.shape[1]
        launch(gather_rows, flat.size, 1 + width / 4, out.reshape(-1),
               np.ascontiguousarray(weight).reshape(-1), flat,
               width)


def embedding_weight(out, grad, indices, rows, padding_idx, scale_grad_by_freq):
    """out[r, :] = Σ of grad[i, :] where indices[i] = r, in order of i; each divided by r's count with
    `scale_grad_by_freq`; zero for r = padding_idx."""
    flat = _checked(indices, rows)
    out.fill(0)
    if grad.size == 0:
        return
    width = out.shape[1]
    grad = np.ascontiguousarray(grad).reshape(-1, width)
    if scale_grad_by_freq:
        counts = np.bincount(flat, minlength=rows)
        grad = np.ascontiguousarray((grad / counts[flat][:, None]).astype(out.dtype, copy=False))
    launch(scatter_rows, width, flat.size, out.reshape(-1), grad.reshape(-1), flat, flat.size, width)
    if padding_idx >= 0:
        out[padding_idx] = 0
