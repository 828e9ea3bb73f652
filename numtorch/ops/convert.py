"""Copies and conversions: copy_, clone, contiguous, to, the dtype methods."""
from __future__ import annotations

from .. import devices
from .. import dtypes as D
from .. import layouts as L
from ..autograd.modes import state
from ..dispatch import NUMBERS, Meta, Node, check_inplace, edge, fresh, remember, written
from ..kinds import Plan, composite
from ..layouts import Layout
from ..memory_format import channels_last, channels_last_3d, contiguous_format, memory_format, preserve_format
from ..tensor import Tensor, ndarray_of
from .create import check_dtype
from .pointwise import copied
from .view import expand

TM = ("torch", "Tensor")


class _Copy:
    """The tape entry of copy_: the old value's gradient ends, the source gets it converted back."""

    name, node_name = "copy_", "CopyBackwards"

    def backward(self, node, grads):
        g, meta = grads[0], node.values["src"]
        none = g.new_zeros(()).expand(g.shape) if node.edges[0] is not None else None
        if node.edges[1] is None:
            return [none, None]
        out = g
        if g.dtype is not meta.dtype:
            out = (g.real if g.dtype.is_complex and not meta.dtype.is_complex else g).to(meta.dtype)
        if out.device is not meta.device:
            out = out.to(meta.device)
        return [none, out]


_copy = _Copy()


_moves: dict[tuple, Plan] = {}


def move(dst: Tensor, src: Tensor) -> None:
    """Write the values of `src` (same shape) to the memory of `dst`, converting dtype and device. No tape."""
    if dst.layout.numel == 0 or dst.storage.device is devices.meta:
        return
    if src.storage.device is devices.meta:
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")
    here, there = src.storage.device, dst.storage.device
    if here is not there:
        from ..dispatch import backend
        if here is devices.cpu:
            host = fresh(L.contiguous(dst.layout.shape), dst.dtype, devices.cpu)
            move(host, src)
            staged = fresh(L.contiguous(dst.layout.shape), dst.dtype, there)
            staged.storage.array = backend(there).upload(host.storage.array)
            move(dst, staged)
        else:
            whole = src.layout.contiguous and src.layout.offset == 0
            dense = src if whole else clone(src.detach(), contiguous_format)
            got = fresh(L.contiguous(src.layout.shape), src.dtype, devices.cpu)
            got.storage.array = backend(here).download(dense.storage.array)[:src.layout.numel]
            move(dst, got)
        return
    if src.dtype is dst.dtype and here is devices.cpu and state.lazy is None:
        if dst.layout.contiguous and src.layout.contiguous:
            k, a, b = dst.layout.numel, dst.layout.offset, src.layout.offset
            dst.storage.typed(dst.dtype.numpy)[a:a + k] = src.storage.typed(src.dtype.numpy)[b:b + k]
        else:
            ndarray_of(dst)[...] = ndarray_of(src)
        return
    whole = src.dtype.category == dst.dtype.category == D.INT  # integers convert modulo 2^bits in any order
    widens = whole or D.promote_types(src.dtype, dst.dtype) is dst.dtype
    compute = dst.dtype if widens or dst.dtype.category == D.BOOL else src.dtype
    if src.dtype.is_complex and not dst.dtype.is_complex:
        import warnings
        warnings.warn("Casting complex values to real discards the imaginary part", stacklevel=4)
    from ..dispatch import compute_name
    name = compute_name(compute if dst.dtype.category != D.BOOL else src.dtype)
    key = (src.layout.key, src.dtype, dst.layout.key, dst.dtype, there,
           bool(src.layout.offset or dst.layout.offset))
    plan = _moves.get(key)
    if plan is None:
        plan = remember(_moves, key, Plan("copy", ("copy", name), copied.op.build(name), [("x", src)],
                                          [(dst.layout, dst.dtype)], dst.layout.shape, there, 0.3))
    plan.run((src,), (dst,))


def copy_(self, src, non_blocking: bool = False):
    """Write the values of `src` (broadcast, converted) into self. Every in-place write of a computed value is
    this."""
    if not isinstance(src, Tensor):
        if not isinstance(src, NUMBERS):
            raise TypeError("copy_(): argument 'other' (position 1) must be Tensor, not "
                            f"{type(src).__name__}")
        from .create import scalar_tensor
        src = scalar_tensor(src, dtype=D.of_scalar(src), device=self.storage.device)
    check_inplace(self, "copy_")
    if state.tracer is not None:
        return state.tracer.write(self, src)
    if src.layout.shape != self.layout.shape:
        shape = L.broadcast(self.layout.shape, src.layout.shape)
        if shape != self.layout.shape:
            raise RuntimeError(f"output with shape {list(self.layout.shape)} doesn't match the broadcast "
                               f"shape {list(shape)}")
        src = expand(src, tuple(shape))
    needs = state.grad and (self.requires_grad or src.requires_grad) and self.dtype.category >= D.FLOAT
    if src.storage is self.storage and src.layout != self.layout and src.dtype is self.dtype:
        L.check_overlap(self.layout, src.layout)
        move(self, clone(src.detach()))
    else:
        move(self, src)
    node = None
    if needs:
        # The old value of a view's region ends in CopySlices; that of a whole tensor here.
        node = Node(_copy, (edge(self) if self._base is None else None, edge(src)), None, (), (),
                    {"src": Meta.of(src)})
    written(self, node)
    return self


@composite(vjp={"x": lambda g: g})
def clone(x, memory_format=preserve_format):
    "A copy with memory of its own."
    if state.tracer is not None:
        return state.tracer.cast(x, x.dtype)
    if memory_format is preserve_format or memory_format is None:
        layout = L.like(x.layout)
    else:
        layout = formatted(x.layout, memory_format)
    out = fresh(layout, x.dtype, x.storage.device)
    move(out, x)
    return out


