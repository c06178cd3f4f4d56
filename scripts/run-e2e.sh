#!/bin/bash
# Runs end-to-end tests on the programs in one or more build directories:
#   run-e2e.sh build                                      all files
#   run-e2e.sh build tests/e2e/first.bats                 one of them
#   run-e2e.sh build build/asan tests/e2e/first.bats      all files on one build, and one file on another
# JOBS files at a time (three for each processor: most tests wait most of the time). Shows failures and skips. The last line
# is "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.." || exit 1
# The longest first, on whichever build, so that none of them is left alone at the end: those that wait for deadlines or
# repeat something many times, then by size; a longer file takes longer, near enough.
longest="share share_schema other_videos filemanager_copies gallery readers faults_deadlines faults_read crash archive torture inotify
         errors faults_poll writers editing service faults_unreachable idle faults_responses living sim power"
longest_first() {
    awk -v words="$longest" 'BEGIN { n = split(words, word); for (i = 1; i <= n; i++) rank["tests/e2e/" word[i] ".bats"] = i }
        { print ($2 in rank ? rank[$2] : n + NR), $0 }' | sort -n | cut -d ' ' -f 2-
}
# Lines of a build and a file.
pairs=''
add() {
    local file
    for file in "$@"; do pairs+="$build $file"$'\n'; done
}
build='' has_files=''
add_all() {
    # shellcheck disable=SC2046 # names without spaces
    [ -z "$build" ] || [ -n "$has_files" ] || add $(ls -S tests/e2e/*.bats)
}
for argument in "$@"; do
    case $argument in
    *.bats) add "$argument" && has_files=1 ;;
    *) add_all && build=$argument has_files='' ;;
    esac
done
add_all
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
export results
# The system's own programs first: what stands before them for a user (shims of version managers) costs more processes.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

# run_file BUILD FILE   leaves "passed failed skipped" in a file of its own, and prints what people should see.
run_file() {
    export BUILD=$1 SEEDANCEFS=$PWD/$1/seedancefs SEEDANCE_SIM=$PWD/$1/seedance-sim
    local file=$2 name=${2##*/} start code ok bad skips log
    log=$results/${1//\//-}-$name
    start=$(date +%s)
    # A test that hangs is a failure, not a reason to wait.
    local seconds=${TEST_TIMEOUT_S:-$(sed -n 's/^# Each test may take \([0-9]*\) s.*/\1/p' "$file")}
    seconds=${seconds:-180}
    BATS_TEST_TIMEOUT=$seconds timeout -k 10 $((seconds * 5)) bats --tap "$file" >"$log" 2>&1 </dev/null
    code=$?
    skips=$(grep -c '^ok .*# skip' "$log")
    ok=$(($(grep -c '^ok ' "$log") - skips))
    bad=$(grep -c '^not ok ' "$log")
    [ "$code" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    {
        echo "  $BUILD $name: $ok passed, $bad failed, $skips skipped in $(($(date +%s) - start)) s"
        grep '^#' "$log" | grep -v '^# (' | sed 's/^#/   /' | head -n 20
        grep '^ok .*# skip' "$log" | sed 's/^ok [0-9]*/    skipped:/'
        [ "$bad" -eq 0 ] || grep -v '^ok ' "$log"
    } >"$log.shown"
    cat "$log.shown"
    echo "$ok $bad $skips" >"$log.counts"
}
export -f run_file

printf '%s' "$pairs" | longest_first | xargs -n 2 -P "${JOBS:-$(($(nproc) * 3))}" bash -c 'run_file "$@"' run_file
read -r passed failed skipped < <(cat "$results"/*.counts | awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }')
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
