"""Sorting, selection and searching along the last dimension on the CPU.

Values become unsigned keys whose integer order is PyTorch's: NaN above everything, -0 equal to 0. Descending
order inverts the keys, so one stable ascending sort serves both. Long rows take a radix sort (linear in the
row), short rows a merge sort. Rows are independent; ties keep their first place, so results do not depend on
the threads.
"""

import math

import numpy as np

from ..jit import int64, kernel, launch

_RADIX_FROM = 80  # elements in a row above which the radix sort is the faster one


@kernel
def merge_argsort(lo, hi, order, keys, spare, spare_keys, count):
    "Stable argsort of rows of `count` keys: insertion into runs of 16, then merges; `keys` ends sorted."
    for row in range(lo, hi):
        base = row * count
        start = 0
        while start < count:
            stop = min(start + 16, count)
            for i in range(start, stop):
                key = keys[base + i]
                p = i
                while p > start and keys[base + p - 1] > key:
                    keys[base + p] = keys[base + p - 1]
                    order[base + p] = order[base + p - 1]
                    p -= 1
                keys[base + p] = key
                order[base + p] = i
            start = stop
        run = 16
        while run < count:
            start = 0
            while start < count:
                middle = min(start + run, count)
                stop = min(start + 2 * run, count)
                i = start
                k = middle
                for p in range(start, stop):
                    if i < middle and (k >= stop or keys[base + i] <= keys[base + k]):
                        spare_keys[base + p] = keys[base + i]
                        spare[base + p] = order[base + i]
                        i += 1
                    else:
                        spare_keys[base + p] = keys[base + k]
                        spare[base + p] = order[base + k]
                        k += 1
                start = stop
            for p in range(base, base + count):
                keys[p] = spare_keys[p]
                order[p] = spare[p]
            run *= 2


@kernel
def radix_argsort(lo, hi, order, keys, spare, spare_keys, tally, count, bits):
    """Stable argsort of rows of `count` keys, eight bits at a time from the lowest; a digit that all keys
    share is skipped."""
    for row in range(lo, hi):
        base = row * count
        bins = row * 256
        for i in range(count):
            order[base + i] = i
        for shift in range(0, bits, 8):
            for d in range(256):
                tally[bins + d] = 0
            for i in range(count):
                tally[bins + int64((keys[base + i] >> shift) & 255)] += 1
            if tally[bins + int64((keys[base] >> shift) & 255)] == count:
                continue
            total = 0
            for d in range(256):
                held = tally[bins + d]
                tally[bins + d] = total
                total += held
            for i in range(count):
                digit = bins + int64((keys[base + i] >> shift) & 255)
                to = base + tally[digit]
                tally[digit] += 1
                spare_keys[to] = keys[base + i]
                spare[to] = order[base + i]
            for p in range(base, base + count):
                keys[p] = spare_keys[p]
                order[p] = spare[p]


@kernel
def smallest_places(lo, hi, order, held, keys, count, k):
    "Places of the k smallest keys of each row, in order: one pass with a sorted list of the k best."
    for row in range(lo, hi):
        base = row * count
        best = row * k
        size = 0
        last = keys[base]
        for i in range(count):
            key = keys[base + i]
            if size == k and key >= last:
                continue
            p = size if size < k else k - 1
            while p > 0 and held[best + p - 1] > key:
                held[best + p] = held[best + p - 1]
                order[best + p] = order[best + p - 1]
                p -= 1
            held[best + p] = key
            order[best + p] = i
            if size < k:
                size += 1
            last = held[best + size - 1]


