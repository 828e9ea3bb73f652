"""The graph: what a stretch of running code computes, as values in blocks of memory.

A Value is the content of one block of memory at one time; a write makes a new Value. Views are no nodes: an
operand is a Ref, a value seen through a layout, so transposes, slices and reshapes cost nothing and hide
nothing from the scheduler."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from .. import dtypes as D
from ..layouts import Layout


class Value:
    """`numel` elements of `dtype` that one block of memory holds between two writes.

    `node` made it (None: an input, or memory nobody has written); `array` is there once it is known."""

    __slots__ = ("node", "dtype", "numel", "array", "tracer", "device")

    def __init__(self, node, dtype: D.dtype, numel: int, array, tracer, device):
        self.node, self.dtype, self.numel, self.array = node, dtype, numel, array
        self.tracer, self.device = tracer, device


class Ref(NamedTuple):
    """A value as an operation sees it: through a layout, as elements of a dtype."""
    value: Value
    layout: Layout
    dtype: D.dtype


class Out(NamedTuple):
    """What a node writes: `value` is the block after the write, `base` the block before it, where elements
    of that stay (None: the layout covers the block)."""
    value: Value
    layout: Layout
    dtype: D.dtype
    base: Value | None


class Node:
    """One operation: `kind` "map" (a pointwise plan), "fold" (a reduction), "call" (an opaque op) or "fill"
    (a number).

    `ins`: Refs and numbers, in the order of the operation's operands (of a call: all arguments by name,
    lists of Refs where it takes lists). `what`: the Plan, the Reduction, the Opaque op."""

    __slots__ = ("kind", "what", "ins", "outs", "extra")

    def __init__(self, kind: str, what: Any, ins: Any, outs: Sequence[Out | None], extra: tuple = ()):
        self.kind, self.what, self.ins, self.outs, self.extra = kind, what, ins, tuple(outs), extra

    def refs(self) -> list[Ref]:
        """The operands that are values."""
        found: list[Ref] = []
        for v in self.ins.values() if isinstance(self.ins, dict) else self.ins:
            if type(v) is Ref:
                found.append(v)
            elif isinstance(v, list | tuple):
                found += [r for r in v if type(r) is Ref]
        return found

    def reads(self) -> list[Value]:
        """The values this node needs: its operands, and blocks of which it writes a part."""
        bases = [o.base for o in self.outs if o is not None and o.base is not None]
        return [r.value for r in self.refs()] + bases

    @property
    def name(self) -> str:
        return "fill" if self.kind == "fill" else self.what.name

    def __repr__(self) -> str:
        shape = next((list(o.layout.shape) for o in self.outs if o is not None), [])
        return f"{self.name}{shape}"


class Same:
    """An object, equal to itself only."""

    __slots__ = ("it",)

    def __init__(self, it: Any):
        self.it = it

    def __eq__(self, other) -> bool:
        return type(other) is Same and self.it is other.it

    def __hash__(self) -> int:
        return id(self.it)


class Graph:
    """Nodes in the order they were recorded, without those that nothing needs; `inputs` are values that were
    known before, `outputs` those wanted after."""

    def __init__(self, nodes: Sequence[Node], inputs: Sequence[Value], outputs: Sequence[Value],
                 effects: bool = True):
        wanted = {id(v) for v in outputs}
        kept: list[Node] = []
        for n in reversed(nodes):
            if (effects and n.extra == ("effect",)) or any(
                    o is not None and id(o.value) in wanted for o in n.outs):
                kept.append(n)
                wanted.update(id(v) for v in n.reads())
        self.nodes, self.inputs, self.outputs = kept[::-1], list(inputs), list(outputs)

    def numbers(self, followed: Mapping[tuple[int, int], Any] = MappingProxyType({})) -> list:
        """The Python numbers in maps and fills, in the order of the nodes: inputs of the compiled graph.
        `followed` has the Numbers among them, by (id of the node, operand)."""
        return [followed.get((id(n), i), v) for n in self.nodes if n.kind in ("map", "fill")
                for i, v in enumerate(n.ins) if type(v) is not Ref]

    def key(self) -> tuple:
        """Equal for graphs that one Program serves: same nodes on the same types and layouts. It holds the
        objects that calls take as arguments (a Generator), so that they are not taken for others."""
        names: dict[int, int] = {}
        name = lambda v: names.setdefault(id(v), len(names))

        def form(v: Any) -> Any:
            if type(v) is Ref:
                return ("ref", name(v.value), v.layout, v.dtype)
            if isinstance(v, list | tuple):
                return (type(v), *map(form, v))
            if v is None or isinstance(v, bool | int | float | complex | str | slice | D.dtype):
                return (type(v), repr(v))
            return Same(v)
        ins = tuple([(v.dtype, v.numel, name(v)) for v in self.inputs])
        nodes = []
        for n in self.nodes:
            if n.kind == "call":
                what: Any = (n.what.name, tuple([(k, form(v)) for k, v in n.ins.items()]))
            else:
                args = tuple([form(v) if type(v) is Ref else type(v) for v in n.ins])
                what = (n.what.tag, n.what.names, n.what.shape, args) if n.kind == "map" else \
                    (n.what.name, n.extra, args) if n.kind == "fold" else args
            outs = tuple([None if o is None else (o.value.dtype, o.value.numel, o.layout, o.dtype,
                                                  -1 if o.base is None else name(o.base), name(o.value))
                          for o in n.outs])
            nodes.append((n.kind, what, outs))
        return ins, tuple(nodes), tuple([(v.dtype, v.numel, name(v)) for v in self.outputs])

    def __repr__(self) -> str:
        names: dict[int, str] = {id(v): f"in{i}" for i, v in enumerate(self.inputs)}

        def show(v: Any) -> str:
            if type(v) is Ref:
                seen = "" if v.layout.numel == v.value.numel and v.layout.contiguous else \
                    f"[{list(v.layout.shape)} strides {list(v.layout.strides)} + {v.layout.offset}]"
                return names.setdefault(id(v.value), f"e{len(names)}") + seen
            if isinstance(v, list | tuple):
                return f"[{', '.join(map(show, v))}]"
            return repr(v)
        lines = []
        for n in self.nodes:
            args = [f"{k}={show(v)}" for k, v in n.ins.items()] if isinstance(n.ins, dict) else \
                list(map(show, n.ins))
            text = f"{n.name}({', '.join(args)})"
            made = []
            for o in n.outs:
                if o is not None:
                    names[id(o.value)] = f"v{len(names)}"
                    made.append(f"{names[id(o.value)]}: {o.dtype.name}{list(o.layout.shape)}"
                                + (f" in {names.get(id(o.base), '?')}" if o.base is not None else ""))
            lines.append(f"{', '.join(made)} = {text}")
        return "\n".join([*lines, f"return {', '.join(names.get(id(o), '?') for o in self.outputs)}"])
