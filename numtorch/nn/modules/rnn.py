"""Recurrent layers and cells: Elman RNN, LSTM and GRU."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ... import (
    Tensor,
    empty,
    gru,
    gru_cell,
    lstm,
    lstm_cell,
    rnn_relu,
    rnn_relu_cell,
    rnn_tanh,
    rnn_tanh_cell,
    zeros,
)
from .. import init
from ..parameter import Parameter
from ..utils.rnn import PackedSequence
from .module import Module

__all__ = ["RNNBase", "RNN", "LSTM", "GRU", "RNNCellBase", "RNNCell", "LSTMCell", "GRUCell"]

_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}  # rows of the weights per hidden unit
_LAYERS = {"RNN_TANH": rnn_tanh, "RNN_RELU": rnn_relu, "LSTM": lstm, "GRU": gru}
# A state is a tuple of tensors: (h,), or (h, c) of an LSTM.
State = tuple[Tensor, ...]


def apply_permutation(tensor: Tensor, permutation: Tensor, dim: int = 1) -> Tensor:
    """Reorder along `dim` (deprecated): tensor.index_select(dim, permutation)."""
    warnings.warn(
        "`apply_permutation` is deprecated, please use `tensor.index_select(dim, permutation)` instead",
        FutureWarning,
        stacklevel=2,
    )
    return tensor.index_select(dim, permutation)


class RNNBase(Module):
    """What RNN, LSTM and GRU have in common: arguments, parameters, checks, and the layers' loop.

    Parameters per layer and direction: weight_ih_l{k}, weight_hh_l{k}, bias_ih_l{k}, bias_hh_l{k},
    weight_hr_l{k} (projection), with the suffix _reverse; all start from U(-s, s), s = 1 / √hidden_size.
    """

    __constants__ = [
        "mode",
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
    ]

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if not isinstance(dropout, (int, float)) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] "
                "representing the probability of an element being "
                "zeroed"
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last "
                "recurrent layer, so non-zero dropout expects "
                f"num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={num_layers}",
                stacklevel=2,
            )
        if not isinstance(bias, bool):
            raise TypeError(f"bias should be of type bool, got: {type(bias).__name__}")
        if not isinstance(batch_first, bool):
            raise TypeError(f"batch_first should be of type bool, got: {type(batch_first).__name__}")
        if not isinstance(input_size, int):
            raise TypeError(f"input_size should be of type int, got: {type(input_size).__name__}")
        if input_size <= 0:
            raise ValueError("input_size must be greater than zero")
        if not isinstance(hidden_size, int):
            raise TypeError(f"hidden_size should be of type int, got: {type(hidden_size).__name__}")
        if hidden_size <= 0:
            raise ValueError("hidden_size must be greater than zero")
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if proj_size < 0:
            raise ValueError("proj_size should be a positive integer or zero to disable projections")
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + mode)
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        gate_size = _GATES[mode] * hidden_size
        out_size = proj_size or hidden_size
        for layer in range(num_layers):
            in_size = input_size if layer == 0 else out_size * self._num_directions
            shapes: list[tuple[int, ...]] = [(gate_size, in_size), (gate_size, out_size)]
            if bias:
                shapes += [(gate_size,), (gate_size,)]
            if proj_size:
                shapes.append((proj_size, hidden_size))
            for direction in range(self._num_directions):
                for name, shape in zip(self._names(layer, direction), shapes):
                    setattr(self, name, Parameter(empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    @property
    def _num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _names(self, layer: int, direction: int) -> list[str]:
        """Return the names of one layer's parameters in one direction, in their order of registration."""
        names = ["weight_ih", "weight_hh"]
        if self.bias:
            names += ["bias_ih", "bias_hh"]
        if self.proj_size > 0:
            names.append("weight_hr")
        suffix = f"_l{layer}" + ("_reverse" if direction else "")
        return [name + suffix for name in names]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [
            [getattr(self, name) for name in self._names(layer, direction)]
            for layer in range(self.num_layers)
            for direction in range(self._num_directions)
        ]

    @property
    def _flat_weights(self) -> list[Parameter]:
        return [weight for weights in self.all_weights for weight in weights]

    def __setstate__(self, state: dict[str, Any]) -> None:
        # PyTorch stores its lists of weights and their names beside the parameters.
        super().__setstate__({k: v for k, v in state.items() if k not in _DERIVED})
        self.__dict__.setdefault("proj_size", 0)

    def flatten_parameters(self) -> None:
        """Do nothing: weights need not lie in one block of memory."""

    def reset_parameters(self) -> None:
        """Draw all parameters anew, in their order."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    # ---- checks ----

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Check dtype, number of dimensions and features of the input."""
        weight = self.all_weights[0][0]
        if input.dtype != weight.dtype:
            from ... import is_autocast_enabled

            if not is_autocast_enabled(input.device.type):
                raise ValueError(
                    f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight.dtype}). "
                    f"Convert input: input.to({weight.dtype}), or convert model: model.to({input.dtype})"
                )
        expected = 2 if batch_sizes is not None else 3
        if input.dim() != expected:
            raise RuntimeError(f"input must have {expected} dimensions, got {input.dim()}")
        if self.input_size != input.size(-1):
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, "
                f"got {input.size(-1)}"
            )

    def get_expected_hidden_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """Return the shape of the state h for this input."""
        if batch_sizes is not None:
            batch = int(batch_sizes[0])
        else:
            batch = input.size(0) if self.batch_first else input.size(1)
        return (self.num_layers * self._num_directions, batch, self.proj_size or self.hidden_size)

    def check_hidden_size(
        self,
        hx: Tensor,
        expected_hidden_size: tuple[int, int, int],
        msg: str = "Expected hidden size {}, got {}",
    ) -> None:
        """Raise RuntimeError unless the state has the shape expected."""
        if hx.size() != expected_hidden_size:
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.size())))

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Check the input and the state against the layer's sizes."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """Reorder the batch of the state."""
        return hx if permutation is None else hx.index_select(1, permutation)

    # ---- the layers ----

    def _run(self, input: Tensor, state: State, batch_sizes: Tensor | None) -> tuple[Tensor, State]:
        """Run all layers; the state's tensors are (layers · directions, batch, size)."""
        hx: Any = state if self.mode == "LSTM" else state[0]
        how = (self.bias, self.num_layers, self.dropout, self.training, self.bidirectional)
        run, weights = _LAYERS[self.mode], self._flat_weights
        if batch_sizes is None:
            output, *last = run(input, hx, weights, *how, self.batch_first)
        else:
            output, *last = run(input, batch_sizes, hx, weights, *how)
        return output, tuple(last)

    def _prepare(self, input: Any, name: str, wrong: str) -> tuple:
        """Take the argument apart: (rows, batch sizes, sorted, unsorted indices, batch, whether batched)."""
        if isinstance(input, PackedSequence):
            rows, sizes, order, back = input
            return rows, sizes, order, back, int(sizes[0]), True
        if input.dim() not in (2, 3):
            raise ValueError(f"{name}: Expected input to be 2D or 3D, got {input.dim()}D {wrong}")
        batched = input.dim() == 3
        if not batched:
            input = input.unsqueeze(0 if self.batch_first else 1)
        return input, None, None, None, input.size(0 if self.batch_first else 1), batched

    def _zero_state(self, input: Tensor, batch: int, size: int) -> Tensor:
        layers = self.num_layers * self._num_directions
        return zeros((layers, batch, size), dtype=input.dtype, device=input.device)

    def extra_repr(self) -> str:
        s = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size != 0:
            s += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            s += f", num_layers={self.num_layers}"
        if self.bias is not True:
            s += f", bias={self.bias}"
        if self.batch_first is not False:
            s += f", batch_first={self.batch_first}"
        if self.dropout != 0:
            s += f", dropout={self.dropout}"
        if self.bidirectional is not False:
            s += f", bidirectional={self.bidirectional}"
        return s


