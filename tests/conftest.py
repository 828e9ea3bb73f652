"""Shared by all tests: seeds, and where the sample data may stand."""
from __future__ import annotations

import os
from pathlib import Path

import pytest

import numtorch

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items) -> None:
    """Tests listed in xfails.txt must fail, for the reason given there."""
    lines = (ROOT / "tests" / "xfails.txt").read_text().splitlines()
    gaps = dict(line.split(", ", 1) for line in lines if line.startswith("tests/"))
    for item in items:
        if item.nodeid in gaps:
            item.add_marker(pytest.mark.xfail(reason=gaps[item.nodeid], strict=True))


@pytest.fixture(autouse=True)
def seeded():
    numtorch.manual_seed(0)
    yield
    assert numtorch.is_grad_enabled(), "a test left grad mode off"


@pytest.fixture
def data() -> str:
    """Folder of MNIST and CIFAR-10: $DATA, or shared/data beside the repository; otherwise the test skips."""
    for where in (os.environ.get("DATA"), ROOT.parent / "shared" / "data"):
        if where and os.path.isdir(os.path.join(where, "MNIST")):
            return str(where)
    pytest.skip("no sample data: set DATA to a folder with MNIST/raw")
