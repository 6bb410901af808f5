# The same commands at home and in CI; `make` alone lists them. All that is installed stands in .venv.

PYTHON ?= python3
ARGS ?=
# Processes that run the tests beside one another; each starts servers of its own.
JOBS ?= 3

VENV := .venv
SWAGGER := pacifica/notifications/rest/swagger
SWAGGER_UI := 5.35.0
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
SOURCES := pyproject.toml setup.py README.md LICENSE $(shell find pacifica -not -name __pycache__ -not -name '*.pyc')

# Stamps: what is older than its stamp is not done again.
MADE := $(VENV)/.made-$(VERSION)
PACKAGE := $(VENV)/.package
RUN := $(VENV)/.run
TEST := $(VENV)/.test
BENCH := $(VENV)/.bench
DOCS := $(VENV)/.docs
WHEEL = $$(echo $(VENV)/dist/*.whl)

.NOTPARALLEL:
.PHONY: help run test neighbours faults fuzz services check format audit lock swagger-ui docs bench bench-upgrade clean

help:
	@echo 'make run            start the service                 ARGS="-p 8071" goes to pacifica-notifications'
	@echo 'make test           run all tests that can run here   ARGS="-k retry" goes to pytest'
	@echo 'make neighbours     only the test with the true metadata and policy servers'
	@echo 'make faults         every fault of docs/reliability.md in its long form, with both brokers'
	@echo 'make fuzz           millions of random expressions against jsonpath2, and requests by the description of the API'
	@echo '                    ARGS="--seed 7 --pairs 100000 --api 60"'
	@echo 'make services       install the servers that the tests can use (Debian), or say how'
	@echo 'make check          format, lint, types'
	@echo 'make format         format and repair what lint can repair'
	@echo 'make audit          ask whether anything that the image installs has a known fault'
	@echo 'make swagger-ui     fetch the files of the page /docs anew'
	@echo 'make lock           choose anew what the image installs: config/requirements.lock'
	@echo 'make docs           build docs/_build/html'
	@echo 'make bench          measure all figures               ARGS="--quick" for a short look, "delivering" for a part'
	@echo 'make bench-upgrade  measure the upgrade of a large database'
	@echo 'make clean          remove all that these made'
	@echo 'PYTHON=python3.12 chooses another Python, 3.11 or newer.'

run: $(RUN)
	@exec $(BIN)/pacifica-notifications $(ARGS)

# PYTHONSAFEPATH keeps the checkout off the path of every process, so that the built package is what is tested.
test: $(TEST)
	PYTHONSAFEPATH=1 $(BIN)/pytest --numprocesses $(JOBS) --dist loadfile $(ARGS)

# Part of `make test` too. Its environment is filled from a package index; PostgreSQL and Redis have to be installed.
neighbours: $(TEST)
	PYTHONSAFEPATH=1 $(BIN)/pytest tests/acceptance/test_neighbours.py $(ARGS)

# Their short form is a part of `make test`. Takes hours; ARGS="4 6 --broker redis" chooses cases.
faults: $(TEST)
	@exec $(BIN)/python -m tests.faults --long $(or $(ARGS),all)

# Its short form is a part of `make test`. A seed that it printed plays the same again.
fuzz: $(TEST)
	@exec $(BIN)/python -m tests.fuzz $(ARGS)

services:
	@.ci/services

check: $(TEST)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(TEST)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

audit: $(TEST)
	@$(BIN)/python .ci/audit $(ARGS)

lock: $(MADE)
	@$(PIP) install pip-tools
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --no-emit-options --no-emit-index-url \
		--no-emit-trusted-host --extra mariadb --extra postgresql --extra redis --extra uwsgi \
		--output-file config/requirements.lock pyproject.toml

# As published to npm (Apache-2.0), at the version above. What is not served stays out.
swagger-ui:
	@rm -rf $(VENV)/swagger-ui && mkdir -p $(VENV)/swagger-ui
	@cd $(VENV)/swagger-ui && npm pack --silent swagger-ui-dist@$(SWAGGER_UI) >/dev/null && tar xzf *.tgz
	@cd $(VENV)/swagger-ui/package && cp LICENSE swagger-ui.css swagger-ui-bundle.js swagger-ui-bundle.js.LICENSE.txt \
		favicon-32x32.png $(CURDIR)/$(SWAGGER)/ && cp NOTICE $(CURDIR)/$(SWAGGER)/NOTICE.txt
	@chmod 644 $(SWAGGER)/*

docs: $(DOCS)
	$(BIN)/sphinx-build -W -n --keep-going -q -b html docs docs/_build/html
	@echo 'docs/_build/html/index.html'

bench: $(BENCH)
	@exec $(BIN)/python -m benchmarks $(ARGS)

bench-upgrade: $(TEST)
	$(BIN)/python -m benchmarks.upgrade $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info docs/_build .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment that was left half made, or made by another Python, is made anew.
$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, for example: make PYTHON=python3.11")'
	@echo 'Making $(VENV) ...'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --upgrade pip setuptools
	@touch $@

# Built from a copy: a build leaves files behind, and would pack what an earlier one left.
$(PACKAGE): $(SOURCES) | $(MADE)
	@echo 'Building and installing the package ...'
	@rm -rf $(VENV)/source $(VENV)/dist
	@mkdir $(VENV)/source
	@cp -R pyproject.toml setup.py README.md LICENSE pacifica $(VENV)/source
	@find $(VENV)/source -name __pycache__ -type d -prune -exec rm -rf {} +
	@$(PIP) wheel --no-build-isolation --no-deps --wheel-dir $(VENV)/dist $(VENV)/source
	@$(PIP) install --force-reinstall --no-deps $(VENV)/dist/*.whl
	@touch $@

# After the package, because pip reads from it what is needed.
$(RUN): pyproject.toml $(MADE) | $(PACKAGE)
	@echo 'Installing what it needs ...'
	@$(PIP) install $(WHEEL)
	@touch $@

$(TEST): pyproject.toml tests/fuzz/npm/package-lock.json $(MADE) | $(PACKAGE)
	@echo 'Installing what the tests need ...'
	@$(PIP) install "$(WHEEL)[test]"
	@$(PIP) install "$(WHEEL)[uwsgi]" || { [ "$$CI" != true ] && echo 'uWSGI could not be built here; its tests will be skipped.'; }
	@mkdir -p $(VENV)/npm
	@cp tests/fuzz/npm/package*.json $(VENV)/npm
	@npm ci --prefix $(VENV)/npm --ignore-scripts --no-audit --no-fund --silent || { [ "$$CI" != true ] && echo 'npm could not fetch the payloads of webhooks and the SDK of CloudEvents; the tests go without them.'; }
	@touch $@

$(BENCH): $(TEST)
	@echo 'Installing what the benchmarks need ...'
	@$(PIP) install "$(WHEEL)[bench]"
	@touch $@

$(DOCS): pyproject.toml $(MADE) | $(PACKAGE)
	@echo 'Installing what the documentation needs ...'
	@$(PIP) install "$(WHEEL)[docs]"
	@touch $@
