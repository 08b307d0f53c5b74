#!/bin/sh
# What 1,000 busy connections feel of 10,000 idle ones, half of them sessions, and what those take.
# 20,000 files are open then.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

sh scripts/need.sh
cargo build --release --locked -p switch -p loadgen
cargo build --release --locked -p njia-tests --example crowd

mkdir -p "$target/crowd"
folder=$(cd "$target" && pwd)
NJIA_BIN_DIR=$folder/release OUT=$folder/crowd/run "$folder/release/examples/crowd"
