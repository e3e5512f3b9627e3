#!/usr/bin/env bash
# Fuzzes every target in turn: scripts/fuzz.sh SECONDS_EACH
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

each=${1:?seconds for each target}
# The sanitizers are unstable flags; this lets the stable compiler take them.
export RUSTC_BOOTSTRAP=1

failed=""
targets=$(cargo fuzz list)
[ -n "$targets" ] || die "no fuzz target found"
for target in $targets; do
    echo "== fuzzing $target for $each s"
    # libFuzzer writes what it finds to the first directory and only reads the
    # second: the committed corpus stays as it is.
    mkdir -p "fuzz/corpus-live/$target"
    set -- "fuzz/corpus-live/$target"
    if [ -d "fuzz/corpus/$target" ]; then set -- "$@" "fuzz/corpus/$target"; fi
    cargo fuzz run "$target" "$@" -- "-max_total_time=$each" || failed="$failed $target"
done
[ -z "$failed" ] || die "failed:$failed (inputs that crash are in fuzz/artifacts)"
