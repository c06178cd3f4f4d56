#!/usr/bin/env bats
# Other users on a mount with allow_other: what they may not do, and that they hold up nobody.
load helper

setup() {
    [ "$(id -u)" = 0 ] || skip "needs root, to be another user"
    # Others have to get there.
    BATS_TEST_TMPDIR=/tmp start_world
    chmod 711 "$DIR"
    J=$MNT/jobs
}
teardown() {
    [ -n "${DIR:-}" ] || return 0
    local code=0
    end_world || code=1
    rm -rf --one-file-system "$DIR"
    return $code
}

as_other() { setpriv --reuid="${OTHER:-65534}" --regid=65534 --clear-groups --inh-caps=-all -- "$@"; }

# A world with a finished job whose video is not on disk but for its ends.
video() {
    end_world
    rm -rf --one-file-system "$DIR"
    BATS_TEST_TMPDIR=/tmp start_world --video-bytes 40M
    chmod 711 "$DIR"
    J=$MNT/jobs
    mount_fs -o allow_other --archive never
    make_job video
    wait_ends video
    "${CC:-cc}" -std=c17 -O2 -D_GNU_SOURCE -Wall -Wextra -pthread -o "$DIR/attack" "$ROOT/tests/e2e/peek_attack.c"
}

# attack SECONDS FIRST [COMMAND...]   tries and slow ones are in $DIR/tried. It may be beyond any signal.
attack() {
    "${@:3}" "$DIR/attack" "$MNT" "$J/video/output.mp4" "$1" "$2" >"$DIR/tried" 3>&- &
    wait_until $(($1 + 20)) process_is_gone $!
    [ -s "$DIR/tried" ]
}

# S-USER-1: With `-o allow_other` other users may read what its mode lets them read, and may change nothing that its
#   mode does not let them change. Making, removing or renaming anything, commands, `prompt.json` and `defaults.json`
#   fail with EACCES, creating a file in a job that does not exist fails with ENOENT, and nothing is sent.
@test "S-USER-1: others read by the modes, change nothing and spend nothing" {
    mount_fs -o allow_other
    make_job cat
    mkdir "$J/draft"
    touch "$J/draft/prompt.json"
    as_other env -C / MNT="$MNT" "$PYTHON" - <<'END'
import errno, os
M = os.environ['MNT'] + '/'
def gives(number, f, *a):
    try:
        f(*a)
    except OSError as e:
        assert e.errno == number, (f, a, e)
    else:
        raise AssertionError((f, a, 'worked'))
W = os.O_WRONLY
for path in ['jobs/cat/status', 'jobs/cat/output.mp4', 'README.txt']:
    assert open(M + path, 'rb').read()
assert sorted(os.listdir(M + 'jobs')) == ['cat', 'draft']
gives(errno.EACCES, open, M + 'jobs/cat/output.url')
for path in ['jobs/cat/ctl', 'jobs/draft/prompt.json', 'defaults.json']:
    gives(errno.EACCES, os.open, M + path, W)
gives(errno.EPERM, os.open, M + 'jobs/cat/prompt.json', W)  # accepted: not for its owner either
gives(errno.EACCES, os.mkdir, M + 'jobs/dog')
gives(errno.ENOENT, os.open, M + 'jobs/dog/prompt.json', W | os.O_CREAT)
gives(errno.EACCES, os.open, M + 'jobs/draft/other', W | os.O_CREAT)
gives(errno.EACCES, os.unlink, M + 'jobs/draft/prompt.json')
gives(errno.EACCES, os.unlink, M + 'jobs/cat/output.mp4')
gives(errno.EACCES, os.rmdir, M + 'jobs/draft')
gives(errno.EACCES, os.rename, M + 'jobs/cat', M + 'jobs/dog')
gives(errno.EACCES, os.rename, M + 'jobs/draft/prompt.json', M + 'jobs/draft/other')
gives(errno.EPERM, os.truncate, M + 'jobs/cat/prompt.json', 0)
gives(errno.EACCES, os.truncate, M + 'jobs/draft/prompt.json', 0)
gives(errno.EPERM, os.chmod, M + 'jobs/draft/prompt.json', 0o666)
END
    [ "$(ls "$J" | tr '\n' ' ')" = 'cat draft ' ]
    status_is draft draft
    [ "$(creates)" -eq 1 ]
}

