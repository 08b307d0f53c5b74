#!/bin/sh
# Sees to it that a PostgreSQL server and pgbouncer are installed, for the tests that start their
# own. Installs Debian's packages as root or through sudo, else stops with one line.
set -eu


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

# Debian's place is not on everybody's path.
has_pooler() {
    command -v pgbouncer >/dev/null 2>&1 || [ -x /usr/sbin/pgbouncer ]
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

packages=""
if ! has_server; then
    packages="postgresql"
fi
if ! has_pooler; then
    packages="${packages:+$packages }pgbouncer"
fi
if [ -z "$packages" ]; then
    exit 0
fi
advice="njia: not installed, and the tests need it; run as root: apt-get install $packages"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "$advice" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
    echo "$advice" >&2
    exit 1
fi

echo "njia: installing $packages for the tests" >&2
# Split into words on purpose: one package each.
# shellcheck disable=SC2086
if ! { as_root apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages >/dev/null; }; then
    echo "$advice" >&2
    exit 1
fi
if ! { has_server && has_pooler; }; then
    echo "$advice" >&2
    exit 1
fi
