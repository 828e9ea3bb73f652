"""View entries: Layout → Layout. The memory is shared; the gradient rule of each is the view that undoes
it."""
from __future__ import annotations

from .. import layouts as L
from ..autograd.engine import awaken, rebased, stamp_of
from ..dispatch import TITLES, edge, not_a_tensor, wrap_dim
from ..dtypes import INT
from ..kinds import batching
from ..kinds.batching import Batched
from ..kinds.composite import composite
from ..kinds.view import view
from ..layouts import Layout
from ..tensor import Tensor

TM = ("torch", "Tensor")


# ---------------------------------------------------------------------------------------- order of dimensions
@view(vjp={"x": lambda g, dim0, dim1: g.transpose(dim0, dim1)})
def transpose(x, dim0, dim1):
    "Swap two dimensions."
    n = len(x.shape)
    i, j = wrap_dim(dim0, n), wrap_dim(dim1, n)
    if i == j:
        return x
    order = list(range(n))
    order[i], order[j] = j, i
    return x.at(tuple(x.shape[k] for k in order), tuple(x.strides[k] for k in order), x.offset)


@view(vjp={"x": lambda g, dims: permute(g, _inverse(dims, len(g.shape)))}, packs="dims")
def permute(x, dims):
    "Put the dimensions in the order `dims`."
    n = len(x.shape)
    if len(dims) != n:
        raise RuntimeError("permute(sparse_coo): number of dimensions in the tensor input does not match the "
                           f"length of the desired ordering of dimensions i.e. input.dim() = {n} is not "
                           f"equal to len(dims) = {len(dims)}")
    order = [wrap_dim(d, n) for d in dims]
    if len(set(order)) != n:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return x.at(tuple(x.shape[k] for k in order), tuple(x.strides[k] for k in order), x.offset)


def _inverse(dims, n):
    out = [0] * n
    for i, d in enumerate(dims):
        out[d % n] = i
    return tuple(out)


@view(vjp={"x": lambda g: g.t()})
def t(x):
    "The transpose of a tensor of at most two dimensions."
    if len(x.shape) > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {len(x.shape)}D")
    return x.at(tuple(x.shape[::-1]), x.strides[::-1], x.offset)


@composite(name="swapdims")
def swapdims(x, dim0, dim1):
    "Swap two dimensions."
    return transpose(x, dim0, dim1)


@composite(name="swapaxes")
def swapaxes(x, axis0, axis1):
    "Swap two dimensions."
    return transpose(x, axis0, axis1)


@composite
def movedim(x, source, destination):
    "Move dimensions from the positions `source` to the positions `destination`; the others keep their order."
    n = x.ndim
    src = [source] if isinstance(source, int) else list(source)
    dst = [destination] if isinstance(destination, int) else list(destination)
    if len(src) != len(dst):
        raise RuntimeError("movedim: Invalid source or destination dims: source "
                           f"({src} dims) should contain the same number of dims as destination ({dst} dims)")
    src, dst = [wrap_dim(d, n) for d in src], [wrap_dim(d, n) for d in dst]
    if len(set(src)) != len(src):
        raise RuntimeError(f"movedim: repeated dim in `source` ({src})")
    if len(set(dst)) != len(dst):
        raise RuntimeError(f"movedim: repeated dim in `destination` ({dst})")
    rest = iter([d for d in range(n) if d not in src])
    order = [src[dst.index(d)] if d in dst else next(rest) for d in range(n)]
    return permute(x, tuple(order))


@composite
def moveaxis(x, source, destination):
    "Move dimensions: movedim by its NumPy name."
    return movedim(x, source, destination)


@view(vjp={"x": lambda g: g}, name="alias", at=("torch",))
def alias_view(x):
    "The same elements: a view of everything."
    return x


