#!/usr/bin/env bats
# The Debian package: what is in it, what it needs, and that it leaves nothing behind but what was paid for. It is
# installed into a root of its own, with a copy of this machine's list of packages, so that what it depends on is
# really asked for.
load helper

build_deb() {
    env -u MAKEFLAGS -u MAKELEVEL -u V make --no-print-directory -C "$ROOT" deb DEB="$1" >"$BATS_FILE_TMPDIR/out" 2>&1 3>&- ||
        { cat "$BATS_FILE_TMPDIR/out" >&2; return 1; }
}

obstacle() {
    if [ "$BUILD" != build ]; then
        echo "looks at what 'make deb' takes from build/"
    elif ! command -v dpkg-shlibdeps >/dev/null; then
        echo "dpkg-dev is not installed"
    fi
}

# bats skips tests, not files.
setup_file() { [ -n "$(obstacle)" ] || build_deb "$BATS_FILE_TMPDIR/deb"; }

setup() {
    local why
    why=$(obstacle)
    [ -z "$why" ] || skip "$why"
    DIR=$(mktemp -d "$BATS_TEST_TMPDIR/package.XXXXXX")
    DEB=$(ls "$BATS_FILE_TMPDIR"/deb/seedancefs_*.deb)
}

field() { dpkg-deb -f "$DEB" "$1"; }

# S-INSTALL-9: `make deb` builds a package that depends on the libraries that the programs need and on fuse3.
@test "S-INSTALL-9: what the package has and needs" {
    [ "$(field Package)" = seedancefs ]
    [ "seedancefs $(field Version)" = "$("$SEEDANCEFS" --version | head -n 1)" ]
    [ "$(field Architecture)" = "$(dpkg --print-architecture)" ]
    # Every library that the programs are linked with, but for what libc6 brings, belongs to a package in Depends.
    dpkg-deb -x "$DEB" "$DIR/x"
    for program in "$DIR"/x/usr/bin/*; do
        objdump -p "$program" | awk '/NEEDED/ { print $2 }'
    done | sort -u >"$DIR/needed"
    [ "$(wc -l <"$DIR/needed")" -ge 5 ]
    field Depends | tr ',' '\n' | sed 's/(.*//; s/ //g' | sort >"$DIR/depends"
    grep -qx fuse3 "$DIR/depends"
    while read -r library; do
        dpkg -S "*/$library" | cut -d: -f1 | sort -u >"$DIR/owners"
        grep -qxFf "$DIR/owners" "$DIR/depends" || { echo "$library: $(cat "$DIR/owners") is not in Depends" >&2; return 1; }
    done <"$DIR/needed"
    # The same files as `make install`, but for Debian's names.
    (cd "$DIR/x" && find . -type f | sort) >"$DIR/files"
    for file in usr/bin/seedancefs usr/share/man/man1/seedancefs.1.gz usr/share/man/man5/seedancefs.5.gz \
        usr/share/doc/seedancefs/copyright usr/share/doc/seedancefs/changelog.gz \
        usr/share/bash-completion/completions/seedancefs usr/share/zsh/vendor-completions/_seedancefs \
        usr/lib/systemd/system/seedancefs@.service usr/lib/systemd/user/seedancefs.service \
        usr/lib/systemd/user/seedancefs@.service usr/share/doc/seedancefs/monitoring/seedancefs-metrics; do
        grep -qxF "./$file" "$DIR/files" || { echo "$file is not in the package" >&2; return 1; }
    done
    [ "$DIR/x/usr/sbin/mount.fuse.seedancefs" -ef "$DIR/x/usr/bin/seedancefs" ]
    fails grep -rlF "$BATS_FILE_TMPDIR" "$DIR/x"
    fails grep -qE '\.debug_info' <(objdump -h "$DIR/x/usr/bin/seedancefs")
    (cd "$DIR/x" && md5sum --quiet -c <(dpkg-deb --ctrl-tarfile "$DEB" | tar -xO ./md5sums))
    dpkg-deb -c "$DEB" | awk '$2 != "root/root" { print; bad = 1 } END { exit bad }' >&2
    has 'drwx------' <(dpkg-deb -c "$DEB" | grep ' \./etc/seedancefs/')
}

@test "S-INSTALL-9: the same tree gives the same package" {
    build_deb "$DIR/deb"
    cmp "$DEB" "$DIR/deb/${DEB##*/}"
}

# dpkg_ ACTION...   in the root of its own
dpkg_() {
    dpkg --root="$DIR/root" --force-script-chrootless --log="$DIR/dpkg.log" "$@" >"$DIR/dpkg.out" 2>&1 3>&- ||
        { cat "$DIR/dpkg.out" >&2; return 1; }
}
everything() { (cd "$DIR/root" && find . -path ./var/lib/dpkg -prune -o -print | sort); }

