#!/bin/bash
# `make campaign`: what takes hours, part by part, each with its figures and its seed.
#   campaign.sh build [PART]...    kills cuts simulation torture errors reading managers asan fuzz broken; all without a name
#   CYCLES CUTS SEEDS READS FUZZ_SECONDS SEED    how much, and from where
# The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 1
build=$1
shift
[ $# -gt 0 ] || set -- kills cuts simulation torture errors reading managers asan fuzz broken
export TEST_TIMEOUT_S=14400
export SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
passed=0
failed=0

kills() { CYCLES=${CYCLES:-20000} KILL_STEP=1 scripts/run-e2e.sh "$build" tests/e2e/crash.bats; }
cuts() { CUTS=${CUTS:-2000} scripts/run-e2e.sh "$build" tests/e2e/power.bats; }
simulation() { env -u SEED make --no-print-directory V=checked simulate SEEDS="${SEEDS:-1000000}" FIRST="${SEED}"; }
torture() { TORTURE_STRIDE=1 make --no-print-directory V=checked unit && STRIDE=1 scripts/run-e2e.sh "$build" tests/e2e/torture.bats; }
errors() { DEPTH=28 STARTS=1 VIOLATIONS=100 scripts/run-e2e.sh "$build" tests/e2e/errors.bats; }
reading() { READS=${READS:-5000000} scripts/run-e2e.sh "$build" tests/e2e/read_model.bats; }
managers() { MANAGERS=all scripts/run-e2e.sh "$build" tests/e2e/filemanager_copies.bats; }
asan() { make --no-print-directory V=asan all && scripts/run-e2e.sh build/asan; }
fuzz() { make --no-print-directory fuzz-build && scripts/run-fuzz.sh run "${FUZZ_SECONDS:-300}"; }
broken() { env -u SEED scripts/run-broken.sh; } # the tests that catch have seeds of their own

for part in "$@"; do
    start=$(date +%s)
    echo "== $part (commit $(git rev-parse --short HEAD 2>/dev/null), seed $SEED)"
    if "$part"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
    echo "== $part: $(($(date +%s) - start)) s"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
