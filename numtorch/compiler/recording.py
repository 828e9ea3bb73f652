"""A function as data: its graph, where the graph's inputs come from, and what its results are made of.

A Recording runs without the function's source: as a Program where nothing needs gradients, else operation by
operation with the tape."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import dtypes as D
from ..autograd.modes import state
from ..devices import meta
from ..dispatch import cpu, fresh
from ..layouts import Layout, contiguous, like
from ..storage import Storage
from ..tensor import Tensor
from . import capture, document, sizes
from .document import damaged, dtype, layout, static, whole
from .entry import program_of
from .graph import Graph, Out, Ref, Value
from .interpret import tensor_on
from .lazy import held

KEPT = 16   # graphs of different sizes that a recording keeps ready


class Mismatch(RuntimeError):
    """Arguments for which a recording was not made."""


def record(fn: Callable, args: tuple, kwargs: Mapping[str, Any], state_of: Mapping[str, Tensor],
           on_read: Callable = capture.refuse) -> Recording:
    """Trace fn(*args, **kwargs). `state_of`: tensors that belong to the function by name: parameters and
    buffers; others that it meets are constants."""
    seen = capture.Capture(on_read)
    leaves: list[Any] = []

    def leaf(v: Any) -> int:
        leaves.append(v)
        return len(leaves) - 1
    call = document.structure((list(args), dict(kwargs)), leaf)
    given = [own(v) if isinstance(v, Tensor) else v for v in leaves]
    positional, named = document.rebuilt(call, given.__getitem__)
    try:
        for t in [*[v for v in given if isinstance(v, Tensor)], *state_of.values()]:
            seen.value(t.storage)  # so that reading it is noticed
        result = capture.run(seen, fn, tuple(positional), named)
        return Recording.of(seen, call, leaves, given, result, state_of)
    finally:
        seen.close()


def own(t: Tensor) -> Tensor:
    """A copy of an argument with memory of its own, dense."""
    if t.storage.device is not cpu:
        raise NotImplementedError(f"functions are recorded on the CPU; an argument is on {t.storage.device}")
    lazy = t.detach()
    out = fresh(like(t.layout), t.dtype, cpu)
    from ..ops.convert import move
    move(out, lazy)
    if t._requires:
        out.requires_grad = True
    return out


class Recording:
    """`doc`: plain data, in which sizes may be polynomials in `symbols`. `constants`: arrays of the graph's
    own inputs."""

    def __init__(self, doc: dict, constants: Sequence[np.ndarray]):
        self.doc, self.constants = doc, list(constants)
        self.bound: dict[tuple, Bound] = {}
        document.whole(doc["arity"])
        if type(doc["symbols"]) is not list or type(doc["args"]) is not list \
                or len(doc["args"]) != doc["arity"]:
            raise damaged("its arguments are malformed")

    @staticmethod
    def of(seen: capture.Capture, call: Any, leaves: Sequence[Any], given: Sequence[Any], result: Any,
           state_of: Mapping[str, Tensor]) -> Recording:
        """What a capture recorded."""
        results: list[dict[str, Any]] = []
        outputs: list[Value] = []

        def leaf(v: Any) -> Any:
            if not isinstance(v, Tensor):
                results.append({"const": static(v)})
            elif v.storage.device is not cpu:
                raise NotImplementedError(f"a result lies on {v.storage.device}; graphs are recorded on the "
                                          "CPU")
            else:
                r = seen.ref(v)
                outputs.append(r.value)
                results.append({"at": len(outputs) - 1, "layout": document.layout_of(r)})
            return len(results) - 1
        shape = document.structure(result, leaf)
        args = {id(t.storage): i for i, t in enumerate(given) if isinstance(t, Tensor)}
        names: dict[int, str] = {}
        for k, t in state_of.items():
            names.setdefault(id(t.storage), k)
        inputs: list[dict[str, Any]] = []
        writes: list[list[int]] = []
        constants: list[np.ndarray] = []
        for i, (s, v) in enumerate(seen.met):
            if id(s) in args:
                inputs.append({"arg": args[id(s)]})
            elif id(s) in names:
                inputs.append({"state": names[id(s)], "layout": _layout(state_of[names[id(s)]])})
            else:
                found = _range(v.array)
                if found is None:
                    constants.append(v.array.copy())
                    found = {"tensor": len(constants) - 1}
                inputs.append(found)
            now = held.__get__(s) if id(s) not in seen.shown else seen.shown[id(s)][1]
            if now is not v:
                outputs.append(now)
                writes.append([i, len(outputs) - 1])
        graph = Graph(seen.nodes, [v for _, v in seen.met], outputs)
        used = {id(v) for n in graph.nodes for v in n.reads()} | {id(v) for v in outputs}
        keep = [i for i, (_, v) in enumerate(seen.met) if id(v) in used or "arg" in inputs[i]]
        place = {i: k for k, i in enumerate(keep)}
        graph.inputs = [graph.inputs[i] for i in keep]
        doc = {"arity": len(leaves), "call": call, "symbols": [],
               "args": [{"tensor": _layout(t)} if isinstance(t, Tensor) else {"const": static(leaves[i])}
                        for i, t in enumerate(given)],
               "inputs": [inputs[i] for i in keep], "writes": [[place[i], o] for i, o in writes],
               "results": results, "result": shape, "graph": document.dump(graph)}
        return Recording(doc, constants)

    # ------------------------------------------------------------------------------------------ calls
    def leaves(self, args: tuple, kwargs: Mapping[str, Any]) -> list:
        """The arguments in order. Mismatch unless they are built as those of the recorded call."""
        found: list[Any] = []

        def leaf(v: Any) -> int:
            found.append(v)
            return len(found) - 1
        try:
            call = document.structure((list(args), dict(kwargs)), leaf)
        except NotImplementedError as e:
            raise Mismatch(str(e)) from None
        if call != self.doc["call"]:
            raise Mismatch(f"the graph was recorded for {_words(self.doc['call'])}, and is called with "
                           f"{_words(call)}")
        return found

    def bind(self, leaves: Sequence[Any]) -> Bound:
        """The graph for these arguments. Mismatch where there is none."""
        for i, (v, spec) in enumerate(zip(leaves, self.doc["args"])):
            if "const" in spec:
                want = document.load_static(spec["const"])
                if type(v) is not type(want) or v != want and v == v:
                    raise Mismatch(f"argument {i} was {want!r} where the graph was recorded, and is {v!r}")
            elif not isinstance(v, Tensor):
                raise Mismatch(f"argument {i} was a tensor where the graph was recorded, and is a "
                               f"{type(v).__name__}")
            elif v.dtype is not dtype(spec["tensor"][0]):
                raise Mismatch(f"argument {i} was {dtype(spec['tensor'][0])} where the graph was recorded, "
                               "and is "
                               f"{v.dtype}")
        at = []
        for s in self.doc["symbols"]:
            found = {leaves[i].layout.shape[d] if d < leaves[i].layout.ndim else -1 for i, d in s["at"]}
            if len(found) != 1:
                raise Mismatch(f"the sizes called {s['name']} differ: {sorted(found)}")
            n = found.pop()
            if n < s["min"] or s["max"] is not None and n > s["max"]:
                raise Mismatch(f"{s['name']} is {n}; the graph holds from {s['min']} to "
                               f"{s['max'] or 'any size'}")
            at.append(n)
        b = self.bound.get(tuple(at))
        if b is None:
            if len(self.bound) >= KEPT:
                self.bound.clear()
            b = self.bound[tuple(at)] = Bound(self.doc, at)
        for i, (v, shape) in enumerate(zip(leaves, b.shapes)):
            if shape is not None and tuple(v.layout.shape) != shape:
                vary = [f"{s['name']} (argument {i}, dimension {d})" for s in self.doc["symbols"] for i,
                        d in s["at"]]
                raise Mismatch(f"argument {i} has shape {list(v.layout.shape)}; the graph was recorded for "
                               f"{list(shape)}" + (f", with {', '.join(vary)} free" if vary else
                                                   ", and none of its sizes may vary"))
        return b

    def __call__(self, args: tuple, kwargs: Mapping[str, Any], find: Callable[[str], Tensor]) -> Any:
        """Run. `find(name)`: the tensor of the function's own of that name."""
        leaves = self.leaves(args, kwargs)
        return self.run(self.bind(leaves), leaves, find)

    def run(self, b: Bound, leaves: Sequence[Any], find: Callable[[str], Tensor]) -> Any:
        """The results for arguments that `bind` has found a graph for."""
        sources: list[Tensor] = []
        for where, v in zip(b.inputs, b.graph.inputs):
            if "arg" in where:
                sources.append(leaves[where["arg"]])
            elif "state" in where:
                sources.append(find(where["state"]))
            else:
                a = self.constant(where)
                if a.size != v.numel or a.dtype != v.dtype.numpy:
                    raise damaged("a constant has another size")
                sources.append(tensor_on(a, contiguous((v.numel,)), v.dtype))
        on_tape = state.lazy is not None or state.tracer is not None or (
            state.grad and any(t._requires for t in sources)) or any(t.storage.device is not cpu
                                                                     for t in sources)
        got = self.replay(b, sources) if on_tape else self.compute(b, sources)
        for (i, _), t in zip(b.writes, got[1]):
            from ..autograd.modes import no_grad
            with no_grad():
                sources[i].copy_(t)

        def leaf(k: Any) -> Any:
            k = whole(k, 0, len(b.results) - 1)
            return document.load_static(b.results[k]["const"]) if "const" in b.results[k] else got[0][k]
        return document.rebuilt(self.doc["result"], leaf)

    def constant(self, where: dict) -> np.ndarray:
        """The memory of a constant."""
        if "range" in where:
            start, step, n, name = where["range"]
            return (np.arange(n, dtype=np.int64) * step + start).astype(dtype(name).numpy)
        return self.constants[whole(where["tensor"], 0, len(self.constants) - 1)]

    def compute(self, b: Bound, sources: Sequence[Tensor]) -> tuple[list, list]:
        """(results, what is written back) by the compiled program."""
        arrays = []
        for t, seen, v in zip(sources, b.layouts, b.graph.inputs):
            a = t.storage.array
            if t.layout != seen or a.size != v.numel or a.dtype != v.dtype.numpy:
                if not (seen.covers() and seen.numel == v.numel
                        and not seen.offset) or t.dtype.numpy != v.dtype.numpy:
                    raise RuntimeError(f"a tensor of the graph lies as {t.layout!r} of {t.dtype} and was "
                                       f"recorded as {seen!r} of {v.dtype}")
                a = _laid(t.detach(), seen).storage.array
            arrays.append(a)
        got = program_of(b.graph).run(arrays, b.numbers)
        made: dict[int, Storage] = {}

        def tensor(at: int, layout: Layout, d: D.dtype) -> Tensor:
            if at not in made:
                made[at] = Storage(got[at])
            t = tensor_on(got[at], layout, d)
            t.storage = made[at]
            return t
        results = [None if p is None else tensor(*p) for p in b.places]
        return results, [tensor(o, b.layouts[i], sources[i].dtype) for i, o in b.writes]

    def replay(self, b: Bound, sources: Sequence[Tensor]) -> tuple[list, list]:
        """The same, operation by operation, on the tape and on any device."""
        known: dict[int, tuple[Tensor, Layout]] = {}
        for t, seen, v in zip(sources, b.layouts, b.graph.inputs):
            known[id(v)] = (t, seen)
        device = next((t.storage.device for t in sources if t.storage.device is not cpu), cpu)

        def see(v: Any) -> Any:
            if type(v) is Ref:
                t, made = known[id(v.value)]
                if v.layout == made and v.dtype is t.dtype:
                    return t
                return _flat(t, made, v.value, v.dtype).as_strided(v.layout.shape, v.layout.strides,
                                                                   v.layout.offset)
            return type(v)([see(x) for x in v]) if type(v) in (list, tuple) else v

        def put(o: Out, t: Tensor) -> None:
            if o.base is None:
                known[id(o.value)] = (t, o.layout)
                return
            block = _flat(*known[id(o.base)], o.base, o.value.dtype).clone()
            block.view(o.dtype).as_strided(o.layout.shape, o.layout.strides, o.layout.offset).copy_(t)
            known[id(o.value)] = (block, contiguous((o.value.numel,)))
        for n in b.graph.nodes:
            o: Any = n.outs[0]
            if n.kind == "map":
                values = [see(v) for v in n.ins]
                if n.name == "copy":
                    made = fresh(like(o.layout), o.dtype, device).copy_(values[0].expand(o.layout.shape))
                else:
                    made = _op(n.what.tag[1]).apply(tuple(values))
            elif n.kind == "fill":
                from ..ops.create import filled
                made = filled(tuple(o.layout.shape), n.ins[0], o.dtype, device)
            elif n.kind == "fold":
                dims, keepdim, d = n.extra
                made = n.what.apply({"x": see(n.ins[0]), "dim": dims or None, "keepdim": keepdim, "dtype": d})
            else:
                made = n.what.apply({k: see(v) for k, v in n.ins.items()})
            for o, t in zip(n.outs, made if isinstance(made, tuple) else (made,)):
                if o is not None:
                    put(o, t if t.dtype is o.dtype else t.to(o.dtype))
        outs = b.graph.outputs
        results = [None if p is None else see(Ref(outs[p[0]], p[1], p[2])) for p in b.places]
        return results, [see(Ref(outs[o], b.layouts[i], sources[i].dtype)) for i, o in b.writes]

    @property
    def graph(self) -> Graph:
        """The graph at the sizes it was last run with, or the smallest."""
        if not self.bound:
            at = [max(s["min"], 2) for s in self.doc["symbols"]]
            self.bound[tuple(at)] = Bound(self.doc, at)
        return next(reversed(self.bound.values())).graph

    def states(self) -> dict[str, dict]:
        """Names of the tensors of the function's own that the graph reads, with how they lie."""
        return {where["state"]: where for where in self.doc["inputs"] if "state" in where}


