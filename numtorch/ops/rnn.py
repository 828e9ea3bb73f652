"""Recurrent layers and cells: Elman's, LSTM, GRU.

A layer's direction is one opaque op: the input projection of all steps as one product, then the time loop in
one kernel. The same as Python over the cells (`unrolled`) is its definition, which runs where numbers are
complex and where the gradient is differentiated."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from .. import dtypes as D
from ..autograd.modes import enable_grad, state
from ..dispatch import Meta, no_overload
from ..kinds import opaque
from ..kinds.batching import tracked
from ..tensor import Tensor
from .dropout import dropout
from .index import title
from .join import cat, stack
from .linalg import addmm
from .padding import linear

# A layer's state: tensors (batch, size): (h,), or (h, c) of an LSTM.
State = tuple[Any, ...]


# ---------------------------------------------------------------------------------------------- one step
def _tanh_step(x, h, weights: Weights) -> State:
    """h' = tanh(x + W_hh h), x with both biases in it."""
    return (addmm(x, h, weights.w_hh).tanh(),)


def _relu_step(x, h, weights: Weights) -> State:
    """h' = max(0, x + W_hh h), x with both biases in it."""
    return (addmm(x, h, weights.w_hh).relu(),)


def _lstm_step(x, h, c, weights: Weights) -> State:
    """c' = σ(f) c + σ(i) tanh(g); h' = σ(o) tanh(c'), projected where there is a projection."""
    i, f, g, o = addmm(x, h, weights.w_hh).chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return (h if weights.w_hr is None else h @ weights.w_hr), c


def _gru_step(x, h, weights: Weights) -> State:
    """r, z = σ(…); n = tanh(x_n + r (W_hn h + b_hn)); h' = n + z (h - n)."""
    hidden = h @ weights.w_hh if weights.b_hh is None else addmm(weights.b_hh, h, weights.w_hh)
    x_r, x_z, x_n = x.chunk(3, 1)
    h_r, h_z, h_n = hidden.chunk(3, 1)
    n = (x_n + (x_r + h_r).sigmoid() * h_n).tanh()
    return (n + (x_z + h_z).sigmoid() * (h - n),)


STEPS: dict[str, tuple[int, Callable[..., State]]] = {
    # mode: (rows of the weights per hidden unit, one step)
    "RNN_TANH": (1, _tanh_step),
    "RNN_RELU": (1, _relu_step),
    "LSTM": (4, _lstm_step),
    "GRU": (3, _gru_step),
}


class Weights:
    """One layer's weights in one direction; those of the recurrence transposed, once for all steps."""

    __slots__ = ("w_ih", "bias", "w_hh", "b_hh", "w_hr")

    def __init__(self, mode: str, w_ih, w_hh, b_ih, b_hh, w_hr):
        self.w_ih = w_ih
        self.w_hh = w_hh.t()
        self.w_hr = None if w_hr is None else w_hr.t()
        # The GRU's reset gate multiplies its hidden bias; the others' two biases are one.
        self.bias = b_ih if mode == "GRU" or b_hh is None else b_ih + b_hh
        self.b_hh = b_hh



# ---------------------------------------------------------------------------------------------- all steps
def unrolled(mode: str, gates, start: State, weights: Weights, sizes: Sequence[int] | None,
             reverse: bool) -> tuple[Any, State]:
    """(h_t of all steps, last state) for the projected input of all steps."""
    step = STEPS[mode][1]
    if sizes is not None:
        return _packed(step, gates.split(list(sizes)), start, weights, sizes, reverse)
    outputs, now = [], start
    steps = gates.unbind(0)
    for g in reversed(steps) if reverse else steps:
        now = step(g, *now, weights)
        outputs.append(now[0])
    return stack(outputs[::-1] if reverse else outputs), now


