#!/usr/bin/env bats
# What becomes of a job when the service refuses, fails, lies or is not there. The simulator's log counts the
# creates: never one more than the user asked for.
load helper

setup() { start_world; J=$MNT/jobs; }
teardown() { end_world; }

write() { echo "{\"prompt\": \"${2:-$1}\"}" >"$J/$1/prompt.json"; }
refused_again() { [ "$(creates)" -ge 2 ]; }
hup() { kill -HUP "$FS_PID"; }
# settled N   after some more polls there are still N creates
settled() {
    sleep 0.4
    [ "$(creates)" -eq "$1" ]
}

# S-WAIT-1: When the service cannot be reached, the job is `waiting` and `reason` in status.json says so. The request
#   is sent, once, when the service can be reached again.
# S-SPEND-3: A request that may have reached the service is never sent a second time by the program:
#   not after an error, not after a crash, not after a restart.
@test "S-WAIT-1 S-SPEND-3: an unreachable service: the job waits, and is sent once when it is there" {
    end_sim
    mount_fs
    write cat
    wait_until 5 reason_has cat 'cannot be reached'
    [ "$(cat "$J/cat/status")" = waiting ]
    has 'estimated; not yet sent' "$J/cat/cost"
    [ "$(status_json cat .submitted_at)" = null ]
    reason_has cat "$API"
    start_sim
    wait_status cat succeeded
    settled 1
    [ "$(status_json cat .reason)" = null ]
    [ "$(status_json cat .attempt)" = 1 ]
}

# S-RUN-7: After a restart every job has its state, its history, its files and its video.
@test "S-WAIT-1 S-RUN-7: it also waits over a restart" {
    end_sim
    mount_fs
    write cat
    wait_until 5 reason_has cat 'cannot be reached'
    restart_fs
    [ "$(cat "$J/cat/status")" = waiting ]
    start_sim
    wait_status cat succeeded
    settled 1
}

# S-WAIT-2: After HTTP 429 a job waits at least as long as Retry-After says, and is then sent.
@test "S-WAIT-2: Retry-After of a 429 is honoured, for all jobs" {
    scenario '{"kind":"create","n":1,"response":{"status":429,"headers":{"Retry-After":"2"},"body_json":{"error":{"message":"Slow down.","code":"RateLimit"}}}}'
    mount_fs
    write cat
    wait_until 5 reason_has cat 'Slow down.'
    [ "$(cat "$J/cat/status")" = waiting ]
    write dog
    wait_status cat succeeded
    wait_status dog succeeded
    settled 3
    # None was sent within the two seconds after the refusal.
    jq -se '[.[] | select(.kind == "create") | .time_ms] | .[1] - .[0] >= 2000' "$LOG"
    [ "$(creates cat)" -eq 2 ]
    [ "$(creates dog)" -eq 1 ]
    [ ! -e "$J/cat/error" ]
    [ "$(status_json cat .attempt)" = 1 ]
}

# S-WAIT-3: When the service refuses the key (401) or the account (402, 403), or says that a quota is used up, all
#   jobs that are to be sent wait, `reason` and `error` say why, and nothing more is sent until SIGHUP or a restart.
# S-WAIT-4: After the key file was corrected, waiting jobs continue by themselves after SIGHUP or a restart.
@test "S-WAIT-3 S-WAIT-4: a refused key: all wait and say so; the right key and SIGHUP let them go on" {
    echo wrong-key >"$DIR/key"
    mount_fs
    write cat
    wait_until 5 reason_has cat 'refused the API key'
    write dog
    wait_until 5 reason_has dog 'refused the API key'
    for job in cat dog; do
        [ "$(cat "$J/$job/status")" = waiting ]
        has 'SIGHUP' "$J/$job/error"
        has 'a service has to be restarted' "$J/$job/error"
        has 'Nothing was charged' "$J/$job/error"
    done
    settled 1
    hup # with the same key: tried once more, refused again
    wait_until 5 refused_again
    wait_until 5 reason_has cat 'refused the API key'
    echo "$KEY" >"$DIR/key"
    hup
    wait_status cat succeeded
    wait_status dog succeeded
    [ "$(jq -s '[.[] | select(.created != null)] | length' "$LOG")" = 2 ]
    [ ! -e "$J/cat/error" ]
    [ ! -e "$J/dog/error" ]
    [ "$(status_json cat .reason)" = null ]
}

