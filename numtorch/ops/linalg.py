"""Products of vectors, matrices and batches of matrices; norms; triangles and diagonals.

The primitives are mm, bmm, matmul (batched), mv, dot and their additive forms; the rest is Python over them.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

from ..dispatch import Meta, wrap_dim
from ..dtypes import FLOAT, int64, promote_types
from ..dtypes import bool as bool_
from ..kinds import composite, opaque
from ..kinds.memory import rowmajor
from ..layouts import broadcast
from ..tensor import Tensor
from .create import arange, ones, zeros
from .index import c_name, inplace, title
from .join import stack
from .pointwise import where


def _h(x):
    "The conjugate transpose of the last two dimensions."
    t = x.transpose(-2, -1)
    return t.conj() if x.dtype.is_complex else t


def _conj(x):
    return x.conj() if x.dtype.is_complex else x


def _check_tensors(op: str, **tensors) -> None:
    for position, (name, value) in enumerate(tensors.items()):
        if not isinstance(value, Tensor):
            name = {"x": "input", "y": "other"}.get(name, name)
            raise TypeError(f"{op}(): argument '{name}' (position {position + 1}) must be Tensor, not "
                            f"{type(value).__name__}")


def _size(x) -> str:
    return "x".join(map(str, x.shape))


def _no_bool(op: str, x) -> None:
    if x.dtype.name == "bool":
        raise NotImplementedError(f"\"{op}\" not implemented for 'Bool'")


def _check_mm(a, b, first: str = "self") -> None:
    if a.ndim != 2:
        raise RuntimeError(f"{first} must be a matrix\nmm: {first} has shape {list(a.shape)}")
    if b.ndim != 2:
        raise RuntimeError(f"mat2 must be a matrix\nmm: mat2 has shape {list(b.shape)}")
    if a.shape[1] != b.shape[0]:
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({_size(a)} and {_size(b)})")


def _check_pair(a, b) -> None:
    if a.dtype is not b.dtype:
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: {c_name(a.dtype)} != "
                           f"{c_name(b.dtype)}")
    _no_bool("addmm_impl_cpu_", a)


def _check_expands(c, shape: Sequence[int]) -> None:
    if c.ndim > len(shape):
        raise RuntimeError(f"expand(torch.{title(c.dtype)}Tensor{{{list(c.shape)}}}, size={list(shape)}): "
                           "the number of "
                           f"sizes provided ({len(shape)}) must be greater or equal to the number of "
                           "dimensions in the "
                           f"tensor ({c.ndim})")
    lead = len(shape) - c.ndim
    for d in range(len(shape) - 1, lead - 1, -1):
        n = c.shape[d - lead]
        if n != shape[d] and n != 1:
            raise RuntimeError(f"The expanded size of the tensor ({shape[d]}) must match the existing size "
                               f"({n}) at "
                               f"non-singleton dimension {d}.  Target sizes: {list(shape)}.  Tensor sizes: "
                               f"{list(c.shape)}")


# ------------------------------------------------------------------------------------------------- primitives
def _product(a, b, meta):
    """a @ b, laid out as the matrix whose gradient it is: that of a transposed matrix (a weight in `linear`)
    is the transpose of bᵀ aᵀ, so the weight's own gradient is row-major without a copy."""
    if tuple(meta.strides) == (1, meta.shape[0]) and min(meta.shape) > 1 and not meta.dtype.is_complex:
        return mm(b.t(), a.t()).t()
    return mm(a, b)


@opaque(vjp={"x": lambda g, mat2, x_meta: _product(g, _h(mat2), x_meta),
             "mat2": lambda g, x, mat2_meta: _product(_h(x), g, mat2_meta)})
def mm(x, mat2):
    "x @ mat2 of two matrices."
    _check_tensors("mm", x=x, mat2=mat2)
    _check_mm(x, mat2)
    _check_pair(x, mat2)
    return Meta((x.shape[0], mat2.shape[1]), x.dtype)


def _check_bmm(a, b) -> None:
    if a.ndim != 3:
        raise RuntimeError(f"batch1 must be a 3D tensor\nbmm: batch1 has shape {list(a.shape)}")
    if b.ndim != 3:
        raise RuntimeError(f"batch2 must be a 3D tensor\nbmm: batch2 has shape {list(b.shape)}")
    if a.dtype is not b.dtype:
        raise RuntimeError(f"expected scalar type {title(a.dtype)} but found {title(b.dtype)}")
    if a.shape[0] != b.shape[0] or a.shape[2] != b.shape[1]:
        raise RuntimeError(f"Expected size for first two dimensions of batch2 tensor to be: [{a.shape[0]}, "
                           f"{a.shape[2]}]"
                           f" but got: [{b.shape[0]}, {b.shape[1]}].")
    _no_bool("bmm", a)


@opaque(vjp={"x": lambda g, mat2: bmm(g, _h(mat2)), "mat2": lambda g, x: bmm(_h(x), g)})
def bmm(x, mat2):
    "x @ mat2 of two batches of matrices (N, n, k), (N, k, m)."
    _check_tensors("bmm", x=x, mat2=mat2)
    _check_bmm(x, mat2)
    return Meta((x.shape[0], x.shape[1], mat2.shape[2]), x.dtype)


def _left_gradient(g, b, a_meta):
    "The gradient of a @ b for a, summed over the dimensions along which a was broadcast."
    return batched_matmul(g, _h(b))


