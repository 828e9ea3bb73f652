"""Creation: tensor, zeros, ones, full, empty, arange, linspace, eye and their _like and new_ forms."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import devices
from .. import dtypes as D
from .. import layouts as L
from ..autograd.modes import state
from ..dispatch import NUMBERS, TITLES, fresh
from ..kinds.batching import Batched, lanes
from ..layouts import Layout
from ..memory_format import memory_format as Format
from ..memory_format import preserve_format, strided
from ..tensor import Tensor, ndarray_of, tensor_from


def sizes_of(size: tuple, name: str) -> tuple[int, ...]:
    """Sizes given loose or as one sequence. RuntimeError for negative ones, TypeError for non-integers."""
    if len(size) == 1 and isinstance(size[0], tuple | list | L.Size):
        size = tuple(size[0])
    out = []
    for i, n in enumerate(size):
        if not isinstance(n, int):
            if isinstance(n, float) or not hasattr(n, "__index__"):
                raise TypeError(f"{name}(): argument 'size' failed to unpack the object at pos {i + 1} with "
                                "error \"type must be tuple of ints,but got "
                                f"{type(n).__name__}\"" if i or len(size) > 1 else
                                f"{name}(): argument 'size' (position 1) must be tuple of ints, not "
                                f"{type(n).__name__}")
            n = n.__index__()
        if n < 0:
            if name == "zeros":
                raise RuntimeError(f"zeros: Dimension size must be non-negative.\n  size={list(size)}")
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: {list(size)}")
        out.append(+n)
    return tuple(out)


def finish(t: Tensor, requires_grad: bool) -> Tensor:
    if requires_grad and t.dtype.category < D.FLOAT:
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients\n  "
                           f"dtype={t.dtype}")
    return t.requires_grad_() if requires_grad else t


def check_dtype(name: str, dtype) -> D.dtype | None:
    """The dtype; float64 for Python's float and so on. TypeError for anything else but None."""
    if dtype is not None and not isinstance(dtype, D.dtype):
        if dtype in D.PYTHON:
            return D.PYTHON[dtype]
        raise TypeError(f"{name}(): argument 'dtype' must be torch.dtype, not {type(dtype).__name__}")
    return dtype


def filled(shape, value, dtype: D.dtype, device: devices.device, layout: Layout | None = None) -> Tensor:
    """A new tensor with every element `value`."""
    t = fresh(layout or L.contiguous(shape), dtype, device)
    if state.lazy is not None and device is devices.cpu:
        state.lazy.fill(t, value)
    elif device is devices.cpu:
        t.storage.array.fill(bits_of(value, dtype))
    elif device is not devices.meta:
        from .convert import move
        from .view import expand
        one = fresh(L.contiguous(()), dtype, devices.cpu)
        one.storage.array.fill(bits_of(value, dtype))
        where = fresh(L.contiguous(()), dtype, device)
        move(where, one)
        move(t, expand(where, tuple(shape)))
    return t


def bits_of(value, dtype: D.dtype):
    """A number as the memory type holds it (the bits of bfloat16 and complex32)."""
    if dtype is D.bfloat16:
        from ..kernels.jit import bf16_store
        return bf16_store(np.float32(value))
    if dtype is D.complex32:
        return D.packed(value)[()]
    if dtype.category == D.INT and isinstance(value, float):
        return int(value)
    if dtype.category == D.INT and isinstance(value, int):
        span = 1 << (8 * dtype.itemsize)
        value %= span
        return value - span if dtype.is_signed and value >= span // 2 else value
    if dtype.category == D.BOOL:
        return bool(value)
    return value


def _out(out: Tensor, t: Tensor) -> Tensor:
    from ..dispatch import into
    return into(out, t)


