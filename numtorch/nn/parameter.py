"""Parameter and Buffer: tensors that a Module registers when they are assigned to it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from .. import Tensor, empty, preserve_format
from ..overrides import disabled_torch_function

__all__ = ["Parameter", "Buffer", "UninitializedParameter", "UninitializedBuffer", "is_lazy"]


def _share(cls: type, data: Tensor, requires_grad: bool) -> Any:
    """Return a leaf of the Tensor subclass `cls` on the memory of `data`."""
    return data.detach().as_subclass(cls).requires_grad_(requires_grad)


class _ParameterType(type(Tensor)):  # type: ignore[misc]
    """Counts tensors of other subclasses that `Parameter(data)` marked as instances of Parameter."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if super().__instancecheck__(instance):
            return True
        return cls is Parameter and isinstance(instance, Tensor) and getattr(instance, "_is_param", False)


class Parameter(Tensor, metaclass=_ParameterType):
    """A tensor that is a parameter of the Module it is assigned to.

    data: the values, shared, not copied (None: an empty tensor); requires_grad: True unless told otherwise.
    A subclass of Tensor stays of its own type and is marked instead.
    """

    __torch_function__ = disabled_torch_function

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            data = empty(0)
        if type(data) is Tensor or type(data) is Parameter:
            return _share(cls, data, requires_grad)
        marked: Any = data.detach().requires_grad_(requires_grad)
        if type(marked) is not type(data):
            raise RuntimeError(
                f"Creating a Parameter from an instance of type {type(data).__name__} requires that detach() "
                f"returns an instance of the same type, but return type {type(marked).__name__} was found "
                "instead. To use the type as a Parameter, please correct the detach() semantics defined by "
                "its __torch_dispatch__() implementation."
            )
        marked._is_param = True  # type: ignore[union-attr]
        return marked  # type: ignore[return-value]

    def __deepcopy__(self, memo: dict) -> Parameter:
        if id(self) in memo:
            return memo[id(self)]
        copied = type(self)(self.data.clone(memory_format=preserve_format), self.requires_grad)
        memo[id(self)] = copied
        return copied

    def __repr__(self) -> str:  # type: ignore[override]
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return _rebuild_parameter, (self.data, self.requires_grad, OrderedDict())


def _rebuild_parameter(data: Tensor, requires_grad: bool, backward_hooks: Any) -> Parameter:
    """Make the Parameter that a pickle describes; hooks are not stored in pickles."""
    return Parameter(data, requires_grad)


class _BufferType(type(Tensor)):  # type: ignore[misc]
    """Counts a tensor that `Buffer(data)` marked as an instance of Buffer."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if super().__instancecheck__(instance):
            return True
        return cls is Buffer and isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False)


class Buffer(Tensor, metaclass=_BufferType):
    """A tensor marked as a buffer of the Module it is assigned to: state that is saved but not trained.

    persistent: whether state_dict() has it.
    """

    persistent: bool

    __torch_function__ = disabled_torch_function

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Tensor:  # type: ignore[misc]
        if data is None:
            data = empty(0)
        buffer: Any = data.detach().requires_grad_(data.requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer


class _Uninitialized:
    """What a lazy parameter and a lazy buffer have in common: no shape until `materialize`."""

    cls_to_become: type
    data: Any
    requires_grad: Any

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Give the tensor its shape, in place; the values are undefined."""
        device = self.data.device if device is None else device
        dtype = self.data.dtype if dtype is None else dtype
        self.data = empty(shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
            "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. Call "
            "`forward` to initialize the parameters before accessing their attributes."
        )

    def share_memory_(self) -> Any:
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the "
            "parameters before calling `module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__}>"


class UninitializedParameter(_Uninitialized, Parameter):  # type: ignore[misc,metaclass]
    """A parameter whose shape the first forward of its lazy module decides."""

    cls_to_become = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: Any = None
    ) -> UninitializedParameter:
        return _share(cls, empty(0, device=device, dtype=dtype), requires_grad)

    def __deepcopy__(self, memo: dict) -> UninitializedParameter:
        if id(self) in memo:
            return memo[id(self)]
        memo[id(self)] = copied = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        return copied

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return UninitializedParameter, (self.requires_grad, self.data.device, self.data.dtype)


class UninitializedBuffer(_Uninitialized, Buffer):  # type: ignore[misc,metaclass]
    """A buffer whose shape the first forward of its lazy module decides."""

    cls_to_become = Buffer

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> UninitializedBuffer:
        buffer = _share(cls, empty(0, device=device, dtype=dtype), requires_grad)
        buffer.persistent = persistent
        return buffer

    def __deepcopy__(self, memo: dict) -> UninitializedBuffer:
        if id(self) in memo:
            return memo[id(self)]
        data = self.data
        memo[id(self)] = copied = type(self)(self.requires_grad, data.device, data.dtype, self.persistent)
        return copied

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return UninitializedBuffer, (self.requires_grad, self.data.device, self.data.dtype, self.persistent)


def is_lazy(tensor: Any) -> bool:
    """Whether `tensor` still waits for its shape."""
    return isinstance(tensor, _Uninitialized)
