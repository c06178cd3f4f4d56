# Helpers of faults_*.bats: one table of jobs for each test, all on one mount. See fault_rows.py.
load helper
load faults_tables

broke='the connection broke before the response was complete'

setup() {
    start_world
    J=$MNT/jobs
}
teardown() { end_world; }

rows() { "$PYTHON" "$ROOT/tests/e2e/fault_rows.py" "$DIR" "$@"; }

rows_read() { cat >"$DIR/rows"; }

# rows_play KIND   the simulator answers requests of that kind as the table says.
rows_play() { rows scenario "$1" | curl -sSf -T - "${API%/api/v1}/oracle/scenario" >/dev/null; }

# create_rows <TABLE   a job for each row, whose create gets the row's response.
create_rows() {
    rows_read
    rows_play create
    [ -n "${FS_PID:-}" ] || mount_fs
    rows write
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

# memory_is_bounded KIB   since it was KIB: nothing that was announced or unpacked has been believed.
# Under the address sanitizer, which keeps what was freed for a while, it says nothing.
memory_is_bounded() { [[ $BUILD == *asan* ]] || [ $(($(memory_most_kib) - $1)) -lt $((256 << 10)) ]; }
