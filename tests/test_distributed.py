"""Jobs of two processes, over MPI where it is installed and over TCP; jobs of one need neither."""
import os
import socket
import subprocess
import sys
import textwrap
import threading
from datetime import timedelta

import pytest

import numtorch as torch
import numtorch.distributed as dist
from numtorch import nn
from numtorch.distributed import mpi
from numtorch.distributed import run as launcher
from numtorch.distributed.store import job_key
from numtorch.nn.parallel import DistributedDataParallel

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SECONDS = 120
needs_mpi = pytest.mark.skipif(not mpi.installed() or launcher.mpiexec() is None, reason="no MPI")
TRANSPORTS = [pytest.param("mpi", marks=needs_mpi), "tcp"]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}
    mpi.forget_launcher(env)
    return env


@pytest.fixture
def job(tmp_path):
    """Run a script in two processes: job(source, transport) → (exit status, stdout, stderr)."""
    def call(source: str, transport: str, *args: str, before=("--nproc-per-node", "2")):
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(source))
        if transport == "mpi":
            commands = [[sys.executable, "-m", "numtorch", "run", *before, str(path), *args]]
            envs = [environment()]
        else:
            port = str(free_port())
            commands = [[sys.executable, "-m", "numtorch", str(path), *args]] * 2
            envs = [environment(RANK=str(r), WORLD_SIZE="2", MASTER_ADDR="localhost", MASTER_PORT=port)
                    for r in range(2)]
        started = [subprocess.Popen(c, env=e, cwd=tmp_path, text=True, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE) for c, e in zip(commands, envs)]
        try:
            told = [p.communicate(timeout=SECONDS) for p in started]
        finally:
            for p in started:
                p.kill()
        return max((p.returncode for p in started), key=abs), *("".join(x) for x in zip(*told))
    return call