# S-USER-2: Whatever a caller does with its own memory while it opens a file, the mount keeps answering. The program
#   does not look at a caller who may not make a job, and where a look takes longer than a second, `mkdir` is needed
#   first (S-NAME-12).
@test "S-USER-2: a caller whose path becomes a page of the mount does not stop it" {
    video
    attack 2 0 as_other
    [ "$(ls "$J")" = video ]
    attack 2 0
    timeout 10 cat "$J/video/status"
    timeout 10 bash -c "echo '{\"prompt\": \"x\"}' >$J/cat/prompt.json"
    wait_status cat succeeded
}

@test "S-USER-2: not even a page that does not come" {
    video
    scenario '{"kind": "video", "response": {"silence_at": "request"}}'
    # Beyond what is on disk. Its calls wait, until the deadline of the look.
    attack 3 8388608 &
    local attack=$!
    for i in 1 2 3 4 5; do
        timeout 10 bash -c "echo '{\"prompt\": \"x\"}' >$J/cat$i/prompt.json"
        timeout 10 cat "$J/video/status"
    done
    wait $attack
    read -r _ late <"$DIR/tried"
    [ "$late" -gt 0 ]
    wait_until 10 creates_are 6
    # Nothing of it is left: one process that looks, and none of its own.
    only_one() { [ -z "$(pgrep -P "$(pgrep -P "$FS_PID" -x seedancefs-look)")" ]; }
    wait_until 10 only_one
}

@test "S-USER-2: without the process that looks, mkdir is needed" {
    mount_fs
    kill -9 "$(pgrep -P "$FS_PID" -x seedancefs-look)"
    fails bash -c "echo '{\"prompt\": \"x\"}' >$J/cat/prompt.json"
    has 'inspector.gone' "$DATA/seedancefs.log"
    make_job cat
}

# held_by_other SCRIPT   a process of another user that runs the script, says "ready" and keeps what it has open.
held_by_other() {
    as_other env -C / MNT="$MNT" "$PYTHON" -c "
import errno, os, sys
M = os.environ['MNT'] + '/'
held = []
def hold(path):
    try:
        held.append(os.open(M + path, os.O_RDONLY))
    except OSError as e:
        return errno.errorcode[e.errno]
$1
print('ready', flush=True)
sys.stdin.read()" <"$DIR/other" >"$DIR/said" 2>&1 3>&- 8>&- &
    OTHER_PID=$!
    wait_until 60 grep -q . "$DIR/said"
    cat "$DIR/said"
    [ "$(tail -n 1 "$DIR/said")" = ready ]
}

memory() { awk '/^VmRSS/ { print $2 }' "/proc/$FS_PID/status"; }

# S-USER-3: All who have the same version of a generated file open share its bytes. A user who is not root and does
#   not run the program may have 1,024 files open and hold 32 MiB of generated files; all such users together 4,096
#   files and 128 MiB. Opening more fails with EMFILE.
@test "S-USER-3: many handles of another user take no memory, and not the place of others" {
    mount_fs -o allow_other
    # A page of about a megabyte: invalid prompts of quotation marks, which become six bytes each there.
    python '
for i in range(100):
    try:
        with open(M + f"jobs/{i}/prompt.json", "w") as f:
            f.write("""{"prompt": "%s", "duration": 99}""" % ("\\u0022" * 2000))
    except OSError:
        pass'
    local size before
    size=$(wc -c <"$MNT/index.html")
    [ "$size" -gt 900000 ]
    before=$(memory)
    mkfifo "$DIR/other"
    exec 8<>"$DIR/other"
    held_by_other '
for i in range(400):
    assert hold("index.html") is None
for i in range(604):
    assert hold(f"jobs/{i % 100}/status") is None'
    [ $(($(memory) - before)) -lt $((10 * size / 1024)) ]
    # The owner goes on.
    echo '{"prompt": "x"}' >"$J/cat/prompt.json"
    wait_status cat succeeded
    [ "$(wc -c <"$MNT/index.html")" -gt 900000 ]
    exec 8>&-
    wait "$OTHER_PID"
    exec 8<>"$DIR/other"
    held_by_other '
for i in range(1024):
    assert hold("README.txt") is None
assert hold("README.txt") == "EMFILE", i'
    OTHER=65533 as_other cat "$J/cat/status"
    cat "$J/cat/status"
    exec 8>&-
    wait "$OTHER_PID"
    as_other cat "$J/cat/status"
}

