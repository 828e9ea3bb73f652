"""Compiled arithmetic in Python: the casts, `math` and literals that a kernel sees in the emulator.

The typing rules are Numba's: an integer narrower than 64 bits is carried in 64 once loaded, literals with a
point are float64, `math.f(float32)` is float32, nothing raises. Two differences remain: unsigned 8- and
16-bit integers are carried in int64 (Numba: uint64 until they meet a signed number), and integer literals,
loop indices and arguments are Python integers: float32 times one of these is float32 here, float64 compiled.
"""
from __future__ import annotations

import math as python_math
import types
from collections.abc import Callable
from typing import Any

import numpy as np

NAMES = ("boolean", "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
         "float16", "float32", "float64", "complex64", "complex128")


def whole(value: Any, signed: bool = True) -> int:
    """The integer `value` becomes: floats truncate, NaN is 0, what exceeds 64 bits saturates (cvt.rzi)."""
    if not isinstance(value, (float, np.floating)):
        return int(value)
    if value != value:
        return 0
    low, high = (-(2**63), 2**63 - 1) if signed else (0, 2**64 - 1)
    return low if value <= low else high if value >= high else int(value)


class Cast:
    """`float32(x)`, `uint32(i)`, …: convert to `dtype`, carry the result as compiled code does."""

    __slots__ = ("name", "dtype", "_bits", "_signed", "_carrier")

    def __init__(self, name: str):
        self.name = name
        self.dtype = np.dtype({"boolean": "bool", "bool_": "bool"}.get(name, name))
        self._bits, self._signed = 8 * self.dtype.itemsize, self.dtype.kind == "i"
        self._carrier: Any = self.dtype.type
        if self.dtype.kind in "iu":
            self._carrier = np.uint64 if name in ("uint32", "uint64") else np.int64

    def __call__(self, value: Any) -> Any:
        kind = self.dtype.kind
        if kind == "b":
            return bool(value)
        if kind in "iu":
            n = whole(value, self._signed) & ((1 << self._bits) - 1)
            return self._carrier(n - (1 << self._bits) if self._signed and n >> (self._bits - 1) else n)
        return self._carrier(value)

    def __repr__(self) -> str:
        return self.name


CASTS = {name: Cast(name) for name in NAMES}
_by_dtype = {cast.dtype: cast for cast in CASTS.values()}


def dtype_of(spec: Any) -> np.dtype:
    """The NumPy dtype of a dtype, cast, NumPy or Numba type: what `cuda.shared.array` is given."""
    if isinstance(spec, Cast):
        return spec.dtype
    name = getattr(spec, "name", None)          # Numba types have one
    return CASTS[name].dtype if isinstance(name, str) and name in CASTS else np.dtype(spec)


def loader(dtype: np.dtype) -> Callable[[Any], Any] | None:
    """What turns an element read from memory into the number compiled code carries; None: nothing to do."""
    if dtype.kind == "b":
        return bool
    if dtype.kind == "u" and dtype.itemsize == 4:
        return np.uint64
    return np.int64 if dtype.kind in "iu" and dtype.itemsize < 8 else None


def storer(dtype: np.dtype) -> Callable[[Any], Any] | None:
    """What turns a number into a value that NumPy stores as compiled code would; None: nothing to do."""
    return _by_dtype[dtype] if dtype.kind in "iub" else None


def _floating(function: Callable, arguments: int = 1) -> Callable:
    """`function` in float32 if all arguments are float32 (or Python numbers beside one), else in float64."""
    def one(x):
        return function(x if isinstance(x, np.floating) else np.float64(x))

    def two(x, y):
        narrow = isinstance(x, np.float32) and isinstance(y, np.float32)
        to = np.float32 if narrow else np.float64
        return function(to(x), to(y))
    return one if arguments == 1 else two


def _guarded(function: Callable[[float], float], at_pole: float = float("inf")) -> Callable:
    """A `math` function NumPy lacks, with C's results where Python raises."""
    def call(x):
        to = np.float32 if isinstance(x, np.float32) else np.float64
        try:
            return to(function(float(x)))
        except OverflowError:
            return to(np.inf)
        except ValueError:
            return to(at_pole)
    return call


def _gamma(x: float) -> float:
    if x == 0:
        return python_math.copysign(python_math.inf, x)
    return python_math.nan if x == -python_math.inf or (x < 0 and x == int(x)) else python_math.gamma(x)


def _test(ufunc: Callable) -> Callable:
    return lambda x: bool(ufunc(x))


def _mathematics() -> types.SimpleNamespace:
    same = {n: n for n in "exp expm1 log log2 log10 log1p sqrt sin cos tan sinh cosh tanh floor ceil trunc "
                          "fabs exp2 cbrt degrees radians".split()}
    renamed = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh",
               "atanh": "arctanh"}
    binary = {"pow": "power", "atan2": "arctan2", "hypot": "hypot", "copysign": "copysign", "fmod": "fmod",
              "nextafter": "nextafter"}
    found: dict[str, Any] = {n: _floating(getattr(np, u)) for n, u in (same | renamed).items()}
    found |= {n: _floating(getattr(np, u), 2) for n, u in binary.items()}
    found |= {n: _test(getattr(np, n)) for n in ("isnan", "isinf", "isfinite")}
    found |= {"erf": _guarded(python_math.erf), "erfc": _guarded(python_math.erfc),
              "lgamma": _guarded(python_math.lgamma), "gamma": _guarded(_gamma)}
    found |= {n: np.float64(getattr(python_math, n)) for n in ("pi", "e", "tau", "inf", "nan")}
    found["ldexp"] = lambda x, n: np.ldexp(x if isinstance(x, np.floating) else np.float64(x), int(n))
    return types.SimpleNamespace(**found)


def _complex(ufunc: Callable) -> Callable:
    return lambda z: ufunc(z if isinstance(z, np.complexfloating) else np.complex128(z))


math = _mathematics()
cmath = types.SimpleNamespace(**{n: _complex(getattr(np, u)) for n, u in (
    ("exp", "exp"), ("log", "log"), ("log10", "log10"), ("sqrt", "sqrt"), ("sin", "sin"), ("cos", "cos"),
    ("tan", "tan"), ("sinh", "sinh"), ("cosh", "cosh"), ("tanh", "tanh"), ("asin", "arcsin"),
    ("acos", "arccos"), ("atan", "arctan"), ("asinh", "arcsinh"), ("acosh", "arccosh"),
    ("atanh", "arctanh"))})


def literal(constant: Any) -> Any:
    """A constant of the kernel's code as compiled code types it: `0.5` is float64, not a weak float."""
    return np.float64(constant) if type(constant) is float else constant
