#!/bin/sh
# Builds the switch that dies where it is told to and, told so, answers too early. It differs from
# the real one in a feature of two crates, so it is built in its place and put aside; the real one
# is to be built after it.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

cargo build --release --locked -p switch --features crash-points
mkdir -p "$target/crash-points/release"
cp "$target/release/njia" "$target/crash-points/release/njia"
