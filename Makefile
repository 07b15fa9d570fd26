# make demo    the main job, from a package's history to a trained, better policy (DEMO=small: a short one)
# make test    all tests          make check   format, lint, types, imports, drift, fast tests
# make test-agents                other people's agents, all of them, for real (installs 2.5 GB once)
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
# one thread a test worker: the machine's cores are shared out by the runner, not by every library
JOBS ?= $(shell nproc)

help:
	@sed -n 's/^# //p' Makefile | head -n 6

$(VENV)/.installed: pyproject.toml $(wildcard constraints/*.txt)
	scripts/system-packages run
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "KAT needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints/cpu.txt torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints/cpu.txt -e '.[train,deepspeed,dev]'
	touch $@

demo: $(VENV)/.installed
	$(MAKE) --no-print-directory -C reproduce demo BIN=$(CURDIR)/$(BIN) DEMO=$(DEMO)

test: $(VENV)/.installed
	scripts/system-packages test
	OMP_NUM_THREADS=1 PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/pytest -n $(JOBS) --dist worksteal

.PHONY: lint
lint: $(VENV)/.installed
	scripts/system-packages test
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	scripts/types $(BIN)
	$(BIN)/lint-imports --no-cache | tail -n 3
	$(MAKE) --no-print-directory drift

check: lint
	OMP_NUM_THREADS=1 PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/pytest -n $(JOBS) --dist worksteal -m 'not slow and not gpu'

test-gpu:
	if $(PYTHON) -c 'import pytest' 2>/dev/null; \
	    then TRITON_INTERPRET=0 scripts/from-source $(PYTHON) -m pytest -m gpu tests/kernels/test_gpu.py; \
	    else TRITON_INTERPRET=0 scripts/from-source $(PYTHON) tests/kernels/gpu_checks.py; fi

.PHONY: test-agents
test-agents: $(VENV)/.installed
	scripts/system-packages test
	OMP_NUM_THREADS=1 PATH=$(CURDIR)/$(BIN):$$PATH KAT_AGENTS_TABLE=benchmarks/results/agents.md \
	    $(BIN)/pytest -m 'slow or agents' tests/rollout/test_real_agents.py

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
