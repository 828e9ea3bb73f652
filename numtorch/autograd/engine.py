"""The tape: nodes that remember an operation, and the reverse pass over them.

A node knows its op entry, the edges its gradients leave by, and what the entry's rules name: tensors (with
the version of their memory at that time), parameters, shapes. An edge is the Node that made an input, an
Output for one of several results, the leaf tensor itself, or None where no gradient is wanted."""
from __future__ import annotations

import heapq
import itertools
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from ..layouts import contiguous_strides
from . import anomaly
from .modes import state
from .names import NODES

if TYPE_CHECKING:
    from ..tensor import Tensor

clock = itertools.count()
new: Any = object.__new__
FREED = ("Trying to backward through the graph a second time (or directly access saved tensors after they "
         "have already been freed). Saved intermediate values of the graph are freed when you call "
         ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
         "graph a second time or if you need to access saved tensors after calling backward.")


class Meta:
    """Shape, dtype and device without values: what rules ask of an input (`x_meta`), what opaque ops
    return."""

    __slots__ = ("shape", "dtype", "device", "strides")

    def __init__(self, shape, dtype, device=None, strides=None):
        self.shape, self.dtype, self.device, self.strides = shape, dtype, device, strides

    @classmethod
    def of(cls, t: Tensor) -> Meta:
        m = new(cls)
        layout = t.layout
        m.shape, m.dtype, m.device, m.strides = layout.shape, t.dtype, t.storage.device, layout.strides
        return m

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def numel(self) -> int:
        return prod(self.shape)

    def __repr__(self) -> str:
        return f"Meta({tuple(self.shape)}, {self.dtype})"


class Packed:
    """A saved tensor in the custody of a saved_tensors_hooks context: what `pack` returned, and how to get it
    back."""

    __slots__ = ("value", "unpack", "edge")

    def __init__(self, t: Tensor, hooks: tuple[Callable, Callable]):
        pack, self.unpack = hooks
        self.edge = edge(t)
        before, state.grad = state.grad, False
        try:
            self.value = pack(t.detach())
        finally:
            state.grad = before

    def get(self) -> Tensor:
        """The tensor, with the history it had."""
        before, state.grad = state.grad, False
        try:
            t = self.unpack(self.value)
        finally:
            state.grad = before
        if not hasattr(t, "layout"):
            raise TypeError("Output of saved tensor unpack_hook expected to be a Tensor but got result of "
                            f"type {type(t)}")
        e = self.edge
        if e is None:
            return t
        if not isinstance(e, Node | Output):
            return e  # a leaf: itself
        t = t.detach()
        t._requires, t._node = True, e
        return t


def packed(saved: Sequence[Tensor]) -> tuple:
    """Saved tensors as the innermost saved_tensors_hooks context wants them kept."""
    return tuple([Packed(t, state.packers[-1]) for t in saved])


def versions(saved: Sequence[Tensor]) -> list[int]:
    """The versions of the memory of tensors that the tape keeps. RuntimeError for inference tensors."""
    found = [t.storage.version for t in saved]
    for n in found:
        if n < 0:
            raise RuntimeError("Inference tensors cannot be saved for backward. Please do not use Tensors "
                               "created in inference mode in computation tracked by autograd. To work "
                               "around this, you can make a clone to get a normal tensor and use it in "
                               "autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`.")
    return found


