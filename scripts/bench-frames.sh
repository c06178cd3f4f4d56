#!/bin/bash
# `make bench`, a part: the first open of last_frame.png of a clip that is on disk, beside ffmpeg itself on the same clip: the
# command that everybody finds for the last picture, and a decode of all pictures that keeps the last.
#   scripts/bench-frames.sh build    exit code 0 when no target is missed
set -u
# shellcheck source=scripts/bench-common.bash
source "$(dirname "$0")/bench-common.bash"

RUNS=7
clip=$BATS_TEST_TMPDIR/clip.mp4
# Noise moves in it, as in a real picture; a key frame every two seconds or so.
ffmpeg -v error -f lavfi -i "testsrc2=s=1280x720:r=24:d=10,noise=alls=12:allf=t" -f lavfi -i "sine=d=10" \
    -c:v libx264 -crf 24 -pix_fmt yuv420p -g 48 -c:a aac "$clip"

# Without pictures that were made before, and before the walk that would make them.
first_open() {
    unmount_fs
    rm -f "$DATA"/frames/*
    mount_fs --archive never
    cat "$MNT/jobs/cat/output.mp4" >/dev/null
    time_us cat "$MNT/jobs/cat/last_frame.png"
}
by_sseof() { ffmpeg -v error -y -sseof -1 -i "$clip" -update 1 "$BATS_TEST_TMPDIR/a.png"; }
# Without what comes before and after: the very command that makes the picture, of a file that is known.
by_one_picture() { ffmpeg -v error -y -sseof -1 -i "$clip" -vf reverse -frames:v 1 -update 1 "$BATS_TEST_TMPDIR/c.png"; }
by_decoding() { ffmpeg -v error -y -i "$clip" -update 1 "$BATS_TEST_TMPDIR/b.png"; }
runs() { for _ in $(seq $RUNS); do "$@"; done | median; }

start_world --video "$clip"
mount_fs --archive never # without ffmpeg until here
make_job cat
cat "$MNT/jobs/cat/output.mp4" >/dev/null
with_ffmpeg
ours=()
peers=()
singles=()
first_open >/dev/null
for _ in $(seq $RUNS); do # in turns, because the machine is not always as fast
    ours+=("$(first_open)")
    first_open_made=$(cksum <"$MNT/jobs/cat/last_frame.png")
    peers+=("$(time_us by_sseof)")
    singles+=("$(time_us by_one_picture)")
done
# first_open changes $FS_PID in a subshell.
find_daemon
again=$(runs time_us cat "$MNT/jobs/cat/last_frame.png")
decoding=$(time_us by_decoding)
ours_us=$(printf '%s\n' "${ours[@]}" | median)
peer_us=$(printf '%s\n' "${peers[@]}" | median)
cmp <(ffmpeg -v error -i "$MNT/jobs/cat/last_frame.png" -f rawvideo -pix_fmt rgb24 -) \
    <(ffmpeg -v error -i "$BATS_TEST_TMPDIR/b.png" -f rawvideo -pix_fmt rgb24 -)
[ -n "$first_open_made" ]

table_head
row "last_frame.png, first open, 10 s of 720p" "$(awk -v a="$ours_us" -v b="$peer_us" 'BEGIN { printf "%.2f", a / b }')" x \
    most 1.3 "ffmpeg -sseof -1 -i X -update 1 Y" "$(ms "$peer_us") ms"
single_us=$(printf '%s\n' "${singles[@]}" | median)
row "the same" "$(awk -v a="$ours_us" -v b="$single_us" 'BEGIN { printf "%.2f", a / b }')" x \
    most 1.3 "ffmpeg -sseof -1 … reverse, one picture" "$(ms "$single_us") ms"
row "the same, time" "$(ms "$ours_us")" ms none - "ffmpeg -i X -update 1 Y (all)" "$(ms "$decoding")"
row "the same, opened again" "$(ms "$again")" ms none - "" ""
table_end
