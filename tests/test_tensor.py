"""The tensor core: views and strides, writes, types, other libraries' memory, copies, old spellings.

Tables marked "PyTorch" were printed by PyTorch 2.13."""
import copy
import gc
import math
import os
import pickle
import platform
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

import numtorch as T
from numtorch import nn

VIEWS = """
x.view(4, 6): (4, 6) (6, 1) 0
x.view(-1): (24,) (1,) 0
x.view(2, 12, 1): (2, 12, 1) (12, 1, 1) 0
x.reshape(6, 4): (6, 4) (4, 1) 0
x[1]: (3, 4) (4, 1) 12
x[:, 1]: (2, 4) (12, 1) 4
x[..., 2]: (2, 3) (12, 4) 2
x[None]: (1, 2, 3, 4) (24, 12, 4, 1) 0
x[0, 1:, ::2]: (2, 2) (4, 2) 4
x[:0]: (0, 3, 4) (12, 4, 1) 0
x[-1, -1, -1]: () () 23
x[:, None, 1]: (2, 1, 4) (12, 12, 1) 4
x.permute(2, 0, 1): (4, 2, 3) (1, 12, 4) 0
x.transpose(0, -1): (4, 3, 2) (1, 4, 12) 0
x.movedim(0, -1): (3, 4, 2) (4, 1, 12) 0
x.moveaxis((0, 1), (1, 2)): (4, 2, 3) (1, 12, 4) 0
x.swapdims(0, 1): (3, 2, 4) (4, 12, 1) 0
x.swapaxes(1, 2): (2, 4, 3) (12, 1, 4) 0
x.mT: (2, 4, 3) (12, 1, 4) 0
x[0].t(): (4, 3) (1, 4) 0
x[0].T: (4, 3) (1, 4) 0
x.narrow(1, 1, 2): (2, 2, 4) (12, 4, 1) 4
x.narrow(2, -3, 2): (2, 3, 2) (12, 4, 1) 1
x.select(1, 2): (2, 4) (12, 1) 8
x.select(-1, -1): (2, 3) (12, 4) 3
x.diagonal(): (4, 2) (1, 16) 0
x.diagonal(1, 1, 2): (2, 3) (12, 5) 1
x.diagonal(-1, 2, 1): (2, 3) (12, 5) 1
x.diagonal(9): (4, 0) (1, 16) 0
x.unfold(2, 2, 1): (2, 3, 3, 2) (12, 4, 1, 1) 0
x.unfold(1, 2, 2): (2, 1, 4, 2) (12, 8, 1, 4) 0
x.unfold(0, 2, 5): (1, 3, 4, 2) (60, 4, 1, 12) 0
x.as_strided((2, 2), (1, 2)): (2, 2) (1, 2) 0
x.as_strided((3,), (7,), 2): (3,) (7,) 2
x[1].as_strided((4,), (1,)): (4,) (1,) 12
x.as_strided((), ()): () () 0
x.chunk(2, 1)[1]: (2, 1, 4) (12, 4, 1) 8
x.chunk(5, 2)[3]: (2, 3, 1) (12, 4, 1) 3
x.split(2, 2)[1]: (2, 3, 2) (12, 4, 1) 2
x.split([1, 2], 1)[1]: (2, 2, 4) (12, 4, 1) 4
x.tensor_split(3, 2)[0]: (2, 3, 2) (12, 4, 1) 0
x.tensor_split((1,), 1)[1]: (2, 2, 4) (12, 4, 1) 4
x.unbind(1)[2]: (2, 4) (12, 1) 8
x.hsplit(3)[1]: (2, 1, 4) (12, 4, 1) 4
x.squeeze(): (2, 3, 4) (12, 4, 1) 0
x[:1].squeeze(): (3, 4) (4, 1) 0
x[:1].squeeze(0): (3, 4) (4, 1) 0
x[:1].squeeze(1): (1, 3, 4) (12, 4, 1) 0
x[:1, :, :1].squeeze((0, 2)): (3,) (4,) 0
x.unsqueeze(0): (1, 2, 3, 4) (24, 12, 4, 1) 0
x.unsqueeze(-1): (2, 3, 4, 1) (12, 4, 1, 1) 0
x.unsqueeze(2): (2, 3, 1, 4) (12, 4, 4, 1) 0
x.flatten(1): (2, 12) (12, 1) 0
x.flatten(0, 1): (6, 4) (4, 1) 0
x.unflatten(2, (2, -1)): (2, 3, 2, 2) (12, 4, 2, 1) 0
x[:, :1].expand(2, 5, 4): (2, 5, 4) (12, 0, 1) 0
x.expand(3, -1, -1, -1): (3, 2, 3, 4) (0, 12, 4, 1) 0
x[0, :, :1].expand_as(x[0]): (3, 4) (4, 0) 0
x.view_as(x): (2, 3, 4) (12, 4, 1) 0
x.ravel(): (24,) (1,) 0
x.detach(): (2, 3, 4) (12, 4, 1) 0
x.data: (2, 3, 4) (12, 4, 1) 0
x.view(T.int32): (2, 3, 4) (12, 4, 1) 0
x.view(T.int16): (2, 3, 8) (24, 8, 1) 0
x.view(T.float64): (2, 3, 2) (6, 2, 1) 0
T.broadcast_to(x[:, :1, :1], (2, 3, 4)): (2, 3, 4) (12, 0, 0) 0
T.broadcast_tensors(x, T.zeros(7, 1, 1, 1))[0]: (7, 2, 3, 4) (0, 12, 4, 1) 0
T.view_as_complex(x.view(2, 6, 2)): (2, 6) (6, 1) 0
T.zeros(2, 3, dtype=T.complex64).real: (2, 3) (6, 2) 0
T.zeros(2, 3, dtype=T.complex64).imag: (2, 3) (6, 2) 1
T.view_as_real(T.zeros(2, 3, dtype=T.complex64)): (2, 3, 2) (6, 2, 1) 0
"""

