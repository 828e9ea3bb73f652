"""The tape: gradients, histories of writes, hooks, modes, custom functions, what is freed and what is shared.

Expected numbers and words are PyTorch 2.13's."""
import gc
import threading
import weakref

import numpy as np
import pytest

import numtorch as T
from numtorch import autograd
from numtorch.autograd import Function, functional, grad, graph

CHANGED = "one of the variables needed for gradient computation has been modified by an inplace operation"


def leaf(*values, dtype=T.float32):
    return T.tensor(values, dtype=dtype, requires_grad=True)


# ------------------------------------------------------------------------------------------ backward
def test_gradients_accumulate():
    x = leaf(1.0, 2.0, 3.0)
    (x * x).sum().backward()
    first = x.grad
    assert first.tolist() == [2, 4, 6]
    (x ** 3).sum().backward()
    assert x.grad is first and x.grad.tolist() == [5, 16, 33]
    x.grad = None
    (x * 2).backward(T.tensor([1.0, 0, 2]))
    assert x.grad.tolist() == [2, 0, 4]


def test_broadcasting_is_undone():
    x, w, b = T.ones(2, 3, requires_grad=True), leaf(1.0, 2.0, 3.0), T.tensor(2.0, requires_grad=True)
    (x * w + b).sum().backward()
    assert x.grad.tolist() == [[1, 2, 3]] * 2 and w.grad.tolist() == [2, 2, 2] and b.grad.item() == 6


def test_gradients_come_in_the_leafs_type_and_order_of_memory():
    x = leaf(1.0, 2.0)
    (x.double() * 2).half().float().sum().backward()
    assert x.grad.dtype is T.float32 and x.grad.tolist() == [2, 2]
    for m in (T.ones(2, 3), T.ones(3, 2).t(), T.ones(2, 3, 4, 5).to(memory_format=T.channels_last)):
        m = m.detach().requires_grad_()
        (m * 2).sum().backward()
        assert m.grad.stride() == m.stride()
        m.grad = None
        m.sum().backward()
        assert m.grad.stride() == m.stride(), "an expanded cotangent is copied"
    v = T.ones(4, 4)[:, ::2].detach().requires_grad_()
    (v * 2).sum().backward()
    assert v.grad.is_contiguous()


def test_several_roots_and_chosen_inputs():
    x = T.ones(2, requires_grad=True)
    autograd.backward([x.sum(), (x * 2).sum()])
    assert x.grad.tolist() == [3, 3]
    autograd.backward([x * 1, (x * 2).sum()], [T.ones(2), None])
    assert x.grad.tolist() == [6, 6]
    y = T.ones(2, requires_grad=True)
    z = x * y
    (z * z).sum().backward(inputs=[y, z])
    assert x.grad.tolist() == [6, 6] and y.grad.tolist() == [2, 2] and z.grad.tolist() == [2, 2]


def test_graphs_are_freed_and_can_be_kept():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4, 8]
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()
    z = (x + 1).sum()  # saves nothing
    z.backward()
    z.backward()
    assert x.grad.tolist() == [6, 10]


def test_a_long_chain_does_not_recurse():
    x = T.tensor(2.0, requires_grad=True)
    y = x
    for _ in range(5000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1
    del y


# ------------------------------------------------------------------------------------------ higher orders
def test_third_order():
    x = leaf(1.0, 2.0)
    g1, = grad((x ** 4).sum(), x, create_graph=True)
    g2, = grad(g1.sum(), x, create_graph=True)
    g3, = grad(g2.sum(), x)
    assert (g1.tolist(), g2.tolist(), g3.tolist()) == ([4, 32], [12, 48], [24, 48])
    x = leaf(0.3, 0.7, dtype=T.float64)
    g = (x.sin() * x.exp()).sum()
    for _ in range(4):  # the fourth derivative of sin(x) eˣ is −4 sin(x) eˣ
        g, = grad(g.sum(), x, create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), (-4 * x.sin() * x.exp()).detach().numpy(), rtol=1e-12)


def test_backward_with_create_graph():
    x = T.ones(2, requires_grad=True)
    (x ** 3).sum().backward(create_graph=True)
    assert x.grad.requires_grad and x.grad.tolist() == [3, 3]
    h, = grad(x.grad.sum(), x)
    assert h.tolist() == [6, 6]


def test_grad_leaves_grad_alone():
    x, z = leaf(1.0, 2.0), T.ones(2, requires_grad=True)
    y = x * 2
    w = (y * y).sum()
    gy, gx = grad(w, [y, x], retain_graph=True)
    assert gy.tolist() == [4, 8] and gx.tolist() == [8, 16] and x.grad is None
    assert grad(w, [x, z], allow_unused=True, retain_graph=True)[1] is None
    assert grad(w, [x, z], materialize_grads=True, retain_graph=True)[1].tolist() == [0, 0]
    with pytest.raises(RuntimeError,
                       match="The differentiated Tensor at index 1 appears to not have been used"):
        grad(w, [x, z], retain_graph=True)
    with pytest.raises(ValueError, match="Expected allow_unused to be True or not passed"):
        grad(w, x, materialize_grads=True, allow_unused=False)
    assert grad(x.sum(), x)[0].tolist() == [1, 1]


