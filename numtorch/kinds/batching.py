"""Batched tensors: what vmap's function sees, and how every kind computes on a whole batch at once.

Inside vmap a Batched tensor has the shape of one sample; its `value` holds all of them along a leading
dimension. Nested vmaps wrap again, one level each. While a vmap runs, `state.tracer` is the Batcher of the
thread: every Op hands its call over, and the Batcher calls the same Op on the values, one level lower, with
arguments shifted by the rule of its kind: pointwise aligns ranks, reductions and views shift dimensions,
opaque entries have a rule of their own (`vmap=`), a composite without one runs its parts.

Each level has its own tape: a Batched tensor's `requires_grad` and `_node` belong to derivatives taken inside
its vmap, those of its value to derivatives taken outside."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd.engine import Node, edge, rebased, stamp_of
from ..autograd.modes import state
from ..dispatch import UNRECORDED, dims_of, fresh, wrap_dim, written
from ..dtypes import FLOAT, result_type
from ..layouts import Layout, contiguous
from ..overrides import disabled_torch_function
from ..storage import Storage
from ..tensor import Tensor

new = object.__new__

ITEM = ("vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over calling .item() "
        "on a Tensor, please try to rewrite what you're doing with other operations. If error is occurring "
        "somewhere inside PyTorch internals, please file a bug report.")
BRANCH = ("vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. We "
          "don't support that yet, please file an issue at https://github.com/pytorch/pytorch/issues .")
WRITE = ("vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a Tensor `other` "
         "in extra_args that has more elements than `self`. This happened due to `other` being vmapped over "
         "but `self` not being vmapped over in a vmap. Please try to use out-of-place operators instead of "
         "inplace arithmetic. If said operator is being called inside the PyTorch framework, please file a "
         "bug report instead.")
DYNAMIC = ("vmap: We do not support batching operators that can output dynamic shape. Attempted to vmap over "
           "aten::{}. Please file an issue at https://github.com/pytorch/pytorch/issues if you need this "
           "feature.")
# PyTorch's names of the entries whose results have shapes that depend on values.
ATEN = {"nonzero_rows": "nonzero", "distinct": "_unique2", "masked_places": "masked_select",
        "counted": "bincount", "repeated_places": "repeat_interleave.Tensor"}
RANDOM = ("vmap: called random operation while in randomness error mode. Please either use the 'same' or "
          "'different' randomness flags on vmap or perform the randomness operation out of vmap")


class Lanes(Storage):
    """The storage of a Batched tensor: that of its value, which counts the writes. It has no memory that one
    sample could show."""

    __slots__ = ("value",)

    def __init__(self, value: Tensor):
        self.value = value

    device = property(lambda self: self.value.storage.device)
    nbytes = property(lambda self: self.value.storage.nbytes)

    @property
    def array(self):
        raise NotImplementedError("vmap: an operation reads the memory of a batched tensor, which is not "
                                  "that of one sample")

    @property
    def version(self) -> int:
        return self.value.storage.version

    @version.setter
    def version(self, n: int) -> None:
        """Writes are counted where they happen, on the value."""


class Batched(Tensor):
    """All samples of a tensor inside vmap number `level`: `value` along its first dimension, or, if not
    `mapped`, one value for all of them."""

    __slots__ = ("value", "level", "mapped", "path")
    __torch_function__ = disabled_torch_function
    value: Tensor
    level: int
    mapped: bool
    path: tuple  # views that lead from _base to this: (op, parameters) each

    @property
    def dtype(self):
        return self.value.dtype

    @dtype.setter
    def dtype(self, d) -> None:
        self.value.dtype = d

    def alias(self) -> Batched:
        """The same samples, without history at this level."""
        return lanes(self.value, self.level, self.mapped)

    def detach(self) -> Batched:
        """The same samples, outside the tape of every level."""
        return lanes(self.value.detach(), self.level, self.mapped)

    @property
    def data(self):
        """The same samples, outside the tape of every level."""
        return self.detach()

    @data.setter
    def data(self, value) -> None:
        raise RuntimeError("vmap: a batched tensor's .data cannot be set")

    def as_subclass(self, cls: type) -> Any:
        """This tensor: batched tensors have no subclasses."""
        return self

    def __bool__(self) -> bool:
        if not self.mapped:
            return bool(self.value)
        raise RuntimeError(BRANCH)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        where = "0" if self.mapped else "None"
        return f"BatchedTensor(lvl={self.level}, bdim={where}, value=\n    {self.value!r}\n)"

    def __deepcopy__(self, memo: dict) -> Any:
        return self.clone()

    __hash__ = Tensor.__hash__


def lanes(value: Tensor, level: int, mapped: bool = True) -> Batched:
    """`value` as a Batched tensor of that level, its first dimension the batch if mapped."""
    t = new(Batched)
    l = value.layout
    t.value, t.level, t.mapped, t.storage = value, level, mapped, Lanes(value)
    # Never called dense: the fast paths, which read memory, leave it to the general one.
    skip = 1 if mapped else 0
    t.layout = Layout(l.shape[skip:], l.strides[skip:], l.offset)
    t._requires, t._node, t._base = False, None, None
    return t


def level_of(v: Any) -> int:
    """The level of a value: 0 if it is not batched; of a list its highest."""
    if type(v) is Batched:
        return v.level
    if isinstance(v, list | tuple):
        return max([t.level for t in v if type(t) is Batched], default=0)
    return 0


def whole(t: Any) -> Any:
    """All samples of a tensor in one, for checks of values that any of them may fail; others as they are."""
    while type(t) is Batched:
        t = t.value
    return t


def tracked(v: Any) -> bool:
    """Whether v has a history at its own level or at one below."""
    while not v._requires:
        if type(v) is not Batched:
            return False
        v = v.value
    return True


class Call:
    """One call under vmap, as the rules of entries see it.

    call[name] is the argument one level lower, batched ones with the batch in front; call.full(name) has the
    batch in front always (expanded); call.mapped(name) says whether it came so; call.args are the arguments
    of one sample."""

    def __init__(self, op: Any, args: dict[str, Any], level: int, size: int):
        self.op, self.args, self.level, self.size = op, args, level, size

    def lower(self, v: Any) -> Any:
        if type(v) is Batched and v.level == self.level:
            return v.value
        if isinstance(v, list | tuple) and any(isinstance(t, Tensor) for t in v):
            return type(v)([self.lower(t) for t in v])
        return v

    def __getitem__(self, name: str) -> Any:
        return self.lower(self.args[name])

    def is_mapped(self, v: Any) -> bool:
        return type(v) is Batched and v.level == self.level and v.mapped

    def mapped(self, name: str) -> bool:
        return self.is_mapped(self.args[name])

    def filled(self, v: Any) -> Any:
        """A tensor with the batch in front."""
        p = self.lower(v)
        if not isinstance(p, Tensor) or self.is_mapped(v):
            return p
        return p.unsqueeze(0).expand((self.size, *p.shape))

    def full(self, name: str) -> Any:
        v = self.args[name]
        return [self.filled(t) for t in v] if isinstance(v, list | tuple) else self.filled(v)

    def ranked(self, v: Any, rank: int) -> Any:
        """A tensor one level lower, batch in front, then dimensions of size 1 up to `rank` a sample."""
        p = self.lower(v)
        n = len(v.layout.shape)
        if n >= rank or not self.is_mapped(v):
            return p
        return p.view((p.layout.shape[0], *(1,) * (rank - n), *v.layout.shape))

    def again(self, **changes) -> Any:
        """The op itself, one level lower, with these arguments instead."""
        return _run(self.op, {**{k: self[k] for k in self.args}, **changes})


def _run(op: Any, args: dict[str, Any]) -> Any:
    return op.apply(tuple(args.values()) if op.kind == "pointwise" else args)


class Batcher:
    """The interpreter of vmap; installed as `state.tracer` while a mapped function runs. `levels`: (batch
    size, randomness) of each vmap in force; `outer`: the tracer below."""

    batches = True

    def __init__(self, outer: Any):
        self.outer = outer
        self.levels: list[tuple[int, str]] = []

    # ------------------------------------------------------------------------------------------- operations
    def below(self, fn: Callable, *args, **kwargs) -> Any:
        """fn(...) on tensors that are not batched."""
        state.tracer = self.outer
        try:
            return fn(*args, **kwargs)
        finally:
            state.tracer = self

    def call(self, op: Any, args: dict[str, Any]) -> Any:
        """op(**args), whose tensors may be batched."""
        level = 0
        for v in args.values():
            if type(v) is Batched:
                level = max(level, v.level)
            elif type(v) is list or type(v) is tuple:
                level = max(level, level_of(v))
        if op.draws:
            return self.draw(op, args)
        if not level:
            return self.below(_run, op, args)
        own = state.grad and op.rules and self.recorded(args, level)
        result = self.compute(op, args, level)
        if own:
            lifted = {k: self.lifted(v, level) for k, v in args.items()}
            if op.kind == "reduction":
                lifted["dim"] = dims_of(op.name, args["dim"], args["x"].layout.ndim)
            result = self.own_result(result, lifted, level)
            if op.kind == "view" and isinstance(result, tuple):
                for t in result:
                    op.record(lifted, t)
            else:
                op.record(lifted, result)
        return result

    def recorded(self, args: dict[str, Any], level: int) -> bool:
        """Whether an argument is on the tape of that level."""
        for v in args.values():
            for t in v if isinstance(v, list | tuple) else (v,):
                if type(t) is Batched and t.level == level and t._requires:
                    return True
        return False

    def lifted(self, v: Any, level: int) -> Any:
        """Tensors of lower levels as constants of this one, so that its tape does not reach theirs."""
        if isinstance(v, Tensor):
            return lanes(v, level, False) if level_of(v) != level and tracked(v) else v
        if isinstance(v, list | tuple) and any(isinstance(t, Tensor) for t in v):
            return [self.lifted(t, level) for t in v]
        return v

    def own_result(self, result: Any, args: dict[str, Any], level: int) -> Any:
        """Results as new tensors of that level, to be put on its tape."""
        def one(t):
            if not isinstance(t, Tensor):
                return t
            if level_of(t) != level:
                return lanes(t, level, False)
            return t.alias() if any(t is v for v in args.values()) else t
        if isinstance(result, tuple):
            parts = [one(t) for t in result]
            return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
        return one(result)

    def compute(self, op: Any, args: dict[str, Any], level: int) -> Any:
        """The value of a call with batched arguments of that level at most, off the tape of that level."""
        size = self.levels[level - 1][0]
        call = Call(op, args, level, size)
        anything = any(call.is_mapped(t) for v in args.values()
                       for t in (v if isinstance(v, list | tuple) else (v,)))
        if not anything:
            got = _run(op, {k: call.lower(v) for k, v in args.items()})
            return wrapped(got, level, False)
        if op.vmap is not None:
            return wrapped(op.vmap(call), level, True)
        if op.kind == "pointwise":
            return wrapped(op.apply(aligned(call)), level, True)
        if op.kind == "reduction":
            return wrapped(reduced(call), level, True)
        if op.kind == "view":
            return self.viewed(call)
        if op.kind == "composite":
            bare = {k: self.bare(v, level) for k, v in args.items()}
            return op.body(**bare)
        if op.dynamic:
            raise RuntimeError(DYNAMIC.format(ATEN.get(op.name, op.name)))
        raise NotImplementedError(f"vmap: {op.name} has no batching rule yet")

    @staticmethod
    def bare(v: Any, level: int) -> Any:
        """An argument without its history at that level."""
        if type(v) is Batched:
            return v.alias() if v.level == level and v._requires else v
        if isinstance(v, list | tuple) and level_of(v):
            return type(v)([Batcher.bare(t, level) for t in v])
        return v

    def viewed(self, call: Call) -> Any:
        """A view of batched tensors; it knows what it is a view of, for writes through it."""
        op, x = call.op, call.args[call.op.params[0]]
        params = {p: v for p, v in call.args.items() if p != op.params[0]}
        out = wrapped(shown(op, x.value, x.layout, params), call.level, True)
        base = x._base if x._base is not None else x
        path = (*(x.path if x._base is not None else ()), (op, params))
        for t in out if isinstance(out, tuple) else (out,):
            t._base, t.path, t._stamp = base, path, stamp_of(base) if state.grad else UNRECORDED
            if state.grad and not x._requires:
                base.watch(t)
        return out

    # ------------------------------------------------------------------------------------------- writes
    @staticmethod
    def lowered(source: Any, target: Tensor) -> Any:
        """What is written to `target`, without wrappers of higher levels. RuntimeError where a value of each
        sample would go into a tensor that has one for all."""
        level = level_of(target)
        while type(source) is Batched and source.level > level:
            if source.mapped:
                raise RuntimeError(WRITE)
            source = source.value
        if type(source) is Batched and source.level == level and source.mapped and not target.mapped:
            raise RuntimeError(WRITE)
        return source

    def inplace(self, op: Any, target: Tensor, args: dict[str, Any]) -> Tensor:
        """The in-place form of a pointwise op."""
        level = level_of(target)
        args = {k: self.lowered(v, target) for k, v in args.items()}
        if not level:
            return self.below(op.apply, tuple(args.values()), target)
        node = None
        if state.grad and op.rules and self.recorded(args, level):
            lifted = {k: self.lifted(v, level) for k, v in args.items()}
            own = next(p for p, v in args.items() if v is target)
            wanted = tuple([p for p, v in lifted.items() if p in op.rules and isinstance(v, Tensor)
                            and v._requires])
            before = None
            if own in op.needs(wanted):
                e = edge(target)
                before = lanes(target.value.clone(), level, target.mapped)
                if e is not None:
                    before._requires, before._node = True, e
            node = op.record(lifted, target.alias(), own, before)
            if node is not None:
                node.versions = tuple([n + (k == "out") for k, n in zip(node.names, node.versions)])
        call = Call(op, args, level, self.levels[level - 1][0])
        values = aligned(call, target.layout.ndim) if target.mapped else tuple([call[p] for p in op.params])
        op.apply(values, target.value)
        written(target, node)
        return target

    def write(self, target: Tensor, source: Tensor) -> Tensor:
        """target.copy_(source)."""
        from ..ops.convert import _copy
        level, source = level_of(target), self.lowered(source, target)
        if not level:
            return self.below(target.copy_, source)
        if source.layout.shape != target.layout.shape:
            source = source.expand(target.layout.shape)
        call = Call(None, {}, level, self.levels[level - 1][0])
        target.value.copy_(call.ranked(source, target.layout.ndim) if target.mapped else call.lower(source))
        node = None
        source = self.lifted(source, level)
        if state.grad and (target._requires or source._requires) and target.dtype.category >= FLOAT:
            from ..autograd.engine import Meta
            node = Node(_copy, (edge(target) if target._base is None else None, edge(source)), None, (), (),
                        {"src": Meta.of(source)})
        written(target, node)
        return target

    def fill(self, target: Tensor, value: Any) -> Tensor:
        """target.fill_(value)."""
        if isinstance(value, Tensor):
            return self.write(target, value.to(target.dtype).expand(target.layout.shape))
        if not level_of(target):
            return self.below(target.fill_, value)
        from ..ops.write import _fill
        target.value.fill_(value)
        node = None
        if state.grad and target._requires:
            node = Node(_fill, (edge(target), None), None, (), (), {})
        written(target, node)
        return target

    def item(self, t: Tensor) -> Any:
        """t.item(): refused for a batched tensor."""
        if level_of(t):
            if not t.mapped:  # one value for all samples
                return t.value.item()
            raise RuntimeError(ITEM)
        return self.below(t.item)

    # ------------------------------------------------------------------------------------------- randomness
    def randomness(self, level: int = 0) -> tuple[int, int, str]:
        """(level, batch size, what it says about random numbers) of a vmap, the innermost unless told."""
        level = level or len(self.levels)
        size, how = self.levels[level - 1]
        if how == "error":
            raise RuntimeError(RANDOM)
        return level, size, how

    def check_fill(self, t: Tensor) -> None:
        """RuntimeError where one tensor for all samples is to be filled with other numbers for each."""
        level, _, how = self.randomness()
        if how == "different" and not (level_of(t) == level and t.mapped):
            raise RuntimeError("vmap: Cannot ask for different inplace randomness on an unbatched tensor. "
                               "This will appear like same randomness. If this is necessary for your usage, "
                               "please file an issue with functorch.")

    def blank(self, t: Tensor) -> Tensor:
        """A new tensor about to be filled with random numbers, one for each sample where these differ."""
        levels = [k for k in range(1, len(self.levels) + 1) if self.randomness(k)[2] == "different"]
        if not levels:
            return t
        shape = (*[self.levels[k - 1][0] for k in levels], *t.layout.shape)
        out = fresh(contiguous(shape), t.dtype, t.storage.device)
        for k in levels:
            out = lanes(out, k)
        return out

    def draw(self, op: Any, args: dict[str, Any]) -> Any:
        """A random op: as each vmap's randomness says, the innermost first."""
        top, size, how = self.randomness()
        call = Call(op, args, top, size)
        mapped = any(call.is_mapped(v) for v in args.values())
        if how == "same":
            if mapped and op.name != "noise":
                raise RuntimeError("Vmap does not currently support same randomness with a batched tensor "
                                   "input. Please file an issue with functorch")
            if mapped:  # only the shape counts
                x = args["x"]
                blank = fresh(contiguous(x.layout.shape), x.dtype, x.storage.device)
                args = {**args, "x": blank}
        lower = call.lower if how == "same" else call.filled
        args = {k: lower(v) if isinstance(v, Tensor) else v for k, v in args.items()}
        if top == 1:
            return wrapped(self.below(_run, op, args), top, how == "different")
        kept, self.levels = self.levels, self.levels[:-1]
        try:
            return wrapped(self.draw(op, args), top, how == "different")
        finally:
            self.levels = kept


