"""Hand-written kernels: each one translated to LLVM IR (kernels/device.py) gives numba's bits, and what its
Python gives."""
from __future__ import annotations

import importlib
import math
import os
import pkgutil
import subprocess
import sys
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from numtorch.kernels import cpu, device, jit
from numtorch.kernels.cpu import conv

ALL = os.environ.get("NUMTORCH_TESTS") == "all"
KERNELS = {k.__name__: k for m in pkgutil.iter_modules(cpu.__path__)
           for k in vars(importlib.import_module(f"{cpu.__name__}.{m.name}")).values()
           if isinstance(k, jit.Kernel)}
FLOATS = ("float32", "float64")
INTS = ("uint8", "int8", "int16", "int32", "int64")
WORDS = ("uint8", "uint16", "uint32", "uint64")
Draw = Callable[..., np.ndarray]
SAMPLES: dict[str, tuple[tuple[str, ...], Callable[[Draw], tuple]]] = {}


def sample(*dtypes: str):
    """Declare a sample: it makes the number of items and the arguments; `draw(n)` gives n elements of the
    type in question, `draw(n, stop)` whole numbers below `stop`."""
    def declare(make):
        SAMPLES[make.__name__] = dtypes, make
    return declare


def new(x, n):
    """`n` elements of the type of x that no kernel would write."""
    return np.full(n, 77, x.dtype)


def geometry(channels, size, taps, stride, padding, dilation):
    out = tuple([(n + 2 * p - d * (k - 1) - 1) // s + 1
                 for n, k, s, p, d in zip(size, taps, stride, padding, dilation)])
    table = conv._geometry(channels, size, out, taps, stride, padding, dilation)
    return table, math.prod(size), math.prod(out)


GEOMETRY = geometry(4, (3, 7, 19), (2, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 2))
STRIDED = geometry(4, (3, 7, 19), (2, 3, 3), (1, 2, 2), (1, 1, 0), (1, 1, 1))


# ------------------------------------------------------------------------------------------ conv
def columns(draw, g):
    table, size, out = g
    rows = 4 * 18
    x = draw(3 * 4 * size)
    lines = int(table[4] * table[5])
    pixels = (lines - 1) * int(table[6])
    return x, table, rows, lines, pixels


@sample(*FLOATS, "complex64")
def im2col(draw):
    x, table, rows, lines, pixels = columns(draw, GEOMETRY)
    return 2 * rows, (new(x, rows * 2 * pixels), x, table, 1, 2, 1, lines, 2 * pixels, pixels)


@sample(*FLOATS, "complex64")
def col2im(draw):
    x, table, rows, lines, pixels = columns(draw, STRIDED)
    return 8, (x, draw(rows * 2 * pixels), table, 1, 2, 1, lines, 2 * pixels, pixels)


@sample(*FLOATS, "complex128")
def direct(draw):
    table, size, out = GEOMETRY
    x = draw(2 * 4 * size)
    return 2 * 6, (new(x, 12 * out), x, draw(6 * 2 * 18), table, 6, 2)


@sample(*FLOATS)
def direct_input(draw):
    table, size, out = STRIDED
    g = draw(2 * 6 * out)
    return 2 * 4, (new(g, 8 * size), g, draw(6 * 2 * 18), table, 6, 2)


@sample(*FLOATS)
def direct_weight(draw):
    table, size, out = STRIDED
    x = draw(2 * 4 * size)
    return 12, (new(x, 12 * 18), x, draw(12 * out), table, 6, 2, 2)


# ------------------------------------------------------------------------------------------ rows of tables
@sample(*FLOATS, "int64", "complex64")
def gather_rows(draw):
    table = draw(30)
    return 9, (new(table, 27), table, draw(9, 10), 3)


@sample(*FLOATS, "complex64")
def scatter_rows(draw):
    g = draw(40 * 37)
    return 37, (np.zeros(5 * 37, g.dtype), g, draw(40, 5), 40, 37)


# ------------------------------------------------------------------------------------------ index
@sample(*WORDS, "complex128")
def move_each(draw):
    x = draw(3 * 7 * 5)
    return 3 * 4, (new(x, 60), x, draw(60, 7), 4, 7, 5)


def put(draw):
    out, src = draw(3 * 7 * 37), draw(3 * 11 * 37)
    return 3 * 37, (out, src, draw(3 * 11 * 37, 7), 11, 7, 37, 11 * 37, 37, 1, 1)


