# Each target makes .venv when it is missing. PYTHON picks the interpreter that makes it (3.11 or newer).
PYTHON ?= python3
V = .venv/bin/python
PARITY = torch==2.13.0

.PHONY: demo test test-all lint parity bench clean

.venv/.made: pyproject.toml setup.py
	test -x $(V) || $(PYTHON) -m venv .venv
	$(V) -m pip install --quiet --upgrade pip setuptools
	$(V) -m pip install --quiet -e ".[dev]"
	$(V) -m compileall -q numtorch kernels
	touch $@

demo: .venv/.made
	$(V) -m pip install --quiet -e ".[demo]"
	$(V) examples/mnist.py

test: .venv/.made
	$(V) -m pytest tests --ignore=tests/parity -n 2

test-all: .venv/.made
	NUMTORCH_TESTS=all $(V) -m pytest tests -n 2

lint: .venv/.made
	$(V) -m ruff check .
	$(V) -m mypy

parity: .venv/.made
	$(V) -c "import torch" 2>/dev/null || $(V) -m pip install --quiet "$(PARITY)"
	$(V) -m pytest tests/parity -n 2

bench: .venv/.made
	$(V) -c "import torch" 2>/dev/null || $(V) -m pip install --quiet "$(PARITY)"
	$(V) bench/small_ops.py
	$(V) bench/import_time.py
	$(V) bench/compile_time.py

clean:
	rm -rf .venv build dist *.egg-info
