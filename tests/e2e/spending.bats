#!/usr/bin/env bats
# Commands, budget, places and the ledger: every sentence of the spending chapter that they carry.
load helper

setup() { start_world; }
teardown() { end_world; }

scenario() {
    curl -sf -X PUT --data "$1" "${API%/api/v1}/oracle/scenario" >/dev/null
}

# S-CTL-1: `retry` sends the same request again as a new, paid attempt, from `unknown`,
# `rejected`, `failed`, `cancelled`, `expired` and `lost`.
@test "S-CTL-1: an unknown job is sent again only by retry" {
    scenario '{"rules":[{"kind":"create","n":1,"response":{"status":500,"accept":true}}]}'
    mount_fs
    echo '{"prompt": "doubt"}' >"$MNT/jobs/doubt/prompt.json"
    wait_status doubt unknown
    grep -q "echo retry > ctl" "$MNT/jobs/doubt/error"
    echo retry >"$MNT/jobs/doubt/ctl"
    wait_status doubt succeeded
    [ "$(creates)" -eq 2 ]
    [ "$(jq .attempt "$MNT/jobs/doubt/status.json")" -eq 2 ]
    [ ! -e "$MNT/jobs/doubt/error" ]
}

# S-CTL-2: `adopt TASK_ID` follows a task that exists at the service, without a new request.
@test "S-CTL-2: the task of an unknown job is adopted" {
    scenario '{"rules":[{"kind":"create","n":1,"response":{"status":500,"accept":true}}]}'
    mount_fs
    echo '{"prompt": "doubt"}' >"$MNT/jobs/doubt/prompt.json"
    wait_status doubt unknown
    task=$(curl -s "${API%/api/v1}/oracle/tasks" | jq -r '.tasks[0].id')
    echo "adopt $task" >"$MNT/jobs/doubt/ctl"
    wait_status doubt succeeded
    [ "$(creates)" -eq 1 ]
    cmp "$MNT/jobs/doubt/output.mp4" <(curl -sf "${API%/api/v1}/oracle/video/$task")
}

# S-CTL-3: `adopt` works for the task of a removed job, and in a job without a request. In a job with a video the task
#   becomes another take (S-TAKE-8). One task cannot belong to two jobs.
@test "S-CTL-3: a removed job's task is in the ledger and can be adopted" {
    mount_fs
    echo '{"prompt": "gone"}' >"$MNT/jobs/gone/prompt.json"
    wait_status gone succeeded
    rm -r "$MNT/jobs/gone"
    task=$(jq -r '.attempts[] | select(.job == "gone") | .task_id' "$MNT/spend.json")
    [ "$(jq -r '.attempts[0].removed' "$MNT/spend.json")" = true ]
    mkdir "$MNT/jobs/back"
    echo "adopt $task" >"$MNT/jobs/back/ctl"
    wait_status back succeeded
    cmp "$MNT/jobs/back/output.mp4" <(curl -sf "${API%/api/v1}/oracle/video/$task")
    [ "$(creates)" -eq 1 ]
    [ "$(jq -r .settled "$MNT/spend.json")" = 1.00 ]
    [ "$(jq -c '[.attempts[] | [.job, .removed]]' "$MNT/spend.json")" = '[["back",false]]' ]
    # A second job cannot have the same task.
    mkdir "$MNT/jobs/other"
    run bash -c "echo 'adopt $task' > '$MNT/jobs/other/ctl'"
    [ "$status" -ne 0 ]
    [[ $output == *"busy"* ]]
    grep -q "belongs to the job back" "$MNT/jobs/other/ctl"
}

