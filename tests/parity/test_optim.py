"""Optimizers and schedules against PyTorch: the same gradients must give the same parameters."""
import copy
import math
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nt = pytest.importorskip("numtorch")

CASES = [
    ("SGD", dict(lr=0.1)),
    ("SGD", dict(lr=0.1, momentum=0.9, weight_decay=0.01)),
    ("SGD", dict(lr=0.1, momentum=0.9, dampening=0.3, maximize=True)),
    ("SGD", dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)),
    ("Adam", dict(lr=0.01)),
    ("Adam", dict(lr=0.01, betas=(0.8, 0.99), weight_decay=0.1, amsgrad=True)),
    ("Adam", dict(lr=0.01, eps=1e-3, maximize=True, decoupled_weight_decay=True, weight_decay=0.1)),
    ("AdamW", dict(lr=0.01)),
    ("AdamW", dict(lr=0.01, amsgrad=True, weight_decay=0.2)),
    ("Adagrad", dict(lr=0.1)),
    ("Adagrad", dict(lr=0.1, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.5, maximize=True)),
    ("RMSprop", dict(lr=0.01)),
    ("RMSprop", dict(lr=0.01, momentum=0.9, centered=True, weight_decay=0.1)),
    ("RMSprop", dict(lr=0.01, centered=True, alpha=0.9, maximize=True)),
    ("Adadelta", dict(lr=0.5, weight_decay=0.1)),
    ("Adamax", dict(lr=0.01, weight_decay=0.1)),
    ("NAdam", dict(lr=0.01, weight_decay=0.1)),
    ("NAdam", dict(lr=0.01, weight_decay=0.1, decoupled_weight_decay=True)),
    ("RAdam", dict(lr=0.01, weight_decay=0.1)),
    ("RAdam", dict(lr=0.01, weight_decay=0.1, decoupled_weight_decay=True, betas=(0.9, 0.9))),
    ("ASGD", dict(lr=0.01, t0=3, weight_decay=0.1)),
    ("Rprop", dict(lr=0.01)),
    ("Adafactor", dict(lr=0.01, weight_decay=0.1)),
    ("Muon", dict(lr=0.01)),
]


def arrays(name, dtype="f4"):
    rng = np.random.default_rng(0)
    shapes = [(5, 7), (7, 5)] if name == "Muon" else [(5, 7), (9,), (2, 3, 4), ()]
    params = [np.asarray(rng.standard_normal(s), dtype) for s in shapes]
    grads = [[np.asarray(rng.standard_normal(s), dtype) for s in shapes] for _ in range(9)]
    return params, grads


def parameters(lib, values):
    return [lib.nn.Parameter(lib.from_numpy(v.copy())) for v in values]


def descend(lib, opt, params, grads):
    for step in grads:
        for p, g in zip(params, step):
            p.grad = lib.from_numpy(g.copy())
        opt.step()


def close(a, b, rtol=2e-6, atol=1e-7):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=rtol, atol=atol)


@pytest.mark.parametrize("name,options", CASES)
def test_same_parameters(name, options):
    values, grads = arrays(name)
    mine, theirs = parameters(nt, values), parameters(torch, values)
    a, b = getattr(nt.optim, name)(mine, **options), getattr(torch.optim, name)(theirs, **options)
    assert repr(a) == repr(b)
    descend(nt, a, mine, grads), descend(torch, b, theirs, grads)
    # Muon works in bfloat16; a centred second moment is a difference of nearly equal numbers.
    loose = {"Muon": dict(rtol=2e-2, atol=2e-3), "RMSprop": dict(rtol=2e-5)}
    tolerance = loose[name] if name == "Muon" or options.get("centered") else {}
    for p, q in zip(mine, theirs):
        close(p, q, **tolerance)
    x, y = a.state_dict(), b.state_dict()
    assert x["param_groups"] == y["param_groups"]
    assert {k: sorted(v) for k, v in x["state"].items()} == {k: sorted(v) for k, v in y["state"].items()}
    for k, entry in y["state"].items():
        for name_, value in entry.items():
            close(x["state"][k][name_], value, **tolerance)
            assert str(x["state"][k][name_].dtype) == str(value.dtype)


