"""One operation of a graph."""
from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

Target = Callable | str
Argument = Any  # a Node, a constant, or tuples, lists, dicts and slices of them

OPS = frozenset({"placeholder", "get_attr", "call_function", "call_method", "call_module", "output", "root"})
# Functions whose calls stay although nobody uses the result.
_side_effectful_functions: set[Callable] = {print}


def has_side_effect(fn: Callable) -> Callable:
    """Decorator: calls of `fn` stay in graphs although nobody uses the result."""
    _side_effectful_functions.add(fn)
    return fn


def map_aggregate(a: Argument, fn: Callable[[Any], Any]) -> Argument:
    """`fn` of every leaf of nested tuples, lists, dicts and slices; their structure is kept."""
    if isinstance(a, tuple):
        parts = [map_aggregate(v, fn) for v in a]
        return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
    if isinstance(a, list):
        return [map_aggregate(v, fn) for v in a]
    if isinstance(a, dict):
        return {k: map_aggregate(v, fn) for k, v in a.items()}
    if isinstance(a, slice):
        return slice(*[map_aggregate(v, fn) for v in (a.start, a.stop, a.step)])
    return fn(a)


def map_arg(a: Argument, fn: Callable[[Node], Any]) -> Argument:
    """`fn` of every Node in an argument."""
    assert callable(fn), "torch.fx.map_arg(a, fn): fn must be a callable"
    return map_aggregate(a, lambda x: fn(x) if isinstance(x, Node) else x)


def qualified_name(function: Callable) -> str:
    """A function as generated code names it: torch.relu, torch.nn.functional.gelu, operator.add, …"""
    from ..overrides import resolve_name
    name = function.__name__
    if getattr(builtins, name, None) is function:
        return name
    known = resolve_name(function)
    if known is not None:
        return known
    module = (getattr(function, "__module__", None) or "").replace("_operator", "operator")
    if module.split(".")[0] == "numtorch":
        module = "torch" + module.removeprefix("numtorch")
    return f"{module}.{name}"