@test "S-WAIT-4: a restart with the right key does, too" {
    echo wrong-key >"$DIR/key"
    mount_fs
    write cat
    wait_until 5 reason_has cat 'refused the API key'
    echo "$KEY" >"$DIR/key"
    restart_fs
    wait_status cat succeeded
    settled 2
    [ "$(jq -s '[.[] | select(.created != null)] | length' "$LOG")" = 1 ]
}

@test "S-WAIT-3: the account is refused (402, 403), or a quota is used up" {
    mount_fs
    for response in '"status":402|refuses this account' '"status":403|refuses this account' \
        '"status":429,"body_json":{"error":{"message":"Enough.","code":"SetLimitExceeded"}}|quota'; do
        scenario "{\"kind\":\"create\",\"times\":1,\"response\":{${response%|*}}}"
        rm -rf "$J/cat" "$J/dog"
        write cat
        wait_until 5 reason_has cat "${response#*|}"
        local was
        was=$(creates)
        write dog
        wait_until 5 reason_has dog "${response#*|}"
        settled "$was"
        [ "$(cat "$J/cat/status" "$J/dog/status" | sort -u)" = waiting ]
        hup
        wait_status cat succeeded
        wait_status dog succeeded
        [ "$(creates)" -eq $((was + 2)) ]
    done
}

# S-WAIT-5: When the service refuses the request (400, 404, 413, 422 and similar), the job is `rejected`, and `error`
#   has the service's message.
@test "S-WAIT-5: a refused request is rejected, with the service's words" {
    mount_fs
    for status in 400 404 405 410 413 415 422; do
        scenario "{\"kind\":\"create\",\"response\":{\"status\":$status,\"body_json\":{\"error\":{\"message\":\"The prompt is bad. Request id: 0217abc\",\"code\":\"InvalidParameter\"}}}}"
        write "job$status"
        wait_status job$status rejected
        has "HTTP $status, InvalidParameter" "$J/job$status/error"
        has 'The prompt is bad.' "$J/job$status/error" "$J/job$status/response.json"
        has 'No task was created and nothing was charged' "$J/job$status/error"
        has '0.00 USD (not charged: rejected' "$J/job$status/cost"
        jq -e '.error == {"code": "InvalidParameter", "message": "The prompt is bad. Request id: 0217abc",
            "field": null, "line": null, "column": null, "http_status": '$status', "request_id": "0217abc"}' "$J/job$status/status.json"
    done
    settled 7
    restart_fs
    has 'The prompt is bad.' "$J/job400/error"
    settled 7
}

# S-WAIT-6: After a 5xx, a 408, a redirect, a broken or an unusable response to a create the job is
#   `unknown`.
# S-SPEND-6: When it is not known whether a task was created, `status` is `unknown`, `error` says why and how much may
#   have been charged, and the job stays `unknown` until the user decides.
@test "S-WAIT-6 S-SPEND-3 S-SPEND-6: when it is not known whether a task exists, it is unknown and stays so" {
    mount_fs
    local n=0
    while IFS='|' read -r name response; do
        scenario "{\"kind\":\"create\",\"response\":{$response}}"
        write "$name"
        n=$((n + 1))
        wait_status "$name" unknown
    done <<'END'
s500|"status":500
s502|"status":502,"accept":true
s503|"status":503,"headers":{"Retry-After":"0"}
s504|"status":504
s408|"status":408
redirect|"status":307,"headers":{"Location":"/api/v1/videos/generations"}
away|"status":302,"headers":{"Location":"http://127.0.0.1:1/"}
reset|"reset_at":"request_body"
cut|"cut_at":"request_body"
cut-head|"cut_at":"headers"
cut-body|"cut_at":"body"
html|"body":"<html>welcome</html>"
empty|"body":""
no-id|"body_json":{"status":"queued"}
wrong-id|"body_json":{"id":7,"status":"queued"}
strange|"body":"{\"id\":\"a\",\"id\":\"b\",\"status\":\"queued\"}"
END
    scenario
    settled $n
    for job in "$J"/*; do
        has 'It is not known whether the service created a task' "$job/error"
        has 'about 1.00 USD may have been charged' "$job/error"
        has 'at risk' "$job/cost"
    done
    restart_fs
    sleep 0.5
    kill -HUP "$FS_PID"
    settled $n
    [ "$(cat "$J"/*/status | sort -u)" = unknown ]
    has 'not known whether' "$J/cut/error"
    [ "$(ls "$J" | wc -l)" -eq $n ]
}

