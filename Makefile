# Two commands on a fresh machine: `make demo` and `make test`; each makes .venv and installs what it needs.
PYTHON ?= python3
MINUTES ?= 20
CASES ?= 2000
SEED ?= 1
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOCK ?=  # a file of exact versions, e.g. requirements/lock-py311.txt
CONSTRAINTS = $(if $(strip $(LOCK)),-c $(strip $(LOCK)))

.PHONY: demo test quick-test slurm-test soak lint types check-lock viewer check-viewer bench bench-compare results clean

$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) -e '.[dev]'
	touch $@

demo: $(INSTALLED)  ## the whole job on a small generated data set
	PATH="$(abspath $(BIN)):$$PATH" bash demo/demo.sh demo_output

test: $(INSTALLED)  ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

quick-test: $(INSTALLED)  ## without the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

slurm-test: $(INSTALLED)  ## an array on a Slurm of its own that loses a node; installs Debian's packages, as root
	command -v slurmctld >/dev/null || (apt-get update -q && apt-get install -qy --no-install-recommends slurm-wlm munge)
	$(BIN)/python -m pytest tests/end_to_end/test_slurm.py
soak: $(INSTALLED)  ## kills and mutated files; MINUTES of faults, CASES of files
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) --cases $(CASES) --seed $(SEED)

lint: $(INSTALLED)  ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)  ## static types
	PATH="$(abspath $(BIN)):$$PATH" bash tools/check_types.sh

check-lock: $(INSTALLED)  ## is what is installed what the lock file says?
	$(BIN)/python tools/dependencies.py --check $(LOCK)

viewer: viewer/node_modules/.package-lock.json  ## build the page that `view` fills (Node 20 or newer, npm)
	cd viewer && node build.mjs

check-viewer: viewer/node_modules/.package-lock.json  ## is the built page what its sources make, byte for byte?
	cd viewer && node build.mjs --check

viewer/node_modules/.package-lock.json: viewer/package-lock.json
	cd viewer && npm ci --ignore-scripts

bench: $(INSTALLED)  ## seconds and peak memory: this project, the plain way and nnU-Net
	$(BIN)/python -m benchmarks.bench

bench-compare: $(INSTALLED)  ## make bench-compare OLD=a.json [NEW=benchmarks/latest.json]
	$(BIN)/python -m benchmarks.compare $(OLD) $(or $(NEW),benchmarks/latest.json)

results: $(INSTALLED)  ## the tables of docs/results.md on the synthetic cohort; some hours on two cores
	PATH="$(abspath $(BIN)):$$PATH" bash tools/results.sh results_output 1 2 3 4 fig10 stock longer

clean:
	rm -rf $(VENV) viewer/node_modules demo_output results_output build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
