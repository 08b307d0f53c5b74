#!/bin/sh
# Licences, bans, sources and advisories of all crates: deny.toml.
# `--offline` fetches nothing: advisories are those that were fetched last.
set -eu
cd "$(dirname "$0")/.."

if ! command -v cargo-deny >/dev/null 2>&1; then
    echo "cargo-deny is not installed: cargo install --locked cargo-deny@0.20" >&2
    exit 69
fi
if [ "${1:-}" != --offline ]; then
    exec cargo deny --workspace check
fi
cargo deny --offline --workspace check bans licenses sources
if [ -d "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs" ]; then
    cargo deny --offline --workspace check advisories
else
    echo "advisories: NOT CHECKED, none were ever fetched here: make deny" >&2
fi
