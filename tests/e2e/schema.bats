#!/usr/bin/env bats
# What programs read: JSON Schemas, codes of errors, videos/NAME.json, AGENTS.md.
load helper

setup() { start_world; J=$MNT/jobs; }
teardown() { end_world; }

# check SCHEMA FILE...   each line or file against a schema of the mount, in which no member may be missing in the schema
check() {
    "$PYTHON" "$ROOT/tests/e2e/check_schema.py" "$MNT/schema/$1.schema.json" "${@:2}"
}

# error_is JOB JQ   of the member error
error_is() { jq -e ".error | $2" "$J/$1/status.json"; }

# S-SCHEMA-1: `schema/` has a JSON Schema (draft 2020-12) of status.json, of spend.json, of a line of `events` and of
#   videos/NAME.json: `status.schema.json`, `spend.schema.json`, `event.schema.json`, `video.schema.json`. What the
#   program writes fits them, in every state of a job.
# S-SCHEMA-2: The member `schema` is 1. It grows when a member changes its meaning or goes, not when one is added.
@test "S-SCHEMA-1, S-SCHEMA-2: whatever the program writes fits the schemas" {
    mount_fs --budget 5
    scenario '{"kind":"create","prompt_contains":"doubt","response":{"status":500}}' \
        '{"kind":"create","prompt_contains":"refuse","response":{"status":400}}' \
        '{"kind":"poll","prompt_contains":"long","response":{"task_status":"running"}}'
    make_job cat
    echo '{"prompt": "x", "hold": true}' >"$J/held/prompt.json"
    echo '{"prompt": "[[fail]]"}' >"$J/failed/prompt.json"
    wait_status failed failed
    echo '{"prompt": "doubt"}' >"$J/doubt/prompt.json"
    wait_status doubt unknown
    echo '{"prompt": "refuse"}' >"$J/refused/prompt.json"
    wait_status refused rejected
    fails bash -c "echo '{\"prompt\": \"A dog\", \"duraton\": 8}' >$J/wrong/prompt.json"
    mkdir "$J/draft"
    echo '{"prompt": "long"}' >"$J/long/prompt.json"
    wait_status long running
    echo '{"prompt": "after", "video_url": "../long/output.mp4", "duration": 4}' >"$J/after/prompt.json"
    echo take >"$J/cat/ctl"
    wait_status cat succeeded
    wait_until 10 test -e "$J/cat/takes/2.mp4"
    echo '{"prompt": "too much"}' >"$J/poor/prompt.json"
    wait_until 10 bash -c "jq -e '.reason_code == \"BUDGET\"' '$J/poor/status.json'"
    [ "$(cat "$J"/*/status | sort -u | wc -l)" -ge 8 ]
    check status "$J"/*/status.json
    check spend "$MNT/spend.json"
    timeout 1 cat "$MNT/events" >"$DIR/events" || true
    check event --lines "$DIR/events"
    check video "$MNT/videos/cat.json"
    jq -es 'all(.schema == 1)' "$J"/*/status.json "$MNT/spend.json" "$DIR/events" "$MNT/videos/cat.json"
    # A schema that demands nothing would pass everything.
    jq '.state = "gone"' "$J/cat/status.json" >"$DIR/wrong.json"
    fails check status "$DIR/wrong.json"
    jq '.more = 1' "$J/cat/status.json" >"$DIR/wrong.json"
    fails check status "$DIR/wrong.json"
    jq 'del(.error)' "$J/cat/status.json" >"$DIR/wrong.json"
    fails check status "$DIR/wrong.json"
}

