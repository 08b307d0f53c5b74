#!/bin/sh
# What an acquirer and a gateway feel of another one that floods: p99 with and without it, in one
# run.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

sh scripts/need.sh
cargo build --release --locked -p switch -p loadgen
cargo build --release --locked -p njia-tests --example flood

mkdir -p "$target/flood"
folder=$(cd "$target" && pwd)
NJIA_BIN_DIR=$folder/release OUT=$folder/flood/run "$folder/release/examples/flood"
