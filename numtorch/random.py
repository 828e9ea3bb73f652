"""Generators of random numbers, and the default one.

The streams are those of PyTorch's CPU generator: the same seed gives the same numbers. A generator for a
CUDA device draws the same stream, so that a program gives the same numbers on every device."""
from __future__ import annotations

import contextlib
import operator
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from . import devices
from .autograd.modes import state

if TYPE_CHECKING:
    from .tensor import Tensor

DEFAULT_SEED = 67280421310721


class Generator:
    """A stream of random numbers: `Generator(device="cpu")`, seeded with 67280421310721."""

    __slots__ = ("device", "_stream", "_seed", "__weakref__")
    _stream: Any

    def __init__(self, device: Any = "cpu"):
        _stream("a Generator is made")
        where = devices.placed(device)
        if where is devices.meta:
            raise RuntimeError("META device type not an accelerator.")
        self.device, self._stream, self._seed = where, None, DEFAULT_SEED

    @property
    def stream(self) -> Any:
        """The numbers themselves (kernels.cpu.random.MT19937); made when first asked for."""
        if self._stream is None:
            from .kernels.cpu.random import MT19937
            self._stream = MT19937(self._seed)
        return self._stream

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed`, an integer from -2**63 to 2**64 - 1."""
        if isinstance(seed, bool) or isinstance(seed, float) or not hasattr(seed, "__index__"):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        seed = operator.index(seed)
        _stream("a Generator is seeded")
        if not -(1 << 63) <= seed < 1 << 64:
            raise ValueError(f"Overflow when unpacking long long: Generator.manual_seed, seed {seed} is not "
                             "in [-2**63, 2**64)")
        self._seed, self._stream = seed % (1 << 64), None
        return self

    def seed(self) -> int:
        """Start a stream from 53 bits of the system's entropy, and return that seed."""
        seed = int.from_bytes(os.urandom(8), "little") & ((1 << 53) - 1)
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed with which the stream started."""
        _stream("a Generator's seed is read")
        return self._seed

    def get_state(self) -> Tensor:
        """The state: 5056 bytes, those of PyTorch's CPU generator."""
        from .tensor import tensor_from
        _stream("a Generator's state is read")
        return tensor_from(np.frombuffer(self.stream.get_state(), np.uint8).copy())

    def set_state(self, new_state: Tensor) -> None:
        """Continue from a state that `get_state` (or PyTorch) has written."""
        from .dtypes import uint8
        from .tensor import Tensor
        if not isinstance(new_state, Tensor):
            raise TypeError(f"expected a torch.ByteTensor, but got {type(new_state).__name__}")
        if new_state.dtype is not uint8 or new_state.device is not devices.cpu:
            raise TypeError("RNG state must be a torch.ByteTensor: Generator.set_state, got "
                            f"{new_state.dtype} on {new_state.device}")
        _stream("a Generator's state is set")
        self.stream.set_state(new_state.numpy().tobytes())
        self._seed = self.stream.initial_seed

    def clone_state(self) -> Generator:
        """A generator that goes on from here on its own."""
        _stream("a Generator is copied")
        twin = Generator(self.device)
        twin._seed, twin._stream = self._seed, None if self._stream is None else self._stream.copy()
        return twin

    def graphsafe_get_state(self) -> Generator:
        """CUDA graphs only, as in PyTorch."""
        raise NotImplementedError("graphsafe_get_state is not supported in this Generator")

    def graphsafe_set_state(self, state: Generator) -> None:
        """CUDA graphs only, as in PyTorch."""
        raise NotImplementedError("graphsafe_set_state is not supported in this Generator")

    def get_offset(self) -> int:
        """RuntimeError: mt19937 has a state, not an offset."""
        raise RuntimeError("CPU Generator does not use offset")

    def set_offset(self, offset: int) -> None:
        """RuntimeError: mt19937 has a state, not an offset."""
        raise RuntimeError("CPU Generator does not use offset")

    def __repr__(self) -> str:
        return f"<torch.Generator object at {id(self):#x}>"

    def __copy__(self) -> Generator:
        return self.clone_state()

    def __deepcopy__(self, memo: dict) -> Generator:
        twin = memo[id(self)] = self.clone_state()
        return twin

    def __reduce__(self):
        _stream("a Generator's state is read")
        return _restored, (str(self.device), self.stream.get_state())


def _stream(what: str) -> None:
    """Tell a compiler that records the running code what happens to a generator, before it does: numbers
    drawn earlier may not have been computed yet."""
    if state.lazy is not None:
        state.lazy.stream(what)


def _restored(device: str, state: bytes) -> Generator:
    g = Generator(device)
    g.stream.set_state(state)
    g._seed = g.stream.initial_seed
    return g


default_generator = Generator()


def generator_of(generator: Generator | None, device: devices.device = devices.cpu) -> Generator:
    """`generator`, or the default one. RuntimeError where it is of another device than the tensor."""
    if generator is None:
        return default_generator
    if generator.device is not device and device is not devices.meta:
        raise RuntimeError(f"Expected a '{device.type}' device type for generator but found "
                           f"'{generator.device.type}'")
    return generator


def manual_seed(seed: int) -> Generator:
    """Seed the default generator, from which every random function draws unless given its own."""
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Seed the default generator from the system's entropy; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed with which the default generator started."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state, a uint8 tensor."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Set the default generator's state."""
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, _caller: str = "fork_rng",
             _devices_kw: str = "devices", device_type: str | None = None) -> Iterator[None]:
    """Inside, the default generator may be seeded and used; on leaving it stands where it stood.

    All devices share the default generator, so `devices` and `device_type` change nothing."""
    if not enabled:
        yield
        return
    state = default_generator.clone_state()
    try:
        yield
    finally:
        _stream("a Generator's state is set")
        default_generator._seed, default_generator._stream = state._seed, state._stream


__all__ = ["Generator", "default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed",
           "seed", "set_rng_state"]
