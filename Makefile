# Thin lines over supply/setup, pulumi, pytest and `python -m ops`; `make help` lists them.
# `eval "$(make -s env)"` gives a shell in which plain pulumi works as well.

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help up preview down health alerts routes rotate-secret recover test python check unit test-rules e2e bench \
  update-snapshots render password load env lock settings-reference
STACK ?= dev
export STACK
# Compiling this project's modules is a third of the program's time: whatever the shell says, the next run finds them.
export PYTHONDONTWRITEBYTECODE :=

# `make check unit` does both at the same time; all else is done in the order in which it is asked for.
ifeq ($(sort $(MAKECMDGOALS)),check unit)
# Each prints in one piece where this make can hold it back (4.0 can).
MAKEFLAGS += -j2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
else
.NOTPARALLEL:
endif

# GNU make 3.81, which macOS has, knows no .SHELLFLAGS.
WITH_ENV := set -eu -o pipefail; [ -f .local/env ] || { echo 'run `make up` first' >&2; exit 1; }; . .local/env;
# The dev stack is made without questions; for others pulumi shows what it would do and asks.
CONFIRM := $(if $(filter dev,$(STACK)),--yes --skip-preview,)
# Who hands over a saved plan has approved it.
APPLY_FLAGS = $(if $(PLAN),--yes --skip-preview --plan $(PLAN),$(CONFIRM))
# Of a plan that it refuses, Pulumi repeats what was planned, a secret that has another value by now included.
REDACT := $(if $(PLAN),2>&1 | awk '{ sub(/violates plan: .*/, "violates plan"); print; fflush() }',)
# For a program: JSON=file tells what was done, however it ended, from the events that Pulumi logs for its Automation API.
EVENT_FILE := .local/events.json
EVENT_LOG := $(if $(JSON),--event-log $(EVENT_FILE))
WRITE_SUMMARY := $(if $(JSON),export PULUMI_DEBUG_COMMANDS=true; rm -f $(EVENT_FILE); \
  trap 'python -m ops summarize-events $(EVENT_FILE) >$(JSON); rm -f $(EVENT_FILE)' EXIT;)
MKDIRS := $(if $(PLAN)$(JSON),mkdir -p $(dir $(PLAN) $(JSON));)
# Pulumi warns once per plugin that it found on PATH; that is in .local/pulumi.log.
FILTER := $(if $(filter dev,$(STACK)),2>&1 | tee .local/pulumi.log | grep --line-buffered -v 'using pulumi-',)

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

up: ## Bring the stack up (STACK=dev) and show that it is healthy; PLAN=file applies just that plan
	@supply/setup stack $(STACK)
	@$(WITH_ENV) $(MKDIRS) $(WRITE_SUMMARY) pulumi up --stack $(STACK) $(APPLY_FLAGS) $(EVENT_LOG) $(REDACT) $(FILTER)
	@$(WITH_ENV) python -m ops health --gate --urls
	@supply/setup notes

preview: ## Show what `make up` would change; PLAN=file saves it for approval, EXPECT=no-changes fails for any
	@supply/setup stack $(STACK)
	@$(WITH_ENV) $(MKDIRS) $(WRITE_SUMMARY) pulumi preview --stack $(STACK) $(if $(PLAN),--save-plan $(PLAN)) \
	  $(if $(EXPECT),--expect-$(EXPECT)) $(EVENT_LOG) $(FILTER)

down: ## Take the stack down; its settings say whether the data is kept
	@supply/setup stack $(STACK)
	@$(WITH_ENV) python -m ops volume-policy
	@$(WITH_ENV) pulumi destroy --stack $(STACK) $(CONFIRM) $(FILTER)

health: ## Say whether all that was declared is live
	@supply/setup stack $(STACK)
	@$(WITH_ENV) python -m ops health

alerts: ## List a stack's alerts: severity, name, hold time, what each means
	@supply/setup python
	@.venv/bin/python -m ops alerts --stack $(STACK)

routes: ## List the receivers of each alert of a stack, how soon and how often; WRITE=1 writes docs/routes.md again
	@supply/setup python
	@.venv/bin/python -m ops routes --stack $(STACK) $(if $(WRITE),--write)

password: ## Print the Grafana administrator's password
	@$(WITH_ENV) pulumi config get grafana_admin_password --stack $(STACK)

rotate-secret: ## Give one secret a new value, made up or asked for: make rotate-secret SECRET=grafana_admin_password
	@supply/setup stack $(STACK) </dev/null # what comes from standard input is the value
	@$(WITH_ENV) python -m ops rotate-secret $(SECRET)

recover: ## Put things right after an update that was killed, or a lost state; data stays
	@supply/setup stack $(STACK)
	@$(WITH_ENV) python -m ops recover

load: ## Send the demo API a minute of requests
	@$(WITH_ENV) python -m demo.load_generator --seconds 60 --rate 5

render: ## Write the files that would be deployed: make render STACK=dev OUT=dir
	@supply/setup python
	@.venv/bin/python -m ops render --stack $(STACK) $(if $(OUT),--out $(OUT))

test: ## All checks and tests, the end-to-end test on a real engine included
	@$(MAKE) --no-print-directory check unit
	@$(MAKE) --no-print-directory test-rules
	@$(MAKE) --no-print-directory e2e

python:
	@[ ! -e supply ] || supply/setup python

check: python ## Types, style and import order
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

unit: python ## Unit tests: no engine, no network, and no supply/ where a .venv is there
	.venv/bin/pytest -n auto tests/unit

test-rules: ## Rule tests by promtool, routing by amtool, the stand-in against its contract
	@supply/setup tools
	$(WITH_ENV) pytest -n auto --dist worksteal supply/closed_network/grafana/tests tests/test_without_supply.py \
	  tests/test_contributing.py tests/test_promtool.py tests/test_mutation.py tests/test_amtool.py tests/test_scale.py \
	  supply/tests

e2e: ## The end-to-end test, on stacks of its own; FULL=1 adds repetitions that need minutes
	@supply/setup tools
	$(WITH_ENV) pytest -n 2 --dist loadfile --no-loadscope-reorder tests/e2e --ignore tests/e2e/test_engine.py
	$(WITH_ENV) pytest tests/e2e/test_engine.py

bench: ## Measure how long all this takes, as ratios; ROWS="ci ci-cold first-setup" measures what needs minutes
	@supply/setup tools
	@$(WITH_ENV) mkdir -p out; python -m tests.bench $(ROWS) --json out/bench.json

update-snapshots: ## Renew the reviewed renderings in tests/golden; look at `git diff` then
	@supply/setup python
	@.venv/bin/python -m tests.golden

env: ## Print the environment in which plain pulumi works
	@supply/setup tools >&2
	@cat .local/env

settings-reference: ## Write docs/settings.md and stacks/settings.schema.json from the models of the settings
	@supply/setup python
	@.venv/bin/python -m ops settings-reference --write

lock: ## Renew uv.lock and demo/requirements.txt from pyproject.toml
	@supply/setup lock
