#!/usr/bin/env bash
# Builds the firmware for both boards, runs it in QEMU and prints what it takes of flash and RAM.
# Every run has an end: QEMU is stopped when its time is up, and that is a failure.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

# Its own directory: two compilers must not throw away each other's work.
export CARGO_TARGET_DIR="$PWD/target/firmware"
# Cargo reads the target's linker and flags from the folder that it is started in.
cd examples/firmware

FLASH_LIMIT=$((240 * 1024))
RAM_LIMIT=$((56 * 1024))

target_of() {
    case $1 in
    lm3s6965evb) echo thumbv7m-none-eabi ;;
    mps2-an386) echo thumbv7em-none-eabihf ;;
    esac
}

controller_of() {
    case $1 in
    lm3s6965evb) echo stellaris ;;
    mps2-an386) echo lan9118 ;;
    esac
}

image_of() {
    echo "$CARGO_TARGET_DIR/$(target_of "$1")/release/$2"
}

# A board has no entropy source: its seed is the host's, and new for each run.
seed() {
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

# qemu SECONDS BOARD PROGRAM ARGUMENTS [OPTIONS...]: prints the command line that runs PROGRAM on
# BOARD, a word a line. ARGUMENTS are the board's, separated by blanks.
qemu() {
    local seconds=$1 board=$2 program=$3 arguments=$4 argument
    shift 4
    local host=enable=on,target=native,chardev=host,arg=$program,arg=seed=$(seed)
    for argument in $arguments; do host+=",arg=$argument"; done
    printf '%s\n' timeout --kill-after=5 "$seconds" \
        qemu-system-arm -machine "$board" -display none -monitor none -serial none \
        -nic "user,model=$(controller_of "$board")" -chardev stdio,id=host \
        -semihosting-config "$host" -kernel "$(image_of "$board" "$program")" "$@"
}

# Runs the command that `qemu` prints, under COMMAND... where that is given, and keeps the output.
log=$CARGO_TARGET_DIR/run.log
run() {
    local words
    mapfile -t words
    # QEMU warns of a timer that no program has set yet.
    "$@" "${words[@]}" </dev/null 2> >(grep -v 'Timer with period zero' >&2) | tee "$log"
}

# The peak stack that the last run printed.
peak_stack() {
    sed -n 's/^ram: .*peak stack \([0-9]*\).*/\1/p' "$log"
}

for board in lm3s6965evb mps2-an386; do
    printf '\n== %s: build\n' "$board"
    thumb_build "$(target_of "$board")" --features "$board" --bin echo

    printf '\n== %s: clock, meter, storage, DNS, and 500 datagrams of 1200 bytes there and back\n' "$board"
    qemu 60 "$board" echo '{peer} {dns} count=500' | run python3 tools/echo_host.py
    printf '\n== %s: the same, instructions counted\n' "$board"
    qemu 60 "$board" echo '{peer} {dns} count=500 icount=0' -icount shift=0 | run python3 tools/echo_host.py

    printf '\n== %s: the echo test by part, in bytes\n\n' "$board"
    tools/parts.py "$(image_of "$board" echo)" --stack "$(peak_stack)" \
        --flash-limit "$FLASH_LIMIT" --ram-limit "$RAM_LIMIT"
done
