"""What happens to the arguments and the results of compiled functions, before, inside and after the call:
eager and compiled calls agree. A case makes (function, what is done between calls or None, arguments of call
i from a tensor x[, what is done with a result])."""
from __future__ import annotations

import collections
import copy
import functools
import json
import math
import os
import queue
import random
import sys
import threading
import time
import warnings

import numpy as np
import pytest

import numtorch as T
from numtorch import nn

F = nn.functional
CASES = {}


def case(make):
    CASES[make.__name__] = make
    return make


class Box:
    def __init__(self, **k): self.__dict__.update(k)


@case
def arg_obj():
    b = Box(k=1.0)
    def be(i): b.k += 1
    return (lambda x, o: x * o.k), be, lambda i, x: (x, b)


@case
def arg_list_mut():
    l = []
    def f(x, l): l.append(x * 2); return l[-1]
    return f, None, lambda i, x: (x, l), lambda r: (r, [v.clone() for v in l])


@case
def arg_list_mut_hist():
    w = T.ones(3, requires_grad=True)
    def f(x, l): l.append(x * 2); return l[0] * 3
    ll = []
    def args(i, x):
        ll.append([w * x]); return (w * x * 2, ll[-1])
    def post(r):
        w.grad = None; r.sum().backward(); ll[-1][-1].sum().backward(); return r, w.grad.clone(), len(ll[-1])
    return f, None, args, post


@case
def arg_dict_newkey():
    ds = []
    def f(x, d): d["y"] = x * 2; return d["y"] + 1
    def args(i, x): ds.append({"x": x}); return (x, ds[-1])
    return f, None, args, lambda r: (r, ds[-1]["y"].clone())


@case
def arg_dict_replace():
    ds = []
    def f(d): d["x"] = d["x"] * 2; return d["x"] + 1
    def args(i, x): ds.append({"x": x}); return (ds[-1],)
    return f, None, args, lambda r: (r, ds[-1]["x"].clone())


@case
def arg_dict_return():
    ds = []
    def f(d): return d
    def args(i, x): ds.append({"x": x}); return (ds[-1],)
    return f, None, args, lambda r: (r is ds[-1],)


@case
def arg_list_return_inner():
    ds = []
    def f(d): return d[0], d
    def args(i, x): ds.append([[x]]); return (ds[-1],)
    return f, None, args, lambda r: (r[0] is ds[-1][0], r[1] is ds[-1])


@case
def arg_number_index():
    table = [1., 1., 1., 5., 6., 7., 8., 9., 10., 11.]
    return (lambda x, i: x * table[i]), None, lambda i, x: (x, i)


@case
def arg_number_range():
    def f(x, n):
        for _ in range(n): x = x + 1
        return x
    return f, None, lambda i, x: (x, [3, 4, 5, 6, 7, 2, 3, 1, 9][i])


@case
def arg_number_slice():
    return (lambda x, n: x[:n].sum() + x[n % 3]), None, lambda i, x: (x, [1, 2, 3, 2, 1, 0, 3, 1, 2][i])


@case
def arg_number_dim():
    return (lambda x, n: x.expand(2, 3).sum(n)), None, lambda i, x: (x, i % 2)


@case
def arg_number_shape():
    return ((lambda x, n: T.ones(n, 3) * x + T.zeros(n).sum() + T.arange(n).sum()), None,
            lambda i, x: (x, [1,2,3,4,5,2,7,1,3][i]))


@case
def arg_number_np():
    return ((lambda x, k: x * np.sin(k) + np.float32(k) + float(np.array([k, 1.0]).sum())), None,
            lambda i, x: (x, i / 3))


@case
def arg_number_math():
    return (lambda x, k: x * math.sin(k) + math.floor(k) + math.sqrt(k + 1)), None, lambda i, x: (x, i / 3)


@case
def arg_number_str():
    return (lambda x, k: x * len("%d" % k) + len(str(k)) + len(f"{k:.2f}")), None, lambda i, x: (x, 10 ** i)


@case
def arg_number_json():
    return (lambda x, k: x * json.loads(json.dumps([k]))[0]), None, lambda i, x: (x, i / 7)