def moved(value, lib, other):
    "A state_dict of one library in the tensors of the other."
    if isinstance(value, dict):
        return {k: moved(v, lib, other) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(moved(v, lib, other) for v in value)
    if isinstance(value, other.Tensor):
        return lib.from_numpy(np.array(value.detach().numpy()))
    return value


@pytest.mark.parametrize("name,options", [c for c in CASES if c[0] != "Muon"])
def test_state_travels_both_ways(name, options):
    values, grads = arrays(name)
    mine, theirs = parameters(nt, values), parameters(torch, values)
    a, b = getattr(nt.optim, name)(mine, **options), getattr(torch.optim, name)(theirs, **options)
    descend(nt, a, mine, grads[:4]), descend(torch, b, theirs, grads[:4])
    to_nt, to_torch = moved(b.state_dict(), nt, torch), moved(a.state_dict(), torch, nt)
    now = [p.detach().numpy().copy() for p in theirs]
    mine, theirs = parameters(nt, now), parameters(torch, now)
    a, b = getattr(nt.optim, name)(mine, **options), getattr(torch.optim, name)(theirs, **options)
    a.load_state_dict(to_nt), b.load_state_dict(to_torch)
    descend(nt, a, mine, grads[4:]), descend(torch, b, theirs, grads[4:])
    for p, q in zip(mine, theirs):
        close(p, q, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adagrad", "RMSprop", "Adamax", "NAdam", "RAdam",
                                  "Adadelta"])
def test_rate_in_a_tensor(name):
    values, grads = arrays(name)
    mine, theirs = parameters(nt, values), parameters(torch, values)
    a = getattr(nt.optim, name)(mine, lr=nt.tensor(0.01))
    b = getattr(torch.optim, name)(theirs, lr=torch.tensor(0.01))
    descend(nt, a, mine, grads), descend(torch, b, theirs, grads)
    for p, q in zip(mine, theirs):
        close(p, q, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "Adamax", "NAdam", "RAdam", "Adadelta", "ASGD", "Rprop"])
def test_capturable_is_the_same_step(name):
    values, grads = arrays(name)
    mine, theirs = parameters(nt, values), parameters(torch, values)
    options = dict(t0=3) if name == "ASGD" else {}
    a = getattr(nt.optim, name)(mine, capturable=True, **options)
    b = getattr(torch.optim, name)(theirs, **options)
    descend(nt, a, mine, grads), descend(torch, b, theirs, grads)
    for p, q in zip(mine, theirs):
        close(p, q, rtol=2e-5, atol=2e-6)
    assert all(float(a.state[p]["step"]) == 9 for p in mine)


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adagrad", "RMSprop"])
def test_complex_parameters(name):
    rng = np.random.default_rng(0)
    value = rng.standard_normal(5) + 1j * rng.standard_normal(5)
    grads = [[rng.standard_normal(5) + 1j * rng.standard_normal(5)] for _ in range(5)]
    mine, theirs = parameters(nt, [value]), parameters(torch, [value])
    a, b = getattr(nt.optim, name)(mine, lr=0.1), getattr(torch.optim, name)(theirs, lr=0.1)
    descend(nt, a, mine, grads), descend(torch, b, theirs, grads)
    close(mine[0], theirs[0], rtol=1e-12)


@pytest.mark.parametrize("options", [dict(), dict(line_search_fn="strong_wolfe"),
                                     dict(line_search_fn="strong_wolfe", history_size=3, max_iter=50),
                                     dict(lr=0.5, max_iter=7, history_size=2)])
