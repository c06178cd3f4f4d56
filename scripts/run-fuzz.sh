#!/bin/bash
# Fuzz targets (tests/fuzz/fuzz_NAME.c, built by `make fuzz-build`) with address and undefined behaviour sanitizers.
#   run-fuzz.sh replay [NAME]...        every input of tests/fuzz/corpus/NAME once; the last line is "N passed,
#                                       N failed", a target without inputs has failed
#   run-fuzz.sh run SECONDS [NAME]...   looks for new inputs, so long for each target. Nothing in the tree changes:
#                                       what is found lies in build/fuzz/found/NAME, what fails in
#                                       build/fuzz/artifacts
#   run-fuzz.sh minimise NAME...        writes tests/fuzz/corpus/NAME anew: the fewest inputs that reach what it and
#                                       build/fuzz/found/NAME reach. Regressions (crash-*) stay
# Without a name: all targets.
set -u
cd "$(dirname "$0")/.." || exit 1
build=build/fuzz
corpus=tests/fuzz/corpus
artifacts=$build/artifacts
parent=/tmp
[ -w /dev/shm ] && parent=/dev/shm
log=$(mktemp)
FUZZ_DIRECTORY=$(mktemp -d "$parent/seedancefs-fuzz.XXXXXX") || exit 1
export FUZZ_DIRECTORY
trap 'rm -rf "$log" "$FUZZ_DIRECTORY"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# Leaks are errors, too; a replay ends at the first thing that is wrong.
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
# An input takes milliseconds. The limit is for hangs, on the slowest of machines.
common=(-timeout=60 -rss_limit_mb=2048 -print_final_stats=0)
passed=0
failed=0

usage() {
    sed -n '3,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

names() {
    for source in tests/fuzz/fuzz_*.c; do
        source=${source##*/fuzz_}
        echo "${source%.c}"
    done
}

# Options of one target: its dictionary, and how long an input may grow.
options_of() {
    options=("${common[@]}" -max_len=8192)
    [ ! -f "tests/fuzz/dict/$1.dict" ] || options+=("-dict=tests/fuzz/dict/$1.dict")
}

fail() {
    failed=$((failed + 1))
    echo "failed: $1"
}

# What the oracle or the sanitizer said, without the fuzzer's own progress and frames.
complain() {
    grep -av "^$1\|^INFO:\|NEW_FUNC\|in fuzzer::\|^NOTE:" "$log" | head -n 40
}

replay() {
    local inputs
    inputs=$(find "$corpus/$1" -type f 2>/dev/null | wc -l)
    if [ "$inputs" -eq 0 ]; then
        fail "$1: $corpus/$1 is empty"
        return
    fi
    mkdir -p "$artifacts"
    # Inputs are given one by one: so each is run as it is, and none longer than the others is cut.
    if find "$corpus/$1" -type f -print0 | sort -z |
        xargs -0 "$build/fuzz_$1" "${common[@]}" -artifact_prefix="$artifacts/$1-" >"$log" 2>&1; then
        passed=$((passed + 1))
        echo "  $1: $inputs inputs"
    else
        fail "$1: replay it alone with $build/fuzz_$1 FILE"
        grep -a '^Running:' "$log" | tail -n 1
        complain 'Executed\|Running:'
    fi
}

run() {
    mkdir -p "$artifacts" "$build/found/$1" "$corpus/$1"
    options_of "$1"
    local crash start
    start=$(date +%s)
    if "$build/fuzz_$1" "${options[@]}" -max_total_time="$seconds" \
        -artifact_prefix="$artifacts/$1-" "$build/found/$1" "$corpus/$1" >"$log" 2>&1; then
        passed=$((passed + 1))
        echo "  $1: $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log") inputs tried in $(($(date +%s) - start)) s," \
            "$(sed -n 's/.*cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1) edges"
        return
    fi
    fail "$1"
    complain '#[0-9]*[[:space:]]'
    crash=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    echo "input: $crash"
    echo "again: $build/fuzz_$1 $crash"
    echo "keep:  cp $crash $corpus/$1/crash-REASON"
}

minimise() {
    local kept=$build/minimised/$1
    rm -rf "$kept"
    mkdir -p "$kept" "$build/found/$1" "$corpus/$1"
    options_of "$1"
    # By edges alone: how often each is passed would keep thousands.
    "$build/fuzz_$1" "${options[@]}" -set_cover_merge=1 -use_counters=0 "$kept" "$corpus/$1" "$build/found/$1" >"$log" 2>&1 || {
        fail "$1"
        tail -n 30 "$log"
        return
    }
    # Inputs with a name were put there by hand, those named for their hash were found.
    find "$corpus/$1" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
    local known
    known=$(find "$corpus/$1" -type f -exec sha1sum {} +)
    for input in "$kept"/*; do
        # The fuzzer names an input for its hash.
        case $known in
        *"${input##*/}"*) ;;
        *) [ ! -f "$input" ] || cp "$input" "$corpus/$1/" ;;
        esac
    done
    passed=$((passed + 1))
    echo "  $1: $(find "$corpus/$1" -type f | wc -l) inputs, $(du -sb "$corpus/$1" | cut -f 1) bytes"
}

[ $# -gt 0 ] || usage
mode=$1
shift
case $mode in
replay | minimise) ;;
run)
    seconds=${1:-}
    shift
    case $seconds in '' | *[!0-9]*) usage ;; esac
    ;;
*) usage ;;
esac
# shellcheck disable=SC2046 # names are words
[ $# -gt 0 ] || set -- $(names)
for name in "$@"; do
    if [ ! -x "$build/fuzz_$name" ]; then
        fail "$name: no such target; make fuzz-build"
        continue
    fi
    "$mode" "$name"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
