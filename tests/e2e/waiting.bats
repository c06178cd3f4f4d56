#!/usr/bin/env bats
# `wait`: for who has nothing else to do than to wait for a job.
load helper

setup() { start_world; J=$MNT/jobs; }
teardown() { end_world; }

# S-AWAIT-1: Reading `jobs/NAME/wait` waits until the program has done everything for the job that it can do by
#   itself: until `status` is invalid, held, unknown, rejected, succeeded, failed, cancelled, expired or lost. It then
#   returns that word and a newline. It waits for a draft, too.
@test "S-AWAIT-1: wait gives the word with which the job ends, in each state" {
    scenario '{"kind":"create","prompt_contains":"unknown","response":{"status":500}}' \
        '{"kind":"create","prompt_contains":"rejected","response":{"status":400}}' \
        '{"kind":"poll","prompt_contains":"lost","response":{"status":404}}'
    mount_fs
    echo '{"prompt": "cat [[seconds=1]]"}' >"$J/cat/prompt.json"
    [ "$(timeout 20 cat "$J/cat/wait")" = succeeded ]
    [ "$(cat "$J/cat/status")" = succeeded ]
    [ "$(stat -c %s "$J/cat/wait")" -eq 10 ]
    [ "$(timeout 20 cat "$J/cat/wait")" = succeeded ]
    for word in unknown rejected; do
        echo "{\"prompt\": \"$word\"}" >"$J/$word/prompt.json"
        [ "$(timeout 20 cat "$J/$word/wait")" = $word ]
    done
    echo '{"prompt": "[[fail]]"}' >"$J/failed/prompt.json"
    [ "$(timeout 20 cat "$J/failed/wait")" = failed ]
    printf '{' >"$J/invalid/prompt.json"
    [ "$(timeout 20 cat "$J/invalid/wait")" = invalid ]
    # The one that was waited for before is no response for a new attempt.
    (sleep 0.3; echo '{"prompt": "again"}' >"$J/invalid/prompt.json") 3>&- &
    printf '' >"$J/invalid/prompt.json"
    [ "$(timeout 20 cat "$J/invalid/wait")" = succeeded ]
    wait $!
    # All of them at once, as a shell does it.
    [ "$(timeout 20 cat "$J"/*/wait | sort | uniq -c | tr -s ' \n' ' ')" = ' 1 failed 1 rejected 2 succeeded 1 unknown ' ]
}

# S-AWAIT-2: A signal that the reader handles, or that ends it, ends the wait at once (EINTR). With O_NONBLOCK a read
#   that would wait fails with EAGAIN. `stat` never waits.
@test "S-AWAIT-2: signals end the wait, O_NONBLOCK does not begin it" {
    mount_fs
    mkdir "$J/cat"
    [ "$(stat -c %s "$J/cat/wait")" -eq 0 ]
    python '
import fcntl, threading
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open(M + "jobs/cat/wait", os.O_RDONLY | os.O_NONBLOCK)
gives(errno.EAGAIN, os.read, fd, 100)
fcntl.fcntl(fd, fcntl.F_SETFL, 0)
got = []
signal.signal(signal.SIGALRM, lambda *a: got.append(time.monotonic()))
signal.siginterrupt(signal.SIGALRM, False) # not even SA_RESTART makes it wait on
signal.setitimer(signal.ITIMER_REAL, 0.3)
buffer = ctypes.create_string_buffer(100)
# Directly: Python itself reads again after EINTR.
n = libc.read(fd, buffer, 100)
number = ctypes.get_errno()
assert (n, number) == (-1, errno.EINTR), (n, number)
# A second wait of the same descriptor, and another signal.
signal.setitimer(signal.ITIMER_REAL, 0.2)
assert libc.read(fd, buffer, 100) == -1 and ctypes.get_errno() == errno.EINTR
for number in signal.SIGINT, signal.SIGTERM, signal.SIGKILL:
    child = subprocess.Popen(["cat", M + "jobs/cat/wait"])
    time.sleep(0.2)
    assert child.poll() is None
    child.send_signal(number)
    assert child.wait(5) == -number
# Stopped and continued, it goes on.
child = subprocess.Popen(["cat", M + "jobs/cat/wait"], stdout=subprocess.PIPE)
time.sleep(0.2)
for i in range(3):
    child.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    assert open("/proc/%d/stat" % child.pid).read().split()[2] == "T"
    child.send_signal(signal.SIGCONT)
time.sleep(0.2)
assert child.poll() is None
open(M + "jobs/cat/prompt.json", "w").write("{\"prompt\": \"x\"}")
assert child.communicate(timeout=20)[0] == b"succeeded\n" and child.returncode == 0
'
}