def _right_gradient(g, a, b_meta):
    "The gradient of a @ b for b; one product over all rows where b is a single matrix."
    if b_meta.ndim == 2 and a.ndim > 2:
        rows = math.prod(a.shape[:-1])
        return mm(_h(a.reshape(rows, a.shape[-1])), g.reshape(rows, g.shape[-1]))
    return batched_matmul(_h(a), g)


@opaque(at=(), vjp={"a": _left_gradient, "b": _right_gradient})
def batched_matmul(a, b):
    "a @ b of (..., n, k) and (..., k, m), leading dimensions broadcast."
    if a.shape[-1] != b.shape[-2]:
        _mismatch(a, b)
    _check_pair(a, b)
    return Meta(_batch(a, b) + (a.shape[-2], b.shape[-1]), a.dtype)


def _batch(a, b) -> tuple[int, ...]:
    "The broadcast leading dimensions of two batches of matrices."
    left, right = tuple(a.shape[:-2]), tuple(b.shape[:-2])
    if left == right:
        return left
    n = max(len(left), len(right))
    left, right = (1,) * (n - len(left)) + left, (1,) * (n - len(right)) + right
    for d, (i, j) in enumerate(zip(left, right)):
        if i != j and i != 1 and j != 1:
            raise RuntimeError(f"The size of tensor a ({i}) must match the size of tensor b ({j}) at "
                               "non-singleton "
                               f"dimension {d}\nmatmul: batches of {list(a.shape)} and {list(b.shape)}")
    return tuple(j if i == 1 else i for i, j in zip(left, right))


def _mismatch(a, b) -> None:
    if b.ndim == 2 or a.ndim == 2:
        rows = math.prod(a.shape[:-1])
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({rows}x{a.shape[-1]} and "
                           f"{b.shape[-2]}x"
                           f"{b.shape[-1]})" if b.ndim == 2 else
                           "mat1 and mat2 shapes cannot be multiplied "
                           f"({math.prod(b.shape[:-2]) * b.shape[-1]}x"
                           f"{b.shape[-2]} and {a.shape[-1]}x{a.shape[-2]})")
    n = math.prod(_batch(a, b))
    raise RuntimeError(f"Expected size for first two dimensions of batch2 tensor to be: [{n}, {a.shape[-1]}] "
                       "but got: "
                       f"[{n}, {b.shape[-2]}].")


def _check_mv(a, x) -> None:
    if a.ndim != 2 or x.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {a.ndim}, {x.ndim}")
    if a.shape[1] != x.shape[0]:
        raise RuntimeError(f"size mismatch, got input ({a.shape[0]}), mat ({_size(a)}), vec ({x.shape[0]})")


@opaque(vjp={"x": lambda g, vec: outer(g, _conj(vec)), "vec": lambda g, x: mv(_h(x), g)})
def mv(x, vec):
    "x @ vec of a matrix and a vector."
    _check_tensors("mv", x=x, vec=vec)
    _check_mv(x, vec)
    if x.dtype is not vec.dtype:
        raise RuntimeError("addmv input tensors must have the same dtype, but got "
                           f"{title(vec.dtype)}, {title(x.dtype)}, and {title(vec.dtype)}")
    _no_bool("addmv_impl_cpu", x)
    return Meta((x.shape[0],), x.dtype)


@opaque(vjp={"x": lambda g, y: g * _conj(y), "y": lambda g, x: g * _conj(x)})
def dot(x, y):
    "sum_i x[i] * y[i] of two vectors, without conjugation."
    if x.ndim != 1 or y.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {x.ndim}D and {y.ndim}D tensors")
    if x.dtype is not y.dtype:
        raise RuntimeError("dot : expected both vectors to have same dtype, but found "
                           f"{title(x.dtype)} and {title(y.dtype)}")
    if x.shape != y.shape:
        raise RuntimeError(f"inconsistent tensor size, expected tensor [{x.shape[0]}] and src [{y.shape[0]}] "
                           "to have "
                           f"the same number of elements, but got {x.shape[0]} and {y.shape[0]} elements "
                           "respectively")
    _no_bool("dot", x)
    return Meta((), x.dtype)


def _scaled(g, factor):
    return g if factor == 1 else g * factor


def _check_factors(dtype, beta, alpha) -> None:
    for name, value in (("beta", beta), ("alpha", alpha)):
        if isinstance(value, complex) and not (dtype.is_floating_point or dtype.is_complex):
            raise RuntimeError(f"For integral input tensors, argument {name} must not be a floating point "
                               "number.")


@opaque(vjp={
    "x": lambda g, beta: _scaled(g, beta),
    "mat1": lambda g, mat2, alpha, mat1_meta: _scaled(_product(g, _h(mat2), mat1_meta), alpha),
    "mat2": lambda g, mat1, alpha, mat2_meta: _scaled(_product(_h(mat1), g, mat2_meta), alpha)})
