"""The composite kind: Python over other ops."""
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .. import dtypes as D
from ..autograd.engine import stamp_of
from ..autograd.modes import state
from ..dispatch import (
    Op,
    check_apart,
    into,
    public_function,
    register,
    remember,
)
from ..kernels import jit
from ..tensor import Tensor
from .memory import Memory, rowmajor


class Composite(Op):
    """The body is Python over other ops. With `vjp`, its parts are not recorded and the rule is used
    instead."""

    kind = "composite"

    def __init__(self, body, vjp, at, name, fuse: bool, apart: bool, exact: bool,
                 memory: Memory | tuple[Memory | None, ...] | None = None):
        super().__init__(body, vjp, at, name)
        if memory is not None:
            self.plain, self.memory = body, memory
            self.body = functools.wraps(body)(lambda *args, **kwargs: self.laid(args, kwargs))
        self.fuse, self.apart, self.exact = fuse, apart, exact
        self.plans: dict[tuple, Any] = {}

    memory: Memory | tuple[Memory | None, ...] | None = None

    def laid(self, args: tuple, kwargs: dict[str, Any]):
        """The body's results, copied where the memory rule wants another order."""
        result = self.plain(*args, **kwargs)
        memory = self.memory
        if memory is rowmajor and isinstance(result, Tensor) and result.layout.contiguous:
            return result
        values = dict(zip(self.params, args)) | kwargs
        if isinstance(result, Tensor) and not isinstance(memory, tuple):
            return _laid(result, memory, values)
        rules = memory if isinstance(memory, tuple) else (memory,) * len(result)
        outs = [_laid(t, r, values) for t, r in zip(result, rules)]
        return type(result)(outs)

    def value(self, args: dict[str, Any]):
        """The body's value: one kernel where the entry is fused, else its parts."""
        if not self.fuse or state.tracer is not None or state.lazy is not None:
            return self.body(**args)
        key: list = [D._default]
        tensors: list[Tensor] = []
        for v in args.values():
            if isinstance(v, tuple):
                key.append(len(v))
            for x in v if isinstance(v, tuple) else (v,):
                if isinstance(x, Tensor):
                    tensors.append(x)
                    key += (x.layout.key if not x.layout.offset else -x.layout.key, x.dtype, x.storage.device)
                else:
                    key += (type(x), repr(x))  # 1, 1.0 and True, 0.0 and -0.0 are different numbers
        plan = self.plans.get(tuple(key))
        if plan is None:
            from ..compiler.fuse import Fused, Untraceable
            try:
                plan = Fused(_bound(self.body, args), tensors)
            except Untraceable as e:
                plan = e
                if jit.DEBUG:
                    import sys
                    print(f"numtorch: {self.name} runs as its parts: {e}", file=sys.stderr)
            remember(self.plans, tuple(key), plan)
        if isinstance(plan, Exception):
            return self.body(**args)
        return plan.run(tensors)

    def __call__(self, *args, out=None, **kwargs):
        if out is not None and self.apart:
            check_apart(out, [*args, *kwargs.values()])
        if self.rules or self.fuse:
            result = self.apply(self.bind(args, kwargs))
        else:
            if kwargs:
                kwargs = {self.renamed(k): v for k, v in kwargs.items()}
            result = self.body(*args, **kwargs)
        if out is None:
            return result
        return into(out, result, self.exact, self.said, (*args, *kwargs.values()))

    def apply(self, args: dict[str, Any]):
        if state.tracer is not None and state.tracer.batches:
            return state.tracer.call(self, args)
        if not state.grad or not any([isinstance(x, Tensor) and x._requires for v in args.values()
                                      for x in (v if type(v) is tuple else (v,))]):
            return self.value(args)
        if not self.rules:
            return self.body(**args)  # its parts have gradients
        state.grad = False
        try:
            result = self.value(args)
        finally:
            state.grad = True
        if isinstance(result, Tensor) and any(result is v for v in args.values()):
            result = result.alias()
        self.record(args, result)
        for t in result if isinstance(result, tuple) else (result,):
            if t._base is not None:  # a view made off the tape, which it is on now
                t._stamp = stamp_of(t._base)
        return result


def _bound(body: Callable, args: dict[str, Any]) -> Callable:
    """The body as a function of the tensors among its arguments, in order; the rest stays as it is."""
    kept = {k: tuple([isinstance(x, Tensor) or x for x in v]) if isinstance(v, tuple) else v
            for k, v in args.items() if not isinstance(v, Tensor)}
    places = {k: tuple([isinstance(x, Tensor) for x in v]) if isinstance(v, tuple) else isinstance(v, Tensor)
              for k, v in args.items()}

    def call(*tensors: Tensor) -> Any:
        it = iter(tensors)
        return body(**{k: tuple([next(it) if t else x for t, x in zip(p, kept[k])]) if isinstance(p, tuple)
                       else next(it) if p else kept[k] for k, p in places.items()})
    return call


def _laid(t: Tensor, rule: Memory | None, args: dict[str, Any]) -> Tensor:
    if rule is None or state.tracer is not None:
        return t
    layout = rule(args, tuple(t.layout.shape))
    if t.layout.strides == layout.strides:
        return t
    from ..ops.convert import copied_to
    return copied_to(t, layout)


def composite(body: Callable | None = None, *, vjp: dict[str, Callable] | None = None, fuse: bool = False,
              at: Sequence[str] = ("torch", "Tensor"), name: str | None = None, packs: str | None = None,
              apart: bool = False, exact: bool = False,
              memory: Memory | tuple[Memory | None, ...] | None = None, vmap: Callable | None = None):
    """Declare a composite. Of the tensor given as out=, `apart`: it must share no memory with the inputs;
    `exact`: it must have the dtype of the result. `memory`: where results lie (kinds/memory.py) if not where
    the parts leave them, a rule for all or one for each. `vmap`: how to compute a batch, other than by its
    parts (of an entry with `vjp` or `fuse`)."""
    def declare(body: Callable) -> Callable:
        op = Composite(body, vjp, at, name, fuse, apart, exact, memory)
        op.packs, op.vmap = packs, vmap
        return public_function(register(op))
    return declare if body is None else declare(body)
