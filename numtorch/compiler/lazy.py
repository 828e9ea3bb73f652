"""Lazy execution: while a Tracer is in force, what would run is recorded.

The dispatcher, the tape, nn and optim run as ever: they check, promote, allocate and record gradients. Only
the last step, a kernel that would fill memory, is put into a graph. Storages become Symbols, whose memory is
a Value; code that asks a Symbol for its array gets it, after everything recorded so far has run. So any
Python code gives the results it always gave, and what lies between two such questions is one graph."""
from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from .. import dtypes as D
from ..autograd import modes
from ..autograd.modes import state
from ..dispatch import cpu
from ..layouts import Layout
from ..storage import Storage
from ..tensor import Tensor
from . import interpret
from .environment import catches, root_of, users
from .graph import Graph, Node, Out, Ref, Value
from .number import Int, follow, plain, specialised, varies
from .polynomial import Atom

# item() of what so few operations on single elements make does not end a stretch: a step count
SMALL_NODES = 16

new = object.__new__
held = Storage.__dict__["array"]  # the slot itself, which Symbol's property hides


class Symbol(Storage):
    """A storage whose memory is not computed yet. It becomes a plain Storage when it is."""

    __slots__ = ()

    @property
    def array(self):
        value = held.__get__(self)
        if type(value) is not Value:  # another thread is about to change the class
            return value
        known = value.tracer.ask(value)
        return held.__get__(self) if known is None else known

    @array.setter
    def array(self, a) -> None:
        value = held.__get__(self)
        if type(value) is Value:
            value.tracer.ask(value)
        held.__set__(self, a)

    @property
    def nbytes(self) -> int:
        value = held.__get__(self)
        return value.numel * value.dtype.itemsize


