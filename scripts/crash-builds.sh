#!/bin/sh
# Builds the switch that dies where it is told to, and the null control, which besides answers too
# early. They differ from the real one in features of two crates, so they are built in its place and
# put aside; the real one is to be built after them.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

put_aside() {
    mkdir -p "$target/$1/release"
    cp "$target/release/njia" "$target/$1/release/njia"
}

cargo build --release --locked -p switch --features crash-points,reply-before-journal
put_aside null-control
cargo build --release --locked -p switch --features crash-points
put_aside crash-points
