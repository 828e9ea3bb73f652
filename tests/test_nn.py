"""numtorch.nn: registration, state, hooks, printed forms and messages, without PyTorch beside it."""

import copy
import pickle
import warnings
from collections import OrderedDict

import numpy as np
import pytest

import numtorch as torch
from numtorch import nn
from numtorch.nn.modules import module as module_hooks


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 3, padding=1)
        self.bn = nn.BatchNorm2d(2)
        self.block = nn.Sequential(OrderedDict(act=nn.ReLU(), drop=nn.Dropout(0.1)))
        self.heads = nn.ModuleList([nn.Linear(2, 3) for _ in range(3)])
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("mask", torch.zeros(2), persistent=False)

    def forward(self, x):
        x = self.block(self.bn(self.conv1(x))).mean((2, 3))
        return sum(head(x) for head in self.heads) * self.scale


REPR = """\
Net(
  (conv1): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
  (bn): BatchNorm2d(2, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
  (block): Sequential(
    (act): ReLU()
    (drop): Dropout(p=0.1, inplace=False)
  )
  (heads): ModuleList(
    (0-2): 3 x Linear(in_features=2, out_features=3, bias=True)
  )
)"""
KEYS = [
    "scale",
    "conv1.weight",
    "conv1.bias",
    "bn.weight",
    "bn.bias",
    "bn.running_mean",
    "bn.running_var",
    "bn.num_batches_tracked",
    *[f"heads.{i}.{name}" for i in range(3) for name in ("weight", "bias")],
]


def test_printed_form():
    assert repr(Net()) == REPR
    assert repr(nn.Sequential()) == "Sequential()"
    assert repr(nn.Parameter(torch.ones(2))) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    assert repr(nn.ParameterList([torch.ones(2), 3])) == (
        "ParameterList(\n    (0): Parameter containing: [torch.float32 of size 2]\n"
        "    (1): Object of type: int\n)"
    )


def test_members():
    net = Net()
    assert list(net.state_dict()) == KEYS
    assert [n for n, _ in net.named_children()] == ["conv1", "bn", "block", "heads"]
    assert [n for n, _ in net.named_modules()][:5] == ["", "conv1", "bn", "block", "block.act"]
    assert [n for n, _ in net.named_buffers()] == [
        "mask",
        "bn.running_mean",
        "bn.running_var",
        "bn.num_batches_tracked",
    ]
    assert len(list(net.parameters())) == 11 and len(list(net.parameters(recurse=False))) == 1
    assert net.get_submodule("block.act") is net.block.act
    assert net.get_parameter("heads.1.bias") is net.heads[1].bias
    assert net.get_buffer("bn.running_var") is net.bn.running_var
    net.set_submodule("block.act", nn.Tanh())
    assert isinstance(net.block[0], nn.Tanh)
    assert "conv1" in dir(net) and "0" not in dir(net.heads)


