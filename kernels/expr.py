"""Scalar expressions: a typed DAG built from the Python text of op bodies, and its printer.

A body is a plain function of scalars in straight-line form: assignments to names, `a if c else b`,
arithmetic, comparisons, `math.*`, calls of other such functions, one return. Its AST is evaluated here with
symbolic arguments, so bodies that call bodies, and graphs of many ops, become one DAG in which equal
expressions are one node. Literals take the type of the operand they meet, so a float32 body stays float32."""
from __future__ import annotations

import ast
import builtins
import functools
import inspect
import math
import textwrap
import types
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from . import jit

RANK = {"bool": 0, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 3, "int32": 3, "uint64": 4,
        "int64": 4, "float32": 5, "float64": 6, "complex64": 7, "complex128": 8}
MEMORY = {"bfloat16": ("uint16", "float32", "bf16_load", "bf16_store"),
          "float16": ("uint16", "float32", "f16_load", "f16_store"),
          "complex32": ("uint32", "complex64", "", "")}  # two float16, the real part in the low bits
PARTS = {"complex64": "float32", "complex128": "float64"}
BITS = {"bool": 1, "uint8": 8, "int8": 8, "int16": 16, "int32": 32, "int64": 64, "uint16": 16, "uint32": 32,
        "uint64": 64}
# Arithmetic of these is 64 bits wide, and signed at times, in Python's and numba's rules.
NARROW = frozenset({"uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64"})
ROUND = ("floor", "ceil", "trunc")
INTRINSICS = {"bits", "from_bits", "to_int", "to_float", "fma", "rint"}
# What cmath lacks. expm1 = (exp x cos y - 1) + i exp x sin y loses digits near 0 as cos y - 1 does.
COMPLEX_FORMS = {
    "log1p": lambda z: math.log(1 + z),
    "log2": lambda z: math.log(z) * 1.4426950408889634,
    "exp2": lambda z: math.exp(z * 0.6931471805599453),
    "expm1": lambda z: math.exp(z) - 1}
# Annex G of the C standard where Numba's functions of z = x + iy depart from it, at NaN and infinity: the
# parts (re, im) of the result from x, y and Numba's parts.
COMPLEX_EDGES = {
    "acos": lambda x, y, re, im: (math.pi / 2 if x == 0 and y != y else re, im),
    "acosh": lambda x, y, re, im: (re, math.pi / 2 if x == 0 and y != y else im),
    "asinh": lambda x, y, re, im: (re, y if y == 0 and x != x else im),
    "atanh": lambda x, y, re, im: (x if x == 0 and y != y else re, math.nan if x != x and abs(y) < math.inf
                                   else im),
    "cosh": lambda x, y, re, im: (
        math.inf if abs(x) == math.inf and not abs(y) < math.inf else re,
        im if abs(y) < math.inf and (y != 0 or x == x) else x if x == 0 else y if y == 0 else math.nan),
    "sinh": lambda x, y, re, im: (
        x if (x == 0 or abs(x) == math.inf) and not abs(y) < math.inf else re,
        im if abs(y) < math.inf and (y != 0 or x == x) else y if y == 0 else math.nan),
    "tanh": lambda x, y, re, im: (
        math.copysign(1.0, x) if abs(x) == math.inf else x if x == 0 and not abs(y) < math.inf else re,
        math.copysign(0.0, math.sin(2 * y)) if abs(x) == math.inf else y if y == 0 and x != x else im)}
COMPARE = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
          ast.Pow: "**", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>"}
_FOLD = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
         "//": lambda a, b: a // b, "%": lambda a, b: a % b, "**": lambda a, b: a**b,
         "<<": lambda a, b: a << b, ">>": lambda a, b: a >> b, "&": lambda a, b: a & b,
         "|": lambda a, b: a | b, "^": lambda a, b: a ^ b}


class Expr:
    """One value: an operation `op` on `args`, of type `dtype` (None: a literal that has not met a typed
    operand)."""

    __slots__ = ("op", "dtype", "args", "value")

    def __init__(self, op: str, dtype: str | None, args: tuple = (), value: Any = None):
        self.op, self.dtype, self.args, self.value = op, dtype, args, value

    def __repr__(self) -> str:
        return f"{self.op}:{self.dtype}" + (f"={self.value}" if self.value is not None else "")


