"""Recurrent layers: one kernel for the time loop computes what the cells compute step by step."""
import os
import subprocess
import sys

import numpy as np
import pytest

import numtorch as torch
from numtorch import nn
from numtorch.kernels import jit
from numtorch.kernels.cpu import rnn as kernels
from numtorch.ops import rnn

MODES = ["LSTM", "GRU", "RNN_TANH", "RNN_RELU"]
CASES = [  # steps, batch, features, size, projection, bias, packed sizes
    (3, 2, 3, 4, 0, True, None), (1, 1, 1, 1, 0, True, None), (5, 7, 4, 33, 0, True, None),
    (4, 9, 2, 16, 5, True, None), (3, 1, 2, 70, 0, False, None), (4, 5, 3, 6, 0, True, (5, 3, 3, 1)),
    (3, 4, 3, 6, 2, False, (4, 2, 1))]


def made(mode, steps, batch, features, size, projection, bias, sizes, dtype=torch.float64):
    """Random tensors of one direction of a layer: x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr."""
    torch.manual_seed(0)
    width, total = projection or size, rnn.STEPS[mode][0] * size
    R = lambda *shape: (torch.randn(*shape, dtype=dtype) * 0.5).requires_grad_()
    x = R(steps, batch, features) if sizes is None else R(sum(sizes), features)
    return (x, R(batch, width), R(batch, size) if mode == "LSTM" else None, R(total, features),
            R(total, width), *((R(total), R(total)) if bias else (None, None)),
            R(projection, size) if projection else None)


def by_kernel(mode, tensors, sizes, reverse):
    out, last = rnn._direction(mode, tensors, sizes, reverse)
    return (out, *last)


def by_cells(mode, tensors, sizes, reverse):
    out, last = rnn._definition(mode, tensors, sizes, reverse)[2:]
    return (out, *last)


def close(a, b, tolerance=1e-12):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x.detach().numpy(), y.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernel_against_cells(mode, case, reverse):
    if case[4] and mode != "LSTM":
        pytest.skip("only an LSTM has a projection")
    tensors = made(mode, *case)
    leaves = [t for t in tensors if t is not None]
    got, want = [f(mode, tensors, case[-1], reverse) for f in (by_kernel, by_cells)]
    close(got, want)
    with torch.no_grad():
        close(by_kernel(mode, tensors, case[-1], reverse), got, 0)
    cotangents = [torch.randn_like(t) for t in got]
    for some in (range(len(got)), [0], [len(got) - 1]):  # all results, the outputs, the last state
        grads = [torch.autograd.grad([r[k] for k in some], leaves, [cotangents[k] for k in some],
                                     retain_graph=True) for r in (got, want)]
        close(*grads)


def test_gradients_of_gradients():
    for mode in MODES:
        for case in [(2, 1, 1, 2, 0, True, None), (2, 1, 1, 2, 1, False, None),
                     (2, 2, 1, 1, 0, True, (2, 1))]:
            if case[4] and mode != "LSTM":
                continue
            tensors = made(mode, *case)
            at = [i for i, t in enumerate(tensors) if t is not None]

            def f(*leaves, mode=mode, case=case, at=at):
                full = [None] * 8
                for i, t in zip(at, leaves):
                    full[i] = t
                return by_kernel(mode, tuple(full), case[-1], True)
            leaves = [tensors[i] for i in at]
            assert torch.autograd.gradcheck(f, leaves)
            assert torch.autograd.gradgradcheck(f, leaves)


@pytest.mark.parametrize("mode", MODES)
def test_threads_and_tiles_change_no_bit(mode, monkeypatch):
    monkeypatch.setattr(jit, "PARALLEL_NS", 0.0)
    case = (3, 13, 5, 21, 0, True, None)
    before, results = jit.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            jit.set_num_threads(threads)
            tensors = made(mode, *case, dtype=torch.float32)
            got = by_kernel(mode, tensors, None, False)
            got[0].square().sum().backward()
            results.append([*got, tensors[0].grad, tensors[1].grad])
    finally:
        jit.set_num_threads(before)
    one = by_kernel(mode, [t if i > 2 or t is None else (t[:, 3:4] if i == 0 else t[3:4])
                           for i, t in enumerate(tensors)], None, False)
    for other in results[1:]:
        close(results[0], other, 0)
    assert torch.equal(one[0][:, 0], results[0][0][:, 3])  # in a batch of one row, in another tile


