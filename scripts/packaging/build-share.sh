#!/bin/sh
# Makes what is installed beside the programs, from the programs themselves:
#   build-share.sh OUT SHARE BINDIR      OUT has the programs, SHARE gets the rest, BINDIR is where they will be
# Man pages (their OPTIONS are what --help prints, the table of errors that of docs/SEMANTICS.md), completions for bash,
# zsh and fish, systemd units.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/scripts/packaging
out=$1
share=$2
bindir=$3
rm -rf "$share"
mkdir -p "$share/man" "$share/bash" "$share/zsh" "$share/fish" "$share/systemd/system" "$share/systemd/user"

# options FORM PROGRAM   in that form. The widths are those of the programs' columns of options.
options() {
    case $2 in
    seedancefs) width=28 ;;
    *) width=31 ;;
    esac
    "$out/$2" --help >"$share/help" || exit
    awk -v form="$1" -v program="$2" -v width=$width -f "$here/options.awk" "$share/help"
}

# The rows of "| NAME | ERRNO | sentence |" as cells of mdoc(7).
errors() {
    awk -F ' *[|] *' '/^## / { is_errors = /Error numbers/ }
        is_errors && $2 ~ /^[A-Z_]+$/ { print ".It " $2 " Ta Er " $3 " Ta " $4 }' "$root/docs/SEMANTICS.md"
}

for page in "$root"/docs/man/*.in; do
    name=$(basename "$page" .in)
    options mdoc "${name%.*}" >"$share/options"
    errors >"$share/errors"
    sed -e "/^@OPTIONS@/{r $share/options" -e 'd;}' -e "/^@ERRORS@/{r $share/errors" -e 'd;}' "$page" >"$share/man/$name"
done
for program in seedancefs seedance-sim; do
    options bash $program >"$share/bash/$program"
    options zsh $program >"$share/zsh/_$program"
    options fish $program >"$share/fish/$program.fish"
done
for unit in "$here"/systemd/*/*.service; do
    [ -e "$unit" ] || continue
    sed "s|@BINDIR@|$bindir|g" "$unit" >"$share/systemd/${unit#"$here"/systemd/}"
done
rm -f "$share/help" "$share/options" "$share/errors"
