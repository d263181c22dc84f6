# `make demo` and `make test` each do all of their own set-up (tools/setup.sh); the second run goes straight to work.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup boards demo test test-checks test-long lint format generated claims walks clean

BIN := .venv/bin
# Options for the demo and for pytest: make demo ARGS='--broker mosquitto', make test ARGS='-k spki'
ARGS ?=
# The tests of one file share what they have set up, so a file stays with one worker; by name, the files that take long come
# in the middle and not last, when a worker has nobody beside it.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | expand -t 12

setup:  ## .venv and the Debian packages that are lacking
	@tools/setup.sh

demo: setup  ## the story: a signed pin update carries devices through a root expiry (ARGS='--broker mosquitto')
	@$(BIN)/everpin demo $(ARGS)

boards: setup  ## what emulated boards are built with and run on: compiler, QEMU (Debian packages)
	@tools/setup.sh boards

test: boards lint  ## formatting, lint, types and all quick tests (ARGS='-k spki')
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

# Tests here may run for an hour. pytest's look at one that hangs reads the frames of a thread that runs, and has crashed it.
test-long: boards  ## the tests that take minutes
	@$(BIN)/python -m pytest -m long -o faulthandler_timeout=14400 $(ARGS)

test-checks: setup  ## take each security check away in a copy of agent/, see its tests fail; minutes (ARGS='--only accept')
	@$(BIN)/python tools/test_checks.py $(ARGS)

lint: setup  ## ruff format --check, ruff check, mypy --strict
	@$(BIN)/ruff format --check --quiet . || { echo "make format puts that right"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

format: setup  ## ruff format, and what ruff can put right by itself
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

generated: setup  ## write again what is generated: agent/mip/package.json, docs/errors.md
	@$(BIN)/python tools/mip_package.py
	@$(BIN)/python tools/errors_page.py

claims: boards  ## run every scenario on every target, and make the README's table of what held; ten minutes
	@for target in core unix mcu pi; do \
	  $(BIN)/everpin hil run --target $$target --seed 7 --report build/hil/$$target --resume || exit 1; done
	@$(BIN)/everpin hil claims build/hil/{core,unix,mcu,pi} --write README.md --facts hil/claims.json

walks: setup  ## a million device-years of random walks, and their line in that table; an hour; an ended run goes on
	@mkdir -p build/hil
	@$(BIN)/everpin hil endure --years 1000000 --seed 11 --jobs $$(nproc) --log build/hil/walks.jsonl --out build/hil
	@$(BIN)/everpin hil claims --walks build/hil/walks.jsonl --write README.md --facts hil/claims.json

clean:  ## remove .venv, caches and builds
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
