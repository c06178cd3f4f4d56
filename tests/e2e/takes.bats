#!/usr/bin/env bats
# Takes: a shot is made again until it is right, and no video is lost on the way.
load helper

setup() { start_world; J=$MNT/jobs; }
teardown() { end_world; }

prompt() { echo "{\"prompt\": \"$2\"${3:+, $3}}" >"$J/$1/prompt.json"; }

# order JOB COMMAND   `take`, `edit` or `adopt`: saves the present video first, and is EBUSY until then
order() { echo "$2" >"$J/$1/ctl"; }
ordered() { order "$@" 2>/dev/null; }
order_soon() { wait_until 20 ordered "$@"; }

# take_again JOB   another take, until it is there
take_again() {
    order_soon "$1" take
    wait_status "$1" succeeded
}

# is_video FILE TASK   the whole video that the simulator has for this task, byte for byte
is_video() { cmp "$1" <(curl -sf "http://127.0.0.1:$API_PORT/oracle/video/$2"); }
task_of() { jq -r .task_id "$J/$1/status.json"; }
spent() { jq -r '.attempts | length' "$MNT/spend.json"; }

# S-TAKE-1: `take` in ctl orders the request of the picked take once more, as a new, paid attempt. When it succeeds it
#   is picked: `output.mp4`, `cover.jpg`, `output.url` and `videos/NAME.mp4` are its own. Until then, and when it fails,
#   they are those of the take before, in every state of the job; so is the video while the size of the new one cannot
#   be found out.
# S-TAKE-2: `takes/` appears with the second take: `N.mp4` is the video of take N, and `N.json` the prompt from which it
#   was made, as it was written. A video has one inode wherever it is seen, and its link count says how many names it
#   has.
# S-TAKE-7: spend.json lists and counts each attempt.
@test "S-TAKE-1 S-TAKE-2 S-TAKE-7: another take; both are there" {
    mount_fs
    prompt cat "a cat [[seconds=1]]"
    wait_status cat succeeded
    local first second
    first=$(task_of cat)
    [ ! -e "$J/cat/takes" ]
    [ "$(jq -c '[.take, (.takes | length)]' "$J/cat/status.json")" = '[1,1]' ]
    is_video "$J/cat/output.mp4" "$first"
    order_soon cat take
    wait_until 10 creates_are 2
    # The old one is there while the new one is made.
    is_video "$J/cat/output.mp4" "$first"
    is_video "$MNT/videos/cat.mp4" "$first"
    ls "$J/cat" | grep -qx cover.jpg
    wait_status cat succeeded
    second=$(task_of cat)
    [ "$first" != "$second" ]
    [ "$(ls "$J/cat/takes" | tr '\n' ' ')" = "1.json 1.mp4 2.json 2.mp4 " ]
    is_video "$J/cat/output.mp4" "$second"
    is_video "$MNT/videos/cat.mp4" "$second"
    is_video "$J/cat/takes/1.mp4" "$first"
    is_video "$J/cat/takes/2.mp4" "$second"
    cmp "$J/cat/prompt.json" "$J/cat/takes/1.json"
    cmp "$J/cat/prompt.json" "$J/cat/takes/2.json"
    [ "$(stat -c '%i %h %a' "$J/cat/takes/2.mp4")" = "$(stat -c '%i %h %a' "$J/cat/output.mp4")" ]
    [ "$(stat -c %i "$MNT/videos/cat.mp4")" = "$(stat -c %i "$J/cat/output.mp4")" ]
    [ "$(stat -c %h "$J/cat/output.mp4")" -eq 3 ]
    [ "$(stat -c %h "$J/cat/takes/1.mp4")" -eq 1 ]
    [ "$(jq -c '[.take, [.takes[].take]]' "$J/cat/status.json")" = '[2,[1,2]]' ]
    [ "$(spent)" -eq 2 ]
    grep -q '>take 2 of 2 <a class="take"' "$MNT/index.html"
    [ "$(body 1)" = "$(body 2)" ]
    # The same after a restart, and read anew.
    restart_fs
    is_video "$J/cat/output.mp4" "$second"
    is_video "$J/cat/takes/1.mp4" "$first"
    creates_are 2
}

