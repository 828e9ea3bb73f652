"""What compiled functions say of themselves: explain(), source(), messages, errors at breaks; the names of
torch.compiler and torch._dynamo."""
from __future__ import annotations

import logging
import os
import subprocess
import sys
import types
from xml.dom import minidom

import numpy as np
import pytest

import numtorch as torch
from numtorch import nn


def attend(x, w, b):
    return torch.softmax(x @ w + b, -1)


def compiled_attend():
    f = torch.compile(attend)
    x, w, b = torch.randn(4, 5), torch.randn(5, 6).requires_grad_(), torch.randn(6)
    f(x, w, b)
    return f, x, w, b


def test_explain():
    f, x, w, b = compiled_attend()
    text = str(f.explain())
    for part in ("attend: 1 specialisation", "v3: float32[4, 6] = mm(x=in0, mat2=in1)", "0 call: mm",
                 "1 rows: add.op amax sub.op exp sum div.true", "120 B read, 96 B written, 144 operations",
                 "6 operations touch the same element in the same iteration (4 rows of 6)",
                 "; 5 results stay in registers", "working memory", "x: float32[4, 5]",
                 "w: float32[5, 6], requires grad", "grad mode on", "entry 0, backward"):
        assert part in text
    assert repr(f.explain()) == text
    page = f.explain()._repr_html_()
    assert "<script" not in page and "http://www.w3.org/2000/svg" in page
    for svg in page.split("<svg")[1:]:
        minidom.parseString("<svg" + svg.split("</svg>")[0] + "</svg>")
    assert str(torch.compile(attend).explain()) == "attend: never called"


def test_guards_in_words():
    scale, table = 2.0, {"shift": [1.0]}
    model = nn.Linear(3, 3)

    def f(x, *more, k=1):
        return model(x) * scale + table["shift"][0] * k
    c = torch.compile(f)
    c(torch.ones(2, 3), torch.ones(1), k=2)
    (guards,) = c.explain().guards
    for part in ("x: float32[2, 3]", "more[0]: float32[1]", "k == 2", "scale == 2.0",
                 "table['shift'][0] == 1.0", "model.weight: float32[3, 3], requires grad",
                 "model.bias: float32[3], requires grad"):
        assert part in guards


def test_what_is_not_replayed():
    def f(x):
        y = x * 2
        if y.max() > 1:
            y = y + 1
        return y.exp()
    c = torch.compile(f)
    for _ in range(2):
        c(torch.full((40,), 3.0))
    told = c.explain()
    line = f"{__file__}:{f.__code__.co_firstlineno + 2}"
    assert told.breaks == {next(iter(told.breaks)): 2} and next(iter(told.breaks)).startswith(line)
    assert told.graph_count == 2 and told.graph_break_count == 1
    assert f"stretch 0, until {line}" in str(told) and "(2 times)" in str(told)


def module_of(f) -> types.ModuleType:
    m = types.ModuleType("kernels_of_f")
    exec(compile(f.source(), "<source>", "exec"), m.__dict__)
    return m


def test_source_runs():
    f, x, w, b = compiled_attend()
    got = module_of(f).run_0([x.storage.array, w.detach().storage.array, b.storage.array], [])
    np.testing.assert_array_equal(got[0].reshape(4, 6), attend(x, w, b).detach().numpy())
    assert module_of(f).run_1.__name__ == "run_1"


SOURCE = """
import numpy as np
import numtorch as torch
def f(x, k):
    y = torch.where(x > 0, torch.lgamma(x), x.exp()) * k
    return y.sum(1, keepdim=True) + y.bfloat16(), torch.digamma(x).sum(0)
c = torch.compile(f)
x = torch.linspace(-2, 3, 12).view(3, 4)
want = c(x, 0.5)
space = {}
exec(compile(c.source(), "<source>", "exec"), space)
got = space["run_0"]([x.storage.array], c.entries[0].program.numbers)
for a, b in zip(got, want):
    np.testing.assert_allclose(a, b.storage.array, rtol=2e-6)
print("fine")
"""


def run(program: str, folder, **env: str) -> subprocess.CompletedProcess:
    (folder / "p.py").write_text(program)
    return subprocess.run([sys.executable, str(folder / "p.py")], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **env})


@pytest.mark.parametrize("off", ["0", "1"])
def test_source_runs_with_the_jit_off(off, tmp_path):
    done = run(SOURCE, tmp_path, NUMBA_DISABLE_JIT=off)
    assert done.stdout == "fine\n", done.stderr


def test_modules_explain_themselves():
    m = torch.compile(nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
    m(torch.ones(2, 3))
    told = str(m.explain())
    assert told.startswith("Sequential: 1 specialisation")
    assert "self.0.weight: float32[4, 3], requires grad" in told
    assert "relu" in m.source()
    m.eval()
    m(torch.ones(2, 3))
    assert "self.training == False" in str(m.explain())


# ------------------------------------------------------------------------------------------------ messages
def said(caplog) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "numtorch.compile"]


def test_a_recompile_says_which_guard_failed(caplog):
    caplog.set_level(logging.INFO, "numtorch.compile")
    scale = 1.0

    def f(x, k=1):
        return x * scale * k
    c = torch.compile(f)
    c(torch.ones(4, 3))
    for _ in range(2):
        c(torch.ones(5, 3))
    c(torch.ones(3, 4).t())
    c(torch.ones(4, 3).double())
    scale = 2.0
    c(torch.ones(4, 3))
    with torch.no_grad():
        c(torch.ones(4, 3))
    c(torch.ones(4, 3), 2)
    assert said(caplog) == [
        "f is compiled again because x.shape changed from [4, 3] to [5, 3]",
        "f is compiled again because x.stride() changed from (3, 1) to (1, 4)",
        "f is compiled again because x.dtype changed from torch.float32 to torch.float64",
        "f is compiled again because scale changed from 1.0 to 2.0",
        "f is compiled again because grad mode changed from True to False",
        "f is compiled again because the arguments changed their number or structure"]


