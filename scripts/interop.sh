#!/usr/bin/env bash
# Runs our node and client against an independent peer, in Go over quic-go:
#   scripts/interop.sh
#   AIRE_SECOND_HALF=1 scripts/interop.sh     budgets, resumption and channel binding, too
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

cargo build -p aire-examples --bin two-nodes --locked
AIRE_TWO_NODES="$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/debug/two-nodes"
export AIRE_TWO_NODES

# Left out by name, so that nothing counts as skipped.
leave_out=()
[ "${AIRE_SECOND_HALF:-}" = 1 ] || leave_out=(-skip '^TestSecondHalf')

log=$(mktemp)
trap 'rm -f "$log"' EXIT
(cd interop/go && go test -count=1 -v "${leave_out[@]+"${leave_out[@]}"}" ./...) | tee "$log"

# `go test` is content with no tests at all, and with skipped ones.
grep -q -e '^--- PASS' "$log" || die "no interop test ran"
if [ -n "${CI:-}" ] && grep -q -e '--- SKIP' "$log"; then
    die "an interop test was skipped: in CI a missing peer is a failure"
fi
