#!/usr/bin/env bats
# Editing again, removing and renaming: which states allow what, and what becomes of the task.
load helper

setup_file() { start_world && mount_fs && share_world; }
teardown_file() { end_world; }
setup() { clean_world; J=$MNT/jobs; }
teardown() { end_own_world; }

# A job in each state, named like it. `submitting` and `running` last as long as the test.
one_in_each_state() {
    scenario '{"kind":"create","prompt_contains":"is rejected","response":{"status":400,"body_json":{"error":{"message":"No.","code":"Bad"}}}}' \
        '{"kind":"create","prompt_contains":"is unknown","response":{"status":500}}' \
        '{"kind":"create","prompt_contains":"is submitting","response":{"delay_ms":55000}}' \
        '{"kind":"poll","task":1,"response":{"task_status":"queued"}}' \
        '{"kind":"poll","task":2,"response":{"task_status":"running"}}' \
        '{"kind":"poll","task":4,"response":{"task_status":"cancelled"}}' \
        '{"kind":"poll","task":5,"response":{"task_status":"expired"}}' \
        '{"kind":"poll","task":6,"response":{"status":404}}' \
        '{"kind":"create","prompt_contains":"is waiting","response":{"status":429,"headers":{"Retry-After":"600"}}}'
    mkdir "$J/draft"
    printf '{"prompt": ' >"$J/invalid/prompt.json"
    for state in queued running failed cancelled expired lost succeeded rejected unknown submitting; do
        echo "{\"prompt\": \"is $state$([ $state != failed ] || echo ' [[fail]]')\"}" >"$J/$state/prompt.json"
        [ $state = submitting ] || wait_until 10 is_created $state
    done
    # The last one, because it makes all the others wait.
    echo '{"prompt": "is waiting"}' >"$J/waiting/prompt.json"
    for state in queued running failed cancelled expired succeeded rejected unknown waiting submitting lost; do
        wait_status $state $state
    done
}
is_created() { [ "$(creates "is $1")" -ge 1 ] && ! status_is "$1" submitting; }

EDITABLE='draft invalid rejected failed cancelled expired lost'
FROZEN='waiting submitting unknown queued running succeeded'

# S-EDIT-1: In the states `draft`, `invalid`, `held`, `rejected`, `failed`, `cancelled`, `expired` and `lost`,
#   `prompt.json` can be written again. An acceptable one is a new attempt, even when it is the same as before.
#   `attempt` in status.json counts the attempts. A job that has a video already is the exception: S-TAKE-4.
# S-EDIT-3: With the first change of a new attempt the job is a `draft` again: `request.json`, `response.json` and
#   `error` of the previous attempt disappear, and `log` keeps its history.
# S-FILE-1: `status` is one of the words draft, invalid, held, waiting, submitting, unknown, rejected, queued,
#   running, succeeded, failed, cancelled, expired, lost, and a newline.
@test "S-EDIT-1 S-EDIT-3 S-FILE-1: the editable states start a new attempt, also with the same request" {
    own_world
    mount_fs
    one_in_each_state
    scenario
    for state in $EDITABLE; do
        wait_status $state $state
        if [ -s "$J/$state/prompt.json" ]; then
            [ "$(stat -c %a "$J/$state/prompt.json")" = 644 ]
        fi
        printf '{"prompt":' >"$J/$state/prompt.json"
        wait_status $state invalid
        [ ! -e "$J/$state/request.json" ]
        [ ! -e "$J/$state/response.json" ]
        truncate -s 0 "$J/$state/prompt.json"
        [ "$(cat "$J/$state/status")" = draft ]
        [ ! -e "$J/$state/error" ]
    done
    has 'rejected -> draft' "$J/rejected/log"
    has 'failed -> draft' "$J/failed/log"
    # All wait for the Retry-After of `waiting`.
    kill_fs
    forget_retry_after
    mount_fs
    for state in $EDITABLE; do
        echo "{\"prompt\": \"again is $state\"}" >"$J/$state/prompt.json"
        wait_status $state succeeded
        [ "$(creates "again is $state")" -eq 1 ]
        case $state in
        draft | invalid) [ "$(status_json $state .attempt)" = 1 ] ;;
        *) [ "$(status_json $state .attempt)" = 2 ] ;;
        esac
        [ ! -e "$J/$state/error" ]
    done
}

