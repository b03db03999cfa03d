# qcode: `make run` shows it at work, `make test` proves it. Both install what they need by themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
PY := $(VENV)/bin/python
EVALDATA ?= ../shared/evaldata
OUT ?= build

.PHONY: run test test-serving lint format bench eval-gold eval-quixbugs setup vllm-env clean
.DELETE_ON_ERROR:

run: setup $(VENV)/run.stamp
	$(VENV)/bin/qcode models pull qwen2.5-coder-1.5b --yes
	$(PY) -P examples/solve.py

test: setup $(VENV)/dev.stamp lint
	$(PY) -P -m pytest -q -rs --durations=10

# Against a real vLLM: minutes, and 3.5 GB the first time.
test-serving: setup $(VENV)/dev.stamp vllm-env
	$(PY) -P -m pytest -q -rs --durations=10 -m serving tests/serving

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
	$(PY) benchmarks/run.py

setup:
	.ci/setup

vllm-env: setup
	.ci/vllm-env

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: pyproject.toml | $(VENV)/bin/python
	$(PY) -m pip install -q -e '.[local]'
	touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/bin/python
	$(PY) -m pip install -q -e '.[local,hub,dev]'
	touch $@ $(VENV)/run.stamp

eval-gold: setup $(VENV)/dev.stamp
	$(PY) -P evals/swebench.py --dataset $(EVALDATA)/instances.jsonl --agent gold --workers 2 --out $(OUT)/gold --expect-resolved all
	$(PY) -P evals/swebench.py --dataset $(EVALDATA)/instances.jsonl --agent empty --workers 2 --out $(OUT)/empty --expect-resolved none

eval-quixbugs: setup $(VENV)/dev.stamp
	$(VENV)/bin/qcode models pull qwen2.5-coder-1.5b --yes
	$(PY) -P evals/swebench.py --dataset $(EVALDATA)/quixbugs.jsonl --agent qcode --model qwen2.5-coder-1.5b --workers 1 --max-turns 12 --max-seconds 600 --out $(OUT)/quixbugs

clean:
	rm -rf $(OUT) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
