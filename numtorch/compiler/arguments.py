"""The containers among a call's arguments. A traced function gets stand-ins for some of what is in them, in
the containers themselves, so that it can change those as it could without."""
from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from ..utils import _pytree as tree
from .environment import alike
from .number import plain


class Arguments:
    """The lists, dicts and deques in a tree of arguments, with what they held."""

    def __init__(self, args: tuple, kwargs: dict):
        self.held: list[tuple[Any, list, list]] = []   # (container, its keys, its values)
        self.real: dict[int, Any] = {}                 # by id(stand-in): what it stands for
        self._kept: list[Any] = []
        self._look(args)
        self._look(tuple(kwargs.values()))

    def _look(self, x: Any) -> None:
        if tree.tree_is_leaf(x):
            return
        if isinstance(x, dict):
            self.held.append((x, list(x), list(x.values())))
        elif isinstance(x, list | deque):
            self.held.append((x, [], list(x)))
        for v in tree.children(x):
            self._look(v)

    def put(self, args: tuple, kwargs: dict, leaves: Iterable[Any]) -> tuple[tuple, dict]:
        """The arguments with other leaves."""
        it = iter(leaves)
        return tuple([self._place(v, it) for v in args]), {k: self._place(v, it) for k, v in kwargs.items()}

    def _place(self, x: Any, it: Iterator) -> Any:
        if tree.tree_is_leaf(x):
            new = next(it)
        elif isinstance(x, dict):
            for k, v in list(x.items()):
                dict.__setitem__(x, k, self._place(v, it))
            return x
        elif isinstance(x, list | deque):
            for i, v in enumerate(list(x)):
                x[i] = self._place(v, it)
            return x
        else:
            node = tree.SUPPORTED_NODES[tree._kind_of(x)]
            children, context = node.flatten_fn(x)
            made = [self._place(v, it) for v in children]
            new = x if all(a is b for a, b in zip(made, children)) else node.unflatten_fn(made, context)
        if new is not x:
            self.real[id(new)] = x
            self._kept.append(new)
        return new

    def restore(self) -> None:
        """Take the stand-ins out again, wherever they are in the containers now."""
        back = lambda v: self.real.get(id(v), plain(v))
        for x, _, _ in self.held:
            if isinstance(x, dict):
                for k, v in list(x.items()):
                    dict.__setitem__(x, k, back(v))
            else:
                for i, v in enumerate(list(x)):
                    x[i] = back(v)

    def changed(self) -> bool:
        """Whether a container holds something else than before."""
        for x, keys, values in self.held:
            now = x.values() if isinstance(x, dict) else x
            if len(x) != len(values) or not all(map(alike, now, values)) or \
                    not all(map(alike, x if keys else (), keys)):
                return True
        return False