# S-INSTALL-10: The package can be installed, and purging it leaves what was there before. Purging removes the keys
#   and options in /etc/seedancefs; jobs and videos in /var/lib/seedancefs stay.
@test "S-INSTALL-10: it installs and purges cleanly" {
    [ "$(id -u)" = 0 ] || skip "dpkg is for root"
    mkdir -p "$DIR/root/var/lib/dpkg/info" "$DIR/root/var/lib/dpkg/updates" "$DIR/root/etc" "$DIR/root/usr/bin" \
        "$DIR/root/usr/lib" "$DIR/root/usr/share/man/man1" "$DIR/root/usr/share/doc" "$DIR/root/var/lib" "$DIR/root/srv"
    # dpkg removes directories that are empty.
    find "$DIR/root" -type d -exec touch {}/other ';'
    # Installed is what is installed here; the files of the others are not looked for.
    awk -v RS= -v ORS='\n\n' '!/^Package: seedancefs\n/' /var/lib/dpkg/status | grep -v '^ .*[0-9a-f]\{32\}$' \
        >"$DIR/root/var/lib/dpkg/status"
    everything >"$DIR/before"
    dpkg_ --install "$DEB"
    [ "$(dpkg-query --admindir="$DIR/root/var/lib/dpkg" -W -f '${db:Status-Status}' seedancefs)" = installed ]
    "$DIR/root/usr/bin/seedancefs" --version
    [ "$(stat -c %a "$DIR/root/etc/seedancefs")" = 700 ]
    dpkg --root="$DIR/root" --verify seedancefs >"$DIR/verified"
    [ ! -s "$DIR/verified" ]
    echo "$KEY" >"$DIR/root/etc/seedancefs/alice.key"
    mkdir -p "$DIR/root/var/lib/seedancefs/alice"
    touch "$DIR/root/var/lib/seedancefs/alice/jobs.sqlite"
    # What enabling services and starting them makes: the links, and their mount points.
    system=$DIR/root/etc/systemd/system
    mkdir -p "$system/multi-user.target.wants" "$system/graphical.target.wants" "$DIR/root/etc/systemd/user/default.target.wants" \
        "$DIR/root/srv/seedance/alice" "$DIR/root/srv/seedance/bob"
    ln -s /lib/systemd/system/seedancefs@.service "$system/multi-user.target.wants/seedancefs@alice.service"
    ln -s /lib/systemd/system/seedancefs@.service "$system/graphical.target.wants/seedancefs@bob.service"
    ln -s /lib/systemd/system/other.service "$system/multi-user.target.wants/other.service"
    ln -s /usr/lib/systemd/user/seedancefs.service "$DIR/root/etc/systemd/user/default.target.wants/seedancefs.service"
    ln -s /usr/lib/systemd/user/seedancefs@.service "$DIR/root/etc/systemd/user/default.target.wants/seedancefs@work.service"
    # Not empty: somebody has put it there while nothing was mounted.
    mkdir -p "$DIR/root/srv/seedance/carol/notes"
    dpkg_ --install "$DEB" # as an upgrade
    dpkg_ --remove seedancefs
    [ ! -e "$DIR/root/usr/bin/seedancefs" ]
    [ -e "$DIR/root/etc/seedancefs/alice.key" ]
    [ -L "$system/multi-user.target.wants/seedancefs@alice.service" ]
    dpkg_ --purge seedancefs
    [ "$(cd "$DIR/root/srv/seedance" && find . -mindepth 1 | sort | tr '\n' ' ')" = './carol ./carol/notes ' ]
    [ "$(cd "$DIR/root/etc/systemd" && find . ! -type d)" = ./system/multi-user.target.wants/other.service ]
    [ "$(ls "$system")" = multi-user.target.wants ]
    rm -r "$DIR/root/srv/seedance" "$DIR/root/etc/systemd"
    has 'are kept in /var/lib/seedancefs' "$DIR/dpkg.out"
    [ ! -e "$DIR/root/etc/seedancefs" ]
    [ -e "$DIR/root/var/lib/seedancefs/alice/jobs.sqlite" ]
    rm -r "$DIR/root/var/lib/seedancefs"
    fails grep -r seedancefs "$DIR/root/var/lib/dpkg/info"
    everything | diff "$DIR/before" - >&2
    # Without fuse3 it would not have been configured.
    awk -v RS= -v ORS='\n\n' '!/^Package: fuse3\n/' "$DIR/root/var/lib/dpkg/status" >"$DIR/status"
    cp "$DIR/status" "$DIR/root/var/lib/dpkg/status"
    fails dpkg_ --install "$DEB"
    has 'depends on fuse3' "$DIR/dpkg.out"
}

@test "S-INSTALL-10: purging removes empty mount points, and goes through no mount and no link" {
    dpkg-deb --ctrl-tarfile "$DEB" | tar -xO ./postrm >"$DIR/postrm"
    mkdir -p "$DIR/root/srv/seedance/alice"
    purge() { DPKG_ROOT=$DIR/root sh "$DIR/postrm" purge; }
    purge
    [ ! -e "$DIR/root/srv/seedance" ]
    purge
    mkdir -p "$DIR/elsewhere/empty"
    ln -s "$DIR/elsewhere" "$DIR/root/srv/seedance"
    purge
    [ -d "$DIR/root/srv/seedance/empty" ]
    rm "$DIR/root/srv/seedance"
    unshare --mount true 2>/dev/null || skip "no mount namespaces here"
    mkdir -p "$DIR/root/srv/seedance"
    export DIR
    unshare --mount --propagation private "$ROOT/tests/e2e/own_mounts.sh" "$DIR" bash -eu -c '
        purge() { DPKG_ROOT=$DIR/root sh "$DIR/postrm" purge; }
        cd /
        mount -t tmpfs none "$DIR/root/srv/seedance"
        mkdir "$DIR/root/srv/seedance/empty"
        purge
        [ -d "$DIR/root/srv/seedance/empty" ]
        umount "$DIR/root/srv/seedance"
        mkdir "$DIR/root/srv/seedance/alice" "$DIR/root/srv/seedance/bob"
        mount -t tmpfs none "$DIR/root/srv/seedance/alice"
        purge
        mountpoint -q "$DIR/root/srv/seedance/alice"
        [ ! -e "$DIR/root/srv/seedance/bob" ]' 3>&-
}
