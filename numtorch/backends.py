"""torch.backends: settings that scripts make; what numtorch does not have says so."""
from __future__ import annotations

import contextlib
import enum
import sys
import types
from collections.abc import Iterator
from typing import Any


class _Backend(types.ModuleType):
    """One back end: attributes may be set; `is_available()` answers whether numtorch has it; `flags(…)` sets
    some of them for a while."""

    def __init__(self, name: str, available: bool, **settings: Any):
        super().__init__(f"{__name__}.{name}")
        self._available = available
        self.__dict__.update(settings)
        sys.modules[self.__name__] = self

    def is_available(self) -> bool:
        """Whether this back end can be used."""
        return self._available

    is_built = is_available

    def set_flags(self, **settings: Any) -> tuple:
        """Set attributes, those given as None excepted; the values they had."""
        settings = {k.lstrip("_"): v for k, v in settings.items()}
        before = tuple([getattr(self, k, None) for k in settings])
        for k, v in settings.items():
            if v is not None:
                setattr(self, k, v)
        return before

    @contextlib.contextmanager
    def flags(self, **settings: Any) -> Iterator[None]:
        """A context in which attributes are set."""
        before = self.set_flags(**settings)
        try:
            yield
        finally:
            self.set_flags(**dict(zip(settings, before)))


class _Choice:
    """A switch of the module `cuda` for one algorithm of attention: enable_NAME_sdp, NAME_sdp_enabled.

    numtorch has one algorithm, which is exact: switches are kept and change nothing."""

    def __init__(self) -> None:
        self.on = True

    def enable(self, enabled: bool) -> None:
        """Allow the algorithm, or not."""
        self.on = bool(enabled)

    def enabled(self) -> bool:
        """Whether the algorithm is allowed."""
        return self.on


class _Library(enum.Enum):
    Default = 0
    Cublas = 1


def _preferred(default: _Library) -> Any:
    def preferred(backend: Any = None) -> _Library:
        """The library in use: numtorch's own, whatever is asked for."""
        return default
    return preferred


_choices = {name: _Choice() for name in ("flash", "mem_efficient", "math", "cudnn")}
_reduction = _Choice()
_reduction.on = False

cudnn = _Backend("cudnn", False, enabled=True, benchmark=False, deterministic=False, allow_tf32=True,
                 benchmark_limit=10, version=lambda: None, is_acceptable=lambda tensor: False,
                 fp32_precision="none", conv=types.SimpleNamespace(fp32_precision="none"),
                 rnn=types.SimpleNamespace(fp32_precision="none"))
cuda = _Backend(
    "cuda", False,
    matmul=types.SimpleNamespace(allow_tf32=False, allow_fp16_reduced_precision_reduction=True,
                                 allow_bf16_reduced_precision_reduction=True, allow_fp16_accumulation=False,
                                 fp32_precision="none"),
    preferred_linalg_library=_preferred(_Library.Default), preferred_blas_library=_preferred(_Library.Cublas),
    allow_fp16_bf16_reduction_math_sdp=_reduction.enable,
    fp16_bf16_reduction_math_sdp_allowed=_reduction.enabled, is_flash_attention_available=lambda: False,
    **{("enable_mem_efficient_sdp" if n == "mem_efficient" else f"enable_{n}_sdp"): c.enable
       for n, c in _choices.items()},
    **{f"{n}_sdp_enabled": c.enabled for n, c in _choices.items()})


@contextlib.contextmanager
def _sdp_kernel(enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True,
                enable_cudnn: bool = True) -> Iterator[dict[str, bool]]:
    """A context in which algorithms of attention are allowed or not."""
    wanted = {"flash": enable_flash, "math": enable_math, "mem_efficient": enable_mem_efficient,
              "cudnn": enable_cudnn}
    before = {n: c.on for n, c in _choices.items()}
    for n, on in wanted.items():
        _choices[n].enable(on)
    try:
        yield {}
    finally:
        for n, on in before.items():
            _choices[n].enable(on)


cuda.sdp_kernel = _sdp_kernel  # type: ignore[attr-defined]
mkl, mkldnn = _Backend("mkl", False), _Backend("mkldnn", False, enabled=False)
openmp, opt_einsum = _Backend("openmp", False), _Backend("opt_einsum", False, enabled=False, strategy=None)
mps = _Backend("mps", False, is_macos13_or_newer=lambda minor=0: False)
cpu = _Backend("cpu", True, get_cpu_capability=lambda: "DEFAULT")
miopen, nnpack = _Backend("miopen", False, immediate=False), _Backend("nnpack", False)
kleidiai, cusparselt = _Backend("kleidiai", False), _Backend("cusparselt", False, version=lambda: None)
quantized = _Backend("quantized", True, engine="none", supported_engines=["none"])
