"""What a compiled function can reach besides tensors it is given: closures, globals, modules, classes, lists.

`Environment(roots)` walks it once, before the function runs. Every place that the code could read becomes a
Slot; what has a state that Python does not show (an iterator, a file, a NumPy generator) is put in `hidden`,
and a function that reaches it runs every time. `changes()` after the run says what the function itself
changed; `guard()` makes the test that everything is as it was, one generated function.

Attributes of the user's own objects are places only if the code mentions their names, or reads names that it
computes (getattr). numtorch, NumPy and the standard library are taken not to be patched from inside; what
user code names in them is watched."""
from __future__ import annotations

import collections
import contextlib
import decimal
import operator
import re
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterable, Sequence
from dis import opmap
from functools import lru_cache, partial
from importlib.util import find_spec
from itertools import chain
from math import copysign
from typing import Any, NamedTuple

import numpy as np

from .. import devices, settings
from .. import dtypes as D
from ..autograd import anomaly
from ..autograd.engine import Handle
from ..autograd.modes import state
from ..kernels import jit
from ..tensor import Tensor

LIMIT = 50_000   # slots; an environment larger than this is not watched: the function is traced every call
BYTES = 1 << 16  # of the NumPy arrays that a guard compares; above that, arrays are hidden
MISSING = object()
LIBRARIES = {"numtorch", "torch", "numpy", "scipy", "numba", "llvmlite", "safetensors"}
# Names by which code reaches attributes that it does not mention.
COMPUTED = {"getattr", "setattr", "delattr", "vars", "dir", "__dict__", "__getattribute__", "__setattr__",
            "attrgetter", "methodcaller", "deepcopy", "copy", "asdict", "astuple", "getmembers", "dumps",
            "dump", "eval", "exec", "globals", "locals"}
# Values without a state of their own.
ATOMS: tuple = (
    bool, int, float, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented), range, slice,
    types.CodeType, types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType,
    types.GetSetDescriptorType, types.MemberDescriptorType, types.GenericAlias, types.UnionType, re.Pattern,
    decimal.Decimal, np.generic, np.dtype, np.ufunc, operator.itemgetter, operator.attrgetter,
    operator.methodcaller)
OWN = ("numtorch.kinds", "numtorch.dispatch", "numtorch.dtypes", "numtorch.devices", "numtorch.layouts",
       "numtorch.storage", "numtorch.random", "numtorch.autograd.engine", "numtorch.kernels",
       "numtorch.memory_format")   # whose objects have no user's state
VALUES = (int, float, complex, str, bytes, tuple, range, slice, np.generic, np.dtype, type(None))
HARMLESS = {"datetime", "logging", "_thread", "_io", "io", "zoneinfo"}  # calls of their methods are watched
SOLID: tuple = (object, list, dict, tuple, set, frozenset, collections.deque, collections.OrderedDict,
                collections.defaultdict, int, float, complex, str, bytes, BaseException,
                types.SimpleNamespace)
BOOKKEEPING = {
    "__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "__slots__",
    "__abstractmethods__", "_abc_impl", "__dataclass_fields__", "__dataclass_params__", "__match_args__",
    "__parameters__", "__orig_bases__", "__static_attributes__", "__firstlineno__", "__annotate_func__",
    "__annotations_cache__"}


def root_of(name: Any) -> str:
    """The top-level package of a module's name; a class of a C extension may have a descriptor there."""
    return name.partition(".")[0] if isinstance(name, str) else ""


def users(root: str) -> bool:
    """Whether a top-level package is the user's, as far as this compiler knows."""
    return root not in LIBRARIES and (root == "__main__" or root not in sys.stdlib_module_names) \
        and not root.startswith("namedtuple_")


class Missing(NamedTuple):
    """A module that is to be imported."""

    name: str


