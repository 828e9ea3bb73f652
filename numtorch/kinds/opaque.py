"""The opaque kind: a meta function here, a hand-written kernel of the same name per device."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dis import opmap
from functools import cached_property
from types import FunctionType
from typing import Any

import numpy as np

from .. import devices
from .. import dtypes as D
from ..autograd.modes import state
from ..dispatch import (
    Op,
    check_apart,
    common_device,
    cpu,
    fresh,
    into,
    public_function,
    register,
)
from ..layouts import Layout, contiguous
from ..tensor import Tensor, ndarray_of
from .memory import Memory


class Opaque(Op):
    """The body is the meta function; the kernel is the function of the same name in kernels/cpu
    (kernels/cuda)."""

    kind = "opaque"

    def __init__(self, body, vjp, at, name, dynamic: bool, half: str, apart: bool = False,
                 memory: Memory | tuple[Memory | None, ...] | None = None, strided: bool = False):
        super().__init__(body, vjp, at, name)
        self.dynamic, self.half, self.apart = dynamic, half, apart
        self.memory, self.strided = memory, strided
        self._kernels: dict[str, Callable] = {}

    def kernel(self, device: devices.device) -> Callable:
        found = self._kernels.get(device.type)
        if found is None:
            import importlib
            file = self.body.__module__.rsplit(".", 1)[1]
            try:
                module = importlib.import_module(f"..kernels.{device.type}.{file}", __package__)
                found = getattr(module, self.name)
            except (ImportError, AttributeError) as e:
                raise NotImplementedError(f"{self.name} has no {device.type} kernel yet.") from e
            self._kernels[device.type] = found
        return found

    @cached_property
    def raises(self) -> bool:
        """Whether the CPU kernel refuses some values (an index outside of a table, a singular matrix)."""
        return _raises(self.kernel(cpu), set())

    def __call__(self, *args, out=None, **kwargs):
        values = self.bind(args, kwargs)
        if out is not None and self.apart:
            check_apart(out, values.values())
        result = self.apply(values)
        return result if out is None else into(out, result, True, self.said, values.values())

    def apply(self, args: dict[str, Any]):
        if state.tracer is not None:
            return state.tracer.call(self, args)
        if state.lazy is not None:
            args = {k: state.lazy.settled(v) for k, v in args.items()}
        metas = self.body(**args)
        tensors = []
        for v in args.values():
            if isinstance(v, Tensor):
                tensors.append(v)
            elif isinstance(v, list | tuple):
                tensors += [t for t in v if isinstance(t, Tensor)]
        device = common_device(self.name, tensors) if tensors else cpu
        if self.dynamic:
            if device is devices.meta:
                raise NotImplementedError(f"{self.name}: the shape of the result depends on values, which "
                                          "meta tensors do not have.")
            got = self.kernel(device)(**{k: self._ndarray(v, False) for k, v in args.items()})
            from ..tensor import tensor_from
            result: Any = tuple(tensor_from(a) for a in got) if isinstance(got, tuple) else tensor_from(got)
        else:
            many = isinstance(metas, tuple)
            outs = [None if m is None else fresh(self.layout(i, args, tuple(m.shape)), m.dtype, device)
                    for i, m in enumerate(metas if many else (metas,))]
            if device is cpu and state.lazy is not None:
                state.lazy.call(self, args, outs)
            elif device is not devices.meta:
                self.launch(args, outs, device)
            result = tuple(outs) if many else outs[0]
        if state.grad and self.rules and any(t._requires for t in tensors):
            self.record(args, result)
        return result

    def layout(self, i: int, args: dict[str, Any], shape: tuple[int, ...]) -> Layout:
        """Where result i lies in memory."""
        rule = self.memory[i] if isinstance(self.memory, tuple) else self.memory
        return contiguous(shape) if rule is None else rule(args, shape)

    def launch(self, args: dict[str, Any], outs: Sequence[Tensor | None],
               device: devices.device = cpu) -> None:
        """Run the kernel on checked arguments into tensors of the right shapes."""
        halves = self.half != "native"
        arrays = [None if o is None else
                  _rounded(o) if halves and _is_half(o.dtype) else
                  ndarray_of(o) if self.strided or o.layout.contiguous else
                  np.empty(tuple(o.layout.shape), o.dtype.numpy) for o in outs]
        self.kernel(device)(*arrays, *[self._ndarray(args[p], halves) for p in self.params])
        for o, a in zip(outs, arrays):
            if o is not None and a is not None:
                if halves and _is_half(o.dtype):
                    _round_into(o, a)
                elif not (self.strided or o.layout.contiguous):
                    ndarray_of(o)[...] = a

    def _ndarray(self, v, halves: bool):
        if isinstance(v, Tensor):
            return float_array(v) if halves and _is_half(v.dtype) else ndarray_of(v)
        if isinstance(v, list | tuple) and any(isinstance(t, Tensor) for t in v):
            return [self._ndarray(t, halves) for t in v]
        return v


def _raises(f: Any, seen: set[Any]) -> bool:
    """Whether a function, or one of its module or of other kernels that it names, raises."""
    code, space = getattr(f, "__code__", None), getattr(f, "__globals__", {})
    if code is None or code in seen:
        return False
    seen.add(code)
    if opmap["RAISE_VARARGS"] in code.co_code[::2]:
        return True
    return any(_raises(g, seen) for g in map(space.get, code.co_names)
               if isinstance(g, FunctionType) and ".kernels.cpu." in g.__module__)


def _is_half(d: D.dtype) -> bool:
    return d is D.bfloat16 or d is D.float16 or d is D.complex32


def _rounded(o: Tensor) -> np.ndarray:
    return np.empty(o.layout.shape, np.complex64 if o.dtype is D.complex32 else np.float32)


def float_array(t: Tensor) -> np.ndarray:
    """A half-type tensor's values as a float32 (complex64) ndarray."""
    a = ndarray_of(t)
    if t.dtype is D.complex32:
        return D.halves(a)
    if t.dtype is D.float16:
        return a.astype(np.float32)
    return (a.astype(np.uint32) << 16).view(np.float32)


def _round_into(o: Tensor, a: np.ndarray) -> None:
    if o.dtype is D.float16:
        ndarray_of(o)[...] = a
        return
    if o.dtype is D.complex32:
        ndarray_of(o)[...] = D.packed(a)
        return
    u = np.ascontiguousarray(a).view(np.uint32)
    near = (u + 0x7FFF + ((u >> 16) & 1)) >> 16
    ndarray_of(o)[...] = np.where(np.isnan(a), (u >> 16) | 0x40, near)


def opaque(body: Callable | None = None, *, vjp: dict[str, Callable] | None = None,
           at: Sequence[str] = ("torch", "Tensor"), name: str | None = None, dynamic: bool = False,
           half: str = "float", apart: bool = False, memory: Memory | tuple[Memory | None, ...] | None = None,
           strided: bool = False, vmap: Callable | None = None, draws: bool = False):
    """Declare an opaque op. `apart`: the tensor given as out= must share no memory with the inputs; `memory`:
    where results lie (kinds/memory.py) if not row-major, a rule for all or one for each; `strided`: the
    kernel writes to arrays of any strides; `vmap`: its batching rule (kinds/batching.py); `draws`: results
    are random."""
    def declare(body: Callable) -> Callable:
        op = Opaque(body, vjp, at, name, dynamic, half, apart, memory, strided)
        op.vmap, op.draws = vmap, draws
        return public_function(register(op))
    return declare if body is None else declare(body)
