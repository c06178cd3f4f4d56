#!/bin/sh
# `make install` and `make uninstall`, from one table, so that the second removes exactly what the first has put there.
#   install.sh install|uninstall OUT SHARE      in the environment: PREFIX, DESTDIR, and where it differs, ZSHDIR
# OUT has the programs, SHARE what build-share.sh makes. Directories that are empty after uninstalling are removed
# where they are ours alone.
set -eu
action=$1
out=$2
share=$3
root=$(cd "$(dirname "$0")/../.." && pwd)
PREFIX=${PREFIX:-/usr/local}
DESTDIR=${DESTDIR:-}
ZSHDIR=${ZSHDIR:-$PREFIX/share/zsh/site-functions}
doc=$PREFIX/share/doc/seedancefs

# mode, what, where
table() {
    cat <<END
755 $out/seedancefs $PREFIX/bin
755 $out/seedance-sim $PREFIX/bin
644 $share/man/seedancefs.1 $PREFIX/share/man/man1
644 $share/man/seedance-sim.1 $PREFIX/share/man/man1
644 $share/man/seedancefs.5 $PREFIX/share/man/man5
644 $share/bash/seedancefs $PREFIX/share/bash-completion/completions
644 $share/bash/seedance-sim $PREFIX/share/bash-completion/completions
644 $share/zsh/_seedancefs $ZSHDIR
644 $share/zsh/_seedance-sim $ZSHDIR
644 $share/fish/seedancefs.fish $PREFIX/share/fish/vendor_completions.d
644 $share/fish/seedance-sim.fish $PREFIX/share/fish/vendor_completions.d
644 $share/systemd/system/seedancefs@.service $PREFIX/lib/systemd/system
644 $share/systemd/user/seedancefs.service $PREFIX/lib/systemd/user
644 $share/systemd/user/seedancefs@.service $PREFIX/lib/systemd/user
644 $root/README.md $doc
644 $root/LICENSE $doc
755 $root/scripts/monitoring/seedancefs-metrics $doc/monitoring
644 $root/scripts/monitoring/seedancefs-metrics.service $doc/monitoring
644 $root/scripts/monitoring/seedancefs-metrics.timer $doc/monitoring
644 $root/scripts/monitoring/seedancefs.rules.yml $doc/monitoring
644 $root/scripts/monitoring/grafana-dashboard.json $doc/monitoring
END
    for schema in "$root"/src/tree/texts/schema/*.json; do
        echo "644 $schema $PREFIX/share/seedancefs/schema"
    done
    # With the pictures that README.md shows.
    for document in "$root"/docs/*.md "$root"/docs/*.png; do
        echo "644 $document $doc/docs"
    done
}

# Where mount(8) looks for it, with PREFIX=/usr: then it calls the program, and mount.fuse3 does not.
helper=$DESTDIR$PREFIX/sbin/mount.fuse.seedancefs

table | while read -r mode source directory; do
    target=$DESTDIR$directory/${source##*/}
    case $action in
    install) install -D -m "$mode" "$source" "$target" ;;
    uninstall) rm -f "$target" ;;
    esac
done
case $action in
install) mkdir -p "${helper%/*}" && ln -sf ../bin/seedancefs "$helper" ;;
uninstall) rm -f "$helper" ;;
esac
[ "$action" = install ] || rmdir "$DESTDIR$doc/docs" "$DESTDIR$doc/monitoring" "$DESTDIR$doc" \
    "$DESTDIR$PREFIX/share/seedancefs/schema" "$DESTDIR$PREFIX/share/seedancefs" 2>/dev/null || true
