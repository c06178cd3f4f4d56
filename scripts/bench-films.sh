#!/bin/bash
# Films: what it costs that a thousand shots wait for each other, or for one. Part of `make bench`.
#   scripts/bench-films.sh build        exit code 0 when no target is missed
# In memory, because what a disk takes for its syncs is the same for every prompt, and more than all the rest.
BENCH_DIR=${BENCH_DIR:-/dev/shm}
# shellcheck source=scripts/bench-common.bash
source "$(dirname "$0")/bench-common.bash"
shots=1000

# write_us HOW PREFIX   writes that many prompts: alone, each after the one before (chain), or all after `one` (star)
write_us() {
    "$PYTHON" - "$MNT/jobs" "$1" "$2" "$shots" <<'P'
import json, os, sys, time
jobs, how, prefix, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
for i in range(count):
    os.mkdir(f"{jobs}/{prefix}{i}")
start = time.monotonic()
for i in range(count):
    request = {"prompt": f"shot {i}"}
    if how == "chain" and i > 0:
        request["video_url"] = f"../{prefix}{i - 1}/output.mp4"
    if how == "star":
        request["video_url"] = "../one/output.mp4"
    with open(f"{jobs}/{prefix}{i}/prompt.json", "w") as file:
        json.dump(request, file)
print(int((time.monotonic() - start) * 1e6))
P
}
# The processor time of the program, in nanoseconds.
cpu_ns() { awk '{ print $1 }' "/proc/$FS_PID/schedstat"; }
# transition_us JOB   of one transition, by the mean of a hundred
transition_us() {
    local i before
    before=$(cpu_ns)
    for i in $(seq 50); do
        echo hold >"$MNT/jobs/$1/ctl"
        echo submit >"$MNT/jobs/$1/ctl"
    done
    echo $((($(cpu_ns) - before) / 100 / 1000))
}

start_world
mount_fs --budget 0.01 # nothing is sent: what is measured is not the simulator
unmount_fs
mount_fs --log-level warn --max-active 1 --budget 1000000
FS_PID=$(daemon_pid)
# One job is under way for ever, so that all others wait.
mkdir "$MNT/jobs/first" "$MNT/jobs/one" "$MNT/jobs/alone"
end_sim
start_sim --generation-seconds 100000
unmount_fs
mount_fs --log-level warn --max-active 1 --budget 1000000
FS_PID=$(daemon_pid)
echo '{"prompt": "first"}' >"$MNT/jobs/first/prompt.json"
wait_until 20 grep -q running "$MNT/jobs/first/status"
table_head
plain=$(write_us alone plain)
row "accepting 1,000 prompts, each after the last" "$(ms "$(write_us chain chain)")" ms most 3000 "1,000 prompts without a link" "$(ms "$plain")"
echo '{"prompt": "one"}' >"$MNT/jobs/one/prompt.json"
echo '{"prompt": "alone"}' >"$MNT/jobs/alone/prompt.json"
star=$(write_us star star)
row "accepting 1,000 prompts that wait for one" "$(ms "$star")" ms most 3000 "1,000 prompts without a link" "$(ms "$plain")"
alone=$(transition_us alone)
row "processor time of its transition" "$(ms "$(transition_us one)")" ms most 20 "of a job that nobody needs" "$(ms "$alone")"
row "ls -l jobs/*/cost, 3,000 jobs in a graph" "$(ms "$(time_us ls -l "$MNT"/jobs/*/cost)")" ms none 0 \
    "ls -l jobs/*/status" "$(ms "$(time_us ls -l "$MNT"/jobs/*/status)")"
start=$(now_us)
unmount_fs
mount_fs --log-level warn --max-active 1 --budget 1000000
row "restart with all of them" "$(ms $(($(now_us) - start)))" ms none 0 "" 0
table_end
