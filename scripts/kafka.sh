#!/bin/sh
# Sees to it that librdkafka can be built, for the feature `kafka`: make, a C++ compiler, OpenSSL's
# headers and pkg-config, which finds them. Installs Debian's packages as root or through sudo, else
# stops with one line.
set -eu

has_openssl() {
    command -v pkg-config >/dev/null 2>&1 && pkg-config --exists libssl libcrypto
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
if ! has_openssl; then
    packages="pkg-config libssl-dev"
fi
if ! command -v make >/dev/null 2>&1 || ! command -v c++ >/dev/null 2>&1; then
    packages="${packages:+$packages }build-essential"
fi
if [ -z "$packages" ]; then
    exit 0
fi
advice="njia: not installed, and librdkafka needs it; run as root: apt-get install $packages"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "$advice" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
    echo "$advice" >&2
    exit 1
fi

echo "njia: installing $packages to build librdkafka" >&2
# Split into words on purpose: one package each.
# shellcheck disable=SC2086
if ! { as_root apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $packages >/dev/null; }; then
    echo "$advice" >&2
    exit 1
fi
