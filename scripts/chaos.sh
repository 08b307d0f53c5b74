#!/bin/sh
# MINUTES of load with bad connections, kills and PostgreSQL restarts by SEED; then acquirer,
# switch, issuers and PostgreSQL must agree to the minor unit. Closes with a table, also in
# target/chaos.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

sh scripts/need.sh
sh scripts/postgres.sh
cargo build --release --locked -p switch -p loadgen
cargo build --release --locked -p njia-tests --example chaos

mkdir -p "$target/chaos"
folder=$(cd "$target" && pwd)
NJIA_BIN_DIR=$folder/release OUT=$folder/chaos "$folder/release/examples/chaos"
