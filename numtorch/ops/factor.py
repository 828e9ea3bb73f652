"""Factorisations beside those of lapack.py: LU unpacked and used, L D L^H, reflections, low rank; the _ex
forms that report failure in `info`."""
from __future__ import annotations

import math

from .. import return_types as R
from ..autograd.modes import state
from ..dispatch import wrap_dim
from ..dtypes import int32
from ..kernels.cpu.lapack import LinAlgError
from ..kinds import composite
from ..kinds.batching import whole
from ..kinds.memory import columns
from .create import arange, eye, zeros
from .lapack import (
    _matrices,
    _square,
    _t,
    householder_factors,
    indefinite_factors,
    indefinite_solution,
    inv,
    linalg_cholesky,
    linalg_qr,
    linalg_svd,
    lu_factor,
    packed_factors,
    permutation,
    solve,
    triangular_solution,
)
from .linalg import matmul, tril, triu
from .pointwise import where
from .random import randn
from .view import diagonal

NAMES = ("linalg",)
for _name, _fields in (("linalg_ldl_factor_ex", ("LD", "pivots", "info")),):
    R.named(_name, *_fields)


# ------------------------------------------------------------------------------------------------ LU
def _unpacked(lu):
    "(L, U) of the packed factors."
    m, n = lu.shape[-2:]
    k = min(m, n)
    lower = tril(lu.narrow(-1, 0, k), -1) + eye(m, k, dtype=lu.dtype, device=lu.device)
    return lower, triu(lu.narrow(-2, 0, k))


@composite(name="linalg_lu", at=())
def linalg_lu(A, *, pivot=True):
    "(P, L, U) of A = P L U."
    _matrices("linalg.lu", A)
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")
    lu, pivots = packed_factors(A)
    return R.linalg_lu((permutation(pivots, A.shape[-2], A.dtype), *_unpacked(lu)))


@composite(at=("torch",))
def lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True):
    "(P, L, U) of the factors that lu_factor packs; what is not asked for is empty."
    if LU_pivots.dtype is not int32:
        raise RuntimeError("torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 "
                           "dtype.\n"
                           "Note: this function is intended to be used with the output produced by "
                           "torch.linalg.lu_factor")
    none = zeros((0,), dtype=LU_data.dtype, device=LU_data.device)
    p = permutation(LU_pivots, LU_data.shape[-2], LU_data.dtype) if unpack_pivots else none
    return R.lu_unpack((p, *(_unpacked(LU_data) if unpack_data else (none, none))))


def _info(pivoted):
    "The first zero on the diagonal of U, counted from 1; 0 if there is none."
    zero = diagonal(pivoted, 0, -2, -1) == 0
    if not zero.shape[-1]:
        return zeros(zero.shape[:-1], dtype=int32, device=pivoted.device)
    return where(zero.any(-1), zero.to(int32).argmax(-1) + 1, 0).to(int32)


@composite(at=NAMES)
def lu_factor_ex(A, *, pivot=True, check_errors=False):
    "(LU, pivots, info): lu_factor, and where U has its first zero on the diagonal."
    lu, pivots = lu_factor(A, pivot=pivot)
    info = _info(lu.detach())
    if check_errors and bool(whole(info).any()):
        raise LinAlgError(f"torch.linalg.lu_factor: U[{int(info.max())},{int(info.max())}] is zero and using "
                          "it on lu_solve would result in a division by zero.")
    return R.linalg_lu_factor_ex((lu, pivots, info))


def lu(A, pivot=True, get_infos=False, out=None):
    "(LU, pivots), and infos if asked for: lu_factor by its old name."
    got = lu_factor_ex(A, pivot=pivot)
    got = got if get_infos else tuple(got)[:2]
    if out is None:
        return got
    from ..dispatch import into
    return into(out, got)


