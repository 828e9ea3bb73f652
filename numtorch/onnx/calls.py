"""Opaque operations as ONNX operators: functions of (Lower, node) that give the names of the results."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes as D
from ..compiler.graph import Node, Ref

CALLS: dict[str, Callable[[Any, Node], list]] = {}


def call(*names: str) -> Callable:
    """Declare how operations are written."""
    def declare(fn: Callable) -> Callable:
        for n in names:
            CALLS[n] = fn
        return fn
    return declare


def refuse(n: Node, what: str) -> NotImplementedError:
    return NotImplementedError(f"{n.name} with {what} has no form in ONNX here")


# ------------------------------------------------------------------------------------------------- products
@call("mm", "bmm", "batched_matmul", "mv", "dot")
def matmul(w: Any, n: Node) -> list:
    a, b = n.ins.values()
    return [w.add("MatMul", [w.see(a), w.see(b)])]


def _scaled(w: Any, x: Any, factor: Any, d: D.dtype) -> Any:
    return x if factor == 1 else w.add("Mul", [x, w.number(factor, d.name)])


@call("addmm")
def addmm(w: Any, n: Node) -> list:
    x, a, b, beta, alpha = [n.ins[k] for k in ("x", "mat1", "mat2", "beta", "alpha")]
    if x.dtype.is_floating_point and x.dtype is not D.bfloat16:
        (a, ta), (b, tb) = _operand(w, a), _operand(w, b)
        ins = [a, b] if beta == 0 else [a, b, w.see(x, False)]
        return [w.add("Gemm", ins, alpha={"float": float(alpha).hex()}, beta={"float": float(beta).hex()},
                      transA=ta, transB=tb)]
    return _added(w, n, [w.see(a), w.see(b)])


def _operand(w: Any, r: Ref) -> tuple[Any, int]:
    """A matrix and whether it is given transposed: weights are, in memory."""
    x, block, d = w.block(r.value)
    turned = len(block.shape) == 2 and r.layout.shape == block.shape[::-1] and not r.layout.offset \
        and r.layout.strides == block.strides[::-1] and r.dtype is d and min(block.shape) > 1
    return (x, 1) if turned else (w.see(r), 0)


def _added(w: Any, n: Node, factors: list) -> list:
    x, d = n.ins["x"], n.outs[0].dtype  # type: ignore[union-attr]
    product = _scaled(w, w.add("MatMul", factors), n.ins["alpha"], d)
    if n.ins["beta"] == 0:
        return [product]
    return [w.add("Add", [product, _scaled(w, w.see(x, False), n.ins["beta"], d)])]


@call("addmv")
def addmv(w: Any, n: Node) -> list:
    return _added(w, n, [w.see(n.ins["mat"]), w.see(n.ins["vec"])])


@call("baddbmm")
def baddbmm(w: Any, n: Node) -> list:
    return _added(w, n, [w.see(n.ins["batch1"]), w.see(n.ins["batch2"])])


# ---------------------------------------------------------------------------------------------- convolution
def _batched(w: Any, x: Ref, spatial: int) -> Any:
    """(C, *) as (1, C, *)."""
    got = w.see(x)
    return got if len(x.layout.shape) == spatial + 2 else w.reshape(got, (1,) * (
        spatial + 2 - len(x.layout.shape)) + tuple(x.layout.shape))


@call("convolution")
def convolution(w: Any, n: Node) -> list:
    i = n.ins
    taps = list(i["weight"].layout.shape[2:])
    ins = [w.see(i["x"]), w.see(i["weight"])] + ([] if i["bias"] is None else [w.see(i["bias"])])
    attr: dict[str, Any] = {"kernel_shape": taps, "strides": list(i["stride"]),
                            "dilations": list(i["dilation"]),
                            "pads": list(i["padding"]) * 2, "group": i["groups"]}
    if i["transposed"]:
        return [w.add("ConvTranspose", ins, output_padding=list(i["output_padding"]), **attr)]
    return [w.add("Conv", ins, **attr)]


@call("max_pool")
def max_pool(w: Any, n: Node) -> list:
    i = n.ins
    k, o, x = len(i["kernel_size"]), n.outs[0], i["x"]
    got = w.add("MaxPool", [_batched(w, x, k)], 2, kernel_shape=list(i["kernel_size"]),
                strides=list(i["stride"]),
                pads=list(i["padding"]) * 2, dilations=list(i["dilation"]), ceil_mode=int(i["ceil_mode"]))
    plane = 1
    for m in x.layout.shape[len(x.layout.shape) - k:]:
        plane *= m
    got[1] = w.add("Mod", [got[1], w.ints([plane])])  # ONNX counts from the start of the tensor
    shape = o.layout.shape  # type: ignore[union-attr]
    return got if len(shape) == k + 2 else [w.reshape(g, shape) for g in got]


@call("avg_pool")
def avg_pool(w: Any, n: Node) -> list:
    i = n.ins
    k, o = len(i["kernel_size"]), n.outs[0]
    if i["divisor_override"] is not None:
        raise refuse(n, "divisor_override")
    got = w.add("AveragePool", [_batched(w, i["x"], k)], kernel_shape=list(i["kernel_size"]),
                strides=list(i["stride"]), pads=list(i["padding"]) * 2, ceil_mode=int(i["ceil_mode"]),
                count_include_pad=int(i["count_include_pad"]))
    shape = o.layout.shape  # type: ignore[union-attr]
    return [got if len(shape) == k + 2 else w.reshape(got, shape)]


@call("adaptive_avg_pool", "adaptive_max_pool")
def adaptive(w: Any, n: Node) -> list:
    x, size, o = n.ins["x"], n.ins["output_size"], n.outs[0]
    k, rank = len(size), len(x.layout.shape)
    mean = n.name == "adaptive_avg_pool"
    if all(m == 1 for m in size) and mean:
        return [w.reduce("ReduceMean", w.see(x), range(rank - k, rank), True)]
    last = x.layout.shape[rank - k:]
    if any(a % b for a, b in zip(last, size)):
        raise refuse(n, f"an output size of {list(size)} for an input of {list(last)}")
    kernel = [a // b for a, b in zip(last, size)]
    shape = o.layout.shape  # type: ignore[union-attr]
    if mean:
        got = [w.add("AveragePool", [_batched(w, x, k)], kernel_shape=kernel, strides=kernel)]
    else:
        plane = 1
        for m in last:
            plane *= m
        got = w.add("MaxPool", [_batched(w, x, k)], 2, kernel_shape=kernel, strides=kernel)
        got[1] = w.add("Mod", [got[1], w.ints([plane])])
    return got if len(shape) == k + 2 else [w.reshape(g, shape) for g in got]


# -------------------------------------------------------------------------------------------- normalization
@call("row_norm")
def row_norm(w: Any, n: Node) -> list:
    x, weight, bias = n.ins["tensors"]
    d, eps = x.dtype, n.ins["eps"]
    rows, size = x.layout.shape
    got = w.see(x)
    if w.opset >= 17 and d in (D.float32, D.float64, D.float16):
        scale = w.see(weight) if weight is not None else w.add("Expand",
                                                               [w.number(1, d.name), w.ints([size])])
        ins = [got, scale] + ([] if bias is None else [w.see(bias)])
        out = w.add("LayerNormalization", ins, 3, axis=-1, epsilon={"float": float(eps).hex()})
        return [out[0], *[w.reshape(s, [rows]) for s in out[1:]]]
    mean, centred, r = _statistics(w, got, [1], eps, d)
    out = w.add("Mul", [centred, r])
    if weight is not None:
        out = w.add("Mul", [out, w.see(weight)])
    if bias is not None:
        out = w.add("Add", [out, w.see(bias)])
    return [out, w.reshape(mean, [rows]), w.reshape(r, [rows])]


def _statistics(w: Any, x: Any, dims: list[int], eps: float, d: D.dtype) -> tuple[Any, Any, Any]:
    """(mean, x - mean, 1 / √(var + eps))."""
    mean = w.reduce("ReduceMean", x, dims, True)
    centred = w.add("Sub", [x, mean])
    var = w.reduce("ReduceMean", w.add("Mul", [centred, centred]), dims, True)
    return mean, centred, w.add("Reciprocal", [w.add("Sqrt", [w.add("Add", [var, w.number(eps, d.name)])])])


@call("batch_norm_train")
def batch_norm_train(w: Any, n: Node) -> list:
    x, weight, bias = n.ins["tensors"]
    rank, d = len(x.layout.shape), x.dtype
    dims, eps = [0, *range(2, rank)], n.ins["eps"]
    mean, centred, r = _statistics(w, w.see(x), dims, eps, d)
    along = lambda v: w.reshape(w.see(v), [-1, *[1] * (rank - 2)])
    out = w.add("Mul", [centred, r])
    if weight is not None:
        out = w.add("Mul", [out, along(weight)])
    if bias is not None:
        out = w.add("Add", [out, along(bias)])
    var = w.reduce("ReduceMean", w.add("Mul", [centred, centred]), dims, True)
    return [out, w.reshape(mean, [x.layout.shape[1]]), w.reshape(var, [x.layout.shape[1]])]


# ------------------------------------------------------------------------------------------------ gathering
@call("embedding_rows")
def embedding_rows(w: Any, n: Node) -> list:
    return [w.add("Gather", [w.see(n.ins["weight"]), w.see(n.ins["indices"])], axis=0)]


@call("index_select")
def index_select(w: Any, n: Node) -> list:
    return [w.add("Gather", [w.see(n.ins["x"]), w.see(n.ins["index"])], axis=n.ins["dim"])]


@call("gather")
def gather(w: Any, n: Node) -> list:
    x, index, dim = n.ins["x"], n.ins["index"], n.ins["dim"]
    return [w.add("GatherElements", [w.see(x), w.see(index)], axis=dim)]


@call("index")
def index(w: Any, n: Node) -> list:
    x, indices = n.ins["x"], n.ins["indices"]
    at = [d for d, i in enumerate(indices) if i is not None]
    if len(at) == 1:
        return [w.add("Gather", [w.see(x), w.see(indices[at[0]])], axis=at[0])]
    if at != list(range(len(at))):
        raise refuse(n, "indices for dimensions that are not the first ones")
    shape = tuple(n.outs[0].layout.shape)[:len(n.outs[0].layout.shape) - len(x.layout.shape) + len(at)]  # type: ignore
    parts = [w.reshape(w.add("Expand", [w.see(indices[d]), w.ints(shape)]), [*shape, 1]) for d in at]
    return [w.add("GatherND", [w.see(x), w.add("Concat", parts, axis=-1)])]


@call("scatter_tensor", "scatter_add")
def scatter(w: Any, n: Node) -> list:
    i = n.ins
    shape = i["index"].layout.shape
    src = w.see(i["src"])
    if i["src"].layout.shape != shape:
        k = len(shape)
        src = w.add("Slice", [src, w.ints([0] * k), w.ints(shape), w.ints(range(k)), w.ints([1] * k)])
    how = {"reduction": "add"} if n.name == "scatter_add" else {}
    if how and w.opset < 16:
        raise refuse(n, f"opset {w.opset} (16 has it)")
    return [w.add("ScatterElements", [w.see(i["x"]), w.see(i["index"]), src], axis=i["dim"], **how)]


@call("scatter_number")
def scatter_number(w: Any, n: Node) -> list:
    i = n.ins
    src = w.add("Expand", [w.number(i["value"], i["x"].dtype.name), w.ints(i["index"].layout.shape)])
    return [w.add("ScatterElements", [w.see(i["x"]), w.see(i["index"]), src], axis=i["dim"])]


# -------------------------------------------------------------------------------------------------- joining
@call("concatenate_tensors")
def concatenate(w: Any, n: Node) -> list:
    return [w.add("Concat", [w.see(t) for t in n.ins["tensors"]], axis=n.ins["dim"])]


@call("stack_tensors")
def stack(w: Any, n: Node) -> list:
    dim = n.ins["dim"]
    parts = []
    for t in n.ins["tensors"]:
        shape = list(t.layout.shape)
        parts.append(w.reshape(w.see(t), [*shape[:dim], 1, *shape[dim:]]))
    return [w.add("Concat", parts, axis=dim)]


@call("reverse")
def reverse(w: Any, n: Node) -> list:
    dims = list(n.ins["dims"])
    if not dims:
        return [w.see(n.ins["x"])]
    k = len(dims)
    return [w.add("Slice", [w.see(n.ins["x"]), w.ints([-1] * k), w.ints([-(1 << 62)] * k), w.ints(dims),
                            w.ints([-1] * k)])]


@call("rolled")
def rolled(w: Any, n: Node) -> list:
    x = n.ins["x"]
    got, shape = w.see(x), x.layout.shape
    for s, d in zip(n.ins["shifts"], n.ins["dims"]):
        cut = shape[d] - s % shape[d]
        part = lambda a, b, got=got, d=d: w.add("Slice",
                                                [got, w.ints([a]), w.ints([b]), w.ints([d]), w.ints([1])])
        got = w.add("Concat", [part(cut, shape[d]), part(0, cut)], axis=d)
    return [got]


# -------------------------------------------------------------------------------------------------- sorting
@call("cumsum")
def cumsum(w: Any, n: Node) -> list:
    x, o = n.ins["x"], n.outs[0]
    got = w.see(x)
    if x.dtype is not o.dtype:  # type: ignore[union-attr]
        got = w.add("Cast", [got], to=o.dtype.name)  # type: ignore[union-attr]
    return [w.add("CumSum", [got, w.number(n.ins["dim"], "int64")])]


@call("topk_along")
def topk(w: Any, n: Node) -> list:
    i = n.ins
    return w.add("TopK", [w.see(i["x"]), w.ints([i["k"]])], 2, axis=i["dim"], largest=int(i["largest"]),
                 sorted=1)


@call("sorted_along")
def sort(w: Any, n: Node) -> list:
    i = n.ins
    return w.add("TopK", [w.see(i["x"]), w.ints([i["x"].layout.shape[i["dim"]]])], 2, axis=i["dim"],
                 largest=int(i["descending"]), sorted=1)


@call("place_of_largest", "place_of_smallest")
def place(w: Any, n: Node) -> list:
    op = "ArgMax" if n.name == "place_of_largest" else "ArgMin"
    return [w.add(op, [w.see(n.ins["x"])], axis=n.ins["dim"], keepdims=int(n.ins["keepdim"]))]


@call("largest_along", "smallest_along")
def extreme(w: Any, n: Node) -> list:
    most = n.name == "largest_along"
    x, dim, keep = n.ins["x"], n.ins["dim"], bool(n.ins["keepdim"])
    got = w.see(x)
    return [w.reduce("ReduceMax" if most else "ReduceMin", got, [dim], keep),
            w.add("ArgMax" if most else "ArgMin", [got], axis=dim, keepdims=int(keep))]



# ---------------------------------------------------------------------------------------------- recurrences
# mode: (operator, its gates as they stand here, attributes)
RECURRENT: dict[str, tuple[str, list[int], dict[str, Any]]] = {
    "LSTM": ("LSTM", [0, 3, 1, 2], {}), "GRU": ("GRU", [1, 0, 2], {"linear_before_reset": 1}),
    "RNN_TANH": ("RNN", [0], {"activations": ["Tanh"]}), "RNN_RELU": ("RNN", [0], {"activations": ["Relu"]})}


@call("recurrent_layer")
def recurrent_layer(w: Any, n: Node) -> list:
    i = n.ins
    x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr = i["tensors"]
    if w_hr is not None:
        return _projected(w, n)
    name, gates, attr = RECURRENT[i["mode"]]
    total, size = w_hh.layout.shape
    batch, sizes, got = h.layout.shape[0], i["sizes"], w.see(x)
    order = w.array(np.array([g * size + k for g in gates for k in range(size)], np.int64))
    weight = lambda t: w.reshape(w.add("Gather", [w.see(t), order], axis=0), [1, *t.layout.shape])
    state = lambda t: w.reshape(w.see(t), [1, *t.layout.shape])
    lengths: Any = ""
    if sizes is not None:  # packed rows: padded, with the lengths beside
        lengths = w.array(np.array([sum(s > b for s in sizes) for b in range(batch)], np.int32))
        starts = np.cumsum([0, *sizes])
        places = np.array([[starts[t] + b if b < s else 0 for b in range(batch)]
                           for t, s in enumerate(sizes)])
        got = w.add("Gather", [got, w.array(places)], axis=0)
    ins = [got, weight(w_ih), weight(w_hh), "", lengths, state(h)]
    if b_ih is not None:
        parts = [w.add("Gather", [w.see(b), order], axis=0) for b in (b_ih, b_hh)]
        ins[3] = w.reshape(w.add("Concat", parts, axis=0), [1, 2 * total])
    if c is not None:
        ins.append(state(c))
    out = w.add(name, ins, 3 if c is not None else 2, hidden_size=size,
                direction="reverse" if i["reverse"] else "forward", **attr)
    if sizes is not None:
        rows = w.reshape(out[0], [len(sizes) * batch, size])
        kept = [t * batch + b for t, s in enumerate(sizes) for b in range(s)]
        out[0] = w.add("Gather", [rows, w.array(np.array(kept, np.int64))], axis=0)
    return [o and w.reshape(v, o.layout.shape) for o, v in zip(n.outs, [*out, None][:3])] + [None] * 3


def _projected(w: Any, n: Node) -> list:
    """An LSTM with a projection, which ONNX has no operator for: step by step."""
    i = n.ins
    x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr = i["tensors"]
    if i["sizes"] is not None:
        raise refuse(n, "packed sequences and a projection")
    across = lambda t: w.add("Transpose", [w.see(t)], perm=[1, 0])
    steps, (batch, width), size = x.layout.shape[0], h.layout.shape, w_hr.layout.shape[1]
    gates, w_hh, w_hr = w.add("MatMul", [w.see(x), across(w_ih)]), across(w_hh), across(w_hr)
    if b_ih is not None:
        gates = w.add("Add", [w.add("Add", [gates, w.see(b_ih)]), w.see(b_hh)])
    h, c = w.see(h), w.see(c)
    outs: list = []
    for t in range(steps)[::-1 if i["reverse"] else 1]:
        now = w.reshape(w.add("Slice", [gates, *map(w.ints, ([t], [t + 1], [0], [1]))]), [batch, 4 * size])
        now = w.add("Add", [now, w.add("MatMul", [h, w_hh])])
        a, f, g, o = [w.add("Tanh" if k == 2 else "Sigmoid", [w.add("Slice", [now, *map(w.ints, (
            [k * size], [k * size + size], [1], [1]))])]) for k in range(4)]
        c = w.add("Add", [w.add("Mul", [f, c]), w.add("Mul", [a, g])])
        h = w.add("MatMul", [w.add("Mul", [o, w.add("Tanh", [c])]), w_hr])
        outs.append(w.reshape(h, [1, batch, width]))
    return [w.add("Concat", outs[::-1] if i["reverse"] else outs, axis=0), h, c, None, None, None]
