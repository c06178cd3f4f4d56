#!/usr/bin/env bats
# The key: where it must not be read from, and where it must not be left.
load helper

setup() { start_world; J=$MNT/jobs; }
teardown() {
    [ -z "${READER:-}" ] || kill "$READER" 2>/dev/null || true
    if [ -n "${BIND:-}" ]; then umount -l "$BIND" || true; fi
    end_world
}
logged() { [ "$(grep -c "event=$1" "$DATA/seedancefs.log")" -ge "${2:-1}" ]; }
hup() { kill -HUP "$FS_PID"; }

# S-KEY-1: A key file inside the mount point is refused at the start with exit code 2.
@test "S-KEY-1: a key file inside the mount point" {
    echo "$KEY" >"$MNT/key"
    ln -s "$MNT/key" "$DIR/link"
    for file in "$MNT/key" "$MNT/none" "$DIR/link" "$MNT/../mnt/key"; do
        run timeout 20 "$SEEDANCEFS" --api-url "$API" --data-dir "$DATA" --api-key-file "$file" "$MNT" 3>&-
        [ "$status" -ne 0 ] || FS_PID=$(daemon_pid)
        [ "$status" -eq 2 ]
        [[ $output == *"$file: the key file lies inside the mount point. Choose another with --api-key-file FILE."* ]]
    done
    rm "$MNT/key"
}

# S-KEY-2: A key file that cannot be read at SIGHUP, or not soon (a FIFO, a network filesystem that does not respond,
#   a file in this very mount), delays nothing: the old key is used until the new one has been read.
@test "S-KEY-2: a key file that stands still at SIGHUP" {
    mount_fs
    mkdir "$J/cat"
    rm "$DIR/key"
    mkfifo "$DIR/key"
    hup
    wait_until 20 logged key.slow
    hup
    make_job cat
    # Once it comes it is taken, for each SIGHUP.
    for n in 1 2; do
        timeout 20 sh -c 'echo "$1" >"$2"' - "$KEY" "$DIR/key"
        wait_until 20 logged key.changed $n
    done
    # In the mount itself, by a link that was put there later.
    (umask 077 && echo wrong >"$J/cat/newkey")
    rm "$DIR/key"
    ln -s "$J/cat/newkey" "$DIR/key"
    hup
    wait_until 20 logged key.changed 3
    mkdir "$J/dog"
    echo '{"prompt": "x"}' >"$J/dog/prompt.json"
    wait_until 20 reason_has dog 'refused the API key'
    # The program ends all the same while it is read.
    rm "$DIR/key"
    mkfifo "$DIR/key"
    hup
    wait_until 20 logged key.slow 2
    unmount_fs
}

@test "S-KEY-2: a SIGHUP to all of its processes is one to the program" {
    mount_fs
    pkill -HUP -P "$FS_PID"
    hup
    wait_until 20 logged key.changed
    [ "$(id -u)" -ne 0 ] || echo '{"prompt": "x"}' >"$J/cat/prompt.json" # without mkdir, for which a process looks
    [ "$(grep -cE 'event=(inspector|key_reader|emitter)\.gone' "$DATA/seedancefs.log")" -eq 0 ]
}

# places_of TEXT   the processes of the program that have it in their memory
places_of() {
    "$PYTHON" -c '
import sys
text = sys.argv[1].encode()
for pid in sys.argv[2:]:
    name = open(f"/proc/{pid}/comm").read().strip()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            span, rights, *rest = line.split()
            if not rights.startswith("r") or "[v" in line:
                continue
            first, last = (int(x, 16) for x in span.split("-"))
            try:
                memory.seek(first)
                found = memory.read(last - first).count(text)
            except OSError:
                continue
            if found:
                print(name, found, rest[-1] if len(rest) > 3 else "")
' "$1" "$FS_PID" $(pgrep -P "$FS_PID")
}

# S-KEY-3: After SIGHUP the old key is nowhere in the memory of the program's processes, and the key in use is only in
#   the program's own memory.
@test "S-KEY-3: the old key is nowhere, the new one in the program alone" {
    [ "$(id -u)" = 0 ] || skip "only root can look into the memory of a program that is not dumpable"
    local first=th-first-$RANDOM-cc1b72a4e8 second=th-second-$RANDOM-0d94c6aa31
    end_sim
    start_sim --api-key "$first" --api-key "$second"
    for how in file environment; do
        echo "$first" >"$DIR/key"
        if [ $how = file ]; then
            TOKENHUB_API_KEY=$first mount_fs # which nobody needs
        else
            TOKENHUB_API_KEY=$first "$SEEDANCEFS" --api-url "$API" --data-dir "$DATA" --poll-interval 0.05 --settle 0 "$MNT" 3>&-
            FS_PID=$(daemon_pid)
        fi
        make_job $how
        cat "$J/$how/output.mp4" >/dev/null
        echo '{"prompt": "refused [[fail]]"}' >"$J/${how}2/prompt.json"
        wait_status ${how}2 failed
        places_of "$first" >"$DIR/places"
        [ "$(cut -d' ' -f1 "$DIR/places" | sort -u)" = seedancefs ] || { cat "$DIR/places" >&2; return 1; }
        if [ $how = file ]; then
            echo "$second" >"$DIR/key"
            hup
            wait_until 20 logged key.changed
            places_of "$first" >"$DIR/places"
            [ ! -s "$DIR/places" ] || { cat "$DIR/places" >&2; return 1; }
            make_job after
            places_of "$second" >"$DIR/places"
            [ "$(cut -d' ' -f1 "$DIR/places" | sort -u)" = seedancefs ] || { cat "$DIR/places" >&2; return 1; }
        fi
        unmount_fs
    done
}