# S-USER-4: Even when so many files are open for reading that the program has no descriptors left for more, a prompt
#   can be written and is sent, commands are accepted and states can be read. The program raises its soft limit of
#   descriptors to the hard one.
@test "S-USER-4: with the descriptors used up by readers the owner can still spend" {
    RUN_FS='prlimit --nofile=48:96' mount_fs -o allow_other
    grep -q '^Max open files *96 *96 ' "/proc/$FS_PID/limits"
    for i in $(seq 120); do echo "$i" >"$J/note$i/note"; done
    mkfifo "$DIR/other"
    exec 8<>"$DIR/other"
    held_by_other '
said = [hold(f"jobs/note{i}/note") for i in range(1, 121)]
assert said[0] is None and said[-1] == "EMFILE", said'
    local open
    open=$(ls "/proc/$FS_PID/fd" | wc -l)
    [ "$open" -ge 72 ]
    echo '{"prompt": "x"}' >"$J/cat/prompt.json"
    wait_until 20 creates_are 1
    cat "$J/cat/status" "$J/cat/status.json" "$J/cat/ctl" "$MNT/spend.json" >/dev/null
    fails bash -c "echo nonsense >$J/cat/ctl"
    echo note >"$J/cat/note"
    echo changed >"$J/note120/note"
    # What was missing for the video comes when there is place again.
    exec 8>&-
    wait "$OTHER_PID"
    wait_status cat succeeded
    [ "$(cat "$J/note120/note")" = changed ]
    [ "$(creates)" -eq 1 ]
}

# S-USER-5: With `--group GROUP` the members of that group (also those who have it as a supplementary group) may do what
#   the owner may: make jobs, write prompts, give commands, spend and remove. Everything belongs to the user who runs the
#   program and to that group, and the group has the owner's permissions on every file. Who is no member sees nothing,
#   unless `-o allow_other` is given, too.
@test "S-USER-5: --group: members do what the owner does, others see nothing" {
    local group
    group=$(getent group games | cut -d: -f3)
    as_member() { setpriv --reuid=65533 --regid=65534 --groups="$group" --inh-caps=-all -- env -C / "$@"; }
    mount_fs --group games
    make_job cat
    [ "$(stat -c '%a %G' "$J" "$J/cat" "$J/cat/prompt.json" "$J/cat/ctl" "$J/cat/output.url" "$MNT/spend.json" | tr '\n' ' ')" = \
        '770 games 770 games 440 games 660 games 440 games 440 games ' ]
    as_member bash -ec "umask 022; mkdir '$J/dog'; echo '{\"prompt\": \"A dog\"}' >'$J/dog/prompt.json'
        [ -w '$J/dog/ctl' ] && [ -r '$J/cat/output.url' ]"
    wait_status dog succeeded
    as_member cmp "$J/dog/output.mp4" "$MNT/videos/dog.mp4"
    as_member bash -ec "echo take >'$J/dog/ctl'"
    wait_until 20 test -e "$J/dog/takes/2.mp4"
    # What one has written the other can change, whatever the umask was.
    as_member bash -ec "umask 077; mkdir '$J/both'; echo mine >'$J/both/note'; cp /etc/hostname '$J/both/name'"
    echo ours >>"$J/both/note"
    echo root >"$J/both/roots"
    as_member bash -ec "echo more >>'$J/both/roots'; touch '$J/both/roots'; chmod 600 '$J/both/roots'; mv '$J/both/roots' '$J/both/old'
        rm -r '$J/both'"
    as_member bash -ec "echo '{\"duration\": 4}' >'$MNT/defaults.json'; echo x >'$MNT/assets/x'"
    [ "$(creates)" -eq 3 ]
    # Others.
    local what
    for what in "ls '$MNT'" "ls '$J'" "cat '$J/cat/status'" "cat '$MNT/README.txt'" "mkdir '$J/x'" "echo retry >'$J/cat/ctl'" \
        "stat '$J/cat'" "cat '$MNT/videos/cat.mp4'"; do
        fails as_other bash -c "$what"
    done
    unmount_fs
    mount_fs --group games -o allow_other
    as_other cat "$J/cat/status"
    as_other cat "$MNT/videos/cat.mp4" >/dev/null
    fails as_other mkdir "$J/x"
    fails as_other bash -c "echo take >'$J/cat/ctl'"
    as_member mkdir "$J/member"
    [ "$(stat -c %a "$J" "$J/cat/ctl")" = $'775\n660' ]
    [ "$(creates)" -eq 3 ]
    unmount_fs
    fails "$SEEDANCEFS" --group nobodys --api-key-file "$DIR/key" "$MNT"
    has 'seedancefs: --group nobodys: there is no such group.' "$DIR/fails.out"
}
