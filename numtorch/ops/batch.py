"""Batching rules: how vmap computes opaque entries (and composites with a rule of their own) on all samples.

A rule takes a kinds.batching.Call and gives the result one level lower, the batch in front. Most entries
treat leading dimensions as a batch already (`each`), count dimensions from after it (`along`), or only look
at the last ones (`planes`); convolutions and normalizations put the batch next to channels; reads and
writes at indices number the samples."""
from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from ..dispatch import registry, wrap_dim
from ..dtypes import int64
from ..kinds.batching import Call, aligned, shifted
from ..kinds.view import View
from ..layouts import Layout
from ..tensor import Tensor
from .create import arange
from .index import gather, index_put_values, put, scatter_add, scatter_number, scatter_tensor
from .index import index as index_
from .join import stack
from .linalg import matmul
from .pointwise import where

Rule = Callable[[Call], Any]


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Give these entries the rule."""
    def give(fn: Rule) -> Rule:
        for name in names:
            registry[name].vmap = fn
        return fn
    return give


def _shaped(c: Call, got: Any) -> Any:
    """Results in the shapes that the entry's meta function gives one sample."""
    if c.op.kind != "opaque":
        return got
    metas = c.op.body(**c.args)
    if not isinstance(got, tuple):
        return _as(got, (c.size, *metas.shape))
    return tuple([t if m is None else _as(t, (c.size, *m.shape)) for t, m in zip(got, metas)])


def _as(t: Tensor, shape: tuple) -> Tensor:
    return t if tuple(t.shape) == shape else t.reshape(shape)


def _tensors(c: Call) -> list[str]:
    return [k for k, v in c.args.items() if isinstance(v, Tensor)]


# ------------------------------------------------------------------------------------------- leading
@rule("invert", "solve_matrix", "triangular_solution", "determinant", "sign_and_log", "lower_factor",
      "orthogonal_factor", "symmetric_pairs", "general_pairs", "singular_values", "row_order",
      "packed_factors", "householder_factors", "indefinite_factors", "indefinite_solution",
      "constant_pad_nd", "mantissa_and_exponent", "scipy_function", "binary_cross_entropy_terms",
      "angle.complex")
def each(c: Call) -> Any:
    """Every tensor gets the batch in front; the entry works on all leading dimensions alike."""
    values = {k: c.args[k] for k in _tensors(c)}
    rank = max(v.ndim for v in values.values())
    full = {}
    for k, v in values.items():
        p = c.filled(v)
        # Entries that broadcast leading dimensions need one rank; the others have it already.
        full[k] = p if v.ndim == rank or not _BROADCAST.get(c.op.name) else \
            p.reshape((c.size, *(1,) * (rank - v.ndim), *v.shape))
    return c.again(**full)


_BROADCAST = {"solve_matrix": True, "triangular_solution": True}


@rule("lower_gamma", "upper_gamma", "common_divisor", "common_multiple", "neighbour")
def elementwise(c: Call) -> Any:
    """Broadcasting entries that are not loops over scalars."""
    return c.op.apply(dict(zip(c.op.params, aligned(c))))


@rule("sorted_along", "topk_along", "kth_along", "median_along", "mode_along", "largest_along",
      "smallest_along", "place_of_largest", "place_of_smallest", "cumsum", "cumprod", "logcumsumexp",
      "running_max", "running_min", "reverse", "rolled", "complex_to_complex", "real_to_half", "half_to_real",
      "gather", "scatter_tensor", "scatter_number", "scatter_add", "scatter_reduce")
def along(c: Call) -> Any:
    """Dimensions named by `dim` or `dims` are counted from after the batch; 0-d samples become 1-d ones."""
    x = c.args["x"]
    n, given = x.ndim, {k: c.args[k] for k in _tensors(c)}
    full = {k: c.filled(v) for k, v in given.items()}
    if not n:
        full = {k: p.reshape((c.size, -1)) for k, p in full.items()}
    changes: dict[str, Any] = dict(full)
    if "dims" in c.args:
        changes["dims"] = tuple([wrap_dim(d, n) + 1 for d in c.args["dims"]])
    elif c.args["dim"] is None:  # over all elements
        changes.update(x=full["x"].reshape((c.size, -1)), dim=1)
        if "keepdim" in c.args:
            changes["keepdim"] = False
    else:
        changes["dim"] = wrap_dim(c.args["dim"], n) + 1
    return _shaped(c, c.again(**changes))