class Slot:
    """One place that holds a value: `holder[key]`, an attribute of it (`named` "attr"), what a cell holds
    ("cell") or the gradient of a tensor ("grad")."""

    __slots__ = ("holder", "key", "value", "named", "parent")

    def __init__(self, holder: Any, key: Any, value: Any, named: str = "", parent: Slot | None = None):
        self.holder, self.key, self.value, self.named = holder, key, value, named
        self.parent = parent  # of a list's element: the slot the list was found in

    def get(self) -> Any:
        h, k = self.holder, self.key
        if self.parent is not None:
            h = self.parent.get()
        if self.named == "cell":
            try:
                return h.cell_contents
            except ValueError:
                return MISSING
        if self.named == "grad":
            return h._grad
        if self.named == "attr":
            return h.__dict__.get(k, MISSING) if isinstance(h, type) else getattr(h, k, MISSING)
        try:
            return h[k]
        except (KeyError, IndexError):
            return MISSING

    def set(self, value: Any) -> None:
        h = self.holder if self.parent is None else self.parent.get()
        if self.named == "cell":
            h.cell_contents = value
        elif self.named == "grad":
            h._grad = value
        elif self.named == "attr":
            setattr(h, self.key, value)
        else:
            h[self.key] = value


class Environment:
    """The slots reachable from `roots`, with their present values, and what containers hold."""

    def __init__(self, roots: Iterable[Any], codes: dict[types.CodeType, dict] | None = None):
        self.slots: list[Slot] = []
        self.sizes: list[tuple[Any, int]] = []
        self.sets: list[tuple[Any, Any]] = []             # sets, with copies
        self.arrays: list[tuple[Any, bytes]] = []         # NumPy arrays and the like, with their content
        self.orders: list[tuple[Any, list]] = []          # dicts, with their keys
        self.absent: dict[int, tuple[dict, set[str]]] = {}  # globals that were not there, by their dict
        self.hidden: list[Any] = []
        self.tensors: dict[int, Slot] = {}   # by id(tensor): where it was first found
        self.codes: set[types.CodeType] = set()
        self.names: set[str] = set()
        self.open = False                    # whether the code may read attributes that it does not mention
        self.whole = True
        self.why = ""                        # after changes(): what cannot be followed
        self._waiting: dict[Any, list[tuple]] = {}        # attributes that nothing mentioned so far
        self._seen: set[int] = set()
        self._parts: set[tuple[int, str]] = set()         # (module, name) that have slots
        self._kept: list[Any] = []
        self._todo: list[Any] = list(roots)
        self._from: dict[int, Slot] = {}      # by id(list): the slot it was found in
        self._todo += hooks()
        self._walk()
        for code, space in (codes or {}).items():
            if code not in self.codes:  # that ran, of functions found nowhere
                self._reads(code, space)
                self._todo += made_of(code) if code.co_freevars else []
                self._walk()

    # ------------------------------------------------------------------------------------------ the walk
    def _slot(self, holder: Any, key: Any, value: Any, named: str = "", deep: bool = True) -> None:
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
        if deep:
            self._todo.append(value)

    def _maybe(self, holder: Any, key: Any, value: Any, named: str = "") -> None:
        """A slot, once the code is known to mention the name of the attribute."""
        if self.open or key in self.names or not isinstance(key, str):
            self._slot(holder, key, value, named)
        else:
            self._waiting.setdefault(key, []).append((holder, key, value, named))

    def _mention(self, names: Iterable[str]) -> None:
        """Names that the code mentions."""
        for n in names:
            if n not in self.names:
                self.names.add(n)
                for found in self._waiting.pop(n, ()):
                    self._slot(*found)
        if not self.open and not COMPUTED.isdisjoint(self.names):
            self.open = True
            waiting, self._waiting = self._waiting, {}
            for found in chain.from_iterable(waiting.values()):
                self._slot(*found)

    def _walk(self) -> None:
        while self._todo and self.whole:
            self._visit(self._todo.pop())

    def _visit(self, x: Any) -> None:
        if id(x) in self._seen:
            return
        kind = type(x)
        if isinstance(x, ATOMS):
            if kind not in ATOMS and users(root_of(kind.__module__)):  # an enumeration's member
                self._kept.append(x)
                self._seen.add(id(x))
                self._object(x, kind)
            return
        self._seen.add(id(x))
        self._kept.append(x)
        if isinstance(x, Tensor):
            if x.requires_grad and x._node is None:
                self._slot(x, "grad", x._grad, "grad")
            self._items(x.__dict__)
        elif isinstance(x, types.FunctionType):
            self._function(x)
        elif isinstance(x, types.MethodType):
            self._todo += [x.__func__, x.__self__]
        elif isinstance(x, partial):
            self._todo += [x.func, x.args, x.keywords]
        elif isinstance(x, types.BuiltinFunctionType | types.MethodWrapperType):
            if not isinstance(x.__self__, types.ModuleType | type):
                self._todo.append(x.__self__)
        elif isinstance(x, type):
            self._class(x)
        elif isinstance(x, types.ModuleType):
            if x.__name__.startswith("numpy.random"):
                self.hidden.append(x)  # names of it that code mentions are found through the code
        elif kind is types.CellType:
            self._slot(x, None, Slot(x, None, None, "cell").get(), "cell")
        elif kind is types.MappingProxyType:
            self._items(x)
        elif isinstance(x, property):
            self._todo += [f for f in (x.fget, x.fset, x.fdel) if f is not None]
        elif isinstance(x, staticmethod | classmethod):
            self._todo.append(x.__func__)
        elif isinstance(x, np.ndarray | bytearray) or kind.__module__ == "array":
            size = getattr(x, "nbytes", None) or len(x) * getattr(x, "itemsize", 1)
            if size + sum(len(b) for _, b in self.arrays) > BYTES or \
                    getattr(x, "dtype", None) == np.dtype(object):
                self.hidden.append(x)
            else:
                self.arrays.append((x, _content(x)))
        else:
            if isinstance(x, dict):
                self._items(x)
                if len(x) > 1:
                    self.orders.append((x, list(x)))
            elif isinstance(x, list | collections.deque):
                self.sizes.append((x, len(x)))
                for i, v in enumerate(x):
                    self._slot(x, i, v)
            elif isinstance(x, tuple):
                self._todo.extend(x)
            elif isinstance(x, set | frozenset):
                if not isinstance(x, frozenset):
                    self.sets.append((x, set(x)))
                self._todo.extend(x)
            if kind.__module__ != "builtins":
                self._object(x, kind)
            elif kind not in SOLID and _conceals(kind):  # type: ignore[arg-type]
                self.hidden.append(x)

    def _items(self, d: Any) -> None:
        self._seen.add(id(d))
        self._kept.append(d)
        self.sizes.append((d, len(d)))
        for k, v in list(d.items()):
            self._slot(d, k, v)
            if not isinstance(k, ATOMS):
                self._todo.append(k)

    def _object(self, x: Any, kind: type) -> None:
        """An instance: its attributes, and the code of its class."""
        module = kind.__module__ or ""
        if module.startswith(OWN) or root_of(module) in HARMLESS and not isinstance(x, threading.local):
            return
        if module.startswith("numtorch.compiler") and hasattr(x, "fn"):
            self._todo += x.roots  # compiled functions run as they stand inside others
            return
        own = not users(root_of(module))
        if not own:
            self._class(kind)
        if isinstance(x, threading.local):
            for k, v in x.__dict__.items():
                self._maybe(x, k, v, "attr")
            return
        if module == "functools" and hasattr(x, "__wrapped__"):  # lru_cache
            self._todo.append(x.__wrapped__)
            return
        if kind is weakref.ref:
            self._todo.append(x())  # kept alive from now on
            return
        if not root_of(module) == "numtorch" and _conceals(kind):
            self.hidden.append(x)
            return
        try:
            d = object.__getattribute__(x, "__dict__")
        except AttributeError:
            d = None
        if type(d) is dict:
            self._seen.add(id(d))
            self._kept.append(d)
            self.sizes.append((d, len(d)))
            for k, v in list(d.items()):
                self._slot(d, k, v) if own else self._maybe(d, k, v)
        for k in members(kind):
            value = getattr(x, k, MISSING)
            if value is not MISSING:
                self._slot(x, k, value, "attr") if own else self._maybe(x, k, value, "attr")

    def _class(self, kind: type) -> None:
        """The attributes of a class and of those that it inherits from."""
        for base in kind.__mro__:
            module = root_of(base.__module__)
            if not users(module):
                if module not in ("builtins", "abc", "typing"):
                    self._mention(mentioned(base))
                continue
            space = base.__dict__
            if id(base) in self._parts:
                continue
            self._parts.add(id(base))  # type: ignore[arg-type]
            self._kept += [base, space]
            self._seen |= {id(base), id(space)}
            self.sizes.append((space, len(space)))
            for k, v in list(space.items()):
                if k in BOOKKEEPING or type(v) is types.MemberDescriptorType:
                    continue
                if k[:2] == "__" and k[-2:] == "__":
                    self._slot(base, k, v, "attr")
                else:
                    self._maybe(base, k, v, "attr")
        if type(kind) is not type:
            self._class(type(kind))

    def _function(self, f: types.FunctionType) -> None:
        inner = getattr(f, "__wrapped__", None)
        if inner is not None:
            self._todo.append(inner)
        root = root_of(f.__module__)
        if not users(root) and root != "numtorch" and f.__module__ is not None:
            return
        if f.__closure__:
            self._todo += f.__closure__
        if root == "numtorch":
            self._todo += [f.__defaults__, f.__kwdefaults__]
            return
        self._slot(f, "__code__", f.__code__, "attr")
        for k in ("__defaults__", "__kwdefaults__"):
            if getattr(f, k) is not None:
                self._slot(f, k, getattr(f, k), "attr")
        self._items(f.__dict__)
        self._reads(f.__code__, f.__globals__)

    def _reads(self, code: types.CodeType, space: dict) -> None:
        """The globals that a piece of code names."""
        if code in self.codes:
            return
        self.codes.add(code)
        self._mention(code.co_names)
        missing = self.absent.setdefault(id(space), (space, set()))[1]
        for name in globals_of(code):
            if name not in space:
                missing.add(name)
            elif (id(space), name) not in self._parts:
                self._parts.add((id(space), name))
                self._slot(space, name, space[name])
            if isinstance(space.get(name), types.ModuleType):
                self._module(space[name], code.co_names)
        for name in imports_of(code):
            m = sys.modules.get(name) or sys.modules.get(f"{space.get('__package__')}.{name}")
            if m is None and find_spec(root_of(name)) is None:
                self.absent.setdefault(id(sys.modules), (sys.modules, set()))[1].add(name)
            elif m is None:
                self.hidden.append(Missing(name))
            else:
                if (id(sys.modules), m.__name__) not in self._parts:
                    self._parts.add((id(sys.modules), m.__name__))
                    self._slot(sys.modules, m.__name__, m)
                self._module(m, code.co_names)
        for c in code.co_consts:
            if isinstance(c, types.CodeType):
                self._reads(c, space)
            elif isinstance(c, str):
                self._mention((c,))

    def _module(self, m: types.ModuleType, names: Iterable[str]) -> None:
        """Attributes of a module that the code names."""
        mine = users(root_of(m.__name__))
        if mine and (id(m), "") not in self._parts:
            self._parts.add((id(m), ""))
            self.sizes.append((m.__dict__, len(m.__dict__)))
        for name in names:
            if name in m.__dict__ and (id(m), name) not in self._parts:
                self._parts.add((id(m), name))
                v = m.__dict__[name]
                deep = mine or isinstance(v, list | dict | set | collections.deque | types.ModuleType) or \
                    type(v).__name__ == "_Environ" or (root_of(type(v).__module__) == "numpy"
                                                       and hasattr(v, "__self__"))
                self._slot(m.__dict__, name, v, "", deep)
                if isinstance(v, types.ModuleType):
                    self._module(v, names)

    # ------------------------------------------------------------------------------------------ after the run
    def changes(self, plain: Callable = lambda v: v) -> list[Slot] | None:
        """The slots that hold another value now; None where something changed that cannot be put back by
        setting slots (`why`)."""
        if any(len(c) != n for c, n in self.sizes):
            self.why = "a list or dict changed its size"
        elif any(s != was for s, was in self.sets):
            self.why = "a set changed"
        elif any(_content(a) != was for a, was in self.arrays):
            self.why = "a NumPy array changed"
        elif any(not _listed(d, was) for d, was in self.orders):
            self.why = "a dict changed its order"
        else:
            return [s for s in self.slots
                    if (now := s.get()) is not s.value and not alike(plain(now), s.value)]
        return None

    def mark(self) -> list[list]:
        """The present state of everything, for `undo`."""
        lists = [(c, list(c)) for c, _ in self.sizes if isinstance(c, list | collections.deque)]
        maps = [(c, list(c.items())) for c, _ in self.sizes if isinstance(c, dict)]
        return [[(s, s.get()) for s in self.slots], lists, maps, [(s, set(s)) for s, _ in self.sets],
                [(a, _content(a)) for a, _ in self.arrays]]

    def undo(self, mark: Sequence[list]) -> bool:
        """Put everything back; whether something had changed."""
        slots, lists, maps, sets, arrays = mark
        changed = False
        for c, was in [*lists, *sets]:
            if len(c) != len(was) or any(a is not b for a, b in zip(c, was)):
                changed = True
                c.clear()
                (c.update if isinstance(c, set) else c.extend)(was)
        for c, was in maps:
            if len(c) != len(was) or any(a is not k or b is not v for (a, b), (k, v) in zip(c.items(), was)):
                changed = True
                c.clear()
                c.update(was)
        for a, was in arrays:
            if _content(a) != was:
                changed = True
                memoryview(a).cast("B")[:] = was
        for s, v in slots:
            if s.get() is not v:
                changed = True
                s.set(v)
        return changed

    @property
    def known(self) -> set[int]:
        """The ids of what was reached."""
        return self._seen

    def visited(self) -> list[Any]:
        """Everything that was reached."""
        return self._kept

    def fixed(self, skip: set[int]) -> list[Slot]:
        """The slots that the guard looks at."""
        return [s for s in self.slots if id(s) not in skip and s.value is not MISSING]

    def guard(self, skip: set[int], tensors: Iterable[tuple] = ()) -> Callable[[], bool]:
        """A test that every slot holds what it held, apart from those whose id is in `skip`, and that tensors
        [(slot, tensor, layout, dtype, requires_grad)] are of these forms."""
        space: dict[str, Any] = {"__name__": __name__, "list": list, "len": len, "type": type, "map": map,
                                 "any": any, "all": all, "chain": chain.from_iterable,
                                 "same": operator.is_, "alike": alike, "content": _content}
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
            if s.named == "cell":
                return f"{name(s.holder)}.cell_contents"
            if s.named == "grad":
                return f"{name(s.holder)}._grad"
            if s.named == "attr":
                seen = not isinstance(s.holder, type) or isinstance(s.value, types.FunctionType) or (
                    type(s.holder) is type and not hasattr(type(s.value), "__get__") and s.key.isidentifier())
                return f"{name(s.holder)}.{s.key}" if seen else f"{name(s.holder)}.__dict__[{s.key!r}]"
            return f"{name(s.holder)}[{s.key!r}]" if type(s.key) in (int, str) else \
                f"{name(s.holder)}[{name(s.key)}]"
        moved = {id(s.value): s for s in self.slots if id(s) in skip and type(s.value) is list}
        empty, full = [], []
        for c, n in self.sizes:
            if id(c) in moved:
                place = where(moved[id(c)])
                terms += [f"type({place}) is list", f"len({place}) == {n}"]
            elif n or type(c) not in (*SOLID, types.MappingProxyType):
                full.append((c, n))
            else:
                empty.append(c)
        if empty:
            terms.append(f"not any({name(tuple(empty))})")
        if full:
            terms.append(f"list(map(len, {name([c for c, _ in full])})) == {name([n for _, n in full])}")
        for d, missing in self.absent.values():
            if missing:
                terms.append(f"{name(d)}.keys().isdisjoint({name(frozenset(missing))})")
        text = [(d, k) for d, k in self.orders if all(type(x) in (str, int) for x in k)]
        rest = [(d, k) for d, k in self.orders if not all(type(x) in (str, int) for x in k)]
        if text:
            keys = [x for _, k in text for x in k]
            terms.append(f"list(chain({name([d for d, _ in text])})) == {name(keys)}")
        if rest:
            terms.append(f"all(map(same, chain({name([d for d, _ in rest])}), "
                         f"{name([x for _, k in rest for x in k])}))")
        terms += [f"{name(s)} == {name(was)}" for s, was in self.sets]
        terms += [f"content({name(a)}) == {name(was)}" for a, was in self.arrays]
        for s in self.fixed(skip):
            v, place = s.value, where(s)
            if type(v) is float and (v == 0 or v != v) or isinstance(v, tuple | complex | np.generic):
                terms.append(f"({place} is {name(v)} or alike({place}, {name(v)}))")
            elif type(v) in (int, float, str):
                terms.append(f"{place} == {name(v)}")
                if type(v) is not str:
                    terms.append(f"type({place}) is {name(type(v))}")
            else:
                terms.append(f"{place} is {name(v)}")
        for _, t, layout, d, grad in tensors:
            x, l = name(t), name(layout)
            terms.append(f"({x}.layout is {l} or {x}.layout == {l}) and {x}.dtype is {name(d)} and "
                         f"{x}._requires is {grad}")
        lines = [f"  if not ({' and '.join(terms[i:i + 20])}): return False"
                 for i in range(0, len(terms), 20)]
        exec("def guard():\n try:\n" + "\n".join(lines) + "\n  return True\n"
             " except (KeyError, IndexError, ValueError, AttributeError, RuntimeError):\n  return False\n",
             space)
        self._kept.append(space)
        return space["guard"]


