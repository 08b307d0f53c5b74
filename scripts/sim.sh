#!/bin/sh
# Seeds of the simulated world, on all cores: SEEDS of them from SEED_FROM on. Ends with 1 when a
# promise was broken; the line of the violation names the seed that replays it.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

sh scripts/need.sh
cargo build --release --locked -p njia-tests --example simulate
REVISION=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
export REVISION
exec "$target/release/examples/simulate"
