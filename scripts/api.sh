#!/bin/sh
# /openapi.json against the switch that serves it: PyPI's schemathesis asks a real switch with
# simulated issuers what the document says, npm's spectral lints the document. Installs both into
# the target folder, as tests/api pins them. Needs Python's venv, Node and curl. The exit code is
# the verdict, the last line says what was found.
#   CASES=5000 at least; SEED=1. `--installed` installs nothing and stops where that is not there.
set -eu
cd "$(dirname "$0")/.."
pins=tests/api
target=${CARGO_TARGET_DIR:-target}

fail() {
    echo "njia: $1" >&2
    exit 1
}

sh scripts/need.sh
for program in python3 node npm curl; do
    command -v "$program" >/dev/null 2>&1 || fail "$program is not installed"
done
mkdir -p "$target/api"
folder=$(cd "$target/api" && pwd)
target=$(cd "$target" && pwd)
python=$folder/python
node=$folder/node

same() {
    cmp -s "$pins/requirements.txt" "$python/requirements.txt" &&
        cmp -s "$pins/package-lock.json" "$node/package-lock.json"
}

if ! same && [ "${1:-}" = --installed ]; then
    fail "schemathesis and spectral are not installed: make api"
fi
if ! cmp -s "$pins/requirements.txt" "$python/requirements.txt"; then
    rm -rf "$python"
    python3 -m venv "$python" >&2
    "$python/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --only-binary :all: -r "$pins/requirements.txt" >&2 ||
        fail "pip cannot install what $pins/requirements.txt names; is there a network?"
    cp "$pins/requirements.txt" "$python/"
fi
if ! cmp -s "$pins/package-lock.json" "$node/package-lock.json"; then
    rm -rf "$node" "$node.new"
    mkdir -p "$node.new"
    cp "$pins/package.json" "$pins/package-lock.json" "$node.new/"
    npm ci --prefix "$node.new" --ignore-scripts --no-audit --no-fund --loglevel error >&2 ||
        fail "npm cannot install what $pins/package-lock.json names; is there a network?"
    mv "$node.new" "$node"
fi

bin=${NJIA_BIN_DIR:-}
if [ -z "$bin" ]; then
    cargo build --release --locked -p switch -p loadgen
    bin=$target/release
fi
cargo build --locked -p njia-tests --example api
NJIA_BIN_DIR=$bin API_DIR=$folder PINS=$pins CASES=${CASES:-5000} SEED=${SEED:-1} \
    exec "$target/debug/examples/api"
