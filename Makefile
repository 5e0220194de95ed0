# Everything a contributor types. `make test` is what the gate runs; each step also runs alone.
.PHONY: test lint contracts rust vectors licences fmt

test: lint licences contracts rust vectors

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- --deny warnings

licences:
	node scripts/check-licences.mjs

# Builds the Solidity, compares the committed artefacts with what it made, runs the Foundry suite.
contracts:
	cd contracts && npm ci --no-audit --no-fund && npm test && npm run --silent test:prague

# Unit, integration and end-to-end tests; the last bring up the local world (anvil, Verdaccio).
rust:
	cargo test --workspace --locked --lib --bins --tests

# The typed-data vectors, checked by an implementation that is not ours.
vectors:
	cd tools/vectors && npm ci --no-audit --no-fund && npm test

fmt:
	cargo fmt --all
