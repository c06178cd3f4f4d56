#!/bin/bash
# Breaks the program on purpose, and demands that its tests notice: a check that cannot fail is a defect.
#   run-broken.sh [NAME]...        tests/broken/NAME.break; all of them without a name
#   JOBS=N                         so many at a time, or one per processor
# Such a file begins with lines that say what it breaks, how that is built, and which command must fail then; the
# edits that follow are described in break.py:
#   What: the response is read before it is on disk
#   Build: make V=checked build/checked/unit/job/test_submit
#   Caught-by: build/checked/unit/job/test_submit
# The command has to pass before, too, or its failing would say nothing. The unbroken program is built in a copy of the
# tree, with the objects that the tree has; each broken one in a copy of that, where only what it breaks is built again.
# The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 1
root=$PWD
export base=$root/build/broken/unbroken
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
export results

field() { sed -n "s/^$2: //p" "tests/broken/$1.break" | head -n 1; }
run() { timeout -k 10 300 bash -c "$1" >"$2" 2>&1 </dev/null; }
# A name for what several broken builds share.
mark() { md5sum <<<"$1" | cut -c 1-12; }

fail() {
    {
        echo "broken: $1: $2"
        tail -n 30 "$3"
    } >"$results/$1.failed"
    cat "$results/$1.failed"
}

# passes COMMAND   on the unbroken program; asked once for those that several broken builds share.
passes() {
    local log
    log=$results/$(mark "$1").before
    cd "$base" || exit 1
    run "$1" "$log" || touch "$log.failed"
}

one() {
    local name=$1 build caught_by log=$results/$1.log copy=$root/build/broken/$1
    build=$(field "$name" Build)
    caught_by=$(field "$name" Caught-by)
    [ ! -e "$results/$(mark "$caught_by").before.failed" ] ||
        { fail "$name" "the test fails on the unbroken program" "$results/$(mark "$caught_by").before"; return; }
    rm -rf "$copy"
    cp -a --reflink=auto "$base" "$copy"
    cd "$copy" || exit 1
    if ! /usr/bin/python3 scripts/break.py "tests/broken/$name.break" >"$log" 2>&1; then
        fail "$name" "it cannot be applied any more" "$log"
    elif ! run "$build" "$log"; then
        fail "$name" "does not build broken" "$log"
    elif run "$caught_by" "$log"; then
        fail "$name" "NOT caught by: $caught_by" "$log"
    else
        echo "  caught: $(field "$name" What)"
    fi
    cd "$root" || exit 1
    rm -rf "$copy"
}
export -f field run mark fail passes one
export root

# at_once FUNCTION <WORDS
at_once() { tr '\n' '\0' | xargs -0 -r -n 1 -P "${JOBS:-$(nproc)}" bash -c "$1"' "$1"' "$1"; }

[ $# -gt 0 ] || set -- $(cd tests/broken && ls -- *.break | sed 's/\.break$//')
mkdir -p "$base/build"
rsync -a --delete --exclude=/build --exclude=/.git "$root/" "$base/"
# Objects travel with their times, so that make sees what is up to date.
rsync -a --exclude=/broken --exclude=/matrix --exclude=/obj/asan --exclude=/obj/clang --exclude=/asan --exclude=/lint "$root/build/" "$base/build/"

for name in "$@"; do field "$name" Build; done | sort -u >"$results/builds"
while read -r build; do
    (cd "$base" && bash -c "$build") >"$results/build.log" 2>&1 </dev/null || {
        tail -n 30 "$results/build.log"
        echo "broken: it does not build unbroken: $build"
        echo "0 passed, $# failed"
        exit 1
    }
done <"$results/builds"
for name in "$@"; do field "$name" Caught-by; done | sort -u | at_once passes
printf '%s\n' "$@" | at_once one
failed=$(find "$results" -name '*.failed' ! -name '*.before.failed' | wc -l)
echo "$(($# - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
