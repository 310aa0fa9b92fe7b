# `make run` opens a whole market on this machine; `make test` and `make check` are what CI runs.
# Each target makes the virtual environment it needs; the second time that costs nothing.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null)
# Tests wait more than they compute: for timers, restarts and polls.
WORKERS ?= 3
ARGS ?=

# uv installs several times faster than pip; where its registry cannot be reached as pip's can, pip does it.
install = { UV=$$(command -v uv || echo $(BIN)/uv); $$UV pip install --quiet --python $(BIN)/python $(1) 2>/dev/null \
  || $(BIN)/python -m pip install --quiet --disable-pip-version-check $(1); }

.DEFAULT_GOAL := help
.PHONY: help run test check format bench bench-live bench-money soak lock clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

run: $(VENV)/run.stamp  ## Open a market at http://127.0.0.1:8080 (ARGS="--port 0 --reset")
	@$(BIN)/python -m feira up $(ARGS)

test: $(VENV)/dev.stamp  ## Run the tests on real servers (ARGS="-k orders")
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

check: $(VENV)/dev.stamp  ## Lint, format, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

format: $(VENV)/dev.stamp  ## Rewrite the code as `make check` wants it
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(VENV)/dev.stamp  ## Measure, and write the numbers
	$(BIN)/python -m bench $(ARGS)

bench-live: $(VENV)/dev.stamp  ## Measure real time against peers (ARGS="rooms --peers feira,ws --seconds 2 --write")
	$(BIN)/python -m bench.live $(ARGS)

bench-money: $(VENV)/dev.stamp  ## Measure jobs and money against peers (ARGS="jobs --quick")
	$(BIN)/python -m bench.money $(ARGS)

conformance: $(VENV)/dev.stamp  ## Check the sockets against RFC 6455, and write docs/conformance.md
	$(BIN)/python -m tests.integration.conformance --write

soak: $(VENV)/dev.stamp  ## The tests that take minutes, then a long market day: 220 people, kills and drops, every promise checked
	$(BIN)/python -m pytest -m soak
	$(BIN)/python -m feira market-day --seconds 900 $(ARGS)

# Universal, hashed, and without the address of any registry.
LOCK = uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-header --generate-hashes --quiet
lock:  ## Resolve requirements/*.txt anew (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv on PATH"; exit 1; }
	$(LOCK) pyproject.toml --all-extras -o requirements/dev.txt
	$(LOCK) pyproject.toml --extra embedded -c requirements/dev.txt -o requirements/run.txt
	$(LOCK) pyproject.toml -c requirements/dev.txt -o requirements/production.txt
	echo uv | $(LOCK) - -o requirements/uv.txt

clean:  ## Remove the environment, caches and the local market's data
	rm -rf $(VENV) .feira .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist .coverage*
	find feira tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Feira needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@command -v uv >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
	  --require-hashes -r requirements/uv.txt 2>/dev/null || true

# Order-only on the interpreter: pip touches it, and that is no reason to install again.
$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml | $(BIN)/python
	@$(call install,--require-hashes -r requirements/dev.txt)
	@$(call install,--no-deps -e .)
	@touch $@ $(VENV)/run.stamp

$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(BIN)/python
	@$(call install,--require-hashes -r requirements/run.txt)
	@$(call install,--no-deps -e .)
	@touch $@
