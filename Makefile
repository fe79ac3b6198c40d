# `make demo` and `make test` set up all they need: Python 3.11 or newer is enough.
PYTHON ?= python3
# Modules are compiled when they are first imported; most never are.
PIP := -m pip install --quiet --disable-pip-version-check --no-compile
BIN := .venv/bin
FUZZ_SECONDS ?= 600

.PHONY: demo test test-spandrel check smoke bench gpu chaos scale docs clean

demo: .venv/srkd
	$(BIN)/srkd run demo
	$(BIN)/srkd report demo -o demo.html

test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

# Networks that spandrel recognises. It needs torchvision, which a torch without CUDA may not go with: an own folder,
# several GB of packages.
test-spandrel: .venv-spandrel/ready
	OMP_NUM_THREADS=1 .venv-spandrel/bin/pytest tests/networks/architectures

.venv-spandrel/ready: pyproject.toml
	$(PYTHON) -m venv .venv-spandrel
	.venv-spandrel/bin/python $(PIP) -e '.[dev,spandrel]'
	touch $@

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/pytest tests/project/test_writing.py

smoke: .venv/ready
	$(BIN)/srkd run smoke

bench: .venv/ready
	$(BIN)/python -m benchmarks -o bench.json

# On one GPU, in under 8 minutes: agreement with the CPU, resuming, precisions, speed. Without one, the parts for the CPU.
gpu: .venv/ready
	$(BIN)/python -m benchmarks gpu --markdown -o gpu.json > gpu.md; status=$$?; cat gpu.md; exit $$status

# Read it by opening site/index.html; no server is needed.
docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# The long tests: kills in every phase, then each door for strangers' files under the fuzzer; half an hour or so.
chaos: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.chaos --kills 50
	$(BIN)/python $(PIP) -e '.[fuzz]'
	for door in suites weights images archives; do \
		OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz $$door --seconds $(FUZZ_SECONDS) 2>/dev/null || exit 1; \
	done

# Several machines' work on this one, with faults: a Ray cluster, torchrun, an S3 server, 10,000 runs without training.
scale: .venv/ready
	$(BIN)/python $(PIP) -c constraints.txt -e '.[bucket,ray]'
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.scale

# srkd without the developers' tools, which the demo does not need.
.venv/srkd: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python $(PIP) -c constraints.txt -e .
	touch $@

.venv/ready: .venv/srkd
	$(BIN)/python $(PIP) -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-spandrel .mypy_cache .ruff_cache .pytest_cache build dist site
