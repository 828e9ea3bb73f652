"""Overhead of small operations: numtorch and PyTorch, a process each, taking turns.

    python bench/small_ops.py [--rounds 15] [--threads 1] [--a numtorch] [--b torch] [NAME ...]

The two workers time the same workload one after the other, many times; the ratio of each pair is kept and the
median ratio reported, so that a machine whose speed drifts does not matter. Writes bench/results.md."""
from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import report

ROUND = 0.1  # seconds a worker measures at a stretch


def workloads(T: Any) -> dict[str, Callable[[], Any]]:
    """Name → one unit of work, for T = numtorch or torch."""
    F, nn, optim = (importlib.import_module(f"{T.__name__}.{m}") for m in ("nn.functional", "nn", "optim"))
    T.manual_seed(0)
    x, y, row = T.randn(16, 16), T.randn(16, 16), T.randn(16)
    image, kernel = T.randn(1, 3, 16, 16), T.randn(8, 3, 3, 3)
    w, v = T.randn(16, 16, requires_grad=True), T.randn(16, 16, requires_grad=True)
    index = T.tensor([3, 1, 2])
    images, labels = T.randn(64, 784), T.randint(0, 10, (64,))
    net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = optim.SGD(net.parameters(), lr=0.0, momentum=0.9)

    def chain():
        w.grad = v.grad = None
        (w * v + w).relu().sum().backward()

    def step():
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()

    return {
        "x + y": lambda: x + y,
        "x * 2.0": lambda: x * 2.0,
        "x + row (broadcast)": lambda: x + row,
        "x.exp()": lambda: x.exp(),
        "x.add_(0.0)": lambda: x.add_(0.0),
        "x.sum()": lambda: x.sum(),
        "x.sum(1)": lambda: x.sum(1),
        "x @ y": lambda: x @ y,
        "x.t()": lambda: x.t(),
        "x.view(-1)": lambda: x.view(-1),
        "x[2:5]": lambda: x[2:5],
        "x[index]": lambda: x[index],
        "softmax(x, 1)": lambda: F.softmax(x, 1),
        "conv2d 3x16x16": lambda: F.conv2d(image, kernel),
        "w + v, recorded": lambda: w + v,
        "(w * v + w).relu().sum(), backward": chain,
        "training step, 784-128-10, batch 64": step,
    }


def worker(framework: str, threads: int) -> None:
    """Answer requests on stdin: a name → warm up; "go" → seconds per unit of work."""
    T = importlib.import_module(framework)
    T.set_num_threads(threads)
    work, n, step = workloads(T), 1, None
    for line in sys.stdin:
        request = line.strip()
        if request == "go":
            assert step is not None
            start = time.perf_counter()
            for _ in range(n):
                step()
            answer = (time.perf_counter() - start) / n
        else:
            step = work[request]
            for _ in range(20):
                step()
            start = time.perf_counter()
            for _ in range(20):
                step()
            n = max(1, round(ROUND * 20 / (time.perf_counter() - start)))
            answer = n
        print(json.dumps(answer), flush=True)


class Worker:
    """A process that measures one framework."""

    def __init__(self, framework: str, threads: int):
        one = str(threads)
        env = dict(os.environ, OMP_NUM_THREADS=one, OPENBLAS_NUM_THREADS=one, MKL_NUM_THREADS=one)
        self.process = subprocess.Popen([sys.executable, __file__, "--worker", framework, "--threads", one],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def ask(self, request: str) -> float:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended at {request!r} (see its error above)")
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Time small operations in two frameworks side by side.")
    parser.add_argument("--a", default="numtorch")
    parser.add_argument("--b", default="torch")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    if options.worker:
        return worker(options.worker, options.threads)

    known = list(workloads(importlib.import_module(options.a)))
    if unknown := [name for name in options.names if name not in known]:
        raise SystemExit(f"no workload {unknown[0]!r}; there are: {', '.join(known)}")
    pair = Worker(options.a, options.threads), Worker(options.b, options.threads)
    rows, ratios = [], []
    for name in options.names or known:
        for side in pair:
            side.ask(name)
        times = [[side.ask("go") for side in pair] for _ in range(options.rounds)]
        ratio = [a / b for a, b in times]
        ratios.append(statistics.median(ratio))
        mine, theirs = (statistics.median(t) * 1e6 for t in zip(*times, strict=True))
        rows.append([f"`{name}`", f"{mine:.2f}", f"{theirs:.2f}", f"{ratios[-1]:.2f}",
                     f"{min(ratio):.2f} … {max(ratio):.2f}"])
        print(f"{name:40} {mine:9.2f} µs {theirs:9.2f} µs  ratio {ratios[-1]:.2f}", file=sys.stderr)
    for side in pair:
        side.close()
    rows.append(["geometric mean", "", "", f"{statistics.geometric_mean(ratios):.2f}", ""])
    report.write("Small operations", f"python bench/small_ops.py --threads {options.threads}",
                 "Tensors of 16 × 16 float32 unless stated. Below 1 numtorch is faster. Medians of "
                 f"{options.rounds} rounds in turns, {options.threads} thread(s) each.\n\n"
                 + report.table(["", f"{options.a} µs", f"{options.b} µs", "ratio", "range"], rows))


if __name__ == "__main__":
    main()
