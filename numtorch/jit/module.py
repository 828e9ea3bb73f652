"""Scripted and loaded modules and functions."""
from __future__ import annotations

import functools
import inspect
import os
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..autograd.modes import state
from ..compiler import capture, interpret, saved, sizes, widen
from ..compiler.document import damaged, load_static, rebuilt, structure
from ..compiler.function import Compiled
from ..compiler.graph import Graph, Node, Ref
from ..compiler.recording import Mismatch, Recording, record
from ..nn import Module, Parameter
from ..tensor import Tensor
from .language import doing

CALLS = 16  # kinds of calls that are remembered for saving


class Method:
    """A recorded function. `fn` is its source, if this process has it: then it is recorded anew for arguments
    that no recording fits."""

    def __init__(self, name: str, fn: Callable | None, recordings: Sequence[Recording],
                 own: Callable[[], Mapping],
                 on_read: Callable = capture.warn):
        self.name, self.fn, self.recordings, self.own, self.on_read = name, fn, list(recordings), own, on_read
        self.calls: list[tuple] = []       # of a scripted function: the kinds of calls seen
        self.reads = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.fn is not None and (state.lazy is not None or state.tracer is not None):
            return self.fn(*args, **kwargs)
        why: list[Mismatch] = []
        for r in self.recordings:
            try:
                leaves = r.leaves(args, kwargs)
                bound = r.bind(leaves)
            except Mismatch as e:
                why.append(e)
                continue
            return r.run(bound, leaves, self.own().__getitem__)
        if self.fn is None:
            raise why[0]
        r = self.record(args, kwargs)
        self.recordings.append(r)
        return r(args, kwargs, self.own().__getitem__)

    def record(self, args: tuple, kwargs: Mapping[str, Any]) -> Recording:
        """Trace the function."""
        assert self.fn is not None
        with doing(tracing=True):
            return record(self.fn, args, kwargs, self.own(), self._read)

    def _read(self, read: capture.Read) -> None:
        self.reads += 1
        self.on_read(read)

    def note(self, args: tuple, kwargs: Mapping[str, Any]) -> None:
        """Remember what a call looks like, not its values."""
        leaves: list[Any] = []

        def leaf(v: Any) -> int:
            leaves.append((v.dtype.name, list(v.layout.shape), list(v.layout.strides))
                          if isinstance(v, Tensor) else v)
            return len(leaves) - 1
        try:
            call = structure((list(args), dict(kwargs)), leaf)
        except NotImplementedError:
            return
        if (call, leaves) not in self.calls and len(self.calls) < CALLS:
            self.calls.append((call, leaves))

    def ready(self) -> list[Recording]:
        """Recordings to save, each for as many sizes as it can hold for. RuntimeError where there is none."""
        if self.fn is None:
            return self.recordings
        if not self.recordings:
            if not self.calls:
                raise RuntimeError(f"{self.name} was not called yet, so there is nothing to save or show: "
                                   "graphs are "
                                   "recorded from calls. Call it once, or give script() example_inputs")
            for call, leaves in self.calls:
                given = [widen.sample({"tensor": [*v, 0]}) if type(v) is tuple else v for v in leaves]
                args, kwargs = rebuilt(call, given.__getitem__)
                self.recordings.append(self.record(tuple(args), kwargs))
            out, self.recordings = self._wide(), []
            return out
        return self._wide()

    def _wide(self) -> list[Recording]:
        out: list[Recording] = []
        for r in self.recordings:
            if any(_holds(w, r) for w in out):
                continue
            if not self.reads:
                def trace(leaves: list, r: Recording = r) -> Recording:
                    args, kwargs = rebuilt(r.doc["call"], lambda i: leaves[i])
                    return self.record(tuple(args), kwargs)
                r = widen.everything(trace, r)
                self.reads = 0
            out.append(r)
        return out


def _holds(w: Recording, r: Recording) -> bool:
    """Whether a recording serves the calls of another one."""
    if w.doc["call"] != r.doc["call"]:
        return False
    try:
        w.bind([widen.sample(s) for s in r.doc["args"]])
    except Mismatch:
        return False
    return True


