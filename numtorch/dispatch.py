"""THE choke point. Every operation on tensors passes through an Op here: promote → run on the tensors' device → tape.

An Op is one entry of numtorch/ops: a body, gradient rules and a dtype kind. Its class is its kind (DESIGN: pointwise,
reduction, view, opaque, composite) and supplies the rest once for all ops of the kind: shapes, kernels, gradients,
in-place and out= forms, the public functions."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import devices
from . import dtypes as D
from .autograd.engine import Meta, Node, Output, clock, edge
from .autograd.modes import state
from .kernels import emit, jit
from .kernels.expr import Block, Expr, inline
from .layouts import Layout, broadcast, collapse, contiguous, expanded, like, permuted, stride_order
from .storage import Storage
from .tensor import Tensor, ndarray_of

new = object.__new__
empty = np.empty
cpu = devices.cpu

# ---------------------------------------------------------------------------------------------- dtype kinds
Kind = Callable[[D.dtype], tuple[D.dtype, D.dtype]]


def DEFAULT(d: D.dtype) -> tuple[D.dtype, D.dtype]:
    """Compute and store in the promoted type."""
    return d, d


def INT_TO_FLOAT(d: D.dtype) -> tuple[D.dtype, D.dtype]:
    """Integers and bools become the default floating type."""
    if d.category < D.FLOAT:
        d = D.get_default_dtype()
    return d, d


def ALWAYS_BOOL(d: D.dtype) -> tuple[D.dtype, D.dtype]:
    """Compute in the promoted type, store bool."""
    return d, D.bool


def COMPLEX_TO_FLOAT(d: D.dtype) -> tuple[D.dtype, D.dtype]:
    """Complex input gives its real type."""
    return d, d.to_real()


def BOOL_TO_LONG(d: D.dtype) -> tuple[D.dtype, D.dtype]:
    """Bools and integers give int64 (sums and products)."""
    return (d, d) if d.category >= D.FLOAT else (D.int64, D.int64)


def FLOAT_ONLY(d: D.dtype) -> tuple[D.dtype, D.dtype]:
    """Floating and complex types only (mean)."""
    if d.category < D.FLOAT:
        name = {"bool": "Bool", "int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte"}
        raise RuntimeError("mean(): could not infer output dtype. Input dtype must be either a floating point or complex "
                           f"dtype. Got: {name[d.name]}")
    return d, d


def compute_name(d: D.dtype) -> str:
    """The type kernels compute in: float32 for the half types."""
    return "float32" if d.itemsize == 2 and d.is_floating_point else d.name


# ---------------------------------------------------------------------------------------------- devices
class CPU:
    """Runs emitted kernels on this process's threads."""

    def __init__(self) -> None:
        self.kernels: dict[tuple, jit.Native] = {}

    def empty(self, numel: int, d: D.dtype):
        return empty(numel, d.numpy)

    def native(self, key: tuple, make: Callable[[str], emit.Text]) -> jit.Native:
        k = self.kernels.get(key)
        if k is None:
            k = self.kernels[key] = make("cpu").native()
        return k

    def run(self, key: tuple, make: Callable[[str], emit.Text], items: int, cost: float, args: tuple) -> None:
        jit.parallel(self.native(key, make), items, cost, args)


class Meta_:
    """The meta device: shapes and dtypes, no memory, no work."""

    def empty(self, numel: int, d: D.dtype):
        return None

    def run(self, *args) -> None:
        return None


_backends: dict[str, Any] = {"cpu": CPU(), "meta": Meta_()}


def backend(device: devices.device):
    """What allocates and runs for a device."""
    found = _backends.get(device.type)
    if found is None:
        from .cuda import backend as make
        found = _backends[device.type] = make()
    return found


def fresh(layout: Layout, d: D.dtype, device: devices.device) -> Tensor:
    """A new tensor with uninitialised memory."""
    t = new(Tensor)
    if device is cpu:
        a = empty(layout.numel, d.numpy)
        t.storage = Storage(a)
    else:
        t.storage = Storage(backend(device).empty(layout.numel, d), device, layout.numel * d.itemsize)
        if layout.dense:
            layout = Layout(layout.shape, layout.strides, 0)  # only CPU layouts are `dense`: the fast path is theirs
    t.layout, t.dtype = layout, d
    t.requires_grad, t._node, t._base = False, None, None
    return t


def common_device(name: str, tensors: Sequence[Tensor]) -> devices.device:
    """The device all tensors share; a 0-d CPU tensor goes with any. RuntimeError otherwise."""
    found = tensors[0].storage.device
    for t in tensors:
        d = t.storage.device
        if d is not found:
            if not t.layout.shape and d is cpu:
                continue
            if found is cpu and all(not u.layout.shape for u in tensors if u.storage.device is cpu):
                found = d
                continue
            raise RuntimeError("Expected all tensors to be on the same device, but found at least two devices, "
                               f"{found} and {d}! (when checking argument in {name})")
    return found


