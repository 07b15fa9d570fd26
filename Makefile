# make demo    the main job, from a package's history to a trained, better policy (DEMO=small: a short one)
# make venv    KAT with torch for CPUs and what its tests need, in .venv
# make test    all tests          make check   lint and fast tests
# make lint    format, lint, types, imports, drift      make drift     whether generated files are what the code says
# make format  format, and mend what ruff can           make generate  schemas, formats.md, man pages, completions
# make golden  the expected output of commands anew     make clean     remove what was made, but for .venv
# make demo-tasks                the demo's tasks alone, which take no model
# make test-agents                other people's agents, all of them, for real (installs 5.5 GB once)
# make test-datasets              the real harbor and swebench packages on tasks of ours (installs 1 GB once)
# make bench-gateway              latency and calls a second of the gateway, beside LiteLLM's proxy (a quiet machine)
# make test-runners               every test runner that PyPI, npm and Debian provide, for real (2.5 GB once, as root)
# make test-kill, test-ray        200 rollouts and ten kills; two Ray nodes in network namespaces (installs 0.4 GB once)
# make test-validate              validation of 20 tasks, killed ten times, against one clean run
# make test-sglang                the contract of engines against SGLang's own server, on a CPU (1.6 GB once, in out/)
# make test-gpu, bench-gpu         on a machine with a GPU, with its own python3 (torch, triton): nothing is installed
# make install PREFIX=/usr/local  man pages and completions where a system looks for them

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: demo test check test-gpu bench-gpu install generate golden format clean help

PYTHON ?= python3
PREFIX ?= /usr/local
VENV := .venv
BIN := $(VENV)/bin
export KAT_SEED ?= 0
unexport PYTHONDONTWRITEBYTECODE
# one thread a test worker: the machine's cores are shared out by the runner, not by every library
JOBS ?= $(shell nproc)

help:
	@sed -n 's/^# //p' Makefile | head -n 6

# Byte code is made, and kept, at the first import: most of what torch brings is never imported.
PIP := --quiet --disable-pip-version-check --no-compile -c constraints/cpu.txt

