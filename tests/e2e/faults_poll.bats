#!/usr/bin/env bats
# Every fault of a poll: the job keeps its last good state, says `stale` and why, is never sent again, and goes on
# to succeed once the fault has ended. Each test is one row of the table of faults with all its variants at once,
# one job each. See also faults_unreachable.bats, faults_deadlines.bats and faults_clock.bats.
load faults

# following <TABLE: a job for each row whose task runs; from then on its polls get the row's response.
following() {
    scenario '{"kind":"poll","response":{"task_status":"running"}}'
    [ -n "${FS_PID:-}" ] || mount_fs
    rows_read
    rows write
    rows state running
    rows_play poll
}

# stale_until_it_ends <TABLE
stale_until_it_ends() {
    following
    rows stale
    scenario
    rows recovered
    rows creates 1
}

# refused_until_it_ends <TABLE   what will not mend itself is asked for once a minute; `refresh` asks at once.
refused_until_it_ends() {
    following
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

nothing_but_the_api() { fails grep -vE '"kind":"(create|poll|video|cover|sent)"' "$LOG"; }

@test "poll: 500 502 503 504 408: asked again" {
    stale_until_it_ends <<'END'
s500|{"status":500}|The service failed unexpectedly.
s502|{"status":502}|A gateway could not reach the service.
s503|{"status":503,"headers":{"Retry-After":"0"}}|The service is overloaded.
s504|{"status":504}|The service did not answer in time.
s408|{"status":408}|The request took too long.
s599|{"status":599,"body":""}|the response was HTTP 599
html|{"status":502,"body":"<html>Bad gateway</html>"}|HTTP 502
END
}

@test "poll: 429 with Retry-After: not asked earlier than told, one hour at most" {
    following <<'END'
seconds|{"n":1,"status":429,"headers":{"Retry-After":"2"}}|
date|{"n":1,"status":429,"headers":{"Date":"Wed, 25 Nov 2026 08:00:00 GMT","Retry-After":"Wed, 25 Nov 2026 08:00:02 GMT"}}|
past|{"n":1,"status":429,"headers":{"Retry-After":"Sun, 06 Nov 1994 08:49:37 GMT"}}|
negative|{"n":1,"status":429,"headers":{"Retry-After":"-5"}}|
junk|{"n":1,"status":429,"headers":{"Retry-After":"soon"}}|
END
    rows recovered
    # Which poll was refused is in the log; the next one of that task came so much later.
    for job in seconds date; do
        jq -se --arg task "$(status_json $job .task_id)" '[.[] | select(.kind == "poll" and .task == $task)] as $p |
            ($p | map(.rule != null) | rindex(true)) as $i | $p[$i + 1].time_ms - $p[$i].time_ms >= 2000' "$LOG"
    done
    rows_read <<'END'
huge|{"status":429,"headers":{"Retry-After":"1000000000"}}|
END
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
    refused_until_it_ends <<'END'
s400|{"status":400,"body":"{\"error\":{\"code\":\"Bad\",\"message\":\"No such thing.\"}}"}|No such thing.
s405|{"status":405}|The method is not allowed here.
s413|{"status":413}|The request body is larger than 64 MB.
s415|{"status":415}|The body must be JSON.
s422|{"status":422}|The request cannot be processed.
s418|{"status":418,"body":""}|the response was HTTP 418
END
}

@test "poll: 401 402 403: the state stays, the reason is shown, SIGHUP lets it go on" {
    following <<'END'
s401|{"status":401}|The API key in the request is not valid.
s402|{"status":402}|The balance of the account is too low.
s403|{"status":403}|The account has an overdue balance.
END
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
    following <<'END'
s404|{"status":404}|HTTP 404: The specified resource is not found.
s410|{"status":410}|HTTP 410: The specified resource is gone.
s404-empty|{"status":404,"body":""}|HTTP 404
once|{"n":1,"status":404}|
END
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
        has 'starts a new, paid attempt' "$J/$job/error"
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
    following < <(redirects)
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
    stale_until_it_ends < <(broken_connections)
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
    stale_until_it_ends < <(bad_lengths; surplus_bytes 'HTTP 200, but ')
}

@test "poll: a header line of 1 MB, 100,000 headers, CR LF NUL inside, no status line: asked again" {
    stale_until_it_ends < <(bad_headers)
}

@test "poll: gzip that nobody asked for; 10 MB that unpack to 10 GB: dropped, asked again" {
    mount_fs
    local memory
    memory=$(memory_most_kib)
    stale_until_it_ends < <(compressed)
    memory_is_bounded "$memory"
}

@test "poll: 2xx without a usable task; HTML; empty: the last good state" {
    stale_until_it_ends < <(no_tasks)
}

@test "poll: 64 MiB, depth 100,000, NUL, bad UTF-8, BOM, two keys, junk, 1e999: the last good state" {
    mount_fs
    local memory
    memory=$(memory_most_kib)
    stale_until_it_ends < <(bad_json)
    memory_is_bounded "$memory"
}

@test "poll: wrong types and another id: the last good state" {
    stale_until_it_ends <<'END'
id-other|{"id":"another"}|$other
id-of-success|{"id":"another","task_status":"succeeded"}|$other
id-of-failure|{"id":"another","task_status":"failed"}|$other
id-number|{"task":{"id":7}}|$no_task
id-missing|{"task":{"id":null}}|$no_task
url-number|{"task":{"status":"succeeded","data":[{"video_url":7}]}}|$no_task
url-object|{"task":{"status":"succeeded","data":[{"video_url":{"url":"http://127.0.0.1/"}}]}}|$no_task
END
}

@test "poll: an unknown, missing or mistyped status: the last sane state, and the reason says so" {
    following <<'END'
dreaming|{"task_status":"dreaming"}|The service says "dreaming", a word that is not documented; seedancefs asks again.
capitals|{"task_status":"SUCCEEDED"}|The service says "SUCCEEDED", a word that is not documented; seedancefs asks again.
control|{"task_status":"run\nning\u202e"}|The service says "run ning ", a word that is not documented; seedancefs asks again.
empty|{"task_status":""}|The service does not say how the task is doing; seedancefs asks again.
missing|{"task":{"status":null}}|The service does not say how the task is doing; seedancefs asks again.
number|{"task":{"status":7}}|The service does not say how the task is doing; seedancefs asks again.
object|{"task":{"status":{"status":"succeeded"}}}|The service does not say how the task is doing; seedancefs asks again.
END
    rows strange
    rows says reason
    grep -q 'task.status .*dreaming' "$DATA/seedancefs.log"
    [ "$(grep -c 'task.status .*dreaming' "$DATA/seedancefs.log")" -eq 1 ]
    scenario
    rows recovered
    rows creates 1
}

@test "poll: a status that runs backwards: the last sane state, and a warning" {
    following <<'END'
back|{"from":1,"to":5,"task_status":"queued"}|
END
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
    following <<'END'
no-data|{"task_status":"succeeded","task":{"data":null}}|The service says that the video is done, but names no address for it; seedancefs asks again.
empty-data|{"task":{"status":"succeeded","data":[]}}|names no address for it; seedancefs asks again.
empty-url|{"task":{"status":"succeeded","data":[{"video_url":""}]}}|names no address for it; seedancefs asks again.
null-url|{"task":{"status":"succeeded","data":[{"video_url":null}]}}|names no address for it; seedancefs asks again.
data-number|{"task":{"status":"succeeded","data":7}}|names no address for it; seedancefs asks again.
END
    rows strange
    rows says reason
    scenario
    rows recovered
    rows creates 1
}

@test "poll: a URL whose host is private, or that is no http(s): refused by the URL policy, and shown" {
    following <<'END'
private-10|{"task_status":"succeeded","video_url":"https://10.0.0.1/x.mp4"}|$policy
private-172|{"task_status":"succeeded","video_url":"https://172.16.0.1/x.mp4"}|$policy
private-192|{"task_status":"succeeded","video_url":"https://192.168.1.1/x.mp4"}|$policy
metadata|{"task_status":"succeeded","video_url":"https://169.254.169.254/latest/meta-data"}|$policy
private-6|{"task_status":"succeeded","video_url":"https://[fd00::1]/x.mp4"}|$policy
mapped-6|{"task_status":"succeeded","video_url":"https://[::ffff:10.0.0.1]/x.mp4"}|$policy
zero|{"task_status":"succeeded","video_url":"https://0.0.0.0/x.mp4"}|$policy
decimal|{"task_status":"succeeded","video_url":"https://2130706433/x.mp4"}|$policy
plain-http|{"task_status":"succeeded","video_url":"http://example.org/x.mp4"}|$policy
file|{"task_status":"succeeded","video_url":"file:///etc/passwd"}|$policy
gopher|{"task_status":"succeeded","video_url":"gopher://127.0.0.1:{{media_port}}/_"}|$policy
user|{"task_status":"succeeded","video_url":"https://a@10.0.0.1/x.mp4"}|$policy
relative|{"task_status":"succeeded","video_url":"/x.mp4"}|$policy
END
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
