#!/usr/bin/env bats
# `events`: what happens to all jobs, for who follows it.
load helper

setup() { start_world; J=$MNT/jobs; }
teardown() { end_world; }

odd='do"g\ ü' # a name with what JSON escapes, and more

# All that there is now, without waiting for more.
history() { tail -n 100000 "$MNT/events"; }
history_has() { history | grep -qF "$1"; }

# S-EVENT-1: `events` at the root has a line of JSON for each transition of any job, oldest first, with the members
#   time, id, job, state, previous, attempt, task_id and reason. A new job has the state `draft` and no previous one;
#   a removed job has the state `removed`; the line for a rename has the same state as before.
@test "S-EVENT-1: a line for each transition, in order" {
    mount_fs
    make_job cat
    echo '{"prompt": "[[fail]]"}' >"$J/$odd/prompt.json"
    wait_until 20 history_has '"failed"'
    mv "$J/cat" "$J/lion"
    rm -r "$J/lion"
    history | jq -es 'all(keys_unsorted == ["schema","time","id","job","state","previous","attempt","task_id","reason"]) and
        (map(.time) | . == sort) and all(.time | test("^20[0-9-]{8}T[0-9:]{8}\\.[0-9]{3}Z$"))'
    [ "$(history | jq -r 'select(.id == 1) | "\(.job) \(.previous) \(.state)"')" = 'cat null draft
cat draft waiting
cat waiting submitting
cat submitting queued
cat queued running
cat running succeeded
lion succeeded succeeded
lion succeeded removed' ]
    [ "$(history | jq -r 'select(.reason | . and test("^renamed")) | .reason')" = 'renamed from cat' ]
    history | jq -es --arg odd "$odd" 'map(select(.job == $odd)) | map(.state) == ["draft", "waiting", "submitting", "queued",
        "running", "failed"] and (.[-1] | .attempt == 1 and (.task_id | test("^cgt-")) and (.reason | length > 9))'
    # What the jobs themselves say.
    [ "$(grep -c -- '->' "$J/$odd/log")" -eq "$(history | jq -rs --arg odd "$odd" 'map(select(.job == $odd and .previous)) | length')" ]
}

# S-EVENT-2: Lines never change, not even after a restart, and those of a removed job are kept. `st_size` is the
#   length of all lines.
@test "S-EVENT-2: what was read once stays, over a restart and a kill" {
    mount_fs
    make_job cat
    history >"$DIR/first"
    [ "$(stat -c %s "$MNT/events")" -eq "$(wc -c <"$DIR/first")" ]
    restart_fs
    history | cmp - "$DIR/first"
    rm -r "$J/cat"
    mkdir "$J/cat"
    history >"$DIR/second"
    kill_fs
    mount_fs
    history | cmp - "$DIR/second"
    cmp -n "$(wc -c <"$DIR/first")" "$DIR/first" "$DIR/second"
    # In pieces, from anywhere.
    python '
whole = open(sys.argv[1], "rb").read()
fd = os.open(M + "events", os.O_RDONLY)
assert os.fstat(fd).st_size == len(whole) == os.lseek(fd, 0, os.SEEK_END)
for offset in range(0, len(whole), 7):
    assert os.pread(fd, 50, offset) == whole[offset:offset + 50], offset
assert b"".join(os.pread(fd, 1, i) for i in range(300)) == whole[:300]
' "$DIR/second"
}

