"""THE choke point. Every operation on tensors passes through an Op: promote → run on the tensors' device →
tape.

An Op is one entry of numtorch/ops: a body, gradient rules and what its kind adds. The kinds (numtorch/kinds)
are its subclasses; here stands what they share: devices, arguments, the tape, in-place and out= rules."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from . import casts, devices
from . import dtypes as D
from .autograd.engine import Meta, Node, Output, awaken, edge, rebased
from .autograd.modes import state
from .dtypes import TITLES
from .kernels import emit, jit
from .layouts import Layout, check_overlap
from .storage import Storage
from .tensor import Tensor

new = object.__new__
empty = np.empty
cpu = devices.cpu

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
            try:
                k = make("cpu").native()
            except jit.KernelError as e:
                name, compute = str(key[1]).partition(".")[0], key[2]
                if compute not in ("complex64", "complex128"):
                    raise
                raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{TITLES[compute]}'") from e
            self.kernels[key] = k
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
    if state.lazy is not None and device is cpu:
        return state.lazy.fresh(layout, d, device)
    t = new(Tensor)
    if device is cpu:
        a = empty(layout.numel, d.numpy)
        t.storage = Storage(a)
    else:
        t.storage = Storage(backend(device).empty(layout.numel, d), device, layout.numel * d.itemsize)
        if layout.dense:  # only CPU layouts are called dense: the fast path is theirs
            layout = Layout(layout.shape, layout.strides, 0)
    t.layout, t.dtype = layout, d
    t._requires, t._node, t._base, t._views = False, None, None, None
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
            raise RuntimeError("Expected all tensors to be on the same device, but found at least two "
                               f"devices, {found} and {d}! (when checking argument in {name})")
    return found


def array_of(t: Tensor):
    """The storage as kernels take it: bits for the half types."""
    a = t.storage.array
    memory = t.dtype.kernel
    return a if a is None or a.dtype == memory else a.view(memory)


def compute_name(d: D.dtype) -> str:
    """The type kernels compute in: float32 and complex64 for the half types."""
    if d is D.complex32:
        return "complex64"
    return "float32" if d.itemsize == 2 and d.is_floating_point else d.name


# ---------------------------------------------------------------------------------------------- entries
class Op:
    """One entry. `inputs` are the arguments that gradients flow to, `statics` the rest."""

    kind = "op"
    node_name: str
    call: Any     # the public function
    inplace: Any  # of a pointwise op: its in-place form
    vmap: Callable[[Any], Any] | None = None  # how to compute a whole batch (kinds/batching.py)
    draws = False  # whether results are random
    packs: str | None = None  # the parameter that gathers loose integers: f(x, 1, 2) as f(x, (1, 2))

    def __init__(self, body: Callable, vjp: dict[str, Callable] | None, at: Sequence[str], name: str | None):
        self.body, self.name, self.at = body, name or body.__name__, tuple(at)
        self.said = self.name.partition(".")[0]  # what errors call it
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

    def record(self, args: dict[str, Any], out: Any, own: str = "",
               before: Tensor | None = None) -> Node | None:
        """Put this call, with all arguments by name, on the tape if an input requires grad; mark the results.

        In-place forms name what they write to (`own`) and give its value `before`, where a rule needs it."""
        edges: list = []
        shapes: list[tuple | None] = []
        wanted: list[str] = []
        for name in self.inputs:
            v = args[name]
            if isinstance(v, Tensor):
                e = edge(v) if v._requires else None
                edges.append(e)
                shapes.append((v.layout.shape, v.dtype))
            elif isinstance(v, list | tuple):
                es = [edge(t) if isinstance(t, Tensor) and t._requires else None for t in v]
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
        names, saved = [], []
        values: dict[str, Any] = {}
        for name in self.needs(tuple(wanted)):
            if name == "out":
                for i, o in enumerate(outs):
                    names.append("out" if len(outs) == 1 else f"out{i}")
                    saved.append(o.alias())
            elif name[:3] == "out" and name[3:].isdigit():  # one of several results: out1
                if (o := outs[int(name[3:])]) is None:
                    values[name] = None
                else:
                    names.append(name)
                    saved.append(o.alias())
            elif name.endswith("_meta") and name not in args:
                v = args[name[:-5]]
                values[name] = [Meta.of(t) for t in v] if isinstance(v, list | tuple) else (
                    Meta.of(v) if isinstance(v, Tensor) else v)
            else:
                v = args[name]
                if isinstance(v, Tensor):
                    names.append(name)
                    saved.append(before if before is not None and name == own else v)
                else:
                    values[name] = v
                    if isinstance(v, list | tuple):  # index tensors, say: kept with their versions
                        for i, t in enumerate(v):
                            if isinstance(t, Tensor):
                                names.append(f"{name}[{i}]")
                                saved.append(t)
        node = Node(self, tuple(edges), tuple(shapes), tuple(names), tuple(saved), values, len(outs))
        if len(outs) == 1:
            o = outs[0]
            if o.dtype.category >= D.FLOAT:
                o._requires, o._node = True, node
        else:
            for i, o in enumerate(outs):
                if o is not None and o.dtype.category >= D.FLOAT:
                    o._requires, o._node = True, Output(node, i)
        return node

    def backward(self, node: Node, grads: Sequence[Any]) -> list:
        """The rules of this entry at a node: one gradient per edge."""
        known = node.known()
        if node.outputs == 1:
            known["g"] = grads[0]
        else:
            known["g"] = tuple(grads)
            if "out0" in known:
                known["out"] = tuple([known.get(f"out{i}") for i in range(node.outputs)])
        results: list = []
        edges = node.edges
        if len(edges) == len(self.inputs):
            for name, e in zip(self.inputs, edges):
                if e is None:
                    results.append(None)
                else:
                    rule, names = self.rules[name]
                    got = rule(*[known[n] for n in names])
                    results.append(got[0] if type(got) in _SEVERAL else got)
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
            raise TypeError(f"{self.said}() takes {len(self.params)} positional "
                            f"argument{'s' if len(self.params) > 1 else ''} but {len(args)} were given")
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
                        raise self.missing([q for q in self.params if q not in values])
                    values[p] = default
        return values

    def missing(self, params: list[str]) -> TypeError:
        """PyTorch's error for required arguments that are not given."""
        names = [f'"{PUBLIC.get(p, p)}"' for p in params
                 if self.signature.parameters[p].default is inspect.Parameter.empty]
        return TypeError(f"{self.said}() missing {len(names)} required positional argument"
                         f"{'s' if len(names) == 1 else ''}: {', '.join(names)}")

    def renamed(self, k: str) -> str:
        if k in self.params:
            return k
        p = PRIVATE.get(k)
        if p is not None and p in self.params:
            return p
        raise TypeError(f"{self.name}() got an unexpected keyword argument '{k}'")

    def __call__(self, *args, **kwargs):
        raise NotImplementedError


