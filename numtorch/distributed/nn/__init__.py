"""Collectives that autograd goes through."""
from __future__ import annotations

from . import functional
from .functional import all_gather, all_reduce, broadcast, reduce_scatter

__all__ = ["all_gather", "all_reduce", "broadcast", "functional", "reduce_scatter"]
