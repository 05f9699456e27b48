# Two commands matter: `make demo` shows what Sluice does, `make test` proves it. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Builds go here. CI points it at a folder that outlives the checkout.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
RELEASE := $(CARGO_TARGET_DIR)/release
TESTBED := $(RELEASE)/testbed
# The testbed that `up`, `shell`, `demo` and `down` speak of.
NAME ?= demo
# `make demo KUBECONTEXT=…` uses an existing cluster instead of a testbed.
KUBECONTEXT ?=
# What the operator trusts when a MetricsProvider is asked over https.
CERTIFICATES := $(wildcard /etc/ssl/certs/ca-certificates.crt)
# The operator's image, as deploy/ names it.
IMAGE = $(shell sed -n 's/^ *image: //p' deploy/base/operator.yaml)
# Programs that only check, built or fetched once for each version and kept.
TOOLS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sluice-tools
CARGO_DENY := $(TOOLS)/cargo-deny-0.20.2
CARGO_CYCLONEDX := $(TOOLS)/cargo-cyclonedx-0.5.9
HADOLINT := $(TOOLS)/hadolint-2.15.1
# Tests of the cluster that run at once, beside those that run alone.
E2E_THREADS ?= 3

.PHONY: help
help: ## List the targets
	@echo "Sluice: progressive rollouts for Kubernetes"
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16 | sed 's/^/  make /'
	@echo
	@echo "  make demo KUBECONTEXT=…   runs the demo on an existing cluster; it says what it needs there"

.PHONY: tools
tools: # Installs Debian packages that are missing and says what else is, before anything is built
	@tests/tools.sh testbed

.PHONY: build
build: ## Build the operator, the demo application and the testbed
	@tests/tools.sh build
	cargo build --locked --release --workspace --exclude sim --bins

.PHONY: image
image: build ## Pack the images as archives that `ctr images import` and `kind load image-archive` take
	@mkdir -p $(CARGO_TARGET_DIR)/images
	$(TESTBED) image --tag $(IMAGE) --entrypoint /sluice $(addprefix --add ,$(CERTIFICATES)) --out $(CARGO_TARGET_DIR)/images/sluice.tar $(RELEASE)/sluice
	$(TESTBED) image --tag sluice.test/shop:dev --entrypoint /shop --out $(CARGO_TARGET_DIR)/images/shop.tar $(RELEASE)/shop

.PHONY: up
up: tools build ## Bring up a testbed with Sluice installed (NAME=demo)
	tests/install.sh $(TESTBED) $(NAME) $(RELEASE)

.PHONY: shell
shell: ## Open a shell in the testbed, with kubectl, helm, promtool and amtool
	@$(TESTBED) exec --name $(NAME) -- bash

.PHONY: down
down: ## Take the testbed down; nothing of it is left
	@$(TESTBED) down --name $(NAME)

.PHONY: demo
demo: ## Show it: a good version promoted, a bad one taken back, records and alert
ifeq ($(KUBECONTEXT),)
	@[ -x $(TESTBED) ] || echo "The first time, on two cores: 6 minutes for Rust, 5 for Kubernetes, then 2 for the demo itself."
	@$(MAKE) --no-print-directory tools build
	@tests/demo.sh $(TESTBED) $(NAME) $(RELEASE)
else
	@$(MAKE) --no-print-directory build
	@$(RELEASE)/demo --context $(KUBECONTEXT)
endif

.PHONY: test
test: tools lint deny workflows gitops unit sim e2e ## Set up what is needed and run every test

.PHONY: unit
unit: ## Run the tests that need no cluster
	cargo test --locked --workspace --lib --bins
	cargo test --locked --test it --test memory
	cargo test --locked --features otlp --lib -- telemetry run_command

# `make sim SEEDS=100..200` runs these, `make sim SEEDS=17..18 HISTORY=1` shows what happens in one.
SEEDS ?= 10000
HISTORY ?=

