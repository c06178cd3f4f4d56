#!/usr/bin/env bats
# A full disk under the data directory: errors where they happen, nothing sent, videos still play.
load helper

setup() {
    [ "$(id -u)" -eq 0 ] || skip "mounting a small disk needs root"
    start_world --video-bytes 5M
    mkdir "$DATA"
    mount -t tmpfs -o size=2m,mode=700 tmpfs "$DATA" || skip "tmpfs cannot be mounted here"
    mount_fs
}
teardown() {
    end_world
    umount "$DATA" 2>/dev/null || umount -l "$DATA"
}

# S-DISK-1: A video that does not fit on the disk is streamed without being kept.
# S-DISK-2: The cache leaves the last twentieth of the disk to the jobs.
@test "S-DISK-1 S-DISK-2: a video larger than the disk is read right, and jobs can still be made" {
    echo '{"prompt": "large"}' >"$MNT/jobs/large/prompt.json"
    wait_status large succeeded
    cmp "$MNT/jobs/large/output.mp4" \
        <(curl -sf "${API%/api/v1}/oracle/video/$(jq -r .task_id "$MNT/jobs/large/status.json")")
    echo '{"prompt": "next"}' >"$MNT/jobs/next/prompt.json"
    wait_status next succeeded
}

# S-DISK-3: When the disk is full, the write or close fails with ENOSPC and nothing is sent; once
# there is room again, the same write works.
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
