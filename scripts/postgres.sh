#!/bin/sh
# Sees to it that a PostgreSQL server is installed, for the tests that start their own cluster.
# Installs Debian's package as root or through sudo, else stops with one line.
set -eu

advice="njia: no PostgreSQL server is installed; run as root: apt-get install postgresql"

has_server() {
    if command -v initdb >/dev/null 2>&1 && command -v postgres >/dev/null 2>&1; then
        return 0
    fi
    for program in /usr/lib/postgresql/*/bin/initdb; do
        if [ -x "$program" ]; then
            return 0
        fi
    done
    return 1
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

if has_server; then
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "$advice" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
    echo "$advice" >&2
    exit 1
fi

echo "njia: installing PostgreSQL for the tests" >&2
if ! { as_root apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null; }; then
    echo "$advice" >&2
    exit 1
fi
if ! has_server; then
    echo "$advice" >&2
    exit 1
fi
