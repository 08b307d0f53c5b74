#!/bin/sh
# Runs the fuzz targets one after the other, each for TIME seconds of processor time, and says how
# many inputs each has tried. Stops at the first finding.
#
#   TARGET=message   one target instead of all
#   KEEP=1           afterwards fuzz/corpus is replaced by the fewest inputs that reach all that
#                    was reached; without it, what is found stays in fuzz/found and is not committed
set -eu
cd "$(dirname "$0")/.."
sh scripts/need.sh
time=${TIME:-60}
known=$(sed -n 's/^path = "fuzz_targets\/\(.*\)\.rs"/\1/p' fuzz/Cargo.toml)
targets=${TARGET:-$known}
for target in $targets; do
    if ! echo "$known" | grep -qx "$target"; then
        echo "njia: fuzz: there is no target $target; known:" $known >&2
        exit 64
    fi
done

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "njia: cargo-fuzz is missing; installing 0.13.2 from crates.io"
    cargo install cargo-fuzz --version 0.13.2 --locked
fi

# Puts the seconds of processor time that this shell's children have used into `used`. Not to be
# called in a subshell, which has no children yet.
measure() {
    times >"$log.times"
    used=$(awk 'NR == 2 { gsub("[ms]", " "); print int($1 * 60 + $2 + $3 * 60 + $4) }' "$log.times")
}

# No sanitizer: there is no unsafe code in what is fuzzed, and none is twice as fast. This needs no
# nightly compiler. Overflow checks and debug assertions are on.
# The switch is built only for the target that needs it.
features=
case " $targets " in *dialect_toml*) features="--features switch" ;; esac
# shellcheck disable=SC2086
cargo fuzz build -s none $features
triple=$(rustc -vV | sed -n 's/^host: //p')
release=${CARGO_TARGET_DIR:-fuzz/target}/$triple/release
mkdir -p fuzz/artifacts

run() {
    dict=fuzz/$target.dict
    [ ! -f "$dict" ] || set -- -dict="$dict" "$@"
    nice -n 10 "$release/$target" -artifact_prefix="fuzz/artifacts/$target-" -max_len=2048 \
        -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 "$@" >"$log" 2>&1
}

for target in $targets; do
    found=fuzz/found/$target
    log=fuzz/artifacts/$target.log
    mkdir -p "$found" "fuzz/corpus/$target" "fuzz/regressions/$target"
    executions=0
    measure
    began=$used
    left=$time
    # Beside other work a second on the clock is less than one of the processor: hence in slices.
    while [ "$left" -gt 0 ]; do
        if ! run -max_total_time="$left" "$found" "fuzz/corpus/$target" "fuzz/regressions/$target"
        then
            tail -n 40 "$log"
            # Named by libFuzzer when it has written one; anything else is a run that failed.
            input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
            if [ -n "$input" ] && [ -f "$input" ]; then
                echo "njia: fuzz $target: FOUND; the input is $input, see TESTING.md" >&2
            else
                echo "njia: fuzz $target: the run failed, nothing was found" >&2
            fi
            exit 1
        fi
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        executions=$((executions + runs))
        measure
        spent=$((used - began))
        left=$((time - spent))
    done
    reached=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    echo "njia: fuzz $target: $executions executions in $spent s of processor time," \
        "$reached edges, nothing found"
    if [ "${KEEP:-0}" = 1 ]; then
        fewest=fuzz/found/$target.fewest
        rm -rf "$fewest"
        mkdir -p "$fewest"
        run -merge=1 "$fewest" "fuzz/corpus/$target" "$found"
        rm -rf "fuzz/corpus/$target" "$found"
        mv "$fewest" "fuzz/corpus/$target"
        echo "njia: fuzz/corpus/$target: $(ls "fuzz/corpus/$target" | wc -l) inputs"
    fi
done
