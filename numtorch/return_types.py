"""Named results of operations that return several tensors: `torch.max(x, 0).values`."""
from __future__ import annotations

from typing import Any


class _Result(tuple):
    __slots__ = ()
    _fields: tuple[str, ...] = ()
    n_fields = n_sequence_fields = 0
    n_unnamed_fields = 0

    def __new__(cls, *items):
        one = len(items) == 1 and isinstance(items[0], (tuple, list))
        return tuple.__new__(cls, items[0] if one else items)

    def __repr__(self) -> str:
        inside = ",\n".join(f"{n}={v!r}" for n, v in zip(self._fields, self))
        return f"torch.return_types.{type(self).__name__}(\n{inside})"

    def __reduce__(self):
        return type(self), (tuple(self),)


def _field(i: int) -> property:
    return property(lambda self: self[i])


def named(name: str, *fields: str) -> type:
    """Make the result type `torch.return_types.NAME`: a tuple of `fields` with attributes of those names.

    It is built from one iterable, as PyTorch's are."""
    n = len(fields)
    body: dict[str, Any] = {
        "__slots__": (), "_fields": fields, "__match_args__": fields, "n_fields": n, "n_sequence_fields": n,
        "__module__": __name__, "__qualname__": name, "__doc__": f"{name}({', '.join(fields)})"}
    body.update((f, _field(i)) for i, f in enumerate(fields))
    made = type(name, (_Result,), body)
    globals()[name] = made
    return made


for _name in ("max", "min", "sort", "topk", "kthvalue", "median", "nanmedian", "mode", "cummax", "cummin"):
    named(_name, "values", "indices")
named("aminmax", "min", "max")
named("frexp", "mantissa", "exponent")
named("histogram", "hist", "bin_edges")
named("linalg_eig", "eigenvalues", "eigenvectors")
named("linalg_eigh", "eigenvalues", "eigenvectors")
named("linalg_qr", "Q", "R")
named("qr", "Q", "R")
named("linalg_svd", "U", "S", "Vh")
named("svd", "U", "S", "V")
named("linalg_slogdet", "sign", "logabsdet")
named("slogdet", "sign", "logabsdet")
named("linalg_cholesky_ex", "L", "info")
named("linalg_inv_ex", "inverse", "info")
named("linalg_solve_ex", "result", "info")
named("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
named("linalg_lu", "P", "L", "U")
named("linalg_lu_factor", "LU", "pivots")
named("linalg_lu_factor_ex", "LU", "pivots", "info")
named("linalg_ldl_factor", "LD", "pivots")
named("lu_unpack", "P", "L", "U")
named("geqrf", "a", "tau")
named("triangular_solve", "solution", "cloned_coefficient")
