# The commands that the project promises. Each installs what it needs and can be interrupted and repeated.
.PHONY: up down test format test-lab test-faults test-vm test-conformance bench clean-cache
.DEFAULT_GOAL := help

help:
	@echo 'make up         a cluster of three control planes and a worker on this machine (Debian 12, root; the first time some 40 minutes)'
	@echo 'make down       all of it away'
	@echo 'make test       lint, types, unit and preview tests'
	@echo 'make format     files as `make test` wants them'
	@echo 'make test-lab   the tests on real hosts'
	@echo 'make test-faults  faults of the cluster of `make up`: some 75 minutes, with figures'
	@echo 'make test-vm    workers with a kernel of their own, amd64 and arm64, in QEMU: hours, with figures'
	@echo 'make test-conformance  the conformance tests of Kubernetes for network and nodes, on the cluster of `make up`'
	@echo 'make bench      figures as ratios within one run: some 45 minutes; PARTS="preview up" for some of them'
	@echo 'make clean-cache  the built artifacts away as well'

up: node_modules
	@lab/up

down:
	@lab/down

test: node_modules
	@tests/run test

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
