"""Custom operations: autograd.Function and its context."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..dtypes import FLOAT
from ..tensor import Tensor
from .engine import FREED, Node, Output, Packed, changed, edge, rebased
from .modes import state


class Context:
    """What forward leaves for backward: saved tensors, flags, and any attribute."""

    _node: Any  # a weak reference to the recorded node

    def __init__(self) -> None:
        self._to_save: tuple = ()
        self._saved: list | None = None
        self._dirty: tuple = ()
        self._fixed: tuple = ()
        self._materialize = True
        self._places: list[bool] = []  # which arguments of forward are tensors
        self.needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for backward (`ctx.saved_tensors`), which checks that nobody changed them since."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(f"save_for_backward can only save variables, but argument {tensors.index(t)} "
                                f"is of type {type(t).__name__}")
        self._to_save = tensors

    save_for_forward = save_for_backward

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which inputs forward wrote to."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say which results carry no gradient."""
        self._fixed = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether missing gradients reach backward as zeros (the default) or as None."""
        self._materialize = bool(value)

    @property
    def saved_tensors(self) -> tuple:
        """The tensors given to save_for_backward. RuntimeError if they were freed or one was written to."""
        if self._saved is None:
            if self._to_save and not hasattr(self, "_node"):
                return self._to_save
            raise RuntimeError(FREED)
        out: list[Tensor | None] = []
        for t, version, index in self._saved:
            if t is None:
                out.append(None)
                continue
            if type(t) is Packed:
                t = t.get()
            elif t.storage.version != version:
                raise RuntimeError(changed(t, version, t._node if index is None else self._where(index)))
            if index is not None and state.grad:
                t = t.detach()
                t._requires, t._node = True, self._where(index)
            out.append(t)
        return tuple(out)

    saved_variables = saved_tensors

    def _where(self, index: int):
        node: Any = self._node()
        return node if node.outputs == 1 else Output(node, index)


class _FunctionOp:
    """What a custom node runs backward: the class's backward."""

    def __init__(self, cls: type[Function], ctx: Context):
        self.cls, self.ctx = cls, ctx
        self.name, self.node_name = cls.__name__, cls.__name__ + "Backward"
        self.metas: list = []

    def backward(self, node: Node, grads) -> list:
        ctx = self.ctx
        if ctx._materialize:
            from ..ops.create import zeros
            grads = [zeros(tuple(m.shape), dtype=m.dtype, device=m.device) if g is None else g
                     for g, m in zip(grads, self.metas)]
        run = self.cls.vjp if self.cls.vjp is not Function.vjp else self.cls.backward
        got = run(ctx, *grads)
        got = got if isinstance(got, tuple) else (got,) if not isinstance(got, list) else tuple(got)
        n = len(ctx.needs_input_grad)
        if len(got) > n and all(g is None for g in got[n:]):
            got = got[:n]
        if len(got) != n:
            raise RuntimeError(f"function {self.node_name} returned an incorrect number of gradients "
                               f"(expected {n}, got {len(got)})")
        out = []
        for g, place in zip(got, ctx._places):
            if place:
                if g is not None and not isinstance(g, Tensor):
                    raise RuntimeError(f"expected Variable or None (got {type(g).__name__}) from the "
                                       f"backward of {self.name}")
                out.append(g)
        return out

    def release(self) -> None:
        self.ctx._saved = None


class _CustomNode(Node):
    """A node whose saved tensors live in the context."""

    __slots__ = ()

    def name(self) -> str:
        """The class's name and Backward: SquareBackward."""
        return self.op.node_name

    def release(self) -> None:
        self.op.release()

    def __getattr__(self, key: str):
        """What forward left on its context, as in PyTorch, where the node is the context."""
        if key[:2] != "__":
            return getattr(self.op.ctx, key)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{key}'")


