# Everything happens in .venv; nothing is installed elsewhere. `make` alone lists the targets.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-crash test-batch test-each-line test-matrix test-install test-release test-production test-ui test-stores test-tools test-docs test-api bench bench-media bench-batch figures check-api docs check format build constraints constraints-docs clean

BIN := .venv/bin
CONSTRAINTS := constraints/airflow-3.3.txt
STAMP := .venv/complete
UI_STAMP := .venv/complete-ui
# Groups of tests (tests/conftest.py) in two processes, in the order in which they are collected.
SIDE_BY_SIDE := --numprocesses 2 --dist loadgroup --no-loadscope-reorder
# What users are shown, run as a whole: `make test-docs`.
SHOWN := tests/docs/test_pages.py tests/docs/test_whole_runs.py tests/airflow/test_example_dag.py \
	tests/airflow/test_example_face_swap.py tests/airflow/test_examples_in_airflow.py tests/airflow/test_webhooks.py
# What the row mariadb needs has to be compiled: it is installed for that row alone, and without it the row is skipped.
MARIADB := $(addprefix .venv/,$(filter mariadb,$(or $(ROWS),$(if $(SHORT),,mariadb))))
# The rows of `make test-production` that are wanted, as pytest selects them.
WANTED = $(subst $(SPACE), or ,$(strip $(ROWS)))
SPACE := $(subst ,, )
# What kills a worker at each line of the way, which takes minutes: `make test-each-line`.
AT_EACH_LINE := tests/operators/test_killed_at_each_line.py tests/batch/test_killed_at_each_line.py
# The tests in a browser, in an environment with an older Airflow; FAB's roles are tested on the newest.
OLDER_UI = tools.test_matrix --airflow $(AIRFLOW) --python $(or $(PY),3.12) --group browser -- tests_ui
NEWEST_UI = pytest tests_ui tests/plugins/test_clip_roles.py
# Bytecode written once saves seconds at every start of Airflow.
unexport PYTHONDONTWRITEBYTECODE
unexport VIRTUAL_ENV

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv with the package, Airflow and all tools (the other targets do so themselves)

$(STAMP): pyproject.toml $(CONSTRAINTS) tools/setup.sh
	@sh tools/setup.sh $(CONSTRAINTS)
	@echo "  An empty database of Airflow, which the demo and the tests copy"
	@$(BIN)/python -c "from tools.airflow.settings import migrated_database; migrated_database()"
	@touch $@

demo: $(STAMP) ## photos become clips in a real Airflow; KEEP=1 keeps its web UI up, YES=1 agrees to costs
	@$(BIN)/python -m tools.demo $(if $(KEEP),--keep) $(if $(YES),--yes)

test: $(STAMP) ## run the tests, in two processes; ARGS="..." goes to pytest ("-n 0": in one)
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(SHOWN:%=--ignore %) --ignore tests/airflow/test_each_tool.py \
		$(AT_EACH_LINE:%=--ignore %) $(ARGS)

test-tools: $(STAMP) ## each of the API's tools in a DAG of its own, its files from S3 (half a minute)
	@$(BIN)/python -m pytest tests/airflow/test_each_tool.py $(ARGS)

test-docs: $(STAMP) ## run what the pages in docs/ show, and the examples (four minutes)
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) tests/docs $(SHOWN) $(ARGS)

test-crash: $(STAMP) ## paying once, proven by killing things (some 8 minutes, needs PostgreSQL); SHORT=1: the chief rows
	@$(BIN)/python -m pytest tests_crash --ignore tests_crash/test_batch.py $(if $(SHORT),--short) $(ARGS)

test-batch: $(STAMP) ## 2,000 clips in one task, each paid for once, worker and triggerer killed 20 times; SHORT=1: 100, 4
	@$(BIN)/python -m pytest -s tests_crash/test_batch.py $(if $(SHORT),--short) $(ARGS)

test-each-line: $(STAMP) ## a worker killed at each line of a submission, and of a batch (10 minutes; SHORT=1: a batch at some)
	@$(BIN)/python -m pytest $(AT_EACH_LINE) --numprocesses 4 $(if $(SHORT),,--each-line) $(ARGS)

test-production: .venv/production $(MARIADB) ## Celery, PostgreSQL, two of everything, under load and loss (an hour); ROWS="mapped faults", SHORT=1
	@$(BIN)/python -m pytest -s tests_production $(if $(SHORT),--short) $(if $(ROWS),-k "$(WANTED)") $(ARGS)

.venv/production: $(STAMP)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c $(CONSTRAINTS) --group production
	@command -v redis-server >/dev/null || { apt-get update -qq && apt-get install -y -qq redis-server; } || true
	@touch $@