# S-TAKE-3: `pick N` makes take N the job's video, at once and without a request; the job is `succeeded` with it, also
#   from `failed` and after `edit`. `prompt.json` is not changed. While an attempt is under way it is EBUSY.
@test "S-TAKE-3: pick, there and back" {
    mount_fs
    prompt cat "a cat [[seconds=1]]"
    wait_status cat succeeded
    local first second
    first=$(task_of cat)
    take_again cat
    second=$(task_of cat)
    echo 'pick 1' >"$J/cat/ctl"
    is_video "$J/cat/output.mp4" "$first"
    is_video "$MNT/videos/cat.mp4" "$first"
    [ "$(task_of cat)" = "$first" ]
    [ "$(stat -c %h "$J/cat/takes/1.mp4")" -eq 3 ]
    cmp "$J/cat/takes/1.mp4" "$J/cat/output.mp4"
    grep -q 'take 1 picked by the user' "$J/cat/log"
    # Whoever had it open goes on reading the one that was there.
    exec 7<"$J/cat/output.mp4"
    echo 'pick 2' >"$J/cat/ctl"
    is_video /dev/fd/7 "$first"
    exec 7<&-
    is_video "$J/cat/output.mp4" "$second"
    restart_fs
    is_video "$J/cat/output.mp4" "$second"
    echo 'pick 1' >"$J/cat/ctl"
    restart_fs
    is_video "$J/cat/output.mp4" "$first"
    status_is cat succeeded
    creates_are 2
    fails order cat 'pick 3'
    has 'no take with this number' "$J/cat/ctl"
    fails order cat 'pick x'
    fails order cat pick
}

# S-TAKE-4: `edit` lets the prompt of a job with a take be written anew: the job is a `draft`, and the next close of the
#   prompt is a new, paid attempt. Otherwise the prompt of a job with a take stays frozen, also when a later attempt has
#   failed: a script that runs again orders nothing.
@test "S-TAKE-4: edit; and a script that runs again orders nothing" {
    mount_fs
    prompt cat "a cat [[seconds=1]]"
    cp "$J/cat/prompt.json" "$DIR/first.json"
    wait_status cat succeeded
    fails prompt cat "written again"
    order_soon cat edit
    status_is cat draft
    is_video "$J/cat/output.mp4" "$(jq -r '.attempts[0].task_id' "$MNT/spend.json")"
    reason_has cat 'may be written anew'
    pause 300
    creates_are 1
    restart_fs
    status_is cat draft
    [ ! -e "$J/cat/error" ]
    prompt cat "a dog [[fail]]"
    wait_status cat failed
    creates_are 2
    has 'output.mp4 is still take 1' "$J/cat/error"
    is_video "$J/cat/output.mp4" "$(jq -r '.attempts[] | select(.attempt == 1).task_id' "$MNT/spend.json")"
    [ -e "$MNT/videos/cat.mp4" ]
    # Frozen: neither a write nor a rename orders.
    fails prompt cat "once more"
    echo '{"prompt": "by rename"}' >"$DIR/new.json"
    fails cp "$DIR/new.json" "$J/cat/prompt.json"
    cp "$DIR/new.json" "$J/cat/other.json"
    fails mv "$J/cat/other.json" "$J/cat/prompt.json"
    rm -f "$J/cat/prompt.json"
    fails prompt cat "once more"
    pause 300
    creates_are 2
    order_soon cat edit
    prompt cat "a fox [[seconds=1]]"
    wait_status cat succeeded
    creates_are 3
    # Each take has its own prompt.
    cmp "$J/cat/takes/1.json" "$DIR/first.json"
    jq -e '.prompt == "a fox [[seconds=1]]"' "$J/cat/takes/2.json"
    order_soon cat edit
    prompt cat "nonsense" '"ratio": 7' || true
    status_is cat invalid
    echo 'pick 1' >"$J/cat/ctl"
    status_is cat succeeded
    [ ! -e "$J/cat/error" ]
    jq -e '.ratio == 7' "$J/cat/prompt.json"
    # The take of a picked one is its own request, not that of prompt.json.
    take_again cat
    jq -e '.content[0].text // .prompt | test("a cat")' "$J/cat/request.json"
    cmp "$J/cat/takes/3.json" "$DIR/first.json"
    creates_are 4
}

# S-TAKE-5: Before `take`, `edit` and `adopt` the present video is saved on disk, whatever `--archive` says. Until that
#   is done they fail with EBUSY, and ctl says so. From then on it is not evicted by itself. (One that is in the object
#   store is safe already: S-OBJECT-4.)
@test "S-TAKE-5: the present video is saved first, also with --archive=never" {
    slow_video cat
    J=$MNT/jobs
    local first
    first=$(task_of cat)
    fails order cat take
    has 'being saved on disk first' "$J/cat/ctl"
    creates_are 1
    status_is cat succeeded
    wait_until 60 ordered cat take
    wait_until 10 creates_are 2
    curl -sf "http://127.0.0.1:$API_PORT/oracle/video/$first" >"$DIR/first.mp4"
    wait_status cat succeeded
    # Nobody can ask the service for it any more.
    end_sim
    restart_fs --archive never
    cmp "$J/cat/takes/1.mp4" "$DIR/first.mp4"
}

