# Godwit is built, tested and shown from here: `make help` lists what there is.
# What CI runs is .ci/run: `make test`, then `make check`.

# Tools, pinned. Each is built once into bin/tools/NAME-VERSION; a new version here is a new directory there.
gofumpt_module       := mvdan.cc/gofumpt
gofumpt_version      := v0.12.0
golangci-lint_module := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
golangci-lint_version := v2.15.0
buf_module           := github.com/bufbuild/buf/cmd/buf
buf_version          := v1.75.0
versitygw_module     := github.com/versity/versitygw/cmd/versitygw
versitygw_version    := v1.8.0

TOOLS    := $(CURDIR)/bin/tools
GOFUMPT  := $(TOOLS)/gofumpt-$(gofumpt_version)/gofumpt
GOLANGCI := $(TOOLS)/golangci-lint-$(golangci-lint_version)/golangci-lint
S3_SERVER := $(TOOLS)/versitygw-$(versitygw_version)/versitygw
BUF      := $(TOOLS)/buf-$(buf_version)/buf

# What `make demo` runs, after the build.
DEMO_CMD := go run ./cmd/demo bin/godwit examples/heat2d/heat2d.wasm

# The names that the binary is called by, besides its own.
WRAPPERS := mpicc mpicxx mpic++ mpirun mpiexec

# A package whose tests run this long is stuck.
TEST_TIMEOUT := 15m
RACE_TIMEOUT := 30m
LONG_TIMEOUT := 60m

# The tests of real processes have the machine to themselves. Both kinds are more at a time than it has cores: they mostly wait, for leases and
# elections. The packages that take longest begin first.
BLACKBOX := -parallel 5 ./jepsen/...
LONGEST  := ./sdk ./worker/executor ./fsm ./control ./worker ./raftnode ./sim ./cmd/godwit ./mpi/conformance/suite
UNIT     := -p 6 $(LONGEST) $$(go list ./... | grep -v /jepsen)

# The tests that make test leaves to make check begin with inCheck(t): what go test -run takes to run those of some files.
IN_CHECK := awk '/^func Test/ { split($$2, n, "("); name = n[1] } /^\tinCheck\(t\)/ { all = all "|" name } END { if (all == "") exit 1; print "^(" substr(all, 2) ")$$" }'

# Tests run what ships: a static binary. Only the race detector needs cgo.
export CGO_ENABLED := 0

.DEFAULT_GOAL := help

.PHONY: help
help: ## Print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install what test, check and race need on Debian 12: the guests' C toolchain, Go modules
	@.ci/setup

.PHONY: build
build: ## Build bin/godwit, with mpicc, mpirun and their kin beside it
	go build -trimpath -o bin/godwit ./cmd/godwit
	@for name in $(WRAPPERS); do ln -sf godwit bin/$$name; done

.PHONY: demo
demo: build ## Show a live migration and a lost leader on this machine (needs only Go)
	$(DEMO_CMD)

.PHONY: test
test: setup ## Run the tests, but those that make check runs
	@status=0; set -x; \
	go test -count=1 -timeout $(TEST_TIMEOUT) $(UNIT) || status=1; \
	go test -count=1 -timeout $(TEST_TIMEOUT) $(BLACKBOX) || status=1; \
	exit $$status

.PHONY: race
race: setup ## Run every test under the race detector
	@export CGO_ENABLED=1 CC=$${CC:-$$(command -v gcc || command -v clang)}; status=0; set -x; \
	go test -race -count=1 -timeout $(RACE_TIMEOUT) $(UNIT) || status=1; \
	go test -race -count=1 -timeout $(RACE_TIMEOUT) $(BLACKBOX) || status=1; \
	exit $$status

.PHONY: torture
torture: setup ## Kill and stop processes at random moments, many rounds (half an hour; GODWIT_SEED repeats a run)
	GODWIT_LONG=1 go test -count=1 -timeout $(RACE_TIMEOUT) $(BLACKBOX)

