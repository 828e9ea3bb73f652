"""torch.func: vmap against loops, derivatives against finite differences, nesting, and what is refused."""
import pytest

import numtorch as torch
import numtorch.nn.functional as F
from numtorch.func import (
    functional_call,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    stack_module_state,
    vjp,
    vmap,
)
from numtorch.utils import _pytree as tree


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def rand(*size):
    return torch.randn(*size, dtype=torch.float64)


def same(got, want, near=1e-9):
    assert tuple(got.shape) == tuple(want.shape)
    assert torch.allclose(got, want, rtol=near, atol=near, equal_nan=True), (got, want)


def looped(f, *xs):
    return torch.stack([f(*[x[i] for x in xs]) for i in range(len(xs[0]))])


def differences(f, x, step=1e-6):
    """The Jacobian of f at x by central differences: (*out.shape, *x.shape)."""
    columns = []
    for i in range(x.numel()):
        d = torch.zeros(x.numel(), dtype=x.dtype)
        d[i] = step
        d = d.reshape(x.shape)
        columns.append((f(x + d) - f(x - d)) / (2 * step))
    out = torch.stack(columns, -1)
    return out.reshape((*columns[0].shape, *x.shape))


# ------------------------------------------------------------------------------------------------ derivatives
def energy(x):
    return (x.sin() * x.flip(0).exp()).sum() + (x @ x) ** 2


def curve(x):
    return torch.stack([x[0] * x[1], x.prod(), (x ** 2).sum().sqrt(), x[2].tanh()])


def test_gradients():
    x = rand(3)
    same(grad(energy)(x), differences(energy, x), 1e-5)
    g, value = grad_and_value(energy)(x)
    same(value, energy(x))
    assert not g.requires_grad and not value.requires_grad
    (g0, g1), aux = grad(lambda a, b: ((a * b).sum(), a), argnums=(0, 1), has_aux=True)(x, 2 * x)
    same(g0, 2 * x)
    same(g1, x)
    same(aux, x)
    tree_g = grad(lambda p: (p["a"] * p["b"][0]).sum())({"a": x, "b": [3 * x]})
    same(tree_g["a"], 3 * x)
    same(tree_g["b"][0], x)


def test_gradients_nest():
    x = rand(())
    f = lambda t: t ** 5  # noqa: E731
    same(grad(grad(grad(f)))(x), 60 * x ** 2)
    # perturbations of different levels are not confused
    one = torch.ones((), dtype=torch.float64)
    same(grad(lambda a: a * grad(lambda b: a + b)(one))(x), one)
    same(grad(lambda a: a * grad(lambda b: a * b * b)(x.detach()))(x), 4 * x * x)


def test_outer_tape():
    "Tensors that require grad stay differentiable through a transformation; no_grad outside cuts them off."
    w = rand(3).requires_grad_()
    g = grad(lambda x: (w * x ** 2).sum())(torch.ones(3, dtype=torch.float64))
    assert g.requires_grad
    g.sum().backward()
    same(w.grad, torch.full((3,), 2.0, dtype=torch.float64))
    with torch.no_grad():
        g = grad(lambda x: (w * x ** 2).sum())(w)
    assert not g.requires_grad
    same(g, 2 * w.detach() ** 2)


def test_no_grad_inside():
    def f(x):
        with torch.no_grad():
            c = x ** 2
        return (x ** 2 - c).sum()
    same(grad(f)(rand(3)) * 0 + 1, torch.ones(3, dtype=torch.float64))
    x = rand(3)
    same(grad(f)(x), 2 * x)


def test_vjp_and_jvp():
    x, v = rand(3), rand(3)
    y, pull = vjp(curve, x)
    j = differences(curve, x)
    same(y, curve(x))
    u = rand(4)
    (got,) = pull(u)
    same(got, u @ j, 1e-5)
    y, t = jvp(curve, (x,), (v,))
    same(t, j @ v, 1e-5)
    assert not t.requires_grad and not y.requires_grad
    y, push = linearize(curve, x)
    same(push(v), j @ v, 1e-5)
    same(push(2 * v), 2 * (j @ v), 1e-5)
    (a, b), (ta, tb), aux = jvp(lambda p, q: ((p * q, q + 1), p), (x, v), (v, x), has_aux=True)
    same(ta, v * v + x * x)
    same(tb, x)
    same(aux, x)
    y, t = jvp(lambda p: torch.ones(2), (x,), (v,))
    same(t, torch.zeros(2))


