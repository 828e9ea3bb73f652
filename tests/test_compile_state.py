"""What a compiled function can reach: whatever changes between calls, or is changed by them, eager and
compiled calls agree. A case makes (function, what is done between calls[, what is done with a result])."""
from __future__ import annotations

import array
import collections
import contextlib
import dataclasses
import enum
import functools
import itertools
import math
import os
import random
import threading
import types
import warnings
import weakref

import numpy as np
import pytest

import numtorch as T
from numtorch import nn

F = nn.functional
CASES = {}


def case(make):
    CASES[make.__name__] = make
    return make


@case
def generator():
    g = iter([1., 2., 3., 4., 5., 6.])
    return (lambda x: x * next(g)), None


@case
def generator3():
    def gen():
        for i in range(100): yield i * 1.5
    g = gen()
    def f(x):
        for v in g: return x * v
    return f, None


@case
def count():
    c = itertools.count()
    return (lambda x: x * next(c)), None


@case
def deque():
    d = collections.deque([1., 2., 3., 4.])
    def f(x):
        d.rotate(1); return x * d[0]
    return f, None


@case
def deque2():
    d = collections.deque([1., 2., 3., 4.])
    return (lambda x: x * d[0]), lambda i: d.rotate(1)


@case
def dequet():
    d = collections.deque([T.ones(3)], maxlen=2)
    def f(x):
        d.append(x * 2); return sum(d)
    return f, None


@case
def ndarray():
    a = np.array([1., 2., 3.], dtype="float32")
    def b(i): a[0] += 1
    return (lambda x: x * float(a[0])), b


@case
def ndarray3():
    a = np.array([1., 2., 3.], dtype="float32")
    def b(i): a[0] += 1
    return (lambda x: x * T.tensor(a)), b


@case
def ndarray4():
    a = np.array([1., 2., 3.], dtype="float32")
    def f(x): a[0] += 1; return x * 2 + a[0]
    return f, None


@case
def classattr():
    class C: scale = 2.0
    def b(i): C.scale += 1
    return (lambda x: x * C.scale), b


@case
def classattr2():
    class C: scale = 2.0
    def f(x): C.scale += 1; return x * C.scale
    return f, None


@case
def classattr3():
    class M(nn.Module):
        scale = 2.0
        def forward(self, x): return x * self.scale
    m = M()
    def b(i): M.scale += 1
    return m, b


@case
def classattr_inherit():
    class A: s = [1.0]
    class B(A): pass
    b_ = B()
    def b(i): A.s = [float(i)]
    return (lambda x: x * b_.s[0]), b


@case
def classmutable():
    class A:
        table = {"a": 1.0}
    def b(i): A.table["a"] += 1
    return (lambda x: x * A.table["a"]), b


@case
def staticm():
    class A:
        @staticmethod
        def g(x): return x * K[0]
    K = [1.0]
    def b(i): K[0] += 1
    return (lambda x: A.g(x)), b


@case
def replaced_method():
    class A:
        def g(self, x): return x * 2
    a = A()
    def b(i): A.g = (lambda self, x, i=i: x * i)
    return (lambda x: a.g(x)), b


@case
def replaced_class_method():
    class A(nn.Module):
        def forward(self, x): return x * 2
    a = A()
    def b(i): A.forward = (lambda self, x, i=i: x * i)
    return a, b


@case
def funcattr():
    def f(x):
        f.n = getattr(f, "n", 0) + 1
        return x * f.n
    return f, None


@case
def funcattr2():
    def g(x): return x * g.k
    g.k = 1.0
    def b(i): g.k += 1
    return (lambda x: g(x)), b


@case
def slots():
    class S:
        __slots__ = ("k",)
    s = S(); s.k = 1.0
    def b(i): s.k += 1
    return (lambda x: x * s.k), b


@case
def slots2():
    class S:
        __slots__ = ("k",)
    s = S(); s.k = 1.0
    def f(x): s.k += 1; return x * s.k
    return f, None