@kernel
def search_rows(lo, hi, out, rows, values, count, asked, right, shared):
    "For each value the first place in its sorted row that is not below it, or (right) is above it."
    for i in range(lo, hi):
        base = 0 if shared else (i // asked) * count
        value = values[i]
        low = 0
        high = count
        while low < high:
            middle = (low + high) >> 1
            v = rows[base + middle]
            reached = v > value if right else v >= value
            if reached:
                high = middle
            else:
                low = middle + 1
        out[i] = low


@kernel
def most_frequent(lo, hi, places, keys, order, count):
    "Place of the last occurrence of the most frequent key of each sorted row; the smallest key wins a tie."
    for row in range(lo, hi):
        base = row * count
        best = 0
        start = 0
        for i in range(count):
            if i + 1 == count or keys[base + i + 1] != keys[base + i]:
                if i + 1 - start > best:
                    best = i + 1 - start
                    places[row] = order[base + i]
                start = i + 1


def keys_of(x, descending=False):
    "Unsigned integer keys, uint32 or uint64, that sort as PyTorch sorts `x`; a fresh contiguous array."
    x = np.ascontiguousarray(x)
    if x.dtype == np.bool_:
        keys = x.astype(np.uint32)
    elif x.dtype.kind == "u":
        keys = x.astype(np.uint64 if x.itemsize == 8 else np.uint32)
    elif x.dtype.kind == "i":
        wide, sign = (np.uint64, 1 << 63) if x.itemsize == 8 else (np.uint32, 1 << 31)
        keys = x.astype(np.int64 if x.itemsize == 8 else np.int32).view(wide) ^ wide(sign)
    else:
        if x.itemsize == 2:
            x = x.astype(np.float32)
        word, signed = (np.uint64, np.int64) if x.itemsize == 8 else (np.uint32, np.int32)
        bits = x.itemsize * 8
        keys = np.add(x, 0.0, dtype=x.dtype).view(word)  # -0 + 0 is 0
        flip = (keys.view(signed) >> (bits - 1)).view(word) | word(1 << (bits - 1))
        keys = keys ^ flip
        keys[np.isnan(x)] = ~word(0)
    return np.invert(keys, out=keys) if descending else keys


def order_of(keys):
    "(order, sorted keys) of the rows of `keys` (..., count), stable; `keys` is consumed."
    count = keys.shape[-1]
    order = np.empty(keys.shape, np.int64)
    if not keys.size:
        return order, keys
    rows = keys.size // count
    spare, spare_keys = np.empty(keys.size, np.int64), np.empty(keys.size, keys.dtype)
    if count < _RADIX_FROM:
        launch(merge_argsort, rows, count * 30, order.reshape(-1), keys.reshape(-1), spare, spare_keys, count)
    else:
        tally = np.empty(rows * 256, np.int64)
        cost, bits = count * 8 * keys.itemsize, keys.itemsize * 8
        arrays = order.reshape(-1), keys.reshape(-1), spare, spare_keys, tally
        launch(radix_argsort, rows, cost, *arrays, count, bits)
    return order, keys


def _last(x, dim):
    "`x` with dimension `dim` last; a 0-d array as one row of one."
    return x.reshape(1) if x.ndim == 0 else np.moveaxis(x, dim, -1)


def _pick(values, places, x, order, dim):
    "places = order, values = x at order, both seen with `dim` last."
    _last(places, dim)[...] = order
    if values is not None:
        _last(values, dim)[...] = np.take_along_axis(x, order, -1)


def sorted_along(values, places, x, dim, descending):
    rows = _last(x, dim)
    _pick(values, places, rows, order_of(keys_of(rows, descending))[0], dim)


def topk_along(values, places, x, k, dim, largest):
    "The k largest (smallest) of each row in order; equal values in the order of their places."
    if not values.size:
        return
    rows = _last(x, dim)
    keys = keys_of(rows, largest)
    count = rows.shape[-1]
    if k <= 64 and 4 * k < count:
        order = np.empty(rows.shape[:-1] + (k,), np.int64)
        held = np.empty(order.size, keys.dtype)
        items = keys.size // count
        launch(smallest_places, items, count, order.reshape(-1), held, keys.reshape(-1), count, k)
    else:
        order = order_of(keys)[0][..., :k]
    _pick(values, places, rows, order, dim)


def _at_rank(values, places, rows, order, rank):
    "The entry of each row whose rank (an array over the rows, or one number) is given."
    rank = np.broadcast_to(np.asarray(rank), rows.shape[:-1])[..., None]
    place = np.take_along_axis(order, rank, -1)
    places[...] = place.reshape(places.shape)
    values[...] = np.take_along_axis(rows, place, -1).reshape(values.shape)


def kth_along(values, places, x, k, dim, keepdim):
    rows = _last(x, dim)
    if values.size:
        _at_rank(values, places, rows, order_of(keys_of(rows))[0], k - 1)


def median_along(values, places, x, dim, keepdim, ignore_nan):
    "The lower median of each row; NaN, at its first place, if the row has one and is not asked to ignore it."
    rows = _last(x, dim)
    if not values.size:
        return
    count = rows.shape[-1]
    missing = np.isnan(rows).sum(-1) if rows.dtype.kind == "f" else np.zeros(rows.shape[:-1], np.int64)
    if ignore_nan:
        rank = np.maximum(count - missing - 1, 0) // 2
    else:
        rank = np.where(missing > 0, count - missing, (count - 1) // 2)
    _at_rank(values, places, rows, order_of(keys_of(rows))[0], rank)


def median_of_all(out, x, ignore_nan):
    "The lower median of all elements."
    flat = np.ascontiguousarray(x).reshape(-1)
    if x.dtype.kind == "f":
        held = np.isnan(flat)
        if held.any():
            flat = flat[~held] if ignore_nan and not held.all() else np.full(1, np.nan, x.dtype)
    rank = (flat.size - 1) // 2
    out[...] = np.partition(flat, rank)[rank]


def mode_along(values, places, x, dim, keepdim):
    rows = _last(x, dim)
    if not values.size:
        return
    order, keys = order_of(keys_of(rows))
    place = np.empty(rows.shape[:-1] + (1,), np.int64)
    count = rows.shape[-1]
    launch(most_frequent, place.size, count, place.reshape(-1), keys.reshape(-1), order.reshape(-1), count)
    places[...] = place.reshape(places.shape)
    values[...] = np.take_along_axis(rows, place, -1).reshape(values.shape)


def _extreme(find, values, places, x, dim):
    if not values.size:
        return
    if x.ndim == 0:
        values[...], places[...] = x, 0
        return
    place = np.expand_dims(find(x, axis=dim), dim)
    places[...] = place.reshape(places.shape)
    values[...] = np.take_along_axis(x, place, dim).reshape(values.shape)


def largest_along(values, places, x, dim, keepdim):
    "The largest value of each line and its first place; NaN counts as the largest."
    _extreme(np.argmax, values, places, x, dim)


def smallest_along(values, places, x, dim, keepdim):
    "The smallest value of each line and its first place; NaN counts as the smallest."
    _extreme(np.argmin, values, places, x, dim)


def place_of_largest(places, x, dim, keepdim):
    places[...] = np.argmax(x, axis=dim if x.ndim else None, keepdims=keepdim and x.ndim > 0)


def place_of_smallest(places, x, dim, keepdim):
    places[...] = np.argmin(x, axis=dim if x.ndim else None, keepdims=keepdim and x.ndim > 0)


# searches and counts


def search_places(out, boundaries, values, right, sorter, out_int32):
    "Places of `values` (..., asked) in the sorted rows of `boundaries` (..., count); NaN goes behind all."
    if sorter is not None:
        boundaries = np.take_along_axis(boundaries, sorter, -1)
    common = np.promote_types(boundaries.dtype, values.dtype)
    if common == np.bool_:
        common = np.dtype(np.uint8)
    rows, asked = np.ascontiguousarray(boundaries, common), np.ascontiguousarray(values, common)
    if out.size:
        count, width = rows.shape[-1], values.shape[-1] if values.ndim else 1
        places = np.empty(out.size, np.int64)
        numbers = count, width, int(right), int(rows.ndim == 1)
        cost = 5 * count.bit_length() + 5
        launch(search_rows, out.size, cost, places, rows.reshape(-1), asked.reshape(-1), *numbers)
        out[...] = places.reshape(out.shape)


def members(out, elements, tests, invert):
    np.copyto(out, np.isin(elements, tests, invert=invert))


def distinct(x, dim, consecutive):
    """(places of the first of each group, group of each entry, size of each group) of equal elements, or
    slices along `dim`, in ascending order, or of neighbours only if `consecutive`. NaNs are all distinct."""
    if dim is None:
        rows, shape = np.ascontiguousarray(x).reshape(-1, 1), x.shape
    else:
        slices = np.moveaxis(x, dim, 0)
        n = slices.shape[0]
        rows, shape = np.ascontiguousarray(slices).reshape(n, math.prod(slices.shape[1:])), (n,)
    if consecutive:
        order = np.arange(len(rows))
    elif dim is None:
        order = order_of(keys_of(rows[:, 0]))[0]
    else:
        order = np.lexsort(rows.T[::-1]) if rows.shape[1] else np.arange(len(rows))
    ordered = rows[order]
    fresh = np.ones(len(rows), np.bool_)
    fresh[1:] = (ordered[1:] != ordered[:-1]).any(1)
    inverse = np.empty(len(rows), np.int64)
    inverse[order] = np.cumsum(fresh) - 1
    starts = np.flatnonzero(fresh)
    return order[starts], inverse.reshape(shape), np.diff(np.append(starts, len(rows)))


def counted(x, weights, minlength):
    if x.min() < 0:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is None:
        return np.bincount(x, minlength=minlength).astype(np.int64, copy=False)
    counts = np.bincount(x, weights, minlength)
    return counts.astype(np.float32) if weights.dtype == np.float32 else counts


def binned(out, x, bins, low, high):
    "Counts of the elements of `x` in equal bins over [low, high]; the last bin includes `high`."
    x = np.ascontiguousarray(x).reshape(-1)
    if low == high and x.size:
        low, high = float(x.min()), float(x.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"torch.histc: range of [{low:g}, {high:g}] is not finite")
    if low == high:
        low, high = low - 1, high + 1
    inside = x[(x >= low) & (x <= high)]
    places = ((inside - x.dtype.type(low)) * bins / x.dtype.type(high - low)).astype(np.int64)
    np.minimum(places, bins - 1, out=places)
    out[...] = np.bincount(places, minlength=bins)