COPIES = """
x.clone(): (2, 3, 4) (12, 4, 1) True
x.transpose(0, 2).clone(): (4, 3, 2) (1, 4, 12) False
x.transpose(0, 2).contiguous(): (4, 3, 2) (6, 2, 1) True
x[:, ::2].clone(): (2, 2, 4) (8, 4, 1) True
x[:, ::2].contiguous(): (2, 2, 4) (8, 4, 1) True
x.permute(1, 2, 0).reshape(6, 4): (6, 4) (4, 1) True
x[:, :1].expand(2, 5, 4).clone(): (2, 5, 4) (20, 4, 1) True
x[..., 0].expand(4, 2, 3).contiguous(): (4, 2, 3) (6, 3, 1) True
T.empty_like(x.permute(2, 0, 1)): (4, 2, 3) (1, 12, 4) False
T.zeros_like(x[..., ::2]): (2, 3, 2) (6, 2, 1) True
T.full_like(x.mT, 1): (2, 4, 3) (12, 1, 4) False
x.permute(2, 0, 1) + 1: (4, 2, 3) (1, 12, 4) False
x.permute(2, 0, 1) * T.zeros(3): (4, 2, 3) (1, 12, 4) False
x.mT + T.zeros(2, 4, 3): (2, 4, 3) (12, 1, 4) False
T.zeros(2, 4, 3) + x.mT: (2, 4, 3) (12, 3, 1) True
x.mT.exp(): (2, 4, 3) (12, 1, 4) False
x.mT.double(): (2, 4, 3) (12, 1, 4) False
x[:, :1].expand(2, 5, 4) + 1: (2, 5, 4) (20, 4, 1) True
x[..., :1] + x[:, :1]: (2, 3, 4) (12, 4, 1) True
T.where(x.mT > 0, x.mT, 0.0): (2, 4, 3) (12, 1, 4) False
x.sum(1): (2, 4) (4, 1) True
x.mT.sum(-1, keepdim=True): (2, 4, 1) (4, 1, 1) True
x.permute(2, 0, 1).cumsum(0): (4, 2, 3) (6, 3, 1) True
x @ x.mT: (2, 3, 3) (9, 3, 1) True
T.stack([x, x], 1): (2, 2, 3, 4) (24, 12, 4, 1) True
T.cat([x.mT, x.mT]): (4, 4, 3) (12, 3, 1) True
x[[0, 1, 1]]: (3, 3, 4) (12, 4, 1) True
x.to(T.float64, copy=True): (2, 3, 4) (12, 4, 1) True
y.contiguous(memory_format=T.channels_last): (2, 3, 4, 5) (60, 1, 15, 3) False
y.to(memory_format=T.channels_last) + 1: (2, 3, 4, 5) (60, 1, 15, 3) False
y.to(memory_format=T.channels_last) + y: (2, 3, 4, 5) (60, 1, 15, 3) False
y + y.to(memory_format=T.channels_last): (2, 3, 4, 5) (60, 20, 5, 1) True
y.to(memory_format=T.channels_last).sum((2, 3), keepdim=True): (2, 3, 1, 1) (3, 1, 1, 1) True
y[:, :1].to(memory_format=T.channels_last): (2, 1, 4, 5) (20, 1, 5, 1) True
y[:, :1].contiguous(memory_format=T.channels_last): (2, 1, 4, 5) (20, 1, 5, 1) True
y.to(memory_format=T.channels_last).clone(memory_format=T.contiguous_format): (2, 3, 4, 5) (60, 20, 5, 1) True
y[None].contiguous(memory_format=T.channels_last_3d): (1, 2, 3, 4, 5) (120, 1, 40, 10, 2) False
T.empty(2, 3, 4, 5, memory_format=T.channels_last): (2, 3, 4, 5) (60, 1, 15, 3) False
T.zeros_like(y, memory_format=T.channels_last): (2, 3, 4, 5) (60, 1, 15, 3) False
T.empty_permuted((2, 3, 4), (1, 0, 2)): (2, 3, 4) (4, 8, 1) False
T.empty_strided((2, 3), (1, 4)): (2, 3) (1, 4) False
T.zeros(2, 0, 3): (2, 0, 3) (3, 3, 1) True
T.zeros(0): (0,) (1,) True
T.zeros(()): () () True
T.zeros(1, 3).t(): (3, 1) (1, 3) True
T.zeros(3, 1, 2).transpose(0, 1): (1, 3, 2) (2, 2, 1) True
"""