for name in ("put_set", "put_add", "put_multiply", "put_largest", "put_smallest"):
    SAMPLES[name] = {"put_set": WORDS, "put_add": (*FLOATS, *INTS, "complex64"),
                     "put_multiply": (*FLOATS, *INTS, "complex128")}.get(name, (*FLOATS, *INTS)), put


@sample(*FLOATS, *INTS, "complex64")
def put_rows_add(draw):
    return 3 * 37, (draw(3 * 7 * 37), draw(3 * 11 * 37), draw(11, 7), 11, 7, 37)


# ------------------------------------------------------------------------------------------ matrices
@sample(*INTS)
def integer_matmul(draw):
    a, b = draw(2 * 5 * 9), draw(2 * 9 * 35)
    return 10, (new(a, 350), a, b, 5, 9, 35)


@sample(*FLOATS)
def minkowski(draw):
    a, b = draw(2 * 5 * 40), draw(2 * 6 * 40)
    return 10, (new(a, 60), a, b, 5, 6, 40, 3.5)


# ------------------------------------------------------------------------------------------ losses
@sample(*FLOATS)
def pick(draw):
    x, target = draw(6 * 5 * 33), draw(6 * 33, 5)
    return 6 * 33, (new(x, 6 * 33), x, target, draw(5), 5, 33, 2, 1)


@sample(*FLOATS)
def place(draw):
    scale, target = draw(6 * 33), draw(6 * 33, 5)
    return 6, (new(scale, 6 * 5 * 33), scale, target, draw(5), 5, 33, 2, 1, 1)


def aligned(draw):
    """3 sequences of 9, 7 and 0 steps over 6 classes, and their targets of 3, 1 and 0 labels."""
    x = np.log(np.abs(draw(9 * 3 * 6)) + 0.01).astype(draw(1).dtype)
    labels, starts, counts, steps = [np.array(v) for v in ((1, 1, 4, 2), (0, 3, 4), (3, 1, 0), (9, 7, 0))]
    return x, labels, starts, counts, steps


@sample(*FLOATS)
def align_forward(draw):
    x, *rest = aligned(draw)
    return 3, (new(x, 3), new(x, 3 * 9 * 7), x, *rest, 9, 3, 6, 7, 0)


@sample(*FLOATS)
def align_backward(draw):
    x, *rest = aligned(draw)
    alpha = (-np.abs(draw(3 * 9 * 7))).astype(x.dtype)
    out, beta = np.zeros(9 * 3 * 6, x.dtype), np.zeros(3 * 7)
    return 3, (out, beta, draw(3), draw(3), alpha, x, *rest, 9, 3, 6, 7, 0)


# ------------------------------------------------------------------------------------------ normalization
@sample(*FLOATS)
def moments(draw):
    x = draw(3 * 4 * 50)
    return 4, (new(x, 4), new(x, 4), x, 3, 4, 50)


@sample(*FLOATS)
def affine(draw):
    x = draw(3 * 4 * 50)
    return 12, (new(x, 600), x, draw(4), draw(4), 4, 50)


@sample(*FLOATS)
def gradient_sums(draw):
    return 4, (np.zeros(4), np.zeros(4), draw(600), draw(600), draw(4), 3, 4, 50)


@sample(*FLOATS)
def affine_pair(draw):
    g = draw(600)
    return 12, (new(g, 600), g, draw(600), *[draw(4) for _ in range(4)], 4, 50)


@sample(*FLOATS)
def rows_forward(draw):
    x = draw(5 * 70)
    return 5, (new(x, 350), new(x, 5), new(x, 5), x, draw(70), draw(70), 70, 1, 1, 1e-5)


@sample(*FLOATS)
def rows_backward(draw):
    g = draw(5 * 70)
    return 2, (new(g, 350), new(g, 140), new(g, 140), g, draw(350), draw(70), draw(5), draw(5), 5, 70, 2, 1)


# ------------------------------------------------------------------------------------------ pooling
def windows(width):
    """Ranges of windows of 1 x 3 x 4 over 2 x 7 x 9: 2 x 3 x 4 of them."""
    rows = [(0, 1, 1), (1, 2, 1), (0, 2, 3), (1, 4, 3), (4, 7, 3), (0, 3, 4), (1, 5, 4), (3, 7, 4), (5, 9, 4)]
    return np.array([n for r in rows for n in r[:width]])


@sample(*FLOATS, *INTS)
def max_windows(draw):
    x = draw(3 * 126)
    return 3, (new(x, 72), np.zeros(72, np.int64), x, windows(2), 2, 7, 9, 2, 3, 4, 1, 2, 1)


