#!/bin/sh
# Within a layer files form a directed graph, too: who calls whom has no way back. Asked of the objects' symbols:
#   check-circles.sh [DIRECTORY]    of a build's objects, one directory per layer; default: build/obj/release/src
# Prints the files of each circle and exits 1. A circle that is one machine on purpose is named here, with its reason.
set -u
objects=${1:-"$(dirname "$0")/../build/obj/release/src"}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# layer: files that may be a circle
allowed='
media: item reads transfer
'

broken=0
for layer in "$objects"/*/; do
    name=$(basename "$layer")
    # FILE T symbol, FILE U symbol
    for object in "$layer"*.o; do
        nm "$object" | awk -v file="$(basename "$object" .o)" 'NF >= 2 { print file, $(NF - 1), $NF }'
    done >"$work/symbols"
    # A file and itself is how tsort(1) is told of a file that calls nobody.
    awk 'NR == FNR { if ($2 ~ /^[TDBRVW]$/) home[$3] = $1; next }
         { print $1, $1 } $2 == "U" && ($3 in home) && home[$3] != $1 { print $1, home[$3] }' \
        "$work/symbols" "$work/symbols" | sort -u >"$work/edges"
    tsort "$work/edges" 2>&1 >/dev/null | sed -n 's/^tsort: \([a-z_0-9]*\)$/\1/p' | sort -u >"$work/circle"
    for file in $(cat "$work/circle"); do
        echo "$allowed" | grep -qE "^$name:.* $file( |\$)" && continue
        echo "$name/$file.c is in a circle of files that call each other: $(tr '\n' ' ' <"$work/circle")"
        broken=1
    done
done
exit $broken
