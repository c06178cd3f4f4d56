#!/usr/bin/env bats
# Names and directories: what may be made where, what looking does, what a listing shows.
load helper

setup_file() { start_world && mount_fs && share_world; }
teardown_file() { end_world; }
setup() { clean_world; mount_fs; J=$MNT/jobs; }
teardown() { end_own_world; }

# S-NAME-1: `mkdir jobs/NAME` makes an empty job whose `status` is `draft`. It fails with EEXIST when the name is
#   taken.
@test "S-NAME-1: mkdir makes a draft, once" {
    mkdir "$J/cat"
    [ "$(cat "$J/cat/status")" = draft ]
    [ "$(ls "$J/cat" | tr '\n' ' ')" = 'cost ctl log progress status status.json ' ]
    python 'gives(errno.EEXIST, os.mkdir, M + "jobs/cat")'
    fails mkdir "$J/cat"
    mkdir -p "$J/cat"
    [ "$(creates)" -eq 0 ]
}

# S-NAME-2: Creating a file in a job that does not exist makes the job, so that no `mkdir` is needed before `echo … >
#   jobs/NAME/prompt.json`. S-NAME-12 has the exceptions.
@test "S-NAME-2: a file in a job that does not exist makes the job" {
    echo '{"prompt": "x"}' >"$J/a/prompt.json"
    echo note >"$J/b/note.txt"
    touch "$J/c/draft"
    cp "$J/b/note.txt" "$J/d/"note.txt
    cd "$MNT"
    echo note >jobs/e/note.txt
    echo note >./jobs//f///note.txt
    cd jobs
    echo note >g/note.txt
    python '
open(M + "jobs/h/x", "w").close()
os.close(os.open("jobs/i/x", os.O_CREAT | os.O_WRONLY, dir_fd=os.open(M, os.O_RDONLY)))
os.close(os.open(M + "jobs/j/x", os.O_CREAT | os.O_EXCL | os.O_RDWR))'
    cd /
    [ "$(ls "$J" | tr '\n' ' ')" = 'a b c d e f g h i j ' ]
    wait_status a succeeded
    [ "$(creates)" -eq 1 ]
}

@test "S-NAME-2: with mkdir it is the same job" {
    mkdir "$J/cat"
    local inode
    inode=$(stat -c %i "$J/cat")
    echo '{"prompt": "x"}' >"$J/cat/prompt.json"
    wait_status cat succeeded
    [ "$(stat -c %i "$J/cat")" = "$inode" ]
}

@test "S-NAME-2: many make the same job at once" {
    local pids=()
    for i in $(seq 20); do
        echo "$i" >"$J/same/file$i" 3>&- &
        pids+=($!)
    done
    wait "${pids[@]}"
    [ "$(ls "$J")" = same ]
    [ "$(ls "$J/same" | grep -c file)" -eq 20 ]
    [ "$(cat "$J"/same/file* | sort -n | tr -d '\n')" = "$(seq 20 | tr -d '\n')" ]
}

# S-NAME-3: Looking up a name never makes a job: looking up a name that does not exist fails with ENOENT and leaves
#   nothing behind.
@test "S-NAME-3: looking makes nothing" {
    fails test -e "$J/x"
    fails stat "$J/x"
    fails ls "$J/x"
    fails cat "$J/x/prompt.json"
    fails cat "$J/x/status"
    fails test -e "$J/x/prompt.json"
    fails rm "$J/x/prompt.json"
    fails rmdir "$J/x"
    fails mv "$J/x" "$J/y"
    fails chmod 600 "$J/x/prompt.json"
    fails touch -c "$J/x/prompt.json" -r /nonexistent
    truncate -s 0 -c "$J/x/y/z"
    fails cp "$J/x/prompt.json" "$DIR/"
    fails bash -c "cd $J/x"
    python '
gives(errno.ENOENT, os.stat, M + "jobs/x")
gives(errno.ENOENT, os.open, M + "jobs/x/prompt.json", os.O_WRONLY)
gives(errno.ENOENT, os.open, M + "jobs/x/prompt.json", os.O_RDWR | os.O_TRUNC)
gives(errno.ENOENT, os.open, M + "jobs/x/y/prompt.json", os.O_WRONLY | os.O_CREAT)
gives(errno.ENOENT, os.unlink, M + "jobs/x/prompt.json")
gives(errno.ENOENT, os.truncate, M + "jobs/x/prompt.json", 0)
gives(errno.ENOENT, os.listdir, M + "jobs/x")
gives(errno.ENOENT, os.mkdir, M + "jobs/x/y")
gives(errno.ENOENT, os.rename, sys.argv[1], M + "jobs/x/prompt.json")
gives(errno.ENOENT, os.stat, M + "nothing")' "$MNT/README.txt"
    [ -z "$(ls -A "$J")" ]
    mkdir "$J/x"
    [ "$(ls "$J")" = x ]
}

