#!/bin/bash
# What a mount with 100,000 finished jobs costs, all their videos on disk. Part of `make bench`.
#   scripts/bench-everyday.sh build        exit code 0 when no target is missed
#   JOBS=n chooses how many; the targets are those of 100,000.
# shellcheck source=scripts/bench-common.bash
source "$(dirname "$0")/bench-common.bash"
jobs=${JOBS:-100000}
of=$(printf "%'d" "$jobs")

start_us() {
    local start
    start=$(now_us)
    mount_fs_quick "$@"
    echo $(($(now_us) - start))
    FS_PID=$(daemon_pid)
    unmount_fs
}

mount_fs_quick() {
    "$SEEDANCEFS" --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA" \
        --poll-interval 0.1 --settle 0 "$@" "$MNT" </dev/null
}

median_us() { for _ in 1 2 3; do time_us "$@"; done | median; }
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$FS_PID/stat"; }
cpu_ms() { awk -v t="$1" -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%.0f", 1000 * t / hz }'; }
is_at_rest() {
    local before
    before=$(cpu_ticks)
    sleep 2
    [ "$(cpu_ticks)" -eq "$before" ]
}

# saved_media   a video and a cover on disk for each attempt like that of the job `model`: an empty file of its length, and
# a map that vouches for all of it (src/media/block_map.c). Nobody reads them here.
saved_media() {
    sqlite3 "$DATA/jobs.sqlite" \
        'SELECT attempt_id, video_bytes, cover_bytes FROM job JOIN attempt ON attempt.id = attempt_id' |
        "$PYTHON" -c '
import os, struct, sys
media = sys.argv[1]
def fnv(data, value=0xcbf29ce484222325):
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return value
def model(data, map):
    for name in os.listdir(media):
        if name.endswith(map) and os.path.exists(f"{media}/{name[:-len(map)]}{data}"):
            with open(f"{media}/{name}", "rb") as file:
                base = file.read()
            assert struct.unpack("<Q", base[-8:])[0] == fnv(base[:-8]), "another kind of map"
            return data, map, base
models = [model(".mp4", ".map"), model(".jpg", ".jpg.map")]
for line in sys.stdin:
    id, *sizes = map(int, line.split("|"))
    for (data, ending, base), size in zip(models, sizes):
        if os.path.exists(f"{media}/{id}{ending}"):
            continue
        head = base[:24] + struct.pack("<Q", id) + base[32:48]
        text = head + struct.pack("<Q", fnv(head)) + base[56:-8]
        with open(f"{media}/{id}{data}", "wb") as file:
            file.truncate(size)
        with open(f"{media}/{id}{ending}", "wb") as file:
            file.write(text + struct.pack("<Q", fnv(text)))
' "$DATA/media"
}

bench_start() {
    local none
    none=$(for _ in 1 2 3 4 5; do DATA=$DIR/empty; mkdir -p -m 700 "$DATA"; start_us; done | median)
    row "start" "$(ms "$(for _ in 1 2 3; do start_us; done | median)")" ms most 2000 "start with none" "$(ms "$none")"
}

bench_lists() {
    local local_us fs
    fs=$(stat -f -c %T "$local_dir")
    mkdir "$local_dir/jobs"
    (cd "$local_dir/jobs" && ls "$MNT/jobs" | xargs mkdir)
    local_us=$(median_us ls -l "$local_dir/jobs")
    row "ls -l jobs, the first" "$(ms "$(time_us ls -l "$MNT/jobs")")" ms most 5000 "ls -l of directories, $fs" \
        "$(ms "$local_us")"
    row "ls -l jobs, again" "$(ms "$(median_us ls -l "$MNT/jobs")")" ms most 5000 "ls -l of directories, $fs" \
        "$(ms "$local_us")"
    [ "$(ls "$MNT/jobs" | wc -l)" -eq "$jobs" ]
    row "resident memory after that" "$(rss_kib)" KiB most 65536 "" ""
    row "ls -l by-status/succeeded" "$(ms "$(median_us ls -l "$MNT/by-status/succeeded")")" ms none "" "" ""
    row "ls -l videos" "$(ms "$(median_us ls -l "$MNT/videos")")" ms none "" "" ""
    row "ls videos | wc -l" "$(ms "$(median_us ls "$MNT/videos")")" ms none "" "ls of directories, $fs" \
        "$(ms "$(median_us ls "$local_dir/jobs")")"
    row "resident memory after that" "$(rss_kib)" KiB most 65536 "" ""
}

# What follows a change, where something has been kept of what did not change.
bench_root() {
    local root
    row "ls -l of the root, the first" "$(ms "$(time_us ls -l "$MNT")")" ms none "" "" ""
    row "ls -l of the root, again" "$(ms "$(median_us ls -l "$MNT")")" ms most 50 "" ""
    root=$(for i in 1 2 3 4 5; do
        mkdir "$MNT/jobs/change$i"
        time_us ls -l "$MNT"
        rmdir "$MNT/jobs/change$i"
    done | median)
    # Most of it is index.html, a page of 1,000 jobs.
    row "ls -l of the root after a change" "$(ms "$root")" ms most 200 "" ""
    row "resident memory after that" "$(rss_kib)" KiB most 65536 "" ""
    row "cat spend.json" "$(ms "$(median_us cat "$MNT/spend.json")")" ms none "" "" ""
    row "  its size" "$(($(stat -c %s "$MNT/spend.json") / 1024))" KiB none "" "" ""
    row "cat metrics" "$(ms "$(median_us cat "$MNT/metrics")")" ms none "" "" ""
    row "cat index.html" "$(ms "$(median_us cat "$MNT/index.html")")" ms none "" "" ""
    row "resident memory after that" "$(rss_kib)" KiB most 65536 "" ""
}

change_one() {
    mkdir "$MNT/jobs/one"
    mv "$MNT/jobs/one" "$MNT/jobs/two"
    rmdir "$MNT/jobs/two"
}

# One job from its prompt to its video, in processor time of the program.
bench_change() {
    local ticks i
    row "mkdir, mv and rmdir of one job" "$(ms "$(for _ in 1 2 3 4 5; do time_us change_one; done | median)")" ms \
        most 20 "" ""
    ticks=$(cpu_ticks)
    for i in $(seq 20); do
        mkdir "$MNT/jobs/more$i"
        echo '{"prompt": "one more"}' >"$MNT/jobs/more$i/prompt.json"
        wait_status "more$i" succeeded
    done
    row "a job from prompt to video, processor time" \
        "$(awk -v a="$(cpu_ms $(($(cpu_ticks) - ticks)))" 'BEGIN { print a / 20 }')" ms most 20 "" ""
}

start_world --queue-seconds 0 --generation-seconds 0.01
mount_fs --archive always
mkdir "$MNT/jobs/model"
echo '{"prompt": "a clip"}' >"$MNT/jobs/model/prompt.json"
wait_status model succeeded
wait_until 20 json_is model .output.archived true
unmount_fs
finished_jobs $((jobs - 1))
saved_media
echo "$of finished jobs, their videos on disk:"
table_head
bench_start
mount_fs_quick
FS_PID=$(daemon_pid)
row "resident memory, nobody has looked" "$(rss_kib)" KiB most 65536 "the shell that runs this" \
    "$(awk '/^VmRSS/ { print $2 }' "/proc/$$/status")"
settling=$(now_us)
wait_until 300 is_at_rest
row "until it is at rest" "$((($(now_us) - settling) / 1000000 - 2))" s none "" "" ""
row "  processor time" "$(cpu_ms "$(cpu_ticks)")" ms most 20000 "" ""
row "resident memory then" "$(rss_kib)" KiB most 65536 "" ""
bench_lists
bench_root
bench_change
wait_until 60 is_at_rest # what is left to do after the last change
ticks=$(cpu_ticks)
sleep 10
row "processor time while idle, of 10 s" "$(cpu_ms $(($(cpu_ticks) - ticks)))" ms most 20 "" ""
unmount_fs
table_end
