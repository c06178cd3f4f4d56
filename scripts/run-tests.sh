#!/bin/sh
# The last line is "N passed, N failed".
#   run-tests.sh          `make test`: builds with gcc, asks clang for warnings, lints, and runs every test, unit tests under the
#                         address and undefined behaviour sanitizers, end-to-end tests as they are and partly under them
#   run-tests.sh check    `make check`: what a developer runs before each commit, in a minute and a half
set -u
cd "$(dirname "$0")/.." || exit 1
profile=${1:-test}
# One file, under the sanitizers, for each place where bytes come from outside: responses of the service and the media
# host (tables of hundreds), the data directory, requests and defaults of users, and an ordinary job. The others run the
# same code on fewer odd bytes; `make campaign PARTS=asan` takes all of them. What parses is also replayed from the
# corpus of fuzzing and run in the unit tests, both under the sanitizers.
from_outside="faults_responses faults_read cache_errors prompt_text defaults first objects"
# One of each kind: money, bytes, names, writing, states, keeping, starting.
smoke="first spending editing names prompt_text readers cache_errors start views full_disk"
passed=0
failed=0
skipped=0
started=$(date +%s)
log=$(mktemp)
jobs=$(nproc)

# Everything that the tests make and mount is below this directory, which other users may pass as they may /tmp. The
# name is short, because sockets lie in it.
base=${TMPDIR:-/tmp}
TMPDIR=$(mktemp -d "$base/sfs.XXXXXX")
export TMPDIR
chmod 1777 "$TMPDIR"
nothing_is_mounted() {
    ! awk -v directory="$TMPDIR/" 'index($2, directory) == 1' /proc/self/mounts | grep .
}
trap 'rm -f "$log"; ! nothing_is_mounted || rm -rf "$TMPDIR"' EXIT

heading() {
    echo "== $1 ($(($(date +%s) - started)) s)"
}

# One check that passes or fails as a whole; quiet when it passes.
check() {
    name=$1
    shift
    if "$@" >"$log" 2>&1 </dev/null && ! grep -q 'warning:' "$log"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $name"
        tail -n 60 "$log"
    fi
}

# A runner whose last line counts.
suite() {
    "$@" 2>&1 </dev/null | tee "$log"
    last=$(tail -n 1 "$log")
    case $last in
    *" passed, "*" failed"*)
        passed=$((passed + ${last%% passed*}))
        rest=${last#*passed, }
        failed=$((failed + ${rest%% failed*}))
        case $last in
        *skipped)
            rest=${last#*failed, }
            skipped=$((skipped + ${rest%% skipped*}))
            ;;
        esac
        ;;
    *) failed=$((failed + 1)) ;;
    esac
}

make_() {
    make --no-print-directory -j"$jobs" "$@"
}

finish() {
    heading "done"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
    exit
}

if [ "$profile" = check ]; then
    heading "build"
    check "it builds without a warning" make_ all
    check "unit tests build" make_ V=checked unit-build
    heading "unit tests"
    suite make --no-print-directory V=checked unit
    heading "2,000 schedules in virtual time"
    check "no schedule breaks a promise" make_ V=checked simulate SEEDS=2000
    heading "ten files of end-to-end tests"
    # shellcheck disable=SC2046,SC2086 # lists of words
    suite scripts/run-e2e.sh build $(printf 'tests/e2e/%s.bats ' $smoke)
    finish
fi

heading "build: gcc, sanitizers; clang's warnings"
check "gcc builds without a warning" make_ all
check "clang has no warning" make_ V=clang warnings
check "the sanitizers' variant builds without a warning" make_ V=asan all unit-build

heading "lint"
check "lint" scripts/lint.sh

heading "unit tests, under the sanitizers"
suite make --no-print-directory V=asan unit

heading "5,000 schedules in virtual time" # the campaign has a million
check "no schedule breaks a promise" make_ V=checked simulate SEEDS=5000
cat "$log" | grep 'seeds,' | fold -s -w 110 | sed 's/^/  /'

heading "inputs that fuzzing has found"
check "the fuzz targets build without a warning" make_ fuzz-build
suite scripts/run-fuzz.sh replay

heading "end-to-end tests; under the sanitizers those that read bytes from outside"
# shellcheck disable=SC2046,SC2086 # lists of words
suite scripts/run-e2e.sh build build/asan $(printf 'tests/e2e/%s.bats ' $from_outside)
heading "the demo"
check "make demo works without a terminal" scripts/demo.sh

check "no mount is left" nothing_is_mounted

finish