def test_shared_parameters_count_once():
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    b.weight = a.weight
    both = nn.Sequential(a, b, a)
    assert [n for n, _ in both.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert len(list(both.named_parameters(remove_duplicate=False))) == 6
    assert len(list(both.children())) == 2 and len(list(both.modules())) == 3


def test_assignment():
    m = nn.Module()
    m.a = torch.ones(2)
    m.a = nn.Parameter(torch.ones(2))
    m.b = nn.Linear(1, 1)
    assert list(m._parameters) == ["a"] and "a" not in m.__dict__
    m.a = None
    assert m.a is None and list(m._parameters) == ["a"] and list(m.parameters()) != []
    m.c = nn.Buffer(torch.ones(2), persistent=False)
    assert "c" in m._buffers and "c" not in m.state_dict()
    m.c = torch.zeros(3)
    assert m._buffers["c"].shape == (3,)
    m.b = None
    assert list(m.named_modules()) == [("", m)]
    for name in ("a", "b", "c"):
        delattr(m, name)
        assert not hasattr(m, name)
    m.weight, m.bias = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    m.weight = nn.Parameter(torch.zeros(1))
    assert [n for n, _ in m.named_parameters()] == ["weight", "bias"]  # the place is kept


def test_assignment_errors():
    class Early(nn.Module):
        def __init__(self, value):
            self.x = value

    with pytest.raises(AttributeError, match=r"cannot assign parameters before Module.__init__\(\) call"):
        Early(nn.Parameter(torch.ones(1)))
    with pytest.raises(AttributeError, match=r"cannot assign module before Module.__init__\(\) call"):
        Early(nn.ReLU())
    with pytest.raises(AttributeError, match="has no attribute '_forward_hooks'"):
        Early(3)(1)
    m = nn.Linear(2, 2)
    with pytest.raises(TypeError) as e:
        m.weight = torch.ones(2, 2)
    assert str(e.value) == (
        "cannot assign 'torch.FloatTensor' as parameter 'weight' (torch.nn.Parameter or None expected)"
    )
    with pytest.raises(ValueError, match="Cannot assign non-leaf Tensor to parameter 'w'"):
        m.register_parameter("w", (nn.Parameter(torch.ones(1)) * 2).as_subclass(nn.Parameter))
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'wieght'"):
        m.wieght  # noqa: B018
    with pytest.raises(
        NotImplementedError, match=r'Module \[Module\] is missing the required "forward" function'
    ):
        nn.Module()(1)


def test_load_state_dict():
    net, other = Net(), Net()
    assert str(net.load_state_dict(other.state_dict())) == "<All keys matched successfully>"
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters()))
    with pytest.raises(RuntimeError) as e:
        nn.Sequential(nn.Linear(2, 3)).load_state_dict(
            {"0.weight": torch.ones(2, 2), "1.bias": torch.ones(3)}
        )
    assert str(e.value) == (
        "Error(s) in loading state_dict for Sequential:\n"
        '\tMissing key(s) in state_dict: "0.bias". \n'
        '\tUnexpected key(s) in state_dict: "1.bias". \n'
        "\tsize mismatch for 0.weight: copying a param with shape torch.Size([2, 2]) from checkpoint, "
        "the shape in current model is torch.Size([3, 2])."
    )
    result = nn.Linear(2, 3).load_state_dict({"weight": torch.ones(3, 2), "x": torch.ones(1)}, strict=False)
    assert result.missing_keys == ["bias"] and result.unexpected_keys == ["x"]
    layer, weight = nn.Linear(2, 3), torch.zeros(3, 2)
    layer.load_state_dict({"weight": weight, "bias": torch.ones(3)}, assign=True)
    assert isinstance(layer.weight, nn.Parameter) and layer.weight.data_ptr() == weight.data_ptr()


def test_state_dict_shares_memory_and_versions():
    layer = nn.BatchNorm1d(2)
    state = layer.state_dict()
    assert state._metadata[""] == {"version": 2}
    state["weight"].fill_(5)
    assert layer.weight.tolist() == [5, 5] and not state["weight"].requires_grad
    assert layer.state_dict(keep_vars=True)["weight"] is layer.weight
    old = OrderedDict((k, v) for k, v in state.items() if k != "num_batches_tracked")
    layer.load_state_dict(old)  # version 1 did not count batches


def test_extra_state():
    class Counting(nn.Module):
        n = 0

        def get_extra_state(self):
            return {"n": self.n}

        def set_extra_state(self, state):
            self.n = state["n"]

    a, b = nn.Sequential(Counting()), nn.Sequential(Counting())
    a[0].n = 7
    b.load_state_dict(a.state_dict())
    assert b[0].n == 7 and list(a.state_dict()) == ["0._extra_state"]
    with pytest.raises(RuntimeError, match='Missing key.*"0._extra_state"'):
        b.load_state_dict({})


def test_state_hooks():
    layer, seen = nn.Linear(2, 2), []
    layer.register_state_dict_pre_hook(lambda m, prefix, keep: seen.append("pre"))
    layer.register_state_dict_post_hook(lambda m, state, prefix, meta: state.update(extra=1))
    layer.register_load_state_dict_pre_hook(lambda m, state, *rest: state.pop("extra"))
    layer.register_load_state_dict_post_hook(lambda m, keys: seen.append(keys))
    state = layer.state_dict()
    assert state["extra"] == 1
    layer.load_state_dict(state)
    assert seen[0] == "pre" and seen[1].missing_keys == [] and "extra" in state

    def post(m, state, prefix, meta):
        return state

    layer.register_state_dict_post_hook(post)
    with pytest.raises(RuntimeError, match="state_dict post-hook must return None"):
        layer.state_dict()


