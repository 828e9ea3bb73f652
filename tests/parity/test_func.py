"""torch.func against PyTorch's: transformations and their errors; and over PyTorch's database of operators,
vmap(op) against the op on every sample, where PyTorch's vmap takes the op."""
import itertools
import re
import zlib

import numpy as np
import pytest

import numtorch
import numtorch.func as ours

torch = pytest.importorskip("torch")
database = pytest.importorskip("torch.testing._internal.common_methods_invocations").op_db
theirs = torch.func
pytestmark = pytest.mark.filterwarnings("ignore")
tree = torch.utils._pytree


def carried(v):
    """A value of PyTorch as numtorch's."""
    if isinstance(v, torch.Tensor):
        v = v.detach().resolve_conj().resolve_neg()
        if v.dtype is torch.bfloat16:
            return numtorch.tensor(v.float().numpy()).bfloat16()
        return numtorch.tensor(v.contiguous().numpy().copy())
    if isinstance(v, torch.dtype | torch.memory_format):
        return getattr(numtorch, str(v).removeprefix("torch."))
    if isinstance(v, torch.layout):
        return numtorch.strided
    return numtorch.device(str(v)) if isinstance(v, torch.device) else v


def array(t) -> np.ndarray:
    t = t.detach()
    return (t.float() if str(t.dtype) == "torch.bfloat16" else t).numpy()


# ------------------------------------------------------------------------------------------- transformations
def f(m, x, y):
    return (m.tanh(x @ y) * x.sum()).exp().sum() + (x[0] * y[:, 0].sin()).sum()


def g(m, x, y):
    return m.softmax(x @ y, -1), {"n": x.norm() * y.mean(0)}


PROGRAMS = {
    "grad": lambda m, F, x, y: F.grad(lambda a: f(m, a, y))(x),
    "grad of two": lambda m, F, x, y: F.grad(lambda a, b: f(m, a, b), argnums=(1, 0))(x, y),
    "grad_and_value": lambda m, F, x, y: F.grad_and_value(lambda a: (f(m, a, y), a), has_aux=True)(x),
    "hessian": lambda m, F, x, y: F.hessian(lambda a: f(m, a, y))(x),
    "jacrev": lambda m, F, x, y: F.jacrev(lambda a, b: g(m, a, b), argnums=(0, 1))(x, y),
    "jacfwd": lambda m, F, x, y: F.jacfwd(lambda a, b: g(m, a, b), argnums=(0, 1))(x, y),
    "jacrev of jacfwd": lambda m, F, x, y: F.jacrev(F.jacfwd(lambda a: g(m, a, y)))(x),
    "jvp": lambda m, F, x, y: F.jvp(lambda a, b: g(m, a, b), (x, y), (x * 2, y + 1)),
    "vjp": lambda m, F, x, y: F.vjp(lambda a, b: g(m, a, b)[0], x, y)[1](m.ones_like(x @ y)),
    "linearize": lambda m, F, x, y: F.linearize(lambda a: g(m, a, y), x)[1](x + 1),
    "grad of a vjp": lambda m, F, x, y: F.grad(
        lambda a: (F.vjp(lambda b: g(m, b, y)[0], a)[1](a @ y)[0] ** 2).sum())(x),
    "vmap": lambda m, F, x, y: F.vmap(lambda a: f(m, a.outer(a), y[:3, :3]))(x),
    "vmap of grad": lambda m, F, x, y: F.vmap(F.grad(lambda a, b: (a @ b).sin().sum()), (0, None))(x, y),
    "vmap of grad by the shared": lambda m, F, x, y: F.vmap(
        F.grad(lambda a, b: (a @ b).sin().sum(), argnums=1), (0, None))(x, y),
    "grad of vmap of grad": lambda m, F, x, y: F.grad(lambda b: (F.vmap(
        F.grad(lambda a, c: (a @ c).sin().sum()), (0, None))(x, b) ** 2).sum())(y),
    "vmap of vmap of grad": lambda m, F, x, y: F.vmap(F.vmap(F.grad(lambda a, b: (a * b).exp()), (None, 0)),
                                                      (0, None), out_dims=1)(x[0], y[0]),
    "vmap of jacfwd": lambda m, F, x, y: F.vmap(F.jacfwd(lambda a: a.cumsum(0) * a.max()), 1, 2)(x),
    "jacrev of vmap": lambda m, F, x, y: F.jacrev(F.vmap(lambda a: a.sort().values[:2].prod()))(x),
    "vmap of hessian": lambda m, F, x, y: F.vmap(F.hessian(lambda a: (a.outer(a) @ a).sin().sum()))(x),
    "vmap of writes": lambda m, F, x, y: F.vmap(F.grad(lambda a: written(m, a).sum()))(x),
}


