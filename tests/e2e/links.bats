#!/usr/bin/env bats
# Jobs that need what other jobs make.
load helper

setup() { start_world; mount_fs; J=$MNT/jobs; }
teardown() { end_world; }

# write JOB TEXT [FIELDS]   a prompt, in a new directory if there is none
write() {
    mkdir -p "$J/$1"
    echo "{\"prompt\": \"$2\"${3:+, $3}}" >"$J/$1/prompt.json"
}
# refused JOB TEXT FIELDS   by a writer that looks at the result of its close
refused() {
    mkdir -p "$J/$1"
    echo "{\"prompt\": \"$2\", $3}" >"$DIR/refused.json"
    fails cp "$DIR/refused.json" "$J/$1/prompt.json"
}
reason() { jq -r .reason "$J/$1/status.json"; }
json() { jq -c "$2" "$J/$1/status.json"; }
# inputs N   of the Nth accepted create, as the simulator saw them
inputs() { jq -c "select(.kind == \"create\") | .inputs" "$LOG" | sed -n "$1p"; }
task() { jq -r .task_id "$J/$1/status.json"; }
creates() { count_requests create; echo "$COUNT"; }

# S-LINK-1: A path may name what another job makes: its video (`../shot-1/output.mp4`, `../../videos/shot-1.mp4`), one
#   take (`../shot-1/takes/1.mp4`), or its first or last picture (`../shot-1/first_frame.png`, `../shot-1/last_frame.png`).
#   If that is not there yet, the request is accepted and the job is `waiting`; `reason` in status.json says for which job,
#   and how that one is doing. Once it is there, the request is sent by itself. Until then the job reserves nothing of the
#   budget, needs no place, and holds up nobody.
# S-LINK-2: A video goes to the service by the service's own address, which is renewed when less than six hours of it are
#   left; if there is none any more, by upload (S-REF-6) of what is on disk. A picture goes as data. `request.json` shows
#   the paths, and never an address that is signed.
# S-LINK-9: `depends_on` and `needed_by` in status.json are the names of the jobs on both sides. `inputs_changed` is true
#   when an input is another one now than when the video was made. Nothing is ever made again by itself. `cost` says how
#   many jobs wait behind this one and what they will cost, and spend.json what all waiting jobs will cost (`waiting`). The
#   gallery shows from which jobs a video was made.
@test "S-LINK-1, S-LINK-2, S-LINK-9: three shots, each from the one before" {
    mkdir "$J/shot-1"
    write shot-2 two '"video_url": "../shot-1/output.mp4"'
    write shot-3 three '"video_urls": ["../../videos/shot-2.mp4"]'
    [ "$(reason shot-2)" = "Waits for shot-1 (draft)." ]
    [ "$(reason shot-3)" = "Waits for shot-2 (waiting)." ]
    [ "$(creates)" -eq 0 ]
    [ "$(json shot-2 '[.depends_on, .needed_by, .inputs_changed]')" = '[["shot-1"],["shot-3"],false]' ]
    has '2 jobs follow: ' "$J/shot-1/cost"
    has '1 job follows: ' "$J/shot-2/cost"
    jq -e '.reserved == "0.00" and (.waiting | tonumber) > 0' "$MNT/spend.json"
    write shot-1 one
    wait_status shot-3 succeeded
    [ "$(creates)" -eq 3 ]
    inputs 2 | jq -e --arg task "$(task shot-1)" '.[0].form == "own" and .[0].task == $task'
    inputs 3 | jq -e --arg task "$(task shot-2)" '.[0].form == "own" and .[0].task == $task'
    body 2 | jq -e '.video_durations == [5]'
    jq -e '.video_url == "../shot-1/output.mp4" and has("video_durations") == false' "$J/shot-2/request.json"
    fails grep -q X-Tos "$J"/*/request.json "$J"/*/log
    grep -q 'class="chain">from <a href="#job-[0-9]*">shot-1</a>' "$MNT/index.html"
    jq -e '.waiting == "0.00"' "$MNT/spend.json"
    fails grep -q follow "$J/shot-1/cost"
    [ ! -e "$J/shot-2/error" ]
}