_SEVERAL = (list, tuple)
PUBLIC = {"x": "input", "y": "other", "c": "condition"}
PRIVATE = {"input": "x", "self": "x", "other": "y", "condition": "c", "tensor1": "x", "mat1": "x",
           "mat2": "y", "axis": "dim", "keepdims": "keepdim", "end": "y", "exponent": "y", "vec": "y"}

registry: dict[str, Op] = {}


def register(op: Op) -> Op:
    if op.name in registry:
        raise ValueError(f"two entries are called {op.name}")
    registry[op.name] = op
    return op


def not_a_tensor(name: str, argument: str, value, position: int | None = None) -> TypeError:
    """PyTorch's error for an argument that should be a tensor."""
    where = "" if position is None else f" (position {position + 1})"
    return TypeError(f"{name}(): argument '{argument}'{where} must be Tensor, not {type(value).__name__}")


def need_tensors(name: str, *values, names: Sequence[str] = ("input", "other")) -> None:
    """TypeError unless all operands of a function of (input, other) are tensors."""
    for i, (argument, v) in enumerate(zip(names, values)):
        if not isinstance(v, Tensor):
            raise not_a_tensor(name, argument, v, i)


def no_overload(name: str, values: Sequence[Any], kwargs: dict[str, Any] | None = None) -> TypeError:
    """PyTorch's error where none of a function's several signatures takes such arguments."""
    given = ", ".join([type(v).__name__ for v in values]
                      + [f"{k}={type(v).__name__}" for k, v in (kwargs or {}).items()])
    return TypeError(f"{name}() received an invalid combination of arguments - got ({given}), but expected "
                     "one of:")


