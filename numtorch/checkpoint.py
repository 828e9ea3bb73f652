"""Read PyTorch's checkpoints: the zip archives of today and the files from before PyTorch 1.6.

`Load` has the rules by which a pickle's names rebuild tensors; each checks its arguments, and that a tensor
stays inside its storage. Where a storage comes from and on which device it ends is decided here too.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from . import dtypes
from .archive import ArchiveReader, fill
from .devices import cpu, device, meta
from .layouts import Layout, Size, contiguous
from .legacy import TypedStorage, UntypedStorage
from .storage import Storage
from .tensor import Tensor
from .unpickle import (
    Approved,
    Interpreter,
    Limits,
    Program,
    Rebuild,
    UnpicklingError,
    attributes,
    full_name,
    not_allowed,
    shown,
)

__all__ = ["Load", "Survey", "load_archive", "load_legacy", "whole"]

_TYPES = {
    "Float": "float32",
    "Double": "float64",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexHalf": "complex32",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}
STORAGE_OF = {name: kind + "Storage" for kind, name in _TYPES.items()}
LEGACY_MAGIC, LEGACY_VERSION = 0x1950A86A20F9469CFC6C, 1001
_NEWEST_FORMAT = 10


class _Kind:
    """`torch FloatStorage` and its like, as a pickle names them; no dtype for UntypedStorage (bytes)."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: dtypes.dtype | None):
        self.dtype = dtype


def load_archive(load: Load, archive: ArchiveReader, mapped: bool, own_limit: bool) -> Any:
    if "constants.pkl" in archive and "data.pkl" in archive:
        raise RuntimeError(
            "Cannot use ``weights_only=True`` with TorchScript archives passed to ``torch.load``. "
            "The file holds a program; read it with `torch.jit.load`."
        )
    if "version" in archive:
        text = archive.read("version").strip()
        if not text.isdigit() or len(text) > 9 or int(text) > _NEWEST_FORMAT:
            raise RuntimeError(
                f"Attempted to read a PyTorch file with version {shown(text)}, but the maximum supported "
                f"version for reading is {_NEWEST_FORMAT}. Your PyTorch installation may be too old."
            )
    order = archive.read("byteorder") if "byteorder" in archive else b"little"
    if order not in (b"little", b"big"):
        raise ValueError(f"Unknown endianness type: {shown(order)}")
    data = archive.read("data.pkl")
    if own_limit:
        load.limits.max_bytes = Limits.of(archive.size, min(len(data), archive.size)).max_bytes
    memory = _mapping(archive) if mapped else None

    def read(key: str, dtype: dtypes.dtype, count: int) -> Any:
        name = f"data/{key}"
        member = archive.member(name)
        if member.size != count * dtype.itemsize:
            raise UnpicklingError(f"{name} has {member.size} bytes for {count} elements of {dtype}")
        if load.meta:
            return None
        if memory is not None and member.method == 0 and member.start % dtype.itemsize == 0:
            raw = np.frombuffer(memory, np.uint8, member.size, member.start)
        else:
            raw = archive.read_array(name)
        return _native(raw, dtype, order.decode())

    load.read = read
    value, end = load.run(data)
    if end != len(data):
        raise UnpicklingError(f"{len(data) - end} bytes follow the pickle")
    return value


def _mapping(archive: ArchiveReader) -> Any:
    import mmap

    return mmap.mmap(archive.file.fileno(), 0, access=mmap.ACCESS_COPY)


def _native(raw: np.ndarray, dtype: dtypes.dtype, order: str) -> np.ndarray:
    """Bytes as elements, swapped if they were written on a machine of the other byte order."""
    if dtype is dtypes.bool:
        return raw != 0
    out = raw.view(dtype.numpy)
    return out if order == sys.byteorder else out.byteswap()


