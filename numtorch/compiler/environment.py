"""What a compiled function can reach besides its arguments: closures, globals, modules, optimizers, lists.

`Environment(roots)` walks it once, before the function runs. `changes()` after the run says what the function
itself changed; `guard()` makes the test that everything is as it was, one generated expression."""
from __future__ import annotations

import builtins
import types
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ..autograd.modes import state
from ..tensor import Tensor

LIMIT = 50_000  # slots; an environment larger than this is not watched, and the function is traced every call
ATOMS = (str, bytes, type(None), type, types.BuiltinFunctionType, types.CodeType)
MISSING = object()


class Slot:
    """One place that holds a value: `holder[key]`, or an attribute of it."""

    __slots__ = ("holder", "key", "value", "named", "parent")

    def __init__(self, holder: Any, key: Any, value: Any, named: bool = False, parent: Slot | None = None):
        self.holder, self.key, self.value, self.named = holder, key, value, named
        self.parent = parent  # of a list's element: the slot the list was found in

    def get(self) -> Any:
        h, k = self.holder, self.key
        if self.parent is not None:
            h = self.parent.get()
        if type(h) is types.CellType:
            try:
                return h.cell_contents
            except ValueError:
                return MISSING
        if isinstance(h, Tensor):
            return h._grad
        try:
            return h[k]
        except (KeyError, IndexError):
            return MISSING

    def set(self, value: Any) -> None:
        h = self.holder if self.parent is None else self.parent.get()
        if type(h) is types.CellType:
            h.cell_contents = value
        elif isinstance(h, Tensor):
            h._grad = value
        else:
            h[self.key] = value


