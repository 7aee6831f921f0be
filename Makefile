# Needs make and Python 3.11 or newer; everything else goes into .venv.
#   make run ARGS="--port 5002"      make test ARGS="tests/test_fields.py"
#   make run PYTHON=python3.12       (which Python; else the first one new enough)

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
FINE := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
VENV := -c 'import venv, ensurepip'
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p $(FINE) && $$p $(VENV) && { echo $$p; exit; }; done 2>/dev/null; echo python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
BUILD := pyproject.toml hatch_build.py assets.lock.json
CORES ?= -n auto --dist loadfile --no-loadscope-reorder
WITH_BROWSER = PIPULATE_BROWSER="$${PIPULATE_BROWSER:-$$(cat .venv/.browser)}"
COMPILE := $(BIN)/python -m uv pip compile pyproject.toml --quiet --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock"

# Without its Python (an update took it away) an environment is made anew: its marks are untrue.
$(shell test -e $(BIN)/python || rm -rf .venv/.[!.]*)

.DEFAULT_GOAL := help
.PHONY: help run setup setup-dev browser test test-long test-llama mutate check bench shots \
	bundle dist lock clean

help:
	@echo "make run        set up and start Pipulate            (ARGS=--no-browser; more: pipulate serve --help)"
	@echo "make test       set up and run every test            (ARGS= for pytest)"
	@echo "make test-long  the same with the crash and load tests"
	@echo "make test-llama a run against llama.cpp's own server, with a model made here"
	@echo "make mutate     take each check out of the guard and see a test fail"
	@echo "make check      lint, format, types, sizes"
	@echo "make bench      measure        make shots   take the pictures of the docs"
	@echo "make bundle     the whole source as one document in dist/"
	@echo "make dist       a source distribution and a wheel, the browser's files inside, in dist/"
	@echo "make lock       pin the dependencies again (ARGS=--upgrade for newer ones)"
	@echo "make clean      remove what was built or downloaded"

run: setup
	@exec $(BIN)/pipulate $(ARGS)

test: setup-dev browser
	@$(WITH_BROWSER) $(BIN)/python -m pytest $(CORES) $(ARGS)

test-long: setup-dev browser
	@$(WITH_BROWSER) $(BIN)/python -m pytest $(CORES) -m "long or not long" $(ARGS)

test-llama: setup-dev .venv/.llama
	@PIPULATE_LLAMA=.venv/.llama/bin/python $(BIN)/python -m pytest -s tests/llama/check_llama.py $(ARGS)

mutate: setup-dev
	@$(BIN)/python scripts/mutate_guard.py

check: setup-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python scripts/sizes.py $(ARGS)

bench: setup-dev
	@$(BIN)/python -m bench $(ARGS)

shots: setup-dev browser
	@$(WITH_BROWSER) $(BIN)/python scripts/shots.py $(ARGS)

bundle: setup
	@$(BIN)/python scripts/bundle.py $(ARGS)

dist: setup-dev
	@rm -f dist/pipulate-*
	@$(BIN)/python -m hatchling build

lock: $(BIN)/python
	@$(PIP) install uv
	@$(COMPILE) -o requirements.lock $(ARGS)
	@$(COMPILE) -o requirements-dev.lock -c requirements.lock --group dev --all-extras $(ARGS)
	@! grep -n '://' requirements.lock requirements-dev.lock

clean:
	rm -rf .venv dist build src/pipulate/web/assets bench/results
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup: .venv/.installed
setup-dev: .venv/.installed .venv/.installed-dev
browser: .venv/.browser

$(BIN)/python:
	@$(PYTHON) $(FINE) 2>/dev/null || { \
		echo "Pipulate needs Python 3.11 or newer. Install it, or name it:"; \
		echo "  make PYTHON=/path/to/python $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) $(VENV) 2>/dev/null || { \
		echo "This Python has no venv module. On Debian or Ubuntu, as root:"; \
		echo "  apt-get install python3-venv"; exit 1; }
	@echo "Setting up, once:"
	@echo "  a Python environment in .venv (about 5 seconds) ..."
	@$(PYTHON) -m venv --clear .venv

.venv/.installed: requirements.lock $(BUILD) | $(BIN)/python
	@echo "  the packages it needs, each checked against its hash (about half a minute) ..."
	@$(PIP) install --require-hashes -r requirements.lock
	@echo "  Pipulate itself and the files of its pages, such as htmx (about 10 seconds) ..."
	@$(PIP) install --no-deps -e .
	@touch $@

.venv/.installed-dev: requirements-dev.lock | .venv/.installed
	@echo "  what tests, checks and builds need (about a minute) ..."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

.venv/.llama: | $(BIN)/python
	@$(BIN)/python -m venv $@
	@$@/bin/python -m pip --disable-pip-version-check -qq install --only-binary :all: \
		xllamacpp==2026.10.11549 gguf==0.19.0 || { rm -rf $@; exit 1; }

.venv/.browser: scripts/browser.sh | $(BIN)/python
	@sh scripts/browser.sh >$@.new
	@mv $@.new $@
