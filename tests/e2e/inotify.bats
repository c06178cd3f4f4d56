#!/usr/bin/env bats
# inotify(7) and file managers see what the program itself changes.
load helper

setup() {
    command -v inotifywait >/dev/null || skip "inotifywait is not installed (inotify-tools)"
    start_world
    J=$MNT/jobs
}
teardown() {
    [ -z "${WATCH:-}${OTHER:-}" ] || kill $WATCH $OTHER 2>/dev/null || true
    [ -z "${BACKUP:-}" ] || umount "$MNT" "$BACKUP" 2>/dev/null || true
    [ -z "${DIR:-}" ] || end_world
}

# watch PATH...   what inotify tells of these goes to $DIR/seen.
watch() {
    inotifywait -m -q --format '%e %w%f' "$@" >"$DIR/seen" 2>"$DIR/watch.err" 3>&- &
    WATCH=$!
    wait_until 10 watches "$#"
}
# inotifywait adds its watches one after the other.
watches() { [ "$(grep -c '^inotify wd' "/proc/$WATCH/fdinfo/3")" -eq "$1" ]; }
unwatch() { kill "$WATCH"; wait "$WATCH" || true; }
seen() { grep -qxF "$1" "$DIR/seen"; }
# The process works in a mount table of its own: what it does there makes no unmount fail, whenever it comes.
works_apart() { [ "$(readlink "/proc/$(helpers)/ns/mnt")" != "$(readlink "/proc/$FS_PID/ns/mnt")" ]; }
helpers() { pgrep -P "$FS_PID" -x seedancefs-tell; }
has_helper() { [ -n "$(helpers)" ]; }

# S-NOTIFY-1: The program raises inotify(7) events for what it changes itself: IN_CREATE when output.mp4, cover.jpg,
#   request.json, response.json, output.url, error, a picture of the video, videos/NAME.mp4 or a name in by-status
#   appears, IN_DELETE when one of them disappears, IN_MODIFY when status, status.json, progress, log, cost, error or, at the root, events,
#   index.html or spend.json have changed, and for progress and status.json while a video is fetched.
@test "S-NOTIFY-1: what comes to be there, and what changes" {
    mount_fs
    mkdir "$J/cat" "$J/owl" # what is told of owl's beginning comes before all that is waited for here
    watch "$MNT" "$J/cat" "$MNT/videos" "$MNT/by-status/succeeded" "$MNT/by-status/running"
    echo '{"prompt": "x [[seconds=1]]"}' >"$J/cat/prompt.json"
    wait_until 20 seen "CREATE $J/cat/output.mp4"
    wait_until 10 seen "CREATE $J/cat/cover.jpg"
    wait_until 10 seen "CREATE $MNT/videos/cat.mp4"
    wait_until 10 seen "CREATE $MNT/by-status/succeeded/cat"
    for event in "CREATE $J/cat/request.json" "CREATE $J/cat/response.json" "CREATE $J/cat/output.url" \
        "CREATE $MNT/by-status/running/cat" "DELETE $MNT/by-status/running/cat" "MODIFY $J/cat/status" \
        "MODIFY $J/cat/status.json" "MODIFY $J/cat/progress" "MODIFY $J/cat/log" "MODIFY $J/cat/cost" \
        "MODIFY $MNT/events" "MODIFY $MNT/index.html" "MODIFY $MNT/spend.json"; do
        wait_until 10 seen "$event"
    done
    # Nothing was made, and the one who is told of the video finds it.
    [ "$(grep -cx "CREATE $J/cat/output.mp4" "$DIR/seen")" -eq 1 ]
    [ "$(stat -c '%F %a' "$J/cat/output.mp4")" = 'regular file 444' ]
    cmp "$J/cat/output.mp4" "$MNT/videos/cat.mp4"
    # Each of them for a file that is watched by itself, as `tail -F` and editors do it.
    unwatch
    watch "$J/owl/status" "$J/owl/progress"
    printf '{"prompt": "y", "resolution": "480p"}' >"$J/dog/prompt.json"
    wait_status dog succeeded
    sleep 0.2
    [ ! -s "$DIR/seen" ] # not of this job
    printf '{"prompt": "y", "resolution": "480p"}' >"$J/owl/prompt.json"
    wait_until 20 seen "MODIFY $J/owl/status"
    wait_until 20 seen "MODIFY $J/owl/progress"
    unwatch
    [ "$(creates)" -eq 3 ]
}

