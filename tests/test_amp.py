"""autocast and GradScaler by themselves; tests/parity/test_amp.py compares the lists with PyTorch's."""
import pickle
import threading
import warnings

import pytest

import numtorch as nt
from numtorch.nn import functional as F


def test_products_in_low_precision_losses_in_float32():
    x, w = nt.randn(4, 3), nt.randn(3, 2, requires_grad=True)
    with nt.autocast("cpu"):
        y = x @ w
        loss = F.mse_loss(y, nt.zeros(4, 2))
        assert y.dtype is nt.bfloat16 and loss.dtype is nt.float32
        assert (x + x).dtype is nt.float32 and nt.mm(x.double(), w.double()).dtype is nt.float64
        assert nt.cat([x, x.bfloat16()]).dtype is nt.float32
        assert nt.cdist(x.bfloat16(), x.bfloat16()).dtype is nt.float32
    loss.backward()
    assert w.grad.dtype is nt.float32 and (x @ w).dtype is nt.float32


def test_nesting_decorator_and_threads():
    x = nt.randn(2, 2)
    seen = []
    with nt.autocast("cpu", dtype=nt.float16):
        assert (x @ x).dtype is nt.float16 and nt.is_autocast_enabled("cpu") and not nt.is_autocast_enabled()
        with nt.autocast("cpu", enabled=False):
            assert (x @ x).dtype is nt.float32
        thread = threading.Thread(target=lambda: seen.append((x @ x).dtype))
        thread.start()
        thread.join()
        assert (x @ x).dtype is nt.float16
    assert seen == [nt.float32]

    @nt.autocast("cpu")
    def product(a):
        return a @ a
    assert product(x).dtype is nt.bfloat16 and (x @ x).dtype is nt.float32


def test_weights_are_cast_once():
    w, x = nt.randn(3, 3, requires_grad=True), nt.randn(2, 3)
    with nt.autocast("cpu"):
        x @ w
        kept = list(nt.amp.autocast_mode._settings.kept.values())
        assert len(kept) == 1 and kept[0][0] is w
        x @ w
        assert len(nt.amp.autocast_mode._settings.kept) == 1
    assert not nt.amp.autocast_mode._settings.kept


def test_what_autocast_refuses():
    with pytest.raises(ValueError, match="Expected `device_type` of type `str`, got: `<class 'bool'>`"):
        nt.autocast(True)
    with pytest.raises(RuntimeError, match="User specified an unsupported autocast device_type 'abc'"):
        nt.autocast("abc")
    with pytest.warns(UserWarning, match="In CPU autocast, but the target dtype is not supported"):
        context = nt.autocast("cpu", dtype=nt.float32)
    with context:
        assert not nt.is_autocast_enabled("cpu")
    with pytest.warns(FutureWarning, match="torch.cuda.amp.autocast"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "CUDA is not available")
        nt.cuda.amp.autocast()


def test_compiled_functions_know_autocast():
    f = nt.compile(lambda a: a @ a)
    x = nt.randn(3, 3)
    assert f(x).dtype is nt.float32
    with nt.autocast("cpu"):
        assert f(x).dtype is nt.bfloat16
    assert f(x).dtype is nt.float32


def test_custom_functions():
    class Square(nt.autograd.Function):
        @staticmethod
        @nt.amp.custom_fwd(device_type="cpu", cast_inputs=nt.float32)
        def forward(ctx, x):
            ctx.save_for_backward(x)
            assert x.dtype is nt.float32 and not nt.is_autocast_enabled("cpu")
            return x * x

        @staticmethod
        @nt.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            assert not nt.is_autocast_enabled("cpu")
            return g * 2 * ctx.saved_tensors[0]

    x = nt.tensor([3.0], dtype=nt.bfloat16, requires_grad=True)
    with nt.autocast("cpu"):
        y = Square.apply(x)
    y.backward()
    assert y.dtype is nt.float32 and x.grad.item() == 6


def test_scaler():
    w = nt.nn.Parameter(nt.ones(2))
    opt = nt.optim.SGD([w], lr=1.0)
    scaler = nt.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    for value, scale in ((1.0, 8.0), (1.0, 16.0), (float("inf"), 8.0), (1.0, 8.0)):
        opt.zero_grad()
        scaler.scale((w * value).sum()).backward()
        scaler.step(opt)
        scaler.update()
        assert scaler.get_scale() == scale
    assert w.tolist() == [-2.0, -2.0]  # three steps of 1; the one of inf was left out
    assert scaler.state_dict()["_growth_tracker"] == 1
    copy = pickle.loads(pickle.dumps(scaler))
    assert copy.state_dict() == scaler.state_dict()
    other = nt.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()


def test_scaler_stages():
    w = nt.nn.Parameter(nt.ones(2))
    opt = nt.optim.SGD([w], lr=1.0)
    scaler = nt.amp.GradScaler("cpu", init_scale=4.0)
    with pytest.raises(AssertionError, match="Attempted step but _scale is None."):
        scaler.step(opt)
    scaler.scale(w.sum()).backward()
    scaler.unscale_(opt)
    assert w.grad.tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="already been called on this optimizer"):
        scaler.unscale_(opt)
    scaler.step(opt)
    with pytest.raises(RuntimeError, match="step\\(\\) has already been called"):
        scaler.step(opt)
    off = nt.amp.GradScaler("cpu", enabled=False)
    assert off.get_scale() == 1.0 and off.state_dict() == {} and off.scale(w) is w


def test_accelerator_and_other_devices():
    if nt.cuda.is_available():
        pytest.skip("there is an accelerator")
    assert not nt.accelerator.is_available() and nt.accelerator.current_accelerator() is None
    assert nt.accelerator.device_count() == 0 and not nt.xpu.is_available() and nt.cpu.device_count() == 1
    with pytest.raises(RuntimeError, match="Cannot access accelerator device when none is available."):
        nt.accelerator.synchronize()
    assert nt.cuda.memory_stats() == {} and nt.cuda.get_rng_state_all() == []


def test_backends():
    b = nt.backends
    b.cuda.enable_flash_sdp(False)
    assert not b.cuda.flash_sdp_enabled() and b.cuda.math_sdp_enabled()
    b.cuda.enable_flash_sdp(True)
    with b.cuda.sdp_kernel(enable_math=False):
        assert not b.cuda.math_sdp_enabled()
    assert b.cuda.math_sdp_enabled()
    with b.cudnn.flags(enabled=False, benchmark=True):
        assert not b.cudnn.enabled and b.cudnn.benchmark
    assert b.cudnn.enabled and not b.cudnn.benchmark and not b.cudnn.is_acceptable(nt.ones(1))
