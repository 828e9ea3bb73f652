"""Graphs as plain data (what JSON holds) and back: operations by their entry's name, layouts, dtypes,
numbers.

Reading trusts nothing: names are looked up in the registry, and every shape, layout and dtype is checked
against what the operation would make itself, so that no kernel is given memory it would run out of."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import dtypes as D
from ..dispatch import cpu, reduced_shape, registry
from ..kinds.opaque import Opaque
from ..kinds.pointwise import RESERVED, Plan, Pointwise
from ..kinds.reduction import Reduction
from ..layouts import Layout, Size, broadcast, contiguous
from ..random import Generator, default_generator
from ..tensor import Tensor
from .graph import Graph, Node, Out, Ref, Value
from .interpret import tensor_on
from .number import plain

VALUES = 1_000_000        # values of one graph
ELEMENTS = 1 << 40        # elements of one value
NDIM = 64


def damaged(why: str) -> RuntimeError:
    """The error of a document that does not describe a graph."""
    return RuntimeError(f"the saved graph is damaged: {why}")


# ---------------------------------------------------------------------------------------------- writing
def static(v: Any, ref: Callable[[Ref], Any] | None = None) -> Any:
    """A value that is no tensor, as plain data. NotImplementedError for what cannot be saved."""
    v = plain(v)
    if v is None or type(v) in (bool, int, str):
        return v
    if type(v) is float:
        return {"float": v.hex()}
    if type(v) is complex:
        return {"complex": [v.real.hex(), v.imag.hex()]}
    if type(v) is Ref and ref is not None:
        return ref(v)
    if isinstance(v, D.dtype):
        return {"dtype": v.name}
    if isinstance(v, np.generic):
        return static(v.item())
    if isinstance(v, Generator):
        if v is not default_generator:
            raise NotImplementedError("a generator of its own cannot be part of a saved graph; only the "
                                      "default one can")
        return {"generator": "default"}
    for name, kind in (("list", list), ("size", Size), ("tuple", tuple)):
        if type(v) is kind:
            return {name: [static(x, ref) for x in v]}
    if type(v) is slice:
        return {"slice": [static(x) for x in (v.start, v.stop, v.step)]}
    raise NotImplementedError(f"a value of type {type(v).__name__} cannot be part of a saved graph")


def dump(graph: Graph) -> dict:
    """The graph without its values."""
    number: dict[int, int] = {}
    values: list[list] = []

    def name(v: Value) -> int:
        if id(v) not in number:
            number[id(v)] = len(values)
            values.append([v.dtype.name, v.numel])
        return number[id(v)]

    def ref(r: Ref) -> dict:
        return {"ref": [name(r.value), *layout_of(r)]}

    def out(o: Out | None) -> Any:
        if o is None:
            return None
        base = None if o.base is None else name(o.base)
        return [name(o.value), *layout_of(o), base]
    for v in graph.inputs:
        name(v)
    nodes = []
    for n in graph.nodes:
        doc: dict[str, Any] = {"kind": n.kind}
        if n.kind == "map":
            doc |= {"op": n.what.tag[1] if n.what.tag[0] == "pointwise" else "copy",
                    "compute": n.what.tag[-1],
                    "shape": list(n.what.shape)}
        elif n.kind == "fold":
            dims, keepdim, dtype = n.extra
            doc |= {"op": n.name, "dims": list(dims), "keepdim": bool(keepdim), "dtype": static(dtype)}
        elif n.kind == "call":
            doc |= {"op": n.name}
        doc["ins"] = [[k, static(v, ref)] for k, v in n.ins.items()] if n.kind == "call" else \
            [static(v, ref) for v in n.ins]
        doc["outs"] = [out(o) for o in n.outs]
        nodes.append(doc)
    return {"values": values, "inputs": len(graph.inputs), "nodes": nodes,
            "outputs": [name(v) for v in graph.outputs]}


def layout_of(r: Ref | Out) -> list:
    """[dtype, shape, strides, offset]."""
    return [r.dtype.name, list(r.layout.shape), list(r.layout.strides), r.layout.offset]


# ---------------------------------------------------------------------------------------------- reading
def whole(v: Any, least: int = 0, most: int = ELEMENTS) -> int:
    """An int in a range."""
    if type(v) is not int or not least <= v <= most:
        raise damaged(f"{str(v)[:40]!r} is not a number from {least} to {most}")
    return v


def dtype(name: Any) -> D.dtype:
    """The dtype of that name."""
    found = D.by_name.get(name) if type(name) is str else None
    if found is None:
        raise damaged(f"there is no dtype {str(name)[:40]!r}")
    return found


def layout(shape: Any, strides: Any, offset: Any) -> Layout:
    """A layout with non-negative strides."""
    if type(shape) is not list or type(strides) is not list or not len(shape) == len(strides) <= NDIM:
        raise damaged("a layout is malformed")
    shape, strides = tuple([whole(n) for n in shape]), tuple([whole(s) for s in strides])
    numel = 1
    for n in shape:
        numel = whole(numel * n)
    return contiguous(shape).at(shape, strides, whole(offset))


def load_static(doc: Any, ref: Callable[[Any], Any] | None = None) -> Any:
    """The value that `static` wrote."""
    if doc is None or type(doc) in (bool, int, str):
        return doc
    if type(doc) is not dict or len(doc) != 1:
        raise damaged("a value is malformed")
    (kind, v), = doc.items()
    try:
        if kind == "float":
            return float.fromhex(v)
        if kind == "complex":
            return complex(*map(float.fromhex, v))
        if kind == "ref" and ref is not None:
            return ref(v)
        if kind == "dtype":
            return dtype(v)
        if kind == "generator" and v == "default":
            return default_generator
        if kind in ("list", "size", "tuple"):
            return {"list": list, "size": Size, "tuple": tuple}[kind]([load_static(x, ref) for x in v])
        if kind == "slice":
            return slice(*[load_static(x) for x in v])
    except (TypeError, ValueError, OverflowError) as e:
        raise damaged(f"a value is malformed ({e})") from None
    raise damaged(f"values of kind {str(kind)[:40]!r} are unknown")


class Loader:
    """Builds a Graph from a document of fixed sizes."""

    def __init__(self, doc: dict):
        try:
            self.values = [self.made(*v) for v in doc["values"]]
            self.known = set(range(whole(doc["inputs"], 0, len(self.values))))
            self.inputs = [self.values[i] for i in range(len(self.known))]
            nodes = [self.node(n) for n in doc["nodes"]]
            outputs = [self.value(i) for i in doc["outputs"]]
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as e:
            raise damaged(f"{type(e).__name__}: {e}") from e
        self.graph = Graph(nodes, self.inputs, outputs)

    def made(self, name: Any, numel: Any) -> Value:
        return Value(None, dtype(name), whole(numel), None, None, cpu)

    def value(self, i: Any) -> Value:
        if type(i) is not int or i not in self.known:
            raise damaged(f"value {str(i)[:40]} is used before it is made")
        return self.values[i]

    def within(self, v: Value, seen: Layout, d: D.dtype) -> None:
        """Layouts reach no further than their block."""
        if seen.numel and seen.span() * d.itemsize > v.numel * v.dtype.itemsize:
            raise damaged("a layout reaches past the end of its memory")

    def ref(self, doc: Any) -> Ref:
        i, d, shape, strides, offset = doc
        v, seen, d = self.value(i), layout(shape, strides, offset), dtype(d)
        self.within(v, seen, d)
        return Ref(v, seen, d)

    def out(self, doc: Any) -> Out | None:
        if doc is None:
            return None
        i, d, shape, strides, offset, base = doc
        i = whole(i, 0, len(self.values) - 1)
        if i in self.known:
            raise damaged(f"value {i} is made twice")
        v, seen, d = self.values[i], layout(shape, strides, offset), dtype(d)
        self.within(v, seen, d)
        before = None if base is None else self.value(base)
        if before is not None and (before.numel, before.dtype) != (v.numel, v.dtype):
            raise damaged("a part of a block is written as a block of another size")
        if before is None and not (seen.covers() and not seen.offset
                                   and seen.numel * d.itemsize == v.numel * v.dtype.itemsize):
            raise damaged("a block is written in part, and the rest of it comes from nowhere")
        if before is not None and not seen.distinct():
            raise damaged("elements are written twice")
        return Out(v, seen, d, before)

    def node(self, doc: Any) -> Node:
        kind = doc["kind"]
        if kind == "call":
            what: Any = self.op(doc["op"], Opaque)
            ins: Any = {}
            for k, v in doc["ins"]:
                ins[k] = load_static(v, self.ref)
            if set(ins) != set(what.params):
                raise damaged(f"{what.name} has other arguments")
        else:
            ins = [load_static(v, self.ref) for v in doc["ins"]]
        outs = [self.out(o) for o in doc["outs"]]
        read: dict[str, Callable] = {"map": self.map, "fold": self.fold, "call": self.call, "fill": self.fill}
        node = read[kind](doc, ins, outs)
        for o, raw in zip(outs, doc["outs"]):
            if o is not None:
                o.value.node = node
                self.known.add(raw[0])
        return node

    def op(self, name: Any, kind: type) -> Any:
        found = registry.get(name) if type(name) is str else None
        if type(found) is not kind:
            raise RuntimeError(f"the saved graph calls {str(name)[:60]!r}, which this version of numtorch "
                               "does not have as "
                               f"a {kind.__name__.lower()} operation")
        return found

    def map(self, doc: dict, ins: list, outs: list) -> Node:
        copy = doc["op"] == "copy"
        op = self.op("copy.op" if copy else doc["op"], Pointwise)
        compute = doc["compute"]
        dtype(compute)
        shape = tuple([whole(n) for n in doc["shape"]])
        if len(ins) != len(op.params) or len(outs) != op.results or None in outs:
            raise damaged(f"{op.name} has another number of operands")
        for v in ins:
            if type(v) is not Ref:
                if type(v) not in (bool, int, float, complex):
                    raise damaged(f"an operand of {op.name} is no number")
            elif broadcast(v.layout.shape, shape) != shape:
                raise damaged(f"an operand of {op.name} has another shape")
        if any(tuple(o.layout.shape) != shape for o in outs) or not any(type(v) is Ref for v in ins):
            raise damaged(f"the result of {op.name} has another shape")
        named = [(p + "_" if p in RESERVED else p, tensor_on(EMPTY, v.layout, v.dtype) if type(v) is Ref
                  else v)
                 for p, v in zip(op.params, ins)]
        if copy:
            named = [("x", v) for _, v in named]
        tag = ("copy", compute) if copy else ("pointwise", op.name, compute)
        what = Plan("copy" if copy else op.name, tag, op.build(compute), named,
                    [(o.layout, o.dtype) for o in outs], shape, cpu, op.cost)
        return Node("map", what, ins, outs)

    def fold(self, doc: dict, ins: list, outs: list) -> Node:
        op = self.op(doc["op"], Reduction)
        x, = ins
        o, = outs
        dims = tuple([whole(d, 0, len(x.layout.shape) - 1) for d in doc["dims"]])
        keepdim, d = doc["keepdim"], load_static(doc["dtype"])
        if len(set(dims)) != len(dims) or type(keepdim) is not bool or not (d is None
                                                                            or isinstance(d, D.dtype)):
            raise damaged(f"{op.name} is malformed")
        _, like, kind, *_ = op.plan(tensor_on(EMPTY, x.layout, x.dtype), dims if dims else None, keepdim, d)
        if tuple(o.layout.shape) != tuple(reduced_shape(x.layout.shape, dims,
                                                        keepdim)) or kind is not o.dtype:
            raise damaged(f"the result of {op.name} has another shape or type")
        return Node("fold", op, ins, outs, (dims, keepdim, d))

    def call(self, doc: dict, ins: dict, outs: list) -> Node:
        op = self.op(doc["op"], Opaque)
        if op.dynamic:
            raise damaged(f"{op.name} cannot be part of a graph")

        def like(v: Any) -> Any:
            if type(v) is Ref:
                return tensor_on(EMPTY, v.layout, v.dtype)
            return type(v)([like(x) for x in v]) if type(v) in (list, tuple) else v
        try:
            metas = op.body(**{k: like(v) for k, v in ins.items()})
        except (RuntimeError, NotImplementedError, ArithmeticError, AssertionError) as e:
            raise damaged(f"{op.name} refuses its arguments: {e}") from e
        metas = metas if isinstance(metas, tuple) else (metas,)
        if len(metas) != len(outs):
            raise damaged(f"{op.name} has another number of results")
        for m, o in zip(metas, outs):
            if (m is None) != (o is None) or m is not None and (
                    tuple(m.shape) != tuple(o.layout.shape) or m.dtype is not o.dtype):
                raise damaged(f"a result of {op.name} has another shape or type")
        return Node("call", op, ins, outs, ("effect",) if "generator" in ins else ())

    def fill(self, doc: dict, ins: list, outs: list) -> Node:
        if len(ins) != 1 or type(ins[0]) not in (bool, int, float,
                                                 complex) or len(outs) != 1 or outs[0] is None:
            raise damaged("a fill is malformed")
        return Node("fill", None, ins, outs)


EMPTY = np.empty(0)


def load(doc: dict) -> Graph:
    """The graph of a document. RuntimeError where it is damaged."""
    if type(doc) is not dict or type(doc.get("values")) is not list or len(doc["values"]) > VALUES:
        raise damaged("it has no list of values")
    return Loader(doc).graph


# ---------------------------------------------------------------------------------------------- structures
def structure(x: Any, leaf: Callable[[Any], Any]) -> Any:
    """Containers as plain data; `leaf(v)` says what stands for a leaf. NotImplementedError for other
    classes."""
    if type(x) in (list, tuple) or isinstance(x, Size):
        return {"tuple" if isinstance(x, tuple) else "list": [structure(v, leaf) for v in x]}
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return {"named": [type(x).__name__, list(x._fields), [structure(v, leaf) for v in x]]}
    if isinstance(x, dict):
        if not all(type(k) in (str, int) for k in x):
            raise NotImplementedError("dictionaries in saved graphs must have strings or integers as keys")
        return {"dict": [[k, structure(v, leaf)] for k, v in x.items()]}
    return {"leaf": leaf(x)}


def rebuilt(doc: Any, leaf: Callable[[Any], Any]) -> Any:
    """What `structure` wrote, with leaf(...) of its leaves."""
    if type(doc) is not dict or len(doc) != 1:
        raise damaged("a result is malformed")
    (kind, v), = doc.items()
    if kind == "leaf":
        return leaf(v)
    if kind in ("list", "tuple"):
        return (list if kind == "list" else tuple)([rebuilt(x, leaf) for x in v])
    if kind == "dict":
        return {k: rebuilt(x, leaf) for k, x in v}
    if kind == "named":
        return named(v[0], tuple(v[1]))(*[rebuilt(x, leaf) for x in v[2]])
    raise damaged(f"a result has the unknown kind {str(kind)[:40]!r}")


def named(name: str, fields: tuple[str, ...]) -> Any:
    """A named tuple's class: numtorch's own, else one made for the fields."""
    import collections

    from .. import return_types
    own = getattr(return_types, name, None) if type(name) is str else None
    if isinstance(own, type) and issubclass(own, tuple) and getattr(own, "_fields", None) == fields:
        return own
    if not all(type(f) is str and f.isidentifier() for f in (name, *fields)):
        raise damaged("a named tuple has names that are none")
    return collections.namedtuple(name, fields)


def tensors_in(x: Any) -> Sequence[Tensor]:
    """The tensors of a structure, in order."""
    found: list[Tensor] = []
    structure(x, lambda v: found.append(v) if isinstance(v, Tensor) else None)
    return found