@sample(*FLOATS, *INTS)
def max_2x2(draw):
    x = draw(3 * 7 * 21)
    return 3, (new(x, 90), np.zeros(90, np.int64), x, 7, 21, 3, 10)


@sample(*FLOATS)
def scatter_add(draw):
    g = draw(3 * 40)
    return 3, (new(g, 60), g, draw(120, 20), 20, 40)


@sample(*FLOATS, "int32")
def average_windows(draw):
    x = draw(3 * 126)
    return 3, (np.zeros(72, x.dtype if x.dtype.kind == "f" else "float64"), x, windows(3), 2, 7, 9, 2, 3, 4)


@sample(*FLOATS)
def spread_windows(draw):
    g = draw(72)
    return 3, (new(g, 3 * 126), g, windows(3), 2, 7, 9, 2, 3, 4)


@sample(*FLOATS)
def fractional_windows(draw):
    x = draw(3 * 126)
    starts = np.array([[0, 1, 0, 2, 4, 0, 1, 3, 5]] * 3).reshape(-1)
    return 3, (new(x, 72), np.zeros(72, np.int64), x, starts, 2, 7, 9, 2, 3, 4, 1, 3, 4)


# ------------------------------------------------------------------------------------------ random
@sample("float32")
def box_muller(draw):
    return 40, (np.random.default_rng(1).random(640, np.float32), 0.3, 2.0, 1.0)


@sample("int64")
def fisher_yates(draw):
    return 50, (np.arange(51), draw(50, 51))


# ------------------------------------------------------------------------------------------ scans
def scan(draw):
    x = draw(5 * 20 * 3)
    return 15, (new(x, 300), x, 20, 3)


def running(draw):
    x = draw(5 * 20 * 3)
    return 15, (new(x, 300), np.zeros(300, np.int64), x, 20, 3)


for name in ("running_sum", "running_product"):
    SAMPLES[name], SAMPLES[name + "_float"] = (INTS, scan), (FLOATS, scan)
SAMPLES["running_logsumexp"] = FLOATS, scan
SAMPLES["running_logsumexp_complex"] = ("complex64", "complex128"), scan
SAMPLES["running_largest"] = SAMPLES["running_smallest"] = (*FLOATS, *INTS), running


# ------------------------------------------------------------------------------------------ sorting
def keys_of(draw, n):
    keys = np.abs(draw(n, 2**31)).astype(draw(1).dtype)
    return keys % keys.dtype.type(50 if n % 3 else 70_000)


@sample("uint32", "uint64")
def merge_argsort(draw):
    keys = keys_of(draw, 4 * 75)
    return 4, (np.zeros(300, np.int64), keys, np.zeros(300, np.int64), new(keys, 300), 75)


@sample("uint32", "uint64")
def radix_argsort(draw):
    keys = keys_of(draw, 4 * 100)
    return 4, (np.zeros(400, np.int64), keys, np.zeros(400, np.int64), new(keys, 400),
               np.zeros(4 * 256, np.int64), 100, 8 * keys.itemsize)


@sample("uint32", "uint64")
def smallest_places(draw):
    keys = keys_of(draw, 4 * 100)
    return 4, (np.zeros(28, np.int64), new(keys, 28), keys, 100, 7)


@sample(*FLOATS, *INTS)
def search_rows(draw):
    x = draw(4 * 30)
    rows = np.sort(x.reshape(4, 30), 1).reshape(-1)
    return 80, (np.zeros(80, np.int64), rows, draw(80), 30, 20, 1, 0)


@sample("uint32", "uint64")
def most_frequent(draw):
    keys = np.sort(draw(4 * 30, 9).reshape(4, 30), 1).reshape(-1).astype(draw(1).dtype)
    return 4, (np.zeros(4, np.int64), keys, np.arange(120)[::-1].copy(), 30)


# ------------------------------------------------------------------------------------------ tests
def arguments(name: str, dtype: str) -> tuple[int, tuple]:
    g = np.random.default_rng(zlib.crc32(f"{name} {dtype}".encode()))
    kind = np.dtype(dtype)

    def draw(n, stop=None):
        if stop is not None:
            return g.integers(0, stop, n)
        if kind.kind in "iu":
            return g.integers(-100 if kind.kind == "i" else 0, 100, n).astype(kind)
        x = g.standard_normal(n)
        if kind.kind == "c":
            return (x + 1j * g.standard_normal(n)).astype(kind)
        if name in SPECIAL and n > 30:
            x[g.integers(0, n, 6)] = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-42]
        return x.astype(kind)
    return SAMPLES[name][1](draw)