def wrapped(got: Any, level: int, mapped: bool) -> Any:
    """Results one level lower as tensors of this level."""
    if isinstance(got, Tensor):
        return lanes(got, level, mapped)
    if isinstance(got, tuple | list):
        parts = [wrapped(t, level, mapped) for t in got]
        return type(got)(*parts) if hasattr(got, "_fields") else type(got)(parts)
    return got


# ------------------------------------------------------------------------------------------------ kinds
def aligned(call: Call, rank: int = 0) -> tuple:
    """Operands of a pointwise op one level lower: batch in front, samples of one rank, so that broadcasting
    does the rest; of one dtype where ranks had a part in promotion."""
    op, values = call.op, tuple(call.args.values())
    tensors = [v for v in values if isinstance(v, Tensor)]
    rank = max([rank, *[len(v.layout.shape) for v in tensors]])
    out = [call.ranked(v, rank) if isinstance(v, Tensor) else v for v in values]
    if op.kind == "pointwise" and any(call.is_mapped(v) and not v.layout.shape for v in tensors) \
            and op.types(values) != op.types(out):  # a 0-d sample counts less than what stands for it
        skip = (*op.free, *op.numbers)
        d = result_type(*[v for p, v in zip(op.params, values) if p not in skip])
        out = [v.to(d) if isinstance(v, Tensor) and p not in skip else v for p, v in zip(op.params, out)]
    return tuple(out)


