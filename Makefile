SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
NODE := node_modules/.bin/node
JEST := npm run -s jest --
INSTALLED := node_modules/.installed

## help: what can be made
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST) | sed -E 's/^([^:]+): /\1\t/' | awk -F'\t' '{ printf "  %-16s %s\n", $$1, $$2 }'

# The packages, Node 24 among them. A checkout that moved to another lock file installs again.
$(INSTALLED): package.json package-lock.json
	@bash tests/support/require.sh npm
	npm ci --no-progress
	@touch $@

## demo: the whole system on this machine; ARGS="--sellers 2000 --port-base 9080 --detach"
demo: $(INSTALLED)
	@bash tests/support/require.sh java maven
	@exec $(NODE) services/demo/main.ts $(ARGS)

## demo-stop: stop a demo that was started with --detach
demo-stop: $(INSTALLED)
	@$(NODE) services/demo/main.ts stop $(ARGS)

## test: everything: types, lint, specs, system, browser and fuzz tests
test: check unit system browser fuzz

## check: types, lint, boundaries, unused code, generated documents
check: $(INSTALLED)
	npm run -s types
	npm run -s lint
	npm run -s generate -- --check

## unit: specs beside the code, and one contract suite a port
unit: $(INSTALLED)
	@bash tests/support/require.sh java maven
	$(JEST) --selectProjects unit contract --maxWorkers 2

## system: the pipeline on real Kafka and PostgreSQL, with processes killed in the middle
system: $(INSTALLED)
	@bash tests/support/require.sh java maven
	$(JEST) --selectProjects system --runInBand

## browser: journeys in Chromium, with and without JavaScript, and accessibility
browser: $(INSTALLED)
	@bash tests/support/require.sh java maven chromium
	$(JEST) --selectProjects browser --runInBand

## fuzz: the API from its own OpenAPI document
fuzz: $(INSTALLED)
	@bash tests/support/require.sh python
	$(NODE) tests/fuzz/run.ts

## generate: JSON Schema, AsyncAPI and OpenAPI documents from the contracts
generate: $(INSTALLED)
	npm run -s generate

## format: lay out the code as the lint wants it
format: $(INSTALLED)
	npm run -s format

## bench-pipeline: the measured pipeline; about 25 minutes, ARGS="--quick" for a glance
bench-pipeline: $(INSTALLED)
	@bash tests/support/require.sh java maven
	$(NODE) bench/pipeline.ts $(ARGS)

.PHONY: help demo demo-stop test check unit system browser fuzz generate format bench-pipeline