.venv/mariadb: $(STAMP) constraints/mariadb.txt tools/mariadb.sh tools/need.sh
	@sh tools/mariadb.sh
	@if $(BIN)/uv pip install --quiet --python $(BIN)/python -c $(CONSTRAINTS) -c constraints/mariadb.txt --group mariadb; \
		then touch $@; else echo "  Airflow's driver for MySQL cannot be compiled, so the row mariadb is skipped"; fi

test-matrix: $(STAMP) ## all tests on Airflow 3.0 to 3.3, two Pythons each; AIRFLOW=3.0 PY=3.12: that one only
	@$(BIN)/python -m tools.test_matrix $(if $(AIRFLOW),--airflow $(AIRFLOW)) $(if $(PY),--python $(PY)) -- $(SIDE_BY_SIDE) $(ARGS)

test-install: $(STAMP) ## the built wheel under the constraints of Airflow's releases; AIRFLOW="3.0.6 3.3.2": those only
	@$(BIN)/python -m tools.test_install $(AIRFLOW)

test-release: .venv/release ## wheel and source archive built, checked, installed and used; the quick start in an empty home
	@$(BIN)/python -m tools.test_release

.venv/release: $(STAMP) constraints/release.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c $(CONSTRAINTS) -c constraints/release.txt --group release
	@touch $@

test-ui: $(UI_STAMP) ## Airflow's web UI, driven in Debian's Chromium; AIRFLOW=3.1: that of an older one; SCREENSHOTS=1: new pictures
	@$(BIN)/python -m $(if $(AIRFLOW),$(OLDER_UI),$(NEWEST_UI)) $(if $(SCREENSHOTS),--screenshots) $(ARGS)

$(UI_STAMP): $(STAMP)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c $(CONSTRAINTS) --group ui
	@touch $@

test-stores: .venv/stores ## S3, SFTP, Google's and Azure's stores, in and out, cut and killed (ten minutes)
	@$(BIN)/python -m pytest tests_stores $(ARGS)

.venv/stores: $(STAMP) constraints/stores.txt tools/stores.sh tools/need.sh
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c $(CONSTRAINTS) -c constraints/stores.txt --group stores
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints/stores.txt --no-deps apache-airflow-providers-google
	@sh tools/stores.sh
	@touch $@

test-api: .venv/api ## the sandbox against all that the vendor's specification allows, which MAGIC_HOUR_OPENAPI names
	@$(BIN)/python -m tools.test_api $(ARGS)

.venv/api: $(STAMP) constraints/api.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c $(CONSTRAINTS) -c constraints/api.txt --group api
	@touch $@

bench: $(STAMP) ## what thousands of waiting jobs cost, beside others (half an hour); ARGS="--quick" for a first look
	@$(BIN)/python -m tools.bench $(ARGS)

bench-media: $(STAMP) ## memory and speed of a gibibyte up and down, file and S3, beside plain httpx; ARGS="--mib 64" for less
	@$(BIN)/python -m tools.bench.media $(ARGS)

bench-batch: $(STAMP) ## Airflow's CPU for a clip of a batch and of mapped tasks (half an hour, needs PostgreSQL); ARGS="--quick"
	@$(BIN)/python -m tools.bench.batch $(ARGS)

figures: $(STAMP) ## what importing costs, and the size of the code
	@$(BIN)/python -m tools.import_cost
	@$(BIN)/python -m tools.code_size

check-api: $(STAMP) ## what the vendor's API has and the rows do not: SPEC=openapi.json, SDK=magic_hour.whl, or both
	@$(BIN)/python -m tools.check_api $(if $(SPEC),--spec "$(SPEC)") $(if $(SDK),--sdk "$(SDK)")

docs: .venv/docs ## build the documentation into build/docs; a warning is an error
	@AIRFLOW_HOME=$(CURDIR)/.cache/docs AIRFLOW__LOGGING__LOGGING_LEVEL=WARNING \
		$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs build/docs
	@echo "build/docs/index.html"

.venv/docs: $(STAMP) constraints/docs.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c $(CONSTRAINTS) -c constraints/docs.txt --group docs
	@touch $@

check: $(STAMP) ## lint, formatting, spelling and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell airflow_provider_magichour docs tools .ci *.md Makefile pyproject.toml
	$(BIN)/mypy

format: $(STAMP) ## put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

build: $(STAMP) ## make the wheel and the source archive in dist/
	$(BIN)/uv build --quiet --out-dir dist

constraints: $(STAMP) ## resolve the versions in constraints/ anew; AIRFLOW=3.3.2: for that Airflow only
	@sh tools/constraints.sh $(AIRFLOW)

constraints-docs: $(STAMP) ## resolve the versions of what documentation, single tests and test-release alone need anew
	@sh tools/constraints.sh docs api release stores mariadb

clean: ## remove all that make has made, but the clips of the demo
	rm -rf .venv .cache dist build .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