def test_dual_numbers():
    from numtorch.autograd import forward_ad as dual
    x, v, w = rand(3), rand(3), rand(3).requires_grad_()
    with dual.dual_level():
        a = dual.make_dual(x, v)
        y, t = dual.unpack_dual(a.sin() * 2)
        same(y, 2 * x.sin())
        same(t, 2 * v * x.cos())
        assert not y.requires_grad and not t.requires_grad
        same(dual.unpack_dual(a).tangent, v)
        assert dual.unpack_dual(x).tangent is None and dual.unpack_dual(w * 2).tangent is None
        same(torch.autograd.grad(dual.unpack_dual((a * w).exp()).tangent.sum(), w)[0],
             grad(lambda b: jvp(lambda c: (c * b).exp(), (x,), (v,))[1].sum())(w.detach()))
        with pytest.raises(RuntimeError, match="Nested forward mode AD"):
            dual.enter_dual_level()
        with pytest.raises(RuntimeError, match="has a different size"):
            dual.make_dual(x, v[:2])
    with pytest.raises(RuntimeError, match="no level exists"):
        dual.make_dual(x, v)


@pytest.mark.parametrize("jac", [jacrev, jacfwd])
def test_jacobians(jac):
    x = rand(3)
    same(jac(curve)(x), differences(curve, x), 1e-5)
    m = rand(2, 3)
    same(jac(lambda a: a @ m.T)(rand(4, 3)), differences(lambda a: a @ m.T, rand(4, 3)), 1e-5)
    got = jac(lambda a, b: {"p": a * b, "q": a.sum()}, argnums=(0, 1))(x, 2 * x)
    same(got["p"][0], torch.diag(2 * x))
    same(got["p"][1], torch.diag(x))
    same(got["q"][0], torch.ones(3, dtype=torch.float64))
    same(got["q"][1], torch.zeros(3, dtype=torch.float64))
    value, aux = jac(lambda a: (a * a, a), has_aux=True)(x)
    same(value, torch.diag(2 * x))
    same(aux, x)
    second = jac(jac(curve))(x)
    same(second, differences(lambda t: jac(curve)(t), x), 1e-5)


def test_hessians():
    x = rand(3)
    want = differences(grad(energy), x)
    for h in (hessian(energy), jacrev(jacrev(energy)), jacrev(jacfwd(energy)), jacfwd(jacfwd(energy))):
        same(h(x), want, 1e-5)
    xs = rand(4, 3)
    same(vmap(hessian(energy))(xs), looped(hessian(energy), xs))
    same(jacrev(curve, chunk_size=1)(x), jacrev(curve)(x))
    same(jacrev(curve, chunk_size=3)(x), jacrev(curve)(x))


# ------------------------------------------------------------------------------------------------ vmap
def test_dimensions():
    x, y = rand(4, 3), rand(3, 4)
    same(vmap(lambda a, b: a * b, in_dims=(0, 1))(x, y), x * y.T)
    same(vmap(lambda a, b: a * b, in_dims=(0, -1), out_dims=1)(x, y), (x * y.T).T)
    same(vmap(lambda a, b: a.sum() + b, in_dims=(0, None))(x, y), x.sum(1).reshape(4, 1, 1) + y)
    out = vmap(lambda d: {"s": d["a"] + d["b"][0], "a": d["a"]}, in_dims=({"a": 0, "b": [None]},),
               out_dims={"s": 1, "a": 0})({"a": x, "b": [y[:, 0]]})
    same(out["s"], (x + y[:, 0]).T)
    same(out["a"], x)
    same(vmap(lambda a: torch.ones(2))(x), torch.ones(4, 2))
    same(vmap(vmap(torch.dot, in_dims=(None, 1)), in_dims=(0, None))(x, y), x @ y)
    same(vmap(lambda a: a ** 2, chunk_size=3)(x), x ** 2)
    value, none = vmap(lambda a: (a, None), out_dims=(0, None))(x)
    assert none is None


