#!/bin/sh
# own_mounts.sh DIRECTORY COMMAND...   runs a command in a mount table of its own that has no mount of the program but those
# below the directory. Tests that run beside it could not end theirs: a file system lives as long as any table has it.
set -eu
awk -v directory="$1/" '$3 == "fuse.seedancefs" && index($2, directory) != 1 { print $2 }' /proc/self/mounts |
    while read -r point; do umount -i -l "$point" 2>/dev/null || true; done
shift
exec "$@"