def text(recordings: Sequence[Recording], name: str = "forward") -> str:
    """Recordings as readable text."""
    parts = []
    for r in recordings:
        graph = r.graph
        names: dict[int, str] = {}
        symbols = [q["name"] for q in r.doc["symbols"]]
        args = []
        for i, spec in enumerate(r.doc["args"]):
            if "tensor" in spec:
                d, shape = spec["tensor"][:2]
                args.append(f"x{i}: {d}[{', '.join([size(n, symbols) for n in shape])}]")
            else:
                args.append(f"x{i}={load_static(spec['const'])!r}")
        for where, v in zip(r.doc["inputs"], graph.inputs):
            names[id(v)] = f"x{where['arg']}" if "arg" in where else \
                f"self.{where['state']}" if "state" in where else f"CONSTANTS.c{len(names)}"

        def show(v: Any, names: dict[int, str] = names) -> str:
            if type(v) is Ref:
                whole = v.layout.numel == v.value.numel and v.layout.contiguous
                return names[id(v.value)] + ("" if whole else f".as_strided({tuple(v.layout.shape)}, "
                                             f"{v.layout.strides}, {v.layout.offset})")
            return f"[{', '.join(map(show, v))}]" if isinstance(v, list) else repr(v)
        lines = [f"def {name}(self{''.join(', ' + a for a in args)}):"]
        for n in graph.nodes:
            ins = [f"{k}={show(v)}" for k, v in n.ins.items()] if isinstance(n.ins, dict) else map(show,
                                                                                                   n.ins)
            call = f"{n.name}({', '.join(ins)})"
            made = []
            for o in n.outs:
                if o is not None:
                    if o.base is not None:
                        call += f"  # into a part of {names[id(o.base)]}"
                    names[id(o.value)] = f"_{len(names)}"
                    made.append(names[id(o.value)])
            lines.append(f"    {', '.join(made)} = {call}")
        lines.append(f"    return {', '.join(names[id(v)] for v in graph.outputs)}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def size(n: Any, symbols: Sequence[str]) -> str:
    """A size as text: a number, or a polynomial in symbols."""
    if type(n) is int:
        return str(n)
    terms = []
    for num, den, powers in n["poly"]:
        factors = [f"{s}**{e}" if e > 1 else s for s, e in zip(symbols, powers) if e]
        text = "*".join([str(num)] * (num != 1 or not factors) + factors)
        terms.append(text if den == 1 else f"{text}/{den}")
    return " + ".join(terms)


def members(module: Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, tied ones under every name."""
    parameters = dict(module.named_parameters(remove_duplicate=False))
    return parameters | dict(module.named_buffers(remove_duplicate=False))


class ScriptModule(Module):
    """A module whose methods are recorded graphs, or (of a user's subclass) a module as any other."""

    def __init__(self) -> None:
        super().__init__()
        self.__dict__["_methods"] = {}
        self.__dict__["_source"] = None
        self.__dict__["_own"] = None

    @classmethod
    def _around(cls, module: Module) -> Any:
        """A module that shares the state of another one, and stands for it."""
        self = object.__new__(cls)
        ScriptModule.__init__(self)
        d = self.__dict__
        for table in ("_parameters", "_buffers", "_non_persistent_buffers_set"):
            d[table] = module.__dict__[table]
        d["_modules"] = {k: None if m is None else _inner(m) for k, m in module._modules.items()}
        d["training"], d["_source"] = module.training, module
        return self

    def _tensors(self) -> dict[str, Tensor]:
        return members(self)

    def _method(self, name: str) -> Any:
        found = self.__dict__["_methods"].get(name)
        if found is None:
            raise RuntimeError(f"{type(self).__name__} has no recorded method {name!r}")
        return found

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if "forward" in self._methods:
            return self._methods["forward"](*args, **kwargs)
        if self.__dict__["_source"] is not None:
            return self._source(*args, **kwargs)
        raise NotImplementedError("this module is a part of a saved one, which has a graph of the whole only")

    def __getattr__(self, name: str) -> Any:
        d = self.__dict__
        methods = d.get("_methods") or {}
        if name in methods:
            return methods[name]
        try:
            return super().__getattr__(name)
        except AttributeError:
            source = d.get("_source")
            if source is None or name.startswith("__"):
                raise
            return getattr(source, name)

    def train(self: Any, mode: bool = True) -> Any:
        source = self.__dict__["_source"]
        if source is not None and isinstance(mode, bool):
            source.train(mode)
        return super().train(mode)

    def _name(self) -> str:
        return self.__dict__.get("_original") or type(self.__dict__["_source"] or self).__name__

    @property
    def original_name(self) -> str:
        return self._name()

    def extra_repr(self) -> str:
        return f"original_name={self._name()}"

    # ------------------------------------------------------------------------------------------ what it is
    @property
    def graph(self) -> Any:
        """The graph of forward."""
        return self._method("forward").ready()[0].graph

    @property
    def inlined_graph(self) -> Any:
        return self.graph

    @property
    def code(self) -> str:
        """forward as text."""
        return text(self._method("forward").ready())

    def graph_for(self, *args: Any, **kwargs: Any) -> Any:
        """The graph that such a call runs."""
        method = self._method("forward")
        for r in method.recordings:
            try:
                return r.bind(r.leaves(args, kwargs)).graph
            except Mismatch:
                continue
        return method.record(args, kwargs).graph

    def save(self, f: Any, _extra_files: Mapping[str, Any] | None = None) -> None:
        """Write methods and state to a path or a file object."""
        if not self._methods:
            raise RuntimeError(f"{type(self).__name__} has no recorded method; trace it: "
                               "torch.jit.trace(module, example_inputs)")
        methods = {name: m.ready() for name, m in self._methods.items() if name == "forward" or m.calls
                   or m.recordings}
        kept = set(self.state_dict(keep_vars=True))
        states: list[tuple] = [(n, "parameter", t, True, t.requires_grad)
                  for n, t in self.named_parameters(remove_duplicate=False)]
        states += [(n, "buffer", t, n in kept, t.requires_grad) for n,
                   t in self.named_buffers(remove_duplicate=False)]
        parts = [[n, m._name() if isinstance(m, ScriptModule) else type(m).__name__, m.training]
                 for n, m in self.named_modules(remove_duplicate=False)]
        about = {"kind": "script", "modules": parts}
        saved.save(saved.Saved(methods, states, about), f, _extra_files)

    def save_to_buffer(self) -> bytes:
        """The file as bytes."""
        import io
        out = io.BytesIO()
        self.save(out)
        return out.getvalue()


class RecursiveScriptModule(ScriptModule):
    """What script() and load() make."""


class TracedModule(ScriptModule):
    """A part of a traced module."""


class TopLevelTracedModule(TracedModule):
    """What trace() makes."""


def _inner(module: Module) -> Module:
    return module if isinstance(module, ScriptModule) else TracedModule._around(module)


class ScriptFunction:
    """A function with recorded graphs."""

    def __init__(self, method: Method, call: Callable | None = None):
        self._method, self._call = method, call or method
        if method.fn is not None:
            functools.update_wrapper(self, method.fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    @property
    def name(self) -> str:
        return self._method.name

    @property
    def graph(self) -> Any:
        """The graph of the first kind of call."""
        return self._method.ready()[0].graph

    inlined_graph = graph

    @property
    def code(self) -> str:
        """The function as text."""
        return text(self._method.ready(), self._method.name)

    def save(self, f: Any, _extra_files: Mapping[str, Any] | None = None) -> None:
        """Write it to a path or a file object."""
        about = {"kind": "script", "modules": [["", self._method.name, False]]}
        saved.save(saved.Saved({"forward": self._method.ready()}, (), about), f, _extra_files)

    def __repr__(self) -> str:
        return f"<torch.jit.ScriptFunction {self._method.name}>"


# ---------------------------------------------------------------------------------------------- script
def script(obj: Any, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None,
           example_inputs: Any = None) -> Any:
    """A function or module that runs compiled and can be saved.

    Its Python decides what runs as ever; each kind of call (shapes, dtypes, other arguments) is recorded, and
    the recordings are what `save` writes. Where what runs depends on the value of a tensor, calls still work,
    but `save`, `graph` and `code` raise RuntimeError naming the line. `example_inputs`: calls to record, as a
    list of tuples (of a module, also a dict from modules to such lists)."""
    if isinstance(obj, ScriptModule | ScriptFunction) or isinstance(obj, type):
        return obj
    if isinstance(obj, Module):
        made = RecursiveScriptModule._around(obj)
        names = ["forward", *[n for n, f in inspect.getmembers(type(obj), callable)
                              if getattr(f, "_jit", None) == "export" and n != "forward"]]
        for n in names:
            fn = obj.__call__ if n == "forward" else getattr(obj, n)
            made.__dict__["_methods"][n] = Scripted(n, fn, (), made._tensors, capture.refuse)
        if example_inputs is not None:
            calls = example_inputs.get(obj, ()) if isinstance(example_inputs, dict) else example_inputs
            for args in calls:
                made._methods["forward"].note(tuple(args), {})
        return made
    if not callable(obj):
        raise RuntimeError(f"torch.jit.script: expected a function or a module, got {type(obj).__name__}")
    method = Scripted(getattr(obj, "__name__", "function"), obj, (), dict, capture.refuse)
    for args in example_inputs or ():
        method.note(tuple(args), {})
    return ScriptFunction(method)


class Scripted(Method):
    """A method whose calls run its source, compiled."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.compiled = Compiled(self.fn)  # type: ignore[arg-type]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with doing(scripting=True):
            if state.lazy is None and state.tracer is None:
                self.note(args, kwargs)
            return self.compiled(*args, **kwargs)

    def record(self, args: tuple, kwargs: Mapping[str, Any]) -> Recording:
        with doing(scripting=True):
            return record(self.fn, args, kwargs, self.own(), self._read)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------- files
def save(m: Any, f: Any, _extra_files: Mapping[str, Any] | None = None) -> None:
    """Write a traced or scripted module or function."""
    if not isinstance(m, ScriptModule | ScriptFunction):
        raise ValueError("torch.jit.save: expected a traced or scripted module or function, got "
                         f"{type(m).__name__}")
    m.save(f, _extra_files)


def load(f: Any, map_location: Any = None, _extra_files: dict | None = None,
         _restore_shapes: bool = False) -> Any:
    """The module of a file that `save` wrote. Nothing in the file is run but its graphs, whose operations are
    checked. RuntimeError for a file that is damaged or of another kind."""
    if isinstance(f, str | os.PathLike) and not os.fspath(f):
        raise ValueError("The provided filename is empty")
    module = built(saved.load(f, _extra_files))
    if map_location is not None:
        module.to(map_location)
    return module


def built(got: saved.Saved, cls: type = RecursiveScriptModule) -> Any:
    """A module of what a file holds."""
    modules = {"": [got.about.get("kind", ""), True]}
    listed = got.about.get("modules")
    for e in listed if isinstance(listed, list) else ():
        if not (isinstance(e, list) and len(e) == 3 and type(e[0]) is type(e[1]) is str
                and type(e[2]) is bool):
            raise damaged("a module is malformed")
        modules[e[0]] = e[1:]
    made: dict[str, Any] = {}

    def part(path: str) -> Any:
        if path not in made:
            made[path] = cls() if not path else RecursiveScriptModule()
            made[path].__dict__["_original"], made[path].__dict__["training"] = modules.get(path,
                                                                                            ["Module", True])
            if path:
                above, _, name = path.rpartition(".")
                _named(name)
                part(above)._modules[name] = made[path]
        return made[path]
    for path in modules:
        part(path)
    kinds: dict[int, Any] = {}
    for name, kind, t, kept, grad in got.state:
        path, _, last = name.rpartition(".")
        _named(last)
        owner = part(path)
        if kind == "parameter":
            if id(t) not in kinds:
                kinds[id(t)] = Parameter(t, requires_grad=grad)
            owner._parameters[last] = kinds[id(t)]
        else:
            owner._buffers[last] = t
            if not kept:
                owner._non_persistent_buffers_set.add(last)
    root = part("")
    for name, recordings in got.methods.items():
        root.__dict__["_methods"][name] = Method(name, None, recordings, root._tensors)
    return root


def _named(name: str) -> None:
    if not name or not name.replace("_", "a").isalnum() or name.startswith("__"):
        raise damaged("a part has no name")


# ---------------------------------------------------------------------------------------------- freezing
def freeze(mod: Any, preserved_attrs: Sequence[str] | None = None, optimize_numerics: bool = True) -> Any:
    """A module whose parameters are constants of its graphs, with what depends on nothing else computed
    once."""
    if not isinstance(mod, ScriptModule):
        raise RuntimeError("Freezing expects a ScriptModule as input. Please use torch.jit.script or "
                           "torch.jit.trace "
                           "to script your 'nn.Module'.")
    if mod.training:
        raise RuntimeError("Freezing is currently only implemented for modules in eval mode. Please call "
                           ".eval() on "
                           "your module before freezing.")
    made = RecursiveScriptModule()
    made.__dict__["_original"], made.__dict__["training"] = mod._name(), False
    own = mod._tensors()
    names = {"forward", *(preserved_attrs or ())}
    for name, method in mod._methods.items():
        if name in names:
            recordings = [folded(r, own) for r in method.ready()]
            made.__dict__["_methods"][name] = Method(name, None, recordings, dict)
    return made


def folded(r: Recording, own: Mapping[str, Tensor]) -> Recording:
    """The recording with state as constants, and with nodes that read constants only computed."""
    if any("state" in r.doc["inputs"][i] for i, _ in r.doc["writes"]):
        raise RuntimeError("a module that writes to its buffers cannot be frozen")
    constants, inputs = list(r.constants), []
    graph = r.graph
    for where, v in zip(r.doc["inputs"], graph.inputs):
        if "state" in where:
            t = own[where["state"]].detach()
            a = t.storage.array
            if [t.dtype.name, list(t.layout.shape), list(t.layout.strides),
                t.layout.offset] != where["layout"] \
                    or a.size != v.numel:
                raise RuntimeError(f"{where['state']} lies otherwise in memory than where the graph was "
                                   "recorded")
            constants.append(a.copy())
            where = {"tensor": len(constants) - 1}
        inputs.append(where)
    return _precomputed(Recording({**r.doc, "inputs": inputs}, constants))


def _precomputed(r: Recording) -> Recording:
    """The recording with the values of nodes that read constants only, computed now; sizes stay free."""
    graph, docs = r.graph, r.doc["graph"]["nodes"]
    if len(docs) != len(graph.nodes) or not any("tensor" in w for w in r.doc["inputs"]):
        return r
    known = {id(v) for w, v in zip(r.doc["inputs"], graph.inputs) if "tensor" in w}
    fixed: list[Node] = []
    rest: list[int] = []
    for i, (n, doc) in enumerate(zip(graph.nodes, docs)):
        if n.reads() and all(id(v) in known
                             for v in n.reads()) and n.extra != ("effect",) and not sizes.vary(doc):
            fixed.append(n)
            known |= {id(o.value) for o in n.outs if o is not None}
        else:
            rest.append(i)
    needed = {id(v) for i in rest for v in graph.nodes[i].reads()} | {id(v) for v in graph.outputs}
    made = [o.value for n in fixed for o in n.outs if o is not None and id(o.value) in needed]
    if not made:
        return r
    for w, v in zip(r.doc["inputs"], graph.inputs):
        v.array = r.constant(w) if "tensor" in w else None
    arrays = interpret.run(Graph(fixed, graph.inputs, made))
    for v in graph.inputs:
        v.array = None
    number = {id(v): i for i, v in enumerate(graph.inputs)}
    number |= {id(o.value): d[0] for n, doc in zip(graph.nodes, docs) for o, d in zip(n.outs, doc["outs"])
               if o is not None}
    keep = [i for i, (w, v) in enumerate(zip(r.doc["inputs"], graph.inputs)) if id(v) in needed or "arg" in w]
    constants, inputs = [], []
    for i in keep:
        w = r.doc["inputs"][i]
        if "tensor" in w:
            constants.append(r.constants[w["tensor"]])
            w = {"tensor": len(constants) - 1}
        inputs.append(w)
    for a in arrays:
        constants.append(np.array(a))
        inputs.append({"tensor": len(constants) - 1})
    # values are numbered anew: inputs first
    first = [*keep, *[number[id(v)] for v in made]]
    place = {old: new for new, old in enumerate(first)}
    for i in rest:
        for o in docs[i]["outs"]:
            if o is not None:
                place[o[0]] = len(place)
    values = sorted(place, key=place.__getitem__)
    old = r.doc["graph"]
    small = {"values": [old["values"][v] for v in values], "inputs": len(first),
             "nodes": [_renumbered(docs[i], place) for i in rest], "outputs": [place[v]
                                                                               for v in old["outputs"]]}
    writes = [[place[i], o] for i, o in r.doc["writes"]]
    return Recording({**r.doc, "inputs": inputs, "writes": writes, "graph": small}, constants)


def _renumbered(doc: dict, place: Mapping[int, int]) -> dict:
    """A node's document with other numbers for its values."""
    def ins(v: Any) -> Any:
        if isinstance(v, dict) and "ref" in v:
            return {"ref": [place[v["ref"][0]], *v["ref"][1:]]}
        if isinstance(v, dict):
            return {k: ins(x) for k, x in v.items()}
        return [ins(x) for x in v] if isinstance(v, list) else v
    outs = [None if o is None else [place[o[0]], *o[1:5], None if o[5] is None else place[o[5]]]
            for o in doc["outs"]]
    return {**doc, "ins": ins(doc["ins"]), "outs": outs}


def run_frozen_optimizations(mod: Any, optimize_numerics: bool = True, preserved_methods: Any = None) -> None:
    """Nothing is left to do: freezing computes what it can, and programs are always fused."""


def optimize_for_inference(mod: Any, other_methods: Sequence[str] | None = None) -> Any:
    """The frozen module."""
    return freeze(mod.eval(), other_methods)