@test "S-NOTIFY-1: the pictures of a video" {
    with_ffmpeg
    mount_fs
    mkdir "$J/cat"
    watch "$J/cat"
    echo '{"prompt": "x"}' >"$J/cat/prompt.json"
    wait_status cat succeeded
    echo fetch >"$J/cat/ctl"
    wait_until 20 seen "CREATE $J/cat/last_frame.png"
    wait_until 20 seen "CREATE $J/cat/first_frame.png"
    unwatch
}

@test "S-NOTIFY-1: what changes without a transition" {
    slow_video cat
    J=$MNT/jobs
    sleep 0.5 # what there was to tell is told
    watch "$J/cat"
    # A command that is refused: ctl says why, and nothing is wrong with the job.
    fails sh -c "echo nonsense >'$J/cat/ctl'"
    # Its video comes.
    cat "$J/cat/output.mp4" >/dev/null 3>&- &
    reader=$!
    wait_until 20 bash -c "[ \$(grep -cxF 'MODIFY $J/cat/progress' '$DIR/seen') -ge 2 ]"
    wait "$reader"
    fails seen "CREATE $J/cat/error"
    # Another name for the job.
    mv "$J/cat" "$J/dog"
    wait_until 10 grep -q '^MODIFY .*/status.json$' "$DIR/seen"
    unwatch
}

@test "S-NOTIFY-1: what goes by itself" {
    mount_fs
    mkdir "$J/cat"
    watch "$J/cat" "$MNT/videos" "$MNT/by-status/draft" "$MNT/by-status/failed" "$MNT/by-status/succeeded" "$MNT/by-status/queued"
    echo '{"prompt": "x [[fail]]"}' >"$J/cat/prompt.json"
    wait_status cat failed
    wait_until 10 seen "CREATE $J/cat/error"
    wait_until 10 seen "DELETE $MNT/by-status/draft/cat"
    wait_until 10 seen "CREATE $MNT/by-status/failed/cat"
    # Another attempt: what the one before has left goes.
    echo retry >"$J/cat/ctl"
    wait_until 10 seen "DELETE $J/cat/error"
    wait_until 10 seen "DELETE $MNT/by-status/failed/cat"
    wait_until 10 seen "CREATE $MNT/by-status/queued/cat"
    wait_status cat failed
    wait_until 10 bash -c "[ \$(grep -cxF 'CREATE $J/cat/error' '$DIR/seen') -eq 2 ]"
    # What was refused is no matter any more, and says so.
    mkdir "$J/dog"
    touch "$J/dog/prompt.txt"
    watch_too=$DIR/seen.too
    inotifywait -m -q --format '%e %w%f' "$J/dog" >"$watch_too" 3>&- &
    OTHER=$!
    wait_until 10 grep -q "$(printf 'inotify wd')" "/proc/$OTHER/fdinfo/3"
    fails touch "$J/dog/prompt.json"
    wait_until 10 grep -qxF "CREATE $J/dog/error" "$watch_too"
    fails touch "$J/dog/prompt.json"
    wait_until 10 grep -qxF "MODIFY $J/dog/error" "$watch_too"
    rm "$J/dog/prompt.txt"
    wait_until 10 grep -qxF "DELETE $J/dog/error" "$watch_too"
    kill "$OTHER"
    wait "$OTHER" || true
    # It is there, as a file with a link, for those who had it open too.
    [ "$(stat -c '%F %h' "$J/cat/error")" = 'regular file 1' ]
    unwatch
    [ "$(creates)" -eq 2 ]
}