def reduced(call: Call) -> Tensor:
    """A reduction one level lower: dimensions counted from after the batch."""
    args, x = call.args, call.args["x"]
    p, dim = x.value, args["dim"]
    dims = dims_of(call.op.name, dim, x.layout.ndim)
    if not x.layout.shape:
        return call.op.apply({**args, "x": p.unsqueeze(1), "dim": (1,), "keepdim": False})
    return call.op.apply({**args, "x": p, "dim": tuple([d + 1 for d in dims])})


def shown(op: Any, p: Tensor, layout: Layout, params: dict[str, Any]) -> Any:
    """The view of one sample (of that layout) `op` with `params`, taken of all samples `p` at once."""
    name, n = op.name, len(layout.shape)
    if name == "view.dtype":
        return op.apply({"x": p, **params})
    got = op.body(layout, *[v for k, v in params.items() if k != "relative"])  # checks what one sample allows
    front = p.layout.shape[0]
    if name in ("view.shape", "squeeze", "unsqueeze"):
        return p.view((front, *got.shape))
    if name == "expand":
        return p.view((front, *(1,) * (len(got.shape) - n), *layout.shape)).expand((front, *got.shape))
    if name == "as_strided":
        return p.as_strided((front, *params["size"]), (p.layout.strides[0], *params["stride"]), got.offset)
    if name == "unfold" and not n:
        return p.view((front, 1)).narrow(1, 0, got.shape[0])
    if name == "t":
        return p.transpose(1, 2) if n == 2 else p.view(p.layout.shape)
    if name == "transpose" and not n:
        return p.view(p.layout.shape)
    if name == "permute":
        return p.permute((0, *[wrap_dim(d, n) + 1 for d in params["dims"]]))
    return op.apply({"x": p, **shifted(params, n)})