# Those whose results do not depend on the order of sums get NaN, infinities and zeros to read.
SPECIAL = {"put_largest", "put_smallest", "max_windows", "max_2x2", "fractional_windows", "running_largest",
           "running_smallest", "running_logsumexp", "search_rows", "im2col", "gather_rows", "affine"}


# Kernels whose bits FAST_MATH leaves to LLVM, besides those of complex numbers: the order of a sum of three,
# which of two products becomes a fused multiply-add.
REORDERED = {"rows_backward"}


def run(call: Callable, items: int, args: tuple) -> list[np.ndarray]:
    """The arrays after the kernel ran: in two parts, as two threads would."""
    args = tuple([a.copy() if isinstance(a, np.ndarray) else a for a in args])
    for lo, hi in ((0, items // 2), (items // 2, items)):
        call(lo, hi, *args)
    return [a for a in args if isinstance(a, np.ndarray)]


def codes(args: tuple) -> tuple[str, ...]:
    return ("int64", "int64", *[jit._CODES[a.dtype] if isinstance(a, np.ndarray) else
                                "int64" if isinstance(a, int) else "float64" for a in args])


def same(a: np.ndarray, b: np.ndarray) -> None:
    """Equal bits, but for which NaN it is."""
    if a.dtype.kind in "fc":
        a, b = a.view(a.real.dtype), b.view(b.real.dtype)
        nan = np.isnan(a)
        np.testing.assert_array_equal(nan, np.isnan(b))
        a, b = (np.where(nan, 0, v).astype(v.dtype).view(f"u{v.itemsize}") for v in (a, b))
    np.testing.assert_array_equal(a, b)


def test_every_kernel_has_a_sample():
    assert SAMPLES.keys() == KERNELS.keys()


def test_no_kernel_needs_numba():
    """Every hand-written kernel has a form in LLVM IR for all types of its sample."""
    for name, (dtypes, _) in SAMPLES.items():
        for dtype in dtypes:
            device.source(KERNELS[name].fn, codes(arguments(name, dtype)[1]))


@pytest.mark.parametrize("name", SAMPLES)
def test_kernel_gives_what_its_python_gives(name):
    dtype = SAMPLES[name][0][0]
    items, args = arguments(name, dtype)
    ours = run(KERNELS[name].native(args).call, items, args)
    for a, b in zip(ours, run(jit.plain(KERNELS[name].fn), items, args)):
        np.testing.assert_allclose(a, b, 1e-4, 1e-4)


CASES = [(n, d, strict) for n, (dtypes, _) in SAMPLES.items() for d in dtypes for strict in (True, False)
         if ALL or (d == dtypes[0] and zlib.crc32(f"{n}{strict}".encode()) % 16 == 0)]


@pytest.mark.skipif(jit.DISABLED or jit.CHECKED, reason="both are compiled here")
@pytest.mark.parametrize(("name", "dtype", "strict"), CASES)
def test_kernel_gives_numbas_bits(name, dtype, strict):
    items, args = arguments(name, dtype)
    fn = KERNELS[name].fn
    theirs = run(jit.compile(fn, codes(args), strict).call, items, args)
    for a, b in zip(run(device.compile(fn, codes(args), strict).call, items, args), theirs):
        if strict or (a.dtype.kind != "c" and name not in REORDERED):
            same(a, b)
        else:
            np.testing.assert_allclose(a, b, 1e-5 if a.real.itemsize < 8 else 1e-12)


@pytest.mark.skipif(jit.DISABLED or jit.CHECKED, reason="numba is asked for")
def test_training_does_without_numba():
    """Eager and compiled steps of a network of convolutions, norms and embeddings, with nothing on disk."""
    code = """
import sys
import numtorch as torch
from numtorch import nn
model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                      nn.Linear(16, 8), nn.LayerNorm(8), nn.Linear(8, 5))
table = nn.Embedding(7, 8)
optimizer = torch.optim.Adam([*model.parameters(), *table.parameters()])
def loss(x, y):
    return nn.functional.cross_entropy(model(x), y) + table(y).softmax(1).sort(1).values[:, 0].mean()
for f in (loss, torch.compile(loss)):
    optimizer.zero_grad()
    f(torch.randn(6, 3, 6, 6), torch.randint(5, (6,))).backward()
    optimizer.step()
assert "numba" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "NUMTORCH_CACHE": "off"})
