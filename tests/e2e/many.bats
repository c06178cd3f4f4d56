#!/usr/bin/env bats
# A tree full of finished jobs. How quick it is, scripts/bench-everyday.sh measures.
load helper
load finished_jobs

setup() { start_world; }
teardown() { end_world; }

make_model() {
    mkdir "$MNT/jobs/model"
    echo '{"prompt": "a clip"}' >"$MNT/jobs/model/prompt.json"
    wait_status model succeeded
}

rss_kib() { awk '/^VmRSS/ { print $2 }' "/proc/$FS_PID/status"; }

# S-SCALE-1: `spend.json` sums up all attempts. Of more than 1,000 it lists the latest 1,000 (`attempts`, `by_job`)
#   and says how many came before them (`earlier_attempts`), with the task ids of removed jobs among those
#   (`earlier_removed`, the latest first; of more than 10,000 the latest). What each of those cost is shown in its job
#   and stored in the database of the data directory.
@test "S-SCALE-1: of 1,100 attempts the latest 1,000 are listed, and all are summed up" {
    local name cost
    mount_fs
    make_model
    unmount_fs
    finished_jobs 1099
    mount_fs --archive never
    jq -e '.earlier_attempts == 100 and (.attempts | length) == 1000 and (.by_job | length) == 1000 and
        .attempts[999].job == "clip-1098" and .settled == .by_model[].settled' "$MNT/spend.json"
    cost=$(awk '{ print $1 * 1100 }' "$MNT/jobs/model/cost")
    jq -e --argjson cost "$cost" '.settled | tonumber == $cost' "$MNT/spend.json"
    # The size is right before and after anything that changes it.
    for name in a-name a-much-longer-name; do
        mv "$MNT/jobs/clip-1098" "$MNT/jobs/$name"
        [ "$(stat -c %s "$MNT/spend.json")" -eq "$(wc -c <"$MNT/spend.json")" ]
        jq -e --arg name "$name" '.attempts[999].job == $name' "$MNT/spend.json"
        mv "$MNT/jobs/$name" "$MNT/jobs/clip-1098"
    done
    # A job that is removed stays there with its task id, however long ago that was.
    [ "$(jq -c .earlier_removed "$MNT/spend.json")" = '[]' ]
    task=$(jq -r .task_id "$MNT/jobs/model/status.json")
    [ -n "$task" ]
    rm -r "$MNT/jobs/model"
    jq -e --arg task "$task" '.earlier_removed == [{job: "model", attempt: 1, task_id: $task}]' "$MNT/spend.json"
    [ "$(stat -c %s "$MNT/spend.json")" -eq "$(wc -c <"$MNT/spend.json")" ]
    mkdir "$MNT/jobs/again"
    echo "adopt $task" >"$MNT/jobs/again/ctl"
    wait_status again succeeded
    jq -e '.earlier_removed == []' "$MNT/spend.json" # it is that of another job now
    [ "$(creates)" -eq 1 ]
    unmount_fs # the search for the key, which ends each test, would read all of them
}

# S-SCALE-2: Listing a directory of very many jobs shows each of them once and nothing else, and leaves no more memory
#   in use than before.
@test "S-SCALE-2: 5,000 jobs are listed, and nothing is kept of that" {
    local directory before names
    mount_fs
    make_model
    unmount_fs
    finished_jobs 4999
    mount_fs --archive never
    ls "$MNT/jobs" >/dev/null
    before=$(rss_kib)
    for directory in jobs by-status/succeeded videos; do
        names=5000
        [ $directory != videos ] || names=10000 # NAME.mp4 and NAME.json
        ls -l "$MNT/$directory" | sed 1d | wc -l | grep -qx $names
        ls "$MNT/$directory" | sort -u | wc -l | grep -qx $names
    done
    # Less than 60 bytes for each job: nothing of each job was kept.
    [ "${BUILD##*/}" = asan ] || [ $(($(rss_kib) - before)) -lt 300 ]
    [ "$(creates)" -eq 1 ]
    unmount_fs
}
