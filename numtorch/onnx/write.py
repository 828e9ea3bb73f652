"""Operators as plain data → onnx.ModelProto."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from .. import dtypes as D
from ..compiler import sizes
from ..compiler.recording import Recording
from ..jit.module import size
from ..tensor import Tensor, ndarray_of

TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "float16": TensorProto.FLOAT16,
         "bfloat16": TensorProto.BFLOAT16, "int8": TensorProto.INT8, "int16": TensorProto.INT16,
         "int32": TensorProto.INT32, "int64": TensorProto.INT64, "uint8": TensorProto.UINT8,
         "uint16": TensorProto.UINT16, "uint32": TensorProto.UINT32, "uint64": TensorProto.UINT64,
         "bool": TensorProto.BOOL}


def element(dtype: str) -> int:
    """ONNX's number of a dtype. NotImplementedError for complex ones."""
    if dtype not in TYPES:
        raise NotImplementedError(f"tensors of {dtype} have no form in ONNX operators")
    return TYPES[dtype]


def proto(doc: dict, low: Any, r: Recording, own: Mapping[str, Tensor], opset: int) -> Any:
    """The model of a lowered graph."""
    w = Writer(doc, r, low)
    for n in doc["graph"]["nodes"]:
        w.node(n)
    names = [s["name"] for s in r.doc["symbols"]]
    shape = lambda dims: [d if type(d) is int else size(d, names) for d in dims]
    value = lambda v: helper.make_tensor_value_info(v[0], element(v[1]), shape(v[2]))
    used = {i for n in w.nodes for i in n.input}
    for name, covers in low.weights:
        if name in used:
            w.weights.append(weight(name, own[name], covers))
    graph = helper.make_graph(w.nodes, "numtorch", [value(v) for v in doc["inputs"]],
                              [value(v) for v in doc["outputs"]], w.weights)
    from ..version import __version__
    # the oldest format that has the operators, so that older readers take the file
    ir = helper.find_min_ir_version_for([helper.make_opsetid("", opset)], True)
    return helper.make_model(graph, producer_name="numtorch", producer_version=__version__,
                             opset_imports=[helper.make_opsetid("", opset)], ir_version=max(ir, 7))


def weight(name: str, t: Tensor, covers: bool) -> Any:
    """A parameter as an initializer."""
    t = t.detach().cpu()
    a = np.ascontiguousarray(ndarray_of(t)) if covers else t.storage.array
    return tensor(name, a, t.dtype.name)


def tensor(name: str, a: np.ndarray, dtype: str) -> Any:
    """A TensorProto on an array (bfloat16 as its bits)."""
    return helper.make_tensor(name, element(dtype), a.shape, np.ascontiguousarray(a).tobytes(), raw=True)


class Writer:
    """Nodes and initializers."""

    def __init__(self, doc: dict, r: Recording, low: Any):
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.low, self.symbols, self.doc = low, r.doc["symbols"], doc
        self.inputs = {i: name for i, name in zip([i for i, a in enumerate(r.doc["args"]) if "tensor" in a],
                                                  [v[0] for v in doc["inputs"]])}
        self.known: dict[str, str] = {}

    def add(self, op: str, ins: list[str], **attr: Any) -> str:
        out = f"size{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, ins, [out], name=f"{op}_{len(self.nodes)}", **attr))
        return out

    def constant(self, a: np.ndarray, dtype: str) -> str:
        key = f"{dtype}{a.shape}{a.tobytes()!r}"
        if key not in self.known:
            self.known[key] = f"constant{len(self.weights)}"
            self.weights.append(tensor(self.known[key], a, dtype))
        return self.known[key]

    def int64(self, values: Any) -> str:
        return self.constant(np.array(values, np.int64), "int64")

    # ------------------------------------------------------------------------------------------ sizes
    def symbol(self, k: int) -> str:
        """A size that varies, as a vector of one."""
        key = f"symbol {k}"
        if key not in self.known:
            arg, dim = self.symbols[k]["at"][0]
            self.known[key] = self.add("Gather", [self.add("Shape", [self.inputs[arg]]), self.int64([dim])],
                                       axis=0)
        return self.known[key]

    def poly(self, p: Any) -> str:
        """A polynomial, as a vector of one."""
        if type(p) is int:
            return self.int64([p])
        key = f"poly {p}"
        if key not in self.known:
            lcm = int(np.lcm.reduce([den for _, den, _ in p["poly"]]))
            total = None
            for num, den, powers in p["poly"]:
                factors = [self.symbol(k) for k, e in enumerate(powers) for _ in range(e)]
                if num * lcm // den != 1 or not factors:
                    factors.append(self.int64([num * lcm // den]))
                term = factors[0]
                for f in factors[1:]:
                    term = self.add("Mul", [term, f])
                total = term if total is None else self.add("Add", [total, term])
            if total is None:
                total = self.int64([0])
            self.known[key] = total if lcm == 1 else self.add("Div", [total, self.int64([lcm])])
        return self.known[key]

    def ints(self, values: list, reshape: bool) -> str:
        free = [i for i, v in enumerate(values) if type(v) is not int]
        if not free:
            return self.int64(values)
        if reshape and len(free) == 1:  # the one size that follows from the others
            return self.int64([-1 if i in free else v for i, v in enumerate(values)])
        key = f"ints {values}"
        if key not in self.known:
            parts = [self.poly(v) for v in values]
            self.known[key] = parts[0] if len(parts) == 1 else self.add("Concat", parts, axis=0)
        return self.known[key]

    def number(self, dtype: str, v: Any) -> str:
        d = D.by_name[dtype]
        if sizes.vary(v):
            v = v["float"] if type(v) is dict and "float" in v else v
            if type(v) is dict and "over" in v:
                top = self.constant(np.array(1.0), "float64")
                got = self.add("Div", [top, self.cast(self.scalar(v["over"]), "float64")])
                return self.cast(got, dtype)
            return self.cast(self.scalar(v), dtype)
        if type(v) is dict:
            v = float.fromhex(v["float"])
        if dtype == "bfloat16":
            bits = np.array([v], np.float32).view(np.uint32)
            return self.constant(((bits + 0x8000) >> 16).astype(np.uint16).reshape(()), dtype)
        return self.constant(np.array(v, d.numpy), dtype)

    def scalar(self, p: Any) -> str:
        return self.add("Reshape", [self.poly(p), self.constant(np.zeros(0, np.int64), "int64")])

    def cast(self, x: str, dtype: str) -> str:
        return x if dtype == "int64" else self.add("Cast", [x], to=element(dtype))

    # ------------------------------------------------------------------------------------------ operators
    def node(self, n: dict) -> None:
        ins = []
        for i in n["in"]:
            if type(i) is str:
                ins.append(i)
            elif "ints" in i:
                ins.append(self.ints(i["ints"], n["op"] == "Reshape"))
            elif "num" in i:
                ins.append(self.number(*i["num"]))
            else:
                a = self.low.arrays[i["array"]]
                ins.append(self.constant(a, a.dtype.name))
        if sizes.vary(n["attr"]):
            raise RuntimeError(f"an attribute of {n['op']} would vary with a size, which ONNX does not have")
        number = lambda v: float.fromhex(v["float"]) if type(v) is dict else v
        attr: dict[str, Any] = {k: element(v) if k == "to" else number(v) for k, v in n["attr"].items()}
        self.nodes.append(helper.make_node(n["op"], ins, n["out"], name=f"{n['op']}_{len(self.nodes)}",
                                           **attr))


__all__ = ["proto"]
