"""save and load in PyTorch's checkpoint format, both ways.

A checkpoint is a zip archive: `data.pkl` describes the object, `data/N` holds the memory of storage N. `load`
reads `data.pkl` with the interpreter of `unpickle`, which calls nothing the file names; `archive` says what
of the container is checked. With weights_only=False a file is trusted as a program is: the classes it names
are imported and called.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import numpy as np

from . import dtypes
from .archive import ArchiveReader, ArchiveWriter
from .checkpoint import (
    LEGACY_MAGIC,
    LEGACY_VERSION,
    STORAGE_OF,
    Load,
    Survey,
    load_archive,
    load_legacy,
    parameter_type,
    whole,
)
from .devices import device
from .layouts import Size
from .legacy import TypedStorage, UntypedStorage
from .memory_format import layout
from .overrides import Overridable, resolve_name
from .storage import Storage
from .tensor import Tensor
from .unpickle import Approved, Limits, UnpicklingError, full_name, shown

__all__ = [
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "safe_globals",
    "save",
]

# -------------------------------------------------------------------------------------- approved names

_approved: dict[str, Any] = {}
_NEVER = frozenset(("os", "sys", "posix", "nt"))


def add_safe_globals(safe_globals: list) -> None:
    """Let `load(weights_only=True)` call these classes and functions where a file names them.

    An item is the class or function, or a pair of it and the full name that files use. Approve only what is
    harmless with any arguments."""
    for item in safe_globals:
        if isinstance(item, tuple):
            if len(item) != 2 or not isinstance(item[1], str):
                raise ValueError(
                    f"Expected a pair of a class or function and its full name, got {shown(item)}"
                )
            value, name = item
        else:
            value, name = item, f"{item.__module__}.{item.__qualname__}"
            if isinstance(item, FunctionType | Overridable) and _public(item):
                _approved[_public(item)] = value
        _approved[name] = value


def get_safe_globals() -> list:
    """What `add_safe_globals` was given and is in force."""
    return list(_approved.values())


def clear_safe_globals() -> None:
    """Approve nothing beyond the types `load` knows."""
    _approved.clear()


@contextmanager
def safe_globals(safe_globals: list) -> Iterator[None]:
    """add_safe_globals within a `with` block."""
    before = dict(_approved)
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        _approved.clear()
        _approved.update(before)


def _approved_global(module: str, name: str) -> Approved | None:
    module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
    full = f"{module}.{name}"
    if full not in _approved:
        return None
    if module.partition(".")[0] in _NEVER:
        raise UnpicklingError(
            f"Trying to load unsupported GLOBAL {full_name(module, name)} whose module {module} is blocked."
        )
    return Approved(full, _approved[full])


# --------------------------------------------------------------------------------------------- loading


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    max_bytes: int | None = None,
    **pickle_load_args: Any,
) -> Any:
    """The object that `save`, here or in PyTorch, wrote to `f`: a path, or a file object that reads and
    seeks.

    map_location: a device, a dict of locations, or a function (storage, location) -> storage or None; None
        puts each storage where it was saved. RuntimeError for CUDA storages where there is no CUDA.
    weights_only: True (the default) builds tensors and plain data and calls nothing; pickle.UnpicklingError
        for any other class. False imports and calls what the file names: only for files trusted as programs
        are.
    mmap: map the file into memory, privately: storages are read when touched, and not checked for damage.
    max_bytes: memory the load may take (default: `Limits.of` the file, 4 times its size or more).
    RuntimeError for a damaged file."""
    if pickle_module is not None and getattr(pickle_module, "__name__", "") not in ("pickle", "_pickle"):
        raise NotImplementedError(
            f"load(pickle_module={pickle_module.__name__}): only pickle's own format is read"
        )
    if weights_only is None:
        weights_only = pickle_module is None
    elif weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    path = isinstance(f, str | os.PathLike)
    if mmap and not path:
        raise ValueError("f must be a file path in order to use the mmap argument")
    if path:
        with open(f, "rb") as file:
            return _load(
                file, map_location, weights_only, bool(mmap), max_bytes, pickle_load_args, os.fspath(f)
            )
    _check_reads(f)
    return _load(f, map_location, weights_only, False, max_bytes, pickle_load_args, None)


def _check_reads(f: Any) -> None:
    for name in ("read", "seek", "tell"):
        if not hasattr(f, name):
            raise AttributeError(
                f"{type(f).__name__!r} object has no attribute {name!r}. You can only torch.load from "
                "a file that is seekable. Please pre-load the data into a buffer like io.BytesIO and "
                "try to load from it instead."
            )


def _load(
    file: Any,
    map_location: Any,
    weights_only: bool,
    mapped: bool,
    max_bytes: int | None,
    options: dict,
    path: str | None,
) -> Any:
    base = file.tell()
    size = file.seek(0, os.SEEK_END)
    size = (file.tell() if size is None else size) - base
    file.seek(base)
    if size <= 0:
        raise EOFError(
            "Ran out of input: " + (f"{path} is empty" if path else "the file is at its end; seek(0)?")
        )
    limits = Limits(max_bytes) if max_bytes is not None else Limits.of(size)
    head = file.read(4)
    file.seek(base)
    load = Load(map_location, weights_only, limits, options, _approved_global)
    try:
        if head == b"PK\3\4":
            return load_archive(load, ArchiveReader(file, base, size, limits), mapped, max_bytes is None)
        if mapped:
            raise RuntimeError(
                "mmap can only be used with files saved with `torch.save("
                f"{path!r}, _use_new_zipfile_serialization=True)`, please torch.save your checkpoint "
                "with this option in order to use mmap."
            )
        return load_legacy(load, file, size, max_bytes is None)
    except UnpicklingError as e:
        if not weights_only:
            raise
        raise UnpicklingError(_advice(str(e))) from None


def _advice(why: str) -> str:
    if not why.startswith("Unsupported global: "):
        return f"Weights only load failed. {why}"
    name = why.removeprefix("Unsupported global: GLOBAL ").partition(" was not ")[0]
    return (
        "Weights only load failed. This file can still be loaded, to do so you have two options, do those "
        "steps only if you trust the source of the checkpoint. \n"
        f"\t(1) Allow {name} alone, if it is harmless whatever its arguments.\n"
        "\t(2) Re-run `torch.load` with `weights_only` set to `False`: the file can then run any code.\n"
        f"\tWeightsUnpickler error: {why} Please use `torch.serialization.add_safe_globals([{name}])` or the "
        f"`torch.serialization.safe_globals([{name}])` context manager to allowlist this global if you trust "
        "this class/function."
    )


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """The classes and functions a checkpoint names that `load(weights_only=True)` refuses. Nothing is
    loaded."""
    if isinstance(f, str | os.PathLike):
        with open(f, "rb") as file:
            return get_unsafe_globals_in_checkpoint(file)
    _check_reads(f)
    base = f.tell()
    f.seek(0, os.SEEK_END)
    size = f.tell() - base
    f.seek(base)
    limits = Limits.of(size, size)
    if f.read(4) != b"PK\3\4":
        raise ValueError(
            "Expected input to be a checkpoint returned by torch.save but a file of the format before "
            "PyTorch 1.6, or none, was passed"
        )
    survey = Survey(
        ArchiveReader(f, base, size, limits).read("data.pkl"),
        limits,
        Load(None, True, limits, {}, _approved_global),
    )
    survey.load()
    return list(survey.found)


# ---------------------------------------------------------------------------------------------- saving


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = None,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write `obj` so that `load`, here or in PyTorch, gives it back: tensors with their shared storages and
    strides, plain data, and objects that pickle takes.

    f: a path, written as a whole or not at all (the old file stays until the new one is complete on the
    disk), or a file object. Equal contents give equal files. RuntimeError if the folder of the path does not
    exist; pickle.PicklingError for what cannot be pickled."""
    if pickle_module is not None and getattr(pickle_module, "__name__", "") not in ("pickle", "_pickle"):
        raise NotImplementedError(
            f"save(pickle_module={pickle_module.__name__}): only pickle's own format is written"
        )
    if type(pickle_protocol) is not int or not 2 <= pickle_protocol <= pickle.HIGHEST_PROTOCOL:
        raise ValueError(
            f"pickle_protocol must be from 2 to {pickle.HIGHEST_PROTOCOL}, got {shown(pickle_protocol)}"
        )
    write = _write_archive if _use_new_zipfile_serialization else _write_legacy
    byteorder = not _disable_byteorder_record
    if isinstance(f, str | os.PathLike):
        write_whole(os.fspath(f), lambda file: write(obj, file, pickle_protocol, byteorder))
    elif hasattr(f, "write"):
        write(obj, f, pickle_protocol, byteorder)
    else:
        raise AttributeError(
            "expected 'f' to be string, path, or a file-like object with a 'write' attribute"
        )


