"""Read pickles as data: an opcode interpreter that builds plain values and calls no name.

A pickle is a program for a small stack machine. `pickle.Unpickler` lets it import and call anything. Here a
name in the file is only a key of a fixed table (`find_global`); what the table gives for a function is a rule
that checks its arguments. Strings, containers and NumPy arrays are built here; the caller adds rules of its
own (tensors). Every read is bounded by the data, every allocation is charged against `Limits`.
"""
from __future__ import annotations

import re
import struct
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from math import prod
from pickle import UnpicklingError
from typing import Any

import numpy as np

__all__ = ["Approved", "Interpreter", "Limits", "Program", "Rebuild", "UnpicklingError", "loads", "shown"]


class Limits:
    """Bounds of one load. `max_bytes` counts what is built: strings, arrays, slots of containers and memo."""

    __slots__ = ("max_bytes", "max_ops", "max_depth", "max_tree", "used")

    def __init__(self, max_bytes: int, max_ops: int = 10**8, max_depth: int = 1000, max_tree: int = 10**9):
        self.max_bytes, self.max_ops, self.max_depth, self.max_tree = max_bytes, max_ops, max_depth, max_tree
        self.used = 0

    @staticmethod
    def of(file_bytes: int, pickle_bytes: int = 0) -> Limits:
        """4 bytes for each of the file and 32, at most 2 GB, for its pickle (an int of 3 bytes there takes 48
        here); at least 64 MB."""
        return Limits(max(64 << 20, 4 * file_bytes + min(32 * pickle_bytes, 2 << 30)))

    def charge(self, n: int) -> None:
        """Count `n` bytes. UnpicklingError past `max_bytes`."""
        self.used += n
        if self.used > self.max_bytes:
            raise UnpicklingError(f"the file asks for more than max_bytes={self.max_bytes} bytes of memory; "
                                  "pass a larger max_bytes if its size is no surprise")


class Rebuild:
    """A function that a file may name: `build(args)` checks the arguments and makes the value."""

    __slots__ = ("name", "build")

    def __init__(self, name: str, build: Callable[[tuple], Any]):
        self.name, self.build = name, build

    def __repr__(self) -> str:
        return f"<{self.name} as named in a pickle>"


class Approved:
    """A class or function that the user has allowed by name: called as the file asks."""

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: Any):
        self.name, self.value = name, value


def plain(value: Any) -> Any:
    """What stands in an object for a value of the file: of an approved name, what it names."""
    return value.value if type(value) is Approved else value


def _named(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}" if isinstance(value, type) else shown(value)


def shown(value: Any, limit: int = 120) -> str:
    """A short, escaped form of a value from a file, for messages."""
    if isinstance(value, str | bytes):
        text = repr(value[:limit])
    elif type(value) is int and value.bit_length() > 64:
        text = f"an int of {value.bit_length()} bits"
    elif isinstance(value, int | float | complex | None.__class__):
        text = repr(value)
    else:
        text = f"a {type(value).__name__}"
    return text if len(text) <= limit else text[:limit] + "…"


# ----------------------------------------------------------------------------------------- the machine

_OPCODES: dict[int, Callable[[Interpreter], None]] = {}
_TEXT = {ord("I"): "INT", ord("L"): "LONG", ord("F"): "FLOAT", ord("S"): "STRING", ord("V"): "UNICODE",
         ord("p"): "PUT", ord("g"): "GET", ord("i"): "INST"}