@case
def arg_number_dictkey():
    d = {0: 1., 1: 2., 2: 3.}
    return (lambda x, k: x * d.get(k, 7.)), None, lambda i, x: (x, i)


@case
def arg_number_isinstance():
    return ((lambda x, k: x * (2 if isinstance(k, int) else 3) + (1 if type(k) is int else 0)), None,
            lambda i, x: (x, i if i % 3 else i / 2))


@case
def arg_number_bool():
    return ((lambda x, k: x * (2 if k else 3)), None,
            lambda i, x: (x, [0, 1, 0, 2, True, False, 0.0, -0.0, float("nan")][i]))


@case
def arg_number_signzero():
    return (lambda x, k: x / k), None, lambda i, x: (x, [0.0, 0.0, -0.0, 0.0, -0.0, 1.0, -0.0, 2.0, 0.0][i])


@case
def arg_number_divzero():
    def f(x, k): x.add_(1); return x * (1 / k)
    return f, None, lambda i, x: (x, [1.0, 2.0, 3.0, 0.0, 4.0, 0, 1, 2, 0][i])


@case
def arg_number_huge():
    return ((lambda x, k: x.long() * k), None,
            lambda i, x: (x, [1, 2, 3, 2**40, 2**70, 5, -2**63, 2**63, 7][i]))


@case
def arg_number_inf():
    return ((lambda x, k: x * k), None,
            lambda i, x: (x, [1., 2., 3., float("inf"), float("nan"), -float("inf"), 1e-320, 1e300, 0.0][i]))


@case
def arg_number_overflow():
    return ((lambda x, k: T.full((2,), k, dtype=T.int8) + x.to(T.int8)[:2]), None,
            lambda i, x: (x, [1, 2, 3, 127, 128, -128, 300, 5, 1][i]))


@case
def arg_number_returned():
    return (lambda x, k: (x, k, k * 2, [k + 1], {"a": k / 2})), None, lambda i, x: (x, i)


@case
def arg_number_kept():
    log = []
    def f(x, k): log.append(k * 2); log.append((k, {"a": k})); return x * k
    return (f, None,
            lambda i, x: (x, i),
            lambda r: (r, [type(v) if not isinstance(v, tuple) else (type(v[0]), type(v[1]["a"]), v)
                           for v in log], json.dumps(log)))


@case
def arg_number_kept_newattr():
    b = Box()
    def f(x, k): b.o = Box(v=k * 2, w=[k], t=(k, k)); return x * k
    return (f, None,
            lambda i, x: (x, i),
            lambda r: (r, type(b.o.v), type(b.o.w[0]), type(b.o.t[0]), b.o.v, b.o.w, b.o.t))


@case
def arg_tensor_attr():
    def f(x): return x * getattr(x, "scale", 1.0)
    def args(i, x):
        if i % 2: x.scale = float(i)
        return (x,)
    return f, None, args


@case
def arg_views_alias():
    base = T.arange(6.)
    def f(x, y): x.add_(1); return y * 2
    return (f, None,
            lambda i, x: (base[:3] if i % 3 < 2 else base[:3].clone(), base[1:4] if i % 3 == 1 else base[3:]))


@case
def arg_same_twice():
    def f(x, y): x.add_(1); return y * 2
    return f, None, lambda i, x: (x, x) if i % 2 else (x, x.clone())


@case
def arg_same_twice_ro():
    def f(x, y): return (x is y) * 2 + x
    return f, None, lambda i, x: (x, x) if i % 2 else (x, x.clone())


@case
def arg_global_same():
    w = T.ones(3)
    def f(x): w.add_(1); return x * 2
    return f, None, lambda i, x: (w,) if i % 2 else (x,)


@case
def arg_global_view():
    w = T.ones(3)
    def f(x): w.add_(1); return x * 2
    return f, None, lambda i, x: (w[:],) if i % 2 else (x,)


@case
def arg_is_global():
    w = T.ones(3)
    def f(x): return x * 2 if x is w else x * 3
    return f, None, lambda i, x: (w,) if i % 2 else (x,)


@case
def arg_unsqueeze():
    def f(x): x.unsqueeze_(0); return x * 2
    return f, None, lambda i, x: (x,)