@case
def prop2():
    class S:
        def __init__(self): self.n = 0
        @property
        def k(self): self.n += 1; return self.n
    s = S()
    return (lambda x: x * s.k), None


@case
def getattr_dyn2():
    class S: pass
    s = S(); s.zzz_dyn = 1.0
    def f(x):
        return x * getattr(s, "zz" + "z_" + ("dyn" if x.ndim else ""))
    def b(i): s.zzz_dyn += 1
    return f, b


@case
def setv2():
    s = {1, 2}
    def b(i): s.clear(); s.update({3, i})
    return (lambda x: x * sum(s)), b


@case
def ordered():
    d = collections.OrderedDict(a=1.0, b=2.0)
    def b(i): d.move_to_end("a") if i % 2 else d.move_to_end("b")
    return (lambda x: x * next(iter(d.values()))), b


@case
def dictorder():
    d = dict(a=1.0, b=2.0)
    def b(i): v = d.pop("a"); d["a"] = v; d.update(b=d.pop("b")) if i % 2 else None
    return (lambda x: x * next(iter(d.values()))), b


@case
def bytearr():
    d = bytearray(b"abc")
    def b(i): d[0] += 1
    return (lambda x: x * d[0]), b


@case
def arr():
    d = array.array("d", [1.0])
    def b(i): d[0] += 1
    return (lambda x: x * d[0]), b


@case
def mappingproxy():
    a = {"k": 1.0}
    m = types.MappingProxyType(a)
    def b(i): a["k"] += 1
    return (lambda x: x * m["k"]), b


@case
def wref():
    class S: pass
    s = S(); s.k = 1.0
    r = weakref.ref(s)
    keep = s
    def b(i): keep.k += 1
    return (lambda x: x * r().k), b


@case
def tlocal():
    l = threading.local(); l.k = 1.0
    def b(i): l.k += 1
    return (lambda x: x * l.k), b


@case
def contextvar():
    import contextvars
    v = contextvars.ContextVar("v", default=1.0)
    def b(i): v.set(float(i))
    return (lambda x: x * v.get()), b


@case
def environ():
    os.environ["ZZK"] = "1"
    def b(i): os.environ["ZZK"] = str(i)
    return (lambda x: x * float(os.environ["ZZK"])), b


@case
def nprng():
    r = np.random.default_rng(0)
    return (lambda x: x * float(r.integers(10))), None


@case
def nprs():
    r = np.random.RandomState(0)
    return (lambda x: x * float(r.exponential())), None


@case
def npglobal():
    def b(i): np.random.seed(i)
    return (lambda x: x * float(np.random.exponential()) + float(np.random.beta(1, 2))), b


@case
def torchgen2():
    g = T.Generator().manual_seed(0)
    def f(x):
        g.manual_seed(5); return x + T.rand(3, generator=g)
    return f, None


@case
def torchseed2():
    def f(x): T.manual_seed(5); y = T.rand(3); return x + y
    return f, lambda i: T.rand(7)


@case
def rngstate():
    def f(x):
        s = T.get_rng_state(); y = T.rand(3); T.set_rng_state(s); return x + y + T.rand(3)
    return f, None


@case
def initialseed():
    def b(i): T.manual_seed(i)
    return (lambda x: x + T.initial_seed()), b


@case
def forkrng():
    def f(x):
        with T.random.fork_rng(): y = T.rand(3)
        return x + y + T.rand(3)
    return f, None


@case
def kwdefaults():
    def f(x, *, k=1.0): return x * k
    def b(i): f.__kwdefaults__ = {"k": float(i)}
    return f, b


@case
def defaults_rebind():
    def f(x, k=1.0): return x * k
    def b(i): f.__defaults__ = (float(i),)
    return f, b


