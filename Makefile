# Everything on a machine with only Python, make and a C compiler.
#   make demo    train, compare with predict-then-optimize, draw the pictures
#   make test    every test
#   make coverage  the same, and which lines none of them runs

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INPUTS := setup.cfg setup.py pyproject.toml constraints.txt

.PHONY: demo test coverage docs bench lint clean

demo: $(VENV)/.demo
	$(BIN)/dfl run demo

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

# compiled code counts as covered where it was compiled for a call, so it is compiled anew
coverage: $(VENV)/.dev
	NUMBA_JIT_COVERAGE=1 NUMBA_CACHE_DIR=build/coverage-kernels OMP_NUM_THREADS=1 \
	  $(BIN)/python -m pytest -n 2 --dist worksteal --cov=dfl --cov=dfl_solvers \
	  --cov-report=term-missing:skip-covered --cov-fail-under=90

docs: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

bench: $(VENV)/.dev
	$(BIN)/python experiments/benchmarks/training.py --write docs/_generated/training_benchmark.md
	$(BIN)/python experiments/benchmarks/imports.py --write docs/_generated/imports_benchmark.md
	$(BIN)/python experiments/benchmarks/oracles.py --write docs/_generated/oracles_benchmark.md
	$(BIN)/python experiments/benchmarks/backends.py --write docs/_generated/backends.md
	$(BIN)/python experiments/benchmarks/pyepo_bridge.py --write docs/_generated/pyepo_bridge.md
	$(BIN)/python experiments/benchmarks/design_speed.py --write docs/_generated/design_speed.md
	$(BIN)/python experiments/benchmarks/slow_mips.py --write docs/_generated/slow_mips.md
	$(BIN)/python experiments/benchmarks/sweep.py --write docs/_generated/sweep.md
	$(BIN)/python experiments/benchmarks/risk.py --write docs/_generated/risk.md
	$(BIN)/python experiments/benchmarks/calibration.py --write docs/_generated/calibration.md
	$(BIN)/python experiments/benchmarks/cube_search.py --write docs/_generated/cube_search.md
	$(BIN)/python experiments/benchmarks/smc_speed.py --write docs/_generated/smc_speed.md
	$(BIN)/python experiments/benchmarks/policy_recipes.py smc-cube
	$(BIN)/python experiments/benchmarks/segment_values.py --write docs/_generated/segment_values.md
	$(BIN)/python experiments/benchmarks/segment_gradients.py --write docs/_generated/segment_gradients.md
	$(BIN)/python experiments/benchmarks/exact_training.py --write docs/_generated/exact_training.md
	$(BIN)/python experiments/benchmarks/qp_layer.py --write docs/_generated/qp_layer.md
	$(BIN)/python experiments/benchmarks/cone_aligned.py --write docs/_generated/cone_aligned.md
	$(BIN)/python experiments/benchmarks/neighbors.py --write docs/_generated/neighbors.md
	$(BIN)/python experiments/benchmarks/trees.py --write docs/_generated/trees.md
	$(BIN)/python experiments/benchmarks/auto_vs_all.py --write docs/_generated/auto_vs_all.md
	$(BIN)/python experiments/benchmarks/recipes.py docs/_generated/recipes.md
	$(BIN)/python experiments/benchmarks/recipes.py docs/_generated/terrain.md terrain
	$(BIN)/python experiments/benchmarks/design.py docs/_generated/design.md

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build docs/_build docs/api docs/gallery *.egg-info

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; \
	  sys.exit(0 if v >= (3, 11) else "Python 3.11 or newer is needed, got %d.%d; try make PYTHON=python3.11" % v)'
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.demo: $(INPUTS) | $(VENV)/.python
	@echo "installing (a few minutes the first time)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[experiments]'
	@touch $@

$(VENV)/.dev: $(INPUTS) | $(VENV)/.python
	@echo "installing with the tools of development (a few minutes the first time)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.demo
