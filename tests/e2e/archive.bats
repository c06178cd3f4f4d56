#!/usr/bin/env bats
# What is kept of videos, for how long, and that nothing that was paid for is lost.
load helper

teardown() { end_world; }

video() { echo "$MNT/jobs/$1/output.mp4"; }

# right JOB   its video as the service has it, in $DIR/right.JOB
right() { curl -sf "${API%/api/v1}/oracle/video/$(status_json "$1" .task_id)" >"$DIR/right.$1"; }

is_archived() { json_is "$1" .output.archived true; }
ctl() { echo "$2" >"$MNT/jobs/$1/ctl"; }

# From now on the service knows no task, and the media host no file.
forget_everything() {
    scenario '{"kind": "poll", "response": {"status": 404}}' '{"kind": "video", "response": {"status": 404}}' \
        '{"kind": "cover", "response": {"status": 404}}'
}

media_requests() { echo $(($(requests video) + $(requests cover))); }

has_more_lines() { [ "$(wc -l <"$LOG")" -gt "$1" ]; }

# The page cache of the mount forgets the video.
drop_pages() { dd if="$(video "$1")" iflag=nocache count=0 status=none; }

# damage JOB   a byte in the middle of the cached file is another one
damage() {
    local file
    file=$(find "$DATA/media" -name '*.mp4')
    [ "$(wc -l <<<"$file")" -eq 1 ]
    "$PYTHON" -c 'import sys
f = open(sys.argv[1], "r+b"); f.seek(1000000); b = f.read(1); f.seek(1000000); f.write(bytes([b[0] ^ 1]))' "$file"
}

# S-ARCHIVE-1: With `--archive=expiry`, the default, a video that is not wholly on disk is fetched when the last
#   quarter of its URL's life begins (two hours at most), unless it is read before that. With `always` it is fetched
#   as soon as it is finished. With `never` nothing is fetched by itself.
@test "S-ARCHIVE-1: each policy saves videos when it says" {
    start_world --video-bytes 2M --url-expires 12
    mount_fs
    make_job a
    fails is_archived a
    for job in b c; do make_job $job; done
    wait_ends a
    right a
    for job in a b c; do wait_until 20 is_archived $job; done
    # Once each, and before the URL had expired: nobody was asked for another one.
    [ "$(jq -s '[.[] | select(.kind == "sent") | .bytes] | add // 0' "$LOG")" -lt $((4 * 2097152 + 200000)) ]
    cmp "$(video a)" "$DIR/right.a"
    [ "$(creates)" -eq 3 ]
}

@test "S-ARCHIVE-1: always saves at once, cover and all" {
    start_world --video-bytes 2M
    mount_fs --archive always
    make_job a
    wait_until 20 is_archived a
    wait_until 10 test -e "$MNT/jobs/a/cover.jpg"
    forget_everything
    restart_fs --archive always
    cat "$MNT/jobs/a/cover.jpg" "$(video a)" >/dev/null
}

@test "S-ARCHIVE-1: never saves nothing by itself" {
    start_world --video-bytes 2M --url-expires 2
    mount_fs --archive never
    make_job a
    wait_ends a
    wait_until 10 test ! -e "$MNT/jobs/a/output.url"
    sleep 1
    fails is_archived a
    [ "$(requests video)" -eq 2 ]
    [ ! -e "$MNT/jobs/a/error" ]
}

# S-ARCHIVE-2: `archived` in status.json says that the whole video is on disk. Such a video is read without any
#   request, even when the service has long forgotten it, and the job stays `succeeded`.
@test "S-ARCHIVE-2: an archived video needs no network, and no service that remembers it" {
    start_world --video-bytes 2M --url-expires 3
    mount_fs
    make_job a
    right a
    ctl a fetch
    wait_until 20 is_archived a
    wait_until 10 test ! -e "$MNT/jobs/a/output.url"
    forget_everything
    restart_fs
    local before
    before=$(wc -l <"$LOG")
    cmp "$(video a)" "$DIR/right.a"
    is_archived a
    [ "$(wc -l <"$LOG")" -eq "$before" ]
    ctl a refresh
    wait_until 10 has_more_lines "$before"
    status_is a succeeded
    [ ! -e "$MNT/jobs/a/error" ]
    end_sim
    drop_pages a
    cmp "$(video a)" "$DIR/right.a"
}

# S-ARCHIVE-3: When a URL expired while the program was not running, the program asks for a new one at its next start
#   and saves the video.
@test "S-ARCHIVE-3: a video whose URL expired while nothing ran is saved at the next start" {
    start_world --video-bytes 2M --url-expires 5
    mount_fs
    make_job a
    wait_ends a
    right a
    kill_fs
    sleep 5.5
    local polls
    polls=$(requests poll)
    mount_fs
    wait_until 20 is_archived a
    [ "$(requests poll)" -eq $((polls + 1)) ]
    cmp "$(video a)" "$DIR/right.a"
    [ "$(creates)" -eq 1 ]
}