# Rows and columns: bool, uint8, int8 … complex128, in their short names.
PROMOTION = """
b1 u1 i1 i2 i4 i8 f2 bf f4 f8 c8 cx
u1 u1 i2 i2 i4 i8 f2 bf f4 f8 c8 cx
i1 i2 i1 i2 i4 i8 f2 bf f4 f8 c8 cx
i2 i2 i2 i2 i4 i8 f2 bf f4 f8 c8 cx
i4 i4 i4 i4 i4 i8 f2 bf f4 f8 c8 cx
i8 i8 i8 i8 i8 i8 f2 bf f4 f8 c8 cx
f2 f2 f2 f2 f2 f2 f2 f4 f4 f8 c8 cx
bf bf bf bf bf bf f4 bf f4 f8 c8 cx
f4 f4 f4 f4 f4 f4 f4 f4 f4 f8 c8 cx
f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 cx cx
c8 c8 c8 c8 c8 c8 c8 c8 c8 cx c8 cx
cx cx cx cx cx cx cx cx cx cx cx cx
"""

# Per dtype: result types of t with True, 2, 2.5, 2j; of a 0-d tensor with the same; of t with 0-d tensors of
# bool, int64, float32, float64, complex64; then t / 2, t.sum(), t + t, t * True, t.exp(), t == t,
# t.cumsum(0), t.prod().
WITH_NUMBERS = """
b1 i8 f4 c8 b1 i8 f4 c8 b1 i8 f4 f8 c8 f4 i8 b1 b1 f4 b1 i8 i8
u1 u1 f4 c8 u1 u1 f4 c8 u1 u1 f4 f8 c8 f4 i8 u1 u1 f4 b1 i8 i8
i1 i1 f4 c8 i1 i1 f4 c8 i1 i1 f4 f8 c8 f4 i8 i1 i1 f4 b1 i8 i8
i2 i2 f4 c8 i2 i2 f4 c8 i2 i2 f4 f8 c8 f4 i8 i2 i2 f4 b1 i8 i8
i4 i4 f4 c8 i4 i4 f4 c8 i4 i4 f4 f8 c8 f4 i8 i4 i4 f4 b1 i8 i8
i8 i8 f4 c8 i8 i8 f4 c8 i8 i8 f4 f8 c8 f4 i8 i8 i8 f4 b1 i8 i8
f2 f2 f2 -- f2 f2 f2 -- f2 f2 f2 f2 -- f2 f2 f2 f2 f2 b1 f2 f2
bf bf bf c8 bf bf bf c8 bf bf bf bf c8 bf bf bf bf bf b1 bf bf
f4 f4 f4 c8 f4 f4 f4 c8 f4 f4 f4 f4 c8 f4 f4 f4 f4 f4 b1 f4 f4
f8 f8 f8 cx f8 f8 f8 cx f8 f8 f8 f8 cx f8 f8 f8 f8 f8 b1 f8 f8
c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 b1 c8 c8
cx cx cx cx cx cx cx cx cx cx cx cx cx cx cx cx cx cx b1 cx cx
"""

def rows(table: str) -> list[str]:
    return table.strip().split("\n")

def samples() -> dict:
    return {"T": T, "x": T.arange(24.0).view(2, 3, 4), "y": T.zeros(2, 3, 4, 5)}

# ------------------------------------------------------------------------------------------ views
@pytest.mark.parametrize("row", rows(VIEWS))
def test_views_have_pytorchs_strides_and_share_memory(row):
    source, _, want = row.partition(": (")
    x = T.arange(24.0).view(2, 3, 4)
    v = eval(source, {"T": T, "x": x})
    assert f"{tuple(v.shape)} {v.stride()} {v.storage_offset()}" == "(" + want
    if "zeros" not in source or "broadcast" in source:
        assert v.untyped_storage().data_ptr() == x.data_ptr()
        if v.numel() and v.dtype is T.float32:
            v.fill_(-7)
            assert (x == -7).any()

@pytest.mark.parametrize("row", rows(COPIES))
def test_results_have_pytorchs_strides(row):
    source, _, want = row.partition(": (")
    v = eval(source, samples())
    assert f"{tuple(v.shape)} {v.stride()} {v.is_contiguous()}" == "(" + want

def test_views_see_writes_both_ways():
    x = T.arange(6.0)
    y = x.view(2, 3)
    y[0] = 9
    y.t()[2] += 1
    x[::2].mul_(2)
    assert x.tolist() == [18, 9, 20, 3, 8, 6] and y.tolist() == [[18, 9, 20], [3, 8, 6]]
    m = T.arange(12.0).view(3, 4)
    m.diagonal().fill_(0)
    m[:, 1:3].zero_()
    m.t()[0].copy_(T.tensor([7, 8, 9]))
    m.unsqueeze(0)[0, 2, 3] = 5
    m.expand(2, 3, 4)[1, 1, 3] = 6
    assert m.tolist() == [[7, 0, 0, 3], [8, 0, 0, 6], [9, 0, 0, 5]]

