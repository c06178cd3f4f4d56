#!/usr/bin/env bats
# A media host that cannot decide which video it has.
load helper

teardown() { end_world; }

video() { echo "$MNT/jobs/$1/output.mp4"; }
right() { curl -sf "${API%/api/v1}/oracle/video/$(status_json "$1" .task_id)" >"$2"; }

count_is() { [ "$(requests video)" -eq "$1" ]; }

# settles   of both the error says so, and the media host is asked no more, for longer than the longest pause was
settles() {
    local before job
    for job in etag size; do wait_until 30 grep -qs 'shows another video' "$MNT/jobs/$job/error"; done
    before=$(requests video)
    sleep 5
    count_is "$before"
}

# S-READ-9: When the media host shows another video (by its ETag or size) at each request, the pauses between the
#   requests grow. After five changes the program stops asking and `error` says so, until the user writes `refresh` or
#   `fetch` or the program is restarted.
@test "S-READ-9: a media host that shows another video each time is not asked for ever" {
    local way job before
    start_world --video-bytes 2M
    mount_fs --log-level info
    # Of the size alone tells a host that has no ETag.
    scenario '{"kind": "video", "prompt_contains": "[etag]", "every": 2, "response": {"etag": "\"other\""}}' \
        '{"kind": "video", "prompt_contains": "[size]", "every": 2, "response": {"headers": {"ETag": null}, "size_delta": 1000}}' \
        '{"kind": "video", "prompt_contains": "[size]", "response": {"headers": {"ETag": null}}}'
    for job in etag size; do echo "{\"prompt\": \"[$job]\"}" >"$MNT/jobs/$job/prompt.json"; done
    for job in etag size; do wait_status $job succeeded; done
    settles
    echo "#   $(requests video) requests for two videos" >&3
    [ "$(requests video)" -le 28 ]
    [ "$(wc -l <"$DATA/seedancefs.log")" -le 200 ]
    for job in etag size; do [ ! -e "$(video $job)" ]; done
    # The user may ask again, and so does the next start: each time it is five times.
    for way in refresh fetch restart; do
        before=$(requests video)
        if [ "$way" = restart ]; then
            restart_fs --log-level info
        else
            for job in etag size; do echo "$way" >"$MNT/jobs/$job/ctl"; done
        fi
        wait_until 10 fails count_is "$before"
        settles
        [ "$(requests video)" -le $((before + 28)) ]
    done
    # That all is well again is found out by the same word.
    scenario
    for job in etag size; do
        right $job "$DIR/right"
        echo fetch >"$MNT/jobs/$job/ctl"
        wait_until 20 json_is $job .output.archived true
        cmp "$(video $job)" "$DIR/right"
        [ ! -e "$MNT/jobs/$job/error" ]
    done
    [ "$(creates)" -eq 2 ]
}
