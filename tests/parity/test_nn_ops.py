"""The neural-network functions against PyTorch: values, first and second gradients."""
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import numtorch

R, RR = numtorch.ops.names["nn.functional"], torch.nn.functional


def arrays(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(s) for s in shapes]


class Ints:
    """A target of class indices of the given shape."""

    def __init__(self, shape, high, low=0):
        self.shape, self.high, self.low = shape, high, low

    def make(self, rng):
        return rng.integers(self.low, self.high, self.shape)


class Signs(Ints):
    """A target of +1 and -1."""

    def __init__(self, shape):
        self.shape = shape

    def make(self, rng):
        return rng.choice([-1.0, 1.0], self.shape)


class Unit(Signs):
    """Probabilities, away from 0 and 1."""

    def make(self, rng):
        return rng.uniform(0.05, 0.95, self.shape)


class Positive(Signs):
    def make(self, rng):
        return rng.uniform(0.5, 2.0, self.shape)


X, IMG = (4, 5), (2, 4, 7, 6)
CASES = [
    ("relu", X), ("relu6", X), ("leaky_relu", X, 0.2), ("elu", X, 0.7), ("selu", X), ("celu", X, 1.3),
    ("gelu", X),
    ("gelu", X, dict(approximate="tanh")), ("silu", X), ("mish", X), ("softplus", X), ("softplus", X, 2.0,
                                                                                       1.0),
    ("softsign", X), ("hardtanh", X, -0.5, 0.4), ("hardsigmoid", X), ("hardswish", X), ("threshold", X, 0.1,
                                                                                        9.0),
    ("prelu", X, (5,)), ("prelu", X, (1,)), ("glu", (4, 6)), ("glu", (4, 6), 0), ("logsigmoid", X),
    ("tanhshrink", X), ("softshrink", X), ("hardshrink", X), ("softmax", X, 1), ("softmax", (2, 3, 4), 1),
    ("log_softmax", X, -1), ("log_softmax", X, 0), ("softmin", X, 0), ("rrelu", X), ("sigmoid", X), ("tanh",
                                                                                                     X),
    ("conv1d", (2, 4, 9), (6, 4, 3), (6,), 2, 1), ("conv2d", IMG, (6, 4, 3, 3), (6,), 1, 1),
    ("conv2d", IMG, (6, 2, 3, 2), (6,), [2, 1], [1, 0], [1, 2], 2), ("conv2d", IMG, (8, 1, 3, 3), None, 1, 1,
                                                                     1, 4),
    ("conv2d", IMG, (3, 4, 1, 1), (3,)), ("conv2d", IMG, (3, 4, 2, 4), (3,), dict(padding="same")),
    ("conv2d", (4, 7, 6), (3, 4, 3, 3)), ("conv3d", (2, 3, 4, 5, 4), (2, 3, 2, 3, 2), (2,), 1, 1),
    ("conv_transpose1d", (2, 4, 5), (4, 3, 3), (3,), 2, 1, 1), ("conv_transpose2d", IMG, (4, 3, 3, 3), (6,),
                                                                2, 1, 1, 2),
    ("conv_transpose3d", (1, 2, 3, 3, 2), (2, 2, 2, 2, 2)), ("conv_tbc", (5, 2, 4), (3, 4, 3), (3,), 1),
    ("unfold", IMG, 3, 1, 1, 2), ("fold", (2, 36, 20), (6, 7), 3),
    ("max_pool1d", (2, 3, 9), 3, 2, 1), ("max_pool2d", IMG, 2), ("max_pool2d", IMG, 3, 2, 1, 2, True),
    ("max_pool3d", (2, 2, 5, 5, 6), 2), ("avg_pool1d", (2, 3, 9), 3, 2, 1), ("avg_pool2d", IMG, 2),
    ("avg_pool2d", IMG, 3, 2, 1, True, False), ("avg_pool2d", IMG, 3, dict(divisor_override=5)),
    ("avg_pool3d", (2, 2, 5, 5, 6), 2), ("adaptive_avg_pool1d", (2, 3, 9), 4), ("adaptive_avg_pool2d", IMG,
                                                                                (3, 4)),
    ("adaptive_avg_pool2d", IMG, (None, 2)), ("adaptive_avg_pool3d", (2, 2, 5, 5, 6), 2),
    ("adaptive_max_pool1d", (2, 3, 9), 4), ("adaptive_max_pool2d", IMG, (3, 4)),
    ("adaptive_max_pool3d", (2, 2, 5, 5, 6), 3), ("lp_pool2d", Positive(IMG), 2.0, 2),
    ("layer_norm", (3, 4, 5), [5], (5,), (5,)), ("layer_norm", (3, 4, 5), [4, 5]), ("layer_norm", X, [5],
                                                                                    (5,)),
    ("group_norm", IMG, 2, (4,), (4,)), ("instance_norm", IMG), ("rms_norm", X, [5], (5,)),
    ("batch_norm", IMG, None, None, (4,), (4,), True), ("batch_norm", X, None, None, None, None, True),
    ("local_response_norm", IMG, 3), ("normalize", X), ("normalize", X, 1.0, 0),
    ("linear", X, (3, 5), (3,)), ("linear", (2, 3, 5), (4, 5), (4,)), ("linear", (5,), (4, 5), (4,)),
    ("linear", X, (3, 5)), ("bilinear", (4, 3), (4, 5), (2, 3, 5), (2,)),
    ("cosine_similarity", X, X), ("pairwise_distance", X, X), ("pdist", X),
    ("pad", X, (1, 2, -1, 1), dict(value=2.0)), ("pad", IMG, (2, 1, 1, 3), dict(mode="reflect")),
    ("pad", IMG, (2, 1, 1, 3), dict(mode="replicate")), ("pad", IMG, (2, 1, 1, 3), dict(mode="circular")),
    ("pixel_shuffle", (2, 8, 3, 4), 2), ("pixel_unshuffle", (2, 3, 4, 6), 2), ("channel_shuffle", IMG, 2),
    ("interpolate", IMG, dict(scale_factor=1.7)), ("interpolate", IMG, dict(size=(5, 9),
                                                                            mode="nearest-exact")),
    ("interpolate", (2, 3, 7), dict(size=12, mode="linear")), ("interpolate", IMG, dict(size=4, mode="area")),
    ("interpolate", IMG, dict(size=(11, 4), mode="bilinear")),
    ("interpolate", IMG, dict(scale_factor=1.6, mode="bilinear", align_corners=True)),
    ("interpolate", IMG, dict(scale_factor=(1.6, 0.8), mode="bicubic")),
    ("interpolate", IMG, dict(size=(4, 3), mode="bilinear", antialias=True)),
    ("interpolate", IMG, dict(size=(4, 9), mode="bicubic", antialias=True)),
    ("interpolate", (1, 2, 3, 4, 5), dict(size=(4, 3, 7), mode="trilinear")),
    ("nll_loss", X, Ints((4,), 5)), ("nll_loss", X, Ints((4,), 5), Positive((5,)), dict(ignore_index=1)),
    ("nll_loss", (2, 3, 4, 5), Ints((2, 4, 5), 3), Positive((3,)), dict(reduction="none")),
    ("nll_loss", (2, 3, 4), Ints((2, 4), 3), dict(reduction="sum")), ("nll_loss", (5,), Ints((), 5)),
    ("cross_entropy", X, Ints((4,), 5)), ("cross_entropy", X, Ints((4,), 5), dict(label_smoothing=0.2)),
    ("cross_entropy", X, Ints((4,), 5), Positive((5,)), dict(label_smoothing=0.2, ignore_index=2)),
    ("cross_entropy", (2, 3, 4, 5), Ints((2, 4, 5), 3), dict(label_smoothing=0.1, reduction="none")),
    ("cross_entropy", X, Unit(X)), ("cross_entropy", X, Unit(X), Positive((5,)), dict(label_smoothing=0.1)),
    ("cross_entropy", (5,), Ints((), 5)),
    ("mse_loss", X, X), ("mse_loss", X, X, dict(reduction="sum")), ("l1_loss", X, X), ("smooth_l1_loss", X,
                                                                                       X),
    ("smooth_l1_loss", X, X, dict(beta=0.3, reduction="none")), ("huber_loss", X, X, dict(delta=0.6)),
    ("binary_cross_entropy", Unit(X), Unit(X)), ("binary_cross_entropy", Unit(X), Unit(X), Positive((5,))),
    ("binary_cross_entropy_with_logits", X, Unit(X)),
    ("binary_cross_entropy_with_logits", X, Unit(X), dict(pos_weight=2.5)),
    ("kl_div", X, Unit(X), dict(reduction="batchmean")), ("kl_div", X, X, dict(reduction="sum",
                                                                               log_target=True)),
    ("hinge_embedding_loss", X, Signs(X)), ("margin_ranking_loss", (4,), (4,), Signs((4,)), 0.3),
    ("cosine_embedding_loss", X, X, Signs((4,)), 0.1), ("soft_margin_loss", X, Signs(X)),
    ("triplet_margin_loss", X, X, X, dict(swap=True)), ("triplet_margin_with_distance_loss", X, X, X),
    ("multi_margin_loss", X, Ints((4,), 5)), ("multi_margin_loss", X, Ints((4,), 5), 2, 0.7, Positive((5,))),
    ("multilabel_margin_loss", X, Ints(X, 5, -1)), ("multilabel_soft_margin_loss", X, Unit(X)),
    ("poisson_nll_loss", X, Positive(X), dict(full=True)), ("poisson_nll_loss", Positive(X), X, False),
    ("gaussian_nll_loss", X, X, Positive(X), dict(full=True)),
    ("scaled_dot_product_attention", (2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 2)),
    ("scaled_dot_product_attention", (2, 3, 5, 4), (2, 3, 5, 4), (2, 3, 5, 4), dict(is_causal=True,
                                                                                    scale=0.3)),
    ("scaled_dot_product_attention", (2, 4, 5, 4), (2, 2, 6, 4), (2, 2, 6, 4), dict(enable_gqa=True)),
    ("scaled_dot_product_attention", (2, 5, 4), (2, 6, 4), (2, 6, 4), (5, 6)),
]
ONCE = {"binary_cross_entropy", "adaptive_max_pool3d"}