def unimplemented(kernel: str, d: D.dtype) -> NotImplementedError:
    """PyTorch's error for a dtype that one of its kernels lacks."""
    return NotImplementedError(f"\"{kernel}\" not implemented for '{TITLES[d.name]}'")


PLANS = 4096  # plans kept in one table; beyond that many (shapes that never repeat) it starts anew


def remember(plans: dict, key: tuple, plan: Any) -> Any:
    """Keep a plan in a table that is bounded."""
    if len(plans) >= PLANS:
        plans.clear()
    plans[key] = plan
    return plan


NUMBERS = (int, float, bool, complex, np.number, np.bool_)


def number(v):
    """A NumPy scalar as the Python number it is."""
    return v.item() if isinstance(v, np.generic) else v


def public_function(op: Op, call: Callable | None = None) -> Callable:
    """The public function of an op: `call` where its kind has one. A composite that only calls other ops is
    called without a layer in between."""
    bare = op.kind == "composite" and not op.rules and not getattr(op, "fuse", False)
    body = op.body if bare else op.__call__
    if call is not None:
        pass
    elif op.name in casts.NAMES:
        def call(*args, **kwargs):
            if state.cast is not None:
                return state.cast(call, op.name, args, kwargs)
            return op(*args, **kwargs) if kwargs else body(*args)
    elif op.packs is not None:
        def call(input, *args, **kwargs):
            if args:
                first = args[0]
                if type(first) is int or len(args) > 1 or (
                        not isinstance(first, tuple | list | D.dtype) and hasattr(first, "__index__")):
                    args = (args,)
            return op(input, *args, **kwargs) if kwargs else body(input, *args)
    else:
        def call(*args, **kwargs):
            return op(*args, **kwargs) if kwargs else body(*args)
    call.op, call.__name__, call.__doc__ = op, op.name, op.doc  # type: ignore[attr-defined]
    call.__qualname__, call.__module__ = op.name, op.body.__module__
    op.call = call
    return call


# ---------------------------------------------------------------------------------------------- dimensions
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
        raise IndexError(f"Dimension out of range (expected to be in range of [{-span}, {span - 1}], but got "
                         f"{d})")
    return d % span


def reduced_shape(shape, dims: Sequence[int], keepdim: bool) -> tuple[int, ...]:
    return tuple(1 if i in dims else n for i, n in enumerate(shape) if keepdim or i not in dims)


# ------------------------------------------------------------------------------------------ in place and out=
UNRECORDED = -1  # the stamp of a view that was made outside the tape


def check_inplace(x: Tensor, name: str) -> None:
    """RuntimeError where writing to `x` would break the tape or an expanded tensor."""
    if x._base is not None and state.grad and x._stamp == UNRECORDED and x._base._requires:
        raise RuntimeError("A view was created in no_grad mode and is being modified inplace with grad mode "
                           "enabled. Given that this use case is ambiguous and error-prone, it is forbidden. "
                           "You can clarify your code by moving both the view and the inplace either both "
                           "inside the no_grad block (if you don't want the inplace to be tracked) or both "
                           "outside (if you want the inplace to be tracked).")
    if x._requires and state.grad:
        if x._node is None:
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
        if x._base is not None and x._base._requires and x._base._node is None:
            raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place "
                               "operation.")
    elif x._base is not None and state.grad and x._base._requires and x._base._node is None:
        raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place "
                           "operation.")
    if x.storage.version < 0 and not state.inference:
        raise RuntimeError("Inplace update to inference tensor outside InferenceMode is not allowed.You can "
                           "make a clone to get a normal tensor before doing inplace update.See "
                           "https://github.com/pytorch/rfcs/pull/17 for more details.")
    if x.layout.dense:
        return
    for n, s in zip(x.layout.shape, x.layout.strides):
        if s == 0 and n > 1:
            raise RuntimeError("unsupported operation: more than one element of the written-to tensor refers "
                               "to a single memory location. Please clone() the tensor before performing the "
                               "operation.")



