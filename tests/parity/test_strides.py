"""Strides, offsets and sharing of results against PyTorch, over PyTorch's own database of operator samples.

Every sample is carried over with its strides, in variants: as it is, channels_last, transposed, rotated, with
a step, expanded, at an offset, with sizes of 1 and of 0. Results and leaf gradients must have PyTorch's
strides, storage offset and contiguity, and share memory with an input where PyTorch's do.

As a program it prints the differences: test_strides.py [--names 'add,linalg.*'] [--samples 4]"""
import argparse
import collections
import contextlib
import fnmatch
import functools
import importlib
import re
import types
import warnings

import numpy as np
import pytest

import numtorch

torch = pytest.importorskip("torch")
invocations = pytest.importorskip("torch.testing._internal.common_methods_invocations")
pytestmark = pytest.mark.filterwarnings("ignore")

# Entries whose samples say nothing about strides that users can meet, and why.
LEFT_OUT = {
    "jiterator*": "CUDA only", "native_dropout_backward": "torch.ops.aten only",
    "slice": "torch.ops.aten only",
    "max_pool2d_with_indices_backward": "torch.ops.aten only",
    "nn.functional.triplet_margin_with_distance_loss": "its sample carries a function of torch",
    "nn.functional.conv_transpose3d": "oneDNN's or the plain kernel's, by the number of threads and sizes",
    "linalg.lstsq": "a part of LAPACK's buffer, whose size depends on the driver",
    "histogram*": "a bin more or less of a buffer",
    "svd_lowrank": "of a random matrix's factors, whichever product came last",
    "pca_lowrank": "like svd_lowrank",
    "unravel_index": "slices of one buffer", "sparse.*": "sparse layouts", "to_sparse": "sparse layouts",
    "_*": "private names", "torch.*": "private names", "ops.*": "private names",
}


# Differences that are known: entry -> (a part of the report, why).
KNOWN = {
    "cholesky": ("must be batches of square", "PyTorch lets 0 x 5 matrices pass unchecked"),
    "median": ("gradient 0: None", "of no elements: NaN without history"),
    "nanmedian": ("gradient 0: None", "of no elements: NaN without history"),
    "as_strided_scatter": ("storage", "a view that begins before the tensor, or outside its memory"),
    "native_batch_norm": ("running_mean|written-to", "PyTorch does not check the running statistics here"),
    "nn.functional.batch_norm": ("written-to tensor", "PyTorch writes to expanded statistics unchecked"),
    "take_along_dim": ("out of bounds", "PyTorch does not check indices along a dimension of size 1"),
    "fft.fft": ("expanded", "PyTorch transforms real input with holes or repeats before it becomes complex"),
    "fft.ifft": ("expanded", "PyTorch transforms real input with holes or repeats before it becomes complex"),
    "linalg.cholesky_ex": ("expanded", "matrices that are not positive-definite give no gradient"),
}


# ------------------------------------------------------------------------------------------ carrying over
class Absent(Exception):
    """numtorch has no object of this name."""


def find(path):
    value = numtorch
    for part in path.split("."):
        if not hasattr(value, part):
            try:
                value = importlib.import_module(f"{value.__name__}.{part}")
                continue
            except (ImportError, AttributeError):
                raise Absent(path) from None
        value = getattr(value, part)
    return value


@functools.cache
def paths():
    """id of each public function of torch -> its dotted path."""
    known = {}
    for space in ("", "nn.functional", "linalg", "fft", "special", "masked", "signal.windows", "nn",
                  "Tensor"):
        holder = functools.reduce(getattr, filter(None, space.split(".")), torch)
        for name in dir(holder):
            value = getattr(holder, name, None)
            if callable(value):
                known.setdefault(id(value), f"{space}.{name}" if space else name)
    return known


def of_tests(f):
    return isinstance(f, types.FunctionType) and (f.__module__ or "").startswith("torch.testing._internal")


def names_in(code):
    found = set(code.co_names)
    for c in code.co_consts:
        if isinstance(c, types.CodeType):
            found |= names_in(c)
    return found