def identify(case):
    return "-".join([case[0], *[str(a).replace(" ", "") for a in case[1:] if not isinstance(a, Ints)]])[:70]


def operands(case, rng):
    """(arguments, keyword arguments); arrays to differentiate are of class Leaf."""
    args, kwargs = [], {}
    shaped = True
    for a in case[1:]:
        if isinstance(a, dict):
            kwargs = dict(a)
        elif isinstance(a, Ints):
            v = a.make(rng)
            args.append(v if args else v.view(Leaf))
        elif isinstance(a, tuple) and a != () and shaped and not (case[0] in PLAIN and len(args)):
            args.append(rng.standard_normal(a).view(Leaf))
        else:
            args.append(list(a) if isinstance(a, tuple) else a)
            shaped = case[0] in ("layer_norm", "group_norm", "rms_norm", "batch_norm")
    if "pos_weight" in kwargs:
        kwargs["pos_weight"] = np.full((5,), kwargs["pos_weight"])
    return args, kwargs


class Leaf(np.ndarray):
    """An array to differentiate."""


PLAIN = {"pad", "fold", "adaptive_avg_pool2d", "adaptive_max_pool2d"}


def run(T, F, name, args, kwargs, order):
    """[out, gradients, second gradients] as arrays."""
    def tensor(a):
        if not isinstance(a, np.ndarray):
            return a
        t = T.tensor(np.asarray(a))
        return t.requires_grad_() if isinstance(a, Leaf) else t
    args = [tensor(a) for a in args]
    kwargs = {k: tensor(v).detach() if isinstance(v, np.ndarray) else v for k, v in kwargs.items()}
    leaves = [a for a in args if isinstance(a, T.Tensor) and a.requires_grad]
    out = F[name](*args, **kwargs) if isinstance(F, dict) else getattr(F, name)(*args, **kwargs)
    results = [out.detach().numpy()]
    cot = np.random.default_rng(5).standard_normal(results[0].shape)
    grads = T.autograd.grad((out * T.tensor(cot)).sum(), leaves, create_graph=order > 1, allow_unused=True)
    results += [None if g is None else g.detach().numpy() for g in grads]
    if order > 1:
        rng = np.random.default_rng(6)
        total = sum((g * T.tensor(rng.standard_normal(tuple(g.shape)))).sum() for g in grads if g is not None)
        if isinstance(total, T.Tensor) and total.requires_grad:
            results += [None if g is None else g.detach().numpy()
                        for g in T.autograd.grad(total, leaves, allow_unused=True)]
    return results


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_as_pytorch(case):
    rng = np.random.default_rng(len(case[0]))
    args, kwargs = operands(case, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            want = run(torch, RR, case[0], args, kwargs, 2)
            order = 2
        except (RuntimeError, NotImplementedError):
            want, order = run(torch, RR, case[0], args, kwargs, 1), 1
        got = run(numtorch, R, case[0], args, kwargs, order)
    assert got[0].dtype == want[0].dtype and got[0].shape == want[0].shape
    for i in range(max(len(want), len(got))):
        w = want[i] if i < len(want) else None
        g = got[i] if i < len(got) else None
        w = 0.0 if w is None else w
        g = 0.0 if g is None else g
        # torch.log1p and friends differ in the last digits only
        np.testing.assert_allclose(g, w, rtol=1e-7, atol=1e-9, err_msg=f"{case[0]} result {i}")
