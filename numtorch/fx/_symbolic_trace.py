"""Functions and modules become graphs: they run once, on Proxies."""
from __future__ import annotations

import builtins
import inspect
import math
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

from ..nn import Module, Parameter
from ..overrides import arm
from ..tensor import Tensor
from .graph import Graph
from .graph_module import GraphModule
from .node import Argument
from .proxy import TracerBase, _proxies

# Globals that fx.wrap names: (the module's globals, name); while a trace runs they are recorded, not run.
_wrapped: dict[tuple[int, str], dict[str, Any]] = {}


def wrap(fn_or_name: str | Callable) -> str | Callable:
    """Let traces record calls of a global function of the calling module instead of running it. At module
    level: `fx.wrap("len")`, `fx.wrap(f)` or as a decorator."""
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or string name")
    if callable(fn_or_name):
        name, space = fn_or_name.__name__, getattr(fn_or_name, "__globals__", None)
    else:
        name, space = fn_or_name, None
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    if frame.f_back.f_code.co_name != "<module>":
        raise NotImplementedError("wrap must be called at the top level of a module")
    space = frame.f_back.f_globals if space is None else space
    _wrapped[id(space), name] = space
    return fn_or_name


def is_wrapped(function: Any) -> bool:
    """Whether fx.wrap named this function."""
    return any(space.get(name) is function for (_, name), space in _wrapped.items())


class _Patches:
    """Attributes and globals set for the time of a trace."""

    def __init__(self) -> None:
        self.undo: list[Callable[[], None]] = []

    def attribute(self, owner: Any, name: str, value: Any) -> None:
        own = name in vars(owner)
        before = vars(owner).get(name)
        self.undo.append((lambda: setattr(owner, name, before)) if own else (lambda: delattr(owner, name)))
        setattr(owner, name, value)

    def item(self, space: dict, name: str, value: Any) -> None:
        own, before = name in space, space.get(name)
        self.undo.append((lambda: space.__setitem__(name, before)) if own else
                         (lambda: space.pop(name, None)))
        space[name] = value

    def __enter__(self) -> _Patches:
        return self

    def __exit__(self, *exc) -> None:
        for undo in reversed(self.undo):
            undo()


def _recorded(function: Callable) -> Callable:
    """The function, or a node where an argument is a Proxy."""
    def call(*args, **kwargs):
        found = _proxies((args, kwargs))
        if not found:
            return function(*args, **kwargs)
        return found[0].tracer.create_proxy("call_function", function, args, kwargs)
    call.__name__ = getattr(function, "__name__", "call")
    call.__wrapped__ = function  # type: ignore[attr-defined]
    return call


