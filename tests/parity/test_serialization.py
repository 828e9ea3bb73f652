"""Checkpoints written by one of PyTorch and numtorch are read by the other."""

from __future__ import annotations

import collections
import io
import pickle
import random
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import numtorch as nt

WAYS = [{}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}, {"pickle_protocol": 5}]
NAMES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]


def saved(lib, obj, **how) -> bytes:
    out = io.BytesIO()
    lib.save(obj, out, **how)
    return out.getvalue()


def loaded(lib, data: bytes, **how):
    return lib.load(io.BytesIO(data), **how)


def values(t) -> list:
    t = t.detach()
    return t.float().tolist() if str(t.dtype) == "torch.bfloat16" else t.tolist()


def same(a, b) -> bool:
    """Whether two values, of either library, describe the same thing."""
    if hasattr(a, "requires_grad"):
        return (
            hasattr(b, "requires_grad")
            and str(a.dtype) == str(b.dtype)
            and tuple(a.shape) == tuple(b.shape)
            and a.stride() == b.stride()
            and a.storage_offset() == b.storage_offset()
            and a.requires_grad == b.requires_grad
            and values(a) == values(b)
            and isinstance(a, (nt.nn.Parameter, torch.nn.Parameter))
            == isinstance(b, (nt.nn.Parameter, torch.nn.Parameter))
        )
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a) and type(a) is type(b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b)) and type(a).__name__ == type(b).__name__
    if isinstance(a, (nt.dtype, nt.device, torch.dtype, torch.device)):
        return repr(a) == repr(b)
    return type(a) is type(b) and a == b


def content(lib) -> dict:
    big = lib.arange(12).float()
    state = collections.OrderedDict(weight=lib.nn.Parameter(lib.ones(2, 3)), bias=lib.tensor([1.5, -2.0]))
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    noted = lib.ones(2, requires_grad=True)
    noted.note = "x"
    scale = lib.nn.Parameter(lib.ones(1), requires_grad=False)
    scale.kind = [1]
    return {
        "model": state,
        "whole": big,
        "part": big.as_strided((2, 2), (1, 3), 2),
        "t": lib.ones(2, 3).t(),
        "expanded": lib.ones(1).expand(3, 4),
        "empty": lib.zeros(0, 3),
        "scalar": lib.tensor(3),
        "noted": noted,
        "scale": scale,
        "buffer": lib.nn.Buffer(lib.ones(2)),
        "kinds": [lib.tensor([0, 1], dtype=getattr(lib, n)) for n in NAMES],
        "size": lib.Size([2, 3]),
        "dtype": lib.bfloat16,
        "device": lib.device("cuda", 1),
        "plain": [
            None,
            True,
            -1,
            10**30,
            0.5,
            "é",
            b"a\xff",
            (1, [2]),
            {1, 2},
            1j,
            bytearray(b"xy"),
            collections.Counter("aab"),
            {"k": {0: 1}},
        ],
    }


@pytest.mark.parametrize("how", WAYS, ids=str)
@pytest.mark.parametrize("weights_only", [True, False])
def test_both_ways(how, weights_only):
    ours, theirs = content(nt), content(torch)
    assert same(ours, loaded(nt, saved(torch, theirs, **how), weights_only=weights_only))
    if weights_only and how.get("pickle_protocol", 2) > 2:
        return  # PyTorch's own safe reader knows protocol 2 only
    back = loaded(torch, saved(nt, ours, **how), weights_only=weights_only)
    assert same(theirs, back)
    assert back["part"].untyped_storage().data_ptr() == back["whole"].untyped_storage().data_ptr()
    assert (
        back["model"]._metadata == theirs["model"]._metadata
        and type(back["model"]) is collections.OrderedDict
    )
    assert back["noted"].note == "x" and back["scale"].kind == [1] and back["buffer"]._is_buffer


def test_the_pickles_are_the_same():
    import zipfile

    def described(lib):
        t = lib.arange(6).float()
        state = collections.OrderedDict(w=lib.nn.Parameter(t.view(2, 3)), part=t[2:])
        state._metadata = {"": 1}
        with zipfile.ZipFile(
            io.BytesIO(saved(lib, {"s": state, "size": lib.Size([1]), "d": lib.float32}))
        ) as z:
            return z.read("archive/data.pkl"), z.read("archive/data/0"), z.namelist()

    ours, theirs = described(nt), described(torch)
    assert ours[:2] == theirs[:2] and set(theirs[2]) < set(ours[2])


def test_memory_maps(tmp_path):
    import torch.utils.serialization.config as config

    nt.save(content(nt), tmp_path / "a.pt")
    torch.save(content(torch), tmp_path / "b.pt")
    wanted = content(torch)
    assert same(torch.load(tmp_path / "a.pt", mmap=True), wanted)
    assert same(nt.load(tmp_path / "b.pt", mmap=True), wanted | {"model": wanted["model"]})
    old = config.load.calculate_storage_offsets
    config.load.calculate_storage_offsets = True
    try:
        assert same(torch.load(tmp_path / "a.pt", mmap=True), wanted)
    finally:
        config.load.calculate_storage_offsets = old


