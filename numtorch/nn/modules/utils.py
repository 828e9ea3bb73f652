"""Arguments as layers take them: one number or one per dimension."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from itertools import repeat
from typing import Any

from ... import Tensor
from ... import device as Device
from ... import dtype as DType

__all__ = ["consume_prefix_in_state_dict_if_present"]


def _ntuple(n: int, name: str = "parse") -> Any:
    def parse(x: Any) -> tuple:
        return tuple(x) if isinstance(x, Iterable) else tuple(repeat(x, n))

    parse.__name__ = name
    return parse


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")


def _reverse_repeat_tuple(values: tuple, n: int) -> tuple:
    """Return the values from last to first, each n times: F.pad's order from a per-dimension padding."""
    return tuple(x for x in reversed(values) for _ in range(n))


def _list_with_default(out_size: Any, defaults: Any) -> Any:
    """Fill the Nones of out_size from the last sizes of `defaults`."""
    if isinstance(out_size, int):
        return out_size
    if len(defaults) <= len(out_size):
        raise ValueError(f"Input dimension should be at least {len(out_size) + 1}")
    return [d if v is None else v for v, d in zip(out_size, defaults[-len(out_size) :])]


def _parse_to(*args: Any, **kwargs: Any) -> tuple:
    """Read the arguments of `to`: (device, dtype, non_blocking), (dtype, non_blocking) or (tensor, ...)."""
    names: tuple[str, ...] = ("device", "dtype", "non_blocking", "copy")
    values: dict[str, Any] = dict(device=None, dtype=None, non_blocking=False, copy=False, memory_format=None)
    given, keywords = args, kwargs
    if args and isinstance(args[0], DType):
        names = names[1:]
    elif args and isinstance(args[0], Tensor) or "tensor" in kwargs:
        other = args[0] if args and isinstance(args[0], Tensor) else kwargs["tensor"]
        args = args[1:] if "tensor" not in kwargs else args
        kwargs = {"device": other.device, "dtype": other.dtype} | {
            k: v for k, v in kwargs.items() if k != "tensor"
        }
        names = names[2:]
    bad = len(args) > len(names) or any(k not in values for k in kwargs)
    for name, value in zip(names, args):
        bad = bad or name in kwargs
        values[name] = value
    values.update(kwargs)
    device, dtype = values["device"], values["dtype"]
    bad = bad or not (device is None or isinstance(device, (str, int, Device)))
    if bad or not (dtype is None or isinstance(dtype, DType)):
        got = [type(a).__name__ for a in given] + [f"{k}={type(v).__name__}" for k, v in keywords.items()]
        raise TypeError(
            f"to() received an invalid combination of arguments - got ({', '.join(got)}), "
            "but expected one of:\n"
            " * (torch.device device = None, torch.dtype dtype = None, bool non_blocking = False, "
            "bool copy = False, *, torch.memory_format memory_format = None)\n"
            " * (torch.dtype dtype, bool non_blocking = False, bool copy = False, *, "
            "torch.memory_format memory_format = None)\n"
            " * (Tensor tensor, bool non_blocking = False, bool copy = False, *, "
            "torch.memory_format memory_format = None)\n"
        )
    if device is not None and not isinstance(device, Device):
        device = Device(device) if isinstance(device, str) else Device("cuda", device)
    return device, dtype, values["non_blocking"], values["memory_format"]


def consume_prefix_in_state_dict_if_present(state_dict: dict[str, Any], prefix: str) -> None:
    """Take `prefix` off the keys of state_dict that begin with it, in place, keeping the order."""
    for key in list(state_dict.keys()):
        if key.startswith(prefix):
            state_dict[key[len(prefix) :]] = state_dict.pop(key)
    metadata = getattr(state_dict, "_metadata", None)
    if metadata is None:
        return
    renamed: Any = OrderedDict()
    for key, value in metadata.items():
        if not key:  # the root's entry stays where it is
            renamed[key] = value
        elif key == prefix.replace(".", ""):
            renamed[""] = value
        elif key.startswith(prefix):
            renamed[key[len(prefix) :]] = value
        else:
            renamed[key] = value
    metadata.clear()
    metadata.update(renamed)
