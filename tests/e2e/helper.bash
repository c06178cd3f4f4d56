# What every end-to-end test on a mount needs: a directory, a simulator and a mount of its own, and an end
# that leaves no process and no mount. In the words of a user's shell.
#
#   setup/teardown call start_world / end_world; a test then uses
#     $DIR  its directory   $MNT the mount point   $DATA the data directory   $API the service's address
#     $LOG  the simulator's request log (the oracle)   $SIM_PID   $FS_PID
#
# A process costs more than what most tests do with it, so a file whose tests can do with one world after the other
# has a single one: setup_file calls start_world, mount_fs and share_world, setup clean_world, teardown_file end_world.
# And what is called often does without processes.
#
# bats notes the place of each command by a DEBUG trap, and takes longer for that than the command does. Functions that are
# called after start_world or clean_world have no such trap (set +T): a failure is shown at the line of the test.

BUILD=${BUILD:-build}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
SEEDANCEFS=${SEEDANCEFS:-$ROOT/$BUILD/seedancefs}
SEEDANCE_SIM=${SEEDANCE_SIM:-$ROOT/$BUILD/seedance-sim}
export SEEDANCEFS SEEDANCE_SIM
KEY=th-canary-5cf1d1b6a9e04c7f # looked for after every test, wherever it must not be
PYTHON=/usr/bin/python3
[ -x $PYTHON ] || PYTHON=python3

# Pictures of videos are made by themselves, and change listings: only tests that want them have ffmpeg, with
# `with_ffmpeg` before mount_fs.
export SEEDANCEFS_TOOLS_PATH=/nowhere
with_ffmpeg() { unset SEEDANCEFS_TOOLS_PATH; }

# Sanitizer reports go to files: the program's standard error is closed once it is in the background.
export ASAN_OPTIONS="log_path=${BATS_RUN_TMPDIR:-/tmp}/sanitizer:exitcode=99:detect_leaks=1"
export UBSAN_OPTIONS="log_path=${BATS_RUN_TMPDIR:-/tmp}/sanitizer:print_stacktrace=1"

# start_sim [OPTION]...   fast by default: a task takes a quarter of a second.
start_sim() {
    "$SEEDANCE_SIM" --port "${API_PORT:-0}" --media-port "${MEDIA_PORT:-0}" --port-file "$DIR/ports" \
        --log "$LOG" --log-headers --api-key "$KEY" --queue-seconds 0.05 --generation-seconds 0.2 \
        --data "$DIR/tasks" --die-with-parent "$@" >"$DIR/sim.out" 2>&1 3>&- &
    SIM_PID=$!
    wait_until 10 test -s "$DIR/ports"
    read -r API_PORT MEDIA_PORT <"$DIR/ports"
    API=http://127.0.0.1:$API_PORT/api/v1
}

end_sim() {
    if [ -n "${SIM_PID:-}" ]; then
        kill "$SIM_PID" 2>/dev/null || true
        wait "$SIM_PID" 2>/dev/null || true
    fi
    SIM_PID=
    rm -f "$DIR/ports"
}

# start_upload_server [OPTION]...   sets UPLOAD, its base URL. Files lie in $DIR/uploaded, its requests in $DIR/uploads;
# see upload_server.py. end_world ends it.
start_upload_server() {
    "$PYTHON" "$ROOT/tests/e2e/upload_server.py" --port-file "$DIR/upload-port" --directory "$DIR/uploaded" \
        --log "$DIR/uploads" --die-with-parent "$@" >"$DIR/upload.out" 2>&1 3>&- &
    UPLOAD_PID=$!
    wait_until 10 test -s "$DIR/upload-port"
    UPLOAD=http://127.0.0.1:$(<"$DIR/upload-port")
}

end_upload_server() {
    [ -n "${UPLOAD_PID:-}" ] || return 0
    kill "$UPLOAD_PID" 2>/dev/null || true
    wait "$UPLOAD_PID" 2>/dev/null || true
    UPLOAD_PID=
    rm -f "$DIR/upload-port"
}

# mount_fs [OPTION]...   in the background, as a user does it; $FS_PID is the daemon. $RUN_FS, if set, is a command
# that runs it in other circumstances (env, unshare).
mount_fs() {
    [ -z "${SHARED:-}" ] || ! is_mounted_with "$*" || return 0
    # shellcheck disable=SC2086 # a list of words
    ${RUN_FS:-} "$SEEDANCEFS" --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA" \
        --poll-interval 0.05 --settle 0 --log-level debug "$@" "$MNT" 3>&-
    find_daemon || true # a test may end it at once
    MOUNTED_WITH=$*
    [ -z "${SHARED:-}" ] || printf '%s %s\n' "$FS_PID" "$*" >"$DIR/mounted"
}

