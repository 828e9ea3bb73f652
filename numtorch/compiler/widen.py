"""A recording made to hold for other sizes of its arguments: traced at several, joined to one."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..dispatch import cpu
from ..layouts import contiguous, permuted, stride_order
from ..ops.create import filled
from ..tensor import Tensor
from . import sizes
from .document import dtype, load_static
from .recording import Recording

NODES = 4000  # larger graphs are not tried at sizes that nobody asked for


class Free:
    """Sizes that vary together: dimensions [(argument, dimension), …] of one name."""

    def __init__(self, name: str, at: Sequence[tuple[int, int]], least: int = 1, most: int | None = None):
        self.name, self.at, self.least, self.most = name, [list(p) for p in at], least, most


def sample(spec: dict, shape: Sequence[int] | None = None) -> Any:
    """An argument like the one that `spec` describes, of another shape: zeros."""
    if "const" in spec:
        return load_static(spec["const"])
    name, old, strides, _ = spec["tensor"]
    shape = tuple(old if shape is None else shape)
    order = stride_order(tuple(old), [tuple(strides)])
    lay = contiguous(shape) if contiguous(tuple(old)).strides == tuple(strides) else permuted(shape, order)
    return filled(shape, 0, dtype(name), cpu, lay)


def widened(trace: Callable[[list], Recording], base: Recording, free: Sequence[Free]) -> Recording:
    """The recording with these sizes free. sizes.Differs where that is not possible, or what the function
    raises at such sizes. `trace(leaves)` records it for other arguments."""
    specs = base.doc["args"]
    made: list[Recording] = []

    def at(point: tuple[int, ...]) -> Any:
        shapes = [list(s["tensor"][1]) if "tensor" in s else None for s in specs]
        for n, f in zip(point, free):
            for arg, dim in f.at:
                shapes[arg][dim] = n  # type: ignore[index]
        r = trace([sample(s, shape) for s, shape in zip(specs, shapes)])
        if made and (len(made[0].constants) != len(r.constants) or not all(
                a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
                for a, b in zip(made[0].constants, r.constants))):
            raise sizes.Differs("a constant changes")
        made.append(r)
        return r.doc
    example = [base.doc["args"][f.at[0][0]]["tensor"][1][f.at[0][1]] for f in free]
    up, down = sizes.ranges(example, [f.least for f in free], [f.most for f in free])
    try:
        doc = sizes.generalise(at, sizes.points(*up))
    except (RuntimeError, ValueError, IndexError, AssertionError):
        made.clear()
        try:
            doc = sizes.generalise(at, sizes.points(*down))
        except sizes.Differs:
            doc = None
        if doc is None:
            raise
    doc["symbols"] = [{"name": f.name, "at": f.at, "min": f.least, "max": f.most} for f in free]
    return Recording(doc, made[0].constants)


def candidates(base: Recording) -> list[Free]:
    """Sizes that may be free: first those of dimension 0 that agree, then the others."""
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for i, spec in enumerate(base.doc["args"]):
        if "tensor" in spec:
            for d, n in enumerate(spec["tensor"][1]):
                groups.setdefault((d, n), []).append((i, d))
    return [Free(f"size{k}", at) for k, (_, at) in enumerate(sorted(groups.items()))]


def everything(trace: Callable[[list], Recording], base: Recording) -> Recording:
    """The recording with as many sizes free as can be."""
    if len(base.doc["graph"]["nodes"]) > NODES:
        return base
    found: list[Free] = []
    best = base
    for f in candidates(base):
        try:
            best = widened(trace, base, [*found, f])
            found.append(f)
        except (sizes.Differs, RuntimeError, ValueError, TypeError, IndexError, NotImplementedError,
                AssertionError):
            continue
        if len(found) == 3:
            break
    return best


def tensors(leaves: Sequence[Any]) -> list[Tensor]:
    """Those of the arguments that are tensors."""
    return [v for v in leaves if isinstance(v, Tensor)]
