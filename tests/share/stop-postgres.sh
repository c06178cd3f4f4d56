#!/bin/bash
# stop-postgres.sh DIR: ends what start-postgres.sh has started there, and waits for it.
directory=${1:?directory}
read -r pid 2>/dev/null <"$directory/data/postmaster.pid" || exit 0
for signal in INT QUIT KILL; do
    kill -$signal "$pid" 2>/dev/null || exit 0
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || exit 0
        sleep 0.05
    done
done