def addmm(x, mat1, mat2, *, beta=1, alpha=1):
    "beta * x + alpha * (mat1 @ mat2); x broadcasts to the product. beta 0 ignores x, NaN included."
    _check_tensors("addmm", x=x, mat1=mat1, mat2=mat2)
    c, a, b = x, mat1, mat2
    _check_factors(c.dtype, beta, alpha)
    _check_mm(a, b, "mat1")
    if a.dtype is not b.dtype:
        raise RuntimeError(f"mat1 and mat2 must have the same dtype, but got {title(a.dtype)} and "
                           f"{title(b.dtype)}")
    if c.dtype is not b.dtype:
        raise RuntimeError(f"self and mat2 must have the same dtype, but got {title(c.dtype)} and "
                           f"{title(b.dtype)}")
    _no_bool("addmm_impl_cpu_", a)
    shape = (a.shape[0], b.shape[1])
    _check_expands(c, shape)
    return Meta(shape, a.dtype)


addmm_ = inplace(addmm)


@opaque(vjp={
    "x": lambda g, beta: _scaled(g, beta),
    "mat": lambda g, vec, alpha: _scaled(outer(g, _conj(vec)), alpha),
    "vec": lambda g, mat, alpha: _scaled(mv(_h(mat), g), alpha)})
def addmv(x, mat, vec, *, beta=1, alpha=1):
    "beta * x + alpha * (mat @ vec) with vectors x and vec."
    _check_tensors("addmv", x=x, mat=mat, vec=vec)
    _check_factors(x.dtype, beta, alpha)
    if mat.ndim != 2 or vec.ndim != 1 or x.ndim > 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got {x.ndim}, {mat.ndim}, {vec.ndim}")
    if mat.shape[1] != vec.shape[0] or (math.prod(x.shape) != 1 and x.shape[0] != mat.shape[0]):
        raise RuntimeError(f"size mismatch, got input ({x.shape[0] if x.ndim else 1}), mat ({_size(mat)}), "
                           f"vec ({vec.shape[0]})")
    if mat.dtype is not vec.dtype or x.dtype is not vec.dtype:
        raise RuntimeError("addmv input tensors must have the same dtype, but got "
                           f"{title(x.dtype)}, {title(mat.dtype)}, and {title(vec.dtype)}")
    return Meta((mat.shape[0],), mat.dtype)


addmv_ = inplace(addmv)


@opaque(vjp={
    "x": lambda g, beta: _scaled(g, beta),
    "batch1": lambda g, batch2, alpha: _scaled(bmm(g, _h(batch2)), alpha),
    "batch2": lambda g, batch1, alpha: _scaled(bmm(_h(batch1), g), alpha)})
def baddbmm(x, batch1, batch2, *, beta=1, alpha=1):
    "beta * x + alpha * (batch1 @ batch2) of batches of matrices; x broadcasts to the product."
    _check_tensors("baddbmm", x=x, batch1=batch1, batch2=batch2)
    c, a, b = x, batch1, batch2
    _check_factors(c.dtype, beta, alpha)
    _check_bmm(a, b)
    if c.dtype is not a.dtype:
        raise RuntimeError(f"Input dtypes must be the same, got: input {c_name(c.dtype)}, batch1: "
                           f"{c_name(a.dtype)}, "
                           f"batch2: {c_name(b.dtype)}")
    shape = (a.shape[0], a.shape[1], b.shape[2])
    _check_expands(c, shape)
    return Meta(shape, a.dtype)


baddbmm_ = inplace(baddbmm)


@opaque(vjp={
    "x": lambda g, beta: _scaled(g, beta),
    "batch1": lambda g, batch2, alpha: _scaled(batched_matmul(g, _h(batch2)), alpha),
    "batch2": lambda g, batch1, alpha: _scaled(batched_matmul(_h(batch1), g), alpha)})
def addbmm(x, batch1, batch2, *, beta=1, alpha=1):
    "beta * x + alpha * sum over the batch of batch1 @ batch2."
    _check_tensors("addbmm", x=x, batch1=batch1, batch2=batch2)
    c, a, b = x, batch1, batch2
    _check_factors(c.dtype, beta, alpha)
    if a.ndim != 3:
        raise RuntimeError("batch1 must be a 3D tensor")
    if b.ndim != 3:
        raise RuntimeError("batch2 must be a 3D tensor")
    if a.shape[0] != b.shape[0]:
        raise RuntimeError(f"batch1 and batch2 must have same number of batches, got {a.shape[0]} and "
                           f"{b.shape[0]}")
    if a.shape[2] != b.shape[1]:
        raise RuntimeError(f"Incompatible matrix sizes for bmm ({a.shape[1]}x{a.shape[2]} and "
                           f"{b.shape[1]}x{b.shape[2]})")
    shape = (a.shape[1], b.shape[2])
    _check_expands(c, shape)
    return Meta(shape, a.dtype)


addbmm_ = inplace(addbmm)


# ----------------------------------------------------------------------------------------- products over them
@composite
def matmul(x, y):
    "x @ y: vectors, matrices and batches, by PyTorch's rules; leading dimensions broadcast."
    _check_tensors("matmul", x=x, y=y)
    a, b = x, y
    m, n = a.ndim, b.ndim
    if m == 2 and n == 2:
        return mm(a, b)
    if m == 0 or n == 0:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {m}D and {n}D")
    if m >= 2 and n >= 2:
        return batched_matmul(a, b)
    if m == 1 and n == 1:
        return dot(a, b)
    if m == 2:
        return mv(a, b)
    if m == 1:
        if n == 2:
            return mm(a.unsqueeze(0), b).squeeze(0)
        return batched_matmul(a.unsqueeze(0), b).squeeze(-2)
    return mv(a.reshape(math.prod(a.shape[:-1]), a.shape[-1]), b).reshape(a.shape[:-1])


