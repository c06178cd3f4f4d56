#!/usr/bin/env bats
# Extended attributes of jobs and videos.
load helper

setup() { start_world; mount_fs; J=$MNT/jobs; }
teardown() { end_world; }

# S-XATTR-1: A job's directory and its videos have the extended attribute `user.seedance.status`. From an accepted
#   prompt on they also have `user.seedance.model`, `user.seedance.prompt` (cut to 1,024 bytes) and `user.seedance.cost`
#   (USD, actual or estimated), and once there is a task `user.seedance.task_id`. Those of a video are those of its own
#   attempt. Nothing else has any.
@test "S-XATTR-1: attributes say what status.json says" {
    mkdir "$J/draft"
    make_job cat 'A \"cat\"\nü'
    echo 'just text' >"$J/text/prompt.txt"
    wait_status text succeeded
    scenario '{"kind":"create","response":{"status":500}}'
    "$PYTHON" -c 'import json; print(json.dumps({"prompt": "ü" * 40000}))' >"$J/long/prompt.json"
    wait_status long unknown
    python '
def attributes(path):
    return {name: os.getxattr(path, name).decode() for name in os.listxattr(path)}
P = "user.seedance."
assert attributes(M + "jobs/draft") == {P + "status": "draft"}
for name, prompt in ("cat", "A \"cat\"\nü"), ("text", "just text"):
    known = json.load(open(M + "jobs/" + name + "/status.json"))
    want = {P + "status": "succeeded", P + "task_id": known["task_id"], P + "model": known["model"],
            P + "cost": known["cost"]["actual"], P + "prompt": prompt}
    for path in "jobs/" + name, "jobs/" + name + "/output.mp4", "videos/" + name + ".mp4":
        assert attributes(M + path) == want, attributes(M + path)
long = attributes(M + "jobs/long")
assert set(long) == {P + "status", P + "model", P + "cost", P + "prompt"}
text = long[P + "prompt"]
assert len(text.encode()) <= 1024 and text == "ü" * (len(text) - 1) + "…" and len(text) > 500
open(M + "jobs/cat/mine", "w").close()
for path in "", "jobs", "videos", "by-status", "README.txt", "metrics", "jobs/cat/status", "jobs/cat/mine", \
        "jobs/cat/prompt.json", "jobs/cat/cover.jpg":
    assert os.path.exists(M + path) or path.endswith("cover.jpg")
    if os.path.exists(M + path):
        assert os.listxattr(M + path) == [], path
assert os.listxattr(M + "videos/cat.mp4") == os.listxattr(M + "jobs/cat/output.mp4") != []'
    [ "$(creates)" -eq 3 ]
}

# S-XATTR-2: They belong to the program: when the owner sets or removes a `user.seedance.*` of any file, that succeeds
#   and changes nothing, so that what was copied out of a mount can be moved into one. Any other name fails with
#   EOPNOTSUPP. Reading an attribute in `user.` that does not exist fails with ENODATA, one of another namespace with
#   EOPNOTSUPP.
@test "S-XATTR-2: attributes stay what they are, with the right sizes and errors" {
    make_job cat
    mkdir "$J/draft"
    python '
J = M + "jobs/cat"
for path in J, J + "/output.mp4", M + "jobs/draft":
    before = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    os.setxattr(path, "user.seedance.status", b"failed")
    os.setxattr(path, "user.seedance.other", b"x")
    os.removexattr(path, "user.seedance.status")
    assert before == {name: os.getxattr(path, name) for name in os.listxattr(path)}
for path in J + "/status", J + "/prompt.json", M + "README.txt":
    os.setxattr(path, "user.seedance.status", b"failed")
    assert os.listxattr(path) == []
for path in J, J + "/output.mp4", J + "/status", J + "/prompt.json", M, M + "README.txt":
    gives(errno.EOPNOTSUPP, os.setxattr, path, "user.mine", b"x")
    gives(errno.EOPNOTSUPP, os.removexattr, path, "user.mine")
    gives(errno.ENODATA, os.getxattr, path, "user.mine")
    gives(errno.ENODATA, os.getxattr, path, "user.seedance.other")
    if os.getuid() == 0:
        gives(errno.EOPNOTSUPP, os.getxattr, path, "trusted.mine")
    gives(errno.EOPNOTSUPP, os.getxattr, path, "system.posix_acl_access")
gives(errno.ENODATA, os.getxattr, M + "jobs/draft", "user.seedance.task_id")
gives(errno.ENODATA, os.getxattr, J + "/status", "user.seedance.status")
assert os.getxattr(J, "user.seedance.status") == b"succeeded"
libc = ctypes.CDLL(None, use_errno=True)
def getxattr(size):
    room = ctypes.create_string_buffer(size) if size else None
    n = libc.getxattr(J.encode(), b"user.seedance.status", room, ctypes.c_size_t(size))
    return (n, room and room.raw[:max(n, 0)]) if n >= 0 else errno.errorcode[ctypes.get_errno()]
assert getxattr(0) == (9, None)
assert getxattr(9) == (9, b"succeeded")
assert getxattr(100) == (9, b"succeeded")
for size in 1, 8:
    assert getxattr(size) == "ERANGE", getxattr(size)
n = libc.listxattr(J.encode(), None, ctypes.c_size_t(0))
room = ctypes.create_string_buffer(n)
assert libc.listxattr(J.encode(), room, ctypes.c_size_t(n)) == n and room.raw.count(b"\0") == 5
assert libc.listxattr(J.encode(), room, ctypes.c_size_t(n - 1)) == -1 and ctypes.get_errno() == errno.ERANGE'
    [ "$(cat "$J/cat/status")" = succeeded ]
    [ "$(creates)" -eq 1 ]
}

