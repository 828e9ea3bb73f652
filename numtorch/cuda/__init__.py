"""PyTorch's `torch.cuda`: the device, its memory, streams and events. Importing it touches no GPU.

CUDA is available where NUMTORCH_CUDA=emulate is set: kernels then run on the CPU, thread by thread. Elsewhere
every function behaves like those of a PyTorch built without CUDA."""
from __future__ import annotations

import time
from typing import Any, NamedTuple

from ..devices import device as _Device
from ..kernels.cuda import runtime as _runtime
from ..kernels.cuda.runtime import OutOfMemoryError as OutOfMemoryError
from ..legacy import CUDA_TYPES as _CUDA_TYPES

_NO_DEVICE = "numtorch found no CUDA device; NUMTORCH_CUDA=emulate runs CUDA kernels on the CPU, slowly."
_NOT_COMPILED = f"Torch not compiled with CUDA enabled\n{_NO_DEVICE}"
_current = 0
_initialized = False


def _device() -> _runtime.EmulatedDevice:
    """The CUDA device. AssertionError where there is none."""
    global _initialized
    found = _runtime.device()
    if found is None:
        raise AssertionError(_NOT_COMPILED)
    _initialized = True
    return found


def _index(d: Any, optional: bool = False) -> int:
    """The index that `d` (None, an int, "cuda:0" or a device) means; the current one for None and "cuda"."""
    if isinstance(d, int):
        return d
    if d is None:
        return _current
    found = d if isinstance(d, _Device) else _Device(d)
    if found.type != "cuda":
        raise ValueError(f"Expected a cuda device, but got: {found}")
    if found.index is None and not optional:
        raise ValueError(f"Expected a torch.device with a specified index or an integer, but got:{d}")
    return _current if found.index is None else found.index


def require(index: int | None = None) -> int:
    """The index of the CUDA device `index` (None: the current one).

    AssertionError without CUDA, RuntimeError for a device that is not there."""
    _device()
    if index is None:
        return _current
    if index >= device_count():
        raise RuntimeError("CUDA error: invalid device ordinal\n"
                           f"device cuda:{index} was asked for, there are {device_count()}.")
    return index


def backend() -> _runtime.Backend:
    """What the dispatcher runs CUDA tensors with."""
    return _runtime.Backend(_device())


# Devices


def is_available() -> bool:
    """Whether CUDA can be used."""
    return _runtime.device() is not None


def device_count() -> int:
    """How many CUDA devices there are."""
    return 1 if is_available() else 0


def is_initialized() -> bool:
    """Whether the CUDA device has been used."""
    return _initialized and is_available()


def init() -> None:
    """Initialise CUDA. AssertionError without it."""
    _device()


def current_device() -> int:
    """The index of the current device."""
    _device()
    return _current


def set_device(device: Any) -> None:
    """Make `device` the current one; a negative index changes nothing."""
    global _current
    i = _index(device)
    if i >= 0:
        _current = require(i)


def get_device_name(device: Any = None) -> str:
    """The name of a device."""
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """(major, minor) compute capability of a device."""
    p = get_device_properties(device)
    return p.major, p.minor


class DeviceProperties(NamedTuple):
    """What `get_device_properties` tells of a device. Memory is in bytes."""
    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int
    warp_size: int = 32


def get_device_properties(device: Any = None) -> DeviceProperties:
    """Name, capability, memory and processors of a device."""
    d = _device()
    require(_index(device, optional=True))
    major, minor = d.capability
    return DeviceProperties(d.name, major, minor, d.total_memory, d.processors)


def get_arch_list() -> list[str]:
    """The architectures kernels are compiled for; empty without CUDA."""
    return ["sm_80", "sm_90"] if is_available() else []


def get_gencode_flags() -> str:
    """nvcc's flags for get_arch_list; empty without CUDA."""
    return " ".join(f"-gencode compute=compute_{a[3:]},code={a}" for a in get_arch_list())


def is_tf32_supported() -> bool:
    """False: products of float32 matrices are computed in float32 always."""
    return False


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """False: there is one device at most."""
    _device()
    return False


