#!/usr/bin/env bash
# Builds aire-proto and aire-quic for microcontrollers: proof that they need
# neither an operating system nor an allocator, with and without their default
# features. And airc-core, which needs no operating system.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

# Its own directory: two compilers must not throw away each other's work.
export CARGO_TARGET_DIR="$PWD/target/thumb"

# Release, not the embedded profile: full LTO would leave an rlib as bitcode
# and never generate the target's code.
build() {
    local target=$1
    shift
    thumb_build "$target" --lib "$@"
}

for target in $THUMB_TARGETS; do
    for crate in aire-proto aire-quic; do
        echo "== $crate for $target, no features"
        build "$target" -p "$crate" --no-default-features
        echo "== $crate for $target, default features"
        build "$target" -p "$crate"
    done
    echo "== airc-core for $target"
    build "$target" -p airc-core
done
