"""The thin rest of PyTorch's surface: questions about tensors, in-place functions, older spellings, what
strided tensors answer for other layouts, and functions that PyTorch removed."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import devices
from .. import dtypes as D
from ..autograd import anomaly
from ..dispatch import written
from ..kinds import composite
from ..tensor import Tensor, ndarray_of
from .lapack import vander as powers
from .linalg import matrix_norm, vector_norm
from .padding import channel_shuffle
from .pool import adaptive_max_pool1d_with_indices

# torch.NAME_(x, …): the in-place methods that PyTorch has as functions too.
IN_PLACE = """abs acos acosh addmv arccos arccosh arcsin arcsinh arctan arctanh as_strided asin asinh atan
    atanh ceil clamp clamp_max clamp_min clip conj_physical cos cosh deg2rad detach erf erfc exp exp2 expm1
    fix floor frac gcd i0 lcm ldexp log log10 log1p log2 logit nan_to_num neg negative rad2deg reciprocal
    relu round rsqrt sigmoid sin sinc sinh sqrt square tan tanh trunc xlogy""".split()


def _checked(name: str, x) -> Tensor:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")
    return x


# -------------------------------------------------------------------------------------------------- questions
def is_nonzero(input) -> bool:
    """Whether the one element is not zero. RuntimeError for tensors of another size."""
    return bool(_checked("is_nonzero", input))


def is_signed(input) -> bool:
    """Whether the dtype holds negative numbers."""
    return _checked("is_signed", input).dtype.is_signed


def is_floating_point(input) -> bool:
    """Whether the dtype is a floating type."""
    return _checked("is_floating_point", input).dtype.is_floating_point


def is_complex(input) -> bool:
    """Whether the dtype is complex."""
    return _checked("is_complex", input).dtype.is_complex


def is_conj(input) -> bool:
    """False: conjugation is done at once."""
    return _checked("is_conj", input).is_conj()


def is_neg(input) -> bool:
    """False: negation is done at once."""
    return _checked("is_neg", input).is_neg()


def is_inference(input) -> bool:
    """Whether the tensor was made under inference_mode."""
    return _checked("is_inference", input).is_inference()


def is_distributed(input) -> bool:
    """False: no tensor is spread over machines."""
    _checked("is_distributed", input)
    return False


def is_same_size(input, other) -> bool:
    """Whether the shapes are equal."""
    return _checked("is_same_size", input).shape == other.shape


def get_device(input) -> int:
    """The CUDA device index, −1 on the CPU."""
    return _checked("get_device", input).get_device()


def detach(input) -> Tensor:
    """The same memory, outside the tape."""
    return _checked("detach", input).detach()


def is_anomaly_enabled() -> bool:
    """Whether backward's results are checked."""
    return anomaly.enabled()


def is_anomaly_check_nan_enabled() -> bool:
    """Whether that check looks for NaN."""
    return bool(anomaly._state["nan"])


