"""Pointwise operations as ONNX operators: an entry's scalar expression, one operator for each of its
parts."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .. import dtypes as D
from ..dispatch import compute_name
from ..kernels.expr import Block, Expr

# Entries that ONNX has an operator for, on floats.
NAMED = {"add.op": "Add", "sub.op": "Sub", "mul": "Mul", "div.true": "Div", "pow.op": "Pow", "neg": "Neg",
         "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp", "log": "Log", "sqrt": "Sqrt",
         "abs": "Abs", "erf": "Erf", "sin": "Sin", "cos": "Cos", "reciprocal": "Reciprocal",
         "floor.float": "Floor", "ceil.float": "Ceil", "round.float": "Round", "maximum": "Max",
         "minimum": "Min"}
UNARY = {"neg": "Neg", "abs": "Abs", "floor": "Floor", "ceil": "Ceil", "rint": "Round", "math.exp": "Exp",
         "math.log": "Log", "math.sqrt": "Sqrt", "math.sin": "Sin", "math.cos": "Cos", "math.tan": "Tan",
         "math.asin": "Asin", "math.acos": "Acos", "math.atan": "Atan", "math.sinh": "Sinh",
         "math.cosh": "Cosh", "math.asinh": "Asinh", "math.acosh": "Acosh", "math.atanh": "Atanh",
         "math.tanh": "Tanh", "math.erf": "Erf"}
BINARY = {"+": "Add", "-": "Sub", "*": "Mul", "<": "Less", "<=": "LessOrEqual", ">": "Greater",
          ">=": "GreaterOrEqual", "==": "Equal", "min": "Min", "max": "Max", "math.pow": "Pow", "**": "Pow"}
LOGIC = {"&": ("And", "BitwiseAnd"), "|": ("Or", "BitwiseOr"), "^": ("Xor", "BitwiseXor")}


class Scalars:
    """Writes expressions. `add(operator, inputs, **attributes) → name`; `number(value, dtype) → input`."""

    def __init__(self, add: Callable, number: Callable, opset: int):
        self.add, self.number, self.opset = add, number, opset
        self.known: dict[int, Any] = {}

    def map(self, op: Any, compute: str, operands: Sequence[Any], outs: Sequence[D.dtype]) -> list[str]:
        """The results of a pointwise entry. Operands: (name, dtype) of tensors, or numbers."""
        named = self._named(op, compute, operands, outs)
        if named is not None:
            return [named]
        block = Block("cuda")  # with functions as such, where the CPU's have polynomials
        values = []
        for i, v in enumerate(operands):
            if isinstance(v, tuple):
                values.append(block.make("load", compute_name(v[1]), (), i))
            else:
                d = "float64" if isinstance(v, float) else D.of_scalar(v).name
                values.append(block.const(v, d))
        roots = op.build(compute)(block, values)
        self.op, self.operands, self.known = op, operands, {}
        return [self.cast(self.value(e), e.dtype, d.name) for e, d in zip(roots, outs)]

    def _named(self, op: Any, compute: str, operands: Sequence[Any], outs: Sequence[D.dtype]) -> str | None:
        d = outs[0]
        if d.name != compute or not d.is_floating_point or len(outs) != 1:
            return None
        if any(isinstance(v, tuple) and v[1] is not d and i not in (0,) for i, v in enumerate(operands)):
            return None
        if op.name == "where.op":
            return self.add("Where", [operands[0][0], *map(lambda v: self._operand(v, d), operands[1:])]) \
                if isinstance(operands[0], tuple) and operands[0][1] is D.bool else None
        if isinstance(operands[0], tuple) and operands[0][1] is not d:
            return None
        if op.name in ("gelu_erf", "gelu_tanh") and self.opset >= 20:
            return self.add("Gelu", [operands[0][0]], approximate="tanh" if op.name == "gelu_tanh"
                            else "none")
        name = NAMED.get(op.name)
        return None if name is None else self.add(name, [self._operand(v, d) for v in operands])

    def _operand(self, v: Any, d: D.dtype) -> Any:
        return v[0] if isinstance(v, tuple) else self.number(v, d.name)

    def value(self, e: Expr) -> Any:
        """The name of an expression's value."""
        found = self.known.get(id(e))
        if found is None:
            found = self.known[id(e)] = self._value(e)
        return found

    def cast(self, x: Any, from_: str | None, to: str) -> Any:
        return x if from_ == to else self.add("Cast", [x], to=to)

    def _value(self, e: Expr) -> Any:
        add, number, d = self.add, self.number, e.dtype
        if e.op == "load":
            name, stored = self.operands[e.value]
            return self.cast(name, stored.name, d or "")
        if e.op == "const":
            return number(e.value, d or ("float64" if isinstance(e.value, float) else "int64"))
        if e.op == "cast":
            x = e.args[0]
            if d == "bool":
                return add("Not", [add("Equal", [self.value(x), number(0, x.dtype)])])
            return self.cast(self.value(x), x.dtype, d or "")
        args = [self.value(a) for a in e.args]
        of = e.args[0].dtype or ""
        if e.op in UNARY:
            return add(UNARY[e.op], args)
        if e.op in BINARY:
            return add(BINARY[e.op], args)
        if e.op in LOGIC:
            return add(LOGIC[e.op][of != "bool"], args)
        if e.op == "!=":
            return add("Not", [add("Equal", args)])
        if e.op == "not":
            return add("Not", args)
        if e.op == "~":
            return add("Not" if of == "bool" else "BitwiseNot", args)
        if e.op == "select":
            if d == "bool":
                return add("Or", [add("And", args[:2]), add("And", [add("Not", args[:1]), args[2]])])
            return add("Where", args)
        if e.op == "/":
            return add("Div", args)
        if e.op == "round":
            return add("Cast", [add("Cast", args, to=e.value)], to=d)
        return self._composed(e, args, of)

    def _composed(self, e: Expr, args: list, of: str) -> Any:
        add, number, d = self.add, self.number, e.dtype or ""
        x = args[0]
        if e.op == "//":
            return add("Div", [add("Sub", [x, add("Mod", args)]), args[1]])
        if e.op == "%":
            return add("Mod", args) if d.startswith(("int", "uint")) else \
                add("Sub", [x, add("Mul", [add("Floor", [add("Div", args)]), args[1]])])
        if e.op == "math.fmod":
            return add("Mod", args, fmod=1)
        if e.op == "trunc":
            return add("Where", [add("Less", [x, number(0, of)]), add("Ceil", [x]), add("Floor", [x])])
        if e.op == "math.erfc":
            return add("Sub", [number(1.0, d), add("Erf", [x])])
        if e.op == "math.exp2":
            return add("Exp", [add("Mul", [x, number(math.log(2), d)])])
        if e.op == "math.expm1":
            return add("Sub", [add("Exp", [x]), number(1.0, d)])
        if e.op == "math.log1p":
            return add("Log", [add("Add", [x, number(1.0, d)])])
        if e.op in ("math.log2", "math.log10"):
            return add("Mul", [add("Log", [x]), number(1 / math.log(2 if e.op == "math.log2" else 10), d)])
        if e.op == "math.copysign":
            minus = add("Less", [args[1], number(0.0, d)])
            size = add("Abs", [x])
            return add("Where", [minus, add("Neg", [size]), size])
        if e.op == "fma":
            return add("Add", [add("Mul", args[:2]), args[2]])
        if e.op in ("<<", ">>") and d.startswith("uint"):
            return add("BitShift", args, direction="LEFT" if e.op == "<<" else "RIGHT")
        raise NotImplementedError(f"{self.op.name} has no form in ONNX ({e.op} of {of})")