@case
def arg_reqgrad():
    def f(x): x.requires_grad_(); return x * 2
    return f, None, lambda i, x: (x,)


@case
def arg_detach():
    w = T.ones(3, requires_grad=True)
    def f(x): x.detach_(); return x * 2
    return f, None, lambda i, x: (x * w,)


@case
def arg_data():
    def f(x): x.data = x.data * 2; return x + 1
    return f, None, lambda i, x: (x,)


@case
def arg_grad_accum():
    xs = []
    def f(x): (x * x).sum().backward(); return x * 2
    def args(i, x):
        if i % 3 == 0: xs.append(x.requires_grad_())
        return (xs[-1],)
    return f, None, args, lambda r: (r, xs[-1].grad.clone())


@case
def exc_mid():
    w = T.ones(3)
    def f(x, i):
        w.add_(x)
        if i % 3 == 2: raise KeyError("a")
        w.mul_(2); return w * 1
    return f, None, lambda i, x: (x, i), None


@case
def exc_mid_hist():
    w = T.ones(3, requires_grad=True); keep = []
    def f(x, i):
        x.mul_(2)
        if i % 3 == 2: raise KeyError("a")
        return x * 3
    def args(i, x): keep.append(w * x); return keep[-1], i
    def between(i):
        w.grad = None; keep[-1].sum().backward(); seen.append(w.grad.tolist())
    seen = []
    return f, between, args, lambda r: (r, str(seen))


@case
def exc_backward():
    w = T.ones(3, requires_grad=True)
    def f(x, bad):
        y = (w * x).exp()
        z = y.sum()
        y.data if not bad else y.add_(1)
        z2 = (y * y).sum() if not bad else z
        z2.backward(); return z2
    return f, None, lambda i, x: (x, i % 3 == 2), lambda r: (r, w.grad.clone())


@case
def exc_hook():
    w = T.ones(3, requires_grad=True)
    def f(x): return (w * x).sum()
    def hook(g): raise ValueError("hook")
    def between(i):
        if i == 4: w.register_hook(hook)
    return f, between, lambda i, x: (x,), lambda r: (r.backward(), w.grad.clone())[1]


@case
def exc_in_custom_backward():
    class Sq(T.autograd.Function):
        @staticmethod
        def forward(ctx, x, bad): ctx.bad = bad; return x * x
        @staticmethod
        def backward(ctx, g):
            if ctx.bad: raise ValueError("no")
            return g * 2, None
    w = T.ones(3, requires_grad=True)
    return ((lambda x, b: Sq.apply(w * x, b).sum()), None,
            lambda i, x: (x, i % 3 == 2), lambda r: (r.backward(), w.grad.clone())[1])


@case
def custom_backward_prints():
    out = []
    class Sq(T.autograd.Function):
        @staticmethod
        def forward(ctx, x): return x * x
        @staticmethod
        def backward(ctx, g): out.append(time.time() > 0); print(end=""); return g * 2
    w = T.ones(3, requires_grad=True)
    return ((lambda x: Sq.apply(w * x).sum()), None,
            lambda i, x: (x,), lambda r: (r.backward() if r.item() > 5 else None, w.grad, len(out))[1:])


@case
def custom_ctx_attr():
    class Sq(T.autograd.Function):
        @staticmethod
        def forward(ctx, x, k): ctx.k = k; ctx.save_for_backward(x); return x * k
        @staticmethod
        def backward(ctx, g): (x,) = ctx.saved_tensors; return g * ctx.k * x, None
    w = T.ones(3, requires_grad=True)
    return ((lambda x, k: Sq.apply(w * x, k).sum()), None,
            lambda i, x: (x, i * .5), lambda r: (r.backward(), w.grad.clone())[1])


@case
def leaf_hook_before():
    w = T.ones(3, requires_grad=True); n = []
    w.register_hook(lambda g: (n.append(1), g * 3)[1])
    return ((lambda x: (w * x).sum()), None,
            lambda i, x: (x,), lambda r: (r.backward(), w.grad.clone(), len(n))[1:])


@case
def post_acc_before():
    w = T.ones(3, requires_grad=True); n = []
    w.register_post_accumulate_grad_hook(lambda p: n.append(float(p.grad.sum())))
    return ((lambda x: (w * x).sum()), None,
            lambda i, x: (x,), lambda r: (r.backward(), w.grad.clone(), str(n))[1:])