# S-AWAIT-3: The wait ends with ENOENT when the job is removed, and with ENOTCONN when the program ends. Renaming the
#   job changes nothing.
@test "S-AWAIT-3: the end of a job, of its name and of the program" {
    mount_fs
    mkdir "$J/cat" "$J/dog" "$J/bird" "$J/fish"
    for job in cat dog fish; do
        cat "$J/$job/wait" >"$DIR/$job.out" 2>"$DIR/$job.err" 3>&- &
        eval "$job=$!"
    done
    cat "$MNT/events" >"$DIR/events.out" 2>"$DIR/events.err" 3>&- &
    events=$!
    sleep 0.3
    rm -r "$J/cat"
    fails wait $cat
    has 'No such file' "$DIR/cat.err"
    mv "$J/dog" "$J/wolf"
    mv -T "$J/bird" "$J/fish" # replaces an empty draft
    fails wait $fish
    has 'No such file' "$DIR/fish.err"
    kill -0 $dog
    echo '{"prompt": "x"}' >"$J/wolf/prompt.json"
    wait $dog
    has succeeded "$DIR/dog.out"
    kill -0 $events
    kill "$FS_PID"
    fails wait $events
    has 'not connected' "$DIR/events.err"
    wait_until 10 process_is_gone "$FS_PID"
}

# S-AWAIT-4: Hundreds of readers can wait at once, and delay nobody.
@test "S-AWAIT-4: 300 who wait, and the one who works" {
    mount_fs
    python '
J = M + "jobs/"
for i in range(3):
    os.mkdir(J + "job%d" % i)
children = []
for i in range(300):
    children.append(subprocess.Popen(["cat", J + "job%d/wait" % (i % 3)], stdout=subprocess.PIPE))
start = time.monotonic()
for i in range(200):
    os.stat(J + "job0/status.json")
    open(J + "job1/status").read()
assert time.monotonic() - start < 10
os.rmdir(J + "job2")
for i in range(3):
    children[i].kill()
    children[i].wait(5)
for i in 0, 1:
    open(J + "job%d/prompt.json" % i, "w").write("{\"prompt\": \"x\"}")
for i in range(3, 300):
    out = children[i].communicate(timeout=30)[0]
    assert out == (b"" if i % 3 == 2 else b"succeeded\n"), (i, out)
'
}

# S-AWAIT-5: `wait` and `events` exist but are not listed, so that no program that walks through the tree (`grep -r`,
#   `cp -r`, `rsync`, `tar`, `zip`, `find`, `du`) opens them and waits. They can be opened by name, also as
#   `jobs/*/wait`.
@test "S-AWAIT-5: who walks through the tree never comes to wait" {
    mount_fs
    mkdir "$J/draft"
    make_job cat
    [ -f "$J/draft/wait" ] && [ -f "$MNT/events" ]
    fails test -e "$J/draft/waits"
    [ "$(cd "$MNT" && echo jobs/*/wait)" = 'jobs/cat/wait jobs/draft/wait' ]
    before=$(creates)
    timeout 30 grep -r 'no such text' "$MNT" || [ $? -eq 1 ]
    timeout 30 cp -r "$MNT" "$DIR/copied"
    timeout 30 rsync -a "$MNT/" "$DIR/synced/"
    timeout 30 tar -C "$MNT" -cf - . >"$DIR/all.tar"
    timeout 30 tar -C "$MNT" -cf /dev/null .
    timeout 30 find "$MNT" -type f -exec cat {} + >/dev/null
    timeout 30 du -a "$MNT" >/dev/null
    timeout 30 ls -lR "$MNT" >/dev/null
    (cd "$MNT" && timeout 30 find . -type f -print0 | xargs -0 sha256sum >/dev/null)
    if command -v zip >/dev/null; then (cd "$MNT" && timeout 30 zip -qr "$DIR/all.zip" .); fi
    [ -s "$DIR/copied/jobs/cat/status" ] && [ ! -e "$DIR/copied/events" ] && [ ! -e "$DIR/synced/jobs/cat/wait" ]
    # By its name, and without anything to wait for, it is copied like any other.
    cp "$J/cat/wait" "$DIR/word" && [ "$(cat "$DIR/word")" = succeeded ]
    rm -r "$J/draft"
    [ "$(creates)" -eq "$before" ]
}
