"""Derivatives of functions: vjp, jvp, jacobian, hessian, hvp, vhp."""
from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .engine import grad
from .modes import enable_grad


def _tuple(x, what: str, fn: str) -> tuple[bool, tuple]:
    many = isinstance(x, tuple)
    out = x if many else (x,)
    for i, t in enumerate(out):
        if not isinstance(t, Tensor):
            raise TypeError(f"The {what} given to {fn} must be either a Tensor or a tuple of Tensors but the "
                            f"value at index {i} has type {type(t)}.")
    return many, out


def _leaves(inputs: tuple, create_graph: bool) -> tuple:
    """The inputs as fresh variables to differentiate by (connected to the originals under create_graph)."""
    out = []
    for t in inputs:
        if create_graph and t.requires_grad:
            out.append(t.view_as(t))
        else:
            out.append(t.detach().requires_grad_())
    return tuple(out)


def _zero(g, like, strict: bool, i: int):
    if g is None:
        if strict:
            raise RuntimeError(f"Output is independent of input {i}. This is not allowed in strict mode.")
        from ..ops.create import zeros_like
        return zeros_like(like)
    return g


def _finish(values, create_graph: bool):
    return values if create_graph else tuple(v.detach() for v in values)


def vjp(func, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """(func(inputs), vᵀ · J)."""
    with enable_grad():
        many, xs = _tuple(inputs, "inputs", "vjp")
        xs = _leaves(xs, create_graph)
        many_out, ys = _tuple(func(*xs), "outputs of the user-provided function", "vjp")
        if v is None:
            if len(ys) != 1 or ys[0].numel() != 1:
                raise RuntimeError("The vector v can only be None if the user-provided function returns a "
                                   "single Tensor with a single element.")
            vs: Any = None
        else:
            vs = v if isinstance(v, tuple) else (v,)
        gs: Any = [None] * len(xs)
        if any(y.requires_grad for y in ys):
            gs = grad([y for y in ys if y.requires_grad], xs,
                      None if vs is None else [w for y, w in zip(ys, vs) if y.requires_grad],
                      create_graph=create_graph, allow_unused=True)
        gs = tuple(_zero(g, x, strict, i) for i, (g, x) in enumerate(zip(gs, xs)))
    ys, gs = _finish(ys, create_graph), _finish(gs, create_graph)
    return (ys if many_out else ys[0]), (gs if many else gs[0])


def jvp(func, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """(func(inputs), J · v), by differentiating the vjp by its cotangent."""
    with enable_grad():
        many, xs = _tuple(inputs, "inputs", "jvp")
        xs = _leaves(xs, create_graph)
        many_out, ys = _tuple(func(*xs), "outputs of the user-provided function", "jvp")
        from ..ops.create import ones_like, zeros_like
        if v is None:
            if len(xs) != 1 or xs[0].numel() != 1:
                raise RuntimeError("The vector v can only be None if the input to the user-provided function "
                                   "is a single Tensor with a single element.")
            vs: tuple = (ones_like(xs[0]),)
        else:
            vs = v if isinstance(v, tuple) else (v,)
        dummies = tuple(zeros_like(y).requires_grad_() for y in ys)
        live = [(y, d) for y, d in zip(ys, dummies) if y.requires_grad]
        gs: Any = [None] * len(xs)
        if live:
            gs = grad([y for y, _ in live], xs, [d for _, d in live], create_graph=True, allow_unused=True)
        gs = [_zero(g, x, strict, i) for i, (g, x) in enumerate(zip(gs, xs))]
        pairs = [(g, w) for g, w in zip(gs, vs) if g.requires_grad]
        out: Any = [None] * len(dummies)
        if pairs:
            out = grad([g for g, _ in pairs], dummies, [w for _, w in pairs], create_graph=create_graph,
                       allow_unused=True)
        ts = tuple(_zero(g, y, strict, i) for i, (g, y) in enumerate(zip(out, ys)))
    ys, ts = _finish(ys, create_graph), _finish(ts, create_graph)
    return (ys if many_out else ys[0]), (ts if many_out else ts[0])


def jacobian(func, inputs, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
             strategy: str = "reverse-mode"):
    """The Jacobian: for each output and input a tensor of shape output.shape + input.shape."""
    with enable_grad():
        many, xs = _tuple(inputs, "inputs", "jacobian")
        xs = _leaves(xs, create_graph)
        many_out, ys = _tuple(func(*xs), "outputs of the user-provided function", "jacobian")
        from ..ops.create import zeros, zeros_like
        from ..ops.join import stack
        rows: list[tuple] = []
        for k, y in enumerate(ys):
            columns: list[list] = [[] for _ in xs]
            for i in range(y.numel()):
                if y.requires_grad:
                    gs = grad([y.reshape(-1)[i]], xs, retain_graph=True, create_graph=create_graph,
                              allow_unused=True)
                else:
                    if strict:
                        raise RuntimeError(f"Output {k} of the user-provided function does not require "
                                           "gradients. The outputs must be computed in a differentiable "
                                           "manner from the input when running in strict mode.")
                    gs = (None,) * len(xs)
                for j, (g, x) in enumerate(zip(gs, xs)):
                    if g is None and strict:
                        raise RuntimeError(f"Output {k} of the user-provided function is independent of "
                                           f"input {j}. This is not allowed in strict mode.")
                    columns[j].append(zeros_like(x) if g is None else g)
            flat = [stack(c) if c else zeros((0, *x.shape), dtype=x.dtype) for c, x in zip(columns, xs)]
            rows.append(tuple(j.reshape((*y.shape, *x.shape)) for j, x in zip(flat, xs)))
    rows = [_finish(r, create_graph) for r in rows]
    if many_out:
        return tuple(r if many else r[0] for r in rows)
    return rows[0] if many else rows[0][0]


def hessian(func, inputs, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
            outer_jacobian_strategy: str = "reverse-mode"):
    """The Hessian of a function with one number as its result."""
    many, _ = _tuple(inputs, "inputs", "hessian")

    def gradient(*xs):
        y = func(*xs)
        if not isinstance(y, Tensor):
            raise RuntimeError("The function given to hessian should return a single Tensor")
        if y.numel() != 1:
            raise RuntimeError("The Tensor returned by the function given to hessian should contain a single "
                               "element")
        got = jacobian(lambda *a: func(*a).reshape(()), xs, create_graph=True, strict=strict)
        return got if many else got[0]
    return jacobian(gradient, inputs, create_graph=create_graph, strict=strict)


def vhp(func, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """(func(inputs), vᵀ · H)."""
    with enable_grad():
        many, xs = _tuple(inputs, "inputs", "vhp")
        xs = _leaves(xs, create_graph)
        y = func(*xs)
        from ..ops.create import ones_like
        vs = (ones_like(xs[0]),) if v is None else v if isinstance(v, tuple) else (v,)
        gs = [_zero(g, x, strict, i) for i, (g, x) in enumerate(zip(
            grad(y, xs, create_graph=True, allow_unused=True), xs))]
        pairs = [(g, w) for g, w in zip(gs, vs) if g.requires_grad]
        out: Any = [None] * len(xs)
        if pairs:
            out = grad([g for g, _ in pairs], xs, [w for _, w in pairs], create_graph=create_graph,
                       allow_unused=True)
        hs = tuple(_zero(g, x, strict, i) for i, (g, x) in enumerate(zip(out, xs)))
    (y,), hs = _finish((y,), create_graph), _finish(hs, create_graph)
    return y, (hs if many else hs[0])


hvp = vhp  # the Hessian is symmetric