def test_conversion():
    net = Net()
    weight = net.conv1.weight
    net(torch.ones(2, 1, 4, 4)).sum().backward()
    net.double()
    assert net.conv1.weight is weight and weight.dtype is torch.float64 and weight.grad.dtype is torch.float64
    assert net.bn.num_batches_tracked.dtype is torch.int64 and net.mask.dtype is torch.float64
    assert net.to(torch.float16).scale.dtype is torch.float16
    assert net.to("cpu", torch.float32).scale.dtype is torch.float32
    assert net.to(torch.ones(1, dtype=torch.float64)).scale.dtype is torch.float64
    assert net.to(memory_format=torch.channels_last) is net
    assert net.float().half().bfloat16().mask.dtype is torch.bfloat16
    with pytest.raises(TypeError, match="nn.Module.to only accepts floating point or complex dtypes"):
        net.to(torch.int32)
    with pytest.raises(TypeError, match=r"to\(\) received an invalid combination of arguments"):
        net.to(1.5)


def test_modes_and_grads():
    net = Net()
    assert net.eval() is net and not any(m.training for m in net.modules())
    net.train()
    assert net.heads[2].training
    net(torch.ones(2, 1, 4, 4)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all(p.grad.abs().sum().item() == 0 for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    seen = []
    net.apply(lambda m: seen.append(type(m).__name__))
    assert seen[0] == "Conv2d" and seen[-1] == "Net"


def test_forward_hooks():
    layer, seen = nn.Identity(), []
    layer.register_forward_pre_hook(lambda m, args: seen.append("pre"))
    layer.register_forward_pre_hook(lambda m, args: args[0] + 1)
    layer.register_forward_pre_hook(lambda m, args, kwargs: (args, {}), with_kwargs=True, prepend=True)
    layer.register_forward_hook(lambda m, args, out: out * 2)
    handle = layer.register_forward_hook(lambda m, args, kwargs, out: out + args[0], with_kwargs=True)
    assert layer(1, what=3) == 6 and seen == ["pre"]
    handle.remove()
    assert layer(1) == 4 and not layer._forward_hooks_with_kwargs
    with layer.register_forward_hook(lambda m, args, out: 0):
        assert layer(1) == 0
    layer.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match="forward pre-hook must return None or a tuple of"):
        layer(1)


def test_always_called_hooks():
    class Failing(nn.Module):
        def forward(self):
            raise KeyError("no")

    layer, seen = Failing(), []
    layer.register_forward_hook(lambda m, args, out: seen.append("plain"))
    layer.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(KeyError):
        layer()
    assert seen == [None]
    layer.register_forward_hook(lambda m, args, out: 1 / 0, always_call=True)
    with pytest.raises(KeyError), pytest.warns(UserWarning, match="raised an exception that was silenced"):
        layer()


def test_backward_hooks():
    layer, seen = nn.Linear(2, 3), []
    layer.register_full_backward_pre_hook(lambda m, out: (out[0] * 2,))
    layer.register_full_backward_hook(lambda m, into, out: seen.append((m, into, out)))
    layer.register_full_backward_hook(lambda m, into, out: (into[0] * 10,))
    x = torch.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    m, (into,), (out,) = seen[0]
    assert m is layer and out.tolist() == [[2, 2, 2]]
    np.testing.assert_allclose(
        into.numpy(), 2 * layer.weight.detach().sum(0, keepdim=True).numpy(), rtol=1e-6
    )
    np.testing.assert_allclose(x.grad.numpy(), 10 * into.numpy(), rtol=1e-6)
    with pytest.raises(RuntimeError, match="Cannot use both regular backward hooks and full backward hooks"):
        layer.register_backward_hook(lambda m, into, out: None)
    other, seen = nn.Linear(2, 3), []
    other.register_full_backward_hook(lambda m, into, out: seen.append(into))
    other(torch.ones(1, 2)).sum().backward()
    assert seen == [(None,)]


def test_global_hooks():
    seen = []
    handles = [
        module_hooks.register_module_forward_pre_hook(lambda m, args: seen.append("pre")),
        module_hooks.register_module_forward_hook(lambda m, args, out: seen.append("post")),
        module_hooks.register_module_full_backward_hook(lambda m, into, out: seen.append("back")),
        module_hooks.register_module_parameter_registration_hook(lambda m, name, p: seen.append(name)),
        module_hooks.register_module_module_registration_hook(lambda m, name, c: seen.append(name)),
        module_hooks.register_module_buffer_registration_hook(lambda m, name, b: seen.append(name)),
    ]
    try:
        net = nn.Sequential(nn.Linear(1, 1))
        net.register_buffer("buf", None)
        net(torch.ones(1, 1)).sum().backward()
    finally:
        for handle in handles:
            handle.remove()
    assert seen == ["weight", "bias", "0", "buf", "pre", "pre", "post", "post", "back", "back"]
    nn.Linear(1, 1)(torch.ones(1, 1))
    assert len(seen) == 10


def test_copies():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.LSTM(3, 4))
    net[0].weight.requires_grad_(False)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(other) == repr(net)
        assert all(torch.equal(a, b) for a, b in zip(other.state_dict().values(), net.state_dict().values()))
        assert not other[0].weight.requires_grad and other[0].bias.requires_grad
        assert other[0].bias is not net[0].bias and isinstance(other[0].bias, nn.Parameter)
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    other = copy.deepcopy(tied)
    assert other[0].weight is other[1].weight and other[0].weight is not tied[0].weight
    assert isinstance(pickle.loads(pickle.dumps(tied))[0].weight, nn.Parameter)


