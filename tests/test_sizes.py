"""Sizes that vary: after the second one a compiled function is not traced again, and gives eager's bits."""
from __future__ import annotations

import random

import pytest

import numtorch as T
from numtorch import nn
from numtorch.compiler.family import Family, Trial
from numtorch.compiler.number import Int
from numtorch.compiler.polynomial import Atom, Polynomial, divided
from numtorch.compiler.record import Recording

F = nn.functional
SIZES = (3, 5, 4, 7, 2, 1, 6, 4)


def same(a, b) -> None:
    assert type(a) is type(b) and (not isinstance(a, T.Tensor) or (
        a.dtype is b.dtype and a.shape == b.shape and a.stride() == b.stride()
        and all(type(n) is int for n in (*b.shape, *b.stride(), b.storage_offset()))
        and a.requires_grad == b.requires_grad))
    if isinstance(a, tuple | list):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            same(x, y)
    elif isinstance(a, T.Tensor):
        assert T.equal(a.detach(), b.detach())
    else:
        assert a == b


def runs(fn, make, sizes=SIZES, **options) -> int:
    """Call fn compiled and not with arguments of these sizes; how often the compiled one was traced."""
    compiled, count = T.compile(fn, **options), 0

    def counted(method):
        def call(*args):
            nonlocal count
            count += 1
            return method(*args)
        return call
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recording, "run", counted(Recording.run))
        patch.setattr(Trial, "template", counted(Trial.template))
        for n in sizes:
            T.manual_seed(n)
            a = make(n)
            T.manual_seed(n)
            b = make(n)
            T.manual_seed(9)
            want = fn(*a)
            T.manual_seed(9)
            same(want, compiled(*b))
            same(list(a), list(b))
    return count


w = T.randn(4)
linear, attention = nn.Linear(4, 3), nn.MultiheadAttention(4, 2, batch_first=True)
convolution = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                            nn.Linear(12, 2))


