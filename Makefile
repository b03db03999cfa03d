# qcode: `make run` shows it at work, `make test` proves it. Both install what they need by themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
PY := $(VENV)/bin/python
EVALDATA ?= ../shared/evaldata
OUT ?= build

.PHONY: run test lint format bench eval-gold eval-quixbugs setup clean
.DELETE_ON_ERROR:

run: setup $(VENV)/run.stamp
	$(VENV)/bin/qcode models pull qwen2.5-coder-1.5b --yes
	$(PY) -P examples/solve.py

test: setup $(VENV)/dev.stamp lint
	$(PY) -P -m pytest -q --durations=10

lint: $(VENV)/dev.stamp
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/dev.stamp
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: setup $(VENV)/dev.stamp
	$(VENV)/bin/qcode models pull qwen2.5-coder-1.5b --yes
	$(PY) -P benchmarks/run.py

setup:
	.ci/setup

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: pyproject.toml | $(VENV)/bin/python
	$(PY) -m pip install -q -e '.[local]'
	touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/bin/python
	$(PY) -m pip install -q -e '.[local,hub,dev]'
	touch $@ $(VENV)/run.stamp

clean:
	rm -rf $(OUT) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