@composite(at=(), vjp={"x": lambda g: g})
def copied_to(x, layout):
    "A copy of x that lies in memory like `layout`."
    if state.tracer is not None:
        return state.tracer.cast(x, x.dtype)
    out = fresh(layout, x.dtype, x.storage.device)
    move(out, x)
    return out


@composite(at=(), vjp={"x": lambda g: g})
def twin(x):
    "A copy of x with its strides and offset, holes and all; one that repeats memory is copied without."
    if state.tracer is not None:
        return state.tracer.cast(x, x.dtype)
    layout = x.layout
    if not layout.distinct():
        return clone(x)
    out = fresh(L.contiguous((layout.span(),)), x.dtype, x.storage.device)
    out.layout = Layout(layout.shape, layout.strides, layout.offset)
    if x.storage.device is not devices.meta:
        whole = x.alias()
        whole.layout = L.contiguous((layout.span(),))
        flat = out.alias()
        flat.layout = whole.layout
        move(flat, whole)
    return out


def formatted(layout: Layout, form: memory_format) -> Layout:
    """The fresh layout of that shape in a memory format."""
    n = len(layout.shape)
    if form in (channels_last, channels_last_3d):
        want = 4 if form is channels_last else 5
        if n != want:
            raise RuntimeError(f"required rank {want} tensor to use {form.name} format")
        return L.channels_last(layout.shape)
    return L.contiguous(layout.shape) if form is contiguous_format else L.like(layout)


@composite(at=("Tensor",))
def contiguous(x, memory_format=contiguous_format):
    "x itself where its elements lie in row-major order (or the format's), else a copy that does."
    if x.is_contiguous(memory_format):
        return x
    return clone(x, memory_format)


@composite(name="to.copy", at=(), vjp={"x": lambda g, x_meta: g.to(device=x_meta.device, dtype=x_meta.dtype)
                                       if not (g.dtype.is_complex and not x_meta.dtype.is_complex)
                                       else g.real.to(device=x_meta.device, dtype=x_meta.dtype)})
def converted(x, dtype, device, form):
    "A copy of x with that dtype, on that device."
    if state.tracer is not None:
        return state.tracer.cast(x, dtype)
    layout = L.like(x.layout) if form is preserve_format else formatted(x.layout, form)
    out = fresh(layout, dtype, device)
    move(out, x)
    return out


def to(self, *args, dtype=None, device=None, non_blocking=False, copy=False, memory_format=preserve_format):
    """x with another dtype and/or device; x itself where it has them already.

    to(dtype), to(device, dtype), to(other tensor), with copy= and memory_format=."""
    for i, a in enumerate(args):
        if isinstance(a, D.dtype):
            dtype = a
        elif isinstance(a, Tensor):
            dtype, device = a.dtype, a.storage.device
        elif isinstance(a, devices.device | str) or (isinstance(a, int) and not isinstance(a, bool)):
            device = a
        elif isinstance(a, bool):
            if any(isinstance(b, bool) for b in args[:i]):  # the first is non_blocking: a copy always blocks
                copy = a
        elif isinstance(a, type) and a in D.PYTHON:
            dtype = D.PYTHON[a]
        elif a is not None:
            given = ", ".join(type(b).__name__ for b in args)
            raise TypeError(f"to() received an invalid combination of arguments - got ({given}), but "
                            "expected one of:\n"
                            " * (torch.device device = None, torch.dtype dtype = None, bool non_blocking = "
                            "False, bool copy = False, *, torch.memory_format memory_format = None)\n"
                            " * (torch.dtype dtype, …)\n * (Tensor other, …)")
    where = self.storage.device if device is None else devices.placed(device)
    dtype = self.dtype if dtype is None else dtype if isinstance(dtype, D.dtype) else check_dtype("to", dtype)
    form = preserve_format if memory_format is None else memory_format
    if not copy and dtype is self.dtype and where is self.storage.device and \
            (form is preserve_format or formatted(self.layout, form).strides == self.layout.strides):
        return self
    return converted(self, dtype, where, form)


def _converter(name: str, dtype: D.dtype):
    def method(self, memory_format=preserve_format):
        return to(self, dtype, memory_format=memory_format)
    method.__name__, method.__doc__ = name, f"x as {dtype.name}."
    return method


METHODS = {n: _converter(n, d) for n, d in (
    ("float", D.float32), ("double", D.float64), ("half", D.float16), ("bfloat16", D.bfloat16),
    ("int", D.int32), ("long", D.int64), ("short", D.int16), ("char", D.int8), ("byte", D.uint8),
    ("bool", D.bool), ("cfloat", D.complex64), ("cdouble", D.complex128), ("chalf", D.complex32))}


def cpu(self, memory_format=preserve_format):
    """x in host memory."""
    return to(self, device=devices.cpu, memory_format=memory_format)


def cuda(self, device=None, non_blocking=False, memory_format=preserve_format):
    """x on a CUDA device."""
    return to(self, device="cuda" if device is None else device, memory_format=memory_format)


def type_(self, dtype=None, non_blocking=False, **kwargs):
    """The name of x's type ('torch.FloatTensor'), or x converted to `dtype` (a dtype or such a name)."""
    from ..legacy import type_of, type_string
    if dtype is None:
        return type_string(self)
    d, device = type_of(dtype)
    return to(self, dtype=d, device=device if device is not None else self.storage.device)


def type_as(self, other):
    """x with the dtype and device of the other."""
    return to(self, other)




METHODS.update(copy_=copy_, to=to, cpu=cpu, cuda=cuda, type=type_, type_as=type_as)