# ------------------------------------------------------------------------------------------------ shape
def infer(shape, numel: int, words: str = "shape '{}' is invalid for input of size {}") -> tuple[int, ...]:
    """`shape` with its one −1 worked out. RuntimeError where the sizes do not multiply to `numel`."""
    shape = tuple(shape)
    known, at = 1, None
    for i, n in enumerate(shape):
        if not isinstance(n, int):
            if not hasattr(n, "__index__") or isinstance(n, float):
                raise TypeError("argument 'shape' must be tuple of ints, but found element of type "
                                f"{type(n).__name__} at pos {i}")
            n = n.__index__()
            shape = (*shape[:i], n, *shape[i + 1:])
        if n == -1:
            if at is not None:
                raise RuntimeError("only one dimension can be inferred")
            at = i
        elif n < 0:
            raise RuntimeError(f"invalid shape dimension {n} at index {i} of shape {list(shape)}")
        else:
            known *= n
    if at is not None:
        if known == 0:
            raise RuntimeError(f"cannot reshape tensor of 0 elements into shape {list(shape)} because the "
                               "unspecified dimension size -1 can be any value and is "
                               "ambiguous" if numel == 0 else
                               words.format(list(shape), numel))
        if numel % known:
            raise RuntimeError(words.format(list(shape), numel))
        return (*shape[:at], numel // known, *shape[at + 1:])
    if known != numel:
        raise RuntimeError(words.format(list(shape), numel))
    return shape


@view(name="view.shape", at=(), vjp={"x": lambda g, x_meta: g.reshape(x_meta.shape)}, packs="shape")
def viewed(x, shape):
    "The elements in row-major order of another shape."
    shape = infer(shape, x.numel)
    strides = L.viewed(x, shape)
    if strides is None:
        raise RuntimeError("view size is not compatible with input tensor's size and stride (at least one "
                           "dimension spans across two contiguous subspaces). Use .reshape(...) instead.")
    return x.at(shape, strides, x.offset)


@view(name="view.dtype", at=())
def viewed_as(x, dtype, old):
    "The bytes as another element type."
    k, itemsize = dtype.itemsize, old.itemsize
    if k == itemsize:
        return x
    words = f"to view {TITLES[old.name]} as {TITLES[dtype.name]} (different element sizes)"
    if not x.shape:
        raise RuntimeError(f"self.dim() cannot be 0 {words}")
    if x.strides[-1] != 1:
        raise RuntimeError(f"self.stride(-1) must be 1 {words}, but got {x.strides[-1]}")
    if k < itemsize:
        r = itemsize // k
        return x.at((*x.shape[:-1], x.shape[-1] * r), (*[s * r for s in x.strides[:-1]], 1), x.offset * r)
    r = k // itemsize
    if x.shape[-1] % r:
        raise RuntimeError(f"self.size(-1) must be divisible by {r} {words}, but got {x.shape[-1]}")
    if x.offset % r:
        raise RuntimeError(f"self.storage_offset() must be divisible by {r} {words}, but got {x.offset}")
    for i, s in enumerate(x.strides[:-1]):
        if s % r:
            raise RuntimeError(f"self.stride({i}) must be divisible by {r} {words}, but got {s}")
    return x.at((*x.shape[:-1], x.shape[-1] // r), (*[s // r for s in x.strides[:-1]], 1), x.offset // r)


@composite(name="view", at=("Tensor",), packs="shape")
def view_(x, shape=..., dtype=None, *, size=()):
    "The same memory with another shape (or another dtype)."
    from ..dtypes import dtype as dtype_type
    if isinstance(shape, dtype_type):
        shape, dtype = ..., shape
    if dtype is not None:
        out = viewed_as(x, dtype, x.dtype)
        out.dtype = dtype
        return out
    given = shape is not ... or size != ()
    shape = size if shape is ... else shape
    if isinstance(shape, list):
        for i, n in enumerate(shape):
            if i and not hasattr(n, "__index__"):
                raise TypeError(f"view(): argument 'size' failed to unpack the object at pos {i + 1} with "
                                f"error \"type must be tuple of ints,but got {type(n).__name__}\"")
    if not given or not isinstance(shape, list | tuple) or not all(
            hasattr(n, "__index__") and not isinstance(n, bool) for n in shape):
        got = ", ".join("torch.dtype" if isinstance(n, dtype_type) else type(n).__name__
                        for n in (shape if isinstance(shape, list | tuple) else (shape,)))
        raise TypeError(f"view() received an invalid combination of arguments - got ({got}), but expected "
                        "one of:\n"
                        " * (torch.dtype dtype)\n * (tuple of ints size)")
    return viewed(x, shape)


@composite(packs="shape")
def reshape(x, shape):
    "The elements in row-major order of another shape: a view where that can be, else a copy."
    shape = infer(shape, x.layout.numel)
    if L.viewed(x.layout, shape) is not None:
        return viewed(x, shape)
    from .convert import contiguous
    return viewed(contiguous(x), shape)


@composite(at=("Tensor",))
def view_as(x, y):
    "x with the shape of the other."
    if not hasattr(y, "layout"):
        raise not_a_tensor("view_as", "other", y, 0)
    return view_(x, y.shape)


@composite(at=("Tensor",))
def reshape_as(x, y):
    "x reshaped to the shape of the other."
    return reshape(x, y.shape)


@composite
def flatten(x, start_dim=0, end_dim=-1):
    "Join the dimensions start_dim … end_dim."
    n = x.ndim
    a, b = wrap_dim(start_dim, n), wrap_dim(end_dim, n)
    if a > b:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if n == 0:
        return reshape(x, (1,))
    if a == b:
        return x
    size = 1
    for k in x.shape[a:b + 1]:
        size *= k
    return _reshape_method(x, *x.shape[:a], size, *x.shape[b + 1:])


@composite
def unflatten(x, dim, sizes):
    "Split one dimension into `sizes`."
    d = wrap_dim(dim, x.ndim)
    if not len(sizes):
        raise RuntimeError("unflatten: sizes must be non-empty")
    sizes = infer(sizes, x.shape[d], f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size "
                                     f"of dim {d} ({x.shape[d]}) in the input tensor")
    return view_(x, (*x.shape[:d], *sizes, *x.shape[d + 1:]))


@composite
def ravel(x):
    "All elements in one dimension."
    return reshape(x if x.layout.contiguous else x.contiguous(), (-1,))


@view(vjp={"x": lambda g, x_meta: g.reshape(x_meta.shape)})
def squeeze(x, dim=None):
    "Without dimensions of size 1: all, or those named."
    n = len(x.shape)
    if dim is None:
        drop = {i for i in range(n) if x.shape[i] == 1}
    else:
        drop = {wrap_dim(d, n) for d in (dim if isinstance(dim, tuple | list) else (dim,))} if n else set()
        if dim is not None and not n:
            for d in (dim if isinstance(dim, tuple | list) else (dim,)):
                wrap_dim(d, n)
        drop = {i for i in drop if x.shape[i] == 1}
    keep = [i for i in range(n) if i not in drop]
    return x.at(tuple(x.shape[i] for i in keep), tuple(x.strides[i] for i in keep), x.offset)


@view(vjp={"x": lambda g, dim: g.squeeze(dim)})
def unsqueeze(x, dim):
    "Insert a dimension of size 1 at `dim`."
    n = len(x.shape)
    d = wrap_dim(dim, n + 1)
    step = x.shape[d] * x.strides[d] if d < n else 1
    return x.at((*x.shape[:d], 1, *x.shape[d:]), (*x.strides[:d], step, *x.strides[d:]), x.offset)


@view(vjp={"x": lambda g, x_meta: g.sum_to_size(x_meta.shape)}, at=("Tensor",), packs="size")
def expand(x, size, implicit=False):
    "Repeat dimensions of size 1 without copying; −1 keeps a size."
    base = len(size) - len(x.shape)
    if base < 0:
        raise RuntimeError(f"expand(torch.FloatTensor{{{list(x.shape)}}}, size={list(size)}): the number of "
                           f"sizes provided ({len(size)}) must be greater or equal to the number of "
                           f"dimensions in the tensor ({len(x.shape)})")
    shape, strides = [], []
    for i, n in enumerate(size):
        n = n if isinstance(n, int) else n.__index__()
        if i < base:
            if n < 0:
                raise RuntimeError(f"The expanded size of the tensor ({n}) isn't allowed in a leading, "
                                   f"non-existing dimension {i}")
            shape.append(n)
            strides.append(0)
            continue
        have = x.shape[i - base]
        if n == -1 or n == have:
            shape.append(have)
            strides.append(x.strides[i - base])
        elif have == 1:
            shape.append(n)
            strides.append(0)
        else:
            raise RuntimeError(f"The expanded size of the tensor ({n}) must match the existing size ({have}) "
                               f"at non-singleton dimension {i}.  Target sizes: {list(size)}.  Tensor sizes: "
                               f"{list(x.shape)}")
    return x.at(tuple(shape), tuple(strides), x.offset)


@composite(at=("Tensor",))
def expand_as(x, y):
    "x expanded to the shape of the other."
    return expand(x, y.shape)


@composite(at=("torch", "Tensor"))
def broadcast_to(x, size):
    "x expanded to `size`."
    return expand(x, size)


@composite(at=("torch",), name="broadcast_tensors")
def broadcast_tensors(*tensors):
    "All tensors expanded to their common shape."
    many = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
    shape = L.broadcast(*[v.layout.shape for v in many])
    return tuple(v if v.layout.shape == shape else expand(v, shape) for v in many)


def broadcast_shapes(*shapes):
    """The shape to which `shapes` broadcast."""
    out: list[int] = []
    for k, s in enumerate(shapes):
        s = (s,) if isinstance(s, int) else tuple(s)
        out = [1] * (len(s) - len(out)) + out
        for i in range(-1, -len(s) - 1, -1):
            if s[i] < 0:
                raise RuntimeError(f"Trying to create tensor with negative dimension ({s[i]}): ({s[i]})")
            if s[i] != 1 and out[i] not in (1, s[i]):
                raise RuntimeError(f"Attempting to broadcast a dimension of length {s[i]} at {i}! "
                                   f"Mismatching argument at index {k} had {s}; but expected shape should be "
                                   f"broadcastable to {out}")
            out[i] = s[i] if out[i] == 1 else out[i]
    return L.Size(out)


def _view_method(self, *shape, **kwargs):
    """The same memory with another shape (or another dtype)."""
    if shape and type(shape[0]) is int and not kwargs:
        return viewed(self, *shape)
    return view_(self, *shape, **kwargs)


def _reshape_method(self, *shape, **kwargs):
    """The elements in row-major order of another shape: a view where that can be, else a copy."""
    if shape and type(shape[0]) is int and self.layout.contiguous and not kwargs:
        return viewed(self, *shape)
    return reshape(self, *shape, **kwargs)


_view_method.op, _reshape_method.op = view_.op, reshape.op  # type: ignore[attr-defined]
METHODS = {"view": _view_method, "reshape": _reshape_method}
FUNCTIONS = {"broadcast_shapes": broadcast_shapes}


@composite(at=("Tensor",), packs="size")
def sum_to_size(x, size):
    "Sum the dimensions that broadcasting would add or repeat, so that the result has shape `size`."
    size = tuple(size)
    if not size:
        from .reduce import sum as total
        return total(x)
    lead = x.ndim - len(size)
    if not lead and tuple(x.layout.shape) == size:
        return x
    if lead < 0 or any(n != 1 and n != m for n, m in zip(size, x.layout.shape[lead:])):
        raise RuntimeError(f"size {{{list(size)}}} is not expandable to size {{{list(x.shape)}}}.")
    dims = [i for i in range(x.ndim) if i < lead or (size[i - lead] == 1 and x.layout.shape[i] != 1)]
    from .reduce import sum as total
    if len(dims) == lead:
        return total(x, dims) if dims else x
    out = total(x, dims, True)
    return viewed(out, size) if lead else out


# ------------------------------------------------------------------------------------------------ parts
@view(vjp={"x": lambda g, x_meta, dim, index: part_grad(g, x_meta, select, dim, index)})
def select(x, dim, index):
    "The slice at `index` of one dimension, which disappears."
    n = len(x.shape)
    if n == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, n)
    index = index if isinstance(index, int) else index.__index__()
    size = x.shape[d]
    if not -size <= index < size:
        raise IndexError(f"select(): index {index} out of range for tensor of size {list(x.shape)} at "
                         f"dimension {d}")
    if index < 0:
        index += size
    return x.at(x.shape[:d] + x.shape[d + 1:], x.strides[:d] + x.strides[d + 1:],
                x.offset + index * x.strides[d])


def bounds(start: int | None, end: int | None, n: int) -> tuple[int, int]:
    """The first element, and the one after the last, that start:end means of n elements."""
    def clamped(v: int) -> int:
        v = v if isinstance(v, int) else v.__index__()
        if v < 0:
            v += n
        return 0 if v < 0 else n if v > n else v
    return 0 if start is None else clamped(start), n if end is None else clamped(end)


@view(name="slice", at=(),
      vjp={"x": lambda g, x_meta, dim, start, end, step: part_grad(g, x_meta, slice_, dim, start, end, step)})
def slice_(x, dim, start, end, step):
    "Elements start, start + step, … below end of one dimension, as Python slices count them."
    n = len(x.shape)
    d = wrap_dim(dim, n)
    if step <= 0:
        raise ValueError("step must be greater than zero" if step < 0 else "slice step cannot be zero")
    lo, hi = bounds(start, end, x.shape[d])
    size = max(0, -(-(hi - lo) // step))
    return x.at((*x.shape[:d], size, *x.shape[d + 1:]),
                (*x.strides[:d], x.strides[d] * step, *x.strides[d + 1:]),
                x.offset + lo * x.strides[d] if x.shape[d] else x.offset)


def part_grad(g, x_meta, op, *params):
    """The cotangent of x for a part op(x, *params): zeros with g in the part's place."""
    return embed(g, op, tuple(x_meta.shape), params)


@composite(name="embed.part", at=(), vjp={"x": lambda g, op, params: op(g, *params)})
def embed(x, op, shape, params):
    "Zeros of `shape` with x written to op(zeros, *params)."
    from .create import zeros
    out = zeros(shape, dtype=x.dtype, device=x.device)
    op(out, *params).copy_(x)
    return out


@composite
def narrow(x, dim, start, length):
    "`length` elements of one dimension from `start` on."
    if x.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, x.ndim)
    size = x.shape[d]
    if isinstance(start, Tensor):
        if start.ndim or start.dtype.category != INT:
            raise RuntimeError("start must be an 0-dim integral Tensor.")
        start = int(start)
    elif not hasattr(start, "__index__"):
        raise TypeError(f"narrow(): argument 'start' (position 2) must be int, not {type(start).__name__}")
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -size <= start <= size:
        raise IndexError(f"start out of range (expected to be in range of [{-size}, {size}], but got "
                         f"{start})")
    if start < 0:
        start += size
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return slice_(x, d, start, start + length, 1)


@view(vjp={"x": lambda g, x_meta, offset, dim1, dim2: part_grad(g, x_meta, diagonal, offset, dim1, dim2)})
def diagonal(x, offset=0, dim1=0, dim2=1):
    "The diagonal of two dimensions, as a new last dimension."
    n = len(x.shape)
    a, b = wrap_dim(dim1, n), wrap_dim(dim2, n)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    size = max(0,
               min(x.shape[a], x.shape[b] - offset) if offset >= 0 else min(x.shape[a] + offset, x.shape[b]))
    start = x.offset
    if size:
        start += offset * x.strides[b] if offset >= 0 else -offset * x.strides[a]
    keep = [i for i in range(n) if i not in (a, b)]
    return x.at((*[x.shape[i] for i in keep], size),
                (*[x.strides[i] for i in keep], x.strides[a] + x.strides[b]), start)


@view(vjp={"x": lambda g, x_meta, dimension, size, step: _unfold_grad(g, x_meta, dimension, size, step)},
      at=("Tensor",))
def unfold(x, dimension, size, step):
    "Windows of `size` elements, `step` apart, along one dimension; the window is a new last dimension."
    n = len(x.shape)
    d = wrap_dim(dimension, n)
    length = x.shape[d] if n else 1
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > length:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {length} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if n == 0:
        return x.at((size,), (1,), x.offset)
    count = (length - size) // step + 1
    return x.at((*x.shape[:d], count, *x.shape[d + 1:], size),
                (*x.strides[:d], x.strides[d] * step, *x.strides[d + 1:], x.strides[d]), x.offset)


def _unfold_grad(g, x_meta, dimension, size, step):
    """Windows overlap: add each window position's cotangent to its place."""
    from .create import zeros
    n = len(x_meta.shape)
    if n == 0:
        return g.reshape(()) if size else zeros((), dtype=g.dtype)
    d = dimension % n
    count = g.shape[d]
    total = zeros(tuple(x_meta.shape), dtype=g.dtype, device=g.device)
    for k in range(size):
        part = embed(select(g, g.ndim - 1, k), slice_, tuple(x_meta.shape),
                     (d, k, k + (count - 1) * step + 1, step))
        total = total + part
    return total


@view(name="as_strided",
      vjp={"x": lambda g, x_meta, size, stride, relative: strided_grad(g, x_meta, size, stride, relative)})
def as_strided(x, size, stride, storage_offset=None):
    "The storage seen with any sizes, strides and offset (in elements)."
    offset = x.offset if storage_offset is None else storage_offset
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(s < 0 for s in stride):
        raise RuntimeError("as_strided: Negative strides are not supported at the moment, got strides: "
                           f"{list(stride)}")
    if offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {offset}")
    return x.at(tuple(size), tuple(stride), offset)


def strided_grad(g, x_meta, size, stride, offset):
    """The cotangent of x for as_strided, `offset` from x's first element: each element collects what its
    views got."""
    import numpy as np

    from .create import zeros
    x_layout = Layout(tuple(x_meta.shape), x_meta.strides)
    back = max(-offset, 0)  # the view may begin before x
    offset += back
    seen = Layout(tuple(size), tuple(stride), offset)
    span = max(x_layout.span() + back, seen.span(), 1)
    if seen.distinct():
        flat = zeros((span,), dtype=g.dtype, device=g.device)
        as_strided(flat, tuple(size), tuple(stride), offset).copy_(g)
        return as_strided(flat, tuple(x_meta.shape), x_meta.strides, back)
    where = np.zeros(tuple(size), np.int64) + offset
    for d, (n, s) in enumerate(zip(size, stride)):
        where += (np.arange(n) * s).reshape([-1 if k == d else 1 for k in range(len(size))])
    from ..tensor import tensor_from
    flat = zeros((span,), dtype=g.dtype, device=g.device)
    flat = flat.index_add(0, tensor_from(where.reshape(-1)), g.reshape(-1))
    return as_strided(flat, tuple(x_meta.shape), x_meta.strides, back)


def check_span(x, layout: Layout, name: str) -> None:
    """RuntimeError if a layout reaches outside x's storage."""
    have = x.storage.nbytes // x.dtype.itemsize
    if layout.numel and layout.span() > have:
        raise RuntimeError(f"setStorage: sizes {list(layout.shape)}, strides {list(layout.strides)}, storage "
                           f"offset {layout.offset}, and itemsize {x.dtype.itemsize} requiring a storage "
                           f"size of {layout.span() * x.dtype.itemsize} are out of bounds for storage of "
                           f"size {x.storage.nbytes}")


_unchecked = as_strided.op.apply


def _checked_strided(args):
    x = args["x"]
    size = tuple(n if isinstance(n, int) else int(n) for n in args["size"])
    args["size"], args["stride"] = size, tuple(args["stride"])
    offset = x.layout.offset if args["storage_offset"] is None else args["storage_offset"]
    args["relative"] = offset - x.layout.offset
    if len(args["size"]) == len(args["stride"]):
        check_span(x, Layout(size, args["stride"], offset), "as_strided")
    return _unchecked(args)


as_strided.op.apply, as_strided.op.checks = _checked_strided, True


# ---------------------------------------------------------------------------------------------- complex parts
@view(name="view_as_real.op", at=())
def real_pairs(x):
    "A complex tensor's memory as pairs of reals."
    return x.at((*x.shape, 2), (*[s * 2 for s in x.strides], 1), x.offset * 2)


@view(name="view_as_complex.op", at=())
def complex_pairs(x):
    "Pairs of reals as complex numbers."
    if not x.shape or x.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if x.strides[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(s % 2 for s, n in zip(x.strides[:-1], x.shape) if n > 1) or x.offset % 2:
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    return x.at(x.shape[:-1], tuple(s // 2 for s in x.strides[:-1]), x.offset // 2)


real_pairs.op.rules["x"] = (lambda g: view_as_complex(g.contiguous()), ("g",))
complex_pairs.op.rules["x"] = (lambda g: view_as_real(g.contiguous()), ("g",))
real_pairs.op.inputs = complex_pairs.op.inputs = ("x",)


def _retyped(op, x, dtype):
    out = op(x)
    out.dtype = dtype
    return out


@composite(at=("torch",))
def view_as_real(x):
    "A complex tensor as a real one with a last dimension of size 2 (real, imaginary), sharing memory."
    if not x.dtype.is_complex:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return _retyped(real_pairs, x, x.dtype.to_real())


@composite(at=("torch",))
def view_as_complex(x):
    "A real tensor with a last dimension of size 2 as a complex one, sharing memory."
    if x.dtype.name not in ("float16", "float32", "float64"):
        raise RuntimeError("view_as_complex is only supported for half, float and double tensors, but got a "
                           f"tensor of scalar type: {TITLES[x.dtype.name]}")
    return _retyped(complex_pairs, x, x.dtype.to_complex())


@composite
def real(x):
    "The real part: a view for complex tensors, x itself for real ones."
    return select(view_as_real(x), x.ndim, 0) if x.dtype.is_complex else x


@composite
def imag(x):
    "The imaginary part, as a view."
    if not x.dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return select(view_as_real(x), x.ndim, 1)


# --------------------------------------------------------------------------------------- writes through views
class _Rebase:
    """The tape entry of a base after one of its views was written to: base with the view's region
    replaced."""

    name, node_name = "copy_slices", "CopySlices"

    def backward(self, node, grads):
        g, (base, layout, pairs) = grads[0], node.values["where"]
        from .create import empty_strided
        if not base.distinct():
            raise NotImplementedError("in-place writes through a view of a tensor whose elements share "
                                      "memory have no gradient; clone() the tensor first.")
        like = dict(dtype=g.dtype, device=g.device)
        place = lambda: empty_strided(tuple(base.shape), base.strides, **like).copy_(g)
        with_g = place()
        start = layout.offset - (pairs[0].body(base).offset if pairs else base.offset)
        region = lambda v: as_strided(pairs[1](v) if pairs else v, tuple(layout.shape), layout.strides, start)
        out = [None, None]
        if node.edges[1] is not None:
            out[1] = region(with_g).clone()
        if node.edges[0] is not None:
            out[0] = place()
            region(out[0]).zero_()
        return out


_rebase = _Rebase()


def rebase(x, base, node) -> None:
    """`x`, a view of `base`, was written to, and `node` made its new value: continue both tapes from
    there."""
    if type(x) is Batched:
        return batching.rebase(x, base, node)
    from ..dispatch import Node
    made = Node(_rebase, (edge(base), node), None, (), (),
                {"where": (base.layout, x.layout, _pairs_of(base, x))})
    if not base.requires_grad:
        awaken(base)
    base._node, base._requires = made, True
    rebased(base)
    rederive(x)


def rederive(x) -> None:
    """Give the view `x` the history of its base's present value."""
    base = x._base
    if type(x) is Batched:
        return batching.rederive(x)
    from ..dispatch import Meta, Node
    pairs, layout, source = _pairs_of(base, x), base.layout, edge(base)
    if pairs:
        layout = pairs[0].body(base.layout)
        source = Node(pairs[0], (source,), ((base.layout.shape, base.dtype),), (), (), {})
    args = {"x_meta": Meta(layout.shape, x.dtype, x.storage.device, layout.strides),
            "size": tuple(x.layout.shape),
            "stride": x.layout.strides, "relative": x.layout.offset - layout.offset}
    x._node = Node(as_strided.op, (source,), ((layout.shape, x.dtype),), (), (), args)
    x._requires, x._stamp = True, stamp_of(base)


def _pairs_of(base, x):
    """How `x`, a view of `base`, sees its numbers: complex ones as pairs of reals, pairs as complex ones, or
    as they are."""
    if x.dtype is base.dtype:
        return None
    if base.dtype.is_complex and x.dtype is base.dtype.to_real():
        return real_pairs.op, view_as_real
    if x.dtype.is_complex and base.dtype is x.dtype.to_real():
        return complex_pairs.op, view_as_complex
    raise RuntimeError(f"a view of {base.dtype} memory as {x.dtype} was written to where gradients are "
                       "recorded: there is no gradient through a change of the element type. Use .to() "
                       "instead of .view(dtype).")

