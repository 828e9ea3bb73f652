"""autocast: a context in which products run in bfloat16 (or float16) and losses in float32.

Which operations, says casts.py. Each thread has its own setting."""
from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .. import casts
from .. import dtypes as D
from ..autograd.modes import state
from ..tensor import Tensor

_DEFAULTS = {"cpu": D.bfloat16, "cuda": D.float16}


class _Settings(threading.local):
    """What set_autocast_enabled and its like were told, per device type."""

    def __init__(self) -> None:
        self.enabled: dict[str, bool] = {}
        self.dtypes: dict[str, D.dtype] = dict(_DEFAULTS)
        self.caching, self.nesting = True, 0
        self.kept: dict = {}

    def apply(self) -> None:
        """Let the dispatcher know."""
        on = {d: self.dtypes[d] for d, yes in self.enabled.items() if yes}
        state.cast = casts.Casting(on, self.caching, self.kept) if on else None


_settings = _Settings()


def _known(device_type: str) -> str:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if device_type not in _DEFAULTS:
        raise RuntimeError(f"User specified an unsupported autocast device_type '{device_type}'")
    return device_type


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast knows the device type."""
    return device_type in _DEFAULTS


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether autocast is on for the device type ("cuda" by default) in this thread."""
    return _settings.enabled.get("cuda" if device_type is None else device_type, False)


def set_autocast_enabled(device_type: str | bool, enabled: bool | None = None) -> None:
    """Turn autocast on or off for a device type ("cuda" where only the flag is given)."""
    if enabled is None:
        device_type, enabled = "cuda", bool(device_type)
    _settings.enabled[_known(device_type)] = bool(enabled)  # type: ignore[arg-type]
    _settings.apply()


def get_autocast_dtype(device_type: str) -> D.dtype:
    """The low precision of a device type."""
    return _settings.dtypes[_known(device_type)]


def set_autocast_dtype(device_type: str, dtype: D.dtype) -> None:
    """Set the low precision of a device type."""
    _settings.dtypes[_known(device_type)] = dtype
    _settings.apply()


def is_autocast_cache_enabled() -> bool:
    """Whether low-precision copies of weights are kept until autocast ends."""
    return _settings.caching


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Keep low-precision copies of weights until autocast ends, or not."""
    _settings.caching = bool(enabled)
    _settings.apply()


def clear_autocast_cache() -> None:
    """Forget the low-precision copies of weights."""
    _settings.kept.clear()


def autocast_increment_nesting() -> int:
    """Count one more autocast context."""
    _settings.nesting += 1
    return _settings.nesting


def autocast_decrement_nesting() -> int:
    """Count one autocast context less."""
    _settings.nesting -= 1
    return _settings.nesting


def is_autocast_cpu_enabled() -> bool:
    """Whether autocast is on for the CPU."""
    return is_autocast_enabled("cpu")


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """Turn autocast on or off for the CPU."""
    set_autocast_enabled("cpu", enabled)


def get_autocast_cpu_dtype() -> D.dtype:
    """The low precision of the CPU."""
    return get_autocast_dtype("cpu")


def set_autocast_cpu_dtype(dtype: D.dtype) -> None:
    """Set the low precision of the CPU."""
    set_autocast_dtype("cpu", dtype)


def get_autocast_gpu_dtype() -> D.dtype:
    """The low precision of CUDA devices."""
    return get_autocast_dtype("cuda")


def set_autocast_gpu_dtype(dtype: D.dtype) -> None:
    """Set the low precision of CUDA devices."""
    set_autocast_dtype("cuda", dtype)


class autocast:
    """Run products in a low precision and losses in float32: a context manager and a decorator."""

    def __init__(self, device_type: str, dtype: D.dtype | None = None, enabled: bool = True,
                 cache_enabled: bool | None = None) -> None:
        self.device = _known(device_type)
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        self._cache_enabled = _settings.caching if cache_enabled is None else cache_enabled
        if enabled and device_type == "cuda":
            from .. import cuda
            if not cuda.is_available():
                warnings.warn("CUDA is not available or torch_xla is imported. Disabling autocast.",
                              stacklevel=2)
                enabled = False
        elif enabled and self.fast_dtype not in (D.bfloat16, D.float16):
            warnings.warn(f"In {device_type.upper()} autocast, but the target dtype is not supported. "
                          f"Disabling "
                          f"autocast.\n{device_type.upper()} Autocast only supports dtypes of "
                          f"torch.bfloat16, "
                          "torch.float16 currently.", stacklevel=2)
            enabled = False
        self._enabled = enabled
        self._before: list[tuple[bool, D.dtype, bool]] = []

    def __enter__(self) -> autocast:
        s = _settings
        self._before.append((is_autocast_enabled(self.device), s.dtypes[self.device], s.caching))
        s.enabled[self.device], s.dtypes[self.device] = self._enabled, self.fast_dtype
        s.caching, s.nesting = self._cache_enabled, s.nesting + 1
        s.apply()
        return self

    def __exit__(self, *exc: Any) -> None:
        s = _settings
        s.nesting -= 1
        if not s.nesting:
            clear_autocast_cache()
        s.enabled[self.device], s.dtypes[self.device], s.caching = self._before.pop()
        s.apply()

    def __call__(self, func: Callable) -> Callable:
        if not callable(func):
            raise TypeError(f"autocast()(func) requires a callable, but got {type(func).__name__}. Did you "
                            f"mean "
                            "to use autocast as a context manager? For example:\n"
                            "    with torch.autocast(device_type=...):\n        output = model(input)")

        @functools.wraps(func)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return func(*args, **kwargs)
        return wrapped


def _cast(value: Any, device_type: str, dtype: D.dtype) -> Any:
    """`value` with the floating tensors of the device in it as `dtype`, float64 excepted."""
    if isinstance(value, Tensor):
        low = value.is_floating_point() and value.device.type == device_type and value.dtype is not D.float64
        return value.to(dtype) if low else value
    if isinstance(value, str | bytes | np.ndarray):
        return value
    if isinstance(value, Mapping):
        return {_cast(k, device_type, dtype): _cast(v, device_type, dtype) for k, v in value.items()}
    if isinstance(value, Iterable):
        parts = (_cast(v, device_type, dtype) for v in value)
        return type(value)(parts) if isinstance(value, list | tuple) else parts
    return value


def custom_fwd(fwd: Callable | None = None, *, device_type: str,
               cast_inputs: D.dtype | None = None) -> Callable:
    """Decorate the `forward` of an autograd Function: with `cast_inputs`, run under autocast as a function of
    such inputs, with autocast off inside."""
    _typed(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        on = is_autocast_enabled(device_type)
        ctx._dtype, ctx._fwd_used_autocast = get_autocast_dtype(device_type), on and cast_inputs is None
        if cast_inputs is None or not on:
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(ctx, *_cast(args, device_type, cast_inputs), **_cast(kwargs, device_type, cast_inputs))
    return forward


def custom_bwd(bwd: Callable | None = None, *, device_type: str) -> Callable:
    """Decorate the `backward` of an autograd Function: it runs under the autocast of its `forward`."""
    _typed(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, enabled=ctx._fwd_used_autocast, dtype=ctx._dtype):
            return bwd(ctx, *args, **kwargs)
    return backward


def _typed(device_type: Any) -> None:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
