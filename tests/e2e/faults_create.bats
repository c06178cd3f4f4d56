#!/usr/bin/env bats
# Every fault of a create: what becomes of the job, how many requests the service sees, and what the user reads.
# The rows are in tests/faults/*.table; each test plays some sections of them at once, one job each. Responses that are
# wrong in themselves are in faults_responses.bats, what takes a minute in faults_deadlines.bats, a service that
# cannot be reached in faults_unreachable.bats, clocks in faults_clock.bats.
load faults

only_creates() { fails grep -v '"kind":"create"' "$LOG"; }

@test "create: 500 502 503 504 408: unknown" {
    play create server-errors
    only_creates
}

@test "create: 429 with Retry-After in seconds, as a date, past, negative, junk: waiting, then sent" {
    create_rows wait-as-told
    rows state succeeded
    rows creates 2
    rows gaps 2000
    create_rows wait-as-usual
    rows state succeeded
    rows creates 2
    rows gaps 500
}

# soon_again JOB: when it is tried again, in seconds from now.
tried_again_in() {
    local at
    at=$(status_json "$1" .reason | grep -o '20[0-9T:.-]*Z')
    echo $(($(date -d "$at" +%s) - $(date +%s)))
}

restart_after_the_hour() {
    unmount_fs
    forget_retry_after
    mount_fs
}

@test "create: 429 with Retry-After 10^9 or in a hundred years: one hour at most" {
    create_rows wait-an-hour
    wait_until 10 reason_has huge 'The service asked to wait (HTTP 429: '
    local seconds
    seconds=$(tried_again_in huge)
    [ "$seconds" -ge 3500 ]
    [ "$seconds" -le 3601 ]
    # What comes later waits, too; asking to try again does not help.
    echo '{"prompt": "later"}' >"$J/later/prompt.json"
    wait_until 10 reason_has later 'The service asked to wait: nothing more is sent until '
    echo submit >"$J/huge/ctl"
    sleep 1
    [ "$(creates)" -eq 1 ]
    [ "$(cat "$J"/*/status | sort -u)" = waiting ]
    # Nor does a new start.
    restart_fs
    wait_until 10 reason_has huge 'The service asked to wait: nothing more is sent until '
    sleep 1
    [ "$(creates)" -eq 1 ]
    rm -r "$J/later"
    rows choose wait-a-century
    rows_play create
    restart_after_the_hour
    wait_until 10 creates_are 2
    wait_until 10 reason_has huge 'The service asked to wait (HTTP 429: '
    seconds=$(tried_again_in huge)
    [ "$seconds" -ge 3500 ]
    [ "$seconds" -le 3601 ]
    [ ! -e "$J/huge/error" ]
    restart_after_the_hour
    wait_status huge succeeded
    [ "$(creates)" -eq 3 ]
    [ "$(jq -s '[.[] | select(.created != null)] | length' "$LOG")" -eq 1 ]
}

@test "create: 400 405 413 415 422 with a body: rejected, message shown" {
    play create refusals
    [ "$(status_json s400 .error.request_id)" = 0217a ]
    has 'Request id: 0217a' "$J/s400/error"
    has 'No faces.' "$J/s400/response.json"
    only_creates
}

@test "create: 404 410: rejected" {
    play create not-there
}

# paused STATUS SENTENCE: that response to one create stops all of them, until somebody has done something about it.
paused() {
    local was
    was=$(creates)
    scenario "{\"kind\":\"create\",\"times\":1,\"response\":{\"status\":$1,\"body_json\":{\"error\":{\"message\":\"The words of $1.\"}}}}"
    echo "{\"prompt\": \"first $1\"}" >"$J/first$1/prompt.json"
    wait_until 10 reason_has "first$1" "$2"
    echo "{\"prompt\": \"second $1\"}" >"$J/second$1/prompt.json"
    wait_until 10 reason_has "second$1" "$2"
    sleep 0.5
    [ "$(creates)" -eq $((was + 1)) ]
    for job in "first$1" "second$1"; do
        status_is "$job" waiting
        [ "$(status_json "$job" .submitted_at)" = null ]
        has "$2" "$J/$job/error"
        has "The service said: The words of $1." "$J/$job/error"
        has 'send SIGHUP' "$J/$job/error"
        has 'Nothing was charged, and nothing is lost.' "$J/$job/error"
    done
    kill -HUP "$FS_PID"
    wait_status "first$1" succeeded
    wait_status "second$1" succeeded
    [ ! -e "$J/first$1/error" ]
    [ "$(creates "first $1")" -eq 2 ]
    [ "$(creates "second $1")" -eq 1 ]
}

@test "create: 401 402 403: waiting, all submissions paused, reason shown" {
    mount_fs
    paused 401 'The service refused the API key, so nothing is sent.'
    paused 402 'The service refuses this account'
    paused 403 'The service refuses this account'
}

@test "create: 3xx to the same host, another host, in a loop, http, file:, gopher:: unknown, never followed" {
    play create redirects
    only_creates
}

# either_way JOB FAULT: the connection ends before the simulator has read a byte. Whether the program had begun
# to write is a race between the two; each outcome has its state, and none costs twice.
either_way() {
    scenario "{\"kind\":\"connection\",\"port\":\"api\",\"n\":1,\"response\":{\"$2\":\"connect\"}}"
    echo "{\"prompt\": \"[$1]\"}" >"$J/$1/prompt.json"
    wait_until 20 grep -qxE 'unknown|succeeded' "$J/$1/status"
    if status_is "$1" unknown; then
        [ "$(creates "[$1]")" -eq 0 ]
        has "$broke" "$J/$1/error"
    else
        [ "$(creates "[$1]")" -eq 1 ]
    fi
}

@test "create: reset or close before the request was read: unsent and sent again, or unknown" {
    mount_fs
    for n in 1 2 3; do
        either_way "reset$n" reset_at
        either_way "close$n" cut_at
    done
    cat "$J"/*/status >"$DIR/before"
    restart_fs
    sleep 1
    cat "$J"/*/status | diff "$DIR/before" -
}

@test "create: reset or close before, inside or after the headers or the body: unknown" {
    play create broken
    only_creates
}

# The simulator ends these before it knows the prompt: one after the other, counted without it.
@test "create: reset or close while the request is sent: unknown" {
    mount_fs
    for fault in reset_at cut_at; do
        scenario "{\"kind\":\"create\",\"n\":1,\"response\":{\"$fault\":\"request\"}}"
        echo "{\"prompt\": \"[$fault]\"}" >"$J/$fault/prompt.json"
        wait_status "$fault" unknown
        echo "$fault|{}|$broke" >>"$DIR/rows"
    done
    rows unknown
    restart_fs
    sleep 1
    rows unknown
    [ "$(creates)" -eq 2 ]
}

@test "create: reset or close after the whole response: what was received counts" {
    create_rows broken-behind-the-response
    wait_until 20 grep -qxE 'unknown|succeeded' "$J/reset/status"
    wait_status close succeeded
    sleep 0.5
    rows creates 1
}

@test "create: a connection is never used twice, so that none can die while a request is sent over it" {
    mount_fs
    make_job first # leaves a connection of polls behind
    play create broken-instead-of-a-response
    jq -se '[.[] | select(.kind == "create") | .connection] as $c | ($c | unique | length) == ($c | length)
        and all(.[] | select(.kind != "create"); .connection as $x | $c | index([$x]) == null)' "$LOG"
}
