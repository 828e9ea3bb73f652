"""The loop-nest form's second printer: LLVM IR as text, compiled without numba.

A nest (nest.py) becomes one function of straight loops: no bounds checks, no reference counts. Loops whose
iterations are free of each other are vector code from the start, the last elements under a mask, so LLVM has
no loop to analyse and compiles fast. Arithmetic has no fast-math flag and means what the Python text means
under numba's rules, bit for bit. Device functions
(special.py) are translated from their Python by device.py. Complex transcendental functions are numba's."""
from __future__ import annotations

import functools
import hashlib
import struct
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import jit
from .expr import BITS, PARTS, ROUND, Expr, Slot
from .nest import LANES, Do, For, Lanes, Let, Nest, Set, Statement, Store

LL = {"bool": "i1", "uint8": "i8", "int8": "i8", "uint16": "i16", "int16": "i16", "uint32": "i32",
      "int32": "i32", "uint64": "i64", "int64": "i64", "float32": "float", "float64": "double"}
FLOATS = {"float32": "f32", "float64": "f64"}
ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "/": "div"}
BITWISE = {"&": "and", "|": "or", "^": "xor"}
INDEX = {"+": "add nsw", "-": "sub nsw", "*": "mul nsw", "//": "udiv", "%": "urem", ">>": "lshr"}
ORDER = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
FOLD = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "//": lambda a, b: a // b,
        "%": lambda a, b: a % b, ">>": lambda a, b: a >> b}
ALIGN = {"i8": 1, "i16": 2, "half": 2, "i32": 4, "float": 4, "i64": 8, "double": 8}
# math functions that are LLVM intrinsics, and those that are the C library's (with an f behind for float32)
INTRINSICS = {"sqrt": 1, "copysign": 2, "exp": 1, "exp2": 1, "log": 1, "log2": 1, "log10": 1, "sin": 1,
              "cos": 1, "pow": 2, "floor": 1, "ceil": 1, "trunc": 1, "rint": 1, "fabs": 1}
LIBRARY = {"lgamma": 1, "hypot": 2, "nextafter": 2, "expm1": 1, "log1p": 1, "erf": 1, "erfc": 1, "tan": 1,
           "asin": 1, "acos": 1, "atan": 1, "atan2": 2, "sinh": 1, "cosh": 1, "tanh": 1, "asinh": 1,
           "acosh": 1, "atanh": 1}

Value = Any  # the name of a value, or (real, imaginary) of a complex one


# Operations of complex numbers for which this printer has no form and numba has one.
NUMBA = frozenset({"**", "sqrt", "exp", "log", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
                   "cosh", "tanh", "asinh", "acosh", "atanh"})


