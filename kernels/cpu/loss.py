"""Negative log-likelihood: the picked terms, their reduction, and the gradient's scatter. x is (N, C,
inner)."""
from math import prod

import numpy as np

from ..jit import kernel, launch


@kernel
def pick(lo, hi, out, x, target, weight, classes, inner, ignored, weighted):
    """out[n, i] = -weight[t] x[n, t, i] with t = target[n, i]; 0 where t is `ignored`. Items are (n, i)."""
    for item in range(lo, hi):
        t = target[item]
        if t == ignored:
            out[item] = 0
        else:
            v = -x[(item // inner * classes + t) * inner + item % inner]
            if weighted:
                v = v * weight[t]
            out[item] = v


@kernel
def place(lo, hi, out, scale, target, weight, classes, inner, ignored, weighted, step):
    """out[n, c, i] = -weight[c] scale[n, i] where c = target[n, i], else 0; `step` 0: one scale for all.

    Items are n."""
    for n in range(lo, hi):
        base = n * classes * inner
        for i in range(classes * inner):
            out[base + i] = 0
        for i in range(inner):
            t = target[n * inner + i]
            if t != ignored:
                v = -scale[(n * inner + i) * step]
                if weighted:
                    v = v * weight[t]
                out[base + t * inner + i] = v


def _prepared(x_shape, target, weight, ignore_index, dtype):
    """(target flat as int64, weight, inner); IndexError for a class that is neither in range nor ignored."""
    classes = x_shape[0] if len(x_shape) == 1 else x_shape[1]
    target = np.ascontiguousarray(target).reshape(-1)
    if target.dtype != np.int64:
        target = target.astype(np.int64)
    if target.size and (target.min() < 0 or target.max() >= classes):
        bad = target[(target != ignore_index) & ((target < 0) | (target >= classes))]
        if bad.size:
            raise IndexError(f"Target {bad[0]} is out of bounds.\nnll_loss: classes 0 to {classes - 1}")
    if weight is not None:
        weight = np.ascontiguousarray(weight, dtype)
    return target, weight, classes, prod(x_shape[2:])


def nll_loss_terms(out, total, x, target, weight, reduction, ignore_index):
    """out = reduced -weight[t] x[n, t]; total = Σ weight[t] over the targets that count."""
    target, weight, classes, inner = _prepared(x.shape, target, weight, ignore_index, x.dtype)
    if reduction == "none":
        terms = out.reshape(-1)
    else:
        terms = np.empty(target.size, x.dtype)
    if target.size:
        launch(pick, target.size, 4, terms, np.ascontiguousarray(x).reshape(-1), target,
               terms if weight is None else weight, classes, inner, ignore_index, weight is not None)
    if reduction == "none":
        total.fill(0)
        return
    if weight is None:
        total[...] = target.size - np.count_nonzero(target == ignore_index)
    else:
        total[...] = weight[target[target != ignore_index]].sum()
    if reduction == "mean":
        with np.errstate(invalid="ignore", divide="ignore"):
            out[...] = np.divide(terms.sum(), total)
    else:
        out[...] = terms.sum()


def nll_loss_input(out, grad, target, weight, total, shape, reduction, ignore_index):
    """Gradient of `nll_loss_terms` with respect to x."""
    target, weight, classes, inner = _prepared(shape, target, weight, ignore_index, out.dtype)
    if reduction == "mean":
        with np.errstate(invalid="ignore", divide="ignore"):
            scale = np.divide(grad, total)
    else:
        scale = grad
    scale = np.ascontiguousarray(scale, out.dtype).reshape(-1)
    if out.size:
        images = 1 if len(shape) == 1 else shape[0]
        launch(place, images, classes * inner, out.reshape(-1), scale, target,
               scale if weight is None else weight,
               classes, inner, ignore_index, weight is not None, int(reduction == "none"))


def binary_cross_entropy_terms(out, x, target):
    """out = -(target log x + (1 - target) log(1 - x)), each logarithm at least -100."""
    for name, values in (("input", x), ("target", target)):
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            raise RuntimeError(f"all elements of {name} should be between 0 and 1\n"
                               f"binary_cross_entropy: {name} goes from {values.min()} to {values.max()}")
    with np.errstate(divide="ignore"):
        yes, no = np.maximum(np.log(x), -100), np.maximum(np.log1p(-x), -100)
    out[...] = (target - 1) * no - target * yes
