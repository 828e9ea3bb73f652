"""Updates of many tensors in one launch: the bits of one by one, how many launches, shared memory, tables."""
from __future__ import annotations

import numpy as np
import pytest

import numtorch as torch
from numtorch.compiler import foreach
from numtorch.compiler.foreach import Foreach
from numtorch.kernels import emit, jit, llvm
from numtorch.kernels.table import Row, shares, table

OPTIMIZERS = [
    ("SGD", {}), ("SGD", dict(momentum=0.9, dampening=0.1, weight_decay=0.1)),
    ("SGD", dict(momentum=0.9, nesterov=True, maximize=True)), ("Adam", {}),
    ("Adam", dict(amsgrad=True, weight_decay=0.1, maximize=True)), ("AdamW", {}), ("AdamW", dict(fused=True)),
    ("Adagrad", dict(lr_decay=0.1, weight_decay=0.1)), ("RMSprop", {}),
    ("RMSprop", dict(momentum=0.9, centered=True)), ("Adadelta", dict(weight_decay=0.1)), ("Adamax", {}),
    ("NAdam", dict(weight_decay=0.1)), ("RAdam", {}), ("ASGD", dict(t0=2)), ("ASGD", {}), ("Rprop", {}),
    ("Adafactor", dict(weight_decay=0.1)), ("Muon", {})]
SHAPES = [(5, 7), (9,), (2, 3, 4), (), (1,), (130, 40), (300,), (0, 3)]


@pytest.fixture
def launches(monkeypatch):
    """The items of each launch of a table."""
    seen = []
    run = jit.parallel
    monkeypatch.setattr(foreach.jit, "parallel",
                        lambda k, n, cost, args: (seen.append(n), run(k, n, cost, args)))
    return seen


def steps(name, options, apart=False, dtype=torch.float32, count=4, seed=0):
    """Parameters and state after steps whose rate and set of gradients vary."""
    torch.manual_seed(seed)
    shapes = [s for s in SHAPES if len(s) == 2] if name == "Muon" else SHAPES
    params = [torch.randn(s).to(dtype).requires_grad_() for s in shapes]
    opt = getattr(torch.optim, name)(params, lr=0.01, **options)
    for k in range(count):
        opt.param_groups[0]["lr"] = 0.01 / (k + 1)
        for i, p in enumerate(params):
            p.grad = None if k == 2 and i % 2 else torch.randn(p.shape).to(dtype)
            if p.grad is not None and p.ndim == 2 and k == 1:  # another order in memory
                p.grad = p.grad.t().contiguous().t()
        with pytest.MonkeyPatch.context() as m:
            if apart:
                m.setattr(foreach, "_eager", lambda tensors: False)
            opt.step()
    return params + [v for s in opt.state.values() for v in s.values()]


def same(a, b):
    """Equal in type and value, NaN equal to NaN."""
    return a.dtype is b.dtype and torch.equal(a.nan_to_num(), b.nan_to_num())


@pytest.mark.parametrize("name,options", OPTIMIZERS)
def test_same_bits_as_one_by_one(name, options):
    for a, b in zip(steps(name, options), steps(name, options, True), strict=True):
        assert same(a, b) and a._version == b._version


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["SGD", "AdamW", "Adafactor"])
def test_same_bits_in_other_types(name, dtype):
    for a, b in zip(steps(name, {}, dtype=dtype), steps(name, {}, True, dtype), strict=True):
        assert same(a, b)


def parameters(n=5, shape=(3, 4)):
    params = [torch.randn(shape, requires_grad=True) for _ in range(n)]
    for p in params:
        p.grad = torch.randn(shape)
    return params


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam",
                                  "RAdam", "ASGD", "Rprop"])
def test_one_launch_for_a_group(name, launches):
    small, large = parameters(5), parameters(3, (300,))
    opt = getattr(torch.optim, name)(small + large)
    for _ in range(6):  # RAdam's first steps do not use the second moment, which is then apart
        opt.step()
    launches.clear()
    opt.step()
    assert launches == [5 * 12 + 3 * 300]
    opt.add_param_group({"params": parameters(2), "lr": 0.1})
    for _ in range(7):
        launches.clear()
        opt.step()
    assert len(launches) == 2


