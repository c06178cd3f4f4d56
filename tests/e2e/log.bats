#!/usr/bin/env bats
# The log: nobody has to read it, and it does not grow for ever.
load helper

setup() { start_world; USUAL=(--api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA" --poll-interval 0.05 --settle 0 --log-level debug); }
teardown() { end_world; }

# complaints N   N lines of the log, at the level debug. A program that stands still is ended: nothing else would end
# who waits for it.
complaints() {
    "$PYTHON" -c '
import os, sys
for i in range(int(sys.argv[2])):
    try:
        os.mkdir(sys.argv[1] + "/" + "x" * 100)
    except PermissionError:
        pass' "$MNT" "$1" 3>&- 7>&- &
    local complainer=$!
    wait_until 60 process_is_gone $complainer || { kill -9 "$FS_PID"; return 1; }
    wait $complainer
}

# S-LOG-1: A standard error that nobody reads (a pager, Ctrl-S, a journal that has stopped) delays nothing. Lines that
#   it does not take are dropped, and once it takes lines again, one says how many were dropped.
@test "S-LOG-1: standard error is a pipe that nobody reads" {
    mkfifo "$DIR/stderr"
    exec 7<>"$DIR/stderr"
    "$SEEDANCEFS" "${USUAL[@]}" -f "$MNT" 2>&7 3>&- 7>&- &
    local pid=$!
    wait_until 20 test -e "$MNT/README.txt"
    FS_PID=$(daemon_pid)
    complaints 20000
    make_job cat
    # Somebody reads it after all.
    cat "$DIR/stderr" >"$DIR/read" 3>&- 7>&- &
    local reader=$!
    said() { complaints 1 && grep -qE 'level=warn event=log.dropped lines=[1-9][0-9]{2,}$' "$DIR/read"; }
    wait_until 20 said
    exec 7>&-
    # Every line is a whole one, and nothing is left behind at the end.
    kill -TERM "$pid"
    wait "$pid"
    wait "$reader"
    has event=stop "$DIR/read"
    fails grep -vE '^[0-9]{4}-[0-9-]{5}T[0-9:.]{12}Z level=[a-z]+ event=[a-z.]+ ' "$DIR/read"
}

@test "S-LOG-1: the end does not wait for it either" {
    mkfifo "$DIR/stderr"
    exec 7<>"$DIR/stderr"
    "$SEEDANCEFS" "${USUAL[@]}" -f "$MNT" 2>&7 3>&- 7>&- &
    local pid=$!
    wait_until 20 test -e "$MNT/README.txt"
    FS_PID=$(daemon_pid)
    complaints 20000
    local children
    children=$(pgrep -P "$FS_PID")
    kill -TERM "$pid"
    wait_until 20 process_is_gone "$pid"
    wait "$pid"
    local child
    for child in $children; do wait_until 10 process_is_gone "$child"; done
    # Nor does what is left of a crash.
    "$SEEDANCEFS" "${USUAL[@]}" -f "$MNT" 2>&7 3>&- 7>&- &
    wait_until 20 test -e "$MNT/README.txt"
    FS_PID=$(daemon_pid)
    children=$(pgrep -P "$FS_PID")
    kill_fs
    for child in $children; do wait_until 10 process_is_gone "$child"; done
    exec 7>&-
}

@test "S-LOG-1: standard error is a terminal that stands still" {
    python '
import fcntl, pty, termios, threading
terminal, slave = pty.openpty()
daemon = subprocess.Popen(sys.argv[1:] + ["-f", M], stderr=slave, close_fds=True)
while not os.path.exists(M + "jobs"):
    time.sleep(0.02)
termios.tcflow(slave, termios.TCOOFF)           # Ctrl-S
def complain():
    for i in range(20000):
        gives(errno.EPERM, os.mkdir, M + "x" * 100)
complainer = threading.Thread(target=complain, daemon=True)
complainer.start()
complainer.join(60)
if complainer.is_alive():
    daemon.kill()                               # nothing else would end who waits for it
    sys.exit("it stands still")
assert not fcntl.fcntl(slave, fcntl.F_GETFL) & os.O_NONBLOCK # which the shell would have, too
termios.tcflow(slave, termios.TCOON)
text = bytearray()
def read():
    while True:
        text.extend(os.read(terminal, 65536))
threading.Thread(target=read, daemon=True).start()
end = time.monotonic() + 20
while b"event=log.dropped lines=" not in text:
    assert time.monotonic() < end, bytes(text[-500:])
    gives(errno.EPERM, os.mkdir, M + "x")
    time.sleep(0.02)
daemon.terminate()
assert daemon.wait(20) == 0' "$SEEDANCEFS" "${USUAL[@]}"
}

# S-LOG-2: `seedancefs.log` has at most 4 MiB, also while the program runs. Older lines are in `seedancefs.log.old`,
#   of which there is only one.
@test "S-LOG-2: the log is put aside when it is full, while the program runs" {
    mkdir -m 700 "$DATA"
    local line="2026-01-01T00:00:00.000Z level=info event=before x=$(printf '%050d' 0)"
    # shellcheck disable=SC2016 # sed's
    yes "$line" | head -c $((4190000 / (${#line} + 1) * (${#line} + 1))) >"$DATA/seedancefs.log"
    chmod 600 "$DATA/seedancefs.log"
    echo older >"$DATA/seedancefs.log.old"
    mount_fs
    make_job cat
    complaints 1000
    [ "$(ls "$DATA" | grep -c seedancefs.log)" -eq 2 ]
    has event=start "$DATA/seedancefs.log.old"
    fails grep -x older "$DATA/seedancefs.log.old"
    local file
    for file in "$DATA"/seedancefs.log{,.old}; do
        [ "$(stat -c %s "$file")" -le $((4 << 20)) ]
        [ "$(stat -c %a "$file")" = 600 ]
        fails grep -vE '^[0-9]{4}-[0-9-]{5}T[0-9:.]{12}Z level=' "$file"
    done
    # No line is lost at the border.
    [ "$(cat "$DATA"/seedancefs.log{.old,} | grep -c 'event=fuse.error op=mkdir')" -eq 1000 ]
    unmount_fs
    has event=stop "$DATA/seedancefs.log"
}

# S-LOG-3: SIGUSR1 writes what the program is doing into the log, one line for each thing: jobs by state and each active
#   job, transfers, parked requests, timers and helper processes. No line has a URL, a key or words of a prompt.
@test "S-LOG-3: SIGUSR1" {
    scenario '{"kind": "video", "from": 3, "response": {"silence_at": "body", "cut_after_bytes": 1000}}'
    mount_fs
    make_job done 'A secret garden [[video_bytes=8M]]'
    mkdir "$MNT/jobs/cat"
    echo '{"prompt": "A secret garden [[seconds=600]]"}' >"$MNT/jobs/cat/prompt.json"
    wait_status cat running
    cat "$MNT/jobs/cat/wait" >/dev/null 3>&- &
    local waiter=$!
    cat "$MNT/jobs/done/output.mp4" >/dev/null 3>&- &
    local reader=$!
    "$PYTHON" -c '
import select, sys
file, poll = open(sys.argv[1]), select.poll()
poll.register(file)
poll.poll()' "$MNT/jobs/cat/wait" 3>&- &
    local poller=$! log=$DATA/seedancefs.log
    state() {
        : >"$log"
        kill -USR1 "$FS_PID"
        wait_until 5 grep -q event=state.process "$log"
        local line
        for line in "state.jobs draft=0 .*running=1 succeeded=1 " \
            "state.job job=cat id=[0-9]+ state=running attempt=1 timer_ms=[0-9]+ " \
            "state.transfer kind=(read|background) media=[0-9]+ bytes=[0-9]+ .*held=[01] age_ms=[0-9]+" \
            "state.parked kind=wait inode=[0-9]+ age_ms=[0-9]+" \
            "state.parked kind=poll inode=[0-9]+ age_ms=[0-9]+" "state.parked kind=read inode=[0-9]+ age_ms=[0-9]+" \
            "state.timers count=[1-9][0-9]* next_ms=[0-9]+" "state.process name=seedancefs-key pid=[0-9]+ state=there"; do
            grep -qE "event=$line" "$log" || { echo "missing: $line"; grep event=state "$log"; return 1; }
        done
    }
    wait_until 20 state
    fails grep -E 'event=state.*(http|garden|th-|X-Tos)' "$log"
    [ "$(cat "$MNT/jobs/cat/status")" = running ]
    kill $waiter $reader $poller
    wait $waiter $reader $poller || true
    # The helpers get it as well, from pkill and the like.
    kill -USR1 $(pgrep -P "$FS_PID")
    [ "$(creates)" -eq 2 ]
    scenario
    make_job dog
}

# S-LOG-4: On SIGHUP the program opens `seedancefs.log` anew, so that a log that was moved away gets no further line.
#   When the file cannot be opened, the log continues in the old one, which says so. A full log that was moved away is
#   not put aside (S-LOG-2): the program then continues in the file that has its name. With `-f` nothing is opened.
@test "S-LOG-4: a log that was moved away gets no further line after SIGHUP" {
    # Relative, and the program is in / by now.
    cd "$DIR"
    DATA=data mount_fs
    cd /
    local log=$DATA/seedancefs.log
    make_job cat
    wait_ends cat
    mv "$log" "$log.1"
    complaints 1
    [ "$(grep -c 'event=fuse.error op=mkdir' "$log.1")" -eq 1 ]
    kill -HUP "$FS_PID"
    wait_until 10 grep -qs event=key.changed "$log"
    [ "$(stat -c %a "$log")" = 600 ]
    head -n 1 "$log" | grep -q 'event=signal.caught signal=1'
    cp "$log.1" "$DIR/before"
    complaints 3
    make_job dog
    [ "$(grep -c 'event=fuse.error op=mkdir' "$log")" -eq 3 ]
    cmp "$log.1" "$DIR/before"
    # A log that was not moved is appended to; neither is one that somebody has made already overwritten.
    kill -HUP "$FS_PID"
    wait_until 10 has_lines 2 event=key.changed "$log"
    mv "$log" "$log.2"
    (umask 077 && echo before >"$log")
    kill -HUP "$FS_PID"
    wait_until 10 has_lines 1 event=key.changed "$log"
    has_lines 2 event=key.changed "$log.2"
    head -n 1 "$log" | grep -qx before
    [ "$(find "/proc/$FS_PID/fd" -lname '*seedancefs.log*' | wc -l)" -eq 1 ]
    creates_are 2
}
has_lines() { [ "$(grep -cs "$2" "$3")" -eq "$1" ]; }

@test "S-LOG-4: a log that cannot be opened: it continues in the old file" {
    mount_fs
    local log=$DATA/seedancefs.log how error limit
    for how in directory:EISDIR link:ELOOP fifo:ENXIO descriptors:EMFILE; do
        error=${how#*:} how=${how%:*}
        mv "$log" "$log.$how"
        case $how in
        directory) mkdir "$log" ;;
        link) ln -s "$DIR/elsewhere" "$log" ;;
        fifo) mkfifo "$log" ;;
        descriptors)
            limit=$(prlimit -n -o SOFT --noheadings -p "$FS_PID")
            prlimit -n3: -p "$FS_PID" ;;
        esac
        kill -HUP "$FS_PID"
        wait_until 10 grep -q "level=warn event=log.kept file=$log error=$error why=" "$log.$how"
        complaints 1
        sed 1,/event=log.kept/d "$log.$how" | grep -q 'event=fuse.error op=mkdir'
        [ $how != descriptors ] || prlimit -n"$limit": -p "$FS_PID"
        rm -rf "$log"
        kill -HUP "$FS_PID"
        wait_until 10 test -s "$log"
        complaints 1
        [ "$(grep -c 'event=fuse.error op=mkdir' "$log")" -eq 1 ]
    done
    [ ! -e "$DIR/elsewhere" ]
    make_job cat
}

@test "S-LOG-4: a full log that was moved away is not put aside" {
    local log=$DATA/seedancefs.log line there
    line="2026-01-01T00:00:00.000Z level=info event=before x=$(printf '%050d' 0)"
    mkdir -m 700 "$DATA"
    for there in nothing mine; do
        (umask 077 && yes "$line" | head -c $((4190000 / (${#line} + 1) * (${#line} + 1))) >"$log")
        echo older >"$log.old"
        mount_fs
        mv "$log" "$log.1"
        [ $there = nothing ] || (umask 077 && echo mine >"$log")
        complaints 1000
        [ "$(cat "$log.old")" = older ]
        [ $there = nothing ] || [ "$(head -n 1 "$log")" = mine ]
        # No line is lost at the border.
        [ "$(stat -c %s "$log.1")" -le $((4 << 20)) ]
        [ "$(grep -c 'event=fuse.error op=mkdir' "$log")" -gt 900 ]
        [ "$(cat "$log.1" "$log" | grep -c 'event=fuse.error op=mkdir')" -eq 1000 ]
        unmount_fs
        rm "$log"
    done
}

@test "S-LOG-4: logrotate, as docs/RUNNING.md has it" {
    command -v logrotate >/dev/null || skip "logrotate is not installed"
    export HOME=$DIR/home
    DATA=$HOME/.local/share/seedancefs
    mkdir -p "$HOME/.local/share" "$DIR/bin"
    # Of all programs of that name on this machine only the one of this test.
    printf '#!/bin/sh\n[ "$*" = "-HUP -x seedancefs" ] && kill -HUP "$(cat %s)"\n' "$DIR/pid" >"$DIR/bin/pkill"
    chmod +x "$DIR/bin/pkill"
    export PATH=$DIR/bin:$PATH
    mount_fs
    echo "$FS_PID" >"$DIR/pid"
    local log=$DATA/seedancefs.log
    awk '/^## / { is_here = /^## Rotating the log/ } is_here && sub(/^    /, "")' "$ROOT/docs/RUNNING.md" >"$DIR/block"
    has postrotate "$DIR/block"
    complaints 5
    dash -e "$DIR/block" # it is not due
    [ ! -e "$log.1" ]
    rotate() { logrotate --force -s ~/.local/state/seedancefs.logrotate ~/.config/seedancefs/logrotate.conf; }
    rotate
    wait_until 10 grep -qs event=key.changed "$log"
    [ "$(grep -c 'event=fuse.error op=mkdir' "$log.1")" -eq 5 ]
    fails grep 'event=fuse.error op=mkdir' "$log"
    complaints 3
    [ "$(grep -c 'event=fuse.error op=mkdir' "$log.1")" -eq 5 ]
    rotate
    wait_until 10 grep -qs event=key.changed "$log"
    [ "$(grep -c 'event=fuse.error op=mkdir' "$log.1")" -eq 3 ]
    [ "$(zgrep -c 'event=fuse.error op=mkdir' "$log.2.gz")" -eq 5 ]
    [ "$(stat -c %a "$log" "$log.1" "$log.2.gz" | sort -u)" = 600 ]
    make_job cat
}

# S-LOG-5: With `-f` and a standard error that is the journal's ($JOURNAL_STREAM), each line begins with its priority, from
#   "<3>" for an error to "<7>", so that `journalctl -p warning` shows what matters.
@test "S-LOG-5: priorities for the journal" {
    local lines="$DIR/stderr.log"
    : >"$lines"
    JOURNAL_STREAM=$(stat -c %d:%i "$lines") "$SEEDANCEFS" --foreground --log-level debug --api-url "$API" --api-key-file "$DIR/key" \
        --data-dir "$DATA" --poll-interval 0.05 --settle 0 "$MNT" 2>>"$lines" 3>&- &
    FS_PID=$!
    wait_until 10 mountpoint -q "$MNT"
    make_job cat
    unmount_fs
    grep -qE '^<6>20[^ ]* level=info event=start ' "$lines"
    fails grep -vE '^<(3>20[^ ]* level=error|4>20[^ ]* level=warn|6>20[^ ]* level=info|7>20[^ ]* level=debug) ' "$lines"
    # Another file than the journal's has none.
    JOURNAL_STREAM=1:1 "$SEEDANCEFS" --foreground --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA" "$MNT" 2>"$lines" 3>&- &
    FS_PID=$!
    wait_until 10 mountpoint -q "$MNT"
    unmount_fs
    fails grep '^<' "$lines"
}
