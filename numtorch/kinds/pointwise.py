"""The pointwise kind: one scalar expression per element. Inputs broadcast and promote."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from .. import devices
from .. import dtypes as D
from ..autograd import modes
from ..autograd.engine import Node, clock, edge, versions
from ..autograd.modes import state
from ..casts import NAMES
from ..dispatch import (
    NUMBERS,
    PUBLIC,
    Op,
    array_of,
    backend,
    check_cast,
    check_inplace,
    common_device,
    compute_name,
    cpu,
    empty,
    fresh,
    into,
    new,
    no_overload,
    not_a_tensor,
    number,
    register,
    remember,
    unimplemented,
    written,
)
from ..kernels import emit, jit
from ..kernels.expr import Block, Expr, inline
from ..layouts import (
    Layout,
    broadcast,
    check_overlap,
    collapse,
    elementwise,
    expanded,
)
from ..storage import Storage
from ..tensor import Tensor
from .promotion import DEFAULT, Kind

RESERVED = {"lo", "hi", "i", "r", "n", "q", "e", "b", "p", "a", "t"}


PLAIN = {int, float, bool, complex}


def plain(v):
    """A number as Python's own type: NumPy's scalars and subclasses (IntEnum) converted."""
    v = number(v)
    return v if type(v) in PLAIN else next(k for k in (int, float, complex) if isinstance(v, k))(v)


class Pointwise(Op):
    """The body is one scalar expression (or a tuple of them). Inputs broadcast and promote; keyword-only
    parameters of the body are numbers passed to the kernel by value. `free` inputs keep their own type (a
    condition)."""

    kind = "pointwise"

    def __init__(self, body, vjp, at, name, dtype: Kind, free: Sequence[str], only,
                 domain: tuple[float, float], cost: float, results: int, strict: Sequence[str] | None = None):
        super().__init__(body, vjp, at, name)
        self.dtype, self.free, self.only, self.domain, self.cost = dtype, frozenset(free), only, domain, cost
        self.results = results
        self.refused: dict[int, tuple[type[Exception], str]] = {}
        self.kernel = self.said + "_cpu"
        self.numbers = tuple(p for p in self.params
                             if self.signature.parameters[p].kind is inspect.Parameter.KEYWORD_ONLY)
        self.tensors = tuple(p for p in self.params if p not in self.numbers)
        if strict is None:
            method = self.at and len(self.tensors) > 1 and self.tensors[0] not in free
            strict = self.tensors[:1] if method else ()
        self.strict = frozenset(strict)
        self.flat: dict[Any, tuple] = {}
        self.plans: dict[tuple, Plan] = {}

    def build(self, compute: str) -> emit.Build:
        free = [p in self.free for p in self.params]

        def exprs(block: Block, values: list[Expr]) -> Sequence[Expr]:
            typed = [v if f else block.cast(v, compute) for v, f in zip(values, free)]
            got = inline(block, self.body, typed)
            return got if isinstance(got, tuple) else (got,)
        return exprs

    def types(self, values: Sequence[Any]) -> tuple[D.dtype, D.dtype]:
        """(type computed in, type stored) for these operands."""
        return self.dtype(D.result_type(*[v for p, v in zip(self.params, values)
                                          if p not in self.free and p not in self.numbers]))

    def __call__(self, *args, out=None, **kwargs):
        if kwargs or len(args) != len(self.params):
            bound = self.bind(args, kwargs)
            args = tuple([bound[p] for p in self.params])
        result = self.apply(args)
        return result if out is None else into(out, result, name=self.said, args=args)

    def apply(self, values: tuple, target: Tensor | None = None) -> Any:
        """Compute, into `target` where given (in-place forms), and record."""
        if state.tracer is not None:
            args = dict(zip(self.params, values))
            if target is not None and state.tracer.batches:
                return state.tracer.inplace(self, target, args)
            return state.tracer.call(self, args) if target is None else state.tracer.write(target, args)
        if state.cast is not None and target is None and self.name in NAMES:
            return state.cast(lambda *args: self.apply(args), self.name, values, {})
        if target is not None:
            if target._requires and state.grad and not self.rules:  # the old values' history ends here
                value = self.apply(values)
                check_cast(value.dtype, target.dtype)
                return target.copy_(value)
            values = tuple([_apart(v, target) for v in values])
        key: list = [target is not None, D._default]
        needs = False
        for v in values:
            if isinstance(v, Tensor):
                layout = v.layout
                # A plan made for offsets of 0 may use the kernel without them.
                key += (layout.key if not layout.offset else -layout.key, v.dtype, v.storage.device)
                needs = needs or v._requires
            else:
                if type(v) not in PLAIN:  # NumPy's scalars: kernels take Python's
                    return self.apply(self.checked(values, target), target)
                key.append(type(v))
        plan = self.plans.get(tuple(key))
        if plan is None:
            plan = self.plan(self.checked(values, target), target)
            remember(self.plans, tuple(key), plan)
        needs = needs and state.grad and bool(self.rules)
        if target is not None:
            node = None
            if needs:
                own = next(p for p, v in zip(self.params, values) if v is target)
                wanted = tuple([p for p, v in zip(self.params, values)
                                if p in self.rules and isinstance(v, Tensor) and v._requires])
                before = None
                if own in self.needs(wanted):
                    before, e = target.detach().clone(), edge(target)
                    if e is not None and e is not target:  # with its history, for gradients of gradients
                        before._requires, before._node = True, e
                # Recorded before the write, so that operands that share the memory are known to have changed;
                # against an alias, so that the node does not hold the tensor whose history it is.
                node = self.record(dict(zip(self.params, values)), target.alias(), own, before)
                if node is not None:
                    node.versions = [n + (k == "out") for k, n in zip(node.names, node.versions)]
            plan.run(values, (target,))
            written(target, node)
            return target
        outs = plan.outputs()
        plan.run(values, outs)
        result = outs[0] if self.results == 1 else tuple(outs)
        if needs:
            self.record(dict(zip(self.params, values)), result)
        return result

    def checked(self, values: tuple, target: Tensor | None = None) -> tuple:
        """The operands, each a tensor or a Python number; TypeError otherwise."""
        out = []
        name = self.said + ("_" if target is not None else "")
        for p, v in zip(self.params, values):
            if isinstance(v, NUMBERS) and p not in self.strict:
                v = plain(v)
            elif not isinstance(v, Tensor):
                if 0 < len(self.strict) < len(self.tensors):  # a second signature takes a number there
                    raise no_overload(name, values if target is None else values[1:])
                raise not_a_tensor(name, PUBLIC.get(p, p), v, self.params.index(p) - (target is not None))
            out.append(v)
        if not any(isinstance(v, Tensor) for v in out):
            raise not_a_tensor(name, "input", out[0], 0)
        return tuple(out)

    def plan(self, values: tuple, target: Tensor | None) -> Plan:
        """What to do for operands of these types and layouts: checked once, then looked up."""
        name = self.said
        tensors = [v for v in values if isinstance(v, Tensor)]
        compute, kind = self.types(values)
        if target is not None:
            check_cast(kind, target.dtype)
        if self.only is not None and compute.category not in self.only:
            if compute.category not in self.refused:
                raise unimplemented(self.kernel, compute)
            error, words = self.refused[compute.category]
            raise error(words)
        device = common_device(name, tensors)
        shapes = [t.layout.shape for t in tensors]
        if target is not None:
            shapes.insert(0, target.layout.shape)
        try:
            shape = shapes[0] if len(shapes) == 1 else broadcast(*shapes)
        except RuntimeError as e:
            raise RuntimeError(f"{e}\n  in {name}({', '.join(str(list(s)) for s in shapes)})") from None
        if target is not None:
            if shape != target.layout.shape:
                raise RuntimeError(f"output with shape {list(target.layout.shape)} doesn't match the "
                                   f"broadcast shape {list(shape)}")
            layout, kind = target.layout, target.dtype
        else:
            numbers = any(p not in self.numbers and not isinstance(v, Tensor)
                          for p, v in zip(self.params, values))
            layout = elementwise([t.layout for t in tensors], shape, numbers)
        c = compute_name(compute)
        ins = [(p if p not in RESERVED else p + "_", v) for p, v in zip(self.params, values)]
        return Plan(self.name, ("pointwise", self.name, c), self.build(c), ins,
                    [(layout, kind)] * self.results, shape, device, self.cost)


class Plan:
    """How to run one pointwise computation for given types and layouts: kernel, work items, fixed arguments,
    which are worked out when it first runs. `each`: nanoseconds an element takes."""

    __slots__ = ("layouts", "device", "kernel", "items", "cost", "fixed", "offsets", "tensors", "key", "make",
                 "idle", "name", "tag", "build", "names", "shape", "operands", "each")

    def __init__(self, name: str, tag: tuple, build: emit.Build, ins: Sequence[tuple[str, Any]],
                 outs: Sequence[tuple[Layout, D.dtype]], shape, device: devices.device, cost: float):
        self.layouts, self.device, self.kernel = list(outs), device, None
        self.name, self.tag, self.build, self.shape, self.each = name, tag, build, shape, cost
        self.names = tuple([n for n, _ in ins])
        self.tensors = tuple([isinstance(v, Tensor) for _, v in ins])
        self.operands = [(v.layout, v.dtype.name) if isinstance(v, Tensor) else
                         (None, "float64" if isinstance(v, float) else D.of_scalar(v).name) for _, v in ins]
        self.idle = 0 in shape or device is devices.meta
        self.fixed: tuple[int, ...] = ()
        self.offsets: bool | None = None

    def _nest(self) -> None:
        """Choose the loops."""
        outs, cost, shape = self.layouts, self.each, self.shape
        layouts = [*[l for l, _ in outs], *[l for l, _ in self.operands if l is not None]]
        sizes, steps = collapse(shape, [expanded(l, shape) for l in layouts])
        inner = sizes[-1] if sizes else 1
        last = [s[-1] if s else 1 for s in steps]
        dense = len(sizes) <= 1 and all(s == 1 for s in last) and not any(l.offset for l in layouts)
        depth = None if dense and self.device is cpu and all(l.dense for l in layouts) else \
            max(len(sizes) - 1, 0)
        self.offsets = depth is not None
        kinds = tuple([s if s in (0, 1) else -1 for s in last])
        it = iter(kinds[len(outs):])
        operands = [emit.Operand(n, d, 0, True) if l is None else
                    emit.Operand(n, d, 1 if depth is None else next(it))
                    for n, (l, d) in zip(self.names, self.operands)]
        results = [emit.Operand("out" if len(outs) == 1 else f"out{i}", d.name, kinds[i])
                   for i, (_, d) in enumerate(outs)]
        self.key = (*self.tag, depth, tuple(operands), tuple(results))
        self.make = lambda target: emit.pointwise(self.name, self.build, operands, results, depth, target)
        self.items, self.cost = inner, cost
        fixed: list[int] = []
        if depth is not None:
            fixed = list(sizes[1:-1])
            for s in steps:
                fixed += s[:-1]
            fixed += [s for s, k in zip(last, kinds) if k == -1]
            if depth == 0:
                self.cost = cost * 2
            else:
                fixed.append(inner)
                self.items, self.cost = prod(sizes) // inner, cost * inner * 1.5
        self.fixed = tuple(fixed)

    def outputs(self) -> list[Tensor]:
        return [fresh(l, d, self.device) for l, d in self.layouts]

    def run(self, values: Sequence[Any], outs: Sequence[Tensor]) -> None:
        if self.idle:
            return
        if state.lazy is not None and self.device is cpu:
            state.lazy.map(self, values, outs)
            return
        if self.offsets is None:
            self._nest()
        args: list = []
        offsets: list = []
        numbers: list = []
        for o in outs:
            args.append(array_of(o))
            offsets.append(o.layout.offset)
        for v, is_tensor in zip(values, self.tensors):
            if is_tensor:
                args.append(array_of(v))
                offsets.append(v.layout.offset)
            elif isinstance(v, complex):
                numbers += (v.real, v.imag)
            else:
                numbers.append(v)
        args += numbers
        if self.offsets:
            args += offsets
            args += self.fixed
        k = self.kernel
        if k is None:
            if self.device is not cpu:
                backend(self.device).run(self.key, self.make, self.items, self.cost, tuple(args))
                return
            k = self.kernel = backend(cpu).native(self.key, self.make)
        jit.parallel(k, self.items, self.cost, tuple(args))


def _apart(v, target: Tensor):
    """`v`, copied if it overlaps the written tensor in another layout, unless PyTorch refuses that."""
    if (isinstance(v, Tensor) and v.storage is target.storage and v.layout is not target.layout
            and v.layout != target.layout):
        check_overlap(target.layout, v.layout)
        return v.clone()
    return v


# ---------------------------------------------------------------------------------------------- the fast path
MISSING: Any = object()
def _flat(op: Pointwise, d: D.dtype, scalar: type | None) -> tuple | None:
    """(call, native, memory type of the result, result dtype) of the dense same-type kernel; None where the
    general path must decide."""
    if compute_name(d) != d.name:
        return None
    if scalar is None:
        kind = d
    else:
        kind = D.join(d, None, {int: D.int64, float: D.get_default_dtype()}[scalar])
    compute, out = op.dtype(kind)
    if compute is not d or (op.only is not None and compute.category not in op.only):
        return None
    first, *rest = op.tensors
    operands = [emit.Operand(first if first not in RESERVED else first + "_", d.name, 1)]
    for p in rest:
        p = p if p not in RESERVED else p + "_"
        operands.append(emit.Operand(p, d.name, 1) if scalar is None else
                        emit.Operand(p, "int64" if scalar is int else "float64", 0, True))
    text = emit.pointwise(op.name, op.build(compute_name(compute)), operands,
                          [emit.Operand("out", out.name, 1)], None)
    try:
        native = text.native()
    except jit.KernelError:
        return None
    return native.call, native, out.numpy, out


def _unary(op: Pointwise) -> Callable:
    flat, cost, rules = op.flat, op.cost, bool(op.rules)
    plan = op.needs(op.inputs) if op.inputs else ()
    simple = len(op.inputs) == 1 and set(plan) <= {"out", op.params[0]}

    def first(input) -> tuple | None:
        if not (isinstance(input, Tensor) and input.layout.dense and input.dtype not in flat
                and state.lazy is None and input.storage.device is cpu):
            return None
        k = _flat(op, input.dtype, None)
        if k is not None:
            flat[input.dtype] = k
        return k

    def call(input=MISSING, *more, out=None):
        try:
            layout = input.layout
            k = flat[input.dtype] if layout.dense and out is None and not more else None
        except (KeyError, AttributeError):  # a dtype not met yet, or no tensor
            k = first(input) if out is None and not more else None
        if k is not None:
            n = layout.numel
            a = empty(n, k[2])
            try:
                if n < state.small:
                    k[0](0, n, a, input.storage.array)
                elif state.lazy is not None:
                    return op(input)
                else:
                    jit.parallel(k[1], n, cost, (a, input.storage.array))
            except TypeError:  # the memory was made as another type (x.view(dtype))
                return op(input)
            s = new(Storage)
            s.array, s.device, s.version = a, cpu, 0
            if modes.inferring:
                s.version = modes.born()
            t = new(Tensor)
            t.storage, t.layout, t.dtype = s, layout, k[3]
            t._requires, t._node, t._base, t._views = False, None, None, None
            if input._requires and rules and state.grad:
                if simple and input._base is None and not state.packers:
                    node = new(Node)
                    node.op, node.shapes, node.names, node.values = op, None, plan, NOTHING
                    e = input._node
                    node.edges = (input if e is None else e,)
                    if plan:
                        saved = [t.alias() if p == "out" else input for p in plan]
                        node.saved, node.versions = saved, versions(saved)
                    else:
                        node.saved = node.versions = NONE
                    node.extra, node.outputs, node.seq = None, 1, next(clock)
                    t._requires, t._node = True, node
                else:
                    op.record({op.params[0]: input}, t)
            return t
        if input is MISSING or more:
            return op(*(() if input is MISSING else (input, *more)))
        return op(input) if out is None else op(input, out=out)
    return call


NOTHING: dict = {}
NONE: tuple = ()


def _binary(op: Pointwise) -> Callable:
    flat, cost, rules = op.flat, op.cost, bool(op.rules)
    numbered: dict[type, dict] = {} if op.tensors[1] in op.strict else {float: {}, int: {}}
    px, py = op.tensors
    plans = [op.needs(tuple(p for p in op.inputs if p in wanted))
             for wanted in ((), (px,), (py,), (px, py)) if op.inputs]
    simple = set(op.inputs) == {px, py} and set(plans[3]) <= {"out", px, py}

    def first(input, other, number: dict | None) -> tuple | None:
        if not (isinstance(input, Tensor) and input.layout.dense and input.storage.device is cpu
                and state.lazy is None):
            return None
        if number is None and not (isinstance(other, Tensor) and other.layout is input.layout
                                   and other.dtype is input.dtype):
            return None
        table = flat if number is None else number
        if input.dtype in table:
            return None
        k = _flat(op, input.dtype, None if number is None else type(other))
        if k is not None:
            table[input.dtype] = k
        return k

    def call(input=MISSING, other=MISSING, *more, out=None):
        number = numbered.get(type(other))
        try:
            layout = input.layout
            d = input.dtype
            if not layout.dense or out is not None or more:
                k = None
            elif number is not None:
                k = number[d]
            else:
                k = flat[d] if layout is other.layout and d is other.dtype else None
        except (KeyError, AttributeError):  # dtypes not met yet, or no tensor
            k = first(input, other, number) if out is None and not more else None
        if k is not None:
            n = layout.numel
            a = empty(n, k[2])
            try:
                if n < state.small:
                    k[0](0, n, a, input.storage.array, other if number is not None else other.storage.array)
                elif state.lazy is not None:
                    return op(input, other)
                else:
                    jit.parallel(k[1], n, cost, (a, input.storage.array,
                                                 other if number is not None else other.storage.array))
            except TypeError:  # the memory was made as another type (x.view(dtype))
                return op(input, other)
            s = new(Storage)
            s.array, s.device, s.version = a, cpu, 0
            if modes.inferring:
                s.version = modes.born()
            t = new(Tensor)
            t.storage, t.layout, t.dtype = s, layout, k[3]
            t._requires, t._node, t._base, t._views = False, None, None, None
            if number is not None:
                if input._requires and rules and state.grad:
                    op.record({px: input, py: other}, t)
            elif (input._requires or other._requires) and rules and state.grad:
                if simple and input._base is None and other._base is None and not state.packers:
                    node = new(Node)
                    ex = ey = None
                    if input._requires:
                        ex = input._node
                        if ex is None:
                            ex = input
                    if other._requires:
                        ey = other._node
                        if ey is None:
                            ey = other
                    plan = plans[(ex is not None) + 2 * (ey is not None)]
                    node.op, node.edges, node.shapes = op, (ex, ey), None
                    node.names, node.values = plan, NOTHING
                    if plan:
                        saved = [input if p is px else other if p is py else t.alias() for p in plan]
                        node.saved, node.versions = saved, versions(saved)
                    else:
                        node.saved = node.versions = NONE
                    node.extra, node.outputs, node.seq = None, 1, next(clock)
                    t._requires, t._node = True, node
                else:
                    op.record({px: input, py: other}, t)
            return t
        if other is MISSING or more:
            return op(*(() if input is MISSING else (input,) if other is MISSING else (input, other, *more)))
        return op(input, other) if out is None else op(input, other, out=out)
    return call


def pointwise(body: Callable | None = None, *, dtype: Kind = DEFAULT, vjp: dict[str, Callable] | None = None,
              at: Sequence[str] = ("torch", "Tensor"), name: str | None = None, free: Sequence[str] = (),
              only: Sequence[int] | None = None, domain: tuple[float, float] = (-4.0, 4.0), cost: float = 0.3,
              results: int = 1, strict: Sequence[str] | None = None,
              refused: dict[int, tuple[type[Exception], str]] | None = None, kernel: str | None = None):
    """Declare a pointwise op. `only`: dtype categories it accepts; `domain`: where it is defined (for tests);
    `cost`: nanoseconds an element takes; `results`: how many values the body returns; `strict`: inputs that
    may not be numbers, the first one of a public op of several unless told; `refused`: the error for a
    category that is not accepted, where PyTorch has words of its own; `kernel`: its name for the kernel
    there, NAME_cpu unless told."""
    def declare(body: Callable) -> Callable:
        op = Pointwise(body, vjp, at, name, dtype, free, only, domain, cost, results, strict)
        op.refused, op.kernel = refused or {}, kernel or op.kernel
        register(op)
        if results == 1 and not op.numbers and not op.free and len(op.tensors) in (1, 2):
            call = (_unary if len(op.tensors) == 1 else _binary)(op)
        else:
            @functools.wraps(body)
            def call(*args, **kwargs):
                return op(*args, **kwargs)
        call.op, call.__name__, call.__doc__ = op, op.name, op.doc  # type: ignore[attr-defined]
        call.__qualname__, call.__module__ = op.name, body.__module__
        op.call = call
        op.inplace = _inplace(op)
        return call
    return declare if body is None else declare(body)


def _inplace(op: Pointwise) -> Callable:
    def call(self, *args, **kwargs):
        values = (self, *args)
        if kwargs or len(values) != len(op.params):
            bound = op.bind(values, kwargs)
            values = tuple([bound[p] for p in op.params])
        check_inplace(self, op.name)
        return op.apply(values, self)
    call.__name__ = call.__qualname__ = op.name + "_"
    call.__doc__ = f"In-place form of {op.name}."
    return call
