#!/usr/bin/env bash
# `make demo`: the whole thing in half a minute, without a key and without the Internet. Starts the
# simulator of the service, mounts, generates a video with the command of the README, shows it. On a
# terminal the mount then stays until Enter or Ctrl-C. Leaves no mount and no process behind.
set -eu
cd "$(dirname "$0")/.."

build=$PWD/build
dir=$(mktemp -d "${TMPDIR:-/tmp}/seedancefs-demo.XXXXXX")
mnt=$dir/mnt
sim=
fs=

if [ -t 1 ]; then
    bold=$'\e[1m' plain=$'\e[0m'
else
    bold='' plain=''
fi

finish() {
    trap '' INT TERM HUP
    if mountpoint -q "$mnt" 2>/dev/null; then
        fusermount3 -u "$mnt" 2>/dev/null || fusermount3 -uz "$mnt" 2>/dev/null || true
    fi
    # The daemon ends with its mount.
    for _ in $(seq 100); do
        [ -n "$fs" ] && kill -0 "$fs" 2>/dev/null || break
        sleep 0.05
    done
    [ -z "$fs" ] || kill "$fs" 2>/dev/null || true
    if [ -n "$sim" ]; then
        kill "$sim" 2>/dev/null || true
        wait "$sim" 2>/dev/null || true
    fi
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Shows a command as one would type it, then runs it.
run() {
    printf '\n%s$ %s%s\n' "$bold" "$1" "$plain"
    (cd "$dir" && bash -c "$1")
}

mkdir "$mnt"
"$build/seedance-sim" --port-file "$dir/ports" --queue-seconds 2 --generation-seconds 20 \
    --time-scale 10 --die-with-parent >"$dir/sim.out" 2>&1 &
sim=$!
for _ in $(seq 100); do
    [ -s "$dir/ports" ] && break
    kill -0 "$sim" 2>/dev/null || { cat "$dir/sim.out" >&2; exit 1; }
    sleep 0.05
done
read -r port _ <"$dir/ports"

echo "A simulator of the service runs at http://127.0.0.1:$port/api/v1 (ten times as fast as life)."
export TOKENHUB_API_KEY=th-simulator
export PATH=$build:$PATH
run "seedancefs --api-url http://127.0.0.1:$port/api/v1 --data-dir data --poll-interval 0.2 mnt"
unset TOKENHUB_API_KEY
fs=$(awk -v i=":$(stat -c %i "$dir/data/lock")\$" '$6 ~ i { print $5; exit }' /proc/locks)

run "mkdir mnt/jobs/cat"
run "echo '{\"prompt\": \"A cat surfing at sunset\"}' > mnt/jobs/cat/prompt.json"

printf '\n%s$ cat mnt/jobs/cat/status%s   (again and again)\n' "$bold" "$plain"
last=
for _ in $(seq 300); do
    now=$(cat "$mnt/jobs/cat/status")
    [ "$now" = "$last" ] || echo "$now"
    last=$now
    case $now in succeeded | failed | rejected | unknown | lost) break ;; esac
    sleep 0.1
done
if [ "$last" != succeeded ]; then
    cat "$mnt/jobs/cat/error" >&2 || true
    echo "demo: the job did not succeed" >&2
    exit 1
fi

run "ls -l mnt/jobs/cat"
if command -v ffprobe >/dev/null; then
    run "ffprobe -v error -show_entries stream=codec_name,width,height -show_entries format=duration,size -of compact mnt/jobs/cat/output.mp4"
else
    run "head -c 12 mnt/jobs/cat/output.mp4 | tail -c 8; stat -c ' %s bytes' mnt/jobs/cat/output.mp4"
fi
run "cat mnt/jobs/cat/cost mnt/jobs/cat/log"
run "find mnt | sort"
printf '\nA typo costs nothing: the write fails, and "error" says where and why.\n'
mkdir "$mnt/jobs/dog"
run "echo '{\"prompt\": \"A dog\", \"duraton\": 8}' > mnt/jobs/dog/prompt.json || cat mnt/jobs/dog/error"

cat <<TEXT

${bold}What to try next${plain}, in $dir
    mpv mnt/jobs/cat/output.mp4
    cp mnt/jobs/cat/output.mp4 ~/cat.mp4
    mkdir mnt/jobs/train
    echo '{"prompt": "A train in the snow", "aspect_ratio": "9:16", "duration": 8}' > mnt/jobs/train/prompt.json
    cat mnt/jobs/train/status.json
    rm -r mnt/jobs/cat
    cat mnt/README.txt
With a key of your own: see "Real use" in README.md.
TEXT

if [ -t 0 ] && [ -t 1 ]; then
    printf '\n%sIt stays mounted at %s until you press Enter (or Ctrl-C).%s ' "$bold" "$mnt" "$plain"
    read -r _ || true
fi
echo
echo "demo: done; unmounting and cleaning up"