def load_legacy(load: Load, file: Any, size: int, own_limit: bool) -> Any:
    """The format before 1.6. Pickles of a magic number, a version, the sizes of C types, the object, and the
    keys of its storages; then for each storage an int64 count and the elements."""
    load.limits.charge(2 * size)
    raw = np.empty(size, np.uint8)
    base = file.tell()
    fill(file, raw)
    data = raw.tobytes()
    if data[257:262] == b"ustar":
        raise RuntimeError(
            "the file is a tar archive of PyTorch before 0.1.10, which is not read: load it with PyTorch and "
            "save it again"
        )
    if data[0] != 0x80:
        raise UnpicklingError(f"invalid load key, {chr(data[0])!r}.{_guess(data[:64])}")
    if own_limit:
        load.limits.max_bytes = Limits.of(size, size).max_bytes
    plain = Load(None, True, load.limits, {})
    magic, at = plain.run(data)
    if type(magic) is not int or magic != LEGACY_MAGIC:
        raise RuntimeError("Invalid magic number; corrupt file?")
    version, at = plain.run(data, at)
    if type(version) is not int or version != LEGACY_VERSION:
        raise RuntimeError(f"Invalid protocol version: {shown(version)}")
    system, at = plain.run(data, at)
    order = "big" if type(system) is dict and system.get("little_endian") is False else "little"
    survey = Survey(data, load.limits, load)
    survey.load(at)
    if load.weights_only and survey.found:
        raise not_allowed(next(iter(survey.found)))
    sizes: dict[str, tuple[dtypes.dtype, int]] = {}
    for pid in survey.pids:
        if not load.names_class(pid):
            kind, key, _, count, _ = _storage_id(pid)
            sizes[key] = kind.dtype or dtypes.uint8, count
    keys, end = plain.run(data, survey.pos)
    if type(keys) is not list or any(type(k) is not str for k in keys) or sorted(keys) != sorted(sizes):
        raise UnpicklingError("the list of storages is not that of the object's tensors")
    found: dict[str, np.ndarray] = {}
    for key in keys:
        dtype, count = sizes[key]
        start, end = end + 8, end + 8 + count * dtype.itemsize
        if end > size:
            raise RuntimeError(
                f"unexpected EOF, expected {end - size} more bytes. The file might be corrupted."
            )
        written = int.from_bytes(data[start - 8 : start], order, signed=True)  # type: ignore[arg-type]
        if written != count:
            raise UnpicklingError(
                f"storage {shown(key)} has {count} elements in one place, {written} in another"
            )
        found[key] = _native(raw[start:end].copy(), dtype, order)

    def read(key: str, dtype: dtypes.dtype, count: int) -> np.ndarray:
        array = found[key]
        if array.nbytes != count * dtype.itemsize:
            raise UnpicklingError(
                f"storage {shown(key)} has {array.nbytes} bytes for {count} elements of {dtype}"
            )
        return array

    load.read = read
    value, _ = load.run(data, at)
    file.seek(base + end)
    return value


def _guess(head: bytes) -> str:
    if head.startswith(b"version https://git-lfs"):
        return " The file is a Git LFS pointer, not the checkpoint: run `git lfs pull`."
    if head.lstrip()[:1] == b"<":
        return " The file is a web page, not a checkpoint."
    return ""


def _mapped_location(map_location: Any, location: str) -> str:
    if isinstance(map_location, dict):
        return str(map_location.get(location, location))
    if map_location is None:
        return location
    if isinstance(map_location, bytes):
        return map_location.decode()
    return str(device(map_location)) if isinstance(map_location, int) else str(map_location)


def _checked_location(location: str) -> device:
    """The device of a location tag. RuntimeError, in PyTorch's words, if this machine has none such."""
    kind, _, index = location.partition(":")
    if kind in ("cpu", "meta"):
        return device(kind)
    if kind != "cuda" or (index and not (index.isdigit() and len(index) < 5)):
        raise RuntimeError(
            "don't know how to restore data location of torch.storage.UntypedStorage (tagged with "
            f"{shown(location)[1:-1]})"
        )
    from . import cuda

    if not cuda.is_available():
        raise RuntimeError(
            "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. "
            "If you are running on a CPU-only machine, please use torch.load with "
            "map_location=torch.device('cpu') to map your storages to the CPU."
        )
    number = int(index) if index else cuda.current_device()
    if number >= cuda.device_count():
        raise RuntimeError(
            f"Attempting to deserialize object on CUDA device {number} but torch.cuda.device_count() is "
            f"{cuda.device_count()}. Please use torch.load with map_location to map your storages to an "
            "existing device."
        )
    return device("cuda", number)


def _view(storage: Storage, layout: Layout, dtype: dtypes.dtype) -> Tensor:
    """A leaf tensor on `storage`."""
    made = object.__new__(Tensor)
    made.storage, made.layout, made.dtype = storage, layout, dtype
    made._requires, made._node, made._base, made._views = False, None, None, None
    return made


