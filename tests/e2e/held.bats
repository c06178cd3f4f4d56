#!/usr/bin/env bats
# Held requests: accepted and priced, and not sent before the user orders them.
load helper

setup() { start_world; J=$MNT/jobs; }
teardown() { end_world; }

prompt() { echo "{\"prompt\": \"$2\"${3:+, $3}}" >"$J/$1/prompt.json"; }

# stays_held JOB...   nothing of them is sent, for longer than a create takes
stays_held() {
    local job
    pause 400
    for job in "$@"; do status_is "$job" held; done
}

# S-HOLD-1: With `--hold`, and with `"hold": true` in the prompt or in `defaults.json`, an acceptable request is not
#   sent when it is closed: the job is `held`, `cost` is what it would cost, `request.json` is what would be sent, and
#   `reason` in status.json says how to order it. `"hold": false` in a prompt sends it all the same. The field is
#   never sent to the service.
@test "S-HOLD-1: an option, the defaults and a prompt hold; a prompt alone says no" {
    mount_fs --hold
    prompt cat "a cat"
    stays_held cat
    creates_are 0
    [ "$(cat "$J/cat/cost")" = "1.00 USD (estimated; held: \`echo submit > ctl\` orders it; 5.000 s of doubao-seedance-2.0 at 720p)" ]
    reason_has cat 'Held: nothing was sent. `echo submit > ctl` orders it: 1.00 USD.'
    [ "$(cat "$J/cat/wait")" = held ]
    [ "$(cat "$J/cat/progress")" = "held: nothing was sent, see cost" ]
    jq -e '.prompt == "a cat" and (has("hold") | not)' "$J/cat/request.json"
    [ "$(ls "$MNT/by-status/held")" = cat ]
    grep -q '"job":"cat","state":"held","previous":"draft"' <(head -c "$(stat -c %s "$MNT/events")" "$MNT/events")
    prompt no "said otherwise" '"hold": false'
    wait_status no succeeded
    sent 1 'has("hold") | not'
    restart_fs
    echo '{"hold": true, "duration": 4}' >"$MNT/defaults.json"
    prompt dog "a dog"
    prompt also "also otherwise" '"hold": false'
    wait_status also succeeded
    stays_held cat dog
    echo '{}' >"$MNT/defaults.json"
    prompt fox "a fox" '"hold": true'
    echo "an owl" >"$J/owl/prompt.txt"
    wait_status owl succeeded
    stays_held cat dog fox
    sent 3 'has("hold") | not'
    fails prompt odd "odd" '"hold": "yes"'
    has 'hold' "$J/odd/error"
}

# S-HOLD-2: `submit` in `ctl` orders what is held. `submit` and `retry` are orders: `--hold` and `"hold"` concern
#   closes only. Without an order nothing held is sent, not by a restart either.
@test "S-HOLD-2: submit orders, also all at once, and after a restart; nothing else does" {
    mount_fs --hold
    for job in a b c d; do prompt $job "prompt $job"; done
    stays_held a b c d
    echo submit >"$J/a/ctl"
    wait_status a succeeded
    creates_are 1
    restart_fs
    stays_held b c d
    kill_fs
    mount_fs
    stays_held b c d
    kill -HUP "$FS_PID"
    ls -lR "$MNT" >/dev/null
    cat "$J"/*/* >/dev/null
    stays_held b c d
    creates_are 1
    echo submit | tee "$MNT"/by-status/held/*/ctl >/dev/null
    for job in b c d; do wait_status $job succeeded; done
    creates_are 4
    for job in b c d; do [ "$(creates "prompt $job")" -eq 1 ]; done
    # An order is not held, whatever the option says.
    restart_fs --hold
    prompt bad "[[fail]] e"
    echo submit >"$J/bad/ctl"
    wait_status bad failed
    echo retry >"$J/bad/ctl"
    wait_until 10 creates_are 6
    mkdir "$J/late"
    : >"$J/late/prompt.json"
    fails bash -c 'echo submit >"$1"' - "$J/late/ctl"
    status_is late draft
}

