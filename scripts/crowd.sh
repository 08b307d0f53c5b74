#!/bin/sh
# What 1,000 busy connections feel of 10,000 idle ones of gateways and as many sessions, and what
# those take. More files than the hard limit lets it open take root.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

sh scripts/need.sh
cargo build --release --locked -p switch -p loadgen
cargo build --release --locked -p njia-tests --example crowd

mkdir -p "$target/crowd"
folder=$(cd "$target" && pwd)
NJIA_BIN_DIR=$folder/release OUT=$folder/crowd/run "$folder/release/examples/crowd"
