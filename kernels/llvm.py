"""The loop-nest form's second printer: LLVM IR as text, compiled without numba.

A nest (nest.py) becomes one function of straight loops: no bounds checks, no reference counts. Loops whose
iterations are free of each other say so, so the vectoriser needs no test at run time. Arithmetic has no
fast-math flag and means what the Python text means under numba's rules, bit for bit. Device functions
(special.py) are translated from their Python by device.py. What this printer lacks, such as complex
transcendental functions, raises Unprintable; those kernels are compiled by numba."""
from __future__ import annotations

import hashlib
import struct
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import jit
from .expr import BITS, MEMORY, PARTS, ROUND, Expr, Slot
from .nest import LANES, Do, For, Lanes, Let, Nest, Set, Statement, Store

LL = {"bool": "i1", "uint8": "i8", "int8": "i8", "uint16": "i16", "int16": "i16", "uint32": "i32",
      "int32": "i32", "uint64": "i64", "int64": "i64", "float32": "float", "float64": "double"}
FLOATS = {"float32": "f32", "float64": "f64"}
ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "/": "div"}
BITWISE = {"&": "and", "|": "or", "^": "xor"}
INDEX = {"+": "add nsw", "-": "sub nsw", "*": "mul nsw", "//": "udiv", "%": "urem", ">>": "lshr"}
ORDER = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
# math functions that are LLVM intrinsics, and those that are the C library's (with an f behind for float32)
INTRINSICS = {"sqrt": 1, "copysign": 2, "exp": 1, "exp2": 1, "log": 1, "log2": 1, "log10": 1, "sin": 1,
              "cos": 1, "pow": 2, "floor": 1, "ceil": 1, "trunc": 1, "rint": 1, "fabs": 1}
LIBRARY = {"lgamma": 1, "hypot": 2, "nextafter": 2, "expm1": 1, "log1p": 1, "erf": 1, "erfc": 1, "tan": 1,
           "asin": 1, "acos": 1, "atan": 1, "atan2": 2, "sinh": 1, "cosh": 1, "tanh": 1, "asinh": 1,
           "acosh": 1, "atanh": 1}

Value = Any  # the name of a value, or (real, imaginary) of a complex one


class Unprintable(Exception):
    """This printer has no form for something in the kernel; numba compiles it."""


def constant(value, dtype: str) -> Value:
    """A literal of LLVM IR."""
    if dtype in PARTS:
        z = complex(value)
        return constant(z.real, PARTS[dtype]), constant(z.imag, PARTS[dtype])
    if dtype in FLOATS:
        with np.errstate(over="ignore"):
            x = float(np.float32(value)) if dtype == "float32" else float(value)
        return f"0x{struct.unpack('<Q', struct.pack('<d', x))[0]:016X}"
    return str(int(value))


def signed(dtype: str) -> bool:
    return dtype.startswith("int")


