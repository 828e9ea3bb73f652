"""torch.jit: traced and scripted functions give what Python gives, and files run without the source."""
import io
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest

import numtorch as torch
from numtorch import nn


def same(a, b):
    assert a.dtype == b.dtype and a.shape == b.shape
    assert torch.equal(a, b)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * 9, 5)
        self.register_buffer("shift", torch.ones(5), persistent=False)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x)))
        x = nn.functional.max_pool2d(x, 2)
        return self.head(x.flatten(1)) + self.shift


def net():
    torch.manual_seed(0)
    return Net().eval()


def images(n):
    return torch.randn(n, 1, 8, 8)


def test_trace_is_the_model():
    m = net()
    t = torch.jit.trace(m, images(2))
    assert isinstance(t, torch.jit.ScriptModule) and isinstance(t, nn.Module)
    for n in (2, 1, 5):
        x = images(n)
        same(t(x), m(x))
    assert list(t.state_dict()) == list(m.state_dict())
    assert t.conv.weight is m.conv.weight
    assert "convolution" in t.code and "convolution" in str(t.graph)


def test_traced_gradients_are_the_models():
    m = net()
    t = torch.jit.trace(m, images(2))
    x = images(2).requires_grad_()
    m(x).square().sum().backward()
    want = [x.grad, *[p.grad for p in m.parameters()]]
    x.grad = None
    m.zero_grad()
    t(x).square().sum().backward()
    for a, b in zip(want, [x.grad, *[p.grad for p in t.parameters()]]):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6)


