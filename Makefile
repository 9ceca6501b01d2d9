# `make run` does everything from a bare clone: environment, locked dependencies, the main job.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
# Two processes of one thread each; more by ARGS="-n 8". A file's tests stay together: they share what is slow to make.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

.PHONY: run serve test test-slow check docs format lock viz site bench study clean help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

run: $(VENV)/.base  ## install if needed, then run what is stale; more by ARGS="--env movielens" or ARGS=--dry-run
	$(BIN)/kedro update $(ARGS)

test: $(VENV)/.dev  ## the tests, without the slow kinds; more by ARGS="-k name"
	$(PYTEST) -m "not slow" $(ARGS)

test-slow: $(VENV)/.dev  ## the slow kinds: official runs and their verification, kills, Ray, the viewer, benchmarks
	$(PYTEST) -m slow $(ARGS)

check: $(VENV)/.dev  ## lint, format, types, import rules, secrets, known vulnerabilities, the documentation's links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	git ls-files -z --cached --others --exclude-standard | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline
	$(BIN)/python .ci/audit.py
	$(BIN)/python .ci/docs_site.py

docs: $(VENV)/.dev  ## the documentation as a site, in build/docs: open index.html
	$(BIN)/python .ci/settings_page.py
	$(BIN)/python .ci/docs_site.py

format: $(VENV)/.dev  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

serve: $(VENV)/.serve  ## answer requests by task2's model; more by ARGS="--task task1 --port 9000"
	$(BIN)/kedro serve $(ARGS)

viz: $(VENV)/.base  ## browse the lineage graph
	$(BIN)/kedro viz run

# Kedro-Viz builds into build/ itself, whatever it is asked. Its statistics are of the last run, of whichever environment
# that was. The warnings are those of its own libraries.
site: $(VENV)/.base  ## the lineage graph and its previews as a static site in build/lineage; of another world: KEDRO_ENV=movielens
	rm -rf build/api build/lineage .viz/stats.json
	PYTHONWARNINGS=ignore::UserWarning $(BIN)/kedro viz build --include-previews
	mkdir build/lineage && cd build && mv api assets *.html favicon.ico lineage
	@echo 'The site is build/lineage/, for any web server. To look at it on this machine, open http://127.0.0.1:4142 after'
	@echo '  $(BIN)/python -m http.server --bind 127.0.0.1 --directory build/lineage 4142'

# Leave the machine alone meanwhile; it takes some 24 minutes on 2 cores.
bench: $(VENV)/.dev  ## measure speed and memory, write docs/speed.md; more by ARGS="--only din --resume"
	$(BIN)/python -m benchmarks.speed $(ARGS)

# Hours; go on after a stop by running it again. In the background: nohup make study > study.log &
study: $(VENV)/.dev  ## compare the models, write docs/results.md; more by ARGS="--list" or ARGS="--jobs 4"
	$(BIN)/python -m benchmarks.study $(ARGS)

# Python compiles what it imports, and only that: --no-compile nearly halves the installation.
# Exact versions live in requirements.lock, used as constraints so that each command installs only what it needs.
$(VENV)/.base: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mmctr_kedro needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11 run")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c requirements.lock -e .
	@touch $@

$(VENV)/.serve: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c requirements.lock -e ".[serve]"
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c requirements.lock -e ".[dev]"
	@touch $@

# One resolution, two files: requirements.lock has the versions of everything, as constraints; pylock.toml (PEP 751) has
# what the main job needs of them with addresses and SHA-256. torch loses its local version (+cpu) and its CUDA companions
# in the one and is left out of the other: which build is right is the machine's matter.
COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --no-header --no-annotate --quiet
lock: $(VENV)/.dev  ## resolve pyproject.toml's ranges anew
	$(BIN)/python -m pip install --quiet uv
	echo 'torch==2.13.0' > $(VENV)/torch.txt
	$(BIN)/$(COMPILE) --all-extras --no-emit-index-url --no-emit-find-links --no-emit-package pip \
		--constraint $(VENV)/torch.txt $(UV_ARGS) -o $(VENV)/lock.txt
	grep -vE '^(torch|triton|nvidia-|cuda-|--)' $(VENV)/lock.txt > requirements.lock
	echo 'torch==2.13.0' >> requirements.lock
	LC_ALL=C sort -o requirements.lock requirements.lock
	$(BIN)/$(COMPILE) --constraint requirements.lock $(UV_ARGS) -o pylock.toml \
		$$(grep -oE '^(torch|triton|nvidia-|cuda-)[^ =]*' $(VENV)/lock.txt | sort -u | sed 's/^/--no-emit-package /')

clean:  ## remove the environment and tool caches (data stays)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build src/*.egg-info
