#!/bin/sh
# Runs unit test programs, quietly while they pass. The last line is "N passed, N failed".
set -u
passed=0
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for program in "$@"; do
    CMOCKA_MESSAGE_OUTPUT=TAP timeout 300 "$program" >"$log" 2>&1 </dev/null
    code=$?
    ok=$(grep -c '^ok ' "$log")
    # cmocka prints a skipped test as "not ok N # SKIP name".
    bad=$(grep '^not ok ' "$log" | grep -vc '# SKIP')
    # A program that dies has failed, whatever it said before.
    [ "$code" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    passed=$((passed + ok))
    failed=$((failed + bad))
    if [ "$bad" -ne 0 ]; then
        echo "failed: $program (exit $code)"
        grep -v '^ok ' "$log" | tail -n 60
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
