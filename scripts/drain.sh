#!/bin/sh
# How fast reversals that are owed to one issuer leave over real sockets, with and without some that
# it never answers.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

sh scripts/need.sh
cargo build --release --locked -p switch -p loadgen
cargo build --release --locked -p njia-tests --example drain

mkdir -p "$target/drain"
folder=$(cd "$target" && pwd)
NJIA_BIN_DIR=$folder/release OUT=$folder/drain "$folder/release/examples/drain"