def _packed(step: Callable[..., State], gates: Sequence[Any], start: State, weights: Weights,
            sizes: Sequence[int], reverse: bool) -> tuple[Any, State]:
    """Of packed rows, step t has the sizes[t] longest sequences. Forward, sequences drop out as they end; in
    reverse, they come in."""
    outputs: list[Any] = []
    if reverse:
        size = sizes[-1]
        now = tuple(s[:size] for s in start)
        for g, wanted in zip(reversed(gates), reversed(sizes)):
            if wanted > size:
                now = tuple(cat((s, s0[size:wanted])) for s, s0 in zip(now, start))
                size = wanted
            now = step(g, *now, weights)
            outputs.append(now[0])
        return cat(outputs[::-1]), now
    ended: list[State] = []
    now, size = start, sizes[0]
    for g, wanted in zip(gates, sizes):
        if wanted < size:
            ended.append(tuple(s[wanted:] for s in now))
            now = tuple(s[:wanted] for s in now)
            size = wanted
        now = step(g, *now, weights)
        outputs.append(now[0])
    if ended:
        now = tuple(cat(parts) for parts in zip(*reversed([*ended, now])))
    return cat(outputs), now


# The tensors of a layer, in order: x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr; what there is not is None.
def _definition(mode: str, tensors: Sequence[Any], sizes: Sequence[int] | None, reverse: bool):
    """(projected input, weights, h_t, last state) of a layer by its cells."""
    x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr = tensors
    weights = Weights(mode, w_ih, w_hh, b_ih, b_hh, w_hr)
    gates = linear(x, weights.w_ih, weights.bias)
    return gates, weights, *unrolled(mode, gates, (h,) if c is None else (h, c), weights, sizes, reverse)


def _layer_rule(g, tensors, out3, out4, out5, mode, sizes, reverse):
    """Gradients of `recurrent_layer`: the reverse loop gives those of the gates' inputs, products over all
    steps the rest."""
    if all(v is None for v in g[:3]):
        return [None] * 8
    x, _, _, w_ih, _, b_ih, b_hh, _ = tensors
    d, dh, dc, dw_hh, db_hh, dw_hr = recurrent_layer_grad((*g[:3], *tensors), out3, out4, out5, mode, sizes,
                                                          reverse)
    dx = (d @ w_ih).reshape(x.shape) if x.requires_grad else None
    dw_ih = d.t() @ x.reshape(-1, x.shape[-1]) if w_ih.requires_grad else None
    db = d.sum(0) if b_ih is not None and (b_ih.requires_grad or b_hh.requires_grad) else None
    return dx, dh, dc, dw_ih, dw_hh, db, db if db_hh is None else db_hh, dw_hr


def _checked(mode: str, tensors: Sequence[Any], sizes: Sequence[int] | None) -> tuple:
    """(rows of all steps, batch, rows of the weights, H, P, dtype of what is kept) of a layer, whose tensors
    must fit together: kernels trust that."""
    x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr = tensors
    for t in tensors:
        if t is not None and t.dtype is not x.dtype:
            raise RuntimeError("mat1 and mat2 must have the same dtype, but got "
                               f"{title(x.dtype)} and {title(t.dtype)}")
    rows, total = prod(x.shape[:-1]), w_ih.shape[0]
    size, width = total // STEPS[mode][0], h.shape[-1]
    if x.ndim != (3 if sizes is None else 2):
        raise RuntimeError(f"input must have {3 if sizes is None else 2} dimensions, got {x.ndim}")
    if sizes is not None and (not sizes or sum(sizes) != rows or sizes[-1] < 1
                              or any(a < b for a, b in zip(sizes, sizes[1:]))):
        raise RuntimeError("batch_sizes must not increase, be 1 at least, and sum up to the "
                           f"{rows} rows of the data, got {list(sizes)}")
    lstm = mode == "LSTM"
    if (c is not None) != lstm or (b_ih is None) != (b_hh is None) or (
            width != size if w_hr is None else not lstm):
        raise RuntimeError(f"{mode}: a hidden state of {width} features does not fit weights for {size}")
    batch = x.shape[1] if sizes is None else sizes[0]
    _check_shapes(mode, ("hidden state", h, (batch, width)), ("cell state", c, (batch, size)),
                  ("input weight", w_ih, (STEPS[mode][0] * size, x.shape[-1])),
                  ("hidden weight", w_hh, (total, width)), ("bias", b_ih, (total,)),
                  ("hidden bias", b_hh, (total,)), ("projection", w_hr, (width, size)))
    return rows, batch, total, size, width, D.float32 if x.dtype.itemsize == 2 else x.dtype