COLLECTIVES = """
    import torch, torch.distributed as dist
    dist.init_process_group("gloo")
    r, n = dist.get_rank(), dist.get_world_size()
    assert n == 2 and dist.get_backend() == "gloo" and dist.is_initialized()
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.uint8,
                  torch.bool, torch.complex64):
        for k in (0, 1, 7, 20_001):
            t = torch.ones(k).to(dtype)
            assert dist.all_reduce(t) is None
            assert torch.equal(t, torch.full((k,), 2).to(dtype)), (dtype, k)
    ops = dist.ReduceOp
    for op, want in ((ops.SUM, 5), (ops.PRODUCT, 6), (ops.MIN, 2), (ops.MAX, 3), (ops.BAND, 2), (ops.BOR, 3),
                     (ops.BXOR, 1)):
        t = torch.tensor([2 + r])
        dist.all_reduce(t, op)
        assert t.item() == want, op
    t = torch.tensor([1.0, 2.0]) * r
    before = t._version
    work = dist.all_reduce(t, ops.AVG, async_op=True)
    assert work.wait() and work.is_completed() and t.tolist() == [0.5, 1.0] and t._version > before
    t = torch.tensor([1.0 + r])
    dist.reduce(t, 1)
    assert r == 0 or t.item() == 3
    t = torch.zeros(3, 2)[:, 0] + r  # strided memory
    s = torch.arange(6.0).view(2, 3).t() * (1 - r)
    dist.broadcast(s, 0)
    assert s.tolist() == [[0, 3], [1, 4], [2, 5]]

    mine = torch.tensor([r, 10 + r])
    parts = [torch.zeros(2, dtype=torch.int64) for _ in range(n)]
    dist.all_gather(parts, mine)
    assert [p.tolist() for p in parts] == [[0, 10], [1, 11]]
    flat = torch.zeros(4, dtype=torch.int64)
    dist.all_gather_into_tensor(flat, mine)
    assert flat.tolist() == [0, 10, 1, 11]
    uneven = [torch.zeros(1), torch.zeros(2)]
    dist.all_gather(uneven, torch.full((1 + r,), float(r)))
    assert [p.tolist() for p in uneven] == [[0], [1, 1]]
    got = [torch.zeros(2, dtype=torch.int64) for _ in range(n)] if r == 1 else None
    dist.gather(mine, got, dst=1)
    assert r == 0 or [p.tolist() for p in got] == [[0, 10], [1, 11]]
    t = torch.zeros(2)
    dist.scatter(t, [torch.ones(2), torch.full((2,), 5.0)] if r == 0 else None, src=0)
    assert t.tolist() == [1 + 4 * r] * 2
    t = torch.zeros(2)
    dist.reduce_scatter(t, [torch.full((2,), float(i + r)) for i in range(n)])
    assert t.tolist() == [1 + 2 * r] * 2
    t = torch.zeros(1, dtype=torch.bfloat16)
    dist.reduce_scatter_tensor(t, torch.ones(2, dtype=torch.bfloat16), ops.AVG)
    assert t.item() == 1
    t = torch.zeros(3)
    dist.all_to_all_single(t, torch.arange(3.0) + 10 * r, [2 - r, 1 + r], [2 - r, 1 + r])
    assert t.tolist() == ([0, 1, 10] if r == 0 else [2, 11, 12])
    out = [torch.zeros(1), torch.zeros(1)]
    dist.all_to_all(out, [torch.tensor([10.0 * r]), torch.tensor([10.0 * r + 1])])
    assert [o.item() for o in out] == [r, 10 + r]

    if r == 0:
        dist.send(torch.arange(3.0), 1, tag=4)
        t = torch.zeros(1)
        assert dist.recv(t) == 1 and t.item() == 9
        dist.send_object_list([{"a": 1}], 1)
    else:
        t = torch.zeros(3)
        assert dist.recv(t, 0, tag=4) == 0 and t.tolist() == [0, 1, 2]
        dist.send(torch.tensor([9.0]), 0)
        x = [None]
        assert dist.recv_object_list(x, 0) == 0 and x == [{"a": 1}]
    first, second = torch.zeros(1), torch.zeros(1)  # matched in the order of posting, not of waiting
    works = dist.batch_isend_irecv([
        dist.P2POp(dist.isend, torch.tensor([1.0 + r]), 1 - r),
        dist.P2POp(dist.isend, torch.tensor([5.0]), 1 - r),
        dist.P2POp(dist.irecv, first, 1 - r), dist.P2POp(dist.irecv, second, 1 - r)])
    for w in works[::-1]:
        w.wait()
    assert (first.item(), second.item()) == (2 - r, 5)

    x = [None] * n
    dist.all_gather_object(x, {"rank": r})
    assert x == [{"rank": 0}, {"rank": 1}]
    x = [None] * n if r == 0 else None
    dist.gather_object("ab" * (r + 1), x, 0)
    assert r == 1 or x == ["ab", "abab"]
    x = [1, "a", {2}] if r == 0 else [None] * 3
    dist.broadcast_object_list(x, 0)
    assert x == [1, "a", {2}]
    x = [None]
    dist.scatter_object_list(x, ["zero", "one"] if r == 0 else None, 0)
    assert x == [["zero", "one"][r]]

    g = dist.new_group([1])
    assert dist.get_rank(g) == (-1, 0)[r] and dist.get_world_size(g) == (-1, 1)[r]
    both = dist.new_group([1, 0], sort_ranks=False)
    assert dist.get_process_group_ranks(both) == [1, 0] and dist.get_rank(both) == 1 - r
    t = torch.tensor([float(r)])
    dist.broadcast(t, src=1, group=both)
    assert t.item() == 1
    mesh = dist.init_device_mesh("cpu", (1, 2), mesh_dim_names=("dp", "tp"))
    assert mesh["tp"].size() == 2 and mesh.get_local_rank("tp") == r and mesh.get_coordinate() == [0, r]
    t = torch.ones(1)
    dist.all_reduce(t, group=mesh["tp"].get_group())
    assert t.item() == 2 and dist.get_world_size(mesh.get_group("dp")) == 1
    dist.monitored_barrier()
    dist.barrier()
    dist.destroy_process_group()
    dist.init_process_group("nccl")  # joins again
    dist.all_reduce(t)
    assert t.item() == 4
    dist.destroy_process_group()
    print("done")
"""


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_collectives(job, transport):
    status, out, err = job(COLLECTIVES, transport)
    assert status == 0 and out == "done\n" * 2, err


