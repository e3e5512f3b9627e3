#!/usr/bin/env bash
# Installs what a make target needs and is missing; asks nobody anything.
#
#   scripts/ensure.sh cxx cmake libclang redis postgres go valgrind lint thumb fuzz venv
#   scripts/ensure.sh thumb-firmware qemu-arm arm-binutils python chromium
#
# What is present is found by looking for it, so a complete machine sees no
# call to a package manager. Rust itself is never installed from here.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

MIN_GO=1.24
# aioquic's.
MIN_PYTHON=3.11
DEBIAN_CORE="rustc-web cargo-web rust-web-src"

any_file() {
    local pattern
    for pattern; do
        if compgen -G "$pattern" >/dev/null; then return 0; fi
    done
    return 1
}

go_version() {
    go version 2>/dev/null | awk '{ sub(/^go/, "", $3); print $3 }'
}

python_version() {
    python3 --version 2>/dev/null | awk '{ print $2 }'
}

# Is there `core` for each of the targets?
can_build() {
    local target
    if debian_builds_core; then return 0; fi
    for target; do rustup_has "$target" || return 1; done
}

# Is need $1 met?
# shellcheck disable=SC2086 # lists of words
present() {
    case $1 in
    # Run, not just looked up: macOS has stubs by these names.
    cxx) cc --version >/dev/null 2>&1 && c++ --version >/dev/null 2>&1 ;;
    cmake | valgrind) have "$1" ;;
    redis) have redis-server ;;
    # Debian and Homebrew keep its programs out of the way, for several versions of it.
    postgres)
        have initdb || any_file '/usr/lib/postgresql/*/bin/initdb' \
            '/opt/homebrew/opt/postgresql*/bin/initdb' \
            '/usr/local/opt/postgresql*/bin/initdb' ;;
    # bindgen loads the library and reads the headers that come with `clang`.
    # libclang-cpp is another library: the patterns must not match it.
    libclang)
        have clang && { [ -n "${LIBCLANG_PATH:-}" ] || any_file \
            '/usr/lib/llvm-*/lib/libclang.so*' \
            '/usr/lib/llvm-*/lib/libclang-[0-9]*.so*' \
            '/usr/lib*/libclang.so*' \
            '/usr/lib/*/libclang-[0-9]*.so*' \
            '/usr/local/lib/libclang.so*' \
            '/Library/Developer/CommandLineTools/usr/lib/libclang.dylib' \
            '/Applications/Xcode.app/Contents/Developer/Toolchains/*/usr/lib/libclang.dylib' \
            '/opt/homebrew/opt/llvm/lib/libclang.dylib' \
            '/usr/local/opt/llvm/lib/libclang.dylib'; } ;;
    go) at_least "$MIN_GO" "$(go_version)" ;;
    # Debian packs what a virtual environment needs apart.
    venv) at_least "$MIN_PYTHON" "$(python_version)" && python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    lint) cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 ;;
    thumb) can_build $THUMB_TARGETS ;;
    thumb-firmware) can_build $FIRMWARE_TARGETS ;;
    qemu-arm) have qemu-system-arm ;;
    arm-binutils) have arm-none-eabi-ld && have arm-none-eabi-objdump ;;
    python) have python3 ;;
    chromium) have chromedriver && { have chromium || have google-chrome || any_file '/Applications/*Chrom*.app'; } ;;
    fuzz) cargo fuzz --version >/dev/null 2>&1 ;;
    *) die "unknown need: $1" ;;
    esac
}

described_targets() {
    echo "the Cortex-M targets (rustup target add $*) or Debian's $DEBIAN_CORE, $MIN_RUST or newer"
}