def test_saved_module_runs_without_its_source(tmp_path):
    m = net()
    x = images(3)
    path = tmp_path / "net.pt"
    torch.jit.trace(m, images(2)).save(path)
    np.savez(tmp_path / "data.npz", x=x.numpy(), y=m(x).detach().numpy())
    code = f"""
import sys
import numpy as np
import numtorch as torch
m = torch.jit.load(r"{path}")
d = np.load(r"{tmp_path / 'data.npz'}")
with torch.no_grad():
    y = m(torch.from_numpy(d["x"]))
assert (y.numpy() == d["y"]).all()
y = m(torch.from_numpy(d["x"]))
assert y.requires_grad and (y.detach().numpy() == d["y"]).all()
assert "test_jit" not in sys.modules and "pickle" not in repr(type(m))
assert sorted(n for n, _ in m.named_parameters()) == sorted(
    ["conv.weight", "conv.bias", "norm.weight", "norm.bias", "head.weight", "head.bias"])
assert "shift" not in m.state_dict() and not m.training and not m.norm.training
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_training_a_loaded_module():
    m = net().train()
    out = io.BytesIO()
    torch.jit.save(torch.jit.trace(m, images(4), check_trace=False), out)
    out.seek(0)
    t = torch.jit.load(out)
    x = images(4)
    for model in (m, t):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
    for (n, a), (_, b) in zip(m.state_dict().items(), t.state_dict().items()):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6), n
    assert t.norm.num_batches_tracked.item() == 2


@pytest.mark.parametrize("make, shape, other", [
    (lambda: nn.LSTM(3, 4, batch_first=True), (2, 5, 3), (6, 5, 3)),
    (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(), (2, 5, 8), (3, 7, 8)),
    (lambda: nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 1, 1)), (1, 2, 6, 6),
     (2, 2, 9, 5)),
])
def test_sizes_that_can_vary_do(make, shape, other):
    torch.manual_seed(0)
    m, out = make(), io.BytesIO()
    torch.jit.trace(m, torch.randn(*shape)).save(out)
    out.seek(0)
    loaded, x = torch.jit.load(out), torch.randn(*other)
    with torch.no_grad():
        got, want = loaded(x), m(x)
    while isinstance(got, tuple):
        got, want = got[0], want[0]
    assert torch.allclose(got, want, atol=1e-6)


def test_sizes_that_cannot_vary_say_so():
    out = io.BytesIO()
    torch.jit.trace(net(), images(2)).save(out)
    out.seek(0)
    with pytest.raises(RuntimeError,
                       match=r"argument 0 has shape \[2, 1, 9, 9\]; the graph was recorded for"):
        torch.jit.load(out)(torch.randn(2, 1, 9, 9))


def test_rounding_sizes_stay_fixed():
    out = io.BytesIO()
    torch.jit.trace(lambda x: x[::2] + 1, torch.randn(8)).save(out)
    out.seek(0)
    loaded, x = torch.jit.load(out), torch.arange(8.)
    same(loaded(x), x[::2] + 1)
    with pytest.raises(RuntimeError, match="argument 0 has shape"):
        loaded(torch.randn(9))


def test_value_dependent_python_warns():
    def f(x):
        return x + 1 if x.sum() > 0 else x - 1
    with pytest.warns(torch.jit.TracerWarning, match="Converting a tensor to a Python boolean") as seen:
        t = torch.jit.trace(f, torch.ones(3))
    assert seen[0].filename == __file__
    same(t(-torch.ones(3)), torch.zeros(3))


def test_check_trace_finds_randomness_and_change():
    with pytest.warns(torch.jit.TracerWarning, match="nondeterministic nodes"):
        torch.jit.trace(nn.Dropout(), torch.ones(3))
    calls = []

    def f(x):
        calls.append(0)
        return x + len(calls)
    with pytest.raises(torch.jit.TracingCheckError, match="Graphs differed"):
        torch.jit.trace(f, torch.ones(3))


def test_shapes_from_values_are_refused():
    with pytest.raises(NotImplementedError, match="nonzero.*cannot be part of a graph"):
        torch.jit.trace(lambda x: x.nonzero(), torch.ones(3), check_trace=False)


def test_tracing_leaves_state_alone():
    m = Net()
    before = {k: v.clone() for k, v in m.state_dict().items()}
    torch.jit.trace(m, images(2))
    for k, v in m.state_dict().items():
        same(v, before[k])


def test_script_keeps_python_branches(tmp_path):
    @torch.jit.script
    def f(x, n: int):
        if n > 2:
            return x * n
        y = torch.zeros_like(x)
        for i in range(n):
            y = y + x**i
        return y
    x = torch.randn(3, 4)
    same(f(x, 3), x * 3)
    same(f(x, 2), 0 + x**0 + x**1)
    f.save(tmp_path / "f.pt")
    g = torch.jit.load(tmp_path / "f.pt")
    x = torch.randn(2, 7)
    same(g(x, 3), x * 3)
    same(g(x, 2), 0 + x**0 + x**1)
    with pytest.raises(RuntimeError, match="argument 1 was"):
        g(x, 5)


def test_script_refuses_to_save_what_depends_on_values():
    @torch.jit.script
    def f(x):
        if x.sum() > 0:
            return x + 1
        return x - 1
    same(f(torch.ones(2)), torch.ones(2) + 1)
    same(f(-torch.ones(2)), -torch.ones(2) - 1)
    with pytest.raises(RuntimeError, match=r"test_jit.py:\d+: a tensor is converted to a Python boolean"):
        assert f.graph
    with pytest.raises(RuntimeError, match="was not called yet"):
        torch.jit.script(lambda x: x).save(io.BytesIO())


def test_scripted_module():
    m = net()
    s = torch.jit.script(m)
    x = images(2)
    same(s(x), m(x))
    assert list(s.state_dict()) == list(m.state_dict()) and s.conv.stride == (1, 1)
    s.train()
    assert m.training and m.norm.training
    s.eval()
    out = io.BytesIO()
    s.save(out)
    out.seek(0)
    same(torch.jit.load(out)(images(1)[:0].new_ones(3, 1, 8, 8)), m(torch.ones(3, 1, 8, 8)))


def test_words_of_the_language():
    class Old(torch.jit.ScriptModule):
        @torch.jit.script_method
        def forward(self, x):
            return x + 1 if torch.jit.is_scripting() else x

        @torch.jit.ignore
        def other(self):
            return 1

        @torch.jit.unused
        def another(self):
            return 1
    same(Old()(torch.ones(1)), torch.ones(1))
    assert torch.jit.annotate(int, 3) == 3 and torch.jit.isinstance([1], list[int])
    assert torch.jit.wait(torch.jit.fork(lambda v: v + 1, 2)) == 3
    assert not torch.jit.is_tracing() and not torch.jit.is_scripting()


def test_freeze_folds_what_is_constant():
    m = net()
    t = torch.jit.trace(m, images(2))
    f = torch.jit.freeze(t)
    assert not list(f.parameters()) and len(f.graph.nodes) < len(t.graph.nodes)
    for n in (2, 4):
        x = images(n)
        assert torch.allclose(f(x), m(x), atol=1e-6)
    with pytest.raises(RuntimeError, match="call .eval"):
        torch.jit.freeze(torch.jit.trace(m.train(), images(2), check_trace=False))
    torch.jit.optimize_for_inference(t)


def test_trace_module_and_extra_files(tmp_path):
    class Coder(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, 3))

        def forward(self, x):
            return self.decode(self.encode(x))

        def encode(self, x):
            return x @ self.weight

        def decode(self, x):
            return {"y": x @ self.weight.t(), "n": 3}
    m, x = Coder(), torch.randn(2, 3)
    t = torch.jit.trace_module(m, {"forward": x, "encode": x})
    t.save(tmp_path / "m.pt", _extra_files={"labels": "cat dog"})
    extra = {"labels": ""}
    loaded = torch.jit.load(tmp_path / "m.pt", _extra_files=extra)
    assert extra["labels"] == b"cat dog"
    same(loaded.encode(x), m.encode(x))
    got = loaded(x)
    same(got["y"], m(x)["y"])
    assert got["n"] == 3


def test_tied_and_overlapping_parameters_stay_so():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 3, bias=False)
            self.b = nn.Linear(3, 3, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(torch.tanh(self.a(x)))
    m, out = Tied(), io.BytesIO()
    torch.jit.trace(m, torch.randn(2, 3)).save(out)
    out.seek(0)
    loaded = torch.jit.load(out)
    assert loaded.a.weight is loaded.b.weight


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int64", "complex64", "bool"])
def test_dtypes_survive(dtype):
    d, out = getattr(torch, dtype), io.BytesIO()
    held = torch.tensor([[1, 0, 2]]).to(d)
    f = lambda x: torch.cat([x, held]) if dtype == "bool" else torch.cat([x + held, held])
    torch.jit.trace(f, torch.ones(2, 3).to(d)).save(out)
    out.seek(0)
    x = torch.tensor([[0, 1, 1]]).to(d)
    same(torch.jit.load(out)(x), f(x))


def test_torchscript_archives_are_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_STORED) as z:
        z.writestr("archive/constants.pkl", b"x")
        z.writestr("archive/code/a.py", b"x")
    with pytest.raises(RuntimeError):
        torch.jit.load(tmp_path / "x.pt")
    with pytest.raises(ValueError, match="does not exist"):
        torch.jit.load(tmp_path / "nothing.pt")


def test_writes_to_arguments_happen():
    def f(x):
        x.add_(1)
        return x * 2
    t = torch.jit.trace(f, torch.zeros(3), check_trace=False)
    x = torch.zeros(3)
    same(t(x), torch.full((3,), 2.))
    same(x, torch.ones(3))


def test_no_warning_where_nothing_is_read():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.jit.trace(net(), images(2))
