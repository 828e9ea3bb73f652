"""Tensor: Storage + Layout + dtype + autograd slots. ops/__init__.py installs its methods from the op
entries."""
from __future__ import annotations

import operator
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from . import devices
from . import dtypes as D
from .autograd.engine import FREED, Handle, Meta, Node, Output, backward, edge, hooked, opened, typed, watched
from .autograd.modes import state
from .layouts import Layout, Size, contiguous
from .memory_format import contiguous_format, preserve_format
from .memory_format import memory_format as Format
from .storage import Storage

new: Any = object.__new__


class _TensorType(type):
    """isinstance(x, torch.FloatTensor) and the like work through subclasses of this type (see legacy.py)."""


class Tensor(metaclass=_TensorType):
    """A multi-dimensional array of one dtype on one device, with PyTorch's methods."""

    # _grad, _hooks … are unset until used; __getattr__ gives their defaults.
    __slots__ = ("storage", "layout", "dtype", "_requires", "_node", "_base", "_stamp", "_views",
                 "_grad", "_hooks", "_after", "__dict__", "__weakref__")
    __array_priority__ = 1000
    storage: Any
    layout: Layout
    dtype: D.dtype
    _requires: bool
    requires_grad: Any
    _grad: Tensor | None
    _node: Any
    _base: Any
    _stamp: int
    # Of a base: how often its history was rebased, the length at which dead references are dropped, then
    # references to its views that are not on the tape. A view's `_stamp` is the first as the view saw it.
    _views: list | None
    _hooks: dict | None
    _after: dict | None

    if TYPE_CHECKING:  # operators come from the op entries, like every method (ops/__init__.py)
        def _unary(self) -> Tensor: ...
        def _binary(self, other: Any) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        __neg__ = __pos__ = __abs__ = __invert__ = _unary
        __add__ = __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = __pow__ = __matmul__ = _binary
        __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = _binary
        __rmod__ = __rpow__ = __rmatmul__ = _binary
        __and__ = __or__ = __xor__ = __rand__ = __ror__ = __rxor__ = _binary
        __lshift__ = __rshift__ = __rlshift__ = __rrshift__ = _binary
        __lt__ = __le__ = __gt__ = __ge__ = _binary
        __eq__ = __ne__ = _binary  # type: ignore[assignment]
        T: Tensor
        mT: Tensor
        H: Tensor
        mH: Tensor
        real: Tensor
        imag: Tensor

    def __new__(cls, *args, dtype=None, device=None, requires_grad=False):
        from .legacy import construct
        where = devices.device("cpu" if device is None else device)
        if where.type != "cpu":
            raise RuntimeError("legacy constructor expects device type: cpu but device type: "
                               f"{where.type} was passed")
        t = construct(args, dtype, where)
        return t if cls is Tensor else t.as_subclass(cls)

    def __getattr__(self, name: str) -> Any:
        if name in _DEFAULTS:
            return _DEFAULTS[name]
        from .absent import METHODS, missing
        words = f"'{type(self).__name__}' object has no attribute '{name}'"
        raise AttributeError(missing(words, name, METHODS, dir(type(self))))

    # ------------------------------------------------------------------------------------------ construction
    def alias(self) -> Tensor:
        """Another Tensor on the same memory, without history."""
        t = new(Tensor)
        t.storage, t.layout, t.dtype = self.storage, self.layout, self.dtype
        t._requires, t._node, t._base, t._views = False, None, None, None
        return t

    def as_subclass(self, cls: type) -> Any:
        """This tensor as an instance of the Tensor subclass `cls`, sharing memory and history."""
        source = self
        if self.requires_grad and state.grad:
            from .ops.view import alias_view
            source = alias_view(self)
        t = new(cls)
        t.storage, t.layout, t.dtype = source.storage, source.layout, source.dtype
        t._requires, t._node, t._base = source._requires, source._node, source._base
        t._views = None
        if source._base is not None:
            t._stamp = source._stamp
        return t

    @staticmethod
    def _make_subclass(cls: type, data: Tensor, require_grad: bool = False) -> Any:
        """`data`'s memory as a leaf of the subclass `cls`."""
        t = new(cls)
        t.storage, t.layout, t.dtype = data.storage, data.layout, data.dtype
        t._requires, t._node, t._base, t._views = require_grad, None, None, None
        return t

    def detach(self) -> Tensor:
        """The same memory, outside the tape."""
        t = new(Tensor)
        t.storage, t.layout, t.dtype = self.storage, self.layout, self.dtype
        t._requires, t._node, t._base, t._views = False, None, None, None
        return t

    def detach_(self) -> Tensor:
        """Leave the tape, in place."""
        if self._base is not None and self._requires:
            raise RuntimeError("Can't detach views in-place. Use detach() instead. If you are using "
                               "DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is "
                               "set as True, gradients are views of DDP buckets, and hence detach_() cannot "
                               "be called on these gradients. To fix this error, please refer to the "
                               "Optimizer.zero_grad() function in torch/optim/optimizer.py as the solution.")
        self._requires, self._node = False, None
        return self

    @property
    def data(self) -> Tensor:
        """The values, outside the tape and outside its version checks."""
        t = self.detach()
        if state.lazy is not None:
            return t
        t.storage = Storage(self.storage.array, self.storage.device, self.storage.size)
        return t

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        if self._requires and value.dtype.category < D.FLOAT:
            raise RuntimeError("data set to a tensor that requires gradients must be floating point or "
                               "complex dtype")
        if state.lazy is not None:
            self.storage, self.layout, self.dtype = value.storage, value.layout, value.dtype
            return
        version = self.storage.version  # belongs to the tensor, not to the memory
        self.storage = Storage(value.storage.array, value.storage.device, value.storage.size)
        self.storage.version = version
        self.layout, self.dtype = value.layout, value.dtype

    # ------------------------------------------------------------------------------------------ what it is
    @property
    def shape(self) -> Size:
        return self.layout.shape

    def size(self, dim: int | None = None):
        """The shape, or one of its sizes."""
        if dim is None:
            return self.layout.shape
        from .dispatch import wrap_dim
        return self.layout.shape[wrap_dim(dim, len(self.layout.shape), "size")]

    def stride(self, dim: int | None = None):
        """Strides in elements, or one of them."""
        if dim is None:
            return self.layout.strides
        from .dispatch import wrap_dim
        return self.layout.strides[wrap_dim(dim, len(self.layout.shape), "stride")]

    def storage_offset(self) -> int:
        """Elements between the storage's start and this tensor's first element."""
        return self.layout.offset

    @property
    def ndim(self) -> int:
        return len(self.layout.shape)

    def dim(self) -> int:
        """The number of dimensions."""
        return len(self.layout.shape)

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return self.layout.numel

    nelement = numel

    @property
    def device(self) -> devices.device:
        return self.storage.device

    def get_device(self) -> int:
        """The CUDA device index, -1 on the CPU."""
        d = self.storage.device
        return d.index if d.index is not None else (-1 if d.type == "cpu" else 0)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    def element_size(self) -> int:
        """Bytes per element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.layout.numel * self.dtype.itemsize

    is_cuda = property(lambda self: self.storage.device.type == "cuda")
    is_cpu = property(lambda self: self.storage.device.type == "cpu")
    is_meta = property(lambda self: self.storage.device.type == "meta")
    is_sparse = is_sparse_csr = is_quantized = is_nested = False
    name = None
    is_mkldnn = is_mps = is_xpu = is_vulkan = is_ipu = is_xla = is_maia = is_mtia = volatile = False
    is_leaf = property(lambda self: not self._requires or edge(self) is self)

    def is_floating_point(self) -> bool:
        """Whether the dtype is a floating type."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the dtype is complex."""
        return self.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether the dtype can hold negative numbers."""
        return self.dtype.is_signed

    def is_inference(self) -> bool:
        """Whether the memory was made under inference_mode."""
        return self.storage.version < 0

    def is_conj(self) -> bool:
        """Always False: conjugation is done at once, not lazily."""
        return False

    is_neg = is_conj

    def is_contiguous(self, memory_format=None) -> bool:
        """Whether the elements lie in row-major order (or in that of `memory_format`)."""
        if memory_format is None or memory_format is contiguous_format or memory_format is preserve_format:
            return self.layout.contiguous
        if not isinstance(memory_format, Format):
            raise TypeError("is_contiguous(): argument 'memory_format' must be torch.memory_format, not "
                            f"{type(memory_format).__name__}")
        from .layouts import channels_last
        n = 4 if memory_format.name == "channels_last" else 5
        return len(self.layout.shape) == n and all(
            a == b or s == 1 for a, b, s in zip(self.layout.strides, channels_last(self.layout.shape).strides,
                                                self.layout.shape))

    def __len__(self) -> int:
        if not self.layout.shape:
            raise TypeError("len() of a 0-d tensor")
        return self.layout.shape[0]

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> bool:
        if self.layout.numel != 1:
            raise RuntimeError("Boolean value of Tensor with no values is "
                               "ambiguous" if self.layout.numel == 0 else
                               "Boolean value of Tensor with more than one value is ambiguous")
        return bool(self.item())

    def _as(self, kind: type, name: str) -> Any:
        """The one element as a Python number of that kind."""
        if self.layout.numel != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        value = self.item()
        if isinstance(value, complex) and kind is not complex:
            if value.imag:
                raise RuntimeError(f"value cannot be converted to type {name} without overflow")
            value = value.real
        return kind(value)

    def __float__(self) -> float:
        return self._as(float, "double")

    def __int__(self) -> int:
        return self._as(int, "int64_t")

    def __complex__(self) -> complex:
        return self._as(complex, "c10::complex<double>")

    def __index__(self) -> int:
        if self.layout.numel != 1 or self.dtype.category > D.INT:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __iter__(self):
        if not self.layout.shape:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __reversed__(self) -> Tensor:
        return self.flip(0) if self.layout.shape else self

    def __delitem__(self, key) -> None:
        raise TypeError("Tensor does not support deleting items")

    def __contains__(self, x) -> bool:
        if isinstance(x, Tensor | int | float | bool | complex):
            return bool((self == x).any().item())
        raise RuntimeError("Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
                           f"{type(x)}.")

    def __repr__(self, *, tensor_contents=None) -> str:
        from .printing import repr_tensor
        return repr_tensor(self)

    def __format__(self, spec: str) -> str:
        plain = not self.layout.shape and self.storage.device.type != "meta"
        return format(self.item(), spec) if plain and type(self) is Tensor else \
            repr(self) if not spec else object.__format__(self, spec)

    def item(self):
        """The Python number of a one-element tensor."""
        if self.layout.numel != 1:
            raise RuntimeError(f"a Tensor with {self.layout.numel} elements cannot be converted to Scalar")
        if state.tracer is not None:
            return state.tracer.item(self)
        if state.lazy is not None:
            found = state.lazy.item(self)
            if found is not None:
                return found
        if self.storage.device.type == "meta":
            raise RuntimeError("Tensor.item() cannot be called on meta tensors")
        if self.dtype is D.bfloat16 or self.dtype is D.complex32:
            return self.to(D.complex64 if self.dtype.is_complex else D.float32).item()
        t = self if self.storage.device is devices.cpu else self.cpu()
        a = t.storage.array
        if a.dtype == t.dtype.numpy:
            return a[t.layout.offset].item()
        return ndarray_of(t).item()

    def tolist(self):
        """Nested lists of Python numbers; a number for a 0-d tensor."""
        t = self.cpu() if self.storage.device is not devices.cpu else self
        if self.dtype is D.bfloat16 or self.dtype is D.complex32:
            t = t.to(D.complex64 if self.dtype.is_complex else D.float32)
        return ndarray_of(t).tolist()

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The values as an ndarray that shares memory. `force` copies off the tape and the device first."""
        if force:
            t = self.detach().cpu()
            return ndarray_of(t)
        if self._requires and state.grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() "
                               "instead.")
        if self.storage.device is not devices.cpu:
            raise TypeError(f"can't convert {self.storage.device} device type tensor to numpy. Use "
                            "Tensor.cpu() to copy the tensor to host memory first.")
        if self.dtype is D.bfloat16 or self.dtype is D.complex32:
            raise TypeError(f"Got unsupported ScalarType {D.TITLES[self.dtype.name]}")
        return ndarray_of(self)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        a = self.numpy()
        if dtype is not None and a.dtype != dtype:
            return a.astype(dtype)
        return a.copy() if copy else a

    def __array_wrap__(self, array, context=None, return_scalar=False):
        return tensor_from(np.asarray(array))

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """A DLPack capsule on this memory: of version 1 where `max_version` allows it, else of version 0."""
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        if self.storage.device is not devices.cpu:
            raise NotImplementedError("numtorch exports CPU tensors through DLPack, not "
                                      f"{self.storage.device} ones")
        if self.dtype is D.bfloat16:
            raise NotImplementedError("numtorch does not export bfloat16 tensors through DLPack")
        if dl_device is not None and tuple(dl_device) != (1, 0):
            raise BufferError(f"cannot export to device {tuple(dl_device)}, only to the CPU, (1, 0)")
        a = ndarray_of(self)
        if copy:
            a = a.copy()
        return a.__dlpack__() if max_version is None else a.__dlpack__(max_version=max_version)

    def __dlpack_device__(self) -> tuple[int, int]:
        """(device type, index) of the DLPack standard: 1 is the CPU."""
        if self.storage.device is not devices.cpu:
            raise NotImplementedError("numtorch exports CPU tensors through DLPack, not "
                                      f"{self.storage.device} ones")
        return (1, 0)

    def __array_namespace__(self, *, api_version: str | None = None):
        """The functions of the Python array API standard (numtorch/array_api.py)."""
        from . import array_api
        if api_version not in (None, "2021.12", "2022.12", "2023.12", array_api.__array_api_version__):
            raise ValueError(f"numtorch follows the array API standard up to version "
                             f"{array_api.__array_api_version__}, not {api_version}")
        return array_api

    def to_device(self, device, /, *, stream=None) -> Tensor:
        """This tensor on a device (the array API standard's name for `to`)."""
        return self.to(device=device)

    def data_ptr(self) -> int:
        """The address of the first element."""
        a = self.storage.array
        return 0 if a is None or not a.size else a.ctypes.data + self.layout.offset * self.dtype.itemsize

    def untyped_storage(self):
        """The memory as bytes, with PyTorch's UntypedStorage methods."""
        from .legacy import UntypedStorage
        return UntypedStorage(self.storage)

    def typed_storage(self):
        """The memory as elements."""
        from .legacy import TypedStorage
        return TypedStorage(self.storage, self.dtype)

    # ------------------------------------------------------------------------------------------ autograd
    @property
    def grad(self) -> Tensor | None:
        return self._grad

    @grad.setter
    def grad(self, g: Tensor | None) -> None:
        if g is not None:
            self._check_grad(g)
        self._grad = g

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    def _check_grad(self, g: Any) -> None:
        """RuntimeError unless `g` has this tensor's shape, dtype and device."""
        if not isinstance(g, Tensor):
            raise TypeError("assigned grad expected to be a Tensor or None but got grad of type "
                            f"{type(g).__name__}")
        if g is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if g.dtype is not self.dtype:
            names = {"float32": "float", "float64": "double", "int64": "long int"}
            raise RuntimeError("attempting to assign a gradient with dtype "
                               f"'{names.get(g.dtype.name, g.dtype.name)}' to a tensor with grad_dtype "
                               f"'{self.type().rpartition('.')[2].removesuffix('Tensor')}'. "
                               "The gradient must have the tensor's dtype.")
        if g.storage.device is not self.storage.device:
            raise RuntimeError(f"attempting to assign a gradient with device type '{g.storage.device.type}' "
                               f"to a tensor with device type '{self.storage.device.type}'. Please ensure "
                               "that the gradient and the tensor are on the same device")
        if g.layout.shape != self.layout.shape:
            raise RuntimeError(f"attempting to assign a gradient of size '{list(g.layout.shape)}' to a "
                               f"tensor of size '{list(self.layout.shape)}'. Please ensure that the gradient "
                               "and the tensor are the same size")

    def _require(self, wanted: bool) -> None:
        if not isinstance(wanted, bool):
            raise RuntimeError("requires_grad must be a bool")
        if wanted and self._node is not None:
            raise RuntimeError("you can only change requires_grad flags of leaf variables.")
        self._check_required(wanted, "floating point and complex dtype")
        self._requires = wanted

    def _check_required(self, wanted: bool, kinds: str) -> None:
        """RuntimeError where requires_grad cannot be changed to `wanted`."""
        if not wanted and self._node is not None:
            raise RuntimeError("you can only change requires_grad flags of leaf variables. If you want to "
                               "use a computed variable in a subgraph that doesn't require differentiation "
                               "use var_no_grad = var.detach().")
        if wanted and self.dtype.category < D.FLOAT:
            raise RuntimeError(f"only Tensors of {kinds} can require gradients")
        if wanted and self.storage.version < 0 and not state.inference:
            raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not "
                               "allowed.")

    requires_grad = property(operator.attrgetter("_requires"), _require,
                             doc="Whether operations on this tensor are recorded; leaves can change it.")

    @property
    def grad_fn(self) -> Node | None:
        e = edge(self)
        return typed(e.node) if isinstance(e, Output) else typed(e) if isinstance(e, Node) else None

    @property
    def output_nr(self) -> int:
        e = edge(self)
        return e.index if isinstance(e, Output) else 0

    def is_set_to(self, tensor: Tensor) -> bool:
        """Whether both are the same elements of the same memory."""
        return self.storage is tensor.storage and self.layout == tensor.layout

    def _is_view(self) -> bool:
        return self._base is not None

    def watch(self, view: Tensor) -> None:
        """Remember a view of this tensor that was made outside the tape: should the tape reach this memory by
        a later write, the view is recorded too (autograd/engine.py: awaken)."""
        views = self._views
        if views is None:
            view._stamp, self._views = 0, [0, 64, weakref.ref(view)]
            return
        view._stamp = views[0]
        views.append(weakref.ref(view))
        if len(views) > views[1]:
            views[2:] = [r for r in views[2:] if r() is not None]
            views[1] = max(64, 2 * len(views))

    @property
    def _version(self) -> int:
        if self.storage.version < 0:
            raise RuntimeError("Inference tensors do not track version counter.")
        return self.storage.version

    def backward(self, gradient: Tensor | None = None, retain_graph: bool | None = None,
                 create_graph: bool = False, inputs=None) -> None:
        """Accumulate the gradient of this tensor (times `gradient`) into the leaves it depends on."""
        backward((self,), None if gradient is None else (gradient,), retain_graph, create_graph, inputs)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Record operations on this tensor from now on (or not)."""
        if not isinstance(requires_grad, bool | np.bool_):
            raise TypeError("requires_grad_(): argument 'requires_grad' (position 1) must be bool, not "
                            f"{type(requires_grad).__name__}")
        if state.taking:
            raise RuntimeError("You are attempting to call Tensor.requires_grad_() (or perhaps using "
                               "torch.autograd.functional.* APIs) inside of a function being transformed by "
                               "a functorch transform. This is unsupported, please attempt to use the "
                               "functorch transforms (e.g. grad, vjp, jacrev, jacfwd, hessian) or call "
                               "requires_grad_() outside of a function being transformed instead.")
        self._check_required(bool(requires_grad), "floating point dtype")
        self._requires = bool(requires_grad)
        return self

    def retain_grad(self) -> None:
        """Keep the gradient of this non-leaf tensor in `.grad`."""
        if not self._requires:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        node = opened(edge(self))
        if node is self:
            return
        real, i = (node.node, node.index) if isinstance(node, Output) else (node, 0)
        real.attach("retained")[i] = weakref.ref(self)

    @property
    def retains_grad(self) -> bool:
        node = self._node
        if node is None:
            return False
        real, i = (node.node, node.index) if isinstance(node, Output) else (node, 0)
        return real.extra is not None and i in real.extra.get("retained", {})

    def register_hook(self, hook) -> Handle:
        """Call `hook(grad)` when this tensor's gradient is ready; what it returns replaces the gradient."""
        if not self._requires:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        e = opened(edge(self))
        if e is self:
            if not self._hooks:
                self._hooks = {}
            return Handle(self._hooks, hook, True)
        node, i = (e.node, e.index) if isinstance(e, Output) else (e, 0)

        def pre(grads):
            if grads[i] is None:
                return None
            got = hooked(hook, grads[i])
            return tuple(got if k == i else g for k, g in enumerate(grads))
        return node.register_prehook(pre)

    def register_post_accumulate_grad_hook(self, hook) -> Handle:
        """Call `hook(tensor)` after a gradient was added to this leaf's `.grad`."""
        if self._node is not None or not self._requires:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        if not self._after:
            self._after = {}
        watched[:] = [True]
        return Handle(self._after, hook, True)

    # ----------------------------------------------------------------------------------- copies of the object
    def __deepcopy__(self, memo: dict) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        if self._node is not None:
            raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the "
                               "deepcopy protocol at the moment.  If you were attempting to deepcopy a "
                               "module, this may be because of a torch.nn.utils.weight_norm usage, see "
                               "https://github.com/pytorch/pytorch/pull/103001")
        import copy
        key = id(self.storage.array) if self.storage.array is not None else id(self.storage)
        known = memo.setdefault("_storages", {})
        storage = known.get(key)
        if storage is None:
            a = self.storage.array
            storage = Storage(None if a is None else a.copy(), self.storage.device, self.storage.size)
            known[key] = storage
        t = new(type(self))
        t.storage, t.layout, t.dtype = storage, self.layout, self.dtype
        t._requires, t._node, t._base, t._views = self._requires, None, None, None
        memo[id(self)] = t
        if self.grad is not None:
            t._grad = copy.deepcopy(self.grad, memo)
        for k, v in self.__dict__.items():
            t.__dict__[k] = copy.deepcopy(v, memo)
        return t

    def __reduce_ex__(self, protocol):
        host = self.storage.array
        if host is not None and self.storage.device is not devices.cpu:
            host = ndarray_of(self.cpu()).reshape(-1)
        layout = self.layout
        return _rebuild, (type(self), host, tuple(layout.shape), layout.strides, layout.offset, self.dtype,
                          str(self.storage.device), self._requires, self.__dict__ or None)

    def __setstate__(self, state: tuple) -> None:
        """Become the tensor (storage, offset, size, stride[, requires_grad[, hooks]]), as PyTorch's oldest
        files keep them. RuntimeError for tensors with a history."""
        if self._node is not None:
            raise RuntimeError("__setstate__ can be only called on leaf Tensors")
        if not isinstance(state, tuple) or not 4 <= len(state) <= 6:
            raise RuntimeError("__setstate__ expects (storage, storage_offset, size, stride[, requires_grad"
                               "[, backward_hooks]])")
        self._requires = False
        self.set_(*state[:4])
        if len(state) > 4:
            self._requires = bool(state[4])