@composite
def vdot(x, y):
    "sum_i conj(x[i]) * y[i]."
    return dot(_conj(x), y)


@composite
def outer(x, vec2):
    "out[i, j] = x[i] * vec2[j]."
    for name, v in (("self", x), ("vec2", vec2)):
        if v.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {v.ndim}-D")
    return x.unsqueeze(1) * vec2.unsqueeze(0)


@composite
def addr(x, vec1, vec2, *, beta=1, alpha=1):
    "beta * x + alpha * outer(vec1, vec2)."
    for name, v in (("vec1", vec1), ("vec2", vec2)):
        if v.ndim != 1:
            raise RuntimeError(f"addr: Expected 1-D argument {name}, but got {v.ndim}-D")
    shape = (vec1.shape[0], vec2.shape[0])
    _check_expands(x, shape)
    if x.dtype is vec1.dtype is vec2.dtype is bool_:
        product = vec1.unsqueeze(-1) & vec2 if alpha else zeros(shape, dtype=bool_, device=x.device)
        return (x.expand(shape) if beta else zeros(shape, dtype=bool_, device=x.device)) | product
    common = promote_types(x.dtype, promote_types(vec1.dtype, vec2.dtype))
    if isinstance(beta, float) and common.category < FLOAT:
        raise RuntimeError("For integral input tensors, argument beta must not be a floating point number.")
    product = _scaled(outer(vec1, vec2), alpha)
    return product if beta == 0 else _scaled(x, beta).expand(shape) + product


@composite
def inner(x, y):
    "Products of the last dimensions summed; multiplies if either is 0-d."
    if x.ndim == 0 or y.ndim == 0:
        return x * y
    if x.shape[-1] != y.shape[-1]:
        raise RuntimeError("inner() the last dimension must match on both input tensors but got shapes "
                           f"{list(x.shape)} and {list(y.shape)}")
    return tensordot(x, y, ([-1], [-1]))


@composite
def tensordot(a, b, dims=2):
    "Sum of products over `dims`: the last n of a with the first n of b, or two lists of dimensions."
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        left, right = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        left, right = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(left) != len(right):
        raise RuntimeError("both dimension lists should have same length")
    left, right = [wrap_dim(d, a.ndim) for d in left], [wrap_dim(d, b.ndim) for d in right]
    for i, j in zip(left, right):
        if a.shape[i] != b.shape[j]:
            if a.shape[i] == 1:
                b = b.sum(j, keepdim=True)
            elif b.shape[j] == 1:
                a = a.sum(i, keepdim=True)
            else:
                raise RuntimeError("contracted dimensions need to match, but first has size "
                                   f"{a.shape[i]} in dim {left[0] - a.ndim if len(left) == 1 else i} and "
                                   "second has "
                                   f"size {b.shape[j]} in dim {j}")
    rows = [d for d in range(a.ndim) if d not in left]
    columns = [d for d in range(b.ndim) if d not in right]
    n = math.prod(a.shape[d] for d in left)
    shape = [a.shape[d] for d in rows] + [b.shape[d] for d in columns]
    x = a.permute(rows + left).reshape(math.prod(a.shape[d] for d in rows), n)
    y = b.permute(right + columns).reshape(n, math.prod(b.shape[d] for d in columns))
    return mm(x, y).reshape(shape)


@composite
def kron(x, y):
    "The Kronecker product: out[i * m + k] = x[i] * y[k] in every dimension."
    n = max(x.ndim, y.ndim)
    left, right = (1,) * (n - x.ndim) + tuple(x.shape), (1,) * (n - y.ndim) + tuple(y.shape)
    a = x.reshape([k for i in left for k in (i, 1)])
    b = y.reshape([k for j in right for k in (1, j)])
    return (a * b).reshape([i * j for i, j in zip(left, right)])


def _chain_order(sizes: list[int]):
    """The split of the product of matrices sizes[i] x sizes[i + 1] with the fewest multiplications, by pairs
    (i, j)."""
    n = len(sizes) - 1
    cost = [[0] * n for _ in range(n)]
    cut = [[0] * n for _ in range(n)]
    for span in range(1, n):
        for i in range(n - span):
            j = i + span
            cost[i][j], cut[i][j] = min(
                (cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j))
    return cut


def _chain(op: str, matrices):
    for i, (a, b) in enumerate(zip(matrices, matrices[1:])):
        if a.shape[1] != b.shape[0]:
            raise RuntimeError(f"{op}(): tensors {i} and {i + 1} with shapes {list(a.shape)} and "
                               f"{list(b.shape)} cannot "
                               "be multiplied")
    cut = _chain_order([m.shape[0] for m in matrices] + [matrices[-1].shape[1]])

    def build(i, j):
        return matrices[i] if i == j else mm(build(i, cut[i][j]), build(cut[i][j] + 1, j))

    return build(0, len(matrices) - 1)


