# Everything on a fresh machine with Python 3.11 to 3.14: `make demo`, `make test`.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.dev-installed

.PHONY: help setup dev demo test long quick lint format bench docs lock clean

help:  ## List the targets.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## Make the environment in .venv from the lock file.

dev: $(DEV_STAMP)  ## The same, with what tests, linters and benches need.

# One package has no wheel for Python 3.14 and is built; without a compiler, as plain Python, which gives the same.
$(STAMP): export WITH_EXTENSION = $(shell $(PYTHON) -c 'import shutil, sysconfig as s; from pathlib import Path; \
	there = shutil.which((s.get_config_var("CC") or "cc").split()[0]) and Path(s.get_path("include"), "Python.h").exists(); \
	print(1 if there else 0)' 2>/dev/null)

# uv installs in seconds what takes pip a minute or two; both read the same lock files.
INSTALL = $$([ -x $(BIN)/uv ] && echo "$(BIN)/uv pip install --python $(BIN)/python" || echo "$(BIN)/python -m pip install") --quiet --no-deps

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 14) else f"Python 3.11 to 3.14 is needed, this is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet "uv>=0.8,<1" || echo "uv cannot be had here: pip installs, which takes longer"
	$(INSTALL) --require-hashes --requirement requirements.lock
	$(INSTALL) --no-build-isolation --editable .
	@touch $(STAMP)

$(DEV_STAMP): $(STAMP) requirements-dev.lock
	$(INSTALL) --require-hashes --requirement requirements-dev.lock
	@touch $(DEV_STAMP)

demo: $(STAMP)  ## Write a small crawl and curate it, end to end.
	$(BIN)/metaclip demo

# Files of tests side by side, in the order of the folders: those that take longest come first.
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test: $(DEV_STAMP)  ## Run the tests, each time under another hash seed; `make long` runs the longest.
	@seed=$${PYTHONHASHSEED:-$$($(BIN)/python -c 'import secrets; print(secrets.randbelow(2**32))')}; \
	echo "PYTHONHASHSEED=$$seed"; PYTHONHASHSEED=$$seed $(PYTEST) -m "not long" $(PYTEST_ARGS)

long: $(DEV_STAMP)  ## Run the tests that `make test` leaves out.
	$(PYTEST) -m long $(PYTEST_ARGS)

quick: $(DEV_STAMP)  ## Run the tests that take seconds.
	$(PYTEST) -m "not slow and not long" $(PYTEST_ARGS)

lint: $(DEV_STAMP)  ## Check style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(DEV_STAMP)  ## Mend what can be mended by itself.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV_STAMP)  ## Measure; prints JSON and ratios within one run.
	$(BIN)/python -m bench

docs: $(DEV_STAMP)  ## Build the docs as a site in site/; links that lead nowhere are errors.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

LOCK := UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	--no-emit-find-links pyproject.toml --group build
lock:  ## Resolve pyproject.toml into the lock files (needs uv).
	$(LOCK) --output-file requirements.lock
	$(LOCK) --group test --group lint --group docs --extra images --constraint requirements.lock --output-file requirements-dev.lock

clean:  ## Remove what the demo wrote, and caches.
	rm -rf demo-data site .pytest_cache .mypy_cache .ruff_cache .hypothesis