# ---------------------------------------------------------------------------------------------- entries
class Op:
    """One entry. `inputs` are the arguments that gradients flow to, `statics` the rest."""

    kind = "op"
    node_name: str

    def __init__(self, body: Callable, vjp: dict[str, Callable] | None, at: Sequence[str], name: str | None):
        self.body, self.name, self.at = body, name or body.__name__, tuple(at)
        self.doc = inspect.getdoc(body) or ""
        self.signature = inspect.signature(body)
        self.params = tuple(self.signature.parameters)
        self.node_name = "".join(w.capitalize() for w in self.name.split(".")[0].split("_")) + "Backward0"
        self.rules: dict[str, tuple[Callable, tuple[str, ...]]] = {}
        for key, rule in (vjp or {}).items():
            for k in key.split(","):
                self.rules[k.strip()] = (rule, tuple(inspect.signature(rule).parameters))
        self.inputs = tuple(p for p in self.params if p in self.rules)
        self._plans: dict[tuple, tuple[str, ...]] = {}

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"

    def needs(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """Names that the rules of these inputs ask for, g apart."""
        found = self._plans.get(wanted)
        if found is None:
            seen: dict[str, None] = {}
            for w in wanted:
                for a in self.rules[w][1]:
                    if a != "g":
                        seen[a] = None
            found = self._plans[wanted] = tuple(seen)
        return found

    def record(self, args: dict[str, Any], out: Any, x_before: Tensor | None = None) -> Node | None:
        """Put this call on the tape if an input requires grad; mark the results. `args`: every argument by name."""
        edges, shapes, wanted = [], [], []
        for name in self.inputs:
            v = args[name]
            if isinstance(v, Tensor):
                e = edge(v) if v.requires_grad else None
                edges.append(e)
                shapes.append((v.layout.shape, v.dtype))
            elif isinstance(v, list | tuple):
                es = [edge(t) if isinstance(t, Tensor) and t.requires_grad else None for t in v]
                edges += es
                shapes += [(t.layout.shape, t.dtype) if isinstance(t, Tensor) else None for t in v]
                e = next((x for x in es if x is not None), None)
            else:
                e = None
                edges.append(None)
                shapes.append(None)
            if e is not None:
                wanted.append(name)
        if not wanted:
            return None
        outs = out if isinstance(out, tuple) else (out,)
        names, saved, values = [], [], {}
        for name in self.needs(tuple(wanted)):
            if name == "out":
                for i, o in enumerate(outs):
                    names.append("out" if len(outs) == 1 else f"out{i}")
                    saved.append(o.alias())
            elif name.endswith("_meta") and name not in args:
                v = args[name[:-5]]
                values[name] = [Meta.of(t) for t in v] if isinstance(v, list | tuple) else (
                    Meta.of(v) if isinstance(v, Tensor) else v)
            else:
                v = args[name]
                if isinstance(v, Tensor):
                    names.append(name)
                    saved.append(x_before if x_before is not None and name == self.params[0] else v)
                else:
                    values[name] = v
        node = Node(self, tuple(edges), tuple(shapes), tuple(names), tuple(saved), values, len(outs))
        if len(outs) == 1:
            o = outs[0]
            if o.dtype.category >= D.FLOAT:
                o.requires_grad, o._node = True, node
        else:
            for i, o in enumerate(outs):
                if o is not None and o.dtype.category >= D.FLOAT:
                    o.requires_grad, o._node = True, Output(node, i)
        return node

    def backward(self, node: Node, grads: Sequence[Any]) -> list:
        """The rules of this entry at a node: one gradient per edge."""
        known = node.known()
        if node.outputs == 1:
            known["g"] = grads[0]
        else:
            known["g"] = tuple(grads)
            if "out0" in known:
                known["out"] = tuple([known[f"out{i}"] for i in range(node.outputs)])
        results: list = []
        edges = node.edges
        if len(edges) == len(self.inputs):
            for name, e in zip(self.inputs, edges):
                if e is None:
                    results.append(None)
                else:
                    rule, names = self.rules[name]
                    got = rule(*[known[n] for n in names])
                    results.append(got[0] if isinstance(got, list | tuple) else got)
            return results
        # One input is a list of tensors (cat): its edges come first.
        for i, name in enumerate(self.inputs):
            rule, names = self.rules[name]
            here = edges[len(results):len(edges) - (len(self.inputs) - 1 - i)]
            if all(e is None for e in here):
                results += [None] * len(here)
                continue
            got = rule(*[known[n] for n in names])
            results += list(got) if isinstance(got, list | tuple) else [got]
        return results

    def bind(self, args: tuple, kwargs: dict) -> dict[str, Any]:
        """Arguments by parameter name, defaults filled in; `input` and `other` stand for x and y."""
        values = dict(zip(self.params, args))
        if len(args) > len(self.params):
            raise TypeError(f"{self.name}() takes {len(self.params)} positional arguments but {len(args)} were given")
        for k, v in kwargs.items():
            k = self.renamed(k)
            if k in values:
                raise TypeError(f"{self.name}() got multiple values for argument '{k}'")
            values[k] = v
        if len(values) < len(self.params):
            for p in self.params:
                if p not in values:
                    default = self.signature.parameters[p].default
                    if default is inspect.Parameter.empty:
                        raise TypeError(f'{self.name}() missing 1 required positional arguments: "{PUBLIC.get(p, p)}"')
                    values[p] = default
        return values

    def renamed(self, k: str) -> str:
        if k in self.params:
            return k
        p = PRIVATE.get(k)
        if p is not None and p in self.params:
            return p
        raise TypeError(f"{self.name}() got an unexpected keyword argument '{k}'")

    def __call__(self, *args, **kwargs):
        raise NotImplementedError


PUBLIC = {"x": "input", "y": "other", "c": "condition"}
PRIVATE = {"input": "x", "self": "x", "other": "y", "condition": "c", "tensor1": "x", "mat1": "x", "mat2": "y",
           "axis": "dim", "keepdims": "keepdim", "end": "y", "exponent": "y", "vec": "y"}

registry: dict[str, Op] = {}


def _register(op: Op) -> Op:
    if op.name in registry:
        raise ValueError(f"two entries are called {op.name}")
    registry[op.name] = op
    return op


def not_a_tensor(name: str, argument: str, value) -> TypeError:
    """PyTorch's error for an argument that should be a tensor."""
    return TypeError(f"{name}(): argument '{argument}' must be Tensor, not {type(value).__name__}")


NUMBERS = (int, float, bool, complex, np.number, np.bool_)


def number(v):
    """A NumPy scalar as the Python number it is."""
    return v.item() if isinstance(v, np.generic) else v


# ---------------------------------------------------------------------------------------------- in place and out=
def check_inplace(x: Tensor, name: str) -> None:
    """RuntimeError where writing to `x` would break the tape or an expanded tensor."""
    if x.requires_grad and state.grad:
        if x._node is None:
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
        if x._base is not None and x._base.requires_grad and x._base._node is None:
            raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    elif x._base is not None and state.grad and x._base.requires_grad and x._base._node is None:
        raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    if x.layout.dense:
        return
    for n, s in zip(x.layout.shape, x.layout.strides):
        if s == 0 and n > 1:
            raise RuntimeError("unsupported operation: more than one element of the written-to tensor refers to a single "
                               "memory location. Please clone() the tensor before performing the operation.")


TITLES = {"bool": "Bool", "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long",
          "float16": "Half", "bfloat16": "BFloat16", "float32": "Float", "float64": "Double",
          "complex64": "ComplexFloat", "complex128": "ComplexDouble"}


def check_cast(from_: D.dtype, to: D.dtype) -> None:
    """RuntimeError unless results of type `from_` may be stored in `to`."""
    if not D.can_cast(from_, to):
        raise RuntimeError(f"result type {TITLES[from_.name]} can't be cast to the desired output type {TITLES[to.name]}")


def written(x: Tensor, node: Node | None) -> None:
    """After a write to `x`: count it; if it was recorded, the tape continues from `node`, also for what `x` views."""
    x.storage.version += 1
    if node is None:
        return
    base = x._base
    if base is None:
        x._node, x.requires_grad = node, True
        x._rebased += 1
        return
    from .ops.view import rebase
    rebase(x, base, node)


def into(out, result):
    """Put results into the tensors given as out=, resizing empty ones."""
    if isinstance(result, tuple):
        if len(out) != len(result):
            raise TypeError(f"out= expects {len(result)} tensors, got {len(out)}")
        for o, r in zip(out, result):
            into(o, r)
        return type(result)(*out) if hasattr(result, "_fields") else tuple(out)
    if not isinstance(out, Tensor):
        raise TypeError(f"argument 'out' must be Tensor, not {type(out).__name__}")
    if state.grad and (out.requires_grad or result.requires_grad):
        raise RuntimeError("functions with out=... arguments don't support automatic differentiation, but one of the "
                           "arguments requires grad.")
    if out.storage.device is not result.storage.device:
        raise RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices, "
                           f"{result.storage.device} and {out.storage.device}! (when checking argument out)")
    check_cast(result.dtype, out.dtype)
    if out.layout.shape != result.layout.shape:
        if out.layout.numel != 0:
            import warnings
            warnings.warn("An output with one or more elements was resized since it had shape "
                          f"{list(out.layout.shape)}, which does not match the required output shape "
                          f"{list(result.layout.shape)}. This behavior is deprecated, and in a future PyTorch release "
                          "outputs will not be resized unless they have zero elements. You can explicitly reuse an out "
                          "tensor t by resizing it, inplace, to zero elements with t.resize_(0).", stacklevel=3)
        out.resize_(result.layout.shape)
    out.copy_(result)
    return out