_DERIVED = frozenset(
    ("_flat_weights", "_flat_weights_names", "_flat_weight_refs", "_all_weights", "all_weights")
)


class _PlainState(RNNBase):
    """A layer whose state is one tensor: RNN and GRU."""

    _wrong = "tensor instead"

    def forward(self, input: Any, hx: Tensor | None = None) -> Any:
        rows, sizes, order, back, batch, batched = self._prepare(input, self._kind, self._wrong)
        if hx is None:
            hx = self._zero_state(rows, batch, self.hidden_size)
        else:
            wanted = 3 if batched else 2
            if hx.dim() != wanted and not isinstance(input, PackedSequence):
                what = "batched 3-D" if batched else "unbatched 2-D"
                raise RuntimeError(
                    f"For {what} input, hx should also be {wanted}-D but got {hx.dim()}-D tensor"
                )
            hx = self.permute_hidden(hx if batched else hx.unsqueeze(1), order)
        assert hx is not None
        self.check_forward_args(rows, hx, sizes)
        output, (hidden,) = self._run(rows, (hx,), sizes)
        if sizes is not None:
            return PackedSequence(output, sizes, order, back), self.permute_hidden(hidden, back)
        if not batched:
            return output.squeeze(0 if self.batch_first else 1), hidden.squeeze(1)
        return output, hidden

    @property
    def _kind(self) -> str:
        return "GRU" if self.mode == "GRU" else "RNN"


