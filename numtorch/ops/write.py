"""In-place methods that have no functional twin, or whose kernel writes straight to the tensor."""
from __future__ import annotations

from .. import devices
from .. import dtypes as D
from .. import layouts as L
from ..dispatch import TITLES, Node, check_cast, check_inplace, edge, not_a_tensor, written
from ..storage import Storage
from ..tensor import Tensor, ndarray_of
from . import pointwise as P
from .clamp import limit
from .special import ldexp


class _Fill:
    """The tape entry of fill_: the old value's gradient ends."""

    def __init__(self, name: str, node_name: str):
        self.name, self.node_name = name, node_name

    def backward(self, node, grads):
        return [grads[0] * 0 if node.edges[0] is not None else None,
                grads[0].sum() if node.edges[1] is not None else None]


_fill, _zero = _Fill("fill_", "FillBackward0"), _Fill("zero_", "ZeroBackward0")


def fill_(self, value, entry=_fill):
    """Set every element to `value`."""
    from ..autograd.modes import state
    for d, (n, s) in enumerate(zip(self.layout.shape, self.layout.strides)):
        if s == 0 and n > 1:  # of an expanded tensor, fill what it repeats
            fill_(self.narrow(d, 0, 1), value, entry)
            return self
    check_inplace(self, "fill_")
    source = value if isinstance(value, Tensor) else None
    if source is not None and source.ndim:
        raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {source.ndim} "
                           "dimensions.")
    if state.tracer is not None:
        return state.tracer.fill(self, value)
    if state.lazy is not None and source is None and self.storage.device is devices.cpu:
        state.lazy.fill(self, value)
    elif self.storage.device is devices.cpu and state.lazy is None:
        from .create import bits_of
        number = source.item() if source is not None else value
        if isinstance(number, complex) and not self.dtype.is_complex:
            raise RuntimeError("value cannot be converted to type " + self.dtype.name + " without overflow")
        layout = self.layout
        if layout.contiguous:
            memory = self.storage.typed(self.dtype.numpy)
            memory[layout.offset:layout.offset + layout.numel] = bits_of(number, self.dtype)
        else:
            ndarray_of(self)[...] = bits_of(number, self.dtype)
    else:
        from .convert import move
        from .create import filled
        move(self, source.expand(self.layout.shape) if source is not None else
             filled(self.layout.shape, value, self.dtype, self.storage.device))
    node = None
    if state.grad and (self.requires_grad or (source is not None and source.requires_grad)):
        node = Node(entry, (edge(self), edge(source) if source is not None else None), None, (), (), {})
    written(self, node)
    return self


def zero_(self):
    """Set every element to 0."""
    return fill_(self, 0, _zero)