def _maker(name: str, value, doc: str):
    def make(*size, out=None, dtype=None, layout=strided, device=None, pin_memory=False, requires_grad=False,
             names=None, memory_format=None, **kwargs):
        if "size" in kwargs:
            size = (kwargs.pop("size"),)
        if kwargs:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(kwargs))}'")
        shape = sizes_of(size, name)
        if out is not None:
            out.resize_(shape)
            return out if value is None else out.fill_(value)
        dtype = check_dtype(name, dtype)
        d = D._default if dtype is None else dtype
        where = devices._defaults[-1] if device is None else devices.placed(device)
        lay = L.contiguous(shape)
        if memory_format is not None:
            if value is not None:
                raise TypeError(f"{name}() got an unexpected keyword argument 'memory_format'")
            if memory_format is preserve_format:
                raise RuntimeError("unsupported memory format Preserve")
            from .convert import formatted
            lay = formatted(lay, memory_format)
        t = fresh(lay, d, where) if value is None else filled(shape, value, d, where, lay)
        return finish(t, True) if requires_grad else t
    make.__name__, make.__doc__ = name, doc
    return make


zeros = _maker("zeros", 0, "A tensor of zeros.")
ones = _maker("ones", 1, "A tensor of ones.")
empty = _maker("empty", None, "A tensor with uninitialised memory.")


def full(size, fill_value, *, out=None, dtype=None, layout=strided, device=None, pin_memory=False,
         requires_grad=False, names=None) -> Tensor:
    """A tensor with every element `fill_value`, whose type decides the dtype where none is given."""
    shape = sizes_of((size,) if isinstance(size, tuple | list) else (size,), "full")
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    if not isinstance(fill_value, NUMBERS):
        raise TypeError("full(): argument 'fill_value' (position 2) must be Number, not "
                        f"{type(fill_value).__name__}")
    dtype = check_dtype("full", dtype)
    d = D.of_scalar(fill_value) if dtype is None else dtype
    t = filled(shape, fill_value, d, devices.placed(device))
    return finish(t, requires_grad) if out is None else _out(out, t)


def _like(name: str, value, doc: str):
    def make(input, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False,
             memory_format: Format = preserve_format):
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not "
                            f"{type(input).__name__}")
        dtype = check_dtype(name, dtype)
        if type(input) is Batched:
            return lanes(make(input.value, dtype=dtype, device=device), input.level, input.mapped)
        d = input.dtype if dtype is None else dtype
        where = input.storage.device if device is None else devices.placed(device)
        if memory_format is preserve_format or memory_format is None:
            lay = L.like(input.layout)
        else:
            from .convert import formatted
            lay = formatted(input.layout, memory_format)
        t = fresh(lay, d, where) if value is None else filled(input.layout.shape, value, d, where, lay)
        return finish(t, requires_grad)
    make.__name__, make.__doc__ = name, doc
    return make


zeros_like = _like("zeros_like", 0, "Zeros with the shape, dtype, device and memory order of input.")
ones_like = _like("ones_like", 1, "Ones with the shape, dtype, device and memory order of input.")
empty_like = _like("empty_like", None, "Uninitialised memory with the shape, dtype, device and memory order "
                                       "of input.")


def full_like(input, fill_value, *, dtype=None, layout=None, device=None, pin_memory=False,
              requires_grad=False, memory_format: Format = preserve_format) -> Tensor:
    """Every element `fill_value`, with the shape, dtype, device and memory order of input."""
    t = empty_like(input, dtype=dtype, device=device, memory_format=memory_format)
    t.fill_(fill_value)
    return finish(t, requires_grad)


def empty_strided(size, stride, *, dtype=None, layout=strided, device=None, pin_memory=False,
                  requires_grad=False) -> Tensor:
    """Uninitialised memory with the given sizes and strides."""
    size, stride = tuple(size), tuple(stride)
    if len(size) != len(stride):
        raise RuntimeError(f"dimensionality of sizes ({len(size)}) must match dimensionality of strides "
                           f"({len(stride)})")
    lay = L.contiguous(size).at(size, stride, 0)
    d, where = check_dtype("empty_strided", dtype) or D._default, devices.placed(device)
    t = fresh(L.contiguous((lay.span(),)), d, where)
    t.layout = Layout(lay.shape, lay.strides, 0) if where is not devices.cpu else lay
    return finish(t, requires_grad)