# S-XATTR-3: Programs that copy or show attributes and access control lists do so without an error.
@test "S-XATTR-3: ls, cp -a, mv, tar --xattrs and rsync -X have nothing to say" {
    make_job cat
    make_job dog 'the second'
    wait_ends cat
    wait_ends dog
    echo note >"$J/cat/note"
    quiet() {
        "$@" >"$DIR/out" 2>"$DIR/err" || { cat "$DIR/err" >&2; return 1; }
        [ ! -s "$DIR/err" ] || { cat "$DIR/err" >&2; return 1; }
    }
    quiet ls -l "$J" "$J/cat" "$MNT"
    fails grep '^[-dl].\{9\}[+@]' "$DIR/out"
    mkdir "$DIR/a" "$DIR/b" "$DIR/c"
    quiet cp -a "$J/cat/output.mp4" "$J/cat/status" "$DIR/a/"
    quiet cp -p "$DIR/a/status" "$J/cat/copied"
    quiet tar -C "$MNT" --xattrs -cf "$DIR/tar" jobs/cat videos
    quiet tar -C "$DIR/b" --xattrs --xattrs-include='user.*' -xf "$DIR/tar"
    quiet rsync -aAX "$J/dog" "$DIR/c/"
    # Where the disk takes attributes they have come along.
    if python 'os.setxattr(sys.argv[1], "user.a", b"b")' "$DIR/a" 2>/dev/null; then
        python '
for path in "a/output.mp4", "b/jobs/cat", "b/jobs/cat/output.mp4", "c/dog", "c/dog/output.mp4":
    assert os.getxattr(sys.argv[1] + "/" + path, "user.seedance.status") == b"succeeded", path' "$DIR"
        python 'os.setxattr(sys.argv[1], "user.a", b"b")' "$DIR/a/status"
        quiet cp -a "$DIR/a/status" "$J/cat/again"
        # And back: into a file of one's own, a job that there is, a job that is new.
        mkdir "$J/bird" "$DIR/plain"
        quiet rsync -aX "$DIR/a/output.mp4" "$J/bird/synced"
        quiet cp --preserve=all "$DIR/a/output.mp4" "$J/bird/copied"
        tar -C "$DIR/a" --xattrs -cf "$DIR/tar" output.mp4
        quiet tar -C "$DIR/plain" --xattrs --xattrs-include='user.*' -xf "$DIR/tar"
        quiet mv "$DIR/plain/output.mp4" "$J/bird/moved"
        quiet mv "$DIR/a/output.mp4" "$J/bird/mine"
        cmp "$J/bird/mine" "$J/cat/output.mp4"
        echo note >"$DIR/plain/note"
        for time in 1 2; do quiet rsync -aX "$DIR/plain/" "$J/plain/"; done
        mv "$DIR/c/dog" "$DIR/dog"
        rm "$DIR"/dog/{status*,cost,log,progress,ctl,request.json,response.json,output.*,cover.jpg,prompt.json}
        echo note >"$DIR/dog/note"
        [ "$(getfattr --absolute-names --only-values -n user.seedance.status "$DIR/dog")" = succeeded ]
        quiet rsync -aX "$DIR/dog/" "$J/synced/"
        quiet mv "$DIR/dog" "$J/moved"
        [ "$(cat "$J/moved/status" "$J/synced/status" "$J/plain/status" | sort -u)" = draft ]
        quiet mv "$J/moved/note" "$DIR/note"
    fi
    [ "$(creates)" -eq 2 ]
}

@test "S-XATTR-3: a long listing does not ask for the attributes of each job" {
    for i in $(seq 60); do mkdir "$J/job$i"; done
    asked() { sed -n 's/^seedancefs_requests_total{op="getxattr"} *//p' "$MNT/metrics"; }
    local before
    before=$(asked)
    ls -l "$J" >/dev/null
    [ "$(($(asked) - before))" -lt 10 ]
}