DATA_PARALLEL = """
    import torch, torch.distributed as dist, torch.nn as nn
    import torch.nn.functional as F
    from torch.nn.parallel import DistributedDataParallel as DDP
    dist.init_process_group("gloo")
    r, n = dist.get_rank(), dist.get_world_size()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(6, 700), nn.Tanh(), nn.Linear(700, 400), nn.Tanh())
            self.head, self.unused, self.sometimes = nn.Linear(400, 3), nn.Linear(2, 2), nn.Linear(3, 3)
            self.register_buffer("told", torch.tensor([float(r)]))

        def forward(self, x, extra=False):
            x = self.head(self.body(x))
            return self.sometimes(x) if extra else x

    torch.manual_seed(r)  # the first process's weights count
    net = Net()
    model = DDP(net, bucket_cap_mb=1)
    torch.manual_seed(0)
    alone = Net()
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), alone.parameters()))
    assert net.told.item() == 0 and list(model.state_dict())[1] == "module.body.0.weight"
    x, y = torch.randn(8, 6), torch.randint(3, (8,))
    part = slice(4 * r, 4 * r + 4)
    sent, send = [], model._send
    def spy(bucket):
        sent.append(net.body[0].weight.grad is None)
        send(bucket)
    model._send = spy
    pairs = [(torch.optim.SGD(m.parameters(), 0.1, momentum=0.9), m, a, b)
             for m, a, b in ((model, x[part], y[part]), (alone, x, y))]
    for step in range(4):
        for o, m, a, b in pairs:
            o.zero_grad()
            F.cross_entropy(m(a), b).backward()
            o.step()
    assert any(sent), "buckets wait for the end of backward"
    assert net.unused.weight.grad is None and len(model._buckets) > 1
    for a, b in zip(net.parameters(), alone.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
    bits = [None] * n
    dist.all_gather_object(bits, [p.detach().numpy().tobytes() for p in net.parameters()])
    assert bits[0] == bits[1]

    step = torch.compile(lambda m, a: m(a).sum().backward())
    for k in range(3):
        model.zero_grad()
        step(model, x[part] + k)
        mine = net.head.weight.grad.clone()
        dist.broadcast(mine, 0)
        assert torch.equal(mine, net.head.weight.grad), "a compiled step keeps its gradients to itself"

    # a layer that one process used: the other's gradient counts as zero
    model.zero_grad()
    model(x[part], extra=r == 1).sum().backward()
    w = net.sometimes.bias.grad
    assert w is not None and w.tolist() == [2, 2, 2]
    # no_sync adds up here; the next backward averages the sum
    model.zero_grad()
    with model.no_sync():
        model(x[part]).sum().backward()
    mine = net.head.bias.grad.clone()
    assert mine.tolist() == [4, 4, 4]
    (model(x[part]).sum() * (1 + r)).backward()
    assert net.head.bias.grad.tolist() == [10, 10, 10]
    view = DDP(nn.Linear(2, 1), gradient_as_bucket_view=True)
    for k in range(2):
        view(torch.ones(1, 2) * (r + k)).sum().backward()
    assert view.module.weight.grad.tolist() == [[2, 2]]
    try:
        DDP(nn.Linear(2, 1 + r))
    except RuntimeError as e:
        assert "appears not to match sizes of the same param in process" in str(e), e
        print("done")
    dist.barrier()
"""


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_two_processes_train_as_one_with_the_double_batch(job, transport):
    status, out, err = job(DATA_PARALLEL, transport)
    assert status == 0 and out == "done\n" * 2, err


FAILS = """
    import os, sys, torch.distributed as dist
    dist.init_process_group("gloo")
    print(os.environ["RANK"], os.environ.get("LOCAL_RANK"), os.environ["WORLD_SIZE"], sys.argv[1:])
    def unlucky():
        raise ValueError("bad luck")
    if dist.get_rank() == 1:
        unlucky()
    dist.barrier()
"""


@needs_mpi
def test_an_exception_ends_the_job_with_its_traceback(job):
    status, out, err = job(FAILS, "mpi", "--lr", "1", before=("--nproc_per_node=2", "--standalone"))
    assert status == 1 and sorted(out.splitlines()) == ["0 0 2 ['--lr', '1']", "1 1 2 ['--lr', '1']"]
    assert "numtorch run: rank 1 failed" in err and err.endswith("ValueError: bad luck\n")
    assert "in unlucky" in err and "worker.py" not in err