class Node:
    """An operation: `op` says what it does with `target`; `args` and `kwargs` hold Nodes where results of
    others are used; `users` are the nodes that use this one's.

    op: "placeholder" (an input, target its name), "get_attr" (target a path), "call_function" (a callable),
    "call_method" (a name, args[0] the object), "call_module" (a path), "output" (args[0] is returned)."""

    def __init__(self, graph, name: str, op: str, target: Target, args: tuple, kwargs: dict,
                 return_type: Any = None):
        if op not in OPS:
            raise AssertionError(f"Node [graph = {graph}, name = '{name}'] has op '{op}', not one of "
                                 f"{sorted(OPS)}")
        if op == "call_function" and not callable(target):
            raise ValueError(f"Node [graph = {graph}, name = '{name}', op = '{op}'] target {target} has type "
                             f"{type(target).__name__} but a Callable is expected")
        if op not in ("call_function", "root") and not isinstance(target, str):
            raise ValueError(f"Node [graph = {graph}, name = '{name}', op = '{op}'] target {target} has type "
                             f"{type(target).__name__} but a str is expected")
        self.graph, self.name, self.op, self.target, self.type = graph, name, op, target, return_type
        self.users: dict[Node, None] = {}
        self._inputs: dict[Node, None] = {}
        self._args: tuple = ()
        self._kwargs: dict = {}
        self.meta: dict[str, Any] = {}
        self._prev: Node = self
        self._next: Node = self
        self._erased = False
        self._set(tuple(args), dict(kwargs))

    # ---------------------------------------------------------------------------------------- its neighbours
    @property
    def next(self) -> Node:
        """The node after this one; the graph's root after the last."""
        return self._next

    @property
    def prev(self) -> Node:
        """The node before this one; the graph's root before the first."""
        return self._prev

    def prepend(self, x: Node) -> None:
        """Move or put `x` before this node."""
        if x.graph is not self.graph:
            raise AssertionError("Attempting to move a Node into a different Graph")
        if x is self:
            return
        x._unlink()
        before = self._prev
        before._next, x._prev, x._next, self._prev = x, before, self, x

    def append(self, x: Node) -> None:
        """Move or put `x` after this node."""
        self._next.prepend(x)

    def _unlink(self) -> None:
        self._prev._next, self._next._prev = self._next, self._prev

    # ------------------------------------------------------------------------------------------ its operands
    @property
    def args(self) -> tuple:
        return self._args

    @args.setter
    def args(self, value: tuple) -> None:
        self._set(value, self._kwargs)

    @property
    def kwargs(self) -> dict:
        return self._kwargs

    @kwargs.setter
    def kwargs(self, value: dict) -> None:
        self._set(self._args, value)

    def _set(self, args: Any, kwargs: Any) -> None:
        for n in self._inputs:
            n.users.pop(self, None)
        self._inputs = {}

        def use(n: Node) -> Node:
            self._inputs.setdefault(n)
            n.users.setdefault(self)
            return n
        self._args, self._kwargs = map_arg(args, use), map_arg(kwargs, use)

    @property
    def all_input_nodes(self) -> list[Node]:
        """The nodes in args and kwargs, each once, in order."""
        return list(self._inputs)

    def update_arg(self, idx: int, arg: Argument) -> None:
        """Set one positional argument."""
        args = list(self._args)
        args[idx] = arg
        self.args = tuple(args)

    def insert_arg(self, idx: int, arg: Argument) -> None:
        """Put a positional argument before number `idx`."""
        if not 0 <= idx <= len(self._args):
            raise AssertionError("insert_args index must be between 0 and len(self.args)")
        self.args = (*self._args[:idx], arg, *self._args[idx:])

    def update_kwarg(self, key: str, arg: Argument) -> None:
        """Set one keyword argument."""
        self.kwargs = {**self._kwargs, key: arg}

    def replace_input_with(self, old_input: Node, new_input: Node) -> None:
        """Use `new_input` wherever this node uses `old_input`."""
        swap = lambda n: new_input if n is old_input else n
        self._set(map_arg(self._args, swap), map_arg(self._kwargs, swap))

    def replace_all_uses_with(self, replace_with: Node,
                              delete_user_cb: Callable[[Node], bool] = lambda n: True, *,
                              propagate_meta: bool = False) -> list[Node]:
        """Let the users of this node use another; those for which `delete_user_cb` is False keep it."""
        if propagate_meta:
            replace_with.meta.update(self.meta)
        changed = [user for user in self.users if delete_user_cb(user)]
        for user in changed:
            user.replace_input_with(self, replace_with)
        return changed

    @property
    def stack_trace(self) -> str | None:
        return self.meta.get("stack_trace")

    @stack_trace.setter
    def stack_trace(self, trace: str | None) -> None:
        self.meta["stack_trace"] = trace

    def is_impure(self) -> bool:
        """Whether the node has an effect besides its result, so that it stays where nobody uses that."""
        if self.op in ("placeholder", "output"):
            return True
        if self.op == "call_function":
            name = getattr(self.target, "__name__", "")
            return self.target in _side_effectful_functions or name == "setitem" or name.startswith("_assert")
        if self.op == "call_method":
            name = str(self.target)
            return name.endswith("_") and not name.endswith("__")
        return False

    # ------------------------------------------------------------------------------------------------- text
    def format_node(self, placeholder_names: list[str] | None = None,
                    maybe_return_typename: list[str] | None = None) -> str:
        """One line of the graph's text."""
        if self.op == "output":
            return f"return {self.args[0]}"
        kind = "" if self.type is None else f"{type_text(self.type)} "
        head = f"%{self.name} : {kind}[num_users={len(self.users)}] = {self.op}"
        if self.op == "placeholder":
            default = f"(default={self.args[0]})" if self.args else ""
            return f"{head}[target={self.target}]{default}"
        if self.op == "get_attr":
            return f"{head}[target={self.target}]"
        name = self.target
        if callable(name):
            text = qualified_name(name)
            name = text if "." in text else f"builtins.{text}"
        return f"{head}[target={name}](args = {shown(self.args)}, kwargs = {shown(self.kwargs)})"

    def __repr__(self) -> str:
        return self.name

    def __deepcopy__(self, memo):
        raise RuntimeError("a Node is copied with its graph: copy.deepcopy(graph), or graph.node_copy(node)")


def shown(a: Argument) -> str:
    """An argument in the graph's text: nodes with a % before their name."""
    if isinstance(a, Node):
        return f"%{a.name}"
    if isinstance(a, tuple):
        return f"({', '.join(map(shown, a))}{',' if len(a) == 1 else ''})"
    if isinstance(a, list):
        return f"[{', '.join(map(shown, a))}]"
    if isinstance(a, dict):
        return f"{{{', '.join([f'{k}: {shown(v)}' for k, v in a.items()])}}}"
    if isinstance(a, slice):
        return f"slice({shown(a.start)}, {shown(a.stop)}, {shown(a.step)})"
    return qualified_name(a) if callable(a) else str(a)


def type_text(kind: Any) -> str:
    """A type annotation as text."""
    if not isinstance(kind, type):
        return str(kind).replace("numtorch.", "torch.").replace("torch.tensor.Tensor", "torch.Tensor")
    if kind.__module__ == "builtins":
        return kind.__qualname__
    module = kind.__module__
    if module.split(".")[0] == "numtorch":
        module = "torch" if kind.__name__ in ("Tensor", "dtype", "device", "Size") else "torch" + module[8:]
    return f"{module}.{kind.__qualname__}"
