# Every target sets itself up in .venv: a bare machine needs Python 3.11 or newer and make, nothing else.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo run test lint messages bench screenshots clean

VENV := .venv
BIN := $(VENV)/bin
# The first video a newcomer sees, so something that the demo model can draw.
PROMPT ?= a red circle moving right
# The first Python here that is new enough and can make a virtual environment. PYTHON=... chooses another.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo $$python; break; }; done)
# Twice quiet: errors are shown, warnings about the machine's own pip settings are not.
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input

help:
	@echo "make demo   one prompt through chat, bot, queue and worker, and back as a video"
	@echo "make run    the whole system with a chat page in the browser; Ctrl-C stops it"
	@echo "make test   the tests"
	@echo "make lint   ruff, mypy, and whether all texts of the chat are translated"
	@echo "make bench  how long things take here, beside ModelScope's classes and diffusers'; 40 minutes, 20 GB of disk"

demo: $(VENV)/installed
	@DEBUG=1 $(BIN)/python manage.py up --demo "$(PROMPT)"

run: $(VENV)/installed
	@DEBUG=1 $(BIN)/python manage.py up

# Three processes, on two cores too: many tests wait for other processes most of their time (half of it with two).
test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 3 --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.catalogues

# Takes new texts of the chat into the catalogues, and compiles them: docs/translations.md.
messages: $(VENV)/installed-dev
	$(BIN)/python -m tests.catalogues update $(LOCALES)

# diffusers, one of the baselines, is a package of the developers. BENCH_ARGS=--skip-done goes on where a run was stopped.
bench: $(VENV)/installed-dev
	@$(BIN)/python -m benchmarks.cpu $(BENCH_ARGS)
	@$(BIN)/python -m benchmarks.tables

# Takes the pictures in docs/ anew, from the running system.
screenshots: $(VENV)/installed-dev
	$(BIN)/python -m pytest tests/browser --screenshots

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache

# The stamps are as old as the last install, so a changed pin installs again and anything else takes no time.
$(VENV)/installed: requirements.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { test -n "$(PYTHON)" && $(PYTHON) -m venv $(VENV); } \
		|| { echo "make: Python 3.11 or newer with venv is needed (Debian: python3-venv)" >&2; exit 1; }
	@echo "Installing requirements.txt into $(VENV) (once; a few minutes, mostly PyTorch)"
	@$(PIP) install -r requirements.txt
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt
	@echo "Installing requirements-dev.txt into $(VENV)"
	@$(PIP) install -r requirements-dev.txt
	@touch $@
