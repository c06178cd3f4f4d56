#!/usr/bin/env bats
# Services that take their time: what costs a minute, all of it in the same minute. An API call may take 60 s,
# and 30 s without a byte.
load faults
load unreachable

teardown() {
    [ -z "${TLS_PID:-}" ] || { kill "$TLS_PID" && wait "$TLS_PID"; } 2>/dev/null || true
    [ ! -d "$DIR/silent" ] || fusermount3 -uzq "$DIR/silent" || true
    end_world
}

# A second world, whose service accepts connections and says nothing: the connect deadline of 10 s, again and again.
silent_handshake() (
    MNT=$DIR/silent J=$DIR/silent/jobs
    mkdir "$MNT"
    unsent_over_tls silent "$nowhere" "$not_there"
)

# A create that is never answered as it should be is unknown, sent once. Four are under way at the same time, so
# the two that end after half a minute are followed by two more.
creates_of_deadlines() {
    cat <<'END'
body-1-per-s|{"body":"{\"id\":\"cgt-1\",\"status\":\"queued\",\"model\":\"doubao-seedance-2.0\",\"object\":\"x\"}","rate":1}|the response did not come in time
headers-1-per-s|{"header_rate":1}|the response
silence|{"silence_at":"request_body"}|the response stopped arriving
stall-at-last-byte|{"body":"{\"id\":\"cgt-1\"}","cut_after_bytes":13,"silence_at":"body"}|HTTP 200, but the response stopped arriving
silence-accepted|{"silence_at":"request_body","accept":true}|the response stopped arriving
stall-in-headers|{"silence_at":"headers"}|the response stopped arriving
END
}

# A poll fails once, at its deadline; then the service is well again.
polls_of_deadlines() {
    cat <<'END'
poll-body-1-per-s|{"n":1,"rate":1}|
poll-headers-1-per-s|{"n":1,"header_rate":1}|
poll-silence|{"n":1,"silence_at":"request_body"}|
poll-stall-in-headers|{"n":1,"silence_at":"headers"}|
poll-stall-in-body|{"n":1,"silence_at":"body"}|
END
}

@test "create and poll: never a response, one byte per second, a stall at the last byte: the deadline" {
    scenario '{"kind":"poll","response":{"task_status":"running"}}'
    mount_fs
    rows_read < <(polls_of_deadlines)
    rows write
    rows state running
    local polls creates started
    polls=$(rows scenario poll)
    rows_read < <(creates_of_deadlines)
    creates=$(rows scenario create)
    scenario "$(jq -c '.rules[]' <<<"$polls" | paste -sd,),$(jq -c '.rules[]' <<<"$creates" | paste -sd,)"
    started=$SECONDS
    rows write
    silent_handshake 3>&- &
    # Meanwhile the mount answers, nothing is given up early, and nothing is sent twice.
    sleep 25
    [ "$(cat "$J"/*/status | sort -u | tr '\n' ' ')" = 'running submitting waiting ' ]
    timeout 2 find "$MNT" -type f -exec cat {} + >/dev/null
    [ "$(creates)" -eq 9 ]
    wait $!
    rows state unknown 110
    [ $((SECONDS - started)) -ge 59 ]
    # Each poll has met its fault once, and the next one was answered.
    rows_read < <(polls_of_deadlines)
    rows recovered
    rows creates 1
    curl -sSf "${API%/api/v1}/oracle/counters" | jq -e '[.rules[].fired] == [range(11) | 1]'
    rm -r "$J"/poll-*
    rows_read < <(creates_of_deadlines)
    unknown_for_good
}