# ---------------------------------------------------------------------------------------------- pointwise
RESERVED = {"lo", "hi", "i", "r", "n", "q", "e", "b", "p", "a", "t"}


class Pointwise(Op):
    """The body is one scalar expression (or a tuple of them). Inputs broadcast and promote; keyword-only parameters of
    the body are numbers passed to the kernel by value. `free` inputs keep their own type (a condition)."""

    kind = "pointwise"

    def __init__(self, body, vjp, at, name, dtype: Kind, free: Sequence[str], only, domain: tuple[float, float],
                 cost: float, results: int):
        super().__init__(body, vjp, at, name)
        self.dtype, self.free, self.only, self.domain, self.cost = dtype, frozenset(free), only, domain, cost
        self.results = results
        self.numbers = tuple(p for p in self.params
                             if self.signature.parameters[p].kind is inspect.Parameter.KEYWORD_ONLY)
        self.tensors = tuple(p for p in self.params if p not in self.numbers)
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
        return result if out is None else into(out, result)

    def apply(self, values: tuple, target: Tensor | None = None) -> Any:
        """Compute, into `target` where given (in-place forms), and record."""
        if state.tracer is not None:
            return state.tracer.call(self, dict(zip(self.params, values)))
        if target is not None:
            values = tuple([_apart(v, target) for v in values])
        key: list = [target is not None]
        needs = False
        for v in values:
            if isinstance(v, Tensor):
                key += (v.layout.key, v.dtype, v.storage.device)
                needs = needs or v.requires_grad
            else:
                key.append(type(v))
        plan = self.plans.get(tuple(key))
        if plan is None:
            values = self.checked(values)
            plan = self.plan(values, target)
            self.plans[tuple(key)] = plan
        needs = needs and state.grad and bool(self.rules)
        before = None
        if target is not None:
            if needs and any(isinstance(v, Tensor) and v.storage is target.storage for v in values):
                wanted = tuple([p for p, v in zip(self.params, values)
                                if p in self.rules and isinstance(v, Tensor) and v.requires_grad])
                if self.params[0] in self.needs(wanted):
                    before = target.detach().clone()
            plan.run(values, (target,))
            node = None
            if needs:
                # recorded against an alias, so that the node does not hold the tensor whose history it is
                target.storage.version += 1
                node = self.record(dict(zip(self.params, values)), target.alias(), before)
                target.storage.version -= 1
            written(target, node)
            return target
        outs = plan.outputs()
        plan.run(values, outs)
        result = outs[0] if self.results == 1 else tuple(outs)
        if needs:
            self.record(dict(zip(self.params, values)), result)
        return result

    def checked(self, values: tuple) -> tuple:
        """The operands, each a tensor or a Python number; TypeError otherwise."""
        out = []
        for p, v in zip(self.params, values):
            if isinstance(v, NUMBERS):
                v = number(v)
            elif not isinstance(v, Tensor):
                raise not_a_tensor(self.name.partition(".")[0], PUBLIC.get(p, p), v)
            out.append(v)
        if not any(isinstance(v, Tensor) for v in out):
            raise not_a_tensor(self.name.partition(".")[0], "input", out[0])
        return tuple(out)

    def plan(self, values: tuple, target: Tensor | None) -> Plan:
        """What to do for operands of these types and layouts: checked once, then looked up."""
        name = self.name.partition(".")[0]
        tensors = [v for v in values if isinstance(v, Tensor)]
        compute, kind = self.types(values)
        if self.only is not None and compute.category not in self.only:
            raise RuntimeError(f'"{name}" not implemented for \'{TITLES[compute.name]}\'')
        device = common_device(name, tensors)
        try:
            shape = tensors[0].layout.shape if len(tensors) == 1 else broadcast(*[t.layout.shape for t in tensors])
        except RuntimeError as e:
            raise RuntimeError(f"{e}\n  in {name}(" + ", ".join(str(list(t.layout.shape)) for t in tensors) + ")") from None
        if target is not None:
            check_cast(kind, target.dtype)
            if shape != target.layout.shape:
                raise RuntimeError(f"output with shape {list(target.layout.shape)} doesn't match the broadcast shape "
                                   f"{list(shape)}")
            layout, kind = target.layout, target.dtype
        else:
            layout = _result_layout(tensors, shape)
        c = compute_name(compute)
        ins = [(p if p not in RESERVED else p + "_", v) for p, v in zip(self.params, values)]
        return Plan(self.name, ("pointwise", self.name, c), self.build(c), ins, [(layout, kind)] * self.results, shape,
                    device, self.cost)