.PHONY: sim
sim: ## Run the whole operator on a simulated cluster, seed after seed (SEEDS=10000)
	cargo build --locked --profile sim --package sim
	$(CARGO_TARGET_DIR)/sim/sim $(SEEDS) $(if $(HISTORY),--history,--kept tests/sim/seeds.txt --write $(CARGO_TARGET_DIR)/sim-failures)

# As many seeds as each fault of the list is given to be noticed.
MUTANT_SEEDS ?= 0..10000

.PHONY: mutants
mutants: ## Break the operator on purpose and see which seeds of the simulation notice
	python3 tests/sim/mutants.py $(MUTANT_SEEDS) $(CARGO_TARGET_DIR)/mutants

.PHONY: e2e
e2e: tools build ## Run the end-to-end tests on testbeds of their own
	cargo test --locked --test e2e --no-run
	tests/e2e.sh $(TESTBED) test $(RELEASE) $(E2E_THREADS)

.PHONY: rollbacks
rollbacks: tools build ## Measure the time from a breaching sample to weight 0 over ten rollbacks
	cargo test --locked --test e2e --no-run
	SLUICE_ROLLBACKS=10 tests/e2e.sh $(TESTBED) rollbacks $(RELEASE) 1 scenario_18

.PHONY: takeovers
takeovers: tools build ## Measure how long nobody decides after the leader is killed or told to stop, ten times each
	cargo test --locked --test e2e --no-run
	SLUICE_TAKEOVERS=10 tests/e2e.sh $(TESTBED) takeovers $(RELEASE) 1 scenario_31

.PHONY: interventions
interventions: tools build ## Measure how long it takes until Hold, Resume, Approve and Abort are honoured, ten times each
	cargo test --locked --test e2e --no-run
	SLUICE_INTERVENTIONS=10 tests/e2e.sh $(TESTBED) interventions $(RELEASE) 1 interventions_are_honoured

.PHONY: faults
faults: tools build ## Measure the time to weight 0 under each fault of the API server, three times each
	cargo test --locked --test e2e --no-run
	SLUICE_ROLLBACKS=3 tests/e2e.sh $(TESTBED) faults $(RELEASE) 1 scenario_23

.PHONY: kills
kills: tools build ## Kill the operator 50 times, each at one of its writes, over complete releases of three apps
	cargo test --locked --test e2e --no-run
	SLUICE_KILLS=50 tests/e2e.sh $(TESTBED) kills $(RELEASE) 1 scenario_29_killed_at_any_write

.PHONY: chaos
chaos: tools build ## Run every other end-to-end test with the fault proxy between operator and API server (SLUICE_SEED=1)
	cargo test --locked --test e2e --no-run
	SLUICE_CHAOS=1 tests/e2e.sh $(TESTBED) chaos $(RELEASE) $(E2E_THREADS)

.PHONY: bench
bench: ## Measure what one poll costs the judge, and what counting the delivery figures costs
	cargo bench --locked --bench update --bench delivery

# `make bench-verdicts TABLES=--quick` prints coarse tables and leaves docs/ alone.
TABLES ?=

.PHONY: bench-verdicts
bench-verdicts: ## Simulate the verdicts and write docs/verdict-tables.md; fails if a goal is missed
	cargo build --locked --release --package verdict-tables
	$(RELEASE)/verdict-tables $(TABLES) | tee $(CARGO_TARGET_DIR)/verdict-tables.md
	$(if $(TABLES),,cp $(CARGO_TARGET_DIR)/verdict-tables.md docs/verdict-tables.md)

# `make bench-scale SCALE=1,50 ACTIVE=1,20` takes some minutes and leaves docs/ alone.
SCALE_OF_DOCS := 1,100,1000 1,100,500
SCALE ?= $(firstword $(SCALE_OF_DOCS))
ACTIVE ?= $(lastword $(SCALE_OF_DOCS))
SCALE_OUT = $(if $(filter-out $(SCALE_OF_DOCS),$(SCALE) $(ACTIVE)),$(CARGO_TARGET_DIR),docs)/performance.md