def test_lbfgs(options):
    results = []
    for lib in (nt, torch):
        x = lib.nn.Parameter(lib.tensor([-1.2, 1.0, 0.5, -0.3], dtype=lib.float64))
        opt = lib.optim.LBFGS([x], **{"lr": 1e-3 if not options else 1, **options})
        losses = []

        def closure(opt=opt, x=x, losses=losses):
            opt.zero_grad()
            loss = ((1 - x[:-1]) ** 2 + 5 * (x[1:] - x[:-1] ** 2) ** 2).sum()
            loss.backward()
            losses.append(loss.item())
            return loss

        for _ in range(3):
            opt.step(closure)
        results.append((losses, x.tolist(), opt.state[x]["n_iter"], opt.state[x]["func_evals"]))
    (a, x, *counts), (b, y, *theirs) = results
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(x, y, rtol=1e-8)
    assert counts == theirs


# ---- schedules

def schedules(lib):
    s = lib.optim.lr_scheduler
    return {
        "step": lambda o, **k: s.StepLR(o, 3, 0.3, **k),
        "multi": lambda o, **k: s.MultiStepLR(o, [2, 5, 5, 9], 0.5, **k),
        "exp": lambda o, **k: s.ExponentialLR(o, 0.9, **k),
        "lambda": lambda o, **k: s.LambdaLR(o, [lambda e: 0.9 ** e, lambda e: 1 / (1 + e)], **k),
        "mult": lambda o, **k: s.MultiplicativeLR(o, lambda e: 0.95, **k),
        "cos": lambda o, **k: s.CosineAnnealingLR(o, 5, 0.001, **k),
        "const": lambda o, **k: s.ConstantLR(o, 0.5, 4, **k),
        "linear": lambda o, **k: s.LinearLR(o, 0.1, 0.9, 7, **k),
        "poly": lambda o, **k: s.PolynomialLR(o, 7, 2.0, **k),
        "cyclic": lambda o, **k: s.CyclicLR(o, 0.01, 0.1, 4, 3, mode="triangular2", **k),
        "cyclic exp": lambda o,
        **k: s.CyclicLR(o, [0.01, 0.02], [0.1, 0.2], 4, mode="exp_range", gamma=0.9, **k),
        "cyclic own": lambda o, **k: s.CyclicLR(o, 0.01, 0.1, 4, scale_fn=lambda x: 0.8 ** x,
                                                scale_mode="iterations", cycle_momentum=False, **k),
        "one": lambda o, **k: s.OneCycleLR(o, 0.1, total_steps=30, **k),
        "one three": lambda o, **k: s.OneCycleLR(o, [0.1, 0.3], epochs=5, steps_per_epoch=6, three_phase=True,
                                                 anneal_strategy="linear", **k),
        "restarts": lambda o, **k: s.CosineAnnealingWarmRestarts(o, 3, 2, 0.001, **k),
        "seq": lambda o: s.SequentialLR(o, [s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9),
                                            s.CosineAnnealingLR(o, 5)], [3, 8]),
        "nested": lambda o: s.SequentialLR(o, [s.SequentialLR(o, [s.LinearLR(o, 0.1, 1, 2),
                                                                   s.StepLR(o, 2)], [2]),
                                               s.ExponentialLR(o, 0.9)], [7]),
        "chain": lambda o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 4), s.ExponentialLR(o, 0.9),
                                               s.CosineAnnealingLR(o, 6)]),
        "swa": lambda o, **k: lib.optim.swa_utils.SWALR(o, 0.01, 4, **k),
        "swa linear": lambda o, **k: lib.optim.swa_utils.SWALR(o, [0.01, 0.5], 4, "linear", **k),
    }


def optimizer(lib, kind="SGD", **options):
    p, q = lib.nn.Parameter(lib.ones(2)), lib.nn.Parameter(lib.ones(3))
    options = {"lr": 0.1, **({"momentum": 0.9} if kind == "SGD" else {}), **options}
    return getattr(lib.optim, kind)([{"params": [p]}, {"params": [q], "lr": 0.37}], **options)


