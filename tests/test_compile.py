"""numtorch.compile: compiled functions give eager's bits, run what has to run, and notice what changed."""
from __future__ import annotations

import random

import numpy as np
import pytest

import numtorch as T
from numtorch import nn

F = nn.functional


def same(a, b) -> None:
    """Equal bits, shapes, types."""
    if isinstance(a, T.Tensor):
        assert a.dtype is b.dtype and a.shape == b.shape and a.requires_grad == b.requires_grad
        assert a.stride() == b.stride()
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    elif isinstance(a, tuple | list):
        assert type(a) is type(b) and len(a) == len(b)
        for x, y in zip(a, b):
            same(x, y)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for k in a:
            same(a[k], b[k])
    else:
        assert a == b


def views(x, w):
    y = (x @ w + 1).relu_()
    z = F.softmax(y, -1)
    z[0] = 5
    z[:, 1:] *= 2
    return z.sum(0), {"t": z.t(), "n": 3}


def write(x):
    x.add_(1)
    x[0] = 7
    return x


def constants(x):
    return x * T.tensor([1.0, 2.0, 3.0]) + T.arange(3) + T.full((3,), 2.0)


@pytest.mark.parametrize("fn, shapes", [
    (views, [(4, 5), (5, 6)]), (write, [(3, 2)]), (constants, [(2, 3)]),
    (lambda x: x, [(2,)]), (lambda x: (x, x + 1, x[1:]), [(4,)]), (lambda x: x.t(), [(2, 3)]),
    (lambda x: (x.unsqueeze(0), None, "a", 2.5), [(3,)]),
    (lambda x, y: [x.sum(), (x * y).mean(0, True), x.std(), x.max()], [(3, 4), (3, 4)]),
    (lambda x: T.cat([x, x * 2]).view(-1)[::2], [(3, 4)]), (lambda x: x.sort(0).values.cumsum(1), [(3, 4)]),
    (lambda x: F.gelu(F.layer_norm(x, (4,))), [(3, 4)]),
])
def test_functions(fn, shapes):
    compiled = T.compile(fn)
    for i in range(3):
        T.manual_seed(i)
        args = [T.randn(*s) for s in shapes]
        twins = [a.clone() for a in args]
        same(fn(*args), compiled(*twins))
        same(args, twins)
    assert len(compiled.entries) == 1, compiled.notes


def net() -> nn.Module:
    T.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Dropout(0.3), nn.LayerNorm(8),
                         nn.Linear(8, 3))


@pytest.mark.parametrize("make", [
    lambda p: T.optim.SGD(p, lr=0.1), lambda p: T.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    lambda p: T.optim.Adam(p, lr=0.01), lambda p: T.optim.AdamW(p, lr=0.01), lambda p: T.optim.RMSprop(p)])
@pytest.mark.parametrize("what", ["step", "loss"])
def test_training(make, what):
    def train(compiled: bool):
        model = net()
        opt = make(model.parameters())
        sched = T.optim.lr_scheduler.StepLR(opt, 3, 0.5)

        def loss_of(x, y):
            return F.cross_entropy(model(x), y)
        forward = T.compile(loss_of) if compiled and what == "loss" else loss_of

        def step(x, y):
            opt.zero_grad()
            loss = forward(x, y)
            loss.backward()
            T.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            sched.step()
            return loss
        run = T.compile(step) if compiled and what == "step" else step
        losses = [run(T.randn(6, 5), T.randint(0, 3, (6,))).item() for _ in range(8)]
        if compiled:
            assert (run if what == "step" else forward).entries
        return losses, [p.detach() for p in model.parameters()], [b for b in model.buffers()], \
            opt.param_groups[0]["lr"], sched.last_epoch, [p.grad for p in model.parameters()]
    same(train(False), train(True))


def test_modules():
    model = net()
    compiled = T.compile(model)
    assert list(compiled.state_dict())[0] == "_orig_mod.0.weight" and compiled._orig_mod is model
    x = T.randn(4, 5)
    compiled.eval()
    assert not model.training
    same(model(x), compiled(x))
    model.train()
    T.manual_seed(1)
    want = model(x)
    T.manual_seed(1)
    same(want, compiled(x))
    model[3].p = 0.0
    before = {k: v.clone() for k, v in model.state_dict().items()}
    want = model(x)
    model.load_state_dict(before)
    same(want, compiled(x))


