"""Hand-written kernels and device functions as LLVM IR: a translator for the Python they are written in.

Assignments to names, to tuples of names and to elements of arrays, if, while, for over a range, break,
continue and return; arithmetic, comparisons, `and`, `or`, `not`, `a if c else b`, abs, min, max, conversions,
`math.NAME`, jit.py's intrinsics, other device functions. Types come from forward inference by numba's rules:
arithmetic of integers is 64 bits wide, that of float32 with float32 has 32, else floats have 64; a name has
the widest type it is given. So both compilers give a kernel the same meaning, bit for bit, but for what
FAST_MATH leaves to LLVM: the order of a sum, which product and sum become one fma."""
from __future__ import annotations

import ast
import builtins
import functools
import hashlib
import inspect
import math
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import jit
from .expr import BINARY, COMPARE, PARTS
from .llvm import FLOATS, LL, Code, Module, Unprintable, Value, signed


def define(module: Module, fn: jit.Device, types: Sequence[str]) -> tuple[str, str]:
    """(symbol, type of the result) of a device function for arguments of these types, in the module."""
    key = (fn, tuple(types))
    if key not in module.defined:
        symbol = "_".join([fn.__name__, *types])
        module.defined[key] = symbol, "float64"  # what a call of itself gives
        module.defined[key] = symbol, _Function(module, fn.fn, types).device(symbol)
    return module.defined[key]


def _arithmetic(a: str, b: str) -> str:
    """The type in which numba adds or multiplies an `a` and a `b`."""
    if a in PARTS or b in PARTS:
        return "complex64" if {a, b} <= {"complex64", "float32"} else "complex128"
    if a in FLOATS or b in FLOATS:
        return "float32" if a == b == "float32" else "float64"
    return "int64" if signed(a) or signed(b) or "bool" in (a, b) else "uint64"


def _unified(a: str | None, b: str) -> str:
    """The type of a name that is given an `a` here and a `b` there."""
    if a is None or a == b or a == "bool":
        return b
    if b == "bool":
        return a
    if {a, b} & {"uint64"} and (signed(a) or signed(b)):
        raise Unprintable(f"a name of type {a} and {b}")
    return _arithmetic(a, b)


def _compared(a: str, b: str) -> str:
    """The type in which an `a` and a `b` are compared."""
    if a == b:
        return a
    if {a, b} & {"uint64"} and (signed(a) or signed(b)):
        raise Unprintable(f"a comparison of {a} and {b}")
    return _arithmetic(a, b)


def _of_math(e: ast.Attribute) -> bool:
    return isinstance(e.value, ast.Name) and e.value.id == "math"


def _pure(e: ast.expr) -> bool:
    """Whether `e` may be computed where Python would not: it reads no memory and calls nothing."""
    return not any(isinstance(n, ast.Subscript | ast.Call) for n in ast.walk(e))


_CASTS = {("bits", "float32"): "int32", ("bits", "float64"): "int64", ("from_bits", "int32"): "float32",
          ("from_bits", "int64"): "float64"}