# What a person would have to look for, in a sentence.
# shellcheck disable=SC2086 # lists of words
described() {
    case $1 in
    cxx) echo "a C and C++ compiler (cc, c++; on macOS: xcode-select --install)" ;;
    libclang) echo "clang with libclang" ;;
    redis) echo "redis-server, which tests start for themselves" ;;
    postgres) echo "PostgreSQL's server, which tests start for themselves" ;;
    go) echo "Go $MIN_GO or newer (https://go.dev/dl/; found: $(go_version | grep . || echo none))" ;;
    venv) echo "Python $MIN_PYTHON or newer with venv (found: $(python_version | grep . || echo none))" ;;
    lint) echo "rustfmt and clippy (rustup component add rustfmt clippy)" ;;
    thumb) described_targets $THUMB_TARGETS ;;
    thumb-firmware) described_targets $FIRMWARE_TARGETS ;;
    qemu-arm) echo "qemu-system-arm, which is the board" ;;
    arm-binutils) echo "the linker and tools of binutils for arm-none-eabi" ;;
    python) echo "python3" ;;
    chromium) echo "Chromium and chromedriver, in which the web page is tested" ;;
    fuzz) echo "cargo-fuzz (cargo install cargo-fuzz --locked)" ;;
    *) echo "$1" ;;
    esac
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        # -n: fail instead of asking for a password.
        sudo -n "$@"
    fi
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=600 "$@" </dev/null
}

# A list that cannot be refreshed may still be good enough to install from.
apt_refreshed=
apt_refresh() {
    [ -n "$apt_refreshed" ] || apt update || true
    apt_refreshed=yes
}

apt_install() {
    apt_refresh
    apt install --no-install-recommends "$@"
}

# The version apt would install of package $1, without epoch and revision.
apt_candidate() {
    apt-cache policy "$1" | awk '$1 == "Candidate:" { sub(/^[0-9]+:/, "", $2); sub(/[~+-].*/, "", $2); print $2 }'
}

# Tries to meet need $1. Whether it worked is for `present` to say.
install() {
    local apt_names brew_names
    case $1 in
    cxx) apt_names="gcc g++ libc6-dev" brew_names="" ;;
    cmake | valgrind) apt_names=$1 brew_names=$1 ;;
    redis) apt_names=redis-server brew_names=redis ;;
    postgres) apt_names=postgresql brew_names=postgresql@15 ;;
    libclang) apt_names="clang libclang-dev" brew_names=llvm ;;
    go)
        apt_names="" brew_names=go
        # Stable distributions carry an older Go, of no use here.
        if have apt-get; then
            apt_refresh
            if at_least "$MIN_GO" "$(apt_candidate golang-go)"; then apt_names=golang-go; fi
        fi ;;
    venv) apt_names="python3 python3-venv" brew_names=python3 ;;
    lint)
        if have rustup; then rustup component add rustfmt clippy; fi
        return ;;
    thumb | thumb-firmware)
        local targets=$THUMB_TARGETS
        if [ "$1" = thumb-firmware ]; then targets=$FIRMWARE_TARGETS; fi
        # shellcheck disable=SC2086 # a list of words
        if have rustup && rustup target add $targets; then return; fi
        apt_names=$DEBIAN_CORE brew_names="" ;;
    qemu-arm) apt_names=qemu-system-arm brew_names=qemu ;;
    arm-binutils) apt_names=binutils-arm-none-eabi brew_names=arm-none-eabi-binutils ;;
    python) apt_names=python3-minimal brew_names=python ;;
    chromium) apt_names="chromium chromium-driver" brew_names="chromium chromedriver" ;;
    fuzz)
        cargo install cargo-fuzz --locked
        return ;;
    esac
    # shellcheck disable=SC2086 # lists of words
    if have apt-get; then
        [ -z "$apt_names" ] || apt_install $apt_names
    elif [ "$(uname)" = Darwin ] && have brew; then
        [ -z "$brew_names" ] || NONINTERACTIVE=1 brew install $brew_names </dev/null
    fi
}

rust=$(rust_version cargo || true)
at_least "$MIN_RUST" "$rust" ||
    die "Rust $MIN_RUST or newer is needed (found: ${rust:-none}). Get it from https://rustup.rs, or run: rustup update stable"

missing=""
for need; do
    if present "$need"; then continue; fi
    echo "installing: $(described "$need")" >&2
    install "$need" >&2 || true
    hash -r
    present "$need" || missing="$missing
  - $(described "$need")"
done
[ -z "$missing" ] || die "this is missing and could not be installed; install it and run make again:$missing"
