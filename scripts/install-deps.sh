#!/bin/sh
# Installs what building and testing need from Debian or Ubuntu packages; does nothing, and asks the
# network for nothing, when all is there. `--build`: only what building needs; `--check`, `--package`, `--bench`: and what
# `make check`, `make deb` or `make bench` needs beside; `--matrix`: what `make matrix` needs on this machine;
# `--studio`: what `make test-studio` needs beside, where that can be had and starting its services can be forbidden.
set -eu

build="gcc libc6-dev make pkg-config libfuse3-dev fuse3 libcurl4-openssl-dev libcjson-dev
       libsqlite3-dev libssl-dev libpq-dev uthash-dev libxxhash-dev libmicrohttpd-dev"
check="libcmocka-dev bats curl jq ffmpeg file vim-tiny rsync procps util-linux strace sqlite3 git python3"
tests="$check clang libclang-rt-14-dev clang-format clang-tidy cppcheck
       zsh fish mpv dash nano sudo patch e2fsprogs fio openssl python3-prometheus-client man-db mandoc bsdextrautils dpkg-dev systemd
       chromium-headless-shell ffmpegthumbnailer zip inotify-tools attr python3-jsonschema xvfb pcmanfm thunar xdotool xclip
       x11-apps dbus-daemon rclone"
# Samba's server, nfs-ganesha and Prometheus, which has promtool, would be started, for everybody in the network to see,
# plocate's timer, which goes through the disk each day, and logrotate's, wherever installing a package may start services.
if [ -x /usr/sbin/policy-rc.d ] && ! /usr/sbin/policy-rc.d smbd start >/dev/null 2>&1; then
    tests="$tests samba smbclient nfs-ganesha nfs-ganesha-vfs libnfs-utils plocate logrotate prometheus"
fi
# PostgreSQL as well, and its package would make a cluster of its own beside.
if [ -x /usr/sbin/policy-rc.d ] && ! /usr/sbin/policy-rc.d postgresql start >/dev/null 2>&1; then
    tests="$tests postgresql postgresql-client"
fi
packages="$build $tests"
[ "${1:-}" = --build ] && packages=$build
[ "${1:-}" = --check ] && packages="$build $check"
[ "${1:-}" = --package ] && packages="$build dpkg-dev"
# Ceph's services would be started wherever installing a package may start some; the tests start their own, and are skipped
# without these.
if [ "${1:-}" = --studio ]; then
    packages=
    if [ -x /usr/sbin/policy-rc.d ] && ! /usr/sbin/policy-rc.d ceph start >/dev/null 2>&1 &&
        apt-cache show radosgw >/dev/null 2>&1; then
        packages="ceph-mon ceph-mgr ceph-osd radosgw"
    fi
fi
[ "${1:-}" = --matrix ] && packages="debootstrap git rsync curl gcc libfuse3-dev libcurl4-openssl-dev libcjson-dev libsqlite3-dev libssl-dev pkg-config"
[ "${1:-}" = --bench ] && packages="$build curl jq sqlite3 procps python3 ffmpeg nginx-light rclone mpv
    chromium-headless-shell"

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for package in $packages; do
    is_installed "$package" && continue
    case $package in
    # The sanitizers' runtime carries the compiler's version in its name; any will do.
    libclang-rt-14-dev)
        dpkg-query -W -f '${binary:Package} ${db:Status-Status}\n' 'libclang-rt-*-dev' 2>/dev/null |
            grep -q ' installed$' && continue
        package=libclang-rt-dev
        is_installed "$package" && continue ;;
    vim-tiny) command -v vim >/dev/null 2>&1 && continue ;;
    chromium-headless-shell) command -v chromium >/dev/null 2>&1 && continue ;;
    nginx-light) command -v nginx >/dev/null 2>&1 && continue ;;
    esac
    missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "seedancefs: these packages are missing, and this is no Debian or Ubuntu:$missing" >&2
    echo "seedancefs: install their equivalents and run the same command again." >&2
    exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || {
        echo "seedancefs: run as root (or install sudo), please: apt-get install$missing" >&2
        exit 1
    }
    as_root=sudo
fi

echo "installing:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() {
    "$@" </dev/null >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        echo "seedancefs: this failed: $*" >&2
        exit 1
    }
}
run $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 update -q
# Ubuntu has no browser among its packages; the tests that need one are then skipped, and say so.
case $missing in
*chromium-headless-shell*)
    apt-cache show chromium-headless-shell >/dev/null 2>&1 ||
        missing=$(echo "$missing" | sed 's/ *chromium-headless-shell//') ;;
esac
# shellcheck disable=SC2086 # a list of words
run $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -qy --no-install-recommends $missing