def test_promotion_of_numbers():
    "A 0-d sample promotes as a 0-d tensor."
    half = torch.ones(3, dtype=torch.float16)
    assert vmap(lambda a: half * a)(torch.ones(2, dtype=torch.float32)).dtype is torch.float16
    assert vmap(lambda a: half * a)(torch.ones(2, 3, dtype=torch.float32)).dtype is torch.float32
    assert vmap(lambda a: a + 1.5)(torch.ones(2, dtype=torch.int64)).dtype is torch.float32


def test_writes():
    x = rand(4, 3)

    def f(a):
        out = torch.zeros_like(a)
        out[1:] = a[:-1]
        out[0].fill_(7)
        out.mul_(a).add_(1)
        return out

    same(vmap(f)(x), looped(f, x))
    same(vmap(grad(lambda a: f(a).exp().sum()))(x), looped(grad(lambda a: f(a).exp().sum()), x))
    before = x.clone()
    vmap(lambda a: a.add_(1))(x)
    same(x, before + 1)
    with pytest.raises(RuntimeError, match="vmap: inplace arithmetic"):
        vmap(lambda a: torch.zeros(3, dtype=torch.float64).add_(a))(x)
    with pytest.raises(RuntimeError, match="vmap: inplace arithmetic"):
        vmap(lambda a, b: a.copy_(b), in_dims=(None, 0))(torch.zeros(3, dtype=torch.float64), x)


@pytest.mark.parametrize("fn", [
    lambda a: a[1:].cumsum(0), lambda a: a[torch.tensor([2, 0])], lambda a: a.sort().values,
    lambda a: a.max(0)[0],
    lambda a: a.softmax(0), lambda a: F.layer_norm(a, (3,)), lambda a: a.unfold(0, 2, 1), lambda a: a.std(),
    lambda a: torch.cat([a, a * 2]), lambda a: a.expand(2, 3).t(), lambda a: a.reshape(3, 1).squeeze(-1),
    lambda a: (a.outer(a) + torch.eye(3, dtype=a.dtype)).det(),
    lambda a: torch.fft.rfft(a).abs(), lambda a: a.roll(1, 0), lambda a: a.prod(),
    lambda a: torch.where(a > 0, a, 0.0), lambda a: a.view(1, 3, 1).transpose(0, 1).permute(2, 1, 0),
    lambda a: a.norm(), lambda a: F.one_hot(a.argmax(0), 3) * a, lambda a: torch.linalg.solve(
        torch.eye(3, dtype=a.dtype) + a.outer(a), a)])
def test_operations(fn):
    x = rand(4, 3)
    same(vmap(fn)(x), looped(fn, x))
    same(vmap(fn, in_dims=1)(x.T.contiguous()), looped(fn, x))
    g = grad(lambda a: (fn(a) ** 2).sum())
    same(vmap(g)(x), looped(g, x))
    outer = grad(lambda b: (vmap(fn)(b) ** 2).sum())
    same(outer(x), looped(g, x))


def test_indices_of_each_sample():
    x, i, j = rand(4, 5, 6, 2), torch.randint(5, (4, 3)), torch.randint(6, (4, 3))
    for f in (lambda a, k, m: a[k], lambda a, k, m: a[:, m], lambda a, k, m: a[k, m],
              lambda a, k, m: a[k, :, 1],
              lambda a, k, m: a.index_select(0, k), lambda a, k, m: a[..., m % 2],
              lambda a, k, m: a.clone().index_put((k, m), torch.ones((), dtype=a.dtype), True),
              lambda a, k, m: a.gather(0, k.reshape(3, 1, 1).expand(3, 6, 2)), lambda a, k, m: a.take(m)):
        for dims in ((0, 0, 0), (0, None, None), (None, 0, 0), (0, 0, None), (None, None, 0)):
            xs = [v if d == 0 else v[0] for v, d in zip((x, i, j), dims)]
            want = torch.stack([f(*[v[n] if d == 0 else v for v, d in zip(xs, dims)]) for n in range(4)])
            same(vmap(f, in_dims=dims)(*xs), want)


