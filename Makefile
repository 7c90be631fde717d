# Two commands: `make run` starts the service, `make test` runs every test. `make help` lists the rest.

LISTEN ?= 127.0.0.1:3000
WASM := --profile component --target wasm32-wasip2
# Without an operating system: what is built for it imports nothing.
PLAIN_WASM := --profile component --target wasm32-unknown-unknown
PLAIN_PACKAGES := birthday-greeting config-variables-adapter cors-example environment-variables-adapter key-value-adapter no-key-value-adapter
# A workspace of its own, because its peers are no dependency of ours.
BENCH := --manifest-path bench/Cargo.toml --target-dir target
STAGE = @printf '\n== %s\n'
STAGES = format lint scripts release-check observability charts infra-check aws-page components unit-tests host-tests docs \
	contract-tests schemathesis browser embedding

# The architecture of the image: amd64, arm64, or all. Default: that of this machine.
ARCH ?= $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,amd64)
ARCHITECTURES = $(if $(filter all,$(ARCH)),amd64 arm64,$(ARCH))
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)

.PHONY: help run test bench toolchain postgresql tools components format lint scripts unit-tests host-tests docs contract-tests \
	schemathesis browser embedding test-embedding failover observability charts image-tools image image-tests lambda bench-tools profile \
	minikube-up deploy deploy-spin undeploy minikube-down cluster-tools test-cluster cluster release-check release release-tests \
	rehearse-release workflows scan infra-check infra infra-mutations infra-moto infra-pipeline aws-page diagram

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: toolchain ## Build and start the service; data lives in birthday.db.
	cargo build --release
	@printf '\nTo try, from another terminal:\n\n'
	@printf "  curl -i -X PUT -d '{\"dateOfBirth\":\"2000-10-01\"}' http://$(LISTEN)/hello/bob\n"
	@printf '  curl -i http://$(LISTEN)/hello/bob\n\n'
	@exec target/release/birthday-host --listen $(LISTEN)

# The image is linked by one thread, for minutes, and many tests wait, so it is built beside them.
test: toolchain postgresql tools image-tools ## Run every test.
	@scripts/side-by-side target/image/build.log '$(MAKE) --no-print-directory image' '$(MAKE) --no-print-directory $(STAGES)'
	@$(MAKE) --no-print-directory image-tests
	$(STAGE) 'all stages passed'

toolchain: ## Install the pinned Rust and its targets of WebAssembly, if they are missing.
	$(STAGE) 'toolchain: the Rust of rust-toolchain.toml, with its targets of WebAssembly'
	@scripts/install-toolchain

postgresql: ## Install PostgreSQL, if there is no initdb.
	$(STAGE) 'postgresql: initdb, for private clusters'
	@scripts/install-postgresql

tools: ## Install promtool, haproxy, pgbouncer, Redis and shellcheck, if that starts no services.
	$(STAGE) 'tools: promtool, haproxy, pgbouncer, Redis and shellcheck'
	@scripts/install-tools

format:
	$(STAGE) 'format: cargo fmt'
	cargo fmt --all --check
	cargo fmt --manifest-path bench/Cargo.toml --all --check

# In the profile of the builds after it, so that build scripts and procedural macros are built once.
lint:
	$(STAGE) 'lint: clippy, warnings denied'
	cargo clippy --locked --release --workspace --exclude birthday-test-guest --all-targets -- --deny warnings
	cargo clippy --locked --package birthday-test-guest $(WASM) -- --deny warnings
	cargo clippy --locked --package birthday-component $(WASM) -- --deny warnings
	cargo clippy --locked --package postgres-adapter $(WASM) -- --deny warnings
	cargo clippy --locked --package spin-example $(WASM) -- --deny warnings
	for package in $(PLAIN_PACKAGES); do cargo clippy --locked --package $$package $(PLAIN_WASM) -- --deny warnings || exit; done
	cargo clippy --locked $(BENCH) --workspace --all-targets -- --deny warnings

