#!/usr/bin/env bats
# One tree on several hosts: what one does, the others see. Each host is a mount of its own here; the oracles are the
# leader's mount, the simulator's log, and the database.
load helper
load share

setup_file() { start_database; }
teardown_file() { end_database; }
setup() {
    start_world --video-bytes 300K
    new_tree
    # shellcheck disable=SC2034 # of the helper's
    J=$MNT/jobs B=$DIR/b
}
teardown() {
    local code=0
    end_hosts || code=1
    end_world || code=1
    return $code
}
# says TEXT COMMAND...   it fails, and says so.
says() { fails "${@:2}" && has "$1" "$DIR/fails.out"; }
made() { make_job "$1" && wait_status "$1" succeeded; }
is_stored() { member_of "$1" .output.stored_at && [ "$MEMBER" != null ]; }

# S-SHARE-1: With `--share URL`, in a database that `seedancefs --share URL --share-init` has prepared, several hosts
#   have one tree. The first one that has an API key leads, and does everything as without it; what its data directory
#   had before is in the tree. A host whose data directory is empty follows: names, bytes, modes, times, states,
#   `events`, `spend.json` and inode numbers are the same there, a moment after they are on disk there, and 5 s later at
#   worst; what is written into a file, once it is closed. What differs is `metrics`, `progress`, how much of a video is
#   on the disk, `defaults.json`, which is the leader's alone, and files of more than 64 MiB, which cannot be opened
#   elsewhere (EIO).
@test "S-SHARE-1: what was there before and what comes is the same on another host" {
    mount_fs
    mkdir "$J/before" "$MNT/assets" 2>/dev/null || true
    echo note >"$J/before/note.txt"
    head -c 3000000 /dev/urandom >"$J/before/large.bin"
    made old
    unmount_fs
    host_up a
    host_up b
    same_soon a b
    made cat
    mkdir "$J/owl"
    echo '{"prompt": "an owl", "hold": true}' >"$J/owl/prompt.json"
    cp "$J/before/large.bin" "$MNT/assets/"
    mv "$J/before" "$J/x" && mv "$J/owl" "$J/before" && mv "$J/x" "$J/owl"
    echo more >>"$J/owl/note.txt"
    chmod 640 "$J/owl/note.txt"
    touch -d '2020-02-02 02:02:02.123' "$J/owl/large.bin"
    rm -r "$J/old"
    same_soon a b
    : >"$J/owl/large.bin"
    rm "$MNT/assets/large.bin"
    echo submit >"$J/before/ctl"
    wait_status before succeeded
    same_soon a b
    # A host that comes later, and one that comes back.
    host_up c
    same_soon a c
    host_down b
    made later
    host_up b
    same_soon a b
    [ "$(creates)" -eq 4 ]
}

@test "S-SHARE-1: files that change, shrink, go or are too large while they are pushed" {
    host_up a --max-file-size 100M
    host_up b
    mkdir "$J/cat"
    head -c 30000000 /dev/urandom >"$J/cat/large"
    pause 200
    truncate -s 20000000 "$J/cat/large"
    head -c 30000000 /dev/urandom >"$J/cat/gone"
    pause 200
    rm "$J/cat/gone"
    head -c 3000 /dev/urandom >"$J/cat/grows"
    SECONDS_MAX=60 same_soon a b
    mkdir "$J/after"
    same_soon a b
    # Nothing is left of what is gone.
    [ "$(as_admin "$TREE" "select count(distinct id / 4096) from seedance.mirror where kind = 'bytes'")" -eq 2 ]
    fails grep -q 'share.copying' <(tail -n +30 "$DIR/data-b/seedancefs.log")
    head -c 68000000 /dev/urandom >"$J/cat/grows"
    cannot_be_read() { ! cat "$B/jobs/cat/grows" >"$DIR/out" 2>&1 && has 'Input/output error' "$DIR/out"; }
    wait_until 20 cannot_be_read
    chmod 600 "$J/cat/grows"
    pause 500
    cannot_be_read
    echo small >"$J/cat/grows"
    same_soon a b
}