def test_views_keep_the_memory_alive_and_know_their_base():
    x = T.zeros(2, 3)
    v = x[0][1:]
    assert v._base is x and v._is_view() and not x._is_view() and x.detach()._base is None
    assert v.is_set_to(x[0, 1:]) and not v.is_set_to(x[1, 1:])
    del x
    gc.collect()
    v.fill_(3)
    assert v.tolist() == [3, 3]

def test_reshape_copies_only_where_it_must():
    x = T.arange(6.0).view(2, 3)
    assert x.reshape(3, 2).data_ptr() == x.data_ptr()
    assert x.t().reshape(6).data_ptr() != x.data_ptr()
    assert x.t().reshape(6).tolist() == [0, 3, 1, 4, 2, 5]
    for same in (x.to(T.float32), x.to("cpu"), x.float(), x.contiguous(), x.to(x), x.cpu(), x.flatten(0, 0),
                 x.type(T.float32), x.requires_grad_(False)):
        assert same is x
    for other in (x.clone(), x.to(T.float32, copy=True), x.view(2, 3), x.detach(), x.expand(2, 3),
                  x.squeeze()):
        assert other is not x

# ------------------------------------------------------------------------------------------ writes
def test_in_place_operators_keep_the_object_and_the_type():
    x = T.ones(3)
    y = x
    x += T.tensor([1, 2, 3])
    x -= 1
    x *= 2
    x /= 4
    x **= 2
    x //= 0.5
    x %= 3
    assert y is x and x.tolist() == [0, 2, 1] and x.dtype is T.float32
    i = T.zeros(3, dtype=T.int64)
    i += 2
    i *= T.tensor(3)
    i //= 2
    i **= 2
    i %= 5
    i <<= 2
    i |= 1
    i >>= 1
    i ^= 3
    i &= 6
    assert i.tolist() == [2, 2, 2] and i.dtype is T.int64
    b = T.tensor([True, False])
    b |= T.tensor([False, True])
    b ^= T.tensor([True, False])
    assert b.tolist() == [False, True]

def test_in_place_chains_return_self():
    x = T.tensor([0.5, -1.5])
    assert x.pow_(2).neg_().abs_().sqrt_().clamp_(0.6).clamp_(max=1.2).round_() is x
    assert x.tolist() == [1, 1]
    y = T.zeros(2, 3)
    assert y.t_().unsqueeze_(0).squeeze_().transpose_(0, 1) is y and y.shape == (2, 3)
    assert T.zeros(4).resize_(2, 2).shape == (2, 2) and T.arange(3).resize_(2).tolist() == [0, 1]

def test_overlapping_writes_are_refused():
    x = T.arange(9.0).view(3, 3)
    for write in (lambda: x[1:].copy_(x[:-1]), lambda: x.copy_(x.t()), lambda: x.add_(x.t()),
                  lambda: x.mul_(x[1, 1]), lambda: x[1:].add_(x[:-1])):
        with pytest.raises(RuntimeError,
                           match="some elements of the input tensor and the written-to tensor refer"):
            write()
    with pytest.raises(RuntimeError,
                       match="more than one element of the written-to tensor refers to a single memory"):
        T.zeros(1).expand(3).add_(1)
    assert x.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    x.mul_(x)  # the same elements: allowed
    x[::2].add_(x[1])
    x.copy_(x)
    assert x.tolist() == [[9, 17, 29], [9, 16, 25], [45, 65, 89]]
    assert T.zeros(1).expand(3).fill_(4).tolist() == [4, 4, 4]

def test_every_write_is_counted():
    x = T.zeros(3)
    seen = [x._version]
    for write in (lambda: x.add_(1), lambda: x.__setitem__(0, 1), lambda: x.view(3, 1).zero_(),
                  lambda: x.detach().mul_(2), lambda: T.add(x, 1, out=x), lambda: x.copy_(x + 1),
                  lambda: x.fill_(2),
                  lambda: x.normal_()):
        write()
        seen.append(x._version)
    assert seen == list(range(9)) and x[1:]._version == 8
    x.data.mul_(2)
    assert x._version == 8, "writes through .data are not the tape's business"

def test_out_arguments():
    o = T.empty(0)
    assert T.add(T.zeros(2, 3), 1, out=o) is o and o.tolist() == [[1, 1, 1], [1, 1, 1]]
    o = T.empty(2, 3).t()
    T.exp(T.zeros(3, 2), out=o)
    assert o.stride() == (1, 3) and o.sum().item() == 6
    o = T.empty(3, dtype=T.float64)
    T.exp(T.zeros(3), out=o)
    assert o.dtype is T.float64
    i = T.empty(2, dtype=T.int32)
    T.add(T.ones(2, dtype=T.int64), 300, out=i)
    assert i.tolist() == [301, 301]
    values, places = T.empty(0, dtype=T.int64), T.empty(0, dtype=T.int64)
    T.sort(T.tensor([3, 1, 2]), out=(values, places))
    assert values.tolist() == [1, 2, 3] and places.tolist() == [1, 2, 0]
    o = T.zeros(5)
    T.arange(5, out=o)
    T.zeros(3, out=o[:3])
    assert o.tolist() == [0, 0, 0, 3, 4]
    with pytest.warns(UserWarning, match="An output with one or more elements was resized"):
        T.add(T.zeros(2), 1, out=T.empty(5))
    with pytest.raises(RuntimeError, match="result type Float can't be cast to the desired output type Long"):
        T.add(T.zeros(2), 1.5, out=T.zeros(2, dtype=T.int64))