class Tracer:
    """Records one stretch after another. `run(graph, values of its inputs) → arrays of its outputs` computes
    one."""

    def __init__(self, run: Callable[[Graph], list]):
        self.run = run
        self.thread = threading.get_ident()
        self.lock = threading.RLock()                  # other threads may ask for values
        self.nodes: list[Node] = []
        self.made: list[weakref.ref] = []              # Symbols without memory
        self.met: list[tuple[Storage, Value]] = []     # real storages, with their value before the stretch
        self.breaks: list[str] = []
        self.whole = False                             # raise at a break
        self.impure: list[str] = []
        self.born: set[int] = set()                    # ids of real storages made from numbers on the way
        self._kept: list[Storage] = []
        self.reads: list[tuple[Ref, Any]] = []         # what item() read, with the Number it gave
        self.numbers: dict[tuple[int, int], Any] = {}  # (id of a node, operand) → the Number given there
        self.decisions: list[tuple] = []               # (function, Numbers, outcome) the code acted upon
        self._decided: set[tuple] = set()
        self.varying: list = []                        # all Numbers that were made meanwhile
        self.checks = False                            # whether errors are to come as they would
        self.wrote: list[tuple[Storage, Value]] = []   # writes to what is in `met`, in order
        self._before: set[int] = set()                 # ids of those
        self.sized = False                             # whether sizes may be Numbers

    # ------------------------------------------------------------------------------------------ storages
    def fresh(self, layout: Layout, d: D.dtype, device) -> Tensor:
        """A new tensor whose memory will be written by what is recorded."""
        layout = self.settled(layout)
        s = new(Symbol)
        s.device, s.version = device, modes.born() if modes.inferring else 0
        held.__set__(s, Value(None, d, layout.numel, None, self, device))
        self.made.append(weakref.ref(s))
        t = new(Tensor)
        t.storage, t.layout, t.dtype = s, layout, d
        t._requires, t._node, t._base, t._views = False, None, None, None
        return t

    def value(self, s: Storage) -> Value:
        """The present content of a storage; a real one becomes a Symbol until the end of the stretch."""
        with self.lock:
            if type(s) is Symbol:
                return held.__get__(s)
            a = s.array
            v = Value(None, D.by_numpy.get(a.dtype, D.bfloat16), a.size, a, self, s.device)
            self.met.append((s, v))
            self._before.add(id(s))
            s.__class__ = Symbol
            held.__set__(s, v)
            return v

    def bear(self, s: Storage) -> None:
        """A real storage was made on the way, from numbers: a constant of the graph."""
        self.born.add(id(s))
        self._kept.append(s)

    def ref(self, t: Tensor) -> Ref:
        return Ref(self.value(t.storage), t.layout, t.dtype)

    def _out(self, t: Tensor) -> Out:
        """The value that a write to `t` makes."""
        before = self.value(t.storage)
        layout = t.layout
        whole = (layout.numel * t.dtype.itemsize == before.numel * before.dtype.itemsize and not layout.offset
                 and layout.covers())
        dtype, numel = (t.dtype, layout.numel) if whole else (before.dtype, before.numel)
        return Out(Value(None, dtype, numel, None, self, before.device), layout, t.dtype,
                   None if whole else before)

    def _add(self, kind: str, what, ins, targets: Sequence[Tensor | None], extra: tuple = ()) -> None:
        outs = [None if t is None else self._out(t) for t in targets]
        node = Node(kind, what, ins, outs, extra)
        self.nodes.append(node)
        if kind in ("map", "fill"):
            for i, v in enumerate(ins):
                if varies(v):
                    self.numbers[id(node), i] = v
                    ins[i] = plain(v)
        for t, o in zip(targets, outs):
            if t is not None and o is not None:
                o.value.node = node
                held.__set__(t.storage, o.value)
                if id(t.storage) in self._before:
                    self.wrote.append((t.storage, o.value))

    # ------------------------------------------------------------------------------------------ numbers
    def decide(self, fn: Callable, args: Sequence[Any], outcome: Any) -> None:
        """Code acts upon what fn of Numbers gives."""
        key = (fn, *[a.form if type(a) is Int else id(a) for a in args])
        if key not in self._decided:
            self._decided.add(key)
            self.decisions.append((fn, args, outcome))

    def settled(self, v: Any) -> Any:
        """An argument or a layout, where Numbers cannot be followed into it: it now depends on them."""
        if self.sized:
            return v
        if type(v) is Layout:
            if type(v.numel) is Int or varies(v.offset) or any(map(varies, (*v.shape, *v.strides))):
                shape, strides, offset = specialised((v.shape, v.strides, v.offset))
                return v.at(shape, strides, offset)
            return v
        return specialised(v)

    def ramp(self, start: Any, step: Any, n: Any, d: D.dtype) -> Tensor | None:
        """The n numbers from `start` on, where n varies and need not be known yet."""
        return None

    def fixed(self, v: Any) -> Any:
        """A number, or a list of them, of which memory is made at once."""
        return specialised(v)

    # --------------------------------------------------------------------------------------- what is recorded
    def map(self, plan, values: Sequence[Any], outs: Sequence[Tensor]) -> None:
        """A pointwise plan over tensors and numbers."""
        with self.lock:
            self._add("map", plan, [self.ref(v) if isinstance(v, Tensor) else v for v in values], outs)

    def fold(self, op, x: Tensor, dims: tuple, keepdim: bool, dtype, out: Tensor) -> None:
        """A reduction of x over dims."""
        extra = (self.settled(dims), self.settled(keepdim), dtype)
        with self.lock:
            self._add("fold", op, [self.ref(x)], (out,), extra)

    def call(self, op, args: dict[str, Any], outs: Sequence[Tensor | None]) -> None:
        """An opaque op."""
        with self.lock:
            ins: dict[str, Any] = {}
            for k, v in args.items():
                if isinstance(v, Tensor):
                    ins[k] = self.ref(v)
                elif isinstance(v, list | tuple) and any(isinstance(t, Tensor) for t in v):
                    ins[k] = [self.ref(t) if isinstance(t, Tensor) else t for t in v]
                else:
                    ins[k] = self.settled(v)
            checks = self.checks and op.raises
            self._add("call", op, ins, outs, ("effect",) if "generator" in args or checks else ())
        if checks and (line := caught()):
            self.leave(f"{line}: {op.name} may raise an error that is caught here")

    def fill(self, t: Tensor, number) -> None:
        """The same number everywhere in t."""
        if t.layout.numel:
            with self.lock:
                self._add("fill", None, [number], (t,))

    def item(self, t: Tensor) -> Any:
        """The one element of t as a Number, where a few operations on single elements make it; else None."""
        if t.storage.device is not cpu or t.dtype.is_complex:
            return None
        ref = self.ref(t)
        part = Graph(self.nodes, [], [ref.value], False)
        if len(part.nodes) > SMALL_NODES or any(
                n.kind == "call" or any(v.numel != 1 for v in n.reads() + [o.value for o in n.outs if o])
                for n in part.nodes):
            return None
        lazy, small, state.lazy, state.small = state.lazy, state.small, None, 0
        try:
            a = interpret.run(part)[0]
            value = interpret.tensor_on(a, ref.layout, ref.dtype).item()
        finally:
            state.lazy, state.small = lazy, small
        found = follow(int(value) if ref.dtype is D.bool else value, Atom())
        self.reads.append((ref, found))
        return bool(found) if ref.dtype is D.bool else found

    # ------------------------------------------------------------------------------------------ execution
    def leave(self, why: str) -> None:
        """Run what was recorded, because code follows that is not to be recorded."""
        self._break(why)
        self.flush()

    def stream(self, what: str) -> None:
        """Run what was recorded, because the state of a generator is about to be read or set."""
        self.leave(f"{here(False)}: {what}")

    def _break(self, why: str) -> None:
        self.breaks.append(why)
        if self.whole:
            raise Unsupported(f"fullgraph=True: {why}")

    def ask(self, value: Value) -> Any:
        """Make memory hold what was recorded, because Python wants to see it. Another thread that sees memory
        from before is given it as it is: what is recorded here has not happened yet."""
        with self.lock:
            if threading.get_ident() != self.thread:
                for s, before in self.met:
                    if before is value or type(s) is Symbol and held.__get__(s) is value:
                        return before.array
            self._break(f"{here()}: a value was read")
            self.flush()
            return None

    def flush(self) -> None:
        """Run what was recorded; every Symbol becomes a Storage."""
        with self.lock:
            self._flush()

    def _flush(self) -> None:
        lazy, state.lazy = state.lazy, None
        try:
            alive = [s for s in (r() for r in self.made) if s is not None and type(s) is Symbol]
            values = [held.__get__(s) for s in alive]
            written = [(s, v, now) for s, v in self.met if (now := held.__get__(s)) is not v]
            nodes, met, wrote = self.nodes, self.met, self.wrote
            self.nodes, self.made, self.met, self.wrote = [], [], [], []
            self._before.clear()
            wanted = values + [now for _, _, now in written]
            graph = Graph(nodes, [v for _, v in met], wanted)
            drawn = kept([g for n in graph.nodes if n.kind == "call" and (g := n.ins.get("generator"))])
            try:
                arrays = self.run(graph) if wanted or graph.nodes else []
            except Exception:
                put_back(drawn)
                self._partly(graph, met, wrote)
                raise
        except BaseException as e:
            for v in values:
                v.tracer = Failed(e)
            raise
        finally:
            state.lazy = lazy
            for s, v in met:
                become(s, v.array)
        for s, a in zip(alive, arrays):
            become(s, a)
        for (_, v, _), a in zip(written, arrays[len(alive):]):
            if a is not v.array:
                v.array[...] = a if a.dtype == v.array.dtype else a.view(v.array.dtype)


    def _partly(self, graph: Graph, met: Sequence[tuple], wrote: Sequence[tuple]) -> None:
        """Leave memory as it was when the operation that raises was called."""
        memory: dict[int, Any] = {}
        with contextlib.suppress(Exception):
            interpret.run(graph, memory)
        first = {id(s): v.array for s, v in met}
        for s, v in wrote:
            if id(s) in first and id(v) in memory:
                a, b = first[id(s)], memory[id(v)]
                a[...] = b if a.dtype == b.dtype else b.view(a.dtype)


