"""numtorch: PyTorch's API made of Python.

`import numtorch as torch` in a script written for PyTorch, or `python -m numtorch script.py` with `import
torch` untouched."""
from __future__ import annotations

import math as _math
from typing import TYPE_CHECKING, Any

from . import autograd, devices, dtypes, layouts, ops, types
from .autograd.modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .devices import device, get_default_device, set_default_device
from .dtypes import can_cast, finfo, get_default_dtype, iinfo, promote_types, result_type, set_default_dtype
from .kernels.jit import get_num_threads
from .layouts import Size
from .legacy import STORAGES as _STORAGES
from .legacy import TYPES as _TYPES
from .legacy import TypedStorage, UntypedStorage, set_default_tensor_type
from .memory_format import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    sparse_coo,
    strided,
)
from .tensor import Tensor

if TYPE_CHECKING:  # functions that have a module's name; __getattr__ stands for all others
    compile: Any
    tensor: Any

ops.install()
globals().update(ops.names["torch"])
globals().update({_d.name: _d for _d in dtypes.ALL})
globals().update(dtypes.ALIASES)
globals().update(_TYPES)
globals().update(_STORAGES)
dtype = dtypes.dtype
inf, nan, pi, e, newaxis = _math.inf, _math.nan, _math.pi, _math.e, None

from .printing import set_printoptions
from .random import (
    Generator,
    default_generator,
    fork_rng,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from .runner import install_as_torch
from .settings import (
    _assert,
    are_deterministic_algorithms_enabled,
    compiled_with_cxx11_abi,
    get_deterministic_debug_mode,
    get_float32_matmul_precision,
    get_num_interop_threads,
    is_deterministic_algorithms_warn_only_enabled,
    is_storage,
    is_tensor,
    is_warn_always_enabled,
    numel,
    set_deterministic_debug_mode,
    set_float32_matmul_precision,
    set_flush_denormal,
    set_num_interop_threads,
    set_num_threads,
    set_warn_always,
    typename,
    use_deterministic_algorithms,
)
from . import (
    backends,
    cuda,
    fft,
    linalg,
    nn,
    optim,
    overrides,
    printing,
    random,
    return_types,
    special,
    testing,
    utils,
    version,
)
from .version import __version__

get_printoptions = getattr(printing, "get_printoptions", None)
legacy_contiguous_format, OutOfMemoryError = contiguous_format, cuda.OutOfMemoryError
DisableTorchFunction = overrides.DisableTorchFunction
DisableTorchFunctionSubclass = overrides.DisableTorchFunctionSubclass
Storage = _STORAGES["FloatStorage"]
has_lapack, has_mkl, has_openmp, has_spectral = True, False, False, True


_LAZY = ("_C", "_dynamo", "accelerator", "amp", "autograd", "compiler", "cpu", "distributed", "distributions",
         "export", "func", "futures", "fx", "hub", "jit", "library", "masked", "models", "mps",
         "multiprocessing", "onnx", "profiler", "quantization", "quasirandom", "serialization", "signal",
         "torch_version", "vision", "xpu")
_FROM = {"load": ".serialization", "save": ".serialization", "compile": ".compiler", "vmap": ".func",
         "GradScaler": ".amp", "Future": ".futures", **dict.fromkeys((
             "autocast autocast_decrement_nesting autocast_increment_nesting clear_autocast_cache "
             "get_autocast_cpu_dtype get_autocast_dtype get_autocast_gpu_dtype is_autocast_cache_enabled "
             "is_autocast_cpu_enabled is_autocast_enabled set_autocast_cache_enabled set_autocast_cpu_dtype "
             "set_autocast_cpu_enabled set_autocast_dtype set_autocast_enabled "
             "set_autocast_gpu_dtype").split(),
             ".amp.autocast_mode")}


def __getattr__(name: str):
    """Submodules that are not imported until used; PyTorch's error for what does not exist."""
    import importlib
    if name.startswith("_foreach_"):
        from . import _foreach
        if name[9:] in _foreach.NAMES:
            return _foreach.find(name[9:])
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name], __name__), name)
    if name in _LAZY:
        try:
            return importlib.import_module("." + name, __name__)
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    from .absent import FUNCTIONS, missing
    raise AttributeError(missing(f"module 'torch' has no attribute '{name}'", name, FUNCTIONS, [*globals(),
                                                                                                *_FROM]))


__all__ = [*[_n for _n in globals() if not _n.startswith("_")], *_FROM]
