"""Start-up: how long an import takes, and a fresh process until its first training step has run.

    python bench/import_time.py [--rounds 7]

Every figure is a new process; the programs take turns. Writes bench/results.md."""
from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

import report

IMPORT = """
import time; start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""
# The perceptron of examples/mnist.py on one batch of noise, and a second step for comparison.
STEPS = """
import json, time; start = time.perf_counter()
import {module} as T
from {module} import nn, optim
net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10), nn.LogSoftmax(1))
optimizer, criterion = optim.SGD(net.parameters(), lr=0.01, momentum=0.9), nn.NLLLoss()
x, y, times = T.randn(64, 1, 784).view(-1, 784), T.randint(0, 10, (64,)), []
for _ in range(2):
    optimizer.zero_grad(); criterion(net(x), y).backward(); optimizer.step()
    times.append(time.perf_counter() - start)
print(json.dumps(times[0]))
"""


def seconds(program: str, cache: str | None = None) -> float:
    """What a program run in a fresh process prints: seconds."""
    env = dict(os.environ) if cache is None else dict(os.environ, NUMTORCH_CACHE=cache)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time imports and first steps.")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        warm = os.path.join(folder, "warm")
        runs = {
            "import numtorch": lambda i: seconds(IMPORT.format(module="numtorch")),
            "import numpy": lambda i: seconds(IMPORT.format(module="numpy")),
            "import numba": lambda i: seconds(IMPORT.format(module="numba")),
            "import torch": lambda i: seconds(IMPORT.format(module="torch")),
            "first training step, numtorch, empty kernel cache":
                lambda i: seconds(STEPS.format(module="numtorch"), os.path.join(folder, f"empty{i}")),
            "first training step, numtorch, kernels cached":
                lambda i: seconds(STEPS.format(module="numtorch"), warm),
            "first training step, torch": lambda i: seconds(STEPS.format(module="torch")),
        }
        times: dict[str, list[float]] = {name: [] for name in runs}
        seconds(STEPS.format(module="numtorch"), warm)
        for name, run in runs.items():  # files into the page cache
            if "import" in name:
                run(0)
        for i in range(options.rounds):
            for name, run in runs.items():
                times[name].append(run(i))
    rows = [[name, f"{statistics.median(t):.2f}", f"{min(t):.2f} … {max(t):.2f}"]
            for name, t in times.items()]
    report.write("Start-up", "python bench/import_time.py",
                 "A fresh process each. A first step counts from before the import to after the optimizer's "
                 "step of a 784-128-10 perceptron.\n\n" + report.table(["", "seconds", "range"], rows))


if __name__ == "__main__":
    main()