def fill_diagonal_(self, fill_value, wrap=False):
    """Set the main diagonal to `fill_value`."""
    if self.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    n = min(self.shape)
    step = sum(self.stride())
    size = n
    if wrap and self.ndim == 2 and self.shape[0] > self.shape[1] + 1:
        size = -(-self.layout.numel // (self.shape[1] + 1))
    self.as_strided((size,), (step,), self.layout.offset).fill_(fill_value)
    return self


def add_(self, other, *, alpha=1):
    """self += alpha · other."""
    if isinstance(alpha, int | float) and alpha == 1:
        return P.plus.op.inplace(self, other)
    return P.plus_scaled.op.inplace(self, other, alpha=P._checked_alpha(self, other, alpha))


def sub_(self, other, *, alpha=1):
    """self −= alpha · other."""
    P._no_bool_sub(self, other)
    if isinstance(alpha, int | float) and alpha == 1:
        return P.minus.op.inplace(self, other)
    return P.plus_scaled.op.inplace(self, other, alpha=-P._checked_alpha(self, other, alpha))


def div_(self, other, *, rounding_mode=None):
    """self /= other."""
    if rounding_mode is None:
        return P.true_div.op.inplace(self, other)
    return self.copy_(P.div(self, other, rounding_mode=rounding_mode))


def addcmul_(self, tensor1, tensor2, *, value=1):
    """self += value · tensor1 · tensor2."""
    if type(value) is not int:
        value = P.number_of(P.result_type(self, tensor1, tensor2), value)
    return P.plus_product.op.inplace(self, tensor1, tensor2, value=value)


def addcdiv_(self, tensor1, tensor2, *, value=1):
    """self += value · tensor1 / tensor2."""
    return P.plus_quotient.op.inplace(self, tensor1, tensor2, value=value)


def lerp_(self, end, weight):
    """self += weight · (end − self)."""
    P.lerp_types(self, end, weight)
    return P.mix.op.inplace(self, end, weight)


def clamp_(self, min=None, max=None):
    """Limit the elements to [min, max]."""
    return limit(self, min, max, inplace=True)


def clamp_min_(self, min):
    """Raise the elements below `min` to it."""
    return limit(self, min, None, "clamp_min", True)


def clamp_max_(self, max):
    """Lower the elements above `max` to it."""
    return limit(self, None, max, "clamp_max", True)


def abs_(self):
    """Replace the elements by their magnitudes."""
    if self.dtype.is_complex:
        raise RuntimeError("In-place abs is not supported for complex tensors.")
    return P.abs_.op.inplace(self)


def float_power_(self, exponent):
    """Raise the elements, which must be float64 or complex128, to a power."""
    d = D.complex128 if D.result_type(self, exponent).is_complex else D.float64
    if self.dtype is not d:
        raise RuntimeError(f"the base given to float_power_ has dtype {TITLES[self.dtype.name]} but the "
                           f"operation's result requires dtype {TITLES[d.name]}")
    return self.copy_(P.float_power(self.clone(), exponent))


def ldexp_(self, other):
    """Multiply the elements by 2^other."""
    if not isinstance(other, Tensor):
        raise not_a_tensor("ldexp_", "other", other, 0)
    if self.dtype.category < D.FLOAT:
        raise RuntimeError(f"ldexp can't be cast to the desired output type {TITLES[self.dtype.name]}")
    check_cast(D.result_type(self, other), self.dtype)
    return self.copy_(ldexp(self.clone(), other))


def t_(self):
    """Swap the two dimensions, in place."""
    return transpose_(self, 0, 1) if self.ndim == 2 else self


def transpose_(self, dim0, dim1):
    """Swap two dimensions, in place."""
    return _relayout(self, self.transpose(dim0, dim1))


def squeeze_(self, dim=None):
    """Drop dimensions of size 1, in place."""
    return _relayout(self, self.squeeze() if dim is None else self.squeeze(dim))


def unsqueeze_(self, dim):
    """Insert a dimension of size 1, in place."""
    return _relayout(self, self.unsqueeze(dim))


def as_strided_(self, size, stride, storage_offset=None):
    """Take the given sizes and strides, in place."""
    return _relayout(self, self.as_strided(size, stride, storage_offset))


def _relayout(self, view):
    self.layout = view.layout
    self.storage.version += 1  # nodes that saved this tensor saw it in the other order
    if view.requires_grad:
        self._node = view._node
    return self


def resize_(self, *size, memory_format=None):
    """Change the shape; more memory is taken where needed and is not initialised."""
    from .create import sizes_of
    shape = sizes_of(size, "resize_")
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    layout = L.contiguous(shape)
    if memory_format is not None:
        from .convert import formatted
        layout = formatted(layout, memory_format)
    if shape == tuple(self.layout.shape) and memory_format is None:
        return self
    _fit(self, self.layout.offset + layout.numel)
    self.layout = layout if not self.layout.offset else L.Layout(shape, layout.strides, self.layout.offset)
    return self


def _fit(self, elements: int) -> None:
    """Give the storage room for that many elements, keeping its contents."""
    import numpy as np
    a = self.storage.array
    if a is None:
        self.storage._size = max(self.storage.nbytes, elements * self.dtype.itemsize)
    elif a.nbytes < elements * self.dtype.itemsize:
        grown = np.empty(elements, self.dtype.numpy)
        grown.view(np.uint8)[:a.nbytes] = np.ascontiguousarray(a).view(np.uint8)
        self.storage.array = grown


def resize_as_(self, the_template, *, memory_format=None):
    """Change the shape to that of another tensor."""
    return resize_(self, tuple(the_template.shape), memory_format=memory_format)


def set_(self, source=None, storage_offset=0, size=None, stride=None):
    """Make this tensor stand on other memory (a tensor's, or a storage's)."""
    if source is None:
        import numpy as np
        self.storage, self.layout = Storage(np.empty(0, self.dtype.numpy)), L.contiguous((0,))
        return self
    if isinstance(source, Tensor) and size is None:
        self.storage, self.layout, self.dtype = source.storage, source.layout, source.dtype
        self.storage.version += 1
        return self
    storage = source.storage if isinstance(source, Tensor) else getattr(source, "_storage", source)
    if not isinstance(storage, Storage):
        raise TypeError(f"set_(): argument 'source' must be Tensor or a storage, not {type(source).__name__}")
    elements = storage.nbytes // self.dtype.itemsize
    size = (elements,) if size is None else tuple(size)
    stride = L.contiguous_strides(size) if stride is None else tuple(stride)
    self.storage, self.layout = storage, L.contiguous(size).at(size, stride, storage_offset)
    _fit(self, self.layout.span())
    storage.version += 1
    return self


def apply_(self, callable):
    """Replace each element by `callable(element)` (slow: Python, CPU only)."""
    if self.storage.device is not devices.cpu:
        raise TypeError(f"apply_ is only implemented on CPU tensors, not on {self.storage.device}")
    a = ndarray_of(self)
    for i in range(a.size):
        a.flat[i] = callable(a.flat[i].item())
    written(self, None)
    return self


def map_(self, tensor, callable):
    """Replace each element by `callable(element, other element)` (slow: Python, CPU only)."""
    a, b = ndarray_of(self), ndarray_of(tensor.expand_as(self))
    for i in range(a.size):
        a.flat[i] = callable(a.flat[i].item(), b.flat[i].item())
    written(self, None)
    return self


def share_memory_(self):
    """Move the memory to where processes share it; so does sending a tensor to another process."""
    self.storage.share()
    return self


def pin_memory(self, device=None):
    """x itself: pageable and pinned memory are the same without a GPU."""
    return self


def is_shared(self) -> bool:
    """Whether the memory can be shared with other processes; memory on a GPU can."""
    return self.storage.shared


def record_stream(self, stream) -> None:
    """Nothing to do on the CPU."""


def _is_pinned(self, device=None) -> bool:
    """Whether the memory is pinned."""
    return False


METHODS = {f.__name__: f for f in (
    fill_, zero_, fill_diagonal_, add_, sub_, div_, addcmul_, addcdiv_, lerp_, clamp_, t_, transpose_,
    clamp_min_, clamp_max_, abs_, float_power_, ldexp_,
    as_strided_, squeeze_, unsqueeze_, resize_, resize_as_, set_, apply_, map_, share_memory_, pin_memory,
    is_shared, record_stream)}
METHODS["is_pinned"], METHODS["clip_"] = _is_pinned, clamp_
METHODS["swapdims_"] = METHODS["swapaxes_"] = transpose_
FUNCTIONS = {"fill": lambda input, value: fill_(input.clone(), value),
             "zero_": zero_, "fill_": fill_, "resize_as_": resize_as_}