def whole(storage: Storage, dtype: dtypes.dtype) -> Tensor:
    """A storage as a 1-d tensor."""
    return _view(storage, contiguous((storage.nbytes // dtype.itemsize,)), dtype)


class Load:
    """One load: where storages come from and go to, and the rules by which a file's names rebuild tensors."""

    def __init__(
        self,
        map_location: Any,
        weights_only: bool,
        limits: Limits,
        options: dict,
        approved: Callable[[str, str], Approved | None] = lambda module, name: None,
    ):
        unknown = set(options) - {"encoding", "errors", "fix_imports"}
        if unknown:
            raise TypeError(f"load() got an unexpected keyword argument {sorted(unknown)[0]!r}")
        self.map_location, self.weights_only, self.limits = map_location, weights_only, limits
        self.approved = approved
        self.options = {k: options[k] for k in ("encoding", "errors") if k in options}
        self.read: Callable[[str, dtypes.dtype, int], Any] = self._nothing
        self.storages: dict[str, tuple[Storage, int]] = {}
        self.views: dict[tuple[str, str], Storage] = {}
        self.meta = (
            not callable(map_location)
            and map_location is not None
            and not isinstance(map_location, dict)
            and _mapped_location(map_location, "") == "meta"
        )

    @staticmethod
    def _nothing(key: str, dtype: dtypes.dtype, count: int) -> Any:
        raise UnpicklingError("a storage where there can be none")

    def run(self, data: bytes, start: int = 0) -> tuple[Any, int]:
        """The value of the pickle that begins at `start`, and where it ends."""
        kind = Interpreter if self.weights_only else _PyTorchProgram
        machine = kind(
            data, self.limits, self.find, self._persistent, self._rules(), keys=_KEYS, **self.options
        )
        return machine.load(start), machine.pos

    def _rules(self) -> dict[Any, Callable]:
        return {Size: _size, device: _device, parameter_type(): self._parameter_of}

    def find(self, module: str, name: str) -> Any:
        if module == "torch" or module.startswith("torch."):
            found = self._torch(module, name)
            if found is not None:
                return found
        return self.approved(module, name) if self.weights_only else None

    def _torch(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.cuda") and name.endswith("Storage") and name[:-7] in _TYPES:
            return _Kind(dtypes.by_name[_TYPES[name[:-7]]])
        if module == "torch" and name.startswith("Q") and name.endswith("Storage"):
            raise NotImplementedError("the file holds a quantized tensor, which numtorch does not read yet.")
        if (module, name) == ("torch.storage", "UntypedStorage"):
            return _Kind(None)
        if module == "torch" and name in _DTYPE_NAMES:
            found = dtypes.by_name.get(name)
            if found is None:
                raise NotImplementedError(f"the file holds dtype torch.{name}, which numtorch does not have.")
            return found
        constant = {
            ("torch", "Size"): Size,
            ("torch", "device"): device,
            ("torch", "Tensor"): Tensor,
            ("torch._tensor", "Tensor"): Tensor,
        }.get((module, name))
        if constant is not None:
            return constant
        if module in ("torch.nn.parameter", "torch.nn"):
            return parameter_type() if name == "Parameter" else None
        rule = _REBUILDS.get((module, name))
        if rule is not None:
            return Rebuild(f"{module}.{name}", lambda args: rule(self, args))
        if (module, name) in _ABSENT:
            return Rebuild(f"{module}.{name}", lambda args: _absent(module, name))
        return None

    # --------------------------------------------------------------------------------------------- storages

    def names_class(self, pid: Any) -> bool:
        """Whether a persistent id is the class, with its source, that whole models before PyTorch 1.6
        hold."""
        return type(pid) is tuple and len(pid) == 4 and pid[0] == "module" and not self.weights_only

    def _persistent(self, pid: Any) -> Any:
        if self.names_class(pid):
            return pid[1]
        kind, key, location, count, view = _storage_id(pid)
        dtype = kind.dtype or dtypes.uint8
        storage = self._storage(key, dtype, count, location)
        if view is not None:
            storage = self._part(storage, view, dtype, count)
        return UntypedStorage(storage) if kind.dtype is None else TypedStorage(storage, dtype)

    def _storage(self, key: str, dtype: dtypes.dtype, count: int, location: str) -> Storage:
        nbytes = count * dtype.itemsize
        if key in self.storages:
            storage, had = self.storages[key]
            if had != nbytes:
                raise UnpicklingError(
                    f"storage {shown(key)} has {had} bytes in one place and {nbytes} in another"
                )
            return storage
        array = self.read(key, dtype, count)
        self.limits.charge(400)
        storage = Storage(None, meta, nbytes) if array is None else Storage(array, cpu)
        storage = self._place(storage, dtype, location)
        self.storages[key] = storage, nbytes
        return storage

    def _place(self, storage: Storage, dtype: dtypes.dtype, location: str) -> Storage:
        if callable(self.map_location):
            placed = self.map_location(UntypedStorage(storage), location)
            if isinstance(placed, UntypedStorage | TypedStorage):
                return placed._storage
            if placed is not None:
                raise TypeError(f"map_location returned {shown(placed)}, neither a storage nor None")
            target = _checked_location(location)
        else:
            target = _checked_location(_mapped_location(self.map_location, location))
        if target.type == "meta":
            return Storage(None, meta, storage.nbytes)
        return storage if target.type == "cpu" else whole(storage, dtype).to(target).storage

    def _part(self, root: Storage, view: Any, dtype: dtypes.dtype, count: int) -> Storage:
        """A view of a storage, as files before 0.4 hold them: (key, offset, size) in elements."""
        if (
            type(view) is not tuple
            or len(view) != 3
            or type(view[0]) is not str
            or type(view[1]) is not int
            or type(view[2]) is not int
            or not 0 <= view[1] <= view[1] + view[2] <= count
        ):
            raise UnpicklingError("a view of a storage that reaches outside it")
        key = (view[0], dtype.name)
        if key not in self.views:
            self.views[key] = Storage(root.typed(dtype.numpy)[view[1] : view[1] + view[2]], root.device)
        return self.views[key]

    # ----------------------------------------------------------------------------------------------- tensors

    def _tensor(
        self, storage: Any, offset: Any, size: Any, stride: Any, dtype: dtypes.dtype | None = None
    ) -> Tensor:
        """A view of `storage`, inside its bounds. UnpicklingError otherwise."""
        if type(storage) is TypedStorage and dtype is None:
            dtype = storage.dtype
        elif type(storage) is not UntypedStorage or dtype is None:
            raise UnpicklingError(f"a tensor over {shown(storage)}, not a storage")
        layout = _layout(offset, size, stride)
        memory = storage._storage
        room = memory.nbytes // dtype.itemsize
        if layout.span() > room:
            raise UnpicklingError(
                f"a tensor of size {list(layout.shape)}, stride {list(layout.strides)} and offset "
                f"{layout.offset} reaches outside its storage of {room} elements"
            )
        self.limits.charge(500)
        return _view(memory, layout, dtype)

    def _v1(self, args: tuple) -> Tensor:
        return self._tensor(*_counted(args, 4, 4))

    def _v2(self, args: tuple) -> Tensor:
        storage, offset, size, stride, requires_grad, hooks, *more = _counted(args, 6, 7)
        return _finished(self._tensor(storage, offset, size, stride), requires_grad, hooks, more)

    def _v3(self, args: tuple) -> Tensor:
        storage, offset, size, stride, requires_grad, hooks, dtype, *more = _counted(args, 7, 8)
        if type(dtype) is not dtypes.dtype or type(storage) is not UntypedStorage:
            raise UnpicklingError("_rebuild_tensor_v3 of other than an untyped storage and a dtype")
        return _finished(self._tensor(storage, offset, size, stride, dtype), requires_grad, hooks, more)

    def _meta(self, args: tuple) -> Tensor:
        dtype, size, stride, requires_grad = _counted(args, 4, 4)
        if type(dtype) is not dtypes.dtype:
            raise UnpicklingError(f"a meta tensor of dtype {shown(dtype)}")
        layout = _layout(0, size, stride)
        storage = Storage(None, meta, layout.span() * dtype.itemsize)
        return _finished(_view(storage, layout, dtype), requires_grad, None, [])

    def _parameter(self, args: tuple) -> Any:
        data, requires_grad, hooks, *state = _counted(args, 3, 4)
        _no_hooks(hooks)
        return _with_state(self._parameter_of((data, requires_grad)), state[0] if state else None)

    def _parameter_of(self, args: tuple) -> Any:
        data, requires_grad = _counted((*args, True)[:2] if len(args) == 1 else args, 2, 2)
        if not isinstance(data, Tensor) or type(requires_grad) is not bool:
            raise UnpicklingError(f"a Parameter of {shown(data)}")
        if requires_grad and data.dtype.category < dtypes.FLOAT:
            raise UnpicklingError(f"a Parameter of {data.dtype} that requires grad")
        return parameter_type()(data, requires_grad)

    def _from_type(self, args: tuple) -> Any:
        function, kind, inner, state = _counted(args, 4, 4)
        if type(function) is not Rebuild or type(inner) is not tuple:
            raise UnpicklingError("_rebuild_from_type_v2 of something that rebuilds no tensor")
        made = function.build(inner)
        if not isinstance(made, Tensor):
            raise UnpicklingError("_rebuild_from_type_v2 of something that rebuilds no tensor")
        if type(kind) is Approved and isinstance(kind.value, type) and issubclass(kind.value, Tensor):
            made = made.as_subclass(kind.value)
        elif (
            isinstance(kind, type)
            and issubclass(kind, Tensor)
            and (kind in (Tensor, parameter_type()) or not self.weights_only)
        ):
            made = made if isinstance(made, kind) else made.as_subclass(kind)
        else:
            raise UnpicklingError(f"_rebuild_from_type_v2 of the type {shown(kind)}")
        return _with_state(made, state)


class _PyTorchProgram(Program):
    """Files of PyTorch's own classes name `torch.…`: those are looked up under numtorch."""

    def unknown(self, module: str, name: str) -> Any:
        if module != "torch" and not module.startswith("torch."):
            return super().unknown(module, name)
        package, _, rest = __name__.partition(".")[0], None, module.removeprefix("torch").lstrip(".")
        places = [rest, ".".join(rest.split(".")[:2]), rest.split(".")[0]]
        for place in dict.fromkeys(places):
            try:
                return super().unknown(f"{package}.{place}" if place else package, name)
            except (ImportError, AttributeError):
                continue
        raise UnpicklingError(f"the file names {full_name(module, name)}, which numtorch does not have")


_DTYPE_NAMES = frozenset(dtypes.by_name) | {
    "uint16",
    "uint32",
    "uint64",
    "complex32",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float4_e2m1fn_x2",
    "qint8",
    "quint8",
    "qint32",
    "quint4x2",
    "quint2x4",
}
_KEYS = (dtypes.dtype, device, Size, Tensor)
_REBUILDS: dict[tuple[str, str], Callable[[Load, tuple], Any]] = {
    ("torch._utils", "_rebuild_tensor"): Load._v1,
    ("torch._utils", "_rebuild_tensor_v2"): Load._v2,
    ("torch._utils", "_rebuild_tensor_v3"): Load._v3,
    ("torch._utils", "_rebuild_parameter"): Load._parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): Load._parameter,
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): Load._meta,
    ("torch._tensor", "_rebuild_from_type_v2"): Load._from_type,
    ("torch.serialization", "_get_layout"): lambda load, args: _strided(args),
}
_ABSENT = {
    ("torch._utils", "_rebuild_sparse_tensor"): "a sparse tensor",
    ("torch._utils", "_rebuild_qtensor"): "a quantized tensor",
    ("torch._utils", "_rebuild_nested_tensor"): "a nested tensor",
}


def _storage_id(pid: Any) -> tuple[_Kind, str, str, int, Any]:
    """Type, key, location and number of elements of the storage that a persistent id names, and its part if
    any."""
    if type(pid) is tuple and len(pid) in (5, 6) and pid[0] == "storage" and type(pid[1]) is _Kind:
        kind, key, location, count, *view = pid[1:]
        key = str(key) if type(key) is int and 0 <= key < 1 << 63 else key
        if type(key) is str and type(location) is str and type(count) is int and 0 <= count < 1 << 60:
            return kind, key, location, count, view[0] if view else None
    raise UnpicklingError(f"a persistent id that is not a storage: {shown(pid)}")


def _absent(module: str, name: str) -> Any:
    raise NotImplementedError(f"the file holds {_ABSENT[module, name]}, which numtorch does not read yet.")


def parameter_type() -> Any:
    from .nn.parameter import Parameter

    return Parameter


def _counted(args: tuple, least: int, most: int) -> tuple:
    if not least <= len(args) <= most:
        raise UnpicklingError(f"a rebuild function with {len(args)} arguments")
    return args


def _ints(values: Any, what: str) -> tuple[int, ...]:
    if (
        not isinstance(values, tuple | list)
        or len(values) > 64
        or any(type(v) is not int or not 0 <= v < 1 << 62 for v in values)
    ):
        raise UnpicklingError(f"the {what} of a tensor is not a short tuple of non-negative integers")
    return tuple(values)


def _layout(offset: Any, size: Any, stride: Any) -> Layout:
    shape, strides = _ints(size, "size"), _ints(stride, "stride")
    (start,) = _ints((offset,), "offset")
    if len(shape) != len(strides) or prod(shape) >= 1 << 62:
        raise UnpicklingError(f"a tensor of size {list(shape)} with stride {list(strides)}")
    return contiguous(()).at(shape, strides, start) if start else contiguous(shape).at(shape, strides, 0)


def _no_hooks(hooks: Any) -> None:
    if hooks is not None and not (type(hooks) in (dict, OrderedDict) and not hooks):
        raise UnpicklingError("a tensor with backward hooks")


def _finished(made: Tensor, requires_grad: Any, hooks: Any, more: list) -> Tensor:
    _no_hooks(hooks)
    if type(requires_grad) is not bool or (requires_grad and made.dtype.category < dtypes.FLOAT):
        raise UnpicklingError(f"a tensor of {made.dtype} with requires_grad={shown(requires_grad)}")
    if more and more[0] is not None:
        bits = more[0]
        if type(bits) is not dict or any(
            k not in ("conj", "neg") or type(v) is not bool for k, v in bits.items()
        ):
            raise UnpicklingError("the metadata of a tensor is not its conj and neg bits")
        if bits.get("conj"):
            made = made.conj()
        if bits.get("neg"):
            made = made.neg()
    return made.requires_grad_() if requires_grad else made


def _with_state(made: Any, state: Any) -> Any:
    """Attributes that the user had put on a tensor."""
    if type(state) is tuple and len(state) == 2 and not state[1]:
        state = state[0]
    if not state:
        return made
    if type(state) is dict and state.get("_is_buffer") is True and type(made) is Tensor:
        from .nn.parameter import Buffer

        made = Buffer(made, persistent=state.get("persistent") is not False)
        state = {k: v for k, v in state.items() if k not in ("_is_buffer", "persistent")}
    for name, value in attributes(made, state).items():
        setattr(made, name, value)
    return made


def _size(args: tuple) -> Size:
    (values,) = _counted(args, 1, 1)
    return Size(_ints(values, "size"))


def _device(args: tuple) -> device:
    kind, index = (*_counted(args, 1, 2), None)[:2]
    if (
        type(kind) is not str
        or len(kind) > 30
        or not (index is None or (type(index) is int and 0 <= index < 1 << 15))
    ):
        raise UnpicklingError(f"a device named {shown(kind)}")
    try:
        return device(kind, index)
    except RuntimeError as e:
        raise UnpicklingError(str(e)) from None


def _strided(args: tuple) -> Any:
    (name,) = _counted(args, 1, 1)
    if type(name) is str and name.startswith("torch.sparse"):
        raise NotImplementedError(f"the file holds a tensor of layout {shown(name)[1:-1]}, not read yet.")
    if name != "torch.strided":
        raise UnpicklingError(f"a memory layout {shown(name)}")
    from . import strided

    return strided


class Survey(Interpreter):
    """Follows a pickle without making its values; collects the storages it asks for and the names not
    allowed."""

    def __init__(self, data: bytes, limits: Limits, load: Load):
        super().__init__(data, limits, load.find, self._storage, encoding="latin1")
        self.found: dict[str, None] = {}
        self.pids: list = []

    def _storage(self, pid: Any) -> None:
        self.pids.append(pid)

    def unknown(self, module: str, name: str) -> Any:
        self.found[full_name(module, name)] = None

    def key(self, k: Any) -> Any:
        return id(k)

    def reduce(self, function: Any, args: Any) -> Any:
        return None

    def newobj(self, cls: Any, args: Any, kwargs: Any) -> Any:
        return None

    def build(self, value: Any, state: Any) -> None:
        pass

    def set_items(self, target: Any, flat: list) -> None:
        pass

    def append_items(self, target: Any, items: list) -> None:
        pass

    def add_items(self, target: Any, items: list) -> None:
        pass
