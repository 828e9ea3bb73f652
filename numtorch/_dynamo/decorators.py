"""torch._dynamo.decorators: what marks functions and tensors."""
from __future__ import annotations

from typing import Any

__all__ = ["allow_in_graph", "assume_constant_result", "disable", "disallow_in_graph", "forbid_in_graph",
           "graph_break", "mark_dynamic", "mark_static", "mark_static_address", "mark_unbacked",
           "maybe_mark_dynamic", "set_stance"]


def __getattr__(name: str) -> Any:
    from .. import _dynamo
    if name in __all__:
        return getattr(_dynamo, name)
    raise AttributeError(f"module 'torch._dynamo.decorators' has no attribute '{name}'")
