# Commands of the project; `make help` lists them. The work is done by tools/setup.sh and the Python programs
# named here, each of which runs without make as well.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup circuits test-circuits compile demo test bench lint clean
# The targets share .venv, build/ and chains: one after another.
.NOTPARALLEL:

APE := .venv/bin/ape
PYTHON_IN_VENV := .venv/bin/python

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1@\2/p' $(MAKEFILE_LIST) | column -t -s @ 2>/dev/null \
		|| sed -n 's/^\([a-z]*\):.*## /make \1: /p' $(MAKEFILE_LIST)

setup: ## install everything this project needs, into this folder only
	@bash tools/setup.sh

circuits: setup ## compile the circuits and make their development keys (kept in build/circuits)
	@$(PYTHON_IN_VENV) -m layer2.zk.build

test-circuits: setup
	@$(PYTHON_IN_VENV) -m layer2.zk.build --test

# Ape leaves a contract alone when only what it imports has changed: if anything has, all of it is compiled.
SOURCES = ape-config.yaml package-lock.json $(shell find contracts -name '*.sol' -not -path 'contracts/.cache/*')
compile: setup ## compile the contracts
	@mkdir -p build
	@$(APE) compile $(if $(shell test -e build/compiled && find $(SOURCES) -newer build/compiled || echo new),--force)
	@touch build/compiled

demo: circuits compile ## both rollups and channels on a local chain, with real proofs and cheats who are caught
	@$(APE) run demo

test: circuits test-circuits compile ## all tests; make test ARGS="tests/unit -k tree" for some
	@$(APE) test -n auto --dist worksteal $(ARGS)

bench: circuits compile ## measure, and write docs/benchmarks.json
	@$(APE) run bench

lint: setup ## style and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy --strict layer2

clean: ## remove what was built, keep what was installed
	rm -rf build .build contracts/.cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -not -path './node_modules/*' -prune -exec rm -rf {} +
