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
# Without Prometheus the demo runs too, and says itself what is missing.
	@bash tests/support/require.sh prometheus 2>/dev/null || true
	@exec $(NODE) services/demo/main.ts $(ARGS)

## demo-stop: stop a demo that was started with --detach
demo-stop: $(INSTALLED)
	@$(NODE) services/demo/main.ts stop $(ARGS)

## test: everything: types, lint, specs, alert rules, system, browser and fuzz tests
test: check unit system browser fuzz

## check: types, lint, boundaries, unused code, generated documents
check: $(INSTALLED)
	npm run -s types
	npm run -s lint
	npm run -s generate -- --check

## unit: specs beside the code, one contract suite a port, and the alert rules
unit: $(INSTALLED)
	@bash tests/support/require.sh java maven python prometheus
	$(JEST) --selectProjects unit contract rules --maxWorkers 2

## system: the pipeline on real Kafka and PostgreSQL, with processes killed in the middle; a short run of the faults
system: $(INSTALLED)
	@bash tests/support/require.sh java maven go promtool chromium
	$(JEST) --selectProjects system --runInBand

## faults: promises under fault; SEED=4711 MINUTES=10 FAULTS=kill-relay,poison ONCE=1 MUTATE=id-cursor|all
faults: $(INSTALLED)
	@bash tests/support/require.sh java maven go
	@SEED=$(SEED) MINUTES=$(MINUTES) FAULTS=$(FAULTS) MUTATE=$(MUTATE) ONCE=$(ONCE) $(NODE) tests/faults/main.ts

## simulate: the real relay, projector, page cache and watcher on virtual time; SEEDS=10000 FROM=1 SEED=4711 MUTATE=id-cursor|all
simulate: $(INSTALLED)
	@SEEDS=$(SEEDS) FROM=$(FROM) SEED=$(SEED) MUTATE=$(MUTATE) $(NODE) tests/simulation/main.ts

## faults-checkers: the specs of the checkers, those in Go included
faults-checkers: $(INSTALLED)
	@bash tests/support/require.sh go
	cd tests/faults/linearizability && PATH="$$PATH:/usr/local/go/bin" go vet ./... && PATH="$$PATH:/usr/local/go/bin" go test ./...
	$(JEST) --selectProjects unit tests/faults

## faults-recovery: kill -9 of each role under 1,000 events/s, until caught up; ARGS="--runs 5"
faults-recovery: $(INSTALLED)
	@bash tests/support/require.sh java maven
	$(NODE) bench/recovery-roles.ts $(ARGS)

## conformance-consumer: plays a hostile topic to a consumer of yours; CONSUMER='python consumer.py' STATE=http://localhost:9000/state
conformance-consumer: $(INSTALLED)
	@bash tests/support/require.sh java maven
	@CONSUMER='$(subst ','\'',$(CONSUMER))' STATE='$(STATE)' PATIENCE='$(or $(PATIENCE),60)' $(NODE) tests/conformance/consumer/main.ts

## conformance: tries a page of yours that runs; PAGE='http://localhost:9000/sellers/{sellerId}' SELLERS=1..50 METRICS=… JUNIT=file.xml ARGS="--help"
conformance: $(INSTALLED)
	@$(NODE) tests/conformance/page/main.ts $(foreach one,$(PAGE_OPTIONS),$(call page_option,$(one))) $(ARGS)
PAGE_OPTIONS := PAGE SOURCE TOKEN_URL SELLERS METRICS JUNIT
page_option = $(if $($1),--$(subst _,-,$(shell echo $1 | tr A-Z a-z)) '$(subst ','\'',$($1))')

## rules: the alert rules by Prometheus' own tool, each firing and silent
rules: $(INSTALLED)
	@bash tests/support/require.sh promtool
	$(JEST) --selectProjects rules

## browser: journeys in Chromium, with and without JavaScript, and accessibility
browser: $(INSTALLED)
	@bash tests/support/require.sh java maven chromium prometheus
	$(JEST) --selectProjects browser --runInBand

## pictures: the README's, of a demo that runs; ARGS=9080 for another base of its ports
pictures: $(INSTALLED)
	@bash tests/support/require.sh chromium
	$(NODE) tests/browser/pictures.ts $(ARGS)

## fuzz: the API from its own OpenAPI document
fuzz: $(INSTALLED)
	@bash tests/support/require.sh python
	$(JEST) --selectProjects fuzz --runInBand

## chart: lint and a security scan of the chart and the plain manifests, over every values file
chart: $(INSTALLED)
	@bash tests/support/require.sh python helm
	$(NODE) tests/chart/check.ts

