#!/bin/sh
# Puts what others have written below the target folder: for tests/tests/interop.rs PyPI's pyiso8583
# in a virtual environment and npm's iso_8583 beside it, in the same environment PyPI's
# confluent-kafka for tests/tests/events.rs and standardwebhooks for tests/tests/callbacks.rs. What
# they are made from is pinned by hash in tests/interop/. Installs Python, Node, curl and openssl,
# which tests run too, with apt as root or through sudo where they are absent, else stops with one
# line. Prints the folder.
set -eu
cd "$(dirname "$0")/.."
pins=tests/interop
target=${CARGO_TARGET_DIR:-target}

fail() {
    echo "njia: $1" >&2
    exit 1
}

# A virtual environment needs ensurepip, which Debian packs apart.
has_python() {
    command -v python3 >/dev/null 2>&1 && python3 -c 'import ensurepip, venv' >/dev/null 2>&1
}

has_node() {
    command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1
}

has_curl() {
    command -v curl >/dev/null 2>&1
}

has_openssl() {
    command -v openssl >/dev/null 2>&1
}

# sudo asks for a password only where somebody can type it.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# need CHECK WHAT PACKAGE...
need() {
    check=$1 what=$2
    shift 2
    if "$check"; then
        return 0
    fi
    advice="$what is not installed; run as root: apt-get install $*"
    command -v apt-get >/dev/null 2>&1 || fail "$advice"
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null 2>&1 || fail "$advice"
    echo "njia: installing $what for the tests" >&2
    { as_root apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "$@" >/dev/null; } || fail "$advice"
    "$check" || fail "$advice"
}

need has_curl "curl" curl ca-certificates
need has_openssl "openssl" openssl

mkdir -p "$target/interop"
folder=$(cd "$target/interop" && pwd)
python=$folder/python
node=$folder/node

# What was installed from other pins, or for a Python that has gone, is made again.
if ! cmp -s "$pins/requirements.txt" "$python/requirements.txt" ||
    ! "$python/bin/python" -c 'import confluent_kafka, iso8583, standardwebhooks' \
        >/dev/null 2>&1; then
    need has_python "Python's venv" python3-venv
    rm -rf "$python"
    python3 -m venv "$python" >&2
    "$python/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --only-binary :all: --require-hashes -r "$pins/requirements.txt" >&2 ||
        fail "pip cannot install what $pins/requirements.txt names; is there a network?"
    cp "$pins/requirements.txt" "$python/"
fi

need has_node "Node" nodejs npm
if ! cmp -s "$pins/package-lock.json" "$node/package-lock.json" || [ ! -e "$node/complete" ]; then
    rm -rf "$node"
    mkdir -p "$node"
    cp "$pins/package.json" "$pins/package-lock.json" "$node/"
    npm ci --prefix "$node" --ignore-scripts --no-audit --no-fund --loglevel error >&2 ||
        fail "npm cannot install what $pins/package-lock.json names; is there a network?"
    touch "$node/complete"
fi

echo "$folder"
