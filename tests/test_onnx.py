"""torch.onnx.export: onnxruntime computes from the file what the model computes."""
import io

import numpy as np
import pytest

import numtorch as torch
from numtorch import nn

onnx = pytest.importorskip("onnx")
F = nn.functional


def tensors(x) -> list:
    if isinstance(x, torch.Tensor):
        return [x]
    return [t for v in x for t in tensors(v)] if isinstance(x, tuple | list) else []


def check(model, args, *others, tolerance=1e-5, **options):
    """Export at `args`, compare there and at other arguments; the file's proto."""
    runtime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    out = io.BytesIO()
    args = args if isinstance(args, tuple) else (args,)
    program = torch.onnx.export(model, args, out, **options)
    session = runtime.InferenceSession(out.getvalue(), providers=["CPUExecutionProvider"])
    for given in (args, *others):
        given = given if isinstance(given, tuple) else (given,)
        got = session.run(None, {i.name: x.numpy() for i, x in zip(session.get_inputs(), given)})
        want = tensors(model(*given))
        assert len(got) == len(want)
        for a, b in zip(got, want):
            b = b.detach().numpy()
            assert a.dtype == b.dtype and a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    return program.model_proto


def operators(proto) -> list[str]:
    return [n.op_type for n in proto.graph.node]


BATCH = {"input_names": ["x"], "dynamic_axes": {"x": {0: "batch"}}}
R = torch.randn


@pytest.mark.parametrize("opset", [11, 13, 17, 18, 20])
def test_mlp(opset):
    torch.manual_seed(0)
    m = nn.Sequential(nn.Linear(10, 20), nn.GELU(), nn.LayerNorm(20), nn.Dropout(), nn.Linear(20, 5),
                      nn.Softmax(-1)).eval()
    proto = check(m, R(3, 10), R(7, 10), R(1, 10), opset_version=opset, **BATCH)
    assert {i.name for i in proto.graph.initializer} >= {"0.weight", "0.bias", "2.weight"}
    assert proto.opset_import[0].version == opset
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert proto.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    if opset == 20:
        assert operators(proto) == ["Gemm", "Gelu", "LayerNormalization", "Gemm", "Softmax", "Identity"]


class Residual(nn.Module):
    """A block of ResNet-18."""

    def __init__(self, inside, outside, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.down = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.down(x))


def test_convolutional_network():
    torch.manual_seed(0)
    m = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
                      nn.MaxPool2d(3, 2, 1), Residual(8, 8, 1), Residual(8, 16, 2), nn.AdaptiveAvgPool2d(1),
                      nn.Flatten(), nn.Linear(16, 10)).eval()
    proto = check(m, R(1, 3, 32, 32), R(3, 3, 32, 32), **BATCH)
    assert operators(proto).count("Conv") == 7 and "MaxPool" in operators(proto)


@pytest.mark.parametrize("make", [
    lambda: nn.AvgPool2d(3, 2, 1), lambda: nn.MaxPool2d(2, return_indices=True),
    lambda: nn.ConvTranspose2d(4, 3, 3, 2, 1, 1), lambda: nn.Conv2d(4, 4, 3, groups=2, dilation=2),
    lambda: nn.AdaptiveAvgPool2d(4), lambda: nn.AdaptiveMaxPool2d((2, 4)), lambda: nn.GroupNorm(2, 4),
    lambda: nn.Upsample(scale_factor=2), lambda: nn.PixelShuffle(2), lambda: nn.InstanceNorm2d(4),
    lambda: nn.ReflectionPad2d(1), lambda: nn.Conv2d(4, 2, 3, padding="same"), lambda: nn.Softmax2d()])
def test_layers_for_images(make):
    torch.manual_seed(0)
    check(make().eval(), R(2, 4, 8, 8), R(3, 4, 8, 8), **BATCH)


