#!/bin/sh
# Builds both binaries and runs the demo. The exit code is the verdict.
#   KEEP=1 keeps the folder of the run below the target folder and prints its path.
#   DATABASE_URL=postgres://… also applies to and verifies that database.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

sh scripts/need.sh
sh scripts/disk.sh 3
cargo build --release --locked -p switch -p loadgen

set --
if [ -n "${KEEP:-}" ] && [ "$KEEP" != 0 ]; then
    set -- "$@" --keep "$(mktemp -d "$target/njia-demo-XXXXXX")"
fi
if [ -n "${DATABASE_URL:-}" ]; then
    set -- "$@" --db "$DATABASE_URL"
fi
exec "$target/release/njia-loadgen" demo "$@"