class Node:
    """One recorded operation.

    `edges`: where the gradient of each differentiable input goes. `shapes`: (shape, dtype) of those inputs,
    to which gradients are summed; None where they cannot differ. `saved`: tensors the rules need, called
    `names`, with the `versions` of their memory. `values`: what else the rules need, by name."""

    __slots__ = ("op", "edges", "shapes", "names", "saved", "versions", "values", "seq", "extra", "outputs",
                 "__weakref__")

    def __init__(self, op, edges: tuple, shapes: tuple | None, names: tuple, saved: tuple,
                 values: dict[str, Any], outputs: int = 1):
        self.op, self.edges, self.shapes, self.names = op, edges, shapes, names
        self.versions = versions(saved)
        self.saved: tuple | None = saved if not state.packers else packed(saved)
        self.values, self.outputs = values, outputs
        self.extra: dict[str, dict] | None = None
        self.seq = next(clock)

    # ---- what users see as grad_fn
    def name(self) -> str:
        """The node's name, as PyTorch's: AddBackward0."""
        return NODES.get(self.op.name, self.op.node_name)

    def __repr__(self) -> str:
        return f"<{self.name().rpartition('::')[2]} object at {id(self):#x}>"

    def __getattr__(self, key: str):
        """`_saved_self`, `_saved_other`, `_saved_result`, `_saved_<argument>`: what the node keeps, as
        PyTorch shows it."""
        if key.startswith("_saved_"):
            known, key = self.known(), key[7:]
            for k in (key, _SHOWN.get(key)):
                if k in known:
                    return known[k]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{key}'")

    @property
    def next_functions(self) -> tuple:
        """((node, output index), …) that receive this node's gradients; leaves appear as AccumulateGrad."""
        out: list[tuple[Any, int]] = []
        for e in self.edges:
            if e is None:
                out.append((None, 0))
            elif isinstance(e, Node):
                out.append((typed(e), 0))
            elif isinstance(e, Output):
                out.append((typed(e.node), e.index))
            else:
                out.append((AccumulateGrad(e), 0))
        return tuple(out)

    def attach(self, kind: str) -> dict:
        """The hooks of a kind ("hooks", "prehooks") or the tensors that keep their gradient ("retained")."""
        if self.extra is None:
            self.extra = {}
        return self.extra.setdefault(kind, {})

    def register_hook(self, fn: Callable) -> Handle:
        """Call `fn(grad_inputs, grad_outputs)` after this node's backward; its result replaces
        grad_inputs."""
        return Handle(self.attach("hooks"), fn)

    def register_prehook(self, fn: Callable) -> Handle:
        """Call `fn(grad_outputs)` before this node's backward; what it returns replaces grad_outputs."""
        return Handle(self.attach("prehooks"), fn)

    @property
    def metadata(self) -> dict:
        return self.attach("metadata")

    # ---- the reverse pass
    def known(self) -> dict[str, Any]:
        """All saved values by name."""
        saved = self.saved
        if saved is None:
            raise RuntimeError(FREED)
        out = dict(self.values)
        for key, t, then in zip(self.names, saved, self.versions):
            if type(t) is Packed:
                t = t.get()
            elif t.storage.version != then:
                raise RuntimeError(self._changed(key, t, then))
            out[key] = t
        if state.grad:
            for i in range(self.outputs):
                key = "out" if self.outputs == 1 else f"out{i}"
                if key in self.names:
                    alias = out[key].alias()
                    if not (alias.dtype.is_floating_point or alias.dtype.is_complex):
                        continue
                    out[key] = alias
                    alias._requires = True
                    alias._node = self if self.outputs == 1 else Output(self, i)
        return out

    def _changed(self, key: str, t: Tensor, then: int) -> str:
        maker = self if key == "out" or (key[:3] == "out" and key[3:].isdigit()) else t._node
        needed = _NAMED.get(key, repr(key))
        return changed(t, then, maker) + f"\n{self.name()} needs {needed} as it was when the operation ran."

    def backward(self, grads: Sequence[Any]) -> list:
        """Gradients of the edges' inputs for the cotangents of the results (None: no contribution)."""
        return self.op.backward(self, grads)

    def release(self) -> None:
        if self.saved:  # what saves nothing can run again, as in PyTorch
            self.saved = None


_SHOWN = {"self": "x", "input": "x", "other": "y", "result": "out", "exponent": "y"}
_NAMED = {"out": "its result", "x": "its first argument", "y": "its second argument"}


def changed(t: Tensor, then: int, maker: Any) -> str:
    """PyTorch's words for a saved tensor that was written to; `maker`: the node (or Output) that made it."""
    origin = ""
    if maker is not None:
        node, index = (maker.node, maker.index) if isinstance(maker, Output) else (maker, 0)
        origin = f", which is output {index} of {node.name().rpartition('::')[2].partition('Backward')[0]},"
    hint = ("enable anomaly detection to find the operation that failed to compute its gradient, with "
            "torch.autograd.set_detect_anomaly(True, check_nan=False).")
    if anomaly.enabled():
        hint = ("the backtrace further above shows the operation that failed to compute its gradient. The "
                "variable in question was changed in there or anywhere later. Good luck!")
    return ("one of the variables needed for gradient computation has been modified by an inplace operation: "
            f"[{t.type()} {list(t.layout.shape)}]{origin} is at version {t.storage.version}; expected "
            f"version {then} instead. Hint: {hint}")


