#!/bin/sh
# The layers of the program: who may include whom, and the only includer of each library. The same table stands
# in docs/ARCHITECTURE.md. Exits 1 and says where a rule is broken.
set -u
cd "$(dirname "$0")/.." || exit 1

# layer: layers it may use
table='
app:    app fuse tree job media share objects prompt api store net base
fuse:   fuse tree base
tree:   tree job media objects store base
job:    job prompt api store base
media:  media net base
prompt: prompt base
api:    api net base
objects: objects net base
net:    net base
store:  store base
share:  share store net base
base:   base
sim:    base
'
# header of a library: the one layer that may include it
includers='
curl/curl.h:net
sqlite3.h:store
openssl/evp.h:objects
openssl/hmac.h:objects
libpq-fe.h:share
cjson/cJSON.h:base
fuse_lowlevel.h:fuse
fuse_opt.h:app
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
    layer=$(basename "$(dirname "$file")")
    allowed=$(echo "$table" | sed -n "s/^$layer: *//p")
    for used in $(sed -n 's|^#include "seedancefs/\([a-z]*\)/.*|\1|p' "$file" | sort -u); do
        case " $allowed " in
        *" $used "*) ;;
        *) say "$file: $layer/ may not use $used/" ;;
        esac
    done
    # Private headers of another layer.
    for used in $(sed -n 's|^#include "\([a-z]*\)/[^"]*".*|\1|p' "$file" | sort -u); do
        [ "$used" = seedancefs ] || [ "$used" = "$layer" ] ||
            say "$file: includes a private header of $used/"
    done
    for includer in $includers; do
        header=${includer%:*}
        owner=${includer#*:}
        # The simulator includes libraries of its own: it shares no code with the daemon.
        if [ "$layer" != "$owner" ] && [ "$layer" != sim ] && grep -q "^#include <$header>" "$file"; then
            say "$file: <$header> belongs to $owner/ alone"
        fi
    done
    # Time comes from base/clock only, so that tests run hours in milliseconds.
    case $layer in
    job | media | prompt | api | tree | store)
        if grep -nE '\b(time|gettimeofday|clock_gettime|sleep|usleep|nanosleep)\(' "$file"; then
            say "$file: takes the time from the system"
        fi
        ;;
    esac
done
exit $broken
