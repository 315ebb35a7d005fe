# make demo, make test, make lint: each works on a machine with only python3, pip and make.

PYTHON ?= python3
VENV   ?= .venv
# How many processes share the tests; empty: one.
JOBS   ?=
# They take the files in their order, the slow rooms first: xdist's own order, by the number of tests,
# leaves the slowest for the end.
SHARED := $(if $(JOBS),-n $(JOBS) --dist loadfile --no-loadscope-reorder)
# More for pytest, e.g. make test ARGS="tests/unit -x".
ARGS   ?=

RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --quiet --disable-pip-version-check --no-input

# The stamps carry the folder's name, hashed: an environment that was copied along with its
# checkout is installed anew, else it would run the code of the old place.
HERE  := $(shell pwd | cksum | cut -d ' ' -f 1)
STAMP := $(VENV)/.installed-$(HERE)

# The libraries that are measured beside this one do not come into the other environment.
BENCH_VENV  := build/bench-venv
BENCH_RUN   := $(BENCH_VENV)/bin/python
BENCH_STAMP := $(BENCH_VENV)/.installed-$(HERE)

# Celery's own tests are run in an environment that has no other library of ours beside it.
SUITE_VENV  := build/celery-suite-venv
SUITE_RUN   := $(SUITE_VENV)/bin/python
SUITE_STAMP := $(SUITE_VENV)/.installed-$(HERE)

# The tests start hundreds of processes. Where this is set each of them compiles the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv install demo test pairs lint bench docs faults stores canvas transfers beats beside celery-suite controls \
	clean

help:
	@echo 'make demo      top up points with and without the lock, on three real workers'
	@echo 'make test      run all tests on real servers'
	@echo 'make pairs     the tests of the engine with the oldest and the newest Python and Celery'
	@echo 'make lint      ruff, mypy, pyright'
	@echo 'make bench     measure it beside other libraries (13 minutes; BENCH=quick: two)'
	@echo 'make docs      the documentation as a site, in build/site'
	@echo 'make faults    play every ending and every fault, and write docs/fault-matrix.md'
	@echo 'make stores    play faults of each store, trios and all, and write docs/store-faults.md'
	@echo 'make canvas    200 random canvases with locks and without, which have to end alike'
	@echo 'make transfers 10,000 tasks that move money between 20 accounts; the sums have to be exact'
	@echo 'make beats     three beats under fire for three minutes, with and without a database'
	@echo 'make beside    every policy beside Sentry, Datadog and others (TOOLS="sentry ddtrace": those)'
	@echo 'make celery-suite  Celery'"'"'s own tests, plain and all tasks locked (SUBSET=1: a minute of it)'
	@echo 'make controls  take the guards away one by one: some test must fail for each'
	@echo 'make standstill  run the tests while all processes stop for a second now and then'
	@echo 'make clean     remove $(VENV) and what the tools leave behind'

venv: $(VENV)/.made

install: $(STAMP)-plain

demo: $(STAMP)-plain
	@sh tools/embedded_server.sh $(RUN)
	@$(RUN) -m examples.point_charging

test: $(STAMP)-test
	@sh tools/test_services.sh
	@$(if $(ARGS),,echo 'all tests: about 12 minutes with JOBS=4, half an hour with one process')
	@$(RUN) -m pytest $(SHARED) $(ARGS)

pairs:
	@sh tools/test_services.sh
	@SHARED='$(SHARED)' sh tools/pair.sh 3.10 'celery==5.5.*' 'redis==5.2.*'
	@SHARED='$(SHARED)' sh tools/pair.sh 3.13 'celery==5.7.*'
	@SHARED='$(SHARED)' sh tools/pair.sh 3.14 'celery==5.7.*'

lint: $(STAMP)-lint
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@$(RUN) -m pyright --pythonpath $(RUN)

bench: $(BENCH_STAMP)
	@$(BENCH_RUN) -m benchmarks $(ARGS)

docs: $(STAMP)-docs
	@NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict # --quiet would not see the warnings
	@echo 'open build/site/index.html in a browser: it needs no server, and its search works'

