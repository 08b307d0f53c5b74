#!/bin/sh
# Runs all tests. Cargo runs one test program after the other, and most of ours wait: for a server
# to start, a deadline to pass, a link to come back. So several run beside each other: JOBS.
# What each said is in a file of its own, shown when it failed. Arguments go to cargo.
set -eu
cd "$(dirname "$0")/.."

# One program: its path and the manifest of its package, where cargo would start it.
if [ "${1-}" = --one ]; then
    name=$(basename "$2")
    name=${name%-*}
    log=$(mktemp "$SUITES_LOGS/$name.XXXXXX")
    began=$(date +%s)
    CARGO_MANIFEST_DIR=$(dirname "$3")
    export CARGO_MANIFEST_DIR
    cd "$CARGO_MANIFEST_DIR"
    status=0
    "$2" >"$log" 2>&1 || status=$?
    took=$(($(date +%s) - began))
    # The line of each program as cargo shows it, and in one write, or two programs mix theirs.
    result=$(grep '^test result: ' "$log") || result="test result: FAILED. It ended with $status"
    printf '     Running %s (%s s)\n%s\n' "$name" "$took" "$result"
    [ "$status" -eq 0 ] && exit 0
    mv "$log" "$log.failed"
    exit 1
fi

jobs=${JOBS:-$(($(nproc) * 2))}
target=${CARGO_TARGET_DIR:-target}
SUITES_LOGS=$(cd "$target" && pwd)/suites
export SUITES_LOGS
rm -rf "$SUITES_LOGS"
mkdir -p "$SUITES_LOGS"

cargo test "$@" --no-run --message-format json-render-diagnostics >"$SUITES_LOGS/built.json"
# Of what was built for tests: examples and plain binaries have a profile of their own.
manifest='"manifest_path":"\([^"]*\)"'
program='"profile":{[^}]*"test":true}.*"executable":"\([^"]*\)"'
sed -n "s/.*$manifest.*$program.*/\2 \1/p" "$SUITES_LOGS/built.json" |
    sort >"$SUITES_LOGS/programs"
if [ ! -s "$SUITES_LOGS/programs" ]; then
    echo "njia: cargo named no test program in $SUITES_LOGS/built.json" >&2
    exit 1
fi

status=0
xargs -P "$jobs" -n 2 sh "$PWD/scripts/suites.sh" --one <"$SUITES_LOGS/programs" || status=$?
for log in "$SUITES_LOGS"/*.failed; do
    [ -e "$log" ] || continue
    printf '\n== %s\n' "$log"
    cat "$log"
done
if [ "$status" -ne 0 ]; then
    echo "njia: tests failed, see above" >&2
    exit 1
fi
cargo test "$@" --doc --quiet
cat "$SUITES_LOGS"/* | awk '/^test result: / { tests += $4; programs += 1 }
    END { printf "%d tests in %d programs passed, beside those of documents\n", tests, programs }'