_REFUSED = {ord("P"): "PERSID", ord("o"): "OBJ", 0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4",
            0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER"}
_KEYS = frozenset((str, bytes, bool, float, type(None), frozenset))
_STOP = ord(".")


def _opcode(code: bytes):
    def register(function):
        _OPCODES[code[0]] = function
        return function
    return register


class Interpreter:
    """Runs one pickle over `data` and gives plain data.

    `find_global(module, name)` gives the value for a name: a constant, a class with a rule in `rules`, a
    `Rebuild` or an `Approved`; None where it knows none, and then the plain types are looked through.
    `persistent_load(pid)` gives the value for a persistent id. `keys` are types, beside the plain ones,
    allowed as dict keys."""

    def __init__(self, data: bytes, limits: Limits, find_global: Callable[[str, str], Any] | None = None,
                 persistent_load: Callable[[Any], Any] | None = None,
                 rules: dict[Any, Callable] | None = None, encoding: str = "utf-8", errors: str = "strict",
                 keys: Iterable[type] = ()):
        self.data, self.limits, self.encoding, self.errors = data, limits, encoding, errors
        self.find_global = find_global or (lambda module, name: None)
        self.persistent_load = persistent_load or self._no_persistent
        self.rules = {**self._plain_rules(), **(rules or {})}
        self.keys = _KEYS.union(keys)
        self.blank: dict[int, np.ndarray] = {}
        self.approved: dict[int, Any] = {}

    def load(self, start: int = 0) -> Any:
        """Run the pickle that begins at `start`; `self.pos` is then where it ended. UnpicklingError if it is
        malformed, names what is not allowed, or passes a limit."""
        self.pos = start
        self.stack: list = []
        self.frames: list[list] = []
        self.memo: dict[int, Any] = {}
        data, size, opcodes, left = self.data, len(self.data), _OPCODES, self.limits.max_ops
        while True:
            if self.pos >= size:
                raise UnpicklingError("pickle data was truncated")
            op = data[self.pos]
            self.pos += 1
            if op == _STOP:
                break
            left -= 1
            if left < 0:
                raise UnpicklingError(f"the pickle has more than {self.limits.max_ops} instructions")
            handler = opcodes.get(op)
            if handler is None:
                raise self._unknown(op)
            handler(self)
        if len(self.stack) != 1 or self.frames:
            raise UnpicklingError(f"the pickle ends with {len(self.stack)} values on its stack and "
                                  f"{len(self.frames)} open marks")
        value = self.stack.pop()
        self._measure(value)
        return value

    def _unknown(self, op: int) -> UnpicklingError:
        at = self.pos - 1
        if op in _TEXT:
            return UnpicklingError(f"opcode {_TEXT[op]} at byte {at}: protocols 0 and 1 are not read")
        if op in _REFUSED:
            return UnpicklingError(f"opcode {_REFUSED[op]} at byte {at} is not allowed")
        if at == 0:
            return UnpicklingError(f"invalid load key, {chr(op)!r}.")
        return UnpicklingError(f"invalid opcode 0x{op:02x} at byte {at}")

    def take(self, n: int) -> bytes:
        at = self.pos
        end = at + n
        if n < 0 or end > len(self.data):
            raise UnpicklingError(f"pickle data was truncated: no {n} bytes at byte {at} of {len(self.data)}")
        self.pos = end
        return self.data[at:end]

    def number(self, form: str, n: int):
        return struct.unpack(form, self.take(n))[0]

    def push(self, value: Any, cost: int = 8) -> None:
        limits = self.limits
        limits.used += cost
        if limits.used > limits.max_bytes:
            limits.charge(0)
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack:
            raise self.underflow()
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack:
            raise self.underflow()
        return self.stack[-1]

    def underflow(self) -> UnpicklingError:
        return UnpicklingError(f"the pickle takes from an empty stack at byte {self.pos}")

    def since_mark(self) -> list:
        if not self.frames:
            raise UnpicklingError(f"the pickle closes a mark it never set at byte {self.pos}")
        items, self.stack = self.stack, self.frames.pop()
        return items

    def text(self, raw: bytes):
        """A Python 2 string: bytes for encoding="bytes", else decoded."""
        if self.encoding == "bytes":
            return raw
        try:
            return raw.decode(self.encoding, self.errors)
        except UnicodeDecodeError as e:
            raise UnpicklingError(f"a Python 2 string before byte {self.pos} is not {self.encoding} "
                                  f"({e.reason}); pass encoding='latin1' or encoding='bytes'") from None

    # ----------------------------------------------------------------------------- what a value may do

    def key(self, k: Any) -> Any:
        """`k` if it may be a dict key or a set member: a scalar, or a small tuple of scalars (hashing a tuple
        walks it, and tuples that share their parts take time exponential in their depth)."""
        kind = type(k)
        if kind in self.keys or isinstance(k, np.number | np.bool_):
            return k
        if kind is int:
            if k.bit_length() <= 64:     # hashes of ints are modulo 2**61 - 1: larger ints collide at will
                return k
        elif kind is tuple:
            todo, seen = [k], 0
            while todo:
                for part in todo.pop():
                    seen += 1
                    if seen > 1000:
                        raise UnpicklingError("a tuple with more than 1000 parts as a dict key")
                    if type(part) is tuple:
                        todo.append(part)
                    else:
                        self.key(part)
            return k
        elif self.approved.get(id(k)) is k:
            return k
        raise UnpicklingError(f"{shown(k)} as a dict key or set member")

    def reduce(self, function: Any, args: Any) -> Any:
        if type(args) is not tuple:
            raise UnpicklingError(f"REDUCE with {shown(args)} for arguments, not a tuple")
        if type(function) is Rebuild:
            return function.build(args)
        if isinstance(function, type) and function in self.rules:
            return self.rules[function](args)
        if type(function) is Approved:
            return self.made(function.value(*map(plain, args)))
        raise UnpicklingError(f"REDUCE of {_named(function)}, which a file may not call")

    def made(self, value: Any) -> Any:
        """Remember a value that an approved class or function made: the file may set its state and items."""
        self.approved[id(value)] = value
        return value

    def newobj(self, cls: Any, args: Any, kwargs: dict) -> Any:
        if type(args) is not tuple or type(kwargs) is not dict or any(type(k) is not str for k in kwargs):
            raise UnpicklingError(f"NEWOBJ with {shown(args)} for arguments, not a tuple")
        if type(cls) is Approved and isinstance(cls.value, type):
            return self.made(cls.value.__new__(cls.value, *map(plain, args), **kwargs))
        if isinstance(cls, type) and cls in self.rules and not kwargs:
            return self.rules[cls](args)
        raise UnpicklingError(f"NEWOBJ of {_named(cls)}, which a file may not make")

    def build(self, value: Any, state: Any) -> None:
        kind = type(value)
        if id(value) in self.approved and self.approved[id(value)] is value:
            set_state(value, state)
        elif kind is OrderedDict or kind is Counter:
            self.limits.charge(100)
            value.__dict__.update(attributes(value, state))
        elif kind is np.ndarray and id(value) in self.blank:
            del self.blank[id(value)]
            _fill_array(value, state, self.limits)
        elif isinstance(value, np.dtype):
            _check_dtype_state(value, state)
        else:
            raise UnpicklingError(f"BUILD on {shown(value)}, which takes no state from a file")

    def set_items(self, target: Any, flat: list) -> None:
        if len(flat) % 2:
            raise UnpicklingError("SETITEMS with an odd number of values")
        self.limits.charge(32 * len(flat))
        kind = type(target)
        if kind is dict or kind is OrderedDict or kind is defaultdict or kind is Counter:
            key = self.key
            for i in range(0, len(flat), 2):
                target[key(flat[i])] = plain(flat[i + 1])
        elif id(target) in self.approved and isinstance(target, dict):
            for i in range(0, len(flat), 2):
                target[self.key(flat[i])] = plain(flat[i + 1])
        else:
            raise UnpicklingError(f"SETITEM on {shown(target)}, not a dict")

    def append_items(self, target: Any, items: list) -> None:
        self.limits.charge(8 * len(items))
        kind = type(target)
        if kind is list or kind is deque or (id(target) in self.approved and isinstance(target, list)):
            target.extend(map(plain, items))
        else:
            raise UnpicklingError(f"APPEND on {shown(target)}, not a list")

    def add_items(self, target: Any, items: list) -> None:
        self.limits.charge(40 * len(items))
        if type(target) is not set:
            raise UnpicklingError(f"ADDITEMS on {shown(target)}, not a set")
        target.update(map(self.key, items))

    def _no_persistent(self, pid: Any) -> Any:
        raise UnpicklingError(f"a persistent id, {shown(pid)}, where none is defined")

    def _measure(self, root: Any) -> None:
        """Refuse values nested deeper than `max_depth`, or whose parts, shared ones counted each time they
        are reached, exceed `max_tree`: repr and == of such values overflow the stack or never end."""
        found: dict[int, tuple[int, int]] = {}
        todo: list[tuple[Any, bool]] = [(root, False)]
        while todo:
            value, closing = todo.pop()
            parts = _parts(value)
            if parts is None:
                continue
            if closing:
                depth, tree = 0, 1
                for part in parts:
                    d, t = found.get(id(part), (0, 1))
                    depth, tree = max(depth, d), tree + t
                found[id(value)] = depth + 1, tree
                if depth >= self.limits.max_depth:
                    raise UnpicklingError(f"values nested more than {self.limits.max_depth} deep")
                if tree > self.limits.max_tree:
                    raise UnpicklingError(f"a value of more than {self.limits.max_tree} parts")
            elif id(value) not in found:
                found[id(value)] = 1, 1     # a cycle ends here
                todo.append((value, True))
                todo.extend((part, False) for part in parts if type(part) in _CONTAINERS)

    # ------------------------------------------------------------------------------------ plain values

    def named(self, module: str, name: str) -> Any:
        """What a name in the file stands for."""
        found = self.find_global(module, name)
        if found is None:
            found = _PLAIN.get((module, name))
        if found is None:
            return self.unknown(module, name)
        return Rebuild(found.name, self.blank_array) if found is _RECONSTRUCT else found

    def unknown(self, module: str, name: str) -> Any:
        """UnpicklingError: the file names something that no table has."""
        raise not_allowed(full_name(module, name))

    def blank_array(self, args: tuple) -> np.ndarray:
        if not (len(args) == 3 and args[0] is np.ndarray and args[1] == (0,) and args[2] in (b"b", "b")):
            raise UnpicklingError("multiarray._reconstruct of other than (ndarray, (0,), b'b')")
        self.limits.charge(200)
        made = np.ndarray((0,), "b")
        self.blank[id(made)] = made
        return made

    def _plain_rules(self) -> dict[Any, Callable]:
        return {OrderedDict: self._ordered, Counter: self._counter, defaultdict: self._default,
                deque: self._deque, set: self._set, frozenset: lambda args: frozenset(self._set(args)),
                bytearray: self._bytearray, complex: _complex, slice: _slice, range: _range, np.dtype: _dtype,
                bytes: _bytes}

    def _items(self, args: tuple, what: str) -> list | tuple:
        if not args:
            return ()
        if len(args) != 1 or type(args[0]) not in (list, tuple):
            raise UnpicklingError(f"{what} of {shown(args[0])}")
        self.limits.charge(64 * len(args[0]))
        return args[0]

    def _set(self, args: tuple) -> set:
        return set(map(self.key, self._items(args, "set")))

    def _ordered(self, args: tuple) -> OrderedDict:
        made: OrderedDict = OrderedDict()
        self.limits.charge(200)
        for pair in self._items(args, "OrderedDict"):
            if type(pair) not in (list, tuple) or len(pair) != 2:
                raise UnpicklingError("OrderedDict of other than pairs")
            made[self.key(pair[0])] = pair[1]
        return made

    def _counter(self, args: tuple) -> Counter:
        made: Counter = Counter()
        if args:
            if len(args) != 1 or type(args[0]) is not dict:
                raise UnpicklingError(f"Counter of {shown(args[0])}")
            self.limits.charge(64 * len(args[0]))
            dict.update(made, args[0])
        return made

    def _default(self, args: tuple) -> defaultdict:
        if len(args) > 1 or (args and args[0] is not None and args[0] not in _FACTORIES):
            raise UnpicklingError("defaultdict with a factory that is not a plain type")
        self.limits.charge(200)
        return defaultdict(*args)

    def _bytearray(self, args: tuple) -> bytearray:
        if not args:
            return bytearray()
        if len(args) == 2 and type(args[0]) is str and args[1] in ("latin-1", "latin1"):
            args = (_latin(args[0]),)
        if len(args) != 1 or type(args[0]) is not bytes:
            raise UnpicklingError(f"bytearray of {shown(args[0])}")
        self.limits.charge(len(args[0]))
        return bytearray(args[0])

    def _deque(self, args: tuple) -> deque:
        if not (args == () or (len(args) == 2 and args[0] == () and type(args[1]) is int and args[1] >= 0)):
            raise UnpicklingError("deque with arguments that are not ((), maxlen)")
        self.limits.charge(700)
        return deque(*args)


class Program(Interpreter):
    """The same machine for a file trusted as a program: what no table has is imported, and called."""

    def unknown(self, module: str, name: str) -> Any:
        import importlib
        module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
        value = importlib.import_module(module)
        for part in name.split("."):
            value = getattr(value, part)
        return value

    def key(self, k: Any) -> Any:
        return k

    def reduce(self, function: Any, args: Any) -> Any:
        if type(function) is Rebuild:
            return function.build(args)
        rule = self.rules.get(function) if isinstance(function, type) else None
        return function(*args) if rule is None else rule(args)

    def newobj(self, cls: Any, args: Any, kwargs: dict) -> Any:
        return cls.__new__(cls, *args, **kwargs)

    def build(self, value: Any, state: Any) -> None:
        if (type(value) is np.ndarray and id(value) in self.blank) or isinstance(value, np.dtype):
            super().build(value, state)
        else:
            set_state(value, state)

    def set_items(self, target: Any, flat: list) -> None:
        for i in range(0, len(flat), 2):
            target[flat[i]] = flat[i + 1]

    def append_items(self, target: Any, items: list) -> None:
        if hasattr(target, "extend"):
            target.extend(map(plain, items))
        else:
            for item in items:
                target.append(item)

    def add_items(self, target: Any, items: list) -> None:
        target.update(items)

    def _measure(self, root: Any) -> None:
        pass


def loads(data: bytes, encoding: str = "utf-8", max_bytes: int | None = None) -> Any:
    """The value of a pickle of plain data: numbers, strings, containers, NumPy arrays of numbers and strings.

    UnpicklingError for anything else; nothing in `data` is executed. encoding="bytes" leaves Python 2 strings
    as bytes (the CIFAR-10 batches are such pickles). `max_bytes`: see `Limits`."""
    data = bytes(data)
    limits = Limits(max_bytes) if max_bytes is not None else Limits.of(len(data), len(data))
    machine = Interpreter(data, limits, encoding=encoding)
    value = machine.load()
    if machine.pos != len(data):
        raise UnpicklingError(f"{len(data) - machine.pos} bytes follow the pickle")
    return value


def full_name(module: str, name: str) -> str:
    """module.name, escaped and short enough for a message."""
    return shown(module)[1:-1] + "." + shown(name)[1:-1]


def not_allowed(name: str) -> UnpicklingError:
    """The error for a name that a file may not use."""
    return UnpicklingError(f"Unsupported global: GLOBAL {name} was not an allowed global by default.")


def set_state(value: Any, state: Any) -> None:
    """What pickle's BUILD does: `__setstate__`, or the instance's attributes (and slots)."""
    setter = getattr(value, "__setstate__", None)
    if setter is not None:
        setter(state)
        return
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    if state:
        value.__dict__.update(state)
    for name, item in (slots or {}).items():
        setattr(value, name, item)


def attributes(owner: Any, state: Any) -> dict[str, Any]:
    """`state` if a dict of attribute names that hide nothing of `owner`'s class, else UnpicklingError."""
    if type(state) is not dict:
        raise UnpicklingError(f"the state of a {type(owner).__name__} is {shown(state)}, not a dict")
    for name in state:
        plain = type(name) is str and name.isidentifier() and not name.startswith("__")
        if not plain or hasattr(type(owner), name):
            raise UnpicklingError(f"{shown(name)} as an attribute of a {type(owner).__name__}")
    return state


_CONTAINERS = frozenset((list, tuple, dict, set, frozenset, OrderedDict, defaultdict, Counter, deque))


def _parts(value: Any) -> list | None:
    kind = type(value)
    if kind not in _CONTAINERS:
        return None
    if isinstance(value, dict):
        return [*value.values(), *value.keys(), *getattr(value, "__dict__", {}).values()]
    return list(value)


# -------------------------------------------------------------------------------- rules of plain types

_FACTORIES = (list, dict, int, float, bool, str, bytes, tuple, set, OrderedDict)
_BUILTINS = {"set": set, "frozenset": frozenset, "bytearray": bytearray, "complex": complex, "slice": slice,
             "range": range, "xrange": range, "Ellipsis": ..., "int": int, "long": int, "float": float,
             "bool": bool, "str": str, "unicode": str, "bytes": bytes, "list": list, "dict": dict,
             "tuple": tuple}


def _latin(text: str) -> bytes:
    try:
        return text.encode("latin1")
    except UnicodeEncodeError:
        raise UnpicklingError("_codecs.encode of text that is not latin1") from None


def _encode(args: tuple) -> bytes:
    if len(args) == 2 and type(args[0]) is str and args[1] in ("latin1", "latin-1"):
        return _latin(args[0])
    raise UnpicklingError("_codecs.encode with other arguments than (text, 'latin1')")


def _bytes(args: tuple) -> bytes:
    """Protocol 2 writes the empty string of bytes as bytes()."""
    if args:
        raise UnpicklingError("bytes of anything")
    return b""


def _complex(args: tuple) -> complex:
    if len(args) == 2 and all(type(a) in (float, int) for a in args):
        return complex(*args)
    raise UnpicklingError("complex of other than two numbers")


def _slice(args: tuple) -> slice:
    if len(args) == 3 and all(a is None or type(a) in (int, float, str) for a in args):
        return slice(*args)
    raise UnpicklingError("slice of other than three numbers")


def _range(args: tuple) -> range:
    if len(args) == 3 and all(type(a) is int for a in args) and args[2] != 0:
        return range(*args)
    raise UnpicklingError("range of other than three integers")


_DTYPE = re.compile(r"[<>|=]?([biufcSU?]\d{0,9})\Z")


def _dtype(args: tuple) -> np.dtype:
    """numpy.dtype('f4', False, True): types of numbers, booleans and fixed-length strings. A new object, so
    that the byte order in its state can be set."""
    code = args[0] if args else None
    if type(code) is bytes:
        code = code.decode("latin1")
    if type(code) is not str or len(args) != 3 or not _DTYPE.match(code):
        raise UnpicklingError(f"numpy.dtype({shown(code)}): only numbers, booleans and strings are read")
    try:
        made = np.dtype(code, copy=True)
    except (TypeError, ValueError):
        raise UnpicklingError(f"numpy.dtype({shown(code)}) does not exist") from None
    if made.hasobject:
        raise UnpicklingError(f"numpy.dtype({shown(code)}) holds Python objects")
    return made


def _check_dtype_state(value: np.dtype, state: Any) -> None:
    order = state[1] if type(state) is tuple and len(state) in (8, 9) else None
    if type(order) is bytes:
        order = order.decode("latin1")
    if order not in ("<", ">", "|", "=") or state[2:5] != (None, None, None):
        raise UnpicklingError("the state of a numpy.dtype is not that of a plain type")
    if order == ">" and value.itemsize > 1:
        width = (value.itemsize, 4) if value.kind == "U" else (-1, -1)
        value.__setstate__((3, ">", None, None, None, *width, 0))  # type: ignore[attr-defined]


def _sizes(shape: Any) -> tuple[int, ...]:
    if type(shape) is tuple and len(shape) <= 32 and all(type(n) is int and 0 <= n < 1 << 62 for n in shape):
        return shape
    raise UnpicklingError("the shape of a numpy array is not a tuple of sizes")


def _fill_array(made: np.ndarray, state: Any, limits: Limits) -> None:
    if type(state) is not tuple or len(state) != 5 or not isinstance(state[2], np.dtype):
        raise UnpicklingError("the state of a numpy array is not (version, shape, dtype, order, bytes)")
    _, shape, dtype, fortran, raw = state
    if type(raw) is str:
        raw = _latin(raw)
    if type(raw) is not bytes:
        raise UnpicklingError("a numpy array of Python objects")
    count = prod(_sizes(shape))
    if dtype.hasobject or count * dtype.itemsize != len(raw):
        raise UnpicklingError(f"a numpy array of {count} elements of {dtype} in {len(raw)} bytes")
    limits.charge(len(raw))
    made.__setstate__((1, shape, dtype, bool(fortran), raw))  # type: ignore[arg-type]


def _scalar(args: tuple) -> Any:
    if len(args) != 2 or not isinstance(args[0], np.dtype):
        raise UnpicklingError("numpy scalar without a dtype")
    raw = _latin(args[1]) if type(args[1]) is str else args[1]
    if type(raw) is not bytes or len(raw) != args[0].itemsize or not raw:
        raise UnpicklingError(f"numpy scalar of {args[0]} from {shown(raw)}")
    return np.frombuffer(raw, args[0])[0]


def _from_buffer(args: tuple) -> np.ndarray:
    if len(args) != 4 or type(args[0]) not in (bytes, bytearray) or not isinstance(args[1], np.dtype) \
            or args[3] not in ("C", "F"):
        raise UnpicklingError("numpy array from other than (bytes, dtype, shape, order)")
    count = prod(_sizes(args[2]))
    if count * args[1].itemsize != len(args[0]) or not args[1].itemsize:
        raise UnpicklingError(f"a numpy array of {count} elements of {args[1]} in {len(args[0])} bytes")
    return np.frombuffer(bytearray(args[0]), args[1]).reshape(args[2], order=args[3])


_RECONSTRUCT = Rebuild("numpy._core.multiarray._reconstruct", lambda args: None)
_PLAIN: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): Rebuild("_codecs.encode", _encode),
    ("collections", "OrderedDict"): OrderedDict, ("collections", "Counter"): Counter,
    ("collections", "defaultdict"): defaultdict, ("collections", "deque"): deque,
    ("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype,
}
for _place in ("builtins", "__builtin__"):
    _PLAIN.update({(_place, name): value for name, value in _BUILTINS.items()})