class Plan:
    """How to run one pointwise computation for given types and layouts: kernel, work items, fixed arguments."""

    __slots__ = ("layouts", "device", "kernel", "items", "cost", "fixed", "offsets", "tensors", "key", "make", "idle")

    def __init__(self, name: str, tag: tuple, build: emit.Build, ins: Sequence[tuple[str, Any]],
                 outs: Sequence[tuple[Layout, D.dtype]], shape, device: devices.device, cost: float):
        self.layouts, self.device, self.kernel = list(outs), device, None
        self.tensors = tuple([isinstance(v, Tensor) for _, v in ins])
        layouts = [*[l for l, _ in outs], *[v.layout for _, v in ins if isinstance(v, Tensor)]]
        sizes, steps = collapse(shape, [expanded(l, shape) for l in layouts])
        inner = sizes[-1] if sizes else 1
        last = [s[-1] if s else 1 for s in steps]
        dense = len(sizes) <= 1 and all(s == 1 for s in last) and not any(l.offset for l in layouts)
        depth = None if dense and device is cpu and all(l.dense for l in layouts) else max(len(sizes) - 1, 0)
        self.offsets = depth is not None
        kinds = tuple([s if s in (0, 1) else -1 for s in last])
        it = iter(kinds[len(outs):])
        operands = [emit.Operand(n, v.dtype.name, 1 if depth is None else next(it)) if isinstance(v, Tensor) else
                    emit.Operand(n, "float64" if isinstance(v, float) else D.of_scalar(v).name, 0, True) for n, v in ins]
        results = [emit.Operand("out" if len(outs) == 1 else f"out{i}", d.name, kinds[i])
                   for i, (_, d) in enumerate(outs)]
        self.key = (*tag, depth, tuple(operands), tuple(results))
        self.make = lambda target: emit.pointwise(name, build, operands, results, depth, target)
        numel = 1
        for n in sizes:
            numel *= n
        self.idle = 0 in shape or device is devices.meta
        self.items, self.cost, self.fixed = inner, cost, ()
        if depth is not None:
            fixed = list(sizes[1:-1])
            for s in steps:
                fixed += s[:-1]
            fixed += [s for s, k in zip(last, kinds) if k == -1]
            if self.idle:
                return
            if depth == 0:
                self.cost = cost * 2
            else:
                fixed.append(inner)
                self.items, self.cost = numel // inner, cost * inner * 1.5
            self.fixed = tuple(fixed)

    def outputs(self) -> list[Tensor]:
        return [fresh(l, d, self.device) for l, d in self.layouts]

    def run(self, values: Sequence[Any], outs: Sequence[Tensor]) -> None:
        if self.idle:
            return
        args: list = []
        offsets: list = []
        numbers: list = []
        for o in outs:
            args.append(_array(o))
            offsets.append(o.layout.offset)
        for v, is_tensor in zip(values, self.tensors):
            if is_tensor:
                args.append(_array(v))
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
            k = self.kernel = _backends["cpu"].native(self.key, self.make)
        jit.parallel(k, self.items, self.cost, tuple(args))


def _apart(v, target: Tensor):
    """`v`, copied if it overlaps the written tensor in another layout."""
    if isinstance(v, Tensor) and v.storage is target.storage and v.layout is not target.layout and v.layout != target.layout:
        return v.clone()  # type: ignore[attr-defined]
    return v


def _result_layout(tensors: Sequence[Tensor], shape) -> Layout:
    """Where results go: row-major, unless the full-shaped inputs are dense in another order (channels_last, .t())."""
    first = tensors[0].layout
    if first.contiguous and first.shape == shape and len(shape) < 3:
        return contiguous(shape)
    full = [t.layout for t in tensors if t.layout.shape == shape]
    if not full:
        if all(t.layout.contiguous for t in tensors):
            return contiguous(shape)
        steps = [expanded(t.layout, shape) for t in tensors]
    elif all(l.contiguous for l in full):
        return contiguous(shape)
    else:
        steps = [expanded(t.layout, shape) for t in tensors]
        if full[0] is first and first.covers():
            return like(first)
    return permuted(shape, stride_order(shape, steps))


def _array(t: Tensor):
    """The storage as kernels take it: bits for the half types."""
    a = t.storage.array
    memory = t.dtype.kernel
    return a if a is None or a.dtype == memory else a.view(memory)


