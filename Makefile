# Everything a working day needs. `make` alone lists the targets.

PYTHON ?= python3
SCALE ?= 1
CADRAN_TARGET ?= duckdb
TARGET ?= $(CADRAN_TARGET)
SOAK ?= 10
PYTHONS ?= 3.12 3.13 3.14
QUESTIONS ?= 20000
SEED ?= 1
PREAGGREGATED ?= 2000
ROWS ?= 20000000

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.PHONY: help setup demo build lint lint-types lint-kpis lint-sql lint-style on-postgres test test-superset test-clients test-spark test-random test-preaggregates test-walkthrough bench bench-server bench-spark bench-board bench-collector bench-live bench-reliability test-kills test-live-chain test-pythons site clean FORCE

export DO_NOT_TRACK := 1
export CADRAN_TARGET := $(TARGET)
# pip asks about nothing and says what it does in one line per step.
PIP := .venv/bin/python -m pip --disable-pip-version-check --no-input
DBT := .venv/bin/dbt
CADRAN := .venv/bin/cadran
STEP = @printf '\n\033[1m%s\033[0m\n'

help: ## List the targets
	@printf 'Cadran: one KPI, one definition, one number everywhere.\n\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

setup: .venv/.stamp ## Make .venv with everything pinned (the other targets do this by themselves)