class Bound:
    """A recording for fixed sizes, checked."""

    def __init__(self, doc: dict, at: Sequence[int]):
        try:
            doc = {k: v if k == "call" else sizes.at(v, at) for k, v in doc.items()}
            self.graph = document.load(doc["graph"])
            self.numbers = self.graph.numbers()
            self.inputs, self.writes, self.results = doc["inputs"], doc["writes"], doc["results"]
            self.shapes = [tuple([whole(n) for n in a["tensor"][1]]) if "tensor" in a else None
                           for a in doc["args"]]
            if len(self.inputs) != len(self.graph.inputs):
                raise damaged("it has inputs from nowhere")
            self.layouts = [self.where(w, v, doc) for w, v in zip(self.inputs, self.graph.inputs)]
            self.places = [self.place(r) for r in self.results]
            for i, o in self.writes:
                a, b = self.graph.inputs[i], self.graph.outputs[whole(o, 0, len(self.graph.outputs) - 1)]
                if (a.dtype, a.numel) != (b.dtype, b.numel):
                    raise damaged("a written block has another size")
        except (KeyError, TypeError, IndexError, ValueError, ZeroDivisionError, OverflowError) as e:
            raise damaged(f"{type(e).__name__}: {e}") from e

    def where(self, w: dict, v: Value, doc: dict) -> Layout:
        if "arg" in w:
            name, *lay = doc["args"][whole(w["arg"], 0, doc["arity"] - 1)]["tensor"]
        elif "state" in w:
            name, *lay = w["layout"]
        elif "range" in w:
            if whole(w["range"][2]) != v.numel or dtype(w["range"][3]).numpy != v.dtype.numpy:
                raise damaged("a constant has another size")
            return contiguous((v.numel,))
        else:
            whole(w["tensor"])
            return contiguous((v.numel,))
        found = layout(*lay)
        if dtype(name).numpy != v.dtype.numpy or found.numel and found.span() > v.numel:
            raise damaged("an input lies outside its memory")
        if "arg" in w and not (found.covers() and found.numel == v.numel and not found.offset):
            raise damaged("an argument is not the whole of its memory")
        return found

    def place(self, r: dict) -> tuple | None:
        if "const" in r:
            return None
        at = whole(r["at"], 0, len(self.graph.outputs) - 1)
        name, *lay = r["layout"]
        seen, v = layout(*lay), self.graph.outputs[at]
        if seen.numel and seen.span() * dtype(name).itemsize > v.numel * v.dtype.itemsize:
            raise damaged("a result lies outside its memory")
        return at, seen, dtype(name)