@case
def codechange():
    def g(x): return x * 2
    def h(x): return x * 3
    def b(i): g.__code__ = h.__code__
    return (lambda x: g(x)), b


@case
def global_hook():
    m = nn.Linear(3, 3)
    with T.no_grad(): m.weight.fill_(.5); m.bias.fill_(.1)
    hs = []
    def b(i):
        if i == 2: hs.append(nn.modules.module.register_module_forward_hook(lambda mod, a, o: o * 2))
        if i == 3: hs[0].remove()
    return m, b


@case
def negzero():
    st = [0.0]
    def b(i): st[0] = -0.0 if i % 2 else 0.0
    return (lambda x: x / st[0]), b


@case
def typecheck():
    st = [1]
    def b(i): st[0] = True if i % 2 else 1.0
    return (lambda x: x * (2 if isinstance(st[0], bool) else 3 if isinstance(st[0], float) else 4)), b


@case
def threads():
    def b(i): T.set_num_threads(1 + i % 2)
    return (lambda x: x + T.get_num_threads()), b


@case
def detmode():
    def b(i): T.use_deterministic_algorithms(bool(i % 2))
    return (lambda x: x + T.are_deterministic_algorithms_enabled()), b


@case
def inference_inside():
    w = T.ones(3, requires_grad=True)
    def f(x):
        with T.inference_mode(): z = w * x
        return z, z.is_inference(), z.requires_grad
    return f, None


@case
def hooks_on_param():
    w = T.ones(3, requires_grad=True)
    def f(x):
        w.grad = None
        (w * x).sum().backward(); return w.grad * 1
    def b(i):
        if i == 2: w.register_hook(lambda g: g * 3)
    return f, b


@case
def accum_hook():
    w = T.ones(3, requires_grad=True)
    def f(x):
        w.grad = None
        (w * x).sum().backward(); return w.grad * 1
    def b(i):
        if i == 2: w.register_post_accumulate_grad_hook(lambda p: p.grad.mul_(3))
    return f, b


@case
def hook_param_outside():
    w = T.ones(3, requires_grad=True)
    def f(x): return (w * x).sum()
    def b(i):
        if i == 2: w.register_hook(lambda g: g * 3)
    return f, b, lambda r: (r.backward(), w.grad.clone())[1]


@case
def custom_fn_state():
    n = [0]
    class Sq(T.autograd.Function):
        @staticmethod
        def forward(ctx, x): ctx.save_for_backward(x); return x * x
        @staticmethod
        def backward(ctx, g): n[0] += 1; (x,) = ctx.saved_tensors; return g * n[0] * x
    w = T.ones(3, requires_grad=True)
    def f(x): return Sq.apply(w * x).sum()
    return f, None, lambda r: (r.backward(), w.grad.clone(), n[0])[1:]


@case
def custom_fn_loop():
    class Sq(T.autograd.Function):
        @staticmethod
        def forward(ctx, x): ctx.save_for_backward(x); return x * x
        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 2 * x if x.sum() > 0 else g * 100
    w = T.ones(3, requires_grad=True)
    def f(x): return Sq.apply(w * x).sum()
    return f, None, lambda r: (r.backward(), w.grad.clone())[1]


@case
def checkpoint():
    from numtorch.utils.checkpoint import checkpoint as ck
    w = T.ones(3, requires_grad=True)
    def f(x): return ck(lambda v: (v * w).exp() + F.dropout(v, .5), x, use_reentrant=False).sum()
    return f, None, lambda r: (r.backward(), w.grad.clone())[1]


@case
def checkpoint_r():
    from numtorch.utils.checkpoint import checkpoint as ck
    w = T.ones(3, requires_grad=True)
    def f(x): return ck(lambda v: (v * w).exp() + F.dropout(v, .5), (x * w), use_reentrant=True).sum()
    return f, None, lambda r: (r.backward(), w.grad.clone())[1]


