"""PyTorch's CPU random streams on flat arrays: the same seed gives the same numbers.

The bits are mt19937's, seeded with the seed modulo 2**32. One draw is 32 bits; a 64-bit draw takes two, the
first is the high word. Two kinds of uniform numbers are made of them:

    f24   low 24 bits of a 32-bit draw × 2**-24: float32 (float16 and bfloat16 by rounding it)
    f53   low 53 bits of a 64-bit draw × 2**-53: float64, and most distributions whatever the result's dtype

Every fill takes (out, stream, parameters): `out` is a flat contiguous array, written from its start; a uint16
array holds bfloat16 bits. Numbers equal PyTorch's bit for bit; float64 ones that pass through a libm
function (log1p, tan, …) agree to the libm's last bits. PyTorch on Intel CPUs draws bernoulli_ and
exponential_ from MKL instead; that stream is not followed. PyTorch's ties between equal float16 or bfloat16
scores in multinomial are not followed."""
from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..jit import bits, device, float32, fma, from_bits, int32, kernel, launch

WORDS = 624
STATE_BYTES = 5056
# Elements done at a time, so that intermediate arrays stay in the L2 cache; a multiple of the normal block,
# 16.
CHUNK = 1 << 14
# Below this length a loop over Python lists beats loading a compiled kernel.
LIST_LOOP = 4096

_M24, _M53 = np.uint32((1 << 24) - 1), np.uint64((1 << 53) - 1)
_WORD = np.uint64(32)
BF16 = np.dtype(np.uint16)


# ------------------------------------------------------------------------------------------ the generator
class MT19937:
    """A stream of 32-bit draws, with the spare number that the Box-Muller method leaves for the next call."""

    __slots__ = ("initial_seed", "spare", "_bits", "_ints", "_drawn", "_float_spare")

    def __init__(self, seed: int):
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Start the stream of `seed` (of which the low 32 bits count); the spare number is dropped."""
        from numpy.random import MT19937 as Bits
        from numpy.random import Generator
        self.initial_seed = seed & 0xFFFFFFFFFFFFFFFF
        self._bits = Bits(0)
        self._bits._legacy_seeding(seed & 0xFFFFFFFF)
        self._ints = Generator(self._bits)
        self._drawn = False
        self.spare: float | None = None
        self._float_spare = (0.0, False)

    def copy(self) -> MT19937:
        """A stream that goes on from here on its own."""
        twin = MT19937(self.initial_seed)
        twin.set_state(self.get_state())
        return twin

    # The 5056 bytes of torch.Generator().get_state(): seed u64, left i32, seeded i32, next u64, 624 words as
    # u64, three doubles of which the second is the spare normal, its flag, a float32 spare and its flag.
    def get_state(self) -> bytes:
        """The state as PyTorch's CPU generator writes it: 5056 bytes."""
        state = self._bits.state["state"]
        at = int(state["pos"]) if self._drawn else 0
        head = struct.pack("<QiiQ", self.initial_seed, WORDS + 1 - at if at else 1, 1, at)
        kept = self.spare is not None
        tail = struct.pack("<dddi4xf?3x", 0.0, self.spare or 0.0, 0.0, kept, *self._float_spare)
        return head + state["key"].astype("<u8").tobytes() + tail

    def set_state(self, state: bytes) -> None:
        """Continue from a state that `get_state`, or PyTorch's CPU generator, has written."""
        if len(state) != STATE_BYTES:
            raise RuntimeError(f"Expected a CPUGeneratorImplState of size {STATE_BYTES} but found the input "
                               "RNG state "
                               f"size to be {len(state)}")
        seed, left, seeded, at = struct.unpack_from("<QiiQ", state)
        key = np.frombuffer(state, "<u8", WORDS, 24)
        _, spare, _, kept, single, single_kept = struct.unpack_from("<dddi4xf?", state, 24 + 8 * WORDS)
        fresh = at == 0 and left == 1
        if not seeded or not (fresh or (0 < at <= WORDS and left == WORDS + 1 - at)) or (key >> _WORD).any():
            raise RuntimeError(f"Invalid mt19937 state: set_state, seeded={seeded}, left={left}, next={at}")
        if not math.isfinite(spare):
            raise RuntimeError(f"Invalid mt19937 state: Generator.set_state, cached normal {spare}")
        self.seed(seed)
        self._bits.state = {"bit_generator": "MT19937",
                            "state": {"key": key.astype(np.uint32), "pos": WORDS if fresh else int(at)}}
        self._drawn = not fresh
        self.spare = spare if kept else None
        self._float_spare = (single, single_kept)

    def u32(self, n: int) -> np.ndarray:
        """`n` draws, uint32."""
        if n:
            self._drawn = True
        if n < 64:
            return self._bits.random_raw(n).astype(np.uint32)
        return self._ints.integers(0, 1 << 32, n, np.uint32)

    def u64(self, n: int) -> np.ndarray:
        """`n` 64-bit draws, uint64; each takes two draws, the first is the high word."""
        r = self.u32(2 * n)
        out = r[0::2].astype(np.uint64)
        out <<= _WORD
        out |= r[1::2]
        return out

    def i53(self, n: int) -> np.ndarray:
        """The integers 2**53 × f53, uint64."""
        r = self.u64(n)
        r &= _M53
        return r

    def f24(self, n: int) -> np.ndarray:
        """`n` uniform float32 in [0, 1): 24 bits of one draw each."""
        r = self.u32(n)
        r &= _M24
        return np.multiply(r, np.float32(2.0**-24), dtype=np.float32, casting="unsafe")

    def f53(self, n: int) -> np.ndarray:
        """`n` uniform float64 in [0, 1): 53 bits of two draws each."""
        return self.i53(n) * 2.0**-53

    def normals(self, n: int) -> np.ndarray:
        """`n` standard normal float64, by Box-Muller on f53 pairs; an odd one leaves its spare to the next
        call."""
        out = np.empty(n)
        at = 0
        if n and self.spare is not None:
            out[0], self.spare, at = self.spare, None, 1
        pairs = (n - at + 1) // 2
        u = self.f53(2 * pairs)
        z = np.empty(2 * pairs)
        if n < 32:
            for i in range(0, 2 * pairs, 2):
                r, t = math.sqrt(-2.0 * math.log1p(-float(u[i + 1]))), 2.0 * math.pi * float(u[i])
                z[i], z[i + 1] = r * math.cos(t), r * math.sin(t)
        else:
            radii, angles = np.sqrt(-2.0 * np.log1p(-u[1::2])), 2.0 * math.pi * u[0::2]
            np.multiply(radii, np.cos(angles), out=z[0::2])
            np.multiply(radii, np.sin(angles), out=z[1::2])
        out[at:] = z[:n - at]
        if 2 * pairs > n - at:
            self.spare = float(z[-1])
        return out