_types: dict[tuple[type, str], type] = {}


def typed(node: Node) -> Node:
    """The node as users see it: an instance of a type with its name (type(y.grad_fn).__name__ ==
    'MulBackward0')."""
    plain, name = type(node), node.name().rpartition("::")[2]
    if plain.__name__ != name:
        made = _types.get((plain, name))
        if made is None:
            made = _types[plain, name] = type(name, (plain,), {"__slots__": ()})
        node.__class__ = made
    return node


class Output:
    """The edge to result `index` of a node with several results."""

    __slots__ = ("node", "index", "__weakref__")

    def __init__(self, node: Node, index: int):
        self.node, self.index = node, index


class AccumulateGrad:
    """The end of the tape at a leaf: adds what arrives to the leaf's `grad`."""

    def __init__(self, variable: Tensor):
        self.variable = variable

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    next_functions = ()

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self):#x}>"

    def register_hook(self, fn: Callable) -> Handle:
        return self.variable.register_post_accumulate_grad_hook(lambda t: fn((), (t.grad,)))


class Handle:
    """Takes a hook away again: `remove()`; a context manager too."""

    _ids = itertools.count()
    leaves = 0  # changes so far to the hooks of all leaves

    def __init__(self, hooks: dict, fn: Callable, leaf: bool = False):
        self.id, self.leaf = next(Handle._ids), leaf
        Handle.leaves += leaf
        self._hooks = weakref.ref(hooks) if hasattr(hooks, "__weakref__") else (lambda: hooks)
        hooks[self.id] = fn

    def remove(self) -> None:
        hooks = self._hooks()
        if hooks is not None and hooks.pop(self.id, None) is not None:
            Handle.leaves += self.leaf

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exc) -> None:
        self.remove()


def opened(e: Any) -> Any:
    """An edge at which the gradient will be looked at. A node that does not know it, because it stands for
    several operations, lets those take its place."""
    if type(e) is Output and e.node.extra and "open" in e.node.extra:
        e.node.extra["open"](e.node)  # type: ignore[operator]
    return e


def edge(t: Tensor):
    """Where a gradient for `t` goes."""
    if not t._requires:
        return None
    base = t._base
    if base is not None and t._stamp != stamp_of(base) and base._requires:
        from ..ops.view import rederive
        rederive(t)
    node = t._node
    return t if node is None else node