# S-SPEND-4: The request is on disk before its first byte is sent; `request.json` shows it after a
#   crash.
@test "S-SPEND-4 S-SPEND-6: killed while the request is on its way: it is on disk, and unknown" {
    scenario '{"kind":"create","response":{"silence_at":"request_body"}}'
    mount_fs
    write cat 'on its way'
    wait_until 5 grep -q '"create"' "$LOG"
    wait_status cat submitting
    kill_fs
    scenario
    mount_fs
    wait_status cat unknown
    has 'on its way' "$J/cat/request.json"
    has 'the program ended after it began to send' "$J/cat/error"
    settled 1
}

# S-SPEND-5: A task id that was received survives a crash; after the next start the program follows the task again.
@test "S-SPEND-5 S-RUN-7: killed while the task runs: it is followed on" {
    mount_fs
    write cat 'goes on [[seconds=1]]'
    wait_status cat running
    local task
    task=$(status_json cat .task_id)
    kill_fs
    mount_fs
    [ "$(status_json cat .task_id)" = "$task" ]
    wait_status cat succeeded
    settled 1
    [ -s "$J/cat/output.mp4" ]
}

# S-WAIT-7: When the task fails the job is `failed`, and `error` has the service's message; a task
#   that the service calls cancelled or expired is `cancelled` or `expired`.
@test "S-WAIT-7: failed, cancelled, expired" {
    mount_fs
    write cat 'x [[fail]]'
    wait_status cat failed
    has "$(jq -r .error.message "$J/cat/response.json")" "$J/cat/error"
    has 'Whether a failed task is charged is not documented' "$J/cat/error"
    [ ! -e "$J/cat/output.mp4" ]
    for word in cancelled expired; do
        scenario "{\"kind\":\"poll\",\"response\":{\"task_status\":\"$word\"}}"
        write $word
        wait_status $word $word
        [ -s "$J/$word/error" ]
    done
    restart_fs
    [ "$(cat "$J/cancelled/status" "$J/expired/status" | tr '\n' ' ')" = 'cancelled expired ' ]
    settled 3
}

# S-WAIT-8: When the service does not know the task (404), it is asked once more. If it still does not know the task,
#   the job is `lost`.
@test "S-WAIT-8: lost after the second 404" {
    mount_fs
    scenario '{"kind":"poll","response":{"status":404}}'
    write cat
    wait_status cat lost
    [ "$(requests poll)" -eq 2 ]
    has 'does not know the task' "$J/cat/error"
    has "$(status_json cat .task_id)" "$J/cat/error"
    settled 1
}

@test "S-WAIT-8: one 404 alone is not the end" {
    mount_fs
    scenario '{"kind":"poll","n":1,"response":{"status":404}}'
    write cat
    wait_status cat succeeded
}

# S-WAIT-9: While the service gives no usable response about a task, the job keeps its state, `reason` says `stale`,
#   and the program asks again until the service responds.
@test "S-WAIT-9: a service that gives no usable response makes the job stale, not failed" {
    mount_fs
    scenario '{"kind":"poll","task":1,"response":{"status":500}}' \
        '{"kind":"poll","task":2,"response":{"body":"<html>"}}' \
        '{"kind":"poll","task":3,"response":{"reset_at":"headers"}}' \
        '{"kind":"poll","task":4,"response":{"id":"another"}}'
    for job in s500 html reset id; do
        write $job
        wait_status $job queued
    done
    for job in s500 html reset id; do
        wait_until 10 reason_has $job stale
        [ "$(cat "$J/$job/status")" = queued ]
    done
    scenario
    for job in s500 html reset id; do
        wait_status $job succeeded
        [ "$(status_json $job .reason)" = null ]
    done
    settled 4
}

# S-WAIT-10: When the service uses a status word that is not documented, the job stays as it is, and `reason` shows
#   the word.
@test "S-WAIT-10: an unknown status word" {
    mount_fs
    scenario '{"kind":"poll","response":{"task_status":"dreaming"}}'
    write cat
    wait_until 5 reason_has cat '"dreaming"'
    [ "$(cat "$J/cat/status")" = queued ]
    scenario
    wait_status cat succeeded
    [ "$(status_json cat .reason)" = null ]
}