def test_a_peer_that_leaves_is_named(job):
    status, out, err = job(FAILS, "tcp")
    assert status == 1 and "ValueError: bad luck" in err
    assert "Connection closed by peer: rank 1 has left the job" in err


def test_the_launcher(tmp_path, capfd, monkeypatch):
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    script = tmp_path / "script.py"
    script.write_text("import os, sys\nprint(os.environ['RANK'], os.environ['TORCHELASTIC_RESTART_COUNT'],"
                      " sys.argv[1:])\nsys.exit(3)\n")
    assert launcher.main(["--max-restarts", "1", str(script), "-x"]) == 3  # one process needs no MPI
    out, err = capfd.readouterr()
    assert out == "0 0 ['-x']\n0 1 ['-x']\n" and "restart 1 of 1" in err
    assert launcher.main([str(script)], flag=True) == 3
    assert capfd.readouterr().out == "0 0 ['--local-rank=0']\n"
    monkeypatch.setattr(mpi, "installed", lambda: False)
    assert launcher.main(["--nproc-per-node", "2", str(script)]) == 1
    assert "pip install 'numtorch[mpi]'" in capfd.readouterr().err
    assert launcher.main(["--nproc-per-node", "many", str(script)]) == 2
    assert launcher.main(["--nnodes", "2", str(script)]) == 2


# ------------------------------------------------------------------------------------------------ one process
@pytest.fixture
def alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name in list(os.environ):
        if name.startswith(mpi.PREFIXES):
            monkeypatch.delenv(name)
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


def test_a_job_of_one(alone):
    assert dist.is_available() and not dist.is_initialized()
    with pytest.raises(ValueError, match="Default process group has not been initialized, please make sure"):
        dist.get_rank()
    with pytest.raises(ValueError, match="environment variable RANK expected, but not set"):
        dist.init_process_group("gloo")
    with pytest.raises(AssertionError, match="Unknown backend type foo"):
        dist.init_process_group("foo", rank=0, world_size=1)
    dist.init_process_group("nccl", init_method="tcp://localhost:1", rank=0, world_size=1)
    with pytest.raises(ValueError, match="trying to initialize the default process group twice!"):
        dist.init_process_group("nccl")
    assert (dist.get_rank(), dist.get_world_size(), dist.get_backend()) == (0, 1, "nccl")
    t = torch.arange(3.0)
    dist.all_reduce(t, op=dist.ReduceOp.AVG)
    work = dist.broadcast(t, 0, async_op=True)
    assert work.wait() and t.tolist() == [0, 1, 2]
    parts = [torch.zeros(3)]
    dist.all_gather(parts, t)
    dist.barrier()
    assert parts[0].tolist() == [0, 1, 2]
    with pytest.raises(TypeError, match="Expected parameter `tensor` of type torch.Tensor"):
        dist.all_reduce(1)
    with pytest.raises(RuntimeError, match="invalid root rank: 5"):
        dist.broadcast(t, 5)
    with pytest.raises(ValueError, match="destination rank should not be the same as the rank of"):
        dist.send(t, 0)
    with pytest.raises(ValueError, match="Argument ``scatter_list`` must be specified on source rank."):
        dist.scatter(t, None, 0)
    with pytest.raises(RuntimeError, match=r"expected \(3\), got \(2\)"):
        dist.all_gather([torch.ones(2)], torch.ones(3))
    model = DistributedDataParallel(nn.Linear(2, 1))
    model(torch.ones(1, 2)).sum().backward()
    assert model.module.weight.grad.tolist() == [[1, 1]]
    assert str(model).startswith("DistributedDataParallel(\n")
    with pytest.raises(RuntimeError, match="not needed when a module doesn't have any parameter that"):
        DistributedDataParallel(nn.ReLU())
    sampler = torch.utils.data.distributed.DistributedSampler(range(5))
    assert sorted(sampler) == [0, 1, 2, 3, 4]