def alike(a: Any, b: Any) -> bool:
    """Whether code cannot tell the values apart, other than by identity: numbers and strings of one type and
    value, the sign of zero included, and tuples of them."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, float | np.floating):
        return a == b and (a != 0 or copysign(1, a) == copysign(1, b)) or a != a and b != b
    if isinstance(a, complex):
        return alike(a.real, b.real) and alike(a.imag, b.imag)
    if isinstance(a, slice):
        return alike((a.start, a.stop, a.step), (b.start, b.stop, b.step))
    return isinstance(a, VALUES) and bool(a == b)


def _content(a: Any) -> bytes:
    return a.tobytes() if hasattr(a, "tobytes") else bytes(a)


def _listed(d: Any, keys: list) -> bool:
    """Whether a dict has these keys in this order."""
    return len(d) == len(keys) and all(a is b or type(a) is type(b) and isinstance(a, str | int) and a == b
                                       for a, b in zip(d, keys))


@lru_cache(4096)
def members(kind: type) -> tuple[str, ...]:
    """The names in a class's `__slots__`, and of those it inherits from."""
    return tuple([k for base in kind.__mro__ if base not in SOLID for k, v in vars(base).items()
                  if type(v) is types.MemberDescriptorType])


@lru_cache(4096)
def _conceals(kind: type) -> bool:
    """Whether instances have memory that is in neither attributes nor slots: state that Python does not
    show."""
    base, slots = kind, 0
    while base not in SOLID:
        slots += sum(type(v) is types.MemberDescriptorType for v in vars(base).values())
        base = base.__base__  # type: ignore[assignment]
    extra = kind.__basicsize__ - base.__basicsize__ - 8 * slots
    extra -= 8 * (kind.__weakrefoffset__ > 0 and not base.__weakrefoffset__)
    return extra > 8 * (kind.__dictoffset__ > 0 and not base.__dictoffset__)


