"""The DataLoader and its workers; tests/parity compares batches with PyTorch's."""
import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import numtorch as nt
from numtorch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset, get_worker_info
from numtorch.utils.data._utils import memory

pytestmark = pytest.mark.filterwarnings("ignore:.*worker processes in total", "ignore:.*fork")


def table(n=20):
    return TensorDataset(nt.arange(n * 3.0).view(n, 3), nt.arange(n))


def values(loader):
    return [[t.tolist() for t in batch] for batch in loader]


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("prefetch", [1, 4])
def test_any_number_of_workers(workers, prefetch):
    def batches(**options):
        nt.manual_seed(1)
        return values(DataLoader(table(), 3, shuffle=True, **options))
    assert batches(num_workers=workers, prefetch_factor=prefetch) == batches()


class Odd(Dataset):
    "Samples of every kind, large and small."

    def __len__(self):
        return 6

    def __getitem__(self, i):
        return {"big": nt.full((100, 100), float(i)), "half": nt.full((3,), i, dtype=nt.bfloat16),
                "name": f"n{i}", "none": nt.zeros(0, 3), "scalar": nt.tensor(i),
                "array": np.arange(i, i + 5000),
                "flag": i % 2 == 0, "text": "x" * 30000}


def test_all_kinds_travel():
    for a, b in zip(DataLoader(Odd(), 2), DataLoader(Odd(), 2, num_workers=2)):
        assert list(a) == list(b)
        for key, x in a.items():
            y = b[key]
            if isinstance(x, nt.Tensor):
                assert x.dtype == y.dtype and x.shape == y.shape and nt.equal(x, y)
                y.zero_()  # what arrives can be written
            else:
                assert x == y


def test_kept_batches_stay():
    "Slots are used again only when nothing refers to them; where all are kept, batches are copied."
    data = TensorDataset(nt.arange(40.0).view(40, 1).expand(40, 5000).contiguous())
    kept = [batch[0] for batch in DataLoader(data, 2, num_workers=1)]
    assert [t[:, 7].tolist() for t in kept] == [[2.0 * i, 2.0 * i + 1] for i in range(20)]
    part = []
    for i, (batch,) in enumerate(DataLoader(data, 2, num_workers=2)):
        if i % 3 == 0:
            part.append((i, batch[1, 1:3]))
    assert all(t.tolist() == [2.0 * i + 1] * 2 for i, t in part)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
def test_no_descriptors_are_left():
    data = TensorDataset(nt.zeros(64, 5000))
    list(DataLoader(data, 2, num_workers=2))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        list(DataLoader(data, 2, num_workers=2))
        it = iter(DataLoader(data, 2, num_workers=2))
        next(it)
        del it
    assert len(os.listdir("/proc/self/fd")) <= before


def test_pipe_without_shared_memory(monkeypatch):
    monkeypatch.setattr(memory, "SHARED", False)
    data = TensorDataset(nt.randn(30, 20000))
    assert all(nt.equal(a, b) for (a,), (b,) in zip(DataLoader(data, 5), DataLoader(data, 5, num_workers=2)))


class Failing(Dataset):
    def __init__(self, do):
        self.do = do

    def __len__(self):
        return 8

    def __getitem__(self, i):
        if i == 3:
            self.do()
        return i


def test_error_has_the_workers_traceback():
    def do():
        raise ValueError("bad sample")
    with pytest.raises(ValueError) as e:
        list(DataLoader(Failing(do), 2, num_workers=2))
    text = str(e.value)
    assert text.startswith("Caught ValueError in DataLoader worker process 1.\nOriginal Traceback")
    assert "in do" in text and "ValueError: bad sample" in text and __file__ in text


def test_error_type_that_cannot_travel():
    class Local(Exception):
        pass

    def do():
        raise Local("here")
    with pytest.raises(RuntimeError, match="Caught Local in DataLoader worker process 1"):
        list(DataLoader(Failing(do), 2, num_workers=2))


def test_sample_that_cannot_travel():
    class Locked(Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, i):
            return open(os.devnull)

    with pytest.raises(TypeError, match="Caught TypeError in DataLoader worker process 0"):
        list(DataLoader(Locked(), 1, num_workers=1, collate_fn=lambda x: x))


@pytest.mark.parametrize("do,note", [(lambda: os._exit(3), "left with exit code 3"),
                                     (lambda: os.kill(os.getpid(), signal.SIGKILL), "was killed by SIGKILL")])
def test_dead_worker_is_reported(do, note):
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly") as e:
        list(DataLoader(Failing(do), 2, num_workers=2))
    assert note in str(e.value)


