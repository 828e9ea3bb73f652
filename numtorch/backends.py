"""torch.backends: settings that scripts make; what numtorch does not have says so."""
from __future__ import annotations

import sys
import types


class _Backend(types.ModuleType):
    """One back end: attributes may be set; `is_available()` answers whether numtorch has it."""

    def __init__(self, name: str, available: bool, **settings):
        super().__init__(f"{__name__}.{name}")
        self._available = available
        self.__dict__.update(settings)
        sys.modules[self.__name__] = self

    def is_available(self) -> bool:
        """Whether this back end can be used."""
        return self._available

    is_built = is_available


cudnn = _Backend("cudnn", False, enabled=True, benchmark=False, deterministic=False, allow_tf32=True,
                 version=lambda: None)
cuda = _Backend("cuda", False, matmul=types.SimpleNamespace(
    allow_tf32=False, allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True))
mkl, mkldnn = _Backend("mkl", False), _Backend("mkldnn", False, enabled=False)
openmp, mps = _Backend("openmp", False), _Backend("mps", False)
opt_einsum = _Backend("opt_einsum", False, enabled=False)
cpu = _Backend("cpu", True, get_cpu_capability=lambda: "DEFAULT")