@rule("softmax_along", "log_softmax_along", "var.op", "std.op", "logsumexp.op", "vector_norm", "unbind",
      "split_views")
def along_dims(c: Call) -> Any:
    """Composites whose `dim` is an int, several, or None for all."""
    x, dim = c.args["x"], c.args["dim"]
    n = x.ndim
    if not n:
        out = c.again(x=c["x"].unsqueeze(1), dim=1 if isinstance(dim, int) else (1,))
        return out.reshape((c.size,)) if isinstance(out, Tensor) else out
    if isinstance(dim, int):
        return c.again(dim=wrap_dim(dim, n) + 1)
    dims = tuple(range(n)) if dim is None or not len(dim) else tuple([wrap_dim(d, n) for d in dim])
    return c.again(dim=tuple([d + 1 for d in dims]))


@rule("clone")
def _clone(c: Call) -> Any:
    from ..memory_format import contiguous_format, preserve_format
    form = c.args["memory_format"]
    return c.again(memory_format=form if form is contiguous_format else preserve_format)


@rule("to.copy")
def _to(c: Call) -> Any:
    from ..memory_format import contiguous_format, preserve_format
    form = c.args["form"]
    return c.again(form=form if form is contiguous_format else preserve_format)


@rule("twin")
def _twin(c: Call) -> Any:
    return c.again()


@rule("copied_to")
def _laid(c: Call) -> Any:
    one = c.args["layout"]
    return c.again(layout=Layout((c.size, *one.shape), (max(one.span(), 1), *one.strides)))


@rule("embed.part")
def _embed(c: Call) -> Any:
    fn, shape, params = c.args["op"], c.args["shape"], c.args["params"]
    op: View = fn.op
    names = shifted(dict(zip(op.params[1:], params)), len(shape))
    return c.again(shape=(c.size, *shape), params=tuple(names.values()))


@rule("stack_tensors", "concatenate_tensors")
def _join(c: Call) -> Any:
    tensors = list(c.args["tensors"])
    if c.op.name == "concatenate_tensors":
        tensors = [t for t in tensors if tuple(t.shape) != (0,)] or tensors
    n = tensors[0].ndim + (c.op.name == "stack_tensors")
    return c.again(tensors=[c.filled(t) for t in tensors], dim=wrap_dim(c.args["dim"], n) + 1)


@rule("median_of_all")
def _median(c: Call) -> Any:
    from .sort import median_along
    return median_along(c["x"].reshape((c.size, -1)), 1, False, c.args["ignore_nan"])[0]


@rule("members")
def _members(c: Call) -> Any:
    elements, tests = c["elements"], c["tests"]
    if not c.mapped("tests"):
        return c.again()
    elements, tests = c.full("elements"), tests.reshape((c.size, 1, -1))
    hit = (elements.reshape((c.size, -1, 1)) == tests).any(-1)
    hit = hit.reshape(elements.shape)
    return ~hit if c.args["invert"] else hit


@rule("search_places")
def _search(c: Call) -> Any:
    boundaries, values = c.args["boundaries"], c.args["values"]
    if boundaries.ndim == 1:
        if not c.mapped("boundaries") and not (c.args["sorter"] is not None and c.mapped("sorter")):
            return c.again()
        out = c.again(boundaries=c.full("boundaries"), values=c.full("values").reshape((c.size, -1)),
                      sorter=c.full("sorter"))
        return out.reshape((c.size, *values.shape))
    return c.again(boundaries=c.full("boundaries"), values=c.full("values"), sorter=c.full("sorter"))


# ------------------------------------------------------------------------------------------- products
def _product(c: Call, first: str, second: str) -> Tensor:
    """The matrix product of two arguments (matrices or batches of them)."""
    a, b = c.args[first], c.args[second]
    rank = max(a.ndim, b.ndim)
    if c.mapped(first) and not c.mapped(second) and b.ndim == 2:
        return matmul(c[first], c[second])
    a, b = c.ranked(a, rank), c.ranked(b, rank)
    if a.shape[-1] == 1:  # outer products, as of the gradient of one sample by a weight
        return a * b
    return matmul(a, b)