@composite(memory=columns, name="linalg_lu_solve", at=())
def linalg_lu_solve(LU, pivots, B, *, left=True, adjoint=False):
    "X of A X = B (X A = B if not left; A^H if adjoint) from the factors of A."
    _square("torch.linalg.lu_solve", LU, "LU")
    if LU.dtype is not B.dtype:
        raise RuntimeError("linalg.lu_solve: Expected LU and B to have the same dtype, but found LU of type "
                           f"{LU.dtype} and B of type {B.dtype} instead")
    if pivots.dtype is not int32:
        raise RuntimeError("linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32")
    if not left:
        return _t(linalg_lu_solve(LU, pivots, _t(B), adjoint=not adjoint))
    if LU.shape[-1] != B.shape[-2]:
        raise RuntimeError("linalg.lu_solve: Incompatible shapes of LU and B for the equation AX = B "
                           f"({LU.shape[-2]}x{LU.shape[-1]} and {B.shape[-2]}x{B.shape[-1]})")
    p = permutation(pivots, LU.shape[-1], LU.dtype)
    if adjoint:
        y = triangular_solution(_t(LU), B, False, False)
        return matmul(p, triangular_solution(_t(LU), y, True, True))
    y = triangular_solution(LU, matmul(_t(p), B), False, True)
    return triangular_solution(LU, y, True, False)


@composite(memory=columns)
def lu_solve(x, LU_data, LU_pivots):
    "X of A X = x from the factors of A: linalg.lu_solve by its old name."
    return linalg_lu_solve(LU_data, LU_pivots, x)


# ------------------------------------------------------------------------------------------------ _ex forms
def _regular(A):
    "(A with the identity in place of singular matrices, info)."
    info = _info(packed_factors(A.detach())[0])
    if not bool(whole(info).any()):
        return A, info
    one = eye(A.shape[-1], dtype=A.dtype, device=A.device)
    return where((info == 0).unsqueeze(-1).unsqueeze(-1), A, one), info


@composite(at=NAMES)
def inv_ex(A, *, check_errors=False):
    "(inverse, info): info says which pivot of a singular matrix is zero, counted from 1."
    _square("linalg.inv", A)
    if check_errors:
        inv(A.detach())
    a, info = _regular(A)
    return R.linalg_inv_ex((inv(a), info))


@composite(at=NAMES)
def solve_ex(A, B, *, left=True, check_errors=False):
    "(result, info): solve; info says which pivot of a singular matrix is zero, counted from 1."
    _square("linalg.solve", A)
    if check_errors:
        solve(A.detach(), B.detach(), left=left)
    a, info = _regular(A)
    return R.linalg_solve_ex((solve(a, B, left=left), info))


@composite(memory=(columns, None), at=NAMES)
def cholesky_ex(A, *, upper=False, check_errors=False):
    "(L, info): info is the order of the first leading minor that is not positive-definite, or else 0."
    _square("linalg.cholesky", A)
    info = zeros(A.shape[:-2], dtype=int32, device=A.device)
    try:
        return R.linalg_cholesky_ex((linalg_cholesky(A, upper=upper), info))
    except LinAlgError:
        if check_errors:
            raise
    import numpy as np
    factors = A.detach().clone()
    for i in np.ndindex(*A.shape[:-2]):
        for n in range(1, A.shape[-1] + 1):
            try:
                linalg_cholesky(A.detach()[i][:n, :n])
            except LinAlgError:
                info[i] = n
                break
        if not int(info[i]):
            factors[i] = linalg_cholesky(A.detach()[i], upper=upper)
    return R.linalg_cholesky_ex((factors, info))


@composite(at=NAMES)
def ldl_factor_ex(A, *, hermitian=False, check_errors=False):
    "(LD, pivots, info) of symmetric (Hermitian) A = P L D L^H P^T."
    _square("torch.linalg.ldl_factor_ex", A)
    ld, pivots = indefinite_factors(A, bool(hermitian))
    return R.linalg_ldl_factor_ex((ld, pivots, zeros(A.shape[:-2], dtype=int32, device=A.device)))