def empty_permuted(size, physical_layout, *, dtype=None, layout=strided, device=None, pin_memory=False,
                   requires_grad=False) -> Tensor:
    """Uninitialised memory whose dimensions lie in memory in the order `physical_layout`."""
    if sorted(physical_layout) != list(range(len(size))):
        raise RuntimeError("Number of dimensions in size does not match the length of the physical_layout; "
                           f"i.e. len(size) = {len(size)} is not equal to len(physical_layout) = "
                           f"{len(physical_layout)}"
                           if len(size) != len(physical_layout) else "Duplicate dim not allowed")
    d = check_dtype("empty_permuted", dtype) or D._default
    t = fresh(L.permuted(tuple(size), list(physical_layout)), d, devices.placed(device))
    return finish(t, requires_grad)


def _new(name: str, value):
    def make(self, *size, dtype=None, device=None, requires_grad=False, layout=strided, pin_memory=False,
             **kwargs):
        if "size" in kwargs:
            size = (kwargs.pop("size"),)
        shape = sizes_of(size, name)
        if type(self) is Batched:
            size = (*self.value.layout.shape[:1], *shape) if self.mapped else shape
            return lanes(make(self.value, size, dtype=dtype, device=device), self.level, self.mapped)
        d = check_dtype(name, dtype) or self.dtype
        where = self.storage.device if device is None else devices.placed(device)
        t = fresh(L.contiguous(shape), d, where) if value is None else filled(shape, value, d, where)
        return finish(t, requires_grad)
    make.__name__ = name
    make.__doc__ = "A new tensor with this one's dtype and device."
    return make


def new_full(self, size, fill_value, *, dtype=None, device=None, requires_grad=False, layout=strided,
             pin_memory=False):
    """A new tensor with this one's dtype and device, every element `fill_value`."""
    return full(size, fill_value, dtype=dtype or self.dtype, device=device or self.storage.device,
                requires_grad=requires_grad)


def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
    """A new tensor of `data` with this one's dtype and device."""
    return tensor(data, dtype=dtype or self.dtype, device=device or self.storage.device,
                  requires_grad=requires_grad)


def new(self, *args, device=None):
    """A new tensor with this one's dtype: of sizes (uninitialised), of a sequence, or on a tensor's memory
    (older spelling)."""
    from ..legacy import construct
    return construct(args, self.dtype, device or self.storage.device)


def new_empty_strided(self, size, stride, *, dtype=None, device=None, requires_grad=False, layout=strided,
                      pin_memory=False):
    """Uninitialised memory with the given strides and this tensor's dtype and device."""
    return empty_strided(size, stride, dtype=dtype or self.dtype, device=device or self.storage.device,
                         requires_grad=requires_grad)


METHODS = {"new_zeros": _new("new_zeros", 0), "new_ones": _new("new_ones", 1),
           "new_empty": _new("new_empty", None), "new": new, "new_full": new_full, "new_tensor": new_tensor,
           "new_empty_strided": new_empty_strided}


def _scan(data, shape: list, depth: int, flat: list) -> None:
    """Flatten nested sequences of numbers and 0-d tensors, checking that they are rectangular."""
    if isinstance(data, list | tuple | range) or (
            hasattr(data, "__len__") and hasattr(data, "__getitem__")
            and not isinstance(data, Tensor | np.ndarray | np.generic | str | dict)):
        if depth == len(shape):
            shape.append(len(data))
        elif len(data) != shape[depth]:
            raise ValueError(f"expected sequence of length {shape[depth]} at dim {depth} (got {len(data)})")
        for d in data:
            _scan(d, shape, depth + 1, flat)
    elif isinstance(data, Tensor | np.ndarray) and data.ndim:
        a = ndarray_of(data.detach()) if isinstance(data, Tensor) else data
        for i in range(data.ndim):
            if depth + i == len(shape):
                shape.append(a.shape[i])
            elif a.shape[i] != shape[depth + i]:
                raise ValueError(f"expected sequence of length {shape[depth + i]} at dim {depth + i} (got "
                                 f"{a.shape[i]})")
        flat.extend(a.reshape(-1).tolist())
    else:
        if depth != len(shape):
            if flat or depth < len(shape):
                raise TypeError(f"expected Tensor as element {len(flat)} in argument 0, but got "
                                f"{type(data).__name__}"
                                if not isinstance(data, int | float | complex) else
                                f"only length-{len(shape)} sequences nest here: a number stands at dim "
                                f"{depth}")
        flat.append(data)