for _place in ("numpy.core", "numpy._core"):
    _PLAIN[_place + ".multiarray", "_reconstruct"] = _RECONSTRUCT
    _PLAIN[_place + ".multiarray", "scalar"] = Rebuild("numpy._core.multiarray.scalar", _scalar)
    _PLAIN[_place + ".numeric", "_frombuffer"] = Rebuild("numpy._core.numeric._frombuffer", _from_buffer)


# ----------------------------------------------------------------------------------------- the opcodes

@_opcode(b"\x80")
def _proto(m: Interpreter) -> None:
    version = m.take(1)[0]
    if not 2 <= version <= 5:
        raise UnpicklingError(f"unsupported pickle protocol: {version}")


@_opcode(b"\x95")
def _frame(m: Interpreter) -> None:
    if m.number("<Q", 8) > len(m.data) - m.pos:
        raise UnpicklingError("pickle exhausted before end of frame")


@_opcode(b"(")
def _mark(m: Interpreter) -> None:
    m.limits.charge(64)
    m.frames.append(m.stack)
    m.stack = []


@_opcode(b"0")
def _pop(m: Interpreter) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.since_mark()


@_opcode(b"1")
def _pop_mark(m: Interpreter) -> None:
    m.since_mark()


@_opcode(b"2")
def _dup(m: Interpreter) -> None:
    m.push(m.top())


