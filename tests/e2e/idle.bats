#!/usr/bin/env bats
# Nothing to do, nothing done: no wake-up while nothing is active, no more connections than needed.
load helper

setup() { start_world; }
teardown() {
    local code=0
    for pid in "${OTHERS[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait_until 10 process_is_gone "$pid" || code=1
    done
    end_world && return $code
}

OTHERS=()

# How often any thread of a process has been put on a processor.
switches() {
    awk '/ctxt_switches/ { n += $2 } END { print n }' /proc/"$1"/task/*/status
}

# No wake-up in a second and a half.
is_quiet() {
    local before
    before=$(switches "$1")
    sleep 1.5
    [ "$(switches "$1")" -eq "$before" ]
}

# another NAME [OPTION]...   one more mount, in a directory of its own; the one before goes on.
another() {
    local name=$1
    shift
    [ -z "${FS_PID:-}" ] || OTHERS+=("$FS_PID")
    FS_PID=
    MNT=$DIR/$name/mnt DATA=$DIR/$name/data
    mkdir -p "$MNT"
    mount_fs "$@"
}

@test "no wake-up in 10 s: without a job, after a video was read, with drafts, with a refused key" {
    pids=()
    another empty
    pids+=("$FS_PID")
    another drafts
    mkdir "$MNT/jobs/draft"
    fails bash -c "echo '{\"prompt\": 7}' >'$MNT/jobs/invalid/prompt.json'"
    wait_until 5 status_is invalid invalid
    pids+=("$FS_PID")
    another refused
    scenario '{"kind": "create", "prompt_contains": "refused", "response": {"status": 401}}'
    echo '{"prompt": "refused"}' >"$MNT/jobs/refused/prompt.json"
    wait_until 5 grep -q refused "$MNT/jobs/refused/error"
    pids+=("$FS_PID")
    another finished --poll-interval 1
    make_job cat
    echo '{"prompt": "[[fail]]"}' >"$MNT/jobs/dog/prompt.json"
    wait_status dog failed
    cat "$MNT/jobs/cat/output.mp4" >/dev/null
    pids+=("$FS_PID")
    for pid in "${pids[@]}"; do
        wait_until 10 is_quiet "$pid"
    done
    before=$(for pid in "${pids[@]}"; do switches "$pid"; done)
    sleep 10
    after=$(for pid in "${pids[@]}"; do switches "$pid"; done)
    echo "#   context switches before and after 10 s:" $before / $after >&3
    [ "$before" = "$after" ]
}

@test "the polls of one job use one connection; those of five, no more than five" {
    mount_fs
    echo '{"prompt": "one [[seconds=1.5]]"}' >"$MNT/jobs/one/prompt.json"
    wait_status one succeeded
    polls=$(requests poll)
    [ "$polls" -ge 10 ]
    connections() { jq -r 'select(.kind == "poll") | .connection' "$LOG" | sort -u | wc -l; }
    [ "$(connections)" -eq 1 ]
    : >"$LOG"
    for i in 1 2 3 4 5; do
        echo "{\"prompt\": \"five $i [[seconds=1.5]]\"}" >"$MNT/jobs/five$i/prompt.json"
    done
    for i in 1 2 3 4 5; do wait_status five$i succeeded; done
    echo "#   $polls polls of one job: 1 connection; $(requests poll) of five: $(connections)" >&3
    [ "$(connections)" -le 5 ]
}
