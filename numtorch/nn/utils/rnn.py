"""Sequences of different lengths: padded, packed, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ... import Tensor, arange, as_tensor, cat, empty_like, sort, tensor
from ... import int64 as int64

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpad_sequence",
    "pack_sequence",
    "unpack_sequence",
]


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Sequences laid out step by step: `data` has batch_sizes[t] rows for step t, longest sequence first.

    sorted_indices: how the batch was sorted by length; unsorted_indices: the way back.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Any = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        if batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. "
                "Instances of PackedSequence should never be created manually. "
                "They should be instantiated by functions like pack_sequence "
                "and pack_padded_sequences in nn.utils.rnn. "
                "https://pytorch.org/docs/stable/nn.html#torch.nn.utils.rnn.pack_sequence"
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def pin_memory(self) -> PackedSequence:
        """Return the sequence in page-locked memory."""
        return PackedSequence(
            self.data.pin_memory(),
            self.batch_sizes,
            None if self.sorted_indices is None else self.sorted_indices.pin_memory(),
            None if self.unsorted_indices is None else self.unsorted_indices.pin_memory(),
        )

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Convert `data` as Tensor.to does; the indices follow it to its device."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        return self._with(data)

    def _with(self, data: Tensor) -> PackedSequence:
        def follow(indices: Tensor | None) -> Tensor | None:
            return None if indices is None else indices.to(data.device)

        return PackedSequence(
            data, self.batch_sizes, follow(self.sorted_indices), follow(self.unsorted_indices)
        )

    def cuda(self, *args: Any, **kwargs: Any) -> Any:
        """Return the sequence on a CUDA device."""
        return self._with(self.data.cuda(*args, **kwargs))

    def cpu(self, *args: Any, **kwargs: Any) -> Any:
        """Return the sequence on the CPU."""
        return self.to("cpu", *args, **kwargs)

    def double(self) -> Any:
        """Return the sequence in float64."""
        return self._with(self.data.double())

    def float(self) -> Any:
        """Return the sequence in float32."""
        return self._with(self.data.float())

    def half(self) -> Any:
        """Return the sequence in float16."""
        return self._with(self.data.half())

    def long(self) -> Any:
        """Return the sequence in int64."""
        return self._with(self.data.long())

    def int(self) -> Any:
        """Return the sequence in int32."""
        return self._with(self.data.int())

    def short(self) -> Any:
        """Return the sequence in int16."""
        return self._with(self.data.short())

    def char(self) -> Any:
        """Return the sequence in int8."""
        return self._with(self.data.char())

    def byte(self) -> Any:
        """Return the sequence in uint8."""
        return self._with(self.data.byte())

    @property
    def is_cuda(self) -> bool:
        """Whether `data` is on a CUDA device."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether `data` is in page-locked memory."""
        return self.data.is_pinned()


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Return the permutation that undoes `permutation`."""
    if permutation is None:
        return None
    inverse = empty_like(permutation)
    inverse[permutation] = arange(permutation.numel(), device=permutation.device, dtype=permutation.dtype)
    return inverse


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch (T, B, *), with batch_first (B, T, *), of sequences of the given lengths.

    enforce_sorted: they are in order of decreasing length; otherwise they are sorted first.
    """
    lengths = as_tensor(lengths, dtype=int64, device="cpu")
    if enforce_sorted:
        order = None
    else:
        lengths, order = sort(lengths, descending=True)
        order = order.to(input.device)
        input = input.index_select(0 if batch_first else 1, order)
    if batch_first:
        input = input.transpose(0, 1)
    if lengths.dim() != 1:
        raise RuntimeError(f"Expected `lengths` to be a 1D tensor, but got {lengths.dim()}D tensor")
    if input.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    sizes = lengths.tolist()
    if len(sizes) != input.size(1):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(sizes)} "
            f"(batch_size={input.size(1)})"
        )
    if any(a < b for a, b in zip(sizes, sizes[1:])):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this "
            "requirement if you do not need ONNX exportability."
        )
    if sizes[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if sizes[0] > input.size(0):
        raise RuntimeError(
            f"Expected sequence length to be at least the longest of `lengths`, but got {input.size(0)} "
            f"and a length of {sizes[0]}"
        )
    # Steps between two lengths have the same number of sequences: one slice each.
    parts, batch_sizes, begin = [], [], 0
    for count in range(len(sizes), 0, -1):
        end = sizes[count - 1]
        if end > begin:
            parts.append(input[begin:end, :count].reshape((end - begin) * count, *input.shape[2:]))
            batch_sizes += [count] * (end - begin)
            begin = end
    return PackedSequence(cat(parts), tensor(batch_sizes, dtype=int64), order, None)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Undo pack_padded_sequence: return the batch (T, B, *), padded, and the lengths.

    total_length: T, at least the longest sequence's.
    """
    data, batch_sizes, order, back = sequence
    sizes = batch_sizes.tolist()
    longest = len(sizes)
    if total_length is not None and total_length < longest:
        raise ValueError(
            "Expected total_length to be at least the length "
            "of the longest sequence in input, but got "
            f"total_length={total_length} and max sequence length being {longest}"
        )
    batch = sizes[0]
    length = longest if total_length is None else total_length
    padded = data.new_full((length, batch, *data.shape[1:]), padding_value)
    row = begin = 0
    while begin < longest:
        count, end = sizes[begin], begin + 1
        while end < longest and sizes[end] == count:
            end += 1
        rows = (end - begin) * count
        block = data[row : row + rows].reshape(end - begin, count, *data.shape[1:])
        padded[begin:end, :count] = block
        row, begin = row + rows, end
    ended = [0] * batch  # sequence i has as many steps as there are batch sizes above i
    for size in sizes:
        ended[size - 1] += 1
    for i in range(batch - 2, -1, -1):
        ended[i] += ended[i + 1]
    lengths = tensor(ended, dtype=int64)
    if batch_first:
        padded = padded.transpose(0, 1)
    if back is not None:
        padded = padded.index_select(0 if batch_first else 1, back)
        lengths = lengths[back.cpu()]
    return padded, lengths


def pad_sequence(
    sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Stack sequences (L_i, *) into (T, B, *), with batch_first (B, T, *), T the longest, the rest filled."""
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    sequences = tuple(sequences)
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    longest = max(s.size(0) for s in sequences)
    rest = tuple(sequences[0].shape[1:])
    shape = (len(sequences), longest) if batch_first else (longest, len(sequences))
    padded = sequences[0].new_full((*shape, *rest), padding_value)
    for i, sequence in enumerate(sequences):
        n = sequence.size(0)
        at = slice(longest - n, longest) if padding_side == "left" else slice(0, n)
        if batch_first:
            padded[i, at] = sequence
        else:
            padded[at, i] = sequence
    return padded


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """Take the sequences out of a padded batch: undo pad_sequence."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [sequence[:n] for sequence, n in zip(padded_sequences.unbind(0), lengths.tolist())]


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences (L_i, *)."""
    lengths = as_tensor([s.size(0) for s in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Take the sequences out of a packed batch: undo pack_sequence."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