def _check_shapes(mode: str, *wanted: tuple[str, Any, tuple[int, ...]]) -> None:
    for what, t, shape in wanted:
        if t is not None and tuple(t.shape) != shape:
            raise RuntimeError(f"{mode}: expected the {what} to have shape {list(shape)}, got "
                               f"{list(t.shape)}")


@opaque(at=(), vjp={"tensors": _layer_rule})
def recurrent_layer(tensors, mode, sizes, reverse, keep):
    """One direction of a layer: (h of all steps, last h, last c; if `keep`, for backward, of all steps: the
    gates, c before the step or a GRU's W_hn h + b_hn, h before the step).

    x is (steps, batch, features), or packed rows with the `sizes` of the steps; h (batch, P), c (batch,
    H)."""
    x, _, c = tensors[:3]
    rows, batch, total, size, width, kept = _checked(mode, tensors, sizes)
    meta = lambda *shape: Meta(shape, kept) if keep else None
    return (Meta((*x.shape[:-1], width), x.dtype), Meta((batch, width), x.dtype),
            None if c is None else Meta((batch, size), x.dtype), meta(rows, total),
            meta(rows, size) if mode in ("LSTM", "GRU") else None, meta(rows, width))


def _grad_rule(g, tensors, mode, sizes, reverse):
    """Gradients of `recurrent_layer_grad`: those of the gradients of the definition."""
    from ..autograd.functional import grad
    again = state.grad
    with enable_grad():
        own = [None if t is None else t.view_as(t) if t.requires_grad else t.detach().requires_grad_()
               for t in tensors]
        *cotangents, x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr = own
        gates, weights, out, last = _definition(mode, own[3:], sizes, reverse)
        pairs = [(t, u) for t, u in zip((out, *last), cotangents) if u is not None]
        wanted = {"gates": gates, "h": h, "c": c, "w_hh": w_hh, "b_hh": b_hh if mode == "GRU" else None,
                  "w_hr": w_hr}
        got = iter(grad([t for t, _ in pairs], [t for t in wanted.values() if t is not None],
                        [u for _, u in pairs], create_graph=True))
        found = [None if t is None else next(got) for t in wanted.values()]
        found[0] = found[0].reshape(-1, gates.shape[-1])
        ends = [(t, u) for t, u in zip(found, g) if u is not None and t is not None and t.requires_grad]
        asked = [i for i, t in enumerate(tensors) if t is not None and t.requires_grad]
        results: list[Any] = [None] * len(tensors)
        if ends and asked:
            values = grad([t for t, _ in ends], [own[i] for i in asked], [u for _, u in ends],
                          create_graph=again, allow_unused=True)
            for i, v in zip(asked, values):
                results[i] = v
        return results


@opaque(at=(), vjp={"tensors": _grad_rule})
def recurrent_layer_grad(tensors, gates, cells, past, mode, sizes, reverse):
    """Gradients of `recurrent_layer` by the gates' inputs (rows of all steps), h, c, w_hh, a GRU's b_hh and
    w_hr, for tensors (cotangents of its first three results, its tensors)."""
    g, g_h, g_c, x, h, c, w_ih, w_hh, _, b_hh, w_hr = tensors
    rows, batch, total, size, width, kept = _checked(mode, tensors[3:], sizes)
    _check_shapes(mode, ("cotangent", g, (*x.shape[:-1], width)), ("cotangent", g_h, (batch, width)),
                  ("cotangent", g_c, (batch, size)), ("gates", gates, (rows, total)),
                  ("cells", cells, (rows, size)), ("states", past, (rows, width)))
    if any(t.dtype is not kept for t in (gates, cells, past) if t is not None) or \
            any(t.dtype is not x.dtype for t in (g, g_h, g_c) if t is not None) or \
            past is None or (cells is None) != (mode not in ("LSTM", "GRU")):
        raise RuntimeError(f"{mode}: what was kept for the gradient does not fit")
    like = lambda t: None if t is None else Meta(t.shape, t.dtype)
    return (Meta((rows, total), x.dtype), like(h), like(c), like(w_hh),
            like(b_hh) if mode == "GRU" else None, like(w_hr))


