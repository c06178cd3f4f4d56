#!/bin/bash
# `make matrix`: does it build, and work, on the Debian releases that it names? Each is made by debootstrap below build/matrix
# (kept, so that a second run is quick), in a mount namespace of its own. In each: build without a warning, unit tests, the
# end-to-end tests of `make check` on a real mount.
#   matrix.sh [SUITE]...      bookworm trixie sid libfuse-3.10 without one
# libfuse-3.10 compiles what uses libfuse against the headers of the oldest version that is supported (Debian 11; Ubuntu
# 22.04 has 3.10.5), which has fewer fields than those of Debian 12.
#   MIRROR=URL                where the packages come from, else as this machine is set up
# Skipped with the reason where that cannot be done. The last line is "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.." || exit 1
root=$PWD/build/matrix
passed=0
failed=0
skipped=0
[ $# -gt 0 ] || set -- bookworm trixie sid libfuse-3.10
suites=$#

finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
    exit
}
skip_all() {
    echo "skipped: $1"
    skipped=$suites
    finish
}
[ "$(id -u)" = 0 ] || skip_all "debootstrap needs root"
scripts/install-deps.sh --matrix || skip_all "debootstrap cannot be installed"
unshare --mount true 2>/dev/null || skip_all "no mount namespace can be made here"

# What apt on this machine asks: registries are often mirrored.
mirror=${MIRROR:-$(grep -rhsE '^(deb |URIs:)' /etc/apt/sources.list /etc/apt/sources.list.d |
    grep -oE '[a-z+]+://[^ ]*debian/?( |$)' | grep -v security | head -n 1)}
mirror=${mirror:-https://deb.debian.org/debian}

# make_system SUITE DIRECTORY
make_system() {
    [ -e "$2/.complete" ] && return 0
    rm -rf "$2"
    debootstrap --variant=minbase --include=make,git,ca-certificates "$1" "$2" "${mirror% }" >"$root/$1.log" 2>&1 || return 1
    for file in /etc/apt/apt.conf.d/* /etc/apt/auth.conf /usr/local/share/ca-certificates/*; do
        [ -f "$file" ] && case $file in *docker*) ;; *) install -D -m 644 "$file" "$2$file" ;; esac
    done
    # Installing a package must start nothing.
    printf '#!/bin/sh\nexit 101\n' >"$2/usr/sbin/policy-rc.d"
    chmod 755 "$2/usr/sbin/policy-rc.d"
    echo force-unsafe-io >"$2/etc/dpkg/dpkg.cfg.d/unsafe-io" # it can be made again
    : >"$2/.complete"
}

# Runs within the new mount namespace: inside DIRECTORY
inside() {
    mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" && mount --rbind /sys "$1/sys" &&
        mount --bind /etc/resolv.conf "$1/etc/resolv.conf" 2>/dev/null
    mount -t tmpfs tmpfs "$1/tmp" && mount -t tmpfs tmpfs "$1/run"
    chroot "$1" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb CI=true \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        sh -c 'cd /src && make --no-print-directory check' </dev/null
}
export -f inside

# Compiles what includes <fuse_lowlevel.h> or <fuse_opt.h> against libfuse 3.10.
old_libfuse() {
    directory=$root/libfuse-3.10
    headers=$directory/usr/include/fuse3
    if [ ! -e "$headers/fuse_lowlevel.h" ]; then
        mkdir -p "$directory" && curl -sSf -o "$directory.deb" \
            "${mirror% }/pool/main/f/fuse3/libfuse3-dev_3.10.3-2_amd64.deb" && dpkg-deb -x "$directory.deb" "$directory"
    fi || { echo "libfuse-3.10: skipped: its headers cannot be had"; skipped=$((skipped + 1)); return; }
    for file in src/fuse/*.c src/app/*.c; do
        # shellcheck disable=SC2046 # a list of words
        "${CC:-gcc}" -std=c17 -D_GNU_SOURCE -DSEEDANCEFS_VERSION='"0"' -DFUSE_USE_VERSION=35 -Iinclude -Isrc \
            -isystem "$headers" $(pkg-config --cflags libcurl libcjson sqlite3) -Wall -Wextra -Werror -fsyntax-only "$file" ||
            { failed=$((failed + 1)); return; }
    done
    passed=$((passed + 1))
    echo "libfuse-3.10: compiles"
}

for suite in "$@"; do
    directory=$root/$suite
    mkdir -p "$root"
    [ "$suite" != libfuse-3.10 ] || { old_libfuse; continue; }
    if ! make_system "$suite" "$directory"; then
        echo "$suite: skipped: debootstrap failed: $(tail -n 1 "$root/$suite.log")"
        skipped=$((skipped + 1))
        continue
    fi
    mkdir -p "$directory/src"
    rm -rf "${directory:?}/src/"* # an object that is there already would hide its warnings
    git ls-files -z | rsync -a --files-from=- --from0 ./ "$directory/src/"
    if unshare --mount --propagation private bash -c 'inside "$1"' inside "$directory" >"$root/$suite.log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        grep -E 'failed:|^not ok |[1-9][0-9]* failed,|warning:|error:' "$root/$suite.log" | head -n 40
    fi
    versions=$(chroot "$directory" sh -c 'gcc -dumpfullversion; pkg-config --modversion fuse3 libcurl sqlite3' 2>/dev/null | tr '\n' ' ')
    counts=$(grep -E '^[0-9]+ passed, ' "$root/$suite.log" | tail -n 1)
    echo "$suite: ${counts:-$(tail -n 1 "$root/$suite.log")} (gcc, libfuse, libcurl, SQLite: $versions)"
done
finish
