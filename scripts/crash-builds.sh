#!/bin/sh
# Builds the switch that dies where it is told to and, told so, answers too early: by the profile
# that is named, or as it is released. It differs from the real one in a feature of two crates, so
# it is built in its place and put aside; the real one is to be built after it.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
profile=${1:-release}
case $profile in
dev) folder=debug ;;
*) folder=$profile ;;
esac

cargo build --profile "$profile" --locked -p switch --features crash-points
mkdir -p "$target/crash-points/$folder"
cp "$target/$folder/njia" "$target/crash-points/$folder/njia"
