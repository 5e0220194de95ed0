# Everything a contributor types. `make test` is what the gate runs; each step also runs alone.
.PHONY: test lint foundry contracts rust vectors licences fmt

# The compiler of Solidity takes minutes on one core, while the end-to-end tests mostly wait: they run side by side.
test: lint licences
	$(MAKE) --jobs=2 contracts rust
	$(MAKE) vectors

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- --deny warnings

licences:
	node scripts/check-licences.mjs

# forge, anvil and the compiler, as contracts/package-lock.json pins them.
foundry:
	cd contracts && npm ci --no-audit --no-fund

# Builds the Solidity, compares the committed artefacts with what it made, runs the Foundry suite.
contracts: foundry
	cd contracts && nice npm test && nice npm run --silent test:prague

# Unit, integration and end-to-end tests; the last bring up the local world (anvil, Verdaccio).
rust: foundry
	RUST_TEST_THREADS=3 cargo test --workspace --locked --lib --bins --tests --no-fail-fast

# The typed-data vectors, checked by an implementation that is not ours.
vectors:
	cd tools/vectors && npm ci --no-audit --no-fund && npm test

fmt:
	cargo fmt --all
