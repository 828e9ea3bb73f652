"""Factorisations of matrices and what follows from them: solve, inv, det, eigh, svd, pinv, lstsq.

The primitives factor batches of matrices; gradient rules are those of the factorisations (Giles 2008,
"Collected matrix derivative results"; Townsend 2016 for singular values) and are written with public ops.
"""
from __future__ import annotations

import math

from .. import return_types as R
from ..dispatch import Meta
from ..dtypes import FLOAT, int32, int64
from ..kernels.cpu.lapack import LinAlgError
from ..kinds import composite, opaque
from ..kinds.batching import whole
from ..kinds.memory import columns
from ..layouts import broadcast
from ..tensor import Tensor
from .convert import copied_to
from .create import arange, eye, scalar_tensor, zeros
from .index import title
from .join import cat
from .linalg import matmul, matrix_norm, tril, triu
from .pointwise import where


def _t(x):
    "The conjugate transpose of each matrix."
    y = x.transpose(-2, -1)
    return y.conj() if x.dtype.is_complex else y


def _matrices(op: str, x, what: str = "A") -> None:
    if x.ndim < 2:
        raise RuntimeError(f"{op}: The input tensor {what} must have at least 2 dimensions.")
    if x.dtype.category < FLOAT:
        raise RuntimeError(f"{op}: Expected a floating point or complex tensor as input. Got "
                           f"{title(x.dtype)}")


def _square(op: str, x, what: str = "A") -> None:
    if x.ndim >= 2 and x.shape[-1] != x.shape[-2]:
        raise RuntimeError(f"{op}: {what} must be batches of square matrices, but they are {x.shape[-2]} by "
                           f"{x.shape[-1]} matrices")
    _matrices(op, x, what)


def _real(x) -> object:
    return x.dtype.to_real()


# -------------------------------------------------------------------------------------------- solving
@opaque(memory=columns, at=(), vjp={"x": lambda g, out: -matmul(matmul(_t(out), g), _t(out))})
def invert(x):
    "The inverse of each matrix."
    return Meta(x.shape, x.dtype)


@composite(at=("linalg",))
def inv(A):
    "The inverse of each matrix. LinAlgError if one is singular."
    _square("linalg.inv", A)
    return invert(A)


@composite
def inverse(x):
    "The inverse of each matrix. LinAlgError if one is singular."
    return inv(x)


@opaque(memory=columns, at=(), vjp={
    "a": lambda g, a, out: -matmul(solve_matrix(_t(a), g), _t(out)),
    "b": lambda g, a: solve_matrix(_t(a), g)})
def solve_matrix(a, b):
    "X of a X = b for matrices, batches broadcast."
    return Meta(broadcast(a.shape[:-2], b.shape[:-2]) + tuple(b.shape[-2:]), a.dtype)


@composite(at=("linalg",))
def solve(A, B, *, left=True):
    "X of A X = B (X A = B if not left); B is a batch of matrices or of vectors."
    _square("linalg.solve", A)
    if A.dtype is not B.dtype:
        raise RuntimeError("linalg.solve: Expected A and B to have the same dtype, but found A of type "
                           f"{title(A.dtype)} and B of type {title(B.dtype)} instead")
    vector = B.ndim == 1 or (A.ndim - 1 == B.ndim and tuple(B.shape) == tuple(A.shape[:-1]))
    right = B.unsqueeze(-1) if vector else B
    if right.shape[-2 if left else -1] != A.shape[-1]:
        words = "AX = B" if left else "XA = B"
        raise RuntimeError(f"linalg.solve: Incompatible shapes of A and B for the equation {words} "
                           f"({A.shape[-2]}x{A.shape[-1]} and {right.shape[-2]}x{right.shape[-1]})")
    if not left:
        return solve_matrix(A.transpose(-2, -1), right.transpose(-2, -1)).transpose(-2, -1)
    out = solve_matrix(A, right)
    if vector:  # a batch of vectors lies like the columns of one matrix
        out = out.squeeze(-1)
        return copied_to(out, columns({}, tuple(out.shape))) if out.ndim > 1 else out
    return out


def _triangular_gradient(g, a, out, upper, unitriangular):
    g = -matmul(triangular_solution(_t(a), g, not upper, unitriangular), _t(out))
    return triu(g, int(unitriangular)) if upper else tril(g, -int(unitriangular))