@case
def nonleaf_hook_arg():
    w = T.ones(3, requires_grad=True); n = []
    def args(i, x):
        y = w * x; y.register_hook(lambda g: (n.append(1), g * 3)[1]); return (y,)
    return (lambda y: (y * y).sum()), None, args, lambda r: (r.backward(), w.grad.clone(), len(n))[1:]


@case
def retain_result():
    w = T.ones(3, requires_grad=True)
    def post(r): r.retain_grad(); (r * r).sum().backward(); return r.grad, w.grad.clone()
    return (lambda x: w * x), None, lambda i, x: (x,), post


@case
def retain_graph():
    w = T.ones(3, requires_grad=True)
    def post(r): r.backward(retain_graph=True); r.backward(); return w.grad.clone()
    return (lambda x: (w * x).sum()), None, lambda i, x: (x,), post


@case
def backward_twice():
    w = T.ones(3, requires_grad=True)
    def post(r): r.backward(); r.backward(); return w.grad.clone()
    return (lambda x: (w * w * x).sum()), None, lambda i, x: (x,), post


@case
def grad_of_results():
    w = T.ones(3, requires_grad=True)
    def post(r):
        a, b = r
        return T.autograd.grad(a.sum(), w, retain_graph=True), T.autograd.grad(b.sum(), w),
    return (lambda x: (w * x, w * w)), None, lambda i, x: (x,), post


@case
def grad_wrt_result():
    w = T.ones(3, requires_grad=True)
    def post(r):
        a, b = r
        return T.autograd.grad(b.sum(), a, allow_unused=True)
    def f(x): a = w * x; return a, a * a
    return f, None, lambda i, x: (x,), post


@case
def inplace_on_result_saved():
    w = T.ones(3, requires_grad=True)
    def post(r): r.mul_(2); r.sum().backward(); return w.grad.clone()
    return (lambda x: (w * x).exp()), None, lambda i, x: (x,), post


@case
def inplace_on_result_saved2():
    w = T.ones(3, requires_grad=True)
    def f(x): y = (w * x).sigmoid(); return y, (y * y).sum()
    def post(r):
        with T.no_grad(): r[0].zero_()
        r[1].backward(); return w.grad.clone()
    return f, None, lambda i, x: (x,), post


@case
def inplace_on_view_result():
    w = T.ones(3, requires_grad=True)
    def f(x): y = (w * x); return y, y[1:]
    def post(r): r[1].mul_(3); r[0].sum().backward(); return w.grad.clone(), r[0].grad_fn is not None
    return f, None, lambda i, x: (x,), post


@case
def inplace_base_of_view_result():
    w = T.ones(3, requires_grad=True)
    def f(x): y = (w * x); return y, y[1:]
    def post(r): r[0].mul_(3); r[1].sum().backward(); return w.grad.clone()
    return f, None, lambda i, x: (x,), post


@case
def view_of_arg_result():
    w = T.ones(3, requires_grad=True)
    def args(i, x): return (w * x,)
    def post(r): r.mul_(3); r.sum().backward(); return w.grad.clone(), r._base is not None
    return (lambda y: y[1:]), None, args, post


@case
def view_of_arg_result2():
    w = T.ones(3, requires_grad=True); ys = []
    def args(i, x): ys.append(w * x); return (ys[-1],)
    def post(r): r.mul_(3); ys[-1].sum().backward(); return w.grad.clone()
    return (lambda y: y[1:]), None, args, post


@case
def view_of_leaf_arg_result():
    def post(r): r.mul_(3); return r
    return (lambda y: y[1:]), None, lambda i, x: (x.requires_grad_(),), post


@case
def view_base_identity():
    xs = []
    def args(i, x): xs.append(x); return (x,)
    def post(r): return (r[0]._base is xs[-1], r[1]._base is r[0]._base, r[1]._is_view(), r[2]._is_view(),
                         r[2]._base is None)
    def f(y): z = y * 2; return y[1:], y[1:][0], z, z[1:]
    return f, None, args, post