## sbom: what the image has beside its base, into dist/sbom.cdx.json, and whether each licence is allowed
sbom: $(INSTALLED)
	@$(NODE) tests/support/sbom.ts

## page-kit: the npm package for pages of others, into .cache/page-kit
page-kit: $(INSTALLED)
	@bash tests/support/require.sh npm
	@$(NODE) generate/page-kit.ts

## generate: documents of the contracts, dashboards and alert rules; definitions, schema and table of values of the chart
generate: $(INSTALLED)
	npm run -s generate

## manifests: the objects as plain YAML in dist/manifests, for GitOps; NAMESPACE=shop ARGS="--values my.yaml --keda"
manifests: $(INSTALLED)
	$(NODE) cdk8s/main.ts --values charts/top-clients/values.yaml --namespace $(NAMESPACE) --out dist/manifests $(ARGS)

## format: lay out the code as the lint wants it
format: $(INSTALLED)
	npm run -s format

## bench-pipeline: the measured pipeline; about 12 minutes, ARGS="--quick" for a glance
bench-pipeline: $(INSTALLED)
	@bash tests/support/require.sh java maven go
	$(NODE) bench/pipeline.ts $(ARGS)

## bench: the deliveries compared on real PostgreSQL and Kafka; QUICK=1 for under five minutes, ARGS="--help" for flags
bench: $(INSTALLED)
	@bash tests/support/require.sh java maven go
	$(NODE) bench/comparison/main.ts $(if $(QUICK),--quick) $(ARGS)

## bench-checkers: whether the load generator tells of a server that stalls
bench-checkers: $(INSTALLED)
	@bash tests/support/require.sh go
	$(JEST) --selectProjects bench

## bench-scale: cost per event against rate, sellers, pages, shards, clients; building a view; pages; about 15 minutes, QUICK=1 for a glance, ARGS="--only pages" for a part
bench-scale: $(INSTALLED)
	@bash tests/support/require.sh java maven go
	$(NODE) bench/scale/main.ts $(if $(QUICK),--quick) $(ARGS)

## bench-report: keeps the last results, and puts tables and plots into bench/README.md, docs/comparison.md, docs/scale.md
bench-report: $(INSTALLED)
	@$(NODE) bench/render.ts
	@$(NODE) bench/comparison/render.ts
	@[ ! -e bench/results/scale/results.json ] || $(NODE) bench/scale/render.ts

# --- On a cluster. CLUSTER=kind (the default) makes one with kind, CLUSTER=local one without a container engine (as root
# on Debian); CLUSTER=existing takes that of KUBECONFIG, whose nodes have the image already.
CLUSTER ?= kind
IMAGE ?= top-clients:dev
NAMESPACE ?= top-clients
KIND_NAME := top-clients
ifeq ($(CLUSTER),kind)
export KUBECONFIG := $(CURDIR)/.cache/kind.kubeconfig
else ifeq ($(CLUSTER),local)
LOCAL_CLUSTER := tests/kind/cluster/cluster
export KUBECONFIG := $(shell $(LOCAL_CLUSTER) kubeconfig)
export PATH := $(shell $(LOCAL_CLUSTER) bin):$(PATH)
endif

## image: the container image of every role; IMAGE=top-clients:dev
image:
	@bash tests/support/require.sh docker
	docker build --tag $(IMAGE) .

## image-size: how large the image is, layer by layer, and packed as a node pulls it; IMAGE=top-clients:dev
image-size: $(INSTALLED)
	@$(NODE) tests/support/image-size.ts $(IMAGE)

# --- A release: .github/workflows/release.yml calls these, for a tag v<version>.

## release-version: refuses a tag that is not the version of the packages and of the chart; TAG=v0.1.0
release-version:
	@version=$$(sed -nE 's/^  "version": "(.*)",/\1/p' package.json); \
	chart=$$(sed -nE 's/^version: (.*)/\1/p' charts/top-clients/Chart.yaml); \
	app=$$(sed -nE 's/^appVersion: (.*)/\1/p' charts/top-clients/Chart.yaml); \
	[ "$(TAG) $(TAG) $(TAG)" = "v$$version v$$chart v$$app" ] || { \
	  echo "the tag is '$(TAG)', package.json is $$version, the chart $$chart of the app $$app: make them one version" >&2; exit 1; }

## image-publish: builds the image and pushes it with its SBOM and provenance; IMAGE=registry/name:0.1.0 REVISION=commit
image-publish:
	@bash tests/support/require.sh docker
	@mkdir -p dist
	docker buildx build --push --sbom=true --provenance=mode=max --metadata-file dist/image.json \
	  --build-arg VERSION=$(IMAGE_TAG) --build-arg REVISION=$(REVISION) --tag $(IMAGE) .
	@sed -nE 's/.*"containerimage\.digest": "(sha256:[0-9a-f]{64})".*/\1/p' dist/image.json > dist/image.digest && [ -s dist/image.digest ]

