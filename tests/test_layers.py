"""The layers: kernels never import numtorch; nn and optim see tensors only; numba in one place; no torch."""
from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

SOURCES = [p for top in ("numtorch", "kernels") for p in (ROOT / top).rglob("*.py")]
NUMBA = {"kernels/jit.py", "kernels/cuda/compiler.py"}


def imports(path) -> set[str]:
    """Absolute names of the modules a file imports; relative ones by the package that it installs as."""
    relative = path.relative_to(ROOT)
    package = list(relative.parts[:-1])
    if package[0] == "kernels":
        package = ["numtorch", *package]
    out = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            out |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            out.add(stem)
            out |= {f"{stem}.{a.name}" for a in node.names}
    return out


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    name = path.relative_to(ROOT).as_posix()
    found = imports(path)
    if name.startswith("kernels/"):
        up = {m for m in found if m.startswith("numtorch.") and not m.startswith("numtorch.kernels")}
        assert not up, f"kernels import {up}"
    if name.startswith(("numtorch/nn/", "numtorch/optim/", "numtorch/utils/", "numtorch/vision/")):
        assert not {m for m in found if m.startswith("numtorch.kernels")}
        assert not {m for m in found if m.startswith("numtorch.dispatch")}
    if name not in NUMBA:
        assert not {m for m in found if m.split(".")[0] in ("numba", "llvmlite")}
    assert not {m for m in found if m.split(".")[0] in ("torch", "torchvision")}
    assert path.read_text().count("\n") <= 1200, "a file has at most 1,200 lines"


def test_import_compiles_nothing_and_stays_light():
    code = ("import sys, numtorch; from numtorch.kernels import jit; "
            "heavy = {'numba', 'llvmlite', 'scipy', 'multiprocessing.pool', 'PIL', 'matplotlib', 'torch', "
            "'cuda'} & set(sys.modules); "
            "assert not heavy, heavy; assert jit._engine is None and jit.pool._queue is None")
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")


def entry_lengths() -> list[int]:
    """Lines of every entry in numtorch/ops: decorated functions without docstrings and decorators."""
    kinds = {"pointwise", "reduction", "view", "opaque", "composite"}
    out = []
    for path in (ROOT / "numtorch" / "ops").glob("*.py"):
        for f in ast.walk(ast.parse(path.read_text())):
            if isinstance(f, ast.FunctionDef) and any(
                    isinstance(n, ast.Name) and n.id in kinds for d in f.decorator_list for n in ast.walk(d)):
                body = f.body[1:] if ast.get_docstring(f) else f.body
                signature = f.body[0].lineno - f.lineno
                out.append(signature + (body[-1].end_lineno - body[0].lineno + 1 if body else 0))
    return out


def test_entries_are_short():
    """One op is one entry whose body is what this op alone has: half of them need fewer than 8 lines."""
    lengths = entry_lengths()
    assert len(lengths) > 400 and statistics.median(lengths) < 8