class RNN(_PlainState):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or relu, in num_layers layers (Elman 1990).

    input (L, N, input_size), (N, L, input_size) with batch_first, (L, input_size) or a PackedSequence;
    hx (layers · directions, N, hidden_size), zero by default. Returns the last layer's h_t and all h_L.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if len(args) > 3:
            nonlinearity = args[3]
            args = args[:3] + args[4:]
        else:
            nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        self.nonlinearity = nonlinearity
        super().__init__("RNN_" + nonlinearity.upper(), *args, **kwargs)


class GRU(_PlainState):
    """r, z = σ(W x_t + U h + b); n = tanh(W_n x_t + b_n + r (U_n h + c_n)); h_t = (1 - z) n + z h (Cho 2014).

    Arguments and results are those of RNN.
    """

    _wrong = "instead"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)


class LSTM(RNNBase):
    """i, f, o = σ(…), g = tanh(…); c_t = f c + i g; h_t = o tanh(c_t) (Hochreiter and Schmidhuber 1997).

    The arguments are RNN's, the state hx is (h_0, c_0); proj_size > 0 projects h_t to that size.
    Returns the last layer's h_t and (h_n, c_n), each layer's last.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """Return the shape of the state c for this input."""
        layers, batch, _ = self.get_expected_hidden_size(input, batch_sizes)
        return (layers, batch, self.hidden_size)

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Check the input and both states against the layer's sizes."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(
            hidden[0], self.get_expected_hidden_size(input, batch_sizes), "Expected hidden[0] size {}, got {}"
        )
        self.check_hidden_size(
            hidden[1], self.get_expected_cell_size(input, batch_sizes), "Expected hidden[1] size {}, got {}"
        )

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """Reorder the batch of both states."""
        if permutation is None:
            return hx
        return hx[0].index_select(1, permutation), hx[1].index_select(1, permutation)

    def forward(self, input: Any, hx: Any = None) -> Any:
        rows, sizes, order, back, batch, batched = self._prepare(input, "LSTM", "instead")
        if hx is None:
            hx = (
                self._zero_state(rows, batch, self.proj_size or self.hidden_size),
                self._zero_state(rows, batch, self.hidden_size),
            )
            self.check_forward_args(rows, hx, sizes)
        else:
            wanted = 3 if batched else 2
            if sizes is None and (hx[0].dim() != wanted or hx[1].dim() != wanted):
                what = "batched 3-D" if batched else "unbatched 2-D"
                raise RuntimeError(
                    f"For {what} input, hx and cx should also be {wanted}-D "
                    f"but got ({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
                )
            if not batched:
                hx = (hx[0].unsqueeze(1), hx[1].unsqueeze(1))
            self.check_forward_args(rows, hx, sizes)
            hx = self.permute_hidden(hx, order)
        output, hidden = self._run(rows, tuple(hx), sizes)
        if sizes is not None:
            return PackedSequence(output, sizes, order, back), self.permute_hidden(hidden, back)
        if not batched:
            return output.squeeze(0 if self.batch_first else 1), tuple(h.squeeze(1) for h in hidden)
        return output, hidden


class RNNCellBase(Module):
    """What the cells have in common: parameters, all started from U(-s, s), s = 1 / √hidden_size."""

    __constants__ = ["input_size", "hidden_size", "bias"]
    weight_ih: Any
    weight_hh: Any
    bias_ih: Any
    bias_hh: Any

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(empty((rows, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(empty((rows, hidden_size), device=device, dtype=dtype))
        if bias:
            self.bias_ih = Parameter(empty(rows, device=device, dtype=dtype))
            self.bias_hh = Parameter(empty(rows, device=device, dtype=dtype))
        else:
            self.register_parameter("bias_ih", None)
            self.register_parameter("bias_hh", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, in their order."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        s = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            s += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            s += f", nonlinearity={self.nonlinearity}"
        return s

    @property
    def _weights(self) -> tuple[Any, ...]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def _batch(self, input: Tensor, hx: Any) -> tuple[Tensor, State]:
        """Return input and states with a batch dimension; missing states are zero."""
        x = input if input.dim() == 2 else input.unsqueeze(0)
        if hx is None:
            n = 2 if isinstance(self, LSTMCell) else 1
            zero = zeros((x.size(0), self.hidden_size), dtype=x.dtype, device=x.device)
            return x, (zero,) * n
        states = hx if isinstance(hx, (tuple, list)) else (hx,)
        return x, tuple(s if input.dim() == 2 else s.unsqueeze(0) for s in states)


class RNNCell(RNNCellBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu; x (N, input_size), h (N, hidden_size)."""

    __constants__ = ["input_size", "hidden_size", "bias", "nonlinearity"]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if input.dim() not in (1, 2):
            raise ValueError(f"RNNCell: Expected input to be 1D or 2D, got {input.dim()}D instead")
        if hx is not None and hx.dim() not in (1, 2):
            raise ValueError(f"RNNCell: Expected hidden to be 1D or 2D, got {hx.dim()}D instead")
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        x, states = self._batch(input, hx)
        cell = rnn_tanh_cell if self.nonlinearity == "tanh" else rnn_relu_cell
        h = cell(x, states[0], *self._weights)
        return h if input.dim() == 2 else h.squeeze(0)


