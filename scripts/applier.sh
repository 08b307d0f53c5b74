#!/bin/sh
# How fast records become rows: both strategies of the applier and bare COPY, on servers of their
# own. Arguments are sizes of batches.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

sh scripts/need.sh
sh scripts/postgres.sh
cargo build --release --locked -p njia-tests --example applier_rate
exec "$target/release/examples/applier_rate" "$@"
