"""torch.export: a whole function or model as one graph, saved and loaded without its source.

The module itself is callable: `numtorch.export(f, args)` is `numtorch.export.export(f, args)`."""
from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .compiler import capture, sizes, widen
from .compiler import saved as _files
from .compiler.document import rebuilt
from .compiler.recording import Recording, record
from .jit.language import doing
from .jit.module import RecursiveScriptModule, built, members, text
from .nn import Module
from .tensor import Tensor

__all__ = ["Dim", "ExportGraphSignature", "ExportedProgram", "dims", "draft_export", "export",
           "export_for_training",
           "load", "save"]


class Dim:
    """A size that may vary: dynamic_shapes={"x": {0: Dim("batch")}}. Dimensions given one Dim are equal.

    Dim.AUTO and Dim.DYNAMIC: a size of its own; AUTO only where it can vary. Dim.STATIC: one that may not."""

    AUTO: Any
    DYNAMIC: Any
    STATIC: Any

    def __init__(self, name: str, *, min: int | None = None, max: int | None = None):
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"Dim() needs a name that is an identifier, got {name!r}")
        self.__name__, self.min, self.max = name, 1 if min is None else min, max
        if self.min < 1:
            raise ValueError(f"Dim({name!r}): sizes begin at 1, got min={min}")
        if max is not None and max < self.min:
            raise AssertionError(f"Cannot create Dim with inconsistent min={min}, max={max}")

    def __repr__(self) -> str:
        return f"Dim({self.__name__!r}, min={self.min}, max={self.max})"


Dim.AUTO, Dim.DYNAMIC, Dim.STATIC = Dim("AUTO"), Dim("DYNAMIC"), Dim("STATIC")


def dims(*names: str, min: int | None = None, max: int | None = None) -> tuple[Dim, ...]:
    """Several Dims."""
    return tuple([Dim(n, min=min, max=max) for n in names])


class ExportGraphSignature:
    """What the graph reads and gives: parameters, buffers, arguments, results, buffers written."""

    def __init__(self, program: ExportedProgram):
        r = program.recording
        self.parameters = [n for n in r.states() if n in program._parameters]
        self.buffers = [n for n in r.states() if n not in program._parameters]
        self.user_inputs = [f"x{i}" for i, a in enumerate(r.doc["args"]) if "tensor" in a]
        self.user_outputs = [f"out{i}" for i in range(len(r.doc["results"]))]
        self.buffers_to_mutate = {f"out{o}": r.doc["inputs"][i]["state"] for i, o in r.doc["writes"]
                                  if "state" in r.doc["inputs"][i]}

    def __repr__(self) -> str:
        return f"ExportGraphSignature({', '.join(f'{k}={v}' for k, v in vars(self).items())})"


class ExportedProgram:
    """A graph with the tensors it owns."""

    def __init__(self, module: RecursiveScriptModule, recording: Recording):
        self._module, self.recording = module, recording

    @property
    def _parameters(self) -> dict[str, Tensor]:
        return dict(self._module.named_parameters(remove_duplicate=False))

    def module(self) -> Any:
        """The program as a module: callable, with parameters to move or train."""
        return self._module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._module(*args, **kwargs)

    @property
    def graph(self) -> Any:
        return self.recording.graph

    @property
    def graph_module(self) -> Any:
        return self._module

    @property
    def graph_signature(self) -> ExportGraphSignature:
        return ExportGraphSignature(self)

    @property
    def code(self) -> str:
        """The program as text."""
        return text([self.recording])

    @property
    def state_dict(self) -> dict[str, Tensor]:
        return dict(self._module.state_dict())

    @property
    def constants(self) -> dict[str, Any]:
        return {f"c{i}": a for i, a in enumerate(self.recording.constants)}

    @property
    def range_constraints(self) -> dict[str, tuple]:
        """(least, most) of the sizes that may vary."""
        return {s["name"]: (s["min"], s["max"]) for s in self.recording.doc["symbols"]}

    def parameters(self) -> Any:
        return self._module.parameters()

    def named_parameters(self) -> Any:
        return self._module.named_parameters()

    def buffers(self) -> Any:
        return self._module.buffers()

    def named_buffers(self) -> Any:
        return self._module.named_buffers()

    def run_decompositions(self, decomp_table: Any = None, **kwargs: Any) -> ExportedProgram:
        """The program: its operations are primitives already."""
        return self

    def save(self, f: Any, extra_files: Mapping[str, Any] | None = None) -> None:
        """Write it to a path or a file object."""
        save(self, f, extra_files=extra_files)

    def __repr__(self) -> str:
        return f"ExportedProgram:\n{self.code}"