# S-WAIT-11: When a task succeeded but the response has no URL of the video, the program asks again.
@test "S-WAIT-11: succeeded without a URL is asked again" {
    mount_fs
    scenario '{"kind":"poll","to":9,"response":{"task_status":"succeeded","task":{"data":null}}}'
    write cat
    wait_until 5 reason_has cat 'no address'
    wait_status cat succeeded
    [ -s "$J/cat/output.mp4" ]
}

# S-WAIT-12: A missing cover image is not an error.
@test "S-WAIT-12: no cover image, or one that cannot be had" {
    mount_fs
    write cat 'x [[nocover]]'
    wait_status cat succeeded
    scenario '{"kind":"cover","response":{"status":404}}'
    write dog
    wait_status dog succeeded
    sleep 0.3
    for job in cat dog; do
        [ ! -e "$J/$job/cover.jpg" ]
        [ ! -e "$J/$job/error" ]
        cmp "$J/$job/output.mp4" <(curl -sf "${API%/api/v1}/oracle/video/$(status_json $job .task_id)")
    done
}

# S-WAIT-13: A status never goes back to an earlier one, whatever the service says.
@test "S-WAIT-13: a status never goes back" {
    mount_fs
    scenario '{"kind":"poll","n":1,"response":{"task_status":"running"}}' \
        '{"kind":"poll","from":2,"to":12,"response":{"task_status":"queued"}}'
    write cat
    wait_status cat running
    local word=running
    until [ "$word" = succeeded ]; do
        [ "$word" = running ]
        word=$(cat "$J/cat/status")
    done
    [ "$(grep -c 'queued' "$J/cat/log")" -eq 2 ]
}

# S-WAIT-14: When the key is refused while a task is followed, the job keeps its state, `error` says what to do, and
#   after SIGHUP the job continues.
@test "S-WAIT-14: the key is refused while a task is followed" {
    mount_fs
    scenario '{"kind":"poll","response":{"status":401,"body_json":{"error":{"message":"Wrong key."}}}}'
    write cat
    wait_until 5 test -e "$J/cat/error"
    [[ "$(cat "$J/cat/status")" = queued || "$(cat "$J/cat/status")" = running ]]
    has 'Wrong key.' "$J/cat/error"
    has SIGHUP "$J/cat/error"
    has 'a service has to be restarted' "$J/cat/error"
    reason_has cat stale
    scenario
    hup
    wait_status cat succeeded
    [ ! -e "$J/cat/error" ]
    settled 1
}

# S-WAIT-15: When the size of a finished video cannot be found out, the job is `succeeded` without `output.mp4`,
#   `error` says why, `output.url` exists, and the program tries again.
@test "S-WAIT-15: the size of the video cannot be had" {
    mount_fs
    scenario '{"kind":"video","response":{"status":404}}'
    write cat
    wait_status cat succeeded
    [ ! -e "$J/cat/output.mp4" ]
    has 'size cannot be found out' "$J/cat/error"
    [ -s "$J/cat/output.url" ]
    scenario
    restart_fs
    wait_until 10 test -s "$J/cat/output.mp4"
    wait_until 5 test ! -e "$J/cat/error"
    settled 1
}

@test "S-RUN-7: a restart finds every job, its state, history, files and video" {
    mount_fs
    write ready
    wait_status ready succeeded
    wait_until 5 test -e "$J/ready/cover.jpg"
    write fail 'x [[fail]]'
    wait_status fail failed
    printf '{' >"$J/bad/prompt.json"
    mkdir "$J/empty"
    echo note >"$J/empty/note"
    cat "$J/ready/output.mp4" >/dev/null
    wait_until 5 json_is ready .output.archived true
    find "$MNT" -type f ! -path "$MNT/metrics" ! -path "$MNT/index.html" -exec md5sum {} + | sort >"$DIR/before"
    restart_fs
    find "$MNT" -type f ! -path "$MNT/metrics" ! -path "$MNT/index.html" -exec md5sum {} + | sort | diff "$DIR/before" -
    kill_fs
    mount_fs
    find "$MNT" -type f ! -path "$MNT/metrics" ! -path "$MNT/index.html" -exec md5sum {} + | sort | diff "$DIR/before" -
    settled 2
}
