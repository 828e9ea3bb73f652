"""CUDA: `template` (loop headers), `compiler` (text to cubin), `runtime` (memory, launches), `emulator`.

Importing this package, or any module of it, imports neither numba-cuda nor cuda.core nor greenlet."""