def test_what_changes_outside_is_noticed():
    scale, table = 2.0, [1.0]
    model = nn.Linear(3, 3)

    def f(x):
        return model(x) * scale + table[0]
    compiled = T.compile(f)
    x = T.randn(2, 3)
    same(f(x), compiled(x))
    scale = 3.0
    same(f(x), compiled(x))
    table[0] = 4.0
    same(f(x), compiled(x))
    table = [5.0]
    same(f(x), compiled(x))
    with T.no_grad():
        model.weight.mul_(2)
        same(f(x), compiled(x))
    model.weight = nn.Parameter(T.randn(3, 3))
    same(f(x), compiled(x))
    model.weight.data = T.randn(3, 3)
    same(f(x), compiled(x))
    model = nn.Linear(3, 3)
    same(f(x), compiled(x))


def test_a_number_that_changes_becomes_an_input():
    def f(x, k):
        return x * k + k * k
    compiled = T.compile(f)
    x = T.randn(3)
    for k in (0.5, 0.25, 1.5, 2.5, 1.0, 0.0):
        same(f(x, k), compiled(x, k))
    assert len(compiled.entries) == 2
    for k in (1, 2, 3):
        same(f(x, k), compiled(x, k))

    def branch(x, k):
        return x + 1 if k > 2 else x - 1
    compiled = T.compile(branch)
    for k in (1.0, 3.0, 0.5, 7.0, 2.0, 2.5):
        same(branch(x, k), compiled(x, k))


def test_values_that_python_reads():
    def f(x):
        y = x * 2
        if y.sum() > 0:
            return y + 1
        return y - float(y.max())
    compiled = T.compile(f)
    for s in (1.0, -1.0, 2.0):
        x = T.full((3,), s)
        same(f(x), compiled(x))
    with pytest.raises(RuntimeError, match="fullgraph"):
        T.compile(f, fullgraph=True)(T.ones(3))


def test_effects_happen_every_time(capsys):
    seen = []

    def f(x):
        print("here")
        seen.append(1)
        return x * random.random() + float(np.random.rand())
    compiled = T.compile(f)
    for i in range(4):
        random.seed(i)
        np.random.seed(i)
        want = f(T.ones(2))
        random.seed(i)
        np.random.seed(i)
        same(want, compiled(T.ones(2)))
    assert len(seen) == 8 and capsys.readouterr().out == "here\n" * 8


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls, self.h = 0, T.zeros(2)

    def forward(self, x):
        self.calls += 1
        self.h = self.h * 0.5 + x
        return self.h * self.calls


def test_state_that_the_function_replaces():
    plain, compiled = Counter(), T.compile(Counter())
    for i in range(6):
        x = T.full((2,), float(i))
        same(plain(x), compiled(x))
    assert compiled.calls == 6
    same(plain.h, compiled.h)


def test_gradients():
    def f(x, w):
        y = T.tanh(x @ w)
        return y.sum(), y * 2
    compiled = T.compile(f)
    for _ in range(3):
        x, w = T.randn(3, 4, requires_grad=True), T.randn(4, 2, requires_grad=True)
        a, b = x.detach().requires_grad_(), w.detach().requires_grad_()
        s, y = f(x * 1, w)
        (s + y.pow(2).sum()).backward()
        s, y = compiled(a * 1, b)
        (s + y.pow(2).sum()).backward()
        same([x.grad, w.grad], [a.grad, b.grad])
    s, _ = compiled(a, b)
    with pytest.raises(RuntimeError, match="double backward"):
        T.autograd.grad(s, a, create_graph=True)
    s.backward()
    with pytest.raises(RuntimeError, match="second time"):
        s.backward()
    s, _ = compiled(a, b)
    with T.no_grad():
        b.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        s.backward()
    with T.no_grad():
        assert not compiled(a, b)[0].requires_grad
    assert len(compiled.entries) <= 3


def test_errors_leave_everything_as_it_was():
    w = T.ones(2)

    def f(x):
        w.add_(1)
        if x.shape[0] > 2:
            raise ValueError("too many")
        return x + w
    compiled = T.compile(f)
    same(compiled(T.ones(2)), T.full((2,), 3.0))
    with pytest.raises(ValueError, match="too many"):
        compiled(T.ones(3))
    assert w.tolist() == [3, 3]
    same(compiled(T.ones(2)), T.full((2,), 5.0))
    g = T.compile(lambda i: F.embedding(i, T.eye(3)))
    with pytest.raises(IndexError):
        g(T.tensor([5]))
    same(g(T.tensor([1])), T.tensor([[0.0, 1.0, 0.0]]))