def test_one_op_for_a_direction():
    layer = nn.LSTM(3, 4, 2, bidirectional=True)
    names = [n.name() for n in reached(layer(torch.randn(9, 2, 3))[0].grad_fn)]
    assert names.count("RecurrentLayerBackward0") == 4 and len(names) < 40


def reached(node):
    seen, stack = {}, [node]
    while stack:
        n = stack.pop()
        if n is not None and id(n) not in seen:
            seen[id(n)] = n
            stack += [m for m, _ in n.next_functions]
    return seen.values()


def test_results_may_be_written_to():
    for kind in (nn.LSTM, nn.GRU, nn.RNN):
        layer, x = kind(3, 4), torch.randn(5, 2, 3)
        layer(x)[0].relu().sum().backward()
        want = [p.grad.clone() for p in layer.parameters()]
        layer.zero_grad()
        out, h = layer(x)
        out.relu_()
        (h[0] if isinstance(h, tuple) else h).mul_(2)
        out.sum().backward()
        close([p.grad for p in layer.parameters()], want, 0)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_vmap_and_func(kind):
    torch.manual_seed(0)
    layer = kind(3, 4).double()
    weights = {k: v.detach() for k, v in layer.named_parameters()}
    x = torch.randn(5, 6, 2, 3, dtype=torch.float64)

    def loss(p, x):
        return torch.func.functional_call(layer, p, (x,))[0].square().sum()
    grads = torch.vmap(torch.func.grad(loss), (None, 0))(weights, x)
    outs = torch.vmap(lambda x: layer(x)[0])(x)
    many = {k: torch.stack([v, 2 * v]) for k, v in weights.items()}
    ensemble = torch.vmap(lambda p: torch.func.functional_call(layer, p, (x[0],))[0])(many)
    for i in range(5):
        one = torch.func.grad(loss)(weights, x[i])
        close([grads[k][i] for k in one], one.values())
        close([outs[i]], [layer(x[i])[0]])
    close([ensemble[1]], [torch.func.functional_call(layer, {k: v[1] for k, v in many.items()}, (x[0],))[0]])
    packed = torch.vmap(lambda x: layer(nn.utils.rnn.pack_padded_sequence(x, [6, 2]))[0].data)(x)
    close([packed[3]], [layer(nn.utils.rnn.pack_padded_sequence(x[3], [6, 2]))[0].data])
    last = lambda x: layer(x)[0][-1].sum(0)
    forward, reverse = torch.func.jacfwd(last)(x[0]), torch.func.jacrev(last)(x[0])
    close([forward], [reverse])


def language_model(compiled):
    torch.manual_seed(0)
    token, layer, head = nn.Embedding(20, 8), nn.LSTM(8, 16, 2, dropout=0.2), nn.Linear(16, 20)
    params = [*token.parameters(), *layer.parameters(), *head.parameters()]
    data = torch.randint(0, 20, (31, 4))

    def step(x, y, hidden):
        hidden = tuple(h.detach() for h in hidden)
        out, hidden = layer(token(x), hidden)
        loss = nn.functional.cross_entropy(head(out).view(-1, 20), y.view(-1))
        for p in params:
            p.grad = None
        loss.backward()
        nn.utils.clip_grad_norm_(params, 0.25)
        with torch.no_grad():
            for p in params:
                p.add_(p.grad, alpha=-2.0)
        return loss, hidden
    if compiled:
        step = torch.compile(step)
    hidden, losses = (torch.zeros(2, 4, 16),) * 2, []
    for i in range(0, 30, 5):
        loss, hidden = step(data[i:i + 5], data[i + 1:i + 6], hidden)
        losses.append(float(loss.detach()))
    return losses