class Block(nn.Module):
    """A small GPT."""

    def __init__(self):
        super().__init__()
        self.token, self.place = nn.Embedding(50, 16), nn.Embedding(32, 16)
        self.norm, self.qkv, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.token.weight

    def forward(self, ids):
        b, t = ids.shape
        x = self.token(ids) + self.place(torch.arange(t))
        q, k, v = [z.view(b, t, 4, 4).transpose(1, 2) for z in self.qkv(self.norm(x)).split(16, -1)]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, 16))
        return self.head(F.gelu(x, approximate="tanh"))


def ids(*shape):
    return torch.randint(0, 50, shape)


@pytest.mark.parametrize("opset", [13, 18])
def test_language_model_of_any_length(opset):
    torch.manual_seed(0)
    check(Block(), ids(2, 7), ids(3, 11), ids(1, 2), opset_version=opset, input_names=["ids"],
          output_names=["logits"], dynamic_axes={"ids": {0: "batch", 1: "length"}, "logits": {0: "batch"}})


def test_language_model_at_its_longest():
    check(Block(), ids(2, 32), ids(1, 9), input_names=["x"], dynamic_axes={"x": {0: "batch", 1: "length"}})


def test_transformer_encoder():
    torch.manual_seed(0)
    m = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2).eval()
    check(m, R(2, 6, 16), R(3, 9, 16), input_names=["x"], dynamic_axes={"x": {0: "b", 1: "t"}})


@pytest.mark.parametrize("make, operator", [
    (lambda: nn.LSTM(4, 5, 2, batch_first=True, bidirectional=True), "LSTM"),
    (lambda: nn.GRU(4, 5, batch_first=True, bidirectional=True), "GRU"),
    (lambda: nn.GRU(4, 5, batch_first=True, bias=False), "GRU"),
    (lambda: nn.RNN(4, 5, 2, batch_first=True), "RNN"),
    (lambda: nn.RNN(4, 5, batch_first=True, nonlinearity="relu"), "RNN")])
def test_recurrent_layers(make, operator):
    m = make()
    names = operators(check(m, R(2, 3, 4), R(3, 7, 4), R(1, 1, 4), input_names=["x"],
                            dynamic_axes={"x": {0: "batch", 1: "length"}}))
    assert names.count(operator) == m.num_layers * (2 if m.bidirectional else 1)


def test_recurrent_layers_with_projections_and_packed_sequences():
    check(nn.LSTM(4, 5, 2, proj_size=2, bidirectional=True), R(3, 2, 4), R(3, 5, 4), input_names=["x"],
          dynamic_axes={"x": {1: "batch"}})

    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.gru = nn.LSTM(4, 5, bidirectional=True), nn.GRU(4, 3)

        def forward(self, x, state):
            packed = nn.utils.rnn.pack_padded_sequence(x, [4, 2, 1])
            out, last = self.lstm(packed, (state, state * 2))
            other, h = self.gru(packed)
            return nn.utils.rnn.pad_packed_sequence(out)[0], *last, other.data, h
    check(Packed(), (R(4, 3, 4), R(2, 3, 5)))


def test_views():
    check(lambda x: (x[:, 1::2] * 2, x[1:, 0], x.t()[::2], x.flip(0), x.roll(1, 0),
                     torch.cat([x, x[:, :2]], 1),
                     x.unfold(1, 3, 2), x[-1], x.expand(2, 4, 9), x.view(2, 2, 9).transpose(0, 1), x[:, None],
                     x.diagonal(), x.reshape(-1), x.chunk(3, 1), x[2, 3]), R(4, 9))


def test_writes_to_parts():
    def f(x):
        y = x.clone()
        y[:, 1] = 0
        y[1:, 2:4] += 5
        return y
    check(f, R(4, 9), R(6, 9), input_names=["x"], dynamic_axes={"x": [0]})

    def g(x):
        y = x.clone()
        y[:, ::3] = 7
        return y, x.t().contiguous().fill_diagonal_(2)
    check(g, R(4, 9))


def test_reductions_and_sorting():
    check(lambda x: (x.sum(1), x.mean(0), x.max(1), x.argmax(1), x.var(1), x.norm(), x.amin((0, 1)), x.min(),
                     (x > 0).any(1), (x > 0).all(0), (x > 0).sum(), x.std(), x.prod(1), x.logsumexp(1),
                     x.softmax(0), x.log_softmax(1), x.cumsum(1), x.sort(1), x.topk(2)), R(4, 9))