def wrapped(v: int, dtype: str) -> int:
    """The integer modulo 2**bits in the range of its type."""
    n = BITS[dtype]
    v &= (1 << n) - 1
    return v if dtype.startswith("u") or v >> (n - 1) == 0 else v - (1 << n)


class Block:
    """Expressions of one loop body. Equal expressions are one object. `target` is "cpu" or "cuda": on the CPU
    the transcendental functions become polynomials that vectorise (scalar.py), on CUDA they are
    libdevice's."""

    def __init__(self, target: str = "cpu"):
        self.target = target
        self._seen: dict[tuple, Expr] = {}
        self.bound: dict[str, Any] = {}

    def make(self, op: str, dtype: str | None, args: tuple = (), value: Any = None) -> Expr:
        key = (op, dtype, tuple(map(id, args)), repr(value), type(value))
        found = self._seen.get(key)
        if found is None:
            found = self._seen[key] = Expr(op, dtype, args, value)
        return found

    def const(self, value, dtype: str | None = None) -> Expr:
        return self.make("const", dtype, (), value)

    def cast(self, x: Expr, dtype: str) -> Expr:
        """`x` converted to `dtype` as C does."""
        if x.dtype == dtype:
            return x
        if x.op == "const":
            v = x.value
            if dtype == "bool":
                v = bool(v)
            elif dtype.startswith(("int", "uint")):
                v = wrapped(int(v), dtype)
            elif dtype.startswith("float"):
                v = float(v)
            return self.const(v, dtype)
        if x.dtype is not None and x.dtype.startswith("complex") and not dtype.startswith("complex"):
            x = self.make("real", {"complex64": "float32", "complex128": "float64"}[x.dtype], (x,))
            return self.cast(x, dtype)
        narrow = dtype.startswith(("int", "uint")) and dtype not in ("int64", "uint64")
        if narrow and x.dtype is not None and x.dtype.startswith("float"):
            x = self.make("cast", "int64", (x,))  # float → narrow integer wraps, as PyTorch's conversion does
        return self.make("cast", dtype, (x,))

    def unify(self, a: Expr, b: Expr) -> tuple[Expr, Expr]:
        if a.dtype == b.dtype:
            return a, b
        if a.dtype is None:
            return (self.cast(a, self._weak(a, b)), self.cast(b, self._weak(a, b)))
        if b.dtype is None:
            return (self.cast(a, self._weak(b, a)), self.cast(b, self._weak(b, a)))
        wide = a.dtype if RANK[a.dtype] >= RANK[b.dtype] else b.dtype
        if "complex64" in (a.dtype, b.dtype) and "float64" in (a.dtype, b.dtype):
            wide = "complex128"
        return self.cast(a, wide), self.cast(b, wide)

    @staticmethod
    def _weak(literal: Expr, other: Expr) -> str:
        assert other.dtype is not None
        if other.dtype == "bool" and not isinstance(literal.value, bool):
            return "float64" if isinstance(literal.value, float) else "int64"
        if isinstance(literal.value, float) and RANK[other.dtype] < RANK["float32"]:
            return "float64"
        return other.dtype

    def binary(self, op: str, a: Expr, b: Expr) -> Expr:
        if a.op == b.op == "const" and a.dtype is None and b.dtype is None:
            return self.const(_FOLD[op](a.value, b.value))
        if op == "**":
            return self.power(a, b)
        if op in ("<<", ">>") and b.dtype is None:
            b = self.cast(b, a.dtype or "int64")
        a, b = self.unify(a, b)
        if a.dtype == "bool" and op in ("+", "-", "*", "/", "//", "%"):
            a, b = self.cast(a, "int64"), self.cast(b, "int64")
        dtype = a.dtype
        if op == "/" and RANK[dtype or "float64"] < RANK["float32"]:
            a, b, dtype = self.cast(a, "float64"), self.cast(b, "float64"), "float64"
        if dtype in PARTS and op == "/":
            return self.quotient(a, b)
        if op == "//" and dtype == "int64" and b.op != "const":  # in Numba lowest // -1 is 0
            minus = self.compare("==", b, self.const(-1))
            return self.select(minus, self.make("neg", dtype, (a,)), self.make(op, dtype, (a, b)))
        if op in ("<<", ">>") and not (b.op == "const" and 0 <= b.value < BITS.get(dtype or "int64", 64)):
            return self.shift(op, a, b)
        return self.make(op, dtype, (a, b))

    def quotient(self, a: Expr, b: Expr) -> Expr:
        """a / b of complex numbers by Smith's rule (divide by the larger part first); a / 0 is a's parts over
        +0. Written out because Numba's own division raises where b is 0, and kernels must not."""
        part = PARTS[b.dtype or "complex128"]
        (x, y), (c, d) = [[self.make(k, part, (z,)) for k in ("real", "imag")] for z in (a, b)]
        size = lambda v: self.make("abs", part, (v,))
        c_first = self.compare(">=", size(c), size(d))
        p, q = self.select(c_first, c, d), self.select(c_first, d, c)
        u, v = self.select(c_first, x, y), self.select(c_first, y, x)
        ratio = self.binary("/", q, p)
        scale = self.binary("/", self.const(1.0), self.binary("+", p, self.binary("*", q, ratio)))
        w = self.binary("-", v, self.binary("*", u, ratio))
        real = self.binary("*", self.binary("+", u, self.binary("*", v, ratio)), scale)
        imag = self.binary("*", self.select(c_first, w, self.make("neg", part, (w,))), scale)
        zero = self.compare("==", p, self.const(0.0))
        return self.make("complex", a.dtype, (self.select(zero, self.binary("/", x, size(p)), real),
                                              self.select(zero, self.binary("/", y, size(p)), imag)))

    def shift(self, op: str, a: Expr, b: Expr) -> Expr:
        """a << b, a >> b where b may be negative or no less than the width: then 0 and the sign, as in
        PyTorch (the machine's shift takes b modulo the width)."""
        dtype = a.dtype or "int64"
        n = BITS[dtype]
        far = self.binary("|", self.compare("<", b, self.const(0)), self.compare(">=", b, self.const(n)))
        last = self.cast(self.const(n if dtype.startswith("u") and n < 64 else n - 1), dtype)
        out = self.make(op, dtype, (a, self.select(far, last, b)))
        return self.select(far, self.cast(self.const(0), dtype), out) if op == "<<" else out

    def power(self, a: Expr, b: Expr) -> Expr:
        if b.op == "const" and isinstance(b.value, int) and 1 <= b.value <= 4 and a.dtype is not None:
            out = a
            if b.value == 4:
                out = self.make("*", a.dtype, (a, a))
                return self.make("*", a.dtype, (out, out))
            for _ in range(b.value - 1):
                out = self.make("*", a.dtype, (out, a))
            return out
        a, b = self.unify(a, b)
        if a.dtype in ("float32", "float64"):
            return self.math("pow", (a, b))
        dtype, zero = a.dtype, self.const(0)
        if dtype in PARTS:  # 0 to a complex power: 0 right of the imaginary axis, else not a number
            out = self.make("**", dtype, (a, b))
            right = self.compare(">", self.make("real", PARTS[dtype], (b,)), self.const(0.0))
            edge = self.make("complex", dtype, (self.select(right, self.const(0.0, PARTS[dtype]),
                                                            self.const(math.inf, PARTS[dtype])),
                                                self.select(right, self.const(0.0, PARTS[dtype]),
                                                            self.const(math.nan, PARTS[dtype]))))
            special = self.binary("&", self.compare("==", a, zero), self.compare("!=", b, zero))
            return self.select(special, edge, out)
        from .special import int_power
        self.bound["int_power"] = int_power
        base = self.cast(a, "int64")
        raised = lambda n: self.cast(self.make("call.int_power", "int64", (base, self.cast(n, "int64"))),
                                     dtype or "int64")
        if dtype is None or dtype.startswith("u") or dtype == "bool":
            return raised(b)
        # a negative power of an integer is 0, of 1 and -1 itself or its square
        below = self.compare("<", b, zero)
        out = raised(self.select(below, zero, b))
        odd = self.compare("!=", self.binary("&", b, self.const(1)), zero)
        unit = self.compare("==", self.binary("*", a, a), self.const(1))
        inverse = self.select(unit, self.select(odd, a, self.const(1)), zero)
        return self.select(below, inverse, out)

    def compare(self, op: str, a: Expr, b: Expr) -> Expr:
        a, b = self.unify(a, b)
        return self.make(op, "bool", (a, b))

    def truth(self, x: Expr) -> Expr:
        return x if x.dtype == "bool" or x.op == "const" else self.compare("!=", x, self.const(0))

    def select(self, c: Expr, a: Expr, b: Expr) -> Expr:
        if c.op == "const":
            return a if c.value else b
        if a is b:
            return a
        if a.dtype is None and b.dtype is None:
            kind = "float64" if isinstance(a.value, float) or isinstance(b.value, float) else "int64"
            a, b = self.cast(a, kind), self.cast(b, kind)
        a, b = self.unify(a, b)
        return self.make("select", a.dtype, (self.truth(c), a, b))

    def math(self, name: str, args: tuple[Expr, ...]) -> Expr:
        """math.NAME of typed arguments."""
        if all(a.op == "const" and a.dtype is None for a in args):
            return self.const(getattr(math, name)(*[a.value for a in args]))
        if len(args) == 2:
            args = self.unify(*args)
        dtype = args[0].dtype
        assert dtype is not None
        if name == "isnan":
            return self.compare("!=", args[0], args[0])
        if name == "isinf":
            return self.compare("==", self.make("abs", dtype, args), self.const(math.inf))
        if name == "isfinite":
            return self.compare("<", self.make("abs", dtype, args), self.const(math.inf))
        if RANK[dtype] < RANK["float32"]:
            args, dtype = tuple(self.cast(a, "float64") for a in args), "float64"
        if name == "fabs":
            return self.make("abs", dtype, args)
        if name in ROUND:
            return self.make(name, dtype, args)
        if dtype.startswith("complex") and name in COMPLEX_FORMS:
            return inline(self, COMPLEX_FORMS[name], args)
        if dtype in PARTS and name in COMPLEX_EDGES:
            out = self.make("math." + name, dtype, args)
            parts = [self.make(k, PARTS[dtype], (v,)) for v in (args[0], out) for k in ("real", "imag")]
            return self.make("complex", dtype, inline(self, COMPLEX_EDGES[name], parts))
        if self.target == "cpu" and dtype in ("float32", "float64"):
            from .scalar import VECTOR
            vector = VECTOR.get((name, dtype))
            if vector is not None:
                return inline(self, vector, args)
        return self.make("math." + name, dtype, args)


