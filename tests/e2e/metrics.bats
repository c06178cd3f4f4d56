#!/usr/bin/env bats
# metrics: counters in the Prometheus text format.
load helper

setup() { start_world; J=$MNT/jobs; }
teardown() { end_world; }

# metrics SERIES=VALUE...   the file is valid, and has these.
metrics() { "$PYTHON" "$BATS_TEST_DIRNAME/check_metrics.py" "$MNT/metrics" "$@"; }

# S-METRIC-1: `metrics` at the root is in the Prometheus text format. Every family has its HELP and TYPE. The same
#   series exist from the start to the end, those of the budget only with `--budget`.
@test "S-METRIC-1: metrics are valid, and their series stay" {
    mount_fs
    series() { grep -v '^#' "$MNT/metrics" | sed 's/ .*//'; }
    metrics
    series >"$DIR/before"
    [ "$(grep -c budget "$DIR/before")" -eq 0 ]
    make_job cat
    mkdir "$J/dog"
    python '
for f, a in (os.mkdir, M + "x"), (os.stat, M + "x"), (os.rmdir, M + "jobs"), (open, M + "jobs"):
    try:
        f(a)
    except OSError:
        pass'
    metrics
    series | diff "$DIR/before" -
    restart_fs --budget 20/day
    metrics budget_limit_usd=20 budget_used_usd=1 budget_left_usd=19
    series | grep -v budget | diff "$DIR/before" -
    [ "$(stat -c %s "$MNT/metrics")" -eq "$(wc -c <"$MNT/metrics")" ]
    tar -C "$MNT" -cf "$DIR/metrics.tar" metrics
    cp "$MNT/metrics" "$DIR/metrics"
    "$PYTHON" "$BATS_TEST_DIRNAME/check_metrics.py" "$DIR/metrics"
}

# S-METRIC-2: They agree with the files and with what the service saw: jobs by status, attempts accepted, paid
#   requests sent, polls, money as in `spend.json`, bytes fetched and served, errors returned. Counters start at zero
#   with the program.
@test "S-METRIC-2: metrics agree with everything else" {
    mount_fs
    scenario '{"kind":"create","prompt_contains":"[lost]","response":{"status":500}}'
    make_job cat
    make_job fox
    echo '{"prompt": "[lost]"}' >"$J/unknown/prompt.json"
    wait_status unknown unknown
    echo '{"prompt": "[[fail]]"}' >"$J/dog/prompt.json"
    wait_status dog failed
    mkdir "$J/draft" "$J/gone"
    rmdir "$J/gone"
    echo retry >"$J/dog/ctl"
    wait_until 20 json_is dog .attempt 2
    wait_status dog failed
    wait_ends cat
    wait_ends fox
    cat "$J/cat/output.mp4" >/dev/null
    python 'gives(errno.ENOTEMPTY, os.rmdir, M + "jobs/cat")'
    local row wanted=()
    for row in draft=1 invalid=0 waiting=0 unknown=1 succeeded=2 failed=1; do
        wanted+=("jobs{status=\"${row%=*}\"}=${row#*=}")
        [ "$(ls "$MNT/by-status/${row%=*}" | wc -l)" -eq "${row#*=}" ]
    done
    for row in settled reserved at_risk; do
        wanted+=("spend_usd{class=\"$row\"}=$(jq -r ".$row" "$MNT/spend.json")")
    done
    metrics "${wanted[@]}" attempts_accepted_total=5 "creates_sent_total=$(creates)" "polls_total=$(requests poll)" \
        'transitions_total{status="failed"}=2' "media_served_bytes_total>=$(stat -c %s "$J/cat/output.mp4")" \
        "media_fetched_bytes_total>=$(cat "$J"/*/output.mp4 | wc -c)" 'errors_total{errno="ENOTEMPTY"}=1'
    fails metrics creates_sent_total=6
    restart_fs
    metrics creates_sent_total=0 'jobs{status="succeeded"}=2' 'spend_usd{class="settled"}=2'
    [ "$(creates)" -eq 5 ]
}