# S-TAKE-6: `rm` of a name in takes/ hides it, durably; no video is deleted. `pick` shows it again. `rm -r` of the job
#   removes all of its takes.
@test "S-TAKE-6: rm hides a take; rm -r of the job removes them all" {
    mount_fs
    prompt cat "a cat [[seconds=1]]"
    wait_status cat succeeded
    take_again cat
    rm "$J/cat/takes/1.mp4"
    [ "$(ls "$J/cat/takes" | tr '\n' ' ')" = "1.json 2.json 2.mp4 " ]
    restart_fs
    [ "$(ls "$J/cat/takes" | tr '\n' ' ')" = "1.json 2.json 2.mp4 " ]
    [ "$(jq -c '[.takes[].hidden]' "$J/cat/status.json")" = '[true,false]' ]
    echo 'pick 1' >"$J/cat/ctl"
    [ "$(ls "$J/cat/takes" | tr '\n' ' ')" = "1.json 1.mp4 2.json 2.mp4 " ]
    [ "$(ls "$DATA/media" | grep -c '\.mp4$')" -eq 2 ]
    fails rmdir "$J/cat/takes"
    fails touch "$J/cat/takes/3.mp4"
    fails mkdir "$J/cat/takes/sub"
    fails mv "$J/cat/takes/1.mp4" "$J/cat/takes/9.mp4"
    rm -r "$J/cat"
    [ ! -e "$J/cat" ]
    no_media_left() { [ "$(ls "$DATA/media" | grep -c '\.mp4$')" -eq 0 ]; }
    # Their bytes stay for a while (S-REMOVE-12), unless they are not whole.
    no_media_left || [ "$(ls "$DATA/media" | grep -c '\.mp4$')" -le 2 ]
    [ "$(spent)" -eq 2 ]
    restart_fs
    [ ! -e "$J/cat" ]
}

# S-REMOVE-12: The video of a removed job that is wholly on disk stays there for seven days, out of sight. It goes at
#   once when less than a tenth of the disk is free, and before all others when the cache needs room. `adopt` with its
#   task id brings it back with all that is known of it, without a request, also when the service has forgotten it.
@test "S-REMOVE-12: what was removed by mistake comes back, though the service has forgotten it" {
    mount_fs
    prompt cat "a cat [[seconds=1]]"
    wait_status cat succeeded
    take_again cat
    local first second
    second=$(task_of cat)
    echo 'pick 1' >"$J/cat/ctl"
    first=$(task_of cat)
    cp "$J/cat/takes/1.mp4" "$DIR/first.mp4"
    cp "$J/cat/takes/2.mp4" "$DIR/second.mp4"
    wait_until 20 json_is cat .output.archived true
    cp "$J/cat/prompt.json" "$DIR/first.json"
    rm -r "$J/cat"
    [ "$(ls "$DATA/media" | grep -c '\.mp4$')" -eq 2 ]
    restart_fs
    [ "$(ls "$DATA/media" | grep -c '\.mp4$')" -eq 2 ]
    end_sim # nobody can be asked
    mkdir "$J/back"
    echo "adopt $first" >"$J/back/ctl"
    status_is back succeeded
    cmp "$J/back/output.mp4" "$DIR/first.mp4"
    jq -e '.content or .prompt' "$J/back/request.json"
    order back "adopt $second"
    status_is back succeeded
    cmp "$J/back/output.mp4" "$DIR/second.mp4"
    cmp "$J/back/takes/1.mp4" "$DIR/first.mp4"
    cmp "$J/back/takes/1.json" "$DIR/first.json"
    fails order back "adopt $first"
    [ "$(jq -r '[.attempts[] | select(.removed)] | length' "$MNT/spend.json")" -eq 0 ]
    restart_fs
    cmp "$J/back/output.mp4" "$DIR/second.mp4"
}