def test_language_model_with_carried_state():
    np.testing.assert_allclose(language_model(True), language_model(False), rtol=1e-6)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_compiled_at_any_length_and_batch(kind):
    torch.manual_seed(0)
    layer = kind(5, 7, 2, bidirectional=True, dropout=0.3)

    def step(x):
        layer.zero_grad()
        torch.manual_seed(1)
        out, _ = layer(x)
        out.square().sum().backward()
        return [out, *[p.grad for p in layer.parameters()]]
    compiled = torch.compile(step)
    for steps, batch in ((4, 3), (6, 3), (9, 2), (1, 1)):
        x = torch.randn(steps, batch, 5)
        want = [t.clone() for t in step(x)]
        close(compiled(x), want, 1e-6)
    assert "recurrent_layer" in str(compiled.explain())

    @torch.compile
    def packed(x, lengths):
        pack = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(layer.eval()(pack)[0])[0]
    for lengths in ([2, 4, 1], [4, 3, 3]):
        x = torch.randn(4, 3, 5)
        out = packed(x, torch.tensor(lengths))
        for b, n in enumerate(lengths):
            close([out[:n, b]], [layer(x[:n, b])[0]], 1e-6)


def test_shapes_are_checked():
    x, state, layer = torch.zeros(3, 2, 3), (torch.zeros(1, 2, 4),) * 2, nn.LSTM(3, 4)
    weights, how = layer._flat_weights, (True, 1, 0.0, True, False, False)
    assert torch.lstm(x, state, weights, *how)[0].shape == (3, 2, 4)
    for error, match, args in [
            (RuntimeError, "lstm expects two hidden states", (x, state[:1], weights, *how)),
            (RuntimeError, "ArrayRef size 3 not divisible by stride 4", (x, state, weights[:3], *how)),
            (RuntimeError, r"hidden state to have shape \[2, 4\]", (x, [torch.zeros(1, 3, 4)] * 2, weights,
                                                                    *how)),
            (RuntimeError, r"input weight to have shape \[16, 2\]", (x[..., :2], state, weights, *how)),
            (RuntimeError, "the same dtype, but got Double and Float", (x.double(), state, weights, *how)),
            (RuntimeError, r"batch_sizes must not increase, .* sum up to the 3 rows of the data, got"
             r" \[2, 2\]",
             (x[:, 0], torch.tensor([2, 2]), state, weights, *how[:-1])),
            (RuntimeError, r"batch_sizes must not increase", (x[:, 0], torch.tensor([1, 2]), state, weights,
                                                              *how[:-1])),
            (RuntimeError, "Expected sequence length to be larger than 0 in RNN", (x[:0], state, weights,
                                                                                   *how)),
            (TypeError, r"lstm\(\) received an invalid combination of arguments - got \(Tensor, tuple, "
             r"list\)", (x, state, weights))]:
        with pytest.raises(error, match=match):
            torch.lstm(*args)


def test_plain_python_gives_the_same_bits(tmp_path):
    """The kernels as the Python they are."""
    code = """
import sys, numpy as np, numtorch as torch
from numtorch import nn
values = []
for kind in (nn.LSTM, nn.GRU, nn.RNN):
    torch.manual_seed(0)
    layer = kind(2, 3, bidirectional=True)
    out, _ = layer(nn.utils.rnn.pack_padded_sequence(torch.randn(3, 2, 2), [3, 1]))
    out.data.sum().backward()
    values += [out.data.detach(), *[p.grad for p in layer.parameters()]]
np.save(sys.argv[1], np.concatenate([v.numpy().reshape(-1) for v in values]))
"""
    found = []
    for off in ("0", "1"):
        file = str(tmp_path / f"{off}.npy")
        subprocess.run([sys.executable, "-c", code, file], check=True,
                       env={**os.environ, "NUMBA_DISABLE_JIT": off})
        found.append(np.load(file))
    assert np.array_equal(*found)


def test_large_and_odd_sizes():
    """Panels of columns that are full, not full and several; tiles of rows with a rest."""
    for dtype in ("float32", "float64"):
        rng = np.random.default_rng(0)
        rows, columns = kernels.tile(dtype)
        for n in (1, columns - 1, columns, columns + 1, 3 * columns):
            w = rng.standard_normal((5, n)).astype(dtype)
            p = kernels.panels(w)
            assert p.shape == (-(-n // columns), 5, columns)
            assert np.array_equal(p.transpose(1, 0, 2).reshape(5, -1)[:, :n], w)
        tensors = made("LSTM", 2, rows + 1, 3, columns, 0, True, None, getattr(torch, dtype))
        close(by_kernel("LSTM", tensors, None, False), by_cells("LSTM", tensors, None, False),
              1e-5 if dtype == "float32" else 1e-12)