@case
def monkeypatch_F():
    def b(i):
        if i == 2: F.relu = lambda x: x * 5
        if i == 4: F.relu = orig
    orig = F.relu
    return (lambda x: F.relu(x - 1)), b


@case
def monkeypatch_math():
    orig = math.sqrt
    def b(i):
        if i == 2: math.sqrt = lambda x: x * 5
        if i == 4: math.sqrt = orig
    return (lambda x: x * math.sqrt(2)), b


@case
def builtin_shadow():
    g = {"T": T, "__name__": "zz"}
    exec("def f(x): return x * max(2, 3)", g)
    def b(i):
        if i == 2: g["max"] = min
        if i == 4: del g["max"]
    return g["f"], b


@case
def new_global():
    g = {"T": T, "__name__": "zz"}
    exec("def f(x):\n  try: return x * late\n  except NameError: return x", g)
    def b(i):
        if i >= 2: g["late"] = float(i)
    return g["f"], b


@case
def hasattr_class():
    class S: pass
    s = S()
    def b(i):
        if i == 2: S.late = 3.0
        if i == 4: del S.late
    return (lambda x: x * getattr(s, "late", 1.0)), b


@case
def user_module():
    m = types.ModuleType("zzmod"); m.k = 1.0; m.sub = types.ModuleType("zzmod.sub"); m.sub.j = 1.0
    m.fn = lambda x: x * 2
    g = {"m": m, "__name__": "zz2"}
    exec("def f(x): return m.fn(x) * m.k + m.sub.j", g)
    def b(i):
        if i == 1: m.k += 1
        if i == 2: m.sub.j += 1
        if i == 3: m.fn = lambda x: x * 7
    return g["f"], b


@case
def user_module_late():
    m = types.ModuleType("zzmod")
    g = {"m": m, "__name__": "zz2"}
    exec("def f(x): return x * getattr(m, 'k', 1.0)", g)
    def b(i):
        if i == 2: m.k = 3.0
    return g["f"], b


@case
def float_tuple_negzero():
    st = [(0.0, 1)]
    def b(i): st[0] = (-0.0, 1) if i % 2 else (0.0, 1)
    return (lambda x: x / st[0][0]), b


@case
def inttuple_bool():
    st = [(1, 1)]
    def b(i): st[0] = (True, 1) if i % 2 else (1, 1)
    return (lambda x: x * (5 if st[0][0] is True else 2)), b


@case
def super_call():
    class A(nn.Module):
        k = 2.0
        def forward(s, x): return x * s.k
    class B(A):
        def forward(s, x): return super().forward(x) + 1
    def b(i): A.k += 1
    return B(), b


@case
def metaclass_prop():
    class Me(type):
        @property
        def k(cls): return cls._k
    class A(metaclass=Me): _k = 1.0
    def b(i): A._k += 1
    return (lambda x: x * A.k), b


@case
def iter_obj():
    class It:
        def __init__(s): s.n = 0
        def __iter__(s): return s
        def __next__(s): s.n += 1; return s.n
    it = It()
    return (lambda x: x * next(it)), None


@case
def len_obj():
    class L:
        def __init__(s): s.items = [1]
        def __len__(s): return len(s.items)
    l = L()
    def b(i): l.items.append(1)
    return (lambda x: x * len(l)), b


@case
def enumv():
    class E(enum.Enum):
        A = 1; B = 2
    st = [E.A]
    def b(i): st[0] = E.B if i % 2 else E.A
    return (lambda x: x * st[0].value), b


@case
def dataclass():
    @dataclasses.dataclass
    class D: k: float = 1.0; t: object = None
    d = D()
    def b(i): d.k += 1
    return (lambda x: x * d.k), b


@case
def namedtuple():
    P = collections.namedtuple("P", "a b")
    st = [P(1.0, 2.0)]
    def b(i): st[0] = P(float(i), 2.0)
    return (lambda x: x * st[0].a), b


