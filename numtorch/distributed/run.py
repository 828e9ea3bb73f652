"""`numtorch run --nproc-per-node N script.py args…`: start the processes of a job (PyTorch's torchrun).

One machine: MPI starts them and carries their messages; `import torch` in the script means numtorch. Several
machines (--nnodes N --node-rank I --master-addr A, once on each): every launcher starts its own machine's
processes, which talk over TCP. Each gets RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR,
MASTER_PORT and torchrun's other variables. The first process that fails ends the job; its traceback is
printed last."""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from . import mpi

MISSING = ("numtorch run: a job of several processes needs MPI, which is not installed: "
           "pip install 'numtorch[mpi]'")


def parser(prog: str = "numtorch run") -> argparse.ArgumentParser:
    """torchrun's options; those that numtorch has no use for are taken and ignored."""
    p = argparse.ArgumentParser(prog, description="Start several processes that run one script.")

    def add(*names: str, **options) -> None:
        both = [v for n in names for v in dict.fromkeys((n, "--" + n[2:].replace("-", "_")
                                                        if n.startswith("--") else n))]
        p.add_argument(*both, **options)

    add("--nproc-per-node", default="1", metavar="N", help="processes on this machine; auto, cpu, gpu: as "
                                                           "many as it has")
    add("--nnodes", default="1", metavar="N", help="machines")
    add("--node-rank", type=int, default=0, metavar="I", help="which machine this is")
    add("--master-addr", default=None, help="the address of machine 0")
    add("--master-port", type=int, default=None, help="a free port there (29500 for several machines)")
    add("--max-restarts", type=int, default=0, metavar="N", help="start a failed job again up to N times")
    add("-m", "--module", action="store_true", help="SCRIPT is a module name")
    add("--no-python", action="store_true", help="SCRIPT is a program")
    add("--standalone", action="store_true", help="one machine (the default)")
    add("--rdzv-endpoint", default="", metavar="HOST[:PORT]", help="as --master-addr and --master-port")
    add("--rdzv-id", default="none", help="a name for the job")
    add("--use-env", action="store_true", help=argparse.SUPPRESS)
    for ignored in ("--rdzv-backend", "--rdzv-conf", "--start-method", "--role", "--log-dir", "--redirects",
                    "--tee", "--monitor-interval", "--local-addr", "--local-ranks-filter",
                    "--log-line-prefix-template", "--logs-specs"):
        short = {"--redirects": "-r", "--tee": "-t"}.get(ignored)
        add(*filter(None, (short, ignored)), default=None, help=argparse.SUPPRESS)
    p.add_argument("script", help="a Python script, or with -m a module")
    p.add_argument("args", nargs=argparse.REMAINDER, help="its arguments")
    return p


def _processes(text: str) -> int:
    if text in ("auto", "gpu", "cpu"):
        from .. import cuda
        n = cuda.device_count() if text != "cpu" else 0
        if n or text == "gpu":
            if not n:
                raise ValueError("Cuda is not available.")
            return n
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isdigit() or not int(text):
        raise ValueError(f"Unsupported nproc_per_node value: {text}")
    return int(text)


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def mpiexec() -> str | None:
    """The MPI launcher: of this Python's environment, else on the path."""
    if not mpi.installed():
        return None
    beside = os.path.join(os.path.dirname(sys.executable), "mpiexec")
    return beside if os.access(beside, os.X_OK) else shutil.which("mpiexec")


def environment(o: argparse.Namespace, count: int, nodes: int, attempt: int) -> dict[str, str]:
    """What all processes of this machine have in their environment; the rest each finds itself."""
    env = dict(os.environ)
    mpi.forget_launcher(env)
    host, _, port = o.rdzv_endpoint.partition(":")
    host = o.master_addr or host or "127.0.0.1"
    chosen = o.master_port or (int(port) if port.isdigit() and int(port) else 0)
    env.update(WORLD_SIZE=str(count * nodes), LOCAL_WORLD_SIZE=str(count), GROUP_RANK=str(o.node_rank),
               GROUP_WORLD_SIZE=str(nodes), ROLE_NAME="default", ROLE_WORLD_SIZE=str(count * nodes),
               MASTER_ADDR=host, MASTER_PORT=str(chosen or (29500 if nodes > 1 else _free_port())),
               TORCHELASTIC_RUN_ID=o.rdzv_id, TORCHELASTIC_RESTART_COUNT=str(attempt),
               TORCHELASTIC_MAX_RESTARTS=str(o.max_restarts), NUMTORCH_FIRST_RANK=str(o.node_rank * count))
    if nodes == 1:
        env.setdefault("NUMTORCH_JOB_KEY", secrets.token_hex(32))
    if count > 1:
        env.setdefault("OMP_NUM_THREADS", "1")  # as torchrun: the processes share the cores
    return env


