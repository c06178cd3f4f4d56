# Helpers of faults_*.bats: sections of tests/faults/*.table, all their jobs on one mount. See fault_rows.py.
load helper

broke='the connection broke before the response was complete'

setup() {
    start_world
    J=$MNT/jobs
}
teardown() { end_world; }

rows() { "$PYTHON" "$ROOT/tests/e2e/fault_rows.py" "$DIR" "$@"; }

# rows_play KIND   the simulator answers requests of that kind as the table says.
rows_play() { rows scenario "$1" | curl -sSf -T - "${API%/api/v1}/oracle/scenario" >/dev/null; }

# create_rows SECTION...   a job for each row, whose create gets the row's response.
create_rows() {
    rows choose "$@"
    rows_play create
    [ -n "${FS_PID:-}" ] || mount_fs
    rows write
}

# play create|poll SECTION...   such jobs, and then what becomes of them by the tables.
play() {
    local kind=$1
    shift
    "${kind}_rows" "$@"
    "becomes_$(rows becomes "$kind" "$@")"
}

becomes_unknown() { unknown_for_good; }

becomes_rejected() {
    rows rejected
    scenario
    restart_fs
    sleep 1
    rows rejected
    rows creates 1
}

becomes_task() {
    sleep 1
    rows creates 1
    rows has_task
}

# unknown_for_good: each job is unknown and says all there is to know; neither time nor a restart sends
# anything again, and what it says survives.
unknown_for_good() {
    rows unknown
    rows creates 1
    cat "$J"/*/error >"$DIR/before"
    scenario
    sleep 1
    restart_fs
    rows unknown
    kill -HUP "$FS_PID"
    sleep 0.5
    rows unknown
    rows creates 1
    cat "$J"/*/error | diff "$DIR/before" -
}

# The most memory that the program has had, in KiB.
memory_most_kib() { awk '/^VmHWM:/ { print $2 }' "/proc/$FS_PID/status"; }

# in_bounded_memory COMMAND...   nothing that is announced or unpacked meanwhile is believed.
# Under the address sanitizer, which keeps what was freed for a while, it says nothing.
in_bounded_memory() {
    local before
    [ -n "${FS_PID:-}" ] || mount_fs
    before=$(memory_most_kib)
    "$@"
    [[ $BUILD == *asan* ]] || [ $(($(memory_most_kib) - before)) -lt $((256 << 10)) ]
}
