"""The SIMT emulator: it computes what CUDA computes and catches planted bugs."""
import math

import numpy as np
import pytest

pytest.importorskip("greenlet")
from numtorch.kernels import jit
from numtorch.kernels.cuda import emulator
from numtorch.kernels.cuda.emulator import KernelError, launch

cuda = None                                     # rebound by the emulator, as `math` and the casts
float32 = float64 = int64 = uint32 = uint64 = int32 = uint8 = None
SEEDS = range(4)


def ones(n, dtype=np.float32):
    return np.ones(n, dtype)


# Sound kernels


def square(lo, hi, out, x):
    for i in range(lo + cuda.grid(1), hi, cuda.gridsize(1)):
        out[i] = x[i] * x[i]


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 199])
def test_grid_stride_loop_covers_every_element_once(n):
    x = np.arange(n, dtype=np.float32)
    out = np.full(n, np.nan, np.float32)
    trace = launch(square, 3, 64, (0, n, out, x))
    assert (out == x * x).all() and trace == (192, 0, 0)


def block_sum(out, x, n):
    partial = cuda.shared.array(4, float32)
    t = cuda.threadIdx.x
    acc = float32(0)
    for j in range(t, n, cuda.blockDim.x):
        acc += x[j]
    for k in range(5):
        acc += cuda.shfl_down_sync(0xFFFFFFFF, acc, 16 >> k)
    if t % 32 == 0:
        partial[t // 32] = acc
    cuda.syncthreads()
    if t == 0:
        for w in range(1, cuda.blockDim.x // 32):
            acc += partial[w]
        out[0] = acc


@pytest.mark.parametrize("threads", [32, 64, 96, 128])
def test_block_sum_by_shuffles_and_shared_memory(threads):
    x = np.random.default_rng(0).standard_normal(500).astype(np.float32)
    results = set()
    for seed in SEEDS:
        out = np.full(1, np.nan, np.float32)
        trace = launch(block_sum, 1, threads, (out, x, x.size), seed=seed)
        results.add(out[0])
    assert trace.barriers == 1 and trace.shared_bytes == 16
    assert len(results) == 1 and abs(results.pop() - x.sum()) < 1e-4


def tiled_product(out, a, b, m, n, k):
    left = cuda.shared.array((8, 8), float32)
    right = cuda.shared.array((8, 8), float32)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    row, column = cuda.blockIdx.y * 8 + y, cuda.blockIdx.x * 8 + x
    acc = float32(0)
    for start in range(0, k, 8):
        left[y, x] = a[row * k + start + x] if row < m and start + x < k else float32(0)
        right[y, x] = b[(start + y) * n + column] if start + y < k and column < n else float32(0)
        cuda.syncthreads()
        for i in range(8):
            acc += left[y, i] * right[i, x]
        cuda.syncthreads()
    if row < m and column < n:
        out[row * n + column] = acc


def test_tiled_matrix_product():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((11, 13)).astype(np.float32), rng.standard_normal((13, 9)).astype(np.float32)
    out = np.full(99, np.nan, np.float32)
    launch(tiled_product, (2, 2), (8, 8), (out, a.ravel(), b.ravel(), 11, 9, 13))
    np.testing.assert_allclose(out.reshape(11, 9), a @ b, rtol=1e-5, atol=1e-5)


def histogram(counts, x, n):
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        cuda.atomic.add(counts, x[i], 1)


def test_atomics_do_not_race_with_each_other():
    x = np.random.default_rng(0).integers(0, 5, 100)
    counts = np.zeros(5, np.int64)
    launch(histogram, 2, 32, (counts, x, 100))
    assert (counts == np.bincount(x, minlength=5)).all()


def collectives(out):
    t = cuda.threadIdx.x
    out[t] = cuda.ballot_sync(0xFFFFFFFF, t % 3 == 0)
    out[t + 32] = cuda.shfl_up_sync(0xFFFFFFFF, t, 1)
    out[t + 64] = cuda.shfl_xor_sync(0xFFFFFFFF, t, 5)
    out[t + 96] = cuda.shfl_sync(0xFFFFFFFF, t, 7)
    out[t + 128] = cuda.syncthreads_count(t < 11) + 100 * cuda.syncthreads_or(t == 40)
    out[t + 160] = 1 if cuda.any_sync(0xFFFFFFFF, t == 31) and not cuda.all_sync(0xFFFFFFFF, t == 31) else 0


def test_votes_and_shuffles():
    out = np.zeros(192, np.int64)
    launch(collectives, 1, 32, (out,))
    t = np.arange(32)
    ballot = sum(1 << i for i in range(0, 32, 3))
    expected = [np.full(32, n) for n in (ballot, 0, 0, 7, 11, 1)]
    expected[1:3] = np.maximum(t - 1, 0), t ^ 5
    assert (out.reshape(6, 32) == expected).all()


def half_warps(out, x):
    t = cuda.threadIdx.x
    if t < 16:
        out[t] = cuda.shfl_xor_sync(0x0000FFFF, x[t], 1)
    else:
        out[t] = cuda.shfl_xor_sync(0xFFFF0000, x[t], 2)


def test_disjoint_masks_of_one_warp_are_independent():
    out, x = np.zeros(32), np.arange(32.0)
    launch(half_warps, 1, 32, (out, x))
    assert (out[:16] == (np.arange(16) ^ 1)).all() and (out[16:] == (np.arange(16, 32) ^ 2)).all()


def warp_exchange(out, x):
    s = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    s[t] = x[t]
    cuda.syncwarp()
    out[t] = s[t ^ 31]


def test_syncwarp_orders_the_lanes_of_a_warp():
    x, out = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
    for seed in SEEDS:
        launch(warp_exchange, 1, 64, (out, x), seed=seed)
    assert (out == x[np.arange(64) ^ 31]).all()


def dynamic_reverse(out, x, n):
    s = cuda.shared.array(0, float64)
    t = cuda.threadIdx.x
    s[t] = x[t]
    cuda.syncthreads()
    out[t] = s[n - 1 - t]


def test_dynamic_shared_memory():
    x, out = np.arange(32.0), np.zeros(32)
    assert launch(dynamic_reverse, 1, 32, (out, x, 32), dynamic_bytes=256).shared_bytes == 256
    assert (out == x[::-1]).all()
    with pytest.raises(KernelError, match=r"index \d\d of shared s is out of range: it has 16 elements"):
        launch(dynamic_reverse, 1, 32, (out, x, 32), dynamic_bytes=128)


def test_helper_functions_and_closures_see_the_emulated_names():
    def helper(x):
        return float32(0.5) * x + float32(cuda.laneid)

    def kernel(out, x):
        i = cuda.grid(1)
        out[i] = helper(x[i])
    out = np.zeros(32, np.float32)
    launch(kernel, 1, 32, (out, ones(32)))
    assert (out == 0.5 + np.arange(32)).all()


def test_a_function_compiled_elsewhere_is_unwrapped():
    out = np.zeros(3, np.float32)
    launch(jit.kernel(square), 1, 32, (0, 3, out, ones(3)))
    assert (out == 1).all()


# Compiled arithmetic


def typing(out, x, n):
    out[0] = (x[0] + 0.1) * 3
    out[1] = x[0] + float32(0.1)
    out[2] = math.exp(x[0] * float32(1000.0))
    out[3] = math.log(x[0] - x[0] - x[0])
    out[4] = x[0] / (x[0] - x[0])
    out[5] = math.erf(x[0])
    out[6] = math.floor(-x[0] / float32(2))
    out[7] = math.exp(x[0])


def test_arithmetic_is_the_compiled_one():
    out = np.zeros(8)
    launch(typing, 1, 1, (out, ones(1), 3))
    assert out[0] == (1 + 0.1) * 3                            # a literal is float64
    assert out[1] == np.float32(1) + np.float32(0.1)
    assert out[2] == np.inf and np.isnan(out[3]) and out[4] == np.inf
    assert out[5] == np.float32(math.erf(1)) and out[6] == -1
    assert out[7] == np.exp(np.float32(1))


def integers(out, narrow, byte, x):
    out[0] = narrow[0] + narrow[0]                            # int32 + int32 is int64
    out[1] = uint32(uint64(byte[0]) << uint64(31))
    out[2] = int64(x[0])
    out[3] = int32(uint32(0xFFFFFFFF))
    narrow[1] = narrow[0] + narrow[0]
    byte[1] = byte[0] + 1
    out[4] = uint64(0xD2511F53) * uint64(0xFFFFFFFF) >> uint64(32)
    out[5] = int64(0x7FFFFFFFFFFFFFFF) + int64(1)


def test_integers_are_carried_in_64_bits_and_wrap_when_stored():
    out, narrow, byte = np.zeros(6, np.int64), np.full(2, 2**31 - 1, np.int32), np.full(2, 255, np.uint8)
    launch(integers, 1, 1, (out, narrow, byte, np.array([np.nan])))
    assert out.tolist() == [2**32 - 2, 1 << 31, 0, -1, 0xD2511F53 * 0xFFFFFFFF >> 32, -(2**63)]
    assert narrow[1] == -2 and byte[1] == 0


# Planted bugs


def missing_barrier(out, x):
    s = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    s[t] = float32(0)
    cuda.syncthreads()
    s[t] = x[t]
    out[t] = s[63 - t]


def write_after_read(out, x):
    s = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    s[t] = x[t]
    cuda.syncthreads()
    v = s[63 - t]
    s[t] = v
    out[t] = v


def write_after_write(out, x):
    s = cuda.shared.array(1, float32)
    s[0] = x[cuda.threadIdx.x]
    cuda.syncthreads()
    out[cuda.threadIdx.x] = s[0]


def shuffle_is_no_barrier(out, x):
    s = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    s[t] = x[t]
    s[t] = cuda.shfl_xor_sync(0xFFFFFFFF, s[t], 1)
    out[t] = s[t ^ 2]


def warp_barrier_for_a_block(out, x):
    s = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    s[t] = x[t]
    cuda.syncwarp()
    out[t] = s[63 - t]


def global_race(out, x):
    out[cuda.threadIdx.x // 2] = x[cuda.threadIdx.x]


def global_race_of_blocks(out, x):
    out[cuda.threadIdx.x] = x[cuda.threadIdx.x]
    cuda.syncthreads()


def atomic_and_plain(out, x):
    cuda.atomic.add(out, 0, x[0])
    if cuda.threadIdx.x == 5:
        out[0] = x[1]


def scan_in_place(out, x):
    t = cuda.grid(1)
    if t > 0:
        x[t] = x[t] + x[t - 1]


def uninitialised_shared(out, x):
    s = cuda.shared.array(64, float32)
    out[cuda.threadIdx.x] = s[cuda.threadIdx.x]


def uninitialised_local(out, x):
    v = cuda.local.array(2, float32)
    v[0] = x[0]
    out[cuda.grid(1)] = v[0] + v[1]


def negative_index(out, x):
    out[cuda.grid(1) - 1] = x[cuda.grid(1)]


def past_the_end(out, x):
    out[cuda.grid(1)] = x[cuda.grid(1) + 1]


def tile_index(out, x):
    s = cuda.shared.array((2, 32), float32)
    s[0, cuda.threadIdx.x] = x[0]


def float_index(out, x):
    out[cuda.threadIdx.x / 2] = x[0]


def divergent_barrier(out, x):
    if cuda.threadIdx.x < 16:
        cuda.syncthreads()


def two_barriers(out, x):
    if cuda.threadIdx.x < 16:
        cuda.syncthreads()
    else:
        cuda.syncthreads()


def warp_against_block(out, x):
    if cuda.threadIdx.x < 16:
        cuda.syncwarp()
    else:
        cuda.syncthreads()


def mask_mismatch(out, x):
    cuda.syncwarp(0xFFFFFFFF if cuda.threadIdx.x else 0x0000FFFF)


def exited_lane(out, x):
    t = cuda.threadIdx.x
    if t < 10:
        out[t] = cuda.shfl_down_sync(0xFFFFFFFF, x[t], 1)


def outside_the_mask(out, x):
    t = cuda.threadIdx.x
    if t < 16:
        out[t] = cuda.shfl_down_sync(0x0000FFFF, x[t], 1)


def own_bit_missing(out, x):
    cuda.syncwarp(0x0000FFFF)


def shuffled_bool(out, x):
    cuda.shfl_sync(0xFFFFFFFF, x[0] > x[1], 0)


def much_shared(out, x):
    s = cuda.shared.array(13000, float32)
    s[0] = x[0]


def python_error(out, x):
    out[cuda.threadIdx.x] = x[0].nothing


def unknown_intrinsic(out, x):
    cuda.warp_specialise()


BUGS = [
    (missing_barrier, "race: (reads|writes) shared s.* (written|read) by thread"),
    (write_after_read, "race: (writes shared s.* read|reads shared s.* written) by thread"),
    (write_after_write, r"race: writes shared s\[0\], written by thread"),
    (shuffle_is_no_barrier, "race: reads shared s.* written by thread"),
    (warp_barrier_for_a_block, "(race: reads shared s|reads shared s.* never written)"),
    (global_race, "race: writes out.* written by thread"),
    (atomic_and_plain, r"race: .*out\[0\]"),
    (scan_in_place, "race: .* x.* by thread"),
    (uninitialised_shared, "reads shared s.* which was never written"),
    (uninitialised_local, r"reads local v\[1\], which was never written"),
    (negative_index, r"index -1 of out is out of range: it has 64 elements \(kernel negative_index, "
                     r"thread \(0, 0, 0\) of block \(0, 0, 0\), line \d+: out\[cuda.grid\(1\) - 1\]"),
    (past_the_end, "index 64 of x is out of range"),
    (tile_index, r"index \(0, \d+\) of shared s is out of range: it has 2 × 32 elements"),
    (float_index, "index of out must be an integer"),
    (divergent_barrier, r"divergent barrier in block \(0, 0, 0\): 48 of 64 threads have exited, "
                        r"16 wait at syncthreads"),
    (two_barriers, "divergent barrier in block .*: .* wait at syncthreads .*, .* wait at syncthreads"),
    (warp_against_block, "deadlock in block .*: .* wait at sync"),
    (mask_mismatch, "deadlock in block"),
    (exited_lane, "shfl_down_sync with mask 0xffffffff names lane 10 of warp 0, which has exited"),
    (outside_the_mask, "shfl_down_sync reads lane 16, which is not in the mask 0xffff"),
    (own_bit_missing, "syncwarp with mask 0xffff, which lacks the calling lane"),
    (shuffled_bool, "shfl_sync moves int32, int64, float32 and float64, got bool"),
    (much_shared, "52000 bytes of static shared memory exceed 49152"),
    (python_error, "AttributeError: .*nothing.*line"),
    (unknown_intrinsic, "the emulator has no cuda.warp_specialise"),
]


@pytest.mark.parametrize("kernel, message", BUGS, ids=[bug[0].__name__ for bug in BUGS])
def test_planted_bug_is_caught_in_every_order(kernel, message):
    for seed in SEEDS:
        with pytest.raises(KernelError, match=message):
            launch(kernel, 1, 64, (np.zeros(64, np.float32), np.arange(64, dtype=np.float32)), seed=seed)


def test_blocks_race_in_spite_of_a_barrier():
    with pytest.raises(KernelError, match=r"race: writes out.* of block .* with no barrier between"):
        launch(global_race_of_blocks, 2, 32, (np.zeros(64, np.float32), ones(64)))
    launch(global_race_of_blocks, 2, 32, (np.zeros(64, np.float32), ones(64)), races=False)


def test_a_view_shares_its_races():
    x = np.arange(64, dtype=np.float32)

    def shift(out, x):
        i = cuda.grid(1)
        out[i] = x[i] + float32(1)
    launch(shift, 1, 32, (x[:32], x[:32]))
    with pytest.raises(KernelError, match="race"):
        launch(shift, 1, 32, (x[1:33], x[:32]))


@pytest.mark.parametrize("grid, block, message", [
    (1, 1025, "block .1025, 1, 1. is outside"), (1, (32, 32, 2), "a block of 2048 threads exceeds 1024"),
    (0, 32, "grid .0, 1, 1. is outside"), (1, 0, "block .0, 1, 1. is outside"),
    ((1, 65536), 32, "grid .1, 65536, 1. is outside"), (1, (1, 1, 65), "block .1, 1, 65. is outside")])
def test_launch_limits(grid, block, message):
    with pytest.raises(KernelError, match=message):
        launch(square, grid, block, (0, 1, ones(1), ones(1)))


def test_arguments():
    with pytest.raises(KernelError, match="takes 4 arguments, got 3"):
        launch(square, 1, 32, (0, 1, ones(1)))
    with pytest.raises(KernelError, match="argument x must be a flat array, got 2 dimensions"):
        launch(square, 1, 32, (0, 1, ones(1), np.ones((1, 1))))
    with pytest.raises(KernelError, match="argument x must be an array or a number, got list"):
        launch(square, 1, 32, (0, 1, ones(1), [1.0]))
    with pytest.raises(KernelError, match="AttributeError: 'Array' object has no attribute 'size'"):
        launch(lambda x: x.size, 1, 1, (ones(1),))


def test_a_warp_that_is_not_full_has_no_missing_lanes():
    with pytest.raises(KernelError, match="names lane 16 of warp 1, which does not exist"):
        launch(block_sum, 1, 48, (np.zeros(1, np.float32), ones(10), 10))


def test_a_failed_launch_leaves_no_state():
    for _ in range(2):
        with pytest.raises(KernelError):
            launch(divergent_barrier, 1, 64, (ones(1), ones(1)))
    assert emulator.launch(square, 1, 32, (0, 1, ones(1), ones(1))).threads == 32
