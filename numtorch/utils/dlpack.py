"""DLPack: memory shared with other array libraries."""
from ..ops.create import from_dlpack, to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
