# Everything a newcomer needs. `make demo` and `make test` do all the set-up that is missing, and no more than that.

PYTHON ?= python3
BIN := .venv/bin

HAS_NODE := node -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major * 100 + minor < 2019 ? 1 : 0)' 2> /dev/null && command -v npm > /dev/null

SDK_SOURCES := $(addprefix sdk/typescript/,tsconfig.json tsconfig.test.json) $(wildcard sdk/typescript/src/*.ts sdk/typescript/test/*.ts)
WEB_SOURCES := $(addprefix web/,package.json package-lock.json vite.config.ts tsconfig.json index.html) $(wildcard web/src/*)

# pyright's Python wrapper brings its JavaScript along; it shall neither ask for a newer one nor write outside the checkout.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export PYRIGHT_PYTHON_CACHE_DIR := $(CURDIR)/.venv/cache

.DEFAULT_GOAL := help
.PHONY: help demo test check web wheel schema sdk sdk-generate clients bench bench-resilience bench-attacks bench-overload bench-sagas bench-streams soak soak-compiled mutants clean
.DELETE_ON_ERROR:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: .stamps/venv web ## the shop's seven services and the gateway, until Ctrl-C
	@exec $(BIN)/sagaql demo

# Tests with real processes mostly wait for them, so three files of them go side by side, each with a demo of its own.
test: .stamps/venv web .stamps/clients .stamps/sdk-python .stamps/sdk-typescript ## all tests
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --ignore tests/e2e
	@$(BIN)/python -m pytest -q -n 3 --dist loadfile tests/e2e

check: .stamps/venv ## format, lint, strict types, import contracts: no test is run
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/pyright > .stamps/pyright.log || { cat .stamps/pyright.log; exit 1; }
	@$(BIN)/lint-imports --no-logo > .stamps/imports.log || { cat .stamps/imports.log; exit 1; }
	@echo "format, lint, types and imports are as they should be"

web: .stamps/venv .stamps/web ## GraphiQL's page, if Node is there

wheel: .stamps/venv web ## a wheel in dist/, proven in a clean environment
	@rm -f dist/sagaql-[0-9]*.whl
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist . > .stamps/wheel.log 2>&1 || { cat .stamps/wheel.log; exit 1; }
	@SAGAQL_WHEEL=$$(ls $(CURDIR)/dist/sagaql-[0-9]*.whl) $(BIN)/python -m pytest -q tests/e2e/test_wheel.py
	@ls dist/sagaql-[0-9]*.whl

sdk: .stamps/venv .stamps/sdk-typescript ## the SDKs in dist/: a wheel, and an npm package if Node is there
	@rm -f dist/sagaql_client-* dist/sagaql-client-*
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist sdk/python > .stamps/sdk.log 2>&1 || { cat .stamps/sdk.log; exit 1; }
	@if test -e .stamps/sdk-typescript; then cd sdk/typescript && rm -rf dist && npm run --silent build && npm pack --silent --pack-destination $(CURDIR)/dist > /dev/null; fi
	@ls dist/sagaql_client-* dist/sagaql-client-* 2> /dev/null

sdk-generate: .stamps/venv .stamps/sdk-python .stamps/sdk-npm ## the SDKs' types and methods anew, from schema.graphql and sdk/operations
	@.venv-sdk/bin/python sdk/python/generate.py > .stamps/sdk-generate.log 2>&1 || { cat .stamps/sdk-generate.log; exit 1; }
	@cd sdk/typescript && npm run --silent generate

schema: .stamps/venv ## print schema.graphql anew from the code
	@$(BIN)/sagaql schema --write

clients: .stamps/venv .stamps/clients ## other people's clients against the demo; writes docs/clients.md
	@SAGAQL_WRITE_CLIENTS=1 $(BIN)/python -m pytest -q tests/e2e/test_clients.py

bench: .stamps/venv .stamps/peers ## what a query costs, by its plan and served, beside peers; writes benchmarks/results/execution.json
	@$(BIN)/python -m benchmarks.execution

bench-resilience: .stamps/venv ## what the resilience stack costs and is good for; writes benchmarks/results/resilience.json
	@$(BIN)/python -m benchmarks.resilience

bench-sagas: .stamps/venv .stamps/dbos ## what durable mutations cost, beside a peer; writes benchmarks/results/sagas.json
	@$(BIN)/python -m benchmarks.sagas

bench-overload: .stamps/venv ## what a gateway does at ten times its load, and while it is restarted; writes benchmarks/results/overload.json
	@$(BIN)/python -m benchmarks.overload

bench-streams: .stamps/venv ## what 5,000 subscriptions cost one process; writes benchmarks/results/streams.json
	@$(BIN)/python -m benchmarks.streams

bench-attacks: .stamps/venv ## what refusing attacks costs, beside an honest page; writes benchmarks/results/attacks.json
	@$(BIN)/python -m benchmarks.attacks

soak: .stamps/venv ## 10,000 simulated scenarios over the resilience stack, sagas searched further, 50 kills; SEEDS=500 KILLS=5 for fewer
	@$(BIN)/python -m scripts.soak --seeds $(or $(SEEDS),10000)
	@$(BIN)/python -m scripts.search_sagas
	@$(BIN)/python -m scripts.soak_sagas --sagas $(or $(SAGAS),1000) --kills $(or $(KILLS),50) --workers $(or $(WORKERS),1)

mutants: .stamps/venv ## every deliberate fault in the policies, each noticed by its tests; OF=retry for some
	@$(BIN)/python -m tests.mutants.run --unharmed --of "$(OF)" --but sagas/
	@$(BIN)/python -m tests.mutants.run --of "sagas/$(OF)"

soak-compiled: .stamps/venv ## 20,000 random operations, compiled and by graphql-core, must be answered alike; SEEDS=500 for fewer
	@$(BIN)/python -m scripts.soak_compiled --seeds $(or $(SEEDS),20000)

clean: ## remove all that make has made, the demo's data included
	rm -rf .venv .venv-dbos .venv-sdk .stamps .demo dist build web/node_modules tests/clients/node_modules tests/clients/build gateway/edge/static *.egg-info
	rm -rf $(addprefix sdk/typescript/,node_modules dist build)
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find gateway resolvers mutations demo tests sdk -name __pycache__ -type d -prune -exec rm -rf {} +

.stamps/venv: pyproject.toml constraints.txt
	@mkdir -p .stamps
	@command -v $(PYTHON) > /dev/null || { echo "SagaQL needs Python 3.11 or newer, and there is no $(PYTHON): make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "SagaQL needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V): make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing the pinned dependencies into .venv (about a minute the first time)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# A peer of the benchmarks, apart: the gateway needs nothing of it. Where it cannot be installed its figure says so.
.stamps/dbos: benchmarks/sagas/requirements-dbos.txt
	@mkdir -p .stamps
	@$(PYTHON) -m venv .venv-dbos
	@.venv-dbos/bin/python -m pip install -qq --disable-pip-version-check -r $< && touch $@ || { rm -rf .venv-dbos; echo "DBOS cannot be installed: the run goes on without it"; }

# The generator of the Python SDK, apart: it needs an older graphql-core than the gateway. Without it the SDK is built and tested as it is.
.stamps/sdk-python: sdk/python/requirements-generate.txt
	@mkdir -p .stamps
	@$(PYTHON) -m venv .venv-sdk
	@.venv-sdk/bin/python -m pip install -qq --disable-pip-version-check -r $< && touch $@ || { rm -rf .venv-sdk; echo "ariadne-codegen cannot be installed: the Python SDK cannot be generated anew"; }

# Without Node neither stamp is made.
.stamps/sdk-npm: sdk/typescript/package.json sdk/typescript/package-lock.json
	@mkdir -p .stamps
	@if ! { $(HAS_NODE); }; then echo "the TypeScript SDK is neither built nor tested, for want of Node 20.19 or newer with npm"; \
	else cd sdk/typescript && npm ci --no-audit --no-fund --silent && touch ../../$@; fi

# The TypeScript SDK and its tests, compiled.
.stamps/sdk-typescript: .stamps/sdk-npm $(SDK_SOURCES)
	@if test -e .stamps/sdk-npm; then cd sdk/typescript && rm -rf build && npm run --silent build:test && touch ../../$@; fi

# The peers of other languages: without Node, or where they cannot be installed, the run goes on without them.
.stamps/peers: benchmarks/peers/node/package.json benchmarks/peers/node/package-lock.json
	@mkdir -p .stamps
	@if ! command -v npm > /dev/null; then echo "graphql-yoga, Mercurius and Apollo Gateway are left out, for want of Node with npm"; \
	elif (cd benchmarks/peers/node && npm ci --no-audit --no-fund --silent); then touch $@; \
	else rm -rf benchmarks/peers/node/node_modules; echo "graphql-yoga, Mercurius and Apollo Gateway cannot be installed: the run goes on without them"; fi

# Other people's clients of GraphQL over HTTP. Without Node the tests that need them are skipped, in CI they fail.
.stamps/clients: tests/clients/package.json tests/clients/package-lock.json
	@mkdir -p .stamps
	@if ! { $(HAS_NODE); }; then echo "tests with other people's clients are left out, for want of Node 20.19 or newer with npm"; \
	elif (cd tests/clients && npm ci --no-audit --no-fund --silent); then touch $@; \
	else rm -rf tests/clients/node_modules; echo "other people's clients cannot be installed: their tests are left out"; fi

# Without Node the stamp is not made, so the page is built as soon as there is one.
.stamps/web: $(WEB_SOURCES)
	@mkdir -p .stamps
	@if ! { $(HAS_NODE); }; then \
	  echo "GraphiQL's page is not built, for want of Node 20.19 or newer with npm; everything else works without it"; \
	else \
	  echo "building GraphiQL's page (about a minute the first time)"; \
	  cd web && npm ci --no-audit --no-fund --silent && npm run --silent build -- --logLevel warn && touch ../$@; \
	fi
