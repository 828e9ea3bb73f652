"""The processes of a job as a grid, with a group along each of its lines."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import Tensor, tensor
from . import distributed_c10d as c10d

__all__ = ["DeviceMesh", "init_device_mesh"]


class DeviceMesh:
    """Global process numbers in a grid; `mesh` holds them. mesh["name"] is the line (or plane) through this
    process along the dimensions of that name."""

    def __init__(self, device_type: str, mesh: Any, *, mesh_dim_names: tuple[str, ...] | None = None,
                 _groups: list | None = None) -> None:
        self.device_type, self.mesh_dim_names = device_type, mesh_dim_names
        self.mesh: Tensor = mesh if isinstance(mesh, Tensor) else tensor(mesh)
        if not c10d.is_initialized():
            c10d.init_process_group(c10d.get_default_backend_for_device(device_type))
        found = (self.mesh == c10d.get_rank()).nonzero().tolist()
        self._coordinate: list[int] | None = found[0] if found else None
        self._groups = self._make_groups() if _groups is None else _groups

    def _make_groups(self) -> list:
        """One group along each dimension: all processes make all of them, in one order."""
        mine = []
        for dim in range(self.mesh.dim()):
            lines = self.mesh.movedim(dim, -1).reshape(-1, self.mesh.shape[dim]).tolist()
            mine.append(c10d.new_subgroups_by_enumeration(lines)[0])
        return mine

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.mesh.shape)

    @property
    def ndim(self) -> int:
        return self.mesh.dim()

    def size(self, mesh_dim: int | None = None) -> int:
        """How many processes there are, in all or along a dimension."""
        return self.mesh.numel() if mesh_dim is None else self.mesh.shape[mesh_dim]

    def _dim(self, dim: int | str | None, what: str) -> int:
        if dim is None:
            if self.ndim > 1:
                raise RuntimeError(f"Found the DeviceMesh have {self.ndim} dimensions. Optional kwarg "
                                   f"`mesh_dim` needs to be specified when device_mesh.ndim > 1.{what}")
            return 0
        if isinstance(dim, str):
            if self.mesh_dim_names is None or dim not in self.mesh_dim_names:
                raise KeyError(f"Invalid mesh_dim_name {dim}: the mesh has {self.mesh_dim_names}")
            return self.mesh_dim_names.index(dim)
        return dim

    def get_group(self, mesh_dim: int | str | None = None) -> Any:
        """The group of the line through this process along a dimension."""
        return self._groups[self._dim(mesh_dim, "")]

    def get_all_groups(self) -> list:
        """The groups of all dimensions."""
        return list(self._groups)

    def get_rank(self) -> int:
        """This process's global number."""
        return c10d.get_rank()

    def get_local_rank(self, mesh_dim: int | str | None = None) -> int:
        """This process's place along a dimension."""
        return c10d.get_rank(self.get_group(mesh_dim))

    def get_coordinate(self) -> list[int] | None:
        """This process's place along every dimension; None outside the mesh."""
        return self._coordinate

    def __getitem__(self, names: str | Sequence[str]) -> DeviceMesh:
        wanted = (names,) if isinstance(names, str) else tuple(names)
        dims = [self._dim(n, "") for n in wanted]
        if self._coordinate is None:
            raise RuntimeError("this process is not part of the mesh")
        index: tuple = tuple(slice(None) if d in dims else self._coordinate[d] for d in range(self.ndim))
        order = sorted(range(len(dims)), key=dims.__getitem__)
        part = self.mesh[index].permute([order.index(i) for i in range(len(dims))])
        return DeviceMesh(self.device_type, part, mesh_dim_names=wanted,
                          _groups=[self._groups[d] for d in dims])

    def __repr__(self) -> str:
        names = f", mesh_dim_names={self.mesh_dim_names}" if self.mesh_dim_names else ""
        return f"DeviceMesh('{self.device_type}', {self.mesh.tolist()}{names})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DeviceMesh) and self.device_type == other.device_type and (
            self.mesh.tolist() == other.mesh.tolist() and self.mesh_dim_names == other.mesh_dim_names)

    def __hash__(self) -> int:
        return hash((self.device_type, str(self.mesh.tolist()), self.mesh_dim_names))


def init_device_mesh(device_type: str, mesh_shape: Sequence[int], *,
                     mesh_dim_names: Sequence[str] | None = None) -> DeviceMesh:
    """The processes 0, 1, … of the job in a grid of `mesh_shape`; joins the job if that was not done."""
    shape = tuple(mesh_shape)
    if mesh_dim_names is not None:
        if len(set(mesh_dim_names)) != len(mesh_dim_names):
            raise RuntimeError("Each mesh_dim_name must be unique.")
        if len(shape) != len(mesh_dim_names):
            raise RuntimeError("mesh_shape and mesh_dim_names should have same length!")
    if not c10d.is_initialized():
        c10d.init_process_group(c10d.get_default_backend_for_device(device_type))
    n = math.prod(shape)
    if n > c10d.get_world_size():
        raise RuntimeError(f"Mesh should not be bigger than default world size {c10d.get_world_size()}, but "
                           f"found {n} ranks!")
    return DeviceMesh(device_type, tensor(range(n)).view(shape),
                      mesh_dim_names=None if mesh_dim_names is None else tuple(mesh_dim_names))
