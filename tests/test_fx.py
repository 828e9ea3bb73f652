"""torch.fx: tracing, generated code, changed graphs."""
import copy
import io
import operator

import pytest

import numtorch as torch
from numtorch import fx, nn
from numtorch.fx.passes.shape_prop import ShapeProp
from numtorch.fx.proxy import TraceError


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.seq = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        self.w = nn.Parameter(torch.ones(4))
        self.register_buffer("b", torch.ones(4))

    def forward(self, x, k: int = 2):
        y = self.seq(x) * self.w + self.b
        a, c = y.chunk(2, -1)
        z = torch.cat([a, c], dim=1)[:, 1:].to(torch.float64)
        return {"z": z.relu().clamp(min=-1), "n": z.shape[0] + k}


CODE = """


def forward(self, x, k : int = 2):
    seq_0 = getattr(self.seq, "0")(x);  x = None
    seq_1 = getattr(self.seq, "1")(seq_0);  seq_0 = None
    w = self.w
    mul = seq_1 * w;  seq_1 = w = None
    b = self.b
    add = mul + b;  mul = b = None
    chunk = add.chunk(2, -1);  add = None
    getitem = chunk[0]
    getitem_1 = chunk[1];  chunk = None
    cat = torch.cat([getitem, getitem_1], dim = 1);  getitem = getitem_1 = None
    getitem_2 = cat[(slice(None, None, None), slice(1, None, None))];  cat = None
    to = getitem_2.to(torch.float64);  getitem_2 = None
    relu = to.relu()
    clamp = relu.clamp(min = -1);  relu = None
    getattr_1 = to.shape;  to = None
    getitem_3 = getattr_1[0];  getattr_1 = None
    add_1 = getitem_3 + k;  getitem_3 = k = None
    return {'z': clamp, 'n': add_1}
    """


@pytest.fixture
def traced():
    net = Net()
    return net, fx.symbolic_trace(net), torch.randn(5, 3)


def test_code_and_values(traced):
    net, g, x = traced
    assert g.code == CODE
    want, got = net(x), g(x)
    assert (want["z"] == got["z"]).all() and got["n"] == 7 and g(x, 4)["n"] == 9
    assert set(g.state_dict()) == set(net.state_dict())
    g(x)["z"].sum().backward()
    assert net.w.grad is not None  # modules and parameters are shared


def test_the_graphs_text():
    g = fx.symbolic_trace(lambda x: torch.relu(x + 1))
    assert str(g.graph) == """graph():
    %x : [num_users=1] = placeholder[target=x]
    %add : [num_users=1] = call_function[target=operator.add](args = (%x, 1), kwargs = {})
    %relu : [num_users=1] = call_function[target=torch.relu](args = (%add,), kwargs = {})
    return relu"""


def test_copies_and_pickles(traced):
    _, g, x = traced
    for other in (copy.deepcopy(g), copy.copy(g)):
        assert other.code == g.code and (other(x)["z"] == g(x)["z"]).all()
    file = io.BytesIO()
    torch.save(g, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    assert (again(x)["z"] == g(x)["z"]).all()


def test_changing_a_graph():
    g = fx.symbolic_trace(lambda x: torch.relu((x + 1).neg()))
    for n in g.graph.nodes:
        if n.op == "call_function" and n.target == operator.add:
            with g.graph.inserting_after(n):
                new = g.graph.call_function(torch.mul, (n.args[0], 3))
            n.replace_all_uses_with(new)
            g.graph.erase_node(n)
    g.graph.lint()
    g.recompile()
    assert g(torch.tensor([-2.0, 1.0])).tolist() == [6, 0]
    first = next(iter(g.graph.nodes))
    with pytest.raises(RuntimeError, match="still had 1 users"):
        g.graph.erase_node(first)
    g.graph.call_function(torch.sin, (first,))
    assert g.graph.eliminate_dead_code() and "sin" not in str(g.graph)


def test_interpreter_transformer_and_shapes(traced):
    _, g, x = traced
    ShapeProp(g).propagate(x)
    assert next(n for n in g.graph.nodes if n.name == "cat").meta["tensor_meta"].shape == (5, 4)
    assert (fx.Interpreter(g).run(x)["z"] == g(x)["z"]).all()

    class Sine(fx.Transformer):
        def call_method(self, target, args, kwargs):
            return super().call_method("sin" if target == "relu" else target, args, kwargs)
    assert "sin = to.sin()" in Sine(g).transform().code
    with pytest.raises(TypeError) as caught:
        fx.Interpreter(fx.symbolic_trace(lambda x: x.chunk())).run(x)
    assert "While executing %chunk" in caught.value.__notes__[0]


def test_replace_pattern():
    def f(x, y):
        return torch.sin(x * 2 + y) + (y * 2 + x)
    g = fx.symbolic_trace(f)
    found = fx.replace_pattern(g, lambda a, b: a * 2 + b, lambda a, b: torch.add(b, a, alpha=2))
    x, y = torch.randn(3), torch.randn(3)
    assert len(found) == 2 and "*" not in g.code
    torch.testing.assert_close(g(x, y), f(x, y))


def test_what_cannot_be_traced():
    with pytest.raises(TraceError, match="control flow"):
        fx.symbolic_trace(lambda x: x if x.sum() > 0 else -x)
    with pytest.raises(TraceError, match="cannot be iterated"):
        fx.symbolic_trace(lambda x: [v for v in x])
    with pytest.raises(RuntimeError, match="'len' is not supported"):
        fx.symbolic_trace(lambda x: len(x))


def double(x):
    return x * 2 if x.sum() > 0 else x


fx.wrap("double")


def test_wrapped_functions_and_concrete_arguments():
    g = fx.symbolic_trace(lambda x: double(x) + 1)
    assert f'wrap("{__name__.replace(".", "_")}_double")' in g.code and g(torch.ones(1)).item() == 3
    h = fx.symbolic_trace(lambda x, flag: x if flag else -x, concrete_args={"flag": False})
    assert h(torch.ones(1), False).item() == -1
    with pytest.raises(AssertionError, match="specialized"):
        h(torch.ones(1), True)


def test_star_arguments():
    g = fx.symbolic_trace(lambda *args: args[0] + args[1])
    assert g(torch.ones(1), 2).item() == 3


def test_proxies_append_to_a_graph():
    graph = fx.Graph()
    x = fx.Proxy(graph.placeholder("x"))
    y = torch.cat((torch.tanh(x), x.neg()))
    graph.output(y.node)
    assert fx.GraphModule({}, graph)(torch.zeros(1)).tolist() == [0, 0]