# S-NOTIFY-5: When creating a file makes the directory of a job, IN_CREATE is raised in jobs/, once, and the directory
#   stays the same for programs that work in it meanwhile. When a job is removed or renamed, IN_DELETE and IN_CREATE
#   are raised for what changes in videos/ and by-status.
@test "S-NOTIFY-5: a directory that creating a file has made" {
    mount_fs
    watch "$J"
    for i in $(seq 20); do
        echo text >"$J/new$i/notes"
        cd "$J/new$i"
        # As long as the telling may take, and a little more.
        for _ in $(seq 20); do
            cd -P . && [ "$PWD" = "$J/new$i" ] # as the kernel tells it
            echo more >>notes
            [ -s "$J/new$i/notes" ]
        done
        cd /
        mkdir "$J/made$i"
    done
    for i in $(seq 20); do wait_until 10 seen "CREATE,ISDIR $J/new$i"; done
    [ "$(grep -c ^CREATE "$DIR/seen")" -eq 40 ]
    # A path that has come to nothing, and the directory is then made: told once, by the kernel.
    fails sh -c "echo x >'$J/twice/status'"
    kill -STOP "$(helpers)"
    mkdir "$J/twice" "$J/between" # so that the same event twice would not be seen as one
    kill -CONT "$(helpers)"
    # A job whose name is that of a directory of the mount.
    for name in jobs draft error; do echo text >"$J/$name/notes"; done
    for name in jobs draft error; do wait_until 10 seen "CREATE,ISDIR $J/$name"; done
    [ "$(cat "$J/jobs/notes")" = text ]
    wait_until 10 seen "CREATE,ISDIR $J/twice"
    [ "$(sort "$DIR/seen" | uniq -d)" = '' ]
    [ "$(cat "$J/new7/notes" | sort -u | tr '\n' ' ')" = 'more text ' ]
    # The telling comes late: the directory has been looked up before, and somebody is in it.
    kill -STOP "$(helpers)"
    echo text >"$J/late/notes"
    cd "$J/late"
    ls -l "$J/late" "$J" >/dev/null
    kill -CONT "$(helpers)"
    wait_until 10 seen "CREATE,ISDIR $J/late"
    [ "$(/bin/pwd)" = "$J/late" ]
    [ "$(cat notes)" = text ]
    cd /
    unwatch
}

@test "S-NOTIFY-5: what removing and renaming a job changes elsewhere" {
    mount_fs
    make_job cat
    mkdir "$J/empty"
    watch "$MNT/videos" "$MNT/by-status/succeeded" "$MNT/by-status/draft"
    mv "$J/cat" "$J/dog"
    for event in "DELETE $MNT/videos/cat.mp4" "CREATE $MNT/videos/dog.mp4" \
        "DELETE $MNT/by-status/succeeded/cat" "CREATE $MNT/by-status/succeeded/dog"; do
        wait_until 10 seen "$event"
    done
    rmdir "$J/empty"
    wait_until 10 seen "DELETE $MNT/by-status/draft/empty"
    # The user removes the video, and its name in videos/ goes.
    rm "$J/dog/output.mp4"
    wait_until 10 seen "DELETE $MNT/videos/dog.mp4"
    rm -r "$J/dog"
    wait_until 10 seen "DELETE $MNT/by-status/succeeded/dog"
    [ "$(grep -c "videos/dog.mp4" "$DIR/seen")" -eq 2 ]
    unwatch
    ls -lR "$MNT" >/dev/null
}

# S-NOTIFY-2: The process that raises these events has nothing of the mount open while nothing changes, and does not
#   have the API key. It ends with the program, however the program ends, and does no harm when it ends itself. It
#   works on this mount only, whatever else is mounted in its place. With --no-inotify there is no such process.
@test "S-NOTIFY-2: the process behind it" {
    TOKENHUB_API_KEY=$KEY "$SEEDANCEFS" --api-url "$API" --data-dir "$DATA" --poll-interval 0.05 --settle 0 "$MNT" 3>&-
    FS_PID=$(daemon_pid)
    wait_until 5 has_helper
    helper=$(helpers)
    fails grep -aq "$KEY" "/proc/$helper/environ"
    make_job cat
    # At rest: no file but /dev/null, its end of a socket and the table of mounts; and the mount can go.
    [ "$(readlink "/proc/$helper/cwd")" = / ]
    wait_until 5 bash -c "! readlink /proc/$helper/fd/* | grep -v '^/dev/null$' | grep -v '^socket:' | grep -v '/mountinfo$'"
    kill -9 "$helper"
    wait_until 5 process_is_gone "$helper"
    make_job dog
    [ "$(cat "$J/dog/wait")" = succeeded ]
    unmount_fs
    mount_fs
    wait_until 5 has_helper
    helper=$(helpers)
    kill_fs
    wait_until 5 process_is_gone "$helper"
    mount_fs --no-inotify
    [ -z "$(helpers)" ]
    make_job bird
    unmount_fs
}

