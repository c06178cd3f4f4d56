#!/usr/bin/env bats
# Every fault of a poll: the job keeps its last good state, says `stale` and why, is never sent again, and goes on
# to succeed once the fault has ended. The rows are in tests/faults/*.table; each test plays some sections of them at
# once, one job each. See also faults_unreachable.bats, faults_deadlines.bats and faults_clock.bats.
load faults

# poll_rows SECTION...   a job for each row whose task runs; from then on its polls get the row's response.
poll_rows() {
    scenario '{"kind":"poll","response":{"task_status":"running"}}'
    [ -n "${FS_PID:-}" ] || mount_fs
    rows choose "$@"
    rows write
    rows state running
    rows_play poll
}

becomes_stale() {
    rows stale
    scenario
    rows recovered
    rows creates 1
}

# What will not mend itself is asked for once a minute; `refresh` asks at once.
becomes_refused() {
    rows stale
    rows refused
    local was
    was=$(requests poll)
    sleep 1
    [ "$(requests poll)" -eq "$was" ]
    scenario
    for job in "$J"/*; do echo refresh >"$job/ctl"; done
    rows recovered
    rows creates 1
}

becomes_strange() {
    rows strange
    rows says reason
    scenario
    rows recovered
    rows creates 1
}

nothing_but_the_api() { fails grep -vE '"kind":"(create|poll|video|cover|sent)"' "$LOG"; }

@test "poll: 500 502 503 504 408: asked again" {
    play poll server-errors-of-a-poll
}

@test "poll: 429 with Retry-After: not asked earlier than told, one hour at most" {
    poll_rows wait-at-a-poll
    rows recovered
    # Which poll was refused is in the log; the next one of that task came so much later.
    for job in seconds date; do
        jq -se --arg task "$(status_json $job .task_id)" '[.[] | select(.kind == "poll" and .task == $task)] as $p |
            ($p | map(.rule != null) | rindex(true)) as $i | $p[$i + 1].time_ms - $p[$i].time_ms >= 2000' "$LOG"
    done
    rows choose wait-an-hour-at-a-poll
    rows_play poll
    rows write
    wait_status huge queued
    sleep 1
    local was
    was=$(requests poll)
    sleep 2
    [ "$(requests poll)" -eq "$was" ] # it waits; a minute is the longest delay that it would choose itself
    scenario
    echo refresh >"$J/huge/ctl"
    rows recovered
    rows creates 1
}

@test "poll: 400 405 413 415 422 with a body: the state stays, the error is shown" {
    play poll refusals-of-a-poll
}

@test "poll: 401 402 403: the state stays, the reason is shown, SIGHUP lets it go on" {
    poll_rows key-or-account-of-a-poll
    rows stale
    rows refused
    for job in "$J"/*; do
        has 'Correct the API key (or the account) and send SIGHUP' "$job/error"
        has 'The task itself continues.' "$job/error"
    done
    scenario
    kill -HUP "$FS_PID"
    rows recovered
    rows creates 1
}

@test "poll: 404 410: lost, after a second look" {
    poll_rows not-there-at-a-poll
    grep -v ^once "$DIR/rows" >"$DIR/lost"
    grep ^once "$DIR/rows" >"$DIR/found"
    # At the first look nothing happens; the second comes some seconds later.
    sleep 1
    [ "$(cat "$J"/s4*/status | sort -u)" = running ]
    cp "$DIR/lost" "$DIR/rows"
    rows state lost
    rows says error
    for job in s404 s410 s404-empty; do
        has "$(status_json $job .task_id)" "$J/$job/error"
        has 'seedancefs asked twice' "$J/$job/error"
        has 'that is a new, paid attempt' "$J/$job/error"
    done
    [ "$(cat "$J"/s404/status.json "$J"/s410/status.json | jq .error.http_status | tr '\n' ' ')" = '404 410 ' ]
    # Two looks at each, and not one more.
    curl -sSf "${API%/api/v1}/oracle/counters" | jq -e '[.rules[].fired] == [2, 2, 2, 1]'
    rows creates 1
    restart_fs
    rows state lost
    cp "$DIR/found" "$DIR/rows"
    scenario
    rows recovered
    rows creates 1
}

