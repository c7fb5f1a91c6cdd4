# Every target makes the virtual environment by itself when it is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
KUBERNETES := $(VENV)/kubernetes
READY := $(VENV)/.ready

.PHONY: help setup kubernetes demo test unit chaos rehearse env up down lint types arch fmt bench clean purge

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Dailies needs Python 3.11 or newer; name one with make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

setup: $(READY) ## install everything into .venv

# Apart, because Prefect imports it at the start of every run; it sees the packages of .venv.
kubernetes: $(READY) ## install what tests/unit/deployments/test_k8s.py needs
	$(BIN)/python -m venv $(KUBERNETES)
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > "$$($(KUBERNETES)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/dailies.pth"
	$(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['kubernetes'])" | xargs $(KUBERNETES)/bin/python -m pip install --quiet --disable-pip-version-check

env: $(READY) ## write the secrets that docker-compose.yml needs to .env; what is there stays
	$(BIN)/python -m deployments.compose.env

demo: $(READY) ## compose a film, turn it into scenes, search them
	$(BIN)/dailies demo $(ARGS)

# One for each processor, four at most, because each process of tests starts a stack of its own. In the order of the
# files: those that wait come first, and at the end there is always something short left for each.
test: $(READY) ## every test, the real stack included
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder -m "not long" $(ARGS)

unit: $(READY) ## the tests that start nothing
	$(BIN)/python -m pytest tests/unit $(ARGS)

up: $(READY) ## start the whole stack here; Ctrl-C stops it
	$(BIN)/dailies up $(ARGS)

down: $(READY) ## stop the stack started with `make up ARGS=--detach`
	$(BIN)/dailies down

lint: $(READY) ## ruff, formatting included
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy, strict, on everything but tests
	$(BIN)/mypy

arch: $(READY) ## the import contracts
	$(BIN)/lint-imports --no-cache

fmt: $(READY) ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

chaos: $(READY) ## every long test, 2,000 broken films, then the real stack for hours: faults, crash points, a backfill, recovery times
	$(BIN)/python -m pytest -m long tests --ignore tests/rehearsal
	$(BIN)/python -m tests.hostile
	$(BIN)/python -m tests.chaos --crash-points --chunks 20 --backfill 200 --recovery $(ARGS)

rehearse: $(READY) ## play docker-compose.yml through without an engine: start, kill each part, ingest again; also in .ci/run
	$(BIN)/python -m pytest tests/rehearsal $(ARGS)

bench: $(READY) ## every benchmark; see benchmarks/README.md
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove what tools and tests left; the virtual environment and the stack's data stay
	rm -rf build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache test-results
	find . -path ./$(VENV) -prune -o -path ./.dailies -prune -o -name __pycache__ -prune -exec rm -rf {} +

purge: clean ## stop the stack, then remove its data and the virtual environment: every video is gone
	if [ -x $(BIN)/dailies ]; then $(BIN)/dailies down --data .dailies; fi
	rm -rf .dailies $(VENV)