@test "S-EDIT-1: the same request again after a failure is a new attempt" {
    mount_fs
    scenario '{"kind":"create","n":1,"response":{"status":400}}'
    echo '{"prompt": "same"}' >"$J/cat/prompt.json"
    wait_status cat rejected
    cp "$J/cat/prompt.json" "$DIR/same"
    cp "$DIR/same" "$J/cat/prompt.json"
    wait_status cat succeeded
    [ "$(creates same)" -eq 2 ]
    [ "$(status_json cat .attempt)" = 2 ]
    has 'rejected -> draft' "$J/cat/log"
    has 'attempt 2, estimated' "$J/cat/log"
}

# S-EDIT-2: In every other state `prompt.json` is frozen. Nobody has write permission (0644 is shown as 0444). Opening
#   it for writing, truncating it, creating it again, renaming it, and renaming another file onto it fail with EPERM,
#   for root as well.
@test "S-EDIT-2 S-FILE-1: the frozen states refuse every change of prompt.json, to root as well" {
    own_world
    mount_fs
    one_in_each_state
    local was
    was=$(creates)
    for state in $FROZEN; do
        python '
J = M + "jobs/" + sys.argv[1] + "/"
P = J + "prompt.json"
before = open(P).read()
assert stat.S_IMODE(os.stat(P).st_mode) == 0o444
open(J + "mine", "w").write("{\"prompt\": \"other\"}")
for flags in os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_CREAT:
    gives(errno.EPERM, os.open, P, flags)
gives(errno.EPERM, os.truncate, P, 0)
gives(errno.EPERM, os.rename, J + "mine", P)
gives(errno.EPERM, os.rename, P, J + "away")
gives(errno.EPERM, os.rename, P, M + "jobs/draft/prompt.json")
assert not os.access(P, os.W_OK)
assert open(P).read() == before
assert open(J + "mine").read() == "{\"prompt\": \"other\"}"' $state
        [ "$(cat "$J/$state/status")" = $state ]
    done
    for state in $FROZEN; do
        rm -f "$J/$state/prompt.json"
        python 'gives(errno.EPERM, open, M + "jobs/" + sys.argv[1] + "/prompt.json", "w")
gives(errno.EPERM, os.rename, M + "jobs/" + sys.argv[1] + "/mine", M + "jobs/" + sys.argv[1] + "/prompt.json")' $state
        [ "$(cat "$J/$state/status")" = $state ]
    done
    [ "$(creates)" -eq "$was" ]
}

# S-EDIT-4: Removing the `prompt.json` of an `invalid` or `held` job makes the job a `draft`. Removing that of an
#   accepted job only hides it: the task continues, and the accepted request is kept. The file appears again after a
#   program has tried to create it (which fails, S-EDIT-2), after `fetch`, `refresh` and a restart, and once the job
#   can have a new prompt.
@test "S-EDIT-4: removing prompt.json" {
    mount_fs
    printf '{' >"$J/bad/prompt.json"
    [ "$(cat "$J/bad/status")" = invalid ]
    rm "$J/bad/prompt.json"
    [ "$(cat "$J/bad/status")" = draft ]
    [ ! -e "$J/bad/error" ]
    printf '{' >"$J/bad/prompt.json"
    mv "$J/bad/prompt.json" "$J/bad/aside"
    [ "$(cat "$J/bad/status")" = draft ]
    echo '{"prompt": "goes on"}' >"$J/cat/prompt.json"
    rm -f "$J/cat/prompt.json"
    wait_status cat succeeded
    [ "$(creates)" -eq 1 ]
    has 'goes on' "$J/cat/request.json"
    [ -s "$J/cat/output.mp4" ]
    [ ! -e "$J/cat/prompt.json" ]
    fails grep -q prompt.json <(ls "$J/cat")
    restart_fs
    has 'goes on' "$J/cat/prompt.json"
}

