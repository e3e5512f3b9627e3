#!/usr/bin/env bash
# Runs our node and client against an independent peer, in Go over quic-go:
#   scripts/interop.sh
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

# Of the whole workspace's features, as the tests have it: BoringSSL is not built once more.
cargo build --workspace --bin two-nodes --bin aire --locked
built="$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/debug"
export AIRE_TWO_NODES="$built/two-nodes"

scratch=$(mktemp -d)
log=$scratch/log
peer=
finish() {
    [ -z "$peer" ] || kill "$peer" 2>/dev/null || true
    rm -rf "$scratch"
}
trap finish EXIT
(cd interop/go && go test -count=1 -v ./...) | tee "$log"

# `go test` is content with no tests at all, and with skipped ones.
grep -q -e '^--- PASS' "$log" || die "no interop test ran"
if [ -n "${CI:-}" ] && grep -q -e '--- SKIP' "$log"; then
    die "an interop test was skipped: in CI a missing peer is a failure"
fi

# The peer's node, judged from outside. What it lacks is written down; anything else is news.
(cd interop/go && go build -o "$scratch/peer" ./cmd/peer)
"$scratch/peer" node --minor 4 --caps resumable,binding >"$scratch/ready" 2>"$scratch/peer.log" &
peer=$!
for _ in $(seq 300); do
    grep -q '^listening ' "$scratch/ready" && break
    sleep 0.1
done
read -r _ uri _ _ _ pin <"$scratch/ready" || die "the peer's node does not start: $(cat "$scratch/peer.log")"
"$built/aire" keygen "$scratch/key.pem" >/dev/null
# Its exit code says that a check failed, which may be expected.
"$built/aire" probe "$uri" --pin "$pin" --key "$scratch/key.pem" | tee "$scratch/table" || true
grep -q ' checks in ' "$scratch/table" || die "the probe did not come to its end"
awk '$1 ~ /^(FAIL|warn|skip|n\/a)$/ { print $1, $2, $3 }' "$scratch/table" >"$scratch/found"
grep -v '^#' interop/go/probe-expected.txt | diff -u - "$scratch/found" ||
    die "the probe finds something else than interop/go/probe-expected.txt says"