class _Function(Code):
    """Translates one function. Every name has a place on the stack; LLVM makes values of them."""

    def __init__(self, module: Module, fn: Callable, types: Sequence[str]):
        super().__init__(module)
        tree = ast.parse(textwrap.dedent(inspect.getsource(fn))).body[0]
        assert isinstance(tree, ast.FunctionDef)
        self.fn, self.body = fn, tree.body
        self.given = list(zip([a.arg for a in tree.args.args], types, strict=True))
        self.arrays = {n: t[1:] for n, t in self.given if t[0] == "*"}
        self.types = {n: t for n, t in self.given if t[0] != "*"}
        self.result = ""

    def device(self, symbol: str) -> str:
        """Define the function in the module; the type of its result."""
        self.translate()
        self.put("unreachable")
        params = ", ".join([f"{LL[t]} %{n}" for n, t in self.given])
        self.module.functions.append(self.text(
            f"define internal {LL[self.result]} @{symbol}({params}) nounwind willreturn memory(none)"))
        return self.result

    def kernel(self, symbol: str) -> None:
        """Define the function as one of a pointer to its arguments, which are 64-bit words (jit.py)."""
        self.translate()
        words: list[str] = []
        for k, (n, t) in enumerate(self.given):
            words += [f"  %w.{k} = getelementptr i64, ptr %args, i64 {k}",
                      f"  %{n} = load {LL.get(t, 'ptr')}, ptr %w.{k}"]
        self.head = words + self.head
        self.put("ret void")
        self.module.functions.append(self.text(f"define void @{symbol}(ptr noalias %args) nounwind"))

    def translate(self) -> None:
        """The instructions; anew until no name is given a wider type than it had: at most a few rounds."""
        self.settled = False
        while not self.settled:
            self.settled = True
            self.head, self.lines, self.block = [], [], "entry"
            self.loops: list[tuple[str, str]] = []  # around: where `continue` and `break` go
            self.places = {n: self.room(t) for n, t in self.types.items()}
            for n, t in self.given:
                if t[0] != "*":
                    self.assign(n, f"%{n}", t)
            self.statements(self.body)

    def refuse(self, what: str) -> Unprintable:
        return Unprintable(f"{self.fn.__name__}: {what}")

    # -------------------------------------------------------------------------------------------- statements
    def statements(self, body: list[ast.stmt]) -> None:
        for s in body:
            self.statement(s)

    def statement(self, s: ast.stmt) -> None:
        if isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant):
            return
        if isinstance(s, ast.Assign) and len(s.targets) == 1:
            self.bind(s.targets[0], s.value)
        elif isinstance(s, ast.AugAssign):
            if isinstance(s.target, ast.Subscript):
                places, t = self.element(s.target)
                new = self.operate(BINARY[type(s.op)], (self.kept(places, t), t), self.value(s.value))
                self.keep(places, self.cast(*new, t), t)
            else:
                assert isinstance(s.target, ast.Name)
                old = self.value(ast.Name(s.target.id))
                self.assign(s.target.id, *self.operate(BINARY[type(s.op)], old, self.value(s.value)))
        elif isinstance(s, ast.Return):
            self.leave(s.value)
        elif isinstance(s, ast.If):
            yes, no, after = self.label(), self.label(), self.label()
            self.branch(self.truth(s.test), yes, no)
            for label, part in ((yes, s.body), (no, s.orelse)):
                self.enter(label)
                self.statements(part)
                self.jump(after)
            self.enter(after)
        elif isinstance(s, ast.While) and not s.orelse:
            self.loop(lambda: self.truth(s.test), lambda: None, s.body, lambda: None)
        elif isinstance(s, ast.For) and isinstance(s.target, ast.Name) and not s.orelse:
            self.count(s.target.id, s.iter, s.body)
        elif isinstance(s, ast.Break | ast.Continue):
            self.jump(self.loops[-1][isinstance(s, ast.Break)])
            self.enter(self.label())  # what follows is never reached
        else:
            raise self.refuse(f"a {type(s).__name__} statement")

    def bind(self, target: ast.expr, value: ast.expr) -> None:
        """target = value"""
        if isinstance(target, ast.Name):
            self.assign(target.id, *self.value(value))
        elif isinstance(target, ast.Subscript):
            x = self.value(value)
            places, t = self.element(target)
            self.keep(places, self.cast(*x, t), t)
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one, (x, t) in zip(target.elts, [self.value(v) for v in value.elts], strict=True):
                assert isinstance(one, ast.Name)
                self.assign(one.id, x, t)
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.IfExp):
            held = [ast.Name(f"{value.lineno}:{value.col_offset}:{k}") for k in range(len(target.elts))]
            self.either(value.test, lambda: self.bind(ast.Tuple(list(held)), value.body),
                        lambda: self.bind(ast.Tuple(list(held)), value.orelse))
            self.bind(target, ast.Tuple(list(held)))
        else:
            raise self.refuse(f"an assignment to {ast.unparse(target)}")

    def leave(self, value: ast.expr | None) -> None:
        if value is None:
            self.put("ret void")
        else:
            x, t = self.value(value)
            wide = _unified(self.result or None, t)
            if self.result and wide != self.result:
                self.settled = False
            self.result = wide
            self.put(f"ret {LL[wide]} {self.cast(x, t, wide)}")
        self.enter(self.label())

    def either(self, test: ast.expr, yes: Callable[[], None], no: Callable[[], None]) -> None:
        """Do the one or the other."""
        labels, after = (self.label(), self.label()), self.label()
        self.branch(self.truth(test), *labels)
        for label, part in zip(labels, (yes, no)):
            self.enter(label)
            part()
            self.jump(after)
        self.enter(after)

    def loop(self, test: Callable[[], str], start: Callable[[], None], body: list[ast.stmt],
             step: Callable[[], None]) -> None:
        """while test: start, body, step; `continue` goes to the step."""
        head, inside, following, after = self.label(), self.label(), self.label(), self.label()
        self.jump(head)
        self.enter(head)
        self.branch(test(), inside, after)
        self.enter(inside)
        start()
        self.loops.append((following, after))
        self.statements(body)
        self.loops.pop()
        self.jump(following)
        self.enter(following)
        step()
        self.jump(head)
        self.enter(after)

    def count(self, name: str, over: ast.expr, body: list[ast.stmt]) -> None:
        """for name in range(…). What is counted stands apart from the name, which the body may change."""
        if not (isinstance(over, ast.Call) and isinstance(over.func, ast.Name) and over.func.id == "range"):
            raise self.refuse(f"a loop over {ast.unparse(over)}")
        step = ast.literal_eval(over.args[2]) if len(over.args) == 3 else 1
        first, last = (["0", *[self.cast(*self.value(a), "int64") for a in over.args[:2]]])[-2:]
        place = self.stack("i64")
        self.put(f"store i64 {first}, ptr {place}")
        now = lambda: self.new(f"load i64, ptr {place}")
        self.loop(lambda: self.compare("<" if step > 0 else ">", "int64", now(), last),
                  lambda: self.assign(name, now(), "int64"), body,
                  lambda: self.put(f"store i64 {self.new(f'add nsw i64 {now()}, {step}')}, ptr {place}"))

    # -------------------------------------------------------------------------------------------- memory
    def room(self, t: str) -> list[str]:
        """Places on the stack for a value, or for the parts of a complex one."""
        return [self.stack(LL[t])] if t not in PARTS else [self.stack(LL[PARTS[t]]) for _ in range(2)]

    def assign(self, name: str, x: Value, t: str) -> None:
        wide = _unified(self.types.get(name), t)
        if self.types.get(name, wide) != wide:
            self.settled = False
        if name not in self.places:
            self.places[name] = self.room(wide)
        self.types[name] = wide
        self.keep(self.places[name], self.cast(x, t, wide), wide)

    def keep(self, places: Sequence[str], x: Value, t: str) -> None:
        for place, part in zip(places, x if t in PARTS else [x]):
            self.put(f"store {LL[PARTS.get(t, t)]} {part}, ptr {place}")

    def kept(self, places: Sequence[str], t: str) -> Value:
        parts = [self.new(f"load {LL[PARTS.get(t, t)]}, ptr {p}") for p in places]
        return tuple(parts) if t in PARTS else parts[0]

    def element(self, e: ast.Subscript) -> tuple[list[str], str]:
        """(places of an element of an array or of its parts, its type)"""
        if not (isinstance(e.value, ast.Name) and e.value.id in self.arrays):
            raise self.refuse(ast.unparse(e))
        t = self.arrays[e.value.id]
        index = self.cast(*self.value(e.slice), "int64")
        part = LL[PARTS.get(t, t)]
        if t not in PARTS:
            return [self.new(f"getelementptr inbounds {part}, ptr %{e.value.id}, i64 {index}")], t
        both = f"{{{part}, {part}}}, ptr %{e.value.id}, i64 {index}"
        return [self.new(f"getelementptr inbounds {both}, i32 {k}") for k in range(2)], t

    # -------------------------------------------------------------------------------------------- expressions
    def truth(self, e: ast.expr) -> str:
        return self.cast(*self.value(e), "bool")

    def operate(self, op: str, a: tuple[Value, str], b: tuple[Value, str]) -> tuple[Value, str]:
        if op in ("<<", ">>"):  # the sign of the result is the left operand's
            t = "int64" if signed(a[1]) else "uint64"
            return self.binary(op, t, self.cast(*a, t), self.cast(*b, t)), t
        t = "bool" if a[1] == b[1] == "bool" and op in "&|^" else _arithmetic(a[1], b[1])
        if op == "/" and t not in FLOATS:
            t = "float64"
        return self.binary(op, t, self.cast(*a, t), self.cast(*b, t)), t

    def value(self, e: ast.expr) -> tuple[Value, str]:
        """(value, type) of an expression."""
        if isinstance(e, ast.Constant):
            return self.constant(e.value)
        if isinstance(e, ast.Name):
            if e.id in self.places:
                return self.kept(self.places[e.id], self.types[e.id]), self.types[e.id]
            return self.constant(self.meaning(e))
        if isinstance(e, ast.Subscript):
            places, t = self.element(e)
            return self.kept(places, t), t
        if isinstance(e, ast.Attribute):
            if _of_math(e):
                return self.constant(getattr(math, e.attr))
            z, t = self.value(e.value)
            if t in PARTS and e.attr in ("real", "imag"):
                return z[e.attr == "imag"], PARTS[t]
        if isinstance(e, ast.BinOp):
            return self.operate(BINARY[type(e.op)], self.value(e.left), self.value(e.right))
        if isinstance(e, ast.UnaryOp):
            if isinstance(e.op, ast.Not):
                return self.new(f"xor i1 {self.truth(e.operand)}, true"), "bool"
            x, of = self.value(e.operand)
            t = of if of in FLOATS or of in PARTS else "int64" if signed(of) or of == "bool" else "uint64"
            x = self.cast(x, of, t)
            if isinstance(e.op, ast.USub):
                return self.negative(t, x), t
            if isinstance(e.op, ast.Invert) and t in ("int64", "uint64"):
                return self.new(f"xor i64 {x}, -1"), t
        if isinstance(e, ast.Compare):
            out, left = "", self.value(e.left)
            for relation, right in zip(e.ops, e.comparators):
                r = self.value(right)
                t = _compared(left[1], r[1])
                one = self.compare(COMPARE[type(relation)], t, self.cast(*left, t), self.cast(*r, t))
                out, left = self.binary("&", "bool", out, one) if out else one, r
            return out, "bool"
        if isinstance(e, ast.BoolOp):
            return self.logic(e), "bool"
        if isinstance(e, ast.IfExp):
            held = ast.Name(f"{e.lineno}:{e.col_offset}")
            self.either(e.test, lambda: self.bind(held, e.body), lambda: self.bind(held, e.orelse))
            return self.value(held)
        if isinstance(e, ast.Call):
            return self.invoke(e, [self.value(a) for a in e.args])
        raise self.refuse(ast.unparse(e))

    def meaning(self, e: ast.expr) -> Any:
        """What a name outside of the function stands for."""
        if isinstance(e, ast.Name):
            space = self.fn.__globals__
            return space[e.id] if e.id in space else getattr(builtins, e.id, None)
        return getattr(math, e.attr) if isinstance(e, ast.Attribute) and _of_math(e) else None

    def constant(self, v: Any) -> tuple[Value, str]:
        t = {bool: "bool", int: "int64", float: "float64"}.get(type(v), type(v).__name__)
        if t not in LL:
            raise self.refuse(f"the constant {v!r}")
        return self.literal(v, t), t

    def logic(self, e: ast.BoolOp) -> str:
        """`and`, `or`: operands without effect are all computed, the others when the one before says so."""
        both = isinstance(e.op, ast.And)
        if all([_pure(v) for v in e.values[1:]]):
            parts = [self.truth(v) for v in e.values]
            return functools.reduce(lambda a, b: self.binary("&" if both else "|", "bool", a, b), parts)
        place, after = self.stack("i1"), self.label()
        for k, v in enumerate(e.values):
            c = self.truth(v)
            self.put(f"store i1 {c}, ptr {place}")
            if k + 1 < len(e.values):
                more = self.label()
                self.branch(c, *((more, after) if both else (after, more)))
                self.enter(more)
        self.jump(after)
        self.enter(after)
        return self.new(f"load i1, ptr {place}")

    def invoke(self, e: ast.Call, args: list[tuple[Value, str]]) -> tuple[Value, str]:
        fn = self.meaning(e.func)
        floats = "float32" if args and all([t == "float32" for _, t in args]) else "float64"
        if isinstance(e.func, ast.Attribute) and fn is not None:
            return self.math(e.func.attr, floats, [self.cast(*a, floats) for a in args]), floats
        if fn is abs:
            return self.absolute(args[0][1], args[0][0]), PARTS.get(args[0][1], args[0][1])
        if fn in (min, max) and len(args) == 2:  # the second where it is less (more), as numba does
            t = _compared(args[0][1], args[1][1])
            a, b = [self.cast(*v, t) for v in args]
            return self.select(t, self.compare("<" if fn is min else ">", t, b, a), b, a), t
        if fn is complex:
            t = "complex64" if floats == "float32" else "complex128"
            return tuple([self.cast(*a, PARTS[t]) for a in args]), t
        to = {float: "float64", int: "int64", bool: "bool"}.get(fn) or getattr(fn, "__name__", "")
        if isinstance(fn, type) and to in LL:
            return self.cast(*args[0], to), to
        if isinstance(fn, jit.Intrinsic):
            (x, t), name = args[0], fn.__name__
            if name in ("fma", "rint", "floor", "ceil", "trunc", "fmod"):
                return self.math(name, floats, [self.cast(*a, floats) for a in args]), floats
            to = _CASTS.get((name, t), "")
            if to:
                return self.new(f"bitcast {LL[t]} {x} to {LL[to]}"), to
        if isinstance(fn, jit.Device):
            symbol, result = define(self.module, fn, [t for _, t in args])
            given = ", ".join([f"{LL[t]} {v}" for v, t in args])
            return self.new(f"call {LL[result]} @{symbol}({given})"), result
        raise self.refuse(f"a call of {ast.unparse(e.func)}")


