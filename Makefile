# Extra arguments for the program behind a target: make test ARGS='--no-cov -k gate -x'
ARGS ?=

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.SUFFIXES:

BIN := .venv/bin
PY := $(BIN)/python
# What builds the firmware and runs it: a compiler for this machine, one for the Cortex-M7, QEMU, and a fuzzer's clang.
FIRMWARE_PACKAGES := build-essential gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm dpkg-dev
# A virtual Jetson, the charts of the hub's page, and a broker for its alerts.
LAB_PACKAGES := openssh-server openssh-client libjs-dygraphs mosquitto
FUZZ_PACKAGES := clang llvm libclang-rt-14-dev
# Containers, the base of their image where no registry is reached, a database for MLflow's server, an S3 server and a browser.
STACK_PACKAGES := chromium docker.io debootstrap binutils postgresql radosgw ceph-mon ceph-osd ceph-common openssh-server \
	openssh-client iproute2 cron systemd
# Run by their names only: they are slow, and some need root.
STACK_TESTS := tests/e2e/stacks_docker.py tests/e2e/stacks_s3.py tests/e2e/stacks_ssh.py tests/e2e/stacks_airflow.py \
	tests/e2e/stacks_compiled.py tests/e2e/timers.py
UV_COMPILE := $(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock'

# The arrays are small: more BLAS threads cost more than they gain, and one thread repeats to the bit.
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1
export TF_CPP_MIN_LOG_LEVEL ?= 2
# Networks train on the CPU; TensorFlow need not search for a GPU.
export CUDA_VISIBLE_DEVICES ?= -1
# Only .venv and the checkout are imported.
unexport PYTHONPATH PYTHONHOME
# Nothing a developer runs here reports to anyone.
export ZENML_ANALYTICS_OPT_IN ?= false
export MLFLOW_DISABLE_TELEMETRY ?= true

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: ## make .venv hold what locks/ names (nothing to do when it does)
	@scripts/setup.sh

.PHONY: run
run: setup ## both pipelines, promotion, then the champion on a virtual Jetson and an emulated Cortex-M7 (ARGS: of run.py all)
	@$(PY) run.py all $(ARGS)
	@scripts/install-debian.sh $(FIRMWARE_PACKAGES) $(LAB_PACKAGES)
	@$(PY) -m deployers.lab loop

.PHONY: image
image: setup ## the container image that steps run in on stacks with containers (nothing to do when it is there)
	@scripts/image.sh

.PHONY: firmware
firmware: ## build the firmware for every board; sizes, stack and symbols within their budgets
	@scripts/install-debian.sh $(FIRMWARE_PACKAGES)
	@$(MAKE) -C firmware boards sizes symbols

.PHONY: firmware-test
firmware-test: setup ## the firmware's unit tests on host and emulated core, power cuts, coverage, fuzzers over their corpus
	@scripts/install-debian.sh $(FIRMWARE_PACKAGES) $(FUZZ_PACKAGES)
	@$(MAKE) -C firmware unit sim target coverage fuzz-smoke

.PHONY: fuzz
fuzz: ## libFuzzer on every parser of the firmware, FUZZ_SECONDS=60 each
	@scripts/install-debian.sh $(FIRMWARE_PACKAGES) $(FUZZ_PACKAGES)
	@$(MAKE) -C firmware fuzz

.PHONY: imports
imports: setup ## check which package imports which
	@$(BIN)/lint-imports --no-logo

.PHONY: types
types: setup ## ruff and mypy
	@$(PY) -m ruff check .
	@$(PY) -m mypy

.PHONY: test
test: imports types firmware firmware-test ## contracts, types, the firmware, then all Python tests with coverage (ARGS go to pytest)
	@scripts/install-debian.sh postgresql chromium prometheus $(LAB_PACKAGES)
	@scripts/test.sh $(ARGS)

.PHONY: check
check: imports types ## ruff, formats, types, import contracts, clang-tidy
	@scripts/install-debian.sh $(FIRMWARE_PACKAGES) clang-format clang-tidy
	@$(MAKE) -C firmware lint
	@$(PY) -m ruff format --check .

.PHONY: dashboard
dashboard: setup ## ZenML's dashboard and MLflow's pages of this home on loopback, until Ctrl-C (PORT, MLFLOW_PORT: 0 for a free one)
	@$(PY) -m pipelines.dashboard $(if $(PORT),--port $(PORT)) $(if $(MLFLOW_PORT),--mlflow-port $(MLFLOW_PORT)) $(ARGS)

.PHONY: dashboard-shots
dashboard-shots: setup ## make the pictures of docs/dashboard/ anew, from a smoke run of their own
	@scripts/install-debian.sh chromium
	@$(PY) -m tests.dashboard_shots

.PHONY: bench
bench: bench-engine bench-fidelity bench-hub bench-accuracy ## run every benchmark

.PHONY: bench-engine
bench-engine: setup ## instructions, code and memory of one forecast on the emulated Cortex-M7
	@scripts/install-debian.sh $(FIRMWARE_PACKAGES)
	@$(PY) -m benchmarks.engine $(ARGS)

.PHONY: bench-fidelity
bench-fidelity: setup ## what the integer cells cost in accuracy on the reference readings (ARGS go to it)
	@scripts/install-debian.sh $(FIRMWARE_PACKAGES) libgomp1
	@$(PY) -m benchmarks.fidelity $(ARGS)

.PHONY: bench-hub
bench-hub: setup ## the hub: forecasts by REST beside mlflow models serve, its own forecasts, 500 boards (ARGS go to it)
	@scripts/install-debian.sh $(FIRMWARE_PACKAGES) wrk
	@$(PY) -m benchmarks.hub $(ARGS)

.PHONY: bench-stacks
bench-stacks: setup ## what each stack costs over plain Python, first and from the cache; as root (ARGS go to it)
	@scripts/install-debian.sh $(STACK_PACKAGES)
	@$(PY) -m benchmarks.stacks $(ARGS)

.PHONY: soak
soak: setup ## link cuts, hub kills and board resets at random moments: nothing lost, nothing doubled (ARGS go to it)
	@scripts/install-debian.sh $(FIRMWARE_PACKAGES)
	@$(PY) -m benchmarks.soak $(ARGS)

.PHONY: demo-drift
demo-drift: setup ## a sensor is moved and the loop heals by itself, then a bad challenger fails: commentary, figures, plot (ARGS go to it)
	@scripts/install-debian.sh $(FIRMWARE_PACKAGES) $(LAB_PACKAGES)
	@$(PY) -m benchmarks.drift_demo $(ARGS)

.PHONY: e2e-arm64
e2e-arm64: setup ## the loop on an emulated aarch64 Jetson, conversion there included; as root, 2 GB in the cache (ARGS go to pytest)
	@scripts/install-debian.sh $(FIRMWARE_PACKAGES) $(LAB_PACKAGES) debootstrap qemu-user-static iproute2
	@$(PY) -m pytest --no-cov -s -q tests/e2e/arm64_jetson.py $(ARGS)

.PHONY: test-stacks
test-stacks: setup ## both pipelines on every stack that runs on one machine, with its servers; as root (ARGS go to pytest)
	@scripts/install-debian.sh $(STACK_PACKAGES)
	@$(PY) -m pytest --no-cov -s -q $(STACK_TESTS) $(ARGS)

.PHONY: bench-search
bench-search: setup ## the search beside random, Optuna, Keras Tuner and plain DEAP, at equal CPU seconds (ARGS go to it)
	@scripts/install-debian.sh libgomp1
	@$(PY) -m benchmarks.search $(ARGS)

.PHONY: bench-trainer
bench-trainer: setup ## CPU time of one update of the trainer beside Keras on XLA and OpenBLAS (ARGS go to it)
	@$(PY) -m benchmarks.trainer $(ARGS)

.PHONY: bench-accuracy
bench-accuracy: setup ## forecast errors of the GRU and of its rivals on the reference readings (ARGS go to it)
	@scripts/install-debian.sh libgomp1
	@$(PY) -m benchmarks.accuracy $(ARGS)

.PHONY: bench-monitor
bench-monitor: setup ## what the hub's monitor finds, how soon, how often it is wrong, and its cost (ARGS go to it)
	@scripts/install-debian.sh libgomp1
	@$(PY) -m benchmarks.monitor $(ARGS)

.PHONY: lines
lines: setup ## count lines of code and of tests
	@$(PY) scripts/count_lines.py

.PHONY: lock
lock: setup ## resolve the dependency groups anew and write locks/
	@$(UV_COMPILE) $(foreach group,pipelines deploy hub convert dev bench,--group pyproject.toml:$(group)) -o locks/dev.txt
	@$(UV_COMPILE) --constraint locks/dev.txt --group pyproject.toml:pipelines -o locks/pipelines.txt
	@cp locks/pipelines.txt locks/image.txt # its pins are kept wherever the clients of clusters allow them
	@$(filter-out --upgrade,$(UV_COMPILE)) --group pyproject.toml:image -o locks/image.txt
	@$(UV_COMPILE) --constraint locks/dev.txt --group pyproject.toml:deploy -o locks/deploy.txt
	@$(UV_COMPILE) --constraint locks/dev.txt --group pyproject.toml:hub -o locks/hub.txt
	@$(UV_COMPILE) --constraint locks/dev.txt --group pyproject.toml:hub --group pyproject.toml:convert -o locks/hub-convert.txt
	@$(UV_COMPILE) --group pyproject.toml:airflow -o locks/airflow.txt
	@cp locks/dev.txt locks/stacks.txt # its pins are kept wherever the platforms' SDKs allow them
	@$(filter-out --upgrade,$(UV_COMPILE)) --group pyproject.toml:stacks -o locks/stacks.txt
	@echo uv | $(UV_COMPILE) --constraint locks/dev.txt - -o locks/uv.txt

.PHONY: clean
clean: ## remove build/ and every cache; .venv and .edgeloop stay
	@rm -rf build .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -path ./.venv -prune -o -path ./.edgeloop -prune -o -name __pycache__ -type d -exec rm -rf {} +