@composite(at=("linalg",))
def multi_dot(tensors):
    "The product of matrices in the order that needs the fewest multiplications; the ends may be vectors."
    tensors = list(tensors)
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    first, last = tensors[0].ndim == 1, tensors[-1].ndim == 1
    for i, t in enumerate(tensors):
        if t.ndim != 2 and not (t.ndim == 1 and i in (0, len(tensors) - 1)):
            raise RuntimeError(f"multi_dot(): tensor {i} must be "
                               f"{'1D or ' if i in (0, len(tensors) - 1) else ''}2D but "
                               f"got {t.ndim}D")
    if first:
        tensors[0] = tensors[0].unsqueeze(0)
    if last:
        tensors[-1] = tensors[-1].unsqueeze(1)
    out = _chain("multi_dot", tensors)
    if first:
        out = out.squeeze(0)
    return out.squeeze(-1) if last else out


@composite(at=("torch",))
def chain_matmul(*matrices):
    "The product of matrices in the order that needs the fewest multiplications."
    if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)):
        matrices = tuple(matrices[0])
    for t in matrices:
        if t.ndim != 2:
            raise RuntimeError(f"Tensor dimension is {t.ndim}, expected 2 instead.")
    return matrices[0] if len(matrices) == 1 else _chain("multi_dot", list(matrices))


