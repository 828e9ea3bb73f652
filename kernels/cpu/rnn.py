"""Recurrent layers on the CPU: the input projection of all steps is one product, then one kernel runs the
whole time loop for its rows of the batch: h W^T in register tiles, behind it the gates and the new state.

The kernels are nests (kernels/nest.py): vector code on every CPU, compiled without numba. No row of the batch
depends on another one, and each element of h W^T is one chain of fma in the order of the inner index, so
results depend neither on the number of threads nor on how rows fall into tiles.

Names: G = number of gates times H; P = H, or the size that an LSTM's h is projected to. Rows of all steps lie
one behind the other, in the order of time."""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from .. import jit, llvm
from ..expr import Block, Expr, Slot, at, inline, load
from ..nest import Do, For, Lanes, Let, Nest, Param, Set, Statement, Store, do
from ..scalar import VECTOR
from .linalg import product as matmul

GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


# ------------------------------------------------------------------------------------------------- products
def tile(dtype: str) -> tuple[int, int]:
    """(rows, columns) of a register tile: 16 sums in 32 registers of 64 bytes, 12 in 16 registers."""
    size = llvm.registers()[0]
    count = size // np.dtype(dtype).itemsize
    return (4, 4 * count) if size == 64 else (6, 2 * count)


def panels(w: np.ndarray) -> np.ndarray:
    """A matrix (inner, columns) in panels of a tile's columns, the last one filled up with zeros."""
    inner, columns = w.shape
    width = tile(w.dtype.name)[1]
    count = -(-columns // width)
    if columns % width:
        padded = np.zeros((inner, count * width), w.dtype)
        padded[:, :columns] = w
        w = padded
    return np.ascontiguousarray(w.reshape(inner, count, width).transpose(1, 0, 2))


def scratch(rows: int, w: np.ndarray) -> np.ndarray:
    """Room for the product of so many rows with panels."""
    return np.zeros((rows, w.shape[0] * w.shape[2]), w.dtype)


def product(dtype: str, out: str, a: str, base: str, inner: str, w: str, count: str) -> list[Statement]:
    """Statements for out[r, :] = a[base + r, :] w, lo ≤ r < e, with w in `count` panels of `inner` rows. The
    rows of out are as long as the panels together are wide."""
    (rows, width), block = tile(dtype), Block()
    each = lambda effects: For("j", at("0"), at(str(width)), 1, (Do(tuple(effects)),), True)
    acc = [Slot(f"acc{i}", dtype) for i in range(rows)]
    weight, zero = load(block, Slot(w, dtype), at("wk + j")), block.const(0.0, dtype)

    def some(rows: Sequence[int]) -> list[Statement]:
        terms = [block.make("fma", dtype, (load(block, Slot(a, dtype), at(f"a{i} + k")), weight,
                                           load(block, acc[i], at("j")))) for i in rows]
        return [Do(tuple([Let(f"a{i}", at(f"({base} + r + {i}) * {inner}")) for i in rows]
                         + [Let(f"o{i}", at(f"((r + {i}) * {count} + p) * {width}")) for i in rows])),
                each([Store(acc[i], at("j"), zero) for i in rows]),
                For("k", at("0"), at(inner), 1, (
                    do(Let("wk", at(f"wp + k * {width}"))),
                    each([Store(acc[i], at("j"), t) for i, t in zip(rows, terms)]))),
                each([Store(Slot(out, dtype), at(f"o{i} + j"), load(block, acc[i], at("j"))) for i in rows])]
    return [For("p", at("0"), at(count), 1, (
        do(Let("wp", at(f"p * {inner} * {width}"))),
        do(Set("q", at("lo + 0"))),
        For("r", at("lo"), at(f"e - {rows - 1}"), rows,
            (*some(range(rows)), do(Set("q", at(f"r + {rows}"))))),
        For("r", at("q"), at("e"), 1, tuple(some([0])))))]


# ------------------------------------------------------------------------------------------------- cells
def cell(mode: str, dtype: str) -> Callable:
    """One step of one hidden unit, a scalar body of the gates' inputs and the state: (h, c of an LSTM, the
    gates)."""
    sigmoid, tanh = VECTOR["sigmoid", dtype], VECTOR["tanh", dtype]

    def lstm(x_i, x_f, x_g, x_o, c):
        i, f, g, o = sigmoid(x_i), sigmoid(x_f), tanh(x_g), sigmoid(x_o)
        new = f * c + i * g
        return o * tanh(new), new, i, f, g, o

    def gru(x_r, x_z, x_n, u_n, h):
        r, z = sigmoid(x_r), sigmoid(x_z)
        n = tanh(x_n + r * u_n)
        return n + z * (h - n), r, z, n

    def rnn_tanh(x):
        h = tanh(x)
        return h, h

    def rnn_relu(x):
        h = 0.0 if x < 0.0 else x
        return h, h
    bodies: dict[str, Callable] = {"LSTM": lstm, "GRU": gru, "RNN_TANH": rnn_tanh, "RNN_RELU": rnn_relu}
    return bodies[mode]


def cell_grad(mode: str, dtype: str) -> Callable:
    """The derivative of `cell`, of the cotangents of h (and c), the gates and the state before: cotangents of
    the gates' inputs (of a GRU also of u_n), of c (of a GRU of h, past the product), and an LSTM's h."""
    tanh = VECTOR["tanh", dtype]

    def lstm(dh, dc, i, f, g, o, c):
        t = tanh(f * c + i * g)
        d = dc + dh * o * (1.0 - t * t)
        return d * g * i * (1.0 - i), d * c * f * (1.0 - f), d * i * (1.0 - g * g), dh * t * o * (1.0 - o), \
            d * f, o * t

    def gru(dh, r, z, n, u_n, h):
        d = dh * (1.0 - z) * (1.0 - n * n)
        return d * u_n * r * (1.0 - r), dh * (h - n) * z * (1.0 - z), d, d * r, dh * z

    def rnn_tanh(dh, h):
        return dh * (1.0 - h * h)

    def rnn_relu(dh, h):
        return 0.0 if h <= 0.0 else dh
    bodies: dict[str, Callable] = {"LSTM": lstm, "GRU": gru, "RNN_TANH": rnn_tanh, "RNN_RELU": rnn_relu}
    return bodies[mode]


class _Loop:
    """A kernel whose items are rows of the batch: for each step s, statements about its rows lo ≤ r < e; the
    step's row 0 is number p0 of all steps' rows."""

    def __init__(self, dtype: str, arrays: str, numbers: str):
        self.dtype, self.block = dtype, Block()
        self.slots = {n: Slot(n, dtype) for n in arrays.split()}
        start, count = Slot("start", "int64"), Slot("count", "int64")
        self.params = [Param("lo", "int64"), Param("hi", "int64"),
                       *[Param(s.name, s.code, s) for s in [*self.slots.values(), start, count]],
                       *[Param(n, "int64") for n in ["steps", *numbers.split()]]]
        self.body: list[Statement] = [
            do(Let("p0", load(self.block, start, at("s"))), Let("n", load(self.block, count, at("s")))),
            do(Let("e", at("min(hi, n)")))]

    def get(self, array: str, place: str) -> Expr:
        return load(self.block, self.slots[array], at(place))

    def put(self, array: str, place: str, value: Expr) -> Store:
        return Store(self.slots[array], at(place), value)

    def add(self, *terms: Expr) -> Expr:
        return functools.reduce(lambda a, b: self.block.binary("+", a, b), terms)

    def product(self, out: str, a: str, base: str, inner: str, w: str, count: str) -> None:
        self.body += product(self.dtype, out, a, base, inner, w, count)

    def rows(self, places: dict[str, str], length: str, effects: Iterable[Store]) -> None:
        """For each row, name these places and do the effects for j < length."""
        self.body.append(For("r", at("lo"), at("e"), 1, (
            Do(tuple([Let(k, at(v)) for k, v in places.items()])),
            For("j", at("0"), at(length), 1, (Do(tuple(effects)),), True))))

    def native(self, title: str) -> jit.Native:
        lanes = [Lanes(Slot(f"acc{i}", self.dtype), 0.0) for i in range(tile(self.dtype)[0])]
        loop = For("s", at("0"), at("steps"), 1, tuple(self.body))
        return llvm.compile([Nest("k_" + title.lower(), self.params, [*lanes, loop], self.block.bound, "cpu",
                                  True)])[0]


@functools.cache
def forward(mode: str, dtype: str, keep: bool, projected: bool) -> jit.Native:
    """The time loop. `x`: the gates' inputs, replaced by the gates if `keep`; h and c: the state, replaced by
    the last one. Numbers: H, P, panels of w and of wr."""
    k = _Loop(dtype, "out h c x cells past u w bias raw short wr", "size width count_w count_r")
    gates, columns = range(GATES[mode]), tile(dtype)[1]
    inputs = [k.add(k.get("x", f"pg + {i} * size + j"), k.get("u", f"pu + {i} * size + j"),
                    k.get("bias", f"{i} * size + j")) for i in gates]
    saved: list[Store] = []
    if mode == "LSTM":
        second = k.get("c", "ps + j")
        h, c, *values = inline(k.block, cell(mode, dtype), [*inputs, second])
        saved.append(k.put("c", "ps + j", c))
    elif mode == "GRU":  # the reset gate multiplies u_n, bias included
        x_n = k.add(k.get("x", "pg + 2 * size + j"), k.get("bias", "2 * size + j"))
        second = k.add(k.get("u", "pu + 2 * size + j"), k.get("bias", "3 * size + j"))
        h, *values = inline(k.block, cell(mode, dtype), [*inputs[:2], x_n, second, k.get("h", "ps + j")])
    else:
        h, *values = inline(k.block, cell(mode, dtype), inputs)
    if keep:
        saved += [k.put("x", f"pg + {i} * size + j", v) for i, v in zip(gates, values)]
        if mode in ("LSTM", "GRU"):
            saved.append(k.put("cells", "pm + j", second))
    own = [k.put("past", "pm + j", k.get("h", "ps + j"))] if keep else []
    k.product("u", "h", "0", "width", "w", "count_w")
    places = {"pu": f"r * count_w * {columns}", "ps": "r * size", "pg": f"(p0 + r) * size * {len(gates)}",
              "pm": "(p0 + r) * size"}
    if not projected:
        k.rows(places, "size", [*saved, *own, k.put("h", "ps + j", h), k.put("out", "pm + j", h)])
        return k.native(f"{mode}_forward")
    k.rows(places, "size", [*saved, k.put("raw", "ps + j", h)])
    k.product("short", "raw", "0", "size", "wr", "count_r")
    h = k.get("short", "pu + j")
    k.rows({"pu": f"r * count_r * {columns}", "ps": "r * width", "pm": "(p0 + r) * width"}, "width",
           [*own, k.put("h", "ps + j", h), k.put("out", "pm + j", h)])
    return k.native(f"{mode}_forward")


@functools.cache
def backward(mode: str, dtype: str, projected: bool) -> jit.Native:
    """The time loop in reverse. `u`: the cotangent of h in rows as long as its panels are wide, `c`: that of
    c (of a GRU, the part of h's that goes past the product), both replaced by those of the first state; `d`:
    cotangents of the gates' inputs, `du` of the products with h where they are others. With a projection
    `total` and `raw`: all steps' cotangents of h, and h before it. Numbers: H, P, panels of w and of wr."""
    k = _Loop(dtype, "d du u c g x cells past w total raw long wr", "size width count_w count_r")
    gates, columns = range(GATES[mode]), tile(dtype)[1]
    places = {"pu": f"r * count_w * {columns}", "ps": "r * size", "pg": f"(p0 + r) * size * {len(gates)}",
              "pm": "(p0 + r) * size"}
    if projected:
        k.rows({"pu": f"r * count_w * {columns}", "pm": "(p0 + r) * width"}, "width",
               [k.put("total", "pm + j", k.add(k.get("u", "pu + j"), k.get("g", "pm + j")))])
        k.product("long", "total", "p0", "width", "wr", "count_r")
        dh, places = k.get("long", "pl + j"), {**places, "pl": f"r * count_r * {columns}"}
    else:
        dh = k.add(k.get("u", "pu + j"), k.get("g", "pm + j"))
    values = [k.get("x", f"pg + {i} * size + j") for i in gates]
    into = lambda array, found: [k.put(array, f"pg + {i} * size + j", d) for i, d in zip(gates, found)]
    run = lambda *args: inline(k.block, cell_grad(mode, dtype), args)
    if mode == "LSTM":
        *found, c, raw = run(dh, k.get("c", "ps + j"), *values, k.get("cells", "pm + j"))
        stores = [*into("d", found), k.put("c", "ps + j", c)]
        if projected:
            stores.append(k.put("raw", "pm + j", raw))
    elif mode == "GRU":
        dh = k.add(dh, k.get("c", "ps + j"))
        r, z, n, u_n, c = run(dh, *values, k.get("cells", "pm + j"), k.get("past", "pm + j"))
        stores = [*into("d", (r, z, n)), *into("du", (r, z, u_n)), k.put("c", "ps + j", c)]
    else:
        stores = into("d", [run(dh, *values)])
    k.rows(places, "size", stores)
    k.product("u", "du" if mode == "GRU" else "d", "p0", f"size * {len(gates)}", "w", "count_w")
    return k.native(f"{mode}_backward")


# ------------------------------------------------------------------------------------------------ launches
def order(sizes: Sequence[int], backwards: bool) -> tuple[np.ndarray, np.ndarray]:
    """(number of the first row, rows) of each step as they are run through."""
    count = np.array(sizes, np.int64)
    start = count.cumsum() - count
    return (start[::-1].copy(), count[::-1].copy()) if backwards else (start, count)


def _run(native: jit.Native, batch: int, flops: int, arrays: Sequence[np.ndarray | None], steps: tuple,
         *numbers: int) -> None:
    """Run a time loop over the rows of the batch; 50 flops take about a nanosecond."""
    none = np.empty(0, arrays[0].dtype)  # type: ignore[union-attr]
    flat = [none if a is None else a.reshape(-1) for a in arrays]
    jit.parallel(native, batch, flops / 50 / max(batch, 1), (*flat, *steps, len(steps[0]), *numbers))


def _sizes(x: np.ndarray, sizes: Sequence[int] | None) -> Sequence[int]:
    return [x.shape[1]] * x.shape[0] if sizes is None else sizes


def recurrent_layer(out, h_n, c_n, gates, cells, past, tensors, mode, sizes, reverse, keep):
    """h of all steps, the last h and c, and what backward needs."""
    x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr = tensors
    total, size, width, kind = w_ih.shape[0], w_ih.shape[0] // GATES[mode], w_hh.shape[1], x.dtype
    np.copyto(h_n, h)
    if c_n is not None:
        np.copyto(c_n, c)
    rows, sizes = x.reshape(-1, x.shape[-1]), _sizes(x, sizes)
    if not out.size:
        return
    if gates is None:
        gates = np.empty((len(rows), total), kind)
    matmul(gates, rows, w_ih.T)
    if b_ih is None:
        bias = np.zeros(4 * size, kind)
    elif mode == "GRU":
        bias = np.concatenate([b_ih[:2 * size] + b_hh[:2 * size], b_ih[2 * size:], b_hh[2 * size:]])
    else:
        bias = b_ih + b_hh
    batch, w = h.shape[0], panels(w_hh.T)
    wr = None if w_hr is None else panels(w_hr.T)
    raw = short = None
    if wr is not None:
        raw, short = np.empty((batch, size), kind), scratch(batch, wr)
    _run(forward(mode, kind.name, bool(keep), wr is not None), batch, 2 * len(rows) * total * width,
         (out, h_n, c_n, gates, cells, past, scratch(batch, w), w, bias, raw, short, wr),
         order(sizes, reverse), size, width, w.shape[0], 0 if wr is None else wr.shape[0])


def recurrent_layer_grad(d, dh, dc, dw_hh, db_hh, dw_hr, tensors, gates, cells, past, mode, sizes, reverse):
    """Cotangents of the gates' inputs, of the first state, and of the recurrence's weights."""
    g, g_h, g_c, x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr = tensors
    size, width, kind, batch = w_ih.shape[0] // GATES[mode], w_hh.shape[1], x.dtype, h.shape[0]
    sizes = _sizes(x, sizes)
    if not gates.size:
        for a in (dh, dc, dw_hh, db_hh, dw_hr):
            if a is not None:
                a.fill(0)
        return
    w, shape = panels(w_hh), (len(gates), width)
    u = scratch(batch, w)
    if g_h is not None:
        u[:, :width] = g_h
    second = dc if mode == "LSTM" else np.empty((batch, size), kind) if mode == "GRU" else None
    if second is not None:
        second[...] = 0 if g_c is None else g_c
    g = np.zeros(shape, kind) if g is None else np.ascontiguousarray(g).reshape(shape)
    du = np.empty_like(d) if mode == "GRU" else d
    wr = sums = raw = long = None
    if w_hr is not None:
        wr, sums, raw = panels(w_hr), np.empty(shape, kind), np.empty((len(gates), size), kind)
        long = scratch(batch, wr)
    _run(backward(mode, kind.name, wr is not None), batch, 2 * d.size * width,
         (d, du, u, second, g, gates, cells, past, w, sums, raw, long, wr), order(sizes, not reverse), size,
         width, w.shape[0], 0 if wr is None else wr.shape[0])
    np.copyto(dh, u[:, :width])
    if mode == "GRU":
        dh += second
        if db_hh is not None:
            np.sum(du, axis=0, out=db_hh)
    matmul(dw_hh, du.T, past)
    if dw_hr is not None:
        matmul(dw_hr, sums.T, raw)
