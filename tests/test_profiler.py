"""torch.profiler and torch.autograd.profiler."""
import json
import time

import pytest

import numtorch as nt
from numtorch.profiler import ProfilerAction, ProfilerActivity, profile, record_function, schedule


def test_events_and_table(tmp_path):
    m, x = nt.nn.Linear(20, 10), nt.randn(5, 20)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True, profile_memory=True) as prof:
        with record_function("forward"):
            y = m(x).relu() + 1
            time.sleep(0.01)
        y.sum().backward()
    found = {e.key: e for e in prof.key_averages()}
    assert {"forward", "aten::linear", "aten::relu", "aten::add", "aten::sum"} <= set(found)
    assert found["forward"].cpu_time_total > 10_000 > found["aten::relu"].cpu_time_total
    assert found["forward"].self_cpu_time_total < found["forward"].cpu_time_total
    assert any(k.startswith("autograd::engine::evaluate_function: Addmm") for k in found)
    linear = next(e for e in prof.key_averages(group_by_input_shape=True) if e.key == "aten::linear")
    assert linear.input_shapes[:2] == [[5, 20], [10, 20]] and linear.cpu_memory_usage == 200
    table = prof.key_averages().table(sort_by="self_cpu_time_total", row_limit=3)
    assert "Self CPU %" in table and "Self CPU time total:" in table and "forward" in table
    prof.export_chrome_trace(str(tmp_path / "t.json"))
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert {"forward", "aten::linear"} <= {e["name"] for e in events} and all(e["dur"] >= 0 for e in events)


def test_schedule(tmp_path):
    plan = schedule(skip_first=1, wait=1, warmup=1, active=2, repeat=1)
    A = ProfilerAction
    assert [plan(i) for i in range(7)] == [A.NONE, A.NONE, A.WARMUP, A.RECORD, A.RECORD_AND_SAVE, A.NONE,
                                           A.NONE]
    seen = []
    with profile(schedule=schedule(wait=1, warmup=1, active=2), on_trace_ready=lambda p: seen.append(
            [e.name for e in p.events() if e.name.startswith("ProfilerStep")])) as prof:
        for _ in range(9):
            nt.ones(3) + 1
            prof.step()
    assert seen[:2] == [["ProfilerStep#2", "ProfilerStep#3"], ["ProfilerStep#6", "ProfilerStep#7"]]
    handler = nt.profiler.tensorboard_trace_handler(str(tmp_path), use_gzip=True)
    handler(prof)
    assert len(list(tmp_path.glob("*.pt.trace.json.gz"))) == 1


def test_autograd_profiler():
    with nt.autograd.profiler.profile() as prof:
        nt.ones(3).exp()
    assert [e.name for e in prof.function_events][-1] == "aten::exp" and "aten::exp" in str(prof)
    with nt.autograd.profiler.profile(enabled=False) as off:
        nt.ones(3).exp()
    assert not off.function_events
    with record_function("outside"):
        pass

    @record_function("decorated")
    def f():
        return 3
    with nt.autograd.profiler.profile() as prof:
        assert f() == 3
    assert prof.total_average().count == 1
    with pytest.raises(AssertionError):
        schedule(wait=1, warmup=1, active=0)


def test_nvtx_ranges_are_regions():
    with nt.autograd.profiler.profile() as prof:
        nt.cuda.nvtx.range_push("outer")
        with nt.cuda.nvtx.range("inner {}", 1):
            pass
        nt.cuda.nvtx.range_pop()
    assert [e.name for e in prof.function_events] == ["outer", "inner 1"]