# S-ARCHIVE-4: When a video is not wholly on disk and the service no longer has it, the rest is gone: the job stays
#   `succeeded`, `error` says so, what is on disk can be read, and the rest gives EIO.
@test "S-ARCHIVE-4: a video that is gone" {
    start_world --video-bytes 2M --url-expires 2
    mount_fs
    make_job a
    wait_ends a
    unmount_fs
    sleep 2.5
    forget_everything
    mount_fs
    wait_until 30 test -e "$MNT/jobs/a/error"
    has 'The video is gone' "$MNT/jobs/a/error"
    status_is a succeeded
    head -c 200000 "$(video a)" >/dev/null
    tail -c 200000 "$(video a)" >/dev/null
    python 'gives(errno.EIO, os.pread, os.open(M + "jobs/a/output.mp4", os.O_RDONLY), 4096, 1000000)'
    # Nobody asks again by himself, after a restart neither.
    restart_fs
    local polls
    polls=$(requests poll)
    sleep 1
    [ "$(requests poll)" -eq "$polls" ]
    has 'The video is gone' "$MNT/jobs/a/error"
    fails bash -c "echo evict >'$MNT/jobs/a/ctl'"
    # It comes back when the service remembers it.
    scenario
    ctl a refresh
    wait_until 20 is_archived a
    [ ! -e "$MNT/jobs/a/error" ]
}

# S-ARCHIVE-5: When saving a video fails, the program tries again until the URL has expired and there is no new one.
@test "S-ARCHIVE-5: a media host that is down for a while costs no video" {
    start_world --video-bytes 2M --url-expires 8
    mount_fs
    make_job a
    wait_ends a
    scenario '{"kind": "video", "times": 7, "response": {"status": 503}}'
    wait_until 90 is_archived a
    curl -sf "${API%/api/v1}/oracle/counters" | jq -e '.rules[0].fired == 7'
    [ "$(creates)" -eq 1 ]
}

# S-CTL-6: `fetch` saves the whole video on disk now. `evict` deletes from the disk what can be fetched again; it
#   fails with EBUSY while that is being read or fetched, and with EINVAL when it could not be fetched again.
@test "S-CTL-6: fetch and evict" {
    start_world --video-bytes 2M
    mount_fs
    make_job a
    right a
    ctl a fetch
    wait_until 20 is_archived a
    [ "$(status_json a .output.cached_bytes)" -eq 2097152 ]
    ctl a evict
    [ "$(status_json a .output.cached_bytes)" -eq 0 ]
    [ -z "$(ls "$DATA/media")" ]
    fails is_archived a
    drop_pages a
    cmp "$(video a)" "$DIR/right.a"
    wait_until 20 is_archived a
    # While it is being fetched.
    ctl a evict
    scenario '{"kind": "video", "response": {"silence_at": "body", "cut_after_bytes": 1000}}'
    ctl a fetch
    python 'gives(errno.EBUSY, os.write, os.open(M + "jobs/a/ctl", os.O_WRONLY), b"evict\n")'
    has 'read or fetched' "$MNT/jobs/a/ctl"
    mkdir "$MNT/jobs/draft"
    python '
for c in b"fetch", b"evict":
    gives(errno.EINVAL, os.write, os.open(M + "jobs/draft/ctl", os.O_WRONLY), c)'
    scenario
}

@test "S-CTL-6: what could not be fetched again is not dropped" {
    start_world --video-bytes 2M --url-expires 3
    mount_fs
    make_job a
    right a
    wait_until 20 is_archived a
    python 'gives(errno.EINVAL, os.write, os.open(M + "jobs/a/ctl", os.O_WRONLY), b"evict\n")'
    has 'could not be fetched again' "$MNT/jobs/a/ctl"
    forget_everything
    cmp "$(video a)" "$DIR/right.a"
}

# S-CACHE-1: With `--cache-size SIZE`, what was read longest ago is evicted when videos take more than SIZE on disk;
#   but never what is open, and never what could not be fetched again.
@test "S-CACHE-1: the cache stays within its size" {
    start_world --video-bytes 2M
    mount_fs --cache-size 5M
    for job in a b c d; do
        make_job $job
        right $job
        cmp "$(video $job)" "$DIR/right.$job"
        wait_until 20 json_is $job .output.cached_bytes 2097152
    done
    cached_kib_at_most() { [ "$(du -sk "$DATA/media" | cut -f1)" -le "$1" ]; }
    wait_until 20 cached_kib_at_most 5200
    [ "$(status_json a .output.cached_bytes)" -eq 0 ]
    is_archived d
    drop_pages a
    cmp "$(video a)" "$DIR/right.a"
}

