# Every target sets up what it needs in one .venv: Python >= 3.11, make and git are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup demo test lint bench harness lock clean

help:            ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/  /'

setup: $(VENV)/.ready   ## make .venv with everything in it

$(VENV)/.ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed; name one: make $(firstword $(MAKECMDGOALS)) PYTHON=python3.12"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: setup      ## the main job, on two sandbox CRMs
	@$(BIN)/mql demo

# Four at a time also on two cores: tests wait for processes and clocks, and each worker costs four seconds to begin.
# Neighbours stay together (worksteal), so that what a module sets up is set up once and not in every worker.
test: setup      ## every test, with ruff, mypy and import-linter among them
	$(BIN)/python -m pytest -n 4 --dist worksteal

lint: setup      ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup     ## CPU of a first load and of scoring; docs/benchmarks.md names the others
	$(BIN)/python benchmarks/pull.py
	$(BIN)/python benchmarks/scoring.py

harness: setup   ## kill runs at every line, play 500 random days and a fleet under fire (hours); docs/harness.md
	$(BIN)/python -m tests.harness.crash_points --workers 2
	$(BIN)/python -m tests.harness.schedules --workers 2
	$(BIN)/python -m tests.harness.service.trials
	$(BIN)/python -m tests.harness.service.fleet

lock:            ## write requirements.txt (and deploy/requirements.txt, to run only) anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --no-header --no-emit-find-links --group dev pyproject.toml --output-file requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --no-header --no-emit-find-links --constraint requirements.txt pyproject.toml --output-file deploy/requirements.txt

clean:           ## remove .venv and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
