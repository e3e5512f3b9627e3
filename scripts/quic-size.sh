#!/usr/bin/env bash
# What aire-quic takes of a microcontroller's flash, by feature. It fails when all of TLS, QUIC and
# cryptography takes more than 96 KiB, or when a static Storage is not in .bss. The words of errors,
# which a small device leaves out, come on top.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

# Its own directory: two compilers must not throw away each other's work.
export CARGO_TARGET_DIR="$PWD/target/quic-size"
TARGET=thumbv7m-none-eabi
LIMIT=$((96 * 1024))
# Cargo reads the target's linker and flags from the folder that it is started in.
cd quic/size

# sections NAMES...: how many bytes they have together.
sections() {
    arm-none-eabi-size -A "$CARGO_TARGET_DIR/$TARGET/release/size" |
        awk -v names=" $* " 'index(names, " " $1 " ") { sum += $2 } END { print sum + 0 }'
}

# build FEATURES
build() {
    thumb_build "$TARGET" --no-default-features --features "$1" --quiet
    flash=$(sections .vector_table .text .rodata .data)
}

build ""
empty=$flash
printf '| features | flash in bytes |\n|---|--:|\n'
everything=chacha20,p256,authority
for features in "" chacha20 p256 authority "$everything,reasons" "$everything"; do
    build "quic,$features"
    printf '| %s | %d |\n' "${features:-none}" $((flash - empty))
done
# The last row.
[ "$((flash - empty))" -le "$LIMIT" ] || die "more than $LIMIT bytes of flash"
[ "$(sections .data)" -eq 0 ] || die "the storage's initial value is in flash"