def test_a_batch_over_several_devices():
    """Replicas on several devices (here all the CPU) give the gradients of one module."""
    from numtorch.nn.parallel import data_parallel, gather, parallel_apply, replicate, scatter
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)).eval()
    cell = nn.LSTM(3, 2, batch_first=True)
    torch.testing.assert_close(data_parallel(cell, torch.ones(4, 2, 3), ["cpu"] * 2)[0],
                               cell(torch.ones(4, 2, 3))[0])
    x = torch.randn(5, 3)
    data_parallel(net, x, ["cpu", "cpu"]).square().sum().backward()
    grads = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    net(x).square().sum().backward()
    for g, p in zip(grads, net.parameters()):
        torch.testing.assert_close(g, p.grad)
    assert [p.shape[0] for p in scatter(x, ["cpu"] * 2)] == [3, 2] and scatter("a", ["cpu"] * 2) == ["a", "a"]
    parts = scatter(({"x": x, "n": 1},), ["cpu"] * 2)
    assert parts[1][0]["n"] == 1 and torch.equal(parts[1][0]["x"], x[3:])
    whole = gather([{"y": x[:3]}, {"y": x[3:]}], "cpu")
    assert torch.equal(whole["y"], x)
    with torch.no_grad():
        a, b = parallel_apply(replicate(net, ["cpu"] * 2), [(x[:2],), (x[2:],)])
    assert not b.requires_grad and torch.equal(torch.cat([a, b]), net(x))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        parallel_apply([net, net], [x, x.t()])


def test_data_parallel():
    model = nn.DataParallel(nn.Linear(2, 1))
    assert list(model.state_dict()) == ["module.weight", "module.bias"] and model.device_ids == []
    x = torch.ones(3, 2)
    assert torch.equal(model(x), model.module(x)) and torch.equal(nn.parallel.data_parallel(model.module, x),
                                                                  model(x))


# ------------------------------------------------------------------------------------------------ stores
def test_stores(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMTORCH_JOB_KEY", "secret")
    master = dist.TCPStore("localhost", 0, is_master=True, timeout=timedelta(seconds=30))
    client = dist.TCPStore("localhost", master.port, timeout=timedelta(seconds=30))
    for a, b in ((master, client), (dist.FileStore(str(tmp_path / "s"), 2),) * 2,
                 (dist.PrefixStore("p", dist.HashStore()),) * 2):
        a.set("k", "v")
        assert b.get("k") == b"v" and b.add("n", 2) == 2 and a.add("n", 3) == 5
        assert a.check(["k", "n"]) and not b.check(["k", "other"]) and b.num_keys() == 2
        assert a.compare_set("k", "v", "w") == b"w" and b.compare_set("k", "v", "x") == b"w"
        a.append("k", "!")
        assert b.get("k") == b"w!" and b.delete_key("k") and not a.delete_key("k")
        threading.Timer(0.05, a.set, ("late", b"1")).start()
        b.wait(["late"])
        with pytest.raises(RuntimeError, match="wait timeout after 0.01s, keys: never"):
            a.wait(["never"], timedelta(seconds=0.01))
    monkeypatch.setenv("NUMTORCH_JOB_KEY", "another")
    with pytest.raises(ConnectionError):
        dist.TCPStore("localhost", master.port, timeout=timedelta(seconds=5))
    client.close()
    master.close()


def test_the_job_key_is_of_this_user(tmp_path, monkeypatch):
    from numtorch.kernels.jit import cache
    monkeypatch.delenv("NUMTORCH_JOB_KEY", raising=False)
    monkeypatch.setattr(cache, "_open", lambda: str(tmp_path))
    key = job_key()
    assert len(key) == 32 and job_key() == key and (tmp_path / "job.key").stat().st_mode & 0o77 == 0
    (tmp_path / "job.key").chmod(0o644)
    with pytest.raises(RuntimeError, match="must be a file that only you can read"):
        job_key()
    monkeypatch.setattr(cache, "_open", lambda: None)
    assert job_key() != key


# ------------------------------------------------------------------------------------------------ the tape
def test_leaves_with_hooks_get_their_gradients_while_backward_runs():
    first, shared, last = (torch.ones(2, requires_grad=True) for _ in range(3))
    seen = []
    y = (first * 2).sin()
    y.register_hook(lambda g: seen.append("middle"))
    last.register_post_accumulate_grad_hook(lambda p: seen.append(("last", p.grad.tolist())))
    shared.register_post_accumulate_grad_hook(lambda p: seen.append("shared"))
    (y * shared * last + shared).sum().backward()
    assert [x if isinstance(x, str) else x[0] for x in seen] == ["last", "shared", "middle"]
    assert shared.grad.tolist() == pytest.approx((y.detach() + 1).tolist())
    assert first.grad is not None


# --------------------------------------------------------------------------------------- multiprocessing
SPAWN = """
    import sys, torch, torch.distributed as dist, torch.multiprocessing as mp
    from torch.nn.parallel import DistributedDataParallel as DDP

    def main(rank, n, port, shared, bad):
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=n)
        if bad and rank == 1:
            raise ValueError("bad luck")
        model = DDP(torch.nn.SyncBatchNorm(2, momentum=None))
        x = torch.arange(12.0).view(6, 2) ** 2
        model(x[3 * rank:3 * rank + 3]).pow(3).sum().backward()
        if rank == 0:
            shared[1:].add_(torch.cat([model.module.running_var, model.module.weight.grad]))
        dist.barrier()
        dist.destroy_process_group()

    if __name__ == "__main__":
        shared = torch.zeros(5)
        mp.spawn(main, args=(2, int(sys.argv[1]), shared, len(sys.argv) > 2), nprocs=2)
        bn = torch.nn.BatchNorm1d(2, momentum=None)
        bn(torch.arange(12.0).view(6, 2) ** 2).pow(3).sum().backward()
        assert shared.is_shared() and torch.__name__ == "numtorch"
        torch.testing.assert_close(shared[1:3], bn.running_var)
        torch.testing.assert_close(shared[3:], bn.weight.grad / 2)
        print("done")
"""


def test_spawned_processes_join_a_job(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SPAWN))

    def start(*args: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-m", "numtorch", str(script), str(free_port()), *args],
                              capture_output=True, text=True, timeout=SECONDS, env=environment())
    done = start()
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    done = start("bad")
    assert done.returncode == 1 and "-- Process 1 terminated with the following error:" in done.stderr
    assert done.stderr.rstrip().endswith("ValueError: bad luck") and "ProcessRaisedException" in done.stderr


