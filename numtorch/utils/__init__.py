"""Tools around training: data loading, checkpointing, hooks, TensorBoard."""
from . import data, hooks

__all__ = ["data", "hooks"]
