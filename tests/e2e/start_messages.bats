#!/usr/bin/env bats
# What people meet when it does not start: one sentence that helps, and the exit code of its kind.
load helper

setup() { start_world; USUAL=(--api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA"); }
teardown() {
    [ -z "${FULL:-}" ] || umount -l "$FULL" 2>/dev/null || true
    [ -z "${PLACE:-}" ] || rm -rf --one-file-system "$PLACE"
    end_world
}

# says CODE TEXT COMMAND...   and nothing is mounted
says() {
    local code=$1 text=$2
    shift 2
    run "$@" 3>&-
    [ "$status" -eq "$code" ] && [[ $output == *"$text"* ]] && ! mountpoint -q "$MNT" || {
        echo "code $status instead of $code, or not \"$text\": $output" >&2
        return 1
    }
}

# S-RUN-17: A full disk, a damaged or newer database, a missing /dev/fuse or fusermount3 and a mount of another user
#   are each reported in a sentence that says what to do.
@test "S-RUN-17: a full disk" {
    [ "$(id -u)" = 0 ] || skip "mounting a small disk needs root"
    FULL=$DIR/full
    mkdir "$FULL"
    # Room for directories but not for the database; and for nothing at all.
    for options in size=64k nr_inodes=1; do
        mount -t tmpfs -o $options tmpfs "$FULL" || skip "tmpfs cannot be mounted here"
        dd if=/dev/zero of="$FULL/fill" bs=4k 2>/dev/null || true
        says 2 'the disk of the data directory is full. Make room there' \
            "$SEEDANCEFS" --api-url "$API" --api-key-file "$DIR/key" --data-dir "$FULL/data" "$MNT"
        umount "$FULL"
    done
    FULL=
}

@test "S-RUN-17: a damaged database, and one of a newer version" {
    mount_fs
    make_job cat
    unmount_fs
    cp "$DATA/jobs.sqlite" "$DIR/good.sqlite"
    sqlite3 "$DATA/jobs.sqlite" 'PRAGMA user_version = 99'
    says 2 'was written by a newer seedancefs. Use that version' "$SEEDANCEFS" "${USUAL[@]}" "$MNT"
    printf 'this is no database, and long enough to be looked at as one' >"$DATA/jobs.sqlite"
    says 2 'jobs.sqlite is damaged. Put a backup in its place' "$SEEDANCEFS" "${USUAL[@]}" "$MNT"
    # The advice works.
    cp "$DIR/good.sqlite" "$DATA/jobs.sqlite"
    mount_fs
    [ "$(cat "$MNT/jobs/cat/status")" = succeeded ]
}

# S-RUN-18: The program mounts on a mount point that is not empty, and warns that its files cannot be seen meanwhile.
@test "S-RUN-18: a mount point that is not empty" {
    touch "$MNT/mine"
    run mount_fs
    [ "$status" -eq 0 ]
    [[ $output == "seedancefs: warning: $MNT is not empty: its files cannot be seen until you unmount." ]]
    FS_PID=$(daemon_pid)
    [ ! -e "$MNT/mine" ]
    unmount_fs
    [ -e "$MNT/mine" ]
}

# elsewhere SETUP USER COMMAND...   in a mount namespace in which SETUP was done, as that user
elsewhere() {
    unshare --mount --propagation private sh -c '
        place=$1 setup=$2 user=$3
        shift 3
        eval "$setup" || exit 99
        [ "$user" != root ] || exec "$@"
        exec setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups --inh-caps=-all -- "$@"
    ' - "$PLACE" "$@"
}
place_or_skip() {
    [ "$(id -u)" = 0 ] || skip "takes things away, which only root can"
    unshare --mount true 2>/dev/null || skip "no mount namespaces here"
    PLACE=$(mktemp -d "${TMPDIR:-/tmp}/seedancefs-place.XXXXXX")
    mkdir "$PLACE/dev" "$PLACE/mnt"
    cp "$DIR/key" "$PLACE/key"
    chown -R nobody "$PLACE"
    elsewhere : nobody test -x "$SEEDANCEFS" || skip "the user nobody cannot run the programs here"
    THERE=(--api-url "$API" --api-key-file "$PLACE/key" --data-dir "$PLACE/data" "$PLACE/mnt")
}
# A /dev of few devices, and no fuse among them; or one for everybody.
NO_FUSE='mount -t tmpfs -o mode=755 none "$place/dev" && mknod -m 666 "$place/dev/null" c 1 3 &&
    mknod -m 666 "$place/dev/urandom" c 1 9 && ln -s /proc/self/fd "$place/dev/fd" && mount --move "$place/dev" /dev'
FUSE=$NO_FUSE' && mknod -m 666 /dev/fuse c 10 229'

@test "S-RUN-17: no /dev/fuse, or one that may not be opened" {
    place_or_skip
    for user in root nobody; do
        chown -R $user "$PLACE/key" "$PLACE/mnt"
        rm -rf "$PLACE/data"
        says 1 '/dev/fuse is missing: load the kernel module (modprobe fuse)' elsewhere "$NO_FUSE" $user "$SEEDANCEFS" "${THERE[@]}"
    done
    rm -rf "$PLACE/data"
    says 1 '/dev/fuse may not be opened: its mode should be 0666' \
        elsewhere "$FUSE && chmod 600 /dev/fuse" nobody "$SEEDANCEFS" "${THERE[@]}"
}

@test "S-RUN-17: no fusermount3" {
    place_or_skip
    says 1 'fusermount3 is missing, and without it only root can mount: install the package fuse3' \
        elsewhere "$FUSE && mount --bind /dev/null \"\$(command -v fusermount3)\"" nobody env PATH="$PLACE" "$SEEDANCEFS" "${THERE[@]}"
}

@test "S-RUN-17: another user's mount is in the way" {
    place_or_skip
    export SEEDANCEFS PLACE API
    # Neither a living nor a dead one is root's to look into.
    says 2 'a seedancefs of another user is mounted here. Choose another mount point' elsewhere "$FUSE" root bash -c '
        setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups "$SEEDANCEFS" --api-url "$API" \
            --api-key-file "$PLACE/key" --data-dir "$PLACE/data" "$PLACE/mnt" || exit 99
        cp "$PLACE/key" "$PLACE/key2" && chown root "$PLACE/key2"
        "$SEEDANCEFS" --api-url "$API" --api-key-file "$PLACE/key2" --data-dir "$PLACE/data2" "$PLACE/mnt"
        code=$?
        umount "$PLACE/mnt"
        exit $code'
}
