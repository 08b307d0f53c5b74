#!/bin/sh
# POINTS kills at the steps of a transaction and at random moments, under load; a start on a long
# journal; the null control, which must fail. Closes with a table, also in target/crash.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

sh scripts/need.sh
sh scripts/postgres.sh
sh scripts/crash-builds.sh
cargo build --release --locked -p switch -p loadgen
cargo build --release --locked -p njia-tests --example crash

mkdir -p "$target/crash"
folder=$(cd "$target" && pwd)
NJIA_BIN_DIR=$folder/release NJIA_CRASH_DIR=$folder/crash-points/release \
    OUT=$folder/crash "$folder/release/examples/crash"
