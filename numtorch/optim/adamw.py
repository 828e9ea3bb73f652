"""AdamW under PyTorch's module path; see adam.py."""
from .adam import AdamW

__all__ = ["AdamW"]