def test_disable_and_reset():
    calls = []

    @T.compiler.disable
    def inner(x):
        calls.append(T.compiler.is_compiling())
        return x + 1
    compiled = T.compile(lambda x: inner(x * 2) * 3)
    for _ in range(2):
        same(compiled(T.ones(2)), T.full((2,), 9.0))
    assert calls == [False, False]
    T.compiler.reset()
    same(compiled(T.ones(2)), T.full((2,), 9.0))


def test_results_are_freed_when_nobody_holds_them():
    import gc
    import weakref
    w = T.randn(3, 3, requires_grad=True)
    compiled = T.compile(lambda x: (T.tanh(x @ w), [x + 1]))
    x = T.randn(2, 3)
    for _ in range(3):
        compiled(x)[0].sum().backward()
    gc.disable()
    try:
        out, (more,) = compiled(x)
        out.sum().backward()
        refs = [weakref.ref(out.storage), weakref.ref(more.storage)]
        del out, more
        assert [r() for r in refs] == [None, None]
    finally:
        gc.enable()


def test_under_a_profiler():
    import cProfile
    compiled, x = T.compile(lambda x: x.tanh() + 1), T.randn(3)
    with cProfile.Profile():
        same(x.tanh() + 1, compiled(x))
    assert not compiled.entries
    same(x.tanh() + 1, compiled(x))
    assert len(compiled.entries) == 1


def test_numbers_that_vary_reach_the_backward_pass_and_item():
    def f(x, k):
        return x * x / (k + 1)

    def reads(x, y, k):
        v = (x * k).item()
        return y * v + (x + v).item()
    compiled, second = T.compile(f), T.compile(reads)
    for k in (1, 2, 3, 4, 5):
        x, y = T.ones(2, requires_grad=True), T.ones(2, requires_grad=True)
        f(x, k).sum().backward()
        compiled(y, k).sum().backward()
        same(x.grad, y.grad)
        same(reads(T.tensor(k + 1.0), T.ones(2), k), second(T.tensor(k + 1.0), T.ones(2), k))
    assert len(compiled.entries) == 2 and len(second.entries) == 2


def test_results_keep_the_history_they_have():
    held = [T.zeros(2)]

    def f(x):
        y = x.sigmoid()
        z = (x * 2).tanh()
        T.autograd.grad(z.sum(), x)
        held[0] = y
        return y, z, y.detach().requires_grad_(), y
    compiled = T.compile(f)
    for _ in range(3):
        x, a = T.ones(2, requires_grad=True), T.ones(2, requires_grad=True)
        want, got = f(x), compiled(a)
        same(want, got)
        assert got[3] is got[0] is held[0] and got[2].is_leaf
        with pytest.raises(RuntimeError, match="second time"):
            got[1].sum().backward()
        want[0].sum().backward()
        got[0].sum().backward()
        same(x.grad, a.grad)
    assert len(compiled.entries) == 1, compiled.notes


def test_arguments_with_a_history():
    def f(x):
        (x * 3).sum().backward(retain_graph=True)
        x.t().add_(1)
        return x[0]

    def double(x, grad_of):
        x[0] = 5
        y = x * x
        return y, T.autograd.grad(y.sum(), grad_of, retain_graph=True)[0] if grad_of is not None else None
    for fn, view in ((f, False), (lambda x: double(x, None), True), (lambda x: double(x, None), False)):
        compiled = T.compile(fn)
        for _ in range(3):
            found = []
            for g in (fn, compiled):
                w = T.ones(3, 2, requires_grad=True)
                base = w * 2
                out = g(base[1:] if view else base)
                (out[0] if isinstance(out, tuple) else out).sum().backward()
                base.sum().backward() if view else None
                found.append((w.grad, base, base._version))
            same(found[0], found[1])


def test_histories_that_arguments_and_closures_get():
    w, state = T.ones(3, requires_grad=True), T.zeros(3)

    def f(x):
        x.add_(w)
        state.mul_(x.detach()).add_(w)
        return x * 2
    compiled = T.compile(f)
    for g in (f, compiled, f, compiled):
        with T.no_grad():
            state.detach_().zero_()
        x = T.ones(3)
        y = g(x)
        assert x.requires_grad and not x.is_leaf and state.requires_grad
        w.grad = None
        (y + state).sum().backward()
        assert w.grad.tolist() == [3, 3, 3]


def test_versions_count_as_they_do_eagerly():
    w = T.ones(3)

    def f(x):
        x[3:] *= 2
        x.add_(1).mul_(2)
        w.add_(1)
    compiled = T.compile(f)
    for _ in range(3):
        x, y, v = T.ones(3), T.ones(3), w._version
        f(x)
        compiled(y)
        assert x._version == y._version > 2 and w._version == v + 2
    assert len(compiled.entries) == 1