def _array(data, dtype: D.dtype | None) -> tuple[np.ndarray, D.dtype]:
    """`data` as an ndarray in the memory type of the dtype it gets."""
    if isinstance(data, np.ndarray | np.generic):
        a = np.asarray(data)
        if a.dtype not in D.by_numpy:
            if a.dtype.newbyteorder("=") in D.by_numpy and a.dtype.byteorder not in "=|":
                raise ValueError("given numpy array has byte order different from the native byte order. "
                                 "Conversion between byte orders is currently not supported.")
            if a.dtype.kind not in "biufc":
                tensor_from(np.empty(1, a.dtype))  # raises PyTorch's TypeError
        d = D.by_numpy[a.dtype] if dtype is None else dtype
    else:
        shape: list = []
        flat: list = []
        _scan(data, shape, 0, flat)
        if state.lazy is not None:
            flat = state.lazy.fixed(flat)
        kinds: set[type] = set()
        typed: D.dtype | None = None  # NumPy scalars bring their types
        for i, v in enumerate(flat):
            if isinstance(v, Tensor | np.generic):
                if isinstance(v, np.generic) and dtype is None and v.dtype in D.by_numpy:
                    found = D.by_numpy[v.dtype]
                    typed = found if typed is None else D.promote_types(typed, found)
                flat[i] = v = v.item()
            kinds.add(v.__class__)
        for k in kinds:
            if not issubclass(k, int | float | complex):
                name = k.__name__
                if name == "str":
                    raise TypeError("new(): invalid data type 'str'")
                raise RuntimeError(f"Could not infer dtype of {name}")
        if dtype is not None:
            d = dtype
        elif any(issubclass(k, complex) for k in kinds):
            d = D.default_complex()
        elif any(issubclass(k, float) for k in kinds) or not kinds:
            d = D._default
        elif int in kinds:
            d = D.int64
        else:
            d = D.bool
        if typed is not None and dtype is None:
            d = typed if d.category <= typed.category else D.promote_types(typed, d)
        wide = np.dtype({D.BOOL: "?", D.INT: "i8", D.FLOAT: "f8", D.COMPLEX: "c16"}[d.category])
        if d is D.uint64:
            wide = d.numpy
        try:
            if d.category == D.INT and float in kinds:
                flat = [int(v) for v in flat]
            a = np.array(flat, dtype=wide).reshape(shape)
        except OverflowError as e:
            integer = "int" in str(e).lower()
            raise ValueError("Overflow when unpacking long long" if integer else str(e)) from None
        except TypeError as e:
            if complex in kinds:
                raise TypeError("must be real number, not complex") from None
            raise TypeError(f"tensor(): {e}") from None
    if d is D.bfloat16:
        u = np.ascontiguousarray(a, np.float32).view(np.uint32)
        near = (u + 0x7FFF + ((u >> 16) & 1)) >> 16
        halves = np.where(np.isnan(u.view(np.float32)), (u >> 16) | 0x40, near)
        return halves.astype(np.uint16).reshape(a.shape), d
    if d is D.complex32:
        return D.packed(a), d
    with np.errstate(all="ignore"):
        if d.category < D.COMPLEX and a.dtype.kind == "c":
            raise RuntimeError(f"value cannot be converted to type {d.name} without overflow")
        return np.array(a, dtype=d.numpy, order="C", copy=True), d


def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False, names=None) -> Tensor:
    """A tensor of copied `data`: nested sequences of numbers, an ndarray, a number, a tensor (with a
    warning)."""
    if isinstance(data, Tensor):
        import warnings
        warnings.warn("To copy construct from a tensor, it is recommended to use "
                      "sourceTensor.detach().clone() or sourceTensor.detach().clone().requires_grad_(True), "
                      "rather than torch.tensor(sourceTensor).",
                      stacklevel=2)
        from ..overrides import DisableTorchFunctionSubclass
        with DisableTorchFunctionSubclass():  # a plain tensor also of a subclass's
            t = data.detach().clone() if dtype is None else data.detach().to(dtype, copy=True)
        if device is None and devices._defaults[-1] is not devices.cpu:
            device = devices._defaults[-1]
        t = t if device is None else t.to(device)
        return finish(t, requires_grad)
    dtype = check_dtype("tensor", dtype)
    kind = data.__class__
    if (kind is float or kind is int) and type(data) is not kind:  # a number that a trace follows
        return full((), data, dtype=dtype or (D._default if kind is float else D.int64), device=device,
                    requires_grad=requires_grad)
    a, d = _array(data, dtype)
    t = tensor_from(a, d)
    where = devices.placed(device)
    if where is not devices.cpu:
        t = t.to(where)
    return finish(t, requires_grad)


