"""Gather, scatter and masked writes on the CPU.

Every indexed operation is brought to one picture: `x` is (outer, extent, width), the index picks along
`extent`. Writes are split over the lines (outer, width) and walk `count` in order within a line, so that the
last of several writes to one place wins and sums have one order, whatever the number of threads. Data that is
only moved is seen as unsigned words of its own size: one compiled kernel serves all dtypes.
"""

import math

import numpy as np

from ..jit import kernel, launch

_WORD = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


@kernel
def move_each(lo, hi, out, x, index, count, extent, width):
    "out[o, j, w] = x[o, index[o, j, w], w], rows r = o * count + j."
    for r in range(lo, hi):
        base = (r // count) * extent * width
        p = r * width
        for w in range(width):
            out[p + w] = x[base + index[p + w] * width + w]


@kernel
def put_set(lo, hi, out, src, index, count, extent, width, io, ij, iw, step):
    "out[o, index[o, j, w], w] = src[o, j, w]; index strides io, ij, iw; `step` 0 repeats one value."
    line = lo
    while line < hi:
        o = line // width
        first = line - o * width
        last = min(width, first + hi - line)
        for j in range(count):
            p = (o * count + j) * width
            q = o * io + j * ij
            base = o * extent * width
            for w in range(first, last):
                out[base + index[q + w * iw] * width + w] = src[(p + w) * step]
        line += last - first


@kernel
def put_add(lo, hi, out, src, index, count, extent, width, io, ij, iw, step):
    "out[o, index[o, j, w], w] += src[o, j, w]."
    line = lo
    while line < hi:
        o = line // width
        first = line - o * width
        last = min(width, first + hi - line)
        for j in range(count):
            p = (o * count + j) * width
            q = o * io + j * ij
            base = o * extent * width
            for w in range(first, last):
                out[base + index[q + w * iw] * width + w] += src[(p + w) * step]
        line += last - first


@kernel
def put_rows_add(lo, hi, out, src, index, count, extent, width):
    "out[o, index[j], :] += src[o, j, :]."
    line = lo
    while line < hi:
        o = line // width
        first = line - o * width
        last = min(width, first + hi - line)
        for j in range(count):
            p = (o * count + j) * width
            base = (o * extent + index[j]) * width
            for w in range(first, last):
                out[base + w] += src[p + w]
        line += last - first


@kernel
def put_multiply(lo, hi, out, src, index, count, extent, width, io, ij, iw, step):
    "out[o, index[o, j, w], w] *= src[o, j, w]."
    line = lo
    while line < hi:
        o = line // width
        first = line - o * width
        last = min(width, first + hi - line)
        for j in range(count):
            p = (o * count + j) * width
            q = o * io + j * ij
            base = o * extent * width
            for w in range(first, last):
                out[base + index[q + w * iw] * width + w] *= src[(p + w) * step]
        line += last - first


@kernel
def put_largest(lo, hi, out, src, index, count, extent, width, io, ij, iw, step):
    "out[o, index[o, j, w], w] = max(itself, src[o, j, w]); NaN wins."
    line = lo
    while line < hi:
        o = line // width
        first = line - o * width
        last = min(width, first + hi - line)
        for j in range(count):
            p = (o * count + j) * width
            q = o * io + j * ij
            base = o * extent * width
            for w in range(first, last):
                place = base + index[q + w * iw] * width + w
                old = out[place]
                new = src[(p + w) * step]
                if not (new <= old) and old == old:
                    out[place] = new
        line += last - first


@kernel
def put_smallest(lo, hi, out, src, index, count, extent, width, io, ij, iw, step):
    "out[o, index[o, j, w], w] = min(itself, src[o, j, w]); NaN wins."
    line = lo
    while line < hi:
        o = line // width
        first = line - o * width
        last = min(width, first + hi - line)
        for j in range(count):
            p = (o * count + j) * width
            q = o * io + j * ij
            base = o * extent * width
            for w in range(first, last):
                place = base + index[q + w * iw] * width + w
                old = out[place]
                new = src[(p + w) * step]
                if not (new >= old) and old == old:
                    out[place] = new
        line += last - first


def words(x):
    "The elements of contiguous `x` as flat unsigned words; 16-byte elements are two words each."
    if x.itemsize in _WORD:
        return x.reshape(-1).view(_WORD[x.itemsize]), 1
    return x.reshape(-1).view(np.uint64), x.itemsize // 8


def flat(x):
    "A flat array over the elements of `x`: shared when `x` is contiguous, else a copy."
    return np.ascontiguousarray(x).reshape(-1)


def split_at(shape, dim):
    "(outer, extent, width) of `shape` around `dim`; a 0-d array has one line of one."
    if not shape:
        return 1, 1, 1
    dim %= len(shape)
    return math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :])