def test_containers():
    seq = nn.Sequential(nn.ReLU(), nn.Tanh())
    seq.append(nn.ELU()).insert(0, nn.GELU())
    assert [type(m).__name__ for m in seq] == ["GELU", "ReLU", "Tanh", "ELU"]
    del seq[1]
    assert list(seq._modules) == ["0", "1", "2"] and len(seq[1:]) == 2
    assert isinstance(seq.pop(-1), nn.ELU) and len(seq + seq) == 4 and len(2 * seq) == 4
    seq[0] = nn.Identity()
    assert isinstance(seq[0], nn.Identity)
    items = nn.ModuleList([nn.ReLU()]) + [nn.Tanh()]
    items += [nn.ELU()]
    items.insert(1, nn.GELU())
    assert [type(m).__name__ for m in items] == ["ReLU", "GELU", "Tanh", "ELU"]
    assert isinstance(items.pop(1), nn.GELU) and len(items[::2]) == 2
    named = nn.ModuleDict({"a": nn.ReLU()})
    named.update([("b", nn.Tanh())])
    named["c"] = nn.ELU()
    assert list(named) == ["a", "b", "c"] and "b" in named and isinstance(named.pop("a"), nn.ReLU)
    assert list(named.items())[0][0] == "b" and len(named) == 2
    params = nn.ParameterList([torch.ones(1), nn.Parameter(torch.zeros(1))])
    params += [torch.ones(2)]
    assert len(params) == 3 and isinstance(params[0], nn.Parameter) and len(params[1:]) == 2
    table = nn.ParameterDict({"b": torch.ones(1), "a": torch.ones(2)})
    assert list(table) == ["a", "b"] and table.get("x") is None and "a" in table
    assert table.setdefault("c", torch.ones(3)).shape == (3,) and table.popitem()[0] == "c"
    assert list((table | nn.ParameterDict({"z": torch.ones(1)})).keys()) == ["a", "b", "z"]
    assert [n for n, _ in table.named_parameters()] == ["a", "b"]


