"""Tools around training: data loading, checkpointing, hooks, TensorBoard."""
from . import checkpoint, data, dlpack, hooks

__all__ = ["checkpoint", "data", "dlpack", "hooks"]
