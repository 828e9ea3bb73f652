"""Devices: where a storage lives."""
from __future__ import annotations

_TYPES = ("cpu", "cuda", "meta")
_KNOWN = ("cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga", "maia",
          "xla", "lazy", "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone")


class device:
    """`device("cuda:0")`, `device("cuda", 0)`, `device(0)`: equal, hashable; a context sets the default."""

    __slots__ = ("type", "index")
    type: str
    index: int | None

    def __new__(cls, type: str | int | device | None = None, index: int | None = None) -> device:
        if type is None:
            raise TypeError("device() received an invalid combination of arguments - got (), but expected "
                            "one of:\n * (torch.device device)\n * (str type, int index = None)")
        if type == "":
            raise RuntimeError("Device string must not be empty")
        if isinstance(type, device):
            return type
        if isinstance(type, int):
            index, type = type, "cuda"
        if index is not None and not isinstance(index, int):
            raise TypeError("device(): argument 'index' (position 2) must be int, not "
                            f"{index.__class__.__name__}")
        if not isinstance(type, str):
            raise TypeError(f"device(): argument 'type' must be str, not {type.__class__.__name__}")
        if ":" in type:
            if index is not None:
                raise RuntimeError("type (string) must not include an index because index was passed "
                                   f"explicitly: {type}")
            name, _, number = type.partition(":")
            if not number.isdigit() or (len(number) > 1 and number[0] == "0"):
                raise RuntimeError(f"Invalid device string: '{type}'")
            type, index = name, int(number)
        key = (type, index)
        found = _interned.get(key)
        if found is None:
            if type not in _KNOWN:
                raise RuntimeError(f"Expected one of {', '.join(_KNOWN)} device type at start of device "
                                   f"string: {type}")
            found = object.__new__(cls)
            found.type, found.index = type, index
            _interned[key] = found
        return found

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (f", index={self.index})" if self.index is not None else ")")

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self):
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        _defaults.append(placed(self))
        return self

    def __exit__(self, *exc) -> None:
        _defaults.pop()


_interned: dict[tuple[str, int | None], device] = {}
cpu, meta = device("cpu"), device("meta")
_defaults = [cpu]


def placed(d: device | str | int | None) -> device:
    """The device on which a tensor asked for on `d` lives: the default for None, index 0 for a bare "cuda".

    RuntimeError where this build has no such device; AssertionError for CUDA without a driver, as PyTorch."""
    if d is None:
        return _defaults[-1]
    found = d if type(d) is device else device(d)
    if found is cpu or found is meta:
        return found
    if found.type in ("cpu", "meta"):
        return device(found.type)
    if found.type == "cuda":
        from . import cuda
        return device("cuda", cuda.require(found.index))
    raise NotImplementedError(f"numtorch has no '{found.type}' device; it runs on {', '.join(_TYPES)}.")


def get_default_device() -> device:
    """The device of tensors made without `device=`."""
    return _defaults[-1]


def set_default_device(d: device | str | None) -> None:
    """Make tensors on `d` unless told otherwise; None restores the CPU."""
    _defaults[-1] = cpu if d is None else placed(d)