def test_batched_cotangents():
    x = leaf(1.0, 2.0)
    assert grad(x * x, x, T.eye(2), is_grads_batched=True)[0].tolist() == [[2, 0], [0, 4]]


# ------------------------------------------------------------------------------------------ modes
def test_modes():
    x = leaf(1.0, 2.0)
    with T.no_grad():
        assert not (x * 2).requires_grad
        with T.enable_grad():
            assert (x * 2).requires_grad
    with T.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    T.set_grad_enabled(False)
    assert not T.is_grad_enabled()
    T.set_grad_enabled(True)
    with T.inference_mode():
        assert T.is_inference_mode_enabled() and not (x * 2).requires_grad
    with pytest.raises(ZeroDivisionError), T.no_grad():
        1 / 0  # noqa: B018
    assert T.is_grad_enabled() and not T.is_inference_mode_enabled()


def test_modes_decorate_functions_and_generators():
    x = leaf(1.0, 2.0)

    @T.no_grad()
    def called():
        return x * 2

    @T.no_grad
    def bare():
        return x * 2

    @T.set_grad_enabled(False)
    def flagged():
        return x * 2

    @T.inference_mode()
    def inferred():
        return x * 2

    @T.no_grad()
    def steps():
        sent = yield x * 2
        yield sent, T.is_grad_enabled()
    assert T.is_grad_enabled()
    assert not any(f().requires_grad for f in (called, bare, flagged, inferred))
    assert called.__name__ == "called"
    it = steps()
    assert not next(it).requires_grad and T.is_grad_enabled() and it.send(5) == (5, False)


def test_each_thread_has_its_own_mode():
    seen = []
    with T.no_grad():
        t = threading.Thread(target=lambda: seen.append(T.is_grad_enabled()))
        t.start()
        t.join()
    assert seen == [True]


def test_backward_in_threads():
    x = T.ones(1000, requires_grad=True)

    def work():
        for _ in range(5):
            (x * 2).sum().backward()
    threads = [threading.Thread(target=work) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert x.grad.tolist() == [40.0] * 1000


# ------------------------------------------------------------------------------------------ hooks
def test_a_leafs_hooks_see_the_total_once_in_order():
    x = leaf(1.0, 2.0)
    seen = []
    first = x.register_hook(lambda g: seen.append(("first", g.tolist())))
    x.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: seen.append(("last", g.tolist())))
    y = x * 3
    ((y * x).sum() + x.sum()).backward()
    assert seen == [("first", [7, 13]), ("last", [14, 26])] and x.grad.tolist() == [14, 26]
    first.remove()
    (x * 3).sum().backward()
    assert len(seen) == 3 and x.grad.tolist() == [20, 32]


def test_hooks_of_results_and_retained_gradients():
    x = leaf(1.0, 2.0)
    seen = []
    y = x * 3
    y.register_hook(lambda g: seen.append(g.tolist()) or g * 10)
    y.retain_grad()
    y.register_hook(lambda g: seen.append(g.tolist()) or g + 1)
    (y * y).sum().backward()
    assert seen == [[6, 12], [60, 120]] and y.grad.tolist() == [61, 121] and x.grad.tolist() == [183, 363]
    assert y.retains_grad and not y.is_leaf


def test_retained_gradients_accumulate_and_follow_writes():
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    z = y.sum()
    z.backward(retain_graph=True)
    z.backward()
    assert y.grad.tolist() == [2, 2]
    w = x * 1
    w.retain_grad()
    w.mul_(3)
    (w * 2).sum().backward()
    assert w.grad.tolist() == [2, 2] and w.retains_grad


def test_hooks_after_accumulation():
    x = leaf(1.0, 2.0)
    seen = []
    h = x.register_post_accumulate_grad_hook(lambda t: seen.append((t is x, t.grad.tolist())))
    (x * 2).sum().backward()
    (x * 2).sum().backward()
    h.remove()
    (x * 2).sum().backward()
    assert seen == [(True, [2, 2]), (True, [4, 4])]


def test_hooks_are_checked():
    for hook, error, words in ((lambda g: T.ones(7), RuntimeError, "has changed the size of value"),
                               (lambda g: g.double(), RuntimeError, "has changed the type of value"),
                               (lambda g: 3, TypeError, "expected Variable, but hook returned 'int'")):
        for make in (lambda x: x, lambda x: x * 1):
            x = T.ones(3, requires_grad=True)
            y = make(x)
            y.register_hook(hook)
            with pytest.raises(error, match=words):
                (y * 2).sum().backward()

    def broken(g):
        raise ValueError("boom")
    x = T.ones(3, requires_grad=True)
    x.register_hook(broken)
    with pytest.raises(ValueError, match="boom"):
        (x * 2).sum().backward()
    assert T.is_grad_enabled()


def test_node_hooks():
    x = T.ones(2, requires_grad=True)
    y = x * 3
    seen = []
    y.grad_fn.register_hook(lambda gi, go: seen.append(("after", gi[0].tolist(), go[0].tolist())))
    y.grad_fn.register_prehook(lambda go: seen.append(("before", go[0].tolist())))
    y.sum().backward()
    assert seen == [("before", [1, 1]), ("after", [3, 3], [1, 1])]


