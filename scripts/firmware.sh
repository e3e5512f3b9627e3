#!/usr/bin/env bash
# Builds the firmware for both boards, runs it in QEMU against a node on this machine, and prints
# what it takes of flash, RAM and instructions.
# Every run has an end: QEMU is stopped when its time is up, and that is a failure.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

HOST_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
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

# qemu SECONDS BOARD IMAGE MONITOR ARGUMENTS [OPTIONS...]: prints the command line that runs IMAGE on
# BOARD, a word a line. ARGUMENTS are the board's, separated by blanks.
qemu() {
    local seconds=$1 board=$2 image=$3 monitor=$4 arguments=$5 argument
    shift 5
    local host=enable=on,target=native,chardev=host,arg=firmware,arg=seed=$(seed)
    for argument in $arguments; do host+=",arg=$argument"; done
    printf '%s\n' timeout --kill-after=5 "$seconds" \
        qemu-system-arm -machine "$board" -display none -monitor "$monitor" -serial none \
        -nic "user,model=$(controller_of "$board"),id=lan" -chardev stdio,id=host \
        -semihosting-config "$host" -kernel "$image" "$@"
}

# Runs the command that `qemu` prints, under COMMAND..., and keeps the output.
log=$CARGO_TARGET_DIR/run.log
run() {
    local words
    mapfile -t words
    # QEMU warns of a timer that no program has set yet.
    "$@" "${words[@]}" </dev/null 2> >(grep -v 'Timer with period zero' >&2) | tee -a "$log"
}

# echo_test BOARD [QEMU OPTIONS...]
echo_test() {
    local board=$1 counted=
    shift
    [ $# -eq 0 ] || counted=icount=0
    qemu 60 "$board" "$(image_of "$board" echo)" none "{peer} {dns} count=500 $counted" "$@" |
        run python3 tools/echo_host.py
}

# play BOARD SCENE [HOST OPTIONS... --] [QEMU OPTIONS...]: the agent, and its node on this machine.
play() {
    local board=$1 scene=$2 options=()
    shift 2
    while [ "${1:-}" = --peer ]; do
        options+=("$1" "$2")
        shift 2
    done
    qemu 150 "$board" '{image}' 'unix:{monitor},server,nowait' '{board}' "$@" |
        run "$HOST" "$scene" --image "$(image_of "$board" agent)" "${options[@]}" --
}

# The deepest stack that a run of this board's printed since the log was begun.
peak_stack() {
    sed -n 's/.*ram: .*peak stack \([0-9]*\).*/\1/p' "$log" | sort -n | tail -n 1
}

# What the agent said of its one static: QUIC's bytes of it, and the protocol's.
client_parts() {
    sed -n 's/.*parts: .* quic \([0-9]*\) .* proto \([0-9]*\) .*/\1 \2/p' "$log" | tail -n 1
}

# A number with its thousands apart.
grouped() {
    python3 -c 'import sys; print(f"{int(sys.argv[1]):,}")' "$1"
}

# Flash of an image.
flash_of() {
    arm-none-eabi-size -A -d "$1" |
        awk '/^\.(vector_table|text|rodata|data|identity|gnu\.sgstubs) / { sum += $2 } END { print sum }'
}

# What a feature adds to the smallest agent, and all of them together.
feature_table() {
    local board=$1 base features flash
    printf '| the agent with | flash | more |\n|---|--:|--:|\n'
    for features in "" chacha20 p256 authority chacha20,p256,authority; do
        thumb_build "$(target_of "$board")" --quiet --features "$board" --bin agent \
            --no-default-features ${features:+--features "$features"}
        flash=$(flash_of "$(image_of "$board" agent)")
        base=${base:-$flash}
        printf '| %s | %s | %s |\n' "${features:-AES-128-GCM, X25519, Ed25519, pinned keys}" \
            "$(grouped "$flash")" "$(grouped $((flash - base)))"
    done
}

# Of the handshakes in the log, how long they take at usual clocks.
handshake_table() {
    printf '| handshake: QUIC, TLS, both HELLOs | instructions | 50 MHz | 120 MHz | 480 MHz |\n'
    printf '|---|--:|--:|--:|--:|\n'
    sed -n 's/.*handshake: \([0-9]*\) instructions, \(.*\)/\1 \2/p' "$log" | while read -r count how; do
        printf '| %s | %s | %d ms | %d ms | %d ms |\n' "$how" "$(grouped "$count")" \
            $((count / 50000)) $((count / 120000)) $((count / 480000))
    done
    printf '\nOne instruction a clock cycle is assumed, which flatters a real Cortex-M: flash and loads wait.\n'
}

heading() {
    printf '\n== %s\n\n' "$*"
}

# All features of the workspace, as the tests have it: BoringSSL is not built once more.
(cd ../.. && CARGO_TARGET_DIR=$HOST_TARGET_DIR cargo build --workspace --locked --bin firmware-host)
HOST=$HOST_TARGET_DIR/debug/firmware-host
PEER=$CARGO_TARGET_DIR/peer
(cd ../../interop/go && go build -o "$PEER" ./cmd/peer)

tables=
for board in lm3s6965evb mps2-an386; do
    heading "$board: build"
    thumb_build "$(target_of "$board")" --features "$board" --bin echo --bin agent

    : >"$log"
    heading "$board: clock, meter, storage, DNS, and 500 datagrams of 1200 bytes there and back"
    echo_test "$board"
    heading "$board: the same, instructions counted"
    echo_test "$board" -icount shift=0

    : >"$log"
    heading "$board: the agent answers, is cancelled, keeps a budget, and goes on after a cut"
    play "$board" story
    heading "$board: four operations with frames of 64 KiB, 10 % loss, 50 ms round trip"
    play "$board" weather
    heading "$board: at a node over quic-go (interop/go: the published Go reference is not to be had here)"
    play "$board" peer --peer "$PEER"
    heading "$board: two handshakes, instructions counted"
    play "$board" handshake -icount shift=0

    tables+=$(
        heading "$board: the agent by part, in bytes"
        # shellcheck disable=SC2046 # two numbers
        tools/parts.py "$(image_of "$board" agent)" --stack "$(peak_stack)" --client $(client_parts) \
            --flash-limit "$FLASH_LIMIT" --ram-limit "$RAM_LIMIT"
        heading "$board: handshakes"
        handshake_table
    )$'\n'
done
printf '%s' "$tables"

heading "lm3s6965evb: what a feature of TLS adds, in bytes"
feature_table lm3s6965evb
