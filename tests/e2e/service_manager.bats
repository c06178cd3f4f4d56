#!/usr/bin/env bats
# The program as a service: what it tells the service manager, the units, their hardening, and what it does without
# privileges. systemd itself need not run.
load helper

setup() { start_world; }
teardown() {
    [ -z "${MANAGER:-}" ] || kill "$MANAGER" 2>/dev/null || true
    [ -z "${SERVICE:-}" ] || rm -rf --one-file-system "$SERVICE"
    end_world
}

# managed SOCKET OPTION...   the program under a service manager, in the foreground as a unit of Type=notify has it
managed() {
    local socket=$1
    shift
    : >"$DIR/told"
    "$PYTHON" "$ROOT/tests/e2e/notify.py" "$socket" "$DIR/told" "$SEEDANCEFS" --foreground --api-url "$API" \
        --api-key-file "$DIR/key" --data-dir "$DATA" --poll-interval 0.05 --settle 0 "$@" "$MNT" 2>"$DIR/stderr" 3>&- &
    MANAGER=$!
}
told() { grep -qF -- "$1" "$DIR/told"; }

# S-INSTALL-6: Under a service manager (`$NOTIFY_SOCKET`, a path or an abstract name) the program sends READY=1 once
#   the mount answers, STOPPING=1 when it ends, and in STATUS= what it is doing or why it cannot start.
@test "S-INSTALL-6: READY=1 once the mount answers, STOPPING=1 at the end" {
    for socket in "$DIR/notify" "@seedancefs-test-$$-$BATS_TEST_NUMBER"; do
        managed "$socket"
        wait_until 20 told READY=1
        # Nothing has to be waited for any more.
        [ "$(cat "$MNT/README.txt" | wc -l)" -gt 3 ]
        [ "$(cat "$DIR/told")" = "True READY=1|STATUS=Mounted on $MNT, $(ls "$MNT/jobs" | wc -l) jobs." ]
        FS_PID=$(daemon_pid)
        make_job "cat$(ls "$MNT/jobs" | wc -l)"
        kill -TERM "$MANAGER"
        wait "$MANAGER"
        grep -qx 'True STOPPING=1|STATUS=Unmounting\.' "$DIR/told"
        [ "$(grep -c READY=1 "$DIR/told")" -eq 1 ]
    done
}

@test "S-INSTALL-6: STATUS= tells what is waited for, and why it cannot start" {
    scenario '{"kind":"create","response":{"delay_ms":1500}}'
    managed "$DIR/notify"
    wait_until 20 told READY=1
    FS_PID=$(daemon_pid)
    echo '{"prompt": "x"}' >"$MNT/jobs/cat/prompt.json"
    wait_status cat submitting
    kill -TERM "$MANAGER"
    wait "$MANAGER"
    told 'STATUS=Waiting for the response to a request that is being submitted.'
    rm "$DIR/notify"
    managed "$DIR/notify" --data-dir /proc/none
    local code=0
    wait "$MANAGER" || code=$?
    [ "$code" -eq 2 ]
    told 'STATUS=/proc/none: the data directory cannot be written to'
    fails told READY=1
}

@test "S-INSTALL-6: a socket that nobody reads, is gone or has no good name disturbs nothing" {
    for socket in "$DIR/gone" relative "$(printf '/%0200d' 0)" @ ''; do
        RUN_FS="env NOTIFY_SOCKET=$socket" mount_fs
        [ -d "$MNT/jobs" ]
        unmount_fs
    done
    # Full: 3,000 messages would be needed to fill it if it waited for a reader.
    "$PYTHON" -c '
import socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1])
c = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); c.setblocking(False)
try:
    while True: c.sendto(b"x", sys.argv[1])
except BlockingIOError: pass
open(sys.argv[2], "w").close(); time.sleep(120)' "$DIR/full" "$DIR/full.ready" 3>&- &
    MANAGER=$!
    wait_until 20 test -e "$DIR/full.ready"
    RUN_FS="env NOTIFY_SOCKET=$DIR/full" mount_fs
    [ -d "$MNT/jobs" ]
    unmount_fs
}