def run(roots: Sequence[tuple[Any, Any]], keep: bool, create: bool, targets: Sequence[Any] | None,
        accumulate: bool) -> list:
    """The reverse pass from `roots` [(edge, cotangent)]. With `targets` (edges), returns their gradients;
    with `accumulate`, leaves get theirs in `.grad`. Nodes run from the newest to the oldest. A leaf with
    hooks after its accumulation gets its gradient once every edge to it has delivered, others at the end."""
    wanted: dict[Any, Any] = {}
    if targets is not None:
        for e in [opened(e) for e in targets]:
            place = (e.node, e.index) if type(e) is Output else (e, 0) if isinstance(e, Node) else (id(e), -1)
            wanted[place] = None
        needed = _reaching(roots, wanted)
    else:
        needed = None
    pending: dict[Node, list] = {}
    heap: list[tuple[int, Node]] = []
    leaves: dict[int, list] = {}
    due = _due(roots) if accumulate and watched else {}
    ready: list[int] = []

    def arrived(key: int) -> None:
        """Count one delivery to a leaf that waits for all of its own."""
        due[key] -= 1
        if not due[key] and key in leaves:
            ready.append(key)

    def send(e, g) -> None:
        if type(e) is Node or isinstance(e, Node):
            node, i = e, 0
        elif type(e) is Output:
            node, i = e.node, e.index
        else:
            slot = leaves.get(id(e))
            if slot is None:
                leaves[id(e)] = [e, g]
            else:
                slot[1] = slot[1] + g
            if id(e) in due:
                arrived(id(e))
            return
        slot = pending.get(node)
        if slot is None:
            if needed is not None and node not in needed and (node, i) not in wanted:
                return
            slot = pending[node] = [None] * node.outputs
            heapq.heappush(heap, (-node.seq, node))
        slot[i] = g if slot[i] is None else slot[i] + g

    def finish(key: int) -> None:
        """Hand a leaf its total gradient."""
        slot = leaves.pop(key)
        t, g = slot
        slot[1] = None
        if not (accumulate or (key, -1) in wanted):
            return
        if t._hooks:
            for fn in list(t._hooks.values()):
                g = hooked(fn, g)
        if (key, -1) in wanted:
            wanted[(key, -1)] = g
        else:
            del slot
            accumulate_into(t, g, create)

    before, outer = state.grad, state.callbacks
    state.grad, state.callbacks = create, []
    checked = anomaly.enabled()
    try:
        for e, g in roots:
            if e is not None:
                send(e, g)
        while heap:
            node = heapq.heappop(heap)[1]
            grads = pending.pop(node)
            extra = node.extra
            if extra:
                for fn in list(extra.get("prehooks", {}).values()):
                    got = fn(tuple(grads))
                    if got is not None:
                        grads = list(got) if isinstance(got, tuple) else [got]
                for i, ref in extra.get("retained", {}).items():
                    t = ref()
                    if t is not None and grads[i] is not None:
                        retain(t, grads[i], create)
            if wanted:
                for i in range(node.outputs):
                    if (node, i) in wanted:
                        wanted[(node, i)] = grads[i]
                if needed is not None and node not in needed:
                    continue
            results = node.backward(grads)
            if checked:
                anomaly.check(node, results)
            if extra and "hooks" in extra:
                for fn in list(extra["hooks"].values()):
                    got = fn(tuple(results), tuple(grads))
                    if got is not None:
                        results = list(got) if isinstance(got, tuple) else [got]
            if not keep:
                node.release()
            del grads
            shapes, results = node.shapes, results[::-1]
            for i, e in enumerate(node.edges):
                g = results.pop()
                if e is None or g is None:
                    if due and id(e) in due:
                        arrived(id(e))
                    continue
                if shapes is not None and shapes[i] is not None:
                    shape, dtype = shapes[i]
                    s = g.layout.shape
                    if len(s) != len(shape) or s != shape:
                        check_shape(node, i, g.layout.shape, shape)
                        g = g.sum_to_size(shape)
                    if g.dtype is not dtype:
                        g = _as_type(g, dtype)
                send(e, g)
                g = None
            while ready:
                finish(ready.pop(0))
        while leaves:
            finish(next(iter(leaves)))
        for fn in state.callbacks:
            fn()
    finally:
        state.grad, state.callbacks = before, outer
    return [wanted[(e.node, e.index) if type(e) is Output else (e, 0) if isinstance(e, Node) else (id(e), -1)]
            for e in targets] if targets is not None else []


watched: list[bool] = []  # True once a leaf has had a hook that runs after accumulation


def _due(roots) -> dict[int, int]:
    """How many edges lead to each leaf that has such hooks, from all nodes that the roots reach."""
    due: dict[int, int] = {}
    seen: set[Node] = set()
    stack = []

    def follow(e) -> None:
        node = e.node if type(e) is Output else e
        if isinstance(node, Node):
            if node not in seen:
                seen.add(node)
                stack.append(node)
        elif node is not None and node._after:
            due[id(node)] = due.get(id(node), 0) + 1

    for e, _ in roots:
        follow(e)
    while stack:
        for e in stack.pop().edges:
            follow(e)
    return due


def _as_type(g, dtype):
    if g.dtype.is_complex and not dtype.is_complex:
        g = g.real
    return g.to(dtype)


def _reaching(roots, wanted) -> set:
    """Nodes from which some wanted edge can be reached."""
    reach: dict[Node, bool] = {}
    stack: list = [(e.node if type(e) is Output else e, False)
                   for e, _ in roots if isinstance(e, Output | Node)]
    while stack:
        node, done = stack.pop()
        if done:
            found = False
            for e in node.edges:
                if e is None:
                    continue
                if isinstance(e, Node):
                    found = found or reach.get(e, False) or (e, 0) in wanted
                elif type(e) is Output:
                    found = found or reach.get(e.node, False) or (e.node, e.index) in wanted
                else:
                    found = found or (id(e), -1) in wanted
            reach[node] = found
            continue
        if node in reach:
            continue
        reach[node] = False
        stack.append((node, True))
        for e in node.edges:
            inner = e.node if type(e) is Output else e
            if isinstance(inner, Node) and inner not in reach:
                stack.append((inner, False))
    return {n for n, yes in reach.items() if yes}