class Code:
    """The instructions of one function in the making, and the scalar operations."""

    def __init__(self, module: Module):
        self.module = module
        self.head: list[str] = []  # of the entry block: stack slots
        self.lines: list[str] = []
        self.block = "entry"
        self._count = 0

    def new(self, text: str) -> str:
        """The name of the value of an instruction."""
        self._count += 1
        self.lines.append(f"  %.{self._count} = {text}")
        return f"%.{self._count}"

    def put(self, text: str) -> None:
        self.lines.append("  " + text)

    def label(self) -> str:
        self._count += 1
        return f"b.{self._count}"

    def enter(self, label: str) -> None:
        self.lines.append(label + ":")
        self.block = label

    def jump(self, label: str) -> None:
        self.put(f"br label %{label}")

    def branch(self, c: str, yes: str, no: str) -> None:
        self.put(f"br i1 {c}, label %{yes}, label %{no}")

    def stack(self, kind: str, count: int = 1, align: int = 0) -> str:
        """A place on the stack."""
        self._count += 1
        many = f", i64 {count}" if count > 1 else ""
        self.head.append(f"  %.{self._count} = alloca {kind}{many}" + (f", align {align}" if align else ""))
        return f"%.{self._count}"

    def text(self, definition: str) -> str:
        return "\n".join([definition + " {", "entry:", *self.head, *self.lines, "}"])

    # -------------------------------------------------------------------------------------------- operations
    def cast(self, x: Value, of: str, to: str) -> Value:
        """`x` of type `of` as a `to`, as C converts."""
        if of == to:
            return x
        if of in PARTS:
            if to in PARTS:
                return tuple([self.cast(v, PARTS[of], PARTS[to]) for v in x])
            if to == "bool":
                return self.binary("|", "bool", *[self.cast(v, PARTS[of], "bool") for v in x])
            return self.cast(x[0], PARTS[of], to)
        if to in PARTS:
            return self.cast(x, of, PARTS[to]), constant(0.0, PARTS[to])
        if to == "bool":
            return self.compare("!=", of, x, constant(0, of))
        a, b = LL[of], LL[to]
        if of in FLOATS and to in FLOATS:
            how = "fpext" if to == "float64" else "fptrunc"
        elif of in FLOATS:
            how = "fptosi" if signed(to) else "fptoui"  # frozen: out of range, not narrowed by what follows
            return self.new(f"freeze {b} {self.new(f'{how} {a} {x} to {b}')}")
        elif to in FLOATS:
            how = "sitofp" if signed(of) else "uitofp"
        elif BITS[of] == BITS[to]:
            return x
        else:
            how = "trunc" if BITS[of] > BITS[to] else "sext" if signed(of) else "zext"
        return self.new(f"{how} {a} {x} to {b}")

    def binary(self, op: str, dtype: str, a: Value, b: Value) -> Value:
        if dtype in PARTS:
            return self._complex(op, PARTS[dtype], a, b)
        t = LL[dtype]
        if dtype in FLOATS:
            if op in ARITHMETIC:
                return self.new(f"f{ARITHMETIC[op]} {t} {a}, {b}")
            if op in ("%", "//"):
                return self._float_division(op, dtype, a, b)
            if op == "**":
                return self.math("pow", dtype, (a, b))
        elif op in BITWISE:
            return self.new(f"{BITWISE[op]} {t} {a}, {b}")
        elif op in ("+", "-", "*") and dtype != "bool":
            return self.new(f"{ARITHMETIC[op]} {t} {a}, {b}")
        elif op in ("<<", ">>"):
            return self._shift(op, dtype, a, b)
        elif op in ("//", "%") and dtype != "bool":
            return self._division(op, dtype, a, b)
        raise Unprintable(f"{op} of {dtype}")

    def _complex(self, op: str, part: str, a: Value, b: Value) -> Value:
        f = lambda op, x, y: self.binary(op, part, x, y)
        if op in ("+", "-"):
            return f(op, a[0], b[0]), f(op, a[1], b[1])
        if op == "*":
            (x, y), (u, v) = a, b
            return f("-", f("*", x, u), f("*", y, v)), f("+", f("*", x, v), f("*", y, u))
        raise Unprintable(f"{op} of complex numbers")

    def _shift(self, op: str, dtype: str, a: str, b: str) -> str:
        """Shifts in 64 bits where the count may reach the width of the type."""
        how = "shl" if op == "<<" else "ashr" if signed(dtype) else "lshr"
        if BITS[dtype] == 64 or (b.isdigit() and int(b) < BITS[dtype]):
            return self.new(f"{how} {LL[dtype]} {a}, {b}")
        far = "int64" if signed(dtype) else "uint64"
        out = self.new(f"{how} i64 {self.cast(a, dtype, far)}, {self.cast(b, dtype, far)}")
        return self.cast(out, far, dtype)

    def _division(self, op: str, dtype: str, a: str, b: str) -> str:
        """Floor division of integers; x // 0 = x % 0 = 0, and lowest // -1 = lowest % -1 = 0 in 64 bits."""
        if BITS[dtype] < 64:
            far = "int64" if signed(dtype) else "uint64"
            return self.cast(self._division(op, far, self.cast(a, dtype, far), self.cast(b, dtype, far)),
                             far, dtype)
        bad = self.new(f"icmp eq i64 {b}, 0")
        if signed(dtype):
            over = self.new(f"and i1 {self.new(f'icmp eq i64 {a}, {-2**63}')}, "
                            f"{self.new(f'icmp eq i64 {b}, -1')}")
            bad = self.new(f"or i1 {bad}, {over}")
        by = self.new(f"select i1 {bad}, i64 1, i64 {b}")
        if not signed(dtype):
            out = self.new(f"{'udiv' if op == '//' else 'urem'} i64 {a}, {by}")
        else:
            rest = self.new(f"srem i64 {a}, {by}")
            apart = self.new(f"icmp slt i64 {self.new(f'xor i64 {by}, {rest}')}, 0")
            fix = self.new(f"and i1 {apart}, {self.new(f'icmp ne i64 {rest}, 0')}")
            if op == "//":
                quotient = self.new(f"sdiv i64 {a}, {by}")
                out = self.new(f"sub i64 {quotient}, {self.new(f'zext i1 {fix} to i64')}")
            else:
                out = self.new(f"select i1 {fix}, i64 {self.new(f'add i64 {rest}, {by}')}, i64 {rest}")
        return self.new(f"select i1 {bad}, i64 0, i64 {out}")

    def _float_division(self, op: str, dtype: str, x: str, y: str) -> str:
        """Python's floor division of floats (Objects/floatobject.c) with IEEE results where y = 0."""
        zero, one = constant(0.0, dtype), constant(1.0, dtype)
        f = lambda op, a, b: self.binary(op, dtype, a, b)
        rest = self.new(f"frem {LL[dtype]} {x}, {y}")
        below = self.compare("<", dtype, y, zero)
        nonzero = self.compare("!=", dtype, rest, zero)
        differ = self.binary("^", "bool", below, self.compare("<", dtype, rest, zero))
        differ = self.binary("&", "bool", nonzero, differ)
        if op == "%":
            out = self.select(dtype, differ, f("+", rest, y), rest)
            edge = self.select(dtype, below, constant(-0.0, dtype), zero)
            return self.select(dtype, nonzero, out, edge)
        quotient = f("/", f("-", x, rest), y)
        quotient = self.select(dtype, differ, f("-", quotient, one), quotient)
        floor = self.math("floor", dtype, (quotient,))
        up = self.compare(">", dtype, f("-", quotient, floor), constant(0.5, dtype))
        floor = self.select(dtype, up, f("+", floor, one), floor)
        some = self.new(f"fcmp one {LL[dtype]} {quotient}, {zero}")
        out = self.select(dtype, some, floor, f("/", f("*", f("*", quotient, quotient), x), y))
        return self.select(dtype, self.compare("==", dtype, y, zero), f("/", x, y), out)

    def compare(self, op: str, dtype: str, a: Value, b: Value) -> str:
        if dtype in PARTS:
            both = [self.compare(op, PARTS[dtype], x, y) for x, y in zip(a, b)]
            if op not in ("==", "!="):
                raise Unprintable(f"{op} of complex numbers")
            return self.binary("&" if op == "==" else "|", "bool", *both)
        how = ORDER[op]
        if dtype in FLOATS:
            return self.new(f"fcmp {'u' if op == '!=' else 'o'}{how} {LL[dtype]} {a}, {b}")
        if op not in ("==", "!="):
            how = ("s" if signed(dtype) else "u") + how
        return self.new(f"icmp {how} {LL[dtype]} {a}, {b}")

    def select(self, dtype: str, c: str, a: Value, b: Value) -> Value:
        if dtype in PARTS:
            return tuple([self.select(PARTS[dtype], c, x, y) for x, y in zip(a, b)])
        return self.new(f"select i1 {c}, {LL[dtype]} {a}, {LL[dtype]} {b}")

    def negative(self, dtype: str, x: Value) -> Value:
        if dtype in PARTS:
            return tuple([self.negative(PARTS[dtype], v) for v in x])
        return self.new(f"fneg {LL[dtype]} {x}" if dtype in FLOATS else f"sub {LL[dtype]} 0, {x}")

    def absolute(self, dtype: str, x: Value) -> str:
        if dtype in PARTS:
            return self.math("hypot", PARTS[dtype], x)
        if dtype in FLOATS:
            return self.math("fabs", dtype, (x,))
        if not signed(dtype):
            return x
        return self.select(dtype, self.compare("<", dtype, x, "0"), self.negative(dtype, x), x)

    def math(self, name: str, dtype: str, args: Sequence[Value]) -> str:
        """math.NAME of floats of one type."""
        if dtype not in FLOATS:
            raise Unprintable(f"{name} of {dtype}")
        t = LL[dtype]
        if name == "fmod":
            return self.new(f"frem {t} {args[0]}, {args[1]}")
        if name in INTRINSICS or name == "fma":
            symbol = f"llvm.{name}.{FLOATS[dtype]}"
        elif name in LIBRARY:
            symbol = name + ("f" if dtype == "float32" else "")
        else:
            raise Unprintable(f"math.{name}")
        return self.call(symbol, t, [f"{t} {a}" for a in args])

    def call(self, symbol: str, result: str, args: Sequence[str]) -> str:
        """Call a pure function that the module declares."""
        kinds = ", ".join([a.split()[0] for a in args])
        self.module.declare(f"declare {result} @{symbol}({kinds})" + ("" if symbol[:5] == "llvm." else " #0"))
        return self.new(f"call {result} @{symbol}({', '.join(args)})")


