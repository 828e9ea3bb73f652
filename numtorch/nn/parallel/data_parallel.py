"""A model replicated over the devices of this process."""
from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from ... import cuda, devices
from ...autograd.modes import state
from ..modules.module import Module
from .scatter_gather import as_device, gather, scatter_kwargs

__all__ = ["DataParallel", "data_parallel", "parallel_apply", "replicate"]


def replicate(network: Module, devices: Sequence[Any], detach: bool = False) -> list[Module]:
    """A copy of a module on each device. Their parameters are the module's, copied by operations that
    autograd goes back through; nothing is copied on the device that has them."""
    copies = []
    for d in map(as_device, devices):
        memo: dict[int, Module] = {}
        for module in network.modules():
            twin = memo[id(module)] = object.__new__(type(module))
            twin.__dict__.update(module.__dict__)
            parameters: dict[str, Any] = {
                name: p if p is None else p.detach().to(d) if detach else p.to(d)
                for name, p in module._parameters.items()}  # on another device no leaves, so not registered
            twin.__dict__.update(_parameters=parameters, _buffers=dict(module._buffers),
                                 _modules=dict(module._modules))
            for name, b in module._buffers.items():
                twin._buffers[name] = b if b is None else b.to(d)
        for twin in memo.values():
            for name, child in twin._modules.items():
                twin._modules[name] = child if child is None else memo[id(child)]
        copies.append(memo[id(network)])
    return copies


def parallel_apply(modules: Sequence[Module], inputs: Sequence[Any], kwargs_tup: Sequence[dict] | None = None,
                   devices: Sequence[Any] | None = None) -> list[Any]:
    """modules[i](*inputs[i], **kwargs_tup[i]), each on a thread of its own. The first error is raised."""
    named = kwargs_tup or [{}] * len(modules)
    results: list[Any] = [None] * len(modules)
    errors: list[BaseException | None] = [None] * len(modules)
    grad = state.grad

    def run(i: int) -> None:
        state.grad = grad
        x = inputs[i] if isinstance(inputs[i], list | tuple) else (inputs[i],)
        try:
            results[i] = modules[i](*x, **named[i])
        except BaseException as e:
            errors[i] = e

    threads = [threading.Thread(target=run, args=(i,)) for i in range(1, len(modules))]
    for t in threads:
        t.start()
    run(0)
    for t in threads:
        t.join()
    for e in errors:
        if e is not None:
            raise e
    return results


def data_parallel(module: Module, inputs: Any, device_ids: Sequence[Any] | None = None,
                  output_device: Any = None, dim: int = 0, module_kwargs: dict | None = None) -> Any:
    """module(*inputs): the batch cut along `dim` over the devices (None: all GPUs), the results joined on
    output_device (None: the first)."""
    args = inputs if isinstance(inputs, tuple) else (inputs,)
    if device_ids is None:
        device_ids = range(cuda.device_count())
    to = [as_device(d) for d in device_ids]
    if not to:
        return module(*args, **module_kwargs or {})
    xs, named = scatter_kwargs(args, module_kwargs, to, dim)
    if not xs:  # no arguments at all
        xs, named = ((),), ({},)
    if len(to) == 1:
        return module(*xs[0], **named[0])
    used = to[:len(xs)]
    outputs = parallel_apply(replicate(module, used), xs, named, used)
    return gather(outputs, to[0] if output_device is None else output_device, dim)


class DataParallel(Module):
    """module(input) with the batch cut along `dim` over the GPUs of this process; without a GPU,
    module(input). The parameters' names begin with `module.`."""

    def __init__(self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None,
                 dim: int = 0) -> None:
        super().__init__()
        self.module, self.dim = module, dim
        found = list(range(cuda.device_count()) if device_ids is None else device_ids)
        found = [as_device(d) for d in found] if cuda.is_available() else []
        self.device_ids: list[int] = [d.index or 0 for d in found]
        self.output_device = output_device if output_device is not None else next(iter(self.device_ids), None)
        self.src_device_obj: devices.device | None = found[0] if found else None
        if self.src_device_obj is not None:
            self.module.to(self.src_device_obj)

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        if self.src_device_obj is None:
            return self.module(*inputs, **kwargs)
        return data_parallel(self.module, inputs, self.device_ids, self.output_device, self.dim, kwargs)