# S-METRIC-3: They say what an administrator has to know: how old the oldest request is that waits, is being sent, or
#   is being worked on; how many jobs the budget keeps waiting; polls without a usable response; videos that cannot be
#   saved, were lost or are damaged; the room on the disk of the data directory; descriptors in use; processes of the
#   program that have ended.
@test "S-METRIC-3: metrics of what an administrator has to know" {
    mount_fs --max-active 1
    scenario '{"kind":"poll","response":{"status":500}}'
    echo '{"prompt": "cat"}' >"$J/cat/prompt.json"
    wait_status cat queued
    echo '{"prompt": "dog"}' >"$J/dog/prompt.json"
    wait_until 10 metrics 'polls_failed_total>=2'
    wait_until 10 metrics 'jobs_oldest_seconds{status="waiting"}>=1'
    metrics 'jobs_oldest_seconds{status="queued"}>=1' 'jobs_oldest_seconds{status="submitting"}=0' \
        'jobs_oldest_seconds{status="running"}=0' helpers_ended=0 videos_save_failing=0 videos_lost_total=0
    # The room is that of df, give or take what others write meanwhile.
    read -r size free < <(df --block-size=1 --output=size,avail "$DATA" | tail -n 1)
    metrics "disk_bytes=$size" "disk_free_bytes>=$((free - 1000000000))"
    [ "$(sed -n 's/^seedancefs_disk_free_bytes *//p' "$MNT/metrics")" -le $((free + 1000000000)) ]
    # As many descriptors as /proc says, or one hole among them fewer.
    used=$(ls "/proc/$FS_PID/fd" | wc -l)
    metrics "descriptors>=$((used - 10))" "descriptors_limit=$(sed -n 's/^Max open files *[0-9]* *\([0-9]*\).*/\1/p' "/proc/$FS_PID/limits")"
    # Somebody kills the process that syncs the cache.
    kill -9 "$(pgrep -P "$FS_PID" -x seedancefs-sync)"
    wait_until 10 metrics helpers_ended=1
    scenario
    wait_status cat succeeded
    wait_status dog succeeded
    restart_fs --budget 2
    metrics budget_waiting_jobs=0
    echo '{"prompt": "fox"}' >"$J/fox/prompt.json"
    wait_until 10 reason_has fox 'budget of 2.00 USD'
    metrics budget_waiting_jobs=1
    restart_fs --budget 3
    wait_status fox succeeded
    metrics budget_waiting_jobs=0
}

@test "S-METRIC-3: a video that cannot be saved" {
    end_world
    start_world --video-bytes 4M
    mount_fs --archive always
    scenario '{"kind":"video","from":3,"response":{"status":503}}'
    make_job cat
    wait_until 20 metrics videos_save_failing=1
    scenario
    wait_until 60 metrics videos_save_failing=0
    wait_until 20 json_is cat .output.archived true
}

@test "check_metrics.py finds what is not in the format" {
    local good='# HELP a_total A.\n# TYPE a_total counter\na_total{b="c"}  1\n'
    checks() { printf "$1" >"$DIR/text"; "$PYTHON" "$BATS_TEST_DIRNAME/check_metrics.py" "$DIR/text"; }
    checks "$good"
    fails checks "$good"'a_total{b="c"} 2\n'
    fails checks "$good"'b 2\n'
    fails checks "$good"'# HELP a_total A.\n'
    fails checks "${good%??}"
    fails checks 'a_total 1\n'
    fails checks '# HELP a A.\n# TYPE a counter\na 1\n'
    fails checks '# HELP a_total A.\n# TYPE a_total counter\na_total{b="c"} x\n'
    fails checks '# HELP a_total A.\n# TYPE a_total counter\na_total{b=c} 1\n'
    fails checks '# HELP a_total A.\n# TYPE a_total counter\na_total -1\n'
}