class Module:
    """LLVM IR of one module: declarations, definitions and loop metadata."""

    def __init__(self) -> None:
        self.declared: dict[str, None] = {}
        self.defined: dict[Any, tuple[str, str]] = {}  # device functions: symbol and type of the result
        self.functions: list[str] = []
        self.metadata: list[str] = []

    def declare(self, text: str) -> None:
        self.declared[text] = None

    def note(self, text: str) -> str:
        """A metadata node; `SELF` in it is the node."""
        name = f"!{len(self.metadata)}"
        self.metadata.append(f"{name} = distinct !{{{text.replace('SELF', name)}}}")
        return name

    def text(self) -> str:
        pure = "attributes #0 = { nounwind willreturn memory(none) }"
        return "\n".join([*self.declared, *self.functions, pure, *self.metadata, ""])


class _Printer(Code):
    """Prints one nest."""

    def __init__(self, module: Module, nest: Nest, symbol: str):
        super().__init__(module)
        self.nest = nest
        self.names: dict[str, tuple[Value, str]] = {}  # values: (name, type)
        self.variables: dict[str, tuple[Any, str]] = {}  # places on the stack
        self.lanes: dict[str, str] = {}
        self.group: str | None = None  # the access group of the innermost loop
        params = []
        for p in nest.params:
            if p.array is None:
                params.append(f"{LL[p.code]} %{p.name}")
                self.names[p.name] = f"%{p.name}", p.code
            else:
                params.append(f"ptr {'noalias ' if nest.apart else ''}%{p.name}")
        self.statements(nest.body)
        self.put("ret void")
        head = f"define internal void @{symbol}({', '.join(params)}) noinline nounwind"
        module.functions.append(self.text(head))

    # -------------------------------------------------------------------------------------------- statements
    def statements(self, body: Sequence[Statement]) -> None:
        for s in body:
            if isinstance(s, For):
                self.loop(s)
            elif isinstance(s, Lanes):
                self.lanes[s.array.name] = self.stack(_memory(s.array), LANES, 64)
            else:
                self.effects(s)

    def loop(self, s: For) -> None:
        start, stop = self.values([s.start, s.stop])
        head, body, after, before = self.label(), self.label(), self.label(), self.block
        self.jump(head)
        self.enter(head)
        at = len(self.lines)
        var, on = f"%{s.var}.{head}", self.new(f"icmp slt i64 %{s.var}.{head}, {stop}")
        self.branch(on, body, after)
        self.enter(body)
        inner = s.free and not any(isinstance(t, For) for t in s.body)
        outer, self.group = self.group, self.module.note("") if inner else None
        shadowed, self.names[s.var] = self.names.get(s.var), (var, "int64")
        self.statements(s.body)
        if shadowed is None:
            del self.names[s.var]
        else:
            self.names[s.var] = shadowed
        step = self.new(f"add nuw nsw i64 {var}, {s.step}")
        self.lines.insert(at, f"  {var} = phi i64 [ {start}, %{before} ], [ {step}, %{self.block} ]")
        note = ""
        if self.group:
            apart = self.module.note(f'!"llvm.loop.parallel_accesses", {self.group}')
            note = f", !llvm.loop {self.module.note(f'SELF, {apart}')}"
        self.put(f"br label %{head}{note}")
        self.group = outer
        self.enter(after)

    def effects(self, s: Do) -> None:
        places = [e.place for e in s.effects if isinstance(e, Store)]
        values = self.values([*[e.value for e in s.effects], *places])
        where = iter(values[len(s.effects):])
        for e, value in zip(s.effects, values):
            dtype = kind(e.value)
            if isinstance(e, Store):
                self.store(e.array, next(where), self.cast(value, dtype, e.array.compute))
            elif isinstance(e, Let):
                self.names[e.name] = value, dtype
            else:
                self.set(e, value, dtype)

    def set(self, e: Set, value: Value, dtype: str) -> None:
        if e.name not in self.variables:
            parts = [PARTS[dtype]] * 2 if dtype in PARTS else [dtype]
            self.variables[e.name] = [self.stack(LL[p]) for p in parts], dtype
        places, dtype = self.variables[e.name]
        t = LL[PARTS.get(dtype, dtype)]
        for place, v in zip(places, value if dtype in PARTS else [value]):
            self.put(f"store {t} {v}, ptr {place}")

    # -------------------------------------------------------------------------------------------- memory
    def place(self, array: Slot, index: str, part: int | None = None) -> str:
        base = self.lanes.get(array.name, "%" + array.name)
        more = "" if part is None else f", i32 {part}"
        return self.new(f"getelementptr inbounds {_memory(array)}, ptr {base}, i64 {index}{more}")

    @property
    def access(self) -> str:
        return f", !llvm.access.group {self.group}" if self.group else ""

    def load(self, array: Slot, index: str) -> Value:
        if array.compute in PARTS:
            t = _part(array)
            parts = [self.new(f"load {t}, ptr {self.place(array, index, k)}{self.access}") for k in (0, 1)]
            return tuple([self.new(f"fpext half {v} to float") if t == "half" else v for v in parts])
        x = self.new(f"load {_memory(array)}, ptr {self.place(array, index)}{self.access}")
        if array.memory == "bool":
            return self.new(f"icmp ne i8 {x}, 0")
        if array.memory == "bfloat16":
            wide = self.new(f"zext i16 {x} to i32")
            return self.new(f"bitcast i32 {self.new(f'shl i32 {wide}, 16')} to float")
        return self.new(f"fpext half {x} to float") if array.memory == "float16" else x

    def store(self, array: Slot, index: str, x: Value) -> None:
        if array.compute in PARTS:
            t = _part(array)
            for k, v in enumerate(x):
                v = self.new(f"fptrunc float {v} to half") if t == "half" else v
                self.put(f"store {t} {v}, ptr {self.place(array, index, k)}{self.access}")
            return
        if array.memory == "bool":
            x = self.new(f"zext i1 {x} to i8")
        elif array.memory == "bfloat16":
            x = self.bfloat16(x)
        elif array.memory == "float16":
            x = self.new(f"fptrunc float {x} to half")
        self.put(f"store {_memory(array)} {x}, ptr {self.place(array, index)}{self.access}")

    def bfloat16(self, x: str) -> str:
        """Rounded to nearest even; NaN keeps its upper bits and becomes quiet (jit.py)."""
        u = self.new(f"bitcast float {x} to i32")
        top = self.new(f"lshr i32 {u}, 16")
        odd = self.new(f"and i32 {top}, 1")
        half = self.new(f"add i32 {odd}, 32767")
        near = self.new(f"lshr i32 {self.new(f'add i32 {u}, {half}')}, 16")
        quiet = self.new(f"or i32 {top}, 64")
        nan = self.new(f"fcmp uno float {x}, {x}")
        return self.new(f"trunc i32 {self.new(f'select i1 {nan}, i32 {quiet}, i32 {near}')} to i16")

    # -------------------------------------------------------------------------------------------- expressions
    def values(self, roots: Sequence[Expr]) -> list[Value]:
        """The values of expressions; what they share is computed once."""
        known: dict[int, Value] = {}
        stack = list(reversed(roots))
        while stack:
            e = stack[-1]
            if id(e) in known:
                stack.pop()
                continue
            missing = [a for a in e.args if id(a) not in known]
            if missing:
                stack += reversed(missing)
                continue
            stack.pop()
            known[id(e)] = self.value(e, [known[id(a)] for a in e.args])
        return [known[id(r)] for r in roots]

    def value(self, e: Expr, a: list[Value]) -> Value:
        op, dtype = e.op, kind(e)
        of = kind(e.args[0]) if e.args else dtype
        if op == "const":
            return constant(e.value, dtype)
        if op == "name":
            return self.name(e)
        if op == "load":
            return self.load(e.value, a[0])
        if op.startswith("index"):
            return self.new(f"{INDEX[op[5:]]} i64 {a[0]}, {a[1]}")
        if op == "min":
            return self.select("int64", self.compare("<", "int64", *a), *a)
        if op == "select":
            return self.select(dtype, *a)
        if op == "cast":
            return self.cast(a[0], of, dtype)
        if op == "neg":
            return self.negative(dtype, a[0])
        if op == "not":
            return self.new(f"xor i1 {self.cast(a[0], of, 'bool')}, true")
        if op == "~":
            return self.new(f"xor {LL[dtype]} {a[0]}, -1")
        if op == "abs":
            return self.absolute(of, a[0])
        if op in ("real", "imag"):
            return a[0][op == "imag"]
        if op == "complex":
            return tuple([self.cast(v, kind(x), PARTS[dtype]) for v, x in zip(a, e.args)])
        if op == "conj":
            return a[0][0], self.negative(PARTS[dtype], a[0][1])
        if op in ("bits", "from_bits"):
            return self.new(f"bitcast {LL[of]} {a[0]} to {LL[dtype]}")
        if op in ("fma", "rint", *ROUND):
            return self.math(op, dtype, a)
        if op.startswith("math."):
            return self.math(op[5:], dtype, a)
        if op == "round":
            if e.value == "float16":
                return self.new(f"fpext half {self.new(f'fptrunc float {a[0]} to half')} to float")
            wide = self.new(f"zext i16 {self.bfloat16(a[0])} to i32")
            return self.new(f"bitcast i32 {self.new(f'shl i32 {wide}, 16')} to float")
        if op.startswith("call."):
            from .device import define
            types = [kind(x) for x in e.args]
            symbol, result = define(self.module, self.nest.bound[op[5:]], types)
            given = ", ".join([f"{LL[t]} {v}" for t, v in zip(types, a)])
            return self.cast(self.new(f"call {LL[result]} @{symbol}({given})"), result, dtype)
        if e.dtype == "bool" and op in ORDER:
            return self.compare(op, of, *a)
        return self.binary(op, dtype, *a)

    def name(self, e: Expr) -> Value:
        if e.value in self.names:
            value, dtype = self.names[e.value]
            return self.cast(value, dtype, kind(e))
        places, dtype = self.variables[e.value]
        parts = [self.new(f"load {LL[PARTS.get(dtype, dtype)]}, ptr {p}") for p in places]
        return self.cast(tuple(parts) if dtype in PARTS else parts[0], dtype, kind(e))