# S-SHARE-2: On a host that follows, whatever would change something fails with EROFS, and nothing changes. Videos can
#   be fetched to its own disk, and evicted from there.
@test "S-SHARE-2: what would change something is refused on a host that follows, and changes nothing" {
    host_up a
    made cat
    echo note >"$J/cat/note.txt"
    host_up b
    same_soon a b
    tree_of a >"$DIR/before"
    local job=$B/jobs/cat
    refused() { fails "$@" && has 'Read-only file system' "$DIR/fails.out"; }
    refused mkdir "$B/jobs/new"
    refused bash -c "echo x >'$B/jobs/new.txt/prompt.txt'"
    refused bash -c "echo x >'$job/new.txt'"
    refused bash -c "echo x >>'$job/note.txt'"
    refused truncate -s 0 "$job/note.txt"
    refused mv "$job" "$B/jobs/dog"
    refused mv "$job/note.txt" "$job/other.txt"
    refused rm "$job/note.txt"
    refused rm "$job/prompt.json"
    refused rm "$job/status"
    refused rm -r "$job"
    refused chmod 600 "$job/note.txt"
    refused touch "$job/note.txt"
    refused bash -c "echo edit >'$job/ctl'"
    refused bash -c "echo '{}' >'$B/defaults.json'"
    refused bash -c "echo x >'$B/assets/x'"
    tree_of b | diff "$DIR/before" -
    tree_of a | diff "$DIR/before" -
    [ "$(creates)" -eq 1 ]
}

# S-SHARE-3: A host that follows sends nothing to the service, and asks it nothing. It reads videos by the URLs that
#   the leader knows as long as they are good, and from the object store, without which `--share` is refused.
@test "S-SHARE-3: a host that follows reads videos from the object store, and never asks the service" {
    host_up a
    made cat
    wait_until 20 is_stored cat
    curl -sSf "http://127.0.0.1:$API_PORT/oracle/video/$(status_json cat .task_id)" >"$DIR/right"
    host_up b
    same_soon a b
    # All of the service's URLs are refused from here on.
    scenario '{"kind": "video", "response": {"status": 403}}' '{"kind": "poll", "response": {"status": 500}}'
    host_down a
    local asked
    asked=$(jq -r 'select(.kind == "poll" or .kind == "create") | .kind' "$LOG" | wc -l)
    cmp "$B/jobs/cat/output.mp4" "$DIR/right"
    cmp "$B/videos/cat.mp4" "$DIR/right"
    echo refresh >"$B/jobs/cat/ctl" || true
    [ "$(jq -r 'select(.kind == "poll" or .kind == "create") | .kind' "$LOG" | wc -l)" -eq "$asked" ]
    host_up a
}

# S-SHARE-4: While the database is away, the leader goes on, and the others read what they have seen. A start waits for
#   it for 10 s, then warns and goes on with what is there; a host that has nothing yet ends with exit code 2 and a
#   sentence.
@test "S-SHARE-4: while the database is away all goes on, and what was done is everywhere once it is back" {
    host_up a
    made cat
    host_up b
    same_soon a b
    metric() { sed -n "s/^seedancefs_$2 *//p" "$(host_mount "$1")/metrics"; }
    [ "$(metric a share_leads) $(metric b share_leads) $(metric b share_silent_seconds)" = '1 0 0' ]
    mkdir "$J/counted"
    entries_are_same() { [ "$(metric a share_seq)" -eq "$(metric b share_seq)" ] && [ "$(metric b share_entries_total)" -ge 1 ]; }
    wait_until 10 entries_are_same
    database_down
    made owl
    [ "$(metric b share_silent_seconds)" -ge 1 ]
    echo note >"$J/owl/note.txt"
    cat "$B/jobs/cat/prompt.json" "$B/jobs/cat/status" >"$DIR/read"
    [ ! -e "$B/jobs/owl" ]
    host_down a && host_up a >"$DIR/said" 2>&1
    has 'the database has not answered' "$DIR/said"
    made dog
    host_kill b && host_up b >"$DIR/said" 2>&1
    cat "$B/jobs/cat/prompt.json" | cmp - <(head -c "$(stat -c %s "$J/cat/prompt.json")" "$DIR/read")
    database_up
    SECONDS_MAX=60 same_soon a b
    [ "$(creates)" -eq 3 ]
}

