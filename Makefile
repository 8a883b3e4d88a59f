# Needs GNU make (3.81, which macOS ships, will do) and Python 3.11 or newer; the rest is set up in .venv.
# Another interpreter: make PYTHON=/path/to/python3.12 demo

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test test-all test-quick test-most test-stress test-clocks test-others stress extras lint types format \
	screens pictures bench clean

CANDIDATES := $(if $(PYTHON),$(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
# The first pip that knows --group.
INSTALL := $(PIP) install 'pip>=25.1' && $(PIP) install
PYTEST := $(BIN)/python -m pytest -n auto
DEV := $(VENV)/.installed-dev

# The model's client is only fetched for who has a model to call.
ifeq ($(strip $(OPENAI_BASE_URL)$(OPENAI_API_KEY)),)
DEMO := $(VENV)/.installed
else
DEMO := $(VENV)/.installed-examples
endif

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  make %-11s %s\n", $$1, $$2 }'

# --- for users

define demo_step
@printf '\n$$ llm-cache --config cache.toml.example %s\n' '$(1)'
@$(BIN)/llm-cache --config cache.toml.example $(1)
endef

demo: $(DEMO) ## warm a cache from cache.toml.example, twice, and look at it
	$(call demo_step,warm)
	$(call demo_step,warm)
	$(call demo_step,ls)
	$(call demo_step,stats)

# --- for developers

test: lint types test-most ## lint, types and the test suite, in a few minutes

test-all: test test-stress test-clocks test-others extras ## the same, and storms, faults, odd hours, other Pythons

test-quick: $(DEV) ## only the tests that take less than a second each
	$(PYTEST) -m 'not (slow or stress)'

stress: $(DEV) ## a storm over many processes; make stress MINUTES=10 SEED=1
	$(BIN)/python -m tests.storm --minutes $(or $(MINUTES),1) $(if $(SEED),--seed $(SEED))

lint: $(DEV) ## ruff: rules and format; import-linter: the floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache

# Of a copy: an editable install is not looked into.
define verify_types
@set -eu; \
work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
cp -R llm_cache "$$work"; bin=$$(pwd)/$(BIN); cd "$$work"; \
PYTHONPATH=$$work "$$bin/basedpyright" --pythonpath "$$bin/python" --verifytypes llm_cache --ignoreexternal >report \
  || { cat report; exit 1; }; \
grep score report
endef

types: $(DEV) ## mypy and basedpyright, both strict; every public type is told
	$(BIN)/mypy $(wildcard llm_cache examples tests/typing_api.py)
	$(BIN)/basedpyright $(wildcard llm_cache examples tests/typing_api.py)
	$(verify_types)

format: $(DEV) ## repair what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-most: $(DEV)
	$(PYTEST) -m 'not stress'

# What is skipped is named, one line a test.
test-stress: $(DEV)
	$(PYTEST) -m stress

test-clocks: $(DEV) ## the tests that read a clock, at odd hours and in a far zone; needs faketime
	.ci/clocks $(PYTEST) -q

test-others: $(DEV) ## the quick part of the suite on every other Python that is found
	.ci/others $(BIN)/python

define list_extras
import tomllib
with open("pyproject.toml", "rb") as file:
    print(*sorted(tomllib.load(file)["project"]["optional-dependencies"]))
endef
export list_extras

define load_public_names
import llm_cache
for name in llm_cache.__all__:
    getattr(llm_cache, name)
endef
export load_public_names

# The wheel as a user gets it: without any extra, then with each one alone, outside of the checkout.
extras: $(DEV)
	@set -eu; \
	work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
	$(PIP) wheel --no-deps --wheel-dir "$$work" .; \
	wheel=$$(echo "$$work"/llm_cache-*.whl); \
	for extra in '' $$($(BIN)/python -c "$$list_extras"); do \
	  $(BIN)/python -m venv --clear "$$work/venv"; \
	  "$$work/venv/bin/python" -m pip --disable-pip-version-check --no-input --quiet \
	    install "$$wheel$${extra:+[$$extra]}"; \
	  (cd "$$work" && venv/bin/python -I -W error -c "$$load_public_names"); \
	  version=$$(cd "$$work" && venv/bin/llm-cache --version); \
	  echo "installed with $${extra:-no extra}: $$version"; \
	done

screens: $(DEV) ## keep what the commands show now: tests/cli/screens, docs/pictures; look at the diff
	SCREENS=keep $(PYTEST) -q tests/cli/test_cli_screens.py
	$(BIN)/python tests/cli/pictures.py docs/pictures

pictures: screens

bench: $(VENV)/.installed-bench ## run the benchmarks
	@for script in benchmarks/[!_]*.py; do \
	  echo "$$ python $$script"; $(BIN)/python "$$script" || exit 1; \
	done

clean: ## remove .venv, builds and the tools' caches; what was generated (.cache) stays
	rm -rf $(VENV) build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up

$(BIN)/python:
	@found=; \
	for python in $(CANDIDATES); do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo 'error: Python 3.11 or newer is needed, and was not found as: $(CANDIDATES). Name one: make PYTHON=/path/to/python3' >&2; \
	  exit 1; \
	fi; \
	echo "setting up $(VENV) with $$($$found --version)"; \
	$$found -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo 'installing llm-cache'
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-examples: pyproject.toml | $(BIN)/python
	@echo 'installing llm-cache and the client for its examples'
	@$(INSTALL) --editable . --group examples
	@touch $@ $(VENV)/.installed

# The peer that the command line is timed against.
$(VENV)/.installed-bench: pyproject.toml $(DEV)
	@echo 'installing what the benchmarks compare with'
	@$(INSTALL) --editable . --group bench
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	@echo 'installing llm-cache and its development tools (the first time takes a minute)'
	@$(INSTALL) --editable '.[prices,zstd]' --group dev --group examples
	@touch $@ $(VENV)/.installed $(VENV)/.installed-examples