@rule("mm", "bmm")
def _mm(c: Call) -> Any:
    return _product(c, "x", "mat2")


@rule("batched_matmul")
def _matmul(c: Call) -> Any:
    return _product(c, "a", "b")


@rule("mv")
def _mv(c: Call) -> Any:
    if not c.mapped("x"):
        return matmul(c["vec"], c["x"].transpose(0, 1))
    vec = c["vec"]
    return matmul(c["x"], vec.unsqueeze(-1)).squeeze(-1) if c.mapped("vec") else matmul(c["x"], vec)


@rule("dot")
def _dot(c: Call) -> Any:
    if c.mapped("x") and c.mapped("y"):
        return matmul(c["x"].unsqueeze(1), c["y"].unsqueeze(2)).reshape((c.size,))
    return matmul(c["x"], c["y"]) if c.mapped("x") else matmul(c["y"], c["x"])


def _plus(c: Call, product: Tensor) -> Tensor:
    """beta x + alpha product; beta 0 ignores x."""
    beta, alpha = c.args["beta"], c.args["alpha"]
    out = product if alpha == 1 else product * alpha
    if beta == 0:
        return out
    x = c.ranked(c.args["x"], product.ndim - 1)
    return out + (x if beta == 1 else x * beta)


@rule("addmm")
def _addmm(c: Call) -> Any:
    return _plus(c, _with_batch(c, _product(c, "mat1", "mat2"), "mat1", "mat2"))


def _with_batch(c: Call, product: Tensor, *names: str) -> Tensor:
    """A product with the batch in front, also where no factor has it."""
    if any(c.mapped(n) for n in names):
        return product
    return product.unsqueeze(0).expand((c.size, *product.shape))


@rule("addmv")
def _addmv(c: Call) -> Any:
    mat, vec = c["mat"], c["vec"]
    if c.mapped("vec") and not c.mapped("mat"):
        product = matmul(vec, mat.transpose(0, 1))
    elif c.mapped("vec"):
        product = matmul(mat, vec.unsqueeze(-1)).squeeze(-1)
    else:
        product = _with_batch(c, matmul(mat, vec), "mat")
    return _plus(c, product)


@rule("baddbmm")
def _baddbmm(c: Call) -> Any:
    return _plus(c, _with_batch(c, _product(c, "batch1", "batch2"), "batch1", "batch2"))


@rule("addbmm")
def _addbmm(c: Call) -> Any:
    product = _with_batch(c, _product(c, "batch1", "batch2"), "batch1", "batch2")
    return _plus(c, product.sum(1))


@rule("pair_distances")
def _distances(c: Call) -> Any:
    a, b = c.args["a"], c.args["b"]
    rank = max(a.ndim, b.ndim)
    return c.again(a=c.ranked(a, rank), b=c.ranked(b, rank))


# ------------------------------------------------------------------------------------------- indices
def _wide(c: Call, index: Tensor, shape: tuple, dim: int) -> Tensor:
    """A mapped vector of places along `dim`, as an index of `shape` for each sample."""
    n = len(shape)
    return index.reshape((c.size, *(1,) * dim, -1, *(1,) * (n - dim - 1))).expand((c.size, *shape))


def _vector(c: Call, source: str | None) -> tuple:
    """(x, dim, index, source) of an entry with a vector of places, all as 1-d samples at least."""
    x, index = c.args["x"], c.args["index"]
    dim = wrap_dim(c.args["dim"], x.ndim)
    flat = c["index"].reshape((c.size, -1)) if c.mapped("index") else c["index"].reshape(-1)
    full = c.full("x")
    if not x.ndim:
        full = full.unsqueeze(1)
    src = None
    if source is not None:
        src = c.full(source)
        if src.ndim < full.ndim:
            src = src.reshape((c.size, *full.shape[1:1 + dim], -1, *full.shape[2 + dim:]))
    return full, dim, flat, src, index.numel()


@rule("index_select")
def _select(c: Call) -> Any:
    x = c.args["x"]
    if not c.mapped("index"):
        full, dim, index, _, _ = _vector(c, None)
        return _shaped(c, c.again(x=full, dim=dim + 1, index=index))
    full, dim, index, _, n = _vector(c, None)
    shape = (*full.shape[1:1 + dim], n, *full.shape[2 + dim:])
    return _shaped(c, gather(full, dim + 1, _wide(c, index, shape, dim).to(int64))) if x.ndim or n else full


