#!/usr/bin/env bats
# mount(8), fstab, umount and findmnt, through /sbin/mount.fuse3, which runs the program by its name.
load helper

setup() {
    [ "$(id -u)" = 0 ] || skip "mount(8) is for root"
    [ -x /sbin/mount.fuse3 ] || skip "there is no mount.fuse3"
    unshare --mount true 2>/dev/null || skip "no mount namespaces here"
    start_world
    OPTIONS="api_url=$API,api_key_file=$DIR/key,data_dir=$DATA,poll_interval=0.05"
    export ROOT BUILD DIR MNT DATA API LOG KEY OPTIONS
}
teardown() {
    [ -z "${THEIRS:-}" ] || rm -rf --one-file-system "$THEIRS"
    [ -z "${DIR:-}" ] || end_world
}

# installed SCRIPT   in a mount namespace in which the programs lie in /usr/local/bin: mount(8) passes no PATH on.
installed() {
    unshare --mount --propagation private "$ROOT/tests/e2e/own_mounts.sh" "$DIR" bash -eu -o pipefail -c '
        source "$ROOT/tests/e2e/helper.bash"
        mount --bind "$ROOT/$BUILD" /usr/local/bin
        '"$1" 3>&-
}

# S-INSTALL-4: `mount -t fuse.seedancefs seedancefs DIR` and a line in fstab mount, with every option. `findmnt` shows
#   the source `seedancefs` (or `none`, if that was given) and the type `fuse.seedancefs`. `umount` ends the program.
@test "S-INSTALL-4: mount -t fuse.seedancefs, findmnt and umount" {
    installed '
        for source in seedancefs none; do
            mount -t fuse.seedancefs $source "$MNT" \
                -o "$OPTIONS,allow_other,_netdev,nofail,users,x-systemd.automount"
            [ "$(findmnt -no SOURCE,FSTYPE "$MNT" | tr -s " ")" = "$source fuse.seedancefs" ]
            findmnt -no OPTIONS "$MNT" | grep -q allow_other
            fails grep -E "$KEY|api_|data_dir" /proc/self/mountinfo
            FS_PID=$(daemon_pid)
            make_job cat-$source
            umount "$MNT"
            wait_until 10 process_is_gone "$FS_PID"
        done
        mount -t fuse "seedancefs#" "$MNT" -o "$OPTIONS"
        FS_PID=$(daemon_pid)
        [ "$(ls "$MNT/jobs")" = "$(printf "cat-none\ncat-seedancefs")" ]
        umount "$MNT"
        wait_until 10 process_is_gone "$FS_PID"'
    [ "$(creates)" -eq 2 ]
}

@test "S-INSTALL-4: a line in fstab, and mount -a again and again" {
    installed '
        for source in seedancefs none; do
            echo "$source $MNT fuse.seedancefs $OPTIONS,nofail 0 0" >"$DIR/fstab"
            findmnt --verify --tab-file "$DIR/fstab" >"$DIR/verified" 2>&1
            has "0 parse errors, 0 errors" "$DIR/verified"
            for i in 1 2 3; do mount -a -T "$DIR/fstab"; done
            [ "$(grep -c " $MNT " /proc/self/mountinfo)" -eq 1 ]
            FS_PID=$(daemon_pid)
            umount "$MNT"
            wait_until 10 process_is_gone "$FS_PID"
        done'
}

@test "S-INSTALL-4: what is wrong in fstab is said, and mount fails" {
    installed '
        fails mount -t fuse.seedancefs seedancefs "$MNT" -o "$OPTIONS,nonsense"
        has nonsense "$DIR/fails.out"
        fails mount -t fuse.seedancefs seedancefs "$MNT" -o "$OPTIONS,api_key_file=$DIR/none"
        has "$DIR/none: the API key cannot be read" "$DIR/fails.out"
        fails mount -t fuse.seedancefs seedancefs "$DIR/nowhere" -o "$OPTIONS"
        fails mount -t fuse.seedancefs somewhere "$MNT" -o "$OPTIONS"
        has "only one mount point" "$DIR/fails.out"
        fails mountpoint -q "$MNT"'
}

@test "what mount says without the package fuse3 or without the program is in docs/TROUBLESHOOTING.md" {
    installed '
        fails unshare --mount --propagation private bash -c "
            mount -t tmpfs none /usr/sbin && mount -t fuse.seedancefs seedancefs \"$MNT\""
        # Which of the two depends on whether the kernel knows FUSE yet.
        for text in "unknown filesystem type '"'fuse.seedancefs'"'" "missing codepage or helper program"; do
            has "$text" "$ROOT/docs/TROUBLESHOOTING.md"
            ! grep -qF "$text" "$DIR/fails.out" || touch "$DIR/said"
        done
        [ -e "$DIR/said" ] || { cat "$DIR/fails.out" >&2; exit 1; }
        umount /usr/local/bin
        ! [ -e /usr/bin/seedancefs ] && ! [ -e /usr/local/bin/seedancefs ] || exit 0
        # mount(8) may pass on the 127 of the shell that did not find it, which `fails` would take for its own.
        ! mount -t fuse.seedancefs seedancefs "$MNT" -o "$OPTIONS" >"$DIR/fails.out" 2>&1
        has "seedancefs: not found" "$DIR/fails.out" "$ROOT/docs/TROUBLESHOOTING.md"'
}

