# Everything runs in .venv, which `setup` makes. SHELL variables: PYTHON=python3.12 make setup
PYTHON ?= python3
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup demo test test-slow test-all test-versions check docs mutants bench results clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

.venv/installed: pyproject.toml constraints.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[cluster,dev]'
	touch $@

setup: .venv/installed ## make .venv with everything that is needed, in the versions of constraints.txt

demo: setup ## run the whole pipeline on the drawn data set and say what to look at
	seedbed plan
	dvc repro
	seedbed summary
	seedbed report

# `worksteal` gives each core a run of tests that stand together, which share what they begin with, and lets whoever is done first take
# over half of what another has left: no file keeps one core busy at the end.
# Compiled tests and modules are kept, or each of the programs that tests start would compile the modules that it imports.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= pytest -n auto --dist worksteal

test: setup ## run the tests, all but those that only combine what others prove
	$(PYTEST) -m 'not slow'

test-slow: setup ## run the slow tests alone
	$(PYTEST) -m slow

test-all: setup test-versions ## run the slow tests too, and those of networks with other versions of torch
	$(PYTEST)

# The oldest torch is the one that pyproject.toml begins with; the newest whatever the package index has when .venv-newest is made.
# The rest is as in constraints.txt, but for what torch itself wants in a certain version.
oldest := $(shell sed -n 's/^ *"\(torch\|torchvision\)>=\(.*\)",$$/\1==\2.*/p' pyproject.toml)
newest := torch torchvision
WITH_TORCH := $(addprefix tests/,networks learning contracts stages/test_predicting.py stages/test_exports.py)

.venv-%/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv-$*
	grep -vE '^(torch|torchvision|sympy)==' constraints.txt > .venv-$*/constraints.txt
	.venv-$*/bin/python -m pip install --quiet --constraint .venv-$*/constraints.txt $($*) --editable '.[dev]'
	touch $@

test-versions: .venv-oldest/installed .venv-newest/installed ## run tests of networks with the oldest and the newest torch (6 GB each)
	for venv in .venv-oldest .venv-newest; do \
		$$venv/bin/python -c 'import torch; print("torch", torch.__version__)' && \
		OMP_NUM_THREADS=1 $$venv/bin/python -m pytest -n auto --dist worksteal $(WITH_TORCH) || exit 1; done


check: setup ## lint, check types, and that generated pages are fresh
	ruff check .
	ruff format --check .
	mypy
	python -m seedbed.tools.documentation --check

docs: setup ## write the generated pages
	python -m seedbed.tools.documentation

mutants: setup ## put a sample of single faults into what computes, and say which ones no test notices (half an hour)
	OMP_NUM_THREADS=1 python -m tests.mutants

bench: setup ## run the benchmarks
	for file in $(filter-out $(addprefix benchmarks/,systems.py results.py scale.py growth.py predictions.py class_maps.py walks.py erased.py clicks.py),$(wildcard benchmarks/[a-z]*.py)); do python -m benchmarks.$$(basename $$file .py) || exit 1; done

results: setup ## run every system with three seeds in the drawn world, whatever is missing, and write the tables of docs/results.md
	python -m benchmarks.systems run
	python -m benchmarks.systems write

clean: ## remove what the pipeline computed here; raw data and DVC's cache stay
	find data -maxdepth 1 -name '*.zarr' ! -name none.zarr -exec rm -rf {} +
	rm -rf data/.work
