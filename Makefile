# qcode: `make run` shows it at work, `make test` proves it. Both install what they need by themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
PY := $(VENV)/bin/python
EVALDATA ?= ../shared/evaldata
OUT ?= build

.PHONY: run test test-attacks test-attacks-sandbox test-attacks-crash test-attacks-policy test-attacks-kills test-mcp soak test-serving lint format bench fuzz eval-gold eval-quixbugs eval-controls eval-languages eval-agents eval-best-of eval-toolsets eval-kills grade-official bench-evals soak-evals bench-agents bench-ray bench-choosing bench-sessions bench-scale setup mcp-servers vllm-env diff-vllm bench-codec bench-serving bench-prechecks screenshots bench-tui bench-peers clean
.DELETE_ON_ERROR:

run: setup $(VENV)/run.stamp
	$(VENV)/bin/qcode models pull qwen2.5-coder-1.5b --yes
	$(PY) -P examples/solve.py

test: setup $(VENV)/dev.stamp mcp-servers lint
	$(PY) -P -m pytest -q -rs --durations=10

# With servers of tools that run on Node.js: a minute, and 40 MB the first time.
test-mcp: setup $(VENV)/dev.stamp
	PYTHON=$(PY) .ci/mcp-servers node
	$(PY) -P -m pytest -q -rs --durations=10 -m 'node or not node' tests/tools/mcp

# Against a real vLLM: minutes, and 3.5 GB the first time.
test-serving: setup $(VENV)/dev.stamp vllm-env
	$(PY) -P -m pytest -q -rs --durations=10 -m serving tests/serving tests/doctor

# Each of the four by itself takes less than twenty minutes on two busy processors.
test-attacks: test-attacks-sandbox test-attacks-crash test-attacks-policy test-attacks-kills

test-attacks-sandbox: setup $(VENV)/dev.stamp
	ATTACK_RACES=1000 $(PY) -P -m pytest -q -rs --durations=10 tests/sandbox \
	  --ignore tests/sandbox/test_crash.py --ignore tests/sandbox/test_crash_inside.py

# kill -9 at each system call of an edit: of the program that writes, and of what runs inside.
test-attacks-crash: setup $(VENV)/dev.stamp
	CRASH_POINTS=1000 $(PY) -P -m pytest -q -rs --durations=10 tests/sandbox/test_crash.py tests/sandbox/test_crash_inside.py

# Other random scripts each time.
test-attacks-policy: setup $(VENV)/dev.stamp
	POLICY_EXAMPLES=50 $(PY) -P -m pytest -q -rs -s --durations=10 tests/policy

# … and of qcode itself, with the session that then goes on.
test-attacks-kills: setup $(VENV)/dev.stamp
	CRASH_POINTS=1000 $(PY) -P -m pytest -q -rs -s --durations=10 tests/session/test_kill_edit.py

soak: setup $(VENV)/dev.stamp
	$(PY) -P benchmarks/soak.py 10000

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
	$(MAKE) bench-tui

# Real states of the screen as pictures for docs/; resvg_py draws them, with a monospaced font of the machine.
screenshots: setup $(VENV)/dev.stamp
	$(PY) -m pip install -q resvg-py
	$(PY) -P docs/screenshots.py docs/screenshots

# The screen beside Mistral Vibe's, which is installed into build/ and needs a Python 3.12: a quarter of an hour.
bench-tui: setup $(VENV)/dev.stamp
	$(PY) benchmarks/screen_cost.py
	$(PY) benchmarks/tui.py

# To the first request, beside Aider, mini-swe-agent and Mistral Vibe, which are installed into build/.
bench-peers: setup $(VENV)/dev.stamp
	$(PY) benchmarks/peers.py

bench-evals: setup $(VENV)/dev.stamp
	$(PY) -P benchmarks/harness.py --dataset $(EVALDATA)/quixbugs.jsonl

soak-evals: setup $(VENV)/dev.stamp
	$(PY) -P benchmarks/harness.py --dataset $(EVALDATA)/quixbugs.jsonl --attempts 144 --workers 46

# Each shipped definition of another agent, installed and run on one task with a server in place of the model.
bench-agents: setup $(VENV)/dev.stamp
	$(PY) -P benchmarks/agents.py

bench-sessions: setup $(VENV)/dev.stamp
	$(PY) -P benchmarks/sessions.py

bench-ray: setup $(VENV)/dev.stamp
	$(PY) -m pip install -q -e '.[ray]'
	$(PY) -P benchmarks/cluster.py --dataset $(EVALDATA)/quixbugs.jsonl
	$(PY) benchmarks/cluster_requests.py

