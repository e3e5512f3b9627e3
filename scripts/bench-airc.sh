#!/usr/bin/env bash
# Puts load on an AIRC registry over HTTP, and checks that every message arrives once:
#   scripts/bench-airc.sh                          # SQLite, durable, in target/
#   DATABASE=postgres://... scripts/bench-airc.sh  # a database of which it may make what it wants
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

cargo build -q --release --locked -p airc-registry -p aire-bench --bin airc-registry --bin airc-load
built="$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/release"

# Beside what was built: /tmp may be memory, and then nothing would be durable.
scratch=$(mktemp -d "$built/bench-airc.XXXXXX")
registry=
finish() {
    [ -z "$registry" ] || kill "$registry" 2>/dev/null || true
    wait
    rm -rf "$scratch"
}
trap finish EXIT

# run NAME ARGUMENTS...: one row, by a registry of its own.
port=4490
run() {
    local name=$1
    shift
    port=$((port + 1))
    cat >"$scratch/registry.toml" <<TOML
listen = "127.0.0.1:$port"
database = "${DATABASE:-sqlite:$scratch/$port.db}"
open = true

[limits]
requests_per_identity = 0
requests_per_address = 0
TOML
    "$built/airc-registry" serve --config "$scratch/registry.toml" >"$scratch/log" 2>&1 &
    registry=$!
    for _ in $(seq 100); do
        if (echo >"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
        kill -0 "$registry" 2>/dev/null || die "the registry does not start: $(cat "$scratch/log")"
        sleep 0.1
    done
    "$built/airc-load" "127.0.0.1:$port" --name "$name" "$@"
    kill "$registry"
    wait "$registry" || true
    registry=
}

cat <<'HEAD'
| what | agents | connections | polls meanwhile | messages/s | p50 ms | p99 ms | longest ms |
|------|-------:|------------:|----------------:|-----------:|-------:|-------:|-----------:|
HEAD
run "one sender at a time" --connections 1 --messages 3000
run "16 at a time" --connections 16 --messages 30000
run "64 at a time" --connections 64 --messages 60000
run "64, and 1,000 agents poll" --connections 64 --messages 60000 --polling 1000
