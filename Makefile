# `make` alone prints what can be made. Every target makes what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test lint bench locale lock clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

install: $(INSTALLED) ## the project and its tools, at their locked versions, in .venv/

$(INSTALLED): requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

demo: $(INSTALLED) ## embedded servers, sample clinics, a first backup of each, API and worker; until Ctrl-C
	@$(BIN)/respaldos demo

lint: $(INSTALLED) ## style, types and import rules
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > .lint-imports.log || { cat .lint-imports.log; exit 1; }

test: lint ## everything that CI checks
	@$(BIN)/pytest -n 2

bench: $(INSTALLED) ## the measurements of tests/bench, as a table
	@$(BIN)/python -m tests.bench

LOCALE := app/cli/locale/es/LC_MESSAGES/click
locale: $(INSTALLED) ## compile the Spanish of click's own sentences
	$(BIN)/pybabel --quiet compile -i $(LOCALE).po -o $(LOCALE).mo

lock: $(INSTALLED) ## resolve the locked versions anew
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header --extra parquet pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean: ## remove what was made: .venv/, caches, the demo's data
	rm -rf $(VENV) .respaldos .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .lint-imports.log
	find app workers migrations tests -name __pycache__ -type d -prune -exec rm -rf {} +