class Unprintable(Exception):
    """There is no form for something in the kernel. `numba`: it has one."""

    def __init__(self, text: str, numba: bool = False):
        super().__init__(text)
        self.numba = numba


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
        self.module, self.fast = module, module.fast
        self.head: list[str] = []  # of the entry block: stack slots
        self.lines: list[str] = []
        self.block = "entry"
        self.width = 1  # how many elements an operation does: its values are vectors of so many
        self._count = 0
        self._whole: dict[str, int] = {}  # integer literals by their text

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

    def stack(self, kind: str, align: int = 0) -> str:
        """A place on the stack."""
        self._count += 1
        self.head.append(f"  %.{self._count} = alloca {kind}" + (f", align {align}" if align else ""))
        return f"%.{self._count}"

    def text(self, definition: str) -> str:
        return "\n".join([definition + " {", "entry:", *self.head, *self.lines, "}"])

    def type(self, name: str) -> str:
        """The LLVM type of values of a type or an LLVM type."""
        name = LL.get(name, name)
        return name if self.width == 1 else f"<{self.width} x {name}>"

    def literal(self, value, dtype: str) -> Value:
        if dtype in PARTS:
            z = complex(value)
            return self.literal(z.real, PARTS[dtype]), self.literal(z.imag, PARTS[dtype])
        text = constant(value, dtype)
        if self.width > 1:
            text = f"splat ({LL[dtype]} {text})"
        if dtype not in FLOATS:
            self._whole[text] = int(value)
        return text

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
            return self.cast(x, of, PARTS[to]), self.literal(0.0, PARTS[to])
        if to == "bool":
            return self.compare("!=", of, x, self.literal(0, of))
        a, b = self.type(of), self.type(to)
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
        t = self.type(dtype)
        if dtype in FLOATS:
            if op in ARITHMETIC:
                return self.new(f"f{ARITHMETIC[op]} {self.fast}{t} {a}, {b}")
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
        raise Unprintable(f"{op} of complex numbers", op in NUMBA)

    def _shift(self, op: str, dtype: str, a: str, b: str) -> str:
        """Shifts in 64 bits where the count may reach the width of the type."""
        how = "shl" if op == "<<" else "ashr" if signed(dtype) else "lshr"
        if BITS[dtype] == 64 or 0 <= self._whole.get(b, -1) < BITS[dtype]:
            return self.new(f"{how} {self.type(dtype)} {a}, {b}")
        far = "int64" if signed(dtype) else "uint64"
        out = self.new(f"{how} {self.type(far)} {self.cast(a, dtype, far)}, {self.cast(b, dtype, far)}")
        return self.cast(out, far, dtype)

    def _division(self, op: str, dtype: str, a: str, b: str) -> str:
        """Floor division of integers; x // 0 = x % 0 = 0, and lowest // -1 = lowest % -1 = 0 in 64 bits."""
        if BITS[dtype] < 64:
            far = "int64" if signed(dtype) else "uint64"
            return self.cast(self._division(op, far, self.cast(a, dtype, far), self.cast(b, dtype, far)),
                             far, dtype)
        zero = self.new(f"icmp eq i64 {b}, 0")
        if not signed(dtype):
            by = self.new(f"select i1 {zero}, i64 1, i64 {b}")
            out = self.new(f"{'udiv' if op == '//' else 'urem'} i64 {a}, {by}")
            return self.new(f"select i1 {zero}, i64 0, i64 {out}")
        # by 0 and by -1, where the machine may stop, is known without dividing, while it divides by 1
        apart = self.new(f"icmp ult i64 {self.new(f'add i64 {b}, 1')}, 2")
        by = self.new(f"select i1 {apart}, i64 1, i64 {b}")
        rest = self.new(f"srem i64 {a}, {by}")
        differ = self.new(f"icmp slt i64 {self.new(f'xor i64 {by}, {rest}')}, 0")
        fix = self.new(f"and i1 {differ}, {self.new(f'icmp ne i64 {rest}, 0')}")
        known = "0"
        if op == "%":
            out = self.new(f"add i64 {rest}, {self.new(f'select i1 {fix}, i64 {by}, i64 0')}")
        else:
            quotient = self.new(f"sdiv i64 {a}, {by}")
            out = self.new(f"sub i64 {quotient}, {self.new(f'zext i1 {fix} to i64')}")
            none = self.new(f"or i1 {zero}, {self.new(f'icmp eq i64 {a}, {-2**63}')}")
            known = self.new(f"select i1 {none}, i64 0, i64 {self.new(f'sub i64 0, {a}')}")
        return self.new(f"select i1 {apart}, i64 {known}, i64 {out}")

    def _float_division(self, op: str, dtype: str, x: str, y: str) -> str:
        """Python's floor division of floats (Objects/floatobject.c) with IEEE results where y = 0."""
        zero, one = self.literal(0.0, dtype), self.literal(1.0, dtype)
        f = lambda op, a, b: self.binary(op, dtype, a, b)
        rest = self.new(f"frem {self.type(dtype)} {x}, {y}")
        below = self.compare("<", dtype, y, zero)
        nonzero = self.compare("!=", dtype, rest, zero)
        differ = self.binary("^", "bool", below, self.compare("<", dtype, rest, zero))
        differ = self.binary("&", "bool", nonzero, differ)
        if op == "%":
            out = self.select(dtype, differ, f("+", rest, y), rest)
            edge = self.select(dtype, below, self.literal(-0.0, dtype), zero)
            return self.select(dtype, nonzero, out, edge)
        quotient = f("/", f("-", x, rest), y)
        quotient = self.select(dtype, differ, f("-", quotient, one), quotient)
        floor = self.math("floor", dtype, (quotient,))
        up = self.compare(">", dtype, f("-", quotient, floor), self.literal(0.5, dtype))
        floor = self.select(dtype, up, f("+", floor, one), floor)
        some = self.new(f"fcmp one {self.type(dtype)} {quotient}, {zero}")
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
            return self.new(f"fcmp {self.fast}{'u' if op == '!=' else 'o'}{how} {self.type(dtype)} {a}, {b}")
        if op not in ("==", "!="):
            how = ("s" if signed(dtype) else "u") + how
        return self.new(f"icmp {how} {self.type(dtype)} {a}, {b}")

    def select(self, dtype: str, c: str, a: Value, b: Value) -> Value:
        if dtype in PARTS:
            return tuple([self.select(PARTS[dtype], c, x, y) for x, y in zip(a, b)])
        t = self.type(dtype)
        return self.new(f"select {self.type('bool')} {c}, {t} {a}, {t} {b}")

    def negative(self, dtype: str, x: Value) -> Value:
        if dtype in PARTS:
            return tuple([self.negative(PARTS[dtype], v) for v in x])
        t = self.type(dtype)
        return self.new(f"fneg {t} {x}" if dtype in FLOATS else f"sub {t} {self.literal(0, dtype)}, {x}")

    def absolute(self, dtype: str, x: Value) -> str:
        if dtype in PARTS:
            return self.math("hypot", PARTS[dtype], x)
        if dtype in FLOATS:
            return self.math("fabs", dtype, (x,))
        if not signed(dtype):
            return x
        below = self.compare("<", dtype, x, self.literal(0, dtype))
        return self.select(dtype, below, self.negative(dtype, x), x)

    def math(self, name: str, dtype: str, args: Sequence[Value]) -> str:
        """math.NAME of floats of one type."""
        if dtype not in FLOATS:
            raise Unprintable(f"{name} of {dtype}", name in NUMBA)
        t = self.type(dtype)
        if name == "fmod":
            return self.new(f"frem {self.fast}{t} {args[0]}, {args[1]}")
        if name in INTRINSICS or name == "fma":
            symbol = f"llvm.{name}.{f'v{self.width}' if self.width > 1 else ''}{FLOATS[dtype]}"
        elif name in LIBRARY:
            symbol = name + ("f" if dtype == "float32" else "")
        else:
            raise Unprintable(f"math.{name}")
        return self.call(symbol, t, [f"{t} {a}" for a in args])

    def call(self, symbol: str, result: str, args: Sequence[str]) -> str:
        """Call a pure function that the module declares."""
        kinds = ", ".join([a[:a.index(">") + 1] if a[0] == "<" else a.split()[0] for a in args])
        self.module.declare(f"declare {result} @{symbol}({kinds})" + ("" if symbol[:5] == "llvm." else " #0"))
        return self.new(f"call {self.fast}{result} @{symbol}({', '.join(args)})")