# ---------------------------------------------------------------------------------------------- the fast path
SMALL = 16_384  # elements up to which a kernel runs on the calling thread, holding the GIL


def _flat(op: Pointwise, d: D.dtype, scalar: type | None) -> tuple | None:
    """(call, native, memory type of the result, result dtype) of the dense same-type kernel; None where the general
    path must decide."""
    if d.is_floating_point and d.itemsize == 2:
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
    text = emit.pointwise(op.name, op.build(compute_name(compute)), operands, [emit.Operand("out", out.name, 1)], None)
    native = text.native()
    return native.call, native, out.numpy, out


def _unary(op: Pointwise) -> Callable:
    flat, cost, rules = op.flat, op.cost, bool(op.rules)
    plan = op.needs(op.inputs) if op.inputs else ()
    simple = len(op.inputs) == 1 and set(plan) <= {"out", op.params[0]}

    def call(input, *, out=None):
        try:
            layout = input.layout
            if layout.dense and out is None:
                k = flat[input.dtype]
                n = layout.numel
                a = empty(n, k[2])
                if n < SMALL:
                    k[0](0, n, a, input.storage.array)
                else:
                    jit.parallel(k[1], n, cost, (a, input.storage.array))
                s = new(Storage)
                s.array, s.device, s.version = a, cpu, 0
                t = new(Tensor)
                t.storage, t.layout, t.dtype, t.requires_grad, t._node, t._base = s, layout, k[3], False, None, None
                if input.requires_grad and rules and state.grad:
                    if simple and input._base is None:
                        node = new(Node)
                        node.op, node.shapes, node.names, node.values = op, None, plan, NOTHING
                        e = input._node
                        node.edges = (input if e is None else e,)
                        if plan:
                            saved = [t.alias() if p == "out" else input for p in plan]
                            node.saved, node.versions = saved, [v.storage.version for v in saved]
                        else:
                            node.saved = node.versions = NONE
                        node.extra, node.outputs, node.seq = None, 1, next(clock)
                        t.requires_grad, t._node = True, node
                    else:
                        op.record({op.params[0]: input}, t)
                return t
        except (KeyError, AttributeError, TypeError):
            if isinstance(input, Tensor) and input.layout.dense and input.dtype not in flat and out is None \
                    and input.storage.array is not None and input.storage.device is cpu:
                k = _flat(op, input.dtype, None)
                if k is not None:
                    flat[input.dtype] = k
                    return call(input)
        return op(input) if out is None else op(input, out=out)
    return call


NOTHING: dict = {}
NONE: tuple = ()


def _binary(op: Pointwise) -> Callable:
    flat, cost, rules = op.flat, op.cost, bool(op.rules)
    numbered: dict[type, dict] = {float: {}, int: {}}
    px, py = op.tensors
    plans = [op.needs(tuple(p for p in op.inputs if p in w)) for w in ((), (px,), (py,), (px, py))] if op.inputs else []
    simple = set(op.inputs) == {px, py} and set(plans[3]) <= {"out", px, py}

    def call(input, other, *, out=None):
        try:
            layout = input.layout
            if layout.dense and out is None:
                d = input.dtype
                number = numbered.get(type(other))
                if number is not None:
                    k = number[d]
                    y = other
                elif layout is other.layout and d is other.dtype:
                    k = flat[d]
                    y = other.storage.array
                else:
                    return op(input, other)
                n = layout.numel
                a = empty(n, k[2])
                if n < SMALL:
                    k[0](0, n, a, input.storage.array, y)
                else:
                    jit.parallel(k[1], n, cost, (a, input.storage.array, y))
                s = new(Storage)
                s.array, s.device, s.version = a, cpu, 0
                t = new(Tensor)
                t.storage, t.layout, t.dtype, t.requires_grad, t._node, t._base = s, layout, k[3], False, None, None
                if number is not None:
                    if input.requires_grad and rules and state.grad:
                        op.record({px: input, py: other}, t)
                elif (input.requires_grad or other.requires_grad) and rules and state.grad:
                    if simple and input._base is None and other._base is None:
                        node = new(Node)
                        ex = ey = None
                        if input.requires_grad:
                            ex = input._node
                            if ex is None:
                                ex = input
                        if other.requires_grad:
                            ey = other._node
                            if ey is None:
                                ey = other
                        plan = plans[(ex is not None) + 2 * (ey is not None)]
                        node.op, node.edges, node.shapes, node.names, node.values = op, (ex, ey), None, plan, NOTHING
                        if plan:
                            saved = [input if p is px else other if p is py else t.alias() for p in plan]
                            node.saved, node.versions = saved, [v.storage.version for v in saved]
                        else:
                            node.saved = node.versions = NONE
                        node.extra, node.outputs, node.seq = None, 1, next(clock)
                        t.requires_grad, t._node = True, node
                    else:
                        op.record({px: input, py: other}, t)
                return t
        except (KeyError, AttributeError, TypeError):
            if isinstance(input, Tensor) and input.layout.dense and out is None and input.storage.device is cpu:
                kind = type(other) if type(other) in numbered else None
                if kind is not None or (isinstance(other, Tensor) and other.layout is input.layout
                                        and other.dtype is input.dtype):
                    table = flat if kind is None else numbered[kind]
                    if input.dtype not in table:
                        k = _flat(op, input.dtype, kind)
                        if k is not None:
                            table[input.dtype] = k
                            return call(input, other)
        return op(input, other) if out is None else op(input, other, out=out)
    return call


