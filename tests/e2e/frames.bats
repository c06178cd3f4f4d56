#!/usr/bin/env bats
# first_frame.png and last_frame.png: the first and the last picture of a job's video.
load helper

setup() { start_world; with_ffmpeg; J=$MNT/jobs; }
teardown() { end_world; }

prompt() { echo "{\"prompt\": \"$2\"}" >"$J/$1/prompt.json"; }
pictures() { ls "$J/$1" | grep -c '_frame.png$' || true; }
has_pictures() { [ "$(pictures "$1")" -eq 2 ]; }

# is_frame FILE VIDEO first|last   the picture that a decode of the whole video gives as its first or last one
is_frame() {
    rm -rf "$DIR/all"
    mkdir "$DIR/all"
    ffmpeg -v error -i "$2" -vsync passthrough "$DIR/all/%05d.png"
    local which=head
    [ "$3" = first ] || which=tail
    cmp <(ffmpeg -v error -i "$1" -f rawvideo -pix_fmt rgb24 -) \
        <(ffmpeg -v error -i "$(ls "$DIR"/all/* | $which -n 1)" -f rawvideo -pix_fmt rgb24 -)
}

# S-FRAME-1: `first_frame.png` and `last_frame.png` are exactly the first and the last picture of the video of a job, in
#   full size, as ffmpeg decodes it. They are made when the whole video is on disk, and listed from then on.
@test "S-FRAME-1: exactly the first and the last picture, listed when they are there" {
    mount_fs
    prompt cat "a cat [[seconds=2]]"
    wait_status cat succeeded
    wait_until 20 has_pictures cat
    is_frame "$J/cat/first_frame.png" "$J/cat/output.mp4" first
    is_frame "$J/cat/last_frame.png" "$J/cat/output.mp4" last
    [ "$(stat -c '%s %a' "$J/cat/last_frame.png")" = "$(wc -c <"$J/cat/last_frame.png") 444" ]
    [ "$(stat -c %i "$J/cat/last_frame.png")" != "$(stat -c %i "$J/cat/first_frame.png")" ]
    mkdir "$J/dog"
    fails touch "$J/dog/last_frame.png"
}

# S-FRAME-2: Before that they are found by name, with a size of 0, and are not listed. Opening one makes it: the video is
#   fetched if need be, and the open waits, until any signal ends it, or five minutes. Any number of readers wait for one
#   making. What does not open them fetches nothing.
@test "S-FRAME-2: looking fetches nothing; several readers, one making, and one that goes away" {
    slow_video cat
    J=$MNT/jobs
    local before pids=() i
    before=$(requests video)
    ls -l "$J/cat" >/dev/null
    find "$MNT" -printf '%s\n' >/dev/null
    du -a "$MNT" >/dev/null
    [ "$(stat -c %s "$J/cat/last_frame.png")" -eq 0 ]
    [ "$(pictures cat)" -eq 0 ]
    [ "$(requests video)" -eq "$before" ]
    # A reader that goes away ends the making that it began, and leaves nothing.
    fails timeout -s INT 1 cat "$J/cat/last_frame.png"
    [ -z "$(ls "$DATA/frames")" ]
    for i in 1 2 3 4; do
        cat "$J/cat/last_frame.png" >"$DIR/$i.png" 3>&- &
        pids+=($!)
    done
    # Meanwhile everything else goes on.
    [ "$(timeout 2 cat "$J/cat/status")" = succeeded ]
    for i in "${pids[@]}"; do wait "$i"; done
    for i in 1 2 3 4; do cmp "$DIR/1.png" "$DIR/$i.png"; done
    [ "$(grep -c 'event=frame.made.*frame=last' "$DATA/seedancefs.log")" -eq 1 ]
    is_frame "$DIR/1.png" "$J/cat/output.mp4" last
    wait_until 20 has_pictures cat
    is_frame "$J/cat/first_frame.png" "$J/cat/output.mp4" first
}

# S-FRAME-3: They are kept as long as their video is, also when the rest of it was evicted, and over restarts; a crash
#   leaves a whole picture or none. They are those of the picked take. `rm` hides them, and `rm -r` of the job works.
@test "S-FRAME-3: kept over restarts, eviction and crashes; rm" {
    mount_fs
    prompt cat "a cat [[seconds=2]]"
    wait_status cat succeeded
    wait_until 20 has_pictures cat
    local sum
    sum=$(cksum <"$J/cat/last_frame.png")
    echo evict >"$J/cat/ctl"
    SEEDANCEFS_TOOLS_PATH=/nowhere restart_fs
    [ "$(pictures cat)" -eq 2 ]
    [ "$(cksum <"$J/cat/last_frame.png")" = "$sum" ]
    rm "$J/cat/last_frame.png"
    [ ! -e "$J/cat/last_frame.png" ]
    [ "$(pictures cat)" -eq 1 ]
    [ "$(ls "$DATA/frames" | wc -l)" -eq 2 ]
    # They go with the video, which is not whole any more and goes at once.
    rm -r "$J/cat"
    [ ! -e "$J/cat" ]
    [ -z "$(ls "$DATA/frames")" ]
}

