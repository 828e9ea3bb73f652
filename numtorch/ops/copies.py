"""The _copy forms: what a view op shows, in memory of its own."""
from __future__ import annotations

from typing import Any

from ..dispatch import into
from ..dtypes import dtype
from ..memory_format import contiguous_format
from . import join, view


def _copy_of(name: str, fn) -> Any:
    def copied(input, *args, out=None, **kwargs):
        got = fn(input, *args, **kwargs)
        got = (tuple(t.clone(contiguous_format) for t in got) if isinstance(got, tuple | list) else
               got.clone(contiguous_format))
        if out is None:
            return got
        result = into(out, got)
        return None if isinstance(got, tuple) else result
    copied.__name__ = copied.__qualname__ = name
    copied.__doc__ = f"What {name.removesuffix('_copy')} shows, in memory of its own."
    return copied


def _shown(input, size):
    """input with another dtype, or another shape (in a copy where no view shows it)."""
    return view.view_(input, size) if isinstance(size, dtype) else view.reshape(input, size)


def _sliced(x, dim=0, start=None, end=None, step=1):
    size = x.shape[dim] if x.ndim else 1
    return view.slice_(x, dim, 0 if start is None else start, size if end is None else end, step)


FUNCTIONS = {f"{name}_copy": _copy_of(f"{name}_copy", fn) for name, fn in {
    "alias": view.alias_view, "as_strided": view.as_strided, "detach": lambda x: x.detach(),
    "diagonal": view.diagonal, "expand": view.expand, "narrow": view.narrow, "permute": view.permute,
    "select": view.select, "squeeze": view.squeeze, "split": join.split,
    "split_with_sizes": join.split_with_sizes, "t": view.t, "transpose": view.transpose,
    "slice": _sliced, "unbind": join.unbind, "unfold": view.unfold, "unsqueeze": view.unsqueeze,
    "view": _shown, "view_as_complex": view.view_as_complex, "view_as_real": view.view_as_real}.items()}
METHODS = {"narrow_copy": FUNCTIONS["narrow_copy"]}