accepted_is_whole() {
    cmp "$J/$1" "$DIR/accepted"
    [ "$(stat -c '%a %h' "$J/$1")" = '444 1' ]
    [ "$(ls "${J:?}/${1%/*}" | grep -c "^${1#*/}$")" -eq 1 ]
}

@test "S-EDIT-4 S-EDIT-2: whatever an editor tries, what was accepted stays there, also after a restart" {
    mount_fs
    echo '{"prompt": "accepted"}' >"$J/cat/prompt.json"
    wait_status cat succeeded
    cp "$J/cat/prompt.json" "$DIR/accepted"
    echo '{"prompt": "other"}' >"$DIR/other"
    local settings vim
    vim=$(command -v vim || command -v vim.tiny)
    for settings in 'backupcopy=yes' 'backupcopy=no' 'backupcopy=auto' 'backup backupcopy=no' \
        'backup backupcopy=yes' 'nobackup nowritebackup' 'noswapfile cpoptions+=W'; do
        fails "$vim" -Nu NONE -es -c "set $settings" -c '%s/accepted/other' -c 'w!' -c 'qa!' "$J/cat/prompt.json"
        accepted_is_whole cat/prompt.json
    done
    fails sed -i s/accepted/other/ "$J/cat/prompt.json"
    fails cp --remove-destination "$DIR/other" "$J/cat/prompt.json"
    fails install "$DIR/other" "$J/cat/prompt.json"
    fails rsync "$DIR/other" "$J/cat/prompt.json"
    fails mv -f "$DIR/other" "$J/cat/prompt.json"
    accepted_is_whole cat/prompt.json
    # As emacs does it, and nano with a backup: away with the old one, then a new one.
    python '
P = M + "jobs/cat/prompt.json"
gives(errno.EPERM, os.rename, P, P + "~")
os.unlink(P)
gives(errno.EPERM, os.open, P, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
open(P + ".new", "w").write("{}")
os.unlink(P)
gives(errno.EPERM, os.rename, P + ".new", P)
os.unlink(P)
gives(errno.EPERM, os.mknod, P)
os.unlink(P)
gives(errno.EPERM, open, M + "jobs/cat/prompt.txt", "w")'
    accepted_is_whole cat/prompt.json
    # To another disk: it is copied, and gone here until somebody asks for it.
    mv -f "$J/cat/prompt.json" "$DIR/moved"
    cmp "$DIR/moved" "$DIR/accepted"
    [ ! -e "$J/cat/prompt.json" ]
    echo refresh >"$J/cat/ctl"
    accepted_is_whole cat/prompt.json
    rm -f "$J/cat/prompt.json"
    restart_fs
    accepted_is_whole cat/prompt.json
    [ "$(creates)" -eq 1 ]
}

# S-EDIT-5: The other files of a job can be changed at any time.
@test "S-EDIT-5: the other files can be changed in every state" {
    own_world
    mount_fs
    one_in_each_state
    for state in $EDITABLE $FROZEN; do
        echo note >"$J/$state/note"
        echo more >>"$J/$state/note"
        mv "$J/$state/note" "$J/$state/note2"
        [ "$(cat "$J/$state/note2")" = "$(printf 'note\nmore')" ]
        rm "$J/$state/note2"
        [ "$(cat "$J/$state/status")" = $state ]
    done
}

# S-REMOVE-1: `rm -r jobs/NAME` removes a job in every state.
# S-REMOVE-4: A job that is removed while it waits is not sent.
@test "S-REMOVE-1 S-REMOVE-4: rm -r in every state; what waited is not sent" {
    own_world
    mount_fs
    one_in_each_state
    local was
    was=$(creates)
    for state in $EDITABLE $FROZEN; do
        echo note >"$J/$state/note"
        rm -r "$J/$state"
        [ ! -e "$J/$state" ]
    done
    [ -z "$(ls -A "$J")" ]
    scenario
    kill_fs # a clean end would wait for the response to `submitting`
    mount_fs
    [ -z "$(ls -A "$J")" ]
    sleep 0.3
    [ "$(creates)" -eq "$was" ]
}

@test "S-REMOVE-4: removed before it was sent, it is never sent" {
    scenario '{"kind":"create","n":1,"response":{"status":429,"headers":{"Retry-After":"1"}}}'
    mount_fs
    echo '{"prompt": "removed"}' >"$J/cat/prompt.json"
    wait_until 5 has 'the service asked to wait' "$J/cat/log"
    rm -r "$J/cat"
    echo '{"prompt": "later"}' >"$J/dog/prompt.json"
    wait_status dog succeeded
    [ "$(creates removed)" -eq 1 ]
    [ "$(creates later)" -eq 1 ]
}

@test "S-EDIT-4 S-REMOVE-1: a hidden prompt comes back with a state that takes a new one, and goes with its job" {
    own_world
    scenario '{"kind":"poll","task":1,"response":{"task_status":"running"}}'
    mount_fs
    printf 'accepted' >"$J/cat/prompt.txt"
    wait_status cat running
    cp "$J/cat/prompt.txt" "$DIR/accepted"
    rm -f "$J/cat/prompt.txt"
    fails cat "$J/cat/prompt.txt"
    scenario '{"kind":"poll","task":1,"times":1,"response":{"task_status":"failed"}}'
    wait_status cat failed
    cmp "$J/cat/prompt.txt" "$DIR/accepted"
    [ "$(stat -c %a "$J/cat/prompt.txt")" = 644 ]
    # The same again: what it shows from now on is what was accepted now.
    echo retry >"$J/cat/ctl"
    wait_status cat succeeded
    accepted_is_whole cat/prompt.txt
    # The state may change between the two calls of `rm -r`.
    scenario '{"kind":"poll","task":3,"response":{"task_status":"running"}}'
    echo '{"prompt": "dog"}' >"$J/dog/prompt.json"
    wait_status dog running
    rm -f "$J/dog/prompt.json"
    scenario '{"kind":"poll","task":3,"response":{"task_status":"failed"}}'
    wait_status dog failed
    [ -e "$J/dog/prompt.json" ]
    rmdir "$J/dog"
    # But one that was written since is a file like any other.
    scenario '{"kind":"poll","task":4,"response":{"task_status":"running"}}'
    echo '{"prompt": "cow"}' >"$J/cow/prompt.json"
    wait_status cow running
    rm -f "$J/cow/prompt.json"
    scenario '{"kind":"poll","task":4,"response":{"task_status":"failed"}}'
    wait_status cow failed
    printf '{"prompt":' >"$J/cow/prompt.json"
    python 'gives(errno.ENOTEMPTY, os.rmdir, M + "jobs/cow")'
    rm -r "$J/cat" "$J/cow"
    [ -z "$(ls "$J")" ]
    [ -z "$(ls "$DATA/files")" ]
}

# S-REMOVE-5: Removing a job does not stop its task at the service.
# S-SPEND-9: The task id and the cost of a removed job stay in the database of the data directory.
@test "S-REMOVE-5 S-SPEND-9: a removed job's task goes on at the service, and its id and cost are kept" {
    mount_fs
    echo '{"prompt": "goes on [[seconds=1]]"}' >"$J/cat/prompt.json"
    wait_status cat running
    local task
    task=$(status_json cat .task_id)
    rm -r "$J/cat"
    unmount_fs
    FS_PID=
    curl -sf "${API%/api/v1}/oracle/tasks" | jq -e --arg id "$task" '.tasks[] | select(.id == $id)'
    python '
import sqlite3
base = sqlite3.connect("file:" + glob.glob(sys.argv[1] + "/*.db")[0] + "?mode=ro", uri=True) \
    if glob.glob(sys.argv[1] + "/*.db") else sqlite3.connect(glob.glob(sys.argv[1] + "/*.sqlite*")[0])
text = "\n".join(base.iterdump())
assert sys.argv[2] in text
assert "1000000" in text' "$DATA" "$task"
}

# S-REMOVE-2: `rmdir` removes a job together with its generated files and all its takes. It fails with ENOTEMPTY while
#   the job has files of your own; an accepted prompt that was removed (S-EDIT-4) is not counted as one.
@test "S-REMOVE-2: rmdir asks for your files to be removed first, not for generated ones" {
    mount_fs
    make_job cat
    python 'gives(errno.ENOTEMPTY, os.rmdir, M + "jobs/cat")'
    touch "$J/cat/note"
    rm -f "$J/cat/prompt.json"
    python 'gives(errno.ENOTEMPTY, os.rmdir, M + "jobs/cat")'
    rm "$J/cat/note"
    rmdir "$J/cat"
    [ ! -e "$J/cat" ]
    mkdir "$J/empty"
    rmdir "$J/empty"
    python 'gives(errno.ENOENT, os.rmdir, M + "jobs/empty")
gives(errno.ENOTDIR, os.rmdir, M + "README.txt")'
}

# S-REMOVE-3: Removing a generated file hides it until the state of the job changes, `fetch` or `refresh` succeeds, or
#   the program is restarted.
@test "S-REMOVE-3: a removed generated file is hidden until the next state or a restart" {
    mount_fs
    make_job cat
    wait_until 10 test -e "$J/cat/cover.jpg" # it comes after the video
    rm "$J/cat/log" "$J/cat/output.mp4" "$J/cat/cover.jpg" "$J/cat/output.url"
    fails cat "$J/cat/log"
    fails cat "$J/cat/output.mp4"
    [ "$(ls "$J/cat" | tr '\n' ' ')" = 'cost ctl progress prompt.json request.json response.json status status.json ' ]
    restart_fs
    [ -s "$J/cat/log" ]
    [ -s "$J/cat/output.mp4" ]
    [ -s "$J/cat/output.url" ]
    echo '{"prompt": "x [[fail]]"}' >"$J/dog/prompt.json"
    wait_status dog failed
    rm -f "$J/dog/error" "$J/dog/log"
    [ ! -e "$J/dog/error" ]
    [ ! -e "$J/dog/log" ]
    echo '{"prompt": "again [[fail]]"}' >"$J/dog/prompt.json"
    wait_status dog failed
    [ -s "$J/dog/error" ]
    [ -s "$J/dog/log" ]
}

@test "S-REMOVE-3: fetch and refresh show what was removed" {
    mount_fs
    make_job cat
    for command in fetch refresh; do
        rm -f "$J/cat/output.mp4" "$J/cat/cover.jpg" "$J/cat/log" "$J/cat/prompt.json"
        [ ! -e "$J/cat/output.mp4" ]
        [ ! -L "$MNT/videos/cat.mp4" ]
        echo evict >"$J/cat/ctl"
        fails sh -c "echo retry >'$J/cat/ctl'"
        [ ! -e "$J/cat/output.mp4" ]
        echo $command >"$J/cat/ctl"
        cmp "$J/cat/output.mp4" <(curl -sf "${API%/api/v1}/oracle/video/$(status_json cat .task_id)")
        [ -s "$MNT/videos/cat.mp4" ]
        [ -s "$J/cat/cover.jpg" ]
        [ -s "$J/cat/log" ]
        [ -s "$J/cat/prompt.json" ]
    done
    # Before there is a video, too.
    scenario '{"kind":"poll","response":{"task_status":"running"}}'
    echo '{"prompt": "dog"}' >"$J/dog/prompt.json"
    wait_status dog running
    rm -f "$J/dog/log" "$J/dog/prompt.json"
    fails sh -c "echo fetch >'$J/dog/ctl'"
    [ ! -e "$J/dog/log" ]
    echo refresh >"$J/dog/ctl"
    [ -s "$J/dog/log" ]
    [ -s "$J/dog/prompt.json" ]
}

# S-REMOVE-6: A job can be renamed at any time: its task continues, and its open files stay open.
@test "S-REMOVE-6: a job can be renamed at any time, and goes on" {
    own_world
    mount_fs
    one_in_each_state
    for state in $EDITABLE $FROZEN; do
        exec 5<"$J/$state/status"
        local inode
        inode=$(stat -c %i "$J/$state")
        mv "$J/$state" "$J/new name $state"
        [ ! -e "$J/$state" ]
        [ "$(cat "$J/new name $state/status")" = "$state" ]
        [ "$(cat <&5)" = $state ]
        exec 5<&-
        [ "$(stat -c %i "$J/new name $state")" = "$inode" ]
        [ "$(status_json "new name $state" .name)" = "new name $state" ]
        has renamed "$J/new name $state/log"
    done
    [ "$(ls "$J" | wc -l)" -eq 13 ]
    kill_fs
    mount_fs
    [ "$(cat "$J/new name succeeded/status")" = succeeded ]
    [ "$(ls "$J" | wc -l)" -eq 13 ]
}

@test "S-REMOVE-6: renamed while prompt.json is being written, and while the task runs" {
    mount_fs
    exec 7>"$J/a/prompt.json"
    printf '{"prompt": "moved ' >&7
    mv "$J/a" "$J/b"
    printf 'twice"}' >&7
    exec 7>&-
    mv "$J/b" "$J/c"
    wait_status c succeeded
    [ "$(creates)" -eq 1 ]
    body 1 | jq -e '.prompt == "moved twice"'
    exec 6<"$J/c/output.mp4"
    mv "$J/c" "$J/d"
    cmp "$J/d/output.mp4" <(cat <&6)
    exec 6<&-
}

# S-REMOVE-7: Renaming a job onto another one replaces the other if that is an empty draft, and otherwise fails with
#   ENOTEMPTY. `mv --no-clobber` and RENAME_NOREPLACE never replace. RENAME_EXCHANGE fails with EINVAL.
@test "S-REMOVE-7: only an empty draft is replaced" {
    mount_fs
    make_job cat
    mkdir "$J/empty" "$J/other"
    touch "$J/other/note"
    make_job dog
    python '
J = M + "jobs/"
gives(errno.ENOTEMPTY, os.rename, J + "cat", J + "other")
gives(errno.ENOTEMPTY, os.rename, J + "cat", J + "dog")
gives(errno.ENOTEMPTY, os.rename, J + "other", J + "cat")
libc = ctypes.CDLL(None, use_errno=True)
def renameat2(a, b, flags):
    if libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), flags) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")