def seen(opt, sched):
    g = [{k: v for k, v in g.items() if k != "params"} for g in opt.param_groups]
    return sched.get_last_lr(), [(x["lr"], x.get("momentum"), x.get("betas")) for x in g]


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", list(schedules(nt)))
def test_same_rates(name, kind):
    a, b = optimizer(nt, kind), optimizer(torch, kind)
    s, t = schedules(nt)[name](a), schedules(torch)[name](b)
    assert seen(a, s) == seen(b, t)
    for i in range(24):
        a.step(), b.step()
        if i == 13 and name not in ("one three", "one"):  # a saved state resumes in a new schedule
            state = copy.deepcopy(s.state_dict())
            plain = {k: v for k, v in t.state_dict().items() if k not in ("_schedulers", "_anneal_func")}
            assert {k: v for k, v in state.items() if k not in ("_schedulers", "_anneal_func")} == plain
            rates = [g["lr"] for g in a.param_groups]
            s = schedules(nt)[name](a)
            s.load_state_dict(state)
            for g, lr in zip(a.param_groups, rates):
                g["lr"] = lr
        s.step(), t.step()
        assert seen(a, s) == seen(b, t), i


@pytest.mark.parametrize("name", ["step", "multi", "exp", "lambda", "mult", "cos", "const", "linear", "poly",
                                  "cyclic", "restarts", "one", "swa"])