class LSTMCell(RNNCellBase):
    """One step of an LSTM: x (N, input_size), hx = (h, c) of (N, hidden_size); returns (h', c')."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Tensor]:
        if input.dim() not in (1, 2):
            raise ValueError(f"LSTMCell: Expected input to be 1D or 2D, got {input.dim()}D instead")
        if hx is not None:
            for i, value in enumerate(hx):
                if value.dim() not in (1, 2):
                    raise ValueError(f"LSTMCell: Expected hx[{i}] to be 1D or 2D, got {value.dim()}D instead")
        x, states = self._batch(input, hx)
        h, c = lstm_cell(x, states, *self._weights)
        return (h, c) if input.dim() == 2 else (h.squeeze(0), c.squeeze(0))


class GRUCell(RNNCellBase):
    """One step of a GRU: x (N, input_size), h (N, hidden_size); returns h'."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if input.dim() not in (1, 2):
            raise ValueError(f"GRUCell: Expected input to be 1D or 2D, got {input.dim()}D instead")
        if hx is not None and hx.dim() not in (1, 2):
            raise ValueError(f"GRUCell: Expected hidden to be 1D or 2D, got {hx.dim()}D instead")
        x, states = self._batch(input, hx)
        h = gru_cell(x, states[0], *self._weights)
        return h if input.dim() == 2 else h.squeeze(0)
