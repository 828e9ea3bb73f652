"""Expressions whose values or errors (type and first line) are PyTorch's: wrong arguments, out= that overlaps
its inputs, writes through views and to inference tensors, requires_grad. T is the library."""
import pytest

import numtorch

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")

EXPRESSIONS = """
T.add(T.ones(2, requires_grad=True), 1, out=T.ones(2))
T.exp(T.ones(2, requires_grad=True), out=T.ones(2))
T.mm(T.ones(2, 2, requires_grad=True), T.ones(2, 2), out=T.ones(2, 2))
T.sum(T.ones(2, requires_grad=True), 0, out=T.ones(()))
T.add(T.ones(2), 1, alpha='a')
T.add(T.ones(2), 1, alpha=1j)
T.exp()
T.mul()
T.mul(T.ones(2))
T.sum(3)
T.t(3)
T.sum(T.ones(2), foo=3)
T.ones(0, 3).amax(0)
T.ones(0, 3).amin(dim=(0, 1))
T.ones(0).amax()
T.ones(2, 2).prod((0, 1))
T.ones(2).masked_fill_(T.ones(3, dtype=T.bool), 1)
T.ones(2).mul_(T.ones(3))
T.ones(3, dtype=T.int64) - True
1 - T.tensor([True])
T.take(x, index, out=x[:2])
T.gather(x, 0, index, out=x[:2])
T.index_select(x, 0, index[:1], out=x[:1])
T.kthvalue(x, 1, out=(x[0], T.tensor(0)))
T.masked_select(x, x > 0, out=x)
T.add(x[:3], 1, out=x[1:])
T.add(x, 1, out=x)
T.exp(x[:3], out=x[1:])
T.mul(m, m.t(), out=m)
T.where(m > 0, m, m, out=m.t())
T.aminmax(x, out=(T.ones(()).double(), T.ones(()).double()))
T.max(m, 0, out=(T.ones(2).double(), T.ones(2).long()))
T.max(m, 0, out=(T.ones(2), T.ones(2)))
unrecorded_view().mul_(2)
unrecorded_view().zero_()
gradient_through(lambda y: y.pow_(2))
gradient_through(lambda y: y.cumprod_(0))
gradient_through(lambda y: y.cumsum_(0))
gradient_through(lambda y: y.nan_to_num_())
require(T.ones(2, dtype=T.int64), True)
require(T.ones(2), True)
require(T.ones(2), 1)
require(T.ones(2, requires_grad=True) * 2, False)
require(T.ones(2, requires_grad=True) * 2, True)
T.ones(2, requires_grad=True) * inferred()
T.ones(2, requires_grad=True) * inferred()[0]
T.atan2(T.ones(2, requires_grad=True), inferred())
inferred().add_(1)
inferred().zero_()
inferred().requires_grad_()
require(inferred(), True)
inferred()._version
inferred().is_inference(), T.ones(2).is_inference(), inferred().view(2).is_inference()
(inferred() + 1).is_inference(), inferred().clone().is_inference(), inferred().detach().is_inference()
inferring(lambda: x.view(2, 2).is_inference())
inferring(lambda: T.ones(2).add_(1).is_inference())
inferring(lambda: (x.exp().is_inference(), (x + x).is_inference(), m.sum(0).is_inference()))
inferring(lambda: (x * 2 if T.is_inference_mode_enabled() else None).requires_grad)
inferring(lambda: T.inference_mode(False)(lambda: T.ones(2).is_inference())())
""".strip().splitlines()


def shown(value) -> str:
    if isinstance(value, tuple | list):
        return "(" + ", ".join(shown(v) for v in value) + ")"
    text = f"{value.dtype} {value.tolist()}" if hasattr(value, "tolist") else str(value)
    return text.replace("numtorch", "torch")


def evaluated(expression: str, T) -> str:
    x, m, index = T.arange(4.0), T.ones(2, 2), T.tensor([0, 1])

    def unrecorded_view():
        y = T.ones(2, 3, requires_grad=True) * 2
        with T.no_grad():
            return y.view(6)

    def gradient_through(write):
        x = T.tensor([0.3, 0.6], requires_grad=True)
        y = x * 1
        write(y)
        y.sum().backward()
        return x.grad

    def require(x, wanted):
        x.requires_grad = wanted
        return x.requires_grad

    def inferring(f):
        with T.inference_mode():
            return f()

    def inferred():
        return inferring(lambda: T.ones(2))

    try:
        return shown(eval(expression, {**locals()}))
    except Exception as e:  # noqa: BLE001
        return f"{type(e).__name__}: {(str(e).splitlines() or [''])[0]}"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_like_torch(expression):
    want, got = (evaluated(expression, T) for T in (torch, numtorch))
    assert want == got


def test_nested_inference_modes_end():
    mode = numtorch.inference_mode()
    with mode, mode:
        pass
    assert numtorch.is_grad_enabled() and not numtorch.is_inference_mode_enabled()
    assert not numtorch.ones(2).is_inference()
