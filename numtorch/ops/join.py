"""Joining, splitting, repeating and rearranging tensors."""
from __future__ import annotations

import itertools

from ..dispatch import TITLES, Meta, wrap_dim
from ..dtypes import int32, int64, result_type
from ..kinds import composite, opaque
from ..kinds.memory import format_of, format_of_all, preserved, rowmajor
from ..layouts import contiguous, viewed
from ..memory_format import contiguous_format
from ..tensor import Tensor
from .create import arange, zeros
from .view import narrow, select


def _tensors(op: str, tensors) -> list:
    "The operands of a joining op as a list; TypeError with PyTorch's words for anything else."
    if not isinstance(tensors, (tuple, list)):
        raise TypeError(f"{op}(): argument 'tensors' (position 1) must be tuple of Tensors, not "
                        f"{type(tensors).__name__}")
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(t).__name__}")
    return list(tensors)


def _one_type(tensors: list) -> list:
    "The tensors in their common dtype; 0-d ones count less than the others, as in arithmetic."
    first = tensors[0].dtype
    if all(t.dtype is first for t in tensors):
        return tensors
    common = result_type(*tensors)
    return [t.to(common) for t in tensors]


# ---------------------------------------------------------------------------------------------------- joining
def _skipped(t) -> bool:
    "Whether an operand of cat is a 1-d empty tensor, which fits any shape."
    return len(t.shape) == 1 and t.shape[0] == 0


def _cat_gradient(g, dim, tensors_meta):
    "g cut into the pieces that the operands gave."
    out, at = [], 0
    for t in tensors_meta:
        if _skipped(t):
            out.append(zeros(t.shape, dtype=g.dtype, device=g.device))
            continue
        n = t.shape[dim]
        out.append(narrow(g, dim, at, n))
        at += n
    return tuple(out)


@opaque(memory=format_of_all("tensors"), strided=True, at=(), half="native", vjp={"tensors": _cat_gradient})
def concatenate_tensors(tensors, dim):
    "Tensors of one dtype one after the other along `dim`."
    first, at = None, 0
    total = 0
    for i, t in enumerate(tensors):
        shape = t.shape
        if len(shape) == 1 and shape[0] == 0:
            continue
        if not shape:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
        if first is None:
            first, at = shape, wrap_dim(dim, len(shape), "cat")
        elif shape != first:
            if len(shape) != len(first):
                raise RuntimeError("Tensors must have same number of dimensions: got "
                                   f"{len(first)} and {len(shape)}")
            for d, (n, m) in enumerate(zip(first, shape)):
                if d != at and n != m:
                    raise RuntimeError(f"Sizes of tensors must match except in dimension {at}. Expected size "
                                       f"{n} but "
                                       f"got size {m} for tensor number {i} in the list.")
        total += shape[at]
    if first is None:
        return Meta((0,), tensors[0].dtype)
    return Meta(tuple(first[:at]) + (total,) + tuple(first[at + 1:]), tensors[0].dtype)


@composite(at=("torch",), apart=True)
def cat(tensors, dim=0):
    "The tensors one after the other along `dim`; 1-d empty ones are skipped; dtypes promote."
    tensors = _tensors("cat", tensors)
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    return concatenate_tensors(_one_type(tensors), dim)


@composite(at=("torch",))
def concat(tensors, dim=0):
    "cat by another name."
    return cat(tensors, dim)


@composite(at=("torch",))
def concatenate(tensors, dim=0):
    "cat by another name."
    return cat(tensors, dim)


def _stacked(args, shape):
    """cat along the dimension, seen with one more."""
    first, n, dim = tuple(args["tensors"][0].shape), len(args["tensors"]), args["dim"] % len(shape)
    if dim == len(first):
        return contiguous(shape)
    joined = format_of_all("tensors")(args, (*first[:dim], n * first[dim], *first[dim + 1:]))
    return contiguous(shape).at(shape, viewed(joined, shape), 0)


@opaque(memory=_stacked, at=(), half="native", vjp={"tensors": lambda g, dim: unbind(g, dim)})
def stack_tensors(tensors, dim):
    "Tensors of one dtype and shape along a new dimension."
    first = tensors[0].shape
    for i, t in enumerate(tensors):
        if t.shape != first:
            raise RuntimeError(f"stack expects each tensor to be equal size, but got {list(first)} at entry "
                               "0 and "
                               f"{list(t.shape)} at entry {i}")
    dim = wrap_dim(dim, len(first) + 1, "stack")
    return Meta(tuple(first[:dim]) + (len(tensors),) + tuple(first[dim:]), tensors[0].dtype)


