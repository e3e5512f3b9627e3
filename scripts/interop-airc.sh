#!/usr/bin/env bash
# Runs the AIRC client that is published on PyPI against our registry:
#   scripts/interop-airc.sh
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

# Of the whole workspace's features, as the tests have it: BoringSSL is not built once more.
cargo build --workspace --bin airc-registry --bin aire --locked
built="$(cd "${CARGO_TARGET_DIR:-target}" && pwd)"

prepared="$built/interop-airc"
pinned=interop/airc/requirements.txt
if ! cmp -s "$pinned" "$prepared/venv/$(basename "$pinned")"; then
    rm -rf "$prepared/venv"
    mkdir -p "$prepared"
    python3 -m venv "$prepared/venv"
    "$prepared/venv/bin/pip" install -q --disable-pip-version-check --only-binary :all: \
        --require-hashes -r "$pinned"
    # Copied last: it says that all the rest is there.
    cp "$pinned" "$prepared/venv"
fi

"$prepared/venv/bin/python" interop/airc/pypi.py "$built/debug/airc-registry" "$built/debug/aire"
