"""How tensors print: the same characters as PyTorch's repr.

One column width per tensor, taken from the numbers that are shown. Floats print as integers ("3.") where all
shown are whole, in scientific notation where their range asks for it, else with `precision` decimals."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .dtypes import halves


@dataclass
class PrintOptions:
    """precision: decimals; threshold: elements from which a tensor is summarised; edgeitems: shown at each
    end; linewidth: columns; sci_mode: True, False, or None to let the range decide."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


options = PrintOptions()
_PROFILES = {"default": (4, 1000, 3, 80), "short": (2, 1000, 2, 80), "full": (4, math.inf, 3, 80)}


def set_printoptions(precision: int | None = None, threshold: float | None = None,
                     edgeitems: int | None = None, linewidth: int | None = None,
                     profile: str | None = None, sci_mode: bool | None = None) -> None:
    """Set how tensors print; `profile` ("default", "short", "full") first, then what is given by name.

    `sci_mode` is set by every call: without it the range of the numbers decides again."""
    o = options
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"set_printoptions(): profile must be one of {', '.join(_PROFILES)}, got "
                             f"{profile!r}")
        o.precision, o.threshold, o.edgeitems, o.linewidth = _PROFILES[profile]
    if precision is not None:
        o.precision = precision
    if threshold is not None:
        o.threshold = threshold
    if edgeitems is not None:
        o.edgeitems = edgeitems
    if linewidth is not None:
        o.linewidth = linewidth
    o.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The print options by name."""
    return dict(vars(options))


class printoptions:
    """Context in which other print options hold: `with printoptions(precision=2): print(x)`."""

    def __init__(self, **given):
        self.given = given

    def __enter__(self) -> None:
        self.before = get_printoptions()
        set_printoptions(**{"sci_mode": self.before["sci_mode"], **self.given})

    def __exit__(self, *exc) -> None:
        vars(options).update(self.before)


# ------------------------------------------------------------------------------------------ one number
class Column:
    """The common format of all the real numbers of a tensor: `width` and a style."""

    def __init__(self, values: np.ndarray):
        self.width, self.style = 1, "text"
        if values.dtype.kind != "f":
            self.width = max([1, *[len(str(v)) for v in values.ravel().tolist()]])
            return
        self.style = "whole"
        shown = values.ravel()
        shown = shown[np.isfinite(shown) & (shown != 0)].astype(np.float64)
        if shown.size == 0:
            return
        least, most = float(np.abs(shown).min()), float(np.abs(shown).max())
        whole = bool((shown == np.ceil(shown)).all())
        if options.sci_mode is None:
            # A float32 of at least 1e-45 and at most 4e38: the quotient fits in a float64.
            scientific = most / least > 1000.0 or most > 1.0e8 or least < 1.0e-4
        else:
            scientific = options.sci_mode
        self.style = "e" if scientific else "whole" if whole else "f"
        self.width = max([1, *[len(self._text(v)) for v in shown.tolist()]])

    def _text(self, v) -> str:
        if self.style == "text":
            return str(v)
        if self.style == "whole":
            return f"{v:.0f}" + ("." if math.isfinite(v) else "")
        return f"{v:.{options.precision}{self.style}}"

    def show(self, v) -> str:
        """`v`, right-justified to the column's width."""
        return self._text(v).rjust(self.width)


class Columns:
    """Real and imaginary columns of a complex tensor: `1.0000+2.0000j`."""

    def __init__(self, values: np.ndarray):
        self.re, self.im = Column(values.real), Column(values.imag)
        self.width = self.re.width + self.im.width + 1

    def show(self, v: complex) -> str:
        im = self.im.show(v.imag).lstrip() + "j"
        return self.re.show(v.real) + (im if im[0] in "+-" else "+" + im)


# ------------------------------------------------------------------------------------------ the brackets
def _shown(a: np.ndarray) -> np.ndarray:
    """The corner elements that a summary shows: `edgeitems` at both ends of every dimension."""
    e = options.edgeitems
    for d, n in enumerate(a.shape):
        if n > 2 * e:
            keep = [*range(e), *range(n - e, n)]
            a = a.take(keep, d)
    return a


