"""Every module of numtorch.nn against PyTorch's: text, initial values, outputs, gradients, messages."""

import copy
import io
import pickle
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import numtorch

RNG = np.random.default_rng(0)


def f(*shape):
    return RNG.standard_normal(shape).astype("float32")


def ints(high, *shape):
    return RNG.integers(0, high, shape)


def unit(*shape):
    return RNG.random(shape).astype("float32")


# (constructor, inputs); the constructor sees nn and torch (one library or the other).
CASES = [
    ("nn.Identity(3, a=4)", [f(2, 3)]),
    ("nn.Linear(5, 3)", [f(2, 4, 5)]),
    ("nn.Linear(5, 3, bias=False)", [f(5)]),
    ("nn.Bilinear(3, 4, 5)", [f(2, 3), f(2, 4)]),
    ("nn.Bilinear(3, 4, 5, bias=False)", [f(2, 3), f(2, 4)]),
    ("nn.Conv1d(4, 6, 3, stride=2, padding=1)", [f(2, 4, 9)]),
    ("nn.Conv1d(4, 6, 3, padding='same', groups=2, bias=False)", [f(2, 4, 9)]),
    ("nn.Conv2d(4, 6, (3, 2), stride=2, padding=(1, 0), dilation=(1, 2))", [f(2, 4, 9, 8)]),
    ("nn.Conv2d(4, 6, 4, padding='same', padding_mode='reflect')", [f(2, 4, 9, 8)]),
    ("nn.Conv2d(4, 6, 3, padding=1, padding_mode='circular')", [f(2, 4, 9, 8)]),
    ("nn.Conv2d(4, 6, 3, padding=1, padding_mode='replicate', groups=2)", [f(4, 9, 8)]),
    ("nn.Conv3d(2, 3, 3, padding='valid')", [f(1, 2, 5, 5, 5)]),
    ("nn.ConvTranspose1d(4, 6, 3, stride=2)", [f(2, 4, 5)]),
    ("nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2)", [f(2, 4, 5, 5)]),
    ("nn.ConvTranspose3d(2, 3, 2, bias=False)", [f(1, 2, 3, 3, 3)]),
    ("nn.MaxPool1d(2)", [f(2, 3, 7)]),
    ("nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)", [f(2, 3, 8, 8)]),
    ("nn.MaxPool2d((3, 2), return_indices=True)", [f(2, 3, 8, 8)]),
    ("nn.MaxPool3d(2, dilation=2)", [f(1, 2, 5, 5, 5)]),
    ("nn.AvgPool1d(3, 1, 1)", [f(2, 3, 7)]),
    ("nn.AvgPool2d(2, count_include_pad=False, padding=1)", [f(2, 3, 7, 7)]),
    ("nn.AvgPool3d(2, divisor_override=3)", [f(1, 2, 5, 5, 5)]),
    ("nn.LPPool1d(2, 3)", [unit(2, 3, 7)]),
    ("nn.LPPool2d(1.5, 2, stride=1)", [unit(2, 3, 7, 7)]),
    ("nn.AdaptiveAvgPool1d(3)", [f(2, 3, 7)]),
    ("nn.AdaptiveAvgPool2d((None, 2))", [f(2, 3, 7, 5)]),
    ("nn.AdaptiveAvgPool3d(2)", [f(1, 2, 5, 5, 5)]),
    ("nn.AdaptiveMaxPool1d(3)", [f(2, 3, 7)]),
    ("nn.AdaptiveMaxPool2d((3, 2), return_indices=True)", [f(2, 3, 7, 5)]),
    ("nn.BatchNorm1d(4)", [f(5, 4)]),
    ("nn.BatchNorm1d(4, momentum=None)", [f(5, 4, 3)]),
    ("nn.BatchNorm2d(4, affine=False)", [f(5, 4, 3, 3)]),
    ("nn.BatchNorm2d(4, bias=False)", [f(5, 4, 3, 3)]),
    ("nn.BatchNorm3d(4, track_running_stats=False)", [f(2, 4, 3, 3, 3)]),
    ("nn.InstanceNorm1d(4)", [f(2, 4, 5)]),
    ("nn.InstanceNorm2d(4, affine=True, track_running_stats=True)", [f(2, 4, 5, 5)]),
    ("nn.InstanceNorm2d(4, affine=True)", [f(4, 5, 5)]),
    ("nn.InstanceNorm3d(4)", [f(2, 4, 3, 3, 3)]),
    ("nn.LayerNorm(5)", [f(3, 5)]),
    ("nn.LayerNorm((4, 5), eps=1e-3, bias=False)", [f(3, 4, 5)]),
    ("nn.LayerNorm([4, 5], elementwise_affine=False)", [f(3, 4, 5)]),
    ("nn.GroupNorm(2, 6)", [f(3, 6, 5)]),
    ("nn.GroupNorm(3, 6, affine=False)", [f(3, 6, 5, 2)]),
    ("nn.RMSNorm(5)", [f(3, 5)]),
    ("nn.RMSNorm((4, 5), eps=1e-5, elementwise_affine=False)", [f(3, 4, 5)]),
    ("nn.LocalResponseNorm(3)", [f(2, 5, 4, 4)]),
    ("nn.CrossMapLRN2d(3)", [f(2, 5, 4, 4)]),
    ("nn.Dropout(0.3)", [f(20, 20)]),
    ("nn.Dropout(0.5, inplace=True).eval()", [f(20, 20)]),
    ("nn.Dropout1d(0.3)", [f(20, 20, 3)]),
    ("nn.Dropout2d(0.3)", [f(8, 20, 3, 3)]),
    ("nn.Dropout3d(0.3)", [f(4, 20, 3, 3, 3)]),
    ("nn.AlphaDropout(0.3)", [f(20, 20)]),
    ("nn.FeatureAlphaDropout(0.3)", [f(20, 20, 3)]),
    ("nn.Embedding(10, 3)", [ints(10, 4, 5)]),
    ("nn.Embedding(10, 3, padding_idx=-1, scale_grad_by_freq=True)", [ints(10, 4, 5)]),
    ("nn.Embedding(10, 3, max_norm=1.0)", [ints(10, 4, 5)]),
    ("nn.EmbeddingBag(10, 3)", [ints(10, 4, 5)]),
    ("nn.EmbeddingBag(10, 3, mode='sum', padding_idx=2)", [ints(10, 4, 5)]),
    ("nn.Threshold(0.1, 20)", [f(3, 4)]),
    ("nn.ReLU()", [f(3, 4)]),
    ("nn.RReLU().eval()", [f(3, 4)]),
    ("nn.RReLU()", [f(3, 4)]),
    ("nn.Hardtanh(-0.5, 0.5)", [f(3, 4)]),
    ("nn.ReLU6()", [f(3, 4)]),
    ("nn.Sigmoid()", [f(3, 4)]),
    ("nn.Hardsigmoid()", [f(3, 4)]),
    ("nn.Tanh()", [f(3, 4)]),
    ("nn.SiLU()", [f(3, 4)]),
    ("nn.Mish()", [f(3, 4)]),
    ("nn.Hardswish()", [f(3, 4)]),
    ("nn.ELU(0.5)", [f(3, 4)]),
    ("nn.CELU(0.5)", [f(3, 4)]),
    ("nn.SELU()", [f(3, 4)]),
    ("nn.GLU()", [f(3, 4)]),
    ("nn.GELU()", [f(3, 4)]),
    ("nn.GELU('tanh')", [f(3, 4)]),
    ("nn.Hardshrink()", [f(3, 4)]),
    ("nn.LeakyReLU(0.2)", [f(3, 4)]),
    ("nn.LogSigmoid()", [f(3, 4)]),
    ("nn.Softplus(beta=2)", [f(3, 4)]),
    ("nn.Softshrink()", [f(3, 4)]),
    ("nn.PReLU(4)", [f(3, 4)]),
    ("nn.Softsign()", [f(3, 4)]),
    ("nn.Tanhshrink()", [f(3, 4)]),
    ("nn.Softmin(dim=1)", [f(3, 4)]),
    ("nn.Softmax(dim=0)", [f(3, 4)]),
    ("nn.Softmax2d()", [f(3, 4, 2)]),
    ("nn.LogSoftmax(dim=1)", [f(3, 4)]),
    ("nn.L1Loss()", [f(3, 4), f(3, 4)]),
    ("nn.NLLLoss()", [f(3, 4), ints(4, 3)]),
    ("nn.NLLLoss(weight=torch.tensor([1., 2., 3., 4.]), ignore_index=1)", [f(3, 4, 2), ints(4, 3, 2)]),
    ("nn.PoissonNLLLoss(full=True)", [f(3, 4), unit(3, 4)]),
    ("nn.GaussianNLLLoss(full=True)", [f(3, 4), f(3, 4), unit(3, 4)]),
    ("nn.KLDivLoss(reduction='batchmean')", [f(3, 4), unit(3, 4)]),
    ("nn.MSELoss(reduction='sum')", [f(3, 4), f(3, 4)]),
    ("nn.BCELoss()", [unit(3, 4), unit(3, 4)]),
    ("nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1., 2., 3., 4.]))", [f(3, 4), unit(3, 4)]),
    ("nn.HingeEmbeddingLoss()", [f(3, 4), 2.0 * ints(2, 3, 4).astype("f") - 1]),
    ("nn.MultiLabelMarginLoss()", [f(2, 4), np.array([[3, 0, -1, 1], [1, -1, 2, 2]])]),
    ("nn.SmoothL1Loss(beta=0.5)", [f(3, 4), f(3, 4)]),
    ("nn.HuberLoss(delta=0.5)", [f(3, 4), f(3, 4)]),
    ("nn.SoftMarginLoss()", [f(3, 4), 2.0 * ints(2, 3, 4).astype("f") - 1]),
    ("nn.CrossEntropyLoss(label_smoothing=0.1)", [f(3, 4), ints(4, 3)]),
    ("nn.CrossEntropyLoss(reduction='none')", [f(3, 4), ints(4, 3)]),
    ("nn.MultiLabelSoftMarginLoss()", [f(3, 4), unit(3, 4)]),
    ("nn.CosineEmbeddingLoss(margin=0.1)", [f(3, 4), f(3, 4), np.array([1, -1, 1])]),
    ("nn.MarginRankingLoss(margin=0.1)", [f(4), f(4), np.array([1.0, -1, 1, -1], "f")]),
    ("nn.MultiMarginLoss(p=2)", [f(3, 4), ints(4, 3)]),
    ("nn.TripletMarginLoss(swap=True)", [f(3, 4), f(3, 4), f(3, 4)]),
    ("nn.TripletMarginWithDistanceLoss(margin=0.5)", [f(3, 4), f(3, 4), f(3, 4)]),
    (
        "nn.CTCLoss()",
        [
            np.log(unit(6, 2, 5) + 0.1).astype("f"),
            1 + ints(4, 2, 3),
            np.array([6, 5]),
            np.array([3, 2]),
        ],
    ),
    ("nn.Flatten()", [f(2, 3, 4)]),
    ("nn.Flatten(0, 1)", [f(2, 3, 4)]),
    ("nn.Unflatten(1, (2, -1))", [f(2, 6)]),
    ("nn.Fold((4, 5), (2, 2))", [f(2, 12, 12)]),
    ("nn.Unfold(2, padding=1)", [f(2, 3, 4, 5)]),
    ("nn.CircularPad1d(2)", [f(2, 3, 4)]),
    ("nn.CircularPad2d((1, 0, 2, 1))", [f(2, 3, 4, 5)]),
    ("nn.ConstantPad1d(2, 3.5)", [f(2, 3)]),
    ("nn.ConstantPad2d((1, -1, 0, 2), 1.0)", [f(2, 3, 4, 5)]),
    ("nn.ConstantPad3d(1, 2)", [f(1, 2, 2, 2, 2)]),
    ("nn.ReflectionPad1d(2)", [f(2, 3, 4)]),
    ("nn.ReflectionPad2d((1, 2, 0, 1))", [f(2, 3, 4, 5)]),
    ("nn.ReflectionPad3d(1)", [f(1, 2, 3, 3, 3)]),
    ("nn.ReplicationPad1d((2, 1))", [f(2, 3, 4)]),
    ("nn.ReplicationPad2d(1)", [f(2, 3, 4, 5)]),
    ("nn.ReplicationPad3d(1)", [f(1, 2, 3, 3, 3)]),
    ("nn.ZeroPad1d(1)", [f(2, 3)]),
    ("nn.ZeroPad2d((1, 2, -1, 1))", [f(2, 3, 4)]),
    ("nn.ZeroPad3d(1)", [f(2, 3, 4, 2)]),
    ("nn.PixelShuffle(2)", [f(2, 8, 3, 3)]),
    ("nn.PixelUnshuffle(2)", [f(2, 2, 4, 4)]),
    ("nn.ChannelShuffle(2)", [f(2, 4, 3, 3)]),
    ("nn.Upsample(scale_factor=2)", [f(2, 3, 4)]),
    ("nn.Upsample(size=(5, 7), mode='bilinear')", [f(2, 3, 4, 4)]),
    ("nn.Upsample(scale_factor=(2, 1.5), mode='bicubic', align_corners=True)", [f(2, 3, 4, 4)]),
    ("nn.UpsamplingNearest2d(scale_factor=2)", [f(2, 3, 4, 4)]),
    ("nn.UpsamplingBilinear2d(size=5)", [f(2, 3, 4, 4)]),
    ("nn.CosineSimilarity()", [f(3, 4), f(3, 4)]),
    ("nn.PairwiseDistance(p=1, keepdim=True)", [f(3, 4), f(3, 4)]),
    ("nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], div_value=2)", [f(5, 8), np.array([0, 5, 11, 2, 8])]),
    ("nn.RNN(4, 5, 2)", [f(3, 2, 4)]),
    ("nn.RNN(4, 5, nonlinearity='relu', bias=False)", [f(3, 4)]),
    ("nn.RNN(4, 5, 2, 'relu', True, True, 0.3, True)", [f(3, 2, 4), f(4, 3, 5)]),
    ("nn.LSTM(4, 5)", [f(3, 2, 4)]),
    ("nn.LSTM(4, 5, 3, batch_first=True, dropout=0.2, bidirectional=True)", [f(3, 2, 4)]),
    ("nn.LSTM(4, 5, 2, proj_size=3, bidirectional=True)", [f(3, 2, 4)]),
    ("nn.LSTM(4, 5, bias=False)", [f(3, 4), (f(1, 5), f(1, 5))]),
    ("nn.GRU(4, 5, 2, dropout=0.5)", [f(3, 2, 4), f(2, 2, 5)]),
    ("nn.GRU(4, 5, 1, bias=False, bidirectional=True, batch_first=True)", [f(3, 4)]),
    ("nn.RNNCell(4, 5, nonlinearity='relu')", [f(3, 4)]),
    ("nn.RNNCell(4, 5, bias=False)", [f(4), f(5)]),
    ("nn.LSTMCell(4, 5)", [f(3, 4), (f(3, 5), f(3, 5))]),
    ("nn.LSTMCell(4, 5)", [f(4)]),
    ("nn.GRUCell(4, 5)", [f(3, 4), f(3, 5)]),
    ("nn.GRUCell(4, 5, bias=False)", [f(3, 4)]),
    ("nn.MultiheadAttention(8, 2)", [(q := f(5, 3, 8)), q, q]),
    ("nn.MultiheadAttention(8, 2, dropout=0.2, batch_first=True)", [f(3, 5, 8), f(3, 4, 8), f(3, 4, 8)]),
    (
        "nn.MultiheadAttention(8, 4, bias=False, add_bias_kv=True, add_zero_attn=True, kdim=6, vdim=7)",
        [f(5, 3, 8), f(4, 3, 6), f(4, 3, 7)],
    ),
    ("nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)", [f(5, 3, 8)]),
    ("nn.TransformerEncoderLayer(8, 2, 16, 0.1, 'gelu', batch_first=True, norm_first=True)", [f(3, 5, 8)]),
    ("nn.TransformerDecoderLayer(8, 2, 16, bias=False)", [f(5, 3, 8), f(4, 3, 8)]),
    ("nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2, nn.LayerNorm(8))", [f(5, 3, 8)]),
    ("nn.Transformer(8, 2, 1, 1, 16)", [f(5, 3, 8), f(4, 3, 8)]),
    ("nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))", [f(5, 3)]),
    ("nn.LazyLinear(4)", [f(2, 3)]),
    ("nn.LazyConv2d(4, 3, padding=1)", [f(2, 3, 5, 5)]),
    ("nn.LazyConvTranspose1d(4, 3, bias=False)", [f(2, 3, 5)]),
    ("nn.LazyBatchNorm1d()", [f(5, 3)]),
    ("nn.LazyInstanceNorm2d()", [f(2, 3, 5, 5)]),
    ("nn.SyncBatchNorm(3).eval()", [f(2, 3, 5)]),
    ("nn.MaxUnpool2d(2)", [f(1, 1, 2, 2), np.array([[[[0, 2], [8, 11]]]])]),
    ("nn.FractionalMaxPool2d(2, output_size=3)", [f(1, 2, 7, 7)]),
]