def test_hooks_over_several_tensors():
    x, y = T.ones(2, requires_grad=True), T.ones(2, requires_grad=True)
    seen = []
    h = graph.register_multi_grad_hook((x, y), lambda gs: seen.append([g is not None for g in gs]))
    graph.register_multi_grad_hook((x, y), lambda g: seen.append(g.tolist()), mode="any")
    (x * 2).sum().backward()
    (x * y).sum().backward()
    assert [True, False] in seen and [True, True] in seen and seen.count([2, 2]) == 1 and len(seen) == 4
    h.remove()
    x.sum().backward()
    assert len(seen) == 5


def test_hooks_on_saved_tensors():
    kept, given = [], []

    def pack(t):
        kept.append(t)
        return len(kept) - 1

    def unpack(i):
        given.append(i)
        return kept[i]
    x = leaf(1.0, 2.0)
    with graph.saved_tensors_hooks(pack, unpack):
        y = (x * x).exp() @ x
    g, = grad(y, x, create_graph=True)
    e = np.exp([1, 16 ** 0.5])
    np.testing.assert_allclose(g.detach().numpy(), [e[0] * 3, e[1] * 9], rtol=1e-5)
    assert kept and len(given) >= len(kept)
    h, = grad(g.sum(), x)
    np.testing.assert_allclose(h.numpy(), [10 * e[0], 44 * e[1]], rtol=1e-5)
    with graph.save_on_cpu():
        z = (x * x).sum()
    z.backward()
    assert x.grad.tolist() == [2, 4]


# ------------------------------------------------------------------------------------------ writes to results
def test_writes_to_results():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    y.add_(1)
    y[0] = 5
    y[2:].fill_(7)
    y.mul_(3)
    y.sum().backward()
    assert x.grad.tolist() == [0, 6, 0]
    x.grad = None
    y = x * 1
    y.mul_(1).exp_()
    (y * 2).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp([1, 2, 3]), rtol=1e-5)


@pytest.mark.parametrize("write, expected", [
    (lambda y: y.masked_fill_(T.tensor([True, False, False]), 0), [0, 1, 1]),
    (lambda y: y.index_add_(0, T.tensor([0, 0]), y.detach()[:2] * 2), [1, 1, 1]),
    (lambda y: y.scatter_(0, T.tensor([2]), 0.0), [1, 1, 0]),
    (lambda y: y.index_fill_(0, T.tensor([1]), 0.0), [1, 0, 1]),
    (lambda y: y.clamp_(max=2.5), [1, 1, 0]),
    (lambda y: y.copy_(y.detach() * 3), [0, 0, 0]),
    (lambda y: y.div_(2).sub_(1), [0.5, 0.5, 0.5]),
    (lambda y: y.pow_(2), [2, 4, 6]),
    (lambda y: y.addcmul_(T.ones(3), T.ones(3)), [1, 1, 1]),
    (lambda y: y.lerp_(T.zeros(3), 0.25), [0.75, 0.75, 0.75]),
    (lambda y: y.relu_(), [1, 1, 1]),
    (lambda y: y.__setitem__(y > 1.5, 0), [1, 0, 0]),
    (lambda y: y.__setitem__(T.tensor([0, 2]), T.zeros(2)), [0, 1, 0]),
    (lambda y: y.unsqueeze_(0).squeeze_(0).mul_(4), [4, 4, 4])])
def test_gradients_of_writes(write, expected):
    x = leaf(1.0, 2.0, 3.0)
    y = x * 1
    write(y)
    assert y.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == expected


def test_a_write_through_a_view_reaches_the_base_and_its_other_views():
    x = T.arange(6.0).view(2, 3).requires_grad_()
    y = x * 1
    row, column = y[0], y[:, 1]
    row.mul_(2)
    (column.sum() + row.sum()).backward()
    assert x.grad.tolist() == [[2, 4, 2], [0, 1, 0]] and y.tolist() == [[0, 2, 4], [3, 4, 5]]


def test_views_made_before_the_tape_arrives_follow_it():
    y, w = T.zeros(2, 3), T.ones(3, requires_grad=True)
    v, u = y[0], y.view(-1)
    v.mul_(0)
    assert not u.requires_grad
    v.add_(w * 2)
    assert y.requires_grad and u.requires_grad and not u.is_leaf
    assert v.grad_fn.name() == u.grad_fn.name() == "AsStridedBackward0"
    assert y.grad_fn.name() == "torch::autograd::CopySlices"
    (u * T.arange(6.0)).sum().backward()
    assert w.grad.tolist() == [0, 2, 4]


def test_a_buffer_filled_row_by_row():
    x, buffer = T.ones(3, requires_grad=True), T.zeros(3, 3)
    for i in range(3):
        buffer[i] = x * (i + 1)
    buffer.sum().backward()
    assert x.grad.tolist() == [6, 6, 6]


