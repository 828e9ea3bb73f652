"""PyTorch's older spellings: torch.Tensor(…), torch.FloatTensor, type strings, storages."""
from __future__ import annotations

import numpy as np

from . import devices
from . import dtypes as D
from . import layouts as L
from .storage import Storage
from .tensor import Tensor, _TensorType

_NAMES = {"Float": D.float32, "Double": D.float64, "Half": D.float16, "BFloat16": D.bfloat16,
          "Long": D.int64, "Int": D.int32, "Short": D.int16, "Char": D.int8, "Byte": D.uint8, "Bool": D.bool,
          "ComplexHalf": D.complex32, "ComplexFloat": D.complex64, "ComplexDouble": D.complex128}


def construct(args: tuple, dtype=None, device=None) -> Tensor:
    """torch.Tensor(sizes…), torch.Tensor(sequence), torch.Tensor(tensor): uninitialised, copied, aliased."""
    from .ops.create import empty, tensor
    d = dtype or D.get_default_dtype()
    if not args:
        return empty((0,), dtype=d, device=device)
    first = args[0]
    if len(args) == 1:
        if isinstance(first, Tensor):
            if first.dtype is not d and dtype is not None:
                raise TypeError(f"expected {d} (got {first.dtype})")
            return first.alias()
        if isinstance(first, L.Size):
            return empty(first, dtype=d, device=device)
        if isinstance(first, list | tuple | np.ndarray | range):
            return tensor(first, dtype=d, device=device)
        if isinstance(first, UntypedStorage | TypedStorage):
            t = empty((0,), dtype=d)
            return t.set_(first._storage)
    if all(isinstance(a, int) or hasattr(a, "__index__") for a in args):
        return empty(tuple(int(a) for a in args), dtype=d, device=device)
    if isinstance(first, str):
        raise TypeError("new(): invalid data type 'str'")
    raise TypeError("new(): data must be a sequence (got " + type(first).__name__ + ")")


class _LegacyType(_TensorType):
    """torch.FloatTensor: makes tensors of its dtype; isinstance asks for dtype and device."""

    _dtype: D.dtype
    _device: str

    def __instancecheck__(cls, x) -> bool:
        return isinstance(x, Tensor) and x.dtype is cls._dtype and x.storage.device.type == cls._device

    def __call__(cls, *args, **kwargs):
        if cls._device == "cuda":
            devices.placed("cuda")
        return construct(args, cls._dtype, kwargs.get("device", cls._device))

    def __repr__(cls) -> str:
        return f"<class 'torch.{'cuda.' if cls._device == 'cuda' else ''}{cls.__name__}'>"

    dtype = property(lambda cls: cls._dtype)


def tensor_types(device: str) -> dict[str, type]:
    """FloatTensor, LongTensor, … of a device."""
    return {n + "Tensor": _LegacyType(n + "Tensor", (), {"_dtype": d, "_device": device})
            for n, d in _NAMES.items()}


TYPES = tensor_types("cpu")
CUDA_TYPES = tensor_types("cuda")


def type_string(t: Tensor) -> str:
    """'torch.FloatTensor' for a float32 CPU tensor."""
    return f"torch.{'cuda.' if t.storage.device.type == 'cuda' else ''}{D.TITLES[t.dtype.name]}Tensor"


def type_of(spec) -> tuple[D.dtype, str | None]:
    """(dtype, device or None) that a dtype, a type string or a legacy type names."""
    if isinstance(spec, D.dtype):
        return spec, None
    if isinstance(spec, _LegacyType):
        return spec._dtype, spec._device
    if spec is Tensor:
        return D.get_default_dtype(), "cpu"
    if isinstance(spec, str) and spec.startswith("torch."):
        name = spec[6:]
        device = "cuda" if name.startswith("cuda.") else "cpu"
        name = name.removeprefix("cuda.").removesuffix("Tensor")
        if name in _NAMES:
            return _NAMES[name], device
    raise ValueError(f"invalid type: '{spec}'")


def set_default_tensor_type(t) -> None:
    """Make the type's dtype (and device) the default (deprecated in PyTorch)."""
    d, device = type_of(t)
    D.set_default_dtype(d)
    devices.set_default_device(None if device in (None, "cpu") else device)


