#!/usr/bin/env bats
# Backups, and that what was restored from one orders nothing by itself.
load helper

setup() { start_world; J=$MNT/jobs; }
teardown() { end_world; }

prompt() { echo "{\"prompt\": \"$2\"${3:+, $3}}" >"$J/$1/prompt.json"; }
backups_are() { [ "$(grep -c event=backup.made "$DATA/seedancefs.log")" -ge "$1" ]; }
backup() {
    local before
    before=$(grep -c event=backup.made "$DATA/seedancefs.log") || true
    kill -USR2 "$FS_PID"
    wait_until 10 backups_are $((before + 1))
}

# S-RESTORE-1: On SIGUSR2, and every hour in which something changed, the program makes a consistent copy of its
#   database beside it, `jobs.backup.sqlite`, and goes on meanwhile. The copy takes its name when it is whole and on
#   disk.
@test "S-RESTORE-1: 200 backups against a writer: each is whole, and has all that was there when it was asked for" {
    mount_fs --hold
    "$PYTHON" - "$J" >"$DIR/made" 3>&- <<'SCRIPT' &
import os, sys
for i in range(100000):
    name = 'job-%d' % i
    try:
        os.mkdir(os.path.join(sys.argv[1], name))
        with open(os.path.join(sys.argv[1], name, 'prompt.json'), 'w') as f:
            f.write('{"prompt": "number %d"}' % i)
    except OSError:
        break
    print(name, flush=True)
SCRIPT
    local writer=$! made i
    wait_until 10 test -s "$DIR/made"
    for i in $(seq 200); do
        made=$(wc -l <"$DIR/made")
        backup
        [ "$(sqlite3 "$DATA/jobs.backup.sqlite" 'PRAGMA integrity_check')" = ok ]
        [ "$(sqlite3 "$DATA/jobs.backup.sqlite" "SELECT count(*) >= $made FROM job JOIN attempt ON attempt.id = job.attempt_id
            JOIN exchange ON exchange.attempt_id = attempt.id WHERE state = 'held'")" -eq 1 ]
    done
    kill $writer
    wait $writer || true # it may be in the middle of a call, and the mount busy
    echo "# $(wc -l <"$DIR/made") jobs written meanwhile" >&3
    [ ! -e "$DATA/jobs.backup.sqlite.new" ]
    # An unmount in the middle leaves the last one.
    kill -USR2 "$FS_PID"
    unmount_fs
    [ "$(sqlite3 "$DATA/jobs.backup.sqlite" 'PRAGMA integrity_check')" = ok ]
    creates_are 0
}

# S-RESTORE-2: A data directory that was restored from a backup, or copied, is noticed at the start: what waited to be
#   sent is `held`, because it may have been sent since the copy was made. `error` of each such job, the log and
#   `restored_at` in `spend.json` say so. Neither a restart, nor a kill, nor moving the directory within its
#   filesystem is taken for that.
@test "S-RESTORE-2: what was restored from a backup is held" {
    mount_fs --max-active 1
    prompt done "done"
    wait_status done succeeded
    prompt long "[[seconds=600]] long"
    wait_status long running
    prompt next "the next one"
    status_is next waiting
    backup
    mkdir "$DIR/restored"
    cp -r "$DATA/files" "$DIR/restored/"
    cp "$DATA/jobs.backup.sqlite" "$DIR/restored/jobs.sqlite"
    unmount_fs
    cp -a "$DATA" "$DIR/copied"
    mount_fs --max-active 1
    # Since then it was sent.
    rm -r "$J/long"
    wait_status next succeeded
    creates_are 3
    unmount_fs
    mv "$DATA" "$DIR/overwritten"
    # The old database in the file of the new one: only the witness beside it tells.
    cat "$DIR/restored/jobs.sqlite" >"$DIR/overwritten/jobs.sqlite"
    local way
    for way in copied overwritten restored; do
        DATA=$DIR/$way
        mount_fs
        status_is next held || { echo "$way" >&2; return 1; }
        has 'This data directory is a restored backup or another copy' "$J/next/error"
        has 'event=data.restored' "$DATA/seedancefs.log"
        reason_has next 'The data directory is a copy; nothing was sent from it. `echo submit > ctl` orders it: 1.00 USD.'
        [ "$(jq -r .restored_at "$MNT/spend.json")" != null ]
        status_is done succeeded
        unmount_fs
        mount_fs # it is noticed once, and stays held
        status_is next held
        [ "$(grep -c event=data.restored "$DATA/seedancefs.log")" -eq 1 ]
        creates_are 3
        [ "$way" = restored ] || unmount_fs
    done
    echo submit >"$J/next/ctl"
    wait_status next succeeded
    [ ! -e "$J/next/error" ]
    creates_are 4
}

@test "S-RESTORE-2: a restart, a kill and a move are no restoring" {
    mount_fs --max-active 1
    prompt long "[[seconds=600]] long"
    wait_status long running
    prompt next "the next one"
    status_is next waiting
    restart_fs --max-active 1
    status_is next waiting
    for i in 1 2 3 4 5; do
        kill_fs
        mount_fs --max-active 1
        status_is next waiting
    done
    unmount_fs
    mv "$DATA" "$DATA.moved"
    DATA=$DATA.moved
    mount_fs --max-active 1
    status_is next waiting
    [ "$(jq -r .restored_at "$MNT/spend.json")" = null ]
    creates_are 1
}

# S-RESTORE-3: In a data directory that was restored or copied, a sentence at the top of `index.html` says so, how many
#   jobs are held because of that, and that what was spent since the copy was made is not in the budget. It is there for
#   seven days, as long as the service keeps tasks that can be adopted, and after that while a job is held because of that.
@test "S-RESTORE-3: index.html says that the directory is a copy, what is held and what is not known" {
    says() { has "<p class=\"copy\" id=\"copy\">$1</p>" "$MNT/index.html"; }
    local noticed rest=', and what was spent since the copy was made is not in the budget.'
    mount_fs --max-active 1
    prompt long "[[seconds=600]] long"
    wait_status long running
    prompt a "the next one"
    prompt b "another one"
    prompt own "held for itself" '"hold": true'
    status_is own held
    says ''
    unmount_fs
    cp -a "$DATA" "$DATA.copy"
    DATA=$DATA.copy
    mount_fs
    status_is b held
    noticed=$(jq -r .restored_at "$MNT/spend.json")
    noticed="This data directory is a restored backup or a copy (noticed on ${noticed:0:10} at ${noticed:11:5} UTC): "
    says "${noticed}2 jobs that waited in it are held until you order them$rest"
    echo submit >"$J/a/ctl"
    says "${noticed}one job that waited in it is held until you order it$rest"
    # A week later it says so because of that job only.
    unmount_fs
    sqlite3 "$DATA/jobs.sqlite" "UPDATE meta SET value = value - 7 * 86400000 WHERE key = 'restored_ms'"
    mount_fs
    has ': one job that waited in it is held until you order it,' "$MNT/index.html"
    rm -r "$J/b"
    says ''
    [ "$(jq -r .restored_at "$MNT/spend.json")" != null ]
    # Within the week it also says so when nothing is held.
    unmount_fs
    sqlite3 "$DATA/jobs.sqlite" "UPDATE meta SET value = value + 3600000 WHERE key = 'restored_ms'"
    mount_fs
    has "nothing that waited in it is held now$rest</p>" "$MNT/index.html"
    status_is own held
    wait_status a succeeded
}