# ----------------------------------------------------------------------------------------------------- einsum
def _terms(equation: str, operands) -> tuple[list[list[str]], list[str]]:
    """Labels of every operand and of the result; dimensions under an ellipsis are labelled '0', '1', … from
    the last. RuntimeError with PyTorch's words."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) > len(operands):
        raise RuntimeError("einsum(): fewer operands were provided than specified in the equation")
    if len(inputs) < len(operands):
        raise RuntimeError("einsum(): more operands were provided than specified in the equation")
    labels = []
    widest = 0
    for i, (term, x) in enumerate(zip(inputs, operands)):
        for at, c in enumerate(term):
            if not (c.isalpha() and c.isascii()) and c != ".":
                raise RuntimeError(f"einsum(): invalid subscript given at index {at} in the equation string, "
                                   "subscripts "
                                   "must be in [a-zA-Z]")
        head, dots, tail = term.partition("...")
        if "." in head or "." in tail:
            raise RuntimeError(f"einsum(): found '.' for operand {i} that is not part of any ellipsis")
        named = list(head + tail)
        if not dots and len(named) != x.ndim:
            raise RuntimeError(f"einsum(): the number of subscripts in the equation ({len(named)}) does not "
                               "match the "
                               f"number of dimensions ({x.ndim}) for operand {i} and no ellipsis was given")
        if len(named) > x.ndim:
            raise RuntimeError(f"einsum(): the number of subscripts in the equation ({len(named)}) is more "
                               "than the "
                               f"number of dimensions ({x.ndim}) for operand {i}")
        covered = x.ndim - len(named) if dots else 0
        widest = max(widest, covered)
        labels.append(list(head) + [str(k) for k in reversed(range(covered))] + list(tail))
    batch = [str(k) for k in reversed(range(widest))]
    seen = {c for term in labels for c in term}
    if not arrow:
        count = {c: sum(term.count(c) for term in labels) for c in seen}
        return labels, batch + sorted(c for c in seen if count[c] == 1 and c.isalpha())
    head, dots, tail = right.partition("...")
    out = list(head) + (batch if dots else []) + list(tail)
    for c in head + tail:
        if not (c.isalpha() and c.isascii()):
            raise RuntimeError("einsum(): invalid subscript given in the output, subscripts must be in "
                               "[a-zA-Z]")
        if c not in seen:
            raise RuntimeError(f"einsum(): output subscript {c} does not appear in the equation for any "
                               "input operand")
        if out.count(c) > 1:
            raise RuntimeError(f"einsum(): output subscript {c} appears more than once in the output")
    return labels, out


def _sublists(args) -> tuple[str, list]:
    "The equation and operands of einsum(x, [0, 1], y, [1, 2], [0, 2])."
    def letters(sub):
        return "".join("..." if s is Ellipsis else chr(s + (65 if s < 26 else 71)) for s in sub)

    operands, terms = list(args[0::2]), [letters(s) for s in args[1::2]]
    if len(args) % 2:
        return ",".join(terms) + "->" + letters(operands.pop()), operands
    return ",".join(terms), operands


def _once(x, labels: list[str]):
    "x with each label once: repeated ones become the diagonal."
    labels = list(labels)
    for c in dict.fromkeys(labels):
        while labels.count(c) > 1:
            i = labels.index(c)
            j = labels.index(c, i + 1)
            if x.shape[i] != x.shape[j]:
                raise RuntimeError(f"einsum(): subscript {c} is repeated for operand but the sizes don't "
                                   "match, "
                                   f"{x.shape[j]} != {x.shape[i]}")
            x = x.diagonal(0, i, j)
            del labels[j], labels[i]
            labels.append(c)
    return x, labels


def _summed(x, labels: list[str], keep: set[str]):
    "x summed over the labels outside `keep`."
    drop = [d for d, c in enumerate(labels) if c not in keep]
    if drop:
        x, labels = x.sum(drop), [c for c in labels if c in keep]
    return x, labels


def _contract(a, la, b, lb, keep: set[str]):
    "a times b, summed over the labels they share and nobody else needs: permuted to one batched product."
    shared = [c for c in la if c in lb]
    inner_ = [c for c in shared if c not in keep and _length(a, la, c) == _length(b, lb, c)]
    for c in [c for c in shared if c not in keep and c not in inner_]:
        if _length(a, la, c) == 1:
            b, lb = b.sum(lb.index(c), keepdim=True), lb
        else:
            a, la = a.sum(la.index(c), keepdim=True), la
        inner_.append(c)
    batch = [c for c in shared if c not in inner_]
    rows, columns = [c for c in la if c not in shared], [c for c in lb if c not in shared]
    if not inner_:
        x = a.permute([la.index(c) for c in batch + rows]).reshape(
            [_length(a, la, c) for c in batch + rows] + [1] * len(columns))
        y = b.permute([lb.index(c) for c in batch + columns]).reshape(
            [_length(b, lb, c) for c in batch] + [1] * len(rows) + [_length(b, lb, c) for c in columns])
        return x * y, batch + rows + columns
    x = a.permute([la.index(c) for c in batch + rows + inner_])
    y = b.permute([lb.index(c) for c in batch + inner_ + columns])
    nb, nr, nk = len(batch), len(rows), len(inner_)
    r, k, m = (math.prod(s) for s in (x.shape[nb:nb + nr], y.shape[nb:nb + nk], y.shape[nb + nk:]))
    x_shape, y_shape = x.shape, y.shape
    out = matmul(x.reshape(tuple(x.shape[:nb]) + (r, k)), y.reshape(tuple(y.shape[:nb]) + (k, m)))
    lead = tuple(j if i == 1 else i for i, j in zip(x_shape[:nb], y_shape[:nb]))
    return out.reshape(lead + tuple(x_shape[nb:nb + nr]) + tuple(y_shape[nb + nk:])), batch + rows + columns


def _length(x, labels, c) -> int:
    return x.shape[labels.index(c)]


@composite(at=("torch",))
def einsum(equation, *operands):
    "Sum of products by Einstein's convention, contracted from left to right as permuted batched products."
    if not isinstance(equation, str):
        equation, operands = _sublists((equation, *operands))
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise RuntimeError("einsum(): must provide at least one operand")
    labels, out = _terms(equation, operands)
    sizes: dict[str, int] = {}
    for i, (term, x) in enumerate(zip(labels, operands)):
        for c, n in zip(term, x.shape):
            if sizes.get(c, 1) == 1:
                sizes[c] = n
            elif n not in (1, sizes[c]):
                raise RuntimeError(f"einsum(): subscript {c} has size {n} for operand {i} which does not "
                                   "broadcast with "
                                   f"previously seen size {sizes[c]}")
    parts = [_once(x, term) for x, term in zip(operands, labels)]
    acc, la = parts[0]
    for i, (x, lx) in enumerate(parts[1:]):
        keep = set(out).union(*(term for _, term in parts[i + 2:]))
        acc, la = _summed(acc, la, keep | set(lx))
        x, lx = _summed(x, lx, keep | set(la))
        if i == len(parts) - 2 and out and out[-1] not in lx:  # the last dimension comes from the right one
            acc, la, x, lx = x, lx, acc, la
        acc, la = _contract(acc, la, x, lx, keep)
    acc, la = _summed(acc, la, set(out))
    return acc.permute([la.index(c) for c in out]) if la != out else acc


# --------------------------------------------------------------------------------------- diagonals, triangles
@composite
def trace(x):
    "The sum of the main diagonal of a matrix."
    if x.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {x.ndim}")
    return x.diagonal().sum()


@composite
def diag(x, diagonal=0):
    "The diagonal of a matrix (a copy), or the matrix that has the vector x on its diagonal."
    if x.ndim == 1:
        return diag_embed(x, diagonal)
    if x.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {x.ndim}D")
    return x.diagonal(diagonal).clone()


@composite
def diagflat(x, offset=0):
    "The matrix that has the flat x on its diagonal."
    return diag_embed(x.reshape(-1), offset)


@composite
def diag_embed(x, offset=0, dim1=-2, dim2=-1):
    """Matrices, in dimensions dim1 and dim2 of the result, that have the last dimension of x on their
    diagonal."""
    n = x.ndim + 1
    dim1, dim2 = wrap_dim(dim1, n), wrap_dim(dim2, n)
    if dim1 == dim2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    size = x.shape[-1] + abs(offset)
    shape = list(x.shape[:-1])
    for d in sorted((dim1, dim2)):
        shape.insert(d, size)
    out = x.new_zeros(shape)
    out.diagonal(offset, dim1, dim2).copy_(x)
    return out


def _triangle(op: str, x, diagonal, keep_lower: bool):
    if x.ndim < 2:
        raise RuntimeError(f"{op}: input tensor must have at least 2 dimensions")
    if not hasattr(diagonal, "__index__"):
        raise TypeError(f"{op}(): argument 'diagonal' must be int, not {type(diagonal).__name__}")
    rows = arange(x.shape[-2], device=x.device).unsqueeze(1)
    columns = arange(x.shape[-1], device=x.device)
    keep = columns <= rows + diagonal if keep_lower else columns >= rows + diagonal
    return where(keep, x, False if x.dtype.name == "bool" else 0)


@composite(memory=rowmajor)
def tril(x, diagonal=0):
    "x on and below the diagonal, 0 above it."
    return _triangle("tril", x, diagonal, True)


@composite(memory=rowmajor)
def triu(x, diagonal=0):
    "x on and above the diagonal, 0 below it."
    return _triangle("triu", x, diagonal, False)


def _triangle_indices(row: int, col: int, offset: int, lower: bool, dtype, device):
    for name, n in (("row", row), ("col", col)):
        if n < 0:
            raise RuntimeError(f"{name} must be non-negative, got{n}")
    keep = ones((row, col), dtype=bool_, device=device)
    keep = tril(keep, offset) if lower else triu(keep, offset)
    return keep.nonzero().t().contiguous().to(dtype or int64)


@composite(at=("torch",))
def tril_indices(row, col, offset=0, *, dtype=None, layout=None, device=None, pin_memory=False):
    "(2, n) row and column numbers on and below the diagonal of a row x col matrix, row by row."
    return _triangle_indices(row, col, offset, True, dtype, device)


@composite(at=("torch",))
def triu_indices(row, col, offset=0, *, dtype=None, layout=None, device=None, pin_memory=False):
    "(2, n) row and column numbers on and above the diagonal of a row x col matrix, row by row."
    return _triangle_indices(row, col, offset, False, dtype, device)


# ------------------------------------------------------------------------------------------- cross, distances
def _cross(x, y, dim: int):
    a, b, c = x.unbind(dim)
    d, e, f = y.unbind(dim)
    return stack([b * f - c * e, c * d - a * f, a * e - b * d], dim)


@composite
def cross(x, y, dim=None):
    "The vector product along `dim`, by default the first dimension of size 3."
    if dim is None:
        dim = next((d for d, n in enumerate(x.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError("no dimension of size 3 in input")
    return linalg_cross(x, y, dim=dim)


@composite(at=())
def linalg_cross(x, y, *, dim=-1):
    "The vector product along `dim`; the other dimensions broadcast."
    if x.ndim != y.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    wrap_dim(dim, x.ndim)
    if x.shape[dim] != 3 or y.shape[dim] != 3:
        raise RuntimeError(f"linalg.cross: inputs dimension {dim} must have length 3. Got {x.shape[dim]} and "
                           f"{y.shape[dim]}")
    shape = broadcast(x.shape, y.shape)
    return _cross(x.expand(shape), y.expand(shape), wrap_dim(dim, x.ndim))


def _cdist_gradient(g, a, b, p, out):
    "d/da of the p-norm distances."
    diff = a.unsqueeze(-2) - b.unsqueeze(-3)
    g, out = g.unsqueeze(-1), out.unsqueeze(-1)
    if p == 0:
        return (g * diff).sum(-2) * 0
    if p == 1:
        return (g * diff.sign()).sum(-2)
    if p == math.inf:
        return (g * diff.sign() * (diff.abs() == out).to(g.dtype)).sum(-2)
    safe = where(out == 0, 1, out)
    if p == 2:
        return (g * diff / safe).sum(-2)
    weight = diff.sign() * diff.abs() ** (p - 1) / safe ** (p - 1)
    return (g * where((out == 0) | (diff == 0), 0, weight)).sum(-2)


@opaque(at=(), vjp={
    "a": lambda g, a, b, p, out: _cdist_gradient(g, a, b, p, out),
    "b": lambda g, a, b, p, out: _cdist_gradient(g.transpose(-2, -1), b, a, p, out.transpose(-2, -1))})
def pair_distances(a, b, p):
    "Distances in the p-norm between the rows of a (..., P, M) and of b (..., R, M)."
    return Meta(_batch(a, b) + (a.shape[-2], b.shape[-2]), a.dtype)


@composite(at=("torch",))
def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    "Distances in the p-norm between the rows of x1 (..., P, M) and of x2 (..., R, M)."
    for name, x in (("X1", x1), ("X2", x2)):
        if x.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {x.ndim}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: "
                           f"{x2.shape[-1]}")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    dtype = promote_types(x1.dtype, x2.dtype)
    if not dtype.is_floating_point:
        raise RuntimeError(f"cdist only supports floating-point dtypes, X1 got: {title(x1.dtype)}")
    return pair_distances(x1.to(dtype), x2.to(dtype), float(p))


# ------------------------------------------------------------------------------------------------------ norms
def _reduced_dims(x, dim) -> list[int]:
    "The dimensions a reduction runs over, in [0, ndim)."
    if dim is None:
        return list(range(x.ndim))
    dims = [dim] if isinstance(dim, int) else list(dim)
    return [wrap_dim(d, x.ndim) for d in dims] if dims else list(range(x.ndim))


def _sign(x):
    return x.sgn() if x.dtype.is_complex else x.sign()


def _vector_norm_gradient(g, x, ord, dim, keepdim, out):
    "d/dx of the p-norm; 0 where the norm is 0, shared among the equals of the largest (smallest) magnitude."
    if not keepdim and x.ndim:
        for d in sorted(_reduced_dims(x, dim)):
            g, out = g.unsqueeze(d), out.unsqueeze(d)
    if ord == 0:
        return x * 0
    if ord == 1:
        return g * _sign(x)
    if ord == 2:
        return x * (g / out).masked_fill(out == 0, 0)
    if abs(ord) == math.inf:
        top = (x.abs() == out).to(g.dtype)
        return _sign(x) * top * (g / top.sum(_reduced_dims(x, dim), keepdim=True))
    size = x.abs()
    if ord < 1:
        return (_sign(x) * (size ** (ord - 1)).masked_fill(size == 0, 0)) * (g * (out ** (1 - ord)))
    weight = size ** (ord - 2) if ord >= 2 else (size ** (ord - 2)).masked_fill(size == 0, 0)
    return x * weight * (g / out ** (ord - 1)).masked_fill(out == 0, 0)


@composite(at=("linalg",), vjp={"x": _vector_norm_gradient})
def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """(sum |x|^ord)^(1/ord) over `dim`, by default over all; ord 0 counts what is not 0, ±inf take the
    extremes."""
    if not (x.dtype.is_floating_point or x.dtype.is_complex):
        raise RuntimeError("linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
                           f"{title(x.dtype)}")
    if dtype is not None:
        x = x.to(dtype)
    dims = _reduced_dims(x, dim)
    if (ord < 0 or ord == math.inf) and any(x.shape[d] == 0 for d in dims if x.ndim):
        raise RuntimeError(f"linalg.vector_norm cannot compute the {ord:g} norm on an empty "
                           + ("tensor because the operation does not have an identity" if dim is None else
                              "dimension because this dimension is empty and the operation does not have an "
                              "identity"))
    if ord == 2:
        if x.dtype.is_complex:
            return (x * x.conj()).real.sum(dims, keepdim=keepdim).sqrt()
        return (x * x).sum(dims, keepdim=keepdim).sqrt()
    size = x.abs()
    if ord == 1:
        return size.sum(dims, keepdim=keepdim)
    if ord == math.inf:
        return size.amax(dims, keepdim=keepdim)
    if ord == -math.inf:
        return size.amin(dims, keepdim=keepdim)
    if ord == 0:
        return (size != 0).to(size.dtype).sum(dims, keepdim=keepdim)
    return (size**ord).sum(dims, keepdim=keepdim) ** (1 / ord)


def _largest(s, dim: int):
    "The largest along `dim` of numbers that are not negative; 0 of none."
    return s.amax(dim) if s.shape[dim] else s.sum(dim)


@composite(at=("linalg",))
def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    "A norm of matrices: 'fro', 'nuc', ±1, ±2, ±inf."
    if A.ndim < 2:
        raise RuntimeError("linalg.matrix_norm: The input tensor A must have at least 2 dimensions.")
    if len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {' '.join(map(str, dim))}")
    i, j = (wrap_dim(d, A.ndim) for d in dim)
    if i == j:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    if isinstance(ord, str):
        if ord not in ("fro", "nuc"):
            raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    elif abs(ord) not in (1, 2, math.inf):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if ord == "fro":
        return vector_norm(A, 2, (i, j), keepdim, dtype=dtype)
    if not (A.dtype.is_floating_point or A.dtype.is_complex):
        raise RuntimeError("linalg.matrix_norm: Expected a floating point or complex tensor as input. Got "
                           f"{title(A.dtype)}")
    if dtype is not None:
        A = A.to(dtype)
    if ord == "nuc" or abs(ord) == 2:
        from .lapack import svdvals
        s = svdvals(A.permute([d for d in range(A.ndim) if d not in (i, j)] + [i, j]))
        out = s.sum(-1) if ord == "nuc" else _largest(s, -1) if ord == 2 else s.amin(-1)
    else:
        if abs(ord) == math.inf:
            i, j = j, i
        s = A.abs().sum(i)
        j -= j > i
        out = _largest(s, j) if ord > 0 else s.amin(j)
        i, j = (wrap_dim(d, A.ndim) for d in dim)
    if keepdim:
        for d in sorted((i, j)):
            out = out.unsqueeze(d)
    return out


@composite(at=())
def linalg_norm(A, ord=None, dim=None, keepdim=False, *, dtype=None):
    "The 2-norm of all elements, or the vector (one dim) or matrix (two dims) norm `ord`."
    if dim is not None and not isinstance(dim, int) and len(dim) > 2:
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dim)}")
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is None and A.ndim not in (1, 2):
        raise RuntimeError("linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
                           f"{A.ndim}D.")
    if isinstance(ord, str) or (dim is None and A.ndim == 2) or (dim is not None and not isinstance(dim, int)
                                                                 and len(dim) == 2):
        return matrix_norm(A, ord, (0, 1) if dim is None else dim, keepdim, dtype=dtype)
    return vector_norm(A, ord, dim, keepdim, dtype=dtype)


@composite
def norm(x, p="fro", dim=None, keepdim=False, dtype=None):
    "The p-norm over `dim`, by default of all elements; 'nuc' sums the singular values."
    if p == "nuc":
        return matrix_norm(x, "nuc", (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return vector_norm(x, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


@composite(memory=rowmajor)
def renorm(x, p, dim, maxnorm):
    "x with every slice along `dim` scaled down to the p-norm maxnorm where its norm is larger."
    if x.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {x.ndim} dimensions")
    dim = wrap_dim(dim, x.ndim)
    size = vector_norm(x, p, [d for d in range(x.ndim) if d != dim], True)
    return x * where(size > maxnorm, maxnorm / (size + 1e-7), 1)


METHODS = {"__rmatmul__": lambda self, other: matmul(other, self)}


@composite
def ger(x, vec2):
    "outer by another name."
    return outer(x, vec2)


@composite(at=())
def linalg_matmul(x, y):
    "matmul by another name."
    return matmul(x, y)


@composite(at=())
def vecdot(x, y, *, dim=-1):
    "sum of conj(x) * y along `dim`; the other dimensions broadcast."
    return (_conj(x) * y).sum(dim)


LINALG = {"norm": linalg_norm, "cross": linalg_cross, "matmul": linalg_matmul, "vecdot": vecdot}
