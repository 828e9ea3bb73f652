"""torch.jit.trace: one call recorded."""
from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..autograd.modes import no_grad
from ..compiler import capture
from ..compiler.recording import Recording
from ..nn import Module
from ..random import fork_rng
from ..tensor import Tensor
from ..utils._pytree import tree_flatten
from .language import doing
from .module import Method, ScriptFunction, ScriptModule, TopLevelTracedModule, members


class TracingCheckError(Exception):
    """A traced function gave another graph when it was traced again."""

    def __init__(self, graph_diff_error: str | None, tensor_compare_error: str | None,
                 extra_msg: str | None = None):
        self.message = "Tracing failed sanity checks!\n" + "\n".join(
            [m for m in (extra_msg, graph_diff_error, tensor_compare_error) if m])
        super().__init__(self.message)


@contextlib.contextmanager
def modes_as(module: Module, modes: Mapping[str, bool]) -> Iterator[None]:
    """The module with the training flags that it had."""
    parts = dict(module.named_modules())
    before = {n: m.training for n, m in parts.items()}
    try:
        for n, m in parts.items():
            m.__dict__["training"] = modes.get(n, m.training)
        yield
    finally:
        for n, m in parts.items():
            m.__dict__["training"] = before[n]


def _inputs(example: Any) -> tuple:
    """The positional arguments that example inputs mean."""
    if isinstance(example, Tensor | dict):
        return (example,)
    return tuple(example) if isinstance(example, list | tuple) else (example,)


def trace(func: Any, example_inputs: Any = None, optimize: Any = None, check_trace: bool = True,
          check_inputs: Any = None, check_tolerance: float = 1e-5, strict: bool = True,
          _force_outplace: bool = False, _module_class: Any = None, _compilation_unit: Any = None,
          example_kwarg_inputs: Any = None, _store_inputs: bool = True) -> Any:
    """A module or function that runs what func did for `example_inputs`: operations, not the Python around
    them.

    TracerWarning where Python used the value of a tensor; the trace then holds what it did with that value.
    `check_trace`: trace again and compare, and compare results with those of Python; `check_inputs`: further
    arguments to compare at. Where sizes allow, the trace serves other ones than those of the example."""
    if example_inputs is None and example_kwarg_inputs is None:
        raise RuntimeError("example_kwarg_inputs should be a dict" if example_kwarg_inputs is not None else
                           "trace() needs example_inputs")
    if isinstance(func, ScriptModule | ScriptFunction):
        warnings.warn("The input to trace is already a ScriptModule, tracing it is a no-op. Returning the "
                      "object "
                      "as is.", stacklevel=2)
        return func
    args = _inputs(example_inputs) if example_inputs is not None else ()
    kwargs = dict(example_kwarg_inputs or {})
    if isinstance(func, Module):
        return _module(func, {"forward": (args, kwargs)}, check_trace, check_inputs, check_tolerance)
    owner = getattr(func, "__self__", None)
    if isinstance(owner, Module) and func.__name__ == "forward":
        return _module(owner, {"forward": (args, kwargs)}, check_trace, check_inputs, check_tolerance)
    if not callable(func):
        raise RuntimeError(f"torch.jit.trace: expected a function or a module, got {type(func).__name__}")
    own = owner if isinstance(owner, Module) else None
    method = Method(getattr(func, "__name__", "function"), func, (),
                    lambda: {} if own is None else members(own))
    method.recordings.append(method.record(args, kwargs))
    if check_trace:
        _check(method, args, kwargs, check_inputs, check_tolerance, own)
    return ScriptFunction(method)


def trace_module(mod: Module, inputs: Mapping[str, Any], optimize: Any = None, check_trace: bool = True,
                 check_inputs: Any = None, check_tolerance: float = 1e-5, strict: bool = True,
                 _force_outplace: bool = False, _module_class: Any = None, _compilation_unit: Any = None,
                 example_inputs_is_kwarg: bool = False, _store_inputs: bool = True) -> Any:
    """Trace several methods of a module: `inputs` has the arguments of each."""
    if not isinstance(mod, Module):
        raise AttributeError("expected torch.nn.Module as the first argument")
    if not isinstance(inputs, dict):
        raise AttributeError("expected a dictionary of (method_name, input) pairs")
    calls = {n: ((), dict(v)) if example_inputs_is_kwarg else (_inputs(v), {}) for n, v in inputs.items()}
    return _module(mod, calls, check_trace, check_inputs, check_tolerance)