scripts:
	$(STAGE) 'scripts: shellcheck'
	@if command -v shellcheck >/dev/null; then \
		shellcheck $$(grep --files-with-matches --max-count 1 '^#!.*sh$$' .ci/run scripts/* charts/*/files/*.sh infra/terraform/tests/*.sh); \
	else \
		echo 'skipped: there is no shellcheck'; \
	fi

# It takes two minutes on two cores, most of it for three simulated days.
observability: ## Check the alert rules.
	$(STAGE) 'observability: the alert rules and their tests'
	@if command -v promtool >/dev/null; then \
		promtool check rules observability/alerts.yaml && promtool test rules observability/alerts_test.yaml; \
	else \
		echo 'skipped: there is no promtool'; \
	fi

# The first time it takes ten minutes of CPU, eight and a half of them for building the tools (measured on a busy machine). Then it takes one.
charts: ## Check the charts: every preset and every value, rendered by helm 3 and 4.
	$(STAGE) 'charts: lint, goldens, rules, refusals, schemas of Kubernetes; the applications of infra/gitops'
	@scripts/install-chart-tools
	@if [ -x target/tools/bin/kube-score ]; then export CGO_ENABLED=0; cd tests/charts && go test -trimpath -count 1 && \
		cd gitops && go test -trimpath -count 1; fi

infra-check: ## Check format and tests of the infrastructure, as prod has it.
	$(STAGE) 'infra: format, tests of each layer of infra/terraform, and the role that the API has in the database'
	@scripts/infra check
	@infra/terraform/tests/hello_api.sh

infra: ## Validate, test and scan the infrastructure, for each environment.
	$(STAGE) 'infra: every layer of infra/terraform in dev, staging and prod; tflint, checkov'
	@scripts/infra test
	@scripts/infra scan

infra-mutations: ## Show that each assertion on the infrastructure can fail.
	$(STAGE) 'infra: mutations of infra/terraform, each of which a test must notice'
	@scripts/infra mutations

# Not part of `make test`: Terraform, moto and the client of AWS are started many times, which takes a minute of CPU.
infra-pipeline: ## Rehearse the workflow of the infrastructure: plans, comments, applying, drift.
	$(STAGE) 'infra: the scripts of the workflow, with layers that need no account, moto, and a stand-in for GitHub'
	@scripts/infra-pipeline-tests

infra-moto: ## Apply what a simulation of AWS can carry, plan it again, and destroy it.
	$(STAGE) 'infra: bootstrap, network and parts of the other layers, applied against moto'
	@scripts/infra-moto

aws-page: ## Check that docs/aws.md has the costs and the diagrams that their sources make.
	$(STAGE) 'aws-page: costs and diagrams of docs/aws.md'
	@scripts/aws-page

diagram: ## Draw the diagrams of docs/aws.md, and compute its costs.
	@scripts/install-diagram-tools
	@target/tools/diagram/bin/python scripts/diagram
	@scripts/costs write

# One by one, so that birthday.wasm is built exactly as `spin build` and the host's build script build it.
components: ## Build all components: birthday.wasm, greeting.wasm, the adapters, and what tests serve.
	$(STAGE) 'components: birthday.wasm, greeting.wasm, the adapters, and the guest of the tests'
	cargo build --locked --package birthday-component $(WASM)
	cargo build --locked --package birthday-test-guest $(WASM)
	cargo build --locked --package postgres-adapter $(WASM)
	cargo build --locked --package spin-example $(WASM)
	for package in $(PLAIN_PACKAGES); do cargo rustc --locked --package $$package $(PLAIN_WASM) -- -Clinker=wasm-component-ld || exit; done

# Package by package, so that each is built with the features that it ships with, and wasmtime is built once.
unit-tests:
	$(STAGE) 'unit tests of the rule, the component and the bench'
	cargo test --locked --release --package birthday-rule --package birthday-component
	cargo test --locked $(BENCH) --package birthday-bench

# Together, so that what they share is built once. Most tests wait for a time or for another process, so there are two for each core.
host-tests:
	$(STAGE) 'postgres, runtime, host, lambda: real PostgreSQL servers, days, limits, outages, durability, operations, events'
	@scripts/install-dynalite || true
	@scripts/install-moto || true
	RUST_TEST_THREADS=$$((2 * $$(nproc))) cargo test --locked --release --package pipelined-postgres --package http-component-runtime \
		--package birthday-host --package birthday-lambda

# With what the tests of the host have built: `cargo doc` would have all dependencies checked. In the second run rustdoc describes the
# libraries in place of testing them, and denies what is not documented. `UPDATE_PUBLIC_API=1 make docs` writes the lists of public items.
DOC_TESTS := cargo test --locked --release --doc --package pipelined-postgres --package http-component-runtime --package birthday-host
docs: ## Check the libraries' documentation and public API: no item and no link is missing, examples work, no item has changed.
	$(STAGE) 'docs: the API of the libraries, with its examples, and its list'
	$(DOC_TESTS)
	DESCRIPTIONS=$(CURDIR)/target/public-api RUSTDOC=$(CURDIR)/scripts/describe-library $(DOC_TESTS) --quiet
	cargo test --locked --release --package birthday-tests --test public-api

contract-tests:
	$(STAGE) 'contract: architecture, WIT, world, and every row on every runtime and store'
	@scripts/install-dynalite || true
	cargo build --locked --release
	cargo test --locked --release --package birthday-tests --lib --test architecture --test contract

# Two services at a time, of which each takes less than half a minute.
schemathesis: ## Test the API with requests that are made from its description.
	$(STAGE) 'schemathesis: property-based tests of the API, on every runtime and store'
	@if scripts/install-schemathesis; then cargo test --locked --release --package birthday-tests --test schemathesis; fi

# One file of tests at a time: each has a browser and hosts of its own, and at most five minutes. Screenshots: `UPDATE_SCREENSHOTS=1 make browser`.
browser: ## Test the pages in a headless Chromium.
	$(STAGE) 'browser: the pages, as a person uses them'
	@if scripts/install-browser; then cd tests/browser && node --test --test-concurrency=1 --test-timeout=300000; fi

# The feature sets of axum's dependencies differ from the host's, so wasmtime is built a second time for its example.
embedding: ## Run the examples of examples/ by their READMEs, where that is quick.
	$(STAGE) 'embedding: the component in programs of Python and JavaScript, by the commands of their READMEs'
	@echo 'skipped: examples/axum, which builds wasmtime again; make test-embedding runs it'
	cargo test --locked --release --package birthday-tests --test embedding -- --skip axum
	@if scripts/install-browser; then npm test --prefix examples/javascript; fi

test-embedding: toolchain postgresql components ## Run all examples by their READMEs, and the Postgres of the adapter.
	$(STAGE) 'embedding: every example by the commands of its README; the adapter of Postgres under wasmtime'
	@scripts/install-embedding-tools
	@scripts/install-browser
	PATH="$(CURDIR)/target/tools/embedding/bin:$$PATH" cargo test --locked --release --package birthday-tests \
		--test embedding --test adapter

# Not part of `make test`, because it takes twelve minutes on a busy machine, most of them for Patroni.
failover: toolchain postgresql tools ## Kill and replace poolers, databases and primaries under load, and print what that costs.
	$(STAGE) 'failover: pgbouncer and Patroni under 200 requests a second'
	@scripts/install-patroni || true
	cargo build --locked --release
	cargo test --locked --release --package birthday-tests --test failover

image-tools: ## Install the tools that build the image, if they are missing.
	$(STAGE) 'image-tools: buildah; zig, cargo-zigbuild and cargo-cyclonedx in target/tools'
	@scripts/install-buildah
	@scripts/install-image-tools $(ARCHITECTURES)

image: toolchain image-tools ## Build the container image, for ARCH=amd64, arm64 or all.
	$(STAGE) 'image: $(ARCHITECTURES)'
	scripts/image-files $(ARCHITECTURES)
	scripts/image $(ARCHITECTURES)

image-tests: ## Test the image that `make image` has built.
	$(STAGE) 'image: its content, and every row of the contract on its binary'
	set -e; for architecture in $(ARCHITECTURES); do \
		BIRTHDAY_IMAGE=target/image/birthday-host-$(VERSION)-$$architecture.oci.tar \
			cargo test --locked --release --package birthday-tests --test contract; \
	done

lambda: toolchain ## Build the zip of the AWS Lambda function, for ARCH=amd64, arm64 or all.
	$(STAGE) 'lambda: $(ARCHITECTURES)'
	@scripts/install-image-tools $(ARCHITECTURES)
	scripts/lambda-zip $(ARCHITECTURES)

# What is measured, for how long, and where the results go: `make bench BENCH_OPTIONS=--help`.
BENCH_OPTIONS ?=

bench-tools: toolchain postgresql
	@scripts/install-image-tools $(ARCH)
	@scripts/install-bench-tools
	cargo build --locked --release
	cargo build --locked --package birthday-component $(WASM)
	cargo build --locked --release $(BENCH) --workspace

bench: bench-tools ## Measure the service beside native servers; it takes long.
	scripts/image-files $(ARCH)
	target/release/birthday-bench $(BENCH_OPTIONS)

profile: bench-tools ## Record a profile of the host under load, which optimizes the image.
	scripts/profile $(ARCH)

# Releases: docs/releasing.md.

TAG ?=

release-check: ## Check that every place has the version of Cargo.toml, which is that of TAG=v1.2.3.
	$(STAGE) 'release-check: one version in every place'
	@if command -v python3 >/dev/null; then scripts/release-version check $(TAG); else echo 'skipped: there is no python3'; fi

release: components image lambda ## Make the files of a release, for ARCH=amd64, arm64 or all, and test them.
	$(STAGE) 'release: archives, zips, components, charts, SBOMs and checksums in target/release-artifacts'
	@scripts/install-release-tools packaging
	scripts/release-artifacts $(ARCHITECTURES)
	@$(MAKE) --no-print-directory release-tests

release-tests:
	$(STAGE) 'release: its files, as a user takes them'
	scripts/release-tests

# Not part of `make test`, because cosign takes minutes to build.
rehearse-release: ## Push, sign and verify what `make release` has made, on a registry of this machine.
	$(STAGE) 'release: pushed to a registry of this machine, signed with a key that is thrown away, verified'
	@scripts/install-release-tools rehearsing
	scripts/rehearse-release

# Not part of `make test`: building actionlint takes longer than what it checks.
workflows: ## Check the workflows of GitHub by actionlint and zizmor.
	$(STAGE) 'workflows: actionlint, zizmor, rulesets'
	@scripts/check-workflows

# Not part of `make test`, because the history grows, and advisories change without us.
scan: ## Scan for secrets, licences and advisories, with the scanners that there are.
	$(STAGE) 'scan: gitleaks, cargo-deny, osv-scanner, grype'
	@scripts/scan secrets
	@scripts/scan dependencies
	@scripts/scan image

# On minikube: docs/kubernetes.md.

minikube-up: ## Start a cluster in minikube.
	@scripts/minikube up

deploy: image ## Install API and database there, and print how to try them.
	@scripts/minikube deploy

deploy-spin: components ## Install SpinKube there, and the API as a SpinApp.
	@scripts/minikube deploy-spin

undeploy: ## Uninstall them, with all data.
	@scripts/minikube undeploy

minikube-down: ## Delete the cluster.
	@scripts/minikube down

# Not part of `make test`, because its tools take long to build. Tests and tools are compiled with the same flags, so that shared packages
# are compiled once.
IN_CLUSTER = cd tests/cluster && CGO_ENABLED=0 go

cluster-tools:
	$(STAGE) 'cluster tools: a Kubernetes control plane, kwok, helm and the spin-operator'
	@scripts/install-cluster-tools

test-cluster: cluster-tools ## Install the charts on a real control plane, without containers.
	$(STAGE) 'cluster: both charts in both runtimes on a control plane with simulated nodes'
	$(IN_CLUSTER) vet -trimpath ./...
	$(IN_CLUSTER) test -trimpath -p 2 -parallel 6 -count 1 -timeout 20m -v .

cluster: cluster-tools ## Start that control plane, and leave it running.
	$(IN_CLUSTER) build -trimpath -p 2 -o ../../target/tools/bin/cluster ./cmd/cluster
	@exec target/tools/bin/cluster $(CLUSTER_OPTIONS) target/tools/bin target/cluster
