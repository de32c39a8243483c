# The commands that the project promises. Each installs what it needs and can be interrupted and repeated.
.PHONY: up down test test-all-calls format test-lab test-faults test-vm test-conformance bench clean-cache
.DEFAULT_GOAL := help

help:
	@echo 'make up                create three control planes and a worker on this machine (Debian 12, root; about 40 minutes the first time)'
	@echo 'make down              remove the cluster and its hosts'
	@echo 'make test              run lint, type checks, unit and preview tests'
	@echo 'make test-all-calls    let each call of each stage fail in turn, of which make test takes a few; over an hour of CPU time on two cores'
	@echo 'make format            format all files'
	@echo 'make test-lab          run the tests on real hosts'
	@echo 'make test-faults       break and repair the cluster of `make up`, and print figures; about four hours'
	@echo 'make test-vm           test workers with their own kernels (amd64 and arm64) in QEMU, and print figures; takes hours'
	@echo 'make test-conformance  run the Kubernetes conformance tests for network and nodes on the cluster of `make up`'
	@echo 'make bench             print benchmark ratios; about 45 minutes, or PARTS="preview up" for some of them'
	@echo 'make clean-cache       remove the built artifacts'

up: node_modules
	@lab/up

down:
	@lab/down

test: node_modules
	@tests/run test

test-all-calls: node_modules
	@TAILKUBE_ALL_CALLS=1 tests/run calls

format: node_modules
	@tests/run format

test-lab: node_modules
	@tests/run lab

test-faults: node_modules
	@tests/run faults

test-vm: node_modules
	@tests/run vm

test-conformance: node_modules
	@lab/conformance/conformance

bench: node_modules
	@node --import tsx bench/bench.ts $(PARTS)

clean-cache:
	rm -rf "$${TAILKUBE_CACHE:-$$HOME/.cache/tailkube}"

# npm ci leaves an older time stamp on the folder than on the lock file.
node_modules: package.json package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	@touch node_modules
