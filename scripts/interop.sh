#!/usr/bin/env bash
# Runs our node and client against an independent peer, in Go over quic-go:
#   scripts/interop.sh
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

# Of the whole workspace's features, as the tests have it: BoringSSL is not built once more.
cargo build --workspace --bin two-nodes --locked
AIRE_TWO_NODES="$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/debug/two-nodes"
export AIRE_TWO_NODES

log=$(mktemp)
trap 'rm -f "$log"' EXIT
(cd interop/go && go test -count=1 -v ./...) | tee "$log"

# `go test` is content with no tests at all, and with skipped ones.
grep -q -e '^--- PASS' "$log" || die "no interop test ran"
if [ -n "${CI:-}" ] && grep -q -e '--- SKIP' "$log"; then
    die "an interop test was skipped: in CI a missing peer is a failure"
fi
