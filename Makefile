# imagefit: `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)

# Without the request traces of gRPC, which nothing here shows: they bring html/template, and with it
# the linker keeps every exported method. The daemons are a sixth smaller, on disk and in memory.
TAGS := grpcnotrace
GOBUILD := CGO_ENABLED=0 go build -trimpath -tags '$(TAGS)' -ldflags '$(LDFLAGS)'

# The race detector needs a C compiler.
RACE := $(shell command -v gcc >/dev/null 2>&1 && [ "$$(go env CGO_ENABLED)" = 1 ] && echo -race)

# The real stack needs Linux and root: network namespaces, overlayfs, runc.
STACK := $(shell [ "$$(uname -s)" = Linux ] && [ "$$(id -u)" = 0 ] && echo yes)

FUZZTIME ?= 20s

# golangci-lint, from the module of tools; its first build takes minutes.
LINT := go tool -modfile=$(CURDIR)/tools/go.mod golangci-lint

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

.PHONY: build
build: ## build the programs of cmd/ into bin/
	$(GOBUILD) -o bin/ ./cmd/...

PREFIX ?= /usr/local
UNITDIR ?= $(PREFIX)/lib/systemd/system

.PHONY: install
install: ## install what was built below DESTDIR, with units, manual pages, examples and a first configuration
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(UNITDIR) $(DESTDIR)/etc/imagefit $(DESTDIR)$(PREFIX)/share/doc/imagefit/images.d
	install -m 0755 bin/cri-proxy bin/nri-plugin bin/imagefit $(DESTDIR)$(PREFIX)/bin/
	install -m 0644 deploy/systemd/*.socket deploy/systemd/*.service $(DESTDIR)$(UNITDIR)/
	sed -i 's|^ExecStart=/usr/local/bin/|ExecStart=$(PREFIX)/bin/|' $(DESTDIR)$(UNITDIR)/cri-proxy.service $(DESTDIR)$(UNITDIR)/nri-plugin.service
	[ -e $(DESTDIR)/etc/imagefit/config.toml ] || install -m 0644 config.toml.example $(DESTDIR)/etc/imagefit/config.toml
	install -m 0644 deploy/images.d/*.toml $(DESTDIR)$(PREFIX)/share/doc/imagefit/images.d/
	bin/imagefit man $(DESTDIR)$(PREFIX)/share/man

.PHONY: uninstall
uninstall: ## remove what make install put below DESTDIR, but for /etc/imagefit and /var/lib/imagefit
	[ -n "$(DESTDIR)" ] || PATH="$(PREFIX)/bin:$$PATH" sh packaging/scripts/preremove remove
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,cri-proxy nri-plugin imagefit)
	rm -f $(addprefix $(DESTDIR)$(UNITDIR)/,$(notdir $(wildcard deploy/systemd/*.socket deploy/systemd/*.service)))
	rm -f $(DESTDIR)$(PREFIX)/share/man/man1/imagefit.1 $(DESTDIR)$(PREFIX)/share/man/man1/imagefit-*.1
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/man/,man5/imagefit-config.toml.5 man8/cri-proxy.8 man8/nri-plugin.8)
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/imagefit
	[ -n "$(DESTDIR)" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload

# As git describe prints it, or a tag like v0.1.0, for which CHANGELOG.md needs a section.
DIST ?= $(CURDIR)/dist

.PHONY: release
release: ## make archives, packages, bills of materials and checksums of VERSION in dist/
	rm -rf $(DIST)
	cd packaging && go run . -source .. -out $(DIST) -version '$(VERSION)'

.PHONY: reproducible
reproducible: ## build the release twice in different folders and compare every byte (not in CI)
	cd packaging && IMAGEFIT_REPRODUCE=1 go test -count 1 -timeout 60m -run '^TestTwoBuildsAreIdentical$$' .

.PHONY: demo
demo: build ## run everything once: registry, containerd, runc, proxy, plugin
	@peers=$$(bash integration/peers/build.sh | tail -n 1) && cd integration && \
	  IMAGEFIT_PEERS=$$peers go run ./cmd/demo --bin ../bin

# A control plane on this machine, and what runs on it. Cleans up after itself.
CLUSTER = peers=$$(bash integration/peers/build.sh workload cluster | tail -n 1) && cd integration/cluster && \
  IMAGEFIT_PEERS=$$peers IMAGEFIT_REQUIRE_STACK=1 IMAGEFIT_BIN=$(CURDIR)/bin

.PHONY: demo-cluster
demo-cluster: build ## place pods in a cluster of a hundred nodes, on a real control plane
	@$(CLUSTER) IMAGEFIT_DEMO=1 go test -count 1 -run '^TestDemo$$'

.PHONY: bench-cluster
bench-cluster: build ## measure 1,000 pods on 1,000 and 10,000 nodes, with and without imagefit-controller
	@$(CLUSTER) go test -run '^$$' -bench Cluster -benchtime 1x -timeout 30m .

.PHONY: test
test: unit integration ## run all tests, also against the real stack (needs Linux and root)

.PHONY: unit
unit: ## run the unit tests
	go test $(RACE) ./...
	cd integration && go test ./deploy
	cd packaging && go test ./...
	$(if $(RACE),go test -run '^TestDiscoveryIsCheap$$' ./pkg/hostfacts)

.PHONY: integration
ifeq ($(STACK),yes)
integration: build ## run the tests against real containerd, runc, kubelet and registries
	@peers=$$(bash integration/peers/build.sh all | tail -n 1) && cd integration && set -x && \
	  IMAGEFIT_PEERS=$$peers IMAGEFIT_REQUIRE_STACK=1 IMAGEFIT_BIN=$(CURDIR)/bin go test -p 1 -timeout 40m ./...
else
integration:
	@printf '\n%s\n%s\n\n' \
	  '*** LEFT OUT: all tests against real containerd, runc and registries (integration/).' \
	  '*** They need Linux and root; this is $(shell uname -s) as $(shell id -un). Only the unit tests ran.' >&2
endif

# The tests that run on each version of containerd.
MATRIX := ^Test(OlderContainerdPassesTheCoreTests|EveryPathOfContainerdLiesInItsFolder|ContainerdDoesWhatTheFakeRuntimeDoes|PointedReferencesResolveWhenPointReturns|StoppedPluginCostsNoContainer|NextPluginTakesOverWithoutAGap|WhatHappensWhileThePluginIsAwayIsDocumented|IndexesWithStrayEntriesAreChosenFrom|HostsPathIsWhereContainerdLooks|VerifiersAreFoundWhereContainerdCallsThem|VariantsRunWhereTheyAreExpectedToUnpack)$$

# all, or some of 2.0,2.1,2.2,2.3; 1.7 and 2.4 are always there.
CONTAINERD ?= all

.PHONY: matrix
matrix: build ## run the tests of containerd's versions on 1.7 and 2.0 to 2.4 (not in CI)
	@peers=$$(bash integration/peers/build.sh matrix | tail -n 1) && cd integration && set -x && \
	  IMAGEFIT_PEERS=$$peers IMAGEFIT_CONTAINERD=$(CONTAINERD) IMAGEFIT_REQUIRE_STACK=1 IMAGEFIT_BIN=$(CURDIR)/bin \
	  go test -timeout 60m -run '$(MATRIX)' .

# How long, and what random numbers to begin with: SOAK_SEED=N plays a run again.
SOAK ?= 2m
SOAK_OUT ?= $(CURDIR)/bin/soak

.PHONY: soak
soak: build ## play a node's life in fast motion for SOAK (default 2m); counts and a plot in bin/soak
	@peers=$$(bash integration/peers/build.sh all | tail -n 1) && cd integration && set -x && \
	  IMAGEFIT_PEERS=$$peers IMAGEFIT_REQUIRE_STACK=1 IMAGEFIT_BIN=$(CURDIR)/bin SOAK=$(SOAK) SOAK_OUT=$(SOAK_OUT) \
	  go test -v -timeout 24h ./soak

# What is measured: BENCH=Fleet alone, say.
BENCH ?= .
BENCH_OUT := $(CURDIR)/bin/bench.txt
BENCH_REPORT := cd integration && go run ./cmd/benchreport < $(BENCH_OUT)

.PHONY: bench-run
bench-run: build
	go test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 30m ./pkg/... | tee $(BENCH_OUT)
ifeq ($(STACK),yes)
	@peers=$$(bash integration/peers/build.sh | tail -n 1) && cd integration && \
	  IMAGEFIT_PEERS=$$peers IMAGEFIT_REQUIRE_STACK=1 IMAGEFIT_BIN=$(CURDIR)/bin \
	  go test -short -run '^$$' -bench '$(BENCH)' -benchtime 3s -timeout 40m . | tee -a $(BENCH_OUT)
endif

.PHONY: bench
bench: bench-run ## measure imagefit against the runtime alone, both sides in one go; tables at the end
	@$(BENCH_REPORT)

.PHONY: bench-report
bench-report: bench-run ## write what bench measures to docs/benchmarks.md and the README
	@$(BENCH_REPORT) -write ../docs -readme ../README.md

.PHONY: bench-check
bench-check: bench-run ## fail if a ratio is much worse than in docs/benchmarks.md
	@$(BENCH_REPORT) -check ../docs

# What the bytes of a stranger's registry reach.
REGISTRY_DECODERS := pkg/registry/ pkg/trust/ pkg/compat/document/ pkg/compat/dialect/ pkg/decision/ pkg/author/inspect/

# Some targets write and sync files, which a disk does a few times a second.
FUZZTMP := $(firstword $(wildcard /dev/shm) $(TMPDIR) /tmp)

.PHONY: fuzz-registry
fuzz-registry: ## run the fuzz targets of what registries send for 10 seconds each
	@$(MAKE) --no-print-directory fuzz FUZZTIME=10s FUZZ='$(REGISTRY_DECODERS)'

FUZZ ?= pkg/

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (default 20s)
	@set -e; for file in $$(git ls-files $(FUZZ) | grep '_test\.go$$'); do \
	  for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9]+)\(.*/\1/p' $$file); do \
	    echo "$$target in $$(dirname $$file)"; \
	    GOTMPDIR=$${TMPDIR:-/tmp} TMPDIR=$(FUZZTMP) go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x ./$$(dirname $$file); \
	  done; done

.PHONY: lint
lint: ## check formatting, the rules of .golangci.yml, scripts and go.mod of every module
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt would change: $$unformatted"; exit 1; }
	$(LINT) run ./...
	cd integration && $(LINT) run --config ../.golangci.yml ./...
	go mod tidy -diff
	cd integration && go mod tidy -diff
	cd packaging && go mod tidy -diff
	sh -n packaging/scripts/postinstall && sh -n packaging/scripts/preremove && sh -n packaging/scripts/postremove
	bash -n .ci/run integration/peers/build.sh integration/peers/neighbour.sh integration/stack/systemd.sh

.PHONY: clean
clean: ## remove what was built here
	rm -rf bin $(DIST)