def _command(o: argparse.Namespace, flag: bool) -> list[str]:
    mode = "program" if o.no_python else "module" if o.module else "script"
    return [sys.executable, "-m", "numtorch.distributed.worker", mode + ("+rank" if flag else ""),
            o.script, *o.args]


def _wait(processes: list[subprocess.Popen]) -> int:
    """Wait for processes; the first that fails ends the others. Its exit status, or 0."""
    status = 0
    try:
        while processes:
            for p in list(processes):
                code = p.poll()
                if code is None:
                    continue
                processes.remove(p)
                if code and not status:
                    status = code if code > 0 else 128 - code
                    _end(processes)
            time.sleep(0.02)
    except KeyboardInterrupt:
        _end(processes, signal.SIGINT)
        return 130
    return status


def _end(processes: Sequence[subprocess.Popen], how: int = signal.SIGTERM) -> None:
    for p in processes:
        with contextlib.suppress(OSError):
            p.send_signal(how)
    limit = time.monotonic() + 5.0
    for p in processes:
        try:
            p.wait(max(0.1, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            p.kill()


def _once(o: argparse.Namespace, count: int, nodes: int, attempt: int, flag: bool) -> int:
    """Run the job; its exit status. What the first failed process raised is printed last."""
    env = environment(o, count, nodes, attempt)
    command = _command(o, flag)
    with tempfile.TemporaryDirectory(prefix="numtorch-run-") as folder:
        env["NUMTORCH_ERRORS"] = folder
        if count * nodes == 1 or nodes > 1:
            started = [subprocess.Popen(command, env={**env, "NUMTORCH_LOCAL_RANK": str(i)})
                       for i in range(count)]
        else:
            launcher = mpiexec()
            if launcher is None:
                print(MISSING, file=sys.stderr)
                return 1
            started = [subprocess.Popen([launcher, "-n", str(count), *command], env=env)]
        status = _wait(started)
        failed = []
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                failed.append(json.load(f))
    if not status:
        return 0
    failed.sort(key=lambda x: x["time"])
    sys.stdout.flush()
    if failed:
        first, others = failed[0], [str(x["rank"]) for x in failed[1:]]
        also = f" (so did {', '.join(others)}, later)" if others else ""
        print(f"\nnumtorch run: rank {first['rank']} failed{also}:\n{first['text'].rstrip()}",
              file=sys.stderr)
    else:
        print(f"\nnumtorch run: the job ended with exit status {status}", file=sys.stderr)
    return status


def main(argv: Sequence[str] | None = None, prog: str = "numtorch run", flag: bool = False) -> int:
    """The command line. Returns the exit status. flag: the script gets --local-rank=N."""
    o = parser(prog).parse_args(argv)
    try:
        count = _processes(o.nproc_per_node)
        low, _, high = o.nnodes.partition(":")
        nodes = int(high or low)
    except ValueError as e:
        print(f"{prog}: {e}", file=sys.stderr)
        return 2
    if nodes > 1 and not (o.master_addr or o.rdzv_endpoint):
        print(f"{prog}: several machines need --master-addr (machine 0's address) and --node-rank",
              file=sys.stderr)
        return 2
    for attempt in range(o.max_restarts + 1):
        status = _once(o, count, nodes, attempt, flag and not o.use_env)
        if status in (0, 130):
            break
        if attempt < o.max_restarts:
            print(f"numtorch run: restart {attempt + 1} of {o.max_restarts}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(prog="python -m numtorch.distributed.run"))