@test "S-FRAME-3: a removed job's pictures stay as long as its video" {
    mount_fs
    prompt cat "a cat [[seconds=2]]"
    wait_status cat succeeded
    wait_until 20 has_pictures cat
    local task sum
    task=$(jq -r .task_id "$J/cat/status.json")
    sum=$(cksum <"$J/cat/last_frame.png")
    rm -r "$J/cat"
    [ "$(ls "$DATA/frames" | wc -l)" -eq 2 ]
    mkdir "$J/dog"
    echo "adopt $task" >"$J/dog/ctl"
    wait_status dog succeeded
    [ "$(cksum <"$J/dog/last_frame.png")" = "$sum" ]
    [ "$(grep -c 'event=frame.made' "$DATA/seedancefs.log")" -eq 2 ]
}

# S-FRAME-5: A file of your own that has such a name from before goes first.
@test "S-FRAME-5: a file of the user's with the name goes first" {
    mount_fs
    mkdir "$J/cat"
    echo mine >"$J/cat/mine.png"
    prompt cat "a cat [[seconds=2]]"
    wait_status cat succeeded
    unmount_fs
    sqlite3 "$DATA/jobs.sqlite" "UPDATE file SET name = 'last_frame.png' WHERE name = 'mine.png'"
    mount_fs
    [ "$(cat "$J/cat/last_frame.png")" = mine ]
    [ "$(ls "$J/cat" | grep -c last_frame.png)" -eq 1 ]
    is_frame "$J/cat/first_frame.png" "$J/cat/output.mp4" first
    rm "$J/cat/last_frame.png"
    is_frame "$J/cat/last_frame.png" "$J/cat/output.mp4" last
}

@test "S-FRAME-3: pick shows the pictures of the other take" {
    mount_fs --archive always
    prompt cat "a cat [[seconds=2]]"
    wait_status cat succeeded
    wait_until 20 has_pictures cat
    local first
    first=$(cksum <"$J/cat/last_frame.png")
    take_soon() { echo take >"$J/cat/ctl"; }
    wait_until 20 take_soon 2>/dev/null
    wait_until 20 creates_are 2
    wait_status cat succeeded
    wait_until 20 has_pictures cat
    is_frame "$J/cat/last_frame.png" "$J/cat/output.mp4" last
    [ "$(cksum <"$J/cat/last_frame.png")" != "$first" ]
    echo 'pick 1' >"$J/cat/ctl"
    [ "$(cksum <"$J/cat/last_frame.png")" = "$first" ]
    is_frame "$J/cat/last_frame.png" "$J/cat/output.mp4" last
}

