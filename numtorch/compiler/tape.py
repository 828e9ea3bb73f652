"""The backward pass of a recorded run, traced ahead: it becomes programs, and nodes of the tape.

A result that other results depend on is a point at which the tape can be joined (its gradient may be asked
for, hooked, or the result written to). So there is a level of programs below each such result: its own
gradients end there, and the node of the level below goes on."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..autograd.engine import FREED, Node, Output, edge
from ..tensor import Tensor


class Level:
    """Results of the function whose histories do not meet each other. `targets`: where their gradients go:
    leaves, arguments' nodes, or edges to results of levels below."""

    def __init__(self, results: list[int]):
        self.results = results
        self.targets: list[Any] = []
        self.cotangents: list[Any] = []     # values that stand for the results' gradients
        self.grads: list[Any] = []          # per target, its gradient (or None)
        self.nodes: list[Node] = []         # of the tape, between the results and the targets


def port(e: Any) -> tuple[int, int]:
    """An edge as a key: the id of its node and which of the results."""
    return (id(e.node), e.index) if type(e) is Output else (id(e), 0)


def inner(e: Any) -> Any:
    """The node, or leaf, that an edge leads to."""
    return e.node if type(e) is Output else e


def ends(edges: Iterable[Any], start: int, arguments: dict[int, Any], below: dict[int, Node],
         found: Level) -> str:
    """Collect the targets and nodes of a level; why it cannot be traced, if so. `below`: the nodes of lower
    levels' results."""
    targets: dict[tuple, Any] = {}
    seen: set[int] = set()
    stack = list(edges)
    while stack:
        e = stack.pop()
        node = inner(e)
        if node is None:
            continue
        if not isinstance(node, Node) or id(node) in arguments:
            targets[id(node), 0] = node
            continue
        if id(node) in below:
            targets[port(e)] = e
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.saved is None:
            return FREED
        if node.seq < start:
            return "a result depends on a tensor with a history of its own that is not an argument"
        if node.extra and any(node.extra.get(k) for k in ("hooks", "prehooks", "retained")):
            return "a node of the history has hooks"
        found.nodes.append(node)
        stack += node.edges
    found.targets = list(targets.values())
    return ""


def levels(results: Sequence[Any], roots: Sequence[int]) -> list[Level]:
    """The results that are on the tape, by level, the lowest first."""
    mine = {id(inner(edge(results[i]))): i for i in roots}
    height: dict[int, int] = {}

    def below(node: Any) -> set[int]:
        """The nodes of results that the history of a node reaches first."""
        found, seen, stack = set(), set(), list(node.edges)
        while stack:
            n = inner(stack.pop())
            if not isinstance(n, Node) or id(n) in seen:
                continue
            seen.add(id(n))
            if id(n) in mine:
                found.add(id(n))
            else:
                stack += n.edges
        return found
    nodes = sorted([inner(edge(results[i])) for i in roots], key=lambda n: n.seq)
    for n in nodes:  # what a node depends on is older
        height[id(n)] = 1 + max([height.get(m, -1) for m in below(n)], default=-1)
    out = [Level([]) for _ in range(max(height.values(), default=-1) + 1)]
    for i in roots:
        out[height[id(inner(edge(results[i])))]].results.append(i)
    return out


def cut(nodes: Iterable[Node]) -> Callable[[], None]:
    """Let histories end at these nodes; what it returns undoes that."""
    before = [(n, n.edges) for n in nodes]
    for n, _ in before:
        n.edges = ()

    def restore() -> None:
        for n, edges in before:
            n.edges = edges
    return restore


def unhooked(leaves: Iterable[Any]) -> Callable[[], None]:
    """Take the hooks off leaves: they are called when the gradients come. What it returns undoes that."""
    before = [(t, t._hooks) for t in leaves if isinstance(t, Tensor) and t._hooks]
    for t, _ in before:
        t._hooks = None

    def restore() -> None:
        for t, h in before:
            t._hooks = h
    return restore
