#!/usr/bin/env bats
# The same main behaviours as root and as an ordinary user, who mounts through the setuid fusermount3.
# /dev/fuse may be for root alone: then the user's cases run in a mount namespace of their own in which
# it is for everybody, as it is on an ordinary machine. The machine's own /dev/fuse is not touched.
load helper

setup() { DIRS=(); }
teardown() {
    for dir in "${DIRS[@]}"; do
        rm -rf --one-file-system "$dir"
    done
}

# Why no ordinary user can mount here; nothing when one can.
obstacle() {
    [ -u "$(command -v fusermount3)" ] || { echo "fusermount3 is not setuid"; return; }
    [ "$(id -u)" = 0 ] || return 0
    id nobody >/dev/null 2>&1 || { echo "there is no user nobody"; return; }
    [ -c /dev/fuse ] || { echo "there is no /dev/fuse"; return; }
    as_user "$BATS_TEST_TMPDIR" bash -c ': <>/dev/fuse && test -x "$1" && test -r "$2"' \
        - "$SEEDANCEFS" "$ROOT/tests/e2e/core.bash" 2>/dev/null ||
        echo "the user nobody cannot be given /dev/fuse or the programs here"
}

# as_user DIRECTORY COMMAND...   with a /dev/fuse for everybody, as nobody
as_user() {
    local device
    device=$(stat -c '%Hr %Lr' /dev/fuse)
    unshare --mount --propagation private sh -c '
        dir=$1 device=$2
        shift 2
        mkdir "$dir/dev" && mount -t tmpfs -o mode=755 none "$dir/dev" &&
            mknod -m 666 "$dir/dev/fuse" c $device &&
            mount --bind "$dir/dev/fuse" /dev/fuse &&
            umount -l "$dir/dev" && rmdir "$dir/dev" || exit
        exec setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups --inh-caps=-all -- "$@"
    ' - "$1" "$device" "${@:2}"
}

new_dir() {
    DIR=$(mktemp -d /tmp/seedancefs-users.XXXXXX)
    DIRS+=("$DIR")
    [ "$1" = root ] || [ "$(id -u)" != 0 ] || chown nobody "$DIR"
}

# As whoever runs the tests and, if that is root, as an ordinary user, too.
each_user() {
    local why
    new_dir root
    bash "$ROOT/tests/e2e/core.bash" "$1" "$DIR" "$(id -u)" 3>&-
    [ "$(id -u)" = 0 ] || return 0
    why=$(obstacle)
    [ -z "$why" ] || skip "passed as root; not as a user: $why"
    new_dir user
    as_user "$DIR" bash "$ROOT/tests/e2e/core.bash" "$1" "$DIR" "$(id -u nobody)" 3>&-
}

@test "root and user: a prompt becomes a video" { each_user video; }
@test "root and user: prompt.json is written without a mkdir before" { each_user no_mkdir; }
@test "root and user: a refused prompt says why and is not sent" { each_user refused; }
@test "root and user: files, modes, rename and rm -r" { each_user files; }
@test "root and user: kill -9, and the same command mounts again" { each_user crash; }
@test "root and user: fusermount3 -u and SIGTERM end it" { each_user unmount; }
@test "root and user: the key is nowhere to be found" { each_user secrets; }