@opaque(memory=columns, at=(), vjp={
    "a": _triangular_gradient,
    "b": lambda g, a, upper, unitriangular: triangular_solution(_t(a), g, not upper, unitriangular)})
def triangular_solution(a, b, upper, unitriangular):
    "X of a X = b where only one triangle of a counts."
    return Meta(broadcast(a.shape[:-2], b.shape[:-2]) + tuple(b.shape[-2:]), a.dtype)


@composite(memory=columns, at=("linalg",))
def solve_triangular(A, B, *, upper, left=True, unitriangular=False):
    "X of A X = B (X A = B if not left) with the upper or lower triangle of A."
    _square("linalg.solve_triangular", A)
    _matrices("linalg.solve_triangular", B, "B")
    if B.shape[-2 if left else -1] != A.shape[-1]:
        words = "AX = B" if left else "XA = B"
        raise RuntimeError("linalg.solve_triangular: Incompatible shapes of A and B for the equation "
                           f"{words} "
                           f"({A.shape[-2]}x{A.shape[-1]} and {B.shape[-2]}x{B.shape[-1]})")
    if not left:
        a, b = A.transpose(-2, -1), B.transpose(-2, -1)
        return triangular_solution(a, b, not upper, bool(unitriangular)).transpose(-2, -1)
    return triangular_solution(A, B, bool(upper), bool(unitriangular))


@composite(memory=columns)
def triangular_solve(x, A, upper=True, transpose=False, unitriangular=False):
    "(solution, A): X of A X = x, or of A.T X = x."
    a, up = (A.transpose(-2, -1), not upper) if transpose else (A, upper)
    return R.triangular_solve((triangular_solution(a, x, bool(up), bool(unitriangular)), A.clone()))


# -------------------------------------------------------------------------------------------- determinants
def _det_gradient(g, x, out):
    return _t(inv(x)) * (g * (out.conj() if x.dtype.is_complex else out))[..., None, None]


@opaque(at=(), vjp={"x": _det_gradient})
def determinant(x):
    "The determinant of each matrix."
    return Meta(x.shape[:-2], x.dtype)


@composite(at=("linalg", "torch", "Tensor"))
def det(A):
    "The determinant of each matrix. Its gradient needs an invertible matrix (LinAlgError otherwise)."
    _square("linalg.det", A)
    return determinant(A)


def _slogdet_gradient(g, x, out):
    """A^-H (g_log - i Im(conj(g_sign) sign)): d log det A = tr(A^-1 dA) = d logabs + i d angle."""
    factor = g[1]
    if x.dtype.is_complex and g[0] is not None:
        turn = (g[0].conj() * out[0]).imag * -1j
        factor = turn if factor is None else factor + turn
    if factor is None:
        return x * 0
    return _t(inv(x)) * factor[..., None, None]


@opaque(at=(), vjp={"x": _slogdet_gradient})
def sign_and_log(x):
    "(sign, logarithm of the absolute value) of each determinant."
    return Meta(x.shape[:-2], x.dtype), Meta(x.shape[:-2], _real(x))


@composite(at=())
def linalg_slogdet(A):
    "(sign, logabsdet) of each determinant."
    _square("linalg.slogdet", A)
    return R.linalg_slogdet(sign_and_log(A))


@composite
def slogdet(x):
    "(sign, logabsdet) of each determinant."
    _square("linalg.slogdet", x)
    return R.slogdet(sign_and_log(x))


@composite
def logdet(x):
    "The logarithm of each determinant; NaN where it is negative."
    _square("linalg.det", x)
    sign, size = sign_and_log(x)
    return size + sign.log() if x.dtype.is_complex else where(sign < 0, math.nan, size)


# -------------------------------------------------------------------------------------------- factorisations
def _cholesky_gradient(g, out):
    "L^-H P(L^H g) L^-1, made Hermitian; P takes the lower triangle with half the diagonal."
    lh = _t(out)
    middle = tril(matmul(lh, g))
    middle = middle - 0.5 * (tril(middle) - tril(middle, -1))
    left = triangular_solution(lh, middle, True, False)
    both = _t(triangular_solution(lh, _t(left), True, False))
    return 0.5 * (both + _t(both))