def check_cast(from_: D.dtype, to: D.dtype) -> None:
    """RuntimeError unless results of type `from_` may be stored in `to`."""
    if not D.can_cast(from_, to):
        raise RuntimeError(f"result type {TITLES[from_.name]} can't be cast to the desired output type "
                           f"{TITLES[to.name]}")


def written(x: Tensor, node: Node | None) -> None:
    """After a write to `x`: count it; if it was recorded, the tape continues from `node`, also for what `x`
    views."""
    x.storage.version += 1
    if node is None:
        return
    base = x._base
    if base is None:
        old, fresh_leaf = x._node, not x._requires
        x._node, x._requires = node, True
        rebased(x)
        if fresh_leaf:
            awaken(x)
        elif isinstance(old, Node) and old.extra and "retained" in old.extra:
            node.attach("retained").update(old.extra.pop("retained"))
        return
    from .ops.view import rebase
    rebase(x, base, node)


def check_apart(out, values: Iterable) -> None:
    """RuntimeError where a tensor given as out= shares memory with one of `values` (or of lists in them)."""
    if isinstance(out, list | tuple):
        for o in out:
            check_apart(o, values)
        return
    for v in values:
        if isinstance(v, list | tuple):
            check_apart(out, v)
        elif isinstance(v, Tensor) and isinstance(out, Tensor) and v.storage is out.storage:
            check_overlap(out.layout, v.layout, whole=True)


def into(out, result, exact: bool = False, name: str = "", args: Iterable[Any] = ()):
    """Put results into the tensors given as out=, resizing empty ones; if `exact`, of no other dtype.

    `args`: what the results were computed from: where `out` has the shape of one of those and shares its
    memory, it must be the same elements."""
    if isinstance(result, tuple):
        if len(out) != len(result):
            raise TypeError(f"out= expects {len(result)} tensors, got {len(out)}")
        for o, r in zip(out, result):
            into(o, r, exact, name, args)
        return type(result)(*out) if hasattr(result, "_fields") else tuple(out)
    if not isinstance(out, Tensor):
        raise TypeError(f"argument 'out' must be Tensor, not {type(out).__name__}")
    if state.grad and (out._requires or result._requires):
        raise RuntimeError(f"{name + '(): ' if name else ''}functions with out=... arguments don't support "
                           "automatic differentiation, but one of the arguments requires grad.")
    if out.storage.device is not result.storage.device:
        raise RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices, "
                           f"{result.storage.device} and {out.storage.device}! (when checking argument out)")
    if exact and out.dtype is not result.dtype:
        from .ops.index import c_name
        raise RuntimeError(f"Expected out tensor to have dtype {c_name(result.dtype)}, but got "
                           f"{c_name(out.dtype)} instead")
    check_cast(result.dtype, out.dtype)
    for v in args:
        if isinstance(v, Tensor) and v.storage is out.storage and v.layout.shape == out.layout.shape:
            check_overlap(out.layout, v.layout)
    if out.layout.shape != result.layout.shape:
        if out.layout.numel != 0:
            import warnings
            warnings.warn("An output with one or more elements was resized since it had shape "
                          f"{list(out.layout.shape)}, which does not match the required output shape "
                          f"{list(result.layout.shape)}. This behavior is deprecated, and in a future "
                          "PyTorch release outputs will not be resized unless they have zero elements. You "
                          "can explicitly reuse an out tensor t by resizing it, inplace, to zero elements "
                          "with t.resize_(0).", stacklevel=3)
        out.resize_(result.layout.shape)
    out.copy_(result)
    return out