class Module:
    """LLVM IR of one module: declarations and definitions. `fast`: flags of its floating-point operations."""

    def __init__(self, fast: str = "") -> None:
        self.fast = fast and fast + " "
        self.declared: dict[str, None] = {}
        self.defined: dict[Any, tuple[str, str]] = {}  # device functions: symbol and type of the result
        self.functions: list[str] = []

    def declare(self, text: str) -> None:
        self.declared[text] = None

    def text(self) -> str:
        pure = "attributes #0 = { nounwind willreturn memory(none) }"
        return "\n".join([*self.declared, *self.functions, pure, ""])


class _Vectors:
    """Whether and how a loop whose iterations are free of each other is printed as vector code."""

    def __init__(self, loop: For):
        self.var = loop.var
        self.places: dict[str, Expr] = {}  # index values that the body names
        self.fixed: dict[int, Expr] = {}  # the same in all iterations: computed before the loop
        self._varies: dict[int, bool] = {}
        self.count, self.size, self.strided, self.scattered, self.narrow = 0, 1, False, False, False
        self.possible = loop.free and all(isinstance(s, Do) for s in loop.body)
        if self.possible:
            effects = [e for s in loop.body if isinstance(s, Do) for e in s.effects]
            self.named = {loop.var, *[e.name for e in effects if not isinstance(e, Store)]}
            self.possible = all([self._effect(e) for e in effects])

    def _effect(self, e: Let | Set | Store) -> bool:
        if isinstance(e, Set):
            return False
        if isinstance(e, Let) and e.value.op.startswith(("index", "min")):
            self.places[e.name] = e.value
            return True
        if isinstance(e, Store):
            step = self.step(e.place)
            self.scattered |= step is None
            self.narrow |= _bytes(e.array) < 4
            self.size = max(self.size, ALIGN.get(LL[PARTS.get(e.array.compute, e.array.compute)], 1))
            if step == 0:
                return False
        seen: set[int] = set()
        stack = [e.value]
        while stack:
            x = stack.pop()
            if id(x) in seen:
                continue
            seen.add(id(x))
            if x.op != "const" and not self.varies(x):
                self.fixed[id(x)] = x
                continue
            if x.op == "load":
                step = self.step(x.args[0])
                self.strided |= step is None
                self.narrow |= step == 1 and _bytes(x.value) < 4
            elif (x.op == "name" and (x.value == self.var or x.value in self.places)) or not _vector_op(x):
                return False
            else:
                stack += x.args
            dtype = PARTS.get(kind(x), kind(x))
            self.size = max(self.size, 1 if dtype == "bool" else np.dtype(dtype).itemsize)
        self.count += len(seen)
        return True

    def varies(self, e: Expr) -> bool:
        """Whether iterations may see different values: of loads that is not known, the loop may store
        there."""
        found = self._varies.get(id(e))
        if found is None:
            found = e.op == "load" or e.value in self.named if e.op in ("load", "name") else \
                any([self.varies(a) for a in e.args])
            self._varies[id(e)] = found
        return found

    def step(self, e: Expr) -> int | None:
        """How far an index moves from one iteration to the next: 0, 1, or None for any other number."""
        if e.op == "name":
            named = self.places.get(e.value)
            return 1 if e.value == self.var else 0 if named is None else self.step(named)
        steps = [self.step(a) for a in e.args]
        if not any(steps) and None not in steps:
            return 0
        if e.op == "index+" and sorted(map(str, steps)) == ["0", "1"]:
            return 1
        return 1 if e.op == "index-" and steps == [1, 0] else None

    def width(self, register: int) -> int:
        """Elements a vector operation does: those of a register, or of several to hide latency."""
        several = 1 if self.strided or self.scattered or self.count > 48 else 2 if self.count > 8 else 4
        return max(min(register // self.size * several, 64), 1)


# Operations of a loop of LANES elements that is printed without a loop.
UNROLLED = 24
VECTOR_MATH = {"math.sqrt", "math.copysign", "fma", "rint", *ROUND}


def _vector_op(e: Expr) -> bool:
    """Whether an operation has a vector form that is faster than one for each element."""
    if e.op.startswith(("call.", "index")) or e.op in ("%", "//", "**", "min"):
        return False
    if e.op == "abs" and kind(e.args[0]) in PARTS:
        return False
    return not e.op.startswith("math.") or e.op in VECTOR_MATH


class _Printer(Code):
    """Prints one nest."""

    def __init__(self, module: Module, nest: Nest, symbol: str):
        super().__init__(module)
        self.nest = nest
        self.names: dict[str, tuple[Value, str, int]] = {}  # values: (name, type, width)
        self.variables: dict[str, tuple[Any, str]] = {}  # places on the stack
        self.lanes: dict[str, str] = {}
        self.held: dict[str, tuple[int, int, str]] = {}  # what a lane array holds: first, count, the vector
        self.vectors: _Vectors | None = None  # of the vector loop around
        self.fixed: dict[int, Value] = {}  # values that it has from before it
        self.mask: tuple[str, str] | None = None  # of its last elements; and the last element's number
        self.register, self.masks = registers()
        for k, p in enumerate(nest.params):  # arguments are 64-bit words (jit.py)
            word = self.new(f"getelementptr i64, ptr %args, i64 {k}")
            self.put(f"%{p.name} = load {'ptr' if p.array else LL[p.code]}, ptr {word}")
            if p.array is None:
                self.names[p.name] = f"%{p.name}", p.code, 1
        self.statements(nest.body)
        self.put("ret void")
        module.functions.append(self.text(f"define void @{symbol}(ptr noalias %args) nounwind"))

    # -------------------------------------------------------------------------------------------- statements
    def statements(self, body: Sequence[Statement]) -> None:
        for s in body:
            if isinstance(s, For):
                self.loop(s)
            elif isinstance(s, Lanes):
                many = LANES if s.array.compute not in PARTS else 2 * LANES
                self.lanes[s.array.name] = self.stack(f"<{many} x {_part(s.array)}>", align=64)
            else:
                self.effects(s)

    def enter(self, label: str) -> None:
        super().enter(label)
        self.held.clear()

    def loop(self, s: For) -> None:
        start, stop = self.values([s.start, s.stop])
        outer = self.names.get(s.var)
        count = int(stop) - int(start) if start.isdigit() and stop.isdigit() and s.step == 1 else 0
        vectors = _Vectors(s) if s.step == 1 else None
        if vectors is not None and vectors.possible:
            # lanes that are only touched by whole vectors at known places live in registers
            short = vectors.count <= UNROLLED and not vectors.strided and not vectors.scattered
            if short and 0 < count <= LANES and count & (count - 1) == 0:
                self.fix(vectors, count)
                self.vector(s, vectors, count, start)
            elif short and s.most and self.maskable(vectors):
                self.fix(vectors, s.most)
                self.tail(s, vectors, s.most, start, stop)
            elif vectors.width(self.register) > 1:
                self.vector_loop(s, vectors, start, stop)
            else:
                self.scalar_loop(s, start, stop)
        else:
            self.scalar_loop(s, start, stop)
        if outer is not None:
            self.names[s.var] = outer
        else:
            self.names.pop(s.var, None)

    def scalar_loop(self, s: For, start: str, stop: str) -> None:
        head, body, after, before = self.label(), self.label(), self.label(), self.block
        self.jump(head)
        self.enter(head)
        at, var = len(self.lines), f"%{s.var}.{head}"
        self.branch(self.new(f"icmp slt i64 {var}, {stop}"), body, after)
        self.enter(body)
        self.names[s.var] = var, "int64", 1
        self.statements(s.body)
        step = self.new(f"add nuw nsw i64 {var}, {s.step}")
        self.lines.insert(at, f"  {var} = phi i64 [ {start}, %{before} ], [ {step}, %{self.block} ]")
        self.jump(head)
        self.enter(after)

    def vector_loop(self, s: For, vectors: _Vectors, start: str, stop: str) -> None:
        """Whole vectors while there are enough elements; the rest as one masked vector, or one by one."""
        width = vectors.width(self.register)
        self.fix(vectors, width)
        head, body, rest, before = self.label(), self.label(), self.label(), self.block
        self.jump(head)
        self.enter(head)
        at, var = len(self.lines), f"%{s.var}.{head}"
        step = self.new(f"add nuw nsw i64 {var}, {width}")
        self.branch(self.new(f"icmp sle i64 {step}, {stop}"), body, rest)
        self.enter(body)
        self.vector(s, vectors, width, var)
        self.lines.insert(at, f"  {var} = phi i64 [ {start}, %{before} ], [ {step}, %{self.block} ]")
        self.jump(head)
        self.enter(rest)
        if vectors.scattered or not self.maskable(vectors):
            self.fixed = {}
            self.scalar_loop(s, var, stop)
        else:
            self.tail(s, vectors, width, var, stop)

    def maskable(self, vectors: _Vectors) -> bool:
        """Whether this CPU loads and stores part of a vector of such elements."""
        return self.masks == 2 or (self.masks == 1 and not vectors.narrow)

    def tail(self, s: For, vectors: _Vectors, width: int, var: str, stop: str) -> None:
        """The body for elements `var` … `stop` - 1, fewer than `width` or as many, as one masked vector."""
        tail, after = self.label(), self.label()
        self.branch(self.new(f"icmp slt i64 {var}, {stop}"), tail, after)
        self.enter(tail)
        left = self.new(f"trunc i64 {self.new(f'sub i64 {stop}, {var}')} to i32")
        self.width = width
        numbers = "<" + ", ".join([f"i32 {k}" for k in range(width)]) + ">"
        mask = self.new(f"icmp ult {self.type('i32')} {numbers}, {self.spread(left, 'i32')}")
        self.width = 1
        self.mask = mask, self.new(f"sub i64 {stop}, 1")
        self.vector(s, vectors, width, var)
        self.mask = None
        self.jump(after)
        self.enter(after)

    def fix(self, vectors: _Vectors, width: int) -> None:
        """Compute what is the same in all iterations, as vectors of one value."""
        roots = list(vectors.fixed.values())
        found = self.values(roots)
        self.width = width
        self.fixed = {id(e): tuple([self.spread(v, PARTS[kind(e)]) for v in x]) if isinstance(x, tuple) else
                      self.spread(x, kind(e)) for e, x in zip(roots, found)} if width > 1 else {}
        self.width = 1

    def vector(self, s: For, vectors: _Vectors, width: int, at: str) -> None:
        """The body for elements `at` … `at` + width - 1 at once."""
        self.names[s.var] = at, "int64", 1
        self.vectors, self.width = vectors if width > 1 else None, width
        self.statements(s.body)
        self.vectors, self.width = None, 1

    def effects(self, s: Do) -> None:
        effects = [e for e in s.effects if not self.placed(e)]
        values = self.values([e.value for e in effects])
        places = [self.index(e.place) if isinstance(e, Store) else "" for e in effects]
        for e, value, place in zip(effects, values, places):
            dtype = kind(e.value)
            if isinstance(e, Store):
                self.store(e, place, self.cast(value, dtype, e.array.compute))
            elif isinstance(e, Let):
                self.names[e.name] = value, dtype, self.width
            else:
                self.set(e, value, dtype)

    def placed(self, e: Let | Set | Store) -> bool:
        """Whether `e` names an index in a vector loop: kept as the first element's."""
        if self.vectors is None or not isinstance(e, Let) or e.name not in self.vectors.places:
            return False
        self.names[e.name] = self.index(e.value), "int64", 1
        return True

    def index(self, e: Expr) -> str:
        """An index; in a vector loop the first element's."""
        width, self.width = self.width, 1
        value, = self.values([e])
        self.width = width
        return value

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

    def spread(self, x: str, kind: str) -> str:
        """A vector of one value."""
        kind, t = LL.get(kind, kind), self.type(kind)
        one = self.new(f"insertelement {t} poison, {kind} {x}, i64 0")
        return self.new(f"shufflevector {t} {one}, {t} poison, <{self.width} x i32> zeroinitializer")

    def elements(self, e: Expr, last: str | None) -> list[str]:
        """The index of each element of a vector; none after `last`."""
        assert self.vectors is not None
        first, name = self.names[self.vectors.var], self.vectors.var
        kept, out = dict(self.names), []
        width, self.width = self.width, 1
        for k in range(width):
            at = self.new(f"add nuw nsw i64 {first[0]}, {k}")
            if last is not None:
                at = self.select("int64", self.compare("<", "int64", at, last), at, last)
            self.names[name] = at, "int64", 1
            for n, place in self.vectors.places.items():
                if n in kept:
                    self.names[n] = self.values([place])[0], "int64", 1
            out += self.values([e])
        self.names, self.width = kept, width
        return out

    def load(self, e: Expr) -> Value:
        """An element; in a vector loop those of all iterations."""
        array: Slot = e.value
        step = 0 if self.vectors is None else self.vectors.step(e.args[0])
        parts = [0, 1] if array.compute in PARTS else [None]
        t = _part(array)
        if array.name in self.lanes and array.name not in self.held and len(parts) == 1 \
                and self.index(e.args[0]).isdigit():
            self.held[array.name] = 0, LANES, self.whole(array)
        if array.name in self.held and (step == 1 or self.width == 1):
            known = self.taken(array, self.index(e.args[0]))
            if known is not None:
                return self.loaded(array, known)
        if step == 1:
            out = self.load_vectors(array, self.place(array, self.index(e.args[0])), t, len(parts))
        elif step == 0:
            index = self.index(e.args[0])
            out = [self.new(f"load {t}, ptr {self.place(array, index, p)}") for p in parts]
            if self.width > 1:
                out = [self.spread(x, t) for x in out]
        else:
            out = ["poison"] * len(parts)
            for k, index in enumerate(self.elements(e.args[0], self.mask and self.mask[1])):
                for p in parts:
                    x = self.new(f"load {t}, ptr {self.place(array, index, p)}")
                    out[p or 0] = self.new(f"insertelement {self.type(t)} {out[p or 0]}, {t} {x}, i64 {k}")
        values = [self.loaded(array, x) for x in out]
        return tuple(values) if len(parts) == 2 else values[0]

    def taken(self, array: Slot, index: str) -> str | None:
        """Elements of a lane array from the vector that was stored there last."""
        first, count, x = self.held[array.name]
        at = int(index) - first if index.isdigit() else -1
        if at < 0 or at + self.width > count:
            return None
        if count == self.width:
            return x
        many = f"<{count} x {_part(array)}>"
        if self.width == 1:
            return self.new(f"extractelement {many} {x}, i64 {at}")
        pick = ", ".join([f"i32 {k}" for k in range(at, at + self.width)])
        return self.new(f"shufflevector {many} {x}, {many} poison, <{self.width} x i32> <{pick}>")

    def whole(self, array: Slot) -> str:
        """All of a lane array."""
        t = _part(array)
        return self.new(f"load <{LANES} x {t}>, ptr {self.lanes[array.name]}, align {ALIGN[t]}")

    def keep(self, array: Slot, first: int, count: int, x: str) -> None:
        """Store `count` lanes from `first` on. Lanes are read and written whole wherever their place is
        known, so that they become registers."""
        t = _part(array)
        many, all_ = f"<{count} x {t}>", f"<{LANES} x {t}>"
        whole = x
        if count == 1:
            whole = self.new(f"insertelement {all_} {self.whole(array)}, {t} {x}, i64 {first}")
        elif count < LANES:
            near = ", ".join([f"i32 {min(k, count - 1)}" for k in range(LANES)])
            pick = ", ".join([f"i32 {k - first if first <= k < first + count else LANES + k}"
                              for k in range(LANES)])
            wide = self.new(f"shufflevector {many} {x}, {many} poison, <{LANES} x i32> <{near}>")
            whole = self.new(f"shufflevector {all_} {wide}, {all_} {self.whole(array)}, "
                             f"<{LANES} x i32> <{pick}>")
        self.put(f"store {all_} {whole}, ptr {self.lanes[array.name]}, align {ALIGN[t]}")
        self.held[array.name] = first, count, x

    def load_vectors(self, array: Slot, place: str, t: str, parts: int) -> list[str]:
        """One vector of neighbours; or that of the real and that of the imaginary parts."""
        n = self.width * parts
        many, align = f"<{n} x {t}>", ALIGN[t]
        if self.mask is None or array.name in self.lanes:
            x = self.new(f"load {many}, ptr {place}, align {align}")
        else:
            x = self.masked(f"{many} @llvm.masked.load", n, t, f"ptr {place}, i32 {align}",
                            f", {many} zeroinitializer")
        if parts == 1:
            return [x]
        pick = lambda k: ", ".join([f"i32 {2 * i + k}" for i in range(self.width)])
        return [self.new(f"shufflevector {many} {x}, {many} poison, <{self.width} x i32> <{pick(k)}>")
                for k in (0, 1)]

    def masked(self, symbol: str, n: int, t: str, args: str, more: str = "", value: str = "") -> str:
        """Call a masked load or store of n elements of LLVM type t."""
        assert self.mask is not None
        mask, many = self.mask[0], f"<{n} x {t}>"
        if n > self.width:
            twice = ", ".join([f"i32 {i // 2}" for i in range(n)])
            one = f"<{self.width} x i1>"
            mask = self.new(f"shufflevector {one} {mask}, {one} poison, <{n} x i32> <{twice}>")
        suffix = f".v{n}{ {'float': 'f32', 'double': 'f64', 'half': 'f16'}.get(t, t) }.p0"
        last = f", {many}" if more else ""
        before = f"{many}, " if value else ""
        self.module.declare(f"declare {symbol}{suffix}({before}ptr, i32, <{n} x i1>{last})")
        text = f"call {symbol}{suffix}({f'{many} {value}, ' if value else ''}{args}, <{n} x i1> {mask}{more})"
        if value:
            self.put(text)
            return ""
        return self.new(text)

    def loaded(self, array: Slot, x: str) -> str:
        """What memory held as the value it is."""
        if array.memory == "bool":
            return self.compare("!=", "uint8", x, self.literal(0, "uint8"))
        if array.memory == "bfloat16":
            wide = self.binary("<<", "uint32", self.cast(x, "uint16", "uint32"), self.literal(16, "uint32"))
            return self.new(f"bitcast {self.type('uint32')} {wide} to {self.type('float32')}")
        if array.memory in ("float16", "complex32"):
            return self.new(f"fpext {self.type('half')} {x} to {self.type('float32')}")
        return x

    def kept(self, array: Slot, x: str) -> str:
        """A value as memory holds it."""
        if array.memory == "bool":
            return self.cast(x, "bool", "uint8")
        if array.memory == "bfloat16":
            return self.bfloat16(x)
        if array.memory in ("float16", "complex32"):
            return self.new(f"fptrunc {self.type('float32')} {x} to {self.type('half')}")
        return x

    def store(self, s: Store, index: str, x: Value) -> None:
        array = s.array
        values = [self.kept(array, v) for v in (x if array.compute in PARTS else [x])]
        parts, t = ([0, 1] if array.compute in PARTS else [None]), _part(array)
        self.held.pop(array.name, None)
        if array.name in self.lanes and len(values) == 1 and index.isdigit() and self.mask is None \
                and (self.vectors is None or self.vectors.step(s.place) == 1):
            self.keep(array, int(index), self.width, values[0])
        elif self.vectors is None:
            for v, p in zip(values, parts):
                self.put(f"store {t} {v}, ptr {self.place(array, index, p)}")
        elif self.vectors.step(s.place) == 1:
            self.store_vectors(array, index, t, values)
        else:
            for k, each in enumerate(self.elements(s.place, None)):
                for v, p in zip(values, parts):
                    one = self.new(f"extractelement {self.type(t)} {v}, i64 {k}")
                    self.put(f"store {t} {one}, ptr {self.place(array, each, p)}")

    def store_vectors(self, array: Slot, index: str, t: str, values: list[str]) -> None:
        x, n, place, align = values[0], self.width * len(values), self.place(array, index), ALIGN[t]
        if len(values) == 2:
            order = ", ".join([f"i32 {i // 2 + i % 2 * self.width}" for i in range(n)])
            each = self.type(t)
            x = self.new(f"shufflevector {each} {x}, {each} {values[1]}, <{n} x i32> <{order}>")
        many = f"<{n} x {t}>"
        if self.mask is None:
            self.put(f"store {many} {x}, ptr {place}, align {align}")
        elif array.name in self.lanes and len(values) == 1:  # a whole store, which a later load can take from
            old = self.new(f"load {many}, ptr {place}, align {align}")
            x = self.new(f"select <{n} x i1> {self.mask[0]}, {many} {x}, {many} {old}")
            self.put(f"store {many} {x}, ptr {place}, align {align}")
        else:
            self.masked("void @llvm.masked.store", n, t, f"ptr {place}, i32 {align}", value=x)

    def bfloat16(self, x: str) -> str:
        """Rounded to nearest even; NaN keeps its upper bits and becomes quiet (jit.py)."""
        f = lambda op, a, b: self.binary(op, "uint32", a, b)
        k = lambda n: self.literal(n, "uint32")
        u = self.new(f"bitcast {self.type('float32')} {x} to {self.type('uint32')}")
        top = f(">>", u, k(16))
        near = f(">>", f("+", u, f("+", f("&", top, k(1)), k(32767))), k(16))
        nan = self.new(f"fcmp uno {self.type('float32')} {x}, {x}")
        return self.cast(self.select("uint32", nan, f("|", top, k(64)), near), "uint32", "uint16")

    # -------------------------------------------------------------------------------------------- expressions
    def values(self, roots: Sequence[Expr]) -> list[Value]:
        """The values of expressions; what they share is computed once."""
        known: dict[int, Value] = {}
        fixed = self.fixed if self.width > 1 else {}
        stack = list(reversed(roots))
        while stack:
            e = stack[-1]
            if id(e) in known:
                stack.pop()
                continue
            if id(e) in fixed:
                known[id(e)] = fixed[id(e)]
                continue
            args = () if e.op == "load" else e.args
            missing = [a for a in args if id(a) not in known]
            if missing:
                stack += reversed(missing)
                continue
            stack.pop()
            known[id(e)] = self.value(e, [known[id(a)] for a in args])
        return [known[id(r)] for r in roots]

    def value(self, e: Expr, a: list[Value]) -> Value:
        op, dtype = e.op, kind(e)
        of = kind(e.args[0]) if e.args else dtype
        if op == "const":
            return self.literal(e.value, dtype)
        if op == "name":
            return self.name(e)
        if op == "load":
            return self.load(e)
        if op.startswith("index"):
            if a[0].isdigit() and a[1].isdigit():
                return str(FOLD[op[5:]](int(a[0]), int(a[1])))
            return self.new(f"{INDEX[op[5:]]} i64 {a[0]}, {a[1]}")
        if op == "min":
            return self.select("int64", self.compare("<", "int64", *a), *a)
        if op == "select":
            return self.select(dtype, *a)
        if op == "cast":
            return self.cast(a[0], of, dtype)
        if op == "neg":
            return self.negative(dtype, a[0])
        if op in ("not", "~"):
            x = self.cast(a[0], of, dtype)
            return self.binary("^", dtype, x, self.literal(1 if dtype == "bool" else -1, dtype))
        if op == "abs":
            return self.absolute(of, a[0])
        if op in ("real", "imag"):
            return a[0][op == "imag"]
        if op == "complex":
            return tuple([self.cast(v, kind(x), PARTS[dtype]) for v, x in zip(a, e.args)])
        if op == "conj":
            return a[0][0], self.negative(PARTS[dtype], a[0][1])
        if op in ("bits", "from_bits"):
            return self.new(f"bitcast {self.type(of)} {a[0]} to {self.type(dtype)}")
        if op in ("fma", "rint", *ROUND):
            return self.math(op, dtype, a)
        if op.startswith("math."):
            return self.math(op[5:], dtype, a)
        if op == "round":
            array = Slot("", e.value)
            return self.loaded(array, self.kept(array, a[0]))
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
            value, dtype, width = self.names[e.value]
        else:
            places, dtype = self.variables[e.value]
            parts = [self.new(f"load {LL[PARTS.get(dtype, dtype)]}, ptr {p}") for p in places]
            value, width = tuple(parts) if dtype in PARTS else parts[0], 1
        if width < self.width:
            value = (tuple([self.spread(v, PARTS[dtype]) for v in value]) if dtype in PARTS else
                     self.spread(value, dtype))
        return self.cast(value, dtype, kind(e))


def kind(e: Expr) -> str:
    """The type of an expression; a literal that met no typed operand is what Python says."""
    if e.dtype is not None:
        return e.dtype
    v = e.value
    return "bool" if isinstance(v, bool) else "int64" if isinstance(v, int) else \
        "float64" if isinstance(v, float) else "complex128"


def _memory(array: Slot) -> str:
    """The LLVM type of an element in memory."""
    return f"{{{_part(array)}, {_part(array)}}}" if array.compute in PARTS else _part(array)


def _part(array: Slot) -> str:
    """The LLVM type of an element, or of the parts of a complex one, in memory."""
    memory = PARTS.get(array.memory, array.memory)
    return {"float16": "half", "complex32": "half", "bfloat16": "i16", "bool": "i8"}.get(memory) or LL[memory]


def _bytes(array: Slot) -> int:
    return ALIGN[_part(array)]


@functools.cache
def registers() -> tuple[int, int]:
    """(bytes of a vector register, 2 where masks serve elements of every size, 1 of 4 and 8 bytes, 0 of
    none) of this CPU."""
    features = jit.host()[1]
    if "+avx512bw" in features:
        return 64, 2
    return (32, 1) if "+avx2" in features else (16, 0)


# ------------------------------------------------------------------------------------------------ compilation
def source(nest: Nest) -> str:
    """A nest as the text of an LLVM module. Unprintable where this printer has no form for something."""
    return _printed(nest).text()


def _printed(nest: Nest) -> Module:
    module = Module()
    _Printer(module, nest, "kernel")
    return module


def compile(nests: Sequence[Nest]) -> list[jit.Native]:
    """Native kernels for nests; each is compiled once, in one module with the others that are new, and kept
    on disk under its content's hash. Nests with an operation in NUMBA, and all where the JIT is off or checks
    indices, go through their Python text."""
    if jit.DISABLED or jit.CHECKED:
        return [n.text().native() for n in nests]
    made: dict[str, tuple[Nest, Module]] = {}
    keys: list[str | None] = []
    for nest in nests:
        try:
            module = _printed(nest)
        except Unprintable as e:
            if not e.numba:
                raise jit.KernelError(f"the kernel {nest.name!r} has no form: {e}") from e
            if jit.DEBUG:
                print(f"numtorch: {nest.name} goes through numba: {e}", file=sys.stderr)
            keys.append(None)
            continue
        if jit.DEBUG >= 4:
            print(f"# {nest.signature}\n{nest.source}", file=sys.stderr)
        content = repr((module.text(), nest.signature, jit.host()))
        key = "n" + hashlib.sha256(content.encode()).hexdigest()[:32]
        made[key] = nest, module
        keys.append(key)
    found = jit.together({k: (nest, nest.signature) for k, (nest, _) in made.items()},
                         lambda symbols: _object_code({s: made[k][1] for k, s in symbols.items()}))
    return [nest.text().native() if k is None else found[k] for k, nest in zip(keys, nests)]


def _object_code(modules: dict[str, Module]) -> bytes:
    """Object code of kernels by their symbols."""
    whole = Module()
    for symbol, module in modules.items():
        whole.declared.update(module.declared)
        *called, kernel = module.functions
        whole.functions += [f for f in called if f not in whole.functions]
        whole.functions.append(kernel.replace("@kernel(", f"@{symbol}(", 1))
    engine = jit.engine()
    text = engine.ll.parse_assembly(whole.text())
    text.verify()
    engine.optimise(text)
    if jit.DEBUG >= 5:
        print(text, file=sys.stderr)
    return engine.machine.emit_object(text)
