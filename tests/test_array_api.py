"""The array API standard 2024.12: the namespace, its signatures where they differ from PyTorch's, and what
libraries written for it (SciPy, scikit-learn, array-api-compat) get."""
import math

import numpy as np
import pytest

import numtorch as t

x = t.arange(6.0).reshape(2, 3)
xp = x.__array_namespace__()
UNSIGNED = ("uint16", "uint32", "uint64")


def test_namespace():
    assert xp.__array_api_version__ == "2024.12" and x.__array_namespace__(api_version="2023.12") is xp
    with pytest.raises(ValueError, match="2099"):
        x.__array_namespace__(api_version="2099.12")
    assert x.to_device("meta").device.type == "meta"
    info = xp.__array_namespace_info__()
    assert info.default_device() is t.device("cpu") in info.devices()
    assert info.default_dtypes()["integral"] is xp.int64 and info.capabilities()["boolean indexing"]
    assert set(info.dtypes(kind="unsigned integer")) == {"uint8", *UNSIGNED}
    missing = [n for n in """e inf nan newaxis pi bool complex64 float32 uint64 asarray
        meshgrid bitwise_invert clip nextafter reciprocal vecdot tensordot matrix_transpose unstack tile
        repeat permute_dims take_along_axis count_nonzero searchsorted unique_all unique_counts cumulative_sum
        cumulative_prod diff isdtype astype finfo iinfo result_type can_cast""".split() if not hasattr(xp, n)]
    assert not missing and callable(xp.linalg.vector_norm) and callable(xp.fft.rfftfreq)


def test_dtypes():
    assert xp.isdtype(xp.uint16, "integral") and xp.isdtype(xp.float32, ("bool", xp.float32))
    assert not xp.isdtype(xp.complex64, "real floating")
    with pytest.raises(ValueError, match="'number'"):
        xp.isdtype(xp.int8, "number")
    assert xp.result_type(xp.int8, xp.uint16) is xp.int32 and xp.result_type(xp.uint8, 3) is xp.uint8
    assert xp.result_type(t.tensor(1.0, dtype=t.float64), x) is xp.float64  # 0-d arrays count
    assert xp.can_cast(xp.uint32, xp.int64) and not xp.can_cast(xp.uint64, xp.int64)
    assert xp.finfo(x).dtype is xp.float32 and xp.iinfo(xp.uint64).max == 2**64 - 1
    assert xp.astype(x, x.dtype, copy=False) is x and xp.astype(x, x.dtype) is not x


def test_0d_arrays_and_numbers_promote():
    one = t.tensor(1, dtype=t.int64)
    assert xp.add(t.ones(2, dtype=t.int8), one).dtype is xp.int64
    assert xp.subtract(1, x).tolist() == (1 - x).tolist()
    assert xp.where(x > 2, x, 0.0).sum() == 12
    assert xp.concat([t.ones(1, dtype=t.int8), t.ones(1, dtype=t.float64)]).dtype is xp.float64


def test_signatures_of_the_standard():
    assert xp.eye(2, 3, k=1).tolist() == [[0, 1, 0], [0, 0, 1]]
    assert xp.arange(5, 1).shape == (0,) and xp.linspace(0, 1, 2, endpoint=False).tolist() == [0, 0.5]
    assert xp.max(x, axis=(0, 1), keepdims=True).shape == (1, 1) and xp.sum(x, axis=()).shape == x.shape
    assert xp.std(x, correction=1).item() == pytest.approx(x.numpy().std(ddof=1))
    assert xp.sum(t.ones(3, dtype=t.uint8)).dtype is xp.uint64
    assert xp.cumulative_sum(t.ones(2), include_initial=True).tolist() == [0, 1, 2]
    assert xp.take(x, t.tensor([-1]), axis=1).tolist() == [[2], [5]]
    assert xp.clip(t.tensor([1, 5], dtype=t.int8), max=2).dtype is xp.int8
    assert xp.reshape(x, (6,), copy=False).data_ptr() == x.data_ptr()
    with pytest.raises(ValueError, match="copy=False"):
        xp.reshape(x.mT, (6,), copy=False)
    with pytest.raises(ValueError, match="size 2"):
        xp.squeeze(x, 0)
    assert xp.linalg.solve(t.eye(2).expand(3, 2, 2), t.ones(2)).shape == (3, 2)
    assert xp.linalg.trace(t.eye(3).expand(2, 3, 3)).tolist() == [3, 3]
    u = xp.unique_all(t.tensor([2.0, math.nan, 1, 2, math.nan]))
    assert u.values[:2].tolist() == [1, 2] and u.counts.tolist() == [1, 2, 1, 1]
    assert u.indices.tolist() == [2, 0, 1, 4] and u.inverse_indices.tolist() == [1, 2, 0, 1, 3]


