#!/usr/bin/env bats
# Torture of the running daemon: the k-th allocation, write, sync or socket write fails on the way from the opening of
# prompt.json to the task id, for every k (of the allocations: every 13th, from a random one on).
#   STRIDE=1 SEED=42 bats tests/e2e/torture.bats
load helper

setup() {
    # The library stands before libc's malloc; the sanitizer wants that place for itself.
    [[ $BUILD != *asan* ]] || skip "the sanitizer's malloc cannot be stood before; the unit test does it there"
    make -s -C "$ROOT" V=release build/failing.so
    start_world
    CONTROL=$DIR/control
    truncate -s 1M "$CONTROL"
    printf '%s/' "$DATA" | dd of="$CONTROL" bs=1 seek=56 conv=notrunc status=none
    FAILING_CONTROL=$CONTROL LD_PRELOAD=$ROOT/build/failing.so mount_fs --poll-interval 3600 --log-level error \
        --allow-unknown
}
teardown() { [[ $BUILD == *asan* ]] || end_world; }

torture() {
    local seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
    echo "# seed $seed" >&3
    run "$PYTHON" "$ROOT/tests/e2e/torture.py" --control "$CONTROL" --mnt "$MNT" --log "$LOG" \
        --kinds "$1" --stride "${STRIDE:-13}" --seed "$seed" 3>&-
    sed 's/^/# /' <<<"$output" >&3
    [ "$status" -eq 0 ] || { tail -n 20 "$DATA/seedancefs.log" >&2; false; }
    kill -0 "$FS_PID"
}

@test "any allocation may fail, once or for good: one create at most, the user is told, the job is finished" {
    torture memory
}

@test "any write or sync may fail, once or for good: one create at most, the user is told, the job is finished" {
    torture write,sync,socket
}
