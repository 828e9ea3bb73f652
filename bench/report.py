"""What the benchmarks share: the machine in words, and bench/results.md with one section per benchmark."""
from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

RESULTS = Path(__file__).with_name("results.md")


def machine() -> str:
    """CPU, cores and versions: what figures depend on."""
    name = platform.processor() or platform.machine()
    try:
        name = next(line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                    if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # not Linux, or not x86: the name above
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = [f"Python {platform.python_version()}"]
    for package in ("numtorch", "numpy", "numba", "torch"):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return f"{name}, {cores} cores; {', '.join(versions)}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(title: str, command: str, text: str) -> None:
    """Print a section and put it into bench/results.md in place of the one with the same title."""
    section = f"## {title}\n\n`{command}` on {machine()}\n\n{text}\n"
    print(section)
    old = RESULTS.read_text() if RESULTS.exists() else ""
    others = [s.strip() for s in old.split("\n## ")[1:] if not s.startswith(title + "\n")]
    body = "\n".join(sorted(["## " + s + "\n" for s in others] + [section]))
    RESULTS.write_text(f"# Measurements\n\nWritten by `make bench`.\n\n{body}")
