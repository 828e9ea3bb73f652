"""Layout: how a tensor's index maps to an element of its storage. Pure functions of shapes and strides."""
from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from math import prod

from .memory_format import strided


class Size(tuple):
    """A shape: a tuple of int with `numel()`."""

    __slots__ = ()

    def __new__(cls, values: Iterable[int] = ()) -> Size:
        if isinstance(values, Size):
            return values
        values = tuple(values)
        for v in values:
            if not isinstance(v, int):
                if not hasattr(v, "__index__"):
                    raise TypeError("torch.Size() takes an iterable of 'int' (item 0 is "
                                    f"'{type(v).__name__}')")
                return tuple.__new__(cls, [int(v) for v in values])
        return tuple.__new__(cls, values)

    def numel(self) -> int:
        """The number of elements: the product of the sizes."""
        return prod(self)

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def __getitem__(self, key):
        got = tuple.__getitem__(self, key)
        return Size(got) if isinstance(key, slice) else got

    def __add__(self, other):
        if not isinstance(other, tuple):
            return NotImplemented
        return Size(tuple.__add__(self, other))

    def __radd__(self, other):
        return Size(tuple.__add__(tuple(other), self))

    def __mul__(self, n):
        return Size(tuple.__mul__(self, n))

    __rmul__ = __mul__

    def __reduce__(self):
        return Size, (tuple(self),)


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides; a dimension of size 0 counts as 1, as in PyTorch."""
    out, step = [], 1
    for n in reversed(shape):
        out.append(step)
        step *= n if n > 0 else 1
    return tuple(reversed(out))


_serials = itertools.count()


class Layout:
    """shape, strides and offset, in elements. Immutable; `dense` ones (row-major, offset 0) are interned."""

    __slots__ = ("shape", "strides", "offset", "numel", "dense", "serial", "_contiguous", "_key")

    def __init__(self, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0,
                 dense: bool = False):
        self.shape = shape if type(shape) is Size else Size(shape)
        self.strides, self.offset = strides, offset
        self.numel = prod(shape)
        self.dense = dense and type(self.numel) is int  # sizes that vary (compiler/number.py) are slow
        self.serial = next(_serials)  # stands for this object: what views of it look like is remembered by it
        self._contiguous: bool | None = True if dense else None
        self._key = 0

    def __repr__(self) -> str:
        return f"Layout(shape={tuple(self.shape)}, strides={self.strides}, offset={self.offset})"

    def __eq__(self, other) -> bool:
        return self is other or (self.shape == other.shape and self.strides == other.strides
                                 and self.offset == other.offset if isinstance(other, Layout) else
                                 other is strided)

    def __str__(self) -> str:
        return str(strided)  # x.layout in users' eyes

    def __hash__(self) -> int:
        return hash((tuple(self.shape), self.strides, self.offset))

    @property
    def key(self) -> int:
        """A number that stands for shape and strides, not the offset: equal where they are equal."""
        k = self._key
        if not k:
            if len(_keys) > 100_000:
                _keys.clear()  # numbers go on from the clock, so plans made under old ones are only forgotten
            pair = (self.shape, self.strides)
            k = _keys.get(pair, 0)
            if not k:
                k = _keys[pair] = next(_clock)
            self._key = k
        return k

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def contiguous(self) -> bool:
        """Row-major at any offset (sizes of 1 may have any stride; empty tensors are contiguous)."""
        if self._contiguous is None:
            self._contiguous = self.numel == 0 or _row_major(self.shape, self.strides)
        return self._contiguous

    def at(self, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Layout:
        """A layout, the interned one if it is dense."""
        if offset == 0:
            found = contiguous(shape)
            if found.strides == strides:
                return found
        return Layout(shape, strides, offset)

    def covers(self) -> bool:
        """Whether the elements fill one block of memory without holes or overlap (dense in some order)."""
        if self.numel == 0:
            return True
        step = 1
        for s, n in sorted((s, n) for n, s in zip(self.shape, self.strides, strict=True) if n != 1):
            if s != step:
                return False
            step *= n
        return True

    def distinct(self) -> bool:
        """Whether, by the strides, no two elements share memory (holes may lie between them)."""
        reach = 0
        for s, n in sorted((s, n) for n, s in zip(self.shape, self.strides, strict=True) if n != 1):
            if s <= reach:
                return self.numel == 0
            reach += (n - 1) * s
        return True

    def span(self) -> int:
        """One past the last storage element the layout reaches, from the storage's start."""
        if self.numel == 0:
            return self.offset
        return self.offset + 1 + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))