def build(lib, text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lib.manual_seed(3)
        return eval(text, {"nn": lib.nn, "torch": lib})


def tensors(lib, value, grad=True):
    if isinstance(value, tuple):
        return tuple(tensors(lib, v, grad) for v in value)
    t = lib.from_numpy(np.array(value))
    return t.requires_grad_() if grad and t.is_floating_point() else t


def arrays(value):
    """All tensors in a result, as NumPy arrays."""
    if isinstance(value, (tuple, list)):
        return [a for v in value for a in arrays(v)]
    return [] if value is None else [value.detach().numpy()]


def same(got, want, tol=2e-5):
    assert len(got) == len(want)
    for a, b in zip(got, want):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


def total(result):
    """A scalar that depends on every element of the floating point results."""
    if isinstance(result, (tuple, list)):
        parts = [total(r) for r in result if r is not None]
        return sum(p for p in parts if p is not None)
    return (result * result).sum() if result.is_floating_point() and result.requires_grad else None


def state(module):
    lazy = [k for k, v in module.state_dict().items() if "Uninitialized" in type(v).__name__]
    return {k: v.detach().numpy() for k, v in module.state_dict().items() if k not in lazy}


@pytest.mark.parametrize("text,inputs", CASES, ids=[c[0] for c in CASES])
def test_like_torch(text, inputs):
    ours, theirs = build(numtorch, text), build(torch, text)
    assert repr(ours) == repr(theirs)
    a, b = state(ours), state(theirs)
    assert list(a) == list(b)
    same(list(a.values()), list(b.values()), 1e-6)
    results, grads = [], []
    for lib, module in ((numtorch, ours), (torch, theirs)):
        args = [tensors(lib, x, i == 0 or "nn.SoftMargin" not in text) for i, x in enumerate(inputs)]
        lib.manual_seed(11)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = module(*args)
        loss = total(result)
        if loss is not None and not isinstance(loss, int) and loss.requires_grad:
            loss.backward()
        flat = [t for x in args for t in (x if isinstance(x, tuple) else (x,))]
        leaves = [*flat, *module.parameters()]
        results.append(arrays(result))
        grads.append([arrays(t.grad) for t in leaves])
    same(*results)
    assert [len(g) for g in grads[0]] == [len(g) for g in grads[1]]
    if "CrossMapLRN2d" not in text:  # PyTorch's gradient of it is not that of its forward
        same(*[[a for g in gs for a in g] for gs in grads], 2e-4)
    assert repr(ours) == repr(theirs)
    a, b = state(ours), state(theirs)  # running statistics moved, lazy parameters there
    assert list(a) == list(b)
    same(list(a.values()), list(b.values()))


ERRORS = [
    "nn.Linear(3, 4)(torch.ones(2)).x",
    "nn.Module(3)",
    "nn.Module(a=3)",
    "nn.Module()(1)",
    "nn.Module().weight",
    "nn.Module().register_buffer('a.b', None)",
    "nn.Module().register_buffer('', None)",
    "nn.Module().register_buffer(3, None)",
    "nn.Module().register_buffer('training', None)",
    "nn.Module().register_buffer('a', 'x')",
    "nn.Module().register_parameter('a.b', None)",
    "nn.Module().register_parameter('', None)",
    "nn.Module().register_parameter(3, None)",
    "nn.Module().register_parameter('training', None)",
    "nn.Module().register_parameter('w', torch.ones(2))",
    "nn.Module().add_module('a', 3)",
    "nn.Module().add_module('a.b', nn.ReLU())",
    "nn.Module().add_module('', nn.ReLU())",
    "nn.Module().add_module(3, nn.ReLU())",
    "nn.Module().add_module('training', nn.ReLU())",
    "setattr(nn.Linear(2, 2), 'weight', torch.ones(2, 2))",
    "setattr(nn.Linear(2, 2), 'weight', nn.ReLU())",
    "setattr(nn.Sequential(nn.ReLU()), '0', 3)",
    "setattr(nn.BatchNorm1d(2), 'running_mean', 3)",
    "nn.Linear(2, 2).get_submodule('a')",
    "nn.Linear(2, 2).get_submodule('weight')",
    "nn.Linear(2, 2).get_parameter('weigh')",
    "nn.BatchNorm1d(2).get_parameter('running_mean')",
    "nn.Linear(2, 2).get_buffer('weight')",
    "nn.Linear(2, 2).set_submodule('', nn.ReLU())",
    "nn.Linear(2, 2).set_submodule('a', 3)",
    "nn.Linear(2, 2).set_submodule('weight', nn.ReLU())",
    "nn.Linear(2, 2).set_submodule('a', nn.ReLU(), strict=True)",
    "nn.Linear(2, 2).to(torch.int64)",
    "nn.Linear(2, 2).train('yes')",
    "nn.Linear(2, 2).load_state_dict(3)",
    "nn.Linear(2, 2).load_state_dict({})",
    "nn.Linear(2, 2).load_state_dict({'weight': torch.ones(3, 2), 'bias': 3, 'a': 1, 'b.c': 2})",
    "nn.Sequential(nn.Linear(2, 2)).load_state_dict({'0.weight': torch.ones(2, 2), '1.weight': 3})",
    "nn.Sequential(nn.ReLU())[1]",
    "nn.Sequential(nn.ReLU())[-2]",
    "nn.Sequential(nn.ReLU()) + 3",
    "nn.Sequential(nn.ReLU()) * 0",
    "nn.Sequential(nn.ReLU()) * 1.5",
    "nn.Sequential(nn.ReLU()).insert(5, nn.ReLU())",
    "nn.ModuleList([nn.ReLU()])[1]",
    "nn.ModuleList(3)",
    "nn.ModuleList([3])",
    "nn.ModuleDict(3)",
    "nn.ModuleDict([3])",
    "nn.ModuleDict([(1, 2, 3)])",
    "nn.ModuleDict({'keys': nn.ReLU()})",
    "nn.ParameterList(3)",
    "nn.ParameterList([])()",
    "nn.ParameterDict(3)",
    "nn.ParameterDict({})(1)",
    "nn.ParameterDict({})[3]",
    "nn.Conv2d(3, 4, 3, groups=2)",
    "nn.Conv2d(4, 3, 3, groups=2)",
    "nn.Conv2d(4, 3, 3, groups=0)",
    "nn.Conv2d(4, 3, 3, stride=2, padding='same')",
    "nn.ConvTranspose2d(4, 3, 3, padding_mode='reflect')",
    "nn.ConvTranspose2d(1, 1, 3)(torch.ones(1, 1, 3, 3), output_size=[9, 9])",
    "nn.ConvTranspose2d(1, 1, 3)(torch.ones(1, 1, 3, 3), output_size=[9])",
    "nn.BatchNorm1d(3)(torch.ones(3))",
    "nn.BatchNorm2d(3)(torch.ones(3, 3))",
    "nn.BatchNorm3d(3)(torch.ones(3, 3))",
    "nn.InstanceNorm1d(3)(torch.ones(3))",
    "nn.InstanceNorm2d(3, affine=True)(torch.ones(2, 4, 3, 3))",
    "nn.GroupNorm(2, 5)",
    "nn.CrossMapLRN2d(2)(torch.ones(3))",
    "nn.Dropout(1.5)",
    "nn.Embedding(3, 2, padding_idx=3)",
    "nn.Embedding(3, 2, padding_idx=-4)",
    "nn.EmbeddingBag(3, 2, padding_idx=3)",
    "nn.Embedding(3, 2, _weight=torch.ones(2, 2))",
    "nn.Embedding.from_pretrained(torch.ones(2))",
    "nn.Hardtanh(1, 1)",
    "nn.MultiheadAttention(0, 1)",
    "nn.MultiheadAttention(5, 2)",
    "nn.Softmax2d()(torch.ones(2))",
    "nn.Unflatten(1, 3)",
    "nn.Unflatten(1, (2, 'a'))",
    "nn.CircularPad1d(1)(torch.ones(1))",
    "nn.FractionalMaxPool2d(2)",
    "nn.FractionalMaxPool2d(2, 3, 0.5)",
    "nn.FractionalMaxPool3d(2, output_ratio=2)",
    "nn.FractionalMaxPool3d(0, 2)",
    "nn.HuberLoss(delta='a')",
    "nn.MultiMarginLoss(p=3)",
    "nn.MultiMarginLoss(weight=torch.ones(2, 2))",
    "nn.TripletMarginLoss(margin=-1)",
    "nn.TripletMarginWithDistanceLoss(margin=0)",
    "nn.AdaptiveLogSoftmaxWithLoss(3, 5, [])",
    "nn.AdaptiveLogSoftmaxWithLoss(3, 5, [3, 2])",
    "nn.AdaptiveLogSoftmaxWithLoss(3, 5, [2])(torch.ones(2, 3), torch.tensor([1, 7]))",
    "nn.AdaptiveLogSoftmaxWithLoss(3, 5, [2])(torch.ones(2, 3), torch.tensor([1]))",
    "nn.RNN(3, 4, nonlinearity='x')",
    "nn.RNN(3, 4, proj_size=2)",
    "nn.GRU(3, 4, proj_size=2)",
    "nn.LSTM(3, 4, proj_size=4)",
    "nn.LSTM(3, 4, proj_size=-1)",
    "nn.LSTM(3, 4, 0)",
    "nn.LSTM(3, 4.0)",
    "nn.LSTM(3.0, 4)",
    "nn.LSTM(0, 4)",
    "nn.LSTM(3, 0)",
    "nn.LSTM(3, 4, bias=1)",
    "nn.LSTM(3, 4, batch_first=1)",
    "nn.LSTM(3, 4, dropout=2)",
    "nn.LSTM(3, 4, dropout=True)",
    "nn.LSTM(3, 4)(torch.ones(3))",
    "nn.RNN(3, 4)(torch.ones(3))",
    "nn.GRU(3, 4)(torch.ones(3))",
    "nn.LSTM(3, 4)(torch.ones(2, 2, 4))",
    "nn.LSTM(3, 4)(torch.ones(2, 2, 3, dtype=torch.float64))",
    "nn.LSTM(3, 4)(torch.ones(2, 2, 3), (torch.ones(1, 4), torch.ones(1, 4)))",
    "nn.LSTM(3, 4)(torch.ones(2, 3), (torch.ones(1, 2, 4), torch.ones(1, 4)))",
    "nn.LSTM(3, 4)(torch.ones(2, 2, 3), (torch.ones(1, 3, 4), torch.ones(1, 2, 4)))",
    "nn.LSTM(3, 4)(torch.ones(2, 2, 3), (torch.ones(1, 2, 4), torch.ones(1, 3, 4)))",
    "nn.GRU(3, 4)(torch.ones(2, 2, 3), torch.ones(1, 4))",
    "nn.GRU(3, 4)(torch.ones(2, 3), torch.ones(1, 2, 4))",
    "nn.GRU(3, 4)(torch.ones(2, 2, 3), torch.ones(2, 2, 4))",
    "nn.RNNCell(3, 4)(torch.ones(1, 1, 3))",
    "nn.LSTMCell(3, 4)(torch.ones(1, 1, 3))",
    "nn.GRUCell(3, 4)(torch.ones(2, 3), torch.ones(1, 2, 4))",
    "nn.GRUCell(3, 4)(torch.ones(2, 5))",
    "nn.TransformerEncoderLayer(4, 2, activation='tanh')",
    "nn.Transformer(4, 2, 1, 1)(torch.ones(3, 2, 4), torch.ones(3, 1, 4))",
    "nn.Transformer(4, 2, 1, 1)(torch.ones(3, 2, 5), torch.ones(3, 2, 4))",
    "nn.LazyConv2d(3, 2)(torch.ones(3))",
    "nn.init.calculate_gain('x')",
    "nn.init.calculate_gain('leaky_relu', 'x')",
    "nn.init.xavier_uniform_(torch.ones(3))",
    "nn.init.kaiming_normal_(torch.ones(3, 2), mode='x')",
    "nn.init.eye_(torch.ones(3))",
    "nn.init.dirac_(torch.ones(3))",
    "nn.init.dirac_(torch.ones(3, 2, 2), 2)",
    "nn.init.orthogonal_(torch.ones(3))",
    "nn.init.sparse_(torch.ones(3), 0.1)",
    "nn.utils.clip_grad_norm_(nn.Parameter(torch.ones(2)), 'a')",
    "nn.utils.rnn.pad_sequence(3)",
    "nn.utils.rnn.pad_sequence([])",
    "nn.utils.rnn.pack_padded_sequence(torch.ones(3, 2), [1, 2])",
    "nn.utils.rnn.pack_padded_sequence(torch.ones(3, 2), [1, 0])",
    "nn.utils.rnn.pack_padded_sequence(torch.ones(3, 2), [1])",
    "nn.utils.vector_to_parameters(3, [])",
]


@pytest.mark.parametrize("text", ERRORS)
def test_error_like_torch(text):
    said = []
    for lib in (numtorch, torch):
        with pytest.raises(Exception) as e, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            eval(text, {"nn": lib.nn, "torch": lib})
        said.append((e.type.__name__, str(e.value).replace("numtorch.", "torch.")))
    ours, theirs = said
    assert ours[0] == theirs[0]
    assert ours[1].split("\n")[: len(theirs[1].split("\n"))] == theirs[1].split("\n")


REPRS = [
    "nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)])",
    "nn.ModuleList([nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU())])",
    "nn.ModuleList()",
    "nn.ModuleDict({'a': nn.ReLU(), 'b': nn.Sequential(nn.Tanh(), nn.ELU())})",
    "nn.ParameterList([torch.ones(2), 3, nn.Parameter(torch.ones(2, 3))])",
    "nn.ParameterDict({'b': torch.ones(2), 'a': 3})",
    "nn.Sequential()",
    "nn.Sequential(nn.ReLU(), nn.Tanh(), nn.ELU())[1:]",
    "nn.Parameter(torch.ones(2))",
    "nn.Parameter()",
    "nn.Linear(2, 2).load_state_dict(nn.Linear(2, 2).state_dict())",
    "nn.Linear(2, 2).load_state_dict({}, strict=False)",
    "list(nn.BatchNorm1d(2).state_dict()._metadata.items())",
    "[k for k in dir(nn.Sequential(nn.Linear(2, 2))) if k == '0']",
    "nn.RNN(3, 4, 2, bias=False, batch_first=True, dropout=0.5, bidirectional=True)",
    "nn.utils.rnn.pack_sequence([torch.ones(3), torch.ones(2), torch.ones(1)])",
    "nn.utils.rnn.pack_sequence([torch.ones(1), torch.ones(3), torch.ones(2)], enforce_sorted=False)",
    "nn.utils.rnn.pad_sequence([torch.ones(1, 2), torch.ones(3, 2)], True, 7., 'left')",
    "nn.utils.rnn.unpack_sequence(nn.utils.rnn.pack_sequence([torch.ones(3), torch.ones(2)]))",
    "nn.utils.rnn.pad_packed_sequence(nn.utils.rnn.pack_sequence("
    "[torch.ones(1), torch.ones(3)], False), True, -1.0, 4)",
    "nn.utils.rnn.invert_permutation(torch.tensor([2, 0, 1]))",
    "nn.utils.parameters_to_vector([torch.ones(2, 2), torch.zeros(3)])",
    "[n for n, _ in nn.LSTM(2, 3, 2, bidirectional=True, proj_size=1).named_parameters('p')]",
    "nn.init.calculate_gain('leaky_relu', 0.2)",
    "nn.Transformer.generate_square_subsequent_mask(3)",
]


@pytest.mark.parametrize("text", REPRS)
def test_text_like_torch(text):
    said = []
    for lib in (numtorch, torch):
        lib.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said.append(repr(eval(text, {"nn": lib.nn, "torch": lib})))
    assert said[0] == said[1]


FILLS = [
    "uniform_(t, -2, 3)",
    "normal_(t, 1, 2)",
    "trunc_normal_(t)",
    "trunc_normal_(t, std=0.02)",
    "trunc_normal_(t, 0, 1, 2.5, 3)",
    "constant_(t, 3)",
    "ones_(t)",
    "zeros_(t)",
    "eye_(t)",
    "xavier_uniform_(t)",
    "xavier_normal_(t, 2)",
    "kaiming_uniform_(t, mode='fan_out', nonlinearity='relu')",
    "kaiming_normal_(t, 0.1)",
    "orthogonal_(t)",
    "orthogonal_(t.t(), 2.0)",
    "sparse_(t, 0.3)",
    "dirac_(t.view(4, 3, 3), 2)",
]


@pytest.mark.parametrize("text", FILLS)
def test_init_like_torch(text):
    got = []
    for lib in (numtorch, torch):
        t = lib.zeros(6, 6)
        lib.manual_seed(5)
        eval("nn.init." + text, {"nn": lib.nn, "t": t})
        got.append(t.numpy())
    np.testing.assert_allclose(*got, rtol=1e-5, atol=1e-6)


def packed_run(lib, cell, **kwargs):
    lib.manual_seed(2)
    layer = getattr(lib.nn, cell)(4, 5, 2, bidirectional=True, **kwargs)
    x = tensors(lib, np.arange(5 * 3 * 4, dtype="f").reshape(5, 3, 4) / 30)
    pack = lib.nn.utils.rnn.pack_padded_sequence(x, [2, 5, 3], enforce_sorted=False)
    out, hidden = layer(pack)
    assert isinstance(out, lib.nn.utils.rnn.PackedSequence)
    padded, lengths = lib.nn.utils.rnn.pad_packed_sequence(out)
    (padded * padded).sum().backward()
    return arrays([padded, lengths, hidden, x.grad, [p.grad for p in layer.parameters()]])


@pytest.mark.parametrize("cell,kwargs", [("RNN", {}), ("GRU", {"dropout": 0.4}), ("LSTM", {"proj_size": 2})])
def test_packed_like_torch(cell, kwargs):
    same(packed_run(numtorch, cell, **kwargs), packed_run(torch, cell, **kwargs))


def functional_run(lib, name, dtype, packed, second):
    """A recurrent function of two layers in both directions, with states, weights and their gradients."""
    rng = np.random.default_rng(3)
    make = lambda *shape: lib.tensor(rng.normal(0, 0.4, shape)).to(getattr(lib, dtype)).requires_grad_()
    gates = {"lstm": 4, "gru": 3}.get(name, 1)
    x = make(7, 3) if packed else make(4, 3, 3)
    state = [make(4, 3, 5) for _ in range(2 if name == "lstm" else 1)]
    params = [make(*shape) for layer in range(2) for _ in range(2)
              for shape in ((5 * gates, 10 if layer else 3), (5 * gates, 5), (5 * gates,), (5 * gates,))]
    hx = tuple(state) if name == "lstm" else state[0]
    given = (x, lib.tensor([3, 2, 1, 1]), hx) if packed else (x, hx)
    lib.manual_seed(4)
    results = getattr(lib, name)(*given, params, True, 2, 0.3, True, True, *([] if packed else [False]))
    leaves = [x, *state, *params]
    loss = sum((k + 1) * (r * r).sum() for k, r in enumerate(results))
    grads = lib.autograd.grad(loss, leaves, create_graph=second)
    more = lib.autograd.grad(sum((g * g).sum() for g in grads), leaves) if second else []
    return arrays([[t.to(lib.float64) for t in (*results, *grads, *more)]])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["lstm", "gru", "rnn_tanh", "rnn_relu"])