# S-INSTALL-12: With `setuid=USER` root mounts, and the program then runs as USER, to whom the jobs belong, with the
#   groups and the data directory of USER (unless another directory is named) and without any capability. This works
#   with `-o`, and in fstab where the package has put mount.fuse.seedancefs beside the other mount helpers.
@test "S-INSTALL-12: setuid=USER" {
    id nobody >/dev/null 2>&1 || skip "there is no user nobody"
    THEIRS=$(mktemp -d "${TMPDIR:-/tmp}/seedancefs-setuid.XXXXXX")
    chmod 755 "$THEIRS"
    mkdir -p "$THEIRS/mnt" "$DIR/sbin" "$DIR/dev"
    ln -s /usr/local/bin/seedancefs "$DIR/sbin/mount.fuse.seedancefs"
    install -d -o nobody -m 700 "$THEIRS/data"
    install -o nobody -m 600 "$DIR/key" "$THEIRS/key"
    echo '{"prompt": "x"}' >"$THEIRS/prompt"
    DEVICE=$(stat -c '%Hr %Lr' /dev/fuse) NOBODY=$(id -u nobody) GROUPS_OF=$(id -G nobody)
    export THEIRS DEVICE NOBODY GROUPS_OF
    installed '
        # A /dev/fuse for everybody, as ordinary machines have it, and a mount helper where mount(8) looks for it.
        mount -t tmpfs -o mode=755 none "$DIR/dev" && mknod -m 666 "$DIR/dev/fuse" c $DEVICE
        mount --bind "$DIR/dev/fuse" /dev/fuse && umount -l "$DIR/dev"
        mount -t overlay overlay -o "lowerdir=$DIR/sbin:/usr/sbin" /usr/sbin || touch "$DIR/skipped"
        [ ! -e "$DIR/skipped" ] || exit 0
        MNT=$THEIRS/mnt DATA=$THEIRS/data
        THEIR_OPTIONS="setuid=nobody,api_url=$API,api_key_file=$THEIRS/key,data_dir=$DATA,poll_interval=0.05"
        runs_as() { [ "$(sed -nE "s/^$1:\s*//p" "/proc/$FS_PID/status" | tr -s "\t " " " | sed "s/ $//")" = "$2" ]; }
        theirs() {
            FS_PID=$(daemon_pid)
            runs_as Uid "$NOBODY $NOBODY $NOBODY $NOBODY"
            runs_as Groups "$GROUPS_OF"
            for set in CapInh CapPrm CapEff CapAmb; do runs_as $set 0000000000000000; done
            runs_as NoNewPrivs 1
            runs_as Name seedancefs
            [ "$(as_nobody stat -c %u "$MNT/jobs")" = "$NOBODY" ]
        }
        trap "kill -9 \$(daemon_pid) 2>/dev/null || true" EXIT
        as_nobody() { setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups -- "$@"; }
        # By fstab, which does not need mount.fuse3; the mount point is root"s.
        echo "seedancefs $MNT fuse.seedancefs $THEIR_OPTIONS,noauto,nofail 0 0" >"$DIR/fstab"
        mount -v -T "$DIR/fstab" "$MNT"
        [ "$(findmnt -no SOURCE,FSTYPE "$MNT" | tr -s " ")" = "seedancefs fuse.seedancefs" ]
        theirs
        as_nobody mkdir "$MNT/jobs/cat"
        as_nobody cp "$THEIRS/prompt" "$MNT/jobs/cat/prompt.json"
        done_() { [ "$(as_nobody cat "$MNT/jobs/cat/status")" = succeeded ]; }
        wait_until 20 done_
        # Root has no way in, as with any mount of a user.
        fails ls "$MNT"
        umount "$MNT"
        wait_until 10 process_is_gone "$FS_PID"
        # By hand, and ended by a signal; what it leaves when it is killed is removed at the next start.
        for i in 1 2; do
            seedancefs -o "$THEIR_OPTIONS,allow_other" "$MNT"
            theirs
            [ "$(cat "$MNT/jobs/cat/status")" = succeeded ]
            [ $i = 2 ] || { kill -9 "$FS_PID"; wait_until 10 process_is_gone "$FS_PID"; }
        done
        kill -TERM "$FS_PID"
        wait_until 10 process_is_gone "$FS_PID"
        [ "$(grep -c " $MNT " /proc/self/mounts)" -eq 0 ]
        # The key file is read as that user, and others are told what is wrong.
        install -m 600 "$DIR/key" "$THEIRS/roots"
        fails seedancefs -o "$THEIR_OPTIONS,api_key_file=$THEIRS/roots" "$MNT"
        has "$THEIRS/roots: the API key cannot be read: Permission denied" "$DIR/fails.out"
        fails seedancefs -o "$THEIR_OPTIONS,setuid=no-such-user" "$MNT"
        has "setuid no-such-user: there is no such user" "$DIR/fails.out"
        fails as_nobody seedancefs -o "$THEIR_OPTIONS,setuid=root" "$MNT"
        has "setuid root: the program cannot switch to this user" "$DIR/fails.out"
        # Tried out only.
        mount -f -T "$DIR/fstab" "$MNT"
        fails mountpoint -q "$MNT"
        # Without --data-dir it is in that user'"'"'s home directory, whatever root'"'"'s environment says.
        fails env XDG_DATA_HOME="$DIR/roots" seedancefs -o "setuid=nobody,api_url=$API,api_key_file=$THEIRS/key" "$MNT"
        has "$(getent passwd nobody | cut -d: -f6)/.local/share/seedancefs: the data directory cannot be written to" "$DIR/fails.out"
        [ ! -e "$DIR/roots" ]'
    [ ! -e "$DIR/skipped" ] || skip "no overlay mounts here"
}

# S-INSTALL-5: With `x-systemd.automount` in fstab, systemd mounts at the first access.
@test "S-INSTALL-5: the unit that systemd makes of the documented lines in fstab" {
    generator=/usr/lib/systemd/system-generators/systemd-fstab-generator
    [ -x $generator ] || skip "systemd is not installed"
    # The line of the manual, which is broken in two there, and that of docs/PACKAGING.md.
    sed -n '/^seedancefs \/srv\/videos fuse\.seedancefs/,/ 0 0$/p' "$ROOT/docs/man/seedancefs.1.in" |
        sed 's/\\e$//' | tr -d '\n' >"$DIR/manual"
    fstab_section | grep '^seedancefs ' >"$DIR/packaging"
    for document in manual packaging; do
        rm -rf "$DIR"/{normal,early,late}
        mkdir "$DIR"/{normal,early,late}
        SYSTEMD_FSTAB=$DIR/$document $generator "$DIR/normal" "$DIR/early" "$DIR/late"
        grep -qx 'Where=/srv/videos' "$DIR/normal/srv-videos.automount"
        grep -qx 'Type=fuse.seedancefs' "$DIR/normal/srv-videos.mount"
        [ -L "$DIR/normal/remote-fs.target.requires/srv-videos.automount" ]
        # Its options are some that mount(8), systemd or the program knows.
        options=$(sed -n 's/^Options=//p' "$DIR/normal/srv-videos.mount")
        for option in api_key_file= data_dir= allow_other; do [[ ,$options == *",$option"* ]]; done
        [ $document = packaging ] || [[ ,$options == *",budget=5/day,"* ]]
        run "$SEEDANCEFS" -o "${options/api_key_file=*.key/api_key_file=$DIR/none}" -o "data_dir=$DATA" seedancefs "$MNT"
        [[ $output == *"$DIR/none: the API key cannot be read"* ]]
    done
}

# What docs/PACKAGING.md says to type and to write into fstab.
fstab_section() { sed -nE '/^## From fstab/,/^### /s/^    //p' "$ROOT/docs/PACKAGING.md"; }

@test "S-INSTALL-4: from fstab, word for word as docs/PACKAGING.md says, on a machine that has nothing of it" {
    mkdir -p "$DIR/root/etc" "$DIR/root/srv" "$DIR/root/var/lib"
    fstab_section | sed -E "s#(^| |=)/(etc|srv|var)/#\1$DIR/root/\2/#g" >"$DIR/section"
    DATA=$DIR/root/var/lib/seedancefs-videos MNT=$DIR/root/srv/videos
    sed -n 's/^sudo //p' "$DIR/section" | sed "s|KEYFILE|$DIR/key|" >"$DIR/commands"
    # The address and the pace are what the test adds.
    sed -nE "s|^(seedancefs .*),allow_other 0 0\$|\1,allow_other,api_url=$API,poll_interval=0.05 0 0|p" "$DIR/section" >"$DIR/fstab"
    [ "$(wc -l <"$DIR/fstab")" -eq 1 ]
    export DATA MNT
    installed '
        bash -e "$DIR/commands"
        [ "$(stat -c %a "$DIR/root/etc/seedancefs" "$DIR"/root/etc/seedancefs/*.key)" = "$(printf "700\n600")" ]
        mount -T "$DIR/fstab" "$MNT"
        FS_PID=$(daemon_pid)
        make_job cat
        umount "$MNT"
        wait_until 10 process_is_gone "$FS_PID"'
    rm "$DIR"/root/etc/seedancefs/*.key # it is where the document says
    # Neither is in the way of a service of the system.
    unit=$ROOT/scripts/packaging/systemd/system/seedancefs@.service
    [ ! -e "$DIR/root/var/lib/seedancefs" ]
    grep -q '^StateDirectory=seedancefs/' "$unit"
    fails grep -E '/srv/videos|seedancefs-videos' "$unit"
}
