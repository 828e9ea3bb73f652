"""One model on several devices or in several processes."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .data_parallel import DataParallel, data_parallel, parallel_apply, replicate
from .scatter_gather import gather, scatter

if TYPE_CHECKING:
    from .distributed import DistributedDataParallel as DistributedDataParallel


def __getattr__(name: str) -> Any:
    """What needs numtorch.distributed, imported when first asked for."""
    if name not in ("DistributedDataParallel", "distributed"):
        raise AttributeError(f"module 'torch.nn.parallel' has no attribute '{name}'")
    import importlib
    module = importlib.import_module(".distributed", __name__)
    return module if name == "distributed" else module.DistributedDataParallel


__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel", "gather", "parallel_apply",
           "replicate", "scatter"]
