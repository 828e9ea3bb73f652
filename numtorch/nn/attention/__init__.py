"""torch.nn.attention: which algorithms scaled dot product attention may use. numtorch has one, which is
exact:
choices are kept and change nothing."""
from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator

from ...backends import cuda as _switches

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(enum.IntEnum):
    """PyTorch's algorithms."""
    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


_NAMES = {SDPBackend.MATH: "math", SDPBackend.FLASH_ATTENTION: "flash",
          SDPBackend.EFFICIENT_ATTENTION: "mem_efficient", SDPBackend.CUDNN_ATTENTION: "cudnn"}


@contextlib.contextmanager
def sdpa_kernel(backends: list[SDPBackend] | SDPBackend, set_priority: bool = False) -> Iterator[None]:
    """A context in which only these algorithms are allowed."""
    if not isinstance(backends, list | SDPBackend):
        raise AssertionError("Backend must be an instance of SDPBackend or a list of SDPBackend instances")
    wanted = [backends] if isinstance(backends, SDPBackend) else backends
    before = {n: getattr(_switches, f"{n}_sdp_enabled")() for n in _NAMES.values()}
    _allow({n: b in wanted for b, n in _NAMES.items()})
    try:
        yield
    finally:
        _allow(before)


def _allow(switches: dict[str, bool]) -> None:
    for name, on in switches.items():
        getattr(_switches, f"enable_{name}_sdp")(on)


def __getattr__(name: str):
    if name == "flex_attention":
        import importlib
        return importlib.import_module("." + name, __name__)
    raise AttributeError(f"module 'torch.nn.attention' has no attribute '{name}'")