@rule("index_add", "index_copy")
def _add(c: Call) -> Any:
    full, dim, index, src, _ = _vector(c, "source")
    if not c.mapped("index"):
        return _shaped(c, c.again(x=full, dim=dim + 1, index=index, source=src))
    places = _wide(c, index, tuple(src.shape[1:]), dim).to(int64)
    if c.op.name == "index_copy":
        return _shaped(c, scatter_tensor(full, dim + 1, places, src))
    alpha = c.args["alpha"]
    return _shaped(c, scatter_add(full, dim + 1, places, src if alpha == 1 else src * alpha))


@rule("index_fill_number")
def _fill(c: Call) -> Any:
    full, dim, index, _, n = _vector(c, None)
    if not c.mapped("index"):
        return _shaped(c, c.again(x=full, dim=dim + 1, index=index))
    size = full.shape[dim + 1]
    index = where(index < 0, index + size, index)
    shape = (*full.shape[1:1 + dim], n, *full.shape[2 + dim:])
    return _shaped(c, scatter_number(full, dim + 1, _wide(c, index, shape, dim).to(int64), c.args["value"]))


@rule("take")
def _take(c: Call) -> Any:
    if not c.mapped("x"):
        return c.again()
    n = c.args["x"].numel()
    index = c.full("index").reshape((c.size, -1))
    got = gather(c["x"].reshape((c.size, -1)), 1, where(index < 0, index + n, index))
    return got.reshape((c.size, *c.args["index"].shape))


@rule("put")
def _put(c: Call) -> Any:
    n, x = c.args["x"].numel(), c.full("x")
    index = c.full("index").reshape((c.size, -1))
    index = where(index < 0, index + n, index) + (arange(c.size, device=index.device) * n).unsqueeze(1)
    return put(x.reshape(-1), index.reshape(-1), c.full("source").reshape(-1),
               c.args["accumulate"]).reshape(x.shape)


@rule("masked_scatter")
def _masked(c: Call) -> Any:
    x, mask = c.args["x"], c.args["mask"]
    shape = c.op.body(**c.args).shape
    rank = len(shape)
    x, mask = (c.ranked(v, rank).expand((c.size, *shape)) for v in (x, mask))
    flat = mask.reshape((c.size, -1))
    source = c.full("source").reshape((c.size, -1))
    if not flat.shape[1] or not source.shape[1]:
        return x.clone()
    places = (flat.to(int64).cumsum(1) - 1).clamp(0, source.shape[1] - 1)
    return where(mask, gather(source, 1, places).reshape(mask.shape), x)


def _adjacent(indices: list) -> tuple[list[int], int | None]:
    """(the indexed dimensions, the first of them if they are neighbours)."""
    dims = [d for d, i in enumerate(indices) if i is not None]
    return dims, dims[0] if dims[-1] - dims[0] == len(dims) - 1 else None


def _numbered(c: Call, indices: list, samples: bool) -> tuple[list, int]:
    """(index tensors one level lower for a tensor with the batch in front, rank of their broadcast): with the
    number of the sample as the first, where `samples` asks for it."""
    rank = max(i.ndim for i in indices if i is not None)
    out = [None if i is None else c.ranked(i, rank) for i in indices]
    if samples:
        device = next(i for i in indices if i is not None).device
        return [arange(c.size, device=device).reshape((c.size, *(1,) * rank)), *out], rank
    return out, rank


@rule("index")
def _index(c: Call) -> Any:
    indices = list(c.args["indices"])
    mapped = any(c.is_mapped(i) for i in indices)
    dims, lead = _adjacent(indices)
    if not mapped:
        rank = max(i.ndim for i in indices if i is not None)
        out = index_(c["x"], [None, *indices])
        return out if lead is not None else out.movedim(rank, 0)
    if not c.mapped("x"):
        lower, _ = _numbered(c, indices, False)
        out = index_(c["x"], lower)
        return out if not lead else out.movedim(lead, 0)
    lower, rank = _numbered(c, indices, True)
    out = index_(c["x"], lower)
    if lead:  # (batch, common, rest) → (batch, rest[:lead], common, rest[lead:])
        out = out.movedim(tuple(range(1, rank + 1)), tuple(range(lead + 1, lead + rank + 1)))
    return out


