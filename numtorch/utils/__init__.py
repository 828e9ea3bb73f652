"""Tools around training: data loading, checkpointing, hooks, TensorBoard."""
from . import checkpoint, data, hooks

__all__ = ["checkpoint", "data", "hooks"]
