#!/usr/bin/env bats
# Programs that look at every file: a real thumbnailer over many videos, updatedb and file(1). They cost little, and
# never a task.
load helper

VIDEOS=${VIDEOS:-50}

setup_file() {
    [ "$BUILD" = build ] || return 0
    # As large as such a video of five seconds is, so that a thumbnail is far less than the whole; moov last.
    ffmpeg -v error -f lavfi -i testsrc2=size=1280x720:rate=24 -vf noise=alls=20:allf=t -t 5 -c:v libx264 \
        -preset ultrafast -b:v 8M -maxrate 8M -bufsize 8M -pix_fmt yuv420p "$BATS_FILE_TMPDIR/video.mp4" 3>&-
}

setup() {
    [ "$BUILD" = build ] || skip "reads are tested with the sanitizers in readers.bats"
    start_world --video "$BATS_FILE_TMPDIR/video.mp4" --same-video
    mount_fs
}
teardown() { [ -z "${DIR:-}" ] || end_world; }

# The most bytes that the media host has sent of one video, and of all: "MOST ALL".
bytes_sent() {
    jq -sr '([.[] | select(.kind == "video") | {key: (.seq | tostring), value: .path}] | from_entries) as $video |
        [.[] | select(.kind == "sent" and $video[.seq | tostring]) | {path: $video[.seq | tostring], bytes}] |
        group_by(.path) | map(map(.bytes) | add) | "\(max) \(add)"' "$LOG"
}

make_videos() {
    local i
    for i in $(seq "$VIDEOS"); do echo '{"prompt": "x"}' >"$MNT/jobs/v$i/prompt.json"; done
    for i in $(seq "$VIDEOS"); do wait_status "v$i" succeeded 60; wait_ends "v$i"; done
}
all_are_sent() {
    [ "$(jq -s '[.[] | select(.kind == "video")] | length' "$LOG")" -eq \
        "$(jq -s '[.[] | select(.kind == "video") | .seq] as $v | [.[] | select(.kind == "sent" and (.seq | IN($v[])))] | length' "$LOG")" ]
}

# The picture alone: the file also has the name and the time of the video.
pixels() { ffmpeg -v error -i "$1" -f md5 - 3>&-; }

# S-LOOK-1: A thumbnail of a video costs at most 1.5 MiB from the media host, also of many one after the other, and no
#   task.
@test "S-LOOK-1: thumbnails of $VIDEOS videos" {
    command -v ffmpegthumbnailer >/dev/null || skip "ffmpegthumbnailer is not installed"
    make_videos
    local size before most all i
    size=$(stat -c %s "$MNT/jobs/v1/output.mp4")
    [ "$size" -gt $((3 << 20)) ]
    before=$(creates)
    for i in $(seq "$VIDEOS"); do
        timeout 60 ffmpegthumbnailer -i "$MNT/jobs/v$i/output.mp4" -o "$DIR/v$i.png" -s 256 >>"$DIR/thumbnails.out" 2>&1 3>&-
        [ -s "$DIR/v$i.png" ]
    done
    wait_until 20 all_are_sent
    read -r most all < <(bytes_sent)
    echo "# of $size bytes: at most $most for one of $VIDEOS thumbnails, $((all / VIDEOS)) on average" >&3
    [ "$most" -le $((3 << 19)) ]
    # It is the right picture.
    ffmpegthumbnailer -i "$BATS_FILE_TMPDIR/video.mp4" -o "$DIR/right.png" -s 256 >/dev/null 2>&1 3>&-
    [ "$(pixels "$DIR/v1.png")" = "$(pixels "$DIR/right.png")" ]
    # Once more costs nothing.
    for i in 1 2 3; do
        ffmpegthumbnailer -i "$MNT/jobs/v$i/output.mp4" -o "$DIR/again.png" -s 256 >/dev/null 2>&1 3>&-
    done
    wait_until 20 all_are_sent
    [ "$(bytes_sent)" = "$most $all" ]
    [ "$(creates)" -eq "$before" ]
}