# what the commands need, but for models
$(VENV)/.base: pyproject.toml $(wildcard constraints/*.txt)
	scripts/system-packages run
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "KAT needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install $(PIP) -e .
	touch $@

$(VENV)/.torch: $(VENV)/.base
	$(BIN)/pip install $(PIP) torch==2.13.0
	touch $@

# training on a CPU too
$(VENV)/.commands: $(VENV)/.torch
	$(BIN)/pip install $(PIP) -e '.[train]'
	touch $@

# and its tests
$(VENV)/.installed: $(VENV)/.commands
	$(BIN)/pip install $(PIP) -e '.[train,deepspeed,dev]'
	touch $@

.PHONY: venv
venv: $(VENV)/.installed

# tasks and their known solutions need no model: they are made while torch is installed
REPRODUCE = $(MAKE) --no-print-directory -C reproduce -j $(JOBS) BIN=$(CURDIR)/$(BIN) DEMO=$(DEMO)
demo: $(VENV)/.base
	scripts/system-packages demo
	$(MAKE) --no-print-directory -j 2 $(VENV)/.torch demo-tasks
	$(MAKE) --no-print-directory $(VENV)/.commands
	$(REPRODUCE) demo

.PHONY: demo-tasks
demo-tasks: $(VENV)/.base
	$(REPRODUCE) tasks

# a worker more than there are cores: a fifth of the time all of them would wait for processes
test: $(VENV)/.installed
	scripts/system-packages test
	OMP_NUM_THREADS=1 PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/pytest -n $$(($(JOBS) + 1)) --dist worksteal

.PHONY: lint
lint: $(VENV)/.installed
	scripts/system-packages test
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	scripts/types $(BIN)
	$(BIN)/lint-imports --no-cache | tail -n 3
	$(MAKE) --no-print-directory drift

check: lint
	OMP_NUM_THREADS=1 PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/pytest -n $(JOBS) --dist worksteal -m 'not (slow or gpu or agents or runners or ray or sglang)'

test-gpu:
	if $(PYTHON) -c 'import pytest' 2>/dev/null; \
	    then TRITON_INTERPRET=0 scripts/from-source $(PYTHON) -m pytest -m gpu tests/kernels/test_gpu.py; \
	    else TRITON_INTERPRET=0 scripts/from-source $(PYTHON) tests/support/gpu_checks.py; fi

.PHONY: test-runners
test-runners: $(VENV)/.installed
	scripts/system-packages test
	OMP_NUM_THREADS=1 PATH=$(CURDIR)/$(BIN):$$PATH KAT_RUNNERS_TABLE=benchmarks/results/test_runners.md \
	    $(BIN)/pytest -m "slow or runners" tests/testrun/test_real_runners.py tests/verify/test_forgery.py

.PHONY: test-agents
test-agents: $(VENV)/.installed
	scripts/system-packages test
	OMP_NUM_THREADS=1 PATH=$(CURDIR)/$(BIN):$$PATH KAT_AGENTS_TABLE=benchmarks/results/agents.md \
	    $(BIN)/pytest -m 'slow or agents' tests/rollout/test_real_agents.py tests/rollout/test_session_logs.py

.PHONY: test-datasets
test-datasets: $(VENV)/.installed
	scripts/system-packages test
	PATH=$(CURDIR)/$(BIN):$$PATH scripts/test-datasets

.PHONY: bench-gateway
bench-gateway: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.gateway --peer litellm --json

.PHONY: test-kill
test-kill: $(VENV)/.installed
	scripts/system-packages test
	OMP_NUM_THREADS=1 PATH=$(CURDIR)/$(BIN):$$PATH KAT_KILL_ROLLOUTS=200 KAT_KILL_KILLS=10 KAT_KILL_LATEST_S=8 \
	    KAT_KILL_TABLE=benchmarks/results/rollout_kill.md $(BIN)/pytest -s tests/rollout/test_kill.py

.PHONY: test-validate
test-validate: $(VENV)/.installed
	scripts/system-packages test
	OMP_NUM_THREADS=1 PATH=$(CURDIR)/$(BIN):$$PATH KAT_VALIDATE_TASKS=20 KAT_VALIDATE_KILLS=10 \
	    KAT_VALIDATE_LATEST_S=20 KAT_VALIDATE_TABLE=benchmarks/results/validate_kill.md \
	    $(BIN)/pytest -s tests/verify/test_validation.py -k killed

RAY := build/ray

.PHONY: test-ray
test-ray: $(VENV)/.installed
	scripts/system-packages test
	test -d $(RAY)/ray || $(BIN)/pip install --quiet --disable-pip-version-check --target $(RAY) 'ray>=2.40'
	OMP_NUM_THREADS=1 PATH=$(CURDIR)/$(BIN):$$PATH KAT_TEST_RAY=$(CURDIR)/$(RAY) \
	    KAT_RAY_TABLE=benchmarks/results/rollout_ray.md $(BIN)/pytest -s -m ray tests/rollout/test_ray.py

.PHONY: test-sglang
test-sglang: $(VENV)/.installed
	scripts/sglang/install out/sglang
	OMP_NUM_THREADS=1 PATH=$(CURDIR)/$(BIN):$$PATH KAT_SGLANG_PYTHON=$(CURDIR)/out/sglang/bin/python \
	    KAT_SGLANG_TABLE=benchmarks/results/sglang_contract.json $(BIN)/pytest -m sglang tests/engine/test_real_sglang.py

bench-gpu:
	TRITON_INTERPRET=0 scripts/from-source $(PYTHON) benchmarks/gpu/run.py

.PHONY: drift
drift:
	$(BIN)/python scripts/schemas.py --check
	$(BIN)/python scripts/formats.py --check
	$(BIN)/python scripts/manual.py --check
	$(BIN)/python scripts/completions.py --check

generate: $(VENV)/.installed
	$(BIN)/python scripts/schemas.py
	$(BIN)/python scripts/formats.py
	$(BIN)/python scripts/manual.py
	$(BIN)/python scripts/completions.py

golden: $(VENV)/.installed
	KAT_GOLDEN=write PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/pytest -q tests/cli/test_golden.py

format: $(VENV)/.installed
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --fix --quiet .

install:
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
	    $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 644 man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	for file in completions/*.bash; do \
	    install -m 644 $$file $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$(basename $$file .bash); done
	install -m 644 completions/_kat-* $(DESTDIR)$(PREFIX)/share/zsh/site-functions/
	install -m 644 completions/*.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/

clean:
	rm -rf out build dist .mypy_cache .ruff_cache .pytest_cache
