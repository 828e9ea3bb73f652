"""Negative log-likelihood of classes (x is (N, C, inner)) and of unaligned sequences (x is (T, N, C))."""
import math
from math import prod

import numpy as np

from ..jit import kernel, launch


@kernel
def pick(lo, hi, out, x, target, weight, classes, inner, ignored, weighted):
    """out[n, i] = -weight[t] x[n, t, i] with t = target[n, i]; 0 where t is `ignored`. Items are (n, i)."""
    n = lo // inner
    i = lo - n * inner
    for item in range(lo, hi):
        t = target[item]
        if t == ignored:
            out[item] = 0
        else:
            v = -x[(n * classes + t) * inner + i]
            if weighted:
                v = v * weight[t]
            out[item] = v
        i += 1
        if i == inner:
            i = 0
            n += 1


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


# Alignments of a target with `width` = 2 S + 1 states: a blank before, between and after its S labels. A
# state is reached from itself, the state before, and, where both are labels and differ, the one before that.
@kernel
def align_forward(lo, hi, loss, alpha, x, labels, starts, counts, steps, time, batch, classes, width,
                  blank):
    """alpha[n, t, s] = log Σ p(paths through x[0..t, n] that end in state s); loss = -log Σ p(full paths)."""
    for n in range(lo, hi):
        states = 2 * counts[n] + 1
        row = n * width * time
        last = -math.inf
        before = -math.inf
        for t in range(steps[n]):
            last = -math.inf
            for s in range(states):
                label = blank if s % 2 == 0 else labels[starts[n] + s // 2]
                a = -math.inf
                b = -math.inf
                c = -math.inf
                if t == 0:
                    if s < 2:
                        a = 0.0
                else:
                    at = row - width + s
                    a = alpha[at]
                    if s > 0:
                        b = alpha[at - 1]
                    if s > 1 and s % 2 == 1 and label != labels[starts[n] + s // 2 - 1]:
                        c = alpha[at - 2]
                top = max(a, max(b, c))
                if top > -math.inf:
                    top += math.log(math.exp(a - top) + math.exp(b - top) + math.exp(c - top))
                before = last
                last = top + x[(t * batch + n) * classes + label]
                alpha[row + s] = last
            row += width
        if steps[n] == 0:
            loss[n] = 0.0 if counts[n] == 0 else math.inf
        elif states == 1:
            loss[n] = -last
        else:
            top = max(last, before)
            loss[n] = -(top + math.log1p(math.exp(min(last, before) - top))) if top > -math.inf else math.inf


@kernel
def align_backward(lo, hi, out, beta, g, loss, alpha, x, labels, starts, counts, steps, time, batch, classes,
                   width, blank):
    """out[t, n, c] = g[n] (e^x - p(label c at time t | target)); `beta` holds a row of `width` per n.

    beta[s] = log Σ p(emissions after t | state s at t)."""
    for n in range(lo, hi):
        states = 2 * counts[n] + 1
        base = n * width
        for s in range(states):
            beta[base + s] = 0.0 if s >= states - 2 else -math.inf
        row = n * width * time + (steps[n] - 1) * width
        for back in range(steps[n]):
            t = steps[n] - 1 - back
            here = (t * batch + n) * classes
            for c in range(classes):
                out[here + c] = math.exp(x[here + c]) * g[n]
            for s in range(states):
                label = blank if s % 2 == 0 else labels[starts[n] + s // 2]
                if back > 0:
                    after = here + batch * classes
                    a = beta[base + s] + x[after + label]
                    b = -math.inf
                    c2 = -math.inf
                    if s + 1 < states:
                        to = blank if s % 2 == 1 else labels[starts[n] + s // 2]
                        b = beta[base + s + 1] + x[after + to]
                    if s + 2 < states and s % 2 == 1:
                        to = labels[starts[n] + s // 2 + 1]
                        if to != label:
                            c2 = beta[base + s + 2] + x[after + to]
                    top = max(a, max(b, c2))
                    if top > -math.inf:
                        top += math.log(math.exp(a - top) + math.exp(b - top) + math.exp(c2 - top))
                    beta[base + s] = top
                out[here + label] -= math.exp(alpha[row + s] + beta[base + s] + loss[n]) * g[n]
            row -= width


def _alignment(targets, input_lengths, target_lengths, classes):
    """(labels, where each target starts among them, their lengths, steps), flat int64."""
    labels = np.ascontiguousarray(targets).reshape(-1).astype(np.int64)
    counts, steps = np.array(target_lengths, np.int64), np.array(input_lengths, np.int64)
    starts = np.arange(counts.size) * targets.shape[1] if targets.ndim == 2 else np.cumsum(counts) - counts
    used = [labels[s:s + c] for s, c in zip(starts, counts)]
    if any(u.size and (u.min() < 0 or u.max() >= classes) for u in used):
        raise IndexError(f"ctc_loss: a target label is outside of the {classes} classes")
    return labels, starts, counts, steps


def ctc_terms(loss, alpha, x, targets, input_lengths, target_lengths, blank, zero_infinity):
    """loss[n] = -log p(target n | x[:, n]); alpha as `align_forward`."""
    time, batch, classes = x.shape
    launch(align_forward, batch, time * alpha.shape[2] * 40, loss, alpha.reshape(-1),
           np.ascontiguousarray(x).reshape(-1), *_alignment(targets, input_lengths, target_lengths, classes),
           time, batch, classes, alpha.shape[2], blank)


def ctc_input(out, grad, x, loss, alpha, targets, input_lengths, target_lengths, blank, zero_infinity):
    """Gradient of `ctc_terms` with respect to the activations whose log_softmax is x; 0 after the input's
    end."""
    time, batch, classes = x.shape
    out.fill(0)
    lost = np.isinf(loss)
    g = np.where(lost, 0, grad).astype(out.dtype)
    launch(align_backward, batch, time * alpha.shape[2] * 40, out.reshape(-1),
           np.empty(batch * alpha.shape[2]), g, loss, alpha.reshape(-1), np.ascontiguousarray(x).reshape(-1),
           *_alignment(targets, input_lengths, target_lengths, classes), time, batch, classes, alpha.shape[2],
           blank)
    for n in np.flatnonzero(lost):  # no path gives the target: its probability has no slope
        out[:input_lengths[n], n] = 0 if zero_infinity else np.nan