def test_a_break_is_said_once(caplog):
    caplog.set_level(logging.INFO, "numtorch.compile")

    def f(x):
        y = x + 1
        print(end="")
        torch._dynamo.graph_break()
        return y * 2
    c = torch.compile(f)
    for _ in range(10):
        c(torch.ones(3))
    first = f.__code__.co_firstlineno
    assert [s.replace(__file__, "") for s in said(caplog)] == [
        f"f is not replayed: :{first + 2}: print() is called",
        f"f is not replayed: :{first + 3}: graph_break() is called",
        "f runs as Python from now on, in stretches of compiled operations: "
        "8 calls in a row could not be replayed"]
    assert sum(torch._dynamo.utils.counters["graph_break"].values())


def test_fullgraph_names_the_line():
    def branch(x):
        return x if x.sum() > 0 else -x

    def reads(x):
        return x * x.amax().item()

    def apart(x):
        return torch.compiler.disable(reads)(x)
    for f, what in ((branch, "a value was read"), (reads, "a value was read"),
                    (apart, r"reads\(\) is marked with torch.compiler.disable")):
        with pytest.raises(torch._dynamo.exc.Unsupported, match="fullgraph=True: .*test_explain.py:") as e:
            torch.compile(f, fullgraph=True)(torch.ones(50))
        e.match(f":{f.__code__.co_firstlineno + 1}.*{what}")
    whole = torch.compile(attend, fullgraph=True)
    assert whole(torch.ones(2, 3), torch.ones(3, 2), torch.ones(2)).shape == (2, 2)


def test_debug_levels(tmp_path):
    program = ("import numtorch as torch\nf = torch.compile(lambda x: (x * 2).sum(-1))\n"
               "f(torch.ones(3, 4)); f(torch.ones(3, 4))\n")
    for level, new in (("1", "rows: mul sum"), ("2", "3 rows of 4"), ("3", "return v"),
                       ("4", "def k_mul_sum("), ("5", "define ")):
        done = run(program, tmp_path, NUMTORCH_DEBUG=level, NUMTORCH_CACHE="off")
        assert done.returncode == 0 and new in done.stderr and " µs" in done.stderr, done.stderr
        last = done.stderr
    assert "3 rows of 4" in last and "return v" in last


# ------------------------------------------------------------------------------------------------ other names
def test_stances():
    calls = []

    def f(x):
        calls.append(torch.compiler.is_compiling())
        return x + 1
    c = torch.compile(f)
    with torch.compiler.set_stance("force_eager"):
        c(torch.ones(2))
    assert calls == [False]
    torch.compiler.set_stance("force_eager")
    c(torch.ones(2))
    torch.compiler.set_stance("default")
    c(torch.ones(2))
    assert calls == [False, False, True]

    g = torch.compile(lambda x: x + 1, dynamic=False)
    g(torch.ones(2))

    @torch.compiler.set_stance("fail_on_recompile")
    def run(x):
        return g(x)
    assert run(torch.ones(2)).tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="Detected recompile .* stance is 'fail_on_recompile'"):
        run(torch.ones(3))
    with torch.compiler.set_stance("eager_on_recompile"):
        assert g(torch.ones(3)).tolist() == [2, 2, 2] and len(g.entries) == 1
    assert g(torch.ones(3)).tolist() == [2, 2, 2] and len(g.entries) == 2
    with pytest.raises(RuntimeError, match="invalid torch.compile stance"):
        torch.compiler.set_stance("x")


def test_settings():
    config = torch._dynamo.config
    assert config.cache_size_limit == config.recompile_limit
    with config.patch(recompile_limit=1), \
            pytest.raises(AttributeError, match="torch._dynamo.config.foo does not exist"):
        c = torch.compile(lambda x: x + 1)
        for n in range(1, 4):
            c(torch.ones(n))
        assert len(c.entries) == 1
        config.foo = 1
    assert config.recompile_limit != 1
    with config.patch("error_on_recompile", True), \
            pytest.raises(torch._dynamo.exc.RecompileError, match="x.shape"):
        c = torch.compile(lambda x: x + 1)
        c(torch.ones(1))
        c(torch.ones(2))


def test_names_that_programs_use():
    import numtorch._dynamo.config as config
    from numtorch._dynamo.eval_frame import OptimizedModule
    from numtorch._dynamo.utils import counters
    d, c = torch._dynamo, torch.compiler
    assert config is d.config and counters is d.utils.counters
    assert isinstance(torch.compile(nn.ReLU()), OptimizedModule)
    assert c.list_backends() and not c.is_dynamo_compiling() and not c.is_exporting()
    c.cudagraph_mark_step_begin()
    for mark in (c.allow_in_graph, c.assume_constant_result, c.nested_compile_region, d.nonstrict_trace):
        assert mark(attend) is attend
    x = torch.ones(2, 3)
    for mark in (d.mark_dynamic, d.maybe_mark_dynamic, d.mark_static):
        mark(x, 0)
    d.mark_static_address(x)
    assert d.optimize("inductor", nopython=True)(attend).fullgraph
    told = d.explain(attend)(x, torch.ones(3, 2), torch.ones(2))
    assert told.graph_count == 1 and told.graph_break_count == 0 and told.op_count == 7
    d.reset()
