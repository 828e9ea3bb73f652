"""Optimizers and schedules by themselves; tests/parity compares their numbers with PyTorch's."""
import copy
import pickle
import warnings

import pytest

import numtorch as nt
from numtorch import optim
from numtorch.optim.lr_scheduler import LambdaLR, SequentialLR, StepLR

ALL = ["SGD", "Adam", "AdamW", "Adagrad", "RMSprop", "Adadelta", "Adamax", "NAdam", "RAdam", "ASGD", "Rprop",
       "Adafactor"]


def parameter(*values):
    return nt.nn.Parameter(nt.tensor(values or (1.0, -2.0, 3.0)))


@pytest.mark.parametrize("name", ALL)
def test_descends(name):
    p = parameter()
    opt = getattr(optim, name)([p], lr=0.05)

    def closure():
        opt.zero_grad()
        loss = (p ** 2).sum()
        loss.backward()
        return loss

    first = opt.step(closure).item()
    for _ in range(20):
        last = opt.step(closure).item()
    assert last < first == 14
    assert p.is_leaf and p.grad_fn is None


def test_sgd_by_hand():
    p = parameter(1.0)
    opt = optim.SGD([p], lr=0.5, momentum=0.5, weight_decay=1.0)
    for want in (0.0, -1.0):  # b = g + p, then b = b / 2 + g + p
        p.grad = nt.ones(1)
        opt.step()
        assert p.item() == want


def test_step_counts_are_shared_and_independent():
    p, q = parameter(1.0), parameter(2.0)
    opt = optim.Adam([p, q])
    p.grad, q.grad = nt.ones(1), nt.ones(1)
    opt.step()
    assert opt.state[p]["step"] is opt.state[q]["step"]
    q.grad = None
    opt.step()
    assert [float(opt.state[x]["step"]) for x in (p, q)] == [2, 1]
    q.grad = nt.ones(1)
    opt.step()
    assert [float(opt.state[x]["step"]) for x in (p, q)] == [3, 2]
    steps = [s["step"] for s in opt.state_dict()["state"].values()]
    assert [(s.dtype, s.shape, s.item()) for s in steps] == [(nt.float32, (), 3), (nt.float32, (), 2)]


def test_counts_are_one_again_after_compiled_steps():
    ps = [parameter(1.0) for _ in range(3)]
    opt = optim.Adam(ps)
    for p in ps:
        p.grad = nt.ones(1)
    step = nt.compile(lambda: opt.step())
    for _ in range(4):
        step()
    opt.step()
    assert len({id(opt.state[p]["step"]) for p in ps}) == 1 and opt.state[ps[2]]["step"].item() == 5


def test_state_dict_holds_own_counts():
    ps = [parameter(1.0) for _ in range(3)]
    opt = optim.Adam(ps)
    for p in ps:
        p.grad = nt.ones(1)
    opt.step()
    steps = [s["step"] for s in opt.state_dict()["state"].values()]
    steps[0].add_(1)
    assert [s.item() for s in steps[1:]] == [1, 1]


def test_capturable_switched_on_later():
    ps = [parameter(1.0) for _ in range(3)]
    opt = optim.Adam(ps)
    for _ in range(2):
        for p in ps:
            p.grad = nt.ones(1)
        opt.step()
        opt.param_groups[0]["capturable"] = True
    assert [opt.state[p]["step"].item() for p in ps] == [2, 2, 2]


@pytest.mark.parametrize("name", [*ALL, "LBFGS"])
def test_saved_state_goes_on(name):
    def steps(p, opt, n):
        def closure():
            opt.zero_grad()
            loss = ((p - 0.3) ** 2).sum()
            loss.backward()
            return loss
        for _ in range(n):
            opt.step(closure)

    p, q = parameter(), parameter()
    a = getattr(optim, name)([p], lr=0.1)
    steps(p, a, 3)
    b = getattr(optim, name)([q], lr=0.7)
    with nt.no_grad():
        q.copy_(p)
    b.load_state_dict(copy.deepcopy(a.state_dict()))
    assert b.param_groups[0]["lr"] == 0.1 and b.param_groups[0]["params"][0] is q
    steps(p, a, 3), steps(q, b, 3)
    assert nt.equal(p, q)


def test_loading_casts_to_the_parameter():
    p, q = parameter(), nt.nn.Parameter(nt.ones(3, dtype=nt.float64))
    a, b = optim.Adam([p]), optim.Adam([q])
    p.grad = nt.ones(3)
    a.step()
    b.load_state_dict(a.state_dict())
    assert b.state[q]["exp_avg"].dtype == nt.float64 and b.state[q]["step"].dtype == nt.float32


def test_old_checkpoints_hold_counts_as_numbers():
    p = parameter()
    opt = optim.Adam([p])
    p.grad = nt.ones(3)
    opt.step()
    state = opt.state_dict()
    state["state"][0]["step"] = 7
    del state["param_groups"][0]["amsgrad"]
    opt.load_state_dict(state)
    opt.step()
    assert opt.state[p]["step"].item() == 8 and opt.param_groups[0]["amsgrad"] is False


def test_pickle_and_copy():
    p = parameter()
    opt = optim.Adam([p], lr=0.3)
    p.grad = nt.ones(3)
    opt.register_step_pre_hook(lambda *a: None)
    opt.step()
    for twin in (copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))):
        q = twin.param_groups[0]["params"][0]
        assert q is not p and nt.equal(q, p) and nt.equal(twin.state[q]["exp_avg"], opt.state[p]["exp_avg"])
        q.grad = nt.ones(3)
        twin.step()
        assert not nt.equal(q, p)


