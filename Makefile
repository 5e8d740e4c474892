# Two commands do everything: `make demo` opens the page, `make test` passes the tests.
# Needs Python 3.11 or 3.12, make and a package registry; nothing else.

VENV   := .venv
PY     := $(VENV)/bin/python
PYTEST := $(PY) -m pytest
CODE   := app retrieval jamba tests benchmarks .ci
DATA   := ../shared/data

# The first interpreter of a version we support; empty where there is none.
PYTHON ?= $(shell for p in python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null \
	&& { command -v $$p; break; }; done)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-slow check bench bench-jamba gpu-check venv ocr dev chromium pins clean

# Ctrl-C is how one leaves: the shell waits for the end, and make has no error to report.
demo: venv ## install what is missing, build the sample collection once, serve the page
	@trap : INT; $(PY) -m app demo; status=$$?; test $$status -eq 130 || exit $$status

test: dev chromium ## everything that is quick (at most 12 minutes on two cores)
	$(PYTEST) -m "not slow and not gpu"

# Ray has a process to itself: it takes over SIGSEGV, by which a JVM that already runs works.
test-slow: dev chromium ## the long rest: packaging, kill and resume, big collections
	$(PYTEST) -m "slow and not gpu" tests/retrieval/cluster
	$(PYTEST) -m "slow and not gpu" --ignore=tests/retrieval/cluster

check: dev ## style, types, architecture
	$(PY) -m ruff check $(CODE)
	$(PY) -m ruff format --check $(CODE)
	$(PY) -m mypy $(CODE)
	$(PYTEST) -q tests/test_architecture.py

bench: dev ## every figure quoted in README.md and docs/; the last five need the data beside the checkout
	$(PY) -m benchmarks.answers.bench_sample
	$(PY) -m benchmarks.engine.bench_jamba --models 52M --peers transformers
	test -d $(DATA) && $(PY) -m benchmarks.retrieval.bench_retrieval $(DATA)/qa/squad_v1.1_subset.json --cache build/bench
	test -d $(DATA) && $(PY) -m benchmarks.retrieval.bench_sentence_rank $(DATA)/qa/squad_v1.1_subset.json --cache build/bench
	test -d $(DATA) && $(PY) -m benchmarks.answers.bench_reader $(DATA) --cache build/bench --drawn 300
	test -d $(DATA) && $(PY) -m benchmarks.answers.bench_checkpoint app/checkpoints/small-jamba $(DATA)
	test -d $(DATA) && $(PY) -m benchmarks.experiments.bench_ralm $(DATA)/text/wikitext2.test.txt $(DATA)/text/wikitext2.valid.txt

bench-jamba: dev ## our engine beside transformers and llama.cpp, which is built once (ten minutes)
	$(PY) -m benchmarks.engine.bench_parity
	$(PY) -m benchmarks.engine.bench_jamba
	$(PY) -m benchmarks.engine.bench_long
	$(PY) -m benchmarks.engine.bench_cache
	$(PY) -m benchmarks.engine.bench_batch
	$(PY) -m benchmarks.engine.bench_policy
	test -d $(DATA) && $(PY) -m benchmarks.engine.bench_quantise $(DATA)/text/wikitext2.test.txt

gpu-check: dev ## on a machine with a GPU: kernels, parity, speed, training; nine minutes at most
	$(PY) -m benchmarks.engine.gpu_check

venv: $(VENV)/.runtime
dev: $(VENV)/.dev
ocr: $(VENV)/.ocr ## what reading scanned PDFs needs

# The stamps make a second run do no work: pip runs again only when a list of pins changed.
$(VENV)/.runtime: requirements.txt
	@test -n "$(PYTHON)" || { \
	  echo "error: Orbweaver needs Python 3.11 or 3.12; found: $$(python3 --version 2>&1)." >&2; \
	  echo "Install one of them, or name one: make demo PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "error: $(PYTHON) cannot make an environment (Debian: install python3-venv)." >&2; exit 1; }
	@echo "Installing pinned packages into $(VENV) (a few minutes the first time) ..."
	$(PY) -m pip install --quiet -r requirements.txt
	@echo "Trying every part and compiling the engine's kernels (a minute, once) ..."
	$(PY) -m app doctor
	@touch $@

$(VENV)/.ocr: requirements-ocr.txt $(VENV)/.runtime
	$(PY) -m pip install --quiet -r requirements-ocr.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt requirements-ocr.txt $(VENV)/.runtime
	$(PY) -m pip install --quiet -r requirements-dev.txt
	@touch $@

# The page tests drive the distribution's Chromium; without it they are skipped and say so.
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	command -v google-chrome >/dev/null || \
	{ test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "Installing chromium ..." && \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } || \
	echo "No Chromium and no right to install it: the page tests will be skipped." >&2

pins: dev ## rewrite requirements.txt and requirements-dev.txt from what is installed
	$(PY) .ci/pins.py

clean: ## caches and build outputs; never the environment, an index or anyone's documents
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find app retrieval jamba tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