# S-CTL-4: An unknown command, or one that is not possible in this state, fails at the write with EINVAL or EBUSY, and
#   reading `ctl` says why until the next command. The job, its `error` and its status.json do not change.
@test "S-CTL-4: wrong commands fail at the write with a sentence" {
    mount_fs
    J=$MNT/jobs/job
    mkdir "$J"
    for command in nonsense retry refresh adopt "adopt a b" "adopt a/b" "submit now"; do
        run bash -c "echo '$command' > '$J/ctl'"
        [ "$status" -ne 0 ]
        [[ $output == *"Invalid argument"* ]]
        grep -q "^The last command failed: ${command%% *}: .*\.$" "$J/ctl"
        [ "$(wc -c <"$J/ctl")" -eq "$(stat -c %s "$J/ctl")" ]
        [ ! -e "$J/error" ]
        [ "$(cat "$J/status")" = draft ]
    done
    echo '{"prompt": "fine"}' >"$J/prompt.json"
    wait_status job succeeded
    wait_ends job
    jq 'del(.output)' "$J/status.json" >"$DIR/before"
    run bash -c "echo retry > '$J/ctl'"
    [ "$status" -ne 0 ]
    has 'The last command failed: retry: the job has succeeded' "$J/ctl"
    [ ! -e "$J/error" ]
    jq 'del(.output)' "$J/status.json" | cmp - "$DIR/before"
    fails grep -q 'last command' "$MNT/index.html"
    echo refresh >"$J/ctl"
    fails grep -q 'last command' "$J/ctl"
    has 'submit    ' "$J/ctl"
    # What is wrong with a job is not covered by it, and stays.
    echo '{"prompt": "x [[fail]]"}' >"$MNT/jobs/bad/prompt.json"
    wait_status bad failed
    cp "$MNT/jobs/bad/error" "$DIR/error"
    fails bash -c "echo fetch > '$MNT/jobs/bad/ctl'"
    cmp "$MNT/jobs/bad/error" "$DIR/error"
    [ "$(creates)" -eq 2 ]
}

# S-BUDGET-1: With `--budget`, a request that alone costs more than the budget is refused: the write fails with
#   EDQUOT.
@test "S-BUDGET-1: a job above the budget is refused at the write" {
    mount_fs --budget 2
    run bash -c "echo '{\"prompt\": \"long\", \"duration\": 15}' > '$MNT/jobs/long/prompt.json'"
    [ "$status" -ne 0 ]
    [[ $output == *"quota exceeded"* ]]
    grep -q "3.00 USD" "$MNT/jobs/long/error"
    [ "$(creates)" -eq 0 ]
}

