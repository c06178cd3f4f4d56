#!/bin/sh
# Everything that is checked without running the program. Exits 1 when something is wrong.
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0
mkdir -p build/lint
step() {
    name=$1
    shift
    if ! "$@"; then
        echo "lint: $name: see above"
        bad=1
    fi
}

# What is newer than the last look at it, or everything: the style may have changed.
format() {
    stamp=build/lint/formatted
    newer="-newer $stamp"
    if [ ! -e $stamp ] || [ -n "$(find .clang-format scripts/lint.sh -newer $stamp)" ]; then newer=; fi
    touch $stamp.new
    # shellcheck disable=SC2086 # two words, or none
    find src include tests -name '*.[ch]' $newer -print0 |
        xargs -0 -r -n 8 -P "$(nproc)" clang-format --dry-run -Werror && mv $stamp.new $stamp
}
# The suppressed checks do not understand the loops of utlist.h, nor the attribute `cleanup`; the
# compilers and the sanitizers look for the same.
# shellcheck disable=SC2046
analyse() {
    cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability \
        --inline-suppr --suppress=missingIncludeSystem --suppress=unusedFunction \
        --suppress=uninitvar --suppress=ctuuninitvar --suppress=nullPointerRedundantCheck --suppress=memleak -D_GNU_SOURCE -DFUSE_USE_VERSION=35 \
        '-DSEEDANCEFS_VERSION="0"' -Iinclude -Isrc -j "$(nproc)" --cppcheck-build-dir=build/lint \
        $(find src -name '*.c')
}

# Broken builds are built by `make broken`; that each of them can still be broken is seen here.
step "broken builds" /usr/bin/python3 scripts/break.py --check tests/broken/*.break
step "tables of faults" /usr/bin/python3 tests/e2e/fault_rows.py --check
step "clang-format (make format mends it)" format
step "cppcheck" analyse
step "layers" scripts/check-layers.sh
circles() { make --no-print-directory -j"$(nproc)" all >/dev/null && scripts/check-circles.sh; }
step "circles of files" circles
step "the policy of index.html" scripts/check-gallery.py
[ ! -x scripts/check-semantics.sh ] || step "SEMANTICS ids" scripts/check-semantics.sh
[ $bad -eq 0 ] && echo "lint: clean"
exit $bad