def export(mod: Any, args: Any, kwargs: Mapping[str, Any] | None = None, *, dynamic_shapes: Any = None,
           strict: bool = False, preserve_module_call_signature: Any = (),
           prefer_deferred_runtime_asserts_over_guards: bool = False) -> ExportedProgram:
    """Record mod(*args, **kwargs), a module or a function, as an ExportedProgram.

    Sizes are fixed unless `dynamic_shapes` frees them: a dict by argument name, or a tuple in their order, of
    {dimension: Dim} or lists of Dims. RuntimeError where Python uses the value of a tensor, naming the line,
    and where a size that is to vary cannot."""
    if isinstance(args, Tensor):
        args = (args,)
    if not isinstance(args, tuple | list):
        raise TypeError(f"Expecting `args` to be a tuple of example positional inputs, got {type(args)}")
    if not callable(mod):
        raise TypeError(f"export: expected a module or a function, got {type(mod).__name__}")
    args, kwargs = tuple(args), dict(kwargs or {})
    state = members(mod) if isinstance(mod, Module) else {}

    def trace(positional: tuple, named: Mapping[str, Any]) -> Recording:
        with doing(tracing=True):
            return record(mod, positional, named, state, capture.refuse)
    r = trace(args, kwargs)
    free, maybe = _free(mod, args, kwargs, dynamic_shapes)

    def again(leaves: list) -> Recording:
        positional, named = rebuilt(r.doc["call"], lambda i: leaves[i])
        return trace(tuple(positional), named)
    if free:
        try:
            r = widen.widened(again, r, free)
        except sizes.Differs as e:
            raise RuntimeError(f"{', '.join(f.name for f in free)} cannot vary: {e}") from None
    for f in maybe:
        try:
            r = widen.widened(again, r, [*free, f])
            free.append(f)
        except (sizes.Differs, RuntimeError, ValueError, TypeError, IndexError, NotImplementedError):
            continue
    own = dict(mod.named_parameters(remove_duplicate=False)) if isinstance(mod, Module) else {}
    states = [(n, "parameter" if n in own else "buffer", t) for n, t in state.items()]
    return _program(mod, r, states)


def _program(mod: Any, r: Recording, states: Sequence[tuple]) -> ExportedProgram:
    kept = set(mod.state_dict(keep_vars=True)) if isinstance(mod, Module) else set()
    with_kind = [(n, k, t, n in kept, t.requires_grad) for n, k, t in states]
    parts = [[n, type(m).__name__, m.training] for n, m in mod.named_modules(remove_duplicate=False)] \
        if isinstance(mod, Module) else [["", getattr(mod, "__name__", type(mod).__name__), False]]
    module = built(_files.Saved({"forward": [r]}, [(n, k, t.detach().clone() if k == "buffer" else t.detach(),
                                                    s, g)
                                                   for n, k, t, s, g in with_kind], {"modules": parts}))
    for n, k, t in states:  # parameters are shared with the model, as a state_dict's are
        if k == "parameter":
            path, _, last = n.rpartition(".")
            module.get_submodule(path)._parameters[last] = t
    return ExportedProgram(module, r)


