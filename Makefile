# Two commands for everybody: `make demo` and `make test`. Both set up what they need inside this folder.

UV_VERSION := 0.13.9
UV := $(or $(shell command -v uv 2>/dev/null),.tools/bin/uv)

# Use the machine's own certificate store if there is one: it has the CA of a company's proxy.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt),)
export UV_SYSTEM_CERTS ?= true
export UV_NATIVE_TLS ?= true
endif

# More processes than cores: tests with sockets wait for some of their time, and tests on an API server for most of it. At
# most four, because each process has its own API server. A file stays in one process, because its tests share fixtures.
CORES := $(shell nproc 2>/dev/null || echo 2)
SHARE := --maxprocesses 4 --dist loadfile --no-loadscope-reorder
PARALLEL ?= -n $(shell echo $$(( $(CORES) + 2 ))) $(SHARE)
PARALLEL_FAST ?= -n $(shell echo $$(( $(CORES) + 1 ))) $(SHARE)

# The layers without an API server; the files of the other layers are not loaded.
FAST := layout core contract operator tools cups simulation pages browser

.PHONY: demo test test-fast coverage mutation lint format bench cluster-test docs site proxies helm-3 base-image images release-check chart audit clean

demo: .venv/.synced
	@$(UV) run --frozen stationkeeper demo $(ARGS)

# A run starts hundreds of processes: let the later ones use the bytecode of the first, also if a machine forbids that.
test test-fast coverage: export PYTHONDONTWRITEBYTECODE :=

test: lint
	@$(UV) run --frozen pytest $(PARALLEL) $(ARGS)

test-fast: .venv/.synced
	@$(UV) run --frozen pytest $(PARALLEL_FAST) -o testpaths="$(FAST:%=tests/%)" --hypothesis-profile=fast -m "not slow" $(ARGS)

# Branch coverage of all tests, with the operator and CUPS processes that they start. Fails below the goals of tests/coverage.
coverage: .venv/.synced
	@rm -rf build/coverage
	@$(UV) run --frozen coverage run -m pytest $(PARALLEL) $(ARGS)
	@$(UV) run --frozen coverage combine --quiet
	@$(UV) run --frozen python -m tests.coverage build/coverage/data

# Mutation testing of the code that decides, for hours: see tests/mutation/__main__.py. docs/mutation-testing.md has results.
mutation: .venv/.synced
	@$(UV) sync --frozen --inexact --group mutation
	@$(UV) run --frozen --no-sync python -m tests.mutation $(ARGS)

lint: .venv/.synced
	@$(UV) run --frozen ruff format --check .
	@$(UV) run --frozen ruff check .
	@$(UV) run --frozen mypy
	@$(UV) run --frozen lint-imports

format: .venv/.synced
	@$(UV) run --frozen ruff format .
	@$(UV) run --frozen ruff check --fix .

bench: .venv/.synced
	@$(UV) run --frozen python -m tests.bench $(ARGS)

# The chart on a real cluster: see tests/cluster/__main__.py. Needs root, or Docker and kind. Not a part of `make test`.
cluster-test: .venv/.synced
	@$(UV) run --frozen python -m tests.cluster $(ARGS)

docs: .venv/.synced
	@$(UV) run --frozen stationkeeper reasons > docs/reasons.md
	@$(UV) run --frozen python helm/document_values.py
	@$(UV) run --frozen stationkeeper commands > docs/commands.md
	@$(UV) run --frozen python -m website.references

# The documentation as a site, in build/site/site. Fails if a link leads nowhere.
site: .venv/.synced
	@$(UV) run --frozen python -m website.build

clean:
	rm -rf .venv .tools build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

images: .venv/.synced
	@for each in cups operator serve; do $(UV) run --frozen python -m images.build $$each || exit 1; done

# The steps of a release that need no network: see release/check.py. Only the first run fetches programs.
release-check: .venv/.synced
	@$(UV) sync --frozen --inexact --group release
	@UV=$(UV) $(UV) run --frozen --no-sync python -m release.check $(ARGS)

chart: .venv/.synced
	@UV=$(UV) $(UV) run --frozen python -m release.chart $(ARGS)

audit: | $(UV)
	@UV=$(UV) bash images/audit.sh

proxies: .venv/.synced
	@$(UV) sync --frozen --inexact --group proxies

# Check that the base image of the Containerfile has the given digest. Needs docker and a network.
base-image: .venv/.synced
	@$(UV) run --frozen python -m images.base_image

# Get helm 3, so that the chart's tests with helm 3 are not skipped. A build takes minutes.
helm-3: .venv/.synced
	@$(UV) run --frozen python -m tests.contract.helm_3

.venv/.synced: pyproject.toml uv.lock | $(UV)
	@echo "Installing the Python packages that uv.lock pins into .venv"
	@$(UV) sync --frozen
	@touch $@

.tools/bin/uv:
	@echo "Installing uv $(UV_VERSION) into .tools"
	@python3 -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