@composite(at=("torch",))
def stack(tensors, dim=0):
    "The tensors, all of one shape, along a new dimension; dtypes promote."
    tensors = _tensors("stack", tensors)
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    return stack_tensors(_one_type(tensors), dim)


def _at_least(tensors, n: int) -> list:
    "Each tensor with at least n dimensions (atleast_1d, atleast_2d, atleast_3d)."
    return [_raised(t, n) for t in tensors]


def _raised(x, n: int):
    if x.ndim >= n:
        return x
    if x.ndim == 0:
        return x.reshape((1,) * n)
    if x.ndim == 1:
        return x.unsqueeze(0) if n == 2 else x.unsqueeze(0).unsqueeze(-1)
    return x.unsqueeze(-1)


def _all_at_least(n: int, tensors):
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        return tuple(_at_least(tensors[0], n))
    return _raised(tensors[0], n) if len(tensors) == 1 else tuple(_at_least(tensors, n))


@composite(at=("torch",))
def atleast_1d(*tensors):
    "Each tensor with at least one dimension."
    return _all_at_least(1, tensors)


@composite(at=("torch",))
def atleast_2d(*tensors):
    "Each tensor with at least two dimensions; a vector becomes a row."
    return _all_at_least(2, tensors)


@composite(at=("torch",))
def atleast_3d(*tensors):
    "Each tensor with at least three dimensions."
    return _all_at_least(3, tensors)


@composite(at=("torch",))
def hstack(tensors):
    "The tensors side by side: along dimension 1, vectors along 0."
    tensors = _at_least(_some("hstack", tensors), 1)
    return cat(tensors, 0 if tensors[0].ndim == 1 else 1)


@composite(at=("torch",))
def vstack(tensors):
    "The tensors on top of each other; vectors are rows."
    return cat(_at_least(_some("vstack", tensors), 2), 0)


@composite(at=("torch",))
def row_stack(tensors):
    "vstack by another name."
    return vstack(tensors)


@composite(at=("torch",))
def dstack(tensors):
    "The tensors along dimension 2."
    return cat(_at_least(_some("dstack", tensors), 3), 2)


@composite(at=("torch",))
def column_stack(tensors):
    "Vectors as columns, matrices side by side."
    tensors = _some("column_stack", tensors)
    return cat([t.reshape(t.numel(), 1) if t.ndim <= 1 else t for t in tensors], 1)


def _some(op: str, tensors) -> list:
    tensors = _tensors(op, tensors)
    if not tensors:
        raise RuntimeError(f"{op} expects a non-empty TensorList")
    return tensors


@composite(at=("torch",))
def block_diag(*tensors):
    "The block-diagonal matrix of the given matrices; vectors are rows, numbers 1 x 1."
    if not tensors:
        return zeros((1, 0))
    for i, t in enumerate(tensors):
        if t.ndim > 2:
            raise RuntimeError("torch.block_diag: Input tensors must have 2 or fewer dimensions. Input "
                               f"{i} has {t.ndim} dimensions")
    parts = _one_type([_raised(t, 2) for t in tensors])
    columns = sum(t.shape[1] for t in parts)
    rows, at = [], 0
    for t in parts:
        n, m = t.shape
        kind = dict(dtype=t.dtype, device=t.device)
        rows.append(cat([zeros((n, at), **kind), t, zeros((n, columns - at - m), **kind)], 1))
        at += m
    return cat(rows, 0)


# ------------------------------------------------------------------------------------------ splitting (views)
def _pieces(g, x_meta, sizes):
    "The cotangents of pieces, zeros where one is missing."
    pieces = g if isinstance(g, tuple) else (g,)
    kind = next(p for p in pieces if p is not None)
    none = dict(dtype=kind.dtype, device=kind.device)
    return [p if p is not None else zeros(s, **none) for p, s in zip(pieces, sizes)]


def _split_gradient(g, x_meta, sizes, dim):
    shapes = [tuple(x_meta.shape[:dim]) + (n,) + tuple(x_meta.shape[dim + 1:]) for n in sizes]
    return cat(_pieces(g, x_meta, shapes), dim)


@composite(at=(), vjp={"x": _split_gradient})
def split_views(x, sizes, dim):
    "Views of x of the given sizes along `dim`, one after the other."
    out, at = [], 0
    for n in sizes:
        out.append(narrow(x, dim, at, n))
        at += n
    return tuple(out)