@test "poll: 3xx to the same host, another host, in a loop, http, file:, gopher:: refused, never followed" {
    poll_rows redirects
    rows stale
    nothing_but_the_api
    for job in "$J"/*; do
        [ "$job" = "$J/long" ] || has 'a redirect to another address, which is never followed.' "$job/error"
    done
    scenario
    for job in "$J"/*; do echo refresh >"$job/ctl"; done
    rows recovered
    rows creates 1
}

@test "poll: reset or close before, inside or after the headers or the body: asked again" {
    play poll broken
}

@test "poll: a connection that is used again dies while the request is sent: asked again" {
    mount_fs
    for fault in reset_at cut_at; do
        # The first poll opens a connection; the second and the third find it dead, each in its way.
        scenario "{\"kind\":\"poll\",\"n\":3,\"response\":{\"$fault\":\"request\"}}" \
            "{\"kind\":\"poll\",\"n\":5,\"response\":{\"$fault\":\"request_body\"}}" \
            '{"kind":"poll","to":7,"response":{"task_status":"running"}}'
        echo "{\"prompt\": \"[$fault]\"}" >"$J/$fault/prompt.json"
        wait_status "$fault" succeeded
        [ "$(status_json "$fault" .reason)" = null ]
        [ "$(creates "[$fault]")" -eq 1 ]
    done
}

@test "poll: truncated; wrong, doubled, negative, huge lengths; bad chunks; too many bytes: asked again" {
    play poll lengths surplus-of-a-poll
}

@test "poll: a header line of 1 MB, 100,000 headers, CR LF NUL inside, no status line: asked again" {
    play poll headers
}

@test "poll: gzip that nobody asked for; 10 MB that unpack to 10 GB: dropped, asked again" {
    in_bounded_memory play poll compressed
}

@test "poll: 2xx without a usable task; HTML; empty: the last good state" {
    play poll no-task
}

@test "poll: 64 MiB, depth 100,000, NUL, bad UTF-8, BOM, two keys, junk, 1e999: the last good state" {
    in_bounded_memory play poll json
}

@test "poll: wrong types and another id: the last good state" {
    play poll wrong-types
}

@test "poll: an unknown, missing or mistyped status: the last sane state, and the reason says so" {
    play poll odd-status
    [ "$(grep -c 'task.status .*dreaming' "$DATA/seedancefs.log")" -eq 1 ]
}

@test "poll: a status that runs backwards: the last sane state, and a warning" {
    poll_rows backwards
    wait_until 10 grep -q 'task.backwards .*job=back' "$DATA/seedancefs.log"
    status_is back running
    rows recovered
    # What has ended is not asked for any more, so that nothing can run back from there.
    scenario '{"kind":"poll","response":{"task_status":"queued"}}'
    local was
    was=$(requests poll)
    sleep 0.5
    [ "$(requests poll)" -eq "$was" ]
    # Unless somebody wants a new URL: then, too, a success stays one.
    echo refresh >"$J/back/ctl"
    asked_again() { [ "$(requests poll)" -gt "$was" ]; }
    wait_until 10 asked_again
    sleep 0.3
    status_is back succeeded
    grep -q 'queued -> running' "$J/back/log"
    fails grep -q 'running -> queued' "$J/back/log"
    rows creates 1
}

@test "poll: succeeded without URL: asked again" {
    play poll succeeded-without-address
}

@test "poll: a URL whose host is private, or that is no http(s): refused by the URL policy, and shown" {
    poll_rows address-refused
    rows state succeeded
    rows says error
    rows says reason
    for job in "$J"/*; do
        [ ! -e "$job/output.mp4" ]
        [ "$(stat -c %a "$job/output.url")" = 400 ]
    done
    [ "$(requests video)" -eq 0 ]
    # The right URL, and all is well; the task was paid for once.
    scenario
    for job in "$J"/*; do
        echo refresh >"$job/ctl"
        wait_until 10 grep -q '^http://127.0.0.1:' "$job/output.url"
    done
    restart_fs
    rows recovered
    rows creates 1
}