@test "S-NAME-3: what a failed create looked up is gone as well" {
    python '
gives(errno.EPERM, os.open, M + "jobs/x/status", os.O_WRONLY | os.O_CREAT)
gives(errno.EPERM, os.open, M + "jobs/y/ctl", os.O_WRONLY | os.O_CREAT)
gives(errno.ENOENT, os.open, M + "jobs/z/sub/file", os.O_WRONLY | os.O_CREAT)'
    [ -z "$(ls -A "$J")" ]
    mkdir "$J/x"
    [ "$(cat "$J/x/status")" = draft ]
}

# S-NAME-4: NAME has 1 to 255 bytes of valid UTF-8 without control characters, and does not begin with a dot. Other
#   names fail: a longer one with ENAMETOOLONG, invalid UTF-8 with EILSEQ, control characters with EINVAL, a leading
#   dot with EPERM.
@test "S-NAME-4: the rules of NAME, each with its own error number" {
    python '
for name in "a", "A cat, surfing (1)", "Katze-ä-猫-🐈", "a.b", "a" * 128, "a" * 255, "猫" * 85, "-rf", "~", "a\\b", "prompt.json":
    os.mkdir(M + "jobs/" + name)
    assert name in os.listdir(M + "jobs"), name
    assert open(M + "jobs/" + name + "/status").read() == "draft\n"
    os.rmdir(M + "jobs/" + name)
B = M.encode() + b"jobs/"
def refused(name, number):
    gives(number, os.mkdir, B + name)
    gives(number, os.open, B + name + b"/prompt.json", os.O_WRONLY | os.O_CREAT)
    os.mkdir(B + b"source")
    gives(number, os.rename, B + b"source", B + name)
    os.rmdir(B + b"source")
for long in b"a" * 256, "猫".encode() * 85 + b"a", b"a" * 1000:
    refused(long, errno.ENAMETOOLONG)
for bad in b"\xff", b"a\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80":
    refused(bad, errno.EILSEQ)
for control in b"\n", b"a\tb", b"\x1b[31m", b"\x7f", "\x85".encode():
    refused(control, errno.EINVAL)
for hidden in b".hidden", b"..a", b".prompt.json.swp":
    refused(hidden, errno.EPERM)
assert os.listdir(M + "jobs") == []'
}

