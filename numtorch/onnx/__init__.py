"""torch.onnx: models as ONNX files, through the `onnx` package (pip install numtorch[onnx])."""
from __future__ import annotations

import contextlib
import enum
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..compiler import sizes, widen
from ..compiler.capture import warn
from ..compiler.document import rebuilt, structure
from ..compiler.recording import Bound, Recording, record
from ..export import ExportedProgram
from ..export import _free as free_sizes
from ..jit.language import doing
from ..jit.module import ScriptFunction, ScriptModule, members
from ..nn import Module
from ..tensor import Tensor

__all__ = ["ONNXProgram", "OnnxExporterError", "OperatorExportTypes", "TrainingMode", "export",
           "is_in_onnx_export", "is_onnxrt_backend_supported", "select_model_mode_for_export"]
OPSET = 18


class TrainingMode(enum.Enum):
    """In which mode a model is exported."""

    EVAL = 0
    PRESERVE = 1
    TRAINING = 2


class OperatorExportTypes(enum.Enum):
    """Accepted: operators are ONNX's own."""

    ONNX = 0
    ONNX_ATEN = 1
    ONNX_FALLTHROUGH = 2
    ONNX_ATEN_FALLBACK = 3


class OnnxExporterError(RuntimeError):
    """A model that cannot be exported."""


_exporting = False


def is_in_onnx_export() -> bool:
    """Whether the calling code runs for an export."""
    return _exporting


def is_onnxrt_backend_supported() -> bool:
    """False: torch.compile has no such backend here."""
    return False


@contextlib.contextmanager
def select_model_mode_for_export(model: Any, mode: TrainingMode) -> Iterator[None]:
    """The model in a mode for a while."""
    if not isinstance(model, Module) or mode is TrainingMode.PRESERVE:
        yield
        return
    before = {m: m.training for m in model.modules()}
    try:
        model.train(mode is TrainingMode.TRAINING)
        yield
    finally:
        for m, training in before.items():
            m.training = training


class ONNXProgram:
    """An exported model: `model_proto`, and `save`."""

    def __init__(self, proto: Any, exported: Recording):
        self.model_proto, self.exported_program = proto, exported

    @property
    def model(self) -> Any:
        return self.model_proto

    def save(self, destination: Any, **options: Any) -> None:
        """Write it to a path (whole or not at all) or a file object."""
        from ..serialization import write_whole
        data = self.model_proto.SerializeToString()
        if isinstance(destination, str | os.PathLike):
            write_whole(os.fspath(destination), lambda file: file.write(data))
        else:
            destination.write(data)


def export(model: Any, args: Any = (), f: Any = None, *positional: Any,
           kwargs: Mapping[str, Any] | None = None,
           export_params: bool = True, verbose: Any = None, training: TrainingMode = TrainingMode.EVAL,
           input_names: Sequence[str] | None = None, output_names: Sequence[str] | None = None,
           operator_export_type: Any = None, opset_version: int | None = None,
           do_constant_folding: bool = True, dynamic_axes: Any = None, dynamic_shapes: Any = None,
           keep_initializers_as_inputs: Any = None,
           custom_opsets: Any = None, export_modules_as_functions: Any = False, autograd_inlining: Any = True,
           dynamo: bool = False, external_data: bool = True, verify: bool = False,
           **options: Any) -> ONNXProgram:
    """Write the model, run once on `args`, as an ONNX file to `f` (a path or a file object; None: only return
    it).

    `dynamic_axes`: sizes that vary, {"input": {0: "batch"}} or {"input": [0]}, or `dynamic_shapes` as of
    torch.export. `opset_version`: 11 to 23, 18 unless told. NotImplementedError names an operation that has
    no form in ONNX; RuntimeError a size that is to vary and cannot."""
    global _exporting
    try:
        import onnx
    except ImportError as e:
        raise OnnxExporterError("torch.onnx.export needs the onnx package: pip install onnx") from e
    opset = OPSET if opset_version is None else int(opset_version)
    if not 11 <= opset <= 23:
        raise ValueError(f"opset_version must be from 11 to 23, got {opset_version}")
    if isinstance(args, Tensor):
        args = (args,)
    args, kwargs = tuple(args), dict(kwargs or {})
    if not kwargs and args and isinstance(args[-1], dict) and not isinstance(model, ExportedProgram):
        args, kwargs = args[:-1], dict(args[-1])
    if isinstance(model, ExportedProgram):
        model = model.module()
    _exporting = True
    try:
        with select_model_mode_for_export(model, training):
            r, own, leaves = _recorded(model, args, kwargs)
            names = _input_names(r, leaves, input_names, model, args, kwargs)
            r = _freed(r, own, model, args, kwargs, names, dynamic_axes, dynamic_shapes)
    finally:
        _exporting = False
    from .write import proto
    count = sum("at" in x for x in r.doc["results"])
    outputs = list(output_names or ())[:count]
    taken = {*names, *outputs}
    outputs += [_fresh(str(f"output{i}" if count > 1 else "output"), taken)
                for i in range(len(outputs), count)]
    doc, low = lowered(r, opset, names, outputs)
    made = proto(doc, low, r, own, opset)
    onnx.checker.check_model(made)
    program = ONNXProgram(made, r)
    if f is not None:
        program.save(f)
    if verify:
        check(program, model, args, kwargs)
    return program