def carried(value):
    """A function, module, type or constant of torch, or of the database's wrappers, in numtorch."""
    if value is torch:
        return numtorch
    if isinstance(value, types.ModuleType):
        name = value.__name__
        return find(name[6:]) if name.startswith("torch.") and "testing" not in name else value
    if isinstance(value, torch.dtype | torch.memory_format | torch.layout):
        return find(str(value)[6:])
    if isinstance(value, functools.partial):
        return functools.partial(carried(value.func), *value.args, **value.keywords)
    if of_tests(value):
        return rebound(value)
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | type) and id(value) in paths():
        return find(paths()[id(value)])
    if type(value).__name__ == "method_descriptor":
        return find("Tensor." + value.__name__)
    return value


def rebound(f):
    """A wrapper of the database with its references to torch turned to numtorch."""
    if f.__name__ == "wrapper_set_seed":
        return lambda op, *args, **kwargs: op(*args, **kwargs)
    scope = {"__builtins__": __builtins__, "__name__": f.__globals__["__name__"]}
    for name in names_in(f.__code__) & f.__globals__.keys():
        with contextlib.suppress(Absent):
            held = f.__globals__[name]
            scope[name] = contextlib.nullcontext if name == "freeze_rng_state" else carried(held)
    cells = tuple(types.CellType(carried(c.cell_contents)) for c in f.__closure__ or ())
    new = types.FunctionType(f.__code__, scope, f.__name__, f.__defaults__, cells or None)
    new.__kwdefaults__ = f.__kwdefaults__
    return new


def function_of(op):
    f = op.op
    if of_tests(f) or type(f).__name__ == "method_descriptor" or id(f) in paths():
        with contextlib.suppress(Absent):
            return carried(f)
    return find(op.name)


class Pair:
    """A tensor of torch with the memory it stands on, and its twin in numtorch."""

    def __init__(self, t):
        t = t.detach().resolve_conj().resolve_neg()
        size = t.untyped_storage().nbytes() // t.element_size()
        flat = torch.as_strided(t, (size,), (1,), 0).clone()
        if t.dtype is torch.bfloat16:
            other = numtorch.from_numpy(flat.float().numpy()).bfloat16()
        elif t.dtype is torch.complex32:
            other = numtorch.from_numpy(flat.to(torch.complex64).numpy())
        else:
            other = numtorch.from_numpy(flat.numpy().copy())
        where = (t.storage_offset(), tuple(t.shape), t.stride())
        self.torch = torch.empty(0, dtype=t.dtype).set_(flat, *where)
        self.numtorch = numtorch.empty(0, dtype=other.dtype).set_(other, *where)


def both(x, vary, memo):
    """(x for torch, x for numtorch), tensors passed through `vary`."""
    if isinstance(x, torch.Tensor):
        if id(x) not in memo:
            pair = Pair(vary(x.detach()))
            if x.requires_grad:
                pair.torch.requires_grad_(), pair.numtorch.requires_grad_()
            memo[id(x)] = x, pair
        pair = memo[id(x)][1]
        return pair.torch, pair.numtorch
    if isinstance(x, list | tuple) and not isinstance(x, torch.Size):
        made = [both(v, vary, memo) for v in x]
        a, b = [m[0] for m in made], [m[1] for m in made]
        return (type(x)(*a), type(x)(*b)) if hasattr(x, "_fields") else (type(x)(a), type(x)(b))
    if isinstance(x, dict):
        made = {k: both(v, vary, memo) for k, v in x.items()}
        return {k: m[0] for k, m in made.items()}, {k: m[1] for k, m in made.items()}
    if isinstance(x, slice):
        parts = [both(v, vary, memo) for v in (x.start, x.stop, x.step)]
        return slice(*(p[0] for p in parts)), slice(*(p[1] for p in parts))
    if isinstance(x, torch.device):
        return x, numtorch.device(str(x))
    return x, carried(x)


# ------------------------------------------------------------------------------------------ variants
def dense(t, order):
    """t with its dimensions in memory in that order."""
    back = [order.index(i) for i in range(len(order))]
    return t.permute(order).contiguous().permute(back)


def stepped(t):
    return torch.stack([t, t], -1).flatten(-2)[..., ::2] if t.ndim and t.numel() else t


def with_offset(t):
    wide = torch.cat([t.reshape(-1)[:0].new_zeros(3), t.reshape(-1)])
    return torch.as_strided(wide, t.shape, t.contiguous().stride(), 3)