def test_calls_with_results_that_are_not_row_major():
    compiled = T.compile(lambda a, i: (a * 1)[None][i])
    a, i = T.arange(1, 5).view(2, 2, 1).transpose(0, 1), T.tensor([0, 0])
    for _ in range(2):
        same((a * 1)[None][i], compiled(a, i))


def test_the_sign_of_a_half():
    """LLVM takes the sign from the double that was rounded to half, by a function it expects to exist."""
    def f(x):
        return T.atan2(x.sum(), x.norm()) + T.copysign(x.norm(), -x.sum())
    compiled = T.compile(f)
    for x in (T.randn(7), -T.ones(3)):
        same(f(x.half()), compiled(x.half()))


@pytest.mark.parametrize("fn", [
    lambda x, k: sum([x + 1 for _ in range(k)]), lambda x, k: x * [1, 2, 3, 4, 5][k],
    lambda x, k: x * {1: 5, 2: 6}.get(k, 7), lambda x, k: x * len("a" * k), lambda x, k: x[:k] * 2,
    lambda x, k: x[:k].sum(), lambda x, k: x[k], lambda x, k: x.narrow(0, 0, k), lambda x, k: T.eye(k),
    lambda x, k: T.tensor([k, k + 0.5]), lambda x, k: T.zeros(k, 2) + T.full((2,), k),
    lambda x, k: x.clamp(min=k) + T.tensor(k), lambda x, k: x.fill_(k), lambda x, k: x.repeat(k, 1),
    lambda x, k: x * (k // 2 + k % 3 + k ** 2 + (k << 1) + divmod(k, 2)[0] + abs(-k) + int(k / 2)),
    lambda x, k: F.cross_entropy(x, T.tensor([0, 1] * 3), label_smoothing=k / 10),
    lambda x, k: F.dropout(x, k / 8), lambda x, k: x.topk(min(k, 2)).values, lambda x, k: x * (1j * k).imag,
    lambda x, k: x.unflatten(0, (k, -1)) if 6 % k == 0 else x, lambda x, k: x.sum(k % 2)])
def test_numbers_that_vary_are_not_used_unseen(fn):
    """Python's own functions take an int's value without asking the int; so may code that makes shapes."""
    compiled = T.compile(fn)
    for k in (1, 2, 3, 4):
        T.manual_seed(0)
        want = fn(T.arange(12.0).reshape(6, 2), k)
        T.manual_seed(0)
        same(want, compiled(T.arange(12.0).reshape(6, 2), k))


def test_a_costly_value_kept_for_three_passes():
    """It is folded in the first, read by the fold of the second and stored by the third."""
    def f(x):
        e = (x * x).sigmoid().exp()
        a = e.sum(-1, True)
        return e / ((e - a) * (e + a)).sum(-1, True)
    compiled = T.compile(f)
    for _ in range(2):
        x = T.randn(7, 300)
        same(f(x), compiled(x))


def test_a_result_that_another_one_depends_on():
    """Its gradient may be asked for, kept, hooked."""
    w = T.ones(3, requires_grad=True)

    def f(x):
        a = w * x
        b = a * a
        return a, b, b + a.exp(), ((b + a) * w).sum()

    def retained(a, b, c, d):
        a.retain_grad()
        d.backward()
        return a.grad, w.grad

    def hooked(a, b, c, d):
        b.register_hook(lambda g: g * 3)
        (d * 2 + c.sum()).backward()
        return w.grad
    uses = [lambda a, b, c, d: T.autograd.grad(d, [a, b, w]),
            lambda a, b, c, d: T.autograd.grad(c.sum(), [a, w]),
            retained, hooked, lambda a, b, c, d: d.backward(inputs=[a]) or (a.grad, w.grad)]
    compiled = T.compile(f)
    for use in [*uses, *uses]:
        found = []
        for g in (f, compiled):
            w.grad = None
            found.append(use(*g(T.tensor([1.0, 2.0, 3.0]))))
        same(found[0], found[1])
    assert len(compiled.entries) == 1, compiled.notes


def test_memory_that_nobody_writes_has_its_own_size():
    for size, dtype in (((3, 4), T.float32), ((), T.float32), ((3, 4), T.int64), ((2,), T.int64)):
        got = T.compile(lambda: T.empty(size, dtype=dtype))()
        assert got.numpy().shape == size and got.dtype is dtype