# The process that holds the lock of this test's data directory, as $FS_PID.
find_daemon() {
    local lock major minor inode lines line
    read -r major minor inode < <(stat -c '%Hd %Ld %i' "$DATA/lock")
    printf -v lock '%02x:%02x:%d' "$major" "$minor" "$inode"
    # The list may change while it is read, so that a line is missed.
    for _ in 1 2 3 4 5; do
        mapfile -t lines </proc/locks
        for line in "${lines[@]}"; do
            [[ $line =~ \ ([0-9]+)\ $lock\  ]] || continue
            FS_PID=${BASH_REMATCH[1]}
            return
        done
        pause 20
    done
    FS_PID=
    echo "nobody holds $DATA/lock" >&2
    return 1
}
daemon_pid() { find_daemon && echo "$FS_PID"; }

unmount_fs() {
    fusermount3 -u "$MNT" || return 1
    wait_until 30 process_is_gone "$FS_PID"
}

# A process that has ended; its parent (whoever adopted it) may not have fetched it yet.
process_is_gone() {
    local line
    [ -n "$1" ] || return 0
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
    [[ ${line##*) } = Z* ]]
}

# kill -9, and the dead mount removed, as after a crash.
kill_fs() {
    kill -9 "$FS_PID"
    wait_until 10 process_is_gone "$FS_PID"
    fusermount3 -uz "$MNT" 2>/dev/null || true
}

# As if the time that the service asked to wait were over. Not while the program runs.
forget_retry_after() { sqlite3 "$DATA/jobs.sqlite" "UPDATE meta SET value = 1 WHERE key = 'throttled_until_ms'"; }

# unmount_all DIRECTORY   what a test that was cut off has left mounted there, the last one first.
unmount_all() {
    local point
    awk -v directory="$1/" 'index($2, directory) == 1 { print $2 }' /proc/self/mounts | tac |
        while read -r point; do
            fusermount3 -uz "$point" 2>/dev/null || umount -l "$point" 2>/dev/null || true
        done
}

# pause MILLISECONDS   sleeps without a process: nothing ever comes from the discard port.
pause() {
    local seconds silence=
    printf -v seconds '%d.%03d' $(($1 / 1000)) $(($1 % 1000))
    { exec {silence}<>/dev/udp/127.0.0.1/9; } 2>/dev/null || { sleep "$seconds"; return; }
    read -r -t "$seconds" -u "$silence" _ || true
    exec {silence}>&-
}

# wait_until SECONDS COMMAND...   looks less often the longer it takes. On a busy machine everything takes longer:
# $PATIENCE times that.
wait_until() {
    local seconds=$(($1 * ${PATIENCE:-1})) end delay=10
    shift
    end=$((SECONDS + seconds + 1))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { echo "waited ${seconds}s in vain for: $*" >&2; return 1; }
        pause $delay
        delay=$((delay < 60 ? delay + 5 : 60))
    done
}

status_is() {
    local word=
    { read -r word <"$MNT/jobs/$1/status"; } 2>/dev/null || true
    [ "$word" = "$2" ]
}

# wait_status JOB WORD [SECONDS]
wait_status() {
    wait_until "${3:-20}" status_is "$1" "$2" || {
        cat "$MNT/jobs/$1/status" "$MNT/jobs/$1/error" "$MNT/jobs/$1/log" >&2
        return 1
    }
}

# How many creates the service has seen, or has seen for prompts that contain a text (in ASCII, without quotes).
creates() { requests create ${1+"$1"}; }

start_world() {
    set +T
    DIR=$(mktemp -d "${BATS_TEST_TMPDIR:-${BATS_FILE_TMPDIR:-/tmp}}/world.XXXXXX")
    MNT=$DIR/mnt DATA=$DIR/data LOG=$DIR/requests.jsonl
    API_PORT=0 MEDIA_PORT=0
    mkdir "$MNT"
    : >"$LOG"
    (umask 077 && printf '%s\n' "$KEY" >"$DIR/key")
    start_sim "$@"
}

# Whatever a test was about: the key is in nothing that others can see, in no file of the data directory, and never
# went to the media host.
key_is_nowhere_alive() {
    local process children='' places=() code=0
    { read -r children <"/proc/$FS_PID/task/$FS_PID/children"; } 2>/dev/null || true
    for process in "$FS_PID" $children; do
        places+=("/proc/$process/cmdline" "/proc/$process/environ")
    done
    ! grep -alsF "$KEY" "${places[@]}" >&2 || { echo "the key is in the files above" >&2; code=1; }
    # Videos would be fetched by looking into them.
    ! timeout 20 grep -rlF --exclude=output.mp4 --exclude=cover.jpg "$KEY" "$MNT/" 2>/dev/null >&2 ||
        { echo "the key is in the mount" >&2; code=1; }
    return $code
}

key_is_nowhere_left() {
    local code=0
    ! grep -rlaF --exclude='key*' --exclude=tokenhub-api-key --exclude="${LOG##*/}" --exclude=before.jsonl \
        --exclude-dir=mnt "$KEY" "$DIR" >&2 || { echo "the key is in the file above" >&2; code=1; }
    # Of the service's own requests the head has it, and nothing else.
    ! sed -sE '/"kind":"(create|poll|other)"/s/,"headers":.*//' "$LOG" ${SHARED:+"$SHARED"} | grep -F "$KEY" >&2 ||
        { echo "the key went where it must not go" >&2; code=1; }
    return $code
}

# share_world   from here on the world is the one of all tests of the file, for clean_world.
share_world() {
    SHARED=$DIR/before.jsonl
    : >"$SHARED"
    printf '%s %s\n' "$FS_PID" "$MOUNTED_WITH" >"$DIR/mounted"
    export SHARED DIR MNT DATA LOG API_PORT MEDIA_PORT API SIM_PID FS_PID
}

# clean_world   the file's world, as empty as a new one: no job, no request seen, no scenario. It is mounted; mount_fs
# mounts it again if that is to be with options.
clean_world() {
    set +T
    local lines
    read -r FS_PID _ <"$DIR/mounted"
    [ ! -e "$DIR/scenario" ] || { scenario && rm "$DIR/scenario"; }
    ! process_is_gone "$FS_PID" || mount_fs
    lines=("$MNT"/jobs/* "$MNT"/jobs/.[!.]*)
    [ "${lines[*]}" = "$MNT/jobs/* $MNT/jobs/.[!.]*" ] || rm -rf "$MNT"/jobs/* "$MNT"/jobs/.[!.]*
    mapfile -t lines <"$LOG"
    printf '%s\n' "${lines[@]}" >>"$SHARED"
    : >"$LOG"
}

# Whether the shared world is mounted with these options; ends a mount that has others.
is_mounted_with() {
    local pid options
    read -r pid options <"$DIR/mounted"
    if process_is_gone "$pid"; then
        fusermount3 -uz "$MNT" 2>/dev/null || true
        return 1
    fi
    [ "$options" != "$1" ] || return 0
    FS_PID=$pid
    unmount_fs && return 1
}

# own_world [OPTION]...   for a test that does more to its world than the others of its file could live with; for
# teardown: end_own_world.
own_world() {
    SHARED=
    FS_PID=
    start_world "$@"
    # shellcheck disable=SC2034 # of the files that have it
    J=$MNT/jobs
}
end_own_world() { [ -n "$SHARED" ] || end_world; }

end_world() {
    local code=0
    [ -z "${SHARED:-}" ] || read -r FS_PID _ <"$DIR/mounted"
    if [ -n "${FS_PID:-}" ]; then
        process_is_gone "$FS_PID" || key_is_nowhere_alive || code=1
        fusermount3 -uz "$MNT" 2>/dev/null || true
        kill "$FS_PID" 2>/dev/null || true
        wait_until 10 process_is_gone "$FS_PID" || { kill -9 "$FS_PID"; code=1; }
    fi
    end_sim
    end_upload_server
    key_is_nowhere_left || code=1
    sanitizers_are_quiet || code=1
    return $code
}

# A sanitizer's report fails the test in which it was made.
sanitizers_are_quiet() {
    local report code=0
    for report in "${BATS_RUN_TMPDIR:-/tmp}"/sanitizer.*; do
        [ -e "$report" ] || continue
        cat "$report" >&2
        rm -f "$report"
        code=1
    done
    return $code
}

# For tests whose worlds are made by world.py, below $DIR: nothing is left mounted.
end_directory() {
    local mount
    awk -v dir="$DIR/" 'index($2, dir) == 1 { print $2 }' /proc/self/mounts | while read -r mount; do
        fusermount3 -uz "$mount"
    done
    sanitizers_are_quiet
}

# The body of the N-th create, as the service saw it.
body() { jq -r 'select(.kind == "create") | .body' "$LOG" | sed -n "${1:-1}p"; }

# sent N JQ...   exactly N creates were seen, and the last one's body is as the expression says.
sent() {
    creates_are "$1" || { echo "$COUNT creates instead of $1" >&2; return 1; }
    jq -se "[.[] | select(.kind == \"create\")][$1 - 1].body | fromjson | ($2)" "$LOG" >/dev/null ||
        { echo "the body is $(body "$1")" >&2; return 1; }
}

# fails COMMAND...   it has to end with another code than 0.
fails() {
    local code=0
    "$@" >"$DIR/fails.out" 2>&1 || code=$?
    [ "$code" -ne 0 ] || { echo "did not fail: $*" >&2; return 1; }
    [ "$code" -ne 127 ] || { echo "is not there: $*" >&2; return 1; }
}

# has TEXT FILE...   each file has the text in it.
has() {
    local text=$1 file content
    shift
    for file in "$@"; do
        content_of "$file"
        [[ $content == *"$text"* ]] || { printf 'no "%s" in %s:\n%s\n' "$text" "$file" "$content" >&2; return 1; }
    done
}

# content_of FILE   as the caller's $content, up to the first zero byte; without a process.
content_of() {
    local parts=()
    mapfile -t -d '' parts <"$1" || true
    content=${parts[0]-}
}

# python SCRIPT [ARGUMENT]...   M is the mount point; `gives(errno.X, f, *a)` checks an error number.
python() {
    local script=$1
    shift
    MNT=$MNT "$PYTHON" -c "
import ctypes, errno, glob, json, mmap, os, shutil, signal, stat, subprocess, sys, tempfile, time
M = os.environ['MNT'] + '/'
def gives(number, f, *a, **k):
    try:
        f(*a, **k)
    except OSError as e:
        assert e.errno == number, (f, a, errno.errorcode[e.errno], 'instead of', errno.errorcode[number])
    else:
        raise AssertionError((f, a, 'worked instead of', errno.errorcode[number]))
$script" "$@"
}

# scenario RULE...   the simulator plays these rules from now on, and none before.
scenario() {
    local IFS=,
    [ -z "${SHARED:-}" ] || : >"$DIR/scenario"
    printf '{"rules":[%s]}' "$*" |
        curl -sSf -T - "${API%/api/v1}/oracle/scenario" >/dev/null
}

# For wait_until: values that are looked at again each time.
creates_are() { count_requests create && [ "$COUNT" -eq "$1" ]; }
json_is() { member_of "$1" "$2" && [ "$MEMBER" = "$3" ]; }
reason_has() { member_of "$1" .reason && [[ $MEMBER == *"$2"* ]]; }

# how many requests of a kind the service has seen, or has seen with a text in their bodies
requests() { count_requests "$@" && echo "$COUNT"; }

# count_requests KIND [TEXT]   the same without a process, as $COUNT.
count_requests() {
    local lines line
    COUNT=0
    mapfile -t lines <"$LOG"
    for line in "${lines[@]}"; do
        # The kinds of a create's inputs stand behind its body.
        [[ ${line::80} == *"\"kind\":\"$1\""* ]] || continue
        if [ -n "${2-}" ]; then
            line=${line#*\"body\":} line=${line%\"headers\":*} line=${line%,\"inputs\":*}
            [[ $line == *"$2"* ]] || continue
        fi
        COUNT=$((COUNT + 1))
    done
}

# one member of status.json: status_json JOB .reason; or any other expression of jq
status_json() {
    if [[ $2 =~ ^[.a-z_]+$ ]]; then
        member_of "$1" "$2" && printf '%s\n' "$MEMBER"
    else
        jq -r "$2" "$MNT/jobs/$1/status.json"
    fi
}

# member_of JOB .OBJECT.MEMBER   the same without a process, as $MEMBER. The names of members that are no objects are
# unique, and what looks like one within a string has its quotes escaped.
member_of() {
    local content string='"([^"\\]|\\.)*"'
    { content_of "$MNT/jobs/$1/status.json"; } 2>/dev/null
    MEMBER=null
    [[ $content =~ \"${2##*.}\":\ ?($string|[-a-z0-9.]+) ]] || { [ -n "$content" ] && return; }
    MEMBER=${BASH_REMATCH[1]}
    [[ $MEMBER != \"* ]] || MEMBER=${MEMBER:1:-1}
    [[ $MEMBER != *\\* ]] || MEMBER=$(jq -r "$2" "$MNT/jobs/$1/status.json")
}

# a job that succeeded: make JOB [PROMPT]
make_job() {
    [ -d "$MNT/jobs/$1" ] || mkdir "$MNT/jobs/$1" # not needed everywhere; core.bash and names.bats do without
    printf '{"prompt": "%s"}\n' "${2:-$1}" >"$MNT/jobs/$1/prompt.json"
    wait_status "$1" succeeded
}

# Both ends of a job's video have been fetched: nothing of it is asked for any more until somebody reads.
has_ends() {
    local bytes
    member_of "$1" .output.bytes && bytes=$MEMBER && member_of "$1" .output.cached_bytes && [ "$bytes" != null ] &&
        [ "$MEMBER" -ge $((bytes < 524288 ? bytes : 524288)) ]
}
wait_ends() { wait_until 20 has_ends "$1"; }

restart_fs() {
    unmount_fs
    mount_fs "$@"
}

# slow_video JOB   in a world of its own: a finished job whose video takes four seconds to fetch, but for its ends
slow_video() {
    end_world
    start_world --video-bytes 40M --rate 10M
    mount_fs --archive never
    make_job "$1"
    wait_ends "$1"
}