def overlap(a: Layout, b: Layout) -> str:
    """How two layouts on one storage meet, by PyTorch's rule: "no", "full" (the same elements), "partial";
    "unknown" where one has holes, which is not worth working out."""
    if a is b or a == b:
        return "full"
    if not a.numel or not b.numel:
        return "no"
    if not a.covers() or not b.covers():
        return "unknown"
    if a.offset == b.offset and a.numel == b.numel:
        return "full" if a.strides == b.strides else "partial"
    return "partial" if a.offset < b.offset + b.numel and b.offset < a.offset + a.numel else "no"


def check_overlap(written: Layout, read: Layout, whole: bool = False) -> None:
    """RuntimeError where a write to one layout of a storage would change what is read through the other;
    `whole`: even if they are the same elements."""
    met = overlap(written, read)
    if met == "partial" or whole and met == "full":
        raise RuntimeError("unsupported operation: some elements of the input tensor and the written-to "
                           "tensor refer to a single memory location. Please clone() the tensor before "
                           "performing the operation.")


_keys: dict[tuple, int] = {}
_clock = itertools.count(1)


def _row_major(shape, strides) -> bool:
    step = 1
    for n, s in zip(reversed(shape), reversed(strides)):
        if n != 1:
            if s != step:
                return False
            step *= n
    return True


_dense: dict[tuple[int, ...], Layout] = {}


def contiguous(shape: tuple[int, ...]) -> Layout:
    """The row-major layout of `shape` at offset 0, one object per shape."""
    found = _dense.get(shape)
    if found is None:
        if len(_dense) > 20_000:
            _dense.clear()
        shape = Size(shape)
        found = _dense[shape] = Layout(shape, contiguous_strides(shape), 0, True)
    return found


def like(layout: Layout) -> Layout:
    """The layout of a fresh result shaped like `layout`, in its order of dimensions where that is dense."""
    if layout.dense:
        return layout
    if layout.covers():
        return layout.at(layout.shape, layout.strides, 0)
    return permuted(layout.shape, stride_order(layout.shape, [layout.strides]))


def permuted(shape: tuple[int, ...], order: Sequence[int]) -> Layout:
    """A dense layout of `shape` whose memory order, outermost first, is `order`."""
    strides, step = [0] * len(shape), 1
    for i in reversed(order):
        strides[i] = step
        step *= max(shape[i], 1)
    return contiguous(shape).at(shape, tuple(strides), 0)


def channels_last(shape: tuple[int, ...]) -> Layout:
    """NHWC (4-d) or NDHWC (5-d) memory for a logical NCHW / NCDHW shape."""
    return permuted(shape, [0, *range(2, len(shape)), 1])


def is_channels_last(layout: Layout) -> bool:
    """Whether strides are those of channels_last (PyTorch's rule, sizes of 1 included)."""
    n = len(layout.shape)
    if n not in (4, 5):
        return False
    step = 0
    if layout.strides[1] == 0:
        return False
    for d in (1, *range(n - 1, 1, -1), 0):
        if layout.shape[d] == 0 or layout.strides[d] < step:
            return False
        if d == 0 and step == layout.strides[1]:
            return False
        step = layout.strides[d] * max(layout.shape[d], 1)
    return True


def elementwise(operands: Sequence[Layout], shape: tuple[int, ...], numbers: bool = False) -> Layout:
    """Where an elementwise operation on operands of these layouts (and on `numbers`) puts its result.

    PyTorch's rule: operands of one shape that are all row-major, all channels_last or all equal and dense
    decide; else the dimensions lie in the order of the operands' strides."""
    first = operands[0]
    if not numbers and all([len(l.shape) == len(shape) and l.shape == shape for l in operands]):
        if all([l.contiguous for l in operands]):
            return contiguous(shape)
        if len(shape) == 4 and all([_row_major([l.shape[d] for d in NHWC], [l.strides[d] for d in NHWC])
                                    for l in operands]):
            return channels_last(shape)
        if all([l.strides == first.strides for l in operands]) and first.covers():
            return like(first)
    elif first.dense and len(operands) == 1 and first.shape == shape:
        return first
    return permuted(shape, stride_order(shape, [expanded(l, shape) for l in operands]))