# A lock that changed makes a new environment; otherwise the second run costs nothing.
.venv/.stamp: requirements.lock pyproject.toml python/cadran_demo/pyproject.toml
	$(STEP) 'Python environment (.venv)'
	@! test -L .venv || { echo '.venv is a link to an environment of another place, which making it anew would empty: rm .venv'; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or later is needed: make PYTHON=python3.12 $(MAKECMDGOALS)'; exit 2; }
	@$(PYTHON) -m venv --clear .venv
	@echo "installing $$(grep -c == requirements.lock) pinned packages, about a minute"
	@$(PIP) install --quiet --no-deps -r requirements.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation \
		--editable . --editable python/cadran_demo
	@touch $@

ifeq ($(TARGET),postgres)
# The server that CADRAN_POSTGRES names, or one of its own that is kept in target/postgres.
SERVER = @test -n "$${CADRAN_POSTGRES:-}" || { \
	server=$$(scripts/postgres.sh start target/postgres) || exit 1; \
	export $$(grep ^CADRAN_POSTGRES= <<< "$$server"); }; $(MAKE) on-postgres

demo: .venv/.stamp
	$(STEP) 'Demo data (data/demo)'
	@$(CADRAN) demo --scale $(SCALE)
	$(STEP) 'PostgreSQL'
	$(SERVER)

on-postgres:
	@$(CADRAN) load
	$(STEP) 'Models and all their tests'
	@$(DBT) build --exclude-resource-type saved_query | grep --line-buffered -vE ' (START|PASS) '
	$(STEP) 'KPI board'
	@$(CADRAN) board
	$(STEP) 'Service levels'
	@$(CADRAN) slo status
else
demo: .venv/.stamp ## Data, warehouse, KPI tables and the KPI board, from nothing (SCALE=0.1, TARGET=postgres)
	$(STEP) 'Demo data (data/demo)'
	@$(CADRAN) demo --scale $(SCALE)
	@$(MAKE) target/.demo
	$(STEP) 'KPI board'
	@$(CADRAN) board
	$(STEP) 'Service levels'
	@$(CADRAN) slo status
	$(STEP) 'What to try next'
	@printf '  %s\n' \
		'source .venv/bin/activate' \
		'cadran show net_revenue' \
		'cadran query net_revenue --group-by metric_time__month customer__country --limit 10' \
		'cadran board --lang fr' \
		'cadran slo show availability_28d:checkout' \
		'cadran sla status' \
		'cadran doctor'
endif

# What the warehouse is made of; when none of it changed, the warehouse of the last run is right.
INGREDIENTS := dbt_project.yml vars.yml profiles.yml data/demo/_demo.json $(shell find \
	models semantic_models metrics macros seeds tests -name '*.sql' -o -name '*.yml' -o -name '*.csv')

target/.demo: $(INGREDIENTS) $(if $(wildcard warehouse.duckdb),,FORCE)
	$(STEP) 'Warehouse and KPI tables (warehouse.duckdb)'
	@$(DBT) build --exclude-resource-type saved_query unit_test | grep --line-buffered -vE ' (START|PASS) '
	@touch $@

FORCE:

build: .venv/.stamp ## dbt build: every model, test and unit test on the data there is
	@$(DBT) build --exclude-resource-type saved_query

lint: .venv/.stamp ## Python and SQL: style, format and types; every KPI against the rules
	@$(MAKE) --jobs 2 --output-sync=target lint-types lint-kpis lint-sql lint-style

# Parts of `lint`, the longest first, two at a time.
lint-types:
	@.venv/bin/mypy
lint-kpis:
	@$(CADRAN) check
lint-sql:
	@.venv/bin/sqlfluff lint --disable-progress-bar models tests examples
lint-style:
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/lint-imports --no-logo --no-cache

# One process more than a small machine has cores: many tests wait for a server that they started.
test: lint ## Lint, then dbt build with its tests and unit tests on a small demo, then pytest
	$(STEP) 'Tests'
	@.venv/bin/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder --durations 20

test-superset: .venv/.stamp ## The Superset export in a real Superset (2 to 5 minutes, own environment)
	@CADRAN_TEST_SUPERSET=1 .venv/bin/python -m pytest python/tests/test_superset_server.py

test-clients: .venv/.stamp ## The real dbt-mcp (needs Python 3.12 or 3.13), SQLAlchemy, Ibis and Marimo, in own environments
	@CADRAN_TEST_CLIENTS=1 .venv/bin/python -m pytest python/tests/test_dbt_mcp.py python/tests/test_python_clients.py

test-pythons: ## The demo and half of the tests in each later Python that is here (PYTHONS='3.12 3.13 3.14')
	@scripts/test_pythons.sh $(PYTHONS) -- --numprocesses 2 --dist loadfile --no-loadscope-reorder

test-spark: .venv/.stamp ## The demo on Apache Spark: every KPI as on DuckDB, and faults (own environment, Java)
	@CADRAN_TEST_SPARK=1 "$$(scripts/spark.sh setup)/bin/python" -m pytest python/tests/test_spark.py

test-walkthrough: .venv/.stamp ## Every command of docs/walkthrough.md (6 minutes)
	@CADRAN_TEST_WALKTHROUGH=1 .venv/bin/python -m pytest python/tests/test_walkthrough.py

bench: .venv/.stamp ## Speed against hand-written SQL and the mf command, as a table
	@.venv/bin/python benchmarks/run.py

bench-server: .venv/.stamp ## Speed of `cadran serve` against the layer in process (SOAK=10 minutes)
	@command -v wrk > /dev/null || apt-get install -y -qq wrk > /dev/null
	@.venv/bin/python benchmarks/server.py --soak $(SOAK)

test-random: .venv/.stamp ## Random questions against MetricFlow's own rows (QUESTIONS=20000, SEED, SUITE=folder, RECORD=file)
	@.venv/bin/python python/tests/random_questions.py --questions $(QUESTIONS) --seed $(SEED) \
		$(if $(SUITE),--suite $(SUITE)) $(if $(RECORD),--record $(RECORD)) \
		--database warehouse.duckdb target/semantic_manifest.json

test-preaggregates: .venv/.stamp ## Random questions with and without pre-aggregates (PREAGGREGATED=2000)
	@.venv/bin/python python/tests/preaggregated.py --questions $(PREAGGREGATED) \
		--database warehouse.duckdb target/semantic_manifest.json

bench-spark: .venv/.stamp ## The same statements on DuckDB and on Spark with one and two workers (ROWS=20000000)
	@"$$(scripts/spark.sh setup)/bin/python" benchmarks/spark.py --rows $(ROWS)

bench-board: .venv/.stamp ## Speed of the board's pages: first, warm, 50 readers (needs `make demo`)
	@.venv/bin/python benchmarks/board.py

bench-collector: .venv/.stamp ## Speed of `cadran collect`: events a second, acknowledgements, CPU an event
	@.venv/bin/python benchmarks/collector.py

bench-live: .venv/.stamp ## From an event to its SLO's status: lag, ticks, memory (needs `make demo`)
	@.venv/bin/python benchmarks/live.py

test-kills: .venv/.stamp ## Kill collector, server and builds 20 times under load: what was acknowledged counts once (10 minutes)
	@CADRAN_TEST_KILLS=20 .venv/bin/python -m pytest -s python/tests/test_live_killed.py \
		python/tests/test_collect_server.py python/tests/test_hot.py -k killed

test-live-chain: .venv/.stamp ## Collector, server, demo and a real Alertmanager together, killed on the way (8 minutes)
	@CADRAN_TEST_CHAIN=1 .venv/bin/python -m pytest -s python/tests/test_live_chain.py

bench-reliability: .venv/.stamp ## 200 SLOs over 90 days of minutes: full build, one minute more, status
	@test -d data/demo || $(CADRAN) demo --scale 0.05
	@mkdir -p target/reliability
	@CADRAN_DATABASE=target/reliability/warehouse.duckdb $(DBT) build --quiet \
		--target-path target/reliability --full-refresh --select +path:models/reliability \
		--exclude-resource-type test unit_test
	@.venv/bin/python benchmarks/reliability.py target/reliability/manifest.json

site: ## The documentation as a site in target/site; a warning is an error (own environment)
	@scripts/site.sh

clean: ## Remove what was built; .venv and data stay
	@test ! -e target/postgres/data/postmaster.pid || scripts/postgres.sh stop target/postgres/data
	@rm -rf target logs scratch dbt_packages build .mypy_cache .ruff_cache warehouse.duckdb warehouse.duckdb.wal
	@find python -name __pycache__ -type d -prune -exec rm -rf {} +
