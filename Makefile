# Needs Python 3.11 or later; what else is missing is installed (apt, when root) or named.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench peers unseen cost starter gpu-check trt-signatures clean constraints

VENV := .venv
# Tests that train, and tests that raise signals, run in processes of their own, apart from the others.
MODELS := tests/bench tests/engines tests/peers
SIGNALS := tests/service/test_interrupts.py
BIN := $(VENV)/bin
ARGS ?=
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.serving ## Real Kafka, sample events, a live table (ARGS="--events 40 --json" for machines)
	@.ci/need java mvn >&2
	@$(BIN)/tidegate demo $(ARGS)

test: $(VENV)/.dev ## All tests, on a real broker (ARGS="tests/service -k policy" for some)
	@.ci/need java mvn kcat promtool
	@PATH="$(CURDIR)/$(BIN):$$PATH" && set -e && if [ -n "$(ARGS)" ]; then $(BIN)/python -m pytest $(ARGS); else \
		$(BIN)/python -m pytest $(SIGNALS); $(BIN)/python -m pytest $(MODELS); \
		$(BIN)/python -m pytest $(addprefix --ignore=,$(MODELS) $(SIGNALS)); fi

lint: $(VENV)/.dev ## Style, formatting and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: $(VENV)/.serving ## Events per second and latency on this machine
	@.ci/need java mvn >&2
	@$(BIN)/tidegate bench $(ARGS)
	@for each in micro_batches lanes contributions spans decode_workers collector switch_interval; do $(BIN)/python -m tests.bench.$$each >&2; done

peers: $(VENV)/.dev ## Bundles beside VADER, SnowNLP and alt-profanity-check (ARGS="starter --out peers.md")
	@$(BIN)/python -m tests.peers $(ARGS)

unseen: $(VENV)/.dev ## The starter's text judged on sources that it was taught without, an hour (DATA=folder)
	@test -n "$(DATA)" || { echo "Say where the labelled posts lie: make unseen DATA=folder" >&2; exit 64; }
	@.ci/need java mvn
	@$(BIN)/python -m tests.peers.unseen --data "$(DATA)" $(ARGS)

cost: $(VENV)/.dev ## Short posts in tidegate score, beside the bare encoder in plain ONNX Runtime
	@$(BIN)/python -m tests.bench.text_cost $(ARGS)

starter: $(VENV)/.pictures ## The bundles that ship, from labelled posts to model card (DATA=folder)
	@test -n "$(DATA)" || { echo "Say where the labelled posts lie: make starter DATA=folder" >&2; exit 64; }
	@.ci/need emoji java mvn
	@$(BIN)/python -m engines.training.release --data "$(DATA)" --judge tests/everyday $(ARGS)

trt-signatures: $(VENV)/.dev ## The interfaces of TensorRT and CUDA that tests check against, from the real packages
	@.ci/need cc
	@$(BIN)/python tests/engines/tensorrt/snapshot.py $(ARGS)

# On the host's own Python: it brings torch with CUDA, TensorRT and what else tests/gpu/__main__.py names.
GPU_PYTHON ?= python3
gpu-check: ## What only a GPU can tell, in parts that a cut run takes up again (PART=name, LIMIT=seconds)
	@$(GPU_PYTHON) -m tests.gpu $(addprefix --part ,$(PART)) $(addprefix --limit ,$(LIMIT)) $(ARGS)

clean: ## Remove the environment and everything built (the Kafka jars stay in the user's cache)
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache
	@find engines service tests -name __pycache__ -type d -prune -exec rm -rf {} +

constraints: $(VENV)/.pictures ## Write constraints.txt from what is installed
	@{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable --exclude setuptools \
	  | grep -viE '^(nvidia-[cn]|cuda-|triton=)'; } > constraints.new && mv constraints.new constraints.txt

$(BIN)/python:
	@test -n "$(PYTHON)" || .ci/need python
	@echo "Creating $(VENV) with $$($(or $(PYTHON),python3) --version)" >&2
	@$(or $(PYTHON),python3) -m venv $(VENV)

# Serving needs no torch: about 0.5 GB on disk. Development adds it for training: about 6.7 GB.
$(VENV)/.serving: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Tidegate for serving (once, about a minute)" >&2
	@$(PIP) -e . >&2 && touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Tidegate for development, with torch (once, a few minutes)" >&2
	@$(PIP) -e '.[dev,train]' >&2 && touch $@ $(VENV)/.serving

$(VENV)/.pictures: pyproject.toml constraints.txt | $(VENV)/.dev
	@echo "Installing the photographs and emoji of the recipe (once, seconds)" >&2
	@$(PIP) -e '.[dev,train,pictures]' >&2 && touch $@
