#!/usr/bin/env bats
# kill -9 and start again: nothing is sent twice, nothing that was accepted is lost.
#   CYCLES=20000 KILL_STEP=1 SEED=42 bats tests/e2e/crash.bats
load helper

setup() { start_world; }
teardown() {
    end_world
    unmount_all "$DIR"
}

case $BUILD in
*asan*) CYCLES=${CYCLES:-100} KILL_STEP=${KILL_STEP:-9} ;;
*) CYCLES=${CYCLES:-200} KILL_STEP=${KILL_STEP:-9} ;;
esac

@test "kill -9 at any moment: at most one create per attempt, no accepted job lost, every video right" {
    seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
    echo "# seed $seed" >&3
    run "$PYTHON" -B "$ROOT/tests/e2e/crash_cycles.py" --cycles "$CYCLES" --seed "$seed" \
        --seedancefs "$SEEDANCEFS" --seedance-sim "$SEEDANCE_SIM" --directory "$DIR/cycles" 3>&-
    sed 's/^/#   /' <<<"$output" >&3
    [ "$status" -eq 0 ] || { tail -n 40 "$DIR"/cycles/*/daemon.log >&2; false; }
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

# kill_at_every_call WAY [PROGRAM]   the program's file tells what a kill at each of them has to lead to.
kill_at_every_call() {
    "${CC:-cc}" -std=c17 -O2 -D_GNU_SOURCE -Wall -Wextra -o "$DIR/killat" "$ROOT/tests/tools/killat.c"
    "$DIR/killat" 1 true >"$DIR/probe" 2>&1 || skip "no process can be traced here: $(cat "$DIR/probe")"
    run "$PYTHON" -B "$ROOT/tests/e2e/${2:-kill_points}.py" --way "$1" --step "$KILL_STEP" --killat "$DIR/killat" \
        --seedancefs "$SEEDANCEFS" --seedance-sim "$SEEDANCE_SIM" --directory "$DIR/points" 3>&-
    sed 's/^/#   /' <<<"$output" >&3
    [ "$status" -eq 0 ] || { tail -n 40 "$DIR/points/daemon.log" >&2; false; }
}

@test "kill -9 at every system call from the close of prompt.json to the task id: the disk decides" {
    kill_at_every_call close
}

@test "kill -9 at every system call from a rename onto prompt.json to the task id: the disk decides" {
    kill_at_every_call rename
}

@test "kill -9 at every system call: a prompt that names another job's video" {
    kill_at_every_call linked
}

@test "kill -9 at every system call: what a job waits for is ordered, made, and used" {
    case $BUILD in *asan*) skip "on the other build" ;; esac
    [ "$KILL_STEP" -eq 1 ] || KILL_STEP=$((KILL_STEP * 5))
    kill_at_every_call arrival
}

# kill_in_command WAY   with the sanitizers the same places are passed, and the two above go through them.
kill_in_command() {
    case $BUILD in *asan*) skip "on the other build" ;; esac
    [ "$KILL_STEP" -eq 1 ] || KILL_STEP=$((KILL_STEP * 3))
    kill_at_every_call "$1" command_points
}

@test "kill -9 at every system call of take: no take is lost, nothing is sent twice" {
    kill_in_command take
}

@test "kill -9 at every system call of edit, pick and submit: all or nothing, no take is lost" {
    local step=$KILL_STEP
    for way in edit pick submit; do
        KILL_STEP=$step kill_in_command $way
        rm -rf "$DIR/points"
    done
}
