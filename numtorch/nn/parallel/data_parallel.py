"""A model replicated over the devices of this process."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import Tensor, cuda, devices
from ...utils._pytree import tree_map
from ..modules.module import Module

__all__ = ["DataParallel", "data_parallel"]


def _devices(device_ids: Sequence[Any] | None) -> list[devices.device]:
    if device_ids is None:
        device_ids = range(cuda.device_count())
    found = [devices.device("cuda", d) if isinstance(d, int) else devices.device(d) for d in device_ids]
    if len(found) > 1:
        raise NotImplementedError("DataParallel splits over one device at most: numtorch has one GPU per "
                                  "process; use DistributedDataParallel with a process for each")
    return found


def _moved(x: Any, device: devices.device) -> Any:
    return tree_map(lambda t: t.to(device) if isinstance(t, Tensor) else t, x)


class DataParallel(Module):
    """module(input), on the GPU where there is one. Its parameters' names begin with `module.`."""

    def __init__(self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None,
                 dim: int = 0) -> None:
        super().__init__()
        found = _devices(device_ids) if cuda.is_available() else []
        self.module, self.dim = module, dim
        self.device_ids: list[int] = [d.index or 0 for d in found]
        self.output_device = output_device if output_device is not None else next(iter(self.device_ids), None)
        self.src_device_obj = found[0] if found else None
        if self.src_device_obj is not None:
            self.module.to(self.src_device_obj)

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        device = self.src_device_obj
        if device is None:
            return self.module(*inputs, **kwargs)
        return self.module(*_moved(inputs, device), **_moved(kwargs, device))


def data_parallel(module: Module, inputs: Any, device_ids: Sequence[Any] | None = None,
                  output_device: Any = None, dim: int = 0, module_kwargs: dict | None = None) -> Any:
    """module(*inputs), on the GPU where there is one."""
    args = inputs if isinstance(inputs, tuple) else (inputs,)
    found = _devices(device_ids) if cuda.is_available() else []
    if found:
        module.to(found[0])
        args, module_kwargs = _moved(args, found[0]), _moved(module_kwargs or {}, found[0])
    return module(*args, **module_kwargs or {})
