#!/bin/sh
# The floors of the house: who may include whom, and which library has which door. The same table stands
# in docs/ARCHITECTURE.md. Exits 1 and says where a rule is broken.
set -u
cd "$(dirname "$0")/.." || exit 1

# floor: floors it may use
table='
app:    app fuse tree job media prompt api store net base
fuse:   fuse tree base
tree:   tree job media base
job:    job prompt api store base
media:  media net store base
prompt: prompt base
api:    api net base
net:    net base
store:  store base
base:   base
sim:    base
'
# header of a library: the one floor that may include it
doors='
curl/curl.h:net
sqlite3.h:store
cjson/cJSON.h:base
fuse_lowlevel.h:fuse
microhttpd.h:sim
uthash.h:base
utlist.h:base
xxhash.h:base
'

broken=0
say() {
    echo "$1"
    broken=1
}

for file in src/*/*.[ch] include/seedancefs/*/*.h; do
    floor=$(basename "$(dirname "$file")")
    allowed=$(echo "$table" | sed -n "s/^$floor: *//p")
    for used in $(sed -n 's|^#include "seedancefs/\([a-z]*\)/.*|\1|p' "$file" | sort -u); do
        case " $allowed " in
        *" $used "*) ;;
        *) say "$file: $floor/ may not use $used/" ;;
        esac
    done
    # Private headers of another floor.
    for used in $(sed -n 's|^#include "\([a-z]*\)/[^"]*".*|\1|p' "$file" | sort -u); do
        [ "$used" = seedancefs ] || [ "$used" = "$floor" ] ||
            say "$file: includes a private header of $used/"
    done
    for door in $doors; do
        header=${door%:*}
        owner=${door#*:}
        # The simulator has doors of its own: it shares no code with the daemon.
        if [ "$floor" != "$owner" ] && [ "$floor" != sim ] && grep -q "^#include <$header>" "$file"; then
            say "$file: <$header> belongs to $owner/ alone"
        fi
    done
    # Time comes from base/clock only, so that tests run hours in milliseconds.
    case $floor in
    job | media | prompt | api | tree | store)
        if grep -nE '\b(time|gettimeofday|clock_gettime|sleep|usleep|nanosleep)\(' "$file"; then
            say "$file: takes the time from the system"
        fi
        ;;
    esac
done
exit $broken