# ------------------------------------------------------------------------------------------------ compilation
def source(fn: Callable, signature: Sequence[str], symbol: str = "kernel", strict: bool = False) -> str:
    """A kernel as the text of an LLVM module. Unprintable where the translator has no form for something."""
    module = Module("" if strict else " ".join(jit.FAST_MATH))
    _Function(module, fn, signature).kernel(symbol)
    return module.text()


def compile(fn: Callable, signature: tuple[str, ...], strict: bool = False) -> jit.Native:
    """Compile the kernel `fn` as `jit.compile` does, without numba."""
    if jit.DISABLED or jit.CHECKED:
        return jit.compile(fn, signature, strict)
    key = "d" + jit.content_hash(fn, signature, strict, _text())
    return jit.compiled(key, fn, signature, lambda: _object_code(source(fn, signature, key, strict)))


@functools.cache
def _text() -> str:
    """A hash of the translator."""
    parts = [Path(__file__).with_name(n).read_bytes() for n in ("device.py", "llvm.py")]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


def _object_code(text: str) -> bytes:
    engine = jit.engine()
    module = engine.ll.parse_assembly(text)
    module.verify()
    engine.vectorise(module)
    if jit.DEBUG >= 5:
        print(module, file=sys.stderr)
    return b"w" + engine.machine.emit_object(module)