def _rebuild(cls, array, shape, strides, offset, dtype, where, requires_grad, attributes):
    """Unpickle a tensor."""
    t = new(cls)
    t.storage = Storage(array, devices.placed(where) if where == "meta" else devices.cpu,
                        Layout(shape, strides, offset).span() * dtype.itemsize)
    t.layout, t.dtype = contiguous(shape).at(shape, strides, offset), dtype
    t._requires, t._node, t._base, t._views = requires_grad, None, None, None
    if attributes:
        t.__dict__.update(attributes)
    return t.to(where) if where not in ("cpu", "meta") else t


_DEFAULTS: dict[str, Any] = {"_grad": None, "_views": None, "_hooks": None, "_after": None,
                             "_stamp": 0, "_backward_hooks": None}


def tensor_from(array: np.ndarray, dtype: D.dtype | None = None) -> Tensor:
    """A tensor on the memory of `array`.

    TypeError for an element type that tensors do not have; ValueError for negative strides."""
    array = np.asarray(array)  # not np.memmap or np.matrix: kernels take exactly ndarrays
    d = dtype or D.by_numpy.get(array.dtype)
    if d is None:
        swapped = array.dtype.newbyteorder("=")
        if swapped in D.by_numpy and array.dtype.byteorder in "<>":
            raise ValueError("given numpy array has byte order different from the native byte order. "
                             "Conversion between byte orders is currently not supported.")
        kind = array.dtype.type
        raise TypeError(f"can't convert np.ndarray of type {kind.__module__}.{kind.__name__}. The only "
                        "supported types are: float64, float32, float16, complex64, complex128, int64, "
                        "int32, int16, int8, uint64, uint32, uint16, uint8, and bool.")
    t = new(Tensor)
    if array.flags.c_contiguous:
        t.storage, t.layout = Storage(array.reshape(-1)), contiguous(array.shape)
    else:
        if any(s < 0 for s in array.strides):
            raise ValueError("At least one stride in the given numpy array is negative, and tensors with "
                             "negative strides are not currently supported. (You can probably work around "
                             "this by making a copy of your array  with array.copy().) ")
        if any(s % array.itemsize for s in array.strides):
            raise ValueError("given numpy array strides not a multiple of the element byte size. Copy the "
                             "numpy array to reallocate the memory.")
        strides = tuple(s // array.itemsize for s in array.strides)
        layout = Layout(array.shape, strides, 0)
        flat = np.lib.stride_tricks.as_strided(array, (layout.span(),), (array.itemsize,))
        t.storage, t.layout = Storage(flat), contiguous(array.shape).at(array.shape, strides, 0)
    t.dtype, t._requires, t._node, t._base, t._views = d, False, None, None, None
    if state.lazy is not None:
        state.lazy.bear(t.storage)
    return t


def ndarray_of(t: Tensor) -> np.ndarray:
    """A strided ndarray on the tensor's memory (bfloat16 as its uint16 bits, complex32 as uint32)."""
    layout, a = t.layout, t.storage.array
    memory = t.dtype.numpy
    if a.dtype != memory:
        a = a.view(memory)
    if layout.dense and layout.numel == a.size:
        return a.reshape(layout.shape)
    if not layout.numel:
        return np.empty(tuple(layout.shape), memory)
    k = memory.itemsize
    strides = tuple([s * k for s in layout.strides])
    return np.ndarray(tuple(layout.shape), memory, a, layout.offset * k, strides)


__all__ = ["Meta", "Tensor", "FREED", "ndarray_of", "tensor_from"]
