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
