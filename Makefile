# Everything here works on a machine with Python 3.11+ and make; the first target that needs the environment makes it.

APP ?= cookbook/support.py
DEMO ?= cookbook.release_notes
PYTEST_ARGS ?=

BIN := .venv/bin
UV := $(BIN)/uv
READY := .venv/.ready
BENCH_READY := .venv-bench/.ready
LOCKED := $(UV) pyproject.toml uv.lock $(wildcard integrations/*/pyproject.toml)

# A company's network may sign with an authority only the system knows; a bare container has no system store, but uv brings one.
export UV_SYSTEM_CERTS ?= $(if $(wildcard /etc/ssl/certs/*),true,false)
export UV_PYTHON_DOWNLOADS := never

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo dev test check format lock bench

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## Run the demo: an agent that survives a crash (DEMO=cookbook.module)
	$(BIN)/python -m $(DEMO)

dev: $(READY) ## Serve an app: server and worker in one process (APP=path/to/app.py)
	$(BIN)/agentflow dev $(APP)

test: $(READY) ## Run the tests (PYTEST_ARGS="-k name", PYTEST_ARGS="-n 2")
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(READY) ## Lint, format, types, lock file and the gates: what must hold before a commit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	@$(UV) lock --check --offline -qq --python $(BIN)/python || { echo "uv.lock does not match pyproject.toml: run make lock" >&2; exit 1; }
	$(BIN)/python -m pytest tests/gates

format: $(READY) ## Format, and fix what the linter can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(UV) ## Bring uv.lock up to date with pyproject.toml
	$(UV) lock --default-index https://pypi.org/simple --python $(BIN)/python

bench: $(BENCH_READY) ## Measure agentflow beside its peers, in an environment of their own
	.venv-bench/bin/python -m tests.benchmarks

$(UV): tools/setup
	tools/setup .venv
	@touch $@

$(READY): $(LOCKED)
	UV_PROJECT_ENVIRONMENT=.venv $(UV) sync --quiet --frozen --all-packages
	@touch $@

$(BENCH_READY): $(LOCKED)
	UV_PROJECT_ENVIRONMENT=.venv-bench $(UV) sync --quiet --frozen --all-packages --group bench --python $(BIN)/python
	@touch $@