def test_pointwise_functions():
    check(lambda x: (
        x.clamp(-1, 1), F.leaky_relu(x), F.elu(x), F.silu(x), F.softplus(x), F.mish(x), F.hardswish(x),
        x.sign(), x.floor(), x.round(), x % 2, x // 2, x**2, x.abs()**0.5, x.where(x > 0, -x),
        x.masked_fill(x > 0, 3), torch.maximum(x, x * 2), x.int(), x.long() // 2, x.bool(), x.trunc(),
        x.expm1(), F.relu6(x), x.sigmoid(), x.erf(), (x > 0) & (x < 1), x.isnan(), x.tan(), x.atan(),
        torch.fmod(x, 0.7), x.log1p().nan_to_num(), x.rsqrt().nan_to_num(), 1 / x), R(4, 9), tolerance=1e-4)


def test_indices():
    i = torch.tensor([2, 0])
    check(lambda x: (x[i], x[:, i], x.index_select(1, i), x.gather(1, i.expand(4, 2)), x[i, i + 1],
                     x.scatter(1, i.expand(4, 2), 5.), x.scatter_add(1, i.expand(4, 2), x)), R(4, 9))


@pytest.mark.parametrize("dtype", ["float64", "float16", "int64"])
def test_dtypes(dtype):
    x = (R(4, 4) * 4).to(getattr(torch, dtype))
    check(lambda x: (x * 2 + 1, x.sum(0), x.t(), x > 1), x, tolerance=1e-2 if dtype == "float16" else 1e-6)


def test_several_inputs_and_names():
    def f(a, b, scale=2.0, *, c):
        return a @ b * scale, {"c": c + 1}["c"]
    proto = torch.onnx.export(f, (R(2, 3), R(3, 4)), kwargs={"c": R(2)}, output_names=["product"]).model_proto
    assert [i.name for i in proto.graph.input] == ["a", "b", "c"]
    assert [o.name for o in proto.graph.output] == ["product", "output1"]


def test_what_can_be_exported(tmp_path):
    m, x = nn.Linear(3, 2), R(2, 3)
    traced = torch.jit.trace(m, x)
    traced.save(tmp_path / "m.pt")
    for model in (traced, torch.jit.script(m), torch.jit.load(tmp_path / "m.pt"),
                  torch.export.export(m, (x,))):
        torch.onnx.export(model, (x,), tmp_path / "m.onnx")
        proto = onnx.load(tmp_path / "m.onnx")
        assert operators(proto) == ["Gemm", "Identity"] and proto.producer_name == "numtorch"


def test_modes_are_put_back():
    m = nn.Sequential(nn.Linear(3, 3), nn.Dropout()).train()
    proto = torch.onnx.export(m, (R(2, 3),)).model_proto
    assert m.training and m[1].training and operators(proto) == ["Gemm", "Identity"]


def test_refusals_say_what():
    with pytest.raises(NotImplementedError, match=r"the operation noise has no form .* eval mode"):
        torch.onnx.export(nn.Dropout(), (R(2, 3),), training=torch.onnx.TrainingMode.TRAINING)
    with pytest.raises(NotImplementedError, match="the operation invert has no form in ONNX"):
        torch.onnx.export(lambda x: x.inverse(), (R(3, 3),))
    with pytest.raises(NotImplementedError, match="digamma has no form in ONNX"):
        torch.onnx.export(lambda x: x.digamma(), (R(3),))
    with pytest.raises(RuntimeError, match="rows cannot vary"):
        torch.onnx.export(lambda x: x[::2], (R(8),), input_names=["x"], dynamic_axes={"x": {0: "rows"}})
    with pytest.raises(ValueError, match="opset_version must be from 11"):
        torch.onnx.export(lambda x: x, (R(8),), opset_version=9)


def test_verify():
    pytest.importorskip("onnxruntime")
    torch.onnx.export(nn.Linear(3, 2), (R(2, 3),), verify=True)