faults: $(STAMP)-test
	@sh tools/test_services.sh
	@$(RUN) -m tests.faults --controls
	@$(RUN) -m tests.faults

stores: $(STAMP)-test
	@sh tools/test_services.sh
	@STORES=1 $(RUN) -m pytest tests/stores
	@$(RUN) -m tests.stores --times 5 $(ARGS)

canvas: $(STAMP)-test
	@sh tools/test_services.sh
	@$(RUN) -m tests.canvas $(ARGS)

transfers: $(STAMP)-test
	@sh tools/test_services.sh
	@$(RUN) -m tests.transfers $(ARGS)

beats: $(STAMP)-test
	@sh tools/test_services.sh
	@$(RUN) -m tests.beats --scheduler locked $(ARGS)
	@$(RUN) -m tests.beats --scheduler database $(ARGS)

beside: $(STAMP)-test
	@sh tools/test_services.sh
	@$(RUN) -m tests.beside --install $(TOOLS) $(ARGS)
	@$(if $(TOOLS),,$(RUN) -m tests.beside.tenants --install)
	@$(if $(TOOLS),,$(RUN) -m tests.beside.classes --install)
	@$(if $(TOOLS),,$(RUN) -m tests.beside.monitors --install)
	@$(if $(TOOLS),,$(RUN) -m tests.beside.testing --install)

celery-suite: $(SUITE_STAMP)
	@sh tools/test_services.sh
	@$(SUITE_RUN) -m tools.celery_suite $(if $(SUBSET),--subset) $(ARGS)

standstill: $(STAMP)-test
	@sh tools/test_services.sh
	@$(RUN) -m tools.standstill $(SHARED) $(ARGS)

controls: $(STAMP)-test
	@sh tools/test_services.sh
	@$(RUN) tools/controls.py

clean:
	rm -rf $(VENV) .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

$(VENV)/.made: tools/make_venv.sh
	@sh tools/make_venv.sh '$(PYTHON)' '$(VENV)'
	@touch $@

$(STAMP)-plain: $(VENV)/.made pyproject.toml
	@echo 'installing into $(VENV) ...'
	@$(PIP) install -e '.[redis]'
	@touch $@

$(STAMP)-test: $(VENV)/.made pyproject.toml
	@echo 'installing the test tools into $(VENV) ...'
	@$(PIP) install -e '.[redis,test]'
	@touch $@

$(STAMP)-lint: $(VENV)/.made pyproject.toml
	@echo 'installing the lint tools into $(VENV) ...'
	@$(PIP) install -e '.[redis,test,lint]'
	@touch $@

$(STAMP)-docs: $(VENV)/.made pyproject.toml
	@echo 'installing the documentation tools into $(VENV) ...'
	@$(PIP) install -e '.[docs]'
	@touch $@

$(BENCH_VENV)/.made: tools/make_venv.sh
	@mkdir -p build
	@sh tools/make_venv.sh '$(PYTHON)' '$(BENCH_VENV)'
	@touch $@

$(BENCH_STAMP): $(BENCH_VENV)/.made pyproject.toml benchmarks/requirements.txt
	@echo 'installing other libraries, to measure beside, into $(BENCH_VENV) ...'
	@$(BENCH_RUN) -m pip --quiet --disable-pip-version-check --no-input install \
		-e '.[redis]' -r benchmarks/requirements.txt
	@$(BENCH_RUN) -m pip --quiet --disable-pip-version-check --no-input install --no-deps redlock-ng
	@touch $@

$(SUITE_VENV)/.made: tools/make_venv.sh
	@mkdir -p build
	@sh tools/make_venv.sh '$(PYTHON)' '$(SUITE_VENV)'
	@touch $@

$(SUITE_STAMP): $(SUITE_VENV)/.made pyproject.toml tools/celery_suite/requirements.txt
	@echo 'installing what Celery'"'"'s own tests need into $(SUITE_VENV) ...'
	@$(SUITE_RUN) -m pip --quiet --disable-pip-version-check --no-input install \
		-e '.[redis]' -r tools/celery_suite/requirements.txt
	@touch $@
