#!/usr/bin/env bats
# kill -9 and start again: nothing is sent twice, nothing that was accepted is lost.
#   CYCLES=2000 SEED=42 bats tests/e2e/crash.bats
load helper

setup() { start_world; }
teardown() {
    end_world
    ! grep -q " $MNT fuse" /proc/self/mounts || fusermount3 -uz "$MNT"
}

@test "kill -9 at any moment: at most one create per attempt, no accepted job lost, every video right" {
    seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
    echo "# seed $seed" >&3
    run "$PYTHON" "$ROOT/tests/e2e/crash_cycles.py" --cycles "${CYCLES:-200}" --seed "$seed" \
        --seedancefs "$SEEDANCEFS" --api "$API" --key "$DIR/key" --data "$DATA" --mnt "$MNT" \
        --log "$LOG" --daemon-log "$DIR/daemon.log" 3>&-
    echo "# $output" >&3
    [ "$status" -eq 0 ] || { tail -n 40 "$DIR/daemon.log" >&2; false; }
}

@test "kill -9 of a mount in the background: the same command mounts again, over the dead mount" {
    mount_fs
    echo '{"prompt": "before the crash"}' >"$MNT/jobs/cat/prompt.json"
    wait_status cat succeeded
    cp "$MNT/jobs/cat/output.mp4" "$DIR/before.mp4"
    kill -9 "$FS_PID"
    wait_until 10 process_is_gone "$FS_PID"
    run stat "$MNT/jobs"
    [ "$status" -ne 0 ]
    mount_fs
    [ "$(cat "$MNT/jobs/cat/status")" = succeeded ]
    cmp "$MNT/jobs/cat/output.mp4" "$DIR/before.mp4"
    [ "$(creates)" -eq 1 ]
    [ "$(grep -c " $MNT fuse" /proc/self/mounts)" -eq 1 ]
}

# begin_traced CALL N   the daemon, to be killed when it enters the N-th system call of this name.
begin_traced() {
    # The leak checker cannot work under a tracer.
    ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 strace -f -qq -o /dev/null \
        -e trace="$1" -e inject="$1:signal=SIGKILL:when=$2" \
        "$SEEDANCEFS" -f --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA" \
        --poll-interval 0.05 "$MNT" >>"$DIR/daemon.log" 2>&1 3>&- &
    TRACER=$!
}

is_mounted_or_dead() { ls "$MNT/jobs" >/dev/null 2>&1 || process_is_gone "$TRACER"; }
is_done_or_dead() { status_is "$1" succeeded || process_is_gone "$TRACER"; }

# What the service's answer on disk says of the job's task; nothing when there is no answer.
task_on_disk() {
    rm -rf "$DIR/copy"
    mkdir "$DIR/copy"
    cp "$DATA"/jobs.sqlite* "$DIR/copy"
    sqlite3 "$DIR/copy/jobs.sqlite" "SELECT response ->> 'id' FROM exchange JOIN job USING (attempt_id)
        WHERE job.name = '$1'" 2>/dev/null
}

# survive CALL STEP   one job for each STEP-th call of this name, killed there, until one is not reached.
survive() {
    local n=1 job task sent unknown=0 answered=0
    while [ "$n" -lt 600 ]; do
        job=$1-$n
        begin_traced "$1" "$n"
        wait_until 20 is_mounted_or_dead
        (echo "{\"prompt\": \"$job;\"}" >"$MNT/jobs/$job/prompt.json") 2>/dev/null || true
        wait_until 20 is_done_or_dead "$job"
        process_is_gone "$TRACER" || fusermount3 -u "$MNT"
        if wait "$TRACER" 2>/dev/null; then # it ended well: there is no N-th call any more
            [ "$answered" -ge 1 ]
            break
        fi
        task=$(task_on_disk "$job") || task=
        sent=$(creates "$job;")
        mount_fs --log-level info
        [ ! -e "$MNT/jobs/$job" ] || wait_until 20 eval "status_is $job succeeded ||
            status_is $job unknown || status_is $job draft"
        [ "$(creates "$job;")" -le 1 ]
        if [ -n "$task" ]; then
            answered=$((answered + 1))
            status_is "$job" succeeded
            [ "$(status_json "$job" .task_id)" = "$task" ]
        elif [ "$sent" -eq 1 ]; then
            status_is "$job" unknown
        fi
        ! status_is "$job" unknown || unknown=$((unknown + 1))
        unmount_fs
        n=$((n + $2))
    done
    [ "$n" -lt 600 ]
    echo "#   killed at $1 1..$n, every ${2}: $unknown unknown, $answered with the answer on disk" >&3
}

@test "kill -9 at the very system calls: what is on disk decides, and an answer on disk is never lost" {
    strace -qq -o /dev/null true || skip "strace cannot trace here"
    survive fdatasync 1
    survive sendto 1
    survive recvfrom 1
    survive pwrite64 "${STEP:-9}"
}
