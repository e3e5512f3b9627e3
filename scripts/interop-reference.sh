#!/usr/bin/env bash
# Runs our node and client against the published Go reference, both ways:
#   AIRE_GO=/path/to/aire-go scripts/interop-reference.sh
set -euo pipefail
AIRE_GO=${AIRE_GO:+$(cd "$AIRE_GO" && pwd)}
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

reference=github.com/aire-protocol/aire-go
[ -n "$AIRE_GO" ] ||
    die "AIRE_GO names no checkout of the reference: get one with git clone https://$reference, and set AIRE_GO to its path"
grep -qx "module $reference" "$AIRE_GO/go.mod" || die "no checkout of $reference: $AIRE_GO"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A copy: go.mod and go.sum of the build depend on the checkout.
cp -R interop/reference "$work/module"
(
    cd "$work/module"
    go mod edit -require="$reference@v0.0.0" -replace="$reference=$AIRE_GO"
    go mod tidy
    go vet ./...
    go build -o "$work/peer" ./peer
)

cargo build -p aire-examples --bin two-nodes --locked
AIRE_TWO_NODES="$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/debug/two-nodes"
export AIRE_TWO_NODES
export AIRE_GO_PEER="$work/peer"

# Left out: what needs another minor version, or a faulty HELLO.
failed=""
(cd interop/go && go test -count=1 -v \
    -run '^(TestGoClientRustNode|TestRustClientReferenceLikeNode)$' \
    -skip '^TestGoClientRustNode$/^(handshake of minor [49]|refuses)' .) >"$work/log" 2>&1 ||
    failed=yes

sed -n 's/^ *[a-z_]*\.go:[0-9]*: \(ok \|FAIL\)  /\1  /p' "$work/log"
for test in TestGoClientRustNode TestRustClientReferenceLikeNode; do
    grep -q "^--- PASS: $test " "$work/log" || failed=yes
done
[ -z "$failed" ] || {
    cat "$work/log" >&2
    die "the reference and this implementation do not agree"
}
