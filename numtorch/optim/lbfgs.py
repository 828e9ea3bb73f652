"""L-BFGS with an optional strong-Wolfe line search."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import Tensor, cat, enable_grad, no_grad, view_as_complex, view_as_real
from .optimizer import Optimizer, check_lr

__all__ = ["LBFGS"]


class _Point(NamedTuple):
    "A point on the search line: its place, the loss, the gradient, the slope along the line."

    t: Any
    loss: float
    grad: Any
    slope: Any


def _cubic(a: _Point, b: _Point, bounds: tuple | None = None) -> Any:
    """Where the cubic through the values and slopes of `a` and `b` is least within `bounds` (default:
    between them).

    Source: Nocedal & Wright, Numerical Optimization, 2nd ed., equation 3.59. Without a real minimum: the
    middle.
    """
    if bounds is not None:
        low, high = bounds
    else:
        low, high = (a.t, b.t) if a.t <= b.t else (b.t, a.t)
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2.0
    d2 = math.sqrt(square)
    if a.t > b.t:
        a, b = b, a
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(t, low), high)


def _strong_wolfe(at: Callable[[Any], _Point], start: _Point, t: Any, reach: Any, tolerance: float = 1e-9,
                  c1: float = 1e-4, c2: float = 0.9, most: int = 25) -> tuple[_Point, int]:
    """Find a point with loss <= start.loss + c1 t slope and |slope| <= c2 |start.slope|; return it and the
    evaluations.

    at: evaluates the line at t. reach: largest component of the direction, by which `tolerance` is scaled.
    Source: Nocedal & Wright, algorithms 3.5 and 3.6, with the safeguards of Schmidt's minFunc.
    """
    slope = start.slope

    def too_high(x: _Point) -> bool:
        return x.loss > start.loss + c1 * x.t * slope

    def flat(x: _Point) -> bool:
        return abs(x.slope) <= -c2 * slope

    # Bracket: go outwards until a minimum must lie between `before` and `x`.
    before, x = start, at(t)
    evals, turns, done = 1, 0, False
    while turns < most:
        if too_high(x) or (turns > 1 and x.loss >= before.loss):
            break
        if flat(x):
            before, done = x, True
            break
        if x.slope >= 0:
            break
        t = _cubic(before, x, (x.t + 0.01 * (x.t - before.t), x.t * 10))
        before, x = x, at(t)
        evals += 1
        turns += 1
    else:
        before = start

    # Zoom: shrink the bracket between the lower end `low` and the higher end `high`.
    low, high = (before, x) if before.loss <= x.loss else (x, before)
    stuck = False
    while not done and turns < most:
        width = abs(high.t - low.t)
        if width * reach < tolerance:
            break
        left, right = min(low.t, high.t), max(low.t, high.t)
        t = _cubic(before, x)
        edge = 0.1 * (right - left)
        if min(right - t, t - left) < edge:  # too close to an end: next time keep a tenth away from it
            if stuck or t >= right or t <= left:
                t = right - edge if abs(t - right) < abs(t - left) else left + edge
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        new = at(t)
        evals += 1
        turns += 1
        first = before is low
        if too_high(new) or new.loss >= low.loss:
            high = new
            before, x = (low, high) if first else (high, low)
            if before.loss <= x.loss:
                low, high = before, x
            else:
                low, high = x, before
        else:
            if flat(new):
                done = True
            elif new.slope * (high.t - low.t) >= 0:
                high = low
            low = new
            before, x = (low, high) if first else (high, low)
    return low, evals


class LBFGS(Optimizer):
    r"""Minimise by Newton steps whose inverse Hessian is built from the last `history_size` changes of the
    gradient.

    One parameter group only; `step` needs the closure and calls it up to `max_eval` times. line_search_fn:
    None or "strong_wolfe". Stops where the largest gradient component is at most tolerance_grad, or the loss
    or every parameter changes by less than tolerance_change. Source: Nocedal & Wright, Numerical
    Optimization, 2nd ed., algorithm 7.5.
    """

    def __init__(self, params: Any, lr: float | Tensor = 1, max_iter: int = 20, max_eval: int | None = None,
                 tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
                 line_search_fn: str | None = None) -> None:
        check_lr(lr)
        if max_eval is None:
            max_eval = max_iter * 5 // 4
        super().__init__(params, dict(
            lr=lr, max_iter=max_iter, max_eval=max_eval, tolerance_grad=tolerance_grad,
            tolerance_change=tolerance_change, history_size=history_size, line_search_fn=line_search_fn))
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @property
    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]

    def _gradient(self) -> Tensor:
        parts = []
        for p in self._params:
            g = p.new_zeros(p.numel()) if p.grad is None else p.grad.reshape(-1)
            parts.append(view_as_real(g).reshape(-1) if g.dtype.is_complex else g)
        return cat(parts, 0)

    def _move(self, t: Any, d: Tensor) -> None:
        "p += t d for all parameters, d flat."
        at = 0
        for p in self._params:
            n = p.numel() * (2 if p.dtype.is_complex else 1)
            part = d[at:at + n]
            part = view_as_complex(part.view(-1, 2)).view_as(p) if p.dtype.is_complex else part.view_as(p)
            p.add_(part, alpha=t)
            at += n

    @no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:
        """Take up to `max_iter` iterations; return the loss before the first."""
        group = self.param_groups[0]
        lr, most, max_eval = float(group["lr"]), group["max_iter"], group["max_eval"]
        tolerance_change, size = group["tolerance_change"], group["history_size"]
        state = self.state[self._params[0]]  # one state, kept under the first parameter as PyTorch does
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        def evaluate() -> Any:
            with enable_grad():
                return closure()

        first = evaluate()
        loss = float(first)
        evals = 1
        state["func_evals"] += 1
        g = self._gradient()
        done = bool(g.abs().max() <= group["tolerance_grad"])
        if done:
            return first

        d, t = state.get("d"), state.get("t")
        ys, ss, ro = state.get("old_dirs"), state.get("old_stps"), state.get("ro")
        scale, last_g, last_loss = state.get("H_diag"), state.get("prev_flat_grad"), state.get("prev_loss")
        n = 0
        while n < most:
            n += 1
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                d, ys, ss, ro, scale = g.neg(), [], [], [], 1
            else:
                y, s = g.sub(last_g), d.mul(t)
                curvature = y.dot(s)
                if curvature > 1e-10:
                    if len(ys) == size:
                        ys.pop(0), ss.pop(0), ro.pop(0)
                    ys.append(y)
                    ss.append(s)
                    ro.append(1.0 / curvature)
                    scale = curvature / y.dot(y)
                al = state.setdefault("al", [None] * size)
                q = g.neg()
                for i in reversed(range(len(ys))):
                    al[i] = ss[i].dot(q) * ro[i]
                    q.add_(ys[i] * -al[i])
                d = q.mul(scale)
                for i in range(len(ys)):
                    d.add_(ss[i] * (al[i] - ys[i].dot(d) * ro[i]))
            last_g, last_loss = g.clone(), loss
            t = min(1.0, 1.0 / g.abs().sum().item()) * lr if state["n_iter"] == 1 else lr
            slope = g.dot(d)
            if slope > -tolerance_change:
                break
            used = 0
            if group["line_search_fn"] is not None:
                if group["line_search_fn"] != "strong_wolfe":
                    raise RuntimeError("only 'strong_wolfe' is supported")
                start = [p.clone() for p in self._params]

                def at(t: Any, d: Tensor = d, start: list = start) -> _Point:
                    self._move(t, d)
                    value = float(evaluate())
                    grad = self._gradient()
                    for p, x in zip(self._params, start):
                        p.copy_(x)
                    return _Point(t, value, grad, grad.dot(d).item())

                found, used = _strong_wolfe(at, _Point(0, loss, g.clone(), slope.item()), t,
                                            d.abs().max().item())
                t, loss, g = found.t, found.loss, found.grad
                self._move(t, d)
                done = bool(g.abs().max() <= group["tolerance_grad"])
            else:
                self._move(t, d)
                if n != most:  # the values at the end are those the next step starts by computing
                    loss = float(evaluate())
                    g = self._gradient()
                    done = bool(g.abs().max() <= group["tolerance_grad"])
                    used = 1
            evals += used
            state["func_evals"] += used
            if (n == most or evals >= max_eval or done or bool(d.mul(t).abs().max() <= tolerance_change)
                    or abs(loss - last_loss) < tolerance_change):
                break
        state.update(d=d, t=t, old_dirs=ys, old_stps=ss, ro=ro, H_diag=scale, prev_flat_grad=last_g,
                     prev_loss=last_loss)
        return first