@composite(at=NAMES)
def ldl_factor(A, *, hermitian=False):
    "(LD, pivots) of symmetric (Hermitian) A = P L D L^H P^T."
    return R.linalg_ldl_factor(tuple(ldl_factor_ex(A, hermitian=hermitian))[:2])


@composite(at=NAMES)
def ldl_solve(LD, pivots, B, *, hermitian=False):
    "X of A X = B from the factors of symmetric (Hermitian) A."
    _square("torch.linalg.ldl_solve", LD, "LD")
    if LD.shape[:-2] != B.shape[:-2]:
        shape = matmul(LD.detach(), B.detach()).shape[:-2]
        LD = LD.expand((*shape, *LD.shape[-2:]))
        pivots, B = pivots.expand((*shape, pivots.shape[-1])), B.expand((*shape, *B.shape[-2:]))
    return indefinite_solution(LD, pivots, B, bool(hermitian))


# ------------------------------------------------------------------------------------------------ reflections
@composite
def geqrf(x):
    "(a, tau): the QR factorisation as LAPACK packs it, for householder_product and ormqr."
    if x.ndim < 2:
        raise RuntimeError("torch.geqrf: input must have at least 2 dimensions.")
    if x.requires_grad and state.grad:
        raise NotImplementedError("the derivative for 'geqrf' is not implemented.")
    return R.geqrf(householder_factors(x))


def _vector(A, i: int):
    "The i-th reflection's vector: zeros, 1, the column of A below its diagonal."
    m = A.shape[-2]
    rows = arange(m, device=A.device)
    one = (rows == i).to(A.dtype)
    return (where(rows > i, A.select(-1, i), 0) + one).unsqueeze(-1)


def _reflected(A, tau, B, backward: bool, adjoint: bool):
    "B multiplied from the left by I - tau v v^H for each reflection: H_1 ... H_k B, or in the other order."
    order = range(tau.shape[-1])
    for i in order if backward else reversed(order):
        v, t = _vector(A, i), tau.select(-1, i).unsqueeze(-1).unsqueeze(-1)
        B = B - (t.conj() if adjoint else t) * matmul(v, matmul(_t(v), B))
    return B


@composite(memory=columns, at=("linalg",))
def householder_product(A, tau):
    "The first columns of H_1 H_2 ... with H_i = I - tau_i v_i v_i^H, v_i below the diagonal of A (geqrf)."
    name = "torch.linalg.householder_product"
    if A.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if A.shape[-2] < A.shape[-1]:
        raise RuntimeError(f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]")
    if A.shape[-1] < tau.shape[-1]:
        raise RuntimeError(f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]")
    if A.ndim - tau.ndim != 1:
        raise RuntimeError(f"{name}: Expected tau to have one dimension less than input, but got tau.ndim "
                           f"equal to {tau.ndim} and input.ndim is equal to {A.ndim}")
    if A.shape[:-2] != tau.shape[:-1]:
        raise RuntimeError(f"{name}: Expected batch of tau to be equal to input.shape[:-2], but got "
                           f"{list(tau.shape[:-1])}")
    if A.dtype is not tau.dtype:
        raise RuntimeError(f"{name}: tau dtype {tau.dtype} does not match input dtype {A.dtype}")
    one = eye(A.shape[-2], A.shape[-1], dtype=A.dtype, device=A.device).expand(A.shape)
    return _reflected(A, tau, one, False, False) if tau.shape[-1] else one + A * 0


