#!/usr/bin/env bats
# Reading videos: many at once, slow, hung, cut, expired; and that nothing else suffers from it.
load helper

teardown() {
    reap_readers
    end_world
    # In every test: nothing but GET goes to the media host, and the key never does.
    ! jq -e 'select(.kind == "video" or .kind == "cover") |
             select(.authorization or .method != "GET")' "$LOG"
}

READERS=()

# begin COMMAND...   a reader in the background
begin() {
    "$@" >/dev/null 2>>"$DIR/readers.err" 3>&- &
    READERS+=($!)
}

reap_readers() {
    local pid
    for pid in "${READERS[@]}"; do
        kill -9 "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    READERS=()
}

# All readers that began have ended well.
readers_succeed() {
    local pid code=0
    for pid in "${READERS[@]}"; do
        wait "$pid" || code=1
    done
    READERS=()
    [ "$code" -eq 0 ] || cat "$DIR/readers.err" >&2
    return "$code"
}

# It waits in a system call whose first argument is an open file of the mount.
is_stalled() {
    local call fd
    read -r call fd _ 2>/dev/null <"/proc/$1/syscall" || return 1
    [ "$call" != running ] && [[ $fd == 0x? ]] &&
        [[ $(readlink "/proc/$1/fd/$((fd))") == "$MNT"/* ]]
}

readers_stall() {
    local pid
    for pid in "${READERS[@]}"; do
        wait_until 10 is_stalled "$pid"
    done
}

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# took MOST_MS COMMAND...   it ends in time, and the figure is shown.
took() {
    local most=$1 start ms
    shift
    start=$(now_ms)
    "$@" >/dev/null || return 1
    ms=$(($(now_ms) - start))
    echo "#   $ms ms: $*" | sed "s|$DIR/||g" >&3
    [ "$ms" -le "$most" ]
}

# right JOB FILE   the video as the service has it
right() {
    curl -sf "${API%/api/v1}/oracle/video/$(status_json "$1" .task_id)" >"$2"
}

# Bytes that the media host has sent of videos; those of responses that it has ended.
video_bytes_sent() {
    jq -s '([.[] | select(.kind == "video") | {key: (.seq | tostring), value: 1}] | from_entries) as $v |
           [.[] | select(.kind == "sent" and $v[.seq | tostring]) | .bytes] | add // 0' "$LOG"
}

video() { echo "$MNT/jobs/$1/output.mp4"; }

# Sixteen readers, each in another way, of the jobs given in turn; RIGHT.JOB is what they must get.
begin_sixteen() {
    local job i
    for i in 0 1 2 3; do
        job=$1
        begin cmp "$(video "$job")" "$DIR/right.$job"
        begin bash -c 'cp "$1" "$3" && cmp "$3" "$2"' - "$(video "$job")" "$DIR/right.$job" "$DIR/copy.$i"
        shift; set -- "$@" "$job"; job=$1
        begin bash -c 'dd if="$1" bs="$3" status=none | cmp - "$2"' \
            - "$(video "$job")" "$DIR/right.$job" "$((1000 + i * 33331))"
        shift; set -- "$@" "$job"; job=$1
        case $i in
        0 | 1) begin "$PYTHON" "$ROOT/tests/e2e/reader.py" random "$(video "$job")" "$DIR/right.$job" $i ;;
        2) begin "$PYTHON" "$ROOT/tests/e2e/reader.py" mmap "$(video "$job")" "$DIR/right.$job" ;;
        3) begin bash -c 'cmp <(tail -c 70001 "$1") <(tail -c 70001 "$2")' \
            - "$(video "$job")" "$DIR/right.$job" ;;
        esac
    done
}

@test "16 readers of one cold video at once: each gets its bytes, and they share the transfers" {
    start_world --video-bytes 20M --rate 40M
    mount_fs
    make_job a
    right a "$DIR/right.a"
    begin_sixteen a
    readers_succeed
    echo "# $(requests video) requests, $(video_bytes_sent) bytes for 16 readers of 20971520" >&3
    [ "$(video_bytes_sent)" -le $((20971520 * 3 / 2)) ]
}

@test "16 readers of several cold videos at once: each gets its bytes" {
    start_world --video-bytes 20M --rate 80M
    mount_fs
    for job in a b c; do
        make_job $job
        right $job "$DIR/right.$job"
    done
    begin_sixteen a b c
    readers_succeed
}

@test "a hung media server: everything else answers at once, a cached video reads at full speed" {
    start_world --video-bytes 20M
    mount_fs
    make_job cached
    right cached "$DIR/right.cached"
    cmp "$(video cached)" "$DIR/right.cached"
    for job in hung1 hung2; do make_job $job; done
    scenario '{"kind": "video", "task": 2, "response": {"silence_at": "headers"}}' \
        '{"kind": "video", "task": 3, "response": {"silence_at": "headers"}}'
    for i in $(seq 12); do
        begin cat "$(video hung1)"
        begin dd if="$(video hung2)" bs=$((i * 10007)) skip=$i status=none
    done
    readers_stall
    took 5000 cat "$MNT/jobs/hung1/status"
    took 5000 cat "$MNT/jobs/hung1/status.json" "$MNT/jobs/hung2/log" "$MNT/README.txt"
    took 5000 ls -l "$MNT/jobs" "$MNT/jobs/hung1"
    took 5000 stat "$(video hung1)"
    took 5000 df "$MNT"
    took 5000 mkdir "$MNT/jobs/new"
    took 2000 make_job another
    dd if="$(video cached)" iflag=nocache count=0 status=none
    took 5000 cmp "$(video cached)" "$DIR/right.cached"
    readers_stall
}

# A reader that stands in a stalled read, of the page cache or directly, is gone at once when killed.
kill_reader() {
    local signal=$1
    shift
    begin env --default-signal=INT "$@"
    readers_stall
    kill -"$signal" "${READERS[0]}"
    took 5000 wait_until 1 process_is_gone "${READERS[0]}"
    READERS=()
}

@test "a stalled reader is freed at once by SIGKILL and by Ctrl-C, and costs the others nothing" {
    start_world --video-bytes 20M
    mount_fs
    make_job hung
    scenario '{"kind": "video", "response": {"silence_at": "headers"}}'
    for signal in KILL INT; do
        kill_reader $signal cat "$(video hung)"
        kill_reader $signal cp "$(video hung)" "$DIR/copy"
        kill_reader $signal "$PYTHON" -c 'import mmap, os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.preadv(os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT), [mmap.mmap(-1, 1 << 20)], 0)' \
            "$(video hung)"
    done
    took 5000 cat "$MNT/jobs/hung/status"
}

@test "SIGTERM while readers are stalled: the daemon ends, the mount goes, nobody hangs" {
    start_world --video-bytes 20M
    mount_fs
    make_job hung
    scenario '{"kind": "video", "response": {"silence_at": "body", "cut_after_bytes": 100000}}'
    for i in $(seq 10); do
        begin cat "$(video hung)"
        begin dd if="$(video hung)" bs=1M skip=$i iflag=direct status=none
    done
    readers_stall
    # Others cannot unmount it from under the readers by accident, as with any filesystem.
    fails fusermount3 -u "$MNT"
    kill -TERM "$FS_PID"
    took 5000 wait_until 5 process_is_gone "$FS_PID"
    for pid in "${READERS[@]}"; do
        wait_until 5 process_is_gone "$pid"
    done
    READERS=()
    ! grep " $MNT fuse" /proc/self/mounts
    mount_fs
    status_is hung succeeded
}

@test "a mount that is taken away by force while readers are stalled: the daemon ends" {
    [ "$(id -u)" = 0 ] || skip "umount -f is for root"
    start_world --video-bytes 20M
    mount_fs
    make_job hung
    scenario '{"kind": "video", "response": {"silence_at": "headers"}}'
    for i in $(seq 5); do begin cat "$(video hung)"; done
    readers_stall
    umount -f "$MNT" 2>/dev/null || umount -l "$MNT"
    took 5000 wait_until 5 process_is_gone "$FS_PID"
    for pid in "${READERS[@]}"; do
        wait_until 5 process_is_gone "$pid"
    done
    READERS=()
}

# gets JOB   how many requests its video has cost
gets() { jq -s --arg task "$(status_json "$1" .task_id)" '[.[] | select(.kind == "video" and .task == $task)] | length' "$LOG"; }

# S-READ-8: Reading a video of at most 64 MiB in order, from its first byte to its last, takes at most three requests
#   to the media host: head, tail and the rest. Reading it in any order and any number of times takes at most 24, as
#   long as the host responds and the disk has room: what is still missing then comes in as few requests as possible,
#   and is kept. A restart while something is fetched may add one. `metrics` counts them.
@test "S-READ-8: a clip costs three requests from end to end, and 24 at the most" {
    start_world --rate 200M
    mount_fs --archive never
    local size job way
    for size in 1000000 20000000 67108864; do
        job=size$size
        echo "{\"prompt\": \"[[video_bytes=$size]]\"}" >"$MNT/jobs/$job/prompt.json"
        wait_status "$job" succeeded
        wait_ends "$job"
        right "$job" "$DIR/right"
        cmp "$(video "$job")" "$DIR/right"
        echo "#   $size bytes, from end to end: $(gets "$job") requests" >&3
        [ "$(gets "$job")" -le 3 ]
    done
    for way in sparse reopened restarted; do
        echo '{"prompt": "[[video_bytes=20000000]]"}' >"$MNT/jobs/$way/prompt.json"
        wait_status "$way" succeeded
        wait_ends "$way"
        right "$way" "$DIR/right"
        read_at_random "$way"
        echo "#   120 random reads of 20000000 bytes, $way: $(gets "$way") requests" >&3
        cmp "$(video "$way")" "$DIR/right"
        [ "$(gets "$way")" -le 24 ]
    done
    # The counter began anew with the last start, and has everything since then.
    before=$(requests video)
    make_job last
    wait_ends last
    [ "$(awk '$1 == "seedancefs_media_requests_total" { print $2 }' "$MNT/metrics")" -ge $(($(requests video) - before)) ]
}

# read_at_random WAY   120 reads
read_at_random() {
    local seed
    if [ "$1" != restarted ]; then
        "$PYTHON" "$ROOT/tests/e2e/reader.py" "$1" "$(video "$1")" "$DIR/right" 1 120
        return
    fi
    for seed in 1 2 3 4 5 6; do
        "$PYTHON" "$ROOT/tests/e2e/reader.py" reopened "$(video "$1")" "$DIR/right" "$seed" 20
        restart_fs --archive never
    done
}

@test "ls -l, find, du and stat fetch nothing: the ends of a video came with its success" {
    start_world --video-bytes 20M
    mount_fs
    for job in a b c; do
        make_job $job
        wait_ends $job
    done
    ls -lR "$MNT" >/dev/null
    find "$MNT" -size +1M -newer "$DIR/key" | grep -c output.mp4 | grep -qx 3
    du -a --apparent-size "$MNT" >/dev/null
    stat "$MNT"/jobs/*/* >/dev/null
    [ "$(stat -c %s "$(video a)")" = 20971520 ]
    # Two requests for each video, and no more creates than prompts.
    jq -r 'select(.kind == "video") | .range' "$LOG" | sort | uniq -c | tr -s ' ' |
        diff - <(echo ' 3 bytes=0-262143'; echo ' 3 bytes=20709376-20971519')
    [ "$(video_bytes_sent)" -eq $((3 * 524288)) ]
    # Who looks at the ends waits for nobody.
    head -c 100 "$(video a)" >/dev/null
    tail -c 100000 "$(video b)" >/dev/null
    [ "$(requests video)" -eq 6 ]
    # `file` does read, but only the first megabyte.
    file "$MNT"/jobs/*/* >/dev/null
    [ "$(creates)" -eq 3 ]
    [ "$(creates)" -eq 3 ]
}

@test "a URL that has expired is asked for once more, however many read, and the bytes are right" {
    start_world --video-bytes 2M --url-expires 1
    mount_fs --archive never
    make_job old
    right old "$DIR/right.old"
    wait_until 5 test ! -e "$MNT/jobs/old/output.url"
    polls=$(requests poll)
    for i in $(seq 8); do begin cmp "$(video old)" "$DIR/right.old"; done
    readers_succeed
    [ "$(requests poll)" -eq $((polls + 1)) ]
    [ "$(creates)" -eq 1 ]
}

@test "a transfer that is cut again and again is resumed where it broke off" {
    start_world --video-bytes 20M
    mount_fs
    make_job cut
    wait_ends cut
    right cut "$DIR/right.cut"
    scenario '{"kind": "video", "times": 3, "response": {"cut_after_bytes": 3000001}}'
    cp "$(video cut)" "$DIR/copy"
    cmp "$DIR/copy" "$DIR/right.cut"
    curl -sf "${API%/api/v1}/oracle/counters" | jq -e '.rules[0].fired == 3'
    echo "# $(requests video) requests, $(video_bytes_sent) bytes of 20971520" >&3
    [ "$(video_bytes_sent)" -le $((20971520 * 5 / 4)) ]
}

@test "a signal handler in a slow reader sees no EINTR and no short read" {
    start_world --video-bytes 2M --rate 500K
    mount_fs
    for way in alarm direct; do
        make_job $way
        right $way "$DIR/right.$way"
        begin "$PYTHON" "$ROOT/tests/e2e/reader.py" $way "$(video $way)" "$DIR/right.$way"
    done
    readers_succeed
}

# Whatever the media host says, the bytes that come are right; those that would not be are EIO.
@test "responses for another range than asked, or for more or less of it: never a wrong byte" {
    start_world --video-bytes 2M
    mount_fs
    for response in '"shift": 4096' '"shift": -1' '"short": 5000' '"ignore_range": true' \
        '"no_content_range": true' '"content_range": "bytes */2097152"' '"etag": "\"other\""' \
        '"content_range": "bytes 1-262144/2097152"' '"size_delta": 1000' '"content_length": 100'; do
        job=odd$((++n))
        make_job "$job"
        wait_ends "$job"
        right $job "$DIR/right.odd"
        scenario "{\"kind\": \"video\", \"n\": 1, \"response\": {$response}}"
        result=right
        : >"$DIR/copy"
        dd if="$(video $job)" of="$DIR/copy" bs=64k iflag=direct skip=4 count=3 status=none 2>/dev/null ||
            result=error
        cmp -n "$(stat -c %s "$DIR/copy")" -i 0:262144 "$DIR/copy" "$DIR/right.odd"
        echo "#   $response: $result" >&3
        scenario
        # A new version is a new file; every other fault is over when the server behaves again.
        [[ $response == *etag* || $response == *size_delta* ]] || cmp "$(video $job)" "$DIR/right.odd"
    done
}