NHWC = (0, 2, 3, 1)


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape to which `shapes` broadcast. RuntimeError with PyTorch's words if they do not."""
    out = tuple(shapes[0])
    for shape in shapes[1:]:
        if len(shape) == len(out) and shape == out:
            continue
        n = max(len(out), len(shape))
        a, b = (1,) * (n - len(out)) + out, (1,) * (n - len(shape)) + tuple(shape)
        for i, (p, q) in enumerate(zip(a, b)):
            if p != q and p != 1 and q != 1:
                raise RuntimeError(f"The size of tensor a ({p}) must match the size of tensor b ({q}) at "
                                   f"non-singleton dimension {i}")
        out = tuple([q if p == 1 else p for p, q in zip(a, b)])
    return out


def expanded(layout: Layout, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of `layout` seen at the broadcast `shape`: 0 along repeated dimensions."""
    base = len(shape) - len(layout.shape)
    return (0,) * base + tuple(0 if n == 1 and shape[base + i] != 1 else s
                               for i, (n, s) in enumerate(zip(layout.shape, layout.strides, strict=True)))


def viewed(layout: Layout, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Strides that show `layout` as `shape` without copying, or None where none do (PyTorch's rule)."""
    if layout.numel == 0:
        return layout.strides if tuple(shape) == tuple(layout.shape) else contiguous_strides(shape)
    if layout.contiguous:
        return contiguous_strides(shape)
    out = [0] * len(shape)
    d = len(shape) - 1
    old, steps = layout.shape, layout.strides
    base, chunk, seen = steps[-1] if steps else 1, 1, 1
    for i in range(len(old) - 1, -1, -1):
        chunk *= old[i]
        if i == 0 or (old[i - 1] != 1 and steps[i - 1] != chunk * base):
            while d >= 0 and (seen < chunk or shape[d] == 1):
                out[d] = seen * base
                seen *= shape[d]
                d -= 1
            if seen != chunk:
                return None
            if i > 0:
                base, chunk, seen = steps[i - 1], 1, 1
    return tuple(out) if d == -1 else None


def collapse(shape: Sequence[int], operands: Sequence[Sequence[int]]) -> tuple[list[int], list[list[int]]]:
    """Merge neighbouring dimensions that every operand steps through as one; drop sizes of 1.

    Dimensions are first put in the order of the strides, largest first (the first operand decides, later ones
    break ties), so that the last loop runs over the densest memory."""
    dims = [i for i, n in enumerate(shape) if n != 1]
    if len(dims) > 1:
        dims.sort(key=lambda i: [-s[i] for s in operands])
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in operands]
    for i in dims:
        n = shape[i]
        if sizes and all(out[-1] == s[i] * n for out, s in zip(steps, operands)):
            sizes[-1] *= n
            for out, s in zip(steps, operands):
                out[-1] = s[i]
        else:
            sizes.append(n)
            for out, s in zip(steps, operands):
                out.append(s[i])
    return sizes, steps


def stride_order(shape, steps) -> list[int]:
    """Memory order, outermost first: dimensions sorted by the operands' strides, earlier operands first.

    PyTorch's TensorIterator rule: a dimension moves inward while some operand steps strictly less along
    it."""
    order = list(range(len(shape)))[::-1]  # innermost first

    def compare(a: int, b: int) -> int:
        for s in steps:
            x, y = s[a], s[b]
            if x == 0 or y == 0:
                continue
            if x < y:
                return -1
            if x > y:
                return 1
            if shape[a] > shape[b]:
                return 1
        return 0

    for i in range(1, len(order)):
        k = i
        for j in range(i - 1, -1, -1):
            c = compare(order[j], order[k])
            if c > 0:
                order[j], order[k] = order[k], order[j]
                k = j
            elif c < 0:
                break
    return order[::-1]