@composite(memory=columns)
def ormqr(x, tau, y, left=True, transpose=False):
    "The product of Q (Q^H if transpose) of geqrf's factors with y, Q on the left or on the right."
    name = "torch.ormqr"
    if x.ndim < 2 or y.ndim < 2:
        raise RuntimeError(f"{name}: {'input' if x.ndim < 2 else 'other'} must have at least 2 dimensions.")
    side = -2 if left else -1
    if y.shape[side] < tau.shape[-1]:
        raise RuntimeError(f"{name}: other.shape[{side}] must be greater than or equal to tau.shape[-1]")
    if y.shape[side] != x.shape[-2]:
        raise RuntimeError(f"{name}: other.shape[{side}] must be equal to input.shape[-2]")
    if tau.shape[-1] > x.shape[-1]:
        raise RuntimeError(f"{name}: tau.shape[-1] must be less than or equal to input.shape[-1]")
    if x.ndim - tau.ndim != 1:
        raise RuntimeError(f"{name}: Expected tau to have one dimension less than input, but got tau.ndim "
                           f"equal to {tau.ndim} and input.ndim is equal to {x.ndim}")
    if x.ndim != y.ndim:
        raise RuntimeError(f"{name}: Expected other to have the same number of dimensions as input, but got "
                           f"other.ndim equal to {y.ndim} and input.ndim is equal to {x.ndim}")
    if x.shape[:-2] != tau.shape[:-1] or x.shape[:-2] != y.shape[:-2]:
        raise RuntimeError(f"{name}: Expected the batches of tau, input and other to be equal")
    if x.dtype is not tau.dtype or x.dtype is not y.dtype:
        raise RuntimeError(f"{name}: Expected input, tau and other to have the same dtype")
    if left:
        return _reflected(x, tau, y, transpose, transpose)
    return _t(_reflected(x, tau, _t(y), not transpose, not transpose))


# ------------------------------------------------------------------------------------------------ shapes
@composite(name="linalg_diagonal", at=())
def linalg_diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    "The diagonals of each matrix."
    return diagonal(A, offset, dim1, dim2)


@composite(at=NAMES)
def tensorinv(A, ind=2):
    "The inverse of A as a map from its last dimensions to its first `ind`."
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    first, last = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if math.prod(first) != math.prod(last):
        raise RuntimeError("Expected self to satisfy the requirement prod(self.shape[ind:]) == "
                           f"prod(self.shape[:ind]), but got {math.prod(last)} != {math.prod(first)}")
    return inv(A.reshape(math.prod(first), math.prod(first))).reshape((*last, *first))


@composite(at=NAMES)
def tensorsolve(A, B, dims=None):
    "X of tensordot(A, X, X.ndim) = B."
    if dims is not None:
        moved = [wrap_dim(d, A.ndim) for d in dims]
        A = A.permute([d for d in range(A.ndim) if d not in moved] + moved)
    shape = tuple(A.shape[B.ndim:])
    if math.prod(shape) != B.numel():
        raise RuntimeError("Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
                           f"prod(self.shape[:other.ndim]), but got {math.prod(shape)} != {B.numel()}")
    return solve(A.reshape(B.numel(), B.numel()), B.reshape(-1)).reshape(shape)


# ------------------------------------------------------------------------------------------------ low rank
@composite(at=("torch",))
def svd_lowrank(x, q=6, niter=2, M=None):
    "(U, S, V) of the q largest singular values of x - M, by random projections (Halko et al. 2009, 5.1)."
    if M is not None:
        x = x - M.broadcast_to(x.shape)
    wide = x.shape[-2] < x.shape[-1]
    a = _t(x) if wide else x
    basis = linalg_qr(matmul(a, randn(a.shape[-1], q, dtype=a.dtype, device=a.device)))[0]
    for _ in range(niter):
        basis = linalg_qr(matmul(_t(a), basis))[0]
        basis = linalg_qr(matmul(a, basis))[0]
    u, s, vh = linalg_svd(matmul(_t(basis), a), False)
    u, v = matmul(basis, u), _t(vh)
    return (v, s, u) if wide else (u, s, v)


@composite(at=("torch",))
def pca_lowrank(x, q=None, center=True, niter=2):
    "(U, S, V) of the q principal components of the rows of x, centred if `center`."
    m, n = x.shape[-2:]
    q = min(6, m, n) if q is None else q
    if not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(x - x.mean(-2, True) if center else x, q, niter)


FUNCTIONS = {"lu": lu, "orgqr": householder_product}
METHODS = {"lu": lu, "orgqr": householder_product}
LINALG = {"lu": linalg_lu, "lu_solve": linalg_lu_solve, "diagonal": linalg_diagonal}