# S-HOLD-3: `hold` in `ctl` makes a waiting job `held` again as long as nothing of it has been sent. While it is being
#   sent the command fails with EBUSY.
@test "S-HOLD-3: hold takes a waiting job back" {
    mount_fs --max-active 1
    prompt long "[[seconds=20]] long"
    wait_status long running
    prompt next "the next one"
    status_is next waiting
    echo hold >"$J/next/ctl"
    stays_held next
    echo hold >"$J/next/ctl"
    fails bash -c 'echo hold >"$1"' - "$J/long/ctl"
    has 'not possible while the job is running' "$J/long/ctl"
    echo submit >"$J/next/ctl"
    status_is next waiting
    reason_has next 'Waits for a free place'
    rm -r "$J/long"
    wait_status next succeeded
    creates_are 2
    fails bash -c 'echo hold >"$1"' - "$J/next/ctl"
}

# S-HOLD-4: When the prompt of a held job is rewritten, the new request is held, too, unless the program had held it
#   because of its inputs or its price (S-LINK-4, S-LINK-7).
@test "S-HOLD-4: rewriting holds again; removing the prompt makes a draft" {
    mount_fs
    prompt cat "first" '"hold": true'
    prompt cat "second"
    stays_held cat
    json_is cat .attempt 2
    jq -e '.prompt == "second"' "$J/cat/request.json"
    sed -i 's/second/third/' "$J/cat/prompt.json"
    stays_held cat
    restart_fs
    prompt cat "fourth"
    stays_held cat
    rm "$J/cat/prompt.json"
    status_is cat draft
    creates_are 0
    prompt cat "fifth" '"hold": false'
    wait_status cat succeeded
    creates_are 1
}

# S-HOLD-5: Held jobs reserve nothing of the budget, take no place of `--max-active` and hold up nobody. `spend.json`
#   and `metrics` have the sum of their estimates as `held`.
@test "S-HOLD-5: held jobs reserve nothing; their sum is shown" {
    mount_fs --hold --budget 2 --max-active 1
    for job in a b c; do prompt $job "prompt $job"; done
    stays_held a b c
    jq -e '.held == "3.00" and .reserved == "0.00" and .budget.used == "0.00"' "$MNT/spend.json"
    grep -q '^seedancefs_spend_usd{class="held"} *3.00$' "$MNT/metrics"
    grep -q '^seedancefs_jobs{status="held"} *3$' "$MNT/metrics"
    prompt now "now" '"hold": false'
    wait_status now succeeded
    rm -r "$J/a"
    jq -e '.held == "2.00" and .settled == "1.00"' "$MNT/spend.json"
    has 'data-state="held"' "$MNT/index.html"
    has 'orders it: 1.00 USD' "$MNT/index.html"
    fails "$SEEDANCEFS" --budget 0 "$MNT"
    has '--hold' "$DIR/fails.out"
}

# S-HOLD-6: With `--hold` a start also holds what was waiting to be sent.
@test "S-HOLD-6: a start with --hold holds what waits" {
    mount_fs --max-active 1
    prompt long "[[seconds=20]] long"
    wait_status long running
    prompt next "the next one"
    status_is next waiting
    restart_fs --max-active 1 --hold
    stays_held next
    grep -q 'waiting -> held: held: seedancefs was started with --hold' "$J/next/log"
    status_is long running
    rm -r "$J/long"
    stays_held next
    creates_are 1
    echo submit >"$J/next/ctl"
    wait_status next succeeded
    creates_are 2
}

# S-HOLD-7: `cost` of a draft or invalid job is an estimate, and says that it was not submitted, if its prompt is a
#   complete request (of at most 1 MiB).
@test "S-HOLD-7: what a draft and an invalid job would cost" {
    mount_fs
    mkdir "$J/cat"
    [ "$(cat "$J/cat/cost")" = "0.00 USD (nothing has been submitted)" ]
    exec 7>"$J/cat/prompt.json"
    echo '{"prompt": "a cat", "duration": 10}' >&7
    has '2.00 USD (estimated; not submitted; 10.000 s of' "$J/cat/cost"
    json_is cat .cost.estimated 2.00
    exec 7>&-
    wait_status cat succeeded
    mkdir "$J/dog"
    prompt dog "a dog" '"image_url": "none.png"' # bash does not look at what close returns
    wait_status dog invalid
    has '1.00 USD (estimated; not submitted' "$J/dog/cost"
    jq -e '.reserved == "0.00"' "$MNT/spend.json"
    creates_are 1
}