@functools.cache
def _parsed(fn: Callable) -> tuple[list[str], list[ast.stmt]]:
    """(parameter names, statements) of a body; a lambda is one return."""
    lines, first = inspect.getsourcelines(fn)
    source = "".join(lines)
    indent = len(source) - len(source.lstrip())
    source = textwrap.dedent(source)
    try:
        tree: ast.AST = ast.parse(source)
    except SyntaxError:  # a lambda among arguments: from `lambda` to where it still parses, columns kept
        start = source.index("lambda")
        for end in range(len(source), start, -1):
            try:
                tree = ast.parse("(" + " " * (start - 1) + source[start:end] + ")", mode="eval")
                break
            except SyntaxError:
                continue
        else:
            raise
    code = fn.__code__
    if code.co_name != "<lambda>":
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
                a = node.args
                return [p.arg for p in a.posonlyargs + a.args + a.kwonlyargs], node.body
    # Of several lambdas in one statement, the innermost that spans all positions of the code.
    spots = [(line - first + 1, col - indent)
             for line, _, col, _ in code.co_positions() if line and col is not None]
    spots = [s for s in spots if s[0] > 0 and s[1] >= 0 and s != (code.co_firstlineno - first + 1, -indent)]
    parameters = list(code.co_varnames[:code.co_argcount])
    found = None
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and [a.arg for a in node.args.args] == parameters:
            body = node.body
            lo, hi = (body.lineno, body.col_offset), (body.end_lineno or 0, body.end_col_offset or 0)
            if all(lo <= s <= hi or s == (node.lineno, 0) for s in spots):
                found = node
    if found is None:
        raise ValueError(f"no source for the body {fn.__name__}")
    return [a.arg for a in found.args.args], [ast.copy_location(ast.Return(found.body), found.body)]