@case
def partialf():
    st = [1.0]
    def g(a, x): return x * a[0]
    p = functools.partial(g, st)
    def b(i): st[0] += 1
    return p, b


@case
def lru2():
    st = [1.0]
    @functools.lru_cache(maxsize=1)
    def g(k): return st[0]
    def b(i): st[0] += 1; g.cache_clear()
    return (lambda x: x * g(2)), b


@case
def ctxmgr():
    st = [0]
    @contextlib.contextmanager
    def cm():
        st[0] += 1
        yield st[0]
        st[0] += 10
    def f(x):
        with cm() as k: return x * k
    return f, None


@case
def list_popappend():
    l = [T.ones(3), T.zeros(3)]
    def f(x): l.append(l.pop(0) + x); return l[0] - l[1]
    return f, None


@case
def dict_newkey():
    d = {}
    def f(x): d[len(d)] = 1; return x * len(d)
    return f, None


@case
def tuple_replace():
    st = [(T.zeros(3), T.ones(3))]
    def f(x):
        h, c = st[0]; st[0] = (h + x, c * 2); return st[0][0] * st[0][1]
    return f, None


@case
def cache_by_shape():
    cache = {}
    def f(x):
        k = tuple(x.shape)
        if k not in cache: cache[k] = T.arange(3.0)
        return x + cache[k]
    return f, None


@case
def requires_toggle():
    w = T.ones(3)
    def f(x):
        w.requires_grad_(not w.requires_grad); return (w * x).requires_grad, x
    return f, None


@case
def tensor_attr():
    w = T.ones(3); w.k = 2.0
    def b(i): w.k += 1
    return (lambda x: x * w.k), b


@case
def module_hook():
    m = nn.Linear(3, 3)
    with T.no_grad(): m.weight.fill_(.5); m.bias.fill_(.1)
    def b(i):
        if i == 2: m.register_forward_hook(lambda mod, a, o: o * 2)
    return (lambda x: m(x)), b


@case
def forward_rebind():
    m = nn.Linear(3, 3)
    with T.no_grad(): m.weight.fill_(.5); m.bias.fill_(.1)
    def b(i):
        if i == 2: m.forward = lambda x: x * 7
    return m, b


@case
def weight_tie():
    a, c = nn.Linear(3, 3), nn.Linear(3, 3)
    with T.no_grad(): a.weight.fill_(.5); a.bias.fill_(.1); c.weight.fill_(.3); c.bias.fill_(.2)
    def b(i):
        if i == 2: c.weight = a.weight
        if i == 3:
            with T.no_grad(): a.weight.add_(1)
    return (lambda x: c(a(x))), b


@case
def lr_sched():
    w = nn.Parameter(T.ones(3)); o = T.optim.SGD([w], lr=.1, momentum=.9)
    s = T.optim.lr_scheduler.CosineAnnealingLR(o, 10)
    def f(x):
        o.zero_grad(); (w * x).pow(2).sum().backward(); o.step(); s.step()
        return w.detach().clone(), T.tensor(s.get_last_lr()[0])
    return f, None


@case
def onecycle():
    w = nn.Parameter(T.ones(3)); o = T.optim.AdamW([w], lr=.1)
    s = T.optim.lr_scheduler.OneCycleLR(o, .1, total_steps=20)
    def f(x):
        o.zero_grad(); l = (w * x).pow(2).sum(); l.backward(); o.step(); s.step()
        return w.detach().clone(), T.tensor(o.param_groups[0]["lr"])
    return f, None


@case
def lr_plateau():
    w = nn.Parameter(T.ones(3)); o = T.optim.SGD([w], lr=.1)
    s = T.optim.lr_scheduler.ReduceLROnPlateau(o, patience=0)
    def f(x):
        o.zero_grad(); l = (w * x).pow(2).sum(); l.backward(); o.step(); s.step(l)
        return w.detach().clone(), T.tensor(o.param_groups[0]["lr"])
    return f, None


