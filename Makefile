# Two commands: `make run` and `make test`. Each sets up what it needs and says what it did.
#
# PYTHON=python3.12 chooses an interpreter. PIP_ARGS="--extra-index-url ..." is handed to pip, for
# example to name the index that holds the small CPU build of torch.

comma := ,
VENV ?= .venv
BIN := $(VENV)/bin
STAMP = $(VENV)/.carryflow-installed-$(subst $(comma),-,$(EXTRAS))
PORT ?= 4200
HOST ?= 127.0.0.1
JOBS ?= auto
PIP_ARGS ?=
# Which extras of pyproject.toml are installed: `EXTRAS=dev,ray make setup` adds those of a cluster.
EXTRAS ?= dev
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	if $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo $$p; break; fi; done)
# Python's own warnings stay as they are; only numerical libraries are told not to fight over the cores.
TEST_ENV := GOMP_SPINCOUNT=1000 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
API_URL := $(if $(PREFECT_API_URL),$(PREFECT_API_URL),http://127.0.0.1:$(PORT)/api)
OFFLINE := DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false

.PHONY: help run test test-slow e2e screenshots bench judgement lint audit format setup sample server deploy worker clean

help:  ## Show this list.
	@grep -E '^[a-z0-9-]+:.*## ' Makefile | sed -E 's/^([a-z0-9-]+):.*## /  make \1|/' | \
		awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

run: $(STAMP) sample  ## Set up, generate the sample market, run the whole pipeline on it.
	@$(BIN)/carryflow run --data data/sample --book sample --time-budget 180

test: $(STAMP)  ## Set up and run the tests: in parallel, then those that need a Prefect server.
	$(TEST_ENV) $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal -m "not prefect and not slow"
	$(TEST_ENV) $(BIN)/python -m pytest -q -m "prefect and not slow and not desk"

e2e: $(STAMP)  ## Operate a whole desk on a server of its own: deploy, schedule, cancel, kill, restart, look (minutes).
	$(TEST_ENV) $(BIN)/python -m pytest -q -m "desk"

screenshots: $(STAMP)  ## Pictures of the UI of the server that runs, into artifacts/screenshots (PORT=...).
	@PREFECT_API_URL=$(API_URL) $(OFFLINE) $(BIN)/python -m tests.e2e.screens

test-slow: $(STAMP)  ## Run the long learning and equivalence tests.
	$(TEST_ENV) $(BIN)/python -m pytest -q -m "slow"

bench: $(STAMP)  ## Run every benchmark; those on real data want CARRYFLOW_REAL_DATA.
	@for path in benchmarks/[a-z]*.py; do \
		name=$$(basename $$path .py); [ $$name != judgement_runs ] || continue; \
		echo "== $$name"; $(TEST_ENV) $(BIN)/python -m benchmarks.$$name || exit 1; \
	done

judgement: $(STAMP)  ## Train on markets with known answers, see who becomes champion (an hour; goes on if killed).
	$(TEST_ENV) $(BIN)/python -m benchmarks.judgement_runs

lint: $(STAMP)  ## Lint, format, types, import contracts.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(STAMP)  ## Ask the advisory service about every pinned package.
	@$(BIN)/python .ci/audit.py

format: $(STAMP)  ## Fix what the linter can fix.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(STAMP)  ## Make the virtual environment.

# The stamp is written last, so an install that was cut short is repeated.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer (with its venv module) is needed; set PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/python || { echo "Creating $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing carryflow into $(VENV) (about two minutes, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

sample: $(STAMP)
	@test -f data/sample/opportunities.csv -a -f data/sample/market_history.csv || \
		$(BIN)/carryflow sample-data --out data/sample

server: $(STAMP)  ## Start a Prefect server with its UI on http://127.0.0.1:4200 (PORT=..., HOST=...).
	@$(OFFLINE) exec $(BIN)/python -m flows.desk.server --port $(PORT) --host $(HOST)

deploy: $(STAMP)  ## Put the deployments of prefect.yaml on that server; may be repeated.
	@PREFECT_API_URL=$(API_URL) $(OFFLINE) exec $(BIN)/python -m flows.desk.deploy

worker: $(STAMP)  ## Start a worker that runs them.
	@PREFECT_API_URL=$(API_URL) $(OFFLINE) exec $(BIN)/python -m flows.desk.worker

clean:  ## Remove caches of tools; artifacts and data stay.
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