@lru_cache(4096)
def handlers(code: types.CodeType) -> tuple[tuple[int, int], ...]:
    """The parts of a piece of code inside try statements that may go on after an error: (start, end)."""
    table, found = iter(code.co_exceptiontable), []

    def number() -> int:
        b = next(table)
        n = b & 63
        while b & 64:
            b = next(table)
            n = n << 6 | b & 63
        return n * 2
    text = code.co_code
    with contextlib.suppress(StopIteration):
        while True:
            start = number()
            end, target = start + number(), number()
            number()
            ops = []
            for op in text[target:target + 80:2]:
                ops.append(op)
                if op in (opmap["RERAISE"], opmap.get("WITH_EXCEPT_START")):
                    break
            matched = opmap["CHECK_EXC_MATCH"] in ops or opmap.get("CHECK_EG_MATCH") in ops
            if matched or ops[:2] == [opmap["PUSH_EXC_INFO"], opmap["POP_TOP"]]:
                found.append((start, end))
    return tuple(found)


def catches(code: types.CodeType, at: int) -> bool:
    """Whether an error at this instruction may be caught in this code."""
    return any(start <= at < end for start, end in handlers(code))


@lru_cache(4096)
def globals_of(code: types.CodeType) -> tuple[str, ...]:
    """The global names that a piece of code loads, stores or deletes."""
    found: dict[str, None] = {}
    shift = {opmap[n]: n == "LOAD_GLOBAL" for n in
             ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS")
             if n in opmap}
    text, high = code.co_code, 0
    for i in range(0, len(text), 2):
        op, arg = text[i], high << 8 | text[i + 1]
        high = arg if op == opmap["EXTENDED_ARG"] else 0
        if op in shift:
            found[code.co_names[arg >> shift[op]]] = None
    return tuple(found)