.PHONY: native
native: setup ## Test the native engine at length: all core tests of WebAssembly, modules at random, and the guests' tests in it (half an hour)
	GODWIT_SPEC=all GODWIT_SPEC_O=-O3 GODWIT_ROUNDS=300 go test -count=1 -timeout $(RACE_TIMEOUT) ./worker/native
	cache=$$(mktemp -d); GODWIT_TEST_ENGINE=native GODWIT_TEST_CACHE=$$cache go test -count=1 -p 1 -timeout $(RACE_TIMEOUT) ./worker/wasm ./mpi/conformance/suite; \
	status=$$?; rm -r $$cache; exit $$status

.PHONY: jepsen
jepsen: setup ## Every two faults at once, judged by recorded histories and the log (half an hour, root; GODWIT_SEED repeats a run)
	GODWIT_LONG=1 go test -count=1 -v -timeout $(LONG_TIMEOUT) ./jepsen -run 'TestSmoke|TestPairs'

.PHONY: broken
broken: setup ## Show that the tests can fail: build one defect at a time, and run what must find it (half an hour, root)
	go run ./jepsen/broken $(BROKEN_FLAGS)

.PHONY: sim
sim: ## Simulate the protocols with everything that goes wrong: SEEDS=n runs (FIRST=n: from that seed on), SEED=n prints all of one
	SEEDS=$(or $(SEEDS),20000) FIRST=$(FIRST) SEED=$(SEED) PLAN=$(PLAN) EVERY=$(or $(EVERY),4) STRIDE=$(or $(STRIDE),1) PAIRS=$(PAIRS) \
	GOGC=$(or $(GOGC),800) go test -count=1 -v -timeout 0 ./sim -run '$(if $(SEED),TestSeeds,TestSeeds|TestEveryFault)$$'

.PHONY: sim-defects
sim-defects: ## Show that the simulation finds what is wrong: build one defect at a time (half an hour)
	SIM_DEFECTS=1 go test -count=1 -v -timeout $(LONG_TIMEOUT) ./sim -run TestDefects

.PHONY: failover
failover: setup ## Measure how long a cluster takes no submissions when its leader is killed, stops or hangs (GODWIT_SEED repeats a run)
	GODWIT_LONG=1 go test -count=1 -v -timeout $(LONG_TIMEOUT) ./jepsen -run TestFailover

.PHONY: soak
soak: setup ## Run 2,000 short apps while hosts come and go, and show what the processes use (GODWIT_SEED repeats a run)
	GODWIT_LONG=1 go test -count=1 -v -timeout $(LONG_TIMEOUT) ./jepsen -run TestSoak

.PHONY: soak-sched
soak-sched: setup ## Submit apps and arrays, with dependencies, limits, tenants and zones; cancel, drain, evict, freeze, move at random for MINUTES (60); leaders are killed, workers start again; all outputs are checked (GODWIT_SEED repeats a run)
	GODWIT_SCHED_MINUTES=$(or $(MINUTES),60) go test -count=1 -v -timeout 0 ./jepsen -run TestSoakScheduling

.PHONY: short-apps
short-apps: setup ## Run 20,000 short apps whose last act is a send: all must end
	GODWIT_APPS=20000 go test -count=1 -v -timeout $(LONG_TIMEOUT) ./jepsen -run TestShortAppsEnd

.PHONY: test-s3
test-s3: $(S3_SERVER) setup ## Test the object store against a real server that speaks S3, which is built first (two minutes)
	GODWIT_S3_SERVER=$(S3_SERVER) go test -count=1 -timeout $(TEST_TIMEOUT) ./internal/objects
	GODWIT_S3_SERVER=$(S3_SERVER) go test -count=1 -timeout $(TEST_TIMEOUT) ./jepsen -run 'TestS3$$'

# Of the guests' tests not all: qemu 7.2 has no pwritev2(2), which appends to files, and takes 25 MB for each guest that may grow to 4 GiB, and keeps them.
.PHONY: test-arm64
test-arm64: setup ## Test that ranks move between amd64 and arm64 with the same output; installs and registers qemu first (ten minutes, root)
	.ci/arm64
	GOARCH=arm64 go build -trimpath -o bin/godwit-arm64 ./cmd/godwit
	GOARCH=arm64 go test -count=1 -timeout $(TEST_TIMEOUT) ./internal/pages ./mpi/layout
	GOARCH=arm64 go test -count=1 -timeout $(TEST_TIMEOUT) ./worker/wasm -run 'NaN|TestMigrationIsInvisible'
	GODWIT_ARM64=$(CURDIR)/bin/godwit-arm64 go test -count=1 -timeout $(TEST_TIMEOUT) -v ./jepsen -run TestArchitectures