# S-BUDGET-2: What is settled, reserved and at risk never exceeds the budget (in all, or in a day or month of UTC),
#   however many requests are written at once and however often the program is restarted. A request that does not fit
#   waits, says so, and continues when the period ends or the budget is raised.
@test "S-BUDGET-2: 64 writers at once do not exceed the budget, nor after a restart" {
    mount_fs --budget 10.50
    for i in $(seq 64); do
        echo "{\"prompt\": \"p$i\"}" >"$MNT/jobs/j$i/prompt.json" 3>&- &
        pids[i]=$!
    done
    wait "${pids[@]}"
    wait_until 20 bash -c "[ \$(cat '$MNT'/jobs/*/status | grep -c succeeded) -eq 10 ]"
    [ "$(creates)" -eq 10 ]
    [ "$(jq -r .settled "$MNT/spend.json")" = 10.00 ]
    [ "$(jq -r .budget.left "$MNT/spend.json")" = 0.50 ]
    waiting=$(grep -l waiting "$MNT"/jobs/*/status | head -1)
    grep -q "budget of 10.50 USD" "$(dirname "$waiting")/error"
    kill_fs
    mount_fs --budget 12
    wait_until 20 bash -c "[ \$(cat '$MNT'/jobs/*/status | grep -c succeeded) -eq 12 ]"
    [ "$(creates)" -eq 12 ]
    unmount_fs
    mount_fs --budget 3/day
    sleep 0.5
    [ "$(creates)" -eq 12 ]
    waiting=$(grep -l waiting "$MNT"/jobs/*/status | head -1)
    grep -q "per day.*seedancefs tries again at" "$(dirname "$waiting")/status.json"
}

# S-BUDGET-3: A refused request costs nothing, and the amount that was reserved for it is free again.
@test "S-BUDGET-3: a rejected request gives its money back" {
    scenario '{"rules":[{"kind":"create","n":1,"response":{"status":400}}]}'
    mount_fs --budget 1
    echo '{"prompt": "refused"}' >"$MNT/jobs/refused/prompt.json"
    wait_status refused rejected
    echo '{"prompt": "fine"}' >"$MNT/jobs/fine/prompt.json"
    wait_status fine succeeded
    [ "$(jq -r .settled "$MNT/spend.json")" = 1.00 ]
}

# S-GATE-1: With `--max-active N`, at most N jobs are under way. The others wait, say so, and continue by themselves.
@test "S-GATE-1: --max-active holds, and every job has its turn" {
    mount_fs --max-active 2
    for i in 1 2 3 4 5 6; do
        echo "{\"prompt\": \"p$i [[seconds=0.5]]\"}" >"$MNT/jobs/j$i/prompt.json"
    done
    wait_until 5 grep -q "max-active 2" "$MNT/jobs/j6/status.json"
    for i in 1 2 3 4 5 6; do wait_status "j$i" succeeded; done
    [ "$(creates)" -eq 6 ]
    # Six files are not read at one instant; the program's log has the transitions in their order.
    awk '/ to=submitting$/ { if (++n > most) most = n } / to=succeeded$/ { n-- }
        END { exit !(most == 2 && n == 0) }' "$DATA/seedancefs.log"
}

# S-SPEND-20: `spend.json` at the root counts every attempt once: as `settled` (by the length of the video),
#   `reserved` (while it is under way) or `at_risk` (where it may have been charged: `unknown`, or a task that
#   failed). It has the sums in all and by day, month, model and job, and lists removed jobs with their task ids. A
#   task that was adopted counts once.
@test "S-SPEND-20: the ledger adds up" {
    mount_fs
    echo '{"prompt": "a"}' >"$MNT/jobs/a/prompt.json"
    echo '{"prompt": "b [[fail]]", "model": "doubao-seedance-2.0-fast"}' >"$MNT/jobs/b/prompt.json"
    wait_status a succeeded
    wait_status b failed
    check() {
        [ "$(jq -r .settled "$MNT/spend.json")" = 1.00 ]
        [ "$(jq -r .at_risk "$MNT/spend.json")" = 0.80 ]
        [ "$(jq -r .reserved "$MNT/spend.json")" = 0.00 ]
        [ "$(jq -r '.by_model["doubao-seedance-2.0-fast"].at_risk' "$MNT/spend.json")" = 0.80 ]
        [ "$(jq -r '.by_job.a.settled, .by_job.b.at_risk' "$MNT/spend.json" | tr '\n' ' ')" = '1.00 0.80 ' ]
        [ "$(jq -r ".by_day[\"$(date -u +%F)\"].settled" "$MNT/spend.json")" = 1.00 ]
        [ "$(jq -r '.attempts | length' "$MNT/spend.json")" = 2 ]
    }
    check
    kill_fs
    mount_fs
    check
    [ "$(stat -c %s "$MNT/spend.json")" -eq "$(wc -c <"$MNT/spend.json")" ]
}

# S-CTL-5: `submit` submits the prompt.json of a draft now, orders what is held, and makes a waiting job try again
#   now. `refresh` asks the service now.
@test "S-CTL-5: submit sends a draft once, and a waiting job after the account was settled" {
    mount_fs
    mkdir "$MNT/jobs/draft"
    echo '{"prompt": "kept"}' >"$MNT/jobs/draft/note"
    run bash -c "echo submit > '$MNT/jobs/draft/ctl'"
    [ "$status" -ne 0 ]
    grep -q "there is no prompt.json" "$MNT/jobs/draft/ctl"
    scenario '{"rules":[{"kind":"create","n":1,"response":{"status":402}}]}'
    echo '{"prompt": "paid"}' >"$MNT/jobs/paid/prompt.json"
    wait_until 5 grep -q "refuses this account" "$MNT/jobs/paid/error"
    echo submit >"$MNT/jobs/paid/ctl"
    wait_status paid succeeded
    [ "$(jq -s '[.[] | select(.created != null)] | length' "$LOG")" -eq 1 ]
}