# What the units are made of, with the programs in $DIR/prefix.
install_units() {
    "$ROOT/scripts/packaging/build-share.sh" "$ROOT/$BUILD" "$DIR/share" "$DIR/prefix/bin"
    DESTDIR='' PREFIX=$DIR/prefix "$ROOT/scripts/packaging/install.sh" install "$ROOT/$BUILD" "$DIR/share"
    SYSTEM=$DIR/prefix/lib/systemd/system/seedancefs@.service
    USER_UNIT=$DIR/prefix/lib/systemd/user/seedancefs.service
    USER_TEMPLATE=$DIR/prefix/lib/systemd/user/seedancefs@.service
}
analyze() { SYSTEMD_UNIT_PATH="$DIR/prefix/lib/systemd/$1:" XDG_RUNTIME_DIR=$DIR systemd-analyze "${@:2}" 2>&1; }

@test "the units are valid, and none of their settings hides the mount" {
    command -v systemd-analyze >/dev/null || skip "systemd-analyze is not installed"
    install_units
    run analyze system verify --man=no seedancefs@alice.service
    [ "$status" -eq 0 ] && [ -z "$output" ] || { echo "$output" >&2; return 1; }
    for unit in seedancefs.service seedancefs@work.service; do
        run analyze user verify --user --man=no $unit
        [ "$status" -eq 0 ] && [ -z "$output" ] || { echo "$output" >&2; return 1; }
    done
    # It would say so.
    sed -i 's/^LockPersonality/LokPersonality/' "$SYSTEM"
    run analyze system verify --man=no seedancefs@alice.service
    [[ $output == *LokPersonality* ]]
    # systemd.exec(5): each of these makes a mount namespace, out of which no mount comes.
    for unit in "$SYSTEM" "$USER_UNIT" "$USER_TEMPLATE"; do
        fails grep -nE '^(Private(Tmp|Devices|Mounts|IPC|Users)|Protect(System|Home|Proc|ControlGroups|Kernel[A-Za-z]*)|ProcSubset|(ReadOnly|ReadWrite|Inaccessible|Exec|NoExec|Bind|BindReadOnly)Paths|TemporaryFileSystem|MountFlags|MountImages|ExtensionImages|Root(Directory|Image)|DynamicUser|LogNamespace)=' \
            "$unit"
        for setting in Type=notify Restart=on-failure RestartPreventExitStatus=2 ' --config -' \
            'ExecReload=/bin/kill -HUP $MAINPID' ExecStopPost=; do
            has "$setting" "$unit"
        done
    done
    # An ordinary user's fusermount3 is setuid.
    for unit in "$USER_UNIT" "$USER_TEMPLATE"; do
        fails grep -nE '^(NoNewPrivileges=yes|SystemCallFilter|Restrict|LockPersonality|MemoryDeny|ProtectClock)' "$unit"
    done
    # The two of a user differ in what the name changes, and in nothing else.
    setting() { grep -v '^#' "$1" | sed "$2"; }
    diff <(setting "$USER_UNIT" 's|seedancefs/api-key|seedancefs/NAME.key|; s|service\.conf|NAME.conf|; s|service\.options|NAME.options|; s|~/seedance|&-NAME|; s|%h/seedance|&-NAME|; s|NAME\.key |&--data-dir %h/.local/share/seedancefs-NAME |') \
        <(setting "$USER_TEMPLATE" 's|%i|NAME|g') >&2
}

# S-INSTALL-7: `systemd-analyze security` rates the exposure of the system unit at 4.0 or less.
@test "S-INSTALL-7: the exposure of the system unit" {
    command -v systemd-analyze >/dev/null || skip "systemd-analyze is not installed"
    install_units
    run analyze system security --offline=yes --threshold=40 --no-pager seedancefs@alice.service
    echo "$output" | tail -n 2 >&2
    [ "$status" -eq 0 ]
    # The figure that the documents name is this one.
    figure=$(sed -nE 's/.*exposure level for [^ ]*: ([0-9.]+) .*/\1/p' <<<"$output")
    has "exposure of $figure" "$ROOT/docs/PACKAGING.md"
    sed -i -E '/^(SystemCall|Restrict[A-Z]|CapabilityBounding)/d' "$SYSTEM"
    fails analyze system security --offline=yes --threshold=40 --no-pager seedancefs@alice.service
}

@test "a key file that is missing: docs/TROUBLESHOOTING.md has systemd's word for it" {
    command -v systemd-analyze >/dev/null || skip "systemd-analyze is not installed"
    read -r name code _ < <(systemd-analyze exit-status 243 | tail -n 1)
    has "status=$code/$name" "$ROOT/docs/TROUBLESHOOTING.md"
    # The files of which it speaks are those of the units.
    grep -q ' --api-key-file %E/seedancefs/api-key ' "$ROOT/scripts/packaging/systemd/user/seedancefs.service"
    grep -qx 'LoadCredential=tokenhub-api-key:/etc/seedancefs/%i.key' "$ROOT/scripts/packaging/systemd/system/seedancefs@.service"
    grep -q ' --api-key-file %E/seedancefs/%i.key ' "$ROOT/scripts/packaging/systemd/user/seedancefs@.service"
    has '`/etc/seedancefs/NAME.key`' "$ROOT/docs/TROUBLESHOOTING.md"
}

