"""gradcheck and gradgradcheck: recorded gradients against finite differences."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..tensor import Tensor, ndarray_of
from .engine import grad


class GradcheckError(RuntimeError):
    """A gradient that finite differences do not confirm."""


def _numerical(fn: Callable, xs: list, x: Tensor, eps: float) -> list[np.ndarray]:
    """d outputs / d x by central differences: one (x.numel, out.numel) matrix per output."""
    columns: list[list[np.ndarray]] = []
    steps = [eps] if not x.dtype.is_complex else [eps, 1j * eps]
    data = x.data
    flat = ndarray_of(data)
    for index in np.ndindex(flat.shape):
        keep = flat[index]
        total = None
        for step in steps:
            flat[index] = keep + step
            up = _outputs(fn, xs)
            flat[index] = keep - step
            down = _outputs(fn, xs)
            flat[index] = keep
            d = [(a - b).reshape(-1) / (2 * eps) for a, b in zip(up, down)]
            total = d if total is None else [t + 1j * e for t, e in zip(total, d)]
        columns.append(total or [])
    return [np.array([c[k] for c in columns]) for k in range(len(columns[0]))] if columns else []


def _outputs(fn: Callable, xs: list) -> list[np.ndarray]:
    return [ndarray_of(y.detach()).astype(complex if y.dtype.is_complex else float) for y in _listed(fn(*xs))]


def _listed(out) -> list[Tensor]:
    return [o for o in (out if isinstance(out, tuple | list) else (out,))
            if isinstance(o, Tensor) and (o.dtype.is_floating_point or o.dtype.is_complex)]


def gradcheck(func: Callable, inputs, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
              raise_exception: bool = True, nondet_tol: float = 0.0, check_undefined_grad: bool = True,
              check_grad_dtypes: bool = False, check_batched_grad: bool = False,
              check_batched_forward_grad: bool = False, check_forward_ad: bool = False,
              check_backward_ad: bool = True, fast_mode: bool = False, masked: bool | None = None) -> bool:
    """Whether |gradient − numerical| ≤ atol + rtol · |numerical|, by central differences of step `eps`.

    Inputs that require grad should be float64. GradcheckError otherwise (False without raise_exception)."""
    xs = list(inputs) if isinstance(inputs, tuple | list) else [inputs]
    checked = [(i, x) for i, x in enumerate(xs) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of the "
                         "them have requires_grad=True.")
    for i, x in checked:
        if x.dtype.name not in ("float64", "complex128"):
            import warnings
            warnings.warn(f"Input #{i} requires gradient and is not a double precision floating point or "
                          "complex. This check will likely fail if all the inputs are not of double "
                          "precision floating point or complex. ",
                          stacklevel=2)
    try:
        for i, x in checked:
            numerical = _numerical(func, xs, x, eps)
            outs = _listed(func(*xs))
            if not any(o.requires_grad for o in outs):
                continue
            for k, y in enumerate(outs):
                _compare(i, x, k, y, numerical[k] if numerical else np.zeros((0, y.numel())), atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _pulled(y: Tensor, x: Tensor, j: int, weight: complex) -> Any:
    """The gradient for x, flat, of element j of y with cotangent `weight`."""
    from ..ops.create import zeros_like
    v = zeros_like(y)
    ndarray_of(v).reshape(-1)[j] = weight
    (g,) = grad(y, x, v, retain_graph=True, allow_unused=True)
    return 0 if g is None else ndarray_of(g.detach()).reshape(-1)


def _compare(i, x, k, y, numerical, atol, rtol) -> None:
    complex_numbers = x.dtype.is_complex or y.dtype.is_complex
    analytical = np.zeros((x.numel(), y.numel()), complex if complex_numbers else float)
    if y.requires_grad:
        for j in range(y.numel()):
            if y.dtype.is_complex:
                # Cotangents 1 and i give the two real directions of the output; the numerical matrix is dy.
                a, b = _pulled(y, x, j, 1.0), _pulled(y, x, j, 1j)
                if x.dtype.is_complex:
                    analytical[:, j] = np.real(a) + 1j * np.real(b) + 1j * (np.imag(a) + 1j * np.imag(b))
                else:
                    analytical[:, j] = np.real(a) + 1j * np.real(b)
            else:
                analytical[:, j] = _pulled(y, x, j, 1.0)
    if not np.allclose(analytical, numerical, rtol, atol, equal_nan=True):
        raise GradcheckError(f"Jacobian mismatch for output {k} with respect to input {i},\n"
                             f"numerical:{numerical}\nanalytical:{analytical}\n")


def gradgradcheck(func: Callable, inputs, grad_outputs=None, *, eps: float = 1e-6, atol: float = 1e-5,
                  rtol: float = 1e-3, gen_non_contig_grad_outputs: bool = False, raise_exception: bool = True,
                  nondet_tol: float = 0.0, check_undefined_grad: bool = True, check_grad_dtypes: bool = False,
                  check_batched_grad: bool = False, check_fwd_over_rev: bool = False,
                  check_rev_over_rev: bool = True, fast_mode: bool = False, masked: bool = False) -> bool:
    """gradcheck of the gradient of `func`: its second derivatives."""
    xs = list(inputs) if isinstance(inputs, tuple | list) else [inputs]
    outs = _listed(func(*xs))
    if grad_outputs is None:
        from ..random import fork_rng
        with fork_rng():
            grad_outputs = [o.detach().clone().normal_().requires_grad_() for o in outs]
    vs = list(grad_outputs) if isinstance(grad_outputs, tuple | list) else [grad_outputs]

    def first(*args):
        inner = args[:len(xs)]
        ys = _listed(func(*inner))
        wanted = [t for t in inner if isinstance(t, Tensor) and t.requires_grad]
        gs = grad(ys, wanted, args[len(xs):], create_graph=True, allow_unused=True)
        return tuple(g for g in gs if g is not None)
    return gradcheck(first, [*xs, *vs], eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception)