def kept(generators: Sequence[Any]) -> list[tuple]:
    """The states of generators."""
    return [(g, g._seed, None if g._stream is None else g._stream.copy())
            for g in {id(g): g for g in generators}.values()]


def put_back(states: Sequence[tuple]) -> None:
    """Give generators the states that they had."""
    for g, seed, stream in states:
        g._seed, g._stream = seed, stream


def become(s: Storage, a: Any) -> None:
    """Make a Symbol the Storage of an array."""
    held.__set__(s, a)
    s.__class__ = Storage


class Unsupported(RuntimeError):
    """Code under compile(fullgraph=True) that cannot be in one graph. The message gives its line."""


class Failed:
    """Stands where a tensor was to be computed by a stretch that raised."""

    def __init__(self, cause: BaseException):
        self.cause = cause

    def ask(self, value: Value) -> None:
        raise RuntimeError("this tensor was not computed, because the compiled function that makes it "
                           "stopped with an error") from self.cause


def caught() -> str:
    """The line of user code inside a try statement that runs now; "" if there is none."""
    import sys
    f: Any = sys._getframe(2)
    while f is not None:
        if f.f_globals.get("__name__") in ("numtorch.compiler.record", "numtorch.compiler.family"):
            return ""
        if f.f_code.co_exceptiontable and users(root_of(f.f_globals.get("__name__"))) and \
                catches(f.f_code, f.f_lasti):
            return f"{f.f_code.co_filename}:{f.f_lineno}"
        f = f.f_back
    return ""


ASKING = ("lazy.py", "storage.py", "number.py", "family.py")  # files through which values are asked for


def here(deep: bool = True) -> str:
    """The innermost line of user code; with `deep`, also what it calls."""
    import sys
    f: Any = sys._getframe(1)
    inner: Any = f
    while f is not None and f.f_code.co_filename.endswith(ASKING):
        f = inner = f.f_back
    while f is not None and (f.f_globals.get("__name__") or "").startswith("numtorch"):
        f = f.f_back
    if f is None or inner is None:
        return "?"
    line = f"{f.f_code.co_filename}:{f.f_lineno}"
    if inner is f or not deep:
        return line
    code = inner.f_code
    return f"{line} (in {code.co_name}, {code.co_filename.rpartition('numtorch/')[2]}:{inner.f_lineno})"
