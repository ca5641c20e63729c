# The two commands of the README are `make demo` and `make test`; each sets up everything it needs first.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
export GOMP_SPINCOUNT ?= 0
PIP := $(RUN)/pip --disable-pip-version-check -qq

.PHONY: help setup demo test test-all test-trl test-rims bench lint docs clean

help:
	@echo "make demo      set up, then the main job on real digits: look, repair, choose, judge, card"
	@echo "make test      set up, then the tests"
	@echo "make test-all  the same with the slow statistical tests"
	@echo "make test-trl  the same tasks under TRL’s trainer, which it installs beside"
	@echo "make test-rims the rims to Inspect and MLflow, which it installs beside"
	@echo "make lint      formatting, lint and types"
	@echo "make bench     all races against peers; RACE=name for one"
	@echo "make docs      check every example and link in docs/"

# A stamp, so that set-up runs once and again only when what it installs has changed.
$(VENV)/.ready: pyproject.toml requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "surefoot needs Python 3.11 or newer; run make with PYTHON=/path/to/python3.11")'
	@echo "Setting up $(VENV) (about a minute)"
	@test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install -r requirements.txt
	@$(RUN)/surefoot doctor --check
	@touch $@

setup: $(VENV)/.ready

demo: setup
	@$(RUN)/surefoot demo

test: setup
	$(RUN)/python -m pytest -m "not slow" -n 2 --dist worksteal $(ARGS)

# TRL, with peft and Accelerate, in an environment of its own: nothing here needs it.
TRL := bench/.venv-trl
$(TRL)/.ready: pyproject.toml requirements.txt constraints.txt tests/hub/trl.txt
	@test -x $(TRL)/bin/python || $(PYTHON) -m venv $(TRL)
	@$(TRL)/bin/pip --disable-pip-version-check -qq install -r requirements.txt -r tests/hub/trl.txt
	@touch $@

test-trl: $(TRL)/.ready
	$(TRL)/bin/python -m pytest tests/hub/test_hub_trl.py $(ARGS)

# Inspect and MLflow, whose requirements are many, in another one.
RIMS := bench/.venv-rims
$(RIMS)/.ready: pyproject.toml requirements.txt constraints.txt tests/rims/rims.txt
	@test -x $(RIMS)/bin/python || $(PYTHON) -m venv $(RIMS)
	@$(RIMS)/bin/pip --disable-pip-version-check -qq install -r requirements.txt -r tests/rims/rims.txt
	@touch $@

test-rims: $(RIMS)/.ready
	$(RIMS)/bin/python -m pytest tests/rims $(ARGS)

test-all: setup
	$(RUN)/python -m pytest -n 2 --dist worksteal $(ARGS)

lint: setup
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/basedpyright

bench: setup
	$(RUN)/python bench/harness.py $(RACE)

docs: setup
	$(RUN)/python -m pytest -q tests/docs $(ARGS)

clean:
	rm -rf $(VENV) bench/.venv-* .pytest_cache .ruff_cache