def inline(block: Block, fn: Callable, args: Sequence[Expr]):
    """The value of the body `fn` at symbolic arguments: an Expr, or a tuple of them."""
    fn = getattr(fn, "fn", fn) if not isinstance(fn, types.FunctionType) else fn
    names, body = _parsed(fn)
    if len(names) != len(args):
        raise TypeError(f"the body {fn.__name__} takes {len(names)} arguments, not {len(args)}")
    return _Eval(block, fn, dict(zip(names, args))).run(body)


class _Eval:
    """Evaluates the statements of a body with Exprs for values."""

    def __init__(self, block: Block, fn: Callable, env: dict[str, Any]):
        self.block, self.fn, self.env = block, fn, env
        self.cells = dict(inspect.getclosurevars(fn).nonlocals) if fn.__closure__ else {}

    def run(self, body: list[ast.stmt]):
        for s in body:
            if isinstance(s, ast.Return):
                assert s.value is not None
                if isinstance(s.value, ast.Tuple):
                    return tuple(self.value(e) for e in s.value.elts)
                return self.value(s.value)
            if isinstance(s, ast.Assign) and len(s.targets) == 1:
                target = s.targets[0]
                if isinstance(target, ast.Tuple) and isinstance(s.value, ast.Tuple):
                    values = [self.value(e) for e in s.value.elts]
                    for t, v in zip(target.elts, values):
                        self.env[t.id] = v  # type: ignore[attr-defined]
                elif isinstance(target, ast.Tuple):
                    for t, v in zip(target.elts, self.any(s.value)):
                        self.env[t.id] = v  # type: ignore[attr-defined]
                else:
                    self.env[target.id] = self.value(s.value)  # type: ignore[attr-defined]
            elif isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant):
                continue  # the docstring
            else:
                raise ValueError(f"{self.fn.__name__}: a body may not hold a {type(s).__name__} statement")
        raise ValueError(f"{self.fn.__name__}: a body must return")

    def any(self, e: ast.expr):
        return self.call(e) if isinstance(e, ast.Call) else self.value(e)

    def value(self, e: ast.expr) -> Expr:
        b = self.block
        if isinstance(e, ast.Constant):
            return b.const(e.value)
        if isinstance(e, ast.Name):
            v = self.name(e.id)
            return v if isinstance(v, Expr) else b.const(v)
        if isinstance(e, ast.Attribute) and e.attr in ("real", "imag"):
            x = self.value(e.value)
            part = {"complex64": "float32", "complex128": "float64"}[x.dtype or ""]
            return b.make(e.attr, part, (x,))
        if isinstance(e, ast.Attribute):
            return b.const(getattr(self.name(e.value.id), e.attr))  # type: ignore[attr-defined]
        if isinstance(e, ast.BinOp):
            return b.binary(BINARY[type(e.op)], self.value(e.left), self.value(e.right))
        if isinstance(e, ast.UnaryOp):
            x = self.value(e.operand)
            if isinstance(e.op, ast.UAdd):
                return x
            if x.op == "const" and x.dtype is None:
                return b.const(-x.value if isinstance(e.op, ast.USub) else not x.value
                               if isinstance(e.op, ast.Not) else ~x.value)
            if isinstance(e.op, ast.Not):
                return b.make("not", "bool", (b.truth(x),))
            if isinstance(e.op, ast.USub) and x.dtype == "bool":
                x = b.cast(x, "int64")
            return b.make("neg" if isinstance(e.op, ast.USub) else "~", x.dtype, (x,))
        if isinstance(e, ast.Compare):
            parts, left = [], self.value(e.left)
            for relation, right in zip(e.ops, e.comparators):
                r = self.value(right)
                parts.append(b.compare(COMPARE[type(relation)], left, r))
                left = r
            return functools.reduce(lambda p, q: b.make("&", "bool", (p, q)), parts)
        if isinstance(e, ast.BoolOp):
            op = "&" if isinstance(e.op, ast.And) else "|"
            return functools.reduce(lambda p, q: b.make(op, "bool", (p, q)),
                                    [b.truth(self.value(v)) for v in e.values])
        if isinstance(e, ast.IfExp):
            return b.select(b.truth(self.value(e.test)), self.value(e.body), self.value(e.orelse))
        if isinstance(e, ast.Call):
            return self.call(e)
        raise ValueError(f"{self.fn.__name__}: a body may not hold a {type(e).__name__}")

    def name(self, name: str):
        if name in self.env:
            return self.env[name]
        if name in self.cells:
            return self.cells[name]
        if name in self.fn.__globals__:
            return self.fn.__globals__[name]
        return getattr(builtins, name)

    def call(self, e: ast.Call):
        b = self.block
        args = tuple(self.value(a) for a in e.args)
        if isinstance(e.func, ast.Attribute) and e.func.attr == "conjugate":
            x = self.value(e.func.value)
            return b.make("conj", x.dtype, (x,))
        if isinstance(e.func, ast.Attribute):
            owner = self.name(e.func.value.id)  # type: ignore[attr-defined]
            if owner is math:
                return b.math(e.func.attr, args)
            fn = getattr(owner, e.func.attr)
        else:
            fn = self.name(e.func.id)  # type: ignore[attr-defined]
        if fn is abs:
            x = args[0]
            dtype = {"complex64": "float32", "complex128": "float64"}.get(x.dtype or "", x.dtype)
            return b.make("abs", dtype, args)
        if fn in (min, max):
            x, y = b.unify(*args)
            return b.select(b.compare("<" if fn is min else ">", x, y), x, y)
        if fn in (float, int, bool):
            return b.cast(args[0], {float: "float64", int: "int64", bool: "bool"}[fn])
        name = getattr(fn, "__name__", "")
        if isinstance(fn, type) and name in RANK:
            return b.cast(args[0], name)
        if name in INTRINSICS and (isinstance(fn, jit.Intrinsic) or name in ("to_int", "to_float")
                                   or getattr(fn, "__module__", "").endswith("scalar")):
            return self.intrinsic(name, args)
        if isinstance(fn, jit.Device):
            b.bound[name] = fn
            return b.make("call." + name, args[0].dtype, args)
        return inline(b, fn, args)

    def intrinsic(self, name: str, args: tuple[Expr, ...]) -> Expr:
        b, t = self.block, args[0].dtype
        if name == "bits":
            return b.make("bits", {"float32": "int32", "float64": "int64"}[t or "float64"], args)
        if name == "from_bits":
            return b.make("from_bits", {"int32": "float32", "int64": "float64"}[t or "int64"], args)
        if name == "to_int":
            return b.make("cast", {"float32": "int32", "float64": "int64"}[t or "float64"], args)
        if name == "to_float":
            return b.cast(args[0], {"int32": "float32", "int64": "float64"}[t or "int64"])
        if name == "fma":
            typed = next(a.dtype for a in args if a.dtype is not None)
            return b.make("fma", typed, tuple(b.cast(a, typed) for a in args))
        return b.make("rint", t, args)