def test_recurrent_functions_like_torch(name, packed):
    for dtype, second, tolerance in (("float64", True, 1e-10), ("float32", False, 1e-4),
                                     ("bfloat16", False, 0.15), ("float16", False, 0.02)):
        ours, theirs = [functional_run(lib, name, dtype, packed, second) for lib in (numtorch, torch)]
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max()))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers_under_autocast_like_torch(kind):
    def run(lib):
        lib.manual_seed(0)
        layer, results = getattr(lib.nn, kind)(3, 4), []
        x = lib.from_numpy(X)
        for given in (x, x.bfloat16(), lib.nn.utils.rnn.pack_padded_sequence(x, [5, 2])):
            with lib.autocast("cpu", dtype=lib.bfloat16):
                out, h = layer(given)
            out = out if isinstance(out, lib.Tensor) else out.data
            layer.zero_grad()
            out.float().sum().backward()
            results += [out, *(h if isinstance(h, tuple) else [h]), layer.weight_hh_l0.grad]
        return [str(t.dtype).rpartition(".")[2] for t in results], arrays([t.float() for t in results])

    X = f(5, 2, 3)
    (ours, a), (theirs, b) = run(numtorch), run(torch)
    assert ours == theirs
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=0.03, atol=0.05)


@pytest.mark.parametrize("name", ["lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"])
def test_cell_functions_like_torch(name):
    def run(lib):
        args = tensors(lib, (X, (H, C) if name == "lstm_cell" else H, *weights))
        return arrays([getattr(lib, name)(*args)])

    gates = {"lstm": 4, "gru": 3}.get(name.partition("_")[0], 1)
    X, H, C = f(2, 3), f(2, 5), f(2, 5)
    weights = [f(5 * gates, 3), f(5 * gates, 5), f(5 * gates), f(5 * gates)]
    same(run(numtorch), run(torch))


