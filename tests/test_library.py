"""torch.library's custom operators and torch.futures."""
import threading

import pytest

import numtorch as nt
from numtorch import library


def test_custom_op():
    @library.custom_op("mine::scaled", mutates_args=())
    def scaled(x: nt.Tensor, by: float = 2.0) -> nt.Tensor:
        return nt.tensor(x.detach().numpy() * by)

    @scaled.register_fake
    def _(x, by=2.0):
        return nt.empty_like(x)

    def setup(ctx, inputs, output):
        ctx.by = inputs[1]
    x = nt.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="Trying to backward through mine.scaled.default but no"):
        scaled(x).sum().backward()
    library.register_autograd("mine::scaled", lambda ctx, g: (g * ctx.by, None), setup_context=setup)
    y = scaled(x, by=3.0)
    y.sum().backward()
    assert y.tolist() == [3.0, 3.0] and x.grad.tolist() == [3.0, 3.0]
    assert nt.ops.mine.scaled(nt.ones(1)).item() == 2.0
    assert scaled(nt.ones(2, 3, device="meta")).shape == (2, 3)
    with pytest.raises(ValueError, match="namespace::name"):
        library.custom_op("x", lambda x: x)
    with pytest.raises(RuntimeError, match="does not exist"):
        library.register_fake("mine::absent", lambda x: x)


def test_two_results():
    @library.custom_op("mine::both", mutates_args=())
    def both(x: nt.Tensor) -> tuple[nt.Tensor, nt.Tensor]:
        return x * 2, x * 3
    both.register_autograd(lambda ctx, a, b: a * 2 + b * 3)
    x = nt.ones(2, requires_grad=True)
    a, b = both(x)
    (a + 2 * b).sum().backward()
    assert x.grad.tolist() == [8.0, 8.0]


def test_futures():
    f = nt.futures.Future()
    doubled = f.then(lambda f: f.wait() * 2)
    threading.Timer(0.01, lambda: f.set_result(4)).start()
    assert doubled.wait() == 8 and f.done() and f.value() == 4
    assert nt.futures.wait_all([f, doubled]) == [4, 8]
    bad = nt.futures.Future()
    bad.set_exception(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        bad.wait()
    with pytest.raises(RuntimeError, match="only be marked completed once"):
        f.set_result(1)
    assert nt.futures.collect_all([]).wait() == [] and nt.futures.collect_all([bad]).wait() == [bad]
    assert nt.Future is nt.futures.Future
