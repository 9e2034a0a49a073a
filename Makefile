# Every target makes its own environment in .venv; only python3, pip and make are needed.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: tour test test-all test-backends lint docs check-docs bench clean
.NOTPARALLEL:

tour: .venv/tour.stamp  ## solve one small real problem with every solver; pictures in tour/
	$(BIN)/python examples/tour.py
test: .venv/test.stamp  ## the tests that take seconds each
	$(PYTEST) -m "not slow"
test-all: .venv/test.stamp  ## every test
	$(PYTEST)
test-backends: .venv/test.stamp .venv/backends.stamp
	$(PYTEST) -k torch
lint: .venv/lint.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python tests/docstrings.py
	$(BIN)/codespell
docs: .venv/docs.stamp
	$(BIN)/python -m sphinx -W -n --keep-going docs docs/_build/html
check-docs: docs
	$(BIN)/python docs/check_site.py docs/_build/html
bench: .venv/bench.stamp
	cd asv_bench && ../$(BIN)/asv machine --yes && ../$(BIN)/asv run --python=same --quick
clean:
	rm -rf .venv build dist tour .*_cache docs/_build docs/gallery docs/generated

.venv/pip.stamp:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"  # the first release with --group
	touch $@
.venv/tour.stamp: pyproject.toml .venv/pip.stamp
	$(BIN)/python -m pip install --quiet -e ".[plot]"
	touch $@
.venv/%.stamp: pyproject.toml .venv/pip.stamp
	$(BIN)/python -m pip install --quiet -e . --group $*
	touch $@