@case
def nograd_view_write():
    w = T.ones(3, requires_grad=True)
    def f(x):
        with T.no_grad(): v = w[1:]
        return v, w * x
    def post(r):
        try: r[0].mul_(3)
        except RuntimeError as e: return str(e)[:60]
        r[1].sum().backward(); return w.grad.clone()
    return f, None, lambda i, x: (x,), post


@case
def version_result():
    w = T.ones(3)
    def f(x): w.add_(1); w.mul_(2); y = x * 1; y.add_(1); return y
    return f, None, lambda i, x: (x,), lambda r: (r, r._version, w._version)


@case
def save_then_second_call():
    w = T.ones(3, requires_grad=True); h = T.zeros(3); rs = []
    def f(x): h.add_(x); return (w * h).sum()
    def post(r):
        rs.append(r)
        if len(rs) % 2 == 0:
            out = []
            for q in rs[-2:]:
                try: q.backward(); out.append(w.grad.tolist())
                except RuntimeError as e: out.append(str(e)[:50])
            return str(out)
        return r
    return f, None, lambda i, x: (x,), post


@case
def save_then_write_arg():
    w = T.ones(3, requires_grad=True); xs = []
    def args(i, x): xs.append(x); return (x,)
    def post(r): xs[-1].add_(1); r.backward(); return w.grad.clone()
    return (lambda x: (w * x).sum()), None, args, post


@case
def save_in_replaced():
    w = T.ones(3, requires_grad=True); h = T.zeros(3)
    def f(x): h.add_(x); return (w * h).sum()
    def post(r): r.backward(); return w.grad.clone()
    return f, None, lambda i, x: (x,), post


@case
def method_compiled():
    class M:
        def __init__(s, k): s.k, s.w = k, T.ones(3) * k
        def f(s, x): return x * s.k + s.w
    ms = [M(1.0), M(2.0)]
    def between(i): ms[0].k += 1; ms[1].w = ms[1].w * 2
    return M.f, between, lambda i, x: (ms[i % 2], x)


@case
def nested_lists():
    def f(t): return [t["a"][0] * 2, {"b": (t["a"][1], t["c"])}]
    return f, None, lambda i, x: ({"a": [x, x + 1], "c": (x * 3, None, "s", 2)},)


@case
def arg_none_vs():
    def f(x, m=None): return x if m is None else x * m
    return f, None, lambda i, x: (x,) if i % 3 == 0 else (x, None) if i % 3 == 1 else (x, x + 1)


@case
def arg_dtype():
    def f(x, d): return x.to(d) * 2
    return f, None, lambda i, x: (x, [T.float32, T.float64, T.int64, T.bfloat16][i % 4])


@case
def arg_size():
    def f(x, s): return x.expand(s).sum(0)
    return f, None, lambda i, x: (x, T.Size([i % 2 + 1, 3]))


@case
def arg_np_same():
    a = np.arange(3, dtype="float32")
    def f(x, a): return x * T.from_numpy(a) + float(a[0])
    def between(i): a[0] += 1
    return f, between, lambda i, x: (x, a)


@case
def arg_fn_fresh():
    return (lambda x, f: f(x)), None, lambda i, x: (x, lambda v, i=i: v * i)


@case
def arg_generator():
    def f(x, it): return x * next(it)
    it = iter(range(1, 100))
    return f, None, lambda i, x: (x, it)


@case
def offset():
    def f(x): return x * x.storage_offset()
    return f, None, lambda i, x: (T.arange(9.)[i % 3:i % 3 + 3],)


@case
def size0():
    def f(x): return x.sum(), x * 2, x.mean() if x.numel() else x
    return f, None, lambda i, x: (x[:i % 3],)


@case
def zero_dim():
    def f(x): return x * 2, x.sum(), x.view(1), x.expand(3)
    return f, None, lambda i, x: (x[i % 3],)


@case
def gen_fn():
    def f(x):
        for i in range(3): yield x * i
    return f, None, lambda i, x: (x,), lambda r: [v for v in r]


@case
def obj_result():
    def f(x): return Box(y=x * 2)
    return f, None, lambda i, x: (x,), lambda r: r.y