class Sign(optim.Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, dict(lr=lr))

    def step(self, closure=None):
        with nt.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.add_(p.grad.sign(), alpha=-group["lr"])


def test_hooks():
    p = parameter(1.0)
    p.grad = nt.ones(1)
    opt, seen = Sign([p]), []
    handles = [opt.register_step_pre_hook(lambda o, a, k: seen.append(("pre", o is opt, a == (opt,)))),
               opt.register_step_post_hook(lambda o, a, k: seen.append("post")),
               optim.optimizer.register_optimizer_step_pre_hook(lambda o, a, k: seen.append("all")),
               opt.register_state_dict_post_hook(lambda o, d: d.update(extra=1)),
               opt.register_load_state_dict_pre_hook(lambda o, d: seen.append(d.get("extra"))),
               opt.register_load_state_dict_post_hook(lambda o: seen.append("loaded"))]
    opt.step()
    opt.load_state_dict(opt.state_dict())
    assert seen == ["all", ("pre", True, True), "post", 1, "loaded"]
    for h in handles:
        h.remove()
    opt.step()
    assert len(seen) == 5
    bad = opt.register_step_pre_hook(lambda *a: 3)
    with pytest.raises(RuntimeError, match="must return None or a tuple of \\(new_args, new_kwargs\\)"):
        opt.step()
    bad.remove()


def test_hooks_of_a_subclass_run_once():
    class Louder(Sign):
        def step(self, closure=None):
            return super().step(closure)

    p = parameter(1.0)
    p.grad = nt.ones(1)
    opt, seen = Louder([p]), []
    opt.register_step_post_hook(lambda *a: seen.append(1))
    opt.step()
    assert seen == [1]


def test_base_without_arguments():
    class Wrong(optim.Optimizer):
        def __init__(self, params):
            super().__init__()

    with pytest.raises(TypeError, match="missing 2 required positional arguments: 'params' and 'defaults'"):
        Wrong([parameter()])


def test_zero_grad():
    p = parameter(1.0)
    opt = Sign([p])
    p.grad = nt.ones(1)
    opt.zero_grad(set_to_none=False)
    assert p.grad.item() == 0
    opt.zero_grad()
    assert p.grad is None


@pytest.mark.parametrize("name", ALL[:-3])
def test_differentiable_steps(name):
    "The gradient through three steps, with respect to a factor of their gradients, is that of differences."
    def run(a):
        p = nt.tensor([1.0, -2.0], dtype=nt.float64, requires_grad=True).clone()
        options = {"momentum": 0.9} if name == "SGD" else {}
        opt = getattr(optim, name)([p], lr=0.1, differentiable=True, **options)
        for k in range(3):
            p.grad = a * nt.tensor([0.3, -0.7], dtype=nt.float64) * (k + 1) + a ** 2
            opt.step()
        return (p ** 2).sum()

    a = nt.tensor(1.3, dtype=nt.float64, requires_grad=True)
    (g,) = nt.autograd.grad(run(a), a)
    with nt.no_grad():
        slope = (run(a + 1e-6) - run(a - 1e-6)) / 2e-6
    assert abs(g.item() - slope.item()) < 1e-5 * max(1, abs(slope.item()))


def test_rates_in_use():
    p = parameter(1.0)
    opt = optim.SGD([p], lr=1.0)
    s = StepLR(opt, 2, 0.5)
    rates = []
    for _ in range(5):
        opt.step()
        rates.append(opt.param_groups[0]["lr"])
        s.step()
    assert rates == [1, 1, 0.5, 0.5, 0.25] and s.get_last_lr() == [0.25]


def test_rate_in_a_tensor_keeps_the_tensor():
    lr = nt.tensor(1.0)
    opt = optim.SGD([parameter(1.0)], lr=lr)
    s = StepLR(opt, 1, 0.5)
    opt.step(), s.step()
    assert opt.param_groups[0]["lr"] is lr and lr.item() == 0.5 and s.base_lrs[0].item() == 1


def test_order_of_steps_is_watched():
    opt = optim.SGD([parameter(1.0)], lr=1.0)
    s = StepLR(opt, 2)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        s.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt.step(), s.step()


def test_lambda_objects_are_saved():
    class Decay:
        def __init__(self, rate):
            self.rate = rate

        def __call__(self, epoch):
            return self.rate ** epoch

    opt = optim.SGD([parameter(1.0)], lr=1.0)
    s, t = LambdaLR(opt, Decay(0.5)), LambdaLR(opt, Decay(0.9))
    t.load_state_dict(s.state_dict())
    assert t.lr_lambdas[0].rate == 0.5 and LambdaLR(opt, lambda e: 1.0).state_dict()["lr_lambdas"] == [None]


def test_sequence_state():
    def make():
        opt = optim.SGD([parameter(1.0)], lr=1.0)
        return opt, SequentialLR(opt, [StepLR(opt, 1, 0.5), StepLR(opt, 1, 0.1)], [3])

    (a, s), (b, t) = make(), make()
    for _ in range(4):
        a.step(), s.step()
    t.load_state_dict(copy.deepcopy(s.state_dict()))
    b.load_state_dict(a.state_dict())
    for _ in range(2):
        a.step(), b.step(), s.step(), t.step()
        assert s.get_last_lr() == t.get_last_lr()
