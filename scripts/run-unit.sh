#!/bin/bash
# Runs unit test programs, several at a time, quietly while they pass; a seed is printed all the same. The last line
# is "N passed, N failed".
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
    grep -ho '[A-Z_]*SEED=[0-9]*' "$log" | sort -u | sed "s|^|  ${program##*/}: |"
    echo "$ok $bad" >"$log.counts"
}
export -f run_program

[ $# -gt 0 ] || { echo "0 passed, 1 failed"; exit 1; }
# The longest first, so that none of them is left alone at the end. Some wait more than they compute: two for each
# processor.
longest='/(test_torture|test_media|test_media_faults|test_media_cache|simulation|test_cache_file|test_store|test_http_life)$'
{
    printf '%s\n' "$@" | grep -E "$longest"
    printf '%s\n' "$@" | grep -vE "$longest"
} | xargs -n 1 -P "$(($(nproc) * 2))" bash -c 'run_program "$@"' run_program
read -r passed failed < <(cat "$results"/*.counts | awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }')
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