@case
def ret_types():
    def f(x): return x.max(0), x.sort(), T.linalg.slogdet(T.diag(x)), T.topk(x, 2)
    return (f, None,
            lambda i, x: (x,),
            lambda r: (type(r[0]).__name__, r[0].values, r[1].indices, r[2].logabsdet, r[3].values))


@case
def od_result():
    def f(x): return collections.OrderedDict(a=x * 2, b=3), collections.defaultdict(list, a=[x])
    return (f, None,
            lambda i, x: (x,),
            lambda r: (type(r[0]).__name__, type(r[1]).__name__, r[1].default_factory, r[0]["a"]))


@case
def queue_inside():
    q = queue.Queue()
    def f(x): q.put(x * 2); return q.get() + 1
    return f, None, lambda i, x: (x,)


@case
def thread_inside():
    def f(x):
        y = x * 2; out = []
        t = threading.Thread(target=lambda: out.append(y.sum().item())); t.start(); t.join()
        return y * out[0]
    return f, None, lambda i, x: (x,)


@case
def inference_arg():
    def f(x): return x * 2
    def args(i, x):
        with T.inference_mode(i % 2 == 1): return (x * 1,)
    return f, None, args, lambda r: (r, r.is_inference())


@case
def inference_write():
    def f(x): x.add_(1); return x * 2
    def args(i, x):
        with T.inference_mode(i % 2 == 1): return (x * 1,)
    return f, None, args, lambda r: (r, r.is_inference())


@case
def anomaly_all():
    w = T.zeros(3, requires_grad=True)
    def f(x):
        return ((w * x).sqrt() * w).sum()
    def between(i): T.autograd.set_detect_anomaly(i % 2 == 0)
    return f, between, lambda i, x: (x,), lambda r: (r.backward(), w.grad)[1]


@case
def step_in_out():
    w = nn.Parameter(T.ones(3)); o = T.optim.Adam([w], lr=.1)
    def f(x):
        l = (w * x).pow(2).sum(); l.backward(); return l
    def between(i): o.step(); o.zero_grad(set_to_none=i % 2 == 0)
    return f, between, lambda i, x: (x,), lambda r: (r, w.detach().clone())


@case
def accum_steps():
    w = nn.Parameter(T.ones(3)); o = T.optim.Adam([w], lr=.1)
    def f(x, i):
        l = (w * x).pow(2).sum() / 2; l.backward()
        if i % 2: o.step(); o.zero_grad()
        return l
    return f, None, lambda i, x: (x, i), lambda r: (r, w.detach().clone())


@case
def two_opts():
    a, b = nn.Parameter(T.ones(3)), nn.Parameter(T.ones(3))
    o, p = T.optim.Adam([a], lr=.1), T.optim.SGD([b], lr=.1, momentum=.5)
    def f(x):
        l = (a * x).pow(2).sum(); o.zero_grad(); l.backward(); o.step()
        m = (b * a.detach() * x).pow(2).sum(); p.zero_grad(); m.backward(); p.step()
        return l, m
    return f, None, lambda i, x: (x,), lambda r: (r, a.detach().clone(), b.detach().clone())


@case
def ema_buffers():
    m = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    with T.no_grad(): m[0].weight.fill_(.4); m[0].bias.fill_(.2)
    e = copy.deepcopy(m)
    def f(x):
        y = m(T.stack([x, x * x])).sum()
        with T.no_grad():
            for p, q in zip(e.parameters(), m.parameters()): p.lerp_(q, .1)
            for p, q in zip(e.buffers(), m.buffers()): p.copy_(q)
        return y
    return (f, None,
            lambda i, x: (x,), lambda r: (r, e[1].running_mean.clone(), e[1].num_batches_tracked.clone()))


@case
def rnn_state():
    r = nn.LSTM(3, 3)
    with T.no_grad():
        for p in r.parameters(): p.fill_(.3)
    st = [None]
    def f(x):
        y, s = r(x.view(1, 1, 3), st[0]); st[0] = tuple(v.detach() for v in s); return y
    return f, None, lambda i, x: (x,), lambda r: (r, st[0][0])


@case
def rebind_global_tensor():
    g = {"T": T, "h": T.zeros(3), "__name__": "zz"}
    exec("def f(x):\n  global h\n  h = h * .5 + x\n  return h", g)
    return g["f"], None, lambda i, x: (x,), lambda r: (r, g["h"])