def add_one(pipe, x) -> None:
    x += 1
    pipe.send((x, x[1:]))
    pipe.recv()  # the sender keeps the memory's descriptor until it is fetched


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tensors_travel_as_shared_memory(dtype):
    import numtorch.multiprocessing as mp
    here, there = mp.Pipe()
    x = torch.zeros(3, dtype=dtype)
    view = x[:2]
    assert not x.is_shared() and x.share_memory_() is x and view.is_shared()
    assert x.untyped_storage().is_shared()
    process = mp.get_context("fork").Process(target=add_one, args=(there, x))
    process.start()
    y, part = here.recv()
    here.send(None)
    process.join()
    assert view.tolist() == [1, 1] and y.is_shared() and part.storage_offset() == 1
    y[0] = 5
    assert x.tolist() == [5, 1, 1]
    w = nn.Linear(2, 2).share_memory().weight
    assert w.is_shared() and isinstance(w, nn.Parameter)
    with pytest.raises(RuntimeError, match="Cowardly refusing to serialize non-leaf tensor"):
        here.send(w * 2)


def test_tensors_of_a_gpu_go_through_the_host(alone, monkeypatch):
    pytest.importorskip("greenlet")
    from numtorch.kernels.cuda import runtime
    monkeypatch.setenv("NUMTORCH_CUDA", "emulate")
    monkeypatch.setattr(runtime, "_emulated", None)
    monkeypatch.setattr(torch.cuda, "_initialized", False)
    monkeypatch.setattr(torch.cuda, "_streams", [])
    dist.init_process_group("nccl", init_method="tcp://localhost:1", rank=0, world_size=1)
    x = torch.arange(4.0).cuda()
    parts = [torch.zeros(2).cuda()]
    dist.all_gather(parts, x[::2])
    dist.all_reduce(x, dist.ReduceOp.AVG)
    assert parts[0].tolist() == [0, 2] and x.tolist() == [0, 1, 2, 3] and x.is_cuda

    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))

        def forward(self, x):
            return x * self.weight

    layer = Scale().cuda()
    for model in (DistributedDataParallel(layer, device_ids=[0]), nn.DataParallel(layer)):
        layer.zero_grad()
        model(torch.ones(3, 2)).sum().backward()
        assert layer.weight.grad.tolist() == [3, 3] and model.device_ids == [0]
