"""Which results autocast gives what dtype, against PyTorch's."""
import warnings

import pytest

torch = pytest.importorskip("torch")
nt = pytest.importorskip("numtorch")

SHAPES = {"square": (3, 3), "cube": (2, 3, 4), "image": (1, 2, 6, 6), "volume": (1, 2, 6, 6, 6)}
CALLS = {
    "mm": lambda t, F, x: t.mm(x, x), "matmul": lambda t, F, x: x @ x, "bmm": lambda t, F, x: t.bmm(x[None],
                                                                                                    x[None]),
    "mv": lambda t, F, x: t.mv(x, x[0]), "dot": lambda t, F, x: t.dot(x[0], x[0]),
    "addmm": lambda t, F, x: t.addmm(x, x, x), "addbmm": lambda t, F, x: t.addbmm(x, x[None], x[None]),
    "baddbmm": lambda t, F, x: t.baddbmm(x[None], x[None], x[None]), "addmv": lambda t, F, x: t.addmv(x[0],
                                                                                                      x,
                                                                                                      x[0]),
    "linear": lambda t, F, x: F.linear(x, x, x[0]), "einsum": lambda t, F, x: t.einsum("ij,jk->ik", x, x),
    "prelu": lambda t, F, x: F.prelu(x, x[0, :1]), "vecdot": lambda t, F, x: t.linalg.vecdot(x, x),
    "attention": lambda t, F, x: F.scaled_dot_product_attention(x[None], x[None], x[None]),
    "conv1d": lambda t, F, x: F.conv1d(x[None], x[:, :, None]),
    "conv_transpose1d": lambda t, F, x: F.conv_transpose1d(x[None], x[:, :, None]),
    "outer": lambda t, F, x: t.outer(x[0], x[0]), "multi_dot": lambda t, F, x: t.linalg.multi_dot([x, x, x]),
    "mse_loss": lambda t, F, x: F.mse_loss(x, x), "l1_loss": lambda t, F, x: F.l1_loss(x, x),
    "cross_entropy": lambda t, F, x: F.cross_entropy(x, x), "kl_div": lambda t, F, x: F.kl_div(x, x,
                                                                                               reduction="sum"),
    "huber": lambda t, F, x: F.huber_loss(x, x), "smooth_l1": lambda t, F, x: F.smooth_l1_loss(x, x),
    "bce": lambda t, F, x: F.binary_cross_entropy(t.sigmoid(x), t.sigmoid(x)),
    "bce_logits": lambda t, F, x: F.binary_cross_entropy_with_logits(x, x),
    "nll": lambda t, F, x: F.nll_loss(x, t.tensor([0, 1, 2])), "prod": lambda t, F, x: x.prod(),
    "trace": lambda t, F, x: x.trace(), "cdist": lambda t, F, x: t.cdist(x, x), "sum": lambda t, F,
    x: x.sum(),
    "quantile": lambda t, F, x: t.quantile(x.float(), 0.5), "softmax": lambda t, F, x: F.softmax(x, -1),
    "layer_norm": lambda t, F, x: F.layer_norm(x, (3,)), "exp": lambda t, F, x: x.exp(), "pow": lambda t, F,
    x: x ** 2,
    "cat": lambda t, F, x: t.cat([x, x.float()]), "stack": lambda t, F, x: t.stack([x, x.float()]),
    "add": lambda t, F, x: x + x, "gelu": lambda t, F, x: F.gelu(x), "norm": lambda t, F, x: x.norm(),
    "inverse": lambda t, F, x: t.inverse(x), "svd": lambda t, F, x: t.linalg.svd(x)[1],
    "cholesky": lambda t, F, x: t.linalg.cholesky(x @ x.T + 9 * t.eye(3)),
    "avg_pool3d": lambda t, F, x: F.avg_pool3d(x[None, None], 1), "avg_pool2d": lambda t, F,
    x: F.avg_pool2d(x[None], 1),
    "pad": lambda t, F, x: F.pad(x[None], (1, 1), mode="reflect"), "fold": lambda t, F, x: t.tensordot(x, x,
                                                                                                       1)}


@pytest.mark.parametrize("name", CALLS)
def test_dtypes_of_results(name):
    for dtype in ("float32", "bfloat16"):
        got = []
        for t in (torch, nt):
            t.manual_seed(0)
            x = (t.randn(3, 3) + 4 * t.eye(3)).to(getattr(t, dtype))
            try:
                with t.autocast("cpu"), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    got.append(str(CALLS[name](t, t.nn.functional, x).dtype))
            except (RuntimeError, NotImplementedError):
                got.append("an error")
        assert got[0] == got[1], dtype


def test_training_under_autocast():
    ends = []
    for t in (torch, nt):
        t.manual_seed(0)
        model = t.nn.Sequential(t.nn.Conv2d(3, 4, 3), t.nn.BatchNorm2d(4), t.nn.ReLU(), t.nn.Flatten(),
                                t.nn.Linear(144, 10))
        x, target = t.randn(4, 3, 8, 8), t.tensor([1, 2, 3, 4])
        opt = t.optim.SGD(model.parameters(), lr=0.1)
        scaler = t.amp.GradScaler("cpu", init_scale=64.0)
        for _ in range(5):
            opt.zero_grad()
            with t.autocast("cpu"):
                loss = t.nn.functional.cross_entropy(model(x), target)
            scaler.scale(loss).backward()
            scaler.step(opt)
            scaler.update()
        ends.append(loss.item())
    assert ends[1] == pytest.approx(ends[0], abs=2e-2)
