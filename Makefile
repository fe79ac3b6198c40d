# `make demo` and `make test` set up all they need: Python 3.11 or newer is enough.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check smoke bench clean

demo: .venv/ready
	$(BIN)/srkd run demo

test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/pytest

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

smoke: .venv/ready
	$(BIN)/srkd run smoke

bench: .venv/ready
	$(BIN)/python benchmarks/lockstep.py
	$(BIN)/python benchmarks/memory.py

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache build dist