VARIANTS = {
    "plain": lambda t: t,
    "channels_last": lambda t: dense(t, [0, *range(2, t.ndim), 1]) if t.ndim in (4, 5) else t,
    "transposed": lambda t: dense(t, list(range(t.ndim))[::-1]) if t.ndim > 1 else t,
    "rotated": lambda t: dense(t, [*range(1, t.ndim), 0]) if t.ndim > 2 else t,
    "last two": lambda t: dense(t, [*range(t.ndim - 2), t.ndim - 1, t.ndim - 2]) if t.ndim > 2 else t,
    "stepped": stepped,
    "expanded": lambda t: t[:1].expand(t.shape) if t.ndim and t.shape[0] > 1 else t,
    "expanded inside": lambda t: t[:, :1].expand(t.shape) if t.ndim > 1 and t.shape[1] > 1 else t,
    "offset": with_offset,
    "one channel": lambda t: dense(t[:, :1], [0, *range(2, t.ndim), 1]) if t.ndim in (4, 5) else t,
    "one row": lambda t: t[:1].clone() if t.ndim and t.shape[0] > 1 else t,
    "one column": lambda t: dense(t[..., :1], list(range(t.ndim))[::-1]) if t.ndim > 1 else t,
    "no rows": lambda t: t[:0] if t.ndim else t,
    "no columns": lambda t: t[..., :0] if t.ndim else t,
}


def first_only(vary):
    """Only the first tensor of a call is varied."""
    seen = []

    def once(t):
        if seen:
            return t
        seen.append(t)
        return vary(t)
    return once


# ------------------------------------------------------------------------------------------ comparing
def tensors(x, kind):
    if isinstance(x, kind):
        return [x]
    if isinstance(x, dict):
        return [t for v in x.values() for t in tensors(v, kind)]
    if isinstance(x, list | tuple):
        return [t for v in x for t in tensors(v, kind)]
    return []


def strides_of(t):
    """The strides that address something: of dimensions of more than one element."""
    return tuple(None if n == 1 else s for n, s in zip(t.shape, t.stride())) if t.numel() else ()


def format_of(t):
    """Whether t counts as channels_last, which strides of dimensions of size 1 decide too."""
    kind = {4: "channels_last", 5: "channels_last_3d"}.get(t.ndim)
    space = torch if isinstance(t, torch.Tensor) else numtorch
    return bool(kind and t.numel()) and t.is_contiguous(memory_format=getattr(space, kind))


def facts(outs, ins, grads):
    """What must agree of results and gradients."""
    homes = [t.untyped_storage().data_ptr() for t in ins if t.numel()]
    seen = []
    for o in outs:
        address = o.untyped_storage().data_ptr() if o.numel() else None
        shares = next((i for i, h in enumerate(homes) if h == address), None)
        seen.append({"shape": tuple(o.shape), "stride": strides_of(o), "format": format_of(o),
                     "offset": o.storage_offset(), "contiguous": o.is_contiguous(),
                     "shares": shares,
                     "view": None if shares is None or o.requires_grad else o._base is not None,
                     "itself": next((i for i, t in enumerate(ins) if t is o), None)})
    return seen, [None if g is None else {"shape": tuple(g.shape), "stride": strides_of(g)} for g in grads]


def run(space, f, args, ins, grad):
    """(facts of f(*args) and of the gradients of the leaves `ins`)."""
    out = f(args)
    outs = tensors(out, space.Tensor)
    leaves = [t for t in ins if t.requires_grad]
    if grad and leaves:
        wanted = [o for o in outs if o.requires_grad and o.numel()]
        if wanted:
            space.autograd.backward(wanted, [space.ones_like(o) for o in wanted])
    return facts(outs, ins, [t.grad for t in leaves])


def difference(a, b):
    """What differs first between the facts of torch and of numtorch; None if nothing."""
    for what, p, q in (("result", a[0], b[0]), ("gradient", a[1], b[1])):
        if len(p) != len(q):
            return f"{len(q)} {what}s, torch {len(p)}"
        for i, (s, t) in enumerate(zip(p, q)):
            if s is None or t is None:
                if (s is None) != (t is None):
                    return f"{what} {i}: {t and t['stride']}, torch {s and s['stride']}"
                continue
            for k in s:
                if s[k] != t[k]:
                    return f"{what} {i} {list(s['shape'])} {k} {t[k]}, torch {s[k]}"
    return None


