#!/usr/bin/env bats
# What root has left once it has mounted, and another user in its place.
load helper

setup() {
    [ "$(id -u)" = 0 ] || skip "gives privileges away, which only root has"
    start_world
}
teardown() {
    [ -z "${SITTER:-}" ] || kill "$SITTER" 2>/dev/null || true
    [ -z "${DIR:-}" ] || end_world
    [ -z "${OTHER:-}" ] || { umount "$OTHER" && rmdir "$OTHER"; }
}

# caps PID   the permitted, effective, inheritable and ambient ones
caps() { sed -nE 's/^Cap(Inh|Prm|Eff|Amb):\s*0*/0x0/p' "/proc/$1/status" | sort -u; }
is_sealed() { grep -qE '^NoNewPrivs:\s*1' "/proc/$1/status"; }
child() { pgrep -P "$FS_PID" -x "seedancefs-$1"; }
# has_only MASK PID   no other capability than these, in whatever set
has_only() {
    local set
    for set in $(caps "$2"); do [ $((set & ~$1)) -eq 0 ] || return 1; done
    is_sealed "$2"
}
ended() { wait_until 20 process_is_gone "$FS_PID"; }
is_mounted() { grep -q " ${1:-$MNT} fuse" /proc/self/mounts; }

CAP_DAC_READ_SEARCH=$((1 << 2)) CAP_SYS_PTRACE=$((1 << 19)) CAP_SYS_ADMIN=$((1 << 21))

# S-PRIV-1: Run by root, the program has no capabilities left that it does not need once it has mounted, and can get
#   none back. Work that needs one is done by separate processes, which have that one and neither the key nor the
#   network.
@test "S-PRIV-1: root gives its capabilities up once it has mounted" {
    mount_fs
    make_job cat
    cat "$MNT/jobs/cat/output.mp4" >/dev/null
    wait_until 10 has_only 0 "$FS_PID"
    wait_until 10 has_only $((CAP_SYS_PTRACE | CAP_DAC_READ_SEARCH)) "$(child look)"
    wait_until 10 has_only 0 "$(child tell)"
    wait_until 10 has_only 0 "$(child sync)"
    wait_until 10 has_only $CAP_DAC_READ_SEARCH "$(child key)"
    wait_until 10 has_only $((CAP_SYS_ADMIN | CAP_DAC_READ_SEARCH)) "$(child umnt)"
    # It gets none back by executing a program.
    grep -qE '^CapBnd:\s*0*$' "/proc/$FS_PID/status"
    # It ends as before.
    local children
    children=$(pgrep -P "$FS_PID")
    kill -TERM "$FS_PID"
    ended
    ! is_mounted
    local process
    for process in $children; do wait_until 10 process_is_gone "$process"; done
    [ "$(grep -c mount.left "$DATA/seedancefs.log")" -eq 0 ]
    # Also with a user in it, and when its parent is somebody who is gone.
    mount_fs -f &
    wait_until 20 test -e "$MNT/README.txt"
    FS_PID=$(daemon_pid)
    (cd "$MNT/jobs/cat" && exec sleep 120) 3>&- &
    SITTER=$!
    sits_there() { [ "$(readlink "/proc/$SITTER/cwd")" = "$MNT/jobs/cat" ]; }
    wait_until 10 sits_there
    kill -INT "$FS_PID"
    ended
    ! is_mounted
}

@test "S-PRIV-1: a data directory that root could not reach any more" {
    id nobody >/dev/null
    mkdir -m 700 "$DIR/theirs"
    mkdir -m 700 "$DIR/theirs/data"
    chown nobody "$DIR/theirs"
    DATA=$DIR/theirs/data
    run timeout 20 "$SEEDANCEFS" --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA" "$MNT" 3>&-
    FS_PID=$(daemon_pid) || true # none, or it is ended
    [ "$status" -eq 2 ]
    [[ $output == *'root cannot reach the data directory'* ]]
    ! is_mounted
}

# S-PRIV-2: At the end the program unmounts its own mount, and nothing that was put in its place.
@test "S-PRIV-2: a link to another mount has come to lie in the place of the mount point" {
    unshare --mount true 2>/dev/null || skip "no mount namespaces here"
    mount_fs
    OTHER=$DIR/other
    mkdir "$OTHER"
    mount -t tmpfs none "$OTHER"
    # Where it is not mounted the mount point is a directory like any other, and can be renamed.
    unshare --mount --propagation private sh -c 'umount "$1" && mv "$1" "$1.away" && ln -s "$2" "$1"' - "$MNT" "$OTHER"
    ! is_mounted
    kill -TERM "$FS_PID"
    ended
    grep -q " $OTHER tmpfs" /proc/self/mounts
    has event=mount.left "$DATA/seedancefs.log"
    umount -l "$MNT.away"
    rm "$MNT"
}
