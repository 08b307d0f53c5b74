#!/bin/sh
# Stops with one line when there is less room than what is built will take: GiB as argument. What
# lies in the target folder already counts. A linker that finds the disk full names no reason.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
needed=$1

mkdir -p "$target"
free=$(df -Pk "$target" | awk 'NR == 2 { print int($4 / 1048576) }')
built=$(du -sk "$target" | awk '{ print int($1 / 1048576) }')
if [ "$((free + built))" -lt "$needed" ]; then
    echo "njia: $needed GiB of disk are needed for $target; $built are built and $free are free." \
        "Free some, or name another folder by CARGO_TARGET_DIR" >&2
    exit 1
fi
