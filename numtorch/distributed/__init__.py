"""Processes that work on one job: PyTorch's torch.distributed over MPI (mpi4py, the extra `mpi`) or TCP."""
from __future__ import annotations

from .device_mesh import DeviceMesh, init_device_mesh
from .distributed_c10d import *  # noqa: F403
from .distributed_c10d import (
    __all__ as _names,
)
from .distributed_c10d import (
    _all_gather_base as _all_gather_base,
)
from .distributed_c10d import (
    _get_default_group as _get_default_group,
)
from .distributed_c10d import (
    _reduce_scatter_base as _reduce_scatter_base,
)

reduce_op = ReduceOp  # noqa: F405 - PyTorch's older name
DistError = DistBackendError = DistNetworkError = DistStoreError = RuntimeError

__all__ = [*_names, "DeviceMesh", "DistBackendError", "DistError", "DistNetworkError",  # noqa: F405
           "DistStoreError", "init_device_mesh", "reduce_op"]