def _free(mod: Any, args: tuple, kwargs: dict, shapes: Any) -> tuple[list[widen.Free], list[widen.Free]]:
    """Sizes that are to vary, and those that may."""
    if shapes is None:
        return [], []
    import inspect
    specs: list[Any] = []
    if isinstance(shapes, Mapping):
        fn = mod.forward if isinstance(mod, Module) else mod
        names = list(inspect.signature(fn).parameters)[:len(args)]
        unknown = [k for k in shapes if k not in names and k not in kwargs]
        if unknown:
            raise ValueError(f"dynamic_shapes names {unknown[0]!r}, which is no argument of the call: "
                             f"{[*names, *kwargs]}")
        specs = [shapes.get(n) for n in names] + [shapes.get(k) for k in kwargs]
    else:
        specs = list(shapes)
        if len(specs) != len(args) + len(kwargs):
            raise ValueError(f"dynamic_shapes has {len(specs)} entries for {len(args) + len(kwargs)} "
                             "arguments")
    free: dict[int, widen.Free] = {}
    maybe: list[widen.Free] = []
    at = 0

    def walk(v: Any, spec: Any) -> None:
        nonlocal at
        if isinstance(v, Tensor):
            entries = spec.items() if isinstance(spec, Mapping) else enumerate(spec or ())
            for d, dim in entries:
                d = d % max(v.ndim, 1)
                if dim is None or dim is Dim.STATIC or isinstance(dim, int):
                    continue
                if not isinstance(dim, Dim):
                    raise TypeError("dynamic_shapes: expected a Dim, an int or None, got "
                                    f"{type(dim).__name__}")
                if dim is Dim.AUTO:
                    maybe.append(widen.Free(f"s{at}_{d}", [(at, d)]))
                elif dim is Dim.DYNAMIC:
                    free[-len(free) - 1] = widen.Free(f"s{at}_{d}", [(at, d)])
                elif id(dim) in free:
                    free[id(dim)].at.append([at, d])
                else:
                    free[id(dim)] = widen.Free(dim.__name__, [(at, d)], dim.min, dim.max)
            at += 1
        elif isinstance(v, list | tuple):
            for i, x in enumerate(v):
                walk(x, None if spec is None else spec[i])
        elif isinstance(v, dict):
            for k, x in v.items():
                walk(x, None if spec is None else spec.get(k))
        else:
            at += 1
    for v, spec in zip([*args, *kwargs.values()], specs):
        walk(v, spec)
    by_name: dict[str, widen.Free] = {}
    for f in free.values():
        if f.name in by_name:
            by_name[f.name].at += f.at
        else:
            by_name[f.name] = f
    return list(by_name.values()), maybe


def draft_export(mod: Any, args: Any, kwargs: Any = None, **options: Any) -> ExportedProgram:
    """export."""
    return export(mod, args, kwargs, **options)


export_for_training = draft_export


def save(ep: ExportedProgram, f: Any, *, extra_files: Mapping[str, Any] | None = None,
         opset_version: Any = None,
         pickle_protocol: int = 2) -> None:
    """Write a program to a path (whole or not at all) or a file object: data only."""
    if not isinstance(ep, ExportedProgram):
        raise TypeError("The 'ep' parameter must be an instance of 'ExportedProgram', got "
                        f"'{type(ep).__name__}' "
                        "instead.")
    ep.module().save(f, extra_files)


def load(f: Any, *, extra_files: dict | None = None, expected_opset_version: Any = None) -> ExportedProgram:
    """The program of a file. RuntimeError for a damaged one."""
    got = _files.load(f, extra_files)
    if len(got.methods.get("forward", ())) != 1:
        raise RuntimeError("the file holds no exported program (torch.jit.load reads what torch.jit.save "
                           "wrote)")
    module = built(got)
    return ExportedProgram(module, module._methods["forward"].recordings[0])


class _Callable(types.ModuleType):
    """This module, which is export() too."""

    def __call__(self, mod: Callable, args: Any, kwargs: Mapping[str, Any] | None = None,
                 **options: Any) -> Any:
        return export(mod, args, kwargs, **options)


sys.modules[__name__].__class__ = _Callable