class Environment:
    """The slots reachable from `roots`, with their present values, and the sizes of the containers."""

    def __init__(self, roots: Iterable[Any], codes: dict[types.CodeType, dict] | None = None):
        self.slots: list[Slot] = []
        self.sizes: list[tuple[Any, int]] = []
        self.tensors: dict[int, Slot] = {}   # by id(tensor): where it was first found
        self.codes: set[types.CodeType] = set()
        self.names: set[str] = set()
        self.whole = True
        self._seen: set[int] = set()
        self._kept: list[Any] = []
        self._code: dict[int, list] = {}
        self._todo: list[Any] = list(roots)
        self._from: dict[int, Slot] = {}      # by id(list): the slot it was found in
        for code, space in (codes or {}).items():
            self._reads(code, space)
        while self._todo and self.whole:
            self._visit(self._todo.pop())

    # ------------------------------------------------------------------------------------------ the walk
    def _slot(self, holder: Any, key: Any, value: Any, named: bool = False) -> None:
        slot = Slot(holder, key, value, named)
        self.slots.append(slot)
        if len(self.slots) > LIMIT:
            self.whole = False
        if isinstance(value, Tensor):
            self.tensors.setdefault(id(value), slot)
        elif type(value) is list:
            self._from.setdefault(id(value), slot)
        if isinstance(holder, list):
            slot.parent = self._from.get(id(holder))
        self._todo.append(value)

    def _visit(self, x: Any) -> None:
        if isinstance(x, ATOMS) or isinstance(x, bool | int | float | complex):
            return
        if id(x) in self._seen:
            return
        self._seen.add(id(x))
        self._kept.append(x)
        if isinstance(x, Tensor):
            if x.requires_grad and x._node is None:
                self._slot(x, "grad", x._grad)
            if x.__dict__:
                self._items(x.__dict__, False)
        elif isinstance(x, types.FunctionType):
            self._function(x)
        elif isinstance(x, types.MethodType):
            self._todo += [x.__func__, x.__self__]
        elif isinstance(x, partial):
            self._todo += [x.func, x.args, x.keywords]
        elif isinstance(x, dict):
            self._items(x, False)
        elif isinstance(x, list | tuple):
            if isinstance(x, list):
                self.sizes.append((x, len(x)))
                for i, v in enumerate(x):
                    self._slot(x, i, v)
            else:
                self._todo += x
        elif isinstance(x, set | frozenset):
            self.sizes.append((x, len(x)))
        elif isinstance(x, types.ModuleType):
            return  # names of it that code mentions are found through the code
        elif isinstance(x, types.CellType):
            self._slot(x, None, Slot(x, None, None).get())
        else:
            self._object(x)

    def _items(self, d: dict, named: bool) -> None:
        self._seen.add(id(d))
        self.sizes.append((d, len(d)))
        for k, v in list(d.items()):
            self._slot(d, k, v, named)
            if isinstance(k, Tensor):
                self._todo.append(k)

    def _object(self, x: Any) -> None:
        kind = type(x)
        ours = (kind.__module__ or "").startswith("numtorch")
        if kind.__module__ in ("builtins", "numpy") and not hasattr(x, "__dict__"):
            return
        d = getattr(x, "__dict__", None)
        if isinstance(d, dict):
            self._items(d, not ours)
        for base in kind.__mro__:
            root = (base.__module__ or "").partition(".")[0]
            if root not in ("numtorch", "builtins", "numpy", "collections", "abc"):
                for v in vars(base).values():
                    if isinstance(v, staticmethod | classmethod):
                        v = v.__func__
                    if isinstance(v, property):
                        self._todo += [f for f in (v.fget, v.fset) if f is not None]
                    elif isinstance(v, types.FunctionType):
                        self._todo.append(v)

    def _function(self, f: types.FunctionType) -> None:
        inner = getattr(f, "__wrapped__", None)
        if inner is not None:
            self._todo.append(inner)
        if f.__closure__:
            self._todo += f.__closure__
        if f.__defaults__:
            self._todo += f.__defaults__
        if f.__kwdefaults__:
            self._todo.append(f.__kwdefaults__)
        if f.__module__ is not None and f.__module__.startswith("numtorch"):
            return
        self._reads(f.__code__, f.__globals__)

    def _reads(self, code: types.CodeType, space: dict) -> None:
        """The globals that a piece of code names."""
        self.codes.add(code)
        self.names.update(code.co_names)
        for name in code.co_names:
            if name in space:
                value = space[name]
                self._slot(space, name, value)
                if isinstance(value, types.ModuleType):
                    self._module(value, code.co_names)
            elif not hasattr(builtins, name):
                continue
        for c in code.co_consts:
            if isinstance(c, types.CodeType):
                self._reads(c, space)
            elif isinstance(c, str):
                self.names.add(c)

    def _module(self, m: types.ModuleType, names: Iterable[str]) -> None:
        """Attributes of a user's Python module that the code names."""
        import sys
        root = (m.__name__ or "").partition(".")[0]
        if root in ("numtorch", "torch", "numpy") or root in sys.stdlib_module_names:
            return
        for name in names:
            if name in m.__dict__:
                self._slot(m.__dict__, name, m.__dict__[name])

    # ------------------------------------------------------------------------------------------ after the run
    def changes(self, plain: Callable = lambda v: v) -> list[Slot] | None:
        """The slots that hold another value now; None where containers grew or shrank."""
        if any(len(c) != n for c, n in self.sizes):
            return None
        found = []
        for s in self.slots:
            now = s.get()
            if now is not s.value and not _same(plain(now), s.value):
                found.append(s)
        return found

    def visited(self) -> list[Any]:
        """Everything that was reached."""
        return self._kept

    def fixed(self, skip: set[int]) -> list[Slot]:
        """The slots that the guard looks at."""
        return [s for s in self.slots if id(s) not in skip and s.value is not MISSING and not (
            s.named and isinstance(s.value, int | float | str) and s.key not in self.names)]

    def guard(self, skip: set[int]) -> Callable[[], bool]:
        """A test that every slot holds what it held, apart from those whose id is in `skip`."""
        space: dict[str, Any] = {"list": list, "len": len, "type": type}
        terms = []
        names: dict[int, str] = {}

        def name(x: Any) -> str:
            found = names.get(id(x))
            if found is None:
                found = names[id(x)] = f"o{len(names)}"
                space[found] = x
            return found
        def where(s: Slot) -> str:
            if s.parent is not None and id(s.parent) in skip:
                return f"{where(s.parent)}[{s.key}]"
            if type(s.holder) is types.CellType:
                return f"{name(s.holder)}.cell_contents"
            if isinstance(s.holder, Tensor):
                return f"{name(s.holder)}._grad"
            return f"{name(s.holder)}[{s.key!r}]" if type(s.key) in (int, str) else \
                f"{name(s.holder)}[{name(s.key)}]"
        moved = {id(s.value): s for s in self.slots if id(s) in skip and type(s.value) is list}
        for c, n in self.sizes:
            if id(c) in moved:
                place = where(moved[id(c)])
                terms += [f"type({place}) is list", f"len({place}) == {n}"]
            else:
                terms.append(f"len({name(c)}) == {n}")
        for s in self.fixed(skip):
            v, place = s.value, where(s)
            if type(v) in (int, float, str):
                terms.append(f"{place} == {name(v)}")
                if type(v) is not str:
                    terms.append(f"type({place}) is {name(type(v))}")
            elif isinstance(v, tuple):
                simple = all(type(e) in (int, float, str, bool) for e in v)
                terms.append(f"{place} is {name(v)}" if not simple else
                             f"({place} is {name(v)} or {place} == {name(v)})")
            else:
                terms.append(f"{place} is {name(v)}")
        lines = [f"  if not ({' and '.join(terms[i:i + 20])}): return False"
                 for i in range(0, len(terms), 20)]
        exec("def guard():\n try:\n" + "\n".join(lines) + "\n  return True\n"
             " except (KeyError, IndexError, ValueError):\n  return False\n", space)
        self._kept.append(space)
        return space["guard"]


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and isinstance(a, int | float | complex | str | bytes | tuple)
                      and not _tensors_in(a) and a == b)


def _tensors_in(x: Any) -> bool:
    return isinstance(x, tuple) and any(isinstance(v, Tensor) or _tensors_in(v) for v in x)


def modes() -> tuple:
    """What the mode switches say: part of every guard."""
    from .. import dtypes as D
    cast = None if state.cast is None else tuple(state.cast.dtypes.items())
    return state.grad, state.inference, D._default, bool(state.packers), cast
