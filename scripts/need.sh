#!/bin/sh
# Stops with one line when something that builds njia is absent.
set -eu

if ! command -v cargo >/dev/null 2>&1; then
    echo "njia: cargo is missing; install Rust 1.95 or later from https://rustup.rs" >&2
    exit 1
fi
if ! command -v cc >/dev/null 2>&1; then
    echo "njia: a C compiler is missing; run: apt-get install build-essential" >&2
    exit 1
fi