def dim_order(self, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """The dimensions by falling stride: their order in memory. With `ambiguity_check`, RuntimeError where a
    stride says nothing about it."""
    sizes, strides = self.layout.shape, self.layout.strides
    if ambiguity_check and any(n <= 1 or strides.count(s) > 1 for n, s in zip(sizes, strides)):
        raise RuntimeError("The tensor does not have unique dim order, or cannot map to exact one of the "
                           "given memory formats.")
    return tuple(sorted(range(len(sizes)), key=lambda d: (-strides[d], -sizes[d], d)))


def _is_all_true(self) -> Tensor:
    """all() of a bool tensor."""
    return self.all()


def _is_any_true(self) -> Tensor:
    """any() of a bool tensor."""
    return self.any()


# ------------------------------------------------------------------------------ what a strided tensor answers
def dense_dim(self) -> int:
    """All dimensions are dense."""
    return self.ndim


def sparse_dim(self) -> int:
    """No dimension is sparse."""
    return 0


def to_dense(self, dtype=None, *, masked_grad=None) -> Tensor:
    """x itself, in another type if asked: it is dense."""
    return self if dtype is None else self.to(dtype)


def dequantize(input) -> Tensor:
    """x as float32: it is not quantized."""
    return input.float()


def _only_sparse(name: str, layout: str):
    def method(self):
        raise RuntimeError(f"{name} expected sparse {layout} layout but got Strided")
    method.__name__, method.__doc__ = name, "RuntimeError: numtorch has strided tensors only."
    return method


# -------------------------------------------------------------------------------------------- older spellings
def resize(self, *sizes) -> Tensor:
    """A view or copy with that many elements (older spelling of view and reshape)."""
    return self.reshape(*sizes)


def resize_as(self, tensor) -> Tensor:
    """x in the shape of `tensor` (older spelling)."""
    return self.reshape(tensor.shape)


def unsafe_split_with_sizes(input, split_sizes, dim: int = 0):
    """split into copies of those sizes."""
    return tuple(part.clone() for part in input.split(split_sizes, dim))


def map2_(self, x, y, callable) -> Tensor:
    """Replace each element by `callable(element, of x, of y)` (slow: Python, CPU only)."""
    a, b, c = ndarray_of(self), ndarray_of(x.expand_as(self)), ndarray_of(y.expand_as(self))
    for i in range(a.size):
        a.flat[i] = callable(a.flat[i].item(), b.flat[i].item(), c.flat[i].item())
    written(self, None)
    return self


def const_data_ptr(self) -> int:
    """The address of the first element."""
    return self.data_ptr()


def storage_type(self) -> type:
    """The type of x.storage(): torch.FloatStorage and so on."""
    from ..legacy import STORAGES
    return STORAGES[D.TITLES[self.dtype.name] + "Storage"]


def _elsewhere(name: str, error: type[Exception], words: str):
    def method(self, *args, **kwargs):
        raise error(words)
    method.__name__, method.__doc__ = name, f"{error.__name__}: there are no such devices here."
    return method


def _removed(name: str, hint: str):
    def function(*args, **kwargs):
        raise RuntimeError("This function was deprecated since version 1.9 and is now removed." + hint)
    function.__name__, function.__doc__ = name, "RuntimeError: PyTorch removed it."
    return function


REMOVED = {
    "matrix_rank": "",
    "solve": " `torch.solve` is deprecated in favor of `torch.linalg.solve`. `torch.linalg.solve` has its "
             "arguments reversed and does not return the LU factorization.",
    "lstsq": " `torch.lstsq` is deprecated in favor of `torch.linalg.lstsq`.",
    "eig": " `torch.linalg.eig` returns complex tensors of dtype `cfloat` or `cdouble` rather than real "
           "tensors mimicking complex tensors.",
    "symeig": " The default behavior has changed from using the upper triangular portion of the matrix by "
              "default to using the lower triangular portion."}
removed = {name: _removed(name, hint) for name, hint in REMOVED.items()}


# ---------------------------------------------------------------------------------------- numbers for symbols
def sym_int(a) -> int:
    """a as an int, towards zero."""
    return math.trunc(a)


def sym_float(a) -> float:
    """a as a float."""
    return float(a)


def sym_not(a) -> bool:
    """not a."""
    return not a


def sym_max(a, b):
    """The greater."""
    return max(a, b)


def sym_min(a, b):
    """The lesser."""
    return min(a, b)


def sym_sum(args):
    """The sum."""
    return sum(args)


def sym_ite(b, t, f):
    """t if b else f."""
    return t if b else f


def sym_sqrt(a) -> float:
    """√a."""
    return math.sqrt(a)


# -------------------------------------------------------------------------------------------------- functions
def vander(x, N=None, increasing=False) -> Tensor:
    """out[i, j] = x[i]^(N − 1 − j), or x[i]^j where `increasing`."""
    if x.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    n = x.shape[0] if N is None else N
    out = x.new_ones((x.shape[0], n)) if n <= 1 else powers(x, N=n)
    return out if increasing else out.flip(1)


@composite(at=("torch",))
def nuclear_norm(x, dim=(-2, -1), keepdim=False):
    "The sum of the singular values."
    return matrix_norm(x, "nuc", tuple(dim), keepdim)


@composite(at=("torch",))
def frobenius_norm(x, dim=None, keepdim=False):
    "√Σ |x|²."
    return vector_norm(x, 2, dim, keepdim)


@composite(at=("torch",))
def norm_except_dim(v, pow=2, dim=0):
    "The norm of v over all dimensions but one (−1: over all)."
    if dim == -1:
        return v.norm(pow)
    return vector_norm(v, pow, [d for d in range(v.ndim) if d != dim % v.ndim], True)


def adaptive_max_pool1d(input, output_size):
    """(maxima, their indices) of bins of equal width."""
    return adaptive_max_pool1d_with_indices(input, output_size)


def _false(*args) -> bool:
    """False: there is no such backend."""
    return False


def from_file(filename, shared=None, size=0, *, dtype=None, layout=None, device=None, pin_memory=False,
              requires_grad=False) -> Tensor:
    """A tensor of `size` elements mapped from a file; with `shared`, writes reach the file, which grows to
    the size where it is smaller."""
    from ..tensor import tensor_from
    from .create import finish
    d = dtype or D._default
    if shared:
        with open(filename, "ab") as f:
            have, want = f.tell(), size * d.itemsize
            if have < want:
                f.truncate(want)
    # A base-class view of the map: kernels take exactly ndarrays; the view keeps the map open.
    a = np.asarray(np.memmap(filename, d.numpy, "r+" if shared else "c", shape=(size,)))
    t = tensor_from(a, d)
    return finish(t if device is None else t.to(devices.placed(device)), requires_grad)


QUESTIONS: dict[str, Any] = {f.__name__: f for f in (
    is_nonzero, is_signed, is_floating_point, is_complex, is_conj, is_neg, is_inference, is_distributed,
    is_same_size, get_device, detach)}
FUNCTIONS = {**QUESTIONS, **removed, **{f.__name__: f for f in (
    is_anomaly_enabled, is_anomaly_check_nan_enabled, dequantize, unsafe_split_with_sizes, sym_int, sym_float,
    sym_not, sym_max, sym_min, sym_sum, sym_ite, sym_sqrt, from_file, vander,
    adaptive_max_pool1d)},
    "is_vulkan_available": _false, "cudnn_is_acceptable": _false,
    "native_channel_shuffle": channel_shuffle}
METHODS = {"is_nonzero": is_nonzero, "is_same_size": is_same_size, "is_distributed": is_distributed,
           **{n: f for n, f in removed.items() if n != "matrix_rank"}, **{f.__name__: f for f in (
               dim_order, _is_all_true, _is_any_true, dense_dim, sparse_dim, to_dense, dequantize, resize,
               resize_as, unsafe_split_with_sizes, map2_, const_data_ptr, storage_type)},
           **{n: _only_sparse(n, "coordinate tensor") for n in ("indices", "coalesce", "is_coalesced")},
           "values": _only_sparse("values", "tensor"),
           "xpu": _elsewhere("xpu", AssertionError, "Torch not compiled with XPU enabled"),
           "ipu": _elsewhere("ipu", RuntimeError, "PyTorch is not linked with support for ipu devices"),
           "mtia": _elsewhere("mtia", RuntimeError, "PyTorch is not linked with support for mtia devices"),
           "reinforce": _elsewhere("reinforce", RuntimeError, "reinforce() was removed.")}