def _op(name: str) -> Any:
    from ..dispatch import registry
    return registry[name]


def _layout(t: Tensor) -> list:
    return [t.dtype.name, list(t.layout.shape), list(t.layout.strides), t.layout.offset]


def _laid(t: Tensor, seen: Layout) -> Tensor:
    """A copy that lies as `seen`."""
    from ..ops.convert import move
    if tuple(t.layout.shape) != tuple(seen.shape):
        raise RuntimeError(f"a tensor of shape {list(t.layout.shape)} stands where the graph was recorded "
                           "with "
                           f"{list(seen.shape)}")
    out = fresh(seen, t.dtype, cpu)
    move(out, t)
    return out


def _flat(t: Tensor, made: Layout, v: Value, d: D.dtype) -> Tensor:
    """A value's block of memory as a vector, on the tape."""
    if not made.covers() or made.numel * t.dtype.itemsize != v.numel * v.dtype.itemsize:
        if t.storage.device is meta or t.storage.array is None or t.storage.array.size != v.numel:
            raise NotImplementedError("a tensor of the graph is a part of a larger block of memory")
        return t.as_strided((v.numel,), (1,), 0)
    order = sorted(range(len(made.shape)), key=lambda i: (-made.strides[i], made.shape[i] == 1))
    out = t.permute(order).reshape(-1)
    return out if d is t.dtype else out.view(d)


def _range(a: np.ndarray) -> dict | None:
    """How arange made an array of integers, or of floats that are integers."""
    if a.ndim != 1 or a.size < 2 or a.dtype.kind not in "if":
        return None
    start, step = float(a[0]), float(a[1]) - float(a[0])
    if not (start.is_integer() and step.is_integer() and step and abs(start) + abs(step) * a.size < 2**24):
        return None
    if not np.array_equal(a, np.arange(a.size, dtype=np.int64) * int(step) + int(start)):
        return None
    d = D.by_numpy.get(a.dtype)
    return None if d is None else {"range": [int(start), int(step), a.size, d.name]}


def _words(call: Any) -> str:
    """How a call's arguments are built, for people."""
    args, kwargs = call["tuple"]
    n = len(args["list"])
    words = f"{n} argument{'s' if n != 1 else ''}"
    keys = [k for k, _ in kwargs["dict"]]
    return words + (f" and {', '.join(keys)}" if keys else "")