def _direction(mode: str, tensors: tuple, sizes: tuple[int, ...] | None,
               reverse: bool) -> tuple[Any, State]:
    """(h_t of all steps, last state) of a layer in one direction."""
    x, c = tensors[0], tensors[2]
    if not x.dtype.is_floating_point:
        return _definition(mode, tensors, sizes, reverse)[2:]
    keep = state.grad and any(t is not None and tracked(t) for t in tensors)
    got = recurrent_layer(tensors, mode, sizes, reverse, keep)
    return got[0], got[1:2] if c is None else got[1:3]


# ---------------------------------------------------------------------------------------------- layers
def _layers(mode: str, x, start: State, params: Sequence[Any], sizes: tuple[int, ...] | None,
            has_biases: bool, num_layers: int, p: float, train: bool, bidirectional: bool) -> tuple[Any, ...]:
    """(h_t of the last layer, states after the last step of all layers and directions); `x` and the states
    (layers · directions, batch, size) as `recurrent_layer` takes them."""
    count = 2 if bidirectional else 1
    projected = start[0].shape[2] != start[-1].shape[2]
    names = 2 + 2 * bool(has_biases) + projected
    if len(params) % names:
        raise RuntimeError(f"MatrixRef: ArrayRef size {len(params)} not divisible by stride {names}")
    if len(params) != names * num_layers * count:
        raise RuntimeError(f"{mode}: expected {names * num_layers * count} weights, got {len(params)}")
    states = list(zip(*[s.unbind(0) for s in start]))
    if len(states) != num_layers * count:
        raise RuntimeError(f"{mode}: expected a state of {num_layers * count} layers and directions, got "
                           f"{len(states)}")
    ends: list[State] = []
    for layer in range(num_layers):
        outputs = []
        for reverse in range(count):
            at = layer * count + reverse
            own = params[at * names:(at + 1) * names]
            bias = own[2:4] if has_biases else (None, None)
            h, c = states[at] if mode == "LSTM" else (states[at][0], None)
            out, end = _direction(mode, (x, h, c, *own[:2], *bias, own[-1] if projected else None), sizes,
                                  reverse == 1)
            outputs.append(out)
            ends.append(end)
        x = outputs[0] if count == 1 else cat(outputs, -1)
        if p and train and layer < num_layers - 1:
            x = dropout(x, p, True)
    return x, *[stack(parts) for parts in zip(*ends)]


def _cast(mode: str, x, start: State, params: Sequence[Any], packed: bool) -> tuple:
    """The tensors as autocast wants them: in the low precision those of an Elman layer, of an LSTM of padded
    sequences and of an input that is in it; else in float32."""
    casting, device = state.cast, x.storage.device.type
    if casting is None or device not in casting.dtypes:
        return x, start, params
    low = casting.dtypes[device]
    lower = mode[:3] == "RNN" or (mode == "LSTM" and not packed) or x.dtype is low
    one = lambda t: casting.cast(t, device, low if lower else D.float32)
    return one(x), tuple(map(one, start)), [one(t) for t in params]


_PADDED = ("input", "hx", "params", "has_biases", "num_layers", "dropout", "train", "bidirectional",
           "batch_first")
_PACKED = ("data", "batch_sizes", "hx", *_PADDED[2:-1])