def shifted(params: dict[str, Any], n: int) -> dict[str, Any]:
    """Parameters that name dimensions of a sample of n dimensions, moved past the batch."""
    return {k: wrap_dim(v, n) + 1 if k in ("dim", "dim0", "dim1", "dim2", "dimension") else v
            for k, v in params.items()}


# ------------------------------------------------------------------------------- writes through batched views
class _Region:
    """The tape entry of a batched base after one of its views was written to: base with the view's region
    replaced."""

    name, node_name = "copy_slices", "CopySlices"

    def backward(self, node, grads):
        from ..ops.create import ones
        from ..ops.pointwise import where
        g, path = grads[0], node.values["path"]
        out: list[Any] = [None, None]
        if node.edges[1] is not None:
            out[1] = follow(g, path)
        if node.edges[0] is not None:
            from ..dtypes import bool as bool_
            kept = ones(tuple(node.values["shape"]), dtype=bool_, device=g.device)
            follow(kept, path).fill_(False)
            out[0] = where(kept, g, 0)
        return out


_region = _Region()


def follow(x: Tensor, path: tuple) -> Tensor:
    """The views of `path` taken of x."""
    for op, params in path:
        x = op.apply({op.params[0]: x, **params})
    return x


def rebase(x: Batched, base: Batched, node: Node) -> None:
    """`x`, a view of `base`, was written to, and `node` made its new value: both tapes go on from there."""
    made = Node(_region, (edge(base), node), None, (), (), {"path": x.path, "shape": base.layout.shape})
    if not base._requires:
        from ..autograd.engine import awaken
        awaken(base)
    base._node, base._requires = made, True
    rebased(base)
    rederive(x)


def rederive(x: Batched) -> None:
    """Give the batched view `x` the history of its base's present value."""
    base = x._base
    again = base.alias()
    again._requires, again._node = base._requires, base._node
    x._node, x._requires, x._stamp = follow(again, x.path)._node, True, stamp_of(base)
