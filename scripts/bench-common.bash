# What scripts/bench.sh and scripts/bench-reading.sh share: a directory that is removed at the end, and the table of
# ratios. $1 is the build directory; $BENCH_DIR says where the directory is made. Sourced, not run.
set -eu -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
BUILD=${1:-build}
BATS_TEST_TMPDIR=$(mktemp -d "${BENCH_DIR:-/tmp}/seedancefs-bench.XXXXXX")
BATS_RUN_TMPDIR=$BATS_TEST_TMPDIR
export LC_ALL=C
# shellcheck source=tests/e2e/helper.bash
source tests/e2e/helper.bash
# shellcheck source=tests/e2e/finished_jobs.bash
source tests/e2e/finished_jobs.bash
exec 3>/dev/null
FS_PID=
missed=0
bench=$BATS_TEST_TMPDIR/fsbench
local_dir=$BATS_TEST_TMPDIR/local

finish() {
    local code=$?
    end_world >/dev/null 2>&1 || code=1
    rm -rf --one-file-system "$BATS_TEST_TMPDIR"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

now_us() { echo "${EPOCHREALTIME/[.,]/}"; }

# time_us COMMAND...
time_us() {
    local start
    start=$(now_us)
    "$@" >/dev/null
    echo $(($(now_us) - start))
}

# the middle one of the lines of standard input
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

rss_kib() { awk '/^VmRSS/ { print $2 }' "/proc/$FS_PID/status"; }

# row WHAT VALUE UNIT least|most|none TARGET PEER PEER_VALUE
row() {
    local verdict=yes
    [ "$4" = none ] && verdict=
    [ "$4" = none ] || awk -v v="$2" -v t="$5" -v k="$4" 'BEGIN { exit !(k == "least" ? v >= t : v <= t) }' ||
        { verdict=MISSED; missed=$((missed + 1)); }
    printf '%-46s %9s %-5s %2s %6s  %-6s  %-34s %9s %8s\n' "$1" "$2" "$3" \
        "$(case $4 in least) echo '>=' ;; most) echo '<=' ;; esac)" "$5" "$verdict" "$6" "$7" \
        "$([ "$3" = x ] || awk -v a="$2" -v b="$7" 'BEGIN { if (b + 0 > 0) printf "%.2f x", a / b }')"
}

ms() { awk -v us="$1" 'BEGIN { printf "%.1f", us / 1000 }'; }

table_head() {
    printf '%-46s %15s %9s  %-6s  %-34s %9s %8s\n' measure value target met "peer in the same run" value ratio
}

table_end() {
    echo "$missed targets missed ($(nproc) processors, $(uname -r), $(curl --version | sed 1q | cut -d' ' -f1,2))"
    [ "$missed" -eq 0 ]
}

mkdir -p "$local_dir"
gcc -std=c17 -O2 -D_GNU_SOURCE -Wall -Wextra -o "$bench" tests/bench/fsbench.c
