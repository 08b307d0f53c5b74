#!/bin/sh
# Everything that must hold, cheapest first. Needs no network but for cargo, apt, pip and npm.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
started=$(date +%s)

step() {
    printf '\n== %s (%s s)\n' "$*" "$(($(date +%s) - started))"
}

sh scripts/need.sh
sh scripts/disk.sh 20
sh scripts/postgres.sh
sh scripts/kafka.sh
interop_dir=$(sh scripts/interop.sh)

# librdkafka is built once for all that is tested; a build without events is made below.
events="--features njia-tests/kafka"

step "format"
cargo fmt --all --check

step "lints"
cargo clippy --workspace --all-targets $events --locked -- -D warnings

step "documents"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace $events --no-deps --locked --quiet

if command -v cargo-deny >/dev/null 2>&1; then
    step "licences and advisories"
    sh scripts/deny.sh --offline
else
    step "licences and advisories: NOT CHECKED, cargo-deny is not installed"
fi

# Where it dies does not depend on how it is optimised, and this is built in a third of the time.
step "binaries: the one for the crash tests"
sh scripts/crash-builds.sh dev

step "binaries: the real ones"
cargo build --release --locked -p switch -p loadgen

step "tests"
bin_dir=$(cd "$target/release" && pwd)
crash_dir=$(cd "$target/crash-points/debug" && pwd)
NJIA_BIN_DIR=$bin_dir NJIA_CRASH_DIR=$crash_dir NJIA_INTEROP_DIR=$interop_dir \
    sh scripts/suites.sh --workspace $events --locked

if [ -e "$target/api/node/package-lock.json" ]; then
    step "the interface document, a short form of make api"
    NJIA_BIN_DIR=$bin_dir CASES=500 sh scripts/api.sh --installed
else
    step "schemathesis and spectral: NOT RUN, make api installs and runs them"
fi

step "all green"