@lru_cache(4096)
def imports_of(code: types.CodeType) -> tuple[str, ...]:
    """The modules that a piece of code imports."""
    found: list[str] = []
    text, high = code.co_code, 0
    for i in range(0, len(text), 2):
        op, arg = text[i], high << 8 | text[i + 1]
        high = arg if op == opmap["EXTENDED_ARG"] else 0
        if op == opmap["IMPORT_NAME"] and code.co_names[arg]:
            name = code.co_names[arg]
            found += [name[:k] for k, c in enumerate(name + ".") if c == "."]
    return tuple(dict.fromkeys(found))


@lru_cache(1024)
def mentioned(kind: type) -> frozenset[str]:
    """The names in the code of a class's methods."""
    found: set[str] = set()

    def look(code: types.CodeType) -> None:
        found.update(code.co_names)
        for c in code.co_consts:
            if isinstance(c, types.CodeType):
                look(c)
            elif isinstance(c, str):
                found.add(c)
    for v in vars(kind).values():
        for f in (v.fget, v.fset) if isinstance(v, property) else (getattr(v, "__func__", v),):
            if isinstance(f, types.FunctionType):
                look(f.__code__)
    return frozenset(found - COMPUTED)


def made_of(code: types.CodeType) -> list[types.FunctionType]:
    """The functions of a piece of code: they know what its free variables are."""
    import gc
    return [f for f in gc.get_referrers(code) if type(f) is types.FunctionType and f.__code__ is code]


def hooks() -> list[Any]:
    """Where hooks on all modules and on all optimizers are kept."""
    found = []
    for where in ("numtorch.nn.modules.module", "numtorch.optim.optimizer"):
        space = vars(sys.modules[where]) if where in sys.modules else {}
        found += [v for k, v in space.items() if k.startswith("_global_") and isinstance(v, dict)]
    return found


def modes() -> tuple:
    """What the mode switches say: part of every guard."""
    cast = None if state.cast is None else tuple(state.cast.dtypes.items())
    return (state.grad, state.inference, D._default, bool(state.packers), cast, devices._defaults[-1],
            jit.get_num_threads(), anomaly.enabled(), Handle.leaves, *settings._state.values())