# ------------------------------------------------------------------------------------------------ memory
class Slot(NamedTuple):
    """An array as kernels see it: its name and the type of its elements in memory."""
    name: str
    memory: str

    @property
    def compute(self) -> str:
        """The type that an element has once loaded."""
        return MEMORY[self.memory][1] if self.memory in MEMORY else self.memory

    @property
    def code(self) -> str:
        """The type of the argument: bools lie in bytes, half floats in 16-bit words."""
        return "*" + {"bool": "uint8"}.get(self.memory,
                                           MEMORY[self.memory][0] if self.memory in MEMORY else self.memory)


def load(block: Block, array: Slot, index: Expr) -> Expr:
    """The element of `array` at `index`, in its compute type."""
    return block.make("load", array.compute, (index,), array)


_places = Block()  # index expressions, made once: equal texts are one object


@functools.cache
def at(text: str) -> Expr:
    """An index expression of int64 names and literals, such as at("p_x + i * s_x"). Nothing overflows, and
    what `//` and `%` divide is not negative."""
    def value(e: ast.expr) -> Expr:
        if isinstance(e, ast.Constant):
            return _places.const(e.value, "int64")
        if isinstance(e, ast.Name):
            return _places.make("name", "int64", (), e.id)
        if isinstance(e, ast.Call):
            assert isinstance(e.func, ast.Name) and e.func.id == "min"
            return _places.make("min", "int64", tuple(map(value, e.args)))
        assert isinstance(e, ast.BinOp), text
        return _places.make("index" + BINARY[type(e.op)], "int64", (value(e.left), value(e.right)))
    return value(ast.parse(text, mode="eval").body)


