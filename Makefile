# The two commands of the README, and what CI does. Everything happens in .venv; nothing outside this folder is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check install clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/pip install --quiet --constraint constraints.txt --group dev --editable .
	touch $(STAMP)

# The main job, offline, on the toy pair that ships with the package.
demo: install
	$(BIN)/ft-eval run --ckpt "$$($(BIN)/ft-eval toy path)" --tasks toy_gsm8k,toy_mmlu,toy_humaneval,toy_target --offline --output-path demo
	$(BIN)/ft-eval report demo

test: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest $(PYTEST_ARGS)

clean:
	rm -rf $(VENV) demo runs build dist