def _recurrent(name: str, mode: str, args: tuple, kwargs: dict[str, Any]) -> tuple:
    """torch.NAME of padded sequences (input, hx, params, …) or of packed ones (data, batch_sizes, hx, …)."""
    many = lambda v: isinstance(v, list | tuple) and all(isinstance(t, Tensor) for t in v)
    for names in (_PADDED, _PACKED):
        given = dict(zip(names, args)) | kwargs
        if len(args) + len(kwargs) == len(given) == len(names) and set(given) == set(names):
            hx = given["hx"]
            if isinstance(given[names[0]], Tensor) and many(given["params"]) and (
                    many(hx) if mode == "LSTM" else isinstance(hx, Tensor)):
                break
    else:
        raise no_overload(name, args, kwargs)
    if mode == "LSTM" and len(hx) != 2:
        raise RuntimeError("lstm expects two hidden states")
    x, sizes = given[names[0]], None
    if names is _PACKED:
        sizes = tuple(given["batch_sizes"].tolist())
    else:
        x = x.transpose(0, 1) if given["batch_first"] else x
        if not x.shape[0]:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    start = tuple(hx) if mode == "LSTM" else (hx,)
    x, start, params = _cast(mode, x, start, given["params"], sizes is not None)
    out, *last = _layers(mode, x, start, params, sizes, given["has_biases"], given["num_layers"],
                         given["dropout"], given["train"], given["bidirectional"])
    return out.transpose(0, 1) if given.get("batch_first") else out, *last


def lstm(*args, **kwargs):
    """(h_t of the last layer, all h_n, all c_n) of an LSTM: lstm(input, (h, c), params, has_biases,
    num_layers, dropout, train, bidirectional, batch_first), or lstm(data, batch_sizes, (h, c), …,
    bidirectional) of packed sequences. params: of each layer and direction w_ih, w_hh and, where there are,
    b_ih, b_hh, w_hr."""
    return _recurrent("lstm", "LSTM", args, kwargs)


def gru(*args, **kwargs):
    """(h_t of the last layer, all h_n) of a GRU: the arguments are lstm's, with hx one tensor."""
    return _recurrent("gru", "GRU", args, kwargs)


def rnn_tanh(*args, **kwargs):
    """(h_t of the last layer, all h_n) of h' = tanh(…): the arguments are lstm's, with hx one tensor."""
    return _recurrent("rnn_tanh", "RNN_TANH", args, kwargs)


def rnn_relu(*args, **kwargs):
    """(h_t of the last layer, all h_n) of h' = relu(…): the arguments are lstm's, with hx one tensor."""
    return _recurrent("rnn_relu", "RNN_RELU", args, kwargs)


# ---------------------------------------------------------------------------------------------- cells
def _cell(mode: str, x, state_: State, w_ih, w_hh, b_ih, b_hh) -> State:
    for t, size, name in ((x, w_ih.shape[1], "input"), *((s, w_hh.shape[1], "hidden") for s in state_)):
        if t.shape[1] != size:
            raise RuntimeError(f"{name} has inconsistent {name}_size: got {t.shape[1]}"
                               f"{',' * (name == 'hidden')} expected {size}")
        if t.shape[0] != x.shape[0]:
            raise RuntimeError(f"Input batch size {x.shape[0]} doesn't match hidden0 batch size "
                               f"{t.shape[0]}")
    weights = Weights(mode, w_ih, w_hh, b_ih, b_hh, None)
    return STEPS[mode][1](linear(x, w_ih, weights.bias), *state_, weights)


def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """(h', c') after one step of an LSTM; input (N, features), hx = (h, c) of (N, size)."""
    return _cell("LSTM", input, tuple(hx), w_ih, w_hh, b_ih, b_hh)


def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """h' after one step of a GRU; input (N, features), hx (N, size)."""
    return _cell("GRU", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh); input (N, features), hx (N, size)."""
    return _cell("RNN_TANH", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """h' = relu(W_ih x + b_ih + W_hh h + b_hh); input (N, features), hx (N, size)."""
    return _cell("RNN_RELU", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


FUNCTIONS = {f.__name__: f for f in (lstm, gru, rnn_tanh, rnn_relu, lstm_cell, gru_cell, rnn_tanh_cell,
                                     rnn_relu_cell)}