# ------------------------------------------------------------------------------------------------ printing
ATOM = 9  # binds tighter than every operator
LEVEL = {"*": 6, "/": 6, "//": 6, "%": 6, "+": 5, "-": 5, "<<": 4, ">>": 4, "&": 3, "^": 2.5, "|": 2,
         "<": 1, "<=": 1, ">": 1, ">=": 1, "==": 1, "!=": 1}
NOT, CHOICE, NEG, POWER = 0.5, 0, 7, 8
# math functions that numba types as float64 in some version or another, printed with a cast
RETYPED = frozenset({"sqrt", "lgamma", "pow", "atan2", "hypot", "copysign", "fmod", "erf", "erfc"})
Text = tuple[str, float]  # and how tightly its outermost operator binds


class Printer:
    """Prints expressions as Python statements. A value used twice gets a name; the rest stay nested."""

    def __init__(self, target: str = "cpu"):
        self.target = target
        self.constants: dict[tuple[str, str], str] = {}
        self._names = 0

    def constant(self, value, dtype: str) -> str:
        if dtype == "bool":
            return "True" if value else "False"
        if dtype.startswith(("int", "uint")) and dtype != "uint64":
            return str(value)
        key = (repr(value), dtype)
        if key not in self.constants:
            self.constants[key] = f"c{len(self.constants)}"
        return self.constants[key]

    def typed(self, value, dtype: str) -> str:
        """A constant that is of its type also where nothing else gives it one."""
        text = self.constant(value, dtype)
        return text if text.startswith("c") or dtype == "bool" else f"{dtype}({text})"

    def header(self) -> list[str]:
        """Assignments of the typed constants, to stand before the function."""
        out = []
        for (value, dtype), name in self.constants.items():
            value = {"inf": "math.inf", "-inf": "-math.inf", "nan": "math.nan"}.get(value, value)
            out.append(f"{name} = {dtype}({value})")
        return out

    def statements(self, roots: Sequence[Expr], single: bool = False) -> tuple[list[str], list[str]]:
        """(lines that compute the shared values, the text of each root). Loads stand in lines of their own,
        before all stores and both sides of a choice; single: there is one store, after all."""
        uses: dict[int, int] = {}
        order: list[Expr] = []
        for root in roots:
            self._visit(root, uses, order)
        loads = not single or any(e.op == "select" for e in order)
        lines: list[str] = []
        text: dict[int, Text] = {}
        for e in order:
            t = self.text(e, text)
            plain = e.op in ("const", "name") or e.op.startswith("index")
            if (uses[id(e)] > 1 and not plain) or (loads and e.op == "load") or len(t[0]) > 160:
                name = f"t{self._names}"
                self._names += 1
                lines.append(f"{name} = {t[0]}")
                t = name, ATOM
            text[id(e)] = t
        return lines, [text[id(r)][0] for r in roots]

    def _visit(self, root: Expr, uses: dict, order: list) -> None:
        stack = [(root, False)]
        while stack:
            e, done = stack.pop()
            if done:
                order.append(e)
                continue
            uses[id(e)] = uses.get(id(e), 0) + 1
            if uses[id(e)] > 1:
                continue
            stack.append((e, True))
            for a in reversed(e.args):
                stack.append((a, False))

    def text(self, e: Expr, of: dict[int, Text]) -> Text:
        a = [of[id(x)] for x in e.args]
        op, dtype = e.op, e.dtype or "float64"
        inside = ", ".join([t for t, _ in a])
        if op == "const":
            t = self.constant(e.value,
                              dtype if e.dtype else ("float64" if isinstance(e.value, float) else "int64"))
            return t, NEG if t.startswith("-") else ATOM
        if op == "name":
            return e.value, ATOM
        if op == "load":
            name, memory = e.value
            if memory == "complex32":
                parts = [f"f16_load(uint16({name}[{inside}] {cut}))" for cut in ("& 65535", ">> 16")]
                return f"complex64(complex({', '.join(parts)}))", ATOM
            if memory in MEMORY:
                return f"{MEMORY[memory][2]}({name}[{inside}])", ATOM
            return (f"{name}[{inside}] != 0", 1) if memory == "bool" else (f"{name}[{inside}]", ATOM)
        if op == "select":
            return f"{_in(a[1], NOT)} if {_in(a[0], NOT)} else {_in(a[2], NOT)}", CHOICE
        if op == "cast" and dtype == "int64" and self.target == "cpu" and e.args[0].dtype in PARTS.values():
            return f"whole({inside})", ATOM
        if op == "cast":
            return (f"{_in(a[0], 2)} != 0", 1) if dtype == "bool" else (f"{dtype}({inside})", ATOM)
        if op == "neg":
            return _fixed(f"-{_in(a[0], NEG)}", NEG, dtype)
        if op == "not" or (op == "~" and dtype == "bool"):
            return f"not {_in(a[0], NOT)}", NOT
        if op == "~":
            return _fixed(f"~{_in(a[0], NEG)}", NEG, dtype)
        if op == "abs":
            return _fixed(f"abs({inside})", ATOM, dtype)
        if op in ("real", "imag"):
            return f"{_in(a[0], ATOM)}.{op}", ATOM
        if op == "complex":
            return f"{dtype}(complex({inside}))", ATOM
        if op == "conj":
            return f"{_in(a[0], ATOM)}.conjugate()", ATOM
        if op == "math.fmod" and self.target == "cpu":
            return f"fmod({inside})", ATOM
        if op in ("bits", "from_bits", "fma", "rint", "min", *ROUND):
            return f"{op}({inside})", ATOM
        if op.startswith("math."):
            t = f"{'cmath' if dtype.startswith('complex') else 'math'}.{op[5:]}({inside})"
            return f"{dtype}({t})" if op[5:] in RETYPED and dtype == "float32" else t, ATOM
        if op == "round":
            return f"{MEMORY[e.value][2]}({MEMORY[e.value][3]}({inside}))", ATOM
        if op.startswith("call."):
            return f"{op[5:]}({inside})", ATOM
        if op == "**":
            return _fixed(f"{_in(a[0], ATOM)} ** {_in(a[1], ATOM)}", POWER, dtype)
        op = op.removeprefix("index")
        level = LEVEL[op]
        above = level + 0.1  # comparisons do not chain, and sums are not to be reordered
        return _fixed(f"{_in(a[0], above if level == 1 else level)} {op} {_in(a[1], above)}", level, dtype)