def pointwise(body: Callable | None = None, *, dtype: Kind = DEFAULT, vjp: dict[str, Callable] | None = None,
              at: Sequence[str] = ("torch", "Tensor"), name: str | None = None, free: Sequence[str] = (),
              only: Sequence[int] | None = None, domain: tuple[float, float] = (-4.0, 4.0), cost: float = 0.3,
              results: int = 1):
    """Declare a pointwise op. `only`: dtype categories it accepts; `domain`: where it is defined (for tests);
    `cost`: nanoseconds an element takes; `results`: how many values the body returns."""
    def declare(body: Callable) -> Callable:
        op = Pointwise(body, vjp, at, name, dtype, free, only, domain, cost, results)
        _register(op)
        if results == 1 and not op.numbers and not op.free and len(op.tensors) in (1, 2):
            call = (_unary if len(op.tensors) == 1 else _binary)(op)
        else:
            @functools.wraps(body)
            def call(*args, **kwargs):
                return op(*args, **kwargs)
        call.op, call.__name__, call.__doc__ = op, op.name, op.doc  # type: ignore[attr-defined]
        call.__qualname__, call.__module__ = op.name, body.__module__
        op.call = call  # type: ignore[attr-defined]
        op.inplace = _inplace(op)  # type: ignore[attr-defined]
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


# ---------------------------------------------------------------------------------------------- reduction
def dims_of(name: str, dim, ndim: int) -> tuple[int, ...]:
    """Dimensions as sorted non-negative ints; None and () mean all."""
    if dim is None:
        return tuple(range(ndim))
    many = dim if isinstance(dim, tuple | list) else (dim,)
    if not many:
        return tuple(range(ndim))
    out = []
    for d in many:
        d = wrap_dim(d, ndim, name)
        if d in out:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
        out.append(d)
    return tuple(sorted(d for d in out if ndim))


def wrap_dim(d, ndim: int, name: str = "") -> int:
    """A dimension index, counted from the front. IndexError with PyTorch's words where it is out of range."""
    if not isinstance(d, int):
        if not hasattr(d, "__index__"):
            raise TypeError(f"{name}(): argument 'dim' must be int, not {type(d).__name__}")
        d = d.__index__()
    span = max(ndim, 1)
    if not -span <= d < span:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-span}, {span - 1}], but got {d})")
    return d % span


def reduced_shape(shape, dims: Sequence[int], keepdim: bool) -> tuple[int, ...]:
    return tuple(1 if i in dims else n for i, n in enumerate(shape) if keepdim or i not in dims)


# Elements each first-phase item folds when one long row is split; fixed, so the result does not depend on threads.
CHUNK = 32_768


