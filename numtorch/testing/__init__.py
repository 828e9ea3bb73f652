"""torch.testing: comparisons of tensors that say where they differ."""
from __future__ import annotations

import numpy as np

from ..tensor import Tensor, ndarray_of

# PyTorch's tolerances by dtype: (relative, absolute).
_TOLERANCE = {"float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5),
              "float64": (1e-7, 1e-7), "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7)}


def assert_close(actual, expected, *, rtol=None, atol=None, equal_nan=False, check_device=True,
                 check_dtype=True, check_layout=True, check_stride=False, allow_subclasses=True,
                 msg=None) -> None:
    """AssertionError unless |actual − expected| ≤ atol + rtol · |expected| everywhere.

    Sequences and mappings are compared item by item."""
    options = {"rtol": rtol, "atol": atol, "equal_nan": equal_nan, "check_dtype": check_dtype, "msg": msg}
    if isinstance(expected, dict):
        if set(actual) != set(expected):
            raise AssertionError(f"The keys of the mappings do not match: {sorted(actual)} and "
                                 f"{sorted(expected)}")
        for k in expected:
            assert_close(actual[k], expected[k], **options)
        return
    if isinstance(expected, list | tuple):
        if len(actual) != len(expected):
            raise AssertionError(f"The length of the sequences do not match: {len(actual)} != "
                                 f"{len(expected)}")
        for a, b in zip(actual, expected):
            assert_close(a, b, **options)
        return
    if isinstance(actual, Tensor) and isinstance(expected, Tensor):
        for name, checked, x, y in (("shape", True, actual.shape, expected.shape),
                                    ("dtype", check_dtype, actual.dtype, expected.dtype),
                                    ("stride()", check_stride, actual.stride(), expected.stride())):
            if checked and x != y:
                raise AssertionError(f"The values for attribute '{name}' do not match: {x} != {y}.")
    tensors = [v for v in (actual, expected) if isinstance(v, Tensor)]
    kinds = [_TOLERANCE.get(t.dtype.name, (0.0, 0.0)) for t in tensors] or [(1e-7, 1e-7)]
    if (rtol is None) != (atol is None):
        raise ValueError("Both 'rtol' and 'atol' must be either specified or unspecified.")
    rtol = max(k[0] for k in kinds) if rtol is None else rtol
    atol = max(k[1] for k in kinds) if atol is None else atol
    a, b = (np.asarray(ndarray_of(_wide(v)) if isinstance(v, Tensor) else v) for v in (actual, expected))
    kind = np.complex128 if a.dtype.kind == "c" or b.dtype.kind == "c" else np.float64
    exact = a.dtype.kind in "biu" and b.dtype.kind in "biu"
    with np.errstate(all="ignore"):
        x, y = (a, b) if exact else (a.astype(kind), b.astype(kind))
        good = (x == y) | (np.abs(x - y) <= atol + rtol * np.abs(y)) if not exact else x == y
        if equal_nan and not exact:
            good = good | (np.isnan(x) & np.isnan(y))
    if not np.all(good):
        bad = int(good.size - np.count_nonzero(good))
        with np.errstate(all="ignore"):
            diff = np.abs(x.astype(kind) - y.astype(kind))
        text = ("Tensor-likes are not close!\n\n"
                f"Mismatched elements: {bad} / {good.size} ({100 * bad / good.size:.1f}%)\n"
                f"Greatest absolute difference: {np.nanmax(diff) if diff.size else 0} (up to {atol} allowed)")
        raise AssertionError(msg(text) if callable(msg) else msg or text)


def _wide(t: Tensor) -> Tensor:
    t = t.detach().cpu()
    return t.float() if t.dtype.name == "bfloat16" else t


def make_tensor(*shape, dtype, device="cpu", low=None, high=None, requires_grad=False, noncontiguous=False,
                exclude_zero=False, memory_format=None) -> Tensor:
    """A tensor of uniform random numbers in [low, high), by default −9 … 9 (0 … 9 for unsigned types)."""
    from .. import rand, randint
    shape = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], list | tuple) else shape
    if dtype.name == "bool":
        t = randint(0, 2, shape, device=device).to(dtype)
    elif not dtype.is_floating_point and not dtype.is_complex:
        least = -9 if low is None and dtype.is_signed else int(low or 0)
        t = randint(least, 10 if high is None else int(high), shape, device=device).to(dtype)
    else:
        lo, hi = -9 if low is None else low, 9 if high is None else high
        t = rand(shape, dtype=dtype, device=device) * (hi - lo) + lo
    if exclude_zero:
        t[t == 0] = 1
    return t.requires_grad_(requires_grad)


def assert_allclose(actual, expected, rtol=None, atol=None, equal_nan=True, msg="") -> None:
    """assert_close of what need not be tensors, of any dtypes (deprecated)."""
    import warnings

    from .. import as_tensor
    warnings.warn("`torch.testing.assert_allclose()` is deprecated since 1.12 and will be removed in a "
                  "future "
                  "release. Please use `torch.testing.assert_close()` instead.", FutureWarning, stacklevel=2)
    actual = as_tensor(actual)
    expected = as_tensor(expected, dtype=actual.dtype)
    assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, msg=msg or None)