def _module(mod: Module, calls: Mapping[str, tuple], check: bool, check_inputs: Any, tolerance: float) -> Any:
    made = TopLevelTracedModule._around(mod)
    modes = {n: m.training for n, m in mod.named_modules()}

    def as_traced(fn: Callable) -> Callable:
        def call(*args: Any, **kwargs: Any) -> Any:
            with modes_as(mod, modes):
                return fn(*args, **kwargs)
        return call
    for name, (args, kwargs) in calls.items():
        fn = as_traced(mod.__call__ if name == "forward" else getattr(mod, name))
        method = Method(name, fn, (), made._tensors)
        method.recordings.append(method.record(args, kwargs))
        made.__dict__["_methods"][name] = method
        if check:
            _check(method, args, kwargs, check_inputs if name == "forward" else None, tolerance, mod)
    return made


# ---------------------------------------------------------------------------------------------- checks
def _check(method: Method, args: tuple, kwargs: dict, further: Any, tolerance: float,
           module: Module | None) -> None:
    """Compare the recording with another one, and its results with Python's."""
    recording, reads = method.recordings[0], method.reads
    before = method.on_read
    method.on_read = lambda read: None
    try:
        again = method.record(args, kwargs)
    finally:
        method.on_read, method.reads = before, reads
    difference = _difference(recording, again)
    if difference:
        raise TracingCheckError(difference, None, "ERROR: Graphs differed across invocations of "
                                                  f"{method.name}")
    if any(n.extra == ("effect",) for n in recording.graph.nodes):
        warnings.warn("Trace had nondeterministic nodes. Did you forget call .eval() on your model? "
                      "Nodes:\n\t" +
                      "\n\t".join([repr(n) for n in recording.graph.nodes if n.extra == ("effect",)][:10]) +
                      "\nThis may cause errors in trace checking. To disable trace checking, pass "
                      "check_trace=False to "
                      "torch.jit.trace()", capture.TracerWarning, stacklevel=4)
        return
    for call in [(args, kwargs), *[(_inputs(i), {}) for i in further or ()]]:
        with _as_before(module), fork_rng(), no_grad(), doing(tracing=True):
            want = method.fn(*_copies(call[0]), **_copies(call[1]))  # type: ignore[misc]
        with _as_before(module), no_grad():
            got = method(*_copies(call[0]), **_copies(call[1]))
        for i, (a, b) in enumerate(zip(tree_flatten(want)[0], tree_flatten(got)[0])):
            if isinstance(a, Tensor) and not _close(a, b, tolerance):
                warnings.warn(f"Output nr {i + 1}. of the traced function does not match the corresponding "
                              "output of "
                              "the Python function.", capture.TracerWarning, stacklevel=4)


def _close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    from ..testing import assert_close
    try:
        assert_close(a, b, rtol=tolerance, atol=1e-5, equal_nan=True)
    except AssertionError:
        return False
    return True


def _copies(x: Any) -> Any:
    from ..utils._pytree import tree_map
    return tree_map(lambda v: v.detach().clone() if isinstance(v, Tensor) else v, x)


@contextlib.contextmanager
def _as_before(module: Module | None) -> Iterator[None]:
    """Put buffers back that a run of the module writes to."""
    buffers = [] if module is None else [(b, b.detach().clone()) for b in module.buffers()]
    try:
        yield
    finally:
        with no_grad():
            for b, old in buffers:
                if not b.equal(old):
                    b.copy_(old)


def _difference(a: Recording, b: Recording) -> str:
    """Where two recordings differ; empty where they do not."""
    x, y = a.doc["graph"], b.doc["graph"]
    for i, (n, m) in enumerate(zip(x["nodes"], y["nodes"])):
        if n != m:
            return f"\tnode {i} was {a.graph.nodes[i]!r} and is {b.graph.nodes[i]!r} now"
    if x != y or a.doc["inputs"] != b.doc["inputs"]:
        return f"\t{len(x['nodes'])} nodes were recorded first, {len(y['nodes'])} then"
    return ""