@pytest.mark.parametrize("y", [math.inf, -math.inf])
def test_special_values(y):
    assert xp.floor_divide(t.tensor([y]), t.tensor([2.0])).item() == y
    assert math.copysign(1, xp.remainder(t.tensor([-0.0]), t.tensor([2.0])).item()) == 1
    assert xp.sign(t.tensor([math.nan])).isnan().all()
    for f, z in ((t.cosh, complex(y, y)), (t.asinh, complex(math.nan, 0)), (t.tanh, complex(0, y)),
                 (t.sinh, complex(0, y)), (t.acos, complex(0, math.nan)), (t.atanh, complex(math.nan, 1))):
        with np.errstate(all="ignore"):
            want = getattr(np, {"acos": "arccos", "asinh": "arcsinh", "atanh": "arctanh"}.get(f.__name__,
                                                                                               f.__name__))(z)
        np.testing.assert_equal(np.abs(f(t.tensor([z])).numpy().view(np.float32)),
                                np.abs(np.complex64([want]).view(np.float32)))


@pytest.mark.parametrize("name", UNSIGNED)
def test_unsigned(name):
    d, numpy = getattr(t, name), np.dtype(name)
    a = np.array([1, 2, np.iinfo(numpy).max], numpy)
    b = np.array([3, 2, 5], numpy)
    p, q = t.from_numpy(a), t.tensor(b.tolist(), dtype=d)
    assert p.dtype is d and p.tolist() == a.tolist() and t.iinfo(d).max == a[2]
    for f in ("__add__", "__sub__", "__mul__", "__floordiv__", "__mod__", "__and__", "__rshift__", "__lt__"):
        got = getattr(p, f)(q)
        want = getattr(a, f)(b)
        assert got.numpy().dtype == want.dtype and got.tolist() == want.tolist(), f
    assert (p + 1).tolist() == (a + np.ones(3, numpy)).tolist() and (~p).tolist() == (~a).tolist()
    assert p.max().item() == a[2] and p.sort(descending=True).indices.tolist() == [2, 1, 0]
    assert p.to(t.float64).tolist() == a.astype(float).tolist() and p.type() == f"torch.UInt{name[4:]}Tensor"
    assert (p + q.float()).dtype is t.float32 and p.long().to(d).tolist() == a.tolist()
    assert repr(q) == f"tensor([3, 2, 5], dtype=torch.{name})"


def test_uint64_and_signed_integers_have_no_common_type():
    with pytest.raises(RuntimeError, match="Promotion for uint16, uint32, uint64 types is not supported"):
        t.ones(1, dtype=t.uint64) + t.ones(1, dtype=t.int8)


def test_dlpack():
    a = np.from_dlpack(x)
    assert a.ctypes.data == x.data_ptr() and x.__dlpack_device__() == (1, 0)
    assert xp.from_dlpack(a).data_ptr() == x.data_ptr()
    assert np.from_dlpack(x, copy=True).ctypes.data != x.data_ptr()
    with pytest.raises(BufferError, match="only to the CPU"):
        x.__dlpack__(dl_device=(2, 0))


def test_asarray():
    a = np.ones(2)
    assert xp.asarray(a, copy=False).data_ptr() == a.ctypes.data != xp.asarray(a, copy=True).data_ptr()
    for bad, words in (((a, t.float32), "can't alias tensor with dtype 'Double' into dtype 'Float'."),
                       (([1.0], None), "can't alias arbitrary sequence into a tensor.")):
        with pytest.raises(ValueError, match=words):
            xp.asarray(bad[0], dtype=bad[1], copy=False)
    assert xp.asarray(memoryview(b"ab"), dtype=xp.uint8).tolist() == [97, 98]
    assert t.zeros(1, dtype=float).dtype is t.float64 and t.ones(1).to(int).dtype is t.int64


def test_a_mask_that_leaves_dimensions_of_size_1_keeps_them():
    assert x[t.tensor([True, True]), :1].shape == (2, 1)
    assert t.zeros(1, 1)[t.tensor([True])].shape == (1, 1)


def test_libraries():
    compat = pytest.importorskip("array_api_compat")
    assert compat.array_namespace(x) is xp and compat.size(x) == 6
    special = pytest.importorskip("scipy.special")
    import os
    if os.environ.get("SCIPY_ARRAY_API") == "1":  # read when SciPy is first imported
        assert isinstance(special.logsumexp(x), t.Tensor)