def _write_archive(obj: Any, file: Any, protocol: int, byteorder: bool) -> None:
    text = io.BytesIO()
    pickler = _Pickler(text, protocol)
    pickler.dump(obj)
    archive = ArchiveWriter(file.write)
    archive.add("data.pkl", text.getvalue())
    archive.add(".format_version", b"1")
    archive.add(".storage_alignment", b"64")
    if byteorder:
        archive.add("byteorder", sys.byteorder.encode())
    for key, stored in enumerate(pickler.stored.values()):
        archive.add(f"data/{key}", host_bytes(stored._storage, stored.dtype).data)
    archive.add("version", b"3\n")
    archive.close()


def _write_legacy(obj: Any, file: Any, protocol: int, byteorder: bool) -> None:
    text = io.BytesIO()
    pickler = _Pickler(text, protocol, legacy=True)
    pickler.dump(obj)
    system = {
        "protocol_version": LEGACY_VERSION,
        "little_endian": sys.byteorder == "little",
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    for value in (LEGACY_MAGIC, LEGACY_VERSION, system):
        file.write(pickle.dumps(value, protocol))
    file.write(text.getvalue())
    file.write(pickle.dumps([str(k) for k in range(len(pickler.stored))], protocol))
    for stored in pickler.stored.values():
        file.write(struct.pack("=q", len(stored)))
        file.write(host_bytes(stored._storage, stored.dtype).data)


def host_bytes(storage: Storage, dtype: dtypes.dtype) -> np.ndarray:
    """The memory of a storage on the host, as uint8: whole elements of `dtype`."""
    if storage.device.type != "cpu":
        storage = whole(storage, dtype).to("cpu").storage
    return storage.array.view(np.uint8)[: storage.nbytes // dtype.itemsize * dtype.itemsize]


def write_whole(path: str | bytes, write: Callable[[Any], None]) -> None:
    """Write a file so that, whenever it stops, `path` names the old contents or all of the new ones."""
    path = os.path.realpath(os.fsdecode(path))
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {folder} does not exist.")
    if os.path.isdir(path):
        raise RuntimeError(f"open file failed with strerror: Is a directory: {path}")
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe or a device has no contents to keep
        with open(path, "wb") as file:
            write(file)
        return
    temporary = os.path.join(folder, f".{name[:200]}.{os.urandom(8).hex()}.tmp")
    handle = os.open(
        temporary,
        os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0),
        0o666,
    )
    try:
        with open(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(path):
            os.chmod(temporary, os.stat(path).st_mode & 0o7777)
        os.replace(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise
    if os.name == "posix":
        entry = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)


def _memory(storage: Storage) -> tuple:
    """What tells one block of memory from another: several Storages may be on one (`t.data` makes such)."""
    array = storage.array
    if isinstance(array, np.ndarray) and array.nbytes:
        return array.__array_interface__["data"][0], array.nbytes
    return (id(storage if array is None else array),)


class _Name:
    """A class or function of PyTorch's that the pickle names."""

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name

    def __call__(self) -> None:
        raise TypeError(f"{self.module}.{self.name} is only a name")


class _Data:
    """A tensor's values alone, without its type, gradient or attributes."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor):
        self.tensor = tensor


_TENSOR, _META = (
    _Name("torch._utils", "_rebuild_tensor_v2"),
    _Name("torch._utils", "_rebuild_meta_tensor_no_storage"),
)
_PARAMETER = _Name("torch._utils", "_rebuild_parameter")
_PARAMETER_STATE = _Name("torch._utils", "_rebuild_parameter_with_state")
_FROM_TYPE, _TENSOR_TYPE = _Name("torch._tensor", "_rebuild_from_type_v2"), _Name("torch", "Tensor")
_GET_LAYOUT = _Name("torch.serialization", "_get_layout")
_SIZE, _DEVICE, _UNTYPED = (
    _Name("torch", "Size"),
    _Name("torch", "device"),
    _Name("torch.storage", "UntypedStorage"),
)
_STORAGE_NAMES = {name: _Name("torch", storage) for name, storage in STORAGE_OF.items()}


def _public(function: Any) -> str:
    """'torch.nn.functional.relu', …: the name that PyTorch's files have for a public function; else ""."""
    name = resolve_name(function) or ""
    return "" if name.startswith("torch.Tensor.") else name


_PurePickler: Any = pickle._Pickler


class _Pickler(_PurePickler):
    """Pickles an object with PyTorch's names for its tensors; storages are set aside in `stored`."""

    def __init__(self, file: io.BytesIO, protocol: int, legacy: bool = False):
        super().__init__(file, protocol)
        self.legacy = legacy
        self.stored: dict[tuple, TypedStorage] = {}
        self.keys: dict[tuple, str] = {}
        self.parameter = parameter_type()

    def persistent_id(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is not TypedStorage and kind is not UntypedStorage:
            return None
        storage = obj._storage
        typed = obj if kind is TypedStorage else TypedStorage(storage, dtypes.uint8)
        memory = _memory(storage)
        known = self.stored.setdefault(memory, typed)
        if known.dtype is not typed.dtype:
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as different types"
            )
        key = self.keys.setdefault(memory, str(len(self.keys)))
        name = _STORAGE_NAMES[typed.dtype.name] if kind is TypedStorage else _UNTYPED
        location = sys.intern(str(storage.device))
        return (
            ("storage", name, key, location, len(typed), None)
            if self.legacy
            else ("storage", name, key, location, len(typed))
        )

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is _Data:
            return _tensor_parts(obj.tensor, False)
        if isinstance(obj, Tensor):
            return self._reduce_tensor(obj, kind)
        if kind is Size:
            return _SIZE, (tuple(obj),)
        if kind is device:
            return _DEVICE, (obj.type,) if obj.index is None else (obj.type, obj.index)
        if kind is layout:
            return _GET_LAYOUT, (repr(obj),)
        if kind is _Name or kind is dtypes.dtype:
            return obj.name
        if kind is Overridable:
            return obj.__name__
        return NotImplemented

    def _reduce_tensor(self, obj: Tensor, kind: type) -> Any:
        _warn_of_hooks(obj)
        state = _state_of(obj)
        if kind is self.parameter:
            args: tuple = (_Data(obj), obj.requires_grad, OrderedDict())
            return (_PARAMETER_STATE, (*args, state)) if state else (_PARAMETER, args)
        if kind is Tensor and not state:
            return _tensor_parts(obj, obj.requires_grad)
        named: Any = _TENSOR_TYPE if kind is Tensor else kind
        if kind.__name__ == "Buffer" and kind.__module__ == self.parameter.__module__:
            named, state = _TENSOR_TYPE, {**state, "persistent": obj.persistent, "_is_buffer": True}
        elif kind.__reduce_ex__ is not Tensor.__reduce_ex__:
            return NotImplemented
        function, args = _tensor_parts(obj, obj.requires_grad)
        return _FROM_TYPE, (function, named, args, state)

    def save_global(self, obj: Any, name: str | None = None) -> None:
        if type(obj) is _Name:
            module, name = obj.module, obj.name
        elif type(obj) is dtypes.dtype:
            module, name = "torch", obj.name
        elif obj is Tensor or obj is Size or obj is device or obj is dtypes.dtype:
            module, name = "torch", obj.__name__
        elif obj is self.parameter:
            module, name = "torch.nn.parameter", "Parameter"
        elif isinstance(obj, FunctionType | Overridable) and _public(obj):
            module, _, name = _public(obj).rpartition(".")
        else:
            super().save_global(obj, name)
            return
        if self.proto >= 4:
            self.save(module)
            self.save(name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.memoize(obj)


def _tensor_parts(t: Tensor, requires_grad: bool) -> tuple:
    shape, strides = tuple(t.layout.shape), tuple(t.layout.strides)
    if t.storage.device.type == "meta":
        return _META, (t.dtype, shape, strides, requires_grad)
    return _TENSOR, (
        TypedStorage(t.storage, t.dtype),
        t.layout.offset,
        shape,
        strides,
        requires_grad,
        OrderedDict(),
    )


def _state_of(t: Tensor) -> dict:
    return dict(getattr(t, "__dict__", None) or {})


def _warn_of_hooks(t: Tensor) -> None:
    for hook in (t._hooks or {}).values():
        if not getattr(hook, "__torch_unserializable__", False):
            warnings.warn(
                f"backward hook {hook!r} on tensor will not be serialized.  If this is expected, you can "
                "decorate the function with @torch.utils.hooks.unserializable_hook to suppress this warning",
                stacklevel=3,
            )