def _in(t: Text, level: float) -> str:
    """The text as an operand of what binds at `level`."""
    return t[0] if t[1] >= level else f"({t[0]})"


def _fixed(text: str, level: float, dtype: str) -> Text:
    """Arithmetic brought back to its own type."""
    return (f"{dtype}({text})", ATOM) if dtype in NARROW else (text, level)


def rounded(block: Block, value: Expr, memory: str) -> Expr:
    """`value` after a store to an element of that type and a load."""
    if memory in ("bfloat16", "float16"):
        return block.make("round", "float32", (block.cast(value, "float32"),), memory)
    if memory == "complex32":
        parts = [rounded(block, block.make(k, "float32", (block.cast(value, "complex64"),)), "float16")
                 for k in ("real", "imag")]
        return block.make("complex", "complex64", tuple(parts))
    return block.cast(value, memory)


def stored(block: Block, value: Expr, memory: str) -> Expr:
    """`value` converted to what an element of that type is before it is stored."""
    return block.cast(value, MEMORY[memory][1] if memory in MEMORY else memory)


def put(array: Slot, text: str) -> str:
    """Text of what goes to memory for the value `text`."""
    if array.memory == "complex32":
        low, high = [f"uint32(f16_store(({text}).{part}))" for part in ("real", "imag")]
        return f"{low} | {high} << 16"
    if array.memory in MEMORY:
        return f"{MEMORY[array.memory][3]}({text})"
    return f"uint8({text})" if array.memory == "bool" else text
