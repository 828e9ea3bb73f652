"""torch._dynamo.decorators: what marks functions and tensors."""
from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    from .. import _dynamo
    if name.startswith("mark_") or name in ("allow_in_graph", "assume_constant_result", "disable",
                                            "disallow_in_graph", "forbid_in_graph", "graph_break",
                                            "maybe_mark_dynamic", "set_stance"):
        return getattr(_dynamo, name)
    raise AttributeError(f"module 'torch._dynamo.decorators' has no attribute '{name}'")
