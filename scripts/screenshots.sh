#!/bin/bash
# Makes the pictures of README.md again: docs/gallery.png, the page of a mount as Chromium shows it, and
# docs/terminal.png, what a shell really said in a session on that mount.
#   scripts/screenshots.sh [BUILD [DIRECTORY]]      build and docs; pictures of a phone and of the dark go to DIRECTORY
#                                                   too when it is not docs
# Needs what the tests need; pngquant, where it is installed, makes them smaller.
set -eu
cd "$(dirname "$0")/.."
BUILD=${1:-build}
pictures=$(realpath "${2:-docs}")
BATS_TEST_TMPDIR=$(mktemp -d)
BATS_RUN_TMPDIR=$BATS_TEST_TMPDIR
# shellcheck source=tests/e2e/helper.bash
source tests/e2e/helper.bash
exec 3>/dev/null
FS_PID=
finish() {
    local code=$?
    end_world >/dev/null 2>&1 || code=1
    rm -rf --one-file-system "$BATS_TEST_TMPDIR"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

# What was typed, and what was said.
say() {
    printf '\e[1;32m$\e[0m %s\n' "$1"
    # As on a terminal: ls in columns, and a shell that has no line numbers.
    (cd "$DIR" && bash -c "ls() { command ls -C -w 100 \"\$@\"; }; $1" 2>&1 | sed 's/^bash: line 1: /bash: /') || true
}

session() {
    say "mkdir seedance/jobs/cat"
    say "echo '{\"prompt\": \"A cat surfing at sunset\"}' > seedance/jobs/cat/prompt.json"
    wait_status cat running >&2
    say "cat seedance/jobs/cat/progress"
    wait_status cat succeeded >&2
    wait_until 10 test -e "$MNT/jobs/cat/cover.jpg"
    say "cat seedance/jobs/cat/wait seedance/jobs/cat/cost"
    say "ls seedance/jobs/cat"
    say "ffprobe -v error -show_entries stream=codec_name,width,height -of compact seedance/jobs/cat/output.mp4"
    mkdir "$MNT/jobs/dog"
    say "echo '{\"prompt\": \"A dog\", \"duraton\": 8}' > seedance/jobs/dog/prompt.json"
    say "cat seedance/jobs/dog/error"
}

# cover WORD   a request with this word gets this picture
cover() {
    local size
    size=$(stat -c %s "$DIR/covers/$1.jpg")
    printf '{"kind":"cover","prompt_contains":"%s","response":{"body_file":"%s","content_range":"bytes 0-%d/%d"}}' "$1" \
        "$DIR/covers/$1.jpg" $((size - 1)) "$size"
}

start_world --generation-seconds 1
mkdir "$DIR/seedance" "$DIR/covers"
MNT=$DIR/seedance
PYTHONPATH=tests/e2e "$PYTHON" scripts/screenshots.py covers "$DIR/covers"
scenario "$(cover cat)" "$(cover harbour)" "$(cover tower)" \
    '{"kind":"create","prompt_contains":"lighthouse","response":{"status":500}}' \
    '{"kind":"poll","prompt_contains":"crowd","response":{"task":{"status":"failed","error":{"code":"OutputVideoSensitiveContentDetected","message":"The output video may contain sensitive information."}}}}' \
    '{"kind":"poll","prompt_contains":"snow","response":{"task_status":"running"}}'
mount_fs
submit() { jq -n --arg prompt "$2" '{prompt: $prompt} + $ARGS.named' "${@:3}" >"$MNT/jobs/$1/prompt.json"; }
submit protest "A crowd in a street at night"
wait_status protest failed
submit lighthouse "A lighthouse in a storm, waves break over the rocks"
wait_status lighthouse unknown
session >"$DIR/session"
submit harbour "Fog lifts over a small harbour at dawn; a fishing boat leaves, gulls follow it, and the camera rises slowly until the whole bay lies in the light of the first sun"
wait_status harbour succeeded
submit tower "A tower of glass, seen from its foot" --arg aspect_ratio 9:16
wait_status tower succeeded
submit train "A train crosses a viaduct in the snow" --arg resolution 480p
wait_until 20 status_is train running
for job in cat harbour tower; do wait_until 10 test -e "$MNT/jobs/$job/cover.jpg"; done
PYTHONPATH=tests/e2e "$PYTHON" scripts/screenshots.py pictures "$MNT" "$DIR/session" "$pictures"
if command -v pngquant >/dev/null; then
    for picture in "$pictures"/*.png; do pngquant --force --skip-if-larger --output "$picture" 192 "$picture" || true; done
fi
ls -l "$pictures"/*.png