.PHONY: conformance
conformance: ## Run the MPI conformance programs at all sizes and placements, still and migrating, in one process and over both links of real hosts (GODWIT_SEED repeats a run)
	GODWIT_LONG=1 go test -count=1 -timeout $(RACE_TIMEOUT) ./mpi/conformance/...
	GODWIT_LONG=1 go test -count=1 -timeout $(RACE_TIMEOUT) ./jepsen -run TestConformanceMigrates

.PHONY: bench
bench: build setup ## Measure Godwit beside its peers, those that are installed; the machine should be idle
	go run ./bench $(BENCH_FLAGS) bin/godwit

.PHONY: bench-fleet
bench-fleet: build ## Measure three servers with 1,000 hosts, whose executors are played: joins, 10,000 apps an hour, a leader that is killed (four minutes)
	go run ./bench -only fleet $(BENCH_FLAGS) bin/godwit

.PHONY: fmt
fmt: $(GOLANGCI) ## Format all Go code
	$(GOLANGCI) fmt

.PHONY: lint
lint: $(GOFUMPT) $(GOLANGCI) ## Check formatting and run the linters
	@unformatted=$$($(GOFUMPT) -l .); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make fmt:" >&2; echo "$$unformatted" >&2; exit 1; fi
	go vet ./...
	$(GOLANGCI) run

.PHONY: proto
proto: $(BUF) ## Generate Go code from the protobufs in api/proto
	$(BUF) generate

.PHONY: header
header: ## Generate the declarations in mpi.h from mpi/abi/prototypes.txt
	go run ./sdk/header

.PHONY: examples
examples: build setup ## Rebuild the committed guest modules in place
	examples/build.sh bin/godwit .

.PHONY: check
check: setup lint proto header ## Check all else: the tests that make test leaves to it, format, lint, layers, generated files, tidiness, the demo
	$(BUF) lint
	go test -count=1 ./internal/layers
	GODWIT_CHECK=1 go test -count=1 -timeout $(TEST_TIMEOUT) ./sdk -run "$$($(IN_CHECK) sdk/*_test.go)"
	GODWIT_CHECK=1 go test -count=1 -timeout $(TEST_TIMEOUT) -parallel 5 ./jepsen -run "$$($(IN_CHECK) jepsen/*_test.go)"
	go mod tidy -diff
	@$(MAKE) --no-print-directory build
	GODWIT_CHECK=1 GODWIT_BIN=$(CURDIR)/bin/godwit go test -count=1 -timeout $(TEST_TIMEOUT) ./bench/fleet
	.ci/examples bin/godwit
	@$(MAKE) --no-print-directory demo
	@large=$$(git ls-files -z | xargs -0 -n1 sh -c 'test -f "$$0" && test $$(wc -c <"$$0") -gt 1048576 && echo "$$0"'; true); \
	if [ -n "$$large" ]; then echo "over 1 MiB, and committed: $$large" >&2; exit 1; fi
	@untracked=$$(git ls-files --others --exclude-standard api); \
	if [ -n "$$untracked" ]; then echo "generated but not committed: $$untracked" >&2; exit 1; fi
	git diff --exit-code

.PHONY: clean
clean: ## Remove what builds and tests leave behind (the tools stay)
	rm -rf bin/godwit bin/godwit-arm64 $(addprefix bin/,$(WRAPPERS)) dev-data coverage.* *.test *.out *.prof

# Building outside the module keeps the tools' dependencies out of go.mod.
define tool
$$(TOOLS)/$(1)-$$($(1)_version)/$(1):
	GOFLAGS=-mod=mod GOBIN=$$(@D) go install $$($(1)_module)@$$($(1)_version)
endef
$(foreach t,gofumpt golangci-lint buf versitygw,$(eval $(call tool,$(t))))
