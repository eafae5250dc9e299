# The commands of the house. "make help" lists them.
.DEFAULT_GOAL := help
FUZZTIME ?= 10s

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the programs, static and stripped, into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o bin/ ./cmd/...

.PHONY: setup
setup: ## install what the tests talk to (needs root)
	.ci/setup

.PHONY: test
test: ## the whole check: install what is missing, lint, all tests with the race detector (needs root)
	.ci/test

.PHONY: lint
lint: ## check the source without running it
	.ci/lint

.PHONY: mutants
mutants: ## break the code with each kept patch of .ci/mutants, and expect a test to notice (about 20 minutes)
	.ci/mutate

.PHONY: soak
soak: ## a hundred thousand random runs, or RUNS, against the laws of bot/remedy/laws_test.go
	DROPLEAK_RUNS=$(or $(RUNS),100000) go test ./bot/remedy -run 'TestRuns$$' -v -timeout 0

.PHONY: chaos
chaos: ## kill the real service at random moments for RUNS runs (default 200), SEED to repeat them (needs root)
	@RUNS=$(or $(RUNS),200) SEED=$(SEED) .ci/chaos

.PHONY: fuzz
fuzz: ## fuzz every target for FUZZTIME each (default 10s)
	.ci/fuzz $(FUZZTIME)

.PHONY: bench-detect
bench-detect: ## measure the detector beside what others use: SERIES generated series a family (default 500) from seed FIRST, the rivals on RIVALS of them, recordings in $DROPLEAK_CORPUS; DOC=page writes the tables into it
	go test ./detector/rivals -run TestBenchDetect -v -timeout 0 -args -series $(or $(SERIES),500) -recordings -misses $(if $(FIRST),-first $(FIRST)) \
		$(if $(RIVALS),-rivals $(RIVALS)) $(if $(BUDGET),-budget $(BUDGET)) $(if $(LOOKS),-looks $(LOOKS)) $(if $(EVERY),-every $(EVERY)) $(if $(PATIENCE),-patience $(PATIENCE)) $(if $(MD),-md $(abspath $(MD))) \
		$(if $(DOC),-doc $(abspath $(DOC)) -commit $$(git rev-parse --short HEAD))

.PHONY: pictures
pictures: ## draw every golden Slack message into OUT, light, dark and phone width; NAMES="home card" draws some (needs DROPLEAK_SLACK_RENDER)
	.ci/pictures $(OUT) $(NAMES)

.PHONY: bench-agent
bench-agent: ## what the agent costs beside the exporters, on the same 64 processes, for MINUTES (default 60; needs root)
	MINUTES=$(or $(MINUTES),60) .ci/bench-agent

.PHONY: image-check
image-check: ## build the Dockerfile without a registry and see it serve (needs root)
	.ci/image-check

.PHONY: demo
demo: ## play the whole job on this machine, with a page to press the button on
	go run ./cmd/dropleak demo

.PHONY: story
story: ## let the demo play itself, and check what happened
	go run ./cmd/dropleak demo --story

.PHONY: bench-slack
bench-slack: ## how long Slack waits for an ack while DROPLETS droplets (default 1000) are scanned and send samples
	go test ./bot -run TestLoad -v -timeout 0 -args -load.droplets $(or $(DROPLETS),1000) -load.crowd 100 -load.rounds 3 -load.steady 1000

.PHONY: bench-fleet
bench-fleet: ## measure one hourly cycle over FLEET series (default 17000), beside Prometheus and its rules, and scans of DROPLETS droplets (default 40), one of which takes them for 10,000
	go test ./detector/rivals -run TestBenchFleet -v -timeout 0 -args -fleet $(or $(FLEET),17000) -whole 500 -prometheus $(or $(FLEET),17000)
	go test ./bot/watch -run TestBenchScan -v -timeout 0 -args -droplets $(or $(DROPLETS),40) -whole 10000