# ------------------------------------------------------------------------------------------ types
SHORT = dict(zip("b1 u1 i1 i2 i4 i8 f2 bf f4 f8 c8 cx".split(), T.dtypes.ALL))

def test_promotion_table():
    for a, row in zip(T.dtypes.ALL[:12], rows(PROMOTION)):
        assert [T.promote_types(a, b) for b in T.dtypes.ALL[:12]] == [SHORT[s] for s in row.split()], a

def test_promotion_with_numbers_and_zero_dimensions():
    for d, row in zip(T.dtypes.ALL, rows(WITH_NUMBERS)):
        t, z = T.ones(2, dtype=d), T.ones((), dtype=d)
        got = [T.result_type(a, n) for a in (t, z) for n in (True, 2, 2.5, 2j)]
        got += [T.result_type(t, T.ones((), dtype=b))
                for b in (T.bool, T.int64, T.float32, T.float64, T.complex64)]
        got += [r.dtype for r in (t / 2, t.sum(), t + t, t * True, t.exp(), t == t, t.cumsum(0), t.prod())]
        for have, want in zip(got, row.split(), strict=True):
            assert want == "--" or have is SHORT[want], (d, row)  # --: complex32

def test_casts():
    assert T.tensor([1.9, -1.9, 300.0]).to(T.int32).tolist() == [1, -1, 300]
    assert T.tensor([300, -1]).to(T.uint8).tolist() == [44, 255]
    assert T.tensor([2.0, 0.0, math.nan]).bool().tolist() == [True, False, True]
    assert T.tensor([65504.0, 65520.0, 1e10]).half().tolist() == [65504, math.inf, math.inf]
    assert T.tensor([1.00390625, 1.01171875]).bfloat16().tolist() == [1.0, 1.015625], "ties to even"
    assert T.tensor([2**40]).int().item() == 0 and T.tensor([True]).float().item() == 1
    with pytest.warns(UserWarning, match="discards the imaginary part"):
        assert T.tensor([1 + 2j]).float().item() == 1
    for name, d in (("half", T.float16), ("bfloat16", T.bfloat16), ("char", T.int8), ("short", T.int16),
                    ("int", T.int32),
                    ("long", T.int64), ("byte", T.uint8), ("bool", T.bool), ("double", T.float64),
                    ("cdouble", T.complex128), ("cfloat", T.complex64)):
        assert getattr(T.ones(2), name)().dtype is d

def test_dtype_objects():
    assert T.float is T.float32 and T.half is T.float16 and T.long is T.int64
    assert repr(T.float32) == "torch.float32"
    assert T.float32.is_floating_point and T.complex64.is_complex and T.int8.is_signed
    assert not T.uint8.is_signed
    assert T.float64.itemsize == 8 and T.float64.to_complex() is T.complex128
    assert T.complex64.to_real() is T.float32
    assert T.can_cast(T.float32, T.int32) is False and T.can_cast(T.int64, T.int8)
    assert T.can_cast(T.int32, T.float16)
    assert T.finfo(T.float32).eps == 2.0**-23 and T.finfo(T.float16).max == 65504
    assert T.finfo(T.bfloat16).tiny == 2.0**-126
    assert T.iinfo(T.int8).min == -128 and T.iinfo(T.uint8).max == 255 and T.finfo(T.complex64).bits == 32
    assert repr(T.finfo(T.float16)) == ("finfo(resolution=0.001, min=-65504, max=65504, eps=0.000976562, "
                                        "smallest_normal=6.10352e-05, tiny=6.10352e-05, dtype=float16)")
    assert repr(T.iinfo(T.int64)) == "iinfo(min=-9.22337e+18, max=9.22337e+18, dtype=int64)"

def test_default_dtype_reaches_everything():
    T.set_default_dtype(T.float64)
    try:
        made = (T.zeros(1), T.tensor(1.0), T.arange(2.0), T.tensor([1]) / 2, T.tensor([1]) * 1.5, T.rand(1),
                T.Tensor(1),
                T.linspace(0, 1, 2), T.eye(1), T.full((1,), 1.0), T.ones(1, dtype=T.int64).exp(),
                nn.Linear(1, 1).weight)
        assert all(t.dtype is T.float64 for t in made) and T.tensor(1j).dtype is T.complex128
    finally:
        T.set_default_dtype(T.float32)
    assert T.zeros(1).dtype is T.float32

# ------------------------------------------------------------------------------------------ NumPy, DLPack
def test_numpy_memory_is_shared_both_ways():
    a = np.arange(6.0).reshape(2, 3)
    t = T.from_numpy(a)
    t[0, 0] = 9
    a[1, 1] = 7
    assert a[0, 0] == 9 and t[1, 1].item() == 7 and np.shares_memory(t.numpy(), a)
    b = a[:, ::2].T
    u = T.from_numpy(b)
    u[0, 1] = 5
    assert u.stride() == (2, 3) and a[1, 0] == 5
    n = T.arange(6).view(2, 3).t().numpy()
    assert n.strides == (8, 24) and n.dtype == np.int64
    x = T.zeros(3)
    np.asarray(x)[1] = 4
    assert x.tolist() == [0, 4, 0] and np.array(x, copy=True) is not None
    assert T.as_tensor(a).data_ptr() == a.ctypes.data and T.tensor(a).data_ptr() != a.ctypes.data

