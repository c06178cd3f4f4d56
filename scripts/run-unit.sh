#!/bin/bash
# Runs unit test programs, one per processor at a time, quietly while they pass. The last line is
# "N passed, N failed".
set -u
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
export results

run_program() {
    local program=$1 log code ok bad
    log=$results/${program//\//-}
    CMOCKA_MESSAGE_OUTPUT=TAP timeout 900 "$program" >"$log" 2>&1 </dev/null
    code=$?
    ok=$(grep -c '^ok ' "$log")
    # cmocka prints a skipped test as "not ok N # SKIP name".
    bad=$(grep '^not ok ' "$log" | grep -vc '# SKIP')
    # A program that dies has failed, whatever it said before.
    [ "$code" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    if [ "$bad" -ne 0 ]; then
        echo "failed: $program (exit $code)"
        grep -v '^ok ' "$log" | tail -n 60
    fi
    echo "$ok $bad" >"$log.counts"
}
export -f run_program

[ $# -gt 0 ] || { echo "0 passed, 1 failed"; exit 1; }
printf '%s\0' "$@" | xargs -0 -n 1 -P "$(nproc)" bash -c 'run_program "$@"' run_program
read -r passed failed < <(cat "$results"/*.counts | awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }')
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
