"""Tools around training: data loading, checkpointing, hooks, TensorBoard."""
from . import checkpoint, data, dlpack, hooks

__all__ = ["checkpoint", "data", "dlpack", "hooks"]


def __getattr__(name: str):
    """Submodules that are not imported until used."""
    if name in ("model_zoo", "tensorboard"):
        import importlib
        return importlib.import_module("." + name, __name__)
    raise AttributeError(f"module 'torch.utils' has no attribute '{name}'")