@case
def new_global_inside():
    g = {"T": T, "__name__": "zz"}
    exec("def f(x):\n  global h\n  h = x * 2\n  return h", g)
    return g["f"], None, lambda i, x: (x,), lambda r: (r, g["h"])


@case
def exec_noname():
    g = {"T": T, "log": []}
    exec("def f(x):\n  log.append(1)\n  print(end='')\n  return x * len(log)", g)
    return g["f"], None, lambda i, x: (x,), lambda r: (r, len(g["log"]))


@case
def sys_modules_patch():
    import types as ty
    m = ty.ModuleType("zzlate"); m.k = 1.0; sys.modules["zzlate"] = m
    def f(x):
        import zzlate
        return x * zzlate.k
    def between(i): m.k += 1
    return f, between, lambda i, x: (x,)


@case
def import_inside():
    def f(x):
        import math as mm

        from numtorch.nn import functional as FF
        return FF.relu(x) * mm.pi
    return f, None, lambda i, x: (x,)


@case
def filesys2():
    p = "zz.txt"
    open(p, "w").write("1")
    import pathlib
    def f(x): return x * float(pathlib.Path(p).read_text()) * os.path.exists(p)
    def between(i): open(p, "w").write(str(i))
    return f, between, lambda i, x: (x,)


@case
def uuid():
    import uuid
    seen = set()
    def f(x): seen.add(uuid.uuid4()); return x * len(seen)
    return f, None, lambda i, x: (x,)


@case
def match_stmt():
    g = {"__name__": "zz"}
    exec("""def f(x, k):
        match k:
            case 1: return x
            case int(): return x * 2
            case float(): return x * 3
            case [a, b]: return x * a + b
            case {'z': z}: return x * z
            case _: return x * 7""", g)
    return g["f"], None, lambda i, x: (x, [1, 2, 3.0, [1, 2], {"z": 4}, "s", 1.0, 1, 5][i])


@case
def decorator_counts():
    n = [0]
    def deco(fn):
        @functools.wraps(fn)
        def w(*a): n[0] += 1; return fn(*a) * n[0]
        return w
    @deco
    def f(x): return x + 1
    return f, None, lambda i, x: (x,)


@case
def cls_decorated():
    class C:
        n = 0
        @classmethod
        def f(cls, x): cls.n += 1; return x * cls.n
    return C.f, None, lambda i, x: (x,)


@case
def no_grad_deco():
    w = T.ones(3, requires_grad=True); st = [1.0]
    @T.no_grad()
    def f(x): return w * x * st[0]
    def between(i): st[0] += 1
    return f, between, lambda i, x: (x,)


@case
def cached_module_prop():
    class M(nn.Module):
        def __init__(s): super().__init__(); s.w = nn.Parameter(T.ones(3))
        @functools.cached_property
        def k(s): return s.w.detach() * 2
        def forward(s, x): return x * s.k
    m = M()
    def between(i):
        with T.no_grad(): m.w.add_(1)
    return m, between, lambda i, x: (x,)


@case
def slots_tensor():
    class S: __slots__ = ("h",)
    s = S(); s.h = T.zeros(3)
    def f(x): s.h = s.h * .5 + x; return s.h
    return f, None, lambda i, x: (x,)


@case
def big_array():
    a = np.arange(100000, dtype="float32")
    def between(i): a[0] += 1
    return (lambda x: x * float(a[0])), between, lambda i, x: (x,)


@case
def complex_state():
    st = [1 + 0j]
    def f(x): st[0] *= 1j; return x * st[0]
    return f, None, lambda i, x: (x,)


@case
def requires_in_state():
    st = [T.ones(3)]
    def f(x): st[0] = (st[0] * x).detach().requires_grad_(); return (st[0] * 2)
    return f, None, lambda i, x: (x / 3,), lambda r: (r, st[0].requires_grad, st[0].is_leaf)


@case
def history_in_state():
    w = T.ones(3, requires_grad=True); st = [T.ones(3)]
    def f(x): st[0] = st[0] * w * x; return st[0] * 2
    def post(r):
        w.grad = None; r.sum().backward(retain_graph=True); return r, w.grad.clone()
    return f, None, lambda i, x: (x / 3,), post