def test_batch_norm_statistics():
    bn = nn.BatchNorm1d(2, momentum=None)
    x = torch.tensor([[0.0, 2.0], [2.0, 6.0]])
    bn(x), bn(x + 1)
    assert bn.num_batches_tracked.item() == 2
    np.testing.assert_allclose(bn.running_mean.numpy(), [1.5, 4.5])
    np.testing.assert_allclose(bn.running_var.numpy(), [2.0, 8.0], rtol=1e-6)
    bn.eval()
    np.testing.assert_allclose(bn(x).detach().numpy()[0], [-1.5 / 2**0.5, -2.5 / 8**0.5], rtol=1e-4)
    bn.reset_running_stats()
    assert bn.running_var.tolist() == [1, 1]


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_packed_equals_padded(kind):
    torch.manual_seed(0)
    layer = kind(3, 4, 2, bidirectional=True, batch_first=True)
    x, lengths = torch.randn(3, 5, 3), [2, 5, 3]
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    out, hidden = layer(packed)
    out, got = nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
    assert got.tolist() == lengths and out.shape == (3, 5, 8)
    for i, n in enumerate(lengths):
        alone, h = layer(x[i : i + 1, :n])
        np.testing.assert_allclose(out[i, :n].detach().numpy(), alone[0].detach().numpy(), atol=1e-6)
        h, all_h = (h[0], hidden[0]) if kind is nn.LSTM else (h, hidden)
        np.testing.assert_allclose(all_h[:, i].detach().numpy(), h[:, 0].detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("layer,cell", [(nn.RNN, nn.RNNCell), (nn.LSTM, nn.LSTMCell), (nn.GRU, nn.GRUCell)])
def test_cell_is_one_step(layer, cell):
    whole, step = layer(3, 4), cell(3, 4)
    step.load_state_dict({k[:-3]: v for k, v in whole.state_dict().items()})
    x, state = torch.randn(5, 2, 3), None
    for t in range(5):
        state = step(x[t], state)
    h = state[0] if cell is nn.LSTMCell else state
    np.testing.assert_allclose(h.detach().numpy(), whole(x)[0][-1].detach().numpy(), atol=1e-6)


def test_sequences():
    rnn = nn.utils.rnn
    parts = [torch.arange(n, dtype=torch.float32) for n in (1, 3, 2)]
    packed = rnn.pack_sequence(parts, enforce_sorted=False)
    assert packed.data.tolist() == [0, 0, 0, 1, 1, 2] and packed.batch_sizes.tolist() == [3, 2, 1]
    assert packed.sorted_indices.tolist() == [1, 2, 0] and packed.unsorted_indices.tolist() == [2, 0, 1]
    assert [p.tolist() for p in rnn.unpack_sequence(packed)] == [p.tolist() for p in parts]
    assert rnn.pad_sequence(parts, True, -1.0, "left").tolist() == [[-1, -1, 0], [0, 1, 2], [-1, 0, 1]]
    assert packed.double().data.dtype is torch.float64 and packed.to("cpu") is packed
    with pytest.raises(RuntimeError, match="`lengths` array must be sorted in decreasing order"):
        rnn.pack_sequence(parts)


def test_clip():
    p = nn.Parameter(torch.zeros(2))
    p.grad = torch.tensor([3.0, 4.0])
    assert nn.utils.clip_grad_norm_([p], 1.0).item() == 5
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.8], rtol=1e-5)
    nn.utils.clip_grad_value_(p, 0.7)
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.7], rtol=1e-5)
    p.grad = torch.tensor([float("nan"), 1.0])
    with pytest.raises(
        RuntimeError, match="The total norm of order 2.0 for gradients from `parameters` is non"
    ):
        nn.utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    with pytest.warns(UserWarning, match="empty generator"):
        nn.utils.clip_grad_norm_((q for q in []), 1.0)
    vector = nn.utils.parameters_to_vector(nn.Linear(2, 1).parameters())
    layer = nn.Linear(2, 1)
    nn.utils.vector_to_parameters(vector, layer.parameters())
    assert torch.equal(nn.utils.parameters_to_vector(layer.parameters()), vector)


def test_initial_values_follow_the_seed():
    """PyTorch's values for seed 0."""
    torch.manual_seed(0)
    layer = nn.Linear(2, 2)
    np.testing.assert_allclose(
        layer.weight.detach().numpy(), [[-0.00529, 0.37932], [-0.58198, -0.52039]], atol=1e-5
    )
    np.testing.assert_allclose(layer.bias.detach().numpy(), [-0.27234, 0.18961], atol=1e-5)
    assert nn.init.calculate_gain("leaky_relu", 0.0) == 2**0.5
    w = nn.init.dirac_(torch.empty(2, 2, 3))
    assert w[0, 0].tolist() == [0, 1, 0] and w.sum().item() == 2
    t = nn.init.trunc_normal_(torch.empty(1000), std=2.0, a=-1.0, b=0.5)
    assert t.min().item() >= -1 and t.max().item() <= 0.5


def test_lazy():
    lazy = nn.LazyLinear(3)
    assert repr(lazy) == "LazyLinear(in_features=0, out_features=3, bias=True)"
    assert repr(lazy.weight) == "<UninitializedParameter>"
    with pytest.raises(RuntimeError, match="Can't access the shape of an uninitialized parameter or buffer"):
        lazy.weight.shape  # noqa: B018
    assert lazy(torch.ones(2, 5)).shape == (2, 3) and type(lazy) is nn.Linear and lazy.in_features == 5
    other = nn.LazyLinear(3)
    other.load_state_dict(lazy.state_dict())
    assert torch.equal(other.weight, lazy.weight)


def test_losses_spell_reduction_two_ways():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert nn.MSELoss(size_average=False).reduction == "sum"
        assert nn.L1Loss(reduce=False).reduction == "none"
    assert "please use reduction='sum' instead." in str(seen[0].message)


def test_module_with_its_own_signature():
    class Two(nn.Module):
        def forward(self, x, *, y=0):
            return x, y

    assert Two()(1, y=2) == (1, 2)
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'z'"):
        nn.Module(z=1)
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        nn.Module(1)
