# Two commands for a newcomer: `make demo` and `make test`. Both make the environment first.
PYTHON ?= python3
UV_VERSION := 0.13.9
PIP_AUDIT_VERSION := 2.10.1
BIN := .venv/bin
# Nothing phones home: albumentations would ask a package index for a newer version of itself.
export NO_ALBUMENTATIONS_UPDATE := 1
# Waiting threads sleep: spinning ones starve the processes that prepare the training views.
export OMP_WAIT_POLICY := passive
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: install demo checkout test check docs figures bench speed faults fuzz lock audit detector lock-detector
.DELETE_ON_ERROR:

install: .venv/.installed  ## the environment in .venv, from pinned versions

demo: checkout .venv/.installed  ## the whole pipeline on the rendered demo corpora, then its tables
	dvc repro
	@cat metrics/tables/summary.md
	@echo "Tables: metrics/tables/   figures: metrics/figures/   networks: data/models/"
	@echo "All of it to look at, in a browser: data/report.html"

checkout:
	@test -e .git || { echo "Not a git checkout, and DVC needs one: clone the repository."; exit 1; }

test: check  ## lint, types and the whole test suite
	OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

docs: .venv/.installed  ## docs/reference, from the code
	python -m tests.reference

figures: demo  ## the figures of docs/method.md and docs/conventions.md, from the demo
	python -m tests.reference.figures

bench: demo  ## speed against the obvious programs and the limits: 40 minutes, idle machine
	python -m tests.bench

speed: .venv/.installed  ## time and error of every backbone side by side: 3 minutes, idle machine
	python -m tests.bench.speed

faults: .venv/.installed  ## 300 kills of stages, of pairs of processes and of dvc repro: 16 minutes
	PYTHONPATH=tests OMP_NUM_THREADS=1 python -m faults --kills 300

fuzz: .venv/.installed .venv-fuzz/atheris  ## ten minutes of coverage-guided fuzzing per reader
	for reader in mat pose sqlite image published; do PYTHONPATH=.venv-fuzz \
		python -m tests.fuzz $$reader tmp/fuzz/$$reader -max_total_time=600 || exit 1; done

.venv-fuzz/atheris:  # for tests/fuzz only; it has wheels for few versions of Python
	$(BIN)/pip install --quiet --target .venv-fuzz atheris==3.0.0

check: .venv/.installed
	ruff check .
	ruff format --check .
	mypy

# Compile bytecode now: uv leaves it to the first import, which may not be allowed to write it
# (PYTHONDONTWRITEBYTECODE). Then each of the demo's stages would compile torch again, for 7 s.
.venv/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python \
		--require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

lock:  ## pins for every supported Python, with hashes, without index addresses
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --all-extras --upgrade pyproject.toml -o requirements.lock

audit: .venv/.installed  ## known vulnerabilities of the pinned packages; asks PyPI and fails without an answer
	$(BIN)/uv tool run --from pip-audit==$(PIP_AUDIT_VERSION) pip-audit --strict --disable-pip \
		--require-hashes --requirement requirements.lock

detector: .venv/.installed .venv-detector/.installed  ## train a detector, the demo's or that for photographs (data/detector)
	PYTHONPATH=$(CURDIR) dvc --cd data/detector repro recall int8

.venv-detector/.installed: data/detector/requirements.lock .venv/.installed
	$(PYTHON) -m venv --clear .venv-detector
	$(BIN)/uv pip install --quiet --python .venv-detector/bin/python --require-hashes -r $<
	touch $@

lock-detector: .venv/.installed  ## pins of the detector's own environment
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --upgrade data/detector/requirements.in \
		-o data/detector/requirements.lock
