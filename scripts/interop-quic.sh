#!/usr/bin/env bash
# Builds the servers on four QUIC stacks, and checks each with an independent client and with ours:
#   scripts/interop-quic.sh
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

# Where aire_interop_quic::Peer looks for the servers that cargo does not build.
prepared="${CARGO_TARGET_DIR:-target}/interop-quic"
mkdir -p "$prepared"
prepared=$(cd "$prepared" && pwd)

(cd interop/quic/go && go vet ./... && go build -o "$prepared/quic-peer-go" .)

pinned=interop/quic/python/requirements.txt
if ! cmp -s "$pinned" "$prepared/venv/$(basename "$pinned")"; then
    rm -rf "$prepared/venv"
    python3 -m venv "$prepared/venv"
    "$prepared/venv/bin/pip" install -q --disable-pip-version-check --only-binary :all: \
        --require-hashes -r "$pinned"
    # Copied last: it says that all the rest is there.
    cp "$pinned" "$prepared/venv"
fi

# Of the whole workspace's features, as the tests have it: BoringSSL is not built once more.
cargo test --workspace --locked --test servers --test aire_quic -- --include-ignored
