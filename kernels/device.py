"""Device functions (special.py) as LLVM IR: a translator for the Python they are written in.

Assignments to names, if, while, for over a range, break and return; arithmetic, comparisons, `and`, `or`,
`not`, `a if c else b`, abs, min, max, float, int, `math.NAME`, jit.py's intrinsics, other device functions.
Types are bool, int64 and float64, found by forward inference: a name has the widest type it is given."""
from __future__ import annotations

import ast
import inspect
import math
import textwrap
from collections.abc import Sequence
from typing import Any

from . import jit
from .expr import BINARY, COMPARE, RANK
from .llvm import LL, Code, Module, Unprintable


def define(module: Module, fn: jit.Device, types: Sequence[str]) -> tuple[str, str]:
    """(symbol, type of the result) of a device function for arguments of these types, in the module."""
    key = (fn, tuple(types))
    if key not in module.defined:
        symbol = "_".join([fn.__name__, *types])
        module.defined[key] = symbol, "float64"  # what a call of itself gives
        module.defined[key] = symbol, _Function(module, fn, types, symbol).result
    return module.defined[key]


def _wider(a: str | None, b: str) -> str:
    return b if a is None or RANK[a] < RANK[b] else a


class _Function(Code):
    """Translates one function. Every name has a place on the stack; LLVM makes values of them."""

    def __init__(self, module: Module, fn: jit.Device, types: Sequence[str], symbol: str):
        super().__init__(module)
        self.fn = fn
        tree = ast.parse(textwrap.dedent(inspect.getsource(fn.fn))).body[0]
        assert isinstance(tree, ast.FunctionDef)
        self.types: dict[str, str] = dict(zip([a.arg for a in tree.args.args], types, strict=True))
        self.result = ""
        given = list(zip(self.types, types))
        before: Any = None
        while before != (self.types, self.result):  # until no name widens: at most a few rounds
            before = dict(self.types), self.result
            self.start(given, tree.body)
        params = ", ".join([f"{LL[t]} %{n}" for n, t in given])
        head = f"define internal {LL[self.result]} @{symbol}({params}) nounwind willreturn memory(none)"
        module.functions.append(self.text(head))

    def start(self, given: Sequence[tuple[str, str]], body: list[ast.stmt]) -> None:
        self.head, self.lines, self.block = [], [], "entry"
        self.exits: list[str] = []  # of the loops around
        self.places = {n: self.stack(LL[t]) for n, t in self.types.items()}
        for n, t in given:
            self.assign(n, f"%{n}", t)
        self.statements(body)
        self.put("unreachable")

    # -------------------------------------------------------------------------------------------- statements
    def statements(self, body: list[ast.stmt]) -> None:
        for s in body:
            self.statement(s)

    def statement(self, s: ast.stmt) -> None:
        if isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant):
            return
        if isinstance(s, ast.Assign) and len(s.targets) == 1 and isinstance(s.targets[0], ast.Name):
            self.assign(s.targets[0].id, *self.value(s.value))
        elif isinstance(s, ast.AugAssign) and isinstance(s.target, ast.Name):
            old = self.value(ast.Name(s.target.id))
            self.assign(s.target.id, *self.operate(BINARY[type(s.op)], old, self.value(s.value)))
        elif isinstance(s, ast.Return) and s.value is not None:
            value, t = self.value(s.value)
            self.result = _wider(self.result or None, t)
            self.put(f"ret {LL[self.result]} {self.cast(value, t, self.result)}")
            self.enter(self.label())  # what follows is never reached
        elif isinstance(s, ast.If):
            yes, no, after = self.label(), self.label(), self.label()
            self.branch(self.truth(s.test), yes, no)
            for label, part in ((yes, s.body), (no, s.orelse)):
                self.enter(label)
                self.statements(part)
                self.jump(after)
            self.enter(after)
        elif isinstance(s, ast.While):
            self.loop(lambda: self.truth(s.test), s.body, lambda: None)
        elif isinstance(s, ast.For) and isinstance(s.target, ast.Name) and isinstance(s.iter, ast.Call):
            name = s.target.id
            bounds = [self.cast(*self.value(a), "int64") for a in s.iter.args]
            count = self.stack("i64")  # the name keeps its last value
            first, last = (["0", *bounds])[-2:]
            self.put(f"store i64 {first}, ptr {count}")
            now = lambda: self.new(f"load i64, ptr {count}")

            def more() -> str:
                self.assign(name, now(), "int64")
                return self.compare("<", "int64", now(), last)
            self.loop(more, s.body,
                      lambda: self.put(f"store i64 {self.new(f'add i64 {now()}, 1')}, ptr {count}"))
        elif isinstance(s, ast.Break):
            self.jump(self.exits[-1])
            self.enter(self.label())
        else:
            raise Unprintable(f"{self.fn.__name__}: a {type(s).__name__} statement")

    def loop(self, test, body: list[ast.stmt], step) -> None:
        head, inside, after = self.label(), self.label(), self.label()
        self.jump(head)
        self.enter(head)
        self.branch(test(), inside, after)
        self.enter(inside)
        self.exits.append(after)
        self.statements(body)
        self.exits.pop()
        step()
        self.jump(head)
        self.enter(after)

    def assign(self, name: str, value: str, t: str) -> None:
        wide = _wider(self.types.get(name), t)
        if name not in self.places:
            self.places[name] = self.stack(LL[wide])
        self.types[name] = wide
        self.put(f"store {LL[wide]} {self.cast(value, t, wide)}, ptr {self.places[name]}")

    # -------------------------------------------------------------------------------------------- expressions
    def truth(self, e: ast.expr) -> str:
        return self.cast(*self.value(e), "bool")

    def operate(self, op: str, a: tuple[str, str], b: tuple[str, str]) -> tuple[str, str]:
        t = _wider(a[1], b[1])
        if t == "bool" and op not in "&|^":
            t = "int64"
        if op == "/":
            t = "float64"
        return self.binary(op, t, self.cast(*a, t), self.cast(*b, t)), t

    def value(self, e: ast.expr) -> tuple[str, str]:
        """(value, type) of an expression."""
        if isinstance(e, ast.Constant):
            return self.given(e.value)
        if isinstance(e, ast.Name):
            if e.id in self.places:
                t = self.types[e.id]
                return self.new(f"load {LL[t]}, ptr {self.places[e.id]}"), t
            return self.given(self.fn.fn.__globals__[e.id])
        if isinstance(e, ast.Attribute) and isinstance(e.value, ast.Name) and e.value.id == "math":
            return self.given(getattr(math, e.attr))
        if isinstance(e, ast.BinOp):
            return self.operate(BINARY[type(e.op)], self.value(e.left), self.value(e.right))
        if isinstance(e, ast.UnaryOp):
            if isinstance(e.op, ast.Not):
                return self.new(f"xor i1 {self.truth(e.operand)}, true"), "bool"
            x, t = self.value(e.operand)
            if isinstance(e.op, ast.USub) and t != "bool":
                return self.negative(t, x), t
            if isinstance(e.op, ast.Invert) and t == "int64":
                return self.new(f"xor i64 {x}, -1"), t
        if isinstance(e, ast.Compare):
            out, left = "", self.value(e.left)
            for relation, right in zip(e.ops, e.comparators):
                r = self.value(right)
                t = _wider(left[1], r[1])
                one = self.compare(COMPARE[type(relation)], t, self.cast(*left, t), self.cast(*r, t))
                out, left = self.binary("&", "bool", out, one) if out else one, r
            return out, "bool"
        if isinstance(e, ast.BoolOp):  # operands are pure, so all of them are computed
            parts = [self.truth(v) for v in e.values]
            for p in parts[1:]:
                parts[0] = self.binary("&" if isinstance(e.op, ast.And) else "|", "bool", parts[0], p)
            return parts[0], "bool"
        if isinstance(e, ast.IfExp):
            return self.choice(e)
        if isinstance(e, ast.Call):
            return self.invoke(e)
        raise Unprintable(f"{self.fn.__name__}: a {type(e).__name__}")

    def given(self, v) -> tuple[str, str]:
        t = {bool: "bool", int: "int64", float: "float64"}.get(type(v))
        if t is None:
            raise Unprintable(f"{self.fn.__name__}: the constant {v!r}")
        return self.literal(v, t), t

    def choice(self, e: ast.IfExp) -> tuple[str, str]:
        yes, no, after, name = self.label(), self.label(), self.label(), f"{e.lineno}:{e.col_offset}"
        self.branch(self.truth(e.test), yes, no)
        for label, part in ((yes, e.body), (no, e.orelse)):
            self.enter(label)
            self.assign(name, *self.value(part))
            self.jump(after)
        self.enter(after)
        return self.value(ast.Name(name))

    def invoke(self, e: ast.Call) -> tuple[str, str]:
        args = [self.value(a) for a in e.args]
        if isinstance(e.func, ast.Attribute):
            if not (isinstance(e.func.value, ast.Name) and e.func.value.id == "math"):
                raise Unprintable(f"{self.fn.__name__}: {ast.unparse(e.func)}")
            return self.math(e.func.attr, "float64", [self.cast(*a, "float64") for a in args]), "float64"
        assert isinstance(e.func, ast.Name)
        name = e.func.id
        if name == "abs":
            return self.absolute(args[0][1], args[0][0]), args[0][1]
        if name in ("min", "max"):  # the second where it is less (more), as numba does
            t = _wider(args[0][1], args[1][1])
            a, b = [self.cast(*v, t) for v in args]
            return self.select(t, self.compare("<" if name == "min" else ">", t, b, a), b, a), t
        if name in ("float", "int", "bool"):
            to = {"float": "float64", "int": "int64", "bool": "bool"}[name]
            return self.cast(*args[0], to), to
        fn = self.fn.fn.__globals__.get(name)
        if isinstance(fn, jit.Intrinsic) and name in ("fma", "rint", "floor", "ceil", "trunc", "fmod"):
            return self.math(name, "float64", [self.cast(*a, "float64") for a in args]), "float64"
        if isinstance(fn, jit.Device):
            symbol, result = define(self.module, fn, [t for _, t in args])
            given = ", ".join([f"{LL[t]} {v}" for v, t in args])
            return self.new(f"call {LL[result]} @{symbol}({given})"), result
        raise Unprintable(f"{self.fn.__name__}: a call of {name}")