_OPCODES[ord("N")] = lambda m: m.push(None)
_OPCODES[0x88] = lambda m: m.push(True)
_OPCODES[0x89] = lambda m: m.push(False)
_OPCODES[ord("K")] = lambda m: m.push(m.take(1)[0])
_OPCODES[ord("M")] = lambda m: m.push(m.number("<H", 2), 40)
_OPCODES[ord("J")] = lambda m: m.push(m.number("<i", 4), 40)
_OPCODES[ord("G")] = lambda m: m.push(m.number(">d", 8), 32)
_OPCODES[ord("]")] = lambda m: m.push([], 64)
_OPCODES[ord("}")] = lambda m: m.push({}, 64)
_OPCODES[ord(")")] = lambda m: m.push(())
_OPCODES[0x8f] = lambda m: m.push(set(), 216)


@_opcode(b"\x8a")
def _long1(m: Interpreter) -> None:
    n = m.take(1)[0]
    m.push(int.from_bytes(m.take(n), "little", signed=True), 40 + n)


@_opcode(b"\x8b")
def _long4(m: Interpreter) -> None:
    n = m.number("<i", 4)
    m.push(int.from_bytes(m.take(n), "little", signed=True), 40 + n + n // 4)


def _sized(form: str, width: int, convert: Callable[[Interpreter, bytes], Any]):
    def read(m: Interpreter) -> None:
        n = m.number(form, width)
        m.push(convert(m, m.take(n)), 56 + n)
    return read


def _utf8(m: Interpreter, raw: bytes) -> str:
    try:
        text = raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise UnpicklingError(f"text at byte {m.pos} is not UTF-8") from None
    if not text.isascii():
        m.limits.charge(3 * len(text))
    return text


def _raw(m: Interpreter, raw: bytes) -> bytes:
    return raw


for _code, _form, _width, _convert in (
        (b"X", "<I", 4, _utf8), (b"\x8c", "<B", 1, _utf8), (b"\x8d", "<Q", 8, _utf8),
        (b"T", "<i", 4, Interpreter.text), (b"U", "<B", 1, Interpreter.text),
        (b"B", "<I", 4, _raw), (b"C", "<B", 1, _raw), (b"\x8e", "<Q", 8, _raw),
        (b"\x96", "<Q", 8, lambda m, raw: bytearray(raw))):
    _OPCODES[_code[0]] = _sized(_form, _width, _convert)


@_opcode(b"t")
def _tuple(m: Interpreter) -> None:
    items = m.since_mark()
    m.push(tuple(items), 64 + 8 * len(items))


def _short_tuple(n: int) -> Callable[[Interpreter], None]:
    def make(m: Interpreter) -> None:
        if len(m.stack) < n:
            raise m.underflow()
        m.limits.charge(56 + 8 * n)
        m.stack[-n:] = [tuple(m.stack[-n:])]
    return make


_OPCODES[0x85], _OPCODES[0x86], _OPCODES[0x87] = _short_tuple(1), _short_tuple(2), _short_tuple(3)


@_opcode(b"l")
def _list(m: Interpreter) -> None:
    items = m.since_mark()
    m.push(items, 64 + 8 * len(items))


@_opcode(b"d")
def _dict(m: Interpreter) -> None:
    items = m.since_mark()
    made: dict = {}
    m.set_items(made, items)
    m.push(made, 64)


@_opcode(b"\x91")
def _frozenset(m: Interpreter) -> None:
    items = m.since_mark()
    m.push(frozenset(map(m.key, items)), 216 + 40 * len(items))


@_opcode(b"a")
def _append(m: Interpreter) -> None:
    item = m.pop()
    m.append_items(m.top(), [item])


@_opcode(b"e")
def _appends(m: Interpreter) -> None:
    items = m.since_mark()
    m.append_items(m.top(), items)


@_opcode(b"s")
def _setitem(m: Interpreter) -> None:
    value, key = m.pop(), m.pop()
    m.set_items(m.top(), [key, value])


@_opcode(b"u")
def _setitems(m: Interpreter) -> None:
    items = m.since_mark()
    m.set_items(m.top(), items)


@_opcode(b"\x90")
def _additems(m: Interpreter) -> None:
    items = m.since_mark()
    m.add_items(m.top(), items)


def _put(m: Interpreter, index: int) -> None:
    m.limits.charge(64)
    m.memo[index] = m.top()


def _get(m: Interpreter, index: int) -> None:
    if index not in m.memo:
        raise UnpicklingError(f"Memo value not found at index {index}")
    m.push(m.memo[index])


_OPCODES[ord("q")] = lambda m: _put(m, m.take(1)[0])
_OPCODES[ord("r")] = lambda m: _put(m, m.number("<I", 4))
_OPCODES[0x94] = lambda m: _put(m, len(m.memo))
_OPCODES[ord("h")] = lambda m: _get(m, m.take(1)[0])
_OPCODES[ord("j")] = lambda m: _get(m, m.number("<I", 4))


def _line(m: Interpreter) -> str:
    end = m.data.find(b"\n", m.pos, m.pos + 4096)
    if end < 0:
        raise UnpicklingError(f"a name at byte {m.pos} has no end")
    raw = m.data[m.pos:end]
    m.pos = end + 1
    return _utf8(m, raw)


@_opcode(b"c")
def _global(m: Interpreter) -> None:
    module = _line(m)
    m.push(m.named(module, _line(m)), 64)


@_opcode(b"\x93")
def _stack_global(m: Interpreter) -> None:
    name, module = m.pop(), m.pop()
    if type(name) is not str or type(module) is not str:
        raise UnpicklingError("STACK_GLOBAL requires str")
    m.push(m.named(module, name), 64)


@_opcode(b"R")
def _reduce(m: Interpreter) -> None:
    args, function = m.pop(), m.pop()
    m.push(m.reduce(function, args), 64)


@_opcode(b"\x81")
def _newobj(m: Interpreter) -> None:
    args, cls = m.pop(), m.pop()
    m.push(m.newobj(cls, args, {}), 64)


@_opcode(b"\x92")
def _newobj_ex(m: Interpreter) -> None:
    kwargs, args, cls = m.pop(), m.pop(), m.pop()
    m.push(m.newobj(cls, args, kwargs), 64)


@_opcode(b"b")
def _build(m: Interpreter) -> None:
    state = m.pop()
    m.build(m.top(), state)


@_opcode(b"Q")
def _binpersid(m: Interpreter) -> None:
    m.push(m.persistent_load(m.pop()), 64)
