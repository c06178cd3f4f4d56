#!/bin/bash
# stop-radosgw.sh DIR: ends what start-radosgw.sh has started there, and waits for it.
directory=${1:?directory}
for file in "$directory"/run/*.pid; do
    [ -s "$file" ] || continue
    pid=$(<"$file")
    kill "$pid" 2>/dev/null
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null
done
exit 0