def hooked(fn: Callable, g: Tensor) -> Tensor:
    """The gradient after a tensor hook: what it returned, else `g`."""
    got = fn(g)
    if got is None:
        return g
    if not hasattr(got, "layout"):
        raise TypeError(f"expected Variable, but hook returned '{type(got).__name__}'")
    name = getattr(fn, "__name__", type(fn).__name__)
    if tuple(got.layout.shape) != tuple(g.layout.shape):
        raise RuntimeError(f"hook '{name}' has changed the size of value")
    if got.dtype is not g.dtype:
        raise RuntimeError(f"hook '{name}' has changed the type of value (was {g.type()} got {got.type()})")
    return got


def check_shape(node: Node, i: int, got, shape) -> None:
    """RuntimeError unless a gradient of shape `got` sums to `shape`."""
    lead = len(got) - len(shape)
    if lead < 0 or any(n != 1 and n != m for n, m in zip(shape, got[lead:])):
        raise RuntimeError(f"Function {node.name()} returned an invalid gradient at index {i} - got "
                           f"{list(got)} but expected shape compatible with {list(shape)}")


def retain(t: Tensor, g: Tensor, create: bool) -> None:
    """t.grad += g for a non-leaf that retains its gradient."""
    if create:
        t._grad = g.clone() if t.grad is None else t.grad + g
    else:
        t._grad = g.detach().clone() if t.grad is None else (t.grad + g).detach()


def own(g: Tensor, t: Tensor) -> Tensor:
    """A copy of `g` with memory of its own, in the dimension order of the leaf `t` where that is dense."""
    strides = t.layout.strides if t.layout.covers() else contiguous_strides(t.layout.shape)
    copy = g.clone()
    if copy.layout.strides != strides and copy.layout.numel:
        from ..ops.create import empty_strided
        copy = empty_strided(tuple(t.layout.shape), strides, dtype=g.dtype, device=g.device).copy_(copy)
    return copy


def accumulate_into(t: Tensor, g: Tensor, create: bool) -> None:
    """t.grad += g, taking `g` itself where nobody else holds it (then no copy is made)."""
    with _turn:
        if t.grad is None:
            if create:
                t._grad = own(g, t)
            else:
                # Held by: the caller chain's `g` variables and the argument tuple; its storage by g alone, or
                # by g and the tensor that only g still views (the transposed gradient of a weight).
                base = g._base
                alone = sys.getrefcount(g) <= _ALONE and (
                    sys.getrefcount(g.storage) <= 2 if base is None else
                    sys.getrefcount(base) <= 3 and sys.getrefcount(g.storage) <= 3
                    and g.layout.numel == base.layout.numel)
                if (alone and g.layout.strides == t.layout.strides and not g._requires
                        and (g.layout.dense or g.layout.covers())):
                    g._base = None
                    t._grad = g
                else:
                    before, state.grad = state.grad, False
                    try:
                        t._grad = own(g.detach(), t)
                    finally:
                        state.grad = before
        elif create:
            t._grad = t.grad + g
        else:
            before, state.grad = state.grad, False
            try:
                t.grad.add_(g)
            finally:
                state.grad = before
    after = t._after
    if after:
        for fn in list(after.values()):
            fn(t)


_turn = threading.Lock()  # backward passes of several threads meet at the leaves


def stamp_of(base: Tensor) -> int:
    """How often the history of `base` was rebased: views made before derive theirs anew."""
    views = base._views
    return 0 if views is None else views[0]


def rebased(base: Tensor) -> None:
    """Count that the history of `base` was replaced."""
    views = base._views
    if views is None:
        base._views = [1, 64]
    else:
        views[0] += 1


def awaken(base: Tensor) -> None:
    """The tape has reached the memory of `base`: views of it that were made before follow."""
    views = base._views
    if views:
        for ref in views[2:]:
            t = ref()
            if t is not None:
                t._requires = True
        del views[2:]


# References to a gradient that only the engine holds, as sys.getrefcount counts them inside accumulate_into:
# the caller's variable, the parameter, and getrefcount's own argument (tests/test_autograd.py checks it).
_ALONE = 3