def test_rates_make_no_new_form():
    params = parameters()
    opt = torch.optim.AdamW(params)
    torch.optim.lr_scheduler.CosineAnnealingLR(opt, 10)
    opt.step()
    forms = opt._rows().forms
    count = lambda: sum(len(f) for f in forms.values())
    known = count()
    for k in range(5):
        opt.param_groups[0].update(lr=0.1 / (k + 1), betas=(0.9 - k / 20, 0.99), eps=1e-8 * (k + 1),
                                   weight_decay=0.1 * (k + 1))
        opt.step()
    assert count() == known
    opt.param_groups[0]["weight_decay"] = 0.0  # its code decides by that
    opt.step()
    assert count() == known + 1


def test_views_of_one_block():
    flat, grads = torch.arange(12.0), torch.ones(12)
    params = [flat[i:i + 4].requires_grad_() for i in (0, 4, 8)]
    for i, p in zip((0, 4, 8), params):
        p.grad = grads[i:i + 4]
    opt = torch.optim.SGD(params, lr=1.0, momentum=0.5)
    opt.step(), opt.step()
    assert torch.equal(flat, torch.arange(12.0) - 2.5)


def test_shared_memory_keeps_the_order(launches):
    x = torch.zeros(4)
    a, b = x[:3].requires_grad_(), x[1:].requires_grad_()
    double = Foreach(lambda row, env, kind: row[0].mul_(2).add_(env[0]))
    with torch.no_grad():
        double([(a,), (b,)], (1,))
        assert x.tolist() == [1, 3, 3, 1]
        double([(a,), (b,)], (1,))
        assert x.tolist() == [3, 15, 15, 3]
    p = torch.ones(3, requires_grad=True)
    p.grad = p.detach()
    opt = torch.optim.SGD([p], lr=0.5, weight_decay=1.0)
    opt.step()
    assert p.tolist() == [0, 0, 0]


def test_results_and_versions():
    f = Foreach(lambda row, env, kind: (row[0] * env["k"], row[0].add_(row[1]), 7))
    x, y = torch.ones(3), torch.ones(3)
    for _ in range(2):
        before = x.clone(), x._version
        (a, b, c), = f([(x, y)], {"k": 2.5})
        assert torch.equal(a, before[0] * 2.5) and b is x and c == 7
        assert torch.equal(x, before[0] + 1) and x._version == before[1] + 1
    (a, _, _), = f([(x, y)], {"k": 2})
    assert torch.equal(a, (x - 1) * 2)


def test_recorded_and_traced_calls_run_as_they_stand():
    f = Foreach(lambda row, env, kind: row[0] * env[0])
    x = torch.ones(3, requires_grad=True)
    f([(x,)], (3.0,))[0].sum().backward()
    assert x.grad.tolist() == [3, 3, 3]
    g = torch.compile(lambda v: f([(v,), (v,)], (2.0,))[1])
    assert g(torch.ones(2)).tolist() == g(torch.ones(2)).tolist() == [2, 2]
    k = Foreach(lambda row, env, kind: env[0] * 2)
    assert [k([(torch.ones(2),)], (v,)) for v in (1.0, 2.0)] == [[2.0], [4.0]]
    h = Foreach(lambda row, env, kind: row[0].item())
    assert h([(torch.tensor(2.0),), (torch.tensor(3.0),)]) == [2, 3]


def test_state_that_is_none():
    p = torch.ones(3, requires_grad=True)
    opt = torch.optim.SGD([p], lr=1.0, momentum=0.5)
    for _ in range(3):
        p.grad = torch.ones(3)
        opt.state[p]["momentum_buffer"] = None
        opt.step()
    assert p.tolist() == [-2, -2, -2]


def test_inference_tensors_are_refused():
    with torch.inference_mode():
        p = torch.ones(3)
    opt = torch.optim.SGD([p], lr=1.0)
    p.grad = torch.ones(3)
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor outside InferenceMode"):
        opt.step()


