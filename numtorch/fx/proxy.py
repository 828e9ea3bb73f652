"""Values of a function under trace."""
from __future__ import annotations

import dis
import inspect
import operator
from collections.abc import Callable, Iterator
from typing import Any

from ..overrides import arm
from ..tensor import Tensor
from .graph import Graph
from .node import Argument, Node, Target, map_aggregate


class TraceError(ValueError):
    """The function asked for something about a value that is only known when it runs."""


class TracerBase:
    """Makes nodes of what Proxies see."""

    graph: Graph
    trace_asserts = False

    def create_node(self, kind: str, target: Target, args: tuple, kwargs: dict, name: str | None = None,
                    type_expr: Any = None) -> Node:
        return self.graph.create_node(kind, target, args, kwargs, name, type_expr)

    def proxy(self, node: Node) -> Proxy:
        return Proxy(node, self)

    def create_proxy(self, kind: str, target: Target, args: tuple, kwargs: dict, name: str | None = None,
                     type_expr: Any = None, proxy_factory_fn: Callable[[Node], Proxy] | None = None) -> Proxy:
        """A node with these arguments, and the Proxy of its value."""
        node = self.create_node(kind, target, self.create_arg(args), self.create_arg(kwargs), name, type_expr)
        return self.proxy(node) if proxy_factory_fn is None else proxy_factory_fn(node)

    def create_arg(self, a: Any) -> Argument:
        """A value as an argument of a node."""
        return map_aggregate(a, self._leaf)

    def _leaf(self, a: Any) -> Argument:
        if isinstance(a, Proxy):
            return a.node
        if isinstance(a, range):
            return range(self._leaf(a.start), self._leaf(a.stop), self._leaf(a.step))
        if a is None or a is ... or isinstance(a, str | int | float | bool | complex | Node) or callable(a) \
                or type(a).__module__.split(".")[0] in ("numtorch", "torch"):
            return a
        raise NotImplementedError(f"argument of type: {type(a)}")

    def to_bool(self, obj: Proxy) -> bool:
        raise TraceError("symbolically traced variables cannot be used as inputs to control flow")

    def iter(self, obj: Proxy) -> Iterator:
        raise TraceError("Proxy object cannot be iterated. This can be attempted when the Proxy is used in a "
                         "loop or as a *args or **kwargs function argument. See the torch.fx docs on pytorch."
                         "org for a more detailed explanation of what types of control flow can be traced, "
                         "and check out the Proxy docstring for help troubleshooting Proxy iteration errors")

    def keys(self, obj: Proxy) -> Any:
        """`**obj`: what its keys are."""
        return Attribute(obj, "keys")()


class GraphAppendingTracer(TracerBase):
    """A tracer that only adds to a graph."""

    def __init__(self, graph: Graph):
        self.graph = graph
        arm()


class Proxy:
    """Stands for the value of a node while a function is traced: what is done with it becomes nodes."""

    def __init__(self, node: Node, tracer: TracerBase | None = None):
        self.tracer = GraphAppendingTracer(node.graph) if tracer is None else tracer
        self.node = node

    def __repr__(self) -> str:
        return f"Proxy({self.node.name})"

    def __getattr__(self, k: str) -> Attribute:
        if k.startswith("__") and k.endswith("__"):  # protocols that NumPy, copy and pickle look for
            raise AttributeError(k)
        return Attribute(self, k)

    def __call__(self, *args, **kwargs) -> Proxy:
        return self.tracer.create_proxy("call_method", "__call__", (self, *args), kwargs)

    def __iter__(self) -> Iterator[Proxy]:
        frame = inspect.currentframe()
        caller = frame.f_back if frame is not None else None
        if caller is not None:  # `a, b = proxy` says how many values there are
            at = next((i for i in dis.get_instructions(caller.f_code) if i.offset >= caller.f_lasti), None)
            if at is not None and at.opname == "UNPACK_SEQUENCE":
                return (self.__getitem__(i) for i in range(at.argval))
        return self.tracer.iter(self)

    def __bool__(self) -> bool:
        return self.tracer.to_bool(self)

    def __len__(self) -> int:
        raise RuntimeError("'len' is not supported in symbolic tracing by default. If you want this call to "
                           "be recorded, please call torch.fx.wrap('len') at module scope")

    def __abs__(self) -> Proxy:
        return self.tracer.create_proxy("call_function", operator.abs, (self,), {})

    def keys(self):
        return self.tracer.keys(self)

    def __contains__(self, item) -> bool:
        raise TraceError("'in' needs the value: it cannot be traced")

    __hash__ = object.__hash__

    @classmethod
    def __torch_function__(cls, function: Callable, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tracers = {id(p.tracer): p.tracer for p in _proxies((args, kwargs))}
        if len(tracers) > 1:
            raise RuntimeError(f"Found multiple different tracers {list(tracers.values())} while trying to "
                               f"trace operations {function}")
        tracer = next(iter(tracers.values()))
        name = getattr(function, "__name__", "")
        method = vars(Tensor).get(name)
        if method is not None and method is function:
            return tracer.create_proxy("call_method", name, args, kwargs)
        return tracer.create_proxy("call_function", function, args, kwargs)


def _proxies(tree: Any) -> list[Proxy]:
    found: list[Proxy] = []
    map_aggregate(tree, lambda v: found.append(v) if isinstance(v, Proxy) else None)
    return found


class Attribute(Proxy):
    """`proxy.name`: a method if it is called, else a value read when the graph runs."""

    def __init__(self, root: Proxy, attr: str):
        self.root, self.attr, self.tracer = root, attr, root.tracer
        self._node: Node | None = None

    @property
    def node(self) -> Node:  # type: ignore[override]
        if self._node is None:
            self._node = self.tracer.create_proxy("call_function", getattr, (self.root, self.attr), {}).node
        return self._node

    def __call__(self, *args, **kwargs) -> Proxy:
        return self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)


def _operator(function: Callable, reverse: bool = False) -> Callable:
    def apply(self, *others):
        args = (*reversed(others), self) if reverse else (self, *others)
        return self.tracer.create_proxy("call_function", function, args, {})
    return apply


for _name in ("add sub mul floordiv truediv mod pow lshift rshift and_ or_ xor matmul").split():
    _short = _name.strip("_")
    setattr(Proxy, f"__{_short}__", _operator(getattr(operator, _name)))
    setattr(Proxy, f"__r{_short}__", _operator(getattr(operator, _name), True))
for _name in ("eq ne lt gt le ge getitem pos neg invert").split():
    setattr(Proxy, f"__{_name}__", _operator(getattr(operator, _name)))
setattr(Proxy, "__hash__", object.__hash__)  # noqa: B010  (__eq__ has taken it away)
