"""torch.export: programs that load without their source, sizes that vary, files that lie."""
import io
import json
import random
import subprocess
import sys

import numpy as np
import pytest

import numtorch as torch
from numtorch import nn
from numtorch.archive import ArchiveReader, ArchiveWriter
from numtorch.unpickle import Limits

Dim = torch.export.Dim


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 2),
                         nn.Softmax(-1)).eval()


def saved(program) -> bytes:
    out = io.BytesIO()
    torch.export.save(program, out)
    return out.getvalue()


def loaded(data: bytes):
    return torch.export.load(io.BytesIO(data))


def test_export_is_callable_and_a_module():
    x = torch.randn(3, 4)
    for program in (torch.export(model(), (x,)), torch.export.export(model(), (x,))):
        assert isinstance(program, torch.export.ExportedProgram)
        assert torch.equal(program.module()(x), model()(x)) and torch.equal(program(x), model()(x))
        assert "addmm" in program.code and set(program.graph_signature.parameters) == set(program.state_dict)


def test_program_runs_in_a_fresh_process(tmp_path):
    source = """
import numtorch as t
class Mine(t.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = t.nn.Parameter(t.arange(6.).reshape(2, 3))
    def forward(self, x, *, scale=1.0):
        return {"y": (x @ self.w).tanh() * scale, "n": x.shape[1]}
"""
    (tmp_path / "mine.py").write_text(source)
    make = """
import mine, numtorch as t
p = t.export.export(mine.Mine(), (t.ones(5, 2),), {"scale": 0.5},
                    dynamic_shapes=({0: t.export.Dim("batch")}, None))
t.export.save(p, "mine.pt2")
"""
    subprocess.run([sys.executable, "-c", make], check=True, cwd=tmp_path)
    (tmp_path / "mine.py").unlink()
    use = """
import numtorch as t
p = t.export.load("mine.pt2")
x, w = t.randn(7, 2), t.arange(6.).reshape(2, 3)
y = p.module()(x, scale=0.5)
assert y["n"] == 2 and t.equal(y["y"], (x @ w).tanh() * 0.5)
assert list(p.state_dict) == ["w"] and p.range_constraints == {"batch": (1, None)}
"""
    subprocess.run([sys.executable, "-c", use], check=True, cwd=tmp_path)


def test_sizes_are_fixed_unless_freed():
    program = loaded(saved(torch.export.export(model(), (torch.randn(3, 4),))))
    with pytest.raises(RuntimeError,
                       match=r"shape \[2, 4\]; the graph was recorded for \[3, 4\], and none of its"):
        program.module()(torch.randn(2, 4))
    with pytest.raises(RuntimeError, match="argument 0 was torch.float32"):
        program.module()(torch.randn(3, 4).double())
    with pytest.raises(RuntimeError, match="recorded for 1 argument, and is called with 2 arguments"):
        program.module()(torch.randn(3, 4), 1)


def attention(q, k, mask):
    s = q @ k.transpose(1, 2) / k.shape[-1]**0.5
    causal = torch.ones(q.shape[1], k.shape[1]).tril()
    s = s.masked_fill(causal == 0, float("-inf")) + mask.unsqueeze(0) + torch.arange(k.shape[1])
    return s.softmax(-1) @ k, s.mean(), q.reshape(-1, q.shape[-1])


def test_several_sizes_vary():
    batch, length = Dim("batch"), Dim("length", min=2, max=50)
    args = torch.randn(2, 5, 4), torch.randn(2, 5, 4), torch.randn(5, 5)
    shapes = {"q": {0: batch, 1: length}, "k": {0: batch, 1: length}, "mask": {0: length, 1: length}}
    program = loaded(saved(torch.export.export(attention, args, dynamic_shapes=shapes)))
    assert program.range_constraints == {"batch": (1, None), "length": (2, 50)}
    for b, n in ((2, 5), (1, 9), (4, 2)):
        args = torch.randn(b, n, 4), torch.randn(b, n, 4), torch.randn(n, n)
        for got, want in zip(program.module()(*args), attention(*args)):
            assert torch.allclose(got, want, atol=1e-6)
    with pytest.raises(RuntimeError, match="length is 51; the graph holds from 2 to 50"):
        program.module()(torch.randn(1, 51, 4), torch.randn(1, 51, 4), torch.randn(51, 51))
    with pytest.raises(RuntimeError, match="the sizes called batch differ"):
        program.module()(torch.randn(2, 5, 4), torch.randn(1, 5, 4), torch.randn(5, 5))