def test_tables_share_work_not_rows():
    x, out = emit.Operand("x", "float32"), emit.Operand("out", "float32")
    k = emit.Operand("k", "float64", 0, True)
    build = lambda block, v: [block.binary("+", v[0], block.cast(v[1], "float32"))]
    kernel, = llvm.compile([emit.pointwise("shifted", build, [x, k], [out], None)])
    xs = [np.arange(n, dtype="f4") for n in (5, 0, 100, 1, 1000)]
    by_python = lambda *args: kernel.free(*args)
    for make in (kernel, jit.Native(kernel.fn, kernel.signature, by_python, by_python)):
        outs = [np.zeros_like(x) for x in xs]
        rows = [Row(x.size, cost, [(2 * i,), (2 * i + 1,), (10,)])
                for i, (x, cost) in enumerate(zip(xs, (1.0, 1.0, 2.2, 1.0, 1.0)))]
        whole, (spans, cost) = table(make, rows), shares(rows)
        units = spans[-1][1]
        assert (units, cost) == (5 + 200 + 1 + 1000, 1.0)
        cuts = [0, 3, 4, 80, 81, 206, 700, units]
        for a, b in zip(cuts, cuts[1:]):
            whole.free(a, b, *[v for pair in zip(outs, xs) for v in pair], 1.5)
        assert all((o == x + 1.5).all() for o, x in zip(outs, xs))
        with pytest.raises(TypeError, match="kernel takes 13 arguments"):
            whole.call(0, 1)


def program(f):
    return f.entries[0].program.program


def test_a_compiled_step_is_one_launch():
    params = parameters(4) + parameters(3, (300,))
    opt = torch.optim.AdamW(params)
    step = torch.compile(lambda: opt.step())
    twin = [p.detach().clone().requires_grad_() for p in params]
    other = torch.optim.AdamW(twin)
    for p, q in zip(params, twin):
        q.grad = p.grad
    for _ in range(5):
        step(), other.step()
    assert all(torch.equal(p, q) for p, q in zip(params, twin))
    assert sorted(map(len, program(step).launched)) == [1, 7]  # the count of steps, the parameters
    assert "one launch for 1 to 7" in str(step.explain())
    space = {}
    exec(compile(step.source(), "<source>", "exec"), space)
    inputs = [np.arange(v.numel, dtype=v.dtype.numpy) / 7 for v in step.entries[0].program.graph.inputs]
    numbers = step.entries[0].program.graph.numbers()
    want = program(step).run([a.copy() for a in inputs], numbers)
    for a, b in zip(space["run_0"]([a.copy() for a in inputs], numbers), want, strict=True):
        assert np.array_equal(a, b)


def test_kernels_wait_no_longer_than_their_values():
    def f(a, b, c, d):
        x = a * 2
        first = torch.sort(x)[0]      # needs x before the others are made
        y, z = b * 2, c * 2           # one launch
        last = torch.sort(y)[0]
        return x, first, y, z, last, d * 2
    args = [torch.randn(n) for n in (7, 8, 9, 10)]
    g = torch.compile(f)
    for _ in range(2):
        for a, b in zip(g(*args), f(*args), strict=True):
            assert torch.equal(a, b)
    assert sorted(map(len, program(g).launched)) == [1, 1, 1, 1, 2]


def test_clipping(launches):
    params = parameters(6) + parameters(2, (300,)) + parameters(1, (70_000,))
    grads = [p.grad.clone() for p in params]

    def run(clip):
        for p, g in zip(params, grads):
            p.grad = g.clone()
        return [clip(), *[p.grad for p in params]]
    clip = lambda: torch.nn.utils.clip_grad_norm_(params, 0.1)
    norm = torch.cat([g.flatten() for g in grads]).norm()
    whole = torch.compile(clip)
    for _ in range(3):
        launches.clear()
        got = run(clip)
        # norms of short rows, and the parts of a long one, joined; then the factor, all at once
        assert len(launches) <= 6 and launches[-1] == sum(g.numel() for g in grads)
        for a, b in zip(got, [norm, *[g * (0.1 / (norm + 1e-6)) for g in grads]]):
            assert torch.allclose(a, b, rtol=1e-5)
        assert all(torch.equal(a, b) for a, b in zip(got, run(whole)))
    assert max(map(len, program(whole).launched)) == len(params)
    torch.nn.utils.clip_grad_value_(params, 0.01)
    assert max(p.grad.abs().max().item() for p in params) <= 0.01