@case
def param_group_change():
    w, v = nn.Parameter(T.ones(3)), nn.Parameter(T.ones(3)); o = T.optim.SGD([w], lr=.1)
    def f(x):
        o.zero_grad(); l = (w * v * x).pow(2).sum(); l.backward(); o.step()
        return w.detach().clone(), v.detach().clone()
    def b(i):
        if i == 2: o.add_param_group({"params": [v], "lr": .01})
        if i == 3: o.param_groups[0]["lr"] = .5
        if i == 4: o.param_groups[0]["weight_decay"] = .5
    return f, b


@case
def opt_state_load():
    w = nn.Parameter(T.ones(3)); o = T.optim.Adam([w], lr=.1); keep = []
    def f(x):
        o.zero_grad(); l = (w * x).pow(2).sum(); l.backward(); o.step(); return w.detach().clone()
    def b(i):
        import copy
        if i == 2: keep.append(copy.deepcopy(o.state_dict()))
        if i == 4: o.load_state_dict(keep[0])
    return f, b


@case
def dataloader():
    from numtorch.utils.data import DataLoader, TensorDataset
    dl = DataLoader(TensorDataset(T.arange(12.).view(4, 3)), batch_size=2)
    it = [iter(dl)]
    def f(x):
        try: (y,) = next(it[0])
        except StopIteration: it[0] = iter(dl); (y,) = next(it[0])
        return x + y
    return f, None


@case
def dataloader3():
    from numtorch.utils.data import DataLoader, TensorDataset
    data = T.arange(12.).view(4, 3)
    dl = DataLoader(TensorDataset(data), batch_size=2, shuffle=True)
    def f(x):
        for (y,) in dl: x = x * .5 + y.sum(0)
        return x
    return f, None


@case
def usermapping():
    class D(collections.UserDict): pass
    d = D(a=1.0)
    def b(i): d["a"] += 1
    return (lambda x: x * d["a"]), b


@case
def simplens():
    m = types.SimpleNamespace(k=1.0)
    def b(i): m.k += 1
    return (lambda x: x * m.k), b


@case
def warn():
    import warnings
    def f(x):
        warnings.warn("hello"); return x
    return f, None


@case
def logg():
    import logging
    l = logging.getLogger("zz"); rec = []
    class H(logging.Handler):
        def emit(self, r): rec.append(r.getMessage())
    l.addHandler(H()); l.setLevel("INFO")
    def f(x):
        l.info("hi %d", len(rec)); return x * len(rec)
    return f, None

def shown(r):
    """A result as plain values that can be compared."""
    if isinstance(r, T.Tensor):
        return r.dtype, tuple(r.shape), r.stride(), r.requires_grad, r.is_leaf, r.detach().double().tolist()
    if isinstance(r, list | tuple):
        return [shown(v) for v in r]
    return {k: shown(v) for k, v in r.items()} if isinstance(r, dict) else r


def run(name: str, compiled: bool) -> list:
    T.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    T.set_num_threads(2)
    T.use_deterministic_algorithms(False)
    f, between, *after = CASES[name]()
    f = T.compile(f) if compiled else f
    log = []
    for i in range(9):
        x = T.tensor([1.0, 2.0, 3.0]) * (1 + i % 3)
        try:
            r = f(x)
            log.append([shown(r if not after else after[0](r)), shown(x)])
        except Exception as e:
            log.append([type(e), str(e).partition("\n")[0]])
        if between is not None:
            between(i)
    return [*log, shown(T.rand(1)), random.random(), np.random.rand()]


@pytest.fixture
def settings():
    threads = T.get_num_threads()
    yield
    T.set_num_threads(threads)
    T.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", CASES)
def test_state(name, settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want, got = run(name, False), run(name, True)
    for i, (a, b) in enumerate(zip(want, got)):
        assert repr(a) == repr(b), f"call {i}"