@test "S-LINK-1: one take of several, whichever is picked" {
    write shot-1 one
    wait_status shot-1 succeeded
    local first
    first=$(task shot-1)
    wait_until 20 take shot-1
    wait_status shot-1 succeeded
    [ "$(task shot-1)" != "$first" ]
    write shot-2 two '"video_url": "../shot-1/takes/1.mp4"'
    wait_status shot-2 succeeded
    inputs 3 | jq -e --arg task "$first" '.[0].task == $task'
    [ "$(json shot-2 .depends_on)" = '[]' ]
    refused shot-3 three '"video_url": "../shot-1/takes/3.mp4"'
    has 'there is no file "../shot-1/takes/3.mp4"' "$J/shot-3/error"
    refused shot-3 three '"video_url": "output.mp4"'
    has 'this job itself is going to make' "$J/shot-3/error"
    refused shot-3 three '"image_url": "../shot-1/output.mp4"'
    has 'is a video, but an image is needed here' "$J/shot-3/error"
    refused shot-3 three '"image_url": "../shot-1/cover.jpg"'
    has 'Name first_frame.png or last_frame.png' "$J/shot-3/error"
}
take() { echo take 2>/dev/null >"$J/$1/ctl"; }

@test "S-LINK-1: who waits for another job holds up nobody" {
    unmount_fs
    mount_fs --max-active 1 --budget 1.10
    mkdir "$J/never"
    write waiting "waits" '"video_url": "../never/output.mp4", "duration": 4, "model": "doubao-seedance-2.0-fast", "resolution": "480p", "video_durations": [2]'
    write other "goes on"
    wait_status other succeeded
    [ "$(cat "$J/waiting/status")" = waiting ]
    jq -e '.settled == "1.00"' "$MNT/spend.json"
}

# S-LINK-3: A link goes by job, not by name: renaming changes nothing, and it survives restarts.
@test "S-LINK-3: renamed, killed, and started again" {
    mkdir "$J/shot-1"
    write shot-2 two '"video_url": "../shot-1/output.mp4"'
    mv "$J/shot-1" "$J/opening"
    mkdir "$J/shot-1"
    mv "$J/shot-2" "$J/next"
    [ "$(json next .depends_on)" = '["opening"]' ]
    kill_fs
    mount_fs
    [ "$(reason next)" = "Waits for opening (draft)." ]
    write opening one
    wait_status next succeeded
    [ "$(creates)" -eq 2 ]
}

# S-LINK-4: Nothing is ordered by somebody else's word. When the other job ends without a video, is removed, or gets
#   another video after it had one, the jobs that need it and were not sent become `held`, and `error` says why. The jobs
#   behind those go on waiting. `submit`, or a new prompt, orders such a job, once what it needs is there or under way.
@test "S-LINK-4: a shot fails, and its retry orders no other" {
    mkdir "$J/shot-1"
    write shot-2 two '"video_url": "../shot-1/output.mp4"'
    write shot-3 three '"video_url": "../shot-2/output.mp4"'
    write shot-1 "one [[fail]]"
    wait_status shot-2 held
    has 'shot-1 has no video (failed), so this job was not sent' "$J/shot-2/error"
    [ "$(reason shot-3)" = "Waits for shot-2 (held)." ]
    submit() { echo submit >"$J/$1/ctl"; }
    fails submit shot-2
    has 'shot-1 has no video' "$J/shot-2/ctl"
    write shot-1 "one again"
    wait_status shot-1 succeeded
    sleep 0.3
    [ "$(cat "$J/shot-2/status")" = held ]
    [ "$(creates)" -eq 2 ]
    submit shot-2
    wait_status shot-3 succeeded
    [ "$(creates)" -eq 4 ]
}

@test "S-LINK-4: what a shot needs is removed; a new prompt orders" {
    mkdir "$J/shot-1"
    write shot-2 two '"video_url": "../shot-1/output.mp4"'
    rmdir "$J/shot-1"
    wait_status shot-2 held
    has '"../shot-1/output.mp4" is gone, because its job was removed' "$J/shot-2/error"
    unmount_fs
    mount_fs
    [ "$(cat "$J/shot-2/status")" = held ]
    write shot-2 "two, alone"
    wait_status shot-2 succeeded
    [ "$(creates)" -eq 1 ]
}

@test "S-LINK-4, S-LINK-9: another pick holds who was not sent, and is shown by who was" {
    write shot-1 one
    wait_status shot-1 succeeded
    wait_until 20 take shot-1
    wait_status shot-1 succeeded
    write sent sent '"video_url": "../shot-1/output.mp4"'
    wait_status sent succeeded
    unmount_fs
    mount_fs --budget 4.05 # used: 4.00
    write shot-2 two '"video_url": "../shot-1/output.mp4"'
    wait_until 10 grep -q budget "$J/shot-2/error"
    echo 'pick 1' >"$J/shot-1/ctl"
    wait_status shot-2 held
    has 'shot-1 has another video now (take 1)' "$J/shot-2/error"
    [ "$(json sent .inputs_changed)" = true ]
    echo 'pick 2' >"$J/shot-1/ctl"
    [ "$(json sent .inputs_changed)" = false ]
    [ "$(cat "$J/shot-2/status")" = held ]
}

