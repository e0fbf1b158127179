# Each target sets up what it needs. PYTHON chooses the interpreter for a new .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test check bench docs matrix golden clean

$(VENV)/.core: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@

$(VENV)/.docs: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	@touch $@

# Poses on a shipped photo with the embedded model: outputs/demo/*.png and *.json
demo: $(VENV)/.core
	$(BIN)/poise predict examples/photos/astronaut.png --out outputs/demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal --doctest-modules tests poise

# Lint, format, types, layers
check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict

# All reference numbers, not the spread that `test` takes
golden: $(VENV)/.dev
	$(BIN)/python -m pytest tests/golden --golden-all -s

# The fast tests on each supported set of libraries and each Python found
matrix:
	$(PYTHON) .ci/matrix.py

clean:
	rm -rf $(VENV) .venv-matrix outputs site
