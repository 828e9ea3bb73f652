"""The memory format of convolutions' weights."""
from __future__ import annotations

from typing import Any

from ..modules import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d, Module


def _convert(module: Module, memory_format: Any, kinds: tuple[type, ...]) -> Module:
    for m in module.modules():
        if isinstance(m, kinds):
            m.weight.data = m.weight.detach().clone().contiguous(memory_format=memory_format)
    return module


def convert_conv2d_weight_memory_format(module: Module, memory_format: Any) -> Module:
    """Lay the weights of all 2-d convolutions of a module out in `memory_format`."""
    return _convert(module, memory_format, (Conv2d, ConvTranspose2d))


def convert_conv3d_weight_memory_format(module: Module, memory_format: Any) -> Module:
    """Lay the weights of all 3-d convolutions of a module out in `memory_format`."""
    return _convert(module, memory_format, (Conv3d, ConvTranspose3d))