# S-NOTIFY-3: It never delays anything: while it is stopped everything else continues, and it raises the events for
#   what changed meanwhile when it continues.
@test "S-NOTIFY-3: a process that stands still holds nothing up" {
    mount_fs
    helper=$(helpers)
    watch "$MNT/videos"
    kill -STOP "$helper"
    for i in 1 2 3 4 5; do echo "{\"prompt\": \"$i\"}" >"$J/job$i/prompt.json"; done
    for i in 1 2 3 4 5; do [ "$(timeout 20 cat "$J/job$i/wait")" = succeeded ]; done
    ls -lR "$MNT" >/dev/null
    fails grep -q CREATE "$DIR/seen"
    kill -CONT "$helper"
    for i in 1 2 3 4 5; do wait_until 10 seen "CREATE $MNT/videos/job$i.mp4"; done
    unwatch
    # Stopped, and the program ends: so does it.
    kill -STOP "$helper"
    kill "$FS_PID"
    wait_until 10 process_is_gone "$FS_PID"
    wait_until 5 process_is_gone "$helper"
}

# What is on the screen of the virtual display, as one number.
screen() { xwd -root -silent -display "$DISPLAY" | tail -c +4000 | cksum; }
screen_is_still() { local before; before=$(screen); sleep 0.4; [ "$(screen)" = "$before" ]; }
screen_is_another() { [ "$(screen)" != "$1" ]; }
screen_is() { [ "$(screen)" = "$1" ]; }
settle() { sleep 2; wait_until 30 screen_is_still; }

# show DIRECTORY   in a file manager
show() {
    # A socket of its own there: else it would ask the one before, which is just ending, to do it.
    XDG_RUNTIME_DIR=$(mktemp -d "$DIR/runtime.XXXXXX") dbus-run-session -- pcmanfm --no-desktop "$1" >"$DIR/pcmanfm.out" 2>&1 3>&- &
    MANAGER=$!
    settle
}
hide() {
    kill "$MANAGER" $(pgrep -P "$MANAGER") 2>/dev/null || true
    wait "$MANAGER" || true
}

# S-NOTIFY-4: A file manager that shows a job shows its video when it is finished, without being told to refresh.
@test "S-NOTIFY-4: a file manager shows a finished video without F5" {
    for program in Xvfb pcmanfm xwd dbus-run-session; do
        command -v $program >/dev/null || skip "$program is not installed"
    done
    [ "$BUILD" = build ] || skip "once is enough: it is about the kernel and the file manager"
    mount_fs
    # Without -noreset it begins anew when its last client ends, and refuses who comes meanwhile.
    Xvfb -displayfd 6 -noreset -screen 0 800x600x24 -nolisten tcp 6>"$DIR/display" 2>"$DIR/xvfb.out" 3>&- &
    xvfb=$!
    wait_until 20 test -s "$DIR/display"
    export DISPLAY=:$(cat "$DIR/display") HOME=$DIR XDG_CONFIG_HOME=$DIR/config
    # Thumbnails come in their own time, and not the same twice.
    mkdir -p "$DIR/config/libfm"
    printf '[ui]\nshow_thumbnail=0\n' >"$DIR/config/libfm/libfm.conf"
    code=0
    twice shows_in_videos && twice shows_in_job && file_manager_needs_it || code=1
    hide
    kill "$xvfb"
    wait "$xvfb" || true
    [ $code -eq 0 ]
}

# A window that is slow to be drawn is given another chance, with another job.
twice() { "$1" 1 || { hide; "$1" 2; }; }
shows_in_videos() { file_manager_shows "$MNT/videos" "dog$1"; }
shows_in_job() { file_manager_shows "$J/cat$1" "cat$1"; }

