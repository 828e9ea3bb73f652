"""Factorisations and solvers on the CPU: NumPy's LAPACK over batches, SciPy's where NumPy has none."""

import math

import numpy as np


class LinAlgError(RuntimeError):
    "A matrix that an algorithm cannot work with: singular, or not positive-definite."


LinAlgError.__name__ = LinAlgError.__qualname__ = "_LinAlgError"


def _batches(x):
    "The matrices of a batch one by one, with where they stand in the message: '' or '(Batch element 1): '."
    if x.ndim == 2:
        return [("", x)]
    return [(f"(Batch element {i}): ", m) for i, m in enumerate(x.reshape((-1,) + x.shape[-2:]))]


def _zero_pivot(m):
    "The number, from 1, of the first zero on the diagonal of U in m = P L U; 0 if there is none."
    from scipy.linalg.lapack import get_lapack_funcs
    (factor,) = get_lapack_funcs(("getrf",), (m,))
    return int(factor(m)[2])


def invert(out, x):
    try:
        out[...] = np.linalg.inv(x)
    except np.linalg.LinAlgError:
        for where, m in _batches(x):
            n = _zero_pivot(m)
            if n:
                raise LinAlgError(f"linalg.inv: {where}The diagonal element {n} is zero, the inversion could "
                                  "not be "
                                  "completed because the input matrix is singular.") from None
        raise


def solve_matrix(out, a, b):
    try:
        out[...] = np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        where = next((w for w, m in _batches(a) if _zero_pivot(m)), "")
        raise LinAlgError(f"torch.linalg.solve: {where}The solver failed because the input matrix is "
                          "singular.") from None


def sign_and_log(sign, log, x):
    got = np.linalg.slogdet(x)
    sign[...], log[...] = got


def determinant(out, x):
    out[...] = np.linalg.det(x)


def lower_factor(out, x):
    try:
        out[...] = np.linalg.cholesky(x)
    except np.linalg.LinAlgError:
        from scipy.linalg.lapack import get_lapack_funcs
        for where, m in _batches(x):
            (factor,) = get_lapack_funcs(("potrf",), (m,))
            n = int(factor(m, lower=True)[1])
            if n:
                raise LinAlgError(f"linalg.cholesky: {where}The factorization could not be completed because "
                                  "the "
                                  f"input is not positive-definite (the leading minor of order {n} is not "
                                  "positive-definite).") from None
        raise


def orthogonal_factor(q, r, x, complete):
    got = np.linalg.qr(x, "complete" if complete else "reduced")
    q[...], r[...] = got


def singular_values(u, s, vh, x, full):
    got = np.linalg.svd(x, full_matrices=full)
    u[...], s[...], vh[...] = got


def symmetric_pairs(values, vectors, x, upper):
    got = np.linalg.eigh(x, "U" if upper else "L")
    values[...], vectors[...] = got


def general_pairs(values, vectors, x):
    got = np.linalg.eig(x)
    values[...], vectors[...] = got


def triangular_solution(out, a, b, upper, unitriangular):
    from scipy.linalg.blas import get_blas_funcs
    (solve,) = get_blas_funcs(("trsm",), (a, b))  # divides by zeros, where LAPACK's trtrs refuses
    batch = out.shape[:-2]
    count = math.prod(batch)
    left = np.broadcast_to(a, batch + a.shape[-2:]).reshape((count,) + a.shape[-2:])
    right = np.broadcast_to(b, batch + b.shape[-2:]).reshape((count,) + b.shape[-2:])
    to = out.reshape((count,) + out.shape[-2:])
    for i in range(len(to)):
        if to[i].size:
            to[i] = solve(1.0, left[i], right[i], lower=not upper, diag=unitriangular)


def packed_factors(lu, pivots, x):
    from scipy.linalg.lapack import get_lapack_funcs
    (factor,) = get_lapack_funcs(("getrf",), (x,))
    for i in np.ndindex(x.shape[:-2]):
        if x[i].size:
            lu[i], pivots[i], _ = factor(x[i])
    pivots += 1


def row_order(order, pivots, m):
    "The row of the matrix that each row of L U is, from exchanges counted from 1."
    for i in np.ndindex(order.shape[:-1]):
        rows = np.arange(m)
        for a, b in enumerate(pivots[i] - 1):
            rows[[a, b]] = rows[[b, a]]
        order[i] = rows


def householder_factors(a, tau, x):
    "LAPACK's geqrf: R, and below it the vectors of the reflections whose factors are tau."
    from scipy.linalg.lapack import get_lapack_funcs
    (factor,) = get_lapack_funcs(("geqrf",), (x,))
    for i in np.ndindex(x.shape[:-2]):
        if x[i].size:
            a[i], tau[i] = factor(x[i])[:2]


def _symmetric(name, hermitian, x):
    from scipy.linalg.lapack import get_lapack_funcs
    (f,) = get_lapack_funcs((("he" if hermitian and x.dtype.kind == "c" else "sy") + name,), (x,))
    return f


def indefinite_factors(ld, pivots, x, hermitian):
    "LAPACK's sytrf (hetrf): L and the blocks of D in the lower triangle, exchanges counted from 1."
    for i in np.ndindex(x.shape[:-2]):
        if x[i].size:
            packed, pivots[i], _ = _symmetric("trf", hermitian, x)(x[i], lower=1)
            ld[i] = np.tril(packed)


def indefinite_solution(out, ld, pivots, b, hermitian):
    "LAPACK's sytrs (hetrs): X of A X = B from the factors of A."
    for i in np.ndindex(out.shape[:-2]):
        if out[i].size:
            out[i] = _symmetric("trs", hermitian, ld)(ld[i], pivots[i], b[i], lower=1)[0]
