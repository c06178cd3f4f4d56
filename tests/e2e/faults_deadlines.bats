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

@test "create and poll: never a response, one byte per second, a stall at the last byte: the deadline" {
    scenario '{"kind":"poll","response":{"task_status":"running"}}'
    mount_fs
    rows choose too-slow-once
    rows write
    rows state running
    local polls creates started
    polls=$(rows scenario poll)
    rows choose too-slow
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
    rows choose too-slow-once
    rows recovered
    rows creates 1
    curl -sSf "${API%/api/v1}/oracle/counters" | jq -e '[.rules[].fired] == [range(11) | 1]'
    rm -r "$J"/poll-*
    rows choose too-slow
    unknown_for_good
}