def bounded(index, extent, message, error=IndexError):
    "The index as flat int64 within [0, extent); raises error(`message` with the first bad value)."
    index = flat(index)
    if index.dtype != np.int64:
        index = index.astype(np.int64)
    if index.size and (index.min() < 0 or index.max() >= extent):
        bad = index[(index < 0) | (index >= extent)][0]
        raise error(message.format(index=int(bad), extent=extent))
    return index


def wrapped(index, extent, message):
    "As `bounded`, where -1 is the last place."
    index = flat(index)
    if index.dtype != np.int64:
        index = index.astype(np.int64)
    if index.size and (index.min() < 0 or index.max() >= extent):
        outside = (index < -extent) | (index >= extent)
        if outside.any():
            raise IndexError(message.format(index=int(index[outside][0]), extent=extent))
        index = np.where(index < 0, index + extent, index)
    return index


def start_from(out, x):
    "Give `out` the elements of `x` unless they are the same memory."
    if out is not x and (out.ctypes.data != x.ctypes.data or out.strides != x.strides):
        np.copyto(out, x)


# reads


def read_rows(out, x, index, outer, extent, width):
    "out (outer, count, width) = x (outer, extent, width) at the flat, checked `index`."
    if out.size:
        x = np.ascontiguousarray(x).reshape(outer, extent, width)
        np.take(x, index, axis=1, out=out.reshape(outer, index.size, width), mode="clip")


def index_select(out, x, dim, index):
    outer, extent, width = split_at(x.shape, dim)
    read_rows(out, x, bounded(index, extent, "index out of range in self"), outer, extent, width)


def gather(out, x, dim, index, sparse_grad):
    if not out.size:
        return
    dim %= max(x.ndim, 1)
    if x.ndim == 0:
        x, index, out = x.reshape(1), index.reshape(1), out.reshape(1)
    index = np.atleast_1d(index)
    places = bounded(index, x.shape[dim], _outside(dim), RuntimeError)
    region = tuple(slice(None) if d == dim else slice(n) for d, n in enumerate(index.shape))
    source, per = words(np.ascontiguousarray(x[region]))
    outer, count, width = split_at(index.shape, dim)
    if per > 1:
        source, to = source.view(np.complex128), out.reshape(-1)
    else:
        to, _ = words(out)
    launch(move_each, outer * count, width, to, source, places, count, x.shape[dim], width)


def _outside(dim):
    return f"index {{index}} is out of bounds for dimension {dim} with size {{extent}}"


def linear(indices, shape):
    """One flat int64 index into C-ordered `shape` from index arrays of one shape; -1 is the last.

    Raises IndexError `index 7 is out of bounds for dimension 0 with size 5`; it numbers the index arrays.
    """
    total = None
    for n, (array, extent) in enumerate(zip(indices, shape)):
        place = wrapped(array, extent, _outside(n)).reshape(array.shape)
        total = place if total is None else total * extent + place
    return total


def _arrange(x, indices):
    """Bring the indexed dimensions of `x` together.

    Returns (axes, dims, lead): `axes` permutes x so that the indexed `dims` follow `lead` others.
    Indexed dimensions that are not neighbours go first.
    """
    dims = [d for d, i in enumerate(indices) if i is not None]
    others = [d for d in range(x.ndim) if d not in dims]
    lead = dims[0] if dims[-1] - dims[0] == len(dims) - 1 else 0
    return others[:lead] + dims + others[lead:], dims, lead


def _places(x, indices, dims):
    picked = np.broadcast_arrays(*[indices[d] for d in dims])
    for d in dims:
        if x.shape[d] == 0 and picked[0].size:
            raise IndexError("index is out of bounds for dimension with size 0")
    return linear(picked, [x.shape[d] for d in dims])


def index(out, x, indices):
    "out = x[indices]; `indices` has an int64 array or None for each of the first dimensions of x."
    axes, dims, lead = _arrange(x, indices)
    places = flat(_places(x, indices, dims))
    x = x.transpose(axes)
    outer, width = math.prod(x.shape[:lead]), math.prod(x.shape[lead + len(dims) :])
    extent = math.prod(x.shape[lead : lead + len(dims)])
    read_rows(out, x, places, outer, extent, width)


def take(out, x, index):
    if x.size == 0 and index.size:
        raise IndexError("take(): tried to take from an empty tensor")
    places = wrapped(index, x.size, _TAKE)
    read_rows(out, x, places, 1, x.size, 1)


# writes


