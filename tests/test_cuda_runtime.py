"""The emulated device and the public namespace numtorch.cuda, with and without a device."""
import gc
import subprocess
import sys

import numpy as np
import pytest

import numtorch.cuda as cuda
from numtorch.devices import device
from numtorch.kernels.cuda import emulator, runtime

NOT_COMPILED = "^Torch not compiled with CUDA enabled\n"


@pytest.fixture
def none(monkeypatch):
    monkeypatch.delenv("NUMTORCH_CUDA", raising=False)


@pytest.fixture
def emulated(monkeypatch):
    monkeypatch.setenv("NUMTORCH_CUDA", "emulate")
    monkeypatch.setattr(runtime, "_emulated", None)
    monkeypatch.setattr(cuda, "_initialized", False)
    monkeypatch.setattr(cuda, "_streams", [])
    return runtime.device()


def double(out, x, n):
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):      # `cuda` is the emulator's here
        out[i] = x[i] + x[i]


# The device


def test_launch(emulated):
    x = emulated.copy_in(np.arange(6, dtype=np.float32).reshape(2, 3))
    out = emulated.allocate(6, np.float32)
    assert np.isnan(emulated.copy_out(out)).all()
    emulated.launch(double, 2, 32, (out, x, 6))
    emulated.synchronize()
    assert emulated.copy_out(out).tolist() == [0, 2, 4, 6, 8, 10] and emulated.launches == 1


def test_parts_and_views_share_memory(emulated):
    x = emulated.copy_in(np.arange(8, dtype=np.float32))
    emulated.launch(double, 1, 32, (x.part(4), x.part(0, 4), 4))
    assert emulated.copy_out(x).tolist() == [0, 1, 2, 3, 0, 2, 4, 6]
    bits = x.view(np.uint16)
    assert (bits.size, bits.nbytes, bits.dtype, bits.pointer) == (16, 32, np.uint16, x.pointer)
    emulated.copy_in(np.zeros(8, np.float32), into=x)
    assert not emulated.copy_out(bits).any()


def test_host_memory_is_no_device_memory(emulated):
    out = emulated.allocate(3, np.float32)
    with pytest.raises(TypeError, match="argument 1 is a host array of float32"):
        emulated.launch(double, 1, 32, (out, np.zeros(3, np.float32), 3))
    with pytest.raises(ValueError, match="4 × float32 does not fit Buffer"):
        emulated.copy_in(np.zeros(4, np.float32), into=out)
    with pytest.raises(emulator.KernelError, match="index 3 of x is out of range"):
        emulated.launch(double, 1, 1, (emulated.allocate(9, np.float32), out, 9))


def test_memory_is_counted_in_steps_of_512_bytes(emulated):
    assert emulated.memory_allocated() == 0
    x, y = emulated.allocate(1, np.float32), emulated.allocate(129, np.float32)
    part = y.part(1, 2)
    assert cuda.memory_allocated() == 512 + 1024 == cuda.max_memory_allocated()
    del x, y
    gc.collect()
    assert cuda.memory_allocated() == 1024 and cuda.max_memory_allocated() == 1536
    del part
    gc.collect()
    cuda.reset_peak_memory_stats()
    assert cuda.memory_allocated() == cuda.max_memory_allocated() == 0
    assert cuda.mem_get_info() == (2**34, 2**34)
    with pytest.raises(cuda.OutOfMemoryError, match="^CUDA out of memory. Tried to allocate 32768.00 MiB."):
        emulated.allocate(2**33, np.float32)


# The namespace


def test_without_a_device(none):
    assert not cuda.is_available() and cuda.device_count() == 0 and not cuda.is_initialized()
    assert cuda.memory_allocated() == cuda.max_memory_allocated() == cuda.memory_reserved() == 0
    assert cuda.empty_cache() is None and cuda.manual_seed(1) is None and cuda.manual_seed_all(1) is None
    assert cuda.get_arch_list() == [] and not cuda.is_bf16_supported()
    for call in (cuda.current_device, cuda.get_device_name, cuda.synchronize, cuda.current_stream, cuda.init,
                 cuda.default_stream, cuda.get_device_capability, cuda.get_device_properties,
                 cuda.ipc_collect, cuda.mem_get_info, cuda.initial_seed, lambda: cuda.require(0),
                 lambda: cuda.set_device(0)):
        with pytest.raises(AssertionError, match=NOT_COMPILED):
            call()
    with pytest.raises(RuntimeError, match="^torch.cuda.Stream requires CUDA support"):
        cuda.Stream()
    with pytest.raises(RuntimeError, match="^Tried to instantiate dummy base class Event"):
        cuda.Event()
    with pytest.raises(RuntimeError, match="^PyTorch was compiled without CUDA support"), cuda.device(0):
        pass
    with pytest.raises(ValueError, match="^Expected a cuda device, but got: cpu"):
        cuda.device("cpu")
    with cuda.device(-1), cuda.stream(None):
        cuda.set_device(-1)


def test_with_the_emulated_device(emulated):
    assert cuda.is_available() and cuda.device_count() == 1 and not cuda.is_initialized()
    assert cuda.current_device() == 0 and cuda.is_initialized()
    assert cuda.get_device_name("cuda:0") == "numtorch SIMT emulator" == cuda.get_device_name()
    assert cuda.get_device_capability(device("cuda")) == (9, 0)
    assert cuda.get_device_properties(0).warp_size == 32 and cuda.is_bf16_supported()
    cuda.synchronize()
    cuda.manual_seed(7)
    assert cuda.initial_seed() == 7 and (emulated.seed, emulated.offset) == (7, 0)
    with cuda.device(0), cuda.device("cuda"):
        assert cuda.require(None) == 0
    for call in (lambda: cuda.set_device(1), lambda: cuda.synchronize("cuda:3"), lambda: cuda.require(2)):
        with pytest.raises(RuntimeError, match="^CUDA error: invalid device ordinal"):
            call()
    with pytest.raises(ValueError, match="^Expected a torch.device with a specified index or an integer"):
        cuda.set_device("cuda")


def test_streams_and_events(emulated):
    s, first, last = cuda.Stream(), cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    with pytest.raises(ValueError, match="^Both events must be recorded before calculating elapsed time"):
        first.elapsed_time(last)
    with cuda.stream(s):
        assert cuda.current_stream() is s
        first.record()
        s.wait_event(first)
        assert s.record_event(last) is last
    assert cuda.current_stream() is cuda.default_stream() is not s
    s.synchronize()
    last.synchronize()
    assert s.query() and last.query() and first.elapsed_time(last) >= 0
    with pytest.raises(ValueError, match="^Both events must be created with argument 'enable_timing=True'"):
        cuda.Event().elapsed_time(last)


def test_an_unknown_mode_is_refused(monkeypatch):
    monkeypatch.setenv("NUMTORCH_CUDA", "emulated")
    with pytest.raises(ValueError, match="NUMTORCH_CUDA may be 'emulate', got 'emulated'"):
        cuda.is_available()


def test_the_namespace_imports_nothing_heavy():
    heavy = "{'numba', 'numba.cuda', 'cuda', 'greenlet', 'scipy', 'multiprocessing'}"
    code = ("import sys, numtorch.cuda, numtorch.kernels.cuda.compiler, numtorch.kernels.cuda.emulator; "
            f"print(sorted({heavy} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