.PHONY: bench-scale
bench-scale: tools build ## Measure memory, requests and times with 1, 100 and 1,000 Rollouts and write docs/performance.md
	tests/scale.sh $(TESTBED) scale $(RELEASE) $(RELEASE)/scale --scale $(SCALE) --active $(ACTIVE) --out $(SCALE_OUT)

.PHONY: crds
crds: ## Write crds/ anew from src/api
	cargo run --locked --quiet --bin sluice -- crds --dir crds

.PHONY: reasons
reasons: ## Write docs/reasons.md anew from src/decide/reasons/list.rs
	cargo run --locked --quiet --bin sluice -- reasons > docs/reasons.md

.PHONY: reference
reference: ## Write docs/reference/ anew: fields, metrics, events, conditions
	cargo run --locked --quiet --bin sluice -- reference --dir docs/reference

.PHONY: rights
rights: ## Write docs/rights.md and the RBAC manifests anew from src/rights
	cargo run --locked --quiet --bin sluice -- rights --dir deploy
	cargo run --locked --quiet --bin sluice -- rights > docs/rights.md

.PHONY: monitoring
monitoring: ## Write the dashboards and the PrometheusRule anew from deploy/monitoring
	cargo run --locked --quiet --package monitoring

.PHONY: manifests
manifests: ## Write deploy/install.yaml and the chart's copies anew from deploy/base, its components and crds/
	deploy/manifests.sh "$$(cargo run --locked --quiet --package testbed --bin testbed -- tool kubectl)" deploy

.PHONY: verify-crds
verify-crds: ## Fail if crds/ is not what src/api says
	cargo test --locked --test it crds::

.PHONY: lint
lint: ## Check format and lints; warnings are errors
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --features sluice/otlp -- -D warnings

# `advisories` too where their database can be had: `make deny DENY="advisories licenses bans sources"`.
DENY ?= licenses bans sources

.PHONY: deny
deny: $(CARGO_DENY) ## Check licences, duplicates and sources of the dependencies against deny.toml
	$(CARGO_DENY)/bin/cargo-deny --locked check -D warnings $(DENY)

.PHONY: sbom
sbom: $(CARGO_CYCLONEDX) ## Write the list of the operator's crates (CycloneDX) to target/sluice.cdx.json
	tests/release/sbom.py $(CARGO_CYCLONEDX)/bin/cargo-cyclonedx target/sluice.cdx.json

# Checking needs no fast program: without optimisation it is built in half the time. In a folder of its own, that goes.
$(TOOLS)/cargo-%:
	env -u CARGO_TARGET_DIR cargo install --locked --debug --quiet --root $@.part \
	  --version $(lastword $(subst -, ,$*)) $(patsubst %-$(lastword $(subst -, ,$*)),%,cargo-$*)
	mv $@.part $@

$(HADOLINT): tests/workflows/requirements.txt
	python3 -m pip install --quiet --no-input --no-deps --require-hashes --only-binary :all: --target $@.part --requirement $<
	rm -rf $@ && mv $@.part $@ && touch $@

.PHONY: workflows
workflows: $(HADOLINT) ## Check the workflows and the Dockerfile with their linters
	cd tests/workflows && go tool actionlint -no-color $(CURDIR)/.github/workflows/*.yml
	$(HADOLINT)/bin/hadolint Dockerfile

.PHONY: gitops
gitops: ## Run what deploy/gitops holds for Argo CD and Flux over Rollouts of every phase
	cd tests/gitops && go vet . && go test -count=1 .

.PHONY: fmt
fmt: ## Format the code
	cargo fmt --all

.PHONY: clean
clean: ## Remove what was built here; the testbed's cache stays
	cargo clean