@test "S-NAME-4: the whole life of jobs with the longest names" {
    own_world
    mount_fs
    local long other file stem
    long=$(printf '猫%.0s' {1..85})
    other=$(printf 'b%.0s' {1..255})
    file=$(printf 'f%.0s' {1..255})
    # Without mkdir, by a name that many others begin with.
    echo '{"prompt": "A cat"}' >"$J/$long/prompt.json"
    wait_status "$long" succeeded
    echo note >"$J/$long/$file"
    mkdir "$J/$other"
    echo '{"prompt": "A bee", "video_urls": ["../'"$long"'/output.mp4"]}' >"$J/$other/prompt.json"
    wait_status "$other" succeeded
    [ "$(readlink "$MNT/by-status/succeeded/$long")" = "../../jobs/$long" ]
    [ "$(find "$MNT/by-status/" -name "$other" | wc -l)" -eq 1 ]
    ls -lR "$MNT" >/dev/null
    # What names them in sentences and lists.
    jq -e --arg name "$long" '.by_job[$name]' "$MNT/spend.json" >/dev/null
    mv "$J/$long" "$J/${long%猫}cat"
    mv "$J/${long%猫}cat" "$J/$long"
    tail -n 1000 "$MNT/events" >"$DIR/events" # to the end, and not on
    grep -qF "renamed from $long" "$DIR/events"
    jq . "$DIR/events" >/dev/null
    # In a sentence there is room for them.
    echo '{"prompt": "x", "hold": true}' >"$J/$file/prompt.json"
    echo '{"prompt": "y", "video_urls": ["../'"$file"'/output.mp4"]}' >"$J/${long#猫}/prompt.json"
    wait_until 10 reason_has "${long#猫}" "Waits for $file (held)."
    # Two of them in one sentence.
    echo '{"prompt": "x", "hold": true, "video_urls": ["../'"${long#猫}"'/output.mp4"]}' >"$J/$file/prompt.json" || true
    wait_until 10 test -s "$J/$file/error"
    has "wait for each other: $file → ${long#猫} → $file" "$J/$file/error"
    rm -r "$J/${long#猫}" "$J/$file"
    restart_fs
    [ "$(cat "$J/$long/$file")" = note ]
    cmp "$J/$long/output.mp4" <(curl -sf "${API%/api/v1}/oracle/video/$(status_json "$long" .task_id)")
    cp -r "$J/$long" "$DIR/copy"
    cmp "$DIR/copy/$file" "$J/$long/$file"
    rm -r "$J/$long" "$J/$other"
    fails ls "$J/$long"
}

# S-NAME-5: Files cannot be created in `jobs/` or at the root, nor directories at the root, in a job or in `assets/`:
#   EPERM.
@test "S-NAME-5: nothing but jobs in jobs, nothing new at the root, no directories in jobs" {
    mkdir "$J/cat"
    python '
for path in "x", "jobs/x", "README.txt.bak":
    gives(errno.EPERM, os.open, M + path, os.O_WRONLY | os.O_CREAT)
for path in "x", "jobs/cat/x":
    gives(errno.EPERM, os.mkdir, M + path)
gives(errno.EEXIST, os.mkdir, M + "jobs")
gives(errno.EPERM, os.unlink, M + "README.txt")
gives(errno.EPERM, os.rmdir, M + "jobs")
gives(errno.EPERM, os.rename, M + "jobs", M + "other")
gives(errno.EPERM, os.rename, M + "README.txt", M + "jobs/cat/README.txt")
open(M + "jobs/cat/f", "w").close()
gives(errno.EPERM, os.rename, M + "jobs/cat/f", M + "f")
gives(errno.EPERM, os.rename, M + "jobs/cat/f", M + "jobs/f")'
    fails touch "$J/x"
    fails cp "$DIR/key" "$J/"
    for name in x f other README.txt.bak; do fails ls "$MNT/$name"; done
    [ "$(ls "$J")" = cat ]
}

# S-NAME-6: A job can have files of your own beside the generated ones. Their names follow the rules of NAME, but may
#   begin with a dot.
@test "S-NAME-6: files of your own" {
    mkdir "$J/cat"
    python '
J = M + "jobs/cat/"
for name in "note", ".prompt.json.swp", ".#lock", "a" * 255, "." + "猫" * 84 + "a", "ü.txt", "prompt.json~":
    with open(J + name, "w") as f: f.write(name)
    assert open(J + name).read() == name
    assert name in os.listdir(J)
B = J.encode()
gives(errno.ENAMETOOLONG, open, J + "a" * 256, "w")
gives(errno.ENAMETOOLONG, open, M + "assets/" + "a" * 256, "w")
open(M + "assets/" + "a" * 255, "w").close()
os.unlink(M + "assets/" + "a" * 255)
gives(errno.EILSEQ, open, B + b"\xff", "w")
gives(errno.EINVAL, open, J + "a\nb", "w")
with open(J + "random", "wb+") as f:
    f.seek(100000); f.write(b"end"); f.seek(0)
    assert f.read() == b"\0" * 100000 + b"end"
    f.truncate(5)
assert os.stat(J + "random").st_size == 5
data = os.urandom(3000000)
open(J + "data", "wb").write(data)
assert open(J + "data", "rb").read() == data'
    restart_fs
    [ "$(cat "$J/cat/prompt.json~")" = prompt.json~ ]
    [ "$(stat -c %s "$J/cat/data")" = 3000000 ]
    [ "$(creates)" -eq 0 ]
}