# ------------------------------------------------------------------------------------------------ models
def test_gradients_of_each_sample():
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
                              torch.nn.Flatten(), torch.nn.Linear(16, 8), torch.nn.LayerNorm(8),
                              torch.nn.Linear(8, 3)).double()
    params = {k: v.detach() for k, v in net.named_parameters()}
    x, y = rand(5, 2, 6, 6), torch.randint(3, (5,))

    def loss(p, a, b):
        return F.cross_entropy(functional_call(net, p, (a.unsqueeze(0),)), b.unsqueeze(0))

    got = vmap(grad(loss), in_dims=(None, 0, 0))(params, x, y)
    for i in range(5):
        net.zero_grad()
        F.cross_entropy(net(x[i:i + 1]), y[i:i + 1]).backward()
        for k, p in net.named_parameters():
            same(got[k][i], p.grad)
    assert all(p.grad is not None for p in net.parameters()) and next(net.parameters()).requires_grad


def test_ensembles():
    nets = [torch.nn.Linear(3, 2) for _ in range(4)]
    params, buffers = stack_module_state(nets)
    x = torch.randn(5, 3)
    forward = vmap(lambda p, b, a: functional_call(nets[0], (p, b), (a,)), in_dims=(0, 0, None))
    got = forward(params, buffers, x)
    same(got, torch.stack([n(x) for n in nets]), 1e-5)
    assert all(p.requires_grad and p.is_leaf for p in params.values())


def test_functional_call():
    net = torch.nn.Linear(2, 2)
    before = dict(net.named_parameters())
    out = functional_call(net, {"weight": torch.eye(2)}, torch.ones(1, 2))
    same(out, torch.ones(1, 2) + net.bias)
    assert dict(net.named_parameters())["weight"] is before["weight"]
    with pytest.raises(RuntimeError, match="Missing key"):
        functional_call(net, {"weight": torch.eye(2)}, torch.ones(1, 2), strict=True)
    with pytest.raises(ValueError, match="appeared in multiple dictionaries"):
        functional_call(net, ({"weight": torch.eye(2)}, {"weight": torch.eye(2)}), torch.ones(1, 2))
    norm = torch.nn.BatchNorm1d(2)
    state = {k: v.clone() for k, v in norm.state_dict().items()}
    functional_call(norm, state, torch.randn(4, 2))
    assert state["num_batches_tracked"] == 1 and norm.num_batches_tracked == 0


class Cube(torch.autograd.Function):
    """x³ whose gradient is said to be 5 x²."""

    @staticmethod
    def forward(x):
        return x ** 3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 5 * x ** 2 * g


class Generated(Cube):
    generate_vmap_rule = True


class Own(Cube):
    @staticmethod
    def vmap(info, in_dims, x):
        assert info.batch_size == 4 and in_dims == (0,)
        return Own.apply(x), 0


def test_functions_of_ones_own():
    x = rand(4, 3)
    same(grad(lambda a: Cube.apply(a).sum())(x), 5 * x ** 2)
    for fn in (Generated.apply, Own.apply):
        same(vmap(fn)(x), x ** 3)
        same(vmap(grad(lambda a, fn=fn: fn(a).sum()))(x), 5 * x ** 2)
        same(vmap(grad(lambda a, fn=fn: grad(lambda b: fn(b).sum())(a).sum()))(x), 10 * x)
    same(grad(lambda a: vmap(Own.apply)(a).sum())(x), 5 * x ** 2)
    with pytest.raises(NotImplementedError, match="derivative outside vmap of Generated"):
        grad(lambda a: vmap(Generated.apply)(a).sum())(x)
    with pytest.raises(RuntimeError, match="You tried to vmap over Cube"):
        vmap(Cube.apply)(x)


# ------------------------------------------------------------------------------------------------ randomness
def test_randomness():
    x = torch.zeros(4, 3)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(lambda a: a + torch.rand(3))(x)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(lambda a: F.dropout(a + 1))(x)
    alike = vmap(lambda a: a + torch.rand(3), randomness="same")(x)
    assert (alike == alike[0]).all()
    for f in (lambda a: a + torch.rand(3), torch.rand_like, lambda a: F.dropout(a + 1),
              lambda a: a.clone().normal_(),
              lambda a: a + torch.randn(3), lambda a: torch.bernoulli(a + 0.5)):
        apart = vmap(f, randomness="different")(x)
        assert tuple(apart.shape) == (4, 3) and (apart != apart[0]).any()
    draw = lambda b: b + torch.rand(())  # noqa: E731
    nested = vmap(vmap(draw, randomness="same"), randomness="different")(x)
    assert (nested == nested[:, :1]).all() and (nested != nested[0]).any()
    nested = vmap(vmap(draw, randomness="different"), randomness="same")(x)
    assert (nested == nested[:1]).all() and (nested != nested[:, :1]).any()