# as_service COMMAND...   as the system unit would run it: nobody, CAP_SYS_ADMIN to begin with, and no new privileges;
# in a mount namespace of its own with a /dev/fuse for everybody, which ordinary machines have.
as_service() {
    local device
    device=$(stat -c '%Hr %Lr' /dev/fuse)
    unshare --mount --propagation private "$ROOT/tests/e2e/own_mounts.sh" "$SERVICE" sh -c '
        dir=$1 device=$2
        shift 2
        mkdir "$dir/dev" && mount -t tmpfs -o mode=755 none "$dir/dev" &&
            mknod -m 666 "$dir/dev/fuse" c $device &&
            mount --bind "$dir/dev/fuse" /dev/fuse &&
            umount -l "$dir/dev" && rmdir "$dir/dev" || exit
        exec setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups --no-new-privs \
            --inh-caps=-all,+sys_admin --ambient-caps=-all,+sys_admin --bounding-set=-all,+sys_admin -- "$@"
    ' - "$SERVICE" "$device" "$@"
}
service_or_skip() {
    [ "$(id -u)" = 0 ] || skip "gives privileges away, which only root has"
    unshare --mount true 2>/dev/null || skip "no mount namespaces here"
    SERVICE=$(mktemp -d "${TMPDIR:-/tmp}/seedancefs-service.XXXXXX")
    chown nobody "$SERVICE"
    as_service sh -c ': <>/dev/fuse && test -x "$0"' "$SEEDANCEFS" 2>/dev/null ||
        { skip "the user nobody cannot be given /dev/fuse or the programs here"; }
    export ROOT BUILD API KEY SERVICE SEEDANCEFS LOG
}

# What the script of a service's life has in common.
LIFE='
    set -eu -o pipefail
    source "$ROOT/tests/e2e/helper.bash"
    DIR=$SERVICE MNT=$SERVICE/mnt DATA=$SERVICE/data HOME=$SERVICE
    mkdir -p "$MNT"; (umask 077; echo "$KEY" >"$DIR/key")
    trap "kill -9 \$(daemon_pid) 2>/dev/null || true" EXIT
    mount_fs
    # of the program, or of the process that is named
    caps() { sed -nE "s/^Cap(Inh|Prm|Eff|Amb):\s*//p" "/proc/${1:-$FS_PID}/status" | sort -u; }'
# The commands of a unit, with its mount point: unit_command ExecStop
unit_command() {
    sed -nE "s/^$1=-?//p" "$ROOT/scripts/packaging/systemd/system/seedancefs@.service" | sed "s|/srv/seedance/%i|$SERVICE/mnt|g"
}