@rule("index_put_values")
def _index_put(c: Call) -> Any:
    from .index import _picked_shape
    indices, accumulate = list(c.args["indices"]), c.args["accumulate"]
    shape = _picked_shape(c.args["x"], indices)
    values = c.args["values"]
    values = c.ranked(values, len(shape)).expand((c.size, *shape))
    dims, lead = _adjacent(indices)
    rank = max(i.ndim for i in indices if i is not None)
    if not any(c.is_mapped(i) for i in indices):
        if lead is None:
            values = values.movedim(0, rank)
        return index_put_values(c.full("x"), [None, *indices], values, accumulate)
    lower, _ = _numbered(c, indices, True)
    if lead:
        values = values.movedim(tuple(range(lead + 1, lead + rank + 1)), tuple(range(1, rank + 1)))
    return index_put_values(c.full("x"), lower, values, accumulate)


@rule("embedding_rows")
def _rows(c: Call) -> Any:
    if not c.mapped("weight"):
        return c.again()
    rows, width = c.args["weight"].shape
    places = _offset(c, rows)
    out = c.again(weight=c["weight"].reshape((-1, width)), indices=places, padding_idx=-1)
    pad = c.args["padding_idx"]
    if pad >= 0 and out._requires:
        hit = (places % rows == pad).unsqueeze(-1)
        out = where(hit, out.detach(), out)
    return out


def _offset(c: Call, rows: int) -> Tensor:
    """The indices of each sample in the tables of all samples, one under the other."""
    index = c.full("indices")
    return index + (arange(c.size, device=index.device) * rows).to(index.dtype).reshape(
        (c.size, *(1,) * (index.ndim - 1)))


@rule("embedding_weight")
def _table(c: Call) -> Any:
    rows, pad = c.args["rows"], c.args["padding_idx"]
    out = c.again(grad=c.full("grad"), indices=_offset(c, rows), rows=rows * c.size, padding_idx=-1)
    out = out.reshape((c.size, rows, -1))
    if pad >= 0:
        out = out * (arange(rows, device=out.device) != pad).unsqueeze(1)
    return out


# ------------------------------------------------------------------------------------------- convolution
def _with(p: Tensor, d: int) -> Tensor:
    """The batch multiplied into dimension `d` of the samples."""
    p = p.movedim(0, d)
    return p.reshape((*p.shape[:d], p.shape[d] * p.shape[d + 1], *p.shape[d + 2:]))