def is_current_stream_capturing() -> bool:
    """False: work is never captured."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the current device computes with bfloat16."""
    return is_available() and (_device().capability >= (8, 0) or including_emulation)


class device:
    """`with cuda.device(1):` makes that device the current one inside; a negative index changes nothing."""

    def __init__(self, device: Any):
        self.idx = _index(device, optional=True)
        self.prev_idx = -1

    def __enter__(self) -> None:
        global _current
        if self.idx < 0:
            return
        if not is_available():
            raise RuntimeError(f"PyTorch was compiled without CUDA support\n{_NO_DEVICE}")
        self.prev_idx, _current = _current, require(self.idx)

    def __exit__(self, *exc: Any) -> None:
        global _current
        if self.prev_idx >= 0:
            _current = self.prev_idx


class device_of(device):
    """`with cuda.device_of(tensor):` makes the tensor's device the current one, if it is a CUDA device."""

    def __init__(self, obj: Any):
        super().__init__(obj.device if obj.device.type == "cuda" else -1)


def synchronize(device: Any = None) -> None:
    """Wait until all work of a device is done."""
    d = _device()
    require(_index(device, optional=True))
    d.synchronize()


# Memory


def memory_allocated(device: Any = None) -> int:
    """Bytes that tensors occupy on a device, in steps of 512; 0 without CUDA."""
    return _device().memory_allocated() if is_available() else 0


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that tensors have occupied since the start or `reset_peak_memory_stats`."""
    return _device().max_memory_allocated() if is_available() else 0


memory_reserved, max_memory_reserved = memory_allocated, max_memory_allocated


def reset_peak_memory_stats(device: Any = None) -> None:
    """Let `max_memory_allocated` count from what is allocated now."""
    _device().reset_peak()


def empty_cache() -> None:
    """Give memory that is kept for reuse back to the device."""
    if is_available():
        _device().empty_cache()


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """(free, total) bytes of a device."""
    d = _device()
    return d.total_memory - d.memory_allocated(), d.total_memory


max_memory_cached, memory_cached = max_memory_reserved, memory_reserved
reset_max_memory_cached = reset_max_memory_allocated = reset_peak_memory_stats
reset_accumulated_memory_stats = reset_peak_memory_stats


def memory_stats(device: Any = None) -> dict[str, int]:
    """Bytes allocated now and at most, by PyTorch's keys; empty without CUDA."""
    if not is_available():
        return {}
    now, peak = memory_allocated(device), max_memory_allocated(device)
    return {f"{kind}_bytes.all.{when}": n for kind in ("active", "allocated", "reserved")
            for when, n in (("current", now), ("peak", peak))}


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """memory_stats as a table."""
    rows = [f"| {name:<36} | {n / 2 ** 20:>13.1f} MiB |" for name, n in memory_stats(device).items()]
    line = "|" + "=" * 58 + "|"
    return "\n".join([line, f"|{'PyTorch CUDA memory summary, device ID ' + str(_index(device, True)):^58}|",
                      line,
                      *rows, line])


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Accepted for 0 ≤ fraction ≤ 1: memory is not limited."""
    _device()
    if not isinstance(fraction, float):
        raise TypeError("Invalid type for fraction argument, must be `float`")
    if not 0 <= fraction <= 1:
        raise ValueError(f"Invalid fraction value: {fraction}. Allowed range: 0~1")


def ipc_collect() -> None:
    """Release memory shared with processes that have ended; there is none."""
    _device()


# Random numbers


def manual_seed(seed: int) -> None:
    """Seed the generator of the current device; nothing happens without CUDA."""
    if is_available():
        d = _device()
        d.seed, d.offset = int(seed), 0


manual_seed_all = manual_seed


def initial_seed() -> int:
    """The seed of the current device's generator."""
    return _device().seed


def seed() -> None:
    """Seed the generator of the current device with a number nobody chose; nothing without CUDA."""
    import secrets
    manual_seed(secrets.randbits(63))


seed_all = seed


