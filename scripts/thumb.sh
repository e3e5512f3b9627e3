#!/usr/bin/env bash
# Builds aire-proto for microcontrollers: proof that it needs neither an
# operating system nor an allocator, with and without its default features.
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
    thumb_build "$target" -p aire-proto --lib "$@"
}

for target in $THUMB_TARGETS; do
    echo "== $target, no features"
    build "$target" --no-default-features
    echo "== $target, default features"
    build "$target"
done