@test "S-FRAME-3: kill -9 while a picture is made" {
    mkdir "$DIR/bin"
    ln -s "$(command -v ffprobe)" "$DIR/bin/ffprobe"
    printf '#!/bin/sh\necho half\nsleep 20\n' >"$DIR/bin/ffmpeg"
    chmod +x "$DIR/bin/ffmpeg"
    export SEEDANCEFS_TOOLS_PATH=$DIR/bin
    mount_fs
    prompt cat "a cat [[seconds=2]]"
    wait_status cat succeeded
    is_half() { grep -q half "$DATA"/frames/*.new 2>/dev/null; }
    wait_until 20 is_half
    kill_fs
    with_ffmpeg
    mount_fs
    is_frame "$J/cat/last_frame.png" "$J/cat/output.mp4" last
    wait_until 20 has_pictures cat
    is_frame "$J/cat/first_frame.png" "$J/cat/output.mp4" first
    [ -z "$(ls "$DATA"/frames/*.new 2>/dev/null)" ]
}

# S-FRAME-4: A picture that cannot be made is EIO, `ctl` says that it failed and the log of the program why; the next open
#   tries again, and nothing is deleted. Without ffmpeg and ffprobe a picture that was not made before does not exist.
@test "S-FRAME-4: without ffmpeg, and with one that fails" {
    mkdir "$DIR/bin"
    export SEEDANCEFS_TOOLS_PATH=$DIR/bin
    mount_fs
    prompt cat "a cat [[seconds=2]]"
    wait_status cat succeeded
    [ ! -e "$J/cat/last_frame.png" ]
    fails cat "$J/cat/last_frame.png"
    ln -s "$(command -v ffprobe)" "$DIR/bin/ffprobe"
    printf '#!/bin/sh\necho "no such luck" >&2\nexit 1\n' >"$DIR/bin/ffmpeg"
    chmod +x "$DIR/bin/ffmpeg"
    wait_until 10 test -e "$J/cat/last_frame.png"
    run cat "$J/cat/last_frame.png"
    [ "$status" -ne 0 ]
    [[ $output == *"Input/output error"* ]]
    grep -q 'last_frame.png' "$J/cat/ctl"
    grep -q 'event=frame.failed.*no such luck' "$DATA/seedancefs.log"
    cp "$(command -v ffmpeg)" "$DIR/bin/ffmpeg"
    is_frame "$J/cat/last_frame.png" "$J/cat/output.mp4" last
}

@test "S-FRAME-1: of a video whose size is not known yet, the picture is made of all of it" {
    ffmpeg -v error -nostdin -y -f lavfi -i "testsrc=d=2:s=640x360:r=24,noise=alls=40:allf=t" -c:v libx264 -preset ultrafast \
        -crf 16 -g 24 -pix_fmt yuv420p "$BATS_TEST_TMPDIR/noise.mp4"
    [ "$(stat -c %s "$BATS_TEST_TMPDIR/noise.mp4")" -gt 1500000 ]
    end_sim
    start_sim --video "$BATS_TEST_TMPDIR/noise.mp4" --rate 3M
    mount_fs
    mkdir "$J/cat" "$J/dog"
    scenario '{"kind": "video", "prompt_contains": "a cat", "response": {"status": 503}}'
    echo '{"prompt": "a cat"}' >"$J/cat/prompt.json"
    echo '{"prompt": "a dog", "first_frame": "../cat/last_frame.png"}' >"$J/dog/prompt.json"
    wait_status cat succeeded 60
    wait_until 20 grep -q frame.failed "$DATA/seedancefs.log"
    scenario
    wait_status dog succeeded 60
    fails sh -c 'grep frame.failed "$1" | grep -v MEDIA_STATUS' - "$DATA/seedancefs.log"
}

@test "S-FRAME-1: the pictures go with the version of the video" {
    mount_fs --archive never
    mkdir "$J/cat"
    echo '{"prompt": "a cat [[seconds=2]]"}' >"$J/cat/prompt.json"
    wait_status cat succeeded
    cat "$J/cat/last_frame.png" "$J/cat/first_frame.png" >/dev/null
    [ "$(ls "$DATA/frames" | wc -l)" -eq 2 ]
    evict() { echo evict 2>/dev/null >"$J/cat/ctl"; }
    wait_until 10 evict
    scenario '{"kind": "video", "response": {"etag": "\"other\""}}'
    cat "$J/cat/output.mp4" >/dev/null || true
    grep -q media.changed "$DATA/seedancefs.log"
    [ -z "$(ls "$DATA/frames")" ]
}

@test "a helper that is stopped does not keep the program from ending" {
    mount_fs
    mkdir "$J/cat"
    echo '{"prompt": "a cat [[seconds=2]]"}' >"$J/cat/prompt.json"
    wait_status cat succeeded
    local helper
    helper=$(pgrep -P "$FS_PID" -x seedancefs-tool)
    kill -STOP "$helper"
    timeout -s INT 2 cat "$J/cat/last_frame.png" >/dev/null || true
    fusermount3 -u "$MNT"
    wait_until 20 process_is_gone "$FS_PID"
}

@test "opens that wait for slow videos do not hold up an order" {
    local i
    end_sim
    start_sim --video-bytes 40M
    mount_fs --archive never
    for i in 1 2 3 4 5 source; do mkdir "$J/c$i" && echo '{"prompt": "a cat"}' >"$J/c$i/prompt.json"; done
    for i in 1 2 3 4 5 source; do wait_status "c$i" succeeded; done
    echo fetch >"$J/csource/ctl"
    saved() { jq -e .output.archived "$J/csource/status.json"; }
    wait_until 30 saved
    both() { [ "$(ls "$DATA"/frames/*.png | wc -l)" -eq 2 ]; }
    wait_until 20 both
    rm "$DATA"/frames/*
    end_sim
    start_sim --video-bytes 40M --rate 1M
    for i in 1 2 3 4 5; do timeout -s INT 30 cat "$J/c$i/last_frame.png" >/dev/null 2>&1 3>&- & done
    sleep 1
    mkdir "$J/dog"
    echo '{"prompt": "a dog", "first_frame": "../csource/last_frame.png"}' >"$J/dog/prompt.json"
    wait_status dog succeeded 20
    pkill -INT -P $$ cat || true
}