class Reduction(Op):
    """The body combines `(acc, x)`; dims drop out or stay as 1."""

    kind = "reduction"

    def __init__(self, body, vjp, at, name, dtype: Kind, init, finish, empty_error: str | None, cost: float, before=None):
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
        return result if out is None else into(out, result)

    def apply(self, args: dict[str, Any]) -> Tensor:
        x, dim = args["x"], args["dim"]
        if not isinstance(x, Tensor):
            raise not_a_tensor(self.name.partition(".")[0], "input", x)
        if state.tracer is not None:
            return state.tracer.call(self, args)
        key = (x.layout.key, x.dtype, x.storage.device, tuple(dim) if isinstance(dim, list) else dim, args["keepdim"],
               args["dtype"])
        plan = self.plans.get(key)
        if plan is None:
            plan = self.plans[key] = self.plan(x, dim, args["keepdim"], args["dtype"])
        dims, layout, kind, launches = plan
        out = fresh(layout, kind, x.storage.device)
        if launches:
            o, a = _array(out), _array(x)
            for launch in launches:
                a = launch(o, a, x.layout.offset)
        if x.requires_grad and state.grad and self.rules:
            args["dim"] = dims
            self.record(args, out)
        return out

    def plan(self, x: Tensor, dim, keepdim: bool, dtype: D.dtype | None):
        """(dimensions, layout and dtype of the result, the launches that compute it)."""
        dims = dims_of(self.name, dim, x.layout.ndim)
        compute, kind = self.dtype(x.dtype if dtype is None else dtype)
        if dtype is not None and dtype.category < D.FLOAT:
            compute = kind = dtype
        if self.empty_error and x.layout.numel == 0:
            for d in dims:
                if x.layout.shape[d] == 0:
                    raise IndexError(self.empty_error) if dim is not None else RuntimeError(self.empty_error)
        layout = contiguous(reduced_shape(x.layout.shape, dims, keepdim))
        launches: list = []
        if layout.numel and x.storage.device is not devices.meta:
            launches = self.launches(x, kind, dims, compute_name(compute))
        return dims, layout, kind, launches

    def launches(self, x: Tensor, kind: D.dtype, dims, compute: str) -> list[Callable]:
        """The kernel runs that reduce x: functions of (result array, input array, offset) that return the next input.

        The loop nest is chosen by strides: rows (each item folds its own elements), columns (neighbouring results are
        folded together, memory is read in order), or two phases for one long dense array."""
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
        big = D.by_name[emit.wide(compute)]
        tag = (self.kind, name, compute, memory, kind.name)
        X = lambda step: emit.Operand("x", memory, step)
        out = emit.Operand("out", kind.name)
        lanes = [k for k in range(len(ksize)) if kx[k] == 1]
        if lanes and rx[-1] != 1 and ksize[lanes[0]] >= 8:
            k = lanes[0]
            outer = [i for i in range(len(ksize)) if i != k]
            tiles = -(-ksize[k] // emit.TILE)
            items = tiles * results // ksize[k]
            fixed = (*[ksize[i] for i in outer[1:]], *[kout[i] for i in outer], *[kx[i] for i in outer], count, tiles, ksize[k],
                     kout[k], *rsize, *rx)
            make = lambda t: emit.reduce_columns(name, fold, X(1), out, compute, len(outer), len(rsize), t)
            per = cost * count * min(ksize[k], emit.TILE) * 2

            def columns(o, a, offset):
                total = backend(device).empty(results, big)
                run((*tag, "columns", len(outer), len(rsize)), make, items, per, (o, a, total, 0, offset, *fixed))
            return [columns]
        if not ksize and len(rsize) == 1 and rx[0] == 1 and count > 2 * CHUNK:
            parts = -(-count // CHUNK)
            join = fold._replace(before=None)

            def chunks(o, a, offset):
                partial = backend(device).empty(parts, big)
                run((*tag, "chunks"), lambda t: emit.reduce_chunks(name, fold, X(1), emit.Operand("out", big.name), compute, t),
                    parts, cost * CHUNK, (partial, a, CHUNK, count, offset))
                return partial

            def rest(o, a, offset):
                run((*tag, "join"), lambda t: emit.reduce_rows(name, join, emit.Operand("x", big.name), out, big.name, 0, 1, t),
                    1, cost * parts, (o, a, 0, 0, count, parts))
            return [chunks, rest]
        step = rx[-1] if rx[-1] in (0, 1) else -1
        fixed = (*ksize[1:], *kout, *kx, count, *rsize, *rx[:-1], *([rx[-1]] if step == -1 else []))
        row = (*tag, "rows", len(ksize), len(rsize), step)

        def rows(o, a, offset):
            run(row, lambda t: emit.reduce_rows(name, fold, X(step), out, compute, len(ksize), len(rsize), t), results,
                cost * max(count, 1), (o, a, 0, offset, *fixed))
        return [rows]


def reduction(body: Callable | None = None, *, dtype: Kind = DEFAULT, vjp: dict[str, Callable] | None = None, init: Any,
              finish: Callable | None = None, before: Callable | None = None, at: Sequence[str] = ("torch", "Tensor"),
              name: str | None = None, empty_error: str | None = None, cost: float = 0.3):
    """Declare a reduction. `init`: start value or "lowest"/"highest"; `finish(acc, n)`; `before(x)` per element."""
    def declare(body: Callable) -> Callable:
        op = Reduction(body, vjp, at, name, dtype, init, finish, empty_error, cost, before)
        _register(op)

        def call(input, dim=None, keepdim=False, *, dtype=None, out=None, **kwargs):
            if kwargs:
                dim = kwargs.pop("axis", dim)
                keepdim = kwargs.pop("keepdims", keepdim)
                if kwargs:
                    raise TypeError(f"{op.name}() got an unexpected keyword argument '{next(iter(kwargs))}'")
            result = op.apply({"x": input, "dim": dim, "keepdim": keepdim, "dtype": dtype})
            return result if out is None else into(out, result)
        call.op, call.__name__, call.__doc__ = op, op.name, op.doc  # type: ignore[attr-defined]
        call.__qualname__, call.__module__ = op.name, body.__module__
        op.call = call  # type: ignore[attr-defined]
        return call
    return declare if body is None else declare(body)


# ---------------------------------------------------------------------------------------------- view
class View(Op):
    """The body maps a Layout to a Layout (or to a tuple of them); the memory is shared."""

    kind = "view"

    def apply(self, args: dict[str, Any]):
        x = args[self.params[0]]
        if not isinstance(x, Tensor):
            raise not_a_tensor(self.name, "input", x)
        if state.tracer is not None:
            return state.tracer.call(self, args)
        got = self.body(x.layout, *[args[p] for p in self.params[1:]])
        if isinstance(got, tuple):
            return tuple(self._one(x, l, args) for l in got)
        return self._one(x, got, args)

    def _one(self, x: Tensor, layout: Layout, args: dict[str, Any]) -> Tensor:
        if layout.dense and x.storage.device is not cpu:
            layout = Layout(layout.shape, layout.strides, layout.offset)
        t = new(Tensor)
        t.storage, t.layout, t.dtype, t.requires_grad, t._node = x.storage, layout, x.dtype, False, None
        base = x._base
        t._base = base = x if base is None else base
        t._stamp = base._rebased
        if x.requires_grad and state.grad:
            self.record(args, t)
        return t

    def __call__(self, *args, **kwargs):
        if not kwargs and len(args) == len(self.params) and not self.checks and state.tracer is None:
            x = args[0]
            if isinstance(x, Tensor) and not x.requires_grad:
                got = self.body(x.layout, *args[1:])
                if type(got) is Layout:
                    if got.dense and x.storage.device is not cpu:
                        got = Layout(got.shape, got.strides, got.offset)
                    t = new(Tensor)
                    t.storage, t.layout, t.dtype, t.requires_grad, t._node = x.storage, got, x.dtype, False, None
                    base = x._base
                    t._base = base = x if base is None else base
                    t._stamp = base._rebased_
                    return t
        return self.apply(self.bind(args, kwargs))

    checks = False


def view(body: Callable | None = None, *, vjp: dict[str, Callable] | None = None,
         at: Sequence[str] = ("torch", "Tensor"), name: str | None = None, packs: str | None = None):
    """Declare a view. `packs`: the parameter that gathers loose integers, as in x.permute(2, 0, 1)."""
    def declare(body: Callable) -> Callable:
        op = View(body, vjp, at, name)
        op.packs = packs  # type: ignore[attr-defined]
        return _plain(_register(op))
    return declare if body is None else declare(body)


def _plain(op: Op) -> Callable:
    """The public function of an op whose arguments go straight to `bind`."""
    packs = getattr(op, "packs", None)
    if packs is not None:
        def call(input, *args, **kwargs):
            if args and (isinstance(args[0], int) or len(args) > 1 or
                         (not isinstance(args[0], tuple | list | D.dtype) and hasattr(args[0], "__index__"))):
                args = (tuple(args),)
            return op(input, *args, **kwargs)
    else:
        def call(*args, **kwargs):
            return op(*args, **kwargs)
    call.op, call.__name__, call.__doc__ = op, op.name, op.doc  # type: ignore[attr-defined]
    call.__qualname__, call.__module__ = op.name, op.body.__module__
    op.call = call  # type: ignore[attr-defined]
    return call


# ---------------------------------------------------------------------------------------------- opaque
class Opaque(Op):
    """The body is the meta function; the kernel is the function of the same name in kernels/cpu (kernels/cuda)."""

    kind = "opaque"

    def __init__(self, body, vjp, at, name, dynamic: bool, half: str):
        super().__init__(body, vjp, at, name)
        self.dynamic, self.half = dynamic, half
        self._kernels: dict[str, Callable] = {}

    def kernel(self, device: devices.device) -> Callable:
        found = self._kernels.get(device.type)
        if found is None:
            import importlib
            file = self.body.__module__.rsplit(".", 1)[1]
            try:
                module = importlib.import_module(f".kernels.{device.type}.{file}", __package__)
                found = getattr(module, self.name)
            except (ImportError, AttributeError) as e:
                raise NotImplementedError(f"{self.name} has no {device.type} kernel yet.") from e
            self._kernels[device.type] = found
        return found

    def __call__(self, *args, out=None, **kwargs):
        result = self.apply(self.bind(args, kwargs))
        return result if out is None else into(out, result)

    def apply(self, args: dict[str, Any]):
        if state.tracer is not None:
            return state.tracer.call(self, args)
        metas = self.body(**args)
        tensors = []
        for v in args.values():
            if isinstance(v, Tensor):
                tensors.append(v)
            elif isinstance(v, list | tuple):
                tensors += [t for t in v if isinstance(t, Tensor)]
        device = common_device(self.name, tensors) if tensors else cpu
        if self.dynamic:
            if device is devices.meta:
                raise NotImplementedError(f"{self.name}: the shape of the result depends on values, which meta tensors "
                                          "do not have.")
            got = self.kernel(device)(**{k: self._ndarray(v, False) for k, v in args.items()})
            from .tensor import tensor_from
            result: Any = tuple(tensor_from(a) for a in got) if isinstance(got, tuple) else tensor_from(got)
        else:
            many = isinstance(metas, tuple)
            outs = [None if m is None else fresh(contiguous(tuple(m.shape)) if m.strides is None else
                                                 Layout(tuple(m.shape), tuple(m.strides)), m.dtype, device)
                    for m in (metas if many else (metas,))]
            if device is not devices.meta:
                halves = self.half != "native"
                arrays = [None if o is None else _rounded(o) if halves and _is_half(o.dtype) else ndarray_of(o)
                          for o in outs]
                self.kernel(device)(*arrays, *[self._ndarray(args[p], halves) for p in self.params])
                if halves:
                    for o, a in zip(outs, arrays):
                        if o is not None and _is_half(o.dtype):
                            _round_into(o, a)
            result = tuple(outs) if many else outs[0]
        if state.grad and self.rules and any(t.requires_grad for t in tensors):
            self.record(args, result)
        return result

    def _ndarray(self, v, halves: bool):
        if isinstance(v, Tensor):
            return float_array(v) if halves and _is_half(v.dtype) else ndarray_of(v)
        if isinstance(v, list | tuple) and any(isinstance(t, Tensor) for t in v):
            return [self._ndarray(t, halves) for t in v]
        return v


def _is_half(d: D.dtype) -> bool:
    return d is D.bfloat16 or d is D.float16


def _rounded(o: Tensor) -> np.ndarray:
    return np.empty(o.layout.shape, np.float32)


def float_array(t: Tensor) -> np.ndarray:
    """A half-type tensor's values as a float32 ndarray."""
    a = ndarray_of(t)
    if t.dtype is D.float16:
        return a.astype(np.float32)
    return (a.astype(np.uint32) << 16).view(np.float32)


def _round_into(o: Tensor, a: np.ndarray) -> None:
    if o.dtype is D.float16:
        ndarray_of(o)[...] = a
        return
    u = np.ascontiguousarray(a).view(np.uint32)
    near = (u + 0x7FFF + ((u >> 16) & 1)) >> 16
    ndarray_of(o)[...] = np.where(np.isnan(a), (u >> 16) | 0x40, near)


def opaque(body: Callable | None = None, *, vjp: dict[str, Callable] | None = None,
           at: Sequence[str] = ("torch", "Tensor"), name: str | None = None, dynamic: bool = False, half: str = "float"):
    """Declare an opaque op."""
    def declare(body: Callable) -> Callable:
        return _plain(_register(Opaque(body, vjp, at, name, dynamic, half)))
    return declare if body is None else declare(body)


# ---------------------------------------------------------------------------------------------- composite
class Composite(Op):
    """The body is Python over other ops. With `vjp`, its parts are not recorded and the rule is used instead."""

    kind = "composite"

    def __init__(self, body, vjp, at, name, fuse: bool):
        super().__init__(body, vjp, at, name)
        self.fuse = fuse

    def __call__(self, *args, out=None, **kwargs):
        if self.rules:
            values = self.bind(args, kwargs)
            result = self.apply(values)
        else:
            if kwargs:
                kwargs = {self.renamed(k): v for k, v in kwargs.items()}
            result = self.body(*args, **kwargs)
        return result if out is None else into(out, result)

    def apply(self, args: dict[str, Any]):
        if not state.grad or not any(isinstance(v, Tensor) and v.requires_grad for v in args.values()):
            return self.body(**args)
        state.grad = False
        try:
            result = self.body(**args)
        finally:
            state.grad = True
        if isinstance(result, Tensor) and any(result is v for v in args.values()):
            result = result.alias()
        self.record(args, result)
        return result


def composite(body: Callable | None = None, *, vjp: dict[str, Callable] | None = None, fuse: bool = False,
              at: Sequence[str] = ("torch", "Tensor"), name: str | None = None, packs: str | None = None):
    """Declare a composite."""
    def declare(body: Callable) -> Callable:
        op = Composite(body, vjp, at, name, fuse)
        op.packs = packs  # type: ignore[attr-defined]
        return _plain(_register(op))
    return declare if body is None else declare(body)
