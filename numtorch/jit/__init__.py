"""torch.jit: functions and modules recorded as graphs, which run, are saved and load without their source.

`trace` records one call. `script` keeps the Python function and records each kind of call it sees. Files
written by `save` hold data only (numtorch/compiler/saved.py); PyTorch's TorchScript archives are not read."""
from __future__ import annotations

from typing import Final

from ..compiler.capture import TracerWarning
from .language import (
    Attribute,
    Error,
    ScriptWarning,
    annotate,
    export,
    fork,
    ignore,
    interface,
    is_scripting,
    is_tracing,
    isinstance,
    optimized_execution,
    script_if_tracing,
    script_method,
    set_fusion_strategy,
    strict_fusion,
    unused,
    wait,
)
from .module import (
    RecursiveScriptModule,
    ScriptFunction,
    ScriptModule,
    TopLevelTracedModule,
    TracedModule,
    freeze,
    load,
    optimize_for_inference,
    run_frozen_optimizations,
    save,
    script,
)
from .tracing import TracingCheckError, trace, trace_module

__all__ = ["Attribute", "Error", "Final", "RecursiveScriptModule", "ScriptFunction", "ScriptModule",
           "ScriptWarning", "TopLevelTracedModule", "TracedModule", "TracerWarning", "TracingCheckError",
           "annotate", "export", "fork", "freeze", "ignore", "interface", "is_scripting", "is_tracing",
           "isinstance", "load", "optimize_for_inference", "optimized_execution", "run_frozen_optimizations",
           "save", "script", "script_if_tracing", "script_method", "set_fusion_strategy", "strict_fusion",
           "trace", "trace_module", "unused", "wait"]