# S-LINK-5: Jobs that would wait for each other are refused with EINVAL, and `error` shows the circle.
@test "S-LINK-5: circles" {
    mkdir "$J/shot-1"
    write shot-2 two '"video_url": "../shot-1/output.mp4"'
    write shot-3 three '"video_url": "../shot-2/output.mp4"'
    refused shot-1 one '"video_url": "../shot-3/output.mp4"'
    has 'shot-1 → shot-3 → shot-2 → shot-1' "$J/shot-1/error"
    [ "$(cat "$J/shot-1/status")" = invalid ]
    write shot-1 one
    wait_status shot-3 succeeded
}

# S-LINK-6: The named job must exist when the prompt is closed, unless the job is held (S-HOLD-1): then names may come
#   later, in any order, and `submit` looks again.
@test "S-LINK-6: a film is copied in the wrong order, read, and ordered" {
    refused shot-2 two '"video_url": "../shot-1/output.mp4"'
    has 'there is no directory "../shot-1"' "$J/shot-2/error"
    rm -r "$J/shot-2"
    local i
    for i in 3 2 1; do
        mkdir "$DIR/shot-$i"
        printf '{"prompt": "shot %s", "hold": true%s}' $i "$([ $i -eq 1 ] || echo ", \"video_url\": \"../shot-$((i - 1))/output.mp4\"")" \
            >"$DIR/shot-$i/prompt.json"
        cp -r "$DIR/shot-$i" "$J/"
        [ "$(cat "$J/shot-$i/status")" = held ]
    done
    [[ $(reason shot-3) = 'Held: "../shot-2/output.mp4" was not there when the prompt was written.'* ]]
    echo submit | tee "$J"/shot-*/ctl >"$DIR/out"
    wait_status shot-3 succeeded
    [ "$(creates)" -eq 3 ]
    [ "$(json shot-3 .depends_on)" = '["shot-2"]' ]
    # What is still not there at the order is a mistake, and the job stays held.
    write late late '"hold": true, "video_url": "../none/output.mp4"'
    order() { echo submit >"$J/late/ctl"; }
    fails order
    [ "$(cat "$J/late/status")" = held ]
    has 'there is no directory "../none"' "$J/late/error"
}

# S-LINK-7: A request that turns out to cost more than 5 % above what was accepted is held, with the new price. `submit`
#   orders it at that price.
# S-LINK-8: `retry` and `take` make the request anew from the same files and jobs, with what those have then.
@test "S-LINK-7, S-LINK-8: a higher price; take and retry" {
    mkdir "$J/shot-1"
    write shot-2 two '"video_url": "../shot-1/output.mp4"'
    write shot-1 "one [[seconds=9]]" '"duration": 5'
    wait_status shot-2 succeeded # 15 s were assumed of a draft
    write shot-3 "three [[seconds=1]]"
    write shot-4 four '"video_url": "../shot-3/output.mp4"'
    wait_status shot-3 succeeded
    wait_status shot-4 succeeded
    local first
    first=$(task shot-3)
    wait_until 20 take shot-3
    wait_status shot-3 succeeded
    wait_until 20 take shot-4
    wait_status shot-4 succeeded
    [ "$(json shot-4 .inputs_changed)" = false ]
    inputs 6 | jq -e --arg first "$first" '.[0].task != $first'
}

# A thousand shots that wait for one, and the time that `ls` takes meanwhile, are in the unit tests and the bench; here: that the
# mount answers.
@test "S-LINK-1: a hundred shots wait for one" {
    local i
    mkdir "$J/one"
    for i in {1..100}; do write "s$i" "s $i" '"video_url": "../one/output.mp4"'; done
    [ "$(jq '.needed_by | length' "$J/one/status.json")" -eq 100 ]
    has '100 jobs follow: ' "$J/one/cost"
    write one one
    all() { [ "$(ls "$MNT/by-status/succeeded" | wc -l)" -eq 101 ]; }
    wait_until 60 all
    [ "$(creates)" -eq 101 ]
}