def write(op, out, src, index, outer, count, extent, width, strides, step=1):
    "Apply kernel `op` on flat arrays; `strides` of the index over (outer, count, width)."
    if outer * count * width:
        launch(op, outer * width, count, out, src, index, count, extent, width, *strides, step)


def write_rows(op, out, src, index, outer, extent, width, step=1):
    "Apply kernel `op` to the rows of flat `out` (outer, extent, width) that the flat `index` names."
    if op is put_add and step:
        if outer * index.size * width:
            launch(put_rows_add, outer * width, index.size, out, src, index, index.size, extent, width)
        return
    write(op, out, src, index, outer, index.size, extent, width, (0, 1, 0), step)


def _movable(*arrays):
    "Flat words of contiguous arrays when they have 1, 2, 4 or 8 bytes each, else the flat arrays."
    if arrays[0].itemsize in _WORD:
        return [a.reshape(-1).view(_WORD[a.itemsize]) for a in arrays]
    return [a.reshape(-1) for a in arrays]


def _summable(out, src):
    "Bool adds as or, multiplies as and: through uint8, which the caller folds back to 0 and 1."
    return (out.view(np.uint8), src.view(np.uint8)) if out.dtype == np.bool_ else (out, src)


def contiguous_write(out, body):
    "Run body(contiguous array) on `out` itself or on a copy that is put back."
    if out.flags.c_contiguous:
        body(out)
    else:
        held = np.ascontiguousarray(out)
        body(held)
        np.copyto(out, held)


_TAKE = "out of range: tried to access index {index} on a tensor of {extent} elements."
_REDUCE = {"sum": put_add, "add": put_add, "prod": put_multiply, "multiply": put_multiply, "mean": put_add,
           "amax": put_largest, "amin": put_smallest}


def _identity(reduce, dtype):
    if reduce in ("sum", "add", "mean"):
        return 0
    if reduce in ("prod", "multiply"):
        return 1
    if dtype == np.bool_:
        return reduce == "amin"
    if dtype.kind == "f":
        return -np.inf if reduce == "amax" else np.inf
    return np.iinfo(dtype).min if reduce == "amax" else np.iinfo(dtype).max


def accumulate(out, src, places, outer, count, extent, width, strides, reduce, include_self, step=1):
    "Reduce flat `src` into contiguous `out`, which holds x: sum, prod, mean, amax, amin."
    n = (outer, count, extent, width, strides)
    if not outer * count * width:
        return
    if not include_self:
        start = np.full(1, _identity(reduce, out.dtype), out.dtype)
        write(put_set, *_movable(out, start), places, *n, 0)
    if out.dtype == np.bool_:
        total, part = out.reshape(-1).view(np.uint8), src.view(np.uint8)
        if reduce in ("sum", "add", "mean"):
            write(put_largest, total, part, places, *n, step)
        elif reduce in ("prod", "multiply"):
            write(put_smallest, total, part, places, *n, step)
        else:
            write(_REDUCE[reduce], total, part, places, *n, step)
        return
    total = out.reshape(-1)
    if _REDUCE[reduce] is put_add and strides == (0, 1, 0):
        write_rows(put_add, total, src, places, outer, extent, width, step)
    else:
        write(_REDUCE[reduce], total, src, places, *n, step)
    if reduce == "mean":
        hits = np.full(out.size, 1 if include_self else 0, np.int64)
        write(put_add, hits, np.ones(1, np.int64), places, *n, 0)
        np.maximum(hits, 1, out=hits)
        if out.dtype.kind in "iu":
            np.floor_divide(total, hits.astype(out.dtype), out=total)
        else:
            np.divide(total, hits.astype(out.real.dtype), out=total)


def _scatter_region(out, x, index, src, dim, body):
    """body(region of out (contiguous), flat src or None, checked places) where `index` may be smaller than x.

    The region is x cut to the index's shape in every dimension but `dim`.
    """
    start_from(out, x)
    if not index.size:
        return
    dim %= max(x.ndim, 1)
    if out.ndim == 0:
        out = out.reshape(1)
    index = np.atleast_1d(index)
    places = bounded(index, out.shape[dim], _outside(dim), RuntimeError)
    region = tuple(slice(None) if d == dim else slice(n) for d, n in enumerate(index.shape))
    if src is not None:
        src = np.atleast_1d(src)
        src = flat(src[tuple(slice(n) for n in index.shape)])
    outer, count, width = split_at(index.shape, dim)
    sizes = (outer, count, out.shape[dim], width, (count * width, width, 1))
    contiguous_write(out[region], lambda held: body(held, src, places, sizes))


