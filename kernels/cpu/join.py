"""Joining and rearranging on the CPU: plain copies, which NumPy does at memory speed."""

import numpy as np


def concatenate_tensors(out, tensors, dim):
    kept = [t for t in tensors if t.ndim != 1 or t.shape[0]]
    if kept:
        np.concatenate(kept, axis=dim, out=out)


def stack_tensors(out, tensors, dim):
    if not out.size:
        return
    if tensors[0].ndim == 0:
        out[...] = tensors
    elif dim % out.ndim == 0:  # one copy after the other: no array needs a new axis
        np.concatenate(tensors, axis=0, out=out.reshape((-1,) + tensors[0].shape[1:]))
    else:
        np.stack(tensors, axis=dim, out=out)


def reverse(out, x, dims):
    out[...] = np.flip(x, dims) if dims else x


def rolled(out, x, shifts, dims):
    out[...] = np.roll(x, shifts, dims)


def repeated_places(repeats):
    if repeats.size and repeats.min() < 0:
        raise RuntimeError("repeats can not be negative\n"
                           f"repeat_interleave: repeats holds {int(repeats.min())}")
    return np.repeat(np.arange(repeats.size), repeats)
