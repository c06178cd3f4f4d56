#!/bin/sh
# `make deb`: a Debian package for this machine's architecture and release, with dpkg-deb alone; debhelper would bring more
# than it saves for two programs.
#   build-deb.sh OUT SHARE DIRECTORY VERSION      OUT has the programs, SHARE what build-share.sh made for /usr
# leaves DIRECTORY/seedancefs_VERSION_ARCHITECTURE.deb and prints its name. The same tree gives the same package.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
out=$1
share=$2
directory=$3
version=$4
stage=$directory/stage
doc=$stage/usr/share/doc/seedancefs
architecture=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || stat -c %Y "$root/Makefile")}
export SOURCE_DATE_EPOCH
maintainer="The seedancefs maintainers <seedancefs@localhost>"

umask 022
rm -rf "$stage" "$directory/shlibs"
mkdir -p "$stage/DEBIAN" "$directory/shlibs/debian"
PREFIX=/usr DESTDIR=$stage ZSHDIR=/usr/share/zsh/vendor-completions \
    "$root/scripts/packaging/install.sh" install "$out" "$share"
strip --strip-unneeded --remove-section=.comment --remove-section=.note "$stage"/usr/bin/*
gzip -9n "$stage"/usr/share/man/man*/*
# Keys and options of the system service.
install -d -m 700 "$stage/etc/seedancefs"

# What Debian expects by name.
mv "$doc/LICENSE" "$doc/copyright"
cat >"$doc/changelog" <<END
seedancefs ($version) unstable; urgency=medium

  * Version $version.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
gzip -9n "$doc/changelog"

# The libraries' packages and their least versions, from what the programs use of them.
printf 'Source: seedancefs\n\nPackage: seedancefs\nArchitecture: any\n' >"$directory/shlibs/debian/control"
depends=$(cd "$directory/shlibs" && dpkg-shlibdeps -O "$stage/usr/bin/seedancefs" "$stage/usr/bin/seedance-sim" 2>shlibs.log) ||
    { cat "$directory/shlibs/shlibs.log" >&2; exit 1; }

(cd "$stage" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$stage/DEBIAN/md5sums"
cat >"$stage/DEBIAN/control" <<END
Package: seedancefs
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(du -sk --apparent-size --exclude=DEBIAN "$stage" | cut -f 1)
Depends: ${depends#shlibs:Depends=}, fuse3
Recommends: ca-certificates, ffmpeg
Suggests: libpq5
Section: utils
Priority: optional
Description: filesystem that generates videos with ByteDance Seedance 2.0
 Writing a request into a file of the mounted directory creates a paid task
 at the TokenHub service, and the finished video appears as a file beside it.
 Whatever can read a file can use it. Nothing but such a write spends money.
 .
 The package has a simulator of the service as well, which needs no key.
END
for script in postinst prerm postrm; do
    install -m 755 "$root/scripts/packaging/deb/$script" "$stage/DEBIAN/$script"
done
package=$directory/seedancefs_${version}_$architecture.deb
dpkg-deb --root-owner-group -Zxz --build "$stage" "$package" >/dev/null
rm -rf "$stage" "$directory/shlibs"
echo "$package"