# S-SHARE-5: What the others have to get is written down in the same transaction as what was done. Whatever ends the
#   programs, and at whatever moment, after their next start all have the same.
@test "S-SHARE-5: a leader that is killed at any moment loses nothing of what it had done" {
    host_up a
    host_up b
    local i n writer
    for i in 1 2 3 4 5 6; do
        { for n in 1 2 3 4 5 6 7 8 9; do mkdir "$J/r$i.$n" && echo "$i $n" >"$J/r$i.$n/note.txt"; done; make_job "v$i"; } 2>/dev/null &
        writer=$!
        pause $((i * 40))
        host_kill a
        wait "$writer" || true
        host_up a
        same_soon a b
    done
    for i in 1 2 3 4 5 6; do
        [ ! -e "$J/v$i/status" ] || [ "$(creates "v$i")" -le 1 ]
    done
    # And one that follows, while it copies, and at any other time.
    for i in 1 2 3 4; do
        host_kill b
        [ $((i % 2)) -eq 0 ] || rm -rf "$(host_data b)"
        host_up b & writer=$!
        pause $((i * 10))
        make_job "w$i" || true
        wait "$writer"
        find_pid b
        host_kill b
        host_up b
        same_soon a b
    done
}
# Of a host that was started by a process of its own.
find_pid() { local DATA FS_PID; DATA=$(host_data "$1") && find_daemon && printf -v "PID_$1" '%s' "$FS_PID"; }

# What was pushed, and what the host knows to be pushed, are not the same after a lost answer.
@test "S-SHARE-5: what is in the log already is recognised, and not pushed again" {
    host_up a
    host_up b
    mkdir "$J/one" "$J/two"
    same_soon a b
    host_down a
    # As if the answer for the last two entries had never come.
    local seq entries
    seq=$(as_admin "$TREE" "select max(seq) from seedance.change")
    for n in 1 0; do
        as_admin "$TREE" "select entry from seedance.change where seq = $((seq - n))" >"$DIR/entry"
        sqlite3 "$DATA/jobs.sqlite" "insert into outbox (entry, tag) values (cast(readfile('$DIR/entry') as text), '$(as_admin "$TREE" "select tag from seedance.change where seq = $((seq - n))")')"
    done
    sqlite3 "$DATA/jobs.sqlite" "update share set seq = $((seq - 2)), tag = '$(as_admin "$TREE" "select tag from seedance.change where seq = $((seq - 2))")'"
    host_up a
    pause 500
    [ "$(as_admin "$TREE" "select max(seq) from seedance.change")" -eq "$seq" ]
    mkdir "$J/three"
    same_soon a b
}

@test "S-SHARE-5: a file that is being written when the leader is killed is the same afterwards" {
    host_up a
    host_up b
    mkdir "$J/cat"
    echo old >"$J/cat/note.txt"
    same_soon a b
    exec 7<>"$J/cat/note.txt"
    echo NEW >&7
    sync "$J/cat/note.txt"
    pause 300
    host_kill a
    exec 7>&-
    host_up a
    [ "$(<"$J/cat/note.txt")" = NEW ]
    same_soon a b
}

@test "S-SHARE-1: files of several parts, odd times, and one that cannot be read hold nothing up" {
    host_up a
    host_up b
    mkdir "$J/cat"
    echo x >"$J/cat/odd.txt"
    touch -d 1960-01-01 "$J/cat/odd.txt"
    : >"$J/cat/empty"
    head -c 9000000 /dev/urandom >"$J/cat/large"
    same_soon a b
    # Again and again other bytes, while the other host goes and comes back, with a new directory at times.
    local i
    for i in 1 2 3 4; do
        head -c $((i * 3500000)) /dev/urandom >"$J/cat/large"
        pause $((i * 60))
        host_kill b
        [ $((i % 2)) -eq 0 ] || rm -rf "$DIR/data-b"
        host_up b
    done
    same_soon a b
    # A file whose bytes cannot be opened.
    echo more >"$J/cat/odd.txt"
    same_soon a b
    local file
    file=$DATA/files/$(ls -t "$DATA/files" | head -n 1)
    mv "$file" "$DIR/bytes" && ln -s nowhere "$file"
    host_down a && sqlite3 "$DATA/jobs.sqlite" "insert into outbox (file_id, tag) values (${file##*/}, '$(printf %032d 7)')" && host_up a
    mkdir "$J/after"
    wait_until 10 test -d "$B/jobs/after"
    rm "$file" && mv "$DIR/bytes" "$file"
    same_soon a b
}