@test "S-CACHE-1: what cannot be fetched again stays, whatever the size" {
    start_world --video-bytes 2M --url-expires 3
    mount_fs --cache-size 1M
    for job in a b; do
        make_job $job
        right $job
    done
    for job in a b; do wait_until 20 is_archived $job; done
    wait_until 10 test ! -e "$MNT/jobs/b/output.url"
    make_job c
    forget_everything
    for job in a b; do cmp "$(video $job)" "$DIR/right.$job"; done
}

# S-CACHE-2: Bytes that have rotted on the disk are noticed when they are read for the first time after a start, and
#   fetched again. When that is not possible, the read fails with EIO.
@test "S-CACHE-2: rot on the cache disk is never served" {
    start_world --video-bytes 2M
    mount_fs
    make_job a
    right a
    ctl a fetch
    wait_until 20 is_archived a
    unmount_fs
    damage
    mount_fs
    cmp "$(video a)" "$DIR/right.a"
    wait_until 20 is_archived a
    unmount_fs
    damage
    forget_everything
    mount_fs
    python '
f = os.open(M + "jobs/a/output.mp4", os.O_RDONLY)
gives(errno.EIO, os.pread, f, 4096, 1000000)
right = open(os.environ["MNT"] + "/../right.a", "rb").read()
assert os.pread(f, 65536, 0) == right[:65536] and os.pread(f, 65536, 1500000) == right[1500000:1565536]'
}

# S-READ-6: The head and tail of a video (256 KiB each) are on disk soon after its success: looking at them sends no
#   request. When somebody reads more than 1 MiB in a row of a video of at most 64 MiB, the rest of it is fetched
#   meanwhile.
@test "S-READ-6: looking at a video costs no request, reading on brings the rest" {
    start_world --video-bytes 20M
    mount_fs --archive never
    make_job a
    wait_ends a
    ffprobe -v error -show_format -show_streams "$(video a)" | grep -q codec_name=h264
    local bytes
    bytes=$(status_json a .output.cached_bytes)
    echo "# $bytes bytes for ffprobe, $(requests video) requests" >&3
    [ "$bytes" -le 1572864 ]
    # A reader that reads 2 MiB and then waits with the file open.
    "$PYTHON" -c 'import sys, time
f = open(sys.argv[1], "rb"); f.read(2 << 20); time.sleep(60)' "$(video a)" 3>&- &
    local reader=$!
    wait_until 20 is_archived a
    kill $reader
}

# S-READ-7: Videos can be mapped into memory.
@test "S-READ-7: mmap gives the video's bytes, also while they are being fetched" {
    start_world --video-bytes 5M
    mount_fs
    make_job a
    right a
    python '
right = open(os.environ["MNT"] + "/../right.a", "rb").read()
f = os.open(M + "jobs/a/output.mp4", os.O_RDONLY)
m = mmap.mmap(f, 0, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE)
assert m[3000000:3000100] == right[3000000:3000100]
assert m[:] == right
s = mmap.mmap(f, 0, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED)
assert s[:] == right'
}

@test "64 readers of 64 cold videos: little memory, one thread" {
    start_world --video-bytes 3M --rate 20M
    mount_fs --archive never
    for i in $(seq 64); do
        mkdir "$MNT/jobs/j$i"
        echo "{\"prompt\": \"$i\"}" >"$MNT/jobs/j$i/prompt.json"
    done
    for i in $(seq 64); do wait_status "j$i" succeeded 60; done
    local readers=() rss threads most=0 most_threads=0
    for i in $(seq 64); do
        cat "$(video "j$i")" >/dev/null 3>&- &
        readers+=($!)
    done
    while kill -0 "${readers[@]}" 2>/dev/null; do
        rss=$(awk '/^VmRSS:/ { print $2 }' "/proc/$FS_PID/status")
        threads=$(awk '/^Threads:/ { print $2 }' "/proc/$FS_PID/status")
        [ "$rss" -le "$most" ] || most=$rss
        [ "$threads" -le "$most_threads" ] || most_threads=$threads
        sleep 0.1
    done
    echo "# at most $most KiB resident, $most_threads threads" >&3
    case $SEEDANCEFS in */asan/*) ;; *) [ "$most" -le 49152 ] ;; esac
    [ "$most_threads" -le 4 ]
    for pid in "${readers[@]}"; do wait "$pid"; done
    for i in 1 33 64; do
        right "j$i"
        cmp "$(video "j$i")" "$DIR/right.j$i"
    done
}
