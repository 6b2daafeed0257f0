# `make demo` and `make test` need only Python 3.11 or newer with venv, and make. Everything goes into .venv and demo/.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OBJECTS ?= 20000

.PHONY: demo test test-slow test-browser test-peers test-archive test-archive-slow docs docs-check lock clean

demo: $(VENV)/.demo
	$(BIN)/skysy demo demo --objects $(OBJECTS)

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build $(VENV)/installed
	$(BIN)/pip install --quiet --no-deps --target $(VENV)/installed .
	cd $(VENV)/installed && ../bin/mypy --config-file ../../pyproject.toml --python-executable ../bin/python
	$(BIN)/pytest -n 2 -m "not slow and not archive"

test-slow: $(VENV)/.test
	$(BIN)/pytest -m "slow and not archive"

# The report in a headless Chromium, which is to be on the path; without one it says that it looked at nothing.
test-browser: $(VENV)/.test
	$(BIN)/pip install --quiet --constraint requirements-dev.lock -e ".[browser]"
	$(BIN)/pytest -m slow tests/test_browser.py

# LSDB, in a Python of its own since it brings some 60 packages, and STILTS where it is on the path read what is exported.
test-peers: $(VENV)/.test $(VENV)/.peers
	SKYSY_LSDB_PYTHON=$(abspath $(VENV)/peers/bin/python) $(BIN)/pytest -m slow tests/test_peers.py tests/test_hats.py tests/test_hats_margin.py

# Against a real TAP server on the loopback (docs/archive-peer.md). Debian only; as root where its packages are missing.
test-archive: $(VENV)/.test
	$(BIN)/python tests/archive_peer/peer.py install
	$(BIN)/pytest -m "archive and not slow"

# Deaths of the real server and of its client at random moments: half an hour and more.
test-archive-slow: $(VENV)/.test
	$(BIN)/python tests/archive_peer/peer.py install
	$(BIN)/pytest -m "archive and slow"

# Command output in README.md and docs/, after `make demo`: written anew, or only compared.
docs: $(VENV)/.demo
	$(BIN)/python docs/refresh.py

docs-check: $(VENV)/.demo
	$(BIN)/python docs/refresh.py --check

# The lock holds every version that the tests passed with; `make lock` renews it.
lock:
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e ".[dev]"
	$(BIN)/pip freeze --exclude-editable > requirements-dev.lock

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml requirements-dev.lock
	$(BIN)/pip install --quiet --constraint requirements-dev.lock -e .
	touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml requirements-dev.lock
	$(BIN)/pip install --quiet --constraint requirements-dev.lock -e ".[dev]"
	touch $@ $(VENV)/.demo

$(VENV)/.peers: pyproject.toml
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/pip install --quiet ".[peers]"
	rm -rf build
	touch $@

clean:
	rm -rf $(VENV) demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
