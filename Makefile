# Two commands matter: `make run` and `make test`.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip --disable-pip-version-check --quiet

HOST    ?= $(or $(PROMPTOPS_HOST),127.0.0.1)
PORT    ?= $(or $(PROMPTOPS_PORT),8000)
WORKERS ?= 1
# Tests wait for servers and browsers more than they work.
TESTERS ?= $(shell $(PYTHON) -c "import os; print(2 * (os.cpu_count() or 1))")

.DEFAULT_GOAL := help
.PHONY: help run test test-sqlite test-postgres test-all fuzz faults bench lint types style format lock assets screenshots clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1 \t/p' $(MAKEFILE_LIST)

# The stamps make a second start take seconds: they are newer than the lock they were installed from.
$(VENV)/.runtime: requirements.txt
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "installing requirements.txt"
	@$(PIP) install --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	@echo "installing requirements-dev.txt"
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

run: $(VENV)/.runtime  ## prepare everything once, then serve on http://127.0.0.1:8000
	@$(PY) manage.py quickstart --host $(HOST) --port $(PORT)
	@exec $(PY) manage.py serve --host $(HOST) --port $(PORT) --workers $(WORKERS)

test: lint test-sqlite test-postgres  ## lint, then the suite on SQLite, and on PostgreSQL what can differ there

test-sqlite: $(VENV)/.dev  ## every test, on SQLite
	@$(PY) -m pytest -n $(TESTERS) $(PYTEST_OPTIONS)

test-postgres: $(VENV)/.dev  ## what can differ (tests/databases.py), on PostgreSQL: a real server from a wheel
	@PROMPTOPS_TEST_DATABASE=postgres $(PY) -m pytest -n $(TESTERS) $(PYTEST_OPTIONS)

test-all: export PROMPTOPS_TEST_ALL = 1
test-all: test  ## as `make test`, with every test on both databases

fuzz: $(VENV)/.dev  ## what hypothesis and schemathesis find with new seeds and more tries
	@PROMPTOPS_TEST_FUZZ=1 $(PY) -m pytest -n $(TESTERS) tests/contract/test_openapi.py tests/agents tests/prompts tests/governance tests/sdk -k "not faults"

faults: $(VENV)/.dev  ## the long form of the fault tests, on both databases: kills, outages, crowds
	@PROMPTOPS_FAULTS=long $(PY) -m pytest tests/faults -s
	@PROMPTOPS_FAULTS=long PROMPTOPS_TEST_DATABASE=postgres $(PY) -m pytest tests/faults -s

bench: $(VENV)/.dev  ## figures beside their baselines, as a table and in var/bench.json
	@$(PY) -m bench

lint: $(VENV)/.dev  ## ruff, mypy strict, import law, missing migrations; side by side
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target types style

# Status 2 is not about types: mypy's workers did not come up in time, as on a busy machine.
types: $(VENV)/.dev
	@$(PY) -m mypy --num-workers 2 . || { [ $$? -eq 2 ] && $(PY) -m mypy .; }

style: $(VENV)/.dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(VENV)/bin/lint-imports --no-cache --no-logo
	@$(PY) manage.py makemigrations --check --dry-run

format: $(VENV)/.dev  ## let ruff mend what it can
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

lock:  ## make the locks anew from requirements*.in
	@$(PYTHON) -m pip install --quiet uv
	@$(PYTHON) -m uv pip compile --generate-hashes --universal --python-version 3.11 --custom-compile-command "make lock" --quiet requirements.in -o requirements.txt
	@$(PYTHON) -m uv pip compile --generate-hashes --universal --python-version 3.11 --custom-compile-command "make lock" --quiet requirements-dev.in -o requirements-dev.txt

assets:  ## bundle the back office's third-party scripts anew (needs Node; see frontend/README.md)
	@cd frontend && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build

screenshots: $(VENV)/.dev  ## make the pictures in docs/screenshots anew (needs a Chromium)
	@$(PY) -m tests.browser.screenshots

clean:  ## remove the virtual environment and caches (data in var/ stays)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
