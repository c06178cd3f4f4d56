#!/usr/bin/env bats
# A full disk under the data directory: errors where they happen, nothing sent, videos still play.
load helper

setup() {
    [ "$(id -u)" -eq 0 ] || skip "mounting a small disk needs root"
    start_world --video-bytes 5M
    mkdir "$DATA"
    # A disk of its own for each test: 2 MiB, or what it says.
    local size=2m
    [[ $BATS_TEST_DESCRIPTION != S-DISK-6* ]] || size=24m
    mount -t tmpfs -o size=$size,mode=700 tmpfs "$DATA" || skip "tmpfs cannot be mounted here"
    mount_fs
    J=$MNT/jobs
}
teardown() {
    end_world
    umount "$DATA" 2>/dev/null || umount -l "$DATA"
}

# To the last byte.
fill() {
    local bytes
    for bytes in 64k 4k 64 1; do
        dd if=/dev/zero of="$DATA/fill" bs=$bytes oflag=append conv=notrunc 2>/dev/null || true
    done
    [ "$(stat -fc %a "$DATA")" -eq 0 ]
}

# S-DISK-1: A video that does not fit on the disk is streamed without being kept.
# S-DISK-2: The cache leaves the last twentieth of the disk free for the jobs.
@test "S-DISK-1 S-DISK-2: a video larger than the disk is read right, and jobs can still be made" {
    echo '{"prompt": "large"}' >"$MNT/jobs/large/prompt.json"
    wait_status large succeeded
    cmp "$MNT/jobs/large/output.mp4" \
        <(curl -sf "${API%/api/v1}/oracle/video/$(jq -r .task_id "$MNT/jobs/large/status.json")")
    echo '{"prompt": "next"}' >"$MNT/jobs/next/prompt.json"
    wait_status next succeeded
}

# S-DISK-3: When the disk is full, the write or close fails with ENOSPC and nothing is sent. Once there is room again,
#   the same write works.
@test "S-DISK-3: a full disk fails the write, sends nothing, and works again with room" {
    mkdir "$MNT/jobs/job"
    dd if=/dev/zero of="$DATA/fill" bs=4k 2>/dev/null || true
    run bash -c "echo '{\"prompt\": \"no room\"}' > '$MNT/jobs/job/prompt.json'"
    [ "$status" -ne 0 ]
    [[ $output == *"No space left on device"* ]]
    [ "$(creates)" -eq 0 ]
    [ "$(cat "$MNT/jobs/job/status")" = draft ]
    rm "$DATA/fill"
    echo '{"prompt": "room again"}' >"$MNT/jobs/job/prompt.json"
    wait_status job succeeded
    [ "$(creates)" -eq 1 ]
}

# S-DISK-6: Files and jobs can be removed on a full disk, also a job that waits, which is then never sent. For this
#   purpose the data directory has a file `reserve` of up to 1 MiB, which is made as soon as there is room for it.
@test "S-DISK-6: a full disk: files and jobs can be removed, and what waits is not sent" {
    make_job done
    another_take() { echo take 2>/dev/null >"$J/done/ctl"; }
    wait_until 20 another_take
    wait_status done succeeded
    for n in $(seq 20); do
        mkdir "$J/small$n"
        for file in a b c; do echo "note $n" >"$J/small$n/$file"; done
    done
    scenario '{"kind":"create","response":{"status":429,"headers":{"Retry-After":"600"}}}'
    echo '{"prompt": "waits"}' >"$J/waits/prompt.json"
    wait_until 10 has 'the service asked to wait' "$J/waits/log"
    fill
    # Whoever fills it takes what becomes free at once: removing does not live on that.
    for n in $(seq 5); do
        rm "$J/small$n/a"
        [ ! -e "$J/small$n/a" ]
        fill
        rm -r "$J/small$n"
        [ ! -e "$J/small$n" ]
        fill
    done
    local task
    task=$(status_json done .task_id)
    rm -r "$J/waits" "$J/done"
    [ "$(ls "$J" | wc -l)" -eq 15 ]
    fill
    kill_fs
    scenario
    truncate -s -1M "$DATA/fill"
    forget_retry_after
    mount_fs
    fill
    [ "$(ls "$J" | wc -l)" -eq 15 ]
    [ "$(ls "$J/small16" | grep -c '^.$')" -eq 3 ]
    rm -r "$J"/small{6..14}
    rm "$J/small16/b"
    [ "$(ls "$J" | wc -l)" -eq 6 ]
    rm "$DATA/fill"
    make_job later
    [ "$(jq -r '.attempts[] | select(.job == "done" and .attempt == 2) | .task_id' "$MNT/spend.json")" = "$task" ]
    unmount_fs
    mount_fs
    [ "$(ls "$J" | wc -l)" -eq 7 ]
    [ ! -e "$J/small16/b" ]
    [ "$(cat "$J/small16/c")" = 'note 16' ]
    [ "$(creates later)" -eq 1 ]
    [ "$(creates waits)" -eq 1 ] # the one that was refused
    [ "$(stat -c '%s %a' "$DATA/reserve")" = '1048576 600' ]
}