# S-NAME-7: Links, devices, pipes and sockets cannot be created: EPERM.
@test "S-NAME-7: no links, devices, pipes, sockets" {
    mkdir "$J/cat"
    echo x >"$J/cat/file"
    python '
import socket
J = M + "jobs/cat/"
gives(errno.EPERM, os.symlink, "file", J + "link")
gives(errno.EPERM, os.symlink, "cat", M + "jobs/link")
gives(errno.EPERM, os.symlink, "cat", M + "link")
gives(errno.EPERM, os.link, J + "file", J + "link")
gives(errno.EPERM, os.mkfifo, J + "fifo")
gives(errno.EPERM, socket.socket(socket.AF_UNIX).bind, os.path.relpath(J + "s"))
if os.getuid() == 0:
    gives(errno.EPERM, os.mknod, J + "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
os.mknod(J + "plain", stat.S_IFREG | 0o600)
assert open(J + "plain").read() == ""'
}

# S-NAME-8: A file of your own cannot have the name of a generated file, nor the names `progress`, `wait`, `ctl`,
#   `first_frame.png`, `last_frame.png` and `takes`: EPERM.
@test "S-NAME-8: reserved names" {
    make_job ready
    mkdir "$J/cat"
    python '
J = M + "jobs/cat/"
open(J + "mine", "w").write("mine")
reserved = "status status.json request.json response.json cost error log output.mp4 output.url cover.jpg " \
    "progress wait ctl first_frame.png last_frame.png"
for name in reserved.split():
    gives(errno.EPERM, os.rename, J + "mine", J + name)
    if not os.path.exists(J + name):
        gives(errno.EPERM, open, J + name, "w")
        gives(errno.EPERM, os.mkdir, J + name)
assert open(J + "mine").read() == "mine"
for name in set(os.listdir(M + "jobs/ready")) - {"prompt.json"}:
    gives(errno.EPERM, os.rename, M + "jobs/ready/" + name, M + "jobs/ready/other")'
    [ "$(cat "$J/cat/status")" = draft ]
}

# S-NAME-9: A file of your own has at most `--max-file-size` bytes (64 MiB by default), `prompt.json` at most 64 MiB.
#   A write or truncate beyond that fails with EFBIG and changes nothing.
@test "S-NAME-9: --max-file-size bounds your files, and 64 MiB prompt.json" {
    restart_fs --max-file-size 1M
    mkdir "$J/cat"
    python '
J = M + "jobs/cat/"
f = os.open(J + "f", os.O_CREAT | os.O_RDWR)
assert os.pwrite(f, b"x", (1 << 20) - 1) == 1
gives(errno.EFBIG, os.pwrite, f, b"x", 1 << 20)
gives(errno.EFBIG, os.ftruncate, f, (1 << 20) + 1)
gives(errno.EFBIG, os.truncate, J + "f", 1 << 40)
assert os.fstat(f).st_size == 1 << 20
os.close(f)
f = os.open(J + "prompt.json", os.O_CREAT | os.O_RDWR)
gives(errno.EFBIG, os.pwrite, f, b"{", 64 << 20)
gives(errno.EFBIG, os.ftruncate, f, (64 << 20) + 1)
assert os.fstat(f).st_size == 0
os.close(f)'
    fails dd if=/dev/zero of="$J/cat/large" bs=64k count=17
    [ "$(creates)" -eq 0 ]
}

# S-NAME-10: A listing shows everything that exists during the whole listing exactly once, even while other jobs and
#   files are created and removed.
@test "S-NAME-10: a listing of many jobs is complete while others come and go" {
    python '
stay = ["stay%04d" % i for i in range(400)]
for i, name in enumerate(stay):
    os.mkdir(M + "jobs/" + name)
    os.mkdir(M + "jobs/go%04d" % i)
child = os.fork()
if child == 0:
    for i in range(400):
        os.rmdir(M + "jobs/go%04d" % i)
        os.mkdir(M + "jobs/come%04d" % i)
    os._exit(0)
rounds = 0
while True:
    names = os.listdir(M + "jobs")
    assert len(names) == len(set(names)), "twice"
    assert not set(stay) - set(names), set(stay) - set(names)
    rounds += 1
    if os.waitpid(child, os.WNOHANG)[0]:
        break
assert sorted(os.listdir(M + "jobs")) == sorted(stay + ["come%04d" % i for i in range(400)])
# And with a listing that stands at what is being removed.
libc = ctypes.CDLL(None, use_errno=True)
def listing(path, size):
    f = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    room = ctypes.create_string_buffer(size)
    while (n := libc.getdents64(f, room, size)) > 0:
        at = 0
        while at < n:
            length = int.from_bytes(room.raw[at + 16:at + 18], sys.byteorder)
            name = room.raw[at + 19:at + length].split(b"\0")[0].decode()
            at += length
            if name not in (".", ".."):
                yield name
    assert n == 0
    os.close(f)
for size in 40, 64, 200:
    before = set(os.listdir(M + "jobs"))
    seen = []
    for name in listing(M + "jobs", size):
        seen.append(name)
        if name.startswith("come") and len(seen) % 2:
            os.rmdir(M + "jobs/" + name)
            os.mkdir(M + "jobs/late" + name + str(size))
    assert len(seen) == len(set(seen)), "twice"
    assert before <= set(seen), before - set(seen)'
}

@test "S-NAME-10: the same for files in a job" {
    mkdir "$J/cat"
    python '
J = M + "jobs/cat/"
stay = ["stay%04d" % i for i in range(300)]
for i, name in enumerate(stay):
    open(J + name, "w").close()
    open(J + "go%04d" % i, "w").close()
child = os.fork()
if child == 0:
    for i in range(300):
        os.unlink(J + "go%04d" % i)
        open(J + "come%04d" % i, "w").close()
    os._exit(0)
while True:
    names = os.listdir(J)
    assert len(names) == len(set(names)), "twice"
    assert not set(stay) - set(names)
    assert {"status", "status.json", "cost", "log"} <= set(names)
    if os.waitpid(child, os.WNOHANG)[0]:
        break'
    rm -r "$J/cat"
    [ -z "$(ls "$J")" ]
}

# S-NAME-11: `cp -r` can copy directories out of the mount, and directories with a `prompt.json` into it. Generated
#   files can only be copied out. When `cp` copies `prompt.json` before a file that it names, `cp` fails (S-WRITE-15)
#   but copies the rest, and `submit` then submits the request; a job that is held waits for the file without a failure
#   (S-LINK-6).
@test "S-NAME-11: cp -r out of the mount and into it" {
    make_job cat
    echo note >"$J/cat/note.txt"
    cp -r "$MNT/jobs" "$DIR/out"
    for file in prompt.json request.json status output.mp4 output.url cover.jpg note.txt log cost; do
        cmp "$DIR/out/cat/$file" "$J/cat/$file"
    done
    [ "$(creates)" -eq 1 ]
    mkdir "$DIR/in"
    cp "$ROOT/tests/media/cover.jpg" "$DIR/in/a.jpg"
    echo '{"prompt": "copied in", "image_url": "a.jpg"}' >"$DIR/in/prompt.json"
    # In the order of the directory, which differs between file systems.
    cp -r "$DIR/in" "$J/dog" || echo submit >"$J/dog/ctl"
    wait_status dog succeeded
    [ "$(creates)" -eq 2 ]
    mkdir "$J/last"
    fails cp "$DIR/in/prompt.json" "$DIR/in/a.jpg" "$J/last"
    cmp "$DIR/in/a.jpg" "$J/last/a.jpg"
    has 'then write the prompt again or submit to ctl' "$J/last/error"
    echo submit >"$J/last/ctl"
    wait_status last succeeded
    mkdir "$J/first"
    cp "$DIR/in/a.jpg" "$DIR/in/prompt.json" "$J/first"
    wait_status first succeeded
    [ "$(creates)" -eq 4 ]
    fails cp "$J/cat/status" "$J/dog/"
    fails cp "$J/cat/output.mp4" "$J/new/"
}

# S-NAME-12: `mkdir` is needed first where the program cannot see which file a caller is about to create; without it,
#   creating the file fails with ENOENT. That is so when the caller's processes are hidden from the program, as those
#   of the host are from a container, and when the kernel shows a process only to its parents, as
#   `kernel.yama.ptrace_scope` above 0 makes it do unless the program runs as root.
@test "S-NAME-12: where the caller's processes are hidden, mkdir is needed" {
    [ "$(id -u)" -eq 0 ] || skip "needs root for another pid namespace"
    unmount_fs
    unshare --fork --pid --kill-child true 2>/dev/null || skip "no pid namespaces here"
    unshare --fork --pid --kill-child "$SEEDANCEFS" --api-url "$API" --api-key-file "$DIR/key" \
        --data-dir "$DATA" --poll-interval 0.05 --settle 0 -f "$MNT" 3>&- 2>"$DIR/log" &
    local shell=$!
    wait_until 10 test -e "$MNT/README.txt"
    FS_PID=$(pgrep -P $shell)
    python 'gives(errno.ENOENT, os.open, M + "jobs/cat/prompt.json", os.O_WRONLY | os.O_CREAT)'
    mkdir "$J/cat"
    make_job cat
    [ "$(creates)" -eq 1 ]
    fusermount3 -u "$MNT"
    wait $shell
}

# S-SPEND-2: Listing, searching, reading, copying out, measuring and identifying files never start a task. When a
#   video is finished, the program asks the media host once for the size and for the first and last 256 KiB. It asks
#   for no more of a video that nobody has opened and that is not being saved.
@test "S-SPEND-2: looking at everything never creates a task and asks the media host for nothing" {
    make_job cat 'a cat [[video_bytes=2000000]]'
    mkdir "$J/draft" "$J/files"
    touch "$J/files/note"
    fails bash -c "echo '{\"prompt\": 1}' >$J/bad/prompt.json"
    wait_until 5 test -e "$J/cat/cover.jpg"
    wait_ends cat
    sleep 0.2
    local before after
    before=$(wc -l <"$LOG")
    ls -lR "$MNT" >/dev/null
    ls -la "$J"/* >/dev/null
    find "$MNT" -name prompt.json -size +1k -newer /etc/passwd
    [ "$(find "$J" | wc -l)" -eq $((1 + 13 + 7 + 8 + 9)) ]
    du -a "$MNT" >/dev/null
    stat "$J"/*/* >/dev/null
    (shopt -s globstar && echo "$MNT"/**/* >/dev/null)
    grep -r --include=status succeeded "$J" >/dev/null
    cat "$J"/*/status "$J"/*/*.json "$J"/*/cost "$J"/*/log "$J/bad/error" "$J/cat/output.url" >/dev/null
    tar -cf /dev/null --exclude='*.mp4' --exclude=cover.jpg -C "$MNT" .
    python '
for d, _, names in os.walk(M):
    for n in names:
        os.access(os.path.join(d, n), os.R_OK); os.stat(os.path.join(d, n)); os.statvfs(d)'
    test -w "$J/cat/prompt.json" || true
    after=$(wc -l <"$LOG")
    [ "$before" -eq "$after" ]
    # Identifying files reads the beginning of videos: no create, and no more than that of the media.
    file "$J"/*/* >/dev/null
    [ "$(creates)" -eq 1 ]
    [ "$(jq -r 'select(.kind == "video") | .range' "$LOG" | head -n 2 | xargs)" = \
        'bytes=0-262143 bytes=1703936-1999999' ]
    [ "$(requests cover)" -eq 1 ]
}