def test_timeout(monkeypatch):
    monkeypatch.setattr("numtorch.utils.data.dataloader.PATIENCE", 0.2)
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="DataLoader timed out after 0.5 seconds"):
        list(DataLoader(Failing(lambda: time.sleep(60)), 2, num_workers=2, timeout=0.5))
    assert time.monotonic() - start < 20


def test_workers_end_with_the_loader():
    it = iter(DataLoader(table(), 2, num_workers=2))
    next(it)
    processes = [w.process for w in it.workers]
    del it
    for p in processes:
        assert not p.is_alive()


@pytest.mark.skipif(sys.platform == "win32", reason="fork")
def test_workers_end_with_a_killed_parent(tmp_path):
    script = tmp_path / "main.py"
    script.write_text("""
import os, signal, numtorch as nt
from numtorch.utils.data import DataLoader, TensorDataset
its = [iter(DataLoader(TensorDataset(nt.zeros(64, 3)), 2, num_workers=2)) for _ in range(2)]
for it in its: next(it)
print(*[w.process.pid for it in its for w in it.workers], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""")
    out = subprocess.run([sys.executable, "-W", "ignore", str(script)], capture_output=True, text=True).stdout

    def alive(pid):
        try:
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    pids = [int(x) for x in out.split()]
    assert len(pids) == 4
    for _ in range(100):
        if not any(map(alive, pids)):
            return
        time.sleep(0.05)
    raise AssertionError("workers outlive their parent")


def test_persistent_workers_are_the_same():
    loader = DataLoader(table(), 4, shuffle=True, num_workers=2, persistent_workers=True)
    nt.manual_seed(0)
    first = values(loader)
    pids = [w.process.pid for w in loader._iterator.workers]
    it = iter(loader)
    next(it)  # an epoch broken off
    again = values(loader)
    assert [w.process.pid for w in loader._iterator.workers] == pids
    assert sorted(sum((b[1] for b in again), [])) == sorted(sum((b[1] for b in first), [])) == list(range(20))
    loader._iterator.close()


class Slow(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        if i == 0:
            time.sleep(0.6)
        return i


def test_out_of_order():
    got = [x.item() for x in DataLoader(Slow(), num_workers=2, in_order=False)]
    assert sorted(got) == list(range(8)) and got[0] != 0


class Numbers(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        return iter(range(100)) if info is None else iter(range(info.id, 7 + 10 * info.id, info.num_workers))


def test_streams_of_different_length():
    got = sorted(sum((b.tolist() for b in DataLoader(Numbers(), 2, num_workers=2)), []))
    assert got == sorted([*range(0, 7, 2), *range(1, 17, 2)])


def seed_of(worker):
    nt.manual_seed(100 + worker)


class Drawn(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        return nt.rand(1)


def test_init_function_and_context():
    for context in (None, "spawn"):
        loader = DataLoader(Drawn(), num_workers=1, worker_init_fn=seed_of, multiprocessing_context=context)
        got = [x.item() for x in loader]
        nt.manual_seed(100)
        assert got == [nt.rand(1).item() for _ in range(4)]


def test_fast_batches_are_the_plain_ones():
    data = Subset(table(), list(range(19, -1, -1)))
    plain = DataLoader(data, 3, collate_fn=lambda x: nt.utils.data.default_collate(x))
    assert values(DataLoader(data, 3)) == values(plain)


def test_loader_is_a_pickle_until_iterated():
    loader = pickle.loads(pickle.dumps(DataLoader(table(), 3)))
    assert values(loader) == values(DataLoader(table(), 3))


def test_import_starts_nothing():
    code = ("import sys, numtorch.utils.data as d, numtorch as nt; "
            "list(d.DataLoader([1, 2])); print('multiprocessing' in sys.modules)")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert out.stdout.strip() == "False", out.stderr


def test_checkpoint_gives_the_same_gradients():
    from numtorch.utils.checkpoint import checkpoint, checkpoint_sequential
    w = nt.nn.Parameter(nt.randn(4, 4))
    x = nt.randn(3, 4, requires_grad=True)

    def f(a):
        return nt.nn.functional.dropout((a @ w).tanh(), 0.5).exp()

    modes = [None, True, False] if hasattr(nt.autograd.graph, "saved_tensors_hooks") else [None, True]
    results = []
    for mode in modes:
        nt.manual_seed(1)
        w.grad = x.grad = None
        y = f(x) if mode is None else checkpoint(f, x, use_reentrant=mode)
        y.sum().backward()
        results.append((y.detach(), w.grad, x.grad, nt.rand(1)))
    for other in results[1:]:
        assert all(nt.equal(a, b) for a, b in zip(results[0], other))
    net = nt.nn.Sequential(*[nt.nn.Linear(4, 4) for _ in range(5)])
    assert nt.equal(checkpoint_sequential(net, 2, x, use_reentrant=modes[-1]), net(x))
