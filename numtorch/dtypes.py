"""Element types: the dtype objects, PyTorch's promotion lattice, finfo and iinfo."""
from __future__ import annotations

import builtins

import numpy as np


class dtype:
    """An element type. `numpy` is the type of the memory: bfloat16 lives as its uint16 bits,
    complex32 as uint32."""

    __slots__ = ("name", "numpy", "itemsize", "is_floating_point", "is_complex", "is_signed", "category",
                 "code", "kernel", "_others")
    name: str
    numpy: np.dtype
    itemsize: builtins.int
    category: builtins.int
    is_floating_point: builtins.bool
    is_complex: builtins.bool
    is_signed: builtins.bool

    def __init__(self, name: str, memory: str, category: builtins.int, code: str):
        self.name, self.numpy, self.category, self.code = name, np.dtype(memory), category, code
        self.itemsize = self.numpy.itemsize
        self.kernel = np.dtype("u2") if name == "float16" else self.numpy  # what kernels are given
        self.is_floating_point, self.is_complex = category == FLOAT, category == COMPLEX
        self.is_signed = name != "bool" and not name.startswith("uint")
        self._others: dict = {}

    def __repr__(self) -> str:
        return "torch." + self.name

    def __reduce__(self):
        return self.name

    def to_real(self) -> dtype:
        """The floating type of a complex type's parts."""
        return {complex32: float16, complex64: float32, complex128: float64}.get(self, self)

    def to_complex(self) -> dtype:
        """The complex type whose parts have this type."""
        if self.category < FLOAT:
            raise RuntimeError(f"Unknown Complex ScalarType for {TITLES[self.name]}")
        return {float16: complex32, complex32: complex32, float64: complex128,
                complex128: complex128}.get(self, complex64)


BOOL, INT, FLOAT, COMPLEX = range(4)

bool = dtype("bool", "?", BOOL, "b1")
uint8 = dtype("uint8", "u1", INT, "u8")
uint16 = dtype("uint16", "u2", INT, "u16")
uint32 = dtype("uint32", "u4", INT, "u32")
uint64 = dtype("uint64", "u8", INT, "u64")
int8 = dtype("int8", "i1", INT, "i8")
int16 = dtype("int16", "i2", INT, "i16")
int32 = dtype("int32", "i4", INT, "i32")
int64 = dtype("int64", "i8", INT, "i64")
float16 = dtype("float16", "f2", FLOAT, "f16")
bfloat16 = dtype("bfloat16", "u2", FLOAT, "bf16")
float32 = dtype("float32", "f4", FLOAT, "f32")
float64 = dtype("float64", "f8", FLOAT, "f64")
complex64 = dtype("complex64", "c8", COMPLEX, "c64")
complex128 = dtype("complex128", "c16", COMPLEX, "c128")
complex32 = dtype("complex32", "u4", COMPLEX, "c32")  # two float16, the real part in the low bits

half, float, double = float16, float32, float64
short, int, long = int16, int32, int64
chalf, cfloat, cdouble = complex32, complex64, complex128
ALL = (bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64, complex64, complex128,
       uint16, uint32, uint64, complex32)
UNSIGNED = (uint16, uint32, uint64)  # stored, converted and computed with; PyTorch has few operations on them
ALIASES = {"half": half, "float": float, "double": double, "short": short, "int": int, "long": long,
           "chalf": chalf, "cfloat": cfloat, "cdouble": cdouble}
TITLES = {"bool": "Bool", "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long",
          "float16": "Half", "bfloat16": "BFloat16", "float32": "Float", "float64": "Double",
          "complex64": "ComplexFloat", "complex128": "ComplexDouble", "uint16": "UInt16", "uint32": "UInt32",
          "uint64": "UInt64", "complex32": "ComplexHalf"}
by_name: dict[str, dtype] = {d.name: d for d in ALL}
by_numpy: dict[np.dtype, dtype] = {d.numpy: d for d in ALL if d is not bfloat16 and d is not complex32}

# Python's number types as dtypes: torch.zeros(2, dtype=float) is float64, whatever the default.
PYTHON = {builtins.bool: bool, builtins.int: int64, builtins.float: float64, complex: complex128}

_default = float32


def get_default_dtype() -> dtype:
    """The floating type of Python floats that become tensors."""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Make `d` the floating type of Python floats that become tensors. TypeError for other types."""
    global _default
    if not isinstance(d, dtype):
        raise TypeError("invalid dtype object: only floating-point types are supported as the default type")
    if not d.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    _default = d


def default_complex() -> dtype:
    return _default.to_complex()


def of_scalar(value) -> dtype:
    """The dtype of a Python number in a tensor of its own: bool, int64, the default float or complex type."""
    if isinstance(value, (builtins.bool, np.bool_)):
        return bool
    if isinstance(value, (builtins.int, np.integer)):
        return int64
    if isinstance(value, (builtins.float, np.floating)):
        return _default
    return default_complex()


_ORDER = {d: i for i, d in enumerate(d for d in ALL if not d.is_complex and d not in UNSIGNED)}
_SIGNED = {1: int8, 2: int16, 4: int32, 8: int64}


def _unsigned(a: dtype, b: dtype) -> dtype:
    """Promotion with uint16, uint32 or uint64 by the array API standard, where PyTorch knows floats only.

    RuntimeError for uint64 and a signed type: no integer type holds both."""
    if a.category != INT or b.category != INT:
        return a if a.category > b.category else b
    if a.is_signed == b.is_signed:
        return a if a.itemsize > b.itemsize else b
    signed, other = (a, b) if a.is_signed else (b, a)
    if other is uint64:
        raise RuntimeError("Promotion for uint16, uint32, uint64 types is not supported, attempted to "
                           f"promote {TITLES[a.name]} and {TITLES[b.name]}")
    return _SIGNED[max(signed.itemsize, 2 * other.itemsize)]


def _promote(a: dtype, b: dtype) -> dtype:
    if a is b:
        return a
    if a in UNSIGNED or b in UNSIGNED:
        return _unsigned(a, b)
    if a.is_complex or b.is_complex:
        wide = promote_types(a.to_real(), b.to_real())
        return wide.to_complex() if wide.is_floating_point else (a if a.is_complex else b)
    if _ORDER[a] > _ORDER[b]:
        a, b = b, a
    if a is uint8 and b is int8:
        return int16
    if a is float16 and b is bfloat16:
        return float32
    return b


def promote_types(a: dtype, b: dtype) -> dtype:
    """The smallest type that both `a` and `b` convert to, by PyTorch's lattice."""
    if not isinstance(a, dtype) or not isinstance(b, dtype):
        a, b = PYTHON.get(a, a), PYTHON.get(b, b)
        for i, d in enumerate((a, b)):
            if not isinstance(d, dtype):
                raise TypeError(f"promote_types(): argument 'type{i + 1}' (position {i + 1}) must be "
                                f"torch.dtype, not {type(d).__name__}")
    found = a._others.get(b)
    if found is None:
        found = a._others[b] = _promote(a, b)
    return found