def test_compiled_loops_over_tensors_are_one_launch():
    params, averages = parameters(5), [torch.zeros(3, 4) for _ in range(5)]
    opt = torch.optim.SGD(params)
    average = torch.optim.swa_utils.get_ema_multi_avg_fn(0.5)
    zero = torch.compile(lambda: opt.zero_grad(set_to_none=False))
    move = torch.compile(lambda: average(averages, [p.detach() for p in params], 0))

    def twice():
        torch._foreach_mul_(averages, 2.0)
        torch._foreach_add_(averages, 1.0)
    both = torch.compile(twice)
    for f in (zero, move, both):
        f(), f()
        assert list(map(len, program(f).launched)) == [5]
    assert not any(p.grad.any() for p in params)
    assert all(torch.equal(a, (p * 0.75 * 2 + 1) * 2 + 1) for a, p in zip(averages, params))


@pytest.mark.parametrize("inf", [1.0, 3.0, float("inf")])
def test_norms_of_other_orders(inf):
    grads = [torch.randn(4), torch.randn(2, 3)]
    for _ in range(2):
        got = torch.nn.utils.get_total_norm(grads, inf)
        assert torch.allclose(got, torch.linalg.vector_norm(torch.cat([g.flatten() for g in grads]), inf))


def test_foreach_functions(launches):
    a, b = [torch.rand(3), torch.rand(2, 2)], [torch.rand(3), torch.rand(2, 2)]
    for _ in range(2):
        launches.clear()
        for got, want in ((torch._foreach_add(a, b), [x + y for x, y in zip(a, b)]),
                          (torch._foreach_add(a, b, alpha=3), [x + 3 * y for x, y in zip(a, b)]),
                          (torch._foreach_mul(a, 0.5), [x * 0.5 for x in a]),
                          (torch._foreach_addcmul(a, a, b, value=2), [x + 2 * x * y for x, y in zip(a, b)])):
            assert type(got) is tuple and all(torch.allclose(x, y) for x, y in zip(got, want, strict=True))
        assert launches[:4] == [7, 7, 7, 7]
    assert [x.tolist() for x in torch._foreach_mul([torch.ones(1)] * 2, [2.0, 3.0])] == [[2], [3]]
    c = [x.clone() for x in a]
    assert torch._foreach_sqrt_(c) is c and torch.equal(c[1], a[1].sqrt())
    with pytest.raises(RuntimeError, match="Tensor lists must have the same number of tensors, got 2 and 1"):
        torch._foreach_add(a, b[:1])
    with pytest.raises(RuntimeError, match="Tensor list must have at least one tensor."):
        torch._foreach_abs([])
    with pytest.raises(AttributeError):
        torch._foreach_nothing()


def test_averages(launches):
    average, new = [torch.zeros(3), torch.zeros(2, 2)], [torch.ones(3), torch.ones(2, 2)]
    averages = torch.optim.swa_utils
    for update in (averages.get_ema_multi_avg_fn(0.5), averages.get_swa_multi_avg_fn()):
        for k in range(3):
            launches.clear()
            update(average, new, k)
            assert launches == [7]
    assert torch.equal(average[0], torch.ones(3))


def test_a_number_after_a_tensor_of_the_same_name():
    ends = []
    for lr in (torch.tensor(0.1), 0.1, torch.tensor(0.1)):
        params = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
        opt = torch.optim.SGD(params, lr=lr, foreach=True, weight_decay=0.1)
        for _ in range(2):
            for p in params:
                p.grad = torch.ones(3)
            opt.step()
        ends.append(params[1].tolist())
    assert ends[0] == pytest.approx(ends[1]) and ends[0] == ends[2]