def test_masks_like_torch():
    def run(lib):
        lib.manual_seed(1)
        layer = lib.nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0)
        x, m = tensors(lib, X), tensors(lib, M)
        mask = lib.nn.Transformer.generate_square_subsequent_mask(4)
        pad = lib.tensor([[False, False, True], [False, True, True]])
        out = layer(x, m, tgt_mask=mask, memory_key_padding_mask=pad, tgt_is_causal=True)
        attention = lib.nn.MultiheadAttention(8, 2)
        more = attention(x, m, m, key_padding_mask=pad, average_attn_weights=False)
        (out.sum() + more[0].sum()).backward()
        return arrays([out, more, x.grad, m.grad])

    X, M = f(4, 2, 8), f(3, 2, 8)
    same(run(numtorch), run(torch))


def clip_run(lib):
    params = [lib.nn.Parameter(lib.ones(2, 3)), lib.nn.Parameter(lib.ones(4)), lib.nn.Parameter(lib.ones(1))]
    out = []
    for norm in (2.0, 1, float("inf")):
        for p, scale in zip(params, (1.0, -2.0)):
            p.grad = lib.arange(p.numel(), dtype=lib.float32).view(p.shape) * scale
        out.append(lib.nn.utils.clip_grad_norm_(params, 1.5, norm_type=norm))
        out += [p.grad for p in params[:2]]
    lib.nn.utils.clip_grad_value_(params, 0.1)
    return arrays(
        out + [p.grad for p in params[:2]] + [lib.nn.utils.get_total_norm([p.grad for p in params[:2]])]
    )