@test "S-EVENT-2: the history of an older database becomes events" {
    mount_fs
    make_job "$odd" plain
    unmount_fs
    sqlite3 "$DATA/jobs.sqlite" 'DROP TABLE event; DROP VIEW attempt_money; DROP INDEX job_held; ALTER TABLE job DROP COLUMN hold; DROP INDEX take_of_job;
        DROP INDEX job_removed; ALTER TABLE job DROP COLUMN picked_id; ALTER TABLE attempt DROP COLUMN take;
        ALTER TABLE attempt DROP COLUMN take_hidden; ALTER TABLE attempt DROP COLUMN take_problem;
        ALTER TABLE attempt DROP COLUMN take_readers; DROP TABLE take_prompt; DROP TABLE input; DROP TABLE sent; DROP INDEX job_waiting;
        ALTER TABLE job DROP COLUMN problem_code; ALTER TABLE job DROP COLUMN problem_field;
        ALTER TABLE job DROP COLUMN problem_line; ALTER TABLE job DROP COLUMN problem_column; ALTER TABLE file DROP COLUMN is_note;
        ALTER TABLE attempt DROP COLUMN uid; ALTER TABLE attempt DROP COLUMN stored_ms; ALTER TABLE attempt DROP COLUMN stored_in;
        DROP TABLE share; DROP TABLE outbox;
        PRAGMA user_version = 3'
    mount_fs
    history | jq -es --arg odd "$odd" 'map(.state) == ["draft", "waiting", "submitting", "queued", "running", "succeeded"] and
        (map(.previous) == [null] + map(.state)[:-1]) and all(.job == $odd and .id == 1) and
        all(keys_unsorted == ["schema","time","id","job","state","previous","attempt","task_id","reason"])'
    [ "$(history | jq -r .time)" = "$(cut -d' ' -f1 "$J/$odd/log" | sed '/finished the video/d' |
        sed -n '1,5p;$p')" ]
    mkdir "$J/new"
    [ "$(history | tail -n 1 | jq -r .job)" = new ]
}

# S-EVENT-3: At the end of the file a read waits for more, for any number of readers: `cat events` shows the history
#   and then each new line, `tail -f events` the last lines and then each new one, and `tail events` shows the last
#   lines and ends. With O_NONBLOCK a read at the end fails with EAGAIN.
@test "S-EVENT-3: cat, tail and Python follow it, each of them all of it" {
    mount_fs
    mkdir "$J/first"
    cat "$MNT/events" >"$DIR/cat" 3>&- &
    readers=($!)
    cat "$MNT/events" | cat >"$DIR/piped" 3>&- &
    readers+=($!)
    tail -f "$MNT/events" >"$DIR/tail" 3>&- &
    readers+=($!)
    tail -n 0 -s 0.1 -f "$MNT/events" >"$DIR/tail0" 3>&- &
    readers+=($!)
    (while read -r line; do echo "$line"; done <"$MNT/events") >"$DIR/shell" 3>&- &
    readers+=($!)
    "$PYTHON" -u -c 'import sys
for line in open(sys.argv[1]): print(line, end="")' "$MNT/events" >"$DIR/python" 3>&- &
    readers+=($!)
    wait_until 10 test -s "$DIR/tail"
    sleep 1.2 # tail has looked at it for the first time
    make_job cat
    mkdir "$J/last"
    for reader in cat piped tail tail0 shell python; do
        wait_until 15 grep -q '"job":"last"' "$DIR/$reader"
    done
    history >"$DIR/right"
    for reader in cat piped tail shell python; do cmp "$DIR/right" "$DIR/$reader"; done
    sed 1d "$DIR/right" | cmp - "$DIR/tail0"
    kill "${readers[@]}" 2>/dev/null || true
    [ "$(timeout 5 tail -n 1 "$MNT/events" | jq -r .job)" = last ]
    [ "$(timeout 5 head -n 1 "$MNT/events" | jq -r .job)" = first ]
    [ "$(timeout 5 dd if="$MNT/events" iflag=nonblock bs=64k 2>/dev/null | cmp - "$DIR/right" && echo same)" = same ]
    python '
fd = os.open(M + "events", os.O_RDONLY | os.O_NONBLOCK)
os.lseek(fd, 0, os.SEEK_END)
gives(errno.EAGAIN, os.read, fd, 100)
os.mkdir(M + "jobs/one")
assert json.loads(os.read(fd, 100000))["job"] == "one"
gives(errno.EAGAIN, os.read, fd, 100)
'
}