# S-FILE-16: `error.code` and `reason_code` in status.json are names of the table in "Error numbers", or of an errno;
#   where the service says what is wrong, `error.code` is the service's own word. A mistake in the prompt has its field,
#   line and column there, the first one if there are several.
@test "S-FILE-16: error.code and reason_code are names of the table" {
    mount_fs --budget 5
    fails bash -c "printf '{\"prompt\": \"A dog\",\n  \"duraton\": 8, \"x\": 1}' >$J/wrong/prompt.json"
    error_is wrong '.code == "PROMPT_INVALID" and .field == "duraton" and .line == 2 and .column == 3'
    printf '{"prompt": "half' >"$J/half/prompt.json" || true
    error_is half '.code == "JSON_INCOMPLETE" and .line == 1'
    fails bash -c "echo '{\"prompt\": \"x\", \"duration\": 15, \"video_url\": \"https://example.com/a.mp4\"}' >$J/dear/prompt.json"
    error_is dear '.code == "BUDGET" and .field == null and .line == null'
    echo '{"prompt": "x", "hold": true}' >"$J/held/prompt.json"
    jq -e '.reason_code == "HELD" and .error == null' "$J/held/status.json"
    echo '{"prompt": "x", "hold": true, "image_url": "none.png"}' >"$J/later/prompt.json"
    jq -e '.reason_code == "INPUT_MISSING"' "$J/later/status.json"
    cp -r "$J/held" "$J/copy" 2>/dev/null || true
    jq -e '.reason_code == "HELD_COPY"' "$J/copy/status.json"
    echo '{"prompt": "one"}' >"$J/both/prompt.json"
    fails touch "$J/both/prompt.txt"
    wait_status both succeeded
    scenario '{"kind":"create","response":{"status":500}}'
    echo '{"prompt": "doubt"}' >"$J/doubt/prompt.json"
    wait_status doubt unknown
    error_is doubt '.code == "OUTCOME_UNKNOWN" and .http_status == 500'
    echo '{"prompt": "a", "hold": true}' >"$J/first/prompt.json"
    echo '{"prompt": "b", "first_frame": "https://example.com/a.png"}' >"$J/next/prompt.json"
    echo '{"prompt": "c", "video_url": "../first/output.mp4"}' >"$J/after/prompt.json"
    wait_until 10 bash -c "jq -e '.reason_code == \"WAITS_FOR_JOB\"' '$J/after/status.json'"
    restart_fs --budget 5
    # What was wrong is known after a restart, too.
    error_is wrong '.code == "PROMPT_INVALID" and .field == "duraton" and .line == 2 and .column == 3'
    error_is doubt '.code == "OUTCOME_UNKNOWN"'
    error_is half '.code == "JSON_INCOMPLETE" and .line == 1'
    # Every word that was seen is in the table.
    local word
    for word in $(cat "$J"/*/status.json | jq -r '.reason_code, .error.code | values'); do
        grep -q "^| $word |" "$ROOT/docs/SEMANTICS.md"
    done
}

@test "S-FILE-16: the key, the account, a quota, the network and the clock of the service" {
    mount_fs
    local row
    for row in '"status":401|KEY_REFUSED' '"status":402|ACCOUNT_REFUSED'; do
        scenario "{\"kind\":\"create\",\"n\":1,\"response\":{${row%|*}}}"
        echo '{"prompt": "x"}' >"$J/gate/prompt.json"
        wait_until 10 bash -c "jq -e '.reason_code == \"${row#*|}\" and .error.code == \"${row#*|}\"' '$J/gate/status.json'"
        rm -r "$J/gate"
        restart_fs
    done
    scenario '{"kind":"create","response":{"status":429,"headers":{"Retry-After":"60"}}}'
    echo '{"prompt": "x"}' >"$J/slow/prompt.json"
    wait_until 10 bash -c "jq -e '.reason_code == \"THROTTLED\"' '$J/slow/status.json'"
    unmount_fs
    end_sim
    rm -rf "$DATA"
    mount_fs
    echo '{"prompt": "x"}' >"$J/alone/prompt.json"
    wait_until 10 bash -c "jq -e '.reason_code == \"HTTP_CONNECT\" and .error.code == \"HTTP_CONNECT\"' '$J/alone/status.json'"
}

# S-VIEW-9: `videos/NAME.json` says what the video beside it was made from: its prompt, model, cost, task, take and
#   inputs. It can be read by those who may read the prompt. It comes and goes with the video, and follows `pick` and the
#   name of the job.
@test "S-VIEW-9: videos/NAME.json" {
    mount_fs
    make_job cat "A cat surfing at sunset"
    jq -e '.prompt == "A cat surfing at sunset" and .job == "cat" and .video == "cat.mp4" and .take == 1 and
        .cost == {"currency": "USD", "estimated": "1.00", "actual": "1.00"} and .inputs == [] and .duration_s == 5' \
        "$MNT/videos/cat.json"
    [ "$(jq -r .task_id "$MNT/videos/cat.json")" = "$(status_json cat .task_id)" ]
    [ "$(stat -c %s "$MNT/videos/cat.json")" -eq "$(wc -c <"$MNT/videos/cat.json")" ]
    echo '{"prompt": "Go on", "video_url": "../cat/output.mp4"}' >"$J/next/prompt.json"
    wait_status next succeeded
    jq -e '.inputs == [{"field": "video_url", "path": "../cat/output.mp4", "job": "cat", "take": 1}]' "$MNT/videos/next.json"
    mv "$J/cat" "$J/tom"
    [ ! -e "$MNT/videos/cat.json" ]
    jq -e '.job == "tom"' "$MNT/videos/tom.json"
    jq -e '.inputs[0].job == "tom"' "$MNT/videos/next.json"
    echo take >"$J/tom/ctl"
    wait_until 20 test -e "$J/tom/takes/2.mp4"
    jq -e '.take == 2' "$MNT/videos/tom.json"
    echo 'pick 1' >"$J/tom/ctl"
    jq -e '.take == 1' "$MNT/videos/tom.json"
    fails rm "$MNT/videos/tom.json"
    rm -r "$J/tom"
    [ "$(ls "$MNT/videos")" = $'next.json\nnext.mp4' ]
    jq -e '.inputs == [{"field": "video_url", "path": "../cat/output.mp4", "job": null, "take": null}]' "$MNT/videos/next.json"
    task=$(jq -r .task_id "$MNT/videos/next.json")
    rm -r "$J/next"
    mkdir "$J/back"
    echo "adopt $task" >"$J/back/ctl"
    wait_status back succeeded
    check video "$MNT/videos/back.json"
}

# S-FILE-17: `AGENTS.md` at the root says in at most fifty lines what a program has to know: how to order, wait, read, and
#   what spends money.
@test "S-FILE-17: a program that follows AGENTS.md gets its video" {
    mount_fs
    [ "$(wc -l <"$MNT/AGENTS.md")" -le 50 ]
    cd "$MNT"
    local example
    example=$(sed -n '/^    mkdir jobs/,/^    printf/p' AGENTS.md | sed 's/  *#.*//; s/^ *//; s/NAME/first/g')
    [ "$(wc -l <<<"$example")" -eq 2 ]
    bash -ec "$example"
    [ "$(cat jobs/first/wait)" = succeeded ]
    jq -e .prompt videos/first.json
    [ "$(creates)" -eq 1 ]
    # The files that it names exist.
    for file in $(grep -oE '(jobs/NAME|videos|schema|models)/[A-Za-z_.]+\.(json|mp4)' AGENTS.md | sort -u); do
        file=${file/jobs\/NAME/jobs/first} file=${file/NAME/first} file=${file/MODEL/doubao-seedance-2.0}
        [ -e "$file" ] || { echo "no $file"; false; }
    done
    cd /
}