# ------------------------------------------------------------------------------------------------ refusals
@pytest.mark.parametrize("kind,words,call", [
    (ValueError, "expected `in_dims` to be int or a", lambda x: vmap(torch.sin, in_dims=[0])(x)),
    (ValueError, "got no inputs", lambda x: vmap(torch.sin)()),
    (ValueError, "in_dims is not compatible with the str", lambda x: vmap(torch.sin, in_dims=(0, 0))(x)),
    (ValueError, "Got in_dim=5 for some input", lambda x: vmap(torch.sin, in_dims=5)(x)),
    (ValueError, "We cannot vmap over non-Tensor", lambda x: vmap(torch.add)(x, 1)),
    (ValueError, "Expected at least one Tensor", lambda x: vmap(torch.sin, in_dims=(None,))(x)),
    (ValueError, "Expected all tensors to have the same size", lambda x: vmap(torch.add)(x, x[:2])),
    (ValueError, "can not return a BatchedTensor when out_dim", lambda x: vmap(torch.sin, out_dims=None)(x)),
    (ValueError, "must only return Tensors", lambda x: vmap(lambda a: 3)(x)),
    (ValueError, "out_dims is not compatible", lambda x: vmap(torch.sin, out_dims=(0, 0))(x)),
    (RuntimeError, "Only allowed values for randomness", lambda x: vmap(torch.sin, randomness="some")(x)),
    (RuntimeError, "calling .item\\(\\) on a Tensor", lambda x: vmap(lambda a: a.sum().item())(x)),
    (RuntimeError, "data-dependent control flow", lambda x: vmap(lambda a: a if a.sum() > 0 else -a)(x)),
    (RuntimeError, "can output dynamic shape", lambda x: vmap(torch.nonzero)(x)),
    (RuntimeError, "to return a scalar Tensor", lambda x: grad(torch.sin)(x)),
    (RuntimeError, "to return a Tensor, got", lambda x: grad(lambda a: 3.0)(x)),
    (RuntimeError, "should be a tuple: \\(output, aux\\)", lambda x: grad(torch.sum, has_aux=True)(x)),
    (RuntimeError, "Got argnum=3, but only 1 positional", lambda x: grad(torch.sum, argnums=3)(x)),
    (RuntimeError, "argnums must be non-empty", lambda x: grad(torch.sum, argnums=())(x)),
    (RuntimeError, "same pytree|pytree structure of cotangents", lambda x: vjp(torch.sin, x)[1]((x, x))),
    (RuntimeError, "Expected primals to be a tuple", lambda x: jvp(torch.sin, x, x)),
    (RuntimeError, "to have the same python structure", lambda x: jvp(torch.sin, (x,), (x, x))),
    (RuntimeError, "call Tensor.requires_grad_", lambda x: grad(lambda a: a.requires_grad_().sum())(x)),
    (RuntimeError, "backward\\(\\) called inside", lambda x: grad(lambda a: a.sum().backward())(x)),
    (RuntimeError, "different inplace randomness", lambda x: vmap(
        lambda a: torch.zeros(3).normal_() + a, randomness="different")(x)),
    (ValueError, "must be Tensor, got", lambda x: grad(lambda a: a)(2.0)),
])
def test_refusals(kind, words, call):
    with pytest.raises(kind, match=words):
        call(rand(4, 3))


def test_trees():
    x = {"a": [1, (2, None)], "b": ()}
    leaves, spec = tree.tree_flatten(x)
    assert leaves == [1, 2, None] and spec.unflatten(leaves) == x
    assert tree.tree_map(lambda v: v and v + 1, x) == {"a": [2, (3, None)], "b": ()}
    assert tree.keystr(tree.tree_leaves_with_path(x)[1][0]) == "['a'][1][0]"
    with pytest.raises(ValueError, match="Node arity mismatch"):
        tree.tree_map(lambda a, b: a, (1, 2), (1,))
