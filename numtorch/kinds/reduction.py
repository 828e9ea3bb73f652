"""The reduction kind: `combine(acc, x)` over dimensions."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from .. import devices
from .. import dtypes as D
from ..autograd.modes import state
from ..casts import NAMES
from ..dispatch import (
    TITLES,
    Op,
    array_of,
    backend,
    compute_name,
    cpu,
    dims_of,
    fresh,
    into,
    no_overload,
    not_a_tensor,
    reduced_shape,
    register,
    remember,
)
from ..kernels import emit
from ..layouts import collapse, contiguous
from ..tensor import Tensor
from .promotion import DEFAULT, Kind

# Elements each first-phase item folds when one long row is split; fixed, so the result does not depend on
# threads.
CHUNK = 32_768


class Reduction(Op):
    """The body combines `(acc, x)`; dims drop out or stay as 1."""

    kind = "reduction"

    def __init__(self, body, vjp, at, name, dtype: Kind, init, finish, empty_error: str | None, cost: float,
                 before=None):
        super().__init__(body, None, at, name)
        self.params = ("x", "dim", "keepdim", "dtype")
        self.signature = inspect.Signature([
            inspect.Parameter(p, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=d)
            for p, d in (("x", inspect.Parameter.empty), ("dim", None), ("keepdim", False), ("dtype", None))])
        for key, rule in (vjp or {}).items():
            self.rules[key] = (rule, tuple(inspect.signature(rule).parameters))
        self.inputs = tuple(p for p in self.params if p in self.rules)
        self.fold = emit.Fold(body, init, finish, before)
        self.dtype, self.empty_error, self.cost = dtype, empty_error, cost
        self.plans: dict[tuple, tuple] = {}

    def __call__(self, *args, out=None, **kwargs):
        values = self.bind(args, kwargs)
        result = self.apply(values)
        return result if out is None else into(out, result, name=self.said)

    def apply(self, args: dict[str, Any]) -> Tensor:
        x, dim = args["x"], args["dim"]
        if not isinstance(x, Tensor):
            raise not_a_tensor(self.said, "input", x, 0)
        if state.tracer is not None:
            return state.tracer.call(self, args)
        if state.lazy is not None:
            args["dim"] = dim = state.lazy.settled(dim)
        if state.cast is not None and self.name in NAMES:
            return state.cast(lambda **args: self.apply(args), self.name, (), args)
        key = (x.layout.key, x.dtype, x.storage.device, tuple(dim) if isinstance(dim, list) else dim,
               args["keepdim"], args["dtype"])
        plan = self.plans.get(key)
        if plan is None:
            plan = remember(self.plans, key, self.plan(x, dim, args["keepdim"], args["dtype"]))
        dims, layout, kind, compute, launches = plan
        out = fresh(layout, kind, x.storage.device)
        if compute and state.lazy is not None and x.storage.device is cpu:
            state.lazy.fold(self, x, dims, args["keepdim"], args["dtype"], out)
        elif compute:
            o, a = array_of(out), array_of(x)
            if not launches:
                launches += self.launches(x, kind, dims, compute)
            for launch in launches:
                a = launch(o, a, x.layout.offset)
        if x._requires and state.grad and self.rules:
            args["dim"] = dims
            self.record(args, out)
        return out

    def plan(self, x: Tensor, dim, keepdim: bool, dtype: D.dtype | None):
        """(dimensions, layout and dtype of the result, the type computed in or "" where nothing is computed,
        the launches that compute it once they are known)."""
        dims = dims_of(self.name, dim, x.layout.ndim)
        compute, kind = self.dtype(x.dtype if dtype is None else dtype)
        if dtype is not None and dtype.category < D.FLOAT:
            compute = kind = dtype
        if compute.is_complex and self.fold.init in ("lowest", "highest"):
            extreme = "max" if self.fold.init == "lowest" else "min"
            raise NotImplementedError(f'"{extreme}_values_cpu" not implemented for '
                                      f"'{TITLES[compute.name]}'")
        if self.empty_error and x.layout.numel == 0:
            for d in dims:
                if x.layout.shape[d] == 0:
                    if dim is None:
                        raise RuntimeError(self.empty_error)
                    raise IndexError(f"{self.said}(): Expected reduction dim {d} to have non-zero size.")
        layout = contiguous(reduced_shape(x.layout.shape, dims, keepdim))
        idle = not layout.numel or x.storage.device is devices.meta
        return dims, layout, kind, "" if idle else compute_name(compute), []

    def launches(self, x: Tensor, kind: D.dtype, dims, compute: str) -> list[Callable]:
        """The kernel runs that reduce x: functions of (result array, input array, offset) that return the
        next input.

        The loop nest is chosen by strides: rows (each item folds its own elements), columns (neighbouring
        results are folded together, memory is read in order), or two phases for one long dense array."""
        shape, steps, device = x.layout.shape, x.layout.strides, x.storage.device
        kept = [i for i in range(len(shape)) if i not in dims]
        count = 1
        for d in dims:
            count *= shape[d]
        dense = contiguous(tuple(shape[i] for i in kept)).strides
        ksize, (kout, kx) = collapse([shape[i] for i in kept], [dense, [steps[i] for i in kept]])
        rsize, (rx,) = collapse([shape[i] for i in dims], [[steps[i] for i in dims]])
        if count == 0:
            rsize, rx = [0], [1]
        elif not rsize:
            rsize, rx = [1], [1]
        results = 1
        for n in ksize:
            results *= n
        run, memory, cost, name, fold = backend(device).run, x.dtype.name, self.cost, self.name, self.fold
        big = D.by_name[self.fold.total(compute)]
        tag = (self.kind, name, compute, memory, kind.name)
        X = lambda step: emit.Operand("x", memory, step)
        out = emit.Operand("out", kind.name)
        lanes = [k for k in range(len(ksize)) if kx[k] == 1]
        step = rx[-1] if rx[-1] in (0, 1) else -1
        nest = (*ksize[1:], *kout, *kx, count, *rsize, *rx[:-1], *([rx[-1]] if step == -1 else []))
        row = (*tag, "rows", len(ksize), len(rsize), step)
        if device.type == "cuda":  # blocks share the rows there; kernels/cuda/template.py chooses how
            across = bool(lanes) and rx[-1] != 1

            def shared(o, a, offset):
                backend(device).reduce(row, name, fold, X(step), out, compute, len(ksize), len(rsize),
                                       results, count, across, (o, a, 0, offset, *nest))
            return [shared]
        if lanes and rx[-1] != 1 and ksize[lanes[0]] >= 8:
            k = lanes[0]
            outer = [i for i in range(len(ksize)) if i != k]
            tiles = -(-ksize[k] // emit.TILE)
            items = tiles * results // ksize[k]
            fixed = (*[ksize[i] for i in outer[1:]], *[kout[i] for i in outer], *[kx[i] for i in outer],
                     count, tiles, ksize[k], kout[k], *rsize, *rx)
            make = lambda t: emit.reduce_columns(name, fold, X(1), out, compute, len(outer), len(rsize), t)
            per = cost * count * min(ksize[k], emit.TILE) * 2

            def columns(o, a, offset):
                total = backend(device).empty(results, big)
                run((*tag, "columns", len(outer), len(rsize)), make, items, per,
                    (o, a, total, 0, offset, *fixed))
            return [columns]
        if not ksize and len(rsize) == 1 and rx[0] == 1 and count > 2 * CHUNK:
            parts = -(-count // CHUNK)
            join = fold._replace(before=None)

            def chunks(o, a, offset):
                partial = backend(device).empty(parts, big)
                run((*tag, "chunks"), lambda t: emit.reduce_chunks(name, fold, X(1),
                                                                   emit.Operand("out", big.name), compute, t),
                    parts, cost * CHUNK, (partial, a, CHUNK, count, offset))
                return partial

            def rest(o, a, offset):
                run((*tag, "join"), lambda t: emit.reduce_rows(name, join, emit.Operand("x", big.name), out,
                                                               big.name, 0, 1, t),
                    1, cost * parts, (o, a, 0, 0, count, parts))
            return [chunks, rest]

        def rows(o, a, offset):
            run(row, lambda t: emit.reduce_rows(name, fold, X(step), out, compute, len(ksize), len(rsize), t),
                results, cost * max(count, 1), (o, a, 0, offset, *nest))
        return [rows]


def reduction(body: Callable | None = None, *, dtype: Kind = DEFAULT, vjp: dict[str, Callable] | None = None,
              init: Any, finish: Callable | None = None, before: Callable | None = None,
              at: Sequence[str] = ("torch", "Tensor"), name: str | None = None,
              empty_error: str | None = None, cost: float = 0.3):
    """Declare a reduction. `init`: start value or "lowest"/"highest"; `finish(acc, n)`; `before(x)` per
    element."""
    def declare(body: Callable) -> Callable:
        op = Reduction(body, vjp, at, name, dtype, init, finish, empty_error, cost, before)
        register(op)

        def call(input, dim=None, keepdim=False, *, dtype=None, out=None, **kwargs):
            if kwargs:
                dim = kwargs.pop("axis", dim)
                keepdim = kwargs.pop("keepdims", keepdim)
                if kwargs:
                    raise no_overload(op.said, (input,), kwargs)
            result = op.apply({"x": input, "dim": dim, "keepdim": keepdim, "dtype": dtype})
            return result if out is None else into(out, result, name=op.said)
        call.op, call.__name__, call.__doc__ = op, op.name, op.doc  # type: ignore[attr-defined]
        call.__qualname__, call.__module__ = op.name, body.__module__
        op.call = call
        return call
    return declare if body is None else declare(body)