@opaque(at=(), vjp={"x": _cholesky_gradient})
def lower_factor(x):
    "L of x = L L^H with a lower triangular L."
    return Meta(x.shape, x.dtype)


@composite(memory=columns, at=())
def linalg_cholesky(A, *, upper=False):
    "L of A = L L^H with a lower triangular L (its conjugate transpose if upper)."
    _square("linalg.cholesky", A)
    out = lower_factor(_t(A) if upper else A)
    return _t(out) if upper else out


@composite
def cholesky(x, upper=False):
    "L of x = L L^H with a lower triangular L (its conjugate transpose if upper)."
    return linalg_cholesky(x, upper=upper)


@composite(memory=columns)
def cholesky_solve(x, L, upper=False):
    "X of A X = x for A = L L^H (L^H L if upper)."
    a = _t(L) if upper else L
    return triangular_solution(_t(a), triangular_solution(a, x, False, False), True, False)


@composite(memory=columns)
def cholesky_inverse(L, upper=False):
    "The inverse of A = L L^H (L^H L if upper)."
    return cholesky_solve(eye(L.shape[-1], dtype=L.dtype, device=L.device), L, upper)


def _qr_gradient(g, out, complete):
    q, r = out
    gq, gr = g
    k, n = r.shape[-2:]
    if complete and k > n:
        raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and nrows > "
                           "ncols.")
    if n > k:  # x = Q [U, V]: Q and U are the factors of its first columns, V = Q^H times the others
        y = matmul(q, r.narrow(-1, k, n - k))
        gu = gv = None
        if gr is not None:
            gu, gv = gr.narrow(-1, 0, k), gr.narrow(-1, k, n - k)
            gq = matmul(y, _t(gv)) if gq is None else gq + matmul(y, _t(gv))
        first = _qr_gradient((gq, gu), (q, r.narrow(-1, 0, k)), False)
        rest = y * 0 if gv is None else matmul(q, gv)
        return cat([first, rest], -1)
    m = None
    if gr is not None:
        m = matmul(r, _t(gr))
    if gq is not None:
        part = matmul(_t(gq), q)
        m = -part if m is None else m - part
    low = tril(m, -1)
    inner = low + _t(low) + (tril(m) - low)
    total = matmul(q, inner)
    if gq is not None:
        total = total + gq
    return _t(triangular_solution(r, _t(total), True, False))


@opaque(memory=columns, at=(), vjp={"x": _qr_gradient})
def orthogonal_factor(x, complete):
    "(Q, R) of x = Q R, Q with orthonormal columns, R upper triangular."
    *batch, m, n = x.shape
    k = m if complete else min(m, n)
    return Meta((*batch, m, k), x.dtype), Meta((*batch, k, n), x.dtype)


@composite(at=())
def linalg_qr(A, mode="reduced"):
    "(Q, R) of A = Q R; mode 'complete' gives a square Q, 'r' an empty one."
    _matrices("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), "
                           "'r', or "
                           "'complete'")
    q, r = orthogonal_factor(A, mode == "complete")
    return R.linalg_qr((zeros((0,), dtype=A.dtype, device=A.device) if mode == "r" else q, r))


@composite
def qr(x, some=True):
    "(Q, R) of x = Q R."
    return R.qr(tuple(linalg_qr(x, "reduced" if some else "complete")))


def _differences(values):
    "E[i, j] = values[j] - values[i], 1 on the diagonal."
    e = values.unsqueeze(-2) - values.unsqueeze(-1)
    n = values.shape[-1]
    return where(eye(n, device=values.device) > 0, 1, e)


def _eigh_gradient(g, out):
    w, v = out
    gw, gv = g
    middle = None
    if gv is not None:
        middle = matmul(_t(v), gv) / _differences(w)
        n = w.shape[-1]
        middle = where(eye(n, device=w.device) > 0, 0, middle)
    if gw is not None:
        diagonal = gw.to(v.dtype).diag_embed()
        middle = diagonal if middle is None else middle + diagonal
    return matmul(matmul(v, middle), _t(v))


@opaque(memory=(None, columns), at=(), vjp={"x": _eigh_gradient})
def symmetric_pairs(x, upper):
    "(eigenvalues ascending, eigenvectors) of Hermitian matrices, from one triangle."
    return Meta(x.shape[:-1], _real(x)), Meta(x.shape, x.dtype)