def as_tensor(data, dtype=None, device=None) -> Tensor:
    """`data` as a tensor, without copying where its memory can be shared."""
    if isinstance(data, Tensor):
        return data.to(dtype=dtype or data.dtype, device=device or data.storage.device)
    if isinstance(data, np.ndarray) and data.dtype in D.by_numpy:
        t = tensor_from(data)
        return t.to(dtype=dtype or t.dtype, device=devices.placed(device))
    return tensor(data, dtype=dtype, device=device)


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False) -> Tensor:
    """`obj` as a tensor: a tensor, ndarray, DLPack exporter or buffer shares its memory unless `copy` or a
    conversion asks otherwise; ValueError where `copy` is False and it cannot."""
    dtype = check_dtype("asarray", dtype)
    shared: Tensor | None = None
    if isinstance(obj, Tensor):
        shared = obj
    elif isinstance(obj, np.ndarray | np.generic):
        shared = from_numpy(obj) if isinstance(obj, np.ndarray) else tensor_from(np.asarray(obj))
    elif hasattr(obj, "__dlpack__"):
        shared = from_dlpack(obj)
    elif isinstance(obj, bytes | bytearray | memoryview):
        shared = frombuffer(obj, dtype=dtype or D._default)
    if shared is None:
        if copy is False:
            raise ValueError("can't alias arbitrary sequence into a tensor.")
        return tensor(obj, dtype=dtype, device=device, requires_grad=requires_grad)
    where = shared.storage.device if device is None else devices.placed(device)
    if copy is False and where is not shared.storage.device:
        raise ValueError(f"can't alias tensor from device '{shared.storage.device}' to '{where}'.")
    if copy is False and dtype is not None and dtype is not shared.dtype:
        raise ValueError(f"can't alias tensor with dtype '{D.TITLES[shared.dtype.name]}' into dtype "
                         f"'{D.TITLES[dtype.name]}'.")
    t = shared.to(dtype=dtype, device=where)
    if copy and t is shared:
        t = shared.clone()
    if requires_grad:
        return finish(t.detach() if t is shared or t.requires_grad else t, True)
    return t.detach() if t.requires_grad and not t.is_leaf else t


def from_numpy(ndarray) -> Tensor:
    """A tensor that shares the memory of `ndarray`."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    if not ndarray.flags.writeable:
        import warnings
        warnings.warn("The given NumPy array is not writable, and PyTorch does not support non-writable "
                      "tensors. This means writing to this tensor will result in undefined behavior. You may "
                      "want to copy the array to protect its data or make it writable before converting it "
                      "to a tensor. This type of warning will be suppressed for the rest of this program.",
                      stacklevel=2)
    return tensor_from(ndarray)


def from_dlpack(ext, *, device=None, copy=None) -> Tensor:
    """A tensor on the memory of any object with `__dlpack__` (or of a DLPack capsule)."""
    t = tensor_from(np.from_dlpack(ext if hasattr(ext, "__dlpack__") else _Capsule(ext)))
    if copy:
        t = t.clone()
    return t if device is None else t.to(device)


class _Capsule:
    """A bare DLPack capsule of CPU memory as the object that NumPy asks for."""

    def __init__(self, capsule):
        self.capsule = capsule

    def __dlpack__(self, **kwargs):
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def to_dlpack(tensor):
    """A DLPack capsule on the tensor's memory."""
    return tensor.__dlpack__(max_version=(1, 0))