def get_rng_state(device: Any = "cuda") -> Any:
    """The state of a device's generator, 16 bytes: its seed and how far it is."""
    import numpy as np

    from ..tensor import tensor_from
    d = _device()
    return tensor_from(np.array([d.seed, d.offset], np.int64).view(np.uint8))


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Put a device's generator into a state that get_rng_state returned."""
    import numpy as np
    d = _device()
    d.seed, d.offset = map(int, np.asarray(new_state.cpu().numpy()).view(np.int64))


def get_rng_state_all() -> list:
    """The states of all devices' generators."""
    return [get_rng_state(i) for i in range(device_count())]


def set_rng_state_all(new_states: Any) -> None:
    """Put all devices' generators into these states."""
    for i, s in enumerate(new_states):
        set_rng_state(s, i)


# Streams. Work is done when a launch returns, so streams order nothing and events are times.


class Stream:
    """A queue of work. RuntimeError without CUDA."""

    def __init__(self, device: Any = None, priority: int = 0):
        if not is_available():
            raise RuntimeError("torch.cuda.Stream requires CUDA support")
        self.device = _Device("cuda", require(_index(device, optional=True)))
        self.priority = priority

    def synchronize(self) -> None:
        """Wait for the work of this stream."""
        _device().synchronize()

    def query(self) -> bool:
        """Whether its work is done."""
        return True

    def wait_stream(self, stream: Stream) -> None:
        """Let later work of this stream wait for the work `stream` has now."""

    def wait_event(self, event: Event) -> None:
        """Let later work of this stream wait for `event`."""

    def record_event(self, event: Event | None = None) -> Event:
        """Record `event`, or a new one, after the work this stream has now."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def __repr__(self) -> str:
        return f"<torch.cuda.Stream device={self.device}>"


class Event:
    """A mark in a stream. RuntimeError without CUDA."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False):
        if not is_available():
            raise RuntimeError("Tried to instantiate dummy base class Event")
        self.enable_timing = enable_timing
        self._time: float | None = None

    def record(self, stream: Stream | None = None) -> None:
        """Place the mark after the work of `stream`, or of the current stream."""
        self._time = time.perf_counter()

    def wait(self, stream: Stream | None = None) -> None:
        """Let later work of `stream` wait for the mark."""

    def query(self) -> bool:
        """Whether the work before the mark is done."""
        return True

    def synchronize(self) -> None:
        """Wait for the work before the mark."""
        _device().synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this mark to `end_event`. ValueError if either is not recorded, or not timed."""
        if not (self.enable_timing and end_event.enable_timing):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        if self._time is None or end_event._time is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        return (end_event._time - self._time) * 1e3


_streams: list[Stream] = []


def default_stream(device: Any = None) -> Stream:
    """The stream that work goes to unless another is chosen."""
    _device()
    if not _streams:
        _streams.append(Stream())
    return _streams[0]


def current_stream(device: Any = None) -> Stream:
    """The stream that work goes to now."""
    return default_stream() if len(_streams) < 2 else _streams[-1]


class StreamContext:
    """`with cuda.stream(s):` sends work to `s`; None changes nothing."""

    def __init__(self, stream: Stream | None):
        self.stream = stream

    def __enter__(self) -> None:
        if self.stream is not None:
            default_stream()
            _streams.append(self.stream)

    def __exit__(self, *exc: Any) -> None:
        if self.stream is not None:
            _streams.pop()


def stream(stream: Stream | None) -> StreamContext:
    """A context in which work goes to `stream`."""
    return StreamContext(stream)


def set_stream(stream: Stream | None) -> None:
    """Send work to `stream` from now on."""
    if stream is not None:
        default_stream()
        _streams[1:] = [stream]


globals().update(_CUDA_TYPES)  # torch.cuda.FloatTensor and so on


def __getattr__(name: str) -> Any:
    if name in ("amp", "memory", "nvtx", "random"):
        import importlib
        return importlib.import_module("." + name, __name__)
    raise AttributeError(f"module 'torch.cuda' has no attribute '{name}'")
