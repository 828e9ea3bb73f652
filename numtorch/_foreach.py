"""torch._foreach_NAME: one operation on every tensor of a list, in few launches (compiler/foreach.py)."""
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numtorch as torch

from .compiler.foreach import Foreach
from .dispatch import no_overload
from .tensor import Tensor

UNARY = ("abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 neg "
         "reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc").split()
BINARY = "add sub mul div clamp_max clamp_min maximum minimum pow".split()
TERNARY = "addcdiv addcmul lerp".split()
FRESH = {"clone": 1, "max": 1, "mm": 2, "norm": 1, "powsum": 1}
OWN = {"copy_": 2, "zero_": 1}
OPERANDS = {**dict.fromkeys(UNARY, 1), **dict.fromkeys(BINARY, 2), **dict.fromkeys(TERNARY, 3)}
NAMES = {**{n + _: k for n, k in OPERANDS.items() for _ in ("", "_")}, **FRESH, **OWN}
# What takes a number as well, under the name of what it is for tensors
SAME = {"maximum": "clamp_min", "minimum": "clamp_max"}


def norm(x: Tensor, ord: Any = 2, dtype: Any = None) -> Tensor:
    """The vector norm of all elements."""
    return torch.linalg.vector_norm(x, ord, dtype=dtype)


def powsum(x: Tensor, ord: Any = 2, dtype: Any = None) -> Tensor:
    """The sum of |x|^ord."""
    return x.abs().pow(ord).sum(dtype=dtype)


def operation(name: str) -> Callable:
    """The function of one tensor, or the method that changes it."""
    if name in ("norm", "powsum"):
        return {"norm": norm, "powsum": powsum}[name]
    own = name.endswith("_")
    base = SAME.get(name.rstrip("_"), name.rstrip("_"))
    if own:
        return lambda x, *args, **kwargs: getattr(x, base + "_")(*args, **kwargs)
    return getattr(torch, base)


def tensors(v: Any) -> bool:
    """Whether v is a list of tensors."""
    return isinstance(v, list | tuple) and all(isinstance(t, Tensor) for t in v)


@functools.cache
def find(name: str) -> Callable:
    """The function `_foreach_{name}`."""
    count, title, op, own = NAMES[name], f"_foreach_{name}", operation(name), name.endswith("_")

    def apply(row: Sequence[Tensor], env: tuple, kind: tuple) -> Any:
        it, shared = iter(row), iter(env[0])
        got = op(*[next(it) if k == "row" else next(shared) for k in kind], **env[1])
        return None if own else got
    apply.__qualname__ = title
    rows = Foreach(apply)

    def call(*given: Any, **kwargs: Any) -> Any:
        args = list(given)
        if len(args) == 4 and name.startswith("addc"):
            kwargs = {**kwargs, "value": args.pop()}
        lists = [a for a in args if tensors(a)]
        most = count + (name in ("norm", "powsum"))
        if not lists or not (tensors(args[0]) or name == "pow") or not min(count, 2) <= len(args) <= most:
            raise no_overload(title, given, kwargs)
        if not lists[0]:
            raise RuntimeError("Tensor list must have at least one tensor.")
        n = len(lists[0])
        for other in lists[1:]:
            if len(other) != n:
                raise RuntimeError("Tensor lists must have the same number of tensors, got "
                                   f"{n} and {len(other)}")
        args = [_numbers(a, count) if isinstance(a, Tensor) else a for a in args]
        kwargs = {k: _numbers(a, count) if isinstance(a, Tensor) else a for k, a in kwargs.items()}
        each = [a for a in [*args, *kwargs.values()] if isinstance(a, list | tuple) and not tensors(a)]
        if any(len(a) != n for a in each):
            raise RuntimeError("Tensor list must have same number of elements as scalar list.")
        if each:
            part = lambda a, i: a[i] if isinstance(a, list | tuple) else a
            one = lambda i: op(*[part(a, i) for a in args], **{k: part(a, i) for k, a in kwargs.items()})
            made: Sequence[Any] = list(map(one, range(n)))
        else:
            kind = tuple(["row" if tensors(a) else "" for a in args])
            shared = tuple([a for a in args if not tensors(a)])
            made = rows(list(zip(*lists)), (shared, kwargs), kind)
        return lists[0] if own else tuple(made)
    call.__name__ = call.__qualname__ = title
    call.__module__ = "torch"
    return call


def _numbers(x: Tensor, count: int) -> Any:
    """A tensor in the place of numbers: one number for all lists, or one for each of addcmul's and addcdiv's
    tensors."""
    if not x.ndim:
        return x
    if count == 3 and x.ndim == 1:
        return x.tolist()
    raise RuntimeError(f"scalar tensor expected to be 0 dim but it has {x.ndim} dimensions and {x.numel()} "
                       "elements.")