def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False) -> Tensor:
    """A 1-d tensor on the memory of an object with the buffer protocol; `offset` in bytes."""
    dtype = check_dtype("frombuffer", dtype)
    have = memoryview(buffer).nbytes
    if count == 0 or have == 0:
        raise ValueError(f"both buffer length ({have}) and count ({count}) must not be 0")
    if not 0 <= offset < have:
        raise ValueError(f"offset ({offset} bytes) must be non-negative and no greater than buffer length "
                         f"({have} bytes) minus 1")
    if count < 0 and (have - offset) % dtype.itemsize:
        raise ValueError(f"buffer length ({have - offset} bytes) after offset ({offset} bytes) must be a "
                         f"multiple of element size ({dtype.itemsize})")
    if count > 0 and offset + count * dtype.itemsize > have:
        raise ValueError(f"requested buffer length ({count} * {dtype.itemsize} bytes) after offset ({offset} "
                         f"bytes) must not be greater than actual buffer length ({have} bytes)")
    a = np.frombuffer(buffer, dtype.numpy, count, offset)
    return finish(tensor_from(a, dtype), requires_grad)


def scalar_tensor(s, *, dtype=None, device=None, requires_grad=False, layout=strided,
                  pin_memory=False) -> Tensor:
    """A 0-d tensor of a number, of the default floating type unless told otherwise."""
    d = check_dtype("scalar_tensor", dtype) or D._default
    return finish(filled((), s, d, devices.placed(device)), requires_grad)


def _number(v):
    return v.item() if isinstance(v, Tensor | np.generic) else v