def test_sizes_that_cannot_vary_are_refused():
    with pytest.raises(RuntimeError, match="cannot vary|cannot be multiplied"):
        torch.export.export(model(), (torch.randn(3, 4),), dynamic_shapes={"input": {1: Dim("c")}})
    with pytest.raises(RuntimeError, match="n cannot vary"):
        torch.export.export(lambda x: x[::2], (torch.randn(8),), dynamic_shapes=({0: Dim("n")},))
    with pytest.raises(RuntimeError, match="n cannot vary"):  # as many operations as elements
        torch.export.export(lambda x: sum(v for v in x), (torch.randn(3),), dynamic_shapes=({0: Dim("n")},))
    program = torch.export.export(lambda x: x[::2], (torch.randn(8, 2),),
                                  dynamic_shapes=({0: Dim.AUTO, 1: Dim.AUTO},))
    assert program(torch.randn(8, 5)).shape == (4, 5)


def test_values_in_control_flow_name_the_line():
    def f(x):
        return x if x[0] > 0 else -x
    with pytest.raises(RuntimeError, match=r"test_export.py:\d+: a tensor is converted to a Python boolean"):
        torch.export.export(f, (torch.ones(2),))
    with pytest.raises(NotImplementedError, match="reads values to know what it computes"):
        torch.export.export(lambda x: x[x > 0], (torch.ones(2),))


def test_buffers_are_updated_and_draws_are_drawn():
    m = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
    program = loaded(saved(torch.export.export(m, (torch.randn(4, 3),))))
    x = torch.randn(4, 3)
    torch.manual_seed(1)
    want = m(x)
    torch.manual_seed(1)
    got = program.module()(x)
    assert torch.equal(got, want)
    for (n, a), (_, b) in zip(m.state_dict().items(), program.module().state_dict().items()):
        assert torch.equal(a, b), n


# ------------------------------------------------------------------------------------------ hostile files
@pytest.fixture(scope="module")
def file() -> bytes:
    x = torch.randn(3, 4)
    return saved(torch.export.export(model(), (x,), dynamic_shapes=({0: Dim("batch")},)))


def changed(data: bytes, edit) -> bytes:
    """The file with another graph.json and right checksums."""
    reader = ArchiveReader(io.BytesIO(data), 0, len(data), Limits(1 << 30))
    out = io.BytesIO()
    writer = ArchiveWriter(out.write)
    doc = json.loads(reader.read("graph.json"))
    doc = edit(doc) or doc
    writer.add("graph.json", doc if isinstance(doc, bytes) else json.dumps(doc).encode())
    for name in reader.members:
        if name.startswith("tensors/"):
            writer.add(name, reader.read(name))
    writer.close()
    return out.getvalue()


def test_truncated_files_are_refused(file):
    for n in range(0, len(file) - 1, 97):
        with pytest.raises((RuntimeError, EOFError)):
            loaded(file[:n])


