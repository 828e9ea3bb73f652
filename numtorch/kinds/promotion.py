"""PyTorch's promotion kinds: from the operands' common type to (type computed in, type stored)."""
from __future__ import annotations

from collections.abc import Callable

from .. import dtypes as D

Kind = Callable[[D.dtype], tuple[D.dtype, D.dtype]]


def DEFAULT(d: D.dtype) -> tuple[D.dtype, D.dtype]:
    """Compute and store in the promoted type."""
    return d, d


def INT_TO_FLOAT(d: D.dtype) -> tuple[D.dtype, D.dtype]:
    """Integers and bools become the default floating type."""
    if d.category < D.FLOAT:
        d = D.get_default_dtype()
    return d, d


def ALWAYS_BOOL(d: D.dtype) -> tuple[D.dtype, D.dtype]:
    """Compute in the promoted type, store bool."""
    return d, D.bool


def COMPLEX_TO_FLOAT(d: D.dtype) -> tuple[D.dtype, D.dtype]:
    """Complex input gives its real type."""
    return d, d.to_real()


def BOOL_TO_LONG(d: D.dtype) -> tuple[D.dtype, D.dtype]:
    """Bools and integers give int64 (sums and products)."""
    return (d, d) if d.category >= D.FLOAT else (D.int64, D.int64)


def INTEGERS(d: D.dtype) -> tuple[D.dtype, D.dtype]:
    """Integer types only."""
    if d.category != D.INT:
        raise NotImplementedError(f"no integer type: {d}")
    return d, d


def FLOAT_ONLY(d: D.dtype) -> tuple[D.dtype, D.dtype]:
    """Floating and complex types only (mean)."""
    if d.category < D.FLOAT:
        name = {"bool": "Bool", "int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char",
                "uint8": "Byte"}
        raise RuntimeError("mean(): could not infer output dtype. Input dtype must be either a floating "
                           f"point or complex dtype. Got: {name[d.name]}")
    return d, d


