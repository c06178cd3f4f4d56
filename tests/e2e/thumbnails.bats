#!/usr/bin/env bats
# Programs that look at every file: a real thumbnailer over many videos, file(1) and updatedb. They cost what
# docs/PACKAGING.md says, and never a task.
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

# S-LOOK-1: Making a thumbnail of a video fetches at most 1.5 MiB from the media host and starts no task, also when
#   many thumbnails are made one after the other.
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

# S-SPEND-2: Listing, searching, reading, copying out, measuring and identifying files never start a task. When a
#   video is finished, the program asks the media host once for the size and for the first and last 256 KiB. It asks
#   for no more of a video that nobody has opened and that is not being saved.
@test "S-SPEND-2: file(1) over every file of the mount" {
    VIDEOS=5
    make_videos
    local before most all size
    size=$(stat -c %s "$MNT/jobs/v1/output.mp4")
    wait_until 20 all_are_sent
    before=$(bytes_sent)
    # As docs/PACKAGING.md has it: with what is on disk already.
    option=$(sed -nE 's/^\| file\(1\) .*`file (-P bytes=[0-9]+)`.*/\1/p' "$ROOT/docs/PACKAGING.md")
    # shellcheck disable=SC2086 # two words
    file_ $option
    wait_until 20 all_are_sent
    [ "$(bytes_sent | cut -d' ' -f1)" = "${before% *}" ]
    # Without that: both ends, 7 MiB each, here all of it, and that once.
    file_
    file_
    wait_until 20 all_are_sent
    read -r most all < <(bytes_sent)
    [ "$most" -le "$size" ]
    [ "$(creates)" -eq 5 ]
}

# file_ OPTION...   of every file that is listed
file_() {
    find "$MNT" -type f -print0 | timeout 100 xargs -0 file --mime-type "$@" -- >"$DIR/types" 2>&1 3>&-
    [ "$(grep -c '/output.mp4: *video/mp4$' "$DIR/types")" -eq 5 ]
    [ "$(grep -c '/cover.jpg: *image/jpeg$' "$DIR/types")" -eq 5 ]
    fails grep -iE 'cannot|error' "$DIR/types"
}

# updatedb_ PRUNEFS DATABASE   as a machine has it that keeps the mount in its database, or not
updatedb_() {
    timeout 100 updatedb.plocate --require-visibility no --database-root "$DIR" --prunepaths '' --prune-bind-mounts no \
        --prunefs "$1" --output "$2" 3>&-
}

@test "S-SPEND-2: updatedb lists the names and asks for nothing, and PRUNEFS leaves the mount out" {
    command -v updatedb.plocate >/dev/null || skip "plocate is not installed"
    VIDEOS=3
    make_videos
    local before type
    wait_until 20 all_are_sent
    before=$(wc -l <"$LOG")
    updatedb_ 'nfs proc' "$DIR/database"
    plocate -d "$DIR/database" "$MNT/" >"$DIR/found"
    for name in jobs/v1/output.mp4 jobs/v3/status videos/v2.mp4 by-status/succeeded/v1 index.html; do
        grep -qxF "$MNT/$name" "$DIR/found"
    done
    fails grep -E '/(wait|events)$' "$DIR/found"
    # With the word that docs/PACKAGING.md has for updatedb.conf(5).
    type=$(sed -nE 's/.*`PRUNEFS="\.\.\. ([a-z.]*)"`.*/\1/p' "$ROOT/docs/PACKAGING.md")
    [ "$type" = fuse.seedancefs ]
    updatedb_ "nfs proc $type" "$DIR/pruned"
    fails plocate -d "$DIR/pruned" "$MNT/"
    # Neither asked the service or the media host for anything, but for what goes on by itself.
    [ "$(tail -n +$((before + 1)) "$LOG" | grep -cE '"kind":"(create|video|cover)"')" -eq 0 ]
    [ "$(creates)" -eq 3 ]
}
