#!/usr/bin/env bats
# Tools that walk through the whole mount, whatever files there are: right sizes and times, nothing hangs, nothing is
# sent.
load helper

setup() {
    start_world
    mount_fs
    J=$MNT/jobs
    # A job in each state that lasts.
    scenario '{"kind":"create","prompt_contains":"[lost]","response":{"status":500}}' \
        '{"kind":"create","prompt_contains":"[no]","response":{"status":400}}'
    mkdir "$J/draft"
    printf '{"prompt": "x"' >"$J/invalid/prompt.json"
    echo '{"prompt": "[lost]"}' >"$J/unknown/prompt.json"
    echo '{"prompt": "[no]"}' >"$J/rejected/prompt.json"
    echo '[[fail]]' >"$J/failed/prompt.txt"
    echo '{"prompt": "x [[seconds=3600]]"}' >"$J/running/prompt.json"
    echo '{"prompt": "ü"}' >"$J/a b ü/prompt.json"
    make_job cat
    wait_status unknown unknown
    wait_status rejected rejected
    wait_status failed failed
    wait_status running running
    wait_status 'a b ü' succeeded
    echo note >"$J/cat/note"
    wait_ends cat
    wait_ends 'a b ü'
    CREATES=$(creates)
}
teardown() { end_world; }

# Nothing was sent meanwhile, and each job is as it was.
unchanged() {
    [ "$(creates)" -eq "$CREATES" ]
    [ "$(for j in draft invalid unknown rejected failed running cat 'a b ü'; do cat "$J/$j/status"; done | tr '\n' ' ')" = \
        'draft invalid unknown rejected failed running succeeded succeeded ' ]
}

# limited COMMAND...   it ends in time, with 0 and without a word on standard error.
limited() {
    timeout 100 "$@" >"$DIR/out" 2>"$DIR/err" || { echo "exit $?: $*" >&2; cat "$DIR/err" >&2; return 1; }
    [ ! -s "$DIR/err" ] || { cat "$DIR/err" >&2; return 1; }
}

# same_as DIRECTORY   what was copied there has the bytes, and with `times` the times, of the mount, but for what
# changes by itself.
same_as() {
    python '
copy, with_times = sys.argv[1] + "/", len(sys.argv) > 2
changing = {"metrics", "events", "spend.json"}
seen = 0
for directory, _, names in os.walk(copy):
    place = os.path.relpath(directory, copy) + "/"
    for name in names:
        original = M + place + name
        if "jobs/running/" in place or name in changing:
            continue
        a, b = os.lstat(directory + "/" + name), os.lstat(original)
        assert stat.S_IFMT(a.st_mode) == stat.S_IFMT(b.st_mode), original
        seen += 1
        if stat.S_ISLNK(a.st_mode):
            assert os.readlink(directory + "/" + name) == os.readlink(original), original
            continue
        assert a.st_size == b.st_size, (original, a.st_size, b.st_size)
        assert not with_times or int(a.st_mtime) == int(b.st_mtime), (original, a.st_mtime, b.st_mtime)
        if name not in ("wait", "index.html"):
            assert open(directory + "/" + name, "rb").read() == open(original, "rb").read(), original
wanted = {"README.txt", "jobs", "videos", "by-status", "models", "metrics", "spend.json", "defaults.json"}
assert wanted <= set(os.listdir(copy)), os.listdir(copy)
assert seen > 60, seen
assert os.path.getsize(copy + "videos/cat.mp4") == os.path.getsize(M + "videos/cat.mp4")
assert open(copy + "by-status/failed/failed/status").read() == "failed\n"' "$@"
}

# S-WHOLE-1: `cp -r`, `rsync -a`, `tar c`, `zip -r`, `find -newer`, `grep -r` and `du` over the whole mount end by
#   themselves and without an error, and see the right sizes and times.
# S-WHOLE-2: None of them starts a task or changes a job.
@test "S-WHOLE-1 S-WHOLE-2: cp -r" {
    limited cp -r "$MNT" "$DIR/copy"
    same_as "$DIR/copy"
    limited cp -rp "$MNT" "$DIR/again"
    same_as "$DIR/again" times
    unchanged
}

@test "S-WHOLE-1 S-WHOLE-2: rsync -a, which has nothing to do the second time" {
    limited rsync -a "$MNT/" "$DIR/copy/"
    same_as "$DIR/copy" times
    limited rsync -ai "$MNT/" "$DIR/copy/"
    [ -z "$(grep '^>' "$DIR/out" | grep -v 'jobs/running/\| metrics$\| events$\| spend.json$\| index.html$')" ]
    unchanged
}

@test "S-WHOLE-1 S-WHOLE-2: tar" {
    limited tar -C "$MNT" -cf "$DIR/tar" .
    mkdir "$DIR/copy"
    limited tar -C "$DIR/copy" -xf "$DIR/tar"
    same_as "$DIR/copy" times
    unchanged
}

@test "S-WHOLE-1 S-WHOLE-2: zip, with links and through them" {
    (cd "$MNT" && limited zip -qry "$DIR/links.zip" .)
    (cd "$MNT" && limited zip -qr "$DIR/files.zip" .)
    python '
import zipfile
for name in "links.zip", "files.zip":
    archive = zipfile.ZipFile(sys.argv[1] + "/" + name)
    assert archive.testzip() is None
    assert archive.read("jobs/cat/status") == b"succeeded\n"
    assert archive.getinfo("jobs/cat/output.mp4").file_size == os.path.getsize(M + "jobs/cat/output.mp4")
assert archive.read("videos/cat.mp4") == open(M + "jobs/cat/output.mp4", "rb").read()
assert archive.read("by-status/failed/failed/status") == b"failed\n"' "$DIR"
    unchanged
}

@test "S-WHOLE-1 S-WHOLE-2: find, grep, du, wc and file" {
    touch "$DIR/mark"
    sleep 0.02
    limited find "$MNT" -newer "$DIR/mark" -not -path '*/jobs/running*' -not -name metrics
    [ ! -s "$DIR/out" ]
    echo '{"prompt": "new"}' >"$J/new/prompt.json"
    wait_status new succeeded
    CREATES=$((CREATES + 1))
    limited find "$MNT/jobs" "$MNT/videos" "$MNT/by-status/succeeded" -newer "$DIR/mark" -not -path '*/jobs/running*'
    for path in jobs jobs/new jobs/new/status jobs/new/output.mp4 videos videos/new.mp4 by-status/succeeded; do
        grep -qxF "$MNT/$path" "$DIR/out"
    done
    fails grep 'jobs/cat\|jobs/failed\|videos/cat' "$DIR/out"
    limited find -L "$MNT" -type f
    [ "$(grep -c 'by-status/failed/failed/' "$DIR/out")" -gt 5 ]
    limited grep -rl succeeded "$MNT"
    grep -qxF "$J/cat/status" "$DIR/out"
    limited grep -Rl succeeded "$MNT"
    grep -qxF "$MNT/by-status/succeeded/cat/status" "$DIR/out"
    limited du -sb "$MNT"
    limited find "$MNT" -type f -exec wc -c '{}' +
    limited find "$MNT" -type f -exec file '{}' +
    unchanged
}