def test_views_of_views_and_whole_writes():
    w = T.ones(2, 3, requires_grad=True)
    y = w * 1
    y.t()[0].mul_(5)
    z = y.transpose(0, 1)
    y.add_(z.t().detach())
    (z * 2).sum().backward()
    assert w.grad.tolist() == [[10, 2, 2], [10, 2, 2]]
    w = T.ones(2, 2, requires_grad=True)
    y = w * 1
    y[0, 0] += 5
    y[:, 1] *= 2
    y[1] = y[0].clone()
    y.sum().backward()
    assert w.grad.tolist() == [[2, 4], [0, 0]]


def test_writes_of_tensors_that_require_grad():
    w, c = T.ones(3, requires_grad=True), T.tensor(3.0, requires_grad=True)
    y = w * 2
    y[1] = c
    y[:1] = c * 2
    y.sum().backward()
    assert w.grad.tolist() == [0, 0, 2] and c.grad.item() == 3
    z = T.zeros(2, dtype=T.complex64)
    z.real.copy_(w[:2] * 2)
    (z * (1 - 1j)).real.sum().backward()
    assert w.grad.tolist() == [2, 2, 2]


def test_detach_and_data():
    w = T.ones(3, requires_grad=True)
    d = w.detach()
    d.add_(1)
    assert w.tolist() == [2, 2, 2] and d.is_leaf and d.grad_fn is None and not d.requires_grad
    y = w.exp()
    y.data.zero_()  # unseen
    y.sum().backward()
    assert w.grad.tolist() == [0, 0, 0]
    y = w.exp()
    y.detach().zero_()  # seen
    with pytest.raises(RuntimeError, match=CHANGED):
        y.sum().backward()
    y = w * 2
    assert y.detach_() is y and y.is_leaf and not y.requires_grad
    with T.no_grad():
        w.add_(1)
        w[0] = 9
    assert w.is_leaf and w.requires_grad and w.tolist() == [9, 3, 3]


@pytest.mark.parametrize("program, maker", [
    (lambda y: (y.exp(), 0), "Exp"), (lambda y: (y * y, 1), "Mul"), (lambda y: (y.sin(), 1), "Mul")])
def test_changed_saved_tensors_are_noticed(program, maker):
    x = T.ones(2, requires_grad=True)
    y = x * 2
    z, which = program(y)
    (z, y)[which].add_(1)
    changed = {"Exp": "Exp", "Mul": "Add"}[maker]
    with pytest.raises(RuntimeError) as caught:
        z.sum().backward()
    want = (f"{CHANGED}: [torch.FloatTensor [2]], which is output 0 of {changed if which else 'Exp'}, is at "
            "version 1; "
            "expected version 0 instead. Hint: enable anomaly detection to find the operation that failed "
            "to compute "
            "its gradient, with torch.autograd.set_detect_anomaly(True, check_nan=False).")
    if not which:
        want = want.replace("output 0 of Exp,", "output 0 of Exp,")
    assert str(caught.value).split("\n")[0] == want


@pytest.mark.parametrize("write",
                         [lambda y: y.mul_(y), lambda y: y.mul_(y.detach()), lambda y: y.div_(y.view(2)),
                                   lambda y: y.addcmul_(y, y)])
def test_operands_that_share_the_written_memory_are_noticed(write):
    x = leaf(3.0, 2.0)
    y = x * 1
    write(y)
    with pytest.raises(RuntimeError, match=CHANGED):
        y.sum().backward()


def test_leaves_are_not_written_to():
    x = T.ones(2, requires_grad=True)
    for write in (lambda: x.add_(1), lambda: x.copy_(T.zeros(2)), lambda: x.zero_(), lambda: x.normal_()):
        with pytest.raises(RuntimeError,
                           match="a leaf Variable that requires grad is being used in an in-place operation"):
            write()
    for write in (lambda: x.__setitem__(0, 1), lambda: x.view(2).add_(1), lambda: x[:1].zero_()):
        with pytest.raises(RuntimeError,
                           match="a view of a leaf Variable that requires grad is being used in an in-place"):
            write()
    assert x.tolist() == [1, 1]