# The best of several attempts chosen once more from a run that make eval-best-of made.
bench-choosing: setup $(VENV)/dev.stamp
	$(PY) -P benchmarks/choosing.py --dataset $(EVALDATA)/quixbugs.jsonl --run $(or $(RUN),$(OUT)/best-of-8)

# 20,000 attempts take hours: make bench-scale COUNT=20000 SLOTS=32
bench-scale: setup $(VENV)/dev.stamp
	$(PY) -m pip install -q -e '.[ray]'
	$(PY) -P benchmarks/scale.py --count $(or $(COUNT),200) --slots $(or $(SLOTS),2) $(if $(SECONDS_AT_MOST),--seconds $(SECONDS_AT_MOST))

setup:
	.ci/setup

mcp-servers: $(VENV)/dev.stamp
	PYTHON=$(PY) .ci/mcp-servers

vllm-env: setup
	.ci/vllm-env

diff-vllm: vllm-env $(VENV)/dev.stamp
	$(VENV)/bin/qcode models pull qwen2.5-coder-0.5b --yes
	$(PY) benchmarks/diff_vllm.py
	$(PY) benchmarks/constrained.py

bench-prechecks: setup $(VENV)/dev.stamp
	$(VENV)/bin/qcode models pull qwen2.5-coder-1.5b --yes
	$(PY) -P benchmarks/prechecks.py --dataset $(EVALDATA)/quixbugs.jsonl --model qwen2.5-coder-1.5b --out $(OUT)/prechecks

# The 1.5B model on a real vLLM that qcode serves: the example, with the server's parser of calls and without, and qcode's
# share of the server's speed.
WINDOW = 16384
WEIGHTS = $(OUT)/checkpoint
BENCH_VLLM = QCODE_VLLM_PYTHON=$(CURDIR)/build/vllm-env/bin/python $(VENV)/bin/qcode serve qwen2.5-coder-1.5b --engine vllm \
  --weights $(WEIGHTS) --port 8123 --context $(WINDOW) --flag tool-call-parser=qwen3_coder
BENCH_URL = --base-url http://127.0.0.1:8123/v1 --model qwen2.5-coder-1.5b
bench-serving: setup vllm-env $(VENV)/dev.stamp
	$(VENV)/bin/qcode models pull qwen2.5-coder-1.5b --yes
	test -f $(OUT)/checkpoint/model.safetensors || $(OUT)/vllm-env/bin/python -P benchmarks/checkpoint.py "$$($(VENV)/bin/qcode models path qwen2.5-coder-1.5b)" $(OUT)/checkpoint
	$(BENCH_VLLM) --flag no-enable-auto-tool-choice
	$(PY) -P examples/solve.py $(BENCH_URL); $(VENV)/bin/qcode serve stop --force
	$(BENCH_VLLM)
	$(PY) -P examples/solve.py $(BENCH_URL); \
	  $(PY) benchmarks/throughput.py $(BENCH_URL) --tokenizer $(CURDIR)/$(OUT)/checkpoint; \
	  $(VENV)/bin/qcode serve stop --force

# qcode beside other agents, the best of eight attempts, and the tool sets, on the QuixBugs rows. Hours: each goes on where it was
# stopped, by SECONDS_AT_MOST=3600 or otherwise, and prints its table each time. URL=http://HOST:PORT/v1 MODEL=NAME takes a server
# that is there; else a vLLM is started, whose top-p needs no sort of all tokens (benchmarks/vllm_plugin).
SIDE = $(PY) -P benchmarks/side_by_side.py $(@:eval-%=%) --dataset $(EVALDATA)/quixbugs.jsonl --out $(OUT) \
  $(if $(SECONDS_AT_MOST),--seconds $(SECONDS_AT_MOST))
# Qwen Code's prompt and answer do not fit into less.
eval-agents eval-best-of eval-toolsets: WINDOW = 32768
# INT8=1 on a processor without AMX, which reads prompts five times as fast then.
eval-agents eval-best-of eval-toolsets: WEIGHTS = $(OUT)/checkpoint$(if $(INT8),-int8)
eval-agents eval-best-of eval-toolsets: setup $(VENV)/dev.stamp $(if $(URL),,vllm-env)
ifdef URL
	$(SIDE) --base-url $(URL) $(if $(MODEL),--model $(MODEL))
else
	$(VENV)/bin/qcode models pull qwen2.5-coder-1.5b --yes
	test -f $(OUT)/checkpoint/model.safetensors || $(OUT)/vllm-env/bin/python -P benchmarks/checkpoint.py "$$($(VENV)/bin/qcode models path qwen2.5-coder-1.5b)" $(OUT)/checkpoint
	test -f $(WEIGHTS)/model.safetensors || $(OUT)/vllm-env/bin/python -P benchmarks/int8.py $(OUT)/checkpoint $(WEIGHTS)
	PYTHONPATH=$(CURDIR)/benchmarks/vllm_plugin $(BENCH_VLLM)
	$(SIDE) $(BENCH_URL); code=$$?; $(VENV)/bin/qcode serve stop --force; exit $$code
