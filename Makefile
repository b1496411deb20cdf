# `make demo` and `make test` set everything up themselves.
# The first Python that fits, tried rather than looked up: a version manager puts names on the path
# that start nothing. `make PYTHON=/path/to/python` names another.
FITS := import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for each in python3.11 python3.12 python3.13 python3; do \
	$$each -c "$(FITS)" 2>/dev/null && echo $$each && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
STORAGE ?= results
NAME ?=
PRESET ?= paper
# Processes that run the tests; all tests of Ray are in one of them.
WORKERS ?= 2
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
# Recipes read these from the environment: paths may have spaces, quotes and dollar signs in them.
export STORAGE_PATH := $(value STORAGE)
export SWEEP_NAME := $(value NAME)

.PHONY: demo study test test-slow cluster-test cluster-test-slow check smoke dashboard cluster-check report bench clean help

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "raydistill needs Python 3.11, 3.12 or 3.13 with venv;" \
		"install one, or name it: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --group dev -e .
	touch $@

demo: $(READY) ## set up, run the noise-injection sweep on real digits, write its report
	$(BIN)/python sweeps/noise_injection.py --storage-path "$$STORAGE_PATH"
	$(BIN)/python analysis/report.py "$$STORAGE_PATH" --latest

test: $(READY) ## set up and run the default test suite
	$(PYTEST) -m "not slow and not bed"

test-slow: $(READY) ## the slow tests: real kills, real workers
	$(PYTEST) -m "slow and not bed and not losses"

cluster-test: $(READY) ## a cluster of three hosts in namespaces of this machine; as root, minutes
	$(BIN)/pytest tests/bed -rs -m "bed and not slow"

cluster-test-slow: $(READY) ## sweeps under losses of hosts, workers, drivers and buckets; half an hour, partly as root
	$(BIN)/pytest tests/bed -rs -m "bed and slow"
	$(BIN)/pytest tests/cluster -m losses

check: $(READY) ## lint, types, and the floors of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

study: $(READY) ## the Gaussian study at the paper's setting, and its report, two minutes
	$(BIN)/python sweeps/dimensionality.py --preset $(PRESET) --storage-path "$$STORAGE_PATH"
	$(BIN)/python analysis/report.py "$$STORAGE_PATH" --latest

smoke: $(READY) ## the demo at smoke size
	$(BIN)/python sweeps/noise_injection.py --preset smoke --storage-path "$$STORAGE_PATH"
	$(BIN)/python analysis/report.py "$$STORAGE_PATH" --latest

dashboard: $(READY) ## TensorBoard and optuna-dashboard on a sweep: STORAGE=results NAME=...
	$(BIN)/python -m raydistill dashboard "$$STORAGE_PATH" \
		$(if $(NAME),--name "$$SWEEP_NAME")

report: $(READY) ## the HTML reports of every sweep in STORAGE
	$(BIN)/python analysis/report.py "$$STORAGE_PATH"

cluster-check: $(READY) ## validate the cluster files: schemas and our own rules
	$(BIN)/python -m raydistill.cluster.check cluster.yaml cluster/hosts.yaml cluster/rayjob.yaml \
		cluster/slurm.sh

bench: $(READY) ## speeds of teacher, decoding, replicas and whole sweeps, some minutes
	$(BIN)/python benchmarks/teacher.py
	$(BIN)/python benchmarks/decoding.py
	$(BIN)/python benchmarks/replicas.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/audio_metrics.py
	$(BIN)/python benchmarks/vocoder_student.py
	$(BIN)/python benchmarks/overheads.py
	$(BIN)/python benchmarks/orchestration.py

clean: ## remove the environment and caches, not the results
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
