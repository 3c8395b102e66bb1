# Both targets do all of their set-up, from a bare Python 3.11 or newer with pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Of tests: as many at once as there are cores, each on one thread; small networks are slower on two.
PARALLEL := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses=8 --dist worksteal
ARGS ?=

.PHONY: demo test check docs gpu clean

demo: $(VENV)/installed
	$(BIN)/limbeck demo

test: $(VENV)/installed-test
	$(PARALLEL) $(ARGS)

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

# The documentation's site, in docs/_build; a warning is an error. The second line looks for links that lead nowhere.
docs: $(VENV)/installed-dev
	$(BIN)/python -m sphinx -q -W --keep-going -d docs/_build/read -b dirhtml docs docs/_build/html
	$(BIN)/python -m sphinx -q -W --keep-going -d docs/_build/read -b linkcheck docs docs/_build/links

# Where there is a GPU: its tests, and how fast it distils; see the script.
gpu: $(VENV)/installed-test
	PYTHON=$(abspath $(BIN))/python benchmarks/gpu.sh

clean:
	rm -rf $(VENV) demo

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "limbeck needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[test,browser,energy]'
	touch $(VENV)/installed $@

$(VENV)/installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(VENV)/installed $(VENV)/installed-test $@
