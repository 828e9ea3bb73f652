"""The thin rest of PyTorch's surface: every public name is there, or its error says that it is not."""
import copy
import pickle

import pytest

import numtorch as t
from numtorch import absent

x = t.arange(6.0).reshape(2, 3)


def test_names_that_are_missing_say_so():
    with pytest.raises(AttributeError, match="module 'torch' has no attribute 'SymInt': PyTorch has it"):
        assert t.SymInt
    with pytest.raises(AttributeError, match="'Tensor' object has no attribute 'to_sparse': PyTorch has it"):
        x.to_sparse()
    with pytest.raises(AttributeError, match="no attribute 'nonsense'$"):
        assert x.nonsense
    assert not hasattr(t, "nonsense") and not hasattr(x, "to_sparse")


def test_the_nearest_name_is_told():
    assert absent.missing("no x", "conv2", "conv2", ["conv2d", "relu"]) == (
        "no x: PyTorch has it, numtorch does not; the nearest name here is 'conv2d'")
    with pytest.raises(AttributeError, match="'scaled_mm': PyTorch has it, numtorch does not"):
        assert t.nn.functional.scaled_mm
    with pytest.warns(FutureWarning, match="assert_allclose"):
        t.testing.assert_allclose(t.ones(2), [1, 1])


def test_every_public_name_of_pytorch_is_known():
    torch = pytest.importorskip("torch")
    known = {*absent.METHODS.split(), *dir(t.Tensor)}
    assert not [n for n in dir(torch.Tensor) if not n.startswith("_") and n not in known]


def test_questions():
    assert t.tensor([2]).is_nonzero() and t.is_signed(x) and not t.is_conj(x) and x.is_same_size(x)
    assert t.get_device(x) == -1 and not t.is_inference(x) and not t.is_anomaly_enabled()
    assert x.dim_order() == (0, 1) and x.t().dim_order() == (1, 0)
    assert t.ones(1, 2, 3, 4).to(memory_format=t.channels_last).dim_order() == (0, 2, 3, 1)
    assert x.layout == t.strided == x.layout and str(x.layout) == "torch.strided" and x.name is None
    assert x.to_dense() is x and x.dense_dim() == 2 and x.storage_type() is t.FloatStorage
    with pytest.raises(RuntimeError, match="values expected sparse tensor layout but got Strided"):
        x.values()
    with pytest.raises(TypeError, match=r"is_complex\(\): argument 'input' \(position 1\) must be Tensor"):
        t.is_complex(1)
    with pytest.raises(RuntimeError, match="`torch.solve` is deprecated in favor of `torch.linalg.solve`"):
        t.solve(x, x)


def test_in_place_functions_and_older_spellings():
    y = t.tensor([-1.0, 2.0])
    assert t.abs_(y) is y and t.relu_(t.tensor([-1.0])).item() == 0 and t.clamp_(y, 0, 1).tolist() == [1, 1]
    assert x.resize(3, 2).shape == (3, 2)
    assert [p.shape for p in t.unsafe_split_with_sizes(x, [1, 1])] == [(1, 3)] * 2
    assert t.vander(t.tensor([1, 2, 3]), 2).tolist() == [[1, 1], [2, 1], [3, 1]]
    assert t.nuclear_norm(t.eye(3)) == 3 and t.frobenius_norm(t.ones(4)) == 2
    assert t.norm_except_dim(t.ones(2, 4)).tolist() == [[2], [2]]
    assert t.zeros(2).map2_(t.ones(2), t.ones(2), lambda a, b, c: a + 2 * b + c).tolist() == [3, 3]
    assert t.adaptive_max_pool1d(x[None], 1)[1].tolist() == [[[2], [2]]]
    assert t.sym_int(-2.5) == -2 and t.sym_max(1, 2) == 2 and t.sym_ite(False, 1, 2) == 2


def test_storages():
    s = t.FloatStorage([1, 2])
    assert s.tolist() == [1, 2] and isinstance(s, t.Storage) and not isinstance(s, t.LongStorage)
    assert len(t.LongStorage(3)) == 3 and t.cuda.FloatTensor.__name__ == "FloatTensor"


def test_formats():
    w = t.ones(1, requires_grad=True).sum()
    assert f"{w}" == "1.0" and f"{w:.3f}" == "1.000" and f"{t.tensor(3):03d}" == "003"
    assert f"{t.ones(2)}" == "tensor([1., 1.])" and str(t.tensor(2.5)) == "tensor(2.5000)"
    with pytest.raises(TypeError, match="unsupported format string passed to Tensor.__format__"):
        format(t.ones(2), ".1f")


def test_default_device():
    with t.device("meta"):
        with pytest.warns(UserWarning, match="copy construct"):
            assert t.tensor(x).is_meta
        assert t.ones(1).is_meta and t.nn.Linear(1, 1).weight.is_meta
        assert t.Tensor(2).device.type == t.FloatTensor(2).device.type == x.new_ones(2).device.type == "cpu"
    for bad, words in (((), "invalid combination"), (("",), "Device string must not be empty")):
        with pytest.raises((TypeError, RuntimeError), match=words):
            t.device(*bad)
    with pytest.raises(RuntimeError, match="legacy constructor expects device type: cpu but device"):
        t.Tensor([1], device="meta")


@pytest.mark.parametrize("make", [
    lambda: x.t(), lambda: t.ones(2, dtype=t.bfloat16), lambda: t.ones((), dtype=t.uint32),
    lambda: t.nn.Parameter(t.ones(2)), lambda: t.ones(2, requires_grad=True)])
def test_copies(make):
    a = make()
    for b in (pickle.loads(pickle.dumps(a)), copy.deepcopy(a)):
        assert type(b) is type(a) and b.dtype is a.dtype and b.stride() == a.stride() and t.equal(a, b)
        assert b.requires_grad == a.requires_grad and b.data_ptr() != a.data_ptr()
    assert copy.copy(a).data_ptr() == a.data_ptr()


def test_deterministic_modes():
    t.set_deterministic_debug_mode("warn")
    try:
        assert t.get_deterministic_debug_mode() == 1 and t.is_deterministic_algorithms_warn_only_enabled()
    finally:
        t.set_deterministic_debug_mode(0)
    assert not t.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError, match="invalid value of debug_mode"):
        t.set_deterministic_debug_mode("loud")


def test_from_file(tmp_path):
    path = str(tmp_path / "numbers")
    a = t.from_file(path, shared=True, size=4)
    a.fill_(2)
    assert t.from_file(path, size=4).tolist() == [2, 2, 2, 2]


def test_the_oldest_state_of_a_tensor():
    y = t.empty(0)
    y.__setstate__((t.FloatStorage([1, 2, 3, 4]), 0, (2, 2), (2, 1), True))
    assert y.tolist() == [[1, 2], [3, 4]] and y.requires_grad
    with pytest.raises(RuntimeError, match="can be only called on leaf Tensors"):
        (y * 2).__setstate__((t.FloatStorage([1]), 0, (1,), (1,)))
    assert pickle.loads(pickle.dumps(y)).tolist() == y.tolist() and copy.deepcopy(y).requires_grad
