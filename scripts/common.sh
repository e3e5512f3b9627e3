# shellcheck shell=bash disable=SC2034 # the variables are for who sources this
#
# What several scripts share. Sourced, never run. Leaves the caller at the
# root of the tree, so that every path below is relative to it.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

# Cortex-M4F and Cortex-M0: the second has no compare-and-swap, so that it
# catches a dependency that assumes one.
THUMB_TARGETS="thumbv7em-none-eabihf thumbv6m-none-eabi"
# Cortex-M3 and Cortex-M4F: the boards of examples/firmware.
FIRMWARE_TARGETS="thumbv7m-none-eabi thumbv7em-none-eabihf"

# Debian's compiler, beside rustup's: its packages carry the source of `core`.
DEBIAN_RUSTC=/usr/bin/rustc
DEBIAN_CARGO=/usr/bin/cargo

# One place says which Rust the tree needs: the workspace manifest.
MIN_RUST=$(sed -n 's/^rust-version *= *"\(.*\)".*/\1/p' Cargo.toml)

die() {
    echo "error: $*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# at_least WANTED FOUND: is version FOUND as new as WANTED?
at_least() {
    [ -n "$2" ] && printf '%s\n%s\n' "$1" "$2" | sort -V -C
}

# The version a Rust tool prints: "rustc 1.96.0 (...)" is 1.96.0.
rust_version() {
    "$1" --version 2>/dev/null | awk '{ print $2; exit }'
}

# Does the active rustup toolchain hold the standard library of target $1?
rustup_has() {
    have rustup && rustup target list --installed 2>/dev/null | grep -qx "$1"
}

# Can Debian's compiler build `core` from source?
debian_builds_core() {
    [ -x "$DEBIAN_CARGO" ] && [ -x "$DEBIAN_RUSTC" ] &&
        at_least "$MIN_RUST" "$(rust_version "$DEBIAN_RUSTC")" &&
        [ -e "$("$DEBIAN_RUSTC" --print sysroot)/lib/rustlib/src/rust/library/core" ]
}

# thumb_build TARGET ARGUMENTS...: cargo build for a microcontroller, by the installed target where
# there is one.
thumb_build() {
    local target=$1
    shift
    if rustup_has "$target"; then
        cargo build --locked --release --target "$target" "$@"
    else
        # -Zbuild-std is unstable: RUSTC_BOOTSTRAP lets a stable compiler take it.
        RUSTC_BOOTSTRAP=1 RUSTC="$DEBIAN_RUSTC" "$DEBIAN_CARGO" build -Zbuild-std=core,alloc \
            --locked --release --target "$target" "$@"
    fi
}
