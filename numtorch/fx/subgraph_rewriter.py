"""Replacing parts of a graph that look like a pattern."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..nn import Module
from ._symbolic_trace import symbolic_trace
from .graph import Graph
from .graph_module import GraphModule, fetch, put
from .node import Node


class Match(NamedTuple):
    """Where a pattern was found: the node that makes its result, and the node here for each of the
    pattern's."""
    anchor: Node
    nodes_map: dict[Node, Node]


def _graph(what: Callable | Graph | GraphModule) -> Graph:
    return what if isinstance(what, Graph) else what.graph if isinstance(what, GraphModule) else \
        symbolic_trace(what).graph


def _same(a: Any, b: Any, found: dict[Node, Node]) -> bool:
    """Whether argument `b` looks like the pattern's `a`; fills `found`."""
    if isinstance(a, Node):
        if not isinstance(b, Node):
            return False
        if a in found:
            return found[a] is b
        if a.op != "placeholder":
            if a.op != b.op or a.target != b.target or len(a.args) != len(b.args) or \
                    a.kwargs.keys() != b.kwargs.keys():
                return False
        found[a] = b
        return a.op == "placeholder" or (_same(a.args, b.args, found) and _same(a.kwargs, b.kwargs, found))
    if isinstance(a, tuple | list):
        return type(a) is type(b) and len(a) == len(b) and all(_same(x, y, found) for x, y in zip(a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and \
            all(_same(v, b[k], found) for k, v in a.items())
    return type(a) is type(b) and a == b


def replace_pattern(gm: GraphModule, pattern: Callable | GraphModule,
                    replacement: Callable | GraphModule) -> list[Match]:
    """Replace every part of `gm` that does what `pattern` does by what `replacement` does; both take the same
    inputs. A part matches where functions, methods, module paths and constants are equal and its inner
    values are not used elsewhere; parts do not overlap. Returns where they were."""
    old, new = _graph(pattern), _graph(replacement)
    inputs = [n for n in old.nodes if n.op == "placeholder"]
    given = [n for n in new.nodes if n.op == "placeholder"]
    if len(inputs) != len(given):
        raise ValueError(f"the pattern has {len(inputs)} inputs, the replacement {len(given)}")
    result = old.output_node().args[0]
    if not isinstance(result, Node):
        raise NotImplementedError("replace_pattern of a pattern with several results")
    matches: list[Match] = []
    gone: set[Node] = set()
    for n in list(gm.graph.nodes):
        found: dict[Node, Node] = {}
        if n.op in ("placeholder", "output") or not _same(result, n, found):
            continue
        inner = {found[p] for p in found if p.op not in ("placeholder", "get_attr")}
        if inner & gone or any(user not in inner for v in inner - {n} for user in v.users):
            continue
        gone |= inner
        matches.append(Match(n, found))
    for match in matches:
        values = {p: match.nodes_map[q] for p, q in zip(given, inputs)}
        with gm.graph.inserting_before(match.anchor):
            value = gm.graph.graph_copy(new, values)
        assert isinstance(value, Node)
        match.anchor.replace_all_uses_with(value, lambda user, v=value: user is not v)  # type: ignore[misc]
        replaced = [match.nodes_map[p] for p in old.nodes if p in match.nodes_map and p.op != "placeholder"]
        for n in reversed(replaced):
            if not n.users:
                gm.graph.erase_node(n)
    if isinstance(replacement, Module):
        for n in new.nodes:
            if n.op in ("call_module", "get_attr"):
                try:
                    fetch(gm, str(n.target))
                except AttributeError:
                    put(gm, str(n.target), fetch(replacement, str(n.target)))
    gm.recompile()
    return matches
