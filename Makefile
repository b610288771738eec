# make demo   take the example poster apart, into demo/
# make test   lint, types, tests
# Both set up .venv first, once.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint format clean
.DELETE_ON_ERROR:

demo: .venv/installed
	mkdir -p demo
	$(BIN)/lamina decompose examples/poster.png -o demo/poster
	$(BIN)/lamina convert demo/poster demo/poster.psd
	$(BIN)/lamina preview demo/poster -o demo/poster-sheet.png
	@printf '%s\n' '' \
	  'demo/poster/           the bundle: document.json, one PNG per layer, composite.png, source.png' \
	  'demo/poster.psd        the same layers for an image editor' \
	  'demo/poster-sheet.png  a contact sheet: input, every layer, composite'

test: lint
	$(BIN)/pytest -n 2

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --verbose
	$(BIN)/pyright

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Lamina needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[pptx,serve,large,dev]'
	touch $@

clean:
	rm -rf .venv demo build dist src/*.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