gives(errno.EEXIST, renameat2, J + "cat", J + "empty", 1)
gives(errno.EEXIST, renameat2, J + "cat", J + "dog", 1)
gives(errno.EINVAL, renameat2, J + "cat", J + "dog", 2)
open(J + "other/a", "w").write("a")
gives(errno.EEXIST, renameat2, J + "other/note", J + "other/a", 1)
gives(errno.EINVAL, renameat2, J + "other/note", J + "other/a", 2)
renameat2(J + "other/note", J + "other/b", 1)
os.rename(J + "cat", J + "empty")
os.rename(J + "dog", J + "dog")'
    [ "$(ls "$J" | tr '\n' ' ')" = 'dog empty other ' ]
    [ "$(cat "$J/empty/status")" = succeeded ]
    restart_fs
    [ "$(ls "$J" | tr '\n' ' ')" = 'dog empty other ' ]
    [ "$(cat "$J/other/a")" = a ]
}

# S-REMOVE-8: Generated files cannot be renamed, and jobs cannot be moved into one another: EPERM.
@test "S-REMOVE-8: generated files stay, and jobs stay jobs" {
    mount_fs
    make_job cat
    mkdir "$J/dog"
    python '
J = M + "jobs/"
for name in os.listdir(J + "cat"):
    if name != "prompt.json":
        gives(errno.EPERM, os.rename, J + "cat/" + name, J + "cat/other")
        gives(errno.EPERM, os.rename, J + "cat/" + name, J + "dog/other")
gives(errno.EPERM, os.rename, J + "cat", J + "dog/cat")
gives(errno.EPERM, os.rename, J + "cat", M + "cat")
gives(errno.EPERM, os.rename, M + "README.txt", M + "other")
gives(errno.EXDEV, os.rename, J + "cat", sys.argv[1] + "/cat")' "$DIR"
    [ "$(cat "$J/cat/status")" = succeeded ]
}