class Scalars:
    """f53 and normal numbers one at a time, for samplers whose number of draws depends on what was drawn.

    Use as a context: draws are fetched in blocks; on leaving, the stream stands where the last used one left
    it."""

    def __init__(self, stream: MT19937, block: int = 256):
        self.stream, self.block = stream, block

    def __enter__(self) -> Scalars:
        self._left: list[float] = []
        self._start: Any = None
        return self

    def uniform(self) -> float:
        if not self._left:
            self._start = self.stream._bits.state
            self._left = self.stream.f53(self.block)[::-1].tolist()
        return self._left.pop()

    def normal(self) -> float:
        s = self.stream
        if s.spare is not None:
            z, s.spare = s.spare, None
            return z
        u1, u2 = self.uniform(), self.uniform()
        r, t = math.sqrt(-2.0 * math.log1p(-u2)), 2.0 * math.pi * u1
        s.spare = r * math.sin(t)
        return r * math.cos(t)

    def __exit__(self, *exc) -> None:
        if self._start is not None:
            self.stream._bits.state = self._start
            self.stream._bits.random_raw(2 * (self.block - len(self._left)), False)


# ------------------------------------------------------------------------------------------ storing
def to_bfloat16(x: np.ndarray) -> np.ndarray:
    """float32 → bfloat16 bits (uint16), to the nearest even."""
    u = np.ascontiguousarray(x, np.float32).view(np.uint32)
    near = (u + np.uint32(0x7FFF) + ((u >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    if np.isnan(x).any():
        near = np.where(np.isnan(x), (u >> np.uint32(16)) | np.uint32(0x40), near)
    return near.astype(np.uint16)


def from_bfloat16(b: np.ndarray) -> np.ndarray:
    """bfloat16 bits (uint16) → float32."""
    return (b.astype(np.uint32) << np.uint32(16)).view(np.float32)


def store(out: np.ndarray, x: np.ndarray) -> None:
    """out ← x, rounded to out's dtype; float16 and bfloat16 are rounded from float32, as PyTorch does."""
    if out.dtype == BF16:
        out[...] = to_bfloat16(x.astype(np.float32))
    elif out.dtype == np.float16:
        with np.errstate(over="ignore"):
            out[...] = x.astype(np.float32)
    elif out.dtype.kind in "iu" and x.dtype.kind == "f":
        out[...] = x.astype(np.int64)
    else:
        with np.errstate(over="ignore"):
            out[...] = x


def _chunks(n: int) -> Iterator[tuple[int, int]]:
    for lo in range(0, n, CHUNK):
        yield lo, min(n, lo + CHUNK)


def _fma(a: np.ndarray, b: float, c: float) -> np.ndarray:
    """a × b + c in float64 with one rounding: the errors of product and sum by Dekker's and Knuth's exact
    forms."""
    if b == 1.0 or c == 0.0:
        return a * b + c
    p = a * b
    h = a * 134217729.0
    ah = h - (h - a)
    al = a - ah
    bh = 134217729.0 * b
    bh = bh - (bh - b)
    bl = b - bh
    err = ((ah * bh - p) + ah * bl + al * bh) + al * bl
    s = p + c
    v = s - p
    return s + (((p - (s - v)) + (c - v)) + err)


# ------------------------------------------------------------------------------------------ uniform
def uniform(out: np.ndarray, stream: MT19937, lo: float, hi: float) -> None:
    """out ← u · (hi - lo) + lo, rounded once; what rounds up to `hi` becomes `lo`. Complex: both parts."""
    if out.dtype.kind == "c":
        out = out.view(out.real.dtype)
    if out.dtype == np.float64:
        for i, j in _chunks(out.size):
            x = _fma(stream.f53(j - i), hi - lo, lo)
            if lo != 0.0 or hi != 1.0:
                x[x >= hi] = lo
            out[i:j] = x
        return
    low, high = np.float32(lo), np.float32(hi)
    width, unit = float(high - low), lo == 0.0 and hi == 1.0
    if out.dtype == np.float32 and unit:
        for i, j in _chunks(out.size):
            out[i:j] = stream.f24(j - i)
        return
    ends = np.empty(2, out.dtype)
    store(ends, np.array([low, high]))
    for i, j in _chunks(out.size):
        part, u = out[i:j], stream.f24(j - i)
        store(part, u if unit else (u * np.float64(width) + np.float64(low)).astype(np.float32))
        if low < high:
            value = from_bfloat16(part) if part.dtype == BF16 else part
            part[value >= (from_bfloat16(ends) if part.dtype == BF16 else ends)[1]] = ends[0]


# ------------------------------------------------------------------------------------------ normal
# float32 logarithm, sine and cosine after Cephes (S. L. Moshier, Methods and Programs for Mathematical
# Functions, 1989: logf.c, sinf.c), each multiply-add fused: what PyTorch's AVX2 normal_ computes, to the last
# bit. The compiler may reassociate a sum with the products inside it; a sum that must be rounded by itself is
# written as an fma with `one`, which is 1 but known at run time only.
_ONE, _TWO, _MINUS_ONE = float32(1), float32(2), float32(-1)
_MINUS_HALF, _MINUS_TWO = float32(-0.5), float32(-2)
_SQRT_HALF = float32(0.707106781186547524)
_L0, _L1, _L2 = float32(7.0376836292e-2), float32(-1.1514610310e-1), float32(1.1676998740e-1)
_L3, _L4, _L5 = float32(-1.2420140846e-1), float32(1.4249322787e-1), float32(-1.6668057665e-1)
_L6, _L7, _L8 = float32(2.0000714765e-1), float32(-2.4999993993e-1), float32(3.3333331174e-1)
_LN2_LOW, _LN2_HIGH = float32(-2.12194440e-4), float32(0.693359375)
_TWO_PI, _FOUR_OVER_PI = float32(2.0 * math.pi), float32(1.27323954473516)
_PI4A, _PI4B = float32(-0.78515625), float32(-2.4187564849853515625e-4)
_PI4C = float32(-3.77489497744594108e-8)
_C0, _C1, _C2 = float32(2.443315711809948e-5), float32(-1.388731625493765e-3), float32(4.166664568298827e-2)
_S0, _S1, _S2 = float32(-1.9515295891e-4), float32(8.3321608736e-3), float32(-1.6666654611e-1)


@device
def log32(x, one):
    """ln x of a normal positive float32."""
    b = bits(x)
    m = from_bits(int32((b & 0x7FFFFF) | 0x3F000000))
    e = float32((b >> 23) - (127 if m < _SQRT_HALF else 126))
    x = fma(m, _TWO if m < _SQRT_HALF else _ONE, _MINUS_ONE)
    z = x * x
    y = fma(fma(fma(fma(_L0, x, _L1), x, _L2), x, _L3), x, _L4)
    y = fma(fma(fma(fma(y, x, _L5), x, _L6), x, _L7), x, _L8) * x
    y = fma(z, _MINUS_HALF, fma(y, z, e * _LN2_LOW))
    return fma(e, _LN2_HIGH, fma(x, one, y))


@kernel
def box_muller(lo, hi, u, mean, std, one):
    """u[16 i …] ← std · z + mean from 16 uniforms, for blocks i = lo … hi-1: element j with element j + 8."""
    for i in range(lo, hi):
        for j in range(16 * i, 16 * i + 8):
            r = float32(math.sqrt(_MINUS_TWO * log32(_ONE - u[j], float32(one))))
            x = _TWO_PI * u[j + 8]
            octant = (int32(x * _FOUR_OVER_PI) + 1) & -2
            w = float32(octant)
            x = fma(w, _PI4C, fma(w, _PI4B, fma(w, _PI4A, x)))
            z = x * x
            c = fma(fma(fma(_C0, z, _C1), z, _C2) * z, z, z * _MINUS_HALF)
            c = fma(c, float32(one), _ONE)
            s = fma(fma(fma(_S0, z, _S1), z, _S2) * z, x, x)
            sine = s if octant & 2 == 0 else c
            cosine = c if octant & 2 == 0 else s
            sine = sine if octant & 4 == 0 else -sine
            cosine = cosine if (octant + 2) & 4 == 0 else -cosine
            u[j] = fma(r * cosine, float32(std), float32(mean))
            u[j + 8] = fma(r * sine, float32(std), float32(mean))


def _turn(u: np.ndarray, mean: float, std: float) -> None:
    """Box-Muller in place on blocks of 16 uniforms: element j with element j + 8."""
    if u.dtype == np.float32:
        launch(box_muller, u.size // 16, 40.0, u, float(mean), float(std), 1.0)
        return
    u = u.reshape(-1, 16)
    r, t = np.sqrt(-2.0 * np.log(1.0 - u[:, :8])), 2.0 * math.pi * u[:, 8:]
    u[:, :8] = _fma(r * np.cos(t), std, mean)
    u[:, 8:] = _fma(r * np.sin(t), std, mean)


def normal(out: np.ndarray, stream: MT19937, mean: float, std: float) -> None:
    """out ← std · z + mean of a contiguous tensor.

    Fewer than 16: Box-Muller on f53 pairs, whose spare stays in the stream. From 16 on: uniforms (f24; f53
    for float64) for all (float16 and bfloat16: for the whole blocks), turned in blocks of 16; a ragged tail
    draws 16 anew for the last 16. Complex: both parts, std / √2."""
    if out.dtype.kind == "c":
        out, std = out.view(out.real.dtype), std / math.sqrt(2.0)
    n = out.size
    if n < 16:
        return normal_scalar(out, stream, mean, std)
    draw = stream.f53 if out.dtype == np.float64 else stream.f24
    drawn = n if out.dtype.itemsize > 2 else n // 16 * 16
    for i, j in _chunks(drawn):
        u = draw(j - i)
        whole = u.size // 16 * 16
        _turn(u[:whole], mean, std)
        store(out[i:j], u)
    if n % 16:
        u = draw(16)
        _turn(u, mean, std)
        store(out[n - 16:], u)


def normal_scalar(out: np.ndarray, stream: MT19937, mean: float, std: float) -> None:
    """out ← std · z + mean by f53 pairs at any length: short tensors and those that are not contiguous."""
    for i, j in _chunks(out.size):
        store(out[i:j], _fma(stream.normals(j - i), std, mean))


def log_normal(out: np.ndarray, stream: MT19937, mean: float, std: float) -> None:
    """out ← exp(std · z + mean)."""
    for i, j in _chunks(out.size):
        with np.errstate(over="ignore"):
            store(out[i:j], np.exp(_fma(stream.normals(j - i), std, mean)))


# ---------------------------------------------------------------------------------------- other distributions
def bernoulli(out: np.ndarray, stream: MT19937, p: float) -> None:
    """out ← 1 where f53 < p, else 0."""
    bound = np.uint64(math.ceil(p * 2.0**53))
    yes = to_bfloat16(np.ones(1, np.float32))[0] if out.dtype == BF16 else 1
    for i, j in _chunks(out.size):
        hit = stream.i53(j - i) < bound
        out[i:j] = hit if yes == 1 else hit * yes


def bernoulli_each(out: np.ndarray, stream: MT19937, p: np.ndarray) -> None:
    """out ← 1 where u < p, element by element: f53 if `p` is float64, else f24 (`p` flat, any float type)."""
    draw = stream.f53 if p.dtype == np.float64 else stream.f24
    for i, j in _chunks(out.size):
        q = from_bfloat16(p[i:j]) if p.dtype == BF16 else p[i:j]
        store(out[i:j], (draw(j - i) < q).astype(np.float32))


def dropout_noise(out: np.ndarray, stream: MT19937, keep: float) -> None:
    """out ← bernoulli(keep) / keep."""
    wide: Any = np.float64 if out.dtype == np.float64 else np.float32
    scale = np.empty(1, out.dtype)
    store(scale, np.ones(1, wide) / wide(keep))
    bound = np.uint64(math.ceil(keep * 2.0**53))
    for i, j in _chunks(out.size):
        np.multiply(stream.i53(j - i) < bound, scale, out=out[i:j])


def exponential(out: np.ndarray, stream: MT19937, rate: float) -> None:
    """out ← -log1p(-f53) / rate."""
    scale = -1.0 / rate
    for i, j in _chunks(out.size):
        u = stream.f53(j - i)
        store(out[i:j], scale * np.log1p(-u))


def cauchy(out: np.ndarray, stream: MT19937, median: float, sigma: float) -> None:
    """out ← median + sigma · tan(π (f53 - ½))."""
    for i, j in _chunks(out.size):
        store(out[i:j], _fma(np.tan(math.pi * (stream.f53(j - i) - 0.5)), sigma, median))


def geometric(out: np.ndarray, stream: MT19937, p: float) -> None:
    """out ← ⌈log f53 / log1p(-p)⌉."""
    bottom = math.log1p(-p)
    for i, j in _chunks(out.size):
        with np.errstate(divide="ignore"):
            store(out[i:j], np.ceil(np.log(stream.f53(j - i)) / bottom))


# ------------------------------------------------------------------------------------------ integers
_DIGITS = {np.dtype(np.float16): 11, BF16: 8, np.dtype(np.float32): 24, np.dtype(np.float64): 53}


def representable(low: int, high: int, dtype: np.dtype) -> tuple[int, int]:
    """[low, high) with bounds moved inwards to integers that a float `dtype` holds, where rounding would
    leave it."""
    digits = _DIGITS[dtype]

    def rounded(k: int) -> int:
        one = np.empty(1, dtype)
        store(one, np.array([k], np.int64).astype(np.float32 if dtype.itemsize < 8 else np.float64))
        x = float((from_bfloat16(one) if dtype == BF16 else one)[0])
        return int(x) if abs(x) < 2.0**63 else (-(1 << 63) if x < 0 else (1 << 63) - 1)
    above, below = rounded(low + 1), rounded(high - 1)
    if above < low:
        low = above + (1 << max(0, abs(low + 1).bit_length() - digits))
    if below >= high:
        high = below - (1 << max(0, abs(high - 1).bit_length() - digits))
    return low, high


def randint(out: np.ndarray, stream: MT19937, low: int, count: int) -> None:
    """out ← low + draw mod count: a 32-bit draw for counts below 2**32, else 64-bit."""
    for i, j in _chunks(out.size):
        if count >= 1 << 32:
            r = (stream.u64(j - i) % np.uint64(count)).view(np.int64)
        else:
            r = (stream.u32(j - i) % np.uint32(count)).astype(np.int64)
        with np.errstate(over="ignore"):
            r += np.int64(low)
        _store_int(out[i:j], r)


def random_full(out: np.ndarray, stream: MT19937) -> None:
    """int64 out ← every bit of a 64-bit draw (`random_(-2**63, None)`)."""
    for i, j in _chunks(out.size):
        out[i:j] = stream.u64(j - i).view(np.int64)


def random(out: np.ndarray, stream: MT19937) -> None:
    """out ← draw mod (largest value + 1); floats: 0 … 2**digits, every one of which they hold exactly."""
    d = out.dtype
    if d in _DIGITS:
        count = (1 << _DIGITS[d]) + 1
    elif d == np.bool_:
        count = 2
    else:
        count = int(np.iinfo(d).max) + 1
    for i, j in _chunks(out.size):
        if d in (np.int64, np.float64):
            _store_int(out[i:j], (stream.u64(j - i) % np.uint64(count)).view(np.int64))
        else:
            _store_int(out[i:j], stream.u32(j - i) % np.uint32(count))


def _store_int(out: np.ndarray, r: np.ndarray) -> None:
    if out.dtype.kind in "biu" and out.dtype != BF16:
        out[...] = r
    else:
        store(out, r)


@kernel
def fisher_yates(lo, hi, perm, swap):
    """Exchange perm[i] with perm[swap[i]] for i = lo … hi-1, in this order (not to be split)."""
    for i in range(lo, hi):
        j = swap[i]
        t = perm[i]
        perm[i] = perm[j]
        perm[j] = t


def randperm(out: np.ndarray, stream: MT19937) -> None:
    """out ← a permutation of 0 … n-1: Fisher-Yates from the front, one draw modulo what is left (64-bit draws
    from n = 2**32 / 20 on)."""
    n = out.size
    if n < 2:
        if n:
            out[0] = 0
        return
    left = np.arange(n, 1, -1)
    if n < (1 << 32) // 20:
        swap = (stream.u32(n - 1) % left.astype(np.uint32)).astype(np.int64)
    else:
        swap = (stream.u64(n - 1) % left.astype(np.uint64)).astype(np.int64)
    swap += np.arange(n - 1)
    if n < LIST_LOOP:
        p = list(range(n))
        for i, j in enumerate(swap.tolist()):
            p[i], p[j] = p[j], p[i]
        perm = np.array(p, np.int64)
    else:
        perm = np.arange(n, dtype=np.int64)
        fisher_yates(0, n - 1, perm, swap)
    _store_int(out, perm)


# ------------------------------------------------------------------------------------------ categorical
def multinomial(out: np.ndarray, stream: MT19937, p: np.ndarray, samples: int, replacement: bool) -> None:
    """out[r, :] ← `samples` indices drawn with the probabilities of row r of `p` (2-d), of any positive sum.

    Without replacement, or for one sample: the largest of p / exponential noise. With: f53 searched in the
    cumulative sum. float16 and bfloat16 rows must come as float32 or in their own dtype (bfloat16 bits)."""
    out = out.reshape(p.shape[0], samples)
    if not replacement or samples == 1:
        q = np.empty(p.size, p.dtype)
        exponential(q, stream, 1.0)
        q = q.reshape(p.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            if p.dtype == BF16:
                score = from_bfloat16(to_bfloat16(from_bfloat16(p) / from_bfloat16(q)))
            elif p.dtype == np.float16:
                score = (p.astype(np.float32) / q.astype(np.float32)).astype(np.float16)
            else:
                score = p / q
        if samples == 1:
            out[:, 0] = score.argmax(1)
        else:
            out[...] = np.argsort(-score, axis=1, kind="stable")[:, :samples]
        return
    p = from_bfloat16(p) if p.dtype == BF16 else p.astype(np.float32) if p.dtype == np.float16 else p
    for r in range(p.shape[0]):
        cdf = np.cumsum(p[r])
        if cdf[-1] > 0:
            cdf /= cdf[-1]
        cdf[-1] = 1
        out[r] = np.searchsorted(cdf.astype(np.float64), stream.f53(samples), "left")


# ---------------------------------------------------------------------------------- data-dependent samplers
def each(out: np.ndarray, stream: MT19937, sample: Callable[..., float], *parameters: np.ndarray) -> None:
    """out[i] ← sample(scalars, *parameters at i), in order."""
    rows = [from_bfloat16(a).tolist() if a.dtype == BF16 else a.tolist() for a in parameters]
    with Scalars(stream) as s:
        store(out, np.array([sample(s, *row) for row in zip(*rows)], np.float64).reshape(out.shape))


def sample_poisson(s: Scalars, rate: float) -> float:
    """A Poisson number. Rates from 10 on: transformed rejection (W. Hörmann 1993, PTRS); else products."""
    if rate == 0.0:
        return 0.0
    if rate < 10.0:
        floor, product, k = math.exp(-rate), 1.0, 0
        while True:
            product *= s.uniform()
            if product <= floor:
                return float(k)
            k += 1
    root, log_rate = math.sqrt(rate), math.log(rate)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    vr = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u = s.uniform() - 0.5
        v = s.uniform()
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + rate + 0.43) if us > 0.0 else -1
        if us >= 0.07 and v <= vr:
            return float(k)
        if k < 0 or (us < 0.013 and v > us):
            continue
        if math.log(v) + math.log(inverse_alpha) - math.log(a / (us * us) + b) \
                <= -rate + k * log_rate - math.lgamma(k + 1.0):
            return float(k)


# PyTorch has the third in float32, and shape - 1/3 in the result's dtype.
_THIRD = float(float32(1.0) / float32(3.0))


def sample_gamma(s: Scalars, shape: float, rounded: Callable[[float], float] = float) -> float:
    """A standard gamma number (G. Marsaglia, W. W. Tsang 2000); shapes below 1 through shape + 1."""
    scale = 1.0
    if shape < 1.0:
        if not shape > 0.0:
            return 0.0
        scale = (1.0 - s.uniform()) ** rounded(1.0 / shape)
        shape = rounded(shape + 1.0)
    d = rounded(shape - _THIRD)
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        y = 0.0
        while y <= 0.0:
            x = s.normal()
            y = 1.0 + c * x
        v = y * y * y
        u = 1.0 - s.uniform()
        xx = x * x
        if u < 1.0 - 0.0331 * xx * xx or math.log(u) < 0.5 * xx + d * (1.0 - v + math.log(v)):
            return scale * d * v


def _stirling_tail(k: float) -> float:
    """log k! minus Stirling's main term."""
    return math.lgamma(k + 1.0) - ((k + 0.5) * math.log(k + 1.0) - (k + 1.0) + 0.5 * math.log(2.0 * math.pi))


def sample_binomial(s: Scalars, count: float, p: float) -> float:
    """A binomial number: transformed rejection (W. Hörmann 1993, BTRS) where count · min(p, 1-p) ≥ 10, else
    sums of geometric gaps."""
    if count <= 0.0 or p <= 0.0:
        return 0.0
    if p >= 1.0:
        return count
    if p > 0.5:
        return count - sample_binomial(s, count, 1.0 - p)
    if count * p < 10.0:
        bottom, total, k = math.log1p(-p), 0.0, 0
        while True:
            u = s.uniform()
            total += math.ceil(math.log(u) / bottom) if u > 0.0 else math.inf
            if total > count:
                return float(k)
            k += 1
    root = math.sqrt(count * p * (1.0 - p))
    b = 1.15 + 2.53 * root
    a = -0.0873 + 0.0248 * b + 0.01 * p
    c = count * p + 0.5
    vr = 0.92 - 4.2 / b
    r = p / (1.0 - p)
    alpha = (2.83 + 5.1 / b) * root
    m = math.floor((count + 1.0) * p)
    while True:
        u = s.uniform() - 0.5
        v = s.uniform()
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + c) if us > 0.0 else -1
        if us >= 0.07 and v <= vr:
            return float(k)
        if k < 0 or k > count:
            continue
        v = math.log(v * alpha / (a / (us * us) + b))
        bound = ((m + 0.5) * math.log((m + 1.0) / (r * (count - m + 1.0)))
                 + (count + 1.0) * math.log((count - m + 1.0) / (count - k + 1.0))
                 + (k + 0.5) * math.log(r * (count - k + 1.0) / (k + 1.0))
                 + _stirling_tail(m) + _stirling_tail(count - m)
                 - _stirling_tail(k) - _stirling_tail(count - k))
        if v <= bound:
            return float(k)


def poisson(out: np.ndarray, stream: MT19937, rate: np.ndarray) -> None:
    """out ← Poisson numbers of the given rates."""
    each(out, stream, sample_poisson, rate)


def _single(x: float) -> float:
    return float(np.float32(x))


def standard_gamma(out: np.ndarray, stream: MT19937, shape: np.ndarray) -> None:
    """out ← gamma numbers of the given shapes and scale 1, at least the smallest normal number."""
    single = out.dtype == np.float32
    each(out, stream, lambda s, a: sample_gamma(s, a, _single if single else float), shape)
    if out.dtype != BF16:
        np.maximum(out, np.finfo(out.dtype).tiny, out=out)


def binomial(out: np.ndarray, stream: MT19937, count: np.ndarray, p: np.ndarray) -> None:
    """out ← numbers of successes in `count` trials of probability `p`."""
    each(out, stream, sample_binomial, count, p)


# ------------------------------------------------------------------------------------------ strided outputs
def memory_order(a: np.ndarray) -> list[int]:
    """Dimensions of `a` from the largest stride to the smallest: the order in which PyTorch fills."""
    return sorted(range(a.ndim), key=lambda i: -a.strides[i] if a.shape[i] != 1 else 0)


def fill(a: np.ndarray, draw: Callable[..., None], *args) -> None:
    """draw(flat, *args) for `a` of any strides: elements are filled in memory order, not in logical order."""
    if a.flags.c_contiguous:
        draw(a.reshape(-1), *args)
        return
    if draw is normal:
        draw = normal_scalar
    walk = a.transpose(memory_order(a))
    if walk.flags.c_contiguous:
        draw(walk.reshape(-1), *args)
        return
    flat = np.empty(a.size, a.dtype)
    draw(flat, *args)
    walk[...] = flat.reshape(walk.shape)


# ------------------------------------------------------------------------------------------ entries
# What ops/random.py calls by name: outputs first, `generator` has the MT19937 as `.stream`.
LAWS: dict[str, Callable[..., None]] = {
    f.__name__: f for f in (uniform, normal, log_normal, bernoulli, dropout_noise, exponential, cauchy,
                            geometric, randint, random_full, random, randperm)}
SAMPLERS: dict[str, Callable[..., None]] = {f.__name__: f for f in (poisson, standard_gamma, binomial)}


def noise(out: np.ndarray, x: np.ndarray | None, law: str, parameters: tuple, generator: Any) -> None:
    """out ← numbers of a law; `x`, shaped like `out`, is not read."""
    fill(out, LAWS[law], generator.stream, *parameters)


def bernoulli_of(out: np.ndarray, x: np.ndarray | None, p: np.ndarray, generator: Any) -> None:
    """out ← 1 with probability `p`, broadcast to out's shape."""
    order = memory_order(out)
    probabilities = np.broadcast_to(p, out.shape).transpose(order).ravel()
    fill(out, bernoulli_each, generator.stream, probabilities)


def categorical(out: np.ndarray, p: np.ndarray, samples: int, replacement: bool, generator: Any) -> None:
    """out ← indices drawn with the probabilities of the last dimension of `p` (1-d or 2-d)."""
    rows = p.reshape(-1, p.shape[-1])
    multinomial(out.reshape(-1), generator.stream, rows, samples, replacement)


def sampled(out: np.ndarray, x: np.ndarray, y: np.ndarray | None, law: str, generator: Any) -> None:
    """out ← numbers of a law whose parameters `x` (and `y`) are tensors of out's shape."""
    SAMPLERS[law](out.reshape(-1), generator.stream, *[a.ravel() for a in (x, y) if a is not None])


def rrelu_noise(out: np.ndarray, x: np.ndarray, lower: float, upper: float, generator: Any) -> None:
    """out ← f53 · (upper - lower) + lower, bounds rounded to the dtype, where x ≤ 0 (only those draw); else
    1."""
    value = from_bfloat16(x.ravel()) if x.dtype == BF16 else x.ravel()
    low = value <= 0
    slopes = np.ones(out.size)
    if out.dtype != np.float64:
        lower, upper = float(np.float32(lower)), float(np.float32(upper))
    slopes[low] = generator.stream.f53(int(low.sum())) * (upper - lower) + lower
    store(out.reshape(-1), slopes)
