#!/bin/sh
# The bare relay and the switch with its journal under the same load, in one run.
# Arguments go to the driver: see `scripts/limit.sh --help`.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

sh scripts/need.sh
cargo build --release --locked -p switch -p loadgen
cargo build --release --locked -p njia-benches --bins
exec "$target/release/limit" --bin-dir "$target/release" "$@"
