#!/usr/bin/env bats
# Clocks that jump: the wall clock is set by a day, the machine sleeps for an hour. The program reads its clocks
# through libc, where clock_shim.c adds what a test says. The schedule by virtual hours is in tests/unit/job. (A
# second program on the same data directory is S-RUN-4 in start.bats.)
load faults

# clock WALL_MS SUSPENDED_MS   what is added to the two clocks from now on, at once.
clock() { "$PYTHON" -c 'import struct, sys; open(sys.argv[1], "r+b").write(struct.pack("=qq", *map(int, sys.argv[2:])))' \
    "$DIR/clock" "$1" "$2"; }

mount_with_clock() {
    cc -shared -fPIC -O1 -o "$DIR/clock_shim.so" "$ROOT/tests/e2e/clock_shim.c"
    head -c 16 /dev/zero >"$DIR/clock"
    # Under the sanitizers their library would have to come first.
    ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0
    RUN_FS="env CLOCK_FILE=$DIR/clock LD_PRELOAD=$DIR/clock_shim.so"
    mount_fs "$@"
}

day_ms=86400000

@test "clock: the wall clock jumps by a day, to and fro: polls go on, nothing is sent twice" {
    mount_with_clock
    scenario '{"kind":"poll","response":{"task_status":"running"}}' \
        '{"kind":"create","prompt_contains":"[slow]","response":{"delay_ms":2500}}' \
        '{"kind":"create","prompt_contains":"[lost]","response":{"status":500}}'
    for job in running slow lost; do echo "{\"prompt\": \"[$job]\"}" >"$J/$job/prompt.json"; done
    wait_status running running
    wait_status lost unknown
    wait_until 10 grep -q '\[slow\]' "$LOG"
    for jump in $day_ms -$day_ms 0; do
        clock "$jump" 0
        local was
        was=$(requests poll)
        echo "{\"prompt\": \"[at$jump]\"}" >"$J/at$jump/prompt.json"
        wait_status "at$jump" running
        [ "$(date -d "$(status_json "at$jump" .submitted_at)" +%s)" -ge $(($(date +%s) + jump / 1000 - 60)) ]
        [ "$(date -d "$(status_json "at$jump" .submitted_at)" +%s)" -le $(($(date +%s) + jump / 1000 + 1)) ]
        asked_again() { [ "$(requests poll)" -gt $((was + 3)) ]; }
        wait_until 10 asked_again
        [ "$(status_json running .reason)" = null ]
    done
    wait_status slow running
    clock -$day_ms 0
    scenario
    for job in running slow at$day_ms at-$day_ms at0; do
        wait_status "$job" succeeded
        [ "$(creates "[$job]")" -eq 1 ]
        [ -s "$J/$job/output.mp4" ]
    done
    restart_fs
    status_is lost unknown
    [ "$(creates)" -eq 6 ]
}

@test "clock: the wall clock jumps while the service asked to wait: as long as told" {
    mount_with_clock
    for jump in $day_ms -$day_ms; do
        clock 0 0
        : >"$LOG"
        scenario '{"kind":"create","n":1,"response":{"status":429,"headers":{"Retry-After":"2"}}}'
        echo "{\"prompt\": \"[first$jump]\"}" >"$J/first$jump/prompt.json"
        wait_until 10 reason_has "first$jump" 'The service asked to wait'
        clock "$jump" 0
        echo "{\"prompt\": \"[second$jump]\"}" >"$J/second$jump/prompt.json"
        wait_status "first$jump" succeeded
        wait_status "second$jump" succeeded
        [ "$(creates)" -eq 3 ]
        jq -se '[.[] | select(.kind == "create") | .time_ms] | .[1] - .[0] >= 2000' "$LOG"
    done
}

@test "clock: suspended for an hour: polled at once on wake-up, a create under way is unknown, sent once" {
    mount_with_clock --poll-interval 600
    scenario '{"kind":"create","prompt_contains":"[cut]","response":{"silence_at":"request_body","accept":true}}'
    for job in followed cut; do echo "{\"prompt\": \"[$job]\"}" >"$J/$job/prompt.json"; done
    wait_status followed queued
    wait_status cut submitting
    wait_until 10 grep -q '\[cut\]' "$LOG"
    sleep 0.5
    [ "$(requests poll)" -eq 0 ]
    clock 3600000 3600000
    # The kernel's own timer would have fired at the wake-up; here any request does it.
    wait_status followed succeeded
    wait_status cut unknown
    has 'the response ' "$J/cut/error"
    sleep 0.5
    [ "$(creates)" -eq 2 ]
    restart_fs --poll-interval 600
    status_is cut unknown
    [ "$(creates)" -eq 2 ]
}