@test "S-SHARE-1: a copy that is made while a file is being pushed has no holes" {
    host_up a
    mkdir "$J/cat"
    local bytes="entry #>> '{rows,0,0}' = 'bytes' and entry #>> '{rows,0,2,part}' = '2'" n
    for n in 1 2; do
        head -c 3000000 /dev/urandom >"$J/cat/large"
        parts_are() { [ "$(as_admin "$TREE" "select count(*) from seedance.change where $bytes")" -eq "$n" ]; }
        wait_until 10 parts_are
    done
    cp "$J/cat/large" "$DIR/right"
    host_down a
    # As if the last part of the second version were still to come: there is that of the first one.
    as_admin "$TREE" "create table last as select * from seedance.change order by seq desc limit 1" \
        "delete from seedance.change where seq = (select seq from last)" \
        "update seedance.mirror as m set data = c.entry #> '{rows,0,2}' from seedance.change as c where $bytes and m.kind = 'bytes' and m.id = (c.entry #>> '{rows,0,1}')::bigint"
    host_up b
    [ -d "$B/jobs/cat" ]
    as_admin "$TREE" "update seedance.mirror as m set data = c.entry #> '{rows,0,2}' from last as c where m.kind = 'bytes' and m.id = (c.entry #>> '{rows,0,1}')::bigint" \
        "insert into seedance.change select * from last" "select pg_notify('seedance', '1')"
    wait_until 20 cmp -s "$DIR/right" "$B/jobs/cat/large"
}

# S-SHARE-6: What does not belong together is refused at the start, with a sentence and exit code 2: a database that is
#   not prepared, a data directory with jobs of its own where another host leads, one of another tree, one of a shared
#   tree without `--share`, a second program with the role of the leader, a leader's data directory that was copied or
#   put back, and a leader without an API key.
@test "S-SHARE-6: what does not belong together is refused with a sentence" {
    mount_fs && made mine && unmount_fs
    # A database that nobody has prepared; a password where others see it; no place for videos.
    as_admin postgres "create database ${TREE}_empty"
    TREE=${TREE}_empty host_refused 'seedancefs --share URL --share-init' b
    program() { "$SEEDANCEFS" --api-url "$API" --api-key-file "$DIR/key" "$@" "$MNT"; }
    says 'there is a password in the URL' program --data-dir "$DIR/x" --objects "s3://seedance/p?endpoint=http://127.0.0.1:$API_PORT&region=x" \
        --share 'postgresql://u:secret@127.0.0.1/x'
    says 'it needs a place for the videos' program --data-dir "$DIR/x" --share "$(url ws_b)"
    host_up b
    host_refused 'has jobs of its own, and ws_b leads' a
    # The data directory of one that shares, without that; a second program with the role of the leader.
    host_up c
    host_down c
    says 'shares a tree with others' program --data-dir "$DIR/data-c"
    DATA_OF=$DIR/x host_refused 'another program uses the role ws_b' b
    # A copy of the leader's directory, from before its last start.
    host_down b
    cp -a "$DIR/data-b" "$DIR/copy"
    host_up b
    host_kill b
    DATA_OF=$DIR/copy host_refused 'another program uses the role ws_b' b
    host_up b
    # A leader without a key. Another tree.
    host_down b
    mv "$DIR/key" "$DIR/kept-key"
    : >"$DIR/key"
    host_refused 'no API key' b || host_refused 'API key' b
    mv "$DIR/kept-key" "$DIR/key"
    new_tree other
    rm -rf "$DIR/data-c"
    host_up c
    host_refused 'belongs to another shared tree' b
}

# S-SHARE-7: When the database has gone back in time or has lost something, the leader gives it everything anew, and
#   the others copy it anew; it does the same with a new, empty database. Meanwhile everybody reads what they have seen.
#   A database to which somebody has written is never begun anew by a host that has not led it.
@test "S-SHARE-7: a database that has gone back is filled again by the leader, and the others copy it anew" {
    host_up a
    host_up b
    made cat
    same_soon a b
    as_admin "$TREE" "create table saved as select * from seedance.change" "create table saved_mirror as select * from seedance.mirror"
    made owl
    rm -r "$J/cat"
    same_soon a b
    host_down a
    as_admin "$TREE" "delete from seedance.change" "insert into seedance.change select * from saved" \
        "delete from seedance.mirror" "insert into seedance.mirror select * from saved_mirror"
    host_up a
    same_soon a b
    made dog
    same_soon a b
    [ "$(creates)" -eq 3 ]
}

