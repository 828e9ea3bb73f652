"""The layers: kernels never import numtorch; nn and optim see tensors only; numba in one place; no torch."""
from __future__ import annotations

import ast
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