@composite(at=("linalg",))
def eigh(A, UPLO="L"):
    "(eigenvalues ascending, eigenvectors) of Hermitian matrices, of which the triangle UPLO is read."
    _square("linalg.eigh", A)
    if UPLO not in ("L", "U", "l", "u"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return R.linalg_eigh(symmetric_pairs(A, UPLO in "Uu"))


@composite(at=("linalg",))
def eigvalsh(A, UPLO="L"):
    "The eigenvalues, ascending, of Hermitian matrices."
    return eigh(A, UPLO)[0]


def _eig_gradient(g, x, out):
    """V^-H (diag(gL) + (V^H gV - V^H V diag Re(V^H gV)) / conj(E)) V^H with E_ij = L_j - L_i; of real x, its
    real part."""
    values, vectors = out
    gl, gv = g
    n = values.shape[-1]
    middle = zeros(tuple(vectors.shape), dtype=vectors.dtype, device=vectors.device)
    if gl is not None:
        middle = middle + gl.diag_embed()
    if gv is not None:
        vh = _t(vectors)
        part = matmul(vh, gv)
        along = part.diagonal(0, -2, -1).real.to(vectors.dtype)
        part = part - matmul(vh, vectors) * along.unsqueeze(-2)
        gaps = values.unsqueeze(-2) - values.unsqueeze(-1)
        diagonal = eye(n, device=values.device) > 0
        middle = middle + where(diagonal, 0, part / where(diagonal, 1, gaps).conj())
    got = solve_matrix(_t(vectors), matmul(middle, _t(vectors)))
    return got if x.dtype.is_complex else got.real


@opaque(memory=(None, columns), at=(), vjp={"x": _eig_gradient})
def general_pairs(x):
    "(eigenvalues, eigenvectors) of square matrices."
    return Meta(x.shape[:-1], x.dtype.to_complex()), Meta(x.shape, x.dtype.to_complex())


@composite(at=("linalg",))
def eig(A):
    "(eigenvalues, eigenvectors) of square matrices, complex."
    _square("linalg.eig", A)
    return R.linalg_eig(general_pairs(A))


@composite(at=("linalg",))
def eigvals(A):
    "The eigenvalues of square matrices, complex."
    return eig(A)[0]


def _svd_gradient(g, out, full):
    u, s, vh = out
    gu, gs, gvh = g
    k = s.shape[-1]
    if full:
        u, vh = u.narrow(-1, 0, k), vh.narrow(-2, 0, k)
        gu = None if gu is None else gu.narrow(-1, 0, k)
        gvh = None if gvh is None else gvh.narrow(-2, 0, k)
    v = _t(vh)
    square = s * s
    e = _differences(square)
    diagonal = eye(k, device=s.device) > 0
    middle = zeros(tuple(s.shape) + (k,), dtype=u.dtype, device=u.device)
    if gs is not None:
        middle = middle + gs.to(u.dtype).diag_embed()
    extra = None
    if gu is not None:
        part = matmul(_t(u), gu)
        if u.dtype.is_complex:  # the phase that U and V share
            middle = middle + (part.diagonal(0, -2, -1).imag * 1j / s).diag_embed()
        part = where(diagonal, 0, (part - _t(part)) / e)
        middle = middle + part * s.unsqueeze(-2)
        if u.shape[-2] > k:
            left = gu - matmul(u, matmul(_t(u), gu))
            extra = matmul(left / s.unsqueeze(-2), vh)
    if gvh is not None:
        gv = _t(gvh)
        part = matmul(_t(v), gv)
        part = where(diagonal, 0, (part - _t(part)) / e)
        middle = middle + s.unsqueeze(-1) * part
        if v.shape[-2] > k:
            right = gv - matmul(v, matmul(_t(v), gv))
            more = matmul(u, _t(right / s.unsqueeze(-2)))
            extra = more if extra is None else extra + more
    total = matmul(matmul(u, middle), vh)
    return total if extra is None else total + extra


@opaque(memory=(columns, None, columns), at=(), vjp={"x": _svd_gradient})
def singular_values(x, full):
    "(U, S, Vh) of x = U diag(S) Vh, S descending."
    *batch, m, n = x.shape
    k = min(m, n)
    return (Meta((*batch, m, m if full else k), x.dtype), Meta((*batch, k), _real(x)),
            Meta((*batch, n if full else k, n), x.dtype))


@composite(at=())
def linalg_svd(A, full_matrices=True, *, driver=None):
    "(U, S, Vh) of A = U diag(S) Vh, S descending."
    _matrices("linalg.svd", A)
    return R.linalg_svd(singular_values(A, bool(full_matrices)))


@composite
def svd(x, some=True, compute_uv=True):
    "(U, S, V) of x = U diag(S) V^H, S descending."
    _matrices("linalg.svd", x)
    u, s, vh = singular_values(x, not some)
    return R.svd((u, s, _t(vh)))


@composite(at=("linalg",))
def svdvals(A, *, driver=None):
    "The singular values of each matrix, descending."
    _matrices("linalg.svd", A)
    return singular_values(A, False)[1]


@opaque(at=())
def row_order(pivots, m):
    "Where each row of the factored matrix comes from."
    return Meta(tuple(pivots.shape[:-1]) + (m,), int64)


def permutation(pivots, m: int, dtype):
    "P of P L U from row exchanges counted from 1, as matrices of zeros and ones."
    return (row_order(pivots, m).unsqueeze(-2) == arange(m, device=pivots.device).unsqueeze(-1)).to(dtype)


def _lu_gradient(g, x_meta, out):
    """The gradient of A = P L U by its packed factors (Smith 1995), tall and wide matrices in blocks."""
    lu, pivots = out
    m, n = x_meta.shape[-2:]
    k = min(m, n)
    lower, upper = lu.narrow(-1, 0, k), lu.narrow(-2, 0, k)
    l1, u1 = lower.narrow(-2, 0, k), upper.narrow(-1, 0, k)
    gl, gu = tril(g[0].narrow(-1, 0, k), -1), triu(g[0].narrow(-2, 0, k))
    gl1, gu1 = gl.narrow(-2, 0, k), gu.narrow(-1, 0, k)
    one = eye(k, dtype=lu.dtype, device=lu.device)
    left = matmul(_t(tril(l1, -1) + one), gl1)
    right = matmul(gu1, _t(triu(u1)))
    if n > k:
        left = left - matmul(gu.narrow(-1, k, n - k), _t(upper.narrow(-1, k, n - k)))
    if m > k:
        right = right - matmul(_t(lower.narrow(-2, k, m - k)), gl.narrow(-2, k, m - k))
    lh = _t(l1)
    middle = triangular_solution(lh, tril(left, -1) + triu(right), True, True)
    total = _t(triangular_solution(u1, _t(middle), True, False))
    if n > k:
        total = cat([total, triangular_solution(lh, gu.narrow(-1, k, n - k), True, True)], -1)
    if m > k:
        total = cat([total, _t(triangular_solution(u1, _t(gl.narrow(-2, k, m - k)), True, False))], -2)
    return matmul(permutation(pivots, m, lu.dtype), total)


@opaque(memory=(columns, None), at=(), vjp={"x": _lu_gradient})
def packed_factors(x):
    "(L below and U on and above the diagonal, pivots from 1) of P L U."
    k = min(x.shape[-2:])
    return Meta(x.shape, x.dtype), Meta(tuple(x.shape[:-2]) + (k,), int32)


@composite(at=("linalg",))
def lu_factor(A, *, pivot=True):
    "(LU, pivots): L and U of A = P L U in one matrix and the row exchanges, counted from 1."
    _matrices("linalg.lu_factor", A)
    if not pivot:
        raise NotImplementedError("linalg.lu_factor without pivoting does not work on the CPU.")
    return R.linalg_lu_factor(packed_factors(A))


# -------------------------------------------------------------------------------------------- what follows
def _tolerance(x, s, atol, rtol):
    "Singular values not above this count as zero: max(atol, rtol * the largest)."
    if rtol is None:
        from ..dtypes import finfo
        rtol = finfo(x.dtype).eps * max(x.shape[-2:]) if atol is None else 0.0
    top = s.amax(-1, keepdim=True)
    atol = 0.0 if atol is None else atol
    kind = dict(dtype=s.dtype, device=s.device)
    atol, rtol = (t if isinstance(t, Tensor) else scalar_tensor(t, **kind) for t in (atol, rtol))
    atol, rtol = (t.unsqueeze(-1) if t.ndim else t for t in (atol, rtol))
    return (rtol * top).maximum(atol)


def _pinv_gradient(g, x, out):
    """Golub and Pereyra (1973): the derivative of the pseudo-inverse where the rank does not change."""
    p, gh = out, _t(g)
    ph = _t(p)
    if x.shape[-2] <= x.shape[-1]:
        k = matmul(gh, p)
        kp = matmul(k, ph)
        return kp - _t(matmul(p, k)) - matmul(matmul(x, p), kp) + matmul(matmul(ph, p), gh - matmul(k, x))
    k = matmul(p, gh)
    pk = matmul(ph, k)
    return pk - _t(matmul(k, p)) + matmul(matmul(gh - matmul(x, k), p), ph) - matmul(matmul(pk, p), x)


@composite(at=(), name="pinv.op", vjp={"x": _pinv_gradient})
def pseudo_inverse(x, atol, rtol, hermitian):
    "The Moore-Penrose inverse of each matrix, by its eigenvalues if Hermitian, else by its singular values."
    if hermitian:
        s, v = eigh(x)
        u = v
        size = s.abs()
    else:
        u, s, vh = singular_values(x, False)
        v, size = _t(vh), s
    keep = size > _tolerance(x, size, atol, rtol)
    scaled = where(keep, 1 / where(keep, s, 1), 0)
    return matmul(v * scaled.unsqueeze(-2), _t(u))


@composite(at=())
def linalg_pinv(A, rcond=None, hermitian=False, *, atol=None, rtol=None):
    "The Moore-Penrose inverse of each matrix."
    if A.ndim < 2 or A.dtype.category < FLOAT:
        raise RuntimeError(f"linalg.pinv({title(A.dtype)}{{{list(A.shape)}}}): expected a tensor with 2 or "
                           "more "
                           "dimensions of float, double, cfloat or cdouble types")
    rtol = rcond if rtol is None else rtol
    if A.numel() == 0:
        return A.transpose(-2, -1) * 1
    if hermitian:
        return pseudo_inverse(A, atol, rtol, True)
    return pseudo_inverse(A, atol, rtol, False)


@composite
def pinverse(x, rcond=1e-15):
    "The Moore-Penrose inverse of each matrix."
    return linalg_pinv(x, rtol=rcond)


@composite(at=("linalg",))
def matrix_rank(A, tol=None, hermitian=False, *, atol=None, rtol=None):
    "The number of singular values of each matrix above the tolerance."
    if A.ndim < 2:
        raise RuntimeError("torch.linalg.matrix_rank: The input tensor input must have at least 2 "
                           "dimensions.")
    atol = tol if atol is None else atol
    if A.numel() == 0:
        return zeros(A.shape[:-2], dtype=int64, device=A.device)
    s = eigvalsh(A).abs() if hermitian else svdvals(A)
    return (s > _tolerance(A, s, atol, rtol)).sum(-1)


@composite(at=("linalg",))
def lstsq(A, B, rcond=None, *, driver=None):
    "(solution, residuals, rank, singular_values): X that minimises |A X - B|, of several the shortest."
    if A.ndim < 2:
        raise RuntimeError("torch.linalg.lstsq: input must have at least 2 dimensions.")
    vector = B.ndim == A.ndim - 1
    driver = driver or "gelsy"
    right = B.unsqueeze(-1) if vector else B
    if A.shape[-2] != right.shape[-2]:
        raise RuntimeError("torch.linalg.lstsq: input.size(-2) should match other.size(-2)")
    x = matmul(linalg_pinv(A, rtol=rcond), right)
    x = copied_to(x, columns({}, tuple(x.shape)))
    rank = zeros((0,), dtype=int64, device=A.device)
    if driver != "gels":
        rank = matrix_rank(A.detach(), rtol=rcond)
    m, n = A.shape[-2:]
    empty = zeros((0,), dtype=A.dtype.to_real(), device=A.device)
    residuals = x.reshape(-1).narrow(0, 0, 0)  # empty, and on the tape where x is
    residuals = residuals.real if residuals.dtype.is_complex else residuals
    if m > n and driver != "gelsy" and (driver == "gels" or bool((whole(rank) == n).all())):
        residuals = (matmul(A, x) - right).abs().square().sum(-2)
        residuals = residuals.squeeze(-1) if vector else residuals
    s = svdvals(A.detach()) if driver in ("gelsd", "gelss") else empty
    return R.linalg_lstsq((x.squeeze(-1) if vector else x, residuals, rank, s))


@composite(at=("linalg", "torch", "Tensor"))
def matrix_power(x, n):
    "The n-th power of each square matrix, by repeated squaring; of the inverse for negative n."
    if not isinstance(n, int):
        raise TypeError("linalg_matrix_power(): argument 'n' (position 2) must be int, not "
                        f"{type(n).__name__}")
    if x.ndim < 2:
        raise RuntimeError("linalg.matrix_power: The input tensor A must have at least 2 dimensions.")
    if x.shape[-1] != x.shape[-2]:
        raise RuntimeError("linalg.matrix_power: A must be batches of square matrices, but they are "
                           f"{x.shape[-2]} by {x.shape[-1]} matrices")
    if n < 0:
        x, n = inv(x), -n
    if n == 0:
        return x.contiguous() * 0 + eye(x.shape[-1], dtype=x.dtype, device=x.device)
    out = None
    while n:
        if n & 1:
            out = x if out is None else matmul(out, x)
        n >>= 1
        if n:
            x = matmul(x, x)
    return out.clone() if out is x else out


@composite(at=("linalg", "torch", "Tensor"))
def matrix_exp(x):
    "exp of each square matrix: Taylor's series to degree 18 of x / 2^s, squared s times (2^s > 4 |x|_1)."
    _square("linalg.matrix_exp", x)
    if x.numel() == 0:
        return x.clone()
    size = float(whole(x.detach()).abs().sum(-2).amax().item())
    s = max(0, math.ceil(math.log2(size)) + 2) if size > 0 and math.isfinite(size) else 0
    y = x / 2.0**s
    one = eye(x.shape[-1], dtype=x.dtype, device=x.device)
    out = one + y / 18
    for k in range(17, 0, -1):
        out = one + matmul(y, out) / k
    for _ in range(s):
        out = matmul(out, out)
    return out


@composite(at=("linalg",))
def cond(A, p=None):
    "The condition number of each matrix in the norm p, by default 2."
    if p in (None, 2, -2):
        if not A.numel():
            return zeros(A.shape[:-2], dtype=A.dtype.to_real(), device=A.device)
        s = svdvals(A)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    _square(f"linalg.cond(ord={p})", A)
    return matrix_norm(A, p) * matrix_norm(inv(A), p)


@composite(at=("linalg",))
def vander(x, *, N=None):
    "out[..., i, j] = x[..., i]^j for j below N."
    if N is not None and N <= 1:
        raise RuntimeError("N must be greater than 1.")
    x = x if x.dtype.category >= FLOAT else x.to(int64)
    x = x if x.ndim else x.unsqueeze(0)
    n = x.shape[-1] if N is None else N
    return x.unsqueeze(-1) ** arange(n, device=x.device)


# --------------------------------------------------------------------------------------- Householder, L D L^H
@opaque(memory=(columns, None), at=())
def householder_factors(x):
    "(a, tau): R on and above the diagonal, the vectors of the reflections below it, and their factors."
    return Meta(x.shape, x.dtype), Meta(tuple(x.shape[:-2]) + (min(x.shape[-2:]),), x.dtype)


@opaque(memory=(columns, None), at=())
def indefinite_factors(x, hermitian):
    "(LD, pivots) of symmetric x = P L D L^T P^T (Bunch and Kaufman), packed in the lower triangle."
    return Meta(x.shape, x.dtype), Meta(x.shape[:-1], int32)


@opaque(memory=columns, at=())
def indefinite_solution(ld, pivots, b, hermitian):
    "X of A X = b from the packed factors of A."
    return Meta(b.shape, b.dtype)


LINALG = {"slogdet": linalg_slogdet, "cholesky": linalg_cholesky, "qr": linalg_qr, "svd": linalg_svd,
          "pinv": linalg_pinv, "LinAlgError": LinAlgError}
