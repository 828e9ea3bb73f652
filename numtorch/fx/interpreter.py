"""Running a graph node by node."""
from __future__ import annotations

from typing import Any

from .. import nn
from .graph import Graph
from .graph_module import GraphModule, fetch
from .node import Argument, Node, Target, map_aggregate, map_arg
from .proxy import Proxy, TracerBase


class Interpreter:
    """Runs a GraphModule node by node; subclasses override what a kind of node does.

    garbage_collect_values: values are dropped after their last use."""

    def __init__(self, module: nn.Module, garbage_collect_values: bool = True, graph: Graph | None = None):
        self.module: Any = module
        self.graph: Graph = graph if graph is not None else self.module.graph
        self.submodules = dict(module.named_modules())
        self.env: dict[Node, Any] = {}
        self.name = "Interpreter"
        self.extra_traceback = True
        self.garbage_collect_values = garbage_collect_values
        last: dict[Node, Node] = {}
        for n in reversed(self.graph.nodes):
            for operand in n.all_input_nodes:
                last.setdefault(operand, n)
        self.user_to_last_uses: dict[Node, list[Node]] = {}
        for operand, user in last.items():
            self.user_to_last_uses.setdefault(user, []).append(operand)

    def run(self, *args, initial_env: dict[Node, Any] | None = None,
            enable_io_processing: bool = True) -> Any:
        """The result for these inputs. initial_env: nodes whose values are known."""
        self.env = {} if initial_env is None else dict(initial_env)
        self.args_iter = iter(args)
        for n in self.graph.nodes:
            if n in self.env:
                continue
            try:
                self.env[n] = self.run_node(n)
            except Exception as e:
                if self.extra_traceback:
                    e.add_note(f"While executing {n.format_node()}")
                raise
            if self.garbage_collect_values:
                for done in self.user_to_last_uses.get(n, ()):
                    del self.env[done]
            if n.op == "output":
                return self.env[n]
        return None

    def boxed_run(self, args_list: list) -> Any:
        """run(*args_list); the list is emptied, so that nothing else holds the inputs."""
        args = list(args_list)
        args_list.clear()
        return self.run(*args)

    def run_node(self, n: Node) -> Any:
        """The value of one node."""
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return getattr(self, n.op)(n.target, args, kwargs)

    def placeholder(self, target: Target, args: tuple, kwargs: dict) -> Any:
        """The next input, or its default."""
        assert isinstance(target, str)
        if target.startswith("*"):
            return list(self.args_iter)
        try:
            return next(self.args_iter)
        except StopIteration:
            if args:
                return args[0]
            raise RuntimeError(f"Expected positional argument for parameter {target}, but one was not passed "
                               "in!") from None

    def get_attr(self, target: Target, args: tuple, kwargs: dict) -> Any:
        return self.fetch_attr(str(target))

    def call_function(self, target: Target, args: tuple, kwargs: dict) -> Any:
        assert callable(target)
        return target(*args, **kwargs)

    def call_method(self, target: Target, args: tuple, kwargs: dict) -> Any:
        return getattr(args[0], str(target))(*args[1:], **kwargs)

    def call_module(self, target: Target, args: tuple, kwargs: dict) -> Any:
        return self.fetch_attr(str(target))(*args, **kwargs)

    def output(self, target: Target, args: tuple, kwargs: dict) -> Any:
        return args[0]

    def fetch_attr(self, target: str) -> Any:
        """The module's attribute at a path."""
        try:
            return fetch(self.module, target)
        except AttributeError:
            raise RuntimeError(f"Node referenced nonexistent target {target}!") from None

    def fetch_args_kwargs_from_env(self, n: Node) -> tuple[tuple, dict]:
        return self.map_nodes_to_values(n.args, n), self.map_nodes_to_values(n.kwargs, n)

    def map_nodes_to_values(self, args: Argument, n: Node) -> Argument:
        """The argument with values for nodes."""
        def value(operand: Node) -> Any:
            if operand not in self.env:
                raise RuntimeError(f"Node {n} referenced nonexistent value {operand}! Run Graph.lint() to "
                                   "diagnose such issues")
            return self.env[operand]
        return map_arg(args, value)


class _Appending(TracerBase):
    """Puts nodes into the new graph; modules and parameters keep their paths."""

    def __init__(self, graph: Graph, module: nn.Module):
        self.graph, self.module = graph, module

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


class Transformer(Interpreter):
    """An Interpreter on Proxies: transform() gives a new GraphModule of what its methods did."""

    def __init__(self, module: GraphModule):
        super().__init__(module, garbage_collect_values=False)
        self.new_graph = Graph()
        self.tracer = _Appending(self.new_graph, module)

    def placeholder(self, target: Target, args: tuple, kwargs: dict) -> Proxy:
        assert isinstance(target, str)
        return Proxy(self.new_graph.placeholder(target, None, *args), self.tracer)

    def get_attr(self, target: Target, args: tuple, kwargs: dict) -> Proxy:
        return self.tracer.create_proxy("get_attr", target, args, kwargs)

    def call_function(self, target: Target, args: tuple, kwargs: dict) -> Any:
        return self.tracer.create_proxy("call_function", target, args, kwargs)

    def call_method(self, target: Target, args: tuple, kwargs: dict) -> Any:
        return self.tracer.create_proxy("call_method", target, args, kwargs)

    def call_module(self, target: Target, args: tuple, kwargs: dict) -> Any:
        return self.tracer.create_proxy("call_module", target, args, kwargs)

    def transform(self) -> GraphModule:
        """The new module."""
        result = self.run(enable_io_processing=False)
        if result is not None:
            self.new_graph.output(map_aggregate(result, lambda v: v.node if isinstance(v, Proxy) else v))
        return GraphModule(self.module, self.new_graph, type(self.module).__name__)