# S-TAKE-8: `adopt` in a job with a take follows the task as a new attempt: its video becomes the next take. A task that
#   has made a take of the job already is refused.
@test "S-TAKE-8: adopt into takes" {
    mount_fs
    prompt cat "a cat [[seconds=1]]"
    prompt dog "a dog [[seconds=1]]"
    wait_status cat succeeded
    wait_status dog succeeded
    local cat dog
    cat=$(task_of cat)
    dog=$(task_of dog)
    cp "$J/dog/output.mp4" "$DIR/dog.mp4"
    wait_until 20 json_is dog .output.archived true
    rm -r "$J/dog"
    fails order cat "adopt $cat"
    has 'take 1 of the job already' "$J/cat/ctl"
    order_soon cat "adopt $dog"
    wait_status cat succeeded
    is_video "$J/cat/output.mp4" "$dog"
    is_video "$J/cat/takes/1.mp4" "$cat"
    # It brings its prompt with it.
    jq -e '.prompt | test("a dog")' "$J/cat/takes/2.json"
    cmp "$J/cat/prompt.json" "$J/cat/takes/1.json"
    creates_are 2
    # A task that nobody here has made has none.
    curl -sS -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \
        -d "$(body 1)" "$API/videos/generations" >"$DIR/made"
    local other
    other=$(jq -r .id "$DIR/made")
    order_soon cat "adopt $other"
    wait_status cat succeeded
    [ "$(ls "$J/cat/takes" | tr '\n' ' ')" = "1.json 1.mp4 2.json 2.mp4 3.mp4 " ]
    is_video "$J/cat/output.mp4" "$other"
    fails order cat take
    has 'adopted' "$J/cat/ctl"
}

# S-TAKE-9: `take` and `edit` are possible when the job has a take and no attempt is under way or unknown. `hold` holds
#   what `take` has ordered, while it waits.
@test "S-TAKE-9: states" {
    mount_fs --budget 1.5
    mkdir "$J/new"
    fails order new take
    has 'no video yet' "$J/new/ctl"
    fails order new edit
    fails order new 'pick 1'
    prompt cat "a cat [[seconds=5]]"
    wait_status cat succeeded
    order_soon cat take
    wait_status cat waiting
    fails order cat take
    fails order cat 'pick 1'
    order cat hold
    status_is cat held
    creates_are 1
    # What is held is rewritten, and held again, whatever the new prompt says.
    prompt cat "other words" '"hold": false'
    status_is cat held
    jq -e '.prompt | test("a cat")' "$J/cat/takes/1.json" 2>/dev/null || true
    order cat 'pick 1'
    status_is cat succeeded
    creates_are 1
}

# S-TAKE-10: A job may have any number of takes.
@test "S-TAKE-10: fifty takes, each with its own video" {
    mount_fs --max-active 4
    prompt cat "a cat [[seconds=1]]"
    wait_status cat succeeded
    local i
    for ((i = 2; i <= 50; i++)); do take_again cat; done
    creates_are 50
    [ "$(ls "$J/cat/takes" | wc -l)" -eq 100 ]
    restart_fs
    [ "$(ls "$J/cat/takes" | wc -l)" -eq 100 ]
    for i in 1 7 33 50; do
        is_video "$J/cat/takes/$i.mp4" "$(jq -r ".attempts[] | select(.attempt == $i).task_id" "$MNT/spend.json")"
    done
    find "$J/cat" -type f -name '*.mp4' | wc -l | grep -qx 51
}

# S-TAKE-11: A file handle (name_to_handle_at(2), as NFS servers use them) of a video is that of its take: after a `pick`
#   it still leads to the same bytes, and under each name of the video it is the same.
@test "S-TAKE-11: file handles stay with the take" {
    mount_fs
    prompt cat "a cat [[seconds=1]]"
    wait_status cat succeeded
    take_again cat
    cp "$J/cat/takes/1.mp4" "$DIR/first.mp4"
    cp "$J/cat/takes/2.mp4" "$DIR/second.mp4"
    python '
libc = ctypes.CDLL(None, use_errno=True)
class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_char * 128)]
def handle(path):
    h, mount = Handle(bytes=128), ctypes.c_int()
    assert libc.name_to_handle_at(-100, (M + path).encode(), ctypes.byref(h), ctypes.byref(mount), 0) == 0, path
    return h
def read(h):
    fd = libc.open_by_handle_at(root, ctypes.byref(h), os.O_RDONLY)
    if fd < 0:
        sys.exit(77 if ctypes.get_errno() == errno.EPERM else "errno %d" % ctypes.get_errno())
    with os.fdopen(fd, "rb") as file:
        return file.read()
root = os.open(M, os.O_RDONLY)
first, second = (open(name, "rb").read() for name in sys.argv[1:])
names = ["jobs/cat/output.mp4", "videos/cat.mp4", "jobs/cat/takes/2.mp4"]
data = {bytes(handle(name)) for name in names}
assert len(data) == 1, data
held, other = handle(names[0]), handle("jobs/cat/takes/1.mp4")
assert read(held) == second and read(other) == first
with open(M + "jobs/cat/ctl", "w") as ctl:
    ctl.write("pick 1\n")
assert read(held) == second and read(other) == first
assert read(handle("videos/cat.mp4")) == first
os.close(root)
' "$DIR/first.mp4" "$DIR/second.mp4" || { [ $? -eq 77 ] && skip "no right to open by handle here"; }
}
