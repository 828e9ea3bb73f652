"""torch.fx: modules and functions as graphs of calls that Python code can change.

    traced = fx.symbolic_trace(module)        # runs forward once, on Proxies
    for node in traced.graph.nodes: ...       # node.op, node.target, node.args, node.users
    traced.recompile()                        # forward is Python code made from the graph"""
from . import graph, graph_module, interpreter, node, passes, proxy, subgraph_rewriter
from ._symbolic_trace import Tracer, symbolic_trace, wrap
from .graph import Graph, PythonCode
from .graph_module import GraphModule
from .interpreter import Interpreter, Transformer
from .node import Node, has_side_effect, map_arg
from .proxy import Proxy
from .subgraph_rewriter import replace_pattern

__all__ = ["Graph", "GraphModule", "Interpreter", "Node", "Proxy", "PythonCode", "Tracer", "Transformer",
           "graph", "graph_module", "has_side_effect", "interpreter", "map_arg", "node", "passes", "proxy",
           "replace_pattern", "subgraph_rewriter", "symbolic_trace", "wrap"]