def backward(tensors, grad_tensors=None, retain_graph: bool | None = None, create_graph: bool = False,
             inputs=None) -> None:
    """Accumulate d(sum of tensors · grad_tensors)/d(leaf) into the leaves' `.grad`.

    tensors: one or more. RuntimeError where a cotangent is left out for a tensor of several elements."""
    if state.taking or state.tracer is not None and state.tracer.batches:
        raise RuntimeError("backward() called inside a functorch transform. This is not supported, please "
                           "use functorch.grad or functorch.vjp instead or call backward() outside of "
                           "functorch transforms.")
    tensors = (tensors,) if hasattr(tensors, "layout") else tuple(tensors)
    grads = _cotangents(tensors, grad_tensors)
    keep = create_graph if retain_graph is None else retain_graph
    roots = [(edge(t), g) for t, g in zip(tensors, grads)]
    if inputs is not None:
        inputs = (inputs,) if hasattr(inputs, "layout") else tuple(inputs)
        for i, t in enumerate(inputs):
            if not hasattr(t, "layout"):
                raise TypeError(f"inputs[{i}] must be a Tensor, not {type(t).__name__}")
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        for t, g in zip(inputs, run(roots, keep, create_graph, [edge(t) for t in inputs], False)):
            if g is not None:
                accumulate_into(t, g, create_graph)
        return
    run(roots, keep, create_graph, None, True)


def _cotangents(tensors, grads) -> list:
    grads = [None] * len(tensors) if grads is None else ([grads] if hasattr(grads, "layout") else list(grads))
    for g in grads:
        if g is not None and not hasattr(g, "layout"):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
    if len(grads) != len(tensors):
        raise RuntimeError(f"got {len(tensors)} tensors and {len(grads)} gradients")
    out = []
    for i, (t, g) in enumerate(zip(tensors, grads)):
        if not t._requires:
            raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")
        if g is None:
            if t.layout.numel != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if not (t.dtype.is_floating_point):
                raise RuntimeError("grad can be implicitly created only for real scalar outputs but got "
                                   f"{t.dtype!r}")
            from ..ops.create import ones_like
            g = ones_like(t.detach())
        elif tuple(g.layout.shape) != tuple(t.layout.shape):
            raise RuntimeError(f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and "
                               f"output[{i}] has a shape of {t.shape}.")
        out.append(g)
    return out


def grad(outputs, inputs, grad_outputs=None, retain_graph: bool | None = None, create_graph: bool = False,
         only_inputs: bool = True, allow_unused: bool | None = None, is_grads_batched: bool = False,
         materialize_grads: bool = False) -> tuple:
    """Gradients of `outputs` (weighted by `grad_outputs`) for `inputs`, without touching `.grad`."""
    outputs = (outputs,) if hasattr(outputs, "layout") else tuple(outputs)
    single = hasattr(inputs, "layout") or hasattr(inputs, "output_nr")
    inputs = (inputs,) if single else tuple(inputs)
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but "
                         "got: allow_unused=False.")
    if is_grads_batched:
        from ..ops.join import stack
        batches = [grad_outputs] if hasattr(grad_outputs, "layout") else grad_outputs
        rows = [grad(outputs, inputs, [g[i] for g in batches], True, create_graph, allow_unused=allow_unused,
                     materialize_grads=materialize_grads) for i in range(len(batches[0]))]
        return tuple(None if col[0] is None else stack(col) for col in zip(*rows))
    cotangents = _cotangents(outputs, grad_outputs)
    keep = create_graph if retain_graph is None else retain_graph
    targets = []
    for t in inputs:
        if hasattr(t, "layout"):
            if not t._requires:
                raise RuntimeError("One of the differentiated Tensors does not require grad")
            targets.append(edge(t))
        elif isinstance(t.node, AccumulateGrad):  # a GradientEdge of a leaf
            targets.append(t.node.variable)
        else:
            targets.append(t.node if t.node.outputs == 1 else Output(t.node, t.output_nr))
    found = run([(edge(t), g) for t, g in zip(outputs, cotangents)], keep, create_graph, targets, False)
    out = []
    for i, (t, g) in enumerate(zip(inputs, found)):
        if g is None:
            if materialize_grads and hasattr(t, "layout"):
                from ..ops.create import zeros_like
                g = zeros_like(t)
            elif not allow_unused:
                raise RuntimeError(f"The differentiated Tensor at index {i} appears to not have been used in "
                                   "the graph. Set allow_unused=True if this is the desired behavior.")
        out.append(g)
    return tuple(out)