def scatter_tensor(out, x, dim, index, src):
    def put_all(held, flat_src, places, sizes):
        write(put_set, *_movable(held, flat_src), places, *sizes)

    _scatter_region(out, x, index, src, dim, put_all)


def scatter_number(out, x, dim, index, value):
    one = np.full(1, value, out.dtype)

    def put_all(held, _, places, sizes):
        write(put_set, *_movable(held, one), places, *sizes, 0)

    _scatter_region(out, x, index, None, dim, put_all)


def scatter_reduce(out, x, dim, index, src, reduce, include_self):
    def fold(held, flat_src, places, sizes):
        accumulate(held, flat_src, places, *sizes, reduce, include_self)

    _scatter_region(out, x, index, src, dim, fold)


def scatter_add(out, x, dim, index, src):
    scatter_reduce(out, x, dim, index, src, "sum", True)


def _rows_of(out, x, index, dim, body, error):
    start_from(out, x)
    if not index.size or not out.size:
        return
    outer, extent, width = split_at(out.shape, dim)
    places = bounded(index, extent, *error)
    contiguous_write(out, lambda held: body(held, places, outer, extent, width))


def index_add(out, x, dim, index, source, alpha):
    if alpha != 1:
        source = source * np.asarray(alpha, source.dtype)
    src = flat(source)

    def add(held, places, outer, extent, width):
        accumulate(held, src, places, outer, places.size, extent, width, (0, 1, 0), "sum", True)

    _rows_of(out, x, index, dim, add, (_outside(dim), RuntimeError))


def index_copy(out, x, dim, index, source):
    src = np.ascontiguousarray(source)

    def copy(held, places, outer, extent, width):
        write_rows(put_set, *_movable(held, src), places, outer, extent, width)

    _rows_of(out, x, index, dim, copy, ("index_copy_(): " + _outside(dim), IndexError))


def index_fill_number(out, x, dim, index, value):
    start_from(out, x)
    if index.size and out.size:
        extent = split_at(out.shape, dim)[1]
        places = wrapped(index, extent, _outside(dim))
        dim %= max(out.ndim, 1)
        target = out.reshape(1) if out.ndim == 0 else out
        target[(slice(None),) * dim + (places,)] = np.asarray(value).astype(out.dtype)


def index_put_values(out, x, indices, values, add):
    "out = x with x[indices] = values, or += values; later entries win, sums run in index order."
    start_from(out, x)
    axes, dims, lead = _arrange(x, indices)
    places = _places(x, indices, dims)
    shape = [x.shape[d] for d in axes]
    picked = tuple(shape[:lead]) + places.shape + tuple(shape[lead + len(dims) :])
    if not math.prod(picked):
        return
    outer, width = math.prod(shape[:lead]), math.prod(shape[lead + len(dims) :])
    extent = math.prod(shape[lead : lead + len(dims)])
    step = 0 if values.size == 1 else 1
    src = np.ascontiguousarray(values if step == 0 else np.broadcast_to(values, picked)).reshape(-1)
    places = flat(places)

    def put(held):
        if add:
            sizes = (outer, places.size, extent, width, (0, 1, 0))
            accumulate(held, src, places, *sizes, "sum", True, step)
        else:
            write_rows(put_set, *_movable(held, src), places, outer, extent, width, step)

    contiguous_write(out.transpose(axes), put)


def put(out, x, index, source, add):
    start_from(out, x)
    if not index.size:
        return
    places = wrapped(index, out.size, _TAKE)
    src = flat(source)

    def fill(held):
        if add:
            accumulate(held, src, places, 1, places.size, out.size, 1, (0, 1, 0), "sum", True)
        else:
            write_rows(put_set, *_movable(held, src), places, 1, out.size, 1)

    contiguous_write(out, fill)


# masks


def masked_scatter(out, x, mask, source):
    "out = x with its masked elements, in C order, taken from the first elements of `source`."
    np.copyto(out, np.broadcast_to(x, out.shape))
    mask = np.broadcast_to(mask, out.shape)
    n = int(np.count_nonzero(mask))
    if n > source.size:
        raise RuntimeError("Number of elements of source < number of ones in mask\n"
                           f"masked_scatter: source has {source.size} elements, mask has {n} that are True")
    out[mask] = flat(source)[:n]


def masked_places(mask):
    "Flat places of the mask's Trues, in C order."
    return np.flatnonzero(mask)


def nonzero_rows(x):
    "(n, ndim) int64 positions of the elements that are not zero, in C order."
    if x.ndim == 1:
        return np.flatnonzero(x).reshape(-1, 1)
    if x.ndim == 0:
        return np.empty((int(bool(x)), 0), np.int64)
    return np.stack(np.nonzero(x), 1)
