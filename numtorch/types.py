"""torch.types: names for annotations."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .devices import device
from .dtypes import dtype
from .layouts import Size

Number = int | float | bool
Device = device | str | int | None
Storage = Any
_dtype, _size, _device = dtype, Size | list[int] | tuple[int, ...], device
_TensorOrTensors = Any
_int, _float, _bool = int, float, bool
FileLike = Any
_TensorOrSequence = Sequence[Any]