def test_clip_like_torch():
    same(clip_run(numtorch), clip_run(torch))


def hooks_run(lib):
    """What every kind of hook sees, in order."""
    nn = lib.nn
    lib.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    seen = []

    def note(name):
        def hook(module, *args):
            shapes = []
            for a in args:
                for t in a if isinstance(a, tuple) else (a,):
                    shapes.append(None if t is None else tuple(t.shape) if hasattr(t, "shape") else t)
            seen.append((name, type(module).__name__, shapes))

        return hook

    for i, module in enumerate(net):
        module.register_forward_pre_hook(note(f"pre{i}"))
        module.register_forward_hook(note(f"fwd{i}"))
        module.register_full_backward_pre_hook(note(f"bpre{i}"))
        module.register_full_backward_hook(note(f"bwd{i}"))
    net[1].register_forward_hook(note("first"), prepend=True)
    net[1].register_forward_hook(lambda m, args, out: out * 2)
    net[2].register_forward_pre_hook(lambda m, args: (args[0] + 1,), prepend=True)
    net[1].register_full_backward_hook(lambda m, gi, go: (gi[0] * 3,))
    net[0].register_full_backward_pre_hook(lambda m, go: (go[0] + 1,))
    handle = net.register_forward_hook(note("all"), with_kwargs=True)
    module_hooks = [
        nn.modules.module.register_module_forward_pre_hook(note("gpre")),
        nn.modules.module.register_module_forward_hook(note("gfwd")),
        nn.modules.module.register_module_full_backward_hook(note("gbwd")),
    ]
    x = tensors(lib, np.arange(6, dtype="f").reshape(2, 3))
    out = net(x)
    out.sum().backward()
    handle.remove()
    for h in module_hooks:
        h.remove()
    with lib.no_grad():
        net(x)
    return seen, arrays([out, x.grad, [p.grad for p in net.parameters()]])