def kind(e: Expr) -> str:
    """The type of an expression; a literal that met no typed operand is what Python says."""
    if e.dtype is not None:
        return e.dtype
    v = e.value
    return "bool" if isinstance(v, bool) else "int64" if isinstance(v, int) else \
        "float64" if isinstance(v, float) else "complex128"


def _memory(array: Slot) -> str:
    """The LLVM type of an element in memory."""
    if array.compute in PARTS:
        return f"{{{_part(array)}, {_part(array)}}}"
    if array.memory == "float16":
        return "half"
    return "i16" if array.memory in MEMORY else "i8" if array.memory == "bool" else LL[array.memory]


def _part(array: Slot) -> str:
    """The LLVM type of the parts of complex numbers in memory."""
    return "half" if array.memory == "complex32" else LL[PARTS[array.memory]]


# ------------------------------------------------------------------------------------------------ compilation
def source(nest: Nest, symbol: str = "kernel") -> str:
    """A nest as the text of an LLVM module. Unprintable where this printer has no form for something."""
    module = Module()
    _Printer(module, nest, symbol)
    return module.text()


def compile(nests: Sequence[Nest]) -> list[jit.Native]:
    """Native kernels for nests; each is compiled once and kept on disk under its content's hash. Where this
    printer has no form for something in a nest, and where the JIT is off or checks indices, that nest goes
    through its Python text."""
    if jit.DISABLED or jit.CHECKED:
        return [n.native() for n in nests]
    return [_native(n) for n in nests]


def _native(nest: Nest) -> jit.Native:
    try:
        text = source(nest)
    except Unprintable as e:
        if jit.DEBUG:
            print(f"numtorch: {nest.name} goes through numba: {e}", file=sys.stderr)
        return nest.native()
    if jit.DEBUG >= 4:
        print(f"# {nest.signature}\n{nest.source}", file=sys.stderr)
    key = "n" + hashlib.sha256(repr((text, nest.signature, jit.host())).encode()).hexdigest()[:32]
    return jit.compiled(key, nest, nest.signature, lambda: _object_code(text, nest.signature, key))


def _object_code(text: str, signature: tuple[str, ...], key: str) -> bytes:
    engine = jit.engine()
    text = text.replace("@kernel(", f"@{key}(") + jit.entry(key, key, signature, False)
    module = engine.ll.parse_assembly(text)
    module.verify()
    engine.optimise(module)
    if jit.DEBUG >= 5:
        print(module, file=sys.stderr)
    return b"-" + engine.machine.emit_object(module)
