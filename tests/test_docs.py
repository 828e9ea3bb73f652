"""The essay and the README run; the files they name exist; the demo trains."""
from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path) -> list[str]:
    """The page's blocks of Python."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


def run(program: str, folder: Path) -> str:
    """Run a program as a file in a process of its own; what it prints."""
    path = folder / "program.py"
    path.write_text(program, encoding="utf-8")
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_essay_runs(tmp_path):
    page = ROOT / "docs" / "from_scratch.md"
    assert len(page.read_text(encoding="utf-8").splitlines()) < 400
    printed = run("".join(blocks(page)), tmp_path)
    before, after = map(int, re.match(r"(\d+) kernels became (\d+)", printed).groups())
    assert before > 3 * after


def test_the_page_on_deployment_runs(tmp_path):
    run("".join(blocks(ROOT / "docs" / "deployment.md")), tmp_path)


def test_the_page_on_several_processes_runs(tmp_path):
    run("".join(blocks(ROOT / "docs" / "distributed.md")), tmp_path)


def test_the_compilers_page_prints_what_it_says():
    """Each block of text is what the Python above it prints."""
    page = (ROOT / "docs" / "compiler.md").read_text(encoding="utf-8")
    space: dict = {"__name__": "page"}
    out = io.StringIO()
    logger = logging.getLogger("numtorch.compile")
    handlers, level = list(logger.handlers), logger.level
    found = 0
    try:
        for kind, text in re.findall(r"^```(python|text)\n(.*?)^```$", page, re.M | re.S):
            if kind == "text":
                assert out.getvalue() == text
                found += 1
            else:
                out = io.StringIO()
                with contextlib.redirect_stdout(out):
                    exec(compile(text, "<page>", "exec"), space)
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)
    assert found > 12


@pytest.mark.parametrize("i", range(len(blocks(ROOT / "README.md"))))
def test_the_readme_runs(i, tmp_path):
    run(blocks(ROOT / "README.md")[i], tmp_path)


def demo(*args: str, folder: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """Run the demo in a folder."""
    return subprocess.run([sys.executable, str(ROOT / "examples" / "mnist.py"), *args], capture_output=True,
                          text=True, cwd=folder, env=env)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_named_files_exist(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    named = set(re.findall(r"`((?:numtorch|kernels|examples|docs|tests)/[\w/.]*)`", text))
    named |= set(re.findall(r"\]\((?!https?:)([^)#]+)\)", text))
    assert named or page.name in ("deployment.md", "distributed.md")
    for name in named:
        assert (ROOT / name).exists() or (page.parent / name).exists(), name


def test_the_demo_learns_digits(tmp_path):
    for package in ("tqdm", "matplotlib", "sklearn"):
        pytest.importorskip(package)
    done = demo("--source", "digits", "--epochs", "6", "--out", str(tmp_path), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "data: scikit-learn's digits" in done.stdout
    losses = [float(x) for x in re.findall(r"step +\d+ +loss ([\d.]+)", done.stdout)]
    assert len(losses) >= 5 and losses[-1] < losses[0] / 4
    assert float(re.search(r"test accuracy: ([\d.]+)", done.stdout).group(1)) > 85
    for name in ("mnist_loss.png", "mnist_predictions.png"):
        assert (tmp_path / name).stat().st_size > 5_000


def test_the_demo_says_what_is_missing(tmp_path):
    for package in ("tqdm", "matplotlib"):
        pytest.importorskip(package)
    # An unreachable network: the proxy's port is closed.
    env = dict(os.environ, DATA=str(tmp_path / "none"), http_proxy="http://127.0.0.1:9",
               https_proxy="http://127.0.0.1:9")
    done = demo("--source", "mnist", folder=tmp_path, env=env)
    assert done.returncode == 1 and "train-images-idx3-ubyte" in done.stderr
    assert "Traceback" not in done.stderr