def test_flipped_bits_are_found_or_harmless(file):
    x = torch.randn(2, 4)
    want = loaded(file).module()(x)
    rng = random.Random(0)
    for _ in range(150):
        at = rng.randrange(len(file) * 8)
        bad = bytearray(file)
        bad[at // 8] ^= 1 << at % 8
        try:
            got = loaded(bytes(bad)).module()(x)
        except (RuntimeError, EOFError):
            continue
        assert torch.equal(got, want), at


def graph(doc: dict) -> dict:
    return doc["methods"]["forward"][0]["doc"]["graph"]


def hostile():
    def case(edit):
        return pytest.param(edit, id=edit.__name__)

    def huge_value(doc):
        graph(doc)["values"][-1][1] = 1 << 62

    def negative_stride(doc):
        graph(doc)["nodes"][0]["outs"][0][3][0] = -8

    def far_offset(doc):
        next(v for _, v in graph(doc)["nodes"][0]["ins"] if isinstance(v, dict)
             and "ref" in v)["ref"][4] = 10**6

    def long_stride(doc):
        for n in graph(doc)["nodes"]:
            for v in n["ins"]:
                if isinstance(v, dict) and "ref" in v and n["kind"] == "map":
                    v["ref"][3] = [10**5] * len(v["ref"][3])

    def unknown_operation(doc):
        graph(doc)["nodes"][0]["op"] = "os.system"

    def another_kind(doc):
        graph(doc)["nodes"][0]["op"] = "exp"

    def used_before_made(doc):
        graph(doc)["nodes"] = graph(doc)["nodes"][::-1]

    def smaller_weight(doc):
        doc["state"][0]["layout"][0] = [1000, 1000]

    def wrong_type(doc):
        graph(doc)["values"][0][0] = "float64"

    def unknown_type(doc):
        graph(doc)["values"][0][0] = "object"

    def no_such_state(doc):
        doc["methods"]["forward"][0]["doc"]["inputs"][0] = {"state": "../../etc",
                                                            "layout": ["float32", [], [], 0]}

    def no_such_block(doc):
        doc["state"][0]["block"] = "../../../etc/passwd"

    def path_in_a_name(doc):
        doc["state"][0]["name"] = "../x/__class__"

    def wrong_result(doc):
        graph(doc)["nodes"][0]["outs"][0][2] = [1 << 30, 8]

    def infinite_poly(doc):
        doc["methods"]["forward"][0]["doc"]["args"][0]["tensor"][1][0] = {"poly": [[1, 0, [1]]]}

    def big_power(doc):
        doc["methods"]["forward"][0]["doc"]["args"][0]["tensor"][1][0] = {"poly": [[1, 1, [10**9]]]}

    def not_a_dict(doc):
        return b"[]"

    def not_json(doc):
        return b"{"

    def deep(doc):
        return b"[" * 100_000 + b"]" * 100_000

    def newer(doc):
        doc["version"] = 99

    def writes_outside(doc):
        doc["methods"]["forward"][0]["doc"]["writes"] = [[99, 99]]
    return [case(f) for f in (
        huge_value, negative_stride, far_offset, long_stride, unknown_operation, another_kind,
        used_before_made, smaller_weight, wrong_type, unknown_type, no_such_state, no_such_block,
        path_in_a_name, wrong_result, infinite_poly, big_power, not_a_dict, not_json, deep, newer,
        writes_outside)]


@pytest.mark.parametrize("edit", hostile())
def test_false_contents_are_refused(file, edit):
    with pytest.raises(RuntimeError):
        loaded(changed(file, edit)).module()(torch.randn(2, 4))


def places(doc, at=()):
    """Where numbers and strings are."""
    if isinstance(doc, dict):
        for k, v in doc.items():
            yield from places(v, (*at, k))
    elif isinstance(doc, list):
        for k, v in enumerate(doc):
            yield from places(v, (*at, k))
    else:
        yield at


def test_random_contents_never_crash(file):
    """Numbers and names exchanged at random: an error, or a result that a graph may have."""
    rng = random.Random(0)
    for _ in range(120):
        def edit(doc):
            where = list(places(doc["methods"])) + list(places(doc["state"]))
            for _ in range(rng.choice((1, 1, 2))):
                *path, last = rng.choice(where)
                inside = doc["methods"] if path[0] in doc["methods"] else doc["state"]
                for k in path:
                    inside = inside[k]
                inside[last] = rng.choice((0, 1, 2, 3, -1, 7, 1 << 40, None, True, "float64", "exp", [],
                                           {"ref": []}))
        try:
            loaded(changed(file, edit)).module()(torch.randn(2, 4))
        except (RuntimeError, NotImplementedError):
            pass


def test_nothing_in_a_file_is_pickled(file):
    reader = ArchiveReader(io.BytesIO(file), 0, len(file), Limits(1 << 30))
    assert not any(n.endswith((".pkl", ".py")) for n in reader.members)
    assert np.frombuffer(reader.read("tensors/0"), np.float32).size in (8, 32)
