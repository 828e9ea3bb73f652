"""Neural-network functions against small NumPy oracles, and their errors."""
import warnings

import numpy as np
import pytest

import numtorch as torch

F = torch.ops.names["nn.functional"]


def t(*shape):
    return torch.ones(*shape)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def correlate(x, w, stride, padding):
    """conv2d by its definition."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    n, _, h, width = x.shape
    o, _, kh, kw = w.shape
    out = np.zeros((n, o, (h - kh) // stride + 1, (width - kw) // stride + 1))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            window = x[:, :, i * stride:i * stride + kh, j * stride:j * stride + kw]
            out[:, :, i, j] = np.einsum("nchw,ochw->no", window, w)
    return out


@pytest.mark.parametrize("dtype,tolerance", [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("stride,padding,kernel", [(1, 0, 3), (2, 1, 3), (1, 0, 1)])
def test_conv2d(dtype, tolerance, stride, padding, kernel):
    x, w = draw(3, 4, 9, 8).astype(dtype), draw(5, 4, kernel, kernel, seed=1).astype(dtype)
    out = F["conv2d"](torch.from_numpy(x), torch.from_numpy(w), None, stride, padding)
    np.testing.assert_allclose(out.numpy(), correlate(x, w, stride, padding), tolerance, 10 * tolerance)


def test_convolution_gradients_are_adjoint():
    x, w = torch.from_numpy(draw(2, 3, 7, 6)).requires_grad_(), torch.from_numpy(draw(4, 3, 3,
                                                                                      2)).requires_grad_()
    y = F["conv2d"](x, w, None, 2, 1)
    g = torch.from_numpy(draw(*y.shape, seed=2))
    gx, gw = torch.autograd.grad((y * g).sum(), (x, w))
    value = float((y * g).sum().detach())
    assert float((gx * x.detach()).sum()) == pytest.approx(value)
    assert float((gw * w.detach()).sum()) == pytest.approx(value)


def test_conv_transpose_undoes_shape():
    x, w = torch.from_numpy(draw(2, 4, 5, 6)), torch.from_numpy(draw(4, 3, 3, 3))
    y = F["conv_transpose2d"](x, w, None, 2, 1, 1)
    assert tuple(y.shape) == (2, 3, 10, 12)
    assert tuple(F["conv2d"](y, w, None, 2, 1).shape) == (2, 4, 5, 6)


def test_half_convolution():
    x = torch.from_numpy(draw(1, 2, 5, 5).astype("float32"))
    w = torch.from_numpy(draw(3, 2, 3, 3).astype("float32"))
    want = F["conv2d"](x, w)
    got = F["conv2d"](x.to(torch.bfloat16), w.to(torch.bfloat16))
    assert got.dtype is torch.bfloat16
    np.testing.assert_allclose(got.float().numpy(), want.numpy(), 0.05, 0.2)


def test_max_pool_first_of_equals_and_nan():
    x = torch.tensor([[[1.0, 1.0, 0.0, float("nan")], [0.0, 1.0, 5.0, 2.0]]])
    y, i = F["max_pool2d"](x, 2, return_indices=True)
    assert i.tolist() == [[[0, 3]]] and float(y[0, 0, 0]) == 1 and np.isnan(float(y[0, 0, 1]))
    y = F["max_pool2d"](torch.zeros(1, 1, 5, 5), 2, ceil_mode=True)
    assert tuple(y.shape) == (1, 1, 3, 3)


def test_average_pool_divisors():
    x = torch.ones(1, 1, 4)
    np.testing.assert_allclose(F["avg_pool1d"](x, 3, 2, 1).numpy(), [[[2 / 3, 1]]], 1e-6)
    np.testing.assert_allclose(F["avg_pool1d"](x, 3, 2, 1, count_include_pad=False).numpy(), [[[1, 1]]])
    np.testing.assert_allclose(F["adaptive_avg_pool1d"](torch.arange(5.0).reshape(1, 5), 3).numpy(),
                               [[0.5, 2, 3.5]])


def test_softmax_and_log_softmax():
    x = draw(3, 5) * 50
    e = np.exp(x - x.max(1, keepdims=True))
    want = e / e.sum(1, keepdims=True)
    np.testing.assert_allclose(torch.softmax(torch.from_numpy(x), 1).numpy(), want, 1e-12)
    np.testing.assert_allclose(torch.log_softmax(torch.from_numpy(x), 1).numpy(),
                               x - x.max(1, keepdims=True) - np.log(e.sum(1, keepdims=True)), 1e-9, 1e-9)
    assert torch.softmax(torch.ones(2, dtype=torch.float16), 0).dtype is torch.float16
    assert F["softmax"](torch.ones(2, 2), 1, dtype=torch.float64).dtype is torch.float64
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax has been deprecated"):
        F["softmax"](t(3, 2))


def test_relu_inplace_and_nan():
    x = torch.tensor([-1.0, 0.0, 2.0, float("nan")])
    y = F["relu"](x, inplace=True)
    assert y is x and x.tolist()[:3] == [0, 0, 2] and np.isnan(x.tolist()[3])
    x = torch.tensor([-1.0, 3.0], requires_grad=True)
    F["relu"](x * 2, inplace=True).sum().backward()
    assert x.grad.tolist() == [0, 2]


def test_batch_norm_running_statistics():
    x = draw(6, 3, 4).astype("float32")
    mean, var = torch.zeros(3), torch.ones(3)
    y = F["batch_norm"](torch.from_numpy(x), mean, var, training=True, momentum=0.5)
    np.testing.assert_allclose(mean.numpy(), 0.5 * x.mean((0, 2)), 1e-5, 1e-6)
    np.testing.assert_allclose(var.numpy(), 0.5 + 0.5 * x.var((0, 2), ddof=1), 1e-5)
    want = (x - x.mean((0, 2), keepdims=True)) / np.sqrt(x.var((0, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(y.numpy(), want, 1e-4, 1e-5)
    y = F["batch_norm"](torch.from_numpy(x), mean, var)
    want = (x - mean.numpy()[:, None]) / np.sqrt(var.numpy()[:, None] + 1e-5)
    np.testing.assert_allclose(y.numpy(), want, 1e-4, 1e-5)


def test_layer_norm():
    x, w, b = draw(4, 6), draw(6, seed=1), draw(6, seed=2)
    y = F["layer_norm"](*map(torch.from_numpy, (x,)), (6,), torch.from_numpy(w), torch.from_numpy(b))
    want = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5) * w + b
    np.testing.assert_allclose(y.numpy(), want, 1e-10)


def test_cross_entropy_is_nll_of_log_softmax():
    x, target = torch.from_numpy(draw(4, 3)), torch.tensor([0, 2, -100, 1])
    loss = F["cross_entropy"](x, target)
    logp = torch.log_softmax(x, 1).numpy()
    assert float(loss) == pytest.approx(-(logp[0, 0] + logp[1, 2] + logp[3, 1]) / 3)
    assert np.isnan(float(F["cross_entropy"](x, torch.full((4,), -100))))


def test_mse_warns_about_broadcasting():
    text = (r"Using a target size \(torch.Size\(\[8\]\)\) that is different to the input size "
            r"\(torch.Size\(\[8, 1\]\)\). This will likely lead to incorrect results due to broadcasting. "
            r"Please ensure they have the same size.")
    with pytest.warns(UserWarning, match=text):
        F["mse_loss"](t(8, 1), t(8))


def test_embedding_gradient_sums_repeats():
    w = torch.zeros(4, 2, requires_grad=True)
    F["embedding"](torch.tensor([1, 3, 1]), w, padding_idx=3).sum().backward()
    assert w.grad.tolist() == [[0, 0], [2, 2], [0, 0], [0, 0]]
    w = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    F["embedding"](torch.tensor([0, 1]), w, max_norm=1.0)
    np.testing.assert_allclose(w.numpy(), [[0.6, 0.8], [0.3, 0.4]], 1e-5)


def test_one_hot():
    assert F["one_hot"](torch.tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]


def test_attention_is_softmax_of_products():
    q, k, v = draw(2, 3, 4), draw(2, 5, 4, seed=1), draw(2, 5, 6, seed=2)
    got = F["scaled_dot_product_attention"](*map(torch.from_numpy, (q, k, v)))
    s = q @ k.transpose(0, 2, 1) / 2
    p = np.exp(s - s.max(-1, keepdims=True))
    np.testing.assert_allclose(got.numpy(), p / p.sum(-1, keepdims=True) @ v, 1e-10)


def test_pads():
    x = torch.arange(3.0).reshape(1, 1, 3)
    assert F["pad"](x, (2, 1)).tolist() == [[[0, 0, 0, 1, 2, 0]]]
    assert F["pad"](x, (2, 1), "reflect").tolist() == [[[2, 1, 0, 1, 2, 1]]]
    assert F["pad"](x, (2, 1), "replicate").tolist() == [[[0, 0, 0, 1, 2, 2]]]
    assert F["pad"](x, (2, 1), "circular").tolist() == [[[1, 2, 0, 1, 2, 0]]]
    assert F["pad"](x, (-1, 0)).tolist() == [[[1, 2]]]


def long(*shape):
    return torch.zeros(*shape, dtype=torch.int64)


ERRORS = [
    ("conv2d", lambda f: f(t(1, 28, 28, 3), t(8, 3, 3, 3)), RuntimeError,
     "Given groups=1, weight of size [8, 3, 3, 3], expected input[1, 28, 28, 3] to have 3 channels, but got "
     "28 channels instead"),
    ("conv2d", lambda f: f(t(28, 28), t(8, 3, 3, 3)), RuntimeError,
     "Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: [28, 28]"),
    ("conv2d", lambda f: f(t(1, 3, 2, 2), t(8, 3, 3, 3), padding=(1, 0)), RuntimeError,
     "Calculated padded input size per channel: (4 x 2). Kernel size: (3 x 3). Kernel size can't be greater "
     "than actual input size"),
    ("conv2d", lambda f: f(t(1, 3, 8, 8), t(8, 3, 3, 3), t(7)), RuntimeError,
     "Given weight of size [8, 3, 3, 3], expected bias to be 1-dimensional with 8 elements, but got bias of "
     "size [7] instead"),
    ("conv2d", lambda f: f(t(1, 4, 8, 8), t(7, 2, 3, 3), groups=2), RuntimeError,
     "Given groups=2, expected weight to be divisible by 2 at dimension 0, but got weight of size [[7, 2, 3, "
     "3]] instead"),
    ("conv2d", lambda f: f(t(1, 4, 8, 8), t(8, 4, 3, 3), stride=0), RuntimeError,
     "non-positive stride is not supported"),
    ("conv2d", lambda f: f(t(1, 4, 8, 8), t(8, 4, 3, 3), stride=(1, 1, 1)), RuntimeError,
     "expected stride to be a single integer value or a list of 2 values to match the convolution "
     "dimensions, but got stride=[1, 1, 1]"),
    ("conv2d", lambda f: f(t(1, 4, 8, 8), t(8, 4, 3, 3), padding="same", stride=2), RuntimeError,
     "padding='same' is not supported for strided convolutions"),
    ("conv_transpose2d", lambda f: f(t(1, 4, 8, 8), t(3, 4, 3, 3)), RuntimeError,
     "Given transposed=1, weight of size [3, 4, 3, 3], expected input[1, 4, 8, 8] to have 3 channels, but "
     "got 4 channels instead"),
    ("max_pool2d", lambda f: f(t(1, 4, 8, 8), 3, padding=2), RuntimeError,
     "pad should be at most half of effective kernel size, but got pad=2, kernel_size=3 and dilation=1"),
    ("max_pool2d", lambda f: f(t(1, 4, 2, 2), 3), RuntimeError,
     "Given input size: (4x2x2). Calculated output size: (4x0x0). Output size is too small"),
    ("max_pool2d", lambda f: f(t(1, 4, 8, 8), (3, 3, 3)), RuntimeError,
     "max_pool2d: kernel_size must either be a single int, or a tuple of two ints"),
    ("max_pool1d", lambda f: f(t(4, 8), 3, padding=2), RuntimeError,
     "max_pool1d() padding should be at most half of kernel size, but got padding=2 and kernel_size=3"),
    ("adaptive_avg_pool2d", lambda f: f(t(8, 8), 3), RuntimeError,
     "adaptive_avg_pool2d(): Expected 3D or 4D tensor, but got [8, 8]"),
    ("nll_loss", lambda f: f(t(4, 3), long(4) + 3), IndexError, "Target 3 is out of bounds."),
    ("nll_loss", lambda f: f(t(4, 3), long(5)), ValueError,
     "Expected input batch_size (4) to match target batch_size (5)."),
    ("nll_loss", lambda f: f(t(4, 3), t(4)), RuntimeError, "expected target dtype to be Long or Byte, but "
                                                           "got Float"),
    ("cross_entropy", lambda f: f(t(4, 3), long(4, 1)), RuntimeError,
     "0D or 1D target tensor expected, multi-target not supported"),
    ("cross_entropy", lambda f: f(t(4, 3), long(4, 3)), RuntimeError,
     "Expected floating point type for target with class probabilities, got Long"),
    ("nll_loss", lambda f: f(t(4, 3), long(4), reduction="foo"), ValueError, "foo is not a valid value for "
                                                                             "reduction"),
    ("binary_cross_entropy", lambda f: f(t(8) * 2, t(8)), RuntimeError,
     "all elements of input should be between 0 and 1"),
    ("binary_cross_entropy_with_logits", lambda f: f(t(8, 1), t(8)), ValueError,
     "Target size (torch.Size([8])) must be the same as input size (torch.Size([8, 1]))"),
    ("batch_norm", lambda f: f(t(1, 3), None, None, training=True), ValueError,
     "Expected more than 1 value per channel when training, got input size torch.Size([1, 3])"),
    ("batch_norm", lambda f: f(t(4, 3), t(2), t(3)), RuntimeError, "running_mean should contain 3 elements "
                                                                   "not 2"),
    ("layer_norm", lambda f: f(t(4, 3), (4,)), RuntimeError,
     "Given normalized_shape=[4], expected input with shape [*, 4], but got input of size[4, 3]"),
    ("group_norm", lambda f: f(t(4, 3), 2), RuntimeError,
     "Expected number of channels in input to be divisible by num_groups, but got input of shape [4, 3] and "
     "num_groups=2"),
    ("embedding", lambda f: f(long(3) + 5, t(4, 2)), IndexError, "index out of range in self"),
    ("embedding", lambda f: f(long(3), t(4, 2).requires_grad_(), sparse=True), NotImplementedError,
     "embedding with sparse=True has no gradient: gradients are dense tensors."),
    ("one_hot", lambda f: f(t(3)), RuntimeError, "one_hot is only applicable to index tensor of type "
                                                 "LongTensor."),
    ("linear", lambda f: f(t(2, 3), t(4, 5)), RuntimeError,
     "mat1 and mat2 shapes cannot be multiplied (2x3 and 5x4)"),
    ("linear", lambda f: f(t(2, 3), t(4, 5), t(4)), RuntimeError,
     "mat1 and mat2 shapes cannot be multiplied (2x3 and 5x4)"),
    ("pad", lambda f: f(t(2, 3), (3, 1), mode="reflect"), RuntimeError,
     "Argument #4: Padding size should be less than the corresponding input dimension, but got: padding (3, "
     "1) at dimension 1 of input [2, 3]"),
    ("prelu", lambda f: f(t(4, 3), t(2)), RuntimeError,
     "Mismatch of parameter numbers and input channel size. Found parameter numbers = 2 and channel size = "
     "3."),
    ("glu", lambda f: f(t(3)), RuntimeError, "Halving dimension must be even, but dimension 0 is size 3"),
    ("interpolate", lambda f: f(t(1, 2, 3)), ValueError, "either size or scale_factor should be defined"),
]


@pytest.mark.parametrize("case", ERRORS, ids=lambda c: f"{c[0]}-{c[3][:30]}")
def test_errors(case):
    name, call, kind, first_line = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(kind) as e:
            call(F[name])
    assert str(e.value).splitlines()[0] == first_line