# S-REMOVE-9: A file of your own that is removed or replaced can still be read where it is open.
@test "S-REMOVE-9: an open file stays readable when it is removed, replaced, or its job removed" {
    mount_fs
    mkdir "$J/cat" "$J/dog"
    echo one >"$J/cat/a"
    echo two >"$J/cat/b"
    echo three >"$J/dog/c"
    exec 4<"$J/cat/a" 5<"$J/cat/b" 6<"$J/dog/c" 7<>"$J/cat/d"
    rm "$J/cat/a"
    mv "$J/dog/c" "$J/cat/b"
    rm "$J/cat/d"
    echo four >&7
    rm -r "$J/cat" "$J/dog"
    [ "$(cat <&4)" = one ]
    [ "$(cat <&5)" = two ]
    [ "$(cat <&6)" = three ]
    python 'assert os.pread(7, 10, 0) == b"four\n"; assert os.fstat(7).st_nlink == 0'
    exec 4<&- 5<&- 6<&- 7<&-
    [ -z "$(ls "$DATA/files")" ]
}

# S-REMOVE-10: The name of a removed job can be used at once for a new job, which takes over nothing from the old one.
@test "S-REMOVE-10: the name is free at once, and the new job is a new one" {
    mount_fs
    make_job cat
    local inode
    inode=$(stat -c %i "$J/cat")
    rm -r "$J/cat"
    make_job cat 'another'
    [ "$(stat -c %i "$J/cat")" != "$inode" ]
    [ "$(status_json cat .attempt)" = 1 ]
    [ "$(wc -l <"$J/cat/log")" -eq 7 ]
    cmp "$J/cat/output.mp4" <(curl -sf "${API%/api/v1}/oracle/video/$(status_json cat .task_id)")
}

# S-REMOVE-11: A file of your own can be renamed within its job and to another job.
@test "S-REMOVE-11: your files move within a job and to another" {
    mount_fs
    mkdir "$J/cat" "$J/dog"
    echo one >"$J/cat/a"
    local inode
    inode=$(stat -c %i "$J/cat/a")
    mv "$J/cat/a" "$J/cat/b"
    mv "$J/cat/b" "$J/dog/c"
    [ "$(stat -c %i "$J/dog/c")" = "$inode" ]
    echo two >"$J/cat/d"
    mv -f "$J/cat/d" "$J/dog/c"
    [ "$(cat "$J/dog/c")" = two ]
    [ ! -e "$J/cat/a" ]
    [ ! -e "$J/cat/b" ]
    [ ! -e "$J/cat/d" ]
    restart_fs
    [ "$(cat "$J/dog/c")" = two ]
    [ "$(ls "$J/cat" | wc -l)" -eq 6 ]
}
