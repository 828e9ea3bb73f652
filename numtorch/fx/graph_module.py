"""Modules whose forward is generated from a graph."""
from __future__ import annotations

import copy
import itertools
import linecache
from typing import Any

from ..nn import Module, Parameter
from ..tensor import Tensor
from .graph import Graph, PythonCode

_files = itertools.count()


def fetch(root: Module, path: str) -> Any:
    """The attribute at a dotted path; AttributeError where there is none."""
    for part in path.split("."):
        root = getattr(root, part)
    return root


def put(root: Module, path: str, value: Any) -> None:
    """Set the attribute at a dotted path; modules on the way are made."""
    *way, last = path.split(".")
    for part in way:
        if not hasattr(root, part):
            root.add_module(part, Module())
        root = getattr(root, part)
    if isinstance(value, Tensor) and not isinstance(value, Parameter):
        root.register_buffer(last, value)
    else:
        setattr(root, last, value)


class GraphModule(Module):
    """A module made from a graph: forward is the code that the graph gives.

    root: a Module, or a dict from paths to modules, parameters and buffers; those that the graph names are
    taken over. Setting `graph` generates the code; after changing a graph in place call recompile()."""

    def __new__(cls, *args, **kwargs):
        # each has a class of its own, for its own forward
        base = next(k for k in cls.__mro__ if "_generated" not in vars(k))
        return super().__new__(type(base.__name__, (base,), {"_generated": True}))

    def __init__(self, root: Module | dict[str, Any], graph: Graph, class_name: str = "GraphModule"):
        super().__init__()
        type(self).__name__ = class_name
        self.meta: dict[str, Any] = {}
        wanted = [str(n.target) for n in graph.nodes if n.op in ("get_attr", "call_module")]
        if isinstance(root, Module):
            if hasattr(root, "training"):
                self.training = root.training
            for path in wanted:
                try:
                    value = fetch(root, path)
                except AttributeError:
                    raise RuntimeError(f"Node references the target {path}, which the root module does not "
                                       "have") from None
                put(self, path, value)
        elif isinstance(root, dict):
            for path in sorted(set(wanted), key=lambda t: t.count(".")):
                if path not in root:
                    raise RuntimeError(f"Node in graph tried to reference target {path} but it was not "
                                       "provided in ``root``!")
                put(self, path, root[path])
        else:
            raise RuntimeError("Unsupported type for root: a Module or a dict from paths to objects")
        self.graph = graph

    @property
    def graph(self) -> Graph:
        return self._graph

    @graph.setter
    def graph(self, g: Graph) -> None:
        if not isinstance(g, Graph):
            raise AssertionError(f"Expected a Graph instance, but got {type(g).__name__}")
        self._graph = copy.deepcopy(g) if g.owning_module not in (None, self) else g
        g.owning_module = self._graph.owning_module = self
        self.recompile()

    def recompile(self) -> PythonCode:
        """Generate forward from the graph."""
        made = self._graph.python_code("self")
        self._code = made.src
        space = dict(made.globals)
        file = f"<eval_with_key>.{next(_files)}"
        exec(compile(made.src, file, "exec"), space)
        linecache.cache[file] = (len(made.src), None, made.src.splitlines(True), file)  # for tracebacks
        type(self).forward = space["forward"]
        return made

    @property
    def code(self) -> str:
        """The Python text of forward."""
        return self._code

    def print_readable(self, print_output: bool = True, **options) -> str:
        """The class with its forward as text; printed unless `print_output` is False."""
        lines = "\n".join([f"    {line}".rstrip() for line in self._code.strip().splitlines()])
        text = f"class {type(self).__name__}(torch.nn.Module):\n{lines}\n"
        if print_output:
            print(text)
        return text

    def add_submodule(self, target: str, m: Module) -> bool:
        """Install a module at a path; False where something else is in the way."""
        *way, last = target.split(".")
        at: Any = self
        for part in way:
            if not hasattr(at, part):
                at.add_module(part, Module())
            at = getattr(at, part)
            if not isinstance(at, Module):
                return False
        at.add_module(last, m)
        return True

    def delete_submodule(self, target: str) -> bool:
        """Remove the module at a path; False where there is none."""
        *way, last = target.split(".")
        at: Any = self
        for part in way:
            at = getattr(at, part, None)
        if not isinstance(at, Module) or last not in at._modules:
            return False
        del at._modules[last]
        return True

    def delete_all_unused_submodules(self) -> None:
        """Remove the modules that no node names."""
        used: set[str] = set()
        for n in self.graph.nodes:
            if n.op in ("call_module", "get_attr"):
                parts = str(n.target).split(".")
                used.update(".".join(parts[:k]) for k in range(1, len(parts) + 1))
                if n.op == "call_module":
                    inner = fetch(self, str(n.target)).named_modules()
                    used.update(f"{n.target}.{name}" for name, _ in inner)
        for name in [name for name, _ in self.named_modules() if name and name not in used]:
            self.delete_submodule(name)

    def __deepcopy__(self, memo) -> GraphModule:
        root = Module()
        root.__dict__.update({k: copy.deepcopy(v, memo) for k, v in self.__dict__.items() if k != "_graph"})
        made = GraphModule(root, copy.deepcopy(self._graph), type(self).__name__)
        for name, buffer in root._buffers.items():
            if name not in made._buffers:
                made.register_buffer(name, buffer)
        made.meta, made.training = copy.copy(self.meta), self.training
        return made

    def __copy__(self) -> GraphModule:
        return GraphModule(self, copy.deepcopy(self._graph), type(self).__name__)

    def __reduce__(self):
        state = {k: v for k, v in self.__dict__.items() if k not in ("_graph", "_code")}
        return _rebuilt, (state, self._code, type(self).__name__)

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self._code}\n# To see more debug info, please use " \
               "`graph_module.print_readable()`"


def _rebuilt(state: dict[str, Any], code: str, name: str) -> GraphModule:
    """Unpickle: the graph is that of the code, traced again."""
    import numtorch

    from ._symbolic_trace import _KeepModules, wrap
    root = Module()
    root.__dict__.update(state)
    space = {"torch": numtorch, "wrap": wrap}
    exec(code, space)
    type_ = type("Root", (Module,), {"forward": space["forward"]})
    root.__class__ = type_
    made = GraphModule(root, _KeepModules().trace(root), name)
    made.training = root.training
    return made