prompt() { echo "{\"prompt\": \"$2\"${3:+, $3}}" >"$J/$1/prompt.json"; }
# old_key_jobs   a job that runs, one that waits for its place, one that is held and one that is unknown; then the
# service refuses the old key
old_key_jobs() {
    scenario '{"kind":"create","prompt_contains":"what became","response":{"status":500}}'
    prompt doubt "what became of it"
    wait_status doubt unknown
    prompt long "[[seconds=2]] long"
    wait_status long running
    prompt next "next"
    status_is next waiting
    prompt held "held" '"hold": true'
    status_is held held
    local KEY=th-NEW-KEY
    end_sim
    start_sim
    wait_until 20 refused
}
refused() { [ -e "$J/long/error" ] && has 'HTTP 401' "$J/long/error" && has 'send SIGHUP' "$J/long/error"; }
all_continue() {
    wait_status long succeeded
    wait_status next succeeded
    status_is held held
    status_is doubt unknown
    creates_are 3
    [ ! -e "$J/long/error" ]
}

# S-KEY-4: When the key is replaced, jobs continue where they were: what waits is sent with the new key, tasks are
#   followed with it, and what is held or unknown stays so. A key from the environment or a credential of systemd is
#   replaced by a restart: SIGHUP keeps it, and the log says why.
@test "S-KEY-4: a new key in the file, as docs/RUNNING.md has it" {
    export HOME=$DIR/home
    DATA=$HOME/.local/share/seedancefs
    mkdir -p "$HOME/.local/share" "$DIR/bin"
    cp -p "$DIR/key" "$HOME/.tokenhub-key"
    mount_fs --api-key-file "$HOME/.tokenhub-key" --max-active 1
    # Of all programs of that name on this machine only the one of this test.
    printf '#!/bin/sh\n[ "$*" = "-HUP -x seedancefs" ] && exec kill -HUP %s\n' "$FS_PID" >"$DIR/bin/pkill"
    chmod +x "$DIR/bin/pkill"
    old_key_jobs
    awk '/^## / { is_here = /^## Replacing the API key/ } is_here && sub(/^    /, "")' "$ROOT/docs/RUNNING.md" >"$DIR/block"
    has th-NEW-KEY "$DIR/block"
    PATH=$DIR/bin:$PATH dash "$DIR/block" >"$DIR/said"
    has event=key.changed "$DIR/said"
    [ "$(stat -c %a "$HOME/.tokenhub-key")" = 600 ]
    all_continue
}

@test "S-KEY-4: a new key in the environment or in a credential takes a restart" {
    local how usual=(--api-url "$API" --poll-interval 0.05 --settle 0 --max-active 1)
    mkdir "$DIR/credentials"
    for how in environment credential; do
        DATA=$DIR/$how
        if [ $how = environment ]; then
            TOKENHUB_API_KEY=$KEY "$SEEDANCEFS" "${usual[@]}" --data-dir "$DATA" "$MNT" 3>&-
        else
            echo "$KEY" >"$DIR/credentials/tokenhub-api-key"
            CREDENTIALS_DIRECTORY=$DIR/credentials "$SEEDANCEFS" "${usual[@]}" --data-dir "$DATA" "$MNT" 3>&-
        fi
        find_daemon
        old_key_jobs
        echo th-NEW-KEY >"$DIR/credentials/tokenhub-api-key"
        hup
        wait_until 20 logged 'key.kept why="it came from the environment"'
        sleep 0.5
        refused
        status_is next waiting
        unmount_fs
        if [ $how = environment ]; then
            TOKENHUB_API_KEY=th-NEW-KEY "$SEEDANCEFS" "${usual[@]}" --data-dir "$DATA" "$MNT" 3>&-
        else
            CREDENTIALS_DIRECTORY=$DIR/credentials "$SEEDANCEFS" "${usual[@]}" --data-dir "$DATA" "$MNT" 3>&-
        fi
        find_daemon
        all_continue
        unmount_fs
        : >"$LOG"
        end_sim
        start_sim
    done
}