@test "S-SHARE-7: a log that goes back while everybody is connected is noticed" {
    host_up a
    host_up b
    made cat
    same_soon a b
    as_admin "$TREE" "create table saved as select * from seedance.change" "create table saved_mirror as select * from seedance.mirror"
    mkdir "$J/lost" && mv "$J/cat" "$J/dog"
    same_soon a b
    as_admin "$TREE" begin "delete from seedance.change" "insert into seedance.change select * from saved" \
        "delete from seedance.mirror" "insert into seedance.mirror select * from saved_mirror" commit
    wait_until 20 has 'place=other' "$DIR/data-b/seedancefs.log"
    same_soon a b
    mkdir "$J/new"
    same_soon a b
    # The leader is killed again and again while it fills the database anew.
    local i
    for i in 1 2 3 4 5; do
        host_kill a
        as_admin "$TREE" begin "delete from seedance.change" "insert into seedance.change select * from saved" commit
        host_up a
        pause $((i * 7))
    done
    same_soon a b
    # Without its schema everybody can still read, and goes on once it is there again; also in another database.
    as_admin "$TREE" "set client_min_messages = warning" "drop schema seedance cascade"
    pause 6000
    [ -d "$J/dog" ] && [ -d "$B/jobs/dog" ]
    new_tree again
    host_down a
    host_up a
    rm -rf "$DIR/data-c"
    host_up c
    same_soon a c
}

@test "S-SHARE-6: a leader's data directory that was put back does not lead" {
    host_up a
    mkdir "$J/one"
    pause 500
    host_kill a
    cp -a "$DATA" "$DIR/snapshot"
    host_up a
    made two
    wait_until 10 is_in_log two
    host_kill a
    rm -rf "$DATA"
    cp -a "$DIR/snapshot" "$DATA"
    host_refused 'another program uses the role ws_a' a
    # Also when the database was told to forget what it knows of this host.
    as_admin "$TREE" "delete from seedance.host"
    host_refused 'has changes that this data directory lacks' a
    [ "$(creates)" -eq 1 ]
}
is_in_log() { [ "$(as_admin "$TREE" "select count(*) from seedance.v_job where name = '$1' and state = 'succeeded'")" = 1 ]; }

@test "S-SHARE-7: a database that was restored from a backup, and one that has lost rows" {
    host_up a
    host_up b
    made cat
    same_soon a b
    dump() { PGPASSWORD=admin-password "$@" -h 127.0.0.1 -p "$(database_port)" -U admin; }
    dump pg_dump -Fc -f "$DIR/dump" "$TREE"
    host_down a
    host_up a
    mkdir "$J/later"
    same_soon a b
    host_down a
    dump pg_restore --clean --if-exists -d "$TREE" "$DIR/dump" 2>"$DIR/restored" || true
    host_up a
    SECONDS_MAX=60 same_soon a b
    mkdir "$J/last"
    same_soon a b
    # A part of a row that is not there.
    as_admin "$TREE" "delete from seedance.mirror where kind = 'exchange'"
    made owl
    SECONDS_MAX=60 same_soon a b
}

# S-SHARE-8: A URL with a password is refused. PGPASSWORD is wiped once it was read. No password is in a log, in a file
#   of the mount or of the data directory.
@test "S-SHARE-8: passwords are where others cannot see them" {
    host_up a
    host_up b
    same_soon a b
    local pid
    for pid in "$(host_pid a)" "$(host_pid b)"; do
        fails grep -aq 'pw-.-canary' "/proc/$pid/environ" "/proc/$pid/cmdline"
    done
    fails grep -rqF 'pw-b-canary' "$B/metrics" "$B/jobs" "$DIR/data-b"
    # Wrong ones, and a role that may nothing.
    as_admin postgres "alter role ws_c password 'another'"
    as_admin "$TREE" "create role stranger_$BATS_TEST_NUMBER login password 'pw-c-canary'"
    host_refused 'password authentication failed' c
    fails grep -F 'pw-c-canary' "$DIR/refused"
    as_admin postgres "alter role ws_c password 'pw-c-canary'"
}