def _out_of(c: Call, p: Tensor, d: int) -> Tensor:
    """The batch taken out of dimension `d` again and put in front."""
    p = p.reshape((*p.shape[:d], c.size, p.shape[d] // c.size, *p.shape[d + 1:]))
    return p.movedim(d, 0)


@rule("convolution")
def _convolve(c: Call) -> Any:
    x, weight, bias, groups = c["x"], c["weight"], c["bias"], c.args["groups"]
    rest = c.args["x"].ndim - 2
    apart = bias is not None and c.mapped("bias")
    late = bias if apart else None
    if not c.mapped("weight"):
        if not c.mapped("x"):
            out = c.again(bias=None)
            out = out.unsqueeze(0).expand((c.size, *out.shape))
        else:
            out = _out_of(c, c.again(x=_with(x, 0), bias=None if apart else bias), 0)
    elif not c.mapped("x") and groups == 1 and not c.args["transposed"]:
        out = _out_of(c, c.again(weight=_with(weight, 0), bias=None), 1)
        late = bias
    else:
        out = c.again(x=_with(c.full("x"), 1), weight=_with(weight, 0), bias=None, groups=groups * c.size)
        out, late = _out_of(c, out, 1), bias
    if late is not None:
        out = out + late.reshape((c.size if apart else 1, 1, -1, *(1,) * rest))
    return out


@rule("convolution_input")
def _convolve_input(c: Call) -> Any:
    shape = tuple(c.args["shape"])
    if not c.mapped("weight"):
        got = c.again(grad=_with(c["grad"], 0), shape=(shape[0] * c.size, *shape[1:]))
        return _out_of(c, got, 0)
    got = c.again(grad=_with(c.full("grad"), 1), weight=_with(c["weight"], 0),
                  shape=(shape[0], shape[1] * c.size, *shape[2:]), groups=c.args["groups"] * c.size)
    return _out_of(c, got, 1)


@rule("convolution_weight")
def _convolve_weight(c: Call) -> Any:
    shape = tuple(c.args["shape"])
    got = c.again(x=_with(c.full("x"), 1), grad=_with(c.full("grad"), 1),
                  shape=(shape[0] * c.size, *shape[1:]), groups=c.args["groups"] * c.size)
    return _out_of(c, got, 0)


@rule("unfold_blocks", "fold_blocks")
def _blocks(c: Call) -> Any:
    return _out_of(c, c.again(x=_with(c["x"], 0)), 0)


# ------------------------------------------------------------------------------------------- pooling
@rule("max_pool", "max_pool_input", "avg_pool", "avg_pool_input", "adaptive_avg_pool",
      "adaptive_avg_pool_input", "adaptive_max_pool", "max_unpool")
def planes(c: Call) -> Any:
    """Only the last dimensions count: all others are one."""
    args = c.args
    dims = args["dims"] if "dims" in args else len(args["kernel_size"] if "kernel_size" in args
                                                   else args["output_size"])
    changes: dict[str, Any] = {}
    for k in _tensors(c):
        p = c.full(k)
        changes[k] = p.reshape((-1, *p.shape[p.ndim - dims:]))
    if "shape" in args:
        shape = tuple(args["shape"])
        changes["shape"] = (c.size * prod(shape[:len(shape) - dims]), *shape[len(shape) - dims:])
    return _shaped(c, c.again(**changes))


@rule("fractional_max_pool")
def _fractional(c: Call) -> Any:
    dims, x, samples = len(c.args["kernel_size"]), c.full("x"), c.full("samples")
    shape = x.shape[x.ndim - dims - 1:]
    return _shaped(c, c.again(x=x.reshape((-1, *shape)), samples=samples.reshape((-1, *samples.shape[-2:]))))


# ------------------------------------------------------------------------------------------- normalization
@rule("batch_norm_train")
def _batch_norm(c: Call) -> Any:
    x, weight, bias = (None if t is None else _with(c.filled(t), k)
                       for t, k in zip(c.args["tensors"], (1, 0, 0)))
    out, mean, var = c.again(tensors=(x, weight, bias))
    return _out_of(c, out, 1), _out_of(c, mean, 0), _out_of(c, var, 0)


@rule("batch_norm_grad")
def _batch_norm_grad(c: Call) -> Any:
    g, x, weight = (None if t is None else _with(c.filled(t), k)
                    for t, k in zip(c.args["tensors"], (1, 1, 0)))
    gx, gw, gb = c.again(tensors=(g, x, weight), mean=_with(c.full("mean"), 0), var=_with(c.full("var"), 0))
    return _out_of(c, gx, 1), _out_of(c, gw, 0), _out_of(c, gb, 0)


@rule("row_norm")
def _row_norm(c: Call) -> Any:
    x, weight, bias = c.args["tensors"]
    own = any(c.is_mapped(t) for t in (weight, bias) if t is not None)
    given = (None, None) if own else (c.lower(weight), c.lower(bias))
    out, mean, r = c.again(tensors=(_with(c.filled(x), 0), *given))
    out = _out_of(c, out, 0)
    if own:
        if weight is not None:
            out = out * c.filled(weight).unsqueeze(1)
        if bias is not None:
            out = out + c.filled(bias).unsqueeze(1)
    return out, _out_of(c, mean, 0), _out_of(c, r, 0)


@rule("row_norm_grad")
def _row_norm_grad(c: Call) -> Any:
    g, x, weight = c.args["tensors"]
    gs, xs, mean, r = c.filled(g), c.filled(x), c.full("mean"), c.full("r")
    scaled, given = gs, c.lower(weight)
    if weight is not None and c.is_mapped(weight):
        scaled, given = gs * given.unsqueeze(1), None
    gx = c.again(tensors=(_with(scaled, 0), _with(xs, 0), given), mean=_with(mean, 0), r=_with(r, 0))[0]
    xhat = (xs - mean.unsqueeze(-1).to(xs.dtype)) * r.unsqueeze(-1).to(xs.dtype)
    return _out_of(c, gx, 0), (gs * xhat).sum(1), gs.sum(1)


# ------------------------------------------------------------------------------------------- class losses
def _classes(c: Call, x: Tensor, lead: int) -> Tensor:
    """Scores (batch, [N,] C, *) as (batch · N, C, *): `lead` is the samples' dimension C."""
    return x.reshape((prod(x.shape[:lead + 1]), *x.shape[lead + 1:]))


def _totals(c: Call, target: Tensor, weight: Any, dtype: Any, classes: int) -> Tensor:
    """The weight of each target, 0 where it is ignored."""
    kept = target != c.args["ignore_index"]
    if weight is None:
        return kept.to(dtype)
    safe = where(kept, target, 0).to(int64)
    if weight.ndim == 2:
        picked = gather(weight, 1, safe.reshape((c.size, -1))).reshape(target.shape)
    else:
        picked = weight[safe]
    return where(kept, picked, 0)


@rule("nll_loss_terms")
def _nll(c: Call) -> Any:
    x, target, weight = c.args["x"], c.full("target"), c["weight"]
    lead = 0 if x.ndim == 1 else 1
    full = c.full("x")
    shape = target.shape
    flat = target.reshape((prod(shape[:lead + 1]), *shape[lead + 1:]) if lead else (c.size,))
    terms = c.again(x=_classes(c, full, lead), target=flat, weight=None, reduction="none")[0].reshape(shape)
    each = _totals(c, target, weight, x.dtype, x.shape[lead])
    if weight is not None:
        terms = terms * each
    inner = tuple(range(1, target.ndim))
    total = each.sum(inner) if inner else each
    if c.args["reduction"] == "none" and x.ndim > 1:
        return terms, total
    loss = terms.sum(inner) if inner else terms
    return (loss / total if c.args["reduction"] == "mean" else loss), total


@rule("nll_loss_input")
def _nll_input(c: Call) -> Any:
    shape, target, weight = tuple(c.args["shape"]), c.full("target"), c["weight"]
    lead = 0 if len(shape) == 1 else 1
    g = c.full("grad")
    if c.args["reduction"] == "mean":
        g = g / c.full("total")
    g = g.reshape((c.size, *(1,) * (target.ndim - 1))) if g.ndim < target.ndim else g
    g = g.expand(target.shape)
    if weight is not None:
        g = g * _totals(c, target, weight, g.dtype, shape[lead])
    front = c.size * prod(shape[:lead])
    flat = (front, *target.shape[lead + 1:])
    got = c.again(grad=g.reshape(flat), target=target.reshape(flat), weight=None, total=c.full("total").sum(),
                  shape=(front, *shape[lead:]), reduction="none")
    return got.reshape((c.size, *shape))


# ------------------------------------------------------------------------------------------- recurrent layers
@rule("recurrent_layer")
def _recurrent(c: Call) -> Any:
    """Where the weights are one for all samples, every row of the batch becomes as many as there are samples:
    behind each other, so that packed sequences stay sorted."""
    x, h, second, *weights = c.args["tensors"]
    if any(c.is_mapped(t) for t in weights):
        return _apart(c)
    inside = lambda t: None if t is None else c.filled(t).movedim(0, -2).flatten(-3, -2)
    sizes = c.args["sizes"]
    got = c.again(tensors=(*map(inside, (x, h, second)), *map(c.lower, weights)),
                  sizes=None if sizes is None else tuple([n * c.size for n in sizes]))
    return tuple([None if t is None else t.unflatten(-2, (-1, c.size)).movedim(-2, 0) for t in got])


@rule("recurrent_layer_grad")
def _apart(c: Call) -> Any:
    """Sample by sample."""
    full = {k: c.full(k) for k, v in c.args.items() if isinstance(v, Tensor | list | tuple) and k != "sizes"}
    one = lambda v, i: v[i] if isinstance(v, Tensor) else v
    results = [c.again(**{k: tuple([one(t, i) for t in v]) if isinstance(v, list) else one(v, i)
                          for k, v in full.items()}) for i in range(c.size)]
    return tuple([None if parts[0] is None else stack(parts) for parts in zip(*results)])


__all__ = ["along", "along_dims", "each", "elementwise", "planes", "rule"]
