# Everything starts from python3 alone: uv lives in .tools, the product in .venv; nothing outside this folder is touched.
PYTHON ?= python3
UV = .tools/bin/uv
UV_VERSION = 0.13.9
export UV_PYTHON_DOWNLOADS = never
# Every process of the appliance imports some 700 modules; to compile them at each start takes longer than all else it does.
export PYTHONDONTWRITEBYTECODE =
BENCH_WITHIN_S ?= 600
COMPILE = $(UV) pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.12 \
	--override requirements/overrides.txt --custom-compile-command 'make lock' -q

.DEFAULT_GOAL := help
.PHONY: help setup run test check bench clean lock

help: ## list what make can do
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready ## install everything into .venv; afterwards .venv/bin/schoolgate is there

run: .venv/ready ## start the demonstration appliance (DNS 127.0.0.1:5300, proxy 127.0.0.1:8080, desk https://localhost:8443)
	@exec .venv/bin/schoolgate up --demo

test: .venv/ready ## run the whole test suite
	.venv/bin/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

check: .venv/ready ## lint, format, types and import contracts
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: .venv/ready ## run the benchmarks against the peers that are installed, and print ratio tables
	@failed=0; for bench in benchmarks/*.py; do \
		echo "== $$bench (at most $(BENCH_WITHIN_S) s)"; \
		timeout --kill-after=20 $(BENCH_WITHIN_S) .venv/bin/python $$bench || { echo "$$bench ended with code $$?"; failed=1; }; \
	done; exit $$failed

clean: ## remove what setup and the demonstration made
	rm -rf .tools .venv var build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

lock: $(UV) ## recompile requirements/*.txt from requirements/*.in
	$(COMPILE) requirements/runtime.in -o requirements/runtime.txt
	$(COMPILE) requirements/dev.in -o requirements/dev.txt

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 12) and "Schoolgate needs Python 3.12 or newer; try: make PYTHON=python3.13")'
	$(PYTHON) -m venv .tools
	.tools/bin/pip --quiet --disable-pip-version-check install uv==$(UV_VERSION)

.venv/ready: $(UV) requirements/dev.txt pyproject.toml
	test -x .venv/bin/python || $(UV) venv --quiet --python $(PYTHON) .venv
	$(UV) pip sync --quiet --compile-bytecode --python .venv --require-hashes requirements/dev.txt
	$(UV) pip install --quiet --python .venv --no-deps --editable .
	.venv/bin/python -m compileall -q admin_api appliance category_lists change_control dns monitoring policy proxy
	touch $@
