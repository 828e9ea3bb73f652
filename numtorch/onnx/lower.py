"""A recorded graph as ONNX operators, as plain data: {"nodes": [{"op", "in", "out", "attr"}, …], …}.

Inputs of operators are names, {"ints": […]} (shapes and places, which may come to vary with a size),
{"num": [dtype, value]} and {"array": number}."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes as D
from ..compiler.document import static
from ..compiler.graph import Node, Out, Ref, Value
from ..compiler.recording import Bound, Recording
from ..dispatch import registry
from ..layouts import Layout, contiguous
from . import views
from .calls import CALLS
from .scalar import Scalars

END = (1 << 63) - 1
FOLDS = {"sum": "ReduceSum", "prod.op": "ReduceProd", "amax": "ReduceMax", "amin": "ReduceMin",
         "mean": "ReduceMean"}
BOOLS = {"any.op": "ReduceMax", "all.op": "ReduceMin"}


class Lower:
    """One graph at fixed sizes. `names`: of arguments, by position."""

    def __init__(self, r: Recording, b: Bound, opset: int, names: Sequence[str], outputs: Sequence[str]):
        self.opset, self.nodes, self.arrays = opset, [], []  # type: int, list[dict], list[np.ndarray]
        self.count = 0
        self.blocks: dict[int, tuple[Any, Layout, D.dtype]] = {}
        self.made: dict[int, Node] = {}
        self.seen: dict[tuple, Any] = {}
        self.scalars = Scalars(self.add, self.number, opset)
        self.weights: list[list] = []
        inputs = []
        doc = r.doc
        for i, spec in enumerate(doc["args"]):
            if "tensor" in spec:
                inputs.append([names[i], spec["tensor"][0], list(b.shapes[i] or ())])
        for where, v, seen in zip(b.inputs, b.graph.inputs, b.layouts):
            if "arg" in where:
                self.blocks[id(v)] = (names[where["arg"]], seen, v.dtype)
            elif "state" in where:
                covers = seen.covers() and seen.numel == v.numel and not seen.offset
                self.weights.append([where["state"], covers])
                self.blocks[id(v)] = (where["state"], seen if covers else contiguous((v.numel,)),
                                      D.by_name[where["layout"][0]])
            elif "range" in where:
                start, step, n, name = where["range"]
                out = self.add("Range", [self.number(start, "int64"), self.number(start + step * n, "int64"),
                                         self.number(step, "int64")])
                out = out if name == "int64" else self.add("Cast", [out], to=name)
                self.blocks[id(v)] = (out, contiguous((v.numel,)), v.dtype)
            else:
                self.blocks[id(v)] = (self.array(r.constant(where)), contiguous((v.numel,)), v.dtype)
        for n in b.graph.nodes:
            self.node(n)
        results = []
        for p, name in zip([p for p in b.places if p is not None], outputs):
            got = self.see(Ref(b.graph.outputs[p[0]], p[1], p[2]))
            self.nodes.append({"op": "Identity", "in": [got], "out": [name], "attr": {}})
            results.append([name, p[2].name, list(p[1].shape)])
        self.doc = {"graph": {"nodes": self.needed(outputs)}, "inputs": inputs, "outputs": results}

    def needed(self, outputs: Sequence[str]) -> list[dict]:
        """The nodes that results depend on."""
        wanted, kept = set(outputs), []
        for n in reversed(self.nodes):
            if wanted & set(n["out"]):
                kept.append(n)
                wanted.update(i for i in n["in"] if isinstance(i, str))
        return kept[::-1]

    # ------------------------------------------------------------------------------------------ writing
    def add(self, op: str, ins: Sequence[Any], results: int = 1, **attr: Any) -> Any:
        """A node; the names of its results."""
        outs = [f"t{self.count + i}" for i in range(results)]
        self.count += results
        self.nodes.append({"op": op, "in": list(ins), "out": outs, "attr": attr})
        return outs[0] if results == 1 else list(outs)

    def number(self, value: Any, dtype: str | None) -> dict:
        d = D.by_name[dtype or "float32"]
        value = bool(value) if d is D.bool else float(value) if d.is_floating_point else int(value)
        return {"num": [d.name, static(value)]}

    def ints(self, values: Sequence[int]) -> dict:
        return {"ints": [int(v) for v in values]}

    def array(self, a: np.ndarray) -> dict:
        self.arrays.append(a)
        return {"array": len(self.arrays) - 1}

    def reshape(self, x: Any, shape: Sequence[int]) -> Any:
        return self.add("Reshape", [x, self.ints(shape)])

    def transpose(self, x: Any, perm: Sequence[int]) -> Any:
        return x if views.ordered(perm) else self.add("Transpose", [x], perm=list(perm))

    # ------------------------------------------------------------------------------------------ views
    def see(self, r: Ref, expand: bool = True) -> Any:
        """The name of an operand, seen as its layout says. Without `expand`, dimensions that repeat may have
        size 1."""
        x, block, d = self.block(r.value)
        if r.dtype is not d:
            raise NotImplementedError(f"a view of {d} memory as {r.dtype} has no form in ONNX")
        if not r.layout.numel:
            raise NotImplementedError("tensors without elements cannot be exported to ONNX")
        key = (str(x), block, r.layout, expand)
        if key not in self.seen:
            self.seen[key] = self.view(x, block, r.layout, expand)
        return self.seen[key]

    def block(self, v: Value) -> tuple[Any, Layout, D.dtype]:
        if id(v) not in self.blocks:  # memory that nobody has written: any values will do
            zero = self.add("Expand", [self.number(0, v.dtype.name), self.ints([v.numel])])
            self.blocks[id(v)] = (zero, contiguous((v.numel,)), v.dtype)
        return self.blocks[id(v)]

    def view(self, x: Any, block: Layout, seen: Layout, expand: bool) -> Any:
        same = block.shape == seen.shape and not seen.offset and all(
            n == 1 or s == t for n, s, t in zip(seen.shape, seen.strides, block.strides))
        if same:
            return x
        p = views.place(block, seen)
        if p is None:
            flat = self.reshape(self.transpose(x, views.memory_order(block)), [block.numel])
            found = np.array(views.places(seen), np.int64)
            return self.reshape(self.add("Gather", [flat, self.array(found)], axis=0), seen.shape)
        x = self.spread(x, block, p)
        cut = [d for d in range(len(p.sizes)) if p.length[d] != p.sizes[d]]
        if cut:
            x = self.add("Slice", [x, self.ints([p.start[d] for d in cut]),
                                   self.ints([p.start[d] + (p.length[d] - 1) * p.stride[d] + 1 for d in cut]),
                                   self.ints(cut), self.ints([p.stride[d] for d in cut])])
        own = [d for d in range(len(p.sizes)) if p.axis[d] >= 0]
        shape = list(p.length)
        if len(own) != len(p.sizes) and (len(own) > 1 or len(own) != len(seen.shape)):
            x, shape = self.reshape(x, [p.length[d] for d in own]), [p.length[d] for d in own]
            p = p._replace(axis=[p.axis[d] for d in own])
            own = list(range(len(own)))
        order = sorted(own, key=lambda d: p.axis[d])
        if len(own) == len(shape):
            x, shape = self.transpose(x, order), [shape[d] for d in order]
        wanted = [n if s else 1 for n, s in zip(seen.shape, seen.strides)]
        if shape != wanted:
            x = self.reshape(x, wanted)
        return self.add("Expand", [x, self.ints(seen.shape)]) if expand and wanted != list(seen.shape) else x

    def spread(self, x: Any, block: Layout, p: views.Place) -> Any:
        """The block with the dimensions that a Place speaks of."""
        if not p.dense:
            return x
        return self.reshape(self.transpose(x, views.memory_order(block)), p.sizes)

    def put(self, o: Out, x: Any) -> None:
        """`x`, of the shape of o's layout, becomes the content of that layout."""
        if o.base is None:
            self.blocks[id(o.value)] = (x, o.layout, o.dtype)
            return
        old, block, d = self.block(o.base)
        if d is not o.dtype:
            raise NotImplementedError(f"a write of {o.dtype} to {d} memory has no form in ONNX")
        p = views.place(block, o.layout)
        if p is None or any(s != 1 for s in p.stride):
            flat = self.reshape(self.transpose(old, views.memory_order(block)), [block.numel])
            at = np.array(views.places(o.layout), np.int64).reshape(-1, 1)
            x = self.add("ScatterND", [flat, self.array(at), self.reshape(x, [o.layout.numel])])
            self.blocks[id(o.value)] = (x, contiguous((block.numel,)), d)
            return
        own = [d for d in range(len(p.sizes)) if p.axis[d] >= 0]
        drop = [n for n in o.layout.shape if n > 1]
        if drop != list(o.layout.shape):
            x = self.reshape(x, drop)
        rank = {a: i for i, a in enumerate(sorted(p.axis[d] for d in own))}
        x = self.transpose(x, [rank[p.axis[d]] for d in own])
        if len(own) != len(p.sizes):
            x = self.reshape(x, p.length)
        x = self.within(self.spread(old, block, p), x, p, 0)
        self.blocks[id(o.value)] = (x, Layout(tuple(p.sizes), tuple(p.steps)), d)

    def within(self, old: Any, x: Any, p: views.Place, d: int) -> Any:
        """`old` with x in the ranges of a Place, from dimension d on."""
        while d < len(p.sizes) and p.length[d] == p.sizes[d]:
            d += 1
        if d == len(p.sizes):
            return x
        a, b = p.start[d], p.start[d] + p.length[d]
        cut = lambda i, j: self.add("Slice", [old, self.ints([i]), self.ints([j]), self.ints([d]),
                                              self.ints([1])])
        parts = [self.within(cut(a, b), x, p, d + 1)]
        if a:
            parts.insert(0, cut(0, a))
        if b < p.sizes[d]:
            parts.append(cut(b, p.sizes[d]))
        return self.add("Concat", parts, axis=d)

    # ------------------------------------------------------------------------------------------ nodes
    def node(self, n: Node) -> None:
        for o in n.outs:
            if o is not None:
                self.made[id(o.value)] = n
        if n.kind == "map":
            results = self.map(n)
        elif n.kind == "fold":
            results = [self.fold(n)]
        elif n.kind == "fill":
            o = n.outs[0]
            assert o is not None
            results = [self.add("Expand", [self.number(n.ins[0], o.dtype.name), self.ints(o.layout.shape)])]
        else:
            write = CALLS.get(n.name)
            if write is None:
                random = n.extra == ("effect",)
                why = ": it draws random numbers; is the model in eval mode?" if random else ""
                raise NotImplementedError(f"the operation {n.name} has no form in ONNX here{why}")
            results = write(self, n)
        for o, x in zip(n.outs, results):
            if o is not None and x is not None:
                self.put(o, x)

    def map(self, n: Node) -> list:
        o = n.outs[0]
        assert o is not None
        soft = self.softmax(n) if n.name == "div.true" else None
        if soft is not None:
            return [soft]
        rank = len(o.layout.shape)
        operands = []
        for v in n.ins:
            if type(v) is Ref:
                if len(v.layout.shape) > rank:
                    raise NotImplementedError(f"{n.name}: an operand has more dimensions than the result")
                operands.append((self.see(v, False), v.dtype))
            else:
                operands.append(v)
        if n.what.tag[0] == "copy" and type(n.ins[0]) is not Ref:
            results: list[Any] = [self.number(n.ins[0], o.dtype.name)]
        elif n.what.tag[0] == "copy" and n.ins[0].dtype is o.dtype:
            results = [operands[0][0]]
        else:
            op = registry["copy.op" if n.what.tag[0] == "copy" else n.what.tag[1]]
            outs = [w.dtype for w in n.outs if w is not None]
            results = self.scalars.map(op, n.what.tag[-1], operands, outs)
        full = any(type(v) is Ref and v.layout.shape == o.layout.shape and all(
            s or m == 1 for m, s in zip(v.layout.shape, v.layout.strides)) for v in n.ins)
        return results if full else [self.add("Expand", [x, self.ints(o.layout.shape)]) for x in results]

    def softmax(self, n: Node) -> Any:
        """exp(x - max x) / Σ exp(x - max x) along one dimension, as the operator that it is."""
        e, s = n.ins
        if type(e) is not Ref or type(s) is not Ref or self.opset < 13:
            return None
        total, power = self.made.get(id(s.value)), self.made.get(id(e.value))
        if total is None or power is None or total.name != "sum" or power.name != "exp" \
                or len(total.extra[0]) != 1:
            return None
        less = self.made.get(id(power.ins[0].value))
        if not total.extra[1] or total.ins[0] != e or less is None or less.name != "sub.op":
            return None
        x, m = less.ins
        top = self.made.get(id(m.value)) if type(m) is Ref and type(x) is Ref else None
        if top is None or top.name != "amax" or top.ins[0] != x or top.extra[:2] != total.extra[:2]:
            return None
        o = n.outs[0]
        assert o is not None
        if x.dtype is not o.dtype or x.layout.shape != o.layout.shape:
            return None
        return self.add("Softmax", [self.see(x)], axis=total.extra[0][0])

    def fold(self, n: Node) -> Any:
        dims, keepdim, _ = n.extra
        o, x = n.outs[0], n.ins[0]
        assert o is not None
        got = self.see(x)
        if n.name in BOOLS:
            got = got if x.dtype is D.bool else self.add("Not", [self.add("Equal", [got, self.number(
                0, x.dtype.name)])])
            return self.add("Cast", [self.reduce(BOOLS[n.name], self.add("Cast", [got], to="int32"), dims,
                                                 keepdim)],
                            to="bool")
        if n.name not in FOLDS:
            raise NotImplementedError(f"the reduction {n.name} has no form in ONNX here")
        if x.dtype is not o.dtype:
            got = self.add("Cast", [got], to=o.dtype.name)
        return self.reduce(FOLDS[n.name], got, dims, keepdim)

    def reduce(self, op: str, x: Any, dims: Sequence[int], keepdim: bool) -> Any:
        """A reduction operator; axes are an input of newer ones, an attribute of older ones."""
        if not dims:
            return self.add("Identity", [x])
        if self.opset >= (13 if op == "ReduceSum" else 18):
            return self.add(op, [x, self.ints(dims)], keepdims=int(keepdim))
        return self.add(op, [x], axes=list(dims), keepdims=int(keepdim))