def _brackets(a: np.ndarray, indent: int, summarize: bool, column: Column | Columns) -> str:
    if a.ndim == 0:
        return column.show(a.item())
    e, n = options.edgeitems, a.shape[0]
    cut = summarize and n > 2 * e
    if a.ndim == 1:
        per_line = max(1, math.floor((options.linewidth - indent) / (column.width + 2)))
        if cut:
            words = [*map(column.show, a[:e].tolist()), " ...", *map(column.show, a[n - e:].tolist())]
            if e == 0:
                words = ["..."]
        else:
            words = [*map(column.show, a.tolist())]
        lines = [", ".join(words[i:i + per_line]) for i in range(0, len(words), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    rows = [*range(e), None, *range(n - e, n)] if cut else [*range(n)]
    parts = ["..." if i is None else _brackets(a[i], indent + 1, summarize, column) for i in rows]
    return "[" + ("," + "\n" * (a.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def contents(array: np.ndarray, indent: int = 0) -> str:
    """The numbers of `array` in brackets, continued lines indented by `indent`."""
    if array.size == 0:
        return "[]"
    summarize = array.size > options.threshold
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    sample = _shown(array) if summarize else array
    column = Columns(sample) if array.dtype.kind == "c" else Column(sample)
    return _brackets(array, indent, summarize, column)


def _joined(text: str, suffixes: list[str], indent: int) -> str:
    """`text`, the suffixes after commas, and a closing parenthesis; a suffix that does not fit starts a
    line."""
    used = len(text) - text.rfind("\n") + 1
    for s in suffixes:
        if used + len(s) + 2 > options.linewidth:
            text += ",\n" + " " * indent + s
            used = indent + len(s)
        else:
            text += ", " + s
            used += len(s) + 2
    return text + ")"


def tensor_str(array: np.ndarray | None, *, dtype_name: str, shape: tuple[int, ...] | None = None,
               default_dtype: str = "float32", device: str | None = None, requires_grad: bool = False,
               grad_fn: str | None = None, prefix: str = "tensor(") -> str:
    """The repr of a tensor whose numbers are `array` (bfloat16 as uint16 bits; None on the meta device).

    `device` is the device's text, or None where it is the default one; `grad_fn` the node's name; `shape` is
    needed only without an array."""
    indent = len(prefix)
    dims = tuple(array.shape) if array is not None else tuple(shape or ())
    usual = (default_dtype, "int64", "bool", "complex128" if default_dtype == "float64" else "complex64")
    suffixes = [f"device='{device}'"] if device is not None else []
    if array is None or array.size == 0:
        if array is None or len(dims) != 1:
            suffixes.append(f"size={dims}")
        named = dtype_name != default_dtype
        text = "..." if array is None else "[]"
    else:
        if dtype_name == "bfloat16":
            array = (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
        elif dtype_name == "complex32":
            array = halves(array)
        if options.edgeitems == 0:
            suffixes.append(f"size={dims}")
        named = dtype_name not in usual
        text = contents(array, indent)
    if named:
        suffixes.append(f"dtype=torch.{dtype_name}")
    if grad_fn is not None:
        suffixes.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    return _joined(prefix + text, suffixes, indent)


def repr_tensor(t: Any) -> str:
    """The repr of a Tensor, as PyTorch prints it."""
    from .dtypes import get_default_dtype
    from .tensor import Tensor, ndarray_of
    kind = type(t)
    prefix = "tensor(" if kind is Tensor or kind.__name__ == "Parameter" else kind.__name__ + "("
    where = t.device
    array = None if t.is_meta else ndarray_of(t.detach() if where.type == "cpu" else t.detach().cpu())
    node = t.grad_fn
    return tensor_str(array, dtype_name=t.dtype.name, shape=tuple(t.shape),
                      default_dtype=get_default_dtype().name, device=None if where.type == "cpu"
                      else str(where),
                      requires_grad=t.requires_grad, grad_fn=None if node is None else node.name(),
                      prefix=prefix)