def test_numpy_functions_and_numbers():
    t = T.full((3,), 4.0)
    assert np.sqrt(t).tolist() == [2, 2, 2] and t.__array__(np.int32).dtype == np.int32
    assert (T.ones(2) * np.float64(2)).dtype is T.float32
    i = T.ones(2, dtype=T.int64)
    assert (np.float32(2) - i).dtype is T.float32 and (i - np.int64(1)).dtype is T.int64
    assert (np.float32(2) * i).dtype is T.float32 and (np.int64(7) % i).dtype is T.int64
    assert (T.ones(2, dtype=T.int64) + np.float32(2)).dtype is T.float32
    assert T.tensor(np.float32(3)).dtype is T.float32 and T.tensor([np.float64(1), 2]).dtype is T.float64
    assert T.tensor(np.int32(3)).dtype is T.int32 and T.tensor(np.bool_(True)).dtype is T.bool
    assert T.tensor([np.zeros(2), np.ones(2)]).shape == (2, 2)
    with pytest.raises(RuntimeError, match=r"Can't call numpy\(\) on Tensor that requires grad"):
        T.ones(2, requires_grad=True).numpy()
    assert T.ones(2, requires_grad=True).detach().numpy().tolist() == [1, 1]
    assert T.ones(2, requires_grad=True).numpy(force=True).tolist() == [1, 1]

def test_dlpack_memory_is_shared():
    x = T.arange(3.0)
    np.from_dlpack(x.view(3))
    y = T.from_dlpack(x)
    y[0] = 9
    z = T.utils.dlpack.from_dlpack(T.utils.dlpack.to_dlpack(x))
    z[1] = 8
    a = np.arange(3)
    T.from_dlpack(a)[2] = 7
    assert x.tolist() == [9, 8, 2] and a.tolist() == [0, 1, 7]
    with pytest.raises(BufferError, match="require gradient"):
        np.from_dlpack(T.ones(2, requires_grad=True))

def test_buffers():
    memory = bytearray(np.arange(4, dtype=np.float32).tobytes())
    t = T.frombuffer(memory, dtype=T.float32, offset=4, count=2)
    t[0] = 9
    assert np.frombuffer(memory, np.float32).tolist() == [0, 9, 2, 3]

# ----------------------------------------------------------------------------------------- Python's protocols
def test_numbers():
    assert T.tensor(3).item() == 3 and T.tensor([[2.5]]).item() == 2.5 and T.tensor(True).item() is True
    assert T.tensor(1j).item() == 1j and T.tensor(2.5, dtype=T.bfloat16).item() == 2.5
    assert T.arange(4).view(2, 2).t().tolist() == [[0, 2], [1, 3]] and T.zeros(2, 0).tolist() == [[], []]
    assert bool(T.tensor([3])) and not bool(T.tensor(0.0)) and int(T.tensor(3.7)) == 3
    assert float(T.tensor(3)) == 3.0
    assert complex(T.tensor(3.0)) == 3 and [1, 2, 3][T.tensor(1)] == 2
    assert list(range(T.tensor(3))) == [0, 1, 2]
    assert hex(T.tensor(255)) == "0xff" and f"{T.tensor(2.5):.2f}" == "2.50" and "%d" % T.tensor(3) == "3"
    assert math.sqrt(T.tensor(4.0)) == 2 and math.floor(T.tensor(2.5)) == 2
    assert math.isclose(sum(T.arange(4)).item(), 6) and max(T.tensor([1, 3, 2])).item() == 3

def test_sequences():
    x = T.arange(6).view(3, 2)
    assert len(x) == 3 and [r.tolist() for r in x] == [[0, 1], [2, 3], [4, 5]]
    assert 2 in x and 7 not in x and T.tensor(5) in x
    a, b, c = x
    c[0] = 9
    assert x[2, 0].item() == 9, "iteration gives views"
    assert reversed(x).tolist() == [[9, 5], [2, 3], [0, 1]]
    assert {x: 1}[x] == 1, "tensors hash by identity"
    with pytest.raises(TypeError, match="does not support deleting items"):
        del x[0]

def test_reflected_operators():
    i = T.tensor([1, 2])
    got = [2 - i, 2 / i, 2 ** i, 7 // i, 7 % i, 1 << i, 8 >> i, 3 & i, 3 | i, 3 ^ i, 2.5 - i, True + i,
           -7 % i]
    want = [[1, 0], [2.0, 1.0], [2, 4], [7, 3], [0, 1], [2, 4], [4, 2], [1, 2], [3, 3], [2, 1], [1.5, 0.5],
            [2, 3],
            [0, 1]]
    assert [g.tolist() for g in got] == want
    assert (i == None) is False and (i == "a") is False and (i != None) is True  # noqa: E711
    with pytest.raises(TypeError):
        i < None  # noqa: B015
    with pytest.raises(TypeError):
        i + [1, 2]

