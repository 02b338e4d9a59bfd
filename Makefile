# What a person types. "make help" lists it.
#
# check is for every save: no root, no cluster. test is everything, as a CI runs it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Machines and their network need root. sudo forgets where go is.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo env "PATH=$(PATH)")

# A commit is written into the program where git can tell it; nothing needs it.
VCS := $(shell git rev-parse HEAD >/dev/null 2>&1 || echo -buildvcs=false)

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

FILE ?= cluster.yaml

# The clusters of make prove.
SHAPES ?= $(basename $(notdir $(wildcard docs/proof/*.yaml)))

# All but the tests on a real cluster, which are a target of their own.
PACKAGES = $$(go list ./... | grep -v '^craton.dev/craton/test')

# Packages without effects on the host: these run with the race detector.
PURE = ./contract/... ./cluster/... ./plan/... ./packets/... ./filter/... ./cloud/... ./audit/... ./pki/... ./render/... ./operate/... ./doctor/... ./command/... ./cli/... ./health/... ./console/...

# Tests that take ten minutes and more, or whose bounds in seconds a busy host does not keep.
LONG := ^(TestExamples|TestRecoverMasters|TestReplace.*|TestInfra|TestExternalEtcd|TestSelfHostedEtcdMasters|TestSignIn|TestServices|TestSockets|TestSabotage|TestAlerts.*|TestIngress|TestOptions|TestScaleMasters)$$

# Packages with tests on real etcd and API servers, which these variables name.
ON_ETCD = $$(grep -rlE --include='*_test.go' 'CRATON_(ETCD|APISERVER)' . | xargs -n 1 dirname | sort -u)

.PHONY: help setup setup-test build check lint test unit race fuzz cluster-test faults-short test-long test-faults prove minimum conformance conformance-network up down golden docs bench

help: ## say what the targets are
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile | expand -t 22

setup: ## install what clusters need from Debian's packages
	scripts/setup

setup-test: ## and what the tests need besides
	scripts/setup test

build: ## build bin/craton
	CGO_ENABLED=0 go build $(VCS) -o bin/craton ./cmd/craton

check: lint ## formatting, vet, linters and quick tests: no root, no cluster
	go test -short $(PACKAGES)

lint: ## formatting, vet, linters
	scripts/format
	go vet ./...
	go run $(STATICCHECK) ./...

test: setup-test lint unit race fuzz cluster-test faults-short ## everything, with a real cluster

unit: bin/promtool ## all tests that need no cluster, also the slow ones
	CRATON_PROMTOOL=$(CURDIR)/bin/promtool go test -timeout 20m $(PACKAGES)

# Evaluates alerts as the Prometheus of the payload does.
bin/promtool: payload/source/prometheus/module.mod payload/source/prometheus/module.sum
	CGO_ENABLED=0 go build -buildvcs=false -modfile=$< -trimpath -tags remove_all_sd -ldflags "-s -w" -o $@ github.com/prometheus/prometheus/cmd/promtool
	touch $@

# The race detector allocates memory itself, so tests that count it say nothing here.
race: ## the pure packages' tests with the race detector
	CGO_ENABLED=1 go test -short -race -skip '^TestGrowthIsLinear$$' $(PURE)

fuzz: ## a minute of fuzzing, shared by all fuzz tests
	scripts/fuzz 60

# The payload is built first, so that a cold cache does not count in the tests' time limit.
cluster-test: build ## a real cluster: up, use, change, kill, down
	$(SUDO) bin/craton payload build
	$(SUDO) bin/craton payload build dex traefik
	CRATON_ETCD=$$($(SUDO) bin/craton payload path etcd) CRATON_APISERVER=$$($(SUDO) bin/craton payload path kube-apiserver) \
		CRATON_DEX=$$($(SUDO) bin/craton payload path dex) go test $(ON_ETCD) -count=1 -timeout 10m
	$(SUDO) go test ./test/... -count=1 -timeout 40m -v -skip "$(LONG)"

test-long: build ## what takes too long for make test: masters replaced, quorum lost for good, no load balancer, external etcd
	$(SUDO) go test ./test/... -count=1 -timeout 60m -v -run "$(LONG)"

faults-short: build ## the faults that matter most, on real clusters: less than five minutes
	mkdir -p bin/faults-report
	$(SUDO) go run ./faults -short -report bin/faults-report/short.md

test-faults: build ## faults on real clusters, for hours; FAULTS="-short" for a subset, and other flags
	mkdir -p bin/faults-report
	$(SUDO) go run ./faults -report bin/faults-report/faults.md $(FAULTS)

prove: build ## what each clause is for, by experiment on the clusters of docs/proof: more than an hour; SHAPES="1+1-minimal" for some
	for shape in $(SHAPES); do \
		$(SUDO) bin/craton prove --again --file docs/proof/$$shape.yaml --results docs/proof/$$shape.json; \
	done
	bin/craton docs --dir docs

minimum: build ## how small machines can be, by halving, on clusters of minimum/measured: hours; MINIMUM="--for 15m" and other flags
	for file in minimum/measured/*.yaml; do \
		$(SUDO) bin/craton minimum --file $$file --results $${file%.yaml}.json $(MINIMUM) || exit; \
	done
	bin/craton docs --dir docs

# Hours on two cores, so what has passed is not run again: CONFORMANCE=-again does.
conformance: build ## upstream's conformance tests, behind the plan's rules: hours; CONFORMANCE="-part 1/4" and other flags
	for profile in document minimal; do $(SUDO) go run ./conformance -profile $$profile $(CONFORMANCE) || failed=1; done; \
		$(SUDO) go run ./conformance -page docs/conformance.md; exit $${failed:-0}

conformance-network: ## those about the network only
	$(MAKE) conformance CONFORMANCE="-focus '^\[sig-network\]' $(CONFORMANCE)"

up: setup build ## bring the cluster of cluster.yaml (or FILE=…) up
	@test -e $(FILE) || bin/craton init --file $(FILE)
	$(SUDO) bin/craton up --file $(FILE)

down: build ## remove it
	$(SUDO) bin/craton down --file $(FILE)

golden: ## rewrite the files that tests compare with, and docs/: read the differences
	go test -short $$(grep -rl '"craton.dev/craton/golden"' --include=*_test.go . | xargs -n1 dirname | sort -u | grep -v '^./golden$$') ./cli -update

docs: build ## write the generated pages and the picture in docs/
	bin/craton docs --dir docs
	bin/craton plan --file examples/small.yaml -o svg > docs/picture.svg

# Each pair is measured in the same run, five times: about half an hour.
bench: build ## the table of ratios, against kubeadm and the physical limits
	$(SUDO) go run ./bench
