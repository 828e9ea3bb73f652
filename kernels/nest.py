"""The loop-nest form: a kernel as data, and its first printer, Python text.

A Nest is a name, parameters and statements. Values are typed expressions (expr.py) and so are indices, int64
ones made by expr.at("p_x + i * s_x"). The templates of emit.py build nests; they are printed as LLVM IR in
llvm.py, for the CPU, and as Python here: for numba-cuda, the emulator, plain Python, people, and for numba
where the other printer has no form. Both mean the same: strict IEEE arithmetic in the order written, and
integers that wrap in their own type at each step, so a chain of ops gives the same bits however it is
fused."""
from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import jit
from .expr import Block, Expr, Printer, Slot, put

LANES = jit.LANES


# ------------------------------------------------------------------------------------------------ statements
class Let(NamedTuple):
    """`name = value`, once: a value."""
    name: str
    value: Expr


class Set(NamedTuple):
    """`name = value`: a variable; the first Set, in a block around all others, makes it."""
    name: str
    value: Expr


class Store(NamedTuple):
    """`array[place] = value`, converted to what memory holds."""
    array: Slot
    place: Expr
    value: Expr


class Do(NamedTuple):
    """Effects at once: all values and indices are computed, equal ones once, then the effects happen."""
    effects: tuple[Let | Set | Store, ...]


class For(NamedTuple):
    """`for var in range(start, stop, step)`, start and stop not negative. `free`: no iteration touches what
    another one writes, so they may run side by side. `most`: there are no more iterations than that (0: not
    known)."""
    var: str
    start: Expr
    stop: Expr
    step: int
    body: tuple[Statement, ...]
    free: bool = False
    most: int = 0


class Lanes(NamedTuple):
    """An array of LANES elements on the stack, before all loops."""
    array: Slot
    first: Any


Statement = Do | For | Lanes


def do(*effects: Let | Set | Store) -> Do:
    return Do(effects)


class Param(NamedTuple):
    """A parameter: an array, or a number of type int64 or float64."""
    name: str
    code: str
    array: Slot | None = None


class Nest:
    """A kernel as data. `bound`: the device functions that its expressions call, by name. `apart`: no array
    parameter shares memory with another one; else an output may be an input, element for element."""

    def __init__(self, name: str, params: Sequence[Param], body: Sequence[Statement], bound: dict[str, Any],
                 target: str = "cpu", apart: bool = False):
        self.name, self.params, self.body = name, tuple(params), tuple(body)
        self.bound, self.target, self.apart = bound, target, apart
        self._text: Text | None = None

    @property
    def signature(self) -> tuple[str, ...]:
        return tuple([p.code for p in self.params])

    @property
    def source(self) -> str:
        return self.text().source

    def text(self) -> Text:
        """The kernel as Python text."""
        if self._text is None:
            printer = Printer(self.target)
            code = lines(printer, self.body)
            self._text = finish(self.name, printer, [(p.name, p.code) for p in self.params], code, self.bound)
        return self._text

    def function(self) -> Callable:
        return self.text().function()

    def native(self) -> jit.Native:
        """The kernel, compiled."""
        from .llvm import compile as printed
        return printed([self])[0]


# ------------------------------------------------------------------------------------------------ Python text
class Text(NamedTuple):
    """A kernel as text: its name, source and argument types, and the scalar functions it calls."""
    name: str
    source: str
    signature: tuple[str, ...]
    bound: dict[str, Any]

    def function(self) -> Callable:
        """The kernel as a Python function."""
        space: dict[str, Any] = {"__name__": __name__, "math": math, "cmath": cmath, **self.bound}
        for t in ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
                  "uint64", "complex64", "complex128"):
            space[t] = getattr(np, t)
        for f in ("bits", "from_bits", "fma", "rint", "floor", "ceil", "trunc", "fmod", "whole", "lanes",
                  "bf16_load", "bf16_store", "f16_load", "f16_store"):
            space[f] = getattr(jit, f)
        exec(compile(self.source, f"<kernel {self.name}>", "exec"), space)
        return space[self.name]

    def native(self) -> jit.Native:
        """The text compiled by numba."""
        if jit.DEBUG >= 4:
            import sys
            print(f"# {self.signature}\n{self.source}", file=sys.stderr)
        return jit.compile(self.function(), self.signature, strict=True)


def finish(name: str, printer: Printer, params: Sequence[tuple[str, str]], code: Sequence[str],
           bound: dict[str, Any]) -> Text:
    """The text of the function `name` with that code."""
    head = f"def {name}({', '.join([n for n, _ in params])}):"
    source = "\n".join([*printer.header(), head, *indent(code)]) + "\n"
    return Text(name, source, tuple([c for _, c in params]), dict(bound))


def indent(code: Iterable[str], by: int = 4) -> list[str]:
    return [" " * by + line for line in code]


def lines(printer: Printer, statements: Iterable[Statement]) -> list[str]:
    """Statements as lines of Python."""
    out: list[str] = []
    for s in statements:
        if isinstance(s, For):
            _, (start, stop) = printer.statements([s.start, s.stop])
            bounds = [start, stop, str(s.step)] if s.step != 1 else [start, stop] if start != "0" else [stop]
            out += [f"for {s.var} in range({', '.join(bounds)}):", *indent(lines(printer, s.body))]
        elif isinstance(s, Lanes):
            out.append(f"{s.array.name} = lanes({printer.typed(s.first, s.array.memory)})")
        else:
            out += _effects(printer, s)
    return out


def _effects(printer: Printer, s: Do) -> list[str]:
    roots = [e.value for e in s.effects] + [e.place for e in s.effects if isinstance(e, Store)]
    out, texts = printer.statements(roots, len(s.effects) == 1)
    places = iter(texts[len(s.effects):])
    for e, text in zip(s.effects, texts):
        if isinstance(e, Store):
            out.append(f"{e.array.name}[{next(places)}] = {put(e.array, text)}")
        else:
            value = e.value
            if value.op == "const":  # a variable has its type from its first value
                text = printer.typed(value.value, value.dtype or "int64")
            out.append(f"{e.name} = {text}")
    return out


def name(block: Block, text: str, dtype: str = "int64") -> Expr:
    """What a Let, a Set or a parameter of that name holds."""
    return block.make("name", dtype, (), text)
