"""Process-wide settings and small questions about values, by PyTorch's names."""
from __future__ import annotations

from . import overrides
from .kernels import jit
from .tensor import Tensor

_state = {"deterministic": False, "warn_only": False, "precision": "highest", "warn_always": False}


def set_num_threads(n: int) -> None:
    """Use up to `n` threads for one operation (BLAS included)."""
    if not isinstance(n, int):
        raise TypeError(f"set_num_threads expects an int, but got {type(n).__name__}")
    if n <= 0:
        raise RuntimeError("set_num_threads expects a positive integer")
    jit.set_num_threads(n)


def get_num_interop_threads() -> int:
    """Operations run one after another: 1."""
    return 1


def set_num_interop_threads(n: int) -> None:
    """Accepted; operations run one after another."""


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted: numtorch's algorithms are deterministic always."""
    _state["deterministic"], _state["warn_only"] = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """What use_deterministic_algorithms was told."""
    return bool(_state["deterministic"])


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether use_deterministic_algorithms was told to warn only."""
    return bool(_state["deterministic"] and _state["warn_only"])


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """use_deterministic_algorithms by number or name: 0 "default", 1 "warn", 2 "error"."""
    if not isinstance(debug_mode, int | str):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    modes = ("default", "warn", "error")
    if isinstance(debug_mode, str):
        if debug_mode not in modes:
            raise RuntimeError("invalid value of debug_mode, expected one of `default`, `warn`, `error`, but "
                               f"got {debug_mode}")
        debug_mode = modes.index(debug_mode)
    if debug_mode not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}")
    use_deterministic_algorithms(debug_mode > 0, warn_only=debug_mode == 1)


def get_deterministic_debug_mode() -> int:
    """0, 1 or 2 (see set_deterministic_debug_mode)."""
    return 0 if not _state["deterministic"] else 1 if _state["warn_only"] else 2


def compiled_with_cxx11_abi() -> bool:
    """True, as PyTorch's builds answer; nothing here is C++."""
    return True


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted: products of float32 matrices are computed in float32 always."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"{precision} is not one of 'highest', 'high', or 'medium'")
    _state["precision"] = precision


def get_float32_matmul_precision() -> str:
    """What set_float32_matmul_precision was told."""
    return str(_state["precision"])


def set_warn_always(b: bool) -> None:
    """Accepted: Python's warning filters decide."""
    _state["warn_always"] = bool(b)


def is_warn_always_enabled() -> bool:
    """What set_warn_always was told."""
    return bool(_state["warn_always"])


def set_flush_denormal(mode: bool) -> bool:
    """False: denormal numbers are kept."""
    return False


def is_tensor(obj) -> bool:
    """Whether obj is a Tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj) -> bool:
    """Whether obj is a storage."""
    from .legacy import TypedStorage, UntypedStorage
    return isinstance(obj, TypedStorage | UntypedStorage)


def numel(input: Tensor) -> int:
    """The number of elements."""
    return input.layout.numel


def _assert(condition, message: str) -> None:
    """`assert condition, message` as a function: it can be traced (torch.fx)."""
    if type(condition) is not bool and overrides.has_torch_function((condition,)):
        return overrides.handle_torch_function(_assert, (condition,), condition, message)
    assert condition, message


def typename(obj) -> str:
    """The name of obj's type, 'torch.FloatTensor' for tensors."""
    if isinstance(obj, Tensor):
        return obj.type()
    module = getattr(obj, "__module__", "") or ""
    name = getattr(obj, "__qualname__", None)
    if name is None:
        return typename(type(obj))
    return f"{module}.{name}" if module and module not in ("builtins", "__builtin__") else name