class Tracer(TracerBase):
    """Runs a module or function on Proxies and returns the graph of what it did.

    Subclasses override is_leaf_module (a leaf is one node), call_module, create_arg, create_proxy, proxy.
    autowrap_modules, autowrap_functions: modules and functions whose calls on Proxies are recorded."""

    def __init__(self, autowrap_modules: tuple[ModuleType, ...] = (math,),
                 autowrap_functions: tuple[Callable, ...] = (), param_shapes_constant: bool = False):
        self._functions = {id(v): v for m in autowrap_modules for n, v in vars(m).items()
                           if not n.startswith("_") and callable(v)}
        self._functions.update({id(f): f for f in autowrap_functions})
        self._modules = autowrap_modules
        self.param_shapes_constant = param_shapes_constant
        self.root: Module = Module()
        self.submodule_paths: dict[Module, str] | None = None

    # ----------------------------------------------------------------------------------------- what is what
    def is_leaf_module(self, m: Module, module_qualified_name: str) -> bool:
        """Whether calls of `m` are one node: modules of torch.nn but containers."""
        module = type(m).__module__
        return module.startswith(("numtorch.nn", "torch.nn", "torch.ao.nn")) and \
            type(m).__name__ not in ("Sequential",)

    def path_of_module(self, mod: Module) -> str:
        """The path of a submodule of the root."""
        for path, m in self.root.named_modules():
            if m is mod:
                return path
        raise NameError("module is not installed as a submodule")

    def _leaf(self, a: Any) -> Argument:
        if isinstance(a, Tensor):
            table = self.root.named_parameters() if isinstance(a, Parameter) else self.root.named_buffers()
            name = next((n for n, v in table if v is a), None)
            if name is None:
                name = next((n for n, v in vars(self.root).items() if v is a), None)
            if name is None and isinstance(a, Parameter):
                raise NameError("parameter is not a member of this module")
            if name is None:  # a constant: it becomes an attribute of the root
                k = 0
                while hasattr(self.root, f"_tensor_constant{k}"):
                    k += 1
                name = f"_tensor_constant{k}"
                setattr(self.root, name, a)
            return self.create_node("get_attr", name, (), {})
        if isinstance(a, Module):
            for name, m in self.root.named_modules():
                if m is a:
                    return self.create_node("get_attr", name, (), {})
        return super()._leaf(a)

    def call_module(self, m: Module, forward: Callable, args: tuple, kwargs: dict) -> Any:
        """What a call of a module gives: a node for leaves, else what its forward gives."""
        path = self.path_of_module(m)
        if not self.is_leaf_module(m, path):
            return forward(*args, **kwargs)
        return self.create_proxy("call_module", path, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """A module's attribute during the trace: of a parameter its node."""
        if isinstance(attr_val, Parameter):
            for name, p in self.root.named_parameters():
                if p is attr_val:
                    if name not in parameter_proxy_cache:
                        parameter_proxy_cache[name] = self.create_proxy("get_attr", name, (), {})
                    return parameter_proxy_cache[name]
        return attr_val

    # ------------------------------------------------------------------------------------------------ trace
    def trace(self, root: Module | Callable, concrete_args: dict[str, Any] | None = None) -> Graph:
        """The graph of a module's forward, or of a function. concrete_args: inputs with a fixed value."""
        arm()
        if isinstance(root, Module):
            self.root, function = root, type(root).forward
        else:
            self.root, function = Module(), root
        self.graph = Graph(tracer_cls=type(self))
        args, kwargs = self.create_args_for_root(function, isinstance(root, Module), concrete_args)
        cache: dict[str, Any] = {}
        call, find = Module.__call__, Module.__getattr__

        def patched_call(m, *args, **kwargs):
            return self.call_module(m, lambda *a, **k: call(m, *a, **k), args, kwargs)

        def patched_find(m, name):
            return self.getattr(name, find(m, name), cache)
        with _Patches() as patches:
            patches.attribute(Module, "__call__", patched_call)
            patches.attribute(Module, "__getattr__", patched_find)
            for module in self._modules:
                for name, value in list(vars(module).items()):
                    if id(value) in self._functions:
                        patches.attribute(module, name, _recorded(value))
            for name, value in list(getattr(function, "__globals__", {}).items()):
                if id(value) in self._functions:
                    patches.item(function.__globals__, name, _recorded(value))
            for (_, name), space in _wrapped.items():
                value = space.get(name, getattr(builtins, name, None))
                if value is None:
                    raise NotImplementedError(f"wrap: there is no {name} in the module that named it")
                patches.item(space, name, _recorded(value))
            result = _unstarred(function)(*args, **kwargs)
            annotation = getattr(function, "__annotations__", {}).get("return")
            self.create_node("output", "output", (self.create_arg(result),), {}, type_expr=annotation)
        return self.graph

    def create_args_for_root(self, root_fn: Callable, is_module: bool,
                             concrete_args: dict[str, Any] | None = None) -> tuple[list, dict]:
        """A placeholder for each parameter of the function."""
        parameters = list(inspect.signature(root_fn).parameters.values())
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        if is_module:
            args, parameters = [self.root], parameters[1:]
        kinds = inspect.Parameter
        for p in parameters:
            stars = "*" if p.kind is kinds.VAR_POSITIONAL else "**" if p.kind is kinds.VAR_KEYWORD else ""
            default = () if stars or p.default is kinds.empty else (p.default,)
            plain = p.annotation is not kinds.empty and not isinstance(p.annotation, str)
            annotation = p.annotation if plain else None
            value: Any = self.create_proxy("placeholder", stars + p.name, default, {}, type_expr=annotation)
            if concrete_args is not None and p.name in concrete_args:
                constant = concrete_args[p.name]
                if isinstance(constant, int | float | bool | str):
                    import numtorch
                    self.create_proxy("call_function", numtorch._assert, (
                        value == constant, f"{p.name} has been specialized to have value {constant} but got "
                        "another value"), {})
                value = constant
            if p.kind is kinds.KEYWORD_ONLY:
                kwargs[p.name] = value
            else:
                args.append(value)
        return args, kwargs


def _unstarred(function: Callable) -> Callable:
    """The function with *args and **kwargs as ordinary parameters: one Proxy stands for all of them."""
    code = getattr(function, "__code__", None)
    stars = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
    if code is None or not code.co_flags & stars or code.co_kwonlyargcount:
        return function
    count = code.co_argcount + bin(code.co_flags & stars).count("1")
    code = code.replace(co_flags=code.co_flags & ~stars, co_argcount=count)
    return FunctionType(code, function.__globals__, function.__name__, None, function.__closure__)


class _KeepModules(Tracer):
    """Every module is one node: for code that was generated from a graph."""

    def is_leaf_module(self, m: Module, module_qualified_name: str) -> bool:
        return True


def symbolic_trace(root: Module | Callable, concrete_args: dict[str, Any] | None = None) -> GraphModule:
    """The module or function as a GraphModule: its operations as a graph that can be changed, and Python code
    made from it."""
    tracer = Tracer()
    graph = tracer.trace(root, concrete_args)
    name = type(root).__name__ if isinstance(root, Module) else root.__name__
    return GraphModule(tracer.root, graph, name)


__all__ = ["FunctionType", "Tracer", "symbolic_trace", "wrap"]