def lowered(r: Recording, opset: int, names: Sequence[str], outputs: Sequence[str]) -> tuple[dict, Any]:
    """The graph's operators for all sizes, and what lowered it at one."""
    from .lower import Lower
    symbols = r.doc["symbols"]
    points: list[tuple] = [()]
    if symbols:  # sizes at which no derived one is likely to be 1 by chance
        points = sizes.points(*sizes.ranges([s["min"] + 7 for s in symbols], [s["min"] for s in symbols],
                                            [s["max"] for s in symbols])[0])
    made = [Lower(r, Bound(r.doc, p), opset, names, outputs) for p in points]
    if not symbols:
        return made[0].doc, made[0]
    same = all(len(m.arrays) == len(made[0].arrays) and all(
        np.array_equal(a, b) for a, b in zip(m.arrays, made[0].arrays)) for m in made)
    try:
        if not same:
            raise sizes.Differs("a view that is no product of ranges changes")
        return sizes.Fit(points).join([m.doc for m in made]), made[0]
    except sizes.Differs as e:
        raise RuntimeError(f"{', '.join(s['name'] for s in symbols)} cannot vary in ONNX: {e}") from None


def _recorded(model: Any, args: tuple, kwargs: Mapping) -> tuple[Recording, Mapping[str, Tensor], list]:
    """The recording of a call, the model's own tensors, the arguments in order."""
    own: Mapping[str, Tensor] = members(model) if isinstance(model, Module) else {}
    leaves: list[Any] = []

    def leaf(v: Any) -> int:
        leaves.append(v)
        return len(leaves) - 1
    structure((list(args), dict(kwargs)), leaf)
    if isinstance(model, ScriptModule | ScriptFunction):
        method = model._method if isinstance(model, ScriptFunction) else model._method("forward")
        if method.fn is None:
            for r in method.recordings:
                r.bind(r.leaves(args, kwargs))
                return r, own, leaves
        return method.record(args, kwargs), own, leaves
    with doing(tracing=True):
        return record(model, args, kwargs, own, warn), own, leaves


def _freed(r: Recording, own: Mapping, model: Any, args: tuple, kwargs: Mapping, names: Sequence[str],
           axes: Any,
           shapes: Any) -> Recording:
    """The recording with the sizes free that the caller names."""
    free: list[widen.Free] = []
    if axes:
        by_name: dict[str, widen.Free] = {}
        for key, dims in axes.items():
            if key not in names:
                continue  # of results: they follow
            arg = list(names).index(key)
            for d in dims:
                d, label = (d, dims[d]) if isinstance(dims, Mapping) else (d, f"{key}_dynamic_axes_{d + 1}")
                d %= max(len(r.doc["args"][arg]["tensor"][1]), 1)
                if label in by_name:
                    by_name[label].at.append([arg, d])
                else:
                    by_name[label] = widen.Free(str(label), [(arg, d)])
        free = list(by_name.values())
    elif shapes is not None:
        sure, maybe = free_sizes(model, args, dict(kwargs), shapes)
        free = [*sure, *maybe]
    known = {(i, d) for s in r.doc["symbols"] for i, d in s["at"]}
    if not free or all(tuple(p) in known for f in free for p in f.at):
        return r
    source = model if not isinstance(model, ScriptModule | ScriptFunction) else (
        model._method if isinstance(model, ScriptFunction) else model._method("forward")).fn
    if source is None:
        raise RuntimeError("a loaded module's sizes are those it was saved with")

    def again(leaves: list) -> Recording:
        positional, named = rebuilt(r.doc["call"], leaves.__getitem__)
        with doing(tracing=True):
            return record(source, tuple(positional), named, own, lambda read: None)
    try:
        return widen.widened(again, r, free)
    except sizes.Differs as e:
        raise RuntimeError(f"{', '.join(f.name for f in free)} cannot vary: {e}") from None


def _input_names(r: Recording, leaves: Sequence[Any], given: Sequence[str] | None, model: Any, args: tuple,
                 kwargs: Mapping) -> list[str]:
    """A name for every argument; numbers have none that counts."""
    import inspect
    wanted = list(given or ())
    try:
        fn = model.forward if isinstance(model, Module) and not isinstance(model, ScriptModule) else model
        params = [p.name for p in inspect.signature(fn).parameters.values()
                  if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    except (TypeError, ValueError):
        params = []
    plain = [*params[:len(args)], *kwargs] if len(leaves) == len(args) + len(kwargs) else []
    taken = set(wanted)
    names = []
    for i, v in enumerate(leaves):
        if isinstance(v, Tensor) and wanted:
            names.append(wanted.pop(0))
        else:
            names.append(_fresh(plain[i] if i < len(plain) else f"input{i}", taken))
    return names


def _fresh(name: str, taken: set[str]) -> str:
    """A name that is not taken; it is, then."""
    found, k = name, 1
    while found in taken:
        found, k = f"{name}_{k}", k + 1
    taken.add(found)
    return found


def check(program: ONNXProgram, model: Any, args: tuple, kwargs: Mapping) -> None:
    """Run the file with onnxruntime and compare. OnnxExporterError where results differ."""
    import onnxruntime
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    leaves: list[Any] = []
    structure((list(args), dict(kwargs)), leaves.append)
    tensors = [t.detach().numpy() for t in leaves if isinstance(t, Tensor)]
    got = session.run(None, dict(zip([i.name for i in session.get_inputs()], tensors)))
    results: list[Any] = []
    with select_model_mode_for_export(model, TrainingMode.EVAL):
        structure(model(*args, **kwargs), results.append)
    for a, b in zip(got, [t for t in results if isinstance(t, Tensor)]):
        if not np.allclose(a, b.detach().numpy(), rtol=1e-3, atol=1e-4, equal_nan=True):
            raise OnnxExporterError("onnxruntime's results differ from the model's")