endif

bench-codec: vllm-env $(VENV)/dev.stamp
	$(VENV)/bin/qcode models pull qwen2.5-coder-0.5b --yes
	$(PY) benchmarks/run.py --only codec

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: pyproject.toml | $(VENV)/bin/python
	$(PY) -m pip install -q -e '.[local]'
	touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/bin/python
	$(PY) -m pip install -q -e '.[local,hub,dev]'
	touch $@ $(VENV)/run.stamp

fuzz: $(VENV)/dev.stamp
	$(PY) -P tests/support/codec_fuzz.py --inputs 1000000
	EXPLORE=1 $(PY) -P -m pytest -q tests/codec tests/tools tests/session tests/sandbox/test_gate.py tests/sandbox/test_output.py

eval-gold: setup $(VENV)/dev.stamp
	rm -rf $(OUT)/gold $(OUT)/empty
	$(PY) -P evals/swebench.py --dataset $(EVALDATA)/instances.jsonl --agent gold --workers 2 --out $(OUT)/gold --expect-resolved all
	$(PY) -P evals/swebench.py --dataset $(EVALDATA)/instances.jsonl --agent empty --workers 2 --out $(OUT)/empty --expect-resolved none

eval-quixbugs: setup $(VENV)/dev.stamp
	$(VENV)/bin/qcode models pull qwen2.5-coder-1.5b --yes
	$(PY) -P evals/swebench.py --dataset $(EVALDATA)/quixbugs.jsonl --agent qcode --model qwen2.5-coder-1.5b --workers 1 --max-turns 8 --max-seconds 600 --out $(OUT)/quixbugs

eval-controls: setup $(VENV)/dev.stamp
	for set in instances quixbugs; do for agent in gold empty; do \
	  $(PY) -P evals/swebench.py --dataset $(EVALDATA)/$$set.jsonl --agent $$agent --repeat 5 --workers 2 --out $(OUT)/controls-$$set-$$agent --resume || exit 1; \
	done; done

# A small task each in Go, JavaScript, C, Ruby, Rust, PHP and Java, on Debian's packages, and tasks mined from small histories:
# minutes and 1.5 GB the first time.
eval-languages: setup $(VENV)/dev.stamp
	rm -rf $(OUT)/languages-gold $(OUT)/languages-empty
	$(PY) -P evals/swebench.py --dataset tests/evals/data/languages.jsonl --agent gold --workers 2 --out $(OUT)/languages-gold --expect-resolved all
	$(PY) -P evals/swebench.py --dataset tests/evals/data/languages.jsonl --agent empty --workers 2 --out $(OUT)/languages-empty --expect-resolved none
	$(PY) -P -m pytest -q -m languages tests/evals/test_languages.py tests/evals/test_ecosystems.py tests/evals/test_npm_runners.py

# A run that is killed thirty times, at chance moments.
eval-kills: setup $(VENV)/dev.stamp
	EVAL_KILLS=30 EVAL_SEED=$$(date +%s) $(PY) -P -m pytest -q tests/evals/test_resume.py -k killed

$(OUT)/official/bin/python:
	$(PYTHON) -m venv $(OUT)/official
	$(OUT)/official/bin/pip install -q 'swebench>=5,<6'

# The folders of eval-gold, eval-controls and eval-quixbugs as far as they are there; others: make grade-official RUNS='DIR' ROWS=FILE
RUNS ?= $(OUT)/gold $(OUT)/empty $(OUT)/controls-instances-gold $(OUT)/controls-instances-empty
QUIXBUGS_RUNS ?= $(if $(filter file,$(origin RUNS)),$(OUT)/quixbugs $(OUT)/controls-quixbugs-gold $(OUT)/controls-quixbugs-empty)
ROWS ?= $(EVALDATA)/instances.jsonl
grade-official: $(OUT)/official/bin/python $(VENV)/dev.stamp
	@test -n "$(wildcard $(RUNS) $(QUIXBUGS_RUNS))" || { echo 'no run to grade: make eval-gold first, or name one with RUNS=DIR'; exit 1; }
	@for run in $(wildcard $(RUNS)); do $(VENV)/bin/qcode-evals official $$run --dataset $(ROWS) --python $< || exit 1; done
	@for run in $(wildcard $(QUIXBUGS_RUNS)); do $(VENV)/bin/qcode-evals official $$run --dataset $(EVALDATA)/quixbugs.jsonl --python $< || exit 1; done

clean:
	rm -rf $(OUT) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
