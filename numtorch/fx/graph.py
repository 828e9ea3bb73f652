"""Graphs of nodes, and their Python code."""
from __future__ import annotations

import builtins
import copy
import keyword
import math
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .node import Argument, Node, Target, map_arg, qualified_name, type_text

__all__ = ["Graph", "Node", "PythonCode"]

INFIX = {"add": "+", "sub": "-", "mul": "*", "floordiv": "//", "truediv": "/", "mod": "%", "pow": "**",
         "lshift": "<<", "rshift": ">>", "and_": "&", "or_": "|", "xor": "^", "matmul": "@", "eq": "==",
         "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">="}
FORMATS = {getattr(operator, name): f"{{}} {sign} {{}}" for name, sign in INFIX.items()}
FORMATS.update({operator.getitem: "{}[{}]", operator.pos: "+{}", operator.neg: "-{}",
                operator.invert: "~{}"})
INPLACE = {getattr(operator, name): f"{sign}=" for name, sign in {
    "iadd": "+", "isub": "-", "imul": "*", "ifloordiv": "//", "itruediv": "/", "imod": "%", "ipow": "**",
    "ilshift": "<<", "irshift": ">>", "iand": "&", "ior": "|", "ixor": "^", "imatmul": "@"}.items()}
RESERVED = {"inf", "nan", "NoneType", "torch", "device", "fx_pytree", "pytree"}


class PythonCode(NamedTuple):
    """The text of `forward`, and the globals that it needs."""
    src: str
    globals: dict[str, Any]


def snake_case(name: str) -> str:
    """LinearReLU → linear_relu."""
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()


class _Namespace:
    """Names that nodes have: identifiers, each once."""

    def __init__(self) -> None:
        self.used: dict[str, int] = {}

    def create(self, candidate: str) -> str:
        name = re.sub(r"[^0-9a-zA-Z_]+", "_", candidate) or "_unnamed"
        if name[0].isdigit():
            name = f"_{name}"
        match = re.fullmatch(r"(.*)_(\d+)", name)
        base, number = (match[1], int(match[2])) if match else (name, None)
        bad = keyword.iskeyword(name) or hasattr(builtins, name) or name in RESERVED
        if not bad and name not in self.used:
            self.used[name] = 0
            return name
        number = self.used.get(base, 0) if number is None else number
        while True:
            number += 1
            name = f"{base}_{number}"
            if name not in self.used:
                break
        self.used[base] = max(number, self.used.get(base, 0))
        self.used[name] = 0
        return name


class _Nodes:
    """The nodes in order; reversed() works too."""

    def __init__(self, graph: Graph, back: bool = False):
        self.graph, self.back = graph, back

    def __len__(self) -> int:
        return self.graph._len

    def __iter__(self) -> Iterator[Node]:
        root = self.graph._root
        n = root._prev if self.back else root._next
        while n is not root:
            following = n._prev if self.back else n._next
            if not n._erased:
                yield n
                following = n._prev if self.back else n._next
            n = following

    def __reversed__(self) -> _Nodes:
        return _Nodes(self.graph, not self.back)


class _Inserting:
    """Context: new nodes go before this one."""

    def __init__(self, graph: Graph, before: Node):
        self.graph, self.outer = graph, graph._before
        graph._before = before

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc) -> None:
        self.graph._before = self.outer


