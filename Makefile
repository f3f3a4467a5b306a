# Every target sets up its environment first, in .venv, if that is not done.
PYTHON ?= python3
TABLE ?= msanet.table3
SCALE ?= demo
ARGS ?=
# The plainest kernels of PyTorch, oneDNN and MKL: they round differently from those this processor would use.
PLAIN_KERNELS := ATEN_CPU_CAPABILITY=default DNNL_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE
PARITY := tests/test_recorded_*.py tests/test_papers*.py $(addprefix tests/test_,$(addsuffix .py,coherent contextual conv \
  critics lbam lpips metrics networks protocols strided vgg))
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help install reproduce-table tables list test test-parity test-slow lint docs bench lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-18s %s\n", $$1, $$2}'
	@echo "  variables: TABLE=$(TABLE) SCALE=$(SCALE) ARGS=\"seed=0,1,2 output=runs\" PYTHON=$(PYTHON)"

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than Python 3.11; say which one to use: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "error: $(PYTHON) lacks the module venv (on Debian: apt install python3-venv)" >&2; exit 1; }
	@echo "setting up $(VENV): a few minutes, about 6 GB"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

install: $(READY) ## set up the environment only

reproduce-table: $(READY) ## train, evaluate and print a table: TABLE=msanet.table4 SCALE=demo ARGS="seed=0,1,2"
	@$(BIN)/inpaintlab table $(TABLE) --scale $(SCALE) $(ARGS)

tables: $(READY) ## render all tables from what has been measured; nothing is trained
	@$(BIN)/inpaintlab table --render $(ARGS)

list: $(READY) ## list the tables: what is measured, what is missing, the command that fills each
	@$(BIN)/inpaintlab table --list $(ARGS)

test: $(READY) ## run all tests but the slow ones
	$(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 8

test-parity: $(READY) ## run the tests of equality with the authors' code again, with the kernels of other processors
	$(PLAIN_KERNELS) $(BIN)/python -c 'import torch; used = torch.backends.cpu.get_cpu_capability(); assert used == "DEFAULT", used'
	$(PLAIN_KERNELS) $(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 8 $(PARITY)

test-slow: $(READY) ## run the slow tests
	$(BIN)/python -m pytest -m slow

lint: $(READY) ## check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY) ## build the documentation as a site in build/site
	rm -rf build/site
	$(BIN)/sphinx-build -q -W --keep-going -c docs . build/site
	@cp build/site/README.html build/site/index.html
	@echo "open build/site/index.html"

bench: $(READY) ## measure data pipeline, LBAM, contextual attention, metrics and bootstrap against plain ones in the same run
	$(BIN)/python benchmarks/data_pipeline.py
	$(BIN)/python benchmarks/lbam_step.py
	$(BIN)/python benchmarks/contextual_attention.py
	$(BIN)/python benchmarks/coherent_attention.py
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/bootstrap.py

lock: ## pin the newest versions of all dependencies (needs uv)
	uv pip compile pyproject.toml --group dev --group docs --universal --python-version 3.11 --no-header --no-annotate --upgrade --output-file requirements.lock

clean: ## remove the environment and caches; results in runs/ stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist
	find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +
