#!/usr/bin/env bats
# How far a job is, for people and for scripts.
load helper

setup() { start_world; J=$MNT/jobs; }
teardown() { end_world; }

progress() { cat "$J/$1/progress"; }

# S-PROGRESS-1: `progress` always exists, and is one line: a bar, per cent, the state, and the time left, estimated
#   from how long tasks of the same model, resolution and length took.
# S-PROGRESS-2: `progress` in status.json has the same: `fraction` from 0 to 1 and `eta_s` in seconds; null where they
#   cannot be estimated.
@test "S-PROGRESS-1 S-PROGRESS-2: a line for people, numbers for scripts, in every state" {
    mount_fs
    mkdir "$J/draft"
    [ "$(progress draft)" = '[--------------------]   0 %  draft: no prompt.json yet' ]
    # Nothing was ever seen, so it is what the service's users say: minutes.
    echo '{"prompt": "long [[seconds=30]]"}' >"$J/long/prompt.json"
    wait_status long running
    progress long | grep -Eqx '\[[#-]{20}\] +[0-9]+ %  running, about [0-9]+ min( [0-9]+ s)? left'
    jq -e '.progress | .fraction >= 0 and .fraction < 0.1 and .eta_s > 60 and .eta_s < 200' "$J/long/status.json"
    echo '{"prompt": "[[fail]]"}' >"$J/bad/prompt.json"
    wait_status bad failed
    [ "$(progress bad)" = 'failed: see error' ]
    jq -e '.progress == {"fraction": null, "eta_s": null}' "$J/bad/status.json"
    make_job cat
    progress cat | grep -qx '\[#\{20\}\] 100 %  succeeded, .*'
    jq -e '.progress == {"fraction": 1, "eta_s": 0}' "$J/cat/status.json"
}

# S-PROGRESS-3: It never goes back while the program runs. It is 100 per cent with success, and not before.
@test "S-PROGRESS-3: never back, never all of it before success; learned from like tasks" {
    mount_fs
    for i in 1 2 3 4 5; do echo "{\"prompt\": \"like $i [[seconds=1]]\"}" >"$J/like$i/prompt.json"; done
    for i in 1 2 3 4 5; do wait_status like$i succeeded; done
    # Five of a second each: the next one is thought to take seconds, not minutes.
    echo '{"prompt": "next [[seconds=2]]"}' >"$J/next/prompt.json"
    wait_status next running
    python '
seen, before = [], 0
while True:
    status = json.load(open(M + "jobs/next/status.json"))
    line = open(M + "jobs/next/progress").read()
    fraction = status["progress"]["fraction"]
    assert fraction >= before, (before, fraction)
    before = fraction
    if status["state"] == "succeeded":
        assert fraction == 1
        break
    assert fraction < 1 and (" 100 %" not in line or "succeeded" in line), (status, line)
    seen.append(fraction)
    assert status["progress"]["eta_s"] < 60, status
assert max(seen) > 0.05, seen
'
}

# S-PROGRESS-4: For a finished video `progress` says how much of it has been fetched.
@test "S-PROGRESS-4: how much of a finished video is on disk" {
    mount_fs --archive never
    echo '{"prompt": "big [[video_bytes=3000000]]"}' >"$J/cat/prompt.json"
    wait_status cat succeeded
    wait_ends cat
    progress cat | grep -Eqx '\[#{20}\] 100 %  succeeded, [0-9]+ % of the video on disk'
    cat "$J/cat/output.mp4" >/dev/null
    wait_until 5 grep -qx '\[#\{20\}\] 100 %  succeeded, video on disk' "$J/cat/progress"
}
