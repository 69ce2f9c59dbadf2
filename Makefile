# Each target makes its own .venv from nothing; Python >= 3.11, git and make are all it needs.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test bench bench-detection bench-load soak lint clean

demo: .venv/.run
	$(BIN)/sandtime demo

test: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m pytest

bench: .venv/.dev
	$(BIN)/python -m benchmarks

# The guards on the whole corpus of drawn cells: three hours on two idle cores.
bench-detection: .venv/.dev
	$(BIN)/python -m benchmarks.detection --seeds held-out --cost --lab-share 0.25 --keep .venv/.detection --write docs/detection_benchmark.md

# 1000 channels at 1 Hz and at 10 Hz on the real daemon, with faults: half an hour on two idle cores.
bench-load: .venv/.dev
	$(BIN)/python -m benchmarks.load --write docs/load.md

soak: .venv/.dev
	$(BIN)/python -m benchmarks.soak --write docs/soak.md
	$(BIN)/python -m pytest -m soak --timeout 7200

.venv/.run: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

.venv/.dev: .venv/.run
	$(PIP) --editable ".[dev,readers]"
	touch $@

# Independent judges of the simulated cells, for tests that are optional: large.
.venv/.judges: .venv/.dev
	$(PIP) --editable ".[dev,readers,judges]"
	touch $@

# PyProBE, which reads our exports in the tests, in an environment of its own (it needs an older Polars): large.
.venv/.pyprobe: .venv/.dev tests/pyprobe.txt
	$(PYTHON) -m venv .venv/pyprobe
	.venv/pyprobe/bin/python -m pip install --quiet --disable-pip-version-check --constraint tests/pyprobe.txt \
		PyProBE-Data
	touch $@

# Other impedance libraries, for benchmarks.eis, each in an environment of its own: large. What can't be installed
# is named in the table.
PEER = $(PYTHON) -m venv .venv/peers-$(1) && .venv/peers-$(1)/bin/python -m pip install --quiet \
	--disable-pip-version-check --constraint benchmarks/eis/peers.txt $(2) || echo "$(1) is not there"

.venv/.peers: .venv/.dev benchmarks/eis/peers.txt
	$(call PEER,hybrid-drt,eisyfit-hybrid-drt)
	$(call PEER,pydrttools,pyDRTtools cvxopt matplotlib numpy pandas scikit-learn scipy)
	$(call PEER,impedance,impedance pandas)
	$(call PEER,pyimpspec,pyimpspec)
	touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