class Graph:
    """A function as a list of nodes, in the order in which they run.

    Nodes are made by placeholder, get_attr, call_function, call_method, call_module and output, at the place
    where inserting_before or inserting_after points, else at the end."""

    def __init__(self, owning_module=None, tracer_cls=None, tracer_extras=None):
        self._root = Node(self, "", "root", "", (), {})
        self._before, self._len = self._root, 0
        self._names = _Namespace()
        self.owning_module, self._tracer_cls, self._tracer_extras = owning_module, tracer_cls, tracer_extras

    @property
    def nodes(self) -> _Nodes:
        return _Nodes(self)

    def find_nodes(self, *, op: str, target: Target | None = None, sort: bool = True) -> list[Node]:
        """The nodes with this op and, if given, this target."""
        return [n for n in self.nodes if n.op == op and (target is None or n.target == target)]

    def output_node(self) -> Node:
        return next(n for n in reversed(self.nodes) if n.op == "output")

    # ------------------------------------------------------------------------------------------- new nodes
    def create_node(self, op: str, target: Target, args: tuple | None = None, kwargs: dict | None = None,
                    name: str | None = None, type_expr: Any = None) -> Node:
        """A new node at the point of insertion."""
        args, kwargs = args or (), kwargs or {}
        if not isinstance(args, tuple) or not isinstance(kwargs, dict):
            raise AssertionError("args must be a tuple and kwargs must be a dict")
        made = Node(self, self._names.create(name or self._candidate(target)), op, target, args, kwargs,
                    type_expr)
        self._before.prepend(made)
        self._len += 1
        return made

    def _candidate(self, target: Target) -> str:
        if isinstance(target, str):
            magic = re.fullmatch(r"__(\w+)__", target)
            return snake_case(magic[1] if magic else target.lstrip("*"))
        return snake_case(target.__name__.strip("_"))

    def placeholder(self, name: str, type_expr: Any = None, *default_value, **named) -> Node:
        """An input; `default_value` is what it is where the caller gives none."""
        args = default_value or tuple(named.values())
        return self.create_node("placeholder", name, args, type_expr=type_expr)

    def get_attr(self, qualified_name: str, type_expr: Any = None) -> Node:
        """A parameter, buffer or module of the root, by its path."""
        return self.create_node("get_attr", qualified_name, type_expr=type_expr)

    def call_function(self, the_function: Callable, args: tuple | None = None, kwargs: dict | None = None,
                      type_expr: Any = None, name: str | None = None) -> Node:
        return self.create_node("call_function", the_function, args, kwargs, name, type_expr)

    def call_method(self, method_name: str, args: tuple | None = None, kwargs: dict | None = None,
                    type_expr: Any = None) -> Node:
        """A method of args[0]."""
        return self.create_node("call_method", method_name, args, kwargs, type_expr=type_expr)

    def call_module(self, module_name: str, args: tuple | None = None, kwargs: dict | None = None,
                    type_expr: Any = None) -> Node:
        """The forward of a submodule, by its path."""
        return self.create_node("call_module", module_name, args, kwargs, type_expr=type_expr)

    def output(self, result: Argument, type_expr: Any = None) -> Node:
        return self.create_node("output", "output", (result,), type_expr=type_expr)

    def inserting_before(self, n: Node | None = None) -> _Inserting:
        """Context or statement: new nodes go before `n`; None: at the beginning."""
        return _Inserting(self, self._root._next if n is None else self._own(n))

    def inserting_after(self, n: Node | None = None) -> _Inserting:
        """Context or statement: new nodes go after `n`; None: at the end."""
        return _Inserting(self, self._root if n is None else self._own(n)._next)

    def _own(self, n: Node) -> Node:
        if n.graph is not self:
            raise AssertionError("Node to insert before is not in graph.")
        return n

    def node_copy(self, node: Node, arg_transform: Callable[[Node], Argument] = lambda x: x) -> Node:
        """A copy of a node of another graph; `arg_transform` says which nodes here its operands are."""
        made = self.create_node(node.op, node.target, map_arg(node.args, arg_transform),
                                map_arg(node.kwargs, arg_transform), node.name, node.type)
        made.meta = copy.copy(node.meta)
        return made

    def graph_copy(self, g: Graph, val_map: dict[Node, Node], return_output_node: bool = False):
        """Copy all nodes of `g` here; its output becomes the returned argument. val_map: nodes of `g` that
        are there already; filled."""
        for n in g.nodes:
            if n in val_map:
                continue
            if n.op == "output":
                value = map_arg(n.args[0], lambda v: val_map[v])
                return (value, n) if return_output_node else value
            val_map[n] = self.node_copy(n, lambda v: val_map[v])
        return None

    def __deepcopy__(self, memo=None) -> Graph:
        made = Graph(tracer_cls=self._tracer_cls)
        memo = {} if memo is None else memo
        memo[id(self)] = made
        values: dict[Node, Node] = {}
        result = made.graph_copy(self, values, True)
        if result is not None:
            value, old = result
            new = made.output(value, old.type)
            new.meta = copy.copy(old.meta)
        return made

    def erase_node(self, to_erase: Node) -> None:
        """Remove a node that nobody uses."""
        if to_erase.users:
            raise RuntimeError(f"Tried to erase Node {to_erase} but it still had {len(to_erase.users)} users "
                               f"in the graph: {to_erase.users}!")
        if to_erase.graph is not self:
            raise RuntimeError(f"Attempting to remove {to_erase} from wrong graph!")
        if to_erase._erased:
            return
        if self._before is to_erase:
            self._before = to_erase._next
        to_erase._set((), {})
        to_erase._unlink()
        to_erase._erased = True
        self._len -= 1

    def eliminate_dead_code(self, is_impure_node: Callable[[Node], bool] | None = None) -> bool:
        """Remove the nodes that nobody uses and that have no effect; whether there was one."""
        self.lint()
        impure = is_impure_node or Node.is_impure
        before = len(self.nodes)
        for n in reversed(self.nodes):
            if not impure(n) and not n.users:
                self.erase_node(n)
        return len(self.nodes) < before

    def lint(self) -> None:
        """RuntimeError where a node uses one that is not before it, or a name or path is wrong."""
        seen: set[Node] = set()
        names: set[str] = set()
        for n in self.nodes:
            if n.graph is not self:
                raise RuntimeError(f"Node '{n}' does not belong to this Graph!")
            if n.name in names:
                raise RuntimeError(f"Node redefined name {n.name}!")
            for operand in n.all_input_nodes:
                if operand.graph is not self:
                    raise RuntimeError(f"Argument '{operand}' of Node '{n}' does not belong to this Graph, "
                                       "but was used as an argument! If you are copying nodes from another "
                                       "graph, make sure to use ``arg_transform`` on node_copy() to remap "
                                       "values")
                if operand not in seen:
                    raise RuntimeError(f"Argument '{operand}' of Node '{n}' was used before it has been "
                                       f"defined! Please check that Nodes in the graph are topologically "
                                       f"ordered\n{self}")
            if self.owning_module is not None and n.op in ("get_attr", "call_module"):
                from .graph_module import fetch
                try:
                    fetch(self.owning_module, str(n.target))
                except AttributeError:
                    raise RuntimeError(f"Node {n} target {n.target} references nonexistent attribute of "
                                       "the owning module") from None
            seen.add(n)
            names.add(n.name)

    # ------------------------------------------------------------------------------------------------- text
    def python_code(self, root_module: str, *, verbose: bool = False) -> PythonCode:
        """The Python function `forward`, attributes looked up in `root_module` ("self")."""
        return _Writer(self, root_module).code()

    def print_tabular(self) -> None:
        """Print the nodes as a table."""
        rows = [["opcode", "name", "target", "args", "kwargs"],
                *[[n.op, n.name, str(n.target), str(n.args), str(n.kwargs)] for n in self.nodes]]
        widths = [max(len(r[k]) for r in rows) for k in range(5)]
        rows.insert(1, ["-" * w for w in widths])
        print("\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip() for r in rows))

    def __str__(self) -> str:
        return "graph():" + "".join([f"\n    {n.format_node()}" for n in self.nodes])

    __repr__ = object.__repr__


class _Writer:
    """Writes a graph as the text of a function."""

    def __init__(self, graph: Graph, root: str):
        self.graph, self.root = graph, root
        self.globals: dict[str, Any] = {}
        self.wrapped: dict[str, None] = {}
        self.names = {n.name for n in graph.nodes}

    def name_of(self, hint: str, value: Any) -> str:
        """The text by which code finds a global value."""
        if value is not None and getattr(builtins, hint, None) is value:
            return hint
        if hint.split(".")[0] == "torch":
            import numtorch
            self.globals["torch"] = numtorch
            return hint
        name = hint.replace(".", "_")
        while name in self.names or self.globals.get(name, value) is not value:
            name += "_1"
        self.globals[name] = value
        return name

    def type_name(self, kind: Any) -> str:
        if kind is type(None):
            return "None"
        text = type_text(kind)
        if isinstance(kind, type):
            return self.name_of(text, kind)
        name = f"annotation_{len(self.globals)}"
        self.globals[name] = kind
        return name

    def value(self, a: Argument) -> str:
        """An argument as an expression."""
        if isinstance(a, Node):
            return a.name
        if isinstance(a, tuple):
            parts = [self.value(v) for v in a]
            if hasattr(a, "_fields"):
                return f"{self.name_of(qualified_name(type(a)), type(a))}({', '.join(parts)})"
            return f"({', '.join(parts)}{',' if len(a) == 1 else ''})"
        if isinstance(a, list):
            return f"[{', '.join([self.value(v) for v in a])}]"
        if isinstance(a, dict):
            return f"{{{', '.join([f'{k!r}: {self.value(v)}' for k, v in a.items()])}}}"
        if isinstance(a, slice):
            return f"slice({self.value(a.start)}, {self.value(a.stop)}, {self.value(a.step)})"
        if isinstance(a, float) and not math.isfinite(a):
            return f"float('{a}')"
        if isinstance(a, type) or callable(a):
            return self.name_of(qualified_name(a), a)
        if type(a).__module__.split(".")[0] == "numtorch":  # dtypes, devices, layouts …
            text = repr(a)
            self.name_of("torch", None)
            return text if text.startswith("torch.") else f"torch.{text}"
        return repr(a)

    def call(self, n: Node) -> str:
        given = [self.value(v) for v in n.args] + [f"{k} = {self.value(v)}" for k, v in n.kwargs.items()]
        text = ", ".join(given)
        if n.op == "call_method":
            return f"{self.value(n.args[0])}.{n.target}({', '.join(given[1:])})"
        if n.op == "call_module":
            return f"{self.path(n)}({text})"
        function = n.target
        assert callable(function)
        if function in FORMATS and not n.kwargs:
            return FORMATS[function].format(*[self.value(v) for v in n.args])
        if function is getattr and len(n.args) == 2 and str(n.args[1]).isidentifier():
            return f"{self.value(n.args[0])}.{n.args[1]}"
        name = self.name_of(qualified_name(function), function)
        from ._symbolic_trace import is_wrapped
        if is_wrapped(function):
            self.wrapped[name] = None
        return f"{name}({text})"

    def path(self, n: Node) -> str:
        text = self.root
        for part in str(n.target).split("."):
            text = f"{text}.{part}" if part.isidentifier() else f'getattr({text}, "{part}")'
        return text

    def code(self) -> PythonCode:
        from ..tensor import Tensor  # noqa: F401  (a graph without calls names torch too)
        last: dict[Node, Node] = {}
        unused: dict[Node, list[Node]] = {}
        for n in reversed(self.graph.nodes):
            for operand in n.all_input_nodes:
                if operand not in last:
                    last[operand] = n
                    unused.setdefault(n, []).append(operand)
        inputs, body, returns = [], [], ""
        for n in self.graph.nodes:
            if n.op == "placeholder":
                kind = "" if n.type is None else f" : {self.type_name(n.type)}"
                default = f" = {self.value(n.args[0])}" if n.args else ""
                inputs.append(f"{n.target}{kind}{default}")
                bare = str(n.target).lstrip("*")
                if bare != n.name:
                    body.append(f"{n.name} = {bare}")
                continue
            if n.op == "output":
                if n.type is not None:
                    returns = f" -> {self.type_name(n.type)}"
                body.append(f"return {self.value(n.args[0])}")
                continue
            kind = "" if n.type is None else f" : {self.type_name(n.type)}"
            if n.op == "call_function" and n.target in INPLACE:
                a, b = map(self.value, n.args)
                line = f"{a} {INPLACE[n.target]} {b};  {n.name}{kind} = {a}"
            else:
                line = f"{n.name}{kind} = {self.path(n) if n.op == 'get_attr' else self.call(n)}"
            dead = [v.name for v in unused.get(n, ())] if n.users else \
                [*[v.name for v in unused.get(n, ())], n.name]
            if dead:
                line += ";  " + " = ".join(dead) + " = None"
            body.append(line)
        if not body:
            body = ["pass"]
        wraps = "".join([f'torch.fx._symbolic_trace.wrap("{name}")\n' for name in self.wrapped])
        if wraps:
            self.name_of("torch", None)
        lines = "".join([f"    {line}\n" for line in body])
        head = f"def forward({', '.join([self.root, *inputs])}){returns}:"
        src = f"\n{wraps or chr(10)}\n{head}\n{lines}    "
        return PythonCode(src, self.globals)