def test_training_state():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    adam = torch.optim.Adam(model.parameters())
    model(torch.ones(5, 3)).sum().backward()
    adam.step()
    state = {"model": model.state_dict(), "optimizer": adam.state_dict(), "rng": torch.get_rng_state()}
    back = loaded(nt, saved(torch, state))
    assert same(state, back)
    again = loaded(torch, saved(nt, back))
    assert same(state, again)
    model.load_state_dict(again["model"])
    adam.load_state_dict(again["optimizer"])
    twin = nt.nn.Sequential(nt.nn.Linear(3, 4), nt.nn.BatchNorm1d(4))
    twin.load_state_dict(back["model"])
    assert same(twin.state_dict()["1.running_var"], model.state_dict()["1.running_var"])


def test_a_whole_model_of_pytorch():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh())
    with pytest.raises(
        pickle.UnpicklingError, match="torch.nn.modules.container.Sequential was not an allowed"
    ):
        loaded(nt, saved(torch, model))
    back = loaded(nt, saved(torch, model), weights_only=False)
    assert isinstance(back, nt.nn.Sequential)
    np.testing.assert_allclose(values(back(nt.ones(2, 3))), values(model(torch.ones(2, 3))), rtol=1e-6)


@pytest.mark.parametrize(
    "bad", [lambda d: d[:50], lambda d: d[:-9], lambda d: b"", lambda d: b"\x80\x02}."], ids=range(4)
)
def test_errors_have_the_same_type(bad):
    raised = []
    for lib in (torch, nt):
        with pytest.raises(Exception) as caught:
            loaded(lib, bad(saved(lib, lib.ones(20))))
        raised.append(caught.value)
    assert type(raised[0]) is type(raised[1])
    first = [str(e).split(". ")[0].split("\n")[0] for e in raised]
    assert first[0] == first[1] or not first[0]


class Recipe:
    pass


@pytest.mark.parametrize(
    "lib_arguments", [{"map_location": "cuda"}, {"map_location": "foo"}, {"mmap": True}], ids=str
)
def test_arguments_fail_alike(lib_arguments):
    raised = []
    for lib in (torch, nt):
        with pytest.raises((RuntimeError, ValueError)) as caught:
            loaded(lib, saved(lib, lib.ones(2)), **lib_arguments)
        raised.append((type(caught.value), str(caught.value).split("\n")[0]))
    assert raised[0] == raised[1]


def test_a_class_fails_alike():
    said = []
    for lib in (torch, nt):
        with pytest.raises(pickle.UnpicklingError) as caught:
            loaded(lib, saved(lib, Recipe()))
        said.append(str(caught.value))
        assert lib.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(saved(lib, Recipe()))) == [
            f"{Recipe.__module__}.Recipe"
        ]
        with lib.serialization.safe_globals([Recipe]):
            assert isinstance(loaded(lib, saved(lib, Recipe())), Recipe)
    lines = [[x for x in text.replace("\x1b[1m", "").replace("\x1b[0m", "").split("\n")] for text in said]
    assert lines[0][0] == lines[1][0]
    wanted = next(x for x in lines[0] if "WeightsUnpickler error" in x)
    assert wanted in lines[1]


def test_numpy_values_of_pytorch_files_are_read():
    values = [np.float32(3), np.arange(6).reshape(2, 3), np.array(["a"]), np.bool_(True)]
    back = loaded(nt, saved(torch, values))
    assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(values, back, strict=True))
    allowed = [
        np._core.multiarray.scalar,
        np.dtype,
        np._core.multiarray._reconstruct,
        np.ndarray,
        *(type(np.dtype(t)) for t in ("f4", "i8", "U1", "?")),
    ]
    with torch.serialization.safe_globals(allowed):
        assert loaded(torch, saved(nt, np.float32(3))) == 3


def test_what_numtorch_lacks_is_said():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lacking = [
            torch.eye(2).to_sparse(),
            torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        ]
    for t in lacking:
        with pytest.raises(NotImplementedError, match="the file holds"):
            loaded(nt, saved(torch, t))


def test_unsigned_types():
    for d in (torch.uint16, torch.uint32, torch.uint64):
        t = loaded(nt, saved(torch, torch.tensor([1, 2, 60000], dtype=torch.int64).to(d)))
        assert str(t.dtype) == str(d) and t.tolist() == [1, 2, 60000]


def test_conjugate_and_negative_bits():
    z = torch.tensor([1 + 2j, 3 - 1j])
    assert values(loaded(nt, saved(torch, z.conj()))) == values(z.conj())
    assert values(loaded(nt, saved(torch, z.conj().imag))) == values(z.conj().imag)


def test_flips_in_files_of_pytorch():
    rng, data = random.Random(2), saved(torch, content(torch))
    wanted = loaded(nt, data)
    for _ in range(300):
        at = rng.randrange(len(data) * 8)
        bad = bytearray(data)
        bad[at >> 3] ^= 1 << (at & 7)
        try:
            back = loaded(nt, bytes(bad))
        except (pickle.UnpicklingError, RuntimeError, NotImplementedError):
            continue
        assert same(wanted, back)