class Function:
    """A custom operation: static methods `forward(ctx, *args)` and `backward(ctx, *grads)`, called by
    `apply`.

    With a static `setup_context(ctx, inputs, output)`, forward takes no ctx."""

    generate_vmap_rule = False

    def __init__(self, *args, **kwargs):
        raise RuntimeError(f"{type(self).__name__} should not be instantiated. Methods on autograd functions "
                           "are all static, so you should invoke them on the class itself. Instantiating an "
                           "autograd function will raise an error in a future version of PyTorch.")

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise NotImplementedError("You must implement either the backward or vjp method for your custom "
                                  "autograd.Function to use it with backward mode AD.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Any) -> Any:
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def vjp(ctx: Any, *grad_outputs: Any) -> Any:
        raise NotImplementedError("vjp is not implemented.")

    @staticmethod
    def vmap(info: Any, in_dims: tuple, *args: Any) -> Any:
        """(results, out_dims) for arguments batched along in_dims; override it to work under vmap."""
        raise NotImplementedError("To use autograd.Function with vmap, you must either override the vmap "
                                  "staticmethod or set generate_vmap_rule=True.")

    @classmethod
    def apply(cls, *args, **kwargs):
        """Run forward and put the operation on the tape."""
        if kwargs:
            import inspect
            skip = 0 if cls.setup_context is not Function.setup_context else 1
            names = list(inspect.signature(cls.forward).parameters)[skip:]
            bound = dict(zip(names, args))
            bound.update(kwargs)
            args = tuple(bound[n] for n in names if n in bound)
        level = 0
        if state.taking or state.tracer is not None:
            batcher = state.tracer if state.tracer is not None and state.tracer.batches else None
            if cls.setup_context is Function.setup_context and (state.taking or batcher is not None):
                from ..func.custom import CONTEXT
                raise RuntimeError(CONTEXT)
            if batcher is not None:
                from ..kinds.batching import level_of
                level = max([level_of(a) for a in args], default=0)
                args = tuple([batcher.lifted(a, level) if level else a for a in args])
        ctx = Context()
        tensors = [isinstance(a, Tensor) for a in args]
        ctx.needs_input_grad = tuple(bool(is_t and a.requires_grad) for is_t, a in zip(tensors, args))
        ctx._places = tensors
        record = state.grad and any(ctx.needs_input_grad)
        before, state.grad = state.grad, False
        try:
            if cls.setup_context is not Function.setup_context:
                if level:
                    from ..func.custom import value
                    result = value(cls, args, level, before)
                else:
                    result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
            else:
                result = cls.forward(ctx, *args)
        finally:
            state.grad = before
        many = isinstance(result, tuple | list)
        outs = list(result) if many else [result]
        for t in ctx._dirty:
            t.storage.version += 1
        if not record:
            return result
        op = _FunctionOp(cls, ctx)
        edges = tuple(edge(a) if a.requires_grad else None for a, is_t in zip(args, tensors) if is_t)
        shapes = tuple((a.layout.shape, a.dtype) for a, is_t in zip(args, tensors) if is_t)
        node = _CustomNode(op, edges, shapes, (), (), {}, len(outs))
        from .engine import Meta
        inputs = {id(a) for a, is_t in zip(args, tensors) if is_t}
        fixed, dirty = {id(t) for t in ctx._fixed}, {id(t) for t in ctx._dirty}
        positions: dict[int, int] = {}
        for i, o in enumerate(outs):
            op.metas.append(Meta.of(o) if isinstance(o, Tensor) else None)
            if not isinstance(o, Tensor) or id(o) in fixed or o.dtype.category < FLOAT:
                if isinstance(o, Tensor) and id(o) in inputs:
                    outs[i] = o.alias()
                continue
            positions[id(o)] = i
            target: Any = node if len(outs) == 1 else Output(node, i)
            if id(o) in inputs:
                if id(o) in dirty:
                    if o._base is not None:
                        from ..ops.view import rebase
                        rebase(o, o._base, target)
                        continue
                    if o._node is None and o.requires_grad:
                        raise RuntimeError("a leaf Variable that requires grad has been used in an in-place "
                                           "operation.")
                    rebased(o)
                else:
                    outs[i] = o = o.alias()
            elif o._base is not None and not o.requires_grad:
                o._base = None
            o._requires, o._node = True, target
        saved = []
        for t in ctx._to_save:
            i = positions.get(id(t)) if t is not None else None
            kept = t.detach() if i is not None else t
            if t is not None and state.packers:
                kept = Packed(kept, state.packers[-1])
            saved.append((kept, t.storage.version if t is not None else 0, i))
        ctx._saved, ctx._to_save = saved, ()
        import weakref
        ctx._node = weakref.ref(node)
        if many:
            return type(result)(*outs) if hasattr(result, "_fields") else tuple(outs)
        return outs[0]


class InplaceFunction(Function):
    """PyTorch's older name for a Function with an `inplace` flag."""


def once_differentiable(fn: Callable) -> Callable:
    """Mark a backward whose own gradient must not be taken: differentiating it raises RuntimeError."""
    import functools

    @functools.wraps(fn)
    def wrapped(ctx, *grads):
        before, state.grad = state.grad, False
        try:
            got = fn(ctx, *grads)
        finally:
            state.grad = before
        if not state.grad or not any(isinstance(g, Tensor) and g.requires_grad for g in grads):
            return got
        outs = got if isinstance(got, tuple) else (got,)

        class _Once(Function):
            @staticmethod
            def forward(ctx, *args):
                return tuple(a.detach() if isinstance(a, Tensor) else a for a in args[:len(outs)])

            @staticmethod
            def backward(ctx, *g):
                raise RuntimeError("trying to differentiate twice a function that was marked with "
                                   "@once_differentiable")
        res = _Once.apply(*outs, *[g for g in grads if isinstance(g, Tensor)])
        return res if isinstance(got, tuple) else res[0]
    return wrapped


FunctionCtx = Context