def test_sizes():
    s = T.zeros(2, 3).shape
    assert isinstance(s, tuple) and s == (2, 3) and s.numel() == 6 and repr(s) == "torch.Size([2, 3])"
    assert isinstance(s[1:], T.Size) and isinstance(s + (1,), T.Size) and isinstance(s * 2, T.Size)
    assert T.Size([2, 3]) == s and hash(s) == hash((2, 3)) and [*s] == [2, 3] and T.Size() == ()
    assert pickle.loads(pickle.dumps(s)) == s and type(pickle.loads(pickle.dumps(s))) is T.Size
    with pytest.raises(TypeError):
        T.Size([1.5])
    x = T.zeros(2, 3)
    assert x.size() == s and x.size(1) == 3 and x.size(-2) == 2 and x.stride(0) == 3
    assert x.dim() == x.ndim == 2
    assert (x.numel(), x.nelement(), x.element_size(), x.nbytes, x.itemsize) == (6, 6, 4, 24, 4)

# ------------------------------------------------------------------------------------------ copies of objects
def test_pickling_keeps_strides_sharing_and_flags():
    x = T.arange(6.0).view(2, 3)
    y = pickle.loads(pickle.dumps(x.t()))
    assert y.stride() == (1, 3) and y.tolist() == x.t().tolist()
    a, b = pickle.loads(pickle.dumps((x, x[1])))
    a[1, 0] = 77
    assert b[0].item() == 77 and x[1, 0].item() == 3
    leaf = pickle.loads(pickle.dumps(T.ones(2, requires_grad=True)))
    assert leaf.requires_grad and leaf.is_leaf
    things = [T.float32, T.device("cuda:1"), T.Size([1]), T.channels_last, T.strided]
    assert pickle.loads(pickle.dumps(things)) == things
    assert pickle.loads(pickle.dumps(T.tensor([1.5], dtype=T.bfloat16))).dtype is T.bfloat16
    assert pickle.loads(pickle.dumps(T.empty(2, device="meta"))).is_meta
    p = pickle.loads(pickle.dumps(nn.Parameter(T.ones(2))))
    assert type(p) is nn.Parameter and p.requires_grad

def test_deepcopy_keeps_sharing_gradients_and_attributes():
    x = T.arange(6.0)
    x.note = ["kept"]
    a, b = copy.deepcopy([x, x[2:4]])
    a[2] = 77
    assert b[0].item() == 77 and x[2].item() == 2 and a.note == ["kept"] and a.note is not x.note
    w = T.ones(2, requires_grad=True)
    (w * 2).sum().backward()
    v = copy.deepcopy(w)
    w.grad.zero_()
    assert v.is_leaf and v.requires_grad and v.grad.tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
        copy.deepcopy(w * 2)
    assert copy.copy(x).data_ptr() == x.data_ptr() and copy.copy(x).note is x.note

# ------------------------------------------------------------------------------------------ old spellings
def test_legacy_constructors():
    assert T.Tensor(2, 3).shape == (2, 3) and T.Tensor([1, 2]).tolist() == [1, 2] and T.Tensor().shape == (0,)
    assert T.Tensor(T.Size([2, 2])).shape == (2, 2) and T.FloatTensor(2).dtype is T.float32
    assert T.LongTensor([1.5, 2]).tolist() == [1, 2] and T.ByteTensor([1]).dtype is T.uint8
    assert T.DoubleTensor(1, 2).dtype is T.float64 and T.BoolTensor([1, 0]).tolist() == [True, False]
    assert T.Tensor(np.arange(3)).dtype is T.float32 and T.HalfTensor([1]).dtype is T.float16
    x = T.arange(3.0)
    T.Tensor(x)[0] = 7
    assert x[0].item() == 7, "torch.Tensor(tensor) shares"
    assert x.new([1, 2]).dtype is T.float32 and x.new(3).shape == (3,)
    assert x.long().new_tensor([1.5]).tolist() == [1]
    assert x.new_zeros(2, 1).shape == (2, 1) and x.double().new_full((2,), 3).dtype is T.float64
    with pytest.raises(TypeError):
        T.LongTensor(T.tensor([1.0]))

def test_legacy_types():
    f, i = T.zeros(2), T.zeros(2, dtype=T.int64)
    assert isinstance(f, T.FloatTensor) and not isinstance(f, T.LongTensor) and isinstance(i, T.LongTensor)
    assert isinstance(nn.Parameter(f), T.FloatTensor) and isinstance(f, T.Tensor)
    assert not isinstance(f, nn.Parameter)
    assert f.type() == "torch.FloatTensor" and f.bfloat16().type() == "torch.BFloat16Tensor"
    assert f.type(T.LongTensor).dtype is T.int64 and f.type("torch.DoubleTensor").dtype is T.float64
    assert f.type_as(i).dtype is T.int64 and T.typename(f) == "torch.FloatTensor"
    with pytest.raises(ValueError, match="invalid type"):
        f.type("torch.NoTensor")

