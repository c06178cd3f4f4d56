#!/usr/bin/env bats
# The program among people: they close the terminal and the lid, log out, sit in the mount, fill or delete the data
# directory, and press Ctrl-C twice. Nothing is lost, nothing is sent twice, and what they are told helps.
load helper

setup() { start_world; J=$MNT/jobs; USUAL=(--api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA" --poll-interval 0.05 --settle 0); }
teardown() {
    [ -z "${SITTER:-}" ] || kill "$SITTER" 2>/dev/null || true
    local code=0
    end_world || code=1
    if [ -n "${DISK:-}" ]; then umount "$DISK" 2>/dev/null || umount -l "$DISK"; fi
    return $code
}

write() { echo "{\"prompt\": \"[$1]\"}" >"$J/$1/prompt.json"; }
ended() { wait_until 20 process_is_gone "$FS_PID"; }
is_mounted() { grep -q " $MNT fuse" /proc/self/mounts; }

# S-LIVE-1: Closing the terminal from which the program was started, in the background or with `-f`, does not end the
#   program and loses nothing. SIGTERM, which every program gets when the machine shuts down, ends it in the same way
#   as unmounting.
@test "S-LIVE-1: the terminal is closed" {
    scenario '{"kind":"poll","response":{"task_status":"running"}}'
    for how in '' -f; do
        # A session of its own on a terminal of its own, which then goes away, as with a window or an ssh connection.
        python '
import pty
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
while not os.path.exists(M + "jobs"):
    time.sleep(0.02)
job = M + "jobs/job" + sys.argv[-2]
os.mkdir(job)
open(job + "/prompt.json", "w").write("""{"prompt": "[job]"}""")
while open(job + "/status").read() != "running\n":
    time.sleep(0.02)
os.close(terminal)' "$SEEDANCEFS" "${USUAL[@]}" --log-level info ${how:-"-o" "rw"} "$MNT" 3>&-
        FS_PID=$(daemon_pid)
        sleep 0.3
        is_mounted
        wait_status "job${how:-rw}" running
        write "after${how:-rw}"
        wait_status "after${how:-rw}" running
        kill -TERM "$FS_PID"
        ended
        ! is_mounted
    done
    scenario
    mount_fs
    for job in jobrw afterrw job-f after-f; do wait_status "$job" succeeded; done
    [ "$(creates)" -eq 4 ]
}

# S-LIVE-2: While it waits for the response to a request that is being sent, SIGHUP and another unmount change
#   nothing, and nothing else is sent. A second SIGTERM or SIGINT ends it at once: the job is then `unknown`, and
#   `error` says why.
@test "S-LIVE-2: SIGTERM, and something else while it waits" {
    scenario '{"kind":"create","n":1,"response":{"delay_ms":6000}}'
    mount_fs --max-active 1
    write first
    wait_status first submitting
    wait_until 10 creates_are 1
    write second
    kill -TERM "$FS_PID"
    gone_from_here() { ! is_mounted; }
    wait_until 10 gone_from_here
    kill -HUP "$FS_PID"
    fails fusermount3 -u "$MNT"
    # Somebody is impatient.
    run "$SEEDANCEFS" "${USUAL[@]}" "$MNT" 3>&-
    [ "$status" -eq 2 ]
    [[ $output == *'another seedancefs uses this data directory'* ]]
    ended
    [ "$(creates)" -eq 1 ]
    mount_fs
    wait_status first succeeded
    wait_status second succeeded
    [ "$(creates)" -eq 2 ]
}

@test "S-LIVE-2: SIGTERM twice" {
    scenario '{"kind":"create","response":{"silence_at":"request_body","accept":true}}'
    for second in TERM INT; do
        mount_fs
        write "cut$second"
        wait_status "cut$second" submitting
        wait_until 10 grep -q "\[cut$second\]" "$LOG"
        kill -TERM "$FS_PID"
        wait_until 10 grep -q event=stop.waits "$DATA/seedancefs.log"
        sleep 0.2
        ! process_is_gone "$FS_PID"
        kill -$second "$FS_PID"
        ended
        ! is_mounted
        rm "$DATA/seedancefs.log"
    done
    scenario
    mount_fs
    for second in TERM INT; do
        status_is "cut$second" unknown
        has 'the program ended after it began to send' "$J/cut$second/error"
        has 'may have been charged' "$J/cut$second/error"
    done
    write next
    wait_status next succeeded
    [ "$(creates '[cut')" -eq 2 ]
}

# S-LIVE-3: While somebody uses the mount (a shell whose directory is in it), `fusermount3 -u` says that it is busy
#   and everything continues; SIGTERM ends the program all the same. What was being written is then a draft, and is
#   not sent.
@test "S-LIVE-3: somebody sits in it" {
    mount_fs
    make_job cat
    (cd "$J/cat" && exec sleep 120) 3>&- &
    SITTER=$!
    sits_there() { [ "$(readlink "/proc/$SITTER/cwd")" = "$J/cat" ]; }
    wait_until 10 sits_there
    fails fusermount3 -u "$MNT"
    has 'busy' "$DIR/fails.out"
    make_job dog
    exec 7>"$J/dog/notes" 8>"$J/cat/more"
    mkdir "$J/open"
    exec 9>"$J/open/prompt.json"
    echo '{"prompt": "half written"}' >&9
    kill -TERM "$FS_PID"
    ended
    ! is_mounted
    [ -z "$(ls -A "$MNT")" ]
    fails sh -c 'echo more >&9'
    # It can be mounted again while they still sit in the old one.
    mount_fs
    kill -0 "$SITTER"
    status_is cat succeeded
    status_is open draft
    has 'ended before prompt.json was submitted' "$J/open/error"
    exec 7>&- 8>&- 9>&-
    sleep 0.3
    status_is open draft
    [ "$(creates)" -eq 2 ]
}

small_disk() {
    [ "$(id -u)" -eq 0 ] || skip "mounting a small disk needs root"
    mkdir "$DATA"
    mount -t tmpfs -o size=2m,mode=700 tmpfs "$DATA" || skip "tmpfs cannot be mounted here"
    DISK=$DATA
}
fill() { dd if=/dev/zero of="$DATA/fill" bs=4k 2>/dev/null || true; }
# succeeded_on_disk PREFIX N   so many jobs of that name have succeeded, says the database.
succeeded_on_disk() {
    rm -f "$DIR"/copy.sqlite*
    cp "$DATA/jobs.sqlite" "$DIR/copy.sqlite"
    cp "$DATA/jobs.sqlite-wal" "$DIR/copy.sqlite-wal"
    [ "$(sqlite3 "$DIR/copy.sqlite" "SELECT count(*) FROM job WHERE name LIKE '$1%' AND state = 'succeeded'")" = "$2" ]
}
plays() { cmp "$J/$1/output.mp4" <(curl -sf "${API%/api/v1}/oracle/video/$(status_json "$1" .task_id)"); }

# S-DISK-4: When the disk is full while jobs run, they continue and their videos can be read. What became of them is
#   written down when there is room again, or found out again after a crash.
@test "S-DISK-4: the disk is full while jobs run, and then not" {
    small_disk
    for how in goes-on killed; do
        scenario '{"kind":"poll","response":{"task_status":"running"}}'
        mount_fs
        for n in 1 2 3; do write "$how$n"; done
        for n in 1 2 3; do wait_status "$how$n" running; done
        mkdir "$J/$how"
        fill
        scenario
        for n in 1 2 3; do
            wait_status "$how$n" succeeded
            plays "$how$n"
        done
        if [ $how = killed ]; then kill_fs; fi
        rm "$DATA/fill"
        if [ $how = killed ]; then mount_fs; else wait_until 30 succeeded_on_disk $how 3; fi
        write $how
        wait_status $how succeeded
        for n in 1 2 3; do wait_status "$how$n" succeeded; done
        wait_until 30 succeeded_on_disk $how 4
        kill_fs
        mount_fs
        for job in "$how"1 "$how"2 "$how"3 $how; do
            status_is "$job" succeeded
            plays "$job"
        done
        unmount_fs
    done
    [ "$(creates)" -eq 8 ]
}

# S-DISK-5: When the data directory is removed or moved away while the program runs, nothing is sent any more, and
#   `error` says so. When it is moved back, the program continues. A task that was accepted before is followed, and
#   its video can be read. Your files, videos and covers stay, whatever is read meanwhile, also when only a directory
#   in it is away: a file whose bytes are away keeps its name, fails with EIO when it is opened, and can be read as
#   before when the directory is moved back.
@test "S-DISK-5: the data directory is removed" {
    scenario '{"kind":"poll","response":{"task_status":"running"}}' \
        '{"kind":"create","prompt_contains":"[waits]","times":1,"response":{"status":429,"headers":{"Retry-After":"2"}}}'
    mount_fs
    write running
    wait_status running running
    mkdir "$J/later" "$J/draft"
    exec 9>"$J/later/prompt.json"
    echo '{"prompt": "[later]"}' >&9
    write waits
    wait_until 10 reason_has waits 'The service asked to wait'
    rm -rf "$DATA"
    # It was accepted and is not lost yet, but would be forgotten as soon as it was paid for.
    wait_until 20 has 'the data directory was removed or moved' "$J/waits/error"
    has 'Nothing was sent' "$J/waits/error"
    status_is waits waiting
    exec 9>&-
    wait_until 10 has 'the data directory was removed or moved' "$J/later/error"
    fails sh -c "echo '{\"prompt\": \"[draft]\"}' >'$J/draft/prompt.json'"
    mkdir -m 700 "$DATA"
    fails sh -c "echo '{\"prompt\": \"[draft]\"}' >'$J/draft/prompt.json'"
    scenario
    wait_status running succeeded
    plays running
    [ "$(creates)" -eq 2 ]
    unmount_fs
    # What is left is a directory as good as new.
    mount_fs
    make_job again
    [ "$(creates)" -eq 3 ]
}

@test "S-DISK-5: the data directory is moved away and back" {
    scenario '{"kind":"create","times":1,"response":{"status":429,"headers":{"Retry-After":"1"}}}'
    mount_fs
    write waits
    wait_until 10 reason_has waits 'The service asked to wait'
    mkdir "$J/draft"
    mv "$DATA" "$DATA.elsewhere"
    wait_until 20 has 'the data directory was removed or moved' "$J/waits/error"
    fails sh -c "echo '{\"prompt\": \"[draft]\"}' >'$J/draft/prompt.json'"
    [ "$(creates)" -eq 1 ]
    mv "$DATA.elsewhere" "$DATA"
    wait_status waits succeeded
    [ ! -e "$J/waits/error" ]
    write draft
    wait_status draft succeeded
    [ "$(creates)" -eq 3 ]
    restart_fs
    status_is waits succeeded
    plays waits
}

# look_at_everything   as `ls -lR` and `grep -r` do, whatever they are told
look_at_everything() {
    ls -lR "$J" >/dev/null 2>&1 || true
    cat "$J"/*/* >/dev/null 2>&1 || true
}
# everything   names, sizes and bytes of all your files, videos and covers
everything() {
    (cd "$J" && find . -type f ! -name status.json ! -name log -printf '%p %s\n' | sort &&
        cat cat[1-3]/{prompt.json,note} draft/prompt.json && cksum cat[1-3]/{output.mp4,cover.jpg})
}
is_archived() { [ "$(status_json "$1" .output.archived)" = true ]; }
cats() {
    mount_fs --archive always
    for n in 1 2 3; do
        make_job "cat$n"
        echo "note $n" >"$J/cat$n/note"
    done
    mkdir "$J/draft"
    printf '{"prompt": ' >"$J/draft/prompt.json" || true
    for n in 1 2 3; do wait_until 20 is_archived "cat$n"; done
    cat "$J"/cat*/output.mp4 "$J"/cat*/cover.jpg >/dev/null
    restart_fs # which knows of no file yet
}

@test "S-DISK-5: everything is looked at while the data directory, or a directory in it, is away" {
    cats
    everything >"$DIR/before"
    for place in "" /files /media; do
        for other in "" new; do
            restart_fs
            mv "$DATA$place" "$DATA.elsewhere"
            # A program that makes the directory anew, or a backup that is put in its place.
            [ -z "$other" ] || mkdir -m 700 "$DATA$place"
            look_at_everything
            [ -z "$other" ] || rmdir "$DATA$place"
            mv "$DATA.elsewhere" "$DATA$place"
            everything | diff "$DIR/before" -
            restart_fs
            everything | diff "$DIR/before" -
        done
    done
}

@test "S-DISK-5: everything is looked at while the files are removed, and put back from a backup" {
    cats
    everything >"$DIR/before"
    restart_fs
    cp -a "$DATA" "$DIR/backup"
    rm -rf "$DATA/files"
    for other in "" new restart; do
        [ "$other" != new ] || mkdir -m 700 "$DATA/files"
        [ "$other" != restart ] || restart_fs
        look_at_everything
        fails cat "$J/cat1/note"
        has 'Input/output error' "$DIR/fails.out"
        [ -f "$J/cat1/note" ]
    done
    rm "$J/cat3/note"
    unmount_fs
    rm -r "$DATA/files"
    cp -a "$DIR/backup/files" "$DATA/files"
    mount_fs
    echo 'note 3' >"$J/cat3/note"
    everything | diff "$DIR/before" -
}

# clock MS   so much later it is, for the program, as after a night with the lid closed: see faults_clock.bats
clock() { "$PYTHON" -c 'import struct, sys; open(sys.argv[1], "r+b").write(struct.pack("=qq", *[int(sys.argv[2])] * 2))' "$DIR/clock" "$1"; }
mount_with_clock() {
    cc -shared -fPIC -O1 -o "$DIR/clock_shim.so" "$ROOT/tests/e2e/clock_shim.c"
    head -c 16 /dev/zero >"$DIR/clock"
    # Under the sanitizers their library would have to come first.
    ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0
    RUN_FS="env CLOCK_FILE=$DIR/clock LD_PRELOAD=$DIR/clock_shim.so"
    mount_fs "$@"
}
hour_ms=3600000

# S-LIVE-4: After the machine has slept for hours, a job at once does what has become due meanwhile: it asks about its
#   task, sends what waited for the service or for the next day's budget, saves what is about to expire, and renews
#   what has expired.
@test "S-LIVE-4: asleep until the videos' addresses expire: they are saved in time, or renewed" {
    mount_with_clock
    scenario '{"kind":"create","prompt_contains":"[throttled]","times":1,"response":{"status":429,"headers":{"Retry-After":"1800"}}}'
    for job in saved read; do
        make_job $job "[$job] [[video_bytes=2000000]]"
        wait_ends $job
        json_is $job .output.archived false
    done
    write throttled
    wait_until 10 reason_has throttled 'The service asked to wait'
    # A day less an hour, and before all of it could be saved, two days.
    clock $((23 * hour_ms))
    # The kernel's own timer would have fired at the wake-up; here any request does it.
    for job in saved read; do wait_until 30 json_is $job .output.archived true; done
    wait_status throttled succeeded
    [ "$(creates '[throttled]')" -eq 2 ]
    end_sim
    for job in saved read; do [ "$(wc -c <"$J/$job/output.mp4")" -eq 2000000 ]; done
}

@test "S-LIVE-4: asleep for two days: what has expired meanwhile is renewed for who reads" {
    mount_with_clock --archive never
    make_job cat '[cat] [[video_bytes=2000000]]'
    wait_ends cat
    local was
    was=$(requests poll)
    clock $((48 * hour_ms))
    status_is cat succeeded
    plays cat
    [ "$(requests poll)" -gt "$was" ]
    [ "$(creates)" -eq 1 ]
}

@test "S-LIVE-4: asleep into the next day: what waited for the budget is sent, once" {
    mount_with_clock --budget 1/day
    # It is noon, whenever this runs.
    local noon_ms=$(((36 * hour_ms - $(date +%s) * 1000 % (24 * hour_ms)) % (24 * hour_ms)))
    clock $noon_ms
    make_job today
    write tomorrow
    wait_until 10 reason_has tomorrow budget
    sleep 0.3
    [ "$(creates)" -eq 1 ]
    clock $((noon_ms + 24 * hour_ms))
    wait_status tomorrow succeeded
    write later
    wait_until 10 reason_has later budget
    [ "$(creates)" -eq 2 ]
    # An hour back, as a clock that is set does: nothing is sent before its day.
    clock $((noon_ms + 23 * hour_ms))
    sleep 0.3
    [ "$(creates)" -eq 2 ]
}