def arange(start=0, end=None, step=1, *, out=None, dtype=None, layout=strided, device=None, pin_memory=False,
           requires_grad=False) -> Tensor:
    """start, start + step, … below `end`: ceil((end − start) / step) numbers."""
    if end is None:
        start, end = 0, start
    start, end, step = _number(start), _number(end), _number(step)
    dtype = check_dtype("arange", dtype)
    if dtype is None:
        dtype = D.int64 if all(isinstance(v, int) for v in (start, end, step)) else D._default
    if dtype is D.int64:
        start, end, step = [v if isinstance(v, int) else int(v) for v in (start, end, step)]
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not all(isinstance(v, int) or math.isfinite(v) for v in (start, end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    n = math.ceil((end - start) / step) if not all(isinstance(v, int) for v in (start, end, step)) else \
        -((start - end) // step) if step > 0 else -((end - start) // -step)
    if state.lazy is not None and (ramp := state.lazy.ramp(start, step, n, dtype)) is not None:
        t = ramp if device is None else ramp.to(devices.placed(device))
        return finish(t, requires_grad) if out is None else _out(out, t)
    if dtype.category == D.INT:
        start, step = int(start), int(step)
        a = np.arange(n, dtype=np.int64) * step + start
    else:
        a = np.arange(n, dtype=np.float64) * step + start
    t = tensor(a, dtype=dtype, device=device)
    return finish(t, requires_grad) if out is None else _out(out, t)


def range_(start=0, end=None, step=1, *, out=None, dtype=None, device=None, requires_grad=False,
           layout=strided, pin_memory=False) -> Tensor:
    """start … end inclusive (deprecated: arange)."""
    if end is None:
        start, end = 0, start
    n = int(math.floor((end - start) / step)) + 1
    t = tensor(np.arange(n) * step + start, dtype=dtype or D._default, device=device)
    return finish(t, requires_grad) if out is None else _out(out, t)


def linspace(start, end, steps, *, out=None, dtype=None, layout=strided, device=None, pin_memory=False,
             requires_grad=False) -> Tensor:
    """`steps` numbers from start to end, both included, evenly spaced."""
    if isinstance(steps, float):
        raise TypeError(f"linspace(): argument 'steps' must be int, not {type(steps).__name__}")
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    start, end = _number(start), _number(end)
    complex_ends = isinstance(start, complex) or isinstance(end, complex)
    d = check_dtype("linspace", dtype) or (D.default_complex() if complex_ends else D._default)
    i = np.arange(steps)
    if d.category == D.INT:
        # The ends as integers, the rest in float32.
        start, end, k = int(start), int(end), i.astype(np.float32)
        gap = np.float32(end - start) / np.float32(max(steps - 1, 1))
        up, down = np.float32(start) + gap * k, np.float32(end) - gap * (steps - 1 - k)
        a = np.where(i < steps // 2, up, down).astype(np.int64)
    else:
        real = np.dtype("f4") if d.to_real() is D.float32 else np.dtype("f8")
        kind = real if not d.is_complex else np.result_type(real, np.complex64)
        one = kind.type
        step = (one(end) - one(start)) / one(max(steps - 1, 1))
        half = steps // 2
        j = i.astype(real)
        # From the nearer end, so that both ends are exact; one fused multiply-add, as PyTorch's vector code
        # does.
        wide = np.complex128 if d.is_complex else np.float64
        a = np.where(i < half, wide(one(start)) + wide(step) * j.astype(wide),
                     wide(one(end)) - wide(step) * (steps - 1 - i)).astype(kind)
    if steps == 1:
        a = np.full(1, start)
    t = tensor(a, dtype=d, device=device)
    return finish(t, requires_grad) if out is None else _out(out, t)


def logspace(start, end, steps, base=10.0, *, out=None, dtype=None, layout=strided, device=None,
             pin_memory=False, requires_grad=False) -> Tensor:
    """base raised to `steps` evenly spaced exponents from start to end."""
    d = check_dtype("logspace", dtype) or D._default
    start, end = _number(start), _number(end)
    if d.category < D.FLOAT:
        start, end = int(start), int(end)
    e = ndarray_of(linspace(start, end, steps,
                            dtype=D.float64 if d.category < D.FLOAT else d))
    with np.errstate(all="ignore"):
        t = tensor(np.power(np.asarray(base, e.dtype if e.dtype.kind != "c" else None), e), dtype=d,
                   device=device)
    return finish(t, requires_grad) if out is None else _out(out, t)


def eye(n, m=None, *, out=None, dtype=None, layout=strided, device=None, pin_memory=False,
        requires_grad=False) -> Tensor:
    """The n × m matrix with ones on its diagonal."""
    m = n if m is None else m
    for v, word in ((n, "n"), (m, "m")):
        if v < 0:
            raise RuntimeError(f"{word} must be greater or equal to 0, got {v}")
    t = tensor(np.eye(n, m, dtype=np.float32), dtype=check_dtype("eye", dtype) or D._default, device=device)
    return finish(t, requires_grad) if out is None else _out(out, t)


def complex_(real, imag, *, out=None) -> Tensor:
    """real + i · imag."""
    for name, v in (("real", real), ("imag", imag)):
        if not isinstance(v, Tensor):
            raise TypeError(f"complex(): argument '{name}' must be Tensor, not {type(v).__name__}")
    if real.dtype is not imag.dtype:
        raise RuntimeError(f"Expected object of scalar type {TITLES[real.dtype.name]} but got scalar type "
                           f"{TITLES[imag.dtype.name]} for second argument")
    from .join import stack
    from .view import broadcast_tensors, view_as_complex
    t = view_as_complex(stack(broadcast_tensors(real, imag), -1))
    layout = L.elementwise([real.layout, imag.layout], tuple(t.layout.shape))
    if layout.strides != t.layout.strides:
        from .convert import copied_to
        t = copied_to(t, layout)
    if out is not None and out.dtype is not t.dtype:
        raise RuntimeError(f"Expected object of scalar type {TITLES[t.dtype.name]} but got scalar type "
                           f"{TITLES[out.dtype.name]} for argument 'out'")
    return t if out is None else _out(out, t)


def polar(abs, angle, *, out=None) -> Tensor:
    """abs · e^(i · angle)."""
    for name, v in (("abs", abs), ("angle", angle)):
        if not isinstance(v, Tensor):
            raise TypeError(f"polar(): argument '{name}' must be Tensor, not {type(v).__name__}")
    t = complex_(abs * angle.cos(), abs * angle.sin())
    return t if out is None else _out(out, t)


FUNCTIONS: dict[str, Any] = {f.__name__: f for f in (
    zeros, ones, empty, full, zeros_like, ones_like, empty_like, full_like, empty_strided, empty_permuted,
    tensor, as_tensor, asarray, from_numpy, from_dlpack, frombuffer, scalar_tensor, arange, linspace,
    logspace, eye, polar)}
FUNCTIONS["to_dlpack"] = to_dlpack
FUNCTIONS["complex"], FUNCTIONS["range"] = complex_, range_