def test_storages():
    x = T.arange(6.0)
    assert x.untyped_storage().nbytes() == 24 and x[2:].untyped_storage().data_ptr() == x.data_ptr()
    assert x[1:].data_ptr() - x.data_ptr() == 4 and x[2:].storage_offset() == 2
    assert x.storage().size() == 6 and len(x.storage()) == 6 and x.storage()[5] == 5
    assert x.storage().tolist()[1] == 1
    assert T.is_storage(x.storage()) and T.is_storage(x.untyped_storage()) and not T.is_storage(x)
    x.storage()[0] = 9
    assert x[0].item() == 9
    y = T.zeros(3)
    y.set_(x, 2, (2, 2), (2, 1))
    assert y.tolist() == [[2, 3], [4, 5]] and y.data_ptr() == x[2:].data_ptr()
    x.data = T.ones(2)
    assert x.tolist() == [1, 1]

def test_complex_views():
    x = T.tensor([1 + 2j, 3j])
    T.view_as_real(x)[0, 0] = 9
    x.real[1] = 5
    x.imag.mul_(2)
    assert x.tolist() == [9 + 4j, 5 + 6j] and x.real.stride() == (2,)
    x.imag = T.tensor([1.0, 2.0])
    assert x.tolist() == [9 + 1j, 5 + 2j]

# ------------------------------------------------------------------------------------------ devices
def test_devices():
    d = T.device
    assert d("cuda:1") == d("cuda", 1) == d(type="cuda", index=1) and d("cpu") != d("cpu", 0)
    assert str(d("cuda:0")) == "cuda:0"
    assert repr(d("cpu")) == "device(type='cpu')" and d("cpu").index is None and {d("cpu"): 1}[d("cpu")] == 1
    assert T.zeros(1).device == d("cpu") and T.zeros(1).get_device() == -1 and T.zeros(1).is_cpu
    with d("meta"):
        assert T.zeros(2).is_meta and T.get_default_device() == d("meta") and T.rand(2).is_meta
        assert T.zeros(2, device="cpu").is_cpu
    assert T.zeros(2).is_cpu
    T.set_default_device("meta")
    try:
        assert T.arange(3).is_meta
    finally:
        T.set_default_device(None)

def test_meta_tensors_have_shapes_only():
    x = T.zeros(2, 3, device="meta")
    y = (x @ x.t()).relu().sum(0)
    assert y.shape == (2,) and y.is_meta and y.dtype is T.float32 and x[0].shape == (3,)
    assert (x + x).stride() == (3, 1)
    assert x.view(6).stride() == (1,) and x.expand(4, 2, 3).stride() == (0, 3, 1) and x.data_ptr() == 0
    assert T.empty_like(x, device="cpu").is_cpu and repr(x) == "tensor(..., device='meta', size=(2, 3))"
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor; no data!"):
        x.cpu()

# ------------------------------------------------------------------------------------------ creation
def test_creation():
    assert T.arange(1, 2, 0.3).shape == (4,) and T.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert T.arange(0).shape == (0,)
    assert T.arange(5).dtype is T.int64 and T.arange(5.0).dtype is T.float32
    assert T.linspace(0, 1, 5).tolist() == [0, 0.25, 0.5, 0.75, 1] and T.linspace(0, 10, 1).tolist() == [0]
    assert T.logspace(0, 2, 3).tolist() == [1, 10, 100]
    assert T.eye(2, 3, dtype=T.int64).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert T.full((2,), 3).dtype is T.int64 and T.full((), True).dtype is T.bool
    assert T.full((1,), 2.0).item() == 2
    assert T.tensor([[1, 2.5], [3, 4]]).dtype is T.float32 and T.tensor([True, 2]).dtype is T.int64
    assert T.tensor([]).dtype is T.float32 and T.tensor([[]]).shape == (1, 0)
    assert T.tensor(range(3)).tolist() == [0, 1, 2]
    assert T.tensor([1, 2j]).dtype is T.complex64
    assert T.tensor([T.tensor(1), T.tensor(2.5)]).tolist() == [1, 2.5]
    assert T.zeros(2, 1).shape == T.zeros((2, 1)).shape == T.zeros([2, 1]).shape == T.zeros(size=(2, 1)).shape
    assert T.zeros(T.Size([2])).shape == (2,) and T.ones(2, requires_grad=True).requires_grad
    assert T.complex(T.ones(1), T.ones(1)).item() == 1 + 1j and T.scalar_tensor(3).dtype is T.float32
    with pytest.warns(UserWarning, match="To copy construct from a tensor"):
        T.tensor(T.zeros(2))

def test_tensors_are_freed_by_reference_counting():
    gc.disable()
    try:
        x = T.zeros(3)
        views = [x[1:], x.view(3, 1), x.t()]
        gone = weakref.ref(x)
        del x, views
        assert gone() is None
    finally:
        gc.enable()

def test_threads_share_tensors():
    x = T.zeros(8, 1000)

    def work(i):
        for _ in range(20):
            x[i].add_(i)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert x[:, 0].tolist() == [20.0 * i for i in range(8)] and (x == x[:, :1]).all()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other rules")
def test_freed_memory_is_used_again():
    """Large results that come and go do not cost a page fault for each page each time."""
    code = """
import resource
import numtorch as torch
x = torch.ones(10**6)
step = lambda: sum([(x + k) for k in range(3)])
for _ in range(3): step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20): step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000