@pytest.mark.parametrize("fn, make", [
    (lambda x: (x * 2 + w).tanh(), lambda n: [T.randn(n, 4)]),
    (lambda x: (F.softmax(x, -1).sum(0), F.softmax(x, 0).mean(), x.std(), x.size(0) * 2.5),
     lambda n: [T.randn(n, 4)]),
    (lambda x: F.gelu(linear(x)).mean(), lambda n: [T.randn(n, 4)]),
    (lambda x: x.reshape(-1, 2).t().contiguous() + 1, lambda n: [T.randn(n, 4)]),
    (lambda x: x.view(x.shape[0] * 4)[::2] * x.size(0), lambda n: [T.randn(n, 4)]),
    (lambda x, y: (x @ y.t()).softmax(-1), lambda n: [T.randn(n, 4), T.randn(n + 1, 4)]),
    (lambda x: x + T.arange(x.size(0))[:, None] + T.arange(2, 3 * x.size(0), 3)[:, None],
     lambda n: [T.randn(n, 4)]),
    (lambda x, y: F.cross_entropy(linear(x), y), lambda n: [T.randn(n, 4), T.randint(0, 3, (n,))]),
    (lambda x: (F.dropout(x, 0.3), T.rand(x.shape), x * T.ones(x.shape[0], 1)), lambda n: [T.randn(n, 4)]),
    (lambda x: T.cat([x, x * 2, T.zeros(x.shape[0], 1).expand(-1, 4)]).sum(1), lambda n: [T.randn(n, 4)]),
    (lambda x: x.add_(1).mul_(2), lambda n: [T.randn(n, 4)]),
    (lambda x: convolution(x), lambda n: [T.randn(n, 2, 4, 4)]),
    (lambda x: attention(x, x, x, need_weights=False)[0], lambda n: [T.randn(2, n, 4)]),
    (lambda x: (x.cumsum(0).flip(0), x.sort(0).values, (x @ x.t()).tril(), x[-1], x[1:]),
     lambda n: [T.randn(n, 4)]),
    (lambda x: x.t() * 2, lambda n: [T.randn(4, n).t().contiguous().t()]),
    (lambda x, m: x.masked_fill(m, -1).view(len(m.shape), -1), lambda n: [T.randn(n, 4), T.rand(n, 4) > 0.5]),
    (lambda x: x / x.shape[0] ** 0.5 + x.numel() // 4 + x.shape[0] % 2, lambda n: [T.randn(n, 4)]),
    (lambda x, y: (x * 2, y.sum(0)), lambda n: [T.randn(n, n + 1), T.randn(n + 1, 3).bfloat16()])])
def test_no_trace_after_the_second_size(fn, make):
    assert runs(fn, make) <= 5  # two, one with free sizes; a size of 1 is one of its own


def test_gradients():
    layer = nn.Linear(4, 3)
    compiled = T.compile(lambda x, y: F.cross_entropy(layer(x.tanh()), y))
    for n in SIZES:
        x, y = T.randn(n, 4), T.randint(0, 3, (n,))
        found = []
        for f in (lambda x, y: F.cross_entropy(layer(x.tanh()), y), compiled):
            a = x.clone().requires_grad_()
            layer.zero_grad()
            f(a * 1, y).backward()
            found.append([a.grad, layer.weight.grad.clone(), layer.bias.grad.clone()])
        same(*found)
    assert sum(isinstance(e, Family) for e in compiled.entries) == 1


TABLE = {4: 1.0, 7: 2.0}


@pytest.mark.parametrize("fn", [
    lambda x: x + 1 if x.shape[0] > 4 else x - 1, lambda x: x + TABLE.get(x.shape[0], 0),
    lambda x: sum(x[i] for i in range(x.shape[0])), lambda x: x * [1, 2, 3, 4, 5, 6, 7, 8][x.shape[0]],
    lambda x: x.chunk(2)[-1] * 2, lambda x: x[:x.shape[0] // 2] + 1, lambda x: x * len("a" * len(x)),
    lambda x: x.split(3)[0], lambda x: x[3:], lambda x: x + (x.numel() == 20),
    lambda x: x + T.ones(5, 1) if x.shape == (5, 4) else x,
    lambda x: x.view(2, -1) if len(x) % 2 == 0 else x, lambda x: x * float(f"{x.shape[0]}"),
    lambda x: x * (hash(x.shape) % 7), lambda x: x * (min(x.shape) + max(x.shape) + sum(x.shape)),
    lambda x: x.unsqueeze(0).expand(2, *x.shape) + T.arange(x.shape[0], 0, -1)[:, None],
    lambda x: x * T.tensor(x.shape).sum(), lambda x: x * (x.shape[0] & 2) + (x.shape[0] << 1)])
def test_what_python_decides_by_a_size_is_a_guard(fn):
    runs(fn, lambda n: [T.randn(n, 4)], (3, 5, 4, 7, 2, 1, 6, 4, 5, 7))


def test_sizes_free_from_the_first_call_on():
    double = lambda x: x * 2
    assert runs(double, lambda n: [T.randn(n, 4)], (3, 5, 4, 7), dynamic=True) == 2
    assert runs(double, lambda n: [T.randn(n, n + 2)], (3, 5, 4, 7), dynamic=True) == 2
    assert runs(double, lambda n: [T.randn(n, 4)], (3, 5, 4, 7), dynamic=False) == 4

    def marked(n):
        x = T.randn(n, 4)
        T._dynamo.mark_dynamic(x, 0)
        return [x]
    assert runs(double, marked, (3, 5, 4, 7)) == 2


def test_a_second_size_that_varies():
    assert runs(lambda x: x.softmax(-1) + x.mean(), lambda n: [T.randn(3 + n % 4, 3 if n < 4 else n)],
                (1, 2, 3, 5, 6, 7, 8, 9)) <= 5


class Stateful(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.drop, self.calls, self.seen = nn.BatchNorm1d(4), nn.Dropout(0.5), 0, [T.zeros(4)]

    def forward(self, x):
        self.calls += 1
        self.seen[0] = self.seen[0] * 0.5 + x.detach().sum(0)
        return self.drop(self.norm(x)) * self.calls


def test_a_trace_with_free_sizes_leaves_everything_as_it_was():
    plain, traced = Stateful(), Stateful()
    compiled = T.compile(traced)
    for n in (3, 3, 3, 5, 4, 7, 4, 6):
        x = T.randn(n, 4)
        T.manual_seed(n)
        want = plain(x)
        T.manual_seed(n)
        same(want, compiled(x))
        same([plain.calls, plain.seen, *plain.buffers()], [traced.calls, traced.seen, *traced.buffers()])
    assert any(isinstance(e, Family) for e in compiled.__dict__["_compiled"].entries)


@pytest.mark.parametrize("make", [lambda p: T.optim.SGD(p, lr=0.1, momentum=0.9),
                                  lambda p: T.optim.AdamW(p, lr=0.01)])
def test_training_steps(make):
    def train(compiled):
        T.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.GELU(), nn.Linear(5, 3))
        opt = make(model.parameters())

        def step(x, y):
            opt.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            opt.step()
            return loss
        run = T.compile(step) if compiled else step
        losses = [run(T.randn(n, 4), T.randint(0, 3, (n,))).detach() for n in (6, 6, 6, 5, 7, 4, 3, 8, 6)]
        if compiled:
            assert isinstance(run.entries[-1], Family)
        return losses, [p.detach() for p in model.parameters()], list(model.buffers())
    same(train(False), train(True))


def test_tensors_that_shared_memory_and_no_longer_do():
    """What a function finds under several names is one input only as long as it is one tensor."""
    class Two:
        a = T.zeros(2)
        b = a
    held = Two()

    def f(x):
        held.a, held.b = (held.a + x,) * 2 if held.a is held.b else (held.a + x, held.b + x)
        return held.a + held.b
    compiled = T.compile(f)
    for _ in range(3):
        compiled(T.ones(2))
    assert held.a is held.b and held.a.tolist() == [3, 3]
    held.b = T.full((2,), 10.0)
    for _ in range(2):
        compiled(T.ones(2))
    assert held.a.tolist() == [5, 5] and held.b.tolist() == [12, 12]


def test_many_sizes():
    compiled = T.compile(lambda x: x.softmax(-1).sum(0))
    for n in (*range(2, 90), 3, 89):
        x = T.randn(n, 3)
        same(x.softmax(-1).sum(0), compiled(x))
    assert len(compiled.entries) == 1 and len(compiled.entries[0].made) <= 64


# ------------------------------------------------------------------------------------------------ polynomials
def test_polynomials():
    r = random.Random(0)
    s, t = Atom(low=2), Atom(low=2)
    a, b = Int(5, Polynomial.of(s)), Int(7, Polynomial.of(t))
    for _ in range(200):
        x, y = (a * r.randint(0, 3) + b * r.randint(-2, 3) * a + r.randint(-4, 4) + b // 2 for _ in range(2))
        for v in (x + y, x * y, x - y, -x, (x * y) // 3, (x * 4 + y * 8) // 4, x % 5, abs(x)):
            if isinstance(v, Int) and type(v) is Int:
                assert v.form.at({s: 5, t: 7}) == v.value
        for p, q in ((5, 7), (2, 2), (9, 3)):
            form = (x * y - x).form if type(x * y - x) is Int else Polynomial.of(0)
            value = form.at({s: p, t: q})
            assert form.least is None or form.least <= value
            assert form.zero is None or form.zero == (value == 0)
            assert form.negative is None or form.negative == (value < 0)
    p, q = Polynomial.of(s), Polynomial.of(t)
    assert (p * q * Polynomial.of(12)).over(q) == p.scaled(12) and p.over(q) is None
    assert divided((p + Polynomial.of(3)) * (q + p), q + p) == p + Polynomial.of(3)
    assert divided(p.scaled(8) + Polynomial.of(7), Polynomial.of(8)) == p
