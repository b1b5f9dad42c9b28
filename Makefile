# Needs make and Python 3.11 or later; `make setup` brings the rest, pinned by hash, into .venv.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# pip and others write below HOME; an account without one is told so rather than given the root directory.
ifeq ($(strip $(HOME)),)
export HOME := /nonexistent
export PIP_NO_CACHE_DIR := 1
endif
# Another checkout on PYTHONPATH would be tested in place of this one.
unexport PYTHONPATH
export PIP_DISABLE_PIP_VERSION_CHECK := 1

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV ?= uv

.PHONY: help setup demo test lint fuzz bench chaos outage weather press soak lock clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: $(STAMP) ## a virtual environment from requirements.lock

# Each candidate is run, not only found: a pyenv shim is on PATH for versions that are not active, too.
$(STAMP): requirements.lock pyproject.toml
	@fit='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'; \
	if ! $(BIN)/python -c "$$fit" 2>/dev/null; then \
	  for python in python3.12 python3.11 python3 python python3.14 python3.13; do \
	    if "$$python" -c "$$fit" >/dev/null 2>&1; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$${found:-}" ]; then \
	    echo "switchyard: no Python 3.11 or later with venv on PATH (Debian: apt install python3 python3-venv)" >&2; \
	    exit 3; \
	  fi; \
	  "$$found" -m venv --clear $(VENV); \
	fi
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## a whole yard in changing weather, no key and no network needed
	$(BIN)/switchyard demo

lint: setup ## style, types and floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Most tests wait for servers and workers more than they compute; each process has servers of its own. In the order of
# tests/conftest.py: the long runs would otherwise come last, and alone.
test: lint ## what CI runs: lint and every test
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder

fuzz: setup ## 100,000 broken responses in every protocol, 15,000 lies in articles; some minutes
	PLANTED_EVERY=1 $(BIN)/pytest tests/unit/test_planted.py
	FUZZ_EXAMPLES=100000 $(BIN)/pytest tests/unit/test_hear_anything.py

bench: setup ## speed, beside the peers
	$(BIN)/python -m bench

chaos: setup ## kill everything in turn and count
	$(BIN)/python -m bench.chaos

outage: setup ## every provider down for five minutes
	$(BIN)/python -m bench.outage

weather: setup ## a day of weather over twelve providers, in five minutes
	$(BIN)/python -m bench.weather

press: setup ## the newspaper while processes are killed, providers down and quotas gone
	$(BIN)/python -m bench.press

soak: setup ## a long run at a steady load
	$(BIN)/python -m bench.soak

lock: ## requirements.lock anew (needs uv; or make lock UV="uvx uv")
	$(UV) pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --quiet --upgrade -o requirements.lock

clean: ## everything made here but the data in .switchyard
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find app tasks tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
