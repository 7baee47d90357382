# Everything a developer does here, as an ordinary user: `make` lists it. Nothing needs sudo;
# only .ci/run installs system packages. Kept to what GNU make 3.81 (macOS) understands.

PYTHON ?= python3
PYTEST_ARGS ?=
VENV = .venv
BIN = $(VENV)/bin
BASE = $(VENV)/.installed-base
DEV = $(VENV)/.installed-dev
PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
PYRIGHT = pyright@1.1.414

.DEFAULT_GOAL := help
.PHONY: help demo test lint pyright bench soak docs test-root as-root clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(BASE) ## two agents write, read, move, search and share notes (examples/playground.py)
	$(BIN)/python examples/playground.py

test: $(DEV) ## the tests that need no root; PYTEST_ARGS='-k word' narrows them
	$(BIN)/python -m pytest -m 'not root and not soak' $(PYTEST_ARGS)

lint: $(DEV) ## ruff, mypy, import contracts, news fragments; all of them, whatever fails
	@failed=; \
	check() { echo "== $$*"; "$$@" || failed=1; }; \
	check $(BIN)/ruff check --output-format concise .; \
	check $(BIN)/ruff format --check .; \
	check $(BIN)/mypy; \
	check $(BIN)/lint-imports --no-logo; \
	check $(BIN)/towncrier build --draft --version unreleased; \
	test -z "$$failed"

pyright: $(BASE) ## what a user of the editable install sees in an editor (needs npx)
	@scratch=$$(mktemp -d) && cp examples/*.py "$$scratch" && venv=$$(cd $(VENV) && pwd) && \
	{ cd "$$scratch" && npx --yes $(PYRIGHT) --pythonpath "$$venv/bin/python" .; status=$$?; \
	rm -r "$$scratch"; exit $$status; }

bench: $(DEV) ## the figures, with the reference run beside them
	$(BIN)/python -m benchmarks

soak: $(DEV) ## the long tests
	AVM_SOAK=1 $(BIN)/python -m pytest tests -m soak --timeout 3600 $(PYTEST_ARGS)

docs: $(DEV) ## check the documentation: examples, commands, hook signatures
	$(BIN)/python -m pytest tests/test_docs.py $(PYTEST_ARGS)

test-root: as-root $(DEV) ## the tests that need root: a second user, read-only mounts
	PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m pytest -p no:cacheprovider -m root tests/root $(PYTEST_ARGS)

as-root:
	@test "$$(id -u)" = 0 || { echo "make test-root mounts file systems and acts as another user: run it as root." >&2; exit 1; }

clean: ## remove what the other targets made, .venv included
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	find . -name .git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

# The environment is made once, and brought up to date when pyproject.toml or constraints.txt change.
# The two stamps are a chain, not siblings, so that `make -j` never runs two installs at a time.

$(DEV): $(BASE)
	$(PIP) pip
	$(PIP) -e '.[semantic,minilm,http,index,mcp]' --group dev
	@touch $@

$(BASE): $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing AVM into $(VENV), which takes a moment and happens once."
	$(PIP) -e '.[semantic]'
	@touch $@

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON): not found. Install Python 3.10 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "AVM needs Python 3.10 or newer and $(PYTHON) is $$($(PYTHON) -V 2>&1). Name a newer one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: on Debian and Ubuntu, 'apt install python3-venv'; elsewhere, install Python with venv and ensurepip." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -f $@; exit 1; }
