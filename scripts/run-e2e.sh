#!/bin/sh
# Runs end-to-end tests on the programs in a build directory:  run-e2e.sh build [FILE.bats]...
# Shows failures and skips. The last line is "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.." || exit 1
BUILD=$1
shift
export BUILD
export SEEDANCEFS="$PWD/$BUILD/seedancefs" SEEDANCE_SIM="$PWD/$BUILD/seedance-sim"
[ $# -gt 0 ] || set -- tests/e2e/*.bats
passed=0
failed=0
skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for file in "$@"; do
    start=$(date +%s)
    # A test that hangs is a failure, not a reason to wait.
    BATS_TEST_TIMEOUT=180 timeout -k 10 900 bats --tap "$file" >"$log" 2>&1 </dev/null
    code=$?
    skips=$(grep -c '^ok .*# skip' "$log")
    ok=$(($(grep -c '^ok ' "$log") - skips))
    bad=$(grep -c '^not ok ' "$log")
    [ "$code" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    echo "  $BUILD ${file##*/}: $ok passed, $bad failed, $skips skipped in $(($(date +%s) - start)) s"
    grep '^ok .*# skip' "$log" | sed 's/^ok [0-9]*/    skipped:/'
    [ "$bad" -eq 0 ] || grep -v '^ok ' "$log"
    passed=$((passed + ok))
    failed=$((failed + bad))
    skipped=$((skipped + skips))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
