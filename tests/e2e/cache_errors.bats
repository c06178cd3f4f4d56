#!/usr/bin/env bats
# An error is not a fact: what cannot be opened or read just now is still there, and what is proven wrong is kept
# when it is the last copy.
load helper

teardown() { end_world; }

video() { echo "$MNT/jobs/$1/output.mp4"; }
right() { curl -sf "${API%/api/v1}/oracle/video/$(status_json "$1" .task_id)" >"$DIR/right.$1"; }
is_archived() { json_is "$1" .output.archived true; }
cache_sums() { (cd "$DATA/media" && sha256sum -- * | sort -k 2); }
media_requests() { echo $(($(requests video) + $(requests cover))); }

# archived_jobs NAME...   whose videos are on disk, while service and media host have forgotten them. Not mounted.
archived_jobs() {
    local job
    start_world --video-bytes 400K --url-expires 3
    mount_fs
    for job; do
        mkdir "$MNT/jobs/$job"
        printf '{"prompt": "%s"}\n' "$job" >"$MNT/jobs/$job/prompt.json"
    done
    for job; do wait_status "$job" succeeded; done
    for job; do
        wait_until 20 is_archived "$job"
        right "$job"
    done
    for job; do wait_until 10 test ! -e "$MNT/jobs/$job/output.url"; done
    unmount_fs
    scenario '{"kind": "poll", "response": {"status": 404}}' '{"kind": "video", "response": {"status": 404}}' \
        '{"kind": "cover", "response": {"status": 404}}'
    cache_sums >"$DIR/sums"
}

# all_right NAME...   read from their beginning to their end, from the disk alone
all_right() {
    local job
    for job; do
        cmp "$(video "$job")" "$DIR/right.$job"
        is_archived "$job"
        [ ! -e "$MNT/jobs/$job/error" ]
    done
    [ "$(media_requests)" -eq "$ASKED" ]
}

# S-CACHE-3: When a cached file cannot be opened or read at the moment, because descriptors or memory are short or
#   because of the disk or its permissions, the read fails with EMFILE, ENFILE or EIO. Nothing on disk is deleted or
#   overwritten, `cached_bytes` and `archived` are null meanwhile, and the next open tries again.
@test "S-CACHE-3: without descriptors no archived video is lost" {
    local jobs=(a b c d e f g h i j k l m n o p)
    archived_jobs "${jobs[@]}"
    ASKED=$(media_requests)
    RUN_FS="prlimit --nofile=32:32" mount_fs
    python '
jobs = sys.argv[2:]
right = {j: open(sys.argv[1] + "/right." + j, "rb").read() for j in jobs}
failed = 0
for turn in range(4):
    files = []
    for j in jobs[turn:] + jobs[:turn]:
        try:
            f = os.open(M + "jobs/" + j + "/output.mp4", os.O_RDONLY)
            files.append(f)
            assert os.pread(f, 4096, 4096 * turn) == right[j][4096 * turn:4096 * turn + 4096]
        except OSError as e:
            assert e.errno in (errno.EMFILE, errno.ENFILE), e
            failed += 1
        try:
            open(M + "jobs/" + j + "/status.json").read()
        except OSError as e:
            assert e.errno in (errno.EMFILE, errno.ENFILE), e
    for f in files:
        os.close(f)
print(failed, "of", 4 * len(jobs), "could not be read")
assert 0 < failed < 4 * len(jobs)
' "$DIR" "${jobs[@]}"
    cache_sums | diff "$DIR/sums" -
    all_right "${jobs[@]}"
    restart_fs
    all_right "${jobs[@]}"
    cache_sums | diff "$DIR/sums" -
}

# As a user whose cache files became root's: the program may not open them.
@test "S-CACHE-3: a cache file that may not be opened is not lost" {
    archived_jobs a b
    ASKED=$(media_requests)
    local file
    file=$(cd "$DATA/media" && for f in *.mp4; do ! cmp -s "$f" "$DIR/right.a" || echo "$f"; done)
    for name in "$file" "${file%.mp4}.map"; do
        chmod 0 "$DATA/media/$name"
        if [ "$(id -u)" = 0 ]; then
            RUN_FS="setpriv --bounding-set=-dac_override,-dac_read_search" mount_fs
        else
            mount_fs
        fi
        json_is a .output.archived null
        json_is a .output.cached_bytes null
        python 'gives(errno.EIO, os.pread, os.open(M + "jobs/a/output.mp4", os.O_RDONLY), 4096, 0)'
        all_right b
        chmod 600 "$DATA/media/$name"
        all_right a
        unmount_fs
        cache_sums | diff "$DIR/sums" -
    done
}