# The screen differs from the saved one by less than an icon and a half; another file would move all that follow it.
screen_is_like() {
    xwd -root -silent -display "$DISPLAY" >"$DIR/screen.now"
    "$PYTHON" -c 'import sys
a, b = (open(path, "rb").read()[-800 * 600 * 4:] for path in sys.argv[1:])
sys.exit(sum(a[i:i + 4] != b[i:i + 4] for i in range(0, len(a), 4)) > 3000)' "$1" "$DIR/screen.now"
}

# file_manager_shows DIRECTORY JOB   what JOB brings to DIRECTORY, just as if it had been opened afterwards.
file_manager_shows() {
    local before
    mkdir -p "$J/$2"
    show "$1"
    before=$(screen)
    sleep 1
    screen_is "$before" || return 1 # nothing on it changes by itself
    make_job "$2"
    wait_until 20 screen_is_another "$before" || return 1
    settle
    xwd -root -silent -display "$DISPLAY" >"$DIR/screen.after"
    hide
    show "$1"
    wait_until 10 screen_is_like "$DIR/screen.after" || return 1
    hide
}

# Without the process behind inotify it does not.
file_manager_needs_it() {
    local before
    unmount_fs
    mount_fs --no-inotify
    show "$MNT/videos"
    before=$(screen)
    make_job bird
    sleep 2
    screen_is "$before" || return 1
    hide
}

@test "S-NOTIFY-2: what others have mounted in its place is left alone" {
    mkdir "$DIR/backup"
    mount -t tmpfs tmpfs "$DIR/backup" 2>/dev/null || skip "may not mount"
    BACKUP=$DIR/backup # for teardown
    mount_fs
    echo '{"prompt": "x [[seconds=4]]"}' >"$J/cat/prompt.json"
    wait_status cat running
    unmount_fs
    # A copy of the tree, of the kind that a backup is, over the mount before there was anything to tell.
    mkdir -p "$DIR/backup/by-status/running" "$DIR/backup/by-status/succeeded" "$DIR/backup/jobs/cat" "$DIR/backup/videos"
    ln -s ../../jobs/cat "$DIR/backup/by-status/running/cat"
    echo running >"$DIR/backup/jobs/cat/status"
    touch -d @1000000000 "$DIR/backup/jobs/cat/status"
    find "$DIR/backup" -printf '%P %y %T@\n' | sort >"$DIR/before"
    mount_fs
    mount --bind "$DIR/backup" "$MNT"
    wait_until 20 grep -q 'to=succeeded' "$DATA/seedancefs.log" "$DIR/stderr"
    sleep 1
    find "$DIR/backup" -printf '%P %y %T@\n' | sort | diff "$DIR/before" -
    umount "$MNT"
    [ "$(cat "$J/cat/status")" = succeeded ]
    unmount_fs
    umount "$BACKUP"
    BACKUP=
}

@test "S-NOTIFY-2: an unmount right after a change does not find the mount busy" {
    unshare -m true 2>/dev/null || unshare -Um true 2>/dev/null || skip "no mount tables of one's own here"
    for i in $(seq 30); do
        mount_fs
        echo '{"prompt": "x"}' >"$J/cat$i/prompt.json"
        cat "$J/cat$i/wait" >/dev/null
        unmount_fs
    done
    # What others have mounted by then, and unmount, is not kept alive by a copy.
    mount_fs
    mkdir "$DIR/other"
    mount -t tmpfs tmpfs "$DIR/other" 2>/dev/null || true
    make_job dog
    wait_until 5 works_apart
    [ "$(wc -l <"/proc/$(helpers)/mountinfo")" -eq 1 ]
    ! mountpoint -q "$DIR/other" || umount "$DIR/other"
    # Lazily, while somebody has a file open: the program goes on until it is closed.
    exec 4<"$J/dog/status"
    fusermount3 -uz "$MNT"
    [ "$(cat <&4)" = succeeded ]
    exec 4<&-
    wait_until 10 process_is_gone "$FS_PID"
}
