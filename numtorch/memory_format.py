"""Memory formats and tensor layouts, by PyTorch's names."""
from __future__ import annotations


class memory_format:
    """An order of the dimensions in memory."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return "torch." + self.name

    def __reduce__(self):
        return self.name


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")


class layout(memory_format):
    """How elements are stored; numtorch has only `strided`."""

    __slots__ = ()


strided = layout("strided")
sparse_coo = layout("sparse_coo")