# file_of JOB   the cache file of its video
file_of() {
    local file
    for file in "$DATA"/media/*.mp4; do
        ! cmp -s "$file" "$DIR/right.$1" || echo "$file"
    done
}

# flip FILE OFFSET   the byte there is another one from now on
flip() {
    "$PYTHON" -c 'import sys
f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2])); b = f.read(1); f.seek(-1, 1); f.write(bytes([b[0] ^ 1]))' "$@"
}

# S-CACHE-4: Of a video that may not be available again, nothing on disk is deleted. A block that does not match its
#   checksum gives EIO, and all others can be read. When the checksums themselves cannot be used, the file is kept
#   under another name beside its place, `ID.mp4.damaged`. `error` says where it is and what to do, until the whole
#   video is on disk again. The file is removed with its job.
@test "S-CACHE-4: the last copy of a video is kept, whatever is wrong with it" {
    archived_jobs a b c d
    local a b c
    a=$(file_of a) b=$(file_of b) c=$(file_of c)
    flip "${a%.mp4}.map" 30
    flip "$b" 100000
    rm "${c%.mp4}.map"
    cp "$b" "$DIR/damaged.b"
    mount_fs
    for job in a c; do
        python 'gives(errno.EIO, os.pread, os.open(M + "jobs/" + sys.argv[1] + "/output.mp4", os.O_RDONLY), 4096, 0)' $job
        wait_until 10 test -e "$MNT/jobs/$job/error"
        has 'The video on disk cannot be used' "$MNT/jobs/$job/error"
        has "the file is now $(file_of d | xargs dirname)" "$MNT/jobs/$job/error"
        cmp "$(sed -n 's/.*the file is now \([^,]*\),.*/\1/p' "$MNT/jobs/$job/error")" "$DIR/right.$job"
    done
    [ -e "$a.damaged" ] && [ -e "${a%.mp4}.map.damaged" ] && [ -e "$c.damaged" ]
    python '
right = open(sys.argv[1] + "/right.b", "rb").read()
f = os.open(M + "jobs/b/output.mp4", os.O_RDONLY)
gives(errno.EIO, os.pread, f, 4096, 100000)
for first, end in (0, 65536), (131072, len(right)):
    assert os.pread(f, end - first, first) == right[first:end], first' "$DIR"
    wait_until 10 test -e "$MNT/jobs/b/error"
    has '65536 bytes do not match their checksums, the first of them at 65536' "$MNT/jobs/b/error"
    has "the file is $b" "$MNT/jobs/b/error"
    cmp "$b" "$DIR/damaged.b"
    dd if="$(video b)" of="$DIR/copy.b" bs=64K conv=noerror,sync 2>/dev/null || true
    [ "$(cmp -l "$DIR/copy.b" "$DIR/right.b" 2>/dev/null | wc -l)" -le 65536 ]
    for job in a b c; do json_is $job .output.archived false; done
    # It is still said when the service has been asked in vain, and after a restart.
    for job in a b c; do wait_until 30 grep -q 'the video is gone' "$MNT/jobs/$job/log"; done
    restart_fs
    has 'The video on disk cannot be used' "$MNT/jobs/a/error" "$MNT/jobs/c/error"
    has 'The video on disk is damaged' "$MNT/jobs/b/error"
    # The service has it again after all.
    scenario
    for job in a b c; do
        echo refresh >"$MNT/jobs/$job/ctl"
        cat "$(video $job)" >/dev/null || true
        wait_until 20 is_archived $job
        wait_until 20 test ! -e "$MNT/jobs/$job/error"
        cmp "$(video $job)" "$DIR/right.$job"
    done
    [ -e "$a.damaged" ]
    rm -r "$MNT/jobs/a"
    [ ! -e "$a.damaged" ] && [ ! -e "${a%.mp4}.map.damaged" ]
}

# S-ARCHIVE-6: `archived` becomes true as soon as the last byte has arrived and is safely on disk, without further
#   delay.
@test "S-ARCHIVE-6: a video is archived as soon as it is there" {
    start_world --video-bytes 3M
    mount_fs --archive never
    for job in a b c; do
        make_job $job
        wait_ends $job
        python '
job = M + "jobs/" + sys.argv[1] + "/"
# What the disk takes is not a matter of the program: a sync of as much beside it.
start = time.monotonic()
with open(sys.argv[2], "wb") as f:
    f.write(bytes(3 << 20)); f.flush(); os.fsync(f.fileno())
disk = time.monotonic() - start
open(job + "output.mp4", "rb").read()
whole = time.monotonic()
while not json.load(open(job + "status.json"))["output"]["archived"]:
    assert time.monotonic() - whole < 20
    time.sleep(0.005)
took = time.monotonic() - whole
print(f"# archived {took:.3f} s after the last byte; the disk takes {disk:.3f} s", file=sys.stderr)
assert took < 0.5 + 5 * disk' $job "$DIR/sync" 2>&3
    done
}
