# Every target installs what it needs and is missing (scripts/ensure.sh).

# For each fuzz target: make fuzz SECONDS=600
SECONDS = 60

ENSURE = @scripts/ensure.sh
# For the simulator: make sim SEEDS=100000, or make sim SEED=17 to play one again.
SEEDS = 2000
SEED =

# BoringSSL, under quiche, is built from source.
NATIVE = cxx cmake libclang

.PHONY: help demo test sim bench bench-airc fuzz interop interop-reference browser conformance thumb firmware package lint clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' Makefile

demo: ## four programs on this machine: nodes meet and talk, share work, lose each other, find each other
	$(ENSURE) $(NATIVE)
	cargo build --release --locked -p aire-examples --bin two-nodes --bin delegation --bin resume --bin meeting
	@printf '\n== 1 of 4: two nodes meet, talk and part\n\n'
	@cargo run -q --release --locked -p aire-examples --bin two-nodes -- demo
	@printf '\n== 2 of 4: a coordinator hands work and budget on to three workers\n\n'
	@cargo run -q --release --locked -p aire-examples --bin delegation
	@printf '\n== 3 of 4: a thousand tokens arrive whatever happens on the way (20 s)\n\n'
	@cargo run -q --release --locked -p aire-examples --bin resume -- demo
	@printf '\n== 4 of 4: two agents meet at a registry, agree to talk, and go on over AIRE\n\n'
	@cargo run -q --release --locked -p aire-examples --bin meeting

test: ## all tests, and those of aire-proto and aire-quic with other features
	$(ENSURE) $(NATIVE) redis postgres python
	cargo test --workspace --locked
	cargo test -p aire-proto --locked --no-default-features
	cargo test -p aire-proto --locked --no-default-features --features alloc
	cargo test -p aire-quic --lib --locked --no-default-features
	cargo test -p aire-quic --lib --locked --features rsa

sim: ## the simulator: SEEDS=2000 random worlds, or one: SEED=17
	$(ENSURE) cxx
	cargo run -q --release --locked -p aire-sim -- $(if $(SEED),--seed $(SEED) --trace,--seeds $(SEEDS))

bench: ## benchmarks (criterion)
	$(ENSURE) $(NATIVE)
	cargo bench -p aire-bench --locked

bench-airc: ## load on an AIRC registry over HTTP, and whether anything is lost
	$(ENSURE) $(NATIVE)
	scripts/bench-airc.sh

fuzz: ## each fuzz target for SECONDS=60 seconds
	$(ENSURE) $(NATIVE) fuzz
	scripts/fuzz.sh $(SECONDS)

interop: ## against independent peers: AIRE over quic-go, QUIC over four stacks, AIRC from PyPI (needs Go and Python)
	$(ENSURE) $(NATIVE) go venv
	scripts/interop.sh
	scripts/interop-quic.sh
	scripts/interop-airc.sh

interop-reference: ## the same against a checkout of the published one: AIRE_GO=path
	$(ENSURE) $(NATIVE) go
	scripts/interop-reference.sh

browser: ## the registry's web page in Chromium
	$(ENSURE) $(NATIVE) chromium
	CI=$${CI:-true} cargo test -p airc-registry --locked --test browser -- --ignored --test-threads=1

conformance: ## the conformance table, from the test vectors
	$(ENSURE) $(NATIVE)
	cargo run -q --locked -p aire-vectors --bin conformance

thumb: ## aire-proto and aire-quic for Cortex-M4F and Cortex-M0
	$(ENSURE) cxx thumb
	scripts/thumb.sh

firmware: ## the agent on two emulated boards, against our node and one over quic-go (needs Go)
	$(ENSURE) $(NATIVE) go thumb-firmware qemu-arm arm-binutils python
	scripts/quic-size.sh
	scripts/firmware.sh

package: ## what would be published, packed and built as its users would
	$(ENSURE) $(NATIVE)
	cargo publish --dry-run --locked -p aire-proto -p aire-quic -p aire-mio -p aire-embassy -p airc-core -p airc-client -p airc-registry -p aire-cli

lint: ## formatting, clippy and documentation, warnings denied
	$(ENSURE) $(NATIVE) lint
	cargo fmt --all --check
	cargo fmt --check --manifest-path examples/firmware/Cargo.toml
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p aire-proto --all-targets --no-default-features --locked -- -D warnings
	cargo clippy -p aire-quic --lib --no-default-features --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings -D missing_docs" cargo doc --workspace --no-deps --locked

clean: ## remove build output (what fuzzing found stays)
	rm -rf target fuzz/target