def join(dim_tensor: dtype | None, zero_dim: dtype | None, number: dtype | None) -> dtype:
    """PyTorch's result type of operands of three ranks: tensors with dimensions, 0-d tensors, Python numbers.

    A lower rank changes the type only if its category (bool, integer, float, complex) is higher."""
    out = dim_tensor
    for other in (zero_dim, number):
        if other is None:
            continue
        if out is None:
            out = other
        elif other.category > out.category:
            out = out.to_complex() if other.is_complex and out.is_floating_point else (
                other if other.is_complex or not out.is_floating_point else out)
    assert out is not None
    return out


def result_type(*operands) -> dtype:
    """The type an arithmetic operation on these tensors and Python numbers gives."""
    ranks: list[dtype | None] = [None, None, None]
    for x in operands:
        if hasattr(x, "layout"):
            rank, d = (0 if x.layout.shape else 1), x.dtype
        else:
            rank, d = 2, of_scalar(x)
        before = ranks[rank]
        ranks[rank] = d if before is None else promote_types(before, d)
    return join(*ranks)


def halves(bits: np.ndarray) -> np.ndarray:
    """complex32 memory as complex64 numbers."""
    pairs = np.ascontiguousarray(bits).view(np.float16).astype(np.float32)
    return pairs.view(np.complex64).reshape(bits.shape)


def packed(numbers) -> np.ndarray:
    """Complex numbers as complex32 memory, each part rounded to float16."""
    numbers = np.asarray(numbers, np.complex64)
    with np.errstate(over="ignore"):
        pairs = np.ascontiguousarray(numbers).view(np.float32).astype(np.float16)
    return pairs.view(np.uint32).reshape(numbers.shape)


def can_cast(from_: dtype, to: dtype) -> builtins.bool:
    """Whether in-place results of type `from_` may be written to `to`: its category is not lower."""
    for i, d in enumerate((from_, to)):
        if not isinstance(d, dtype):
            raise TypeError(f"can_cast(): argument '{('from_', 'to')[i]}' (position {i + 1}) must be "
                            f"torch.dtype, not {title(d)}")
    return from_.category <= to.category


def title(value) -> str:
    """The name of a value's type."""
    return builtins.type(value).__name__


class _Limits:
    """Equal where the types are."""

    dtype: str

    def __eq__(self, other) -> builtins.bool:
        return builtins.type(self) is builtins.type(other) and self.dtype == other.dtype

    def __hash__(self) -> builtins.int:
        return hash(self.dtype)


class finfo(_Limits):
    """Limits of a floating type: bits, eps, max, min, tiny, smallest_normal, resolution."""

    def __init__(self, type: dtype | None = None):
        d = PYTHON.get(type, type) if type is not None else _default  # type: ignore[call-overload]
        if not isinstance(d, dtype):
            raise TypeError(f"finfo(): argument 'type' (position 1) must be torch.dtype, not {title(type)}")
        if not (d.is_floating_point or d.is_complex):
            raise TypeError("torch.finfo() requires a floating point input type. Use torch.iinfo to handle "
                            "'torch.finfo'")
        d = d.to_real()
        self.dtype, self.bits = d.name, d.itemsize * 8
        if d is bfloat16:
            self.eps, self.max, self.tiny, self.resolution = 2.0**-7, 3.3895313892515355e38, 2.0**-126, 0.01
        else:
            f = np.finfo(d.numpy)
            self.eps, self.max, self.tiny = (builtins.float(limit) for limit in (f.eps, f.max, f.tiny))
            self.resolution = 10.0 ** -f.precision
        self.min, self.smallest_normal = -self.max, self.tiny

    def __repr__(self) -> str:
        return (f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
                f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
                f"dtype={self.dtype})")


class iinfo(_Limits):
    """Limits of an integer type: bits, min, max."""

    def __init__(self, type: dtype | None = None):
        if type is None:
            raise TypeError('iinfo() missing 1 required positional arguments: "type"')
        type = PYTHON.get(type, type)  # type: ignore[call-overload]
        if not isinstance(type, dtype):
            raise TypeError(f"iinfo(): argument 'type' (position 1) must be torch.dtype, not {title(type)}")
        if type is bool:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        if type.category != INT:
            raise TypeError("torch.iinfo() requires an integer input type. Use torch.finfo to handle "
                            "'torch.iinfo'")
        i = np.iinfo(type.numpy)
        self.dtype, self.bits = type.name, i.bits
        self.min, self.max = builtins.int(i.min), builtins.int(i.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