@case
def exc_index():
    e = T.arange(12.).view(4, 3); w = T.zeros(3)
    def f(x, idx):
        w.add_(1)
        y = F.embedding(idx, e)
        w.add_(10)
        return y + x
    return f, None, lambda i, x: (x, T.tensor([1, 2 if i % 3 else 7])), lambda r: (r, w.clone())


@case
def exc_index_state():
    e = T.arange(12.).view(4, 3); w = T.zeros(3)
    def f(x, idx):
        w.add_(1)
        y = F.embedding(idx, e)
        w.add_(10)
        return y + x
    st = []
    def between(i): st.append(w.tolist())
    return f, between, lambda i, x: (x, T.tensor([1, 2 if i % 3 else 7])), lambda r: (r, str(st))


@case
def exc_index_try():
    e = T.arange(12.).view(4, 3)
    def f(x, idx):
        try: y = F.embedding(idx, e)
        except IndexError: y = x * 100
        return y + x
    return f, None, lambda i, x: (x, T.tensor([1, 2 if i % 3 else 7]))


@case
def exc_index_try_noread():
    e = T.arange(12.).view(4, 3); st = [0]
    def f(x, idx):
        try: F.embedding(idx, e)
        except IndexError: st[0] += 1
        return x * 2
    return f, None, lambda i, x: (x, T.tensor([1, 2 if i % 3 else 7])), lambda r: (r, st[0])


@case
def exc_index_unused():
    e = T.arange(12.).view(4, 3)
    def f(x, idx):
        F.embedding(idx, e)
        return x * 2
    return f, None, lambda i, x: (x, T.tensor([1, 2 if i % 3 else 7]))


@case
def exc_chol():
    def f(x, i):
        m = T.diag(x) * (-1 if i % 3 == 2 else 1)
        try: return T.linalg.cholesky(m)
        except RuntimeError as e: return type(e).__name__
    return f, None, lambda i, x: (x, i)


@case
def exc_chol_order():
    def f(x, idx):
        a = T.linalg.cholesky(T.diag(x)); b = T.arange(5.)[idx]
        return a.sum() + b
    return f, None, lambda i, x: (x * (-1 if i % 2 else 1), T.tensor([1, 9 if i % 3 else 2]))


@case
def exc_rng():
    e = T.arange(12.).view(4, 3)
    def f(x, idx):
        a = T.rand(3); y = F.embedding(idx, e); b = T.rand(3)
        return a + b + y + x
    return f, None, lambda i, x: (x, T.tensor([1, 2 if i % 3 else 7]))


@case
def exc_nll():
    def f(x, t): return F.nll_loss(x[None], t)
    return f, None, lambda i, x: (x, T.tensor([1 if i % 3 else 7]))


def shown(r):
    """A result as plain values that can be compared."""
    if isinstance(r, T.Tensor):
        return r.dtype, tuple(r.shape), r.stride(), r.requires_grad, r.is_leaf, r.detach().to(
            T.complex128 if r.is_complex() else T.float64).tolist()
    if isinstance(r, list | tuple):
        return [type(r).__name__, *map(shown, r)]
    return {k: shown(v) for k, v in r.items()} if isinstance(r, dict) else r


def run(name: str, compiled: bool) -> list:
    T.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    f, between, args, *after = CASES[name]()
    f = T.compile(f) if compiled else f
    log = []
    for i in range(9):
        given = args(i, T.tensor([1.0, 2.0, 3.0]) * (1 + i % 3))
        try:
            r = f(*given)
            log.append(shown(after[0](r) if after else r))
        except Exception as e:
            log.append([type(e), str(e).partition("\n")[0][:80]])
        log.append(shown([v for v in given if isinstance(v, T.Tensor | list | dict)]))
        if between is not None:
            between(i)
    T.autograd.set_detect_anomaly(False)
    return [*log, shown(T.rand(1)), random.random()]


@pytest.mark.parametrize("name", CASES)
def test_calls(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want, got = run(name, False), run(name, True)
    for i, (a, b) in enumerate(zip(want, got)):
        assert repr(a) == repr(b), f"call {i // 2}"