def test_resume_and_jump(name):
    pairs = []
    for lib in (nt, torch):
        opt = optimizer(lib)
        for g in opt.param_groups:
            g["initial_lr"] = g["lr"] * 2
            g["max_lr"], g["min_lr"], g["max_momentum"], g["base_momentum"] = 0.5, 0.01, 0.9, 0.8
        sched = schedules(lib)[name](opt, last_epoch=4)
        rates = [seen(opt, sched)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for epoch in (None, None, None, 3, 11, None):
                opt.step()
                sched.step(*([] if epoch is None else [epoch]))
                rates.append(seen(opt, sched))
        pairs.append(rates)
    assert pairs[0] == pairs[1]


@pytest.mark.parametrize("options", [dict(patience=2), dict(patience=0, cooldown=2, mode="max"),
                                     dict(threshold_mode="abs", threshold=0.05, patience=1, factor=0.5),
                                     dict(mode="max", threshold_mode="abs", patience=1, min_lr=[0.02, 0.1])])
def test_plateau(options):
    values = [math.sin(i) + 2 for i in range(40)]
    out = []
    for lib in (nt, torch):
        opt = optimizer(lib)
        sched = lib.optim.lr_scheduler.ReduceLROnPlateau(opt, **options)
        rows = []
        for v in values:
            sched.step(v)
            rows.append((sched.get_last_lr(), sched.best, sched.num_bad_epochs, sched.cooldown_counter))
        out.append((rows, sched.state_dict()))
    assert out[0] == out[1]


def message(f):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            f()
        except Exception as e:
            return type(e).__name__, str(e).replace("numtorch", "torch")
    return [(w.category.__name__, str(w.message)) for w in caught]


def mistakes(lib):
    o, s = lib.optim, lib.optim.lr_scheduler
    p = lib.nn.Parameter(lib.ones(2))
    q = lib.nn.Parameter(lib.ones(2, 2))
    sgd = o.SGD([p], lr=0.1)

    def load(change):
        d = sgd.state_dict()
        change(d)
        sgd.load_state_dict(d)

    yield lambda: o.SGD([p], lr=-1)
    yield lambda: o.SGD([p], lr=1, momentum=-1)
    yield lambda: o.SGD([p], lr=1, weight_decay=-1)
    yield lambda: o.SGD([p], nesterov=True)
    yield lambda: o.SGD([])
    yield lambda: o.SGD(p)
    yield lambda: o.SGD({p})
    yield lambda: o.SGD([{"params": {p}}])
    yield lambda: o.SGD([1])
    yield lambda: o.SGD([p * 2])
    yield lambda: o.SGD([("a", p), q])
    yield lambda: o.SGD([{"params": [p]}, {"params": [p]}])
    yield lambda: o.SGD([{"params": [("a", p)]}, {"params": [q]}])
    yield lambda: o.SGD([{"params": [p]}, {"params": [("a", q)]}])
    yield lambda: o.SGD([p, p])
    yield lambda: o.SGD([p], fused=True, foreach=True)
    yield lambda: o.SGD([p], lr=lib.ones(2))
    yield lambda: sgd.add_param_group([p])
    yield lambda: o.Optimizer([p])
    yield lambda: o.Optimizer([p], {}).step()
    yield lambda: o.Adam([p], betas=(1.0, 0.9))
    yield lambda: o.Adam([p], betas=(0.9, 1.0))
    yield lambda: o.Adam([p], eps=-1)
    yield lambda: o.Adam([p], fused=True, differentiable=True)
    yield lambda: o.Adam([p], lr=lib.tensor(0.1), foreach=True)
    yield lambda: o.Adam([p], betas=(0.9, lib.tensor(0.9)))
    yield lambda: o.Adagrad([p], lr_decay=-1)
    yield lambda: o.Adagrad([p], initial_accumulator_value=-1)
    yield lambda: o.RMSprop([p], alpha=-1)
    yield lambda: o.Adadelta([p], rho=2)
    yield lambda: o.NAdam([p], momentum_decay=-1)
    yield lambda: o.Rprop([p], etas=(2, 3))
    yield lambda: o.LBFGS([{"params": [p]}, {"params": [q]}])
    yield lambda: o.Adafactor([p], d=0.5)
    yield lambda: o.Adafactor([p], lr=-1)
    yield lambda: o.Muon([p])
    yield lambda: load(lambda d: d["param_groups"].append(d["param_groups"][0]))
    yield lambda: load(lambda d: d["param_groups"][0]["params"].append(7))
    yield lambda: s.StepLR(p, 3)
    yield lambda: s.StepLR(o.SGD([p]), 3, last_epoch=3)
    yield lambda: s.StepLR(o.SGD([p]), 3).step()
    yield lambda: s.StepLR(o.SGD([p]), 3).get_lr()
    yield lambda: s.LambdaLR(o.SGD([p]), [abs, abs])
    yield lambda: s.MultiplicativeLR(o.SGD([p]), 3)
    yield lambda: s.ConstantLR(o.SGD([p]), 3)
    yield lambda: s.LinearLR(o.SGD([p]), 0)
    yield lambda: s.LinearLR(o.SGD([p]), 1, 2)
    yield lambda: s.SequentialLR(o.SGD([p]), [], [])
    yield lambda: s.SequentialLR(sgd, [s.StepLR(sgd, 3)], [3])
    yield lambda: s.SequentialLR(o.SGD([q]), [s.StepLR(sgd, 3)], [])
    yield lambda: s.SequentialLR(sgd, [s.ReduceLROnPlateau(sgd)], [])
    yield lambda: s.ChainedScheduler([])
    yield lambda: s.ReduceLROnPlateau(sgd, factor=1.0)
    yield lambda: s.ReduceLROnPlateau(sgd, mode="x")
    yield lambda: s.ReduceLROnPlateau(sgd, threshold_mode="x")
    yield lambda: s.ReduceLROnPlateau(sgd, min_lr=[1, 2])
    yield lambda: s.CyclicLR(sgd, 0.1, 0.2, mode="x")
    yield lambda: s.CyclicLR(o.Adagrad([p]), 0.1, 0.2)
    yield lambda: s.CyclicLR(sgd, 0.1, [0.2, 0.3])
    yield lambda: s.CosineAnnealingWarmRestarts(sgd, 0)
    yield lambda: s.CosineAnnealingWarmRestarts(sgd, 2, 0)
    yield lambda: s.CosineAnnealingWarmRestarts(sgd, 2, eta_min="a")
    yield lambda: s.CosineAnnealingWarmRestarts(sgd, 2).step(-1)
    yield lambda: s.OneCycleLR(sgd, 0.1)
    yield lambda: s.OneCycleLR(sgd, 0.1, total_steps=0)
    yield lambda: s.OneCycleLR(sgd, 0.1, epochs=0, steps_per_epoch=1)
    yield lambda: s.OneCycleLR(sgd, 0.1, total_steps=5, pct_start=2)
    yield lambda: s.OneCycleLR(sgd, 0.1, total_steps=5, anneal_strategy="x")
    yield lambda: [s.OneCycleLR(sgd, 0.1, total_steps=1)] and [x.step() for x in [
        s.OneCycleLR(sgd, 0.1, total_steps=2)] * 3]
    yield lambda: o.swa_utils.get_ema_avg_fn(2)


def test_same_messages():
    differ = [(i, a, b) for i, (f, g) in enumerate(zip(mistakes(nt), mistakes(torch)))
              if (a := message(f)) != (b := message(g))]
    assert not differ, "\n".join(map(str, differ))


def test_averaged_model():
    out = []
    for lib in (nt, torch):
        m = lib.nn.Linear(2, 2)
        with lib.no_grad():
            m.weight.copy_(lib.arange(4.0).view(2, 2)), m.bias.zero_()
        swa = lib.optim.swa_utils
        models = [swa.AveragedModel(m), swa.AveragedModel(m, multi_avg_fn=swa.get_ema_multi_avg_fn(0.9)),
                  swa.AveragedModel(m, avg_fn=swa.get_ema_avg_fn(0.9))]
        for _ in range(3):
            with lib.no_grad():
                m.weight.add_(1)
            for a in models:
                a.update_parameters(m)
        out.append([(sorted(a.state_dict()), a.module.weight.tolist(), int(a.n_averaged)) for a in models])
    for a, b in zip(*out):
        assert a[0] == b[0] and a[2] == b[2]
        np.testing.assert_allclose(a[1], b[1], rtol=1e-6)


def test_foreach_functions():
    def lists(lib):
        a, b = ([0.5, 0.25], [[0.1, 0.2, 0.3]], 0.7), ([1.5, -0.25], [[0.1, 0.2, 3.0]], -0.7)
        return [lib.tensor(v) for v in a], [lib.tensor(v) for v in b]

    def run(lib, name, pick, **options):
        a, b = lists(lib)
        return getattr(lib, "_foreach_" + name)(*pick(a, b), **options)
    unary, both = lambda a, b: (a,), lambda a, b: (a, b)
    cases = [(n, unary, {}) for n in ("abs", "exp_", "rsqrt", "norm", "max", "clone", "zero_", "powsum")]
    cases += [(n, both, {}) for n in ("add", "sub_", "mul", "div_", "clamp_max", "maximum", "minimum",
                                      "copy_", "pow")]
    cases += [(n, lambda a, b: (a, [1.0, 2.0, 3.0]), {}) for n in ("add", "mul_", "clamp_min", "pow")]
    cases += [("add", both, dict(alpha=2)), ("norm", unary, dict(ord=1)), ("pow", lambda a, b: (2.0, a), {}),
              ("lerp", lambda a, b: (a, b, 0.3), {}), ("addcdiv_", lambda a, b: (a, b, b, 0.5), {}),
              ("addcmul", lambda a, b: (a, b, b, [1.0, 2.0, 3.0]), {}),
              ("addcmul", lambda a, b: (a, b, b), dict(value=2))]
    for name, pick, options in cases:
        mine, theirs = run(nt, name, pick, **options), run(torch, name, pick, **options)
        assert type(mine) is type(theirs)
        for x, y in zip(mine, theirs, strict=True):
            close(x, y)
