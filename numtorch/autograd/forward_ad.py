"""torch.autograd.forward_ad: dual numbers, a primal value with a tangent.

A dual tensor is a variable of the tape; unpack_dual differentiates what was computed from it by the
transposed vjp (numtorch/func/derivatives.py): each unpacking costs two backward passes. Inside a level dual
tensors and what is computed from them count as requiring grad, and no_grad cuts tangents off."""
from __future__ import annotations

import threading
from typing import Any, NamedTuple

from ..dtypes import FLOAT
from ..tensor import Tensor
from .engine import Node
from .modes import enable_grad, state


class UnpackedDualTensor(NamedTuple):
    """What unpack_dual returns."""

    primal: Tensor
    tangent: Tensor | None


class _Level(threading.local):
    """The level the thread is in: the nodes of its dual tensors with primals and tangents; None outside."""

    duals: list[tuple[Node, Tensor, Tensor]] | None = None


_level = _Level()


def enter_dual_level() -> int:
    """Enter a level; its number, 0. RuntimeError inside another one."""
    if _level.duals is not None:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _level.duals = []
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """Leave the level: its tangents are forgotten."""
    if _level.duals is None:
        raise RuntimeError("Dual level must be a positive number.")
    _level.duals = None


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """`tensor` with the derivative `tangent` attached."""
    from ..func.derivatives import check_tangent, variable
    if _level.duals is None:
        raise RuntimeError("Trying to create a dual Tensor for forward AD but no level exists, make sure to "
                           "enter_dual_level() first.")
    for name, t in (("primal", tensor), ("tangent", tangent)):
        if t.dtype.category < FLOAT:
            raise ValueError(f"Expected {name} to be floating point or complex, but got: {t.dtype}")
    check_tangent(tensor, tangent)
    with enable_grad():
        dual = variable(tensor, state.grad)
    _level.duals.append((dual._node, tensor, tangent))
    return dual


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """(the value, its derivative along the tangents, None where there is none)."""
    from ..func.derivatives import along
    duals = _level.duals
    if not duals or not isinstance(tensor, Tensor) or not tensor._requires:
        return UnpackedDualTensor(tensor, None)
    found: Any = along(tensor, [d[0] for d in duals], [d[1] for d in duals], [d[2] for d in duals])
    return UnpackedDualTensor(*found)


class dual_level:
    """A context in which dual tensors can be made."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exc) -> None:
        exit_dual_level()
