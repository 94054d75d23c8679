# Needs Python 3.11 or newer, git and make; everything else goes into virtual environments right here.
#   make test PYTEST_ARGS="-k asyncpg -x"      arguments for pytest
#   make test PYTHON=python3.12                the interpreter to use
#   make bench BENCH_ARGS="--only scopes"      arguments for benchmarks/bench.py

.DEFAULT_GOAL := help
.NOTPARALLEL: # the targets share their environments
.PHONY: help demo transcript test soak coverage lint typing docs bench clean

export PYTHON
PYTEST_ARGS ?=
BENCH_ARGS ?=
BIN := .venv/bin
ACTIVE := PATH="$(CURDIR)/$(BIN):$$PATH" PYRIGHT_PYTHON_IGNORE_WARNINGS=1

help: ## Show what each target does
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Chat with the avatar bot in a browser: no token, no network (without a terminal: transcript)
	@sh .ci/venv .venv-demo --editable '.[aiogram,aiosqlite]' --group bot
	@cd examples && { [ -z "$$CI" ] && [ -t 1 ] || set -- --script; \
		PYTHONUTF8=1 exec ../.venv-demo/bin/python -m avatar_bot demo "$$@"; }

transcript: ## Play the bug report with the avatar bot and print the conversation
	@sh .ci/venv .venv-demo --editable '.[aiogram,aiosqlite]' --group bot
	@cd examples && PYTHONUTF8=1 ../.venv-demo/bin/python -m avatar_bot demo --script

test: ## Run the tests, on servers that they start and stop themselves
	@sh .ci/venv .venv --editable . --group test
	@echo "Running the tests on SQLite, a PostgreSQL of their own, and MariaDB if it is installed ..."
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

soak: ## Run the fault tests at full size (an hour); SQLA_SAFE_SOAK=10 is ten times that
	@sh .ci/venv .venv --editable . --group test
	@SQLA_SAFE_SOAK=$${SQLA_SAFE_SOAK:-1} $(BIN)/python -m pytest tests/faults \
		tests/integration/views/test_random_models.py $(PYTEST_ARGS)

coverage: ## Run the tests and report the lines and branches they miss
	@sh .ci/venv .venv --editable . --group test
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(PYTEST_ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

lint: ## Check style and formatting with ruff
	@sh .ci/venv .venv --editable . --group dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

typing: ## Check types with mypy --strict and pyright
	@sh .ci/venv .venv --editable . --group dev
	@$(BIN)/mypy
	@$(ACTIVE) pyright
	@$(ACTIVE) pyright --verifytypes sqla_safe --ignoreexternal

docs: ## Build the documentation in both languages into site/; any warning is an error
	@sh .ci/venv .venv-docs --editable . --group docs
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet
	@echo "The documentation is in site/. To read it: python3 -m http.server --directory site"

bench: ## Measure what everything costs, print it and write it into the documentation (a quarter of an hour)
	@sh .ci/venv .venv --editable . --group bench
	@$(BIN)/python benchmarks/bench.py $(BENCH_ARGS)

clean: ## Remove the environments, caches and build results
	rm -rf .venv .venv-demo .venv-docs dist site htmlcov .coverage .coverage.* \
		.hypothesis .mypy_cache .pytest_cache .ruff_cache
	find sqla_safe tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} + 2> /dev/null || true