@composite
def split_with_sizes(x, split_sizes, dim=0):
    "Views of x of the given sizes along `dim`."
    if x.ndim == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    dim, sizes = wrap_dim(dim, x.ndim, "split"), [n.__index__() for n in split_sizes]
    if any(n < 0 for n in sizes):
        raise RuntimeError("split_with_sizes expects split_sizes have only non-negative entries, but got "
                           "split_sizes="
                           f"{sizes}")
    if sum(sizes) != x.shape[dim]:
        raise RuntimeError(f"split_with_sizes expects split_sizes to sum exactly to {x.shape[dim]} (input "
                           "tensor's size "
                           f"at dimension {dim}), but got split_sizes={sizes}")
    return split_views(x, sizes, dim)


@composite
def split(x, split_size_or_sections, dim=0, *, split_size=None):
    "Views of x of one size along `dim` (the last may be smaller), or of the given sizes."
    if isinstance(split_size_or_sections, (list, tuple)):
        return split_with_sizes(x, split_size_or_sections, dim)
    step = split_size_or_sections
    step = step if isinstance(step, int) else step.__index__()
    if x.ndim == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if step < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={step}")
    dim = wrap_dim(dim, x.ndim, "split")
    n = x.shape[dim]
    if step == 0 and n:
        raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}")
    count = max(-(-n // step), 1) if step else 1
    return split_views(x, [min(step, n - i * step) for i in range(count)], dim)


@composite
def chunk(x, chunks, dim=0):
    "At most `chunks` views of x along `dim`, of one size but for the last."
    if x.ndim == 0:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    dim = wrap_dim(dim, x.ndim, "chunk")
    n = x.shape[dim]
    step = -(-n // chunks)
    if step == 0:
        return split_views(x, [0] * chunks, dim)
    return split(x, step, dim)


@composite
def unsafe_chunk(x, chunks, dim=0):
    "chunk by another name."
    return chunk(x, chunks, dim)


@composite
def unsafe_split(x, split_size, dim=0):
    "split by another name."
    return split(x, split_size, dim)


@composite
def tensor_split(x, indices_or_sections, dim=0):
    "Views of x along `dim`: n of about one size, or cut at the given places."
    if x.ndim == 0:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 "
                           "dims")
    dim = wrap_dim(dim, x.ndim, "tensor_split")
    at = indices_or_sections
    if isinstance(at, Tensor):
        if at.dtype is not int64:
            raise RuntimeError("tensor_split expected tensor_indices_or_sections to have dtype of long, but "
                               "got "
                               f"{TITLES[at.dtype.name]}")
        if at.ndim > 1:
            raise RuntimeError("tensor_split expected tensor_indices_or_sections to be a zero-dimensional or "
                               f"one-dimensional tensor, but got a tensor with {at.ndim} dims")
        at = at.tolist()
    n = x.shape[dim]
    if isinstance(at, (list, tuple)):
        cuts = [0] + [_clamped(i, n) for i in at] + [n]
        return tuple(narrow(x, dim, i, max(j - i, 0)) for i, j in itertools.pairwise(cuts))
    if at <= 0:
        raise RuntimeError(f"number of sections must be larger than 0, got {at}")
    size, extra = divmod(n, at)
    return split_views(x, [size + 1] * extra + [size] * (at - extra), dim)


def _clamped(i, n: int) -> int:
    i = i.__index__()
    return min(max(i + n if i < 0 else i, 0), n)


def _even_split(op: str, x, at, dim: int, least: int):
    if x.ndim < least:
        raise RuntimeError(f"torch.{op} requires a tensor with at least {least} dimension, but got a tensor "
                           f"with {x.ndim} "
                           "dimensions!")
    if isinstance(at, int) and at and x.shape[dim] % at:
        raise RuntimeError(f"torch.{op} attempted to split along dimension {dim}, but the size of the "
                           "dimension "
                           f"{x.shape[dim]} is not divisible by the split_size {at}!")
    return tensor_split(x, at, dim)


@composite
def hsplit(x, indices_or_sections):
    "Views of x along dimension 1 (0 of a vector): equal ones, or cut at the given places."
    return _even_split("hsplit", x, indices_or_sections, 0 if x.ndim == 1 else 1, 1)


@composite
def vsplit(x, indices_or_sections):
    "Views of x along dimension 0: equal ones, or cut at the given places."
    return _even_split("vsplit", x, indices_or_sections, 0, 2)


@composite
def dsplit(x, indices_or_sections):
    "Views of x along dimension 2: equal ones, or cut at the given places."
    return _even_split("dsplit", x, indices_or_sections, 2, 3)


def _unbind_gradient(g, x_meta, dim):
    dim = wrap_dim(dim, len(x_meta.shape))
    shape = tuple(x_meta.shape[:dim]) + tuple(x_meta.shape[dim + 1:])
    return stack(_pieces(g, x_meta, [shape] * x_meta.shape[dim]), dim)


@composite(vjp={"x": _unbind_gradient})
def unbind(x, dim=0):
    "The slices of x along `dim`, as views without that dimension."
    if x.ndim == 0:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    dim = wrap_dim(dim, x.ndim, "unbind")
    return tuple([select(x, dim, i) for i in range(x.shape[dim])])


# ------------------------------------------------------------------------------------------------------ grids
@composite(at=("torch",))
def meshgrid(*tensors, indexing=None):
    "For n vectors, n tensors with n dimensions: the coordinates of the grid they span (views)."
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing is None:
        import warnings
        warnings.warn("torch.meshgrid: in an upcoming release, it will be required to pass the indexing "
                      "argument.",
                      stacklevel=3)
        indexing = "ij"
    for t in tensors:
        if t.dtype is not tensors[0].dtype:
            raise RuntimeError("meshgrid expects all tensors to have the same dtype")
        if t.device != tensors[0].device:
            raise RuntimeError("meshgrid expects all tensors to have the same device")
        if t.ndim > 1:
            raise RuntimeError("torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: "
                               f"{list(t.shape)}")
    if indexing not in ("xy", "ij"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    swap = indexing == "xy" and len(tensors) >= 2
    if swap:
        tensors = (tensors[1], tensors[0], *tensors[2:])
    n = len(tensors)
    shape = [t.numel() for t in tensors]
    out = [t.reshape((1,) * d + (-1,) + (1,) * (n - d - 1)).expand(shape) for d, t in enumerate(tensors)]
    if swap:
        out[0], out[1] = out[1], out[0]
    return tuple(out)


@composite(at=("torch",))
def cartesian_prod(*tensors):
    "The rows of the Cartesian product of vectors; a single vector stays as it is."
    for t in tensors:
        if t.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(t.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    grids = meshgrid(*tensors, indexing="ij")
    return stack([g.reshape(-1) for g in grids], 1)


@composite
def combinations(x, r=2, with_replacement=False):
    "The combinations of r entries of a vector, as itertools orders them, in rows."
    if x.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(x.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return zeros((0,), dtype=x.dtype, device=x.device)
    n = x.shape[0]
    grids = [g.reshape(-1) for g in meshgrid(*[arange(n, device=x.device)] * r, indexing="ij")]
    keep = None
    for a, b in itertools.pairwise(grids):
        ok = a <= b if with_replacement else a < b
        keep = ok if keep is None else keep & ok
    rows = [g if keep is None else g.masked_select(keep) for g in grids]
    return stack([x.index_select(0, places) for places in rows], 1)


# -------------------------------------------------------------------------------------------------- repeating
@composite(memory=rowmajor, at=("Tensor",), packs="repeats")
def repeat(x, repeats):
    "x laid out repeats[d] times along each dimension d; leading dimensions are added as needed."
    if isinstance(repeats, int):
        repeats = (repeats,)
    repeats = [int(r) for r in repeats]
    if len(repeats) < x.ndim:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions "
                           "of tensor")
    shape = (1,) * (len(repeats) - x.ndim) + tuple(x.shape)
    total = [r * n for r, n in zip(repeats, shape)]
    bad = next((t for r, t in zip(repeats, total) if r < 0), None)
    if bad is not None:
        raise RuntimeError(f"Trying to create tensor with negative dimension {bad}: {total}")
    if all(r == 1 for r in repeats):
        return x.reshape(shape).clone()
    y = x.reshape([k for n in shape for k in (1, n)])
    return y.expand([k for r, n in zip(repeats, shape) for k in (r, n)]).reshape(total)


@composite(packs="dims")
def tile(x, dims):
    "x repeated dims[d] times along each dimension, counted from the last."
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    return repeat(x, (1,) * (x.ndim - len(dims)) + dims)


@opaque(at=(), dynamic=True)
def repeated_places(repeats):
    "The numbers 0, 1, … each as often as `repeats` says."
    return None


@composite(memory=rowmajor)
def repeat_interleave(x, repeats=None, dim=None, *, output_size=None):
    "Each entry of x along `dim` (of the flat x if None) repeated; with one tensor, its indices so often."
    if repeats is None:
        return repeated_places(_counts(x))
    if dim is None:
        x, dim = x.reshape(-1), 0
    dim = wrap_dim(dim, x.ndim, "repeat_interleave")
    n = x.shape[dim] if x.ndim else 1
    if not isinstance(repeats, Tensor):
        if isinstance(repeats, (list, tuple)):
            from .create import tensor
            repeats = tensor(list(repeats), device=x.device)
        else:
            if repeats < 0:
                raise RuntimeError("Repeats must be non-negative")
            shape = list(x.shape)
            y = x.unsqueeze(dim + 1).expand(shape[:dim + 1] + [repeats] + shape[dim + 1:])
            return y.reshape(shape[:dim] + [n * repeats] + shape[dim + 1:])
    repeats = _counts(repeats)
    if repeats.ndim == 0 or repeats.numel() == 1 and n != 1:
        repeats = repeats.reshape(1).expand((n,))
    if repeats.shape[0] != n:
        raise RuntimeError("repeats must have the same size as input along dim, but got repeats.size(0) = "
                           f"{repeats.shape[0]} and input.size({dim}) = {n}")
    places = repeated_places(repeats)
    if output_size is not None and output_size != places.shape[0]:
        raise RuntimeError("allocated size does not match required size\n"
                           f"repeat_interleave: output_size is {output_size}, repeats sum to "
                           f"{places.shape[0]}")
    return x.index_select(dim, places)


def _counts(repeats):
    if repeats.dtype not in (int64, int32):
        raise NotImplementedError("\"repeat_interleave_cpu\" not implemented for "
                                  f"'{TITLES[repeats.dtype.name]}'")
    if repeats.ndim > 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    return repeats.to(int64)


# ------------------------------------------------------------------------------------------------ rearranging
@opaque(memory=preserved, strided=True, at=(), half="native", vjp={"x": lambda g, dims: reverse(g, dims)})
def reverse(x, dims):
    "x with the order of the entries along `dims` reversed."
    return Meta(x.shape, x.dtype)


@composite(packs="dims")
def flip(x, dims):
    "x with the order of the entries along `dims` reversed (a copy)."
    dims = [wrap_dim(d, x.ndim, "flip") for d in ((dims,) if isinstance(dims, int) else dims)]
    twice = next((d for d in dims if dims.count(d) > 1), None)
    if twice is not None:
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return reverse(x, tuple(dims) if x.ndim else ())


@composite
def fliplr(x):
    "x with its columns in reverse order."
    if x.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(x, (1,))


@composite
def flipud(x):
    "x with its rows in reverse order."
    if x.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(x, (0,))


@opaque(memory=format_of("x"), strided=True, at=(), half="native",
        vjp={"x": lambda g, shifts, dims: rolled(g, tuple(-s for s in shifts), dims)})
def rolled(x, shifts, dims):
    "x with its entries moved by shifts[i] places along dims[i], around the end."
    return Meta(x.shape, x.dtype)


@composite
def roll(x, shifts, dims=None):
    "x with its entries moved by `shifts` along `dims`, around the end; the flat x if dims is None."
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    dims = () if dims is None else (dims,) if isinstance(dims, int) else tuple(dims)
    if not shifts:
        raise RuntimeError("`shifts` required")
    if not dims and len(shifts) == 1:
        return rolled(x.reshape(-1), shifts, (0,)).reshape(x.shape)
    if len(shifts) != len(dims):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    return rolled(x, shifts, tuple(wrap_dim(d, x.ndim, "roll") for d in dims))


@composite
def rot90(x, k=1, dims=(0, 1)):
    "x rotated by k quarter turns in the plane of two dimensions, from the first towards the second."
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if x.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {x.ndim}")
    i, j = (wrap_dim(d, x.ndim, "rot90") for d in dims)
    if i == j:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = "
                           f"{dims[1]}")
    k %= 4
    if k == 0:
        return x.clone(contiguous_format)
    if k == 2:
        return flip(x, (i, j))
    if k == 1:
        return flip(x, (j,)).transpose(i, j)
    return flip(x.transpose(i, j), (j,))