def written(m, a):
    out = m.zeros_like(a)
    out[1:] = a[:-1] * a[1:]
    out.mul_(a)
    out[0] = a[0].exp()
    return out


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    torch.manual_seed(3)
    x, y = torch.randn(4, 3, dtype=torch.float64), torch.randn(3, 3, dtype=torch.float64)
    want, spec = tree.tree_flatten(PROGRAMS[name](torch, theirs, x, y))
    got, ours_spec = tree.tree_flatten(PROGRAMS[name](numtorch, ours, carried(x), carried(y)))
    assert spec == ours_spec
    for a, b in zip(want, got):
        assert tuple(a.shape) == tuple(b.shape) and not b.requires_grad
        np.testing.assert_allclose(array(b), array(a), rtol=1e-9, atol=1e-10)


REFUSED = [
    lambda m, F, x: F.vmap(m.sin, in_dims=[0])(x), lambda m, F, x: F.vmap(m.sin)(),
    lambda m, F, x: F.vmap(m.sin, in_dims=(0, 0))(x), lambda m, F, x: F.vmap(m.sin, in_dims=3)(x),
    lambda m, F, x: F.vmap(m.add)(x, 2), lambda m, F, x: F.vmap(m.sin, in_dims=(None,))(x),
    lambda m, F, x: F.vmap(m.add)(x, x[:1]), lambda m, F, x: F.vmap(m.sin, in_dims=("a",))(x),
    lambda m, F, x: F.vmap(m.sin, out_dims=None)(x), lambda m, F, x: F.vmap(lambda a: 1)(x),
    lambda m, F, x: F.vmap(lambda a: (a, a), out_dims=(0,))(x),
    lambda m, F, x: F.vmap(m.sin, out_dims="a")(x),
    lambda m, F, x: F.vmap(m.sin, chunk_size=0)(x), lambda m, F, x: F.vmap(m.sin, randomness="x")(x),
    lambda m, F, x: F.vmap(lambda a: a.sum().item())(x),
    lambda m, F, x: F.vmap(lambda a: 1 if a.sum() > 0 else 2)(x),
    lambda m, F, x: F.vmap(lambda a: a + m.rand(3))(x),
    lambda m, F, x: F.vmap(lambda a: m.zeros(3, dtype=a.dtype).mul_(a))(x),
    lambda m, F, x: F.vmap(m.nonzero)(x),
    lambda m, F, x: F.grad(m.sin)(x), lambda m, F, x: F.grad(lambda a: 2)(x),
    lambda m, F, x: F.grad(m.sum, argnums=2)(x),
    lambda m, F, x: F.grad(m.sum, has_aux=True)(x), lambda m, F, x: F.grad(m.sum, argnums=(0, 0))(x),
    lambda m, F, x: F.jvp(m.sin, x, x), lambda m, F, x: F.jvp(m.sin, (x,), (x, x)),
    lambda m, F, x: F.jvp(lambda a: m.ones(2), (x,), (x,), strict=True),
    lambda m, F, x: F.vjp(lambda a: a > 0, x), lambda m, F, x: F.jacrev(m.sin, chunk_size=0)(x),
    lambda m, F, x: F.stack_module_state([]),
    lambda m, F, x: F.functional_call(m.nn.Linear(2, 2), 3, x),
]


@pytest.mark.parametrize("i", range(len(REFUSED)))
def test_refusals(i):
    x = torch.ones(4, 3, dtype=torch.float64)
    with pytest.raises(Exception) as want:
        REFUSED[i](torch, theirs, x)
    with pytest.raises(Exception) as got:
        REFUSED[i](numtorch, ours, carried(x))
    assert type(got.value) is type(want.value)

    def first(e):
        return re.sub(r"numtorch\.\w+|torch", "torch", str(e.value).splitlines()[0])
    assert first(got) == first(want)