def test_hooks_like_torch():
    (ours, a), (theirs, b) = hooks_run(numtorch), hooks_run(torch)
    assert ours == theirs
    same(a, b)


def test_state_dict_crosses():
    ours, theirs = build(numtorch, "nn.BatchNorm2d(3)"), build(torch, "nn.BatchNorm2d(3)")
    theirs(torch.ones(2, 3, 4, 4))
    ours.load_state_dict({k: numtorch.from_numpy(v.numpy().copy()) for k, v in theirs.state_dict().items()})
    same(list(state(ours).values()), list(state(theirs).values()))


def test_names_of_torch():
    for name in torch.nn.modules.__all__:
        if name not in ("LinearCrossEntropyLoss", "LinearCrossEntropyOptions"):
            assert hasattr(numtorch.nn, name)
    for name in torch.nn.init.__all__:
        assert hasattr(numtorch.nn.init, name)
    missing = {n for n in dir(torch.nn.Module) if not n.startswith("__")} - set(dir(numtorch.nn.Module))
    assert missing <= {
        "_maybe_warn_non_full_backward_hook",
        "_slow_forward",
        "_wrapped_call_impl",
        "T_destination",
    }


def test_copies():
    net = build(numtorch, "nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.LSTM(3, 4))")
    buffer = io.BytesIO()
    pickle.dump(net, buffer)
    buffer.seek(0)
    for other in (copy.deepcopy(net), pickle.load(buffer)):
        assert repr(other) == repr(net)
        same(list(state(other).values()), list(state(net).values()))
        assert other[0].weight is not net[0].weight and other[0].weight.requires_grad