# ------------------------------------------------------------------------------------------ custom functions
class Square(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return 2 * x * g


class Exp(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        y, = ctx.saved_tensors
        return y * g


def test_a_function_and_its_second_derivative():
    x = leaf(1.0, 2.0)
    y = Square.apply(x)
    g, = grad(y.sum(), x, create_graph=True)
    assert g.tolist() == [2, 4] and grad(g.sum(), x)[0].tolist() == [2, 2]
    assert y.grad_fn.name() == "SquareBackward" and type(y.grad_fn).__name__ == "SquareBackward"
    g = Exp.apply(x)
    for _ in range(3):  # saving a result: every derivative is eˣ
        g, = grad(g.sum(), x, create_graph=True)
        np.testing.assert_allclose(g.detach().numpy(), np.exp([1.0, 2.0]), rtol=1e-6)


def test_several_arguments_and_results():
    class Two(Function):
        @staticmethod
        def forward(ctx, x, k, y):
            ctx.k, ctx.needed = k, ctx.needs_input_grad
            return x * k, y + 1

        @staticmethod
        def backward(ctx, a, b):
            return a * ctx.k, None, b if ctx.needs_input_grad[2] else None
    x, y = leaf(1.0, 2.0), T.ones(2)
    a, b = Two.apply(x, 3, y)
    assert a.requires_grad and b.requires_grad and a.grad_fn is b.grad_fn
    assert (a.output_nr, b.output_nr) == (0, 1)
    assert a.grad_fn.needed == (True, False, False), "grad_fn shows what forward left on its context"
    (a.sum() * 2).backward()
    assert x.grad.tolist() == [6, 6] and y.grad is None


def test_mark_dirty():
    class Double(Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2
    x = leaf(1.0, 2.0)
    y = x * 1
    assert Double.apply(y) is y and y.grad_fn.name() == "DoubleBackward"
    y.sum().backward()
    assert x.grad.tolist() == [2, 2] and y.tolist() == [2, 4]
    m = T.ones(2, 2, requires_grad=True)
    y = m * 1
    Double.apply(y[0])
    y.sum().backward()
    assert m.grad.tolist() == [[2, 2], [1, 1]]
    with pytest.raises(RuntimeError,
                       match="a leaf Variable that requires grad has been used in an in-place operation"):
        Double.apply(leaf(1.0))


def test_mark_non_differentiable():
    class Sort(Function):
        @staticmethod
        def forward(ctx, x):
            values, places = x.sort()
            twice = values * 2
            ctx.mark_non_differentiable(places, twice)
            ctx.save_for_backward(places)
            return values, places, twice

        @staticmethod
        def backward(ctx, g, gp, gt):
            assert gp.tolist() == gt.tolist() == [0, 0, 0], "missing gradients come as zeros"
            return T.zeros_like(g).scatter(0, ctx.saved_tensors[0], g)
    x = leaf(3.0, 1.0, 2.0)
    values, places, twice = Sort.apply(x)
    assert values.requires_grad and not places.requires_grad and not twice.requires_grad
    (values * T.arange(3.0)).sum().backward()
    assert x.grad.tolist() == [2, 0, 1]


def test_setup_context_and_keywords():
    class Scale(Function):
        @staticmethod
        def forward(x, k):
            return x * k

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.k = inputs
            ctx.save_for_backward(x, output)

        @staticmethod
        def backward(ctx, g):
            x, out = ctx.saved_tensors
            assert out.tolist() == (x * ctx.k).tolist()
            return g * ctx.k, None
    x = T.ones(2, requires_grad=True)
    Scale.apply(x, 4).sum().backward()
    assert x.grad.tolist() == [4, 4]


def test_missing_gradients_as_none():
    class Pair(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, a, b):
            assert b is None
            return a * 2
    x = T.ones(2, requires_grad=True)
    Pair.apply(x)[0].sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_returning_an_input_or_a_view():
    class Reverse(Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return -g

    class Flat(Function):
        @staticmethod
        def forward(ctx, x):
            return x.view(-1)

        @staticmethod
        def backward(ctx, g):
            return g.view(2, 2) * 5
    x = T.ones(2, 2, requires_grad=True)
    y = Reverse.apply(x)
    y.sum().backward()
    assert y is not x and x.is_leaf and x.grad.tolist() == [[-1, -1], [-1, -1]]
    x.grad = None
    Flat.apply(x).sum().backward()
    assert x.grad.tolist() == [[5, 5], [5, 5]]


def test_wrong_backwards_are_named():
    def function(back):
        return type("Wrong", (Function,),
                    {"forward": staticmethod(lambda ctx, x: x * 2), "backward": staticmethod(back)})
    x = T.ones(2, requires_grad=True)
    for back, words in ((lambda ctx, g: (g, g), "returned an incorrect number of gradients"),
                        (lambda ctx, g: T.ones(3),
                         r"Function WrongBackward returned an invalid gradient at index 0 - got "
                                                   r"\[3\] but expected shape compatible with \[2\]"),
                        (lambda ctx, g: 3, r"expected Variable or None \(got int\)")):
        with pytest.raises(RuntimeError, match=words):
            function(back).apply(x).sum().backward()
    with pytest.raises(NotImplementedError,
                       match="You must implement the forward function for custom autograd.Function"):
        Function.apply(x)
    with pytest.raises(TypeError,
                       match="save_for_backward can only save variables, but argument 0 is of type int"):
        type("Saves", (Function,),
             {"forward": staticmethod(lambda ctx, x: ctx.save_for_backward(3))}).apply(x)


def test_functions_check_versions_and_free():
    x = T.ones(2, requires_grad=True)
    z = x * 1
    y = Square.apply(z).sum()
    z.add_(1)
    with pytest.raises(RuntimeError, match=CHANGED +
                       r": \[torch.FloatTensor \[2\]\], which is output 0 of Add, is at"):
        y.backward()
    y = Square.apply(x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()


def test_once_differentiable():
    class Once(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @autograd.function.once_differentiable
        def backward(ctx, g):
            return 2 * ctx.saved_tensors[0] * g
    x = T.ones(2, requires_grad=True)
    g, = grad((Once.apply(x) ** 2).sum(), x, create_graph=True)
    assert g.tolist() == [4, 4]
    with pytest.raises(RuntimeError, match="marked with @once_differentiable"):
        g.sum().backward()


# ------------------------------------------------------------------------------------------ checks
def test_gradcheck_confirms_and_refutes():
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2.01

    class WrongSecond(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x ** 3

        @staticmethod
        def backward(ctx, g):
            return 3 * ctx.saved_tensors[0].detach() ** 2 * g
    x = leaf(0.5, 1.5, dtype=T.float64)
    y = leaf(1.0, -2.0, dtype=T.float64)
    assert autograd.gradcheck(lambda x: (x.sin() * x).sum(), (x,))
    assert autograd.gradcheck(lambda x, y: (x * y, x / y), (x, y)) and autograd.gradcheck(Square.apply, (x,))
    assert autograd.gradgradcheck(lambda x: x ** 3, (x,)) and autograd.gradgradcheck(Exp.apply, (x,))
    with pytest.raises(RuntimeError, match="Jacobian mismatch for output 0 with respect to input 0"):
        autograd.gradcheck(Wrong.apply, (x,))
    assert not autograd.gradcheck(Wrong.apply, (x,), raise_exception=False)
    assert autograd.gradcheck(WrongSecond.apply, (x,))
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        autograd.gradgradcheck(WrongSecond.apply, (x,))
    c = T.tensor([1 + 2j, 0.5 - 1j], dtype=T.complex128, requires_grad=True)
    assert autograd.gradcheck(lambda c: (c * c).exp(), (c,))
    assert autograd.gradcheck(lambda c: (c * (2 - 1j)).abs(), (c,))
    assert x.tolist() == [0.5, 1.5], "inputs are as before"


def test_functional():
    x, y = T.tensor([1.0, 2.0]), T.tensor([3.0, 4.0])
    f = functional
    assert f.jacobian(lambda x: x ** 2, x).tolist() == [[2, 0], [0, 4]]
    (a, b), (c, d) = f.jacobian(lambda x, y: (x * y, x.sum()), (x, y))
    assert (a.tolist(), b.tolist(), c.tolist(), d.tolist()) == ([[3, 0], [0, 4]], [[1, 0], [0, 2]], [1, 1],
                                                                [0, 0])
    assert f.hessian(lambda x: (x ** 3).sum(), x).tolist() == [[6, 0], [0, 12]]
    h = f.hessian(lambda x, y: (x * y * y).sum(), (x, y))
    assert [[m.tolist() for m in row] for row in h] == [[[[0, 0], [0, 0]], [[6, 0], [0, 8]]],
                                                        [[[6, 0], [0, 8]], [[2, 0], [0, 4]]]]
    assert [t.tolist() for t in f.vjp(lambda x: x ** 2, x, T.ones(2))] == [[1, 4], [2, 4]]
    assert [t.tolist() for t in f.jvp(lambda x: x ** 2, x, T.ones(2))] == [[1, 4], [2, 4]]
    assert [t.tolist() for t in f.vhp(lambda x: (x ** 3).sum(), x, T.ones(2))] == [9, [6, 12]]
    assert [t.tolist() for t in f.hvp(lambda x: (x ** 3).sum(), x, T.ones(2))] == [9, [6, 12]]
    w = leaf(1.0, 2.0)
    f.jacobian(lambda x: x ** 3, w, create_graph=True).sum().backward()
    assert w.grad.tolist() == [6, 12]
    with pytest.raises(RuntimeError,
                       match="Output 0 of the user-provided function does not require gradients"):
        f.jacobian(lambda x: T.ones(2), x, strict=True)
    with pytest.raises(RuntimeError, match="should contain a single element"):
        f.hessian(lambda x: x, x)


def test_anomaly_mode():
    x = leaf(-1.0)
    with autograd.set_detect_anomaly(True), pytest.raises(RuntimeError,
                                                          match="'SqrtBackward0' returned nan values in its "
                                                                "0th output"):
        x.sqrt().sum().backward()
    x.sqrt().sum().backward()
    with autograd.detect_anomaly(), pytest.raises(RuntimeError, match="nan values"):
        (x.sqrt() * 2).sum().backward()


def test_complex_gradients():
    x = T.tensor([1 + 2j, 3 - 1j], requires_grad=True)
    (x * x.conj()).real.sum().backward()
    assert x.grad.tolist() == [2 + 4j, 6 - 2j]
    x.grad = None
    (x * (2 + 1j)).imag.sum().backward()
    assert x.grad.tolist() == [1 + 2j, 1 + 2j]
    r = leaf(3.0, 2.0)
    (r * 2j).abs().sum().backward()
    assert r.grad.tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for real scalar outputs"):
        (x * x).sum().backward()


# ------------------------------------------------------------------------------------------ memory
def test_graphs_are_freed_by_reference_counting():
    gc.collect()
    gc.disable()
    try:
        x = T.ones(3, requires_grad=True)
        y = x * 2
        z = (y.exp() * y)[1:].view(2, 1)
        w = Square.apply(z).sum()
        seen = [weakref.ref(t) for t in (y, z, w, y.grad_fn, z.grad_fn, w.grad_fn)]
        w.backward()
        del y, z, w
        assert [r() for r in seen] == [None] * 6
        y = Exp.apply(x) + x.sigmoid()  # saved results must not make circles, even when backward never runs
        y.mul_(2)
        y[0] = 1
        v = y[1:]
        v.add_(1)
        seen = [weakref.ref(t) for t in (y, v, y.grad_fn)]
        del y, v
        assert [r() for r in seen] == [None] * 3
        y = x.exp()
        g, = grad(y.sum(), x, create_graph=True)
        seen = [weakref.ref(y), weakref.ref(g)]
        del y, g
        assert [r() for r in seen] == [None] * 2
    finally:
        gc.enable()


def test_saved_tensors_are_freed_by_backward():
    x = T.ones(3, requires_grad=True)
    y = x * 1
    storage = weakref.ref(y.storage)
    z = y.exp().sum()
    del y
    w = (x * 2).sin()
    kept = weakref.ref(w.grad_fn.saved[0].storage)
    assert kept() is not None
    s = w.sum() + z
    s.backward()
    assert kept() is None and storage() is None


def test_gradients_own_their_memory():
    x, y = T.ones(2, requires_grad=True), T.ones(2, requires_grad=True)
    g = T.tensor([1.0, 2.0])
    (x + y).backward(g)
    g.zero_()
    assert x.grad.data_ptr() != y.grad.data_ptr()
    x.grad.zero_()
    assert y.grad.tolist() == [1, 2]
    x.grad = y.grad = None
    g = T.tensor([1.0, 2.0])
    x.backward(g)
    g.zero_()
    assert x.grad.tolist() == [1, 2]
    for make in (lambda: x + y, lambda: T.stack([x, y]), lambda: x.view(2) + y.view(1, 2), lambda: (x * 1) +
                 y,
                 lambda: T.cat([x, y])):
        for create in (False, True):
            x.grad = y.grad = None
            make().sum().backward(create_graph=create)
            assert x.grad.data_ptr() != y.grad.data_ptr() and 0 not in x.grad.stride()
            with T.no_grad():
                x.grad.zero_()
            assert y.grad.tolist() == [1, 1]
    seen = []
    x.grad = None
    h = x.register_hook(seen.append)
    (x * 2).sum().backward()
    h.remove()
    x.grad.zero_()
    assert seen[0].tolist() == [2, 2], "what a hook kept is not the leaf's"


def test_a_gradient_that_nobody_else_holds_is_not_copied(monkeypatch):
    def copied(g, t):
        raise AssertionError("copied")
    monkeypatch.setattr(autograd.engine, "own", copied)
    w, b = T.ones(3, 4, requires_grad=True), T.ones(4, requires_grad=True)
    ((w * 3 + b).exp() * 2).sum().backward()
    assert w.grad.shape == (3, 4) and b.grad.shape == (4,)
    with pytest.raises(AssertionError, match="copied"):
        (w + w.detach().requires_grad_()).backward(T.ones(3, 4))


def test_assigned_gradients_are_checked():
    x = T.ones(2, requires_grad=True)
    for g, error, words in ((T.zeros(3), RuntimeError,
                             r"attempting to assign a gradient of size '\[3\]' to a tensor of size"),
                            (T.zeros(2, dtype=T.float64), RuntimeError,
                             "attempting to assign a gradient with dtype 'double'"),
                            (3, TypeError, "assigned grad expected to be a Tensor or None but got grad of "
                                           "type int"),
                            (x, RuntimeError, "can't assign Variable as its own grad")):
        with pytest.raises(error, match=words):
            x.grad = g
    x.grad = T.ones(2)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [3, 3]
    del x.grad
    assert x.grad is None


# ------------------------------------------------------------------------------------------ nodes by name
NAMES = """
x + 1: AddBackward0 < AccumulateGrad, None
x * x: MulBackward0 < AccumulateGrad, AccumulateGrad
x - x: SubBackward0 < AccumulateGrad, AccumulateGrad
x / 2: DivBackward0 < AccumulateGrad, None
-x: NegBackward0 < AccumulateGrad
x @ x.t(): MmBackward0 < AccumulateGrad, TBackward0
x.sum(): SumBackward0 < AccumulateGrad
x.mean(): MeanBackward0 < AccumulateGrad
x.exp(): ExpBackward0 < AccumulateGrad
x.relu(): ReluBackward0 < AccumulateGrad
x.view(6): ViewBackward0 < AccumulateGrad
x[0]: SelectBackward0 < AccumulateGrad
x[:, 1:]: SliceBackward0 < AccumulateGrad
x.permute(1, 0): PermuteBackward0 < AccumulateGrad
x.transpose(0, 1): TransposeBackward0 < AccumulateGrad
x.expand(4, 2, 3): ExpandBackward0 < AccumulateGrad
x.unsqueeze(0): UnsqueezeBackward0 < AccumulateGrad
x.clone(): CloneBackward0 < AccumulateGrad
x.double(): ToCopyBackward0 < AccumulateGrad
x.softmax(1): SoftmaxBackward0 < AccumulateGrad
x.log_softmax(1): LogSoftmaxBackward0 < AccumulateGrad
x.max(0)[0]: MaxBackward0 < AccumulateGrad
x.sort()[0]: SortBackward0 < AccumulateGrad
x.var(): VarBackward0 < AccumulateGrad
T.cat([x, x]): CatBackward0 < AccumulateGrad, AccumulateGrad
T.stack([x, x]): StackBackward0 < AccumulateGrad, AccumulateGrad
T.where(x > 0, x, x): WhereBackward0 < AccumulateGrad, AccumulateGrad
T.nn.functional.gelu(x): GeluBackward0 < AccumulateGrad
T.nn.functional.embedding(T.tensor([0]), x): EmbeddingBackward0 < AccumulateGrad
T.nn.functional.nll_loss(x, T.tensor([0, 1])): NllLossBackward0 < AccumulateGrad
"""


@pytest.mark.parametrize("row", NAMES.strip().split("\n"))
def test_nodes_have_pytorchs_names(row):
    source, _, want = row.rpartition(": ")
    y = eval(source, {"T": T, "x": T.ones(2, 3, requires_grad=True)})
    said = [n.name().rpartition("::")[2] if n else "None" for n, _ in y.grad_fn.next_functions]
    assert f"{y.grad_fn.name()} < {', '.join(said)}" == want
    assert type(y.grad_fn).__name__ == y.grad_fn.name()
    assert repr(y.grad_fn).startswith(f"<{y.grad_fn.name()} object at")


def test_walking_the_tape():
    x = T.ones(2, requires_grad=True)
    y = x * 2 + 1
    times = y.grad_fn.next_functions[0][0]
    end = times.next_functions[0][0]
    assert end.variable is x and type(end).__name__ == "AccumulateGrad" and end.next_functions == ()
    assert x.grad_fn is None and x.is_leaf and (x > 1).grad_fn is None
    assert (x * x).grad_fn._saved_self is x and x.exp().grad_fn._saved_result.tolist() == x.exp().tolist()
    assert grad(y.sum(), graph.get_gradient_edge(x))[0].tolist() == [2, 2]
    assert graph.get_gradient_edge(y).node is y.grad_fn


def test_parts_of_a_tensor():
    """What unbind, split and chunk return is on the tape by their own rules, views as it is."""
    x = leaf(*map(float, range(6)))
    for cut, name in ((lambda t: t.unbind(0), "Unbind"), (lambda t: t.split(1), "Split"),
                      (lambda t: t.chunk(3), "Split")):
        for y in (x * 2, (x * 2).view(3, 2)):
            y.retain_grad()
            a, b, *_ = cut(y)
            assert type(b.grad_fn).__name__ == name + "Backward0" and b._base is not None
            (a.sum() + 3 * b.sum()).backward()
            at = (slice(0, 1), slice(1, 2)) if y.ndim == 2 or name == "Unbind" else (slice(0, len(a)),
                                                                                   slice(len(a), 2 * len(a)))
            want = T.zeros_like(y)
            want[at[0]], want[at[1]] = 1, 3
            assert y.grad.tolist() == want.tolist()
            x.grad = None
        y = x * 2  # writes to a part reach the whole
        cut(y)[0].mul_(5)
        y.sum().backward()
        assert x.grad.sum() == 12 + 8 * (2 if cut(y)[0].numel() == 2 else 1)
        x.grad = None


def test_integers_and_flags():
    x = leaf(1.0, 2.0)
    i = T.tensor([1, 2])
    assert (x * i).requires_grad and not (x > 0).requires_grad and not x.long().requires_grad
    assert not x.argmax().requires_grad and not T.zeros_like(x).requires_grad
    assert x.requires_grad_(False) is x and not (x * 2).requires_grad
    with pytest.raises(RuntimeError, match="only Tensors of floating point dtype can require gradients"):
        i.requires_grad_()
    with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf variables"):
        (leaf(1.0) * 2).requires_grad_(False)


@pytest.mark.parametrize("source, expected", [
    ("x.max()", [0, 0.5, 0.5]), ("x.max(0)[0]", [0, 1, 0]), ("x.amax()", [0, 0.5, 0.5]), ("x.median()",
                                                                                          [0, 0.5, 0.5]),
    ("x.norm()", [1 / 3, 2 / 3, 2 / 3]), ("x.prod()", [4, 2, 2]), ("(x - 2).norm()", [-1, 0, 0]),
    ("(x - 2).abs().sum()", [-1, 0, 0]), ("(x - 2).prod()", [0, 0, 0]), ("(x - 1).prod()", [1, 0, 0]),
    ("(x - x).sqrt().nansum()", None), ("x.clamp(1, 2).sum()", [1, 1, 1]), ("(x ** 0).sum()", [0, 0, 0]),
    ("T.where(x > 1, x.log(), x).sum()", [1, 0.5, 0.5]), ("x.cumsum(0)[1]", [1, 1, 0]), ("x.std()", None),
    ("x[[0, 0, 2]].sum()", [2, 0, 1]), ("x.unfold(0, 2, 1).sum()", [1, 2, 1]), ("(x * 0).norm()", [0, 0, 0]),
    ("x.relu().sum()", [1, 1, 1]), ("(x - 2).relu().sum()", [0, 0, 0])])
def test_gradients_at_ties_zeros_and_ends(source, expected):
    x = leaf(1.0, 2.0, 2.0)
    eval(source, {"T": T, "x": x}).backward()
    if expected is not None:
        np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)