class UntypedStorage:
    """The bytes of a storage."""

    def __init__(self, storage: Storage | int = 0, device=None):
        if isinstance(storage, int):
            storage = Storage(np.zeros(storage, np.uint8))
        self._storage = storage

    def nbytes(self) -> int:
        """Size in bytes."""
        return self._storage.nbytes

    size = __len__ = nbytes

    def data_ptr(self) -> int:
        """Address of the first byte."""
        a = self._storage.array
        return 0 if a is None or not a.size else a.ctypes.data

    @property
    def device(self) -> devices.device:
        return self._storage.device

    def _bytes(self) -> np.ndarray:
        return self._storage.array.view(np.uint8)

    def __getitem__(self, i):
        got = self._bytes()[i]
        return UntypedStorage(Storage(got)) if isinstance(i, slice) else int(got)

    def __setitem__(self, i, v) -> None:
        self._bytes()[i] = v
        self._storage.version += 1

    def __eq__(self, other) -> bool:
        return isinstance(other, UntypedStorage) and other._storage is self._storage

    def __hash__(self) -> int:
        return id(self._storage)

    def tolist(self) -> list[int]:
        """The bytes as numbers."""
        return self._bytes().tolist()

    def clone(self) -> UntypedStorage:
        """A copy."""
        return UntypedStorage(Storage(self._storage.array.copy(), self._storage.device))

    cpu = clone

    def is_shared(self) -> bool:
        """Whether the memory can be shared with other processes."""
        return self._storage.shared

    def share_memory_(self) -> UntypedStorage:
        """Move the memory to where processes share it."""
        self._storage.share()
        return self

    def resize_(self, nbytes: int) -> None:
        """Change the size, keeping what fits."""
        a = self._storage.array
        grown = np.zeros(-(-nbytes // a.itemsize), a.dtype)
        k = min(grown.nbytes, a.nbytes)
        grown.view(np.uint8)[:k] = a.view(np.uint8)[:k]
        self._storage.array = grown


class TypedStorage:
    """The elements of a storage."""

    def __init__(self, storage: Storage, dtype: D.dtype):
        self._storage, self.dtype = storage, dtype

    def _elements(self) -> np.ndarray:
        return self._storage.typed(self.dtype.numpy)

    def size(self) -> int:
        """Number of elements."""
        return self._storage.nbytes // self.dtype.itemsize

    __len__ = size

    def nbytes(self) -> int:
        """Size in bytes."""
        return self._storage.nbytes

    def element_size(self) -> int:
        """Bytes per element."""
        return self.dtype.itemsize

    def data_ptr(self) -> int:
        """Address of the first element."""
        return UntypedStorage(self._storage).data_ptr()

    def untyped(self) -> UntypedStorage:
        """The bytes."""
        return UntypedStorage(self._storage)

    @property
    def device(self) -> devices.device:
        return self._storage.device

    def __getitem__(self, i):
        return self._elements()[i].item() if isinstance(i, int) else self._elements()[i].tolist()

    def __setitem__(self, i, v) -> None:
        self._elements()[i] = v
        self._storage.version += 1

    def tolist(self) -> list:
        """The elements as Python numbers."""
        return self._elements().tolist()

    def __iter__(self):
        return iter(self.tolist())

    def fill_(self, value) -> TypedStorage:
        """Set every element."""
        self._elements()[...] = value
        self._storage.version += 1
        return self


class _StorageType(type):
    """torch.FloatStorage: makes storages of its dtype; isinstance asks for it."""

    _dtype: D.dtype

    def __instancecheck__(cls, x) -> bool:
        return isinstance(x, TypedStorage) and x.dtype is cls._dtype

    def __call__(cls, *args) -> TypedStorage:
        from .ops.create import empty, tensor
        given = args[0] if args else 0
        t = empty((given,), dtype=cls._dtype) if isinstance(given, int) else tensor(given, dtype=cls._dtype)
        return storage_of(t)

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"

    dtype = property(lambda cls: cls._dtype)


STORAGES = {n + "Storage": _StorageType(n + "Storage", (), {"_dtype": d}) for n, d in _NAMES.items()}


def storage_of(t: Tensor) -> TypedStorage:
    """t.storage(): the memory as elements."""
    return TypedStorage(t.storage, t.dtype)