# S-INSTALL-8: When an ordinary user runs it with CAP_SYS_ADMIN, the program mounts without fusermount3, and has no
#   capability left once it has mounted.
@test "S-INSTALL-8: as the system unit runs it: no setuid program, no capability left" {
    service_or_skip
    PROMPT="'{\"prompt\": \"x\"}'" STOP=$(unit_command ExecStop) as_service bash -c "$LIFE"'
        [ "$(caps)" = 0000000000000000 ]
        grep -qE "^NoNewPrivs:\s*1" "/proc/$FS_PID/status"
        # Nor have the processes that sync the disk and raise the events of inotify, before and after they have worked.
        powerless() {
            local child
            for child in $(pgrep -P "$FS_PID"); do
                [ "$(caps "$child")" = 0000000000000000 ] && grep -qE "^NoNewPrivs:\s*1" "/proc/$child/status" || return 1
            done
        }
        [ "$(pgrep -cP "$FS_PID")" -ge 2 ]
        wait_until 10 powerless
        # The user has no capabilities either.
        setpriv --inh-caps=-all --ambient-caps=-all sh -c "echo $PROMPT >$MNT/jobs/cat/prompt.json"
        wait_status cat succeeded
        cat "$MNT/jobs/cat/output.mp4" >/dev/null
        wait_until 10 powerless
        # And its events still come.
        inotifywait -q -t 60 -e create --format %f "$MNT/videos" >"$DIR/told" &
        watcher=$!
        watches() { grep -q "^inotify wd" /proc/$watcher/fdinfo/*; }
        wait_until 10 watches
        setpriv --inh-caps=-all --ambient-caps=-all sh -c "echo $PROMPT >$MNT/jobs/dog/prompt.json"
        wait $watcher
        has dog.mp4 "$DIR/told"
        bash -c "$STOP"
        wait_until 10 process_is_gone "$FS_PID"
        ! grep " $MNT " /proc/self/mounts' 3>&-
}

# S-RUN-5: A dead mount ("Transport endpoint is not connected") that a killed seedancefs has left behind is removed
#   when seedancefs is started there again.
@test "S-RUN-5: what the system unit does after a crash" {
    service_or_skip
    POST=$(unit_command ExecStopPost) as_service bash -c "$LIFE"'
        # Nothing while it lives.
        bash -c "$POST"
        [ -d "$MNT/jobs" ]
        # The dead mount is gone after it, and without it at the next start.
        kill -9 "$FS_PID"
        wait_until 10 process_is_gone "$FS_PID"
        python "gives(errno.ENOTCONN, os.stat, M)"
        bash -c "$POST"
        ! grep " $MNT " /proc/self/mounts
        bash -c "$POST"
        mount_fs
        kill -9 "$FS_PID"
        wait_until 10 process_is_gone "$FS_PID"
        mount_fs
        [ -d "$MNT/jobs" ]
        [ "$(grep -c " $MNT " /proc/self/mounts)" -eq 1 ]
        fusermount3 -u "$MNT"
        wait_until 10 process_is_gone "$FS_PID"' 3>&-
}

@test "the system unit allows every system call that the program makes" {
    command -v systemd-analyze >/dev/null || skip "systemd-analyze is not installed"
    [ "$BUILD" = build ] || skip "a sanitizer makes system calls of its own"
    strace -o /dev/null true 2>/dev/null || skip "strace cannot trace here"
    strace -f -qq -e signal=none -o "$BATS_TEST_TMPDIR/calls" "$SEEDANCEFS" --foreground --api-url "$API" --api-key-file "$DIR/key" \
        --data-dir "$DATA" --poll-interval 0.05 --settle 0 "$MNT" 2>"$DIR/stderr" 3>&- &
    local tracer=$!
    wait_until 20 test -e "$MNT/README.txt"
    FS_PID=$(daemon_pid)
    make_job cat
    cat "$MNT/jobs/cat/output.mp4" >/dev/null
    cp -r "$MNT/jobs/cat" "$DIR/copy"
    rm -r "$MNT/jobs/cat"
    # What the unit runs beside it is under the same filter.
    strace -f -qq -e signal=none -o "$BATS_TEST_TMPDIR/calls.post" bash -c "$(SERVICE=$DIR unit_command ExecStopPost)"
    strace -f -qq -e signal=none -o "$BATS_TEST_TMPDIR/calls.stop" bash -c "$(SERVICE=$DIR unit_command ExecStop)"
    wait "$tracer"
    FS_PID=
    # Lines "PID name(", and none of "PID <... name resumed>"; what children of libfuse do is theirs.
    sed -nE 's/^[0-9]+ +([a-z_0-9]+)\(.*/\1/p' "$BATS_TEST_TMPDIR"/calls* | sort -u >"$DIR/made"
    [ "$(wc -l <"$DIR/made")" -gt 40 ]
    expand() { systemd-analyze syscall-filter "$1" | sed -nE 's/^ +([@a-z_0-9-]+)$/\1/p'; }
    words() {
        local word
        for word in "$@"; do
            if [[ $word = @* ]]; then
                # shellcheck disable=SC2046 # words
                words $(expand "$word")
            else
                echo "$word"
            fi
        done
    }
    unit=$ROOT/scripts/packaging/systemd/system/seedancefs@.service
    # shellcheck disable=SC2046 # words
    words $(sed -nE 's/^SystemCallFilter=([^~].*)/\1/p' "$unit") | sort -u >"$DIR/allowed"
    # shellcheck disable=SC2046
    words $(sed -nE 's/^SystemCallFilter=~(.*)/\1/p' "$unit") | sort -u >"$DIR/denied"
    comm -23 "$DIR/allowed" "$DIR/denied" >"$DIR/filter"
    comm -23 "$DIR/made" "$DIR/filter" >"$DIR/refused"
    [ ! -s "$DIR/refused" ] || { echo "the unit refuses: $(tr '\n' ' ' <"$DIR/refused")" >&2; return 1; }
}