QUICK = ("plain", "channels_last", "transposed", "rotated", "stepped", "expanded", "one channel")


def cases(op, samples, quick=False):
    """(variant, sample) of an entry: some samples in all variants, or in those that differ most."""
    dtype = torch.float32
    if dtype not in op.dtypes:
        dtype = next(iter(sorted(op.dtypes, key=str)), None)
    if dtype is None:
        return
    grad = op.supports_autograd and dtype.is_floating_point
    torch.manual_seed(0)
    made = list(op.sample_inputs("cpu", dtype, requires_grad=grad))
    step = max(1, len(made) // samples)
    for i, sample in enumerate(made[::step][:samples]):
        for name in QUICK if quick else VARIANTS:
            vary = VARIANTS[name]
            if op.name == "lu_unpack" and name.startswith(("one", "no")):
                continue  # PyTorch does not check that the pivots stay inside fewer rows
            yield f"sample {i * step}, {name}", sample, lambda v=vary: v, grad
            if name in ("channels_last", "transposed", "expanded", "stepped"):
                yield f"sample {i * step}, first {name}", sample, lambda v=vary: first_only(v), grad


def differences(op, samples=2, counts=None, quick=False):
    """Everything that differs for an entry: lines of text."""
    f = op.op
    try:
        g = function_of(op)
    except Absent as e:
        return [f"missing {e}"]
    found, done = [], set()
    for said, sample, vary, grad in cases(op, samples, quick):
        memo: dict = {}
        (xa, aa, ka), (xb, ab, kb) = both((sample.input, tuple(sample.args), sample.kwargs), vary(), memo)
        ins = [p for _, p in memo.values()]
        signature = (said.partition(",")[0],
                     tuple((tuple(p.torch.shape), p.torch.stride(), p.torch.storage_offset()) for p in ins))
        if signature in done:
            continue
        done.add(signature)
        try:
            torch.manual_seed(0)
            expected = run(torch, lambda a: f(a[0], *a[1], **a[2]), (xa, aa, ka), [p.torch for p in ins],
                           grad)
        except Exception:  # noqa: BLE001, S112
            continue
        if counts is not None:
            counts["cases"] += 1
        layout = [f"{list(p.torch.shape)}{p.torch.stride()}" for p in ins]
        try:
            numtorch.manual_seed(0)
            got = run(numtorch, lambda a: g(a[0], *a[1], **a[2]), (xb, ab, kb), [p.numtorch for p in ins],
                      grad)
        except Exception as e:  # noqa: BLE001
            found.append(f"{said}: {' '.join(layout)}: raises {type(e).__name__}: {str(e)[:100]}")
            continue
        bad = difference(expected, got)
        if bad:
            rest = [a for a in sample.args if not isinstance(a, torch.Tensor)], {
                k: v for k, v in sample.kwargs.items() if not isinstance(v, torch.Tensor)}
            found.append(f"{said}: {' '.join(layout)} {str(rest)[:120]}: {bad}")
    return found


def left_out(op):
    return next((why for glob, why in LEFT_OUT.items() if fnmatch.fnmatchcase(op.name, glob)), None)


def title(op):
    return f"{op.name}.{op.variant_test_name}" if op.variant_test_name else op.name


ENTRIES = {title(op): op for op in invocations.op_db if not left_out(op)}


@pytest.mark.parametrize("name", ENTRIES)
def test_strides(name):
    part, _ = KNOWN.get(name, ("missing", ""))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [line for line in differences(ENTRIES[name], 1, quick=True) if not re.search(part, line)]
    assert not found, "\n".join(found)


# Expressions of T (torch), F (nn.functional), L (linalg), x (4-d) and x5 (5-d) in channels_last, w a weight.
FORMATS = """
F.pad(x, (1, 1, 1, 1), mode='constant')
F.pad(x, (1, 1, 1, 1), mode='reflect')
F.pad(x, (1, 1, 1, 1), mode='replicate')
F.pad(x, (1, 1, 1, 1), mode='circular')
F.pad(x5, (1,) * 6, mode='constant')
F.pad(x5, (1,) * 6, mode='reflect')
F.pad(x5, (1,) * 6, mode='replicate')
F.pad(x5, (1,) * 6, mode='circular')
F.pad(x, (-1, -1))
F.pad(x, (0, 0, 0, 0, 1, 1))
F.pixel_shuffle(x, 2)
F.pixel_unshuffle(x, 2)
F.channel_shuffle(x, 2)
F.pixel_shuffle(x.contiguous(), 1)
F.group_norm(x, 2)
F.instance_norm(x)
F.batch_norm(x, None, None, training=True)
F.layer_norm(x, (6, 6))
F.rms_norm(x, (6, 6))
F.batch_norm(x5, None, None, training=True)
F.group_norm(x5, 2)
F.instance_norm(x5)
F.local_response_norm(x, 2)
x.softmax(1)
F.log_softmax(x, 1)
F.normalize(x)
x.cumsum(1)
x.sum(3, keepdim=True)
x.amax(1, keepdim=True)
x.max(1, keepdim=True)[0]
x.mean((2, 3))
x.sum(0)
x.argmax(1)
x.any(1)
x.all(1)
x.std(1)
T.linalg.vector_norm(x, dim=1)
x.logsumexp(1)
x.prod(1)
x.median(1)[0]
x5.var(1)
x.sum(1)
x.aminmax(dim=1)[0]
T.cat([x, x], 1)
T.cat([x, x.contiguous()], 1)
T.stack([x, x])
T.stack([x, x], 1)
T.stack([x, x], 4)
T.cat([x5, x5], 1)
x[[0, 1]]
x[:, [0, 1]]
x[T.tensor([0, 1]), :, T.tensor([1, 2])]
x.index_select(1, T.tensor([0, 1]))
x.gather(1, T.zeros(2, 1, 6, 6, dtype=T.long))
T.where(x > 0, x, x)
T.where(x > 0, x, 0.0)
x.masked_fill(x > 0, 0.0)
x.roll(1, 1)
x.roll(1)
x.flip(1)
x.tril()
x.sort(1)[0]
x.topk(2, 1)[0]
x.repeat(1, 2, 1, 1)
x.repeat_interleave(2, 1)
F.unfold(x, 2)
F.dropout(x)
F.dropout2d(x)
T.rand_like(x)
T.zeros_like(x5)
x.to(T.float64)
x[:, ::2].clone()
T.empty_like(x[:, :, ::2])
x @ x
F.linear(x, T.ones(3, 6))
F.prelu(x, T.ones(4))
x + T.ones(4, 1, 1)
F.interpolate(x, scale_factor=2, mode='bilinear')
F.interpolate(x, scale_factor=2)
F.interpolate(x, scale_factor=2, mode='bicubic')
F.interpolate(x5, scale_factor=2)
F.interpolate(x5, scale_factor=2, mode='trilinear')
F.interpolate(x, scale_factor=0.5, mode='area')
F.interpolate(x5, scale_factor=0.5, mode='area')
F.avg_pool3d(x5, 2)
F.max_pool3d(x5, 2)
F.adaptive_avg_pool3d(x5, 2)
F.adaptive_max_pool3d(x5, 2)
F.adaptive_avg_pool2d(x, 1)
F.adaptive_avg_pool2d(x, 2)
F.lp_pool2d(x, 2, 2)
F.fractional_max_pool2d(x, 2, output_size=3)
F.grid_sample(x, T.zeros(2, 3, 3, 2))
F.grid_sample(x5, T.zeros(2, 3, 3, 3, 3))
F.conv2d(x, w)
F.conv_transpose2d(x, w)
F.conv2d(x.contiguous(), w.to(memory_format=T.channels_last))
F.conv2d(x.double(), w.double())
F.conv2d(x.double(), w.double(), dilation=2)
F.conv_transpose2d(x.double(), w.double())
F.conv3d(x5, T.ones(4, 4, 3, 3, 3))
F.conv3d(x5.double(), T.ones(4, 4, 3, 3, 3).double())
F.conv_transpose3d(x5, T.ones(4, 4, 3, 3, 3))
F.conv_transpose3d(x5.double(), T.ones(4, 4, 3, 3, 3).double())
F.conv2d(x, T.ones(4, 1, 3, 3), groups=4)
F.conv2d(x.int(), w.int())
F.conv2d(x.bfloat16(), w.bfloat16())
F.conv3d(x5, T.ones(4, 4, 2, 2, 2), dilation=2)
"""

# Expressions of X, one of several matrices, and v, a vector.
MATRICES = """
L.svd(X)
L.svd(X, full_matrices=False)
T.svd(X)
L.qr(X)
L.qr(X, 'complete')
L.qr(X, 'r')
L.pinv(X)
L.lu(X)
L.lu_factor(X)
T.geqrf(X)
L.svdvals(X)
L.matrix_exp(X)
L.matrix_power(X, 2)
L.matrix_power(X, -1)
L.matrix_power(X, 0)
L.inv(X)
L.eig(X)
L.eigh(X)
L.cholesky(X)
L.cholesky(X, upper=True)
L.solve(X, X[..., :2])
L.solve(X, X[..., :2, :], left=False)
L.solve(X, X[..., 0])
L.solve_triangular(X, X, upper=True)
L.solve_triangular(X, X, upper=True, left=False)
L.solve_triangular(X, X[..., :1], upper=False, unitriangular=True)
T.cholesky_inverse(X)
T.cholesky_solve(X, X)
L.inv_ex(X)
L.cholesky_ex(X)
X @ X.mT
X @ X[..., 0, :, None]
X @ T.ones(X.shape[-1])
L.multi_dot([X, X.mT, X])
L.householder_product(X, X[..., 0, :min(X.shape[-2:])])
T.triangular_solve(X, X)
L.ldl_factor(X)
L.vander(X[..., 0])
L.cross(X.mT, X.mT)
T.baddbmm(X, X, X)
T.addmm(X, X, X)
T.einsum('...ij,...kj->...ki', X, X)
T.tensordot(X, X, ([0], [0]))
T.cov(X)
T.cdist(X, X)
T.outer(v, v).T + 1
T.nn.functional.linear(X, X.reshape(-1, X.shape[-1])[:3])
X.diag_embed()
L.vector_norm(X, dim=0)
T.ones(X.shape[-2]) @ X
"""


def shown(expression, **names):
    """Shapes and strides of the tensors that an expression gives; the type of the error."""
    try:
        got = eval(expression, names)  # noqa: S307
    except Exception as e:  # noqa: BLE001
        return type(e).__name__
    return [(tuple(t.shape), strides_of(t)) for t in (got if isinstance(got, tuple | list) else [got])]


@pytest.mark.parametrize("expression", FORMATS.strip().split("\n"))
def test_channels_last(expression):
    def of(T):
        x, x5 = T.ones(2, 4, 6, 6), T.ones(2, 4, 6, 6, 6)
        return shown(expression, T=T, F=T.nn.functional, x=x.to(memory_format=T.channels_last),
                     x5=x5.to(memory_format=T.channels_last_3d), w=T.ones(4, 4, 3, 3))
    assert of(numtorch) == of(torch)


@pytest.mark.parametrize("expression", MATRICES.strip().split("\n"))
def test_matrices(expression):
    rng = np.random.default_rng(0)
    square, tall = rng.standard_normal((2, 3, 3)), rng.standard_normal((2, 4, 3))
    good = square @ square.swapaxes(-2, -1) + 3 * np.eye(3)

    def of(T):
        A, P, M = (T.from_numpy(a.copy()) for a in (square, good, tall))
        return [shown(expression, T=T, L=T.linalg, torch=T, X=X, v=T.ones(3).double(), min=min)
                for X in (A, P, M, M.mT, A[0], P[0], M[0], M[0].mT)]
    ours, theirs = of(numtorch), of(torch)
    for a, b in zip(ours, theirs):
        if not isinstance(a, str) and not isinstance(b, str):  # refusals: tests/test_errors.py
            assert a == b


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", default="*")
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--start", type=int, default=0, help="entries to skip")
    parser.add_argument("--lines", type=int, default=6, help="differences printed of one entry")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    total = collections.Counter()
    for name, op in list(ENTRIES.items())[options.start:]:
        if not any(fnmatch.fnmatchcase(name, g) for g in options.names.split(",")):
            continue
        total["entries"] += 1
        try:
            found = differences(op, options.samples, total)
        except Exception as e:  # noqa: BLE001
            found = [f"BROKEN {type(e).__name__}: {e}"]
        total["different"] += bool(found)
        total["differences"] += len(found)
        for line in found[:options.lines]:
            print(f"{name}: {line}", flush=True)
        if len(found) > options.lines:
            print(f"{name}: … {len(found)} in all", flush=True)
    print(dict(total))


if __name__ == "__main__":
    main()