## chart-publish: packs the chart and pushes it as an OCI artifact; REGISTRY=registry/charts
chart-publish:
	@bash tests/support/require.sh helm
	helm package charts/top-clients --destination dist
	@helm push dist/top-clients-$$(sed -nE 's/^version: (.*)/\1/p' charts/top-clients/Chart.yaml).tgz oci://$(REGISTRY) 2>&1 | tee dist/chart.push
	@sed -nE 's/.*Digest: (sha256:[0-9a-f]{64}).*/\1/p' dist/chart.push > dist/chart.digest && [ -s dist/chart.digest ]

## kind-up: a cluster in containers on this machine, or without them: CLUSTER=local; nothing to do with CLUSTER=existing
kind-up:
ifeq ($(CLUSTER),kind)
	@bash tests/support/require.sh docker kind kubectl helm
	@mkdir -p .cache
	@kind get clusters 2>/dev/null | grep -qx $(KIND_NAME) || kind create cluster --name $(KIND_NAME) --wait 120s
	@kind get kubeconfig --name $(KIND_NAME) > $(KUBECONFIG) && chmod 600 $(KUBECONFIG)
else ifeq ($(CLUSTER),local)
	@bash tests/support/require.sh debian-root go npm maven
	@$(LOCAL_CLUSTER) up
	@$(LOCAL_CLUSTER) bases
else
	@bash tests/support/require.sh kubeconfig kubectl helm
endif

## kind-load: builds the image and hands it to the cluster's nodes; nothing to do with CLUSTER=existing
kind-load:
ifeq ($(CLUSTER),kind)
	@$(MAKE) --no-print-directory image
	kind load docker-image --name $(KIND_NAME) $(IMAGE)
	docker build --tag $(PAGE_IMAGE) examples/python-page
	kind load docker-image --name $(KIND_NAME) $(PAGE_IMAGE)
else ifeq ($(CLUSTER),local)
	@$(LOCAL_CLUSTER) image . $(IMAGE)
	@$(LOCAL_CLUSTER) image examples/python-page $(PAGE_IMAGE)
else
	@echo "CLUSTER=existing: the nodes must have $(IMAGE) and $(PAGE_IMAGE), or be able to pull them"
endif

## deploy: installs or upgrades the chart, a demo unless told otherwise, and waits until it is ready; NAMESPACE=top-clients ARGS="--values my.yaml"
deploy: kind-up
	helm upgrade --install top-clients charts/top-clients --namespace $(NAMESPACE) --create-namespace \
	  --set image.repository=$(IMAGE_REPOSITORY) --set-string image.tag=$(IMAGE_TAG) $(or $(ARGS),--set topClients.profile=demo)
	kubectl --namespace $(NAMESPACE) wait topclients,pageviews --all --for=condition=Ready --timeout=300s
IMAGE_REPOSITORY = $(shell echo $(IMAGE) | sed -E 's/:[^:\/]*$$//')
# Of a page of somebody else, which the journeys take through the cluster.
PAGE_IMAGE = top-clients-python-page:$(IMAGE_TAG)
IMAGE_TAG = $(shell echo $(IMAGE) | sed -E 's/.*:([^:\/]*)$$/\1/')

## e2e: the journeys through a cluster, in a namespace of their own
e2e: $(INSTALLED) kind-up
	IMAGE=$(IMAGE) PAGE_IMAGE=$(PAGE_IMAGE) $(JEST) --selectProjects kind --runInBand $(ARGS)

## under-load: one suite of what changes under visits and writes, in a cluster that does nothing else; ARGS=autoscaling, brokers, failover, rotation or upgrade
under-load: $(INSTALLED) kind-up
	@test -n "$(ARGS)" || { echo "one suite at a time: make under-load ARGS=failover (or another that make help names)"; exit 2; }
	IMAGE=$(IMAGE) $(JEST) --selectProjects under-load --runInBand under-load/$(ARGS)

## kind-down: removes the cluster that kind-up made
kind-down:
ifeq ($(CLUSTER),kind)
	kind delete cluster --name $(KIND_NAME)
else ifeq ($(CLUSTER),local)
	@$(LOCAL_CLUSTER) down
endif

.PHONY: help demo demo-stop test check unit rules conformance conformance-consumer system faults simulate faults-checkers faults-recovery browser pictures fuzz chart sbom page-kit generate manifests format bench bench-checkers bench-pipeline bench-report bench-scale \
  image image-size release-version image-publish chart-publish kind-up kind-load deploy e2e under-load kind-down