# ------------------------------------------------------------------------------------------- the database
LEFT_OUT = {
    "random numbers": {"rand_like", "randn_like", "randint_like", "multinomial", "normal", "bernoulli",
                       "randn", "rand", "nn.functional.dropout", "nn.functional.dropout2d",
                       "nn.functional.dropout3d",
                       "nn.functional.alpha_dropout", "nn.functional.feature_alpha_dropout",
                       "nn.functional.fractional_max_pool2d", "nn.functional.fractional_max_pool3d",
                       "nn.functional.scaled_dot_product_attention", "nn.functional.rrelu"},
    "uninitialised memory": {"empty_like", "new_empty", "new_empty_strided", "empty", "empty_strided"},
    "the memory of a sample among others is not that of one alone": {
        "as_strided", "as_strided_copy", "as_strided_scatter", "view_as_complex"},
    "PyTorch runs the samples one after the other": {
        "bincount", "argwhere", "nonzero_static", "histogram", "histc", "repeat_interleave", "linspace",
        "logspace", "nn.functional.ctc_loss"},
    "PyTorch's vmap takes running statistics apart": {"native_batch_norm", "nn.functional.batch_norm"},
    "both square as often as the largest sample needs": {"matrix_exp"},
}
SKIPPED = set().union(*LEFT_OUT.values())


def function(name):
    """numtorch's function of an entry's name, or its method."""
    for path in (name, f"Tensor.{name}"):
        found = numtorch
        for part in path.split("."):
            found = getattr(found, part, None)
        if callable(found):
            return found
    return None


def varied(t, k: int):
    """Sample number k of a batch made from t."""
    if k == 0:
        return t
    if t.is_floating_point() or t.is_complex():
        return t * (1 + 0.125 * k)
    return t.flip(tuple(range(t.ndim))) if t.ndim and k == 1 else t


SAMPLED = [op for op in database if op.name not in SKIPPED and function(op.name) is not None
           and zlib.crc32((op.name + op.variant_test_name).encode()) % 4 == 0]


@pytest.mark.parametrize("op", SAMPLED, ids=lambda op: (op.name + "." + op.variant_test_name).strip("."))
def test_operators(op):
    known = op.supported_dtypes("cpu")
    dtype = next((d for d in (torch.float32, torch.float64, torch.int64, torch.bool, torch.complex64)
                  if d in known), None)
    if dtype is None:
        pytest.skip("no dtype of the list")
    torch.manual_seed(0)
    fn = function(op.name)
    for sample in itertools.islice(op.sample_inputs("cpu", dtype, requires_grad=False), 0, 12, 3):
        leaves, spec = tree.tree_flatten(((sample.input, *sample.args), sample.kwargs))
        if any(isinstance(v, torch.Tensor) and v.layout is not torch.strided for v in leaves):
            continue
        check(op, fn, leaves, spec)


def check(op, fn, given, spec):
    leaves = [carried(v) for v in given]
    tensors = [i for i, v in enumerate(leaves) if isinstance(v, numtorch.Tensor)]
    if not tensors:
        return

    def call(call_fn, values, here, *ts):
        values = list(values)
        for i, t in zip(tensors, ts):
            values[i] = t
        args, kwargs = tree.tree_unflatten(values, spec)
        out = call_fn(*args, **kwargs)
        return tuple(v for v in tree.tree_leaves(tuple(out) if hasattr(out, "_fields") else out)
                     if isinstance(v, here.Tensor))

    for mapped in [tensors] + ([tensors[:1], tensors[1:]] if len(tensors) > 1 else []):
        dims = tuple(0 if i in mapped else None for i in tensors)
        each = [[varied(leaves[i], k) if i in mapped else leaves[i] for i in tensors] for k in range(3)]
        try:
            want = [call(fn, leaves, numtorch, *ts) for ts in each]
        except Exception:
            continue  # not a call numtorch's function of that name takes
        if any([tuple(t.shape) for t in w] != [tuple(t.shape) for t in want[0]] for w in want):
            continue  # shapes that depend on values
        batch = [numtorch.stack(ts) if d == 0 else ts[0] for d, ts in zip(dims, zip(*each))]
        try:
            run = numtorch.vmap(lambda *ts: call(fn, leaves, numtorch, *ts), dims, randomness="different")
            got = run(*batch)
        except RuntimeError as e:
            same = [torch.stack([given[i]] * 3) if i in mapped else given[i] for i in tensors]
            with pytest.raises(RuntimeError):
                torch.vmap(lambda *ts: call(op.op, given, torch, *ts), dims, randomness="different")(*same)
            assert str(e).startswith("vmap: "), e
            continue
        assert len(got) == len(want[0])
        for j, t in enumerate(got):
            near = 2e-3 if t.dtype.itemsize < 8 else 1e-5
            expected = np.stack([array(w[j]) for w in want])
            assert t.dtype is want[0][j].dtype and tuple(t.shape) == expected.shape
            np.testing.assert_allclose(array(t), expected, rtol=near, atol=1e-4)
