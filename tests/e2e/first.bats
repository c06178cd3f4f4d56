#!/usr/bin/env bats
# The main job: write prompt.json, watch status, read output.mp4.
load helper

setup() { start_world; mount_fs; }
teardown() { end_world; }

@test "echo into prompt.json becomes a playable video" {
    echo '{"prompt": "A cat surfing at sunset"}' >"$MNT/jobs/cat/prompt.json"
    wait_status cat succeeded
    run ffprobe -v error -show_entries format=format_name -of csv=p=0 "$MNT/jobs/cat/output.mp4"
    [ "$status" -eq 0 ]
    [[ $output == *mp4* ]]
    [ "$(creates)" -eq 1 ]
    cmp "$MNT/jobs/cat/output.mp4" \
        <(curl -sf "${API%/api/v1}/oracle/video/$(jq -r .task_id "$MNT/jobs/cat/status.json")")
}
